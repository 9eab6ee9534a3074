//! What is sent: the bodies of instances, disks and images, from the options.

use crate::config::{DiskAttachment, EncryptionKey, Googlecompute};
use crate::source;
use base64::Engine;
use google_cloud_compute_v1::model::reservation_affinity::ConsumeReservationType;
use google_cloud_compute_v1::model::{
    AcceleratorConfig, AccessConfig, AdvancedMachineFeatures, AttachedDisk, AttachedDiskInitializeParams,
    CustomerEncryptionKey, Disk, Duration, FileContentBuffer, GuestOsFeature, Image, InitialStateConfig, Instance,
    InstanceParams, Metadata, NetworkInterface, ReservationAffinity, Scheduling, SchedulingNodeAffinity,
    ServiceAccount, ShieldedInstanceConfig, Tags,
};
use image_action_engine::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Scopes of the instance's service account unless the template says others.
pub(crate) const VM_SCOPES: [&str; 3] = [
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/compute",
    "https://www.googleapis.com/auth/devstorage.full_control",
];

/// The size of the boot disk where the template says 0, in GB.
const BOOT_SIZE: i64 = 20;

/// The scopes of the instance's service account.
pub(crate) fn scopes(config: &Googlecompute) -> Vec<String> {
    if config.instance.scopes.is_empty() {
        VM_SCOPES.map(str::to_owned).to_vec()
    } else {
        config.instance.scopes.clone()
    }
}

// Google advises against keys of the customer's own bytes, and still takes them.
#[allow(deprecated)]
fn key(options: Option<&EncryptionKey>) -> Option<CustomerEncryptionKey> {
    let options = options?;
    let raw = some(options.raw_key.expose());
    let kms = some(&options.kms_key_name);
    let any = kms.is_some() || raw.is_some();
    any.then(|| CustomerEncryptionKey::new().set_or_clear_kms_key_name(kms).set_or_clear_raw_key(raw))
}

/// A text that is sent only where it is not empty.
fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// What an instance is made of besides the options.
pub(crate) struct Parts<'a> {
    pub name: &'a str,
    pub disk_name: &'a str,
    /// Full link of the source image.
    pub image: &'a str,
    /// Full link of the machine type.
    pub machine_type: &'a str,
    pub metadata: Metadata,
    /// The labels that everything of this run carries.
    pub labels: &'a BTreeMap<String, String>,
    /// A reserved external address.
    pub address: Option<&'a str>,
    /// Sources of the further disks, in their order; none for scratch ones.
    pub disks: &'a [Option<String>],
}

/// The body of `instances.insert`.
pub(crate) fn instance(config: &Googlecompute, parts: Parts<'_>) -> Instance {
    let i = &config.instance;
    let mut labels = i.labels.clone();
    labels.extend(parts.labels.clone());
    let mut disks = vec![boot_disk(config, &parts)];
    disks.extend(
        i.disk_attachment.iter().zip(parts.disks).map(|(d, source)| further_disk(config, d, source.as_deref())),
    );
    let mut body = Instance::new()
        .set_name(parts.name)
        .set_description("New instance created by image-action")
        .set_machine_type(parts.machine_type)
        .set_labels(labels)
        .set_disks(disks)
        .set_network_interfaces([interface(config, parts.address)])
        .set_scheduling(scheduling(config))
        .set_service_accounts(service_account(config))
        .set_metadata(parts.metadata)
        .set_or_clear_min_cpu_platform(some(&i.min_cpu_platform));
    if !i.tags.is_empty() {
        body = body.set_tags(Tags::new().set_items(i.tags.clone()));
    }
    if i.enable_nested_virtualization {
        body =
            body.set_advanced_machine_features(AdvancedMachineFeatures::new().set_enable_nested_virtualization(true));
    }
    if i.accelerator_count > 0 {
        let count = i32::try_from(i.accelerator_count).unwrap_or(i32::MAX);
        let accelerator =
            AcceleratorConfig::new().set_accelerator_type(&i.accelerator_type).set_accelerator_count(count);
        body = body.set_guest_accelerators([accelerator]);
    }
    if i.enable_secure_boot || i.enable_vtpm || i.enable_integrity_monitoring {
        let shielded = ShieldedInstanceConfig::new()
            .set_enable_secure_boot(i.enable_secure_boot)
            .set_enable_vtpm(i.enable_vtpm)
            .set_enable_integrity_monitoring(i.enable_integrity_monitoring);
        body = body.set_shielded_instance_config(shielded);
    }
    if let Some(r) = &i.reservation_affinity {
        let kind = some(&r.consume_reservation_type).map(|t| ConsumeReservationType::from(t.as_str()));
        let affinity = ReservationAffinity::new()
            .set_or_clear_key(some(&r.key))
            .set_values(r.values.clone())
            .set_or_clear_consume_reservation_type(kind);
        body = body.set_reservation_affinity(affinity);
    }
    if !i.resource_manager_tags.is_empty() {
        body = body.set_params(InstanceParams::new().set_resource_manager_tags(i.resource_manager_tags.clone()));
    }
    body
}

