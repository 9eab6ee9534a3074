//! `.name`, `[key]`, `.0`, and the splats `[*]` and `.*`.

use crate::convert::convert;
use crate::diag::{Diagnostic, Diagnostics, Source, Span, name_hint, suggest};
use crate::eval::eval;
use crate::scope::Scope;
use crate::unify::unify;
use crate::value::{Type, Value};
use hcl::edit::Decorated;
use hcl::edit::Span as _;
use hcl::edit::expr::{Expression, Traversal, TraversalOperator};

/// Evaluates a reference with all of its steps.
pub(crate) fn traversal(t: &Traversal, scope: &Scope, source: &Source, diags: &mut Diagnostics) -> Value {
    let value = eval(&t.expr, scope, source, diags);
    // What `var` or `local` has not is said by that name.
    if let (Expression::Variable(root), Some(first)) = (&t.expr, t.operators.first())
        && let TraversalOperator::GetAttr(name) = first.value()
        && let Type::Object(object) = value.ty()
        && !value.is_null()
        && !object.attributes.contains_key(name.as_str())
    {
        let span = source.span(first.span().or_else(|| first.value().span()));
        let d = Diagnostic::error(UNSUPPORTED)
            .detail(format!("{} has no attribute named {:?} here.", root.as_str(), name.as_str()))
            .at(span);
        let known: Vec<&str> = object.attributes.keys().map(AsRef::as_ref).collect();
        diags.push(match (name_hint(name.as_str(), &known), root.as_str()) {
            (Some(hint), _) => d.hint(hint),
            (None, "var") => d.hint(format!("declare it: variable {:?} {{ … }}", name.as_str())),
            (None, "local") => d.hint(format!("declare it: locals {{ {} = … }}", name.as_str())),
            (None, _) => d,
        });
        return Value::dynamic();
    }
    steps(value, &t.operators, scope, source, diags)
}

const UNSUPPORTED: &str = "Unsupported attribute";

fn steps(
    mut value: Value,
    operators: &[Decorated<TraversalOperator>],
    scope: &Scope,
    source: &Source,
    diags: &mut Diagnostics,
) -> Value {
    let mut rest = operators;
    while let Some((operator, after)) = rest.split_first() {
        let span = source.span(operator.span().or_else(|| operator.value().span()));
        rest = after;
        let result = match operator.value() {
            TraversalOperator::GetAttr(name) => attribute(&value, name.as_str(), &span),
            TraversalOperator::LegacyIndex(i) => index(
                &value,
                &crate::number::Number::parse(&i.value().to_string()).map_or_else(Value::dynamic, Value::number),
                &span,
            ),
            TraversalOperator::Index(key) => {
                let before = diags.len();
                let key = eval(key, scope, source, diags);
                if diags.len() > before && key.is_unknown() {
                    value = Value::dynamic();
                    continue;
                }
                index(&value, &key, &span)
            }
            TraversalOperator::FullSplat(_) => {
                value = splat(&value, after, &span, scope, source, diags);
                rest = &[];
                continue;
            }
            TraversalOperator::AttrSplat(_) => {
                // Only names and legacy indexes are taken per element; an index in brackets is of the result.
                let each = after
                    .iter()
                    .take_while(|o| {
                        matches!(o.value(), TraversalOperator::GetAttr(_) | TraversalOperator::LegacyIndex(_))
                    })
                    .count();
                value = splat(&value, &after[..each], &span, scope, source, diags);
                rest = &after[each..];
                continue;
            }
        };
        value = match result {
            Ok(v) => v,
            Err(d) => {
                diags.push(*d);
                Value::dynamic()
            }
        };
    }
    value
}

type Accessed = Result<Value, Box<Diagnostic>>;

fn fail(summary: &str, detail: impl Into<String>, span: &Span) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(summary).detail(detail).at(span.clone()))
}

