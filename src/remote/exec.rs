//! One command over one channel: its input, its output, its end, and its end before its time.

use crate::dial::{Client, Live};
use crate::quote;
use bytes::Bytes;
use image_action_engine::{Error, ErrorKind, ExitStatus, Output, Result, Stream};
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelWriteHalf, Pty, Sig};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a server may take to open a channel on a connection that looks alive.
const OPEN_LIMIT: Duration = Duration::from_secs(15);

/// How long a server that has no session to spare is asked again, and the pause between.
const SESSION_PATIENCE: Duration = Duration::from_secs(10);
const SESSION_PAUSE: Duration = Duration::from_millis(100);

/// How long a command's processes have to end after SIGTERM, in tenths of a second; then SIGKILL follows.
const TERM_TENTHS: u32 = 20;

/// How long ending a command may take in all. A cancelled run must not wait longer: its machine is about to be deleted.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// How long a command that is ended at once has to tell its process id.
const PID_LIMIT: Duration = Duration::from_secs(2);

/// How much output is held back while the line with the process id is waited for, in bytes: what a login shell's start-up
/// files may print before.
const NOISE_LIMIT: usize = 64 << 10;

/// What a command reads.
pub(crate) enum Input<'a> {
    /// Nothing.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// Chunks as they come; an error of theirs ends the command.
    Chunks(mpsc::Receiver<std::io::Result<Bytes>>),
}

/// One command.
pub(crate) struct Command<'a> {
    /// As the login shell gets it.
    pub(crate) text: &'a str,
    /// What it reads.
    pub(crate) input: Input<'a>,
    /// Whether it has a terminal.
    pub(crate) pty: bool,
    /// Whether the login shell is one of Unix, so that it can tell its process id.
    pub(crate) posix: bool,
    /// Whether the machine may use our ssh-agent.
    pub(crate) agent: bool,
}

/// Why a command did not run to its end.
pub(crate) enum Stopped {
    /// It was not started: the connection is gone.
    Lost(String),
    /// The server opens no channel, or refuses the command; or our own input failed.
    Refused(Error),
    /// The token was cancelled; the command was ended.
    Cancelled,
}

impl From<Stopped> for Error {
    fn from(stopped: Stopped) -> Error {
        match stopped {
            Stopped::Lost(why) => {
                Error::new(ErrorKind::Unreachable, format!("the connection to the machine is lost: {why}"))
            }
            Stopped::Refused(e) => e,
            Stopped::Cancelled => Error::cancelled(),
        }
    }
}

/// A channel for one command, and the connection it belongs to.
pub(crate) struct Opened {
    pub(crate) live: Arc<Live>,
    pub(crate) channel: Channel<Msg>,
}

/// Opens a channel for a session.
pub(crate) async fn open(live: Arc<Live>) -> std::result::Result<Opened, Stopped> {
    let begin = tokio::time::Instant::now();
    loop {
        match tokio::time::timeout(OPEN_LIMIT, live.handle.channel_open_session()).await {
            Err(_) => return Err(Stopped::Lost(format!("no answer within {} s", OPEN_LIMIT.as_secs()))),
            Ok(Ok(channel)) => return Ok(Opened { live, channel }),
            Ok(Err(russh::Error::ChannelOpenFailure(why))) => {
                // A server counts a session that has just ended for a moment more.
                if begin.elapsed() < SESSION_PATIENCE {
                    tokio::time::sleep(SESSION_PAUSE).await;
                    continue;
                }
                return Err(Stopped::Refused(
                    Error::failed(format!("the machine opens no further session: {why:?}"))
                        .hint("sshd limits sessions by MaxSessions; something holds its sessions open"),
                ));
            }
            Ok(Err(e)) => return Err(Stopped::Lost(e.to_string())),
        }
    }
}

