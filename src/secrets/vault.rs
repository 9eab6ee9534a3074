//! `vault`: a value of a secret in Vault, with the variables of its own client.

use super::server::{Connection, flag, refuse};
use image_action_engine::{Env, Error, ErrorKind, Result, duration};
use serde_json::Value;
use std::time::Duration;

/// Where a server listens that nobody has moved.
const ADDRESS: &str = "https://127.0.0.1:8200";

/// How long one attempt may take, where `VAULT_CLIENT_TIMEOUT` says nothing.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How often a request is repeated, where `VAULT_MAX_RETRIES` says nothing.
const RETRIES: u32 = 2;

/// What the server's own client understands and this one does not.
const UNSUPPORTED: [&str; 3] = ["VAULT_TLS_SERVER_NAME", "VAULT_SRV_LOOKUP", "VAULT_WRAP_TTL"];

/// The value of a key of a secret; of both versions of the key-value store, and of every other engine that is read.
///
/// # Errors
/// No token, no answer, a refusal, no such secret or key, a value that is no text.
pub(super) async fn read(env: &Env, path: &str, key: &str) -> Result<String> {
    let Some(token) = env.get("VAULT_TOKEN") else {
        return Err(Error::new(ErrorKind::Credentials, "Vault is asked with a token, and VAULT_TOKEN is not set")
            .hint("set VAULT_TOKEN, and VAULT_ADDR where the server is elsewhere"));
    };
    refuse(env, &UNSUPPORTED)?;
    let what = format!("Vault's secret {path}");
    let mut headers = vec![("X-Vault-Token", token.to_owned()), ("X-Vault-Request", "true".to_owned())];
    if let Some(namespace) = env.get("VAULT_NAMESPACE") {
        headers.push(("X-Vault-Namespace", namespace.to_owned()));
    }
    let answer = connection(env)?.get(env, &what, address(env, path)?, &headers).await.map_err(|e| {
        if e.hint.is_some() {
            e
        } else {
            e.hint("VAULT_ADDR names the server, VAULT_CACERT the certificate that it is trusted by")
        }
    })?;
    let words = words(&answer.body);
    match answer.status {
        200..=299 => {}
        404 => {
            return Err(Error::new(ErrorKind::NotFound, format!("{what} does not exist"))
                .detail(words)
                .hint("a secret NAME of a key-value store of version 2 is read as MOUNT/data/NAME, of version 1 as MOUNT/NAME"));
        }
        401 | 403 => {
            return Err(Error::new(ErrorKind::Permission, format!("{what} may not be read with this token"))
                .detail(words)
                .hint("the token must be alive, and its policy allow `read` of this path; `vault token capabilities PATH` tells"));
        }
        status => {
            return Err(Error::failed(format!("{what}: the server answered with status {status}")).detail(words));
        }
    }
    value(&what, &answer.body["data"], key)
}

/// The value in the data of a secret. A key-value store of version 2 has a map called `data` in it.
fn value(what: &str, data: &Value, key: &str) -> Result<String> {
    let entries = data["data"].as_object().or_else(|| data.as_object());
    let Some(entries) = entries.filter(|_| data.get("data").is_none_or(|inner| !inner.is_null())) else {
        return Err(Error::new(ErrorKind::NotFound, format!("{what} has no data"))
            .hint("its newest version may be deleted; `vault kv get` tells"));
    };
    match entries.get(key) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(Error::new(ErrorKind::Invalid, format!("the value of {key:?} in {what} is no text"))
            .hint("store it as a text; jsondecode makes a number or an object of it in the template")),
        None => {
            let names = entries.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Err(Error::new(ErrorKind::NotFound, format!("{what} has no key {key:?}"))
                .hint(format!("it has these: {names}")))
        }
    }
}

/// What the server says about a refusal.
fn words(body: &Value) -> String {
    let texts = |name: &str| body[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
    [texts("errors"), texts("warnings")].concat().join("; ")
}

fn connection(env: &Env) -> Result<Connection> {
    let owned = |name: &str| env.get(name).map(str::to_owned);
    let invalid = |name: &str, text: &str, wanted: &str| {
        Error::new(ErrorKind::Invalid, format!("{name} is {text:?}, which is not {wanted}"))
            .hint("correct it, or unset it")
    };
    let timeout = match env.get("VAULT_CLIENT_TIMEOUT") {
        None => TIMEOUT,
        Some(text) => match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                duration::parse(text).map_err(|_| invalid("VAULT_CLIENT_TIMEOUT", text, "a duration such as 30s"))?
            }
        },
    };
    let retries = match env.get("VAULT_MAX_RETRIES") {
        None => RETRIES,
        Some(text) => text.parse().map_err(|_| invalid("VAULT_MAX_RETRIES", text, "a number"))?,
    };
    Ok(Connection {
        ca_file: owned("VAULT_CACERT"),
        ca_path: owned("VAULT_CAPATH"),
        ca_pem: owned("VAULT_CACERT_BYTES"),
        identity: owned("VAULT_CLIENT_CERT").and_then(|cert| Some((cert, owned("VAULT_CLIENT_KEY")?))),
        any_certificate: flag(env, "VAULT_SKIP_VERIFY")? == Some(true),
        proxy: owned("VAULT_PROXY_ADDR").or_else(|| owned("VAULT_HTTP_PROXY")),
        timeout,
        attempts: retries.saturating_add(1),
    })
}

/// Where a secret is: behind the agent, else the server.
fn address(env: &Env, path: &str) -> Result<reqwest::Url> {
    let text = env.get("VAULT_AGENT_ADDR").or_else(|| env.get("VAULT_ADDR")).unwrap_or(ADDRESS);
    let wrong = || {
        Error::new(ErrorKind::Invalid, format!("VAULT_ADDR is {text:?}, which is no address that can be asked"))
            .hint("write it as https://host:port")
    };
    let mut url =
        reqwest::Url::parse(text).ok().filter(|u| ["http", "https"].contains(&u.scheme())).ok_or_else(wrong)?;
    let parts = path.split('/').filter(|p| !p.is_empty());
    url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().push("v1").extend(parts);
    Ok(url)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn both_versions_of_the_store_and_what_is_missing() {
        assert_eq!(value("s", &json!({"a": "x"}), "a").unwrap(), "x");
        assert_eq!(value("s", &json!({"data": {"a": "x"}, "metadata": {}}), "a").unwrap(), "x");
        // A secret of version 1 with a key of that name.
        assert_eq!(value("s", &json!({"data": "x"}), "data").unwrap(), "x");
        for (data, says) in [
            (json!({"data": null, "metadata": {"deletion_time": "now"}}), "has no data"),
            (json!(null), "has no data"),
            (json!({"b": "hidden"}), "it has these: b"),
            (json!({"a": 1}), "no text"),
        ] {
            let e = value("s", &data, "a").unwrap_err();
            let all = format!("{e} {}", e.hint.clone().unwrap());
            assert!(all.contains(says) && !all.contains("hidden"), "{all}");
        }
    }
}
