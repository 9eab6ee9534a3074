//! Regions, zones, VPCs, subnets, security groups.

use super::super::resources::{Group, Rule, Subnet, Tags, Vpc, new_id};
use super::super::world::{Region, World};
use super::super::{ACCOUNT, Answer, Call, Refused};
use super::{Wanted, done, dry_run, need, one, specified_tags, tag_set};
use crate::cloud::Cloud;
use serde_json::{Value, json};
use std::sync::Arc;

/// `DescribeRegions`
pub fn regions(call: &Call) -> Answer {
    let wanted = Wanted::of(call, "RegionName");
    wanted.check_ids("InvalidParameterValue", "region", |id| World::region_names().any(|n| n == id))?;
    let mut set = Vec::new();
    for name in World::region_names() {
        let endpoint = format!("ec2.{name}.amazonaws.com");
        let value = |filter: &str| match filter {
            "region-name" => one(name),
            "endpoint" => one(&endpoint),
            "opt-in-status" => one("opt-in-not-required"),
            _ => None,
        };
        if wanted.takes(name, &Tags::new(), value)? {
            set.push(json!({ "regionName": name, "regionEndpoint": endpoint, "optInStatus": "opt-in-not-required" }));
        }
    }
    Ok(json!({ "regionInfo": set }))
}

/// `DescribeAvailabilityZones`
pub fn zones(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let wanted = Wanted::of(call, "ZoneName");
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    wanted.check_ids("InvalidParameterValue", "availability zone", |id| region.zones.iter().any(|z| z == id))?;
    let mut set = Vec::new();
    for (n, zone) in region.zones.iter().enumerate() {
        let value = |filter: &str| match filter {
            "zone-name" => one(zone),
            "region-name" => one(&region.name),
            "state" => one("available"),
            "zone-type" => one("availability-zone"),
            _ => None,
        };
        if wanted.takes(zone, &Tags::new(), value)? {
            set.push(json!({
                "zoneName": zone,
                "zoneId": format!("{}-az{}", region.name, n + 1),
                "zoneState": "available",
                "regionName": region.name,
                "zoneType": "availability-zone",
                "optInStatus": "opt-in-not-required",
                "messageSet": [],
            }));
        }
    }
    Ok(json!({ "availabilityZoneInfo": set }))
}

fn show_vpc(vpc: &Vpc) -> Value {
    json!({
        "vpcId": vpc.id,
        "ownerId": ACCOUNT,
        "state": "available",
        "cidrBlock": vpc.cidr,
        "isDefault": vpc.default,
        "instanceTenancy": "default",
        "tagSet": tag_set(&vpc.tags),
    })
}

/// `DescribeVpcs`
pub fn vpcs(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let wanted = Wanted::of(call, "VpcId");
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    wanted.check_ids("InvalidVpcID.NotFound", "vpc ID", |id| region.vpcs.contains_key(id))?;
    let mut set = Vec::new();
    for vpc in region.vpcs.values() {
        let value = |filter: &str| match filter {
            "vpc-id" => one(&vpc.id),
            "is-default" | "isDefault" => one(vpc.default.to_string()),
            "state" => one("available"),
            "cidr" | "cidr-block" => one(&vpc.cidr),
            "owner-id" => one(ACCOUNT),
            _ => None,
        };
        if wanted.takes(&vpc.id, &vpc.tags, value)? {
            set.push(show_vpc(vpc));
        }
    }
    Ok(json!({ "vpcSet": set }))
}

/// `CreateVpc`
pub fn create_vpc(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let cidr = need(call, "CidrBlock")?;
    let tags = specified_tags(call, &["vpc"])?;
    dry_run(call)?;
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let vpc = Vpc { id: new_id("vpc"), cidr: cidr.to_owned(), default: false, tags: tags("vpc") };
    let group = Group {
        id: new_id("sg"),
        name: "default".into(),
        description: "default VPC security group".into(),
        vpc: vpc.id.clone(),
        rules: Vec::new(),
        tags: Tags::new(),
    };
    region.groups.insert(group.id.clone(), group);
    let answer = json!({ "vpc": show_vpc(&vpc) });
    region.vpcs.insert(vpc.id.clone(), vpc);
    Ok(answer)
}

