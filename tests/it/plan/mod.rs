//! What `plan` says beside what `build` does: the same template is planned (nobody is asked), built on a local cloud, and the
//! requests that the cloud has noted are compared with the plan's steps and with its permissions.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod against;
mod amazon;
mod azure;
mod google;
mod shown;

use crate::support::Local;
use image_action_localcloud::cloud::LogEntry;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Output, Stdio};

/// A folder with a template, and a local cloud.
struct Site {
    local: Local,
    dir: tempfile::TempDir,
}

impl Site {
    async fn new(template: &str) -> Site {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("t.pkr.hcl"), template).unwrap();
        Site { local: Local::start().await, dir }
    }
    async fn run(&self, arguments: &[&str]) -> Output {
        run_in(self.dir.path(), &self.local.env(), arguments).await
    }
    async fn build(&self, arguments: &[&str]) {
        let state = self.dir.path().join("state").display().to_string();
        let all = [&["build", "-color=false", "--state-dir", &state], arguments, &["."]].concat();
        let output = self.run(&all).await;
        assert!(output.status.success(), "{}", text(&output));
    }
    /// `plan -json`, with these arguments; nobody may have been asked.
    async fn plan(&self, arguments: &[&str]) -> Value {
        let before = self.local.running.cloud.log().len();
        let output = self.run(&[&["plan", "-json"], arguments, &["."]].concat()).await;
        assert!(output.status.success(), "{}", text(&output));
        assert_eq!(self.local.running.cloud.log().len(), before, "a plan asks nobody");
        serde_json::from_slice(&output.stdout).unwrap()
    }
    /// Plans, builds, and compares; what the cloud noted of the build.
    async fn compare(&self, arguments: &[&str]) -> Compared {
        let plan = self.plan(arguments).await;
        let documents = self.plan(&[arguments, &["-permissions"]].concat()).await;
        self.local.running.cloud.clear_log();
        self.build(arguments).await;
        let steps = plan["builds"][0]["steps"].as_array().unwrap();
        let steps = steps.iter().map(Planned::of).collect();
        let documents = documents["permissions"].as_array().unwrap().clone();
        Compared { steps, documents, log: self.local.running.cloud.log() }
    }
}

/// Runs the program in a folder.
async fn run_in(dir: &Path, env: &BTreeMap<String, String>, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_image-action"));
    command.args(arguments).current_dir(dir).env_clear().envs(env);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", dir);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.output().await.unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A step of a plan.
#[derive(Debug)]
struct Planned {
    stage: String,
    call: String,
    place: String,
    certain: bool,
}

impl Planned {
    fn of(step: &Value) -> Planned {
        let text = |name: &str| step[name].as_str().unwrap().to_owned();
        Planned { stage: text("stage"), call: text("call"), place: text("place"), certain: step["when"].is_null() }
    }
}

/// What was planned, and what was done.
struct Compared {
    steps: Vec<Planned>,
    documents: Vec<Value>,
    log: Vec<LogEntry>,
}

/// A changing call that a cloud has noted: as plans name it, and where.
type Done = (String, String);

impl Compared {
    /// The changing calls of the build are those of the plan: all that are certain, and no others; whatever comes in an earlier
    /// part comes first, and within the machine's part the plan's order holds but for `side_by_side`.
    fn same_calls(&self, done: &[Done], side_by_side: &[&str]) {
        let planned: BTreeSet<Done> = self.steps.iter().map(|s| (s.call.clone(), s.place.clone())).collect();
        let seen: BTreeSet<Done> = done.iter().cloned().collect();
        let unplanned: Vec<_> = seen.difference(&planned).collect();
        assert!(unplanned.is_empty(), "made and not planned: {unplanned:#?}\nplan: {:#?}", self.steps);
        let certain = self.steps.iter().filter(|s| s.certain).map(|s| (s.call.clone(), s.place.clone()));
        let missing: Vec<_> = certain.filter(|s| !seen.contains(s)).collect();
        assert!(missing.is_empty(), "planned and not made: {missing:#?}\ndone: {done:#?}");
        let first = |step: &Planned| done.iter().position(|(call, place)| *call == step.call && *place == step.place);
        let early = |s: &&Planned| s.stage == "clear" || s.stage == "machine";
        for (n, before) in self.steps.iter().enumerate().filter(|(_, s)| early(s)) {
            for after in &self.steps[n + 1..] {
                let (Some(a), Some(b)) = (first(before), first(after)) else { continue };
                let beside =
                    side_by_side.contains(&before.call.as_str()) && side_by_side.contains(&after.call.as_str());
                let beside = beside || (before.stage == "clear" && after.stage == "clear");
                assert!(beside || a <= b, "{before:?} comes before {after:?} in the plan, and after it in {done:#?}");
            }
        }
    }

    /// Every call is allowed by some document, and every permission is used, but for those with a reason.
    ///
    /// `needed` are permissions with the place where they are needed; `allows` says of a document whether it allows one.
    fn same_permissions(
        &self,
        needed: &BTreeSet<(String, String)>,
        allows: impl Fn(&Value, &str, &str) -> bool,
        granted: impl Fn(&Value) -> Vec<String>,
        reasons: &[(&str, &str)],
    ) {
        let documents: Vec<Value> = self.documents.iter().map(|d| parse(d["document"].as_str().unwrap())).collect();
        for (permission, place) in needed {
            let allowed = documents.iter().any(|d| allows(d, permission, place));
            assert!(allowed, "{permission} at {place} is used and not allowed by {documents:#?}");
        }
        let used: BTreeSet<&str> = needed.iter().map(|(p, _)| p.as_str()).collect();
        for permission in documents.iter().flat_map(granted) {
            let reason = reasons
                .iter()
                .any(|(p, _)| permission == *p || p.strip_suffix('*').is_some_and(|p| permission.starts_with(p)));
            assert!(used.contains(permission.as_str()) || reason, "{permission} is allowed and not used");
        }
    }
}

/// JSON or YAML.
fn parse(document: &str) -> Value {
    serde_json::from_str(document).unwrap_or_else(|_| serde_yaml::from_str(document).unwrap())
}

/// A text, or the texts of a list.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().map(|v| v.as_str().unwrap().to_owned()).collect(),
        _ => Vec::new(),
    }
}
