//! `-on-error=ask`, with a person at a terminal of `script` and without one.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::seed::program;
use crate::support::Local;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A build that works at the third try.
fn template(dir: &Path) {
    let text = r#"
source "googlecompute" "x" {
  project_id          = "local-project"
  zone                = "us-central1-a"
  source_image_family = "ubuntu-2204-lts"
  image_name          = "asked"
  ssh_username        = "packer"
  communicator        = "none"
  instance_name       = "one"
}
build {
  sources = ["googlecompute.x"]
  provisioner "shell-local" {
    inline = ["echo once more >> tries", "test $(wc -l < tries) -ge 3"]
  }
  error-cleanup-provisioner "shell-local" {
    inline = ["touch cleaned"]
  }
}
"#;
    std::fs::write(dir.join("x.pkr.hcl"), text).unwrap();
}

/// Builds at a terminal, where somebody types `answers`; exit code and output.
fn at_a_terminal(local: &Local, dir: &Path, answers: &str) -> (Option<i32>, String) {
    template(dir);
    let state = dir.join("state");
    let line = format!(
        "{} build -color=false -on-error=ask --state-dir {} .",
        env!("CARGO_BIN_EXE_image-action"),
        state.display()
    );
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(dir)
        .envs(local.env())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script, of the package bsdutils, which every Debian has");
    let mut person = child.stdin.take().unwrap();
    person.write_all(answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(person);
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn existing(local: &Local) -> Vec<String> {
    local.running.cloud.existing().iter().map(|e| format!("{} {}", e.kind, e.id)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_has_the_step_repeated() {
    let (local, dir) = (Local::start().await, tempfile::tempdir().unwrap());
    let (code, text) = at_a_terminal(&local, dir.path(), "what?\nr\nRetry\n");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Step \"provisioner shell-local\" failed"), "{text}");
    assert!(text.contains("[c] clean up and exit, [a] abort and leave everything as it is, or [r] retry"), "{text}");
    assert!(text.contains("Incorrect input: \"what?\""), "{text}");
    assert_eq!(existing(&local), ["image projects/local-project/global/images/asked"]);
    local.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_aborts_or_cleans_up() {
    for (answers, left, cleaned) in [("a\n", 2, false), ("r\nc\n", 0, true), ("\n", 0, true)] {
        let (local, dir) = (Local::start().await, tempfile::tempdir().unwrap());
        let (code, text) = at_a_terminal(&local, dir.path(), answers);
        assert_eq!(code, Some(1), "{text}");
        assert_eq!(existing(&local).len(), left, "{answers:?}: {:?}\n{text}", existing(&local));
        assert_eq!(dir.path().join("cleaned").exists(), cleaned, "{answers:?}\n{text}");
        assert_eq!(text.matches("abort and leave").count(), answers.lines().count(), "nobody is asked twice\n{text}");
        local.running.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_it_says_what_it_does() {
    let (local, dir) = (Local::start().await, tempfile::tempdir().unwrap());
    template(dir.path());
    // A session of its own has no terminal, wherever the tests run.
    let mut build = Command::new("setsid");
    let ours = program(dir.path(), &local.env());
    build.arg("--wait").arg(ours.get_program()).args(["build", "-on-error=ask", "--state-dir", "state", "."]);
    build.current_dir(dir.path()).env_clear();
    build.envs(ours.get_envs().filter_map(|(k, v)| Some((k, v?)))).stdin(Stdio::null());
    let output = build.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("-on-error=ask has no terminal to ask on, and cleans up"), "{text}");
    assert_eq!(existing(&local), Vec::<String>::new());
    local.running.stop().await;
}
