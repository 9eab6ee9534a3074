//! What the types of the options cannot say. Every rule is checked, and every breach is told, with its place.

use super::{Access, Ami, BlockDevice, Ebs, Run};
use image_action_engine::PrepareContext;
use image_action_engine::config::{Block, UNKNOWN_TEXT};
use image_action_lang::{Diagnostic, Diagnostics};
use image_action_remote::CommunicatorConfig;
use std::collections::BTreeSet;

/// Shortest and longest name of an image, in bytes.
const AMI_NAME_LENGTH: std::ops::RangeInclusive<usize> = 3..=128;

/// What a name of an image consists of beside ASCII letters and digits.
const AMI_NAME_SIGNS: &str = "()[] ./-'@_";

/// Collects what is wrong with one body.
struct Checker<'a> {
    body: &'a Block,
    found: Diagnostics,
}

impl<'a> Checker<'a> {
    fn new(body: &'a Block) -> Self {
        Checker { body, found: Diagnostics::new() }
    }
    /// An error at an argument.
    fn wrong(&mut self, argument: &str, detail: impl Into<String>, hint: &str) {
        let d = Diagnostic::error(format!("Invalid {argument}")).detail(detail).at(self.body.span_of(argument));
        self.found.push(if hint.is_empty() { d } else { d.hint(hint) });
    }
    /// An error where two options exclude each other and both are set.
    fn exclusive(&mut self, first: &str, second: &str, both: bool) {
        if both {
            self.wrong(second, format!("`{first}` and `{second}` exclude each other."), "set one of them");
        }
    }
    /// An error where a set text is none of the allowed ones.
    fn one_of(&mut self, argument: &str, value: &str, allowed: &[&str]) {
        if !value.is_empty() && value != UNKNOWN_TEXT && !allowed.contains(&value) {
            self.wrong(
                argument,
                format!("\"{value}\" is not allowed here."),
                &format!("use one of {}", allowed.join(", ")),
            );
        }
    }
}

/// Rules of the access options, of builders and data sources.
pub fn check_access(access: &Access, body: &Block) -> Diagnostics {
    let mut c = Checker::new(body);
    if access.access_key.is_empty() != access.secret_key.is_empty() {
        let (missing, set) =
            if access.access_key.is_empty() { ("access_key", "secret_key") } else { ("secret_key", "access_key") };
        c.wrong(
            set,
            format!("`{set}` is set and `{missing}` is not: one is of no use without the other."),
            &format!("set `{missing}`, or leave out both and use the environment"),
        );
    }
    c.exclusive("access_key", "vault_aws_engine", !access.access_key.is_empty() && access.vault_aws_engine.is_some());
    if let Some(polling) = &access.aws_polling
        && (polling.max_attempts < 0 || polling.delay_seconds < 0)
    {
        c.wrong("aws_polling", "`max_attempts` and `delay_seconds` cannot be negative.", "");
    }
    if access.max_retries < 0 {
        c.wrong("max_retries", "A number of attempts cannot be negative.", "");
    }
    c.found
}

/// Rules of the builder's options.
pub fn check_ebs(ebs: &Ebs, body: &Block, cx: &PrepareContext) -> Diagnostics {
    let mut all = check_access(&ebs.access, body);
    let mut c = Checker::new(body);
    check_ami(&mut c, &ebs.ami, &ebs.access.region);
    check_sharing(&mut c, &ebs.ami);
    check_keys(&mut c, &ebs.ami);
    for (argument, devices) in [
        ("ami_block_device_mappings", &ebs.ami.ami_block_device_mappings),
        ("launch_block_device_mappings", &ebs.run.launch_block_device_mappings),
    ] {
        for (device, block) in devices.iter().zip(body.blocks_named(argument)) {
            let mut inner = Checker::new(block);
            check_device(&mut inner, device);
            c.found.extend(inner.found);
        }
    }
    check_source(&mut c, &ebs.run);
    check_network(&mut c, &ebs.run);
    check_instance(&mut c, &ebs.run, cx);
    check_spot(&mut c, ebs);
    check_placement(&mut c, &ebs.run);
    check_login(&mut c, &ebs.communicator);
    all.extend(c.found);
    all
}

