//! The action, from event file to release asset, against the local cloud's GitHub.
//!
//! Every call that a test has made, and every answer that it got, is measured with GitHub's own description of its API
//! ([`Job::contract`]); event files are GitHub's own examples ([`events`]); what a log says is read as the runner reads it
//! ([`hostile`]).

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod attest;
mod cancel;
mod changes;
mod defaults;
mod events;
mod fan_out;
mod hostile;
mod limits;
mod releases;
mod reports;
mod stranger;

use crate::support::{Local, python};
use image_action_localcloud::cloud::LogEntry;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

const TEMPLATE: &str = r#"
variable "environment" {
  type = string
}

source "file" "image" {
  content = "built for ${var.environment}\n"
  target  = "image.txt"
}

build {
  name    = "demo"
  sources = ["source.file.image"]

  post-processor "manifest" {
    output = "manifest.json"
  }
  post-processor "checksum" {
    checksum_types = ["sha256"]
    output         = "checksums.txt"
  }
}
"#;

/// A workspace of one template, with the runner's files beside it.
struct Job {
    local: Local,
    dir: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

struct Ended {
    code: i32,
    text: String,
}

impl Job {
    async fn new(event: &str, payload: &Value, more: &[(&str, &str)]) -> Job {
        let local = Local::start().await;
        let dir = tempfile::tempdir().unwrap();
        let workspace = dir.path().join("workspace");
        std::fs::create_dir_all(workspace.join("templates")).unwrap();
        std::fs::write(workspace.join("templates/build.pkr.hcl"), TEMPLATE).unwrap();
        let file = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(file("event.json"), payload.to_string()).unwrap();
        let mut env = local.env();
        let pairs = [
            ("GITHUB_ACTIONS", "true".to_owned()),
            ("GITHUB_EVENT_NAME", event.to_owned()),
            ("GITHUB_EVENT_PATH", file("event.json")),
            ("GITHUB_REPOSITORY", "octo/images".to_owned()),
            ("GITHUB_SHA", "1111111111111111111111111111111111111111".to_owned()),
            ("GITHUB_RUN_ID", "42".to_owned()),
            ("GITHUB_WORKFLOW", "images".to_owned()),
            ("GITHUB_JOB", "build".to_owned()),
            ("GITHUB_OUTPUT", file("output")),
            ("GITHUB_STATE", file("state")),
            ("GITHUB_STEP_SUMMARY", file("summary")),
            ("RUNNER_TEMP", file("temp")),
            ("PATH", std::env::var("PATH").unwrap()),
        ];
        env.extend(pairs.map(|(k, v)| (k.to_owned(), v)));
        let token = env["GITHUB_TOKEN"].clone();
        env.insert("INPUT_GITHUB-TOKEN".to_owned(), token);
        env.remove("GITHUB_TOKEN");
        env.extend(more.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        Job { local, dir, env }
    }
    fn workspace(&self) -> PathBuf {
        self.dir.path().join("workspace")
    }
    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }
    /// The program, as the runner starts it.
    fn program(&self) -> tokio::process::Command {
        let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_image-action"));
        program.arg("action").current_dir(self.workspace()).env_clear().envs(&self.env).stdin(Stdio::null());
        program
    }
    async fn run(&self) -> Ended {
        Job::ended(self.program()).await
    }
    async fn ended(mut program: tokio::process::Command) -> Ended {
        let output = program.output().await.unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Ended { code: output.status.code().unwrap(), text }
    }
    /// The post step, as the runner starts it: the same, with the state that the main step has kept.
    fn post(&self) -> tokio::process::Command {
        let mut program = self.program();
        program
            .arg("--post")
            .envs(kept(&self.file("state")).into_iter().map(|(name, value)| (format!("STATE_{name}"), value)));
        program
    }
    fn template(&self, text: &str) {
        std::fs::write(self.workspace().join("templates/build.pkr.hcl"), text).unwrap();
    }
    /// The calls so far.
    fn calls(&self) -> Vec<(String, String)> {
        let log = self.local.running.cloud.log();
        log.iter().filter(|e| e.service == "github").map(|e| (e.call.clone(), e.body.clone())).collect()
    }
    /// Measures all calls so far, and their answers, with GitHub's description.
    #[allow(clippy::print_stderr)]
    async fn contract(&self) {
        let Some(modules) = std::env::var_os("IMAGE_ACTION_NODE_MODULES") else {
            eprintln!("passed over: IMAGE_ACTION_NODE_MODULES is not set, scripts/dev/test.sh sets it");
            return;
        };
        let description = Path::new(&modules).join("@octokit/openapi/generated/api.github.com.json");
        // The runner's service for tokens is no part of the API.
        let described = |e: &&LogEntry| e.service == "github" && !e.raw.contains("/_services/");
        let calls: Vec<Value> = self.local.running.cloud.log().iter().filter(described).map(call).collect();
        let file = self.dir.path().join("calls.json");
        std::fs::write(&file, Value::from(calls).to_string()).unwrap();
        let arguments = [description.to_str().unwrap(), file.to_str().unwrap()];
        python("github_contract.py", &arguments, BTreeMap::new()).await;
    }
    async fn github(&self, path: &str) -> Value {
        let url = format!("{}/repos/octo/images/{path}", self.local.env()["GITHUB_API_URL"]);
        let call =
            reqwest::Client::new().get(url).bearer_auth(&self.local.env()["GITHUB_TOKEN"]).header("user-agent", "test");
        call.send().await.unwrap().json().await.unwrap()
    }
}

/// A call of the log as the measure takes it.
fn call(entry: &LogEntry) -> Value {
    let (method, _) = entry.call.split_once(' ').unwrap();
    let (path, query) = entry.raw.split_once('?').unwrap_or((&entry.raw, ""));
    let (path, upload) = match path.strip_prefix("/github/uploads") {
        Some(path) => (path, true),
        None => (path.strip_prefix("/github").unwrap(), false),
    };
    let query: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    json!({
        "method": method, "path": path, "query": query, "body": entry.body, "status": entry.status, "answer": entry.answer,
        "content_type": if upload { "application/octet-stream" } else { "application/json" },
    })
}

/// The pairs of a file command, as the runner reads them (`runner:FileCommandManager.cs`); later ones win.
fn kept(text: &str) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (name, end) = line.split_once("<<").expect("every line begins a pair");
        let value: Vec<&str> = lines.by_ref().take_while(|l| *l != end).collect();
        pairs.insert(name.to_owned(), value.join("\n"));
    }
    pairs
}

fn pull_request(head_repo: u64) -> Value {
    json!({
        "action": "synchronize", "number": 7,
        "pull_request": {
            "number": 7, "title": "::error::<img src=x> @octocat",
            "head": {"sha": "2222222222222222222222222222222222222222", "ref": "topic", "repo": {"id": head_repo}},
            "base": {"sha": "3333333333333333333333333333333333333333", "ref": "main", "repo": {"id": 1}},
        },
    })
}

/// The value of a step output.
fn output(text: &str, name: &str) -> Option<String> {
    kept(text).remove(name)
}

/// By coreutils, not by us.
fn sha256sum(path: &Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}
