use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// An IPv4 block in canonical form: no host bits are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    base: Ipv4Addr,
    prefix: u8,
}

/// Why a text is no CIDR block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CidrError {
    /// Not `a.b.c.d/n`.
    #[error("'{0}' is not a CIDR block (a.b.c.d/n)")]
    Syntax(String),
    /// Host bits are set; the canonical form is given, as EC2 does.
    #[error("'{0}' has host bits set; the block is {1}")]
    HostBits(String, Cidr),
}

impl Cidr {
    /// The block of `prefix` bits (at most 32) that holds `address`.
    pub fn containing(address: Ipv4Addr, prefix: u8) -> Cidr {
        let prefix = prefix.min(32);
        Cidr { base: Ipv4Addr::from(u32::from(address) & mask(prefix)), prefix }
    }

    /// First address.
    pub fn base(self) -> Ipv4Addr {
        self.base
    }

    /// Number of network bits, 0..=32.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Number of addresses.
    pub fn size(self) -> u64 {
        1 << (32 - self.prefix)
    }

    /// The n-th address of the block, if it has so many.
    pub fn nth(self, n: u64) -> Option<Ipv4Addr> {
        let n = (n < self.size()).then(|| u32::try_from(n).ok())??;
        u32::from(self.base).checked_add(n).map(Ipv4Addr::from)
    }

    /// Last address.
    pub fn last(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base) | !mask(self.prefix))
    }

    /// Whether the address lies in the block.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == u32::from(self.base)
    }

    /// Whether `other` lies wholly in this block.
    pub fn contains_cidr(self, other: Cidr) -> bool {
        self.prefix <= other.prefix && self.contains(other.base)
    }

    /// The blocks that are left of it without those, the fewest there are, in order.
    pub fn without(self, holes: &[Cidr]) -> Vec<Cidr> {
        if holes.iter().any(|hole| hole.contains_cidr(self)) {
            return Vec::new();
        }
        let inner: Vec<Cidr> = holes.iter().copied().filter(|hole| self.contains_cidr(*hole)).collect();
        match inner.is_empty() {
            true => vec![self],
            false => self.halves().into_iter().flat_map(|half| half.without(&inner)).collect(),
        }
    }

    /// What both have: the smaller one, if it lies in the other.
    pub fn meet(self, other: Cidr) -> Option<Cidr> {
        match (self.contains_cidr(other), other.contains_cidr(self)) {
            (true, _) => Some(other),
            (_, true) => Some(self),
            _ => None,
        }
    }

    /// Its two halves; of one address only, that twice.
    fn halves(self) -> [Cidr; 2] {
        let prefix = (self.prefix + 1).min(32);
        [Cidr::containing(self.base, prefix), Cidr::containing(self.last(), prefix)]
    }

    /// Whether the blocks share an address.
    pub fn overlaps(self, other: Cidr) -> bool {
        self.contains_cidr(other) || other.contains_cidr(self)
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;
    fn from_str(s: &str) -> Result<Cidr, CidrError> {
        let syntax = || CidrError::Syntax(s.to_owned());
        let (address, prefix) = s.split_once('/').ok_or_else(syntax)?;
        let address: Ipv4Addr = address.parse().map_err(|_| syntax())?;
        if prefix.len() > 2 || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return Err(syntax());
        }
        let prefix: u8 = prefix.parse().ok().filter(|p| *p <= 32).ok_or_else(syntax)?;
        let block = Cidr::containing(address, prefix);
        if block.base != address {
            return Err(CidrError::HostBits(s.to_owned(), block));
        }
        Ok(block)
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;
    fn try_from(s: String) -> Result<Cidr, CidrError> {
        s.parse()
    }
}

impl From<Cidr> for String {
    fn from(block: Cidr) -> String {
        block.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(s: &str) -> Cidr {
        s.parse().unwrap()
    }

    #[test]
    fn blocks_know_their_addresses() {
        let block = cidr("10.0.1.0/24");
        assert_eq!((block.size(), block.last()), (256, Ipv4Addr::new(10, 0, 1, 255)));
        assert_eq!((block.nth(5), block.nth(256)), (Some(Ipv4Addr::new(10, 0, 1, 5)), None));
        assert!(cidr("0.0.0.0/0").contains(Ipv4Addr::new(255, 1, 2, 3)) && cidr("0.0.0.0/0").size() == 1 << 32);
        assert!(cidr("10.0.0.0/16").overlaps(block) && block.overlaps(cidr("10.0.0.0/16")));
        assert!(!block.overlaps(cidr("10.0.2.0/24")));
    }

    #[test]
    fn what_is_left_of_a_block_is_all_but_the_holes() {
        let left = |block: &str, holes: &[&str]| {
            let holes: Vec<Cidr> = holes.iter().map(|hole| cidr(hole)).collect();
            cidr(block).without(&holes).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(left("10.0.0.0/8", &[]), ["10.0.0.0/8"]);
        assert_eq!(left("10.0.0.0/8", &["192.168.0.0/16"]), ["10.0.0.0/8"]);
        assert_eq!(left("10.0.0.0/30", &["10.0.0.1/32"]), ["10.0.0.0/32", "10.0.0.2/31"]);
        assert_eq!(left("10.0.0.0/30", &["10.0.0.0/31", "10.0.0.2/31"]), Vec::<String>::new());
        assert_eq!(left("10.1.0.0/16", &["10.0.0.0/8"]), Vec::<String>::new());
        let rest = left("0.0.0.0/0", &["10.0.0.0/8", "192.0.2.7/32"]);
        let size: u64 = rest.iter().map(|block| cidr(block).size()).sum();
        assert_eq!(size, (1 << 32) - (1 << 24) - 1);
    }

    #[test]
    fn blocks_meet_in_the_smaller_one() {
        assert_eq!(cidr("10.0.0.0/8").meet(cidr("10.1.0.0/16")), Some(cidr("10.1.0.0/16")));
        assert_eq!(cidr("10.1.0.0/16").meet(cidr("10.0.0.0/8")), Some(cidr("10.1.0.0/16")));
        assert_eq!(cidr("10.1.0.0/16").meet(cidr("10.2.0.0/16")), None);
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "a/8", "10.0.0.0/008"] {
            assert!(matches!(text.parse::<Cidr>(), Err(CidrError::Syntax(_))), "{text}");
        }
        assert_eq!("10.0.0.1/8".parse::<Cidr>(), Err(CidrError::HostBits("10.0.0.1/8".into(), cidr("10.0.0.0/8"))));
    }
}
