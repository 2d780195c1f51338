use crate::ec2::network_acl::{Association, default_association};
use roadstead_store::{Key, Object};
use roadstead_types::{Cidr, Tags};
use serde::{Deserialize, Serialize};

/// A subnet: a block of a VPC in one zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its VPC.
    pub vpc: String,
    /// Its block.
    pub cidr: Cidr,
    /// Name of its zone.
    pub zone: String,
    /// Id of its zone.
    pub zone_id: String,
    /// The zone's default subnet.
    pub default_for_zone: bool,
    /// Whether its instances are to have addresses outside; None: as in default subnets and others.
    #[serde(default)]
    pub maps_public_address: Option<bool>,
    /// Its association with a network ACL, once it was replaced: see [`Subnet::network_acl`].
    #[serde(default)]
    pub acl: Option<Association>,
    /// Its tags.
    pub tags: Tags,
}

impl Object for Subnet {
    const KIND: &'static str = "ec2/subnet";
    fn index(&self) -> Vec<(&'static str, String)> {
        let Association { id, acl } = self.network_acl();
        vec![("vpc", self.vpc.clone()), ("network-acl", acl), ("network-acl-association", id)]
    }
}

impl Subnet {
    /// Whether an instance in it has an address outside if nobody says otherwise.
    pub fn maps_public_address(&self) -> bool {
        self.maps_public_address.unwrap_or(self.default_for_zone)
    }

    /// Its association with a network ACL: every subnet has exactly one, to begin with that with its VPC's default one.
    pub fn network_acl(&self) -> Association {
        self.acl.clone().unwrap_or_else(|| default_association(&self.vpc, &self.id))
    }

    /// The key of an account's subnet.
    pub fn key(account: &str, id: &str) -> Key<Subnet> {
        Key::new(format!("{account}/{id}"))
    }
}
