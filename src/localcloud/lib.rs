//! image-action-localcloud
