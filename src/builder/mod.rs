//! Builders that need no cloud; those of the clouds are crates of their own beside this file.

pub mod file;
pub mod null;