/// Runs a command to its end.
pub(crate) async fn run(
    opened: Opened,
    mut command: Command<'_>,
    output: &mut dyn Output,
    cancel: &CancellationToken,
) -> std::result::Result<ExitStatus, Stopped> {
    let Opened { live, channel } = opened;
    let lost = |e: russh::Error| Stopped::Lost(e.to_string());
    if command.pty {
        let modes = [(Pty::ECHO, 0), (Pty::TTY_OP_ISPEED, 14400), (Pty::TTY_OP_OSPEED, 14400)];
        channel.request_pty(true, "xterm", 80, 40, 0, 0, &modes).await.map_err(lost)?;
    }
    if command.agent {
        channel.agent_forward(false).await.map_err(lost)?;
    }
    let mark = format!("image-action-{:032x}:", rand::random::<u128>());
    // A newline ends the command, as Packer sends it.
    let payload =
        if command.posix { format!("echo {mark}$$\n{}\n", command.text) } else { format!("{}\n", command.text) };
    channel.exec(true, payload).await.map_err(lost)?;
    let (mut read, write) = channel.split();
    let mut filter = Filter { mark, held: Vec::new(), pid: None, done: !command.posix };
    let mut end = End { status: None, refused: false };
    let input = std::mem::replace(&mut command.input, Input::None);
    let feeding = feed(&write, input);
    tokio::pin!(feeding);
    let mut fed = false;
    let cancelled = loop {
        tokio::select! {
            () = cancel.cancelled() => break true,
            result = &mut feeding, if !fed => {
                fed = true;
                if let Err(e) = result {
                    // Without an end of input the command must not take what it got for the whole.
                    let _ = write.close().await;
                    return Err(Stopped::Refused(e));
                }
            }
            message = read.wait() => match message {
                Some(message) => if end.take(message, &mut filter, output) { break false },
                None => break false,
            },
        }
    };
    if cancelled {
        // The process id is the first thing that a command tells; it may be on its way.
        let _ = tokio::time::timeout(PID_LIMIT, async {
            while !filter.done {
                let Some(message) = read.wait().await else { break };
                if end.take(message, &mut filter, output) {
                    break;
                }
            }
        })
        .await;
        let ending = async {
            match filter.pid {
                Some(pid) => kill(&live.handle, pid).await,
                None => drop(write.signal(Sig::TERM).await),
            }
        };
        // What still comes must be read, or the connection stops for the other channels too.
        let draining = async { while read.wait().await.is_some() {} };
        let _ = tokio::time::timeout(KILL_LIMIT, async {
            tokio::select! { () = ending => {}, () = draining => {} }
        })
        .await;
        let _ = write.close().await;
        return Err(Stopped::Cancelled);
    }
    filter.flush(output);
    if end.refused {
        return Err(Stopped::Refused(Error::failed("the machine refuses to run commands in this session")));
    }
    Ok(end.status.map_or(ExitStatus::Disconnected, ExitStatus::Code))
}