fn check_ami(c: &mut Checker, ami: &Ami, region: &str) {
    let name = &ami.ami_name;
    if !name.contains(UNKNOWN_TEXT) {
        if !AMI_NAME_LENGTH.contains(&name.len()) {
            c.wrong("ami_name", format!("The name \"{name}\" has {} characters; AWS allows 3 to 128.", name.len()), "");
        }
        let bad: BTreeSet<char> =
            name.chars().filter(|ch| !ch.is_ascii_alphanumeric() && !AMI_NAME_SIGNS.contains(*ch)).collect();
        if !bad.is_empty() {
            let bad: String = bad.into_iter().collect();
            c.wrong(
                "ami_name",
                format!("AWS does not allow these characters in the name of an image: {bad}"),
                "letters, digits and ()[] ./-'@_ are allowed; `regex_replace` or `replace` can change the others",
            );
        }
    }
    let hvm = ami.ami_virtualization_type.is_empty() || ami.ami_virtualization_type == "hvm";
    if !hvm && ami.sriov_support {
        c.wrong("sriov_support", "Enhanced networking needs `ami_virtualization_type = \"hvm\"`.", "");
    }
    if !hvm && ami.ena_support == Some(true) {
        c.wrong("ena_support", "Enhanced networking needs `ami_virtualization_type = \"hvm\"`.", "");
    }
    c.one_of("imds_support", &ami.imds_support, &["v2.0"]);
    if !ami.deprecate_at.is_empty()
        && ami.deprecate_at != UNKNOWN_TEXT
        && chrono::DateTime::parse_from_rfc3339(&ami.deprecate_at).is_err()
    {
        c.wrong(
            "deprecate_at",
            format!("\"{}\" is not a time of RFC 3339.", ami.deprecate_at),
            "write it like 2030-01-31T12:00:00Z",
        );
    }
    if !region.is_empty() && ami.skip_save_build_region && !ami.ami_regions.iter().any(|r| r != region) {
        c.wrong(
            "skip_save_build_region",
            "No image would be kept: `ami_regions` names no other region.",
            "name another region in `ami_regions`, or leave out `skip_save_build_region`",
        );
    }
}

fn check_sharing(c: &mut Checker, ami: &Ami) {
    let encrypted = ami.encrypt_boot == Some(true);
    let shared = [
        ("ami_users", &ami.ami_users),
        ("ami_org_arns", &ami.ami_org_arns),
        ("ami_ou_arns", &ami.ami_ou_arns),
        ("snapshot_users", &ami.snapshot_users),
    ];
    for (argument, values) in shared {
        if values.is_empty() || !encrypted {
            continue;
        }
        if ami.kms_key_id.is_empty() && ami.region_kms_key_ids.is_empty() {
            c.wrong(argument, "An image that is encrypted with the default key of the account cannot be shared.", "set `kms_key_id` (and `region_kms_key_ids` for copies) to a key of your own whose policy admits the other accounts");
        }
        if ami.region_kms_key_ids.values().any(String::is_empty) {
            c.wrong(
                argument,
                "`region_kms_key_ids` names the default key of a region: what it encrypts cannot be shared.",
                "give every region a key of your own",
            );
        }
    }
}

fn check_keys(c: &mut Checker, ami: &Ami) {
    let encrypted = ami.encrypt_boot == Some(true);
    if !ami.kms_key_id.is_empty() {
        if !encrypted {
            c.wrong("kms_key_id", "A key is of no use without encryption.", "set `encrypt_boot = true`");
        }
        if !is_kms_key(&ami.kms_key_id) {
            c.wrong(
                "kms_key_id",
                format!("\"{}\" is not a KMS key.", ami.kms_key_id),
                "write its id, its ARN, or alias/NAME",
            );
        }
    }
    let keys = &ami.region_kms_key_ids;
    if keys.is_empty() {
        return;
    }
    if !encrypted && keys.values().any(|k| !k.is_empty()) {
        c.wrong("region_kms_key_ids", "Keys are of no use without encryption.", "set `encrypt_boot = true`");
    }
    for (region, key) in keys.iter().filter(|(_, k)| !k.is_empty()) {
        if !is_kms_key(key) {
            c.wrong(
                "region_kms_key_ids",
                format!("\"{key}\" of {region} is not a KMS key."),
                "write its id, its ARN, or alias/NAME",
            );
        }
    }
    for region in &ami.ami_regions {
        if !keys.contains_key(region) && region != UNKNOWN_TEXT {
            c.wrong(
                "region_kms_key_ids",
                format!("The region {region} of `ami_regions` has no key here."),
                "name each region of `ami_regions`; an empty key stands for the region's default key",
            );
        }
    }
    for region in keys.keys() {
        if !ami.ami_regions.contains(region) {
            c.wrong(
                "region_kms_key_ids",
                format!("The region {region} is not in `ami_regions`."),
                "name it in `ami_regions` as well, the region of the build too",
            );
        }
    }
}

