//! What the types of the options cannot say. Every rule is checked, and every breach is told, with its place.

use super::{DiskAttachment, Googlecompute};
use image_action_engine::config::{Block, UNKNOWN_TEXT};
use image_action_engine::{PrepareContext, Secret};
use image_action_lang::{Diagnostic, Diagnostics};
use image_action_remote::config::Username;
use std::net::Ipv4Addr;

/// The longest name of an image, a disk or an instance, in characters.
const NAME_LENGTH: usize = 63;

/// The longest key and value of a label, in characters.
const LABEL_LENGTH: usize = 63;

/// I/O operations a second that `pd-extreme` can have.
const EXTREME_IOPS: std::ops::RangeInclusive<i64> = 10_000..=120_000;

/// Types that `disk_attachment` knows.
const VOLUME_TYPES: [&str; 9] = [
    "scratch",
    "pd-standard",
    "pd-balanced",
    "pd-ssd",
    "pd-extreme",
    "hyperdisk-balanced",
    "hyperdisk-extreme",
    "hyperdisk-ml",
    "hyperdisk-throughput",
];

/// Keys of `custom_endpoints`.
const ENDPOINTS: [&str; 4] = ["compute", "oslogin", "oauth2", "storage"];

/// Collects breaches; the place is that of an option of the body.
struct Checks<'a> {
    body: &'a Block,
    cx: &'a PrepareContext,
    all: Diagnostics,
}

impl Checks<'_> {
    fn push(&mut self, option: &str, summary: impl Into<String>, hint: impl Into<String>) {
        let span = self.body.span_of(option);
        self.all.push(Diagnostic::error(summary).at(span).hint(hint));
    }
    fn warn(&self, option: &str, summary: impl Into<String>, hint: impl Into<String>) {
        self.cx.warn(self.body.span_of(option), summary, hint);
    }
}

/// Whether a text of the template is not known yet.
fn unknown(text: &str) -> bool {
    text.contains(UNKNOWN_TEXT)
}

/// Everything that is wrong with a source, with places in its body.
pub fn check(cx: &PrepareContext, body: &Block, config: &Googlecompute) -> Diagnostics {
    let mut checks = Checks { body, cx, all: Diagnostics::new() };
    required(&mut checks, config);
    names(&mut checks, config);
    authentication(&mut checks, config);
    network(&mut checks, config);
    scheduling(&mut checks, config);
    image(&mut checks, config);
    files(&mut checks, config);
    disks(&mut checks, config);
    let mut all = checks.all;
    all.extend(config.communicator.check(body, Username::Required, &cx.cwd, &cx.env));
    all
}

fn required(checks: &mut Checks<'_>, config: &Googlecompute) {
    if config.image.project_id.is_empty() {
        let hint = "set project_id; no variable of the environment stands in for it, but env(\"GOOGLE_CLOUD_PROJECT\") as the default of a template variable does";
        checks.push("project_id", "A project_id must be specified", hint);
    }
    if config.instance.zone.is_empty() {
        checks.push("zone", "A zone must be specified", "set zone (\"us-central1-a\")");
    }
    if config.image.source_image.is_empty() && config.image.source_image_family.is_empty() {
        let hint = "set source_image_family (\"debian-12\", \"ubuntu-2204-lts\") or source_image";
        checks.push("source_image", "A source_image or source_image_family must be specified", hint);
    }
}

/// Lowercase letters, digits and dashes, beginning with a letter, not ending with a dash.
pub(crate) fn is_name(text: &str) -> bool {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_lowercase());
    let all = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    first && all && !text.ends_with('-') && text.len() <= NAME_LENGTH
}

const NAME_HINT: &str = "use lowercase letters, digits and dashes, begin with a letter, end with none but a letter or digit, 63 characters at most; replace(…, \".\", \"-\") helps with versions";

