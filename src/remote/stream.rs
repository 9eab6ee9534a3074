//! Files through the login shell: `cat` for one, a tar stream for a directory.

use crate::exec::Input;
use crate::quote;
use crate::ssh::{SshCommunicator, Tar};
use crate::tree::{self, Entry};
use bytes::Bytes;
use image_action_engine::component::Capture;
use image_action_engine::{Error, ErrorKind, ExitStatus, Output, Result, Stream};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc as sync;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How much is read from a file, or gathered of a tar stream, before it is sent; in bytes.
const CHUNK: usize = 64 << 10;

/// How many chunks wait on their way.
const WAITING_CHUNKS: usize = 16;

/// How much of an error's text is kept, in bytes.
const ERROR_TEXT: usize = 4 << 10;

/// The script that takes a file: parents are made, an existing file keeps its owner, the mode is exact where it may be.
fn receive(remote: &str, mode: u32) -> String {
    let file = quote::path(remote);
    let parent = match remote.rfind('/') {
        Some(0) | None => String::new(),
        Some(n) => format!("mkdir -p -- {} && ", quote::path(&remote[..n])),
    };
    let mask = !mode & 0o777;
    quote::sh(&format!(
        "{parent}{{ [ -e {file} ]; was=$?; umask {mask:03o}; cat >{file} && \
         {{ chmod {mode:o} {file} 2>/dev/null || [ $was = 0 ]; }} && wc -c <{file}; }}"
    ))
}

/// What a failed transfer means.
fn failed(doing: &str, status: ExitStatus, errors: &[u8]) -> Error {
    let text = String::from_utf8_lossy(&errors[..errors.len().min(ERROR_TEXT)]).trim().to_owned();
    match status {
        ExitStatus::Disconnected => {
            Error::new(ErrorKind::Unreachable, format!("{doing}: the connection was lost before the end"))
        }
        ExitStatus::Code(code) => {
            let error = Error::failed(format!("{doing} failed (exit code {code})"));
            let error = if text.is_empty() { error } else { error.detail(text.clone()) };
            if text.contains("ermission denied") {
                error.hint("the login user may not write there: upload to a folder of its own (/tmp), and move it with sudo in a shell provisioner")
            } else if text.contains("s a directory") {
                error.hint("to upload into a directory, end the destination with a slash")
            } else {
                error
            }
        }
    }
}

fn received(doing: &str, status: ExitStatus, capture: &Capture, size: u64) -> Result<()> {
    if status != ExitStatus::Code(0) {
        return Err(failed(doing, status, &capture.stderr));
    }
    let said = String::from_utf8_lossy(&capture.stdout);
    if said.lines().last().and_then(|l| l.trim().parse().ok()) == Some(size) {
        return Ok(());
    }
    Err(Error::failed(format!("{doing}: of {size} bytes there arrived: {}", said.trim())))
}

/// Writes bytes to a file.
pub(crate) async fn upload(
    to: &SshCommunicator,
    content: &[u8],
    remote: &str,
    mode: u32,
    cancel: &CancellationToken,
) -> Result<()> {
    let text = receive(remote, mode);
    let mut capture = Capture::default();
    let status = to.helper(&text, Input::Bytes(content), &mut capture, cancel).await?;
    received(&format!("the upload to {remote}"), status, &capture, content.len() as u64)
}

/// Copies a file.
pub(crate) async fn upload_file(
    to: &SshCommunicator,
    local: &Path,
    remote: &str,
    mode: u32,
    cancel: &CancellationToken,
) -> Result<()> {
    let text = receive(remote, mode);
    let (chunks, size) = file_chunks(local).map_err(|e| unreadable(local, &e))?;
    let mut capture = Capture::default();
    let status = to.helper(&text, Input::Chunks(chunks), &mut capture, cancel).await?;
    received(&format!("the upload of {} to {remote}", local.display()), status, &capture, size)
}

pub(crate) fn unreadable(path: &Path, e: &io::Error) -> Error {
    Error::new(ErrorKind::Invalid, format!("{} cannot be read: {e}", path.display()))
}

/// The content of a file, as it has the size now, in chunks.
fn file_chunks(path: &Path) -> io::Result<(mpsc::Receiver<io::Result<Bytes>>, u64)> {
    let mut file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    let (sender, receiver) = mpsc::channel(WAITING_CHUNKS);
    tokio::task::spawn_blocking(move || {
        let mut left = size;
        while left > 0 {
            let mut buffer = vec![0; CHUNK.min(usize::try_from(left).unwrap_or(CHUNK))];
            let chunk = match file.read(&mut buffer) {
                Ok(0) => Err(io::Error::other("the file became shorter while it was sent")),
                Ok(n) => {
                    left -= n as u64;
                    buffer.truncate(n);
                    Ok(Bytes::from(buffer))
                }
                Err(e) => Err(e),
            };
            let last = chunk.is_err();
            // Nobody listens any more: the transfer has ended.
            if sender.blocking_send(chunk).is_err() || last {
                return;
            }
        }
    });
    Ok((receiver, size))
}

