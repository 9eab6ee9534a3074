//! Real guests, looked at with programs that are not ours: OpenSSH's client, apt, sudo, systemctl.
//!
//! Needs root, as guests do; without it each test says so and passes.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use image_action_localcloud::guest::{Account, BootSpec, Guest, GuestHost, GuestNetwork, HostOptions};

const USER: &str = "ubuntu";

struct Lab {
    dir: tempfile::TempDir,
    host: GuestHost,
    key: PathBuf,
    public_key: String,
}

impl Lab {
    async fn new(network: GuestNetwork) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: guests need root");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guest-cache");
        let mut options = HostOptions::new(dir.path().join("state"), cache);
        options.network = network;
        options.helper = env!("CARGO_BIN_EXE_image-action-guest-helper").into();
        options.progress = Arc::new(|text| eprintln!("{text}"));
        let host = GuestHost::new(options).await.unwrap();
        let key = dir.path().join("key");
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "packer_key", "-f"]).arg(&key));
        let public_key = std::fs::read_to_string(key.with_extension("pub")).unwrap().trim().to_owned();
        Some(Self { dir, host, key, public_key })
    }

    fn spec(&self, name: &str) -> BootSpec {
        let account = Account { user: USER.into(), keys: vec![self.public_key.clone()], password: None };
        BootSpec { name: name.into(), hostname: "ip-10-0-0-7".into(), accounts: vec![account], ..BootSpec::default() }
    }

    async fn boot(&self, name: &str) -> Guest {
        self.host.boot(self.spec(name)).await.unwrap()
    }

    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["-i", self.key.to_str().unwrap(), "-F", "/dev/null"]);
        for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes"] {
            command.args(["-o", option]);
        }
        command.env_remove("SSH_AUTH_SOCK").stdin(Stdio::null());
        command
    }

    fn ssh(&self, guest: &Guest, options: &[&str], command: &str) -> Output {
        let port = guest.ssh_addr().port().to_string();
        self.client("ssh").args(options).args(["-p", &port, &format!("{USER}@127.0.0.1"), command]).output().unwrap()
    }

    /// The trimmed output of a command that must succeed.
    fn ok(&self, guest: &Guest, command: &str) -> String {
        let output = self.ssh(guest, &[], command);
        assert!(output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn openssh_logs_in_and_runs_commands() {
    let Some(lab) = Lab::new(GuestNetwork::None).await else { return };
    let started = std::time::Instant::now();
    let guest = lab.boot("i-1").await;
    eprintln!("boot: {:?}", started.elapsed());
    assert_eq!(lab.ok(&guest, "id -un; pwd; hostname; sudo id -u"), "ubuntu\n/home/ubuntu\nip-10-0-0-7\n0");
    assert_eq!(lab.ssh(&guest, &[], "exit 7").status.code(), Some(7));
    eprintln!("{}", guest.console_log());
    lab.host.shutdown().await;
    drop(lab.dir);
}
