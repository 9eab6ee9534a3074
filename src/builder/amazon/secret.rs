//! Secrets Manager: the data source `amazon-secretsmanager`, and the secrets that functions of a template read.

use crate::account::Account;
use crate::config::{Access, SecretData, check_access};
use crate::policy::{Arns, one_call};
use async_trait::async_trait;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use base64::Engine as _;
use image_action_engine::config::Block;
use image_action_engine::outline::Grant;
use image_action_engine::run::RunContext;
use image_action_engine::{CancellationToken, Config, DataSource, Env, Error, ErrorKind, PrepareContext, Result};
use image_action_lang::{Diagnostics, Type, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The label of the version that holds.
const CURRENT: &str = "AWSCURRENT";

/// Which part of a secret is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// The whole text.
    Whole,
    /// An entry of a JSON object; the only one where the name is empty. A text that is no JSON object is its own value.
    Named(&'a str),
}

/// Reads a secret with the credentials, the region and the endpoints of the environment.
///
/// # Errors
/// It cannot be had, it is binary, or it has no such entry.
pub async fn read_secret(env: &Env, name: &str, entry: Entry<'_>, cancel: &CancellationToken) -> Result<String> {
    if name.is_empty() {
        return Err(Error::new(ErrorKind::Invalid, "a secret has a name, and this one is empty"));
    }
    let mut access = Access::decode(&Block::default());
    // As the SDKs do: whether the credentials are good, the one call shows.
    access.skip_credential_validation = true;
    let account = Account::open(&access, env, cancel).await?;
    let answer = ask(&account, name, Version::Stage(CURRENT), cancel).await?;
    let text = answer.secret_string.ok_or_else(|| {
        Error::new(ErrorKind::Invalid, format!("the secret {name} holds bytes and no text"))
            .hint("the data source amazon-secretsmanager gives them as `secret_binary`, in base64")
    })?;
    match entry {
        Entry::Whole => Ok(text),
        Entry::Named(key) => value_of(name, text, key),
    }
}

/// Which version of a secret.
#[derive(Clone, Copy)]
enum Version<'a> {
    Id(&'a str),
    Stage(&'a str),
}

async fn ask(
    account: &Account,
    name: &str,
    version: Version<'_>,
    cancel: &CancellationToken,
) -> Result<GetSecretValueOutput> {
    let service = account.service("secretsmanager", aws_sdk_secretsmanager::Client::new, cancel);
    let call = service.client.get_secret_value().secret_id(name);
    let call = match version {
        Version::Id(id) => call.version_id(id),
        Version::Stage(stage) => call.version_stage(stage),
    };
    let answer = service.call("GetSecretValue", name, || call.clone().send()).await;
    answer.map_err(|failure| {
        let missing = failure.code == "ResourceNotFoundException";
        let error = Error::from(failure);
        if missing {
            error.hint("check the name and the region; a secret that is being deleted is not found either")
        } else {
            error
        }
    })
}

/// An entry of a secret, by Packer's rules: what is no JSON is its own value, a JSON object has entries.
fn value_of(name: &str, text: String, key: &str) -> Result<String> {
    let invalid = |what: String| Error::new(ErrorKind::Invalid, what);
    let entries = match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(serde_json::Value::Object(entries)) => entries,
        Ok(_) if !key.is_empty() => {
            return Err(invalid(format!("the secret {name} is no JSON object, and cannot have a key \"{key}\""))
                .hint("leave out the key: the value is then the whole text"));
        }
        _ => return Ok(text),
    };
    let names = || entries.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let value = if key.is_empty() {
        if entries.len() != 1 {
            return Err(invalid(format!("the secret {name} has {} keys, and none is asked for", entries.len()))
                .hint(format!("name one of its keys: {}", names())));
        }
        entries.values().next()
    } else {
        entries.get(key)
    };
    match value {
        Some(serde_json::Value::String(text)) => Ok(text.clone()),
        // Packer has numbers as f64, and prints them without decimals.
        Some(serde_json::Value::Number(n)) => Ok(match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(n), _, _) => n.to_string(),
            (_, Some(n), _) => n.to_string(),
            (_, _, f) => format!("{:.0}", f.unwrap_or_default()),
        }),
        Some(_) => Err(invalid(format!("the entry \"{key}\" of the secret {name} is neither a text nor a number"))
            .hint("take the whole text (aws_secretsmanager_raw, secret_string), and jsondecode")),
        None => Err(Error::new(ErrorKind::NotFound, format!("the secret {name} has no key \"{key}\""))
            .hint(format!("it has these: {}", names()))),
    }
}

