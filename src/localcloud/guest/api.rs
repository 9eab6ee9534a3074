//! What the cloud servers use: options, the host of guests, one guest, a layer of an image.

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

/// In which way guests run. The first that this machine allows is taken where none is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// Namespaces made by root.
    Root,
    /// A user namespace of an ordinary user.
    User,
}

impl Rung {
    /// All, best first.
    pub const ALL: [Rung; 2] = [Rung::Root, Rung::User];

    /// Its name, as the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Rung::Root => "root",
            Rung::User => "user",
        }
    }

    /// What it is, in a few words.
    pub fn what(self) -> &'static str {
        match self {
            Rung::Root => "namespaces made by root",
            Rung::User => "a user namespace of an ordinary user",
        }
    }
}

/// One way in which guests could run, and what it needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RungCheck {
    /// Which.
    pub rung: Rung,
    /// Everything that it needs.
    pub items: Vec<CheckItem>,
}

impl RungCheck {
    /// Whether guests can run in this way.
    pub fn ok(&self) -> bool {
        self.items.iter().all(|i| i.ok)
    }
}

/// How guests are made on this machine.
#[derive(Clone)]
pub struct HostOptions {
    /// Folder of this local cloud: upper layers, images, logs. Belongs to one [`GuestHost`].
    pub state_dir: PathBuf,
    /// Folder that outlives runs and that several processes may share: root file systems.
    pub cache_dir: PathBuf,
    /// In which way they run; `None`: the first that works.
    pub rung: Option<Rung>,
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
            rung: None,
            root: RootSource::Auto,
            network: GuestNetwork::User,
            helper: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe")),
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
    /// This machine lacks something in every way in which guests can run; each item says how to get it.
    #[error("guests cannot run here: {}", missing_text(.0))]
    Missing(Vec<RungCheck>),
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

fn missing_text(rungs: &[RungCheck]) -> String {
    let each = rungs.iter().map(|r| format!("by {}: {}", r.rung.what(), lacking(&r.items)));
    each.collect::<Vec<_>>().join(" - ")
}

fn lacking(items: &[CheckItem]) -> String {
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
