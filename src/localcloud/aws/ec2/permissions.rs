//! Who may use images and snapshots, and other attributes of images.

use super::super::query::Params;
use super::super::resources::{self, Image};
use super::super::world::Region;
use super::super::{ACCOUNT, Answer, Call, Refused};
use super::{done, dry_run, need};
use crate::cloud::Cloud;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

fn own<'a>(region: &'a mut Region, id: &str) -> Result<&'a mut Image, Refused> {
    if region.deregistered.contains(id) {
        return Err(Refused::new("InvalidAMIID.Unavailable", format!("The image ID '{id}' is no longer available")));
    }
    let image = region.images.get_mut(id);
    let image =
        image.ok_or_else(|| Refused::new("InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist")))?;
    if image.owner != ACCOUNT {
        return Err(Refused::new("AuthFailure", format!("Not authorized for image:{id}")));
    }
    Ok(image)
}

/// Permissions that a call adds or removes.
#[derive(Default)]
struct Grants {
    users: Vec<String>,
    groups: Vec<String>,
    organizations: Vec<String>,
    units: Vec<String>,
}

impl Grants {
    fn of(items: &[Params]) -> Grants {
        let all = |name: &str| items.iter().filter_map(|p| p.get(name).map(str::to_owned)).collect();
        Grants {
            users: all("UserId"),
            groups: all("Group"),
            organizations: all("OrganizationArn"),
            units: all("OrganizationalUnitArn"),
        }
    }
    fn is_empty(&self) -> bool {
        self.users.is_empty() && self.groups.is_empty() && self.organizations.is_empty() && self.units.is_empty()
    }
    fn check(&self, attribute: &str) -> Result<(), Refused> {
        let wrong = |value: &str, kind: &str| {
            Refused::new(
                "InvalidAMIAttributeItemValue",
                format!("Invalid attribute item value \"{value}\" for {kind} item type."),
            )
        };
        if let Some(user) = self.users.iter().find(|u| u.len() != 12 || !u.chars().all(|c| c.is_ascii_digit())) {
            return Err(wrong(user, "userId"));
        }
        if let Some(group) = self.groups.iter().find(|g| *g != "all") {
            return Err(wrong(group, "group"));
        }
        let arn = |a: &&String| !a.starts_with("arn:aws:organizations::");
        if let Some(bad) = self.organizations.iter().chain(&self.units).find(arn) {
            return Err(wrong(bad, attribute));
        }
        Ok(())
    }
}

fn change(set: &mut BTreeSet<String>, add: Vec<String>, remove: &[String]) {
    set.extend(add);
    set.retain(|v| !remove.contains(v));
}

/// What is encrypted with a key that AWS manages can be used by nobody else.
fn check_shareable(region: &Region, keys: &[String], public: bool, what: &str) -> Result<(), Refused> {
    let managed = keys.iter().any(|k| region.keys.values().any(|own| own.arn == *k && !own.customer));
    if managed {
        return Err(Refused::new(
            if what == "image" { "InvalidParameter" } else { "OperationNotPermitted" },
            "Snapshots encrypted with the AWS Managed CMK can't be shared",
        ));
    }
    if public && !keys.is_empty() {
        return Err(Refused::new("InvalidParameter", "Snapshots that are encrypted cannot be shared publicly"));
    }
    Ok(())
}

/// The grants of `nested.Add` and `nested.Remove`; or of the flat lists with `OperationType`, where nothing is nested.
fn grants(call: &Call, nested: &str, group: &str) -> (Grants, Grants) {
    let params = &call.params;
    let (add, remove) =
        (Grants::of(&params.items(&format!("{nested}.Add"))), Grants::of(&params.items(&format!("{nested}.Remove"))));
    let operation = params.get("OperationType");
    if !add.is_empty() || !remove.is_empty() || operation.is_none() {
        return (add, remove);
    }
    let flat = Grants {
        users: params.list("UserId"),
        groups: params.list(group),
        organizations: params.list("OrganizationArn"),
        units: params.list("OrganizationalUnitArn"),
    };
    if operation == Some("remove") { (Grants::default(), flat) } else { (flat, Grants::default()) }
}

