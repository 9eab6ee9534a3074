//! Public addresses, security groups, networks with their subnets, interfaces.
//!
//! An interface shows an address of its subnet until its machine has booted; from then on it (and its public address) shows the
//! machine's own loopback address, where port 22 answers.

use super::arm::{Call, Fail, Result, name_of};
use super::store::{Resource, Store};
use crate::cloud::Cloud;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// Type of public addresses.
pub const ADDRESS: &str = "Microsoft.Network/publicIPAddresses";
/// Type of security groups.
pub const SECURITY: &str = "Microsoft.Network/networkSecurityGroups";
/// Type of networks.
pub const NETWORK: &str = "Microsoft.Network/virtualNetworks";
/// Type of subnets.
pub const SUBNET: &str = "Microsoft.Network/virtualNetworks/subnets";
/// Type of interfaces.
pub const INTERFACE: &str = "Microsoft.Network/networkInterfaces";

/// Azure keeps the first four addresses of a subnet for itself.
const FIRST_HOST: u8 = 4;

/// The id that a sub-resource (`{"id": …}`) names.
pub fn reference<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.get("id")?.as_str()
}

fn is(a: Option<&str>, b: &str) -> bool {
    a.is_some_and(|a| a.eq_ignore_ascii_case(b))
}

/// Makes one of this file's resources; the id of its operation.
pub fn create(call: &Call, ty: &'static str, id: &str, mut body: Value) -> Result<String> {
    let mut store = call.store();
    match ty {
        ADDRESS => check_address(&mut body)?,
        NETWORK => check_network(&mut body)?,
        SUBNET => check_subnet(&store, id, &body)?,
        INTERFACE => check_interface(&mut store, id, &mut body)?,
        _ => {}
    }
    let old = store.get(id).cloned();
    // What the cloud itself says of the resource survives a further PUT.
    for name in ["virtualMachine", "ipConfiguration", "ipAddress"] {
        if let Some(value) = old.as_ref().and_then(|r| r.property(name)) {
            body["properties"][name] = value.clone();
        }
    }
    body["properties"]["provisioningState"] = json!("Updating");
    body["properties"]["resourceGuid"] = json!(uuid::Uuid::new_v4().to_string());
    body["etag"] = json!(format!("W/\"{}\"", uuid::Uuid::new_v4()));
    let subnets = if ty == NETWORK { body["properties"]["subnets"].take() } else { Value::Null };
    let mut resource = Resource::new(id, ty, body);
    resource.fixture = old.is_some_and(|r| r.fixture);
    store.put(resource);
    for subnet in subnets.as_array().into_iter().flatten() {
        let name = subnet.get("name").and_then(Value::as_str).unwrap_or_default();
        let body = json!({ "properties": subnet.get("properties").cloned().unwrap_or_else(|| json!({})) });
        store.put(Resource::new(&format!("{id}/subnets/{name}"), SUBNET, body));
    }
    synchronise(&mut store, id);
    drop(store);
    let (cloud, own) = (call.cloud.clone(), id.to_owned());
    Ok(call.begin(async move {
        let mut store = cloud.azure.store();
        if let Some(resource) = store.get_mut(&own)
            && resource.state() != "Deleting"
        {
            resource.set("provisioningState", "Succeeded");
        }
        synchronise(&mut store, &own);
        Ok(None)
    }))
}

fn check_address(body: &mut Value) -> Result<()> {
    let standard =
        body.pointer("/sku/name").and_then(Value::as_str).is_some_and(|s| s.eq_ignore_ascii_case("Standard"));
    let method = body.pointer("/properties/publicIPAllocationMethod").and_then(Value::as_str).unwrap_or("Dynamic");
    if standard && !method.eq_ignore_ascii_case("Static") {
        let message = "Standard sku publicIp must have AllocationMethod set to Static.";
        return Err(Fail::new(400, "PublicIPAndLBSkuDoNotMatch", message));
    }
    if let Some(label) = body.pointer("/properties/dnsSettings/domainNameLabel").and_then(Value::as_str) {
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(3..=63).contains(&label.len())
            || !label.chars().all(valid)
            || !label.starts_with(|c: char| c.is_ascii_lowercase())
        {
            let message = format!(
                "The domain name label {label} is invalid. It must conform to the following regular expression: ^[a-z][a-z0-9-]{{1,61}}[a-z0-9]$."
            );
            return Err(Fail::new(400, "InvalidDomainNameLabel", message));
        }
    }
    if let Some(properties) = body["properties"].as_object_mut() {
        properties.entry("publicIPAddressVersion").or_insert(json!("IPv4"));
        properties.entry("idleTimeoutInMinutes").or_insert(json!(4));
    }
    Ok(())
}

