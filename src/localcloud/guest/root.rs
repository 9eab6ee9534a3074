//! The root file system that every guest shares as its lowest folder: made once, cached, only read.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::layer::{private_folder, remove_tree};
use super::sources::{self, Distribution};
use super::space::Helper;
use super::{GuestError, HostOptions, RootSource, jail, network};

/// The tool that makes the root file system.
pub const MMDEBSTRAP: &str = "mmdebstrap";
/// What the guest has from the start, beyond apt and the essential packages: what cloud images bring and builds rely on.
const PACKAGES: &str = "apt-utils,ca-certificates,curl,gnupg,iproute2,lsb-release,netbase,openssh-client,openssh-server,\
                        openssh-sftp-server,passwd,adduser,procps,python3,python3-apt,sudo,systemd,systemd-sysv,tzdata,wget";
/// Raised when the way of making the root changes, so that no old cache is taken for a new one.
const RECIPE: u32 = 1;
/// Longest time that making the root may take: 30 s here, minutes on a slow line.
const MAKE_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// Pause between tries for the lock that another process holds while it makes the same root.
const LOCK_PAUSE: Duration = Duration::from_millis(200);
/// Where apt keeps its settings on this machine.
const APT: &str = "/etc/apt";
/// Certificates that this machine's owner has added.
const CERTIFICATES: &str = "/usr/local/share/ca-certificates";

fn failed(what: impl std::fmt::Display) -> GuestError {
    GuestError::Root(what.to_string())
}

/// How the root of this machine's own distribution is made.
struct Recipe {
    distribution: Distribution,
    sources: Vec<String>,
    certificates: Vec<(PathBuf, Vec<u8>)>,
    apt_conf: String,
}

impl Recipe {
    fn of_this_machine() -> Result<Self, GuestError> {
        let release = fs::read_to_string("/etc/os-release").map_err(|e| failed(format!("/etc/os-release: {e}")))?;
        let distribution = Distribution::parse(&release).ok_or_else(|| {
            failed("this machine is neither Debian nor Ubuntu; give a root file system (--guest-root DIR or TAR)")
        })?;
        let sources = sources::of_this_machine(Path::new(APT), &distribution);
        let mut certificates = Vec::new();
        for entry in fs::read_dir(CERTIFICATES).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension() == Some(OsStr::new("crt"))
                && let Ok(bytes) = fs::read(&path)
            {
                certificates.push((path, bytes));
            }
        }
        certificates.sort();
        let dump = std::process::Command::new("apt-config").arg("dump").stdin(Stdio::null()).output();
        let dump = dump.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        Ok(Self { distribution, sources, certificates, apt_conf: network::apt_conf(&dump) })
    }

    /// Name of the cached root: the same recipe, the same root.
    fn key(&self) -> String {
        let mut digest = Sha256::new();
        digest.update(format!("{RECIPE}\n{}\n{PACKAGES}\n{}\n", std::env::consts::ARCH, self.sources.join("\n")));
        for (path, bytes) in &self.certificates {
            digest.update(path.as_os_str().as_encoded_bytes());
            digest.update(bytes);
        }
        format!("{}-{}", self.distribution.codename, &hex::encode(digest.finalize())[..16])
    }

    fn command(&self, tar: &Path, mode: &str) -> Command {
        let mut command = Command::new(MMDEBSTRAP);
        command
            .args(["--variant=apt", "--format=tar"])
            .arg(format!("--mode={mode}"))
            .arg(format!("--include={PACKAGES}"));
        for line in self.apt_conf.lines() {
            command.arg(format!("--aptopt={}", line.trim_end_matches(';')));
        }
        for (path, _) in &self.certificates {
            let to = format!("{CERTIFICATES}/{}", path.file_name().unwrap_or_default().to_string_lossy());
            command.arg(format!("--customize-hook=upload '{}' '{to}'", path.display()));
        }
        // Cloud images come without identity, and with the certificates of their owner in the bundle.
        let finish = "chroot \"$1\" update-ca-certificates >/dev/null 2>&1; rm -f \"$1\"/etc/ssh/ssh_host_* \
                      \"$1\"/etc/apt/apt.conf.d/99mmdebstrap; : >\"$1\"/etc/machine-id; \
                      rm -f \"$1\"/etc/resolv.conf \"$1\"/etc/hostname";
        command.arg(format!("--customize-hook={finish}"));
        // Without sources mmdebstrap takes the default ones that it knows for the release, updates and security included.
        command.arg(format!("--components={}", self.distribution.components()));
        command.arg(&self.distribution.codename).arg(tar).args(&self.sources);
        command
    }
}

