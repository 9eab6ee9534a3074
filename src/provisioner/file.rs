//! `file`: files and directories to the machine, or from it.

use super::{Checks, data, render, unreadable};
use async_trait::async_trait;
use image_action_engine::config::UNKNOWN_TEXT;
use image_action_engine::{
    Block, BuildContext, CancellationToken, Communicator, Config, Error, Facts, PrepareContext, Provisioner, Result,
};
use image_action_lang::Diagnostics;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The name of a file that is made of `content` and uploaded into a directory.
const CONTENT_NAME: &str = "pkr-file-content";

/// The mode of a file that is made of `content`: private, as it may be a secret.
const CONTENT_MODE: u32 = 0o600;

/// Copies files and directories to the machine, or from it.
#[derive(Clone, Debug, Config)]
pub struct FileConfig {
    /// A path on the build's side, or on the machine where `direction` is `download`. A directory with a slash at its
    /// end stands for what is in it, one without for itself.
    source: String,
    /// Several paths, each as in `source`.
    sources: Vec<String>,
    /// The text of the file on the machine, in place of a source.
    content: String,
    /// Where the files go. With a slash at its end it is a directory, which files go into under their own names.
    #[config(required)]
    destination: String,
    /// `upload` to the machine, or `download` from it.
    #[config(default = "upload")]
    direction: String,
    /// The source is made while the build runs, so that it need not exist when the template is checked.
    generated: bool,
}

/// Makes it.
///
/// # Errors
/// A source that does not exist, source and content together, an empty destination, an unknown direction.
pub fn make(cx: &PrepareContext, body: &Block) -> std::result::Result<Box<dyn Provisioner>, Diagnostics> {
    let mut config = FileConfig::decode(body);
    let mut checks = Checks::new(cx, body);
    if !config.source.is_empty() {
        let source = config.source.clone();
        config.sources.push(source);
    }
    if !["upload", "download", UNKNOWN_TEXT].contains(&config.direction.as_str()) {
        let what = "Direction must be one of: download, upload";
        checks.push("direction", what, format!("It is \"{}\".", config.direction), "leave it out for an upload");
    }
    if !config.generated && config.direction == "upload" {
        for source in &config.sources {
            let option = if *source == config.source { "source" } else { "sources" };
            checks.exists(option, source);
        }
    }
    if !config.content.is_empty() && !config.sources.is_empty() {
        checks.push("content", "source(s) conflicts with content", "", "remove one of them");
    }
    if config.destination.is_empty() {
        checks.push("destination", "Destination must be specified", "", "set `destination`");
    }
    checks.done(Box::new(File(config)) as Box<dyn Provisioner>)
}

struct File(FileConfig);

/// The last name of a path.
fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

/// Where a file goes: into a directory under its own name, or to just this path.
fn target(destination: &str, name: &str) -> String {
    if destination.ends_with('/') { format!("{destination}{name}") } else { destination.to_owned() }
}

impl File {
    async fn upload(
        &self,
        cx: &BuildContext,
        machine: &dyn Communicator,
        source: &str,
        destination: &str,
        cancel: &CancellationToken,
    ) -> Result<()> {
        // Joined as text: a slash at the end means something.
        let local = if Path::new(source).is_absolute() {
            source.to_owned()
        } else {
            format!("{}/{source}", cx.run.cwd.display())
        };
        cx.env().bounds().read(Path::new(&local))?;
        let meta = std::fs::metadata(&local).map_err(|e| unreadable(source, &e, &cx.run.cwd))?;
        if meta.is_dir() {
            cx.say(format!("Uploading {source} to {destination}"));
            return machine.upload_dir(&local, destination, cancel).await;
        }
        let remote = target(destination, base_name(source));
        cx.say(format!("Uploading {source} to {remote}"));
        machine.upload_file(Path::new(&local), &remote, meta.permissions().mode() & 0o777, cancel).await
    }

    async fn download(
        &self,
        cx: &BuildContext,
        machine: &dyn Communicator,
        source: &str,
        destination: &str,
        cancel: &CancellationToken,
    ) -> Result<()> {
        if cx.env().bounds().strange() {
            cx.say(format!(
                "{source} is not downloaded: a template of a fork or of an untrusted event leaves no files here"
            ));
            return Ok(());
        }
        let many = source.ends_with('/') || source.contains(['*', '?', '[']);
        let shown = if many { destination.to_owned() } else { target(destination, base_name(source)) };
        let local = cx.run.cwd.join(&shown);
        cx.say(format!("Downloading {source} to {shown}"));
        let folder = if many { Some(local.as_path()) } else { local.parent() };
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(|e| {
                Error::failed(format!("the directory {} cannot be made: {e}", folder.display()))
                    .hint("choose another `destination`")
            })?;
        }
        if many {
            machine.download_dir(source, &local, cancel).await
        } else {
            machine.download(source, &local, cancel).await
        }
    }
}

#[async_trait]
impl Provisioner for File {
    async fn provision(
        &self,
        cx: &BuildContext,
        communicator: &dyn Communicator,
        facts: &Facts,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let data = data(facts);
        let destination = render(cx, "destination", &self.0.destination, &data)?;
        if !self.0.content.is_empty() {
            let remote = target(&destination, CONTENT_NAME);
            cx.say(format!("Uploading content to {remote}"));
            return communicator.upload(self.0.content.as_bytes(), &remote, CONTENT_MODE, cancel).await;
        }
        for source in &self.0.sources {
            let source = render(cx, "source", source, &data)?;
            if self.0.direction == "download" {
                self.download(cx, communicator, &source, &destination, cancel).await?;
            } else {
                self.upload(cx, communicator, &source, &destination, cancel).await?;
            }
        }
        Ok(())
    }
}
