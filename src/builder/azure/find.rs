//! What earlier builds have left, found by its tags alone: for `cleanup --older-than`, where no ledger is at hand.

use crate::account::Account;
use crate::arm::{GROUPS, RESOURCES};
use crate::config::Access;
use crate::machine::os_disk;
use crate::work::{PROVIDER, place};
use image_action_engine::ledger::{EXPIRES_TAG, Found, RUN_TAG, Resource, Search};
use image_action_engine::run::RunContext;
use image_action_engine::{Block, CancellationToken, Config, Env, Error, ErrorKind, Result};
use serde_json::Value;

/// The types that a build makes for itself, and the ledger's words for them. Images, versions and snapshots are what was asked
/// for.
const KINDS: [(&str, &str); 6] = [
    ("microsoft.compute/virtualmachines", "virtual-machine"),
    ("microsoft.compute/disks", "disk"),
    ("microsoft.network/networkinterfaces", "network-interface"),
    ("microsoft.network/publicipaddresses", "public-ip"),
    ("microsoft.network/networksecuritygroups", "network-security-group"),
    ("microsoft.network/virtualnetworks", "virtual-network"),
];

/// The subscription that the environment names.
fn subscription(env: &Env) -> Option<&str> {
    env.get("ARM_SUBSCRIPTION_ID").or_else(|| env.get("AZURE_SUBSCRIPTION_ID"))
}

/// Whether the environment names an account of Azure.
pub fn is_named(env: &Env) -> bool {
    subscription(env).is_some()
}

/// Everything of the subscriptions that has expired. What lies in a resource group that has expired goes with it.
///
/// # Errors
/// No subscription, no way to log in, or a refusal.
pub async fn find(run: &RunContext, search: &Search) -> Result<Vec<Found>> {
    let named = subscription(&run.env).map(str::to_owned);
    let places = if search.places.is_empty() { named.into_iter().collect() } else { search.places.clone() };
    if places.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "no subscription of Azure is named")
            .hint("name one with --subscription, or set AZURE_SUBSCRIPTION_ID"));
    }
    let mut all = Vec::new();
    for place in places {
        all.extend(in_subscription(run, &place, search).await?);
    }
    Ok(all)
}

async fn in_subscription(run: &RunContext, subscription: &str, search: &Search) -> Result<Vec<Found>> {
    let mut access = Access::decode(&Block::default());
    subscription.clone_into(&mut access.subscription_id);
    // Whatever the surroundings give: a workflow's token, the az command, a secret of the environment.
    access.use_azure_cli_auth = true;
    let account = Account::open(&access, &run.env, &CancellationToken::new()).await?;
    let (arm, filter) = (&account.arm, format!("tagName eq '{RUN_TAG}'"));
    let found = |kind: &str, id: &str, value: &Value| -> Option<Found> {
        let tag = |name: &str| value.get("tags").and_then(|t| t.get(name)).and_then(Value::as_str);
        search.takes(tag(RUN_TAG), tag(EXPIRES_TAG)).then(|| Found {
            resource: Resource {
                provider: PROVIDER.to_owned(),
                kind: kind.to_owned(),
                place: place(id),
                name: id.to_owned(),
                // A struct of texts always has a JSON form.
                access: serde_json::to_value(&account.record).unwrap_or_default(),
            },
            id: id.to_owned(),
            run: tag(RUN_TAG).unwrap_or_default().to_owned(),
        })
    };
    let id_of = |value: &Value| value.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut all = Vec::new();
    for group in arm.list_where(&format!("{}/resourcegroups", arm.root()), GROUPS, &filter).await? {
        all.extend(found("resource-group", &id_of(&group), &group));
    }
    let groups: Vec<String> = all.iter().map(|g| format!("{}/", g.id.to_lowercase())).collect();
    for resource in arm.list_where(&format!("{}/resources", arm.root()), RESOURCES, &filter).await? {
        let id = id_of(&resource);
        let ty = resource.get("type").and_then(Value::as_str).unwrap_or_default().to_lowercase();
        let kind = KINDS.iter().find(|(name, _)| *name == ty).map(|(_, kind)| *kind);
        let inside = groups.iter().any(|g| id.to_lowercase().starts_with(g));
        if let (Some(kind), false) = (kind, inside) {
            all.extend(found(kind, &id, &resource));
        }
    }
    let disks = disks_of_machines(&account, &all).await?;
    all.extend(disks);
    Ok(all)
}

/// The disks that came with the machines: Azure gives them no tags, and they outlive a machine that is deleted.
async fn disks_of_machines(account: &Account, all: &[Found]) -> Result<Vec<Found>> {
    let mut disks: Vec<Found> = Vec::new();
    for machine in all.iter().filter(|f| f.resource.kind == "virtual-machine") {
        let Some(body) = account.compute.find(&machine.id).await? else { continue };
        for id in os_disk(&body).into_iter().chain(made_disks(&body)) {
            if all.iter().chain(&disks).any(|f| f.id.eq_ignore_ascii_case(&id)) {
                continue;
            }
            let resource =
                Resource { kind: "disk".to_owned(), place: place(&id), name: id.clone(), ..machine.resource.clone() };
            disks.push(Found { resource, id, run: machine.run.clone() });
        }
    }
    Ok(disks)
}

/// The data disks that were made with a machine; one that was attached to it is somebody's own.
fn made_disks(machine: &Value) -> Vec<String> {
    let disks = machine.pointer("/properties/storageProfile/dataDisks").and_then(Value::as_array);
    let made = disks.into_iter().flatten().filter(|d| d["createOption"].as_str().is_some_and(|o| o != "Attach"));
    made.filter_map(|d| d.pointer("/managedDisk/id").and_then(Value::as_str).map(str::to_owned)).collect()
}
