//! Files by the sftp subsystem: where a template asks for it, or where there is no shell of Unix.

use crate::ssh::SshCommunicator;
use crate::stream::{Part, unreadable};
use crate::tree;
use image_action_engine::{Error, ErrorKind, Result};
use russh_sftp::client::SftpSession;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::client::fs::Metadata;
use russh_sftp::protocol::{FileAttributes, StatusCode};
use std::io::Write;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

/// How long one request may take, in seconds: a write waits for the machine's disk.
const REQUEST_LIMIT: u64 = 120;

/// How much is read at once, in bytes.
const CHUNK: usize = 256 << 10;

async fn session(on: &SshCommunicator, cancel: &CancellationToken) -> Result<SftpSession> {
    let refused = |e: &dyn std::fmt::Display| {
        Error::failed(format!("the machine offers no sftp: {e}"))
            .hint("sshd needs a line `Subsystem sftp …`; or set ssh_file_transfer_method = \"scp\"")
    };
    let work = async {
        let channel = on.open(cancel).await?.channel;
        channel.request_subsystem(true, "sftp").await.map_err(|e| refused(&e))?;
        let session = SftpSession::new(channel.into_stream()).await.map_err(|e| refused(&e))?;
        session.set_timeout(REQUEST_LIMIT);
        Ok(session)
    };
    unless(cancel, work).await
}

async fn unless<T>(cancel: &CancellationToken, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::select! {
        () = cancel.cancelled() => Err(Error::cancelled()),
        result = work => result,
    }
}

fn failed(doing: &str, path: &str, e: &dyn std::fmt::Display) -> Error {
    Error::failed(format!("{doing} {path}: {e}"))
}

/// A path as sftp has it: relative ones start from the home directory.
fn remote_path(path: &str) -> &str {
    path.strip_prefix("~/").unwrap_or(path)
}

/// Makes a directory and its parents.
async fn make_dirs(sftp: &SftpSession, path: &str) -> Result<()> {
    let mut at = String::new();
    for part in path.split_inclusive('/') {
        at.push_str(part);
        let name = at.trim_end_matches('/');
        if name.is_empty() || sftp.metadata(name).await.is_ok() {
            continue;
        }
        if let Err(e) = sftp.create_dir(name).await
            && sftp.metadata(name).await.is_err()
        {
            return Err(failed("the directory cannot be made:", name, &e));
        }
    }
    Ok(())
}

fn mode_only(mode: u32) -> Metadata {
    FileAttributes { permissions: Some(mode), ..FileAttributes::empty() }
}

async fn write(
    sftp: &SftpSession,
    remote: &str,
    mode: u32,
    mut content: impl tokio::io::AsyncRead + Unpin,
) -> Result<u64> {
    let say = |e: &dyn std::fmt::Display| failed("the upload to", remote, e);
    let mut file = sftp.create(remote).await.map_err(|e| say(&e))?;
    let size = tokio::io::copy(&mut content, &mut file).await.map_err(|e| say(&e))?;
    file.shutdown().await.map_err(|e| say(&e))?;
    // An existing file of somebody else keeps its mode.
    let _ = sftp.set_metadata(remote, mode_only(mode)).await;
    let arrived = sftp.metadata(remote).await.map_err(|e| say(&e))?.size;
    if arrived.is_some_and(|n| n != size) {
        return Err(say(&format!("of {size} bytes {} arrived", arrived.unwrap_or(0))));
    }
    Ok(size)
}

async fn parents(sftp: &SftpSession, remote: &str) -> Result<()> {
    match remote.rfind('/') {
        Some(n) if n > 0 => make_dirs(sftp, &remote[..n]).await,
        _ => Ok(()),
    }
}

/// Writes bytes to a file.
pub(crate) async fn upload(
    to: &SshCommunicator,
    content: &[u8],
    remote: &str,
    mode: u32,
    cancel: &CancellationToken,
) -> Result<()> {
    let sftp = session(to, cancel).await?;
    let remote = remote_path(remote);
    unless(cancel, async {
        parents(&sftp, remote).await?;
        write(&sftp, remote, mode, content).await.map(drop)
    })
    .await
}

