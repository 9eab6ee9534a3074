//! What a pull request changes, in its comment.

use super::{Job, TEMPLATE, pull_request};
use std::process::Command;

/// Makes the workspace a repository with one commit; its id.
fn commit(job: &Job) -> String {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(arguments).current_dir(job.workspace());
        let output = git.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "one"]);
    git(&["rev-parse", "HEAD"])
}

async fn comment(job: &Job) -> String {
    let ended = job.run().await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    job.github("issues/7/comments").await[0]["body"].as_str().unwrap().to_owned()
}

fn against(job: &Job, base: &str) {
    let mut payload = pull_request(1);
    payload["pull_request"]["base"]["sha"] = base.into();
    std::fs::write(job.dir.path().join("event.json"), payload.to_string()).unwrap();
}

#[tokio::test]
async fn the_comment_shows_what_has_changed_against_the_base() {
    let job = Job::new("pull_request", &pull_request(1), &[]).await;
    against(&job, &commit(&job));
    assert!(comment(&job).await.contains("nothing that is built has changed"));
    // Whatever a template says, it stays in its cell.
    let evil = "</code></td><img src=x> | @octocat `x` [a](https://e.vil)";
    job.template(&TEMPLATE.replace("built for", evil).replace("\"image.txt\"", "\"other.txt\""));
    let body = comment(&job).await;
    assert!(body.contains("**Against `main`") && body.contains("1 build changed"), "{body}");
    assert!(body.contains("other.txt") && body.contains("image.txt"), "{body}");
    let html = ["<img", "</td>", "@octocat ", "](https://e.vil)"];
    let bare: String = body.split('`').step_by(2).collect();
    assert!(html.iter().all(|h| !bare.contains(h)), "{body}");
    job.contract().await;
}

#[tokio::test]
async fn a_checkout_without_the_base_is_told_and_fails_nothing() {
    let job = Job::new("pull_request", &pull_request(1), &[]).await;
    commit(&job);
    let body = comment(&job).await;
    assert!(body.contains("What changes against `main` is not known") && body.contains("`fetch-depth: 0`"), "{body}");
}

/// However much changes, the comment keeps within its limit, and its verdict and table stay.
#[tokio::test]
async fn many_changes_do_not_break_the_comment() {
    let job = Job::new("pull_request", &pull_request(1), &[]).await;
    against(&job, &commit(&job));
    let long = "x".repeat(400);
    let steps: String = (0..400)
        .map(|n| {
            format!(
                "  provisioner \"shell-local\" {{\n    only   = [\"file.no\"]\n    inline = [\"{n} {long}\"]\n  }}\n"
            )
        })
        .collect();
    let sources: String = (0..60)
        .map(|n| format!("source \"file\" \"s{n}\" {{\n  content = \"{long}\"\n  target  = \"{n}{long}\"\n}}\n"))
        .collect();
    job.template(&format!(
        "{sources}{}",
        TEMPLATE.replace("  post-processor \"manifest\"", &format!("{steps}  post-processor \"manifest\""))
    ));
    let body = comment(&job).await;
    assert!(body.len() < 65_536 && body.contains("`demo.file.image`"), "{}", body.len());
}
