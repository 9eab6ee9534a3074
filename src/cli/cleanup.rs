//! `cleanup`: removes what the ledgers of earlier runs list, or what carries our tags and has expired.

use crate::cli::Session;
use crate::cli::args::CleanupArgs;
use crate::cli::exit::Exit;
use crate::registry;
use futures_util::future::join_all;
use image_action_engine::ask::Asking;
use image_action_engine::ledger::{Found, Item, LIFETIME, Search, Sweeper};
use image_action_engine::run::{OnError, RunContext};
use image_action_engine::{CancellationToken, Error, ErrorKind, Events, Ledger, Result};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often what could not be removed is tried again: what depends on another resource goes once that one has gone.
const ROUNDS: usize = 3;

/// Runs the command.
pub async fn run(session: Session, args: CleanupArgs) -> Exit {
    let dir = match session.state_dir(&args.state) {
        Ok(dir) => dir,
        Err(e) => return failed(&session, e),
    };
    match args.older_than {
        Some(age) => by_tags(&session, &args, &dir, age).await,
        None => by_ledgers(&session, &dir, args.dry_run).await,
    }
}

fn failed(session: &Session, e: Error) -> Exit {
    session.show_error(e, &Default::default());
    Exit::Failed
}

async fn by_ledgers(session: &Session, dir: &Path, dry_run: bool) -> Exit {
    let ledgers = match ledgers(dir) {
        Ok(ledgers) => ledgers,
        Err(e) => return failed(session, e),
    };
    if ledgers.is_empty() {
        session.say("No run has left anything.");
        return Exit::Ok;
    }
    let results = join_all(ledgers.iter().map(|path| one(session, path, dry_run))).await;
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
pub(super) async fn one(session: &Session, path: &Path, dry_run: bool) -> bool {
    let (Some(dir), Some(run_id)) = (path.parent(), path.file_stem().and_then(|s| s.to_str())) else { return true };
    let ledger = match Ledger::open(dir, run_id) {
        Ok(ledger) => ledger,
        Err(e) => {
            // A run that goes on cleans up after itself.
            session.say(&e.to_string());
            return true;
        }
    };
    if dry_run {
        for item in ledger.left() {
            session.say(&format!("run {run_id}: would remove {}", describe(&item)));
        }
        return true;
    }
    let run = context(session, run_id, ledger);
    let good = empty(session, &run, &format!("run {run_id}: ")).await;
    if run.ledger.close() {
        session.say(&format!("run {run_id}: nothing is left"));
    }
    good
}

fn context(session: &Session, run_id: &str, ledger: Ledger) -> RunContext {
    RunContext {
        id: run_id.to_owned(),
        started: session.started,
        cwd: session.cwd.clone(),
        env: session.env.clone(),
        events: Events::start(vec![session.subscriber(false, false)]),
        ledger,
        cancel: CancellationToken::new(),
        on_error: OnError::Cleanup,
        asking: Asking::default(),
        force: false,
        skip_image: false,
        finishers: Mutex::default(),
    }
}

/// Removes everything that a ledger has left; whether it could. Failures are told behind `prefix`.
async fn empty(session: &Session, run: &RunContext, prefix: &str) -> bool {
    let mut failures = Vec::new();
    for _ in 0..ROUNDS {
        let left = run.ledger.left();
        // All at once: what refuses to go before another resource is tried again in the next round.
        let results = join_all(left.iter().map(|item| remove(run, item))).await;
        failures = left.into_iter().zip(results).filter_map(|(item, r)| Some((item, r.err()?))).collect::<Vec<_>>();
        if failures.is_empty() {
            break;
        }
    }
    run.events.flush().await;
    for (item, error) in &failures {
        session.fail(&format!("{prefix}{} is still there: {error}", describe(item)));
        if let Some(sweeper) = sweeper(item) {
            session.fail(&format!("    remove it with: {}", sweeper.command(item)));
        }
    }
    failures.is_empty()
}

/// `aws instance i-1 in us-west-2`.
fn describe(item: &Item) -> String {
    let resource = &item.resource;
    let named = item.id.as_ref().unwrap_or(&resource.name);
    // A path of Azure's says itself where the resource is.
    let place = if named.starts_with('/') { String::new() } else { format!(" in {}", resource.place) };
    format!("{} {} {named}{place}", resource.provider, resource.kind.replace('-', " "))
}

fn sweeper(item: &Item) -> Option<Box<dyn Sweeper>> {
    registry::sweepers().into_iter().find(|s| s.provider() == item.resource.provider)
}

async fn remove(run: &RunContext, item: &Item) -> Result<()> {
    let Some(sweeper) = sweeper(item) else {
        return Err(Error::failed(format!("nothing here knows the provider {:?}", item.resource.provider)));
    };
    sweeper.remove(run, item).await?;
    run.ledger.entry(&item.key).gone()
}

/// Seconds since 1970 before which a thing has to have expired: it is older than `age`, and its own time is up.
fn expired_before(now: SystemTime, age: Duration) -> u64 {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    now.min((now + LIFETIME).saturating_sub(age)).as_secs()
}

/// A cloud, and its regions, subscriptions or projects.
type Cloud = (Box<dyn Sweeper>, Vec<String>);

/// The clouds that are meant.
fn chosen(session: &Session, args: &CleanupArgs) -> Result<Vec<Cloud>> {
    let places = |provider: &str| match provider {
        "aws" => args.region.clone(),
        "azure" => args.subscription.clone(),
        _ => args.project.clone(),
    };
    let mut all: Vec<_> = registry::sweepers().into_iter().map(|s| (places(s.provider()), s)).collect();
    if all.iter().any(|(places, _)| !places.is_empty()) {
        all.retain(|(places, _)| !places.is_empty());
    } else {
        all.retain(|(_, sweeper)| sweeper.is_named(&session.env));
    }
    if all.is_empty() {
        let what = "the environment names no account of AWS, Azure or Google Cloud";
        return Err(Error::new(ErrorKind::Invalid, what).hint(
            "name where to look with --region, --subscription or --project, or set AWS_REGION, AZURE_SUBSCRIPTION_ID or GOOGLE_CLOUD_PROJECT",
        ));
    }
    Ok(all.into_iter().map(|(places, sweeper)| (sweeper, places)).collect())
}

/// Looks in the clouds; what is found goes into a ledger of this command's own, which is then emptied like any other: an
/// interrupted clean-up is one that the next `cleanup` ends.
async fn by_tags(session: &Session, args: &CleanupArgs, dir: &Path, age: Duration) -> Exit {
    let clouds = match chosen(session, args) {
        Ok(clouds) => clouds,
        Err(e) => return failed(session, e),
    };
    let ledger = match Ledger::open(dir, &session.run_id) {
        Ok(ledger) => ledger,
        Err(e) => return failed(session, e),
    };
    let run = context(session, &session.run_id, ledger);
    let before = expired_before(session.started, age);
    let searches = clouds.iter().map(|(sweeper, places)| {
        let search = Search { places: places.clone(), expired_before: before };
        let run = &run;
        async move { (sweeper.provider(), sweeper.find(run, &search).await) }
    });
    let mut good = true;
    for (provider, found) in join_all(searches).await {
        run.events.flush().await;
        match found {
            Ok(found) if found.is_empty() => session.say(&format!("{provider}: nothing has expired")),
            Ok(found) => good &= note(session, &run, &found, args.dry_run),
            Err(e) => {
                session.show_error(e, &Default::default());
                good = false;
            }
        }
    }
    let left = run.ledger.left().len();
    good &= empty(session, &run, "").await;
    if left > 0 {
        session.say(&format!("{} of {left} removed", left - run.ledger.left().len()));
    }
    run.ledger.close();
    if good { Exit::Ok } else { Exit::Failed }
}

/// Tells what was found and, unless it is only asked for, notes it for removal; whether it could.
fn note(session: &Session, run: &RunContext, all: &[Found], dry_run: bool) -> bool {
    for found in all {
        let Found { resource, id, run: maker } = found;
        let item = Item {
            key: String::new(),
            resource: resource.clone(),
            build: String::new(),
            id: Some(id.clone()),
            state: image_action_engine::ledger::State::Created,
            order: 0,
        };
        let verb = if dry_run { "would remove" } else { "removing" };
        session.say(&format!("{verb} {} (run {maker})", describe(&item)));
        if dry_run {
            continue;
        }
        if let Err(e) = run.ledger.intent("", resource.clone()).and_then(|entry| entry.created(id)) {
            session.show_error(e, &Default::default());
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_before_its_own_time_is_up() {
        let hours = |n: u64| Duration::from_secs(n * 3600);
        let now = UNIX_EPOCH + hours(1000);
        assert_eq!(expired_before(now, hours(1)), hours(1000).as_secs(), "it began 24 hours ago at least");
        assert_eq!(expired_before(now, hours(24)), hours(1000).as_secs());
        assert_eq!(expired_before(now, hours(72)), hours(952).as_secs(), "it began 72 hours ago: it expired 48 ago");
        assert_eq!(expired_before(now, hours(5000)), 0);
    }
}
