//! Where the instance comes from and what it is attached to: the source image, the network.

use crate::client::Api;
use crate::config::Googlecompute;
use google_cloud_compute_v1::model::Image;
use image_action_engine::{CancellationToken, Error, ErrorKind, Result};

/// Projects of public images, in the order in which they are looked through (Packer's own).
pub(crate) const PUBLIC_PROJECTS: [&str; 23] = [
    "almalinux-cloud",
    "centos-cloud",
    "cloud-hpc-image-public",
    "cos-cloud",
    "coreos-cloud",
    "debian-cloud",
    "fedora-cloud",
    "fedora-coreos-cloud",
    "freebsd-org-cloud-dev",
    "rhel-cloud",
    "rhel-sap-cloud",
    "rocky-linux-cloud",
    "suse-cloud",
    "suse-sap-cloud",
    "suse-byos-cloud",
    "ubuntu-os-cloud",
    "windows-cloud",
    "windows-sql-cloud",
    "gce-nvme",
    "google-containers",
    "opensuse-cloud",
    "ubuntu-os-pro-cloud",
    "ml-images",
];

/// Finds the source image: the projects one after another, the first that has it. A project that refuses is a miss like one
/// that has none.
///
/// # Errors
/// No project has it; no answer at all; [`Error::cancelled`].
pub(crate) async fn image(api: &Api, config: &Googlecompute, cancel: &CancellationToken) -> Result<Image> {
    let options = &config.image;
    let own = [options.project_id.as_str()];
    let projects: Vec<&str> = if options.source_image_project_id.is_empty() {
        own.into_iter().chain(PUBLIC_PROJECTS).collect()
    } else {
        options.source_image_project_id.iter().map(String::as_str).collect()
    };
    let by_name = !options.source_image.is_empty();
    let mut refusals = Vec::new();
    for project in &projects {
        let at = api.global(project, cancel);
        let found = if by_name {
            at.image(&options.source_image).await
        } else {
            at.image_of_family(&options.source_image_family).await
        };
        match found {
            Ok(image) if image.self_link.is_some() => return Ok(image),
            Ok(_) => {}
            Err(e) if e.error.is_cancelled() => return Err(e.error),
            // Without an answer the other projects have none either.
            Err(e) if e.status.is_none() => return Err(e.error),
            Err(e) if e.is_not_found() => {}
            Err(e) => refusals.push(e.error.summary),
        }
    }
    let what = if by_name {
        format!("the image \"{}\"", options.source_image)
    } else {
        format!("the image family \"{}\"", options.source_image_family)
    };
    Err(Error::new(ErrorKind::NotFound, format!("{what} is in none of the projects {}", projects.join(", ")))
        .detail(refusals.join("\n"))
        .hint("look for its name with `gcloud compute images list`; source_image_project_id names other projects"))
}

/// The network and the subnetwork as the API takes them.
pub(crate) fn network(config: &Googlecompute) -> (Option<String>, Option<String>) {
    let i = &config.instance;
    let host = if i.network_project_id.is_empty() { &config.image.project_id } else { &i.network_project_id };
    let network = match (i.network.as_str(), i.subnetwork.as_str()) {
        ("", "") => "default",
        (network, _) => network,
    };
    let network = match network {
        "" => None,
        // Packer's: also where another project holds the network.
        "default" => Some("global/networks/default".to_owned()),
        path if path.contains('/') => Some(path.to_owned()),
        name => Some(format!("projects/{host}/global/networks/{name}")),
    };
    let subnetwork = match i.subnetwork.as_str() {
        "" => None,
        path if path.contains('/') => Some(path.to_owned()),
        name => Some(format!("projects/{host}/regions/{}/subnetworks/{name}", region(config))),
    };
    (network, subnetwork)
}

/// The region: the zone without its last two characters, unless it is said.
pub(crate) fn region(config: &Googlecompute) -> &str {
    let i = &config.instance;
    if !i.region.is_empty() {
        return &i.region;
    }
    let end = i.zone.char_indices().rev().nth(1).map_or(0, |(at, _)| at);
    if i.zone.chars().count() > 2 { &i.zone[..end] } else { &i.zone }
}
