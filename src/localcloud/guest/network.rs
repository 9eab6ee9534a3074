//! The guest's way out, seen from this machine: slirp4netns, name resolution, apt's own settings.

use std::io;
use std::net::Ipv4Addr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::GuestNetwork;
use super::wire::JailFile;

/// The user-mode network; Debian's and Ubuntu's package has the same name.
pub const SLIRP: &str = "slirp4netns";
/// Longest time until the network device is configured. It takes some ten milliseconds; a tool that cannot open /dev/net/tun has been
/// seen to wait for ever.
const READY_TIMEOUT: Duration = Duration::from_secs(10);
/// slirp4netns's own name server, in its default network.
const SLIRP_DNS: &str = "10.0.2.3";
/// Name of the guest's network device.
const DEVICE: &str = "tap0";

/// A running user-mode network. It ends with the guest, with this, or with this process, whichever ends first.
pub struct Slirp {
    child: Child,
}

impl Slirp {
    /// Gives the network namespace of a process a way out.
    ///
    /// # Errors
    /// What slirp4netns said, or that it did not get ready.
    pub async fn start(pid: u32) -> Result<Self, String> {
        let mut child = Command::new(SLIRP)
            .args(["--configure", "--mtu=1500", "--disable-host-loopback", "--enable-sandbox", "--enable-seccomp"])
            // It ends when standard input hangs up, and writes to standard output when it is ready.
            .args(["--exit-fd=0", "--ready-fd=1", &pid.to_string(), DEVICE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("{SLIRP}: {e}"))?;
        let mut ready = child.stdout.take();
        let wait = async {
            match &mut ready {
                Some(ready) => ready.read_u8().await,
                None => Err(io::ErrorKind::UnexpectedEof.into()),
            }
        };
        match timeout(READY_TIMEOUT, wait).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(format!("{SLIRP}: {}", last_words(&mut child).await)),
            Err(_) => return Err(format!("{SLIRP} did not get ready within {} s", READY_TIMEOUT.as_secs())),
        }
        if let Some(mut errors) = child.stderr.take() {
            tokio::spawn(async move {
                let mut sink = [0; 4096];
                while let Ok(1..) = errors.read(&mut sink).await {}
            });
        }
        Ok(Self { child })
    }

    /// Ends it and waits for that.
    pub async fn end(mut self) {
        drop(self.child.stdin.take());
        if timeout(READY_TIMEOUT, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

async fn last_words(child: &mut Child) -> String {
    let mut text = String::new();
    if let Some(errors) = &mut child.stderr {
        let _ = timeout(READY_TIMEOUT, errors.read_to_string(&mut text)).await;
    }
    text.lines().last().unwrap_or("it ended without a word").to_owned()
}

/// IPv4 addresses of this machine that a guest must not reach.
///
/// # Errors
/// As getifaddrs(3).
pub fn own_addresses() -> io::Result<Vec<Ipv4Addr>> {
    let found = nix::ifaddrs::getifaddrs()?.filter_map(|i| Some(i.address?.as_sockaddr_in()?.ip()));
    Ok(found.filter(|ip| !ip.is_loopback()).collect())
}

/// Files by which the guest resolves names and fetches packages. They never enter an image.
pub fn files(network: GuestNetwork) -> Vec<JailFile> {
    let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut files = vec![JailFile { path: "etc/resolv.conf".into(), mode: 0o644, text: resolv_conf(network, &host) }];
    if network != GuestNetwork::None {
        let dump = std::process::Command::new("apt-config").arg("dump").stdin(Stdio::null()).output();
        let dump = dump.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
        let text = apt_conf(&dump);
        if !text.is_empty() {
            files.push(JailFile { path: "etc/apt/apt.conf.d/00local-guest".into(), mode: 0o644, text });
        }
    }
    files
}

fn resolv_conf(network: GuestNetwork, host: &str) -> String {
    let kept = |line: &&str| line.starts_with("search ") || line.starts_with("options ");
    match network {
        GuestNetwork::Host => host.to_owned(),
        GuestNetwork::None => String::new(),
        GuestNetwork::User => {
            let mut text = format!("nameserver {SLIRP_DNS}\n");
            host.lines().filter(kept).for_each(|l| text.extend([l, "\n"]));
            text
        }
    }
}

/// apt settings that say how packages are reached from here: proxies without credentials, and how strict dates are.
pub fn apt_conf(dump: &str) -> String {
    let wanted = |line: &&str| {
        let key = line.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let plain = ["acquire::check-valid-until", "acquire::check-date", "acquire::retries", "acquire::forceipv4"];
        let proxy = ["acquire::http::proxy", "acquire::https::proxy"];
        let secret = line.contains('@');
        let empty = line.ends_with(" \"\";");
        !secret && !empty && (plain.contains(&key.as_str()) || proxy.iter().any(|p| key.starts_with(p)))
    };
    dump.lines().filter(wanted).map(|l| format!("{l}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apt_settings_pass_without_secrets() {
        let dump = "APT \"\";\nAcquire::http::Proxy \"http://u:p@cache:3142\";\nAcquire::https::Proxy \"http://cache:3142\";\n\
                    Acquire::Check-Date \"false\";\nAcquire::http \"\";\nDPkg::Post-Invoke:: \"rm x\";\n";
        assert_eq!(apt_conf(dump), "Acquire::https::Proxy \"http://cache:3142\";\nAcquire::Check-Date \"false\";\n");
    }

    #[test]
    fn names_are_resolved_by_the_way_out() {
        let host = "nameserver 127.0.0.53\nsearch corp.example\n";
        assert_eq!(resolv_conf(GuestNetwork::User, host), "nameserver 10.0.2.3\nsearch corp.example\n");
        assert_eq!(resolv_conf(GuestNetwork::Host, host), host);
    }
}
