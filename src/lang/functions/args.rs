//! What functions take out of their arguments.

use super::FunctionError;
use crate::value::Value;
use std::fmt::Write as _;

/// The text of a string argument, which conversion has made sure of.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A number argument that must be a whole number of 64 bits.
pub(super) fn whole(value: &Value) -> Result<i64, FunctionError> {
    value.as_number().and_then(crate::number::Number::as_i64).ok_or_else(|| {
        FunctionError::new(format!("value must be a whole number, between {} and {} inclusive", i64::MIN, i64::MAX))
    })
}

/// The same, at fault as argument `index`.
pub(super) fn whole_at(value: &Value, index: usize) -> Result<i64, FunctionError> {
    whole(value).map_err(|e| FunctionError { argument: Some(index), ..e })
}

/// `text` between double quotes with the escapes of JSON, in Go's manner: `<`, `>`, `&`, U+2028 and U+2029 are escaped
/// as well.
pub(super) fn json_quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Bytes of text that a function may make.
const MAX_TEXT: usize = 64 << 20;

/// Refuses to make a text of `length` bytes where that is too many.
pub(super) fn check_length(length: Option<usize>) -> Result<(), FunctionError> {
    match length {
        Some(n) if n <= MAX_TEXT => Ok(()),
        _ => Err(FunctionError::new(format!("the result would have more than {} MiB", MAX_TEXT >> 20))),
    }
}
