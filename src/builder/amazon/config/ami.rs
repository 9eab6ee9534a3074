//! What image is made: name, sharing, copies, encryption, tags.

use super::device::BlockDevice;
use image_action_engine::Config;
use std::collections::BTreeMap;

/// A tag, as a block.
#[derive(Clone, Debug, Config)]
pub struct Tag {
    /// Its key.
    #[config(late)]
    pub key: String,
    /// Its value.
    #[config(late)]
    pub value: String,
}

/// Whether an image can be deregistered.
#[derive(Clone, Debug, Config)]
pub struct DeregistrationProtection {
    /// Protects the image.
    pub enabled: bool,
    /// Keeps the protection for 24 hours after it has been switched off. Implies `enabled`.
    pub with_cooldown: bool,
}

/// What image is made.
#[derive(Clone, Debug, Config)]
pub struct Ami {
    /// Name of the image: 3 to 128 of `A-Za-z0-9()[] ./-'@_`, unique in the account and region.
    #[config(required)]
    pub ami_name: String,
    /// Description of the image.
    #[config(late)]
    pub ami_description: String,
    /// `hvm` or `paravirtual`; `ena_support` and `sriov_support` need the first.
    pub ami_virtualization_type: String,
    /// Accounts that may launch the image.
    pub ami_users: Vec<String>,
    /// `["all"]` makes the image public.
    pub ami_groups: Vec<String>,
    /// Organizations that may launch the image.
    pub ami_org_arns: Vec<String>,
    /// Organizational units that may launch the image.
    pub ami_ou_arns: Vec<String>,
    /// Product codes of the image.
    pub ami_product_codes: Vec<String>,
    /// Further regions that the image is copied to.
    pub ami_regions: Vec<String>,
    /// Does not ask AWS whether the regions exist.
    pub skip_region_validation: bool,
    /// Within how many minutes a copy has to be done (a multiple of 15; AWS takes a fee).
    pub snapshot_copy_duration_minutes: Option<i64>,
    /// Tags of the image and its snapshots, in every region.
    #[config(late)]
    pub tags: BTreeMap<String, String>,
    /// A tag of the image and its snapshots; goes before `tags`.
    #[config(block)]
    pub tag: Vec<Tag>,
    /// Enhanced networking (ENA).
    pub ena_support: Option<bool>,
    /// Enhanced networking of old instance types (Intel 82599).
    pub sriov_support: bool,
    /// Deregisters images of the same name before the new one is made.
    pub force_deregister: bool,
    /// Deletes the snapshots of the images that `force_deregister` removes.
    pub force_delete_snapshot: bool,
    /// Whether the image is encrypted: `true` makes an encrypted copy, and removes the first image.
    pub encrypt_boot: Option<bool>,
    /// The KMS key of the image in the region that it is built in: id, `alias/NAME` or ARN. Needs `encrypt_boot = true`.
    pub kms_key_id: String,
    /// KMS keys by region; the regions are those of `ami_regions`. An empty one is the region's default key.
    pub region_kms_key_ids: BTreeMap<String, String>,
    /// Keeps no image in the region that it is built in, only the copies.
    pub skip_save_build_region: bool,
    /// `v2.0`: instances of the image ask for a session token at the metadata service.
    pub imds_support: String,
    /// When the image becomes deprecated, RFC 3339.
    pub deprecate_at: String,
    /// Whether the image can be deregistered.
    #[config(block)]
    pub deregistration_protection: Option<DeregistrationProtection>,
    /// Tags of the snapshots, set after `tags`.
    #[config(late)]
    pub snapshot_tags: BTreeMap<String, String>,
    /// A tag of the snapshots; goes before `snapshot_tags`.
    #[config(block)]
    pub snapshot_tag: Vec<Tag>,
    /// Accounts that may make volumes of the snapshots.
    pub snapshot_users: Vec<String>,
    /// `["all"]` makes the snapshots public.
    pub snapshot_groups: Vec<String>,
    /// Runs everything but makes no image.
    pub skip_create_ami: bool,
    /// Does not put `run_tags` on the image.
    pub skip_ami_run_tags: bool,
    /// Block devices of the image, beside those of the instance.
    #[config(block)]
    pub ami_block_device_mappings: Vec<BlockDevice>,
}
