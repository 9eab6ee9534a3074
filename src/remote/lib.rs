//! How a machine is reached: ssh with everything around it (keys, agent, bastion, proxy, tunnels), files as streams, tar
//! streams or sftp, and the communicator that reaches nothing.
//!
//! This room does not know who asks.

pub mod config;
mod connect;
mod dial;
mod exec;
pub mod keys;
mod none;
pub mod quote;
mod reach;
mod sftp;
mod ssh;
mod stream;
mod tree;
mod tunnel;

pub use config::{Bastion, CommunicatorConfig, Login, Proxy, SshSettings, Transfer, Tunnel, Username};
pub use connect::{Notice, connect};
pub use exec::ending;
pub use keys::{KeyKind, PrivateKey, TemporaryKey};
pub use none::NoneCommunicator;
pub use reach::{Machine, clear_authorized_keys, reach};

#[cfg(test)]
mod tests;