/// `value.name`
///
/// # Errors
/// A diagnostic at `span`: there is no such attribute.
pub fn attribute(value: &Value, name: &str, span: &Span) -> Accessed {
    let tainted = |v: Value| Ok(v.tainted(value.is_sensitive()));
    if value.is_null() {
        return Err(fail(
            "Attempt to get attribute from null value",
            format!("This value is null, so it has no attribute {name:?}."),
            span,
        ));
    }
    match value.ty() {
        Type::Dynamic => tainted(Value::dynamic()),
        Type::Object(o) => {
            let Some(ty) = o.attributes.get(name) else {
                let d = fail(UNSUPPORTED, format!("This object does not have an attribute named {name:?}."), span);
                return Err(match suggest(name, o.attributes.keys().map(AsRef::as_ref)) {
                    Some(other) => Box::new(d.hint(format!("did you mean {other:?}?"))),
                    None => d,
                });
            };
            let known = value.entries().and_then(|e| e.get(name)).cloned();
            tainted(known.unwrap_or_else(|| Value::unknown(ty.clone())))
        }
        Type::Map(element) => match value.entries() {
            None => tainted(Value::unknown(element.as_ref().clone())),
            Some(entries) => match entries.get(name) {
                Some(v) => tainted(v.clone()),
                None => {
                    Err(fail("Missing map element", format!("This map has no element with the key {name:?}."), span))
                }
            },
        },
        Type::List(e) | Type::Set(e) if matches!(e.as_ref(), Type::Object(_)) => {
            let d = fail(UNSUPPORTED, "This is a collection of objects, not one object.", span);
            Err(Box::new(d.hint(format!("[*].{name} takes the attribute of every element"))))
        }
        Type::Tuple(types) if types.iter().any(|t| matches!(t, Type::Object(_))) => {
            let d = fail(UNSUPPORTED, "This is a list of objects, not one object.", span);
            Err(Box::new(d.hint(format!("[*].{name} takes the attribute of every element"))))
        }
        ty if ty.is_primitive() => {
            Err(fail(UNSUPPORTED, format!("A value of type {} has no attributes.", ty.friendly()), span))
        }
        _ => Err(fail(UNSUPPORTED, "This value does not have any attributes.", span)),
    }
}

/// `value[key]`
///
/// # Errors
/// A diagnostic at `span`: there is no such element.
pub fn index(value: &Value, key: &Value, span: &Span) -> Accessed {
    let invalid = |detail: String| Err(fail("Invalid index", detail, span));
    let sensitive = value.is_sensitive() || key.is_sensitive();
    if value.is_null() {
        return Err(fail("Attempt to index null value", "This value is null, so it has no elements.", span));
    }
    if key.is_null() {
        return invalid("Null identifies no element.".into());
    }
    if *value.ty() == Type::Dynamic || *key.ty() == Type::Dynamic {
        return Ok(Value::dynamic().tainted(sensitive));
    }
    let want = match value.ty() {
        Type::List(_) | Type::Tuple(_) => Type::Number,
        Type::Map(_) | Type::Object(_) => Type::String,
        Type::Set(_) => {
            return invalid("The elements of a set have neither an index nor a key; a list has.".into());
        }
        _ => {
            return invalid(format!("A value of type {} has no elements.", value.ty().friendly()));
        }
    };
    let key = match convert(key, &want) {
        Ok(key) => key,
        Err(e) => return invalid(format!("This key identifies no element: {e}.")),
    };
    let element_type = || value.ty().element().cloned().unwrap_or(Type::Dynamic);
    if key.is_unknown() {
        return Ok(Value::unknown(element_type()).tainted(sensitive));
    }
    if want == Type::String {
        let name = key.as_str().unwrap_or_default();
        if let (Type::Object(o), None) = (value.ty(), value.entries()) {
            return match o.attributes.get(name) {
                Some(ty) => Ok(Value::unknown(ty.clone()).tainted(sensitive)),
                None => invalid("This key identifies no attribute of the object.".into()),
            };
        }
        return match value.entries() {
            None => Ok(Value::unknown(element_type()).tainted(sensitive)),
            Some(entries) => match entries.get(name) {
                Some(v) => Ok(v.clone().tainted(sensitive)),
                None if key.is_sensitive() => invalid("This key identifies no element.".into()),
                None => {
                    let d = fail("Invalid index", format!("There is no element with the key {name:?}."), span);
                    Err(match suggest(name, entries.keys().map(AsRef::as_ref)) {
                        Some(other) => Box::new(d.hint(format!("did you mean {other:?}?"))),
                        None => d,
                    })
                }
            },
        };
    }
    let number = key.as_number();
    if number.is_some_and(|n| !n.is_integer()) {
        return invalid("The index of a sequence is a whole number.".into());
    }
    if number.is_some_and(|n| n.is_negative() && !n.is_zero()) {
        return invalid("The index of a sequence is not negative; its first element is 0.".into());
    }
    let at = number.and_then(crate::number::Number::as_i64).and_then(|i| usize::try_from(i).ok());
    if let (Type::Tuple(types), None) = (value.ty(), value.elements()) {
        return match at.and_then(|i| types.get(i)) {
            Some(ty) => Ok(Value::unknown(ty.clone()).tainted(sensitive)),
            None => invalid(format!("The tuple has {} elements.", types.len())),
        };
    }
    let Some(elements) = value.elements() else {
        return Ok(Value::unknown(element_type()).tainted(sensitive));
    };
    match at.and_then(|i| elements.get(i)) {
        Some(v) => Ok(v.clone().tainted(sensitive)),
        None if elements.is_empty() => invalid("There are no elements at all.".into()),
        None => invalid(format!("The last of the elements has the index {}.", elements.len() - 1)),
    }
}

