//! Instances as they are asked about and changed; [`launch`](super::launch) makes them, [`states`](super::states) moves them.

use super::super::resources::{Instance, InstanceState, Tags, time};
use super::super::world::Region;
use super::super::{ACCOUNT, Answer, Call, Refused};
use super::states::with_instance;
use super::{Wanted, done, dry_run, need, network, one, tag_set};
use crate::cloud::Cloud;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use serde_json::{Value, json};
use std::sync::Arc;

fn show(region: &Region, i: &Instance) -> Value {
    let (code, name) = i.state.show();
    let alive = i.state != InstanceState::Terminated;
    let public = i.public_ip();
    let dns = public.as_ref().map(|ip| format!("ec2-{}.{}.compute.amazonaws.com", ip.replace('.', "-"), region.name));
    let private_dns = format!("ip-{}.{}.compute.internal", i.private_ip.replace('.', "-"), region.name);
    let groups: Vec<Value> = i
        .groups
        .iter()
        .map(|g| json!({ "groupId": g, "groupName": region.groups.get(g).map(|g| g.name.clone()) }))
        .collect();
    let devices: Vec<Value> = i
        .devices
        .iter()
        .filter_map(|(device, id)| {
            let volume = region.volumes.get(id)?;
            Some(json!({ "deviceName": device, "ebs": {
                "volumeId": id, "status": "attached", "attachTime": time(volume.created),
                "deleteOnTermination": volume.ebs.delete_on_termination,
            } }))
        })
        .collect();
    let interface = json!([{
        "networkInterfaceId": i.interface,
        "subnetId": i.subnet,
        "vpcId": i.vpc,
        "ownerId": ACCOUNT,
        "status": "in-use",
        "privateIpAddress": i.private_ip,
        "groupSet": groups,
        "attachment": { "attachmentId": i.interface.replace("eni-", "eni-attach-"), "deviceIndex": 0, "status": "attached", "deleteOnTermination": true },
    }]);
    json!({
        "instanceId": i.id,
        "imageId": i.image,
        "instanceState": { "code": code, "name": name },
        "privateDnsName": if alive { private_dns } else { String::new() },
        "dnsName": dns.unwrap_or_default(),
        "reason": i.reason.as_ref().map(|(_, m)| m.clone()).unwrap_or_default(),
        "stateReason": i.reason.as_ref().map(|(c, m)| json!({ "code": c, "message": m })),
        "keyName": i.key_name,
        "amiLaunchIndex": 0,
        "productCodes": [],
        "instanceType": i.kind,
        "launchTime": time(i.launched),
        "placement": { "availabilityZone": i.zone, "groupName": "", "tenancy": "default" },
        "monitoring": { "state": "disabled" },
        "subnetId": alive.then_some(&i.subnet),
        "vpcId": alive.then_some(&i.vpc),
        "privateIpAddress": alive.then_some(&i.private_ip),
        "ipAddress": public,
        "sourceDestCheck": true,
        "groupSet": if alive { json!(groups) } else { json!([]) },
        "architecture": i.architecture,
        "rootDeviceType": "ebs",
        "rootDeviceName": i.root_device,
        "blockDeviceMapping": devices,
        "virtualizationType": "hvm",
        "clientToken": i.token.clone().unwrap_or_default(),
        "hypervisor": "xen",
        "networkInterfaceSet": if alive { interface } else { json!([]) },
        "iamInstanceProfile": i.profile.as_ref().map(|p| json!({ "arn": format!("arn:aws:iam::{ACCOUNT}:instance-profile/{p}") })),
        "ebsOptimized": i.ebs_optimized,
        "enaSupport": i.ena,
        "sriovNetSupport": i.sriov.then_some("simple"),
        "metadataOptions": i.metadata,
        "spotInstanceRequestId": i.spot,
        "tagSet": tag_set(&i.tags),
    })
}

/// One reservation, as EC2 answers with it.
pub fn reservation(region: &Region, instances: &[&Instance]) -> Value {
    json!({
        "reservationId": instances.first().map(|i| i.reservation.clone()),
        "ownerId": ACCOUNT,
        "groupSet": [],
        "instancesSet": instances.iter().map(|i| show(region, i)).collect::<Vec<_>>(),
    })
}

