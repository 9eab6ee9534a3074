//! The calls of a whole build of the seed's source, beside those that a real Packer 1.16.0 made of it
//! (`googlecompute-calls/a-seed.txt` in the folder that `IMAGE_ACTION_VECTORS` names), and against Google's own description of
//! its API.

#![allow(clippy::print_stderr)]

use super::job::{IMAGE, Job};
use crate::sshd::Sshd;
use crate::support::python;
use serde_json::{Value, json};
use std::path::PathBuf;

/// The seed's source, with a user and an address that a test can log in to.
fn source(sshd: &Sshd) -> String {
    format!(
        r#"project_id = "local-project"
  source_image_family = "ubuntu-2204-lts"
  zone = "us-central1-a"
  machine_type = "e2-medium"
  network = "default"
  subnetwork = "default"
  disk_size = 50
  disk_type = "pd-ssd"
  image_name = "{IMAGE}"
  image_description = "Company Ubuntu 22.04 base image v1.0.0"
  image_family = "company-ubuntu"
  image_storage_locations = ["us"]
  image_labels = {{ environment = "dev", version = "1-0-0", managed_by = "packer" }}
  ssh_username = "{}"
  ssh_host = "127.0.0.1"
  ssh_port = {}
  temporary_key_pair_type = "ed25519""#,
        sshd.user, sshd.port
    )
}

const STEPS: &str = "  provisioner \"shell\" {\n    inline = [\"echo provisioned\"]\n  }\n  post-processor \"manifest\" {\n    output = \"manifest.json\"\n  }";

/// Builds the seed's source; the machine learns the key as a real one does, from the instance's metadata.
async fn build() -> Option<(Job, Sshd)> {
    if crate::sshd::missing() {
        return None;
    }
    let sshd = Sshd::start("");
    let job = Job::with_source(&source(&sshd), STEPS).await;
    let going = job.start_build(&[]);
    job.wait_for_call("POST projects/local-project/zones/us-central1-a/instances").await;
    let body = job.body("POST projects/local-project/zones/us-central1-a/instances");
    let keys = metadata(&body, "ssh-keys").unwrap();
    let (user, key) = keys.split_once(':').unwrap();
    assert_eq!(user, sshd.user);
    std::fs::write(sshd.dir.path().join("authorized"), format!("{key}\n")).unwrap();
    going.end().await.expect(0, &["provisioned", "A disk image was created in the project local-project"]);
    Some((job, sshd))
}

fn metadata(body: &Value, key: &str) -> Option<String> {
    let items = body["metadata"]["items"].as_array()?;
    let item = items.iter().find(|i| i["key"] == key)?;
    Some(item["value"].as_str()?.to_owned())
}

/// A call of either side, with its names made equal.
#[derive(Debug, PartialEq)]
struct Call {
    line: String,
    body: Value,
}

/// Names that are made up in every run.
fn equal(text: &str) -> String {
    let rules = [
        (r"my-project", "local-project"),
        (r"packer-(<UUID>|[0-9a-f]{8}-[0-9a-f-]{27})", "packer-<UUID>"),
        (r"company-ubuntu-1-0-0-(<TIMESTAMP>|20260101-101010)", "company-ubuntu-1-0-0-<TIMESTAMP>"),
        (r"operations/\S+", "operations/<OPERATION>"),
        (r"v20260701|v20261105", "v<DATE>"),
        (r"ssh-(rsa <PUBLIC KEY>|ed25519 \S+)", "ssh-<KEY>"),
        (r"\bubuntu:ssh|\broot:ssh", "<USER>:ssh"),
        (r"ssh-<KEY> \w+", "ssh-<KEY> <USER>"),
    ];
    rules
        .iter()
        .fold(text.to_owned(), |text, (from, to)| regex::Regex::new(from).unwrap().replace_all(&text, *to).into_owned())
}

fn equal_body(body: &Value) -> Value {
    serde_json::from_str(&equal(&body.to_string())).unwrap()
}

/// The calls that Packer made, without its requests for tokens.
fn packers(path: &std::path::Path) -> Vec<Call> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut calls: Vec<Call> = Vec::new();
    let mut body = String::new();
    let take = |calls: &mut Vec<Call>, body: &mut String| {
        // An empty POST is written as `(no body)`.
        if let (Some(last), true) = (calls.last_mut(), body.starts_with('{')) {
            last.body = equal_body(&serde_json::from_str(body).unwrap());
        }
        body.clear();
    };
    for line in text.lines() {
        if let Some(more) = line.strip_prefix("      ") {
            body.push_str(more);
        } else if let Some((call, _)) = line.split_once("  =>") {
            take(&mut calls, &mut body);
            let words: Vec<_> = call.split_whitespace().collect();
            calls.push(Call { line: equal(&words[2..].join(" ")), body: Value::Null });
        }
    }
    take(&mut calls, &mut body);
    calls.retain(|c| !c.line.contains("<token_uri>"));
    calls
}