/// The ARN of a secret. Secrets Manager puts a dash and six characters behind its name.
fn resource(region: &str, name: &str) -> String {
    match name {
        arn if arn.starts_with("arn:") => arn.to_owned(),
        unknown if unknown.is_empty() || unknown.contains('<') => {
            Arns::of(region).of_service("secretsmanager", "secret:*")
        }
        name => Arns::of(region).of_service("secretsmanager", &format!("secret:{name}-??????")),
    }
}

/// What reading a secret by the environment's own credentials needs, as [`read_secret`] does it.
pub fn secret_grants(env: &Env, name: &str) -> Option<(&'static str, Vec<Grant>)> {
    let region = env.get("AWS_REGION").or_else(|| env.get("AWS_DEFAULT_REGION")).unwrap_or_default();
    let access = Access { skip_credential_validation: true, ..Access::decode(&Block::default()) };
    one_call(&access, &resource(region, name), "secretsmanager:GetSecretValue")
}

/// `data "amazon-secretsmanager"`
struct SecretSource(SecretData);

/// Makes the data source `amazon-secretsmanager`.
///
/// # Errors
/// What is wrong with its options.
pub fn make_secret_data(_: &PrepareContext, body: &Block) -> Result<Box<dyn DataSource>, Diagnostics> {
    let config = SecretData::decode(body);
    let found = check_access(&config.access, body);
    found.or_ok(Box::new(SecretSource(config)) as Box<dyn DataSource>).map(|(source, _)| source)
}

#[async_trait]
impl DataSource for SecretSource {
    fn output_type(&self) -> Type {
        let names = ["value", "secret_string", "secret_binary", "version_id"];
        Type::object(names.map(|n| (Arc::from(n), Type::String)))
    }
    fn grants(&self) -> Option<(&'static str, Vec<Grant>)> {
        one_call(&self.0.access, &resource(&self.0.access.region, &self.0.name), "secretsmanager:GetSecretValue")
    }
    async fn read(&self, run: &RunContext) -> Result<Value> {
        let SecretData { access, name, key, version_id, version_stage } = &self.0;
        let account = Account::open(access, &run.env, &run.cancel).await?;
        let version =
            if version_id.is_empty() { Version::Stage(version_stage) } else { Version::Id(version_id.as_str()) };
        let answer = ask(&account, name, version, &run.cancel).await?;
        let binary = answer.secret_binary.map(|b| base64::engine::general_purpose::STANDARD.encode(b.as_ref()));
        let value = match &answer.secret_string {
            Some(text) => value_of(name, text.clone(), key)?,
            None => String::new(),
        };
        let secret = |text: String| Value::string(text).with_sensitive(true);
        Ok(Value::object(BTreeMap::from([
            (Arc::from("value"), secret(value)),
            (Arc::from("secret_string"), secret(answer.secret_string.unwrap_or_default())),
            (Arc::from("secret_binary"), secret(binary.unwrap_or_default())),
            (Arc::from("version_id"), Value::string(answer.version_id.unwrap_or_default())),
        ])))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn value(text: &str, key: &str) -> Result<String> {
        value_of("s", text.to_owned(), key)
    }

    #[test]
    fn an_entry_of_an_object_or_the_text_itself() {
        for (text, key, wanted) in [
            ("plain", "", "plain"),
            ("plain", "k", "plain"),
            ("12345", "", "12345"),
            (r#"{"a":"x"}"#, "", "x"),
            (r#"{"a":"x","b":7}"#, "b", "7"),
            (r#"{"b":12.5}"#, "", "12"),
            (r#"{"b":13.5}"#, "", "14"),
            (r#"{"b":18446744073709551615}"#, "b", "18446744073709551615"),
        ] {
            assert_eq!(value(text, key).unwrap(), wanted, "{text} {key}");
        }
    }

    #[test]
    fn what_is_not_there_is_said_and_no_value_is_quoted() {
        for (text, key, says) in [
            (r#"{"a":"hidden","b":"hidden"}"#, "", "a, b"),
            (r#"{"a":"hidden"}"#, "c", "it has these: a"),
            (r#"{"a":{"b":"hidden"}}"#, "a", "jsondecode"),
            (r#"["hidden"]"#, "a", "no JSON object"),
        ] {
            let e = value(text, key).unwrap_err();
            let all = format!("{e} {}", e.hint.clone().unwrap());
            assert!(all.contains(says) && !all.contains("hidden"), "{all}");
        }
    }
}
