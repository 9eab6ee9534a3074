//! image-action-engine