/// Whether a text is the id, the alias or the ARN of a KMS key.
fn is_kms_key(text: &str) -> bool {
    if text == UNKNOWN_TEXT {
        return true;
    }
    let hex = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase())
            && s.len() > 1
            && s.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f' | '-'))
    };
    let id = |s: &str| hex(s.strip_prefix("mrk-").unwrap_or(s));
    let alias = |s: &str| {
        s.strip_prefix("alias/")
            .is_some_and(|n| !n.is_empty() && n.chars().all(|c| c.is_ascii_alphanumeric() || ":/_-".contains(c)))
    };
    if id(text) || alias(text) {
        return true;
    }
    let Some(rest) = text.strip_prefix("arn:") else { return false };
    let parts: Vec<_> = rest.splitn(5, ':').collect();
    let [partition, "kms", region, account, key] = parts[..] else { return false };
    matches!(partition, "aws" | "aws-cn" | "aws-us-gov")
        && (region.is_empty() || is_region(region))
        && account.len() == 12
        && account.chars().all(|c| c.is_ascii_digit())
        && (key.strip_prefix("key/").is_some_and(id) || alias(key))
}

/// Whether a text has the form of a region's name (`us-gov-west-1`).
fn is_region(text: &str) -> bool {
    let parts: Vec<_> = text.split('-').collect();
    let letters = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_lowercase());
    let digit = |s: &str| s.len() == 1 && s.chars().all(|c| c.is_ascii_digit());
    match parts[..] {
        [a, b, n] => a.len() == 2 && letters(a) && letters(b) && digit(n),
        [a, "gov", b, n] => a.len() == 2 && letters(a) && letters(b) && digit(n),
        _ => false,
    }
}

/// Operations a second and throughput that AWS gives each type of volume.
fn check_device(c: &mut Checker, device: &BlockDevice) {
    if device.encrypted == Some(false) && !device.kms_key_id.is_empty() {
        c.wrong(
            "kms_key_id",
            format!("The device {} names a key and is not to be encrypted.", device.device_name),
            "set `encrypted = true`, or leave out `kms_key_id`",
        );
    }
    if let Some(iops) = device.iops {
        let per_gib = match device.volume_type.as_str() {
            "io1" => Some(50),
            "io2" => Some(500),
            _ => None,
        };
        if let Some(ratio) = per_gib {
            if device.volume_size > 0 && iops / device.volume_size > ratio {
                c.wrong(
                    "iops",
                    format!(
                        "{iops} operations a second are too many for {} GiB of {}: at most {ratio} for each GiB.",
                        device.volume_size, device.volume_type
                    ),
                    "",
                );
            }
            if !(100..=64_000).contains(&iops) {
                c.wrong("iops", format!("{iops} operations a second are not possible: 100 to 64000."), "");
            }
        }
        if device.volume_type == "gp3" && !(3_000..=16_000).contains(&iops) {
            c.wrong("iops", format!("{iops} operations a second are not possible for gp3: 3000 to 16000."), "");
        }
    }
    if let Some(throughput) = device.throughput {
        if device.volume_type != "gp3" {
            c.wrong("throughput", "Only volumes of type gp3 have a throughput.", "set `volume_type = \"gp3\"`");
        }
        if !(125..=1_000).contains(&throughput) {
            c.wrong("throughput", format!("{throughput} MiB/s are not possible: 125 to 1000."), "");
        }
    }
}

fn check_source(c: &mut Checker, run: &Run) {
    let filter = run.source_ami_filter.as_ref();
    if run.source_ami.is_empty() && filter.is_none_or(|f| f.filters.is_empty() && f.owners.is_empty()) {
        c.wrong(
            "source_ami",
            "No source image is named.",
            "set `source_ami`, or a block `source_ami_filter` with `filters` and `owners`",
        );
    } else if let Some(f) = filter
        && run.source_ami.is_empty()
        && f.owners.is_empty()
    {
        c.wrong(
            "source_ami_filter",
            "`owners` is missing: without it anybody's image of that name would be taken.",
            "name the account ids, or amazon, self or aws-marketplace",
        );
    }
    match (run.instance_type.is_empty(), run.spot_instance_types.is_empty()) {
        (true, true) => {
            c.wrong("instance_type", "No instance type is named.", "set `instance_type`, such as \"t3.medium\"")
        }
        (false, false) => c.exclusive("instance_type", "spot_instance_types", true),
        _ => {}
    }
}

