//! Every recorded answer of Packer 1.16.0 (`data/expressions.jsonl`, one a line): the value as JSON, its type, or the
//! class of the error. All rows are run; what differs is printed, and nothing may differ.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use base64::Engine as _;
use image_action_lang::parse::parse_body;
use image_action_lang::{Diagnostics, Kind, Scope, Source, Type, Value, World, eval};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

const ROWS: &str = include_str!("data/expressions.jsonl");

/// Classes under which Packer reports what does not parse. Our parser may call it otherwise: it must only refuse.
const PARSE_ERRORS: &[&str] = &[
    "argument-or-block-definition-required",
    "invalid-attribute-name",
    "invalid-escape-sequence",
    "invalid-expression",
    "invalid-for-expression",
    "invalid-legacy-index-syntax",
    "invalid-multi-line-string",
    "invalid-template-control-keyword",
    "missing-argument-separator",
    "missing-closing-parenthesis",
    "nested-splat-expression-not-allowed",
    "unexpected-else-directive",
    "unexpected-end-of-template",
    "unexpected-endif-directive",
    "unsupported-operator",
    "unterminated-template-string",
];

/// Two summaries of one thing: whether a function blames an argument or the call as a whole.
const CALL_ERRORS: &[&str] = &["invalid-function-argument", "error-in-function-call"];

enum Answer {
    Value(Value),
    Unparsed(Diagnostics),
    Failed(Diagnostics),
}

fn answer(expr: &str, dir: &std::path::Path) -> Answer {
    let text = format!("x = {expr}\n");
    let source = Source::new("test.pkr.hcl", text.as_str());
    let body = match parse_body(&source.name, &source.text) {
        Ok(body) => body,
        Err(diags) => return Answer::Unparsed(diags),
    };
    let world = World::new(dir, BTreeMap::from([("HOME".into(), "/home/me".into())]), chrono::DateTime::UNIX_EPOCH);
    let scope = Scope::new(Arc::new(world)).child([]);
    let mut diags = Diagnostics::new();
    let value = eval(&body.get_attribute("x").unwrap().value, &scope, &source, &mut diags);
    if diags.has_errors() { Answer::Failed(diags) } else { Answer::Value(value) }
}

/// What `jsonencode` says of a value, by way of the function itself.
fn json(value: &Value) -> String {
    let source = Source::new("json", "jsonencode(x)");
    let expr = image_action_lang::parse::parse_expr(&source.name, &source.text).unwrap();
    let world = World::new("/", BTreeMap::new(), chrono::DateTime::UNIX_EPOCH);
    let scope = Scope::new(Arc::new(world)).with("x", value.clone());
    let mut diags = Diagnostics::new();
    let text = eval(&expr, &scope, &source, &mut diags);
    text.as_str().map_or_else(|| format!("{diags:?}"), str::to_owned)
}

fn gunzip(json: &str) -> Option<String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(json.trim_matches('"')).ok()?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).ok()?;
    Some(text)
}

/// A type in the words of the recording: `dynamic` for that of an untyped null, a colon after an attribute's name.
fn type_name(ty: &Type) -> String {
    ty.to_string().replace("any", "dynamic").replace(" = ", ": ")
}

fn class(summary: &str) -> String {
    summary.to_lowercase().replace(' ', "-")
}

/// `None` where the answer is the recorded one.
fn difference(row: &serde_json::Value, dir: &std::path::Path) -> Option<String> {
    let expr = row["expr"].as_str().unwrap();
    let got = answer(expr, dir);
    if let Some(want) = row["error"].as_str() {
        return match got {
            Answer::Value(v) => Some(format!("{v:?} instead of the error {want}")),
            Answer::Unparsed(_) if PARSE_ERRORS.contains(&want) => None,
            Answer::Unparsed(d) => Some(format!("does not parse ({d:?}) instead of {want}")),
            Answer::Failed(d) => {
                let first = d.iter().next().unwrap();
                let got = class(&first.summary);
                let same = got == want
                    || (CALL_ERRORS.contains(&got.as_str()) && CALL_ERRORS.contains(&want))
                    || PARSE_ERRORS.contains(&want);
                let named = row["param"].as_str().is_none_or(|p| first.detail.contains(&format!("{p:?}")));
                (!same || !named).then(|| format!("{first:?} instead of {want} {}", row["param"]))
            }
        };
    }
    let want = row["want"].as_str().unwrap();
    let value = match got {
        Answer::Value(v) => v,
        Answer::Unparsed(d) | Answer::Failed(d) => return Some(format!("{d:?} instead of {want}")),
    };
    let got = if matches!(value.kind(), Kind::Unknown) { "unknown".to_owned() } else { json(&value) };
    if got != want {
        // Compressed bytes depend on the compressor; what they stand for does not.
        let packed = expr.starts_with("base64gzip") && gunzip(&got).is_some_and(|t| Some(t) == gunzip(want));
        if !packed {
            return Some(format!("{got} instead of {want}"));
        }
    }
    let ty = type_name(value.ty());
    match row["type"].as_str() {
        Some(want) if ty != want => Some(format!("type {ty} instead of {want}")),
        _ => None,
    }
}

#[test]
fn every_row_has_the_recorded_answer() {
    let mut rows = 0;
    let mut wrong = Vec::new();
    for line in ROWS.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        rows += 1;
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in row["files"].as_object().into_iter().flatten() {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content.as_str().unwrap()).unwrap();
        }
        if let Some(difference) = difference(&row, dir.path()) {
            wrong.push(format!("{}: {}\n    {difference}", row["section"].as_str().unwrap(), row["expr"]));
        }
    }
    assert_eq!(rows, 1423);
    for w in &wrong {
        eprintln!("{w}");
    }
    assert!(wrong.is_empty(), "{} of {rows} rows differ", wrong.len());
}
