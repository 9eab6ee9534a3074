//! What the parts of a build are: builders make a machine and an image of it, communicators reach into the machine,
//! provisioners change it, post-processors take the image further, data sources look things up beforehand.

use crate::env::Env;
use crate::error::{Error, Result};
use crate::event::{Event, Events};
use crate::ledger::Ledger;
use crate::outline::{Grant, Outline, Question};
use crate::run::RunContext;
use crate::secret::Secret;
use async_trait::async_trait;
use image_action_lang::{Type, Value};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a build knows of its machine, by the names that templates use (`build.ID`, `build.Host`, `build.SourceAMI`, …).
pub type Facts = BTreeMap<String, Value>;

/// What one build is given: who it is, and everything it may use.
#[derive(Clone)]
pub struct BuildContext {
    /// What all builds of the run share.
    pub run: Arc<RunContext>,
    /// The whole name, `[BUILD.]TYPE.NAME`: what is shown, and what `-only` matches.
    pub name: String,
    /// The `name` of the build block, or empty.
    pub build_name: String,
    /// The type of the source (`amazon-ebs`).
    pub source_type: String,
    /// The name of the source block (what `{{ build_name }}` and the manifest show).
    pub source_name: String,
    /// The name in this build where it was given another one, else the source's.
    pub local_name: String,
    /// Its place among the builds of the run, from 0.
    pub position: usize,
    /// Ends this build; a child of the run's own token.
    pub cancel: CancellationToken,
    /// The steps between the machine's start and its image.
    pub steps: Arc<dyn ProvisionSteps>,
}

/// The provisioners of one build, as a builder sees them: run once, when the machine can be reached.
#[async_trait]
pub trait ProvisionSteps: Send + Sync {
    /// Runs every provisioner in order (and the error-cleanup one where a step fails).
    ///
    /// # Errors
    /// The first failure that no `continue_on_error` swallowed.
    async fn provision(&self, cx: &BuildContext, communicator: Arc<dyn Communicator>, facts: &Facts) -> Result<()>;
}

impl BuildContext {
    /// The same build, speaking as one of its post-processors (`NAME (TYPE)`); [`crate::event::build_of`] undoes it.
    #[must_use]
    pub fn speaking_as(&self, kind: &str) -> BuildContext {
        BuildContext { name: format!("{} ({kind})", self.name), ..self.clone() }
    }
    /// A step of the build, for people (`==> NAME: text`).
    pub fn say(&self, text: impl Into<String>) {
        self.events().send(Event::Say { build: self.name.clone(), text: text.into() });
    }
    /// Something less than a step (`    NAME: text`).
    pub fn message(&self, text: impl Into<String>) {
        self.events().send(Event::Message { build: self.name.clone(), text: text.into() });
    }
    /// Something that went wrong (`==> NAME: text`, in red).
    pub fn error(&self, text: impl Into<String>) {
        self.events().send(Event::Error { build: self.name.clone(), text: text.into() });
    }
    /// Something that is suspicious and does not stop the build.
    pub fn warn(&self, text: impl Into<String>) {
        self.events().send(Event::Warning { build: Some(self.name.clone()), text: text.into() });
    }
    /// What the build is at now: the one line a check run shows (`waiting for the instance`).
    pub fn phase(&self, phase: impl Into<String>) {
        self.events().send(Event::Phase { build: self.name.clone(), phase: phase.into() });
    }
    /// Where events go.
    pub fn events(&self) -> &Events {
        &self.run.events
    }
    /// What was created and must go again.
    pub fn ledger(&self) -> &Ledger {
        &self.run.ledger
    }
    /// The functions of Go templates that are rendered while the build runs.
    pub fn functions(&self) -> image_action_lang::gotemplate::Functions {
        crate::prepare::go_functions(self.run.started, &self.run.cwd, Some((&self.source_name, &self.source_type)))
    }
    /// The environment of the run.
    pub fn env(&self) -> &Env {
        &self.run.env
    }
    /// `Err` once the build is cancelled; for the places between two calls.
    ///
    /// # Errors
    /// [`Error::cancelled`].
    pub fn check_cancel(&self) -> Result<()> {
        if self.cancel.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }
}

