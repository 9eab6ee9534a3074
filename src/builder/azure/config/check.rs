//! What the types of the options cannot say. Every rule is checked, and every breach is told, with its place.

use super::{Access, Arm, GalleryDestination, GallerySource};
use crate::cloud::Endpoints;
use crate::names;
use image_action_engine::config::{Block, UNKNOWN_TEXT};
use image_action_engine::{Env, PrepareContext};
use image_action_lang::{Diagnostic, Diagnostics};
use std::collections::BTreeSet;

/// Most tags of a resource.
const TAGS: usize = 50;
/// Longest name and value of a tag, in characters.
const TAG_LENGTHS: (usize, usize) = (512, 256);
/// Longest name of a managed image.
const IMAGE_NAME: usize = 80;
/// Longest name of a snapshot, and of the prefix of several.
const SNAPSHOT_NAMES: (usize, usize) = (79, 59);
/// How many copies of a version a region holds.
const REPLICAS: std::ops::RangeInclusive<i64> = 1..=100;

/// Collects what is wrong with one body.
struct Checker<'a> {
    body: &'a Block,
    found: Diagnostics,
}

/// Whether a text is not known yet: then nothing can be said of it.
fn unknown(text: &str) -> bool {
    text.contains(UNKNOWN_TEXT)
}

impl Checker<'_> {
    fn wrong(&mut self, argument: &str, detail: impl Into<String>, hint: &str) {
        let d = Diagnostic::error(format!("Invalid {argument}")).detail(detail).at(self.body.span_of(argument));
        self.found.push(if hint.is_empty() { d } else { d.hint(hint) });
    }
    /// An error where a set text is none of the allowed ones, in any case or exactly.
    fn one_of(&mut self, argument: &str, value: &str, allowed: &[&str], any_case: bool) {
        let same = |a: &&str| if any_case { a.eq_ignore_ascii_case(value) } else { *a == value };
        if !value.is_empty() && !unknown(value) && !allowed.iter().any(same) {
            let hint = format!("use one of {}", allowed.join(", "));
            self.wrong(argument, format!("\"{value}\" is not allowed here."), &hint);
        }
    }
    /// Whether an option says something: an empty text and `false` are as good as nothing.
    fn is_set(&self, argument: &str) -> bool {
        match self.body.value(argument) {
            Some(value) => value.as_str() != Some("") && value.as_bool() != Some(false),
            None => self.body.is_set(argument),
        }
    }
    fn exclusive(&mut self, first: &str, second: &str) {
        if self.is_set(first) && self.is_set(second) {
            self.wrong(second, format!("`{first}` and `{second}` exclude each other."), "set one of them");
        }
    }
    /// An error where `with` is set and `without` is not.
    fn together(&mut self, with: &str, without: &str) {
        if self.is_set(with) && !self.is_set(without) {
            self.wrong(with, format!("`{with}` needs `{without}`."), &format!("set `{without}` as well"));
        }
    }
    fn name(&mut self, argument: &str, value: &str, good: bool, rule: &str) {
        if !value.is_empty() && !unknown(value) && !good {
            self.wrong(argument, format!("\"{value}\" is not a name that Azure takes here."), rule);
        }
    }
}

/// Everything that is wrong with the options.
pub fn check(config: &Arm, body: &Block, cx: &PrepareContext) -> Diagnostics {
    let mut c = Checker { body, found: Diagnostics::new() };
    access(&mut c, &config.access, &cx.env);
    meaningless(&mut c, config);
    source(&mut c, config);
    place(&mut c, config);
    machine(&mut c, config);
    security(&mut c, config);
    network(&mut c, config);
    destination(&mut c, config);
    if let Some(gallery) = config.destination() {
        let inner = body.blocks_named("shared_image_gallery_destination").first();
        let mut inside = Checker { body: inner.unwrap_or(body), found: Diagnostics::new() };
        gallery_destination(&mut inside, config, gallery);
        c.found.extend(inside.found);
    }
    tags(&mut c, config);
    files(&mut c, config, cx);
    c.found
}

