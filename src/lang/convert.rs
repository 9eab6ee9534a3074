//! From one type to another: what an argument, an operand, a variable or an option of a component goes through.

use crate::unify::{Fuel, unify, unify_within};
use crate::value::{Kind, Number, ObjectType, Type, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Where in a value something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// `.name`
    Attribute(Arc<str>),
    /// `[3]`
    Index(usize),
    /// `["key"]`
    Key(Arc<str>),
}

/// Why a value is not of the wanted type, and which part of it is at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvertError {
    /// From the outside in; empty when the value itself is at fault.
    pub path: Vec<PathStep>,
    /// A phrase without a period: `string required`.
    pub message: String,
}

impl ConvertError {
    fn new(message: impl Into<String>) -> Self {
        ConvertError { path: Vec::new(), message: message.into() }
    }

    fn within(mut self, step: PathStep) -> Self {
        self.path.insert(0, step);
        self
    }
}

impl fmt::Display for ConvertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.path {
            match step {
                PathStep::Attribute(name) => write!(f, ".{name}")?,
                PathStep::Index(i) => write!(f, "[{i}]")?,
                PathStep::Key(key) => write!(f, "[{key:?}]")?,
            }
        }
        if !self.path.is_empty() {
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConvertError {}

/// The same value as a value of type `want`.
///
/// Text becomes number or bool where it reads as one, numbers and bools become text, tuples lists or sets, objects maps
/// or narrower objects. Null stays null, unknown stays unknown, sensitive stays sensitive.
///
/// # Errors
/// Which part of the value does not fit, and what was required there.
pub fn convert(value: &Value, want: &Type) -> Result<Value, ConvertError> {
    if *want == Type::Dynamic || (value.ty() == want && !has_optional(want)) {
        return Ok(value.clone());
    }
    if *value.ty() == Type::Dynamic && !value.is_null() && !value.is_unknown() {
        return Err(mismatch(value.ty(), want));
    }
    // What has no parts to fail at is refused by its type.
    let bare = value.is_null() || value.is_unknown() || (value.ty().is_collection() && value.len() == Some(0));
    if bare && *value.ty() != Type::Dynamic && !can_convert(value.ty(), want) {
        return Err(mismatch(value.ty(), want));
    }
    if value.is_null() || value.is_unknown() {
        let ty = replace_dynamic(value.ty(), &want.without_optional());
        return Ok(value.clone().retyped(ty));
    }
    let converted = match (want, value.ty()) {
        (Type::Bool | Type::Number | Type::String, _) => primitive(value, want)?,
        (Type::List(e) | Type::Set(e), Type::List(_) | Type::Set(_) | Type::Tuple(_)) => sequence(value, e, want)?,
        (Type::Map(e), Type::Map(_) | Type::Object(_)) => map(value, e)?,
        (Type::Tuple(types), Type::Tuple(given)) if types.len() == given.len() => tuple(value, types)?,
        (Type::Tuple(types), Type::Tuple(given)) => {
            let (want, given) = (types.len(), given.len());
            return Err(ConvertError::new(format!("tuple of {want} elements required, but this one has {given}")));
        }
        (Type::Object(o), Type::Object(_) | Type::Map(_)) => object(value, o)?,
        (want, have) => return Err(mismatch(have, want)),
    };
    Ok(converted.tainted(value.is_sensitive()))
}

fn has_optional(ty: &Type) -> bool {
    match ty {
        Type::Dynamic | Type::Bool | Type::Number | Type::String => false,
        Type::List(e) | Type::Set(e) | Type::Map(e) => has_optional(e),
        Type::Tuple(t) => t.iter().any(has_optional),
        Type::Object(o) => !o.optional.is_empty() || o.attributes.values().any(has_optional),
    }
}

fn primitive(value: &Value, want: &Type) -> Result<Value, ConvertError> {
    match (value.kind(), want) {
        (Kind::Bool(b), Type::String) => Ok(Value::string(b.to_string())),
        (Kind::Number(n), Type::String) => Ok(Value::string(n.to_string())),
        (Kind::String(s), Type::Number) => {
            Number::parse(s).map(Value::number).ok_or_else(|| ConvertError::new("a number is required"))
        }
        (Kind::String(s), Type::Bool) => match s.as_ref() {
            "true" | "1" => Ok(Value::bool(true)),
            "false" | "0" => Ok(Value::bool(false)),
            "True" | "TRUE" => {
                Err(ConvertError::new("a bool is required; to convert from string, use lowercase \"true\""))
            }
            "False" | "FALSE" => {
                Err(ConvertError::new("a bool is required; to convert from string, use lowercase \"false\""))
            }
            _ => Err(ConvertError::new("a bool is required")),
        },
        _ => Err(mismatch(value.ty(), want)),
    }
}

fn sequence(value: &Value, element: &Type, want: &Type) -> Result<Value, ConvertError> {
    let given = value.elements().unwrap_or_default();
    let make = |element: Type, values: Vec<Value>| match want {
        Type::Set(_) => Value::set(element, values),
        _ => Value::list(element, values),
    };
    if given.is_empty() {
        // Of an empty list(T) the element type is known even where `any` is wanted.
        let element = match (element, value.ty().element()) {
            (Type::Dynamic, Some(t)) => t.clone(),
            _ => element.without_optional(),
        };
        return Ok(make(element, Vec::new()));
    }
    let element = match value.ty() {
        Type::Tuple(types) if *element == Type::Dynamic => common_element(types, &Fuel::default())?,
        _ => element.clone(),
    };
    let mut values = Vec::with_capacity(given.len());
    for (i, v) in given.iter().enumerate() {
        values.push(convert(v, &element).map_err(|e| e.within(PathStep::Index(i)))?);
    }
    let (element, values) = same_type(values)?;
    Ok(make(element, values))
}

/// The one type of the elements of a tuple that is to become a list of `any`.
fn common_element(types: &[Type], fuel: &Fuel) -> Result<Type, ConvertError> {
    let all_same = || ConvertError::new("all list elements must have the same type");
    let element = unify_within(types, fuel).ok_or_else(all_same)?;
    if element == Type::Dynamic && types.iter().any(|t| *t != Type::Dynamic) {
        return Err(all_same());
    }
    Ok(element)
}

/// Elements that were converted to a type with `any` in it may still differ: brings them to one type.
fn same_type(values: Vec<Value>) -> Result<(Type, Vec<Value>), ConvertError> {
    let Some(first) = values.first().map(|v| v.ty().clone()) else {
        return Ok((Type::Dynamic, values));
    };
    if values.iter().all(|v| *v.ty() == first) {
        return Ok((first, values));
    }
    let types: Vec<Type> = values.iter().map(|v| v.ty().clone()).collect();
    let ty = unify(&types).ok_or_else(|| ConvertError::new("cannot find a common base type for all elements"))?;
    let values = values.iter().map(|v| convert(v, &ty)).collect::<Result<Vec<_>, _>>()?;
    if values.iter().any(|v| *v.ty() != ty) {
        return Err(ConvertError::new("element types must all match"));
    }
    Ok((ty, values))
}

fn map(value: &Value, element: &Type) -> Result<Value, ConvertError> {
    let Some(given) = value.entries().filter(|e| !e.is_empty()) else {
        let element = match (element, value.ty().element()) {
            (Type::Dynamic, Some(t)) => t.clone(),
            _ => element.without_optional(),
        };
        return Ok(Value::map(element, BTreeMap::new()));
    };
    let element = match value.ty() {
        Type::Object(o) if *element == Type::Dynamic => {
            let types: Vec<Type> = o.attributes.values().cloned().collect();
            unify(&types).ok_or_else(|| ConvertError::new("all map elements must have the same type"))?
        }
        _ => element.clone(),
    };
    let mut values = Vec::with_capacity(given.len());
    for (key, v) in given {
        values.push(convert(v, &element).map_err(|e| e.within(PathStep::Key(key.clone())))?);
    }
    let (element, values) = same_type(values)?;
    Ok(Value::map(element, given.keys().cloned().zip(values).collect()))
}

fn tuple(value: &Value, types: &[Type]) -> Result<Value, ConvertError> {
    let given = value.elements().unwrap_or_default();
    let mut values = Vec::with_capacity(given.len());
    for (i, (v, ty)) in given.iter().zip(types).enumerate() {
        values.push(convert(v, ty).map_err(|e| e.within(PathStep::Index(i)))?);
    }
    Ok(Value::tuple(values))
}

fn object(value: &Value, want: &ObjectType) -> Result<Value, ConvertError> {
    let empty = BTreeMap::new();
    let given = value.entries().unwrap_or(&empty);
    let missing: Vec<String> = want
        .attributes
        .keys()
        .filter(|k| !given.contains_key(*k) && !want.optional.contains(*k))
        .map(|k| format!("{k:?}"))
        .collect();
    match missing.as_slice() {
        [] => {}
        [one] => return Err(ConvertError::new(format!("attribute {one} is required"))),
        several => {
            return Err(ConvertError::new(format!("attributes {} are required", several.join(", "))));
        }
    }
    let mut entries = BTreeMap::new();
    for (name, ty) in &want.attributes {
        let v = match given.get(name) {
            Some(v) => convert(v, ty).map_err(|e| e.within(PathStep::Attribute(name.clone())))?,
            None => Value::null(ty.without_optional()),
        };
        entries.insert(name.clone(), v);
    }
    Ok(Value::object(entries))
}

/// Whether values of type `have` can be converted to `want` at all (a given value may still fail: `"a"` as a number).
pub fn can_convert(have: &Type, want: &Type) -> bool {
    can_convert_within(have, want, &Fuel::default())
}

/// [`can_convert`] as part of a larger question.
pub(crate) fn can_convert_within(have: &Type, want: &Type, fuel: &Fuel) -> bool {
    if fuel.step().is_none() {
        return false;
    }
    match (have, want) {
        (have, want) if have == want => true,
        (_, Type::Dynamic) | (Type::Dynamic, _) => true,
        (Type::Bool | Type::Number, Type::String) | (Type::String, Type::Bool | Type::Number) => true,
        (Type::List(h) | Type::Set(h), Type::List(w) | Type::Set(w)) | (Type::Map(h), Type::Map(w)) => {
            can_convert_within(h, w, fuel)
        }
        (Type::Tuple(types), Type::List(w) | Type::Set(w)) => {
            if **w == Type::Dynamic && !types.is_empty() {
                return common_element(types, fuel).is_ok();
            }
            types.iter().all(|t| can_convert_within(t, w, fuel))
        }
        (Type::Object(o), Type::Map(w)) => {
            let types: Vec<Type> = o.attributes.values().cloned().collect();
            if **w == Type::Dynamic && !types.is_empty() {
                return unify_within(&types, fuel).is_some();
            }
            types.iter().all(|t| can_convert_within(t, w, fuel))
        }
        (Type::Tuple(h), Type::Tuple(w)) => {
            h.len() == w.len() && h.iter().zip(w.iter()).all(|(h, w)| can_convert_within(h, w, fuel))
        }
        (Type::Object(h), Type::Object(w)) => w.attributes.iter().all(|(name, want)| match h.attributes.get(name) {
            Some(have) => can_convert_within(have, want, fuel),
            None => w.optional.contains(name),
        }),
        (Type::Map(h), Type::Object(w)) => {
            w.attributes.iter().all(|(name, want)| w.optional.contains(name) || can_convert_within(h, want, fuel))
        }
        _ => false,
    }
}

/// `want` with every `any` replaced by what the type of the given value has in its place.
fn replace_dynamic(have: &Type, want: &Type) -> Type {
    let element = |want: &Type| match have {
        Type::List(h) | Type::Set(h) | Type::Map(h) => replace_dynamic(h, want),
        Type::Tuple(t) => unify(t).map_or_else(|| want.clone(), |h| replace_dynamic(&h, want)),
        Type::Object(o) => {
            let types: Vec<Type> = o.attributes.values().cloned().collect();
            unify(&types).map_or_else(|| want.clone(), |h| replace_dynamic(&h, want))
        }
        _ => want.clone(),
    };
    match want {
        Type::Dynamic => have.clone(),
        Type::Bool | Type::Number | Type::String => want.clone(),
        Type::List(w) => Type::list(element(w)),
        Type::Set(w) => Type::set(element(w)),
        Type::Map(w) => Type::map(element(w)),
        Type::Tuple(w) => match have {
            Type::Tuple(h) if h.len() == w.len() => {
                Type::tuple(h.iter().zip(w.iter()).map(|(h, w)| replace_dynamic(h, w)))
            }
            _ => want.clone(),
        },
        Type::Object(w) => Type::object(w.attributes.iter().map(|(name, w)| {
            let ty = match have {
                Type::Object(h) => h.attributes.get(name).map(|h| replace_dynamic(h, w)),
                Type::Map(h) => Some(replace_dynamic(h, w)),
                _ => None,
            };
            (name.clone(), ty.unwrap_or_else(|| w.clone()))
        })),
    }
}

fn mismatch(have: &Type, want: &Type) -> ConvertError {
    let hint = match (have, want) {
        (Type::Object(_), Type::List(_) | Type::Set(_) | Type::Tuple(_)) => ", but this is an object",
        (Type::Tuple(_) | Type::List(_), Type::Map(_) | Type::Object(_)) => ", but this is a list",
        _ => "",
    };
    ConvertError::new(format!("{} required{hint}", want.friendly()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn says_which_part_does_not_fit() {
        let value =
            Value::object(BTreeMap::from([(Arc::from("a"), Value::tuple(vec![Value::int(1), Value::string("x")]))]));
        let want = Type::object([(Arc::from("a"), Type::list(Type::Number))]);
        assert_eq!(convert(&value, &want).unwrap_err().to_string(), ".a[1]: a number is required");
    }

    #[test]
    fn sensitivity_stays() {
        let secret = Value::string("1").with_sensitive(true);
        assert!(convert(&secret, &Type::Number).unwrap().is_sensitive());
        let list = convert(&Value::tuple(vec![secret.clone(), Value::int(2)]), &Type::list(Type::String)).unwrap();
        assert!(!list.is_sensitive() && list.elements().unwrap()[0].is_sensitive());
        assert!(!list.elements().unwrap()[1].is_sensitive());
        let set = convert(&Value::tuple(vec![secret, Value::int(2)]), &Type::set(Type::String)).unwrap();
        assert!(set.is_sensitive());
    }
}
