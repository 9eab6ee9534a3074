//! What is looked up before anything is made: places, networks, sources, and whether what is to be made is there already.

use crate::arm::{COMPUTE, NETWORK};
use crate::config::GallerySource;
use crate::operation;
use crate::work::{Work, last};
use image_action_engine::{Error, ErrorKind, Result};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What was found.
pub struct Found {
    /// Where the build takes place.
    pub location: String,
    /// The subnet of an existing network.
    pub subnet: Option<String>,
    /// What the machine is made from.
    pub source: Source,
}

/// What a machine is made from.
pub struct Source {
    /// `imageReference` of the machine.
    pub reference: Value,
    /// Its whole name, for `build.SourceImageName`.
    pub name: String,
    /// Whether it keeps its users: then the machine has no `osProfile`.
    pub specialized: bool,
    /// LUNs of the disks that it brings.
    pub luns: BTreeSet<i64>,
}

/// A location as Azure compares it: `West US 2` is `westus2`.
pub fn normal(location: &str) -> String {
    location.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase()
}

/// Looks everything up, side by side.
///
/// # Errors
/// The first thing that is not as the template says.
pub async fn look(work: &Work<'_>) -> Result<Found> {
    work.cx.phase("looking things up");
    let (location, subnet, source, (), (), ()) = tokio::try_join!(
        location(work),
        subnet(work),
        source(work),
        managed_image(work),
        snapshots(work),
        gallery(work)
    )?;
    if let Source { specialized: true, .. } = source
        && work.config.makes_image()
    {
        return Err(Error::new(ErrorKind::Invalid, "the source is specialized: no managed image can be made of it")
            .hint("use shared_image_gallery_destination with specialized = true"));
    }
    Ok(Found { location, subnet, source })
}

async fn location(work: &Work<'_>) -> Result<String> {
    let arm = &work.account.arm;
    let id = arm.group(&work.names.group);
    let known = arm.find(&id).await?;
    match (work.own_group(), known) {
        (true, None) => Ok(work.config.location.clone()),
        (true, Some(_)) => Err(Error::failed(format!("the resource group {} already exists", work.names.group)).hint(
            "the build makes and deletes its own: give another temp_resource_group_name, or build_resource_group_name",
        )),
        (false, Some(group)) => Ok(group.get("location").and_then(Value::as_str).unwrap_or_default().to_owned()),
        (false, None) => Err(Error::new(
            ErrorKind::NotFound,
            format!("the build_resource_group_name {} does not exist", work.names.group),
        )
        .hint("create it, or give `location` for a temporary one")),
    }
}

/// The subnet of the template's network; what is not given is looked for.
async fn subnet(work: &Work<'_>) -> Result<Option<String>> {
    let config = work.config;
    let name = config.virtual_network_name.as_str();
    if name.is_empty() {
        return Ok(None);
    }
    let arm = &work.account.arm;
    let missing = |why: String, hint: &str| Error::new(ErrorKind::NotFound, why).hint(hint);
    if !config.virtual_network_resource_group_name.is_empty() {
        let network = arm.id(&config.virtual_network_resource_group_name, "Microsoft.Network/virtualNetworks", name);
        let id = format!("{network}/subnets/{}", config.virtual_network_subnet_name);
        return match arm.find(&id).await? {
            Some(found) => Ok(Some(found.get("id").and_then(Value::as_str).map_or(id, str::to_owned))),
            None => Err(missing(
                format!(
                    "the subnet {} of the network {name} does not exist in resource group {}",
                    config.virtual_network_subnet_name, config.virtual_network_resource_group_name
                ),
                "check virtual_network_name, virtual_network_subnet_name and virtual_network_resource_group_name",
            )),
        };
    }
    let all = arm.list(&format!("{}/providers/Microsoft.Network/virtualNetworks", arm.root()), NETWORK).await?;
    let ids = all.iter().filter_map(|n| n.get("id").and_then(Value::as_str));
    let same: Vec<&str> = ids.filter(|id| last(id).eq_ignore_ascii_case(name)).collect();
    let [network] = same.as_slice() else {
        let how_many =
            if same.is_empty() { "no network is".to_owned() } else { format!("{} networks are", same.len()) };
        return Err(missing(
            format!("{how_many} named {name} in the subscription"),
            "set virtual_network_resource_group_name and virtual_network_subnet_name",
        ));
    };
    let subnets = arm.list(&format!("{network}/subnets"), NETWORK).await?;
    let wanted = config.virtual_network_subnet_name.as_str();
    let ids = subnets.iter().filter_map(|s| s.get("id").and_then(Value::as_str));
    let ids: Vec<&str> = ids.filter(|id| wanted.is_empty() || last(id).eq_ignore_ascii_case(wanted)).collect();
    match ids.as_slice() {
        [only] => Ok(Some((*only).to_owned())),
        [] if !wanted.is_empty() => {
            Err(missing(format!("the network {name} has no subnet {wanted}"), "check virtual_network_subnet_name"))
        }
        _ => {
            Err(missing(format!("the network {name} has {} subnets", subnets.len()), "set virtual_network_subnet_name"))
        }
    }
}

