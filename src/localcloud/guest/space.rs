//! Where the helpers of guests run: in this machine's own user namespace as root, or in one of an ordinary user's.
//!
//! In the second case root of the guests is the user itself, and every other id of a guest is one of those that `/etc/subuid` and
//! `/etc/subgid` give the user. The namespace lives as long as somebody holds its descriptor; no process is needed for that.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use nix::unistd::{Uid, User};

use super::jail::files::Pack;
use super::jail::{self, space};
use super::{GuestError, Layer, layer};

/// The programs that map ids of other users; they are set-user-id root. Debian's and Ubuntu's package is `uidmap`.
pub const MAPPERS: [&str; 2] = ["newuidmap", "newgidmap"];
/// Where the ranges of users are written, in the same order.
const RANGES: [&str; 2] = ["/etc/subuid", "/etc/subgid"];
/// How many ids a guest needs beside root's: nobody is 65534.
const IDS: u64 = 65_536;

/// The program that does the work of guests, and where it does it.
#[derive(Clone)]
pub struct Helper {
    program: PathBuf,
    /// The user namespace to work in, if not our own.
    namespace: Option<Arc<File>>,
}

impl Helper {
    /// Works as we are: root.
    pub fn root(program: &Path) -> Self {
        Self { program: program.to_owned(), namespace: None }
    }

    /// Works as root of a new user namespace.
    ///
    /// # Errors
    /// Which step this machine refuses, with what it said.
    pub fn user(program: &Path) -> Result<Self, String> {
        let ranges = ranges()?;
        let mut child = Command::new(program)
            .arg(jail::SPACE)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("starting {}: {e}", program.display()))?;
        let namespace = map(&mut child, &ranges);
        // Standard input ends, and the process with it.
        drop(child.stdin.take());
        let mut words = String::new();
        if let Some(mut errors) = child.stderr.take() {
            // It is only an explanation.
            let _ = errors.read_to_string(&mut words);
        }
        let _ = child.wait();
        match namespace {
            Ok(namespace) => Ok(Self { program: program.to_owned(), namespace: Some(Arc::new(namespace)) }),
            Err(_) if !words.trim().is_empty() => Err(words.trim().to_owned()),
            Err(why) => Err(why),
        }
    }

    /// Whether the work is done in a user namespace.
    pub fn is_user(&self) -> bool {
        self.namespace.is_some()
    }

    /// The program itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The start of a command, without environment: whatever arguments follow are those of a stage.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear();
        if let Some(namespace) = &self.namespace {
            let path = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
            command.arg(jail::ENTER).arg(path);
        }
        command
    }

    /// Runs a stage to its end, with `input` on its standard input; its standard output.
    fn run(&self, command: &mut Command, input: &[u8]) -> Result<Vec<u8>, String> {
        let said = |e: std::io::Error| format!("{}: {e}", self.program.display());
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().map_err(said)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper that does not read has failed, and says why.
            let _ = stdin.write_all(input);
        }
        let output = child.wait_with_output().map_err(said)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }

    /// Removes a folder of a guest; one that is not there is fine.
    ///
    /// # Errors
    /// As remove_dir_all.
    pub fn remove_tree(&self, folder: &Path) -> std::io::Result<()> {
        if !self.is_user() || folder.symlink_metadata().is_err() {
            return layer::remove_tree(folder);
        }
        self.run(self.command().arg(jail::REMOVE).arg(folder), &[]).map(drop).map_err(std::io::Error::other)
    }

    /// Tries what guests need in a folder of [`FOLDERS`](jail::probe::FOLDERS).
    ///
    /// # Errors
    /// What this machine refuses.
    pub fn probe(&self, folder: &Path) -> Result<(), String> {
        self.run(self.command().arg(jail::PROBE).arg(folder), &[]).map(drop)
    }

    /// Packs the changes of a guest that has no processes any more.
    ///
    /// # Errors
    /// [`GuestError::Layer`] with the path that could not be read or written.
    pub fn pack(&self, what: &Pack) -> Result<Layer, GuestError> {
        let failed = |e: String| GuestError::Layer(e);
        let asked = serde_json::to_vec(what).map_err(|e| failed(e.to_string()))?;
        let made = self.run(self.command().arg(jail::PACK), &asked).map_err(failed)?;
        serde_json::from_slice(&made).map_err(|e| failed(format!("the helper's answer: {e}")))
    }
}

/// Waits for the namespace, maps the ids, and takes hold of it.
fn map(child: &mut Child, ranges: &[(u64, u64); 2]) -> Result<File, String> {
    let mut made = [0];
    let out = child.stdout.as_mut().ok_or("no pipe")?;
    out.read_exact(&mut made).map_err(|e| format!("making a user namespace: {e}"))?;
    if made[0] != space::MADE {
        return Err("the helper is another program".to_owned());
    }
    let pid = child.id().to_string();
    let own = [nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()];
    for ((mapper, (start, _)), own) in MAPPERS.iter().zip(ranges).zip(own) {
        let (own, start, count) = (own.to_string(), start.to_string(), IDS.to_string());
        let output = Command::new(mapper)
            .args([&pid, "0", &own, "1", "1", &start, &count])
            .stdin(Stdio::null())
            .output()
            .map_err(|e| format!("{mapper}: {e}"))?;
        if !output.status.success() {
            return Err(format!("{mapper}: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
    }
    File::open(format!("/proc/{pid}/ns/user")).map_err(|e| format!("opening the user namespace: {e}"))
}

/// The ranges of ids that belong to us: start and length, of users and of groups.
///
/// # Errors
/// Which file gives too few, with the command that gives them.
pub fn ranges() -> Result<[(u64, u64); 2], String> {
    let uid = nix::unistd::geteuid();
    let name = User::from_uid(uid).ok().flatten().map(|u| u.name);
    let found = RANGES.map(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        range(&text, name.as_deref(), uid).ok_or(file)
    });
    match found {
        [Ok(users), Ok(groups)] => Ok([users, groups]),
        [Err(file), _] | [_, Err(file)] => {
            Err(format!("{file} gives {} no {IDS} ids", name.unwrap_or_else(|| uid.to_string())))
        }
    }
}

/// The first range of a user that is long enough: `name:start:count` lines, subuid(5).
fn range(text: &str, name: Option<&str>, uid: Uid) -> Option<(u64, u64)> {
    let number = uid.to_string();
    let own = |owner: &str| Some(owner) == name || owner == number;
    let mut ranges = text.lines().filter_map(|line| {
        let mut fields = line.trim().splitn(3, ':');
        let (owner, start, count) = (fields.next()?, fields.next()?, fields.next()?);
        Some((start.parse().ok()?, count.parse().ok()?)).filter(|_| own(owner))
    });
    ranges.find(|(_, count)| *count >= IDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_and_number() {
        let text = "# x\nada:100000:10\nada:200000:65536\nbob:1:65536\n1000:300000:70000\n";
        let uid = Uid::from_raw(1000);
        assert_eq!(range(text, Some("ada"), Uid::from_raw(5)), Some((200_000, 65_536)));
        assert_eq!(range(text, Some("eve"), uid), Some((300_000, 70_000)));
        assert_eq!(range(text, None, Uid::from_raw(7)), None);
    }
}
