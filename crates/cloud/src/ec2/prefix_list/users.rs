//! What names a list.

use super::PrefixList;
use crate::ec2::route_table::{self, RouteTable};
use crate::ec2::security_group_rule::{self as rule, Direction, SecurityGroupRule};
use roadstead_store::{Index, Read};
use std::collections::BTreeSet;

/// Ids of the security groups and the route tables that name it.
pub(super) fn of(read: &impl Read, list: &PrefixList) -> Vec<String> {
    let groups = groups(read, list).into_iter();
    let tables = read.list(Index::<RouteTable>::by("prefix-list", list.id.as_str())).into_iter();
    groups.chain(tables.map(|table| table.body.id)).collect()
}

fn groups(read: &impl Read, list: &PrefixList) -> BTreeSet<String> {
    let rules = read.list(Index::<SecurityGroupRule>::by("prefix-list", list.id.as_str()));
    rules.into_iter().map(|rule| rule.body.group).collect()
}

/// Those that would be over their quotas if it had so many more entries.
pub(super) fn overburdened(read: &impl Read, list: &PrefixList, more: usize) -> Vec<String> {
    let names = |direction, group: &String| {
        let named = read.list(Index::<SecurityGroupRule>::by("prefix-list", list.id.as_str())).into_iter();
        named.filter(|rule| rule.body.group == *group && rule.body.direction == direction).count()
    };
    let over = |direction, group: &String| {
        let naming = names(direction, group);
        naming > 0 && rule::weight(read, group, direction) + naming * more > rule::RULES_MAX
    };
    let is_over = |group: &String| over(Direction::Ingress, group) || over(Direction::Egress, group);
    let groups = groups(read, list).into_iter().filter(is_over);
    let tables = read.list(Index::<RouteTable>::by("prefix-list", list.id.as_str())).into_iter();
    let tables = tables.filter(|table| table.body.weight(read) + more > route_table::ROUTES_MAX);
    groups.chain(tables.map(|table| table.body.id)).collect()
}