fn check_network(c: &mut Checker, run: &Run) {
    c.exclusive(
        "security_group_id",
        "security_group_ids",
        !run.security_group_id.is_empty() && !run.security_group_ids.is_empty(),
    );
    for cidr in &run.temporary_security_group_source_cidrs {
        if cidr != UNKNOWN_TEXT && !is_cidr(cidr) {
            c.wrong(
                "temporary_security_group_source_cidrs",
                format!("\"{cidr}\" is not a network."),
                "write it like 203.0.113.0/24",
            );
        }
    }
    c.one_of(
        "ssh_interface",
        &run.ssh_interface,
        &["public_ip", "private_ip", "public_dns", "private_dns", "ipv6", "session_manager"],
    );
    if run.ssh_interface == "session_manager"
        && run.iam_instance_profile.is_empty()
        && run.temporary_iam_instance_profile_policy_document.is_none()
    {
        c.wrong("ssh_interface", "The session manager needs an instance profile.", "set `iam_instance_profile`");
    }
}

fn check_login(c: &mut Checker, login: &CommunicatorConfig) {
    let kind = login.temporary_key_pair_type.as_str();
    if !matches!(kind, "" | "rsa" | "ed25519" | UNKNOWN_TEXT) {
        c.wrong("temporary_key_pair_type", format!("AWS makes no {kind} keys."), "use rsa or ed25519");
    }
    if !login.ssh_keypair_name.is_empty() && login.ssh_private_key_file.is_empty() {
        // The password of a Windows machine is encrypted for the private key; an agent does not decrypt.
        let decrypts = login.is_winrm() && login.winrm_password.is_empty();
        if decrypts || !login.ssh_agent_auth {
            c.wrong(
                "ssh_keypair_name",
                "AWS knows the public half of this key pair only; the private one is needed to log in.",
                "set `ssh_private_key_file` (or `ssh_agent_auth = true`), or leave out `ssh_keypair_name` for a temporary key",
            );
        }
    }
}

/// How a spot fleet chooses among its types.
const SPOT_STRATEGIES: [&str; 5] =
    ["lowest-price", "diversified", "capacity-optimized", "capacity-optimized-prioritized", "price-capacity-optimized"];

fn check_spot(c: &mut Checker, ebs: &Ebs) {
    let run = &ebs.run;
    let price = run.spot_price.as_str();
    for argument in ["spot_tags", "spot_tag", "fleet_tags", "fleet_tag"] {
        if c.body.is_set(argument) && matches!(price, "" | "0") {
            c.wrong(
                argument,
                format!("`{argument}` is for spot instances, and none is asked for."),
                "set `spot_price`, or leave it out",
            );
        }
    }
    c.one_of("spot_allocation_strategy", &run.spot_allocation_strategy, &SPOT_STRATEGIES);
    if run.block_duration_minutes % 60 != 0 {
        c.wrong(
            "block_duration_minutes",
            "The duration is a multiple of 60 minutes.",
            "leave it out: it has no effect",
        );
    }
    let unlimited = run.enable_unlimited_credits || run.enable_t2_unlimited;
    if !price.is_empty() && unlimited && run.instance_type.starts_with("t2.") {
        c.wrong("enable_unlimited_credits", "Spot instances of type t2 have no unlimited credits.", "leave it out");
    }
    if !price.is_empty() && run.enable_nitro_enclave {
        c.wrong("enable_nitro_enclave", "Spot instances have no enclaves.", "leave out `spot_price`");
    }
    if !matches!(price, "" | "0") {
        for (argument, on) in
            [("ena_support", ebs.ami.ena_support == Some(true)), ("sriov_support", ebs.ami.sriov_support)]
        {
            if on {
                c.wrong(
                    argument,
                    "A spot instance cannot be changed, and this would change it.",
                    "take a source image that has enhanced networking already",
                );
            }
        }
    }
}

/// Whether a text is an address with a prefix length.
pub(crate) fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let Ok(length) = length.parse::<u8>() else { return false };
    match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => length <= 32,
        Ok(std::net::IpAddr::V6(_)) => length <= 128,
        Err(_) => false,
    }
}

/// Families of instance types whose CPU credits can be unlimited.
pub(crate) const BURSTABLE: [&str; 4] = ["t2.", "t3.", "t3a.", "t4g."];

