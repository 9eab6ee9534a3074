//! What an event asks for.

use image_action_engine::{Env, Error, Result};
use serde_json::Value;
use std::path::Path;

/// Events whose workflow has secrets while the checked-out code may be a stranger's.
const UNTRUSTED_EVENTS: [&str; 3] = ["pull_request_target", "workflow_run", "issue_comment"];

/// Events of a pull request.
const PULL_REQUEST_EVENTS: [&str; 2] = ["pull_request", "pull_request_target"];

/// Events about a pull request, which have no secrets either where it comes from a fork.
const REVIEW_EVENTS: [&str; 2] = ["pull_request_review", "pull_request_review_comment"];

/// Who gets no secrets in a workflow that it causes, whatever repository the branch is in (docs.github.com, "Dependabot on GitHub
/// Actions").
const DEPENDABOT: &str = "dependabot[bot]";

/// Variables by which a job is known to have an account: those that the clouds' own clients read.
const IDENTITY: [&str; 16] = [
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_SHARED_CREDENTIALS_FILE",
    "ARM_CLIENT_ID",
    "ARM_ACCESS_KEY",
    "AZURE_CLIENT_ID",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CREDENTIALS",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
    "GOOGLE_CLOUD_KEYFILE_JSON",
    "CLOUDSDK_AUTH_ACCESS_TOKEN",
];

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullRequest {
    /// Its number.
    pub number: u64,
    /// The branch that it goes to.
    pub base_ref: String,
    /// The commit of that branch that it is compared with.
    pub base_sha: String,
    /// Whether its head lies in another repository.
    pub fork: bool,
}

/// The job that runs, as the runner's variables and the event file describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// `pull_request`, `push`, …
    pub event: String,
    /// The event's activity (`opened`, `published`), or empty.
    pub action: String,
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
    /// Whether the job has no secrets, whoever the code is of.
    pub without_secrets: bool,
    /// Whether it may have an account of a cloud: on GitHub's own runners only what it was given counts.
    pub identity: bool,
    /// Whether the event tells of something that is gone (a deleted branch or tag).
    pub gone: bool,
    /// The page of this run.
    pub run_url: String,
    /// Id of the run and number of the attempt.
    pub run: String,
    /// Workflow, job and step, to tell comments and check runs of several apart.
    pub workflow: String,
}

/// What stands in the event and in no variable.
fn payload_of(env: &Env) -> Result<Value> {
    match env.get("GITHUB_EVENT_PATH") {
        Some(path) => read_payload(Path::new(path)),
        None => Ok(Value::Null),
    }
}

