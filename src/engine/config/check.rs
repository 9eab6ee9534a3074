//! Checks a body against a declaration: unknown and missing arguments, wrong types, blocks in the place of arguments; all of
//! them, each with its place and, where there is one, the name that was probably meant.

use super::{Attribute, Block, Field, Schema, Shape};
use image_action_lang::{Diagnostic, Diagnostics, Span, Type, Value, convert, diag::name_hint};

/// A body whose names are all declared and whose values all have their declared types, and what is wrong with the rest.
///
/// What is wrong is left out of the returned body. Values are not looked at beyond their type: [`check_values`] does, once
/// the Go templates in them are rendered.
pub fn check(body: Block, schema: &Schema) -> (Block, Diagnostics) {
    let mut diags = Diagnostics::new();
    let checked = check_body(body, schema, &mut diags);
    (checked, diags)
}

fn check_body(body: Block, schema: &Schema, diags: &mut Diagnostics) -> Block {
    let mut checked = Block { span: body.span.clone(), ..Block::default() };
    missing(&body, schema, diags);
    for (name, attribute) in body.attributes {
        match schema.field(&name) {
            None => diags.push(unknown_argument(&name, schema, attribute.span)),
            Some(Field { shape: Shape::Block { .. }, .. }) => diags.push(
                Diagnostic::error("Unsupported argument")
                    .detail(format!("An argument named {name:?} is not expected here."))
                    .at(attribute.span)
                    .hint(format!("{name} is a block: write {name} {{ … }}, without the equals sign")),
            ),
            Some(Field { shape: Shape::Attribute { ty, .. }, .. }) => {
                if let Some(attribute) = converted(&name, attribute, ty, diags) {
                    checked.attributes.insert(name, attribute);
                }
            }
        }
    }
    for (kind, blocks) in body.blocks {
        match schema.field(&kind) {
            Some(Field { shape: Shape::Block { schema: inner, many }, .. }) => {
                if let (false, Some(second)) = (many, blocks.get(1)) {
                    diags.push(
                        Diagnostic::error(format!("Duplicate {kind} block"))
                            .detail(format!("Only one block of type {kind:?} is allowed here."))
                            .at(second.span.clone())
                            .hint("remove it, or put its arguments into the first one"),
                    );
                }
                let inner = inner();
                let blocks = blocks.into_iter().map(|b| check_body(b, inner, diags)).collect();
                checked.blocks.insert(kind, blocks);
            }
            other => {
                for block in blocks {
                    diags.push(unknown_block(&kind, other, schema, block.span));
                }
            }
        }
    }
    checked
}

/// What is said of an argument that has to be there.
pub const MISSING: &str = "Missing required argument";

fn missing(body: &Block, schema: &Schema, diags: &mut Diagnostics) {
    for field in schema.fields.iter().filter(|f| f.required) {
        // An unknown value may turn out to be there.
        if body.is_set(field.name) {
            continue;
        }
        let d = match field.shape {
            Shape::Attribute { .. } => Diagnostic::error(MISSING)
                .detail(format!("The argument {:?} is required, but no definition was found.", field.name)),
            Shape::Block { .. } => Diagnostic::error(format!("Insufficient {} blocks", field.name))
                .detail(format!("A block of type {:?} is required, but there is none.", field.name)),
        };
        diags.push(match field.doc.lines().next() {
            Some(line) if !line.is_empty() => d.at(body.span.clone()).hint(format!("{}: {line}", field.name)),
            _ => d.at(body.span.clone()),
        });
    }
}

fn converted(name: &str, attribute: Attribute, ty: &Type, diags: &mut Diagnostics) -> Option<Attribute> {
    match convert(&attribute.value, ty) {
        Ok(value) => Some(Attribute { value, span: attribute.span }),
        Err(e) => {
            let d = Diagnostic::error("Incorrect attribute value type")
                .detail(format!("Inappropriate value for attribute {name:?}: {e}."))
                .at(attribute.span);
            diags.push(match form_of(name, ty) {
                Some(form) => d.hint(form),
                None => d,
            });
            None
        }
    }
}

