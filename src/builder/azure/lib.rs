//! The builder `azure-arm`.
//!
//! ```text
//! config ─make→ ArmBuilder ─run→ account (cloud, identity, subscription)
//!                                preflight (what is there already)
//!                                machine   (group, network, machine)  ─ remote ─ provisioners
//!                                image     (stopped, generalized, image, gallery's version)
//!                                remove    (what was temporary, by the ledger)
//! ```
//!
//! Machines, disks, images and galleries are reached by the SDK's typed requests ([`compute`]), everything else by one small
//! client ([`arm`]); [`operation`] follows what takes longer. Resources are put one by one rather than by a deployment: the errors
//! name the resource, the ledger knows each, and a quick build does not wait for a deployment's own bookkeeping.

mod account;
mod arm;
mod builder;
mod cloud;
mod compute;
mod config;
mod failure;
mod find;
mod http;
mod image;
mod machine;
mod names;
mod operation;
mod plan;
mod preflight;
mod remove;
mod role;
#[cfg(test)]
mod tests;
mod token;
mod work;

pub use builder::make;
pub use config::Arm;
pub use remove::AzureSweeper;
pub use role::roles;
