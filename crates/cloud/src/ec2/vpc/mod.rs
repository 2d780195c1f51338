//! VPCs. [`crate::fabric`] makes them real while something is in them.

mod model;
pub mod ops;

pub use model::{Attributes, Block, Vpc};

use crate::ec2::internet_gateway;
use crate::ec2::network_acl;
use crate::ec2::route_table::{self, Target};
use crate::ec2::security_group;
use crate::ec2::subnet;
use crate::settings::{SERVICE_ACCOUNT, Settings};
use roadstead_store::{AnyKey, Tx};
use roadstead_types::{Cidr, Tags};
use std::net::Ipv4Addr;

/// Makes a VPC with its default security group, its main route table and its default network ACL.
pub fn create(tx: &mut Tx, account: &str, cidr: Cidr, is_default: bool) -> Vpc {
    let vpc = insert(tx, None, account, cidr, is_default);
    security_group::create(tx, &vpc, "default", "default VPC security group", true);
    route_table::ensure_main(tx, &vpc);
    network_acl::ensure_default(tx, &vpc);
    vpc
}

/// Makes a network of the service's own.
pub fn create_for_service(tx: &mut Tx, owner: &AnyKey, cidr: Cidr) -> Vpc {
    insert(tx, Some(owner.clone()), SERVICE_ACCOUNT, cidr, false)
}

fn insert(tx: &mut Tx, owner: Option<AnyKey>, account: &str, cidr: Cidr, is_default: bool) -> Vpc {
    let id = tx.fresh_id("vpc-");
    let attributes = Attributes { dns_hostnames: is_default, ..Attributes::default() };
    let (account, more, tags) = (account.to_owned(), Vec::new(), Tags::new());
    let vpc = Vpc { id, account, cidr, more, is_default, attributes, tags };
    tx.create(Vpc::key(&vpc.account, &vpc.id), owner, vpc.clone());
    vpc
}

/// Makes an account's default VPC: 172.31.0.0/16 with a /20 in each zone, and a way out (VPC user guide, "Default VPC
/// components").
pub fn create_default(tx: &mut Tx, settings: &Settings) -> Vpc {
    let vpc = create(tx, &settings.account, Cidr::containing(Ipv4Addr::new(172, 31, 0, 0), 16), true);
    let gateway = internet_gateway::create_attached(tx, &vpc);
    if let Some(mut main) = route_table::main(tx, &vpc.id) {
        let anywhere = Cidr::containing(Ipv4Addr::UNSPECIFIED, 0);
        main.body.routes.insert(anywhere, Target::InternetGateway(gateway.id));
        tx.put(main);
    }
    for (n, zone) in (0..).zip(&settings.zones) {
        let block = Cidr::containing(Ipv4Addr::new(172, 31, n * 16, 0), 20);
        subnet::create(tx, None, &vpc, block, zone, true);
    }
    vpc
}
