//! No text makes the language room panic, overflow its stack, or run away: everything is a value or a diagnostic that
//! can be rendered.
#![allow(clippy::unwrap_used, missing_docs)]

use image_action_lang::parse::{parse_body, parse_expr, parse_template};
use image_action_lang::{
    Diagnostics, RenderOptions, Scope, SourceMap, Value, World, eval, eval_template, references, render,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROWS: &str = include_str!("data/expressions.jsonl");
/// The stack of a worker thread, in which plans are made.
const STACK: usize = 2 << 20;

fn scope() -> Scope {
    // A directory that does not exist: file functions find nothing.
    let world = World::new("/nonexistent", BTreeMap::new(), chrono::DateTime::UNIX_EPOCH);
    let var = Value::object(BTreeMap::from([
        (Arc::from("a"), Value::string("x")),
        (Arc::from("secret"), Value::string("s3cret").with_sensitive(true)),
        (Arc::from("later"), Value::dynamic()),
    ]));
    Scope::new(Arc::new(world)).with("var", var)
}

/// Runs a text through everything; hands back what was said.
fn run(text: &str) -> Diagnostics {
    let mut sources = SourceMap::default();
    let name = sources.add("t.pkr.hcl", text);
    let source = sources.source(&name).unwrap();
    let mut diags = Diagnostics::new();
    match parse_body(&name, text) {
        Ok(body) => {
            for attribute in body.attributes() {
                references(&attribute.value, &source);
                let value = eval(&attribute.value, &scope(), &source, &mut diags);
                assert!(!value.is_too_large());
            }
        }
        Err(found) => diags.extend(found),
    }
    match parse_template(&name, text) {
        Ok(template) => {
            eval_template(&template, &scope(), &source, &mut diags);
        }
        Err(found) => diags.extend(found),
    }
    if let Err(found) = parse_expr(&name, text) {
        diags.extend(found);
    }
    for d in &diags {
        assert!(!d.summary.is_empty());
        let span = d.span.as_ref().unwrap();
        if span.file == name {
            assert!(span.start <= span.end && span.end <= text.len(), "{span:?}");
        }
        assert!(!render(d, &sources, RenderOptions::default()).contains("s3cret"));
    }
    diags
}

fn on_small_stack(text: String) -> Diagnostics {
    std::thread::Builder::new().stack_size(STACK).spawn(move || run(&text)).unwrap().join().unwrap()
}

fn expressions() -> Vec<String> {
    let rows = ROWS.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    // What hashes a password takes its time by design.
    rows.map(|r| r["expr"].as_str().unwrap().to_owned()).filter(|e| !e.contains("bcrypt")).collect()
}

const TOKENS: &[&str] = &[
    "a",
    "var.a",
    "var.secret",
    "var.later",
    "1",
    "1e400",
    "\"",
    "\"x\"",
    "${",
    "%{",
    "}",
    "{",
    "[",
    "]",
    "(",
    ")",
    "=",
    "==",
    "=>",
    "\n",
    " ",
    "if",
    "for",
    "in",
    "else",
    "endif",
    "endfor",
    "?",
    ":",
    ",",
    ".",
    "*",
    "[*]",
    ".*",
    "...",
    "+",
    "-",
    "/",
    "%",
    "!",
    "&&",
    "||",
    "<<EOT\n",
    "<<-EOT\n",
    "\nEOT\n",
    "~",
    "\\",
    "$${",
    "#",
    "//",
    "/*",
    "*/",
    "é",
    "\u{0}",
    "\r\n",
    "\t",
    "null",
    "true",
    "upper(",
    "try(",
    "convert(",
    "list(any)",
    "join(",
    "<",
    "'",
    "::",
    "templatefile(",
    "format(",
    "\"%d\"",
    "regex(",
    "jsondecode(",
    "yamldecode(",
    "0",
    "-1",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_row_of_tokens(tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..25)) {
        run(&format!("x = {}", tokens.concat()));
        run(&tokens.concat());
    }

    #[test]
    fn any_text(text in "\\PC{0,80}") {
        run(&text);
    }

    #[test]
    fn any_recorded_expression_with_a_piece_changed(
        expr in prop::sample::select(expressions()),
        at in 0usize..200,
        length in 0usize..6,
        put in prop::sample::select(TOKENS),
    ) {
        let mut text: Vec<char> = format!("x = {expr}\n").chars().collect();
        let at = at.min(text.len());
        let end = (at + length).min(text.len());
        text.splice(at..end, put.chars());
        run(&text.into_iter().collect::<String>());
    }
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let nested =
        |open: &str, inner: &str, close: &str, n: usize| format!("x = {}{inner}{}\n", open.repeat(n), close.repeat(n));
    for n in [62, 2000] {
        for (open, inner, close) in [
            ("(", "1", ")"),
            ("[", "1", "]"),
            ("{a=", "1", "}"),
            ("-", "1", ""),
            ("!", "true", ""),
            ("upper(", "1", ")"),
            ("try(", "1", ")"),
            ("[for v in [1] : ", "v", "]"),
            ("true ? 1 : ", "1", ""),
            ("\"a${", "1", "}\""),
            ("\"%{ if true }", "x", "%{ endif }\""),
            ("[[1]][", "0", "]"),
            ("1 + (", "1", ")"),
            ("1 == 1 && (", "true", ")"),
            ("convert(", "1", ", any)"),
            ("a.b.", "c", ""),
            ("a[0]", "", ""),
            ("1 + ", "1", ""),
            ("[1]", "[0]", ""),
        ] {
            let text = nested(open, inner, close, n);
            let diags = on_small_stack(text);
            if n > 200 {
                assert!(diags.has_errors(), "{open}");
            }
        }
    }
    on_small_stack(format!("{}x = 1\n{}", "b {\n".repeat(60), "}\n".repeat(60)));
    on_small_stack(format!("x = {}{}", "list(".repeat(70), ")".repeat(70)));
    on_small_stack(format!("x = convert(1, {}any{})", "list(".repeat(60), ")".repeat(60)));
    on_small_stack(format!("x = jsondecode(\"{}{}\")", "[".repeat(198), "]".repeat(198)));
    on_small_stack(format!("x = jsondecode(\"{}{}\") == [1] ? 1 : 2", "[".repeat(5000), "]".repeat(5000)));
    on_small_stack(format!("x = yamlencode(yamldecode(\"{}{}\"))", "[".repeat(190), "]".repeat(190)));
    on_small_stack(format!(
        "x = true ? jsondecode(\"{0}1{1}\") : jsondecode(\"{0}true{1}\")",
        "[".repeat(190),
        "]".repeat(190)
    ));
}

