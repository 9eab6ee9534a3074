//! From a stopped instance to images: create, copy, encrypt, share, tag.

use super::machine::device;
use super::work::{Work, noted};
use crate::account::Ec2;
use crate::failure::Failure;
use crate::images::{filter, text};
use crate::remove;
use crate::tags::{self, Late, sdk, specification};
use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types as ec2;
use aws_sdk_ec2::types::{Image, ImageState, ResourceType};
use futures_util::future::{join_all, try_join_all};
use image_action_engine::ledger::{Entry, RUN_TAG};
use image_action_engine::wait::{NOT_FOUND_GRACE, Poll};
use image_action_engine::{Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Length of the random name of an image that only lives until its encrypted copy exists.
const INTERMEDIATE_NAME: usize = 7;

/// How long a stopped instance may be called "not in the right state" by CreateImage.
const CREATE_IMAGE_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// An image that this build made.
pub struct Made {
    /// Where.
    pub region: String,
    /// Its id.
    pub id: String,
    /// Its snapshots.
    pub snapshots: Vec<String>,
    /// Its line in the ledger.
    pub entry: Entry,
}

/// Whether the image of the instance is only a step on the way: an encrypted copy takes its place.
pub fn needs_intermediate(work: &Work<'_>) -> bool {
    let ami = &work.config.ami;
    ami.encrypt_boot == Some(true) || ami.skip_save_build_region
}

/// The regions that the finished images stand in.
pub fn target_regions(work: &Work<'_>) -> BTreeSet<String> {
    let ami = &work.config.ami;
    let mut all: BTreeSet<String> = ami.ami_regions.iter().cloned().collect();
    all.remove(work.account.region());
    if !ami.skip_save_build_region {
        all.insert(work.account.region().to_owned());
    }
    all
}

/// The images of our account that have a name.
///
/// # Errors
/// A refusal.
pub async fn named(ec2: &Ec2, name: &str) -> Result<Vec<Image>> {
    let request = ec2.client.describe_images().owners("self").filters(filter("name", vec![name.to_owned()]));
    Ok(ec2.call("DescribeImages", name, || request.clone().send()).await?.images.unwrap_or_default())
}

/// Deregisters the images that have the name, where the template asks for it.
async fn free_name(work: &Work<'_>, region: &str) -> Result<()> {
    let ami = &work.config.ami;
    if !(ami.force_deregister || work.cx.run.force) {
        return Ok(());
    }
    let ec2 = work.ec2_in(region);
    for image in named(&ec2, &ami.ami_name).await? {
        let id = text(image.image_id());
        let snapshots = if ami.force_delete_snapshot { remove::snapshots_of(&ec2, &image).await? } else { Vec::new() };
        let request = ec2.client.deregister_image().image_id(&id);
        ec2.call("DeregisterImage", &id, || request.clone().send()).await?;
        work.cx.say(format!("Deregistered {id} in {region}, which had the name {}", ami.ami_name));
        for snapshot in snapshots {
            let request = ec2.client.delete_snapshot().snapshot_id(&snapshot);
            ec2.call("DeleteSnapshot", &snapshot, || request.clone().send()).await?;
            work.cx.message(format!("Deleted its snapshot {snapshot}"));
        }
    }
    Ok(())
}

/// Makes an image of the stopped instance, and waits until it is available.
///
/// # Errors
/// A refusal, or the reason why the image failed.
pub async fn create(work: &Work<'_>, instance: &str, run_tags: &BTreeMap<String, String>) -> Result<Made> {
    let ami = &work.config.ami;
    let region = work.ec2.region.clone();
    let name = if needs_intermediate(work) {
        random_name()
    } else {
        free_name(work, &region).await?;
        ami.ami_name.clone()
    };
    work.cx.say(format!("Creating the image {name} of {instance}"));
    let own = tags::own(work.cx);
    let image_tags = if ami.skip_ami_run_tags { &own } else { run_tags };
    let devices: Vec<_> = ami.ami_block_device_mappings.iter().map(device).collect();
    let creator = work.creator_in(&region);
    let request = creator
        .client
        .create_image()
        .instance_id(instance)
        .name(&name)
        .set_block_device_mappings(Some(devices).filter(|d| !d.is_empty()))
        .tag_specifications(specification(ResourceType::Image, image_tags))
        .tag_specifications(specification(ResourceType::Snapshot, image_tags));
    let entry = work.intent("image", &region, &name)?;
    let asked = Poll::new(format!("{instance} to be ready for its image"), CREATE_IMAGE_DEADLINE)
        .until(&work.cx.cancel, || async {
            match creator.call("CreateImage", &name, || request.clone().send()).await {
                Err(f) if f.code == "InvalidParameterValue" && f.message.contains("not in state") => Ok(None),
                Err(f) if f.code == "InvalidAMIName.Duplicate" => match ours(work, &creator, &name).await {
                    Some(id) => Ok(Some(Ok(id))),
                    None => Ok(Some(Err(f))),
                },
                answer => Ok(Some(answer.map(|a| text(a.image_id())))),
            }
        })
        .await?;
    let id = noted(&entry, asked)?;
    entry.created(&id)?;
    work.cx.message(format!("Image {id}"));
    available(work, &work.ec2, Made { region, id, snapshots: Vec::new(), entry }).await
}

fn random_name() -> String {
    use rand::Rng as _;
    let mut rng = rand::rng();
    (0..INTERMEDIATE_NAME).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))).collect()
}

