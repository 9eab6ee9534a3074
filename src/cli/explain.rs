//! `explain`: the reference on a terminal.

use crate::cli::Session;
use crate::cli::args::ExplainArgs;
use crate::cli::exit::Exit;
use crate::reference::json_schema;
use crate::reference::text::{self, Paper};
use std::io::IsTerminal;

/// The most columns that a paragraph takes: longer lines are hard to read.
const MAX_WIDTH: usize = 100;
/// The columns where there is no terminal to measure.
const USUAL_WIDTH: usize = 80;

/// Runs the command.
pub fn run(session: &Session, args: &ExplainArgs) -> Exit {
    let terminal = std::io::stdout().is_terminal();
    let measured = terminal_size::terminal_size().filter(|_| terminal).map(|(width, _)| usize::from(width.0));
    let width = measured.unwrap_or(USUAL_WIDTH).min(MAX_WIDTH);
    let paper = Paper { width, color: session.color(None) && !session.no_color() && !session.machine_readable };
    let Some(question) = &args.name else {
        session.say(&text::overview(paper));
        return Exit::Ok;
    };
    match text::explain(question, paper) {
        Ok(text) => {
            session.say(&text);
            Exit::Ok
        }
        Err(why) => {
            session.fail(&format!("error: {why}"));
            Exit::Failed
        }
    }
}

/// `schema`: the JSON schema of a template.
pub fn schema(session: &Session) -> Exit {
    session.put(&json_schema::text());
    Exit::Ok
}
