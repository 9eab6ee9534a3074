//! What an event asks for.

use image_action_engine::{Env, Error, Result};
use serde_json::Value;
use std::path::Path;

/// Events whose workflow has secrets while the checked-out code may be a stranger's.
const UNTRUSTED_EVENTS: [&str; 2] = ["pull_request_target", "workflow_run"];

/// Events of a pull request.
const PULL_REQUEST_EVENTS: [&str; 2] = ["pull_request", "pull_request_target"];

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// The branch that it goes to.
    pub base_ref: String,
    /// Whether its head lies in another repository.
    pub fork: bool,
}

/// The job that runs, as the runner's variables and the event file describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// `pull_request`, `push`, …
    pub event: String,
    /// `owner/name`
    pub repository: String,
    /// The commit that check runs belong to: the head of a pull request, not its merge commit.
    pub sha: String,
    /// The tag, where the job runs for one.
    pub tag: Option<String>,
    /// The pull request, where the job runs for one.
    pub pull_request: Option<PullRequest>,
    /// Whether the checked-out code may be a stranger's although the job has secrets.
    pub untrusted: bool,
    /// Who caused it (`dependabot[bot]` has no secrets).
    pub actor: String,
    /// The page of this run.
    pub run_url: String,
    /// Id of the run and number of the attempt.
    pub run: String,
    /// Workflow and job, to tell comments of several jobs apart.
    pub workflow: String,
}

/// How far a build goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Validate only.
    Validate,
    /// Machines are launched and provisioned; no image is kept.
    ValidationBuild,
    /// Images are made.
    Build,
}

/// What the action does for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// How far it goes.
    pub mode: Mode,
    /// The environment where the input names none (`DIR/<environment>.pkrvars.hcl`).
    pub environment: &'static str,
    /// Whether machines are local guests: a fork has no credentials, and gets none.
    pub local: bool,
    /// Whether files go to the release of the tag.
    pub release: bool,
    /// Why, in a sentence.
    pub reason: String,
}

impl Job {
    /// Reads the runner's variables and its event file.
    ///
    /// # Errors
    /// Where the event file is named and cannot be read.
    pub fn read(env: &Env) -> Result<Job> {
        let text = |name: &str| env.get(name).unwrap_or_default().to_owned();
        let payload = match env.get("GITHUB_EVENT_PATH") {
            Some(path) => read_payload(Path::new(path))?,
            None => Value::Null,
        };
        let event = text("GITHUB_EVENT_NAME");
        let repository = text("GITHUB_REPOSITORY");
        let pull = &payload["pull_request"];
        let pull_request = (PULL_REQUEST_EVENTS.contains(&event.as_str()) && pull.is_object()).then(|| PullRequest {
            number: payload["number"].as_u64().or_else(|| pull["number"].as_u64()).unwrap_or_default(),
            base_ref: pull["base"]["ref"].as_str().unwrap_or_default().to_owned(),
            // A deleted fork has no repository any more.
            fork: pull["head"]["repo"]["id"].is_null() || pull["head"]["repo"]["id"] != pull["base"]["repo"]["id"],
        });
        let sha = [&pull["head"]["sha"], &payload["merge_group"]["head_sha"], &payload["workflow_run"]["head_sha"]]
            .into_iter()
            .find_map(Value::as_str)
            .map_or_else(|| text("GITHUB_SHA"), str::to_owned);
        let tag = (env.get("GITHUB_REF_TYPE") == Some("tag")).then(|| text("GITHUB_REF_NAME"));
        let run_id = text("GITHUB_RUN_ID");
        Ok(Job {
            untrusted: UNTRUSTED_EVENTS.contains(&event.as_str()) && foreign(&payload),
            run_url: format!("{}/{repository}/actions/runs/{run_id}", text("GITHUB_SERVER_URL")),
            run: format!("{run_id}/{}", env.get("GITHUB_RUN_ATTEMPT").unwrap_or("1")),
            workflow: format!("{}/{}", text("GITHUB_WORKFLOW"), text("GITHUB_JOB")),
            actor: text("GITHUB_ACTOR"),
            event,
            repository,
            sha,
            tag,
            pull_request,
        })
    }

