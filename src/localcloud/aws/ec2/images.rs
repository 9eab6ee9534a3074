//! Images: made of an instance, copied over regions, deregistered.

use super::super::query::Params;
use super::super::resources::{Device, Ebs, Image, Instance, InstanceState, Progress, Snapshot, Tags, new_id, time};
use super::super::world::Region;
use super::super::{ACCOUNT, Answer, Call, Refused};
use super::storage::{key_arn, read_ebs};
use super::{Wanted, done, dry_run, need, one, specified_tags, tag_set};
use crate::cloud::Cloud;
use crate::guest::Layer;
use chrono::Utc;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::sleep;

fn show(image: &Image) -> Value {
    let devices: Vec<Value> = image
        .devices
        .iter()
        .map(|d| {
            let ebs = d.ebs.as_ref().map(|e| {
                json!({
                    "snapshotId": e.snapshot, "volumeSize": e.size, "deleteOnTermination": e.delete_on_termination,
                    "volumeType": e.kind, "iops": e.iops, "throughput": e.throughput, "encrypted": e.key.is_some(),
                })
            });
            json!({ "deviceName": d.name, "virtualName": d.virtual_name, "ebs": ebs })
        })
        .collect();
    let failure = match &image.progress {
        Progress::Failed(why) => Some(json!({ "code": "Client.UserInitiatedShutdown", "message": why })),
        _ => None,
    };
    json!({
        "imageId": image.id,
        "imageLocation": format!("{}/{}", if image.alias.is_empty() { &image.owner } else { &image.alias }, image.name),
        "imageState": image.state(),
        "imageOwnerId": image.owner,
        "imageOwnerAlias": Some(&image.alias).filter(|a| !a.is_empty()),
        "creationDate": time(image.created),
        "isPublic": image.public,
        "productCodes": image.product_codes.iter().map(|c| json!({ "productCode": c, "type": "marketplace" })).collect::<Vec<_>>(),
        "architecture": image.architecture,
        "imageType": "machine",
        "sriovNetSupport": image.sriov.then_some("simple"),
        "enaSupport": image.ena,
        "name": image.name,
        "description": Some(&image.description).filter(|d| !d.is_empty()),
        "rootDeviceType": "ebs",
        "rootDeviceName": image.root_device,
        "blockDeviceMapping": devices,
        "virtualizationType": "hvm",
        "hypervisor": "xen",
        "platformDetails": "Linux/UNIX",
        "usageOperation": "RunInstances",
        "imdsSupport": image.imds,
        "deprecationTime": image.deprecates,
        "deregistrationProtection": if image.protected { "enabled-without-cooldown" } else { "disabled" },
        "stateReason": failure,
        "tagSet": tag_set(&image.tags),
    })
}

fn visible(image: &Image) -> bool {
    image.owner == ACCOUNT || image.public || image.users.contains(ACCOUNT)
}

/// `DescribeImages`
pub fn describe(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let wanted = Wanted::of(call, "ImageId");
    if let Some(id) = wanted.ids.iter().find(|i| !i.starts_with("ami-")) {
        return Err(Refused::new("InvalidAMIID.Malformed", format!("Invalid id: \"{id}\" (expecting \"ami-...\")")));
    }
    let owners = call.params.list("Owner");
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let known = |id: &str| region.deregistered.contains(id) || region.images.get(id).is_some_and(visible);
    if let Some(id) = wanted.ids.iter().find(|id| !known(id)) {
        return Err(Refused::new("InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist")));
    }
    let owned = |i: &Image| {
        owners.is_empty()
            || owners
                .iter()
                .any(|o| *o == i.owner || *o == i.alias && !i.alias.is_empty() || o == "self" && i.owner == ACCOUNT)
    };
    let mut set = Vec::new();
    for image in region.images.values().filter(|i| visible(i) && owned(i)) {
        let value = |filter: &str| match filter {
            "image-id" => one(&image.id),
            "name" => one(&image.name),
            "description" => one(&image.description),
            "state" => one(image.state()),
            "architecture" => one(&image.architecture),
            "owner-id" => one(&image.owner),
            "owner-alias" => one(&image.alias),
            "root-device-type" => one("ebs"),
            "root-device-name" => one(&image.root_device),
            "virtualization-type" => one("hvm"),
            "hypervisor" => one("xen"),
            "image-type" => one("machine"),
            "is-public" => one(image.public.to_string()),
            "ena-support" => one(image.ena.to_string()),
            "creation-date" => one(time(image.created)),
            "platform" => Some(Vec::new()),
            "block-device-mapping.snapshot-id" => Some(image.snapshots().cloned().collect()),
            _ => None,
        };
        if wanted.takes(&image.id, &image.tags, value)? {
            set.push(show(image));
        }
    }
    Ok(json!({ "imagesSet": set }))
}

