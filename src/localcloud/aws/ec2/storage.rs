//! Snapshots, volumes, and the key that encrypts them by default.

use super::super::resources::{Ebs, Snapshot, Volume, time};
use super::super::world::Region;
use super::super::{ACCOUNT, Answer, Call, Refused};
use super::{Wanted, done, dry_run, need, one, tag_set};
use crate::cloud::Cloud;
use serde_json::{Value, json};
use std::sync::Arc;

fn show_snapshot(snapshot: &Snapshot) -> Value {
    json!({
        "snapshotId": snapshot.id,
        "volumeId": snapshot.volume,
        "status": snapshot.state(),
        "startTime": time(snapshot.started),
        "progress": if snapshot.state() == "completed" { "100%" } else { "0%" },
        "ownerId": ACCOUNT,
        "volumeSize": snapshot.size,
        "description": snapshot.description,
        "encrypted": snapshot.key.is_some(),
        "kmsKeyId": snapshot.key,
        "storageTier": "standard",
        "tagSet": tag_set(&snapshot.tags),
    })
}

/// `DescribeSnapshots`
pub fn snapshots(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let wanted = Wanted::of(call, "SnapshotId");
    let owners = call.params.list("Owner");
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    wanted.check_ids("InvalidSnapshot.NotFound", "snapshot", |id| region.snapshots.contains_key(id))?;
    if owners.iter().any(|o| o != "self" && o != ACCOUNT) {
        return Ok(json!({ "snapshotSet": [] }));
    }
    let mut set = Vec::new();
    for snapshot in region.snapshots.values() {
        let value = |filter: &str| match filter {
            "snapshot-id" => one(&snapshot.id),
            "volume-id" => one(&snapshot.volume),
            "status" => one(snapshot.state()),
            "description" => one(&snapshot.description),
            "owner-id" => one(ACCOUNT),
            "encrypted" => one(snapshot.key.is_some().to_string()),
            _ => None,
        };
        if wanted.takes(&snapshot.id, &snapshot.tags, value)? {
            set.push(show_snapshot(snapshot));
        }
    }
    Ok(json!({ "snapshotSet": set }))
}

/// `DeleteSnapshot`: refused while an image uses it.
pub fn delete_snapshot(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let id = need(call, "SnapshotId")?;
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    if !region.snapshots.contains_key(id) {
        return Err(Refused::new("InvalidSnapshot.NotFound", format!("The snapshot '{id}' does not exist.")));
    }
    dry_run(call)?;
    if let Some(image) = region.images.values().find(|i| i.snapshots().any(|s| s == id)) {
        return Err(Refused::new(
            "InvalidSnapshot.InUse",
            format!("The snapshot {id} is currently in use by {}", image.id),
        ));
    }
    region.snapshots.remove(id);
    done()
}

fn show_volume(volume: &Volume) -> Value {
    let ebs = &volume.ebs;
    let attachments: Vec<Value> = volume
        .attached
        .iter()
        .map(|(instance, device)| {
            json!({
                "volumeId": volume.id,
                "instanceId": instance,
                "device": device,
                "status": "attached",
                "attachTime": time(volume.created),
                "deleteOnTermination": ebs.delete_on_termination,
            })
        })
        .collect();
    json!({
        "volumeId": volume.id,
        "size": ebs.size,
        "snapshotId": ebs.snapshot.clone().unwrap_or_default(),
        "availabilityZone": volume.zone,
        "status": volume.state(),
        "createTime": time(volume.created),
        "attachmentSet": attachments,
        "volumeType": ebs.kind,
        "iops": ebs.iops,
        "throughput": ebs.throughput,
        "encrypted": ebs.key.is_some(),
        "kmsKeyId": ebs.key,
        "multiAttachEnabled": false,
        "tagSet": tag_set(&volume.tags),
    })
}

/// `DescribeVolumes`
pub fn volumes(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let wanted = Wanted::of(call, "VolumeId");
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    wanted.check_ids("InvalidVolume.NotFound", "volume", |id| region.volumes.contains_key(id))?;
    let mut set = Vec::new();
    for volume in region.volumes.values() {
        let value = |filter: &str| match filter {
            "volume-id" => one(&volume.id),
            "status" => one(volume.state()),
            "availability-zone" => one(&volume.zone),
            "volume-type" => one(&volume.ebs.kind),
            "encrypted" => one(volume.ebs.key.is_some().to_string()),
            "attachment.instance-id" => Some(volume.attached.iter().map(|(i, _)| i.clone()).collect()),
            _ => None,
        };
        if wanted.takes(&volume.id, &volume.tags, value)? {
            set.push(show_volume(volume));
        }
    }
    Ok(json!({ "volumeSet": set }))
}

