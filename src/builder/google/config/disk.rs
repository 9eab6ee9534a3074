//! Disks beside the boot disk, and keys.

use image_action_engine::{Config, Secret};

/// A key of the customer's: one in Cloud KMS, or its bytes.
#[derive(Clone, Debug, Default, Config)]
pub struct EncryptionKey {
    /// The resource name of a key in Cloud KMS: `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    #[config(name = "kmsKeyName")]
    pub kms_key_name: String,
    /// A key of your own in place of one in Cloud KMS: 256 bits in base64. Whoever uses the image needs it again.
    #[config(name = "rawKey", sensitive)]
    pub raw_key: Secret,
}

/// A disk beside the boot disk.
#[derive(Clone, Debug, Config)]
pub struct DiskAttachment {
    /// How the disk is attached: `READ_WRITE` or `READ_ONLY`.
    #[config(default = "READ_WRITE")]
    pub attachment_mode: String,
    /// The name of the device that the guest sees, below `/dev/disk/by-id/google-`. Left out: one is made up.
    pub device_name: String,
    /// The key that the disk is encrypted with. Left out: one of Google's.
    #[config(block)]
    pub disk_encryption_key: Option<EncryptionKey>,
    /// The disk's name. Left out: one is made up.
    pub disk_name: String,
    /// How the disk is attached: `SCSI` or `NVME`.
    #[config(default = "SCSI")]
    pub interface_type: String,
    /// I/O operations a second, 10000 to 120000; for `pd-extreme` only. Left out, or 0: as Google says.
    pub iops: i64,
    /// Keeps the disk after the build.
    pub keep_device: bool,
    /// Makes the image of this disk, in place of the boot disk. One disk at most.
    pub create_image: bool,
    /// Further zones that the disk is replicated to.
    #[config(unsupported)]
    pub replica_zones: Vec<String>,
    /// The URI of a disk that exists already, and is attached as it is.
    pub source_volume: String,
    /// The size of the disk in GB. Left out, or 0: that of `source_image`.
    pub volume_size: i64,
    /// `scratch`, `pd-standard`, `pd-balanced`, `pd-ssd`, `pd-extreme`, `hyperdisk-balanced`, `hyperdisk-extreme`,
    /// `hyperdisk-ml` or `hyperdisk-throughput`.
    pub volume_type: String,
    /// An image that the disk is made of. Left out: the disk is empty.
    pub source_image: String,
}
