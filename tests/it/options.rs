//! Options that validate are acted on, or refused before anything is asked of a cloud.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use crate::seed::program;
use crate::support::Local;
use image_action::registry;
use image_action_engine::config::{Field, Schema, Shape};
use regex::Regex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Options that nothing reads, and that say all the same what happens.
const TRUE_BY_THEMSELVES: &[(&str, &str, &str)] = &[
    ("amazon-ebs", "skip_profile_validation", "nobody asks IAM: EC2 says at the launch whether the profile is there"),
    ("amazon-ebs", "ami_virtualization_type", "only judges other options, in Packer too"),
    ("azure-arm", "object_id", "a warning says that it has no meaning any more"),
    ("azure-arm", "ssh_keypair_name", "a warning says that it has no meaning"),
    ("azure-arm", "temporary_key_pair_name", "a warning says that it has no meaning"),
    ("googlecompute", "ssh_keypair_name", "Google has no key pairs: without effect in Packer too"),
    ("googlecompute", "temporary_key_pair_name", "as above"),
    ("null", "ssh_keypair_name", "there is no cloud that would know it: without effect in Packer too"),
    ("null", "temporary_key_pair_name", "as above"),
    ("ansible", "sftp_command", "a warning says that there is no proxy here"),
    ("compress", "archive", "follows from the name of the output, in Packer too"),
    ("compress", "algorithm", "as above"),
];

/// The code of some files and folders, without tests and without the files that only check options.
fn code(places: &[&str]) -> String {
    fn collect(path: &Path, all: &mut Vec<PathBuf>) {
        if path.is_dir() {
            std::fs::read_dir(path).unwrap().for_each(|e| collect(&e.unwrap().path(), all));
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("check.rs") {
            all.push(path.to_owned());
        }
    }
    let mut files = Vec::new();
    places.iter().for_each(|p| collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(p), &mut files));
    assert!(!files.is_empty(), "{places:?}");
    let own = |path: &PathBuf| std::fs::read_to_string(path).unwrap().split("#[cfg(test)]").next().unwrap().to_owned();
    files.iter().map(own).collect()
}

/// `kmsKeyName` is `kms_key_name` in Rust.
fn in_rust(name: &str) -> String {
    let mut own = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !own.is_empty() {
            own.push('_');
        }
        own.push(c.to_ascii_lowercase());
    }
    own
}

/// Whether an option has an effect only beside a value that is refused, and that value really is.
fn is_refused_value(field: &Field, top: &Schema) -> bool {
    let Some((option, value)) = field.only_with.and_then(|w| w.split_once(" = ")) else { return false };
    top.field(option).is_some_and(|f| f.unsupported_values.contains(&value))
}

fn unread(component: &str, top: &Schema, schema: &Schema, code: &str, found: &mut BTreeSet<(String, String)>) {
    for field in &schema.fields {
        let nothing = field.deprecated.is_some_and(|d| d.starts_with("nothing"));
        if field.unsupported || nothing || is_refused_value(field, top) {
            continue;
        }
        // A field that is read or taken apart, not a method of the same name.
        let name = in_rust(field.name);
        let read = Regex::new(&format!(r"\.\s*{name}\b\s*[^\s(]|let \w+ \{{[^}}=]*\b{name}\b[^}}=]*\}} =")).unwrap();
        if !read.is_match(code) {
            found.insert((component.to_owned(), field.name.to_owned()));
        }
        if let Shape::Block { schema: inner, .. } = &field.shape {
            unread(component, top, inner(), code, found);
        }
    }
}

