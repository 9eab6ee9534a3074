//! The action, from event file to release asset, against the local cloud's GitHub.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::Local;
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
    async fn run(&self) -> Ended {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_image-action"))
            .arg("action")
            .current_dir(self.workspace())
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        Ended { code: output.status.code().unwrap(), text }
    }
    async fn github(&self, path: &str) -> Value {
        let url = format!("{}/repos/octo/images/{path}", self.local.env()["GITHUB_API_URL"]);
        let call =
            reqwest::Client::new().get(url).bearer_auth(&self.local.env()["GITHUB_TOKEN"]).header("user-agent", "test");
        call.send().await.unwrap().json().await.unwrap()
    }
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

/// The value of a step output, as the runner reads it.
fn output(text: &str, name: &str) -> Option<String> {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (found, end) = line.split_once("<<")?;
        let value: Vec<&str> = lines.by_ref().take_while(|l| *l != end).collect();
        if found == name {
            return Some(value.join("\n"));
        }
    }
    None
}

#[tokio::test]
async fn a_pull_request_gets_a_check_run_a_build_and_one_comment() {
    let job = Job::new("pull_request", &pull_request(1), &[]).await;
    let first = job.run().await;
    assert_eq!(first.code, 0, "{}", first.text);
    let comments = job.github("issues/7/comments").await;
    assert_eq!(comments.as_array().unwrap().len(), 1);
    let body = comments[0]["body"].as_str().unwrap();
    assert!(body.contains("demo&#46;file") || body.contains("demo.file.image"), "{body}");
    assert!(body.contains("environment dev"), "{body}");

    let runs = job.github("commits/2222222222222222222222222222222222222222/check-runs").await;
    assert_eq!(runs["total_count"], 1, "on the head of the pull request, not on the merge commit");
    let run = &runs["check_runs"][0];
    assert_eq!((&run["status"], &run["conclusion"]), (&json!("completed"), &json!("success")));
    assert_eq!(run["name"], "image-action / demo.file.image");

    assert_eq!(output(&job.file("output"), "status").as_deref(), Some("success"));
    assert!(job.file("summary").contains("all 1 builds succeeded"));
    assert!(job.file("state").contains("ledger<<"), "the post step finds the ledger");

    let second = job.run().await;
    assert_eq!(second.code, 0, "{}", second.text);
    let again = job.github("issues/7/comments").await;
    assert_eq!(again.as_array().unwrap().len(), 1, "the comment is edited in place");
    assert_eq!(again[0]["id"], comments[0]["id"]);
}

#[tokio::test]
async fn a_tag_gets_a_release_with_manifest_and_checksums() {
    let more = [("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "v1.2.3"), ("GITHUB_REF", "refs/tags/v1.2.3")];
    let job = Job::new("push", &json!({"ref": "refs/tags/v1.2.3"}), &more).await;
    for attempt in 1..=2 {
        let ended = job.run().await;
        assert_eq!(ended.code, 0, "attempt {attempt}: {}", ended.text);
    }
    let release = job.github("releases/tags/v1.2.3").await;
    assert_eq!(release["draft"], false);
    let assets = release["assets"].as_array().unwrap();
    let mut names: Vec<_> = assets.iter().map(|a| a["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["checksums.txt", "image-action-report.md", "manifest.json"]);
    for asset in assets {
        let path = job.workspace().join(asset["name"].as_str().unwrap());
        assert_eq!(asset["digest"], format!("sha256:{}", sha256sum(&path)).as_str());
    }
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(job.workspace().join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["builds"][0]["name"], "image");
    let image = std::fs::read_to_string(job.workspace().join("image.txt")).unwrap();
    assert_eq!(image, "built for prod\n", "a tag is built for prod");
    let mut check = std::process::Command::new("sha256sum");
    let check = check.args(["-c", "checksums.txt"]).current_dir(job.workspace()).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

/// By coreutils, not by us.
fn sha256sum(path: &Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_broken_template_fails_with_an_annotation_and_says_so_in_the_comment() {
    let job = Job::new("pull_request", &pull_request(1), &[]).await;
    let path = job.workspace().join("templates/build.pkr.hcl");
    std::fs::write(&path, TEMPLATE.replace("target  =", "taget   =")).unwrap();
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert!(ended.text.contains("::error file=templates/build.pkr.hcl,line=8,"), "{}", ended.text);
    let comments = job.github("issues/7/comments").await;
    let body = comments[0]["body"].as_str().unwrap();
    assert!(body.contains("the template is not valid") && body.contains("taget"), "{body}");
    assert_eq!(output(&job.file("output"), "status").as_deref(), Some("failure"));
}

#[tokio::test]
async fn reporting_that_is_refused_does_not_fail_the_job() {
    let job = Job::new("pull_request", &pull_request(1), &[("INPUT_GITHUB-TOKEN", "ghs_wrong")]).await;
    let ended = job.run().await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    assert!(ended.text.contains("::notice title=image-action::no check runs"), "{}", ended.text);
    assert!(!ended.text.contains("ghs_wrong"), "the token is not shown");
}

#[tokio::test]
async fn strangers_code_with_secrets_is_refused_before_anything_is_read() {
    let job = Job::new("pull_request_target", &pull_request(2), &[]).await;
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert!(ended.text.contains("allow-untrusted"), "{}", ended.text);
    assert_eq!(job.github("issues/7/comments").await.as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn a_misspelt_input_is_an_error() {
    let job = Job::new("pull_request", &pull_request(1), &[("INPUT_VAR-FILE", "x")]).await;
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert!(ended.text.contains("did you mean `var-files`?"), "{}", ended.text);
}