/// How a value of a type is written.
fn form_of(name: &str, ty: &Type) -> Option<String> {
    Some(match ty {
        Type::Bool => format!("write {name} = true, or {name} = false"),
        Type::Number => format!("write a number, such as {name} = 10"),
        Type::List(e) | Type::Set(e) if matches!(e.as_ref(), Type::String) => format!("write {name} = [\"…\", \"…\"]"),
        Type::Map(e) if matches!(e.as_ref(), Type::String) => format!("write {name} = {{ KEY = \"…\" }}"),
        Type::String => format!("write {name} = \"…\""),
        _ => return None,
    })
}

fn unknown_argument(name: &str, schema: &Schema, span: Option<Span>) -> Diagnostic {
    let d = Diagnostic::error("Unsupported argument")
        .detail(format!("An argument named {name:?} is not expected here."))
        .at(span);
    let known: Vec<&str> = schema.fields.iter().map(|f| f.name).collect();
    match name_hint(name, &known) {
        Some(hint) => d.hint(hint),
        None if known.is_empty() => d.hint("nothing can be set here: remove it"),
        None => d.hint("`image-action explain TYPE` lists what can be set here"),
    }
}

fn unknown_block(kind: &str, field: Option<&Field>, schema: &Schema, span: Option<Span>) -> Diagnostic {
    let d = Diagnostic::error("Unsupported block type")
        .detail(format!("Blocks of type {kind:?} are not expected here."))
        .at(span);
    if field.is_some() {
        return d.hint(format!("{kind} is an argument: write {kind} = …, with an equals sign"));
    }
    let blocks = schema.fields.iter().filter(|f| matches!(f.shape, Shape::Block { .. }));
    let blocks: Vec<&str> = blocks.map(|f| f.name).collect();
    match name_hint(kind, &blocks) {
        Some(hint) => d.hint(hint),
        None if blocks.is_empty() => d.hint("no blocks can stand here: remove it"),
        None => d.hint("`image-action explain TYPE` lists what can stand here"),
    }
}

/// What is wrong with the values of a checked body beyond their types (a duration without a unit), and which of its options
/// are deprecated.
pub fn check_values(body: &Block, schema: &Schema) -> Diagnostics {
    let mut diags = Diagnostics::new();
    walk(body, schema, &mut |field, attribute| {
        if let (Shape::Attribute { form, .. }, Some(attribute)) = (&field.shape, attribute)
            && let Err(why) = form.check(&attribute.value)
        {
            diags.push(
                Diagnostic::error(format!("Invalid value for {}", field.name))
                    .detail(format!("{why}."))
                    .at(attribute.span.clone()),
            );
        }
    });
    diags
}

/// The options of a checked body that validate and are not acted on: a plan or a build must not go on with them.
pub fn unsupported(body: &Block, schema: &Schema) -> Diagnostics {
    let mut diags = Diagnostics::new();
    let set = declared(body, schema, |f| f.unsupported).into_iter();
    for (field, span) in set.filter(|(f, _)| !body.value(f.name).is_some_and(|v| says_nothing(v, f.default))) {
        diags.push(refusal(&field, format!("The option {} is not supported yet", field.name), span));
    }
    walk(body, schema, &mut |field, attribute| {
        let Some(attribute) = attribute else { return };
        let text = attribute.value.as_str().unwrap_or_default();
        if field.unsupported_values.iter().any(|v| v.eq_ignore_ascii_case(text)) {
            let what = format!("{} = \"{text}\" is not supported yet", field.name);
            diags.push(refusal(field, what, attribute.span.clone()));
        }
    });
    diags
}

fn refusal(field: &Field, what: String, span: Option<Span>) -> Diagnostic {
    Diagnostic::error(what)
        .detail(
            "It is known, so the template is valid, but nothing here acts on it; without it the image would be another \
             one than the template asks for.",
        )
        .at(span)
        .hint(field.instead.unwrap_or("remove it from the template, or build this source with Packer"))
}

