//! image-action-google
