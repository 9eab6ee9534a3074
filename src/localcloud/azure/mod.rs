//! Azure: the documents and tokens of its login, and Resource Manager with the resources that image builds use.
//!
//! | file | what |
//! | --- | --- |
//! | [`login`] | metadata, OpenID documents, tokens |
//! | [`arm`] | errors, ids, api-versions, operations over time |
//! | [`store`] | what exists |
//! | [`fixtures`] | what exists from the start |
//! | [`groups`] | subscriptions, locations, resource groups |
//! | [`network`] | addresses, security groups, networks, interfaces |
//! | [`machines`] | virtual machines |
//! | [`disks`] | disks and snapshots |
//! | [`images`] | managed images and the marketplace's |
//! | [`galleries`] | galleries, definitions, versions |

pub mod arm;
pub mod disks;
pub mod fixtures;
pub mod galleries;
pub mod groups;
pub mod images;
pub mod login;
pub mod machines;
pub mod network;
pub mod store;

use crate::cloud::{Cloud, Existing};
use crate::fault::Fault;
use crate::http::{Request, Response};
use arm::{Call, Fail, Result, Target};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Resource, Store};

/// The type of resource groups.
pub const GROUP: &str = "Microsoft.Resources/resourceGroups";

/// What exists.
pub struct State {
    /// The secret of the local application, and the token of whoever is "logged in".
    pub account: login::Account,
    store: Mutex<Store>,
}

impl Default for State {
    fn default() -> State {
        let account = login::Account::new();
        let mut store = Store::default();
        store.add_token(&account.token, login::CLI_TOKEN_LIFE);
        fixtures::fill(&mut store);
        State { account, store: Mutex::new(store) }
    }
}

impl State {
    /// The state, locked. Never hold it over an `.await`.
    pub fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How clients find it.
pub fn env(cloud: &Cloud) -> Vec<(String, String)> {
    let account = &cloud.azure.account;
    let pairs = [
        // The names that Packer's plugin and Terraform read.
        ("ARM_METADATA_URL", cloud.http_url()),
        ("ARM_SUBSCRIPTION_ID", login::SUBSCRIPTION.to_owned()),
        ("ARM_TENANT_ID", login::TENANT.to_owned()),
        ("ARM_CLIENT_ID", login::CLIENT.to_owned()),
        ("ARM_CLIENT_SECRET", account.secret.clone()),
        // The names that azure-identity reads.
        ("AZURE_SUBSCRIPTION_ID", login::SUBSCRIPTION.to_owned()),
        ("AZURE_TENANT_ID", login::TENANT.to_owned()),
        ("AZURE_CLIENT_ID", login::CLIENT.to_owned()),
        ("AZURE_CLIENT_SECRET", account.secret.clone()),
        ("AZURE_AUTHORITY_HOST", cloud.https_url()),
        // Our own: what `az account get-access-token` would say.
        ("IMAGE_ACTION_LOCAL_AZURE_TOKEN", account.token.clone()),
    ];
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

/// Answers one request.
pub async fn handle(cloud: &Arc<Cloud>, request: &Request) -> Response {
    let response = match login::handle(cloud, request) {
        Some(response) => response,
        None => manager(cloud, request).unwrap_or_else(|fail| refuse(request, &fail)),
    };
    let id = uuid::Uuid::new_v4().to_string();
    response.header("x-ms-request-id", id.clone()).header("x-ms-correlation-request-id", id)
}

/// An error; a 401 also says where to log in.
fn refuse(request: &Request, fail: &Fail) -> Response {
    let response = fail.response();
    if fail.status != 401 {
        return response;
    }
    response.header("www-authenticate", login::challenge(&request.origin()))
}

/// A fault in this service's own envelope.
pub fn fault(request: &Request, fault: &Fault) -> Response {
    let _ = request;
    let code = if fault.code.is_empty() { "InternalServerError" } else { &fault.code };
    let message = if fault.message.is_empty() { "A fault that was asked for." } else { &fault.message };
    let fail = Fail::new(fault.status, code, message);
    if fault.status == 200 {
        // An operation that fails says so with status 200.
        return Response::json(200, &json!({ "status": "Failed", "error": fail.body() }));
    }
    let response = fail.response();
    if fault.status == 429 { response.header("retry-after", "1") } else { response }
}

/// Everything that is no fixture.
pub fn existing(cloud: &Cloud) -> Vec<Existing> {
    let store = cloud.azure.store();
    let made = store.all("").filter(|r| !r.fixture);
    made.map(|r| Existing {
        provider: "azure",
        kind: r.ty.to_owned(),
        place: if r.ty == GROUP { r.location() } else { arm::group_of(&r.id).to_owned() },
        id: r.id.clone(),
        state: if r.ty == machines::TYPE { r.power.code().to_owned() } else { r.state().to_owned() },
        tags: tags(&r.body),
    })
    .collect()
}

fn tags(body: &Value) -> std::collections::BTreeMap<String, String> {
    let tags = body.get("tags").and_then(Value::as_object);
    tags.into_iter().flatten().map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect()
}

/// Resource Manager.
fn manager(cloud: &Arc<Cloud>, request: &Request) -> Result<Response> {
    let segments = request.segments();
    if !segments.first().is_some_and(|s| s.eq_ignore_ascii_case("subscriptions")) {
        let message = format!("The path '{}' is not a path of Resource Manager.", request.path);
        return Err(Fail::new(404, "NotFound", message));
    }
    let subscription = segments.get(1).map(|s| (*s).to_owned());
    let call = Call { cloud, request, subscription: subscription.clone().unwrap_or_default() };
    login::check(&call)?;
    if let Some(subscription) = subscription
        && subscription != login::SUBSCRIPTION
    {
        let message = format!("The subscription '{subscription}' could not be found.");
        return Err(Fail::new(404, "SubscriptionNotFound", message));
    }
    let rest: Vec<&str> = segments.iter().skip(2).copied().collect();
    let lower: Vec<String> = rest.iter().map(|s| s.to_lowercase()).collect();
    match lower.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] | ["locations"] => groups::subscriptions(&call, segments.len()),
        ["resourcegroups"] => groups::list(&call),
        ["resources"] => groups::everything(&call),
        ["resourcegroups", _] => groups::one(&call, rest[1]),
        ["resourcegroups", _, "resources"] => groups::content(&call, rest[1]),
        ["operationresults", id] => arm::poll(&call, id, true),
        ["providers", _, "locations", _, kind, id] if kind.to_lowercase().ends_with("operations") => {
            arm::poll(&call, id, request.param("monitor").is_some())
        }
        ["providers", "microsoft.compute", "locations", _, "publishers", ..] => images::marketplace(&call, &rest),
        ["providers", _] => groups::provider(&call, rest[1]),
        ["providers", ..] => list(&call, &Target::parse(&rest[1..])?, ""),
        ["resourcegroups", _, "providers", ..] => resource(&call, rest[1], &Target::parse(&rest[3..])?),
        _ => Err(Fail::not_implemented(&format!("{} {}", request.method, request.path))),
    }
}