fn check_instance(c: &mut Checker, run: &Run, cx: &PrepareContext) {
    let file = run.user_data_file.as_str();
    if !run.user_data.is_empty() && !file.is_empty() {
        c.exclusive("user_data", "user_data_file", true);
    } else if !file.is_empty() && !file.contains(UNKNOWN_TEXT) && !cx.path(file).exists() {
        c.wrong("user_data_file", format!("There is no file {file}."), "paths start from the working directory");
    }
    c.one_of("shutdown_behavior", &run.shutdown_behavior, &["stop", "terminate"]);
    if run.enable_nitro_enclave && run.instance_type.starts_with('t') {
        c.wrong("enable_nitro_enclave", format!("Instances of type {} have no enclaves.", run.instance_type), "");
    }
    let unlimited = run.enable_unlimited_credits || run.enable_t2_unlimited;
    let known = !run.instance_type.is_empty() && run.instance_type != UNKNOWN_TEXT;
    if unlimited && known && !BURSTABLE.iter().any(|f| run.instance_type.starts_with(f)) {
        c.wrong(
            "enable_unlimited_credits",
            format!("Instances of type {} have no CPU credits.", run.instance_type),
            "t2, t3, t3a and t4g have",
        );
    }
    if let Some(metadata) = &run.metadata_options {
        let mut inner = Checker::new(c.body.blocks_named("metadata_options").first().unwrap_or(c.body));
        inner.one_of("http_endpoint", &metadata.http_endpoint, &["enabled", "disabled"]);
        inner.one_of("http_tokens", &metadata.http_tokens, &["optional", "required"]);
        inner.one_of("instance_metadata_tags", &metadata.instance_metadata_tags, &["enabled", "disabled"]);
        if !(1..=64).contains(&metadata.http_put_response_hop_limit) {
            inner.wrong("http_put_response_hop_limit", "The hop limit is 1 to 64.", "");
        }
        let found = std::mem::take(&mut inner.found);
        c.found.extend(found);
    }
}

fn check_placement(c: &mut Checker, run: &Run) {
    c.one_of("tenancy", &run.tenancy, &["default", "dedicated", "host"]);
    if let Some(placement) = &run.placement {
        c.one_of("placement", &placement.tenancy, &["default", "dedicated", "host"]);
        c.exclusive("tenancy", "placement", !run.tenancy.is_empty() && !placement.tenancy.is_empty());
        let (host, group) = (!placement.host_id.is_empty(), !placement.host_resource_group_arn.is_empty());
        if host && group {
            c.wrong("placement", "`host_id` and `host_resource_group_arn` exclude each other.", "set one of them");
        }
        if (host || group) && !matches!(placement.tenancy.as_str(), "" | "host") {
            c.wrong("placement", "A host needs `tenancy = \"host\"`.", "");
        }
    }
    c.one_of("capacity_reservation_preference", &run.capacity_reservation_preference, &["none", "open"]);
    let (id, group, preference) = (
        !run.capacity_reservation_id.is_empty(),
        !run.capacity_reservation_group_arn.is_empty(),
        !run.capacity_reservation_preference.is_empty(),
    );
    c.exclusive("capacity_reservation_id", "capacity_reservation_group_arn", id && group);
    c.exclusive("capacity_reservation_preference", "capacity_reservation_id", id && preference);
    c.exclusive("capacity_reservation_preference", "capacity_reservation_group_arn", group && preference);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kms_keys_have_four_forms() {
        for good in [
            "alias/packer-images",
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "mrk-1234abcd12ab34cd56ef1234567890ab",
            "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws-us-gov:kms:us-gov-west-1:123456789012:alias/x",
            "arn:aws:kms::123456789012:alias/x",
        ] {
            assert!(is_kms_key(good), "{good}");
        }
        for bad in [
            "packer-images",
            "alias/",
            "arn:aws:kms:us-west-2:12345:key/12ab",
            "ABCD",
            "arn:aws:s3:us-west-2:123456789012:key/12ab",
            "arn:aws:kms:west:123456789012:key/12ab",
        ] {
            assert!(!is_kms_key(bad), "{bad}");
        }
    }

    #[test]
    fn networks() {
        assert!(is_cidr("10.0.0.0/8") && is_cidr("::/0"));
        assert!(!is_cidr("10.0.0.0") && !is_cidr("10.0.0.0/33") && !is_cidr("x/8"));
    }
}
