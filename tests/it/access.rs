//! The ways to an account that need something beside the cloud: roles, the az command, identities of machines, OS Login.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::stub::Stub;
use crate::support::Local;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Builds the template; exit code and output.
pub fn build(dir: &Path, env: &BTreeMap<String, String>, template: &str) -> (Option<i32>, String) {
    std::fs::write(dir.join("x.pkr.hcl"), template).unwrap();
    run(dir, env, &["build", "-color=false", "--state-dir", "state", "."])
}

fn run(dir: &Path, env: &BTreeMap<String, String>, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_image-action"))
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .envs(env)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text)
}

fn source(kind: &str, options: &str) -> String {
    format!("source \"{kind}\" \"x\" {{\n{options}\n}}\nbuild {{\n  sources = [\"{kind}.x\"]\n}}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_taken_on_once_and_used_from_then_on() {
    let (local, dir) = (Local::start().await, tempfile::tempdir().unwrap());
    let stub = Stub::start(&local.running.cloud.http_url(), |_| None);
    let mut env = local.env();
    env.insert("AWS_ENDPOINT_URL".into(), stub.url.clone());
    let options = r#"
  region          = "us-west-2"
  instance_type   = "t3.micro"
  communicator    = "none"
  ami_name        = "by-role"
  skip_create_ami = true
  source_ami_filter {
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
    owners      = ["099720109477"]
    most_recent = true
  }
  assume_role {
    role_arn            = "arn:aws:iam::123456789012:role/builder"
    session_name        = "nightly"
    external_id         = "shared-words"
    duration_seconds    = 1800
    policy              = "{\"Version\":\"2012-10-17\"}"
    policy_arns         = ["arn:aws:iam::aws:policy/AmazonEC2FullAccess"]
    tags                = { Team = "images" }
    transitive_tag_keys = ["Team"]
  }
"#;
    let (code, text) = build(dir.path(), &env, &source("amazon-ebs", options));
    assert_eq!(code, Some(0), "{text}");
    let seen = stub.seen();
    let roles: Vec<_> = seen.iter().filter(|a| a.body.contains("Action=AssumeRole")).collect();
    assert_eq!(roles.len(), 1, "the session is kept: {roles:?}");
    for part in [
        "RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fbuilder",
        "RoleSessionName=nightly",
        "ExternalId=shared-words",
        "DurationSeconds=1800",
        "Policy=%7B%22Version%22",
        "PolicyArns.member.1.arn=arn%3Aaws%3Aiam%3A%3Aaws%3Apolicy%2FAmazonEC2FullAccess",
        "Tags.member.1.Key=Team",
        "TransitiveTagKeys.member.1=Team",
    ] {
        assert!(roles[0].body.contains(part), "{part}: {}", roles[0].body);
    }
    for asked in seen.iter().filter(|a| !a.body.contains("Action=AssumeRole")) {
        let signed = asked.header("authorization").unwrap_or_default();
        assert!(signed.contains("Credential=LOCALCLOUDSESSIONKEY/"), "{}", asked.body);
        let session = asked.header("x-amz-security-token").unwrap_or_default();
        assert!(session.starts_with("local-session-of-nightly"), "{session}");
    }
    assert!(seen.iter().any(|a| a.body.contains("Action=RunInstances")));
    local.running.stop().await;
}

const AZURE: &str = r#"
  communicator                      = "none"
  os_type                           = "Linux"
  image_publisher                   = "Canonical"
  image_offer                       = "0001-com-ubuntu-server-jammy"
  image_sku                         = "22_04-lts-gen2"
  vm_size                           = "Standard_B2s"
  location                          = "westus2"
  skip_create_image                 = true
  spot {
    eviction_policy = "Delete"
    max_price       = 0.05
  }
"#;

/// The environment of somebody who is known to Azure by what the test adds; and the token that lets in.
fn azure(local: &Local) -> (BTreeMap<String, String>, String) {
    let mut env = local.env();
    let token = env["IMAGE_ACTION_LOCAL_AZURE_TOKEN"].clone();
    env.retain(|k, _| k == "ARM_METADATA_URL" || k == "IMAGE_ACTION_POLL_SCALE");
    (env, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_az_command_lets_in() {
    let (local, dir) = (Local::start().await, tempfile::tempdir().unwrap());
    let (subscription, tenant) = (local.env()["ARM_SUBSCRIPTION_ID"].clone(), local.env()["ARM_TENANT_ID"].clone());
    let (mut env, token) = azure(&local);
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {}/asked\necho '{{\"accessToken\": \"{token}\", \"expires_on\": 4102444800}}'\n",
        dir.path().display()
    );
    std::fs::write(bin.join("az"), script).unwrap();
    std::fs::set_permissions(bin.join("az"), std::fs::Permissions::from_mode(0o755)).unwrap();
    // The file begins with a byte order mark, as the az command writes it.
    let profile = format!(
        "\u{feff}{{\"subscriptions\": [{{\"id\": \"other\", \"tenantId\": \"t\", \"isDefault\": false}}, \
         {{\"id\": \"{subscription}\", \"tenantId\": \"{tenant}\", \"isDefault\": true}}]}}"
    );
    std::fs::write(dir.path().join("azureProfile.json"), profile).unwrap();
    env.insert("AZURE_CONFIG_DIR".into(), dir.path().display().to_string());
    env.insert("PATH".into(), format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    let template = source("azure-arm", &format!("  use_azure_cli_auth = true\n{AZURE}"));
    let (code, text) = build(dir.path(), &env, &template);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("logged in by the az command's login"), "{text}");
    let asked = std::fs::read_to_string(dir.path().join("asked")).unwrap();
    assert_eq!(asked.lines().count(), 1, "the token is kept: {asked}");
    assert!(asked.contains("account get-access-token --scope ") && asked.contains(&format!("--tenant {tenant}")));
    let log = local.running.cloud.log();
    let machine = log.iter().find(|e| e.call.starts_with("PUT") && e.call.contains("/virtualMachines/")).unwrap();
    let body: serde_json::Value = serde_json::from_str(&machine.body).unwrap();
    let of = &body["properties"];
    assert_eq!((of["priority"].as_str(), of["evictionPolicy"].as_str()), (Some("Spot"), Some("Delete")), "{of}");
    assert_eq!(of["billingProfile"]["maxPrice"].as_f64(), Some(0.05));

    let failing =
        template.replace("build {", "build {\n  provisioner \"shell-local\" {\n    inline = [\"exit 3\"]\n  }");
    std::fs::write(dir.path().join("x.pkr.hcl"), failing).unwrap();
    let (code, text) = run(dir.path(), &env, &["build", "-on-error=abort", "--state-dir", "state", "."]);
    assert_eq!((code, local.running.cloud.existing().is_empty()), (Some(1), false), "{text}");
    let (code, text) = run(dir.path(), &env, &["cleanup", "--state-dir", "state"]);
    assert_eq!(code, Some(0), "whoever logged in to build logs in to clean up: {text}");
    assert!(local.running.cloud.existing().is_empty(), "{text}");

    std::fs::write(bin.join("az"), "#!/bin/sh\necho 'ERROR: Please run az login to setup account.' >&2\nexit 1\n")
        .unwrap();
    let (code, text) = build(dir.path(), &env, &template);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("az account get-access-token: ERROR: Please run az login") && text.contains("az login"),
        "{text}"
    );
    local.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_of_a_machine_lets_in() {
    let (local, dir) = (Local::start().await, tempfile::tempdir().unwrap());
    let subscription = local.env()["ARM_SUBSCRIPTION_ID"].clone();
    let (mut env, token) = azure(&local);
    let service = Stub::start("127.0.0.1:1", move |_| {
        Some(format!("{{\"access_token\": \"{token}\", \"expires_in\": \"3600\", \"token_type\": \"Bearer\"}}"))
    });
    env.insert("IDENTITY_ENDPOINT".into(), format!("{}/msi/token", service.url));
    env.insert("IDENTITY_HEADER".into(), "only-this-machine".into());
    let options = format!("  subscription_id = \"{subscription}\"\n  client_id = \"an-identity\"\n{AZURE}");
    let (code, text) = build(dir.path(), &env, &source("azure-arm", &options));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("logged in by managed identity"), "{text}");
    let seen = service.seen();
    assert_eq!(seen.len(), 1, "the token is kept: {seen:?}");
    assert!(seen[0].head.starts_with("GET /msi/token?"), "{}", seen[0].head);
    assert!(seen[0].head.contains("client_id=an-identity") && seen[0].head.contains("api-version=2019-08-01"));
    assert_eq!(seen[0].header("x-identity-header").as_deref(), Some("only-this-machine"));
    assert!(!text.contains("only-this-machine"));
    local.running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn os_login_knows_the_key_and_forgets_it_and_a_reserved_address_is_used() {
    let (local, dir) = (Local::start().await, tempfile::tempdir().unwrap());
    let stub = Stub::start(&local.running.cloud.http_url(), |asked| {
        let address = "/projects/local-project/regions/us-central1/addresses/front-door";
        asked.head.lines().next()?.contains(address).then(|| "{\"address\": \"203.0.113.7\"}".to_owned())
    });
    let mut env = local.env();
    env.insert("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE".into(), format!("{}/compute/v1/", stub.url));
    let options = r#"
  project_id                   = "local-project"
  zone                         = "us-central1-a"
  source_image_family          = "ubuntu-2204-lts"
  image_name                   = "os-login"
  instance_name                = "one"
  use_os_login                 = true
  oslogin_ssh_key_expire_after = "2h"
  temporary_key_pair_type      = "ed25519"
  ssh_username                 = "ignored"
  ssh_host                     = "127.0.0.1"
  ssh_port                     = 1
  ssh_timeout                  = "1s"
  address                      = "front-door"
"#;
    let (code, text) = build(dir.path(), &env, &source("googlecompute", options));
    assert_eq!(code, Some(1), "nobody answers at port 1: {text}");
    assert!(text.contains("OS Login lets in "), "{text}");
    let log = local.running.cloud.log();
    let import = log.iter().find(|e| e.call.contains("importSshPublicKey")).unwrap();
    let body: serde_json::Value = serde_json::from_str(&import.body).unwrap();
    assert!(body["key"].as_str().unwrap().starts_with("ssh-ed25519 "), "{body}");
    assert!(body["expirationTimeUsec"].as_str().unwrap().parse::<u128>().unwrap() > 0);
    assert!(log.iter().any(|e| e.call.starts_with("DELETE") && e.call.contains("sshPublicKeys")), "{text}");
    let insert = stub.seen().into_iter().find(|a| a.head.starts_with("POST") && a.head.contains("/instances")).unwrap();
    assert!(insert.body.contains("\"natIP\":\"203.0.113.7\""), "{}", insert.body);
    assert!(insert.body.contains("enable-oslogin"), "{}", insert.body);
    assert_eq!(local.running.cloud.existing().len(), 0, "{text}");
    assert!(!dir.path().join("state").exists() || std::fs::read_dir(dir.path().join("state")).unwrap().count() == 0);
    local.running.stop().await;
}
