//! From the machine to the images: stopped, generalized, its snapshots, the managed image, the gallery's version.

use crate::config::GalleryDestination;
use crate::machine::{data_disks, os_disk};
use crate::operation;
use crate::preflight::{image_id, normal, snapshot_ids, version_id};
use crate::work::{Work, last};
use image_action_engine::ledger::Entry;
use image_action_engine::{Error, Result};
use reqwest::Method;
use serde_json::{Value, json};

/// What was made, each with its line in the ledger.
#[derive(Default)]
pub struct Made {
    /// The managed image.
    pub image: Option<(Entry, String)>,
    /// The gallery's version, and the regions that it is in.
    pub version: Option<(Entry, String, Vec<String>)>,
    /// Snapshots, that of the OS disk first.
    pub snapshots: Vec<(Entry, String)>,
}

/// Stops the machine and gives its hardware back: what comes next needs its disks at rest.
///
/// # Errors
/// What was refused, or failed later.
pub async fn stop(work: &Work<'_>) -> Result<()> {
    work.cx.phase("stopping the machine");
    work.cx.say(format!("Stopping the machine {}", work.names.machine));
    let id = work.machine();
    let answer = work.account.compute.deallocate(&id).await?;
    let what = format!("the machine {} to be deallocated", work.names.machine);
    operation::finish(&work.account.arm, &Method::POST, &id, answer, &what, work.config.polling_duration_timeout)
        .await?;
    Ok(())
}

/// Makes everything that the template asks for.
///
/// # Errors
/// The first thing that was refused, or failed later; the ledger knows what is there.
pub async fn make(work: &Work<'_>, machine: &Value, location: &str) -> Result<Made> {
    let cx = work.cx;
    cx.phase("making the image");
    let mut made = Made { snapshots: snapshots(work, machine, location).await?, ..Made::default() };
    let specialized = work.config.destination().is_some_and(|d| d.specialized);
    if specialized {
        cx.say("The machine is not generalized: the version is specialized");
    } else {
        cx.say(format!("Generalizing the machine {}", work.names.machine));
        work.account.compute.generalize(&work.machine()).await?;
    }
    if work.config.makes_image() {
        made.image = Some(managed(work, location).await?);
    }
    if let (Some(gallery), Some(id)) = (work.config.destination(), version_id(work)) {
        cx.phase("publishing to the gallery");
        let source = match &made.image {
            Some((_, id)) => json!({ "id": id }),
            None => json!({ "virtualMachineId": work.machine() }),
        };
        made.version = Some(publish(work, gallery, &id, source, location).await?);
    }
    Ok(made)
}

async fn snapshots(work: &Work<'_>, machine: &Value, location: &str) -> Result<Vec<(Entry, String)>> {
    let (os, data) = snapshot_ids(work);
    let mut pairs = Vec::new();
    if let Some(id) = os {
        let disk = os_disk(machine)
            .ok_or_else(|| Error::failed("the machine has no managed OS disk to make a snapshot of"))?;
        pairs.push((id, disk));
    }
    pairs.extend(data.into_iter().zip(data_disks(machine)));
    let all = pairs.iter().map(|(id, disk)| async move {
        work.cx.say(format!("Making the snapshot {}", last(id)));
        let body = json!({
            "location": location, "tags": work.tags,
            "properties": { "creationData": { "createOption": "Copy", "sourceResourceId": disk } },
        });
        let entry = work.create("snapshot", id, || work.creator.compute.put_snapshot(id, &body)).await?;
        Ok::<_, Error>((entry, id.clone()))
    });
    // All to their ends: a call that is dropped half-way may still arrive, after the clean-up.
    futures_util::future::join_all(all).await.into_iter().collect()
}

async fn managed(work: &Work<'_>, location: &str) -> Result<(Entry, String)> {
    let id = image_id(work);
    work.cx.say(format!("Making the managed image {}", work.config.managed_image_name));
    let body = json!({
        "location": location, "tags": work.tags,
        "properties": {
            "sourceVirtualMachine": { "id": work.machine() },
            "storageProfile": { "zoneResilient": work.config.managed_image_zone_resilient },
        },
    });
    let entry = work.create("image", &id, || work.creator.compute.put_image(&id, &body)).await?;
    Ok((entry, id))
}

