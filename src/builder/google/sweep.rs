//! Removes what a ledger lists of Google's.

use crate::client::Api;
use crate::config::Authentication;
use crate::credentials;
use crate::find;
use crate::oslogin::{self, Key};
use crate::remove::{Kind, Thing};
use async_trait::async_trait;
use image_action_engine::config::Block;
use image_action_engine::ledger::{Found, Item, Search, State, Sweeper};
use image_action_engine::run::RunContext;
use image_action_engine::{CancellationToken, Config, Env, Error, ErrorKind, Result};
use std::time::Duration;

/// How long the removal of one resource may take.
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// Knows how to remove instances, disks, images and OS Login keys.
pub struct GoogleSweeper;

fn text<'a>(item: &'a Item, key: &str) -> &'a str {
    item.resource.access[key].as_str().unwrap_or_default()
}

fn thing(item: &Item) -> Option<Thing> {
    let kind = Kind::parse(&item.resource.kind)?;
    let zone = if kind == Kind::Image { String::new() } else { item.resource.place.clone() };
    Some(Thing { kind, project: text(item, "project").to_owned(), zone, name: item.resource.name.clone() })
}

async fn api(run: &RunContext, item: &Item) -> Result<Api> {
    let mut options = Authentication::decode(&Block::default());
    options.credentials_file = text(item, "credentials_file").to_owned();
    options.impersonate_service_account = text(item, "impersonate_service_account").to_owned();
    let scopes = ["https://www.googleapis.com/auth/cloud-platform".to_owned()];
    let identity = credentials::identity(&options, &scopes, &run.cwd, &run.env).await?;
    let universe = match text(item, "universe") {
        "" => "googleapis.com",
        universe => universe,
    };
    Api::new(identity, text(item, "endpoint"), universe).await
}

#[async_trait]
impl Sweeper for GoogleSweeper {
    fn provider(&self) -> &'static str {
        crate::PROVIDER
    }
    async fn remove(&self, run: &RunContext, item: &Item) -> Result<()> {
        let api = api(run, item).await?;
        // Whoever stopped the run wants this to be done all the same.
        let cancel = CancellationToken::new();
        if let Some(thing) = thing(item) {
            return thing.remove(&api, item.state == State::Intent, PATIENCE, &cancel).await;
        }
        if item.resource.kind != oslogin::KIND {
            let what = format!("nothing here knows how to remove a \"{}\" of Google Cloud", item.resource.kind);
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let (email, endpoint) = (item.resource.place.as_str(), text(item, "oslogin"));
        let fingerprint = match &item.id {
            Some(id) => Some(id.clone()),
            None => oslogin::find(&api, endpoint, email, &item.resource.name, &cancel).await?,
        };
        let Some(fingerprint) = fingerprint else { return Ok(()) };
        oslogin::forget(&api, &Key { email: email.to_owned(), fingerprint, endpoint: endpoint.to_owned() }, &cancel)
            .await
    }
    fn is_named(&self, env: &Env) -> bool {
        find::is_named(env)
    }
    async fn find(&self, run: &RunContext, search: &Search) -> Result<Vec<Found>> {
        find::find(run, search).await
    }
    fn command(&self, item: &Item) -> String {
        match thing(item) {
            Some(thing) => thing.command(),
            None => format!(
                "gcloud compute os-login ssh-keys remove --key={}",
                item.id.as_deref().unwrap_or(&item.resource.name)
            ),
        }
    }
}