/// `ModifyImageAttribute`, one attribute a call.
pub fn modify_image(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let id = need(call, "ImageId")?;
    let params = &call.params;
    let (add, remove) = grants(call, "LaunchPermission", "UserGroup");
    add.check("launchPermission")?;
    let launch = !add.is_empty() || !remove.is_empty();
    let codes = params.list("ProductCode");
    let value = |name: &str| {
        params.get(&format!("{name}.Value")).or_else(|| {
            // The other spelling: the attribute's name, and its value.
            params.get("Attribute").filter(|a| a.eq_ignore_ascii_case(name)).and_then(|_| params.get("Value"))
        })
    };
    let (description, imds) = (value("Description"), value("ImdsSupport"));
    let kinds = [launch, !codes.is_empty(), description.is_some(), imds.is_some()];
    match kinds.iter().filter(|k| **k).count() {
        0 => return Err(Refused::missing("attribute")),
        1 => {}
        _ => return Err(Refused::new("InvalidParameterCombination", "Only one attribute can be modified at a time")),
    }
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let image = own(region, id)?.clone();
    let keys: Vec<String> = image.devices.iter().filter_map(|d| d.ebs.as_ref()?.key.clone()).collect();
    if !add.is_empty() {
        check_shareable(region, &keys, !add.groups.is_empty(), "image")?;
    }
    if imds.is_some_and(|v| v != "v2.0") {
        return Err(Refused::invalid("Value for parameter ImdsSupport is invalid."));
    }
    dry_run(call)?;
    let image = own(region, id)?;
    if !add.groups.is_empty() || !remove.groups.is_empty() {
        image.public = !add.groups.is_empty();
    }
    change(&mut image.users, add.users, &remove.users);
    change(&mut image.organizations, add.organizations, &remove.organizations);
    change(&mut image.units, add.units, &remove.units);
    image.product_codes.extend(codes);
    if let Some(text) = description {
        text.clone_into(&mut image.description);
    }
    image.imds = imds.map(str::to_owned).or(image.imds.take());
    done()
}

/// `DescribeImageAttribute`
pub fn describe_image(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let image = own(region, need(call, "ImageId")?)?;
    let mut answer = json!({ "imageId": image.id });
    let list = |set: &BTreeSet<String>, name: &str| set.iter().map(|v| json!({ name: v })).collect::<Vec<Value>>();
    match need(call, "Attribute")? {
        "launchPermission" => {
            let mut all = if image.public { vec![json!({ "group": "all" })] } else { Vec::new() };
            all.extend(list(&image.users, "userId"));
            all.extend(list(&image.organizations, "organizationArn"));
            all.extend(list(&image.units, "organizationalUnitArn"));
            answer["launchPermission"] = Value::Array(all);
        }
        "description" => answer["description"] = json!({ "value": image.description }),
        "productCodes" => answer["productCodes"] = Value::Array(list(&image.product_codes, "productCode")),
        "imdsSupport" => answer["imdsSupport"] = json!({ "value": image.imds }),
        "sriovNetSupport" => answer["sriovNetSupport"] = json!({ "value": image.sriov.then_some("simple") }),
        other => return Err(Refused::invalid(format!("Value ({other}) for parameter attribute is invalid."))),
    }
    Ok(answer)
}

fn snapshot_id<'a>(region: &Region, call: &'a Call) -> Result<&'a str, Refused> {
    let id = need(call, "SnapshotId")?;
    if region.snapshots.contains_key(id) {
        return Ok(id);
    }
    Err(Refused::new("InvalidSnapshot.NotFound", format!("The snapshot '{id}' does not exist.")))
}

/// `ModifySnapshotAttribute`
pub fn modify_snapshot(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let (add, remove) = grants(call, "CreateVolumePermission", "UserGroup");
    add.check("createVolumePermission")?;
    if add.is_empty() && remove.is_empty() {
        return Err(Refused::missing("createVolumePermission"));
    }
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let id = snapshot_id(region, call)?;
    let keys: Vec<String> = region.snapshots.get(id).and_then(|s| s.key.clone()).into_iter().collect();
    if !add.is_empty() {
        check_shareable(region, &keys, !add.groups.is_empty(), "snapshot")?;
    }
    dry_run(call)?;
    if let Some(snapshot) = region.snapshots.get_mut(id) {
        if !add.groups.is_empty() || !remove.groups.is_empty() {
            snapshot.public = !add.groups.is_empty();
        }
        change(&mut snapshot.users, add.users, &remove.users);
    }
    done()
}

/// `DescribeSnapshotAttribute`
pub fn describe_snapshot(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let id = snapshot_id(region, call)?;
    let snapshot = region.snapshots.get(id);
    let mut all: Vec<Value> = snapshot.filter(|s| s.public).map(|_| json!({ "group": "all" })).into_iter().collect();
    all.extend(snapshot.iter().flat_map(|s| s.users.iter().map(|u| json!({ "userId": u }))));
    Ok(json!({ "snapshotId": id, "createVolumePermission": all }))
}

/// `EnableImageDeprecation`, `DisableImageDeprecation`
pub fn deprecate(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let at = match call.action.as_str() {
        "EnableImageDeprecation" => {
            let at = need(call, "DeprecateAt")?;
            let parsed = chrono::DateTime::parse_from_rfc3339(at);
            let parsed =
                parsed.map_err(|_| Refused::invalid(format!("Value ({at}) for parameter DeprecateAt is invalid.")))?;
            if parsed < chrono::Utc::now() {
                return Err(Refused::invalid("The deprecation time cannot be in the past."));
            }
            Some(resources::time(parsed.into()))
        }
        _ => None,
    };
    let image = own(region, need(call, "ImageId")?)?;
    dry_run(call)?;
    image.deprecates = at;
    done()
}

/// `EnableImageDeregistrationProtection`, `DisableImageDeregistrationProtection`
pub fn protect(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let on = call.action == "EnableImageDeregistrationProtection";
    let image = own(region, need(call, "ImageId")?)?;
    dry_run(call)?;
    image.protected = on;
    Ok(json!({ "return": if on { "enabled-without-cooldown" } else { "disabled" } }))
}
