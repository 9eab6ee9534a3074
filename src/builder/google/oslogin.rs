//! What the client library of Compute Engine does not cover: OS Login, the token's account, reserved addresses. Plain REST.

use crate::client::Api;
use crate::config::Googlecompute;
use crate::credentials;
use crate::failure::{self, Asked, Failure};
use crate::steps::Names;
use image_action_engine::wait::{RETRY_ATTEMPTS, pause, retry_up_to, scaled};
use image_action_engine::{CancellationToken, Env, Error, ErrorKind, Result};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The ledger's word for a key in OS Login.
pub(crate) const KIND: &str = "os-login-key";

/// How often an import is tried that meets another one of the same account.
const CONFLICT_TRIES: u32 = 10;

/// The pause before the next try; Packer takes 5 to 15 s.
const CONFLICT_PAUSE: Duration = Duration::from_secs(7);

/// How long one attempt of a call may take.
const ATTEMPT: Duration = Duration::from_secs(30);

/// The longest name of a user that Linux takes.
const USER_LENGTH: usize = 32;

/// Where the services beside Compute Engine are; each with a slash at its end.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    /// `https://oslogin.googleapis.com/`
    pub oslogin: String,
    /// `https://www.googleapis.com/`
    pub oauth2: String,
}

/// The environment's name for another address of OS Login (gcloud's own).
const OSLOGIN_VARIABLE: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_OSLOGIN";

/// The environment's name for another address of the token's account; there is no standard one.
const OAUTH2_VARIABLE: &str = "IMAGE_ACTION_GOOGLE_OAUTH2_URL";

impl Endpoints {
    /// As the template says, else the environment, else Google's own.
    pub fn new(config: &crate::config::Access, env: &Env) -> Endpoints {
        let find = |key: &str, variable: &str, default: String| {
            let url = config.custom_endpoints.get(key).filter(|u| !u.is_empty()).map(String::as_str);
            let url = url.or_else(|| env.get(variable)).map_or(default, str::to_owned);
            if url.ends_with('/') { url } else { format!("{url}/") }
        };
        let universe = &config.universe_domain;
        Endpoints {
            oslogin: find("oslogin", OSLOGIN_VARIABLE, format!("https://oslogin.{universe}/")),
            oauth2: find("oauth2", OAUTH2_VARIABLE, format!("https://www.{universe}/")),
        }
    }
}

/// A key that OS Login knows.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub email: String,
    pub fingerprint: String,
    /// Base address of OS Login.
    pub endpoint: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OS Login key {} of {}", self.fingerprint, self.email)
    }
}

impl Key {
    /// What a person types to remove it.
    pub fn command(&self) -> String {
        format!("gcloud compute os-login ssh-keys remove --key={}", self.fingerprint)
    }
}

/// What OS Login made of a key.
pub(crate) struct Imported {
    pub key: Key,
    /// Who logs in.
    pub user: String,
}

async fn send(api: &Api, asked: &Asked, request: &reqwest::RequestBuilder) -> Result<Value, Failure> {
    let wrong = |why: String| {
        let error = Error::new(ErrorKind::Unreachable, format!("{asked} got no answer: {why}"))
            .hint("check the network and HTTPS_PROXY");
        Failure { status: None, busy: false, transient: true, throttled: false, uncertain: true, error }
    };
    let headers = credentials::headers(&api.identity().credentials).await.map_err(|e| {
        let error = match failure::own(&e) {
            Some(own) => own.clone().context(format_args!("{asked} needs a token")),
            None => Error::new(ErrorKind::Credentials, format!("{asked} needs a token, and none could be had: {e}")),
        };
        Failure { status: None, busy: false, transient: false, throttled: false, uncertain: false, error }
    })?;
    // Only a streamed body cannot be cloned, and there is none here.
    let request = request.try_clone().ok_or_else(|| wrong("the request cannot be repeated".to_owned()))?;
    let answer = request.headers(headers).timeout(ATTEMPT).send().await.map_err(|e| wrong(e.to_string()))?;
    let status = answer.status().as_u16();
    let text = answer.text().await.map_err(|e| wrong(e.to_string()))?;
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    if status < 300 {
        return Ok(value);
    }
    let message = value["error"]["message"].as_str().or_else(|| value["error_description"].as_str()).unwrap_or(&text);
    Err(failure::refused(asked, status, message))
}

async fn call(
    api: &Api,
    asked: &Asked,
    request: reqwest::RequestBuilder,
    cancel: &CancellationToken,
) -> Result<Value, Failure> {
    retry_up_to(RETRY_ATTEMPTS, cancel, |e: &Failure| e.transient, || send(api, asked, &request)).await
}

fn client() -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(crate::client::agent())
        .build()
        .map_err(|e| Error::failed(format!("the HTTP client cannot be made: {e}")))
}

fn asked(call: &'static str, resource: &str, place: &str) -> Asked {
    Asked { call, resource: resource.to_owned(), place: place.to_owned() }
}

/// The account that calls: OS Login keeps keys by it.
///
/// # Errors
/// The token belongs to no account that has an email.
pub(crate) async fn email(api: &Api, names: &Names, cancel: &CancellationToken) -> Result<String> {
    if let Some(email) = &api.identity().email {
        return Ok(email.clone());
    }
    let url = format!("{}oauth2/v2/tokeninfo", names.oslogin.oauth2);
    let info =
        call(api, &asked("oauth2.tokeninfo", "the token", "oauth2"), client()?.post(url).body(""), cancel).await?;
    match info["email"].as_str() {
        Some(email) if !email.is_empty() => Ok(email.to_owned()),
        _ => Err(Error::new(ErrorKind::Credentials, "OS Login needs an account with an email, and the token has none")
            .hint("use a service account (a key, or federation with impersonation), with the scope userinfo.email; or set use_os_login = false")),
    }
}

