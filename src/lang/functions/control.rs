//! `try`, `can` and `convert`: functions that evaluate their arguments themselves.

use super::{Depth, Function, LazyCall, Param, Run, Takes, nullable, param};
use crate::convert::convert as convert_value;
use crate::diag::{Diagnostic, Diagnostics};
use crate::eval::eval;
use crate::typeexpr::parse_convert_type;
use crate::value::Value;
use hcl::edit::Span as _;

const fn lazy(
    name: &'static str,
    params: &'static [Param],
    run: fn(&LazyCall<'_>, &mut Diagnostics) -> Value,
) -> Function {
    Function { name, params, variadic: None, returns: Takes::Any, depth: Depth::Deep, run: Run::Lazy(run) }
}

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    lazy("try", &[], try_).variadic(nullable("expressions", Takes::Any)),
    lazy("can", &[nullable("expression", Takes::Any)], can),
    lazy("convert", &[nullable("value", Takes::Any), param("type", Takes::Any)], convert),
];

fn wrong_count(call: &LazyCall<'_>, function: &str, wanted: usize, missing: &str) -> Option<Diagnostic> {
    let given = call.arguments.len();
    let span = call.source.span(call.call.name.name.span());
    if given < wanted {
        return Some(
            Diagnostic::error("Not enough function arguments")
                .detail(format!("Function {function:?} takes {wanted} arguments; the one for {missing:?} is missing."))
                .at(span),
        );
    }
    (given > wanted).then(|| {
        Diagnostic::error("Too many function arguments")
            .detail(format!("Function {function:?} takes {wanted} arguments, not {given}."))
            .at(call.arguments.get(wanted).map_or(span, |a| call.source.span(a.span())))
    })
}

fn try_(call: &LazyCall<'_>, diags: &mut Diagnostics) -> Value {
    let mut reasons = Vec::new();
    for expression in &call.arguments {
        let mut attempt = Diagnostics::new();
        let value = eval(expression, call.scope, call.source, &mut attempt);
        if !attempt.has_errors() {
            // What is unknown now may fail later: nothing can be said about the result then.
            return if value.is_wholly_known() { value } else { Value::dynamic().tainted(value.contains_sensitive()) };
        }
        reasons.extend(attempt.iter().map(|d| format!("- {d}")));
    }
    let reason = if call.arguments.is_empty() {
        "at least one argument is required".to_owned()
    } else {
        format!(
            "no expression succeeded:\n{}\n\nAt least one expression must be one that cannot fail",
            reasons.join("\n")
        )
    };
    diags.push(
        Diagnostic::error("Error in function call")
            .detail(format!("Call to function \"try\" failed: {reason}."))
            .at(call.source.span(call.call.name.name.span())),
    );
    Value::dynamic()
}

fn can(call: &LazyCall<'_>, diags: &mut Diagnostics) -> Value {
    if let Some(d) = wrong_count(call, "can", 1, "expression") {
        diags.push(d);
        return Value::dynamic();
    }
    let mut attempt = Diagnostics::new();
    let value = eval(call.arguments[0], call.scope, call.source, &mut attempt);
    if attempt.has_errors() {
        return Value::bool(false);
    }
    if value.is_wholly_known() { Value::bool(true) } else { Value::unknown(crate::value::Type::Bool) }
}

fn convert(call: &LazyCall<'_>, diags: &mut Diagnostics) -> Value {
    if let Some(d) = wrong_count(call, "convert", 2, "type") {
        diags.push(d);
        return Value::dynamic();
    }
    let value = eval(call.arguments[0], call.scope, call.source, diags);
    let ty = match parse_convert_type(call.arguments[1], call.source) {
        Ok(ty) => ty,
        Err(d) => {
            diags.push(d);
            return Value::dynamic();
        }
    };
    match convert_value(&value, &ty) {
        Ok(value) => value,
        Err(error) => {
            diags.push(
                Diagnostic::error("Invalid function argument")
                    .detail(format!("Invalid value for \"value\" parameter of \"convert\": {error}."))
                    .at(call.source.span(call.arguments[0].span())),
            );
            Value::unknown(ty)
        }
    }
}