async fn source(work: &Work<'_>) -> Result<Source> {
    let config = work.config;
    if let Some(gallery) = &config.shared_image_gallery {
        return gallery_source(work, gallery).await;
    }
    if !config.custom_managed_image_name.is_empty() {
        return managed_source(work).await;
    }
    let version = if config.image_version.is_empty() { "latest" } else { &config.image_version };
    let (publisher, offer, sku) = (&config.image_publisher, &config.image_offer, &config.image_sku);
    let name = format!(
        "{}/providers/Microsoft.Compute/locations/{}/publishers/{publisher}/ArtifactTypes/vmimage/offers/{offer}/skus/{sku}/versions/{version}",
        work.account.arm.root(),
        config.location
    );
    let reference = json!({ "publisher": publisher, "offer": offer, "sku": sku, "version": version });
    Ok(Source { reference, name, specialized: false, luns: BTreeSet::new() })
}

/// A managed image by its name, in any case.
async fn managed_source(work: &Work<'_>) -> Result<Source> {
    let (arm, config) = (&work.account.arm, work.config);
    let group = &config.custom_managed_image_resource_group_name;
    let all = arm.list(&format!("{}/providers/Microsoft.Compute/images", arm.group(group)), COMPUTE).await?;
    let name = &config.custom_managed_image_name;
    let found =
        all.iter().find(|i| i.get("name").and_then(Value::as_str).is_some_and(|n| n.eq_ignore_ascii_case(name)));
    let found = found.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("the managed image {name} does not exist in resource group {group}"))
            .hint("check custom_managed_image_name and custom_managed_image_resource_group_name")
    })?;
    let id = found.get("id").and_then(Value::as_str).unwrap_or_default();
    let luns = luns(found.pointer("/properties/storageProfile/dataDisks"));
    Ok(Source { reference: json!({ "id": id }), name: id.to_owned(), specialized: false, luns })
}

fn luns(disks: Option<&Value>) -> BTreeSet<i64> {
    let disks = disks.and_then(Value::as_array);
    disks.into_iter().flatten().filter_map(|d| d.get("lun").and_then(Value::as_i64)).collect()
}

async fn gallery_source(work: &Work<'_>, gallery: &GallerySource) -> Result<Source> {
    let shared = |name: &str, id: &str| Source {
        reference: json!({ name: id }),
        name: id.to_owned(),
        specialized: false,
        luns: BTreeSet::new(),
    };
    if !gallery.community_gallery_image_id.is_empty() {
        return Ok(shared("communityGalleryImageId", &gallery.community_gallery_image_id));
    }
    if !gallery.direct_shared_gallery_image_id.is_empty() {
        return Ok(shared("sharedGalleryImageId", &gallery.direct_shared_gallery_image_id));
    }
    let mut id = gallery.id.clone();
    if id.is_empty() {
        id = format!(
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/galleries/{}/images/{}",
            gallery.subscription, gallery.resource_group, gallery.gallery_name, gallery.image_name
        );
        if !gallery.image_version.is_empty() {
            id = format!("{id}/versions/{}", gallery.image_version);
        }
    }
    let definition = id.split("/versions/").next().unwrap_or_default();
    let found = work.account.compute.find(definition).await?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("the gallery's image {definition} does not exist"))
            .hint("check shared_image_gallery")
    })?;
    let specialized = found.pointer("/properties/osState").and_then(Value::as_str) == Some("Specialized");
    let mut source = Source { reference: json!({ "id": id }), name: id.clone(), specialized, luns: BTreeSet::new() };
    if id.contains("/versions/") {
        // Only for its name and its disks: the machine itself tells if it does not exist.
        if let Some(version) = work.account.compute.find(&id).await? {
            let profile = version.pointer("/properties/storageProfile");
            source.luns = luns(profile.and_then(|p| p.get("dataDiskImages")));
            if let Some(from) = profile.and_then(|p| p.pointer("/source/id")).and_then(Value::as_str) {
                source.name = from.to_owned();
            }
        }
    }
    Ok(source)
}

