//! Instances: launched with a guest behind them, and moved through EC2's states.

use super::super::query::Params;
use super::super::world::{Ebs, Image, Instance, InstanceState, Progress, Region, Subnet, Tags, Volume, new_id, time};
use super::super::{ACCOUNT, Answer, Call, Refused};
use super::storage::{key_arn, read_ebs};
use super::{Wanted, done, dry_run, need, network, one, specified_tags, tag_set};
use crate::cloud::Cloud;
use crate::guest::{Account, BootSpec};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::{Instant as Tick, sleep, sleep_until};

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

fn reservation(region: &Region, instances: &[&Instance]) -> Value {
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

fn check_form(ids: &[String]) -> Result<(), Refused> {
    let good =
        |id: &String| id.strip_prefix("i-").is_some_and(|h| h.len() >= 8 && h.chars().all(|c| c.is_ascii_hexdigit()));
    match ids.iter().find(|id| !good(id)) {
        Some(id) => Err(Refused::new("InvalidInstanceID.Malformed", format!("Invalid id: \"{id}\""))),
        None => Ok(()),
    }
}

/// Where an instance runs, and who may reach it.
struct Seat {
    subnet: Subnet,
    groups: Vec<String>,
    public: bool,
}

fn seat(region: &Region, params: &Params) -> Result<Seat, Refused> {
    let interface = params.items("NetworkInterface").into_iter().next();
    if interface.is_some() && (params.get("SubnetId").is_some() || !params.list("SecurityGroupId").is_empty()) {
        let message = "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request";
        return Err(Refused::new("InvalidParameterCombination", message));
    }
    let zone = params.get("Placement.AvailabilityZone");
    let named = interface.as_ref().map_or_else(|| params.get("SubnetId"), |i| i.get("SubnetId"));
    let subnet = match named {
        Some(id) => region
            .subnets
            .get(id)
            .ok_or_else(|| Refused::new("InvalidSubnetID.NotFound", format!("The subnet ID '{id}' does not exist")))?,
        None => {
            let fits = |s: &&Subnet| s.default && zone.is_none_or(|z| z == s.zone);
            region.subnets.values().find(fits).ok_or_else(|| {
                Refused::new("MissingInput", "No subnets found for the default VPC. Please specify a subnet.")
            })?
        }
    };
    if let Some(zone) = zone
        && zone != subnet.zone
    {
        return Err(Refused::invalid(format!(
            "The availability zone '{zone}' does not match the one of the subnet '{}'",
            subnet.id
        )));
    }
    let mut groups = match &interface {
        Some(interface) => interface.list("SecurityGroupId"),
        None => params.list("SecurityGroupId"),
    };
    for id in &groups {
        match region.groups.get(id) {
            None => {
                return Err(Refused::new("InvalidGroup.NotFound", format!("The security group '{id}' does not exist")));
            }
            Some(group) if group.vpc != subnet.vpc => {
                let message = format!("Security group {id} and subnet {} belong to different networks.", subnet.id);
                return Err(Refused::new("InvalidParameter", message));
            }
            Some(_) => {}
        }
    }
    if groups.is_empty() {
        groups
            .extend(region.groups.values().find(|g| g.vpc == subnet.vpc && g.name == "default").map(|g| g.id.clone()));
    }
    let public = interface.and_then(|i| i.flag("AssociatePublicIpAddress")).unwrap_or(subnet.public);
    Ok(Seat { subnet: subnet.clone(), groups, public })
}

/// The image of a launch, which this account may launch.
fn launchable<'a>(region: &'a Region, params: &Params) -> Result<&'a Image, Refused> {
    let id = params.get("ImageId").ok_or_else(|| Refused::missing("ImageId"))?;
    let found = region.images.get(id).filter(|i| i.owner == ACCOUNT || i.public || i.users.contains(ACCOUNT));
    let image = found.ok_or_else(|| {
        let (code, what) = if id.starts_with("ami-") {
            ("InvalidAMIID.NotFound", "does not exist")
        } else {
            ("InvalidAMIID.Malformed", "is not valid")
        };
        Refused::new(code, format!("The image id '[{id}]' {what}"))
    })?;
    if image.progress != Progress::Done {
        return Err(Refused::new("InvalidAMIID.Unavailable", format!("The image ID '{id}' is not available")));
    }
    Ok(image)
}

/// A volume that an instance brings along, not yet with its key.
struct Planned {
    device: String,
    ebs: Ebs,
    encrypted: bool,
    key: Option<String>,
}

