//! Any expression, evaluated with a few variables: it is a value of bounded size or a list of diagnostics.
#![no_main]

use image_action_lang::parse::parse_expr;
use image_action_lang::{Diagnostics, Scope, SourceMap, Value, World, eval, references};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::Arc;

fuzz_target!(|text: &str| {
    // What hashes a password takes its time by design.
    if text.contains("bcrypt") {
        return;
    }
    let mut sources = SourceMap::default();
    let name = sources.add("t.pkr.hcl", text);
    let (Ok(expr), Some(source)) = (parse_expr(&name, text), sources.source(&name)) else { return };
    // A directory that does not exist: file functions find nothing.
    let world = World::new("/nonexistent", BTreeMap::new(), chrono::DateTime::UNIX_EPOCH);
    let var = Value::object(BTreeMap::from([
        (Arc::from("a"), Value::string("x")),
        (Arc::from("secret"), Value::string("s3cret").with_sensitive(true)),
        (Arc::from("later"), Value::dynamic()),
    ]));
    let scope = Scope::new(Arc::new(world)).with("var", var);
    references(&expr, &source);
    let mut diags = Diagnostics::new();
    assert!(!eval(&expr, &scope, &source, &mut diags).is_too_large());
});
