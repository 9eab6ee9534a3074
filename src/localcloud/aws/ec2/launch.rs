//! `RunInstances`: what a launch must name, and the guest behind the instance.

use super::super::query::Params;
use super::super::resources::{Ebs, Image, Instance, InstanceState, Progress, Subnet, Tags, Volume, new_id};
use super::super::world::Region;
use super::super::{ACCOUNT, Answer, Call, Refused};
use super::instances::reservation;
use super::states::{end, with_instance};
use super::storage::{key_arn, read_ebs};
use super::{dry_run, network, specified_tags};
use crate::cloud::Cloud;
use crate::guest::{Account, BootSpec};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::{Instant as Tick, sleep_until};

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
