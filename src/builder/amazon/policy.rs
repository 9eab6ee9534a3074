//! What a role has to allow, as a policy of IAM.
//!
//! `*` stands as the resource only of actions that know no other (`Describe…`, `GetCallerIdentity`). What is changed or removed is
//! narrowed to what carries the run's own tag, wherever the build has made it itself.

use crate::config::Access;
use image_action_engine::ledger::RUN_TAG;
use image_action_engine::outline::{Document, Grant, Grants};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Only what a run of ours has made: its tag is there.
pub const OURS: &str = "ours";

/// Only tags that are set by the call that creates.
pub const CREATING: &str = "creating";

/// Only to EC2.
pub const TO_EC2: &str = "to-ec2";

/// Only by way of EC2 in a region: `by-ec2 REGION [ALIAS]`.
const BY_EC2: &str = "by-ec2";

/// The version of the policy language.
const VERSION: &str = "2012-10-17";

/// The calls that create something with tags.
const CREATORS: [&str; 5] = ["CopyImage", "CreateImage", "CreateKeyPair", "CreateSecurityGroup", "RunInstances"];

/// What EC2 does with a key on the caller's behalf ("Requirements for Amazon EBS encryption").
const KEY_ACTIONS: [&str; 6] = [
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
];

/// Names of resources in one region.
#[derive(Clone, Debug)]
pub struct Arns {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: &'static str,
    region: String,
}

impl Arns {
    /// Of a region; where it is empty, of every region.
    pub fn of(region: &str) -> Arns {
        let partition = match region {
            r if r.starts_with("cn-") => "aws-cn",
            r if r.starts_with("us-gov-") => "aws-us-gov",
            _ => "aws",
        };
        let known = !region.is_empty() && !region.contains('<');
        Arns { partition, region: if known { region.to_owned() } else { "*".to_owned() } }
    }
    /// One resource of an account. Which account the role belongs to is not known here.
    pub fn own(&self, kind: &str, name: &str) -> String {
        format!("arn:{}:ec2:{}:*:{kind}/{name}", self.partition, self.region)
    }
    /// All resources of a kind.
    pub fn any(&self, kind: &str) -> String {
        self.own(kind, "*")
    }
    /// A resource of another service than EC2, in this region.
    pub fn of_service(&self, service: &str, name: &str) -> String {
        format!("arn:{}:{service}:{}:*:{name}", self.partition, self.region)
    }
    /// An image or a snapshot: their names have no account.
    pub fn public(&self, kind: &str, name: &str) -> String {
        format!("arn:{}:ec2:{}::{kind}/{name}", self.partition, self.region)
    }
}

/// What logging in needs. The role is taken on by whoever starts the build; all other permissions are the role's.
pub fn access(grants: &mut Grants, access: &Access) {
    if !access.skip_credential_validation {
        grants.on("Look", "*", &["sts:GetCallerIdentity"]);
    }
    if let Some(role) = access.assume_role.as_ref().filter(|r| !r.role_arn.is_empty()) {
        let on = if role.role_arn.contains('<') { "arn:*:iam::*:role/*" } else { role.role_arn.as_str() };
        grants.on("Assume", on, &["sts:AssumeRole"]);
        if !role.tags.is_empty() {
            grants.on("Assume", on, &["sts:TagSession"]);
        }
    }
}

/// What a data source needs that makes one call on one resource.
pub fn one_call(access_with: &Access, on: &str, action: &'static str) -> Option<(&'static str, Vec<Grant>)> {
    let mut grants = Grants::default();
    access(&mut grants, access_with);
    grants.on("Read", on, &[action]);
    Some((crate::remove::PROVIDER, grants.done()))
}

/// What a key of KMS has to allow; an alias is no resource, but a condition.
pub fn kms(grants: &mut Grants, region: &str, key: &str) {
    let arns = Arns::of(region);
    let alias = key.rsplit_once(":alias/").map(|(_, name)| name).or_else(|| key.strip_prefix("alias/"));
    let on = match alias {
        _ if key.contains('<') => format!("arn:{}:kms:{}:*:key/*", arns.partition, arns.region),
        Some(_) => format!("arn:{}:kms:{}:*:key/*", arns.partition, arns.region),
        None if key.starts_with("arn:") => key.to_owned(),
        None => format!("arn:{}:kms:{}:*:key/{}", arns.partition, arns.region, key.trim_start_matches("key/")),
    };
    let alias = alias.map(|name| format!(" alias/{name}")).unwrap_or_default();
    grants.only("Encrypt", &on, &format!("{BY_EC2} {}{alias}", arns.region), &KEY_ACTIONS);
}

