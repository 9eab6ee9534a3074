//! Data sources that need no cloud; those of the clouds stand beside their builders.

pub mod http;
pub mod null;