/// Copies a directory as one tar stream.
pub(crate) async fn upload_dir(
    to: &SshCommunicator,
    local: &str,
    remote: &str,
    cancel: &CancellationToken,
) -> Result<()> {
    let (root, base) = tree::source(local);
    let entries = tree::walk(&root)?;
    let target = match &base {
        Some(base) => format!("{}/{}", remote.trim_end_matches('/'), base.display()),
        None => remote.to_owned(),
    };
    let root_mode = std::fs::metadata(&root).map_err(|e| unreadable(&root, &e))?.permissions().mode() & 0o777;
    let target = quote::path(&target);
    // Existing directories keep their modes: an upload into /tmp must not close it.
    let keep = if to.shell().tar == Some(Tar::Gnu) { " -p --no-overwrite-dir" } else { "" };
    let own = if base.is_some() { format!("chmod {root_mode:o} {target} && ") } else { String::new() };
    let text = quote::sh(&format!(
        "if [ ! -d {target} ]; then mkdir -p -- {target} && {own}:; fi && exec tar -x -o -m{keep} -f - -C {target}"
    ));
    let mut capture = Capture::default();
    let status = to.helper(&text, Input::Chunks(tar_chunks(entries)), &mut capture, cancel).await?;
    if status == ExitStatus::Code(0) {
        return Ok(());
    }
    Err(failed(&format!("the upload of {local} to {remote}"), status, &capture.stderr))
}

/// A tar stream of these entries, in chunks.
fn tar_chunks(entries: Vec<Entry>) -> mpsc::Receiver<io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(WAITING_CHUNKS);
    tokio::task::spawn_blocking(move || {
        let out = Chunks { sender: sender.clone(), buffer: Vec::with_capacity(CHUNK) };
        if let Err(e) = write_tar(&entries, out) {
            let _ = sender.blocking_send(Err(e));
        }
    });
    receiver
}

fn write_tar(entries: &[Entry], out: Chunks) -> io::Result<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let mut builder = tar::Builder::new(out);
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.mode);
        header.set_mtime(now);
        header.set_uid(0);
        header.set_gid(0);
        let Some(size) = entry.size else {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            builder.append_data(&mut header, &entry.name, io::empty())?;
            continue;
        };
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(size);
        let file = std::fs::File::open(&entry.local).map_err(|e| named(&entry.local, &e))?;
        let mut counted = Counted { inner: file.take(size), read: 0 };
        builder.append_data(&mut header, &entry.name, &mut counted)?;
        if counted.read != size {
            return Err(io::Error::other(format!("{} became shorter while it was sent", entry.local.display())));
        }
    }
    builder.into_inner()?.flush()
}

fn named(path: &Path, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

struct Counted<R> {
    inner: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.read += n as u64;
        Ok(n)
    }
}

/// Gathers what is written and sends it on.
struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.sender.blocking_send(Ok(full.into())).map_err(|_| io::Error::other("the transfer has ended"))
    }
}

/// Copies a remote file. It takes its name only when it is whole.
pub(crate) async fn download(
    from: &SshCommunicator,
    remote: &str,
    local: &Path,
    cancel: &CancellationToken,
) -> Result<()> {
    let file = quote::path(remote);
    let text = quote::sh(&format!("if [ -d {file} ]; then echo \"Is a directory\" >&2; exit 1; fi; exec cat <{file}"));
    let part = Part::create(local)?;
    let mut output = ToFile { file: part.open()?, error: None, stderr: Vec::new() };
    let status = from.helper(&text, Input::None, &mut output, cancel).await?;
    let doing = format!("the download of {remote}");
    if status != ExitStatus::Code(0) {
        let missing = String::from_utf8_lossy(&output.stderr).contains("o such file");
        let mut error = failed(&doing, status, &output.stderr);
        if missing {
            error.kind = ErrorKind::NotFound;
        }
        return Err(error);
    }
    if let Some(e) = output.error {
        return Err(Error::failed(format!("{doing}: {} cannot be written: {e}", local.display())));
    }
    part.finish()
}

/// A file on its way to its name.
pub(crate) struct Part {
    path: PathBuf,
    target: PathBuf,
    done: bool,
}

