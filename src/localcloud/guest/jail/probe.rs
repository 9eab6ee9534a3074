//! Tries what a guest in a user namespace needs of the kernel, and leaves nothing.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::{Doing, Refused, Step};

/// Folders that the probe finds in its own one: an overlay's parts, and where to mount.
pub const FOLDERS: [&str; 4] = ["lower", "upper", "work", "on"];

/// Mounts an overlay and a new /proc in the folder; both go with the namespaces of this process.
pub fn main(folder: &OsStr) -> Step<ExitCode> {
    let at = |name: &str| Path::new(folder).join(name);
    let all = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWNET;
    unshare(CloneFlags::CLONE_NEWNS | all).doing("making namespaces")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .doing("making mounts private")?;
    let [lower, upper, work, on] = FOLDERS.map(at);
    let options = format!(
        "lowerdir={},upperdir={},workdir={},userxattr,metacopy=off,index=off",
        lower.display(),
        upper.display(),
        work.display()
    );
    mount(Some("overlay"), &on, Some("overlay"), MsFlags::MS_NODEV, Some(options.as_str()))
        .doing("mounting overlayfs (Linux 5.11 on ext4, xfs, btrfs; 6.6 on tmpfs)")?;
    // The first child is PID 1 of the new namespace, of which alone it may mount a /proc.
    // SAFETY: this process has one thread.
    match unsafe { fork() }.doing("forking")? {
        ForkResult::Child => {
            let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            mount(Some("proc"), &on, Some("proc"), quiet, None::<&str>)
                .doing("mounting a new /proc (containers hide parts of theirs, and then none can be mounted)")?;
            Ok(ExitCode::SUCCESS)
        }
        ForkResult::Parent { child } => match waitpid(child, None).doing("waiting")? {
            WaitStatus::Exited(_, 0) => Ok(ExitCode::SUCCESS),
            // The child has said why.
            _ => Err(Refused(String::new())),
        },
    }
}