fn access(c: &mut Checker, access: &Access, env: &Env) {
    if !unknown(&access.cloud_environment_name) && Endpoints::named(&access.cloud_environment_name).is_none() {
        let detail = format!("No cloud is named \"{}\".", access.cloud_environment_name);
        c.wrong("cloud_environment_name", detail, "use Public, USGovernment or China, or metadata_host");
    }
    if let Some(host) = Some(access.metadata_host.as_str()).filter(|h| !h.is_empty() && !unknown(h))
        && !(host.starts_with("https://") || host.starts_with("http://"))
    {
        c.wrong("metadata_host", format!("\"{host}\" is no URL."), &format!("write https://{host}"));
    }
    if access.use_azure_cli_auth {
        return;
    }
    let identity = [
        ("client_secret", !access.client_secret.is_empty()),
        ("client_jwt", !access.client_jwt.is_empty()),
        ("client_cert_path", !access.client_cert_path.is_empty()),
    ];
    let given: Vec<&str> = identity.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    let workflow = !access.oidc_request_url.is_empty() || !access.oidc_request_token.is_empty();
    let managed = given.is_empty() && !workflow && access.tenant_id.is_empty();
    // The local cloud and the environment of a workflow may say who we are; whoever sets nothing else is asked at run time.
    if managed || env.get(crate::account::LOCAL_TOKEN).is_some() {
        return;
    }
    // Whoever vouches for this run needs no more than an application and its tenant, from here or from the environment.
    if given.is_empty() && !workflow && env.identity().is_some() {
        return;
    }
    let sets = "give use_azure_cli_auth = true, or subscription_id and client_id with one of client_secret, client_jwt, or oidc_request_url and oidc_request_token; give none of them to use the identity of the machine that we run on";
    for (name, value) in [("subscription_id", &access.subscription_id), ("client_id", &access.client_id)] {
        if value.is_empty() {
            c.wrong(name, format!("`{name}` is not set, and the way to log in needs it."), sets);
        }
    }
    if given.len() > 1 {
        c.wrong(given[1], format!("`{}` and `{}` exclude each other.", given[0], given[1]), sets);
    }
    if given.is_empty() && !workflow {
        c.wrong("tenant_id", "A tenant is given, and nothing to log in with.", sets);
    }
    if given.is_empty() && workflow {
        c.together("oidc_request_url", "oidc_request_token");
        c.together("oidc_request_token", "oidc_request_url");
    }
}

/// Options of the common groups that say nothing to Azure.
fn meaningless(c: &mut Checker, config: &Arm) {
    let kind = config.communicator.temporary_key_pair_type.as_str();
    if !matches!(kind, "" | "rsa" | "ed25519") && !unknown(kind) {
        c.wrong("temporary_key_pair_type", format!("Azure takes no {kind} keys."), "use rsa or ed25519");
    }
}

