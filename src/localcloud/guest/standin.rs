//! Commands that need a booted systemd, a kernel of one's own or a cloud, simulated for the guest.
//!
//! They lie in a read-only layer between the image and the guest's own changes, so they never enter an image. Each stands where the real
//! one would (for callers with an absolute path) and in `/usr/local/bin` (so that it is still found when the package of the real one
//! is upgraded in the guest; a bind mount instead would make dpkg fail).

use super::wire::JailFile;

/// Folder in PATH before those of packages.
const FIRST_IN_PATH: &str = "usr/local/bin";

/// Name, where the real one lies if it may be covered, text.
const COMMANDS: [(&str, Option<&str>, &str); 10] = [
    ("cloud-init", Some("usr/bin"), include_str!("standin/cloud-init")),
    ("timedatectl", Some("usr/bin"), include_str!("standin/timedatectl")),
    ("hostnamectl", Some("usr/bin"), include_str!("standin/hostnamectl")),
    ("localectl", Some("usr/bin"), include_str!("standin/localectl")),
    ("sysctl", Some("usr/sbin"), include_str!("standin/sysctl")),
    // Calls the real one, which is right in all but one thing.
    ("systemctl", None, include_str!("standin/systemctl")),
    ("reboot", Some("usr/sbin"), include_str!("standin/power")),
    ("poweroff", Some("usr/sbin"), include_str!("standin/power")),
    ("halt", Some("usr/sbin"), include_str!("standin/power")),
    ("shutdown", Some("usr/sbin"), include_str!("standin/power")),
];

/// The files of the stand-ins.
pub fn files() -> Vec<JailFile> {
    let each = COMMANDS.iter().flat_map(|(name, folder, text)| {
        [Some(FIRST_IN_PATH), *folder].into_iter().flatten().map(move |folder| JailFile {
            path: format!("{folder}/{name}"),
            mode: 0o755,
            text: (*text).to_owned(),
        })
    });
    each.collect()
}
