//! What image is made, and of what.

use super::EncryptionKey;
use image_action_engine::Config;
use std::collections::BTreeMap;

/// What image is made, and of what.
#[derive(Clone, Debug, Config)]
pub struct ImageOptions {
    /// The project that the instance is made in.
    pub project_id: String,
    /// The name of the source image; goes before `source_image_family`.
    pub source_image: String,
    /// The family of the source image: its newest image that is not deprecated.
    pub source_image_family: String,
    /// The projects that the source image is looked for in, in this order; by default the build's own project and Google's
    /// public ones.
    pub source_image_project_id: Vec<String>,
    /// The image's name: lowercase letters, digits and dashes, at most 63. Default: `packer-` and the time in seconds.
    pub image_name: String,
    /// The image's description.
    #[config(default = "Created by Packer")]
    pub image_description: String,
    /// The image's family.
    pub image_family: String,
    /// The image's labels.
    pub image_labels: BTreeMap<String, String>,
    /// Licenses of the image, beside those of its source.
    pub image_licenses: Vec<String>,
    /// Features that the image's operating system has, beside those of its source (`UEFI_COMPATIBLE`, `GVNIC`, …).
    pub image_guest_os_features: Vec<String>,
    /// The project that receives the image. Default: `project_id`.
    pub image_project_id: String,
    /// Where the image is stored: one region or multi-region.
    pub image_storage_locations: Vec<String>,
    /// `X86_64` or `ARM64`. Default: as the source.
    pub image_architecture: String,
    /// The key that the image is encrypted with.
    #[config(block)]
    pub image_encryption_key: Option<EncryptionKey>,
    /// Files of the signature database (db) of Secure Boot.
    pub image_signatures_db: Vec<String>,
    /// File of the platform key (PK) of Secure Boot.
    pub image_platform_key: String,
    /// Files of the key exchange keys (KEK) of Secure Boot.
    pub image_key_exchange_key: Vec<String>,
    /// Files of the forbidden signature database (dbx) of Secure Boot.
    pub image_forbidden_signatures_db: Vec<String>,
    /// When the image becomes deprecated, RFC 3339.
    pub deprecate_at: String,
    /// When the image becomes obsolete, RFC 3339.
    pub obsolete_at: String,
    /// When the image is to be deleted, RFC 3339.
    pub delete_at: String,
    /// Runs everything but makes no image.
    pub skip_create_image: bool,
}