/// What a name of an image consists of beside ASCII letters and digits.
const NAME_SIGNS: &str = "()[] ./-'@_";

fn check_name(region: &Region, name: &str) -> Result<(), Refused> {
    let good = name.chars().all(|c| c.is_ascii_alphanumeric() || NAME_SIGNS.contains(c));
    if !good || !(3..=128).contains(&name.len()) {
        let message = format!(
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, '(', ')', '.', '-', '/' and '_': {name}"
        );
        return Err(Refused::new("InvalidAMIName.Malformed", message));
    }
    if let Some(other) = region.images.values().find(|i| i.owner == ACCOUNT && i.name == name) {
        let message = format!("AMI name {name} is already in use by AMI {}", other.id);
        return Err(Refused::new("InvalidAMIName.Duplicate", message));
    }
    Ok(())
}

/// The devices of an image of an instance, and a snapshot for each.
fn devices_of(region: &Region, instance: &Instance, image: &str, tags: &Tags) -> (Vec<Device>, Vec<Snapshot>) {
    let (mut devices, mut snapshots) = (Vec::new(), Vec::new());
    for (device, id) in &instance.devices {
        let Some(volume) = region.volumes.get(id) else { continue };
        let description = format!("Created by CreateImage({}) for {image}", instance.id);
        let snapshot = snapshot(&volume.ebs, id, description, volume.ebs.key.clone(), tags);
        let ebs = Ebs { snapshot: Some(snapshot.id.clone()), ..volume.ebs.clone() };
        devices.push(Device { name: device.clone(), ebs: Some(ebs), virtual_name: None });
        snapshots.push(snapshot);
    }
    (devices, snapshots)
}

fn snapshot(ebs: &Ebs, volume: &str, description: String, key: Option<String>, tags: &Tags) -> Snapshot {
    Snapshot {
        id: new_id("snap"),
        description,
        volume: volume.to_owned(),
        size: ebs.size,
        started: Utc::now(),
        progress: Progress::Pending,
        key,
        users: BTreeSet::new(),
        public: false,
        tags: tags.clone(),
    }
}

/// Devices that a call adds to those of the instance, or takes away.
fn add_devices(devices: &mut Vec<Device>, params: &Params) -> Result<(), Refused> {
    for mapping in params.items("BlockDeviceMapping") {
        let name = mapping.get("DeviceName").ok_or_else(|| Refused::missing("deviceName"))?.to_owned();
        let (ebs, virtual_name) = (mapping.below("Ebs"), mapping.get("VirtualName").map(str::to_owned));
        let position = devices.iter().position(|d| d.name == name);
        let base = position.map(|p| devices.remove(p)).and_then(|d| d.ebs);
        if ebs.is_empty() && virtual_name.is_none() {
            continue;
        }
        let ebs = if ebs.is_empty() { None } else { Some(read_ebs(&ebs, base.as_ref(), 0)?) };
        devices.push(Device { name, ebs, virtual_name });
    }
    Ok(())
}

