//! A job for each build, and one that joins them.

use super::{Job, TEMPLATE, output, pull_request};
use serde_json::{Value, json};

const TWO: &str = r#"
source "file" "other" {
  content = "another\n"
  target  = "other.txt"
}

build {
  name    = "more"
  sources = ["source.file.other"]
}
"#;

/// A job of the workflow: its own inputs, its own workspace files.
async fn run(job: &mut Job, inputs: &[(&str, &str)]) -> (i32, String) {
    job.env.retain(|name, _| !name.starts_with("INPUT_") || name == "INPUT_GITHUB-TOKEN");
    job.env.extend(inputs.iter().map(|(k, v)| (format!("INPUT_{k}"), (*v).to_owned())));
    let _ = std::fs::remove_file(job.dir.path().join("output"));
    let ended = job.run().await;
    (ended.code, ended.text)
}

/// The parts of every build of the matrix, as the workflow's artifacts have them; what the matrix was.
async fn fan_out(job: &mut Job, skip: Option<&str>) -> String {
    job.template(&format!("{TEMPLATE}{TWO}"));
    let (code, text) = run(job, &[("COMMAND", "matrix")]).await;
    assert_eq!(code, 0, "{text}");
    let matrix = output(&job.file("output"), "matrix").unwrap();
    let value: Value = serde_json::from_str(&matrix).unwrap();
    let entry = |part: &str, build: &str| json!({"part": part, "build": build, "type": "file"});
    assert_eq!(value, json!({"include": [entry("1", "demo.file.image"), entry("2", "more.file.other")]}));
    for entry in value["include"].as_array().unwrap() {
        let build = entry["build"].as_str().unwrap();
        if skip == Some(build) {
            continue;
        }
        // Each on a machine of its own.
        let _ = std::fs::remove_file(job.workspace().join("manifest.json"));
        let (code, text) = run(job, &[("ONLY", build), ("PART", "true")]).await;
        assert_eq!(code, 0, "{text}");
        let folder = job.workspace().join("parts").join(format!("part-{}", entry["part"].as_str().unwrap()));
        std::fs::create_dir_all(folder.parent().unwrap()).unwrap();
        std::fs::rename(job.workspace().join("image-action-part"), folder).unwrap();
    }
    matrix
}

#[tokio::test]
async fn the_jobs_of_a_tag_become_one_release() {
    let more = [("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "v1.2.3"), ("GITHUB_REF", "refs/tags/v1.2.3")];
    let mut job = Job::new("push", &json!({"ref": "refs/tags/v1.2.3"}), &more).await;
    let matrix = fan_out(&mut job, None).await;
    let releases = job.github("releases").await;
    assert_eq!(releases, json!([]), "no job makes a release by itself");

    let (code, text) = run(&mut job, &[("COMMAND", "merge"), ("MATRIX", &matrix)]).await;
    assert_eq!(code, 0, "{text}");
    let release = job.github("releases/tags/v1.2.3").await;
    let names: Vec<_> = release["assets"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let manifest = std::fs::read(job.workspace().join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let built: Vec<_> = manifest["builds"].as_array().unwrap().iter().map(|b| b["name"].as_str().unwrap()).collect();
    assert_eq!(built, ["image", "other"]);
    assert!(manifest["builds"].as_array().unwrap().iter().all(|b| b["packer_run_uuid"] == manifest["last_run_uuid"]));
    let check = std::process::Command::new("sha256sum")
        .args(["--check", "--strict", "checksums.txt"])
        .current_dir(job.workspace())
        .status()
        .unwrap();
    assert!(check.success());
    let runs = job.github("commits/1111111111111111111111111111111111111111/check-runs").await;
    let mut names: Vec<_> =
        runs["check_runs"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    let ours = ["all builds", "demo.file.image", "more.file.other"].map(|n| format!("image-action / {n}"));
    assert_eq!(names, ours);
    job.contract().await;
}

#[tokio::test]
async fn a_job_that_left_nothing_is_a_failed_build_of_the_one_comment() {
    let mut job = Job::new("pull_request", &pull_request(1), &[]).await;
    let matrix = fan_out(&mut job, Some("more.file.other")).await;
    assert_eq!(job.github("issues/7/comments").await, json!([]), "no job comments by itself");

    let (code, text) = run(&mut job, &[("COMMAND", "merge"), ("MATRIX", &matrix)]).await;
    assert_eq!(code, 1, "{text}");
    let comments = job.github("issues/7/comments").await;
    assert_eq!(comments.as_array().unwrap().len(), 1);
    let body = comments[0]["body"].as_str().unwrap();
    assert!(body.contains("1 of 2 builds failed") && body.contains("its job has left no report"), "{body}");
}

#[tokio::test]
async fn what_cannot_be_merged_is_said_with_the_cure() {
    let mut job = Job::new("pull_request", &pull_request(1), &[]).await;
    let (code, text) = run(&mut job, &[("COMMAND", "merge")]).await;
    assert_eq!(code, 1);
    assert!(text.contains("parts holds no parts to merge") && text.contains("part: true"), "{text}");
    let part = job.workspace().join("parts/1");
    std::fs::create_dir_all(&part).unwrap();
    std::fs::write(part.join("report.json"), "{}").unwrap();
    let (code, text) = run(&mut job, &[("COMMAND", "merge")]).await;
    assert_eq!(code, 1);
    assert!(text.contains("is no part of this version of image-action"), "{text}");
    std::fs::remove_dir_all(&part).unwrap();
    fan_out(&mut job, None).await;
    let (code, text) = run(&mut job, &[("COMMAND", "merge"), ("MATRIX", "[]")]).await;
    assert_eq!(code, 1);
    assert!(text.contains("the input `matrix` is not what the command matrix gives"), "{text}");
}

/// The same on a command line.
#[tokio::test]
async fn matrix_prints_one_line_of_json() {
    let job = Job::new("push", &json!({}), &[]).await;
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_image-action"));
    program.args(["matrix", "-var", "environment=dev", "templates"]).current_dir(job.workspace());
    let ended = program.output().await.unwrap();
    let text = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success(), "{text}");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["include"][0]["build"], "demo.file.image");
}
