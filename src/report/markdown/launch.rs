//! How an image is used: commands and Terraform blocks that can be copied as they are, and the console's page of an image.

use super::table::provider;
use super::{Row, fence};
use image_action_engine::component::Image;

/// Whether an id can stand between quotes in a shell and in HCL: the clouds' ids have none of the other characters, so an id that
/// has is not shown in a command.
fn plain(image: &Image) -> bool {
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:()".contains(c));
    !image.id.is_empty() && plain(&image.id) && plain(&image.region)
}

/// The page of an image in its cloud's console.
pub fn console(image: &Image) -> Option<String> {
    if !plain(image) {
        return None;
    }
    let (id, region) = (&image.id, &image.region);
    match image.provider.as_str() {
        "aws" => {
            let domain = match region {
                r if r.starts_with("cn-") => "console.amazonaws.cn",
                r if r.starts_with("us-gov-") => "console.amazonaws-us-gov.com",
                _ => "console.aws.amazon.com",
            };
            Some(format!("https://{region}.{domain}/ec2/home?region={region}#ImageDetails:imageId={id}"))
        }
        // Parentheses, which a resource group's name may have, would end a link.
        "azure" => Some(format!("https://portal.azure.com/#resource{}", id.replace('(', "%28").replace(')', "%29"))),
        "gcp" => {
            let (project, name) = google(id)?;
            let page = "https://console.cloud.google.com/compute/imagesDetail";
            Some(format!("{page}/projects/{project}/global/images/{name}?project={project}"))
        }
        _ => None,
    }
}

/// Project and name of `projects/P/global/images/N`.
fn google(id: &str) -> Option<(&str, &str)> {
    match id.split('/').collect::<Vec<_>>()[..] {
        ["projects", project, "global", "images", name] => Some((project, name)),
        _ => None,
    }
}

/// The command of the cloud's own tool that starts a machine.
fn command(image: &Image) -> Option<String> {
    let (id, region) = (&image.id, &image.region);
    match image.provider.as_str() {
        "aws" => {
            Some(format!("aws ec2 run-instances --region {region} --instance-type t3.micro \\\n  --image-id {id}"))
        }
        "azure" => Some(format!(
            "az vm create --resource-group my-group --name my-vm --location {region} \\\n  --admin-username azureuser --generate-ssh-keys \\\n  --image '{id}'"
        )),
        "gcp" => {
            let (project, name) = google(id)?;
            Some(format!(
                "gcloud compute instances create my-vm --zone us-central1-a \\\n  --image-project {project} --image {name}"
            ))
        }
        _ => None,
    }
}

/// A Terraform block that starts a machine; `name` is the block's label.
fn terraform(image: &Image, name: &str) -> Option<String> {
    let (id, region) = (&image.id, &image.region);
    match image.provider.as_str() {
        "aws" => Some(format!(
            "provider \"aws\" {{\n  region = \"{region}\"\n}}\n\nresource \"aws_instance\" \"{name}\" {{\n  ami           = \"{id}\"\n  instance_type = \"t3.micro\"\n}}"
        )),
        "azure" => Some(format!(
            "variable \"subnet_id\" {{\n  type = string\n}}\n\n\
             provider \"azurerm\" {{\n  features {{}}\n}}\n\n\
             resource \"azurerm_network_interface\" \"{name}\" {{\n  name                = \"my-vm\"\n  resource_group_name = \"my-group\"\n  location            = \"{region}\"\n\n  ip_configuration {{\n    name                          = \"internal\"\n    subnet_id                     = var.subnet_id\n    private_ip_address_allocation = \"Dynamic\"\n  }}\n}}\n\n\
             resource \"azurerm_linux_virtual_machine\" \"{name}\" {{\n  name                  = \"my-vm\"\n  resource_group_name   = \"my-group\"\n  location              = \"{region}\"\n  size                  = \"Standard_B1s\"\n  admin_username        = \"azureuser\"\n  network_interface_ids = [azurerm_network_interface.{name}.id]\n  source_image_id       = \"{id}\"\n\n  admin_ssh_key {{\n    username   = \"azureuser\"\n    public_key = file(\"~/.ssh/id_rsa.pub\")\n  }}\n\n  os_disk {{\n    caching              = \"ReadWrite\"\n    storage_account_type = \"Standard_LRS\"\n  }}\n}}"
        )),
        "gcp" => Some(format!(
            "resource \"google_compute_instance\" \"{name}\" {{\n  name         = \"my-vm\"\n  machine_type = \"e2-small\"\n  zone         = \"us-central1-a\"\n\n  boot_disk {{\n    initialize_params {{\n      image = \"{id}\"\n    }}\n  }}\n\n  network_interface {{\n    network = \"default\"\n  }}\n}}"
        )),
        _ => None,
    }
}

/// How the first image of each build is launched, by the cloud's own tool and by Terraform; nothing where there is no image of a
/// cloud.
pub fn section(rows: &[Row]) -> Option<String> {
    let images = rows.iter().filter_map(|r| Some((r, r.images.first().filter(|i| plain(i))?)));
    let parts: Vec<String> = images
        .filter_map(|(row, image)| {
            let label = label(&row.build);
            let block =
                |language: &str, text: String| fence(language, &text.lines().map(str::to_owned).collect::<Vec<_>>());
            let (command, terraform) = (block("sh", command(image)?), block("hcl", terraform(image, &label)?));
            Some(format!("**{}** {}\n\n{command}\n{terraform}", provider(&row.source_type), super::code(&row.build)))
        })
        .collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

/// A Terraform label of a build's name.
fn label(build: &str) -> String {
    let last = build.rsplit('.').next().unwrap_or_default();
    let label: String =
        last.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    if label.starts_with(|c: char| c.is_ascii_alphabetic()) { label } else { format!("image_{label}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(provider: &str, region: &str, id: &str) -> Image {
        Image { provider: provider.into(), region: region.into(), id: id.into(), name: "app".into() }
    }

    #[test]
    fn every_cloud_has_its_console_command_and_block() {
        let azure = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/images/app";
        for (provider, region, id) in [
            ("aws", "us-west-2", "ami-1"),
            ("azure", "westeurope", azure),
            ("gcp", "eu", "projects/p/global/images/app"),
        ] {
            let image = image(provider, region, id);
            assert!(super::super::text::is_plain_url(&console(&image).unwrap_or_default()), "{provider}");
            let (command, block) = (command(&image).unwrap_or_default(), terraform(&image, "web").unwrap_or_default());
            assert!(block.contains(id), "{block}");
            assert!(command.contains(id.trim_start_matches("projects/p/global/images/")), "{command}");
        }
    }

    #[test]
    fn an_id_that_could_be_a_command_is_in_none() {
        for id in ["ami-1; rm -rf /", "a'b", "$(x)", "a\nb", "`x`", "a\"b"] {
            let image = image("aws", "us-west-2", id);
            assert!(console(&image).is_none() && !plain(&image), "{id}");
        }
    }

    #[test]
    fn a_label_is_an_identifier() {
        assert_eq!(label("demo.amazon-ebs.my-App"), "my_app");
        assert_eq!(label("amazon-ebs.1st"), "image_1st");
    }
}
