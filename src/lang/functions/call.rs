//! One call: arity, expansion of `...`, conversion of arguments, what null and unknown do, and what is said when it fails.

use super::{Depth, Function, FunctionError, LazyCall, Param, Run};
use crate::convert::convert;
use crate::diag::{Diagnostic, Diagnostics, Source, Span, suggest};
use crate::eval::{bounded, eval};
use crate::scope::{FunctionSet, Scope};
use crate::value::{Type, Value};
use hcl::edit::Span as _;
use hcl::edit::expr::{Expression, FuncCall};

/// Evaluates a function call.
pub fn call(call: &FuncCall, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Value {
    let name = call.name.name.as_str();
    let name_span = source.span(call.name.name.span());
    let Some(function) = find(call, scope, &name_span, diags) else {
        return Value::dynamic();
    };
    let arguments: Vec<&Expression> = call.args.iter().collect();
    if let Run::Lazy(run) = function.run {
        return run(&LazyCall { call, arguments, scope, source }, diags);
    }
    let mut before = Diagnostics::new();
    let Some((values, spans)) = given(call, &arguments, scope, source, &mut before) else {
        diags.extend(before);
        return Value::dynamic();
    };
    let whole = call.span().map_or_else(|| name_span.clone(), |r| source.span(Some(r)));
    if let Err(diagnostic) = check_arity(function, values.len(), &whole, spans.get(function.params.len())) {
        diags.push(diagnostic);
        return Value::dynamic();
    }
    let failed = before.has_errors();
    diags.extend(before);
    if failed {
        return Value::unknown(function.returns.ty());
    }
    let Some(values) = convert_all(function, values, &spans, diags) else {
        return Value::unknown(function.returns.ty());
    };
    let sensitive = match function.depth {
        Depth::Deep => values.iter().any(Value::contains_sensitive),
        Depth::Shallow | Depth::Through => values.iter().any(Value::is_sensitive),
    };
    let unknown = match function.depth {
        Depth::Deep => !values.iter().all(Value::is_wholly_known),
        Depth::Shallow => values.iter().any(Value::is_unknown),
        Depth::Through => false,
    };
    if unknown {
        return Value::unknown(function.returns.ty()).with_sensitive(sensitive);
    }
    let Run::Eager(run) = function.run else {
        return Value::dynamic();
    };
    match run(scope.world(), &values) {
        Ok(value) => bounded(value.tainted(sensitive), call.span(), source, diags),
        Err(error) => {
            let hidden = values.iter().any(Value::contains_sensitive);
            diags.push(failure(function, name, &error, hidden, &spans, name_span));
            Value::unknown(function.returns.ty())
        }
    }
}

fn find(call: &FuncCall, scope: &Scope, span: &Span, diags: &mut Diagnostics) -> Option<&'static Function> {
    let name = call.name.name.as_str();
    if scope.functions() == FunctionSet::None {
        diags.push(
            Diagnostic::error("Function calls not allowed")
                .detail("Functions may not be called here.")
                .at(span.clone()),
        );
        return None;
    }
    if call.name.is_namespaced() {
        let namespace: Vec<&str> = call.name.namespace.iter().map(|n| n.as_str()).collect();
        let mut d = Diagnostic::error("Call to unknown function")
            .detail(format!("There are no functions in namespace {:?}.", format!("{}::", namespace.join("::"))))
            .at(span.clone());
        if scope.function(name).is_some() {
            d = d.hint(format!("write {name}(…) without the namespace"));
        }
        diags.push(d);
        return None;
    }
    let found = scope.function(name);
    if found.is_none() {
        diags.push(unknown_function(name, scope, span));
    }
    found
}

/// Functions that people know from elsewhere, and how the same is written here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("tostring", "convert(value, string)"),
    ("tonumber", "convert(value, number)"),
    ("tobool", "convert(value, bool)"),
    ("tolist", "convert(value, list(any))"),
    ("toset", "convert(value, set(any))"),
    ("tomap", "convert(value, map(any))"),
    ("strlen", "length(value)"),
    ("env", "a variable with `default = env(\"NAME\")`"),
    ("one", "value[0]"),
    ("uuid", "uuidv4()"),
    ("filesha256", "sha256(file(path))"),
    ("filemd5", "md5(file(path))"),
    ("templatestring", "templatefile(path, vars)"),
];

fn unknown_function(name: &str, scope: &Scope, span: &Span) -> Diagnostic {
    let d = Diagnostic::error("Call to unknown function")
        .detail(format!("There is no function named {name:?}."))
        .at(span.clone());
    if scope.functions() == FunctionSet::EnvOnly {
        return d
            .detail(format!("There is no function named {name:?} here: the default of a variable may call env alone."))
            .hint("move the call to a local: locals may call every function");
    }
    if let Some((_, instead)) = ELSEWHERE.iter().find(|(n, _)| *n == name) {
        return d.hint(format!("write {instead} instead"));
    }
    match suggest(name, scope.function_names()) {
        Some(other) => d.hint(format!("did you mean {other:?}?")),
        None => d,
    }
}

