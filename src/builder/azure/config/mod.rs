//! The options of `azure-arm`.

mod access;
mod check;
mod gallery;

pub use access::Access;
pub use check::check;
pub use gallery::{GalleryDestination, GallerySource};

use image_action_engine::Config;
use image_action_remote::CommunicatorConfig;
use std::collections::BTreeMap;
use std::time::Duration;

/// One tag.
#[derive(Config)]
pub struct Tag {
    /// Its name.
    #[config(required)]
    pub name: String,
    /// Its value.
    #[config(required)]
    pub value: String,
}

/// The plan of a marketplace image, whose terms have to be accepted beforehand.
#[derive(Config)]
pub struct PlanInfo {
    /// The plan's name.
    pub plan_name: String,
    /// The product.
    pub plan_product: String,
    /// The publisher.
    pub plan_publisher: String,
    /// A promotion code.
    pub plan_promotion_code: String,
}

/// A machine that the cloud may take back.
#[derive(Config)]
pub struct Spot {
    /// What happens to it then: `Delete` or `Deallocate`.
    pub eviction_policy: String,
    /// The most it may cost an hour, in US dollars; no bound where it is not set.
    pub max_price: f64,
}

/// Builds a managed image, a version of a gallery's image, or both, from a machine that it makes in Azure and removes again.
#[derive(Config)]
pub struct Arm {
    /// How Azure is reached.
    #[config(flatten)]
    pub access: Access,
    /// How the machine is reached.
    #[config(flatten)]
    pub communicator: CommunicatorConfig,

    /// The publisher of the marketplace image that the machine is made from.
    pub image_publisher: String,
    /// Its offer.
    pub image_offer: String,
    /// Its SKU.
    pub image_sku: String,
    /// Its version; `latest` where it is not set.
    pub image_version: String,
    /// The URL of a VHD that the machine is made from.
    #[config(unsupported)]
    pub image_url: String,
    /// The managed image that the machine is made from.
    pub custom_managed_image_name: String,
    /// The resource group of that image.
    pub custom_managed_image_resource_group_name: String,
    /// The image of a gallery that the machine is made from.
    #[config(block)]
    pub shared_image_gallery: Option<GallerySource>,
    /// The plan of a marketplace image.
    #[config(block)]
    pub plan_info: Option<PlanInfo>,

    /// Where to build: a temporary resource group is made there.
    pub location: String,
    /// An existing resource group to build in. It is never deleted.
    pub build_resource_group_name: String,
    /// The name of the temporary resource group.
    pub temp_resource_group_name: String,
    /// What the names of temporary resources begin with, in place of `pkr`.
    pub custom_resource_build_prefix: String,
    /// The name of the machine.
    pub temp_compute_name: String,
    /// The name of its network interface.
    pub temp_nic_name: String,
    /// The name of its OS disk.
    pub temp_os_disk_name: String,
    /// Whether the deletion of the temporary resource group is only begun, and not waited for.
    pub async_resourcegroup_delete: bool,
    /// How long each call, with what it begins, may take.
    #[config(default = "15m")]
    pub polling_duration_timeout: Duration,
    /// Tags for everything that is made.
    pub azure_tags: BTreeMap<String, String>,
    /// One tag for everything that is made; goes before an entry of the same name in `azure_tags`.
    #[config(block)]
    pub azure_tag: Vec<Tag>,

    /// The size of the machine.
    #[config(default = "Standard_A1")]
    pub vm_size: String,
    /// `Linux` or `Windows`.
    pub os_type: String,
    /// The size of the OS disk in GB; the image's own where it is not set.
    pub os_disk_size_gb: i64,
    /// Sizes of further, empty disks in GB.
    pub disk_additional_size: Vec<i64>,
    /// The LUNs of these disks; the lowest free ones where they are not set.
    pub disk_additional_luns: Vec<i64>,
    /// How the disks are cached: `None`, `ReadOnly` or `ReadWrite`.
    #[config(default = "ReadWrite")]
    pub disk_caching_type: String,
    /// `SCSI` or `NVMe`.
    pub disk_controller_type: String,
    /// What the disks are: `Standard_LRS`, `StandardSSD_LRS` or `Premium_LRS`.
    #[config(default = "Standard_LRS")]
    pub managed_image_storage_account_type: String,
    /// The id of a disk encryption set for the disks.
    pub disk_encryption_set_id: String,
    /// `TrustedLaunch` or `ConfidentialVM`.
    pub security_type: String,
    /// What of a confidential machine is encrypted: `VMGuestStateOnly` or `DiskWithVMGuestState`.
    pub security_encryption_type: String,
    /// Whether the machine boots signed software only.
    pub secure_boot_enabled: bool,
    /// Whether the machine has a virtual TPM.
    pub vtpm_enabled: bool,
    /// Whether the machine's caches and temporary disks are encrypted as well.
    pub encryption_at_host: Option<bool>,
    /// A machine that the cloud may take back, for less money.
    #[config(block)]
    pub spot: Option<Spot>,
    /// Ids of identities that the machine has.
    pub user_assigned_managed_identities: Vec<String>,
    /// Custom data for the machine, in base64.
    pub custom_data: String,
    /// A file with custom data.
    pub custom_data_file: String,
    /// User data for the machine, in base64.
    pub user_data: String,
    /// A file with user data.
    pub user_data_file: String,
    /// A command for the custom script extension of a Windows machine.
    #[config(unsupported)]
    pub custom_script: String,
    /// The storage account for the machine's boot diagnostics.
    pub boot_diag_storage_account: String,
    /// The licence that the machine uses: `RHEL_BYOS`, `SLES_BYOS`, `Windows_Client`, `Windows_Server`.
    pub license_type: String,

