//! Instances: what a client may ask for, and what it sees.

use super::disks::{NewDisk, create};
use super::error::{ApiError, ApiResult};
use super::fixtures::{self, region_of};
use super::life;
use super::names::{
    check_fields, check_labels, check_name, fingerprint, int64, last, link, metadata, new_id, now, reference,
    same_fingerprint, text,
};
use super::operations::{begin, replayed};
use super::route::Call;
use super::store::{Instance, Project, Scope, Store, Zonal, zonal_key, zonal_path};
use crate::cloud::Cloud;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// `instances.insert`
pub(super) fn insert(cloud: &Arc<Cloud>, call: &Call<'_>, zone: &str) -> ApiResult {
    let body = call.body()?;
    check_fields(&body, &FIELDS)?;
    let name = text(&body, "name").ok_or_else(|| ApiError::required("resource.name"))?;
    check_name("resource.name", name)?;
    check_labels(body.get("labels"))?;
    check_scheduling(&body)?;
    let mut store = cloud.google.store();
    if let Some(op) = replayed(&store, call.project, call.request_id()) {
        return Ok(op);
    }
    let key = (call.project.to_owned(), zone.to_owned(), name.to_owned());
    let path = zonal_path("instances", &key);
    if store.instances.contains_key(&key) {
        return Err(ApiError::already_exists(path));
    }
    let mut doc = document(&store, &key, &body)?;
    let (disks, made) = disks(&mut store, &key, &body)?;
    doc["disks"] = Value::Array(disks);
    let instance = Instance { doc: doc.clone(), machine: None, serial: String::new(), creating: true, deleting: false };
    store.instances.insert(key.clone(), instance);
    let target = call.target(Scope::Zone(zone.to_owned()), "insert", path, &doc);
    let worker = cloud.clone();
    Ok(begin(cloud, &mut store, target, move |fault| life::create(worker, key, made, fault)))
}

fn check_scheduling(body: &Map<String, Value>) -> ApiResult<()> {
    let scheduling = body.get("scheduling").unwrap_or(&Value::Null);
    let maintenance = scheduling["onHostMaintenance"].as_str();
    if scheduling["preemptible"] == true && maintenance == Some("MIGRATE") {
        return Err(ApiError::field(
            "resource.scheduling.onHostMaintenance",
            "MIGRATE",
            "Scheduling must have preemptible be false when onHostMaintenance is MIGRATE.",
        ));
    }
    match maintenance {
        None | Some("MIGRATE" | "TERMINATE") => Ok(()),
        Some(other) => {
            Err(ApiError::field("resource.scheduling.onHostMaintenance", other, "Must be MIGRATE or TERMINATE."))
        }
    }
}

