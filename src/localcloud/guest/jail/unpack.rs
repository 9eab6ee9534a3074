//! Unpacks a tar into a folder. Runs as a process of its own whose root is that folder: whatever names and links the tar holds,
//! nothing outside can be written.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, makedev, mknod, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{FchownatFlags, Gid, Uid, chdir, chroot, fchownat, mkfifo};
use tar::{Archive, Entry, EntryType};

use super::{Doing, Refused, Step};
use crate::guest::layer::{OPAQUE, OPAQUE_ATTRIBUTES, WHITEOUT_PREFIX};
use crate::guest::space::Helper;

/// First bytes of a gzip file.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Buffer for reading the tar, bytes.
const BUFFER: usize = 1 << 20;

/// Unpacks the tar on standard input (plain or gzip) into `folder`; `kind` is `root` or `layer` (whiteouts are translated).
pub fn main(folder: &OsStr, kind: &OsStr) -> Step<ExitCode> {
    chroot(folder).doing("entering the folder to unpack into")?;
    chdir("/").doing("entering the folder to unpack into")?;
    nix::sys::stat::umask(Mode::empty());
    // SAFETY: standard input is open and used nowhere else.
    let input = File::from(unsafe { OwnedFd::from_raw_fd(0) });
    let mut input = BufReader::with_capacity(BUFFER, input);
    let gzip = io::BufRead::fill_buf(&mut input).doing("reading the tar")?.starts_with(&GZIP_MAGIC);
    let input: Box<dyn Read> = if gzip { Box::new(flate2::read::MultiGzDecoder::new(input)) } else { Box::new(input) };
    let mut archive = Archive::new(input);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(true);
    archive.set_unpack_xattrs(true);
    let layer = kind.as_bytes() == b"layer";
    let mut folders = Vec::new();
    for entry in archive.entries().doing("reading the tar")? {
        let mut entry = entry.doing("reading the tar")?;
        let path = entry.path().doing("reading the tar")?;
        let path = Path::new("/").join(path.strip_prefix("/").unwrap_or(&path));
        one(&mut entry, &path, layer, &mut folders).doing(&path.display().to_string())?;
    }
    // Times of folders last: what was put into them has changed them.
    for (path, time) in folders.iter().rev() {
        let time = TimeSpec::new(*time, 0);
        let _ = utimensat(AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink);
    }
    Ok(ExitCode::SUCCESS)
}

fn one<R: Read>(
    entry: &mut Entry<'_, R>,
    path: &Path,
    layer: bool,
    folders: &mut Vec<(PathBuf, i64)>,
) -> io::Result<()> {
    let name = path.file_name().map(OsStr::as_bytes).unwrap_or_default().to_vec();
    if layer && name.starts_with(WHITEOUT_PREFIX.as_bytes()) {
        let parent = path.parent().unwrap_or(Path::new("/"));
        return whiteout(parent, &name);
    }
    match entry.header().entry_type() {
        // Device nodes stay out: /dev of a guest is made by us.
        EntryType::Block | EntryType::Char => Ok(()),
        EntryType::Fifo => {
            let header = entry.header();
            mkfifo(path, Mode::from_bits_truncate(header.mode()?))?;
            let (uid, gid) = (Uid::from_raw(header.uid()? as u32), Gid::from_raw(header.gid()? as u32));
            fchownat(AT_FDCWD, path, Some(uid), Some(gid), FchownatFlags::AT_SYMLINK_NOFOLLOW)?;
            Ok(fchmodat(AT_FDCWD, path, Mode::from_bits_truncate(header.mode()?), FchmodatFlags::FollowSymlink)?)
        }
        EntryType::Directory => {
            folders.push((path.to_owned(), entry.header().mtime()? as i64));
            entry.unpack_in("/").map(|_| ())
        }
        _ => entry.unpack_in("/").map(|_| ()),
    }
}

fn whiteout(parent: &Path, name: &[u8]) -> io::Result<()> {
    if name == OPAQUE.as_bytes() {
        let parent = std::ffi::CString::new(parent.as_os_str().as_bytes())?;
        // Root of a user namespace may write the second name only, and overlayfs reads it there.
        let mut last = Ok(());
        for name in OPAQUE_ATTRIBUTES {
            let name = std::ffi::CString::new(name)?;
            // SAFETY: both strings end in NUL and the value is one byte that outlives the call.
            let rc = unsafe { libc::lsetxattr(parent.as_ptr(), name.as_ptr(), b"y".as_ptr().cast(), 1, 0) };
            if rc == 0 {
                return Ok(());
            }
            last = Err(io::Error::last_os_error());
        }
        return last;
    }
    let hidden = &name[WHITEOUT_PREFIX.len()..];
    if hidden.is_empty() || hidden == b"." || hidden == b".." {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a whiteout of nothing"));
    }
    let path = parent.join(OsStr::from_bytes(hidden));
    Ok(mknod(&path, SFlag::S_IFCHR, Mode::empty(), makedev(0, 0))?)
}

/// Starts the helper that unpacks, with the tar on its standard input, and waits for it.
///
/// # Errors
/// When the helper cannot be started or the tar is damaged; the text says where.
pub fn unpack(helper: &Helper, tar: File, folder: &Path, kind: &str) -> Step<()> {
    let mut command = helper.command();
    command.arg(super::UNPACK).arg(folder).arg(kind);
    command.stdin(tar).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let output = command.output().doing("starting the helper that unpacks")?;
    if output.status.success() {
        return Ok(());
    }
    Err(Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}
