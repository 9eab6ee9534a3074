//! Subscriptions, locations, resource groups.

use super::arm::{self, Call, Fail, Result, group_of, name_of};
use super::store::{Resource, Store, normal};
use super::{GROUP, login, vanish};
use crate::http::Response;
use serde_json::{Value, json};

/// The regions of the local cloud: name and name for people.
pub const LOCATIONS: [(&str, &str); 16] = [
    ("eastus", "East US"),
    ("eastus2", "East US 2"),
    ("centralus", "Central US"),
    ("southcentralus", "South Central US"),
    ("westus", "West US"),
    ("westus2", "West US 2"),
    ("westus3", "West US 3"),
    ("canadacentral", "Canada Central"),
    ("northeurope", "North Europe"),
    ("westeurope", "West Europe"),
    ("uksouth", "UK South"),
    ("germanywestcentral", "Germany West Central"),
    ("francecentral", "France Central"),
    ("southeastasia", "Southeast Asia"),
    ("japaneast", "Japan East"),
    ("australiaeast", "Australia East"),
];

/// Whether there is such a region, in whatever form it is written.
pub fn is_location(location: &str) -> bool {
    LOCATIONS.iter().any(|(name, _)| *name == normal(location))
}

/// Checks the `location` of a body.
///
/// # Errors
/// `LocationRequired`, `LocationNotAvailableForResourceType`.
pub fn check_location(body: &Value) -> Result<()> {
    let location = body.get("location").and_then(Value::as_str).unwrap_or_default();
    if location.is_empty() {
        return Err(Fail::new(400, "LocationRequired", "The location property is required for this definition."));
    }
    if is_location(location) {
        return Ok(());
    }
    let all = LOCATIONS.map(|(name, _)| name).join(",");
    let message = format!("The provided location '{location}' is not available. List of available regions is '{all}'.");
    Err(Fail::new(400, "LocationNotAvailableForResourceType", message))
}

/// Refuses new things in a group that goes away.
///
/// # Errors
/// `ResourceGroupBeingDeleted`.
pub fn not_deleting(store: &Store, id: &str) -> Result<()> {
    if store.need_group(id)?.state() != "Deleting" {
        return Ok(());
    }
    let message =
        format!("The resource group '{}' is in deprovisioning state and cannot perform this operation.", group_of(id));
    Err(Fail::new(409, "ResourceGroupBeingDeleted", message))
}

/// `/subscriptions`, `/subscriptions/S`, `/subscriptions/S/locations`.
pub fn subscriptions(call: &Call, segments: usize) -> Result<Response> {
    call.check_version(arm::RESOURCES, "subscriptions")?;
    let id = format!("/subscriptions/{}", login::SUBSCRIPTION);
    let one = json!({
        "id": id, "subscriptionId": login::SUBSCRIPTION, "tenantId": login::TENANT,
        "displayName": "Local subscription", "state": "Enabled", "authorizationSource": "RoleBased",
        "subscriptionPolicies": { "spendingLimit": "Off", "quotaId": "Local" },
    });
    Ok(match segments {
        1 => Response::json(200, &json!({ "value": [one] })),
        2 => Response::json(200, &one),
        _ => {
            let all = LOCATIONS.map(|(name, shown)| {
                json!({ "id": format!("{id}/locations/{name}"), "name": name, "displayName": shown, "type": "Region" })
            });
            Response::json(200, &json!({ "value": all }))
        }
    })
}

/// `/subscriptions/S/providers/NAMESPACE`: every namespace that has a type here is registered.
pub fn provider(call: &Call, namespace: &str) -> Result<Response> {
    call.check_version(arm::RESOURCES, "providers")?;
    let types: Vec<Value> = arm::TYPES
        .iter()
        .filter(|t| t.name.split('/').next().is_some_and(|n| n.eq_ignore_ascii_case(namespace)))
        .map(|t| json!({ "resourceType": t.name.split_once('/').map_or("", |(_, rest)| rest) }))
        .collect();
    if types.is_empty() {
        let message = format!("The resource namespace '{namespace}' is invalid.");
        return Err(Fail::new(404, "InvalidResourceNamespace", message));
    }
    Ok(Response::json(
        200,
        &json!({ "namespace": namespace, "registrationState": "Registered", "resourceTypes": types }),
    ))
}

/// All groups.
pub fn list(call: &Call) -> Result<Response> {
    call.check_version(arm::RESOURCES, "resourceGroups")?;
    let wanted = tag_filter(call)?;
    let store = call.store();
    let all: Vec<Value> = store.all(GROUP).map(Resource::show).filter(wanted).collect();
    Ok(Response::json(200, &json!({ "value": all })))
}

