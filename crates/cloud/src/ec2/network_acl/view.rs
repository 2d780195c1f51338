//! How EC2 shows a network ACL.

use super::{Block, Entry, NetworkAcl};
use crate::ec2::describe::tag_values;
use crate::ec2::security_group_rule::{Direction, Traffic};
use crate::ec2::subnet::Subnet;
use crate::ec2::tags;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read};

/// Number of the rule that refuses what no other matches.
const LAST_RULE: i32 = 32767;

/// An ACL, as DescribeNetworkAcls has it.
pub(super) fn show(read: &impl Read, acl: &NetworkAcl) -> api::NetworkAcl {
    api::NetworkAcl {
        associations: Some(associations(read, acl)),
        entries: Some(entries(acl)),
        is_default: Some(acl.is_default()),
        network_acl_id: Some(acl.id.clone()),
        tags: tags::shown(&acl.tags),
        vpc_id: Some(acl.vpc.clone()),
        owner_id: Some(acl.account.clone()),
    }
}

fn associations(read: &impl Read, acl: &NetworkAcl) -> Vec<api::NetworkAclAssociation> {
    let subnets = read.list(Index::<Subnet>::by("network-acl", acl.id.as_str())).into_iter();
    let association = |subnet: Subnet| api::NetworkAclAssociation {
        network_acl_association_id: Some(subnet.network_acl().id),
        network_acl_id: Some(acl.id.clone()),
        subnet_id: Some(subnet.id),
    };
    subnets.map(|subnet| association(subnet.body)).collect()
}

fn entries(acl: &NetworkAcl) -> Vec<api::NetworkAclEntry> {
    let of = |direction| {
        let egress = direction == Direction::Egress;
        let last = api::NetworkAclEntry {
            cidr_block: Some("0.0.0.0/0".into()),
            egress: Some(egress),
            protocol: Some("-1".into()),
            rule_action: Some(api::RuleAction::Deny),
            rule_number: Some(LAST_RULE),
            ..Default::default()
        };
        let own = acl.entries(direction).iter().map(move |(number, entry)| api::NetworkAclEntry {
            egress: Some(egress),
            rule_number: Some((*number).into()),
            ..show_entry(entry)
        });
        own.chain([last])
    };
    of(Direction::Egress).chain(of(Direction::Ingress)).collect()
}

fn show_entry(Entry { traffic, block, allows }: &Entry) -> api::NetworkAclEntry {
    let Traffic { protocol, from, to } = *traffic;
    let mut shown = api::NetworkAclEntry {
        protocol: Some(protocol.map_or("-1".into(), |number| number.to_string())),
        rule_action: Some(if *allows { api::RuleAction::Allow } else { api::RuleAction::Deny }),
        ..Default::default()
    };
    match block {
        Block::Ipv4(block) => shown.cidr_block = Some(block.to_string()),
        Block::Ipv6(block) => shown.ipv6_cidr_block = Some(block.clone()),
    }
    match (protocol, block) {
        (Some(Traffic::TCP | Traffic::UDP), _) => {
            shown.port_range = Some(api::PortRange { from: Some(from), to: Some(to) });
        }
        (Some(Traffic::ICMP), _) | (Some(Traffic::ICMPV6), Block::Ipv6(_)) => {
            shown.icmp_type_code = Some(api::IcmpTypeCode { code: Some(to), r#type: Some(from) });
        }
        _ => {}
    }
    shown
}

/// What an ACL has under a filter's name.
pub(super) fn values(read: &impl Read, acl: &NetworkAcl, filter: &str) -> Option<Vec<String>> {
    if let Some(part) = filter.strip_prefix("entry.") {
        let value = value_of_entry(part)?;
        return Some(entries(acl).iter().flat_map(value).collect());
    }
    let of_associations = |value: fn(api::NetworkAclAssociation) -> Option<String>| {
        associations(read, acl).into_iter().filter_map(value).collect::<Vec<_>>()
    };
    Some(match filter {
        "network-acl-id" => vec![acl.id.clone()],
        "vpc-id" => vec![acl.vpc.clone()],
        "owner-id" => vec![acl.account.clone()],
        "default" => vec![acl.is_default().to_string()],
        "association.association-id" => of_associations(|association| association.network_acl_association_id),
        "association.network-acl-id" => of_associations(|association| association.network_acl_id),
        "association.subnet-id" => of_associations(|association| association.subnet_id),
        _ => return tag_values(&acl.tags, filter),
    })
}

/// What an entry has under the last part of a filter's name. A protocol may be asked for by number and by name.
fn value_of_entry(filter: &str) -> Option<fn(&api::NetworkAclEntry) -> Vec<String>> {
    Some(match filter {
        "cidr" => |entry| entry.cidr_block.iter().cloned().collect(),
        "ipv6-cidr" => |entry| entry.ipv6_cidr_block.iter().cloned().collect(),
        "icmp.code" => |entry| numbers(entry.icmp_type_code.as_ref().and_then(|icmp| icmp.code)),
        "icmp.type" => |entry| numbers(entry.icmp_type_code.as_ref().and_then(|icmp| icmp.r#type)),
        "port-range.from" => |entry| numbers(entry.port_range.as_ref().and_then(|ports| ports.from)),
        "port-range.to" => |entry| numbers(entry.port_range.as_ref().and_then(|ports| ports.to)),
        "protocol" => |entry| {
            let number = entry.protocol.clone().unwrap_or_default();
            let name = Traffic { protocol: number.parse().ok(), ..Traffic::ALL }.protocol_name();
            if name == number { vec![number] } else { vec![number, name] }
        },
        "rule-action" => |entry| entry.rule_action.iter().map(|action| action.as_str().to_owned()).collect(),
        "rule-number" => |entry| numbers(entry.rule_number),
        _ => return None,
    })
}

fn numbers(number: Option<i32>) -> Vec<String> {
    number.iter().map(ToString::to_string).collect()
}