#[test]
fn a_few_lines_do_not_run_away() {
    let begin = Instant::now();
    // Each local is ten times the one before: what is evaluated as locals are, one into the scope of the next.
    for (first, next) in [
        ("[1]", "[x, x, x, x, x, x, x, x, x, x]"),
        ("\"0123456789\"", "\"${x}${x}${x}${x}${x}${x}${x}${x}${x}${x}\""),
        ("{a = 1}", "{ for i in range(10) : i => x }"),
        ("[1]", "concat(x, x, x, x, x, x, x, x, x, x)"),
        ("\"0123456789\"", "replace(x, \"\", x)"),
        ("\"0123456789\"", "join(x, [x, x, x, x, x, x, x, x, x, x])"),
        ("\"0123456789\"", "regex_replace(x, \"\", x)"),
        ("[1]", "[[[[[[[[[[x]]]]]]]]]]"),
    ] {
        let mut scope = scope().with("x", Value::string(""));
        let mut stopped = false;
        for expr in std::iter::once(first).chain(std::iter::repeat_n(next, 60)) {
            let mut sources = SourceMap::default();
            let name = sources.add("t", expr);
            let parsed = parse_expr(&name, expr).unwrap();
            let mut diags = Diagnostics::new();
            let value = eval(&parsed, &scope, &sources.source(&name).unwrap(), &mut diags);
            if diags.has_errors() {
                stopped = true;
                break;
            }
            scope = scope.with("x", value);
        }
        assert!(stopped, "{next}");
    }
    let loops = "x = [for a in range(1000) : [for b in range(1000) : [for c in range(1000) : 1 if false]]]\n";
    assert!(run(loops).iter().any(|d| d.summary == "Too many iterations"));
    assert!(run(&format!("x = parseint(\"{}\", 10)\n", "9".repeat(1 << 20))).has_errors());
    assert!(run(&format!("x = {}\n", "9".repeat(1 << 20))).has_errors());
    assert!(begin.elapsed() < Duration::from_secs(120), "{:?}", begin.elapsed());
}

#[test]
fn types_made_to_take_long_do_not() {
    let begin = Instant::now();
    let mut lists = ["1".to_owned(), "\"a\"".to_owned()];
    let mut ty = "any".to_owned();
    for _ in 0..24 {
        lists = [format!("[{}]", lists[0]), format!("[{}, {}]", lists[1], lists[1]).chars().take(20_000).collect()];
        ty = format!("list({ty})");
    }
    run(&format!("x = coalesce(convert({}, {ty}), {0})\n", lists[0]));
    let nested = |x: &str| format!("{}{x}{}", "[".repeat(40), "]".repeat(40));
    let list = format!("convert({}, {}any{})", nested("1"), "list(".repeat(40), ")".repeat(40));
    run(&format!("x = coalesce({list}, {}, {})\n", nested("\"a\""), nested("true, 1")));
    assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", begin.elapsed());
}
