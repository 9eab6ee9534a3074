//! What this process and the PID 1 of a guest say to each other over the control socket.
//!
//! To the guest: frames of a little-endian `u32` length and a body; the file descriptors of a request travel with the length.
//! From the guest: notes of twelve bytes. A guest's root can take over its PID 1, so notes carry nothing but three numbers,
//! and file descriptors are accepted only once, before the first foreign program runs in the guest.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// Longest body of a frame, bytes. Linux takes at most 2 MiB of arguments and environment; more than that is a mistake.
pub const MAX_FRAME: usize = 4 << 20;

/// Most file descriptors with one frame: standard input, output and error.
pub const MAX_FDS: usize = 3;

/// Bytes of a note.
pub const NOTE_LEN: usize = 12;

/// How a guest is set up; the first frame.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct JailSpec {
    /// Host name of the guest.
    pub hostname: String,
    /// Empty folder of this machine over which the guest's base is mounted (in the guest's own mount namespace).
    pub base: String,
    /// Lower folders, topmost first, the root file system last.
    pub lowers: Vec<String>,
    /// Folder that takes every change.
    pub upper: String,
    /// overlayfs's own work folder, on the same file system.
    pub work: String,
    /// Whether the guest has a network namespace of its own.
    pub own_network: bool,
    /// Whether we are root of a user namespace only: no device node can be made, and overlayfs keeps its notes elsewhere.
    pub user_namespace: bool,
    /// IPv4 addresses that the guest must not reach: this machine's own.
    pub blocked: Vec<std::net::Ipv4Addr>,
    /// Files that the guest finds at boot and that do not enter an image: path without a leading slash, mode, text.
    pub files: Vec<JailFile>,
}

/// One file of the read-only layer between the image and the guest's own changes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JailFile {
    /// Path without a leading slash.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Content.
    pub text: String,
}

/// A request to PID 1.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Start a program; with three file descriptors, or one terminal.
    Exec(Exec),
    /// Write what the guest knows about a user as JSON to the one file descriptor that comes along.
    Account {
        /// Number for the note about its end.
        id: u32,
        /// User name.
        user: String,
    },
    /// Send a signal to the process group of an [`Exec`].
    Signal {
        /// The number of the exec.
        id: u32,
        /// Signal number.
        signal: i32,
    },
    /// SIGTERM to all, then end.
    Shutdown,
}

/// A program to start in the guest.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// Number for the note about its end.
    pub id: u32,
    /// Whether the one file descriptor is a terminal to control.
    pub tty: bool,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further groups.
    pub groups: Vec<u32>,
    /// Working directory; `/` when it cannot be entered.
    pub cwd: Vec<u8>,
    /// Path of the program.
    pub program: Vec<u8>,
    /// Arguments, the zeroth included.
    pub argv: Vec<Vec<u8>>,
    /// Environment, `NAME=value`.
    pub env: Vec<Vec<u8>>,
}

/// What PID 1 reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The guest is set up; the terminals' folder comes along.
    Ready,
    /// A program ended with an exit status.
    Exited {
        /// Number of the request.
        id: u32,
        /// Exit status.
        status: i32,
    },
    /// A program was ended by a signal.
    Signalled {
        /// Number of the request.
        id: u32,
        /// Signal number.
        signal: i32,
    },
    /// Root of the guest asked PID 1 for a reboot, as `kill -INT 1` does on a real machine.
    Reboot,
    /// Root of the guest asked PID 1 to power off.
    PowerOff,
}

impl Note {
    /// The twelve bytes.
    pub fn encode(self) -> [u8; NOTE_LEN] {
        let (kind, id, value) = match self {
            Note::Ready => (0u32, 0, 0),
            Note::Exited { id, status } => (1, id, status),
            Note::Signalled { id, signal } => (2, id, signal),
            Note::Reboot => (3, 0, 0),
            Note::PowerOff => (4, 0, 0),
        };
        let mut bytes = [0; NOTE_LEN];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes[4..8].copy_from_slice(&id.to_le_bytes());
        bytes[8..].copy_from_slice(&value.to_le_bytes());
        bytes
    }

    /// Reads twelve bytes; `None` for what no PID 1 of ours says.
    pub fn decode(bytes: &[u8; NOTE_LEN]) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let (kind, id, value) = (word(0), word(4), word(8) as i32);
        match kind {
            0 => Some(Note::Ready),
            1 => Some(Note::Exited { id, status: value }),
            2 => Some(Note::Signalled { id, signal: value }),
            3 => Some(Note::Reboot),
            4 => Some(Note::PowerOff),
            _ => None,
        }
    }
}

