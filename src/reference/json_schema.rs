//! A JSON schema (draft 2020-12) of templates in JSON form, for editors.
//!
//! It says yes to whatever this program takes: texts may stand for numbers and bools, any text may be a template, null means
//! that an option is left out, a block may be an object or several in an array.

use super::{Entry, Kind, blocks, entries, marks};
use image_action_engine::Config;
use image_action_engine::config::{Field, Form, Schema, Shape};
use image_action_lang::Type;
use serde_json::{Map, Value, json};

/// Begins an interpolation or a directive.
const TEMPLATE: &str = "[$%]\\{";

/// The schema as a file.
pub fn text() -> String {
    // A value that was made of texts, numbers and objects can be written.
    serde_json::to_string_pretty(&schema()).unwrap_or_default() + "\n"
}

/// The schema.
pub fn schema() -> Value {
    let entries = entries();
    let mut definitions = values();
    for entry in &entries {
        let body = match (entry.kind, entry.name) {
            (Kind::Block, "build") => build(&entries, &definition(entry), &mut definitions),
            // Its `content` depends on where it stands.
            (Kind::Block, "dynamic") => continue,
            (kind, _) => {
                let mut schema = entry.schema.clone();
                schema.fields.extend(entry.common.iter().flat_map(|c| c.fields.clone()));
                // A build can add what a source lacks.
                body(&schema, kind != Kind::Source, &Map::new(), &definition(entry), &mut definitions)
            }
        };
        definitions.insert(definition(entry), body);
    }
    let mut properties = Map::new();
    for entry in entries.iter().filter(|e| e.kind == Kind::Block && e.name != "dynamic") {
        let body = reference(entry);
        let block = if entry.header().contains('"') { labelled(body) } else { many(body) };
        properties.insert(entry.name.to_owned(), described(block, entry.schema.doc));
    }
    for kind in [Kind::Source, Kind::Data] {
        properties.insert(kind.keyword().to_owned(), by_type(&entries, kind, labelled));
    }
    properties.insert("communicator".to_owned(), json!({"description": "Of older templates; without effect."}));
    properties.insert("//".to_owned(), json!({"description": "A comment."}));
    let file = json!({"type": "object", "properties": properties, "additionalProperties": false});
    definitions.insert("file".to_owned(), file);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Template of machine images (*.pkr.json)",
        "description": "Packer's HCL2 templates in JSON form, as image-action reads them. A component that required_plugins gives \
                        another name is not known here.",
        "anyOf": [{"$ref": "#/$defs/file"}, {"type": "array", "items": {"$ref": "#/$defs/file"}}],
        "$defs": definitions,
    })
}

fn definition(entry: &Entry) -> String {
    format!("{}.{}", entry.kind.keyword(), entry.name)
}

fn reference(entry: &Entry) -> Value {
    json!({"$ref": format!("#/$defs/{}", definition(entry))})
}

/// What values may look like.
fn values() -> Map<String, Value> {
    let duration = format!("{TEMPLATE}|\\{{\\{{|^$|^\\+?(0|([0-9.]+(ns|us|µs|μs|ms|s|m|h))+)$");
    let number = format!("{TEMPLATE}|\\{{\\{{|^[+-]?([0-9.]+([eE][+-]?[0-9]+)?|[iI]nf)$");
    let bool = format!("{TEMPLATE}|\\{{\\{{|^(true|false|0|1)$");
    let mut all = Map::new();
    all.insert("template".to_owned(), json!({"type": "string", "pattern": TEMPLATE}));
    all.insert("string".to_owned(), json!({"type": ["string", "number", "boolean", "null"]}));
    all.insert("duration".to_owned(), json!({"type": ["string", "null"], "pattern": duration}));
    all.insert("number".to_owned(), json!({"type": ["number", "string", "null"], "pattern": number}));
    all.insert("bool".to_owned(), json!({"type": ["boolean", "string", "null"], "pattern": bool}));
    all
}

fn value(ty: &Type, form: Form) -> Value {
    let named = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
    let or_template = |v: Value| json!({"anyOf": [v, named("template"), {"type": "null"}]});
    match ty {
        Type::String if form == Form::Duration => named("duration"),
        Type::String => named("string"),
        Type::Number => named("number"),
        Type::Bool => named("bool"),
        Type::List(e) | Type::Set(e) => or_template(json!({"type": "array", "items": value(e, Form::Any)})),
        Type::Map(e) => or_template(json!({"type": "object", "additionalProperties": value(e, Form::Any)})),
        Type::Tuple(_) => or_template(json!({"type": "array"})),
        Type::Object(_) => or_template(json!({"type": "object"})),
        Type::Dynamic => json!({}),
    }
}

