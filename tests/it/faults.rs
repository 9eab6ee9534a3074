//! An account that cannot be reached, has no credentials, or lacks a permission: one line that names the call, the resource and
//! the cure, within seconds.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::access::build;
use crate::support::Local;
use image_action_localcloud::fault::Fault;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long a user may be left waiting for such an error, on a machine that is busy with other tests.
const SECONDS: Duration = Duration::from_secs(15);

/// One source of each cloud, none of which logs in anywhere.
fn template(kind: &str) -> String {
    let options = match kind {
        "amazon-ebs" => {
            r#"
  region        = "us-west-2"
  instance_type = "t3.micro"
  ami_name      = "faults"
  source_ami_filter {
    filters     = { name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }
    owners      = ["099720109477"]
    most_recent = true
  }"#
        }
        "azure-arm" => {
            r#"
  subscription_id                   = "10ca1000-0000-4000-8000-000000000001"
  os_type                           = "Linux"
  image_publisher                   = "Canonical"
  image_offer                       = "0001-com-ubuntu-server-jammy"
  image_sku                         = "22_04-lts-gen2"
  vm_size                           = "Standard_B2s"
  location                          = "westus2"
  managed_image_name                = "faults"
  managed_image_resource_group_name = "packer-images-rg""#
        }
        _ => {
            r#"
  project_id          = "local-project"
  zone                = "us-central1-a"
  source_image_family = "ubuntu-2204-lts"
  image_name          = "faults""#
        }
    };
    format!(
        "source \"{kind}\" \"x\" {{\n  communicator = \"none\"\n  ssh_username = \"admin\"{options}\n}}\n\
         build {{\n  sources = [\"{kind}.x\"]\n}}\n"
    )
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// The build fails within seconds, and one line says all of `says`; the cure is in the text too.
fn fails(kind: &str, env: &BTreeMap<String, String>, says: &[&str], cure: &str) {
    let dir = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let (code, text) = build(dir.path(), env, &template(kind));
    let elapsed = begin.elapsed();
    assert_eq!(code, Some(1), "{text}");
    assert!(elapsed < SECONDS, "{kind} took {elapsed:?}\n{text}");
    let line = text.lines().find(|l| says.iter().all(|s| l.contains(s)));
    assert!(line.is_some(), "no line of {kind} says {says:?}:\n{text}");
    assert!(text.contains(cure), "{kind} does not say {cure:?}:\n{text}");
}

#[test]
fn a_cloud_that_cannot_be_reached() {
    // A port of this machine that nobody listens on.
    let aws = pairs(&[
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ]);
    fails("amazon-ebs", &aws, &["sts:GetCallerIdentity in us-west-2", "no answer", "refused"], "HTTPS_PROXY");
    let azure = pairs(&[("ARM_METADATA_URL", "http://127.0.0.1:1"), ("IMAGE_ACTION_LOCAL_AZURE_TOKEN", "token")]);
    fails("azure-arm", &azure, &["GET the metadata of http://127.0.0.1:1", "no answer"], "metadata_host");
    let google = pairs(&[
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "http://127.0.0.1:1/compute/v1/"),
        ("GOOGLE_OAUTH_ACCESS_TOKEN", "token"),
    ]);
    fails("googlecompute", &google, &["images.get of faults in local-project", "no answer"], "custom_endpoints");
}

#[test]
fn nobody_is_logged_in() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap();
    let aws = pairs(&[("HOME", home), ("AWS_EC2_METADATA_DISABLED", "true")]);
    fails(
        "amazon-ebs",
        &aws,
        &["sts:GetCallerIdentity in us-west-2", "credentials", "there are none"],
        "AWS_ACCESS_KEY_ID",
    );
    // The addresses of machines' own services lead nowhere here: what asks there has to give up soon.
    let dead = "http://127.0.0.1:1";
    let azure = pairs(&[("HOME", home), ("MSI_ENDPOINT", dead), ("MSI_SECRET", "x")]);
    fails("azure-arm", &azure, &["ask the machine's identity service for a token"], "client_secret");
    let google = pairs(&[("HOME", home), ("GCE_METADATA_HOST", "127.0.0.1:1")]);
    fails("googlecompute", &google, &["there are no Google Cloud credentials"], "GOOGLE_APPLICATION_CREDENTIALS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permission_is_missing() {
    let local = Local::start().await;
    let fault = |matches: &str, status: u16, code: &str, message: &str| {
        local.running.cloud.faults.add(Fault {
            matches: matches.to_owned(),
            status,
            code: code.to_owned(),
            message: message.to_owned(),
            ..Fault::default()
        });
    };
    let env = local.env();
    let blob = "You are not authorized to perform this operation. Encoded authorization failure message: AAAA";
    fault("RunInstances", 403, "UnauthorizedOperation", blob);
    fails(
        "amazon-ebs",
        &env,
        &["ec2:RunInstances of t3.micro in us-west-2", "not authorized"],
        "allow ec2:RunInstances",
    );
    let message = "The client 'c' does not have authorization to perform action 'Microsoft.Compute/virtualMachines/write' over scope '/subscriptions/s'.";
    fault(
        "PUT /subscriptions/10ca1000-0000-4000-8000-000000000001/resourceGroups/pkr",
        403,
        "AuthorizationFailed",
        message,
    );
    fails(
        "azure-arm",
        &env,
        &["PUT resourceGroups/pkr", "AuthorizationFailed", "virtualMachines/write"],
        "give the identity a role",
    );
    let message =
        "Required 'compute.instances.create' permission for 'projects/local-project/zones/us-central1-a/instances/x'";
    fault("POST projects/local-project/zones/us-central1-a/instances", 403, "forbidden", message);
    fails(
        "googlecompute",
        &env,
        &["instances.insert of ", "local-project/us-central1-a", "compute.instances.create"],
        "grant compute.instances.create",
    );
    let live: Vec<_> =
        local.running.cloud.existing().into_iter().filter(|e| !e.state.contains("terminated")).map(|e| e.id).collect();
    assert_eq!(live, Vec::<String>::new());
    local.running.stop().await;
}
