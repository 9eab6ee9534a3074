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
    /// `IN` or `NOT_IN`: whether the label has one of the values, or none of them.
    pub operator: String,
    /// The label's values.
    pub values: Vec<String>,
}

/// Which reservations the instance may use up.
#[derive(Clone, Debug, Config)]
pub struct ReservationAffinity {
    /// `NO_RESERVATION`, `ANY_RESERVATION` or `SPECIFIC_RESERVATION`.
    pub consume_reservation_type: String,
    /// For a specific reservation: `compute.googleapis.com/reservation-name`.
    pub key: String,
    /// For a specific reservation: names of reservations.
    pub values: Vec<String>,
}

/// What instance is made.
#[derive(Clone, Debug, Config)]
pub struct InstanceOptions {
    /// The zone that the instance is made in, such as `europe-west3-a`. It must be set.
    pub zone: String,
    /// The region of subnetworks. Left out: the zone's.
    pub region: String,
    /// The instance's name. Left out: one is made up.
    pub instance_name: String,
    /// The machine type of the instance.
    #[config(default = "e2-standard-2")]
    pub machine_type: String,
    /// The oldest CPU platform that will do, such as `Intel Ice Lake`. Left out: any.
    pub min_cpu_platform: String,
    /// The instance's labels.
    pub labels: BTreeMap<String, String>,
    /// The instance's network tags, which firewall rules refer to.
    pub tags: Vec<String>,
    /// Tags of Resource Manager that the instance is bound to, by key: `{ "tagKeys/123" = "tagValues/456" }`.
    pub resource_manager_tags: BTreeMap<String, String>,
    /// The instance's metadata.
    pub metadata: BTreeMap<String, String>,
    /// Paths of files whose content becomes the instance's metadata. They go before entries of the same key in
    /// `metadata`.
    pub metadata_files: BTreeMap<String, String>,
    /// The path of a script that runs when the instance starts.
    pub startup_script_file: String,
    /// Whether the script is wrapped, so that the build can wait for its end (needs gcloud in the image and a service account
    /// that may set metadata). Default: where `startup_script_file` is set.
    pub wrap_startup_script: Option<bool>,
    /// The network: a name, or a URL. Left out: `default`, where there is no subnetwork.
    pub network: String,
    /// The subnetwork: a name, or a URL. Left out: that of the network in the instance's region, if the network makes
    /// them by itself.
    pub subnetwork: String,
    /// The project of a shared network. Left out: `project_id`.
    pub network_project_id: String,
    /// The instance's internal IPv4 address. Left out: any of the subnetwork.
    pub network_ip: String,
    /// The name of a reserved external address. Left out: a temporary one.
    pub address: String,
    /// Gives the instance no external address. Needs `use_internal_ip`.
    pub omit_external_ip: bool,
    /// Connects to the internal address: the build must run where it can be reached.
    pub use_internal_ip: bool,
    /// What happens to the instance when its host is maintained: `MIGRATE` or `TERMINATE`. Left out: `MIGRATE`, or
    /// `TERMINATE` where it is preemptible.
    pub on_host_maintenance: String,
    /// Makes a preemptible instance: cheaper, but Google may end it at any time.
    pub preemptible: bool,
    /// After how many seconds Google ends the instance by itself. Left out, or 0: never.
    pub max_run_duration_in_seconds: i64,
    /// What happens to the instance then: `STOP` or `DELETE`.
    pub instance_termination_action: String,
    /// The URL of a type of accelerators (GPUs). Left out: none.
    pub accelerator_type: String,
    /// How many accelerators the instance has.
    pub accelerator_count: i64,
    /// Prefers nodes by their labels.
    #[config(block)]
    pub node_affinity: Vec<NodeAffinity>,
    /// Which reservations the instance may use up.
    #[config(block)]
    pub reservation_affinity: Option<ReservationAffinity>,
    /// The email address of the service account that the instance runs as. Left out: the project's default one.
    pub service_account_email: String,
    /// Runs the instance as no service account.
    pub disable_default_service_account: bool,
    /// Scopes of the instance's service account, as URLs. Left out: `userinfo.email`, `compute` and
    /// `devstorage.full_control`.
    pub scopes: Vec<String>,
    /// Lets the instance run virtual machines itself.
    pub enable_nested_virtualization: bool,
    /// Boots signed software only (Secure Boot); the source image must be able to.
    pub enable_secure_boot: bool,
    /// Gives the instance a virtual TPM.
    pub enable_vtpm: bool,
    /// Monitors the integrity of what is booted; needs `enable_vtpm`.
    pub enable_integrity_monitoring: bool,
    /// The boot disk's name. Left out: the instance's.
    pub disk_name: String,
    /// The boot disk's size in GB.
    #[config(default = "20")]
    pub disk_size: i64,
    /// The boot disk's type, such as `pd-ssd` or `hyperdisk-balanced`.
    #[config(default = "pd-standard")]
    pub disk_type: String,
    /// The key that the boot disk is encrypted with. Left out: one of Google's.
    #[config(block)]
    pub disk_encryption_key: Option<EncryptionKey>,
    /// Disks beside the boot disk.
    #[config(block)]
    pub disk_attachment: Vec<DiskAttachment>,
    /// How long each wait for the cloud may take. The image of a big disk takes longer than the default.
    #[config(default = "5m")]
    pub state_timeout: Duration,
}
