//! The HCL2 language: values, types, expressions, functions, diagnostics.
//!
//! This room knows the language and nothing of what is written in it: no Packer block, no cloud, no network.
//! What it reads of the world (files, environment, clock) reaches it through [`scope::World`].

mod access;
pub mod convert;
pub mod diag;
pub mod eval;
pub mod format;
pub mod functions;
pub mod gotemplate;
pub mod number;
mod ops;
pub mod parse;
pub mod references;
mod render;
mod scan;
pub mod scope;
mod syntax;
pub mod template;
pub mod timefmt;
pub mod typeexpr;
pub mod unify;
pub mod value;

pub use access::{attribute, index};
pub use convert::{ConvertError, convert};
pub use diag::{Diagnostic, Diagnostics, RenderOptions, Severity, Source, SourceMap, Span, render};
pub use eval::eval;
pub use number::Number;
pub use references::{Step, Traversal, body_references, references};
pub use scope::{FunctionSet, Scope, World};
pub use template::eval_template;
pub use typeexpr::{TypeConstraint, parse_type};
pub use unify::unify;
pub use value::{Kind, ObjectType, Type, Value};