/// The image of this name that this run made: the answer to its creation was lost.
async fn ours(work: &Work<'_>, ec2: &Ec2, name: &str) -> Option<String> {
    let found = named(ec2, name).await.ok()?;
    let tag = |i: &Image| i.tags().iter().any(|t| t.key() == Some(RUN_TAG) && t.value() == Some(&work.cx.run.id));
    found.into_iter().find(tag).map(|i| text(i.image_id()))
}

/// Waits until an image is available; it then knows its snapshots.
async fn available(work: &Work<'_>, ec2: &Ec2, made: Made) -> Result<Made> {
    let Made { region, id, entry, .. } = made;
    work.cx.phase(format!("waiting for {id}"));
    work.cx.say(format!("Waiting for {id} in {region} to be available"));
    let begin = Instant::now();
    let request = ec2.client.describe_images().image_ids(&id);
    let image = work
        .waits
        .image(format!("{id} in {region} to be available"))
        .until(ec2.cancel(), || async {
            let unseen = |e: Error| if begin.elapsed() < NOT_FOUND_GRACE { Ok(None) } else { Err(e) };
            let answer = match ec2.call("DescribeImages", &id, || request.clone().send()).await {
                Err(f) if f.is_not_found() => return unseen(f.into()),
                answer => answer?,
            };
            let Some(image) = answer.images.unwrap_or_default().pop() else {
                return unseen(Error::new(
                    ErrorKind::NotFound,
                    format!("the image {id} in {region} does not exist any more"),
                ));
            };
            match image.state() {
                Some(ImageState::Available) => Ok(Some(image)),
                Some(s @ (ImageState::Failed | ImageState::Error | ImageState::Invalid | ImageState::Deregistered)) => {
                    Err(failed(&id, &region, s, &image))
                }
                _ => Ok(None),
            }
        })
        .await?;
    let snapshots = remove::snapshots_of(ec2, &image).await?;
    Ok(Made { region, id, snapshots, entry })
}

fn failed(id: &str, region: &str, state: &ImageState, image: &Image) -> Error {
    let reason = image.state_reason();
    let words: Vec<&str> =
        [reason.and_then(|r| r.message()), reason.and_then(|r| r.code())].into_iter().flatten().collect();
    Error::failed(format!("the image {id} in {region} is {}", state.as_str()))
        .detail(words.join(" "))
        .hint("a key of KMS that the role may not use is a common reason; the key's policy has to allow CreateGrant, GenerateDataKeyWithoutPlaintext, ReEncrypt*, Decrypt and DescribeKey")
}

