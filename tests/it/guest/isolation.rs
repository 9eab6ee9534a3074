//! What a guest must not see or do, tried from inside; and that nothing of it is left when its host is killed.

use super::{Lab, USER, options, run};
use image_action_localcloud::guest::{BootSpec, GuestHost, GuestNetwork};
use std::os::linux::net::SocketAddrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What a guest could change here, as text to compare.
fn this_machine() -> String {
    // Users of other tests come and go meanwhile, and a container engine beside this test mounts its layers; a guest's mounts
    // lie elsewhere.
    let other = |line: &&str| {
        !line.starts_with(super::user::PREFIX) && !line.contains("/engine/overlay2/") && !line.contains("/netns/")
    };
    let read = |path: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().filter(other).map(|l| format!("{l}\n")).collect::<String>()
    };
    let files =
        ["/etc/passwd", "/etc/group", "/etc/hosts", "/etc/resolv.conf", "/etc/machine-id", "/proc/self/mountinfo"];
    let kernel =
        ["kernel/hostname", "vm/swappiness", "kernel/core_pattern", "net/core/somaxconn", "net/ipv4/ip_forward"];
    let kernel = kernel.map(|k| format!("{k}={}", read(&format!("/proc/sys/{k}"))));
    files.map(read).into_iter().chain(kernel).chain([read("/proc/net/route")]).collect()
}