fn condition(only: &str) -> Value {
    match only {
        OURS => json!({ "Null": { format!("aws:ResourceTag/{RUN_TAG}"): "false" } }),
        CREATING => json!({ "StringEquals": { "ec2:CreateAction": CREATORS } }),
        TO_EC2 => json!({ "StringEquals": { "iam:PassedToService": "ec2.amazonaws.com" } }),
        by => {
            let mut words = by.split(' ').skip(1);
            let region = words.next().unwrap_or("*");
            let mut all = json!({ "StringLike": { "kms:ViaService": format!("ec2.{region}.amazonaws.com") } });
            if let Some(alias) = words.next() {
                all["ForAnyValue:StringEquals"] = json!({ "kms:ResourceAliases": alias });
            }
            all
        }
    }
}

/// What a statement's actions have in common: purpose, condition, resources.
type Head<'a> = (&'a str, &'a Option<String>, Vec<&'a str>);

/// The policy: one statement for each purpose, condition and set of resources.
pub fn policy(grants: &[Grant]) -> Document {
    let mut resources: BTreeMap<(&str, &Option<String>, &str), BTreeSet<&str>> = BTreeMap::new();
    for g in grants {
        resources.entry((g.purpose, &g.only, g.action)).or_default().insert(&g.on);
    }
    let mut statements: BTreeMap<Head<'_>, Vec<&str>> = BTreeMap::new();
    for ((purpose, only, action), on) in resources {
        statements.entry((purpose, only, on.into_iter().collect())).or_default().push(action);
    }
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    let statements: Vec<Value> = statements
        .into_iter()
        .map(|((purpose, only, on), actions)| {
            let n = count.entry(purpose).and_modify(|n| *n += 1).or_insert(1);
            let mut statement = Map::new();
            statement
                .insert("Sid".to_owned(), json!(if *n == 1 { purpose.to_owned() } else { format!("{purpose}{n}") }));
            statement.insert("Effect".to_owned(), json!("Allow"));
            statement.insert("Action".to_owned(), one_or_all(&actions));
            statement.insert("Resource".to_owned(), one_or_all(&on));
            if let Some(only) = only {
                statement.insert("Condition".to_owned(), condition(only));
            }
            Value::Object(statement)
        })
        .collect();
    let policy = json!({ "Version": VERSION, "Statement": statements });
    Document {
        provider: crate::remove::PROVIDER,
        title: "IAM policy".to_owned(),
        file: "image-action-policy.json".to_owned(),
        command: "aws iam create-policy --policy-name image-action --policy-document file://image-action-policy.json"
            .to_owned(),
        // A document of texts always has a JSON form.
        text: serde_json::to_string_pretty(&policy).unwrap_or_default(),
    }
}

fn one_or_all(texts: &[&str]) -> Value {
    match texts {
        [one] => json!(one),
        all => json!(all),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_is_named_by_what_the_template_calls_it() {
        let of = |region: &str, key: &str| {
            let mut grants = Grants::default();
            kms(&mut grants, region, key);
            let policy: Value = serde_json::from_str(&policy(&grants.done()).text).unwrap();
            policy["Statement"][0].clone()
        };
        let alias = of("eu-west-1", "alias/images");
        assert_eq!(alias["Resource"], "arn:aws:kms:eu-west-1:*:key/*");
        assert_eq!(alias["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"], "alias/images");
        assert_eq!(alias["Condition"]["StringLike"]["kms:ViaService"], "ec2.eu-west-1.amazonaws.com");
        assert_eq!(of("cn-north-1", "1234-5")["Resource"], "arn:aws-cn:kms:cn-north-1:*:key/1234-5");
        let arn = "arn:aws:kms:us-east-1:111122223333:key/1";
        assert_eq!(of("us-east-1", arn)["Resource"], arn);
        assert!(of("us-east-1", arn)["Condition"]["ForAnyValue:StringEquals"].is_null());
        let arn = of("us-east-1", "arn:aws:kms:us-east-1:111122223333:alias/x");
        assert_eq!(arn["Condition"]["ForAnyValue:StringEquals"]["kms:ResourceAliases"], "alias/x");
    }

    #[test]
    fn statements_have_names_of_their_own() {
        let mut grants = Grants::default();
        grants.on("Launch", "arn:a", &["ec2:RunInstances", "ec2:CreateKeyPair"]);
        grants.on("Launch", "arn:b", &["ec2:RunInstances"]);
        let policy: Value = serde_json::from_str(&policy(&grants.done()).text).unwrap();
        let names: Vec<&str> =
            policy["Statement"].as_array().unwrap().iter().map(|s| s["Sid"].as_str().unwrap()).collect();
        assert_eq!(names, ["Launch", "Launch2"]);
    }
}
