//! The wait for a machine to let us in.

use crate::config::SshSettings;
use crate::dial::{Failure, FailureKind, Live, dial};
use crate::ssh::{Shell, SshCommunicator, probe};
use image_action_engine::{Communicator, Error, ErrorKind, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The pause between two probes of a port that does not answer yet.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// Pauses after refused logins: cloud-init may still be about to write the key, and servers ban who comes too often. The last
/// one repeats; it is Packer's only one.
const REFUSED_PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4), Duration::from_secs(7)];

/// How long a first probe waits for the port: a machine that has just come up is found sooner by a new probe than by the
/// system's own repetitions of an old one.
const FIRST_PATIENCE: Duration = Duration::from_secs(4);

/// How long a probe may wait at most.
pub(crate) const LONGEST_PATIENCE: Duration = Duration::from_secs(15);

/// Told what happens while we wait, and later when a connection is made anew: one line each, only where it is news.
pub type Notice = Arc<dyn Fn(&str) + Send + Sync>;

/// Waits until the machine lets us in.
///
/// # Errors
/// [`ErrorKind::TimedOut`] at the deadline of the settings, with the last reason; [`ErrorKind::Credentials`] once the login
/// was refused too often; [`Error::cancelled`].
pub async fn connect(
    settings: &SshSettings,
    host: &str,
    port: u16,
    cancel: &CancellationToken,
    notice: Notice,
) -> Result<Arc<dyn Communicator>> {
    let end = settings.timeout.map(|t| Instant::now() + t);
    let mut waiting = Waiting { settings, host, port, end, refused: 0, last: None };
    let (live, shell) = waiting.until_in(cancel, &notice).await?;
    let communicator = SshCommunicator::start(settings.clone(), host, port, live, shell, notice).await?;
    Ok(communicator)
}

struct Waiting<'a> {
    settings: &'a SshSettings,
    host: &'a str,
    port: u16,
    end: Option<Instant>,
    refused: u32,
    last: Option<Failure>,
}

impl Waiting<'_> {
    async fn until_in(&mut self, cancel: &CancellationToken, notice: &Notice) -> Result<(Arc<Live>, Shell)> {
        let mut patience = FIRST_PATIENCE;
        loop {
            let attempt = async {
                let live = dial(self.settings, self.host, self.port, patience).await?;
                let shell = probe(&live, &self.settings.login.user).await?;
                Ok::<_, Failure>((live, shell))
            };
            let far = Instant::now() + Duration::from_secs(86_400 * 365);
            let failure = tokio::select! {
                () = cancel.cancelled() => return Err(Error::cancelled()),
                attempt = tokio::time::timeout_at(self.end.unwrap_or(far), attempt) => match attempt {
                    Ok(Ok(done)) => return Ok(done),
                    Ok(Err(failure)) => failure,
                    Err(_) => return Err(self.timed_out()),
                },
            };
            let pause = self.after(failure, notice)?;
            patience = (patience * 2).min(LONGEST_PATIENCE);
            if self.end.is_some_and(|end| Instant::now() + pause >= end) {
                return Err(self.timed_out());
            }
            image_action_engine::wait::pause(pause, cancel).await?;
        }
    }

    /// Counts a failure and tells it where it is news; the pause that follows.
    fn after(&mut self, failure: Failure, notice: &Notice) -> Result<Duration> {
        if self.last.as_ref() != Some(&failure) {
            notice(&failure.why);
        }
        let refused = failure.kind == FailureKind::Refused;
        // Where no time limit is set, everything that is no matter of waiting counts, or it would go on for ever.
        let waits = matches!(failure.kind, FailureKind::Closed | FailureKind::Silent | FailureKind::NoSuchHost);
        if refused || (self.end.is_none() && !waits) {
            self.refused += 1;
        }
        let kind = if refused { ErrorKind::Credentials } else { ErrorKind::Unreachable };
        let hint = self.hint(failure.kind);
        let why = failure.why.clone();
        self.last = Some(failure);
        if self.settings.handshake_attempts.is_some_and(|most| self.refused >= most) {
            let times = self.refused;
            return Err(
                Error::new(kind, format!("no ssh connection to {}: {why} ({times} attempts)", self.host)).hint(hint)
            );
        }
        let round = usize::try_from(self.refused).unwrap_or(usize::MAX).saturating_sub(1);
        Ok(if refused { REFUSED_PAUSES[round.min(REFUSED_PAUSES.len() - 1)] } else { PROBE_PAUSE })
    }

    fn timed_out(&self) -> Error {
        let limit = self.settings.timeout.map_or_else(String::new, image_action_engine::duration::show);
        let (why, kind) = match &self.last {
            Some(failure) => (failure.why.clone(), failure.kind),
            None => (format!("nothing answers at {} port {}", self.host, self.port), FailureKind::Silent),
        };
        let error = if kind == FailureKind::Refused { ErrorKind::Credentials } else { ErrorKind::TimedOut };
        Error::new(error, format!("no ssh connection to {} within {limit}: {why}", self.host)).hint(self.hint(kind))
    }

    fn hint(&self, kind: FailureKind) -> String {
        match kind {
            FailureKind::Closed => "sshd does not run there: look at the machine's console, or raise ssh_timeout if it only boots slowly".to_owned(),
            FailureKind::Silent => format!(
                "check that a firewall or security group lets port {} in and that the address can be reached from here (a private one needs ssh_bastion_host), or raise ssh_timeout",
                self.port
            ),
            FailureKind::NoSuchHost => "check ssh_host and the name server".to_owned(),
            FailureKind::NotSsh => "check ssh_port, ssh_ciphers and ssh_key_exchange_algorithms".to_owned(),
            FailureKind::Refused => "check ssh_username (images differ: ubuntu, admin, ec2-user, …) and the key or password; sshd must accept the key's type".to_owned(),
            FailureKind::Other => "look at the machine's console, or raise ssh_timeout".to_owned(),
        }
    }
}
