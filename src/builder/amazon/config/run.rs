//! What instance is launched, and where.

use super::ami::Tag;
use super::device::BlockDevice;
use image_action_engine::Config;
use std::collections::BTreeMap;
use std::time::Duration;

/// One filter, as a block.
#[derive(Clone, Debug, Config)]
pub struct NameValue {
    /// Name.
    pub name: String,
    /// Value.
    pub value: String,
}

/// A tag, as a block that calls its key `name`.
#[derive(Clone, Debug, Config)]
pub struct NamedTag {
    /// Its key.
    #[config(late)]
    pub name: String,
    /// Its value.
    #[config(late)]
    pub value: String,
}

/// Which image is the source.
#[derive(Clone, Debug, Config)]
pub struct AmiFilter {
    /// EC2's filters by name; a value may hold several, separated by commas.
    pub filters: BTreeMap<String, String>,
    /// Who owns it: account ids, `self`, `amazon`, `aws-marketplace`.
    pub owners: Vec<String>,
    /// Takes the newest where several match.
    pub most_recent: bool,
    /// Also looks at deprecated images.
    pub include_deprecated: bool,
}

/// Which VPC the instance runs in.
#[derive(Clone, Debug, Config)]
pub struct VpcFilter {
    /// EC2's filters by name.
    pub filters: BTreeMap<String, String>,
    /// One filter.
    #[config(block)]
    pub filter: Vec<NameValue>,
}

/// Which subnet the instance runs in.
#[derive(Clone, Debug, Config)]
pub struct SubnetFilter {
    /// EC2's filters by name.
    pub filters: BTreeMap<String, String>,
    /// One filter.
    #[config(block)]
    pub filter: Vec<NameValue>,
    /// Takes the one with most free addresses where several match.
    pub most_free: bool,
    /// Takes any where several match.
    pub random: bool,
}

/// Which security groups the instance has.
#[derive(Clone, Debug, Config)]
pub struct SecurityGroupFilter {
    /// EC2's filters by name.
    pub filters: BTreeMap<String, String>,
    /// One filter.
    #[config(block)]
    pub filter: Vec<NameValue>,
}

/// The metadata service of the instance.
#[derive(Clone, Debug, Config)]
pub struct MetadataOptions {
    /// `enabled` or `disabled`.
    #[config(default = "enabled")]
    pub http_endpoint: String,
    /// `required` asks for a session token (IMDSv2).
    #[config(default = "optional")]
    pub http_tokens: String,
    /// How many hops an answer travels, 1 to 64.
    #[config(default = "1")]
    pub http_put_response_hop_limit: i64,
    /// `enabled` shows the instance its tags.
    #[config(default = "disabled")]
    pub instance_metadata_tags: String,
}

/// The host that the instance runs on.
#[derive(Clone, Debug, Config)]
pub struct Placement {
    /// ARN of a host resource group.
    pub host_resource_group_arn: String,
    /// Id of a dedicated host.
    pub host_id: String,
    /// `default`, `dedicated` or `host`.
    pub tenancy: String,
}

/// A licence of the instance.
#[derive(Clone, Debug, Config)]
pub struct LicenseSpecification {
    /// Which.
    #[config(block)]
    pub license_configuration_request: Option<LicenseConfiguration>,
}

/// Which licence.
#[derive(Clone, Debug, Config)]
pub struct LicenseConfiguration {
    /// ARN of the licence configuration.
    pub license_configuration_arn: String,
}

/// A policy of a temporary instance profile.
#[derive(Clone, Debug, Config)]
pub struct PolicyDocument {
    /// Version of the policy language.
    #[config(name = "Version")]
    pub version: String,
    /// What is allowed or denied.
    #[config(name = "Statement", block)]
    pub statement: Vec<PolicyStatement>,
}

/// One statement of a policy.
#[derive(Clone, Debug, Config)]
pub struct PolicyStatement {
    /// `Allow` or `Deny`.
    #[config(name = "Effect")]
    pub effect: String,
    /// Actions.
    #[config(name = "Action")]
    pub action: Vec<String>,
    /// ARNs.
    #[config(name = "Resource")]
    pub resource: Vec<String>,
}

/// Launch templates for faster launching of Windows images, by region.
#[derive(Clone, Debug, Config)]
pub struct RegionLaunchTemplate {
    /// The region.
    #[config(required)]
    pub region: String,
    /// Whether it is switched on there.
    pub enable_fast_launch: Option<bool>,
    /// Id of the launch template.
    pub template_id: String,
    /// Name of the launch template.
    pub template_name: String,
    /// Its version.
    pub template_version: i64,
}

/// Faster launching of Windows images.
#[derive(Clone, Debug, Config)]
pub struct FastLaunch {
    /// Switches it on.
    pub enable_fast_launch: bool,
    /// Id of the launch template.
    pub template_id: String,
    /// Name of the launch template.
    pub template_name: String,
    /// Its version.
    pub template_version: i64,
    /// How many instances are launched at a time.
    pub max_parallel_launches: i64,
    /// How many snapshots are kept ready.
    pub target_resource_count: i64,
    /// By region.
    #[config(block)]
    pub region_launch_templates: Vec<RegionLaunchTemplate>,
}

