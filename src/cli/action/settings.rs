//! What the inputs, the repository's defaults and the event say together.

use crate::cli::Session;
use crate::github::checks::Head;
use crate::github::comment::Author;
use crate::github::inputs::Inputs;
use crate::github::{Decision, Job, Mode};
use crate::report::markdown::Level;
use crate::template::Options;
use crate::template::select::Selection;
use image_action_engine::run::OnError;
use image_action_engine::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Folder of the template, from the working directory, where nothing says otherwise.
const TEMPLATE: &str = "templates";

/// Whether the files of a run go to a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToRelease {
    /// They do not.
    No,
    /// They do, and it is published.
    Publish,
    /// They do, and it stays a draft.
    Draft,
}

/// Which part of the work this job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// What the event asks for, whole or one build of it.
    Build,
    /// Only says which jobs there are to be.
    Matrix,
    /// Joins what other jobs have left.
    Merge,
}

/// Everything that is decided before the template is read.
pub struct Work {
    /// What the workflow and the repository say.
    pub inputs: Inputs,
    /// The job.
    pub job: Job,
    /// What the event asks for, with the inputs' changes.
    pub decision: Decision,
    /// Which part of it this job does.
    pub task: Task,
    /// Whether this is one job of several: it leaves its part, and comment and release to another one.
    pub part: bool,
    /// Name of the environment.
    pub environment: String,
    /// What becomes of a failed build.
    pub on_error: OnError,
    /// Makes images and removes them again, in a pull request.
    pub full: bool,
    /// Whether files go to a release.
    pub release: ToRelease,
    /// Whether the files are signed.
    pub attest: bool,
    /// From which level on a finding fails the job.
    pub fail_on: Level,
    /// Which builds.
    pub selection: Selection,
    /// The working directory from the root of the repository, with a slash at its end, or empty.
    pub prefix: String,
}

fn invalid(summary: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, summary)
}

