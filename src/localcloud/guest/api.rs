//! What the cloud servers use: options, the host of guests, one guest, a layer of an image.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Receives one line of text before a long step ("making the root file system of guests, about 30 s").
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// Where the root file system of guests comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RootSource {
    /// A clean system of this machine's own distribution, made once by mmdebstrap and cached.
    #[default]
    Auto,
    /// An unpacked root file system. It is only read.
    Dir(PathBuf),
    /// A tar of a root file system (plain or gzip). It is unpacked once into the cache.
    Tar(PathBuf),
}

/// What network a guest has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GuestNetwork {
    /// A loopback device and nothing else.
    None,
    /// Outbound connections only (slirp4netns); this machine's own addresses and link-local ones are not reachable.
    #[default]
    User,
    /// This machine's own network, its loopback included: no isolation of the network.
    Host,
}

/// How guests are made on this machine.
#[derive(Clone)]
pub struct HostOptions {
    /// Folder of this local cloud: upper layers, images, logs. Belongs to one [`GuestHost`].
    pub state_dir: PathBuf,
    /// Folder that outlives runs and that several processes may share: root file systems.
    pub cache_dir: PathBuf,
    /// Where the root file system comes from.
    pub root: RootSource,
    /// The network of every guest.
    pub network: GuestNetwork,
    /// The program whose `main` calls [`reexec_main`](super::reexec_main). Default: this one. A test harness names another.
    pub helper: PathBuf,
    /// Told what is being done when it takes long. Default: nobody.
    pub progress: Progress,
}

impl HostOptions {
    /// Default root, network and helper with these two folders; they are created when needed.
    pub fn new(state_dir: impl Into<PathBuf>, cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            cache_dir: cache_dir.into(),
            root: RootSource::Auto,
            network: GuestNetwork::User,
            helper: PathBuf::from("/proc/self/exe"),
            progress: Arc::new(|_| {}),
        }
    }
}

/// One thing that guests need on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckItem {
    /// What it is ("root", "mmdebstrap", "namespaces").
    pub name: &'static str,
    /// Whether it is there.
    pub ok: bool,
    /// What was found.
    pub detail: String,
    /// What to do if it is missing: one line, an `apt-get` command where that helps.
    pub cure: Option<String>,
}

/// What went wrong with a guest. The text names the thing, the reason and the cure.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// This machine lacks something that guests need; each item says how to get it.
    #[error("guests cannot run here: {}", missing_text(.0))]
    Missing(Vec<CheckItem>),
    /// The root file system could not be made, read or unpacked.
    #[error("root file system of guests: {0}")]
    Root(String),
    /// A layer of an image could not be written or read.
    #[error("layer of a local image: {0}")]
    Layer(String),
    /// The guest could not be started, or it died.
    #[error("guest {name}: {reason}")]
    Guest {
        /// The guest's name.
        name: String,
        /// What happened.
        reason: String,
    },
    /// The call does not fit the state the guest is in (capture of a running one, …).
    #[error("guest {name} is {state:?}, {call} needs it {needs}")]
    State {
        /// The guest's name.
        name: String,
        /// The state it is in.
        state: GuestState,
        /// The call that was refused.
        call: &'static str,
        /// The state that the call needs.
        needs: &'static str,
    },
    /// A name, key or password that no machine would take.
    #[error("{0}")]
    Invalid(String),
}

fn missing_text(items: &[CheckItem]) -> String {
    let each = items.iter().filter(|i| !i.ok).map(|i| match &i.cure {
        Some(cure) => format!("{}: {}; {cure}", i.name, i.detail),
        None => format!("{}: {}", i.name, i.detail),
    });
    each.collect::<Vec<_>>().join("; ")
}

/// A login of a guest that exists from the first moment.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Name of the user; made with sudo and no password asked, as cloud images do, if it does not exist.
    pub user: String,
    /// Public keys in OpenSSH form, comment included.
    pub keys: Vec<String>,
    /// Password, if one may be used to log in.
    pub password: Option<String>,
}

/// What to boot.
#[derive(Clone, Debug, Default)]
pub struct BootSpec {
    /// Name for messages and folders, unique in this host ("i-0123").
    pub name: String,
    /// The machine's host name.
    pub hostname: String,
    /// Layers of a local image on top of the root file system, bottom first.
    pub layers: Vec<Layer>,
    /// User data as the machine gets it (decoded): a script, run as root at boot as cloud-init does.
    pub user_data: Option<String>,
    /// Logins to make before the machine answers.
    pub accounts: Vec<Account>,
}

