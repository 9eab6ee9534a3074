//! Galleries, image definitions, and versions with their replication.

use super::arm::{Call, Fail, Result, name_of};
use super::images::{self, Source};
use super::store::{Power, Resource, Store, normal};
use super::{groups, machines};
use serde_json::{Value, json};

/// Type of galleries.
pub const GALLERY: &str = "Microsoft.Compute/galleries";
/// Type of image definitions.
pub const DEFINITION: &str = "Microsoft.Compute/galleries/images";
/// Type of image versions.
pub const VERSION: &str = "Microsoft.Compute/galleries/images/versions";

/// Makes one of the three; the id of its operation.
pub fn create(call: &Call, ty: &'static str, id: &str, body: Value) -> Result<String> {
    match ty {
        VERSION => version(call, id, body),
        DEFINITION => definition(call, id, body),
        _ => {
            let valid = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
            let name = name_of(id);
            if name.len() > 80 || !name.chars().all(valid) {
                let message = format!("The gallery name '{name}' may hold letters, digits, dots and underscores only.");
                return Err(Fail::parameter(message));
            }
            simple(call, id, ty, body)
        }
    }
}

fn simple(call: &Call, id: &str, ty: &'static str, mut body: Value) -> Result<String> {
    body["properties"]["provisioningState"] = json!("Creating");
    call.store().put(Resource::new(id, ty, body));
    let (cloud, own) = (call.cloud.clone(), id.to_owned());
    Ok(call.begin(async move {
        if let Some(resource) = cloud.azure.store().get_mut(&own) {
            resource.set("provisioningState", "Succeeded");
        }
        Ok(None)
    }))
}

fn parent(id: &str) -> &str {
    id.rsplitn(3, '/').last().unwrap_or_default()
}

fn definition(call: &Call, id: &str, mut body: Value) -> Result<String> {
    call.store().need(parent(id))?;
    let properties = &mut body["properties"];
    for name in ["osType", "osState", "identifier"] {
        if properties.get(name).is_none_or(Value::is_null) {
            return Err(Fail::parameter(format!(
                "Required parameter 'galleryImage.properties.{name}' is missing (null)."
            )));
        }
    }
    if properties.get("hyperVGeneration").is_none_or(Value::is_null) {
        properties["hyperVGeneration"] = json!("V1");
    }
    simple(call, id, DEFINITION, body)
}

/// What a version is made of.
enum From {
    Machine(String),
    Resource(String),
}

fn version(call: &Call, id: &str, mut body: Value) -> Result<String> {
    let mut store = call.store();
    let definition = store.need(parent(id))?.clone();
    check_version_name(name_of(id))?;
    let location = normal(body["location"].as_str().unwrap_or_default());
    let regions = regions(&mut body, &location)?;
    let known = store.get(id).cloned();
    let from = if known.is_some() { None } else { Some(version_source(&store, &body, &definition)?) };
    let properties = &mut body["properties"];
    properties["provisioningState"] = json!(if known.is_some() { "Updating" } else { "Creating" });
    properties["publishingProfile"]["publishedDate"] = json!(chrono::Utc::now().to_rfc3339());
    properties["storageProfile"]["osDiskImage"] = json!({ "sizeInGB": 30, "hostCaching": "ReadWrite" });
    let mut resource = Resource::new(id, VERSION, body);
    resource.layers = known.map(|k| k.layers).unwrap_or_default();
    store.put(resource);
    drop(store);
    let (cloud, own) = (call.cloud.clone(), id.to_owned());
    Ok(call.begin(async move {
        let layers = match from {
            None => None,
            Some(From::Machine(vm)) => Some(machines::capture(&cloud, &vm).await),
            Some(From::Resource(id)) => Some(cloud.azure.store().need(&id).map(|r| r.layers.clone())),
        };
        {
            let mut store = cloud.azure.store();
            let Some(resource) = store.get_mut(&own) else { return Ok(None) };
            match layers {
                Some(Err(e)) => {
                    resource.set("provisioningState", "Failed");
                    return Err(e);
                }
                Some(Ok(layers)) => resource.layers = layers,
                None => {}
            }
        }
        // One region after the other.
        for _ in 0..regions {
            tokio::time::sleep(cloud.step()).await;
            if let Some(resource) = cloud.azure.store().get_mut(&own) {
                resource.replicated += 1;
            }
        }
        if let Some(resource) = cloud.azure.store().get_mut(&own)
            && resource.state() != "Deleting"
        {
            resource.set("provisioningState", "Succeeded");
        }
        Ok(None)
    }))
}

