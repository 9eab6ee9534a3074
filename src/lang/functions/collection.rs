//! Lists, tuples, maps and objects.

use super::args::{text, whole, whole_at};
use super::{Function, FunctionError, Outcome, Param, Takes, nullable, param, shallow, through};
use crate::convert::convert;
use crate::scope::World;
use crate::unify::unify;
use crate::value::{Kind, Type, Value};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use unicode_segmentation::UnicodeSegmentation as _;

const LIST: Param = param("list", Takes::Any);

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    shallow("alltrue", &[param("list", Takes::Bools)], Takes::Bool, |_, a| truth(&a[0], true)),
    shallow("anytrue", &[param("list", Takes::Bools)], Takes::Bool, |_, a| truth(&a[0], false)),
    shallow("chunklist", &[param("list", Takes::List), param("size", Takes::Number)], Takes::List, chunklist),
    through("coalesce", &[], Takes::Any, coalesce).variadic(nullable("vals", Takes::Any)),
    shallow("coalescelist", &[], Takes::Any, coalescelist).variadic(nullable("vals", Takes::Any)),
    shallow("compact", &[param("list", Takes::Strings)], Takes::Strings, compact),
    shallow("concat", &[], Takes::Any, concat).variadic(param("seqs", Takes::Any)),
    shallow("contains", &[LIST, param("value", Takes::Any)], Takes::Bool, contains),
    shallow("distinct", &[param("list", Takes::List)], Takes::List, distinct),
    shallow("element", &[LIST, param("index", Takes::Number)], Takes::Any, element),
    shallow("flatten", &[LIST], Takes::Any, flatten),
    shallow("index", &[LIST, param("value", Takes::Any)], Takes::Number, index),
    shallow("keys", &[param("inputMap", Takes::Any)], Takes::Any, keys),
    shallow("length", &[param("value", Takes::Any)], Takes::Number, length),
    shallow(
        "lookup",
        &[param("inputMap", Takes::Any), param("key", Takes::String), param("default", Takes::Any)],
        Takes::Any,
        lookup,
    ),
    shallow("merge", &[], Takes::Any, merge).variadic(nullable("maps", Takes::Any)),
    shallow("reverse", &[LIST], Takes::Any, reverse),
    shallow(
        "slice",
        &[LIST, param("start_index", Takes::Number), param("end_index", Takes::Number)],
        Takes::Any,
        slice,
    ),
    shallow("sort", &[param("list", Takes::Strings)], Takes::Strings, sort),
    shallow("values", &[param("mapping", Takes::Any)], Takes::Any, values),
    shallow("zipmap", &[param("keys", Takes::Strings), param("values", Takes::Any)], Takes::Any, zipmap),
];

fn is_sequence(ty: &Type) -> bool {
    matches!(ty, Type::List(_) | Type::Tuple(_))
}

fn elements(value: &Value) -> &[Value] {
    value.elements().unwrap_or_default()
}

/// A list or tuple, as `like` is, of some of its elements.
fn same_kind(like: &Value, values: Vec<Value>) -> Value {
    match like.ty() {
        Type::List(e) | Type::Set(e) => Value::list(e.as_ref().clone(), values),
        _ => Value::tuple(values),
    }
}

fn truth(list: &Value, all: bool) -> Outcome {
    let mut unknown = false;
    let mut sensitive = false;
    for value in elements(list) {
        sensitive |= value.is_sensitive();
        match value.kind() {
            Kind::Unknown => unknown = true,
            Kind::Bool(b) if *b != all => return Ok(Value::bool(*b).with_sensitive(sensitive)),
            // Null is not true; and it does not make anything true.
            Kind::Null if all => return Ok(Value::bool(false).with_sensitive(sensitive)),
            _ => {}
        }
    }
    Ok(if unknown { Value::unknown(Type::Bool) } else { Value::bool(all) }.with_sensitive(sensitive))
}

