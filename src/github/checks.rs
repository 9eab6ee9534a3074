//! One check run for each build: queued at the start, in progress with its phase, completed with what came of it. Where a token may
//! not write check runs, commit statuses, which say less.

use crate::github::{Client, runner::Place};
use image_action_engine::event::{Event, Stamped, Subscriber, build_of};
use image_action_engine::{Error, ErrorKind, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Shortest time between two updates of one check run.
const UPDATE_EVERY: Duration = Duration::from_secs(60);

/// Updates of all check runs in an hour: a `GITHUB_TOKEN` has 1,000 calls an hour for the whole repository, and other jobs
/// need some.
const UPDATES_AN_HOUR: u32 = 300;

/// Longest summary or text of a check run, in characters (GitHub's API description).
const TEXT_LIMIT: usize = 65_535;

/// Longest message of an annotation, in bytes (64 KB, GitHub's API description).
const MESSAGE_LIMIT: usize = 64_000;

/// Most annotations of one request.
const ANNOTATIONS: usize = 50;

/// Longest description of a commit status, in characters.
const DESCRIPTION_LIMIT: usize = 140;

/// What the names of all check runs begin with: GitHub may show them under another workflow of the same commit.
const PREFIX: &str = "image-action / ";

/// How a check ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// As it should.
    Success,
    /// With an error.
    Failure,
    /// Stopped before its end.
    Cancelled,
}

impl Conclusion {
    /// As a check run has it.
    pub fn word(self) -> &'static str {
        match self {
            Conclusion::Success => "success",
            Conclusion::Failure => "failure",
            Conclusion::Cancelled => "cancelled",
        }
    }
    /// As a commit status has it.
    fn state(self) -> &'static str {
        match self {
            Conclusion::Success => "success",
            Conclusion::Failure => "failure",
            Conclusion::Cancelled => "error",
        }
    }
}

/// A mark on a line of a template.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Where.
    pub place: Place,
    /// `failure`, `warning` or `notice`.
    pub level: &'static str,
    /// One line.
    pub title: String,
    /// The rest.
    pub message: String,
}

/// What a completed check run shows.
#[derive(Clone, Debug)]
pub struct Completion {
    /// How it ended.
    pub conclusion: Conclusion,
    /// One line.
    pub title: String,
    /// Markdown.
    pub summary: String,
    /// Marks on template lines.
    pub marks: Vec<Mark>,
}

/// Where the check runs of a job go, and how they are told from those of other jobs.
#[derive(Clone, Debug)]
pub struct Head {
    /// The commit.
    pub sha: String,
    /// The page of the run.
    pub url: String,
    /// `RUN/ATTEMPT/KEY`: the same for every step of one attempt of one job, and for nothing else.
    pub id: String,
    /// Behind every name, where two jobs of a workflow build the same template: ` (prod)`.
    pub suffix: String,
}

impl Head {
    /// The name of the check run of a build.
    pub fn name(&self, build: &str) -> String {
        format!("{PREFIX}{build}{}", self.suffix)
    }
    fn external_id(&self, build: &str) -> String {
        format!("{}/{build}", self.id)
    }
}

/// What stands for a build at the commit.
#[derive(Clone, Debug)]
enum Target {
    Run(u64),
    Status,
}

/// The checks of one job, by the name of the build.
pub struct Checks {
    client: Client,
    head: Head,
    targets: BTreeMap<String, Target>,
}

