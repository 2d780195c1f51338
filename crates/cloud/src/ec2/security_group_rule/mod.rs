//! Security group rules: what a group lets in, and what it lets out.

mod asked;
mod model;
pub mod ops;
mod view;

pub(super) use asked::{ipv6_block, kind_and_code, ports};
pub use model::{Direction, Peer, Permission, SecurityGroupRule, Traffic};
pub(crate) use view::permissions;

use crate::ec2::security_group::SecurityGroup;
use roadstead_store::{Index, Read, Record, Tx};
use roadstead_types::Tags;

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
