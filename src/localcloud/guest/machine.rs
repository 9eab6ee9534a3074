//! One guest as a machine: its life from boot to destruction, its logins, its image.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use russh::keys::key::safe_rng;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PublicKey};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::control::{Console, Control, Exit, Keeper, Power, locked};
use super::jail::files::Pack;
use super::network::Slirp;
use super::space::Helper;
use super::ssh::{self, Door};
use super::wire::{Exec, JailFile, JailSpec};
use super::{BootSpec, GuestError, GuestNetwork, GuestState, Layer, Output, standin};

/// Longest time that processes have to end by themselves when the guest is stopped, a little more than PID 1 gives them.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long output of a command is waited for after its end: a daemon that it left may keep the pipe open for ever.
const REST_OF_OUTPUT: Duration = Duration::from_millis(500);
/// Most output of a command that is kept, bytes.
const MAX_OUTPUT: u64 = 16 << 20;
/// PATH of what runs as root without a login (systemd's default).
const ROOT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest user name that useradd takes.
const MAX_USER: usize = 32;

/// Makes a login: the user as cloud images have it, then its key or password.
const LOGIN_SCRIPT: &str = include_str!("standin/login.sh");
/// What cloud-init does at the first boot, before the machine answers.
const BOOT_SCRIPT: &str = include_str!("standin/boot.sh");
/// Runs user data and leaves its outcome where `cloud-init status` looks.
const USER_DATA_SCRIPT: &str = include_str!("standin/user-data.sh");

/// One machine. Clones are the same machine; it ends with the last of them and its [`GuestHost`](super::GuestHost).
#[derive(Clone)]
pub struct Guest {
    inner: Arc<Inner>,
}

/// Folders of a guest.
pub struct Folders {
    /// Folder of this guest alone.
    pub own: PathBuf,
    /// Where layers of images are kept.
    pub layers: PathBuf,
    /// Lower folders, topmost first.
    pub lowers: Vec<PathBuf>,
}

struct Inner {
    name: String,
    spec: BootSpec,
    folders: Folders,
    helper: Helper,
    network: GuestNetwork,
    console: Arc<Console>,
    addr: SocketAddr,
    host_key: PrivateKey,
    passwords: Arc<Mutex<HashMap<String, String>>>,
    /// What the SSH server sees of the running guest.
    inside: watch::Sender<Option<Arc<Control>>>,
    life: tokio::sync::Mutex<Life>,
    /// The same as `life`, for a look without waiting.
    state: watch::Sender<GuestState>,
    server: tokio::task::JoinHandle<()>,
    files: Mutex<Vec<JailFile>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.server.abort();
    }
}

enum Life {
    Running(Box<Running>),
    Stopped,
    Gone,
}

struct Running {
    control: Arc<Control>,
    keeper: Keeper,
    slirp: Option<Slirp>,
}

