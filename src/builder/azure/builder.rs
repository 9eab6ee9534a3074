//! The builder `azure-arm`: the order of its steps, and what happens when one fails.

use crate::account::Account;
use crate::config::{self, Arm};
use crate::image::{self, Made};
use crate::machine::{self, os_disk};
use crate::preflight::{self, Found};
use crate::remove::{begin_group, command, remove_all};
use crate::work::{PROVIDER, Work, last};
use image_action_engine::ask::Choice;
use image_action_engine::component::Image;
use image_action_engine::ledger::Item;
use image_action_engine::{
    Artifact, Block, BuildContext, Builder, CancellationToken, Config, Error, Event, Facts, Outline, PrepareContext,
    Question, Result,
};
use image_action_lang::{Diagnostics, Value};
use image_action_remote::{Machine, PrivateKey, Username, clear_authorized_keys, reach};
use std::time::Duration;

/// What the manifest calls this builder.
const BUILDER_ID: &str = "Azure.ResourceManagement.VMImage";

/// How long a machine of Azure has to let us in where the template says nothing.
const SSH_TIMEOUT: Duration = Duration::from_secs(20 * 60);

/// The names that `build.NAME` has of this builder.
const FACT_NAMES: [&str; 14] = [
    "SourceImageName",
    "TenantID",
    "SubscriptionID",
    "TempComputeName",
    "TempNicName",
    "TempOSDiskName",
    "TempDataDiskName",
    "TempDeploymentName",
    "TempVirtualNetworkName",
    "TempKeyVaultName",
    "TempResourceGroupName",
    "TempNsgName",
    "TempSubnetName",
    "TempPublicIPAddressName",
];

struct ArmBuilder(Arm);

/// Makes the builder `azure-arm`.
///
/// # Errors
/// Everything that is wrong with its options.
pub fn make(cx: &PrepareContext, body: &Block) -> Result<Box<dyn Builder>, Diagnostics> {
    let mut config = Arm::decode(body);
    let mut found = config::check(&config, body, cx);
    found.extend(config.communicator.check(body, Username::FromBuilder, &cx.cwd, &cx.env));
    let login = &mut config.communicator;
    if login.ssh_timeout.is_none() && login.ssh_wait_timeout.is_none() && login.ssh_handshake_attempts == 0 {
        login.ssh_timeout = Some(SSH_TIMEOUT);
    }
    let (builder, warnings) = found.or_ok(Box::new(ArmBuilder(config)) as Box<dyn Builder>)?;
    warnings.into_iter().for_each(|warning| cx.warnings.push(warning));
    Ok(builder)
}

#[async_trait::async_trait]
impl Builder for ArmBuilder {
    fn fact_names(&self) -> &'static [&'static str] {
        &FACT_NAMES
    }
    fn outline(&self, asked: &Question<'_>) -> Outline {
        crate::plan::outline(&self.0, asked)
    }
    async fn run(&self, cx: &BuildContext) -> Result<Option<Artifact>> {
        cx.phase("logging in");
        let account = Account::open(&self.0.access, cx.env(), &cx.cancel).await?;
        let work = Work::new(cx, &self.0, &account)?;
        // The first token: who cannot log in learns it before anything else.
        account.arm.tokens().get(&cx.cancel).await?;
        let how = account.arm.tokens().source().describe();
        cx.say(format!("Building in subscription {}, logged in by {how}", account.arm.subscription()));
        match build(&work).await {
            Ok(artifact) => Ok(artifact),
            Err(e) => {
                give_up(&work, &e).await;
                Err(e)
            }
        }
    }
}

/// What is still there of this build.
fn left(work: &Work<'_>) -> Vec<Item> {
    let mut items = work.cx.ledger().left();
    items.retain(|i| i.build == work.cx.name && i.resource.provider == PROVIDER);
    items
}

