//! PID 1 of a guest: starts programs on request, reports their end, buries orphans, and hands power requests to the host.
//!
//! Its root stays outside of the guest's (a tmpfs with nothing in it), so that systemctl and ansible see a chroot. Everything it
//! holds may be taken over by the guest's root, so it holds nothing but the control socket.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::CString;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, killpg, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, chdir, chroot, execve, fork, setgid, setgroups, setsid, setuid};

use super::super::account;
use super::super::wire::{self, Exec, Note, Request};
use super::stage::GUEST_ROOT;
use super::{Doing, Refused, Step, cut, mounts, stage};

/// Time that programs have between SIGTERM and SIGKILL when the guest is shut down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(2);
/// Pause between looks at who is still there during shutdown.
const SHUTDOWN_LOOK: Duration = Duration::from_millis(20);
/// Exit status of a program that could not be started, as shells give it: not found, not executable.
const STATUS_NOT_FOUND: i32 = 127;
const STATUS_NOT_EXECUTABLE: i32 = 126;
/// Open files of a program of a guest: soft and hard limit of a login on Debian and Ubuntu.
const OPEN_FILES: (u64, u64) = (1024, 1_048_576);

/// Sets the guest up and serves until the host hangs up.
///
/// `devices` are this machine's device nodes where none can be made.
pub fn main(control: &UnixStream, devices: Option<Vec<OwnedFd>>) -> Step<Infallible> {
    // The keeper has one thread, so its end is the end of that thread.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).doing("tying PID 1 to its keeper")?;
    stage::silence()?;
    setsid().doing("making a session")?;
    set_up(control, devices)?;
    stage::close_base()?;
    cut::system_calls()?;
    cut::capabilities()?;
    Init::new(control)?.serve()
}

/// Mounts from a child that has changed its root; it reports Ready itself, with the terminals' folder.
fn set_up(control: &UnixStream, devices: Option<Vec<OwnedFd>>) -> Step<()> {
    // SAFETY: this process has one thread.
    match unsafe { fork() }.doing("forking")? {
        ForkResult::Child => {
            let ready = mounts::inside(devices).and_then(|terminals| {
                wire::send_with_fds(control, &Note::Ready.encode(), &[terminals.as_raw_fd()]).doing("reporting")
            });
            if let Err(Refused(why)) = &ready {
                let _ = writeln!(std::io::stderr(), "{why}");
            }
            end(i32::from(ready.is_err()))
        }
        ForkResult::Parent { child } => match waitpid(child, None::<WaitPidFlag>).doing("mounting")? {
            WaitStatus::Exited(_, 0) => Ok(()),
            _ => Err(Refused("the guest's file systems could not be mounted".into())),
        },
    }
}

/// Ends this process without running destructors that belong to its parent.
fn end(status: i32) -> ! {
    // SAFETY: always allowed.
    unsafe { libc::_exit(status) }
}

struct Init<'a> {
    control: &'a UnixStream,
    signals: SignalFd,
    /// Number of the request of every program that was asked for and still runs.
    running: HashMap<Pid, u32>,
}