/// How far a build goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// There is nothing to do for this event.
    Skip,
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
    /// Whether the template is a stranger's: it gets no file but its own, and runs no program on the runner.
    pub strange: bool,
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
        Ok(Job::of(env, &payload_of(env)?))
    }

    /// The job of this event.
    pub fn of(env: &Env, payload: &Value) -> Job {
        let text = |name: &str| env.get(name).unwrap_or_default().to_owned();
        let event = text("GITHUB_EVENT_NAME");
        let repository = text("GITHUB_REPOSITORY");
        let pull = &payload["pull_request"];
        let pull_request = (PULL_REQUEST_EVENTS.contains(&event.as_str()) && pull.is_object()).then(|| PullRequest {
            number: payload["number"].as_u64().or_else(|| pull["number"].as_u64()).unwrap_or_default(),
            base_ref: pull["base"]["ref"].as_str().unwrap_or_default().to_owned(),
            base_sha: pull["base"]["sha"].as_str().unwrap_or_default().to_owned(),
            // A deleted fork has no repository any more.
            fork: pull["head"]["repo"]["id"].is_null() || pull["head"]["repo"]["id"] != pull["base"]["repo"]["id"],
        });
        let run = if event == "workflow_run" { &payload["workflow_run"] } else { &Value::Null };
        let sha = [&pull["head"]["sha"], &payload["merge_group"]["head_sha"], &run["head_sha"]]
            .into_iter()
            .find_map(Value::as_str)
            .map_or_else(|| text("GITHUB_SHA"), str::to_owned);
        let tag = (env.get("GITHUB_REF_TYPE") == Some("tag")).then(|| text("GITHUB_REF_NAME"));
        let run_id = text("GITHUB_RUN_ID");
        let hosted = env.get("RUNNER_ENVIRONMENT") == Some("github-hosted");
        let given = |name: &str| env.get(name).is_some();
        Job {
            untrusted: UNTRUSTED_EVENTS.contains(&event.as_str()) && foreign(payload),
            // Who caused it, not who ran it again: a second attempt has the rights of the first.
            without_secrets: (env.get("GITHUB_ACTOR") == Some(DEPENDABOT) && event != "pull_request_target")
                || (REVIEW_EVENTS.contains(&event.as_str()) && foreign(payload)),
            identity: !hosted
                || IDENTITY.iter().any(|name| given(name))
                || env.iter().any(|(n, v)| is_credential(n, v)),
            gone: payload["deleted"] == true || event == "delete",
            run_url: format!("{}/{repository}/actions/runs/{run_id}", text("GITHUB_SERVER_URL")),
            run: format!("{run_id}/{}", env.get("GITHUB_RUN_ATTEMPT").unwrap_or("1")),
            workflow: format!("{}/{}/{}", text("GITHUB_WORKFLOW"), text("GITHUB_JOB"), text("GITHUB_ACTION")),
            action: payload["action"].as_str().unwrap_or_default().to_owned(),
            event,
            repository,
            sha,
            tag,
            pull_request,
        }
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
        let decide = |mode, environment, reason: &str| Decision {
            mode,
            environment,
            local: false,
            strange: self.untrusted || self.without_secrets || self.is_of_a_fork(),
            release: false,
            reason: reason.to_owned(),
        };
        let skip = |reason: &str| Ok(decide(Mode::Skip, "dev", reason));
        if self.gone {
            return skip("a branch or tag was deleted: there is nothing to build");
        }
        let mut decision = match (self.event.as_str(), self.action.as_str()) {
            ("pull_request" | "pull_request_target", "closed") => return skip("the pull request is closed"),
            ("pull_request" | "pull_request_target", _) => {
                decide(Mode::ValidationBuild, "dev", "a pull request: no image is kept")
            }
            ("merge_group", "destroyed") => return skip("the merge queue has let go of this group"),
            ("merge_group", _) => decide(Mode::ValidationBuild, "dev", "a merge queue: no image is kept"),
            ("push", _) if self.tag.is_some() => {
                Decision { release: true, ..decide(Mode::Build, "prod", "a tag: a production build") }
            }
            // GitHub tells of one release up to three times: created, published, released.
            ("release", "published") => {
                Decision { release: true, ..decide(Mode::Build, "prod", "a release: a production build") }
            }
            ("release", _) => return skip("only a release that is published is built"),
            ("schedule", _) => decide(Mode::Build, "dev", "started by the clock: images are built"),
            ("workflow_dispatch" | "repository_dispatch", _) => {
                let environment = if self.tag.is_some() { "prod" } else { "dev" };
                decide(Mode::Build, environment, "started by hand: images are built")
            }
            ("", _) => decide(Mode::Build, "dev", "not in a workflow"),
            ("push", _) => decide(Mode::Validate, "dev", "a branch: the template is validated"),
            _ => decide(Mode::Validate, "dev", "no event that asks for images: the template is validated"),
        };
        if self.is_of_a_fork() || self.without_secrets {
            decision.local = true;
            decision.reason += ", and without access to secrets: machines are local guests";
        } else if decision.mode == Mode::ValidationBuild && !self.identity {
            decision.local = true;
            decision.reason += ", and this job has no account of a cloud: machines are local guests";
        }
        Ok(decision)
    }

    /// Whether this is the pull request of a fork, in a job without secrets.
    fn is_of_a_fork(&self) -> bool {
        self.pull_request.as_ref().is_some_and(|p| p.fork) && self.event == "pull_request"
    }

    /// `run 42`, with its attempt where it is not the first; empty outside of a workflow.
    pub fn run_name(&self) -> String {
        match self.run.split_once('/') {
            Some(("", _)) | None => String::new(),
            Some((id, "1")) => format!("run {id}"),
            Some((id, attempt)) => format!("run {id}, attempt {attempt}"),
        }
    }
    /// Where GitHub shows the files of the commit; empty outside of a workflow.
    pub fn files_url(&self) -> String {
        match self.run_url.split_once("/actions/runs/") {
            Some((repository, _)) if !self.repository.is_empty() => format!("{repository}/blob/{}", self.sha),
            _ => String::new(),
        }
    }
}