fn check_network(body: &mut Value) -> Result<()> {
    let prefixes = body.pointer("/properties/addressSpace/addressPrefixes").and_then(Value::as_array);
    if prefixes.is_none_or(Vec::is_empty) {
        let message = "Value reference to addressSpace.addressPrefixes is missing.";
        return Err(Fail::new(400, "InvalidRequestFormat", message));
    }
    if !body["properties"]["subnets"].is_array() {
        body["properties"]["subnets"] = json!([]);
    }
    Ok(())
}

fn check_subnet(store: &Store, id: &str, body: &Value) -> Result<()> {
    let network = id.rsplitn(3, '/').last().unwrap_or_default();
    store.need(network)?;
    let properties = &body["properties"];
    if properties.get("addressPrefix").or(properties.get("addressPrefixes")).is_none() {
        let message = format!("Subnet {} has no address prefix.", name_of(id));
        return Err(Fail::new(400, "InvalidRequestFormat", message));
    }
    Ok(())
}

/// Checks an interface and fills in what the cloud decides: its private addresses.
fn check_interface(store: &mut Store, id: &str, body: &mut Value) -> Result<()> {
    let Some(mut configurations) = body["properties"]["ipConfigurations"].as_array().cloned() else {
        let message = format!("Network interface {} must have at least one IP configuration.", name_of(id));
        return Err(Fail::new(400, "NetworkInterfaceMustHaveIpConfiguration", message));
    };
    let missing = |what: &str| {
        let message = format!(
            "Resource {what} referenced by resource {id} was not found. Please make sure that the referenced resource exists, and that both resources are in the same region."
        );
        Fail::new(400, "InvalidResourceReference", message)
    };
    if let Some(group) = reference(&body["properties"], "networkSecurityGroup") {
        store.get(group).ok_or_else(|| missing(group))?;
    }
    for (n, configuration) in configurations.iter_mut().enumerate() {
        let name = configuration.get("name").and_then(Value::as_str).unwrap_or("ipconfig").to_owned();
        let own = format!("{id}/ipConfigurations/{name}");
        let properties = configuration.get("properties").cloned().unwrap_or_else(|| json!({}));
        let subnet = reference(&properties, "subnet").unwrap_or_default();
        let prefix = store.get(subnet).ok_or_else(|| missing(subnet))?.text("addressPrefix").unwrap_or("10.0.0.0/24");
        let network: Ipv4Addr = prefix.split('/').next().and_then(|a| a.parse().ok()).unwrap_or(Ipv4Addr::LOCALHOST);
        if let Some(address) = reference(&properties, "publicIPAddress") {
            let found = store.get(address).ok_or_else(|| missing(address))?;
            let user = found.property("ipConfiguration").and_then(|c| c.get("id")).and_then(Value::as_str);
            if user.is_some_and(|u| !u.eq_ignore_ascii_case(&own)) {
                let message =
                    format!("Resource {address} is already allocated to resource {}.", user.unwrap_or_default());
                return Err(Fail::new(400, "PublicIPAddressInUse", message));
            }
        }
        configuration["id"] = json!(own);
        configuration["type"] = json!("Microsoft.Network/networkInterfaces/ipConfigurations");
        let known =
            store.get(id).and_then(|r| r.property(&format!("ipConfigurations/{n}/properties/privateIPAddress")));
        let address = match known.and_then(Value::as_str) {
            Some(known) => known.to_owned(),
            None => {
                let [a, b, c, _] = network.octets();
                store.next_host = store.next_host.checked_add(1).unwrap_or(FIRST_HOST).max(FIRST_HOST);
                Ipv4Addr::new(a, b, c, store.next_host).to_string()
            }
        };
        let set = &mut configuration["properties"];
        set["privateIPAddress"] = json!(address);
        set["privateIPAllocationMethod"] =
            properties.get("privateIPAllocationMethod").cloned().unwrap_or(json!("Dynamic"));
        set["primary"] = json!(n == 0);
        set["provisioningState"] = json!("Succeeded");
        if let Some(public) = reference(&properties, "publicIPAddress")
            && let Some(public) = store.get_mut(public)
        {
            public.set("ipConfiguration", json!({ "id": own }));
        }
    }
    body["properties"]["ipConfigurations"] = Value::Array(configurations);
    Ok(())
}