/// `DeleteVpc`
pub fn delete_vpc(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let id = need(call, "VpcId")?;
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    if !region.vpcs.contains_key(id) {
        return Err(Refused::new("InvalidVpcID.NotFound", format!("The vpc ID '{id}' does not exist")));
    }
    let used = region.subnets.values().any(|s| s.vpc == id)
        || region.groups.values().any(|g| g.vpc == id && g.name != "default");
    if used {
        return Err(Refused::new(
            "DependencyViolation",
            format!("The vpc '{id}' has dependencies and cannot be deleted."),
        ));
    }
    region.groups.retain(|_, g| g.vpc != id);
    region.vpcs.remove(id);
    done()
}

fn show_subnet(subnet: &Subnet) -> Value {
    json!({
        "subnetId": subnet.id,
        "subnetArn": format!("arn:aws:ec2:{}:{ACCOUNT}:subnet/{}", subnet.zone.trim_end_matches(char::is_alphabetic), subnet.id),
        "state": "available",
        "ownerId": ACCOUNT,
        "vpcId": subnet.vpc,
        "cidrBlock": subnet.cidr,
        "availableIpAddressCount": subnet.free,
        "availabilityZone": subnet.zone,
        "defaultForAz": subnet.default,
        "mapPublicIpOnLaunch": subnet.public,
        "assignIpv6AddressOnCreation": false,
        "tagSet": tag_set(&subnet.tags),
    })
}

/// `DescribeSubnets`
pub fn subnets(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let wanted = Wanted::of(call, "SubnetId");
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    wanted.check_ids("InvalidSubnetID.NotFound", "subnet ID", |id| region.subnets.contains_key(id))?;
    let mut set = Vec::new();
    for subnet in region.subnets.values() {
        let value = |filter: &str| match filter {
            "subnet-id" => one(&subnet.id),
            "vpc-id" => one(&subnet.vpc),
            "state" => one("available"),
            "availability-zone" | "availabilityZone" => one(&subnet.zone),
            "cidr" | "cidr-block" | "cidrBlock" => one(&subnet.cidr),
            "default-for-az" | "defaultForAz" => one(subnet.default.to_string()),
            "map-public-ip-on-launch" => one(subnet.public.to_string()),
            "owner-id" => one(ACCOUNT),
            _ => None,
        };
        if wanted.takes(&subnet.id, &subnet.tags, value)? {
            set.push(show_subnet(subnet));
        }
    }
    Ok(json!({ "subnetSet": set }))
}

/// `CreateSubnet`
pub fn create_subnet(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let (vpc, cidr) = (need(call, "VpcId")?, need(call, "CidrBlock")?);
    let tags = specified_tags(call, &["subnet"])?;
    dry_run(call)?;
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    if !region.vpcs.contains_key(vpc) {
        return Err(Refused::new("InvalidVpcID.NotFound", format!("The vpc ID '{vpc}' does not exist")));
    }
    let zone = call.params.get("AvailabilityZone").unwrap_or(&region.zones[0]).to_owned();
    if !region.zones.contains(&zone) {
        return Err(Refused::invalid(format!("Value ({zone}) for parameter availabilityZone is invalid.")));
    }
    let subnet = Subnet {
        id: new_id("subnet"),
        vpc: vpc.to_owned(),
        zone,
        cidr: cidr.to_owned(),
        public: false,
        default: false,
        free: 251,
        tags: tags("subnet"),
    };
    let answer = json!({ "subnet": show_subnet(&subnet) });
    region.subnets.insert(subnet.id.clone(), subnet);
    Ok(answer)
}

/// `DeleteSubnet`
pub fn delete_subnet(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let id = need(call, "SubnetId")?;
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    if region.instances.values().any(|i| i.subnet == id && i.state.show().1 != "terminated") {
        return Err(Refused::new(
            "DependencyViolation",
            format!("The subnet '{id}' has dependencies and cannot be deleted."),
        ));
    }
    match region.subnets.remove(id) {
        Some(_) => done(),
        None => Err(Refused::new("InvalidSubnetID.NotFound", format!("The subnet ID '{id}' does not exist"))),
    }
}

