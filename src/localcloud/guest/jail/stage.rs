//! From an ordinary process of this machine to the first process of a guest.

use std::ffi::{CString, OsStr};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, chdir, dup2_stdout, execve, fork, pivot_root, sethostname};

use super::super::wire::{self, JailSpec};
use super::mounts::NODES;
use super::{Doing, Refused, SECOND, Step, cut, init, net};

/// Where the guest's root is mounted, as its PID 1 sees it.
pub const GUEST_ROOT: &str = "/guest";
/// Size of the tmpfs that PID 1 has for a root; it holds a few small files.
const BASE_SIZE: &str = "mode=755,size=4m,nr_inodes=1024";
/// `keyctl` operation that leaves the session keyring of whoever started us.
const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;

/// Makes the mount namespace and the base, and re-executes this program from a read-only mount of itself.
pub fn first(base: &OsStr) -> Step<ExitCode> {
    close_inherited();
    let base = Path::new(base);
    unshare(CloneFlags::CLONE_NEWNS).doing("making a mount namespace")?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .doing("making mounts private")?;
    mount(Some("guest"), base, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(BASE_SIZE))
        .doing("mounting a tmpfs")?;
    let program = base.join("init");
    File::create(&program).doing("making a mount point for our program")?;
    // By its path: the link itself leads to the mount of the namespace that we have left, which cannot be bound here.
    let own = std::fs::read_link("/proc/self/exe").doing("finding our program")?;
    mount(Some(&own), &program, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .doing(&format!("mounting our program {}", own.display()))?;
    let read_only =
        MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(None::<&str>, &program, None::<&str>, read_only, None::<&str>).doing("making our program read-only")?;
    let path = CString::new(program.as_os_str().as_bytes()).doing("naming our program")?;
    let name = CString::new(SECOND).doing("naming the next stage")?;
    // ansible tells systemd from others by this name: "init" makes it look at what is installed.
    execve(&path, &[c"init", &name], &[] as &[&std::ffi::CStr]).doing("starting our program again")?;
    unreachable!("execve returns only errors")
}

/// Makes the other namespaces, mounts the root, forks PID 1, and keeps watch over it.
pub fn second() -> Step<ExitCode> {
    // SAFETY: descriptor 0 is the control socket that our parent gave us; this is its only owner.
    let control = UnixStream::from(unsafe { OwnedFd::from_raw_fd(0) });
    let (body, _) =
        wire::read_frame(&control).doing("reading what to boot")?.ok_or(Refused("nothing to boot".into()))?;
    let spec: JailSpec = serde_json::from_slice(&body).doing("reading what to boot")?;

    // SAFETY: plain system call without memory of ours. It fails where keys are not built in; then there is none to leak.
    unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0) };
    let mut namespaces = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
    if spec.own_network {
        namespaces |= CloneFlags::CLONE_NEWNET;
    }
    unshare(namespaces).doing("making pid, uts, ipc and net namespaces")?;
    // Since Linux 4.6; without it the guest would only see the path of our own control group.
    let _ = unshare(CloneFlags::CLONE_NEWCGROUP);
    sethostname(&spec.hostname).doing("setting the host name")?;
    if spec.own_network {
        net::loopback_up().doing("raising the loopback device")?;
        net::block(&spec.blocked).doing("closing the way to this machine's addresses")?;
    }
    let devices = if spec.user_namespace { Some(keep_for_mounts(&spec)?) } else { None };
    mount_root(&spec)?;
    enter_base(&spec)?;

    // SAFETY: this process has one thread.
    match unsafe { fork() }.doing("forking the guest's PID 1")? {
        ForkResult::Child => match init::main(&control, devices) {
            Ok(never) => match never {},
            Err(why) => Err(why),
        },
        ForkResult::Parent { child } => {
            drop((control, devices));
            keep(child)
        }
    }
}

/// overlayfs by descriptors: no path of this machine stands in the guest's mount table, and no character of one is special.
fn mount_root(spec: &JailSpec) -> Step<()> {
    let base = Path::new(&spec.base);
    let files = base.join("files");
    for file in &spec.files {
        write_file(&files.join(&file.path), file.mode, &file.text)
            .doing(&format!("writing {} for the guest", file.path))?;
    }
    let open = |path: &Path| {
        OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(path)
            .doing(&format!("opening {}", path.display()))
    };
    let by_fd = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut lowers = vec![open(&files)?];
    for lower in &spec.lowers {
        lowers.push(open(Path::new(lower))?);
    }
    let (upper, work) = (open(Path::new(&spec.upper))?, open(Path::new(&spec.work))?);
    let lowerdir = lowers.iter().map(by_fd).collect::<Vec<_>>().join(":");
    // Every change must lie in the upper folder as a whole file: no renames by reference, no metadata-only copies.
    // With notes of a user's own, overlayfs never redirects, and does not want to be told so.
    let notes = if spec.user_namespace { "userxattr" } else { "redirect_dir=off" };
    let options = format!(
        "lowerdir={lowerdir},upperdir={},workdir={},{notes},metacopy=off,index=off",
        by_fd(&upper),
        by_fd(&work)
    );
    let root = base.join("guest");
    DirBuilder::new().mode(0o755).create(&root).doing("making the guest's root folder")?;
    // A guest's disk need not outlive a power cut of this machine: without syncing, dpkg is several times faster (Linux 5.10).
    let with = |options: &str| mount(Some("overlay"), &root, Some("overlay"), MsFlags::MS_NODEV, Some(options));
    with(&format!("{options},volatile"))
        .or_else(|_| with(&options))
        .doing("mounting overlayfs (state and cache folder must not lie on an overlayfs themselves)")
}

