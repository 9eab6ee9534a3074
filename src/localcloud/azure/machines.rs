//! Virtual machines.

use super::arm::{Call, Fail, Result, group_of, name_of};
use super::store::{Power, Resource, Store};
use super::{disks, images, network};
use crate::cloud::Cloud;
use crate::guest::{Account, BootSpec, Layer};
use crate::http::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::Arc;

/// The type.
pub const TYPE: &str = "Microsoft.Compute/virtualMachines";

/// Administrator names that the real one refuses (the ones a Linux image could ask for).
const FORBIDDEN_USERS: [&str; 9] =
    ["root", "admin", "administrator", "user", "guest", "test", "sys", "support", "backup"];

/// Longest name of a Linux machine.
const LONGEST_NAME: usize = 64;

/// Makes a machine; the id of the operation that boots it.
pub fn create(call: &Call, id: &str, mut body: Value) -> Result<String> {
    let mut store = call.store();
    if store.get(id).is_some() {
        return update(call, store, id, &body);
    }
    let plan = check(&store, id, &body)?;
    let location = body["location"].clone();
    let vm_id = uuid::Uuid::new_v4().to_string();
    fill(&mut body, &vm_id, &plan);
    for disk in &plan.disks {
        let mut resource = Resource::new(&disk.id, disks::DISK, disk.body(&location, id));
        if disk.os {
            resource.layers.clone_from(&plan.layers);
        }
        store.put(resource);
    }
    for interface in &plan.interfaces {
        network::attach(&mut store, interface, Some(id));
    }
    let mut resource = Resource::new(id, TYPE, body);
    resource.layers.clone_from(&plan.layers);
    store.put(resource);
    drop(store);
    let spec = BootSpec {
        name: format!("{}-{}", name_of(id), &vm_id[..8]),
        hostname: plan.computer,
        layers: plan.layers,
        user_data: plan.custom_data,
        accounts: plan.account.into_iter().collect(),
    };
    let (cloud, own) = (call.cloud.clone(), id.to_owned());
    let interfaces = plan.interfaces;
    Ok(call.begin(async move { boot(&cloud, &own, &vm_id, spec, &interfaces).await.map(|()| None) }))
}

/// A further PUT of a machine that exists: its tags.
fn update(call: &Call, mut store: std::sync::MutexGuard<'_, Store>, id: &str, body: &Value) -> Result<String> {
    if let Some(resource) = store.get_mut(id) {
        if let Some(tags) = body.get("tags") {
            resource.body["tags"] = tags.clone();
        }
        resource.set("provisioningState", "Updating");
    }
    drop(store);
    let (cloud, own) = (call.cloud.clone(), id.to_owned());
    Ok(call.begin(async move {
        if let Some(resource) = cloud.azure.store().get_mut(&own) {
            resource.set("provisioningState", "Succeeded");
        }
        Ok(None)
    }))
}

async fn boot(cloud: &Arc<Cloud>, id: &str, vm_id: &str, spec: BootSpec, interfaces: &[String]) -> Result<()> {
    let booted = cloud.machines.boot(spec).await;
    let unwanted = {
        let mut store = cloud.azure.store();
        let wanted = store.get(id).is_some_and(|r| r.text("vmId") == Some(vm_id) && r.state() != "Deleting");
        match (booted, store.get_mut(id)) {
            (Err(e), Some(resource)) if wanted => {
                resource.set("provisioningState", "Failed");
                let message = format!("OS Provisioning for VM '{}' failed: {e}", name_of(id));
                return Err(Fail::new(409, "OSProvisioningClientError", message));
            }
            (Err(e), _) => return Err(Fail::new(409, "OSProvisioningClientError", e.to_string())),
            (Ok(machine), Some(resource)) if wanted => {
                let address = machine.address;
                resource.machine = Some(machine);
                resource.power = Power::Running;
                resource.set("provisioningState", "Succeeded");
                for interface in interfaces {
                    network::show_address(&mut store, interface, address);
                }
                return Ok(());
            }
            (Ok(machine), _) => machine,
        }
    };
    // It was deleted while it booted.
    cloud.machines.destroy(&unwanted).await;
    let message = format!("Operation on VM '{}' was preempted by a more recent operation.", name_of(id));
    Err(Fail::new(409, "OperationPreempted", message))
}

