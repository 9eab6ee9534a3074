//! The machine: its group, its network, its body, its address.

use crate::config::Arm;
use crate::names::password;
use crate::preflight::{Found, Source};
use crate::work::Work;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image_action_engine::{Error, ErrorKind, Result};
use image_action_remote::{KeyKind, PrivateKey, TemporaryKey};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// What Azure makes of RSA keys: at least this many bits, and Packer's own number.
const RSA_BITS: usize = 2048;

/// The address space of a network of the build's own.
const ADDRESS_SPACE: &str = "10.0.0.0/16";
/// Its subnet.
const SUBNET_SPACE: &str = "10.0.0.0/24";

/// The type of interfaces.
const INTERFACE: &str = "Microsoft.Network/networkInterfaces";
/// The type of public addresses.
const ADDRESS: &str = "Microsoft.Network/publicIPAddresses";
/// The type of security groups.
const SECURITY: &str = "Microsoft.Network/networkSecurityGroups";
/// The type of networks.
const NETWORK: &str = "Microsoft.Network/virtualNetworks";

/// The key that is made for this build, where the template names none.
///
/// # Errors
/// Where it cannot be made.
pub async fn key(config: &Arm) -> Result<Option<TemporaryKey>> {
    if !config.communicator.ssh_private_key_file.is_empty() {
        return Ok(None);
    }
    let kind = match config.communicator.key_kind() {
        KeyKind::Rsa { .. } if config.communicator.temporary_key_pair_bits == 0 => KeyKind::Rsa { bits: RSA_BITS },
        kind => kind,
    };
    TemporaryKey::generate(kind).await.map(Some)
}