/// Copies a file.
pub(crate) async fn upload_file(
    to: &SshCommunicator,
    local: &Path,
    remote: &str,
    mode: u32,
    cancel: &CancellationToken,
) -> Result<()> {
    let sftp = session(to, cancel).await?;
    let remote = remote_path(remote);
    unless(cancel, async {
        let file = tokio::fs::File::open(local).await.map_err(|e| unreadable(local, &e))?;
        parents(&sftp, remote).await?;
        write(&sftp, remote, mode, tokio::io::BufReader::with_capacity(CHUNK, file)).await.map(drop)
    })
    .await
}

/// Copies a directory, file by file.
pub(crate) async fn upload_dir(
    to: &SshCommunicator,
    local: &str,
    remote: &str,
    cancel: &CancellationToken,
) -> Result<()> {
    let (root, base) = tree::source(local);
    let entries = tree::walk(&root)?;
    let remote = remote_path(remote).trim_end_matches('/');
    let target = base.map_or_else(|| remote.to_owned(), |b| format!("{remote}/{}", b.display()));
    let sftp = session(to, cancel).await?;
    unless(cancel, async {
        make_dirs(&sftp, &target).await?;
        for entry in &entries {
            let name = format!("{target}/{}", entry.name.display());
            if entry.size.is_none() {
                if sftp.metadata(&name).await.is_err() {
                    sftp.create_dir(&name).await.map_err(|e| failed("the directory cannot be made:", &name, &e))?;
                    let _ = sftp.set_metadata(&name, mode_only(entry.mode)).await;
                }
                continue;
            }
            let file = tokio::fs::File::open(&entry.local).await.map_err(|e| unreadable(&entry.local, &e))?;
            write(&sftp, &name, entry.mode, tokio::io::BufReader::with_capacity(CHUNK, file)).await?;
        }
        Ok(())
    })
    .await
}

async fn read(sftp: &SftpSession, remote: &str, local: &Path) -> Result<()> {
    let say = |e: &SftpError| {
        let mut error = failed("the download of", remote, e);
        if matches!(e, SftpError::Status(s) if s.status_code == StatusCode::NoSuchFile) {
            error.kind = ErrorKind::NotFound;
        }
        error
    };
    let mut file = sftp.open(remote).await.map_err(|e| say(&e))?;
    let part = Part::create(local)?;
    let mut out = part.open()?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let n = file.read(&mut buffer).await.map_err(|e| failed("the download of", remote, &e))?;
        if n == 0 {
            return part.finish();
        }
        out.write_all(&buffer[..n]).map_err(|e| failed("writing", &local.display().to_string(), &e))?;
    }
}

/// Copies a remote file.
pub(crate) async fn download(
    from: &SshCommunicator,
    remote: &str,
    local: &Path,
    cancel: &CancellationToken,
) -> Result<()> {
    let sftp = session(from, cancel).await?;
    unless(cancel, read(&sftp, remote_path(remote), local)).await
}

/// Copies a remote directory into a local one, under its own name. Patterns need a shell of Unix.
pub(crate) async fn download_dir(
    from: &SshCommunicator,
    remote: &str,
    local: &Path,
    cancel: &CancellationToken,
) -> Result<()> {
    if remote.contains(['*', '?', '[']) {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("{remote}: patterns need a shell of Unix and tar on the machine"),
        )
        .hint("name the directory"));
    }
    let sftp = session(from, cancel).await?;
    let root = remote_path(remote).trim_end_matches('/').to_owned();
    let base = root.rsplit('/').next().unwrap_or_default().to_owned();
    unless(cancel, async {
        let mut open = vec![(root, local.join(base))];
        while let Some((directory, into)) = open.pop() {
            std::fs::create_dir_all(&into).map_err(|e| failed("writing", &into.display().to_string(), &e))?;
            let listed = sftp.read_dir(&directory).await.map_err(|e| failed("the download of", &directory, &e))?;
            for entry in listed {
                let name = entry.file_name();
                let Some(target) = tree::inside(&into, Path::new(&name)).filter(|_| !name.contains('/')) else {
                    return Err(Error::failed(format!("the machine sent the name {name:?}, which leads outside")));
                };
                let path = format!("{directory}/{name}");
                let meta = sftp.metadata(&path).await.map_err(|e| failed("the download of", &path, &e))?;
                if meta.is_dir() {
                    open.push((path, target));
                } else if meta.is_regular() {
                    read(&sftp, &path, &target).await?;
                }
            }
        }
        Ok(())
    })
    .await
}
