//! Removing what a build made: on failure, on cancel, in the post step and by `cleanup`, all by the same lines of the ledger.

use crate::account::{AccessRecord, Account, Ec2};
use crate::failure::Failure;
use crate::find;
use crate::images::{filter, text};
use crate::tags::keep_for_ever;
use crate::waits::Waits;
use aws_sdk_ec2::types::{Image, Instance, InstanceStateName};
use futures_util::future::join_all;
use image_action_engine::ledger::{Found, Item, Ledger, RUN_TAG, Search, State, Sweeper};
use image_action_engine::run::RunContext;
use image_action_engine::wait::Poll;
use image_action_engine::{CancellationToken, Env, Error, Resource, Result};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The `provider` of our lines in the ledger.
pub const PROVIDER: &str = "aws";

/// How long something that is still in use is tried again: an instance takes minutes to let go of its security group.
const IN_USE: Duration = Duration::from_secs(10 * 60);

/// What a line of the ledger says beside the resource: how it is reached, and what stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Note {
    /// How the account is reached.
    #[serde(flatten)]
    pub access: AccessRecord,
    /// Devices of an instance whose volumes the template keeps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep_devices: Vec<String>,
}

/// A line for something that a build is about to make.
pub fn resource(kind: &str, region: &str, name: &str, note: &Note) -> Resource {
    Resource {
        provider: PROVIDER.to_owned(),
        kind: kind.to_owned(),
        place: region.to_owned(),
        name: name.to_owned(),
        // A struct of texts always has a JSON form.
        access: serde_json::to_value(note).unwrap_or_default(),
    }
}

/// One removal.
struct Removal<'a> {
    ec2: &'a Ec2,
    ledger: &'a Ledger,
    waits: &'a Waits,
    item: &'a Item,
}

/// Removes one resource, and notes that it is gone.
///
/// # Errors
/// Why it is still there.
pub async fn remove(ec2: &Ec2, ledger: &Ledger, waits: &Waits, item: &Item) -> Result<()> {
    let removal = Removal { ec2, ledger, waits, item };
    match item.resource.kind.as_str() {
        "instance" => removal.instance().await?,
        "key-pair" => removal.key_pair().await?,
        "security-group" => removal.security_group().await?,
        "image" => removal.image().await?,
        "snapshot" => removal.snapshot().await?,
        "volume" => removal.volume().await?,
        other => return Err(Error::failed(format!("the ledger names a kind of resource that is not known: {other}"))),
    }
    ledger.entry(&item.key).gone()
}

/// Removes several, all at once; what is still there, with the reasons.
pub async fn remove_all(account: &Account, ledger: &Ledger, waits: &Waits, items: Vec<Item>) -> Vec<(Item, Error)> {
    // A cancelled build cleans up all the same.
    let cancel = CancellationToken::new();
    let removals = items.into_iter().map(|item| {
        let ec2 = account.ec2(&item.resource.place, &cancel);
        async move {
            let result = remove(&ec2, ledger, waits, &item).await;
            result.err().map(|e| (item, e))
        }
    });
    join_all(removals).await.into_iter().flatten().collect()
}

/// The id, once known. What came into being with something else (see [`Removal::note_made`]) has it for a name, too: its line may
/// have been the last one that its build could write.
fn id_of(item: &Item) -> Option<&str> {
    let named_by_id = matches!(item.resource.kind.as_str(), "volume" | "snapshot");
    item.id.as_deref().or_else(|| named_by_id.then_some(item.resource.name.as_str()))
}

/// A delete whose aim is already reached is none that failed.
#[expect(clippy::result_large_err, reason = "made once a delete, and handed on as it is")]
fn gone_is_fine<T>(result: Result<T, Failure>) -> Result<(), Failure> {
    match result {
        Err(f) if !f.is_not_found() => Err(f),
        _ => Ok(()),
    }
}