/// Writes the subnets of a network into it; those of one that is gone go too.
pub fn synchronise(store: &mut Store, id: &str) {
    let network = id.split("/subnets/").next().unwrap_or(id).to_owned();
    let subnets: Vec<Value> = store.below(&network).filter(|r| r.ty == SUBNET).map(Resource::show).collect();
    if store.get(&network).is_none() {
        for subnet in &subnets {
            store.remove(subnet["id"].as_str().unwrap_or_default());
        }
        return;
    }
    if let Some(network) = store.get_mut(&network)
        && network.ty == NETWORK
    {
        network.set("subnets", subnets);
    }
}

/// Whether one of these may be deleted.
///
/// # Errors
/// The cloud's own refusals of what is in use.
pub fn free(store: &Store, resource: &Resource) -> Result<()> {
    let id = &resource.id;
    let refuse = |code: &str, what: &str, by: &str| {
        Err(Fail::new(400, code, format!("{what} {id} cannot be deleted because it is in use by {by}.")))
    };
    let uses_subnet = |subnet: &str| {
        store.all(INTERFACE).find(|nic| {
            let all = nic.property("ipConfigurations").and_then(Value::as_array);
            all.into_iter().flatten().any(|c| is(reference(&c["properties"], "subnet"), subnet))
        })
    };
    match resource.ty {
        INTERFACE => match reference(&resource.body["properties"], "virtualMachine") {
            Some(vm) => {
                let message = format!(
                    "Network Interface {id} is used by existing resource {vm}. In order to delete the network interface, it must be dissociated from the resource."
                );
                Err(Fail::new(400, "NicInUse", message))
            }
            None => Ok(()),
        },
        ADDRESS => match reference(&resource.body["properties"], "ipConfiguration") {
            Some(by) => refuse("PublicIPAddressCannotBeDeleted", "Public IP address", by),
            None => Ok(()),
        },
        SECURITY => {
            let mut users = store.all(SUBNET).chain(store.all(INTERFACE));
            match users.find(|r| is(reference(&r.body["properties"], "networkSecurityGroup"), id)) {
                Some(by) => refuse("InUseNetworkSecurityGroupCannotBeDeleted", "Network security group", &by.id),
                None => Ok(()),
            }
        }
        SUBNET => match uses_subnet(id) {
            Some(by) => refuse("InUseSubnetCannotBeDeleted", "Subnet", &by.id),
            None => Ok(()),
        },
        NETWORK => {
            let subnets: Vec<&Resource> = store.below(id).filter(|r| r.ty == SUBNET).collect();
            match subnets.iter().find_map(|s| uses_subnet(&s.id)) {
                Some(by) => refuse("InUseSubnetCannotBeDeleted", "Virtual network", &by.id),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// Gives an interface to a machine, or takes it back.
pub fn attach(store: &mut Store, interface: &str, machine: Option<&str>) {
    if let Some(resource) = store.get_mut(interface) {
        match machine {
            Some(id) => resource.set("virtualMachine", json!({ "id": id })),
            None => {
                if let Some(properties) = resource.body["properties"].as_object_mut() {
                    properties.remove("virtualMachine");
                }
            }
        }
    }
}

/// Shows the address at which a machine really answers.
pub fn show_address(store: &mut Store, interface: &str, address: Ipv4Addr) {
    let mut public = None;
    if let Some(resource) = store.get_mut(interface)
        && let Some(first) = resource.body.pointer_mut("/properties/ipConfigurations/0/properties")
    {
        first["privateIPAddress"] = json!(address.to_string());
        public = reference(first, "publicIPAddress").map(str::to_owned);
    }
    if let Some(public) = public.and_then(|id| store.get_mut(&id)) {
        public.set("ipAddress", address.to_string());
    }
}

/// A deleted interface gives its public addresses back.
pub fn released(cloud: &Arc<Cloud>, interface: &Resource) {
    let mut store = cloud.azure.store();
    let configurations = interface.property("ipConfigurations").and_then(Value::as_array);
    for configuration in configurations.into_iter().flatten() {
        if let Some(public) = reference(&configuration["properties"], "publicIPAddress")
            && let Some(public) = store.get_mut(public)
            && let Some(properties) = public.body["properties"].as_object_mut()
        {
            properties.remove("ipConfiguration");
        }
    }
}
