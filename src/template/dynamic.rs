//! `dynamic "TYPE" { for_each, iterator, labels, content { … } }`: blocks that are made from a collection.

use crate::template::syntax::{Block, Content, Label, is_identifier};
use image_action_lang::{Diagnostic, Diagnostics, Scope, Type, Value, convert};
use std::collections::BTreeMap;
use std::sync::Arc;

const ARGUMENTS: [&str; 3] = ["for_each", "iterator", "labels"];

/// `content.blocks` with every `dynamic` block replaced by what it makes.
///
/// `labels_of` knows the block types that may stand here, and their numbers of labels.
pub fn expand(
    blocks: Vec<Block>,
    labels_of: &dyn Fn(&str) -> Option<usize>,
    scope: &Scope,
    diags: &mut Diagnostics,
) -> Vec<Block> {
    let mut expanded = Vec::with_capacity(blocks.len());
    for block in blocks {
        if &*block.kind == "dynamic" {
            one(&block, labels_of, scope, &mut expanded, diags);
        } else {
            expanded.push(block);
        }
    }
    expanded
}

fn one(
    block: &Block,
    labels_of: &dyn Fn(&str) -> Option<usize>,
    scope: &Scope,
    expanded: &mut Vec<Block>,
    diags: &mut Diagnostics,
) {
    if !block.check_labels(&["type"], diags) {
        return;
    }
    let kind: Arc<str> = Arc::from(block.label(0));
    let Some(label_count) = labels_of(&kind) else {
        diags.push(
            Diagnostic::error("Unsupported block type")
                .detail(format!("Blocks of type {kind:?} are not expected here."))
                .at(block.label_span(0)),
        );
        return;
    };
    let scope = &scope.child(block.frame.iter().cloned());
    let content = block.body.content(&|n| (n == "content").then_some(0), diags);
    for attribute in content.attributes.iter().filter(|a| !ARGUMENTS.contains(&&*a.name)) {
        diags.push(super::unknown_argument(attribute, &ARGUMENTS));
    }
    let Some(body) = inner_body(block, &content, diags) else { return };
    let Some(for_each) = content.attribute("for_each") else {
        diags.push(super::missing_argument("for_each", &block.header));
        return;
    };
    if label_count > 0 && content.attribute("labels").is_none() {
        let d = super::missing_argument("labels", &block.header);
        diags.push(d.hint(format!("{kind} blocks have labels: write labels = [ … ] beside for_each")));
        return;
    }
    let iterator = match content.attribute("iterator") {
        None => kind.clone(),
        Some(a) => match a.expr.keyword().filter(|k| is_identifier(k)) {
            Some(name) => name,
            None => {
                diags.push(
                    Diagnostic::error("Invalid iterator name")
                        .detail("The iterator is named by a bare word, without quotes.")
                        .at(a.expr.span()),
                );
                return;
            }
        },
    };
    let before = diags.len();
    let collection = for_each.expr.eval(scope, diags);
    if diags.len() > before {
        return;
    }
    let Some(pairs) = pairs(&collection) else {
        diags.push(
            Diagnostic::error("Invalid dynamic for_each value")
                .detail("A list, set, tuple, map or object is required, and it must not be null.")
                .at(for_each.expr.span()),
        );
        return;
    };
    for (key, value) in pairs {
        let pair = Value::object(BTreeMap::from([(Arc::from("key"), key), (Arc::from("value"), value)]));
        let pair = pair.tainted(collection.is_sensitive());
        let frame = vec![(iterator.clone(), pair)];
        let labels = match content.attribute("labels").filter(|_| label_count > 0) {
            None => Vec::new(),
            Some(a) => match labels(a, &scope.child(frame.iter().cloned()), diags) {
                Some(labels) => labels,
                None => return,
            },
        };
        expanded.push(Block {
            kind: kind.clone(),
            kind_span: block.label_span(0),
            labels,
            header: block.header.clone(),
            body: body.clone(),
            frame: block.frame.iter().cloned().chain(frame).collect(),
        });
    }
}

/// What is run over; one unknown round where the collection is not known yet, nothing where it cannot be run over.
fn pairs(collection: &Value) -> Option<Vec<(Value, Value)>> {
    if collection.is_unknown() && !collection.ty().is_primitive() {
        return Some(vec![(Value::dynamic(), Value::dynamic())]);
    }
    collection.iterate()
}

fn inner_body(block: &Block, content: &Content, diags: &mut Diagnostics) -> Option<super::syntax::Body> {
    let mut bodies = content.blocks.iter().filter(|b| &*b.kind == "content");
    for other in content.blocks.iter().filter(|b| &*b.kind != "content") {
        diags.push(super::unknown_block(other, &["content"]));
    }
    let first = bodies.next();
    if let Some(second) = bodies.next() {
        diags.push(
            Diagnostic::error("Extraneous dynamic content block")
                .detail("A dynamic block has one content block.")
                .at(second.header.clone()),
        );
        return None;
    }
    if first.is_none() {
        diags.push(
            Diagnostic::error("Missing dynamic content block")
                .detail("A dynamic block has a content block: what each of its blocks holds.")
                .at(block.header.clone()),
        );
    }
    first.map(|b| b.body.clone())
}

fn labels(attribute: &super::syntax::Attribute, scope: &Scope, diags: &mut Diagnostics) -> Option<Vec<Label>> {
    let before = diags.len();
    let value = attribute.expr.eval(scope, diags);
    if diags.len() > before {
        return None;
    }
    let span = attribute.expr.span();
    let texts: Option<Vec<Label>> = value.elements().and_then(|all| {
        all.iter()
            .map(|v| {
                let text = convert(v, &Type::String).ok()?;
                Some(Label { text: Arc::from(text.as_str()?), span: span.clone() })
            })
            .collect()
    });
    if texts.is_none() {
        diags.push(
            Diagnostic::error("Invalid dynamic block label")
                .detail("The labels are a list of texts that are known before anything runs.")
                .at(span),
        );
    }
    texts
}