fn boot_disk(config: &Googlecompute, parts: &Parts<'_>) -> AttachedDisk {
    let i = &config.instance;
    let size = if i.disk_size == 0 { BOOT_SIZE } else { i.disk_size };
    let params = AttachedDiskInitializeParams::new()
        .set_source_image(parts.image)
        .set_disk_name(parts.disk_name)
        .set_disk_size_gb(size)
        .set_disk_type(format!("zones/{}/diskTypes/{}", i.zone, i.disk_type))
        .set_labels(parts.labels.clone());
    AttachedDisk::new()
        .set_type("PERSISTENT")
        .set_mode("READ_WRITE")
        .set_boot(true)
        // The image is made of it once the instance is gone.
        .set_auto_delete(false)
        .set_initialize_params(params)
        .set_or_clear_disk_encryption_key(key(i.disk_encryption_key.as_ref()))
}

fn further_disk(config: &Googlecompute, disk: &DiskAttachment, source: Option<&str>) -> AttachedDisk {
    let base = AttachedDisk::new().set_interface(disk.interface_type.as_str()).set_mode(disk.attachment_mode.as_str());
    match source {
        Some(source) => {
            let stays = disk.create_image || disk.keep_device || !disk.source_volume.is_empty();
            base.set_type("PERSISTENT")
                .set_auto_delete(!stays)
                .set_source(source)
                .set_or_clear_device_name(some(&disk.device_name))
                .set_or_clear_disk_encryption_key(key(disk.disk_encryption_key.as_ref()))
        }
        None => {
            let kind = format!("zones/{}/diskTypes/local-ssd", config.instance.zone);
            base.set_type("SCRATCH")
                .set_auto_delete(true)
                .set_disk_size_gb(disk.volume_size)
                .set_initialize_params(AttachedDiskInitializeParams::new().set_disk_type(kind))
        }
    }
}

fn interface(config: &Googlecompute, address: Option<&str>) -> NetworkInterface {
    let (network, subnetwork) = source::network(config);
    let nic = NetworkInterface::new()
        .set_or_clear_network(network)
        .set_or_clear_subnetwork(subnetwork)
        .set_or_clear_network_ip(some(&config.instance.network_ip));
    if config.instance.omit_external_ip {
        return nic;
    }
    let access = AccessConfig::new()
        .set_name("AccessConfig created by image-action")
        .set_type("ONE_TO_ONE_NAT")
        .set_or_clear_nat_ip(address.map(str::to_owned));
    nic.set_access_configs([access])
}

fn scheduling(config: &Googlecompute) -> Scheduling {
    let i = &config.instance;
    let maintenance = match (i.on_host_maintenance.as_str(), i.preemptible) {
        (_, true) => "TERMINATE",
        ("", false) => "MIGRATE",
        (said, false) => said,
    };
    let mut scheduling = Scheduling::new().set_on_host_maintenance(maintenance);
    if i.preemptible {
        scheduling = scheduling.set_preemptible(true);
    }
    if i.max_run_duration_in_seconds > 0 {
        let action =
            if i.instance_termination_action.is_empty() { "STOP" } else { i.instance_termination_action.as_str() };
        scheduling = scheduling
            .set_max_run_duration(Duration::new().set_seconds(i.max_run_duration_in_seconds))
            .set_instance_termination_action(action);
    }
    let affinities = i.node_affinity.iter().map(|n| {
        SchedulingNodeAffinity::new().set_key(&n.key).set_operator(n.operator.as_str()).set_values(n.values.clone())
    });
    scheduling.set_node_affinities(affinities)
}

fn service_account(config: &Googlecompute) -> Vec<ServiceAccount> {
    let i = &config.instance;
    if i.disable_default_service_account {
        return Vec::new();
    }
    let email = if i.service_account_email.is_empty() { "default" } else { i.service_account_email.as_str() };
    vec![ServiceAccount::new().set_email(email).set_scopes(scopes(config))]
}

/// The body of `disks.insert`.
pub(crate) fn disk(
    config: &Googlecompute,
    disk: &DiskAttachment,
    name: &str,
    labels: &BTreeMap<String, String>,
) -> Disk {
    let mut body = Disk::new()
        .set_name(name)
        .set_description("created by image-action")
        .set_labels(labels.clone())
        .set_type(format!("zones/{}/diskTypes/{}", config.instance.zone, disk.volume_type))
        .set_or_clear_source_image(some(&disk.source_image))
        .set_or_clear_disk_encryption_key(key(disk.disk_encryption_key.as_ref()));
    if disk.volume_size > 0 {
        body = body.set_size_gb(disk.volume_size);
    }
    if disk.iops > 0 {
        body = body.set_provisioned_iops(disk.iops);
    }
    body
}

