//! The security group operations.

use super::SecurityGroup;
use crate::ec2::asked::required;
use crate::ec2::describe::{Query, select, tag_values};
use crate::ec2::security_group_rule::{self as rule, Direction, Peer, SecurityGroupRule};
use crate::ec2::tags;
use crate::ec2::vpc::{self, Vpc};
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Record, Tx, View};
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
    let named = required(input.vpc_id, "VpcId")?;
    let vpc = vpc::ops::find(tx, account, &named)?.body;
    if input.group_name.starts_with("sg-") {
        let why = "Group names may not be in the format sg-*.";
        return Err(Common::InvalidParameterValue.fault(why));
    }
    let others = tx.list(Index::<SecurityGroup>::by("vpc", vpc.id.as_str()));
    if others.iter().any(|g| g.deleting.is_none() && g.body.name == input.group_name) {
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
    let all = all.filter(|r| r.deleting.is_none() && (names.is_empty() || names.contains(&r.body.name)));
    let values = |group: &SecurityGroup, filter: &str| values(view_, group, filter);
    let page = select(&query, all.map(|r| (r.body.id.clone(), r.body)).collect(), values, missing)?;
    let groups = page.items.iter().map(|g| view(view_, &caller.region, g)).collect();
    Ok(api::DescribeSecurityGroupsResult { security_groups: Some(groups), next_token: page.next })
}

fn values(read: &impl Read, group: &SecurityGroup, filter: &str) -> Option<Vec<String>> {
    if let Some(of_egress) = filter.strip_prefix("egress.ip-permission.") {
        return values_of_rules(read, group, Direction::Egress, of_egress);
    }
    if let Some(of_ingress) = filter.strip_prefix("ip-permission.") {
        return values_of_rules(read, group, Direction::Ingress, of_ingress);
    }
    Some(vec![match filter {
        "group-id" => group.id.clone(),
        "group-name" => group.name.clone(),
        "description" => group.description.clone(),
        "vpc-id" => group.vpc.clone(),
        "owner-id" => group.account.clone(),
        _ => return tag_values(&group.tags, filter),
    }])
}

/// What a group's rules have under the last part of a filter's name.
fn values_of_rules(read: &impl Read, group: &SecurityGroup, direction: Direction, filter: &str) -> Option<Vec<String>> {
    let value: fn(&SecurityGroupRule) -> Option<String> = match filter {
        "protocol" => |rule| Some(rule.permission.traffic.protocol_name()),
        "from-port" => |rule| rule.permission.traffic.has_range().then(|| rule.permission.traffic.from.to_string()),
        "to-port" => |rule| rule.permission.traffic.has_range().then(|| rule.permission.traffic.to.to_string()),
        "cidr" => |rule| matches!(rule.permission.peer, Peer::Ipv4(_)).then(|| rule.permission.peer.to_string()),
        "ipv6-cidr" => |rule| matches!(rule.permission.peer, Peer::Ipv6(_)).then(|| rule.permission.peer.to_string()),
        "group-id" => |rule| matches!(rule.permission.peer, Peer::Group(_)).then(|| rule.permission.peer.to_string()),
        "user-id" => |rule| matches!(rule.permission.peer, Peer::Group(_)).then(|| rule.account.clone()),
        "prefix-list-id" => {
            |rule| matches!(rule.permission.peer, Peer::PrefixList(_)).then(|| rule.permission.peer.to_string())
        }
        _ => return None,
    };
    let rules = rule::of_group(read, &group.id).into_iter();
    Some(rules.filter(|rule| rule.body.direction == direction).filter_map(|rule| value(&rule.body)).collect())
}