/// What stands behind the key in `authorized_keys`; Packer's own words, by which templates may look for it.
pub fn key_comment(started: chrono::DateTime<chrono::Utc>) -> String {
    format!("packer Azure Deployment{}", started.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

/// Makes the resource group of the build.
///
/// # Errors
/// What was refused.
pub async fn group(work: &Work<'_>, location: &str) -> Result<()> {
    if !work.own_group() {
        work.cx.say(format!("Building in the existing resource group {}", work.names.group));
        return Ok(());
    }
    work.cx.say(format!("Making the resource group {} in {location}", work.names.group));
    let id = work.account.arm.group(&work.names.group);
    let body = json!({ "location": location, "tags": work.temporary_tags() });
    work.temporary("resource-group", &id, || work.creator.arm.put(&id, &body)).await?;
    Ok(())
}

/// Makes the network, as far as it is the build's own; the id of the interface.
///
/// # Errors
/// What was refused.
pub async fn network(work: &Work<'_>, found: &Found) -> Result<String> {
    let (config, names) = (work.config, &work.names);
    let tags = work.temporary_tags();
    let own = found.subnet.is_none();
    let standard = !config.public_ip_sku.eq_ignore_ascii_case("basic");
    let address = config.has_public_address().then(|| work.id(ADDRESS, &names.address));
    let security = (own && (standard || !config.allowed_inbound_ip_addresses.is_empty()))
        .then(|| work.id(SECURITY, &names.security));
    let make_address = async {
        let Some(id) = &address else { return Ok(()) };
        let body = address_body(&found.location, &tags, standard, &names.machine);
        work.temporary("public-ip", id, || work.creator.arm.put(id, &body)).await
    };
    let make_security = async {
        let Some(id) = &security else { return Ok(()) };
        let body = security_body(&found.location, &tags, config);
        work.temporary("network-security-group", id, || work.creator.arm.put(id, &body)).await
    };
    // Both to their ends: a call that is dropped half-way may still arrive, after the clean-up.
    let (made_address, made_security) = tokio::join!(make_address, make_security);
    made_address.and(made_security)?;
    let subnet = match &found.subnet {
        Some(subnet) => subnet.clone(),
        None => {
            let id = work.id(NETWORK, &names.network);
            let body = network_body(&found.location, &tags, &names.subnet, security.as_deref());
            work.temporary("virtual-network", &id, || work.creator.arm.put(&id, &body)).await?;
            format!("{id}/subnets/{}", names.subnet)
        }
    };
    let id = work.id(INTERFACE, &names.interface);
    let body = interface_body(&found.location, &tags, &subnet, address.as_deref(), config.accelerated_networking);
    work.temporary("network-interface", &id, || work.creator.arm.put(&id, &body)).await?;
    Ok(id)
}

fn address_body(location: &str, tags: &BTreeMap<String, String>, standard: bool, label: &str) -> Value {
    let mut body = json!({
        "location": location, "tags": tags,
        "properties": {
            "publicIPAllocationMethod": if standard { "Static" } else { "Dynamic" },
            "dnsSettings": { "domainNameLabel": label },
        },
    });
    if standard {
        body["sku"] = json!({ "name": "Standard", "tier": "Regional" });
    }
    body
}

fn security_body(location: &str, tags: &BTreeMap<String, String>, config: &Arm) -> Value {
    let mut rule = json!({
        "description": "Lets the build in", "direction": "Inbound", "access": "Allow", "protocol": "Tcp", "priority": 100,
        "sourcePortRange": "*", "destinationAddressPrefix": "VirtualNetwork",
        "destinationPortRange": config.communicator.port().to_string(),
    });
    if config.allowed_inbound_ip_addresses.is_empty() {
        rule["sourceAddressPrefix"] = json!("*");
    } else {
        rule["sourceAddressPrefixes"] = json!(config.allowed_inbound_ip_addresses);
    }
    json!({
        "location": location, "tags": tags,
        "properties": { "securityRules": [{ "name": "AllowIPsToSshWinRMInbound", "properties": rule }] },
    })
}

fn network_body(location: &str, tags: &BTreeMap<String, String>, subnet: &str, security: Option<&str>) -> Value {
    let mut properties = json!({ "addressPrefix": SUBNET_SPACE });
    if let Some(security) = security {
        properties["networkSecurityGroup"] = json!({ "id": security });
    }
    json!({
        "location": location, "tags": tags,
        "properties": {
            "addressSpace": { "addressPrefixes": [ADDRESS_SPACE] },
            "subnets": [{ "name": subnet, "properties": properties }],
        },
    })
}

fn interface_body(
    location: &str,
    tags: &BTreeMap<String, String>,
    subnet: &str,
    address: Option<&str>,
    fast: Option<bool>,
) -> Value {
    let mut configuration = json!({ "privateIPAllocationMethod": "Dynamic", "subnet": { "id": subnet } });
    if let Some(address) = address {
        configuration["publicIPAddress"] = json!({ "id": address });
    }
    let mut properties = json!({ "ipConfigurations": [{ "name": "ipconfig", "properties": configuration }] });
    if let Some(fast) = fast {
        properties["enableAcceleratedNetworking"] = json!(fast);
    }
    json!({ "location": location, "tags": tags, "properties": properties })
}

/// What the body of a machine is made from, beside the options.
pub struct Parts<'a> {
    /// Where.
    pub location: &'a str,
    /// Its tags.
    pub tags: &'a BTreeMap<String, String>,
    /// What it is made from.
    pub source: &'a Source,
    /// The id of its interface.
    pub interface: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Name of its OS disk.
    pub os_disk: &'a str,
    /// What the names of its further disks begin with.
    pub data_disk: &'a str,
    /// The line of `authorized_keys`.
    pub public_key: Option<String>,
    /// Custom data in base64.
    pub custom_data: Option<String>,
    /// User data in base64.
    pub user_data: Option<String>,
}

/// Custom data or user data: as given, or from a file.
///
/// # Errors
/// A file that cannot be read.
fn data(cwd: &Path, given: &str, file: &str) -> Result<Option<String>> {
    if !file.is_empty() {
        let bytes = std::fs::read(cwd.join(file));
        let bytes = bytes.map_err(|e| Error::new(ErrorKind::Invalid, format!("cannot read {file}: {e}")))?;
        return Ok(Some(STANDARD.encode(bytes)));
    }
    Ok(Some(given.to_owned()).filter(|g| !g.is_empty()))
}

/// Makes the machine and waits until it runs; `interface` is its interface, `key` the key of the build.
///
/// # Errors
/// What was refused, or failed later.
pub async fn launch(work: &Work<'_>, found: &Found, interface: &str, key: Option<&PrivateKey>) -> Result<Value> {
    let (config, names, cx) = (work.config, &work.names, work.cx);
    cx.say(format!("Making the machine {} ({})", names.machine, config.vm_size));
    let comment = key_comment(cx.run.started.into());
    let tags = work.temporary_tags();
    let body = body(
        config,
        &Parts {
            location: &found.location,
            tags: &tags,
            source: &found.source,
            interface,
            name: &names.machine,
            os_disk: &names.os_disk,
            data_disk: &names.data_disk,
            public_key: key.map(|k| format!("{} {comment}", k.public_openssh())),
            custom_data: data(&cx.run.cwd, &config.custom_data, &config.custom_data_file)?,
            user_data: data(&cx.run.cwd, &config.user_data, &config.user_data_file)?,
        },
    )?;
    let id = work.machine();
    let disks = std::iter::once(names.os_disk.clone())
        .chain((1..=config.disk_additional_size.len()).map(|n| format!("{}-{n}", names.data_disk)));
    let mut lines = Vec::new();
    for disk in disks {
        let disk = work.id("Microsoft.Compute/disks", &disk);
        lines.push((work.intent("disk", &disk)?, disk));
    }
    let made = work.temporary("virtual-machine", &id, || work.creator.compute.put_machine(&id, &body)).await;
    let items = cx.ledger().items();
    let refused = items.iter().any(|i| i.resource.name == id && i.state == image_action_engine::ledger::State::Gone);
    for (entry, disk) in &lines {
        // They come with the machine: one that was refused brought none.
        if refused { entry.gone()? } else { entry.created(disk)? }
    }
    made?;
    let machine = work.soon(|| work.account.compute.machine(&id)).await?;
    note_disks(work, &machine)?;
    Ok(machine)
}

/// Notes disks that the source image brought: their names are the cloud's own.
fn note_disks(work: &Work<'_>, machine: &Value) -> Result<()> {
    let known: Vec<String> = work.cx.ledger().items().iter().map(|i| i.resource.name.to_lowercase()).collect();
    for id in data_disks(machine) {
        if !known.contains(&id.to_lowercase()) {
            work.intent("disk", &id)?.created(&id)?;
        }
    }
    Ok(())
}

/// Ids of the data disks of a machine.
pub fn data_disks(machine: &Value) -> Vec<String> {
    let disks = machine.pointer("/properties/storageProfile/dataDisks").and_then(Value::as_array);
    let ids = disks.into_iter().flatten().filter_map(|d| d.pointer("/managedDisk/id").and_then(Value::as_str));
    ids.map(str::to_owned).collect()
}

/// The id of the OS disk of a machine.
pub fn os_disk(machine: &Value) -> Option<String> {
    machine.pointer("/properties/storageProfile/osDisk/managedDisk/id").and_then(Value::as_str).map(str::to_owned)
}

/// The body of a machine.
///
/// # Errors
/// A combination that cannot be.
pub fn body(config: &Arm, parts: &Parts<'_>) -> Result<Value> {
    let mut properties = Map::new();
    let mut set = |name: &str, value: Value| properties.insert(name.to_owned(), value);
    set("hardwareProfile", json!({ "vmSize": config.vm_size }));
    set("storageProfile", storage(config, parts)?);
    set("networkProfile", json!({ "networkInterfaces": [{ "id": parts.interface }] }));
    let account = &config.boot_diag_storage_account;
    let diagnostics = if account.is_empty() {
        json!({ "enabled": false })
    } else {
        json!({ "enabled": true, "storageUri": format!("https://{account}.blob.core.windows.net") })
    };
    set("diagnosticsProfile", json!({ "bootDiagnostics": diagnostics }));
    if !parts.source.specialized {
        set("osProfile", profile(config, parts)?);
    }
    if let Some(security) = security(config) {
        set("securityProfile", security);
    }
    if !config.license_type.is_empty() {
        let all = ["RHEL_BYOS", "SLES_BYOS", "Windows_Client", "Windows_Server"];
        let written = all.into_iter().find(|l| l.eq_ignore_ascii_case(&config.license_type));
        set("licenseType", json!(written.unwrap_or(&config.license_type)));
    }
    if let Some(spot) = &config.spot {
        // -1: as much as an ordinary machine costs.
        let price = if spot.max_price == 0.0 { -1.0 } else { spot.max_price };
        set("priority", json!("Spot"));
        set("evictionPolicy", json!(spot.eviction_policy));
        set("billingProfile", json!({ "maxPrice": price }));
    }
    if let Some(user_data) = &parts.user_data {
        set("userData", json!(user_data));
    }
    let mut body = json!({ "location": parts.location, "tags": parts.tags, "properties": properties });
    if let Some(plan) = config.plan_info.as_ref().filter(|p| !p.plan_name.is_empty()) {
        body["plan"] =
            json!({ "name": plan.plan_name, "product": plan.plan_product, "publisher": plan.plan_publisher });
        if !plan.plan_promotion_code.is_empty() {
            body["plan"]["promotionCode"] = json!(plan.plan_promotion_code);
        }
    }
    if !config.user_assigned_managed_identities.is_empty() {
        let ids: Map<String, Value> =
            config.user_assigned_managed_identities.iter().map(|id| (id.clone(), json!({}))).collect();
        body["identity"] = json!({ "type": "UserAssigned", "userAssignedIdentities": ids });
    }
    Ok(body)
}

fn storage(config: &Arm, parts: &Parts<'_>) -> Result<Value> {
    let from_gallery = config.shared_image_gallery.is_some();
    let mut managed = Map::new();
    if !from_gallery {
        managed.insert("storageAccountType".to_owned(), json!(config.managed_image_storage_account_type));
    }
    let set = &config.disk_encryption_set_id;
    if config.security_type == "ConfidentialVM" {
        let kind = &config.security_encryption_type;
        let kind = if kind.is_empty() { "VMGuestStateOnly" } else { kind };
        let mut profile = json!({ "securityEncryptionType": kind });
        if !set.is_empty() {
            profile["diskEncryptionSet"] = json!({ "id": set });
        }
        managed.insert("securityProfile".to_owned(), profile);
    } else if !set.is_empty() {
        managed.insert("diskEncryptionSet".to_owned(), json!({ "id": set }));
    }
    let mut disk = json!({
        "name": parts.os_disk, "osType": "Linux", "caching": config.disk_caching_type, "createOption": "FromImage",
    });
    if !managed.is_empty() {
        disk["managedDisk"] = Value::Object(managed.clone());
    }
    if config.os_disk_size_gb > 0 {
        disk["diskSizeGB"] = json!(config.os_disk_size_gb);
    }
    let mut storage = json!({ "imageReference": parts.source.reference, "osDisk": disk });
    if !config.disk_controller_type.is_empty() {
        storage["diskControllerType"] = json!(config.disk_controller_type);
    }
    if !config.disk_additional_size.is_empty() {
        storage["dataDisks"] = Value::Array(further_disks(config, parts, &managed)?);
    }
    Ok(storage)
}

/// The further disks; those of the source image have to be listed with them.
fn further_disks(config: &Arm, parts: &Parts<'_>, managed: &Map<String, Value>) -> Result<Vec<Value>> {
    let taken = &parts.source.luns;
    let mut disks: Vec<Value> = taken
        .iter()
        .map(|lun| json!({ "lun": lun, "createOption": "FromImage", "caching": config.disk_caching_type }))
        .collect();
    let mut free = (0..).filter(|lun| !taken.contains(lun));
    for (n, size) in config.disk_additional_size.iter().enumerate() {
        let lun = match config.disk_additional_luns.get(n) {
            Some(lun) if taken.contains(lun) => {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!("LUN {lun} of disk_additional_luns is taken by a disk of the source image"),
                )
                .hint("use another one"));
            }
            Some(lun) => *lun,
            // There is no end of numbers.
            None => free.next().unwrap_or_default(),
        };
        let mut disk = json!({
            "name": format!("{}-{}", parts.data_disk, n + 1), "lun": lun, "createOption": "Empty",
            "caching": config.disk_caching_type, "diskSizeGB": size,
        });
        if !managed.is_empty() {
            disk["managedDisk"] = Value::Object(managed.clone());
        }
        disks.push(disk);
    }
    Ok(disks)
}

