//! Type constraints as they are written: `list(string)`, `object({ a = optional(number, 1) })`.

use crate::convert::convert;
use crate::diag::{Diagnostic, Diagnostics, Source, Span, suggest};
use crate::eval::eval;
use crate::scope::Scope;
use crate::value::{Kind, ObjectType, Type, Value};
use hcl::edit::Span as _;
use hcl::edit::expr::{Expression, FuncCall, ObjectKey};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A type, and what stands in for attributes that a value leaves out.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeConstraint {
    /// The type, with its optional attributes.
    pub ty: Type,
    /// Defaults of `optional(T, default)`, where there are any.
    pub defaults: Option<Defaults>,
}

/// Defaults inside a type, in the shape of the type.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Defaults {
    /// Of an object's attributes.
    attributes: BTreeMap<Arc<str>, Value>,
    /// Inside of attributes (by name), of tuple elements (by position), of every element (under "").
    children: BTreeMap<Arc<str>, Defaults>,
}

impl Defaults {
    fn is_empty(&self) -> bool {
        self.attributes.is_empty() && self.children.is_empty()
    }

    fn child(&mut self, name: impl Into<Arc<str>>, child: Defaults) {
        if !child.is_empty() {
            self.children.insert(name.into(), child);
        }
    }

    /// The value with every attribute filled in that is missing or null and has a default, at every depth.
    fn apply(&self, value: &Value) -> Value {
        let sensitive = value.is_sensitive();
        let applied = match value.kind() {
            Kind::Elements(elements) => {
                let every = self.children.get("");
                let filled: Vec<Value> = elements
                    .iter()
                    .enumerate()
                    .map(|(i, v)| match every.or_else(|| self.children.get(i.to_string().as_str())) {
                        Some(defaults) => defaults.apply(v),
                        None => v.clone(),
                    })
                    .collect();
                // Defaults may make the elements' types differ: conversion brings them together again.
                Value::tuple(filled)
            }
            Kind::Entries(entries) => {
                let mut filled: BTreeMap<Arc<str>, Value> = entries.as_ref().clone();
                for (name, default) in &self.attributes {
                    if filled.get(name).is_none_or(Value::is_null) {
                        filled.insert(name.clone(), default.clone());
                    }
                }
                let every = self.children.get("");
                for (name, v) in &mut filled {
                    if let Some(defaults) = every.or_else(|| self.children.get(name)) {
                        *v = defaults.apply(v);
                    }
                }
                Value::object(filled)
            }
            _ => return value.clone(),
        };
        applied.with_sensitive(sensitive)
    }
}

impl TypeConstraint {
    /// No constraint at all.
    pub fn any() -> TypeConstraint {
        TypeConstraint { ty: Type::Dynamic, defaults: None }
    }

    /// The value with defaults filled in, converted to the type.
    ///
    /// # Errors
    /// As [`convert`].
    pub fn convert(&self, value: &Value) -> Result<Value, crate::convert::ConvertError> {
        match &self.defaults {
            Some(defaults) => convert(&defaults.apply(value), &self.ty),
            None => convert(value, &self.ty),
        }
    }
}

/// Nested types beyond this are refused. The parser itself stops at 64.
const MAX_TYPE_DEPTH: usize = 64;

#[derive(Clone, Copy)]
struct Parser<'a> {
    source: &'a Source,
    /// Where a default of `optional` may be given: in the type of a variable.
    defaults: bool,
}

/// Reads the `type` of a variable.
///
/// # Errors
/// What is no type there.
pub fn parse_type(expr: &Expression, source: &Source) -> Result<TypeConstraint, Diagnostic> {
    let (ty, defaults) = Parser { source, defaults: true }.ty(expr, MAX_TYPE_DEPTH)?;
    Ok(TypeConstraint { ty, defaults: (!defaults.is_empty()).then_some(defaults) })
}