/// Copies the image to every region it is asked for, side by side.
///
/// # Errors
/// The failures of all regions in one; the copies that were made stand in the ledger.
pub async fn copy(work: &Work<'_>, source: &Made) -> Result<Vec<Made>> {
    let mut regions = target_regions(work);
    if !needs_intermediate(work) {
        regions.remove(work.account.region());
    }
    let copies = join_all(regions.iter().map(|region| copy_to(work, source, region))).await;
    let (mut made, mut failures) = (Vec::new(), Vec::new());
    for copy in copies {
        match copy {
            Ok(copy) => made.push(copy),
            Err(e) => failures.push(e),
        }
    }
    // The reason is worth more than the cancel that may have followed it.
    failures.sort_by_key(Error::is_cancelled);
    let mut failures = failures.into_iter();
    let Some(first) = failures.next() else { return Ok(made) };
    Err(failures.fold(first, |all, e| {
        let detail = format!("{}\n{e}", all.detail);
        all.detail(detail.trim().to_owned())
    }))
}

async fn copy_to(work: &Work<'_>, source: &Made, region: &str) -> Result<Made> {
    let ami = &work.config.ami;
    free_name(work, region).await?;
    let own = region == source.region;
    let key = ami.region_kms_key_ids.get(region).cloned().or_else(|| own.then(|| ami.kms_key_id.clone()));
    let key = key.filter(|k| !k.is_empty());
    let encrypted = if ami.encrypt_boot == Some(true) { " encrypted" } else { "" };
    work.cx.say(match &key {
        Some(key) => format!("Copying {} to {region},{encrypted} with {key}", source.id),
        None => format!("Copying {} to {region}{encrypted}", source.id),
    });
    let creator = work.creator_in(region);
    let token = image_action_lang::gotemplate::functions::time_ordered_uuid(chrono::Utc::now());
    let tags = tags::own(work.cx);
    let minutes = ami.snapshot_copy_duration_minutes;
    let request = creator
        .client
        .copy_image()
        .client_token(token)
        .name(&ami.ami_name)
        .source_image_id(&source.id)
        .source_region(&source.region)
        .set_encrypted(ami.encrypt_boot)
        .set_kms_key_id(key)
        .copy_image_tags(true)
        .set_snapshot_copy_completion_duration_minutes(minutes)
        .tag_specifications(specification(ResourceType::Image, &tags))
        .tag_specifications(specification(ResourceType::Snapshot, &tags));
    let entry = work.intent("image", region, &ami.ami_name)?;
    let answer = creator.call("CopyImage", &source.id, || request.clone().send()).await;
    let id = text(noted(&entry, answer)?.image_id());
    entry.created(&id)?;
    work.cx.message(format!("Image {id} in {region}"));
    available(work, &work.ec2_in(region), Made { region: region.to_owned(), id, snapshots: Vec::new(), entry }).await
}

/// Everything that finished images are given, region by region side by side: attributes, permissions, tags.
///
/// # Errors
/// The first refusal.
pub async fn finish(work: &Work<'_>, images: &[Made], late: &Late) -> Result<()> {
    let ami = &work.config.ami;
    let description = late.text("ami_description", &ami.ami_description)?;
    let image_tags = late.tags("tags", &ami.tags, &ami.tag)?;
    let snapshot_tags = late.tags("snapshot_tags", &ami.snapshot_tags, &ami.snapshot_tag)?;
    try_join_all(images.iter().map(|image| async {
        let ec2 = work.ec2_in(&image.region);
        lifecycle(work, &ec2, image).await?;
        attributes(work, &ec2, image, &description).await?;
        if !image_tags.is_empty() {
            work.cx.message(format!("Tags of {} in {}: {}", image.id, image.region, tags::show(&image_tags)));
            let mut all = vec![image.id.clone()];
            all.extend(image.snapshots.iter().cloned());
            tag(&ec2, all, &image_tags).await?;
        }
        if !snapshot_tags.is_empty() && !image.snapshots.is_empty() {
            tag(&ec2, image.snapshots.clone(), &snapshot_tags).await?;
        }
        Ok(())
    }))
    .await
    .map(drop)
}

