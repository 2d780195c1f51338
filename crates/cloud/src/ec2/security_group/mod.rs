//! Security groups.

mod model;
pub mod ops;

pub use model::SecurityGroup;

use crate::ec2::vpc::Vpc;
use roadstead_store::Tx;
use roadstead_types::Tags;

/// Makes a security group.
pub fn create(tx: &mut Tx, vpc: &Vpc, name: &str, description: &str, allows_itself: bool) -> SecurityGroup {
    let group = SecurityGroup {
        id: tx.fresh_id("sg-"),
        account: vpc.account.clone(),
        vpc: vpc.id.clone(),
        name: name.into(),
        description: description.into(),
        allows_itself,
        tags: Tags::new(),
    };
    tx.create(SecurityGroup::key(&group.account, &group.id), None, group.clone());
    group
}
