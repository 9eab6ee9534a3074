//! The main job: one template, three clouds, real guests, real ansible; what is left behind, and what an interrupted or killed
//! build leaves.
//!
//! The template is the one that `IMAGE_ACTION_SEED` names (the document that this project began with), or the project's own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::{self, Local};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long three builds with their packages may take on two busy cores.
const DEADLINE: Duration = Duration::from_secs(1200);

/// Three guests at a time are enough for two cores.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-rT").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// A copy of the template's folder, with what the seed leaves out.
pub fn workspace() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let project = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    match std::env::var_os("IMAGE_ACTION_SEED") {
        Some(seed) => {
            copy(&PathBuf::from(seed).join("files"), dir.path());
            let status = Command::new("chmod").args(["-R", "u+w"]).arg(dir.path()).status().unwrap();
            assert!(status.success());
            copy(&project.join("tests/data/seed-extra/scripts"), &dir.path().join("scripts"));
            copy(&project.join("ansible/roles"), &dir.path().join("ansible/roles"));
        }
        None => {
            for name in ["templates", "scripts", "ansible"] {
                copy(&project.join(name), &dir.path().join(name));
            }
        }
    }
    dir
}

pub fn program(dir: &Path, env: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_image-action"));
    command.current_dir(dir).stdin(Stdio::null()).env_clear().envs(env);
    for name in ["PATH", "HOME", "IMAGE_ACTION_CACHE", "XDG_CACHE_HOME", "LANG"] {
        if let Ok(value) = std::env::var(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs to its end; output and errors in one text.
fn run(mut command: Command) -> (i32, String) {
    let log = tempfile::NamedTempFile::new().unwrap();
    command.stdout(log.reopen().unwrap()).stderr(log.reopen().unwrap());
    let mut child = command.spawn().unwrap();
    let begin = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code().unwrap_or(-1);
        }
        if begin.elapsed() > DEADLINE {
            child.kill().unwrap();
            child.wait().unwrap();
            break -1;
        }
        std::thread::sleep(Duration::from_millis(200));
    };
    (code, std::fs::read_to_string(log.path()).unwrap())
}

fn manifest(dir: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(dir.join("manifest.json")).unwrap()).unwrap()
}

fn builders(manifest: &Value) -> Vec<&str> {
    manifest["builds"].as_array().unwrap().iter().map(|b| b["builder_type"].as_str().unwrap()).collect()
}

/// The last part of a log: what went wrong stands there.
fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(6000);
    &text[text.ceil_char_boundary(from)..]
}

#[tokio::test(flavor = "multi_thread")]
async fn one_template_builds_on_three_clouds_with_local() {
    if !support::can_have_guests() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    let dir = workspace();
    let mut build = program(dir.path(), &BTreeMap::new());
    build.args(["build", "--local", "-var", "environment=dev", "templates"]);
    let (code, text) = tokio::task::spawn_blocking(move || run(build)).await.unwrap();
    assert_eq!(code, 0, "{}", tail(&text));
    let manifest = manifest(dir.path());
    assert_eq!(builders(&manifest), ["amazon-ebs", "azure-arm", "googlecompute"]);
    assert_eq!(manifest["builds"][0]["custom_data"]["environment"], "dev");
    let check = Command::new("sha256sum").args(["-c", "checksums.txt"]).current_dir(dir.path()).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    assert!(text.contains("PLAY RECAP"), "the real ansible-playbook spoke");
}

#[tokio::test(flavor = "multi_thread")]
async fn production_images_are_copied_shared_and_replicated_and_nothing_else_is_left() {
    if !support::can_have_guests() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().await;
    let local = Local::start_with_guests().await;
    let dir = workspace();
    let state = local.dir.path().join("state");
    let mut build = program(dir.path(), &local.env());
    build.args(["build", "-var", "environment=prod", "--state-dir"]).arg(&state).arg("templates");
    let (code, text) = tokio::task::spawn_blocking(move || run(build)).await.unwrap();
    assert_eq!(code, 0, "{}", tail(&text));
    assert_eq!(builders(&manifest(dir.path())), ["amazon-ebs", "azure-arm", "googlecompute"]);
    let seen = support::python("aws_prod.py", &[], local.env()).await;
    let seen: Value = serde_json::from_str(&seen).unwrap();
    for region in ["us-west-2", "us-east-1", "eu-west-1"] {
        let image = &seen[region]["images"][0];
        assert_eq!(image["tags"]["Environment"], "prod", "{region}: {seen}");
        assert_eq!(image["encrypted"], true, "{region}: {seen}");
        assert_eq!(image["shared_with"], serde_json::json!(["123456789012", "234567890123"]), "{region}: {seen}");
        for kind in ["instances", "key_pairs", "security_groups", "other_images"] {
            assert_eq!(seen[region][kind], 0, "{region} {kind}: {seen}");
        }
    }
    let left: Vec<_> = local.running.cloud.existing();
    let kinds: Vec<_> = left.iter().map(|e| (e.provider, e.kind.as_str())).collect();
    let wanted = |kind: &str| kind.contains("image") || kind.contains("snapshot") || kind.contains("galler");
    assert!(kinds.iter().all(|(_, kind)| wanted(&kind.to_lowercase())), "{kinds:?}");
    assert_eq!(std::fs::read_dir(&state).unwrap().count(), 0, "the ledger of a run that left nothing is gone");
    local.running.stop().await;
}
