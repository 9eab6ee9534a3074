//! The builder `amazon-ebs`: the order of its steps, and what happens when one fails.

mod image;
mod machine;
mod work;

use crate::account::Account;
use crate::config::{Ebs, check_ebs};
use crate::images::{self, Query, text};
use crate::remove::{PROVIDER, command, remove_all};
use crate::tags::{FACT_NAMES, Late, facts};
use crate::waits::Waits;
use crate::{connect, network};
use aws_sdk_ec2::types::{DeviceType, Image};
use futures_util::future::try_join_all;
use image::Made;
use image_action_engine::ask::Choice;
use image_action_engine::component::Image as ImageOf;
use image_action_engine::config::Block;
use image_action_engine::ledger::Item;
use image_action_engine::{
    Artifact, BuildContext, Builder, Config, Error, ErrorKind, Event, Facts, Outline, PrepareContext, Question, Result,
};
use image_action_lang::Diagnostics;
use image_action_remote::{Username, clear_authorized_keys};
use machine::Launch;
pub use machine::{KeyPair, describe};
use std::sync::atomic::Ordering;
pub use work::Work;

/// What the manifest calls this builder.
const BUILDER_ID: &str = "mitchellh.amazonebs";

struct EbsBuilder(Ebs);

/// Makes the builder `amazon-ebs`.
///
/// # Errors
/// Everything that is wrong with its options.
pub fn make_ebs(cx: &PrepareContext, body: &Block) -> Result<Box<dyn Builder>, Diagnostics> {
    let config = Ebs::decode(body);
    let mut found = check_ebs(&config, body, cx);
    found.extend(config.communicator.check(body, Username::Required, &cx.cwd, &cx.env));
    let (builder, warnings) = found.or_ok(Box::new(EbsBuilder(config)) as Box<dyn Builder>)?;
    for warning in warnings {
        cx.warnings.push(warning);
    }
    Ok(builder)
}

