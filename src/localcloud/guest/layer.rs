//! Layers of local images: what a guest changed, written as an OCI layer tar and unpacked again.
//!
//! overlayfs marks a removed name with a character device 0/0 and a replaced folder with an extended attribute; in the tar these
//! are the empty files `.wh.NAME` and `.wh..wh..opq` of the OCI image specification ("Whiteouts").

use std::collections::HashMap;
use std::ffi::{CString, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use tar::{Builder, EntryType, Header};

use super::space::Helper;
use super::wire::JailFile;
use super::{GuestError, Layer};

/// Start of the name that says that the rest of it is removed.
pub const WHITEOUT_PREFIX: &str = ".wh.";
/// Name that says that nothing below its folder shines through.
pub const OPAQUE: &str = ".wh..wh..opq";
/// Prefixes of the extended attributes in which overlayfs keeps its own notes: as root, and in a user namespace.
const OVERLAY_ATTRIBUTES: [&str; 2] = ["trusted.overlay.", "user.overlay."];
/// The attributes that make overlayfs hide what is below a folder, in the same order.
pub const OPAQUE_ATTRIBUTES: [&str; 2] = ["trusted.overlay.opaque", "user.overlay.opaque"];
/// Buffer in front of the tar file, bytes.
const BUFFER: usize = 1 << 20;
/// Folders that a guest has mounted: what lies under the mounts is not part of its disk.
const MOUNTED: [&str; 4] = ["dev", "proc", "run", "sys"];

/// What to leave out of a layer: the files that the local cloud itself laid into the guest.
pub struct Skip<'a> {
    /// The files, as they were given to the guest.
    pub files: &'a [JailFile],
    /// Lower folders of the guest, topmost first.
    pub lowers: &'a [PathBuf],
}

impl Skip<'_> {
    /// Whether the change at `path` is none: an untouched copy of a file of ours, or the removal of one that no lower folder has.
    fn leaves_out(&self, path: &Path, full: &Path, meta: &Metadata) -> io::Result<bool> {
        let Some(file) = self.files.iter().find(|f| Path::new(&f.path) == path) else { return Ok(false) };
        if is_whiteout(meta) {
            return Ok(!self.lowers.iter().any(|l| l.join(path).symlink_metadata().is_ok_and(|m| !is_whiteout(&m))));
        }
        Ok(meta.is_file() && meta.len() == file.text.len() as u64 && fs::read(full)? == file.text.as_bytes())
    }
}

fn is_whiteout(meta: &Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

/// Writes the upper folder of a guest that has no processes any more as a layer into `into`, named by its digest.
///
/// # Errors
/// [`GuestError::Layer`] with the path that could not be read or written.
pub fn pack(upper: &Path, skip: &Skip<'_>, into: &Path) -> Result<Layer, GuestError> {
    let failed = |e: io::Error| GuestError::Layer(format!("{}: {e}", into.display()));
    private_folder(into).map_err(failed)?;
    let temporary = tempfile::Builder::new().prefix(".layer-").tempfile_in(into).map_err(failed)?;
    let file = temporary.as_file().try_clone().map_err(failed)?;
    let sink = Hashing { file: BufWriter::with_capacity(BUFFER, file), digest: Context::new(&SHA256), size: 0 };
    let mut tar = Builder::new(sink);
    tar.follow_symlinks(false);
    let mut packer = Packer { tar, upper, skip, links: HashMap::new() };
    packer.folder(Path::new(""))?;
    let Hashing { file, digest, size } = packer.tar.into_inner().map_err(failed)?;
    file.into_inner().map_err(|e| failed(e.into_error()))?;
    let sha256 = hex::encode(digest.finish());
    let path = into.join(format!("{sha256}.tar"));
    temporary.persist(&path).map_err(|e| failed(e.error))?;
    Ok(Layer { path, sha256, size })
}

/// A file that learns its own digest while it is written. By ring, whose SHA-256 is fast in a program that is not optimised, too:
/// tests take digests of hundreds of megabytes.
struct Hashing<W> {
    file: W,
    digest: Context,
    size: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.digest.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

struct Packer<'a, W: Write> {
    tar: Builder<W>,
    upper: &'a Path,
    skip: &'a Skip<'a>,
    /// First name of every file that has several.
    links: HashMap<u64, PathBuf>,
}

impl<W: Write> Packer<'_, W> {
    fn folder(&mut self, folder: &Path) -> Result<(), GuestError> {
        let full = self.upper.join(folder);
        let at = |e: io::Error| GuestError::Layer(format!("{}: {e}", full.display()));
        let names = fs::read_dir(&full).map_err(at)?.map(|e| e.map(|e| e.file_name())).collect::<io::Result<Vec<_>>>();
        let mut names: Vec<OsString> = names.map_err(at)?;
        names.sort();
        for name in names {
            let path = folder.join(&name);
            let top = folder.as_os_str().is_empty() && MOUNTED.iter().any(|m| name == *m);
            // The specification has no way to say that a real file begins like a whiteout.
            if top || name.as_bytes().starts_with(WHITEOUT_PREFIX.as_bytes()) {
                continue;
            }
            let is_folder = self.entry(&path).map_err(|e| GuestError::Layer(format!("/{}: {e}", path.display())))?;
            if is_folder {
                self.folder(&path)?;
            }
        }
        Ok(())
    }

    /// Writes one entry; true for a folder.
    fn entry(&mut self, path: &Path) -> io::Result<bool> {
        let full = self.upper.join(path);
        let meta = full.symlink_metadata()?;
        if self.skip.leaves_out(path, &full, &meta)? {
            return Ok(false);
        }
        if is_whiteout(&meta) {
            let mut name = OsString::from(WHITEOUT_PREFIX);
            name.push(path.file_name().unwrap_or_default());
            self.mark(&path.with_file_name(name), &meta)?;
            return Ok(false);
        }
        let kind = meta.file_type();
        if meta.nlink() > 1 && !kind.is_dir() {
            if let Some(first) = self.links.get(&meta.ino()) {
                let mut header = header(&meta, EntryType::Link);
                self.tar.append_link(&mut header, path, first)?;
                return Ok(false);
            }
            self.links.insert(meta.ino(), path.to_owned());
        }
        let attributes = attributes(&full)?;
        let opaque = attributes.iter().any(|(n, v)| OPAQUE_ATTRIBUTES.contains(&n.as_str()) && v == b"y");
        let kept: Vec<(String, &[u8])> = attributes
            .iter()
            .filter(|(n, _)| !OVERLAY_ATTRIBUTES.iter().any(|p| n.starts_with(p)))
            .map(|(n, v)| (format!("SCHILY.xattr.{n}"), v.as_slice()))
            .collect();
        if !kept.is_empty() {
            self.tar.append_pax_extensions(kept.iter().map(|(n, v)| (n.as_str(), *v)))?;
        }
        if kind.is_file() {
            self.tar.append_file(path, &mut File::open(&full)?)?;
        } else if kind.is_dir() {
            self.tar.append_data(&mut header(&meta, EntryType::Directory), path, io::empty())?;
            if opaque {
                self.mark(&path.join(OPAQUE), &meta)?;
            }
        } else if kind.is_symlink() {
            self.tar.append_link(&mut header(&meta, EntryType::Symlink), path, fs::read_link(&full)?)?;
        } else if kind.is_fifo() {
            self.tar.append_data(&mut header(&meta, EntryType::Fifo), path, io::empty())?;
        }
        // Sockets and device nodes mean nothing on the next machine.
        Ok(kind.is_dir())
    }

    fn mark(&mut self, path: &Path, like: &Metadata) -> io::Result<()> {
        let mut header = header(like, EntryType::Regular);
        header.set_mode(0);
        self.tar.append_data(&mut header, path, io::empty())
    }
}

