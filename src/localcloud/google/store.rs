//! What exists, under one lock.

use super::names::{fingerprint, link, new_id};
use crate::guest::{Guest, Layer};
use crate::machine::Machine;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Project and name, or project, zone and name.
pub(super) type Zonal = (String, String, String);
pub(super) type Global = (String, String);

/// Where an operation lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    Global,
    Region(String),
    Zone(String),
}

impl Scope {
    pub fn path(&self) -> String {
        match self {
            Scope::Global => "global".to_owned(),
            Scope::Region(region) => format!("regions/{region}"),
            Scope::Zone(zone) => format!("zones/{zone}"),
        }
    }
}

/// A project.
pub(super) struct Project {
    pub number: String,
    /// Whether it is the account's own; of others only images can be read.
    pub own: bool,
    /// `compute#metadata`
    pub metadata: Value,
    pub networks: BTreeSet<String>,
    /// Region and name.
    pub subnetworks: BTreeSet<(String, String)>,
    pub service_accounts: BTreeSet<String>,
}

impl Project {
    pub fn new(id: &str, own: bool, regions: &[&str]) -> Project {
        let number = new_id()[..12].to_owned();
        let mut project = Project {
            own,
            metadata: json!({ "kind": "compute#metadata", "fingerprint": fingerprint(&json!([])) }),
            networks: BTreeSet::new(),
            subnetworks: BTreeSet::new(),
            service_accounts: BTreeSet::new(),
            number,
        };
        if own {
            project.networks.insert("default".to_owned());
            project.subnetworks = regions.iter().map(|r| ((*r).to_owned(), "default".to_owned())).collect();
            project.service_accounts.insert(format!("{}-compute@developer.gserviceaccount.com", project.number));
            project.service_accounts.insert(format!("builder@{id}.iam.gserviceaccount.com"));
        }
        project
    }
    /// The account that machines run as unless told otherwise.
    pub fn default_account(&self) -> String {
        format!("{}-compute@developer.gserviceaccount.com", self.number)
    }
}

/// An instance: the document that clients see, and the machine behind it.
pub(super) struct Instance {
    pub doc: Value,
    pub machine: Option<Machine>,
    /// What the serial console shows besides the guest's own log.
    pub serial: String,
    /// Whether its insert operation still runs.
    pub creating: bool,
    pub deleting: bool,
}

/// A disk: what a guest wrote stays in the (stopped) guest until an image or another machine needs it.
pub(super) struct Disk {
    pub doc: Value,
    /// What it began with.
    pub layers: Vec<Layer>,
    /// The machine that wrote to it last.
    pub guest: Option<Guest>,
    /// The machine to remove with the disk.
    pub machine: Option<Machine>,
}

/// An image.
pub(super) struct Image {
    pub doc: Value,
    pub layers: Vec<Layer>,
    /// Not made by a client.
    pub fixture: bool,
}

/// All of it.
#[derive(Default)]
pub(super) struct Store {
    pub projects: BTreeMap<String, Project>,
    pub instances: BTreeMap<Zonal, Instance>,
    pub disks: BTreeMap<Zonal, Disk>,
    pub images: BTreeMap<Global, Image>,
    pub operations: BTreeMap<(String, Scope, String), Value>,
    /// OS Login: public keys by account.
    pub login_keys: BTreeMap<String, BTreeMap<String, Value>>,
}

/// `projects/P/zones/Z/KIND/NAME`
pub(super) fn zonal_path(kind: &str, key: &Zonal) -> String {
    format!("projects/{}/zones/{}/{kind}/{}", key.0, key.1, key.2)
}

/// `projects/P/global/images/NAME`
pub(super) fn image_path(key: &Global) -> String {
    format!("projects/{}/global/images/{}", key.0, key.1)
}

/// The key of `projects/P/zones/Z/KIND/NAME`.
pub(super) fn zonal_key(path: &str, kind: &str) -> Option<Zonal> {
    let parts: Vec<_> = path.split('/').collect();
    match parts.as_slice() {
        ["projects", p, "zones", z, k, name] if *k == kind => {
            Some(((*p).to_owned(), (*z).to_owned(), (*name).to_owned()))
        }
        _ => None,
    }
}

impl Store {
    /// The newest image of a family that is not deprecated.
    pub fn family(&self, project: &str, family: &str) -> Option<(&Global, &Image)> {
        let of_family = self.images.iter().filter(|((p, _), image)| {
            let live = image.doc.get("deprecated").and_then(|d| d.get("state")).is_none_or(|s| s == "ACTIVE");
            p == project && image.doc["family"] == family && live && image.doc["status"] == "READY"
        });
        of_family.max_by_key(|(_, image)| {
            let text = image.doc["creationTimestamp"].as_str().unwrap_or_default();
            chrono::DateTime::parse_from_rfc3339(text).map_or(0, |t| t.timestamp_millis())
        })
    }
    /// The image that a reference means: `…/images/NAME`, `…/images/family/FAMILY`.
    pub fn image(&self, path: &str) -> Option<(&Global, &Image)> {
        let parts: Vec<_> = path.split('/').collect();
        match parts.as_slice() {
            ["projects", p, "global", "images", "family", family] => self.family(p, family),
            ["projects", p, "global", "images", name] => {
                self.images.get_key_value(&((*p).to_owned(), (*name).to_owned()))
            }
            _ => None,
        }
    }
    /// The instance that holds a disk.
    pub fn holder(&self, disk: &Zonal) -> Option<&Zonal> {
        let source = link(zonal_path("disks", disk));
        self.instances
            .iter()
            .find(|(_, i)| i.doc["disks"].as_array().is_some_and(|d| d.iter().any(|d| d["source"] == source.as_str())))
            .map(|(key, _)| key)
    }
}
