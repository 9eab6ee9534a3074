//! Block devices.

use image_action_engine::Config;

/// One block device, of the instance or of the image.
#[derive(Clone, Debug, Config)]
pub struct BlockDevice {
    /// The name of the device, such as `/dev/sda1`. The name of the root device is that of the source image.
    #[config(required)]
    pub device_name: String,
    /// Whether the volume goes when its instance does; the image takes this over. Left out: `false`, but a volume of
    /// the build that would stay only for that reason is removed all the same.
    pub delete_on_termination: Option<bool>,
    /// Whether the volume is encrypted. Left out: as the source image or the account says.
    pub encrypted: Option<bool>,
    /// The KMS key that encrypts the volume: id, `alias/NAME` or ARN. Left out: the account's default key for EBS.
    pub kms_key_id: String,
    /// I/O operations a second, for the types `io1`, `io2` and `gp3`. Left out: the least that the type has.
    pub iops: Option<i64>,
    /// MiB a second, for the type `gp3`. Left out: 125.
    pub throughput: Option<i64>,
    /// The type of the volume: `gp3`, `gp2`, `io1`, `io2`, `st1`, `sc1`, `standard`. Left out: that of the source
    /// image, or what AWS takes.
    pub volume_type: String,
    /// The size of the volume in GiB. Left out, or 0: that of the snapshot.
    pub volume_size: i64,
    /// The id of a snapshot that the volume is made from. Left out: an empty volume, or that of the source image.
    pub snapshot_id: String,
    /// Leaves out a device that the source image has.
    pub no_device: bool,
    /// The name of an instance-store volume, such as `ephemeral0`, in place of one of EBS.
    pub virtual_name: String,
}
