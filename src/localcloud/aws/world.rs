//! What exists: regions, each with its images, machines, networks and keys.

use super::fixtures::REGIONS;
use super::resources::{Group, Image, Instance, InstanceState, Key, KeyPair, Snapshot, Subnet, Tags, Volume, Vpc};
use super::{ACCOUNT, Refused};
use crate::cloud::Existing;
use std::collections::{BTreeMap, BTreeSet};

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
