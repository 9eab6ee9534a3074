//! `file`: an artifact out of a text or a local file; for chains of post-processors, and for trying a template out.

use async_trait::async_trait;
use image_action_engine::component::{Communicator, Connection, ExitStatus, Output};
use image_action_engine::config::Schema;
use image_action_engine::{
    Artifact, Block, BuildContext, Builder, CancellationToken, Config, Error, Facts, Outline, PrepareContext, Question,
    Result,
};
use image_action_lang::{Diagnostic, Diagnostics, Value};
use std::path::Path;
use std::sync::Arc;

/// Writes a local file, out of a text or as a copy of another file.
#[derive(Config)]
pub struct FileConfig {
    /// The text of the file. Left out, with `source`: the file is empty.
    content: Option<String>,
    /// The path of a file to copy, in place of `content`, relative to the working directory.
    source: Option<String>,
    /// The path of the file that is written, relative to the working directory; its directories are made.
    #[config(required)]
    target: String,
}

/// Its options.
pub fn schema() -> &'static Schema {
    FileConfig::schema()
}

/// Makes it.
///
/// # Errors
/// Where both a text and a file are given, or no target.
pub fn make(_: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn Builder>, Diagnostics> {
    let config = FileConfig::decode(body);
    let mut diags = Diagnostics::new();
    if config.content.is_some() && config.source.is_some() {
        diags.push(
            Diagnostic::error("Cannot specify source file AND content")
                .detail("The file is either a copy or made of a text.")
                .at(body.span_of("content"))
                .hint("remove content or source"),
        );
    }
    if config.target.is_empty() {
        diags.push(
            Diagnostic::error("target required").detail("The path of the file is empty.").at(body.span_of("target")),
        );
    }
    diags.or_ok(Box::new(FileBuilder(config)) as Box<dyn Builder>).map(|(builder, _)| builder)
}

struct FileBuilder(FileConfig);

/// Who made the artifact, as Packer names it.
const BUILDER_ID: &str = "packer.file";

/// Mode of a file that is written: private, as its content may be.
const MODE: u32 = 0o600;

#[async_trait]
impl Builder for FileBuilder {
    fn outline(&self, _: &Question<'_>) -> Outline {
        let source = self.0.source.as_ref().map(|s| format!("the file {s}"));
        Outline {
            source: source.unwrap_or_default(),
            makes: vec![format!("the file {}, in the place of one that is there", self.0.target)],
            ..Outline::default()
        }
    }
    async fn run(&self, cx: &BuildContext) -> Result<Option<Artifact>> {
        let target = cx.run.cwd.join(&self.0.target);
        cx.env().bounds().write(&target)?;
        let content = match &self.0.source {
            None => self.0.content.clone().unwrap_or_default().into_bytes(),
            Some(source) => {
                cx.say(format!("Copying {source} to {}", self.0.target));
                let path = cx.run.cwd.join(source);
                cx.env().bounds().read(&path)?;
                tokio::fs::read(&path).await.map_err(|e| {
                    Error::failed(format!("cannot read the source file {source}: {e}"))
                        .hint(format!("the path is relative to the working directory, {}", cx.run.cwd.display()))
                })?
            }
        };
        let failed = |e: std::io::Error| Error::failed(format!("cannot write {}: {e}", self.0.target));
        if let Some(parent) = target.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(failed)?;
        }
        write_private(&target, &content).map_err(failed)?;
        cx.say(format!("Wrote {} bytes to {}", content.len(), self.0.target));
        let facts = Facts::from([("ID".to_owned(), Value::string("File"))]);
        cx.steps.provision(cx, Arc::new(NoMachine), &facts).await?;
        Ok(Some(Artifact {
            builder_id: BUILDER_ID.to_owned(),
            id: "File".to_owned(),
            description: format!("Stored file: {}", self.0.target),
            files: vec![self.0.target.clone().into()],
            facts,
            ..Artifact::default()
        }))
    }
}

fn write_private(path: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, MODE);
    options.open(path)?.write_all(content)
}

/// What provisioners are given where there is no machine: only those that run on this side can do their work.
struct NoMachine;

fn no_machine<T>() -> Result<T> {
    Err(Error::failed("the file builder makes no machine that a provisioner could work on")
        .hint("use shell-local, or a builder that starts a machine"))
}

#[async_trait]
impl Communicator for NoMachine {
    async fn exec(&self, _: &str, _: &mut dyn Output, _: &CancellationToken) -> Result<ExitStatus> {
        no_machine()
    }
    async fn upload(&self, _: &[u8], _: &str, _: u32, _: &CancellationToken) -> Result<()> {
        no_machine()
    }
    async fn upload_file(&self, _: &Path, _: &str, _: u32, _: &CancellationToken) -> Result<()> {
        no_machine()
    }
    async fn upload_dir(&self, _: &str, _: &str, _: &CancellationToken) -> Result<()> {
        no_machine()
    }
    async fn download(&self, _: &str, _: &Path, _: &CancellationToken) -> Result<()> {
        no_machine()
    }
    async fn download_dir(&self, _: &str, _: &Path, _: &CancellationToken) -> Result<()> {
        no_machine()
    }
    fn connection(&self) -> Connection {
        Connection { kind: "none".to_owned(), ..Connection::default() }
    }
    async fn ping(&self, _: &CancellationToken) -> Result<()> {
        Ok(())
    }
}
