//! Images.

use super::disks::{apply_labels, layers};
use super::error::{ApiError, ApiResult};
use super::names::{check_fields, check_labels, check_name, fingerprint, int64, link, new_id, now, reference, text};
use super::operations::{Failure, Target, begin, replayed};
use super::route::Call;
use super::store::{Global, Image, Scope, Store, Zonal, image_path, zonal_key, zonal_path};
use crate::cloud::Cloud;
use crate::guest::Layer;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Where the bytes of a new image come from.
enum Source {
    Disk(Zonal),
    Layers(Vec<Layer>),
}

/// Storage locations that an image may have: multi-regions, and any region.
const MULTI_REGIONS: [&str; 3] = ["us", "eu", "asia"];

/// `images.insert`
pub(super) fn insert(cloud: &Arc<Cloud>, call: &Call<'_>) -> ApiResult {
    let body = call.body()?;
    check_fields(&body, &FIELDS)?;
    let name = text(&body, "name").ok_or_else(|| ApiError::required("resource.name"))?;
    check_name("resource.name", name)?;
    if let Some(family) = text(&body, "family") {
        check_name("resource.family", family)?;
    }
    check_labels(body.get("labels"))?;
    check_locations(&body)?;
    let mut store = cloud.google.store();
    if let Some(op) = replayed(&store, call.project, call.request_id()) {
        return Ok(op);
    }
    let key = (call.project.to_owned(), name.to_owned());
    let path = image_path(&key);
    if store.images.contains_key(&key) {
        return Err(ApiError::already_exists(path));
    }
    let forced = call.request.param("forceCreate") == Some("true");
    let (source, extra) = source(&store, call, &body, forced)?;
    let doc = document(&key, &body, extra)?;
    store.images.insert(key.clone(), Image { doc: doc.clone(), layers: Vec::new(), fixture: false });
    let target = call.target(Scope::Global, "insert", path, &doc);
    let worker = cloud.clone();
    Ok(begin(cloud, &mut store, target, move |fault| async move {
        let result = match (fault, source) {
            (Some(fault), _) => Err(fault),
            (None, Source::Layers(layers)) => Ok(layers),
            (None, Source::Disk(disk)) => layers(&worker, &disk).await,
        };
        finish(&worker, &key, result)
    }))
}

fn finish(cloud: &Cloud, key: &Global, result: Result<Vec<Layer>, Failure>) -> Result<(), Failure> {
    let mut store = cloud.google.store();
    match result {
        Err(failure) => {
            store.images.remove(key);
            Err(failure)
        }
        Ok(layers) => {
            if let Some(image) = store.images.get_mut(key) {
                let bytes: u64 = layers.iter().map(|l| l.size).sum();
                image.doc["status"] = json!("READY");
                image.doc["archiveSizeBytes"] = json!(bytes.to_string());
                image.layers = layers;
            }
            Ok(())
        }
    }
}

fn check_locations(body: &Map<String, Value>) -> ApiResult<()> {
    let locations = body.get("storageLocations").and_then(Value::as_array).cloned().unwrap_or_default();
    if locations.len() > 1 {
        let message = "Invalid value for field 'resource.storageLocations': At most one storage location may be given.";
        return Err(ApiError::new(400, "invalid", message));
    }
    for location in locations.iter().filter_map(Value::as_str) {
        if !MULTI_REGIONS.contains(&location) && !super::fixtures::REGIONS.contains(&location) {
            return Err(ApiError::field("resource.storageLocations", location, "The location is not supported."));
        }
    }
    Ok(())
}

