//! OS Login: keys that belong to an account instead of a machine.

use super::error::{ApiError, ApiResult};
use super::names::text;
use crate::cloud::Cloud;
use crate::http::Request;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The POSIX user of an account: `sa_` and a number for a service account.
pub(super) fn user(email: &str) -> String {
    if email.ends_with(".gserviceaccount.com") {
        return format!("sa_{}", super::fixtures::stable_id(email));
    }
    email.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).take(32).collect()
}

fn profile(cloud: &Cloud, email: &str) -> Value {
    let keys = cloud.google.store().login_keys.get(email).cloned().unwrap_or_default();
    let keys: serde_json::Map<String, Value> = keys.into_iter().collect();
    let user = user(email);
    json!({
        "name": email,
        "posixAccounts": [{
            "primary": true,
            "username": user,
            "uid": "1001",
            "gid": "1001",
            "homeDirectory": format!("/home/{user}"),
            "operatingSystemType": "LINUX",
        }],
        "sshPublicKeys": keys,
    })
}

/// Everything below `/google/oslogin/v1/users/EMAIL`; `rest` is what follows the account.
pub(super) fn handle(cloud: &Cloud, request: &Request, email: &str, verb: &str, rest: &[&str]) -> ApiResult {
    match (request.method.as_str(), verb, rest) {
        ("POST", "importSshPublicKey", []) => {
            let body = request.json().ok().and_then(|v| v.as_object().cloned()).unwrap_or_default();
            let key = text(&body, "key").ok_or_else(|| ApiError::required("key"))?;
            let print = hex::encode(Sha256::digest(key.as_bytes()));
            let mut entry =
                json!({ "key": key, "fingerprint": print, "name": format!("users/{email}/sshPublicKeys/{print}") });
            if let Some(until) = body.get("expirationTimeUsec") {
                entry["expirationTimeUsec"] = until.clone();
            }
            cloud.google.store().login_keys.entry(email.to_owned()).or_default().insert(print, entry);
            Ok(json!({ "loginProfile": profile(cloud, email) }))
        }
        ("GET", "", ["loginProfile"]) => Ok(profile(cloud, email)),
        ("DELETE", "", ["sshPublicKeys", print]) => {
            let gone = cloud.google.store().login_keys.get_mut(email).and_then(|k| k.remove(*print));
            gone.map(|_| json!({})).ok_or_else(|| ApiError::not_found(format!("users/{email}/sshPublicKeys/{print}")))
        }
        _ => Err(ApiError::not_implemented(format!("{} {}", request.method, request.path))),
    }
}