/// Whether a value asks for no more than leaving it out: `false`, an empty text or collection, the default.
fn says_nothing(value: &Value, default: Option<&str>) -> bool {
    let text = convert(value, &Type::String).ok();
    let text = text.as_ref().and_then(Value::as_str);
    match default {
        Some(default) => text == Some(default),
        None => matches!(text, Some("" | "false" | "0")) || value.len() == Some(0),
    }
}

/// The options of a checked body that something else should be used for.
pub fn deprecated(body: &Block, schema: &Schema) -> Diagnostics {
    let found = declared(body, schema, |f| f.deprecated.is_some());
    found
        .into_iter()
        .map(|(field, span)| {
            let d = Diagnostic::warning(format!("The option {} is deprecated", field.name)).at(span);
            let instead = field.deprecated.unwrap_or_default();
            d.hint(match instead.strip_prefix("nothing: ") {
                Some(why) => format!("remove it: {why}"),
                None => format!("use {instead}"),
            })
        })
        .collect()
}

/// The options that are set and that `which` takes, with their places, at all depths.
fn declared(body: &Block, schema: &Schema, which: fn(&Field) -> bool) -> Vec<(Field, Option<Span>)> {
    let mut found = Vec::new();
    for field in &schema.fields {
        if which(field) && body.is_set(field.name) {
            found.push((field.clone(), body.span_of(field.name)));
        }
        if let Shape::Block { schema: inner, .. } = &field.shape {
            for block in body.blocks_named(field.name) {
                found.extend(declared(block, inner(), which));
            }
        }
    }
    found
}

/// Calls `visit` with every declared attribute and its value, if it is set (and not null), at all depths.
fn walk(body: &Block, schema: &Schema, visit: &mut dyn FnMut(&Field, Option<&Attribute>)) {
    for field in &schema.fields {
        match &field.shape {
            Shape::Attribute { .. } => {
                visit(field, body.attributes.get(field.name).filter(|a| !a.value.is_null()));
            }
            Shape::Block { schema: inner, .. } => {
                let inner = inner();
                body.blocks_named(field.name).iter().for_each(|b| walk(b, inner, visit));
            }
        }
    }
}

/// What a text of an option becomes (`None`: it stays), or why it cannot be.
pub type Replace<'a> = dyn FnMut(&Field, &str) -> Result<Option<String>, String> + 'a;

/// Replaces every string of the attributes of a checked body, at all depths of blocks and values, keys of maps included.
/// `replace` is given the option and the text; its error is reported at the option.
pub fn map_strings(body: &mut Block, schema: &Schema, replace: &mut Replace<'_>, diags: &mut Diagnostics) {
    for (name, attribute) in &mut body.attributes {
        let Some(field) = schema.field(name) else { continue };
        match attribute.value.map_strings(&mut |text| replace(field, text)) {
            Ok(value) => attribute.value = value,
            Err(why) => diags
                .push(Diagnostic::error(format!("Invalid template in {name}")).detail(why).at(attribute.span.clone())),
        }
    }
    for (kind, blocks) in &mut body.blocks {
        let Some(Field { shape: Shape::Block { schema: inner, .. }, .. }) = schema.field(kind) else { continue };
        let inner = inner();
        blocks.iter_mut().for_each(|b| map_strings(b, inner, replace, diags));
    }
}

