//! Network ACLs: each VPC has its default one, which lets everything through. There is nothing to change about it, so it
//! is in no record: its ids follow from those of the VPC and its subnets.

use crate::ec2::describe::{Query, select, tag_values};
use crate::ec2::subnet::Subnet;
use crate::ec2::tags;
use crate::ec2::vpc::Vpc;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, View};
use roadstead_types::Tags;

/// EC2 DescribeNetworkAcls.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeNetworkAclsRequest,
) -> Result<api::DescribeNetworkAclsResult, roadstead_wire::fault::Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeNetworkAcls/{account}"),
        ids: input.network_acl_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let vpcs = view.list(Index::<Vpc>::prefix(format!("{account}/"))).into_iter();
    let all = vpcs.filter(|vpc| vpc.deleting.is_none()).map(|vpc| (of("acl-", &vpc.body.id), show(view, &vpc.body)));
    let missing =
        |id: &str| api::INVALID_NETWORK_ACL_ID_NOT_FOUND.fault(format!("The networkAcl ID '{id}' does not exist"));
    let page = select(&query, all.collect(), values, missing)?;
    Ok(api::DescribeNetworkAclsResult { network_acls: Some(page.items), next_token: page.next })
}

/// An id with another prefix.
fn of(prefix: &str, id: &str) -> String {
    format!("{prefix}{}", id.split_once('-').map_or(id, |(_, rest)| rest))
}

fn values(acl: &api::NetworkAcl, filter: &str) -> Option<Vec<String>> {
    let text = |value: &Option<String>| value.iter().cloned().collect();
    let associations = || acl.associations.iter().flatten();
    Some(match filter {
        "network-acl-id" => text(&acl.network_acl_id),
        "vpc-id" => text(&acl.vpc_id),
        "owner-id" => text(&acl.owner_id),
        "default" => vec![true.to_string()],
        "association.subnet-id" => associations().filter_map(|association| association.subnet_id.clone()).collect(),
        "association.network-acl-id" => text(&acl.network_acl_id),
        "association.association-id" => {
            associations().filter_map(|association| association.network_acl_association_id.clone()).collect()
        }
        _ => return tag_values(&Tags::new(), filter),
    })
}

fn show(read: &impl Read, vpc: &Vpc) -> api::NetworkAcl {
    let id = of("acl-", &vpc.id);
    let association = |subnet: &Subnet| api::NetworkAclAssociation {
        network_acl_association_id: Some(of("aclassoc-", &subnet.id)),
        network_acl_id: Some(id.clone()),
        subnet_id: Some(subnet.id.clone()),
    };
    let subnets = read.list(Index::<Subnet>::by("vpc", vpc.id.as_str()));
    // What the last rule, which every ACL has, would refuse, the first has let through.
    let rules = [(100, api::RuleAction::Allow), (32767, api::RuleAction::Deny)];
    let entry = |egress: bool| {
        rules.map(|(number, action)| api::NetworkAclEntry {
            cidr_block: Some("0.0.0.0/0".into()),
            egress: Some(egress),
            protocol: Some("-1".into()),
            rule_action: Some(action),
            rule_number: Some(number),
            ..Default::default()
        })
    };
    api::NetworkAcl {
        associations: Some(subnets.iter().map(|subnet| association(&subnet.body)).collect()),
        entries: Some([entry(true), entry(false)].into_iter().flatten().collect()),
        is_default: Some(true),
        network_acl_id: Some(id.clone()),
        tags: Some(vec![]),
        vpc_id: Some(vpc.id.clone()),
        owner_id: Some(vpc.account.clone()),
    }
}