fn splat(
    value: &Value,
    each: &[Decorated<TraversalOperator>],
    span: &Span,
    scope: &Scope,
    source: &Source,
    diags: &mut Diagnostics,
) -> Value {
    let sensitive = value.is_sensitive();
    let sequence = matches!(value.ty(), Type::Tuple(_) | Type::List(_) | Type::Set(_));
    if value.is_null() {
        if !sequence {
            return Value::tuple(Vec::new()).with_sensitive(sensitive);
        }
        diags.push(*fail("Splat of null value", "This value is null; of nothing there are no elements.", span));
        return Value::dynamic();
    }
    if *value.ty() == Type::Dynamic {
        return Value::dynamic().with_sensitive(sensitive);
    }
    if value.is_unknown() {
        // Tries the steps on an unknown element, for the errors and for the type.
        let element = if sequence { value.ty().element().cloned() } else { Some(value.ty().clone()) };
        let result = element.map(|e| steps(Value::unknown(e), each, scope, source, diags));
        return match (value.ty(), result) {
            (Type::List(_) | Type::Set(_), Some(v)) if *v.ty() != Type::Dynamic => {
                Value::unknown(Type::list(v.ty().clone()))
            }
            _ => Value::dynamic(),
        }
        .with_sensitive(sensitive);
    }
    let single = [value.clone().with_sensitive(false)];
    let elements = if sequence { value.elements().unwrap_or_default() } else { &single };
    let mut results = Vec::with_capacity(elements.len());
    let before = diags.len();
    for element in elements {
        results.push(steps(element.clone(), each, scope, source, diags));
        if diags.len() > before {
            return Value::dynamic().with_sensitive(sensitive);
        }
    }
    if !matches!(value.ty(), Type::List(_) | Type::Set(_)) {
        return Value::tuple(results).with_sensitive(sensitive);
    }
    if results.is_empty() {
        let mut ignored = Diagnostics::new();
        let element = Value::unknown(value.ty().element().cloned().unwrap_or(Type::Dynamic));
        let ty = steps(element, each, scope, source, &mut ignored).ty().clone();
        return Value::list(ty, results).with_sensitive(sensitive);
    }
    let ty = results[0].ty().clone();
    if results.iter().all(|r| *r.ty() == ty) {
        return Value::list(ty, results).with_sensitive(sensitive);
    }
    let types: Vec<Type> = results.iter().map(|r| r.ty().clone()).collect();
    let detail = match unify(&types) {
        Some(_) => "The results differ in type, but those of a list must be of one type.",
        None => "The results have no type in common.",
    };
    diags.push(*fail("Invalid splat result", detail, span));
    Value::dynamic().with_sensitive(sensitive)
}
