//! What instance is launched, and where.

use super::ami::Tag;
use super::device::BlockDevice;
use image_action_engine::Config;
use std::collections::BTreeMap;
use std::time::Duration;

/// One filter, as a block.
#[derive(Clone, Debug, Config)]
pub struct NameValue {
    /// The name of the filter.
    pub name: String,
    /// The value that must match; `*` stands for anything.
    pub value: String,
}

/// A tag, as a block that calls its key `name`.
#[derive(Clone, Debug, Config)]
pub struct NamedTag {
    /// The tag's key.
    #[config(late)]
    pub name: String,
    /// The tag's value. It may use what is known of the source image, as in `{{ .SourceAMI }}`.
    #[config(late)]
    pub value: String,
}

/// Which image is the source.
#[derive(Clone, Debug, Config)]
pub struct AmiFilter {
    /// EC2's filters by name, such as `name`, `architecture` or `virtualization-type`. A value may hold several,
    /// separated by commas; `*` stands for anything.
    pub filters: BTreeMap<String, String>,
    /// Who owns the image: account ids, `self`, `amazon`, `aws-marketplace`. One at least.
    pub owners: Vec<String>,
    /// Takes the newest image where several match. Left out, several are an error.
    pub most_recent: bool,
    /// Looks at deprecated images, too.
    pub include_deprecated: bool,
}

/// Which VPC the instance runs in.
#[derive(Clone, Debug, Config)]
pub struct VpcFilter {
    /// EC2's filters by name, such as `tag:Name`.
    pub filters: BTreeMap<String, String>,
    /// One more filter, as a block.
    #[config(block)]
    pub filter: Vec<NameValue>,
}

/// Which subnet the instance runs in.
#[derive(Clone, Debug, Config)]
pub struct SubnetFilter {
    /// EC2's filters by name, such as `tag:Name`.
    pub filters: BTreeMap<String, String>,
    /// One more filter, as a block.
    #[config(block)]
    pub filter: Vec<NameValue>,
    /// Takes the subnet with most free addresses where several match. Without this and `random`, several are an error.
    pub most_free: bool,
    /// Takes any subnet where several match.
    pub random: bool,
}

/// Which security groups the instance has.
#[derive(Clone, Debug, Config)]
pub struct SecurityGroupFilter {
    /// EC2's filters by name, such as `tag:Name`.
    pub filters: BTreeMap<String, String>,
    /// One more filter, as a block.
    #[config(block)]
    pub filter: Vec<NameValue>,
}

/// The metadata service of the instance.
#[derive(Clone, Debug, Config)]
pub struct MetadataOptions {
    /// Whether there is a metadata service: `enabled` or `disabled`.
    #[config(default = "enabled")]
    pub http_endpoint: String,
    /// Whether the instance has to ask for a session token first (IMDSv2): `required` or `optional`.
    #[config(default = "optional")]
    pub http_tokens: String,
    /// How many hops an answer travels: 1 to 64. Containers on the instance need 2.
    #[config(default = "1")]
    pub http_put_response_hop_limit: i64,
    /// Whether the instance sees its own tags there: `enabled` or `disabled`.
    #[config(default = "disabled")]
    pub instance_metadata_tags: String,
}

/// The host that the instance runs on.
#[derive(Clone, Debug, Config)]
pub struct Placement {
    /// The ARN of a host resource group, from which a host is taken.
    pub host_resource_group_arn: String,
    /// The id of a dedicated host.
    pub host_id: String,
    /// `default`, `dedicated` or `host`. Left out: as the VPC says.
    pub tenancy: String,
}

/// A licence of the instance.
#[derive(Clone, Debug, Config)]
pub struct LicenseSpecification {
    /// Which licence configuration the instance uses.
    #[config(block)]
    pub license_configuration_request: Option<LicenseConfiguration>,
}

/// Which licence.
#[derive(Clone, Debug, Config)]
pub struct LicenseConfiguration {
    /// The ARN of the licence configuration.
    pub license_configuration_arn: String,
}

/// A policy of a temporary instance profile.
#[derive(Clone, Debug, Config)]
pub struct PolicyDocument {
    /// The version of the policy language: `2012-10-17`.
    #[config(name = "Version")]
    pub version: String,
    /// One statement of the policy.
    #[config(name = "Statement", block)]
    pub statement: Vec<PolicyStatement>,
}