#[async_trait::async_trait]
impl Builder for EbsBuilder {
    fn fact_names(&self) -> &'static [&'static str] {
        &FACT_NAMES
    }
    fn outline(&self, asked: &Question<'_>) -> Outline {
        crate::plan::outline(&self.0, asked)
    }
    async fn run(&self, cx: &BuildContext) -> Result<Option<Artifact>> {
        cx.phase("signing in");
        let account = Account::open(&self.0.access, cx.env(), &cx.cancel).await?;
        let work = Work::new(cx, &self.0, &account);
        match build(&work).await {
            Ok(artifact) => Ok(artifact),
            Err(e) => {
                give_up(&work, &e, &[]).await;
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

/// Removes what is left of a build that failed, unless it is to stay for somebody to look at. What is being removed already
/// is left to whoever does it.
async fn give_up(work: &Work<'_>, e: &Error, busy: &[String]) {
    let mut items = left(work);
    items.retain(|i| !busy.contains(&i.key));
    if items.is_empty() || work.gave_up.swap(true, Ordering::Relaxed) {
        return;
    }
    let stays = work.cx.choose("build", e, false).await == Choice::Abort;
    if stays {
        items.iter().for_each(|i| tell_left(work.cx, i, None));
    } else {
        work.cx.say("Removing what the build made");
        clean(work.cx, work.account, &work.waits, items).await;
    }
}

/// Removes several resources; what cannot be removed is told.
async fn clean(cx: &BuildContext, account: &Account, waits: &Waits, items: Vec<Item>) {
    for (item, e) in remove_all(account, cx.ledger(), waits, items).await {
        tell_left(cx, &item, Some(&e));
    }
}

fn tell_left(cx: &BuildContext, item: &Item, why: Option<&Error>) {
    let named = item.id.as_ref().unwrap_or(&item.resource.name);
    let what = format!("{} {named} in {}", item.resource.kind.replace('-', " "), item.resource.place);
    if let Some(why) = why {
        cx.error(format!("{what} could not be removed: {why}"));
    }
    cx.events().send(Event::Leftover { build: cx.name.clone(), what, remove_with: command(item) });
}

/// The whole way.
async fn build(work: &Work<'_>) -> Result<Option<Artifact>> {
    let cx = work.cx;
    cx.phase("looking things up");
    cx.say(format!("Building in {}", work.account.region()));
    let (source, network, ()) = cx
        .step("looking things up", || async {
            tokio::try_join!(source(work), network::resolve(cx, &work.ec2, &work.config.run), check_before(work))
        })
        .await?;
    let late = Late::new(cx, work.account.region(), &source);
    let run_tags = work.run_tags(&late)?;

    cx.phase("making the instance");
    let (key, groups) = tokio::try_join!(
        cx.step("making the key pair", || machine::key_pair(work, &run_tags)),
        cx.step("making the security group", || machine::security_groups(work, &network, &run_tags))
    )?;
    let launch = Launch {
        source: &source,
        network: &network,
        key: key.name.as_deref(),
        groups: &groups,
        tags: &run_tags,
        late: &late,
    };
    let instance = cx.step("launching the instance", || machine::launch(work, &launch)).await?;
    let id = text(instance.instance_id());

    let mut known = facts(work.account.region(), &source);
    provision(work, &id, &key, &mut known).await?;

    if cx.run.skip_image || work.config.ami.skip_create_ami {
        cx.say("No image is made: the build ends here");
        clean(cx, work.account, &work.waits, left(work)).await;
        return Ok(None);
    }
    cx.step("stopping the instance", || machine::stop(work, &id)).await?;
    cx.step("modifying the instance", || machine::modify(work, &id)).await?;
    cx.phase("making the image");
    let first = image::create(work, &id, &run_tags).await?;

    // The instance has done its part: it goes while the copies are made.
    let mut temporary = left(work);
    temporary.retain(|i| i.key != first.entry.key);
    let busy: Vec<String> = temporary.iter().map(|i| i.key.clone()).collect();
    let images = async {
        let images = images_of(work, first, &late).await;
        if let Err(e) = &images {
            give_up(work, e, &busy).await;
        }
        images
    };
    let ((), images) = tokio::join!(clean(cx, work.account, &work.waits, temporary), images);
    Ok(Some(artifact(work, images?, known)))
}

/// Logs in and lets the provisioners run.
async fn provision(work: &Work<'_>, id: &str, key: &machine::KeyPair, known: &mut Facts) -> Result<()> {
    let communicator = connect::connect(work, id, key, known).await?;
    let mut result = work.cx.steps.provision(work.cx, communicator.clone(), known).await;
    if let (Ok(()), Some(name)) = (&result, key.name.as_deref().filter(|_| key.private.is_some())) {
        result = clear_authorized_keys(work.cx, &work.config.communicator, communicator.as_ref(), name).await;
    }
    communicator.close().await;
    result
}

/// From the first image to the finished ones, each in its region.
async fn images_of(work: &Work<'_>, first: Made, late: &Late) -> Result<Vec<Made>> {
    work.cx.phase("copying the image");
    let copies = image::copy(work, &first).await?;
    let mut images = copies;
    let intermediate = if image::needs_intermediate(work) {
        Some(first)
    } else {
        images.insert(0, first);
        None
    };
    work.cx.phase("sharing and tagging");
    let removed = async {
        let Some(made) = intermediate else { return };
        work.cx.say(format!("Removing the intermediate image {}", made.id));
        let mut items = left(work);
        items.retain(|i| i.key == made.entry.key);
        clean(work.cx, work.account, &work.waits, items).await;
    };
    let (finished, ()) =
        tokio::join!(work.cx.step("sharing and tagging", || image::finish(work, &images, late)), removed);
    finished?;
    work.cx.check_cancel()?;
    image::keep(work, &images).await?;
    Ok(images)
}

/// The source image.
async fn source(work: &Work<'_>) -> Result<Image> {
    let run = &work.config.run;
    let filter = run.source_ami_filter.as_ref();
    let query = Query {
        ids: Some(run.source_ami.clone()).filter(|s| !s.is_empty()).into_iter().collect(),
        filters: filter.map(|f| f.filters.clone()).unwrap_or_default(),
        owners: filter.map(|f| f.owners.clone()).unwrap_or_default(),
        most_recent: filter.is_some_and(|f| f.most_recent),
        include_deprecated: filter.is_some_and(|f| f.include_deprecated),
    };
    let image = images::find(&work.ec2, &query).await?;
    let id = text(image.image_id());
    work.cx.message(format!("Source image {id} ({})", text(image.name())));
    if image.root_device_type() != Some(&DeviceType::Ebs) {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("the source image {id} has no EBS volume as its root device"),
        )
        .hint("amazon-ebs needs a source image that is backed by EBS: add the filter root-device-type = \"ebs\""));
    }
    let hvm = image.virtualization_type().is_none_or(|v| v.as_str() == "hvm");
    if !hvm && (work.config.ami.sriov_support || work.config.ami.ena_support == Some(true)) {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("the source image {id} is paravirtual, which has no enhanced networking"),
        )
        .hint("take an image of virtualization-type \"hvm\""));
    }
    Ok(image)
}

