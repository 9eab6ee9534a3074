//! Managed images, and the images of the marketplace.

use super::arm::{Call, Fail, Result, name_of};
use super::store::{Resource, Store};
use super::{disks, galleries, groups, machines};
use crate::guest::Layer;
use crate::http::Response;
use serde_json::{Value, json};

/// The type of managed images.
pub const TYPE: &str = "Microsoft.Compute/images";

/// Size of the marketplace's images, in GB.
const PLATFORM_SIZE_GB: i64 = 30;

/// One line of the marketplace: publisher, offer, SKU, generation.
const PLATFORM: [[&str; 4]; 10] = [
    ["Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts", "V1"],
    ["Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2", "V2"],
    ["Canonical", "0001-com-ubuntu-server-focal", "20_04-lts", "V1"],
    ["Canonical", "0001-com-ubuntu-server-focal", "20_04-lts-gen2", "V2"],
    ["Canonical", "ubuntu-24_04-lts", "server", "V2"],
    ["Canonical", "ubuntu-24_04-lts", "server-gen1", "V1"],
    ["Debian", "debian-12", "12", "V1"],
    ["Debian", "debian-12", "12-gen2", "V2"],
    ["Debian", "debian-11", "11-gen2", "V2"],
    ["RedHat", "RHEL", "9-lvm-gen2", "V2"],
];

/// The versions of each of them, oldest first.
const PLATFORM_VERSIONS: [&str; 2] = ["22.04.202410020", "22.04.202501150"];

/// What a machine is made from.
pub struct Source {
    /// What lies above the root file system of guests.
    pub layers: Vec<Layer>,
    /// Whether it keeps its users: then a machine may not bring an `osProfile`.
    pub specialized: bool,
    /// Size of its disk.
    pub size_gb: i64,
    /// `Linux` or `Windows`.
    pub os_type: String,
    /// `V1` or `V2`.
    pub generation: String,
    /// What `latest` stands for.
    pub exact_version: Option<String>,
}

/// The source that an `imageReference` names.
///
/// # Errors
/// `PlatformImageNotFound`, `GalleryImageNotFound`, …
pub fn resolve(store: &Store, reference: &Value, location: &str) -> Result<Source> {
    let text = |name: &str| reference.get(name).and_then(Value::as_str).unwrap_or_default();
    if !text("communityGalleryImageId").is_empty() || !text("sharedGalleryImageId").is_empty() {
        return Err(Fail::not_implemented("galleries of other subscriptions"));
    }
    let id = text("id");
    if id.to_lowercase().contains("/galleries/") {
        return galleries::source(store, id, location);
    }
    if !id.is_empty() {
        let image = store.get(id).filter(|r| r.ty == TYPE).ok_or_else(|| {
            Fail::new(404, "ImageNotFound", format!("The Image '{id}' cannot be found in '{location}' region."))
        })?;
        if image.location() != location {
            let message = format!("The Image '{id}' cannot be found in '{location}' region.");
            return Err(Fail::new(404, "ImageNotFound", message));
        }
        return Ok(Source {
            layers: image.layers.clone(),
            specialized: image.text("storageProfile/osDisk/osState") == Some("Specialized"),
            size_gb: image.property("storageProfile/osDisk/diskSizeGB").and_then(Value::as_i64).unwrap_or(0),
            os_type: image.text("storageProfile/osDisk/osType").unwrap_or("Linux").to_owned(),
            generation: image.text("hyperVGeneration").unwrap_or("V1").to_owned(),
            exact_version: None,
        });
    }
    let (publisher, offer, sku, version) = (text("publisher"), text("offer"), text("sku"), text("version"));
    let line = PLATFORM.iter().find(|[p, o, s, _]| {
        p.eq_ignore_ascii_case(publisher) && o.eq_ignore_ascii_case(offer) && s.eq_ignore_ascii_case(sku)
    });
    let exact = if version.eq_ignore_ascii_case("latest") { PLATFORM_VERSIONS[1] } else { version };
    let (Some([_, _, _, generation]), true) = (line, PLATFORM_VERSIONS.contains(&exact)) else {
        let message = format!(
            "The platform image '{publisher}:{offer}:{sku}:{version}' is not available. Verify that all fields in the storage profile are correct. For more details about storage profile information, please refer to https://aka.ms/storageprofile"
        );
        return Err(Fail::new(404, "PlatformImageNotFound", message));
    };
    Ok(Source {
        layers: Vec::new(),
        specialized: false,
        size_gb: PLATFORM_SIZE_GB,
        os_type: "Linux".to_owned(),
        generation: (*generation).to_owned(),
        exact_version: Some(exact.to_owned()),
    })
}

