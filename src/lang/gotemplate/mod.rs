//! The part of Go's text/template that is alive inside strings of an HCL2 template: `{{ .Path }}`, `{{ timestamp }}`,
//! `{{ range … }}`, pipes, variables, `define`, `printf`.
//!
//! What functions exist is the caller's matter ([`Functions`]; [`functions::standard`] has those of every option). Everything
//! is bounded: nesting, steps and the amount of text, so that no template can hang or exhaust the program.

mod builtin;
mod eval;
pub mod functions;
mod lex;
mod node;
mod parse;
mod printf;
pub mod time;

pub use node::{Data, Node};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How deep blocks, parentheses and `template` calls may nest.
pub const DEPTH_LIMIT: usize = 100;

/// How many steps (statements, calls, rounds of a loop) one rendering may take.
pub const STEP_LIMIT: usize = 1_000_000;

/// How much text one rendering may make, in bytes, all intermediate results included.
pub const TEXT_LIMIT: usize = 64 << 20;

/// How often a text is rendered again before it counts as one that never settles.
pub const ROUND_LIMIT: usize = 16;

/// A function: what it is given, and the data of the rendering.
pub type Function = Arc<dyn Fn(&[Node], &Data) -> Result<Node, String> + Send + Sync>;

/// Functions by name. Go's own (`printf`, `eq`, `index`, …) are always there.
#[derive(Clone, Default)]
pub struct Functions(BTreeMap<String, Function>);

impl Functions {
    /// None but Go's own.
    pub fn new() -> Functions {
        Functions::default()
    }
    /// Adds one; a function of the same name is replaced.
    pub fn add(
        &mut self,
        name: impl Into<String>,
        function: impl Fn(&[Node], &Data) -> Result<Node, String> + Send + Sync + 'static,
    ) {
        self.0.insert(name.into(), Arc::new(function));
    }
    /// Whether a template may use the name.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name) || builtin::NAMES.contains(&name)
    }
    fn get(&self, name: &str) -> Option<&Function> {
        self.0.get(name)
    }
}

/// Whether the text can hold an action at all.
pub fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// Checks the syntax; names of functions are not looked up.
///
/// # Errors
/// `template: root:LINE: what is wrong`.
pub fn check(text: &str) -> Result<(), String> {
    parse::parse(text, None).map(drop)
}

/// Checks the syntax and that every function exists.
///
/// # Errors
/// As [`check`]; an unknown function is named.
pub fn check_with(text: &str, functions: &Functions) -> Result<(), String> {
    parse::parse(text, Some(functions)).map(drop)
}

/// Renders a text once.
///
/// # Errors
/// What is wrong with the syntax, an unknown function, or what a function refused; with the line.
pub fn render(text: &str, data: &Data, functions: &Functions) -> Result<String, String> {
    if !is_template(text) {
        return Ok(text.to_owned());
    }
    eval::run(&parse::parse(text, Some(functions))?, data, functions)
}

/// Renders a text until it stops changing: a value that holds an action is rendered in its turn.
///
/// # Errors
/// As [`render`]; or where it has not settled after [`ROUND_LIMIT`] rounds.
pub fn render_until_stable(text: &str, data: &Data, functions: &Functions) -> Result<String, String> {
    let mut current = text.to_owned();
    for _ in 0..ROUND_LIMIT {
        let next = render(&current, data, functions)?;
        if next == current {
            return Ok(next);
        }
        current = next;
    }
    Err(format!("the text still changes after it was rendered {ROUND_LIMIT} times: an action in it renders itself"))
}

#[cfg(test)]
mod tests;