impl<'a> Init<'a> {
    fn new(control: &'a UnixStream) -> Step<Self> {
        // systemd's signals to PID 1: INT (ctrl-alt-del) and RTMIN+5 reboot, RTMIN+3 halts, RTMIN+4 powers off.
        let mut set = SigSet::empty();
        set.add(Signal::SIGCHLD);
        set.add(Signal::SIGINT);
        let mut raw = *set.as_ref();
        for offset in [3, 4, 5] {
            // SAFETY: the set is initialised and the number is a real-time signal.
            unsafe { libc::sigaddset(&mut raw, libc::SIGRTMIN() + offset) };
        }
        // SAFETY: the set was made by sigemptyset above.
        let set = unsafe { SigSet::from_sigset_t_unchecked(raw) };
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None).doing("blocking signals")?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).doing("signalfd")?;
        Ok(Self { control, signals, running: HashMap::new() })
    }

    fn serve(&mut self) -> Step<Infallible> {
        loop {
            let mut fds = [
                PollFd::new(self.control.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            ];
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(e) => return Err(e).doing("waiting for requests"),
            }
            let has = |fd: &PollFd| fd.revents().is_some_and(|r| !r.is_empty());
            let (request, signal) = (has(&fds[0]), has(&fds[1]));
            if signal {
                self.signalled();
                self.bury();
            }
            if request {
                let Some((body, fds)) = wire::read_frame(self.control).doing("reading a request")? else { end(0) };
                self.handle(Request::decode(&body).doing("reading a request")?, fds)?;
            }
        }
    }

    fn report(&self, note: Note) {
        // When the host is gone, reading says so too.
        let _ = (&mut &*self.control).write_all(&note.encode());
    }

    fn signalled(&mut self) {
        while let Ok(Some(info)) = self.signals.read_signal() {
            let number = info.ssi_signo as i32;
            if number == libc::SIGINT || number == libc::SIGRTMIN() + 5 {
                self.report(Note::Reboot);
            } else if number == libc::SIGRTMIN() + 3 || number == libc::SIGRTMIN() + 4 {
                self.report(Note::PowerOff);
            }
        }
    }

    /// Waits for whoever has ended: programs that were asked for, and orphans.
    fn bury(&mut self) {
        loop {
            let (pid, note) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, status)) => (pid, Note::Exited { id: 0, status }),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, Note::Signalled { id: 0, signal: signal as i32 }),
                _ => return,
            };
            if let Some(id) = self.running.remove(&pid) {
                self.report(match note {
                    Note::Exited { status, .. } => Note::Exited { id, status },
                    Note::Signalled { signal, .. } => Note::Signalled { id, signal },
                    other => other,
                });
            }
        }
    }

    fn handle(&mut self, request: Request, fds: Vec<OwnedFd>) -> Step<()> {
        match request {
            Request::Exec(exec) => {
                let id = exec.id;
                self.fork(id, || run(&exec, &fds))
            }
            Request::Account { id, user } => self.fork(id, || {
                let Some(out) = fds.into_iter().next() else { return STATUS_NOT_EXECUTABLE };
                match enter() {
                    Ok(()) => i32::from(account::look_up(&user, &mut std::fs::File::from(out)).is_err()),
                    Err(_) => STATUS_NOT_EXECUTABLE,
                }
            }),
            Request::Signal { id, signal } => {
                let pid = self.running.iter().find(|(_, n)| **n == id).map(|(pid, _)| *pid);
                if let (Some(pid), Ok(signal)) = (pid, Signal::try_from(signal)) {
                    let _ = killpg(pid, signal);
                }
                Ok(())
            }
            Request::Shutdown => self.shut_down(),
        }
    }

    fn fork(&mut self, id: u32, child: impl FnOnce() -> i32) -> Step<()> {
        // SAFETY: this process has one thread.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => end(child()),
            Ok(ForkResult::Parent { child }) => {
                self.running.insert(child, id);
            }
            // Too many processes: that request failed, not the guest.
            Err(_) => self.report(Note::Exited { id, status: STATUS_NOT_EXECUTABLE }),
        }
        Ok(())
    }

    fn shut_down(&mut self) -> Step<()> {
        let _ = kill(Pid::from_raw(-1), Signal::SIGTERM);
        let _ = kill(Pid::from_raw(-1), Signal::SIGCONT);
        let deadline = Instant::now() + SHUTDOWN_GRACE;
        while Instant::now() < deadline {
            self.bury();
            if kill(Pid::from_raw(-1), None) == Err(nix::errno::Errno::ESRCH) {
                break;
            }
            std::thread::sleep(SHUTDOWN_LOOK);
        }
        end(0)
    }
}

/// Makes the guest's root the root of this (child) process.
fn enter() -> nix::Result<()> {
    chroot(GUEST_ROOT)?;
    chdir("/")
}

/// Becomes the program; returns the exit status to give when that fails.
fn run(exec: &Exec, fds: &[OwnedFd]) -> i32 {
    let Err(why) = become_program(exec, fds);
    let _ = writeln!(std::io::stderr(), "{}: {why}", String::from_utf8_lossy(&exec.program));
    if why == nix::errno::Errno::ENOENT { STATUS_NOT_FOUND } else { STATUS_NOT_EXECUTABLE }
}

fn become_program(exec: &Exec, fds: &[OwnedFd]) -> nix::Result<Infallible> {
    let (input, output, error) = match fds {
        [tty] if exec.tty => (tty, tty, tty),
        [input, output, error] => (input, output, error),
        _ => return Err(nix::errno::Errno::EBADF),
    };
    setsid()?;
    nix::unistd::dup2_stdin(input)?;
    nix::unistd::dup2_stdout(output)?;
    nix::unistd::dup2_stderr(error)?;
    if exec.tty {
        // SAFETY: standard input is the terminal; the call takes no memory of ours.
        if unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) } < 0 {
            return Err(nix::errno::Errno::last());
        }
    }
    // SAFETY: plain system call; whatever is above standard error must not reach a foreign program.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    enter()?;
    limit_open_files();
    if exec.tty {
        // The login owns its terminal, as sshd does it: mesg and sudo look at that.
        let _ = nix::unistd::fchown(std::io::stdin(), Some(Uid::from_raw(exec.uid)), None);
    }
    setgroups(&exec.groups.iter().map(|g| Gid::from_raw(*g)).collect::<Vec<_>>())?;
    setgid(Gid::from_raw(exec.gid))?;
    setuid(Uid::from_raw(exec.uid))?;
    umask(Mode::from_bits_truncate(0o022));
    if chdir(text(&exec.cwd)?.as_c_str()).is_err() {
        chdir("/")?;
    }
    let argv = exec.argv.iter().map(|a| text(a)).collect::<nix::Result<Vec<CString>>>()?;
    let env = exec.env.iter().map(|e| text(e)).collect::<nix::Result<Vec<CString>>>()?;
    let program = text(&exec.program)?;
    cut::reset_signals()?;
    execve(&program, &argv, &env)
}

fn text(bytes: &[u8]) -> nix::Result<CString> {
    CString::new(bytes).map_err(|_| nix::errno::Errno::EINVAL)
}

fn limit_open_files() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let hard = hard.min(OPEN_FILES.1);
        let _ = setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES.0.min(hard), hard);
    }
}