/// Reads the second argument of `convert`: no defaults, and `optional(T)` leaves nothing out.
///
/// # Errors
/// What is no type there.
pub fn parse_convert_type(expr: &Expression, source: &Source) -> Result<Type, Diagnostic> {
    Parser { source, defaults: false }.ty(expr, MAX_TYPE_DEPTH).map(|(ty, _)| ty.without_optional())
}

const WORDS: [&str; 8] = ["string", "number", "bool", "any", "list", "set", "map", "object"];

impl Parser<'_> {
    fn error(&self, expr: &Expression, detail: impl Into<String>) -> Diagnostic {
        Diagnostic::error("Invalid type specification").detail(detail).at(self.source.span(expr.span()))
    }

    fn ty(&self, expr: &Expression, depth: usize) -> Result<(Type, Defaults), Diagnostic> {
        if depth == 0 {
            return Err(self.error(expr, "This type is nested too deeply."));
        }
        match expr {
            Expression::Parenthesis(inner) => self.ty(inner.inner(), depth - 1),
            Expression::Variable(word) => self.word(expr, word.as_str()).map(|ty| (ty, Defaults::default())),
            Expression::FuncCall(call) => self.call(expr, call, depth),
            Expression::String(word) if WORDS.contains(&word.as_str()) => Err(self
                .error(expr, "A type is a keyword, not a string.")
                .hint(format!("write {} without the quotes", word.as_str()))),
            _ => Err(self.error(
                expr,
                "A type is either a keyword (string, number, bool, any) or a constructor such as list(string).",
            )),
        }
    }

    fn word(&self, expr: &Expression, word: &str) -> Result<Type, Diagnostic> {
        match word {
            "string" => Ok(Type::String),
            "number" => Ok(Type::Number),
            "bool" => Ok(Type::Bool),
            "any" => Ok(Type::Dynamic),
            "list" | "set" | "map" => Err(self
                .error(expr, format!("The type {word} needs the type of its elements as its argument."))
                .hint(format!("write {word}(string), or {word}(any)"))),
            "object" => Err(self
                .error(expr, "The type object needs its attributes as its argument.")
                .hint("write object({ name = string })")),
            "tuple" => Err(self
                .error(expr, "The type tuple needs the types of its elements as its argument.")
                .hint("write tuple([string, number])")),
            _ => {
                let d = self.error(expr, format!("The keyword {word:?} is not a type."));
                Err(match (word, suggest(word, WORDS)) {
                    ("int" | "integer" | "float", _) => d.hint("write number"),
                    ("boolean", _) => d.hint("write bool"),
                    (_, Some(other)) => d.hint(format!("did you mean {other:?}?")),
                    _ => d,
                })
            }
        }
    }

    fn call(&self, expr: &Expression, call: &FuncCall, depth: usize) -> Result<(Type, Defaults), Diagnostic> {
        let name = call.name.name.as_str();
        match name {
            "string" | "number" | "bool" | "any" => {
                return Err(self
                    .error(expr, format!("The type {name} takes no argument."))
                    .hint(format!("write {name}")));
            }
            "optional" => {
                return Err(self.error(expr, "The modifier optional(…) is only for attributes of an object type."));
            }
            "list" | "set" | "map" | "tuple" | "object" => {}
            _ => {
                let d = self.error(expr, format!("There is no type constructor {name:?}."));
                return Err(match suggest(name, ["list", "set", "map", "tuple", "object"]) {
                    Some(other) => d.hint(format!("did you mean {other:?}?")),
                    None => d,
                });
            }
        }
        let mut arguments = call.args.iter();
        let (Some(argument), None, false) = (arguments.next(), arguments.next(), call.args.expand_final()) else {
            return Err(self.error(expr, format!("The type constructor {name} takes exactly one argument.")));
        };
        let mut defaults = Defaults::default();
        let ty = match name {
            "tuple" => {
                let Expression::Array(array) = argument else {
                    return Err(
                        self.error(argument, "The argument of tuple is a list of types: tuple([string, number]).")
                    );
                };
                let mut types = Vec::new();
                for (i, element) in array.iter().enumerate() {
                    let (ty, child) = self.ty(element, depth - 1)?;
                    defaults.child(i.to_string(), child);
                    types.push(ty);
                }
                Type::tuple(types)
            }
            "object" => return self.object(argument, depth),
            _ => {
                let (element, child) = self.ty(argument, depth - 1)?;
                defaults.child("", child);
                match name {
                    "list" => Type::list(element),
                    "set" => Type::set(element),
                    _ => Type::map(element),
                }
            }
        };
        Ok((ty, defaults))
    }

    fn object(&self, argument: &Expression, depth: usize) -> Result<(Type, Defaults), Diagnostic> {
        let Expression::Object(object) = argument else {
            return Err(self.error(argument, "The argument of object is its attributes: object({ name = string })."));
        };
        let mut ty = ObjectType { attributes: BTreeMap::new(), optional: BTreeSet::new() };
        let mut defaults = Defaults::default();
        for (key, value) in object.iter() {
            let key_span = self.source.span(key.span());
            let name: Arc<str> = match key {
                ObjectKey::Ident(ident) => Arc::from(self.key_text(ident.span()).unwrap_or(ident.as_str())),
                ObjectKey::Expression(Expression::String(s)) => {
                    Arc::from(crate::template::string_text(s.as_str(), s.span(), self.source))
                }
                ObjectKey::Expression(_) => {
                    return Err(Diagnostic::error("Invalid type specification")
                        .detail("The name of an attribute is a plain word.")
                        .at(key_span));
                }
            };
            let (attribute, optional, default, child) = self.attribute(value.expr(), depth)?;
            if ty.attributes.insert(name.clone(), attribute).is_some() {
                return Err(Diagnostic::error("Invalid type specification")
                    .detail(format!("The attribute {name:?} is declared twice."))
                    .at(key_span));
            }
            if optional {
                ty.optional.insert(name.clone());
            }
            if let Some(default) = default {
                defaults.attributes.insert(name.clone(), default);
            }
            defaults.child(name, child);
        }
        Ok((Type::Object(Arc::new(ty)), defaults))
    }

    /// A repeated key was given another name for the parser; the source still has the one that was written.
    fn key_text(&self, range: Option<std::ops::Range<usize>>) -> Option<&str> {
        range.map(|r| self.source.slice(r).trim()).filter(|s| !s.is_empty())
    }

    /// Type, whether it may be left out, its default, defaults inside.
    fn attribute(&self, expr: &Expression, depth: usize) -> Result<(Type, bool, Option<Value>, Defaults), Diagnostic> {
        let call = match expr {
            Expression::FuncCall(call) if call.name.name.as_str() == "optional" => call,
            _ => {
                let (ty, child) = self.ty(expr, depth - 1)?;
                return Ok((ty, false, None, child));
            }
        };
        let arguments: Vec<&Expression> = call.args.iter().collect();
        let (ty_expr, default) = match arguments.as_slice() {
            [ty] => (*ty, None),
            [ty, default] if self.defaults => (*ty, Some(*default)),
            [_, _] => {
                return Err(self.error(expr, "A default of optional(…) is only for the type of a variable."));
            }
            _ => {
                return Err(self.error(expr, "optional(…) takes the type of the attribute, and perhaps its default."));
            }
        };
        let (ty, child) = self.ty(ty_expr, depth - 1)?;
        let default = default.map(|d| self.default(d, &ty)).transpose()?;
        Ok((ty, true, default, child))
    }

    fn default(&self, expr: &Expression, ty: &Type) -> Result<Value, Diagnostic> {
        let invalid = |detail: String, span: Option<Span>| {
            Diagnostic::error("Invalid default value for optional attribute").detail(detail).at(span)
        };
        let mut diags = Diagnostics::new();
        let value = eval(expr, &Scope::constant(), self.source, &mut diags);
        if let Some(d) = diags.into_iter().find(|d| d.severity == crate::diag::Severity::Error) {
            return Err(d);
        }
        convert(&value, ty).map_err(|e| {
            invalid(
                format!("This default does not fit the attribute's type: {e}."),
                Some(self.source.span(expr.span())),
            )
        })
    }
}