    /// An existing network to build in. Without `private_virtual_network_with_public_ip` the machine has a private address only.
    pub virtual_network_name: String,
    /// Whether the machine has a public address in an existing network.
    pub private_virtual_network_with_public_ip: bool,
    /// The resource group of that network; it is looked for where it is not set.
    pub virtual_network_resource_group_name: String,
    /// The subnet of that network.
    pub virtual_network_subnet_name: String,
    /// Addresses (or ranges) that may reach the machine.
    pub allowed_inbound_ip_addresses: Vec<String>,
    /// `Standard` or `Basic`.
    pub public_ip_sku: String,
    /// Whether the network interface uses accelerated networking.
    pub accelerated_networking: Option<bool>,

    /// The name of the managed image.
    pub managed_image_name: String,
    /// The resource group of the managed image.
    pub managed_image_resource_group_name: String,
    /// Whether the managed image survives the loss of a zone.
    pub managed_image_zone_resilient: bool,
    /// The name of a snapshot of the OS disk.
    pub managed_image_os_disk_snapshot_name: String,
    /// What the names of snapshots of the data disks begin with.
    pub managed_image_data_disk_snapshot_prefix: String,
    /// Whether the OS disk stays.
    pub keep_os_disk: bool,
    /// Whether the build ends before an image is made.
    pub skip_create_image: bool,
    /// The version of a gallery's image that is made.
    #[config(block)]
    pub shared_image_gallery_destination: Option<GalleryDestination>,
    /// How long the replication of a version may take.
    #[config(default = "60m")]
    pub shared_image_gallery_timeout: Duration,
    /// When the version ends its life: a date of RFC 3339.
    pub shared_gallery_image_version_end_of_life_date: String,
    /// How many copies each region holds.
    pub shared_image_gallery_replica_count: i64,
    /// Whether the version is left out where somebody asks for the latest.
    pub shared_gallery_image_version_exclude_from_latest: bool,

    /// The storage account that a VHD is copied to.
    #[config(unsupported)]
    pub storage_account: String,
    /// The resource group of that account.
    #[config(unsupported)]
    pub resource_group_name: String,
    /// The container that a VHD is copied to.
    #[config(unsupported)]
    pub capture_container_name: String,
    /// What the name of the VHD begins with.
    #[config(unsupported)]
    pub capture_name_prefix: String,
    /// How long the VHD may be read while it is copied.
    #[config(unsupported)]
    pub sas_token_duration: Option<Duration>,

    /// An existing key vault for the certificate of WinRM.
    #[config(unsupported)]
    pub build_key_vault_name: String,
    /// The name of the secret in it.
    #[config(unsupported)]
    pub build_key_vault_secret_name: String,
    /// The SKU of the temporary key vault.
    #[config(unsupported)]
    pub build_key_vault_sku: String,
    /// Whether no key vault is made.
    #[config(unsupported)]
    pub skip_create_build_key_vault: bool,
    /// When the secret expires.
    #[config(unsupported)]
    pub winrm_expiration_time: Option<Duration>,
}

impl Arm {
    /// Whether the machine is made from an image of the marketplace.
    pub fn is_platform(&self) -> bool {
        !(self.image_publisher.is_empty() && self.image_offer.is_empty() && self.image_sku.is_empty())
    }
    /// Whether a managed image is made.
    pub fn makes_image(&self) -> bool {
        !self.managed_image_name.is_empty()
    }
    /// The gallery that a version is made in.
    pub fn destination(&self) -> Option<&GalleryDestination> {
        self.shared_image_gallery_destination.as_ref().filter(|d| !d.gallery_name.is_empty())
    }
    /// Whether the machine gets a public address.
    pub fn has_public_address(&self) -> bool {
        self.virtual_network_name.is_empty() || self.private_virtual_network_with_public_ip
    }
    /// Whether the machine runs Windows.
    pub fn is_windows(&self) -> bool {
        self.os_type.eq_ignore_ascii_case("windows")
    }
    /// The user who logs in.
    pub fn user(&self) -> &str {
        if self.communicator.ssh_username.is_empty() { "packer" } else { &self.communicator.ssh_username }
    }
    /// The tags of the template; those of blocks go before those of the map.
    pub fn tags(&self) -> BTreeMap<String, String> {
        let mut all = self.azure_tags.clone();
        all.extend(self.azure_tag.iter().map(|t| (t.name.clone(), t.value.clone())));
        if let Some(plan) = &self.plan_info {
            // Packer's own names of these tags.
            for (name, value) in [
                ("PlanInfo", &plan.plan_name),
                ("PlanProduct", &plan.plan_product),
                ("PlanPublisher", &plan.plan_publisher),
                ("PlanPromotionCode", &plan.plan_promotion_code),
            ] {
                all.insert(name.to_owned(), value.clone());
            }
        }
        all
    }
}