/// The body of a block: an object. `more` are properties beside those of the schema; bodies inside of it are defined by their
/// paths.
fn body(
    schema: &Schema,
    complete: bool,
    more: &Map<String, Value>,
    path: &str,
    definitions: &mut Map<String, Value>,
) -> Value {
    let mut properties = Map::new();
    let mut others = json!(false);
    let mut required = Vec::new();
    let mut has_blocks = false;
    for field in &schema.fields {
        if field.name == blocks::ANY_NAME {
            others = option(field, path, definitions);
            continue;
        }
        let is_block = matches!(field.shape, Shape::Block { .. });
        has_blocks |= is_block;
        properties.insert(field.name.to_owned(), option(field, path, definitions));
        // Required blocks may be made by a dynamic one.
        if field.required && complete && !is_block {
            required.push(field.name);
        }
    }
    properties.extend(more.clone());
    if has_blocks || !more.is_empty() {
        properties
            .insert("dynamic".to_owned(), json!({"description": "Blocks that are made from a collection, by type."}));
    }
    properties.insert("//".to_owned(), json!({"description": "A comment."}));
    let mut body = json!({"type": "object", "properties": properties, "additionalProperties": others});
    if !required.is_empty() {
        body["required"] = json!(required);
    }
    body
}

fn option(field: &Field, path: &str, definitions: &mut Map<String, Value>) -> Value {
    let mut option = match &field.shape {
        Shape::Attribute { ty, form } => value(ty, *form),
        Shape::Block { schema, .. } => {
            let path = format!("{path}.{}", field.name);
            let inner = body(schema(), true, &Map::new(), &path, definitions);
            let reference = json!({"$ref": format!("#/$defs/{path}")});
            definitions.insert(path, inner);
            many(reference)
        }
    };
    let marks: String = marks(field).iter().map(|(word, rest)| format!("{word}{rest} ")).collect();
    option["description"] = json!(plain(&(marks + field.doc)));
    if let (Some(default), Shape::Attribute { ty, .. }) = (field.default, &field.shape) {
        let parsed = serde_json::from_str(default).ok().filter(|_| *ty != Type::String);
        option["default"] = parsed.unwrap_or_else(|| json!(default));
    }
    if field.deprecated.is_some() {
        option["deprecated"] = json!(true);
    }
    option
}

/// One body, or several in an array.
fn many(body: Value) -> Value {
    json!({"anyOf": [body.clone(), {"type": "array", "items": body}, {"type": "null"}]})
}

/// Bodies by a label that the template chooses.
fn labelled(body: Value) -> Value {
    let by_label = json!({"type": "object", "additionalProperties": many(body)});
    json!({"anyOf": [by_label.clone(), {"type": "array", "items": by_label}]})
}

/// Bodies by the name of a component.
fn by_type(entries: &[Entry], kind: Kind, wrap: impl Fn(Value) -> Value) -> Value {
    let mut types = Map::new();
    for entry in entries.iter().filter(|e| e.kind == kind) {
        types.insert(entry.name.to_owned(), described(wrap(reference(entry)), entry.schema.doc));
    }
    let by_type = json!({"type": "object", "properties": types, "additionalProperties": false});
    json!({"anyOf": [by_type.clone(), {"type": "array", "items": by_type}]})
}

fn described(mut schema: Value, doc: &str) -> Value {
    schema["description"] = json!(plain(doc));
    schema
}

/// A text without the line breaks of the source.
fn plain(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `build`, whose blocks are named by components.
fn build(entries: &[Entry], path: &str, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = blocks::Build::schema().clone();
    let docs: Vec<(&str, &str)> = schema.fields.iter().map(|f| (f.name, f.doc)).collect();
    let doc = |name: &str| docs.iter().find(|(n, _)| *n == name).map_or("", |(_, doc)| doc);
    schema.fields.retain(|f| matches!(f.shape, Shape::Attribute { .. }));
    let mut more = Map::new();
    // Beside its own options it takes those of a builder that its label names.
    more.insert("source".to_owned(), described(labelled(json!({"type": "object"})), doc("source")));
    let provisioner = by_type(entries, Kind::Provisioner, many);
    for name in ["provisioner", "error-cleanup-provisioner"] {
        more.insert(name.to_owned(), described(provisioner.clone(), doc(name)));
    }
    let one = by_type(entries, Kind::PostProcessor, many);
    more.insert("post-processor".to_owned(), described(one.clone(), doc("post-processor")));
    let dynamic = json!({"description": "Blocks that are made from a collection, by type."});
    let chain = json!({
        "type": "object",
        "properties": {"post-processor": one, "dynamic": dynamic, "//": {}},
        "additionalProperties": false,
    });
    more.insert("post-processors".to_owned(), described(many(chain), doc("post-processors")));
    more.insert("hcp_packer_registry".to_owned(), json!({"$ref": "#/$defs/block.hcp_packer_registry"}));
    body(&schema, true, &more, path, definitions)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_reference_leads_to_a_definition() {
        let schema = schema();
        let definitions = schema["$defs"].as_object().unwrap();
        let text = text();
        for (n, _) in text.match_indices("#/$defs/") {
            let name = text[n + 8..].split('"').next().unwrap();
            assert!(definitions.contains_key(name), "{name}");
        }
    }
}
