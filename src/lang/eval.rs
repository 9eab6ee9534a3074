//! Evaluation: a syntax tree and a scope in, a value and diagnostics out.
//!
//! An error is reported and its value is unknown from there on, so that one pass reports as much as it can.

use crate::access;
use crate::convert::convert;
use crate::diag::{Diagnostic, Diagnostics, Source, suggest};
use crate::functions;
use crate::ops;
use crate::scope::Scope;
use crate::template;
use crate::unify::unify;
use crate::value::{Kind, Number, Type, Value};
use hcl::edit::Span as _;
use hcl::edit::expr::{Array, Conditional, Expression, ForExpr, Object, ObjectKey};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The value of an expression of `source` as `scope` sees it. What is wrong goes to `diags`; the value of what is wrong
/// is unknown.
pub fn eval(expr: &Expression, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Value {
    match expr {
        Expression::Null(_) => Value::null(Type::Dynamic),
        Expression::Bool(b) => Value::bool(*b.value()),
        Expression::Number(n) => number(n.span(), n.value(), source, diags),
        Expression::String(s) => Value::string(s.as_str()),
        Expression::Array(array) => self::array(array, scope, source, diags),
        Expression::Object(object) => self::object(object, scope, source, diags),
        Expression::StringTemplate(t) => template::quoted(t, scope, source, diags),
        Expression::HeredocTemplate(t) => template::heredoc(t, scope, source, diags),
        Expression::Parenthesis(inner) => eval(inner.inner(), scope, source, diags),
        Expression::Variable(name) => variable(name.as_str(), name.span(), scope, source, diags),
        Expression::Conditional(c) => conditional(c, scope, source, diags),
        Expression::FuncCall(call) => functions::call(call, scope, source, diags),
        Expression::Traversal(t) => access::traversal(t, scope, source, diags),
        Expression::UnaryOp(op) => ops::unary(op, scope, source, diags),
        Expression::BinaryOp(op) => ops::binary(op, scope, source, diags),
        Expression::ForExpr(f) => for_expr(f, scope, source, diags),
    }
}

/// Numbers are read from the source: the parser keeps no more than an f64 of them.
fn number(range: Option<Range<usize>>, parsed: &hcl::Number, source: &Source, diags: &mut Diagnostics) -> Value {
    let span = source.span(range.clone());
    let written = range.map(|r| source.slice(r)).filter(|text| !text.is_empty());
    // The parser takes `-`, and blanks and comments behind it, for part of the number.
    let read = match written.map(|text| text.strip_prefix('-').ok_or(text)) {
        Some(Ok(magnitude)) => Number::parse(without_blanks(magnitude)).map(|n| n.neg()),
        Some(Err(text)) => Number::parse(text),
        None => Number::parse(&parsed.to_string()),
    };
    match read {
        Some(n) => Value::number(n),
        None => {
            diags.push(
                Diagnostic::error("Invalid number literal")
                    .detail("This number is too large or too small: 39,000 digits is the limit.")
                    .at(span),
            );
            Value::unknown(Type::Number)
        }
    }
}

/// The text behind blanks and `/* */` comments.
fn without_blanks(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some((_, after)) = rest.strip_prefix("/*").and_then(|r| r.split_once("*/")) {
        rest = after.trim_start();
    }
    rest
}

/// The value of a root name.
pub(crate) fn variable(
    name: &str,
    range: Option<Range<usize>>,
    scope: &Scope,
    source: &Source,
    diags: &mut Diagnostics,
) -> Value {
    if let Some(value) = scope.variable(name) {
        return value.clone();
    }
    let span = source.span(range);
    if !scope.has_variables() {
        diags.push(
            Diagnostic::error("Variables not allowed")
                .detail("Variables may not be used here.")
                .at(span)
                .hint("if text was meant, put it into double quotes"),
        );
        return Value::dynamic();
    }
    let names = scope.variable_names();
    let d = Diagnostic::error("Unknown variable").detail(format!("There is no variable named {name:?}.")).at(span);
    diags.push(match suggest(name, names.iter().map(AsRef::as_ref)) {
        Some(other) => d.hint(format!("did you mean {other:?}?")),
        None if names.iter().any(|n| n.as_ref() == "var") => {
            d.hint(format!("a variable is written var.{name}, a local local.{name}, and text in double quotes"))
        }
        None => d,
    });
    Value::dynamic()
}

/// The value, or an error where it is larger than a template has use for.
pub(crate) fn bounded(value: Value, range: Option<Range<usize>>, source: &Source, diags: &mut Diagnostics) -> Value {
    if !value.is_too_large() {
        return value;
    }
    let detail = "This value is nested too deeply, or too large: it has more parts than a template has use for.";
    diags.push(Diagnostic::error("Value too large").detail(detail).at(source.span(range)));
    Value::dynamic()
}

fn array(array: &Array, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Value {
    let value = Value::tuple(array.iter().map(|e| eval(e, scope, source, diags)).collect());
    bounded(value, array.span(), source, diags)
}

fn object(object: &Object, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Value {
    let mut entries = BTreeMap::new();
    let mut known = true;
    let mut sensitive = false;
    for (key, value) in object.iter() {
        let key = object_key(key, scope, source, diags);
        let value = eval(value.expr(), scope, source, diags);
        match key {
            Some(key) => {
                sensitive |= key.is_sensitive();
                match key.as_str() {
                    // Of a repeated key the last value counts.
                    Some(text) => {
                        entries.insert(Arc::from(text), value);
                    }
                    None => known = false,
                }
            }
            None => known = false,
        }
    }
    let value = if known { Value::object(entries) } else { Value::dynamic() };
    bounded(value.with_sensitive(sensitive), object.span(), source, diags)
}

/// A key as a string, perhaps unknown; `None` after an error.
fn object_key(key: &ObjectKey, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Option<Value> {
    let span = source.span(key.span());
    let value = match key {
        ObjectKey::Ident(ident) => {
            // Of a repeated key the parser saw another name; the source has the one that was written.
            let written = ident.span().map(|r| source.slice(r).trim()).filter(|s| !s.is_empty());
            return Some(Value::string(written.unwrap_or(ident.as_str())));
        }
        ObjectKey::Expression(Expression::String(s)) => {
            return Some(Value::string(template::string_text(s.as_str(), s.span(), source)));
        }
        ObjectKey::Expression(Expression::Null(_)) => return Some(Value::string("null")),
        ObjectKey::Expression(Expression::Traversal(_)) => {
            diags.push(
                Diagnostic::error("Ambiguous attribute key")
                    .detail("A key with a period in it can be meant as a reference or as text.")
                    .at(span)
                    .hint("put a reference into parentheses, and text into double quotes"),
            );
            return None;
        }
        ObjectKey::Expression(expr) => eval(expr, scope, source, diags),
    };
    if value.is_null() {
        diags.push(Diagnostic::error("Null value as key").detail("A key of an object must not be null.").at(span));
        return None;
    }
    match convert(&value, &Type::String) {
        Ok(key) => Some(key),
        Err(e) => {
            diags.push(
                Diagnostic::error("Incorrect key type")
                    .detail(format!("This expression cannot be the key of an object: {e}."))
                    .at(span),
            );
            None
        }
    }
}

fn conditional(c: &Conditional, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Value {
    // Both sides are evaluated, since both decide on the type; what is wrong with the one not taken does not matter.
    let mut yes_diags = Diagnostics::new();
    let mut no_diags = Diagnostics::new();
    let yes = eval(&c.true_expr, scope, source, &mut yes_diags);
    let no = eval(&c.false_expr, scope, source, &mut no_diags);
    let untyped_null = |v: &Value| v.is_null() && *v.ty() == Type::Dynamic;
    let ty = if untyped_null(&yes) {
        no.ty().clone()
    } else if untyped_null(&no) {
        yes.ty().clone()
    } else if *yes.ty() == Type::Dynamic || *no.ty() == Type::Dynamic {
        Type::Dynamic
    } else if let Some(ty) = unify(&[yes.ty().clone(), no.ty().clone()]) {
        ty
    } else {
        let span = source.span(c.true_expr.span()).join(&source.span(c.false_expr.span()));
        diags.push(
            inconsistent(format!(
                "Both results must be of one type, but the first is {} and the second is {}.",
                with_article(yes.ty()),
                with_article(no.ty())
            ))
            .at(span),
        );
        return Value::dynamic();
    };
    let condition = eval(&c.cond_expr, scope, source, diags);
    let sensitive = condition.is_sensitive() || yes.is_sensitive() || no.is_sensitive();
    let Some(taken) = self::condition(&condition, c.cond_expr.span(), source, diags) else {
        if condition.is_unknown() && yes.is_null() && no.is_null() {
            return Value::null(ty).with_sensitive(sensitive);
        }
        return Value::unknown(ty).with_sensitive(sensitive);
    };
    let (value, value_diags, which, expr) =
        if taken { (yes, yes_diags, "first", &c.true_expr) } else { (no, no_diags, "second", &c.false_expr) };
    diags.extend(value_diags);
    match convert(&value, &ty) {
        Ok(value) => value.tainted(sensitive),
        Err(e) => {
            diags.push(
                inconsistent(format!("The {which} result does not fit the type of the other: {e}."))
                    .at(source.span(expr.span())),
            );
            Value::unknown(ty).with_sensitive(sensitive)
        }
    }
}

fn inconsistent(detail: String) -> Diagnostic {
    Diagnostic::error("Inconsistent conditional result types").detail(detail)
}

fn with_article(ty: &Type) -> String {
    let words = ty.friendly();
    let article = if words.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {words}")
}

/// What a condition says; `None` if it is unknown, or neither true nor false (which is reported).
pub(crate) fn condition(
    value: &Value,
    range: Option<Range<usize>>,
    source: &Source,
    diags: &mut Diagnostics,
) -> Option<bool> {
    if value.is_null() {
        diags.push(
            Diagnostic::error("Null condition")
                .detail("The condition is null: it must be either true or false.")
                .at(source.span(range)),
        );
        return None;
    }
    match convert(value, &Type::Bool) {
        Ok(v) => v.as_bool(),
        Err(_) => {
            diags.push(
                Diagnostic::error("Incorrect condition type")
                    .detail(format!("A condition must be of type bool, but this is {}.", with_article(value.ty())))
                    .at(source.span(range)),
            );
            None
        }
    }
}

/// What a `for` runs over and what it calls the parts: shared by expressions and template directives.
pub(crate) struct Loop<'a> {
    /// Name of the key, where there is one.
    pub key: Option<&'a str>,
    /// Name of the value.
    pub value: &'a str,
    /// What is run over.
    pub collection: &'a Expression,
}

impl Loop<'_> {
    /// The pairs to run over, and whether the collection is sensitive; `Err` carries the unknown result.
    pub(crate) fn pairs(
        &self,
        scope: &Scope,
        source: &Source,
        diags: &mut Diagnostics,
    ) -> Result<(Vec<(Value, Value)>, bool), Value> {
        let collection = eval(self.collection, scope, source, diags);
        let span = source.span(self.collection.span());
        let sensitive = collection.is_sensitive();
        if collection.is_null() {
            diags.push(
                Diagnostic::error("Iteration over null value")
                    .detail("A null value cannot be run over: a list, set, tuple, map or object is needed.")
                    .at(span),
            );
            return Err(Value::dynamic());
        }
        if !collection.is_unknown() {
            if let Some(pairs) = collection.iterate() {
                return Ok((pairs, sensitive));
            }
        } else if !collection.ty().is_primitive() {
            return Err(Value::dynamic().with_sensitive(sensitive));
        }
        diags.push(
            Diagnostic::error("Iteration over non-iterable value")
                .detail(format!(
                    "A value of type {} cannot be run over: a list, set, tuple, map or object is needed.",
                    collection.ty().friendly()
                ))
                .at(span),
        );
        Err(Value::dynamic())
    }

    /// Counts a round, and reports when there were too many of all loops together.
    pub(crate) fn count(&self, scope: &Scope, source: &Source, diags: &mut Diagnostics) {
        if !scope.world().another_round() {
            let detail = "The loops of this template have run more often than a template has use for.";
            let span = source.span(self.collection.span());
            diags.push(Diagnostic::error("Too many iterations").detail(detail).at(span));
        }
    }

    /// The scope of one round.
    pub(crate) fn scope(&self, scope: &Scope, key: Value, value: Value) -> Scope {
        let key = self.key.map(|name| (Arc::from(name), key));
        // Where both have one name, the value wins.
        scope.child(key.into_iter().chain([(Arc::from(self.value), value)]))
    }
}

fn for_expr(f: &ForExpr, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Value {
    let looping = Loop {
        key: f.intro.key_var.as_ref().map(|k| k.as_str()),
        value: f.intro.value_var.as_str(),
        collection: &f.intro.collection_expr,
    };
    let (pairs, mut sensitive) = match looping.pairs(scope, source, diags) {
        Ok(found) => found,
        Err(unknown) => return unknown,
    };
    if let Some(cond) = &f.cond {
        // Once with nothing known: finds what is wrong with the condition even where there is nothing to run over.
        let inner = looping.scope(scope, Value::dynamic(), Value::dynamic());
        let mut early = Diagnostics::new();
        let value = eval(&cond.expr, &inner, source, &mut early);
        if !early.has_errors() {
            condition(&value, cond.expr.span(), source, &mut early);
        }
        if early.has_errors() {
            diags.extend(early);
            return Value::dynamic();
        }
    }
    let mut result = ForResult::new(f);
    for (key, value) in pairs {
        let mut round = Diagnostics::new();
        let inner = looping.scope(scope, key, value);
        looping.count(scope, source, &mut round);
        let included = match &f.cond {
            _ if round.has_errors() => None,
            Some(cond) => {
                let value = eval(&cond.expr, &inner, source, &mut round);
                sensitive |= value.is_sensitive();
                condition(&value, cond.expr.span(), source, &mut round)
            }
            None => Some(true),
        };
        match included {
            Some(true) => result.round(&inner, source, &mut round),
            Some(false) => {}
            None => result.known = false,
        }
        // The next rounds would say the same again.
        let failed = round.has_errors();
        diags.extend(round);
        if failed {
            result.known = false;
            break;
        }
    }
    bounded(result.finish(sensitive), f.span(), source, diags)
}

struct ForResult<'a> {
    f: &'a ForExpr,
    known: bool,
    sensitive: bool,
    list: Vec<Value>,
    map: BTreeMap<Arc<str>, Vec<Value>>,
}

impl<'a> ForResult<'a> {
    fn new(f: &'a ForExpr) -> Self {
        ForResult { f, known: true, sensitive: false, list: Vec::new(), map: BTreeMap::new() }
    }

    fn round(&mut self, scope: &Scope, source: &Source, diags: &mut Diagnostics) {
        let Some(key_expr) = &self.f.key_expr else {
            self.list.push(eval(&self.f.value_expr, scope, source, diags));
            return;
        };
        let invalid =
            |detail: String| Diagnostic::error("Invalid object key").detail(detail).at(source.span(key_expr.span()));
        let key = eval(key_expr, scope, source, diags);
        if key.is_null() {
            diags.push(invalid("The key of a \"for\" expression must not be null.".into()));
            return;
        }
        let key = match convert(&key, &Type::String) {
            Ok(key) => key,
            Err(e) => {
                diags.push(invalid(format!("The key of a \"for\" expression must be text: {e}.")));
                return;
            }
        };
        self.sensitive |= key.is_sensitive();
        let value = eval(&self.f.value_expr, scope, source, diags);
        let Some(text) = key.as_str() else {
            self.known = false;
            return;
        };
        let values = self.map.entry(Arc::from(text)).or_default();
        if !values.is_empty() && !self.f.grouping {
            let which = if key.is_sensitive() { "a sensitive key".to_owned() } else { format!("the key {text:?}") };
            diags.push(
                Diagnostic::error("Duplicate object key")
                    .detail(format!("Two elements of this \"for\" expression gave {which}."))
                    .at(source.span(key_expr.span()))
                    .hint("with ... after the value expression, the values of one key become a list"),
            );
            return;
        }
        values.push(value);
    }

    fn finish(self, sensitive: bool) -> Value {
        let sensitive = sensitive || self.sensitive;
        if !self.known {
            return Value::dynamic().with_sensitive(sensitive);
        }
        if self.f.key_expr.is_none() {
            return Value::tuple(self.list).with_sensitive(sensitive);
        }
        let grouping = self.f.grouping;
        let entries = self.map.into_iter().map(|(key, mut values)| {
            let value = if grouping { Value::tuple(values) } else { values.pop().unwrap_or_else(Value::dynamic) };
            (key, value)
        });
        Value::object(entries.collect()).with_sensitive(sensitive)
    }
}

/// The text of a value in a string template; `None` after an error. Unknown stays unknown.
pub(crate) fn template_text(
    value: &Value,
    range: Option<Range<usize>>,
    source: &Source,
    diags: &mut Diagnostics,
) -> Option<Value> {
    let invalid = |detail: String| {
        Diagnostic::error("Invalid template interpolation value").detail(detail).at(source.span(range.clone()))
    };
    if value.is_null() {
        diags.push(
            invalid("This is null, and null has no text.".into())
                .hint("coalesce(value, \"\") gives an empty text instead"),
        );
        return None;
    }
    if value.is_unknown() {
        return Some(Value::unknown(Type::String).with_sensitive(value.is_sensitive()));
    }
    match convert(value, &Type::String) {
        Ok(text) => Some(text),
        Err(_) => {
            let d = invalid(format!("A value of type {} has no text.", value.ty().friendly()));
            diags.push(match value.kind() {
                Kind::Elements(_) => d.hint("join(\", \", value) or jsonencode(value) makes text of it"),
                _ => d.hint("jsonencode(value) makes text of it"),
            });
            None
        }
    }
}