fn ours(job: &Job) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    for entry in job.local.running.cloud.log() {
        let line = equal(&entry.call);
        // Polls, as the recording counts them.
        if calls.last().is_some_and(|last| last.line == line) {
            continue;
        }
        let body = serde_json::from_str(&entry.body).map_or(Value::Null, |b| equal_body(&b));
        calls.push(Call { line, body });
    }
    calls
}

/// What we do in another way, each with its reason.
fn differ(mut calls: Vec<Call>) -> Vec<Call> {
    // The serial port is read where it can explain a failure; Packer reads it and shows it to nobody.
    calls.retain(|c| !c.line.ends_with("/serialPort"));
    // Without dates there is nothing to set, and the permission for it is not needed.
    calls.retain(|c| !c.line.ends_with("/deprecate"));
    for call in &mut calls {
        match call.line.as_str() {
            "POST projects/local-project/zones/us-central1-a/instances" => differ_instance(&mut call.body),
            "POST projects/local-project/global/images" => differ_image(&mut call.body),
            _ => {}
        }
    }
    calls
}

fn differ_instance(body: &mut Value) {
    body["description"] = json!("New instance created by image-action");
    body["networkInterfaces"][0]["accessConfigs"][0]["name"] = json!("AccessConfig created by image-action");
    // Empty objects that Google takes as nothing.
    body.as_object_mut().unwrap().remove("tags");
    body.as_object_mut().unwrap().remove("advancedMachineFeatures");
    // Read-only: Google's description of the API does not let a client send it.
    body["disks"][0].as_object_mut().unwrap().remove("kind");
    // Said, where Packer leaves it to the default.
    body["disks"][0]["autoDelete"] = json!(false);
    // An empty script is none.
    body["metadata"]["items"].as_array_mut().unwrap().retain(|i| i["key"] != "startup-script");
    // Everything temporary carries the run and its expiry.
    body["labels"] = json!("<LABELS>");
    body["disks"][0]["initializeParams"]["labels"] = json!("<LABELS>");
}

fn differ_image(body: &mut Value) {
    let source = body["sourceDisk"].as_str().unwrap().trim_start_matches("/compute/v1/").to_owned();
    body["sourceDisk"] = json!(source);
    body["labels"]["image-action-run"] = json!("<RUN>");
}

/// Our labels, once they have been looked at.
fn check_labels(calls: &mut [Call]) {
    for call in calls.iter_mut() {
        match call.line.as_str() {
            "POST projects/local-project/zones/us-central1-a/instances" => {
                for at in ["/labels", "/disks/0/initializeParams/labels"] {
                    let labels = call.body.pointer_mut(at).unwrap();
                    let names: Vec<_> = labels.as_object().unwrap().keys().cloned().collect();
                    assert_eq!(names.len(), 2, "{labels}");
                    assert!(labels["image-action-expires"].as_str().unwrap().parse::<u64>().is_ok(), "{labels}");
                    *labels = json!("<LABELS>");
                }
            }
            "POST projects/local-project/global/images" => {
                assert_eq!(call.body["labels"]["image-action-run"].as_str().unwrap().len(), 36);
                call.body["labels"]["image-action-run"] = json!("<RUN>");
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seeds_source_makes_packers_calls() {
    let Some(vectors) = std::env::var_os("IMAGE_ACTION_VECTORS") else {
        eprintln!("skipped: IMAGE_ACTION_VECTORS names no recordings of Packer");
        return;
    };
    let Some((job, _sshd)) = build().await else { return };
    let expected = differ(packers(&PathBuf::from(vectors).join("googlecompute-calls/a-seed.txt")));
    let mut made = ours(&job);
    check_labels(&mut made);
    let lines = |calls: &[Call]| calls.iter().map(|c| c.line.clone()).collect::<Vec<_>>();
    assert_eq!(lines(&made), lines(&expected));
    let bodies: Vec<_> = made.iter().zip(&expected).filter(|(_, e)| !e.body.is_null()).collect();
    assert_eq!(bodies.len(), 2, "the instance's and the image's");
    for (made, expected) in bodies {
        assert_eq!(made.body, expected.body, "{}", made.line);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_and_answers_are_as_google_describes_them() {
    let Some((job, _sshd)) = build().await else { return };
    assert_eq!(job.existing(), [format!("image {IMAGE}")]);
    let log = job.dir.path().join("log.json");
    std::fs::write(&log, serde_json::to_vec(&job.local.running.cloud.log()).unwrap()).unwrap();
    let said = python("google_contract.py", &[log.to_str().unwrap()], job.local.env()).await;
    assert!(said.contains("compute.instances.insert") && said.contains("compute.images.insert"), "{said}");
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(job.dir.path().join("manifest.json")).unwrap()).unwrap();
    let build = &manifest["builds"][0];
    assert_eq!((&build["builder_type"], &build["artifact_id"]), (&json!("googlecompute"), &json!(IMAGE)));
}
