//! Limits and failures of GitHub's API, as a job meets them. How long is waited in which case is tested where it is decided
//! (`src/github/limits.rs`, `client.rs`); here the waits are short.

use super::{Job, pull_request};
use image_action_localcloud::fault::Fault;

async fn with(fault: Fault) -> Job {
    let job = Job::new("pull_request", &pull_request(1), &[]).await;
    job.local.running.cloud.faults.add(fault);
    job
}

/// A pull request gets one comment and one check run, whatever GitHub answers first.
async fn gets_everything(job: &Job) {
    let ended = job.run().await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    assert_eq!(job.github("issues/7/comments").await.as_array().unwrap().len(), 1, "{}", ended.text);
    let runs = job.github("commits/2222222222222222222222222222222222222222/check-runs").await;
    assert_eq!(
        (&runs["total_count"], &runs["check_runs"][0]["conclusion"]),
        (&1.into(), &"success".into()),
        "{}",
        ended.text
    );
    job.contract().await;
}

#[tokio::test]
async fn limits_are_waited_for() {
    for (status, code) in [(403, "primary"), (429, "primary"), (403, "secondary"), (429, "secondary")] {
        for call in ["POST /repos/octo/images/issues", "POST /repos/octo/images/check-runs", "PATCH /repos"] {
            let message = "You have exceeded a rate limit".to_owned();
            let fault =
                Fault { matches: call.into(), times: 1, status, code: code.into(), message, ..Fault::default() };
            gets_everything(&with(fault).await).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_fails_is_asked_again() {
    for status in [500, 502, 503] {
        for call in ["GET /repos/octo/images/issues", "PATCH /repos/octo/images/check-runs"] {
            gets_everything(&with(Fault { matches: call.into(), times: 1, status, ..Fault::default() }).await).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_makes_nothing_twice() {
    for call in ["POST /repos/octo/images/issues", "POST /repos/octo/images/check-runs"] {
        gets_everything(&with(Fault { matches: call.into(), times: 1, lose_answer: true, ..Fault::default() }).await)
            .await;
    }
}

#[tokio::test]
async fn a_github_that_is_down_does_not_fail_the_job() {
    let job = with(Fault { matches: "/repos/octo".into(), status: 503, ..Fault::default() }).await;
    let ended = job.run().await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    assert!(ended.text.contains("::notice title=image-action::no comment: GitHub answered 503"), "{}", ended.text);
}
