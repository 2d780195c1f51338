//! Security groups.

mod model;
pub mod ops;

pub use model::SecurityGroup;

use crate::ec2::network_interface::NetworkInterface;
use crate::ec2::security_group_rule::{self as rule, Direction, Peer, Permission};
use crate::ec2::vpc::Vpc;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Tx};
use roadstead_types::{Cidr, Tags};
use std::net::Ipv4Addr;

/// Makes a security group with the rules that every one is born with: all out, and perhaps all in from itself.
pub fn create(tx: &mut Tx, vpc: &Vpc, name: &str, description: &str, allows_itself: bool) -> SecurityGroup {
    let group = SecurityGroup {
        id: tx.fresh_id("sg-"),
        account: vpc.account.clone(),
        vpc: vpc.id.clone(),
        name: name.into(),
        description: description.into(),
        allows_itself,
        has_rules: true,
        tags: Tags::new(),
    };
    tx.create(SecurityGroup::key(&group.account, &group.id), None, group.clone());
    add_first_rules(tx, &group);
    group
}

/// Adds the rules that a group is born with.
pub fn add_first_rules(tx: &mut Tx, group: &SecurityGroup) {
    let anywhere = Permission::everything(Peer::Ipv4(Cidr::containing(Ipv4Addr::UNSPECIFIED, 0)));
    rule::add(tx, group, Direction::Egress, anywhere, None, Tags::new());
    if group.allows_itself {
        let itself = Permission::everything(Peer::Group(group.id.clone()));
        rule::add(tx, group, Direction::Ingress, itself, None, Tags::new());
    }
}

/// Whether an interface has the group, or a rule of another one names it.
pub fn is_used(read: &impl Read, id: &str) -> bool {
    read.any(Index::<NetworkInterface>::by("group", id)) || rule::is_named_elsewhere(read, id)
}

/// Removes a group and its rules. It is gone once no host has anything of it.
pub fn remove(tx: &mut Tx, account: &str, id: &str) {
    for rule in rule::of_group(tx, id) {
        tx.remove(&rule.key);
    }
    tx.delete(&SecurityGroup::key(account, id));
}

/// Groups as EC2 shows them where something has them.
pub(crate) fn identifiers(read: &impl Read, account: &str, ids: &[String]) -> Vec<api::GroupIdentifier> {
    let name = |id: &String| read.shared(&SecurityGroup::key(account, id)).map(|group| group.body.name.clone());
    ids.iter().map(|id| api::GroupIdentifier { group_id: Some(id.clone()), group_name: name(id) }).collect()
}