/// A disk that a machine brings with it.
struct NewDisk {
    id: String,
    os: bool,
    size: i64,
    sku: String,
    create: &'static str,
    os_type: Option<String>,
    generation: Option<String>,
}

impl NewDisk {
    fn body(&self, location: &Value, machine: &str) -> Value {
        let mut body = json!({
            "location": location,
            "managedBy": machine,
            "sku": { "name": self.sku },
            "properties": {
                "creationData": { "createOption": self.create },
                "diskSizeGB": self.size, "diskState": "Attached", "provisioningState": "Succeeded",
                "timeCreated": chrono::Utc::now().to_rfc3339(), "uniqueId": uuid::Uuid::new_v4().to_string(),
            },
        });
        for (name, value) in [("osType", &self.os_type), ("hyperVGeneration", &self.generation)] {
            if let Some(value) = value {
                body["properties"][name] = json!(value);
            }
        }
        body
    }
}

/// What the check of a body found out.
struct Plan {
    layers: Vec<Layer>,
    exact_version: Option<String>,
    disks: Vec<NewDisk>,
    interfaces: Vec<String>,
    computer: String,
    account: Option<Account>,
    custom_data: Option<String>,
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|s| !s.is_empty())
}

fn check(store: &Store, id: &str, body: &Value) -> Result<Plan> {
    let name = name_of(id);
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.len() > LONGEST_NAME || !name.chars().all(valid) {
        let message = format!("The resource name {name} is invalid.");
        return Err(Fail::new(400, "InvalidResourceName", message));
    }
    let properties = &body["properties"];
    let size = text(properties, "/hardwareProfile/vmSize").unwrap_or_default();
    if !(size.starts_with("Standard_") || size.starts_with("Basic_")) {
        let message = format!("The value '{size}' provided for the VM size is not valid.");
        return Err(Fail::new(400, "InvalidParameter", message));
    }
    let Some(os_disk) = properties.pointer("/storageProfile/osDisk").filter(|d| d.is_object()) else {
        return Err(Fail::parameter("Required parameter 'storageProfile.osDisk' is missing (null)."));
    };
    if text(os_disk, "/createOption") != Some("FromImage") {
        return Err(Fail::not_implemented("a VM whose OS disk is not made from an image"));
    }
    let location = super::store::normal(body["location"].as_str().unwrap_or_default());
    let reference = properties.pointer("/storageProfile/imageReference").unwrap_or(&Value::Null);
    let source = images::resolve(store, reference, &location)?;
    let interfaces = interfaces(store, id, properties)?;
    let (computer, account, custom_data) = profile(name, properties, source.specialized)?;
    let disks = new_disks(store, id, os_disk, properties, &source)?;
    Ok(Plan {
        layers: source.layers,
        exact_version: source.exact_version,
        disks,
        interfaces,
        computer,
        account,
        custom_data,
    })
}

fn interfaces(store: &Store, id: &str, properties: &Value) -> Result<Vec<String>> {
    let all = properties.pointer("/networkProfile/networkInterfaces").and_then(Value::as_array);
    let ids: Vec<String> = all.into_iter().flatten().filter_map(|i| text(i, "/id").map(str::to_owned)).collect();
    if ids.is_empty() {
        return Err(Fail::parameter("Virtual Machine must have at least one network interface."));
    }
    for interface in &ids {
        let Some(found) = store.get(interface) else {
            let message = format!("Resource {interface} referenced by resource {id} was not found.");
            return Err(Fail::new(404, "NotFound", message));
        };
        if let Some(user) = network::reference(&found.body["properties"], "virtualMachine")
            && !user.eq_ignore_ascii_case(id)
        {
            let message = format!("Network Interface {interface} is used by existing resource {user}.");
            return Err(Fail::new(400, "NicInUse", message));
        }
    }
    Ok(ids)
}

type Profile = (String, Option<Account>, Option<String>);