impl Work {
    /// Reads and decides.
    ///
    /// # Errors
    /// An input that is not right, or a pull request that must not run.
    pub fn new(session: &Session, inputs: Inputs, job: Job) -> Result<Work> {
        let mut decision = job.decide(inputs.flag("allow-untrusted").unwrap_or(false))?;
        if decision.mode != Mode::Skip {
            match inputs.get("command") {
                Some("validate") => decision.mode = Mode::Validate,
                Some("build") if decision.mode == Mode::Validate => decision.mode = Mode::Build,
                _ => {}
            }
        }
        if let Some(local) = inputs.flag("local") {
            if !local && decision.local && (job.without_secrets || job.pull_request.as_ref().is_some_and(|p| p.fork)) {
                return Err(Error::failed("this pull request has no credentials: `local: false` cannot be done")
                    .hint("leave `local` out; machines are then played by local guests"));
            }
            decision.local = local;
        }
        let environment = inputs.get("environment").unwrap_or(decision.environment).to_owned();
        // It becomes part of a path.
        if environment.contains(['/', '\\']) || environment.starts_with('.') {
            return Err(invalid(format!("the input `environment` is `{environment}`"))
                .hint("write a name as dev or prod: NAME.pkrvars.hcl beside the template is read"));
        }
        let selection = Selection::new(&inputs.list("only"), &inputs.list("except"))
            .map_err(|d| invalid(d.summary).hint(d.hint.unwrap_or_default()))?;
        let task = match inputs.get("command") {
            Some("matrix") => Task::Matrix,
            Some("merge") => Task::Merge,
            _ => Task::Build,
        };
        let part = inputs.flag("part").unwrap_or(false);
        // A part is signed when all are joined; what is no image that stays is not signed at all.
        let makes = decision.mode == Mode::Build && !decision.local && task != Task::Matrix && !part;
        Ok(Work {
            attest: makes && inputs.flag("attest") == Some(true),
            on_error: match inputs.get("on-error") {
                Some("abort") => OnError::Abort,
                Some("run-cleanup-provisioner") => OnError::RunCleanupProvisioner,
                _ => OnError::Cleanup,
            },
            full: inputs.get("validation-build") == Some("full"),
            task,
            part,
            fail_on: if inputs.get("fail-on") == Some("warning") { Level::Warning } else { Level::Error },
            release: to_release(&inputs, &job, &decision)?,
            prefix: prefix(session, &inputs),
            selection,
            environment,
            inputs,
            job,
            decision,
        })
    }
    /// Whether images are made.
    pub fn makes_images(&self) -> bool {
        self.decision.mode == Mode::Build || (self.decision.mode == Mode::ValidationBuild && self.full)
    }
    /// The folder or file of the template, from the working directory.
    pub fn template(&self) -> &str {
        self.inputs.get("template").unwrap_or(TEMPLATE)
    }
    /// The template as the inputs ask for it: the environment's variable file, then the named ones, then single values.
    pub fn options(&self, cwd: &Path) -> Options {
        let path = self.template().to_owned();
        let full = cwd.join(&path);
        let dir = if full.is_dir() { full.as_path() } else { full.parent().unwrap_or(Path::new(".")) };
        let file = dir.join(format!("{}.pkrvars.hcl", self.environment));
        let mut var_files = Vec::new();
        if file.is_file() {
            let shown = file.strip_prefix(cwd).unwrap_or(&file);
            var_files.push(shown.display().to_string());
        }
        var_files.extend(self.inputs.list("var-files"));
        Options { path, vars: self.inputs.pairs("vars"), var_files, warn_undeclared: false, sequential: false }
    }
    /// What tells this step from every other one that reports on the same commit.
    fn key(&self) -> String {
        let selection = |name| self.inputs.list(name).join(",");
        let parts = [&self.job.workflow, &self.prefix, self.template(), &self.environment];
        let text = format!("{}\n{}\n{}", parts.map(str::to_owned).join("\n"), selection("only"), selection("except"));
        hex::encode(Sha256::digest(text.as_bytes()))[..12].to_owned()
    }
    /// Where its check runs go.
    pub fn head(&self) -> Head {
        // Jobs that differ in their environment only would otherwise have check runs of one name.
        let suffix = self.inputs.get("environment").map_or_else(String::new, |e| format!(" ({e})"));
        let id = format!("{}/{}", self.job.run, self.key());
        Head { sha: self.job.sha.clone(), url: self.job.run_url.clone(), id, suffix }
    }
    /// Who writes its comment.
    pub fn author(&self) -> Author {
        let (run, attempt) = self.job.run.split_once('/').unwrap_or_default();
        let number = |text: &str| text.parse().unwrap_or_default();
        Author { key: self.key(), run: number(run), attempt: number(attempt), sha: self.job.sha.clone() }
    }
    /// What tells its part of a release's text from another job's.
    pub fn section_key(&self) -> String {
        self.key()
    }
    /// What is done, in a few words.
    pub fn what(&self) -> String {
        let kind = match self.decision.mode {
            Mode::Skip | Mode::Validate => "validation",
            Mode::ValidationBuild if self.decision.local => "validation build on local guests",
            Mode::ValidationBuild => "validation build",
            Mode::Build if self.decision.local => "build on local guests",
            Mode::Build => "build",
        };
        let of = match (&self.job.pull_request, &self.job.tag) {
            (Some(pull), _) => format!(" of pull request {}", pull.number),
            (None, Some(tag)) => format!(" of tag {tag}"),
            _ => String::new(),
        };
        format!("{kind}{of}")
    }
}

fn to_release(inputs: &Inputs, job: &Job, decision: &Decision) -> Result<ToRelease> {
    let builds = decision.mode == Mode::Build && !decision.local;
    match inputs.get("release") {
        Some("false") => Ok(ToRelease::No),
        Some(wish) if job.tag.is_none() && decision.mode == Mode::Build => {
            Err(invalid(format!("the input `release` is `{wish}`, and this job runs for no tag"))
                .hint("a release belongs to a tag: run the workflow `on: push: tags:`, or leave `release` out"))
        }
        Some("draft") if builds => Ok(ToRelease::Draft),
        Some("true") if builds => Ok(ToRelease::Publish),
        None if builds && decision.release => Ok(ToRelease::Publish),
        _ => Ok(ToRelease::No),
    }
}

/// The working directory from the root of the repository, which annotations start from.
fn prefix(session: &Session, inputs: &Inputs) -> String {
    let root = session.env.get("GITHUB_WORKSPACE").map(PathBuf::from);
    let cwd = inputs.get("working-directory").map_or_else(|| session.cwd.clone(), |dir| session.cwd.join(dir));
    let below = root.as_deref().and_then(|root| cwd.strip_prefix(root).ok().map(Path::to_owned));
    let below = below.or_else(|| inputs.get("working-directory").map(PathBuf::from)).unwrap_or_default();
    let parts: Vec<String> = below
        .components()
        .filter(|c| !matches!(c, std::path::Component::CurDir))
        .map(|c| c.as_os_str().to_string_lossy().into_owned())
        .collect();
    if parts.is_empty() { String::new() } else { format!("{}/", parts.join("/")) }
}
