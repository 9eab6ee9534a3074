//! A cancelled job, as the runner cancels it (`runner:ProcessInvoker.cs`): SIGINT, 7.5 seconds later SIGTERM, 2.5 seconds later the
//! end; then the post step, in another container, with the state that was kept.

use super::{Job, kept, pull_request};
use image_action_localcloud::fault::Fault;
use serde_json::Value;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const HEAD: &str = "2222222222222222222222222222222222222222";

/// Between SIGINT and SIGTERM.
const AFTER_INTERRUPT: Duration = Duration::from_millis(7500);

/// Between SIGTERM and the end.
const AFTER_TERMINATE: Duration = Duration::from_millis(2500);

/// How long a build may take to have a machine, on a machine that does other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine that nobody can log in to: its build waits until it is stopped.
const ENDLESS: &str = r#"
source "amazon-ebs" "a" {
  ami_name      = "endless"
  instance_type = "t3.micro"
  region        = "us-west-2"
  ssh_username  = "ubuntu"

  source_ami_filter {
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
    owners      = ["099720109477"]
    most_recent = true
  }
}

build {
  sources = ["source.amazon-ebs.a"]
}
"#;

async fn started() -> (Job, Child) {
    let job = Job::new("pull_request", &pull_request(1), &[]).await;
    job.template(ENDLESS);
    let log = std::fs::File::create(job.dir.path().join("log")).unwrap();
    let mut program = job.program();
    let child = program.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).kill_on_drop(true).spawn();
    let child = child.unwrap();
    let begin = Instant::now();
    while machines(&job) == 0 {
        assert!(begin.elapsed() < PATIENCE, "{}", job.file("log"));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (job, child)
}

fn machines(job: &Job) -> usize {
    let all = job.local.running.cloud.existing();
    all.iter().filter(|e| e.kind.to_lowercase().contains("instance") && !e.state.contains("terminated")).count()
}

async fn signal(child: &Child, name: &str) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", name, &id]).status().await.unwrap().success());
}

/// Its exit code, where it ends in time.
async fn ended(child: &mut Child, within: Duration) -> Option<i32> {
    tokio::time::timeout(within, child.wait()).await.ok().map(|status| status.unwrap().code().unwrap_or(-1))
}

async fn run_of(job: &Job) -> Value {
    job.github(&format!("commits/{HEAD}/check-runs")).await["check_runs"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_removes_everything_and_ends_its_check_in_time() {
    let (job, mut child) = started().await;
    assert_eq!(run_of(&job).await["status"], "in_progress");
    signal(&child, "INT").await;
    assert_eq!(ended(&mut child, AFTER_INTERRUPT).await, Some(1), "{}", job.file("log"));
    let run = run_of(&job).await;
    assert_eq!(run["conclusion"], "cancelled", "{run}");
    assert_eq!(machines(&job), 0, "{}", job.file("log"));
    let body = job.github("issues/7/comments").await[0]["body"].clone();
    assert!(body.as_str().is_some_and(|b| b.contains("image-action: cancelled")), "{body}");
    // There is nothing left to do.
    let post = Job::ended(job.post()).await;
    assert!(post.code == 0 && post.text.contains("No run has left anything"), "{}", post.text);
    job.contract().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_cloud_is_slow_the_check_ends_in_time_and_the_post_step_removes() {
    let (job, mut child) = started().await;
    let slow = Fault { matches: "TerminateInstances".into(), times: 1, delay_ms: 60_000, ..Fault::default() };
    job.local.running.cloud.faults.add(slow);
    signal(&child, "INT").await;
    assert_eq!(ended(&mut child, AFTER_INTERRUPT).await, None, "it is still waiting for the cloud");
    assert_eq!(run_of(&job).await["conclusion"], "cancelled", "{}", job.file("log"));
    signal(&child, "TERM").await;
    assert_eq!(ended(&mut child, AFTER_TERMINATE).await, Some(1), "{}", job.file("log"));
    let post = Job::ended(job.post()).await;
    assert_eq!(post.code, 0, "{}", post.text);
    assert_eq!(machines(&job), 0, "{}", post.text);
    job.contract().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_job_is_cleaned_up_by_its_post_step() {
    let (job, mut child) = started().await;
    signal(&child, "KILL").await;
    assert!(ended(&mut child, AFTER_TERMINATE).await.is_some());
    assert_eq!((machines(&job), run_of(&job).await["status"].as_str()), (1, Some("in_progress")));
    let post = Job::ended(job.post()).await;
    assert_eq!(post.code, 0, "{}", post.text);
    assert_eq!(machines(&job), 0, "{}", post.text);
    let run = run_of(&job).await;
    assert_eq!(run["conclusion"], "cancelled", "{run}");
    assert!(run["output"]["summary"].as_str().is_some_and(|s| s.contains("was removed")), "{run}");
    job.contract().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_post_step_does_not_look_for_local_machines_in_an_account() {
    let (job, mut child) = started().await;
    signal(&child, "KILL").await;
    assert!(ended(&mut child, AFTER_TERMINATE).await.is_some());
    let ledger = kept(&job.file("state"))["ledger"].clone();
    assert!(std::path::Path::new(&ledger).exists());
    let before = job.local.running.cloud.log().iter().filter(|e| e.service == "aws").count();
    let mut post = job.post();
    post.env("STATE_local", "true");
    let post = Job::ended(post).await;
    assert!(post.code == 0 && post.text.contains("played on the runner"), "{}", post.text);
    let after = job.local.running.cloud.log().iter().filter(|e| e.service == "aws").count();
    assert_eq!((before, std::path::Path::new(&ledger).exists()), (after, false));
}
