//! Sets.

use super::{Function, FunctionError, Outcome, Takes, deep, param, shallow};
use crate::convert::convert;
use crate::scope::World;
use crate::unify::unify;
use crate::value::{Type, Value};
use std::collections::HashSet;

/// More combinations than this would fill the memory.
const MAX_PRODUCT: usize = 1_000_000;

/// Their table.
pub(super) const FUNCTIONS: &[Function] = &[
    deep("setintersection", &[param("first_set", Takes::Set)], Takes::Set, |_, a| {
        combine(a, |sets, key| sets.iter().all(|set| set.contains(key)))
    })
    .variadic(param("other_sets", Takes::Set)),
    deep("setunion", &[param("first_set", Takes::Set)], Takes::Set, |_, a| combine(a, |_, _| true))
        .variadic(param("other_sets", Takes::Set)),
    shallow("setproduct", &[], Takes::Any, product).variadic(param("sets", Takes::Any)),
];

/// All elements of all sets that `keep` keeps, as one set of their common type.
fn combine(sets: &[Value], keep: fn(&[HashSet<String>], &str) -> bool) -> Outcome {
    // Nothing is known of the elements of an empty set of anything: it goes with every other set.
    let types: Vec<Type> = sets
        .iter()
        .filter(|s| !(s.len() == Some(0) && s.ty().element() == Some(&Type::Dynamic)))
        .filter_map(|s| s.ty().element().cloned())
        .collect();
    if types.is_empty() {
        return Ok(Value::set(Type::Dynamic, Vec::new()));
    }
    let element =
        unify(&types).ok_or_else(|| FunctionError::new("given sets must all have compatible element types"))?;
    let want = Type::set(element.clone());
    let sets = sets.iter().map(|s| convert(s, &want)).collect::<Result<Vec<_>, _>>()?;
    let elements = |s: &'_ Value| s.elements().unwrap_or_default().to_vec();
    let keys: Vec<HashSet<String>> = sets.iter().map(|s| elements(s).iter().map(Value::set_key).collect()).collect();
    let values = sets.iter().flat_map(elements).filter(|v| keep(&keys, &v.set_key()));
    Ok(Value::set(element, values.collect()))
}

fn product(_: &World, a: &[Value]) -> Outcome {
    if a.len() < 2 {
        return Err(FunctionError::new("at least two arguments are required"));
    }
    let mut element_types = Vec::with_capacity(a.len());
    let mut lists: Vec<Vec<Value>> = Vec::with_capacity(a.len());
    let mut total = 1usize;
    for (i, value) in a.iter().enumerate() {
        let element = match value.ty() {
            Type::List(e) | Type::Set(e) => e.as_ref().clone(),
            Type::Tuple(types) if types.is_empty() => Type::Dynamic,
            Type::Tuple(types) => {
                unify(types).ok_or_else(|| FunctionError::at(i, "all elements must be of the same type"))?
            }
            _ => return Err(FunctionError::at(i, "a set or a list is required")),
        };
        let list = value.elements().unwrap_or_default();
        total = total.saturating_mul(list.len());
        let converted = list.iter().map(|v| convert(v, &element)).collect::<Result<Vec<_>, _>>();
        lists.push(converted.map_err(|e| FunctionError::at(i, e.to_string()))?);
        element_types.push(element);
    }
    if total > MAX_PRODUCT {
        return Err(FunctionError::new(format!("the product has more than {MAX_PRODUCT} elements")));
    }
    let mut rows: Vec<Vec<Value>> = if total == 0 { Vec::new() } else { vec![Vec::new()] };
    for list in lists.iter().filter(|_| total > 0) {
        rows =
            rows.iter().flat_map(|row| list.iter().map(|v| row.iter().cloned().chain([v.clone()]).collect())).collect();
    }
    let row_type = Type::tuple(element_types);
    let rows = rows.into_iter().map(Value::tuple).collect();
    // Input that has an order gives output that has one.
    let ordered = !a.iter().any(|v| matches!(v.ty(), Type::Set(_)));
    Ok(if ordered { Value::list(row_type, rows) } else { Value::set(row_type, rows) })
}
