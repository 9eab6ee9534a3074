//! `action`: what the container action runs. The event decides, the inputs refine; outside of a workflow it prints what it
//! would post.

use crate::cli::args::{ActionArgs, CleanupArgs, StateArgs};
use crate::cli::exit::Exit;
use crate::cli::local::{Local, LocalOptions};
use crate::cli::{Session, cleanup, identity, signals};
use crate::github::checks::{self, Checks, Completion, Conclusion, Phases};
use crate::github::inputs::Inputs;
use crate::github::release::{self, File};
use crate::github::runner::{self, Place};
use crate::github::{Client, Decision, Job, Mode, comment};
use crate::lint::{self, Subject};
use crate::report::collect::Tails;
use crate::report::markdown::{COMMENT_LIMIT, Report, Row, Status};
use crate::report::terminal;
use crate::template::plan::plan;
use crate::template::select::Selection;
use crate::template::{self, Options, ReadData};
use image_action_engine::run::{self, OnError, PlannedBuild, RunContext, RunOutcome};
use image_action_engine::{Error, ErrorKind, Events, Result, Secret};
use image_action_lang::{Diagnostics, RenderOptions, Severity, SourceMap, render};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// The file that holds the report, in the working directory.
const REPORT_FILE: &str = "image-action-report.md";

/// Everything the inputs and the event say.
struct Work {
    inputs: Inputs,
    job: Job,
    decision: Decision,
    on_error: OnError,
    /// Makes images and removes them again, in a pull request.
    full: bool,
}

/// Runs the command; in the post step of the job what the main step left is removed.
pub async fn run(mut session: Session, args: &ActionArgs) -> Exit {
    // The runner's own folder outlives this container and ends with the job.
    let state = StateArgs { state_dir: session.env.get("RUNNER_TEMP").map(|t| Path::new(t).join("image-action")) };
    if args.post {
        // Whoever built removes; wrong inputs were told of by the main step.
        if let (Ok(inputs), Ok(job)) = (Inputs::read(&session.env), Job::read(&session.env)) {
            session.env = identity::lay(&session, &inputs, &job).unwrap_or_else(|_| session.env.clone());
        }
        return cleanup::run(session, CleanupArgs { state }).await;
    }
    match start(&mut session, &state).await {
        Ok(exit) => exit,
        Err(e) => {
            let text = format!("{e}{}", e.hint.as_deref().map(|h| format!("\nhint: {h}")).unwrap_or_default());
            session.say(&runner::annotation("error", "image-action", None, &text));
            Exit::Failed
        }
    }
}

async fn start(session: &mut Session, state: &StateArgs) -> Result<Exit> {
    let inputs = Inputs::read(&session.env)?;
    let job = Job::read(&session.env)?;
    for name in ["ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_RUNTIME_TOKEN", "GITHUB_TOKEN", "INPUT_GITHUB-TOKEN"] {
        if let Some(secret) = session.env.get(name) {
            session.masker.add(secret);
        }
    }
    session.env = identity::lay(session, &inputs, &job)?;
    let mut decision = job.decide(inputs.flag("allow-untrusted")?.unwrap_or(false))?;
    match inputs.get("command") {
        None => {}
        Some("validate") => decision.mode = Mode::Validate,
        Some("build") if decision.mode == Mode::Validate => decision.mode = Mode::Build,
        Some("build") => {}
        Some(other) => {
            return Err(Error::new(ErrorKind::Invalid, format!("the input `command` is `{other}`"))
                .hint("write `validate` or `build`, or leave it out: the event decides"));
        }
    }
    if let Some(local) = inputs.flag("local")? {
        if !local && decision.local {
            return Err(Error::failed("this pull request has no credentials: `local: false` cannot be done")
                .hint("leave `local` out; machines are then played by local guests"));
        }
        decision.local = local;
    }
    if decision.local {
        session.env = identity::stripped(&session.env);
    }
    let full = match inputs.get("validation-build") {
        None => false,
        Some("full") => true,
        Some(other) => {
            return Err(Error::new(ErrorKind::Invalid, format!("the input `validation-build` is `{other}`"))
                .hint("write `full`, or leave it out"));
        }
    };
    if let Some(dir) = inputs.get("working-directory") {
        session.cwd = session.cwd.join(dir);
    }
    let on_error = on_error(inputs.get("on-error"))?;
    let local = if decision.local && decision.mode != Mode::Validate {
        let say: crate::cli::local::Progress = Arc::new(|_| {});
        let local = Local::start(&LocalOptions::default(), &session.env, say).await?;
        session.env = local.lay_over(&session.env);
        Some(local)
    } else {
        None
    };
    let work = Work { inputs, job, decision, on_error, full };
    session.say(&format!("image-action: {}", work.decision.reason));
    let exit = go(session, &work, state).await;
    if let Some(local) = local {
        local.stop().await;
    }
    exit
}