fn planned(region: &Region, image: &Image, params: &Params) -> Result<Vec<Planned>, Refused> {
    let mut all: BTreeMap<String, Planned> = BTreeMap::new();
    for device in &image.devices {
        let Some(ebs) = &device.ebs else { continue };
        let plan = Planned {
            device: device.name.clone(),
            ebs: ebs.clone(),
            encrypted: ebs.key.is_some(),
            key: ebs.key.clone(),
        };
        all.insert(device.name.clone(), plan);
    }
    for mapping in params.items("BlockDeviceMapping") {
        let device = mapping.get("DeviceName").ok_or_else(|| Refused::missing("deviceName"))?.to_owned();
        let below = mapping.below("Ebs");
        // NoDevice is sent empty.
        if below.is_empty() {
            all.remove(&device);
            continue;
        }
        if let Some(snapshot) = below.get("SnapshotId")
            && !region.snapshots.contains_key(snapshot)
        {
            return Err(Refused::new("InvalidSnapshot.NotFound", format!("The snapshot '{snapshot}' does not exist.")));
        }
        let base = all.get(&device);
        let ebs = read_ebs(&below, base.map(|p| &p.ebs), base.map_or(0, |p| p.ebs.size))?;
        let key = below.get("KmsKeyId").map(str::to_owned);
        if key.is_some() && below.flag("Encrypted") != Some(true) {
            return Err(Refused::new(
                "InvalidParameterDependency",
                "The parameter KmsKeyId requires the parameter Encrypted to be set.",
            ));
        }
        let encrypted = below.flag("Encrypted").unwrap_or(false) || base.is_some_and(|p| p.encrypted);
        let key = key.or_else(|| base.and_then(|p| p.key.clone()));
        all.insert(device.clone(), Planned { device, ebs, encrypted, key });
    }
    Ok(all.into_values().collect())
}

fn metadata(params: &Params) -> BTreeMap<&'static str, String> {
    let options = params.below("MetadataOptions");
    let get = |name: &str, default: &str| options.get(name).unwrap_or(default).to_owned();
    BTreeMap::from([
        ("state", "applied".to_owned()),
        ("httpTokens", get("HttpTokens", "optional")),
        ("httpPutResponseHopLimit", get("HttpPutResponseHopLimit", "1")),
        ("httpEndpoint", get("HttpEndpoint", "enabled")),
        ("instanceMetadataTags", get("InstanceMetadataTags", "disabled")),
    ])
}

/// `RunInstances`, one instance a call.
pub fn run(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let params = &call.params;
    let tags = specified_tags(call, &["instance", "volume", "network-interface", "spot-instances-request"])?;
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let token = params.get("ClientToken");
    if let Some(known) = region.instances.values().find(|i| token.is_some() && i.token.as_deref() == token) {
        return Ok(reservation(region, &[known]));
    }
    if (params.number("MinCount"), params.number("MaxCount")) != (Some(1), Some(1)) {
        return Err(Refused::new("UnsupportedOperation", "The local cloud launches one instance a call."));
    }
    let image = launchable(region, params)?.clone();
    let kind = params.get("InstanceType").unwrap_or("m1.small").to_owned();
    let architecture = network::architecture(&kind)
        .ok_or_else(|| Refused::invalid(format!("Invalid value '{kind}' for InstanceType.")))?;
    if architecture != image.architecture {
        let message = format!(
            "The architecture '{architecture}' of the specified instance type does not match the architecture '{}' of the specified AMI.",
            image.architecture
        );
        return Err(Refused::invalid(message));
    }
    let key =
        match params.get("KeyName") {
            None => None,
            Some(name) => Some(region.key_pairs.get(name).cloned().ok_or_else(|| {
                Refused::new("InvalidKeyPair.NotFound", format!("The key pair '{name}' does not exist"))
            })?),
        };
    let seat = seat(region, params)?;
    let volumes = planned(region, &image, params)?;
    let data = match params.get("UserData") {
        None => None,
        Some(data) => {
            Some(STANDARD.decode(data).map_err(|_| Refused::invalid("Invalid BASE64 encoding of user data."))?)
        }
    };
    dry_run(call)?;

    let id = new_id("i");
    let (made, lost_key) = volumes_of(region, &id, &seat.subnet.zone, volumes, &tags("volume"));
    let ip: [u8; 2] = rand::random();
    let instance = Instance {
        id: id.clone(),
        reservation: new_id("r"),
        image: image.id.clone(),
        architecture: image.architecture.clone(),
        kind,
        state: InstanceState::Pending,
        reason: None,
        key_name: key.as_ref().map(|k| k.name.clone()),
        groups: seat.groups,
        private_ip: format!("172.31.{}.{}", ip[0], ip[1].clamp(4, 254)),
        wants_public: seat.public,
        subnet: seat.subnet.id,
        vpc: seat.subnet.vpc,
        zone: seat.subnet.zone,
        machine: None,
        launched: Utc::now(),
        token: token.map(str::to_owned),
        root_device: image.root_device.clone(),
        devices: made,
        ena: image.ena,
        sriov: image.sriov,
        ebs_optimized: params.flag("EbsOptimized") == Some(true),
        profile: params.get("IamInstanceProfile.Name").map(str::to_owned),
        metadata: metadata(params),
        interface: new_id("eni"),
        interface_tags: tags("network-interface"),
        spot: None,
        user: image.user.clone(),
        tags: tags("instance"),
    };
    let accounts =
        vec![Account { user: image.user.clone(), keys: key.into_iter().map(|k| k.public).collect(), password: None }];
    let spec = BootSpec {
        name: id.clone(),
        hostname: format!("ip-{}", instance.private_ip.replace('.', "-")),
        layers: image.layers.clone(),
        user_data: data.map(|d| String::from_utf8_lossy(&d).into_owned()),
        accounts,
    };
    let answer = reservation(region, &[&instance]);
    region.instances.insert(id.clone(), instance);
    drop(world);
    boot(cloud, call.region.clone(), id, spec, lost_key);
    Ok(answer)
}