fn profile(config: &Arm, parts: &Parts<'_>) -> Result<Value> {
    let given = &config.communicator.ssh_password;
    let mut linux = json!({ "disablePasswordAuthentication": given.is_empty() });
    if let Some(key) = &parts.public_key {
        let path = format!("/home/{}/.ssh/authorized_keys", config.user());
        linux["ssh"] = json!({ "publicKeys": [{ "path": path, "keyData": key }] });
    }
    let mut profile =
        json!({ "computerName": parts.name, "adminUsername": config.user(), "linuxConfiguration": linux });
    if !given.is_empty() {
        profile["adminPassword"] = json!(given.expose());
    } else if parts.public_key.is_none() {
        // Nobody logs in (communicator none); Azure wants one way all the same.
        profile["linuxConfiguration"]["disablePasswordAuthentication"] = json!(false);
        profile["adminPassword"] = json!(password().expose());
    }
    if let Some(data) = &parts.custom_data {
        profile["customData"] = json!(data);
    }
    Ok(profile)
}

fn security(config: &Arm) -> Option<Value> {
    let mut security = Map::new();
    if !config.security_type.is_empty() {
        security.insert("securityType".to_owned(), json!(config.security_type));
    }
    if config.secure_boot_enabled || config.vtpm_enabled {
        let uefi = json!({ "secureBootEnabled": config.secure_boot_enabled, "vTpmEnabled": config.vtpm_enabled });
        security.insert("uefiSettings".to_owned(), uefi);
    }
    if config.encryption_at_host == Some(true) {
        security.insert("encryptionAtHost".to_owned(), json!(true));
    }
    (!security.is_empty()).then_some(Value::Object(security))
}

/// The address at which the machine is reached.
///
/// # Errors
/// A machine without one.
pub async fn address(work: &Work<'_>) -> Result<String> {
    let names = &work.names;
    let (id, place, kind) = if work.config.has_public_address() {
        (work.id(ADDRESS, &names.address), "/properties/ipAddress", "public")
    } else {
        (work.id(INTERFACE, &names.interface), "/properties/ipConfigurations/0/properties/privateIPAddress", "private")
    };
    let found = work.soon(|| work.account.arm.get(&id)).await?;
    let address = found.pointer(place).and_then(Value::as_str).filter(|a| !a.is_empty());
    address.map(str::to_owned).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("the machine {} has no {kind} address", names.machine))
            .hint("set ssh_host, or look at the network interface in the portal")
    })
}
