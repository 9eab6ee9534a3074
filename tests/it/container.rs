//! The action's container: made by the Dockerfile, and run as workflows run it, on an engine of the test's own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::{Local, can_have_guests};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long an engine may take until it answers.
const ENGINE_START: Duration = Duration::from_secs(60);

/// What a runner gives a container after SIGINT, before it sends SIGTERM (`runner:ProcessInvoker.cs`).
const CANCEL_GRACE: Duration = Duration::from_millis(7500);

const TEMPLATE: &str = r#"
source "amazon-ebs" "small" {
  ami_name      = "small-{{timestamp}}"
  instance_type = "t3.micro"
  region        = "us-west-2"
  ssh_username  = "ubuntu"
  source_ami_filter {
    filters     = { name = "ubuntu/images/*ubuntu-jammy-22.04-amd64-server-*" }
    owners      = ["099720109477"]
    most_recent = true
  }
}
build {
  sources = ["source.amazon-ebs.small"]
  provisioner "shell" {
    inline = ["id -un", "sleep ${var.seconds}"]
  }
  post-processor "manifest" {
    output = "manifest.json"
  }
  post-processor "checksum" {
    output         = "checksums.txt"
    checksum_types = ["sha256"]
  }
}
variable "seconds" {
  default = 0
}
"#;

const WORKFLOW: &str = r#"
on: {pull_request: {}, push: {tags: ["v*"]}}
permissions: {contents: write, checks: write, pull-requests: write}
jobs:
  images:
    runs-on: self
    steps:
      - uses: actions/checkout@v5
      - uses: ./action
        id: images
      - run: echo "status=${{ steps.images.outputs.status }} ami=${{ steps.images.outputs.amazon-ebs-image }}"
        shell: sh
"#;

/// Docker's daemon, with its layers in the cache, so that the next run need not make them again.
struct Engine {
    daemon: Child,
    host: String,
    // Removed, and given back, after the daemon has ended.
    _dir: tempfile::TempDir,
    _lock: std::fs::File,
}

impl Engine {
    /// Starts one; `None`, and a word on the error stream, where this machine has none.
    #[allow(clippy::print_stderr)]
    fn start() -> Option<Engine> {
        let has = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !nix::unistd::geteuid().is_root() || !["dockerd", "docker", "act"].into_iter().all(has) {
            eprintln!("passed over: no Docker engine can be started here (root, docker.io and act are needed)");
            return None;
        }
        let cache = image_action::cli::local::cache_dir(&image_action_engine::Env::of_process());
        std::fs::create_dir_all(&cache).unwrap();
        let lock = std::fs::File::create(cache.join("engine.lock")).unwrap();
        lock.lock().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_owned();
        let path = |name: &str| at.join(name).display().to_string();
        let host = format!("unix://{}", path("engine.sock"));
        let daemon = Command::new("dockerd")
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .args(["--data-root", &cache.join("engine").display().to_string()])
            .args(["--exec-root", &path("exec"), "--pidfile", &path("pid"), "--host", &host])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        let engine = Engine { daemon, host, _dir: dir, _lock: lock };
        let begin = Instant::now();
        while !engine.docker(&["info"]).status.success() {
            assert!(begin.elapsed() < ENGINE_START, "{}", std::fs::read_to_string(path("log")).unwrap());
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(engine)
    }
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env("DOCKER_HOST", &self.host).stdin(Stdio::null());
        command
    }
    fn docker(&self, arguments: &[&str]) -> Output {
        self.command("docker").args(arguments).output().unwrap()
    }
    /// The action's image, by the script that a release uses.
    fn image(&self) -> &'static str {
        let tag = "image-action:test";
        let script = root().join("scripts/dev/container.sh");
        let made = self.command(script).args([env!("CARGO_BIN_EXE_image-action"), tag]).env("BASE", "local").output();
        text(&made.unwrap());
        tag
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.daemon.id()).unwrap());
        // It ends its containers first.
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::SIGTERM);
        let _ = self.daemon.wait();
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All of a program's output; a panic with it where it failed.
fn text(output: &Output) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{text}", output.status);
    text
}

