//! The run of all builds: side by side, each with its provisioners and post-processors.

use crate::ask::{Asking, Choice};
use crate::component::{
    Artifact, BuildContext, Builder, Communicator, Facts, PostProcessor, ProvisionSteps, Provisioner,
};
use crate::env::Env;
use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::ledger::Ledger;
use async_trait::async_trait;
use futures_util::future::join_all;
use image_action_lang::Diagnostics;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What happens when a step fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// Everything temporary is removed.
    #[default]
    Cleanup,
    /// The build stops where it is; what exists stays, and is listed.
    Abort,
    /// A person is asked: clean up, abort, retry the step.
    Ask,
    /// The error-cleanup-provisioner runs, then as abort.
    RunCleanupProvisioner,
}

/// What all builds of a run share.
pub struct RunContext {
    /// Unique; every resource carries it as a tag (`image-action-run`).
    pub id: String,
    /// When the run began: `{{ timestamp }}` and `{{ isotime }}` of every build.
    pub started: SystemTime,
    /// The working directory, which relative paths of options start from.
    pub cwd: PathBuf,
    /// The environment, read once.
    pub env: Env,
    /// Where events go.
    pub events: Events,
    /// What was created and must go again.
    pub ledger: Ledger,
    /// Ends every build.
    pub cancel: CancellationToken,
    /// What happens when a step fails.
    pub on_error: OnError,
    /// Who is asked under [`OnError::Ask`].
    pub asking: Asking,
    /// Whether images of the same name are replaced.
    pub force: bool,
    /// Whether the builds end before an image is made (a validation build of a pull request).
    pub skip_image: bool,
    /// What writes files once for the whole run (manifest, checksums), by the order and name they were registered with.
    pub finishers: Mutex<BTreeMap<(u8, String), Box<dyn Finisher>>>,
}

/// Writes something once, after the last build: one writer, so that no entry is lost.
#[async_trait]
pub trait Finisher: Send + std::any::Any {
    /// Writes; the paths that it wrote, in order.
    ///
    /// # Errors
    /// Why nothing was written.
    async fn finish(self: Box<Self>, run: &RunContext, written: &[PathBuf]) -> Result<Vec<PathBuf>>;
}

impl RunContext {
    /// The value of [`crate::ledger::EXPIRES_TAG`] on everything temporary that this run makes.
    pub fn expires(&self) -> String {
        let at = self.started + crate::ledger::LIFETIME;
        at.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs()).to_string()
    }
    /// Works on the finisher of this order and name, which `make` makes where it does not stand yet.
    ///
    /// # Errors
    /// Where one of another kind has the name.
    pub fn with_finisher<T: Finisher, R>(
        &self,
        order: u8,
        name: &str,
        make: impl FnOnce() -> T,
        work: impl FnOnce(&mut T) -> R,
    ) -> Result<R> {
        let mut all = self.finishers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let finisher = all.entry((order, name.to_owned())).or_insert_with(|| Box::new(make()));
        let any: &mut dyn std::any::Any = finisher.as_mut();
        match any.downcast_mut::<T>() {
            Some(finisher) => Ok(work(finisher)),
            None => Err(Error::failed(format!("two post-processors of different kinds write {name}"))
                .hint("give one of them another `output`")),
        }
    }
}

/// Makes a component from its body, evaluated with what is known at that moment.
pub type Prepare<T> = Arc<dyn Fn(&Facts) -> std::result::Result<Box<T>, Diagnostics> + Send + Sync>;

/// A provisioner block of one build.
#[derive(Clone)]
pub struct ProvisionerStep {
    /// Its type (`shell`).
    pub kind: String,
    /// Its name, or empty.
    pub name: String,
    /// A pause before every attempt.
    pub pause_before: Duration,
    /// The bound of one attempt; none where zero.
    pub timeout: Duration,
    /// Further attempts after the first.
    pub max_retries: u32,
    /// Whether a failure is only told.
    pub continue_on_error: bool,
    /// Makes it, with what is known of the machine.
    pub prepare: Prepare<dyn Provisioner>,
}