async fn publish(
    work: &Work<'_>,
    gallery: &GalleryDestination,
    id: &str,
    source: Value,
    location: &str,
) -> Result<(Entry, String, Vec<String>)> {
    let regions = regions(work, gallery, location);
    let names: Vec<String> =
        regions.iter().filter_map(|r| r.get("name").and_then(Value::as_str).map(str::to_owned)).collect();
    work.cx.say(format!(
        "Publishing version {} of {}/{} in {}",
        gallery.image_version,
        gallery.gallery_name,
        gallery.image_name,
        names.join(", ")
    ));
    let body = version_body(work, gallery, source, location, &regions);
    let call = || work.creator.compute.put_version(id, &body);
    let entry = work.create_within("gallery-image-version", id, work.config.shared_image_gallery_timeout, call).await?;
    Ok((entry, id.to_owned(), names))
}

fn version_body(
    work: &Work<'_>,
    gallery: &GalleryDestination,
    source: Value,
    location: &str,
    regions: &[Value],
) -> Value {
    let config = work.config;
    let own = regions.iter().find(|r| r["name"] == json!(normal(location)));
    let replicas = match own.and_then(|r| r.get("regionalReplicaCount")) {
        Some(count) if !gallery.target_region.is_empty() => count.clone(),
        _ => json!(config.shared_image_gallery_replica_count.clamp(1, 100)),
    };
    let mut profile = json!({
        "targetRegions": regions,
        "replicaCount": replicas,
        "excludeFromLatest": config.shared_gallery_image_version_exclude_from_latest,
        "replicationMode": if gallery.use_shallow_replication { "Shallow" } else { "Full" },
        "storageAccountType": gallery.storage_account_type,
    });
    let date = &config.shared_gallery_image_version_end_of_life_date;
    if !date.is_empty() {
        profile["endOfLifeDate"] = json!(date);
    }
    json!({
        "location": location, "tags": work.tags,
        "properties": { "storageProfile": { "source": source }, "publishingProfile": profile },
    })
}

/// The regions of the version; that of the build is always one of `replication_regions`.
fn regions(work: &Work<'_>, gallery: &GalleryDestination, location: &str) -> Vec<Value> {
    let config = work.config;
    let kind = gallery.confidential_vm_image_encryption_type.as_str();
    let region = |name: &str, replicas: i64, set: &str| {
        let mut region = json!({ "name": normal(name), "regionalReplicaCount": replicas.clamp(1, 100) });
        if let Some(encryption) = encryption(kind, set) {
            region["encryption"] = encryption;
        }
        region
    };
    if !gallery.target_region.is_empty() {
        return gallery.target_region.iter().map(|r| region(&r.name, r.replicas, &r.disk_encryption_set_id)).collect();
    }
    let mut names: Vec<String> = Vec::new();
    for name in gallery.replication_regions.iter().map(|r| normal(r)).chain([normal(location)]) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let count = config.shared_image_gallery_replica_count;
    let own = |name: &str| if name == normal(location) { config.disk_encryption_set_id.as_str() } else { "" };
    names.iter().map(|name| region(name, count, own(name))).collect()
}

/// How the copy in one region is encrypted.
fn encryption(kind: &str, set: &str) -> Option<Value> {
    match (kind, set) {
        ("", "") => None,
        ("", set) => Some(json!({ "osDiskImage": { "diskEncryptionSetId": set } })),
        ("EncryptedWithCmk", set) => Some(json!({ "osDiskImage": { "securityProfile": {
            "confidentialVMEncryptionType": kind, "secureVMDiskEncryptionSetId": set,
        }}})),
        (kind, _) => Some(json!({ "osDiskImage": { "securityProfile": { "confidentialVMEncryptionType": kind } } })),
    }
}
