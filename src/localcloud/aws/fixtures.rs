//! What is there from the start: regions and zones, public images, the default network, keys.

use super::query::matches;
use super::resources::{Device, Ebs, Group, Image, Key, Progress, Subnet, Tags, Vpc};
use super::world::Region;
use chrono::{TimeZone, Utc};
use sha2::{Digest, Sha256};

/// Regions that are on for every account, with the letters of their zones.
pub const REGIONS: [(&str, &str); 17] = [
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

impl Region {
    /// A region as a new account finds it; `letters` are those of its zones.
    pub fn new(name: &str, letters: &str) -> Region {
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
}

/// Who logs in to a machine of an image: cloud-init's user of the distribution.
pub fn default_user(owner: &str, name: &str) -> &'static str {
    match owner {
        "099720109477" => "ubuntu",
        "136693071363" => "admin",
        _ if matches("*ubuntu*", name) => "ubuntu",
        _ if matches("*debian*", name) => "admin",
        _ => "ec2-user",
    }
}
