//! Values as `inspect` and `console` print them.

use image_action_engine::secret::MASK;
use image_action_lang::{Kind, Value, convert};
use std::fmt::Write as _;

/// A value: a text as it is, everything else as it would be written.
pub fn print(value: &Value) -> String {
    if let (Some(text), false) = (value.as_str(), value.is_sensitive()) {
        return text.to_owned();
    }
    let mut text = String::new();
    write(value, 0, &mut text);
    text
}

fn write(value: &Value, depth: usize, out: &mut String) {
    if value.is_sensitive() {
        return out.push_str(MASK);
    }
    if !value.is_wholly_known() {
        return out.push_str("<unknown>");
    }
    let indent = "  ".repeat(depth);
    match value.kind() {
        Kind::Null => out.push_str("null"),
        Kind::String(text) if depth == 0 => out.push_str(text),
        Kind::String(text) => out.push_str(&quote(text)),
        Kind::Elements(elements) if elements.is_empty() => out.push_str("[]"),
        Kind::Elements(elements) => {
            out.push_str("[\n");
            for element in elements.iter() {
                let _ = write!(out, "{indent}  ");
                write(element, depth + 1, out);
                out.push_str(",\n");
            }
            let _ = write!(out, "{indent}]");
        }
        Kind::Entries(entries) => {
            let entries: Vec<_> = entries.iter().filter(|(_, v)| !v.is_null()).collect();
            if entries.is_empty() {
                return out.push_str("{}");
            }
            out.push_str("{\n");
            for (key, element) in entries {
                let _ = write!(out, "{indent}  {} = ", quote(key));
                write(element, depth + 1, out);
                out.push('\n');
            }
            let _ = write!(out, "{indent}}}");
        }
        _ => {
            // Numbers and bools have a text.
            let text = convert(value, &image_action_lang::Type::String);
            out.push_str(text.ok().as_ref().and_then(Value::as_str).unwrap_or_default());
        }
    }
}

/// A text between quotes, as Go's `%q` writes it.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\u{b}' => quoted.push_str("\\v"),
            c if c.is_control() && (c as u32) < 0x80 => {
                let _ = write!(quoted, "\\x{:02x}", c as u32);
            }
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use image_action_lang::Type;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    #[test]
    fn values_look_as_in_packer() {
        let value = Value::object(BTreeMap::from([
            (Arc::from("a"), Value::strings(["x", "y"])),
            (Arc::from("gone"), Value::null(Type::String)),
            (Arc::from("n"), Value::int(3)),
        ]));
        assert_eq!(print(&value), "{\n  \"a\" = [\n    \"x\",\n    \"y\",\n  ]\n  \"n\" = 3\n}");
        assert_eq!(print(&Value::string("a\"b")), "a\"b");
        assert_eq!(print(&Value::string("s").with_sensitive(true)), "<sensitive>");
        assert_eq!(print(&Value::tuple(vec![Value::dynamic()])), "<unknown>");
        assert_eq!(quote("é\t\"\u{1}"), "\"é\\t\\\"\\x01\"");
    }
}