/// A post-processor block of one build.
#[derive(Clone)]
pub struct PostProcessorStep {
    /// Its type (`manifest`).
    pub kind: String,
    /// Its name, or empty.
    pub name: String,
    /// What the template says of the artifact it is given.
    pub keep_input_artifact: Option<bool>,
    /// Makes it, with what is known of the machine.
    pub prepare: Prepare<dyn PostProcessor>,
}

/// One build, ready to run.
pub struct PlannedBuild {
    /// `[BUILD.]TYPE.NAME`
    pub name: String,
    /// The `name` of the build block, or empty.
    pub build_name: String,
    /// Type of the source.
    pub source_type: String,
    /// Name of the source block.
    pub source_name: String,
    /// Name in this build.
    pub local_name: String,
    /// Makes the image.
    pub builder: Box<dyn Builder>,
    /// In order.
    pub provisioners: Vec<ProvisionerStep>,
    /// Runs when one of them failed.
    pub error_cleanup: Option<ProvisionerStep>,
    /// Chains of post-processors, each from the builder's artifact.
    pub chains: Vec<Vec<PostProcessorStep>>,
}

/// How one build ended.
#[derive(Debug)]
pub struct BuildOutcome {
    /// Whole name.
    pub name: String,
    /// Type of the source.
    pub source_type: String,
    /// How long it took.
    pub elapsed: Duration,
    /// What it made (the builder's artifact first), or why not. An image may exist although a post-processor failed.
    pub result: Result<Vec<Artifact>>,
    /// What exists although `result` is an error.
    pub kept: Vec<Artifact>,
}

/// How the run ended.
#[derive(Debug)]
pub struct RunOutcome {
    /// In the order of the template.
    pub builds: Vec<BuildOutcome>,
    /// Failures that belong to no build (a manifest that could not be written).
    pub errors: Vec<Error>,
    /// Files that were written for the whole run, in order.
    pub files: Vec<PathBuf>,
}

impl RunOutcome {
    /// Whether everything worked.
    pub fn succeeded(&self) -> bool {
        self.errors.is_empty() && self.builds.iter().all(|b| b.result.is_ok())
    }
}

/// Runs all builds, at most `parallel` at a time (0: all).
pub async fn run(run: Arc<RunContext>, builds: Vec<PlannedBuild>, parallel: usize) -> RunOutcome {
    run.events.send(Event::Planned { builds: builds.iter().map(|b| b.name.clone()).collect() });
    let slots = Arc::new(Semaphore::new(if parallel == 0 { Semaphore::MAX_PERMITS } else { parallel }));
    let tasks = builds.into_iter().enumerate().map(|(position, build)| {
        let (run, slots) = (run.clone(), slots.clone());
        let (name, source_type) = (build.name.clone(), build.source_type.clone());
        let task = tokio::spawn(async move {
            // The semaphore is never closed.
            let _slot = slots.acquire().await;
            one(run, build, position).await
        });
        async move {
            task.await.unwrap_or_else(|e| BuildOutcome {
                name,
                source_type,
                elapsed: Duration::ZERO,
                result: Err(Error::failed(format!("a fault of this program ended the build: {e}"))),
                kept: Vec::new(),
            })
        }
    });
    let builds = join_all(tasks).await;
    let (files, errors) = finish(&run).await;
    run.events.flush().await;
    RunOutcome { builds, errors, files }
}

