//! Route tables: where a subnet's packets go. Every VPC has a main one, for subnets that have none of their own.

mod model;
pub mod ops;
mod view;

pub use model::{Destination, RouteTable, Target};

use crate::ec2::vpc::Vpc;
use roadstead_store::{Index, Read, Record, Tx};
use roadstead_types::Tags;
use std::collections::BTreeMap;

/// EC2 quota "routes per route table".
pub(super) const ROUTES_MAX: usize = 500;

/// Makes a VPC's main table, if it has none.
pub fn ensure_main(tx: &mut Tx, vpc: &Vpc) {
    if main(tx, &vpc.id).is_none() {
        let association = tx.fresh_id("rtbassoc-");
        insert(tx, vpc, Some(association), Tags::new());
    }
}

fn insert(tx: &mut Tx, vpc: &Vpc, main: Option<String>, tags: Tags) -> RouteTable {
    let table = RouteTable {
        id: tx.fresh_id("rtb-"),
        account: vpc.account.clone(),
        vpc: vpc.id.clone(),
        main,
        subnets: BTreeMap::new(),
        routes: BTreeMap::new(),
        lists: BTreeMap::new(),
        tags,
    };
    tx.create(RouteTable::key(&table.account, &table.id), None, table.clone());
    table
}

/// A VPC's main table.
pub fn main(read: &impl Read, vpc: &str) -> Option<Record<RouteTable>> {
    of_vpc(read, vpc).into_iter().find(|table| table.body.main.is_some())
}

/// The table that a subnet's packets go by.
pub fn of_subnet(read: &impl Read, vpc: &str, subnet: &str) -> Option<Record<RouteTable>> {
    let own = read.list(Index::<RouteTable>::by("subnet", subnet)).into_iter().next();
    own.or_else(|| main(read, vpc))
}

/// All tables of a VPC.
pub fn of_vpc(read: &impl Read, vpc: &str) -> Vec<Record<RouteTable>> {
    read.list(Index::<RouteTable>::by("vpc", vpc))
}

/// A subnet that is gone is associated with nothing.
pub fn forget_subnet(tx: &mut Tx, subnet: &str) {
    for mut table in tx.list(Index::<RouteTable>::by("subnet", subnet)) {
        table.body.subnets.retain(|_, associated| associated != subnet);
        tx.put(table);
    }
}
