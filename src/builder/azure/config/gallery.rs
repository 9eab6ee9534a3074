//! Galleries: as a source, and as a destination.

use image_action_engine::Config;

/// The image of a gallery that a machine is made from.
#[derive(Config)]
pub struct GallerySource {
    /// The whole id of a version.
    pub id: String,
    /// The subscription of the gallery.
    pub subscription: String,
    /// Its resource group.
    pub resource_group: String,
    /// Its name.
    pub gallery_name: String,
    /// The image's name.
    pub image_name: String,
    /// The version; the latest where it is not set.
    pub image_version: String,
    /// The id of an image of a community gallery.
    pub community_gallery_image_id: String,
    /// The id of an image of a gallery that is shared with the subscription.
    pub direct_shared_gallery_image_id: String,
}

/// The version of a gallery's image that is made. Gallery and image definition exist beforehand.
#[derive(Config)]
pub struct GalleryDestination {
    /// The subscription of the gallery; that of the build where it is not set.
    pub subscription: String,
    /// Its resource group.
    pub resource_group: String,
    /// Its name.
    pub gallery_name: String,
    /// The image's name.
    pub image_name: String,
    /// The version: three numbers with dots.
    pub image_version: String,
    /// Regions that hold copies; that of the build is always one of them.
    pub replication_regions: Vec<String>,
    /// Regions that hold copies, each with its own settings.
    #[config(block)]
    pub target_region: Vec<TargetRegion>,
    /// What the copies lie on: `Standard_LRS`, `Standard_ZRS` or `Premium_LRS`.
    #[config(default = "Standard_LRS")]
    pub storage_account_type: String,
    /// Whether the image keeps its users and settings: the machine is not generalized.
    pub specialized: bool,
    /// Whether the version points to its source in place of a whole copy: for tests, in one region.
    pub use_shallow_replication: bool,
    /// How a confidential image is encrypted.
    pub confidential_vm_image_encryption_type: String,
}

/// A region that holds copies.
#[derive(Config)]
pub struct TargetRegion {
    /// Its name.
    #[config(required)]
    pub name: String,
    /// A disk encryption set of that region.
    pub disk_encryption_set_id: String,
    /// How many copies.
    pub replicas: i64,
}
