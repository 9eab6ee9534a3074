//! Where the instance runs: VPC, subnet, availability zone.

use crate::account::Ec2;
use crate::config::Run;
use crate::config::run::NameValue;
use crate::images::{filter, filters, text};
use aws_sdk_ec2::types::{Filter, LocationType, Subnet};
use futures_util::future::join_all;
use image_action_engine::{BuildContext, Error, ErrorKind, Result};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the place; what is empty is left to AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// VPC.
    pub vpc: Option<String>,
    /// Subnet.
    pub subnet: Option<String>,
    /// Availability zone.
    pub zone: Option<String>,
}

fn set(value: &str) -> Option<String> {
    Some(value.to_owned()).filter(|v| !v.is_empty())
}

/// Filters as map and as blocks.
fn all_filters(map: &BTreeMap<String, String>, blocks: &[NameValue]) -> Vec<Filter> {
    let mut all = filters(map);
    all.extend(blocks.iter().map(|f| filter(&f.name, crate::images::filter_values(&f.value))));
    all
}

/// Finds the place that the options mean.
///
/// # Errors
/// A filter that matches nothing or too much, or a call that is refused. What is only guessed (a subnet of the default VPC)
/// never fails: it is told, and left to AWS.
pub async fn resolve(cx: &BuildContext, ec2: &Ec2, run: &Run) -> Result<Network> {
    let mut network = Network { vpc: set(&run.vpc_id), subnet: set(&run.subnet_id), zone: set(&run.availability_zone) };
    if let (None, Some(wanted)) = (&network.vpc, &run.vpc_filter) {
        let found = vpcs(ec2, all_filters(&wanted.filters, &wanted.filter)).await?;
        let [vpc] = &found[..] else {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("vpc_filter matches {} VPCs in {}, and has to match one", found.len(), ec2.region),
            )
            .hint("make the filter match exactly one, or set `vpc_id`"));
        };
        cx.message(format!("VPC {vpc}"));
        network.vpc = Some(vpc.clone());
    }
    if let (None, Some(wanted)) = (&network.subnet, &run.subnet_filter) {
        let mut all = all_filters(&wanted.filters, &wanted.filter);
        all.push(filter("state", vec!["available".to_owned()]));
        all.extend(network.vpc.clone().map(|v| filter("vpc-id", vec![v])));
        all.extend(network.zone.clone().map(|z| filter("availabilityZone", vec![z])));
        let mut found = subnets(ec2, all).await?;
        found.sort_by_key(|s| std::cmp::Reverse(s.available_ip_address_count()));
        let chosen = match found.len() {
            0 => Err(Error::new(ErrorKind::NotFound, format!("subnet_filter matches no subnet in {}", ec2.region))
                .hint("check its filters")),
            1 => Ok(0),
            _ if wanted.most_free => Ok(0),
            n if wanted.random => Ok(rand::random_range(0..n)),
            n => Err(Error::new(ErrorKind::Invalid, format!("subnet_filter matches {n} subnets in {}", ec2.region))
                .hint("set `most_free = true` or `random = true` in it, or make it narrower")),
        }?;
        network = of_subnet(network, &found[chosen]);
    }
    if run.associate_public_ip_address.is_some() && network.subnet.is_none() {
        network = guess(cx, ec2, run, network).await?;
    }
    if let Some(subnet) = network.subnet.clone()
        && (network.zone.is_none() || network.vpc.is_none())
    {
        let request = ec2.client.describe_subnets().subnet_ids(&subnet);
        let answer = ec2.call("DescribeSubnets", &subnet, || request.clone().send()).await?;
        if let Some(found) = answer.subnets().first() {
            network = of_subnet(network, found);
        }
    }
    Ok(network)
}

fn of_subnet(mut network: Network, subnet: &Subnet) -> Network {
    network.subnet = subnet.subnet_id().map(str::to_owned);
    network.vpc = network.vpc.or_else(|| subnet.vpc_id().map(str::to_owned));
    network.zone = network.zone.or_else(|| subnet.availability_zone().map(str::to_owned));
    network
}

