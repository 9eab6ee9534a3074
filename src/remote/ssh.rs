//! The communicator that speaks ssh.

use crate::config::{SshSettings, Transfer};
use crate::connect::{LONGEST_PATIENCE, Notice};
use crate::dial::{Failure, FailureKind, Live, dial, failure};
use crate::exec::{self, Command, Input, Opened, Stopped};
use crate::{sftp, stream, tunnel};
use async_trait::async_trait;
use image_action_engine::component::Capture;
use image_action_engine::component::Discard;
use image_action_engine::{Communicator, Connection, Error, ErrorKind, ExitStatus, Output, Result};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// How long the first command on a new machine may take.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// What kind of shell logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shell {
    /// Whether it is one of Unix: `$$` is its process id, and there is `/bin/sh`.
    pub(crate) posix: bool,
    /// What can unpack a tar stream.
    pub(crate) tar: Option<Tar>,
}

/// Which tar there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tar {
    /// GNU's, with its long options.
    Gnu,
    /// Another one (busybox, bsdtar).
    Plain,
}

/// Looks at the shell of a new machine.
pub(crate) async fn probe(live: &Arc<Live>, user: &str) -> std::result::Result<Shell, Failure> {
    let script = "if tar --version 2>/dev/null | grep -q GNU; then echo tar-gnu; elif command -v tar >/dev/null 2>&1; then echo tar-plain; else echo tar-none; fi";
    let text = crate::quote::sh(script);
    let command = Command { text: &text, input: Input::None, pty: false, posix: true, agent: false };
    let mut capture = Capture::default();
    let never = CancellationToken::new();
    let run = async { exec::run(exec::open(live.clone()).await?, command, &mut capture, &never).await };
    let status = match tokio::time::timeout(PROBE_LIMIT, run).await {
        Err(_) => return Err(failure(FailureKind::Other, "the machine lets us in and runs no command")),
        Ok(Err(stopped)) => return Err(failure(FailureKind::Other, Error::from(stopped).summary)),
        Ok(Ok(status)) => status,
    };
    let said = String::from_utf8_lossy(&capture.stdout).into_owned();
    let tar = if said.contains("tar-gnu") { Some(Tar::Gnu) } else { said.contains("tar-plain").then_some(Tar::Plain) };
    if said.contains("tar-") {
        return Ok(Shell { posix: true, tar });
    }
    // Cloud images let root in only to say who should come.
    if let Some(at) = said.find("Please login as") {
        let line = said[at..].lines().next().unwrap_or_default();
        return Err(failure(FailureKind::Refused, format!("the machine turns {user} away: {line}")));
    }
    if status == ExitStatus::Disconnected {
        return Err(failure(FailureKind::Other, "the machine hung up on the first command"));
    }
    Ok(Shell { posix: false, tar: None })
}

/// Reaches a machine by ssh. One connection is kept; a lost one is made anew by the next call.
pub(crate) struct SshCommunicator {
    settings: SshSettings,
    host: String,
    port: u16,
    shell: Shell,
    notice: Notice,
    /// The machine's key when it was first seen.
    host_key: String,
    live: Mutex<Arc<Live>>,
    /// What listens on local ports.
    tunnels: std::sync::Mutex<Vec<AbortHandle>>,
}

impl Drop for SshCommunicator {
    fn drop(&mut self) {
        let tunnels = self.tunnels.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        tunnels.iter().for_each(AbortHandle::abort);
    }
}

impl SshCommunicator {
    /// Takes a connection over.
    pub(crate) async fn start(
        settings: SshSettings,
        host: &str,
        port: u16,
        live: Arc<Live>,
        shell: Shell,
        notice: Notice,
    ) -> Result<Arc<SshCommunicator>> {
        let host_key = live.host_key.clone();
        let live = Mutex::new(live);
        let wanted = settings.local_tunnels.clone();
        let tunnels = std::sync::Mutex::default();
        let new =
            Arc::new(SshCommunicator { settings, host: host.to_owned(), port, shell, notice, host_key, live, tunnels });
        for tunnel in wanted {
            let task = tunnel::listen(tunnel, Arc::downgrade(&new)).await?;
            new.tunnels.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(task);
        }
        Ok(new)
    }

    /// The connection; made anew where it is known to be gone.
    pub(crate) async fn live(&self) -> std::result::Result<Arc<Live>, Stopped> {
        let mut slot = self.live.lock().await;
        if slot.handle.is_closed() {
            *slot = self.again().await?;
        }
        Ok(slot.clone())
    }

    async fn again(&self) -> std::result::Result<Arc<Live>, Stopped> {
        let live = dial(&self.settings, &self.host, self.port, LONGEST_PATIENCE).await;
        let live = live.map_err(|f| Stopped::Lost(f.why))?;
        if live.host_key != self.host_key {
            (self.notice)(&format!("the host key of {} is another one than at the first connection", self.host));
        }
        Ok(live)
    }

