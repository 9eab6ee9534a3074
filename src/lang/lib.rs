//! The HCL2 language: values, types, expressions, functions, diagnostics.
//!
//! This room knows the language and nothing of what is written in it: no Packer block, no cloud, no network.
//! What it reads of the world (files, environment, clock) reaches it through [`eval::Scope`].

pub mod diag;
pub mod value;

pub use diag::{Diagnostic, Diagnostics, Severity, SourceMap, Span};
pub use value::{Kind, Number, ObjectType, Type, Value};
