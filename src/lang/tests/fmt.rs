//! What `packer fmt` 1.16.0 makes of texts (`data/fmt.jsonl`, one a line), and what must hold of every text.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use image_action_lang::format::format;
use image_action_lang::parse::parse_body;
use proptest::prelude::*;
use serde_json::Value;
use std::sync::Arc;

const ROWS: &str = include_str!("data/fmt.jsonl");

/// Where Packer's result means something else than the text, or nothing at all, and ours does not.
const BETTER: &[(&str, &str)] = &[
    // `1 . 5` is an index of a number; Packer writes the number 1.5.
    ("literal/number-dot-number", "a = 1 . 5\n"),
    // Packer writes a number that its own parser refuses.
    ("literal/broken-by-fmt", "c = 1E+3. 1\n"),
];

fn fmt(text: &str) -> Option<String> {
    format(&Arc::from("t.pkr.hcl"), text).ok()
}

#[test]
fn formats_as_packer_does() {
    let mut wrong = 0;
    for line in ROWS.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| row[key].as_str().map(str::to_owned);
        let name = text("name").unwrap();
        // Rows about files and arguments are for the command; what they format is formatted here, where it is HCL2.
        let input = text("input").unwrap();
        let template = text("file").is_some_and(|f| f == "-" || f.ends_with(".pkr.hcl") || f.ends_with(".pkrvars.hcl"));
        let untouched = name.starts_with("tree/") || name.starts_with("args/");
        if !template || untouched {
            continue;
        }
        let better = BETTER.iter().find(|(n, _)| *n == name).map(|(_, output)| (*output).to_owned());
        let want = better.or(text("output"));
        let got = fmt(&input);
        if got != want {
            wrong += 1;
            eprintln!("{name}\n  input {input:?}\n  want  {want:?}\n  got   {got:?}");
        }
    }
    assert_eq!(wrong, 0, "rows differ");
}

fn blanks() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(" "), 2 => Just(""), 1 => Just("   "), 1 => Just("\t"), 1 => Just(" /* c */ ")]
        .prop_map(str::to_owned)
}

/// What may stand between brackets: line breaks too.
fn gap() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => blanks(),
        1 => Just("\n".to_owned()),
        1 => Just(" # c\n".to_owned()),
        1 => Just("\r\n  ".to_owned()),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "x",
        "é",
        "1",
        "1.5",
        "1E+3",
        "007",
        "-1",
        "- x",
        "! y",
        "true",
        "null",
        "a.b",
        "a . b .c",
        "a.0",
        "a [0]",
        "a.*.b",
        "x-1",
        "\"s  s\"",
        "\"\"",
        "\"$\"",
        "\"$${x}  %%{y}\"",
        "\"a\\\"b \"",
        "\"${  x  }\"",
        "\"%{ if x }a %{ else }b%{ endif }\"",
        "1 . 5",
        "x.0 . 1",
    ]);
    leaf.prop_map(str::to_owned).prop_recursive(4, 40, 4, |inner| {
        let operator = prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||"]);
        let e = || inner.clone();
        prop_oneof![
            (e(), blanks(), operator, blanks(), e()).prop_map(|(a, b, o, c, d)| format!("{a}{b}{o}{c}{d}")),
            (gap(), e(), gap()).prop_map(|(a, b, c)| format!("({a}{b}{c})")),
            (gap(), e(), blanks(), gap(), e()).prop_map(|(a, b, c, d, f)| format!("[{a}{b}{c},{d}{f},{a}]")),
            (blanks(), e(), blanks(), e()).prop_map(|(a, b, c, d)| format!("{{{a}k{c}={a}{b},{c}\"q r\":{d}{a}}}")),
            (e(), blanks(), e()).prop_map(|(a, b, c)| format!("{{\n{b}k{b}={a}{b}\n  longer=  {c} # c\n\n}}")),
            (blanks(), gap(), e(), blanks(), e())
                .prop_map(|(a, b, c, d, f)| format!("f{a}({b}{c}{d},{b}{f}{a}...{d})")),
            (gap(), e(), blanks(), e(), e())
                .prop_map(|(a, b, c, d, f)| format!("[{a}for i in {b}{c}:{a}{d} if ({f}){a}]")),
            (gap(), e(), blanks(), e()).prop_map(|(a, b, c, d)| format!("{{{a}for k,v in({b}){c}:{a}k{c}=>{d}{a}}}")),
            (e(), blanks(), e(), blanks(), e()).prop_map(|(a, b, c, d, f)| format!("{a}{b}?{d}{c}{b}:{d}{f}")),
            (gap(), e(), blanks()).prop_map(|(a, b, c)| format!("\"t ${{{a}{b}{c}}}${{~{c}{b}{c}~}} u\"")),
            (gap(), e(), blanks()).prop_map(|(a, b, c)| format!("<<-EOT\n   x = [ {{\n  ${{{a}{b}{c}}} $\n\t EOT\n")),
        ]
    })
}

fn body() -> impl Strategy<Value = String> {
    let end =
        prop::sample::select(vec!["\n", "  \n", "\r\n", " # c\n", "// c  \n", " /* c */\n", "\n\n", " /* c */ # d\n"]);
    let attribute = (blanks(), "[a-z]{1,9}", blanks(), expression(), end.clone()).prop_map(|(a, b, c, d, e)| {
        // Behind the end of a heredoc there is nothing else in its line.
        if d.ends_with("EOT\n") { format!("{a}{b}{c}={c}{d}") } else { format!("{a}{b}{c}={c}{d}{e}") }
    });
    let item = prop_oneof![6 => attribute, 1 => end.clone().prop_map(str::to_owned), 1 => Just("# c = {\n".to_owned())];
    item.prop_recursive(3, 24, 5, move |inner| {
        (blanks(), "[a-z]{1,5}", prop::collection::vec(inner, 0..5), end.clone())
            .prop_map(|(a, b, items, e)| format!("{a}{b} \"l\"{a}{{\n{}{a}}}{e}", items.concat()))
    })
}

/// What the text says, without its layout.
fn meaning(text: &str) -> Option<String> {
    let body: hcl::Body = parse_body(&Arc::from("t.pkr.hcl"), text).ok()?.into();
    // Sequences are in it as they are written: a tab is shown as \t.
    Some(without_blanks(&format!("{body:?}").replace("\\t", "")))
}

/// Formatting does nothing but this to a text.
fn without_blanks(text: &str) -> String {
    text.replace([' ', '\t'], "")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, max_global_rejects: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_formatted_text_means_the_same_and_stays_as_it_is(items in prop::collection::vec(body(), 1..5)) {
        let text = items.concat();
        prop_assume!(meaning(&text).is_some());
        let once = fmt(&text).unwrap();
        prop_assert_eq!(without_blanks(&once), without_blanks(&text));
        prop_assert_eq!(meaning(&once), meaning(&text));
        prop_assert_eq!(fmt(&once), Some(once));
    }
}

#[test]
fn layout_that_would_fill_the_memory_is_refused() {
    let text = format!("{} = 1\n{}", "a".repeat(1 << 20), (0..100).map(|i| format!("b{i} = 1\n")).collect::<String>());
    let diags = format(&Arc::from("t.pkr.hcl"), &text).unwrap_err();
    assert_eq!(diags.iter().next().unwrap().summary, "Text cannot be aligned");
}
