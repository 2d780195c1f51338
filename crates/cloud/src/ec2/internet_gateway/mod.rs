//! Internet gateways: by which a VPC's routes lead outside.

mod model;
pub mod ops;

pub use model::InternetGateway;

use crate::ec2::vpc::Vpc;
use roadstead_store::{Index, Read, Tx};
use roadstead_types::Tags;

/// Makes a VPC's internet gateway.
pub fn create_attached(tx: &mut Tx, vpc: &Vpc) -> InternetGateway {
    insert(tx, &vpc.account, Some(vpc.id.clone()), Tags::new())
}

fn insert(tx: &mut Tx, account: &str, vpc: Option<String>, tags: Tags) -> InternetGateway {
    let gateway = InternetGateway { id: tx.fresh_id("igw-"), account: account.into(), vpc, tags };
    tx.create(InternetGateway::key(account, &gateway.id), None, gateway.clone());
    gateway
}

/// The gateway of a VPC, if it has one.
pub fn of_vpc(read: &impl Read, vpc: &str) -> Option<InternetGateway> {
    read.list(Index::<InternetGateway>::by("vpc", vpc)).pop().map(|record| record.body)
}
