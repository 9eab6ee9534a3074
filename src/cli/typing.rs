//! Lines that a person types at the console: editing, history, and expressions of several lines.

use crate::cli::Session;
use crate::cli::args::StateArgs;
use image_action_engine::{Error, Result};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Config, Editor, Helper};
use std::path::PathBuf;

/// What is in front of a line.
const PROMPT: &str = "> ";

/// The file of the history, in the state folder. Only its owner may read it.
const HISTORY_FILE: &str = "console-history";

/// Lines of history that are kept: as many as bash keeps of commands.
const HISTORY_LINES: usize = 500;

/// The terminal, and what has been typed at it.
pub struct Typing {
    editor: Editor<Whole, DefaultHistory>,
    /// Where the history is kept; without a state folder it lasts as long as the console.
    history: Option<PathBuf>,
}

impl Typing {
    /// Takes the terminal over, for one line at a time.
    ///
    /// # Errors
    /// Where the terminal cannot be used.
    pub fn open(session: &Session) -> Result<Typing> {
        let failed = |e: ReadlineError| Error::failed(format!("the terminal cannot be used: {e}"));
        let config = Config::builder().max_history_size(HISTORY_LINES).map_err(failed)?;
        // As in shells: what begins with a space is nobody's business.
        let config = config.history_ignore_space(true).auto_add_history(false).build();
        let mut editor = Editor::with_config(config).map_err(failed)?;
        editor.set_helper(Some(Whole));
        let history = session.state_dir(&StateArgs::default()).ok().map(|dir| dir.join(HISTORY_FILE));
        if let Some(path) = &history {
            // There is none before the first time.
            let _ = editor.load_history(path);
        }
        Ok(Typing { editor, history })
    }

    /// The next expression or command; `None` when the person is done.
    ///
    /// # Errors
    /// Where the terminal has gone away.
    pub fn next(&mut self) -> Result<Option<String>> {
        loop {
            match self.editor.readline(PROMPT) {
                Ok(line) => return Ok(Some(line)),
                // Ctrl-C throws a line away, and one that is open as well.
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(None),
                Err(e) => return Err(Error::failed(format!("the terminal cannot be read: {e}"))),
            }
        }
    }

    /// Keeps a line for later, unless it holds a secret that is known. Where it cannot be written, it is kept for this time.
    pub fn remember(&mut self, session: &Session, line: &str) {
        if session.masker.mask(line) != line || !matches!(self.editor.add_history_entry(line), Ok(true)) {
            return;
        }
        if let Some(path) = &self.history {
            let _ = path.parent().map(std::fs::create_dir_all);
            let _ = self.editor.append_history(path);
        }
    }
}

/// Asks for a further line as long as an expression is not whole.
struct Whole;

impl Validator for Whole {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        Ok(if is_open(context.input()) { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Completer for Whole {
    type Candidate = String;
}

impl Hinter for Whole {
    type Hint = String;
}

impl Highlighter for Whole {}

impl Helper for Whole {}

/// Where a character of an expression stands.
enum Inside {
    /// A string: brackets mean nothing, but `${` and `%{`.
    Text,
    /// Brackets that the character closes.
    Brackets(char),
}

/// Whether a bracket or a heredoc is open at the end. A string that is open is none: it ends with its line, and the parser
/// says so.
fn is_open(text: &str) -> bool {
    let mut stack = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if matches!(stack.last(), Some(Inside::Text)) {
            return false;
        }
        if let Some(marker) = scan(line, &mut stack)
            && !lines.by_ref().any(|l| l.trim() == marker)
        {
            return true;
        }
    }
    stack.iter().any(|i| matches!(i, Inside::Brackets(_))) && !matches!(stack.last(), Some(Inside::Text))
}

/// Reads a line; the marker of a heredoc that begins in it.
fn scan<'t>(line: &'t str, stack: &mut Vec<Inside>) -> Option<&'t str> {
    let mut at = line.char_indices().peekable();
    while let Some((index, c)) = at.next() {
        let next = at.peek().map(|(_, c)| *c);
        match (stack.last(), c) {
            (Some(Inside::Text), '\\') => drop(at.next()),
            (Some(Inside::Text), '"') => drop(stack.pop()),
            (Some(Inside::Text), '$' | '%') if next == Some(c) => drop(at.next()),
            (Some(Inside::Text), '$' | '%') if next == Some('{') => {
                at.next();
                stack.push(Inside::Brackets('}'));
            }
            (Some(Inside::Text), _) => {}
            (_, '#') => return None,
            (_, '/') if next == Some('/') => return None,
            (_, '"') => stack.push(Inside::Text),
            (_, '(') => stack.push(Inside::Brackets(')')),
            (_, '[') => stack.push(Inside::Brackets(']')),
            (_, '{') => stack.push(Inside::Brackets('}')),
            (Some(Inside::Brackets(end)), _) if *end == c => drop(stack.pop()),
            (_, '<') if next == Some('<') => {
                let marker = line[index + 2..].trim_start_matches('-');
                let marker = marker.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '-').next();
                return marker.filter(|m| !m.is_empty());
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_heredocs_stay_open() {
        for open in [
            "[1,",
            "{ a = 1",
            "upper(\"(\"",
            "\"${upper(",
            "[\n  {",
            "<<EOF\ntext",
            "f(<<-X\n a\n X",
            "[ # ]",
            "[ // ]",
        ] {
            assert!(is_open(open), "{open}");
        }
        for whole in [
            "",
            "1",
            "]",
            "[1]",
            "\"(\"",
            "\"\\\"(\"",
            "\"$${\"",
            "\"${upper(\"a\")}\"",
            "[\"}\", 1]",
            "<<EOF\n[\nEOF\n",
            "\"open",
            "1 << ",
            "[\n1\n]",
        ] {
            assert!(!is_open(whole), "{whole}");
        }
    }
}
