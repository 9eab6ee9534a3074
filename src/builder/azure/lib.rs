//! image-action-azure
