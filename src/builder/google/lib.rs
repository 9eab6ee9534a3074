//! Compute Engine images: the builder `googlecompute`, the data sources `googlecompute-image` and
//! `googlecompute-secretsmanager`.
//!
//! This room knows Compute Engine, OS Login and Secret Manager, and no other cloud.

mod body;
mod client;
pub mod config;
mod credentials;
mod data;
mod failure;
mod federation;
mod find;
mod metadata;
mod oslogin;
mod plan;
mod remove;
mod role;
mod secret;
mod source;
mod steps;
mod sweep;

pub use role::roles;
pub use sweep::GoogleSweeper;

use crate::config::{Googlecompute, ImageData, SecretData};
use crate::steps::Names;
use async_trait::async_trait;
use image_action_engine::{
    Artifact, Block, BuildContext, Builder, Config, DataSource, Outline, PrepareContext, Question, Result,
};
use image_action_lang::Diagnostics;
use std::time::UNIX_EPOCH;

/// The `provider` of what this room makes, in the ledger and in artifacts.
pub const PROVIDER: &str = "gcp";

/// The environment's name for another address of Compute Engine (gcloud's own).
pub(crate) const ENDPOINT_VARIABLE: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE";

/// The builder `googlecompute`.
struct GoogleBuilder {
    config: Googlecompute,
    names: Names,
}

/// Makes the builder from its checked body.
///
/// # Errors
/// Everything that is wrong with the options beyond their types, with places.
pub fn make(cx: &PrepareContext, body: &Block) -> Result<Box<dyn Builder>, Diagnostics> {
    let config = Googlecompute::decode(body);
    let diagnostics = config::check(cx, body, &config);
    diagnostics.or_ok(()).map(|((), _)| ())?;
    let names = names(cx, &config);
    Ok(Box::new(GoogleBuilder { config, names }))
}

/// Makes the data source `googlecompute-image` from its checked body.
///
/// # Errors
/// None so far: its types say everything.
pub fn make_image_data(_cx: &PrepareContext, body: &Block) -> Result<Box<dyn DataSource>, Diagnostics> {
    Ok(Box::new(data::ImageSource(ImageData::decode(body))))
}

/// Makes the data source `googlecompute-secretsmanager` from its checked body.
///
/// # Errors
/// None so far: its types say everything.
pub fn make_secret_data(_cx: &PrepareContext, body: &Block) -> Result<Box<dyn DataSource>, Diagnostics> {
    Ok(Box::new(secret::SecretSource(SecretData::decode(body))))
}

/// `packer-` and a UUID whose first part is the time, as Packer makes them: names sort by age.
fn time_ordered(cx: &PrepareContext) -> String {
    let seconds = cx.started.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()) as u32;
    let random = uuid::Uuid::new_v4().to_string();
    format!("packer-{seconds:08x}{}", &random[8..])
}

fn names(cx: &PrepareContext, config: &Googlecompute) -> Names {
    let or = |text: &str, other: &dyn Fn() -> String| if text.is_empty() { other() } else { text.to_owned() };
    let instance = or(&config.instance.instance_name, &|| time_ordered(cx));
    let seconds = cx.started.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let disks = config.instance.disk_attachment.iter().map(|disk| {
        let made = disk.volume_type != "scratch" && disk.source_volume.is_empty();
        made.then(|| or(&disk.disk_name, &|| format!("packer-{}", uuid::Uuid::new_v4())))
    });
    let custom = config.access.custom_endpoints.get("compute").map(String::as_str);
    let custom = custom.or_else(|| cx.env.get(ENDPOINT_VARIABLE));
    Names {
        disk: or(&config.instance.disk_name, &|| instance.clone()),
        image: or(&config.image.image_name, &|| format!("packer-{seconds}")),
        image_project: or(&config.image.image_project_id, &|| config.image.project_id.clone()),
        disks: disks.collect(),
        endpoint: client::endpoint(custom, &config.access.universe_domain),
        oslogin: oslogin::Endpoints::new(&config.access, &cx.env),
        instance,
    }
}

/// What the template says of OS Login: the option, else the instance's own metadata.
pub(crate) fn said_os_login(config: &Googlecompute) -> Option<bool> {
    let in_metadata = config.instance.metadata.get(metadata::OS_LOGIN);
    config.login.use_os_login.or_else(|| metadata::go_bool(in_metadata?))
}

#[async_trait]
impl Builder for GoogleBuilder {
    fn fact_names(&self) -> &'static [&'static str] {
        &["SourceImageName"]
    }
    fn outline(&self, asked: &Question<'_>) -> Outline {
        plan::outline(&self.config, &self.names, asked)
    }
    async fn run(&self, cx: &BuildContext) -> Result<Option<Artifact>> {
        steps::run(cx, &self.config, &self.names).await
    }
}