fn chunklist(_: &World, a: &[Value]) -> Outcome {
    let size = usize::try_from(whole(&a[1])?).map_err(|_| FunctionError::new("the size argument must be positive"))?;
    let ty = a[0].ty().clone();
    let list = elements(&a[0]);
    let size = if size == 0 { list.len().max(1) } else { size };
    Ok(Value::list(ty, list.chunks(size).map(|chunk| same_kind(&a[0], chunk.to_vec())).collect()))
}

fn coalesce(_: &World, a: &[Value]) -> Outcome {
    if a.is_empty() {
        return Err(FunctionError::new("at least one argument is required"));
    }
    let types: Vec<Type> = a.iter().map(|v| v.ty().clone()).collect();
    let ty = unify(&types).ok_or_else(|| FunctionError::new("all arguments must have the same type"))?;
    for value in a {
        let value = convert(value, &ty)?;
        if value.is_unknown() {
            return Ok(Value::unknown(ty));
        }
        let empty = value.is_null() || value.as_str() == Some("");
        if !empty {
            return Ok(value);
        }
    }
    Err(FunctionError::new("no non-null, non-empty-string arguments"))
}

fn coalescelist(_: &World, a: &[Value]) -> Outcome {
    if a.is_empty() {
        return Err(FunctionError::new("at least one argument is required"));
    }
    if a.iter().any(|v| !is_sequence(v.ty())) {
        return Err(FunctionError::new("coalescelist arguments must be lists or tuples"));
    }
    let first = a.iter().find(|v| !elements(v).is_empty());
    first.cloned().ok_or_else(|| FunctionError::new("no non-null arguments"))
}

fn compact(_: &World, a: &[Value]) -> Outcome {
    if !a[0].is_wholly_known() {
        return Ok(Value::unknown(Type::list(Type::String)));
    }
    let kept = elements(&a[0]).iter().filter(|v| v.as_str().is_some_and(|s| !s.is_empty())).cloned();
    Ok(Value::list(Type::String, kept.collect()))
}

fn concat(_: &World, a: &[Value]) -> Outcome {
    if a.is_empty() {
        return Err(FunctionError::new("at least one argument is required"));
    }
    if let Some(i) = a.iter().position(|v| !is_sequence(v.ty())) {
        return Err(FunctionError::at(i, "all arguments must be lists or tuples"));
    }
    let all = || a.iter().flat_map(|list| elements(list).iter().cloned());
    if a.iter().all(|v| matches!(v.ty(), Type::List(_))) {
        let types: Vec<Type> = a.iter().map(|v| v.ty().clone()).collect();
        if let Some(Type::List(element)) = unify(&types) {
            let values = all().map(|v| convert(&v, &element)).collect::<Result<Vec<_>, _>>()?;
            return Ok(Value::list(element.as_ref().clone(), values));
        }
    }
    Ok(Value::tuple(all().collect()))
}

/// The first element equal to `wanted`, without any conversion; `Err` while an unknown one may be.
fn position(list: &[Value], wanted: &Value) -> Result<Option<usize>, Value> {
    for (i, value) in list.iter().enumerate() {
        match value.equals(wanted) {
            Some(true) => return Ok(Some(i)),
            Some(false) => {}
            None => return Err(Value::dynamic()),
        }
    }
    Ok(None)
}

fn contains(_: &World, a: &[Value]) -> Outcome {
    if !is_sequence(a[0].ty()) && !matches!(a[0].ty(), Type::Set(_)) {
        return Err(FunctionError::new("argument must be list, tuple, or set"));
    }
    let sensitive = a.iter().any(Value::contains_sensitive);
    Ok(match position(elements(&a[0]), &a[1]) {
        Ok(found) => Value::bool(found.is_some()),
        Err(_) => Value::unknown(Type::Bool),
    }
    .with_sensitive(sensitive))
}

fn distinct(_: &World, a: &[Value]) -> Outcome {
    if !a[0].is_wholly_known() {
        return Ok(Value::unknown(a[0].ty().clone()));
    }
    let mut seen = HashSet::new();
    let kept = elements(&a[0]).iter().filter(|v| seen.insert(v.set_key())).cloned().collect();
    Ok(same_kind(&a[0], kept))
}