/// `CreateImage`
pub fn create(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let (instance_id, name) = (need(call, "InstanceId")?, need(call, "Name")?);
    let tags = specified_tags(call, &["image", "snapshot"])?;
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let Some(instance) = region.instances.get(instance_id).cloned() else {
        return Err(Refused::new(
            "InvalidInstanceID.NotFound",
            format!("The instance ID '{instance_id}' does not exist"),
        ));
    };
    if !matches!(instance.state, InstanceState::Running | InstanceState::Stopped) {
        return Err(Refused::invalid(format!(
            "Instance is not in state 'running' or 'stopped': it is '{}'",
            instance.state.show().1
        )));
    }
    check_name(region, name)?;
    dry_run(call)?;
    let id = new_id("ami");
    let mut image = Image::new(&id, name, ACCOUNT, &instance.architecture, &instance.root_device, Utc::now());
    let (devices, snapshots) = devices_of(region, &instance, &id, &tags("snapshot"));
    image.devices = devices;
    add_devices(&mut image.devices, &call.params)?;
    call.params.get("Description").unwrap_or_default().clone_into(&mut image.description);
    image.tags = tags("image");
    (image.ena, image.sriov) = (instance.ena, instance.sriov);
    image.user.clone_from(&instance.user);
    image.source = Some(instance.id.clone());
    image.layers = region.images.get(&instance.image).map(|i| i.layers.clone()).unwrap_or_default();
    region.snapshots.extend(snapshots.into_iter().map(|s| (s.id.clone(), s)));
    region.images.insert(id.clone(), image);
    drop(world);
    let reboot = call.params.flag("NoReboot") != Some(true);
    tokio::spawn(capture(cloud.clone(), call.region.clone(), instance, id.clone(), reboot));
    Ok(json!({ "imageId": id }))
}

/// Takes what the guest has changed into the image. A running one is stopped for it, and started again.
async fn capture(cloud: Arc<Cloud>, region: String, instance: Instance, image: String, reboot: bool) {
    let layer = match instance.machine.as_ref().and_then(|m| m.guest.clone()) {
        None => Ok(None),
        Some(guest) => {
            let runs = instance.state == InstanceState::Running;
            if runs && reboot {
                // Where it does not stop, the capture says so.
                let _ = guest.stop().await;
            }
            let layer = guest.capture().await.map(Some);
            if runs && reboot {
                let _ = guest.start().await;
            }
            layer
        }
    };
    sleep(cloud.step()).await;
    let result = layer.map_err(|e| e.to_string());
    settle(&cloud, &region, &image, result);
}

/// An image is ready (with one more layer), or has failed.
fn settle(cloud: &Cloud, region: &str, image: &str, result: Result<Option<Layer>, String>) {
    let mut world = cloud.aws.world();
    let Ok(region) = world.region(region) else { return };
    let progress = match &result {
        Ok(_) => Progress::Done,
        Err(why) => Progress::Failed(why.clone()),
    };
    let Some(image) = region.images.get_mut(image) else { return };
    image.progress = progress.clone();
    image.layers.extend(result.ok().flatten());
    let snapshots: Vec<String> = image.snapshots().cloned().collect();
    for id in snapshots {
        if let Some(snapshot) = region.snapshots.get_mut(&id) {
            snapshot.progress = progress.clone();
        }
    }
}

