use roadstead_store::{Key, Object};
use roadstead_types::{Cidr, Tags};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A rule of a security group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    /// `sgr-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// Its group.
    pub group: String,
    /// Which way.
    pub direction: Direction,
    /// What it lets through. No two rules of a group and a direction let the same through.
    pub permission: Permission,
    /// As given.
    pub description: Option<String>,
    /// Its tags.
    pub tags: Tags,
}

/// Which way traffic goes, seen from who has the group. Answers to what was let through always pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the direction it names")]
pub enum Direction {
    Ingress,
    Egress,
}

/// What is let through, and from or to whom.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Permission {
    /// What.
    pub traffic: Traffic,
    /// From or to whom.
    pub peer: Peer,
}

/// Traffic, as EC2 numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Traffic {
    /// IANA's number of the protocol. None: every one.
    pub protocol: Option<u8>,
    /// The first port of TCP and UDP, the type of ICMP; -1: every one.
    pub from: i32,
    /// The last port of TCP and UDP, the code of ICMP; -1: every one.
    pub to: i32,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Peer {
    /// Every address of a block.
    Ipv4(Cidr),
    /// The same of IPv6, in canonical form. No VPC has any, so it lets nothing through.
    Ipv6(String),
    /// Who has this group of the same VPC.
    Group(String),
    /// Every address of this prefix list.
    PrefixList(String),
}

impl Object for SecurityGroupRule {
    const KIND: &'static str = "ec2/security-group-rule";
    fn index(&self) -> Vec<(&'static str, String)> {
        let mut index = vec![("group", self.group.clone())];
        match &self.permission.peer {
            Peer::Group(named) => index.push(("peer", named.clone())),
            Peer::PrefixList(named) => index.push(("prefix-list", named.clone())),
            Peer::Ipv4(_) | Peer::Ipv6(_) => {}
        }
        index
    }
}

impl SecurityGroupRule {
    /// The key of an account's rule.
    pub fn key(account: &str, id: &str) -> Key<SecurityGroupRule> {
        Key::new(format!("{account}/{id}"))
    }
}

impl Permission {
    /// Everything, from or to whom it may be.
    pub fn everything(peer: Peer) -> Permission {
        Permission { traffic: Traffic::ALL, peer }
    }
}

impl Traffic {
    /// All there is.
    pub const ALL: Traffic = Traffic { protocol: None, from: -1, to: -1 };
    /// Number of ICMP.
    pub const ICMP: u8 = 1;
    /// Number of TCP.
    pub const TCP: u8 = 6;
    /// Number of UDP.
    pub const UDP: u8 = 17;
    /// Number of ICMP for IPv6.
    pub const ICMPV6: u8 = 58;

    /// As EC2 writes the protocol.
    pub fn protocol_name(self) -> String {
        match self.protocol {
            None => "-1".into(),
            Some(Traffic::ICMP) => "icmp".into(),
            Some(Traffic::TCP) => "tcp".into(),
            Some(Traffic::UDP) => "udp".into(),
            Some(Traffic::ICMPV6) => "icmpv6".into(),
            Some(number) => number.to_string(),
        }
    }

    /// Whether its protocol has ports, or types and codes.
    pub fn has_range(self) -> bool {
        matches!(self.protocol, Some(Traffic::ICMP | Traffic::TCP | Traffic::UDP | Traffic::ICMPV6))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Ipv4(block) => block.fmt(f),
            Peer::Ipv6(name) | Peer::Group(name) | Peer::PrefixList(name) => name.fmt(f),
        }
    }
}

/// As EC2's errors name a rule.
impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Permission { traffic, peer } = self;
        write!(f, "peer: {peer}, ")?;
        match traffic.protocol {
            None => write!(f, "ALL, ")?,
            Some(Traffic::ICMP | Traffic::ICMPV6) => {
                let name = traffic.protocol_name().to_uppercase();
                write!(f, "{name}, type: {}, code: {}, ", or_all(traffic.from), or_all(traffic.to))?;
            }
            Some(_) if traffic.has_range() => {
                let name = traffic.protocol_name().to_uppercase();
                write!(f, "{name}, from port: {}, to port: {}, ", traffic.from, traffic.to)?;
            }
            Some(number) => write!(f, "{number}, ")?,
        }
        write!(f, "ALLOW")
    }
}

fn or_all(number: i32) -> String {
    if number < 0 { "ALL".into() } else { number.to_string() }
}
