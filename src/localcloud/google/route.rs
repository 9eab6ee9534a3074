//! The way from a path to a call.

use super::auth::Caller;
use super::error::{ApiError, ApiResult};
use super::fixtures::{self, REGIONS};
use super::list::page;
use super::names::{fingerprint, link, metadata, same_fingerprint, text};
use super::operations::{self, Target, begin};
use super::store::{Project, Scope, Store, Zonal};
use super::{disks, images, instances};
use crate::cloud::Cloud;
use crate::http::Request;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// One call of the Compute Engine API.
pub(super) struct Call<'a> {
    pub request: &'a Request,
    pub project: &'a str,
    pub caller: &'a Caller,
}

impl<'a> Call<'a> {
    /// The body, which must be an object; none counts as an empty one.
    pub fn body(&self) -> ApiResult<Map<String, Value>> {
        match self.request.json() {
            Ok(Value::Object(body)) => Ok(body),
            Ok(Value::Null) => Ok(Map::new()),
            Ok(_) => Err(ApiError::new(400, "parseError", "Parse Error: the body is no JSON object")),
            Err(e) => Err(ApiError::new(400, "parseError", format!("Parse Error: {e}"))),
        }
    }
    pub fn request_id(&self) -> Option<&'a str> {
        self.request.param("requestId")
    }
    pub fn target(&self, scope: Scope, kind: &'a str, resource: String, doc: &Value) -> Target<'a> {
        Target {
            project: self.project,
            scope,
            kind,
            resource,
            id: doc["id"].as_str().unwrap_or("0").to_owned(),
            request_id: self.request_id(),
            user: &self.caller.email,
        }
    }
}

/// Answers a call; `path` is what follows `/compute/v1/projects/PROJECT`.
pub(super) async fn call(cloud: &Arc<Cloud>, call: &Call<'_>, path: &[&str]) -> ApiResult {
    let method = call.request.method.as_str();
    check_access(&cloud.google.store(), call, method, path)?;
    match (method, path) {
        ("POST", ["zones", z, "operations", op, "wait"]) => {
            operations::wait(cloud, call.project, Scope::Zone((*z).to_owned()), op).await
        }
        ("POST", ["global", "operations", op, "wait"]) => {
            operations::wait(cloud, call.project, Scope::Global, op).await
        }
        ("GET", _) => read(cloud, call, path),
        _ => write(cloud, call, method, path),
    }
}

fn check_access(store: &Store, call: &Call<'_>, method: &str, path: &[&str]) -> ApiResult<()> {
    let name = format!("projects/{}", call.project);
    let project = store.projects.get(call.project).ok_or_else(|| ApiError::not_found(&name))?;
    let image = matches!(path, ["global", "images", ..]);
    let readable = image && method == "GET";
    if !(project.own || readable) {
        return Err(ApiError::forbidden("compute.projects.get", name));
    }
    if let ["zones", zone, ..] = path
        && fixtures::zone_doc(call.project, zone).is_none()
    {
        return Err(ApiError::not_found(format!("{name}/zones/{zone}")));
    }
    if let ["regions", region, ..] = path
        && !REGIONS.contains(region)
    {
        return Err(ApiError::not_found(format!("{name}/regions/{region}")));
    }
    Ok(())
}

