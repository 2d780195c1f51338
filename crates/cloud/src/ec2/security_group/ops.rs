//! The security group operations.

use super::SecurityGroup;
use crate::ec2::describe::{Query, select, tag_values};
use crate::ec2::network_interface::NetworkInterface;
use crate::ec2::{tags, vpc};
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Tx, View};
use roadstead_types::Arn;
use roadstead_wire::fault::{Common, Fault};
use std::collections::BTreeSet;

/// EC2 CreateSecurityGroup: all traffic out, none in.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateSecurityGroupRequest,
) -> Result<api::CreateSecurityGroupResult, Fault> {
    let account = &caller.identity.account;
    let tags = tags::given(input.tag_specifications, api::ResourceType::SecurityGroup)?;
    let named =
        input.vpc_id.ok_or_else(|| Common::MissingParameter.fault("The request must contain the parameter VpcId"))?;
    let vpc = vpc::ops::find(tx, account, &named)?.body;
    if input.group_name.starts_with("sg-") {
        let why = "Group names may not be in the format sg-*.";
        return Err(Common::InvalidParameterValue.fault(why));
    }
    let others = tx.list(Index::<SecurityGroup>::by("vpc", vpc.id.as_str()));
    if others.iter().any(|g| g.body.name == input.group_name) {
        let why = format!("The security group '{}' already exists for VPC '{}'", input.group_name, vpc.id);
        return Err(api::INVALID_GROUP_DUPLICATE.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    let mut group = super::create(tx, &vpc, &input.group_name, &input.description, false);
    group.tags = tags.clone();
    tx.set(&SecurityGroup::key(account, &group.id), None, group.clone());
    Ok(api::CreateSecurityGroupResult {
        security_group_arn: Some(arn(&caller.region, &group)),
        tags: tags::shown(&tags),
        group_id: Some(group.id),
    })
}

/// EC2 DescribeSecurityGroups.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeSecurityGroupsRequest,
) -> Result<api::DescribeSecurityGroupsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeSecurityGroups/{account}"),
        ids: input.group_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let names = input.group_names.unwrap_or_default();
    let all = view_.list(Index::<SecurityGroup>::prefix(format!("{account}/"))).into_iter();
    let all = all.filter(|r| names.is_empty() || names.contains(&r.body.name));
    let page = select(&query, all.map(|r| (r.body.id.clone(), r.body)).collect(), values, missing)?;
    let groups = page.items.iter().map(|g| view(&caller.region, g)).collect();
    Ok(api::DescribeSecurityGroupsResult { security_groups: Some(groups), next_token: page.next })
}

fn values(group: &SecurityGroup, filter: &str) -> Option<Vec<String>> {
    Some(vec![match filter {
        "group-id" => group.id.clone(),
        "group-name" => group.name.clone(),
        "description" => group.description.clone(),
        "vpc-id" => group.vpc.clone(),
        "owner-id" => group.account.clone(),
        _ => return tag_values(&group.tags, filter),
    }])
}

/// EC2 DeleteSecurityGroup: not a VPC's default one, and not while an interface has it.
pub fn delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteSecurityGroupRequest,
) -> Result<api::DeleteSecurityGroupResult, Fault> {
    let id = input
        .group_id
        .ok_or_else(|| Common::MissingParameter.fault("The request must contain the parameter GroupName or GroupId"))?;
    let key = SecurityGroup::key(&caller.identity.account, &id);
    let group = tx.get(&key).ok_or_else(|| missing(&id))?.body;
    if group.name == "default" {
        let why = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(api::DEPENDENCY_VIOLATION.fault(why));
    }
    if tx.any(Index::<NetworkInterface>::by("group", id.as_str())) {
        return Err(api::DEPENDENCY_VIOLATION.fault(format!("resource {id} has a dependent object")));
    }
    tags::not_dry(input.dry_run)?;
    tx.remove(&key);
    Ok(api::DeleteSecurityGroupResult { r#return: Some(true), group_id: Some(id) })
}

/// EC2 quota "security groups per network interface".
const PER_INTERFACE_MAX: usize = 5;

/// The groups that an interface in this VPC gets when these are asked for: they must be of the VPC; none: its default one.
pub(crate) fn in_vpc(read: &impl Read, account: &str, vpc: &str, named: &[String]) -> Result<Vec<String>, Fault> {
    if named.is_empty() {
        let groups = read.list(Index::<SecurityGroup>::by("vpc", vpc)).into_iter();
        let default = { groups }.find(|group| group.body.name == "default");
        return Ok(default.into_iter().map(|group| group.body.id).collect());
    }
    for id in named {
        let group = read.shared(&SecurityGroup::key(account, id));
        if group.is_none_or(|group| group.body.vpc != vpc) {
            let why = format!("The security group '{id}' does not exist in VPC '{vpc}'");
            return Err(api::INVALID_GROUP_NOT_FOUND.fault(why));
        }
    }
    let groups: BTreeSet<&String> = named.iter().collect();
    if groups.len() > PER_INTERFACE_MAX {
        let why = format!("The maximum number of security groups per interface has been reached: {PER_INTERFACE_MAX}");
        return Err(api::SECURITY_GROUPS_PER_INTERFACE_LIMIT_EXCEEDED.fault(why));
    }
    Ok(groups.into_iter().cloned().collect())
}

fn missing(id: &str) -> Fault {
    api::INVALID_GROUP_NOT_FOUND.fault(format!("The security group '{id}' does not exist"))
}

fn arn(region: &str, group: &SecurityGroup) -> String {
    Arn::new("ec2", region, &group.account, format!("security-group/{}", group.id)).to_string()
}

fn view(region: &str, group: &SecurityGroup) -> api::SecurityGroup {
    let anywhere = api::IpPermission {
        ip_protocol: Some("-1".into()),
        ip_ranges: Some(vec![api::IpRange { cidr_ip: Some("0.0.0.0/0".into()), ..Default::default() }]),
        ..Default::default()
    };
    let pair = api::UserIdGroupPair {
        user_id: Some(group.account.clone()),
        group_id: Some(group.id.clone()),
        ..Default::default()
    };
    let itself = api::IpPermission {
        ip_protocol: Some("-1".into()),
        user_id_group_pairs: Some(vec![pair]),
        ..Default::default()
    };
    api::SecurityGroup {
        group_id: Some(group.id.clone()),
        group_name: Some(group.name.clone()),
        description: Some(group.description.clone()),
        owner_id: Some(group.account.clone()),
        vpc_id: Some(group.vpc.clone()),
        security_group_arn: Some(arn(region, group)),
        ip_permissions: Some(if group.allows_itself { vec![itself] } else { vec![] }),
        ip_permissions_egress: Some(vec![anywhere]),
        tags: tags::shown(&group.tags),
    }
}
