//! What exists: regions, each with its images, machines, networks and keys; and what is there from the start.

use super::query::matches;
use super::{ACCOUNT, Refused};
use crate::cloud::Existing;
use crate::guest::Layer;
use crate::machine::Machine;
use chrono::{DateTime, SecondsFormat, TimeZone, Utc};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Tags, by key.
pub type Tags = BTreeMap<String, String>;

/// Regions that are on for every account, with the letters of their zones.
const REGIONS: [(&str, &str); 17] = [
    ("ap-northeast-1", "acd"),
    ("ap-northeast-2", "abcd"),
    ("ap-northeast-3", "abc"),
    ("ap-south-1", "abc"),
    ("ap-southeast-1", "abc"),
    ("ap-southeast-2", "abc"),
    ("ca-central-1", "abd"),
    ("eu-central-1", "abc"),
    ("eu-north-1", "abc"),
    ("eu-west-1", "abc"),
    ("eu-west-2", "abc"),
    ("eu-west-3", "abc"),
    ("sa-east-1", "abc"),
    ("us-east-1", "abcdef"),
    ("us-east-2", "abc"),
    ("us-west-1", "ac"),
    ("us-west-2", "abcd"),
];

/// Public images of every region: owner, alias of the owner, name, architecture, root device, day.
const IMAGES: [(&str, &str, &str, &str, &str, &str); 7] = [
    (
        "099720109477",
        "",
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240207",
        "x86_64",
        "/dev/sda1",
        "2024-02-07",
    ),
    (
        "099720109477",
        "",
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-20240501",
        "x86_64",
        "/dev/sda1",
        "2024-05-01",
    ),
    (
        "099720109477",
        "",
        "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-arm64-server-20240501",
        "arm64",
        "/dev/sda1",
        "2024-05-01",
    ),
    (
        "099720109477",
        "",
        "ubuntu/images/hvm-ssd/ubuntu-focal-20.04-amd64-server-20240426",
        "x86_64",
        "/dev/sda1",
        "2024-04-26",
    ),
    (
        "099720109477",
        "",
        "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-20240605",
        "x86_64",
        "/dev/sda1",
        "2024-06-05",
    ),
    ("136693071363", "", "debian-12-amd64-20240507-1740", "x86_64", "/dev/xvda", "2024-05-07"),
    ("137112412989", "amazon", "al2023-ami-2023.4.20240528.0-kernel-6.1-x86_64", "x86_64", "/dev/xvda", "2024-05-28"),
];

/// Size of the public images' root volume, in GiB.
const ROOT_GIB: i64 = 8;

/// An id that does not depend on chance, for what is there from the start.
pub fn fixed_id(prefix: &str, text: &str) -> String {
    format!("{prefix}-{}", &hex::encode(Sha256::digest(text.as_bytes()))[..17])
}

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

/// One region.
#[derive(Default)]
pub struct Region {
    pub name: String,
    pub zones: Vec<String>,
    pub images: BTreeMap<String, Image>,
    /// Images that were ours once.
    pub deregistered: BTreeSet<String>,
    pub snapshots: BTreeMap<String, Snapshot>,
    pub volumes: BTreeMap<String, Volume>,
    pub instances: BTreeMap<String, Instance>,
    pub key_pairs: BTreeMap<String, KeyPair>,
    pub groups: BTreeMap<String, Group>,
    pub vpcs: BTreeMap<String, Vpc>,
    pub subnets: BTreeMap<String, Subnet>,
    pub keys: BTreeMap<String, Key>,
    pub aliases: BTreeMap<String, String>,
    /// The key that encrypts volumes where none is named.
    pub default_key: String,
    /// What CopyImage made for a client token.
    pub copy_tokens: BTreeMap<String, String>,
    /// Ids that were there from the start.
    pub fixtures: BTreeSet<String>,
}

/// Everything.
#[derive(Default)]
pub struct World {
    regions: BTreeMap<String, Region>,
}

