//! EC2: what builds of images and ordinary clients need. Everything else is answered as EC2 answers an unknown action.

mod images;
mod instances;
mod keys;
mod launch;
mod network;
mod permissions;
mod states;
mod storage;
mod tags;

use super::query::{Params, matches};
use super::resources::Tags;
use super::{Answer, Call, Refused};
use crate::cloud::Cloud;
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers one call.
pub async fn answer(cloud: &Arc<Cloud>, call: &Call) -> Answer {
    // A wrong region is refused before anything else.
    cloud.aws.world().region(&call.region)?;
    match call.action.as_str() {
        "DescribeRegions" => network::regions(call),
        "DescribeAvailabilityZones" => network::zones(cloud, call),
        "DescribeVpcs" => network::vpcs(cloud, call),
        "CreateVpc" => network::create_vpc(cloud, call),
        "DeleteVpc" => network::delete_vpc(cloud, call),
        "DescribeSubnets" => network::subnets(cloud, call),
        "CreateSubnet" => network::create_subnet(cloud, call),
        "DeleteSubnet" => network::delete_subnet(cloud, call),
        "DescribeSecurityGroups" => network::groups(cloud, call),
        "CreateSecurityGroup" => network::create_group(cloud, call),
        "DeleteSecurityGroup" => network::delete_group(cloud, call),
        "AuthorizeSecurityGroupIngress" => network::authorize(cloud, call),
        "DescribeInstanceTypeOfferings" => network::offerings(cloud, call),
        "CreateKeyPair" => keys::create(cloud, call).await,
        "ImportKeyPair" => keys::import(cloud, call),
        "DescribeKeyPairs" => keys::describe(cloud, call),
        "DeleteKeyPair" => keys::delete(cloud, call),
        "RunInstances" => launch::run(cloud, call),
        "DescribeInstances" => instances::describe(cloud, call),
        "DescribeInstanceStatus" => instances::status(cloud, call),
        "StartInstances" => states::start(cloud, call),
        "StopInstances" => states::stop(cloud, call),
        "RebootInstances" => states::reboot(cloud, call),
        "TerminateInstances" => states::terminate(cloud, call),
        "ModifyInstanceAttribute" => instances::modify(cloud, call),
        "GetConsoleOutput" => instances::console(cloud, call),
        "DescribeImages" => images::describe(cloud, call),
        "CreateImage" => images::create(cloud, call),
        "CopyImage" => images::copy(cloud, call),
        "DeregisterImage" => images::deregister(cloud, call),
        "ModifyImageAttribute" => permissions::modify_image(cloud, call),
        "DescribeImageAttribute" => permissions::describe_image(cloud, call),
        "ModifySnapshotAttribute" => permissions::modify_snapshot(cloud, call),
        "DescribeSnapshotAttribute" => permissions::describe_snapshot(cloud, call),
        "EnableImageDeprecation" | "DisableImageDeprecation" => permissions::deprecate(cloud, call),
        "EnableImageDeregistrationProtection" | "DisableImageDeregistrationProtection" => {
            permissions::protect(cloud, call)
        }
        "DescribeSnapshots" => storage::snapshots(cloud, call),
        "DeleteSnapshot" => storage::delete_snapshot(cloud, call),
        "DescribeVolumes" => storage::volumes(cloud, call),
        "DeleteVolume" => storage::delete_volume(cloud, call),
        "GetEbsDefaultKmsKeyId" | "ModifyEbsDefaultKmsKeyId" | "ResetEbsDefaultKmsKeyId" => {
            storage::default_key(cloud, call)
        }
        "CreateTags" => tags::create(cloud, call),
        "DeleteTags" => tags::delete(cloud, call),
        "DescribeTags" => tags::describe(cloud, call),
        other => Err(Refused::new("InvalidAction", format!("The action {other} is not valid for this web service."))),
    }
}

/// The answer to a call that only tries.
fn dry_run(call: &Call) -> Result<(), Refused> {
    if call.params.flag("DryRun") == Some(true) {
        let message = "Request would have succeeded, but DryRun flag is set.";
        return Err(Refused { status: 412, ..Refused::new("DryRunOperation", message) });
    }
    Ok(())
}