async fn vpcs(ec2: &Ec2, filters: Vec<Filter>) -> Result<Vec<String>> {
    let request = ec2.client.describe_vpcs().set_filters(Some(filters));
    let answer = ec2.call("DescribeVpcs", "", || request.clone().send()).await?;
    Ok(answer.vpcs().iter().map(|v| text(v.vpc_id())).collect())
}

async fn subnets(ec2: &Ec2, filters: Vec<Filter>) -> Result<Vec<Subnet>> {
    let request = ec2.client.describe_subnets().set_filters(Some(filters));
    let answer = ec2.call("DescribeSubnets", "", || request.clone().send()).await?;
    Ok(answer.subnets.unwrap_or_default())
}

/// A public address was asked for (or refused) and no subnet named: one of the VPC, in a zone that has the instance type,
/// with most free addresses.
async fn guess(cx: &BuildContext, ec2: &Ec2, run: &Run, network: Network) -> Result<Network> {
    let result = guess_subnet(ec2, run, &network).await;
    match result {
        Ok(Some(subnet)) => {
            let network = of_subnet(network, &subnet);
            cx.message(format!("Subnet {} in {}", text(subnet.subnet_id()), text(subnet.availability_zone())));
            Ok(network)
        }
        Ok(None) => {
            cx.warn(format!("associate_public_ip_address has no effect: {} has no default VPC with a subnet; set vpc_id and subnet_id", ec2.region));
            Ok(network)
        }
        Err(e) if e.is_cancelled() => Err(e),
        Err(e) => {
            cx.warn(format!("associate_public_ip_address has no effect: no subnet could be chosen: {e}"));
            Ok(network)
        }
    }
}

async fn guess_subnet(ec2: &Ec2, run: &Run, network: &Network) -> Result<Option<Subnet>> {
    let vpc = match &network.vpc {
        Some(vpc) => vpc.clone(),
        None => match vpcs(ec2, vec![filter("is-default", vec!["true".to_owned()])]).await?.pop() {
            Some(vpc) => vpc,
            None => return Ok(None),
        },
    };
    let mut wanted = vec![filter("state", vec!["available".to_owned()]), filter("vpc-id", vec![vpc])];
    wanted.extend(network.zone.clone().map(|z| filter("availabilityZone", vec![z])));
    let mut found = subnets(ec2, wanted).await?;
    let zones: BTreeSet<String> = found.iter().map(|s| text(s.availability_zone())).collect();
    let capable = capable_zones(ec2, &run.instance_type, zones).await;
    if found.iter().any(|s| capable.contains(s.availability_zone().unwrap_or_default())) {
        found.retain(|s| capable.contains(s.availability_zone().unwrap_or_default()));
    }
    Ok(found.into_iter().max_by_key(|s| s.available_ip_address_count().unwrap_or(0)))
}

/// The zones that have an instance type; a zone that AWS does not answer for is left out.
async fn capable_zones(ec2: &Ec2, instance_type: &str, zones: BTreeSet<String>) -> BTreeSet<String> {
    let asked = zones.into_iter().map(|zone| async move {
        let request = ec2
            .client
            .describe_instance_type_offerings()
            .location_type(LocationType::AvailabilityZone)
            .filters(filter("location", vec![zone.clone()]))
            .filters(filter("instance-type", vec![instance_type.to_owned()]));
        let answer = ec2.call("DescribeInstanceTypeOfferings", instance_type, || request.clone().send()).await.ok()?;
        (!answer.instance_type_offerings().is_empty()).then_some(zone)
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// Refuses a VPC that is not the default one where no subnet is named: the instance would not run in it.
///
/// # Errors
/// That, or a call that is refused.
pub async fn check_vpc(ec2: &Ec2, run: &Run) -> Result<()> {
    if run.vpc_id.is_empty() || !run.subnet_id.is_empty() || run.subnet_filter.is_some() {
        return Ok(());
    }
    let request = ec2.client.describe_vpcs().vpc_ids(&run.vpc_id);
    let answer = ec2.call("DescribeVpcs", &run.vpc_id, || request.clone().send()).await?;
    if answer.vpcs().iter().all(|v| v.is_default() == Some(true)) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        format!("{} is not the default VPC of {}, and no subnet of it is named", run.vpc_id, ec2.region),
    )
    .hint("set `subnet_id`, or a block `subnet_filter`"))
}