fn names(checks: &mut Checks<'_>, config: &Googlecompute) {
    let named = [
        ("image_name", config.image.image_name.as_str()),
        ("image_family", config.image.image_family.as_str()),
        ("instance_name", config.instance.instance_name.as_str()),
        ("disk_name", config.instance.disk_name.as_str()),
    ];
    for (option, name) in named {
        if !name.is_empty() && !unknown(name) && !is_name(name) {
            checks.push(option, format!("{option} \"{name}\" is no name that Compute Engine takes"), NAME_HINT);
        }
    }
    for (option, labels) in [("image_labels", &config.image.image_labels), ("labels", &config.instance.labels)] {
        for (key, value) in labels {
            if !unknown(key) && !is_label(key, true) {
                let hint = "a key begins with a lowercase letter and holds lowercase letters, digits, dashes and underscores, 63 at most";
                checks.push(
                    option,
                    format!("{option} has the key \"{key}\", which Compute Engine does not take"),
                    hint,
                );
            }
            if !unknown(value) && !is_label(value, false) {
                let hint = "a value holds lowercase letters, digits, dashes and underscores, 63 at most";
                checks.push(
                    option,
                    format!("{option} has the value \"{value}\" of \"{key}\", which Compute Engine does not take"),
                    hint,
                );
            }
        }
    }
}

fn is_label(text: &str, key: bool) -> bool {
    let fine = text.chars().all(|c| c.is_lowercase() || c.is_ascii_digit() || c == '-' || c == '_');
    let first = !key || text.chars().next().is_some_and(char::is_lowercase);
    fine && first && text.chars().count() <= LABEL_LENGTH
}

fn authentication(checks: &mut Checks<'_>, config: &Googlecompute) {
    let a = &config.authentication;
    let secret = |s: &Secret| !s.is_empty();
    let given: Vec<&str> = [
        ("access_token", secret(&a.access_token)),
        ("account_file", secret(&a.account_file)),
        ("credentials_file", !a.credentials_file.is_empty()),
        ("credentials_json", secret(&a.credentials_json)),
        ("impersonate_service_account", !a.impersonate_service_account.is_empty()),
        ("vault_gcp_oauth_engine", !a.vault_gcp_oauth_engine.is_empty()),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.then_some(name))
    .collect();
    if let [first, _, ..] = given.as_slice() {
        let what =
            format!("Only one way to authenticate can be used, and there are {}: {}", given.len(), given.join(", "));
        checks.push(first, what, "keep one of them");
    } else if let Err(e) = crate::credentials::look(a, checks.cx) {
        let option = given.first().copied().unwrap_or("credentials_file");
        checks.push(option, e.summary, e.hint.unwrap_or_default());
    }
    for key in config.access.custom_endpoints.keys() {
        if !ENDPOINTS.contains(&key.as_str()) {
            checks.push(
                "custom_endpoints",
                format!("custom_endpoints has the unknown key \"{key}\""),
                "keys are compute, oslogin, oauth2 and storage",
            );
        }
    }
}

fn network(checks: &mut Checks<'_>, config: &Googlecompute) {
    let i = &config.instance;
    if i.omit_external_ip && !i.address.is_empty() {
        checks.push("address", "address and omit_external_ip exclude each other", "remove one of them");
    }
    if i.omit_external_ip && !i.use_internal_ip {
        checks.push(
            "omit_external_ip",
            "omit_external_ip needs use_internal_ip",
            "set use_internal_ip = true, and run the build where it reaches the internal network",
        );
    }
    if !i.network_ip.is_empty() && !unknown(&i.network_ip) && i.network_ip.parse::<Ipv4Addr>().is_err() {
        checks.push(
            "network_ip",
            format!("network_ip \"{}\" is no IPv4 address", i.network_ip),
            "write it as 10.0.0.2",
        );
    }
    if i.disable_default_service_account && !i.service_account_email.is_empty() {
        checks.push(
            "service_account_email",
            "service_account_email and disable_default_service_account exclude each other",
            "remove one of them",
        );
    }
}