/// The body of `images.insert`, of the disk at `source`.
///
/// # Errors
/// A file of a signature that cannot be read any more.
pub(crate) fn image(
    config: &Googlecompute,
    name: &str,
    source: &str,
    labels: &BTreeMap<String, String>,
    cwd: &Path,
) -> Result<Image> {
    let i = &config.image;
    let mut all = i.image_labels.clone();
    all.extend(labels.clone());
    let mut body = Image::new()
        .set_name(name)
        .set_or_clear_description(some(&i.image_description))
        .set_or_clear_family(some(&i.image_family))
        .set_labels(all)
        .set_licenses(i.image_licenses.clone())
        .set_guest_os_features(i.image_guest_os_features.iter().map(|f| GuestOsFeature::new().set_type(f.as_str())))
        .set_storage_locations(i.image_storage_locations.clone())
        .set_source_disk(source)
        .set_source_type("RAW")
        .set_or_clear_image_encryption_key(key(i.image_encryption_key.as_ref()))
        .set_or_clear_shielded_instance_initial_state(signatures(config, cwd)?);
    if !i.image_architecture.is_empty() {
        body = body.set_architecture(i.image_architecture.to_ascii_uppercase().as_str());
    }
    // Google needs the key again to read a disk that is encrypted with bytes of the customer's.
    if config.instance.disk_encryption_key.as_ref().is_some_and(|k| !k.raw_key.is_empty()) {
        body = body.set_or_clear_source_disk_encryption_key(key(config.instance.disk_encryption_key.as_ref()));
    }
    Ok(body)
}

/// The keys of Secure Boot; nothing where none is given, because an empty object would wipe those of the disk.
fn signatures(config: &Googlecompute, cwd: &Path) -> Result<Option<InitialStateConfig>> {
    let i = &config.image;
    let read = |path: &String| file(path, cwd);
    let all = |paths: &[String]| paths.iter().filter(|p| !p.is_empty()).map(read).collect::<Result<Vec<_>>>();
    let (dbs, keks, dbxs) =
        (all(&i.image_signatures_db)?, all(&i.image_key_exchange_key)?, all(&i.image_forbidden_signatures_db)?);
    let pk = if i.image_platform_key.is_empty() { None } else { Some(file(&i.image_platform_key, cwd)?) };
    if dbs.is_empty() && keks.is_empty() && dbxs.is_empty() && pk.is_none() {
        return Ok(None);
    }
    Ok(Some(InitialStateConfig::new().set_dbs(dbs).set_keks(keks).set_dbxs(dbxs).set_or_clear_pk(pk)))
}

fn file(path: &str, cwd: &Path) -> Result<FileContentBuffer> {
    let full = cwd.join(path);
    let bytes = std::fs::read(&full)
        .map_err(|e| Error::new(ErrorKind::Invalid, format!("{} cannot be read: {e}", full.display())))?;
    let kind = if is_certificate(&bytes) { "X509" } else { "BIN" };
    // The client library encodes bytes itself.
    Ok(FileContentBuffer::new().set_content(bytes).set_file_type(kind))
}

/// Whether a file is an X.509 certificate in PEM or DER: a sequence that fills the file and begins with a sequence.
fn is_certificate(bytes: &[u8]) -> bool {
    let der = match std::str::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN CERTIFICATE-----") => {
            let body: String = text
                .lines()
                .skip_while(|l| !l.contains("BEGIN CERTIFICATE"))
                .skip(1)
                .take_while(|l| !l.contains("END CERTIFICATE"))
                .map(str::trim)
                .collect();
            base64::engine::general_purpose::STANDARD.decode(body).unwrap_or_default()
        }
        _ => bytes.to_vec(),
    };
    // 0x30 is a sequence, 0x82 a length of two bytes: no certificate is shorter or longer than that says.
    match der.as_slice() {
        [0x30, 0x82, high, low, 0x30, ..] => usize::from(*high) * 256 + usize::from(*low) + 4 == der.len(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_told_from_signature_lists() {
        let mut der = vec![0x30, 0x82, 0x00, 0x03, 0x30, 0x01, 0x00];
        assert!(is_certificate(&der));
        der.push(0);
        assert!(!is_certificate(&der), "something follows");
        assert!(!is_certificate(&[0xa1, 0x59, 0xc0, 0xa5]), "a GUID of an EFI signature list");
        assert!(!is_certificate(b""));
    }
}
