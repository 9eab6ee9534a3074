//! image-action-remote
