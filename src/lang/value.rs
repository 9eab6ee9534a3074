//! Values as HCL2 has them: a type, and known, unknown or null; sensitivity travels with the value.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use unicode_normalization::UnicodeNormalization as _;

pub use crate::number::Number;

/// The attributes of an object type, and which of them may be left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ObjectType {
    /// By name, in byte order.
    pub attributes: BTreeMap<Arc<str>, Type>,
    /// Names that `optional()` was said of.
    pub optional: BTreeSet<Arc<str>>,
}

/// A type, as written in a type constraint or carried by a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// `any`: not known yet, or whatever comes.
    Dynamic,
    /// `bool`
    Bool,
    /// `number`
    Number,
    /// `string`
    String,
    /// `list(T)`
    List(Arc<Type>),
    /// `set(T)`
    Set(Arc<Type>),
    /// `map(T)`
    Map(Arc<Type>),
    /// `tuple([T…])`
    Tuple(Arc<[Type]>),
    /// `object({…})`
    Object(Arc<ObjectType>),
}

impl Type {
    /// `list(element)`
    pub fn list(element: Type) -> Type {
        Type::List(Arc::new(element))
    }
    /// `set(element)`
    pub fn set(element: Type) -> Type {
        Type::Set(Arc::new(element))
    }
    /// `map(element)`
    pub fn map(element: Type) -> Type {
        Type::Map(Arc::new(element))
    }
    /// `tuple([…])`
    pub fn tuple(elements: impl IntoIterator<Item = Type>) -> Type {
        Type::Tuple(elements.into_iter().collect())
    }
    /// `object({…})` without optional attributes.
    pub fn object(attributes: impl IntoIterator<Item = (Arc<str>, Type)>) -> Type {
        let attributes = attributes.into_iter().collect();
        Type::Object(Arc::new(ObjectType { attributes, optional: BTreeSet::new() }))
    }
    /// The type of every element of a list, set or map.
    pub fn element(&self) -> Option<&Type> {
        match self {
            Type::List(e) | Type::Set(e) | Type::Map(e) => Some(e),
            _ => None,
        }
    }
    /// Whether it is bool, number or string.
    pub fn is_primitive(&self) -> bool {
        matches!(self, Type::Bool | Type::Number | Type::String)
    }
    /// Whether it is a list, set or map.
    pub fn is_collection(&self) -> bool {
        self.element().is_some()
    }
    /// Whether `any` stands anywhere in it.
    pub fn has_dynamic(&self) -> bool {
        match self {
            Type::Dynamic => true,
            Type::Bool | Type::Number | Type::String => false,
            Type::List(e) | Type::Set(e) | Type::Map(e) => e.has_dynamic(),
            Type::Tuple(t) => t.iter().any(Type::has_dynamic),
            Type::Object(o) => o.attributes.values().any(Type::has_dynamic),
        }
    }
    /// The type of a value that was made for this constraint: the same without any `optional()`.
    #[must_use]
    pub fn without_optional(&self) -> Type {
        match self {
            Type::Dynamic | Type::Bool | Type::Number | Type::String => self.clone(),
            Type::List(e) => Type::list(e.without_optional()),
            Type::Set(e) => Type::set(e.without_optional()),
            Type::Map(e) => Type::map(e.without_optional()),
            Type::Tuple(t) => Type::tuple(t.iter().map(Type::without_optional)),
            Type::Object(o) => Type::object(o.attributes.iter().map(|(k, t)| (k.clone(), t.without_optional()))),
        }
    }
    /// In a word or two, for messages: `string`, `list of number`, `object`.
    pub fn friendly(&self) -> String {
        match self {
            Type::Dynamic => "any type".into(),
            Type::Bool => "bool".into(),
            Type::Number => "number".into(),
            Type::String => "string".into(),
            Type::List(e) => format!("list of {}", e.friendly()),
            Type::Set(e) => format!("set of {}", e.friendly()),
            Type::Map(e) => format!("map of {}", e.friendly()),
            Type::Tuple(_) => "tuple".into(),
            Type::Object(_) => "object".into(),
        }
    }
}