fn on_error(text: Option<&str>) -> Result<OnError> {
    Ok(match text {
        None | Some("cleanup") => OnError::Cleanup,
        Some("abort") => OnError::Abort,
        Some("run-cleanup-provisioner") => OnError::RunCleanupProvisioner,
        Some(other) => {
            return Err(Error::new(ErrorKind::Invalid, format!("the input `on-error` is `{other}`"))
                .hint("write `cleanup`, `abort` or `run-cleanup-provisioner`"));
        }
    })
}

/// The template as the inputs ask for it: the environment's variable file, then the named ones, then single values.
fn options(session: &Session, work: &Work) -> Result<Options> {
    let path = work.inputs.get("template").unwrap_or("templates").to_owned();
    let environment = work.inputs.get("environment").unwrap_or(work.decision.environment);
    let full = session.cwd.join(&path);
    let dir = if full.is_dir() { full.as_path() } else { full.parent().unwrap_or(Path::new(".")) };
    let file = dir.join(format!("{environment}.pkrvars.hcl"));
    let mut var_files = Vec::new();
    if file.is_file() {
        let shown = file.strip_prefix(&session.cwd).unwrap_or(&file);
        var_files.push(shown.display().to_string());
    }
    var_files.extend(work.inputs.list("var-files"));
    let mut vars = Vec::new();
    for line in work.inputs.lines("vars") {
        let Some((name, value)) = line.split_once('=') else {
            return Err(Error::new(ErrorKind::Invalid, format!("the input `vars` has the line `{line}`"))
                .hint("write one NAME=VALUE a line"));
        };
        vars.push((name.trim().to_owned(), value.to_owned()));
    }
    Ok(Options { path, vars, var_files, warn_undeclared: false, sequential: false })
}

/// From the template to the reports.
async fn go(session: &Session, work: &Work, state: &StateArgs) -> Result<Exit> {
    let validating = work.decision.mode == Mode::Validate;
    let settings = session.settings(validating, work.inputs.flag("force")?.unwrap_or(false), work.on_error);
    let mut options = options(session, work)?;
    let (parsed, mut sources, mut diags) = template::parse(&options, &settings);
    let environment = work.inputs.get("environment").unwrap_or(work.decision.environment);
    let declared = parsed.as_ref().is_some_and(|p| p.variables.contains_key("environment"));
    let parsed = if declared && !options.vars.iter().any(|(n, _)| n == "environment") {
        options.vars.insert(0, ("environment".to_owned(), environment.to_owned()));
        let again = template::parse(&options, &settings);
        (sources, diags) = (again.1, again.2);
        again.0
    } else {
        parsed
    };
    let mut report = Report {
        what: what(work, environment),
        validated_only: validating,
        run_url: if work.job.repository.is_empty() { String::new() } else { work.job.run_url.clone() },
        sha: work.job.sha.clone(),
        ..Report::default()
    };
    let Some(parsed) = parsed else {
        note_diagnostics(session, &mut report, &diags, &sources);
        return finish(session, work, &report, None, None).await;
    };
    let tails = Tails::default();
    let (phases, follower) = Phases::new();
    let events = Events::start(vec![session.subscriber(false, false), Box::new(tails.clone()), Box::new(phases)]);
    let mut context = session.run_context(&settings, state, events)?;
    context.skip_image = work.decision.mode == Mode::ValidationBuild && !work.full;
    let run = Arc::new(context);
    // The post step finds what is left by this file, whatever becomes of this process.
    runner::state(&session.env, "ledger", &run.ledger.path().display().to_string())?;
    let interrupted =
        signals::watch(run.clone()).map_err(|e| Error::failed(format!("cannot watch for signals: {e}")))?;
    let reading = if validating { ReadData::Local(&run) } else { ReadData::All(&run) };
    let (template, found) = parsed.initialize(reading, &settings).await;
    diags.extend(found);
    let selection = Selection::new(&work.inputs.list("only"), &work.inputs.list("except"))
        .map_err(|d| Error::new(ErrorKind::Invalid, d.to_string()))?;
    let planned = plan(&template, &selection, &settings);
    diags.extend(planned.diagnostics);
    let subject = Subject { template: &template, builds: &planned.parts, sources: &sources, settings: &settings };
    diags.extend(lint::check(&subject));
    let builds = planned.builds;
    run.events.flush().await;
    let diags = diags.arranged();
    note_diagnostics(session, &mut report, &diags, &sources);
    if diags.has_errors() || validating || builds.is_empty() {
        run.ledger.close();
        return finish(session, work, &report, None, None).await;
    }
    let begin = Instant::now();
    let (outcome, checks) = build(session, work, &run, builds, follower).await?;
    session.say(&terminal::summary(&outcome, begin.elapsed(), interrupted.get(), &session.masker));
    report.rows = outcome.builds.iter().map(|b| tails.row(b)).collect();
    report.errors = outcome.errors.iter().map(ToString::to_string).collect();
    let left = run.ledger.left().len();
    if left > 0 {
        report.notes.push(format!("{left} temporary resources could not be removed; the post step tries again."));
    }
    run.ledger.close();
    let exit = finish(session, work, &report, checks.as_ref(), Some(&outcome)).await?;
    Ok(if interrupted.get() {
        Exit::Failed
    } else if exit == Exit::Ok && left > 0 {
        Exit::Leftovers
    } else {
        exit
    })
}

