//! Any text, read as a file of blocks: it is a body or a list of diagnostics that render; and what `fmt` makes of it, `fmt`
//! leaves as it is.
#![no_main]

use image_action_lang::format::format;
use image_action_lang::parse::parse_body;
use image_action_lang::{RenderOptions, SourceMap, body_references, render};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut sources = SourceMap::default();
    let name = sources.add("t.pkr.hcl", text);
    match parse_body(&name, text) {
        Ok(body) => {
            if let Some(source) = sources.source(&name) {
                body_references(&body, &source);
            }
            if let Ok(once) = format(&name, text) {
                assert!(parse_body(&name, &once).is_ok(), "fmt broke the text:\n{once}");
                assert_eq!(format(&name, &once).ok().as_deref(), Some(&*once), "fmt is not done after the first time");
            }
        }
        Err(found) => {
            for d in &found {
                assert!(!render(d, &sources, RenderOptions::default()).is_empty());
            }
        }
    }
});
