//! KMS: keys and aliases, as far as images need them.

use super::resources::Key;
use super::world::Region;
use super::{ACCOUNT, Answer, Call, Refused};
use crate::cloud::Cloud;
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers one call.
pub fn answer(cloud: &Arc<Cloud>, call: &Call, body: &Value) -> Answer {
    let mut world = cloud.aws.world();
    let region = world.region(&call.region)?;
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    match call.action.as_str() {
        "CreateKey" => {
            let key = Key::new(&call.region, &uuid::Uuid::new_v4().to_string(), true);
            let answer = json!({ "KeyMetadata": metadata(&key) });
            region.keys.insert(key.id.clone(), key);
            Ok(answer)
        }
        "DescribeKey" => Ok(json!({ "KeyMetadata": metadata(find(region, text("KeyId"))?) })),
        "CreateAlias" => {
            let id = find(region, text("TargetKeyId"))?.id.clone();
            let alias = text("AliasName");
            if !alias.starts_with("alias/") || alias.starts_with("alias/aws/") {
                return Err(Refused::new(
                    "NotAuthorizedException",
                    format!("{alias} is not a name for an alias of yours"),
                ));
            }
            if region.aliases.contains_key(alias) {
                return Err(Refused::new(
                    "AlreadyExistsException",
                    format!("An alias with the name {alias} already exists"),
                ));
            }
            region.aliases.insert(alias.to_owned(), id);
            Ok(json!({}))
        }
        "ListAliases" => {
            let aliases = region.aliases.iter().map(|(name, id)| {
                json!({
                    "AliasName": name,
                    "AliasArn": format!("arn:aws:kms:{}:{ACCOUNT}:{name}", call.region),
                    "TargetKeyId": id,
                })
            });
            Ok(json!({ "Aliases": aliases.collect::<Vec<_>>(), "Truncated": false }))
        }
        "ListKeys" => {
            let keys = region.keys.values().map(|k| json!({ "KeyId": k.id, "KeyArn": k.arn }));
            Ok(json!({ "Keys": keys.collect::<Vec<_>>(), "Truncated": false }))
        }
        "DisableKey" | "EnableKey" => {
            let id = find(region, text("KeyId"))?.id.clone();
            if let Some(key) = region.keys.get_mut(&id) {
                key.enabled = call.action == "EnableKey";
            }
            Ok(json!({}))
        }
        "ScheduleKeyDeletion" => {
            let id = find(region, text("KeyId"))?.id.clone();
            region.aliases.retain(|_, target| *target != id);
            region.keys.remove(&id);
            Ok(json!({ "KeyId": id, "KeyState": "PendingDeletion" }))
        }
        other => Err(Refused::new("UnknownOperationException", format!("The local cloud has no {other}"))),
    }
}

fn find<'a>(region: &'a Region, wanted: &str) -> Result<&'a Key, Refused> {
    region.key(wanted).ok_or_else(|| {
        let what = if wanted.contains("alias/") { "Alias" } else { "Key" };
        Refused::new("NotFoundException", format!("{what} '{wanted}' does not exist"))
    })
}

fn metadata(key: &Key) -> Value {
    json!({
        "AWSAccountId": ACCOUNT,
        "KeyId": key.id,
        "Arn": key.arn,
        "CreationDate": 1_700_000_000.0,
        "Enabled": key.enabled,
        "Description": "",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": if key.enabled { "Enabled" } else { "Disabled" },
        "Origin": "AWS_KMS",
        "KeyManager": if key.customer { "CUSTOMER" } else { "AWS" },
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": false,
    })
}
