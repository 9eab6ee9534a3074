//! A local directory as it is sent: links followed, in the order of the names.

use image_action_engine::{Error, ErrorKind, Result};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// How deep directories may nest.
const DEPTH_LIMIT: usize = 200;

/// One entry below the root.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Where it is.
    pub(crate) local: PathBuf,
    /// Its name below the root.
    pub(crate) name: PathBuf,
    /// Its permission bits.
    pub(crate) mode: u32,
    /// The size of a file; `None` for a directory.
    pub(crate) size: Option<u64>,
}

/// What to send for a source as a template names it: with a slash at its end (or `.`) its contents, else itself.
pub(crate) fn source(local: &str) -> (PathBuf, Option<PathBuf>) {
    let path = PathBuf::from(local);
    let last = path.components().next_back();
    let contents = local.ends_with('/') || local.ends_with("/.") || !matches!(last, Some(Component::Normal(_)));
    let base = if contents { None } else { path.file_name().map(PathBuf::from) };
    (path, base)
}

/// Everything below a directory, parents first. Links to files and directories are followed, as scp does.
///
/// # Errors
/// Where something cannot be read, a link leads nowhere or in a circle, or something is neither file nor directory.
pub(crate) fn walk(root: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut above = Vec::new();
    below(root, Path::new(""), &mut above, &mut entries)?;
    Ok(entries)
}

fn bad(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, format!("{}: {why}", path.display()))
}

fn below(directory: &Path, name: &Path, above: &mut Vec<PathBuf>, entries: &mut Vec<Entry>) -> Result<()> {
    let real = directory.canonicalize().map_err(|e| bad(directory, e))?;
    if above.contains(&real) {
        return Err(bad(directory, "the link leads to a directory that contains it").hint("remove the link"));
    }
    if above.len() >= DEPTH_LIMIT {
        return Err(bad(directory, format!("directories nest deeper than {DEPTH_LIMIT} levels")));
    }
    above.push(real);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(|e| bad(directory, e))? {
        names.push(entry.map_err(|e| bad(directory, e))?.file_name());
    }
    names.sort();
    for entry in names {
        let (local, name) = (directory.join(&entry), name.join(&entry));
        let meta = std::fs::metadata(&local).map_err(|e| {
            let link = std::fs::symlink_metadata(&local).is_ok_and(|m| m.is_symlink());
            let why = if link { format!("the link leads nowhere ({e})") } else { e.to_string() };
            bad(&local, why).hint("remove it, or leave it out of the directory that is uploaded")
        })?;
        let mode = meta.permissions().mode() & 0o7777;
        if meta.is_dir() {
            entries.push(Entry { local: local.clone(), name: name.clone(), mode, size: None });
            below(&local, &name, above, entries)?;
        } else if meta.is_file() {
            entries.push(Entry { local, name, mode, size: Some(meta.len()) });
        } else {
            return Err(bad(&local, "it is neither a file nor a directory"));
        }
    }
    above.pop();
    Ok(())
}

/// A name that a machine sent, below `root`; `None` where it leads outside.
pub(crate) fn inside(root: &Path, name: &Path) -> Option<PathBuf> {
    let mut path = root.to_owned();
    for part in name.components() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(path)
}
