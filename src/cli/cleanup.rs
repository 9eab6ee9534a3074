//! `cleanup`: removes what the ledgers of earlier runs list.

use crate::cli::Session;
use crate::cli::args::CleanupArgs;
use crate::cli::exit::Exit;
use crate::registry;
use futures_util::future::join_all;
use image_action_engine::ledger::Item;
use image_action_engine::run::{OnError, RunContext};
use image_action_engine::{CancellationToken, Error, Events, Ledger, Result};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// How often what could not be removed is tried again: what depends on another resource goes once that one has gone.
const ROUNDS: usize = 3;

/// Runs the command.
pub async fn run(session: Session, args: CleanupArgs) -> Exit {
    let ledgers = session.state_dir(&args.state).and_then(|dir| ledgers(&dir));
    let ledgers = match ledgers {
        Ok(ledgers) => ledgers,
        Err(e) => {
            session.show_error(e, &Default::default());
            return Exit::Failed;
        }
    };
    if ledgers.is_empty() {
        session.say("No run has left anything.");
        return Exit::Ok;
    }
    let results = join_all(ledgers.iter().map(|path| one(&session, path))).await;
    if results.into_iter().all(|good| good) { Exit::Ok } else { Exit::Failed }
}

/// The ledgers in a folder; a folder that does not exist has none.
fn ledgers(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::failed(format!("cannot read {}: {e}", dir.display()))),
    };
    let mut paths: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "jsonl"));
    paths.sort();
    Ok(paths)
}

/// Removes what one ledger lists; whether nothing is left.
pub(super) async fn one(session: &Session, path: &Path) -> bool {
    let (Some(dir), Some(run_id)) = (path.parent(), path.file_stem().and_then(|s| s.to_str())) else { return true };
    let ledger = match Ledger::open(dir, run_id) {
        Ok(ledger) => ledger,
        Err(e) => {
            // A run that goes on cleans up after itself.
            session.say(&e.to_string());
            return true;
        }
    };
    let run = RunContext {
        id: run_id.to_owned(),
        started: session.started,
        cwd: session.cwd.clone(),
        env: session.env.clone(),
        events: Events::start(vec![session.subscriber(false, false)]),
        ledger,
        cancel: CancellationToken::new(),
        on_error: OnError::Cleanup,
        force: false,
        skip_image: false,
        finishers: Mutex::default(),
    };
    let mut failures = Vec::new();
    for _ in 0..ROUNDS {
        let left = run.ledger.left();
        // All at once: what refuses to go before another resource is tried again in the next round.
        let results = join_all(left.iter().map(|item| remove(&run, item))).await;
        failures = left.into_iter().zip(results).filter_map(|(item, r)| Some((item, r.err()?))).collect::<Vec<_>>();
        if failures.is_empty() {
            break;
        }
    }
    run.events.flush().await;
    for (item, error) in &failures {
        session.fail(&format!("run {run_id}: {} {} is still there: {error}", item.resource.kind, shown(item)));
        let sweeper = registry::sweepers().into_iter().find(|s| s.provider() == item.resource.provider);
        if let Some(sweeper) = sweeper {
            session.fail(&format!("    remove it with: {}", sweeper.command(item)));
        }
    }
    if run.ledger.close() {
        session.say(&format!("run {run_id}: nothing is left"));
    }
    failures.is_empty()
}

fn shown(item: &Item) -> String {
    item.id.clone().unwrap_or_else(|| item.resource.name.clone())
}

async fn remove(run: &RunContext, item: &Item) -> Result<()> {
    let sweeper = registry::sweepers().into_iter().find(|s| s.provider() == item.resource.provider);
    let Some(sweeper) = sweeper else {
        return Err(Error::failed(format!("nothing here knows the provider {:?}", item.resource.provider)));
    };
    sweeper.remove(run, item).await?;
    run.ledger.entry(&item.key).gone()
}
