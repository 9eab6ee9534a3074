//! The local cloud: loopback servers that speak the wire formats of EC2, KMS, STS, Azure Resource Manager, Compute Engine and
//! GitHub, and local guests for machines.
//!
//! It knows nothing of the rest of the program, and is reached as the clouds are: over HTTP and SSH. [`start`] brings it up;
//! [`Running::env`] says how clients find it.

pub mod aws;
pub mod azure;
pub mod cloud;
pub mod fault;
pub mod github;
pub mod google;
pub mod guest;
pub mod http;
pub mod issuer;
pub mod machine;
pub mod server;

pub use cloud::{Cloud, Options};
pub use http::{Request, Response};
pub use server::{Running, StartError, start};
