//! VPCs. [`crate::fabric`] makes them real while something is in them.

mod model;
pub mod ops;

pub use model::Vpc;

use crate::ec2::security_group;
use crate::ec2::subnet;
use crate::settings::{SERVICE_ACCOUNT, Settings};
use roadstead_store::{AnyKey, Tx};
use roadstead_types::{Cidr, Tags};
use std::net::Ipv4Addr;

/// Makes a VPC with its default security group.
pub fn create(tx: &mut Tx, account: &str, cidr: Cidr, is_default: bool) -> Vpc {
    let vpc = insert(tx, None, account, cidr, is_default);
    security_group::create(tx, &vpc, "default", "default VPC security group", true);
    vpc
}

/// Makes a network of the service's own.
pub fn create_for_service(tx: &mut Tx, owner: &AnyKey, cidr: Cidr) -> Vpc {
    insert(tx, Some(owner.clone()), SERVICE_ACCOUNT, cidr, false)
}

fn insert(tx: &mut Tx, owner: Option<AnyKey>, account: &str, cidr: Cidr, is_default: bool) -> Vpc {
    let id = tx.fresh_id("vpc-");
    let vpc = Vpc { id, account: account.into(), cidr, is_default, tags: Tags::new() };
    tx.create(Vpc::key(account, &vpc.id), owner, vpc.clone());
    vpc
}

/// Makes an account's default VPC: 172.31.0.0/16 with a /20 in each zone (VPC user guide, "Default VPC components").
pub fn create_default(tx: &mut Tx, settings: &Settings) -> Vpc {
    let vpc = create(tx, &settings.account, Cidr::containing(Ipv4Addr::new(172, 31, 0, 0), 16), true);
    for (n, zone) in (0..).zip(&settings.zones) {
        let block = Cidr::containing(Ipv4Addr::new(172, 31, n * 16, 0), 20);
        subnet::create(tx, None, &vpc, block, zone, true);
    }
    vpc
}
