//! The files of another revision, out of git's own store: no work tree is touched, nothing of the repository is run.

use image_action_engine::{Env, Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

/// Most files that are taken out.
const FILES: usize = 50_000;

/// The largest file that is taken out, in bytes: templates and scripts are small.
const FILE_SIZE: u64 = 16 << 20;

/// The most bytes of all files together.
const TOTAL_SIZE: u64 = 512 << 20;

/// The longest name of a revision.
const NAME: usize = 250;

/// A revision's files.
pub struct Revision {
    /// The commit.
    pub commit: String,
    /// The folder that stands for the repository's root; it goes with this value.
    pub root: tempfile::TempDir,
    /// The working directory in it.
    pub cwd: PathBuf,
    /// The root of the repository itself.
    pub repository: PathBuf,
    /// Files that were too large to be taken out.
    pub left_out: usize,
}

/// git, in a folder. Its configuration can name programs to run, and none of them is wanted: objects are only read.
struct Git<'a> {
    cwd: &'a Path,
    env: &'a Env,
}

impl Git<'_> {
    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("git");
        command.env_clear();
        for name in ["PATH", "HOME"] {
            command.envs(self.env.get(name).map(|value| (name, value)));
        }
        command
            .envs([
                ("LC_ALL", "C"),
                ("GIT_CONFIG_NOSYSTEM", "1"),
                ("GIT_OPTIONAL_LOCKS", "0"),
                // What is not here is not fetched.
                ("GIT_NO_LAZY_FETCH", "1"),
                ("GIT_TERMINAL_PROMPT", "0"),
                ("GIT_NO_REPLACE_OBJECTS", "1"),
            ])
            // In a container the files belong to the runner's user, and we are another one: git would refuse.
            .args([
                "--no-pager",
                "-c",
                "safe.directory=*",
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.hooksPath=/dev/null",
            ])
            .args(arguments)
            .current_dir(self.cwd)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
    /// What it prints; `Err` with what it says where it fails.
    async fn ask(&self, arguments: &[&str]) -> Result<std::result::Result<Vec<u8>, String>> {
        let output =
            self.command(arguments).output().await.map_err(|e| {
                Error::failed(format!("git cannot be run: {e}")).hint("install git, or put it into PATH")
            })?;
        let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Ok(if output.status.success() { Ok(output.stdout) } else { Err(why) })
    }
}

fn line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches(['\n', '\r']).to_owned()
}

/// Takes the files of a revision out.
///
/// # Errors
/// No git, no repository, no such revision.
pub async fn take_out(cwd: &Path, env: &Env, name: &str) -> Result<Revision> {
    let git = Git { cwd, env };
    let inside = git.ask(&["rev-parse", "--show-toplevel", "--show-prefix"]).await?;
    let inside = inside.map_err(|why| {
        Error::new(ErrorKind::Invalid, format!("{} is in no git repository", cwd.display()))
            .detail(why)
            .hint("run plan in a clone of the repository")
    })?;
    let inside = line(&inside);
    let (top, prefix) = inside.split_once('\n').unwrap_or((&inside, ""));
    let commit = commit(&git, name).await?;
    let root =
        tempfile::tempdir().map_err(|e| Error::failed(format!("there is no room for the files of {name}: {e}")))?;
    let left_out = fill(&git, &commit, root.path()).await?;
    let within = root.path().join(prefix);
    std::fs::create_dir_all(&within).map_err(|e| Error::failed(format!("cannot make {}: {e}", within.display())))?;
    Ok(Revision { commit, cwd: within, repository: PathBuf::from(top), root, left_out })
}

/// The commit that a name means. The name may be a stranger's: it can be no option.
async fn commit(git: &Git<'_>, name: &str) -> Result<String> {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(NAME).collect();
    let missing = |why: &str| {
        Error::new(ErrorKind::NotFound, format!("there is no revision {shown:?} here")).detail(why.to_owned()).hint(
            "git log shows what there is. In a workflow the checkout brings one commit only: give actions/checkout \
             `fetch-depth: 0`; elsewhere, `git fetch` it",
        )
    };
    if name.is_empty() || name.starts_with('-') || name.len() > NAME || name.contains(|c: char| c.is_control()) {
        return Err(missing("That cannot be the name of one."));
    }
    let wanted = format!("{name}^{{commit}}");
    match git.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]).await? {
        Ok(found) => {
            let found = line(&found);
            let whole = found.len() >= 40 && found.chars().all(|c| c.is_ascii_hexdigit());
            if whole { Ok(found) } else { Err(missing("git does not name one commit.")) }
        }
        Err(why) => Err(missing(&why)),
    }
}