/// `DeleteVolume`: refused while it is attached.
pub fn delete_volume(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let id = need(call, "VolumeId")?;
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let Some(volume) = region.volumes.get(id) else {
        return Err(Refused::new("InvalidVolume.NotFound", format!("The volume '{id}' does not exist.")));
    };
    if let Some((instance, _)) = &volume.attached {
        return Err(Refused::new("VolumeInUse", format!("Volume {id} is currently attached to {instance}")));
    }
    dry_run(call)?;
    region.volumes.remove(id);
    done()
}

/// `GetEbsDefaultKmsKeyId`, `ModifyEbsDefaultKmsKeyId`, `ResetEbsDefaultKmsKeyId` (back to the key that AWS manages).
pub fn default_key(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let wanted = match call.action.as_str() {
        "ModifyEbsDefaultKmsKeyId" => Some(need(call, "KmsKeyId")?),
        "ResetEbsDefaultKmsKeyId" => Some("alias/aws/ebs"),
        _ => None,
    };
    if let Some(wanted) = wanted {
        let key = region.key(wanted).ok_or_else(|| Refused::invalid(format!("The key {wanted} does not exist")))?;
        region.default_key = key.arn.clone();
    }
    Ok(json!({ "kmsKeyId": region.default_key }))
}

/// The ARN of a key that is to encrypt something: a named one, or the default.
pub fn key_arn(region: &Region, named: Option<&str>) -> Option<String> {
    match named {
        Some(named) => region.key(named).filter(|k| k.enabled).map(|k| k.arn.clone()),
        None => Some(region.default_key.clone()),
    }
}

/// What a block device of a call asks for, over what the image has.
///
/// # Errors
/// Sizes, rates and types that no volume has.
pub fn read_ebs(params: &super::Params, base: Option<&Ebs>, smallest: i64) -> Result<Ebs, Refused> {
    let mut ebs = base.cloned().unwrap_or(Ebs { kind: "gp2".into(), ..Ebs::default() });
    if let Some(kind) = params.get("VolumeType") {
        if !["gp2", "gp3", "io1", "io2", "st1", "sc1", "standard"].contains(&kind) {
            return Err(Refused::invalid(format!("Value ({kind}) for parameter volumeType is invalid.")));
        }
        kind.clone_into(&mut ebs.kind);
    }
    ebs.size = params.number("VolumeSize").unwrap_or(ebs.size);
    if ebs.size < smallest {
        return Err(Refused::new(
            "InvalidBlockDeviceMapping",
            format!("Volume of size {}GB is smaller than snapshot, expect size >= {smallest}GB", ebs.size),
        ));
    }
    if ebs.size == 0 {
        return Err(Refused::missing("size or snapshotId"));
    }
    ebs.iops = params.number("Iops").or(ebs.iops);
    ebs.throughput = params.number("Throughput").or(ebs.throughput);
    let gp3 = ebs.kind == "gp3";
    let rates = [
        ("iops", ebs.iops, gp3 || ebs.kind.starts_with("io"), if gp3 { 3000..=16_000 } else { 100..=64_000 }),
        ("throughput", ebs.throughput, gp3, 125..=1000),
    ];
    for (name, value, fits, range) in rates {
        let Some(value) = value else { continue };
        if !fits {
            return Err(Refused::new(
                "InvalidParameterCombination",
                format!("The parameter {name} is not supported for {} volumes.", ebs.kind),
            ));
        }
        if !range.contains(&value) {
            return Err(Refused::invalid(format!(
                "Volume {name} of {value} is not in the range {} to {}",
                range.start(),
                range.end()
            )));
        }
    }
    if gp3 {
        ebs.iops.get_or_insert(3000);
        ebs.throughput.get_or_insert(125);
    }
    ebs.delete_on_termination = params.flag("DeleteOnTermination").unwrap_or(ebs.delete_on_termination);
    if let Some(snapshot) = params.get("SnapshotId") {
        ebs.snapshot = Some(snapshot.to_owned());
    }
    Ok(ebs)
}
