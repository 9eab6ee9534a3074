//! Values as HCL2 has them: a type, and known, unknown or null; sensitivity travels with the value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

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
}

/// A number of HCL2: 512-bit binary floating point.
// The representation belongs to this file alone; it is chosen in `number.rs`.
#[derive(Clone, Debug, PartialEq)]
pub struct Number(f64);

impl Number {
    /// An exact small integer.
    pub fn from_i64(n: i64) -> Number {
        #[allow(clippy::cast_precision_loss)]
        Number(n as f64)
    }
    /// The integer, where it is one and fits.
    pub fn as_i64(&self) -> Option<i64> {
        #[allow(clippy::cast_possible_truncation)]
        (self.0.fract() == 0.0 && self.0.abs() < 9e15).then_some(self.0 as i64)
    }
    /// The nearest f64.
    pub fn as_f64(&self) -> f64 {
        self.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
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
}

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
        Value { ty, kind, sensitive: false }
    }
    /// Null of a type.
    pub fn null(ty: Type) -> Value {
        Value::new(ty, Kind::Null)
    }
    /// Unknown of a type.
    pub fn unknown(ty: Type) -> Value {
        Value::new(ty, Kind::Unknown)
    }
    /// A string.
    pub fn string(s: impl AsRef<str>) -> Value {
        Value::new(Type::String, Kind::String(Arc::from(s.as_ref())))
    }
    /// A bool.
    pub fn bool(b: bool) -> Value {
        Value::new(Type::Bool, Kind::Bool(b))
    }
    /// A number.
    pub fn int(n: i64) -> Value {
        Value::new(Type::Number, Kind::Number(Number::from_i64(n)))
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
}
