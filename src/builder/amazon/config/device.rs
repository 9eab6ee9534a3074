//! Block devices.

use image_action_engine::Config;

/// One block device, of the instance or of the image.
#[derive(Clone, Debug, Config)]
pub struct BlockDevice {
    /// Name of the device (`/dev/sda1`).
    #[config(required)]
    pub device_name: String,
    /// Whether the volume goes when the instance does (default: false); the image takes it over. A volume of the build that stays
    /// only because nothing is said here is removed all the same.
    pub delete_on_termination: Option<bool>,
    /// Whether the volume is encrypted. Default: as the source image or the account says.
    pub encrypted: Option<bool>,
    /// The KMS key that encrypts the volume. Default: the account's default key for EBS.
    pub kms_key_id: String,
    /// Operations a second, of an io1, io2 or gp3 volume.
    pub iops: Option<i64>,
    /// MiB a second, of a gp3 volume.
    pub throughput: Option<i64>,
    /// Type of the volume: gp3, gp2, io1, io2, st1, sc1, standard.
    pub volume_type: String,
    /// Size in GiB.
    pub volume_size: i64,
    /// The snapshot that the volume is made from.
    pub snapshot_id: String,
    /// Leaves out a device that the source image has.
    pub no_device: bool,
    /// An instance-store volume (`ephemeral0`).
    pub virtual_name: String,
}