/// Removes something of the same name where that is wanted.
async fn replace(work: &Work<'_>, id: &str, what: &str) -> Result<()> {
    let compute = &work.account.compute;
    if compute.find(id).await?.is_none() {
        return Ok(());
    }
    if !work.cx.run.force {
        return Err(Error::failed(format!("{what} already exists: {id}"))
            .hint("give another name or version, or replace it with -force"));
    }
    work.cx.say(format!("{what} already exists and is replaced: {}", last(id)));
    let answer = compute.delete(id).await?;
    let wait = format!("{what} {} to be deleted", last(id));
    operation::finish(&work.account.arm, &Method::DELETE, id, answer, &wait, work.config.polling_duration_timeout)
        .await?;
    Ok(())
}

/// The id of the managed image that is made.
pub fn image_id(work: &Work<'_>) -> String {
    let config = work.config;
    work.account.arm.id(
        &config.managed_image_resource_group_name,
        "Microsoft.Compute/images",
        &config.managed_image_name,
    )
}

async fn managed_image(work: &Work<'_>) -> Result<()> {
    if !work.config.makes_image() {
        return Ok(());
    }
    let group = &work.config.managed_image_resource_group_name;
    if group.eq_ignore_ascii_case(&work.names.group) && work.own_group() {
        return Ok(());
    }
    if work.account.arm.find(&work.account.arm.group(group)).await?.is_none() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("the managed_image_resource_group_name {group} does not exist"),
        )
        .hint("create it first"));
    }
    replace(work, &image_id(work), "the managed image").await
}

/// The ids of the snapshots that are made: of the OS disk first, where one is wanted, then of each data disk.
pub fn snapshot_ids(work: &Work<'_>) -> (Option<String>, Vec<String>) {
    let config = work.config;
    let id = |name: &str| {
        work.account.arm.id(&config.managed_image_resource_group_name, "Microsoft.Compute/snapshots", name)
    };
    if !config.makes_image() {
        return (None, Vec::new());
    }
    let os = Some(&config.managed_image_os_disk_snapshot_name).filter(|n| !n.is_empty()).map(|n| id(n));
    let prefix = &config.managed_image_data_disk_snapshot_prefix;
    let count = if prefix.is_empty() { 0 } else { config.disk_additional_size.len() };
    (os, (0..count).map(|n| id(&format!("{prefix}{n}"))).collect())
}

async fn snapshots(work: &Work<'_>) -> Result<()> {
    let (os, data) = snapshot_ids(work);
    let all: Vec<String> = os.into_iter().chain(data).collect();
    futures_util::future::try_join_all(all.iter().map(|id| replace(work, id, "the snapshot"))).await?;
    Ok(())
}

/// The id of the version that is made.
pub fn version_id(work: &Work<'_>) -> Option<String> {
    let gallery = work.config.destination()?;
    let own = work.account.arm.subscription();
    let subscription = if gallery.subscription.is_empty() { own } else { &gallery.subscription };
    Some(format!(
        "/subscriptions/{subscription}/resourceGroups/{}/providers/Microsoft.Compute/galleries/{}/images/{}/versions/{}",
        gallery.resource_group, gallery.gallery_name, gallery.image_name, gallery.image_version
    ))
}

async fn gallery(work: &Work<'_>) -> Result<()> {
    let Some(id) = version_id(work) else { return Ok(()) };
    let definition = id.split("/versions/").next().unwrap_or_default();
    if work.account.compute.find(definition).await?.is_none() {
        return Err(Error::new(
            ErrorKind::NotFound,
            format!("the gallery's image definition does not exist: {definition}"),
        )
        .hint("create it first: az sig image-definition create"));
    }
    replace(work, &id, "the gallery's version").await
}