/// Sends a command's input, then its end.
async fn feed(write: &ChannelWriteHalf<Msg>, input: Input<'_>) -> Result<()> {
    // A closed channel shows itself in what is read from it.
    match input {
        Input::None => {}
        Input::Bytes(bytes) => {
            if write.data_bytes(Bytes::copy_from_slice(bytes)).await.is_err() {
                return Ok(());
            }
        }
        Input::Chunks(mut chunks) => {
            while let Some(chunk) = chunks.recv().await {
                let chunk = chunk.map_err(|e| Error::failed(format!("what was to be sent could not be read: {e}")))?;
                if write.data_bytes(chunk).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    let _ = write.eof().await;
    Ok(())
}

/// How a command ended, as far as it is known.
struct End {
    status: Option<u32>,
    refused: bool,
}

impl End {
    /// Takes one message; whether it was the last one.
    fn take(&mut self, message: ChannelMsg, filter: &mut Filter, output: &mut dyn Output) -> bool {
        match message {
            ChannelMsg::Data { data } => filter.push(&data, output),
            ChannelMsg::ExtendedData { data, ext: 1 } => output.write(Stream::Stderr, &data),
            ChannelMsg::ExitStatus { exit_status } => self.status = Some(exit_status),
            ChannelMsg::ExitSignal { signal_name, .. } => self.status = Some(128 + number(&signal_name)),
            ChannelMsg::Failure => {
                self.refused = true;
                return true;
            }
            ChannelMsg::Close => return true,
            _ => {}
        }
        false
    }
}

/// The number of a signal; 0 for one without a number that all systems share.
fn number(signal: &Sig) -> u32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(_) => 0,
    }
}

/// Takes the line with the process id out of the output.
struct Filter {
    mark: String,
    held: Vec<u8>,
    pid: Option<u32>,
    done: bool,
}

impl Filter {
    fn push(&mut self, bytes: &[u8], output: &mut dyn Output) {
        if self.done {
            output.write(Stream::Stdout, bytes);
            return;
        }
        self.held.extend_from_slice(bytes);
        if let Some(begin) = find(&self.held, self.mark.as_bytes()) {
            let after = begin + self.mark.len();
            let Some(length) = self.held[after..].iter().position(|b| *b == b'\n') else { return };
            let digits = String::from_utf8_lossy(&self.held[after..after + length]);
            self.pid = digits.trim().parse().ok().filter(|pid| *pid > 1);
            self.held.drain(begin..=after + length);
            self.flush(output);
        } else if self.held.len() > NOISE_LIMIT {
            self.flush(output);
        }
    }

    /// Lets everything go that is held back; nothing is held back any more.
    fn flush(&mut self, output: &mut dyn Output) {
        self.done = true;
        if !self.held.is_empty() {
            output.write(Stream::Stdout, &std::mem::take(&mut self.held));
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|w| w == what)
}

/// Ends a command's processes: everything in its session, and everything that descends from it. What belongs to another user
/// (a command under sudo) is ended through `sudo -n`, where that is allowed. A daemon that left the session and has init for
/// a parent is no longer the command's and stays.
const KILL: &str = r#"
list() {
  live=
  all=$(sed -n 's/^\([0-9]*\) (.*) [^ZX] \([0-9]*\) [0-9]* \([0-9]*\) .*/\1:\2:\3/p' /proc/[0-9]*/stat 2>/dev/null)
  grown=1
  while [ "$grown" = 1 ]; do
    grown=0
    for entry in $all; do
      pid=${entry%%:*} rest=${entry#*:}
      case "$live " in *" $pid "*) continue ;; esac
      case "$found" in
        *" $pid "* | *" ${rest%%:*} "* | *" ${rest#*:} "*) found="$found$pid ${rest#*:} " live="$live $pid" grown=1 ;;
      esac
    done
  done
}
signal() {
  kill -"$1" $live 2>/dev/null || sudo -n kill -"$1" $live 2>/dev/null
}
if [ ! -d /proc/self ]; then kill -TERM -- -$root 2>/dev/null; sleep 1; kill -KILL -- -$root 2>/dev/null; exit; fi
# Kept from one look to the next: who loses its parent is still known.
found=" $root "
list
[ -n "$live" ] || exit 0
signal TERM
tenths=0
while [ "$tenths" -lt "$limit" ]; do
  sleep 0.1 2>/dev/null || sleep 1
  list
  [ -n "$live" ] || exit 0
  tenths=$((tenths + 1))
done
signal KILL
"#;

/// A command that ends processes of the machine and everything below them: with SIGTERM, then with SIGKILL. `find` is what
/// the shell makes process ids of (`$(…)`, or the ids themselves).
pub fn ending(find: &str) -> String {
    quote::sh(&format!("root=\"{find}\" limit={TERM_TENTHS}\nroot=$(echo $root)\n{KILL}"))
}

/// Ends the processes of the command whose shell has this process id.
async fn kill(handle: &Handle<Client>, pid: u32) {
    let script = ending(&pid.to_string());
    // Best effort: the machine may be gone already.
    let Ok(mut channel) = handle.channel_open_session().await else { return };
    if channel.exec(true, script).await.is_ok() {
        let _ = channel.eof().await;
        while let Some(message) = channel.wait().await {
            if matches!(message, ChannelMsg::Close | ChannelMsg::Failure) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image_action_engine::component::Capture;

    #[test]
    fn the_line_with_the_process_id_is_taken_out_wherever_it_is_cut() {
        let text = b"Welcome!\nimage-action-0:123\r\nout\nimage-action-0:9\n";
        for cut in 0..text.len() {
            let mut filter = Filter { mark: "image-action-0:".into(), held: Vec::new(), pid: None, done: false };
            let mut capture = Capture::default();
            filter.push(&text[..cut], &mut capture);
            filter.push(&text[cut..], &mut capture);
            filter.flush(&mut capture);
            assert_eq!(filter.pid, Some(123), "{cut}");
            assert_eq!(capture.stdout, b"Welcome!\nout\nimage-action-0:9\n", "{cut}");
        }
    }
}