impl Checks {
    /// Queues a check run for each build, or takes up the one that an earlier step of this attempt has made. Where check runs are
    /// refused, commit statuses are made.
    ///
    /// # Errors
    /// What GitHub said, where neither works.
    pub async fn open(client: Client, head: Head, builds: &[String]) -> Result<Checks> {
        let mut checks = Checks { client, head, targets: BTreeMap::new() };
        for build in builds {
            match checks.queue(build).await {
                Ok(id) => drop(checks.targets.insert(build.clone(), Target::Run(id))),
                // 403 where the token lacks the permission, 404 where it may not know of the repository, 422 never.
                Err(e)
                    if checks.targets.is_empty() && matches!(e.kind, ErrorKind::Permission | ErrorKind::NotFound) =>
                {
                    return checks.statuses(builds, e).await;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(checks)
    }
    async fn queue(&self, build: &str) -> Result<u64> {
        let (name, external_id) = (self.head.name(build), self.head.external_id(build));
        let body = json!({
            "name": name,
            "head_sha": self.head.sha,
            "status": "queued",
            "details_url": self.head.url,
            "external_id": external_id,
        });
        // Two steps of one job may build the same, and an earlier attempt may have left one that never ends.
        if let Some(id) = self.known(&name, &external_id).await? {
            return Ok(id);
        }
        let made = match self.client.post("check-runs", &body).await {
            Err(e) if e.kind == ErrorKind::Unreachable => match self.known(&name, &external_id).await? {
                Some(id) => return Ok(id),
                None => self.client.post("check-runs", &body).await?,
            },
            answer => answer?,
        };
        made["id"].as_u64().ok_or_else(|| Error::failed("GitHub made a check run without an id"))
    }
    /// The check run of this attempt; those of earlier attempts that were never completed end here.
    async fn known(&self, name: &str, external_id: &str) -> Result<Option<u64>> {
        let query: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        let path = format!("commits/{}/check-runs?check_name={query}&filter=all", self.head.sha);
        let mut own = None;
        for run in self.client.list(&path, Some("check_runs")).await? {
            let (Some(id), Some(theirs)) = (run["id"].as_u64(), run["external_id"].as_str()) else { continue };
            if theirs == external_id {
                own = Some(id);
            } else if run["status"] != "completed" && self.is_earlier(theirs, external_id) {
                let output = json!({"title": "never completed", "summary": "Another attempt has taken its place."});
                let body = json!({"conclusion": "cancelled", "output": output});
                self.client.patch(&format!("check-runs/{id}"), &body).await?;
            }
        }
        Ok(own)
    }
    /// Whether one id is that of an earlier attempt of the same run, job and build.
    fn is_earlier(&self, theirs: &str, own: &str) -> bool {
        let parts = |id: &str| {
            let mut parts = id.splitn(3, '/').map(str::to_owned);
            Some((parts.next()?, parts.next()?.parse::<u64>().ok()?, parts.next()?))
        };
        match (parts(theirs), parts(own)) {
            (Some((run, attempt, rest)), Some((own_run, own_attempt, own_rest))) => {
                run == own_run && rest == own_rest && attempt < own_attempt
            }
            _ => false,
        }
    }
    async fn statuses(mut self, builds: &[String], refusal: Error) -> Result<Checks> {
        for build in builds {
            if let Err(e) = self.status(build, "pending", "queued").await {
                return Err(if e.kind == refusal.kind { refusal } else { e });
            }
            self.targets.insert(build.clone(), Target::Status);
        }
        Ok(self)
    }
    async fn status(&self, build: &str, state: &str, description: &str) -> Result<()> {
        let body = json!({
            "state": state,
            "context": self.head.name(build),
            "description": first_characters(description, DESCRIPTION_LIMIT),
            "target_url": self.head.url,
        });
        self.client.post(&format!("statuses/{}", self.head.sha), &body).await.map(drop)
    }
    /// Whether these are commit statuses, because check runs were refused.
    pub fn are_statuses(&self) -> bool {
        self.targets.values().any(|t| matches!(t, Target::Status))
    }
    /// How long an update of one check run has to wait for the next.
    pub fn pace(&self) -> Duration {
        let builds = u32::try_from(self.targets.len()).unwrap_or(u32::MAX);
        UPDATE_EVERY.max(Duration::from_secs(3600) / UPDATES_AN_HOUR * builds)
    }
    /// Takes note of a phase of a build. Passed over where it does not work: the completion says everything.
    pub async fn progress(&self, build: &str, phase: &str, started: bool) {
        // A commit status has room for a thousand changes in all, and shows no time.
        let Some(Target::Run(id)) = self.targets.get(build) else { return };
        let phase = crate::report::markdown::inline(phase);
        let mut body = json!({
            "status": "in_progress",
            "output": {"title": phase, "summary": format!("**Now:** {phase}")},
        });
        if started {
            body["started_at"] = json!(now());
        }
        // A limit is not waited for.
        let _ = self.client.patient(Duration::ZERO).patch(&format!("check-runs/{id}"), &body).await;
    }
    /// Completes the check of a build.
    ///
    /// # Errors
    /// What GitHub said.
    pub async fn complete(&self, build: &str, completion: &Completion) -> Result<()> {
        let id = match self.targets.get(build) {
            None => return Ok(()),
            Some(Target::Run(id)) => id,
            Some(Target::Status) => {
                return self.status(build, completion.conclusion.state(), &completion.title).await;
            }
        };
        let marks: Vec<Value> = completion.marks.iter().map(annotation).collect();
        let mut batches = marks.chunks(ANNOTATIONS);
        let first = batches.next().unwrap_or_default();
        let output = |annotations: &[Value]| {
            json!({
                "title": first_characters(&completion.title, 200),
                "summary": first_characters(&completion.summary, TEXT_LIMIT),
                "annotations": annotations,
            })
        };
        let body = json!({
            "status": "completed",
            "conclusion": completion.conclusion.word(),
            "completed_at": now(),
            "output": output(first),
        });
        self.client.patch(&format!("check-runs/{id}"), &body).await?;
        // Further ones are added to those that are there.
        for more in batches {
            self.client.patch(&format!("check-runs/{id}"), &json!({"output": output(more)})).await?;
        }
        Ok(())
    }
    /// Completes as cancelled what is not completed: the job has been stopped.
    ///
    /// # Errors
    /// What GitHub said to the first that failed.
    pub async fn cancel(&self, summary: &str) -> Result<()> {
        let completion = Completion {
            conclusion: Conclusion::Cancelled,
            title: "cancelled".to_owned(),
            summary: summary.to_owned(),
            marks: Vec::new(),
        };
        let mut first = Ok(());
        for (build, target) in &self.targets {
            if let Target::Run(id) = target {
                match self.client.get(&format!("check-runs/{id}")).await {
                    Ok(run) if run["status"] == "completed" => continue,
                    _ => {}
                }
            }
            first = first.and(self.complete(build, &completion).await);
        }
        first
    }
    /// What the post step needs to find them again.
    pub fn state(&self) -> Value {
        let runs: BTreeMap<_, _> =
            self.targets.iter().map(|(b, t)| (b, if let Target::Run(id) = t { *id } else { 0 })).collect();
        json!({"sha": self.head.sha, "suffix": self.head.suffix, "targets": runs})
    }
    /// The checks that a state describes. Of commit statuses it cannot be asked whether they are completed: the main step says so
    /// by an empty state.
    pub fn restore(client: Client, head: Head, state: &Value) -> Checks {
        let all = state["targets"].as_object().into_iter().flatten();
        let target = |v: &Value| v.as_u64().filter(|id| *id > 0).map_or(Target::Status, Target::Run);
        let targets = all.map(|(build, v)| (build.clone(), target(v))).collect();
        let text = |name: &str, or: &str| state[name].as_str().unwrap_or(or).to_owned();
        let head = Head { sha: text("sha", &head.sha), suffix: text("suffix", &head.suffix), ..head };
        Checks { client, head, targets }
    }
}

fn now() -> String {
    chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

fn annotation(mark: &Mark) -> Value {
    let mut end = mark.message.len().min(MESSAGE_LIMIT);
    while !mark.message.is_char_boundary(end) {
        end -= 1;
    }
    // An empty message is refused.
    let message = if end == 0 { &mark.title } else { &mark.message[..end] };
    json!({
        "path": mark.place.file,
        "start_line": mark.place.line,
        "end_line": mark.place.line,
        "start_column": mark.place.column,
        "end_column": mark.place.column,
        "annotation_level": mark.level,
        "title": first_characters(&mark.title, 255),
        "message": message,
    })
}

fn first_characters(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some(_) => text.chars().take(limit - 1).chain(['…']).collect(),
    }
}

/// What a listener hears of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Which.
    pub build: String,
    /// What it is at.
    pub phase: String,
}

/// Listens to the phases of all builds; [`follow`] carries them to GitHub.
pub struct Phases(mpsc::UnboundedSender<Phase>);

impl Phases {
    /// The listener, and what [`follow`] reads.
    pub fn new() -> (Phases, mpsc::UnboundedReceiver<Phase>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Phases(sender), receiver)
    }
}

impl Subscriber for Phases {
    fn event(&mut self, stamped: &Stamped) {
        let (build, phase) = match &stamped.event {
            Event::Started { build } => (build, "started"),
            Event::Phase { build, phase } => (build, phase.as_str()),
            _ => return,
        };
        // Nobody follows any more: fine.
        let _ = self.0.send(Phase { build: build_of(build).to_owned(), phase: phase.to_owned() });
    }
}

/// Hands on the phases of each build, at most one in `every`, and always the last one in the end; `show` is told whether it is the
/// build's first. Ends with the listener.
pub async fn follow(
    every: Duration,
    mut phases: mpsc::UnboundedReceiver<Phase>,
    mut show: impl AsyncFnMut(&str, &str, bool),
) {
    let mut last: BTreeMap<String, Instant> = BTreeMap::new();
    let mut waiting: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let due = waiting.keys().filter_map(|b| last.get(b)).min().map(|t| *t + every);
        let heard = async {
            match due {
                None => Some(phases.recv().await),
                Some(due) => tokio::time::timeout_at(due, phases.recv()).await.ok(),
            }
        };
        match heard.await {
            Some(None) => return,
            Some(Some(Phase { build, phase })) => drop(waiting.insert(build, phase)),
            None => {}
        }
        // More that was said meanwhile: the last one counts.
        while let Ok(Phase { build, phase }) = phases.try_recv() {
            waiting.insert(build, phase);
        }
        let ready: Vec<String> =
            waiting.keys().filter(|b| last.get(*b).is_none_or(|t| t.elapsed() >= every)).cloned().collect();
        for build in ready {
            let first = last.insert(build.clone(), Instant::now()).is_none();
            if let Some(phase) = waiting.remove(&build) {
                show(&build, &phase, first).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_phase_that_came_too_soon_is_shown_when_its_time_has_come() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut shown = Vec::new();
        let every = Duration::from_millis(200);
        let begin = Instant::now();
        let follow = follow(every, receiver, async |_: &str, phase: &str, first: bool| {
            shown.push((phase.to_owned(), first, begin.elapsed() >= every));
        });
        let speak = async move {
            let say = |phase: &str| drop(sender.send(Phase { build: "b".into(), phase: phase.into() }));
            say("one");
            tokio::time::sleep(Duration::from_millis(20)).await;
            say("two");
            say("three");
            tokio::time::sleep(Duration::from_millis(400)).await;
        };
        tokio::join!(follow, speak);
        assert_eq!(shown, [("one".to_owned(), true, false), ("three".to_owned(), false, true)]);
    }

    #[test]
    fn an_annotation_without_text_says_its_title() {
        let place = Place { file: "a.pkr.hcl".into(), line: 3, column: 1 };
        let mark = Mark { place, level: "failure", title: "Unsupported argument".into(), message: String::new() };
        assert_eq!(annotation(&mark)["message"], "Unsupported argument");
        let long = Mark { message: "é".repeat(70_000), title: "t".repeat(300), ..mark };
        let shown = annotation(&long);
        assert!(shown["message"].as_str().is_some_and(|m| m.len() <= MESSAGE_LIMIT));
        assert_eq!(shown["title"].as_str().map(|t| t.chars().count()), Some(255));
    }
}