/// Repeats a change of something that was just made, while AWS does not know it everywhere.
async fn once_known<T, F, Fut>(ec2: &Ec2, what: &str, change: F) -> Result<T>
where
    F: Fn() -> Fut,
    Fut: Future<Output = Result<T, Failure>>,
{
    Poll::new(format!("{what} to be known in {}", ec2.region), NOT_FOUND_GRACE)
        .until(ec2.cancel(), || async {
            match change().await {
                Ok(value) => Ok(Some(value)),
                Err(f) if f.is_not_found() || f.code == "InvalidAMIID.Unavailable" => Ok(None),
                Err(f) => Err(f.into()),
            }
        })
        .await
}

async fn tag(ec2: &Ec2, resources: Vec<String>, tags: &BTreeMap<String, String>) -> Result<()> {
    let what = resources.join(", ");
    let request = ec2.client.create_tags().set_resources(Some(resources)).set_tags(Some(sdk(tags)));
    once_known(ec2, &what, || ec2.call("CreateTags", &what, || request.clone().send())).await.map(drop)
}

/// When the image becomes deprecated, and whether it can be deregistered. A refusal is told, and the image is kept.
async fn lifecycle(work: &Work<'_>, ec2: &Ec2, image: &Made) -> Result<()> {
    let ami = &work.config.ami;
    let refused = |e: Error| {
        if e.is_cancelled() {
            return Err(e);
        }
        work.cx.error(e.to_string());
        Ok(())
    };
    if let Ok(at) = chrono::DateTime::parse_from_rfc3339(&ami.deprecate_at) {
        work.cx.message(format!("{} in {} becomes deprecated at {}", image.id, image.region, ami.deprecate_at));
        let request =
            ec2.client.enable_image_deprecation().image_id(&image.id).deprecate_at(DateTime::from_secs(at.timestamp()));
        let call = || ec2.call("EnableImageDeprecation", &image.id, || request.clone().send());
        once_known(ec2, &image.id, call).await.map(drop).or_else(refused)?;
    }
    if let Some(protection) = ami.deregistration_protection.as_ref().filter(|p| p.enabled || p.with_cooldown) {
        work.cx.message(format!("{} in {} cannot be deregistered from now on", image.id, image.region));
        let request = ec2
            .client
            .enable_image_deregistration_protection()
            .image_id(&image.id)
            .with_cooldown(protection.with_cooldown);
        let call = || ec2.call("EnableImageDeregistrationProtection", &image.id, || request.clone().send());
        once_known(ec2, &image.id, call).await.map(drop).or_else(refused)?;
    }
    Ok(())
}

/// What one call of ModifyImageAttribute changes: AWS takes one attribute at a time.
type Change = Box<dyn Fn(ModifyImage) -> ModifyImage + Send + Sync>;
type ModifyImage = aws_sdk_ec2::operation::modify_image_attribute::builders::ModifyImageAttributeFluentBuilder;

