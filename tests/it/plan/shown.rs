//! What people and programs are shown.

use super::{run_in, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

const VARS: [&str; 4] =
    ["-var", "gcp_project_id=company", "-var", "azure_subscription_id=11111111-2222-4333-8444-555555555555"];

async fn plan_of_templates(more: &[&str]) -> std::process::Output {
    run_in(&project(), &BTreeMap::new(), &[&["plan"], more, &VARS, &["templates"]].concat()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_projects_own_templates_are_planned_without_any_account() {
    let prod = ["-var-file", "templates/prod.pkrvars.hcl", "-var", "ansible_vault_password=do-not-show-me"];
    for form in ["text", "json", "markdown"] {
        let output = plan_of_templates(&[&prod[..], &["-format", form]].concat()).await;
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        assert!(!text.contains("do-not-show-me"), "{text}");
        for words in ["company-base-image.amazon-ebs.ubuntu", "RunInstances", "instances.insert", "099720109477"] {
            assert!(text.contains(words), "{form}: no {words} in {text}");
        }
    }
    let output = plan_of_templates(&[&prod[..], &["-json"]].concat()).await;
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((plan["format"].as_u64(), plan["valid"].as_bool()), (Some(1), Some(true)));
    let aws = &plan["builds"][0];
    assert_eq!(aws["source_found_by"], "data.amazon-ami.ubuntu");
    assert!(
        aws["source"].as_str().unwrap().starts_with("the newest image of 099720109477 with name = ubuntu/"),
        "{aws}"
    );
    let secret =
        aws["provisioners"][4]["settings"].as_array().unwrap().iter().find(|s| s["option"] == "ansible_env_vars");
    assert_eq!(secret.unwrap()["sensitive"], true);
    assert_eq!(aws["post_processors"][0][0]["writes"], "manifest.json, entries of earlier runs stay in it");
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_are_documents_for_each_cloud() {
    let output = plan_of_templates(&["-permissions", "-json"]).await;
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let documents = all["permissions"].as_array().unwrap();
    let providers: Vec<_> = documents.iter().map(|d| d["provider"].as_str().unwrap()).collect();
    assert_eq!(providers, ["aws", "azure", "azure", "gcp"]);
    for document in documents {
        super::parse(document["document"].as_str().unwrap());
    }
    // One cloud alone gives the document and nothing else: it can be piped into a file.
    let one = plan_of_templates(&["-permissions", "-only", "*amazon*"]).await;
    let policy: Value = serde_json::from_slice(&one.stdout).unwrap();
    assert_eq!(policy["Version"], "2012-10-17");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_sources_and_roles_need_permissions_too() {
    let dir = tempfile::tempdir().unwrap();
    let template = r#"
data "amazon-ami" "base" {
  filters     = { name = "base-*" }
  owners      = ["self"]
  most_recent = true
  region      = "eu-west-1"
}
data "amazon-secretsmanager" "token" {
  name   = "ci/token"
  region = "eu-west-1"
}
data "amazon-parameterstore" "name" {
  name   = "/images/name:3"
  region = "cn-north-1"
}
data "googlecompute-image" "own" {
  project_id = "company-images"
  filters    = "family=base"
}
data "googlecompute-image" "public" {
  project_id = "debian-cloud"
  filters    = "family=debian-12"
}
data "googlecompute-secretsmanager" "key" {
  project_id = "company-secrets"
  name       = "key"
}
locals {
  password = try(aws_secretsmanager("ci/password", null), "none")
}
source "amazon-ebs" "x" {
  ami_name     = "image-1"
  region       = "eu-west-1"
  source_ami    = data.amazon-ami.base.id
  instance_type = "t3.small"
  ssh_username = "u"
  assume_role {
    role_arn = "arn:aws:iam::123456789012:role/images"
    tags     = { team = "a" }
  }
}
build {
  sources = ["source.amazon-ebs.x"]
}
"#;
    std::fs::write(dir.path().join("t.pkr.hcl"), template).unwrap();
    // Of a local run nobody is asked: what counts is what the template asks for.
    let env = BTreeMap::from(
        [("IMAGE_ACTION_LOCAL_URL", "http://127.0.0.1:1"), ("AWS_REGION", "us-gov-west-1")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let output = run_in(dir.path(), &env, &["plan", "-permissions", "-json", "."]).await;
    let all: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
    let documents = all["permissions"].as_array().unwrap();
    let text_of = |i: usize| documents[i]["document"].as_str().unwrap();
    let policy: Value = serde_json::from_str(text_of(0)).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let allowed = |action: &str| -> Vec<&str> {
        let of =
            |s: &&Value| s["Action"] == action || s["Action"].as_array().is_some_and(|a| a.contains(&action.into()));
        statements.iter().filter(of).map(|s| s["Resource"].as_str().unwrap()).collect()
    };
    let secret = statements.iter().find(|s| s["Action"] == "secretsmanager:GetSecretValue").unwrap();
    assert_eq!(
        secret["Resource"],
        json!([
            "arn:aws-us-gov:secretsmanager:us-gov-west-1:*:secret:ci/password-??????",
            "arn:aws:secretsmanager:eu-west-1:*:secret:ci/token-??????",
        ])
    );
    assert_eq!(allowed("ssm:GetParameter"), ["arn:aws-cn:ssm:cn-north-1:*:parameter/images/name"]);
    assert_eq!(allowed("sts:AssumeRole"), ["arn:aws:iam::123456789012:role/images"]);
    assert_eq!(allowed("sts:TagSession"), ["arn:aws:iam::123456789012:role/images"]);
    assert_eq!(allowed("sts:GetCallerIdentity"), ["*"]);
    let google: Vec<(&str, &str)> =
        documents[1..].iter().map(|d| d["title"].as_str().unwrap()).zip((1..).map(text_of)).collect();
    let [(images, lists), (secrets, reads)] = google[..] else { panic!("{google:?}") };
    assert!(images.contains("company-images") && lists.contains("- compute.images.list"), "{google:?}");
    assert!(secrets.contains("company-secrets") && reads.contains("- secretmanager.versions.access"), "{google:?}");
    let plan = run_in(dir.path(), &BTreeMap::new(), &["plan", "."]).await;
    assert!(text(&plan).contains("sts:AssumeRole is for whoever starts the build"), "{}", text(&plan));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_acts_on_stops_a_plan() {
    let dir = tempfile::tempdir().unwrap();
    let template = "source \"amazon-ebs\" \"x\" {\n  ami_name = \"image-1\"\n  region = \"us-west-2\"\n  source_ami = \"ami-1\"\n  ssh_username = \"u\"\n  spot_price = \"auto\"\n  spot_instance_types = [\"t3.small\"]\n}\nbuild {\n  sources = [\"source.amazon-ebs.x\"]\n}\n";
    std::fs::write(dir.path().join("t.pkr.hcl"), template).unwrap();
    let output = run_in(dir.path(), &BTreeMap::new(), &["plan", "."]).await;
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("The option spot_price is not supported yet"), "{text}");
    let output = run_in(dir.path(), &BTreeMap::new(), &["plan", "-json", "."]).await;
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["valid"], false);
    assert!(said["builds"].is_null() && !said["findings"].as_array().unwrap().is_empty(), "{said}");
}
