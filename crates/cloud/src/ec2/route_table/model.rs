use roadstead_store::{Key, Object};
use roadstead_types::{Cidr, Tags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A route table. The route to the VPC's own block is in every one, and in no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// `rtb-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its VPC.
    pub vpc: String,
    /// Id of its association with the VPC, `rtbassoc-…`, if it is the main one.
    pub main: Option<String>,
    /// By the association's id: the subnet.
    pub subnets: BTreeMap<String, String>,
    /// By destination. The longest prefix counts.
    pub routes: BTreeMap<Cidr, Target>,
    /// Its tags.
    pub tags: Tags,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Out by the VPC's gateway.
    InternetGateway(String),
    /// Out by a NAT gateway.
    NatGateway(String),
    /// To an interface.
    Interface(String),
}

impl Target {
    /// Its id.
    pub fn id(&self) -> &str {
        match self {
            Target::InternetGateway(id) | Target::NatGateway(id) | Target::Interface(id) => id,
        }
    }
}

impl Object for RouteTable {
    const KIND: &'static str = "ec2/route-table";
    fn index(&self) -> Vec<(&'static str, String)> {
        let mut index = vec![("vpc", self.vpc.clone())];
        index.extend(self.subnets.values().map(|subnet| ("subnet", subnet.clone())));
        index.extend(self.subnets.keys().chain(&self.main).map(|id| ("association", id.clone())));
        index
    }
}

impl RouteTable {
    /// Where each address leads: blocks that share none, and their targets.
    pub fn leads(&self) -> Vec<(Cidr, &Target)> {
        let own = |to: Cidr| {
            let closer = self.routes.keys().copied().filter(|other| *other != to && to.contains_cidr(*other));
            to.without(&closer.collect::<Vec<_>>())
        };
        let routes = self.routes.iter().flat_map(|(to, target)| own(*to).into_iter().map(move |block| (block, target)));
        routes.collect()
    }

    /// The key of an account's table.
    pub fn key(account: &str, id: &str) -> Key<RouteTable> {
        Key::new(format!("{account}/{id}"))
    }
}
