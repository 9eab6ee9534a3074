//! Removing what a build made: on failure, on cancel, in the post step and by `cleanup`, all by the same lines of the ledger.

use crate::account::{Account, Record};
use crate::find;
use crate::operation;
use crate::work::{PROVIDER, last};
use futures_util::future::join_all;
use image_action_engine::ledger::{Found, Item, Ledger, Search, State, Sweeper};
use image_action_engine::run::RunContext;
use image_action_engine::wait::{POLL_PAUSES, pause, scaled};
use image_action_engine::{CancellationToken, Env, Error, Result};
use reqwest::Method;
use std::time::Duration;

/// How long something that is still in use is tried again: an interface is kept for three minutes after its machine's failure.
const IN_USE: Duration = Duration::from_secs(10 * 60);

/// How long a delete may take: a resource group with a machine in it takes minutes.
const DELETE: Duration = Duration::from_secs(20 * 60);

/// The kind of resource groups.
const GROUP: &str = "resource-group";

/// How one try to delete something ended.
enum Tried {
    Gone,
    /// Something else is in the way, as this says.
    Busy(Error),
}

/// Deletes an id and waits until it is gone; that it does not exist is fine. While it is in use it is tried again, for as long as
/// `patience`.
///
/// # Errors
/// Why it is still there.
async fn delete(account: &Account, id: &str, patience: Duration) -> Result<()> {
    let end = tokio::time::Instant::now() + patience;
    for round in 0.. {
        let next = scaled(POLL_PAUSES[usize::min(round, POLL_PAUSES.len() - 1)]);
        match try_delete(account, id).await? {
            Tried::Gone => return Ok(()),
            Tried::Busy(e) if tokio::time::Instant::now() + next > end => return Err(e),
            Tried::Busy(_) => pause(next, account.arm.cancel()).await?,
        }
    }
    Ok(())
}

async fn try_delete(account: &Account, id: &str) -> Result<Tried> {
    let answer = match account.compute.delete(id).await {
        Ok(answer) => answer,
        Err(f) if f.is_not_found() => return Ok(Tried::Gone),
        Err(f) if f.is_busy() => return Ok(Tried::Busy(f.into())),
        Err(f) => return Err(f.into()),
    };
    let gone = format!("{} to be deleted", last(id));
    match operation::finish(&account.arm, &Method::DELETE, id, answer, &gone, DELETE).await {
        Ok(_) => Ok(Tried::Gone),
        Err(e) if e.is_cancelled() => Err(e),
        // What came meanwhile (a machine that was still being made) is in the way; the next try takes it along.
        Err(e) => match account.compute.find(id).await? {
            None => Ok(Tried::Gone),
            Some(_) if is_busy(&e) => Ok(Tried::Busy(e)),
            Some(_) => Err(e),
        },
    }
}

/// Whether an operation failed because of another one.
fn is_busy(e: &Error) -> bool {
    ["InUse", "Conflict", "Preempted", "AnotherOperation", "OperationNotAllowed", "CannotBeDeleted"]
        .iter()
        .any(|w| e.summary.contains(w))
}

/// Whether `id` lies in a resource group that the ledger lists as ours.
fn own_group<'a>(items: &'a [Item], id: &str) -> Option<&'a Item> {
    let id = id.to_lowercase();
    let inside = |g: &&Item| id.starts_with(&format!("{}/", g.resource.name.to_lowercase()));
    items.iter().filter(|i| i.resource.kind == GROUP && i.state != State::Gone).find(inside)
}

/// Removes several. What lies in a resource group of ours goes with it; for the rest Azure's own order holds (machine; then
/// interface and disks; then addresses and networks), everything within a stage at once. What is still there, with the reasons.
pub async fn remove_all(account: &Account, ledger: &Ledger, items: Vec<Item>) -> Vec<(Item, Error)> {
    let all = ledger.items();
    let (inside, outside): (Vec<Item>, Vec<Item>) =
        items.into_iter().partition(|i| i.resource.kind != GROUP && own_group(&all, &i.resource.name).is_some());
    let groups: Vec<Item> = all
        .iter()
        .filter(|g| g.resource.kind == GROUP && matches!(g.state, State::Intent | State::Created))
        .filter(|g| {
            outside.iter().any(|o| o.key == g.key)
                || inside.iter().any(|i| own_group(std::slice::from_ref(*g), &i.resource.name).is_some())
        })
        .cloned()
        .collect();
    let rest: Vec<Item> = outside.into_iter().filter(|i| i.resource.kind != GROUP).collect();
    let (left_groups, left_rest) =
        tokio::join!(remove_side_by_side(account, ledger, groups, IN_USE), in_stages(account, ledger, rest));
    let mut left: Vec<(Item, Error)> = left_rest;
    for item in inside {
        let kept = left_groups.iter().find(|(g, _)| own_group(std::slice::from_ref(g), &item.resource.name).is_some());
        match kept {
            Some((_, e)) => left.push((item, e.clone())),
            None => note_gone(ledger, item, &mut left),
        }
    }
    left.extend(left_groups);
    left
}