impl World {
    /// A region, made when it is first asked for.
    ///
    /// # Errors
    /// None of that name.
    pub fn region(&mut self, name: &str) -> Result<&mut Region, Refused> {
        let Some((_, zones)) = REGIONS.iter().find(|(n, _)| *n == name) else {
            return Err(Refused {
                status: 401,
                ..Refused::new(
                    "AuthFailure",
                    format!(
                        "AWS was not able to validate the provided access credentials (there is no region {name} here)"
                    ),
                )
            });
        };
        Ok(self.regions.entry(name.to_owned()).or_insert_with(|| Region::new(name, zones)))
    }
    /// The names of all regions.
    pub fn region_names() -> impl Iterator<Item = &'static str> {
        REGIONS.iter().map(|(n, _)| *n)
    }
    /// Everything that was not there from the start and still exists.
    pub fn existing(&self) -> Vec<Existing> {
        self.regions.values().flat_map(Region::existing).collect()
    }
}

impl Region {
    fn new(name: &str, letters: &str) -> Region {
        let mut region = Region { name: name.to_owned(), ..Region::default() };
        region.zones = letters.chars().map(|c| format!("{name}{c}")).collect();
        region.add_network();
        region.add_keys();
        for fixture in IMAGES {
            region.add_image(fixture);
        }
        let ids =
            region.vpcs.keys().chain(region.subnets.keys()).chain(region.groups.keys()).chain(region.images.keys());
        region.fixtures = ids.chain(region.snapshots.keys()).cloned().collect();
        region
    }
    fn add_network(&mut self) {
        let vpc = fixed_id("vpc", &self.name);
        self.vpcs.insert(
            vpc.clone(),
            Vpc { id: vpc.clone(), cidr: "172.31.0.0/16".into(), default: true, tags: Tags::new() },
        );
        for (n, zone) in self.zones.iter().enumerate() {
            let id = fixed_id("subnet", zone);
            let subnet = Subnet {
                id: id.clone(),
                vpc: vpc.clone(),
                zone: zone.clone(),
                cidr: format!("172.31.{}.0/20", 16 * n),
                public: true,
                default: true,
                free: 4091,
                tags: Tags::new(),
            };
            self.subnets.insert(id, subnet);
        }
        let id = fixed_id("sg", &self.name);
        let group = Group {
            id: id.clone(),
            name: "default".into(),
            description: "default VPC security group".into(),
            vpc,
            rules: Vec::new(),
            tags: Tags::new(),
        };
        self.groups.insert(id, group);
    }
    /// The key that AWS manages for EBS, a key for images, and the account's own default key for EBS.
    fn add_keys(&mut self) {
        for (alias, customer) in [("alias/aws/ebs", false), ("alias/packer-images", true), ("alias/ebs-default", true)]
        {
            let digits = hex::encode(Sha256::digest(format!("{}{alias}", self.name).as_bytes()));
            let id = format!(
                "{}-{}-{}-{}-{}",
                &digits[..8],
                &digits[8..12],
                &digits[12..16],
                &digits[16..20],
                &digits[20..32]
            );
            let key = Key::new(&self.name, &id, customer);
            self.default_key.clone_from(&key.arn);
            self.aliases.insert(alias.to_owned(), id.clone());
            self.keys.insert(id, key);
        }
    }
    fn add_image(&mut self, fixture: (&str, &str, &str, &str, &str, &str)) {
        let (owner, alias, name, architecture, root, day) = fixture;
        let id = fixed_id("ami", &format!("{}/{name}", self.name));
        let snapshot = fixed_id("snap", &format!("{}/{name}", self.name));
        // The days above are days.
        let created = day.parse().ok().and_then(|d: chrono::NaiveDate| d.and_hms_opt(12, 0, 0));
        let created = created.map_or_else(Utc::now, |d| Utc.from_utc_datetime(&d));
        let ebs = Ebs {
            snapshot: Some(snapshot.clone()),
            size: ROOT_GIB,
            kind: "gp2".into(),
            delete_on_termination: true,
            ..Ebs::default()
        };
        let mut image = Image::new(&id, name, owner, architecture, root, created);
        alias.clone_into(&mut image.alias);
        image.devices = vec![Device { name: root.to_owned(), ebs: Some(ebs), virtual_name: None }];
        image.public = true;
        image.progress = Progress::Done;
        image.user = default_user(owner, name).to_owned();
        self.images.insert(id, image);
    }
    fn existing(&self) -> Vec<Existing> {
        let mut all = Vec::new();
        let mut add = |kind: &str, id: &str, state: &str, tags: &Tags| {
            if !self.fixtures.contains(id) {
                all.push(Existing {
                    provider: "aws",
                    kind: kind.to_owned(),
                    place: self.name.clone(),
                    id: id.to_owned(),
                    state: state.to_owned(),
                    tags: tags.clone(),
                });
            }
        };
        for i in self.instances.values().filter(|i| i.state != InstanceState::Terminated) {
            add("instance", &i.id, i.state.show().1, &i.tags);
        }
        for i in self.images.values() {
            add("image", &i.id, i.state(), &i.tags);
        }
        for s in self.snapshots.values() {
            add("snapshot", &s.id, s.state(), &s.tags);
        }
        for v in self.volumes.values() {
            add("volume", &v.id, v.state(), &v.tags);
        }
        for k in self.key_pairs.values() {
            add("key-pair", &k.name, "available", &k.tags);
        }
        for g in self.groups.values() {
            add("security-group", &g.id, "available", &g.tags);
        }
        for v in self.vpcs.values() {
            add("vpc", &v.id, "available", &v.tags);
        }
        for s in self.subnets.values() {
            add("subnet", &s.id, "available", &s.tags);
        }
        all
    }
    /// A key by id, ARN, alias or the alias' ARN.
    pub fn key(&self, wanted: &str) -> Option<&Key> {
        let prefix = format!("arn:aws:kms:{}:{ACCOUNT}:", self.name);
        let wanted = wanted.strip_prefix(&prefix).unwrap_or(wanted);
        let id = match wanted.strip_prefix("key/") {
            Some(id) => id,
            None if wanted.starts_with("alias/") => self.aliases.get(wanted)?,
            None => wanted,
        };
        self.keys.get(id)
    }
    /// The tags of a resource that can have some.
    pub fn tags_of(&mut self, id: &str) -> Option<&mut Tags> {
        let by_id = id.split('-').next().unwrap_or_default();
        match by_id {
            "ami" => self.images.get_mut(id).map(|r| &mut r.tags),
            "snap" => self.snapshots.get_mut(id).map(|r| &mut r.tags),
            "vol" => self.volumes.get_mut(id).map(|r| &mut r.tags),
            "i" => self.instances.get_mut(id).map(|r| &mut r.tags),
            "sg" => self.groups.get_mut(id).map(|r| &mut r.tags),
            "vpc" => self.vpcs.get_mut(id).map(|r| &mut r.tags),
            "subnet" => self.subnets.get_mut(id).map(|r| &mut r.tags),
            "key" => self.key_pairs.values_mut().find(|k| k.id == id).map(|r| &mut r.tags),
            "eni" => self.instances.values_mut().find(|i| i.interface == id).map(|i| &mut i.interface_tags),
            _ => None,
        }
    }
}

/// Who logs in to a machine of an image: cloud-init's user of the distribution.
fn default_user(owner: &str, name: &str) -> &'static str {
    match owner {
        "099720109477" => "ubuntu",
        "136693071363" => "admin",
        _ if matches("*ubuntu*", name) => "ubuntu",
        _ if matches("*debian*", name) => "admin",
        _ => "ec2-user",
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
