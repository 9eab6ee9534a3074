//! `build`: from a template to images.

use crate::cli::args::BuildArgs;
use crate::cli::exit::Exit;
use crate::cli::local::Local;
use crate::cli::{Session, signals};
use crate::lint::{self, Levels, Subject};
use crate::report::machine::Machine;
use crate::report::terminal;
use crate::template::plan::plan;
use crate::template::select::Selection;
use crate::template::{self, ReadData};
use image_action_engine::Events;
use image_action_engine::run::{self, PlannedBuild, RunContext, RunOutcome};
use image_action_engine::wait::set_poll_scale;
use image_action_lang::{Diagnostic, SourceMap};
use std::sync::Arc;
use std::time::Instant;

/// Runs the command.
pub async fn run(mut session: Session, args: BuildArgs) -> Exit {
    let common = &args.template.common;
    let none = SourceMap::default();
    if args.debug {
        let d = Diagnostic::error("-debug is not supported")
            .detail("Builds do not pause between their steps.")
            .hint("a breakpoint provisioner stops where you want; -on-error=abort leaves the machine as it is");
        session.show(&d.into(), &none);
        return Exit::Failed;
    }
    let selection = match Selection::new(&common.only, &common.except) {
        Ok(selection) => selection,
        Err(d) => {
            session.show(&d.into(), &none);
            return Exit::Failed;
        }
    };
    let levels = match Levels::parse(&args.warnings.warnings) {
        Ok(levels) => levels,
        Err(d) => {
            session.show(&d.into(), &none);
            return Exit::Failed;
        }
    };
    // The local clouds come up first: their environment is what variables and clients look at.
    let mut cloud = None;
    if args.local.local {
        let masker = session.masker.clone();
        let machine_readable = session.machine_readable;
        let progress = Arc::new(move |line: &str| Session::tell(machine_readable, &masker, "say", line));
        match Local::start(&args.local.guests.options(0), &session.env, progress).await {
            Ok(local) => {
                session.env = local.lay_over(&session.env);
                set_poll_scale(LOCAL_POLL_SCALE);
                session.say("Building on local clouds: nothing leaves this machine, and no account is used.");
                cloud = Some(local);
            }
            Err(e) => {
                session.show_error(e, &none);
                return Exit::Failed;
            }
        }
    }
    let exit = build(&session, &args, &selection, &levels).await;
    if let Some(cloud) = cloud {
        cloud.stop().await;
    }
    exit
}

/// Thousandths of the ordinary pauses between polls: states of the local clouds last fractions of a second.
pub(super) const LOCAL_POLL_SCALE: u32 = 50;

async fn build(session: &Session, args: &BuildArgs, selection: &Selection, levels: &Levels) -> Exit {
    let settings = session.settings(false, args.force, args.on_error.into());
    let options = session.options(&args.template.template, &args.template.common, args.warn_on_undeclared_var);
    let (parsed, sources, diags) = template::parse(&options, &settings);
    let failed = session.show(&levels.apply(diags), &sources);
    let Some(parsed) = parsed.filter(|_| !failed) else { return Exit::Failed };
    let events = Events::start(vec![session.subscriber(session.color(args.color), args.timestamp_ui)]);
    let run = match session.run_context(&settings, &args.state, events) {
        Ok(run) => Arc::new(run),
        Err(e) => {
            session.show_error(e, &sources);
            return Exit::Failed;
        }
    };
    let interrupted = match signals::watch(run.clone()) {
        Ok(interrupted) => interrupted,
        Err(e) => {
            session.fail(&format!("cannot watch for signals: {e}"));
            return Exit::Failed;
        }
    };
    let exit = match prepare(session, parsed, &run, &settings, (selection, levels), &sources).await {
        Err(exit) => exit,
        Ok((builds, failed)) => {
            let begin = Instant::now();
            let parallel = usize::try_from(args.parallel_builds).unwrap_or(0);
            let outcome = run::run(run.clone(), builds, parallel).await;
            report(session, &outcome, begin, interrupted.get());
            if interrupted.get() || failed || !outcome.succeeded() {
                Exit::Failed
            } else if run.ledger.left().is_empty() {
                Exit::Ok
            } else {
                Exit::Leftovers
            }
        }
    };
    run.ledger.close();
    exit
}

/// The builds that will run, and whether others could not be made.
async fn prepare(
    session: &Session,
    parsed: template::Parsed,
    run: &RunContext,
    settings: &template::Settings,
    (selection, levels): (&Selection, &Levels),
    sources: &SourceMap,
) -> Result<(Vec<PlannedBuild>, bool), Exit> {
    let (template, mut diags) = tokio::select! {
        found = parsed.initialize(ReadData::All(run), settings) => found,
        () = run.cancel.cancelled() => {
            run.events.flush().await;
            session.fail("Cleanly cancelled builds after being interrupted.");
            return Err(Exit::Failed);
        }
    };
    let broken = diags.has_errors();
    let planned = plan(&template, selection, settings);
    diags.extend(planned.diagnostics);
    diags.extend(lint::check(&Subject { template: &template, builds: &planned.parts, sources, settings }));
    let builds = planned.builds;
    run.events.flush().await;
    let diags = diags.arranged();
    let errors = diags.errors();
    let diags = levels.apply(diags);
    // A warning that was asked to be an error is one of the whole run.
    let broken = broken || diags.errors() > errors;
    let failed = session.show(&diags, sources);
    if broken || (builds.is_empty() && failed) {
        return Err(Exit::Failed);
    }
    if builds.is_empty() {
        let d = Diagnostic::error("No builds to run").detail("No build of the template was selected.");
        let names = template::plan::build_names(&template).join(", ");
        session.show(&d.hint(format!("builds are: {names}")).into(), sources);
        return Err(Exit::Failed);
    }
    Ok((builds, failed))
}

fn report(session: &Session, outcome: &RunOutcome, begin: Instant, interrupted: bool) {
    if session.machine_readable {
        Machine::new(std::io::stdout(), session.masker.clone()).outcome(outcome);
    }
    session.say(&terminal::summary(outcome, begin.elapsed(), interrupted, &session.masker));
}
