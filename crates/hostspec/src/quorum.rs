//! Servers that need a majority of each other, and whose clients choose among them by themselves: etcd's members.

use crate::Server;
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// Members that serve by majority, to clients that each know all of them.
///
/// Such a client notices a member that ended, and waits for one that is merely silent (an API server for 40 s). So the
/// network's router refuses clients of a member whose process is not ready, while enough others are; their open
/// connections end with the next packet that they send. What members say to each other goes to another port and stays:
/// by that a member catches up and becomes ready again. While too few others are ready nobody is refused: then it is the
/// majority that is missing, and no member serves better than another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// Unique in the region.
    pub id: String,
    /// The [`Network`](crate::Network) of members and clients.
    pub network: String,
    /// The TCP port that clients dial.
    pub port: u16,
    /// How many ready members make a majority.
    pub majority: usize,
    /// All of them.
    pub members: Vec<QuorumMember>,
}

/// A member of a [`Quorum`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuorumMember {
    /// Where clients dial it.
    pub address: Ipv4Addr,
    /// Who serves there.
    pub server: Server,
}
