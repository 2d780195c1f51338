//! Network ACLs: what passes the borders of subnets, packet by packet. Every VPC has a default one, which is born with
//! letting everything through, and every subnet is associated with one ACL of its VPC.

mod asked;
mod model;
pub mod ops;
mod view;

pub use model::{Association, Entry, NetworkAcl, default_association};

use crate::ec2::block::Block;
use crate::ec2::security_group_rule::Traffic;
use crate::ec2::vpc::Vpc;
use roadstead_store::{Index, Read, Record, Tx};
use roadstead_types::{Cidr, Tags};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Number of the rule that lets everything through a default ACL.
const FIRST_RULE: u16 = 100;

/// Makes a VPC's default ACL, if it has none: one from before ACLs were records does not, and its subnets behaved as they
/// do under this one. Its id follows from the VPC's, as it always did.
pub fn ensure_default(tx: &mut Tx, vpc: &Vpc) {
    let id = model::default_id(&vpc.id);
    if tx.shared(&NetworkAcl::key(&vpc.account, &id)).is_some() {
        return;
    }
    let block = Block::Ipv4(Cidr::containing(Ipv4Addr::UNSPECIFIED, 0));
    let everything = BTreeMap::from([(FIRST_RULE, Entry { traffic: Traffic::ALL, block, allows: true })]);
    insert(tx, vpc, id, everything, Tags::new());
}

/// Makes an ACL that lets nothing through.
fn create(tx: &mut Tx, vpc: &Vpc, tags: Tags) -> NetworkAcl {
    let id = tx.fresh_id("acl-");
    insert(tx, vpc, id, BTreeMap::new(), tags)
}

fn insert(tx: &mut Tx, vpc: &Vpc, id: String, entries: BTreeMap<u16, Entry>, tags: Tags) -> NetworkAcl {
    let (account, vpc, ingress, egress) = (vpc.account.clone(), vpc.id.clone(), entries.clone(), entries);
    let acl = NetworkAcl { id, account, vpc, ingress, egress, tags };
    tx.create(NetworkAcl::key(&acl.account, &acl.id), None, acl.clone());
    acl
}

/// All ACLs of a VPC.
pub fn of_vpc(read: &impl Read, vpc: &str) -> Vec<Record<NetworkAcl>> {
    read.list(Index::<NetworkAcl>::by("vpc", vpc))
}