/// Gives a key to OS Login.
///
/// # Errors
/// A refusal, or a profile without a user.
pub(crate) async fn import(
    api: &Api,
    names: &Names,
    email: &str,
    public_key: &str,
    config: &Googlecompute,
    cancel: &CancellationToken,
) -> Result<Imported> {
    let url = format!("{}v1/users/{email}:importSshPublicKey", names.oslogin.oslogin);
    let public_key = public_key.trim();
    let mut body = json!({ "key": public_key });
    let lasts = config.login.oslogin_ssh_key_expire_after;
    if !lasts.is_zero() {
        let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + lasts;
        body["expirationTimeUsec"] = json!(until.as_micros().to_string());
    }
    let what = asked("users.importSshPublicKey", email, "OS Login");
    let client = client()?;
    let mut tries = 0;
    let answer = loop {
        tries += 1;
        match call(api, &what, client.post(&url).json(&body), cancel).await {
            Err(e) if e.status == Some(409) && tries < CONFLICT_TRIES => pause(scaled(CONFLICT_PAUSE), cancel).await?,
            other => break other?,
        }
    };
    let profile = &answer["loginProfile"];
    let keys = profile["sshPublicKeys"].as_object().into_iter().flatten();
    let fingerprint = keys
        .filter(|(_, k)| k["key"].as_str().is_some_and(|k| k.trim() == public_key))
        .map(|(name, k)| k["fingerprint"].as_str().unwrap_or(name).to_owned())
        .next()
        .unwrap_or_default();
    let accounts = profile["posixAccounts"].as_array().cloned().unwrap_or_default();
    let primary = accounts.iter().find(|a| a["primary"] == true).or(accounts.first());
    let Some(name) = primary.and_then(|a| a["username"].as_str()) else {
        return Err(Error::failed(format!("OS Login has no user for {email}"))
            .hint("grant roles/compute.osAdminLogin to the account, or set use_os_login = false"));
    };
    let key = Key { email: email.to_owned(), fingerprint, endpoint: names.oslogin.oslogin.clone() };
    Ok(Imported { key, user: user(&config.login.oslogin_ssh_username, name) })
}

/// The user, by the rule of `oslogin_ssh_username`.
fn user(rule: &str, profile: &str) -> String {
    let user = match rule {
        "" | "__auto__" => profile.to_owned(),
        "__external__" if profile.starts_with("sa_") || profile.starts_with("ext_") => profile.to_owned(),
        "__external__" => format!("ext_{profile}"),
        literal => literal.to_owned(),
    };
    user.chars().take(USER_LENGTH).collect()
}

/// Takes a key out of OS Login; it is no error when it is not there.
///
/// # Errors
/// Why it is still there.
pub(crate) async fn forget(api: &Api, key: &Key, cancel: &CancellationToken) -> Result<()> {
    let url = format!("{}v1/users/{}/sshPublicKeys/{}", key.endpoint, key.email, key.fingerprint);
    match call(api, &asked("users.sshPublicKeys.delete", &key.fingerprint, "OS Login"), client()?.delete(url), cancel)
        .await
    {
        Ok(_) => Ok(()),
        Err(e) if e.is_not_found() => Ok(()),
        Err(e) => Err(e.error),
    }
}

/// The fingerprint of a key that OS Login knows, by its text.
///
/// # Errors
/// A refusal.
pub(crate) async fn find(
    api: &Api,
    endpoint: &str,
    email: &str,
    public_key: &str,
    cancel: &CancellationToken,
) -> Result<Option<String>> {
    let url = format!("{endpoint}v1/users/{email}/loginProfile");
    let profile = call(api, &asked("users.getLoginProfile", email, "OS Login"), client()?.get(url), cancel).await?;
    let keys = profile["sshPublicKeys"].as_object().into_iter().flatten();
    let mut same = keys.filter(|(_, k)| k["key"].as_str().is_some_and(|k| k.trim() == public_key.trim()));
    Ok(same.next().map(|(name, k)| k["fingerprint"].as_str().unwrap_or(name).to_owned()))
}

/// The address that a reserved one stands for.
///
/// # Errors
/// There is none of that name.
pub(crate) async fn address(
    api: &Api,
    names: &Names,
    project: &str,
    region: &str,
    name: &str,
    cancel: &CancellationToken,
) -> Result<String> {
    let url = format!("{}/compute/v1/projects/{project}/regions/{region}/addresses/{name}", names.endpoint);
    let found =
        call(api, &asked("addresses.get", name, &format!("{project}/{region}")), client()?.get(url), cancel).await?;
    found["address"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| Error::failed(format!("the reserved address {name} has no address yet")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_follows_the_rule() {
        assert_eq!(user("", "sa_1"), "sa_1");
        assert_eq!(user("__external__", "a_b"), "ext_a_b");
        assert_eq!(user("__external__", "sa_1"), "sa_1");
        assert_eq!(user("me", "sa_1"), "me");
        assert_eq!(user("", &"x".repeat(40)).len(), 32);
    }
}