fn scheduling(checks: &mut Checks<'_>, config: &Googlecompute) {
    let i = &config.instance;
    match i.on_host_maintenance.as_str() {
        "" | "TERMINATE" => {}
        "MIGRATE" if !i.preemptible => {}
        "MIGRATE" => checks.push(
            "on_host_maintenance",
            "on_host_maintenance must be TERMINATE when preemptible is true",
            "remove on_host_maintenance",
        ),
        other if unknown(other) => {}
        other => checks.push(
            "on_host_maintenance",
            format!("on_host_maintenance \"{other}\" is not known"),
            "use MIGRATE or TERMINATE",
        ),
    }
    if i.accelerator_count < 0 {
        checks.push("accelerator_count", "accelerator_count is negative", "use 1 or more");
    }
    if i.accelerator_count > 0 {
        if i.accelerator_type.is_empty() {
            checks.push(
                "accelerator_count",
                "accelerator_count needs accelerator_type",
                "set accelerator_type to its URL",
            );
        }
        if i.on_host_maintenance != "TERMINATE" && !unknown(&i.on_host_maintenance) {
            checks.push(
                "accelerator_count",
                "instances with accelerators cannot be migrated",
                "set on_host_maintenance = \"TERMINATE\"",
            );
        }
    }
    if i.max_run_duration_in_seconds < 0 {
        checks.push(
            "max_run_duration_in_seconds",
            "max_run_duration_in_seconds is negative",
            "use seconds, or 0 for no bound",
        );
    }
    let action = i.instance_termination_action.to_ascii_uppercase();
    if !matches!(action.as_str(), "" | "STOP" | "DELETE") && !unknown(&i.instance_termination_action) {
        checks.push(
            "instance_termination_action",
            format!("instance_termination_action \"{}\" is not known", i.instance_termination_action),
            "use STOP or DELETE",
        );
    }
    if i.max_run_duration_in_seconds > 0 && action.is_empty() {
        checks.warn(
            "max_run_duration_in_seconds",
            "max_run_duration_in_seconds without instance_termination_action stops the instance",
            "set instance_termination_action to STOP or DELETE",
        );
    }
    if i.enable_integrity_monitoring && !i.enable_vtpm {
        checks.push(
            "enable_integrity_monitoring",
            "enable_integrity_monitoring needs enable_vtpm",
            "set enable_vtpm = true",
        );
    }
    if i.disk_size < 0 {
        checks.push("disk_size", "disk_size is negative", "use a size in GB");
    }
    if checks.body.is_set("machine_type") && i.machine_type.is_empty() {
        checks.push("machine_type", "machine_type is empty", "set it (\"e2-medium\"), or leave it out");
    }
}

fn image(checks: &mut Checks<'_>, config: &Googlecompute) {
    let i = &config.image;
    if i.image_storage_locations.len() > 1 {
        checks.push(
            "image_storage_locations",
            "image_storage_locations holds more than one location",
            "Compute Engine takes one region or multi-region",
        );
    }
    if !matches!(i.image_architecture.to_ascii_uppercase().as_str(), "" | "X86_64" | "ARM64")
        && !unknown(&i.image_architecture)
    {
        checks.push(
            "image_architecture",
            format!("image_architecture \"{}\" is not known", i.image_architecture),
            "use X86_64 or ARM64",
        );
    }
    for (option, date) in
        [("deprecate_at", &i.deprecate_at), ("obsolete_at", &i.obsolete_at), ("delete_at", &i.delete_at)]
    {
        if date.is_empty() || unknown(date) {
            continue;
        }
        match chrono::DateTime::parse_from_rfc3339(date) {
            Err(_) => checks.push(
                option,
                format!("{option} \"{date}\" is no date"),
                "write it as 2030-01-31T00:00:00Z (RFC 3339)",
            ),
            Ok(at) if std::time::SystemTime::from(at) < checks.cx.started => {
                checks.push(option, format!("{option} \"{date}\" is in the past"), "use a date that is still to come");
            }
            Ok(_) => {}
        }
    }
    let tables = [
        ("image_signatures_db", i.image_signatures_db.as_slice()),
        ("image_platform_key", std::slice::from_ref(&i.image_platform_key)),
        ("image_key_exchange_key", i.image_key_exchange_key.as_slice()),
        ("image_forbidden_signatures_db", i.image_forbidden_signatures_db.as_slice()),
    ];
    for (option, paths) in tables {
        for path in paths.iter().filter(|p| !p.is_empty()) {
            readable(checks, option, path);
        }
    }
}

fn readable(checks: &mut Checks<'_>, option: &str, path: &str) {
    if unknown(path) {
        return;
    }
    let full = checks.cx.path(path);
    if let Err(e) = std::fs::File::open(&full) {
        checks.push(
            option,
            format!("{option}: {} cannot be read: {e}", full.display()),
            "name a file that exists; relative paths start at the working directory",
        );
    }
}

