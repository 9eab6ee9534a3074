//! Galleries: as a source, and as a destination.

use image_action_engine::Config;

/// The image of a gallery that a machine is made from.
#[derive(Config)]
pub struct GallerySource {
    /// The whole id of a version, in place of all the names below.
    pub id: String,
    /// The id of the subscription that the gallery is in.
    pub subscription: String,
    /// The resource group that the gallery is in.
    pub resource_group: String,
    /// The name of the gallery.
    pub gallery_name: String,
    /// The name of the image in the gallery.
    pub image_name: String,
    /// The version of the image, such as `1.2.3`. Left out: the latest.
    pub image_version: String,
    /// The id of an image of a community gallery, in place of the names.
    pub community_gallery_image_id: String,
    /// The id of an image of a gallery that is shared with the subscription, in place of the names.
    pub direct_shared_gallery_image_id: String,
}

/// The version of a gallery's image that is made. Gallery and image definition exist beforehand.
#[derive(Config)]
pub struct GalleryDestination {
    /// The id of the subscription that the gallery is in. Left out: the build's.
    pub subscription: String,
    /// The resource group that the gallery is in.
    pub resource_group: String,
    /// The name of the gallery.
    pub gallery_name: String,
    /// The name of the image definition in the gallery.
    pub image_name: String,
    /// The version that is made: three numbers with dots, such as `1.2.3`.
    pub image_version: String,
    /// Regions that hold copies. That of the build is always one of them.
    pub replication_regions: Vec<String>,
    /// A region that holds copies, with its own settings; in place of `replication_regions`.
    #[config(block)]
    pub target_region: Vec<TargetRegion>,
    /// What the copies lie on: `Standard_LRS`, `Standard_ZRS` or `Premium_LRS`.
    #[config(default = "Standard_LRS")]
    pub storage_account_type: String,
    /// Keeps users and settings in the image: the machine is not generalized. The image definition must be of that
    /// kind.
    pub specialized: bool,
    /// Makes a version that points to its source in place of a whole copy: quick, for tests, in one region.
    pub use_shallow_replication: bool,
    /// How a confidential image is encrypted: `EncryptedVMGuestStateOnlyWithPmk`, `EncryptedWithPmk` or
    /// `EncryptedWithCmk`.
    pub confidential_vm_image_encryption_type: String,
}

/// A region that holds copies.
#[derive(Config)]
pub struct TargetRegion {
    /// The name of the region, such as `westeurope`.
    #[config(required)]
    pub name: String,
    /// The id of a disk encryption set of that region. Left out: Azure's own keys.
    pub disk_encryption_set_id: String,
    /// How many copies the region holds. Left out, or 0: 1.
    pub replicas: i64,
}
