//! What tools ask first: regions, and what an account may have.

use crate::ec2::address;
use crate::ec2::describe::{Query, select};
use crate::ec2::vpc::Vpc;
use crate::ec2::{security_group, tags};
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read as _, View};
use roadstead_wire::fault::{Common, Fault};

/// EC2 DescribeRegions: there is one.
pub fn describe(
    _: &View,
    caller: &Caller,
    input: api::DescribeRegionsRequest,
) -> Result<api::DescribeRegionsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let query = Query {
        scope: "ec2:DescribeRegions".into(),
        ids: input.region_names.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: None,
        token: None,
    };
    let region = api::Region {
        opt_in_status: Some(OPT_IN.into()),
        region_name: Some(caller.region.clone()),
        endpoint: Some(format!("ec2.{}.amazonaws.com", caller.region)),
        ..Default::default()
    };
    let missing = |id: &str| Common::InvalidParameterValue.fault(format!("Invalid region name: {id}"));
    let page = select(&query, vec![(caller.region.clone(), region)], values, missing)?;
    Ok(api::DescribeRegionsResult { regions: Some(page.items) })
}

const OPT_IN: &str = "opt-in-not-required";

fn values(region: &api::Region, filter: &str) -> Option<Vec<String>> {
    Some(match filter {
        "region-name" => region.region_name.iter().cloned().collect(),
        "endpoint" => region.endpoint.iter().cloned().collect(),
        "opt-in-status" => vec![OPT_IN.into()],
        _ => return None,
    })
}

/// EC2 DescribeAccountAttributes.
pub fn account_attributes(
    view: &View,
    caller: &Caller,
    input: api::DescribeAccountAttributesRequest,
) -> Result<api::DescribeAccountAttributesResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let vpcs = view.list(Index::<Vpc>::prefix(format!("{}/", caller.identity.account)));
    let default = vpcs.into_iter().find(|vpc| vpc.body.is_default).map_or("none".into(), |vpc| vpc.body.id);
    let addresses = address::ops::ADDRESSES_MAX.to_string();
    let all = [
        ("supported-platforms", "VPC".into()),
        ("default-vpc", default),
        ("max-elastic-ips", addresses.clone()),
        ("vpc-max-elastic-ips", addresses),
        ("vpc-max-security-groups-per-interface", security_group::ops::PER_INTERFACE_MAX.to_string()),
    ];
    let named = input.attribute_names.unwrap_or_default();
    let asked = |name: &str| named.is_empty() || named.iter().any(|known| known.as_str() == name);
    let attribute = |(name, value): (&str, String)| api::AccountAttribute {
        attribute_name: Some(name.into()),
        attribute_values: Some(vec![api::AccountAttributeValue { attribute_value: Some(value) }]),
    };
    let attributes = all.into_iter().filter(|(name, _)| asked(name)).map(attribute).collect();
    Ok(api::DescribeAccountAttributesResult { account_attributes: Some(attributes) })
}
