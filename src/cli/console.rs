//! `console`: expressions in, values out.

use crate::cli::Session;
use crate::cli::args::ConsoleArgs;
use crate::cli::exit::Exit;
use crate::cli::{inspect, values};
use crate::template::{self, ReadData, Template};
use image_action_engine::run::OnError;
use image_action_lang::{Diagnostics, Scope, Source, SourceMap, World, eval, parse};
use std::io::{BufRead, IsTerminal, Write};
use std::sync::Arc;

/// What is in front of a line that is typed.
const PROMPT: &str = "> ";

const HELP: &str = "An expression is evaluated and its value printed: upper(var.name), local.tags, path.cwd.\n\
                    variables lists variables and locals; exit leaves.";

/// Runs the command.
pub async fn run(session: Session, args: ConsoleArgs) -> Exit {
    let (template, scope) = match &args.template {
        None => (None, empty(&session)),
        Some(path) => {
            let settings = session.settings(true, false, OnError::Cleanup);
            let options = session.options(path, &args.common, false);
            let (parsed, sources, diags) = template::parse(&options, &settings);
            session.show(&diags, &sources);
            let Some(parsed) = parsed else { return Exit::Failed };
            let (template, _) = parsed.initialize(ReadData::No, &settings).await;
            let scope = template.scope.clone();
            (Some(template), scope)
        }
    };
    let typed = std::io::stdin().is_terminal();
    let mut failed = false;
    let mut last = String::new();
    prompt(typed);
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.trim() {
            "exit" => break,
            line => match answer(&session, line, template.as_ref(), &scope) {
                Ok(text) if typed => session.say(&text),
                Ok(text) => {
                    failed = false;
                    last = text;
                }
                Err(()) => failed = true,
            },
        }
        prompt(typed);
    }
    if !typed && !last.is_empty() {
        session.say(&last);
    }
    if failed && !typed { Exit::Failed } else { Exit::Ok }
}

fn prompt(typed: bool) {
    if typed {
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "{PROMPT}").and_then(|()| out.flush());
    }
}

/// Without a template there are functions and paths.
fn empty(session: &Session) -> Scope {
    let environment = session.env.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    Scope::new(Arc::new(World::new(&session.cwd, environment, session.started.into()))).child([])
}

fn answer(session: &Session, line: &str, template: Option<&Template>, scope: &Scope) -> Result<String, ()> {
    match line {
        "" => return Ok(String::new()),
        "help" => return Ok(HELP.to_owned()),
        "variables" => return Ok(template.map(inspect::names).unwrap_or_default()),
        _ => {}
    }
    let source = Source::new("<console-input>", line);
    let mut sources = SourceMap::default();
    sources.add_source(&source);
    let mut diags = Diagnostics::new();
    let value = parse::parse_expr(&source.name, line).map(|expr| eval(&expr, scope, &source, &mut diags));
    match value {
        Ok(value) if !diags.has_errors() => Ok(values::print(&value)),
        other => {
            diags.extend(other.err().unwrap_or_default());
            session.show(&diags, &sources);
            Err(())
        }
    }
}
