//! The inside: what runs in the re-executed process that becomes a guest. One thread, no tokio, no way back to the host.
//!
//! [`stage::first`] makes the mount namespace and re-executes us from a read-only mount, so that no guest can write to our
//! program through `/proc/1/exe`; [`stage::second`] makes the other namespaces, mounts the guest's root and forks PID 1
//! ([`init`]); it stays outside as the keeper. An ordinary user's guests do all of it as root of a user namespace ([`space`]).

pub mod cut;
pub mod files;
pub mod init;
pub mod mounts;
pub mod net;
pub mod probe;
pub mod space;
pub mod stage;
pub mod unpack;

use std::ffi::OsStr;
use std::fmt::Display;
use std::process::ExitCode;

/// First argument of the re-exec that makes the mount namespace; the second is the base folder.
pub const FIRST: &str = "__guest-init";
/// First argument of the re-exec from the read-only mount.
pub const SECOND: &str = "__guest-stage";
/// First argument of the helper that unpacks a tar inside of a folder: folder, then `root` or `layer`.
pub const UNPACK: &str = "__guest-unpack";
/// First argument of the process that makes a user namespace.
pub const SPACE: &str = "__guest-space";
/// First argument where a user namespace is to be entered first: its path, then what to do there.
pub const ENTER: &str = "__guest-enter";
/// First argument of the process that tries what guests need; the second is its folder.
pub const PROBE: &str = "__guest-probe";
/// First argument of the helper that packs a layer.
pub const PACK: &str = "__guest-pack";
/// First argument of the helper that removes a folder; the second is the folder.
pub const REMOVE: &str = "__guest-remove";

/// A step of setting up a guest that failed: what was tried and why it was refused.
#[derive(Debug)]
pub struct Refused(pub String);

/// Result of a step of setting up.
pub type Step<T> = Result<T, Refused>;

/// Names the step that failed.
pub trait Doing<T> {
    /// Turns an error into a [`Refused`] that says what was being done.
    fn doing(self, what: &str) -> Step<T>;
}

impl<T, E: Display> Doing<T> for Result<T, E> {
    fn doing(self, what: &str) -> Step<T> {
        self.map_err(|e| Refused(format!("{what}: {e}")))
    }
}

/// Runs the part that the first argument names; see [`reexec_main`](super::reexec_main).
pub fn dispatch() -> Option<ExitCode> {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let mut words = args.as_slice();
    let mut entered = Ok(());
    if let [name, path, rest @ ..] = words
        && name == OsStr::new(ENTER)
    {
        entered = space::enter(path);
        words = rest;
    }
    let (name, rest) = words.split_first()?;
    let result = if entered.is_err() {
        entered.map(|()| ExitCode::FAILURE)
    } else if name == OsStr::new(FIRST) {
        stage::first(rest.first()?)
    } else if name == OsStr::new(SECOND) {
        stage::second()
    } else if name == OsStr::new(UNPACK) {
        unpack::main(rest.first()?, rest.get(1)?)
    } else if name == OsStr::new(SPACE) {
        space::make()
    } else if name == OsStr::new(PROBE) {
        probe::main(rest.first()?)
    } else if name == OsStr::new(PACK) {
        files::pack()
    } else if name == OsStr::new(REMOVE) {
        files::remove(rest.first()?)
    } else {
        return None;
    };
    Some(match result {
        Ok(code) => code,
        Err(Refused(why)) => {
            // The only ear of this process is the pipe behind its standard error, which the parent reads.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{why}\n").as_bytes());
            ExitCode::FAILURE
        }
    })
}
