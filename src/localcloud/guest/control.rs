//! The outside of a guest's PID 1: starts it, asks it to run programs, hears how they end.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::account::Login;
use super::jail;
use super::space::Helper;
use super::wire::{self, Exec, JailSpec, NOTE_LEN, Note, Request};

/// Longest time from the start of the first process to the guest's being set up.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for a look at a guest's user files.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for the end of all processes of a guest after SIGKILL to its PID 1.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// Errors of sendmsg(2) that pass (unix(7): ETOOMANYREFS where more descriptors are in flight than a user may have open).
const PASSING: [i32; 3] = [libc::ETOOMANYREFS, libc::ENOBUFS, libc::ENOMEM];
/// Pause before a request is sent again.
const SEND_PAUSE: Duration = Duration::from_millis(10);
/// Most bytes of an answer about a user.
const MAX_LOGIN: u64 = 8 << 20;
/// What a guest's console keeps, bytes; EC2 keeps the last 64 KiB.
const CONSOLE_LEN: usize = 64 << 10;

/// Takes a lock whose holder cannot leave it half-changed.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last of what a guest's serial console would have shown.
#[derive(Default)]
pub struct Console(Mutex<VecDeque<u8>>);

impl Console {
    /// Adds bytes; the oldest fall out.
    pub fn push(&self, bytes: &[u8]) {
        let mut kept = locked(&self.0);
        kept.extend(bytes);
        let excess = kept.len().saturating_sub(CONSOLE_LEN);
        kept.drain(..excess);
    }

    /// Adds a line.
    pub fn line(&self, text: &str) {
        self.push(format!("{text}\n").as_bytes());
    }

    /// What is kept, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(locked(&self.0).make_contiguous()).into_owned()
    }
}

/// How a program of a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With a status.
    Status(i32),
    /// By a signal.
    Signal(i32),
}

impl Exit {
    /// The status that a shell would give it: 128 + signal.
    pub fn code(self) -> i32 {
        match self {
            Exit::Status(status) => status,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

/// What the guest's root asked PID 1 for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Boot again.
    Reboot,
    /// Stop.
    Off,
}

/// A running guest, as far as its processes go.
pub struct Control {
    requests: mpsc::UnboundedSender<(Vec<u8>, Vec<OwnedFd>)>,
    waiting: Mutex<HashMap<u32, oneshot::Sender<Exit>>>,
    next: AtomicU32,
    terminals: OwnedFd,
    ended: CancellationToken,
    pid: u32,
}

/// The process outside of the guest that ends with it. Dropping this ends the guest.
pub struct Keeper {
    child: Child,
    /// The keeper watches the other end.
    life: Option<OwnedFd>,
}

impl Control {
    /// Starts the first process of a guest and waits until its file systems stand.
    ///
    /// # Errors
    /// What the guest's first process could not do, in its own words.
    pub async fn start(
        helper: &Helper,
        spec: &JailSpec,
        console: Arc<Console>,
        power: mpsc::UnboundedSender<Power>,
    ) -> Result<(Arc<Self>, Keeper), String> {
        let said = |what: &str, e: &dyn std::fmt::Display| format!("{what}: {e}");
        let (ours, theirs) = StdUnixStream::pair().map_err(|e| said("making a socket", &e))?;
        let (watched, life) = io::pipe().map_err(|e| said("making a pipe", &e))?;
        let mut child = Command::from(helper.command())
            .args([jail::FIRST, &spec.base])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(watched)))
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|e| said(&format!("starting {}", helper.program().display()), &e))?;
        let pid = child.id().unwrap_or_default();
        let errors = child.stderr.take();
        let keeper = Keeper { child, life: Some(OwnedFd::from(life)) };
        let first_words = Arc::new(Console::default());
        if let Some(mut errors) = errors {
            let (console, first_words) = (console, first_words.clone());
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                while let Ok(got @ 1..) = errors.read(&mut buffer).await {
                    console.push(&buffer[..got]);
                    first_words.push(&buffer[..got]);
                }
            });
        }
        let body = serde_json::to_vec(spec).map_err(|e| said("describing the guest", &e))?;
        let ready = tokio::task::spawn_blocking(move || set_up(ours, &body)).await;
        let (socket, terminals) = match ready.map_err(|e| said("waiting for the guest", &e))? {
            Ok(ready) => ready,
            Err(error) => {
                keeper.end().await.map_err(|e| said("ending the guest", &e))?;
                let words = first_words.text();
                let words = words.trim();
                return Err(if words.is_empty() { said("setting the guest up", &error) } else { words.to_owned() });
            }
        };
        let socket = socket.set_nonblocking(true).and_then(|()| UnixStream::from_std(socket));
        let socket = Arc::new(socket.map_err(|e| said("watching the guest", &e))?);
        let (requests, queue) = mpsc::unbounded_channel();
        let control = Arc::new(Self {
            requests,
            waiting: Mutex::default(),
            next: AtomicU32::new(1),
            terminals,
            ended: CancellationToken::new(),
            pid,
        });
        tokio::spawn(write_requests(socket.clone(), queue));
        tokio::spawn(read_notes(socket, control.clone(), power));
        Ok((control, keeper))
    }

    /// Process that lives outside of the guest's pid namespace, in its network namespace.
    pub fn keeper_pid(&self) -> u32 {
        self.pid
    }

    /// Cancelled when the guest has no processes any more.
    pub fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    fn number(&self) -> (u32, oneshot::Receiver<Exit>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        locked(&self.waiting).insert(id, sender);
        (id, receiver)
    }

    fn send(&self, request: &Request, fds: Vec<OwnedFd>) {
        // A guest that has ended answers by dropping whoever waits.
        let _ = self.requests.send((request.encode(), fds));
    }

    /// Starts a program; the number serves [`signal`](Self::signal). The receiver fails when the guest ends first.
    pub fn exec(&self, mut exec: Exec, fds: Vec<OwnedFd>) -> (u32, oneshot::Receiver<Exit>) {
        let (id, receiver) = self.number();
        exec.id = id;
        self.send(&Request::Exec(exec), fds);
        if self.ended.is_cancelled() {
            locked(&self.waiting).clear();
        }
        (id, receiver)
    }

    /// Sends a signal to the process group of a program that was started; one that has ended is passed over.
    pub fn signal(&self, id: u32, signal: i32) {
        self.send(&Request::Signal { id, signal }, Vec::new());
    }

    /// SIGTERM to every process, then the end of the guest.
    pub fn shut_down(&self) {
        self.send(&Request::Shutdown, Vec::new());
    }

    /// What the guest knows about a user, `None` if there is none.
    ///
    /// # Errors
    /// When the guest does not answer or has ended.
    pub async fn login(&self, user: &str) -> io::Result<Option<Login>> {
        let (sender, receiver) = pipe::pipe()?;
        let (id, _exit) = self.number();
        self.send(&Request::Account { id, user: user.to_owned() }, vec![sender.into_blocking_fd()?]);
        let mut answer = Vec::new();
        let mut receiver = receiver.take(MAX_LOGIN);
        timeout(LOOK_UP_TIMEOUT, receiver.read_to_end(&mut answer)).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// A new terminal of the guest: the end for us and the end for a program.
    ///
    /// # Errors
    /// When the guest has no terminal left.
    pub fn terminal(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        // The kernel makes the names of this folder; a guest cannot put a link there.
        let ours = openat(&self.terminals, "ptmx", flags, Mode::empty())?;
        let locked: libc::c_int = 0;
        // SAFETY: TIOCSPTLCK reads one int, TIOCGPTPEER takes flags by value and returns a new descriptor, which is ours.
        unsafe {
            if libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK, &locked) < 0 {
                return Err(io::Error::last_os_error());
            }
            let theirs = libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags.bits());
            if theirs < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok((ours, OwnedFd::from_raw_fd(theirs)))
        }
    }
}

