//! Security group rules: what a group lets in, and what it lets out.

mod asked;
mod model;
pub mod ops;
mod view;

pub(super) use asked::{kind_and_code, ports};
pub use model::{Direction, Peer, Permission, SecurityGroupRule, Traffic};
pub(crate) use view::permissions;

use crate::ec2::prefix_list;
use crate::ec2::security_group::SecurityGroup;
use roadstead_store::{Index, Read, Record, Tx};
use roadstead_types::Tags;

/// EC2 quota "rules per security group", of each direction: what AWS raises it to at most.
pub(super) const RULES_MAX: usize = 1000;

/// For how many rules those of a group count, in a direction.
pub(super) fn weight(read: &impl Read, group: &str, direction: Direction) -> usize {
    let rules = of_group(read, group).into_iter().filter(|rule| rule.body.direction == direction);
    rules.map(|rule| weight_of(read, &rule.body.account, &rule.body.permission.peer)).sum()
}

/// For how many rules one with this peer counts.
fn weight_of(read: &impl Read, account: &str, peer: &Peer) -> usize {
    match peer {
        Peer::Ipv4(_) | Peer::Ipv6(_) | Peer::Group(_) => 1,
        Peer::PrefixList(id) => prefix_list::weight(read, account, id),
    }
}

/// Adds a rule to a group. Callers have checked that it has none like it.
pub fn add(
    tx: &mut Tx,
    group: &SecurityGroup,
    direction: Direction,
    permission: Permission,
    description: Option<String>,
    tags: Tags,
) -> SecurityGroupRule {
    let rule = SecurityGroupRule {
        id: tx.fresh_id("sgr-"),
        account: group.account.clone(),
        group: group.id.clone(),
        direction,
        permission,
        description,
        tags,
    };
    tx.create(SecurityGroupRule::key(&rule.account, &rule.id), None, rule.clone());
    rule
}

/// A group's rules of both directions, by their ids.
pub fn of_group(read: &impl Read, group: &str) -> Vec<Record<SecurityGroupRule>> {
    read.list(Index::<SecurityGroupRule>::by("group", group))
}

/// Whether a rule of another group names this one.
pub fn is_named_elsewhere(read: &impl Read, group: &str) -> bool {
    let naming = read.list(Index::<SecurityGroupRule>::by("peer", group));
    naming.iter().any(|rule| rule.body.group != group)
}
