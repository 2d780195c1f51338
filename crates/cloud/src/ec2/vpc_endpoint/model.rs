use super::service::Service;
use roadstead_store::{Key, Object, Record};
use roadstead_types::Tags;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// An interface endpoint of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VpcEndpoint {
    /// `vpce-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its VPC.
    pub vpc: String,
    /// The service's name without the region: `ecr.api`.
    pub service: String,
    /// What its names have besides its id: eight hexadecimal digits.
    pub label: String,
    /// Where it is, one place a zone.
    pub places: Vec<Place>,
    /// Interfaces where it was: they go once no host answers at them.
    pub leaving: Vec<String>,
    /// Security groups of its interfaces.
    pub groups: Vec<String>,
    /// The VPC's resolver knows it by the service's own names.
    pub private_names: bool,
    /// A host answers at all of its addresses.
    pub available: bool,
    /// Its tags.
    pub tags: Tags,
}

/// A subnet in which an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// `subnet-…`.
    pub subnet: String,
    /// The subnet's zone.
    pub zone: String,
    /// Its interface there, `eni-…`.
    pub interface: String,
    /// That one's address.
    pub address: Ipv4Addr,
}

/// What it does just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the state of EC2 that it is called after")]
pub enum State {
    Pending,
    Available,
    Deleting,
}

impl State {
    /// That of an endpoint.
    pub fn of(record: &Record<VpcEndpoint>) -> State {
        match (record.deleting.is_some(), record.body.available) {
            (true, _) => State::Deleting,
            (false, true) => State::Available,
            (false, false) => State::Pending,
        }
    }
}

impl Object for VpcEndpoint {
    const KIND: &'static str = "ec2/vpc-endpoint";
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("vpc", self.vpc.clone())]
    }
}

impl VpcEndpoint {
    /// The key of an account's endpoint.
    pub fn key(account: &str, id: &str) -> Key<VpcEndpoint> {
        Key::new(format!("{account}/{id}"))
    }

    /// Where its names lead (AWS PrivateLink guide, "DNS hostnames"): its own one to all of its addresses, one more a zone to
    /// the address there, and the service's own ones if it has private names.
    pub fn names(&self, region: &str) -> BTreeMap<String, Vec<Ipv4Addr>> {
        let Some(service) = Service::of(&self.service) else { return BTreeMap::new() };
        let all: Vec<Ipv4Addr> = self.places.iter().map(|place| place.address).collect();
        let (own, base) = (format!("{}-{}", self.id, self.label), service.base_name(region));
        let mut names: BTreeMap<_, _> = [(format!("{own}.{base}"), all.clone())].into();
        names.extend(self.places.iter().map(|at| (format!("{own}-{}.{base}", at.zone), vec![at.address])));
        if self.private_names {
            names.insert(service.private_name(region), all);
        }
        names
    }
}
