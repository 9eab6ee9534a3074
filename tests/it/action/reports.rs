//! Check runs, commit statuses, the comment, the summary.

use super::{Job, TEMPLATE, output, pull_request};
use serde_json::json;
use std::collections::BTreeMap;

const HEAD: &str = "2222222222222222222222222222222222222222";

#[tokio::test]
async fn a_pull_request_gets_a_check_run_a_build_and_one_comment() {
    let job = Job::new("pull_request", &pull_request(1), &[]).await;
    // Long enough for its phase to be told: what ends at once goes from queued to completed.
    let slow = "  provisioner \"shell-local\" {\n    inline = [\"sleep 2\"]\n  }\n\n  post-processor \"manifest\"";
    job.template(&TEMPLATE.replace("  post-processor \"manifest\"", slow));
    let first = job.run().await;
    assert_eq!(first.code, 0, "{}", first.text);
    let comments = job.github("issues/7/comments").await;
    assert_eq!(comments.as_array().unwrap().len(), 1);
    let body = comments[0]["body"].as_str().unwrap();
    assert!(body.contains("`demo.file.image`") && body.contains("environment `dev`"), "{body}");

    let runs = job.github(&format!("commits/{HEAD}/check-runs")).await;
    assert_eq!(runs["total_count"], 1, "on the head of the pull request, not on the merge commit");
    let run = &runs["check_runs"][0];
    assert_eq!((&run["status"], &run["conclusion"]), (&json!("completed"), &json!("success")));
    assert_eq!(run["name"], "image-action / demo.file.image");
    assert!(run["external_id"].as_str().is_some_and(|id| id.starts_with("42/1/") && id.ends_with("/demo.file.image")));

    // Queued before anything is built, then in progress, then completed.
    let calls = job.calls();
    let bodies: Vec<&str> = calls.iter().filter(|(c, _)| c.contains("check-runs")).map(|(_, b)| b.as_str()).collect();
    let at = |text: &str| bodies.iter().position(|b| b.contains(text)).unwrap_or_else(|| panic!("{text}: {bodies:?}"));
    assert!(at(r#""status":"queued""#) < at(r#""status":"in_progress""#));
    assert!(at(r#""status":"in_progress""#) < at(r#""conclusion":"success""#));

    assert_eq!(output(&job.file("output"), "status").as_deref(), Some("success"));
    assert!(job.file("summary").contains("✅ image-action: 1 of 1 provisioned"), "{}", job.file("summary"));
    assert!(job.file("state").contains("ledger<<"), "the post step finds the ledger");

    let second = job.run().await;
    assert_eq!(second.code, 0, "{}", second.text);
    let again = job.github("issues/7/comments").await;
    assert_eq!(again.as_array().unwrap().len(), 1, "the comment is edited in place");
    assert_eq!(again[0]["id"], comments[0]["id"]);
    let runs = job.github(&format!("commits/{HEAD}/check-runs")).await;
    assert_eq!(runs["total_count"], 1, "the same attempt takes up its check run again");
    job.contract().await;
}

#[tokio::test]
async fn an_older_run_leaves_the_comment_to_the_newer_one() {
    let mut job = Job::new("pull_request", &pull_request(1), &[]).await;
    assert_eq!(job.run().await.code, 0);
    let newer = job.github("issues/7/comments").await[0]["body"].clone();
    job.env.insert("GITHUB_RUN_ID".into(), "41".into());
    let older = job.run().await;
    assert!(older.code == 0 && older.text.contains("left to a newer run"), "{}", older.text);
    assert_eq!(job.github("issues/7/comments").await[0]["body"], newer);
    // Somebody who quotes the marker keeps their words.
    job.env.insert("GITHUB_RUN_ID".into(), "43".into());
    job.env.insert("INPUT_GITHUB-TOKEN".into(), "ghp_localcloud".into());
    assert_eq!(job.run().await.code, 0);
    let comments = job.github("issues/7/comments").await;
    assert_eq!(comments.as_array().unwrap().len(), 2, "another account writes a comment of its own");
    assert_eq!(comments[0]["body"], newer);
    job.contract().await;
}

#[tokio::test]
async fn a_broken_template_is_marked_on_its_line_in_a_check_run() {
    let job = Job::new("pull_request", &pull_request(1), &[]).await;
    job.template(&TEMPLATE.replace("target  =", "taget   ="));
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert!(ended.text.contains("--> templates/build.pkr.hcl:8"), "the log has it too: {}", ended.text);
    let runs = job.github(&format!("commits/{HEAD}/check-runs")).await;
    let run = &runs["check_runs"][0];
    assert_eq!((&run["name"], &run["conclusion"]), (&json!("image-action / template"), &json!("failure")));
    let marks = job.github(&format!("check-runs/{}/annotations", run["id"])).await;
    assert!(
        marks.as_array().unwrap().iter().any(|m| m["path"] == "templates/build.pkr.hcl" && m["start_line"] == 8),
        "{marks}"
    );
    let comments = job.github("issues/7/comments").await;
    let body = comments[0]["body"].as_str().unwrap();
    assert!(body.contains("the template is not valid") && body.contains("taget"), "{body}");
    assert_eq!(output(&job.file("output"), "status").as_deref(), Some("failure"));
    job.contract().await;
}

#[tokio::test]
async fn more_marks_than_one_request_takes_are_all_there() {
    let job = Job::new("pull_request", &pull_request(1), &[("INPUT_WORKING-DIRECTORY", "images")]).await;
    std::fs::create_dir(job.workspace().join("images")).unwrap();
    std::fs::rename(job.workspace().join("templates"), job.workspace().join("images/templates")).unwrap();
    let wrong: String = (0..120).map(|n| format!("  wrong{n} = {n}\n")).collect();
    let text = TEMPLATE.replace("  target  = \"image.txt\"\n", &format!("  target  = \"image.txt\"\n{wrong}"));
    std::fs::write(job.workspace().join("images/templates/build.pkr.hcl"), text).unwrap();
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    let run = job.github(&format!("commits/{HEAD}/check-runs")).await["check_runs"][0].clone();
    assert_eq!(run["output"]["annotations_count"], 120, "{run}");
    let marks = job.github(&format!("check-runs/{}/annotations?per_page=100", run["id"])).await;
    assert_eq!(marks[0]["path"], "images/templates/build.pkr.hcl", "from the root of the repository");
    job.contract().await;
}

#[tokio::test]
async fn a_failed_build_says_why_where_and_what_to_do() {
    let job = Job::new("pull_request", &pull_request(1), &[]).await;
    job.template(
        r#"
source "null" "a_b" {
  communicator = "none"
}

build {
  sources = ["source.null.a_b"]

  provisioner "shell-local" {
    inline = ["echo one line of output", "exit 3"]
  }
}
"#,
    );
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    let run = job.github(&format!("commits/{HEAD}/check-runs")).await["check_runs"][0].clone();
    assert_eq!((&run["name"], &run["conclusion"]), (&json!("image-action / null.a_b"), &json!("failure")));
    let summary = run["output"]["summary"].as_str().unwrap();
    assert!(summary.contains("`null.a_b`") && summary.contains("one line of output"), "{summary}");
    assert!(summary.contains("failed at: provisioner 1 of 1: shell-local"), "{summary}");
    assert!(run["output"]["title"].as_str().is_some_and(|t| t.contains('3') && !t.contains('\n')), "{run}");
    let body = job.github("issues/7/comments").await[0]["body"].clone();
    assert!(
        body.as_str().is_some_and(|b| b.contains("❌ image-action: the build failed") && b.contains("one line")),
        "{body}"
    );
    job.contract().await;
}

#[tokio::test]
async fn commit_statuses_stand_in_for_check_runs() {
    // A person's token may not write check runs.
    let job = Job::new("pull_request", &pull_request(1), &[("INPUT_GITHUB-TOKEN", "ghp_localcloud")]).await;
    let ended = job.run().await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    assert!(ended.text.contains("commit statuses stand in"), "{}", ended.text);
    let all = job.github(&format!("commits/{HEAD}/statuses")).await;
    let states: Vec<_> = all.as_array().unwrap().iter().map(|s| s["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["success", "pending"]);
    assert_eq!(all[0]["context"], "image-action / demo.file.image");
    assert_eq!(job.github("issues/7/comments").await[0]["user"]["login"], "octocat");
    job.contract().await;
}

#[tokio::test]
async fn reporting_that_is_refused_does_not_fail_the_job() {
    let job = Job::new("pull_request", &pull_request(1), &[("INPUT_GITHUB-TOKEN", "ghs_wrong")]).await;
    let ended = job.run().await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    assert!(ended.text.contains("::notice title=image-action::no check runs"), "{}", ended.text);
    assert!(!ended.text.contains("ghs_wrong"), "the token is not shown");
    job.template(&TEMPLATE.replace("target  =", "taget   ="));
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert!(ended.text.contains("::error file=templates/build.pkr.hcl,line=8,"), "the runner marks: {}", ended.text);
    job.contract().await;
}

#[tokio::test]
async fn two_environments_of_one_workflow_do_not_take_each_others_place() {
    let mut job = Job::new("pull_request", &pull_request(1), &[]).await;
    for environment in ["dev", "staging"] {
        job.env.insert("INPUT_ENVIRONMENT".into(), environment.into());
        assert_eq!(job.run().await.code, 0);
    }
    let runs = job.github(&format!("commits/{HEAD}/check-runs")).await;
    let names: Vec<_> = runs["check_runs"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["image-action / demo.file.image (dev)", "image-action / demo.file.image (staging)"]);
    assert_eq!(job.github("issues/7/comments").await.as_array().unwrap().len(), 2);
    job.contract().await;
}

#[tokio::test]
async fn a_second_attempt_ends_what_the_first_has_left() {
    let mut job = Job::new("pull_request", &pull_request(1), &[]).await;
    assert_eq!(job.run().await.code, 0);
    let first = job.github(&format!("commits/{HEAD}/check-runs")).await["check_runs"][0].clone();
    // As if its process had been killed in the middle.
    let url = format!("{}/repos/octo/images/check-runs/{}", job.local.env()["GITHUB_API_URL"], first["id"]);
    let client = reqwest::Client::new();
    let name = first["name"].as_str().unwrap();
    let body = json!({"name": name, "head_sha": HEAD, "status": "in_progress", "external_id": first["external_id"]});
    let create = url.rsplit_once('/').unwrap().0.to_owned();
    let call =
        client.post(create).bearer_auth(&job.local.env()["GITHUB_TOKEN"]).header("user-agent", "test").json(&body);
    let unfinished = call.send().await.unwrap().json::<serde_json::Value>().await.unwrap();
    job.env.insert("GITHUB_RUN_ATTEMPT".into(), "2".into());
    assert_eq!(job.run().await.code, 0);
    let run = job.github(&format!("check-runs/{}", unfinished["id"])).await;
    assert_eq!(run["conclusion"], "cancelled", "{run}");
    assert_eq!(job.github(&format!("commits/{HEAD}/check-runs")).await["total_count"], 3);
    job.contract().await;
}

#[tokio::test]
async fn outside_of_a_workflow_it_prints_what_it_would_post() {
    let mut job = Job::new("", &json!({}), &[]).await;
    let ours = |name: &str| !name.starts_with("GITHUB_") && !name.starts_with("INPUT_");
    job.env = std::mem::take(&mut job.env).into_iter().filter(|(name, _)| ours(name)).collect::<BTreeMap<_, _>>();
    let ended = job.run().await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    for part in [
        "check run \"image-action / demo.file.image\": success",
        "release, on a tag: manifest.json, checksums.txt",
        "### ✅ image-action: 1 of 1 built",
    ] {
        assert!(ended.text.contains(part), "{part}\n{}", ended.text);
    }
    assert!(job.calls().is_empty());
}

#[tokio::test]
async fn strangers_code_with_secrets_is_refused_before_anything_is_read() {
    let job = Job::new("pull_request_target", &pull_request(2), &[]).await;
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert!(ended.text.contains("allow-untrusted"), "{}", ended.text);
    assert_eq!(job.github("issues/7/comments").await.as_array().unwrap().len(), 0);
    // The file of defaults is the stranger's own.
    std::fs::create_dir(job.workspace().join(".github")).unwrap();
    std::fs::write(job.workspace().join(".github/image-action.yml"), "allow-untrusted: true\n").unwrap();
    assert_eq!(job.run().await.code, 1);
}

#[tokio::test]
async fn a_misspelt_input_is_an_error() {
    let job = Job::new("pull_request", &pull_request(1), &[("INPUT_VAR-FILE", "x")]).await;
    let ended = job.run().await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert!(ended.text.contains("did you mean `var-files`?"), "{}", ended.text);
    assert_eq!(output(&job.file("output"), "status").as_deref(), Some("failure"));
}

#[tokio::test]
async fn a_repositorys_defaults_are_its_own() {
    let job = Job::new("pull_request", &pull_request(1), &[]).await;
    std::fs::create_dir(job.workspace().join(".github")).unwrap();
    let file = job.workspace().join(".github/image-action.yml");
    std::fs::write(&file, "environment: staging\ncomment: false\n").unwrap();
    let ended = job.run().await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    assert!(job.file("summary").contains("environment `staging`"), "{}", job.file("summary"));
    assert_eq!(job.github("issues/7/comments").await.as_array().unwrap().len(), 0);
    std::fs::write(&file, "enviroment: staging\n").unwrap();
    let ended = job.run().await;
    assert!(ended.code == 1 && ended.text.contains("did you mean `environment`?"), "{}", ended.text);
}
