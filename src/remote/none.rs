//! The communicator that reaches nothing.

use async_trait::async_trait;
use image_action_engine::{Communicator, Connection, Error, ErrorKind, ExitStatus, Output, Result};
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// `communicator = "none"`: commands report success without doing anything, as in Packer; files cannot travel.
pub struct NoneCommunicator;

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::Invalid, format!("{what} needs a machine, and communicator is \"none\""))
        .hint("set communicator = \"ssh\", or take the provisioner out of this build (`except`)")
}

#[async_trait]
impl Communicator for NoneCommunicator {
    async fn exec(&self, _command: &str, _output: &mut dyn Output, _cancel: &CancellationToken) -> Result<ExitStatus> {
        Ok(ExitStatus::Code(0))
    }
    async fn upload(&self, _content: &[u8], _remote: &str, _mode: u32, _cancel: &CancellationToken) -> Result<()> {
        Err(refused("an upload"))
    }
    async fn upload_file(&self, _local: &Path, _remote: &str, _mode: u32, _cancel: &CancellationToken) -> Result<()> {
        Err(refused("an upload"))
    }
    async fn upload_dir(&self, _local: &str, _remote: &str, _cancel: &CancellationToken) -> Result<()> {
        Err(refused("an upload"))
    }
    async fn download(&self, _remote: &str, _local: &Path, _cancel: &CancellationToken) -> Result<()> {
        Err(refused("a download"))
    }
    async fn download_dir(&self, _remote: &str, _local: &Path, _cancel: &CancellationToken) -> Result<()> {
        Err(refused("a download"))
    }
    fn connection(&self) -> Connection {
        Connection { kind: "none".to_owned(), ..Connection::default() }
    }
    async fn ping(&self, _cancel: &CancellationToken) -> Result<()> {
        Ok(())
    }
}