impl Request {
    /// The body of the frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let num = |out: &mut Vec<u8>, n: u32| out.extend_from_slice(&n.to_le_bytes());
        let text = |out: &mut Vec<u8>, s: &[u8]| {
            out.extend_from_slice(&(s.len() as u32).to_le_bytes());
            out.extend_from_slice(s);
        };
        match self {
            Request::Exec(exec) => {
                num(&mut out, 1);
                num(&mut out, exec.id);
                num(&mut out, u32::from(exec.tty));
                num(&mut out, exec.uid);
                num(&mut out, exec.gid);
                num(&mut out, exec.groups.len() as u32);
                exec.groups.iter().for_each(|g| num(&mut out, *g));
                text(&mut out, &exec.cwd);
                text(&mut out, &exec.program);
                for list in [&exec.argv, &exec.env] {
                    num(&mut out, list.len() as u32);
                    list.iter().for_each(|s| text(&mut out, s));
                }
            }
            Request::Account { id, user } => {
                num(&mut out, 2);
                num(&mut out, *id);
                text(&mut out, user.as_bytes());
            }
            Request::Signal { id, signal } => {
                num(&mut out, 3);
                num(&mut out, *id);
                num(&mut out, *signal as u32);
            }
            Request::Shutdown => num(&mut out, 4),
        }
        out
    }

    /// Reads the body of a frame.
    ///
    /// # Errors
    /// `InvalidData` for anything [`encode`](Self::encode) does not write.
    pub fn decode(body: &[u8]) -> io::Result<Self> {
        let mut body = Reader(body);
        Ok(match body.num()? {
            1 => Request::Exec(Exec {
                id: body.num()?,
                tty: body.num()? != 0,
                uid: body.num()?,
                gid: body.num()?,
                groups: body.list(Reader::num)?,
                cwd: body.text()?,
                program: body.text()?,
                argv: body.list(Reader::text)?,
                env: body.list(Reader::text)?,
            }),
            2 => Request::Account { id: body.num()?, user: String::from_utf8(body.text()?).map_err(|_| invalid())? },
            3 => Request::Signal { id: body.num()?, signal: body.num()? as i32 },
            4 => Request::Shutdown,
            _ => return Err(invalid()),
        })
    }
}

fn invalid() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not a request to a guest")
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn num(&mut self) -> io::Result<u32> {
        let (head, rest) = self.0.split_first_chunk::<4>().ok_or_else(invalid)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*head))
    }

    fn text(&mut self) -> io::Result<Vec<u8>> {
        let len = self.num()? as usize;
        let (head, rest) = self.0.split_at_checked(len).ok_or_else(invalid)?;
        self.0 = rest;
        Ok(head.to_vec())
    }

    fn list<T>(&mut self, mut each: impl FnMut(&mut Self) -> io::Result<T>) -> io::Result<Vec<T>> {
        (0..self.num()?).map(|_| each(self)).collect()
    }
}

/// Sends bytes with file descriptors; returns how many bytes went out.
///
/// # Errors
/// As sendmsg(2), `WouldBlock` included.
pub fn send_with_fds(socket: &impl AsRawFd, bytes: &[u8], fds: &[RawFd]) -> io::Result<usize> {
    let rights = [ControlMessage::ScmRights(fds)];
    let control: &[ControlMessage] = if fds.is_empty() { &[] } else { &rights };
    Ok(sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None)?)
}

/// Receives bytes and the file descriptors that come along (close-on-exec); zero bytes mean that the other side is gone.
///
/// # Errors
/// As recvmsg(2).
pub fn recv_with_fds(socket: &impl AsRawFd, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = nix::cmsg_space!([RawFd; MAX_FDS]);
    let mut slices = [IoSliceMut::new(bytes)];
    let got = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for message in got.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = message {
            // SAFETY: the kernel has just made these descriptors for us; nobody else owns them.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((got.bytes, fds))
}

/// Reads one whole frame from a blocking socket; `None` when the other side is gone.
///
/// # Errors
/// As recvmsg(2), or `InvalidData` for a frame that is too long.
pub fn read_frame(socket: &std::os::unix::net::UnixStream) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut head = [0u8; 4];
    let (got, fds) = loop {
        match recv_with_fds(socket, &mut head) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            other => break other?,
        }
    };
    if got == 0 {
        return Ok(None);
    }
    let mut reader: &std::os::unix::net::UnixStream = socket;
    reader.read_exact(&mut head[got..])?;
    let len = u32::from_le_bytes(head) as usize;
    if len > MAX_FRAME {
        return Err(invalid());
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    Ok(Some((body, fds)))
}

/// The length of a body, as it stands before it.
pub fn frame_head(body: &[u8]) -> [u8; 4] {
    (body.len() as u32).to_le_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn requests_and_notes_survive_the_wire() {
        let exec = Exec {
            id: 7,
            tty: true,
            uid: 1000,
            gid: 1001,
            groups: vec![27, 4],
            cwd: b"/home/\xff".to_vec(),
            program: b"/bin/sh".to_vec(),
            argv: vec![b"-sh".to_vec(), Vec::new()],
            env: vec![b"A=b".to_vec()],
        };
        for request in [
            Request::Exec(exec),
            Request::Account { id: 1, user: "u".into() },
            Request::Signal { id: 2, signal: 15 },
            Request::Shutdown,
        ] {
            assert_eq!(Request::decode(&request.encode()).unwrap(), request);
        }
        let note = Note::Signalled { id: 3, signal: -1 };
        assert_eq!(Note::decode(&note.encode()), Some(note));
    }

    #[test]
    fn what_is_cut_or_lies_about_its_length_is_refused() {
        let body = Request::Account { id: 1, user: "root".into() }.encode();
        assert!((0..body.len()).all(|cut| Request::decode(&body[..cut]).is_err()));
        assert!(Request::decode(&[2, 0, 0, 0, 1, 0, 0, 0, 255, 255, 255, 255]).is_err());
        assert_eq!(Note::decode(&[9; NOTE_LEN]), None);
    }
}
