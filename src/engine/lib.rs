//! The life of a build: what a component is ([`component`]), how its options are declared ([`config`]), what is told while it
//! runs ([`event`]), who vouches for us ([`identity`]), what it
//! would do ([`outline`]), what was created and must go again ([`ledger`]), how it waits ([`wait`]), and the run of all builds
//! ([`run`]).
//!
//! This room knows no single cloud, no GitHub and no terminal.

// The derive macro names this crate by its full path; inside the crate that path must lead here too.
extern crate self as image_action_engine;

pub mod ask;
pub mod bounds;
pub mod component;
pub mod config;
pub mod duration;
pub mod env;
pub mod error;
pub mod event;
pub mod identity;
pub mod ledger;
pub mod outline;
pub mod prepare;
pub mod run;
pub mod secret;
pub mod wait;

pub use component::{
    Artifact, BuildContext, Builder, Communicator, Connection, DataSource, ExitStatus, Facts, Output, PostOutcome,
    PostProcessor, Provisioner, Stream,
};
pub use config::{Block, Config};
pub use env::Env;
pub use error::{Error, ErrorKind, Result};
pub use event::{Event, Events};
pub use identity::{Claims, IdentitySource, IdentityToken};
pub use image_action_derive::Config;
pub use ledger::{Ledger, Resource};
pub use outline::{Outline, Question};
pub use prepare::PrepareContext;
pub use secret::Secret;
pub use tokio_util::sync::CancellationToken;
