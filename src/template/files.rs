//! The files of a template: what is read of them, and what cannot be.

use crate::template::json;
use crate::template::syntax::{Attribute, Body};
use crate::template::{Options, Settings};
use image_action_lang::{Diagnostic, Diagnostics, SourceMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads and parses one file.
pub(super) fn read(path: &Path, settings: &Settings, sources: &mut SourceMap, diags: &mut Diagnostics) -> Option<Body> {
    let name = path.to_string_lossy();
    let full = settings.cwd.join(path);
    // What is wrong with a file is shown with its text.
    if let Err(e) = settings.env.bounds().read(&full) {
        diags.push(Diagnostic::error(e.summary).detail(e.detail).hint(e.hint.unwrap_or_default()));
        return None;
    }
    let text = match std::fs::read(full) {
        Ok(bytes) => bytes,
        Err(e) => {
            diags.push(Diagnostic::error(format!("Cannot read {name}")).detail(format!("{e}.")));
            return None;
        }
    };
    let text = match String::from_utf8(text) {
        Ok(text) => text,
        Err(e) => {
            let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            diags.push(
                Diagnostic::error(format!("{name} is not UTF-8 text"))
                    .detail(format!("Line {line} holds a byte that is none."))
                    .hint("save the file as UTF-8"),
            );
            return None;
        }
    };
    let source = image_action_lang::Source::new(&*name, text.strip_prefix('\u{feff}').unwrap_or(&text));
    sources.add_source(&source);
    if path.extension().is_some_and(|e| e == "json") {
        return match json::parse(&source) {
            Ok(node) => Some(Body::Json(Arc::new(node), source)),
            Err(d) => {
                diags.push(d);
                None
            }
        };
    }
    match image_action_lang::parse::parse_body(&source.name, &source.text) {
        Ok(body) => Some(Body::Native(Arc::new(body), source)),
        Err(found) => {
            diags.extend(found);
            None
        }
    }
}

/// The attributes of every variable file, automatic ones first.
pub(super) fn variables(
    auto: &[PathBuf],
    options: &Options,
    settings: &Settings,
    sources: &mut SourceMap,
    diags: &mut Diagnostics,
) -> Vec<Vec<Attribute>> {
    let mut all = Vec::new();
    for path in auto.iter().cloned().chain(options.var_files.iter().map(PathBuf::from)) {
        let known = path.extension().is_some_and(|e| e == "hcl" || e == "json");
        if !known {
            diags.push(
                Diagnostic::error(format!("Could not guess format of {}", path.display()))
                    .detail("The name of a variable file ends in .hcl or .json.")
                    .hint("rename it to NAME.pkrvars.hcl"),
            );
            continue;
        }
        let Some(body) = read(&path, settings, sources, diags) else { continue };
        let content = body.content(&|n| (n == "variable").then_some(1), diags);
        for block in &content.blocks {
            let d = if &*block.kind == "variable" {
                Diagnostic::error("Variable declaration in a .pkrvar file")
                    .detail("A variable file gives values; variables are declared in *.pkr.hcl files.")
                    .hint(format!("write {} = VALUE", block.label(0)))
            } else {
                Diagnostic::error(format!("Unexpected {:?} block", block.kind))
                    .detail("A variable file holds NAME = VALUE lines only.")
            };
            diags.push(d.at(block.header.clone()));
        }
        all.push(content.attributes);
    }
    all
}