impl Guest {
    /// Makes the machine and boots it.
    pub(super) async fn boot(
        spec: BootSpec,
        folders: Folders,
        helper: Helper,
        network: GuestNetwork,
    ) -> Result<Self, GuestError> {
        check_hostname(&spec.hostname)?;
        let name = spec.name.clone();
        let failed = |what: &str, e: &dyn std::fmt::Display| GuestError::Guest {
            name: name.clone(),
            reason: format!("{what}: {e}"),
        };
        for folder in ["upper", "base"] {
            std::fs::create_dir_all(folders.own.join(folder)).map_err(|e| failed("making its folder", &e))?;
        }
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|e| failed("listening for SSH", &e))?;
        let addr = listener.local_addr().map_err(|e| failed("listening for SSH", &e))?;
        let host_key =
            PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(|e| failed("making a host key", &e))?;
        let passwords = Arc::<Mutex<HashMap<String, String>>>::default();
        let (inside, seen) = watch::channel(None);
        let door = Door { host_key: host_key.clone(), inside: seen, passwords: passwords.clone() };
        let server = tokio::spawn(ssh::serve(listener, Arc::new(door)));
        let guest = Self {
            inner: Arc::new(Inner {
                name: spec.name.clone(),
                spec,
                folders,
                helper,
                network,
                console: Arc::default(),
                addr,
                host_key,
                passwords,
                inside,
                life: tokio::sync::Mutex::new(Life::Stopped),
                state: watch::channel(GuestState::Stopped).0,
                server,
                files: Mutex::default(),
            }),
        };
        match guest.switch_on(true).await {
            Ok(()) => Ok(guest),
            Err(error) => {
                let _ = guest.destroy().await;
                Err(error)
            }
        }
    }

    /// Its name, as in [`BootSpec::name`].
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Where its SSH server listens (127.0.0.1). The same for the whole life of the guest; a stopped one hangs up at once.
    pub fn ssh_addr(&self) -> SocketAddr {
        self.inner.addr
    }

    /// Fingerprint of the SSH host key, as OpenSSH prints it (`SHA256:…`).
    pub fn host_key_fingerprint(&self) -> String {
        self.inner.host_key.public_key().fingerprint(HashAlg::Sha256).to_string()
    }

    /// The SSH host key as one line of a `known_hosts` file has it after the name.
    pub fn host_key(&self) -> String {
        self.inner.host_key.public_key().to_openssh().unwrap_or_default()
    }

    /// The state it is in now.
    pub fn state(&self) -> GuestState {
        *self.inner.state.borrow()
    }

    /// What a serial console would have shown so far: boot messages, output of user data.
    pub fn console_log(&self) -> String {
        self.inner.console.text()
    }

    fn error(&self, reason: impl Into<String>) -> GuestError {
        GuestError::Guest { name: self.inner.name.clone(), reason: reason.into() }
    }

    fn refuse(&self, call: &'static str, needs: &'static str) -> GuestError {
        GuestError::State { name: self.inner.name.clone(), state: self.state(), call, needs }
    }

    /// The processes of a guest that answers.
    fn control(&self, call: &'static str) -> Result<Arc<Control>, GuestError> {
        self.inner.inside.borrow().clone().ok_or_else(|| self.refuse(call, "running"))
    }

    /// Boots a stopped guest again, with the same disk and address.
    ///
    /// # Errors
    /// As [`GuestHost::boot`](super::GuestHost::boot); [`GuestError::State`] unless it is stopped.
    pub async fn start(&self) -> Result<(), GuestError> {
        self.switch_on(false).await
    }

    async fn switch_on(&self, first: bool) -> Result<(), GuestError> {
        let mut life = self.inner.life.lock().await;
        if !matches!(*life, Life::Stopped) {
            return Err(self.refuse("start", "stopped"));
        }
        let (power, asked) = mpsc::unbounded_channel();
        let running = self.start_processes(power).await?;
        match self.make_ready(&running.control, first).await {
            Ok(()) => {}
            Err(error) => {
                running.end().await.map_err(|e| self.error(e.to_string()))?;
                return Err(error);
            }
        }
        self.inner.inside.send_replace(Some(running.control.clone()));
        self.inner.state.send_replace(GuestState::Running);
        tokio::spawn(watch_over(Arc::downgrade(&self.inner), running.control.clone(), asked));
        *life = Life::Running(Box::new(running));
        Ok(())
    }

    async fn start_processes(&self, power: mpsc::UnboundedSender<Power>) -> Result<Running, GuestError> {
        let inner = &self.inner;
        // It asks a program (apt-config), and nobody else's connection may wait for that.
        let network = inner.network;
        let files = tokio::task::spawn_blocking(move || super::network::files(network));
        let mut files = files.await.map_err(|e| self.error(e.to_string()))?;
        files.extend(standin::files());
        // overlayfs refuses the work folder of an earlier volatile mount.
        let work = inner.folders.own.join("work");
        inner
            .helper
            .remove_tree(&work)
            .and_then(|()| std::fs::create_dir(&work))
            .map_err(|e| self.error(format!("{}: {e}", work.display())))?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let jail = JailSpec {
            hostname: inner.spec.hostname.clone(),
            base: text(&inner.folders.own.join("base")),
            lowers: inner.folders.lowers.iter().map(|p| text(p)).collect(),
            upper: text(&inner.folders.own.join("upper")),
            work: text(&work),
            own_network: inner.network != GuestNetwork::Host,
            user_namespace: inner.helper.is_user(),
            blocked: super::network::own_addresses().map_err(|e| self.error(format!("own addresses: {e}")))?,
            files: files.clone(),
        };
        *locked(&inner.files) = files;
        let started = Control::start(&inner.helper, &jail, inner.console.clone(), power).await;
        let (control, keeper) = started.map_err(|why| self.error(why))?;
        let slirp = match inner.network {
            GuestNetwork::User => match Slirp::start(control.keeper_pid()).await {
                Ok(slirp) => Some(slirp),
                Err(why) => {
                    let _ = keeper.end().await;
                    return Err(self.error(format!("outbound network: {why}")));
                }
            },
            GuestNetwork::None | GuestNetwork::Host => None,
        };
        Ok(Running { control, keeper, slirp })
    }

    /// What happens between power on and the first login: names, keys, accounts, user data.
    async fn make_ready(&self, control: &Arc<Control>, first: bool) -> Result<(), GuestError> {
        let spec = &self.inner.spec;
        let data = spec.user_data.clone().filter(|d| first && !d.trim().is_empty());
        let args = [spec.hostname.as_str(), if data.is_some() { "user-data" } else { "" }];
        let output = run_script(control, BOOT_SCRIPT, &args).await.map_err(|e| self.error(e.to_string()))?;
        self.inner.console.push(&output.stdout);
        self.inner.console.push(&output.stderr);
        if output.status != 0 {
            return Err(self.error(format!("boot: {}", last_line(&output))));
        }
        if !first {
            return Ok(());
        }
        for account in &spec.accounts {
            for key in &account.keys {
                self.add_key(control, &account.user, key).await?;
            }
            if let Some(password) = &account.password {
                self.give_password(control, &account.user, password).await?;
            }
        }
        if let Some(data) = data {
            let (control, console) = (control.clone(), self.inner.console.clone());
            // Machines answer while cloud-init still works; `cloud-init status --wait` is how one waits for it.
            tokio::spawn(async move {
                match run_script(&control, USER_DATA_SCRIPT, &[&data]).await {
                    Ok(output) => {
                        console.push(&output.stdout);
                        console.push(&output.stderr);
                    }
                    Err(error) => console.line(&format!("user data: {error}")),
                }
            });
        }
        Ok(())
    }

    /// Lets `user` log in with a public key (OpenSSH form); makes the user if it does not exist.
    ///
    /// # Errors
    /// A name or key that is not one, or a guest that is not running.
    pub async fn authorize(&self, user: &str, openssh_public_key: &str) -> Result<(), GuestError> {
        let control = self.control("authorize")?;
        self.add_key(&control, user, openssh_public_key).await
    }

    async fn add_key(&self, control: &Arc<Control>, user: &str, key: &str) -> Result<(), GuestError> {
        check_user(user)?;
        let key = key.trim();
        // An option in front would be kept by sshd too, but no cloud lets one in.
        if key.contains(['\n', '\r', '\0']) || PublicKey::from_openssh(key).is_err() {
            return Err(GuestError::Invalid(format!(
                "the key for {user} is not an OpenSSH public key (one line: type, base64, comment)"
            )));
        }
        self.login_script(control, &["key", user, key]).await
    }

    /// Takes a public key away from a user again; one that is not there is fine.
    ///
    /// # Errors
    /// A name that is not one, or a guest that is not running.
    pub async fn deauthorize(&self, user: &str, openssh_public_key: &str) -> Result<(), GuestError> {
        let control = self.control("deauthorize")?;
        check_user(user)?;
        let body = openssh_public_key.split_whitespace().nth(1).unwrap_or_default();
        if body.is_empty() {
            return Err(GuestError::Invalid(format!("the key for {user} is not an OpenSSH public key")));
        }
        self.login_script(&control, &["unkey", user, body]).await
    }

    /// Lets `user` log in with a password; makes the user if it does not exist.
    ///
    /// # Errors
    /// A name or password that is not valid, or a guest that is not running.
    pub async fn set_password(&self, user: &str, password: &str) -> Result<(), GuestError> {
        let control = self.control("set_password")?;
        self.give_password(&control, user, password).await
    }

    async fn give_password(&self, control: &Arc<Control>, user: &str, password: &str) -> Result<(), GuestError> {
        check_user(user)?;
        if password.is_empty() || password.contains(['\n', '\r', '\0']) {
            return Err(GuestError::Invalid(format!("the password for {user} is empty or has more than one line")));
        }
        self.login_script(control, &["password", user, password]).await?;
        locked(&self.inner.passwords).insert(user.to_owned(), password.to_owned());
        Ok(())
    }

    async fn login_script(&self, control: &Arc<Control>, args: &[&str]) -> Result<(), GuestError> {
        let output = run_script(control, LOGIN_SCRIPT, args).await.map_err(|e| self.error(e.to_string()))?;
        if output.status == 0 {
            return Ok(());
        }
        Err(self.error(format!("login of {}: {}", args[1], last_line(&output))))
    }

    /// Runs a command as root by `/bin/sh -c` and waits for it.
    ///
    /// # Errors
    /// When the guest is not running or dies meanwhile; how the command ends is in [`Output::status`].
    pub async fn run_as_root(&self, command: &str) -> Result<Output, GuestError> {
        let control = self.control("run_as_root")?;
        run_script(&control, command, &[]).await.map_err(|e| self.error(e.to_string()))
    }

    /// Ends every process. The disk is kept: [`start`](Self::start) or [`capture`](Self::capture) may follow. Stopping a stopped guest
    /// is fine.
    ///
    /// # Errors
    /// When a process cannot be ended, or the guest has been destroyed.
    pub async fn stop(&self) -> Result<(), GuestError> {
        let mut life = self.inner.life.lock().await;
        match std::mem::replace(&mut *life, Life::Stopped) {
            Life::Running(running) => {
                self.inner.inside.send_replace(None);
                let ended = running.stop().await;
                self.inner.state.send_replace(GuestState::Stopped);
                ended.map_err(|e| self.error(format!("stopping: {e}")))
            }
            Life::Stopped => Ok(()),
            Life::Gone => {
                *life = Life::Gone;
                Err(self.refuse("stop", "running"))
            }
        }
    }

    /// What the guest changed, as a layer that [`BootSpec::layers`] takes. The guest must be stopped.
    ///
    /// # Errors
    /// [`GuestError::State`] of a running guest, [`GuestError::Layer`] when the tar cannot be written.
    pub async fn capture(&self) -> Result<Layer, GuestError> {
        let life = self.inner.life.lock().await;
        if !matches!(*life, Life::Stopped) {
            return Err(self.refuse("capture", "stopped"));
        }
        let inner = self.inner.clone();
        let packed = tokio::task::spawn_blocking(move || {
            inner.helper.pack(&Pack {
                upper: inner.folders.own.join("upper"),
                files: locked(&inner.files).clone(),
                lowers: inner.folders.lowers.clone(),
                into: inner.folders.layers.clone(),
            })
        });
        let packed = packed.await.map_err(|e| GuestError::Layer(e.to_string()))?;
        drop(life);
        packed
    }

    /// Ends every process and removes the disk. Doing it twice is fine.
    ///
    /// # Errors
    /// When the disk cannot be removed.
    pub async fn destroy(&self) -> Result<(), GuestError> {
        let mut life = self.inner.life.lock().await;
        let before = std::mem::replace(&mut *life, Life::Gone);
        self.inner.inside.send_replace(None);
        self.inner.state.send_replace(GuestState::Gone);
        self.inner.server.abort();
        let ended = match before {
            Life::Running(running) => running.end().await,
            Life::Stopped => Ok(()),
            Life::Gone => return Ok(()),
        };
        let inner = self.inner.clone();
        let removed = tokio::task::spawn_blocking(move || inner.helper.remove_tree(&inner.folders.own)).await;
        ended.map_err(|e| self.error(format!("ending: {e}")))?;
        removed.map_err(io::Error::other).flatten().map_err(|e| self.error(format!("removing its disk: {e}")))
    }
}

