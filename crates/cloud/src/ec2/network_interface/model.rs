use roadstead_store::{Key, Object};
use roadstead_types::Cidr;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// An elastic network interface: an address in a subnet that outlives who uses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkInterface {
    /// `eni-…`.
    pub id: String,
    /// The subnet's owner.
    pub account: String,
    /// Its VPC.
    pub vpc: String,
    /// Its subnet.
    pub subnet: String,
    /// The subnet's block.
    pub block: Cidr,
    /// The subnet's zone.
    pub zone: String,
    /// Locally administered.
    pub mac: String,
    /// Primary private address.
    pub address: Ipv4Addr,
    /// Its security groups.
    pub groups: Vec<String>,
    /// E.g. `Amazon EKS my-cluster`.
    pub description: String,
    /// Made by a service for its user, who cannot detach it.
    pub requester_managed: bool,
    /// A balancer answers for its address; no machine end exists.
    pub balancer: bool,
}

impl Object for NetworkInterface {
    const KIND: &'static str = "ec2/network-interface";
    fn index(&self) -> Vec<(&'static str, String)> {
        let place = [("vpc", self.vpc.clone()), ("subnet", self.subnet.clone())];
        let address = ("address", NetworkInterface::at(&self.subnet, self.address));
        place.into_iter().chain([address]).chain(self.groups.iter().map(|group| ("group", group.clone()))).collect()
    }
}

impl NetworkInterface {
    /// The key of an interface.
    pub fn key(id: &str) -> Key<NetworkInterface> {
        Key::new(id)
    }

    /// Its value in the index `address`.
    pub(super) fn at(subnet: &str, address: Ipv4Addr) -> String {
        format!("{subnet}/{address}")
    }
}
