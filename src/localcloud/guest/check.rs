//! Whether guests can run on this machine, and what to do if not.

use std::fs;
use std::path::{Path, PathBuf};

use super::{CheckItem, GuestNetwork, HostOptions, RootSource, network, root};

/// Free space that a root, its tar and a few guests take, bytes.
const FREE_SPACE: u64 = 3 << 30;
/// The network device that user-mode networking opens.
const TUN: &str = "/dev/net/tun";

/// Everything that [`GuestHost::new`](super::GuestHost::new) needs.
pub fn check(options: &HostOptions) -> Vec<CheckItem> {
    let mut items = vec![root_user(), namespaces()];
    if options.root == RootSource::Auto {
        let cached = root::is_cached(options);
        items.push(if cached {
            found(root::MMDEBSTRAP, "not needed: the root file system is in the cache".into())
        } else {
            tool(root::MMDEBSTRAP, "makes the root file system of guests")
        });
    }
    if options.network == GuestNetwork::User {
        items.push(tool(network::SLIRP, "outbound network of guests"));
        items.push(tun());
    }
    items.push(space(&options.cache_dir));
    items.extend(overlay(&options.state_dir));
    merge_apt(&mut items);
    items
}

fn found(name: &'static str, detail: String) -> CheckItem {
    CheckItem { name, ok: true, detail, cure: None }
}

fn missing(name: &'static str, detail: String, cure: impl Into<String>) -> CheckItem {
    CheckItem { name, ok: false, detail, cure: Some(cure.into()) }
}

fn root_user() -> CheckItem {
    if nix::unistd::geteuid().is_root() {
        return found("root", "running as root".into());
    }
    missing("root", "guests need root to make namespaces and mounts".into(), "run the same command with sudo")
}

/// Whether the kernel lets us: tried in the capability set, since a container often has root without the power.
fn namespaces() -> CheckItem {
    let name = "namespaces";
    let kernel = ["mnt", "pid", "uts", "ipc", "net"].iter().find(|n| !Path::new("/proc/self/ns").join(n).exists());
    if let Some(kind) = kernel {
        return missing(name, format!("this kernel has no {kind} namespaces"), "use a kernel with namespaces");
    }
    let needed = [caps::Capability::CAP_SYS_ADMIN, caps::Capability::CAP_MKNOD, caps::Capability::CAP_SYS_CHROOT];
    let lacking = needed.iter().find(|c| !caps::has_cap(None, caps::CapSet::Effective, **c).unwrap_or(false));
    match lacking {
        None => found(name, "mount, pid, uts, ipc and net namespaces can be made".into()),
        Some(c) => missing(
            name,
            format!("this process lacks {c}"),
            "run as root outside of a container, or start the container with --privileged",
        ),
    }
}

fn tool(name: &'static str, what: &str) -> CheckItem {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let place = std::env::split_paths(&path).map(|p| p.join(name)).find(|p| p.is_file());
    match place {
        Some(place) => found(name, place.display().to_string()),
        None => missing(name, format!("not installed ({what})"), format!("apt-get install -y {name}")),
    }
}

fn tun() -> CheckItem {
    match fs::File::options().read(true).write(true).open(TUN) {
        Ok(_) => found("tun", format!("{TUN} can be opened")),
        Err(e) => missing("tun", format!("{TUN}: {e}"), "modprobe tun, or choose another guest network (none, host)"),
    }
}

/// The folder, or the nearest one above it that exists.
fn existing(path: &Path) -> PathBuf {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    full.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/")).to_owned()
}

fn space(dir: &Path) -> CheckItem {
    let at = existing(dir);
    match nix::sys::statvfs::statvfs(&at) {
        Ok(stat) => {
            let free = stat.blocks_available() * stat.fragment_size();
            let text = format!("{} MiB free in {}", free >> 20, at.display());
            if free >= FREE_SPACE {
                found("disk", text)
            } else {
                missing("disk", text, format!("free {} MiB, or choose another cache folder", FREE_SPACE >> 20))
            }
        }
        Err(e) => missing("disk", format!("{}: {e}", at.display()), "choose another cache folder"),
    }
}

/// overlayfs does not stack on itself: in a container the folders must lie on a volume.
fn overlay(dir: &Path) -> Option<CheckItem> {
    const OVERLAYFS_MAGIC: i64 = 0x794c_7630;
    let kind = nix::sys::statfs::statfs(&existing(dir)).ok()?;
    if kind.filesystem_type().0 as i64 != OVERLAYFS_MAGIC {
        return None;
    }
    let detail = format!("{} lies on an overlayfs (a container's root)", dir.display());
    Some(missing("overlay", detail, "put the state folder on a volume or a tmpfs"))
}

/// One apt-get line for all packages that are missing.
fn merge_apt(items: &mut [CheckItem]) {
    const INSTALL: &str = "apt-get install -y ";
    let of = |i: &CheckItem| i.cure.as_deref().and_then(|c| c.strip_prefix(INSTALL)).map(str::to_owned);
    let packages: Vec<_> = items.iter().filter_map(of).collect();
    if packages.len() > 1 {
        let line = format!("{INSTALL}{}", packages.join(" "));
        items.iter_mut().filter(|i| of(i).is_some()).for_each(|i| i.cure = Some(line.clone()));
    }
}
