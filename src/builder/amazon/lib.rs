//! Amazon machine images: the builder `amazon-ebs` and the data source `amazon-ami`.
//!
//! This room knows EC2, STS and KMS, and no other cloud.

mod account;
pub mod config;
mod credentials;
mod failure;
mod images;
mod network;
mod waits;