/// One statement of a policy.
#[derive(Clone, Debug, Config)]
pub struct PolicyStatement {
    /// `Allow` or `Deny`.
    #[config(name = "Effect")]
    pub effect: String,
    /// The actions that are allowed or denied, such as `s3:GetObject`.
    #[config(name = "Action")]
    pub action: Vec<String>,
    /// The ARNs that the actions are about.
    #[config(name = "Resource")]
    pub resource: Vec<String>,
}

/// Launch templates for faster launching of Windows images, by region.
#[derive(Clone, Debug, Config)]
pub struct RegionLaunchTemplate {
    /// The region, one of `ami_regions` or the one of the build.
    #[config(required)]
    pub region: String,
    /// Whether faster launching is switched on there. Left out: as the block around says.
    pub enable_fast_launch: Option<bool>,
    /// The id of the launch template in that region.
    pub template_id: String,
    /// The name of the launch template in that region, in place of an id.
    pub template_name: String,
    /// The version of the launch template. Left out, or 0: its default.
    pub template_version: i64,
}

/// Faster launching of Windows images.
#[derive(Clone, Debug, Config)]
pub struct FastLaunch {
    /// Switches faster launching on.
    pub enable_fast_launch: bool,
    /// The id of the launch template that AWS launches instances with.
    pub template_id: String,
    /// The name of the launch template, in place of an id.
    pub template_name: String,
    /// The version of the launch template. Left out, or 0: its default.
    pub template_version: i64,
    /// How many instances are launched at a time: 6 at least. Left out: 6.
    pub max_parallel_launches: i64,
    /// How many snapshots are kept ready. Left out: 5.
    pub target_resource_count: i64,
    /// What holds for one region.
    #[config(block)]
    pub region_launch_templates: Vec<RegionLaunchTemplate>,
}