/// The attributes that the template sets, each with its name for people.
fn changes(work: &Work<'_>, description: &str) -> Vec<(&'static str, Change)> {
    let ami = work.config.ami.clone();
    let mut all: Vec<(&'static str, Change)> = Vec::new();
    if !description.is_empty() {
        let value = ec2::AttributeValue::builder().value(description).build();
        all.push(("description", Box::new(move |r| r.description(value.clone()))));
    }
    let launch = |permissions: Vec<ec2::LaunchPermission>| {
        ec2::LaunchPermissionModifications::builder().set_add(Some(permissions)).build()
    };
    let permission = ec2::LaunchPermission::builder;
    if !ami.ami_groups.is_empty() {
        let add =
            ami.ami_groups.iter().map(|g| permission().group(ec2::PermissionGroup::from(g.as_str())).build()).collect();
        let (add, flat) = (launch(add), ami.ami_groups.clone());
        all.push(("groups", Box::new(move |r| r.set_user_groups(Some(flat.clone())).launch_permission(add.clone()))));
    }
    if !ami.ami_users.is_empty() {
        let (add, flat) =
            (launch(ami.ami_users.iter().map(|u| permission().user_id(u).build()).collect()), ami.ami_users.clone());
        all.push(("users", Box::new(move |r| r.set_user_ids(Some(flat.clone())).launch_permission(add.clone()))));
    }
    if !ami.ami_org_arns.is_empty() {
        let add = launch(ami.ami_org_arns.iter().map(|a| permission().organization_arn(a).build()).collect());
        let flat = ami.ami_org_arns.clone();
        all.push((
            "organizations",
            Box::new(move |r| r.set_organization_arns(Some(flat.clone())).launch_permission(add.clone())),
        ));
    }
    if !ami.ami_ou_arns.is_empty() {
        let add = launch(ami.ami_ou_arns.iter().map(|a| permission().organizational_unit_arn(a).build()).collect());
        let flat = ami.ami_ou_arns.clone();
        all.push((
            "organizational units",
            Box::new(move |r| r.set_organizational_unit_arns(Some(flat.clone())).launch_permission(add.clone())),
        ));
    }
    if !ami.ami_product_codes.is_empty() {
        let codes = ami.ami_product_codes.clone();
        all.push(("product codes", Box::new(move |r| r.set_product_codes(Some(codes.clone())))));
    }
    if !ami.imds_support.is_empty() {
        let value = ec2::AttributeValue::builder().value(&ami.imds_support).build();
        all.push(("IMDS support", Box::new(move |r| r.imds_support(value.clone()))));
    }
    all
}

async fn attributes(work: &Work<'_>, ec2: &Ec2, image: &Made, description: &str) -> Result<()> {
    let ami = &work.config.ami;
    for (name, change) in changes(work, description) {
        work.cx.message(format!("Setting {name} of {} in {}", image.id, image.region));
        let request = change(ec2.client.modify_image_attribute().image_id(&image.id));
        once_known(ec2, &image.id, || ec2.call("ModifyImageAttribute", &image.id, || request.clone().send()))
            .await
            .map_err(|e| sharing_hint(e, name, &image.region))?;
    }
    let create = |add| ec2::CreateVolumePermissionModifications::builder().set_add(Some(add)).build();
    let permission = ec2::CreateVolumePermission::builder;
    for snapshot in &image.snapshots {
        let modify = || ec2.client.modify_snapshot_attribute().snapshot_id(snapshot);
        let mut requests = Vec::new();
        if !ami.snapshot_groups.is_empty() {
            let add =
                ami.snapshot_groups.iter().map(|g| permission().group(ec2::PermissionGroup::from(g.as_str())).build());
            requests.push(
                modify()
                    .set_group_names(Some(ami.snapshot_groups.clone()))
                    .create_volume_permission(create(add.collect())),
            );
        }
        if !ami.snapshot_users.is_empty() {
            let add = ami.snapshot_users.iter().map(|u| permission().user_id(u).build());
            requests.push(
                modify().set_user_ids(Some(ami.snapshot_users.clone())).create_volume_permission(create(add.collect())),
            );
        }
        for request in requests {
            work.cx.message(format!("Sharing {snapshot} in {}", image.region));
            once_known(ec2, snapshot, || ec2.call("ModifySnapshotAttribute", snapshot, || request.clone().send()))
                .await
                .map_err(|e| sharing_hint(e, "users", &image.region))?;
        }
    }
    Ok(())
}

/// The usual reason why sharing is refused, which AWS's message does not name the cure of.
fn sharing_hint(e: Error, what: &str, region: &str) -> Error {
    let shared = ["users", "organizations", "organizational units"].contains(&what);
    if !shared || e.is_cancelled() || e.hint.is_some() {
        return e;
    }
    e.hint(format!("an image encrypted with the AWS managed key cannot be shared; name a key of your own for {region} in region_kms_key_ids"))
}

/// Takes our own tags off images that are finished: what is kept never expires.
///
/// # Errors
/// Where the tags can neither be removed nor changed.
pub async fn keep(work: &Work<'_>, images: &[Made]) -> Result<()> {
    try_join_all(images.iter().map(|image| async {
        let ec2 = work.ec2_in(&image.region);
        let mut resources = vec![image.id.clone()];
        resources.extend(image.snapshots.iter().cloned());
        tags::keep_for_ever(&ec2, resources).await?;
        image.entry.kept()
    }))
    .await
    .map(drop)
}
