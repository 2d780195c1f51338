//! Security groups.

mod model;
pub mod ops;

pub use model::SecurityGroup;

use crate::ec2::vpc::Vpc;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Read, Tx};
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

/// Groups as EC2 shows them where something has them.
pub(crate) fn identifiers(read: &impl Read, account: &str, ids: &[String]) -> Vec<api::GroupIdentifier> {
    let name = |id: &String| read.shared(&SecurityGroup::key(account, id)).map(|group| group.body.name.clone());
    ids.iter().map(|id| api::GroupIdentifier { group_id: Some(id.clone()), group_name: name(id) }).collect()
}
