//! What tests of several rooms share.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use image_action_localcloud::guest::{GuestHost, HostOptions};
use image_action_localcloud::{Options, Running, start};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

/// How long a state of the local cloud lasts in tests.
pub const STEP: Duration = Duration::from_millis(20);

/// Installs the TLS provider; every test that makes a client calls this first.
pub fn tls() {
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A local cloud without guests, in a folder of its own.
pub struct Local {
    /// The cloud.
    pub running: Running,
    /// Its folder, removed at the end.
    pub dir: tempfile::TempDir,
}

impl Local {
    /// Brings one up.
    pub async fn start() -> Local {
        tls();
        let dir = tempfile::tempdir().unwrap();
        let options = Options { port: 0, state_dir: dir.path().join("cloud"), step: STEP, guests: None };
        Local { running: start(options).await.unwrap(), dir }
    }
    /// Brings one up whose machines are guests.
    pub async fn start_with_guests() -> Local {
        tls();
        let dir = tempfile::tempdir().unwrap();
        let mut guests = HostOptions::new(dir.path().join("guests"), cache_dir());
        // This test binary cannot be the guests' own process; the program can.
        guests.helper = PathBuf::from(env!("CARGO_BIN_EXE_image-action"));
        let options = Options { port: 0, state_dir: dir.path().join("cloud"), step: STEP, guests: Some(guests) };
        Local { running: start(options).await.unwrap(), dir }
    }
    /// The environment that leads clients to it.
    pub fn env(&self) -> BTreeMap<String, String> {
        self.running.env()
    }
}

/// Where the root file system of guests is kept between runs.
fn cache_dir() -> PathBuf {
    image_action::cli::local::cache_dir(&image_action_engine::Env::of_process())
}

/// Whether this machine can play machines; says on the error stream that a test is passed over where it cannot.
#[allow(clippy::print_stderr)]
pub fn can_have_guests() -> bool {
    let missing = GuestHost::check(&HostOptions::new("/nonexistent", cache_dir()));
    let can = missing.iter().any(|rung| rung.ok());
    if !can {
        let missing: Vec<_> = missing.iter().flat_map(|r| &r.items).filter(|i| !i.ok).map(|i| i.name).collect();
        eprintln!("passed over: guests cannot run here, for want of {}", missing.join(", "));
    }
    can
}

/// A script of `tests/py`.
pub fn script(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/py").join(name)
}

/// Runs a Python script of `tests/py`; its output when it worked, a panic with all of it when not.
pub async fn python(name: &str, arguments: &[&str], env: BTreeMap<String, String>) -> String {
    let output = tokio::process::Command::new("python3")
        .arg(script(name))
        .args(arguments)
        .envs(env)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("python3 with the packages of tests/requirements.txt comes first in PATH");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} {arguments:?}: {}\n{text}", output.status);
    text
}
