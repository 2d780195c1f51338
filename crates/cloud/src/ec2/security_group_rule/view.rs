//! How EC2 shows rules: each by itself, or as permissions of their group.

use super::model::{Direction, Peer, SecurityGroupRule, Traffic};
use crate::ec2::tags;
use roadstead_shapes::ec2 as api;
use roadstead_types::Arn;
use std::collections::BTreeMap;

/// A rule, as DescribeSecurityGroupRules has it.
pub(super) fn show(region: &str, rule: &SecurityGroupRule) -> api::SecurityGroupRule {
    let arn = Arn::new("ec2", region, &rule.account, format!("security-group-rule/{}", rule.id));
    let Peers { ipv4, ipv6, group, list } = peers(&rule.permission.peer);
    let referenced = group.map(|id| api::ReferencedSecurityGroup {
        group_id: Some(id),
        user_id: Some(rule.account.clone()),
        ..Default::default()
    });
    api::SecurityGroupRule {
        security_group_rule_id: Some(rule.id.clone()),
        security_group_rule_arn: Some(arn.to_string()),
        group_id: Some(rule.group.clone()),
        group_owner_id: Some(rule.account.clone()),
        is_egress: Some(rule.direction == Direction::Egress),
        ip_protocol: Some(rule.permission.traffic.protocol_name()),
        from_port: Some(rule.permission.traffic.from),
        to_port: Some(rule.permission.traffic.to),
        cidr_ipv4: ipv4,
        cidr_ipv6: ipv6,
        prefix_list_id: list,
        referenced_group_info: referenced,
        description: rule.description.clone(),
        tags: tags::shown(&rule.tags),
    }
}

/// A rule, as the answer to its removal has it.
pub(super) fn show_revoked(rule: &SecurityGroupRule) -> api::RevokedSecurityGroupRule {
    let Peers { ipv4, ipv6, group, list } = peers(&rule.permission.peer);
    api::RevokedSecurityGroupRule {
        security_group_rule_id: Some(rule.id.clone()),
        group_id: Some(rule.group.clone()),
        is_egress: Some(rule.direction == Direction::Egress),
        ip_protocol: Some(rule.permission.traffic.protocol_name()),
        from_port: Some(rule.permission.traffic.from),
        to_port: Some(rule.permission.traffic.to),
        cidr_ipv4: ipv4,
        cidr_ipv6: ipv6,
        prefix_list_id: list,
        referenced_group_id: group,
        description: rule.description.clone(),
    }
}

struct Peers {
    ipv4: Option<String>,
    ipv6: Option<String>,
    group: Option<String>,
    list: Option<String>,
}

fn peers(peer: &Peer) -> Peers {
    let none = Peers { ipv4: None, ipv6: None, group: None, list: None };
    match peer {
        Peer::Ipv4(block) => Peers { ipv4: Some(block.to_string()), ..none },
        Peer::Ipv6(block) => Peers { ipv6: Some(block.clone()), ..none },
        Peer::Group(id) => Peers { group: Some(id.clone()), ..none },
        Peer::PrefixList(id) => Peers { list: Some(id.clone()), ..none },
    }
}

/// Rules of one direction, as DescribeSecurityGroups has them: those of the same traffic are one permission.
pub(crate) fn permissions<'a>(
    account: &str,
    rules: impl Iterator<Item = (&'a super::Permission, Option<&'a str>)>,
) -> Vec<api::IpPermission> {
    let mut shown: BTreeMap<Traffic, api::IpPermission> = BTreeMap::new();
    for (permission, description) in rules {
        let shown = shown.entry(permission.traffic).or_insert_with(|| empty(permission.traffic));
        let description = description.map(str::to_owned);
        match &permission.peer {
            Peer::Ipv4(block) => {
                let range = api::IpRange { cidr_ip: Some(block.to_string()), description };
                shown.ip_ranges.get_or_insert_default().push(range);
            }
            Peer::Ipv6(block) => {
                let range = api::Ipv6Range { cidr_ipv6: Some(block.clone()), description };
                shown.ipv6_ranges.get_or_insert_default().push(range);
            }
            Peer::Group(id) => {
                let (group_id, user_id) = (Some(id.clone()), Some(account.to_owned()));
                let pair = api::UserIdGroupPair { group_id, user_id, description, ..Default::default() };
                shown.user_id_group_pairs.get_or_insert_default().push(pair);
            }
            Peer::PrefixList(id) => {
                let list = api::PrefixListId { prefix_list_id: Some(id.clone()), description };
                shown.prefix_list_ids.get_or_insert_default().push(list);
            }
        }
    }
    shown.into_values().collect()
}

fn empty(traffic: Traffic) -> api::IpPermission {
    let number = |number| traffic.has_range().then_some(number);
    api::IpPermission {
        ip_protocol: Some(traffic.protocol_name()),
        from_port: number(traffic.from),
        to_port: number(traffic.to),
        user_id_group_pairs: Some(vec![]),
        ip_ranges: Some(vec![]),
        ipv6_ranges: Some(vec![]),
        prefix_list_ids: Some(vec![]),
    }
}
