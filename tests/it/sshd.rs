//! The system's OpenSSH server on a free port of the loopback, with keys and a configuration of its own.

#![allow(clippy::unwrap_used, clippy::print_stderr, dead_code)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where Debian, Ubuntu and Red Hat keep the server.
const SERVER: &str = "/usr/sbin/sshd";

/// A running server; it ends with the value.
pub struct Sshd {
    /// Where it listens.
    pub port: u16,
    /// The private key that it lets in.
    pub key: PathBuf,
    /// The user that it lets in: the one who runs the tests.
    pub user: String,
    /// Everything of it.
    pub dir: tempfile::TempDir,
    child: Child,
}

/// Says why the tests of this room cannot run, once a test.
pub fn missing() -> bool {
    let missing = !Path::new(SERVER).exists();
    if missing {
        eprintln!("skipped: {SERVER} is missing (apt-get install openssh-server)");
    }
    missing
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Makes a key pair with the system's own tool.
pub fn keygen(path: &Path, kind: &[&str]) {
    let status =
        Command::new("ssh-keygen").args(["-q", "-N", "", "-C", "a comment", "-f"]).arg(path).args(kind).status();
    assert!(status.unwrap().success());
}

impl Sshd {
    /// A server that lets the user of the tests in, with `more` lines of configuration.
    pub fn start(more: &str) -> Sshd {
        Sshd::start_on(free_port(), more)
    }

    /// As [`Sshd::start`], on a given port.
    pub fn start_on(port: u16, more: &str) -> Sshd {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        keygen(&at("host"), &["-t", "ed25519"]);
        keygen(&at("client"), &["-t", "ed25519"]);
        std::fs::copy(at("client.pub"), at("authorized")).unwrap();
        let root = std::env::var("USER").as_deref() == Ok("root") || Path::new("/root/.").read_dir().is_ok();
        if root {
            // Where the server drops its privileges; Debian makes it when the service starts.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let config = format!(
            "{more}\nListenAddress 127.0.0.1\nPort {port}\nHostKey {0}/host\nAuthorizedKeysFile {0}/authorized\nPidFile none\n\
             StrictModes no\nUsePAM no\nPermitRootLogin yes\nMaxStartups 100\nSubsystem sftp internal-sftp\nLogLevel VERBOSE\n",
            dir.path().display()
        );
        std::fs::write(at("config"), config).unwrap();
        let mut child = Command::new(SERVER)
            .args(["-D", "-e", "-f"])
            .arg(at("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let keep = at("log");
        std::thread::spawn(move || {
            use std::io::Write;
            let mut file = std::fs::File::create(keep).unwrap();
            for line in log.lines().map_while(Result::ok) {
                let _ = writeln!(file, "{line}");
            }
        });
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(10), "sshd does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned();
        Sshd { port, key: at("client"), user, dir, child }
    }

    /// What the server told so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The servers of its connections: children of the listening one.
    pub fn sessions(&self) -> Vec<u32> {
        let out = Command::new("pgrep").args(["-P", &self.child.id().to_string()]).output().unwrap();
        String::from_utf8_lossy(&out.stdout).lines().filter_map(|l| l.parse().ok()).collect()
    }

    /// Ends every connection, as a reboot does; the server goes on listening.
    pub fn cut(&self) {
        for pid in self.sessions() {
            // What it runs goes after it, so that no exit code is told.
            let below = Command::new("pgrep").args(["-P", &pid.to_string()]).output().unwrap();
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
            for child in String::from_utf8_lossy(&below.stdout).lines() {
                let _ = Command::new("kill").args(["-KILL", child]).stderr(Stdio::null()).status();
            }
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.cut();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
