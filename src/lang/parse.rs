//! From text to syntax trees with byte spans, and syntax errors that say where, why and what to do.

use crate::diag::{Diagnostic, Diagnostics, Span};
use hcl::edit::expr::Expression;
use hcl::edit::parser;
use hcl::edit::structure::Body;
use hcl::edit::template::Template;
use std::sync::Arc;

/// Parses a file: attributes and blocks.
///
/// # Errors
/// The first thing that is not HCL, with its place.
pub fn parse_body(file_name: &Arc<str>, text: &str) -> Result<Body, Diagnostics> {
    parser::parse_body(text).map_err(|e| syntax_error(&e, file_name, text).into())
}

/// Parses one expression, such as the value of a variable given on the command line.
///
/// # Errors
/// As [`parse_body`].
pub fn parse_expr(file_name: &Arc<str>, text: &str) -> Result<Expression, Diagnostics> {
    parser::parse_expr(text).map_err(|e| syntax_error(&e, file_name, text).into())
}

/// Parses a text with `${…}` and `%{…}` in it, such as a file that `templatefile` renders.
///
/// # Errors
/// As [`parse_body`].
pub fn parse_template(file_name: &Arc<str>, text: &str) -> Result<Template, Diagnostics> {
    parser::parse_template(text).map_err(|e| syntax_error(&e, file_name, text).into())
}

fn syntax_error(error: &parser::Error, file: &Arc<str>, text: &str) -> Diagnostic {
    let start = error.location().offset();
    let end = text.get(start..).and_then(|t| t.chars().next()).map_or(start, |c| start + c.len_utf8());
    Diagnostic::error("Invalid expression")
        .detail(format!("{}.", error.message()))
        .at(Span::new(file.clone(), start..end))
}
