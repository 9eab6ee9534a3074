//! From nothing to an instance that runs: key pair, security group, launch.

use super::work::{Work, noted};
use crate::config::check::BURSTABLE;
use crate::config::{BlockDevice, Run};
use crate::failure::Failure;
use crate::images::text;
use crate::network::Network;
use crate::tags::{Late, show, specification};
use aws_sdk_ec2::types as ec2;
use aws_sdk_ec2::types::{Image, Instance, InstanceStateName, IpPermission, IpRange, Ipv6Range, ResourceType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image_action_engine::wait::NOT_FOUND_GRACE;
use image_action_engine::{Error, ErrorKind, Result, Secret};
use image_action_lang::gotemplate::functions::time_ordered_uuid;
use std::collections::BTreeMap;
use tokio::time::Instant;

/// What the description of a temporary security group says.
const GROUP_DESCRIPTION: &str = "Temporary group of image-action";

/// The prefix of temporary names: Packer's, which policies of accounts may name.
const NAME_PREFIX: &str = "packer_";

/// A key pair that AWS knows, and perhaps its private half.
#[derive(Default)]
pub struct KeyPair {
    /// The name that the instance is launched with.
    pub name: Option<String>,
    /// The private key of a temporary pair, as PEM.
    pub private: Option<Secret>,
}

/// A name that nobody else has.
pub fn unique_name() -> String {
    format!("{NAME_PREFIX}{}", time_ordered_uuid(chrono::Utc::now()))
}

/// Makes the temporary key pair, or takes the one that the template names.
///
/// # Errors
/// A call that is refused.
pub async fn key_pair(work: &Work<'_>, tags: &BTreeMap<String, String>) -> Result<KeyPair> {
    let login = &work.config.communicator;
    let named = Some(login.ssh_keypair_name.clone()).filter(|n| !n.is_empty());
    let given = Some(login.temporary_key_pair_name.clone()).filter(|n| !n.is_empty());
    let own_key = !login.ssh_private_key_file.is_empty() || login.ssh_agent_auth;
    if own_key || given.is_none() && (named.is_some() || !login.ssh_password.is_empty()) {
        work.cx.message(match &named {
            Some(name) => format!("Key pair {name}"),
            None => "No key pair: the login is the template's own".to_owned(),
        });
        return Ok(KeyPair { name: named.filter(|_| own_key), private: None });
    }
    let name = given.clone().unwrap_or_else(unique_name);
    work.cx.say(format!("Creating the temporary key pair {name}"));
    let entry = work.intent("key-pair", &work.ec2.region, &name)?;
    let mut answer = create_key(work, &name, tags).await;
    if answer.as_ref().is_err_and(|f| f.code == "InvalidKeyPair.Duplicate") && given.is_none() {
        // Nobody else has this name: the key was made, and lost with the answer.
        let request = work.ec2.client.delete_key_pair().key_name(&name);
        work.ec2.call("DeleteKeyPair", &name, || request.clone().send()).await?;
        answer = create_key(work, &name, tags).await;
    }
    let answer = noted(&entry, answer)?;
    entry.created(answer.key_pair_id().unwrap_or(&name))?;
    Ok(KeyPair { name: Some(name), private: answer.key_material.map(Secret::new) })
}

async fn create_key(
    work: &Work<'_>,
    name: &str,
    tags: &BTreeMap<String, String>,
) -> Result<aws_sdk_ec2::operation::create_key_pair::CreateKeyPairOutput, Failure> {
    let ed25519 = work.config.communicator.temporary_key_pair_type.eq_ignore_ascii_case("ed25519");
    let creator = work.creator_in(&work.ec2.region);
    let request = creator
        .client
        .create_key_pair()
        .key_name(name)
        .key_type(if ed25519 { ec2::KeyType::Ed25519 } else { ec2::KeyType::Rsa })
        .tag_specifications(specification(ResourceType::KeyPair, tags));
    creator.call("CreateKeyPair", name, || request.clone().send()).await
}

/// The security groups of the instance: the template's, or a temporary one that lets the communicator in.
///
/// # Errors
/// A call that is refused.
pub async fn security_groups(
    work: &Work<'_>,
    network: &Network,
    tags: &BTreeMap<String, String>,
) -> Result<Vec<String>> {
    let run = &work.config.run;
    if !run.security_group_ids.is_empty() {
        return Ok(run.security_group_ids.clone());
    }
    if !run.security_group_id.is_empty() {
        return Ok(vec![run.security_group_id.clone()]);
    }
    if let Some(wanted) = &run.security_group_filter {
        return found_groups(work, wanted, network).await;
    }
    let name = unique_name();
    work.cx.say(format!("Creating the temporary security group {name}"));
    let creator = work.creator_in(&work.ec2.region);
    let entry = work.intent("security-group", &work.ec2.region, &name)?;
    let request = creator
        .client
        .create_security_group()
        .group_name(&name)
        .description(GROUP_DESCRIPTION)
        .set_vpc_id(network.vpc.clone())
        .tag_specifications(specification(ResourceType::SecurityGroup, tags));
    let answer = creator.call("CreateSecurityGroup", &name, || request.clone().send()).await;
    let id = match answer {
        // Nobody else has this name: the group was made, and the answer was lost.
        Err(f) if f.code == "InvalidGroup.Duplicate" => group_named(work, &name).await?,
        answer => text(noted(&entry, answer)?.group_id()),
    };
    entry.created(&id)?;
    open_door(work, &id).await?;
    Ok(vec![id])
}

async fn group_named(work: &Work<'_>, name: &str) -> Result<String> {
    let request =
        work.ec2.client.describe_security_groups().filters(crate::images::filter("group-name", vec![name.to_owned()]));
    let answer = work.ec2.call("DescribeSecurityGroups", name, || request.clone().send()).await?;
    let found = answer.security_groups().first().and_then(|g| g.group_id());
    found
        .map(str::to_owned)
        .ok_or_else(|| Error::failed(format!("the security group {name} exists and is not to be seen")))
}

async fn found_groups(
    work: &Work<'_>,
    wanted: &crate::config::run::SecurityGroupFilter,
    network: &Network,
) -> Result<Vec<String>> {
    let mut filters = crate::images::filters(&wanted.filters);
    filters
        .extend(wanted.filter.iter().map(|f| crate::images::filter(&f.name, crate::images::filter_values(&f.value))));
    filters.extend(network.vpc.clone().map(|v| crate::images::filter("vpc-id", vec![v])));
    let request = work.ec2.client.describe_security_groups().set_filters(Some(filters));
    let answer = work.ec2.call("DescribeSecurityGroups", "security_group_filter", || request.clone().send()).await?;
    let found: Vec<String> = answer.security_groups().iter().map(|g| text(g.group_id())).collect();
    if found.is_empty() {
        work.cx.warn("security_group_filter matches no security group: the instance has the VPC's default one");
    }
    Ok(found)
}

/// Lets the communicator's port in. A group that was just made may not be known everywhere at once.
async fn open_door(work: &Work<'_>, group: &str) -> Result<()> {
    let login = &work.config.communicator;
    let port = i32::from(login.port());
    let run = &work.config.run;
    let cidrs = if run.temporary_security_group_source_cidrs.is_empty() {
        let everybody = if run.ssh_interface == "ipv6" { "::/0" } else { "0.0.0.0/0" };
        vec![everybody.to_owned()]
    } else {
        run.temporary_security_group_source_cidrs.clone()
    };
    work.cx.message(format!("Port {port} of {group} is open to {}", cidrs.join(", ")));
    let (six, four): (Vec<_>, Vec<_>) = cidrs.into_iter().partition(|c| c.contains(':'));
    let four = four.into_iter().map(|c| IpRange::builder().cidr_ip(c).build()).collect::<Vec<_>>();
    let six = six.into_iter().map(|c| Ipv6Range::builder().cidr_ipv6(c).build()).collect::<Vec<_>>();
    let permission = IpPermission::builder()
        .ip_protocol("tcp")
        .from_port(port)
        .to_port(port)
        .set_ip_ranges(Some(four).filter(|r| !r.is_empty()))
        .set_ipv6_ranges(Some(six).filter(|r| !r.is_empty()))
        .build();
    let request = work.ec2.client.authorize_security_group_ingress().group_id(group).ip_permissions(permission);
    let wait = work.waits.group(format!("{group} to be known"));
    wait.until(work.ec2.cancel(), || async {
        match work.ec2.call("AuthorizeSecurityGroupIngress", group, || request.clone().send()).await {
            Ok(_) => Ok(Some(())),
            Err(f) if f.code == "InvalidGroup.NotFound" => Ok(None),
            // An answer that was lost: the rule stands.
            Err(f) if f.code == "InvalidPermission.Duplicate" => Ok(Some(())),
            Err(f) => Err(f.into()),
        }
    })
    .await
}

/// What a launch needs beside the configuration.
pub struct Launch<'a> {
    /// The source image.
    pub source: &'a Image,
    /// Where.
    pub network: &'a Network,
    /// Key pair.
    pub key: Option<&'a str>,
    /// Security groups.
    pub groups: &'a [String],
    /// Tags of everything.
    pub tags: &'a BTreeMap<String, String>,
    /// Renders the other tags.
    pub late: &'a Late,
}

