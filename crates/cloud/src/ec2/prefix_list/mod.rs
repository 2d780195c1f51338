//! Managed prefix lists: blocks of addresses that rules of security groups and routes name as one. A change of a list is a
//! change of whatever names it.

mod asked;
mod model;
pub mod ops;
mod users;
mod view;

pub use model::{Entry, Family, PrefixList, State};

use roadstead_store::Read;
use roadstead_types::Cidr;

/// The blocks of an account's list; none of one that is of IPv6, or not there.
pub fn blocks(read: &impl Read, account: &str, id: &str) -> Vec<Cidr> {
    let list = read.shared(&PrefixList::key(account, id));
    list.map(|list| list.body.blocks().collect()).unwrap_or_default()
}

/// For how many rules or routes a list counts where it is named: as many as it may have entries (VPC user guide, "Prefix
/// list rules").
pub fn weight(read: &impl Read, account: &str, id: &str) -> usize {
    read.shared(&PrefixList::key(account, id)).map_or(1, |list| list.body.max_entries)
}