impl fmt::Display for Type {
    /// As a type constraint is written: `object({a = list(string), b = optional(number)})`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Dynamic => f.write_str("any"),
            Type::Bool => f.write_str("bool"),
            Type::Number => f.write_str("number"),
            Type::String => f.write_str("string"),
            Type::List(e) => write!(f, "list({e})"),
            Type::Set(e) => write!(f, "set({e})"),
            Type::Map(e) => write!(f, "map({e})"),
            Type::Tuple(t) => {
                f.write_str("tuple([")?;
                for (i, e) in t.iter().enumerate() {
                    write!(f, "{}{e}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("])")
            }
            Type::Object(o) => {
                f.write_str("object({")?;
                for (i, (name, t)) in o.attributes.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    if o.optional.contains(name) {
                        write!(f, "{comma}{name} = optional({t})")?;
                    } else {
                        write!(f, "{comma}{name} = {t}")?;
                    }
                }
                f.write_str("})")
            }
        }
    }
}

/// What a value holds.
#[derive(Clone, PartialEq)]
pub enum Kind {
    /// Not known before something has run.
    Unknown,
    /// Absent.
    Null,
    /// true or false
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text in Unicode NFC.
    String(Arc<str>),
    /// Elements of a list, a tuple, or a set (sets sorted and free of repeats).
    Elements(Arc<[Value]>),
    /// Entries of a map or attributes of an object, in byte order of their keys.
    Entries(Arc<BTreeMap<Arc<str>, Value>>),
}

/// A value of the language. Cheap to clone.
#[derive(Clone, PartialEq)]
pub struct Value {
    ty: Type,
    kind: Kind,
    sensitive: bool,
    /// Collections inside of each other.
    depth: u16,
    /// How much it would be if no two parts of it shared their memory.
    weight: u32,
}

/// Collections may not be nested more deeply than this: values are walked by recursion.
pub const MAX_DEPTH: u16 = 200;
/// Values in a value, and 32 bytes of text each: a few lines that double a list over and over stay within memory.
pub const MAX_WEIGHT: u32 = 4 << 20;
/// Bytes of text that count as much as a value.
const BYTES_PER_WEIGHT: usize = 32;

impl fmt::Debug for Value {
    /// Never shows a sensitive value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sensitive {
            return f.write_str("<sensitive>");
        }
        match &self.kind {
            Kind::Unknown => f.write_str("<unknown>"),
            Kind::Null => f.write_str("null"),
            Kind::Bool(b) => write!(f, "{b}"),
            Kind::Number(n) => write!(f, "{n}"),
            Kind::String(s) => write!(f, "{s:?}"),
            Kind::Elements(e) => f.debug_list().entries(e.iter()).finish(),
            Kind::Entries(e) => f.debug_map().entries(e.iter()).finish(),
        }
    }
}

