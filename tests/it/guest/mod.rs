//! Real guests, looked at with programs that are not ours: OpenSSH's client, apt, sudo, systemctl.
//!
//! As root; `user.rs` runs some of them again as an ordinary user. Without either each test says so and passes.

#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod isolation;
mod user;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use image_action_localcloud::guest::{
    Account, BootSpec, Guest, GuestHost, GuestNetwork, GuestState, HostOptions, RootSource, Rung,
};

const USER: &str = "ubuntu";

/// The project's own cache, so that the root file system is made once a machine and not once a checkout.
fn options(state: &Path) -> HostOptions {
    let own = std::env::var_os("IMAGE_ACTION_CACHE").map(PathBuf::from);
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|h| Path::new(&h).join(".cache")));
    let cache = own.or_else(|| home.map(|h| h.join("image-action")));
    let mut options = HostOptions::new(state, cache.unwrap_or_else(|| env!("CARGO_TARGET_TMPDIR").into()));
    options.helper = env!("CARGO_BIN_EXE_image-action").into();
    // An ordinary user's tests: see `user.rs`.
    if let (Some(program), Some(root)) = (std::env::var_os(user::PROGRAM), std::env::var_os(user::ROOT)) {
        options.helper = program.into();
        options.root = RootSource::Tar(root.into());
    }
    options
}

struct Lab {
    dir: tempfile::TempDir,
    host: GuestHost,
    key: PathBuf,
    public_key: String,
}

