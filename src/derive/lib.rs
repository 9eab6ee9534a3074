//! image-action-derive