fn show_group(group: &Group) -> Value {
    let permissions: Vec<Value> = group
        .rules
        .iter()
        .map(|r| {
            let six = r.cidr.contains(':');
            json!({
                "ipProtocol": r.protocol,
                "fromPort": r.from,
                "toPort": r.to,
                "groups": [],
                "ipRanges": if six { json!([]) } else { json!([{ "cidrIp": r.cidr }]) },
                "ipv6Ranges": if six { json!([{ "cidrIpv6": r.cidr }]) } else { json!([]) },
                "prefixListIds": [],
            })
        })
        .collect();
    json!({
        "ownerId": ACCOUNT,
        "groupId": group.id,
        "groupName": group.name,
        "groupDescription": group.description,
        "vpcId": group.vpc,
        "ipPermissions": permissions,
        "ipPermissionsEgress": [{
            "ipProtocol": "-1", "groups": [], "ipRanges": [{ "cidrIp": "0.0.0.0/0" }], "ipv6Ranges": [], "prefixListIds": [],
        }],
        "tagSet": tag_set(&group.tags),
    })
}

/// `DescribeSecurityGroups`
pub fn groups(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let wanted = Wanted::of(call, "GroupId");
    let names = call.params.list("GroupName");
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    wanted.check_ids("InvalidGroup.NotFound", "security group", |id| region.groups.contains_key(id))?;
    let mut set = Vec::new();
    for group in region.groups.values().filter(|g| names.is_empty() || names.contains(&g.name)) {
        let value = |filter: &str| match filter {
            "group-id" => one(&group.id),
            "group-name" => one(&group.name),
            "description" => one(&group.description),
            "vpc-id" => one(&group.vpc),
            "owner-id" => one(ACCOUNT),
            _ => None,
        };
        if wanted.takes(&group.id, &group.tags, value)? {
            set.push(show_group(group));
        }
    }
    if set.is_empty() && !names.is_empty() {
        return Err(Refused::new(
            "InvalidGroup.NotFound",
            format!("The security group '{}' does not exist", names.join(", ")),
        ));
    }
    Ok(json!({ "securityGroupInfo": set }))
}

fn default_vpc(region: &Region) -> Result<String, Refused> {
    let vpc = region.vpcs.values().find(|v| v.default).map(|v| v.id.clone());
    vpc.ok_or_else(|| Refused::new("VPCIdNotSpecified", "No default VPC for this user"))
}

/// `CreateSecurityGroup`
pub fn create_group(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let (name, description) = (need(call, "GroupName")?, need(call, "GroupDescription")?);
    let tags = specified_tags(call, &["security-group"])?;
    dry_run(call)?;
    if name.starts_with("sg-") {
        return Err(Refused::invalid(format!(
            "Value ({name}) for parameter GroupName is invalid. Group names may not be in the format sg-*."
        )));
    }
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let vpc = match call.params.get("VpcId") {
        Some(vpc) if region.vpcs.contains_key(vpc) => vpc.to_owned(),
        Some(vpc) => return Err(Refused::new("InvalidVpcID.NotFound", format!("The vpc ID '{vpc}' does not exist"))),
        None => default_vpc(region)?,
    };
    if region.groups.values().any(|g| g.name == name && g.vpc == vpc) {
        return Err(Refused::new(
            "InvalidGroup.Duplicate",
            format!("The security group '{name}' already exists for VPC '{vpc}'"),
        ));
    }
    let group = Group {
        id: new_id("sg"),
        name: name.to_owned(),
        description: description.to_owned(),
        vpc,
        rules: Vec::new(),
        tags: tags("security-group"),
    };
    let answer = json!({ "return": true, "groupId": group.id, "tagSet": tag_set(&group.tags) });
    region.groups.insert(group.id.clone(), group);
    Ok(answer)
}

/// `DeleteSecurityGroup`: refused while an instance that has not ended uses it.
pub fn delete_group(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let id = match (call.params.get("GroupId"), call.params.get("GroupName")) {
        (Some(id), _) => id.to_owned(),
        (None, Some(name)) => {
            let group = region.groups.values().find(|g| g.name == name);
            group.map(|g| g.id.clone()).unwrap_or_else(|| name.to_owned())
        }
        (None, None) => return Err(Refused::missing("GroupId")),
    };
    let Some(group) = region.groups.get(&id) else {
        return Err(Refused::new("InvalidGroup.NotFound", format!("The security group '{id}' does not exist")));
    };
    if group.name == "default" {
        return Err(Refused::new(
            "CannotDelete",
            format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user"),
        ));
    }
    dry_run(call)?;
    if region.instances.values().any(|i| i.state.show().1 != "terminated" && i.groups.contains(&id)) {
        return Err(Refused::new("DependencyViolation", format!("resource {id} has a dependent object")));
    }
    region.groups.remove(&id);
    Ok(json!({ "return": true, "groupId": id }))
}