impl Removal<'_> {
    fn id(&self) -> &str {
        id_of(self.item).unwrap_or_default()
    }
    fn note(&self) -> Note {
        serde_json::from_value(self.item.resource.access.clone()).unwrap_or_default()
    }

    /// Repeats a delete while AWS says that the thing is in use.
    async fn while_in_use<F, Fut>(&self, codes: &[&str], delete: F) -> Result<()>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<(), Failure>>,
    {
        let what = format!("{} {} to be free of use", self.item.resource.kind, self.id());
        Poll::new(what, IN_USE)
            .until(self.ec2.cancel(), || async {
                match delete().await {
                    Ok(()) => Ok(Some(())),
                    Err(f) if codes.contains(&f.code.as_str()) => Ok(None),
                    Err(f) => Err(f.into()),
                }
            })
            .await
    }

    async fn key_pair(&self) -> Result<()> {
        let name = &self.item.resource.name;
        let request = self.ec2.client.delete_key_pair().key_name(name);
        Ok(gone_is_fine(self.ec2.call("DeleteKeyPair", name, || request.clone().send()).await)?)
    }

    async fn security_group(&self) -> Result<()> {
        let ids = match &self.item.id {
            Some(id) => vec![id.clone()],
            None => {
                let name = self.item.resource.name.clone();
                let request =
                    self.ec2.client.describe_security_groups().filters(filter("group-name", vec![name.clone()]));
                let answer = self.ec2.call("DescribeSecurityGroups", &name, || request.clone().send()).await?;
                answer.security_groups().iter().map(|g| text(g.group_id())).collect()
            }
        };
        for id in ids {
            let request = self.ec2.client.delete_security_group().group_id(&id);
            self.while_in_use(&["DependencyViolation", "InvalidGroup.InUse"], || async {
                gone_is_fine(self.ec2.call("DeleteSecurityGroup", &id, || request.clone().send()).await)
            })
            .await?;
        }
        Ok(())
    }

    /// The instances of this line that are not ended yet.
    async fn instances(&self) -> Result<Vec<Instance>> {
        let request = match &self.item.id {
            Some(id) => self.ec2.client.describe_instances().instance_ids(id),
            None => {
                let token = self.item.resource.name.clone();
                self.ec2.client.describe_instances().filters(filter("client-token", vec![token]))
            }
        };
        match self.ec2.call("DescribeInstances", self.id(), || request.clone().send()).await {
            Ok(answer) => Ok(answer.reservations().iter().flat_map(|r| r.instances().to_vec()).collect()),
            Err(f) if f.is_not_found() => Ok(Vec::new()),
            Err(f) => Err(f.into()),
        }
    }

    async fn instance(&self) -> Result<()> {
        for instance in self.instances().await? {
            let id = text(instance.instance_id());
            let volumes = self.note_volumes(&instance).await?;
            let request = self.ec2.client.terminate_instances().instance_ids(&id);
            gone_is_fine(self.ec2.call("TerminateInstances", &id, || request.clone().send()).await)?;
            self.ended(&id).await?;
            for volume in volumes {
                Box::pin(remove(self.ec2, self.ledger, self.waits, &volume)).await?;
            }
        }
        Ok(())
    }

    /// Writes down the volumes that outlive their instance, before it ends and nobody can tell whose they were. Those that the
    /// template keeps do not expire from now on.
    async fn note_volumes(&self, instance: &Instance) -> Result<Vec<Item>> {
        let note = self.note();
        let (mut items, mut kept) = (Vec::new(), Vec::new());
        for mapping in instance.block_device_mappings() {
            let device = mapping.device_name().unwrap_or_default();
            let Some(ebs) = mapping.ebs() else { continue };
            if ebs.delete_on_termination() == Some(true) {
                continue;
            }
            if note.keep_devices.iter().any(|d| d == device) {
                kept.extend(ebs.volume_id().map(str::to_owned));
                continue;
            }
            items.push(self.note_made("volume", ebs.volume_id().unwrap_or_default())?);
        }
        if !kept.is_empty() {
            keep_for_ever(self.ec2, kept).await?;
        }
        Ok(items)
    }

    /// A line for something that came into being with this resource, and outlives it.
    fn note_made(&self, kind: &str, id: &str) -> Result<Item> {
        let known = self.ledger.left().into_iter().find(|i| i.resource.kind == kind && i.id.as_deref() == Some(id));
        if let Some(item) = known {
            return Ok(item);
        }
        let resource = Resource { kind: kind.to_owned(), name: id.to_owned(), ..self.item.resource.clone() };
        let entry = self.ledger.intent(&self.item.build, resource.clone())?;
        entry.created(id)?;
        let build = self.item.build.clone();
        Ok(Item {
            key: entry.key,
            resource,
            build,
            id: Some(id.to_owned()),
            state: State::Created,
            order: self.item.order,
        })
    }

    async fn ended(&self, id: &str) -> Result<()> {
        let request = self.ec2.client.describe_instances().instance_ids(id);
        self.waits
            .instance(format!("{id} to be terminated"))
            .until(self.ec2.cancel(), || async {
                let answer = match self.ec2.call("DescribeInstances", id, || request.clone().send()).await {
                    Err(f) if f.is_not_found() => return Ok(Some(())),
                    answer => answer?,
                };
                let states = answer.reservations().iter().flat_map(|r| r.instances());
                let ended = states.filter_map(|i| i.state()?.name()).all(|s| *s == InstanceStateName::Terminated);
                Ok(ended.then_some(()))
            })
            .await
    }

    async fn volume(&self) -> Result<()> {
        let id = self.id();
        let request = self.ec2.client.delete_volume().volume_id(id);
        self.while_in_use(&["VolumeInUse"], || async {
            gone_is_fine(self.ec2.call("DeleteVolume", id, || request.clone().send()).await)
        })
        .await
    }

    async fn snapshot(&self) -> Result<()> {
        let id = self.id();
        let request = self.ec2.client.delete_snapshot().snapshot_id(id);
        self.while_in_use(&["InvalidSnapshot.InUse"], || async {
            gone_is_fine(self.ec2.call("DeleteSnapshot", id, || request.clone().send()).await)
        })
        .await
    }

    async fn images(&self) -> Result<Vec<Image>> {
        let client = &self.ec2.client;
        let request = match &self.item.id {
            Some(id) => client.describe_images().image_ids(id),
            // The name alone could be another's: ours carries the tag of the run.
            None => client
                .describe_images()
                .owners("self")
                .filters(filter("name", vec![self.item.resource.name.clone()]))
                .filters(filter(&format!("tag:{RUN_TAG}"), vec![self.ledger.run_id().to_owned()])),
        };
        match self.ec2.call("DescribeImages", self.id(), || request.clone().send()).await {
            Ok(answer) => Ok(answer.images.unwrap_or_default()),
            Err(f) if f.is_not_found() => Ok(Vec::new()),
            Err(f) => Err(f.into()),
        }
    }

    async fn image(&self) -> Result<()> {
        for image in self.images().await? {
            let id = text(image.image_id());
            let mut snapshots = Vec::new();
            for snapshot in snapshots_of(self.ec2, &image).await? {
                snapshots.push(self.note_made("snapshot", &snapshot)?);
            }
            let request = self.ec2.client.deregister_image().image_id(&id);
            gone_is_fine(self.ec2.call("DeregisterImage", &id, || request.clone().send()).await)?;
            for snapshot in snapshots {
                Box::pin(remove(self.ec2, self.ledger, self.waits, &snapshot)).await?;
            }
        }
        Ok(())
    }
}

