use roadstead_store::{Key, Object, Record};
use roadstead_types::{Millis, Tags};
use serde::{Deserialize, Serialize};

/// A public NAT gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NatGateway {
    /// `nat-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its VPC.
    pub vpc: String,
    /// The subnet whose routes it goes out by.
    pub subnet: String,
    /// Its elastic address, `eipalloc-…`.
    pub allocation: String,
    /// Its interface, `eni-…`; none if it failed.
    pub interface: Option<String>,
    /// When it was made.
    pub created: Millis,
    /// Why it came to nothing.
    pub failure: Option<Failure>,
    /// Its interface was seen to be there.
    pub available: bool,
    /// Its tags.
    pub tags: Tags,
}

/// Why a NAT gateway came to nothing (EC2 API reference, NatGateway).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// E.g. `Gateway.NotAttached`.
    pub code: String,
    /// For people.
    pub message: String,
}

/// What it does just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the state of EC2 that it is called after")]
pub enum State {
    Pending,
    Failed,
    Available,
    Deleting,
}

impl State {
    /// That of a gateway.
    pub fn of(record: &Record<NatGateway>) -> State {
        match (&record.body.failure, record.deleting.is_some(), record.body.available) {
            (_, true, _) => State::Deleting,
            (Some(_), ..) => State::Failed,
            (None, false, true) => State::Available,
            (None, false, false) => State::Pending,
        }
    }
}

impl Object for NatGateway {
    const KIND: &'static str = "ec2/nat-gateway";
}

impl NatGateway {
    /// The key of an account's gateway.
    pub fn key(account: &str, id: &str) -> Key<NatGateway> {
        Key::new(format!("{account}/{id}"))
    }
}