impl Running {
    /// SIGTERM first, as a machine that is told to shut down.
    async fn stop(self) -> io::Result<()> {
        self.control.shut_down();
        let _ = timeout(STOP_TIMEOUT, self.control.ended().cancelled()).await;
        self.end().await
    }

    async fn end(self) -> io::Result<()> {
        let ended = self.keeper.end().await;
        if let Some(slirp) = self.slirp {
            slirp.end().await;
        }
        ended
    }
}

/// Stops or reboots the guest when its root asks PID 1 for it, and notices when it dies.
async fn watch_over(guest: Weak<Inner>, control: Arc<Control>, mut asked: mpsc::UnboundedReceiver<Power>) {
    let wish = tokio::select! {
        wish = asked.recv() => wish,
        () = control.ended().cancelled() => None,
    };
    let Some(inner) = guest.upgrade() else { return };
    let guest = Guest { inner };
    let current = guest.inner.inside.borrow().as_ref().is_some_and(|c| Arc::ptr_eq(c, &control));
    if !current {
        return;
    }
    guest.inner.console.line(match wish {
        Some(Power::Reboot) => "local guest: reboot",
        Some(Power::Off) => "local guest: power off",
        None => "local guest: PID 1 has ended",
    });
    if guest.stop().await.is_ok() && wish == Some(Power::Reboot) {
        let _ = start_again(guest).await;
    }
}

