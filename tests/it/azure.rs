//! Azure: the local Resource Manager as Microsoft's own Python clients see it, and our builder on it, from outside.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::support::{Local, python};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A public key in the form that Azure takes; nobody has its private half any more.
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHKV8xo0Jw7y1m9ZCkmG7Yx1nJ2j0C6m5mT3oGQxTtOH somebody";

/// The source of the templates' Azure build: a gallery as the destination, an existing network, no public address.
const GALLERY: &str = r#"
  shared_image_gallery_destination {
    subscription         = "10ca1000-0000-4000-8000-000000000001"
    resource_group       = "packer-images-rg"
    gallery_name         = "company_images"
    image_name           = "ubuntu-22.04"
    image_version        = "1.0.0"
    replication_regions  = ["westus2", "eastus"]
    storage_account_type = "Standard_LRS"
  }
  virtual_network_name                = "packer-vnet"
  virtual_network_subnet_name         = "packer-subnet"
  virtual_network_resource_group_name = "packer-images-rg"
  location                            = "westus2"
  os_disk_size_gb                     = 50
"#;

/// A managed image from a machine with a network of its own.
const IMAGE: &str = r#"
  managed_image_name                = "company-ubuntu"
  managed_image_resource_group_name = "packer-images-rg"
  location                          = "westus2"
"#;

/// A managed image with snapshots, built in an existing group.
const IMAGE_IN_GROUP: &str = r#"
  managed_image_name                      = "company-ubuntu"
  managed_image_resource_group_name       = "packer-images-rg"
  managed_image_os_disk_snapshot_name     = "ossnap"
  managed_image_data_disk_snapshot_prefix = "datasnap"
  build_resource_group_name               = "packer-images-rg"
  disk_additional_size                    = [10, 20]
"#;

fn template(options: &str, provisioner: &str) -> String {
    format!(
        r#"
source "azure-arm" "ubuntu" {{
  use_azure_cli_auth = true
  communicator       = "none"
  os_type            = "Linux"
  image_publisher    = "Canonical"
  image_offer        = "0001-com-ubuntu-server-jammy"
  image_sku          = "22_04-lts-gen2"
  vm_size            = "Standard_D2s_v3"
  azure_tags         = {{ Project = "infrastructure" }}
  {options}
}}
build {{
  sources = ["source.azure-arm.ubuntu"]
  {provisioner}
  post-processor "manifest" {{
    output = "manifest.json"
  }}
}}
"#
    )
}

/// A local cloud and a folder with one template.
struct Job {
    local: Local,
    env: BTreeMap<String, String>,
}

struct Ended {
    code: i32,
    text: String,
}