fn source(c: &mut Checker, config: &Arm) {
    let custom =
        !config.custom_managed_image_name.is_empty() || !config.custom_managed_image_resource_group_name.is_empty();
    let kinds = [
        ("image_publisher", config.is_platform()),
        ("image_url", !config.image_url.is_empty()),
        ("custom_managed_image_name", custom),
        ("shared_image_gallery", config.shared_image_gallery.is_some()),
    ];
    let set: Vec<&str> = kinds.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    let all =
        "image_publisher with image_offer and image_sku, custom_managed_image_name, shared_image_gallery, or image_url";
    match set.as_slice() {
        [] => {
            c.wrong("image_publisher", "The image that the machine is made from is not given.", &format!("set {all}"))
        }
        [_] => {}
        [first, second, ..] => {
            c.wrong(second, format!("`{first}` and `{second}` both name a source."), &format!("set one of {all}"));
        }
    }
    if config.is_platform() {
        let fields = [
            ("image_publisher", &config.image_publisher),
            ("image_offer", &config.image_offer),
            ("image_sku", &config.image_sku),
        ];
        for (name, value) in fields {
            if value.is_empty() {
                c.wrong(
                    name,
                    format!("`{name}` is not set."),
                    "a marketplace image has a publisher, an offer and an SKU",
                );
            }
        }
    }
    if custom {
        c.together("custom_managed_image_name", "custom_managed_image_resource_group_name");
        c.together("custom_managed_image_resource_group_name", "custom_managed_image_name");
        if !config.makes_image() && !config.skip_create_image {
            c.wrong(
                "custom_managed_image_name",
                "A machine made from a managed image cannot go straight into a gallery.",
                "set managed_image_name and managed_image_resource_group_name",
            );
        }
    }
    if let Some(gallery) = &config.shared_image_gallery {
        let inner = c.body.blocks_named("shared_image_gallery").first();
        let mut inside = Checker { body: inner.unwrap_or(c.body), found: Diagnostics::new() };
        gallery_source(&mut inside, gallery);
        c.found.extend(inside.found);
    }
    if let Some(plan) = &config.plan_info {
        let missing = plan.plan_name.is_empty() || plan.plan_product.is_empty() || plan.plan_publisher.is_empty();
        if missing {
            c.wrong(
                "plan_info",
                "A plan has a name, a product and a publisher.",
                "set plan_name, plan_product and plan_publisher",
            );
        }
    }
}

fn gallery_source(c: &mut Checker, gallery: &GallerySource) {
    let ways = [
        ("id", !gallery.id.is_empty()),
        ("gallery_name", !gallery.gallery_name.is_empty()),
        ("community_gallery_image_id", !gallery.community_gallery_image_id.is_empty()),
        ("direct_shared_gallery_image_id", !gallery.direct_shared_gallery_image_id.is_empty()),
    ];
    let set: Vec<&str> = ways.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    match set.as_slice() {
        [] => c.wrong(
            "id",
            "The image of a gallery is not named.",
            "set id, or gallery_name with subscription, resource_group and image_name",
        ),
        [_] => {}
        [first, second, ..] => {
            c.wrong(second, format!("`{first}` and `{second}` exclude each other."), "set one of them")
        }
    }
    if !gallery.gallery_name.is_empty() {
        for name in ["subscription", "resource_group", "image_name"] {
            c.together("gallery_name", name);
        }
    }
    if !gallery.id.is_empty() && !unknown(&gallery.id) {
        let segments: Vec<&str> = gallery.id.split('/').collect();
        let good =
            segments.len() == 13 && segments[7] == "galleries" && segments[9] == "images" && segments[11] == "versions";
        if !good {
            c.wrong(
                "id",
                format!("\"{}\" is not the id of a version.", gallery.id),
                "it has the form /subscriptions/S/resourceGroups/G/providers/Microsoft.Compute/galleries/A/images/I/versions/V",
            );
        }
    }
}

fn place(c: &mut Checker, config: &Arm) {
    match (c.is_set("location"), c.is_set("build_resource_group_name")) {
        (true, true) => c.wrong(
            "build_resource_group_name",
            "`location` and `build_resource_group_name` exclude each other.",
            "an existing resource group has its own location: leave out `location`",
        ),
        (false, false) => c.wrong(
            "location",
            "Where to build is not given.",
            "set `location` for a temporary resource group, or `build_resource_group_name` for an existing one",
        ),
        _ => {}
    }
    c.exclusive("build_resource_group_name", "temp_resource_group_name");
    let rule = "up to 90 letters, digits, - _ . ( ), with no dot or hyphen at the end";
    for (argument, value) in [
        ("build_resource_group_name", &config.build_resource_group_name),
        ("temp_resource_group_name", &config.temp_resource_group_name),
        ("managed_image_resource_group_name", &config.managed_image_resource_group_name),
    ] {
        c.name(argument, value, names::is_group(value), rule);
    }
    let prefix = &config.custom_resource_build_prefix;
    c.name(
        "custom_resource_build_prefix",
        prefix,
        prefix.len() <= names::PREFIX
            && prefix.chars().all(|s| s.is_ascii_alphanumeric() || s == '-')
            && !prefix.starts_with('-'),
        "up to 10 letters, digits and hyphens, with no hyphen at the beginning",
    );
    if config.has_public_address() && config.temp_compute_name.chars().any(|s| s.is_ascii_uppercase()) {
        c.wrong(
            "temp_compute_name",
            "The name of a machine with a public address is a part of its DNS name, which has no capitals.",
            "write it in lower case",
        );
    }
}