/// The texts of the options that are declared sensitive, and of all values that are marked so.
pub fn sensitive_texts(body: &Block, schema: &Schema) -> Vec<String> {
    let mut found = Vec::new();
    walk(body, schema, &mut |field, attribute| {
        if let Some(attribute) = attribute {
            attribute.value.sensitive_texts(field.sensitive, &mut found);
        }
    });
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, dead_code)]
    use super::*;
    use crate::Config as _;
    use std::collections::BTreeMap;
    use std::time::Duration;

    /// A disk.
    #[derive(crate::Config)]
    struct Disk {
        /// Its size in GB.
        #[config(required)]
        size: i64,
    }

    /// A machine.
    #[derive(crate::Config)]
    struct Machine {
        region: Option<String>,
        #[config(deprecated = "region")]
        place: Option<String>,
        #[config(unsupported)]
        turbo: bool,
        #[config(unsupported_values = "steam, coal", instead = "use wind")]
        drive: String,
        timeout: Duration,
        #[config(block)]
        disks: Vec<Disk>,
        tags: BTreeMap<String, String>,
    }

    fn body(attributes: Vec<(&str, Value)>, blocks: Vec<(&str, Block)>) -> Block {
        let mut body = Block::default();
        for (name, value) in attributes {
            body.attributes.insert(name.into(), Attribute { value, span: None });
        }
        for (kind, block) in blocks {
            body.blocks.entry(kind.into()).or_default().push(block);
        }
        body
    }

    fn texts(diags: &Diagnostics) -> Vec<String> {
        diags.iter().map(|d| format!("{d} [{}]", d.hint.as_deref().unwrap_or_default())).collect()
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let given = body(
            vec![("regoin", Value::string("x")), ("disks", Value::int(1)), ("tags", Value::string("x"))],
            vec![("region", Block::default()), ("disk", Block::default()), ("disks", Block::default())],
        );
        let (checked, diags) = check(given, Machine::schema());
        assert_eq!(
            texts(&diags),
            [
                "Unsupported argument: An argument named \"disks\" is not expected here. [disks is a block: write disks { … }, without the equals sign]",
                "Unsupported argument: An argument named \"regoin\" is not expected here. [did you mean \"region\"?]",
                "Incorrect attribute value type: Inappropriate value for attribute \"tags\": map of string required. [write tags = { KEY = \"…\" }]",
                "Unsupported block type: Blocks of type \"disk\" are not expected here. [did you mean \"disks\"?]",
                "Missing required argument: The argument \"size\" is required, but no definition was found. [size: Its size in GB.]",
                "Unsupported block type: Blocks of type \"region\" are not expected here. [region is an argument: write region = …, with an equals sign]",
            ]
        );
        assert!(checked.attributes.is_empty());
    }

    #[test]
    fn values_are_converted_and_looked_at() {
        let given = body(
            vec![
                ("region", Value::int(7)),
                ("timeout", Value::string("5")),
                ("place", Value::string("x")),
                ("turbo", Value::string("true")),
            ],
            vec![],
        );
        let off = check(body(vec![("turbo", Value::bool(false))], vec![]), Machine::schema()).0;
        assert!(unsupported(&off, Machine::schema()).is_empty(), "switching it off asks for nothing");
        let schema = Machine::schema();
        let (checked, diags) = check(given, schema);
        assert!(diags.is_empty());
        assert_eq!(checked.value("region").unwrap().as_str(), Some("7"));
        assert_eq!(check_values(&checked, schema).len(), 1);
        assert_eq!(texts(&deprecated(&checked, schema)), ["The option place is deprecated [use region]"]);
        assert_eq!(unsupported(&checked, schema).len(), 1);
        let drives = |text| check(body(vec![("drive", Value::string(text))], vec![]), schema).0;
        assert_eq!(
            texts(&unsupported(&drives("Coal"), schema))
                .iter()
                .map(|t| t.split(':').next().unwrap())
                .collect::<Vec<_>>(),
            ["drive = \"Coal\" is not supported yet"]
        );
        assert!(texts(&unsupported(&drives("steam"), schema))[0].ends_with("[use wind]"));
        assert!(unsupported(&drives("wind"), schema).is_empty());
    }

    #[test]
    fn strings_are_replaced_at_every_depth() {
        let tags = BTreeMap::from([("a-x".into(), Value::string("x-1"))]);
        let schema = Machine::schema();
        let (mut checked, _) = check(body(vec![("tags", Value::map(Type::String, tags))], vec![]), schema);
        let mut diags = Diagnostics::new();
        map_strings(&mut checked, schema, &mut |_, s| Ok(Some(s.replace('x', "y"))), &mut diags);
        assert_eq!(format!("{:?}", checked.value("tags").unwrap()), r#"{"a-y": "y-1"}"#);
    }
}
