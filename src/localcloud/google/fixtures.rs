//! What the local account holds from the start.

use super::names::{fingerprint, link, new_id};
use super::store::{Image, Project, Store, image_path};
use serde_json::{Value, json};

/// The account's own project, which `--local` names by default.
pub const PROJECT: &str = "local-project";

/// Regions, each with zones `-a` to `-c` (and `-f` in us-central1).
pub(super) const REGIONS: [&str; 8] =
    ["us-central1", "us-east1", "us-east4", "us-west1", "europe-west1", "europe-west3", "europe-west4", "asia-east1"];

/// Machine types: name, CPUs, memory in MB, architecture.
const MACHINE_TYPES: [(&str, u32, u32, &str); 24] = [
    ("e2-micro", 2, 1024, "X86_64"),
    ("e2-small", 2, 2048, "X86_64"),
    ("e2-medium", 2, 4096, "X86_64"),
    ("e2-standard-2", 2, 8192, "X86_64"),
    ("e2-standard-4", 4, 16384, "X86_64"),
    ("e2-standard-8", 8, 32768, "X86_64"),
    ("e2-standard-16", 16, 65536, "X86_64"),
    ("e2-highcpu-2", 2, 2048, "X86_64"),
    ("e2-highcpu-4", 4, 4096, "X86_64"),
    ("e2-highmem-2", 2, 16384, "X86_64"),
    ("f1-micro", 1, 614, "X86_64"),
    ("g1-small", 1, 1740, "X86_64"),
    ("n1-standard-1", 1, 3840, "X86_64"),
    ("n1-standard-2", 2, 7680, "X86_64"),
    ("n1-standard-4", 4, 15360, "X86_64"),
    ("n1-highcpu-4", 4, 3686, "X86_64"),
    ("n2-standard-2", 2, 8192, "X86_64"),
    ("n2-standard-4", 4, 16384, "X86_64"),
    ("n2d-standard-2", 2, 8192, "X86_64"),
    ("c2-standard-4", 4, 16384, "X86_64"),
    ("c3-standard-4", 4, 16384, "X86_64"),
    ("n4-standard-2", 2, 8192, "X86_64"),
    ("t2a-standard-1", 1, 4096, "ARM64"),
    ("c4a-standard-2", 2, 8192, "ARM64"),
];

/// Disk types: name, default size in GB.
const DISK_TYPES: [(&str, u32); 9] = [
    ("local-ssd", 375),
    ("pd-standard", 500),
    ("pd-balanced", 100),
    ("pd-ssd", 100),
    ("pd-extreme", 1000),
    ("hyperdisk-balanced", 100),
    ("hyperdisk-extreme", 1000),
    ("hyperdisk-ml", 100),
    ("hyperdisk-throughput", 2048),
];