fn machine(c: &mut Checker, config: &Arm) {
    if config.os_type.is_empty() {
        c.wrong("os_type", "`os_type` is not set.", "set it to Linux");
    }
    c.one_of("os_type", &config.os_type, &["Linux", "Windows"], true);
    let caching = ["None", "ReadOnly", "ReadWrite"];
    c.one_of("disk_caching_type", &config.disk_caching_type, &caching, false);
    c.one_of("disk_controller_type", &config.disk_controller_type, &["SCSI", "NVMe"], true);
    let accounts = ["Standard_LRS", "StandardSSD_LRS", "Premium_LRS"];
    c.one_of("managed_image_storage_account_type", &config.managed_image_storage_account_type, &accounts, false);
    let licences = if config.is_windows() { ["Windows_Client", "Windows_Server"] } else { ["RHEL_BYOS", "SLES_BYOS"] };
    c.one_of("license_type", &config.license_type, &licences, true);
    if config.skip_create_build_key_vault
        && !matches!(config.communicator.communicator.as_str(), "winrm" | UNKNOWN_TEXT)
    {
        c.wrong(
            "skip_create_build_key_vault",
            "A key vault is made for WinRM only, which this source does not use.",
            "leave it out, or set `communicator = \"winrm\"`",
        );
    }
    let luns = &config.disk_additional_luns;
    if !luns.is_empty() {
        let different: BTreeSet<i64> = luns.iter().copied().collect();
        if luns.len() != config.disk_additional_size.len()
            || different.len() != luns.len()
            || luns.iter().any(|l| *l < 0)
        {
            c.wrong(
                "disk_additional_luns",
                "Every disk of `disk_additional_size` has a LUN of its own, from 0 on.",
                "give as many different numbers as there are sizes",
            );
        }
    }
    if config.disk_additional_size.iter().any(|s| *s < 1) {
        c.wrong("disk_additional_size", "A disk has at least 1 GB.", "");
    }
    if let Some(spot) = &config.spot {
        c.one_of("spot", &spot.eviction_policy, &["Delete", "Deallocate"], false);
        if spot.eviction_policy.is_empty() {
            c.wrong("spot", "A spot machine needs `eviction_policy`.", "set it to Delete or Deallocate");
        }
    }
    for id in &config.user_assigned_managed_identities {
        let lower = id.to_lowercase();
        let form = lower.starts_with("/subscriptions/")
            && lower.contains("/microsoft.managedidentity/userassignedidentities/");
        if !unknown(id) && !form {
            c.wrong(
                "user_assigned_managed_identities",
                format!("\"{id}\" is not the id of an identity."),
                "it has the form /subscriptions/S/resourceGroups/G/providers/Microsoft.ManagedIdentity/userAssignedIdentities/N",
            );
        }
    }
    c.exclusive("custom_data", "custom_data_file");
    c.exclusive("user_data", "user_data_file");
}

fn security(c: &mut Checker, config: &Arm) {
    c.one_of("security_type", &config.security_type, &["TrustedLaunch", "ConfidentialVM"], false);
    let kinds = ["VMGuestStateOnly", "DiskWithVMGuestState"];
    c.one_of("security_encryption_type", &config.security_encryption_type, &kinds, false);
    let confidential = config.security_type == "ConfidentialVM";
    if !config.security_encryption_type.is_empty() && !confidential {
        let hint = "set security_type = \"ConfidentialVM\"";
        c.wrong("security_encryption_type", "Only confidential machines have it.", hint);
    }
    let forbidden = [
        ("security_type", confidential),
        ("disk_encryption_set_id", !config.disk_encryption_set_id.is_empty()),
        ("secure_boot_enabled", config.secure_boot_enabled),
        ("vtpm_enabled", config.vtpm_enabled),
    ];
    for (name, set) in forbidden {
        if set && config.makes_image() {
            let hint = "publish to a gallery (shared_image_gallery_destination) in place of managed_image_name";
            c.wrong(name, format!("`{name}` cannot go into a managed image."), hint);
        }
    }
}

