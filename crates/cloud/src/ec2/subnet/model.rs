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
    /// Its tags.
    pub tags: Tags,
}

impl Object for Subnet {
    const KIND: &'static str = "ec2/subnet";
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("vpc", self.vpc.clone())]
    }
}

impl Subnet {
    /// Whether an instance in it has an address outside if nobody says otherwise.
    pub fn maps_public_address(&self) -> bool {
        self.maps_public_address.unwrap_or(self.default_for_zone)
    }

    /// The key of an account's subnet.
    pub fn key(account: &str, id: &str) -> Key<Subnet> {
        Key::new(format!("{account}/{id}"))
    }
}
