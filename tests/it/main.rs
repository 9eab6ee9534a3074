//! Everything that is tested from outside, in one binary: each more would link the clouds' clients once more.
//!
//! A module of its own for each room; what they share is in [`support`].

mod access;
mod action;
mod amazon;
mod ask;
mod azure;
mod cleanup;
mod container;
mod diagnostics;
mod faults;
mod fmt;
mod google;
mod guest;
mod identity;
mod leftovers;
mod lint;
mod options;
mod plan;
mod reference;
mod robust;
mod secrets;
mod seed;
mod shells;
mod ssh;
mod sshd;
mod stub;
mod support;
mod verdicts;
mod wrong;
