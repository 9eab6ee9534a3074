//! What an interrupted and what a killed build leave: nothing, and a ledger that `cleanup` empties.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::seed::{program, workspace};
use crate::support::Local;
use image_action_localcloud::cloud::Existing;
use image_action_localcloud::fault::Fault;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long a build may take to have something in every cloud, and to clean up.
const PATIENCE: Duration = Duration::from_secs(90);

/// Starts the builds of three clouds whose machines nobody can log in to: they wait until they are stopped.
pub fn start(local: &Local, dir: &Path) -> Child {
    let mut build = program(dir, &local.env());
    build
        .args(["build", "-var", "environment=dev", "--state-dir"])
        .arg(local.dir.path().join("state"))
        .arg("templates");
    let log = std::fs::File::create(dir.join("log")).unwrap();
    build.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn().unwrap()
}

pub fn machines(local: &Local) -> usize {
    let is_machine = |e: &Existing| {
        let kind = e.kind.to_lowercase();
        (kind.contains("instance") || kind.contains("virtualmachine") || kind == "vm")
            && !e.state.contains("terminated")
    };
    local.running.cloud.existing().iter().filter(|e| is_machine(e)).count()
}

pub async fn until(what: &str, dir: &Path, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        let log = || std::fs::read_to_string(dir.join("log")).unwrap_or_default();
        assert!(begin.elapsed() < PATIENCE, "gave up waiting for {what}\n{}", log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn signal(child: &Child, name: &str) {
    let status = std::process::Command::new("kill").args(["-s", name, &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// What exists, but for what an account keeps for a while after its end.
pub fn left(local: &Local) -> Vec<String> {
    let all = local.running.cloud.existing();
    all.iter()
        .filter(|e| !e.state.contains("terminated"))
        .map(|e| format!("{} {} {}", e.provider, e.kind, e.id))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_build_leaves_nothing() {
    for (at, how) in [(1, "INT"), (3, "TERM")] {
        let local = Local::start().await;
        let dir = workspace();
        let mut child = start(&local, dir.path());
        until("machines", dir.path(), || machines(&local) >= at).await;
        signal(&child, how);
        let mut code = None;
        until("its end", dir.path(), || {
            code = child.try_wait().unwrap();
            code.is_some()
        })
        .await;
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        assert_eq!(code.unwrap().code(), Some(1), "{log}");
        assert!(log.contains("Cleanly cancelled"), "{log}");
        assert_eq!(left(&local), Vec::<String>::new(), "SIG{how} at {at} machines\n{log}");
        let ledgers = std::fs::read_dir(local.dir.path().join("state")).map(Iterator::count).unwrap_or(0);
        assert_eq!(ledgers, 0, "the ledger has nothing to say any more\n{log}");
        local.running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_build_leaves_a_ledger_that_cleanup_empties() {
    let local = Local::start().await;
    // The answer to the launch is lost: what exists then is in the ledger as an intent only.
    local.running.cloud.faults.add(Fault {
        matches: "RunInstances".to_owned(),
        delay_ms: 1,
        lose_answer: true,
        ..Fault::default()
    });
    let dir = workspace();
    let mut child = start(&local, dir.path());
    // Of the others there is whatever there is by then: the build of AWS does not wait for them.
    let launched = |e: &Existing| e.provider == "aws" && e.kind == "instance";
    until("an instance of AWS", dir.path(), || local.running.cloud.existing().iter().any(launched)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!left(&local).is_empty());
    let state = local.dir.path().join("state");
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 1);
    let mut cleanup = program(dir.path(), &local.env());
    let output = cleanup.args(["cleanup", "--state-dir"]).arg(&state).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    until("the clouds to be empty", dir.path(), || left(&local).is_empty()).await;
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0, "{text}");
    local.running.stop().await;
}