impl Keeper {
    /// Ends every process of the guest and waits for that.
    ///
    /// # Errors
    /// When they do not end within ten seconds (a process that waits for a disk).
    pub async fn end(mut self) -> io::Result<()> {
        drop(self.life.take());
        match timeout(END_TIMEOUT, self.child.wait()).await {
            Ok(ended) => ended.map(|_| ()),
            Err(_) => {
                self.child.start_kill()?;
                Err(io::Error::new(io::ErrorKind::TimedOut, "processes of the guest do not end"))
            }
        }
    }
}

/// Sends the first frame and waits for Ready, on a socket that still blocks.
fn set_up(socket: StdUnixStream, body: &[u8]) -> io::Result<(StdUnixStream, OwnedFd)> {
    use std::io::{Read, Write};
    socket.set_read_timeout(Some(READY_TIMEOUT))?;
    (&socket).write_all(&wire::frame_head(body))?;
    (&socket).write_all(body)?;
    let mut note = [0; NOTE_LEN];
    let (got, mut fds) = wire::recv_with_fds(&socket, &mut note)?;
    if got == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    (&socket).read_exact(&mut note[got..])?;
    match (Note::decode(&note), fds.pop()) {
        (Some(Note::Ready), Some(terminals)) => Ok((socket, terminals)),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the guest's PID 1 said something else than ready")),
    }
}

async fn write_requests(socket: Arc<UnixStream>, mut queue: mpsc::UnboundedReceiver<(Vec<u8>, Vec<OwnedFd>)>) {
    while let Some((body, fds)) = queue.recv().await {
        let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let mut frame = wire::frame_head(&body).to_vec();
        frame.extend_from_slice(&body);
        let mut sent = 0;
        while sent < frame.len() {
            let fds = if sent == 0 { raw.as_slice() } else { &[] };
            let once = || wire::send_with_fds(&*socket, &frame[sent..], fds);
            match socket.async_io(Interest::WRITABLE, once).await {
                Ok(bytes) => sent += bytes,
                // Too many descriptors on their way at once, or no memory for a moment: nothing was sent, and a program that
                // was asked for would otherwise never end.
                Err(e) if e.raw_os_error().is_some_and(|code| PASSING.contains(&code)) => {
                    tokio::time::sleep(SEND_PAUSE).await;
                }
                Err(_) => return,
            }
        }
    }
}

async fn read_notes(socket: Arc<UnixStream>, control: Arc<Control>, power: mpsc::UnboundedSender<Power>) {
    let mut note = [0; NOTE_LEN];
    let mut filled = 0;
    loop {
        let once = || {
            // Plain read: a file descriptor that the guest sends along is dropped by the kernel.
            let got = nix::unistd::read(&*socket, &mut note[filled..])?;
            Ok(got)
        };
        match socket.async_io(Interest::READABLE, once).await {
            Ok(got @ 1..) => filled += got,
            _ => break,
        }
        if filled < NOTE_LEN {
            continue;
        }
        filled = 0;
        let (id, exit) = match Note::decode(&note) {
            Some(Note::Exited { id, status }) => (id, Exit::Status(status)),
            Some(Note::Signalled { id, signal }) => (id, Exit::Signal(signal)),
            Some(Note::Reboot) => {
                let _ = power.send(Power::Reboot);
                continue;
            }
            Some(Note::PowerOff) => {
                let _ = power.send(Power::Off);
                continue;
            }
            Some(Note::Ready) | None => break,
        };
        if let Some(waiting) = locked(&control.waiting).remove(&id) {
            let _ = waiting.send(exit);
        }
    }
    control.ended.cancel();
    locked(&control.waiting).clear();
}