/// Boxed, because the new life is watched by another call of the function that calls this.
fn start_again(guest: Guest) -> std::pin::Pin<Box<dyn Future<Output = Result<(), GuestError>> + Send>> {
    Box::pin(async move { guest.start().await })
}

/// Runs a shell script as root with a clean environment; its arguments are `$1`, `$2`, ….
async fn run_script(control: &Arc<Control>, script: &str, args: &[&str]) -> io::Result<Output> {
    let mut argv = vec![b"sh".to_vec(), b"-c".to_vec(), script.as_bytes().to_vec(), b"sh".to_vec()];
    argv.extend(args.iter().map(|a| a.as_bytes().to_vec()));
    let env = [format!("PATH={ROOT_PATH}"), "HOME=/root".into(), "LANG=C.UTF-8".into()];
    let exec = Exec {
        cwd: b"/".to_vec(),
        program: b"/bin/sh".to_vec(),
        argv,
        env: env.into_iter().map(String::into_bytes).collect(),
        groups: vec![0],
        ..Exec::default()
    };
    let null = std::fs::File::open("/dev/null")?;
    let (out_sender, out) = pipe::pipe()?;
    let (error_sender, error) = pipe::pipe()?;
    let fds = vec![OwnedFd::from(null), out_sender.into_blocking_fd()?, error_sender.into_blocking_fd()?];
    let (_, exit) = control.exec(exec, fds);
    let (out, error) = (tokio::spawn(read_all(out)), tokio::spawn(read_all(error)));
    let exit = exit.await.map_err(|_| io::Error::other("the guest has ended"))?;
    let rest = |task: tokio::task::JoinHandle<Vec<u8>>| async {
        let abort = task.abort_handle();
        let read = timeout(REST_OF_OUTPUT, task).await;
        abort.abort();
        read.ok().and_then(Result::ok).unwrap_or_default()
    };
    let (stdout, stderr) = tokio::join!(rest(out), rest(error));
    Ok(Output { status: Exit::code(exit), stdout, stderr })
}