/// Runs the builds, with a check run for each where there is a pull request or a commit to put it on.
async fn build(
    session: &Session,
    work: &Work,
    run: &Arc<RunContext>,
    builds: Vec<PlannedBuild>,
    follower: tokio::sync::mpsc::UnboundedReceiver<(String, String)>,
) -> Result<(RunOutcome, Option<Checks>)> {
    let parallel = match work.inputs.get("parallel-builds").map(str::parse) {
        None => 0,
        Some(Ok(n)) => n,
        Some(Err(_)) => {
            return Err(
                Error::new(ErrorKind::Invalid, "the input `parallel-builds` is no number").hint("write 0 for all")
            );
        }
    };
    let names: Vec<String> = builds.iter().map(|b| b.name.clone()).collect();
    let checks = match client(session, work)? {
        None => None,
        Some(client) => match Checks::create(client, &work.job.sha, &work.job.run_url, &work.job.run, &names).await {
            Ok(checks) => Some(checks),
            Err(e) => {
                notice(session, "check runs", &e);
                None
            }
        },
    };
    let outcome = match &checks {
        None => run::run(run.clone(), builds, parallel).await,
        Some(checks) => tokio::select! {
            outcome = run::run(run.clone(), builds, parallel) => outcome,
            // Ends only with the events, which the run holds.
            () = checks::follow(checks, follower) => RunOutcome { builds: vec![], errors: vec![], files: vec![] },
        },
    };
    Ok((outcome, checks))
}

/// The repository's API; `None` outside of a workflow.
fn client(session: &Session, work: &Work) -> Result<Option<Client>> {
    let token = work.inputs.get("github-token").or_else(|| session.env.get("GITHUB_TOKEN"));
    match (session.env.get("GITHUB_API_URL"), token) {
        (Some(url), Some(token)) if !work.job.repository.is_empty() => {
            Client::new(url, Secret::new(token), &work.job.repository).map(Some)
        }
        _ => Ok(None),
    }
}

/// Reporting never fails the job.
fn notice(session: &Session, what: &str, e: &Error) {
    let hint = e.hint.as_deref().map(|h| format!("; {h}")).unwrap_or_default();
    session.say(&runner::annotation("notice", "image-action", None, &format!("no {what}: {}{hint}", e.summary)));
}

fn what(work: &Work, environment: &str) -> String {
    let kind = match work.decision.mode {
        Mode::Validate => "validation",
        Mode::ValidationBuild if work.decision.local => "validation build on local guests",
        Mode::ValidationBuild => "validation build",
        Mode::Build if work.decision.local => "build on local guests",
        Mode::Build => "build",
    };
    let of = match (&work.job.pull_request, &work.job.tag) {
        (Some(pull), _) => format!(" of pull request {}", pull.number),
        (None, Some(tag)) => format!(" of tag {tag}"),
        _ => String::new(),
    };
    format!("{kind}{of}, environment {environment}")
}

/// Shows what was found: as annotations on the template's lines, and in the report.
fn note_diagnostics(session: &Session, report: &mut Report, diags: &Diagnostics, sources: &SourceMap) {
    for d in diags {
        let failure = d.severity == Severity::Error;
        report.invalid |= failure;
        report.diagnostics.push(render(d, sources, RenderOptions::default()));
        let place = d.span.as_ref().and_then(|s| {
            let at = sources.position(&s.file, s.start)?;
            Some(Place { file: s.file.to_string(), line: at.line, column: at.column })
        });
        let hint = d.hint.as_deref().map(|h| format!("\nhint: {h}")).unwrap_or_default();
        let message = format!("{}{hint}", d.detail);
        session.say(&runner::annotation(
            if failure { "error" } else { "warning" },
            &d.summary,
            place.as_ref(),
            &message,
        ));
    }
}

