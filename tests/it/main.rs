//! Everything that is tested from outside, in one binary: each more would link the clouds' clients once more.
//!
//! A module of its own for each room; what they share is in [`support`].

mod action;
mod amazon;
mod azure;
mod container;
mod diagnostics;
mod fmt;
mod google;
mod guest;
mod identity;
mod leftovers;
mod lint;
mod reference;
mod seed;
mod ssh;
mod sshd;
mod support;
mod verdicts;
mod wrong;
