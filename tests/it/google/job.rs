//! A run of the program on a local Compute Engine.

use crate::support::Local;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// How long one run may take on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// The image that templates of these tests make.
pub const IMAGE: &str = "company-ubuntu-1-0-0-20260101-101010";

/// A folder with a template.
pub struct Job {
    pub dir: tempfile::TempDir,
    pub local: Local,
    env: Vec<(String, String)>,
}

/// How a run ended, and what it said.
pub struct Outcome {
    pub code: i32,
    pub text: String,
}

impl Job {
    /// A template whose source has `options` besides what the tests need, and whose build block has `steps`.
    pub async fn new(options: &str, steps: &str) -> Job {
        let source = format!(
            "project_id = \"local-project\"\n  zone = \"us-central1-a\"\n  source_image_family = \"ubuntu-2204-lts\"\n  \
             image_name = \"{IMAGE}\"\n  communicator = \"none\"\n  {options}"
        );
        Job::with_source(&source, steps).await
    }
    /// A template with this source.
    pub async fn with_source(source: &str, steps: &str) -> Job {
        let template = format!(
            "source \"googlecompute\" \"ubuntu\" {{\n  {source}\n}}\n\nbuild {{\n  sources = \
             [\"source.googlecompute.ubuntu\"]\n{steps}\n}}\n"
        );
        Job::with_template(&template).await
    }
    /// A whole template.
    pub async fn with_template(template: &str) -> Job {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("t.pkr.hcl"), template).unwrap();
        Job { dir, local: Local::start().await, env: Vec::new() }
    }
    /// With another variable of the environment; an empty one counts as unset.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }
    /// Adds a fault of the local cloud.
    pub fn fault(&self, fault: Value) {
        self.local.running.cloud.faults.add(serde_json::from_value(fault).unwrap());
    }
    fn command(&self, arguments: &[&str], log: &tempfile::NamedTempFile) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_image-action"));
        command.env_clear().envs(self.local.env()).envs(self.env.iter().cloned());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.dir.path());
        command.args(arguments).current_dir(self.dir.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(log.reopen().unwrap()).stderr(log.reopen().unwrap());
        command
    }
    /// Runs the program.
    pub async fn run(&self, arguments: &[&str]) -> Outcome {
        self.start(arguments).end().await
    }
    /// `build`, with these arguments before the template.
    pub async fn build(&self, arguments: &[&str]) -> Outcome {
        self.start_build(arguments).end().await
    }
    /// Starts the program.
    pub fn start(&self, arguments: &[&str]) -> Going {
        let log = tempfile::NamedTempFile::new().unwrap();
        let child = self.command(arguments, &log).spawn().unwrap();
        Going { child, log }
    }
    /// Starts `build`.
    pub fn start_build(&self, arguments: &[&str]) -> Going {
        let state = self.state_dir();
        let mut all = vec!["build", "-color=false", "--state-dir", state.to_str().unwrap()];
        all.extend(arguments);
        all.push(".");
        self.start(&all)
    }
    /// Where ledgers are.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }
    /// What exists in the cloud: kind and name.
    pub fn existing(&self) -> Vec<String> {
        let all = self.local.running.cloud.existing();
        all.iter().map(|e| format!("{} {}", e.kind, e.tags["Name"])).collect()
    }
    /// The calls so far, without their answers.
    pub fn calls(&self) -> Vec<String> {
        self.local.running.cloud.log().iter().map(|e| e.call.clone()).collect()
    }
    /// The body of the first call that contains `part`.
    pub fn body(&self, part: &str) -> Value {
        let log = self.local.running.cloud.log();
        let entry = log.iter().find(|e| e.call.contains(part)).unwrap_or_else(|| panic!("no call {part}"));
        serde_json::from_str(&entry.body).unwrap()
    }
    /// Waits for a call.
    pub async fn wait_for_call(&self, part: &str) {
        self.wait_until(part, || self.calls().iter().any(|c| c.contains(part))).await;
    }
    /// Waits until something holds.
    pub async fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let begin = Instant::now();
        while !holds() {
            assert!(begin.elapsed() < DEADLINE, "{what} did not come; calls: {:#?}", self.calls());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    /// Whether any ledger says that something may be left.
    pub fn ledgers(&self) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.state_dir()).map(|d| d.map(|e| e.unwrap().path()).collect());
        files.unwrap_or_default()
    }
}

/// A program that runs.
pub struct Going {
    child: Child,
    log: tempfile::NamedTempFile,
}

impl Going {
    /// Sends a signal.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = i32::try_from(self.child.id().unwrap()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal).unwrap();
    }
    /// What it has said so far.
    pub fn text(&self) -> String {
        read(self.log.path())
    }
    /// Waits for its end.
    pub async fn end(mut self) -> Outcome {
        let status = match tokio::time::timeout(DEADLINE, self.child.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("it did not end:\n{}", self.text()),
        };
        Outcome { code: status.code().unwrap_or(-1), text: self.text() }
    }
}

impl Outcome {
    /// Whether it ended with this code, and said all of these.
    pub fn expect(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, code, "{}", self.text);
        for text in said {
            assert!(self.text.contains(text), "{text:?} is missing in:\n{}", self.text);
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned()
}
