//! `action`: what the container action runs. The event decides, the inputs refine; outside of a workflow it prints what it
//! would post.

mod attest;
mod fan_out;
mod files;
mod findings;
mod post;
mod publish;
mod settings;

use crate::cli::args::{ActionArgs, MergeArgs, StateArgs};
use crate::cli::exit::Exit;
use crate::cli::local::{Local, LocalOptions};
use crate::cli::{Session, identity, plan, signals};
use crate::github::checks::{self, Checks, Phase, Phases};
use crate::github::inputs::Inputs;
use crate::github::{Client, Job, Mode, release, runner};
use crate::lint::{self, Subject};
use crate::plan::changes::Changes;
use crate::report::collect::Tails;
use crate::report::markdown::{Report, Status, code, prose};
use crate::report::plan::changes;
use crate::report::terminal;
use crate::template::plan::plan as plan_template;
use crate::template::{self, ReadData, Settings};
use futures_util::future::Either;
use image_action_engine::bounds::Bounds;
use image_action_engine::run::{self, PlannedBuild, RunContext, RunOutcome};
use image_action_engine::wait::set_poll_scale;
use image_action_engine::{CancellationToken, Error, ErrorKind, Events, Result, Secret};
use image_action_lang::{Diagnostics, SourceMap};
use settings::{Task, ToRelease, Work};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// The file that holds the report, in the working directory.
const REPORT_FILE: &str = "image-action-report.md";

/// How long reading the other commit may take: a large repository on a busy runner needs some seconds.
const COMPARING: Duration = Duration::from_secs(60);

/// What the runner knows and nobody else should: masked before the first word is said.
const SECRETS: [&str; 4] =
    ["ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_RUNTIME_TOKEN", "GITHUB_TOKEN", "INPUT_GITHUB-TOKEN"];

/// Runs the command; in the post step of the job what the main step left is removed.
pub async fn run(mut session: Session, args: &ActionArgs) -> Exit {
    for secret in SECRETS.iter().filter_map(|name| session.env.get(name)) {
        session.masker.add(secret);
    }
    if args.post {
        // Whoever built removes; wrong inputs were told of by the main step.
        if let (Ok(inputs), Ok(job)) = (inputs(&session), Job::read(&session.env)) {
            session.env = identity::lay(&session, &inputs, &job).unwrap_or_else(|_| session.env.clone());
        }
        return post::run(session).await;
    }
    match start(&mut session).await {
        Ok(exit) => exit,
        Err(e) => {
            let text = format!("{e}{}", e.hint.as_deref().map(|h| format!("\nhint: {h}")).unwrap_or_default());
            session.say(&runner::annotation("error", "image-action", None, &text));
            // Whoever looks at the output sees that there was an end.
            let _ = runner::output(&session.env, "status", Status::Failure.word());
            Exit::Failed
        }
    }
}

/// `merge`, on a command line: as the action does it.
pub async fn merge(mut session: Session, args: &MergeArgs) -> Exit {
    let parts = args.parts.display().to_string();
    session.env = session
        .env
        .with([("INPUT_COMMAND", "merge".to_owned()), ("INPUT_PARTS", parts)].map(|(k, v)| (k.to_owned(), v)));
    run(session, &ActionArgs::default()).await
}

/// The root of the repository.
fn root(session: &Session) -> PathBuf {
    session.env.get("GITHUB_WORKSPACE").map_or_else(|| session.cwd.clone(), PathBuf::from)
}

/// What the workflow says, over the repository's defaults.
fn inputs(session: &Session) -> Result<Inputs> {
    Inputs::read(&session.env)?.over_defaults(&root(session))
}

/// Where the action notes what it creates: the runner's own folder outlives this container and ends with the job.
fn state(session: &Session) -> StateArgs {
    StateArgs { state_dir: session.env.get("RUNNER_TEMP").map(|t| Path::new(t).join("image-action")) }
}

async fn start(session: &mut Session) -> Result<Exit> {
    let inputs = Inputs::read(&session.env)?;
    let job = Job::read(&session.env)?;
    // Before anything of the repository is read.
    job.decide(inputs.flag("allow-untrusted").unwrap_or(false))?;
    let work = Work::new(session, inputs.over_defaults(&root(session))?, job)?;
    session.env = if work.decision.local {
        identity::stripped(&session.env)
    } else {
        identity::lay(session, &work.inputs, &work.job)?
    };
    session.say(&format!("image-action: {}", work.decision.reason));
    if work.decision.mode == Mode::Skip {
        runner::output(&session.env, "status", "skipped")?;
        return Ok(Exit::Ok);
    }
    if let Some(dir) = work.inputs.get("working-directory") {
        session.cwd = session.cwd.join(dir);
    }
    let local = if work.decision.local && work.decision.mode != Mode::Validate && work.task == Task::Build {
        // The post step does not look for these machines in a real account.
        runner::state(&session.env, "local", "true")?;
        let (machine_readable, masker) = (session.machine_readable, session.masker.clone());
        let say = Arc::new(move |line: &str| Session::tell(machine_readable, &masker, "say", line));
        let local = Local::start(&LocalOptions::default(), &session.env, say).await?;
        session.env = local.lay_over(&session.env);
        set_poll_scale(super::build::LOCAL_POLL_SCALE);
        Some(local)
    } else {
        None
    };
    if work.decision.strange {
        session.env = session.env.clone().within(Bounds::of_a_stranger(&root(session))?);
        session.say("The template is a stranger's: it has its own files alone, and runs no program on this side.");
    }
    let exit = go(session, &work).await;
    if let Some(local) = local {
        local.stop().await;
    }
    exit
}

