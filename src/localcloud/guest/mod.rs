//! Guests: the machines of the local cloud.
//!
//! A [`Guest`] is a root file system of its own (one cached root, the layers of a local image, and an upper layer that takes
//! every change) in namespaces of its own, with capabilities cut, behind an SSH server of ours that runs outside of it and
//! listens on loopback. Nothing that a guest does is on this machine afterwards, and it sees no file, process, socket,
//! credential or environment of this machine.
//!
//! ```text
//! this process ── control socket ──> PID 1 of the guest ── fork, chroot, setuid, exec ──> commands
//!     │  └─ SSH server (127.0.0.1:port), pipes and terminals of each command
//!     └─ keeper (outside of the guest's pid namespace): ends PID 1, and so every process, when we are gone
//! ```
//!
//! The guest's processes are started by a hidden re-exec of our own binary, so the `main` of every program that boots guests
//! calls [`reexec_main`] before anything else (before a thread or the tokio runtime exists).

mod account;
mod api;
mod check;
mod control;
mod host;
mod jail;
mod layer;
mod machine;
mod network;
mod root;
mod session;
mod sources;
mod space;
mod ssh;
mod standin;
mod terminal;
mod wire;

pub use api::{
    Account, BootSpec, CheckItem, GuestError, GuestNetwork, GuestState, HostOptions, Layer, Output, Progress,
    RootSource, Rung, RungCheck,
};
pub use host::GuestHost;
pub use machine::Guest;

use std::process::ExitCode;

/// Runs the part of this process that belongs to a guest, if it was started for that; `None` in an ordinary process.
///
/// `main` calls this first thing: it must run while the process has one thread.
pub fn reexec_main() -> Option<ExitCode> {
    jail::dispatch()
}