/// Evaluates the arguments and expands the last one where `...` follows it; `None` where that ends the call.
fn given(
    call: &FuncCall,
    arguments: &[&Expression],
    scope: &Scope,
    source: &Source,
    diags: &mut Diagnostics,
) -> Option<(Vec<Value>, Vec<Span>)> {
    let mut values = Vec::with_capacity(arguments.len());
    let mut spans = Vec::with_capacity(arguments.len());
    for (i, argument) in arguments.iter().enumerate() {
        let span = source.span(argument.span());
        let value = eval(argument, scope, source, diags);
        if !(call.args.expand_final() && i + 1 == arguments.len()) {
            values.push(value);
            spans.push(span);
            continue;
        }
        if value.is_unknown() && matches!(value.ty(), Type::Dynamic | Type::List(_) | Type::Set(_) | Type::Tuple(_)) {
            return None;
        }
        let Some(elements) = value.elements() else {
            let why = if value.is_null() { "This value is null" } else { "Only a list, set or tuple can be expanded" };
            diags.push(
                Diagnostic::error("Invalid expanding argument value")
                    .detail(format!("{why}: the argument before ... must be a list, set or tuple."))
                    .at(span),
            );
            return None;
        };
        for element in elements {
            values.push(element.clone().tainted(value.is_sensitive()));
            spans.push(span.clone());
        }
    }
    Some((values, spans))
}

fn check_arity(function: &Function, given: usize, whole: &Span, extra: Option<&Span>) -> Result<(), Diagnostic> {
    let name = function.name;
    let wanted = function.params.len();
    let at_least = if function.variadic.is_some() { "at least " } else { "" };
    let plural = if wanted == 1 { "" } else { "s" };
    if let Some(missing) = function.params.get(given) {
        return Err(Diagnostic::error("Not enough function arguments")
            .detail(format!(
                "Function {name:?} takes {at_least}{wanted} argument{plural}; the one for {:?} is missing.",
                missing.name
            ))
            .at(whole.clone())
            .hint(format!("call it as {}", usage(function))));
    }
    if given > wanted && function.variadic.is_none() {
        return Err(Diagnostic::error("Too many function arguments")
            .detail(format!("Function {name:?} takes {wanted} argument{plural}, not {given}."))
            .at(extra.unwrap_or(whole).clone())
            .hint(format!("call it as {}", usage(function))));
    }
    Ok(())
}

/// `name(a, b, c...)`
fn usage(function: &Function) -> String {
    let mut names: Vec<String> = function.params.iter().map(|p| p.name.to_owned()).collect();
    if let Some(p) = function.variadic {
        names.push(format!("{}...", p.name));
    }
    format!("{}({})", function.name, names.join(", "))
}

fn param_of(function: &Function, index: usize) -> Option<Param> {
    function.params.get(index).copied().or(function.variadic)
}

/// Converts every argument; reports all that do not fit.
fn convert_all(function: &Function, values: Vec<Value>, spans: &[Span], diags: &mut Diagnostics) -> Option<Vec<Value>> {
    let mut converted = Vec::with_capacity(values.len());
    let mut failed = false;
    for (i, value) in values.into_iter().enumerate() {
        let Some(param) = param_of(function, i) else {
            continue;
        };
        let reason = if value.is_null() && !param.null_ok {
            "argument must not be null".to_owned()
        } else {
            match convert(&value, &param.takes.ty()) {
                Ok(value) => {
                    converted.push(value);
                    continue;
                }
                Err(error) => error.to_string(),
            }
        };
        failed = true;
        diags.push(
            Diagnostic::error("Invalid function argument")
                .detail(format!("Invalid value for {:?} parameter of {:?}: {reason}.", param.name, function.name))
                .at(spans.get(i).cloned()),
        );
    }
    (!failed).then_some(converted)
}

fn failure(
    function: &Function,
    name: &str,
    error: &FunctionError,
    hidden: bool,
    spans: &[Span],
    name_span: Span,
) -> Diagnostic {
    // What a function says may quote its arguments.
    let reason = if hidden { "the reason is not shown, because an argument is sensitive" } else { &error.message };
    let d = match error.argument.and_then(|i| Some((spans.get(i)?, param_of(function, i)?))) {
        Some((span, param)) => Diagnostic::error("Invalid function argument")
            .detail(format!("Invalid value for {:?} parameter of {name:?}: {reason}.", param.name))
            .at(span.clone()),
        None => Diagnostic::error("Error in function call")
            .detail(format!("Call to function {name:?} failed: {reason}."))
            .at(name_span),
    };
    match &error.hint {
        Some(hint) => d.hint(hint),
        None => d,
    }
}
