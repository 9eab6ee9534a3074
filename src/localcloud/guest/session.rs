//! One session channel of the SSH server: a command, a shell or sftp in the guest, as the user who has logged in.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::account::Login;
use super::control::{Control, Exit};
use super::terminal::{self, Terminal};
use super::wire::Exec;

/// Name of the file transfer subsystem.
pub const SFTP: &str = "sftp";
/// Runs the guest's own sftp server, wherever its distribution keeps it.
const SFTP_COMMAND: &str = "for s in /usr/lib/openssh /usr/libexec/openssh /usr/lib/ssh /usr/libexec; do \
     [ -x $s/sftp-server ] && exec $s/sftp-server; done; echo 'no sftp-server (package openssh-sftp-server)' >&2; exit 127";
/// PATH of a login as Debian's and Ubuntu's sshd sets it.
const USER_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/games";
/// The same for root.
const ROOT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How long the rest of the output is waited for before the exit status is sent. A daemon that keeps the output open delays the
/// channel's close, as with sshd, but not the status.
const REST_OF_OUTPUT: Duration = Duration::from_millis(300);
/// Bytes of one read from a program's output: the longest SSH packet.
const CHUNK: usize = 32 << 10;
/// Bytes of input that may wait for a program that does not read. Beyond that the whole connection waits, as russh has it.
const INPUT_AHEAD: usize = 64 << 20;

/// Who has logged in, and from where.
pub struct Who {
    /// The user.
    pub login: Login,
    /// The command that the key is bound to.
    pub forced: Option<String>,
    /// The client.
    pub peer: SocketAddr,
    /// Our address.
    pub local: SocketAddr,
}

/// What a channel has been asked so far.
#[derive(Default)]
pub struct Asked {
    /// A program was asked for; there is only one a channel.
    pub started: bool,
}

impl Asked {
    /// Takes the one program; false if there was one before.
    pub fn start(&mut self) -> bool {
        !std::mem::replace(&mut self.started, true)
    }
}

/// Whether a client may set this variable: sshd's `AcceptEnv LANG LC_*`.
pub fn accepts_variable(name: &str) -> bool {
    name == "LANG" || name.starts_with("LC_")
}

/// What a client wants to be run.
enum What {
    Shell,
    Command(Vec<u8>),
    Sftp,
}

/// Serves one session channel to its end.
pub async fn serve(mut channel: Channel<Msg>, handle: Handle, control: Arc<Control>, who: Arc<Who>) {
    let mut variables = Vec::new();
    let mut wanted_terminal = None;
    let what = loop {
        match channel.wait().await {
            Some(ChannelMsg::SetEnv { variable_name, variable_value, .. }) if accepts_variable(&variable_name) => {
                variables.push(format!("{variable_name}={variable_value}").into_bytes());
            }
            Some(ChannelMsg::RequestPty {
                term, col_width, row_height, pix_width, pix_height, terminal_modes, ..
            }) => {
                let size = terminal::size(col_width, row_height, pix_width, pix_height);
                wanted_terminal = Some((term, size, terminal_modes));
            }
            Some(ChannelMsg::RequestShell { .. }) => break What::Shell,
            Some(ChannelMsg::Exec { command, .. }) => break What::Command(command),
            Some(ChannelMsg::RequestSubsystem { name, .. }) if name == SFTP => break What::Sftp,
            Some(ChannelMsg::Close) | None => return,
            Some(_) => {}
        }
    };
    let id = channel.id();
    let (from_client, to_client) = channel.split();
    let outcome = run(&control, &who, what, variables, wanted_terminal, from_client, &to_client, &handle, id).await;
    if let Err(error) = outcome {
        let _ = to_client.extended_data_bytes(1, format!("local guest: {error}\n").into_bytes()).await;
        let _ = to_client.exit_status(255).await;
    }
    let _ = to_client.eof().await;
    let _ = to_client.close().await;
}

type WantedTerminal = (String, libc::winsize, Vec<(russh::Pty, u32)>);

