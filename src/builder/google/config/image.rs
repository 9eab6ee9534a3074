//! What image is made, and of what.

use super::EncryptionKey;
use image_action_engine::Config;
use std::collections::BTreeMap;

/// What image is made, and of what.
#[derive(Clone, Debug, Config)]
pub struct ImageOptions {
    /// The id of the project that the instance is made in. It must be set.
    pub project_id: String,
    /// The name of the source image, such as `debian-12-bookworm-v20240910`. It goes before `source_image_family`; one
    /// of the two must be set.
    pub source_image: String,
    /// The family of the source image, such as `debian-12`: its newest image that is not deprecated is taken.
    pub source_image_family: String,
    /// The projects that the source image is looked for in, in this order. Left out: the build's own project, then
    /// Google's public ones.
    pub source_image_project_id: Vec<String>,
    /// The name of the image that is made: lower-case letters, digits and dashes, at most 63. Left out: `packer-` and
    /// the time in seconds.
    pub image_name: String,
    /// The image's description.
    #[config(default = "Created by Packer")]
    pub image_description: String,
    /// The family that the image belongs to. Left out: none.
    pub image_family: String,
    /// The image's labels: lower-case letters, digits, dashes and underscores.
    pub image_labels: BTreeMap<String, String>,
    /// Licences of the image, beside those of its source, as URLs.
    pub image_licenses: Vec<String>,
    /// Features that the image's operating system has, beside those of its source: `UEFI_COMPATIBLE`, `GVNIC` and
    /// others.
    pub image_guest_os_features: Vec<String>,
    /// The project that receives the image. Left out: `project_id`.
    pub image_project_id: String,
    /// Where the image is stored: one region (`europe-west3`) or multi-region (`eu`). Left out: as Google chooses, the
    /// multi-region that is nearest.
    pub image_storage_locations: Vec<String>,
    /// The architecture of the image: `X86_64` or `ARM64`. Left out: that of its source.
    pub image_architecture: String,
    /// The key that the image is encrypted with. Left out: one of Google's.
    #[config(block)]
    pub image_encryption_key: Option<EncryptionKey>,
    /// Paths of files with the signature database (db) of Secure Boot.
    pub image_signatures_db: Vec<String>,
    /// The path of a file with the platform key (PK) of Secure Boot.
    pub image_platform_key: String,
    /// Paths of files with the key exchange keys (KEK) of Secure Boot.
    pub image_key_exchange_key: Vec<String>,
    /// Paths of files with the forbidden signature database (dbx) of Secure Boot.
    pub image_forbidden_signatures_db: Vec<String>,
    /// When the image becomes deprecated: a time of RFC 3339, such as `2030-01-01T00:00:00Z`. Left out: never.
    pub deprecate_at: String,
    /// When the image becomes obsolete, so that no new disk can be made of it: a time of RFC 3339. Left out: never.
    pub obsolete_at: String,
    /// When the image is to be deleted: a time of RFC 3339. Google marks it, and deletes nothing by itself. Left out:
    /// never.
    pub delete_at: String,
    /// Runs everything up to the image, and makes none: for trying a template out.
    pub skip_create_image: bool,
}