/// Public images: project, family, name, architecture, size in GB, description, creation time.
const IMAGES: [(&str, &str, &str, &str, u32, &str, &str); 9] = [
    (
        "ubuntu-os-cloud",
        "ubuntu-2204-lts",
        "ubuntu-2204-jammy-v20261008",
        "X86_64",
        10,
        "Canonical, Ubuntu, 22.04 LTS, amd64 jammy image",
        "2026-10-09T02:10:11.123-07:00",
    ),
    (
        "ubuntu-os-cloud",
        "ubuntu-2204-lts",
        "ubuntu-2204-jammy-v20261105",
        "X86_64",
        10,
        "Canonical, Ubuntu, 22.04 LTS, amd64 jammy image",
        "2026-11-06T02:10:11.123-08:00",
    ),
    (
        "ubuntu-os-cloud",
        "ubuntu-2204-lts-arm64",
        "ubuntu-2204-jammy-arm64-v20261105",
        "ARM64",
        10,
        "Canonical, Ubuntu, 22.04 LTS, arm64 jammy image",
        "2026-11-06T02:11:12.123-08:00",
    ),
    (
        "ubuntu-os-cloud",
        "ubuntu-2404-lts-amd64",
        "ubuntu-2404-noble-amd64-v20261105",
        "X86_64",
        10,
        "Canonical, Ubuntu, 24.04 LTS, amd64 noble image",
        "2026-11-06T02:12:13.123-08:00",
    ),
    (
        "ubuntu-os-cloud",
        "ubuntu-2404-lts-arm64",
        "ubuntu-2404-noble-arm64-v20261105",
        "ARM64",
        10,
        "Canonical, Ubuntu, 24.04 LTS, arm64 noble image",
        "2026-11-06T02:13:14.123-08:00",
    ),
    (
        "ubuntu-os-cloud",
        "ubuntu-minimal-2204-lts",
        "ubuntu-minimal-2204-jammy-v20261105",
        "X86_64",
        10,
        "Canonical, Ubuntu, 22.04 LTS Minimal, amd64 jammy minimal image",
        "2026-11-06T02:14:15.123-08:00",
    ),
    (
        "debian-cloud",
        "debian-11",
        "debian-11-bullseye-v20261110",
        "X86_64",
        10,
        "Debian, Debian GNU/Linux, 11 (bullseye), amd64",
        "2026-11-10T14:00:00.456-08:00",
    ),
    (
        "debian-cloud",
        "debian-12",
        "debian-12-bookworm-v20261110",
        "X86_64",
        10,
        "Debian, Debian GNU/Linux, 12 (bookworm), amd64",
        "2026-11-10T14:01:00.456-08:00",
    ),
    (
        "debian-cloud",
        "debian-13",
        "debian-13-trixie-v20261110",
        "X86_64",
        10,
        "Debian, Debian GNU/Linux, 13 (trixie), amd64",
        "2026-11-10T14:02:00.456-08:00",
    ),
];

/// Projects of public images.
const PUBLIC_PROJECTS: [&str; 23] = [
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

/// What an account holds before anybody has done anything.
pub(super) fn store() -> Store {
    let mut store = Store::default();
    for project in PUBLIC_PROJECTS {
        store.projects.insert(project.to_owned(), Project::new(project, false, &REGIONS));
    }
    own_project(&mut store, PROJECT);
    for (project, family, name, architecture, size, description, created) in IMAGES {
        public_image(&mut store, project, name, family, architecture, size, description, created);
    }
    store
}

/// A project of the account's own, as a new one comes: with the network `default`.
pub(super) fn own_project(store: &mut Store, id: &str) {
    store.projects.entry(id.to_owned()).or_insert_with(|| Project::new(id, true, &REGIONS));
}

/// An image that somebody else made.
#[allow(clippy::too_many_arguments)]
pub(super) fn public_image(
    store: &mut Store,
    project: &str,
    name: &str,
    family: &str,
    architecture: &str,
    size: u32,
    description: &str,
    created: &str,
) {
    let key = (project.to_owned(), name.to_owned());
    let path = image_path(&key);
    let labels = json!({ "public-image": "true" });
    let features = ["VIRTIO_SCSI_MULTIQUEUE", "SEV_CAPABLE", "SEV_SNP_CAPABLE", "UEFI_COMPATIBLE", "GVNIC"]
        .map(|f| json!({ "type": f }));
    let mut doc = json!({
        "kind": "compute#image",
        "id": new_id(),
        "creationTimestamp": created,
        "name": name,
        "description": description,
        "sourceType": "RAW",
        "rawDisk": { "source": "", "containerType": "TAR" },
        "status": "READY",
        "archiveSizeBytes": "2412345600",
        "diskSizeGb": size.to_string(),
        "licenses": [link(format!("projects/{project}/global/licenses/{}", if family.is_empty() { name } else { family }))],
        "licenseCodes": ["5511465778777431107"],
        "selfLink": link(path),
        "labelFingerprint": fingerprint(&labels),
        "labels": labels,
        "guestOsFeatures": features,
        "storageLocations": ["us"],
        "architecture": architecture,
        "enableConfidentialCompute": false,
    });
    if !family.is_empty() {
        doc["family"] = json!(family);
    }
    store.images.insert(key, Image { doc, layers: Vec::new(), fixture: true });
}

/// All zones.
pub(super) fn zones() -> impl Iterator<Item = String> {
    REGIONS.iter().flat_map(|region| {
        // us-east1 and europe-west1 really have no zone a.
        let letters = match *region {
            "us-central1" => "abcf",
            "us-east1" | "europe-west1" => "bcd",
            _ => "abc",
        };
        letters.chars().map(move |letter| format!("{region}-{letter}"))
    })
}

/// The region of a zone.
pub(super) fn region_of(zone: &str) -> &str {
    zone.rsplit_once('-').map_or(zone, |(region, _)| region)
}

/// `compute#zone`
pub(super) fn zone_doc(project: &str, zone: &str) -> Option<Value> {
    zones().any(|z| z == zone).then(|| {
        json!({
            "kind": "compute#zone",
            "id": stable_id(zone),
            "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
            "name": zone,
            "description": zone,
            "status": "UP",
            "region": link(format!("projects/{project}/regions/{}", region_of(zone))),
            "selfLink": link(format!("projects/{project}/zones/{zone}")),
            "availableCpuPlatforms": ["Intel Broadwell", "Intel Cascade Lake", "Intel Skylake", "AMD Milan"],
            "supportsPzs": false,
        })
    })
}

/// `compute#region`
pub(super) fn region_doc(project: &str, region: &str) -> Option<Value> {
    REGIONS.contains(&region).then(|| {
        let own: Vec<_> =
            zones().filter(|z| region_of(z) == region).map(|z| link(format!("projects/{project}/zones/{z}"))).collect();
        json!({
            "kind": "compute#region",
            "id": stable_id(region),
            "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
            "name": region,
            "description": region,
            "status": "UP",
            "zones": own,
            "quotas": [],
            "selfLink": link(format!("projects/{project}/regions/{region}")),
        })
    })
}

/// The names of all machine types.
pub(super) fn machine_types() -> impl Iterator<Item = &'static str> {
    MACHINE_TYPES.iter().map(|(name, ..)| *name)
}