/// Removes what is left of a build that failed, unless it is to stay for somebody to look at.
async fn give_up(work: &Work<'_>, e: &Error) {
    let items = left(work);
    if items.is_empty() {
        return;
    }
    if work.cx.choose("build", e, false).await == Choice::Abort {
        items.iter().for_each(|i| tell_left(work.cx, i, None));
    } else {
        work.cx.say("Removing what the build made");
        clean(work, items).await;
    }
}

/// Removes several resources; what cannot be removed is told.
async fn clean(work: &Work<'_>, items: Vec<Item>) {
    // A cancelled build cleans up all the same.
    let account = match work.account.with_cancel(&CancellationToken::new()) {
        Ok(account) => account,
        Err(e) => return items.iter().for_each(|i| tell_left(work.cx, i, Some(&e))),
    };
    let mut items = items;
    if work.config.async_resourcegroup_delete && begin_group(&account, work.cx.ledger(), &items).await.is_ok() {
        items = left(work);
    }
    for (item, e) in remove_all(&account, work.cx.ledger(), items).await {
        tell_left(work.cx, &item, Some(&e));
    }
}

fn tell_left(cx: &BuildContext, item: &Item, why: Option<&Error>) {
    let kind = item.resource.kind.replace('-', " ");
    let what = format!("{kind} {} in {}", last(&item.resource.name), item.resource.place);
    if let Some(why) = why {
        cx.error(format!("{what} could not be removed: {why}"));
    }
    cx.events().send(Event::Leftover { build: cx.name.clone(), what, remove_with: command(item) });
}

/// The whole way.
async fn build(work: &Work<'_>) -> Result<Option<Artifact>> {
    let cx = work.cx;
    let look = || async { tokio::try_join!(preflight::look(work), machine::key(work.config)) };
    let (found, key) = cx.step("looking things up", look).await?;
    cx.message(format!("Source image: {}", found.source.name));
    cx.phase("making the machine");
    cx.step("making the resource group", || machine::group(work, &found.location)).await?;
    let interface = cx.step("making the network", || machine::network(work, &found)).await?;
    let named = named_key(work)?;
    let key = key.as_ref().map(|k| &k.key);
    let launch = || machine::launch(work, &found, &interface, named.as_ref().or(key));
    let made = cx.step("making the machine", launch).await?;
    let mut known = facts(work, &found);
    provision(work, key, &mut known).await?;

    if cx.run.skip_image || work.config.skip_create_image {
        cx.say("No image is made: the build ends here");
        clean(work, left(work)).await;
        return Ok(None);
    }
    cx.step("stopping the machine", || image::stop(work)).await?;
    let images = image::make(work, &made, &found.location).await?;
    let disk = os_disk(&made);
    keep(work, &images, disk.as_deref())?;
    cx.phase("removing what was temporary");
    cx.say("Removing what was temporary");
    clean(work, left(work)).await;
    Ok(Some(artifact(work, images, known, &found, disk)))
}

/// The key of the template's file.
fn named_key(work: &Work<'_>) -> Result<Option<PrivateKey>> {
    let login = &work.config.communicator;
    if login.ssh_private_key_file.is_empty() || !login.is_ssh() {
        return Ok(None);
    }
    let settings = login.ssh(&work.cx.run.cwd, work.cx.env(), work.config.user(), None)?;
    Ok(settings.login.keys.into_iter().next())
}

/// Waits until the machine lets us in, and has it provisioned.
async fn provision(work: &Work<'_>, key: Option<&PrivateKey>, known: &mut Facts) -> Result<()> {
    let login = &work.config.communicator;
    let host =
        if login.is_none() || !login.ssh_host.is_empty() { String::new() } else { machine::address(work).await? };
    let target = Machine { host: &host, port: None, user: work.config.user(), key };
    let communicator = reach(work.cx, login, &target, known).await?;
    work.cx.phase("provisioning");
    let mut result = work.cx.steps.provision(work.cx, communicator.clone(), known).await;
    if result.is_ok() && key.is_some() {
        let started: chrono::DateTime<chrono::Utc> = work.cx.run.started.into();
        let name = machine::key_comment(started);
        result = clear_authorized_keys(work.cx, login, communicator.as_ref(), &name).await;
    }
    communicator.close().await;
    result
}

