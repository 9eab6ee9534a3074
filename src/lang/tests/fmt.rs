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
