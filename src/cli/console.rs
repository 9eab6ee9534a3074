//! `console`: expressions in, values out.

use crate::cli::Session;
use crate::cli::args::ConsoleArgs;
use crate::cli::exit::Exit;
use crate::cli::typing::Typing;
use crate::cli::{inspect, values};
use crate::secrets::Keepers;
use crate::template::{self, ReadData, Template};
use image_action_engine::run::OnError;
use image_action_lang::{Diagnostics, Scope, Source, SourceMap, World, eval, parse};
use std::io::{BufRead, IsTerminal};
use std::sync::Arc;

const HELP: &str = "An expression is evaluated and its value printed: upper(var.name), local.tags, path.cwd.\n\
                    variables lists variables and locals; exit or Ctrl-D leaves. An open bracket goes on in the next line.";

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
    // Line editing is for a person in front of a terminal; all else is a program that asks.
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() && !session.machine_readable {
        return with_a_person(&session, template.as_ref(), &scope);
    }
    let mut failed = false;
    let mut last = String::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.trim() {
            "exit" => break,
            line => match answer(&session, line, template.as_ref(), &scope) {
                Ok(text) => {
                    failed = false;
                    last = text;
                }
                Err(()) => failed = true,
            },
        }
    }
    if !last.is_empty() {
        session.say(&last);
    }
    if failed { Exit::Failed } else { Exit::Ok }
}

/// Answers until the person leaves: by `exit`, or by the end of input.
fn with_a_person(session: &Session, template: Option<&Template>, scope: &Scope) -> Exit {
    let mut typing = match Typing::open(session) {
        Ok(typing) => typing,
        Err(e) => {
            session.show_error(e, &SourceMap::default());
            return Exit::Failed;
        }
    };
    loop {
        let line = match typing.next() {
            Ok(Some(line)) => line,
            Ok(None) => return Exit::Ok,
            Err(e) => {
                session.show_error(e, &SourceMap::default());
                return Exit::Failed;
            }
        };
        match line.trim() {
            "exit" => return Exit::Ok,
            "" => continue,
            // What is wrong has been told, and the next line may be better.
            expression => {
                if let Ok(text) = answer(session, expression, template, scope) {
                    session.say(&text);
                }
            }
        }
        typing.remember(session, &line);
    }
}

/// Without a template there are functions and paths.
fn empty(session: &Session) -> Scope {
    let environment = session.env.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    let masker = session.masker.clone();
    let keepers = Keepers::new(&session.env, move |text| masker.add(text));
    let world = World::new(&session.cwd, environment, session.started.into()).with_keeper(Arc::new(keepers));
    Scope::new(Arc::new(world)).child([])
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
