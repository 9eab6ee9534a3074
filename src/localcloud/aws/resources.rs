//! The resources of EC2 and KMS, as the local cloud keeps them.

use super::ACCOUNT;
use super::fixtures::default_user;
use crate::guest::Layer;
use crate::machine::Machine;
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Tags, by key.
pub type Tags = BTreeMap<String, String>;

/// A new id (`ami-` and 17 hex digits).
pub fn new_id(prefix: &str) -> String {
    format!("{prefix}-{}", &hex::encode(rand::random::<[u8; 9]>())[..17])
}

/// A time as EC2 writes it.
pub fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// How far something has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It is being made.
    Pending,
    /// It is there.
    Done,
    /// It could not be made, for this reason.
    Failed(String),
}

/// A device of an image.
#[derive(Clone, Debug, Default)]
pub struct Device {
    /// `/dev/sda1`
    pub name: String,
    /// `None` for a device that is no EBS volume.
    pub ebs: Option<Ebs>,
    /// `ephemeral0`, …
    pub virtual_name: Option<String>,
}

/// What a volume is like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ebs {
    /// The snapshot it is made from.
    pub snapshot: Option<String>,
    /// GiB.
    pub size: i64,
    /// `gp3`, …
    pub kind: String,
    /// Operations a second.
    pub iops: Option<i64>,
    /// MiB a second.
    pub throughput: Option<i64>,
    /// Whether it goes with its instance.
    pub delete_on_termination: bool,
    /// The ARN of the key that encrypts it.
    pub key: Option<String>,
}

/// An image.
#[derive(Clone, Debug)]
pub struct Image {
    pub id: String,
    pub name: String,
    pub description: String,
    pub owner: String,
    pub alias: String,
    pub architecture: String,
    pub root_device: String,
    pub created: DateTime<Utc>,
    pub progress: Progress,
    pub devices: Vec<Device>,
    pub tags: Tags,
    pub public: bool,
    pub users: BTreeSet<String>,
    pub organizations: BTreeSet<String>,
    pub units: BTreeSet<String>,
    pub product_codes: BTreeSet<String>,
    pub ena: bool,
    pub sriov: bool,
    pub imds: Option<String>,
    pub deprecates: Option<String>,
    pub protected: bool,
    /// The instance or image it was made of.
    pub source: Option<String>,
    /// What guests of it boot with.
    pub layers: Vec<Layer>,
    /// Who logs in by default.
    pub user: String,
}

/// A snapshot.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub id: String,
    pub description: String,
    pub volume: String,
    pub size: i64,
    pub started: DateTime<Utc>,
    pub progress: Progress,
    pub key: Option<String>,
    pub users: BTreeSet<String>,
    pub public: bool,
    pub tags: Tags,
}

/// A volume.
#[derive(Clone, Debug)]
pub struct Volume {
    pub id: String,
    pub ebs: Ebs,
    pub zone: String,
    pub created: DateTime<Utc>,
    /// Instance and device.
    pub attached: Option<(String, String)>,
    pub tags: Tags,
}

/// The states of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceState {
    Pending,
    Running,
    ShuttingDown,
    Terminated,
    Stopping,
    Stopped,
}

impl InstanceState {
    /// EC2's number and name.
    pub fn show(self) -> (u32, &'static str) {
        match self {
            InstanceState::Pending => (0, "pending"),
            InstanceState::Running => (16, "running"),
            InstanceState::ShuttingDown => (32, "shutting-down"),
            InstanceState::Terminated => (48, "terminated"),
            InstanceState::Stopping => (64, "stopping"),
            InstanceState::Stopped => (80, "stopped"),
        }
    }
}

