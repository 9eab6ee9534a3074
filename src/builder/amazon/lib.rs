//! image-action-amazon
