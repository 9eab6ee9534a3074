//! What earlier builds have left, found by its tags alone: for `cleanup --older-than`, where no ledger is at hand.

use crate::account::{Account, Ec2};
use crate::config::Access;
use crate::images::{filter, text};
use crate::remove::{Note, resource};
use aws_sdk_ec2::types::InstanceStateName;
use futures_util::future::join_all;
use image_action_engine::ledger::{EXPIRES_TAG, Found, RUN_TAG, Search};
use image_action_engine::run::RunContext;
use image_action_engine::{Block, CancellationToken, Config, Env, ErrorKind, Event, Result};
use std::collections::BTreeMap;

/// Any region knows all others; this one is asked where the environment names none. (AWS's own tools ask it too.)
const ANY_REGION: &str = "us-east-1";

/// Most tags in one answer: as many as AWS gives.
const PAGE: i32 = 1000;

/// The kinds that a build makes for itself. An image that carries our tags is one that was never finished: a finished one has
/// lost them.
const KINDS: [&str; 6] = ["instance", "key-pair", "security-group", "volume", "snapshot", "image"];

/// Whether the environment names an account of AWS.
pub fn is_named(env: &Env) -> bool {
    ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_REGION", "AWS_DEFAULT_REGION"]
        .iter()
        .any(|name| env.get(name).is_some())
}

/// Everything of the account that has expired, in the regions that are asked for, or in all.
///
/// # Errors
/// No account, or a region that was asked for by name and refuses.
pub async fn find(run: &RunContext, search: &Search) -> Result<Vec<Found>> {
    let mut access = Access::decode(&Block::default());
    let first = search.places.first().map(String::as_str);
    let named = run.env.get("AWS_REGION").or_else(|| run.env.get("AWS_DEFAULT_REGION"));
    first.or(named).unwrap_or(ANY_REGION).clone_into(&mut access.region);
    let cancel = CancellationToken::new();
    let account = Account::open(&access, &run.env, &cancel).await?;
    let by_name = !search.places.is_empty();
    let regions = if by_name { search.places.clone() } else { regions(&account, &cancel).await? };
    let searches = regions.iter().map(|region| {
        let ec2 = account.ec2(region, &cancel);
        let note = Note { access: account.record(), ..Note::default() };
        async move { (region, in_region(&ec2, &note, search).await) }
    });
    let mut all = Vec::new();
    for (region, found) in join_all(searches).await {
        match found {
            Ok(found) => all.extend(found),
            // Accounts often forbid regions that they do not use; nothing of ours can be there then.
            Err(e) if !by_name && e.kind == ErrorKind::Permission => {
                run.events
                    .send(Event::Warning { build: None, text: format!("{region} is passed over: {}", e.summary) });
            }
            Err(e) => return Err(e),
        }
    }
    Ok(all)
}

async fn regions(account: &Account, cancel: &CancellationToken) -> Result<Vec<String>> {
    let ec2 = account.ec2(account.region(), cancel);
    let answer = ec2.call("DescribeRegions", "", || ec2.client.describe_regions().send()).await?;
    Ok(answer.regions().iter().map(|r| text(r.region_name())).collect())
}

/// Run and expiry of one resource.
#[derive(Default)]
struct Tags {
    kind: String,
    run: Option<String>,
    expires: Option<String>,
}

async fn in_region(ec2: &Ec2, note: &Note, search: &Search) -> Result<Vec<Found>> {
    let mut all: BTreeMap<String, Tags> = BTreeMap::new();
    let keys = vec![RUN_TAG.to_owned(), EXPIRES_TAG.to_owned()];
    let request = ec2.client.describe_tags().filters(filter("key", keys)).max_results(PAGE);
    let mut next = None;
    loop {
        let page = request.clone().set_next_token(next);
        let answer = ec2.call("DescribeTags", "", || page.clone().send()).await?;
        for tag in answer.tags() {
            let of = all.entry(text(tag.resource_id())).or_default();
            of.kind = tag.resource_type().map(|t| t.as_str().to_owned()).unwrap_or_default();
            let value = tag.value().map(str::to_owned);
            if tag.key() == Some(RUN_TAG) { of.run = value } else { of.expires = value }
        }
        next = answer.next_token.filter(|t| !t.is_empty());
        if next.is_none() {
            break;
        }
    }
    all.retain(|_, t| KINDS.contains(&t.kind.as_str()) && search.takes(t.run.as_deref(), t.expires.as_deref()));
    forget_ended(ec2, &mut all).await?;
    let names = if all.values().any(|t| t.kind == "key-pair") { key_names(ec2).await? } else { BTreeMap::new() };
    let found = all.into_iter().map(|(id, tags)| {
        // A key pair is removed by its name, everything else by its id.
        let name = names.get(&id).unwrap_or(&id).clone();
        let resource = resource(&tags.kind, &ec2.region, &name, note);
        Found { resource, id, run: tags.run.unwrap_or_default() }
    });
    Ok(found.collect())
}

async fn key_names(ec2: &Ec2) -> Result<BTreeMap<String, String>> {
    let answer = ec2.call("DescribeKeyPairs", "", || ec2.client.describe_key_pairs().send()).await?;
    Ok(answer.key_pairs().iter().map(|k| (text(k.key_pair_id()), text(k.key_name()))).collect())
}

/// Takes out the instances that have ended: AWS shows them, tags and all, for an hour.
async fn forget_ended(ec2: &Ec2, all: &mut BTreeMap<String, Tags>) -> Result<()> {
    let ids: Vec<String> = all.iter().filter(|(_, t)| t.kind == "instance").map(|(id, _)| id.clone()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    // By a filter, which does not fail where one of them is not known any more.
    let mut next = None;
    let request = ec2.client.describe_instances().filters(filter("instance-id", ids.clone()));
    let mut live = Vec::new();
    loop {
        let page = request.clone().set_next_token(next);
        let answer = ec2.call("DescribeInstances", "", || page.clone().send()).await?;
        let instances = answer.reservations().iter().flat_map(|r| r.instances());
        let state = |i: &aws_sdk_ec2::types::Instance| i.state().and_then(|s| s.name()).cloned();
        live.extend(
            instances.filter(|i| state(i) != Some(InstanceStateName::Terminated)).map(|i| text(i.instance_id())),
        );
        next = answer.next_token.filter(|t| !t.is_empty());
        if next.is_none() {
            break;
        }
    }
    all.retain(|id, t| t.kind != "instance" || live.contains(id));
    Ok(())
}
