//! Disks and snapshots.

use super::arm::{Call, Fail, Result, name_of};
use super::machines;
use super::store::{Power, Resource};
use crate::http::Response;
use serde_json::{Value, json};

/// Type of disks.
pub const DISK: &str = "Microsoft.Compute/disks";
/// Type of snapshots.
pub const SNAPSHOT: &str = "Microsoft.Compute/snapshots";

/// Makes a disk or a snapshot; the id of its operation.
pub fn create(call: &Call, id: &str, mut body: Value, ty: &'static str) -> Result<String> {
    let mut store = call.store();
    let option = body.pointer("/properties/creationData/createOption").and_then(Value::as_str).unwrap_or_default();
    let from = body.pointer("/properties/creationData/sourceResourceId").and_then(Value::as_str).map(str::to_owned);
    let mut size = body.pointer("/properties/diskSizeGB").and_then(Value::as_i64);
    let (mut layers, mut machine) = (Vec::new(), None);
    match (option, &from) {
        ("Empty", _) if size.is_none() => {
            return Err(Fail::parameter("Required parameter 'disk.properties.diskSizeGB' is missing (null)."));
        }
        ("Empty", _) => {}
        ("Copy", Some(from)) => {
            let source = store.need(from)?;
            if source.ty != DISK && source.ty != SNAPSHOT {
                let message = format!("The source resource {from} is not a disk or a snapshot.");
                return Err(Fail::parameter(message));
            }
            layers.clone_from(&source.layers);
            size = size.or(source.property("diskSizeGB").and_then(Value::as_i64));
            machine = source.body.get("managedBy").and_then(Value::as_str).map(str::to_owned);
        }
        ("Copy", None) => {
            return Err(Fail::parameter("Required parameter 'creationData.sourceResourceId' is missing (null)."));
        }
        ("", _) => return Err(Fail::parameter("Required parameter 'creationData.createOption' is missing (null).")),
        (other, _) => return Err(Fail::not_implemented(&format!("disks with createOption {other}"))),
    }
    // Only a machine that stands still has a disk that can be read as a whole.
    let machine =
        machine.filter(|vm| store.get(vm).is_some_and(|vm| matches!(vm.power, Power::Stopped | Power::Deallocated)));
    let properties = &mut body["properties"];
    properties["provisioningState"] = json!("Updating");
    properties["diskState"] = json!("Unattached");
    properties["diskSizeGB"] = json!(size.unwrap_or(0));
    properties["timeCreated"] = json!(chrono::Utc::now().to_rfc3339());
    properties["uniqueId"] = json!(uuid::Uuid::new_v4().to_string());
    let mut resource = Resource::new(id, ty, body);
    resource.layers = layers;
    store.put(resource);
    drop(store);
    let (cloud, own) = (call.cloud.clone(), id.to_owned());
    Ok(call.begin(async move {
        let layers = match machine {
            Some(machine) => Some(machines::capture(&cloud, &machine).await?),
            None => None,
        };
        if let Some(resource) = cloud.azure.store().get_mut(&own) {
            if let Some(layers) = layers {
                resource.layers = layers;
            }
            resource.set("provisioningState", "Succeeded");
        }
        Ok(None)
    }))
}

/// Whether a disk may be deleted.
///
/// # Errors
/// `OperationNotAllowed` for one that a machine uses.
pub fn free(resource: &Resource) -> Result<()> {
    match resource.body.get("managedBy").and_then(Value::as_str) {
        Some(vm) => {
            let message = format!("Disk {} is attached to VM {vm}.", name_of(&resource.id));
            Err(Fail::not_allowed(message))
        }
        None => Ok(()),
    }
}

/// `beginGetAccess` and the like: a disk's content leaves by a storage account, which the local cloud has not.
pub fn act(call: &Call, id: &str, action: &str) -> Result<Response> {
    call.store().need(id)?;
    Err(Fail::not_implemented(&format!("{action} of a disk")))
}
