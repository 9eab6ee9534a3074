//! Whether guests can run on this machine, in which ways, and what to do if not.

use std::fs;
use std::path::{Path, PathBuf};

use super::space::{self, Helper};
use super::{CheckItem, GuestNetwork, HostOptions, RootSource, Rung, RungCheck, network, root};

/// Free space that a root, its tar and a few guests take, bytes.
const FREE_SPACE: u64 = 3 << 30;
/// The network device that user-mode networking opens.
const TUN: &str = "/dev/net/tun";
/// Where Ubuntu (since 24.04) forbids ordinary users what a user namespace is for.
const APPARMOR: &str = "kernel/apparmor_restrict_unprivileged_userns";
/// Where Debian's kernels forbid ordinary users to make user namespaces, if it is 0.
const DEBIAN: &str = "kernel/unprivileged_userns_clone";

/// Everything that [`GuestHost::new`](super::GuestHost::new) needs, for each way in which guests can run.
pub fn check(options: &HostOptions) -> Vec<RungCheck> {
    let rungs = options.rung.map_or(Rung::ALL.to_vec(), |one| vec![one]);
    rungs.into_iter().map(|rung| RungCheck { rung, items: items(options, rung) }).collect()
}

fn items(options: &HostOptions, rung: Rung) -> Vec<CheckItem> {
    let mut items = match rung {
        Rung::Root => vec![root_user(), namespaces()],
        Rung::User => user(options),
    };
    if options.root == RootSource::Auto {
        let cached = root::is_cached(options);
        items.push(if cached {
            found(root::MMDEBSTRAP, "not needed: the root file system is in the cache".into())
        } else {
            tool(root::MMDEBSTRAP, root::MMDEBSTRAP, "makes the root file system of guests")
        });
    }
    if options.network == GuestNetwork::User {
        items.push(tool(network::SLIRP, network::SLIRP, "outbound network of guests"));
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
    missing("root", "this process is not root".into(), "run the same command with sudo")
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

/// An ordinary user: the programs and ranges that map ids, and then a user namespace really made and tried.
fn user(options: &HostOptions) -> Vec<CheckItem> {
    if nix::unistd::geteuid().is_root() {
        return vec![missing("user", "this process is root".into(), "run the same command as an ordinary user")];
    }
    let mut items = vec![found("user", "running as an ordinary user".into())];
    items.extend(space::MAPPERS.map(|mapper| tool(mapper, "uidmap", "maps ids of a guest's users")));
    let name = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|u| u.name);
    items.push(match space::ranges() {
        Ok([(start, _), _]) => found("subuid", format!("ids from {start} on belong to this user")),
        Err(why) => {
            let cure = "usermod --add-subuids 100000-165535 --add-subgids 100000-165535";
            missing("subuid", why, format!("as root: {cure} {}", name.unwrap_or_else(|| "USER".to_owned())))
        }
    });
    if items.iter().all(|i| i.ok) {
        items.push(match Helper::user(&options.helper).and_then(|h| probe(&h, &existing(&options.state_dir))) {
            Ok(()) => found("namespaces", "a user namespace with mounts of its own can be made".into()),
            Err(why) => missing("namespaces", why, forbidden()),
        });
    }
    items
}

/// Mounts what a guest mounts, in a folder of its own that goes again.
fn probe(helper: &Helper, dir: &Path) -> Result<(), String> {
    let folder = tempfile::Builder::new().prefix(".guest-probe-").tempdir_in(dir).map_err(|e| e.to_string())?;
    for name in super::jail::probe::FOLDERS {
        fs::create_dir(folder.path().join(name)).map_err(|e| e.to_string())?;
    }
    let tried = helper.probe(folder.path());
    // overlayfs has left a folder there that only the namespace's root can enter.
    let _ = helper.remove_tree(folder.path());
    tried
}

/// What forbids user namespaces here, as far as it can be told.
fn forbidden() -> String {
    let sysctl = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default().trim().to_owned();
    let key = |name: &str| name.replace('/', ".");
    if sysctl(APPARMOR) == "1" {
        return format!("as root: sysctl -w {}=0", key(APPARMOR));
    }
    if sysctl(DEBIAN) == "0" {
        return format!("as root: sysctl -w {}=1", key(DEBIAN));
    }
    if sysctl("user/max_user_namespaces") == "0" {
        return "as root: sysctl -w user.max_user_namespaces=10000".to_owned();
    }
    "run outside of a container, with the temporary folder (TMPDIR) on ext4, xfs or btrfs".to_owned()
}

fn tool(name: &'static str, package: &str, what: &str) -> CheckItem {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let place = std::env::split_paths(&path).map(|p| p.join(name)).find(|p| p.is_file());
    match place {
        Some(place) => found(name, place.display().to_string()),
        None => missing(name, format!("not installed ({what})"), format!("{INSTALL}{package}")),
    }
}

fn tun() -> CheckItem {
    match fs::File::options().read(true).write(true).open(TUN) {
        Ok(_) => found("tun", format!("{TUN} can be opened")),
        Err(e) => missing(
            "tun",
            format!("{TUN}: {e}"),
            "as root: modprobe tun && chmod 666 /dev/net/tun; or choose another guest network (none, host)",
        ),
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

/// What every line that installs begins with.
const INSTALL: &str = "apt-get install -y ";

/// One apt-get line for all packages that are missing.
fn merge_apt(items: &mut [CheckItem]) {
    let of = |i: &CheckItem| i.cure.as_deref().and_then(|c| c.strip_prefix(INSTALL)).map(str::to_owned);
    let mut packages: Vec<_> = items.iter().filter_map(of).collect();
    packages.dedup();
    if packages.len() > 1 {
        let line = format!("{INSTALL}{}", packages.join(" "));
        items.iter_mut().filter(|i| of(i).is_some()).for_each(|i| i.cure = Some(line.clone()));
    }
}