/// The document without its disks.
fn document(store: &Store, key: &Zonal, body: &Map<String, Value>) -> ApiResult {
    let (project, zone, name) = key;
    let kind = text(body, "machineType").ok_or_else(|| ApiError::required("resource.machineType"))?;
    let kind_path = reference(kind, project);
    let kind_doc = fixtures::machine_type_doc(project, zone, last(&kind_path))
        .filter(|_| kind_path.contains(&format!("/zones/{zone}/")))
        .ok_or_else(|| ApiError::field("resource.machineType", kind, "The referenced resource does not exist."))?;
    let own = store.projects.get(project).ok_or_else(|| ApiError::not_found(format!("projects/{project}")))?;
    let mut doc = json!({
        "kind": "compute#instance",
        "id": new_id(),
        "creationTimestamp": now(),
        "name": name,
        "machineType": kind_doc["selfLink"],
        "status": "PROVISIONING",
        "zone": link(format!("projects/{project}/zones/{zone}")),
        "canIpForward": body.get("canIpForward").cloned().unwrap_or(json!(false)),
        "networkInterfaces": interfaces(own, key, body)?,
        "metadata": metadata(body.get("metadata"))?,
        "serviceAccounts": service_accounts(own, body)?,
        "selfLink": link(zonal_path("instances", key)),
        "scheduling": { "onHostMaintenance": "MIGRATE", "automaticRestart": true, "preemptible": false, "provisioningModel": "STANDARD" },
        "cpuPlatform": "Intel Broadwell",
        "labelFingerprint": fingerprint(&body.get("labels").cloned().unwrap_or_else(|| json!({}))),
        "startRestricted": false,
        "deletionProtection": body.get("deletionProtection").cloned().unwrap_or(json!(false)),
        "shieldedInstanceConfig": { "enableSecureBoot": false, "enableVtpm": true, "enableIntegrityMonitoring": true },
        "shieldedInstanceIntegrityPolicy": { "updateAutoLearnPolicy": true },
        "fingerprint": fingerprint(&json!(name)),
        "lastStartTimestamp": now(),
    });
    let tags = body.get("tags").cloned().unwrap_or_else(|| json!({}));
    doc["tags"] = json!({ "fingerprint": fingerprint(&tags) });
    if let Some(items) = tags.get("items") {
        doc["tags"]["items"] = items.clone();
    }
    for field in ["scheduling", "shieldedInstanceConfig"] {
        for (key, value) in body.get(field).and_then(Value::as_object).into_iter().flatten() {
            doc[field][key] = value.clone();
        }
    }
    for field in [
        "description",
        "labels",
        "minCpuPlatform",
        "advancedMachineFeatures",
        "guestAccelerators",
        "reservationAffinity",
        "hostname",
    ] {
        if let Some(value) = body.get(field).filter(|v| !v.is_null()) {
            doc[field] = value.clone();
        }
    }
    Ok(doc)
}

fn interfaces(project: &Project, key: &Zonal, body: &Map<String, Value>) -> ApiResult {
    let (id, zone, _) = key;
    let region = region_of(zone);
    let wanted = body.get("networkInterfaces").and_then(Value::as_array).cloned().unwrap_or_default();
    if wanted.is_empty() {
        return Err(ApiError::field("resource.networkInterfaces", "", "At least one network interface is required."));
    }
    let mut all = Vec::new();
    for (n, nic) in wanted.iter().enumerate() {
        let field = format!("resource.networkInterfaces[{n}]");
        let empty = Map::new();
        let nic = nic.as_object().unwrap_or(&empty);
        let network = text(nic, "network").map(|t| reference(t, id));
        let subnetwork = text(nic, "subnetwork").map(|t| reference(t, id));
        if let Some(path) = &network {
            let known = path
                .strip_prefix(&format!("projects/{id}/global/networks/"))
                .is_some_and(|n| project.networks.contains(n));
            if !known {
                return Err(ApiError::field(
                    &format!("{field}.network"),
                    link(path),
                    "The referenced network resource cannot be found.",
                ));
            }
        }
        if let Some(path) = &subnetwork {
            let parts: Vec<_> = path.split('/').collect();
            let known = matches!(parts.as_slice(), ["projects", p, "regions", r, "subnetworks", s]
                if p == id && *r == region && project.subnetworks.contains(&((*r).to_owned(), (*s).to_owned())));
            if !known {
                return Err(ApiError::field(
                    &format!("{field}.subnetwork"),
                    link(path),
                    "The referenced subnetwork resource cannot be found.",
                ));
            }
        }
        let network = network.unwrap_or_else(|| format!("projects/{id}/global/networks/default"));
        let subnetwork = subnetwork.unwrap_or_else(|| format!("projects/{id}/regions/{region}/subnetworks/default"));
        // 10.128.0.0/9 is what networks in auto mode take.
        let host: [u8; 2] = rand::random();
        let internal = format!("10.128.{}.{}", host[0], host[1].clamp(2, 254));
        let mut out = json!({
            "kind": "compute#networkInterface",
            "name": format!("nic{n}"),
            "network": link(network),
            "subnetwork": link(subnetwork),
            "networkIP": text(nic, "networkIP").map_or(internal, str::to_owned),
            "fingerprint": fingerprint(&json!(nic)),
            "stackType": "IPV4_ONLY",
        });
        let mut access = Vec::new();
        for config in nic.get("accessConfigs").and_then(Value::as_array).into_iter().flatten() {
            let Some(config) = config.as_object() else {
                return Err(ApiError::field(
                    &format!("{field}.accessConfigs"),
                    "null",
                    "An access config must be an object.",
                ));
            };
            access.push(json!({
                "kind": "compute#accessConfig",
                "type": text(config, "type").unwrap_or("ONE_TO_ONE_NAT"),
                "name": text(config, "name").unwrap_or("external-nat"),
                "networkTier": "PREMIUM",
            }));
        }
        if !access.is_empty() {
            out["accessConfigs"] = Value::Array(access);
        }
        all.push(out);
    }
    Ok(Value::Array(all))
}