/// The state of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestState {
    /// Its processes live, SSH answers.
    Running,
    /// No process; the disk is kept.
    Stopped,
    /// The disk is gone too.
    Gone,
}

/// One layer of a local image: what a guest changed, as an OCI layer tar on disk.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layer {
    /// The tar.
    pub path: PathBuf,
    /// SHA-256 of the tar, hex.
    pub sha256: String,
    /// Bytes of the tar.
    pub size: u64,
}

/// What a command in a guest printed and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit status; 128 + signal when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

/// Makes guests. One for a local cloud; clones are the same host.
#[derive(Clone)]
pub struct GuestHost {}

impl GuestHost {
    /// What this machine needs for guests, and what of it is there. Changes nothing.
    pub fn check(options: &HostOptions) -> Vec<CheckItem> {
        let _ = options;
        Vec::new()
    }

    /// Prepares this machine: makes the root file system if the cache has none, and removes what earlier runs left behind.
    ///
    /// # Errors
    /// [`GuestError::Missing`] where guests cannot run, [`GuestError::Root`] when the root file system cannot be had.
    pub async fn new(options: HostOptions) -> Result<Self, GuestError> {
        let _ = options;
        Err(GuestError::Root("not built yet".into()))
    }

    /// Boots a guest; returns when SSH answers.
    ///
    /// # Errors
    /// When the guest cannot be started, a layer is damaged, or an account is not valid.
    pub async fn boot(&self, spec: BootSpec) -> Result<Guest, GuestError> {
        let _ = spec;
        Err(GuestError::Root("not built yet".into()))
    }

    /// Ends and removes every guest. Layers of images are kept.
    pub async fn shutdown(&self) {}
}

/// One machine. Clones are the same machine.
#[derive(Clone)]
pub struct Guest {}

impl Guest {
    /// Where its SSH server listens (127.0.0.1). The same for the whole life of the guest; a stopped one hangs up at once.
    pub fn ssh_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    /// Fingerprint of the SSH host key, as OpenSSH prints it (`SHA256:…`).
    pub fn host_key_fingerprint(&self) -> String {
        String::new()
    }

    /// The state it is in now.
    pub fn state(&self) -> GuestState {
        GuestState::Gone
    }

    /// Lets `user` log in with a public key (OpenSSH form); makes the user if it does not exist.
    ///
    /// # Errors
    /// A name or key that is not one, or a guest that is not running.
    pub async fn authorize(&self, user: &str, openssh_public_key: &str) -> Result<(), GuestError> {
        let _ = (user, openssh_public_key);
        Ok(())
    }

    /// Lets `user` log in with a password; makes the user if it does not exist.
    ///
    /// # Errors
    /// A name or password that is not valid, or a guest that is not running.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<(), GuestError> {
        let _ = (user, password);
        Ok(())
    }

    /// Runs a command as root by `/bin/sh -c` and waits for it.
    ///
    /// # Errors
    /// When the guest is not running or dies meanwhile; how the command ends is in [`Output::status`].
    pub async fn run_as_root(&self, command: &str) -> Result<Output, GuestError> {
        let _ = command;
        Err(GuestError::Root("not built yet".into()))
    }

    /// Ends every process. The disk is kept: [`start`](Self::start) or [`capture`](Self::capture) may follow.
    ///
    /// # Errors
    /// When a process cannot be ended.
    pub async fn stop(&self) -> Result<(), GuestError> {
        Ok(())
    }

    /// Boots a stopped guest again, with the same disk and address.
    ///
    /// # Errors
    /// As [`GuestHost::boot`].
    pub async fn start(&self) -> Result<(), GuestError> {
        Ok(())
    }

    /// What the guest changed, as a layer that [`BootSpec::layers`] takes. The guest must be stopped.
    ///
    /// # Errors
    /// [`GuestError::State`] of a running guest, [`GuestError::Layer`] when the tar cannot be written.
    pub async fn capture(&self) -> Result<Layer, GuestError> {
        Err(GuestError::Layer("not built yet".into()))
    }

    /// Ends every process and removes the disk. Doing it twice is fine.
    ///
    /// # Errors
    /// When the disk cannot be removed.
    pub async fn destroy(&self) -> Result<(), GuestError> {
        Ok(())
    }

    /// What a serial console would have shown so far: boot messages, output of user data.
    pub fn console_log(&self) -> String {
        String::new()
    }
}