/// Who may log in; checks that what asks for it is what the real one takes.
fn profile(name: &str, properties: &Value, specialized: bool) -> Result<Profile> {
    let profile = properties.get("osProfile").filter(|p| !p.is_null());
    if specialized {
        return match profile {
            None => Ok((name.to_owned(), None, None)),
            Some(_) => Err(Fail::parameter("Parameter 'osProfile' is not allowed.")),
        };
    }
    let profile = profile.ok_or_else(|| Fail::parameter("Required parameter 'osProfile' is missing (null)."))?;
    let user = text(profile, "/adminUsername")
        .ok_or_else(|| Fail::parameter("Required parameter 'adminUsername' is missing (null)."))?;
    if FORBIDDEN_USERS.contains(&user.to_lowercase().as_str()) {
        return Err(Fail::parameter("The Admin Username specified is not allowed."));
    }
    let linux = profile.get("linuxConfiguration").unwrap_or(&Value::Null);
    let locked = linux.get("disablePasswordAuthentication").and_then(Value::as_bool).unwrap_or(false);
    let keys = linux.pointer("/ssh/publicKeys").and_then(Value::as_array).cloned().unwrap_or_default();
    let password = text(profile, "/adminPassword").map(str::to_owned);
    if locked && keys.is_empty() {
        return Err(Fail::parameter(
            "Authentication using either SSH or by user name and password must be enabled in Linux profile.",
        ));
    }
    if !locked && password.is_none() {
        return Err(Fail::parameter("Required parameter 'adminPassword' is missing (null)."));
    }
    let mut authorized = Vec::new();
    for key in &keys {
        let place = format!("/home/{user}/.ssh/authorized_keys");
        if text(key, "/path") != Some(place.as_str()) {
            let message = format!(
                "Destination path for SSH public keys is currently limited to its default value {place} due to a known issue in Linux provisioning agent."
            );
            return Err(Fail::parameter(message));
        }
        let data = text(key, "/keyData").unwrap_or_default();
        if !(data.starts_with("ssh-rsa ") || data.starts_with("ssh-ed25519 ")) {
            return Err(Fail::parameter(
                "The value of parameter linuxConfiguration.ssh.publicKeys.keyData is invalid.",
            ));
        }
        authorized.push(data.to_owned());
    }
    let decode = |value: &str| STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let custom_data = match text(profile, "/customData") {
        None => None,
        Some(data) => Some(decode(data).ok_or_else(|| {
            Fail::parameter(
                "Custom data in OSProfile must be in Base64 encoding and with a maximum length of 87380 characters.",
            )
        })?),
    };
    let computer = text(profile, "/computerName").unwrap_or(name).to_owned();
    let account = Account { user: user.to_owned(), keys: authorized, password: password.filter(|_| !locked) };
    Ok((computer, Some(account), custom_data))
}

fn new_disks(
    store: &Store,
    id: &str,
    os_disk: &Value,
    properties: &Value,
    source: &images::Source,
) -> Result<Vec<NewDisk>> {
    let base = id.split("/providers/").next().unwrap_or_default();
    let random = uuid::Uuid::new_v4().simple().to_string();
    let mut disks = Vec::new();
    let data = properties.pointer("/storageProfile/dataDisks").and_then(Value::as_array);
    let mut luns = std::collections::BTreeSet::new();
    for (n, disk) in std::iter::once(os_disk).chain(data.into_iter().flatten()).enumerate() {
        let os = n == 0;
        if !os {
            let lun = disk.get("lun").and_then(Value::as_i64).unwrap_or(-1);
            if lun < 0 || !luns.insert(lun) {
                return Err(Fail::parameter(format!(
                    "The LUN {lun} of a data disk is missing, negative, or used twice."
                )));
            }
        }
        let default =
            if os { format!("{}_OsDisk_1_{random}", name_of(id)) } else { format!("{}_disk{n}_{random}", name_of(id)) };
        let name = text(disk, "/name").map_or(default, str::to_owned);
        let disk_id = format!("{base}/providers/Microsoft.Compute/disks/{name}");
        if store.get(&disk_id).is_some() {
            let message = format!(
                "Disk {name} already exists in resource group {}. Only CreateOption.Attach is supported.",
                group_of(id)
            );
            return Err(Fail::new(409, "ConflictingUserInput", message));
        }
        let size = disk.get("diskSizeGB").and_then(Value::as_i64);
        if os && size.is_some_and(|s| s < source.size_gb) {
            let message = format!(
                "The specified disk size {} GB is smaller than the size of the corresponding disk in the VM image: {} GB.",
                size.unwrap_or(0),
                source.size_gb
            );
            return Err(Fail::new(400, "ResizeDiskError", message));
        }
        let empty = text(disk, "/createOption") == Some("Empty");
        if empty && size.is_none() {
            return Err(Fail::parameter("Required parameter 'dataDisk.diskSizeGB' is missing (null)."));
        }
        disks.push(NewDisk {
            id: disk_id,
            os,
            size: size.unwrap_or(source.size_gb),
            sku: text(disk, "/managedDisk/storageAccountType").unwrap_or("Standard_LRS").to_owned(),
            create: if empty { "Empty" } else { "FromImage" },
            os_type: os.then(|| source.os_type.clone()),
            generation: os.then(|| source.generation.clone()),
        });
    }
    Ok(disks)
}