fn check_version_name(name: &str) -> Result<()> {
    let parts: Vec<&str> = name.split('.').collect();
    if parts.len() == 3 && parts.iter().all(|p| p.parse::<i32>().is_ok_and(|n| n >= 0)) {
        return Ok(());
    }
    let message = format!(
        "The gallery image version name '{name}' is invalid: it must follow Major(int32).Minor(int32).Patch(int32)."
    );
    Err(Fail::parameter(message))
}

/// Checks the target regions, fills in those that are left out; how many there are.
fn regions(body: &mut Value, location: &str) -> Result<usize> {
    let profile = &mut body["properties"]["publishingProfile"];
    if profile.is_null() {
        *profile = json!({});
    }
    if let Some(date) = profile.get("endOfLifeDate").and_then(Value::as_str)
        && !date.is_empty()
        && chrono::DateTime::parse_from_rfc3339(date).is_err()
    {
        return Err(Fail::parameter(format!("The value '{date}' of parameter 'endOfLifeDate' is not a date.")));
    }
    if profile.get("targetRegions").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        profile["targetRegions"] = json!([{ "name": location }]);
    }
    let default = profile.get("replicaCount").and_then(Value::as_i64).unwrap_or(1);
    let account = profile.get("storageAccountType").cloned().unwrap_or(json!("Standard_LRS"));
    let mut names = Vec::new();
    for region in profile["targetRegions"].as_array_mut().into_iter().flatten() {
        let name = normal(region.get("name").and_then(Value::as_str).unwrap_or_default());
        if !groups::is_location(&name) {
            let message = format!("The target region '{name}' is not available for this subscription.");
            return Err(Fail::new(400, "InvalidParameter", message));
        }
        if names.contains(&name) {
            return Err(Fail::parameter(format!("The target region '{name}' is given twice.")));
        }
        names.push(name);
        let replicas = region.get("regionalReplicaCount").and_then(Value::as_i64).unwrap_or(default);
        if !(1..=100).contains(&replicas) {
            return Err(Fail::parameter(format!("The replica count {replicas} is not between 1 and 100.")));
        }
        region["regionalReplicaCount"] = json!(replicas);
        if region.get("storageAccountType").is_none() {
            region["storageAccountType"] = account.clone();
        }
    }
    if !names.iter().any(|n| n == location) {
        let message = format!(
            "The publishing profile's target regions must contain the location '{location}' of the image version."
        );
        return Err(Fail::parameter(message));
    }
    Ok(names.len())
}