/// Whether the cache already has what [`RootSource::Auto`] would make.
pub fn is_cached(options: &HostOptions) -> bool {
    Recipe::of_this_machine().is_ok_and(|recipe| {
        let base = options.cache_dir.join("roots").join(recipe.key());
        base.is_dir() || base.with_extension("tar").is_file()
    })
}

/// The folder of the root file system; makes or unpacks it when the cache has none.
///
/// # Errors
/// [`GuestError::Root`] with what mmdebstrap said, or what could not be read or written.
pub async fn prepare(options: &HostOptions, helper: &Helper) -> Result<PathBuf, GuestError> {
    let roots = options.cache_dir.join("roots");
    private_folder(&roots).map_err(|e| failed(format!("{}: {e}", roots.display())))?;
    match &options.root {
        RootSource::Dir(dir) => {
            let dir = dir.canonicalize().map_err(|e| failed(format!("{}: {e}", dir.display())))?;
            check_shell(&dir)?;
            if helper.is_user() {
                return Err(failed(format!(
                    "{} is a folder, whose files belong to ids that an ordinary user's guests do not have; pack it into a tar as \
                     root (tar --xattrs --numeric-owner -C DIR -cf ROOT.tar .) and give that",
                    dir.display()
                )));
            }
            Ok(dir)
        }
        RootSource::Tar(tar) => {
            let meta = fs::metadata(tar).map_err(|e| failed(format!("{}: {e}", tar.display())))?;
            let changed = meta.modified().ok().and_then(|m| m.duration_since(std::time::UNIX_EPOCH).ok());
            let full = tar.canonicalize().map_err(|e| failed(format!("{}: {e}", tar.display())))?;
            let mut digest = Sha256::new();
            digest.update(format!("{}\n{}\n{:?}", full.display(), meta.len(), changed));
            let folder = roots.join(format!("given-{}", &hex::encode(digest.finalize())[..16]));
            let _lock = lock(&folder.with_extension("lock"), options).await?;
            unpack(tar, &folder, options, helper).await
        }
        RootSource::Auto => {
            let recipe = Recipe::of_this_machine()?;
            let folder = roots.join(recipe.key());
            let _lock = lock(&folder.with_extension("lock"), options).await?;
            if folder.is_dir() {
                return Ok(folder);
            }
            let tar = folder.with_extension("tar");
            if !tar.is_file() {
                make(&recipe, &tar, options, helper).await?;
            }
            unpack(&tar, &folder, options, helper).await
        }
    }
}

/// Holds others off while one process makes or unpacks the root.
async fn lock(path: &Path, options: &HostOptions) -> Result<File, GuestError> {
    let file = File::create(path).map_err(|e| failed(format!("{}: {e}", path.display())))?;
    let (started, mut told) = (Instant::now(), false);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::Error(e)) => return Err(failed(format!("{}: {e}", path.display()))),
            Err(fs::TryLockError::WouldBlock) => {}
        }
        if started.elapsed() > MAKE_TIMEOUT {
            return Err(failed(format!("another process has held {} for too long", path.display())));
        }
        if !std::mem::replace(&mut told, true) {
            (options.progress)("another process is making the root file system of guests; waiting for it");
        }
        sleep(LOCK_PAUSE).await;
    }
}

/// Ends a tool and its children when nobody waits for it any more.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            let _ = killpg(Pid::from_raw(id as i32), Signal::SIGTERM);
        }
    }
}