/// What is known of the machine, by the names of templates.
fn facts(work: &Work<'_>, found: &Found) -> Facts {
    let names = &work.names;
    // In an existing group there is no temporary one.
    let group = if work.own_group() { names.group.as_str() } else { "" };
    let values = [
        found.source.name.as_str(),
        &work.account.record.tenant,
        work.account.arm.subscription(),
        &names.machine,
        &names.interface,
        &names.os_disk,
        &names.data_disk,
        &names.deployment,
        &names.network,
        &names.vault,
        group,
        &names.security,
        &names.subnet,
        &names.address,
    ];
    FACT_NAMES.iter().zip(values).map(|(n, v)| ((*n).to_owned(), Value::string(v))).collect()
}

/// Notes that the images are wanted: from here on they stay.
fn keep(work: &Work<'_>, made: &Made, disk: Option<&str>) -> Result<()> {
    for (entry, _) in made.image.iter().chain(&made.snapshots) {
        entry.kept()?;
    }
    if let Some((entry, _, _)) = &made.version {
        entry.kept()?;
    }
    if work.config.keep_os_disk && !work.own_group() {
        let wanted = left(work).into_iter().filter(|i| disk.is_some_and(|d| d.eq_ignore_ascii_case(&i.resource.name)));
        for item in wanted {
            work.cx.ledger().entry(&item.key).kept()?;
        }
    }
    Ok(())
}

fn artifact(work: &Work<'_>, made: Made, facts: Facts, found: &Found, disk: Option<String>) -> Artifact {
    let config = work.config;
    let mut lines = vec![format!("{BUILDER_ID}:"), String::new(), "OSType: Linux".to_owned()];
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("{name}: {value}"));
        }
    };
    let mut images = Vec::new();
    let kept = disk.filter(|_| config.keep_os_disk && made.image.is_some());
    let mut id = kept.clone();
    let mut resources: Vec<String> = made.snapshots.iter().map(|(entry, _)| entry.key.clone()).collect();
    if let Some((entry, image)) = &made.image {
        id = id.or_else(|| Some(image.clone()));
        resources.push(entry.key.clone());
        line("ManagedImageResourceGroupName", &config.managed_image_resource_group_name);
        line("ManagedImageName", &config.managed_image_name);
        line("ManagedImageId", image);
        line("ManagedImageLocation", &found.location);
        line("ManagedImageOSDiskSnapshotName", &config.managed_image_os_disk_snapshot_name);
        line("ManagedImageDataDiskSnapshotPrefix", &config.managed_image_data_disk_snapshot_prefix);
        line("OSDiskUri", kept.as_deref().unwrap_or_default());
        images.push(one_image(&found.location, image, &config.managed_image_name));
    }
    if let (Some((entry, version, regions)), Some(gallery)) = (&made.version, config.destination()) {
        id = id.or_else(|| Some(version.clone()));
        resources.push(entry.key.clone());
        line("ManagedImageSharedImageGalleryId", version);
        line("SharedImageGalleryResourceGroup", &gallery.resource_group);
        line("SharedImageGalleryName", &gallery.gallery_name);
        line("SharedImageGalleryImageName", &gallery.image_name);
        line("SharedImageGalleryImageVersion", &gallery.image_version);
        line("SharedImageGalleryReplicatedRegions", &regions.join(", "));
        let name = format!("{}/{}/{}", gallery.gallery_name, gallery.image_name, gallery.image_version);
        images.extend(regions.iter().map(|region| one_image(region, version, &name)));
    }
    Artifact {
        builder_id: BUILDER_ID.to_owned(),
        id: id.unwrap_or_else(|| "UNKNOWN ID".to_owned()),
        description: lines.join("\n"),
        files: Vec::new(),
        images,
        facts,
        resources,
    }
}

fn one_image(region: &str, id: &str, name: &str) -> Image {
    Image { provider: PROVIDER.to_owned(), region: preflight::normal(region), id: id.to_owned(), name: name.to_owned() }
}
