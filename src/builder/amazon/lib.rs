//! Amazon machine images: the builder `amazon-ebs` and the data source `amazon-ami`.
//!
//! This room knows EC2, STS and KMS, and no other cloud.

mod account;
pub mod config;
mod connect;
mod credentials;
mod ebs;
mod failure;
mod find;
mod images;
mod network;
mod remove;
mod tags;
mod waits;

pub use ebs::make_ebs;
pub use images::make_ami_data;
pub use remove::AwsSweeper;