/// Launches the instance and waits until it runs.
///
/// # Errors
/// A refusal, or the reason why the instance did not start.
pub async fn launch(work: &Work<'_>, launch: &Launch<'_>) -> Result<Instance> {
    let run = &work.config.run;
    let token = time_ordered_uuid(chrono::Utc::now());
    work.cx.say(format!("Launching an instance of {} ({})", text(launch.source.image_id()), run.instance_type));
    work.cx.message(format!("Tags: {}", show(launch.tags)));
    let keep: Vec<String> = run
        .launch_block_device_mappings
        .iter()
        .filter(|d| d.delete_on_termination == Some(false))
        .map(|d| d.device_name.clone())
        .collect();
    let request = request(work, launch, &token)?;
    let creator = work.creator_in(&work.ec2.region);
    let entry = work.intent_with("instance", &work.ec2.region, &token, keep)?;
    let answer = started(work, &creator, &run.instance_type, &request).await;
    let answer = noted(&entry, answer)?;
    let id = text(answer.instances().first().and_then(|i| i.instance_id()));
    entry.created(&id)?;
    work.cx.message(format!("Instance {id}"));
    running(work, &id).await
}

type RunInstances = aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;

/// Calls RunInstances; an instance profile, a key pair and a group of a moment ago may not be known everywhere yet.
async fn started(
    work: &Work<'_>,
    creator: &crate::account::Ec2,
    what: &str,
    request: &RunInstances,
) -> Result<aws_sdk_ec2::operation::run_instances::RunInstancesOutput, Failure> {
    let begin = Instant::now();
    let mut round = 0;
    loop {
        let answer = creator.call("RunInstances", what, || request.clone().send()).await;
        let Err(failure) = &answer else { return answer };
        let profile = failure.code == "InvalidParameterValue" && failure.message.contains("iamInstanceProfile");
        let unseen = matches!(failure.code.as_str(), "InvalidGroup.NotFound" | "InvalidKeyPair.NotFound");
        let ours = work.config.run.security_group_id.is_empty() && work.config.communicator.ssh_keypair_name.is_empty();
        if !(profile || unseen && ours) || begin.elapsed() > NOT_FOUND_GRACE {
            return answer;
        }
        let pauses = image_action_engine::wait::POLL_PAUSES;
        let next = pauses[usize::min(round, pauses.len() - 1)];
        image_action_engine::wait::pause(image_action_engine::wait::scaled(next), &work.cx.cancel).await?;
        round += 1;
    }
}

