//! EC2.

use super::{Compared, Done, Site, texts};
use serde_json::Value;
use std::collections::BTreeSet;

/// A source with these options beside what every one has.
fn template(options: &str) -> String {
    format!(
        r#"
source "amazon-ebs" "one" {{
  ami_name      = "company-1.0.0"
  instance_type = "t3.medium"
  region        = "us-west-2"
  communicator  = "none"
  source_ami_filter {{
    filters     = {{ name = "ubuntu/images/hvm-ssd/ubuntu-jammy-22.04-amd64-server-*" }}
    owners      = ["099720109477"]
    most_recent = true
  }}
{options}
}}
build {{
  sources = ["source.amazon-ebs.one"]
}}
"#
    )
}

/// The template's own options of the build for development.
const DEV: &str = r#"
  associate_public_ip_address = true
  ena_support        = true
  encrypt_boot       = true
  kms_key_id         = "alias/packer-images"
  ami_description    = "From {{ .SourceAMI }}"
  tags               = { Version = "1.0.0" }
  run_tags           = { Version = "1.0.0" }
  snapshot_tags      = { Version = "1.0.0" }
  launch_block_device_mappings {
    device_name           = "/dev/sda1"
    volume_size           = 50
    delete_on_termination = true
  }
"#;

/// What is added for production.
const PROD: &str = r#"
  ami_regions        = ["us-east-1", "eu-west-1"]
  ami_users          = ["123456789012", "234567890123"]
  region_kms_key_ids = { "us-east-1" = "alias/packer-images", "eu-west-1" = "alias/packer-images" }
"#;

/// The changing calls that were noted.
fn done(compared: &Compared) -> Vec<Done> {
    let calls = compared.log.iter().filter(|e| e.status < 300).map(|e| e.call.split(' ').collect::<Vec<_>>());
    calls
        .filter(|c| c[0] == "ec2" && !c[2].starts_with("Describe"))
        .map(|c| (c[2].to_owned(), c[1].to_owned()))
        .collect()
}

/// Every call as a permission, with its region.
fn needed(compared: &Compared) -> BTreeSet<(String, String)> {
    let calls = compared.log.iter().map(|e| e.call.split(' ').collect::<Vec<_>>());
    calls.filter(|c| ["ec2", "sts"].contains(&c[0])).map(|c| (format!("{}:{}", c[0], c[2]), c[1].to_owned())).collect()
}

fn allows(policy: &Value, permission: &str, region: &str) -> bool {
    policy["Statement"].as_array().unwrap().iter().any(|s| {
        let resource = |on: &String| on == "*" || on.split(':').nth(3).is_some_and(|r| r == region || r == "*");
        texts(&s["Action"]).iter().any(|a| a == permission) && texts(&s["Resource"]).iter().any(resource)
    })
}

fn granted(policy: &Value) -> Vec<String> {
    policy["Statement"].as_array().unwrap().iter().flat_map(|s| texts(&s["Action"])).collect()
}

/// Permissions that no call of a build that works asks for.
const REASONS: [(&str, &str); 8] = [
    ("ec2:DescribeSecurityGroups", "finds a group whose creation was not answered"),
    ("ec2:DescribeSnapshots", "finds the snapshots of an image that is not ready"),
    ("ec2:DeregisterImage", "removes what a failed build has made"),
    ("ec2:DeleteSnapshot", "removes what a failed build has made"),
    ("ec2:DeleteVolume", "the source image may have volumes that outlive their instance"),
    ("ec2:CreateTags", "EC2 asks for it where a call creates something with tags"),
    ("kms:*", "EC2 uses the key on the caller's behalf"),
    ("iam:PassRole", "EC2 asks for it where an instance has a profile"),
];

async fn compare(options: &str, arguments: &[&str]) -> Compared {
    let site = Site::new(&template(options)).await;
    check(site.compare(arguments).await)
}

fn check(compared: Compared) -> Compared {
    let beside = ["CreateKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress"];
    compared.same_calls(&done(&compared), &beside);
    compared.same_permissions(&needed(&compared), allows, granted, &REASONS);
    for document in &compared.documents {
        let policy = document["document"].as_str().unwrap();
        // "The size of each managed policy cannot exceed 6,144 characters"; blanks do not count.
        assert!(policy.split_whitespace().collect::<String>().len() < 6144, "{policy}");
        sound(&serde_json::from_str(policy).unwrap());
    }
    compared
}

/// Actions that know no resource, by the "Service Authorization Reference".
const NO_RESOURCE: [&str; 2] = ["sts:GetCallerIdentity", "sts:DecodeAuthorizationMessage"];

fn sound(policy: &Value) {
    let mut names = BTreeSet::new();
    for statement in policy["Statement"].as_array().unwrap() {
        assert!(names.insert(statement["Sid"].as_str().unwrap().to_owned()), "{policy}");
        if texts(&statement["Resource"]).iter().any(|r| r == "*") {
            for action in texts(&statement["Action"]) {
                assert!(action.starts_with("ec2:Describe") || NO_RESOURCE.contains(&action.as_str()), "{action} on *");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_of_development_is_what_its_build_does() {
    compare(DEV, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_of_production_is_what_its_build_does() {
    let compared = compare(&format!("{DEV}{PROD}"), &[]).await;
    let copies = compared.steps.iter().filter(|s| s.call == "CopyImage").map(|s| s.place.as_str());
    assert_eq!(copies.collect::<Vec<_>>(), ["us-west-2", "eu-west-1", "us-east-1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_option_that_makes_a_call_has_its_step() {
    let options = [
        "",
        "sriov_support = true\n disable_stop_instance = false\n ami_groups = [\"all\"]\n imds_support = \"v2.0\"",
        "skip_create_ami = true\n subnet_filter {\n filters = { \"default-for-az\" = \"true\" }\n most_free = true\n }",
        "deprecate_at = \"2099-01-01T00:00:00Z\"\n deregistration_protection {\n enabled = true\n }\n snapshot_users = [\"123456789012\"]",
        "launch_block_device_mappings {\n device_name = \"/dev/sdf\"\n volume_size = 1\n }\n skip_region_validation = true\n skip_credential_validation = true",
        "launch_block_device_mappings {\n device_name = \"/dev/sdf\"\n volume_size = 1\n delete_on_termination = false\n }",
        "ami_regions = [\"us-east-1\"]\n skip_save_build_region = true\n ssh_keypair_name = \"\"",
        "security_group_filter {\n filters = { \"group-name\" = \"default\" }\n }",
    ];
    for options in options {
        compare(options, &[]).await;
    }
}

/// What has the name goes first, where that is asked for, and the plan says so.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_is_marked() {
    let site = Site::new(&template("ami_regions = [\"us-east-1\"]\n force_delete_snapshot = true")).await;
    site.build(&[]).await;
    let compared = check(site.compare(&["-force"]).await);
    let plan = site.plan(&["-force"]).await;
    let destroys = plan["builds"][0]["steps"].as_array().unwrap().iter().filter(|s| s["destroys"] == true);
    let calls: Vec<_> = destroys.map(|s| (s["call"].as_str().unwrap(), s["place"].as_str().unwrap())).collect();
    let expected = [
        ("DeregisterImage", "us-west-2"),
        ("DeleteSnapshot", "us-west-2"),
        ("DeregisterImage", "us-east-1"),
        ("DeleteSnapshot", "us-east-1"),
    ];
    assert_eq!(calls, expected);
    let seen = done(&compared);
    for (call, place) in expected {
        assert!(seen.contains(&(call.to_owned(), place.to_owned())), "{seen:?}");
    }
}