/// EC2 DeleteSecurityGroup: not a VPC's default one, and not while an interface has it or another group's rule names it.
pub fn delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteSecurityGroupRequest,
) -> Result<api::DeleteSecurityGroupResult, Fault> {
    let id = required(input.group_id, "GroupName or GroupId")?;
    let account = &caller.identity.account;
    let group = find(tx, account, &id)?.body;
    if group.name == "default" {
        let why = format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(api::CANNOT_DELETE.fault(why));
    }
    if super::is_used(tx, &id) {
        return Err(api::DEPENDENCY_VIOLATION.fault(format!("resource {id} has a dependent object")));
    }
    tags::not_dry(input.dry_run)?;
    super::remove(tx, account, &id);
    Ok(api::DeleteSecurityGroupResult { r#return: Some(true), group_id: Some(id) })
}

/// EC2 quota "security groups per network interface".
pub(crate) const PER_INTERFACE_MAX: usize = 5;

/// The groups that an interface in this VPC gets when these are asked for: they must be of the VPC; none: its default one.
pub(crate) fn in_vpc(read: &impl Read, account: &str, vpc: &str, named: &[String]) -> Result<Vec<String>, Fault> {
    if named.is_empty() {
        let groups = read.list(Index::<SecurityGroup>::by("vpc", vpc)).into_iter();
        let default = { groups }.find(|group| group.body.name == "default");
        return Ok(default.into_iter().map(|group| group.body.id).collect());
    }
    for id in named {
        let group = read.shared(&SecurityGroup::key(account, id));
        if group.is_none_or(|group| group.deleting.is_some() || group.body.vpc != vpc) {
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

/// The account's group that a request names: by its id or, in the default VPC, by its name.
pub(crate) fn named(
    read: &impl Read,
    account: &str,
    id: Option<String>,
    name: Option<String>,
) -> Result<Record<SecurityGroup>, Fault> {
    match (id, name) {
        (Some(id), None) if !id.starts_with("sg-") => {
            let why = format!("Invalid id: \"{id}\" (expecting \"sg-...\")");
            Err(api::INVALID_GROUP_ID_MALFORMED.fault(why))
        }
        (Some(id), None) => find(read, account, &id),
        (None, Some(name)) => in_default_vpc(read, account, &name),
        (Some(_), Some(_)) => {
            let why = "The parameter groupName cannot be used with the parameter groupId";
            Err(Common::InvalidParameterCombination.fault(why))
        }
        (None, None) => {
            let why = "The request must contain the parameter groupName or groupId";
            Err(Common::MissingParameter.fault(why))
        }
    }
}

fn find(read: &impl Read, account: &str, id: &str) -> Result<Record<SecurityGroup>, Fault> {
    read.get(&SecurityGroup::key(account, id)).filter(|group| group.deleting.is_none()).ok_or_else(|| missing(id))
}

fn in_default_vpc(read: &impl Read, account: &str, name: &str) -> Result<Record<SecurityGroup>, Fault> {
    let vpcs = read.list(Index::<Vpc>::prefix(format!("{account}/")));
    let vpc = vpcs.into_iter().find(|vpc| vpc.body.is_default).map(|vpc| vpc.body.id).unwrap_or_default();
    let groups = read.list(Index::<SecurityGroup>::by("vpc", vpc.as_str())).into_iter();
    { groups }.find(|group| group.deleting.is_none() && group.body.name == name).ok_or_else(|| {
        let why = format!("The security group '{name}' does not exist in default VPC '{vpc}'");
        api::INVALID_GROUP_NOT_FOUND.fault(why)
    })
}

fn missing(id: &str) -> Fault {
    api::INVALID_GROUP_NOT_FOUND.fault(format!("The security group '{id}' does not exist"))
}

fn arn(region: &str, group: &SecurityGroup) -> String {
    Arn::new("ec2", region, &group.account, format!("security-group/{}", group.id)).to_string()
}

fn view(read: &impl Read, region: &str, group: &SecurityGroup) -> api::SecurityGroup {
    let mut rules = rule::of_group(read, &group.id);
    rules.sort_by(|one, other| one.body.permission.cmp(&other.body.permission));
    let permissions = |direction| {
        let of = rules.iter().map(|rule| &rule.body).filter(|rule| rule.direction == direction);
        Some(rule::permissions(&group.account, of.map(|rule| (&rule.permission, rule.description.as_deref()))))
    };
    api::SecurityGroup {
        group_id: Some(group.id.clone()),
        group_name: Some(group.name.clone()),
        description: Some(group.description.clone()),
        owner_id: Some(group.account.clone()),
        vpc_id: Some(group.vpc.clone()),
        security_group_arn: Some(arn(region, group)),
        ip_permissions: permissions(Direction::Ingress),
        ip_permissions_egress: permissions(Direction::Egress),
        tags: tags::shown(&group.tags),
    }
}
