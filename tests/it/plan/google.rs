//! Compute Engine.

use super::{Compared, Done, Site, texts};
use serde_json::Value;
use std::collections::BTreeSet;

fn template(options: &str) -> String {
    format!(
        r#"
source "googlecompute" "one" {{
  project_id          = "local-project"
  zone                = "us-central1-a"
  source_image_family = "ubuntu-2204-lts"
  source_image_project_id = ["ubuntu-os-cloud"]
  image_name          = "company-1-0-0"
  communicator        = "none"
{options}
}}
build {{
  sources = ["source.googlecompute.one"]
}}
"#
    )
}

/// The calls as method and segments of the path, from `projects` on.
fn calls(compared: &Compared) -> Vec<(String, Vec<String>)> {
    let all = compared.log.iter().filter_map(|e| e.call.split_once(' '));
    let of_google = all.filter(|(_, path)| path.starts_with("projects/"));
    let segments = |path: &str| path.split('?').next().unwrap().split('/').map(str::to_owned).collect();
    of_google.map(|(method, path)| (method.to_owned(), segments(path))).collect()
}

/// `instances.insert`, with the place: the zone, or the project of what is global.
fn name(method: &str, path: &[String]) -> Option<Done> {
    let (place, rest) = match path.get(2)?.as_str() {
        "zones" if path.len() < 5 => return None,
        "zones" => (path[3].clone(), &path[4..]),
        _ => (path[1].clone(), &path[3..]),
    };
    let verb = match (method, rest.len()) {
        ("POST", 1) => "insert",
        ("DELETE", 2) => "delete",
        ("POST", 3) if rest[0] != "operations" => rest[2].as_str(),
        _ => return None,
    };
    Some((format!("{}.{verb}", rest[0]), place))
}

fn done(compared: &Compared) -> Vec<Done> {
    calls(compared).iter().filter_map(|(method, path)| name(method, path)).collect()
}

/// The permission of a call, with its project.
fn needed(compared: &Compared) -> BTreeSet<(String, String)> {
    let permission = |method: &str, path: &[String]| -> String {
        if let Some((call, _)) = name(method, path) {
            let (kind, verb) = call.split_once('.').unwrap();
            return format!("compute.{kind}.{}", if verb == "insert" { "create" } else { verb });
        }
        match path[2..].iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => "compute.projects.get".to_owned(),
            ["zones", _] => "compute.zones.get".to_owned(),
            ["zones", _, "operations", ..] => "compute.zoneOperations.get".to_owned(),
            ["global", "operations", ..] => "compute.globalOperations.get".to_owned(),
            ["zones", _, kind, _] => format!("compute.{kind}.get"),
            ["global", "images", "family", _] => "compute.images.getFromFamily".to_owned(),
            ["global", "images", _] => "compute.images.get".to_owned(),
            ref other => panic!("{other:?}"),
        }
    };
    let mine = calls(compared).into_iter().filter(|(_, path)| path[1] != "ubuntu-os-cloud");
    mine.map(|(method, path)| (permission(&method, &path), path[1].clone())).collect()
}

/// Permissions that no call of a build that works asks for by itself.
const REASONS: [(&str, &str); 13] = [
    ("compute.disks.create", "asked for of the boot disk"),
    ("compute.disks.use", "asked for of attached disks"),
    ("compute.disks.useReadOnly", "asked for of the image's disk"),
    ("compute.disks.setLabels", "asked for of a disk with labels"),
    ("compute.images.delete", "removes what a failed build has made"),
    ("compute.images.setLabels", "asked for of an image with labels"),
    ("compute.instances.getSerialPortOutput", "read where nobody can log in"),
    ("compute.instances.setLabels", "asked for of an instance with labels"),
    ("compute.instances.setMetadata", "asked for of an instance with metadata"),
    ("compute.instances.setServiceAccount", "asked for of an instance with a service account"),
    ("compute.instances.setTags", "asked for of an instance with tags"),
    ("compute.subnetworks.*", "asked for of the instance's network"),
    ("iam.serviceAccounts.actAs", "asked for of an instance with a service account"),
];

async fn compare(options: &str, arguments: &[&str]) -> Compared {
    let site = Site::new(&template(options)).await;
    check(site.compare(arguments).await)
}

fn check(compared: Compared) -> Compared {
    compared.same_calls(&done(&compared), &[]);
    // A role is of one project, which its title names.
    let granted = |role: &Value| texts(&role["includedPermissions"]);
    let projects: Vec<String> = compared.documents.iter().map(|d| d["title"].as_str().unwrap().to_owned()).collect();
    let allows = |role: &Value, permission: &str, project: &str| {
        granted(role).iter().any(|p| p == permission) && projects.iter().any(|title| title.ends_with(project))
    };
    compared.same_permissions(&needed(&compared), allows, granted, &REASONS);
    compared
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_what_builds_do() {
    let options = [
        "",
        "disk_size = 50\n disk_type = \"pd-ssd\"\n image_family = \"company\"\n image_labels = { a = \"b\" }\n tags = [\"x\"]",
        "skip_create_image = true\n use_os_login = false\n disable_default_service_account = true",
        "deprecate_at = \"2099-01-01T00:00:00Z\"\n instance_name = \"one\"",
        "disk_attachment {\n volume_type = \"pd-ssd\"\n volume_size = 10\n attachment_mode = \"READ_WRITE\"\n }\n disk_attachment {\n volume_type = \"pd-ssd\"\n volume_size = 10\n attachment_mode = \"READ_WRITE\"\n disk_name = \"kept\"\n keep_device = true\n }",
    ];
    for options in options {
        compare(options, &[]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_is_marked() {
    let site = Site::new(&template("")).await;
    site.build(&[]).await;
    let compared = check(site.compare(&["-force"]).await);
    let replaced = ("images.delete".to_owned(), "local-project".to_owned());
    assert!(done(&compared).contains(&replaced));
    let plan = site.plan(&["-force"]).await;
    let destroys = plan["builds"][0]["steps"].as_array().unwrap().iter().filter(|s| s["destroys"] == true);
    assert_eq!(destroys.map(|s| s["call"].as_str().unwrap()).collect::<Vec<_>>(), ["images.delete"]);
}