impl Part {
    /// Prepares a file beside the target; what is no regular file (a device, a link) is written in place.
    pub(crate) fn create(target: &Path) -> Result<Part> {
        let special = std::fs::symlink_metadata(target).is_ok_and(|m| !m.is_file());
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = if special {
            target.to_owned()
        } else {
            target.with_file_name(format!(".{name}.{:016x}.part", rand::random::<u64>()))
        };
        Ok(Part { path, target: target.to_owned(), done: special })
    }
    /// Opens it for writing.
    pub(crate) fn open(&self) -> Result<std::fs::File> {
        std::fs::File::create(&self.path).map_err(|e| {
            Error::new(ErrorKind::Invalid, format!("{} cannot be written: {e}", self.target.display()))
                .hint("choose another `destination`")
        })
    }
    /// Gives it its name.
    pub(crate) fn finish(mut self) -> Result<()> {
        if self.path != self.target {
            std::fs::rename(&self.path, &self.target)
                .map_err(|e| Error::failed(format!("{} cannot be written: {e}", self.target.display())))?;
        }
        self.done = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.done {
            // Nothing was promised of it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

struct ToFile {
    file: std::fs::File,
    error: Option<io::Error>,
    stderr: Vec<u8>,
}

fn keep(errors: &mut Vec<u8>, bytes: &[u8]) {
    let room = ERROR_TEXT.saturating_sub(errors.len());
    errors.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

impl Output for ToFile {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Stderr {
            keep(&mut self.stderr, bytes);
        } else if self.error.is_none() {
            self.error = self.file.write_all(bytes).err();
        }
    }
}

/// Copies remote files and directories (the name may be a pattern) into a local directory, each under its own name.
pub(crate) async fn download_dir(
    from: &SshCommunicator,
    remote: &str,
    local: &Path,
    cancel: &CancellationToken,
) -> Result<()> {
    let hard = if from.shell().tar == Some(Tar::Gnu) { " --hard-dereference" } else { "" };
    let text = quote::sh(&format!(
        "set --; for p in {}; do [ -e \"$p\" ] || {{ echo \"$p: No such file or directory\" >&2; exit 2; }}; \
         d=$(dirname -- \"$p\") && d=$(cd \"$d\" && pwd) || exit 2; set -- \"$@\" -C \"$d\" \"./$(basename -- \"$p\")\"; done; \
         exec tar -c -h{hard} -f - \"$@\"",
        quote::glob(remote)
    ));
    let (sender, receiver) = sync::sync_channel::<Vec<u8>>(WAITING_CHUNKS);
    let root = local.to_owned();
    let unpacking =
        tokio::task::spawn_blocking(move || unpack(Incoming { receiver, current: Vec::new(), at: 0 }, &root));
    let mut output = ToTar { sender: Some(sender), stderr: Vec::new() };
    let ran = from.helper(&text, Input::None, &mut output, cancel).await;
    drop(output.sender.take());
    let unpacked = unpacking.await.map_err(|e| Error::failed(format!("the download could not be unpacked: {e}")))?;
    let doing = format!("the download of {remote}");
    match ran? {
        // GNU tar's 1: a file changed while it was read, as log files do.
        ExitStatus::Code(0 | 1) if unpacked.is_ok() => Ok(()),
        ExitStatus::Code(0) => unpacked.map_err(|e| Error::failed(format!("{doing}: {e}"))),
        status => Err(failed(&doing, status, &output.stderr)),
    }
}

struct ToTar {
    sender: Option<sync::SyncSender<Vec<u8>>>,
    stderr: Vec<u8>,
}

impl Output for ToTar {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if stream == Stream::Stderr {
            keep(&mut self.stderr, bytes);
        } else if self.sender.as_ref().is_some_and(|s| s.send(bytes.to_vec()).is_err()) {
            // The unpacking has ended; its own error says why.
            self.sender = None;
        }
    }
}

struct Incoming {
    receiver: sync::Receiver<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.current.len() {
            match self.receiver.recv() {
                Ok(next) => (self.current, self.at) = (next, 0),
                Err(_) => return Ok(0),
            }
        }
        let n = buffer.len().min(self.current.len() - self.at);
        buffer[..n].copy_from_slice(&self.current[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Unpacks what a machine sent: files and directories only, never outside of `root`.
fn unpack(incoming: impl Read, root: &Path) -> io::Result<()> {
    std::fs::create_dir_all(root)?;
    let mut archive = tar::Archive::new(incoming);
    // Set last: a directory may be closed for writing.
    let mut modes = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let outside = |n: &Path| io::Error::other(format!("the machine sent the name {n:?}, which leads outside"));
        let target = tree::inside(root, &name).ok_or_else(|| outside(&name))?;
        let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent)?;
        }
        match entry.header().entry_type() {
            tar::EntryType::Directory => {
                if !target.exists() {
                    modes.push((target.clone(), mode | 0o700));
                }
                std::fs::create_dir_all(&target)?;
            }
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                let mut file = std::fs::File::create(&target)?;
                io::copy(&mut entry, &mut file)?;
                file.set_permissions(std::fs::Permissions::from_mode(mode))?;
            }
            tar::EntryType::Link => {
                let first = entry.link_name()?.unwrap_or_default().into_owned();
                std::fs::copy(tree::inside(root, &first).ok_or_else(|| outside(&first))?, &target)?;
            }
            // Devices, sockets and the like are not taken.
            _ => {}
        }
    }
    for (directory, mode) in modes.into_iter().rev() {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}
