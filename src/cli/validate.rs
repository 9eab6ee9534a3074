//! `validate`: everything that can be known of a template without building it.

use crate::cli::Session;
use crate::cli::args::ValidateArgs;
use crate::cli::exit::Exit;
use crate::lint::{self, Levels, Subject};
use crate::template::plan::plan;
use crate::template::select::Selection;
use crate::template::{self, ReadData};
use image_action_engine::Events;
use image_action_engine::run::OnError;
use image_action_lang::Diagnostics;

/// Runs the command.
pub async fn run(session: Session, args: ValidateArgs) -> Exit {
    let common = &args.template.common;
    let mut diags = Diagnostics::new();
    let selection = Selection::new(&common.only, &common.except).unwrap_or_else(|d| {
        diags.push(d);
        Selection::default()
    });
    let levels = Levels::parse(&args.warnings.warnings).unwrap_or_else(|d| {
        diags.push(d);
        Levels::default()
    });
    let settings = session.settings(true, false, OnError::Cleanup);
    let options = session.options(&args.template.template, common, !args.no_warn_undeclared_var);
    let (parsed, sources, found) = template::parse(&options, &settings);
    diags.extend(found);
    let Some(parsed) = parsed.filter(|_| !diags.has_errors()) else {
        session.show(&levels.apply(diags), &sources);
        return Exit::Failed;
    };
    if args.syntax_only {
        if session.show(&levels.apply(diags), &sources) {
            return Exit::Failed;
        }
        session.say("Syntax-only check passed. Everything looks okay.");
        return Exit::Ok;
    }
    let run = if args.evaluate_datasources {
        let events = Events::start(vec![session.subscriber(false, false)]);
        match session.run_context(&settings, &args.state, events) {
            Ok(run) => Some(run),
            Err(e) => {
                session.show_error(e, &sources);
                return Exit::Failed;
            }
        }
    } else {
        None
    };
    let read = run.as_ref().map_or(ReadData::No, ReadData::All);
    let (template, found) = parsed.initialize(read, &settings).await;
    diags.extend(found);
    let planned = plan(&template, &selection, &settings);
    diags.extend(planned.diagnostics);
    let subject = Subject { template: &template, builds: &planned.parts, sources: &sources, settings: &settings };
    diags.extend(lint::check(&subject));
    if let Some(run) = &run {
        run.events.flush().await;
        run.ledger.close();
    }
    if session.show(&levels.apply(diags.arranged()), &sources) {
        return Exit::Failed;
    }
    session.say("The configuration is valid.");
    Exit::Ok
}