fn service_accounts(project: &Project, body: &Map<String, Value>) -> ApiResult {
    let mut all = Vec::new();
    for account in body.get("serviceAccounts").and_then(Value::as_array).into_iter().flatten() {
        let email = account["email"].as_str().unwrap_or("default");
        let email = if email == "default" { project.default_account() } else { email.to_owned() };
        if !project.service_accounts.contains(&email) {
            let message =
                format!("The resource 'projects/-/serviceAccounts/{email}' of type 'serviceAccount' was not found.");
            return Err(ApiError::new(400, "invalid", message));
        }
        all.push(json!({ "email": email, "scopes": account["scopes"].as_array().cloned().unwrap_or_default() }));
    }
    Ok(Value::Array(all))
}

/// The attached disks, and the keys of those that are made for this instance.
fn disks(store: &mut Store, key: &Zonal, body: &Map<String, Value>) -> ApiResult<(Vec<Value>, Vec<Zonal>)> {
    let wanted = body.get("disks").and_then(Value::as_array).cloned().unwrap_or_default();
    if !wanted.first().is_some_and(|d| d["boot"] == true) {
        return Err(ApiError::field(
            "resource.disks",
            "",
            "A boot disk is required: the first disk must be marked with boot.",
        ));
    }
    let (mut attached, mut made) = (Vec::new(), Vec::new());
    let result = wanted.iter().enumerate().try_for_each(|(n, disk)| {
        attached.push(attach(store, key, n, disk, &mut made)?);
        Ok(())
    });
    // One refusal refuses the whole call.
    if let Err(e) = result {
        for key in made {
            store.disks.remove(&key);
        }
        return Err(e);
    }
    Ok((attached, made))
}

