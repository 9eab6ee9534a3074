//! `cleanup --older-than`: what earlier builds have left and no ledger of this machine knows of.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::leftovers::{left, machines, start, until};
use crate::seed::{program, workspace};
use crate::support::{Local, python, script};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

fn cleanup(dir: &Path, env: &BTreeMap<String, String>, more: &[&str]) -> (Option<i32>, String) {
    let mut command = program(dir, env);
    let output = command.args(["cleanup", "--state-dir", "elsewhere"]).args(more).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_build_without_its_ledger_is_swept_by_tags() {
    let local = Local::start().await;
    let dir = workspace();
    let mut child = start(&local, dir.path());
    until("machines", dir.path(), || machines(&local) >= 3).await;
    child.kill().unwrap();
    child.wait().unwrap();
    std::fs::remove_dir_all(local.dir.path().join("state")).unwrap();
    let before = left(&local);

    let (code, text) = cleanup(dir.path(), &local.env(), &["--older-than", "0s"]);
    assert_eq!(code, Some(0), "{text}");
    for cloud in ["aws", "azure", "gcp"] {
        assert!(text.contains(&format!("{cloud}: nothing has expired")), "a build may still go on\n{text}");
    }
    let mut env = local.env();
    env.insert("REQUESTS_CA_BUNDLE".into(), env["IMAGE_ACTION_LOCAL_CA"].clone());
    python("age.py", &[], env).await;
    let (code, text) = cleanup(dir.path(), &local.env(), &["--older-than", "72h"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(left(&local), before, "younger than three days\n{text}");

    let (code, text) = cleanup(dir.path(), &local.env(), &["--older-than=1d", "--dry-run"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(left(&local), before, "{text}");
    for what in ["would remove aws instance i-", "would remove azure resource group /sub", "would remove gcp instance "]
    {
        assert!(text.contains(what), "{what}\n{text}");
    }
    let (code, text) = cleanup(dir.path(), &local.env(), &["--older-than=1d", "--project", "local-project"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(!left(&local).iter().any(|l| l.starts_with("gcp")) && left(&local).iter().any(|l| l.starts_with("aws")));
    let (code, text) = cleanup(dir.path(), &local.env(), &["--older-than=1d"]);
    assert_eq!(code, Some(0), "{text}");
    until("the clouds to be empty", dir.path(), || left(&local).is_empty()).await;
    assert_eq!(std::fs::read_dir(dir.path().join("elsewhere")).unwrap().count(), 0, "{text}");
    local.running.stop().await;
}

/// Removes what `aws_expired.py` has made: in one region first, then in all.
async fn sweep(dir: &Path, env: &BTreeMap<String, String>) {
    let made = python("aws_expired.py", &["seed"], env.clone()).await;
    let ours = serde_json::from_str::<BTreeMap<String, BTreeMap<String, String>>>(&made).unwrap();
    let ours = ours["us-west-2"].keys().filter(|name| name.ends_with("-ours")).count();
    assert!(ours >= 4, "{made}");
    let (code, text) = cleanup(dir, env, &["--older-than=1h", "--region=us-west-2", "--dry-run"]);
    assert_eq!((code, text.matches("would remove").count()), (Some(0), ours), "{text}");
    python("aws_expired.py", &["check", &made], env.clone()).await;
    let (code, text) = cleanup(dir, env, &["--older-than=1h", "--region=us-west-2"]);
    assert_eq!(code, Some(0), "{text}");
    python("aws_expired.py", &["check", &made, "us-west-2"], env.clone()).await;
    let (code, text) = cleanup(dir, env, &["--older-than=1h"]);
    assert_eq!(code, Some(0), "{text}");
    python("aws_expired.py", &["check", &made, "us-west-2", "eu-west-1"], env.clone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_ours_and_expired_goes_from_the_local_ec2() {
    let local = Local::start().await;
    let mut env = local.env();
    env.retain(|k, _| k.starts_with("AWS_") || k.starts_with("IMAGE_ACTION_"));
    sweep(local.dir.path(), &env).await;
    local.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_ours_and_expired_goes_from_moto() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let mut proxy = tokio::process::Command::new("python3")
        .arg(script("moto_proxy.py"))
        .args([at("authorized"), at("log")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(proxy.stdout.take().unwrap()).read_line(&mut url).await.unwrap();
    let pairs = [
        ("AWS_ENDPOINT_URL", url.trim()),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-west-2"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("IMAGE_ACTION_POLL_SCALE", "20"),
    ];
    let env = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    sweep(dir.path(), &env).await;
}

#[test]
fn without_an_account_it_says_how_to_name_one() {
    let dir = tempfile::tempdir().unwrap();
    let (code, text) = cleanup(dir.path(), &BTreeMap::new(), &["--older-than=1h"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("names no account") && text.contains("--subscription"), "{text}");
    let (code, text) = cleanup(dir.path(), &BTreeMap::new(), &["--region=us-west-2"]);
    assert!(code == Some(1) && text.contains("--older-than"), "{text}");
}
