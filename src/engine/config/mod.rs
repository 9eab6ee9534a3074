//! One declaration of a component's options: the struct with `#[derive(Config)]`.
//!
//! A body of the template arrives as a [`Block`]: values with their places. The template room first checks it against the
//! [`Schema`] (every unknown or missing argument, every wrong type, all at once) and converts each value to the declared type;
//! filling the struct ([`Config::decode`]) can then not fail.

pub mod check;

use crate::secret::Secret;
use image_action_lang::{Span, Type, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// What stands in for a text that is not known yet (while validating without data sources); Packer's components see the same.
pub const UNKNOWN_TEXT: &str = "<unknown>";

/// One attribute of a body.
#[derive(Clone, Debug)]
pub struct Attribute {
    /// Its value, converted to the declared type once checked.
    pub value: Value,
    /// The place of the value.
    pub span: Option<Span>,
}

/// A body of the template: attributes and nested blocks, with places.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// The place of the block's header.
    pub span: Option<Span>,
    /// By name.
    pub attributes: BTreeMap<String, Attribute>,
    /// By block type, in the order of the source.
    pub blocks: BTreeMap<String, Vec<Block>>,
}

impl Block {
    /// The value of an attribute; `None` where it is not set, or null.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.attributes.get(name).map(|a| &a.value).filter(|v| !v.is_null())
    }
    /// Whether an attribute is set (and not null) or a block of this type is there.
    pub fn is_set(&self, name: &str) -> bool {
        self.value(name).is_some() || !self.blocks_named(name).is_empty()
    }
    /// The nested blocks of a type.
    pub fn blocks_named(&self, name: &str) -> &[Block] {
        self.blocks.get(name).map_or(&[], Vec::as_slice)
    }
    /// The place of an argument, or of the block's header where it is not set.
    pub fn span_of(&self, name: &str) -> Option<Span> {
        let own = self.attributes.get(name).and_then(|a| a.span.clone());
        own.or_else(|| self.blocks_named(name).first().and_then(|b| b.span.clone())).or_else(|| self.span.clone())
    }
}

/// What an attribute's text or number has to be beyond its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Anything of the type.
    Any,
    /// A number without a fraction, of 64 bits.
    Whole,
    /// A duration: `90s`, `1h30m`.
    Duration,
}

impl Form {
    /// Looks at a converted value.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn check(self, value: &Value) -> Result<(), String> {
        match self {
            Form::Any => Ok(()),
            Form::Whole => match value.as_number() {
                Some(n) if n.as_i64().is_none() => Err(format!("a whole number is required, not {n}")),
                _ => Ok(()),
            },
            Form::Duration => match value.as_str() {
                Some(s) if !s.is_empty() => crate::duration::parse(s).map(drop),
                _ => Ok(()),
            },
        }
    }
}

/// What an option looks like in a template.
#[derive(Clone)]
pub enum Shape {
    /// `name = value`
    Attribute {
        /// What the value is converted to.
        ty: Type,
        /// What the type cannot say.
        form: Form,
    },
    /// `name { … }`
    Block {
        /// The options inside.
        schema: fn() -> &'static Schema,
        /// Whether it may be repeated.
        many: bool,
    },
}

/// One option.
#[derive(Clone)]
pub struct Field {
    /// As written in a template.
    pub name: &'static str,
    /// What it means (Markdown).
    pub doc: &'static str,
    /// What it is about, where many components share it: what is said of the group of options that it comes with.
    pub group: &'static str,
    /// Attribute or block.
    pub shape: Shape,
    /// Whether leaving it out is an error.
    pub required: bool,
    /// What holds when it is left out, as a template would say it.
    pub default: Option<&'static str>,
    /// What to use in its place; `nothing: REASON` where there is no need for anything.
    pub deprecated: Option<&'static str>,
    /// Whether its value is masked everywhere.
    pub sensitive: bool,
    /// Whether the component renders its Go template itself, later and with data.
    pub late: bool,
    /// Whether it validates and is not acted on yet: plan and build stop with an error that names it.
    pub unsupported: bool,
    /// Values, in any case of letters, that validate and are not acted on yet: plan and build stop the same way.
    pub unsupported_values: &'static [&'static str],
    /// What to do in place of what is unsupported.
    pub instead: Option<&'static str>,
    /// The unsupported value (`option = value`) beside which alone it has an effect: without that value it says nothing, in
    /// Packer neither.
    pub only_with: Option<&'static str>,
}

