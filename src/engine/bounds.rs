//! What a template may touch on our side. A stranger's template, one of a fork's pull request say, is kept to its own files.

use crate::{Error, ErrorKind, Result};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// Most files of a folder that are looked at before it is uploaded.
const MOST_FILES: usize = 100_000;

/// What the names of files begin with that actions of clouds leave in a workspace, with credentials in them
/// (google-github-actions/auth).
const CREDENTIALS: &str = "gha-creds-";

/// Variables that a stranger's template may see: where programs are and how texts are written, and no variable of a job.
const SHOWN: [&str; 9] = ["CI", "HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"];

/// What values of template variables are called in the environment.
const VARIABLES: [&str; 2] = ["PKR_VAR_", "TF_VAR_"];

/// Words in the name of a variable that holds a credential.
const SECRET_WORDS: [&str; 6] = ["secret", "access_key", "token", "credential", "account_file", "password"];

/// The part of our side that a template may touch. Without bounds it is all of it.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    root: Option<Arc<Path>>,
}

impl Bounds {
    /// Those of a stranger's template: files below `root` (the working directory) that are not hidden, wherever links lead.
    ///
    /// # Errors
    /// A folder that cannot be resolved.
    pub fn of_a_stranger(root: &Path) -> Result<Bounds> {
        let real = root.canonicalize().map_err(|e| Error::failed(format!("{}: {e}", root.display())))?;
        Ok(Bounds { root: Some(real.into()) })
    }

    /// Whether the template is a stranger's.
    pub fn strange(&self) -> bool {
        self.root.is_some()
    }

    /// Whether a file, or a folder with all in it, may be read. What is not there is nobody's secret: whoever reads it
    /// finds that out.
    ///
    /// # Errors
    /// Where it lies outside; [`ErrorKind::Invalid`] with the cure.
    pub fn read(&self, path: &Path) -> Result<()> {
        let Some(root) = &self.root else { return Ok(()) };
        let Ok(real) = path.canonicalize() else { return outside_of_nothing(root, path) };
        if !within(root, &real) {
            return Err(outside(path));
        }
        if real.is_dir() { every(root, &real) } else { Ok(()) }
    }

    /// Whether a file may be written, and folders for it made.
    ///
    /// # Errors
    /// Where it lies outside, or is a link; [`ErrorKind::Invalid`] with the cure.
    pub fn write(&self, path: &Path) -> Result<()> {
        let Some(root) = &self.root else { return Ok(()) };
        if path.symlink_metadata().is_ok_and(|m| m.is_symlink()) {
            return Err(outside(path));
        }
        outside_of_nothing(root, path)
    }

    /// Whether `env` and default values of a template may see a variable.
    pub fn shows(&self, variable: &str) -> bool {
        if !self.strange() || SHOWN.contains(&variable) || variable.starts_with("LC_") {
            return true;
        }
        let given = VARIABLES.iter().any(|p| variable.starts_with(p));
        let name = variable.to_lowercase();
        given && !SECRET_WORDS.iter().any(|word| name.contains(word))
    }
}

/// A path that does not exist: judged by what exists of it, and without `..` in the rest.
fn outside_of_nothing(root: &Path, path: &Path) -> Result<()> {
    for ancestor in path.ancestors() {
        let Ok(real) = ancestor.canonicalize() else { continue };
        let rest = path.strip_prefix(ancestor).unwrap_or(path);
        let plain = rest.components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        return if plain && within(root, &real.join(rest)) { Ok(()) } else { Err(outside(path)) };
    }
    Err(outside(path))
}

/// Whether a resolved path lies in the root, and is neither hidden nor a repository's own, nor left there by another action.
fn within(root: &Path, real: &Path) -> bool {
    let Ok(rest) = real.strip_prefix(root) else { return false };
    let open = |c: Component<'_>| !c.as_os_str().to_string_lossy().starts_with('.');
    let plain = |c: Component<'_>| c.as_os_str() != ".git" && !c.as_os_str().to_string_lossy().starts_with(CREDENTIALS);
    // The first part of a hidden path is what counts: `.github`, `.env`, `.docker`; a repository may lie deeper.
    rest.components().next().is_none_or(open) && rest.components().all(plain)
}

/// Looks at everything in a folder: a link in it may lead anywhere.
fn every(root: &Path, folder: &Path) -> Result<()> {
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    let mut left = MOST_FILES;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            left = left.checked_sub(1).ok_or_else(|| outside(&folder))?;
            let Ok(real) = path.canonicalize() else { continue };
            if !within(root, &real) {
                return Err(outside(&path));
            }
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                folders.push(path);
            }
        }
    }
    Ok(())
}

fn outside(path: &Path) -> Error {
    let what = format!("{} is not for a template of a fork or of an untrusted event", path.display());
    Error::new(ErrorKind::Invalid, what)
        .detail("Such a template reads and writes files below the working directory alone, and no hidden ones.")
        .hint("use a file of the pull request itself, without a link that leads elsewhere")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_stranger_has_its_own_files_only() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("work");
        fs::create_dir_all(root.join(".git")).unwrap();
        fs::create_dir_all(root.join("scripts/deep")).unwrap();
        fs::create_dir_all(root.join("links")).unwrap();
        for file in [".git/config", "scripts/a.sh", "gha-creds-1.json", "../secret"] {
            fs::write(root.join(file), "x").unwrap();
        }
        symlink("/proc/self/environ", root.join("links/environ")).unwrap();
        symlink("../.git", root.join("links/git")).unwrap();
        symlink(dir.path(), root.join("up")).unwrap();
        let bounds = Bounds::of_a_stranger(&root).unwrap();
        let reads = |path: &str| bounds.read(&root.join(path)).is_ok();
        fs::write(root.join("scripts/.bashrc"), "x").unwrap();
        assert!(
            ["scripts/a.sh", "scripts", "scripts/.bashrc", "scripts/../scripts/a.sh", "not-there"]
                .iter()
                .all(|p| reads(p))
        );
        let refused = [
            ".git/config",
            "gha-creds-1.json",
            "../secret",
            "up/secret",
            "links/environ",
            "links",
            "links/git/config",
            "/proc/self/environ",
            "/etc/passwd",
            "nowhere/../../secret2",
            ".",
        ];
        let open: Vec<_> = refused.iter().filter(|p| reads(p)).collect();
        assert!(open.is_empty(), "{open:?}");
        let writes = |path: &str| bounds.write(&root.join(path)).is_ok();
        assert!(writes("manifest.json") && writes("out/deep/sums.txt") && writes("scripts/a.sh"));
        let refused =
            ["/tmp/x", "../x", "links/environ", "up/x", ".git/hooks/post-checkout", "out/../../x", ".github/x"];
        let open: Vec<_> = refused.iter().filter(|p| writes(p)).collect();
        assert!(open.is_empty(), "{open:?}");
        assert!(Bounds::default().read(Path::new("/etc/passwd")).is_ok());
    }

    #[test]
    fn a_stranger_sees_no_variable_of_the_job() {
        let dir = tempfile::tempdir().unwrap();
        let bounds = Bounds::of_a_stranger(dir.path()).unwrap();
        let shown = ["PATH", "HOME", "LC_ALL", "PKR_VAR_region"];
        let hidden = ["GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "AWS_SECRET_ACCESS_KEY", "PKR_VAR_db_password", "X"];
        assert!(shown.iter().all(|v| bounds.shows(v)) && !hidden.iter().any(|v| bounds.shows(v)));
        assert!(hidden.iter().all(|v| Bounds::default().shows(v)));
    }
}
