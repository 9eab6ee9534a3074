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
    /// The tag's name.
    #[config(required)]
    pub name: String,
    /// The tag's value.
    #[config(required)]
    pub value: String,
}

/// The plan of a marketplace image, whose terms have to be accepted beforehand.
#[derive(Config)]
pub struct PlanInfo {
    /// The plan's name.
    pub plan_name: String,
    /// The product that the plan is for.
    pub plan_product: String,
    /// The publisher of the product.
    pub plan_publisher: String,
    /// A promotion code. Left out: none.
    pub plan_promotion_code: String,
}

/// A machine that the cloud may take back.
#[derive(Config)]
pub struct Spot {
    /// What happens to the machine when the cloud takes it back: `Delete` or `Deallocate`.
    pub eviction_policy: String,
    /// The most that the machine may cost an hour, in US dollars. Left out, or 0: the price of an ordinary machine.
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

    /// The publisher of the marketplace image that the machine is made from, such as `Canonical`. A source is either
    /// this with offer and SKU, `custom_managed_image_name`, or `shared_image_gallery`.
    pub image_publisher: String,
    /// The offer of the marketplace image, such as `ubuntu-24_04-lts`.
    pub image_offer: String,
    /// The SKU of the marketplace image, such as `server`.
    pub image_sku: String,
    /// The version of the marketplace image. Left out: `latest`.
    pub image_version: String,
    /// The URL of a VHD that the machine is made from.
    #[config(unsupported)]
    pub image_url: String,
    /// The name of a managed image that the machine is made from.
    pub custom_managed_image_name: String,
    /// The resource group of `custom_managed_image_name`.
    pub custom_managed_image_resource_group_name: String,
    /// The image of a gallery that the machine is made from.
    #[config(block)]
    pub shared_image_gallery: Option<GallerySource>,
    /// The plan of a marketplace image, or of an image that was made from one.
    #[config(block)]
    pub plan_info: Option<PlanInfo>,

    /// The region to build in, such as `westeurope`: a temporary resource group is made there. Either this or
    /// `build_resource_group_name` must be set.
    pub location: String,
    /// An existing resource group to build in. It is never deleted; only what the build has made in it is.
    pub build_resource_group_name: String,
    /// The name of the temporary resource group. Left out: one is made up.
    pub temp_resource_group_name: String,
    /// What the names of temporary resources begin with: at most 10 characters. Left out: `pkr`.
    pub custom_resource_build_prefix: String,
    /// The name of the temporary machine. Left out: one is made up.
    pub temp_compute_name: String,
    /// The name of the machine's network interface. Left out: one is made up.
    pub temp_nic_name: String,
    /// The name of the machine's OS disk. Left out: one is made up.
    pub temp_os_disk_name: String,
    /// Only begins the deletion of the temporary resource group, and does not wait for its end.
    pub async_resourcegroup_delete: bool,
    /// How long each call may take, with everything that it sets off.
    #[config(default = "15m")]
    pub polling_duration_timeout: Duration,
    /// Tags of everything that is made, images included.
    pub azure_tags: BTreeMap<String, String>,
    /// A tag of everything that is made. It goes before an entry of the same name in `azure_tags`.
    #[config(block)]
    pub azure_tag: Vec<Tag>,

