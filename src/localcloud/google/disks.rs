//! Zonal disks.

use super::error::{ApiError, ApiResult};
use super::fixtures;
use super::names::{
    check_fields, check_labels, check_name, fingerprint, int64, last, link, new_id, now, reference, same_fingerprint,
    text,
};
use super::operations::{Failure, begin, replayed};
use super::route::Call;
use super::store::{Disk, Scope, Store, Zonal, image_path, zonal_path};
use crate::cloud::Cloud;
use crate::guest::{GuestError, Layer};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What a disk is made of.
pub(super) struct NewDisk {
    pub key: Zonal,
    pub size: Option<i64>,
    /// The last segment, or none for the default.
    pub kind: Option<String>,
    /// A canonical image path.
    pub image: Option<String>,
    pub labels: Option<Value>,
    pub description: Option<String>,
    pub architecture: Option<String>,
}

/// The size of a disk that says none and comes from no image, in GB.
const DEFAULT_SIZE: i64 = 500;

/// Puts a disk into the store, in state CREATING.
pub(super) fn create(store: &mut Store, new: NewDisk) -> ApiResult<Value> {
    let (project, zone, name) = &new.key;
    check_name("resource.name", name)?;
    let kind = new.kind.unwrap_or_else(|| "pd-standard".to_owned());
    let kind_doc = fixtures::disk_type_doc(project, zone, &kind);
    let Some(kind_doc) = kind_doc else {
        return Err(ApiError::field("resource.type", &kind, "The referenced resource does not exist."));
    };
    let mut layers: Vec<Layer> = Vec::new();
    let mut doc = json!({
        "kind": "compute#disk",
        "id": new_id(),
        "creationTimestamp": now(),
        "name": name,
        "zone": link(format!("projects/{project}/zones/{zone}")),
        "status": "CREATING",
        "selfLink": link(zonal_path("disks", &new.key)),
        "type": kind_doc["selfLink"],
        "labelFingerprint": fingerprint(&new.labels.clone().unwrap_or_else(|| json!({}))),
        "physicalBlockSizeBytes": "4096",
        "enableConfidentialCompute": false,
    });
    let mut least = 1;
    if let Some(path) = &new.image {
        let Some((key, image)) = store.image(path) else { return Err(ApiError::not_found(path)) };
        if image.doc["status"] != "READY" {
            return Err(ApiError::not_ready(path));
        }
        layers.clone_from(&image.layers);
        least = image.doc["diskSizeGb"].as_str().and_then(|s| s.parse().ok()).unwrap_or(1);
        doc["sourceImage"] = json!(link(image_path(key)));
        doc["sourceImageId"] = image.doc["id"].clone();
        for field in ["licenses", "licenseCodes", "guestOsFeatures", "architecture"] {
            if let Some(value) = image.doc.get(field) {
                doc[field] = value.clone();
            }
        }
    }
    let size = new.size.unwrap_or(if new.image.is_some() { least } else { DEFAULT_SIZE });
    if size < least {
        let why = format!("Requested disk size cannot be smaller than the image size ({least} GB)");
        return Err(ApiError::field("resource.sizeGb", size, why));
    }
    doc["sizeGb"] = json!(size.to_string());
    for (field, value) in [
        ("labels", new.labels),
        ("description", new.description.map(Value::from)),
        ("architecture", new.architecture.map(Value::from)),
    ] {
        if let Some(value) = value {
            doc[field] = value;
        }
    }
    store.disks.insert(new.key, Disk { doc: doc.clone(), layers, guest: None, machine: None });
    Ok(doc)
}

/// `disks.insert`
pub(super) fn insert(cloud: &Arc<Cloud>, call: &Call<'_>, zone: &str) -> ApiResult {
    let body = call.body()?;
    check_fields(&body, &FIELDS)?;
    let name = text(&body, "name").ok_or_else(|| ApiError::required("resource.name"))?;
    check_labels(body.get("labels"))?;
    let mut store = cloud.google.store();
    if let Some(op) = replayed(&store, call.project, call.request_id()) {
        return Ok(op);
    }
    let key = (call.project.to_owned(), zone.to_owned(), name.to_owned());
    let path = zonal_path("disks", &key);
    if store.disks.contains_key(&key) {
        return Err(ApiError::already_exists(path));
    }
    let image = call.request.param("sourceImage").or_else(|| text(&body, "sourceImage"));
    let new = NewDisk {
        key: key.clone(),
        size: int64("resource.sizeGb", body.get("sizeGb"))?,
        kind: text(&body, "type").map(|t| last(t).to_owned()),
        image: image.map(|i| reference(i, call.project)),
        labels: body.get("labels").cloned(),
        description: text(&body, "description").map(str::to_owned),
        architecture: text(&body, "architecture").map(str::to_owned),
    };
    let doc = create(&mut store, new)?;
    let target = call.target(Scope::Zone(zone.to_owned()), "insert", path, &doc);
    let worker = cloud.clone();
    Ok(begin(cloud, &mut store, target, move |fault| async move {
        let mut store = worker.google.store();
        if let Some(fault) = fault {
            store.disks.remove(&key);
            return Err(fault);
        }
        if let Some(disk) = store.disks.get_mut(&key) {
            disk.doc["status"] = json!("READY");
        }
        Ok(())
    }))
}

