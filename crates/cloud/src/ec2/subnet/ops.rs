//! The subnet operations.

use super::Subnet;
use crate::ec2::asked::required;
use crate::ec2::describe::{Query, select, tag_values};
use crate::ec2::network_interface::{self, NetworkInterface};
use crate::ec2::offered::nothing_left;
use crate::ec2::{route_table, tags, vpc};
use crate::settings::Settings;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_types::{Arn, Cidr};
use roadstead_wire::fault::{Common, Fault};

/// EC2 CreateSubnet.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    mut input: api::CreateSubnetRequest,
) -> Result<api::CreateSubnetResult, Fault> {
    let account = &caller.identity.account;
    let tags = tags::given(input.tag_specifications.take(), api::ResourceType::Subnet)?;
    let vpc = vpc::ops::find(tx, account, &std::mem::take(&mut input.vpc_id))?.body;
    let (text, dry_run) = (input.cidr_block.take(), input.dry_run.take());
    let (zone_name, zone_id) = (input.availability_zone.take(), input.availability_zone_id.take());
    input.ipv6_native.take_if(|asked| !*asked);
    nothing_left(&input, "A subnet")?;
    let text = required(text, "cidrBlock")?;
    let malformed = || {
        Common::InvalidParameterValue
            .fault(format!("Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."))
    };
    let cidr: Cidr = text.parse().map_err(|_| malformed())?;
    // VPC user guide, "Subnet CIDR blocks": /16 to /28, inside one of the VPC's.
    if !vpc.blocks().any(|block| block.contains_cidr(cidr)) || !(16..=28).contains(&cidr.prefix()) {
        return Err(api::INVALID_SUBNET_RANGE.fault(format!("The CIDR '{text}' is invalid.")));
    }
    let others = tx.list(Index::<Subnet>::by("vpc", vpc.id.as_str()));
    if others.iter().any(|s| s.body.cidr.overlaps(cidr)) {
        return Err(api::INVALID_SUBNET_CONFLICT.fault(format!("The CIDR '{text}' conflicts with another subnet")));
    }
    let zones = Settings::of(tx).zones;
    let asked = |z: &&crate::settings::Zone| match (&zone_name, &zone_id) {
        (Some(name), _) => z.name == *name,
        (None, Some(id)) => z.id == *id,
        (None, None) => true,
    };
    let zone = zones.iter().find(asked).ok_or_else(|| {
        let named = zone_name.as_ref().or(zone_id.as_ref());
        let all: Vec<_> = zones.iter().map(|z| z.name.as_str()).collect();
        Common::InvalidParameterValue.fault(format!(
            "Value ({}) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: {}.",
            named.map_or("", String::as_str),
            all.join(", ")
        ))
    })?;
    tags::not_dry(dry_run)?;
    let mut subnet = super::create(tx, None, &vpc, cidr, zone, false);
    subnet.tags = tags;
    tx.set(&Subnet::key(account, &subnet.id), None, subnet.clone());
    Ok(api::CreateSubnetResult { subnet: Some(view(tx, &caller.region, &subnet)) })
}

/// EC2 DescribeSubnets.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeSubnetsRequest,
) -> Result<api::DescribeSubnetsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeSubnets/{account}"),
        ids: input.subnet_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = view_.list(Index::<Subnet>::prefix(format!("{account}/")));
    let all = all.into_iter().map(|r| (r.body.id.clone(), r.body)).collect();
    let page = select(&query, all, values, missing)?;
    let subnets = page.items.iter().map(|s| view(view_, &caller.region, s)).collect();
    Ok(api::DescribeSubnetsResult { subnets: Some(subnets), next_token: page.next })
}

fn values(subnet: &Subnet, filter: &str) -> Option<Vec<String>> {
    Some(vec![match filter {
        "subnet-id" => subnet.id.clone(),
        "vpc-id" => subnet.vpc.clone(),
        "cidr" | "cidr-block" | "cidrBlock" => subnet.cidr.to_string(),
        "availability-zone" | "availabilityZone" => subnet.zone.clone(),
        "availability-zone-id" | "availabilityZoneId" => subnet.zone_id.clone(),
        "default-for-az" | "defaultForAz" => subnet.default_for_zone.to_string(),
        "owner-id" => subnet.account.clone(),
        "state" => "available".into(),
        _ => return tag_values(&subnet.tags, filter),
    }])
}

