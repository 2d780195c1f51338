use roadstead_store::{Key, Object};
use roadstead_types::{Cidr, Millis, Tags};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// An elastic network interface: addresses in a subnet that outlive who uses them.
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
    /// Secondary private addresses, in the order in which they came.
    #[serde(default)]
    pub secondary: Vec<Ipv4Addr>,
    /// Blocks of sixteen addresses each.
    #[serde(default)]
    pub prefixes: Vec<Cidr>,
    /// Its security groups.
    pub groups: Vec<String>,
    /// E.g. `Amazon EKS my-cluster`.
    pub description: String,
    /// Made by a service for its user, who cannot detach it.
    pub requester_managed: bool,
    /// A balancer answers for its address; no machine end exists.
    pub balancer: bool,
    /// A VPC endpoint answers for its address; no machine end exists.
    #[serde(default)]
    pub endpoint: bool,
    /// The user's instance that it is in.
    #[serde(default)]
    pub attachment: Option<Attachment>,
    /// The address outside that its instance has while it runs; an elastic one takes its place.
    #[serde(default)]
    pub public: Option<Ipv4Addr>,
    /// Whether the instance only sends and gets what is its own.
    #[serde(default = "checked")]
    pub source_dest_check: bool,
    /// Its tags.
    #[serde(default)]
    pub tags: Tags,
}

fn checked() -> bool {
    true
}

/// An interface in an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// `eni-attach-…`.
    pub id: String,
    /// `i-…`.
    pub instance: String,
    /// N of its `ethN` inside.
    pub device_index: u32,
    /// Since when.
    pub since: Millis,
    /// It goes when its instance is terminated.
    pub delete_on_termination: bool,
    /// It was asked to be detached, and is until its machine no longer has it.
    pub detaching: bool,
}

impl Object for NetworkInterface {
    const KIND: &'static str = "ec2/network-interface";
    fn index(&self) -> Vec<(&'static str, String)> {
        let mut index =
            vec![("account", self.account.clone()), ("vpc", self.vpc.clone()), ("subnet", self.subnet.clone())];
        let addresses = [self.address].into_iter().chain(self.secondary.iter().copied());
        index.extend(addresses.map(|address| ("address", NetworkInterface::at(&self.subnet, address))));
        index.extend(self.prefixes.iter().map(|block| ("prefix", NetworkInterface::over(&self.subnet, *block))));
        if !self.secondary.is_empty() || !self.prefixes.is_empty() {
            index.push(("more-in-subnet", self.subnet.clone()));
        }
        if let Some(public) = self.public {
            index.extend([("public", public.to_string()), ("public-in-vpc", self.vpc.clone())]);
        }
        index.extend(self.groups.iter().map(|group| ("group", group.clone())));
        if let Some(attachment) = &self.attachment {
            index.push(("instance", attachment.instance.clone()));
            index.push(("attachment", attachment.id.clone()));
        }
        index
    }
}

impl NetworkInterface {
    /// The key of an interface.
    pub fn key(id: &str) -> Key<NetworkInterface> {
        Key::new(id)
    }

    /// All addresses besides the primary one, those of prefixes included.
    pub fn others(&self) -> impl Iterator<Item = Ipv4Addr> {
        let of_block = |block: &Cidr| (0..block.size()).filter_map(|n| block.nth(n)).collect::<Vec<_>>();
        self.secondary.iter().copied().chain(self.prefixes.iter().flat_map(of_block))
    }

    /// How many of an instance type's addresses it takes: a prefix counts as one.
    pub fn places(&self) -> usize {
        1 + self.secondary.len() + self.prefixes.len()
    }

    /// Its value in the index `address`.
    pub(super) fn at(subnet: &str, address: Ipv4Addr) -> String {
        format!("{subnet}/{address}")
    }

    /// Its value in the index `prefix`.
    pub(super) fn over(subnet: &str, block: Cidr) -> String {
        format!("{subnet}/{block}")
    }
}