    /// The table of events: what the action does where no input says otherwise.
    ///
    /// # Errors
    /// A stranger's code in a job that has secrets, unless `allow_untrusted`.
    pub fn decide(&self, allow_untrusted: bool) -> Result<Decision> {
        if self.untrusted && !allow_untrusted {
            return Err(Error::failed(format!("the event {} runs a stranger's template with this repository's secrets", self.event))
                .detail("Scripts of a template run with the credentials of the job.")
                .hint("use `on: pull_request`, where a fork gets a local guest and no secret; or set `allow-untrusted: true` if you have read the code"));
        }
        let decision = |mode, environment, reason: &str| Decision {
            mode,
            environment,
            local: false,
            release: false,
            reason: reason.to_owned(),
        };
        if let Some(pull) = &self.pull_request {
            let mut decision = decision(Mode::ValidationBuild, "dev", "a pull request: no image is kept");
            if pull.fork || self.actor == "dependabot[bot]" {
                decision.local = true;
                decision.reason = "a pull request without access to secrets: provisioned in local guests".to_owned();
            }
            return Ok(decision);
        }
        if self.tag.is_some() {
            let release = self.event == "push";
            return Ok(Decision { release, ..decision(Mode::Build, "prod", "a tag: a production build") });
        }
        Ok(match self.event.as_str() {
            "schedule" | "workflow_dispatch" | "repository_dispatch" | "release" => {
                decision(Mode::Build, "dev", "started by hand or by the clock: images are built")
            }
            "" => decision(Mode::Build, "dev", "not in a workflow"),
            _ => decision(Mode::Validate, "dev", "a branch: the template is validated"),
        })
    }
}

/// Whether the head of the event lies in another repository than its base.
fn foreign(payload: &Value) -> bool {
    let pull = &payload["pull_request"];
    if pull.is_object() {
        return pull["head"]["repo"]["id"].is_null() || pull["head"]["repo"]["id"] != pull["base"]["repo"]["id"];
    }
    let run = &payload["workflow_run"];
    run.is_object() && run["head_repository"]["id"] != run["repository"]["id"]
}

fn read_payload(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::failed(format!("cannot read the event file {}: {e}", path.display())))?;
    serde_json::from_str(&text).map_err(|e| Error::failed(format!("the event file {} is no JSON: {e}", path.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn job(name: &str, payload: &Value, more: &[(&str, &str)]) -> Job {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), payload.to_string()).unwrap();
        let path = file.path().display().to_string();
        let mut pairs = vec![
            ("GITHUB_EVENT_NAME", name),
            ("GITHUB_EVENT_PATH", path.as_str()),
            ("GITHUB_SHA", "merge"),
            ("GITHUB_REPOSITORY", "o/r"),
        ];
        pairs.extend_from_slice(more);
        let env = Env::from_pairs(pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())));
        Job::read(&env).unwrap()
    }

    fn pull(head_repo: &Value) -> Value {
        json!({"number": 7, "pull_request": {"number": 7,
            "head": {"sha": "head", "repo": head_repo}, "base": {"ref": "main", "repo": {"id": 1}}}})
    }

    #[test]
    fn a_pull_request_of_the_repository_is_a_validation_build_on_its_head() {
        let job = job("pull_request", &pull(&json!({"id": 1})), &[]);
        assert_eq!(job.sha, "head", "a check on the merge commit is invisible");
        let decision = job.decide(false).unwrap();
        assert_eq!((decision.mode, decision.environment, decision.local), (Mode::ValidationBuild, "dev", false));
    }

    #[test]
    fn a_fork_a_deleted_fork_and_dependabot_get_a_local_guest() {
        for (repo, actor) in [(json!({"id": 2}), "x"), (Value::Null, "x"), (json!({"id": 1}), "dependabot[bot]")] {
            let job = job("pull_request", &pull(&repo), &[("GITHUB_ACTOR", actor)]);
            assert!(job.decide(false).unwrap().local, "{repo} {actor}");
        }
    }

    #[test]
    fn strangers_code_with_secrets_is_refused() {
        let job = job("pull_request_target", &pull(&json!({"id": 2})), &[]);
        assert!(job.decide(false).unwrap_err().hint.unwrap().contains("allow-untrusted"));
        assert!(job.decide(true).is_ok());
    }

    #[test]
    fn a_tag_is_a_production_build_with_a_release() {
        let job = job("push", &json!({}), &[("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "v1")]);
        let decision = job.decide(false).unwrap();
        assert_eq!((decision.mode, decision.environment, decision.release), (Mode::Build, "prod", true));
        assert_eq!(job.sha, "merge");
    }

    #[test]
    fn a_branch_is_validated_and_the_clock_builds() {
        assert_eq!(
            job("push", &json!({}), &[("GITHUB_REF_TYPE", "branch")]).decide(false).unwrap().mode,
            Mode::Validate
        );
        assert_eq!(job("schedule", &json!({}), &[]).decide(false).unwrap().mode, Mode::Build);
    }
}
