//! What instance is made.

use super::{DiskAttachment, EncryptionKey};
use image_action_engine::Config;
use std::collections::BTreeMap;
use std::time::Duration;

/// Prefers nodes by their labels.
#[derive(Clone, Debug, Config)]
pub struct NodeAffinity {
    /// The label's key.
    pub key: String,
    /// `IN` or `NOT_IN`.
    pub operator: String,
    /// The label's values.
    pub values: Vec<String>,
}

/// Which reservations the instance may use up.
#[derive(Clone, Debug, Config)]
pub struct ReservationAffinity {
    /// `NO_RESERVATION`, `ANY_RESERVATION` or `SPECIFIC_RESERVATION`.
    pub consume_reservation_type: String,
    /// `compute.googleapis.com/reservation-name` for a specific one.
    pub key: String,
    /// Names of reservations.
    pub values: Vec<String>,
}

/// What instance is made.
#[derive(Clone, Debug, Config)]
pub struct InstanceOptions {
    /// The zone that the instance is made in.
    pub zone: String,
    /// The region of subnetworks. Default: the zone's.
    pub region: String,
    /// The instance's name. Default: made up.
    pub instance_name: String,
    /// The machine type.
    #[config(default = "e2-standard-2")]
    pub machine_type: String,
    /// The oldest CPU platform that will do.
    pub min_cpu_platform: String,
    /// The instance's labels.
    pub labels: BTreeMap<String, String>,
    /// The instance's network tags.
    pub tags: Vec<String>,
    /// Tags of Resource Manager, by key.
    pub resource_manager_tags: BTreeMap<String, String>,
    /// The instance's metadata.
    pub metadata: BTreeMap<String, String>,
    /// Files whose content becomes metadata; go before `metadata`.
    pub metadata_files: BTreeMap<String, String>,
    /// A script that runs when the instance starts.
    pub startup_script_file: String,
    /// Whether the script is wrapped, so that the build can wait for its end (needs gcloud in the image and a service account
    /// that may set metadata). Default: where `startup_script_file` is set.
    pub wrap_startup_script: Option<bool>,
    /// The network. Default: `default`, where there is no subnetwork.
    pub network: String,
    /// The subnetwork.
    pub subnetwork: String,
    /// The project of a shared network. Default: `project_id`.
    pub network_project_id: String,
    /// The instance's internal address.
    pub network_ip: String,
    /// The name of a reserved external address.
    pub address: String,
    /// No external address. Needs `use_internal_ip`.
    pub omit_external_ip: bool,
    /// Connects to the internal address.
    pub use_internal_ip: bool,
    /// `MIGRATE` or `TERMINATE`. Default: `MIGRATE`, and `TERMINATE` where it is preemptible.
    pub on_host_maintenance: String,
    /// A preemptible instance.
    pub preemptible: bool,
    /// After how many seconds Google ends the instance; 0: never.
    pub max_run_duration_in_seconds: i64,
    /// What happens then: `STOP` or `DELETE`.
    pub instance_termination_action: String,
    /// The URL of a type of accelerators.
    pub accelerator_type: String,
    /// How many of them.
    pub accelerator_count: i64,
    /// Prefers nodes by their labels.
    #[config(block)]
    pub node_affinity: Vec<NodeAffinity>,
    /// Which reservations the instance may use up.
    #[config(block)]
    pub reservation_affinity: Option<ReservationAffinity>,
    /// The service account that the instance runs as. Default: the project's default one.
    pub service_account_email: String,
    /// Runs as no service account.
    pub disable_default_service_account: bool,
    /// Scopes of the instance's service account.
    pub scopes: Vec<String>,
    /// Nested virtualization.
    pub enable_nested_virtualization: bool,
    /// Secure Boot; the source image must be able to.
    pub enable_secure_boot: bool,
    /// A virtual TPM.
    pub enable_vtpm: bool,
    /// Integrity monitoring; needs `enable_vtpm`.
    pub enable_integrity_monitoring: bool,
    /// The boot disk's name. Default: the instance's.
    pub disk_name: String,
    /// The boot disk's size in GB.
    #[config(default = "20")]
    pub disk_size: i64,
    /// The boot disk's type.
    #[config(default = "pd-standard")]
    pub disk_type: String,
    /// The key that the boot disk is encrypted with.
    #[config(block)]
    pub disk_encryption_key: Option<EncryptionKey>,
    /// Disks beside the boot disk.
    #[config(block)]
    pub disk_attachment: Vec<DiskAttachment>,
    /// How long each wait for the cloud may take. The image of a big disk takes longer than this default.
    #[config(default = "5m")]
    pub state_timeout: Duration,
}
