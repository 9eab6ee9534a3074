//! From the body of a component to the checked [`Block`] that it is made from: evaluated, checked, its Go templates rendered.

use crate::template::dynamic;
use crate::template::syntax::{Content, Expr};
use image_action_engine::config::check::{check, check_values, map_strings};
use image_action_engine::config::{Attribute, Block, Schema, Shape};
use image_action_lang::gotemplate::{self, Data, Functions};
use image_action_lang::{Diagnostic, Diagnostics, Scope, Span, Value};

/// The names of the blocks that a schema has: none of them has labels. `dynamic` may stand beside them.
pub fn labels_of(schema: &Schema, dynamic: bool) -> impl Fn(&str) -> Option<usize> + '_ {
    move |name| match schema.field(name) {
        Some(field) => matches!(field.shape, Shape::Block { .. }).then_some(0),
        None => (dynamic && name == "dynamic").then_some(1),
    }
}

/// Evaluates a body; its names are not checked yet.
pub fn evaluate(
    content: &Content,
    header: &Span,
    schema: &Schema,
    scope: &Scope,
    dynamic: bool,
    diags: &mut Diagnostics,
) -> Block {
    let mut block = Block { span: Some(header.clone()), ..Block::default() };
    for attribute in &content.attributes {
        let known = schema.field(&attribute.name).is_some_and(|f| matches!(f.shape, Shape::Attribute { .. }));
        let (value, span) = if known {
            (attribute.expr.eval(scope, diags), attribute.expr.span())
        } else {
            // Its name is what is wrong; its value does not matter.
            (Value::dynamic(), attribute.name_span.clone())
        };
        block.attributes.insert(attribute.name.to_string(), Attribute { value, span: Some(span) });
    }
    let labels_of = labels_of(schema, false);
    let blocks = if dynamic {
        dynamic::expand(content.blocks.clone(), &labels_of, scope, diags)
    } else {
        content.blocks.clone()
    };
    for inner in blocks {
        let field = schema.field(&inner.kind).map(|f| &f.shape);
        let evaluated = match field {
            Some(Shape::Block { schema, .. }) => {
                inner.check_labels(&[], diags);
                let schema = schema();
                let scope = scope.child(inner.frame.iter().cloned());
                let names = self::labels_of(schema, dynamic);
                let content = inner.body.content(&names, diags);
                evaluate(&content, &inner.header, schema, &scope, dynamic, diags)
            }
            _ => Block { span: Some(inner.header.clone()), ..Block::default() },
        };
        block.blocks.entry(inner.kind.to_string()).or_default().push(evaluated);
    }
    block
}

/// Checks an evaluated body, converts its values and renders the Go templates in them; `change` is applied in between.
pub fn finish(
    block: Block,
    schema: &Schema,
    functions: &Functions,
    change: impl FnOnce(&mut Block, &mut Diagnostics),
    diags: &mut Diagnostics,
) -> Block {
    let (mut block, found) = check(block, schema);
    diags.extend(found);
    change(&mut block, diags);
    let data = Data::new();
    let mut render = |field: &image_action_engine::config::Field, text: &str| {
        if !gotemplate::is_template(text) {
            return Ok(None);
        }
        let result = if field.late {
            gotemplate::check_with(text, functions).map(|()| None)
        } else {
            gotemplate::render(text, &data, functions).map(Some)
        };
        result.map_err(|why| format!("{why}\nin: {text}"))
    };
    map_strings(&mut block, schema, &mut render, diags);
    diags.extend(check_values(&block, schema));
    block
}

/// What an `override` object says about one source, laid over a checked body: texts, numbers and bools replace, maps are
/// merged by key, lists by index.
pub fn overlay(block: &mut Block, schema: &Schema, over: &Value, expr: &Expr, diags: &mut Diagnostics) {
    for (name, value) in over.entries().into_iter().flat_map(|e| e.iter()) {
        let Some(Shape::Attribute { ty, .. }) = schema.field(name).map(|f| &f.shape) else {
            let d = Diagnostic::error(format!("Unknown option {name:?} in override"))
                .detail("The overriding object may set what the block itself may set.")
                .at(expr.span());
            let near = image_action_lang::diag::suggest(name, schema.fields.iter().map(|f| f.name));
            diags.push(match near {
                Some(near) => d.hint(format!("did you mean {near:?}?")),
                None => d,
            });
            continue;
        };
        let value = match image_action_lang::convert(&split(value, ty), ty) {
            Ok(value) => value,
            Err(e) => {
                diags.push(
                    Diagnostic::error("Incorrect attribute value type")
                        .detail(format!("Inappropriate value for {name:?} in override: {e}."))
                        .at(expr.span()),
                );
                continue;
            }
        };
        let merged = match block.value(name) {
            Some(base) => merge(base, &value),
            None => value,
        };
        block.attributes.insert(name.to_string(), Attribute { value: merged, span: Some(expr.span()) });
    }
}

/// A text where a list is wanted is a list with commas between its elements.
fn split(value: &Value, ty: &image_action_lang::Type) -> Value {
    match (value.as_str(), ty) {
        (Some(text), image_action_lang::Type::List(_)) => Value::strings(text.split(',').filter(|t| !t.is_empty())),
        _ => value.clone(),
    }
}

fn merge(base: &Value, over: &Value) -> Value {
    if let (Some(base_entries), Some(entries)) = (base.entries(), over.entries()) {
        let mut all = base_entries.clone();
        all.extend(entries.iter().map(|(k, v)| (k.clone(), v.clone())));
        return Value::new(over.ty().clone(), image_action_lang::Kind::Entries(all.into()))
            .tainted(base.is_sensitive() || over.is_sensitive());
    }
    if let (Some(base_elements), Some(elements)) = (base.elements(), over.elements()) {
        let mut all = elements.to_vec();
        all.extend(base_elements.iter().skip(elements.len()).cloned());
        return Value::new(over.ty().clone(), image_action_lang::Kind::Elements(all.into()))
            .tainted(base.is_sensitive() || over.is_sensitive());
    }
    over.clone()
}
