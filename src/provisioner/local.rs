//! Programs that run on our side, beside the machine: with the environment of the run, and ended with everything they started.

use image_action_engine::component::Output;
use image_action_engine::{CancellationToken, Env, Error, ErrorKind, Result, Stream};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};

/// How long a program has to end after SIGTERM; then SIGKILL follows.
const TERM_GRACE: Duration = Duration::from_secs(3);

/// How much is read of a program's output at once, in bytes.
const CHUNK: usize = 32 << 10;

/// What to run.
pub(super) struct Program<'a> {
    /// Its path.
    pub(super) program: &'a Path,
    /// Its arguments.
    pub(super) arguments: &'a [String],
    /// Its whole environment; of two with one name the later one counts.
    pub(super) env: Vec<(String, String)>,
    /// Where it starts.
    pub(super) cwd: &'a Path,
    /// Tells its processes from others.
    pub(super) mark: &'a Mark,
}

/// A variable in the environment of a program and of all that it starts, by which they are found again: tools such as ansible
/// start sessions of their own, which no signal to a process group reaches.
pub(super) struct Mark(String);

/// The variable's name.
const MARK: &str = "IMAGE_ACTION_PROCESS";

impl Mark {
    pub(super) fn new() -> Mark {
        Mark(format!("{:032x}", rand::random::<u128>()))
    }

    /// Every process that carries it. Empty where the system does not show environments.
    fn processes(&self) -> Vec<Pid> {
        let wanted = format!("{MARK}={}", self.0);
        let Ok(all) = std::fs::read_dir("/proc") else { return Vec::new() };
        let carries = |pid: i32| {
            let env = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            env.split(|b| *b == 0).any(|variable| variable == wanted.as_bytes())
        };
        let pids = all.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| carries(*pid)).map(Pid::from_raw).collect()
    }

    /// Ends every process that carries it, at once.
    pub(super) fn end(&self) {
        // Twice: what was about to start another one is gone by then.
        for _ in 0..2 {
            for pid in self.processes() {
                // It may have ended by itself.
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
    }
}

/// How it ended: its exit code, -1 where a signal ended it (as in Packer).
pub(super) type Code = i64;

/// A program by its name: a path as it is, else the first one of `PATH` that can be run.
pub(crate) fn find(name: &str, env: &Env, cwd: &Path) -> Option<PathBuf> {
    let runs = |path: &Path| std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        return Some(cwd.join(name)).filter(|p| runs(p));
    }
    let path = env.get("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin");
    path.split(':').map(|dir| cwd.join(dir).join(name)).find(|p| runs(p))
}

/// Runs a program to its end, and to the end of its output.
///
/// # Errors
/// Where it cannot be started; [`Error::cancelled`] once the token is and the program has ended.
pub(super) async fn run(program: &Program<'_>, output: &mut dyn Output, cancel: &CancellationToken) -> Result<Code> {
    let mut command = Command::new(program.program);
    command
        .args(program.arguments)
        .env_clear()
        .envs(program.env.iter().map(|(k, v)| (k, v)))
        .env(MARK, &program.mark.0)
        .current_dir(program.cwd);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|e| Error::new(ErrorKind::Invalid, format!("{} cannot be started: {e}", program.program.display())))?;
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let mut ended = tokio::select! {
        result = to_the_end(&mut child, output) => Some(result),
        () = cancel.cancelled() => None,
    };
    if let Some(result) = ended.take() {
        return result.map_err(|e| Error::failed(format!("{}: {e}", program.program.display())));
    }
    if let Some(group) = group {
        // Best effort: it may have ended by itself.
        let _ = killpg(group, Signal::SIGTERM);
        if tokio::time::timeout(TERM_GRACE, to_the_end(&mut child, output)).await.is_err() {
            let _ = killpg(group, Signal::SIGKILL);
            let _ = child.wait().await;
        }
        // Children that outlived the program.
        let _ = killpg(group, Signal::SIGKILL);
    }
    program.mark.end();
    Err(Error::cancelled())
}

async fn to_the_end(child: &mut Child, output: &mut dyn Output) -> std::io::Result<Code> {
    let (mut out, mut err) = (child.stdout.as_mut(), child.stderr.as_mut());
    let (mut first, mut second) = (vec![0; CHUNK], vec![0; CHUNK]);
    let (mut out_open, mut err_open) = (out.is_some(), err.is_some());
    while out_open || err_open {
        // Reads of a pipe are cancel safe.
        let (stream, n) = tokio::select! {
            n = async { match out.as_mut() { Some(o) => o.read(&mut first).await, None => Ok(0) } }, if out_open => (Stream::Stdout, n?),
            n = async { match err.as_mut() { Some(e) => e.read(&mut second).await, None => Ok(0) } }, if err_open => (Stream::Stderr, n?),
        };
        match (stream, n) {
            (Stream::Stdout, 0) => out_open = false,
            (Stream::Stderr, 0) => err_open = false,
            (Stream::Stdout, n) => output.write(stream, &first[..n]),
            (Stream::Stderr, n) => output.write(stream, &second[..n]),
        }
    }
    Ok(child.wait().await?.code().map_or(-1, Code::from))
}
