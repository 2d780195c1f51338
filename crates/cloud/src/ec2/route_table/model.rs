use crate::ec2::prefix_list;
use crate::ec2::vpc::Vpc;
use roadstead_store::{Key, Object, Read};
use roadstead_types::{Cidr, Tags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

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
    /// By the id of a prefix list: routes to all of its blocks. A route to the very block goes first.
    #[serde(default)]
    pub lists: BTreeMap<String, Target>,
    /// Its tags.
    pub tags: Tags,
}

/// What a route is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Every address of a block.
    Block(Cidr),
    /// Every address of this prefix list.
    List(String),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::Block(block) => block.fmt(f),
            Destination::List(id) => id.fmt(f),
        }
    }
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
        index.extend(self.lists.keys().map(|list| ("prefix-list", list.clone())));
        index.extend(self.subnets.keys().chain(&self.main).map(|id| ("association", id.clone())));
        index
    }
}

impl RouteTable {
    /// Where each address leads: blocks that share none, and their targets.
    pub fn leads(&self, read: &impl Read) -> Vec<(Cidr, &Target)> {
        let routes = self.all(read);
        let own = |to: Cidr| {
            let closer = routes.keys().copied().filter(|other| *other != to && to.contains_cidr(*other));
            to.without(&closer.collect::<Vec<_>>())
        };
        let leads = routes.iter().flat_map(|(to, target)| own(*to).into_iter().map(move |block| (block, *target)));
        leads.collect()
    }

    /// The routes, those to prefix lists block by block: but none into the VPC's own blocks, to which the local routes lead
    /// (VPC user guide, "Route priority and prefix lists").
    fn all(&self, read: &impl Read) -> BTreeMap<Cidr, &Target> {
        let vpc = read.shared(&Vpc::key(&self.account, &self.vpc)).filter(|_| !self.lists.is_empty());
        let is_local = |to: Cidr| vpc.as_ref().is_some_and(|vpc| vpc.body.blocks().any(|own| own.contains_cidr(to)));
        let mut all = BTreeMap::new();
        for (list, target) in &self.lists {
            let blocks = prefix_list::blocks(read, &self.account, list).into_iter();
            all.extend(blocks.filter(|to| !is_local(*to)).map(|to| (to, target)));
        }
        all.extend(self.routes.iter().map(|(to, target)| (*to, target)));
        all
    }

    /// Where its routes lead, whatever they are for.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.routes.values().chain(self.lists.values())
    }

    /// Where the route for this leads, if there is one.
    pub fn target(&self, to: &Destination) -> Option<&Target> {
        match to {
            Destination::Block(block) => self.routes.get(block),
            Destination::List(id) => self.lists.get(id),
        }
    }

    /// Has the route for this lead there.
    pub fn lead(&mut self, to: Destination, target: Target) {
        match to {
            Destination::Block(block) => drop(self.routes.insert(block, target)),
            Destination::List(id) => drop(self.lists.insert(id, target)),
        }
    }

    /// Removes the route for this, if there is one.
    pub fn forget(&mut self, to: &Destination) -> Option<Target> {
        match to {
            Destination::Block(block) => self.routes.remove(block),
            Destination::List(id) => self.lists.remove(id),
        }
    }

    /// For how many its routes count.
    pub fn weight(&self, read: &impl Read) -> usize {
        let of_lists = self.lists.keys().map(|list| prefix_list::weight(read, &self.account, list));
        self.routes.len() + of_lists.sum::<usize>()
    }

    /// The key of an account's table.
    pub fn key(account: &str, id: &str) -> Key<RouteTable> {
        Key::new(format!("{account}/{id}"))
    }
}
