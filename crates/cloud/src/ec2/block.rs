//! Blocks of addresses, as EC2 keeps what requests name: in canonical form, whatever host bits were given.

use roadstead_types::{Cidr, CidrError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv6Addr;

/// A block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Block {
    /// Of IPv4.
    Ipv4(Cidr),
    /// Of IPv6, in canonical form. No VPC has any, so it matches nothing.
    Ipv6(String),
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Block::Ipv4(block) => block.fmt(f),
            Block::Ipv6(block) => block.fmt(f),
        }
    }
}

/// A block of IPv4; none if it is no such block.
pub fn ipv4(text: &str) -> Option<Cidr> {
    match text.parse::<Cidr>() {
        Ok(block) | Err(CidrError::HostBits(_, block)) => Some(block),
        Err(CidrError::Syntax(_)) => None,
    }
}

/// A block of IPv6; none if it is no such block.
pub fn ipv6(text: &str) -> Option<String> {
    let (address, prefix) = text.split_once('/')?;
    let (address, prefix) = (address.parse::<Ipv6Addr>().ok()?, prefix.parse::<u8>().ok()?);
    let host = 128_u32.checked_sub(u32::from(prefix))?;
    let mask = u128::MAX.checked_shl(host).unwrap_or(0);
    Some(format!("{}/{prefix}", Ipv6Addr::from(u128::from(address) & mask)))
}