async fn finish(run: &RunContext) -> (Vec<PathBuf>, Vec<Error>) {
    let finishers = std::mem::take(&mut *run.finishers.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for finisher in finishers.into_values() {
        match finisher.finish(run, &files).await {
            Ok(written) => files.extend(written),
            Err(e) => errors.push(e),
        }
    }
    (files, errors)
}

async fn one(run: Arc<RunContext>, build: PlannedBuild, position: usize) -> BuildOutcome {
    let begin = Instant::now();
    run.events.send(Event::Started { build: build.name.clone() });
    let cx = BuildContext {
        cancel: run.cancel.child_token(),
        run: run.clone(),
        name: build.name.clone(),
        build_name: build.build_name.clone(),
        source_type: build.source_type.clone(),
        source_name: build.source_name.clone(),
        local_name: build.local_name.clone(),
        position,
        steps: Arc::new(Steps { provisioners: build.provisioners, error_cleanup: build.error_cleanup }),
    };
    let mut kept = Vec::new();
    let result = match cx.check_cancel() {
        Err(e) => Err(e),
        Ok(()) => match build.builder.run(&cx).await {
            Err(e) => Err(e),
            Ok(None) => Ok(Vec::new()),
            Ok(Some(artifact)) => post_process(&cx, &build.chains, artifact, &mut kept).await,
        },
    };
    let elapsed = begin.elapsed();
    run.events.send(Event::Finished { build: build.name.clone(), elapsed, outcome: result.clone() });
    BuildOutcome { name: build.name, source_type: build.source_type, elapsed, result, kept }
}

/// Runs every chain on the builder's artifact.
///
/// The image is kept when a chain fails: it was asked for, and it exists. Where all worked and no chain keeps it (its files
/// went into an archive, say), its files are removed.
async fn post_process(
    cx: &BuildContext,
    chains: &[Vec<PostProcessorStep>],
    artifact: Artifact,
    kept: &mut Vec<Artifact>,
) -> Result<Vec<Artifact>> {
    let mut results = Vec::new();
    let mut failures: Vec<Error> = Vec::new();
    let mut keep = chains.is_empty();
    for chain in chains {
        let mut kept_by_chain = false;
        match run_chain(cx, chain, &artifact, &mut kept_by_chain).await {
            Ok(more) => results.extend(more),
            Err(e) => failures.push(e),
        }
        keep |= kept_by_chain;
    }
    if keep || !failures.is_empty() || !artifact.images.is_empty() {
        results.insert(0, artifact);
    } else {
        remove_files(cx, &artifact);
    }
    if failures.is_empty() {
        return Ok(results);
    }
    *kept = results;
    let first = failures.remove(0);
    Err(failures.into_iter().fold(first, |all, e| {
        let detail = if all.detail.is_empty() { e.to_string() } else { format!("{}\n{e}", all.detail) };
        all.detail(detail)
    }))
}

/// Removes the local files of an artifact that nobody keeps.
fn remove_files(cx: &BuildContext, artifact: &Artifact) {
    for file in &artifact.files {
        match std::fs::remove_file(cx.run.cwd.join(file)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                cx.warn(format!("{} was to be removed and is still there: {e}", file.display()));
            }
            _ => {}
        }
    }
}

/// Runs one chain; what it made. `kept` is set where it keeps the artifact that it begins with.
async fn run_chain(
    cx: &BuildContext,
    chain: &[PostProcessorStep],
    artifact: &Artifact,
    kept: &mut bool,
) -> Result<Vec<Artifact>> {
    let mut made = Vec::new();
    let mut current = artifact.clone();
    for (n, step) in chain.iter().enumerate() {
        cx.check_cancel()?;
        let label = if step.name.is_empty() { &step.kind } else { &step.name };
        cx.phase(format!("post-processor {label}"));
        cx.say(format!("Running post-processor {label}"));
        let cx = &cx.speaking_as(&step.kind);
        let processor = (step.prepare)(&artifact.facts).map_err(|d| first_error(&d))?;
        let outcome = processor
            .process(cx, &current)
            .await
            .map_err(|e| e.context(format!("post-processor \"{}\"", step.kind)))?;
        let keep = outcome.keep_forced || step.keep_input_artifact.unwrap_or(outcome.keep);
        match (n, keep) {
            (0, keep) => *kept = keep,
            (_, true) => made.push(current),
            (_, false) => remove_files(cx, &current),
        }
        match outcome.artifact {
            Some(next) => current = next,
            None => return Ok(made),
        }
        if n + 1 == chain.len() && current.builder_id != artifact.builder_id {
            made.push(current.clone());
        }
    }
    Ok(made)
}