fn files(checks: &mut Checks<'_>, config: &Googlecompute) {
    let i = &config.instance;
    if !i.startup_script_file.is_empty() {
        readable(checks, "startup_script_file", &i.startup_script_file);
    }
    for path in i.metadata_files.values() {
        readable(checks, "metadata_files", path);
    }
    if let Some(text) = i.metadata.get("enable-oslogin")
        && config.login.use_os_login.is_none()
        && !unknown(text)
        && crate::metadata::go_bool(text).is_none()
    {
        checks.push(
            "metadata",
            format!("metadata has enable-oslogin = \"{text}\", which is neither true nor false"),
            "use TRUE or FALSE",
        );
    }
}

fn disks(checks: &mut Checks<'_>, config: &Googlecompute) {
    let disks = &config.instance.disk_attachment;
    for (n, disk) in disks.iter().enumerate() {
        let span = checks.body.blocks_named("disk_attachment").get(n).and_then(|b| b.span.clone());
        for (summary, hint) in disk_breaches(disk) {
            checks.all.push(Diagnostic::error(format!("disk_attachment: {summary}")).at(span.clone()).hint(hint));
        }
    }
    if disks.iter().filter(|d| d.create_image).count() > 1 {
        checks.push(
            "disk_attachment",
            "more than one disk_attachment has create_image",
            "an image is made of one disk: keep it on one",
        );
    }
}

/// What is wrong with one disk: what, and the cure.
fn disk_breaches(disk: &DiskAttachment) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    let mut wrong = |summary: String, hint: &'static str| found.push((summary, hint));
    let scratch = disk.volume_type == "scratch";
    if !disk.source_volume.is_empty() {
        let own = !disk.disk_name.is_empty()
            || !disk.volume_type.is_empty()
            || disk.volume_size != 0
            || disk.iops != 0
            || disk.keep_device;
        if own {
            wrong(
                "source_volume excludes disk_name, volume_type, volume_size, iops and keep_device".into(),
                "the disk exists already, and stays: remove the others",
            );
        }
        if !disk.source_image.is_empty() {
            wrong("source_volume excludes source_image".into(), "keep one of them");
        }
        if disk.create_image {
            // Packer would make the image of the boot disk without a word.
            wrong(
                "source_volume excludes create_image".into(),
                "make the image of a disk that the build makes, with source_image",
            );
        }
    } else {
        if disk.volume_type.is_empty() {
            wrong("volume_type must be specified".into(), "set it (\"pd-balanced\")");
        } else if !unknown(&disk.volume_type) && !VOLUME_TYPES.contains(&disk.volume_type.as_str()) {
            wrong(
                format!("volume_type \"{}\" is not known", disk.volume_type),
                "use scratch, pd-standard, pd-balanced, pd-ssd, pd-extreme or a hyperdisk type",
            );
        }
        if disk.volume_size == 0 && disk.source_image.is_empty() {
            wrong("volume_size must be specified".into(), "set it, in GB");
        }
    }
    if scratch && (!disk.disk_name.is_empty() || !disk.device_name.is_empty() || disk.keep_device || disk.create_image)
    {
        wrong(
            "a scratch disk has no disk_name, device_name, keep_device or create_image".into(),
            "it lives as long as the instance: remove them",
        );
    }
    if !disk.disk_name.is_empty() && !unknown(&disk.disk_name) && !is_name(&disk.disk_name) {
        wrong(format!("disk_name \"{}\" is no name that Compute Engine takes", disk.disk_name), NAME_HINT);
    }
    if !["READ_ONLY", "READ_WRITE"].contains(&disk.attachment_mode.as_str()) && !unknown(&disk.attachment_mode) {
        wrong(format!("attachment_mode \"{}\" is not known", disk.attachment_mode), "use READ_ONLY or READ_WRITE");
    }
    if !["SCSI", "NVME"].contains(&disk.interface_type.as_str()) && !unknown(&disk.interface_type) {
        wrong(format!("interface_type \"{}\" is not known", disk.interface_type), "use SCSI or NVME");
    }
    if disk.iops != 0 && (disk.volume_type != "pd-extreme" || !EXTREME_IOPS.contains(&disk.iops)) {
        wrong("iops is for pd-extreme, from 10000 to 120000".into(), "remove it, or change volume_type");
    }
    found
}