/// One file of a tree.
struct Entry {
    object: String,
    path: PathBuf,
    link: bool,
}

/// A path that stays below the folder that it is put in.
fn harmless(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let plain = path.components().all(|c| matches!(c, Component::Normal(name) if !name.eq_ignore_ascii_case(".git")));
    (plain && path.components().next().is_some()).then(|| path.to_owned())
}

/// Writes all files of a commit; how many were too large.
async fn fill(git: &Git<'_>, commit: &str, root: &Path) -> Result<usize> {
    let failed = |why: String| Error::failed(format!("git cannot list {commit}")).detail(why);
    let listed = git.ask(&["ls-tree", "-r", "-z", "--long", "--full-tree", commit]).await?.map_err(failed)?;
    let (mut entries, mut left_out, mut total) = (Vec::new(), 0, 0_u64);
    for record in listed.split(|b| *b == 0).filter(|r| !r.is_empty()) {
        // MODE TYPE OBJECT SIZE<tab>PATH
        let Ok(record) = std::str::from_utf8(record) else { continue };
        let Some((about, path)) = record.split_once('\t') else { continue };
        let about: Vec<&str> = about.split_whitespace().collect();
        let [mode, "blob", object, size] = about[..] else { continue };
        let Some(path) = harmless(path) else { continue };
        let size: u64 = size.parse().unwrap_or(u64::MAX);
        total = total.saturating_add(size);
        if size > FILE_SIZE || total > TOTAL_SIZE || entries.len() >= FILES {
            left_out += 1;
            continue;
        }
        entries.push(Entry { object: object.to_owned(), path, link: mode == "120000" });
    }
    write(git, &entries, root).await?;
    Ok(left_out)
}

/// Reads every object from one process, and writes it. Links come last, so that no file is written through one.
async fn write(git: &Git<'_>, entries: &[Entry], root: &Path) -> Result<()> {
    let broken = |e: std::io::Error| Error::failed(format!("the files of the revision cannot be taken out: {e}"));
    let mut child = git.command(&["cat-file", "--batch"]).stdin(Stdio::piped()).spawn().map_err(broken)?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Error::failed("git cannot be spoken to"));
    };
    let asked: String = entries.iter().map(|e| format!("{}\n", e.object)).collect();
    let ask = async move {
        input.write_all(asked.as_bytes()).await?;
        drop(input);
        Ok::<_, std::io::Error>(())
    };
    let take = async {
        let mut output = BufReader::new(output);
        let mut links = BTreeMap::new();
        for entry in entries {
            let mut head = String::new();
            output.read_line(&mut head).await?;
            // OBJECT TYPE SIZE, or OBJECT missing
            let size = head.split_whitespace().nth(2).and_then(|s| s.parse::<u64>().ok()).unwrap_or(0);
            if head.trim_end().ends_with("missing") || size > FILE_SIZE {
                return Err(std::io::Error::other(format!("{} is not in this clone", entry.path.display())));
            }
            let mut content = vec![0; usize::try_from(size).unwrap_or(0)];
            output.read_exact(&mut content).await?;
            let mut end = [0];
            output.read_exact(&mut end).await?;
            if entry.link {
                links.insert(entry.path.clone(), content);
                continue;
            }
            let path = root.join(&entry.path);
            if let Some(folder) = path.parent() {
                tokio::fs::create_dir_all(folder).await?;
            }
            tokio::fs::write(&path, content).await?;
        }
        Ok(links)
    };
    let (asked, links) = tokio::join!(ask, take);
    let links = links.map_err(broken)?;
    asked.map_err(broken)?;
    for (path, target) in links {
        link(root, &path, &target);
    }
    // It has nothing more to say, and ends.
    let _ = child.wait().await;
    Ok(())
}

/// Makes a link that stays within the folder; any other is left out.
fn link(root: &Path, path: &Path, target: &[u8]) {
    let Ok(target) = std::str::from_utf8(target) else { return };
    let depth = path.components().count().saturating_sub(1);
    let ups = Path::new(target).components().take_while(|c| *c == Component::ParentDir).count();
    let rest = Path::new(target).components().skip(ups).all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
    if ups > depth || !rest {
        return;
    }
    let place = root.join(path);
    let made = place.parent().map(std::fs::create_dir_all);
    if made.is_some_and(|m| m.is_ok()) {
        // A link that cannot be made is missing, as one that leads outside.
        let _ = std::os::unix::fs::symlink(target, place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_where_they_are_put() {
        assert!(harmless("a/b.hcl").is_some());
        for path in ["../a", "/etc/passwd", "a/../../b", ".git/config", "a/.GIT/hooks/x", ""] {
            assert!(harmless(path).is_none(), "{path}");
        }
    }
}