fn version_source(store: &Store, body: &Value, definition: &Resource) -> Result<From> {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).filter(|s| !s.is_empty());
    let source = text("/properties/storageProfile/source/virtualMachineId")
        .or(text("/properties/storageProfile/source/id"))
        .or(text("/properties/storageProfile/osDiskImage/source/id"));
    let Some(source) = source else {
        return Err(Fail::parameter(
            "Required parameter 'galleryImageVersion.properties.storageProfile' is missing (null).",
        ));
    };
    let found = store.need(source)?;
    let wanted = definition.text("hyperVGeneration").unwrap_or("V1");
    let specialized = definition.text("osState") == Some("Specialized");
    let generation = match found.ty {
        machines::TYPE => {
            if !matches!(found.power, Power::Stopped | Power::Deallocated) || found.generalized == specialized {
                let needed = if specialized { "specialized and stopped" } else { "generalized" };
                let message = format!("The source virtual machine '{}' has to be {needed}.", name_of(source));
                return Err(Fail::not_allowed(message));
            }
            images::generation(store, found)
        }
        _ => found.text("hyperVGeneration").unwrap_or(wanted).to_owned(),
    };
    if generation != wanted {
        let message = format!(
            "The resource with id '{source}' has a different Hypervisor generation ['{generation}'] than the parent gallery image Hypervisor generation ['{wanted}']."
        );
        return Err(Fail::new(400, "InvalidParameter", message));
    }
    let id = source.to_owned();
    Ok(if found.ty == machines::TYPE { From::Machine(id) } else { From::Resource(id) })
}

/// What `$expand=ReplicationStatus` shows.
pub fn replication(resource: &Resource) -> Value {
    let regions = resource.property("publishingProfile/targetRegions").and_then(Value::as_array);
    let summary: Vec<Value> = regions
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(n, region)| {
            let (state, progress) = match n.cmp(&resource.replicated) {
                std::cmp::Ordering::Less => ("Completed", 100),
                std::cmp::Ordering::Equal => ("Replicating", 50),
                std::cmp::Ordering::Greater => ("Unknown", 0),
            };
            json!({ "region": region["name"], "state": state, "progress": progress, "details": "" })
        })
        .collect();
    let done = resource.state() == "Succeeded";
    json!({ "aggregatedState": if done { "Completed" } else { "InProgress" }, "summary": summary })
}

/// Whether one of the three may be deleted: what holds others may not.
///
/// # Errors
/// `CannotDeleteResource`.
pub fn free(store: &Store, resource: &Resource) -> Result<()> {
    match store.below(&resource.id).next() {
        None => Ok(()),
        Some(inside) => {
            let message = format!(
                "Cannot delete resource while nested resources exist. Some existing nested resource IDs include: '{}'. Please delete all nested resources before deleting this resource.",
                inside.id
            );
            Err(Fail::new(409, "CannotDeleteResource", message))
        }
    }
}

/// The source that an id of a version, or of a definition (its latest version), names.
///
/// # Errors
/// `GalleryImageNotFound`.
pub fn source(store: &Store, id: &str, location: &str) -> Result<Source> {
    let missing = || {
        let message = format!("The gallery image {id} is not available in {location} region.");
        Fail::new(404, "GalleryImageNotFound", message)
    };
    let here = |r: &&Resource| {
        let regions = r.property("publishingProfile/targetRegions").and_then(Value::as_array);
        r.state() == "Succeeded"
            && regions.into_iter().flatten().any(|t| normal(t["name"].as_str().unwrap_or_default()) == location)
    };
    let named = store.get(id).ok_or_else(missing)?;
    let number = |r: &Resource| name_of(&r.id).split('.').filter_map(|p| p.parse().ok()).collect::<Vec<i64>>();
    let version = match named.ty {
        VERSION => Some(named).filter(here),
        DEFINITION => store
            .below(id)
            .filter(here)
            .filter(|r| r.property("publishingProfile/excludeFromLatest") != Some(&json!(true)))
            .max_by_key(|r| number(r)),
        _ => None,
    };
    let version = version.ok_or_else(missing)?;
    let definition = store.need(parent(&version.id))?;
    Ok(Source {
        layers: version.layers.clone(),
        specialized: definition.text("osState") == Some("Specialized"),
        size_gb: version.property("storageProfile/osDiskImage/sizeInGB").and_then(Value::as_i64).unwrap_or(30),
        os_type: definition.text("osType").unwrap_or("Linux").to_owned(),
        generation: definition.text("hyperVGeneration").unwrap_or("V1").to_owned(),
        exact_version: Some(name_of(&version.id).to_owned()),
    })
}