/// `$filter=tagName eq 'NAME'`, with `and tagValue eq 'VALUE'` behind it perhaps: what of it lets a resource through.
fn tag_filter(call: &Call) -> Result<impl Fn(&Value) -> bool + use<>> {
    let text = call.request.param("$filter").unwrap_or_default().to_owned();
    let quoted =
        |part: Option<&str>| part.and_then(|p| p.trim().strip_prefix('\'')?.strip_suffix('\'').map(str::to_owned));
    let (first, second) = text.split_once(" and ").map_or((text.as_str(), None), |(a, b)| (a, Some(b)));
    let name = quoted(first.strip_prefix("tagName eq "));
    let value = second.map(|s| quoted(s.strip_prefix("tagValue eq ")));
    if !text.is_empty() && name.is_none() || value == Some(None) {
        return Err(Fail::new(
            400,
            "InvalidFilterInQueryString",
            format!("Invalid $filter '{text}' specified in the query string."),
        ));
    }
    Ok(move |resource: &Value| {
        let tag = name.as_ref().map(|name| resource.get("tags").and_then(|t| t.get(name)).and_then(Value::as_str));
        match (tag, value.as_ref().and_then(Option::as_ref)) {
            (None, _) => true,
            (Some(tag), None) => tag.is_some(),
            (Some(tag), Some(value)) => tag == Some(value),
        }
    })
}

/// What all groups hold.
pub fn everything(call: &Call) -> Result<Response> {
    call.check_version(arm::RESOURCES, "resources")?;
    let wanted = tag_filter(call)?;
    let store = call.store();
    let all: Vec<Value> =
        store.all("").filter(|r| r.ty != GROUP && r.ty.matches('/').count() == 1).map(brief).filter(wanted).collect();
    Ok(Response::json(200, &json!({ "value": all })))
}

/// A resource as lists of all types show it.
fn brief(r: &Resource) -> Value {
    json!({ "id": r.id, "name": name_of(&r.id), "type": r.ty, "location": r.location(), "tags": r.body.get("tags") })
}

/// What a group holds.
pub fn content(call: &Call, name: &str) -> Result<Response> {
    call.check_version(arm::RESOURCES, "resources")?;
    let id = format!("/subscriptions/{}/resourceGroups/{name}", call.subscription);
    let store = call.store();
    store.need_group(&id)?;
    let all: Vec<Value> = store.below(&id).filter(|r| r.ty.matches('/').count() == 1).map(brief).collect();
    Ok(Response::json(200, &json!({ "value": all })))
}

/// One group.
pub fn one(call: &Call, name: &str) -> Result<Response> {
    call.check_version(arm::RESOURCES, "resourceGroups")?;
    let id = format!("/subscriptions/{}/resourceGroups/{name}", call.subscription);
    match call.request.method.as_str() {
        "GET" => Ok(Response::json(200, &call.store().need_group(&id)?.show())),
        "HEAD" => Ok(Response::empty(if call.store().get(&id).is_some() { 204 } else { 404 })),
        "PUT" => put(call, &id),
        "DELETE" => delete(call, &id),
        _ => Err(Fail::not_implemented("this method of resource groups")),
    }
}

fn put(call: &Call, id: &str) -> Result<Response> {
    let body = call.body()?;
    check_location(&body)?;
    let name = name_of(id);
    let valid = |c: char| c.is_alphanumeric() || "-_.()".contains(c);
    if name.len() > 90 || name.ends_with('.') || !name.chars().all(valid) {
        let message = format!("The provided resource group name '{name}' has these invalid characters or is too long.");
        return Err(Fail::new(400, "InvalidResourceGroup", message));
    }
    let mut store = call.store();
    let location = body["location"].as_str().unwrap_or_default();
    let known = store.get(id).map(|known| (known.location(), known.id.clone(), known.fixture));
    if let Some((there, _, _)) = &known {
        not_deleting(&store, id)?;
        if *there != normal(location) {
            let message = format!(
                "Invalid resource group location '{location}'. The Resource group already exists in location '{there}'."
            );
            return Err(Fail::new(409, "InvalidResourceGroupLocation", message));
        }
    }
    let id = known.as_ref().map_or(id, |(_, id, _)| id);
    let mut shown = json!({ "location": normal(location), "properties": { "provisioningState": "Succeeded" } });
    if let Some(tags) = body.get("tags").filter(|t| t.is_object()) {
        shown["tags"] = tags.clone();
    }
    let mut group = Resource::new(id, GROUP, shown);
    group.fixture = known.as_ref().is_some_and(|(_, _, fixture)| *fixture);
    let answer = Response::json(if known.is_some() { 200 } else { 201 }, &group.show());
    store.put(group);
    Ok(answer)
}

/// Deletes a group with everything in it.
fn delete(call: &Call, id: &str) -> Result<Response> {
    {
        let mut store = call.store();
        store.need_group(id)?;
        let inside: Vec<String> = store.below(id).map(|r| r.id.clone()).collect();
        for id in inside.iter().map(String::as_str).chain([id]) {
            if let Some(resource) = store.get_mut(id) {
                resource.set("provisioningState", "Deleting");
            }
        }
    }
    let (cloud, own) = (call.cloud.clone(), id.to_owned());
    let operation = call.begin(async move {
        // What was begun before the group was marked may still appear; the group goes when nothing is in it.
        loop {
            let next = cloud.azure.store().below(&own).next().map(|r| r.id.clone());
            match next {
                Some(id) => vanish(&cloud, &id).await,
                None => break,
            }
        }
        cloud.azure.store().remove(&own);
        Ok(None)
    });
    Ok(call.follow(Response::empty(202), GROUP, "", &operation))
}