fn element(_: &World, a: &[Value]) -> Outcome {
    if !is_sequence(a[0].ty()) {
        return Err(FunctionError::new(format!("cannot read elements from {}", a[0].ty().friendly())));
    }
    let list = elements(&a[0]);
    let index = usize::try_from(whole(&a[1])?)
        .map_err(|_| FunctionError::new("cannot use element function with a negative index"))?;
    if list.is_empty() {
        return Err(FunctionError::new("cannot use element function with an empty list"));
    }
    Ok(list[index % list.len()].clone())
}

fn flatten(_: &World, a: &[Value]) -> Outcome {
    if !is_sequence(a[0].ty()) && !matches!(a[0].ty(), Type::Set(_)) {
        return Err(FunctionError::new("can only flatten lists, sets and tuples"));
    }
    let mut flat = Flat { values: Vec::new(), known: true, sensitive: false };
    flat.add(&a[0]);
    let value = if flat.known { Value::tuple(flat.values) } else { Value::dynamic() };
    Ok(value.with_sensitive(flat.sensitive))
}

struct Flat {
    values: Vec<Value>,
    known: bool,
    sensitive: bool,
}

impl Flat {
    fn add(&mut self, list: &Value) {
        for value in elements(list) {
            let nested = is_sequence(value.ty()) || matches!(value.ty(), Type::Set(_));
            if nested && value.elements().is_some() {
                self.sensitive |= value.is_sensitive();
                self.add(value);
            } else {
                // How many elements an unknown list has is unknown too; and an unknown value may be a list.
                self.known &= !(value.is_unknown() && (nested || *value.ty() == Type::Dynamic));
                self.values.push(value.clone());
            }
        }
    }
}

fn index(_: &World, a: &[Value]) -> Outcome {
    if !is_sequence(a[0].ty()) {
        return Err(FunctionError::new("argument must be a list or tuple"));
    }
    let list = elements(&a[0]);
    if list.is_empty() {
        return Err(FunctionError::new("cannot search an empty list"));
    }
    let sensitive = a.iter().any(Value::contains_sensitive);
    match position(list, &a[1]) {
        Ok(Some(i)) => Ok(Value::int(i64::try_from(i).unwrap_or(i64::MAX)).with_sensitive(sensitive)),
        Ok(None) => Err(FunctionError::new("item not found")),
        Err(_) => Ok(Value::unknown(Type::Number).with_sensitive(sensitive)),
    }
}

fn keys(_: &World, a: &[Value]) -> Outcome {
    let Some(entries) = a[0].entries() else {
        return Err(FunctionError::at(0, "must have map or object type"));
    };
    let keys = entries.keys().map(Value::string).collect();
    Ok(if matches!(a[0].ty(), Type::Map(_)) { Value::list(Type::String, keys) } else { Value::tuple(keys) })
}

fn values(_: &World, a: &[Value]) -> Outcome {
    let Some(entries) = a[0].entries() else {
        return Err(FunctionError::new("values() requires a map as the first argument"));
    };
    let values = entries.values().cloned().collect();
    Ok(match a[0].ty() {
        Type::Map(e) => Value::list(e.as_ref().clone(), values),
        _ => Value::tuple(values),
    })
}

fn length(_: &World, a: &[Value]) -> Outcome {
    let length = match a[0].kind() {
        Kind::String(s) => Some(s.graphemes(true).count()),
        _ => a[0].len(),
    };
    let length = length.and_then(|n| i64::try_from(n).ok());
    length
        .map(Value::int)
        .ok_or_else(|| FunctionError::new("argument must be a string, a collection type, or a structural type"))
}