/// EC2 DeleteSubnet: only when no interface is in it.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteSubnetRequest) -> Result<(), Fault> {
    let record = find(tx, &caller.identity.account, &input.subnet_id)?;
    let subnet = &record.body;
    if tx.any(Index::<NetworkInterface>::by("subnet", subnet.id.as_str())) {
        let why = format!("The subnet '{}' has dependencies and cannot be deleted.", subnet.id);
        return Err(api::DEPENDENCY_VIOLATION.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    route_table::forget_subnet(tx, &subnet.id);
    tx.remove(&record.key);
    Ok(())
}

/// EC2 ModifySubnetAttribute: one attribute at a time.
pub fn modify_attribute(
    tx: &mut Tx,
    caller: &Caller,
    mut input: api::ModifySubnetAttributeRequest,
) -> Result<(), Fault> {
    let mut record = find(tx, &caller.identity.account, &std::mem::take(&mut input.subnet_id))?;
    let public = input.map_public_ip_on_launch.take();
    // These are so already.
    input.private_dns_hostname_type_on_launch.take_if(|kind| *kind == api::HostnameType::IpName);
    for off in [
        &mut input.assign_ipv6_address_on_creation,
        &mut input.enable_dns64,
        &mut input.enable_resource_name_dns_a_record_on_launch,
        &mut input.enable_resource_name_dns_aaaa_record_on_launch,
        &mut input.map_customer_owned_ip_on_launch,
    ] {
        off.take_if(|asked| asked.value != Some(true));
    }
    nothing_left(&input, "A subnet")?;
    if let Some(public) = public {
        record.body.maps_public_address = Some(public.value.unwrap_or_default());
    }
    tx.put(record);
    Ok(())
}

/// An account's subnet.
pub(crate) fn find(read: &impl Read, account: &str, id: &str) -> Result<Record<Subnet>, Fault> {
    read.get(&Subnet::key(account, id)).ok_or_else(|| missing(id))
}

/// The subnet that an account's instances get when nobody says one: its default VPC's in this zone, or the first.
pub(crate) fn default_in(read: &impl Read, account: &str, zone: Option<&str>) -> Option<Subnet> {
    let mut all: Vec<Subnet> = read
        .list(Index::<Subnet>::prefix(format!("{account}/")))
        .into_iter()
        .map(|record| record.body)
        .filter(|subnet| subnet.default_for_zone && zone.is_none_or(|zone| subnet.zone == zone))
        .collect();
    all.sort_by(|a, b| a.zone.cmp(&b.zone));
    all.into_iter().next()
}

fn missing(id: &str) -> Fault {
    api::INVALID_SUBNET_ID_NOT_FOUND.fault(format!("The subnet ID '{id}' does not exist"))
}

fn view(read: &impl Read, region: &str, subnet: &Subnet) -> api::Subnet {
    let arn = Arn::new("ec2", region, &subnet.account, format!("subnet/{}", subnet.id));
    api::Subnet {
        subnet_id: Some(subnet.id.clone()),
        subnet_arn: Some(arn.to_string()),
        owner_id: Some(subnet.account.clone()),
        vpc_id: Some(subnet.vpc.clone()),
        cidr_block: Some(subnet.cidr.to_string()),
        availability_zone: Some(subnet.zone.clone()),
        availability_zone_id: Some(subnet.zone_id.clone()),
        available_ip_address_count: i32::try_from(network_interface::free_addresses(read, subnet)).ok(),
        default_for_az: Some(subnet.default_for_zone),
        map_public_ip_on_launch: Some(subnet.maps_public_address()),
        state: Some(api::SubnetState::Available),
        tags: tags::shown(&subnet.tags),
        ..Default::default()
    }
}