async fn read_all(from: pipe::Receiver) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.take(MAX_OUTPUT).read_to_end(&mut bytes).await;
    bytes
}

fn last_line(output: &Output) -> String {
    let text = if output.stderr.is_empty() { &output.stdout } else { &output.stderr };
    let text = String::from_utf8_lossy(text);
    let line = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("no message");
    format!("{line} (exit status {})", output.status)
}

/// Names that useradd takes on Debian and Ubuntu (its default NAME_REGEX), and root.
fn check_user(user: &str) -> Result<(), GuestError> {
    let mut chars = user.chars();
    let first = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    let rest = chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
    if first && rest && user.len() <= MAX_USER {
        return Ok(());
    }
    Err(GuestError::Invalid(format!(
        "{user:?} is not a user name: lower-case letters, digits, - and _, a letter first, at most {MAX_USER} characters"
    )))
}

/// RFC 1123 labels; Linux takes at most 64 bytes.
fn check_hostname(name: &str) -> Result<(), GuestError> {
    let label =
        |l: &str| !l.is_empty() && !l.starts_with('-') && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if name.len() <= 64 && name.split('.').all(label) {
        return Ok(());
    }
    Err(GuestError::Invalid(format!("{name:?} is not a host name: letters, digits, - and ., at most 64 characters")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_machine_takes_are_refused() {
        assert!(["ubuntu", "ec2-user", "_apt", "root", "azureuser", "a.b"].iter().all(|u| check_user(u).is_ok()));
        assert!(["", "-x", "a b", "Ü", "a/b", "x;y", "..", "1a"].iter().all(|u| check_user(u).is_err()));
        assert!(["ip-10-0-0-1", "a.b.internal"].iter().all(|h| check_hostname(h).is_ok()));
        assert!(["", "-a", "a b", "a..b", "a\nb"].iter().all(|h| check_hostname(h).is_err()));
    }
}