/// Outputs, summary, check runs, comment, release.
async fn finish(
    session: &Session,
    work: &Work,
    report: &Report,
    checks: Option<&Checks>,
    outcome: Option<&RunOutcome>,
) -> Result<Exit> {
    let text = report.render(&session.masker, runner::SUMMARY_LIMIT - 1);
    let in_workflow = runner::summary(&session.env, &text)?;
    if !in_workflow {
        session.say(&format!("\nThis is what a pull request would show:\n\n{text}"));
    }
    let path = session.cwd.join(REPORT_FILE);
    std::fs::write(&path, &text).map_err(|e| Error::failed(format!("cannot write {}: {e}", path.display())))?;
    outputs(session, report, outcome)?;
    if let Some(client) = client(session, work)? {
        if let Some(checks) = checks {
            complete_checks(session, checks, report, &work.job).await;
        }
        if let Some(pull) = &work.job.pull_request {
            let body = report.render(&session.masker, COMMENT_LIMIT);
            let key = format!("{}/{}", work.job.workflow, work.inputs.get("template").unwrap_or("templates"));
            match comment::upsert(&client, pull.number, &key, &body).await {
                Ok(url) => session.say(&format!("comment: {url}")),
                Err(e) => notice(session, "comment", &e),
            }
        }
        if let (true, Some(tag), Some(outcome), Status::Success) =
            (work.decision.release, &work.job.tag, outcome, report.status())
        {
            // A release without its files is no release: this one is an error.
            let url = release::publish(&client, tag, &release_files(session, outcome)).await?;
            session.say(&format!("release: {url}"));
        }
    }
    Ok(if report.status() == Status::Success { Exit::Ok } else { Exit::Failed })
}

fn release_files(session: &Session, outcome: &RunOutcome) -> Vec<File> {
    let name = |p: &PathBuf| p.file_name().map(|n| n.to_string_lossy().into_owned());
    let written = outcome.files.iter().filter_map(|p| Some(File { path: session.cwd.join(p), name: name(p)? }));
    let report = File { path: session.cwd.join(REPORT_FILE), name: REPORT_FILE.to_owned() };
    written.chain([report]).collect()
}

fn outputs(session: &Session, report: &Report, outcome: Option<&RunOutcome>) -> Result<()> {
    let status = match report.status() {
        Status::Success => "success",
        Status::Failure => "failure",
        Status::Cancelled => "cancelled",
    };
    let env = &session.env;
    runner::output(env, "status", status)?;
    let images: Vec<_> = report
        .rows
        .iter()
        .flat_map(|r| {
            r.images.iter().map(
                |i| json!({"build": r.build, "provider": i.provider, "region": i.region, "id": i.id, "name": i.name}),
            )
        })
        .collect();
    runner::output(env, "images", &json!(images).to_string())?;
    for source_type in ["amazon-ebs", "azure-arm", "googlecompute"] {
        let first = report.rows.iter().find(|r| r.source_type == source_type).and_then(|r| r.images.first());
        if let Some(image) = first {
            runner::output(env, &format!("{source_type}-image"), &image.id)?;
        }
    }
    let written = |ending: &str| outcome.and_then(|o| o.files.iter().find(|f| f.to_string_lossy().ends_with(ending)));
    for (name, ending) in [("manifest", "manifest.json"), ("checksums", "checksums.txt")] {
        if let Some(path) = written(ending) {
            runner::output(env, name, &path.display().to_string())?;
        }
    }
    runner::output(env, "report", REPORT_FILE).map(drop)
}

async fn complete_checks(session: &Session, checks: &Checks, report: &Report, job: &Job) {
    for row in &report.rows {
        let alone = Report { rows: vec![row.clone()], what: report.what.clone(), ..Report::default() };
        let completion = Completion {
            conclusion: match row.status {
                Status::Success => Conclusion::Success,
                Status::Failure => Conclusion::Failure,
                Status::Cancelled => Conclusion::Cancelled,
            },
            title: title(row),
            summary: alone.render(&session.masker, COMMENT_LIMIT),
            text: String::new(),
            marks: Vec::new(),
        };
        if let Err(e) = checks.complete(&row.build, &completion).await {
            notice(session, &format!("completed check run for {} on {}", row.build, job.sha), &e);
        }
    }
}

fn title(row: &Row) -> String {
    match (row.status, row.images.len()) {
        (Status::Success, 0) => "provisioned; no image was asked for".to_owned(),
        (Status::Success, 1) => row.images[0].id.clone(),
        (Status::Success, n) => format!("{} and {} more", row.images[0].id, n - 1),
        (Status::Cancelled, _) => "cancelled".to_owned(),
        (Status::Failure, _) => {
            let message = row.failure.as_ref().map(|f| f.message.lines().next().unwrap_or_default().to_owned());
            message.unwrap_or_else(|| "failed".to_owned())
        }
    }
}