fn read(cloud: &Arc<Cloud>, call: &Call<'_>, path: &[&str]) -> ApiResult {
    let store = cloud.google.store();
    let store = &*store;
    let id = call.project;
    let missing = || ApiError::not_found(format!("projects/{id}/{}", path.join("/")));
    let found = |doc: Option<Value>| doc.ok_or_else(missing);
    let here = format!("projects/{id}/{}", path.join("/"));
    let list = |kind: &str, items: Vec<Value>| page(call.request, &format!("compute#{kind}"), &here, items.into_iter());
    let key = |zone: &str, name: &str| -> Zonal { (id.to_owned(), zone.to_owned(), name.to_owned()) };
    match path {
        [] => found(store.projects.get(id).map(|p| project_doc(id, p))),
        ["zones"] => list("zoneList", fixtures::zones().filter_map(|z| fixtures::zone_doc(id, &z)).collect()),
        ["zones", z] => found(fixtures::zone_doc(id, z)),
        ["regions"] => list("regionList", REGIONS.iter().filter_map(|r| fixtures::region_doc(id, r)).collect()),
        ["regions", r] => found(fixtures::region_doc(id, r)),
        ["zones", z, "machineTypes"] => list(
            "machineTypeList",
            fixtures::machine_types().filter_map(|m| fixtures::machine_type_doc(id, z, m)).collect(),
        ),
        ["zones", z, "machineTypes", m] => found(fixtures::machine_type_doc(id, z, m)),
        ["zones", z, "diskTypes"] => {
            list("diskTypeList", fixtures::disk_types().filter_map(|d| fixtures::disk_type_doc(id, z, d)).collect())
        }
        ["zones", z, "diskTypes", d] => found(fixtures::disk_type_doc(id, z, d)),
        ["global", "networks"] => list("networkList", networks(store, id)),
        ["global", "networks", n] => found(networks(store, id).into_iter().find(|d| d["name"] == *n)),
        ["regions", r, "subnetworks"] => list("subnetworkList", subnetworks(store, id, r)),
        ["regions", r, "subnetworks", s] => found(subnetworks(store, id, r).into_iter().find(|d| d["name"] == *s)),
        ["zones", z, "instances"] => {
            let mine = store.instances.iter().filter(|((p, zone, _), _)| p == id && zone == z);
            list("instanceList", mine.map(|(_, i)| i.doc.clone()).collect())
        }
        ["zones", z, "instances", i] => instances::get(store, &key(z, i)),
        ["zones", z, "instances", i, "serialPort"] => instances::serial(store, call, &key(z, i)),
        ["zones", z, "disks"] => {
            let mine = store.disks.keys().filter(|(p, zone, _)| p == id && zone == z);
            list("diskList", mine.filter_map(|k| disks::get(store, k).ok()).collect())
        }
        ["aggregated", kind @ ("instances" | "disks")] => {
            let instances = store.instances.iter().filter(|((p, ..), _)| p == id && *kind == "instances");
            let disks = store.disks.keys().filter(|(p, ..)| p == id && *kind == "disks");
            let mut all: Vec<Value> = instances.map(|(_, i)| i.doc.clone()).collect();
            all.extend(disks.filter_map(|k| disks::get(store, k).ok()));
            let list = page(
                call.request,
                &format!("compute#{}AggregatedList", &kind[..kind.len() - 1]),
                &here,
                all.into_iter(),
            );
            list.map(|list| by_scope(list, kind))
        }
        ["zones", z, "disks", d] => disks::get(store, &key(z, d)),
        ["global", "images"] => {
            let mine = store.images.iter().filter(|((p, _), _)| p == id);
            list("imageList", mine.map(|(_, i)| i.doc.clone()).collect())
        }
        ["global", "images", "family", f] => images::from_family(store, id, f),
        ["global", "images", i] => images::get(store, &(id.to_owned(), (*i).to_owned())),
        [.., "operations"] => {
            let scope = scope(path).ok_or_else(missing)?;
            let mine = store.operations.iter().filter(|((p, s, _), _)| p == id && *s == scope);
            list("operationList", mine.map(|(_, o)| o.clone()).collect())
        }
        [.., "operations", op] => operations::get(store, id, scope(path).ok_or_else(missing)?, op),
        _ => Err(ApiError::not_implemented(format!("GET {here}"))),
    }
}

/// A list of several zones as aggregated lists show it: by zone, one object each.
fn by_scope(mut list: Value, kind: &str) -> Value {
    let mut scopes = Map::new();
    for item in list["items"].as_array().cloned().unwrap_or_default() {
        let zone = item["zone"].as_str().and_then(|z| z.rsplit('/').next()).unwrap_or_default();
        let scope = scopes.entry(format!("zones/{zone}")).or_insert_with(|| json!({ kind: [] }));
        if let Some(items) = scope[kind].as_array_mut() {
            items.push(item.clone());
        }
    }
    list["items"] = Value::Object(scopes);
    list
}

fn scope(path: &[&str]) -> Option<Scope> {
    match path {
        ["global", ..] => Some(Scope::Global),
        ["regions", r, ..] => Some(Scope::Region((*r).to_owned())),
        ["zones", z, ..] => Some(Scope::Zone((*z).to_owned())),
        _ => None,
    }
}

