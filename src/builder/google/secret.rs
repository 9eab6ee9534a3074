//! The data source `googlecompute-secretsmanager`: one call of Secret Manager, in plain REST.

use crate::config::SecretData;
use crate::credentials::{self, Identity};
use crate::failure::{self, Asked, Failure};
use async_trait::async_trait;
use base64::Engine as _;
use image_action_engine::outline::{Grant, Grants};
use image_action_engine::run::RunContext;
use image_action_engine::wait::{RETRY_ATTEMPTS, retry_up_to};
use image_action_engine::{DataSource, Env, Error, ErrorKind, Result};
use image_action_lang::{Number, Type, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The environment's name for another address of Secret Manager (gcloud's own).
const ENDPOINT_VARIABLE: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER";

/// The name of the API in `custom_endpoints`.
const API: &str = "secretmanager";

/// The checksum of payloads: CRC-32C, which is Castagnoli's polynomial.
const CRC32C: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI);

pub(crate) struct SecretSource(pub SecretData);

/// A payload as it arrived whole.
struct Payload {
    text: String,
    checksum: u32,
}

impl SecretData {
    fn path(&self) -> String {
        format!("projects/{}/secrets/{}/versions/{}", self.project_id, self.name, self.version)
    }
    /// The address of the call.
    fn url(&self, env: &Env) -> Result<reqwest::Url> {
        let custom = self.access.custom_endpoints.get(API).filter(|u| !u.is_empty()).map(String::as_str);
        let custom = custom.or_else(|| env.get(ENDPOINT_VARIABLE));
        let base = custom.map_or_else(|| format!("https://{API}.{}", self.access.universe_domain), str::to_owned);
        let wrong = || {
            Error::new(ErrorKind::Invalid, format!("{base} is not the address of an API"))
                .hint("write custom_endpoints = { secretmanager = \"https://HOST/\" }")
        };
        let mut url = reqwest::Url::parse(&base).map_err(|_| wrong())?;
        {
            let mut parts = url.path_segments_mut().map_err(|()| wrong())?;
            parts.pop_if_empty().pop_if_empty();
        }
        if !url.path().trim_end_matches('/').ends_with("/v1") {
            url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().push("v1");
        }
        let version = format!("{}:access", self.version);
        url.path_segments_mut().map_err(|()| wrong())?.extend([
            "projects",
            &self.project_id,
            "secrets",
            &self.name,
            "versions",
            &version,
        ]);
        Ok(url)
    }
}

async fn send(identity: &Identity, asked: &Asked, request: reqwest::RequestBuilder) -> Result<Json, Failure> {
    let headers = credentials::headers(&identity.credentials).await.map_err(|e| match failure::own(&e) {
        Some(own) => Failure::from(own.clone().context(format_args!("{asked} needs a token"))),
        None => Error::new(ErrorKind::Credentials, format!("{asked} needs a token, and none could be had: {e}")).into(),
    })?;
    let lost = |e: reqwest::Error| {
        let reason = std::iter::successors(std::error::Error::source(&e), |e| e.source()).last();
        let reason = reason.map_or_else(|| e.to_string(), ToString::to_string);
        let error = Error::new(ErrorKind::Unreachable, format!("{asked} got no answer: {reason}")).hint(format!(
            "check the network and HTTPS_PROXY; custom_endpoints and {ENDPOINT_VARIABLE} change the address"
        ));
        Failure { transient: true, ..Failure::from(error) }
    };
    let answer = request.headers(headers).send().await.map_err(lost)?;
    let status = answer.status().as_u16();
    let text = answer.text().await.map_err(lost)?;
    let json: Json = serde_json::from_str(&text).unwrap_or_default();
    if status < 300 {
        return Ok(json);
    }
    Err(failure::refused(asked, status, json["error"]["message"].as_str().unwrap_or(&text)))
}

/// The payload of an answer, with its checksum compared.
fn payload(path: &str, answer: &Json) -> Result<Payload> {
    let invalid = |what: String| Error::new(ErrorKind::Invalid, what);
    let data = answer["payload"]["data"].as_str().unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(data);
    let bytes = bytes.map_err(|e| invalid(format!("the payload of {path} cannot be read: {e}")))?;
    let checksum = CRC32C.checksum(&bytes);
    // An int64, which JSON of Google's has as text.
    let told = &answer["payload"]["dataCrc32c"];
    let told = told.as_str().map_or_else(|| told.as_i64(), |t| t.parse().ok());
    if told.is_some_and(|t| t != i64::from(checksum)) {
        return Err(Error::failed(format!("the payload of {path} is not what was sent: its CRC-32C differs"))
            .hint("try again; something between here and Google changes answers"));
    }
    let text = String::from_utf8(bytes).map_err(|_| {
        invalid(format!("the payload of {path} is no text"))
            .hint("store it in base64, and base64decode it in the template")
    })?;
    Ok(Payload { text, checksum })
}

