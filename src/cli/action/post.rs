//! The post step of the job: whatever the main step has left is removed, and its checks end.
//!
//! It is another container, which knows of the main one by the state that was kept (`STATE_…`) and by the ledger.

use super::settings::Work;
use crate::cli::Session;
use crate::cli::args::CleanupArgs;
use crate::cli::cleanup;
use crate::cli::exit::Exit;
use crate::github::checks::Checks;
use crate::github::{Job, runner};
use image_action_engine::{CancellationToken, Error, Ledger, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the main step is waited for where its container outlives the step (the runner ends docker's client, not the
/// container), of the five minutes that a cancelled job has.
const PATIENCE: Duration = Duration::from_secs(30);

/// Removes and ends.
pub async fn run(session: Session) -> Exit {
    let Some(ledger) = session.env.get("STATE_ledger").map(PathBuf::from) else {
        // The main step has not come so far as to make anything, or the runner has lost what it kept.
        let state = super::state(&session);
        return cleanup::run(session, CleanupArgs { state, ..CleanupArgs::default() }).await;
    };
    let removed = remove(&session, &ledger).await;
    if let Err(e) = end_checks(&session, removed).await {
        let hint = e.hint.as_deref().map(|h| format!("; {h}")).unwrap_or_default();
        let text = format!("no completed check runs: {}{hint}", e.summary);
        session.say(&runner::annotation("notice", "image-action", None, &text));
    }
    if removed { Exit::Ok } else { Exit::Failed }
}

/// Removes what the ledger lists; whether nothing is left.
async fn remove(session: &Session, path: &Path) -> bool {
    if !path.exists() {
        session.say("No run has left anything.");
        return true;
    }
    if session.env.get("STATE_local") == Some("true") {
        // Guests are processes of the main step. Their ids mean nothing in a real account.
        let _ = std::fs::remove_file(path);
        session.say("Clouds and machines were played on the runner, and went with the main step.");
        return true;
    }
    wait_for_main(path).await;
    cleanup::one(session, path, false).await
}

/// Waits until the main step has let go of its ledger.
async fn wait_for_main(path: &Path) {
    let (Some(dir), Some(id)) = (path.parent(), path.file_stem().and_then(|s| s.to_str())) else { return };
    let end = tokio::time::Instant::now() + PATIENCE;
    while Ledger::open(dir, id).is_err() && tokio::time::Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Ends the checks that the main step could not end.
async fn end_checks(session: &Session, removed: bool) -> Result<()> {
    let Some(state) = session.env.get("STATE_checks") else { return Ok(()) };
    let state = serde_json::from_str(state)
        .map_err(|e| Error::failed(format!("the state of the main step cannot be read: {e}")))?;
    let work = Work::new(session, super::inputs(session)?, Job::read(&session.env)?)?;
    let Some(client) = super::client(session, &work, CancellationToken::new())? else { return Ok(()) };
    let text = if removed {
        "The job was stopped before its end. What it had made in the clouds was removed."
    } else {
        "The job was stopped before its end. Not everything that it had made in the clouds could be removed: the log of the post step lists what is left."
    };
    Checks::restore(client, work.head(), &state).cancel(text).await
}
