//! image-action: machine images from Packer HCL2 templates, as one program.
//!
//! The floors of the house, from the ground up, are described in `docs/architecture.md`.

pub mod attestation;
pub mod builder;
pub mod cli;
pub mod datasource;
pub mod github;
pub mod lint;
pub mod plan;
pub mod postprocessor;
pub mod provisioner;
pub mod reference;
pub mod registry;
pub mod report;
pub mod secrets;
pub mod template;
