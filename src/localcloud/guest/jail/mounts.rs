//! What is mounted inside of the guest's root. Runs in a child of PID 1 that has changed its root to the guest's, so that a
//! symbolic link of a hostile image (`/dev` → `/etc`) leads nowhere but into the guest.

use std::ffi::CString;
use std::fs::{DirBuilder, File, Permissions, set_permissions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, makedev, mknod, umask};
use nix::unistd::{chdir, chroot};

use super::stage::GUEST_ROOT;
use super::{Doing, Step};

/// Device nodes of a guest: name, major, minor.
pub const NODES: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links of /dev, as systemd and udev make them.
const LINKS: [(&str, &str); 5] = [
    ("pts/ptmx", "ptmx"),
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
];

/// Group of terminals in Debian and its derivatives.
const TTY_OPTIONS: &str = "newinstance,ptmxmode=0666,mode=620,gid=5";

/// Files of /proc that tell of this machine or command it. Those that do not exist are passed over.
const MASKED_FILES: [&str; 17] = [
    "cmdline",
    "config.gz",
    "iomem",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "latency_stats",
    "sched_debug",
    "slabinfo",
    "sysrq-trigger",
    "timer_list",
    "vmallocinfo",
];

/// Folders of /proc that are replaced by an empty one.
const MASKED_DIRS: [&str; 4] = ["acpi", "asound", "scsi", "driver"];

/// Folders and files of /proc that stay readable.
const READ_ONLY: [&str; 5] = ["sys", "bus", "fs", "irq", "mtrr"];

/// Mounts proc, dev, run and what belongs to them; returns the folder of the new terminals.
///
/// `devices` are this machine's device nodes, in the order of [`NODES`], where none can be made.
pub fn inside(devices: Option<Vec<OwnedFd>>) -> Step<OwnedFd> {
    chroot(GUEST_ROOT).doing("entering the guest's root")?;
    chdir("/").doing("entering the guest's root")?;
    umask(Mode::empty());
    for dir in ["proc", "dev", "run", "sys", "tmp", "root"] {
        let mode = if dir == "tmp" { 0o1777 } else { 0o755 };
        // A folder that a layer made into something else shows at the mount.
        let _ = DirBuilder::new().mode(mode).create(Path::new("/").join(dir));
    }
    proc()?;
    let terminals = dev(devices)?;
    run()?;
    boot_id()?;
    Ok(terminals)
}

fn tmpfs(on: &str, options: &str, flags: MsFlags) -> Step<()> {
    mount(Some("tmpfs"), on, Some("tmpfs"), MsFlags::MS_NOSUID | flags, Some(options)).doing(&format!("mounting {on}"))
}

fn proc() -> Step<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).doing("mounting /proc")?;
    for name in READ_ONLY {
        let path = format!("/proc/{name}");
        if !Path::new(&path).exists() {
            continue;
        }
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(path.as_str()), path.as_str(), None::<&str>, bind, None::<&str>)
            .doing(&format!("mounting {path}"))?;
        let read_only = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | flags;
        mount(None::<&str>, path.as_str(), None::<&str>, read_only, None::<&str>)
            .doing(&format!("making {path} read-only"))?;
    }
    for name in MASKED_DIRS {
        let path = format!("/proc/{name}");
        if Path::new(&path).is_dir() {
            tmpfs(&path, "size=0k,mode=555", MsFlags::MS_RDONLY | MsFlags::MS_NODEV)?;
        }
    }
    Ok(())
}

/// Lets a mount that stands nowhere yet appear over an empty file at `path`.
fn attach(tree: &OwnedFd, path: &str) -> io::Result<()> {
    /// MOVE_MOUNT_F_EMPTY_PATH of linux/mount.h: the first descriptor is the mount itself.
    const FROM_DESCRIPTOR: libc::c_uint = 4;
    File::create(path)?;
    let to = CString::new(path)?;
    // SAFETY: both paths end in NUL.
    let rc = unsafe {
        let (from, to) = (c"".as_ptr(), to.as_ptr());
        libc::syscall(libc::SYS_move_mount, tree.as_raw_fd(), from, libc::AT_FDCWD, to, FROM_DESCRIPTOR)
    };
    if rc < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn dev(devices: Option<Vec<OwnedFd>>) -> Step<OwnedFd> {
    tmpfs("/dev", "mode=755,size=64k,nr_inodes=256", MsFlags::MS_NOEXEC)?;
    let everyone = Mode::from_bits_truncate(0o666);
    for (at, (name, major, minor)) in NODES.into_iter().enumerate() {
        let path = format!("/dev/{name}");
        match devices.as_ref().and_then(|d| d.get(at)) {
            Some(tree) => attach(tree, &path).doing(&format!("mounting {path}"))?,
            None => {
                mknod(path.as_str(), SFlag::S_IFCHR, everyone, makedev(major, minor))
                    .doing(&format!("making {path}"))?;
            }
        }
    }
    for name in MASKED_FILES {
        let path = format!("/proc/{name}");
        if Path::new(&path).exists() {
            mount(Some("/dev/null"), path.as_str(), None::<&str>, MsFlags::MS_BIND, None::<&str>)
                .doing(&format!("masking {path}"))?;
        }
    }
    for (target, name) in LINKS {
        symlink(target, Path::new("/dev").join(name)).doing(&format!("making /dev/{name}"))?;
    }
    for (name, mode) in [("pts", 0o755), ("shm", 0o1777), ("mqueue", 0o1777)] {
        let path = format!("/dev/{name}");
        DirBuilder::new().mode(mode).create(&path).doing(&format!("making {path}"))?;
    }
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mount(Some("devpts"), "/dev/pts", Some("devpts"), quiet, Some(TTY_OPTIONS)).doing("mounting /dev/pts")?;
    tmpfs("/dev/shm", "mode=1777", MsFlags::MS_NODEV)?;
    // Not every kernel has message queues; nothing that provisions a machine needs them.
    let _ = mount(Some("mqueue"), "/dev/mqueue", Some("mqueue"), quiet | MsFlags::MS_NODEV, None::<&str>);
    open("/dev/pts", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).doing("opening /dev/pts")
}

fn run() -> Step<()> {
    tmpfs("/run", "mode=755", MsFlags::MS_NODEV)?;
    for (name, mode) in [("lock", 0o1777), ("sshd", 0o755), ("user", 0o755), ("cloud-init", 0o755)] {
        let path = format!("/run/{name}");
        DirBuilder::new().mode(mode).create(&path).doing(&format!("making {path}"))?;
    }
    // Who is logged in: `w`, `last` and fail2ban look for it.
    File::create("/run/utmp").doing("making /run/utmp")?;
    set_permissions("/run/utmp", Permissions::from_mode(0o664)).doing("making /run/utmp")
}

/// A number of this boot: ansible and others recognise a reboot by it, and the kernel has only one for all guests.
fn boot_id() -> Step<()> {
    const AT: &str = "/proc/sys/kernel/random/boot_id";
    const TEXT: &str = "/run/boot_id";
    std::fs::write(TEXT, format!("{}\n", uuid::Uuid::new_v4())).doing("making a boot_id")?;
    set_permissions(TEXT, Permissions::from_mode(0o444)).doing("making a boot_id")?;
    mount(Some(TEXT), AT, None::<&str>, MsFlags::MS_BIND, None::<&str>).doing("mounting a boot_id")?;
    // The mount keeps the file; in the guest there is only the one name for it.
    std::fs::remove_file(TEXT).doing("making a boot_id")
}