fn request(work: &Work<'_>, launch: &Launch<'_>, token: &str) -> Result<RunInstances> {
    let run = &work.config.run;
    let mut specifications = vec![
        specification(ResourceType::Instance, launch.tags),
        specification(ResourceType::NetworkInterface, launch.tags),
    ];
    let mut volume = crate::tags::own(work.cx);
    for (key, value) in run.run_volume_tags.iter().chain(run.run_volume_tag.iter().map(|t| (&t.name, &t.value))) {
        volume.insert(launch.late.text("run_volume_tags", key)?, launch.late.text("run_volume_tags", value)?);
    }
    specifications.push(specification(ResourceType::Volume, &volume));
    let set = |s: &str| Some(s.to_owned()).filter(|s| !s.is_empty());
    let request = work
        .ec2
        .client
        .run_instances()
        .client_token(token)
        .image_id(text(launch.source.image_id()))
        .instance_type(ec2::InstanceType::from(run.instance_type.as_str()))
        .min_count(1)
        .max_count(1)
        .set_user_data(user_data(work)?)
        .set_iam_instance_profile(
            set(&run.iam_instance_profile).map(|n| ec2::IamInstanceProfileSpecification::builder().name(n).build()),
        )
        .set_block_device_mappings(Some(devices(run)).filter(|d| !d.is_empty()))
        .set_placement(placement(run, launch.network))
        .ebs_optimized(run.ebs_optimized)
        .enclave_options(ec2::EnclaveOptionsRequest::builder().enabled(run.enable_nitro_enclave).build())
        .set_credit_specification(credits(run))
        .set_metadata_options(Some(metadata(run)))
        .set_key_name(launch.key.map(str::to_owned))
        .set_license_specifications(licenses(run))
        .set_capacity_reservation_specification(Some(capacity(run)))
        .instance_initiated_shutdown_behavior(ec2::ShutdownBehavior::from(run.shutdown_behavior.as_str()))
        .set_tag_specifications(Some(specifications));
    let groups = Some(launch.groups.to_vec()).filter(|g| !g.is_empty());
    Ok(match (&launch.network.subnet, run.associate_public_ip_address) {
        (Some(subnet), Some(public)) => request.network_interfaces(
            ec2::InstanceNetworkInterfaceSpecification::builder()
                .device_index(0)
                .associate_public_ip_address(public)
                .subnet_id(subnet)
                .set_groups(groups)
                .delete_on_termination(true)
                .build(),
        ),
        (subnet, _) => request.set_subnet_id(subnet.clone()).set_security_group_ids(groups),
    })
}