/// Where the image comes from, and the properties that it takes from there.
fn source(
    store: &Store,
    call: &Call<'_>,
    body: &Map<String, Value>,
    forced: bool,
) -> ApiResult<(Source, Map<String, Value>)> {
    let mut extra = Map::new();
    let mut inherit = |doc: &Value, fields: &[&str]| {
        for field in fields {
            if let Some(value) = doc.get(*field) {
                extra.insert((*field).to_owned(), value.clone());
            }
        }
    };
    if let Some(text) = text(body, "sourceDisk") {
        let path = reference(text, call.project);
        let key = zonal_key(&path, "disks")
            .ok_or_else(|| ApiError::field("resource.sourceDisk", text, "The URL is malformed."))?;
        let disk = store.disks.get(&key).ok_or_else(|| ApiError::not_found(&path))?;
        if disk.doc["status"] != "READY" {
            return Err(ApiError::not_ready(&path));
        }
        let holder = store.holder(&key).and_then(|k| store.instances.get_key_value(k));
        if let Some((user, instance)) = holder
            && instance.doc["status"] != "TERMINATED"
        {
            if !forced {
                return Err(ApiError::in_use(format!("disk resource '{path}'"), zonal_path("instances", user)));
            }
            return Err(ApiError::not_implemented("images of disks in use (forceCreate)"));
        }
        inherit(&disk.doc, &["licenses", "licenseCodes", "guestOsFeatures", "architecture"]);
        extra.insert("sourceDisk".to_owned(), json!(link(&path)));
        extra.insert("sourceDiskId".to_owned(), disk.doc["id"].clone());
        extra.insert("diskSizeGb".to_owned(), disk.doc["sizeGb"].clone());
        return Ok((Source::Disk(key), extra));
    }
    if let Some(text) = text(body, "sourceImage") {
        let path = reference(text, call.project);
        let (key, image) = store.image(&path).ok_or_else(|| ApiError::not_found(&path))?;
        inherit(&image.doc, &["licenses", "licenseCodes", "guestOsFeatures", "architecture", "diskSizeGb"]);
        extra.insert("sourceImage".to_owned(), json!(link(image_path(key))));
        extra.insert("sourceImageId".to_owned(), image.doc["id"].clone());
        return Ok((Source::Layers(image.layers.clone()), extra));
    }
    for field in ["rawDisk", "sourceSnapshot"] {
        if body.contains_key(field) {
            return Err(ApiError::not_implemented(format!("images from '{field}'")));
        }
    }
    Err(ApiError::new(
        400,
        "invalid",
        "Invalid value for field 'resource': ''. One of sourceDisk, sourceImage, sourceSnapshot or rawDisk must be specified.",
    ))
}

fn document(key: &Global, body: &Map<String, Value>, extra: Map<String, Value>) -> ApiResult {
    let labels = body.get("labels").cloned();
    let mut doc = json!({
        "kind": "compute#image",
        "id": new_id(),
        "creationTimestamp": now(),
        "name": key.1,
        "sourceType": "RAW",
        "rawDisk": { "source": "", "containerType": "TAR" },
        "status": "PENDING",
        "archiveSizeBytes": "0",
        "selfLink": link(image_path(key)),
        "labelFingerprint": fingerprint(&labels.unwrap_or_else(|| json!({}))),
        "storageLocations": ["us"],
        "enableConfidentialCompute": false,
    });
    for (field, value) in extra {
        doc[field] = value;
    }
    for field in [
        "description",
        "family",
        "labels",
        "storageLocations",
        "architecture",
        "shieldedInstanceInitialState",
        "imageEncryptionKey",
    ] {
        if let Some(value) = body.get(field).filter(|v| !v.is_null()) {
            doc[field] = value.clone();
        }
    }
    if let Some(size) = int64("resource.diskSizeGb", body.get("diskSizeGb"))? {
        doc["diskSizeGb"] = json!(size.to_string());
    }
    // The disk's own, and what the client adds.
    for field in ["licenses", "guestOsFeatures"] {
        let mut all = doc.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
        for more in body.get(field).and_then(Value::as_array).into_iter().flatten() {
            if !all.contains(more) {
                all.push(more.clone());
            }
        }
        if !all.is_empty() {
            doc[field] = Value::Array(all);
        }
    }
    // The key itself is never shown.
    if let Some(key) = doc.get_mut("imageEncryptionKey").and_then(Value::as_object_mut) {
        key.remove("rawKey");
    }
    Ok(doc)
}

/// `images.get`
pub(super) fn get(store: &Store, key: &Global) -> ApiResult {
    store.images.get(key).map(|i| i.doc.clone()).ok_or_else(|| ApiError::not_found(image_path(key)))
}

/// `images.getFromFamily`
pub(super) fn from_family(store: &Store, project: &str, family: &str) -> ApiResult {
    let path = format!("projects/{project}/global/images/family/{family}");
    store.family(project, family).map(|(_, i)| i.doc.clone()).ok_or_else(|| ApiError::not_found(path))
}

