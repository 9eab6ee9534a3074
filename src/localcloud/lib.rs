//! image-action-localcloud

pub mod guest;