fn user_data(work: &Work<'_>) -> Result<Option<String>> {
    let run = &work.config.run;
    let bytes = if run.user_data_file.is_empty() {
        run.user_data.clone().into_bytes()
    } else {
        let path = work.cx.run.cwd.join(&run.user_data_file);
        std::fs::read(&path).map_err(|e| {
            Error::new(ErrorKind::Invalid, format!("user_data_file {} cannot be read: {e}", path.display()))
                .hint("correct the path; a relative one starts from the working directory")
        })?
    };
    if bytes.is_empty() {
        return Ok(None);
    }
    // Text that is base64 already is sent as it is, as Packer does.
    match String::from_utf8(bytes) {
        Ok(text) if STANDARD.decode(text.trim()).is_ok() => Ok(Some(text.trim().to_owned())),
        Ok(text) => Ok(Some(STANDARD.encode(text))),
        Err(e) => Ok(Some(STANDARD.encode(e.as_bytes()))),
    }
}

fn small(n: i64) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

/// A block device as EC2 wants it.
pub fn device(d: &BlockDevice) -> ec2::BlockDeviceMapping {
    let mapping = ec2::BlockDeviceMapping::builder().device_name(&d.device_name);
    if d.no_device {
        return mapping.no_device("").build();
    }
    if !d.virtual_name.is_empty() {
        let name = Some(d.virtual_name.clone()).filter(|n| n.starts_with("ephemeral"));
        return mapping.set_virtual_name(name).build();
    }
    let set = |s: &str| Some(s.to_owned()).filter(|s| !s.is_empty());
    let kind = d.volume_type.as_str();
    let ebs = ec2::EbsBlockDevice::builder()
        .delete_on_termination(d.delete_on_termination.unwrap_or(false))
        .set_encrypted(d.encrypted)
        .set_kms_key_id(set(&d.kms_key_id))
        .set_iops(d.iops.filter(|_| ["io1", "io2", "gp3"].contains(&kind)).map(small))
        .set_throughput(d.throughput.filter(|_| kind == "gp3").map(small))
        .set_volume_type(set(kind).map(|k| ec2::VolumeType::from(k.as_str())))
        .set_volume_size(Some(d.volume_size).filter(|s| *s > 0).map(small))
        .set_snapshot_id(set(&d.snapshot_id));
    mapping.ebs(ebs.build()).build()
}

