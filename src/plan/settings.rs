//! Options as they were understood, one line each: what a template sets, and defaults that decide something.

use image_action_engine::config::{Block, Schema, Shape, UNKNOWN_TEXT};
use image_action_engine::secret::MASK;
use image_action_lang::{Kind, Type, Value, convert};
use serde::Serialize;

/// What stands where a value is known only once data sources were read, or the machine runs.
const LATER: &str = "(known later)";

/// One option.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// Its name; in a block and in a map with the names around it: `aws_polling.max_attempts`, `tags.Version`,
    /// `launch_block_device_mappings[0].volume_size`.
    pub option: String,
    /// Its value, as a template would say it, in one line; masked where it is secret.
    pub value: String,
    /// Whether it is the default.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// Whether its value is masked.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// The value itself, to be compared and never shown.
    #[serde(skip)]
    real: String,
}

impl Setting {
    /// One whose value is no secret.
    pub fn plain(option: &str, value: String) -> Setting {
        Setting { option: option.to_owned(), real: value.clone(), value, default: false, sensitive: false }
    }
    /// Puts one text in the place of another.
    pub fn replace(&mut self, from: &str, to: &str) {
        self.value = self.value.replace(from, to);
        self.real = self.real.replace(from, to);
    }
    /// Whether another one says the same.
    pub fn same_as(&self, other: &Setting) -> bool {
        self.real == other.real && self.sensitive == other.sensitive
    }
}

/// The options of a body that are set, in the order of the declaration, and the defaults among `decisive`.
pub fn of(block: &Block, schema: &Schema, decisive: &[&str]) -> Vec<Setting> {
    let mut all = Vec::new();
    body(block, schema, "", &mut all);
    for field in schema.fields.iter().filter(|f| decisive.contains(&f.name) && !block.is_set(f.name)) {
        let Some(default) = field.default else { continue };
        let number = matches!(&field.shape, Shape::Attribute { ty, .. } if *ty == Type::Number);
        let value = if number { default.to_owned() } else { quote(default) };
        all.push(Setting { default: true, ..Setting::plain(field.name, value) });
    }
    all
}

fn body(block: &Block, schema: &Schema, prefix: &str, all: &mut Vec<Setting>) {
    for field in &schema.fields {
        let name = format!("{prefix}{}", field.name);
        match &field.shape {
            Shape::Attribute { .. } => {
                if let Some(value) = block.value(field.name) {
                    attribute(&name, value, field.sensitive, all);
                }
            }
            Shape::Block { schema, many } => {
                for (n, inner) in block.blocks_named(field.name).iter().enumerate() {
                    let prefix = if *many { format!("{name}[{n}].") } else { format!("{name}.") };
                    body(inner, schema(), &prefix, all);
                }
            }
        }
    }
}

/// A map is shown entry by entry, so that a change of one tag is the change of one line.
fn attribute(name: &str, value: &Value, sensitive: bool, all: &mut Vec<Setting>) {
    let sensitive = sensitive || value.is_sensitive();
    if let (Some(entries), false, true) = (value.entries(), sensitive, !value.is_unknown()) {
        for (key, entry) in entries.iter().filter(|(_, v)| !v.is_null()) {
            attribute(&format!("{name}.{key}"), entry, false, all);
        }
        return;
    }
    // A Go template of a text that was not known before is none itself.
    let masked = sensitive || value.contains_sensitive();
    let value_text = if masked && sensitive { MASK.to_owned() } else { show(value, false) };
    all.push(Setting {
        option: name.to_owned(),
        value: value_text,
        default: false,
        sensitive: masked,
        real: show(value, true),
    });
}

/// A value in one line, as a template would say it.
fn show(value: &Value, secrets: bool) -> String {
    if value.is_sensitive() && !secrets {
        return MASK.to_owned();
    }
    match value.kind() {
        Kind::Unknown => LATER.to_owned(),
        Kind::Null => "null".to_owned(),
        Kind::String(text) if &**text == UNKNOWN_TEXT => LATER.to_owned(),
        Kind::String(text) => quote(text),
        Kind::Elements(elements) => {
            let all: Vec<String> = elements.iter().map(|e| show(e, secrets)).collect();
            format!("[{}]", all.join(", "))
        }
        Kind::Entries(entries) => {
            let entries = entries.iter().filter(|(_, v)| !v.is_null());
            let all: Vec<String> = entries.map(|(k, v)| format!("{k} = {}", show(v, secrets))).collect();
            if all.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", all.join(", ")) }
        }
        // Numbers and bools have a text.
        _ => convert(value, &Type::String).ok().and_then(|t| t.as_str().map(str::to_owned)).unwrap_or_default(),
    }
}

/// A text between quotes; line breaks and the like as HCL writes them.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    #[test]
    fn values_stand_in_one_line_and_secrets_in_none() {
        let secret = Value::string("hunter2").with_sensitive(true);
        let value = Value::tuple(vec![Value::string("a\nb"), Value::int(3), secret.clone(), Value::dynamic()]);
        assert_eq!(show(&value, false), "[\"a\\nb\", 3, <sensitive>, (known later)]");
        let mut all = Vec::new();
        let map = Value::object(BTreeMap::from([(Arc::from("x"), secret), (Arc::from("y"), Value::string("1"))]));
        attribute("tags", &map, false, &mut all);
        let shown: Vec<_> = all.iter().map(|s| (s.option.as_str(), s.value.as_str(), s.sensitive)).collect();
        assert_eq!(shown, [("tags.x", "<sensitive>", true), ("tags.y", "\"1\"", false)]);
        let json = serde_json::to_string(&all).unwrap_or_default();
        assert!(!json.contains("hunter2"), "{json}");
    }

    #[test]
    fn a_secret_that_changes_is_known_to_change() {
        let of = |text: &str| {
            let mut all = Vec::new();
            attribute("password", &Value::string(text), true, &mut all);
            all.remove(0)
        };
        assert!(of("a").same_as(&of("a")) && !of("a").same_as(&of("b")));
        assert_eq!(of("a").value, of("b").value);
    }
}