/// `AuthorizeSecurityGroupIngress`
pub fn authorize(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let id = need(call, "GroupId")?;
    let mut rules = Vec::new();
    for permission in call.params.items("IpPermissions") {
        let four = permission.items("IpRanges").into_iter().filter_map(|r| r.get("CidrIp").map(str::to_owned));
        let six = permission.items("Ipv6Ranges").into_iter().filter_map(|r| r.get("CidrIpv6").map(str::to_owned));
        for cidr in four.chain(six) {
            if cidr
                .split_once('/')
                .is_none_or(|(a, l)| a.parse::<std::net::IpAddr>().is_err() || l.parse::<u8>().is_err())
            {
                return Err(Refused::invalid(format!("CIDR block {cidr} is malformed")));
            }
            rules.push(Rule {
                protocol: permission.get("IpProtocol").unwrap_or("-1").to_owned(),
                from: permission.number("FromPort").unwrap_or(-1),
                to: permission.number("ToPort").unwrap_or(-1),
                cidr,
            });
        }
    }
    if rules.is_empty() {
        return Err(Refused::missing("ipPermissions"));
    }
    dry_run(call)?;
    let mut world = cloud.aws.world();
    let Some(group) = world.region(&call.region)?.groups.get_mut(id) else {
        return Err(Refused::new("InvalidGroup.NotFound", format!("The security group '{id}' does not exist")));
    };
    if let Some(rule) = rules.iter().find(|r| group.rules.contains(r)) {
        let message = format!(
            "the specified rule \"peer: {}, {}, from port: {}, to port: {}, ALLOW\" already exists",
            rule.cidr,
            rule.protocol.to_uppercase(),
            rule.from,
            rule.to
        );
        return Err(Refused::new("InvalidPermission.Duplicate", message));
    }
    group.rules.extend(rules);
    Ok(json!({ "return": true, "securityGroupRuleSet": [] }))
}

/// Families of instance types, and whether their machines are arm64.
const FAMILIES: [(&str, bool); 30] = [
    ("t2", false),
    ("t3", false),
    ("t3a", false),
    ("t4g", true),
    ("m4", false),
    ("m5", false),
    ("m5a", false),
    ("m5d", false),
    ("m5n", false),
    ("m6a", false),
    ("m6g", true),
    ("m6i", false),
    ("m7a", false),
    ("m7g", true),
    ("m7i", false),
    ("m7i-flex", false),
    ("c4", false),
    ("c5", false),
    ("c5a", false),
    ("c5d", false),
    ("c6a", false),
    ("c6g", true),
    ("c6i", false),
    ("c7a", false),
    ("c7g", true),
    ("c7i", false),
    ("r5", false),
    ("r6g", true),
    ("r6i", false),
    ("g4dn", false),
];

/// Sizes of instance types.
const SIZES: [&str; 14] = [
    "nano", "micro", "small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "9xlarge", "12xlarge",
    "16xlarge", "24xlarge", "metal",
];

/// The architecture of an instance type's machines; `None` where there is no such type.
pub fn architecture(instance_type: &str) -> Option<&'static str> {
    let (family, size) = instance_type.split_once('.')?;
    let (_, arm) = FAMILIES.iter().find(|(f, _)| *f == family)?;
    SIZES.contains(&size).then_some(if *arm { "arm64" } else { "x86_64" })
}

/// `DescribeInstanceTypeOfferings`
pub fn offerings(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let wanted = Wanted::of(call, "none");
    let kind = call.params.get("LocationType").unwrap_or("region");
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let places = if kind == "availability-zone" { region.zones.clone() } else { vec![region.name.clone()] };
    let types = FAMILIES.iter().flat_map(|(f, _)| SIZES.iter().map(move |s| format!("{f}.{s}")));
    let mut set = Vec::new();
    for instance_type in types {
        for place in &places {
            let value = |filter: &str| match filter {
                "instance-type" => one(&instance_type),
                "location" => one(place),
                _ => None,
            };
            // The oldest zone of Virginia has no newer types.
            let there = place != "us-east-1e" || instance_type.starts_with("t2.") || instance_type.starts_with("m4.");
            if there && wanted.takes("", &Tags::new(), value)? {
                set.push(json!({ "instanceType": instance_type, "locationType": kind, "location": place }));
            }
        }
    }
    Ok(json!({ "instanceTypeOfferingSet": set }))
}