/// Whether a variable of a template is a credential, by its name: many templates take them as variables.
fn is_credential(name: &str, value: &str) -> bool {
    let Some(name) = name.strip_prefix("PKR_VAR_").or_else(|| name.strip_prefix("TF_VAR_")) else { return false };
    let name = name.to_lowercase();
    !value.is_empty()
        && ["secret", "access_key", "token", "credential", "account_file"].iter().any(|w| name.contains(w))
}

/// Whether the head of the event lies in another repository than its base.
fn foreign(payload: &Value) -> bool {
    let pull = &payload["pull_request"];
    if pull.is_object() {
        return pull["head"]["repo"]["id"].is_null() || pull["head"]["repo"]["id"] != pull["base"]["repo"]["id"];
    }
    let run = &payload["workflow_run"];
    if run.is_object() {
        return run["head_repository"]["id"].is_null() || run["head_repository"]["id"] != run["repository"]["id"];
    }
    // A comment on a pull request does not say whose branch it is.
    payload["issue"]["pull_request"].is_object()
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
        let mut pairs = vec![("GITHUB_EVENT_NAME", name), ("GITHUB_SHA", "merge"), ("GITHUB_REPOSITORY", "o/r")];
        pairs.extend_from_slice(more);
        let env = Env::from_pairs(pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())));
        Job::of(&env, payload)
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
        let comment = json!({"action": "created", "issue": {"number": 7, "pull_request": {}}});
        assert!(self::job("issue_comment", &comment, &[]).decide(false).is_err());
        let gone = json!({"workflow_run": {"head_repository": null, "repository": {"id": 1}}});
        assert!(self::job("workflow_run", &gone, &[]).decide(false).is_err());
        let own = json!({"workflow_run": {"head_repository": {"id": 1}, "repository": {"id": 1}, "head_sha": "x"}});
        assert_eq!(self::job("workflow_run", &own, &[]).decide(false).unwrap().mode, Mode::Validate);
    }

    #[test]
    fn a_job_of_githubs_own_runner_without_an_account_gets_a_local_guest() {
        let hosted = ("RUNNER_ENVIRONMENT", "github-hosted");
        let own = pull(&json!({"id": 1}));
        assert!(job("pull_request", &own, &[hosted]).decide(false).unwrap().local);
        for given in [("AWS_ACCESS_KEY_ID", "x"), ("ACTIONS_ID_TOKEN_REQUEST_URL", "x"), ("PKR_VAR_client_secret", "x")]
        {
            assert!(!job("pull_request", &own, &[hosted, given]).decide(false).unwrap().local, "{given:?}");
        }
        // A runner of one's own may be a machine with a role.
        assert!(!job("pull_request", &own, &[("RUNNER_ENVIRONMENT", "self-hosted")]).decide(false).unwrap().local);
        // Images are not made of guests behind anyone's back.
        assert!(!job("schedule", &json!({}), &[hosted]).decide(false).unwrap().local);
    }

    #[test]
    fn one_release_is_built_once() {
        let tag = [("GITHUB_REF_TYPE", "tag"), ("GITHUB_REF_NAME", "v1")];
        let mode = |action: &str| job("release", &json!({ "action": action }), &tag).decide(false).unwrap().mode;
        assert_eq!(["created", "published", "released"].map(mode), [Mode::Skip, Mode::Build, Mode::Skip]);
        assert_eq!(job("push", &json!({"deleted": true}), &tag).decide(false).unwrap().mode, Mode::Skip);
    }

    #[test]
    fn a_merge_queue_waits_for_checks_on_its_own_commit() {
        let payload = json!({"action": "checks_requested", "merge_group": {"head_sha": "queued"}});
        let job = job("merge_group", &payload, &[]);
        assert_eq!((job.sha.as_str(), job.decide(false).unwrap().mode), ("queued", Mode::ValidationBuild));
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