fn devices(run: &Run) -> Vec<ec2::BlockDeviceMapping> {
    let mut all: Vec<_> = run.launch_block_device_mappings.iter().map(device).collect();
    if run.no_ephemeral {
        // The 26 devices that Windows images bring.
        all.extend(
            ('a'..='z')
                .map(|c| ec2::BlockDeviceMapping::builder().device_name(format!("xvdc{c}")).no_device("").build()),
        );
    }
    all
}

fn placement(run: &Run, network: &Network) -> Option<ec2::Placement> {
    let set = |s: &str| Some(s.to_owned()).filter(|s| !s.is_empty());
    let own = run.placement.as_ref();
    let tenancy = own.map(|p| p.tenancy.as_str()).filter(|t| !t.is_empty()).unwrap_or(&run.tenancy);
    let placement = ec2::Placement::builder()
        .set_availability_zone(network.zone.clone())
        .set_host_id(own.and_then(|p| set(&p.host_id)))
        .set_host_resource_group_arn(own.and_then(|p| set(&p.host_resource_group_arn)))
        .set_tenancy(set(tenancy).map(|t| ec2::Tenancy::from(t.as_str())))
        .build();
    (placement != ec2::Placement::builder().build()).then_some(placement)
}

fn credits(run: &Run) -> Option<ec2::CreditSpecificationRequest> {
    let unlimited = run.enable_unlimited_credits || run.enable_t2_unlimited;
    let burstable = BURSTABLE.iter().any(|f| run.instance_type.starts_with(f));
    let credits = if unlimited { "unlimited" } else { "standard" };
    burstable.then(|| ec2::CreditSpecificationRequest::builder().cpu_credits(credits).build())
}

fn metadata(run: &Run) -> ec2::InstanceMetadataOptionsRequest {
    let builder = ec2::InstanceMetadataOptionsRequest::builder();
    let Some(options) = &run.metadata_options else {
        return builder
            .http_endpoint(ec2::InstanceMetadataEndpointState::Enabled)
            .http_tokens(ec2::HttpTokensState::Optional)
            .http_put_response_hop_limit(1)
            .build();
    };
    if options.http_endpoint == "disabled" {
        return builder.http_endpoint(ec2::InstanceMetadataEndpointState::Disabled).build();
    }
    let tags = (options.instance_metadata_tags == "enabled").then_some(ec2::InstanceMetadataTagsState::Enabled);
    builder
        .http_endpoint(ec2::InstanceMetadataEndpointState::Enabled)
        .http_tokens(ec2::HttpTokensState::from(options.http_tokens.as_str()))
        .http_put_response_hop_limit(small(options.http_put_response_hop_limit))
        .set_instance_metadata_tags(tags)
        .build()
}

fn capacity(run: &Run) -> ec2::CapacityReservationSpecification {
    let set = |s: &str| Some(s.to_owned()).filter(|s| !s.is_empty());
    let (id, group) = (set(&run.capacity_reservation_id), set(&run.capacity_reservation_group_arn));
    let builder = ec2::CapacityReservationSpecification::builder();
    if id.is_none() && group.is_none() {
        let preference = set(&run.capacity_reservation_preference).unwrap_or_else(|| "none".to_owned());
        return builder
            .capacity_reservation_preference(ec2::CapacityReservationPreference::from(preference.as_str()))
            .build();
    }
    let target = ec2::CapacityReservationTarget::builder()
        .set_capacity_reservation_id(id)
        .set_capacity_reservation_resource_group_arn(group)
        .build();
    builder.capacity_reservation_target(target).build()
}

fn licenses(run: &Run) -> Option<Vec<ec2::LicenseConfigurationRequest>> {
    let arns = run.license_specifications.iter().filter_map(|l| l.license_configuration_request.as_ref());
    let all: Vec<_> = arns
        .map(|l| {
            ec2::LicenseConfigurationRequest::builder().license_configuration_arn(&l.license_configuration_arn).build()
        })
        .collect();
    Some(all).filter(|l| !l.is_empty())
}