/// `CopyImage`, answered by the region that the copy will stand in.
pub fn copy(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let (name, source_id) = (need(call, "Name")?, need(call, "SourceImageId")?);
    let tags = specified_tags(call, &["image", "snapshot"])?;
    let mut world = cloud.aws.world();
    let source = world.region(need(call, "SourceRegion")?).map_err(|_| Refused::invalid("Invalid source region"))?;
    let source_name = source.name.clone();
    let Some(original) = source.images.get(source_id).filter(|i| visible(i)).cloned() else {
        return Err(Refused::new("InvalidAMIID.NotFound", format!("The image id '[{source_id}]' does not exist")));
    };
    if original.progress != Progress::Done {
        return Err(Refused::new("InvalidRequest", format!("The image '{source_id}' is not in the state 'available'")));
    }
    let region = world.region(&call.region)?;
    let token = call.params.get("ClientToken").map(str::to_owned);
    if let Some(known) = token.as_ref().and_then(|t| region.copy_tokens.get(t)) {
        return Ok(json!({ "imageId": known }));
    }
    check_name(region, name)?;
    let named_key = call.params.get("KmsKeyId");
    let encrypted = call.params.flag("Encrypted");
    if named_key.is_some() && encrypted != Some(true) {
        return Err(Refused::new(
            "InvalidParameterDependency",
            "The parameter KmsKeyId requires the parameter Encrypted to be set.",
        ));
    }
    dry_run(call)?;
    let id = new_id("ami");
    let mut image = Image { id: id.clone(), name: name.to_owned(), owner: ACCOUNT.to_owned(), ..original.clone() };
    image.alias = String::new();
    image.created = Utc::now();
    image.progress = Progress::Pending;
    (image.public, image.protected, image.deprecates) = (false, false, None);
    image.users.clear();
    image.organizations.clear();
    image.units.clear();
    if let Some(description) = call.params.get("Description") {
        description.clone_into(&mut image.description);
    }
    image.tags = if call.params.flag("CopyImageTags") == Some(true) { original.tags } else { Tags::new() };
    image.tags.extend(tags("image"));
    image.source = Some(source_id.to_owned());
    let lost_key = copy_snapshots(region, &mut image, source_id, (encrypted, named_key), &tags("snapshot"));
    region.copy_tokens.extend(token.map(|t| (t, id.clone())));
    region.images.insert(id.clone(), image);
    drop(world);
    let (cloud, region, made) = (cloud.clone(), call.region.clone(), id.clone());
    tokio::spawn(async move {
        sleep(cloud.step()).await;
        let result = match lost_key {
            Some(key) => Err(format!("Copy snapshot from {source_name} failed: given key ID {key} is not accessible")),
            None => Ok(None),
        };
        settle(&cloud, &region, &made, result);
    });
    Ok(json!({ "imageId": id }))
}

/// Gives a copy snapshots of its own; the name of a key that does not work.
fn copy_snapshots(
    region: &mut Region,
    image: &mut Image,
    source: &str,
    (encrypted, key): (Option<bool>, Option<&str>),
    tags: &Tags,
) -> Option<String> {
    let mut lost = None;
    for device in &mut image.devices {
        let Some(ebs) = device.ebs.as_mut() else { continue };
        let arn = if encrypted == Some(true) || ebs.key.is_some() { key_arn(region, key) } else { None };
        if encrypted == Some(true) && arn.is_none() {
            lost = key.map(str::to_owned);
        }
        let from = ebs.snapshot.clone().unwrap_or_default();
        let description =
            format!("Copied for DestinationAmi {} from SourceAmi {source} for SourceSnapshot {from}.", image.id);
        let copied = snapshot(ebs, "vol-ffffffff", description, arn.clone(), tags);
        ebs.snapshot = Some(copied.id.clone());
        ebs.key = arn;
        region.snapshots.insert(copied.id.clone(), copied);
    }
    lost
}

/// `DeregisterImage`: snapshots stay, unless the call takes them along.
pub fn deregister(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let id = need(call, "ImageId")?;
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let Some(image) = region.images.get(id) else {
        let (code, what) = if region.deregistered.contains(id) {
            ("InvalidAMIID.Unavailable", "is no longer available")
        } else {
            ("InvalidAMIID.NotFound", "does not exist")
        };
        return Err(Refused::new(code, format!("The image id '[{id}]' {what}")));
    };
    if image.owner != ACCOUNT {
        return Err(Refused::new("AuthFailure", format!("Not authorized for image:{id}")));
    }
    if image.protected {
        return Err(Refused::new(
            "OperationNotPermitted",
            format!("The image '{id}' is protected from deregistration."),
        ));
    }
    dry_run(call)?;
    let snapshots: Vec<String> = image.snapshots().cloned().collect();
    region.images.remove(id);
    region.deregistered.insert(id.to_owned());
    if call.params.flag("DeleteAssociatedSnapshots") == Some(true) {
        region.snapshots.retain(|s, _| !snapshots.contains(s));
    }
    done()
}