#[allow(clippy::too_many_arguments)]
async fn run(
    control: &Arc<Control>,
    who: &Who,
    what: What,
    variables: Vec<Vec<u8>>,
    wanted_terminal: Option<WantedTerminal>,
    from_client: ChannelReadHalf,
    to_client: &ChannelWriteHalf<Msg>,
    handle: &Handle,
    id: ChannelId,
) -> io::Result<()> {
    let mut exec = login_program(who, what);
    let mut pumps = JoinSet::new();
    let (fds, input, terminal);
    if let Some((term, size, modes)) = wanted_terminal {
        let (ours, theirs) = control.terminal()?;
        terminal::apply(&theirs, &modes)?;
        exec.tty = true;
        exec.env.push([b"TERM=", term.as_bytes()].concat());
        exec.env.push([b"SSH_TTY=", terminal::name(&theirs)?.as_bytes()].concat());
        let ours = Arc::new(Terminal::new(ours, size)?);
        pumps.spawn(terminal::copy_out(ours.clone(), to_client.make_writer()));
        fds = vec![theirs];
        input = Input::Terminal(ours.clone());
        terminal = Some(ours);
    } else {
        let (sender, receiver) = pipe::pipe()?;
        let (out_sender, out_receiver) = pipe::pipe()?;
        let (error_sender, error_receiver) = pipe::pipe()?;
        pumps.spawn(copy_out(out_receiver, to_client.make_writer()));
        pumps.spawn(copy_out(error_receiver, to_client.make_writer_ext(Some(1))));
        fds = vec![receiver.into_blocking_fd()?, out_sender.into_blocking_fd()?, error_sender.into_blocking_fd()?];
        input = Input::Pipe(sender);
        terminal = None;
    }
    exec.env.extend(variables);
    let (number, exit) = control.exec(exec, fds);
    let listening = tokio::spawn(listen(from_client, input, terminal, control.clone(), number));
    let exit = exit.await;
    let rest = async { while pumps.join_next().await.is_some() {} };
    let drained = timeout(REST_OF_OUTPUT, rest).await.is_ok();
    match exit {
        Ok(Exit::Status(status)) => {
            let _ = to_client.exit_status(status as u32).await;
        }
        Ok(Exit::Signal(signal)) => {
            let _ = handle.exit_signal_request(id, signal_name(signal), false, String::new(), String::new()).await;
        }
        // The guest is gone: the channel closes without a status, as when a machine is switched off.
        Err(_) => {}
    }
    if !drained {
        tokio::select! {
            () = async { while pumps.join_next().await.is_some() {} } => {}
            () = control.ended().cancelled() => {}
        }
    }
    listening.abort();
    Ok(())
}

/// The user's shell with its environment, as sshd starts it.
fn login_program(who: &Who, what: What) -> Exec {
    let login = &who.login;
    let shell = login.shell.as_bytes();
    let base = shell.rsplit(|b| *b == b'/').next().unwrap_or(shell);
    let mut asked = None;
    let what = match (&who.forced, what) {
        (Some(forced), what) => {
            asked = if let What::Command(command) = what { Some(command) } else { None };
            What::Command(forced.clone().into_bytes())
        }
        (None, what) => what,
    };
    let argv = match what {
        What::Shell => vec![[b"-", base].concat()],
        What::Command(command) => vec![base.to_vec(), b"-c".to_vec(), command],
        What::Sftp => vec![base.to_vec(), b"-c".to_vec(), SFTP_COMMAND.as_bytes().to_vec()],
    };
    let path = if login.uid == 0 { ROOT_PATH } else { USER_PATH };
    let mut env = vec![
        format!("USER={}", login.name),
        format!("LOGNAME={}", login.name),
        format!("HOME={}", login.home),
        format!("PATH={path}"),
        format!("MAIL=/var/mail/{}", login.name),
        format!("SHELL={}", login.shell),
    ];
    for line in &login.environment {
        let name = line.split_once('=').map_or(line.as_str(), |(name, _)| name);
        env.retain(|e| e.split_once('=').is_none_or(|(n, _)| n != name));
        env.push(line.clone());
    }
    let (peer, local) = (who.peer, who.local);
    env.push(format!("SSH_CLIENT={} {} {}", peer.ip(), peer.port(), local.port()));
    env.push(format!("SSH_CONNECTION={} {} {} {}", peer.ip(), peer.port(), local.ip(), local.port()));
    let mut env: Vec<_> = env.into_iter().map(String::into_bytes).collect();
    env.extend(asked.map(|command| [b"SSH_ORIGINAL_COMMAND=", command.as_slice()].concat()));
    Exec {
        uid: login.uid,
        gid: login.gid,
        groups: login.groups.clone(),
        cwd: login.home.clone().into_bytes(),
        program: shell.to_vec(),
        argv,
        env,
        ..Exec::default()
    }
}