/// What instance is launched, and where.
#[derive(Clone, Debug, Config)]
pub struct Run {
    /// Type of the instance (`t3.medium`). This or `spot_instance_types`.
    pub instance_type: String,
    /// Id of the source image. This or `source_ami_filter`.
    pub source_ami: String,
    /// Finds the source image.
    #[config(block)]
    pub source_ami_filter: Option<AmiFilter>,
    /// Whether the instance has a public address. Set, and without a subnet, a subnet of the default VPC is chosen.
    pub associate_public_ip_address: Option<bool>,
    /// The availability zone.
    pub availability_zone: String,
    /// The VPC. One that is not the default VPC needs a subnet.
    pub vpc_id: String,
    /// Finds the VPC; exactly one has to match.
    #[config(block)]
    pub vpc_filter: Option<VpcFilter>,
    /// The subnet.
    pub subnet_id: String,
    /// Finds the subnet.
    #[config(block)]
    pub subnet_filter: Option<SubnetFilter>,
    /// An existing security group in place of a temporary one.
    pub security_group_id: String,
    /// Existing security groups in place of a temporary one.
    pub security_group_ids: Vec<String>,
    /// Finds existing security groups.
    #[config(block)]
    pub security_group_filter: Option<SecurityGroupFilter>,
    /// Who may reach the instance through the temporary security group, as CIDRs. Default: everybody.
    pub temporary_security_group_source_cidrs: Vec<String>,
    /// Lets only this machine's own public address in, as `checkip.amazonaws.com` sees it.
    #[config(unsupported)]
    pub temporary_security_group_source_public_ip: bool,
    /// User data of the instance.
    pub user_data: String,
    /// A file with the user data of the instance.
    pub user_data_file: String,
    /// The instance profile.
    pub iam_instance_profile: String,
    /// Does not ask IAM whether the instance profile exists.
    pub skip_profile_validation: bool,
    /// The policy of a temporary role of the instance.
    #[config(block, unsupported)]
    pub temporary_iam_instance_profile_policy_document: Option<PolicyDocument>,
    /// What a shutdown from inside does: `stop` or `terminate`.
    #[config(default = "stop")]
    pub shutdown_behavior: String,
    /// A provisioner stops the instance; it is only waited for.
    pub disable_stop_instance: bool,
    /// An EBS-optimized instance.
    pub ebs_optimized: bool,
    /// Nitro enclaves.
    pub enable_nitro_enclave: bool,
    /// Unlimited CPU credits of a burstable instance type.
    pub enable_unlimited_credits: bool,
    /// The old name of `enable_unlimited_credits`.
    #[config(deprecated = "enable_unlimited_credits")]
    pub enable_t2_unlimited: bool,
    /// The metadata service of the instance.
    #[config(block)]
    pub metadata_options: Option<MetadataOptions>,
    /// `open` lets the instance use an open capacity reservation, `none` none.
    pub capacity_reservation_preference: String,
    /// A capacity reservation.
    pub capacity_reservation_id: String,
    /// A group of capacity reservations.
    pub capacity_reservation_group_arn: String,
    /// The host that the instance runs on.
    #[config(block)]
    pub placement: Option<Placement>,
    /// `default`, `dedicated` or `host`.
    #[config(deprecated = "placement { tenancy = … }")]
    pub tenancy: String,
    /// Licences of the instance.
    #[config(block)]
    pub license_specifications: Vec<LicenseSpecification>,
    /// Tags of everything that the build makes: key pair, security group, instance, network interface, image.
    #[config(late)]
    pub run_tags: BTreeMap<String, String>,
    /// A tag of everything that the build makes; goes before `run_tags`.
    #[config(block)]
    pub run_tag: Vec<Tag>,
    /// Tags of the instance's volumes.
    #[config(late)]
    pub run_volume_tags: BTreeMap<String, String>,
    /// A tag of the instance's volumes.
    #[config(block)]
    pub run_volume_tag: Vec<NamedTag>,
    /// The highest price of a spot instance a hour; `auto` is the on-demand price.
    #[config(unsupported)]
    pub spot_price: String,
    /// Types that the spot instance may have.
    #[config(unsupported)]
    pub spot_instance_types: Vec<String>,
    /// How the spot fleet chooses.
    #[config(unsupported)]
    pub spot_allocation_strategy: String,
    /// Tags of the spot request.
    #[config(late, unsupported)]
    pub spot_tags: BTreeMap<String, String>,
    /// A tag of the spot request.
    #[config(block, unsupported)]
    pub spot_tag: Vec<Tag>,
    /// Tags of the spot fleet.
    #[config(late, unsupported)]
    pub fleet_tags: BTreeMap<String, String>,
    /// A tag of the spot fleet.
    #[config(block, unsupported)]
    pub fleet_tag: Vec<Tag>,
    /// Without effect.
    #[config(deprecated = "nothing: it has no effect")]
    pub spot_price_auto_product: String,
    /// Without effect: AWS has no such instances any more.
    #[config(deprecated = "nothing: AWS has no spot instances of a fixed duration any more")]
    pub block_duration_minutes: i64,
    /// How long the password of a Windows instance is waited for.
    #[config(default = "20m")]
    pub windows_password_timeout: Duration,
    /// Which address is used: `public_ip`, `private_ip`, `public_dns`, `private_dns`, `ipv6`, `session_manager`.
    pub ssh_interface: String,
    /// A pause before the session manager is asked.
    pub pause_before_ssm: Duration,
    /// The local port of the session manager's tunnel.
    pub session_manager_port: i64,
    /// Block devices of the instance.
    #[config(block)]
    pub launch_block_device_mappings: Vec<BlockDevice>,
    /// Leaves out the instance-store devices of a Windows image.
    pub no_ephemeral: bool,
    /// Faster launching of Windows images.
    #[config(block, unsupported)]
    pub fast_launch: Option<FastLaunch>,
}
