//! `consul_key`: the key-value store of Consul, with the variables of its own client.

use super::server::{Connection, flag, refuse};
use base64::Engine as _;
use image_action_engine::{Env, Error, ErrorKind, Result};
use std::time::Duration;

/// Where an agent listens that nobody has moved.
const ADDRESS: &str = "127.0.0.1:8500";

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Attempts in all.
const ATTEMPTS: u32 = 3;

/// The value of a key.
///
/// # Errors
/// No answer, a refusal, no such key, an empty value, a value that is no text.
pub(super) async fn read(env: &Env, key: &str) -> Result<String> {
    let invalid = |what: String| Error::new(ErrorKind::Invalid, what);
    if key.is_empty() || key.starts_with('/') {
        return Err(invalid(format!("a key of Consul begins with its first part, and {key:?} does not"))
            .hint("leave out the slash at the beginning"));
    }
    refuse(env, &["CONSUL_TLS_SERVER_NAME"])?;
    let (what, url) = (format!("Consul's key {key}"), address(env, key)?);
    let connection = Connection {
        ca_file: env.get("CONSUL_CACERT").map(str::to_owned),
        ca_path: env.get("CONSUL_CAPATH").map(str::to_owned),
        identity: env
            .get("CONSUL_CLIENT_CERT")
            .and_then(|cert| Some((cert.to_owned(), env.get("CONSUL_CLIENT_KEY")?.to_owned()))),
        any_certificate: flag(env, "CONSUL_HTTP_SSL_VERIFY")? == Some(false),
        timeout: TIMEOUT,
        attempts: ATTEMPTS,
        ..Connection::default()
    };
    let answer = connection.get(env, &what, url, &headers(env)?).await.map_err(|e| {
        if e.hint.is_some() {
            e
        } else {
            e.hint("CONSUL_HTTP_ADDR names the server; CONSUL_HTTP_SSL=true where it speaks TLS")
        }
    })?;
    match answer.status {
        200 => {}
        404 => {
            return Err(Error::new(ErrorKind::NotFound, format!("{what} does not exist")).hint(
                "look with `consul kv get`; CONSUL_NAMESPACE and CONSUL_PARTITION say in which part of the store",
            ));
        }
        401 | 403 => {
            return Err(Error::new(ErrorKind::Permission, format!("{what} may not be read with this token"))
                .hint("set CONSUL_HTTP_TOKEN to a token whose policy has key:read for it"));
        }
        status => return Err(Error::failed(format!("{what}: the server answered with status {status}"))),
    }
    let encoded = answer.body[0]["Value"].as_str().unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded);
    let text =
        bytes.ok().and_then(|b| String::from_utf8(b).ok()).ok_or_else(|| invalid(format!("{what} is no text")))?;
    if text.is_empty() {
        return Err(invalid(format!("{what} is empty")).hint("give it a value: `consul kv put KEY VALUE`"));
    }
    Ok(text)
}

/// Where a key is: `CONSUL_HTTP_ADDR` may have a scheme, a port and a path.
fn address(env: &Env, key: &str) -> Result<reqwest::Url> {
    let text = env.get("CONSUL_HTTP_ADDR").unwrap_or(ADDRESS);
    let wrong = || {
        Error::new(ErrorKind::Invalid, format!("CONSUL_HTTP_ADDR is {text:?}, which is no address that can be asked"))
            .hint("write it as host:port, http://host:port or https://host:port")
    };
    let full = match text.split_once("://") {
        Some(("http" | "https", _)) => text.to_owned(),
        Some(_) => return Err(wrong()),
        None if flag(env, "CONSUL_HTTP_SSL")? == Some(true) => format!("https://{text}"),
        None => format!("http://{text}"),
    };
    let mut url = reqwest::Url::parse(&full).map_err(|_| wrong())?;
    url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(["v1", "kv"]).extend(key.split('/'));
    for (variable, parameter) in [("CONSUL_NAMESPACE", "ns"), ("CONSUL_PARTITION", "partition")] {
        if let Some(value) = env.get(variable) {
            url.query_pairs_mut().append_pair(parameter, value);
        }
    }
    Ok(url)
}

/// Who asks: the token's file goes before the token.
fn headers(env: &Env) -> Result<Vec<(&'static str, String)>> {
    let mut headers = Vec::new();
    let mut token = env.get("CONSUL_HTTP_TOKEN").unwrap_or_default().to_owned();
    if let Some(path) = env.get("CONSUL_HTTP_TOKEN_FILE") {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Error::new(ErrorKind::Credentials, format!("CONSUL_HTTP_TOKEN_FILE {path} cannot be read: {e}"))
                .hint("correct the path, or unset it")
        })?;
        if !text.trim().is_empty() {
            text.trim().clone_into(&mut token);
        }
    }
    if !token.is_empty() {
        headers.push(("X-Consul-Token", token));
    }
    if let Some(login) = env.get("CONSUL_HTTP_AUTH") {
        let login = if login.contains(':') { login.to_owned() } else { format!("{login}:") };
        headers.push(("Authorization", format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(login))));
    }
    Ok(headers)
}