    /// The size of the machine, such as `Standard_D2s_v5`. The default is an old one that many regions lack.
    #[config(default = "Standard_A1")]
    pub vm_size: String,
    /// `Linux` or `Windows`. It must be set.
    #[config(
        unsupported_values = "windows",
        instead = "only Linux machines are built yet; build this source with Packer"
    )]
    pub os_type: String,
    /// The size of the OS disk in GB. Left out, or 0: the image's own.
    pub os_disk_size_gb: i64,
    /// The sizes of further, empty disks in GB, one for each disk.
    pub disk_additional_size: Vec<i64>,
    /// The logical unit numbers (LUNs) of the further disks, in the order of `disk_additional_size`. Left out: the
    /// lowest that are free.
    pub disk_additional_luns: Vec<i64>,
    /// How the disks are cached: `None`, `ReadOnly` or `ReadWrite`.
    #[config(default = "ReadWrite")]
    pub disk_caching_type: String,
    /// How the disks are attached: `SCSI` or `NVMe`. Left out: as the size of the machine says.
    pub disk_controller_type: String,
    /// What the disks are: `Standard_LRS`, `StandardSSD_LRS` or `Premium_LRS`.
    #[config(default = "Standard_LRS")]
    pub managed_image_storage_account_type: String,
    /// The id of a disk encryption set that the disks and the image are encrypted with. Left out: Azure's own keys.
    pub disk_encryption_set_id: String,
    /// `TrustedLaunch` or `ConfidentialVM`. Left out: an ordinary machine.
    pub security_type: String,
    /// What of a confidential machine is encrypted: `VMGuestStateOnly` or `DiskWithVMGuestState`.
    pub security_encryption_type: String,
    /// Boots signed software only. Needs `security_type`.
    pub secure_boot_enabled: bool,
    /// Gives the machine a virtual TPM. Needs `security_type`.
    pub vtpm_enabled: bool,
    /// Encrypts the machine's caches and temporary disks on their host as well. Left out: as Azure says.
    pub encryption_at_host: Option<bool>,
    /// Makes a machine that the cloud may take back, for less money.
    #[config(block)]
    pub spot: Option<Spot>,
    /// The ids of user-assigned identities that the machine has while it is provisioned.
    pub user_assigned_managed_identities: Vec<String>,
    /// Custom data of the machine (a cloud-init document), in base64.
    pub custom_data: String,
    /// The path of a file with the custom data, not in base64, in place of `custom_data`.
    pub custom_data_file: String,
    /// User data of the machine, in base64.
    pub user_data: String,
    /// The path of a file with the user data, not in base64, in place of `user_data`.
    pub user_data_file: String,
    /// A command for the custom script extension of a Windows machine.
    #[config(unsupported)]
    pub custom_script: String,
    /// The name of the storage account for the machine's boot diagnostics. Left out: there are none.
    pub boot_diag_storage_account: String,
    /// The licence that the machine brings along: `RHEL_BYOS`, `SLES_BYOS`, `Windows_Client`, `Windows_Server`. Left
    /// out: that of the image.
    pub license_type: String,

    /// The name of an existing network to build in. The machine then has a private address only, unless
    /// `private_virtual_network_with_public_ip` is set. Left out: a temporary network.
    pub virtual_network_name: String,
    /// Gives the machine a public address in an existing network.
    pub private_virtual_network_with_public_ip: bool,
    /// The resource group of the existing network. Left out: it is looked for by its name.
    pub virtual_network_resource_group_name: String,
    /// The subnet of the existing network. Left out: the only one that it has.
    pub virtual_network_subnet_name: String,
    /// Addresses, or blocks of them, that may reach the machine in the temporary network. Left out: everybody.
    pub allowed_inbound_ip_addresses: Vec<String>,
    /// The SKU of the public address: `Standard` or `Basic`. Left out: `Standard`.
    pub public_ip_sku: String,
    /// Whether the network interface uses accelerated networking. Left out: as Azure says.
    pub accelerated_networking: Option<bool>,

    /// The name of the managed image that is made. This, or `shared_image_gallery_destination`, or both.
    pub managed_image_name: String,
    /// The resource group of the managed image; it must exist.
    pub managed_image_resource_group_name: String,
    /// Stores the managed image so that it survives the loss of a zone.
    pub managed_image_zone_resilient: bool,
    /// The name of a snapshot of the OS disk, which is made beside the managed image. Left out: none is made.
    pub managed_image_os_disk_snapshot_name: String,
    /// What the names of snapshots of the further disks begin with, which are made beside the managed image. Left out:
    /// none are made.
    pub managed_image_data_disk_snapshot_prefix: String,
    /// Keeps the OS disk of the machine after the build.
    pub keep_os_disk: bool,
    /// Runs everything up to the image, and makes none: for trying a template out.
    pub skip_create_image: bool,
    /// The version of a gallery's image that is made.
    #[config(block)]
    pub shared_image_gallery_destination: Option<GalleryDestination>,
    /// How long the replication of a version may take.
    #[config(default = "60m")]
    pub shared_image_gallery_timeout: Duration,
    /// When the version ends its life: a time of RFC 3339, such as `2030-01-01T00:00:00Z`. Left out: never.
    pub shared_gallery_image_version_end_of_life_date: String,
    /// How many copies of the version each region holds. Left out, or 0: 1.
    pub shared_image_gallery_replica_count: i64,
    /// Leaves the version out where somebody asks for the latest one.
    pub shared_gallery_image_version_exclude_from_latest: bool,

    /// The name of the storage account that a VHD is copied to.
    #[config(unsupported)]
    pub storage_account: String,
    /// The resource group of `storage_account`.
    #[config(unsupported)]
    pub resource_group_name: String,
    /// The name of the container that a VHD is copied to.
    #[config(unsupported)]
    pub capture_container_name: String,
    /// What the name of the VHD begins with.
    #[config(unsupported)]
    pub capture_name_prefix: String,
    /// How long the VHD may be read by its URL while it is copied.
    #[config(unsupported)]
    pub sas_token_duration: Option<Duration>,

    /// The name of an existing key vault for the certificate of WinRM.
    #[config(only_with = "os_type = windows")]
    pub build_key_vault_name: String,
    /// The name of the secret in the key vault.
    #[config(only_with = "os_type = windows")]
    pub build_key_vault_secret_name: String,
    /// The SKU of the temporary key vault: `standard` or `premium`.
    #[config(only_with = "os_type = windows")]
    pub build_key_vault_sku: String,
    /// Makes no key vault.
    #[config(only_with = "communicator = winrm")]
    pub skip_create_build_key_vault: bool,
    /// How long the certificate of WinRM is valid.
    #[config(only_with = "communicator = winrm")]
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