/// The first error of a list, as a failure of the run; the others follow in its detail.
pub fn first_error(diagnostics: &Diagnostics) -> Error {
    let mut errors = diagnostics.iter().filter(|d| d.severity == image_action_lang::Severity::Error);
    let Some(first) = errors.next() else { return Error::failed("a step could not be prepared") };
    let mut detail = first.detail.clone();
    for more in errors {
        detail.push('\n');
        detail.push_str(&more.to_string());
    }
    let mut error = Error::new(crate::ErrorKind::Invalid, first.summary.clone()).detail(detail).at(first.span.clone());
    error.hint.clone_from(&first.hint);
    error
}

/// The provisioners of one build.
struct Steps {
    provisioners: Vec<ProvisionerStep>,
    error_cleanup: Option<ProvisionerStep>,
}

#[async_trait]
impl ProvisionSteps for Steps {
    async fn provision(&self, cx: &BuildContext, communicator: Arc<dyn Communicator>, facts: &Facts) -> Result<()> {
        for (n, step) in self.provisioners.iter().enumerate() {
            cx.phase(format!("provisioner {} of {}: {}", n + 1, self.provisioners.len(), step.label()));
            let name = format!("provisioner {}", step.label());
            if let Err(e) = cx.step(&name, || step.run(cx, communicator.as_ref(), facts)).await {
                let wanted = cx.run.on_error == OnError::RunCleanupProvisioner
                    || cx.choose(&name, &e, false).await == Choice::CleanUp;
                if let (Some(cleanup), true, false) = (&self.error_cleanup, wanted, e.is_cancelled()) {
                    cx.say(format!("Error clean-up provisioner {}", cleanup.label()));
                    if let Err(second) = cleanup.run(cx, communicator.as_ref(), facts).await {
                        let detail = format!("{}\nthe error clean-up provisioner failed as well: {second}", e.detail);
                        return Err(e.detail(detail.trim().to_owned()));
                    }
                }
                return Err(e);
            }
        }
        Ok(())
    }
}

impl ProvisionerStep {
    fn label(&self) -> &str {
        if self.name.is_empty() { &self.kind } else { &self.name }
    }

    async fn run(&self, cx: &BuildContext, communicator: &dyn Communicator, facts: &Facts) -> Result<()> {
        let mut attempt = 0;
        loop {
            let result = self.attempt(cx, communicator, facts).await;
            let Err(e) = result else { return Ok(()) };
            if e.is_cancelled() || cx.cancel.is_cancelled() {
                return Err(e);
            }
            if attempt < self.max_retries {
                attempt += 1;
                cx.error(format!(
                    "Provisioner {} failed, attempt {} of {} follows: {e}",
                    self.label(),
                    attempt + 1,
                    self.max_retries + 1
                ));
                continue;
            }
            if self.continue_on_error {
                cx.warn(format!("provisioner {} failed and the build goes on (continue_on_error): {e}", self.label()));
                return Ok(());
            }
            return Err(e);
        }
    }

    async fn attempt(&self, cx: &BuildContext, communicator: &dyn Communicator, facts: &Facts) -> Result<()> {
        if !self.pause_before.is_zero() {
            cx.say(format!("Pausing {} before provisioner {}", crate::duration::show(self.pause_before), self.label()));
            crate::wait::pause(self.pause_before, &cx.cancel).await?;
        }
        let provisioner = (self.prepare)(facts).map_err(|d| first_error(&d))?;
        let cancel = cx.cancel.child_token();
        let work = provisioner.provision(cx, communicator, facts, &cancel);
        if self.timeout.is_zero() {
            return work.await;
        }
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => result,
            () = tokio::time::sleep(self.timeout) => {
                // Ends what was started, and waits until it has ended.
                cancel.cancel();
                let _ = work.await;
                Err(Error::new(crate::ErrorKind::TimedOut, format!("provisioner {} did not end within {}", self.label(), crate::duration::show(self.timeout)))
                    .hint("raise its `timeout`, or find out what it waits for"))
            }
        }
    }
}
