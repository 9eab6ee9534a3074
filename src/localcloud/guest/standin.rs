//! Commands that need a booted systemd, a kernel of one's own or a cloud, simulated for the guest.
//!
//! They lie in a read-only layer between the image and the guest's own changes, so they never enter an image. Each stands where the real
//! one would (for callers with an absolute path) and in `/usr/local/bin` (so that it is still found when the package of the real one
//! is upgraded in the guest; a bind mount instead would make dpkg fail).

use super::wire::JailFile;

const COMMANDS: [(&str, &str, &str); 5] = [
    ("cloud-init", "usr/bin", include_str!("standin/cloud-init")),
    ("timedatectl", "usr/bin", include_str!("standin/timedatectl")),
    ("hostnamectl", "usr/bin", include_str!("standin/hostnamectl")),
    ("localectl", "usr/bin", include_str!("standin/localectl")),
    ("sysctl", "usr/sbin", include_str!("standin/sysctl")),
];

/// The files of the stand-ins.
pub fn files() -> Vec<JailFile> {
    let each = COMMANDS.iter().flat_map(|(name, folder, text)| {
        ["usr/local/bin", folder].map(|folder| JailFile {
            path: format!("{folder}/{name}"),
            mode: 0o755,
            text: (*text).to_owned(),
        })
    });
    each.collect()
}