/// Makes an image.
#[async_trait]
pub trait Builder: Send + Sync {
    /// The names that `build.NAME` may use besides the common ones, known before anything runs.
    fn fact_names(&self) -> &'static [&'static str] {
        &[]
    }
    /// What [`Builder::run`] would do. It asks nobody: what only the cloud knows is a condition of a step.
    fn outline(&self, asked: &Question<'_>) -> Outline;
    /// Starts a machine, has it provisioned (`cx.steps`), makes the image, removes whatever was temporary; on failure and on
    /// cancel too, as `on_error` of the run says.
    ///
    /// `None` where the template asks for no image (`skip_create_ami`, …).
    ///
    /// # Errors
    /// The first failure; what could not be removed is told as [`Event::Leftover`].
    async fn run(&self, cx: &BuildContext) -> Result<Option<Artifact>>;
}

/// What a builder (or a post-processor) made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Artifact {
    /// Who made it, in Packer's names (`mitchellh.amazonebs`, `Azure.ResourceManagement.VMImage`,
    /// `packer.googlecompute`, …): goes into the manifest as it is.
    pub builder_id: String,
    /// Its id as the manifest has it (`us-west-2:ami-1,us-east-1:ami-2`).
    pub id: String,
    /// One paragraph for people.
    pub description: String,
    /// Local files it consists of.
    pub files: Vec<PathBuf>,
    /// The images by place, for tables and step outputs (`us-west-2` → `ami-1`).
    pub images: Vec<Image>,
    /// What post-processors may use of the builder's knowledge, as text (`build.NAME`).
    #[serde(skip)]
    pub facts: Facts,
    /// What removes it again, where a post-processor does not keep it: the ledger keys of its resources.
    pub resources: Vec<String>,
}

/// One image in one place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `aws`, `azure` or `gcp`.
    pub provider: String,
    /// Region, location, or storage location.
    pub region: String,
    /// The id or the whole resource path.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// Where a command's output comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes a command's output, as it comes, in chunks of any size. It is untrusted.
pub trait Output: Send {
    /// The next bytes of one stream.
    fn write(&mut self, stream: Stream, bytes: &[u8]);
}

/// Forgets everything.
pub struct Discard;

impl Output for Discard {
    fn write(&mut self, _stream: Stream, _bytes: &[u8]) {}
}