/// A repository with one template, a workflow, and the action as a release has it.
fn repository(dir: &Path, image: &str) -> String {
    let write = |name: &str, content: &[u8]| {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let action = Command::new(root().join("scripts/dev/released-action.sh")).arg(image).output().unwrap();
    text(&action);
    write("action/action.yml", &action.stdout);
    write("templates/build.pkr.hcl", TEMPLATE.as_bytes());
    write(".github/workflows/images.yml", WORKFLOW.as_bytes());
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
        text(&Command::new("git").args(who).args(arguments).current_dir(dir).output().unwrap())
    };
    git(&["init", "--quiet", "--initial-branch=main", "."]);
    git(&["remote", "add", "origin", "https://github.com/octo/images.git"]);
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "images"]);
    git(&["tag", "v1.2.3"]);
    git(&["rev-parse", "HEAD"]).trim().to_owned()
}

/// The local cloud's environment in the form of an env file.
fn env_file(local: &Local, path: &Path) {
    let lines: Vec<_> = local.env().iter().map(|(k, v)| format!("{k}={v}\n")).collect();
    std::fs::write(path, lines.concat()).unwrap();
}

async fn github(local: &Local, path: &str) -> Value {
    let url = format!("{}/repos/octo/images/{path}", local.env()["GITHUB_API_URL"]);
    let call = reqwest::Client::new().get(url).bearer_auth(&local.env()["GITHUB_TOKEN"]).header("user-agent", "test");
    call.send().await.unwrap().json().await.unwrap()
}

/// Runs the workflow for an event.
fn act(engine: &Engine, local: &Local, dir: &Path, event: &str, payload: &Value) -> String {
    let file = |name: &str| dir.parent().unwrap().join(name).display().to_string();
    std::fs::write(file("event.json"), payload.to_string()).unwrap();
    env_file(local, Path::new(&file("env")));
    let socket = engine.host.trim_start_matches("unix://");
    let output = engine
        .command("act")
        .args([event, "--eventpath", &file("event.json"), "--env-file", &file("env"), "--network", "host"])
        .args(["--platform", "self=image-action-base:local", "--pull=false", "--no-cache-server"])
        .args(["--container-daemon-socket", socket, "--secret", "GITHUB_TOKEN=ghs_localcloud"])
        .env("HOME", dir.parent().unwrap())
        .current_dir(dir)
        .output()
        .unwrap();
    text(&output)
}