/// The options of a component or of a nested block.
#[derive(Clone)]
pub struct Schema {
    /// What the component does (Markdown).
    pub doc: &'static str,
    /// In the order of the declaration.
    pub fields: Vec<Field>,
}

impl Schema {
    /// An option by its name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|f| f.name == name)
    }
}

/// A struct whose fields are options; derive it.
pub trait Config: Sized {
    /// The declaration, made once.
    fn schema() -> &'static Schema;
    /// Fills the struct from a checked body.
    fn decode(body: &Block) -> Self;
}

/// A type that an attribute can have.
pub trait AttributeField: Sized {
    /// What the value is converted to, and checked for.
    fn shape() -> Shape;
    /// What holds when it is left out, where the type alone says so.
    fn implied() -> Option<&'static str> {
        None
    }
    /// From a checked value, or from the declared default where none is set.
    fn decode(value: Option<&Value>, default: Option<&str>) -> Self;
}

/// A type that holds nested blocks: `Vec<T>` (any number) or `Option<T>` (at most one).
pub trait BlockField: Sized {
    /// The options inside.
    fn shape() -> Shape;
    /// From checked blocks.
    fn decode(blocks: &[Block]) -> Self;
}

impl<T: Config> BlockField for Vec<T> {
    fn shape() -> Shape {
        Shape::Block { schema: T::schema, many: true }
    }
    fn decode(blocks: &[Block]) -> Self {
        blocks.iter().map(T::decode).collect()
    }
}

impl<T: Config> BlockField for Option<T> {
    fn shape() -> Shape {
        Shape::Block { schema: T::schema, many: false }
    }
    fn decode(blocks: &[Block]) -> Self {
        blocks.first().map(T::decode)
    }
}

fn plain(ty: Type) -> Shape {
    Shape::Attribute { ty, form: Form::Any }
}

/// The text of a value that has one; an unknown one reads [`UNKNOWN_TEXT`].
fn text(value: &Value) -> String {
    if value.is_unknown() { UNKNOWN_TEXT.to_owned() } else { value.as_str().unwrap_or_default().to_owned() }
}

impl AttributeField for String {
    fn shape() -> Shape {
        plain(Type::String)
    }
    fn decode(value: Option<&Value>, default: Option<&str>) -> Self {
        value.map_or_else(|| default.unwrap_or_default().to_owned(), text)
    }
}

impl AttributeField for Secret {
    fn shape() -> Shape {
        plain(Type::String)
    }
    fn decode(value: Option<&Value>, default: Option<&str>) -> Self {
        Secret::new(String::decode(value, default))
    }
}

impl AttributeField for bool {
    fn shape() -> Shape {
        plain(Type::Bool)
    }
    fn implied() -> Option<&'static str> {
        Some("false")
    }
    fn decode(value: Option<&Value>, default: Option<&str>) -> Self {
        value.and_then(Value::as_bool).unwrap_or(default == Some("true"))
    }
}

impl AttributeField for i64 {
    fn shape() -> Shape {
        Shape::Attribute { ty: Type::Number, form: Form::Whole }
    }
    fn decode(value: Option<&Value>, default: Option<&str>) -> Self {
        match value {
            Some(v) => v.as_number().and_then(image_action_lang::Number::as_i64).unwrap_or(0),
            None => default.and_then(|d| d.parse().ok()).unwrap_or(0),
        }
    }
}

impl AttributeField for f64 {
    fn shape() -> Shape {
        plain(Type::Number)
    }
    fn decode(value: Option<&Value>, default: Option<&str>) -> Self {
        match value {
            Some(v) => v.as_number().map_or(0.0, image_action_lang::Number::as_f64),
            None => default.and_then(|d| d.parse().ok()).unwrap_or(0.0),
        }
    }
}

