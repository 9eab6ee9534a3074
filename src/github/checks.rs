//! One check run for each build: queued at the start, in progress with its phase, completed with what came of it.

use crate::github::{Client, runner::Place};
use image_action_engine::Result;
use image_action_engine::event::{Event, Stamped, Subscriber, build_of};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Shortest time between two updates of one check run: a token has 1000 calls an hour for the whole repository.
const UPDATE_EVERY: Duration = Duration::from_secs(60);

/// Longest summary or text of a check run, in characters (GitHub's API description).
const TEXT_LIMIT: usize = 65_535;

/// Most annotations of one request.
const ANNOTATIONS: usize = 50;

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
    fn word(self) -> &'static str {
        match self {
            Conclusion::Success => "success",
            Conclusion::Failure => "failure",
            Conclusion::Cancelled => "cancelled",
        }
    }
}

/// A mark on a line of a template.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Where.
    pub place: Place,
    /// Whether it is an error or a warning.
    pub failure: bool,
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
    /// More Markdown, or nothing.
    pub text: String,
    /// Marks on template lines.
    pub marks: Vec<Mark>,
}

/// The check runs of one job, by the name of the build.
pub struct Checks {
    client: Client,
    sha: String,
    details_url: String,
    external_id: String,
    runs: BTreeMap<String, u64>,
}

impl Checks {
    /// Makes a queued check run for each build, named `image-action / BUILD`.
    ///
    /// # Errors
    /// What GitHub said to the first that failed.
    pub async fn create(client: Client, sha: &str, run_url: &str, run: &str, builds: &[String]) -> Result<Checks> {
        let mut checks = Checks {
            client,
            sha: sha.to_owned(),
            details_url: run_url.to_owned(),
            external_id: run.to_owned(),
            runs: BTreeMap::new(),
        };
        for build in builds {
            let body = json!({
                "name": format!("image-action / {build}"),
                "head_sha": checks.sha,
                "status": "queued",
                "details_url": checks.details_url,
                "external_id": format!("{}/{build}", checks.external_id),
            });
            let made = checks.client.post("check-runs", &body).await?;
            checks.runs.insert(build.clone(), made["id"].as_u64().unwrap_or_default());
        }
        Ok(checks)
    }
    /// Takes note of a phase of a build.
    ///
    /// # Errors
    /// What GitHub said.
    async fn progress(&self, build: &str, phase: &str) -> Result<()> {
        let Some(id) = self.runs.get(build) else { return Ok(()) };
        let body = json!({
            "status": "in_progress",
            "output": {"title": phase, "summary": format!("Now: {phase}")},
        });
        self.client.patch(&format!("check-runs/{id}"), &body).await.map(drop)
    }
    /// Completes the check run of a build.
    ///
    /// # Errors
    /// What GitHub said.
    pub async fn complete(&self, build: &str, completion: &Completion) -> Result<()> {
        let Some(id) = self.runs.get(build) else { return Ok(()) };
        let marks: Vec<Value> = completion.marks.iter().map(annotation).collect();
        let mut batches = marks.chunks(ANNOTATIONS);
        let first = batches.next().unwrap_or_default();
        let output = |annotations: &[Value]| {
            json!({
                "title": completion.title,
                "summary": cut(&completion.summary),
                "text": cut(&completion.text),
                "annotations": annotations,
            })
        };
        let body = json!({"conclusion": completion.conclusion.word(), "output": output(first)});
        self.client.patch(&format!("check-runs/{id}"), &body).await?;
        for more in batches {
            self.client.patch(&format!("check-runs/{id}"), &json!({"output": output(more)})).await?;
        }
        Ok(())
    }
    /// The builds that have one.
    pub fn builds(&self) -> impl Iterator<Item = &str> {
        self.runs.keys().map(String::as_str)
    }
}

fn annotation(mark: &Mark) -> Value {
    json!({
        "path": mark.place.file,
        "start_line": mark.place.line,
        "end_line": mark.place.line,
        "start_column": mark.place.column,
        "end_column": mark.place.column,
        "annotation_level": if mark.failure { "failure" } else { "warning" },
        "title": mark.title.chars().take(255).collect::<String>(),
        "message": mark.message,
    })
}

fn cut(text: &str) -> String {
    if text.chars().count() <= TEXT_LIMIT { text.to_owned() } else { text.chars().take(TEXT_LIMIT).collect() }
}

/// Listens to the phases of all builds; [`follow`] carries them to GitHub.
pub struct Phases(mpsc::UnboundedSender<(String, String)>);

impl Phases {
    /// The listener, and what [`follow`] reads.
    pub fn new() -> (Phases, mpsc::UnboundedReceiver<(String, String)>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Phases(sender), receiver)
    }
}

impl Subscriber for Phases {
    fn event(&mut self, stamped: &Stamped) {
        if let Event::Phase { build, phase } = &stamped.event {
            // Nobody follows any more: fine.
            let _ = self.0.send((build_of(build).to_owned(), phase.clone()));
        }
    }
}

/// Carries phases to the check runs, at most one a minute and build, until the listener is gone. Failures are passed over: the
/// completion says everything.
pub async fn follow(checks: &Checks, mut phases: mpsc::UnboundedReceiver<(String, String)>) {
    let mut last: BTreeMap<String, Instant> = BTreeMap::new();
    while let Some((build, phase)) = phases.recv().await {
        let due = last.get(&build).is_none_or(|t| t.elapsed() >= UPDATE_EVERY);
        if due {
            last.insert(build.clone(), Instant::now());
            let _ = checks.progress(&build, &phase).await;
        }
    }
}