fn note_gone(ledger: &Ledger, item: Item, left: &mut Vec<(Item, Error)>) {
    if let Err(e) = ledger.entry(&item.key).gone() {
        left.push((item, e));
    }
}

/// In which stage a kind is removed.
fn stage(kind: &str) -> usize {
    match kind {
        "network-interface" | "disk" => 1,
        "public-ip" | "network-security-group" | "virtual-network" => 2,
        _ => 0,
    }
}

async fn in_stages(account: &Account, ledger: &Ledger, items: Vec<Item>) -> Vec<(Item, Error)> {
    let mut left = Vec::new();
    for n in 0..3 {
        let now: Vec<Item> = items.iter().filter(|i| stage(&i.resource.kind) == n).cloned().collect();
        // What an earlier stage could not remove will stay in the way: no use in waiting for it.
        let patience = if left.is_empty() { IN_USE } else { Duration::ZERO };
        left.extend(remove_side_by_side(account, ledger, now, patience).await);
    }
    left
}

async fn remove_side_by_side(
    account: &Account,
    ledger: &Ledger,
    items: Vec<Item>,
    patience: Duration,
) -> Vec<(Item, Error)> {
    let removals = items.into_iter().map(|item| async move {
        let removed = match delete(account, &item.resource.name, patience).await {
            Ok(()) => ledger.entry(&item.key).gone(),
            Err(e) => Err(e),
        };
        removed.err().map(|e| (item, e))
    });
    join_all(removals).await.into_iter().flatten().collect()
}

/// Begins the deletion of the build's own group and does not wait for it, as the template may ask.
///
/// # Errors
/// What was refused.
pub async fn begin_group(account: &Account, ledger: &Ledger, items: &[Item]) -> Result<()> {
    for group in items.iter().filter(|i| i.resource.kind == GROUP) {
        account.arm.delete(&group.resource.name).await?;
        for item in items
            .iter()
            .filter(|i| i.key == group.key || own_group(std::slice::from_ref(group), &i.resource.name).is_some())
        {
            ledger.entry(&item.key).gone()?;
        }
    }
    Ok(())
}

/// A command that removes it.
pub fn command(item: &Item) -> String {
    let subscription = item.resource.access.get("subscription").and_then(serde_json::Value::as_str).unwrap_or_default();
    match item.resource.kind.as_str() {
        GROUP => format!("az group delete --yes --subscription {subscription} --name {}", last(&item.resource.name)),
        _ => format!("az resource delete --ids {}", item.resource.name),
    }
}

/// Removes what a ledger lists of Azure.
#[derive(Default)]
pub struct AzureSweeper {
    accounts: tokio::sync::Mutex<Vec<Account>>,
}

impl AzureSweeper {
    /// The account of a line; one login serves all lines of an account.
    async fn account(&self, run: &RunContext, item: &Item) -> Result<Account> {
        let record: Record = serde_json::from_value(item.resource.access.clone()).map_err(|e| {
            Error::failed(format!("the ledger does not say how the account of {} is reached: {e}", item.resource.name))
        })?;
        let mut accounts = self.accounts.lock().await;
        if let Some(known) = accounts.iter().find(|a| a.record == record) {
            return Ok(known.clone());
        }
        let account = Account::again(&record, &run.env, &CancellationToken::new()).await?;
        accounts.push(account.clone());
        Ok(account)
    }
}

#[async_trait::async_trait]
impl Sweeper for AzureSweeper {
    fn provider(&self) -> &'static str {
        PROVIDER
    }
    async fn remove(&self, run: &RunContext, item: &Item) -> Result<()> {
        let now = run.ledger.items().into_iter().find(|i| i.key == item.key);
        if now.is_some_and(|i| i.state == State::Gone) {
            // It went with its resource group.
            return Ok(());
        }
        let account = self.account(run, item).await?;
        match remove_all(&account, &run.ledger, vec![item.clone()]).await.into_iter().next() {
            None => Ok(()),
            Some((_, e)) => Err(e),
        }
    }
    fn is_named(&self, env: &Env) -> bool {
        find::is_named(env)
    }
    async fn find(&self, run: &RunContext, search: &Search) -> Result<Vec<Found>> {
        find::find(run, search).await
    }
    fn command(&self, item: &Item) -> String {
        command(item)
    }
}