async fn make(recipe: &Recipe, tar: &Path, options: &HostOptions, helper: &Helper) -> Result<(), GuestError> {
    (options.progress)(&format!(
        "making the root file system of guests ({} {}) once with {MMDEBSTRAP}; this takes about a minute",
        recipe.distribution.id, recipe.distribution.codename
    ));
    let partial = tar.with_extension("partial.tar");
    let temporary = tar.with_extension("tmp");
    let clear = || {
        let _ = fs::remove_file(&partial);
        remove_tree(&temporary)
    };
    clear().and_then(|()| fs::create_dir(&temporary)).map_err(|e| failed(format!("{}: {e}", temporary.display())))?;
    let mut command = recipe.command(&partial, if helper.is_user() { "unshare" } else { "root" });
    if !helper.is_user() {
        command.env("TMPDIR", &temporary);
    }
    // mmdebstrap's own ids of an ordinary user cannot enter the user's home: its folder is in the usual place then.
    command.env("LC_ALL", "C.UTF-8").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| failed(format!("{MMDEBSTRAP}: {e}")))?;
    let mut group = Group(child.id());
    let mut said = Vec::new();
    let work = async {
        if let Some(errors) = child.stderr.take() {
            let mut lines = BufReader::new(errors).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(step) = line.strip_prefix("I: ") {
                    (options.progress)(&format!("{MMDEBSTRAP}: {step}"));
                }
                said.push(line);
            }
        }
        child.wait().await
    };
    let ended = timeout(MAKE_TIMEOUT, work).await.map_err(|_| failed(format!("{MMDEBSTRAP} took more than 20 min")))?;
    group.0 = None;
    let status = ended.map_err(|e| failed(format!("{MMDEBSTRAP}: {e}")))?;
    if !status.success() {
        let _ = clear();
        let errors: Vec<_> = said.iter().filter(|l| l.starts_with("E: ") || l.starts_with("Err:")).cloned().collect();
        let last = if errors.is_empty() { said.split_off(said.len().saturating_sub(5)) } else { errors };
        return Err(failed(format!("{MMDEBSTRAP} ended with {status}: {}", last.join(" / "))));
    }
    fs::rename(&partial, tar).map_err(|e| failed(format!("{}: {e}", tar.display())))?;
    clear().map_err(|e| failed(format!("{}: {e}", temporary.display())))
}

async fn unpack(tar: &Path, folder: &Path, options: &HostOptions, helper: &Helper) -> Result<PathBuf, GuestError> {
    if folder.is_dir() {
        return Ok(folder.to_owned());
    }
    (options.progress)(&format!("unpacking the root file system of guests from {}", tar.display()));
    let partial = folder.with_extension("partial");
    let (tar, to, helper) = (tar.to_owned(), partial.clone(), helper.clone());
    let work = tokio::task::spawn_blocking(move || {
        helper
            .remove_tree(&to)
            .and_then(|()| fs::create_dir(&to))
            .map_err(|e| failed(format!("{}: {e}", to.display())))?;
        let file = File::open(&tar).map_err(|e| failed(format!("{}: {e}", tar.display())))?;
        jail::unpack::unpack(&helper, file, &to, "root").map_err(|e| failed(format!("{}: {}", tar.display(), e.0)))
    });
    work.await.map_err(failed)??;
    check_shell(&partial)?;
    fs::rename(&partial, folder).map_err(|e| failed(format!("{}: {e}", folder.display())))?;
    Ok(folder.to_owned())
}

/// A root without a shell is none; found now, it is a clear error instead of a guest that does not answer.
fn check_shell(root: &Path) -> Result<(), GuestError> {
    if ["bin/sh", "usr/bin/sh"].iter().any(|p| root.join(p).symlink_metadata().is_ok()) {
        return Ok(());
    }
    Err(failed(format!("{} has no /bin/sh: it is not the root of a Linux system", root.display())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn without_sources_mmdebstrap_chooses_its_own_mirrors() {
        let distribution = Distribution { id: "ubuntu".into(), codename: "noble".into() };
        let recipe = Recipe { distribution, sources: Vec::new(), certificates: Vec::new(), apt_conf: String::new() };
        let command = recipe.command(Path::new("/root.tar"), "root");
        let arguments: Vec<_> = command.as_std().get_args().map(|a| a.to_str().unwrap()).collect();
        assert!(arguments.contains(&"--components=main,universe"), "{arguments:?}");
        assert_eq!(arguments[arguments.len() - 2..], ["noble", "/root.tar"]);
    }
}
