//! Resource Manager.

use super::{Compared, Done, Site, texts};
use serde_json::Value;
use std::collections::BTreeSet;

fn template(options: &str) -> String {
    format!(
        r#"
source "azure-arm" "one" {{
  use_azure_cli_auth = true
  communicator       = "none"
  os_type            = "Linux"
  image_publisher    = "Canonical"
  image_offer        = "0001-com-ubuntu-server-jammy"
  image_sku          = "22_04-lts-gen2"
  vm_size            = "Standard_D2s_v3"
{options}
}}
build {{
  sources = ["source.azure-arm.one"]
}}
"#
    )
}

/// A gallery's version from a machine in an existing network, as the templates have it.
const GALLERY: &str = r#"
  shared_image_gallery_destination {
    subscription        = "10ca1000-0000-4000-8000-000000000001"
    resource_group      = "packer-images-rg"
    gallery_name        = "company_images"
    image_name          = "ubuntu-22.04"
    image_version       = "1.0.0"
    replication_regions = ["westus2", "eastus"]
  }
  virtual_network_name                   = "packer-vnet"
  virtual_network_subnet_name            = "packer-subnet"
  virtual_network_resource_group_name    = "packer-images-rg"
  private_virtual_network_with_public_ip = true
  location                               = "westus2"
"#;

const IMAGE: &str = r#"
  managed_image_name                = "company-ubuntu"
  managed_image_resource_group_name = "packer-images-rg"
  location                          = "westus2"
"#;

const IN_GROUP: &str = r#"
  managed_image_name                      = "company-ubuntu"
  managed_image_resource_group_name       = "packer-images-rg"
  managed_image_os_disk_snapshot_name     = "ossnap"
  managed_image_data_disk_snapshot_prefix = "datasnap"
  build_resource_group_name               = "packer-images-rg"
  disk_additional_size                    = [10, 20]
"#;

/// What a path of Resource Manager is about: its type, with the names taken out.
fn kind(path: &str) -> String {
    let path = path.split('?').next().unwrap();
    let Some((_, rest)) = path.rsplit_once("/providers/") else {
        let names: Vec<&str> = path.trim_matches('/').split('/').skip(2).step_by(2).collect();
        return format!("Microsoft.Resources/{}", names.join("/"));
    };
    let (namespace, rest) = rest.split_once('/').unwrap();
    let types: Vec<&str> = rest.split('/').step_by(2).collect();
    format!("{namespace}/{}", types.join("/"))
}

/// The resource group of a path.
fn group(path: &str) -> String {
    path.split('/').nth(4).unwrap_or_default().to_owned()
}

fn calls(compared: &Compared) -> Vec<(String, String)> {
    let all = compared.log.iter().filter_map(|e| e.call.split_once(' '));
    let of_azure = all.filter(|(_, path)| path.starts_with("/subscriptions/"));
    of_azure.map(|(method, path)| (method.to_owned(), path.to_owned())).collect()
}

fn done(compared: &Compared) -> Vec<Done> {
    let changing = calls(compared).into_iter().filter(|(method, _)| method != "GET");
    changing
        .map(|(method, path)| {
            let group = group(&path);
            // Its name is made up anew for each build.
            let place = if group.starts_with("pkr-Resource-Group-") { "a temporary group".to_owned() } else { group };
            (format!("{method} {}", kind(&path)), place)
        })
        .collect()
}

fn needed(compared: &Compared) -> BTreeSet<(String, String)> {
    let permission = |method: &str, path: &str| {
        let kind = kind(path).replace("Microsoft.Resources/", "Microsoft.Resources/subscriptions/");
        match method {
            "GET" => format!("{kind}/read"),
            "PUT" => format!("{kind}/write"),
            "DELETE" => format!("{kind}/delete"),
            _ => format!("{kind}/action"),
        }
    };
    calls(compared).into_iter().map(|(method, path)| (permission(&method, &path), path.to_lowercase())).collect()
}

fn allows(role: &Value, permission: &str, path: &str) -> bool {
    let inside = |scope: &String| path.starts_with(&scope.to_lowercase());
    let has = texts(&role["Actions"]).iter().any(|a| a.eq_ignore_ascii_case(permission));
    has && texts(&role["AssignableScopes"]).iter().any(inside)
}

fn granted(role: &Value) -> Vec<String> {
    texts(&role["Actions"])
}

/// Permissions that no call of a build that works asks for.
const REASONS: [(&str, &str); 18] = [
    ("Microsoft.Compute/locations/diskOperations/read", "spelled with a capital letter in the cloud's answers"),
    ("Microsoft.Compute/disks/beginGetAccess/action", "asked for of the disk of a snapshot"),
    ("Microsoft.Compute/disks/delete", "in a temporary group they go with it"),
    ("Microsoft.Compute/disks/read", "tells that a disk is gone"),
    ("Microsoft.Compute/disks/write", "asked for of the disks that a machine brings"),
    ("Microsoft.Compute/galleries/images/versions/delete", "removes what a failed build has made"),
    ("Microsoft.Compute/images/delete", "removes what a failed build has made"),
    ("Microsoft.Compute/snapshots/delete", "removes what a failed build has made"),
    ("Microsoft.Compute/virtualMachines/delete", "in a temporary group it goes with it"),
    ("Microsoft.Network/locations/operations/read", "follows what is not done at once"),
    ("Microsoft.Compute/locations/operations/read", "follows what is not done at once"),
    ("Microsoft.Resources/subscriptions/operationresults/read", "follows the end of the group"),
    (
        "Microsoft.Network/networkInterfaces/*",
        "joined to the machine; read for its address; in a temporary group it goes with it",
    ),
    ("Microsoft.Network/networkSecurityGroups/*", "joined to the network; in a temporary group it goes with it"),
    ("Microsoft.Network/publicIPAddresses/*", "joined to the interface; read for the address; goes with its group"),
    ("Microsoft.Network/virtualNetworks/delete", "in a temporary group it goes with it"),
    ("Microsoft.Network/virtualNetworks/subnets/join/action", "asked for of the interface's subnet"),
    ("Microsoft.Network/virtualNetworks/read", "tells that the network is made"),
];

async fn compare(options: &str, arguments: &[&str]) -> Compared {
    let site = Site::new(&template(options)).await;
    check(site.compare(arguments).await)
}

fn check(compared: Compared) -> Compared {
    let beside = ["PUT Microsoft.Network/publicIPAddresses", "PUT Microsoft.Network/networkSecurityGroups"];
    compared.same_calls(&done(&compared), &beside);
    compared.same_permissions(&needed(&compared), allows, granted, &REASONS);
    compared
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_what_builds_do() {
    for options in [GALLERY, IMAGE, IN_GROUP] {
        compare(options, &[]).await;
    }
    compare(&format!("{IMAGE}  public_ip_sku = \"Basic\"\n  async_resourcegroup_delete = true"), &[]).await;
    compare(&format!("{IN_GROUP}  skip_create_image = true"), &[]).await;
    let both =
        format!("{GALLERY}  managed_image_name = \"x\"\n  managed_image_resource_group_name = \"packer-images-rg\"");
    compare(&both, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_goes_first_and_is_marked() {
    for (options, expected) in [(GALLERY, 1), (IN_GROUP, 4)] {
        let site = Site::new(&template(options)).await;
        site.build(&[]).await;
        let compared = check(site.compare(&["-force"]).await);
        assert_eq!(compared.steps.iter().filter(|s| s.stage == "clear").count(), expected);
        assert!(
            done(&compared)[..expected].iter().all(|(call, _)| call.starts_with("DELETE ")),
            "{:?}",
            done(&compared)
        );
    }
}