/// One resource, a collection, or an action.
fn resource(call: &Call, group: &str, target: &Target) -> Result<Response> {
    call.check_type_version(target.ty)?;
    let group_id = format!("/subscriptions/{}/resourceGroups/{group}", call.subscription);
    // The group keeps the case it was made in.
    let group_id = call.store().need_group(&group_id)?.id.clone();
    let id = format!("{group_id}/{}", target.path());
    let unknown = || Fail::not_implemented(&format!("{} {}", call.request.method, call.request.path));
    match (call.request.method.as_str(), target.action.as_deref(), target.is_collection()) {
        ("GET", None, true) => list(call, target, &id),
        ("GET", None, false) => show(call, &id),
        ("GET", Some(action), _) if target.ty == machines::TYPE => machines::view(call, &id, action),
        ("PUT", None, false) => put(call, target.ty, &id),
        ("PATCH", None, false) => patch(call, &id),
        ("DELETE", None, false) => delete(call, target.ty, &id),
        ("POST", Some(action), _) if target.ty == machines::TYPE => machines::act(call, &id, action),
        ("POST", Some(action), _) if target.ty == disks::DISK => disks::act(call, &id, action),
        _ => Err(unknown()),
    }
}

fn list(call: &Call, target: &Target, id: &str) -> Result<Response> {
    call.check_type_version(target.ty)?;
    if call.request.method != http::Method::GET {
        return Err(Fail::not_implemented(&format!("{} {}", call.request.method, call.request.path)));
    }
    let store = call.store();
    if target.names.is_empty() {
        let group = id.split("/providers/").next().unwrap_or_default().to_lowercase();
        let here = store.all(target.ty).filter(|r| r.id.to_lowercase().starts_with(&group));
        return Ok(Response::json(200, &json!({ "value": here.map(Resource::show).collect::<Vec<_>>() })));
    }
    // The path of a collection has one name less than its type: it is the parent's.
    store.need(id)?;
    let here = store.below(id).filter(|r| r.ty == target.ty);
    Ok(Response::json(200, &json!({ "value": here.map(Resource::show).collect::<Vec<_>>() })))
}