impl AttributeField for Duration {
    fn shape() -> Shape {
        Shape::Attribute { ty: Type::String, form: Form::Duration }
    }
    fn decode(value: Option<&Value>, default: Option<&str>) -> Self {
        let set = value.and_then(Value::as_str).filter(|s| !s.is_empty()).or(default);
        set.and_then(|s| crate::duration::parse(s).ok()).unwrap_or_default()
    }
}

impl AttributeField for Value {
    fn shape() -> Shape {
        plain(Type::Dynamic)
    }
    fn decode(value: Option<&Value>, _default: Option<&str>) -> Self {
        value.cloned().unwrap_or_else(|| Value::null(Type::Dynamic))
    }
}

impl<T: AttributeField> AttributeField for Option<T> {
    fn shape() -> Shape {
        T::shape()
    }
    fn decode(value: Option<&Value>, default: Option<&str>) -> Self {
        (value.is_some() || default.is_some()).then(|| T::decode(value, default))
    }
}

/// The type of an attribute that is not a block.
fn type_of(shape: Shape) -> Type {
    match shape {
        Shape::Attribute { ty, .. } => ty,
        Shape::Block { .. } => Type::Dynamic,
    }
}

impl<T: AttributeField> AttributeField for Vec<T> {
    fn shape() -> Shape {
        plain(Type::list(type_of(T::shape())))
    }
    fn decode(value: Option<&Value>, _default: Option<&str>) -> Self {
        let elements = value.and_then(Value::elements).unwrap_or_default();
        elements.iter().map(|v| T::decode(Some(v), None)).collect()
    }
}

impl<T: AttributeField> AttributeField for BTreeMap<String, T> {
    fn shape() -> Shape {
        plain(Type::map(type_of(T::shape())))
    }
    fn decode(value: Option<&Value>, _default: Option<&str>) -> Self {
        let entries = value.and_then(Value::entries);
        entries.into_iter().flatten().map(|(k, v)| (k.to_string(), T::decode(Some(v), None))).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, dead_code)]
    use super::*;

    /// A disk.
    #[derive(crate::Config)]
    struct Disk {
        /// Its size in GB.
        #[config(required)]
        size: i64,
    }

    /// What many share.
    #[derive(crate::Config)]
    struct Shared {
        region: Option<String>,
    }

    /// A machine.
    #[derive(crate::Config)]
    struct Machine {
        #[config(flatten)]
        shared: Shared,
        /// How long to wait.
        #[config(default = "5m")]
        timeout: Duration,
        #[config(name = "type", sensitive)]
        kind: Secret,
        #[config(block)]
        disks: Vec<Disk>,
        #[config(block)]
        main: Option<Disk>,
        tags: BTreeMap<String, String>,
    }

    #[test]
    fn the_declaration_carries_names_docs_and_defaults() {
        let schema = Machine::schema();
        assert_eq!(schema.doc, "A machine.");
        let names: Vec<_> = schema.fields.iter().map(|f| f.name).collect();
        assert_eq!(names, ["region", "timeout", "type", "disks", "main", "tags"]);
        assert_eq!(schema.field("timeout").unwrap().default, Some("5m"));
        assert!(schema.field("type").unwrap().sensitive);
        assert!(matches!(schema.field("disks").unwrap().shape, Shape::Block { many: true, .. }));
        assert!(
            matches!(&schema.field("tags").unwrap().shape, Shape::Attribute { ty, .. } if *ty == Type::map(Type::String))
        );
    }

    #[test]
    fn decoding_fills_defaults_and_reads_null_as_unset() {
        let mut body = Block::default();
        let set = |v| Attribute { value: v, span: None };
        body.attributes.insert("region".into(), set(Value::null(Type::String)));
        body.attributes.insert("type".into(), set(Value::unknown(Type::String)));
        let mut disk = Block::default();
        disk.attributes.insert("size".into(), set(Value::int(8)));
        body.blocks.insert("disks".into(), vec![disk]);
        let machine = Machine::decode(&body);
        assert_eq!(machine.shared.region, None);
        assert_eq!(machine.timeout, Duration::from_secs(300));
        assert_eq!(machine.kind.expose(), UNKNOWN_TEXT);
        assert_eq!(machine.disks[0].size, 8);
        assert!(machine.main.is_none());
    }
}
