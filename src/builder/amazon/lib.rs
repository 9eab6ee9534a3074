//! Amazon machine images: the builder `amazon-ebs`, the data sources `amazon-ami`, `amazon-parameterstore` and
//! `amazon-secretsmanager`.
//!
//! This room knows EC2, STS, KMS, Secrets Manager and Parameter Store, and no other cloud.

mod account;
pub mod config;
mod connect;
mod credentials;
mod ebs;
mod failure;
mod find;
mod images;
mod network;
mod parameter;
mod plan;
mod policy;
mod remove;
mod secret;
mod tags;
mod waits;

pub use ebs::make_ebs;
pub use images::make_ami_data;
pub use parameter::make_parameter_data;
pub use policy::policy;
pub use remove::AwsSweeper;
pub use secret::{Entry, make_secret_data, read_secret, secret_grants};