/// Makes the volumes of an instance; the second value names a key that does not work.
fn volumes_of(
    region: &mut Region,
    instance: &str,
    zone: &str,
    planned: Vec<Planned>,
    tags: &Tags,
) -> (Vec<(String, String)>, Option<String>) {
    let (mut made, mut lost) = (Vec::new(), None);
    for plan in planned {
        let key = if plan.encrypted { key_arn(region, plan.key.as_deref()) } else { None };
        if plan.encrypted && key.is_none() {
            lost.clone_from(&plan.key);
        }
        let volume = Volume {
            id: new_id("vol"),
            ebs: Ebs { key, ..plan.ebs },
            zone: zone.to_owned(),
            created: Utc::now(),
            attached: Some((instance.to_owned(), plan.device.clone())),
            tags: tags.clone(),
        };
        made.push((plan.device, volume.id.clone()));
        region.volumes.insert(volume.id.clone(), volume);
    }
    (made, lost)
}

/// Works on an instance that exists.
pub fn with_instance<R>(
    cloud: &Cloud,
    region: &str,
    id: &str,
    work: impl FnOnce(&mut Region, &mut Instance) -> R,
) -> Option<R> {
    let mut world = cloud.aws.world();
    let region = world.region(region).ok()?;
    let mut instance = region.instances.remove(id)?;
    let result = work(region, &mut instance);
    region.instances.insert(id.to_owned(), instance);
    Some(result)
}

/// Brings the guest up; the instance runs when it answers.
fn boot(cloud: &Arc<Cloud>, region: String, id: String, spec: BootSpec, lost_key: Option<String>) {
    let cloud = cloud.clone();
    tokio::spawn(async move {
        let settled = Tick::now() + cloud.step();
        let booted = match lost_key {
            Some(_) => {
                Err(("Client.InternalError".to_owned(), "Client.InternalError: Client error on launch".to_owned()))
            }
            None => cloud.machines.boot(spec).await.map_err(|e| ("Server.InternalError".to_owned(), e.to_string())),
        };
        sleep_until(settled).await;
        let orphan = with_instance(&cloud, &region, &id, |region, i| match booted {
            Ok(machine) if i.state == InstanceState::Pending => {
                i.machine = Some(machine);
                i.state = InstanceState::Running;
                None
            }
            // It was terminated meanwhile.
            Ok(machine) => Some(machine),
            Err(reason) => {
                end(region, i);
                i.reason = Some(reason);
                None
            }
        });
        if let Some(Some(machine)) = orphan {
            cloud.machines.destroy(&machine).await;
        }
    });
}

/// The instance exists no more; neither do the volumes that go with it.
fn end(region: &mut Region, i: &mut Instance) {
    i.state = InstanceState::Terminated;
    for (_, volume) in i.devices.drain(..) {
        if region.volumes.get(&volume).is_some_and(|v| v.ebs.delete_on_termination) {
            region.volumes.remove(&volume);
        } else if let Some(left) = region.volumes.get_mut(&volume) {
            left.attached = None;
        }
    }
}

fn ids(call: &Call, region: &Region) -> Result<Vec<String>, Refused> {
    let wanted = Wanted::of(call, "InstanceId");
    if wanted.ids.is_empty() {
        return Err(Refused::missing("InstanceId"));
    }
    check_form(&wanted.ids)?;
    wanted.check_ids("InvalidInstanceID.NotFound", "instance ID", |id| region.instances.contains_key(id))?;
    Ok(wanted.ids)
}

