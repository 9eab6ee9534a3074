//! The release of a tag.

use super::{Job, sha256sum};
use serde_json::{Value, json};

const TAG: [(&str, &str); 3] =
    [("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "v1.2.3"), ("GITHUB_REF", "refs/tags/v1.2.3")];

async fn tagged(more: &[(&str, &str)]) -> Job {
    let mut all = TAG.to_vec();
    all.extend_from_slice(more);
    Job::new("push", &json!({"ref": "refs/tags/v1.2.3"}), &all).await
}

/// Calls the local GitHub directly.
async fn call(job: &Job, method: &str, path: &str, body: &Value) -> Value {
    let url = format!("{}/repos/octo/images/{path}", job.local.env()["GITHUB_API_URL"]);
    let call = reqwest::Client::new().request(method.parse().unwrap(), url).json(body);
    let call = call.bearer_auth(&job.local.env()["GITHUB_TOKEN"]).header("user-agent", "test");
    call.send().await.unwrap().json().await.unwrap()
}

fn names(release: &Value) -> Vec<&str> {
    let mut names: Vec<_> = release["assets"].as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_tag_gets_a_release_with_manifest_and_checksums() {
    let job = tagged(&[]).await;
    for attempt in 1..=2 {
        let ended = job.run().await;
        assert_eq!(ended.code, 0, "attempt {attempt}: {}", ended.text);
    }
    let release = job.github("releases/tags/v1.2.3").await;
    job.contract().await;
    assert_eq!((&release["draft"], &release["prerelease"]), (&json!(false), &json!(false)));
    assert_eq!(names(&release), ["checksums.txt", "image-action-report.md", "manifest.json"]);
    let folder = job.dir.path().join("download");
    std::fs::create_dir(&folder).unwrap();
    for asset in release["assets"].as_array().unwrap() {
        let call = reqwest::Client::new().get(asset["url"].as_str().unwrap()).header("user-agent", "test");
        let call = call.bearer_auth(&job.local.env()["GITHUB_TOKEN"]).header("accept", "application/octet-stream");
        let path = folder.join(asset["name"].as_str().unwrap());
        std::fs::write(&path, call.send().await.unwrap().bytes().await.unwrap()).unwrap();
        assert_eq!(asset["digest"], format!("sha256:{}", sha256sum(&path)).as_str());
    }
    // Whoever downloads can check, with coreutils.
    let mut check = std::process::Command::new("sha256sum");
    let check = check.args(["--strict", "-c", "checksums.txt"]).current_dir(&folder).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let manifest: Value = serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let builds = manifest["builds"].as_array().unwrap();
    assert_eq!((builds.len(), &builds[0]["name"]), (1, &json!("image")), "this run's entries only: {manifest}");
    assert_eq!(builds[0]["packer_run_uuid"], manifest["last_run_uuid"]);
    let image = std::fs::read_to_string(job.workspace().join("image.txt")).unwrap();
    assert_eq!(image, "built for prod\n", "a tag is built for prod");
    let body = release["body"].as_str().unwrap();
    assert_eq!(body.matches("### Images").count(), 1, "{body}");
}

#[tokio::test]
async fn a_draft_with_notes_is_completed_and_keeps_them() {
    let job = tagged(&[]).await;
    let draft = json!({"tag_name": "v1.2.3", "name": "One", "body": "What is new.", "draft": true});
    let draft = call(&job, "POST", "releases", &draft).await;
    let ended = job.run().await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    let release = job.github("releases/tags/v1.2.3").await;
    assert_eq!((&release["id"], &release["name"]), (&draft["id"], &json!("One")));
    assert!(release["body"].as_str().is_some_and(|b| b.starts_with("What is new.\n")), "{release}");
    job.contract().await;
}

#[tokio::test]
async fn a_release_may_stay_a_draft() {
    let job = tagged(&[("INPUT_RELEASE", "draft")]).await;
    assert_eq!(job.run().await.code, 0);
    assert_eq!(job.github("releases/tags/v1.2.3").await["message"], "Not Found");
    let all = job.github("releases").await;
    assert_eq!((&all[0]["draft"], names(&all[0]).len()), (&json!(true), 3));
    let job = tagged(&[("INPUT_RELEASE", "false")]).await;
    assert_eq!(job.run().await.code, 0);
    assert_eq!(job.github("releases").await.as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn an_immutable_release_is_published_once_and_refuses_before_anything_is_built() {
    let job = tagged(&[("GITHUB_REPOSITORY", "octo/images-immutable")]).await;
    let ended = job.run().await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    std::fs::remove_file(job.workspace().join("image.txt")).unwrap();
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert!(ended.text.contains("published and immutable") && ended.text.contains("new tag"), "{}", ended.text);
    assert!(!job.workspace().join("image.txt").exists(), "nothing was built");
    job.contract().await;
}

#[tokio::test]
async fn a_release_that_cannot_be_written_fails_the_job_with_the_cure() {
    let job = tagged(&[]).await;
    job.local.running.cloud.faults.add(image_action_localcloud::fault::Fault {
        matches: "POST /repos/octo/images/releases".into(),
        status: 403,
        message: "Resource not accessible by integration".into(),
        ..Default::default()
    });
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert!(ended.text.contains("add `contents: write` to the `permissions`"), "{}", ended.text);
}