#[test]
fn every_option_is_acted_on_or_refused() {
    let mut found = BTreeSet::new();
    let mut look = |name: &str, schema: &Schema, places: &[&str]| {
        unread(name, schema, schema, &code(places), &mut found);
    };
    for component in registry::BUILDERS {
        let room = match component.name {
            "amazon-ebs" => "builder/amazon",
            "azure-arm" => "builder/azure",
            "googlecompute" => "builder/google",
            "null" => "builder/null.rs",
            "file" => "builder/file.rs",
            other => unreachable!("{other}: name its room here"),
        };
        look(component.name, (component.schema)(), &[room, "remote"]);
    }
    for component in registry::DATA_SOURCES {
        let room = match component.name.split('-').next().unwrap() {
            "amazon" => "builder/amazon",
            "googlecompute" => "builder/google",
            _ => "datasource",
        };
        look(component.name, (component.schema)(), &[room]);
    }
    registry::PROVISIONERS.iter().for_each(|c| look(c.name, (c.schema)(), &["provisioner"]));
    registry::POST_PROCESSORS.iter().for_each(|c| look(c.name, (c.schema)(), &["postprocessor", "provisioner"]));
    for (component, option, why) in TRUE_BY_THEMSELVES {
        assert!(!why.is_empty());
        let known = found.remove(&((*component).to_owned(), (*option).to_owned()));
        assert!(known, "{component} {option} is read: take it off the table");
    }
    assert!(found.is_empty(), "accepted, and read by nobody: {found:#?}");
}

/// A source with `options`, and a build of it.
fn template(kind: &str, options: &str) -> String {
    format!("source \"{kind}\" \"x\" {{\n{options}\n}}\nbuild {{\n  sources = [\"{kind}.x\"]\n}}\n")
}

const AMAZON: &str = r#"  region        = "us-west-2"
  instance_type = "t3.micro"
  source_ami    = "ami-1"
  ami_name      = "options"
"#;

const AZURE: &str = r#"  use_azure_cli_auth                = true
  image_publisher                   = "Canonical"
  image_offer                       = "0001-com-ubuntu-server-jammy"
  image_sku                         = "22_04-lts-gen2"
  vm_size                           = "Standard_B2s"
  location                          = "westus2"
  managed_image_name                = "options"
  managed_image_resource_group_name = "packer-images-rg"
"#;

const GOOGLE: &str = r#"  project_id          = "local-project"
  zone                = "us-central1-a"
  source_image_family = "ubuntu-2204-lts"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_yet_is_refused_before_any_call() {
    let local = Local::start().await;
    let winrm = "  communicator   = \"winrm\"\n  winrm_username = \"Administrator\"\n";
    let manager =
        "  ssh_username = \"admin\"\n  ssh_interface = \"session_manager\"\n  iam_instance_profile = \"profile\"\n";
    let cases = [
        ("amazon-ebs", format!("{AMAZON}{winrm}"), "communicator = \"winrm\""),
        ("amazon-ebs", format!("{AMAZON}{manager}"), "ssh_interface = \"session_manager\""),
        ("azure-arm", format!("{AZURE}{winrm}  os_type = \"Windows\"\n"), "communicator = \"winrm\""),
        ("azure-arm", format!("{AZURE}  os_type = \"Windows\"\n"), "os_type = \"Windows\""),
        ("googlecompute", format!("{GOOGLE}{winrm}"), "communicator = \"winrm\""),
        (
            "null",
            format!("{winrm}  winrm_host = \"192.0.2.1\"\n  winrm_password = \"x\"\n"),
            "communicator = \"winrm\"",
        ),
    ];
    for (kind, options, says) in cases {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.pkr.hcl"), template(kind, &options)).unwrap();
        let run = |command: &str| {
            let output = program(dir.path(), &local.env()).args([command, "."]).output().unwrap();
            (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let (code, text) = run("validate");
        assert_eq!(code, Some(0), "as Packer says: {text}");
        let (code, text) = run("build");
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(&format!("{says} is not supported yet")) && text.contains("hint: "), "{kind}: {text}");
    }
    assert!(local.running.cloud.log().is_empty(), "{:?}", local.running.cloud.log());
    local.running.stop().await;
}
