//! GitHub: what an event asks for, and where its answer goes (check runs, comment, release, step outputs, summary).
//!
//! Knows no cloud. Everything that reporting cannot do is told as a notice; a job never fails because of it.

pub mod checks;
pub mod client;
pub mod comment;
pub mod event;
pub mod inputs;
mod limits;
pub mod oidc;
pub mod release;
pub mod runner;
mod yaml;

pub use client::Client;
pub use event::{Decision, Job, Mode};