fn write(cloud: &Arc<Cloud>, call: &Call<'_>, method: &str, path: &[&str]) -> ApiResult {
    match (method, path) {
        ("POST", ["zones", z, "instances"]) => instances::insert(cloud, call, z),
        ("DELETE", ["zones", z, "instances", i]) => instances::act(cloud, call, z, i, "delete"),
        ("POST", ["zones", z, "instances", i, "stop"]) => instances::act(cloud, call, z, i, "stop"),
        ("POST", ["zones", z, "instances", i, "start"]) => instances::act(cloud, call, z, i, "start"),
        ("POST", ["zones", z, "instances", i, "reset"]) => instances::act(cloud, call, z, i, "reset"),
        ("POST", ["zones", z, "instances", i, "setMetadata"]) => instances::set_metadata(cloud, call, z, i),
        ("POST", ["zones", z, "instances", i, "setLabels"]) => instances::set_labels(cloud, call, z, i),
        ("POST", ["zones", z, "disks"]) => disks::insert(cloud, call, z),
        ("DELETE", ["zones", z, "disks", d]) => disks::delete(cloud, call, z, d),
        ("POST", ["zones", z, "disks", d, "setLabels"]) => disks::set_labels(cloud, call, z, d),
        ("POST", ["global", "images"]) => images::insert(cloud, call),
        ("DELETE", ["global", "images", i]) => images::delete(cloud, call, i),
        ("PATCH", ["global", "images", i]) => images::patch(cloud, call, i),
        ("POST", ["global", "images", i, "deprecate"]) => images::deprecate(cloud, call, i),
        ("POST", ["global", "images", i, "setLabels"]) => images::set_labels(cloud, call, i),
        ("POST", ["setCommonInstanceMetadata"]) => set_common_metadata(cloud, call),
        _ => Err(ApiError::not_implemented(format!("{method} projects/{}/{}", call.project, path.join("/")))),
    }
}

fn project_doc(id: &str, project: &Project) -> Value {
    json!({
        "kind": "compute#project",
        "id": project.number,
        "creationTimestamp": "2026-01-05T08:00:00.000-08:00",
        "name": id,
        "commonInstanceMetadata": project.metadata,
        "selfLink": link(format!("projects/{id}")),
        "defaultServiceAccount": project.default_account(),
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
        "defaultNetworkTier": "PREMIUM",
    })
}

fn networks(store: &Store, id: &str) -> Vec<Value> {
    let Some(project) = store.projects.get(id) else { return Vec::new() };
    let networks = project.networks.iter().map(|name| {
        let subnetworks: Vec<_> = project
            .subnetworks
            .iter()
            .filter(|(_, s)| s == name)
            .map(|(r, s)| link(format!("projects/{id}/regions/{r}/subnetworks/{s}")))
            .collect();
        json!({
            "kind": "compute#network",
            "id": fixtures::stable_id(name),
            "creationTimestamp": "2026-01-05T08:00:00.000-08:00",
            "name": name,
            "description": "",
            "selfLink": link(format!("projects/{id}/global/networks/{name}")),
            "autoCreateSubnetworks": true,
            "subnetworks": subnetworks,
            "routingConfig": { "routingMode": "REGIONAL" },
        })
    });
    networks.collect()
}

fn subnetworks(store: &Store, id: &str, region: &str) -> Vec<Value> {
    let Some(project) = store.projects.get(id) else { return Vec::new() };
    let of_region = project.subnetworks.iter().filter(|(r, _)| r == region);
    let docs = of_region.map(|(_, name)| {
        json!({
            "kind": "compute#subnetwork",
            "id": fixtures::stable_id(&format!("{region}/{name}")),
            "creationTimestamp": "2026-01-05T08:00:00.000-08:00",
            "name": name,
            "network": link(format!("projects/{id}/global/networks/default")),
            "ipCidrRange": "10.128.0.0/20",
            "gatewayAddress": "10.128.0.1",
            "region": link(format!("projects/{id}/regions/{region}")),
            "selfLink": link(format!("projects/{id}/regions/{region}/subnetworks/{name}")),
            "privateIpGoogleAccess": false,
            "fingerprint": fingerprint(&json!(name)),
            "purpose": "PRIVATE",
            "stackType": "IPV4_ONLY",
        })
    });
    docs.collect()
}

fn set_common_metadata(cloud: &Arc<Cloud>, call: &Call<'_>) -> ApiResult {
    let body = call.body()?;
    let mut store = cloud.google.store();
    let path = format!("projects/{}", call.project);
    let project = store.projects.get_mut(call.project).ok_or_else(|| ApiError::not_found(&path))?;
    let ours = project.metadata["fingerprint"].as_str().unwrap_or_default();
    if !text(&body, "fingerprint").is_some_and(|theirs| same_fingerprint(ours, theirs)) {
        return Err(ApiError::fingerprint());
    }
    project.metadata = metadata(Some(&Value::Object(body)))?;
    let doc = json!({ "id": project.number });
    let target = call.target(Scope::Global, "compute.projects.setCommonInstanceMetadata", path, &doc);
    let keys: Vec<Zonal> = store.instances.keys().filter(|k| k.0 == call.project).cloned().collect();
    let worker = cloud.clone();
    Ok(begin(cloud, &mut store, target, move |fault| async move {
        for key in keys {
            super::life::authorize(&worker, &key).await;
        }
        fault.map_or(Ok(()), Err)
    }))
}