fn show(call: &Call, id: &str) -> Result<Response> {
    let store = call.store();
    let resource = store.need(id)?;
    let mut shown = resource.show();
    let expand = call.request.param("$expand").unwrap_or_default();
    if resource.ty == machines::TYPE && expand.eq_ignore_ascii_case("instanceView") {
        shown["properties"]["instanceView"] = machines::instance_view(resource);
    }
    if resource.ty == galleries::VERSION && expand.eq_ignore_ascii_case("ReplicationStatus") {
        shown["properties"]["replicationStatus"] = galleries::replication(resource);
    }
    Ok(Response::json(200, &shown))
}

fn put(call: &Call, ty: &'static str, id: &str) -> Result<Response> {
    let mut body = call.body()?;
    groups::not_deleting(&call.store(), id)?;
    if body.get("properties").is_none_or(Value::is_null) {
        body["properties"] = json!({});
    }
    if ty != network::SUBNET {
        groups::check_location(&body)?;
    }
    let known = call.store().get(id).map(|r| r.state().to_owned());
    if known.as_deref() == Some("Deleting") {
        let message = format!("The resource '{}' is being deleted.", arm::name_of(id));
        return Err(Fail::new(409, "Conflict", message));
    }
    let operation = match ty {
        machines::TYPE => machines::create(call, id, body)?,
        images::TYPE => images::create(call, id, body)?,
        disks::DISK => disks::create(call, id, body, disks::DISK)?,
        disks::SNAPSHOT => disks::create(call, id, body, disks::SNAPSHOT)?,
        galleries::GALLERY | galleries::DEFINITION | galleries::VERSION => galleries::create(call, ty, id, body)?,
        _ => network::create(call, ty, id, body)?,
    };
    let shown = call.store().need(id)?.show();
    let location = call.store().need(id)?.location();
    let response = Response::json(if known.is_some() { 200 } else { 201 }, &shown);
    Ok(call.follow(response, ty, &location, &operation))
}

/// Tags only: what no image build does otherwise.
fn patch(call: &Call, id: &str) -> Result<Response> {
    let body = call.body()?;
    let keys: Vec<&String> = body.as_object().into_iter().flatten().map(|(k, _)| k).collect();
    if keys != ["tags"] {
        return Err(Fail::not_implemented("PATCH of anything but tags"));
    }
    let mut store = call.store();
    store.need(id)?;
    if let Some(resource) = store.get_mut(id) {
        resource.body["tags"] = body["tags"].clone();
        return Ok(Response::json(200, &resource.show()));
    }
    Ok(Response::empty(404))
}

fn delete(call: &Call, ty: &'static str, id: &str) -> Result<Response> {
    let location = {
        let mut store = call.store();
        let Some(resource) = store.get(id) else { return Ok(Response::empty(204)) };
        let location = resource.location();
        match ty {
            machines::TYPE => {}
            disks::DISK | disks::SNAPSHOT => disks::free(resource)?,
            galleries::GALLERY | galleries::DEFINITION | galleries::VERSION => galleries::free(&store, resource)?,
            images::TYPE => {}
            _ => network::free(&store, resource)?,
        }
        if let Some(resource) = store.get_mut(id) {
            resource.set("provisioningState", "Deleting");
        }
        location
    };
    let (cloud, own) = (call.cloud.clone(), id.to_owned());
    let operation = call.begin(async move {
        vanish(&cloud, &own).await;
        Ok(None)
    });
    Ok(call.follow(Response::empty(202), ty, &location, &operation))
}

/// Takes a resource out of the world, its machine with it.
pub(crate) async fn vanish(cloud: &Arc<Cloud>, id: &str) {
    let removed = cloud.azure.store().remove(id);
    let Some(resource) = removed else { return };
    if let Some(machine) = &resource.machine {
        cloud.machines.destroy(machine).await;
    }
    match resource.ty {
        machines::TYPE => machines::released(cloud, &resource).await,
        network::INTERFACE => network::released(cloud, &resource),
        network::SUBNET | network::NETWORK => network::synchronise(&mut cloud.azure.store(), &resource.id),
        _ => {}
    }
}