/// An entry of a payload that is a JSON object, as text.
fn entry(path: &str, payload: &str, key: &str) -> Result<String> {
    let Ok(Json::Object(entries)) = serde_json::from_str(payload) else {
        return Err(Error::new(
            ErrorKind::Invalid,
            format!("{path} is no JSON object, and cannot have a key \"{key}\""),
        )
        .hint("leave out `key`: `value` is then the whole text"));
    };
    match entries.get(key) {
        Some(Json::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
        None => {
            let names = entries.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            Err(Error::new(ErrorKind::NotFound, format!("{path} has no key \"{key}\""))
                .hint(format!("it has these: {names}")))
        }
    }
}

#[async_trait]
impl DataSource for SecretSource {
    fn output_type(&self) -> Type {
        Type::object([
            (Arc::from("payload"), Type::String),
            (Arc::from("value"), Type::String),
            (Arc::from("checksum"), Type::Number),
        ])
    }
    fn grants(&self) -> Option<(&'static str, Vec<Grant>)> {
        let mut grants = Grants::default();
        grants.on("Read", &self.0.project_id, &["secretmanager.versions.access"]);
        Some((crate::PROVIDER, grants.done()))
    }
    async fn read(&self, run: &RunContext) -> Result<Value> {
        let options = &self.0;
        let identity = credentials::environment(&run.cwd, &run.env).await?;
        let client = reqwest::Client::builder().user_agent(crate::client::agent()).timeout(crate::client::ATTEMPT);
        let client = client.build().map_err(|e| Error::failed(format!("the HTTP client cannot be made: {e}")))?;
        let (path, url) = (options.path(), options.url(&run.env)?);
        let asked = Asked {
            call: "secrets.versions.access",
            resource: format!("{} (version {})", options.name, options.version),
            place: options.project_id.clone(),
        };
        let attempt = || send(&identity, &asked, client.get(url.clone()));
        let answer = retry_up_to(RETRY_ATTEMPTS, &run.cancel, |f: &Failure| f.transient, attempt).await;
        let answer = answer.map_err(|f| {
            let missing = f.is_not_found();
            let error = Error::from(f);
            if missing {
                error.hint("check project_id, name and version; a secret without a version has none that is `latest`")
            } else {
                error
            }
        })?;
        let found = payload(&path, &answer)?;
        let value = if options.key.is_empty() { found.text.clone() } else { entry(&path, &found.text, &options.key)? };
        Ok(Value::object(BTreeMap::from([
            (Arc::from("payload"), Value::string(found.text).with_sensitive(true)),
            (Arc::from("value"), Value::string(value).with_sensitive(true)),
            (Arc::from("checksum"), Value::number(Number::from_i64(i64::from(found.checksum)))),
        ])))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_payload_that_was_changed_is_refused() {
        // The check value of CRC-32C for "123456789" in the catalogue of parametrised CRC algorithms: e3069283.
        let answer = |crc: Json| json!({"payload": {"data": "MTIzNDU2Nzg5", "dataCrc32c": crc}});
        assert_eq!(payload("p", &answer(json!("3808858755"))).unwrap().text, "123456789");
        assert_eq!(payload("p", &answer(json!(null))).unwrap().checksum, 0xe306_9283);
        let e = payload("p", &answer(json!("3808858756"))).err().unwrap();
        assert!(e.summary.contains("CRC-32C"), "{e}");
    }

    #[test]
    fn an_entry_is_text_and_what_is_missing_is_said() {
        assert_eq!(entry("p", r#"{"a":"x","b":1.50}"#, "a").unwrap(), "x");
        assert_eq!(entry("p", r#"{"a":"x","b":true}"#, "b").unwrap(), "true");
        let e = entry("p", r#"{"a":"hidden"}"#, "b").unwrap_err();
        assert_eq!(e.hint.as_deref(), Some("it has these: a"));
        assert!(entry("p", "plain", "b").is_err());
    }
}