/// Writes what the cloud decides into the body, and takes out what it never shows.
fn fill(body: &mut Value, vm_id: &str, plan: &Plan) {
    let properties = &mut body["properties"];
    properties["vmId"] = json!(vm_id);
    properties["provisioningState"] = json!("Creating");
    properties["timeCreated"] = json!(chrono::Utc::now().to_rfc3339());
    if let Some(version) = &plan.exact_version {
        properties["storageProfile"]["imageReference"]["exactVersion"] = json!(version);
    }
    let mut disks = plan.disks.iter();
    if let Some(os) = disks.next() {
        let shown = &mut properties["storageProfile"]["osDisk"];
        shown["name"] = json!(name_of(&os.id));
        shown["diskSizeGB"] = json!(os.size);
        shown["osType"] = json!(os.os_type);
        shown["managedDisk"] = json!({ "storageAccountType": os.sku, "id": os.id });
    }
    for (n, disk) in disks.enumerate() {
        let shown = &mut properties["storageProfile"]["dataDisks"][n];
        shown["name"] = json!(name_of(&disk.id));
        shown["diskSizeGB"] = json!(disk.size);
        shown["managedDisk"] = json!({ "storageAccountType": disk.sku, "id": disk.id });
    }
    if let Some(profile) = properties["osProfile"].as_object_mut() {
        profile.remove("adminPassword");
        profile.remove("customData");
        profile.insert("secrets".to_owned(), json!([]));
        profile.insert("allowExtensionOperations".to_owned(), json!(true));
    }
}

/// What `instanceView` shows.
pub fn instance_view(resource: &Resource) -> Value {
    let provisioning = resource.state().to_lowercase();
    let mut statuses = vec![json!({
        "code": format!("ProvisioningState/{provisioning}"), "level": "Info",
        "displayStatus": format!("Provisioning {provisioning}"),
    })];
    if resource.generalized {
        statuses.push(json!({ "code": "OSState/generalized", "level": "Info", "displayStatus": "VM generalized" }));
    }
    let power = resource.power.code();
    let shown = power.rsplit('/').next().unwrap_or_default();
    statuses.push(json!({ "code": power, "level": "Info", "displayStatus": format!("VM {shown}") }));
    json!({ "statuses": statuses })
}

/// `GET …/instanceView`.
pub fn view(call: &Call, id: &str, what: &str) -> Result<Response> {
    if !what.eq_ignore_ascii_case("instanceView") {
        return Err(Fail::not_implemented(&format!("{what} of a virtual machine")));
    }
    Ok(Response::json(200, &instance_view(call.store().need(id)?)))
}