fn network(c: &mut Checker, config: &Arm) {
    for name in
        ["virtual_network_resource_group_name", "virtual_network_subnet_name", "private_virtual_network_with_public_ip"]
    {
        c.together(name, "virtual_network_name");
    }
    c.together("virtual_network_resource_group_name", "virtual_network_subnet_name");
    for name in ["allowed_inbound_ip_addresses", "public_ip_sku"] {
        let public = config.private_virtual_network_with_public_ip && name == "public_ip_sku";
        if c.is_set(name) && c.is_set("virtual_network_name") && !public {
            let hint = "its own security groups and addresses hold there";
            c.wrong(name, format!("`{name}` has no meaning in an existing network."), hint);
        }
    }
    c.one_of("public_ip_sku", &config.public_ip_sku, &["Basic", "Standard"], true);
    for address in &config.allowed_inbound_ip_addresses {
        let plain = address.split('/').next().unwrap_or_default();
        if !unknown(address) && plain.parse::<std::net::IpAddr>().is_err() {
            c.wrong(
                "allowed_inbound_ip_addresses",
                format!("\"{address}\" is neither an address nor a range."),
                "write 192.0.2.1 or 192.0.2.0/24",
            );
        }
    }
}

fn destination(c: &mut Checker, config: &Arm) {
    c.together("managed_image_name", "managed_image_resource_group_name");
    c.together("managed_image_resource_group_name", "managed_image_name");
    let sign = |s: char| s.is_alphanumeric() || "-_.".contains(s);
    let name = &config.managed_image_name;
    let good = name.chars().count() <= IMAGE_NAME
        && name.chars().all(sign)
        && name.starts_with(char::is_alphanumeric)
        && !name.ends_with(['-', '.']);
    c.name("managed_image_name", name, good, "up to 80 letters, digits, - _ . with no dot or hyphen at the end");
    let plain = |s: &str, most: usize| s.len() <= most && s.chars().all(|s| s.is_ascii_alphanumeric() || s == '_');
    let (whole, prefix) = SNAPSHOT_NAMES;
    let os = &config.managed_image_os_disk_snapshot_name;
    c.name("managed_image_os_disk_snapshot_name", os, plain(os, whole), "up to 79 letters, digits and underscores");
    let data = &config.managed_image_data_disk_snapshot_prefix;
    c.name(
        "managed_image_data_disk_snapshot_prefix",
        data,
        plain(data, prefix),
        "up to 59 letters, digits and underscores",
    );
    for name in ["managed_image_os_disk_snapshot_name", "managed_image_data_disk_snapshot_prefix"] {
        c.together(name, "managed_image_name");
    }
    if !config.makes_image() && config.destination().is_none() && !config.skip_create_image {
        c.wrong(
            "managed_image_name",
            "What the build makes is not given.",
            "set managed_image_name with managed_image_resource_group_name, shared_image_gallery_destination, or skip_create_image = true",
        );
    }
    let date = &config.shared_gallery_image_version_end_of_life_date;
    if !date.is_empty() && !unknown(date) && chrono::DateTime::parse_from_rfc3339(date).is_err() {
        c.wrong(
            "shared_gallery_image_version_end_of_life_date",
            format!("\"{date}\" is no date of RFC 3339."),
            "write 2030-01-31T00:00:00Z",
        );
    }
}