fn write_file(path: &PathBuf, mode: u32, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
    }
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// Leaves this machine's root for good: after this, only descriptors lead out, and they are closed here.
fn enter_base(spec: &JailSpec) -> Step<()> {
    let null = OpenOptions::new().read(true).write(true).open("/dev/null").doing("opening /dev/null")?;
    chdir(spec.base.as_str()).doing("entering the base")?;
    // Stacks the old root over the new one and takes it off again: pivot_root(2), "pivot_root(".", ".")".
    pivot_root(".", ".").doing("changing the root")?;
    umount2(".", MntFlags::MNT_DETACH).doing("leaving this machine's root")?;
    chdir("/").doing("entering the new root")?;
    umount2("/init", MntFlags::MNT_DETACH).doing("hiding our program")?;
    NULL.set(null.into()).map_err(|_| Refused("set up twice".into()))
}

/// Name in the base of this machine's /proc, as long as the guest's is not mounted.
const OLD_PROC: &str = "proc";

/// What root of a user namespace cannot make and has to take from this machine: its device nodes, in the order of
/// [`NODES`], each as a mount that stands nowhere yet. And it may mount a new /proc only while it sees a whole old one.
fn keep_for_mounts(spec: &JailSpec) -> Step<Vec<OwnedFd>> {
    let proc = Path::new(&spec.base).join(OLD_PROC);
    DirBuilder::new().mode(0o755).create(&proc).doing("making a mount point for /proc")?;
    mount(Some("/proc"), &proc, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .doing("keeping /proc")?;
    let node = |name: &str| {
        let path = CString::new(format!("/dev/{name}")).doing(name)?;
        // SAFETY: the path ends in NUL; the descriptor that the call returns is ours.
        let raw = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), OPEN_TREE) };
        if raw < 0 {
            return Err(io::Error::last_os_error()).doing(&format!("taking /dev/{name} along"));
        }
        // SAFETY: as above.
        Ok(unsafe { OwnedFd::from_raw_fd(raw as i32) })
    };
    NODES.iter().map(|(name, ..)| node(name)).collect()
}

/// OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC of linux/mount.h.
const OPEN_TREE: libc::c_uint = 1 | libc::O_CLOEXEC as libc::c_uint;

/// After the last mount: takes the old /proc away, and makes PID 1's root read-only.
pub fn close_base() -> Step<()> {
    let old = Path::new("/").join(OLD_PROC);
    if old.is_dir() {
        umount2(&old, MntFlags::MNT_DETACH).doing("leaving this machine's /proc")?;
        std::fs::remove_dir(&old).doing("leaving this machine's /proc")?;
    }
    let read_only =
        MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(None::<&str>, "/", None::<&str>, read_only, None::<&str>).doing("making the base read-only")
}

/// This machine's /dev/null, for standard output of PID 1.
pub static NULL: std::sync::OnceLock<OwnedFd> = std::sync::OnceLock::new();

/// Watches PID 1 and the process that started us; when either ends, all of the guest ends.
fn keep(child: Pid) -> Step<ExitCode> {
    // SAFETY: plain system call; the descriptor that it returns is ours.
    let raw = unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) };
    if raw < 0 {
        let _ = kill(child, Signal::SIGKILL);
        return Err(io::Error::last_os_error()).doing("watching the guest's PID 1 (Linux 5.3 is needed)");
    }
    // SAFETY: as above.
    let pidfd = unsafe { OwnedFd::from_raw_fd(raw as i32) };
    // Standard output is the reading end of a pipe that nobody writes to; it hangs up when our parent is gone.
    let parent = io::stdout();
    loop {
        let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN), PollFd::new(parent.as_fd(), PollFlags::empty())];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => continue,
            Err(e) => return Err(e).doing("watching the guest"),
        }
        let ended = |fd: &PollFd| fd.revents().is_some_and(|r| !r.is_empty());
        if ended(&fds[0]) {
            break;
        }
        if ended(&fds[1]) {
            let _ = kill(child, Signal::SIGKILL);
            break;
        }
    }
    // Returns only when every process of the pid namespace is gone.
    match waitpid(child, None::<WaitPidFlag>).doing("waiting for the guest's end")? {
        WaitStatus::Exited(_, code) => Ok(ExitCode::from(code as u8)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Points PID 1's standard output at /dev/null.
pub fn silence() -> Step<()> {
    let null = NULL.get().ok_or(Refused("/dev/null is not open".into()))?;
    dup2_stdout(null).doing("closing standard output")
}

/// Closes whatever else our parent's parent left open.
fn close_inherited() {
    // SAFETY: plain system call; nothing in this young process owns a descriptor above standard error.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
    let _ = cut::reset_signals();
}