/// A process of this machine that a guest must not find.
struct Sleeper(std::process::Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("86321").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Commands that root of a guest tries, each of which must fail.
const REFUSED: [&str; 30] = [
    "mknod /tmp/disk b 254 0",
    "mount -t tmpfs none /mnt",
    "mount -o remount,rw /proc/sys",
    "umount /proc/sys",
    "umount -l /proc",
    "sh -c 'echo 1 >/proc/sys/vm/swappiness'",
    "sh -c 'echo x >/proc/sys/kernel/core_pattern'",
    "date -s 2001-01-01",
    "hostname hacked",
    "ip link add dummy0 type dummy",
    "ip route flush table main",
    "ip addr add 10.9.9.9/24 dev lo",
    "renice -n -5 -p 1",
    "unshare --user true",
    "unshare --mount true",
    "nsenter --target 1 --mount true",
    "dmesg",
    "chattr +i /etc/hosts",
    "ls /var/run/docker.sock /run/docker.sock /run/containerd/containerd.sock",
    "ls /sys/kernel",
    "python3 -c 'open(\"/proc/1/exe\", \"r+b\")'",
    "python3 -c 'import os; os.open(\"/proc/self/fd/%d\" % os.open(\"/proc/1/exe\", os.O_PATH), os.O_WRONLY)'",
    "python3 -c 'import socket; socket.socket(40, socket.SOCK_STREAM)'",
    "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
    "python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)'",
    "python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(250, 0, -3, 1) < 0)'",
    "python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).reboot(0) < 0)'",
    "python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).iopl(3) < 0)'",
    "python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(425, 1, 0) < 0)'",
    "grep -q . /proc/kcore /proc/keys /proc/kallsyms /proc/1/environ",
];

/// Leaves the chroot in the classic way and lists what is there.
const ESCAPE: &str = "import os
os.makedirs('/tmp/x', exist_ok=True)
fd = os.open('/', os.O_RDONLY)
os.chroot('/tmp/x')
os.fchdir(fd)
for _ in range(20): os.chdir('..')
os.chroot('.')
print(sorted(os.listdir('/')))
";

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_neither_sees_nor_changes_this_machine() {
    let Some(lab) = Lab::new(GuestNetwork::User).await else { return };
    let before = this_machine();
    let secret = lab.dir.path().join("secret");
    std::fs::write(&secret, "host secret").unwrap();
    let mut sleeper = Sleeper::start();
    let everywhere = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let loopback = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("image-action-test-{}", std::process::id());
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
    let socket = std::os::unix::net::UnixListener::bind_addr(&address).unwrap();

    let guest = lab.boot("i-1").await;
    for command in REFUSED {
        let output = lab.ssh(&guest, &[], &format!("sudo {command}"));
        assert!(!output.status.success(), "{command} must fail in a guest: {output:?}");
    }
    let (secret, pid) = (secret.display(), sleeper.0.id());
    for command in [
        format!("cat {secret} /proc/1/root/{secret} /proc/1/cwd/{secret}"),
        format!("kill -9 {pid}"),
        format!("cat /proc/{pid}/environ"),
        format!("python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"\\0{name}\")'"),
    ] {
        let output = lab.ssh(&guest, &[], &format!("sudo {command}"));
        assert!(!output.status.success(), "{command} must fail in a guest: {output:?}");
    }
    assert_eq!(lab.ok(&guest, "ps ax | grep -c '[8]6321' || true"), "0");
    assert_eq!(
        lab.ok(&guest, "{ env; sudo sh -c 'cat /proc/[0-9]*/environ'; } | tr '\\0' '\\n' | grep -c CARGO || true"),
        "0"
    );
    let script = lab.dir.path().join("escape.py");
    std::fs::write(&script, ESCAPE).unwrap();
    let port = guest.ssh_addr().port().to_string();
    run(lab.client("scp").args(["-P", &port]).arg(&script).arg(format!("{USER}@127.0.0.1:/tmp/escape.py")));
    assert_eq!(lab.ok(&guest, "sudo python3 /tmp/escape.py"), "['files', 'guest', 'init']");
    assert_eq!(lab.ok(&guest, "sudo ls /proc/1/root; sudo stat -c %s /proc/1/root/init"), "files\nguest\ninit\n0");
    // PID 1 holds no file of this machine, and what is mapped into it cannot be opened.
    let held = lab.ok(&guest, "sudo sh -c 'for f in /proc/1/fd/*; do readlink $f; done'");
    let null = ["/null", "/dev/null"];
    assert!(held.lines().all(|l| l.contains(":[") || null.contains(&l)), "{held}");
    assert_eq!(lab.ok(&guest, "sudo sh -c 'cat /proc/1/map_files/*' 2>/dev/null | wc -c"), "0");
    // Not every kernel has them all; what is there is /dev/null.
    let masked = "for f in sysrq-trigger kcore keys kmsg timer_list kallsyms; do [ ! -e /proc/$f ] || stat -c '%t:%T' /proc/$f; done";
    assert_eq!(lab.ok(&guest, &format!("{{ {masked}; }} | sort -u")), "1:3");
    let devices = "full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero fd";
    let mut devices: Vec<_> = devices.split(' ').collect();
    devices.sort_unstable();
    assert_eq!(lab.ok(&guest, "ls /dev | LC_ALL=C sort"), devices.join("\n"));

    // Every address of this machine, by every road: nobody may arrive.
    let own = nix::ifaddrs::getifaddrs().unwrap();
    let own = own.filter_map(|i| Some(i.address?.as_sockaddr_in()?.ip().to_string()));
    let mut addresses: Vec<String> = own.chain(["10.0.2.2".into(), "169.254.169.254".into()]).collect();
    addresses.dedup();
    for listener in [&everywhere, &loopback] {
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        for address in &addresses {
            let connect = format!("timeout 3 bash -c 'exec 3<>/dev/tcp/{address}/{port}'");
            assert!(!lab.ssh(&guest, &[], &connect).status.success(), "{address}:{port} is reached");
        }
        assert!(listener.accept().is_err(), "somebody has arrived");
    }
    socket.set_nonblocking(true).unwrap();
    assert!(socket.accept().is_err());

    // And what a guest may do stays in it.
    lab.ok(&guest, "sudo useradd intruder && sudo sh -c 'echo evil >>/etc/hosts' && sudo rm -f /etc/machine-id");
    lab.host.shutdown().await;
    assert!(sleeper.0.try_wait().unwrap().is_none(), "a process of the host lives");
    assert_eq!(this_machine(), before);
}

/// Boots a guest and waits to be killed; started by the test below in a process of its own.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "helper of a_killed_host_takes_its_guests_along"]
async fn boots_and_waits() {
    let state = PathBuf::from(std::env::var_os("GUEST_TEST_STATE").unwrap());
    let host = GuestHost::new(options(&state)).await.unwrap();
    let spec = BootSpec { name: "i".into(), hostname: "i".into(), ..BootSpec::default() };
    let guest = host.boot(spec).await.unwrap();
    guest
        .run_as_root("setsid sleep 86322 >/dev/null 2>&1 & setsid sh -c 'trap \"\" TERM HUP; sleep 86322' &")
        .await
        .unwrap();
    println!("booted");
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_host_takes_its_guests_along() {
    use std::io::BufRead;
    let Some(lab) = Lab::new(GuestNetwork::None).await else { return };
    let state = lab.dir.path().join("killed");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "guest::isolation::boots_and_waits", "--ignored", "--nocapture"])
        .env("GUEST_TEST_STATE", &state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|l| l.unwrap() == "booted"));
    // Processes of that run: descendants of the child, whatever they are called.
    let left = || {
        let list = run(Command::new("ps").args(["-eo", "args"])).stdout;
        let list = String::from_utf8(list).unwrap();
        let base = state.display().to_string();
        list.lines().filter(|l| l.contains("sleep 86322") || l.contains(&base)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(left().len() >= 2, "{:?}", left());
    let slirp = || {
        let stat = std::fs::read_dir("/proc").unwrap().flatten();
        let parents = stat.filter_map(|e| std::fs::read_to_string(e.path().join("status")).ok());
        parents.filter(|s| s.contains("Name:\tslirp4netns") && s.contains(&format!("PPid:\t{}\n", child.id()))).count()
    };
    assert_eq!(slirp(), 1);
    let slirp_pid = std::fs::read_dir("/proc").unwrap().flatten().find_map(|e| {
        let status = std::fs::read_to_string(e.path().join("status")).ok()?;
        (status.contains("Name:\tslirp4netns") && status.contains(&format!("PPid:\t{}\n", child.id())))
            .then(|| e.path())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !left().is_empty() || slirp_pid.as_ref().is_some_and(|p| p.exists()) {
        assert!(std::time::Instant::now() < deadline, "left behind: {:?}", left());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&state.display().to_string()));
    // The next run on the same folder sweeps what is left on disk.
    assert!(state.join("guests/0/upper").is_dir());
    GuestHost::new(options(&state)).await.unwrap();
    assert!(!state.join("guests/0").exists());
    lab.host.shutdown().await;
}
