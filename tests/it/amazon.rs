//! Amazon: the local EC2 as boto3 sees it, and our builder on it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::sshd::{self, Sshd};
use crate::support::{Local, python};
use image_action_localcloud::fault::Fault;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn boto3_creates_lists_and_deletes() {
    let local = Local::start().await;
    python("aws_clients.py", &[], local.env()).await;
    assert_eq!(local.running.cloud.existing().iter().map(|e| &e.id).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// The source of a production build: encrypted, copied, shared, tagged; with one that says what may be left out.
const TEMPLATE: &str = r#"
variable "regions" {
  type    = list(string)
  default = ["us-east-1", "eu-west-1"]
}
variable "users" {
  type    = list(string)
  default = ["123456789012", "234567890123"]
}
variable "encrypt" {
  type    = bool
  default = true
}
variable "more_keys" {
  type    = map(string)
  default = {}
}
variable "command" {
  type    = string
  default = "true"
}
variable "name" {
  type    = string
  default = "company-1.0.0"
}
variable "skip" {
  type    = bool
  default = false
}

data "amazon-ami" "jammy" {
  filters = {
    name                = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*"
    root-device-type    = "ebs"
    virtualization-type = "hvm"
  }
  most_recent = true
  owners      = ["099720109477"]
}

source "amazon-ebs" "jammy" {
  ami_name                    = var.name
  ami_description             = "From {{ .SourceAMI }} in {{ .BuildRegion }}"
  instance_type               = "t3.medium"
  region                      = "us-west-2"
  source_ami                  = data.amazon-ami.jammy.id
  communicator                = "none"
  temporary_key_pair_type     = "ed25519"
  associate_public_ip_address = true
  ena_support                 = true
  sriov_support               = true
  encrypt_boot                = var.encrypt
  kms_key_id                  = var.encrypt ? "alias/packer-images" : ""
  region_kms_key_ids          = var.more_keys
  ami_users                   = var.users
  ami_regions                 = var.regions
  skip_create_ami             = var.skip
  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_size           = 50
    volume_type           = "gp3"
    delete_on_termination = true
    encrypted             = true
  }
  launch_block_device_mappings {
    device_name = "/dev/sdf"
    volume_size = 1
  }
  run_tags      = { Team = "images" }
  tags          = { Version = "1.0.0", Source = "{{ .SourceAMIName }}" }
  snapshot_tags = { Kind = "root" }
}

build {
  name    = "demo"
  sources = ["source.amazon-ebs.jammy"]
  provisioner "shell-local" {
    inline = [var.command]
  }
  post-processor "manifest" {
    output = "manifest.json"
  }
}
"#;

/// A folder with the template, and a local cloud.
struct Site {
    local: Local,
    dir: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

/// How a command ended.
struct Ended {
    code: Option<i32>,
    text: String,
    elapsed: Duration,
}

impl Site {
    async fn new() -> Site {
        let local = Local::start().await;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("aws.pkr.hcl"), TEMPLATE).unwrap();
        let mut env = local.env();
        env.insert("PATH".into(), std::env::var("PATH").unwrap());
        Site { local, dir, env }
    }
    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_image-action"));
        command
            .args(arguments)
            .args(["--state-dir", self.dir.path().join("state").to_str().unwrap()])
            .current_dir(self.dir.path())
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
    async fn run(&self, arguments: &[&str]) -> Ended {
        let begin = Instant::now();
        let child = self.command(arguments).spawn().unwrap();
        ended(child, begin).await
    }
    async fn build(&self, more: &[&str]) -> Ended {
        let mut arguments = vec!["build", "-color=false"];
        arguments.extend(more);
        arguments.push(".");
        self.run(&arguments).await
    }
    /// The changing calls so far, without their service and region.
    fn calls(&self) -> Vec<String> {
        self.local.running.cloud.log().into_iter().map(|e| e.call).filter(|c| c.starts_with("ec2 ")).collect()
    }
    fn fault(&self, matches: &str, fault: Fault) {
        self.local.running.cloud.faults.add(Fault { matches: matches.to_owned(), ..fault });
    }
    /// What exists, as `KIND in PLACE`.
    async fn left(&self) -> Vec<String> {
        // What is shutting down goes by itself.
        for _ in 0..100 {
            if self.local.running.cloud.existing().iter().all(|e| e.state != "shutting-down") {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.local.running.cloud.existing().iter().map(|e| format!("{} in {}", e.kind, e.place)).collect()
    }
}

async fn ended(child: tokio::process::Child, begin: Instant) -> Ended {
    let output = child.wait_with_output().await.unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Ended { code: output.status.code(), text, elapsed: begin.elapsed() }
}

fn refusal(status: u16, code: &str, message: &str) -> Fault {
    Fault { status, code: code.to_owned(), message: message.to_owned(), times: 1, ..Fault::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_production_build_leaves_its_images_and_nothing_else() {
    let site = Site::new().await;
    let built = site.build(&[]).await;
    assert_eq!(built.code, Some(0), "{}", built.text);
    let manifest = std::fs::read_to_string(site.dir.path().join("manifest.json")).unwrap();
    python("aws_images.py", &[&manifest], site.local.env()).await;
    let mut left = site.left().await;
    left.sort();
    let pairs = ["eu-west-1", "us-east-1", "us-west-2"];
    let images = pairs.map(|r| vec![format!("image in {r}")]).concat();
    let snapshots = pairs.map(|r| vec![format!("snapshot in {r}"); 2]).concat();
    assert_eq!(left, [images, snapshots].concat());
    let state: Vec<_> = std::fs::read_dir(site.dir.path().join("state")).unwrap().collect();
    assert!(state.is_empty(), "a ledger without anything to remove goes: {state:?}");

    let again = site.build(&[]).await;
    assert_eq!(again.code, Some(1));
    assert!(again.text.contains("an image named company-1.0.0 exists in"), "{}", again.text);
    let forced = site.build(&["-force"]).await;
    assert_eq!(forced.code, Some(0), "{}", forced.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_build_makes_one_image() {
    let site = Site::new().await;
    let built = site.build(&["-var", "encrypt=false", "-var", "regions=[]", "-var", "users=[]"]).await;
    assert_eq!(built.code, Some(0), "{}", built.text);
    assert!(!site.calls().iter().any(|c| c.ends_with("CopyImage")));
    assert_eq!(site.left().await.iter().filter(|l| l.starts_with("image")).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_image_where_none_is_asked_for() {
    let site = Site::new().await;
    let built = site.build(&["-var", "skip=true", "-force"]).await;
    assert_eq!(built.code, Some(0), "{}", built.text);
    assert_eq!(site.left().await, Vec::<String>::new());
    let forbidden = ["StopInstances", "CreateImage", "DeregisterImage"];
    assert!(!site.calls().iter().any(|c| forbidden.iter().any(|f| c.ends_with(f))), "{:?}", site.calls());
}

/// Whatever fails, and wherever: exit code 1, the reason, and nothing left.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_leaves_nothing() {
    let no_capacity =
        refusal(500, "InsufficientInstanceCapacity", "We currently do not have sufficient t3.medium capacity");
    let not_allowed = refusal(
        403,
        "UnauthorizedOperation",
        "You are not authorized to perform this operation. Encoded authorization failure message: c2VjcmV0",
    );
    let cases: Vec<(&str, Fault, &[&str], &[&str])> = vec![
        ("none", Fault::default(), &["-var", "command=exit 3"], &["exit"]),
        (
            "CreateSecurityGroup",
            not_allowed.clone(),
            &[],
            &["ec2:CreateSecurityGroup", "not authorized", "allow ec2:CreateSecurityGroup"],
        ),
        ("AuthorizeSecurityGroupIngress", not_allowed.clone(), &[], &["ec2:AuthorizeSecurityGroupIngress of sg-"]),
        ("RunInstances", Fault { times: 0, ..no_capacity }, &[], &["sufficient t3.medium capacity"]),
        ("StopInstances", not_allowed.clone(), &[], &["ec2:StopInstances of i-"]),
        ("CreateImage", not_allowed.clone(), &[], &["ec2:CreateImage"]),
        ("eu-west-1 CopyImage", not_allowed.clone(), &[], &["ec2:CopyImage of ami-", "in eu-west-1"]),
        ("us-east-1 ModifyImageAttribute", not_allowed, &[], &["ec2:ModifyImageAttribute of ami-"]),
        (
            "none",
            Fault::default(),
            &["-var", "more_keys={\"us-east-1\"=\"alias/nobody\",\"eu-west-1\"=\"alias/packer-images\"}"],
            &["in us-east-1 is failed", "alias/nobody"],
        ),
        ("none", Fault::default(), &["-var", "users=[\"12\"]"], &["InvalidAMIAttributeItemValue"]),
    ];
    for (call, fault, arguments, expected) in cases {
        let site = Site::new().await;
        if call != "none" {
            site.fault(call, fault);
        }
        // Ten attempts of a call that is answered with 500 take their time.
        let built = site.build(arguments).await;
        assert_eq!(built.code, Some(1), "{call} {arguments:?}: {}", built.text);
        for words in expected {
            assert!(built.text.contains(words), "{call} {arguments:?}: no {words:?} in\n{}", built.text);
        }
        assert!(!built.text.contains("c2VjcmV0"), "what only AWS can read is not shown: {}", built.text);
        assert_eq!(site.left().await, Vec::<String>::new(), "{call} {arguments:?}: {}", built.text);
        assert!(!site.dir.path().join("manifest.json").exists());
    }
}

/// Throttling, 5xx, connections that break, and answers that are lost after the call has worked: the build goes on.
#[tokio::test(flavor = "multi_thread")]
async fn what_passes_does_not_stop_a_build() {
    let creates = ["CreateKeyPair", "CreateSecurityGroup", "RunInstances", "CreateImage", "eu-west-1 CopyImage"];
    let mut cases: Vec<(&str, Fault)> = vec![
        ("DescribeImages", Fault { times: 3, ..refusal(503, "RequestLimitExceeded", "Request limit exceeded.") }),
        ("RunInstances", refusal(500, "InternalError", "An internal error has occurred")),
        ("CreateImage", Fault { reset: true, times: 1, ..Fault::default() }),
        ("CopyImage", Fault { times: 2, ..refusal(400, "Throttling", "Rate exceeded") }),
        ("DeleteTags", refusal(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")),
    ];
    cases.extend(creates.map(|c| (c, Fault { lose_answer: true, times: 1, ..Fault::default() })));
    for (call, fault) in cases {
        let site = Site::new().await;
        site.fault(call, fault);
        let built = site.build(&[]).await;
        assert_eq!(built.code, Some(0), "{call}: {}", built.text);
        let left = site.left().await;
        assert_eq!(
            (left.iter().filter(|l| l.starts_with("image")).count(), left.len()),
            (3, 9),
            "{call}: {left:?}\n{}",
            built.text
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_within_seconds() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str], &'a str);
    let cases: [Case<'_>; 4] = [
        (&[("AWS_ENDPOINT_URL", "http://127.0.0.1:1")], &[], "sts:GetCallerIdentity in us-west-2 got no answer"),
        (&[], &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"], "needs AWS credentials, and there are none"),
        (&[("AWS_PROFILE", "nobody")], &[], "the AWS profile \"nobody\" does not exist"),
        (&[], &["AWS_REGION", "AWS_DEFAULT_REGION"], "no AWS region is named"),
    ];
    for (set, unset, expected) in cases {
        let mut site = Site::new().await;
        site.env.extend(set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        site.env.retain(|k, _| !unset.contains(&k.as_str()));
        site.env.remove("IMAGE_ACTION_POLL_SCALE");
        let built = site.build(&[]).await;
        assert_eq!(built.code, Some(1), "{expected}: {}", built.text);
        assert!(built.text.contains(expected), "no {expected:?} in\n{}", built.text);
        assert!(built.elapsed < Duration::from_secs(8), "{expected}: {:?}", built.elapsed);
    }
}

/// The calls of a build after which it is stopped: each creates or waits for something.
const MOMENTS: [&str; 9] = [
    "CreateKeyPair",
    "CreateSecurityGroup",
    "AuthorizeSecurityGroupIngress",
    "RunInstances",
    "StopInstances",
    "CreateImage",
    "us-east-1 CopyImage",
    "eu-west-1 ModifyImageAttribute",
    "CreateTags",
];

/// Starts a build, and sends it a signal as soon as a call has come in; the answer to that call takes a while.
async fn stopped_at(site: &Site, call: &str, signal: &str) -> Ended {
    site.fault(call, Fault { delay_ms: 200, times: 1, ..Fault::default() });
    let begin = Instant::now();
    let child = site.command(&["build", "-color=false", "."]).spawn().unwrap();
    let pid = child.id().unwrap().to_string();
    let faults = &site.local.running.cloud.faults;
    while faults.seen(call) == 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "{call} never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let sent = tokio::process::Command::new("kill").args([signal, &pid]).status().await.unwrap();
    assert!(sent.success());
    ended(child, begin).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_build_leaves_nothing() {
    for call in MOMENTS {
        let site = Site::new().await;
        let stopped = stopped_at(&site, call, "-INT").await;
        assert_eq!(stopped.code, Some(1), "{call}: {}", stopped.text);
        assert_eq!(site.left().await, Vec::<String>::new(), "{call}: {}", stopped.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cleanup_empties_what_a_killed_build_left() {
    for call in MOMENTS {
        let site = Site::new().await;
        let killed = stopped_at(&site, call, "-KILL").await;
        assert_eq!(killed.code, None, "{call}");
        // What was on its way when it was killed arrives.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let cleaned = site.run(&["cleanup"]).await;
        assert_eq!(cleaned.code, Some(0), "{call}: {}", cleaned.text);
        assert_eq!(site.left().await, Vec::<String>::new(), "{call}: {}", cleaned.text);
    }
}

/// The seed's source, or the same in other words where the seed is not there.
fn seed_source() -> (String, bool) {
    let seed = std::env::var("IMAGE_ACTION_SEED").ok();
    let read = |dir: &String| {
        let at = |name: &str| std::fs::read_to_string(format!("{dir}/files/templates/{name}"));
        Some(at("aws-ubuntu.pkr.hcl").ok()? + &at("variables.pkr.hcl").ok()?)
    };
    match seed.as_ref().and_then(read) {
        Some(text) => (text, true),
        None => (std::fs::read_to_string(crate::support::script("../data/moto-source.pkr.hcl")).unwrap(), false),
    }
}

/// What the build block adds: the address of the machine, which moto has not, and a provisioner that runs there.
const MOTO_BUILD: &str = r#"
build {
  source "source.amazon-ebs.ubuntu" {
    ssh_host = "127.0.0.1"
    ssh_port = PORT
  }
  provisioner "shell" {
    inline = ["echo reached by $(whoami)"]
  }
  post-processor "manifest" {
    output = "manifest.json"
  }
}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_build_on_moto_makes_packers_calls() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    if sshd::missing() {
        return;
    }
    let machine = Sshd::start("");
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let mut proxy = tokio::process::Command::new("python3")
        .arg(crate::support::script("moto_proxy.py"))
        .args([machine.dir.path().join("authorized").display().to_string(), at("log")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut url = String::new();
    BufReader::new(proxy.stdout.take().unwrap()).read_line(&mut url).await.unwrap();
    let pairs = [
        ("AWS_ENDPOINT_URL", url.trim()),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_REGION", "us-west-2"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("IMAGE_ACTION_POLL_SCALE", "20"),
    ];
    let mut env: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    env.insert("PATH".into(), std::env::var("PATH").unwrap());
    let (source, of_seed) = seed_source();
    std::fs::write(at("source.pkr.hcl"), source).unwrap();
    std::fs::write(at("build.pkr.hcl"), MOTO_BUILD.replace("PORT", &machine.port.to_string())).unwrap();
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_image-action"))
        .args(["build", "-color=false", "-var", &format!("ssh_username={}", machine.user), "."])
        .args(["--state-dir", &at("state")])
        .current_dir(dir.path())
        .env_clear()
        .envs(&env)
        .output()
        .await
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}\n{}", machine.log());
    assert!(text.contains(&format!("reached by {}", machine.user)), "{text}");
    let manifest = std::fs::read_to_string(at("manifest.json")).unwrap();
    let recorded = std::env::var("IMAGE_ACTION_VECTORS").map(|v| format!("{v}/amazon-ebs-calls/a-seed-dev.txt"));
    if let (Ok(recorded), true) = (recorded, of_seed) {
        let listed = crate::support::script("../data/amazon-calls.txt");
        python("amazon_calls.py", &[&at("log"), &recorded, listed.to_str().unwrap()], env.clone()).await;
    }
    python("aws_moto.py", &[&manifest], env).await;
}
