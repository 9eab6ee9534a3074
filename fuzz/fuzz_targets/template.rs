//! Any text with `${…}` and `%{…}`, and the same text as a Go template: a text or a diagnostic.
#![no_main]

use image_action_lang::gotemplate;
use image_action_lang::parse::parse_template;
use image_action_lang::{Diagnostics, Scope, SourceMap, World, eval_template};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::Arc;

fuzz_target!(|text: &str| {
    let mut sources = SourceMap::default();
    let name = sources.add("t.tpl", text);
    if let (Ok(template), Some(source)) = (parse_template(&name, text), sources.source(&name)) {
        let world = World::new("/nonexistent", BTreeMap::new(), chrono::DateTime::UNIX_EPOCH);
        let mut diags = Diagnostics::new();
        eval_template(&template, &Scope::new(Arc::new(world)), &source, &mut diags);
    }
    // What a build makes of a field: once, with the functions of the language alone.
    let _ = gotemplate::render(text, &gotemplate::Data::new(), &gotemplate::Functions::new());
});