/// `images.delete`
pub(super) fn delete(cloud: &Arc<Cloud>, call: &Call<'_>, name: &str) -> ApiResult {
    let mut store = cloud.google.store();
    if let Some(op) = replayed(&store, call.project, call.request_id()) {
        return Ok(op);
    }
    let key = (call.project.to_owned(), name.to_owned());
    let path = image_path(&key);
    let doc = get(&store, &key)?;
    if doc["status"] == "PENDING" {
        return Err(ApiError::not_ready(path));
    }
    if let Some(image) = store.images.get_mut(&key) {
        image.doc["status"] = json!("DELETING");
    }
    let target = call.target(Scope::Global, "delete", path, &doc);
    let worker = cloud.clone();
    Ok(begin(cloud, &mut store, target, move |fault| async move {
        let mut store = worker.google.store();
        if let Some(fault) = fault {
            if let Some(image) = store.images.get_mut(&key) {
                image.doc["status"] = json!("READY");
            }
            return Err(fault);
        }
        store.images.remove(&key);
        Ok(())
    }))
}

/// `images.deprecate`
pub(super) fn deprecate(cloud: &Arc<Cloud>, call: &Call<'_>, name: &str) -> ApiResult {
    let body = call.body()?;
    check_fields(&body, &["state", "deprecated", "obsolete", "deleted", "replacement", "stateOverride"])?;
    for field in ["deprecated", "obsolete", "deleted"] {
        if let Some(date) = text(&body, field)
            && chrono::DateTime::parse_from_rfc3339(date).is_err()
        {
            return Err(ApiError::field(&format!("deprecationStatus.{field}"), date, "Must be an RFC 3339 timestamp."));
        }
    }
    change(cloud, call, name, "deprecate", |doc| {
        if body.is_empty() {
            doc.as_object_mut().map(|d| d.remove("deprecated"));
        } else {
            doc["deprecated"] = Value::Object(body);
        }
        Ok(())
    })
}

/// `images.setLabels`
pub(super) fn set_labels(cloud: &Arc<Cloud>, call: &Call<'_>, name: &str) -> ApiResult {
    let body = call.body()?;
    change(cloud, call, name, "setLabels", |doc| apply_labels(doc, &body))
}

/// `images.patch`: description, family and labels are what can be changed.
pub(super) fn patch(cloud: &Arc<Cloud>, call: &Call<'_>, name: &str) -> ApiResult {
    let body = call.body()?;
    check_fields(&body, &["description", "family", "labels", "labelFingerprint"])?;
    change(cloud, call, name, "patch", |doc| {
        if body.contains_key("labels") {
            apply_labels(doc, &body)?;
        }
        for field in ["description", "family"] {
            if let Some(value) = body.get(field) {
                doc[field] = value.clone();
            }
        }
        Ok(())
    })
}

fn change(
    cloud: &Arc<Cloud>,
    call: &Call<'_>,
    name: &str,
    kind: &str,
    change: impl FnOnce(&mut Value) -> ApiResult<()>,
) -> ApiResult {
    let mut store = cloud.google.store();
    if let Some(op) = replayed(&store, call.project, call.request_id()) {
        return Ok(op);
    }
    let key = (call.project.to_owned(), name.to_owned());
    let path = image_path(&key);
    let image = store.images.get_mut(&key).ok_or_else(|| ApiError::not_found(&path))?;
    change(&mut image.doc)?;
    let doc = image.doc.clone();
    let target: Target<'_> = call.target(Scope::Global, kind, path, &doc);
    Ok(begin(cloud, &mut store, target, |fault| async move { fault.map_or(Ok(()), Err) }))
}

/// Properties of an image that a client may send.
const FIELDS: [&str; 26] = [
    "name",
    "description",
    "family",
    "labels",
    "labelFingerprint",
    "licenses",
    "licenseCodes",
    "guestOsFeatures",
    "sourceDisk",
    "sourceDiskEncryptionKey",
    "sourceImage",
    "sourceImageEncryptionKey",
    "sourceSnapshot",
    "sourceSnapshotEncryptionKey",
    "sourceType",
    "rawDisk",
    "storageLocations",
    "architecture",
    "diskSizeGb",
    "archiveSizeBytes",
    "imageEncryptionKey",
    "shieldedInstanceInitialState",
    "enableConfidentialCompute",
    "deprecated",
    "params",
    "kind",
];
