//! The machine behind an instance: booted, logged in to, stopped, removed.

use super::disks::layers;
use super::names::{metadata_value, zonal_disk};
use super::operations::Failure;
use super::store::{Instance, Zonal};
use crate::cloud::Cloud;
use crate::guest::{Account, BootSpec, Guest, Layer};
use crate::machine::Machine;
use base64::Engine;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of base64 that go into one command: an argument holds 128 KiB at most (MAX_ARG_STRLEN).
const CHUNK: usize = 64 << 10;

/// Boots what `insert` put down.
pub(super) async fn create(
    cloud: Arc<Cloud>,
    key: Zonal,
    made: Vec<Zonal>,
    fault: Option<Failure>,
) -> Result<(), Failure> {
    let result = match fault {
        Some(fault) => Err(fault),
        None => boot(&cloud, &key).await,
    };
    match result {
        Ok(()) => {
            startup_script(&cloud, &key);
            Ok(())
        }
        Err(failure) => {
            let mut store = cloud.google.store();
            store.instances.remove(&key);
            for disk in made {
                store.disks.remove(&disk);
            }
            Err(failure)
        }
    }
}

async fn boot(cloud: &Arc<Cloud>, key: &Zonal) -> Result<(), Failure> {
    tokio::time::sleep(cloud.step()).await;
    let (disk, spec) = {
        let mut store = cloud.google.store();
        let disks: Vec<Zonal> =
            store.instances.get(key).map(|i| attached(i).map(|(k, _)| k).collect()).unwrap_or_default();
        for disk in &disks {
            if let Some(disk) = store.disks.get_mut(disk) {
                disk.doc["status"] = json!("READY");
            }
        }
        let Some(instance) = store.instances.get_mut(key) else { return Ok(()) };
        instance.doc["status"] = json!("STAGING");
        let accounts = accounts(&store, key);
        let instance = &store.instances[key];
        let spec = BootSpec {
            name: format!("gce-{}", instance.doc["id"].as_str().unwrap_or(&key.2)),
            hostname: key.2.clone(),
            // What cloud-init reads on Google's images; the startup script is the agent's and comes later.
            user_data: metadata_value(&instance.doc["metadata"], "user-data").map(str::to_owned),
            accounts,
            ..BootSpec::default()
        };
        (disks.into_iter().next(), spec)
    };
    let layers = match &disk {
        Some(disk) => layers(cloud, disk).await?,
        None => Vec::new(),
    };
    let machine = cloud
        .machines
        .boot(BootSpec { layers: layers.clone(), ..spec })
        .await
        .map_err(|e| Failure::new("INTERNAL_ERROR", e.to_string(), 500))?;
    if let Some(old) = running(cloud, key, disk, layers, machine) {
        cloud.machines.destroy(&old).await;
    }
    Ok(())
}

/// Notes a machine that has booted; hands back the one that had the disk before.
fn running(cloud: &Cloud, key: &Zonal, disk: Option<Zonal>, layers: Vec<Layer>, machine: Machine) -> Option<Machine> {
    let mut store = cloud.google.store();
    let old = disk.and_then(|key| store.disks.get_mut(&key)).and_then(|disk| {
        disk.layers = layers;
        disk.guest.clone_from(&machine.guest);
        disk.machine.replace(machine.clone())
    });
    if let Some(instance) = store.instances.get_mut(key) {
        for nic in instance.doc["networkInterfaces"].as_array_mut().into_iter().flatten() {
            for config in nic["accessConfigs"].as_array_mut().into_iter().flatten() {
                config["natIP"] = json!(machine.address.to_string());
            }
            // Without an external address the internal one is what a client uses; both lead to the machine.
            if nic.get("accessConfigs").is_none() {
                nic["networkIP"] = json!(machine.address.to_string());
            }
        }
        instance.machine = Some(machine);
        instance.creating = false;
        instance.doc["status"] = json!("RUNNING");
    }
    old
}

/// The attached disks, each with whether it goes with the instance.
fn attached(instance: &Instance) -> impl Iterator<Item = (Zonal, bool)> + '_ {
    let disks = instance.doc["disks"].as_array();
    disks.into_iter().flatten().filter_map(|d| Some((zonal_disk(d["source"].as_str()?)?, d["autoDelete"] == true)))
}

/// `delete`, `stop`, `start`, `reset`, once running.
pub(super) async fn act(
    cloud: Arc<Cloud>,
    key: Zonal,
    action: &'static str,
    fault: Option<Failure>,
) -> Result<(), Failure> {
    let set = |status: &str| {
        if let Some(instance) = cloud.google.store().instances.get_mut(&key) {
            instance.doc["status"] = json!(status);
            instance.deleting = false;
        }
    };
    if let Some(fault) = fault {
        set("RUNNING");
        return Err(fault);
    }
    let machine = cloud.google.store().instances.get(&key).and_then(|i| i.machine.clone());
    let guest = machine.and_then(|m| m.guest);
    let failed = |e: crate::guest::GuestError| Failure::new("INTERNAL_ERROR", e.to_string(), 500);
    if let Some(guest) = &guest {
        if action != "start" {
            guest.stop().await.map_err(failed)?;
        }
        if matches!(action, "start" | "reset") {
            guest.start().await.map_err(failed)?;
        }
    }
    match action {
        "delete" => remove(&cloud, &key).await,
        "stop" => set("TERMINATED"),
        _ => {
            set("RUNNING");
            startup_script(&cloud, &key);
        }
    }
    Ok(())
}