/// The value of a parameter that has to be there.
fn need<'a>(call: &'a Call, name: &str) -> Result<&'a str, Refused> {
    call.params.get(name).ok_or_else(|| Refused::missing(name))
}

/// `<return>true</return>`
fn done() -> Answer {
    Ok(json!({ "return": true }))
}

/// What a Describe call asks for.
struct Wanted {
    ids: Vec<String>,
    filters: Vec<(String, Vec<String>)>,
}

impl Wanted {
    /// Ids of `parameter.N`, filters of `Filter.N`.
    fn of(call: &Call, parameter: &str) -> Wanted {
        let filter = |f: &Params| (f.get("Name").unwrap_or_default().to_owned(), f.list("Value"));
        Wanted { ids: call.params.list(parameter), filters: call.params.items("Filter").iter().map(filter).collect() }
    }
    /// Refuses ids that do not exist.
    fn check_ids(&self, code: &str, what: &str, exists: impl Fn(&str) -> bool) -> Result<(), Refused> {
        let missing: Vec<&str> = self.ids.iter().map(String::as_str).filter(|id| !exists(id)).collect();
        match missing[..] {
            [] => Ok(()),
            [id] => Err(Refused::new(code, format!("The {what} '{id}' does not exist"))),
            _ => Err(Refused::new(code, format!("The {what}s '{}' do not exist", missing.join(", ")))),
        }
    }
    /// Whether a resource is among the wanted: by id, by its tags, and by what it has for each filter's name.
    fn takes(&self, id: &str, tags: &Tags, value: impl Fn(&str) -> Option<Vec<String>>) -> Result<bool, Refused> {
        if !self.ids.is_empty() && !self.ids.iter().any(|i| i == id) {
            return Ok(false);
        }
        for (name, patterns) in &self.filters {
            let own = match name.strip_prefix("tag:") {
                Some(key) => tags.get(key).cloned().into_iter().collect(),
                None if name == "tag-key" => tags.keys().cloned().collect(),
                None => value(name).ok_or_else(|| Refused::invalid(format!("The filter '{name}' is invalid")))?,
            };
            if !own.iter().any(|o| patterns.iter().any(|p| matches(p, o))) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// One value for a filter.
fn one(value: impl Into<String>) -> Option<Vec<String>> {
    Some(vec![value.into()])
}

/// Tags as every answer lists them.
fn tag_set(tags: &Tags) -> Value {
    tags.iter().map(|(k, v)| json!({ "key": k, "value": v })).collect()
}

/// Most tags of a resource.
const TAG_LIMIT: usize = 50;

/// Tags of `Tag.N.Key`, `Tag.N.Value`.
fn read_tags(params: &Params) -> Result<Tags, Refused> {
    let mut tags = Tags::new();
    for tag in params.items("Tag") {
        let key = tag.get("Key").ok_or_else(|| Refused::missing("Tag.Key"))?;
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(Refused::invalid("Tag keys starting with 'aws:' are reserved for internal use"));
        }
        let value = tag.get("Value").unwrap_or_default();
        if key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(Refused::invalid(format!("Tag {key} exceeds the maximum length")));
        }
        tags.insert(key.to_owned(), value.to_owned());
    }
    if tags.len() > TAG_LIMIT {
        return Err(Refused::new("TagLimitExceeded", "The maximum number of Tags for a resource has been reached."));
    }
    Ok(tags)
}

/// Tags by kind of resource, of a create call's `TagSpecification.N`; other kinds than `allowed` are refused.
fn specified_tags(call: &Call, allowed: &[&str]) -> Result<impl Fn(&str) -> Tags, Refused> {
    let mut all: Vec<(String, Tags)> = Vec::new();
    for specification in call.params.items("TagSpecification") {
        let kind =
            specification.get("ResourceType").ok_or_else(|| Refused::missing("TagSpecification.ResourceType"))?;
        if !allowed.contains(&kind) {
            return Err(Refused::invalid(format!(
                "'{kind}' is not a valid taggable resource type for this operation."
            )));
        }
        let tags = read_tags(&specification)?;
        if tags.is_empty() {
            return Err(Refused::invalid("Tag specification must have at least one tag"));
        }
        all.push((kind.to_owned(), tags));
    }
    Ok(move |kind: &str| all.iter().filter(|(k, _)| k == kind).flat_map(|(_, t)| t.clone()).collect())
}