impl Lab {
    async fn new(network: GuestNetwork) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() && std::env::var_os(user::PROGRAM).is_none() {
            eprintln!("skipped: these guests are root's");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let mut options = options(&dir.path().join("state"));
        options.network = network;
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
async fn openssh_runs_commands_as_on_a_cloud_machine() {
    let Some(lab) = Lab::new(GuestNetwork::None).await else { return };
    let guest = lab.boot("i-1").await;
    assert_eq!(lab.ok(&guest, "id -un; pwd; hostname; sudo id -u"), "ubuntu\n/home/ubuntu\nip-10-0-0-7\n0");
    assert_eq!(
        lab.ok(&guest, "echo $USER $LOGNAME $HOME $SHELL $PATH"),
        format!("{USER} {USER} /home/{USER} /bin/bash /usr/local/bin:/usr/bin:/bin:/usr/games")
    );
    assert_eq!(lab.ssh(&guest, &[], "exit 7").status.code(), Some(7));
    // The client's own status for a command that a signal has ended.
    assert_eq!(lab.ssh(&guest, &[], "kill -TERM $$").status.code(), Some(255));
    let both = lab.ssh(&guest, &[], "echo out; echo err >&2");
    assert_eq!((both.stdout.as_slice(), both.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    // A daemon keeps the output open; the status arrives all the same.
    assert_eq!(lab.ok(&guest, "setsid sleep 60 >/dev/null 2>&1 & echo started"), "started");

    // More than any buffer, there and back at the same time.
    let port = guest.ssh_addr().port().to_string();
    let big = lab.dir.path().join("big");
    std::fs::write(&big, (0..5_000_000u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>()).unwrap();
    let mut echo = lab.client("ssh");
    echo.args(["-p", &port, &format!("{USER}@127.0.0.1"), "cat"]).stdin(std::fs::File::open(&big).unwrap());
    assert!(echo.output().unwrap().stdout == std::fs::read(&big).unwrap(), "cat gives back what it got");

    let terminal = lab.ssh(&guest, &["-tt"], "tty; stty size; echo $TERM; test -t 0 && test -t 2 && sudo id -un");
    let text = String::from_utf8(terminal.stdout).unwrap();
    assert!(text.starts_with("/dev/pts/") && text.ends_with("root\r\n"), "{text:?}");
    let strange = lab.client("ssh").args(["-p", &port, "nobody@127.0.0.1", "true"]).output().unwrap();
    assert!(String::from_utf8(strange.stderr).unwrap().contains("Permission denied (publickey)"));
    lab.host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_travel_by_scp_and_sftp() {
    let Some(lab) = Lab::new(GuestNetwork::None).await else { return };
    let guest = lab.boot("i-1").await;
    let port = guest.ssh_addr().port().to_string();
    let tree = lab.dir.path().join("tree");
    std::fs::create_dir_all(tree.join("a b/empty")).unwrap();
    std::fs::write(tree.join("a b/file"), "text").unwrap();
    std::fs::write(tree.join("big"), vec![7u8; 3 << 20]).unwrap();
    let remote = |path: &str| format!("{USER}@127.0.0.1:{path}");
    for (method, to) in [("-O", "/tmp/by-scp"), ("-s", "/tmp/by-sftp")] {
        run(lab.client("scp").args([method, "-r", "-P", &port]).arg(&tree).arg(remote(to)));
        let listing = lab.ok(&guest, &format!("cd {to} && find . | sort; cat 'a b/file'; stat -c %s big"));
        assert_eq!(listing, ".\n./a b\n./a b/empty\n./a b/file\n./big\ntext3145728");
        let back = lab.dir.path().join(&to[5..]);
        run(lab.client("scp").args([method, "-r", "-P", &port]).arg(remote(to)).arg(&back));
        assert!(std::fs::read(back.join("big")).unwrap() == vec![7u8; 3 << 20]);
    }
    lab.host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_services_and_sudo_work() {
    let Some(lab) = Lab::new(GuestNetwork::User).await else { return };
    let guest = lab.boot("i-1").await;
    lab.ok(&guest, "sudo apt-get update");
    lab.ok(&guest, "sudo DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends cron jq");
    assert_eq!(lab.ok(&guest, "echo '{\"a\":1}' | jq .a"), "1");
    // The unit was enabled by its package; a link is what that means.
    lab.ok(&guest, "sudo systemctl disable cron && sudo systemctl enable cron");
    assert_eq!(lab.ok(&guest, "systemctl is-enabled cron"), "enabled");
    lab.ok(&guest, "test -L /etc/systemd/system/multi-user.target.wants/cron.service");
    lab.ok(&guest, "sudo systemctl restart cron && sudo systemctl daemon-reload && sudo systemctl enable --now cron");
    assert!(!lab.ssh(&guest, &[], "sudo systemctl enable no-such-unit").status.success());
    // sudo knows its own host: no complaint.
    assert_eq!(lab.ssh(&guest, &[], "sudo true").stderr, b"");
    lab.host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stand_ins_judge_their_arguments() {
    let Some(lab) = Lab::new(GuestNetwork::None).await else { return };
    let guest = lab.boot("i-1").await;
    let fails = |command: &str| {
        let output = lab.ssh(&guest, &[], command);
        assert!(!output.status.success(), "{command}: {output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert_eq!(lab.ok(&guest, "cloud-init status --wait && /usr/bin/cloud-init status"), "status: done\nstatus: done");
    assert!(fails("cloud-init frobnicate").contains("invalid choice"));
    lab.ok(&guest, "sudo cloud-init clean --logs --seed");
    fails("cloud-init clean");
    lab.ok(&guest, "sudo timedatectl set-ntp on && sudo timedatectl set-timezone Europe/Berlin");
    assert_eq!(
        lab.ok(&guest, "readlink /etc/localtime; date +%Z | grep -c CE"),
        "../usr/share/zoneinfo/Europe/Berlin\n1"
    );
    assert!(fails("sudo timedatectl set-timezone Nowhere/Atall").contains("Invalid or not installed"));
    assert!(fails("timedatectl set-timezone UTC").contains("authentication required"));
    lab.ok(&guest, "sudo hostnamectl set-hostname web-1");
    assert_eq!(lab.ok(&guest, "cat /etc/hostname; hostnamectl --static"), "web-1\nweb-1");
    fails("sudo hostnamectl set-hostname 'not a name'");
    lab.ok(&guest, "sudo localectl set-locale LANG=C.UTF-8");
    assert!(fails("sudo localectl set-locale LANG=xx_XX.UTF-8").contains("not installed"));

    let set = "printf 'net.core.netdev_max_backlog = 65535\\nvm.swappiness=10\\n# x\\n' | sudo tee /tmp/s >/dev/null; sudo sysctl -p /tmp/s";
    assert_eq!(lab.ok(&guest, set), "net.core.netdev_max_backlog = 65535\nvm.swappiness = 10");
    assert_eq!(lab.ok(&guest, "/usr/sbin/sysctl -n vm.swappiness"), "10");
    assert!(fails("echo vm.no_such_key=1 | sudo sysctl -p -").contains("cannot stat /proc/sys/vm/no_such_key"));
    assert!(fails("sudo sysctl -w vm.swappiness=much").contains("Invalid argument"));
    assert!(fails("sysctl -w vm.swappiness=1").contains("permission denied"));
    let said = lab.ssh(&guest, &[], "sudo sysctl -w vm.swappiness=1").stderr;
    assert!(String::from_utf8(said).unwrap().contains("simulated by the local guest"));
    lab.host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_boots_and_holds_what_was_changed() {
    let Some(lab) = Lab::new(GuestNetwork::None).await else { return };
    let guest = lab.boot("i-1").await;
    lab.ok(
        &guest,
        "sudo sh -ec 'echo made >/etc/made; ln -s made /etc/link; ln /etc/made /etc/hard; rm /usr/share/common-licenses/GPL-1; \
         rm -r /etc/skel; mkdir /etc/skel; echo new >/etc/skel/new; chown 7:8 /etc/made; chmod 4755 /etc/made; \
         cp /bin/true /usr/local/bin/capable; setcap cap_net_bind_service+ep /usr/local/bin/capable || true; \
         truncate -s 5G /etc/sparse; mkfifo /etc/pipe; touch /usr/bin/timedatectl; useradd -m carol'",
    );
    assert!(guest.capture().await.is_err(), "a running guest cannot be captured");
    guest.stop().await.unwrap();
    let layer = guest.capture().await.unwrap();
    guest.destroy().await.unwrap();

    // Somebody else's reader: an OCI layer is a tar whose digest is its name.
    let listing = run(Command::new("tar").arg("-tf").arg(&layer.path)).stdout;
    let listing = String::from_utf8(listing).unwrap();
    let has = |name: &str| listing.lines().any(|l| l == name);
    assert!(has("etc/made") && has("usr/share/common-licenses/.wh.GPL-1") && has("etc/skel/.wh..wh..opq"), "{listing}");
    assert!(!listing.contains("timedatectl") && !listing.contains("resolv.conf"), "no file of the local cloud's own");
    let digest = run(Command::new("sha256sum").arg(&layer.path)).stdout;
    assert!(String::from_utf8(digest).unwrap().starts_with(&layer.sha256));
    assert!(layer.size < 64 << 20, "holes are not written out: {}", layer.size);

    let mut spec = lab.spec("i-2");
    spec.layers = vec![layer.clone()];
    let second = lab.host.boot(spec).await.unwrap();
    assert_eq!(lab.ok(&second, "cat /etc/link; stat -c '%a %u %g %h' /etc/made"), "made\n4755 7 8 2");
    assert_eq!(
        lab.ok(&second, "ls -A /etc/skel; stat -c '%s %F' /etc/sparse /etc/pipe"),
        "new\n5368709120 regular file\n0 fifo"
    );
    assert!(!lab.ssh(&second, &[], "test -e /usr/share/common-licenses/GPL-1").status.success());
    assert_eq!(lab.ok(&second, "id -un carol; sudo timedatectl set-timezone UTC; cat /etc/made"), "carol\nmade");
    // An image of an image.
    lab.ok(&second, "sudo rm /etc/made; echo two | sudo tee /etc/two");
    second.stop().await.unwrap();
    let upper = second.capture().await.unwrap();
    let mut spec = lab.spec("i-3");
    spec.layers = vec![layer, upper];
    let third = lab.host.boot(spec).await.unwrap();
    assert_eq!(
        lab.ok(&third, "cat /etc/two /etc/hard; ls /etc/made 2>&1 | wc -l; test -e /etc/made || echo gone"),
        "two\nmade\n1\ngone"
    );
    lab.host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_stops_starts_reboots_and_runs_user_data() {
    let Some(lab) = Lab::new(GuestNetwork::None).await else { return };
    let mut spec = lab.spec("i-1");
    spec.user_data = Some("#!/bin/sh\nsleep 1\nid -u >/etc/user-data\necho from user data\n".into());
    spec.accounts.push(Account { user: "root".into(), keys: vec![lab.public_key.clone()], password: None });
    let guest = lab.host.boot(spec).await.unwrap();
    assert_eq!(lab.ok(&guest, "cloud-init status --wait; cat /etc/user-data"), "status: done\n0");
    assert!(guest.console_log().contains("from user data"));
    let addr = guest.ssh_addr();
    guest.stop().await.unwrap();
    assert!(!lab.ssh(&guest, &[], "true").status.success(), "a stopped machine does not answer");
    guest.start().await.unwrap();
    assert_eq!(guest.ssh_addr(), addr);
    assert_eq!(lab.ok(&guest, "cat /etc/user-data"), "0");

    let boots = |console: &str| console.matches(": up").count();
    assert_eq!(boots(&guest.console_log()), 2);
    let boot_id = lab.ok(&guest, "cat /proc/sys/kernel/random/boot_id");
    // The connection drops, as on a machine; ansible waits for another boot_id.
    assert_eq!(lab.ssh(&guest, &[], "sudo reboot; sleep 30").status.code(), Some(255));
    let again = async {
        while boots(&guest.console_log()) < 3 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), again).await.expect("the reboot happens");
    while !lab.ssh(&guest, &[], "true").status.success() {}
    assert_ne!(lab.ok(&guest, "cat /proc/sys/kernel/random/boot_id"), boot_id);
    assert!(!lab.ssh(&guest, &[], "shutdown -r now").status.success(), "only root may");
    assert!(!lab.ssh(&guest, &[], "sudo shutdown --sideways").status.success());
    lab.ok(&guest, "sudo shutdown -r +10 && sudo shutdown -c");
    lab.ssh(&guest, &[], "sudo shutdown -P now; sleep 30");
    while guest.state() != GuestState::Stopped {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    guest.start().await.unwrap();

    let second = lab.dir.path().join("second");
    run(Command::new("ssh-keygen").args(["-q", "-t", "rsa", "-b", "2048", "-N", "", "-C", "later", "-f"]).arg(&second));
    let later = std::fs::read_to_string(second.with_extension("pub")).unwrap();
    guest.authorize("deploy", &later).await.unwrap();
    let port = addr.port().to_string();
    let mut client = Command::new("ssh");
    client.args(["-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i"]);
    run(client.arg(&second).args(["-p", &port, "deploy@127.0.0.1", "sudo -n true"]));
    guest.deauthorize("deploy", &later).await.unwrap();
    assert!(!client.output().unwrap().status.success());
    assert!(guest.authorize("no such user", &later).await.is_err());
    assert!(guest.authorize("deploy", "not a key").await.is_err());

    guest.set_password("deploy", "Correct:Horse 1").await.unwrap();
    let ask = lab.dir.path().join("ask");
    std::fs::write(&ask, "#!/bin/sh\necho 'Correct:Horse 1'\n").unwrap();
    run(Command::new("chmod").arg("+x").arg(&ask));
    let mut client = Command::new("ssh");
    client.env("SSH_ASKPASS", &ask).env("SSH_ASKPASS_REQUIRE", "force").args([
        "-F",
        "/dev/null",
        "-o",
        "PubkeyAuthentication=no",
    ]);
    client.args([
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
        "-p",
        &port,
        "deploy@127.0.0.1",
        "true",
    ]);
    run(&mut client);
    lab.host.shutdown().await;
}

/// The scripts that every build of this project runs, on a guest, as a build runs them.
#[tokio::test(flavor = "multi_thread")]
async fn the_seed_scripts_pass() {
    let Some(seed) = std::env::var_os("IMAGE_ACTION_SEED").map(PathBuf::from) else {
        eprintln!("skipped: IMAGE_ACTION_SEED does not name the seed's folder");
        return;
    };
    let Some(lab) = Lab::new(GuestNetwork::User).await else { return };
    let guest = lab.boot("i-1").await;
    let port = guest.ssh_addr().port().to_string();
    lab.ok(&guest, "sudo apt-get update && sudo DEBIAN_FRONTEND=noninteractive apt-get dist-upgrade -y");
    for script in ["base.sh", "security.sh", "cleanup.sh"] {
        let started = std::time::Instant::now();
        let from = seed.join("files/scripts/common").join(script);
        run(lab.client("scp").args(["-P", &port]).arg(from).arg(format!("{USER}@127.0.0.1:/tmp/script.sh")));
        lab.ok(&guest, "chmod 755 /tmp/script.sh; sudo -E /tmp/script.sh; rm -f /tmp/script.sh");
        eprintln!("{script}: {:?}", started.elapsed());
    }
    // The clean-up removed keys, lists and the script itself; the machine still answers, as sshd would.
    assert_eq!(
        lab.ok(&guest, "ls /etc/ssh/ssh_host_* /tmp/script.sh 2>/dev/null | wc -l; readlink /etc/localtime"),
        "0\n../usr/share/zoneinfo/UTC"
    );
    lab.ok(&guest, "systemctl is-enabled fail2ban");
    guest.stop().await.unwrap();
    let layer = guest.capture().await.unwrap();
    let listing = run(Command::new("tar").arg("-tf").arg(&layer.path)).stdout;
    let listing = String::from_utf8(listing).unwrap();
    assert!(
        listing.contains("etc/fail2ban/jail.local") && !listing.contains("usr/local/bin/"),
        "no stand-in in the image"
    );
    eprintln!("layer: {} MiB", layer.size >> 20);
    lab.host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_root_is_used_or_refused_with_a_reason() {
    let Some(lab) = Lab::new(GuestNetwork::None).await else { return };
    // The root that the first line made or found.
    let roots = options(lab.dir.path()).cache_dir.join("roots");
    let root = std::fs::read_dir(roots).unwrap().flatten().map(|e| e.path());
    let root = root.filter(|p| p.join("bin/sh").exists()).max().unwrap();
    let mut given = options(&lab.dir.path().join("given"));
    given.root = RootSource::Dir(root.clone());
    given.network = GuestNetwork::Host;
    let host = GuestHost::new(given).await.unwrap();
    let guest = host.boot(lab.spec("i-1")).await.unwrap();
    // The network of this machine, as asked for; the rest is still apart.
    let loopback = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = loopback.local_addr().unwrap().port();
    lab.ok(&guest, &format!("timeout 3 bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'"));
    assert_eq!(
        lab.ok(&guest, "ls /proc/1/root 2>&1 | grep -c denied; sudo hostname no 2>/dev/null || hostname"),
        "1\nip-10-0-0-7"
    );
    host.shutdown().await;

    let empty = lab.dir.path().join("empty.tar");
    run(Command::new("tar").arg("-cf").arg(&empty).args(["-C", "/etc", "hostname"]));
    let text = lab.dir.path().join("text.tar");
    std::fs::write(&text, "no tar at all").unwrap();
    let cases = [
        (RootSource::Tar(empty), "no /bin/sh"),
        (RootSource::Tar(text), "text.tar"),
        (RootSource::Tar("/no/such.tar".into()), "/no/such.tar"),
        (RootSource::Dir(lab.dir.path().into()), "no /bin/sh"),
    ];
    for (source, reason) in cases {
        let mut given = options(&lab.dir.path().join("refused"));
        given.cache_dir = lab.dir.path().join("cache");
        given.root = source;
        let Err(error) = GuestHost::new(given).await else { panic!("{reason} is expected") };
        assert!(error.to_string().contains(reason), "{error}");
    }
    lab.host.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_has_one_host() {
    let Some(lab) = Lab::new(GuestNetwork::None).await else { return };
    let Err(error) = GuestHost::new(options(&lab.dir.path().join("state"))).await else {
        panic!("two hosts, one folder")
    };
    assert!(error.to_string().contains("used by another local cloud"), "{error}");
}

#[test]
fn what_is_missing_is_named_with_its_cure() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: guests need root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // A program of ours with nothing in PATH, looked at from outside.
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "guest::prints_the_check", "--ignored", "--nocapture"])
        .env("GUEST_TEST_STATE", dir.path())
        .env("IMAGE_ACTION_CACHE", dir.path())
        .env("PATH", dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let cure = "apt-get install -y mmdebstrap slirp4netns";
    assert!(
        text.contains(&format!("mmdebstrap false {cure}")) && text.contains(&format!("slirp4netns false {cure}")),
        "{text}"
    );
    assert!(text.contains("namespaces true"), "{text}");
}

#[test]
#[ignore = "helper of what_is_missing_is_named_with_its_cure"]
fn prints_the_check() {
    let state = PathBuf::from(std::env::var_os("GUEST_TEST_STATE").unwrap());
    let mut options = options(&state);
    options.rung = Some(Rung::Root);
    for item in GuestHost::check(&options).into_iter().flat_map(|r| r.items) {
        println!("{} {} {}", item.name, item.ok, item.cure.unwrap_or_default());
    }
}