impl Job {
    async fn new(template: &str) -> Job {
        let local = Local::start().await;
        std::fs::create_dir(local.dir.path().join("templates")).unwrap();
        std::fs::write(local.dir.path().join("templates/build.pkr.hcl"), template).unwrap();
        let mut env = local.env();
        env.insert("PATH".to_owned(), std::env::var("PATH").unwrap());
        env.insert("HOME".to_owned(), local.dir.path().display().to_string());
        Job { local, env }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.local.dir.path().join(name)
    }
    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_image-action"));
        command.args(arguments).arg("--state-dir").arg(self.path("state"));
        command.current_dir(self.local.dir.path()).env_clear().envs(&self.env);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }
    async fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments).spawn().unwrap()).await
    }
    /// One build of the template; a further argument may stand before its path.
    async fn build(&self, more: &[&str]) -> Ended {
        self.run(&[&["build"], more, &["templates"]].concat()).await
    }
    /// What exists and was not there from the start, by type and name.
    fn existing(&self) -> Vec<String> {
        let all = self.local.running.cloud.existing();
        let azure = all.iter().filter(|e| e.provider == "azure");
        let short = |s: &str| s.rsplit('/').next().unwrap_or_default().to_owned();
        azure.map(|e| format!("{} {}", short(&e.kind), short(&e.id))).collect()
    }
    /// Every request, as `METHOD path status`; what is random in names is `*`.
    fn calls(&self) -> Vec<String> {
        let log = self.local.running.cloud.log();
        let mut calls: Vec<String> = log.iter().map(|e| format!("{} {}", simple(&e.call), e.status)).collect();
        calls.dedup();
        calls
    }
    fn bodies(&self, call: &str) -> Vec<Value> {
        let log = self.local.running.cloud.log();
        let same = log.iter().filter(|e| simple(&e.call).contains(call));
        same.map(|e| serde_json::from_str(&e.body).unwrap()).collect()
    }
    fn fault(&self, fault: Value) {
        self.local.running.cloud.faults.add(serde_json::from_value(fault).unwrap());
    }
    /// Waits until the log has a call.
    async fn until(&self, call: &str) {
        let begin = Instant::now();
        while !self.calls().iter().any(|c| c.contains(call)) {
            assert!(begin.elapsed() < Duration::from_secs(30), "no {call} in {:#?}", self.calls());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn ended(child: tokio::process::Child) -> Ended {
    let output = tokio::time::timeout(Duration::from_secs(120), child.wait_with_output()).await;
    let output = output.expect("it ends").unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ended { code: output.status.code().unwrap_or(-1), text }
}

/// A call without what is random or long in it.
fn simple(call: &str) -> String {
    let call = call.replace("/subscriptions/10ca1000-0000-4000-8000-000000000001", "").replace("/resourceGroups/", "/");
    let call = call.replace("/providers/Microsoft.Compute", "").replace("/providers/Microsoft.Network", "");
    let mut out = Vec::new();
    for part in call.split('/') {
        let random = |prefix: &str| part.strip_prefix(prefix).is_some_and(|r| r.len() == 10 || r.len() == 12);
        let name = ["pkr-Resource-Group-", "pkrvm", "pkrni", "pkrip", "pkrsg", "pkrvn", "pkros", "pkrdd"];
        let known = name.into_iter().find(|p| random(p));
        let guid = part.len() == 36 && part.matches('-').count() == 4;
        out.push(known.map_or_else(|| if guid { "*".to_owned() } else { part.to_owned() }, |p| format!("{p}*")));
    }
    out.join("/")
}

#[tokio::test(flavor = "multi_thread")]
async fn microsofts_python_clients_create_list_and_delete() {
    let local = Local::start().await;
    let mut env = local.env();
    let ca = env["IMAGE_ACTION_LOCAL_CA"].clone();
    env.insert("REQUESTS_CA_BUNDLE".to_owned(), ca);
    let text = python("azure_clients.py", &[KEY], env).await;
    let seen: Value = serde_json::from_str(text.lines().find(|l| l.starts_with('{')).unwrap()).unwrap();
    let expected = json!({
        "missing group": "ResourceGroupNotFound",
        "groups": ["clients", "packer-images-rg"],
        "missing platform image": "PlatformImageNotFound",
        "vm": { "name": "vm", "state": "Succeeded", "location": "westus2" },
        "view": ["ProvisioningState/succeeded", "PowerState/running"],
        "vms": ["vm"],
        "disks": ["os"],
        "nic in use": "NicInUse",
        "address in use": "PublicIPAddressCannotBeDeleted",
        "network in use": "InUseSubnetCannotBeDeleted",
        "disk in use": "OperationNotAllowed",
        "generalize of a running one": "OperationNotAllowed",
        "image of one that is not generalized": "OperationNotAllowed",
        "start of a generalized one": "OperationNotAllowed",
        "image": { "name": "image", "state": "Succeeded", "generation": "V2" },
        "images": ["image"],
        "version": "Succeeded",
        "replication": { "westus2": "Completed", "East US": "Completed" },
        "versions": ["9.0.0"],
        "definition in use": "CannotDeleteResource",
        "vms after": [],
        "images after": [],
        "image after": "ResourceNotFound",
        "api-version none": "MissingApiVersionParameter",
        "api-version malformed": "InvalidApiVersionParameter",
        "api-version old": "NoRegisteredProviderFound",
        "api-version new": 200,
        "skus": ["22_04-lts", "22_04-lts-gen2"],
        "group after": "ResourceGroupNotFound",
        "unknown": "NotImplemented",
    });
    for (name, value) in expected.as_object().unwrap() {
        assert_eq!(&seen[name], value, "{name}");
    }
    assert!(seen["wrong secret"].as_str().unwrap().contains("AADSTS7000215"));
    assert!(seen["address"].as_str().unwrap().starts_with("127."));
    assert!(local.running.cloud.existing().is_empty());
}

/// The calls of the templates' Azure build. Against those of Packer's own plugin (44 calls, 10 of them polls of deletes):
/// no look for the tenant and no token (the local cloud gives one), no deployment with its validation and operations (the
/// resources are put one by one, so the ledger knows each), a look at the subnet before anything is made, one GET of the
/// machine in place of four, and one delete of the group in place of five deletes.
#[tokio::test(flavor = "multi_thread")]
async fn the_templates_build_makes_these_calls_and_leaves_the_version_only() {
    let job = Job::new(&template(GALLERY, "")).await;
    let ended = job.build(&[]).await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    let gallery = "/packer-images-rg/galleries/company_images/images/ubuntu-22.04";
    let version = format!("{gallery}/versions/1.0.0");
    let mut looks = vec![
        "GET /pkr-Resource-Group-* 404".to_owned(),
        "GET /packer-images-rg/virtualNetworks/packer-vnet/subnets/packer-subnet 200".to_owned(),
        format!("GET {gallery} 200"),
        format!("GET {version} 404"),
    ];
    let steps = [
        "PUT /pkr-Resource-Group-* 201",
        "PUT /pkr-Resource-Group-*/networkInterfaces/pkrni* 201",
        "GET /locations/westus2/operations/* 200",
        "PUT /pkr-Resource-Group-*/virtualMachines/pkrvm* 201",
        "GET /locations/westus2/operations/* 200",
        "GET /pkr-Resource-Group-*/virtualMachines/pkrvm* 200",
        "POST /pkr-Resource-Group-*/virtualMachines/pkrvm*/deallocate 202",
        "GET /locations/westus2/operations/* 200",
        "POST /pkr-Resource-Group-*/virtualMachines/pkrvm*/generalize 200",
        &format!("PUT {version} 201"),
        "GET /locations/westus2/capsOperations/* 200",
        "DELETE /pkr-Resource-Group-* 202",
    ];
    let mut calls = job.calls();
    assert_eq!(calls.remove(0), "GET /metadata/endpoints 200");
    let mut first: Vec<String> = calls.drain(..looks.len()).collect();
    first.sort();
    looks.sort();
    assert_eq!(first, looks, "side by side, before anything is made");
    calls.retain(|c| !c.contains("/operationresults/"));
    assert_eq!(calls, steps);

    assert_eq!(job.existing(), ["versions 1.0.0"]);
    let body = &job.bodies(&format!("PUT {version}"))[0];
    assert_eq!(
        body["properties"]["publishingProfile"],
        json!({
            "targetRegions": [
                { "name": "westus2", "regionalReplicaCount": 1 }, { "name": "eastus", "regionalReplicaCount": 1 }
            ],
            "replicaCount": 1, "excludeFromLatest": false, "replicationMode": "Full", "storageAccountType": "Standard_LRS",
        })
    );
    assert_eq!(body["tags"], json!({ "Project": "infrastructure" }), "no word of ours on what stays");
    let machine = &job.bodies("PUT /pkr-Resource-Group-*/virtualMachines/")[0];
    let tags = machine["tags"].as_object().unwrap();
    assert!(tags.contains_key("image-action-run") && tags.contains_key("image-action-expires"));
    let manifest: Value = serde_json::from_str(&std::fs::read_to_string(job.path("manifest.json")).unwrap()).unwrap();
    let id = manifest["builds"][0]["artifact_id"].as_str().unwrap();
    assert!(id.ends_with("/galleries/company_images/images/ubuntu-22.04/versions/1.0.0"), "{id}");
    assert_eq!(manifest["builds"][0]["builder_type"], "azure-arm");

    let again = job.build(&[]).await;
    assert_eq!(again.code, 1, "the version exists");
    assert!(again.text.contains("already exists") && again.text.contains("-force"), "{}", again.text);
    let forced = job.build(&["-force"]).await;
    assert_eq!(forced.code, 0, "{}", forced.text);
    assert_eq!(job.existing(), ["versions 1.0.0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_managed_image_comes_from_a_machine_with_a_network_of_its_own() {
    let job = Job::new(&template(IMAGE, "")).await;
    let ended = job.build(&[]).await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    assert_eq!(job.existing(), ["images company-ubuntu"]);
    let rule = &job.bodies("/networkSecurityGroups/")[0]["properties"]["securityRules"][0]["properties"];
    assert_eq!((&rule["destinationPortRange"], &rule["sourceAddressPrefix"]), (&json!("22"), &json!("*")));
    let address = &job.bodies("PUT /pkr-Resource-Group-*/publicIPAddresses/")[0];
    assert_eq!(address["properties"]["publicIPAllocationMethod"], "Static");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_existing_group_each_resource_is_removed_in_the_order_that_azure_wants() {
    let job = Job::new(&template(IMAGE_IN_GROUP, "")).await;
    let ended = job.build(&[]).await;
    assert_eq!(ended.code, 0, "{}", ended.text);
    let mut left = job.existing();
    left.sort();
    assert_eq!(left, ["images company-ubuntu", "snapshots datasnap0", "snapshots datasnap1", "snapshots ossnap"]);
    let deletes: Vec<String> = job.calls().into_iter().filter(|c| c.starts_with("DELETE ")).collect();
    assert!(deletes[0].contains("/virtualMachines/"), "{deletes:?}");
    assert!(!deletes.iter().any(|c| c == "DELETE /packer-images-rg 202"), "the user's own group stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_provisioner_leaves_nothing() {
    let failing = r#"provisioner "shell-local" { inline = ["exit 7"] }"#;
    let job = Job::new(&template(IMAGE, failing)).await;
    let ended = job.build(&[]).await;
    assert_eq!(ended.code, 1, "{}", ended.text);
    assert!(ended.text.contains('7'), "{}", ended.text);
    assert_eq!(job.existing(), [""; 0]);
    let aborted = job.build(&["-on-error=abort"]).await;
    assert_eq!(aborted.code, 1);
    assert!(aborted.text.contains("az group delete --yes"), "what stays is told: {}", aborted.text);
    assert!(job.existing().iter().any(|e| e.starts_with("virtualMachines ")));
    let cleaned = job.run(&["cleanup"]).await;
    assert_eq!(cleaned.code, 0, "{}", cleaned.text);
    assert_eq!(job.existing(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_one_line_with_the_reason_and_everything_goes_again() {
    let job = Job::new(&template(IMAGE, "")).await;
    job.fault(json!({
        "matches": "/virtualMachines/pkrvm", "status": 409, "code": "SkuNotAvailable", "times": 1,
        "message": "The requested size is not available in westus2.",
    }));
    let ended = job.build(&[]).await;
    assert_eq!(ended.code, 1);
    for word in ["PUT virtualMachines/pkrvm", "409 SkuNotAvailable", "not available in westus2", "another vm_size"] {
        assert!(ended.text.contains(word), "{word} in {}", ended.text);
    }
    assert_eq!(job.existing(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_replication_fails_is_rolled_back() {
    let job = Job::new(&template(GALLERY, "")).await;
    job.fault(json!({
        "matches": "/capsOperations/", "status": 200, "code": "ReplicationFailed", "message": "eastus is full.", "times": 1,
    }));
    let ended = job.build(&[]).await;
    assert_eq!(ended.code, 1);
    assert!(ended.text.contains("ReplicationFailed: eastus is full."), "{}", ended.text);
    assert_eq!(job.existing(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_removed_is_listed_and_the_exit_code_says_so() {
    let job = Job::new(&template(IMAGE_IN_GROUP, "")).await;
    job.fault(json!({
        "matches": "DELETE /subscriptions/10ca1000-0000-4000-8000-000000000001/resourceGroups/packer-images-rg/providers/Microsoft.Network/networkInterfaces",
        "status": 400, "code": "ScopeLocked", "message": "A lock holds it.",
    }));
    let ended = job.build(&[]).await;
    assert_eq!(ended.code, 5, "{}", ended.text);
    assert!(ended.text.contains("az resource delete --ids /subscriptions/"), "{}", ended.text);
    assert!(job.existing().iter().any(|e| e.starts_with("images ")), "the image is kept");
    job.local.running.cloud.faults.clear();
    let cleaned = job.run(&["cleanup"]).await;
    assert_eq!(cleaned.code, 0, "{}", cleaned.text);
    assert!(!job.existing().iter().any(|e| e.starts_with("networkInterfaces ")), "{:?}", job.existing());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_build_leaves_nothing_whenever_it_comes() {
    for moment in [
        "PUT /pkr-Resource-Group-* ",
        "PUT /pkr-Resource-Group-*/virtualNetworks",
        "/virtualMachines/pkrvm*",
        "/deallocate",
        "PUT /packer-images-rg/images",
    ] {
        let job = Job::new(&template(IMAGE, "")).await;
        let child = job.command(&["build", "templates"]).spawn().unwrap();
        job.until(moment).await;
        let pid = nix::unistd::Pid::from_raw(child.id().unwrap().cast_signed());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let ended = ended(child).await;
        assert_eq!(ended.code, 1, "{moment}: {}", ended.text);
        // What was on its way when the group went, and the machine that was booting.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(job.existing(), [""; 0], "{moment}: {}\n{:#?}", ended.text, job.calls());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_build_is_cleaned_up_by_its_ledger() {
    let job = Job::new(&template(IMAGE_IN_GROUP, "")).await;
    let mut child = job.command(&["build", "templates"]).spawn().unwrap();
    job.until("PUT /packer-images-rg/virtualMachines").await;
    child.kill().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!job.existing().is_empty());
    let cleaned = job.run(&["cleanup"]).await;
    assert_eq!(cleaned.code, 0, "{}", cleaned.text);
    assert_eq!(job.existing(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_build_in_an_existing_group_is_swept_by_tags_with_the_disks_that_have_none() {
    let job = Job::new(&template(IMAGE_IN_GROUP, "")).await;
    let mut child = job.command(&["build", "templates"]).spawn().unwrap();
    job.until("PUT /packer-images-rg/virtualMachines").await;
    child.kill().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    std::fs::remove_dir_all(job.path("state")).unwrap();
    let disks = job.existing().iter().filter(|e| e.starts_with("disks ")).count();
    assert!(disks >= 2, "{:?}", job.existing());
    let mut env = job.env.clone();
    env.insert("REQUESTS_CA_BUNDLE".into(), env["IMAGE_ACTION_LOCAL_CA"].clone());
    python("azure_expired.py", &[], env).await;
    let dry = job.run(&["cleanup", "--older-than=1h", "--dry-run"]).await;
    assert_eq!(dry.text.matches("would remove azure disk").count(), disks, "{}", dry.text);
    let cleaned = job.run(&["cleanup", "--older-than=1h"]).await;
    assert_eq!(cleaned.code, 0, "{}", cleaned.text);
    assert_eq!(job.existing(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_is_told_within_seconds() {
    let wrong = template(IMAGE, "").replace(
        "use_azure_cli_auth = true",
        r#"
  subscription_id = "10ca1000-0000-4000-8000-000000000001"
  client_id       = "10ca1000-0000-4000-8000-000000000003"
  client_secret   = "no such secret"
"#,
    );
    let job = Job::new(&wrong).await;
    let begin = Instant::now();
    let ended = job.build(&[]).await;
    assert_eq!(ended.code, 1);
    assert!(
        ended.text.contains("AADSTS7000215") && ended.text.contains("client_secret is not the value"),
        "{}",
        ended.text
    );
    assert!(!ended.text.contains("no such secret"));
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert_eq!(job.calls().iter().filter(|c| c.contains("/token")).count(), 1);
    let secret = job.env["ARM_CLIENT_SECRET"].clone();
    std::fs::write(job.path("templates/build.pkr.hcl"), wrong.replace("no such secret", &secret)).unwrap();
    let good = job.build(&[]).await;
    assert_eq!(good.code, 0, "{}", good.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_is_wrong_is_told_everything_at_once() {
    let job = Job::new(&template(
        r#"
  managed_image_name = "-wrong-"
  location           = "westus2"
  build_resource_group_name = "group"
  disk_caching_type  = "Sometimes"
  shared_image_gallery { id = "nonsense" }
"#,
        "",
    ))
    .await;
    let ended = job.run(&["validate", "templates"]).await;
    assert_eq!(ended.code, 1);
    for word in [
        "Invalid managed_image_name",
        "Invalid build_resource_group_name",
        "Invalid disk_caching_type",
        "Invalid shared_image_gallery",
        "Invalid id",
    ] {
        assert!(ended.text.contains(word), "{word} in {}", ended.text);
    }
}