/// `DescribeInstances`
pub fn describe(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let wanted = Wanted::of(call, "InstanceId");
    check_form(&wanted.ids)?;
    let mut world = cloud.aws.world();
    let region = &*world.region(&call.region)?;
    wanted.check_ids("InvalidInstanceID.NotFound", "instance ID", |id| region.instances.contains_key(id))?;
    let mut set = Vec::new();
    for i in region.instances.values() {
        let value = |filter: &str| match filter {
            "instance-id" => one(&i.id),
            "instance-state-name" => one(i.state.show().1),
            "instance-state-code" => one(i.state.show().0.to_string()),
            "instance-type" => one(&i.kind),
            "image-id" => one(&i.image),
            "key-name" => Some(i.key_name.iter().cloned().collect()),
            "client-token" => Some(i.token.iter().cloned().collect()),
            "vpc-id" => one(&i.vpc),
            "subnet-id" => one(&i.subnet),
            "availability-zone" => one(&i.zone),
            "instance.group-id" | "group-id" => Some(i.groups.clone()),
            "private-ip-address" => one(&i.private_ip),
            "ip-address" => Some(i.public_ip().into_iter().collect()),
            "architecture" => one(&i.architecture),
            "reservation-id" => one(&i.reservation),
            _ => None,
        };
        if wanted.takes(&i.id, &i.tags, value)? {
            set.push(reservation(region, &[i]));
        }
    }
    Ok(json!({ "reservationSet": set }))
}

/// `DescribeInstanceStatus`
pub fn status(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let wanted = Wanted::of(call, "InstanceId");
    let all = call.params.flag("IncludeAllInstances") == Some(true);
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    wanted.check_ids("InvalidInstanceID.NotFound", "instance ID", |id| region.instances.contains_key(id))?;
    let mut set = Vec::new();
    for i in region.instances.values().filter(|i| all || i.state == InstanceState::Running) {
        if wanted
            .takes(&i.id, &Tags::new(), |f| (f == "instance-state-name").then(|| vec![i.state.show().1.to_owned()]))?
        {
            let (code, name) = i.state.show();
            let health = if i.state == InstanceState::Running { "ok" } else { "not-applicable" };
            set.push(json!({
                "instanceId": i.id, "availabilityZone": i.zone, "instanceState": { "code": code, "name": name },
                "instanceStatus": { "status": health, "details": [] }, "systemStatus": { "status": health, "details": [] },
            }));
        }
    }
    Ok(json!({ "instanceStatusSet": set }))
}

/// Whether these can be ids of instances.
fn check_form(ids: &[String]) -> Result<(), Refused> {
    let good =
        |id: &String| id.strip_prefix("i-").is_some_and(|h| h.len() >= 8 && h.chars().all(|c| c.is_ascii_hexdigit()));
    match ids.iter().find(|id| !good(id)) {
        Some(id) => Err(Refused::new("InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\""))),
        None => Ok(()),
    }
}

/// The instances that a call names, all of which exist.
pub fn ids(call: &Call, region: &Region) -> Result<Vec<String>, Refused> {
    let wanted = Wanted::of(call, "InstanceId");
    if wanted.ids.is_empty() {
        return Err(Refused::missing("InstanceId"));
    }
    check_form(&wanted.ids)?;
    wanted.check_ids("InvalidInstanceID.NotFound", "instance ID", |id| region.instances.contains_key(id))?;
    Ok(wanted.ids)
}

/// `ModifyInstanceAttribute`: what only a stopped instance lets be changed.
pub fn modify(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let id = need(call, "InstanceId")?.to_owned();
    check_form(std::slice::from_ref(&id))?;
    dry_run(call)?;
    let params = &call.params;
    let changed = with_instance(cloud, &call.region, &id, |_, i| {
        let (ena, sriov, kind) =
            (params.flag("EnaSupport.Value"), params.get("SriovNetSupport.Value"), params.get("InstanceType.Value"));
        if (ena.is_some() || sriov.is_some() || kind.is_some()) && i.state != InstanceState::Stopped {
            return Err(Refused::new(
                "IncorrectInstanceState",
                format!("The instance '{id}' is not in the 'stopped' state."),
            ));
        }
        if let Some(sriov) = sriov {
            if sriov != "simple" {
                return Err(Refused::invalid(format!("Value ({sriov}) for parameter sriovNetSupport is invalid.")));
            }
            i.sriov = true;
        }
        if let Some(kind) = kind {
            if network::architecture(kind).is_none() {
                return Err(Refused::invalid(format!("Invalid value '{kind}' for InstanceType.")));
            }
            kind.clone_into(&mut i.kind);
        }
        i.ena = ena.unwrap_or(i.ena);
        Ok(())
    });
    changed.ok_or_else(|| {
        Refused::new("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"))
    })??;
    done()
}

/// `GetConsoleOutput`
pub fn console(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let id = ids(call, region).or_else(|_| need(call, "InstanceId").map(|i| vec![i.to_owned()]))?.remove(0);
    let Some(i) = region.instances.get(&id) else {
        return Err(Refused::new("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist")));
    };
    let text =
        i.machine.as_ref().and_then(|m| m.guest.as_ref()).map(crate::guest::Guest::console_log).unwrap_or_default();
    Ok(json!({ "instanceId": id, "timestamp": time(Utc::now()), "output": STANDARD.encode(text) }))
}