/// The repository's API; `None` outside of a workflow.
fn client(session: &Session, work: &Work, cancel: CancellationToken) -> Result<Option<Client>> {
    let token = work.inputs.get("github-token").or_else(|| session.env.get("GITHUB_TOKEN"));
    match (session.env.get("GITHUB_API_URL"), token) {
        (Some(url), Some(token)) if !work.job.repository.is_empty() => {
            Client::new(url, Secret::new(token), &work.job.repository, cancel).map(Some)
        }
        _ => Ok(None),
    }
}

/// One run of the action: what it was asked for, and what it has at hand.
struct Action<'a> {
    session: &'a Session,
    work: &'a Work,
    run: Arc<RunContext>,
    /// `None` outside of a workflow.
    client: Option<Client>,
    begin: Instant,
}

/// A template that was read: what it was read with, and what came of it.
type Read = (template::Options, (Option<template::Parsed>, SourceMap, Diagnostics));

/// Reads the template; the variable `environment` is set where one is declared and nothing else sets it.
fn read(session: &Session, work: &Work, settings: &Settings) -> Read {
    let mut options = work.options(&session.cwd);
    let first = template::parse(&options, settings);
    let declared = first.0.as_ref().is_some_and(|p| p.variables.contains_key("environment"));
    if !declared || options.vars.iter().any(|(n, _)| n == "environment") {
        return (options, first);
    }
    options.vars.insert(0, ("environment".to_owned(), work.environment.clone()));
    let second = template::parse(&options, settings);
    (options, second)
}

/// From the template to the reports.
async fn go(session: &Session, work: &Work) -> Result<Exit> {
    let begin = Instant::now();
    let validating = work.decision.mode == Mode::Validate || work.task != Task::Build;
    let settings = session.settings(validating, work.inputs.flag("force").unwrap_or(false), work.on_error);
    let tails = Tails::default();
    let (phases, follower) = Phases::new();
    let events = Events::start(vec![session.subscriber(false, false), Box::new(tails.clone()), Box::new(phases)]);
    let mut context = session.run_context(&settings, &state(session), events)?;
    context.skip_image = work.decision.mode == Mode::ValidationBuild && !work.full;
    let run = Arc::new(context);
    // The post step finds what is left by this file, whatever becomes of this process.
    runner::state(&session.env, "ledger", &run.ledger.path().display().to_string())?;
    let interrupted =
        signals::watch(run.clone()).map_err(|e| Error::failed(format!("cannot watch for signals: {e}")))?;
    let client = client(session, work, run.cancel.clone())?;
    let action = Action { session, work, run, client, begin };
    let exit = action.whole(&settings, follower, &tails).await;
    action.run.ledger.close();
    if interrupted.get() { Ok(Exit::Failed) } else { exit }
}

