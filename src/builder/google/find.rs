//! What earlier builds have left, found by its labels alone: for `cleanup --older-than`, where no ledger is at hand.

use crate::client::{Api, endpoint};
use crate::credentials;
use crate::remove::{Kind, Thing};
use image_action_engine::ledger::{EXPIRES_TAG, Found, RUN_TAG, Resource, Search};
use image_action_engine::run::RunContext;
use image_action_engine::{CancellationToken, Env, Error, ErrorKind, Result};
use serde_json::json;
use std::collections::HashMap;

/// Where Google's and Terraform's tools read the project.
const PROJECT_VARIABLES: [&str; 5] =
    ["GOOGLE_CLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT", "GCLOUD_PROJECT", "GCP_PROJECT", "GOOGLE_PROJECT"];

/// The domain of the APIs, where no template says another.
const UNIVERSE: &str = "googleapis.com";

fn project(env: &Env) -> Option<&str> {
    PROJECT_VARIABLES.iter().find_map(|name| env.get(name))
}

/// Whether the environment names a project of Google Cloud.
pub(crate) fn is_named(env: &Env) -> bool {
    project(env).is_some()
}

/// One instance or disk that a list shows.
pub(crate) struct Listed {
    pub kind: Kind,
    pub name: String,
    /// Its zone; empty for a regional disk, which no build makes.
    pub zone: String,
    pub labels: HashMap<String, String>,
}

/// All instances and disks of the projects that have expired. An image never has: it carries no expiry.
///
/// # Errors
/// No project, no credentials, or a refusal.
pub(crate) async fn find(run: &RunContext, search: &Search) -> Result<Vec<Found>> {
    let named = project(&run.env).map(str::to_owned);
    let projects = if search.places.is_empty() { named.into_iter().collect() } else { search.places.clone() };
    if projects.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "no project of Google Cloud is named")
            .hint("name one with --project, or set GOOGLE_CLOUD_PROJECT"));
    }
    let identity = credentials::environment(&run.cwd, &run.env).await?;
    let address = endpoint(run.env.get(crate::ENDPOINT_VARIABLE), UNIVERSE);
    let api = Api::new(identity, &address, UNIVERSE).await?;
    let (cancel, filter) = (CancellationToken::new(), format!("labels.{RUN_TAG}:*"));
    let mut all = Vec::new();
    for project in &projects {
        let at = api.global(project, &cancel).first();
        let (instances, disks) = tokio::try_join!(at.all_instances(&filter), at.all_disks(&filter))?;
        let expired = |l: &Listed| {
            let label = |name: &str| l.labels.get(name).map(String::as_str);
            !l.zone.is_empty() && search.takes(label(RUN_TAG), label(EXPIRES_TAG))
        };
        all.extend(instances.into_iter().chain(disks).filter(expired).map(|l| found(project, &address, l)));
    }
    Ok(all)
}

fn found(project: &str, endpoint: &str, listed: Listed) -> Found {
    let run = listed.labels.get(RUN_TAG).cloned().unwrap_or_default();
    let thing = Thing { kind: listed.kind, project: project.to_owned(), zone: listed.zone, name: listed.name };
    let resource = Resource {
        provider: crate::PROVIDER.to_owned(),
        kind: thing.kind.name().to_owned(),
        place: thing.zone.clone(),
        name: thing.name.clone(),
        access: json!({ "project": thing.project, "endpoint": endpoint, "universe": UNIVERSE }),
    };
    Found { resource, id: thing.name, run }
}