async fn remove(cloud: &Arc<Cloud>, key: &Zonal) {
    let mut gone = Vec::new();
    {
        let mut store = cloud.google.store();
        if let Some(instance) = store.instances.remove(key) {
            for (disk, with_it) in attached(&instance) {
                if with_it {
                    gone.extend(store.disks.remove(&disk).and_then(|d| d.machine));
                }
            }
        }
    }
    // What stays holds its stopped guest until an image is made of it, or it is deleted.
    for machine in gone {
        cloud.machines.destroy(&machine).await;
    }
}

/// The logins that the metadata of instance and project give (or OS Login, where it is on: then keys in metadata count nothing).
fn accounts(store: &super::store::Store, key: &Zonal) -> Vec<Account> {
    let Some(instance) = store.instances.get(key) else { return Vec::new() };
    let own = &instance.doc["metadata"];
    let project = store.projects.get(&key.0).map(|p| &p.metadata).unwrap_or(&Value::Null);
    let on = |m: &Value| metadata_value(m, "enable-oslogin").map(|v| v.eq_ignore_ascii_case("true"));
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    if on(own).or(on(project)).unwrap_or(false) {
        for (email, keys) in &store.login_keys {
            let all = keys.values().filter_map(|k| k["key"].as_str().map(|t| t.trim().to_owned()));
            users.entry(super::oslogin::user(email)).or_default().extend(all);
        }
    } else {
        let block = metadata_value(own, "block-project-ssh-keys").is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let shared = metadata_value(project, "ssh-keys").filter(|_| !block);
        let lines = metadata_value(own, "ssh-keys").into_iter().chain(shared).flat_map(str::lines);
        for (user, key) in lines.filter_map(|line| line.trim().split_once(':')) {
            // The rest of a key line that Google's own tools write is a JSON comment with an expiry.
            let key = key.split(" google-ssh ").next().unwrap_or(key);
            users.entry(user.to_owned()).or_default().push(key.trim().to_owned());
        }
    }
    users.into_iter().map(|(user, keys)| Account { user, keys, password: None }).collect()
}

/// Lets in whom the metadata names now.
pub(super) async fn authorize(cloud: &Arc<Cloud>, key: &Zonal) {
    let (accounts, guest) = {
        let store = cloud.google.store();
        (accounts(&store, key), store.instances.get(key).and_then(|i| i.machine.clone()).and_then(|m| m.guest))
    };
    let Some(guest) = guest else { return };
    for account in accounts {
        for public in account.keys {
            if let Err(e) = guest.authorize(&account.user, &public).await {
                note(cloud, key, &format!("google_guest_agent: ERROR adding a key of {}: {e}\n", account.user));
            }
        }
    }
}

fn note(cloud: &Cloud, key: &Zonal, text: &str) {
    if let Some(instance) = cloud.google.store().instances.get_mut(key) {
        instance.serial.push_str(text);
    }
}

/// What the first serial port has shown.
pub(super) fn console(instance: &Instance) -> String {
    let guest = instance.machine.as_ref().and_then(|m| m.guest.as_ref());
    format!("{}{}", guest.map(Guest::console_log).unwrap_or_default(), instance.serial)
}

/// Runs the startup script beside the rest of the boot, as the agent does; its output ends on the serial port.
fn startup_script(cloud: &Arc<Cloud>, key: &Zonal) {
    let (script, guest) = {
        let store = cloud.google.store();
        let Some(instance) = store.instances.get(key) else { return };
        let script = metadata_value(&instance.doc["metadata"], "startup-script").filter(|s| !s.is_empty());
        let guest = instance.machine.as_ref().and_then(|m| m.guest.clone());
        match (script, guest) {
            (Some(script), Some(guest)) => (script.to_owned(), guest),
            _ => return,
        }
    };
    let (cloud, key) = (cloud.clone(), key.clone());
    tokio::spawn(async move {
        let runner = "google_metadata_script_runner";
        note(
            &cloud,
            &key,
            &format!(
                "{runner}: Starting startup scripts (version local).\n{runner}: Found startup-script in metadata.\n"
            ),
        );
        let (text, status) = match super::script::run(&cloud, &key, &guest, &script).await {
            Ok(output) => {
                let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
                text.push_str(&String::from_utf8_lossy(&output.stderr));
                (text, format!("exit status {}", output.status))
            }
            Err(e) => (String::new(), format!("error: {e}")),
        };
        let mut log: String = text.lines().map(|l| format!("{runner}: startup-script: {l}\n")).collect();
        log.push_str(&format!("{runner}: startup-script {status}\n{runner}: Finished running startup scripts.\n"));
        note(&cloud, &key, &log);
    });
}

/// Writes a text to a file of the guest, as root.
///
/// # Errors
/// The guest's own.
pub(super) async fn write_file(guest: &Guest, path: &str, text: &str) -> Result<(), crate::guest::GuestError> {
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    guest.run_as_root(&format!(": > {path}")).await?;
    for chunk in encoded.as_bytes().chunks(CHUNK) {
        // Base64 in whole groups of four decodes piece by piece.
        let chunk = String::from_utf8_lossy(chunk);
        guest.run_as_root(&format!("printf %s '{chunk}' | base64 -d >> {path}")).await?;
    }
    Ok(())
}
