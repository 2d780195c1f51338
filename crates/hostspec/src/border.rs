//! Borders of subnets: what a network's router lets through between one and the rest of the world.

use crate::security_group::Traffic;
use roadstead_types::Cidr;
use serde::{Deserialize, Serialize};

/// What passes a subnet's border, each packet judged for itself: answers need entries of their own. What stays inside the
/// subnet, what the router itself sends and gets, and what comes by a balancer's public address is not asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Border {
    /// The subnet. It shares no address with another border's.
    pub subnet: Cidr,
    /// What comes in, by who sends it. None: everything.
    pub ingress: Option<Vec<Entry>>,
    /// What leaves, by whom it is for. None: everything.
    pub egress: Option<Vec<Entry>>,
}

/// Decides of a kind of packets. The first that a packet matches counts; one that matches none is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Of which.
    pub traffic: Traffic,
    /// Who sends them, or gets them.
    pub peer: Cidr,
    /// Whether they pass.
    pub allows: bool,
}
