//! What image is made: name, sharing, copies, encryption, tags.

use super::device::BlockDevice;
use image_action_engine::Config;
use std::collections::BTreeMap;

/// A tag, as a block.
#[derive(Clone, Debug, Config)]
pub struct Tag {
    /// The tag's key. It may use what is known of the source image, as in `{{ .SourceAMI }}`.
    #[config(late)]
    pub key: String,
    /// The tag's value. It may use what is known of the source image: `{{ .SourceAMI }}`, `{{ .SourceAMIName }}`, `{{
    /// .BuildRegion }}`.
    #[config(late)]
    pub value: String,
}

/// Whether an image can be deregistered.
#[derive(Clone, Debug, Config)]
pub struct DeregistrationProtection {
    /// Protects the image from being deregistered.
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
    /// The description of the image. It may use what is known of the source image, as in `{{ .SourceAMI }}`. Left out:
    /// none.
    #[config(late)]
    pub ami_description: String,
    /// `hvm` or `paravirtual`, to be checked against `ena_support` and `sriov_support`, which need `hvm`. The image is
    /// of the kind of its source in any case.
    pub ami_virtualization_type: String,
    /// Ids of accounts that may launch the image. Left out: only the own account.
    pub ami_users: Vec<String>,
    /// `["all"]` makes the image public. Left out: it is private.
    pub ami_groups: Vec<String>,
    /// ARNs of organizations whose accounts may launch the image.
    pub ami_org_arns: Vec<String>,
    /// ARNs of organizational units whose accounts may launch the image.
    pub ami_ou_arns: Vec<String>,
    /// Product codes (of the AWS Marketplace) that the image is given.
    pub ami_product_codes: Vec<String>,
    /// Regions that the image is copied to, beside the one that it is built in.
    pub ami_regions: Vec<String>,
    /// Does not ask AWS whether the regions of `ami_regions` exist, before anything is built.
    pub skip_region_validation: bool,
    /// Within how many minutes a copy has to be done: a multiple of 15, for which AWS takes a fee. Left out: as long as
    /// it takes, without a fee.
    pub snapshot_copy_duration_minutes: Option<i64>,
    /// Tags of the image and its snapshots, in every region. Values may use what is known of the source image, as in
    /// `{{ .SourceAMI }}`.
    #[config(late)]
    pub tags: BTreeMap<String, String>,
    /// A tag of the image and its snapshots. It goes before an entry of the same key in `tags`.
    #[config(block)]
    pub tag: Vec<Tag>,
    /// Whether the image has enhanced networking by ENA. Left out: as its source.
    pub ena_support: Option<bool>,
    /// Gives the image enhanced networking for old instance types (Intel 82599).
    pub sriov_support: bool,
    /// Deregisters images of the same name, in every region of the build, right before the new one is made. `-force`
    /// sets it.
    pub force_deregister: bool,
    /// Deletes the snapshots of the images that `force_deregister` removes, too. Left out, they stay and cost money.
    pub force_delete_snapshot: bool,
    /// Whether the image is encrypted: `true` makes an encrypted copy and removes the first image; `false` makes copies
    /// that are not encrypted. Left out: as the source image and the account say.
    pub encrypt_boot: Option<bool>,
    /// The KMS key of the image in the region that it is built in: id, `alias/NAME` or ARN. Needs `encrypt_boot =
    /// true`. Left out: the default key of the account. Copies in other regions do not use it: see
    /// `region_kms_key_ids`.
    pub kms_key_id: String,
    /// KMS keys by region; the regions are exactly those of `ami_regions`. An empty text is that region's default key,
    /// which an image that is shared with other accounts cannot use.
    pub region_kms_key_ids: BTreeMap<String, String>,
    /// Keeps no image in the region that it is built in, only the copies of `ami_regions`.
    pub skip_save_build_region: bool,
    /// `v2.0`: instances of the image ask for a session token at the metadata service. Left out: as its source.
    pub imds_support: String,
    /// When the image becomes deprecated: a time of RFC 3339, such as `2030-01-01T00:00:00Z`. Left out: never.
    pub deprecate_at: String,
    /// Protects the image from being deregistered. Left out: it is not protected.
    #[config(block)]
    pub deregistration_protection: Option<DeregistrationProtection>,
    /// Tags of the snapshots alone. They are set after `tags`, and go before them.
    #[config(late)]
    pub snapshot_tags: BTreeMap<String, String>,
    /// A tag of the snapshots alone. It goes before an entry of the same key in `snapshot_tags`.
    #[config(block)]
    pub snapshot_tag: Vec<Tag>,
    /// Ids of accounts that may make volumes of the snapshots. Left out: only the own account.
    pub snapshot_users: Vec<String>,
    /// `["all"]` makes the snapshots public. Left out: they are private.
    pub snapshot_groups: Vec<String>,
    /// Runs everything up to the image, and makes none: for trying a template out.
    pub skip_create_ami: bool,
    /// Does not put `run_tags` on the image and its snapshots.
    pub skip_ami_run_tags: bool,
    /// Block devices that instances of the image get, beside those that the instance of the build has.
    #[config(block)]
    pub ami_block_device_mappings: Vec<BlockDevice>,
}