/// The instance, once it is known everywhere.
///
/// # Errors
/// A call that is refused.
pub async fn describe(work: &Work<'_>, id: &str) -> Result<Option<Instance>> {
    let request = work.ec2.client.describe_instances().instance_ids(id);
    match work.ec2.call("DescribeInstances", id, || request.clone().send()).await {
        Ok(answer) => Ok(answer.reservations().iter().flat_map(|r| r.instances()).next().cloned()),
        Err(f) if f.code == "InvalidInstanceID.NotFound" => Ok(None),
        Err(f) => Err(f.into()),
    }
}

fn state(instance: &Instance) -> Option<&InstanceStateName> {
    instance.state()?.name()
}

/// Why an instance is in the state it is in, in AWS's words.
fn reason(instance: &Instance) -> String {
    let reason = instance.state_reason();
    let parts = [reason.and_then(|r| r.code()), reason.and_then(|r| r.message()), instance.state_transition_reason()];
    let mut parts: Vec<&str> = parts.into_iter().flatten().filter(|p| !p.is_empty()).collect();
    parts.dedup();
    parts.join("; ")
}

async fn running(work: &Work<'_>, id: &str) -> Result<Instance> {
    work.cx.phase("waiting for the instance to run");
    work.cx.say(format!("Waiting for {id} to run"));
    let begin = Instant::now();
    work.waits
        .instance(format!("{id} to run"))
        .until(work.ec2.cancel(), || async {
            let Some(instance) = describe(work, id).await? else {
                if begin.elapsed() > NOT_FOUND_GRACE {
                    return Err(Error::new(ErrorKind::NotFound, format!("the instance {id} does not exist any more")));
                }
                return Ok(None);
            };
            match state(&instance) {
                Some(InstanceStateName::Running) => Ok(Some(instance)),
                Some(InstanceStateName::Pending) | None => Ok(None),
                Some(other) => Err(Error::failed(format!("the instance {id} is {} and did not start", other.as_str()))
                    .detail(reason(&instance))
                    .hint("a key of KMS that the role may not use, or a quota of volumes, are common reasons")),
            }
        })
        .await
}

/// Stops the instance (or waits until a provisioner has) and waits until it is stopped.
///
/// # Errors
/// A refusal, or an instance that ends instead.
pub async fn stop(work: &Work<'_>, id: &str) -> Result<()> {
    if work.config.run.disable_stop_instance {
        work.cx.say(format!("Waiting for {id} to be stopped by the template"));
    } else {
        work.cx.say(format!("Stopping {id}"));
        let request = work.ec2.client.stop_instances().instance_ids(id);
        work.ec2.call("StopInstances", id, || request.clone().send()).await?;
    }
    work.cx.phase("waiting for the instance to stop");
    work.waits
        .instance(format!("{id} to stop"))
        .until(work.ec2.cancel(), || async {
            let instance = describe(work, id).await?;
            match instance.as_ref().and_then(state) {
                Some(InstanceStateName::Stopped) => Ok(Some(())),
                Some(s @ (InstanceStateName::Terminated | InstanceStateName::ShuttingDown)) => {
                    let detail = instance.as_ref().map(reason).unwrap_or_default();
                    Err(Error::failed(format!("the instance {id} is {} and cannot become an image", s.as_str()))
                        .detail(detail)
                        .hint("with shutdown_behavior = \"terminate\" no provisioner may shut the machine down"))
                }
                _ => Ok(None),
            }
        })
        .await
}

/// Sets what only a stopped instance lets be set: enhanced networking.
///
/// # Errors
/// A refusal.
pub async fn modify(work: &Work<'_>, id: &str) -> Result<()> {
    let ami = &work.config.ami;
    if ami.sriov_support {
        work.cx.message("Enhanced networking (SR-IOV) on");
        let simple = ec2::AttributeValue::builder().value("simple").build();
        let request = work.ec2.client.modify_instance_attribute().instance_id(id).sriov_net_support(simple);
        work.ec2.call("ModifyInstanceAttribute", id, || request.clone().send()).await?;
    }
    if let Some(on) = ami.ena_support {
        work.cx.message(format!("Enhanced networking (ENA) {}", if on { "on" } else { "off" }));
        let value = ec2::AttributeBooleanValue::builder().value(on).build();
        let request = work.ec2.client.modify_instance_attribute().instance_id(id).ena_support(value);
        work.ec2.call("ModifyInstanceAttribute", id, || request.clone().send()).await?;
    }
    Ok(())
}
