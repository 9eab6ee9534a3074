//! Compute Engine (`/compute/v1/…`), with the token, STS, IAM credentials and OS Login endpoints beside it (`/google/…`).
//!
//! Resources are kept as the documents that clients see; what happens over time (operations, the states of an instance) is a
//! task each. What no build and no ordinary client needs answers 501 in Google's own envelope.

mod auth;
mod disks;
mod error;
mod fixtures;
mod images;
mod instances;
mod life;
mod list;
mod names;
mod operations;
mod oslogin;
mod route;
mod script;
mod store;

use crate::cloud::{Cloud, Existing};
use crate::fault::Fault;
use crate::http::{Request, Response};
use error::{ApiError, envelope};
use route::Call;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Store, image_path, zonal_path};

pub use auth::{PROVIDER, account};
pub use fixtures::PROJECT;

/// The zone that the environment names by default.
const ZONE: &str = "us-central1-a";

/// What exists.
pub struct State {
    store: Mutex<Store>,
    auth: auth::Auth,
}

impl Default for State {
    fn default() -> State {
        State { store: Mutex::new(fixtures::store()), auth: auth::Auth::default() }
    }
}

impl State {
    fn store(&self) -> MutexGuard<'_, Store> {
        // Every change is whole before anything can panic.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How clients find it: the names that gcloud and the client libraries read, and our own for what has none.
pub fn env(cloud: &Cloud) -> Vec<(String, String)> {
    let url = cloud.http_url();
    let pairs = [
        ("GOOGLE_APPLICATION_CREDENTIALS", auth::credential_path(cloud).display().to_string()),
        ("GOOGLE_PROJECT", PROJECT.to_owned()),
        ("GOOGLE_PROJECT_ID", PROJECT.to_owned()),
        ("GOOGLE_CLOUD_PROJECT", PROJECT.to_owned()),
        ("CLOUDSDK_CORE_PROJECT", PROJECT.to_owned()),
        ("CLOUDSDK_COMPUTE_ZONE", ZONE.to_owned()),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", format!("{url}/compute/v1/")),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_OSLOGIN", format!("{url}/google/oslogin/")),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", format!("{url}/google/secretmanager/")),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", format!("{url}/google/sts/")),
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", format!("{url}/google/iamcredentials/")),
        ("IMAGE_ACTION_GOOGLE_OAUTH2_URL", format!("{url}/google/")),
    ];
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

/// Answers one request.
pub async fn handle(cloud: &Arc<Cloud>, request: &Request) -> Response {
    let segments = request.segments();
    if let ["google", rest @ ..] = segments.as_slice() {
        return beside(cloud, request, rest);
    }
    let Some(caller) = cloud.google.auth.caller(request) else { return auth::unauthenticated(request) };
    let result = match segments.as_slice() {
        ["compute", "v1", "projects", project, path @ ..] => {
            let call = Call { request, project, caller: &caller };
            route::call(cloud, &call, path).await
        }
        _ => Err(ApiError::not_implemented(format!("{} {}", request.method, request.path))),
    };
    result.map_or_else(|e| e.response(), |value| Response::json(200, &value))
}

/// What is not Compute Engine.
fn beside(cloud: &Cloud, request: &Request, path: &[&str]) -> Response {
    match (request.method.as_str(), path) {
        ("POST", ["token"]) => auth::token(cloud, request),
        ("POST", ["sts", "v1", "token"]) => auth::exchange(cloud, request),
        ("POST", ["iamcredentials", "v1", "projects", "-", "serviceAccounts", account]) => {
            match account.strip_suffix(":generateAccessToken") {
                Some(email) => auth::impersonate(cloud, request, email),
                None => ApiError::not_implemented(account).response(),
            }
        }
        ("GET" | "POST", ["oauth2", "v2", "tokeninfo"]) => auth::token_info(cloud, request),
        (_, ["oslogin", "v1", "users", account, rest @ ..]) => {
            if cloud.google.auth.caller(request).is_none() {
                return auth::unauthenticated(request);
            }
            let (email, verb) = account.split_once(':').unwrap_or((account, ""));
            let result = oslogin::handle(cloud, request, email, verb, rest);
            result.map_or_else(|e| e.response(), |value| Response::json(200, &value))
        }
        _ => ApiError::not_implemented(format!("{} {}", request.method, request.path)).response(),
    }
}

/// A fault in this service's own envelope.
pub fn fault(request: &Request, fault: &Fault) -> Response {
    let _ = request;
    let reason = if fault.code.is_empty() { "backendError" } else { &fault.code };
    envelope(fault.status, reason, &fault.message)
}

/// Everything that is no fixture.
pub fn existing(cloud: &Cloud) -> Vec<Existing> {
    let store = cloud.google.store();
    let one = |kind: &str, place: &str, id: String, doc: &Value| {
        let labels = doc["labels"].as_object().into_iter().flatten();
        let mut tags: BTreeMap<String, String> =
            labels.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect();
        tags.insert("Name".to_owned(), doc["name"].as_str().unwrap_or_default().to_owned());
        Existing {
            provider: "gcp",
            kind: kind.to_owned(),
            place: place.to_owned(),
            id,
            state: doc["status"].as_str().unwrap_or_default().to_owned(),
            tags,
        }
    };
    let instances = store.instances.iter().map(|(k, i)| one("instance", &k.1, zonal_path("instances", k), &i.doc));
    let disks = store.disks.iter().map(|(k, d)| one("disk", &k.1, zonal_path("disks", k), &d.doc));
    let images = store.images.iter().filter(|(_, i)| !i.fixture);
    let images = images.map(|(k, i)| one("image", "global", image_path(k), &i.doc));
    let keys = store.login_keys.iter().flat_map(|(email, keys)| {
        keys.iter()
            .map(move |(print, key)| one("os-login-key", "global", format!("users/{email}/sshPublicKeys/{print}"), key))
    });
    instances.chain(disks).chain(images).chain(keys).collect()
}

/// The call, for the log and for faults: `GET projects/p/zones/z/instances/i`.
pub fn describe(request: &Request) -> String {
    let path = request.path.strip_prefix("/compute/v1/").unwrap_or(&request.path);
    format!("{} {path}", request.method)
}

/// Makes the key of the service account and writes the credential file.
///
/// # Errors
/// Where it cannot be written.
pub fn prepare(cloud: &Arc<Cloud>) -> std::io::Result<()> {
    auth::prepare(cloud)
}