fn header(meta: &Metadata, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_metadata(meta);
    header.set_entry_type(kind);
    header.set_size(0);
    header
}

/// Extended attributes of a file, symbolic links not followed.
fn attributes(path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path ends in NUL; with size 0 nothing is written, the size that is needed comes back.
    let names = sized(|buffer, len| unsafe { libc::llistxattr(path.as_ptr(), buffer.cast(), len) })?;
    let mut found = Vec::new();
    for name in names.split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let c_name = CString::new(name)?;
        // SAFETY: as above.
        let value =
            sized(|buffer, len| unsafe { libc::lgetxattr(path.as_ptr(), c_name.as_ptr(), buffer.cast(), len) })?;
        found.push((OsString::from_vec(name.to_vec()).to_string_lossy().into_owned(), value));
    }
    Ok(found)
}

/// Calls a function of the getxattr family twice: for the size, then for the bytes.
fn sized(mut call: impl FnMut(*mut u8, usize) -> libc::ssize_t) -> io::Result<Vec<u8>> {
    let unsupported = |e: &io::Error| e.raw_os_error() == Some(libc::EOPNOTSUPP);
    let wanted = call(std::ptr::null_mut(), 0);
    if wanted < 0 {
        let error = io::Error::last_os_error();
        return if unsupported(&error) { Ok(Vec::new()) } else { Err(error) };
    }
    let mut buffer = vec![0; wanted as usize];
    if wanted == 0 {
        return Ok(buffer);
    }
    let got = call(buffer.as_mut_ptr(), buffer.len());
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    buffer.truncate(got as usize);
    Ok(buffer)
}

/// The folder of a layer, unpacked next to its tar the first time it is asked for.
///
/// # Errors
/// [`GuestError::Layer`] when the tar is not what its digest says, or cannot be unpacked.
pub fn unpacked(layer: &Layer, helper: &Helper) -> Result<PathBuf, GuestError> {
    let failed = |what: &Path, e: &dyn std::fmt::Display| GuestError::Layer(format!("{}: {e}", what.display()));
    let folder = layer.path.with_extension("");
    let lock = layer.path.with_extension("lock");
    let lock_file = File::create(&lock).map_err(|e| failed(&lock, &e))?;
    lock_file.lock().map_err(|e| failed(&lock, &e))?;
    if folder.is_dir() {
        return Ok(folder);
    }
    let mut tar = File::open(&layer.path).map_err(|e| failed(&layer.path, &e))?;
    let mut reading = Hashing { file: io::sink(), digest: Context::new(&SHA256), size: 0 };
    io::copy(&mut tar, &mut reading).map_err(|e| failed(&layer.path, &e))?;
    if hex::encode(reading.digest.finish()) != layer.sha256 {
        return Err(failed(&layer.path, &"is not the file that was captured (its SHA-256 differs)"));
    }
    io::Seek::rewind(&mut tar).map_err(|e| failed(&layer.path, &e))?;
    let partial = layer.path.with_extension("partial");
    helper.remove_tree(&partial).map_err(|e| failed(&partial, &e))?;
    fs::create_dir(&partial).map_err(|e| failed(&partial, &e))?;
    super::jail::unpack::unpack(helper, tar, &partial, "layer").map_err(|e| failed(&layer.path, &e.0))?;
    fs::rename(&partial, &folder).map_err(|e| failed(&folder, &e))?;
    Ok(folder)
}

/// Removes a folder and all in it; one that is not there is fine.
///
/// # Errors
/// As [`fs::remove_dir_all`].
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes a folder into which only its owner can look. Files of guests keep their set-user-id bits, and no other user of this machine may
/// run them.
///
/// # Errors
/// As mkdir(2) and chmod(2).
pub fn private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700))
}
