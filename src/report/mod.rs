//! Subscribers of events: what is told while builds run, drawn for people and for machines.
//!
//! Text of guests and of local programs is untrusted: [`clean::line`] takes control sequences out of it and breaks workflow
//! commands, and every report passes all text through one [`Masker`].

pub mod clean;
pub mod collect;
pub mod diagnostics;
pub mod json;
pub mod machine;
pub mod markdown;
pub mod masker;
pub mod plan;
pub mod terminal;

pub use masker::Masker;
