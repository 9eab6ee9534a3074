//! Tags of anything.

use super::super::world::Region;
use super::super::{Answer, Call, Refused};
use super::{done, dry_run, read_tags};
use crate::cloud::Cloud;
use serde_json::json;
use std::sync::Arc;

/// The error for an id that does not exist, by the kind that its prefix names.
fn unknown(id: &str) -> Refused {
    let (code, what) = match id.split('-').next().unwrap_or_default() {
        "ami" => ("InvalidAMIID.NotFound", "image ID"),
        "snap" => ("InvalidSnapshot.NotFound", "snapshot"),
        "vol" => ("InvalidVolume.NotFound", "volume"),
        "i" => ("InvalidInstanceID.NotFound", "instance ID"),
        "sg" => ("InvalidGroup.NotFound", "security group"),
        _ => ("InvalidID", "ID"),
    };
    Refused::new(code, format!("The {what} '{id}' does not exist"))
}

fn check(region: &mut Region, ids: &[String]) -> Result<(), Refused> {
    if ids.is_empty() {
        return Err(Refused::missing("resourceIdSet"));
    }
    match ids.iter().find(|id| region.tags_of(id).is_none()) {
        Some(id) => Err(unknown(id)),
        None => Ok(()),
    }
}

/// Sets tags; all resources, or none.
pub fn create(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let tags = read_tags(&call.params)?;
    if tags.is_empty() {
        return Err(Refused::missing("tagSet"));
    }
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let ids = call.params.list("ResourceId");
    check(region, &ids)?;
    dry_run(call)?;
    for id in ids {
        if let Some(own) = region.tags_of(&id) {
            own.extend(tags.clone());
        }
    }
    done()
}

/// Removes tags: those of a key, or of a key and a value.
pub fn delete(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let ids = call.params.list("ResourceId");
    check(region, &ids)?;
    dry_run(call)?;
    let wanted = call.params.items("Tag");
    for id in ids {
        let Some(own) = region.tags_of(&id) else { continue };
        if wanted.is_empty() {
            own.clear();
        }
        for tag in &wanted {
            let key = tag.get("Key").unwrap_or_default();
            if tag.get("Value").is_none_or(|v| own.get(key).is_some_and(|o| o == v)) {
                own.remove(key);
            }
        }
    }
    done()
}

/// All tags of the region, or those that filters name.
pub fn describe(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let wanted = super::Wanted::of(call, "none");
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let kinds: [(&str, Vec<String>); 6] = [
        ("image", region.images.keys().cloned().collect()),
        ("snapshot", region.snapshots.keys().cloned().collect()),
        ("volume", region.volumes.keys().cloned().collect()),
        ("instance", region.instances.keys().cloned().collect()),
        ("security-group", region.groups.keys().cloned().collect()),
        ("key-pair", region.key_pairs.values().map(|k| k.id.clone()).collect()),
    ];
    let mut set = Vec::new();
    for (kind, ids) in kinds {
        for id in ids {
            for (key, value) in region.tags_of(&id).map(|t| t.clone()).unwrap_or_default() {
                let taken = wanted.takes(&id, &super::Tags::new(), |name| match name {
                    "resource-id" => super::one(&id),
                    "resource-type" => super::one(kind),
                    "key" => super::one(&key),
                    "value" => super::one(&value),
                    _ => None,
                })?;
                if taken {
                    set.push(json!({ "resourceId": id, "resourceType": kind, "key": key, "value": value }));
                }
            }
        }
    }
    Ok(json!({ "tagSet": set }))
}