/// What would fail only after the build: unknown regions, names that are taken, a VPC without a subnet.
async fn check_before(work: &Work<'_>) -> Result<()> {
    let ami = &work.config.ami;
    network::check_vpc(&work.ec2, &work.config.run).await?;
    if !ami.skip_region_validation {
        check_regions(work).await?;
    }
    let no_image = ami.skip_create_ami || work.cx.run.skip_image;
    if no_image || ami.force_deregister || work.cx.run.force {
        return Ok(());
    }
    try_join_all(image::target_regions(work).iter().map(|region| async move {
        let taken = image::named(&work.ec2_in(region), &ami.ami_name).await?;
        let Some(image) = taken.first() else { return Ok(()) };
        Err(Error::new(
            ErrorKind::Invalid,
            format!("an image named {} exists in {region} already: {}", ami.ami_name, text(image.image_id())),
        )
        .hint("choose another ami_name, or set force_deregister (or run with -force) to replace it"))
    }))
    .await
    .map(drop)
}

async fn check_regions(work: &Work<'_>) -> Result<()> {
    let request = work.ec2.client.describe_regions();
    let answer = work.ec2.call("DescribeRegions", "", || request.clone().send()).await?;
    let known: Vec<String> = answer.regions().iter().map(|r| text(r.region_name())).collect();
    let mut wanted = work.config.ami.ami_regions.clone();
    wanted.push(work.account.region().to_owned());
    wanted.retain(|r| !known.contains(r));
    if wanted.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, format!("this account has no region {}", wanted.join(", ")))
        .detail(format!("It has {}.", known.join(", ")))
        .hint("correct `region` or `ami_regions`, or enable the region for the account"))
}

fn artifact(work: &Work<'_>, images: Vec<Made>, facts: Facts) -> Artifact {
    let mut pairs: Vec<String> = images.iter().map(|i| format!("{}:{}", i.region, i.id)).collect();
    pairs.sort();
    let lines: Vec<String> = pairs.iter().map(|p| p.replacen(':', ": ", 1)).collect();
    let of = |i: &Made| ImageOf {
        provider: PROVIDER.to_owned(),
        region: i.region.clone(),
        id: i.id.clone(),
        name: work.config.ami.ami_name.clone(),
    };
    Artifact {
        builder_id: BUILDER_ID.to_owned(),
        id: pairs.join(","),
        description: format!("AMIs were created:\n{}\n", lines.join("\n")),
        files: Vec::new(),
        images: images.iter().map(of).collect(),
        facts,
        resources: images.iter().map(|i| i.entry.key.clone()).collect(),
    }
}