/// The snapshots of an image: those of its mappings, and of one that is not ready those that say they are made for it.
///
/// # Errors
/// A call that is refused.
pub async fn snapshots_of(ec2: &Ec2, image: &Image) -> Result<Vec<String>> {
    let mapped: Vec<String> = image
        .block_device_mappings()
        .iter()
        .filter_map(|m| m.ebs()?.snapshot_id())
        .filter(|s| !s.is_empty())
        .map(str::to_owned)
        .collect();
    if !mapped.is_empty() {
        return Ok(mapped);
    }
    let id = text(image.image_id());
    let request =
        ec2.client.describe_snapshots().owner_ids("self").filters(filter("description", vec![format!("*{id}*")]));
    let answer = ec2.call("DescribeSnapshots", &id, || request.clone().send()).await?;
    // "Created by CreateImage(i-1) for ami-1", "Copied for DestinationAmi ami-1 from SourceAmi ami-2 for SourceSnapshot …"
    let made_for = |d: &str| d.contains(&format!("for {id}")) || d.contains(&format!("DestinationAmi {id}"));
    let ours = answer.snapshots().iter().filter(|s| s.description().is_some_and(made_for));
    Ok(ours.map(|s| text(s.snapshot_id())).collect())
}

/// Removes what a ledger of ours lists.
pub struct AwsSweeper;

#[async_trait::async_trait]
impl Sweeper for AwsSweeper {
    fn provider(&self) -> &'static str {
        PROVIDER
    }
    async fn remove(&self, run: &RunContext, item: &Item) -> Result<()> {
        sweep(&run.env, &run.ledger, item).await
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

async fn sweep(env: &Env, ledger: &Ledger, item: &Item) -> Result<()> {
    let cancel = CancellationToken::new();
    let note: Note = serde_json::from_value(item.resource.access.clone()).unwrap_or_default();
    let region = &item.resource.place;
    let account = Account::open(&note.access.access(region), env, &cancel).await?;
    let result = remove(&account.ec2(region, &cancel), ledger, &Waits::default(), item).await;
    result.map_err(|e| {
        if note.access.keys_in_template {
            let detail =
                format!("{}\nthe build had its keys from the template, where a ledger does not keep them", e.detail);
            e.detail(detail.trim().to_owned())
        } else {
            e
        }
    })
}

/// A command that a person can type to remove it.
pub fn command(item: &Item) -> String {
    let Resource { kind, place, name, .. } = &item.resource;
    let id = id_of(item);
    let known = id.unwrap_or("ID");
    let action = match kind.as_str() {
        "instance" => format!("terminate-instances --instance-ids {known}"),
        "key-pair" => format!("delete-key-pair --key-name {name}"),
        "security-group" => match id {
            Some(id) => format!("delete-security-group --group-id {id}"),
            None => format!("delete-security-group --group-name {name}"),
        },
        "image" => format!("deregister-image --delete-associated-snapshots --image-id {known}"),
        "snapshot" => format!("delete-snapshot --snapshot-id {known}"),
        "volume" => format!("delete-volume --volume-id {known}"),
        _ => return String::new(),
    };
    let note: Note = serde_json::from_value(item.resource.access.clone()).unwrap_or_default();
    let profile =
        if note.access.profile.is_empty() { String::new() } else { format!(" --profile {}", note.access.profile) };
    format!("aws ec2 {action} --region {place}{profile}")
}
