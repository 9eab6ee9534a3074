//! Disks beside the boot disk, and keys.

use image_action_engine::{Config, Secret};

/// A key of the customer's: one in Cloud KMS, or its bytes.
#[derive(Clone, Debug, Default, Config)]
pub struct EncryptionKey {
    /// The resource name of a key in Cloud KMS.
    #[config(name = "kmsKeyName")]
    pub kms_key_name: String,
    /// 256 bits in base64.
    #[config(name = "rawKey", sensitive)]
    pub raw_key: Secret,
}

/// A disk beside the boot disk.
#[derive(Clone, Debug, Config)]
pub struct DiskAttachment {
    /// How it is attached: `READ_WRITE` or `READ_ONLY`.
    #[config(default = "READ_WRITE")]
    pub attachment_mode: String,
    /// The name that the guest sees.
    pub device_name: String,
    /// The key that it is encrypted with.
    #[config(block)]
    pub disk_encryption_key: Option<EncryptionKey>,
    /// The disk's name. Default: made up.
    pub disk_name: String,
    /// `SCSI` or `NVME`.
    #[config(default = "SCSI")]
    pub interface_type: String,
    /// I/O operations a second, of `pd-extreme`.
    pub iops: i64,
    /// Keeps the disk after the build.
    pub keep_device: bool,
    /// Makes the image of this disk instead of the boot disk.
    pub create_image: bool,
    /// Further zones that the disk is replicated to.
    #[config(unsupported)]
    pub replica_zones: Vec<String>,
    /// URI of a disk that exists already.
    pub source_volume: String,
    /// Size in GB.
    pub volume_size: i64,
    /// `scratch`, `pd-standard`, `pd-balanced`, `pd-ssd`, `pd-extreme`, `hyperdisk-balanced`, `hyperdisk-extreme`,
    /// `hyperdisk-ml` or `hyperdisk-throughput`.
    pub volume_type: String,
    /// An image that the disk is made of.
    pub source_image: String,
}