/// `POST …/powerOff` and the like.
pub fn act(call: &Call, id: &str, action: &str) -> Result<Response> {
    let (location, power, generalized, state) = {
        let store = call.store();
        let vm = store.need(id)?;
        (vm.location(), vm.power, vm.generalized, vm.state().to_owned())
    };
    if state == "Deleting" || state == "Creating" {
        let message = format!("The VM '{}' is in the state {state}; the operation is not allowed.", name_of(id));
        return Err(Fail::not_allowed(message));
    }
    let action = action.to_lowercase();
    let to = match action.as_str() {
        "generalize" => return generalize(call, id, power),
        "poweroff" => Power::Stopped,
        "deallocate" => Power::Deallocated,
        "start" | "restart" => Power::Running,
        _ => return Err(Fail::not_implemented(&format!("{action} of a virtual machine"))),
    };
    if generalized && to == Power::Running {
        let message = format!("Operation 'start' is not allowed on VM '{}' since the VM is generalized.", name_of(id));
        return Err(Fail::not_allowed(message));
    }
    let (cloud, own) = (call.cloud.clone(), id.to_owned());
    let restart = action == "restart";
    let operation = call.begin(async move { switch(&cloud, &own, to, restart).await.map(|()| None) });
    Ok(call.follow(Response::empty(202), TYPE, &location, &operation))
}

async fn switch(cloud: &Arc<Cloud>, id: &str, to: Power, restart: bool) -> Result<()> {
    let machine = cloud.azure.store().need(id)?.machine.clone();
    let guest = machine.and_then(|m| m.guest);
    if let Some(guest) = &guest {
        let wrong = |e: crate::guest::GuestError| Fail::new(409, "VMAgentStatusCommunicationError", e.to_string());
        if to != Power::Running || restart {
            guest.stop().await.map_err(wrong)?;
        }
        if to == Power::Running {
            guest.start().await.map_err(wrong)?;
        }
    }
    if let Some(vm) = cloud.azure.store().get_mut(id) {
        vm.power = to;
    }
    Ok(())
}

fn generalize(call: &Call, id: &str, power: Power) -> Result<Response> {
    if !matches!(power, Power::Stopped | Power::Deallocated) {
        let message =
            format!("Please power off the virtual machine '{}' before setting it to generalized.", name_of(id));
        return Err(Fail::not_allowed(message));
    }
    if let Some(vm) = call.store().get_mut(id) {
        vm.generalized = true;
    }
    Ok(Response::empty(200))
}

/// The layers that a machine's disk holds now; the machine has to be stopped.
///
/// # Errors
/// Where the guest's changes cannot be read.
pub async fn capture(cloud: &Arc<Cloud>, id: &str) -> Result<Vec<Layer>> {
    let (mut layers, machine) = {
        let store = cloud.azure.store();
        let vm = store.need(id)?;
        (vm.layers.clone(), vm.machine.clone())
    };
    if let Some(guest) = machine.and_then(|m| m.guest) {
        let layer = guest.capture().await;
        layers.push(layer.map_err(|e| Fail::new(409, "ImageCaptureFailed", e.to_string()))?);
    }
    Ok(layers)
}

/// After a machine is gone: its interfaces and disks are free, those with `deleteOption: Delete` gone too.
pub async fn released(cloud: &Arc<Cloud>, vm: &Resource) {
    let mut also = Vec::new();
    let deleted = |v: &Value, at: &str| text(v, at).is_some_and(|o| o.eq_ignore_ascii_case("Delete"));
    {
        let mut store = cloud.azure.store();
        let interfaces = vm.property("networkProfile/networkInterfaces").and_then(Value::as_array);
        for interface in interfaces.into_iter().flatten() {
            let id = text(interface, "/id").unwrap_or_default();
            network::attach(&mut store, id, None);
            if deleted(interface, "/properties/deleteOption") {
                also.push(id.to_owned());
            }
        }
        let data = vm.property("storageProfile/dataDisks").and_then(Value::as_array);
        for disk in vm.property("storageProfile/osDisk").into_iter().chain(data.into_iter().flatten()) {
            let id = text(disk, "/managedDisk/id").unwrap_or_default();
            if let Some(resource) = store.get_mut(id) {
                if let Some(body) = resource.body.as_object_mut() {
                    body.remove("managedBy");
                }
                resource.set("diskState", "Unattached");
            }
            if deleted(disk, "/deleteOption") {
                also.push(id.to_owned());
            }
        }
    }
    for id in also {
        Box::pin(super::vanish(cloud, &id)).await;
    }
}