impl Value {
    /// A value from its parts. The caller vouches that `kind` is of type `ty`.
    pub fn new(ty: Type, kind: Kind) -> Value {
        let text = |s: &str| u32::try_from(s.len() / BYTES_PER_WEIGHT).unwrap_or(u32::MAX);
        let (depth, weight) = match &kind {
            Kind::Unknown | Kind::Null | Kind::Bool(_) | Kind::Number(_) => (0, 1),
            Kind::String(s) => (0, text(s).saturating_add(1)),
            Kind::Elements(e) => e.iter().fold((1, 1), |sum, v| v.add_to(sum)),
            Kind::Entries(e) => e.iter().fold((1, 1), |sum, (k, v)| v.add_to((sum.0, text(k).saturating_add(sum.1)))),
        };
        Value { ty, kind, sensitive: false, depth, weight }
    }
    /// Depth and weight of a collection with this value in it.
    fn add_to(&self, (depth, weight): (u16, u32)) -> (u16, u32) {
        (depth.max(self.depth.saturating_add(1)), weight.saturating_add(self.weight))
    }
    /// Whether it is larger than [`MAX_DEPTH`] and [`MAX_WEIGHT`] allow; nothing may be made of it then.
    pub fn is_too_large(&self) -> bool {
        self.depth > MAX_DEPTH || self.weight > MAX_WEIGHT
    }
    /// Null of a type.
    pub fn null(ty: Type) -> Value {
        Value::new(ty, Kind::Null)
    }
    /// Unknown of a type.
    pub fn unknown(ty: Type) -> Value {
        Value::new(ty, Kind::Unknown)
    }
    /// A value of which not even the type is known.
    pub fn dynamic() -> Value {
        Value::unknown(Type::Dynamic)
    }
    /// A string, put into Unicode NFC (as every string of HCL is).
    pub fn string(s: impl AsRef<str>) -> Value {
        let s = s.as_ref();
        let text: Arc<str> = if s.is_ascii() { Arc::from(s) } else { s.nfc().collect::<String>().into() };
        Value::new(Type::String, Kind::String(text))
    }
    /// A bool.
    pub fn bool(b: bool) -> Value {
        Value::new(Type::Bool, Kind::Bool(b))
    }
    /// A number.
    pub fn int(n: i64) -> Value {
        Value::new(Type::Number, Kind::Number(Number::from_i64(n)))
    }
    /// A number of any size.
    pub fn number(n: Number) -> Value {
        Value::new(Type::Number, Kind::Number(n))
    }
    /// A tuple of these values, each keeping its own type.
    pub fn tuple(values: Vec<Value>) -> Value {
        let types: Arc<[Type]> = values.iter().map(|v| v.ty.clone()).collect();
        Value::new(Type::Tuple(types), Kind::Elements(values.into()))
    }
    /// A list; every element must be of type `element`.
    pub fn list(element: Type, values: Vec<Value>) -> Value {
        Value::new(Type::list(element), Kind::Elements(values.into()))
    }
    /// A list of strings.
    pub fn strings<S: AsRef<str>>(values: impl IntoIterator<Item = S>) -> Value {
        Value::list(Type::String, values.into_iter().map(Value::string).collect())
    }
    /// A set; every element must be of type `element`. Repeats vanish, the rest is put in order; the set as a whole is
    /// sensitive where an element is (which element it was can no longer be told apart).
    pub fn set(element: Type, mut values: Vec<Value>) -> Value {
        let sensitive = values.iter().any(Value::contains_sensitive);
        for value in &mut values {
            value.unmark_deep();
        }
        values.sort_by(Value::set_order);
        // Two unknown elements may turn out to differ: both stay.
        values.dedup_by(|a, b| a.is_wholly_known() && (a.equals(b) == Some(true)));
        Value::new(Type::set(element), Kind::Elements(values.into())).with_sensitive(sensitive)
    }
    /// A map; every value must be of type `element`.
    pub fn map(element: Type, entries: BTreeMap<Arc<str>, Value>) -> Value {
        Value::new(Type::map(element), Kind::Entries(Arc::new(entries)))
    }
    /// An object, each attribute keeping its own type.
    pub fn object(entries: BTreeMap<Arc<str>, Value>) -> Value {
        let attributes = entries.iter().map(|(k, v)| (k.clone(), v.ty.clone())).collect();
        let ty = ObjectType { attributes, optional: BTreeSet::new() };
        Value::new(Type::Object(Arc::new(ty)), Kind::Entries(Arc::new(entries)))
    }