/// Keeps everything, up to a bound.
#[derive(Default)]
pub struct Capture {
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// How much [`Capture`] keeps of each stream, in bytes: enough for any answer that is parsed.
pub const CAPTURE_LIMIT: usize = 4 << 20;

impl Output for Capture {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let kept = if stream == Stream::Stdout { &mut self.stdout } else { &mut self.stderr };
        let room = CAPTURE_LIMIT.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// With this code.
    Code(u32),
    /// Without one: the connection went away first (a reboot, say).
    Disconnected,
}

/// How the machine is reached, for programs that make their own connection (ansible).
#[derive(Clone, Debug, Default)]
pub struct Connection {
    /// `ssh`, `winrm` or `none`.
    pub kind: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// The password, where one is used.
    pub password: Secret,
    /// The private key in OpenSSH's or PEM form, where one is used.
    pub private_key: Secret,
    /// A file that holds the key already.
    pub private_key_file: Option<PathBuf>,
    /// The server's key as a `known_hosts` line without the host names, once seen.
    pub host_key: Option<String>,
    /// Whether keys of the local ssh-agent are used.
    pub agent: bool,
    /// The host that the connection goes through.
    pub bastion: Option<Box<Connection>>,
    /// Whether it goes through a proxy, which other programs would have to be told of.
    pub proxied: bool,
}

/// Reaches into the machine. A lost connection is made anew by the next call.
#[async_trait]
pub trait Communicator: Send + Sync {
    /// Runs a command to its end.
    ///
    /// # Errors
    /// Where the command could not be started or the build was cancelled; an exit code is no error. What was started is ended
    /// on cancel, children included.
    async fn exec(&self, command: &str, output: &mut dyn Output, cancel: &CancellationToken) -> Result<ExitStatus>;
    /// Writes bytes to a file with this mode; its parents are made.
    ///
    /// # Errors
    /// Where the whole content did not arrive.
    async fn upload(&self, content: &[u8], remote: &str, mode: u32, cancel: &CancellationToken) -> Result<()>;
    /// Copies a local file; its parents are made.
    ///
    /// # Errors
    /// As [`Communicator::upload`], or where the file cannot be read.
    async fn upload_file(&self, local: &Path, remote: &str, mode: u32, cancel: &CancellationToken) -> Result<()>;
    /// Copies a directory as rsync would: `local` with a slash at its end gives its contents, without one itself, into `remote`.
    ///
    /// # Errors
    /// As [`Communicator::upload_file`].
    async fn upload_dir(&self, local: &str, remote: &str, cancel: &CancellationToken) -> Result<()>;
    /// Copies a remote file to a local path.
    ///
    /// # Errors
    /// Where it cannot be read or written; no half file stays behind.
    async fn download(&self, remote: &str, local: &Path, cancel: &CancellationToken) -> Result<()>;
    /// Copies a remote directory to a local one.
    ///
    /// # Errors
    /// As [`Communicator::download`].
    async fn download_dir(&self, remote: &str, local: &Path, cancel: &CancellationToken) -> Result<()>;
    /// How the machine is reached.
    fn connection(&self) -> Connection;
    /// Whether the machine answers; makes the connection anew where it was lost.
    ///
    /// # Errors
    /// Where it does not answer now.
    async fn ping(&self, cancel: &CancellationToken) -> Result<()>;
    /// Ends the connection; the machine goes on.
    async fn close(&self) {}
}

/// Changes the machine.
#[async_trait]
pub trait Provisioner: Send + Sync {
    /// Runs once; what it started has ended when it returns, on cancel too.
    ///
    /// # Errors
    /// Where the machine is not as the template asks.
    async fn provision(
        &self,
        cx: &BuildContext,
        communicator: &dyn Communicator,
        facts: &Facts,
        cancel: &CancellationToken,
    ) -> Result<()>;
}

/// What a post-processor leaves.
pub struct PostOutcome {
    /// What the next one of the chain works on; `None` ends the chain.
    pub artifact: Option<Artifact>,
    /// Whether the artifact that it was given is kept.
    pub keep: bool,
    /// Whether `keep` holds whatever the template says.
    pub keep_forced: bool,
}

/// Takes an artifact further.
#[async_trait]
pub trait PostProcessor: Send + Sync {
    /// Runs once for each artifact.
    ///
    /// # Errors
    /// Ends this chain; the image is kept and reported.
    async fn process(&self, cx: &BuildContext, artifact: &Artifact) -> Result<PostOutcome>;
}

/// Looks something up before anything is built.
#[async_trait]
pub trait DataSource: Send + Sync {
    /// The type of what it finds: an object.
    fn output_type(&self) -> Type;
    /// What it looks for, for people; `None` where its options say it well enough.
    fn describe(&self) -> Option<String> {
        None
    }
    /// The cloud that it asks (`aws`, `azure` or `gcp`), and what has to be allowed there; `None` where it asks none.
    fn grants(&self) -> Option<(&'static str, Vec<Grant>)> {
        None
    }
    /// Looks it up.
    ///
    /// # Errors
    /// Where there is nothing, or too much, to be found.
    async fn read(&self, run: &RunContext) -> Result<Value>;
}