impl Action<'_> {
    async fn whole(&self, settings: &Settings, follower: UnboundedReceiver<Phase>, tails: &Tails) -> Result<Exit> {
        let (session, work) = (self.session, self.work);
        if let (Some(client), Some(tag), true) = (&self.client, &work.job.tag, work.release != ToRelease::No) {
            release::check(client, tag).await?;
        }
        self.check_attest().await?;
        if work.task == Task::Merge {
            return self.merge().await;
        }
        let (options, (parsed, sources, diags)) = read(session, work, settings);
        let mut report = self.report();
        let (builds, diags) = match parsed {
            None => (Vec::new(), diags),
            Some(parsed) => tokio::select! {
                planned = self.plan(parsed, diags, &sources, settings) => planned,
                // Nothing has been made yet. Builds are not dropped: they end by themselves, with what they have to remove.
                () = self.run.cancel.cancelled() => return Err(Error::cancelled()),
            },
        };
        report.findings = findings::of(&diags.arranged(), &sources, &work.prefix);
        findings::tell(session, &report.findings);
        if work.task == Task::Matrix && !report.invalid() {
            return self.matrix(&builds);
        }
        if !report.invalid() {
            report.changes = self.changes(&options, settings).await;
        }
        if report.invalid() || work.decision.mode == Mode::Validate || builds.is_empty() {
            self.check_template(&report).await;
            return self.finish(&report, None).await;
        }
        // A check of its own only for more than the runner marks itself.
        if report.findings.len() > findings::RUNNER_MARKS {
            self.check_template(&report).await;
        } else {
            findings::annotate(session, &report.findings);
        }
        let (outcome, checks) = self.build(builds, follower).await;
        let stopped = self.run.cancel.is_cancelled();
        session.say(&terminal::summary(&outcome, self.begin.elapsed(), stopped, &session.masker));
        report.rows = outcome.builds.iter().map(|b| tails.row(b)).collect();
        report.errors = outcome.errors.iter().map(ToString::to_string).collect();
        let left = self.run.ledger.left().len();
        if left > 0 {
            report.notes.push(format!("{left} temporary resources could not be removed; the post step tries again."));
        }
        report.elapsed = Some(self.begin.elapsed());
        if let Some(checks) = &checks {
            self.complete(checks, &report, &outcome, &sources).await;
        }
        let exit = self.finish(&report, Some(&outcome)).await?;
        Ok(if exit == Exit::Ok && left > 0 { Exit::Leftovers } else { exit })
    }

    /// What has changed against the base branch of a pull request. Where that cannot be said, a line says why: reporting never
    /// fails a job.
    async fn changes(&self, options: &template::Options, settings: &Settings) -> Vec<String> {
        let pull = self.work.job.pull_request.as_ref();
        let Some(pull) = pull.filter(|p| !p.base_sha.is_empty()) else { return Vec::new() };
        let settings = Settings { validating: true, ..settings.clone() };
        let comparing = plan::compare(self.session, options, &self.work.selection, &settings, &pull.base_sha);
        let unknown = |why: &str| {
            self.session.say(&format!(
                "What changes against {} is not known: {}",
                self.session.clean(&pull.base_ref),
                self.session.clean(why)
            ));
            vec![format!("ℹ️ What changes against {} is not known: {}\n", code(&pull.base_ref), prose(why))]
        };
        match tokio::time::timeout(COMPARING, comparing).await {
            Ok(Ok(changes)) => {
                let changes = Changes { against: pull.base_ref.clone(), ..changes };
                changes::markdown(&plan::masked(self.session, &changes))
            }
            Ok(Err(e)) if e.kind == ErrorKind::NotFound => unknown(
                "the checkout does not have the commit to compare with. Give `actions/checkout` the input `fetch-depth: 0`.",
            ),
            Ok(Err(e)) => unknown(&e.summary),
            Err(_) => unknown("reading the other commit took too long."),
        }
    }

    /// What a report says before anything is known.
    fn report(&self) -> Report {
        let (work, job) = (self.work, &self.work.job);
        let mut facts = vec![format!("environment {}", code(&work.environment))];
        if work.decision.mode == Mode::ValidationBuild {
            facts.push(if work.full { "images are removed again" } else { "no image is made" }.to_owned());
        }
        Report {
            what: work.what(),
            facts,
            validated_only: work.decision.mode == Mode::Validate,
            makes_images: work.makes_images(),
            local: work.decision.local,
            fail_on: Some(work.fail_on),
            launch: work.decision.mode == Mode::Build,
            run_url: if job.repository.is_empty() { String::new() } else { job.run_url.clone() },
            run: job.run_name(),
            files_url: job.files_url(),
            sha: job.sha.clone(),
            at: Some(self.session.started),
            ..Report::default()
        }
    }

    /// From blocks to builds, with everything that is wrong on the way.
    async fn plan(
        &self,
        parsed: template::Parsed,
        mut diags: Diagnostics,
        sources: &SourceMap,
        settings: &Settings,
    ) -> (Vec<PlannedBuild>, Diagnostics) {
        let reading = if settings.validating { ReadData::Local(&self.run) } else { ReadData::All(&self.run) };
        let (template, found) = parsed.initialize(reading, settings).await;
        diags.extend(found);
        let planned = plan_template(&template, &self.work.selection, settings);
        diags.extend(planned.diagnostics);
        diags.extend(lint::check(&Subject { template: &template, builds: &planned.parts, sources, settings }));
        self.run.events.flush().await;
        (planned.builds, diags)
    }

    /// Runs the builds, with a check for each where there is a commit to put it on.
    async fn build(
        &self,
        builds: Vec<PlannedBuild>,
        follower: UnboundedReceiver<Phase>,
    ) -> (RunOutcome, Option<Arc<Checks>>) {
        let parallel = self.work.inputs.number("parallel-builds").unwrap_or(0);
        let names: Vec<String> = builds.iter().map(|b| b.name.clone()).collect();
        let checks = self.open_checks(&names).await;
        let running = run::run(self.run.clone(), builds, parallel);
        let Some(checks) = checks else { return (running.await, None) };
        // A cancelled job has ten seconds: the checks end at once, while the clouds are told to remove what there is.
        let cancelled = async {
            self.run.cancel.cancelled().await;
            let text = "The job was cancelled. What it has made in the clouds is being removed.";
            // The post step looks again.
            let _ = checks.cancel(text).await;
        };
        let show = async |build: &str, phase: &str, first: bool| {
            if !self.run.cancel.is_cancelled() {
                checks.progress(build, phase, first).await;
            }
        };
        // Neither ends: the listener's other end lives as long as the run.
        let beside = async { tokio::join!(checks::follow(checks.pace(), follower, show), cancelled) };
        let (running, beside) = (std::pin::pin!(running), std::pin::pin!(beside));
        let outcome = match futures_util::future::select(running, beside).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right((_, running)) => running.await,
        };
        (outcome, Some(checks.clone()))
    }
}