/// Moves instances from one of `from` to `to`; others stay as they are, unless they are in none of `fine`.
fn change(
    cloud: &Arc<Cloud>,
    call: &Call,
    from: &[InstanceState],
    to: InstanceState,
    fine: &[InstanceState],
) -> Result<(Value, Vec<String>), Refused> {
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let ids = ids(call, region)?;
    for id in &ids {
        let state = region.instances.get(id).map(|i| i.state);
        if !state.is_some_and(|s| from.contains(&s) || fine.contains(&s)) {
            let name = state.map_or("", |s| s.show().1);
            let message =
                format!("The instance '{id}' is not in a state from which it can be changed so. It is {name}.");
            return Err(Refused::new("IncorrectInstanceState", message));
        }
    }
    dry_run(call)?;
    let (mut set, mut moved) = (Vec::new(), Vec::new());
    for id in ids {
        let Some(i) = region.instances.get_mut(&id) else { continue };
        let before = i.state;
        if from.contains(&before) {
            i.state = to;
            moved.push(id.clone());
        }
        let show = |s: InstanceState| json!({ "code": s.show().0, "name": s.show().1 });
        set.push(json!({ "instanceId": id, "currentState": show(i.state), "previousState": show(before) }));
    }
    Ok((json!({ "instancesSet": set }), moved))
}

/// `StopInstances`
pub fn stop(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    use InstanceState::{Pending, Running, Stopped, Stopping};
    let (answer, moved) = change(cloud, call, &[Running], Stopping, &[Stopped, Stopping, Pending])?;
    for id in moved {
        let (cloud, region) = (cloud.clone(), call.region.clone());
        tokio::spawn(async move {
            let machine = with_instance(&cloud, &region, &id, |_, i| i.machine.clone()).flatten();
            if let Some(guest) = machine.and_then(|m| m.guest) {
                // What does not stop is destroyed with the instance.
                let _ = guest.stop().await;
            }
            sleep(cloud.step()).await;
            with_instance(&cloud, &region, &id, |_, i| {
                if i.state == Stopping {
                    i.state = Stopped;
                    i.reason = Some((
                        "Client.UserInitiatedShutdown".into(),
                        "Client.UserInitiatedShutdown: User initiated shutdown".into(),
                    ));
                }
            });
        });
    }
    Ok(answer)
}

/// `StartInstances`
pub fn start(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    use InstanceState::{Pending, Running, Stopped, Terminated};
    let (answer, moved) = change(cloud, call, &[Stopped], Pending, &[Running, Pending])?;
    for id in moved {
        let (cloud, region) = (cloud.clone(), call.region.clone());
        tokio::spawn(async move {
            let machine = with_instance(&cloud, &region, &id, |_, i| i.machine.clone()).flatten();
            let started = match machine.and_then(|m| m.guest) {
                Some(guest) => guest.start().await,
                None => Ok(()),
            };
            sleep(cloud.step()).await;
            with_instance(&cloud, &region, &id, |_, i| match started {
                Ok(()) if i.state == Pending => i.state = Running,
                Ok(()) => {}
                Err(e) => {
                    i.state = Terminated;
                    i.reason = Some(("Server.InternalError".into(), e.to_string()));
                }
            });
        });
    }
    Ok(answer)
}

/// `RebootInstances`
pub fn reboot(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    use InstanceState::Running;
    let (_, moved) = change(cloud, call, &[Running], Running, &[])?;
    for id in moved {
        let (cloud, region) = (cloud.clone(), call.region.clone());
        tokio::spawn(async move {
            let machine = with_instance(&cloud, &region, &id, |_, i| i.machine.clone()).flatten();
            if let Some(guest) = machine.and_then(|m| m.guest) {
                // A guest that does not come back answers no more, as a machine that hangs.
                let _ = guest.stop().await;
                let _ = guest.start().await;
            }
        });
    }
    done()
}

/// `TerminateInstances`
pub fn terminate(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    use InstanceState::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
    let (answer, moved) =
        change(cloud, call, &[Pending, Running, Stopping, Stopped], ShuttingDown, &[ShuttingDown, Terminated])?;
    for id in moved {
        let (cloud, region) = (cloud.clone(), call.region.clone());
        tokio::spawn(async move {
            let machine = with_instance(&cloud, &region, &id, |_, i| i.machine.take()).flatten();
            if let Some(machine) = machine {
                cloud.machines.destroy(&machine).await;
            }
            sleep(cloud.step()).await;
            with_instance(&cloud, &region, &id, |region, i| {
                end(region, i);
                i.reason = Some((
                    "Client.UserInitiatedShutdown".into(),
                    "Client.UserInitiatedShutdown: User initiated shutdown".into(),
                ));
            });
        });
    }
    Ok(answer)
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