/// `compute#machineType`
pub(super) fn machine_type_doc(project: &str, zone: &str, name: &str) -> Option<Value> {
    let (_, cpus, memory, architecture) = MACHINE_TYPES.iter().find(|(n, ..)| *n == name)?;
    Some(json!({
        "kind": "compute#machineType",
        "id": stable_id(name),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": name,
        "description": format!("{cpus} vCPUs, {memory} MB RAM"),
        "guestCpus": cpus,
        "memoryMb": memory,
        "imageSpaceGb": 0,
        "maximumPersistentDisks": 128,
        "maximumPersistentDisksSizeGb": "263168",
        "zone": zone,
        "isSharedCpu": name.ends_with("micro") || name.ends_with("small") || name.ends_with("medium"),
        "architecture": architecture,
        "selfLink": link(format!("projects/{project}/zones/{zone}/machineTypes/{name}")),
    }))
}

/// The names of all disk types.
pub(super) fn disk_types() -> impl Iterator<Item = &'static str> {
    DISK_TYPES.iter().map(|(name, _)| *name)
}

/// `compute#diskType`
pub(super) fn disk_type_doc(project: &str, zone: &str, name: &str) -> Option<Value> {
    let (_, size) = DISK_TYPES.iter().find(|(n, _)| *n == name)?;
    Some(json!({
        "kind": "compute#diskType",
        "id": stable_id(name),
        "creationTimestamp": "1969-12-31T16:00:00.000-08:00",
        "name": name,
        "description": name,
        "validDiskSize": "10GB-65536GB",
        "defaultDiskSizeGb": size.to_string(),
        "zone": link(format!("projects/{project}/zones/{zone}")),
        "selfLink": link(format!("projects/{project}/zones/{zone}/diskTypes/{name}")),
    }))
}

/// An id that a name always has.
pub(super) fn stable_id(name: &str) -> String {
    let sum =
        name.bytes().fold(1_469_598_103_934_665_603_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(1_099_511_628_211));
    (1000 + sum % 900_000).to_string()
}