/// Where a program's input goes.
enum Input {
    Pipe(pipe::Sender),
    Terminal(Arc<Terminal>),
}

/// Hears what the client sends while the program runs.
async fn listen(
    mut from_client: ChannelReadHalf,
    input: Input,
    terminal: Option<Arc<Terminal>>,
    control: Arc<Control>,
    number: u32,
) {
    let (queue, waiting) = mpsc::unbounded_channel::<Bytes>();
    let room = Arc::new(Semaphore::new(INPUT_AHEAD));
    let writer = tokio::spawn(copy_in(input, waiting, room.clone()));
    let mut queue = Some(queue);
    loop {
        match from_client.wait().await {
            Some(ChannelMsg::Data { data }) => {
                let Ok(permit) = room.acquire_many(data.len() as u32).await else { continue };
                permit.forget();
                if let Some(queue) = &queue {
                    let _ = queue.send(data);
                }
            }
            Some(ChannelMsg::Eof) => drop(queue.take()),
            Some(ChannelMsg::WindowChange { col_width, row_height, pix_width, pix_height }) => {
                if let Some(terminal) = &terminal {
                    let _ = terminal.resize(terminal::size(col_width, row_height, pix_width, pix_height));
                }
            }
            Some(ChannelMsg::Signal { signal }) => {
                if let Some(signal) = signal_number(&signal) {
                    control.signal(number, signal);
                }
            }
            Some(ChannelMsg::Close) | None => break,
            Some(_) => {}
        }
    }
    drop(queue);
    // The client has gone: what it sent is still written, and a terminal hangs up.
    let _ = writer.await;
    if terminal.is_some() {
        control.signal(number, libc::SIGHUP);
    }
}

async fn copy_in(input: Input, mut waiting: mpsc::UnboundedReceiver<Bytes>, room: Arc<Semaphore>) {
    let mut pipe = match input {
        Input::Pipe(pipe) => Some(pipe),
        Input::Terminal(terminal) => {
            while let Some(data) = waiting.recv().await {
                room.add_permits(data.len());
                let _ = terminal.write_all(&data).await;
            }
            // The end of what the client sends is not the end of a terminal, with sshd as here.
            return;
        }
    };
    while let Some(data) = waiting.recv().await {
        room.add_permits(data.len());
        if let Some(open) = &mut pipe
            && open.write_all(&data).await.is_err()
        {
            // The program does not read any more; the rest is swallowed, as sshd does.
            pipe = None;
        }
    }
}

async fn copy_out(mut from: impl AsyncRead + Unpin, mut to: impl tokio::io::AsyncWrite + Unpin) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(got @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..got]).await.is_err() || to.flush().await.is_err() {
            return;
        }
    }
}

fn signal_number(signal: &Sig) -> Option<i32> {
    Some(match signal {
        Sig::ABRT => libc::SIGABRT,
        Sig::ALRM => libc::SIGALRM,
        Sig::FPE => libc::SIGFPE,
        Sig::HUP => libc::SIGHUP,
        Sig::ILL => libc::SIGILL,
        Sig::INT => libc::SIGINT,
        Sig::KILL => libc::SIGKILL,
        Sig::PIPE => libc::SIGPIPE,
        Sig::QUIT => libc::SIGQUIT,
        Sig::SEGV => libc::SIGSEGV,
        Sig::TERM => libc::SIGTERM,
        Sig::USR1 => libc::SIGUSR1,
        Sig::Custom(_) => return None,
    })
}

fn signal_name(signal: i32) -> Sig {
    let known = [
        Sig::ABRT,
        Sig::ALRM,
        Sig::FPE,
        Sig::HUP,
        Sig::ILL,
        Sig::INT,
        Sig::KILL,
        Sig::PIPE,
        Sig::QUIT,
        Sig::SEGV,
        Sig::TERM,
        Sig::USR1,
    ];
    let found = known.into_iter().find(|s| signal_number(s) == Some(signal));
    // RFC 4254, 6.10: other names carry an `@`; sshd writes SIG@openssh.com.
    found.unwrap_or_else(|| Sig::Custom("SIG@openssh.com".into()))
}