fn attach(store: &mut Store, key: &Zonal, n: usize, disk: &Value, made: &mut Vec<Zonal>) -> ApiResult {
    let empty = Map::new();
    let disk = disk.as_object().unwrap_or(&empty);
    let field = format!("resource.disks[{n}]");
    let (project, zone, instance) = key;
    let scratch = text(disk, "type") == Some("SCRATCH");
    let mut out = json!({
        "kind": "compute#attachedDisk",
        "type": text(disk, "type").unwrap_or("PERSISTENT"),
        "mode": text(disk, "mode").unwrap_or("READ_WRITE"),
        "deviceName": text(disk, "deviceName").map_or_else(|| format!("persistent-disk-{n}"), str::to_owned),
        "index": n,
        "boot": disk.get("boot").cloned().unwrap_or(json!(false)),
        "autoDelete": disk.get("autoDelete").cloned().unwrap_or(json!(false)),
        "interface": text(disk, "interface").unwrap_or("SCSI"),
    });
    if scratch {
        out["diskSizeGb"] = json!("375");
        return Ok(out);
    }
    let params = disk.get("initializeParams").and_then(Value::as_object).unwrap_or(&empty);
    check_fields(params, &PARAMS)?;
    let source = match text(disk, "source") {
        Some(source) => {
            let path = reference(source, project);
            zonal_key(&path, "disks")
                .filter(|k| store.disks.contains_key(k))
                .ok_or_else(|| ApiError::not_found(path))?
        }
        None => {
            let name = text(params, "diskName")
                .map_or_else(|| if n == 0 { instance.clone() } else { format!("{instance}-{n}") }, str::to_owned);
            (project.clone(), zone.clone(), name)
        }
    };
    if let Some(user) = store.holder(&source) {
        let what = format!("disk resource '{}'", zonal_path("disks", &source));
        return Err(ApiError::in_use(what, zonal_path("instances", user)));
    }
    // A disk of that name that exists already is attached as it is: the real one does so too.
    if !store.disks.contains_key(&source) {
        let size = int64(&format!("{field}.initializeParams.diskSizeGb"), params.get("diskSizeGb"))?;
        let new = NewDisk {
            key: source.clone(),
            size: size.or(int64(&field, disk.get("diskSizeGb"))?),
            kind: text(params, "diskType").map(|t| last(t).to_owned()),
            image: text(params, "sourceImage").map(|i| reference(i, project)),
            labels: params.get("labels").cloned(),
            description: text(params, "description").map(str::to_owned),
            architecture: None,
        };
        check_labels(params.get("labels"))?;
        create(store, new)?;
        made.push(source.clone());
    }
    if let Some(made) = store.disks.get(&source) {
        out["source"] = made.doc["selfLink"].clone();
        out["diskSizeGb"] = made.doc["sizeGb"].clone();
        for field in ["licenses", "guestOsFeatures", "architecture"] {
            if let Some(value) = made.doc.get(field) {
                out[field] = value.clone();
            }
        }
    }
    Ok(out)
}

/// `instances.get`
pub(super) fn get(store: &Store, key: &Zonal) -> ApiResult {
    store.instances.get(key).map(|i| i.doc.clone()).ok_or_else(|| ApiError::not_found(zonal_path("instances", key)))
}

/// `instances.delete`, `stop`, `start`, `reset`
pub(super) fn act(cloud: &Arc<Cloud>, call: &Call<'_>, zone: &str, name: &str, action: &'static str) -> ApiResult {
    let mut store = cloud.google.store();
    if let Some(op) = replayed(&store, call.project, call.request_id()) {
        return Ok(op);
    }
    let key = (call.project.to_owned(), zone.to_owned(), name.to_owned());
    let path = zonal_path("instances", &key);
    let instance = store.instances.get_mut(&key).ok_or_else(|| ApiError::not_found(&path))?;
    if instance.creating || instance.deleting {
        return Err(ApiError::not_ready(path));
    }
    if action == "delete" {
        if instance.doc["deletionProtection"] == true {
            return Err(ApiError::new(
                400,
                "invalid",
                format!(
                    "Invalid resource usage: 'Resource cannot be deleted if it's protected against deletion: {path}'."
                ),
            ));
        }
        instance.deleting = true;
    }
    if action != "start" {
        instance.doc["status"] = json!("STOPPING");
    } else if instance.doc["status"] == "TERMINATED" {
        instance.doc["status"] = json!("STAGING");
    }
    let doc = instance.doc.clone();
    let target = call.target(Scope::Zone(zone.to_owned()), action, path, &doc);
    let worker = cloud.clone();
    Ok(begin(cloud, &mut store, target, move |fault| life::act(worker, key, action, fault)))
}