/// What of the marketplace a path asks for: `locations/L/publishers/P/artifacttypes/vmimage/offers/O/skus/S/versions/V`.
pub fn marketplace(call: &Call, path: &[&str]) -> Result<Response> {
    call.check_type_version(machines::TYPE)?;
    let location = path.get(3).copied().unwrap_or_default();
    if !groups::is_location(location) {
        let message = format!("No registered resource provider found for location '{location}'.");
        return Err(Fail::new(400, "NoRegisteredProviderFound", message));
    }
    let base = call.request.path.trim_end_matches('/');
    // Names stand at every second place, the artifact type among them.
    let names: Vec<&str> = [5, 9, 11, 13].iter().filter_map(|at| path.get(*at).copied()).collect();
    let matching: Vec<&[&str; 4]> = PLATFORM
        .iter()
        .filter(|line| names.iter().take(3).zip(line.iter()).all(|(n, l)| n.eq_ignore_ascii_case(l)))
        .collect();
    let Some(first) = matching.first() else {
        return Err(Fail::new(404, "NotFound", format!("Artifact: {} was not found.", names.join(":"))));
    };
    let item = |name: &str| {
        let own = if path.len() == 14 { base.to_owned() } else { format!("{base}/{name}") };
        json!({ "location": location, "name": name, "id": own })
    };
    let mut all: Vec<&str> = match path.len() {
        5 => matching.iter().map(|l| l[0]).collect(),
        9 => matching.iter().map(|l| l[1]).collect(),
        11 => matching.iter().map(|l| l[2]).collect(),
        13 => PLATFORM_VERSIONS.to_vec(),
        14 if PLATFORM_VERSIONS.contains(&path[13]) => {
            let mut one = item(path[13]);
            one["properties"] = json!({
                "osDiskImage": { "operatingSystem": "Linux", "sizeInGb": PLATFORM_SIZE_GB },
                "dataDiskImages": [], "hyperVGeneration": first[3], "architecture": "x64",
            });
            return Ok(Response::json(200, &one));
        }
        14 => return Err(Fail::new(404, "NotFound", format!("Artifact: VMImage {} was not found.", path[13]))),
        _ => return Err(Fail::not_implemented("this part of the marketplace")),
    };
    all.dedup();
    if call.request.param("$orderby").is_some_and(|o| o.ends_with("desc")) {
        all.reverse();
    }
    if let Some(top) = call.request.param("$top").and_then(|t| t.parse().ok()) {
        all.truncate(top);
    }
    Ok(Response::json(200, &Value::Array(all.into_iter().map(item).collect())))
}

/// Makes a managed image; the id of its operation.
pub fn create(call: &Call, id: &str, mut body: Value) -> Result<String> {
    let mut store = call.store();
    let machine = body.pointer("/properties/sourceVirtualMachine/id").and_then(Value::as_str).map(str::to_owned);
    let disk = body.pointer("/properties/storageProfile/osDisk").cloned();
    let mut shown =
        json!({ "zoneResilient": body.pointer("/properties/storageProfile/zoneResilient").unwrap_or(&json!(false)) });
    let mut layers = Vec::new();
    match (&machine, disk) {
        (Some(machine), _) => {
            let vm = store.need(machine)?;
            source_machine(vm, &body)?;
            let os = vm.property("storageProfile/osDisk").cloned().unwrap_or(Value::Null);
            let generation = generation(&store, vm);
            shown["osDisk"] = json!({
                "osType": os["osType"], "osState": "Generalized", "diskSizeGB": os["diskSizeGB"],
                "caching": os["caching"], "managedDisk": { "id": os["managedDisk"]["id"] },
                "storageAccountType": os["managedDisk"]["storageAccountType"],
            });
            shown["dataDisks"] = json!([]);
            body["properties"]["hyperVGeneration"] = json!(generation);
        }
        (None, Some(disk)) => {
            let from = arm_reference(&disk, "managedDisk").or(arm_reference(&disk, "snapshot"));
            let from = from.ok_or_else(|| Fail::not_implemented("images of blobs"))?;
            let source = store.need(&from)?;
            layers.clone_from(&source.layers);
            shown["osDisk"] = disk;
            shown["osDisk"]["diskSizeGB"] = source.property("diskSizeGB").cloned().unwrap_or(Value::Null);
        }
        (None, None) => {
            return Err(Fail::parameter(
                "Either 'sourceVirtualMachine' or 'storageProfile' must be specified for an image.",
            ));
        }
    }
    body["properties"]["storageProfile"] = shown;
    body["properties"]["provisioningState"] = json!("Creating");
    let mut resource = Resource::new(id, TYPE, body);
    resource.layers = layers;
    store.put(resource);
    drop(store);
    let (cloud, own) = (call.cloud.clone(), id.to_owned());
    Ok(call.begin(async move {
        let captured = match machine {
            Some(machine) => Some(machines::capture(&cloud, &machine).await),
            None => None,
        };
        let mut store = cloud.azure.store();
        let Some(resource) = store.get_mut(&own) else { return Ok(None) };
        match captured {
            Some(Err(e)) => {
                resource.set("provisioningState", "Failed");
                return Err(e);
            }
            Some(Ok(layers)) => resource.layers = layers,
            None => {}
        }
        if resource.state() != "Deleting" {
            resource.set("provisioningState", "Succeeded");
        }
        Ok(None)
    }))
}

fn arm_reference(value: &Value, name: &str) -> Option<String> {
    super::network::reference(value, name).map(str::to_owned)
}

/// Checks a machine that an image is to be made of.
fn source_machine(vm: &Resource, body: &Value) -> Result<()> {
    if !vm.generalized {
        let message = format!(
            "The source virtual machine '{}' is not generalized; an image can be made of a generalized one only.",
            name_of(&vm.id)
        );
        return Err(Fail::not_allowed(message));
    }
    let location = super::store::normal(body["location"].as_str().unwrap_or_default());
    if location != vm.location() {
        let message = format!(
            "The image must be in the location of its source virtual machine: '{location}' is not '{}'.",
            vm.location()
        );
        return Err(Fail::parameter(message));
    }
    Ok(())
}

/// The generation of a machine: that of its OS disk.
pub fn generation(store: &Store, vm: &Resource) -> String {
    let disk = vm.text("storageProfile/osDisk/managedDisk/id").and_then(|id| store.get(id));
    disk.filter(|d| d.ty == disks::DISK).and_then(|d| d.text("hyperVGeneration")).unwrap_or("V1").to_owned()
}