/// An instance.
#[derive(Clone)]
pub struct Instance {
    pub id: String,
    pub reservation: String,
    pub image: String,
    pub architecture: String,
    pub kind: String,
    pub state: InstanceState,
    /// Code and message of the last change's reason.
    pub reason: Option<(String, String)>,
    pub key_name: Option<String>,
    pub groups: Vec<String>,
    pub subnet: String,
    pub vpc: String,
    pub zone: String,
    pub private_ip: String,
    pub wants_public: bool,
    pub machine: Option<Machine>,
    pub launched: DateTime<Utc>,
    pub token: Option<String>,
    pub root_device: String,
    /// Device and volume.
    pub devices: Vec<(String, String)>,
    pub ena: bool,
    pub sriov: bool,
    pub ebs_optimized: bool,
    pub profile: Option<String>,
    pub metadata: BTreeMap<&'static str, String>,
    pub interface: String,
    pub interface_tags: Tags,
    pub spot: Option<String>,
    pub user: String,
    pub tags: Tags,
}

impl Instance {
    /// The public address, while it runs.
    pub fn public_ip(&self) -> Option<String> {
        let machine = self.machine.as_ref().filter(|_| self.state == InstanceState::Running && self.wants_public)?;
        Some(machine.address.to_string())
    }
}

/// A key pair.
#[derive(Clone, Debug)]
pub struct KeyPair {
    pub id: String,
    pub name: String,
    pub kind: &'static str,
    pub fingerprint: String,
    /// As a line of `authorized_keys`.
    pub public: String,
    pub created: DateTime<Utc>,
    pub tags: Tags,
}

/// One rule of a security group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub protocol: String,
    pub from: i64,
    pub to: i64,
    pub cidr: String,
}

/// A security group.
#[derive(Clone, Debug)]
pub struct Group {
    pub id: String,
    pub name: String,
    pub description: String,
    pub vpc: String,
    pub rules: Vec<Rule>,
    pub tags: Tags,
}

/// A VPC.
#[derive(Clone, Debug)]
pub struct Vpc {
    pub id: String,
    pub cidr: String,
    pub default: bool,
    pub tags: Tags,
}

/// A subnet.
#[derive(Clone, Debug)]
pub struct Subnet {
    pub id: String,
    pub vpc: String,
    pub zone: String,
    pub cidr: String,
    pub public: bool,
    pub default: bool,
    pub free: i64,
    pub tags: Tags,
}

/// A key of KMS.
#[derive(Clone, Debug)]
pub struct Key {
    pub id: String,
    pub arn: String,
    pub customer: bool,
    pub enabled: bool,
}

impl Key {
    /// A key of a region.
    pub fn new(region: &str, id: &str, customer: bool) -> Key {
        Key { id: id.to_owned(), arn: format!("arn:aws:kms:{region}:{ACCOUNT}:key/{id}"), customer, enabled: true }
    }
}

impl Image {
    /// An image that is being made.
    pub fn new(id: &str, name: &str, owner: &str, architecture: &str, root: &str, created: DateTime<Utc>) -> Image {
        Image {
            id: id.to_owned(),
            name: name.to_owned(),
            description: String::new(),
            owner: owner.to_owned(),
            alias: String::new(),
            architecture: architecture.to_owned(),
            root_device: root.to_owned(),
            created,
            progress: Progress::Pending,
            devices: Vec::new(),
            tags: Tags::new(),
            public: false,
            users: BTreeSet::new(),
            organizations: BTreeSet::new(),
            units: BTreeSet::new(),
            product_codes: BTreeSet::new(),
            ena: true,
            sriov: true,
            imds: None,
            deprecates: None,
            protected: false,
            source: None,
            layers: Vec::new(),
            user: default_user(owner, name).to_owned(),
        }
    }
    /// EC2's word for its state.
    pub fn state(&self) -> &'static str {
        match self.progress {
            Progress::Pending => "pending",
            Progress::Done => "available",
            Progress::Failed(_) => "failed",
        }
    }
    /// The snapshots of its devices.
    pub fn snapshots(&self) -> impl Iterator<Item = &String> {
        self.devices.iter().filter_map(|d| d.ebs.as_ref()?.snapshot.as_ref())
    }
}

impl Snapshot {
    /// EC2's word for its state.
    pub fn state(&self) -> &'static str {
        match self.progress {
            Progress::Pending => "pending",
            Progress::Done => "completed",
            Progress::Failed(_) => "error",
        }
    }
}

impl Volume {
    /// EC2's word for its state.
    pub fn state(&self) -> &'static str {
        if self.attached.is_some() { "in-use" } else { "available" }
    }
}