/// `disks.get`
pub(super) fn get(store: &Store, key: &Zonal) -> ApiResult {
    let disk = store.disks.get(key).ok_or_else(|| ApiError::not_found(zonal_path("disks", key)))?;
    let mut doc = disk.doc.clone();
    if let Some(user) = store.holder(key) {
        doc["users"] = json!([link(zonal_path("instances", user))]);
    }
    Ok(doc)
}

/// `disks.delete`
pub(super) fn delete(cloud: &Arc<Cloud>, call: &Call<'_>, zone: &str, name: &str) -> ApiResult {
    let mut store = cloud.google.store();
    if let Some(op) = replayed(&store, call.project, call.request_id()) {
        return Ok(op);
    }
    let key = (call.project.to_owned(), zone.to_owned(), name.to_owned());
    let path = zonal_path("disks", &key);
    let doc = get(&store, &key)?;
    if let Some(user) = store.holder(&key) {
        return Err(ApiError::in_use(format!("disk resource '{path}'"), zonal_path("instances", user)));
    }
    let source = link(&path);
    let user =
        store.images.iter().find(|(_, i)| i.doc["sourceDisk"] == source.as_str() && i.doc["status"] == "PENDING");
    if let Some((image, _)) = user {
        return Err(ApiError::in_use(format!("disk resource '{path}'"), image_path(image)));
    }
    if let Some(disk) = store.disks.get_mut(&key) {
        disk.doc["status"] = json!("DELETING");
    }
    let target = call.target(Scope::Zone(zone.to_owned()), "delete", path, &doc);
    let worker = cloud.clone();
    Ok(begin(cloud, &mut store, target, move |fault| async move {
        if let Some(fault) = fault {
            if let Some(disk) = worker.google.store().disks.get_mut(&key) {
                disk.doc["status"] = json!("READY");
            }
            return Err(fault);
        }
        let disk = worker.google.store().disks.remove(&key);
        if let Some(machine) = disk.and_then(|d| d.machine) {
            worker.machines.destroy(&machine).await;
        }
        Ok(())
    }))
}

/// `disks.setLabels`
pub(super) fn set_labels(cloud: &Arc<Cloud>, call: &Call<'_>, zone: &str, name: &str) -> ApiResult {
    let body = call.body()?;
    let mut store = cloud.google.store();
    let key = (call.project.to_owned(), zone.to_owned(), name.to_owned());
    let path = zonal_path("disks", &key);
    let disk = store.disks.get_mut(&key).ok_or_else(|| ApiError::not_found(&path))?;
    apply_labels(&mut disk.doc, &body)?;
    let doc = disk.doc.clone();
    let target = call.target(Scope::Zone(zone.to_owned()), "setLabels", path, &doc);
    Ok(begin(cloud, &mut store, target, |fault| async move { fault.map_or(Ok(()), Err) }))
}

/// Replaces the labels of a resource, if the caller has seen the ones it has.
pub(super) fn apply_labels(doc: &mut Value, body: &Map<String, Value>) -> ApiResult<()> {
    check_labels(body.get("labels"))?;
    let theirs = text(body, "labelFingerprint").ok_or_else(|| ApiError::required("labelFingerprint"))?;
    if !same_fingerprint(doc["labelFingerprint"].as_str().unwrap_or_default(), theirs) {
        let message = "Labels fingerprint either invalid or resource labels have changed";
        return Err(ApiError::new(412, "conditionNotMet", message));
    }
    let labels = body.get("labels").cloned().unwrap_or_else(|| json!({}));
    doc["labelFingerprint"] = json!(fingerprint(&labels));
    doc["labels"] = labels;
    Ok(())
}

/// What the disk holds now, as layers; of a guest that wrote to it, once it is stopped.
///
/// # Errors
/// The guest's own error.
pub(super) async fn layers(cloud: &Arc<Cloud>, key: &Zonal) -> Result<Vec<Layer>, Failure> {
    let (mut layers, guest) = {
        let store = cloud.google.store();
        let Some(disk) = store.disks.get(key) else {
            return Err(Failure::new("RESOURCE_NOT_FOUND", format!("The disk '{}' is gone", key.2), 404));
        };
        (disk.layers.clone(), disk.guest.clone())
    };
    if let Some(guest) = guest {
        let failed = |e: GuestError| Failure::new("INTERNAL_ERROR", e.to_string(), 500);
        layers.push(guest.capture().await.map_err(failed)?);
    }
    Ok(layers)
}

/// Properties of a disk that a client may send.
const FIELDS: [&str; 26] = [
    "name",
    "description",
    "sizeGb",
    "type",
    "sourceImage",
    "sourceImageEncryptionKey",
    "sourceDisk",
    "sourceSnapshot",
    "labels",
    "labelFingerprint",
    "guestOsFeatures",
    "licenses",
    "licenseCodes",
    "diskEncryptionKey",
    "architecture",
    "physicalBlockSizeBytes",
    "provisionedIops",
    "provisionedThroughput",
    "multiWriter",
    "enableConfidentialCompute",
    "resourcePolicies",
    "replicaZones",
    "storagePool",
    "accessMode",
    "params",
    "kind",
];