    /// The type.
    pub fn ty(&self) -> &Type {
        &self.ty
    }
    /// What it holds.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }
    /// Whether it, or what it was made from, was marked sensitive.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }
    /// The same value, marked (or not).
    #[must_use]
    pub fn with_sensitive(mut self, sensitive: bool) -> Value {
        self.sensitive = sensitive;
        self
    }
    /// The same value, marked if it was or if `sensitive` says so.
    #[must_use]
    pub fn tainted(mut self, sensitive: bool) -> Value {
        self.sensitive |= sensitive;
        self
    }
    /// Whether it or anything in it is sensitive.
    pub fn contains_sensitive(&self) -> bool {
        self.sensitive
            || match &self.kind {
                Kind::Elements(e) => e.iter().any(Value::contains_sensitive),
                Kind::Entries(e) => e.values().any(Value::contains_sensitive),
                _ => false,
            }
    }
    fn unmark_deep(&mut self) {
        if !self.contains_sensitive() {
            return;
        }
        self.sensitive = false;
        match &mut self.kind {
            Kind::Elements(e) => {
                *e = e
                    .iter()
                    .cloned()
                    .map(|mut v| {
                        v.unmark_deep();
                        v
                    })
                    .collect();
            }
            Kind::Entries(e) => {
                Arc::make_mut(e).values_mut().for_each(Value::unmark_deep);
            }
            _ => {}
        }
    }
    /// The same value with another type; the caller vouches that it fits.
    #[must_use]
    pub(crate) fn retyped(mut self, ty: Type) -> Value {
        self.ty = ty;
        self
    }
    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }
    /// Whether it is unknown itself (its elements may be unknown all the same).
    pub fn is_unknown(&self) -> bool {
        matches!(self.kind, Kind::Unknown)
    }
    /// Whether it and everything in it is known.
    pub fn is_wholly_known(&self) -> bool {
        match &self.kind {
            Kind::Unknown => false,
            Kind::Elements(e) => e.iter().all(Value::is_wholly_known),
            Kind::Entries(e) => e.values().all(Value::is_wholly_known),
            _ => true,
        }
    }
    /// The text of a known string.
    pub fn as_str(&self) -> Option<&str> {
        if let Kind::String(s) = &self.kind { Some(s) } else { None }
    }
    /// A known bool.
    pub fn as_bool(&self) -> Option<bool> {
        if let Kind::Bool(b) = self.kind { Some(b) } else { None }
    }
    /// A known number.
    pub fn as_number(&self) -> Option<&Number> {
        if let Kind::Number(n) = &self.kind { Some(n) } else { None }
    }
    /// The elements of a known list, set or tuple.
    pub fn elements(&self) -> Option<&[Value]> {
        if let Kind::Elements(e) = &self.kind { Some(e) } else { None }
    }
    /// The entries of a known map or object.
    pub fn entries(&self) -> Option<&BTreeMap<Arc<str>, Value>> {
        if let Kind::Entries(e) = &self.kind { Some(e) } else { None }
    }
    /// How many elements or entries it has.
    // Most values have no length: `is_empty` would say of them what nobody asks.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> Option<usize> {
        match &self.kind {
            Kind::Elements(e) => Some(e.len()),
            Kind::Entries(e) => Some(e.len()),
            _ => None,
        }
    }
    /// Keys and values as a `for` meets them: index, key, or (of a set) the element itself; `None` where there is
    /// nothing to iterate over.
    pub fn iterate(&self) -> Option<Vec<(Value, Value)>> {
        match &self.kind {
            Kind::Elements(e) if matches!(self.ty, Type::Set(_)) => {
                Some(e.iter().map(|v| (v.clone(), v.clone())).collect())
            }
            Kind::Elements(e) => Some((0..).zip(e.iter()).map(|(i, v)| (Value::int(i), v.clone())).collect()),
            Kind::Entries(e) => Some(e.iter().map(|(k, v)| (Value::string(k), v.clone())).collect()),
            _ => None,
        }
    }

    /// The same value with every known string in it given to `replace`, keys of maps included; `None` leaves it as it is.
    ///
    /// # Errors
    /// The first of `replace`.
    pub fn map_strings<E>(&self, replace: &mut dyn FnMut(&str) -> Result<Option<String>, E>) -> Result<Value, E> {
        let kind = match &self.kind {
            Kind::String(s) => match replace(s)? {
                Some(text) => return Ok(Value::string(text).with_sensitive(self.sensitive)),
                None => return Ok(self.clone()),
            },
            Kind::Elements(elements) => {
                let elements = elements.iter().map(|v| v.map_strings(replace)).collect::<Result<Vec<_>, _>>()?;
                if let Type::Set(element) = &self.ty {
                    return Ok(Value::set(element.as_ref().clone(), elements).tainted(self.sensitive));
                }
                Kind::Elements(elements.into())
            }
            Kind::Entries(entries) => {
                let mut mapped = BTreeMap::new();
                for (key, value) in entries.iter() {
                    let new = if matches!(self.ty, Type::Map(_)) { replace(key)? } else { None };
                    mapped.insert(new.map_or_else(|| key.clone(), Arc::from), value.map_strings(replace)?);
                }
                Kind::Entries(Arc::new(mapped))
            }
            Kind::Unknown | Kind::Null | Kind::Bool(_) | Kind::Number(_) => return Ok(self.clone()),
        };
        Ok(Value::new(self.ty.clone(), kind).with_sensitive(self.sensitive))
    }
    /// Adds every known, non-empty string that is marked sensitive, or stands in something that is, to `found`; every
    /// string at all where `all` says so.
    pub fn sensitive_texts(&self, all: bool, found: &mut Vec<String>) {
        let all = all || self.sensitive;
        match &self.kind {
            Kind::String(s) if all && !s.is_empty() => found.push(s.to_string()),
            Kind::Elements(e) => e.iter().for_each(|v| v.sensitive_texts(all, found)),
            Kind::Entries(e) => e.values().for_each(|v| v.sensitive_texts(all, found)),
            _ => {}
        }
    }

    /// `==` of the language: without any conversion, deep; `None` while an unknown part decides.
    pub fn equals(&self, other: &Value) -> Option<bool> {
        if self.is_unknown() || other.is_unknown() {
            let decided = self.ty != other.ty && !self.ty.has_dynamic() && !other.ty.has_dynamic();
            return if decided { Some(false) } else { None };
        }
        if self.is_null() || other.is_null() {
            return Some(self.is_null() && other.is_null());
        }
        if self.ty != other.ty && !self.ty.has_dynamic() && !other.ty.has_dynamic() {
            return Some(false);
        }
        match (&self.kind, &other.kind) {
            (Kind::Bool(a), Kind::Bool(b)) => Some(a == b),
            (Kind::Number(a), Kind::Number(b)) => Some(a == b),
            (Kind::String(a), Kind::String(b)) => Some(a == b),
            (Kind::Elements(a), Kind::Elements(b)) => {
                if std::mem::discriminant(&self.ty) != std::mem::discriminant(&other.ty) || a.len() != b.len() {
                    return Some(false);
                }
                all_equal(a.iter().zip(b.iter()))
            }
            (Kind::Entries(a), Kind::Entries(b)) => {
                if std::mem::discriminant(&self.ty) != std::mem::discriminant(&other.ty)
                    || a.len() != b.len()
                    || a.keys().ne(b.keys())
                {
                    return Some(false);
                }
                all_equal(a.values().zip(b.values()))
            }
            _ => Some(false),
        }
    }

    /// The order of elements in a set: strings by bytes, numbers by value, false before true; then unknown, then null;
    /// anything else by a serialised form (stable, and the same as in Packer).
    fn set_order(a: &Value, b: &Value) -> Ordering {
        let rank = |v: &Value| match v.kind {
            Kind::Null => 2,
            Kind::Unknown => 1,
            _ => 0,
        };
        match (&a.kind, &b.kind) {
            (Kind::String(a), Kind::String(b)) => a.cmp(b),
            (Kind::Number(a), Kind::Number(b)) => a.compare(b),
            (Kind::Bool(a), Kind::Bool(b)) => a.cmp(b),
            _ => rank(a).cmp(&rank(b)).then_with(|| a.set_key().cmp(&b.set_key())),
        }
    }

    /// A text that two known values of one type share where they are equal.
    pub(crate) fn set_key(&self) -> String {
        let mut key = String::new();
        self.write_set_key(&mut key);
        key
    }

    fn write_set_key(&self, out: &mut String) {
        use std::fmt::Write as _;
        match &self.kind {
            Kind::Unknown => out.push('?'),
            Kind::Null => out.push('~'),
            Kind::Bool(b) => out.push(if *b { 'T' } else { 'F' }),
            Kind::Number(n) if n.is_zero() => out.push('0'),
            Kind::Number(n) => {
                let _ = write!(out, "{n}");
            }
            Kind::String(s) => {
                let _ = write!(out, "{s:?}");
            }
            Kind::Elements(e) => {
                let (open, close) = if matches!(self.ty, Type::Tuple(_)) { ('<', '>') } else { ('[', ']') };
                out.push(open);
                for v in e.iter() {
                    v.write_set_key(out);
                    out.push(';');
                }
                out.push(close);
            }
            Kind::Entries(e) => {
                let map = matches!(self.ty, Type::Map(_));
                out.push(if map { '{' } else { '<' });
                for (k, v) in e.iter() {
                    if map {
                        let _ = write!(out, "{k:?}:");
                    }
                    v.write_set_key(out);
                    out.push(';');
                }
                out.push(if map { '}' } else { '>' });
            }
        }
    }
}

/// Whether every pair is equal: one that differs decides, else one that is unknown does.
fn all_equal<'a>(pairs: impl Iterator<Item = (&'a Value, &'a Value)>) -> Option<bool> {
    let mut result = Some(true);
    for (a, b) in pairs {
        match a.equals(b) {
            Some(true) => {}
            Some(false) => return Some(false),
            None => result = None,
        }
    }
    result
}