fn pull_request(head: &str) -> Value {
    json!({
        "action": "synchronize", "number": 7,
        "pull_request": {
            "number": 7, "title": "small",
            "head": {"sha": head, "ref": "topic", "repo": {"id": 1}},
            "base": {"sha": "3333333333333333333333333333333333333333", "ref": "main", "repo": {"id": 1}},
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_container_runs_in_a_workflow_and_gives_back_what_a_cancelled_job_holds() {
    if !can_have_guests() {
        return;
    }
    let Some(engine) = Engine::start() else { return };
    let image = engine.image();
    let local = Local::start_with_guests().await;
    let dir = tempfile::tempdir().unwrap();
    let checkout = dir.path().join("images");
    let head = repository(&checkout, image);

    let shown = act(&engine, &local, &checkout, "pull_request", &pull_request(&head));
    assert!(shown.contains("amazon-ebs.small: ubuntu"), "it was provisioned:\n{shown}");
    assert!(shown.contains("status=success ami="), "the next step reads the outputs:\n{shown}");
    assert!(shown.contains("No run has left anything."), "the post step cleans up, and does nothing else:\n{shown}");
    let comments = github(&local, "issues/7/comments").await;
    assert_eq!(comments.as_array().unwrap().len(), 1, "{comments}");
    let runs = github(&local, &format!("commits/{head}/check-runs")).await;
    assert_eq!((&runs["total_count"], &runs["check_runs"][0]["conclusion"]), (&json!(1), &json!("success")), "{runs}");

    let tag = json!({"ref": "refs/tags/v1.2.3", "after": head, "head_commit": {"id": head}});
    let shown = act(&engine, &local, &checkout, "push", &tag);
    assert!(shown.contains("status=success ami=ami-"), "{shown}");
    let release = github(&local, "releases/tags/v1.2.3").await;
    let mut names: Vec<_> = release["assets"].as_array().unwrap().iter().map(|a| a["name"].clone()).collect();
    names.sort_unstable_by_key(ToString::to_string);
    assert_eq!(json!(names), json!(["checksums.txt", "image-action-report.md", "manifest.json"]));

    cancelled(&engine, image, &local, dir.path(), &head).await;
}

/// A job that is cancelled in the middle of a build, with the mounts of a runner: nothing is left.
async fn cancelled(engine: &Engine, image: &str, local: &Local, dir: &Path, head: &str) {
    for name in ["workspace", "home", "workflow", "file_commands", "temp"] {
        std::fs::create_dir_all(dir.join(name)).unwrap();
    }
    std::fs::create_dir_all(dir.join("workspace/templates")).unwrap();
    std::fs::write(dir.join("workspace/templates/build.pkr.hcl"), TEMPLATE).unwrap();
    std::fs::write(dir.join("workflow/event.json"), pull_request(head).to_string()).unwrap();
    env_file(local, &dir.join("env"));
    let run = |entrypoint: &str| {
        let mount = |name: &str, at: &str| format!("{}:/github/{at}", dir.join(name).display());
        let mut command = engine.command("docker");
        command.args([
            "run",
            "--rm",
            "--workdir",
            "/github/workspace",
            "--network",
            "host",
            "--entrypoint",
            entrypoint,
        ]);
        for (name, at) in [("workspace", "workspace"), ("home", "home"), ("workflow", "workflow")] {
            command.args(["--volume", &mount(name, at)]);
        }
        command.args(["--volume", &mount("file_commands", "file_commands"), "--volume", &mount("temp", "runner_temp")]);
        command.arg("--env-file").arg(dir.join("env"));
        for pair in [
            "GITHUB_ACTIONS=true",
            "HOME=/github/home",
            "GITHUB_WORKSPACE=/github/workspace",
            "GITHUB_EVENT_NAME=pull_request",
            "GITHUB_EVENT_PATH=/github/workflow/event.json",
            "GITHUB_REPOSITORY=octo/images",
            "GITHUB_SHA=1111111111111111111111111111111111111111",
            "GITHUB_RUN_ID=43",
            "GITHUB_STATE=/github/file_commands/state",
            "GITHUB_OUTPUT=/github/file_commands/output",
            "GITHUB_STEP_SUMMARY=/github/file_commands/summary",
            "RUNNER_TEMP=/github/runner_temp",
            "INPUT_VARS=seconds=600",
        ] {
            command.args(["--env", pair]);
        }
        command.args([image, "action"]);
        command
    };
    let log = dir.join("log");
    let job = run("/usr/local/bin/image-action")
        .stdout(std::fs::File::create(&log).unwrap())
        .stderr(std::fs::File::create(dir.join("errors")).unwrap())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    let shown = || std::fs::read_to_string(&log).unwrap() + &std::fs::read_to_string(dir.join("errors")).unwrap();
    while !shown().contains("amazon-ebs.small: ubuntu") {
        assert!(begin.elapsed() < Duration::from_secs(120), "the build does not get there:\n{}", shown());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(job.id()).unwrap());
    let begin = Instant::now();
    nix::sys::signal::kill(pid, nix::sys::signal::SIGINT).unwrap();
    let ended = tokio::task::spawn_blocking(move || job.wait_with_output().unwrap()).await.unwrap();
    assert!(begin.elapsed() < CANCEL_GRACE, "it took {:?}:\n{}", begin.elapsed(), shown());
    assert_eq!(ended.status.code(), Some(1), "{}", shown());
    let post = text(&run("/usr/local/bin/image-action-post").output().unwrap());
    assert!(!post.contains("Building in"), "{post}");
    let env = local.env().into_iter().collect();
    // The image is the tag's.
    assert_eq!(crate::support::python("aws_left.py", &[], env).await.trim(), "1 images, left: []");
}
