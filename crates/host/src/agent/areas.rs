//! The areas, and which item goes to which.

use crate::balancer::Balancers;
use crate::disk::Disks;
use crate::endpoint::Endpoints;
use crate::link_local::LinkLocal;
use crate::machine::Machines;
use crate::net::{Nets, Part};
use crate::quorum::Quorums;
use crate::tokens::Reviewers;
use crate::{Config, Saw};
use anyhow::Result;
use roadstead_hostspec::{Item, ItemKey, ItemKind, Versioned};
use std::sync::Arc;

pub(super) struct Areas {
    nets: Nets,
    balancers: Balancers,
    endpoints: Endpoints,
    quorums: Quorums,
    disks: Disks,
    machines: Machines,
    reviewers: Reviewers,
    link_local: LinkLocal,
}

impl Areas {
    /// # Errors
    /// This machine lacks what an area needs.
    pub fn new(config: Arc<Config>, saw: Saw) -> Result<Areas> {
        let nets = Nets::new(config.clone(), saw.clone());
        let disks = Disks::new(&config, saw.clone());
        let machines = Machines::new(config.clone(), saw.clone(), nets.clone(), disks.clone())?;
        let balancers = Balancers::new(config.clone(), saw.clone(), nets.clone(), machines.roster());
        let quorums = Quorums::new(nets.clone(), machines.roster());
        let reviewers = Reviewers::new(config.clone(), saw.clone(), nets.clone());
        let endpoints = Endpoints::new(config.clone(), saw, nets.clone());
        let link_local = LinkLocal::new(config, nets.clone(), endpoints.names());
        Ok(Areas { nets, balancers, endpoints, quorums, disks, machines, reviewers, link_local })
    }

    /// Makes the item as it is wanted.
    pub async fn put(&self, Versioned { generation, item }: &Versioned) {
        match item.clone() {
            Item::Network(spec) => {
                self.link_local.put_network(*generation, &spec).await;
                self.nets.put_network(*generation, spec).await;
            }
            Item::Port(spec) => self.nets.put_port(*generation, spec).await,
            Item::SecurityGroup(spec) => self.nets.put_group(spec).await,
            Item::Balancer(spec) => self.balancers.put(*generation, spec).await,
            Item::Endpoint(spec) => self.endpoints.put(*generation, spec).await,
            Item::Quorum(spec) => self.quorums.put(*generation, spec).await,
            Item::Disk(spec) => self.disks.put(*generation, spec),
            Item::Machine(spec) => self.machines.put(*generation, spec),
            Item::Metadata(spec) => self.link_local.put_instance(spec),
            Item::Reviewer(spec) => self.reviewers.put_reviewer(*generation, spec).await,
            Item::Credential(spec) => self.reviewers.put_credential(spec),
        }
    }

    /// Removes the item; fine if it is not there.
    pub async fn remove(&self, key: &ItemKey) {
        match key.kind {
            ItemKind::Network => {
                self.link_local.remove_network(&key.id).await;
                self.nets.remove_network(&key.id).await;
            }
            ItemKind::Port => self.nets.remove_port(&key.id).await,
            ItemKind::SecurityGroup => self.nets.remove_group(&key.id).await,
            ItemKind::Balancer => self.balancers.remove(&key.id).await,
            ItemKind::Endpoint => self.endpoints.remove(&key.id).await,
            ItemKind::Quorum => self.quorums.remove(&key.id).await,
            ItemKind::Disk => self.disks.remove(&key.id).await,
            ItemKind::Machine => self.machines.remove(&key.id).await,
            ItemKind::Metadata => self.link_local.remove_instance(&key.id),
            ItemKind::Reviewer => self.reviewers.remove_reviewer(&key.id).await,
            ItemKind::Credential => self.reviewers.remove_credential(&key.id),
        }
    }

    /// Has what an earlier agent made of the item kept until it is put.
    pub async fn adopt(&self, item: &Item) {
        match item {
            Item::Network(spec) => self.link_local.adopt(spec).await,
            Item::Port(spec) => self.nets.adopt(&spec.network, Part::Port(spec.clone())).await,
            Item::SecurityGroup(spec) => self.nets.adopt(&spec.network, Part::Group(spec.clone())).await,
            Item::Balancer(spec) => self.balancers.adopt(spec).await,
            Item::Endpoint(spec) => self.endpoints.adopt(spec).await,
            Item::Reviewer(spec) => self.reviewers.adopt(spec).await,
            _ => {}
        }
    }

    /// What is on this machine, whoever made it, of the kinds that leave something in the kernel or on the disk.
    pub async fn found(&self) -> Result<Vec<ItemKey>> {
        let of = |kind| move |id| ItemKey { kind, id };
        let mut found: Vec<ItemKey> = self.nets.found().await?.into_iter().map(of(ItemKind::Network)).collect();
        found.extend(self.machines.ids().into_iter().map(of(ItemKind::Machine)));
        found.extend(self.disks.ids().into_iter().map(of(ItemKind::Disk)));
        Ok(found)
    }

    /// Repairs what was changed behind the agent's back.
    pub async fn audit(&self) {
        self.nets.audit().await;
    }
}
