//! Which instances go when a group has too many.

use super::model::{AutoScalingGroup, Lifecycle, Member};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The instance to go next: one that is not well, else by the group's policies in the zone that has most. None if all
/// that are left are protected.
pub fn victim(group: &AutoScalingGroup) -> Option<String> {
    let stays = |member: &&Member| !member.state.ends();
    let mut zones: BTreeMap<&str, usize> = BTreeMap::new();
    for member in group.instances.values().filter(stays) {
        *zones.entry(&member.zone).or_default() += 1;
    }
    let open = group.instances.iter().filter(|(_, member)| !member.state.ends() && !member.protected);
    let order = |(id, member): &(&String, &Member)| {
        let policies = policies(group).map(|policy| rank(policy, member, group)).collect::<Vec<_>>();
        let crowd = Reverse(zones.get(member.zone.as_str()).copied().unwrap_or_default());
        let unwell = Reverse(member.unhealthy.is_some());
        let unborn = Reverse(member.state != Lifecycle::InService);
        (unwell, crowd, unborn, policies, (*id).clone())
    };
    open.min_by_key(order).map(|(id, _)| id.clone())
}

fn policies(group: &AutoScalingGroup) -> impl Iterator<Item = &str> {
    group.spec.termination_policies.iter().map(String::as_str).chain(["Default"])
}

/// The lowest goes first.
fn rank(policy: &str, member: &Member, group: &AutoScalingGroup) -> (u64, u64) {
    let began = member.since.0;
    match policy {
        "NewestInstance" => (u64::MAX - began, 0),
        "OldestInstance" | "ClosestToNextInstanceHour" => (began, 0),
        // The default, and those by template: of the oldest version the oldest one.
        _ if member.template.0 == group.spec.template.id => (member.template.1, began),
        _ => (0, began),
    }
}
