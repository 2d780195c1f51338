//! Subnets.

mod model;
pub mod ops;

pub use model::Subnet;

use crate::ec2::vpc::Vpc;
use crate::settings::Zone;
use roadstead_store::{AnyKey, Tx};
use roadstead_types::{Cidr, Tags};

/// Makes a subnet.
pub fn create(
    tx: &mut Tx,
    owner: Option<AnyKey>,
    vpc: &Vpc,
    cidr: Cidr,
    zone: &Zone,
    default_for_zone: bool,
) -> Subnet {
    let subnet = Subnet {
        id: tx.fresh_id("subnet-"),
        account: vpc.account.clone(),
        vpc: vpc.id.clone(),
        cidr,
        zone: zone.name.clone(),
        zone_id: zone.id.clone(),
        default_for_zone,
        maps_public_address: None,
        acl: None,
        tags: Tags::new(),
    };
    tx.create(Subnet::key(&subnet.account, &subnet.id), owner, subnet.clone());
    subnet
}