    /// Gives up a connection that does not answer, unless another caller has done so already.
    async fn give_up(&self, dead: &Arc<Live>) -> std::result::Result<Arc<Live>, Stopped> {
        let mut slot = self.live.lock().await;
        if Arc::ptr_eq(&slot, dead) {
            *slot = self.again().await?;
        }
        Ok(slot.clone())
    }

    /// Opens a channel; on a new connection where it shows that the old one is gone.
    pub(crate) async fn open(&self, cancel: &CancellationToken) -> Result<Opened> {
        let work = async {
            let live = self.live().await?;
            match exec::open(live.clone()).await {
                Err(Stopped::Lost(_)) => {}
                other => return Ok(other?),
            }
            let live = self.give_up(&live).await?;
            Ok(exec::open(live).await?)
        };
        tokio::select! {
            () = cancel.cancelled() => Err(Error::cancelled()),
            opened = work => opened,
        }
    }

    /// Runs one of our own commands, without a terminal.
    pub(crate) async fn helper(
        &self,
        text: &str,
        input: Input<'_>,
        output: &mut dyn Output,
        cancel: &CancellationToken,
    ) -> Result<ExitStatus> {
        let command = Command { text, input, pty: false, posix: self.shell.posix, agent: false };
        Ok(exec::run(self.open(cancel).await?, command, output, cancel).await?)
    }

    pub(crate) fn shell(&self) -> Shell {
        self.shell
    }

    fn by_sftp(&self) -> bool {
        self.settings.transfer == Transfer::Sftp || !self.shell.posix
    }
}

#[async_trait]
impl Communicator for SshCommunicator {
    async fn exec(&self, text: &str, output: &mut dyn Output, cancel: &CancellationToken) -> Result<ExitStatus> {
        let agent = self.settings.forward_agent.is_some();
        let command = Command { text, input: Input::None, pty: self.settings.pty, posix: self.shell.posix, agent };
        Ok(exec::run(self.open(cancel).await?, command, output, cancel).await?)
    }

    async fn upload(&self, content: &[u8], remote: &str, mode: u32, cancel: &CancellationToken) -> Result<()> {
        if self.by_sftp() {
            return sftp::upload(self, content, remote, mode, cancel).await;
        }
        stream::upload(self, content, remote, mode, cancel).await
    }

    async fn upload_file(&self, local: &Path, remote: &str, mode: u32, cancel: &CancellationToken) -> Result<()> {
        if self.by_sftp() {
            return sftp::upload_file(self, local, remote, mode, cancel).await;
        }
        stream::upload_file(self, local, remote, mode, cancel).await
    }

    async fn upload_dir(&self, local: &str, remote: &str, cancel: &CancellationToken) -> Result<()> {
        if self.shell.tar.is_none() {
            return sftp::upload_dir(self, local, remote, cancel).await;
        }
        stream::upload_dir(self, local, remote, cancel).await
    }

    async fn download(&self, remote: &str, local: &Path, cancel: &CancellationToken) -> Result<()> {
        if self.by_sftp() {
            return sftp::download(self, remote, local, cancel).await;
        }
        stream::download(self, remote, local, cancel).await
    }

    async fn download_dir(&self, remote: &str, local: &Path, cancel: &CancellationToken) -> Result<()> {
        if self.shell.tar.is_none() {
            return sftp::download_dir(self, remote, local, cancel).await;
        }
        stream::download_dir(self, remote, local, cancel).await
    }

    fn connection(&self) -> Connection {
        let login = |host: &str, port: u16, login: &crate::Login| Connection {
            kind: "ssh".to_owned(),
            host: host.to_owned(),
            port,
            user: login.user.clone(),
            password: login.password.clone(),
            private_key: login.keys.first().map(|k| k.pem.clone()).unwrap_or_default(),
            private_key_file: login.keys.first().and_then(|k| k.file.clone()),
            host_key: None,
            agent: login.agent.is_some(),
            bastion: None,
            proxied: false,
        };
        let mut connection = login(&self.host, self.port, &self.settings.login);
        connection.host_key = Some(self.host_key.clone()).filter(|k| !k.is_empty());
        connection.bastion = self.settings.bastion.as_ref().map(|b| Box::new(login(&b.host, b.port, &b.login)));
        connection.proxied = self.settings.proxy.is_some();
        connection
    }

    async fn ping(&self, cancel: &CancellationToken) -> Result<()> {
        match self.helper("exit 0", Input::None, &mut Discard, cancel).await? {
            ExitStatus::Code(_) => Ok(()),
            ExitStatus::Disconnected => Err(Error::new(ErrorKind::Unreachable, "the machine hung up")),
        }
    }

    async fn close(&self) {
        let slot = self.live.lock().await;
        let _ = slot.handle.disconnect(russh::Disconnect::ByApplication, "", "").await;
    }
}