/// What instance is launched, and where.
#[derive(Clone, Debug, Config)]
pub struct Run {
    /// The type of the instance, such as `t3.medium`. Either this or `spot_instance_types` must be set.
    pub instance_type: String,
    /// The id of the source image. Either this or `source_ami_filter` must be set.
    pub source_ami: String,
    /// Finds the source image.
    #[config(block)]
    pub source_ami_filter: Option<AmiFilter>,
    /// Whether the instance has a public address. Where it is set and no subnet is named, a subnet of the default VPC
    /// is chosen. Left out: as the subnet says.
    pub associate_public_ip_address: Option<bool>,
    /// The availability zone, such as `eu-central-1a`. Left out: that of the subnet, or any.
    pub availability_zone: String,
    /// The id of the VPC that the instance runs in. One that is not the default VPC needs a subnet. Left out: that of
    /// the subnet, or the default VPC.
    pub vpc_id: String,
    /// Finds the VPC; exactly one has to match.
    #[config(block)]
    pub vpc_filter: Option<VpcFilter>,
    /// The id of the subnet that the instance runs in. Left out: one of the default VPC.
    pub subnet_id: String,
    /// Finds the subnet.
    #[config(block)]
    pub subnet_filter: Option<SubnetFilter>,
    /// The id of a security group to use. Left out, with the two below: a temporary one is made, which lets in the port
    /// of the communicator.
    pub security_group_id: String,
    /// The ids of security groups to use, in place of a temporary one.
    pub security_group_ids: Vec<String>,
    /// Finds security groups to use, in place of a temporary one.
    #[config(block)]
    pub security_group_filter: Option<SecurityGroupFilter>,
    /// Who may reach the instance through the temporary security group: blocks of addresses, such as `203.0.113.0/24`.
    /// Left out: everybody.
    pub temporary_security_group_source_cidrs: Vec<String>,
    /// Lets only the public address of the machine that runs the build in, as `checkip.amazonaws.com` sees it.
    #[config(unsupported)]
    pub temporary_security_group_source_public_ip: bool,
    /// User data of the instance: a script or a cloud-init document.
    pub user_data: String,
    /// The path of a file with the user data, in place of `user_data`.
    pub user_data_file: String,
    /// The name of the instance profile that the instance has. Left out: none.
    pub iam_instance_profile: String,
    /// Does not ask IAM whether the instance profile exists. It is never asked here: EC2 says so at the launch.
    pub skip_profile_validation: bool,
    /// Makes a temporary role and instance profile with this policy for the instance, and removes them after the build.
    #[config(block, unsupported)]
    pub temporary_iam_instance_profile_policy_document: Option<PolicyDocument>,
    /// What a shutdown from inside does to the instance: `stop` or `terminate`.
    #[config(default = "stop")]
    pub shutdown_behavior: String,
    /// Does not stop the instance before the image is made, because a provisioner does; it is only waited for.
    pub disable_stop_instance: bool,
    /// Launches the instance with bandwidth of its own for EBS.
    pub ebs_optimized: bool,
    /// Launches the instance with Nitro enclaves.
    pub enable_nitro_enclave: bool,
    /// Gives a burstable instance type unlimited CPU credits, which may cost more.
    pub enable_unlimited_credits: bool,
    /// The old name of `enable_unlimited_credits`.
    #[config(deprecated = "enable_unlimited_credits")]
    pub enable_t2_unlimited: bool,
    /// The metadata service of the instance.
    #[config(block)]
    pub metadata_options: Option<MetadataOptions>,
    /// `open` lets the instance use an open capacity reservation, `none` does not. Left out: `none`, or the reservation
    /// that the two options below name.
    pub capacity_reservation_preference: String,
    /// The id of a capacity reservation that the instance uses.
    pub capacity_reservation_id: String,
    /// The ARN of a group of capacity reservations that the instance uses.
    pub capacity_reservation_group_arn: String,
    /// The host that the instance runs on.
    #[config(block)]
    pub placement: Option<Placement>,
    /// `default`, `dedicated` or `host`.
    #[config(deprecated = "placement { tenancy = … }")]
    pub tenancy: String,
    /// A licence configuration that the instance uses.
    #[config(block)]
    pub license_specifications: Vec<LicenseSpecification>,
    /// Tags of everything that the build makes: key pair, security group, instance, network interface, image. Values
    /// may use what is known of the source image, as in `{{ .SourceAMI }}`.
    #[config(late)]
    pub run_tags: BTreeMap<String, String>,
    /// A tag of everything that the build makes. It goes before an entry of the same key in `run_tags`.
    #[config(block)]
    pub run_tag: Vec<Tag>,
    /// Tags of the instance's volumes. Left out: they have none.
    #[config(late)]
    pub run_volume_tags: BTreeMap<String, String>,
    /// A tag of the instance's volumes. It goes before an entry of the same key in `run_volume_tags`.
    #[config(block)]
    pub run_volume_tag: Vec<NamedTag>,
    /// The highest price of a spot instance an hour, in US dollars; `auto` is the on-demand price.
    #[config(unsupported)]
    pub spot_price: String,
    /// Instance types that the spot instance may have, in place of `instance_type`.
    #[config(unsupported)]
    pub spot_instance_types: Vec<String>,
    /// How the spot instance is chosen among the types and zones, such as `price-capacity-optimized`. Left out: by the
    /// lowest price.
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
    /// It was a part of how the price of a spot instance was found.
    #[config(deprecated = "nothing: it has no effect")]
    pub spot_price_auto_product: String,
    /// For how many minutes a spot instance was reserved.
    #[config(deprecated = "nothing: AWS has no spot instances of a fixed duration any more")]
    pub block_duration_minutes: i64,
    /// How long the password of a Windows instance is waited for.
    #[config(default = "20m", only_with = "communicator = winrm")]
    pub windows_password_timeout: Duration,
    /// Which address the build connects to: `public_ip`, `private_ip`, `public_dns`, `private_dns`, `ipv6`,
    /// `session_manager`. Left out: the public address, and the private one where there is none.
    #[config(
        unsupported_values = "session_manager",
        instead = "use private_ip with ssh_bastion_host, or public_ip; or build this source with Packer"
    )]
    pub ssh_interface: String,
    /// A pause before the session manager is asked for a session. Left out: none.
    #[config(only_with = "ssh_interface = session_manager")]
    pub pause_before_ssm: Duration,
    /// The local port of the session manager's tunnel. Left out, or 0: any free one.
    #[config(only_with = "ssh_interface = session_manager")]
    pub session_manager_port: i64,
    /// Block devices of the instance, beside or in place of those of the source image.
    #[config(block)]
    pub launch_block_device_mappings: Vec<BlockDevice>,
    /// Leaves out the instance-store devices of a Windows image.
    pub no_ephemeral: bool,
    /// Faster launching of Windows images.
    #[config(block, unsupported)]
    pub fast_launch: Option<FastLaunch>,
}