fn lookup(_: &World, a: &[Value]) -> Outcome {
    let key = text(&a[1]);
    match (a[0].ty(), a[0].entries()) {
        (Type::Map(element), Some(entries)) => {
            let default = convert(&a[2], element).map_err(|e| {
                FunctionError::at(2, format!("the default value must have the map's element type: {e}"))
            })?;
            Ok(entries.get(key).cloned().unwrap_or(default))
        }
        (Type::Object(_), Some(entries)) => Ok(entries.get(key).unwrap_or(&a[2]).clone()),
        _ => Err(FunctionError::at(0, "lookup() requires a map as the first argument")),
    }
}

fn merge(_: &World, a: &[Value]) -> Outcome {
    let mut merged: BTreeMap<Arc<str>, Value> = BTreeMap::new();
    for value in a {
        let mergeable = matches!(value.ty(), Type::Map(_) | Type::Object(_) | Type::Dynamic);
        match value.entries() {
            Some(entries) => merged.extend(entries.iter().map(|(k, v)| (k.clone(), v.clone()))),
            None if value.is_null() && mergeable => {}
            None => {
                return Err(FunctionError::new(format!(
                    "arguments must be maps or objects, got {}",
                    value.ty().friendly()
                )));
            }
        }
    }
    match a.first().map(Value::ty) {
        Some(Type::Map(e)) if a.iter().all(|v| v.ty() == a[0].ty()) => Ok(Value::map(e.as_ref().clone(), merged)),
        _ => Ok(Value::object(merged)),
    }
}

fn reverse(_: &World, a: &[Value]) -> Outcome {
    if !is_sequence(a[0].ty()) && !matches!(a[0].ty(), Type::Set(_)) {
        return Err(FunctionError::at(
            0,
            format!("can only reverse list or tuple values, not {}", a[0].ty().friendly()),
        ));
    }
    Ok(same_kind(&a[0], elements(&a[0]).iter().rev().cloned().collect()))
}

fn slice(_: &World, a: &[Value]) -> Outcome {
    if !is_sequence(a[0].ty()) {
        return Err(FunctionError::at(0, "must be a list or tuple value"));
    }
    let list = elements(&a[0]);
    let bound = |i: usize| -> Result<usize, FunctionError> {
        let at = usize::try_from(whole_at(&a[i], i)?).ok().filter(|n| *n <= list.len());
        at.ok_or_else(|| FunctionError::at(i, format!("must be between 0 and the length of the list, {}", list.len())))
    };
    let (start, end) = (bound(1)?, bound(2)?);
    if start > end {
        return Err(FunctionError::at(1, "start index must not be greater than end index"));
    }
    Ok(same_kind(&a[0], list[start..end].to_vec()))
}

fn sort(_: &World, a: &[Value]) -> Outcome {
    if !a[0].is_wholly_known() {
        return Ok(Value::unknown(Type::list(Type::String)));
    }
    let mut list = elements(&a[0]).to_vec();
    if let Some(i) = list.iter().position(Value::is_null) {
        return Err(FunctionError::new(format!("given list element {i} is null; a null string cannot be sorted")));
    }
    list.sort_by(|x, y| text(x).cmp(text(y)));
    Ok(Value::list(Type::String, list))
}

fn zipmap(_: &World, a: &[Value]) -> Outcome {
    if !is_sequence(a[1].ty()) {
        return Err(FunctionError::new("values argument must be a list or tuple value"));
    }
    let (keys, values) = (elements(&a[0]), elements(&a[1]));
    if keys.len() != values.len() {
        return Err(FunctionError::new(format!(
            "number of keys ({}) does not match number of values ({})",
            keys.len(),
            values.len()
        )));
    }
    let mut sensitive = false;
    let mut entries = BTreeMap::new();
    for (key, value) in keys.iter().zip(values) {
        sensitive |= key.is_sensitive();
        if key.is_unknown() {
            return Ok(Value::dynamic().with_sensitive(sensitive));
        }
        let key = key.as_str().ok_or_else(|| FunctionError::new("keys must not be null"))?;
        entries.insert(Arc::from(key), value.clone());
    }
    Ok(match a[1].ty() {
        Type::List(e) => Value::map(e.as_ref().clone(), entries),
        _ => Value::object(entries),
    }
    .with_sensitive(sensitive))
}