/// `instances.setMetadata`
pub(super) fn set_metadata(cloud: &Arc<Cloud>, call: &Call<'_>, zone: &str, name: &str) -> ApiResult {
    let body = call.body()?;
    check_fields(&body, &["fingerprint", "items", "kind"])?;
    let mut store = cloud.google.store();
    if let Some(op) = replayed(&store, call.project, call.request_id()) {
        return Ok(op);
    }
    let key = (call.project.to_owned(), zone.to_owned(), name.to_owned());
    let path = zonal_path("instances", &key);
    let instance = store.instances.get_mut(&key).ok_or_else(|| ApiError::not_found(&path))?;
    let ours = instance.doc["metadata"]["fingerprint"].as_str().unwrap_or_default();
    if !text(&body, "fingerprint").is_some_and(|theirs| same_fingerprint(ours, theirs)) {
        return Err(ApiError::fingerprint());
    }
    let new = metadata(Some(&Value::Object(body)))?;
    let doc = instance.doc.clone();
    let target = call.target(Scope::Zone(zone.to_owned()), "setMetadata", path, &doc);
    let worker = cloud.clone();
    Ok(begin(cloud, &mut store, target, move |fault| async move {
        if let Some(fault) = fault {
            return Err(fault);
        }
        if let Some(instance) = worker.google.store().instances.get_mut(&key) {
            instance.doc["metadata"] = new;
        }
        life::authorize(&worker, &key).await;
        Ok(())
    }))
}

/// `instances.setLabels`
pub(super) fn set_labels(cloud: &Arc<Cloud>, call: &Call<'_>, zone: &str, name: &str) -> ApiResult {
    let body = call.body()?;
    let mut store = cloud.google.store();
    let key = (call.project.to_owned(), zone.to_owned(), name.to_owned());
    let path = zonal_path("instances", &key);
    let instance = store.instances.get_mut(&key).ok_or_else(|| ApiError::not_found(&path))?;
    super::disks::apply_labels(&mut instance.doc, &body)?;
    let doc = instance.doc.clone();
    let target = call.target(Scope::Zone(zone.to_owned()), "setLabels", path, &doc);
    Ok(begin(cloud, &mut store, target, |fault| async move { fault.map_or(Ok(()), Err) }))
}

/// `instances.getSerialPortOutput`; ports other than the first are silent.
pub(super) fn serial(store: &Store, call: &Call<'_>, key: &Zonal) -> ApiResult {
    let path = zonal_path("instances", key);
    let instance = store.instances.get(key).ok_or_else(|| ApiError::not_found(&path))?;
    let first = call.request.param("port").is_none_or(|p| p == "1");
    let whole = if first { life::console(instance) } else { String::new() };
    let start = call.request.param("start").and_then(|s| s.parse::<usize>().ok()).unwrap_or(0).min(whole.len());
    // A client may name any byte.
    let contents = String::from_utf8_lossy(&whole.as_bytes()[start..]).into_owned();
    Ok(json!({
        "kind": "compute#serialPortOutput",
        "contents": contents,
        "start": start.to_string(),
        "next": whole.len().to_string(),
        "selfLink": link(format!("{path}/serialPort")),
    }))
}

/// Properties of a new disk that a client may send with an instance.
const PARAMS: [&str; 17] = [
    "diskName",
    "sourceImage",
    "diskSizeGb",
    "diskType",
    "sourceImageEncryptionKey",
    "labels",
    "description",
    "resourcePolicies",
    "onUpdateAction",
    "sourceSnapshot",
    "sourceSnapshotEncryptionKey",
    "provisionedIops",
    "provisionedThroughput",
    "replicaZones",
    "architecture",
    "licenses",
    "resourceManagerTags",
];

/// Properties of an instance that a client may send.
const FIELDS: [&str; 30] = [
    "name",
    "description",
    "machineType",
    "tags",
    "canIpForward",
    "networkInterfaces",
    "disks",
    "metadata",
    "serviceAccounts",
    "scheduling",
    "labels",
    "labelFingerprint",
    "minCpuPlatform",
    "guestAccelerators",
    "deletionProtection",
    "shieldedInstanceConfig",
    "shieldedInstanceIntegrityPolicy",
    "confidentialInstanceConfig",
    "advancedMachineFeatures",
    "reservationAffinity",
    "resourcePolicies",
    "displayDevice",
    "hostname",
    "networkPerformanceConfig",
    "privateIpv6GoogleAccess",
    "keyRevocationActionType",
    "sourceMachineImage",
    "params",
    "instanceEncryptionKey",
    "kind",
];