fn gallery_destination(c: &mut Checker, config: &Arm, gallery: &GalleryDestination) {
    for name in ["resource_group", "image_name", "image_version"] {
        c.together("gallery_name", name);
    }
    let version = &gallery.image_version;
    let good = version.split('.').count() == 3
        && version.split('.').all(|p| !p.is_empty() && p.parse::<i32>().is_ok_and(|n| n >= 0));
    c.name("image_version", version, good, "three numbers with dots, such as 1.4.0");
    let accounts = ["Standard_LRS", "Standard_ZRS", "Premium_LRS"];
    c.one_of("storage_account_type", &gallery.storage_account_type, &accounts, false);
    c.exclusive("replication_regions", "target_region");
    if gallery.specialized && config.makes_image() {
        c.wrong(
            "specialized",
            "A specialized version cannot come with a managed image.",
            "leave out managed_image_name",
        );
    }
    let count = config.shared_image_gallery_replica_count;
    if !gallery.target_region.is_empty() && count != 0 {
        c.wrong(
            "target_region",
            "`shared_image_gallery_replica_count` and `target_region` exclude each other.",
            "set `replicas` in each `target_region`",
        );
    }
    if gallery.use_shallow_replication {
        let regions = gallery.replication_regions.len().max(gallery.target_region.len());
        if regions > 1 || count > 1 {
            c.wrong(
                "use_shallow_replication",
                "A shallow version lies in one region, once.",
                "leave out the other regions",
            );
        }
    }
    for region in &gallery.target_region {
        if region.replicas != 0 && !REPLICAS.contains(&region.replicas) {
            c.wrong("target_region", format!("{} copies are not from 1 to 100.", region.replicas), "");
        }
    }
    confidential(c, config, gallery);
}

fn confidential(c: &mut Checker, config: &Arm, gallery: &GalleryDestination) {
    let kind = gallery.confidential_vm_image_encryption_type.as_str();
    let kinds = ["EncryptedWithCmk", "EncryptedVMGuestStateOnlyWithPmk", "EncryptedWithPmk"];
    c.one_of("confidential_vm_image_encryption_type", kind, &kinds, false);
    let pairs = match config.security_encryption_type.as_str() {
        "DiskWithVMGuestState" => ["EncryptedWithPmk", "EncryptedWithCmk"].as_slice(),
        _ => ["EncryptedVMGuestStateOnlyWithPmk"].as_slice(),
    };
    if !kind.is_empty() && !unknown(kind) && config.security_type == "ConfidentialVM" && !pairs.contains(&kind) {
        c.wrong(
            "confidential_vm_image_encryption_type",
            format!("{kind} does not go with the machine's security_encryption_type."),
            &format!("use {}", pairs.join(" or ")),
        );
    }
    let regions_without = gallery.target_region.iter().any(|r| r.disk_encryption_set_id.is_empty());
    if kind == "EncryptedWithCmk" && (config.disk_encryption_set_id.is_empty() || regions_without) {
        c.wrong(
            "confidential_vm_image_encryption_type",
            "With a key of one's own the machine and every target_region need a disk encryption set.",
            "set disk_encryption_set_id",
        );
    }
}

fn tags(c: &mut Checker, config: &Arm) {
    let tags = config.tags();
    if tags.len() > TAGS {
        c.wrong("azure_tags", format!("{} tags are more than {TAGS}.", tags.len()), "");
    }
    for (name, value) in &tags {
        if name.chars().count() > TAG_LENGTHS.0 || value.chars().count() > TAG_LENGTHS.1 {
            c.wrong(
                "azure_tags",
                format!("The tag \"{name}\" is too long."),
                "a name has up to 512 characters, a value up to 256",
            );
        }
    }
}

fn files(c: &mut Checker, config: &Arm, cx: &PrepareContext) {
    for (argument, path) in [("custom_data_file", &config.custom_data_file), ("user_data_file", &config.user_data_file)]
    {
        if !path.is_empty() && !unknown(path) && !cx.path(path).is_file() {
            c.wrong(argument, format!("There is no file {path}."), "paths start from the working directory");
        }
    }
}
