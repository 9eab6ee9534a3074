//! The runner's file commands and workflow commands.

use image_action_engine::{Env, Error, Result};
use std::io::Write;

/// Largest summary of a step, in bytes; a larger one is dropped whole by the runner (`runner:FileCommandManager.cs`).
pub const SUMMARY_LIMIT: usize = 1_048_576;

/// Longest message of an annotation, in characters.
const ANNOTATION_LIMIT: usize = 4096;

fn append(env: &Env, variable: &str, text: &str) -> Result<bool> {
    let Some(path) = env.get(variable) else { return Ok(false) };
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut f| f.write_all(text.as_bytes()))
        .map_err(|e| Error::failed(format!("cannot write {variable} ({path}): {e}")))?;
    Ok(true)
}

/// Sets a step output; the delimiter is random, so that no value can end it early.
///
/// # Errors
/// Where the runner's file cannot be written.
pub fn output(env: &Env, name: &str, value: &str) -> Result<bool> {
    append(env, "GITHUB_OUTPUT", &multiline(name, value))
}

/// Keeps a value for the post step, which reads it as `STATE_<name>`.
///
/// # Errors
/// Where the runner's file cannot be written.
pub fn state(env: &Env, name: &str, value: &str) -> Result<bool> {
    append(env, "GITHUB_STATE", &multiline(name, value))
}

fn multiline(name: &str, value: &str) -> String {
    let end = format!("ghadelimiter_{}", uuid::Uuid::new_v4());
    format!("{name}<<{end}\n{value}\n{end}\n")
}

/// Appends Markdown to the summary of the step, cut to what the runner takes.
///
/// # Errors
/// Where the runner's file cannot be written.
pub fn summary(env: &Env, markdown: &str) -> Result<bool> {
    let mut end = markdown.len().min(SUMMARY_LIMIT - 1);
    while !markdown.is_char_boundary(end) {
        end -= 1;
    }
    append(env, "GITHUB_STEP_SUMMARY", &format!("{}\n", &markdown[..end]))
}

/// Escapes the data of a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a workflow command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// A place in a file of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Path relative to the workspace.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
}

/// `::error file=…::message`; `level` is `error`, `warning` or `notice`.
pub fn annotation(level: &str, title: &str, place: Option<&Place>, message: &str) -> String {
    let mut properties = vec![format!("title={}", property(title))];
    if let Some(place) = place {
        properties.insert(0, format!("file={},line={},col={}", property(&place.file), place.line, place.column));
    }
    let message: String = message.chars().take(ANNOTATION_LIMIT).collect();
    format!("::{level} {}::{}", properties.join(","), data(&message))
}

/// `::add-mask::secret`, a line for each line of it; nothing for what is too short to be searched for.
pub fn mask(secret: &str) -> Vec<String> {
    let lines = secret.lines().map(str::trim).filter(|l| l.chars().count() >= 4);
    lines.map(|l| format!("::add-mask::{}", data(l))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_message_stays_one_command() {
        let place = Place { file: "a,b:c.hcl".into(), line: 3, column: 5 };
        let text = annotation("error", "x::y", Some(&place), "one\n::set-output name=a::b %");
        assert_eq!(text, "::error file=a%2Cb%3Ac.hcl,line=3,col=5,title=x%3A%3Ay::one%0A::set-output name=a::b %25");
    }

    #[test]
    fn an_output_cannot_be_ended_by_its_value() {
        let text = multiline("images", "EOF\nx=y\nghadelimiter_");
        let end = text.lines().last().unwrap_or_default();
        assert!(text.starts_with(&format!("images<<{end}\n")) && text.matches(end).count() == 2);
    }
}
