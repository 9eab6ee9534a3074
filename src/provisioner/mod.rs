//! What changes a machine, or works beside it: one file each.

pub mod ansible;
pub mod breakpoint;
mod environment;
pub mod file;
pub(crate) mod local;
mod output;
pub mod shell;
pub mod shell_local;
pub mod sleep;

use image_action_engine::config::UNKNOWN_TEXT;
use image_action_engine::{Block, BuildContext, Error, ErrorKind, Facts, PrepareContext, Result};
use image_action_lang::gotemplate::{self, Data, Node};
use image_action_lang::{Diagnostic, Diagnostics};
use std::path::Path;

/// What is known of the machine, as Go templates see it.
fn data(facts: &Facts) -> Data {
    facts.iter().map(|(name, value)| (name.clone(), Node::from(value))).collect()
}

/// Renders an option with what is known at run time, until it stops changing.
fn render(cx: &BuildContext, option: &str, text: &str, data: &Data) -> Result<String> {
    gotemplate::render_until_stable(text, data, &cx.functions()).map_err(|e| {
        Error::new(ErrorKind::Invalid, format!("{option} cannot be rendered: {e}")).detail(format!("in: {text}"))
    })
}

/// Collects what is wrong with the options of one provisioner.
struct Checks<'a> {
    cx: &'a PrepareContext,
    body: &'a Block,
    all: Diagnostics,
}

impl<'a> Checks<'a> {
    fn new(cx: &'a PrepareContext, body: &'a Block) -> Checks<'a> {
        Checks { cx, body, all: Diagnostics::new() }
    }
    fn push(&mut self, option: &str, summary: impl Into<String>, detail: impl Into<String>, hint: impl Into<String>) {
        let place = self.body.span_of(option);
        self.all.push(Diagnostic::error(summary).detail(detail).at(place).hint(hint));
    }
    /// A local file or directory of an option must exist, unless its name is not known yet.
    fn exists(&mut self, option: &str, path: &str) -> bool {
        if path == UNKNOWN_TEXT {
            return true;
        }
        let Err(e) = std::fs::metadata(self.cx.path(path)) else { return true };
        let from = format!("the path is relative to the working directory, {}", self.cx.cwd.display());
        self.push(option, format!("{option}: {path}: {e}"), "", from);
        false
    }
    /// A local file of an option must be one.
    fn is_file(&mut self, option: &str, path: &str) {
        if path != UNKNOWN_TEXT && self.exists(option, path) && !self.cx.path(path).is_file() {
            self.push(option, format!("{option}: {path} must point to a file"), "", "name a file");
        }
    }
    /// A local directory of an option must be one.
    fn is_dir(&mut self, option: &str, path: &str) {
        if path != UNKNOWN_TEXT && self.exists(option, path) && !self.cx.path(path).is_dir() {
            self.push(option, format!("{option}: {path} must point to a directory"), "", "name a directory");
        }
    }
    fn done<T>(self, value: T) -> std::result::Result<T, Diagnostics> {
        self.all.or_ok(value).map(|(value, _)| value)
    }
}

fn unreadable(shown: &str, e: &std::io::Error, cwd: &Path) -> Error {
    Error::new(ErrorKind::Invalid, format!("{shown} cannot be read: {e}"))
        .hint(format!("the path is relative to the working directory, {}", cwd.display()))
}

/// Codes as a list for people.
fn codes(valid: &[i64]) -> String {
    valid.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The exit codes that count as success.
fn valid_codes(given: &[i64]) -> Vec<i64> {
    if given.is_empty() { vec![0] } else { given.to_vec() }
}
