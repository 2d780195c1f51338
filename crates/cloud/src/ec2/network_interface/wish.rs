//! What is asked for of a subnet's addresses, and which ones that gives.

use super::address::{PREFIX, free, free_prefixes, is_free, is_free_prefix, is_usable};
use crate::ec2::instance_type::InstanceType;
use crate::ec2::subnet::Subnet;
use roadstead_shapes::ec2 as api;
use roadstead_store::Read as _;
use roadstead_store::Tx;
use roadstead_types::Cidr;
use roadstead_wire::fault::{Common, Fault};
use std::net::Ipv4Addr;
use std::str::FromStr;

/// So many addresses an interface may have that is in no instance: as many as in the largest one.
const DETACHED_MAX: usize = 30;

/// Addresses and prefixes that are asked for, by name or by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// The primary address; none: any.
    pub address: Option<Ipv4Addr>,
    pub secondary: Vec<Ipv4Addr>,
    pub secondary_count: usize,
    pub prefixes: Vec<Cidr>,
    pub prefix_count: usize,
}

/// What a wish gives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Granted {
    /// None: no particular one.
    pub address: Option<Ipv4Addr>,
    pub secondary: Vec<Ipv4Addr>,
    pub prefixes: Vec<Cidr>,
}

impl Wish {
    /// The addresses of a new interface, as its request says.
    pub fn addresses(
        &mut self,
        primary: Option<String>,
        named: Option<Vec<api::PrivateIpAddressSpecification>>,
        count: Option<i32>,
    ) -> Result<(), Fault> {
        self.address = primary.map(|text| one(&text)).transpose()?;
        for specification in named.unwrap_or_default() {
            let address = one(&specification.private_ip_address.unwrap_or_default())?;
            match (specification.primary, self.address) {
                (Some(true), None) => self.address = Some(address),
                (Some(true), Some(_)) => {
                    let why = "More than one primary private IP address is specified";
                    return Err(Common::InvalidParameterCombination.fault(why));
                }
                _ => self.secondary.push(address),
            }
        }
        self.secondary_count = number(count, "secondaryPrivateIpAddressCount")?;
        self.not_both(!self.secondary.is_empty(), self.secondary_count, "secondaryPrivateIpAddressCount")
    }

    /// More addresses of an interface.
    pub fn more_addresses(&mut self, named: Option<Vec<String>>, count: Option<i32>) -> Result<(), Fault> {
        self.secondary = parse(&named.unwrap_or_default())?;
        self.secondary_count = number(count, "secondaryPrivateIpAddressCount")?;
        self.not_both(!self.secondary.is_empty(), self.secondary_count, "secondaryPrivateIpAddressCount")
    }

    /// Prefixes.
    pub fn prefixes(&mut self, named: Vec<String>, count: Option<i32>) -> Result<(), Fault> {
        self.prefixes = parse(&named)?;
        self.prefix_count = number(count, "ipv4PrefixCount")?;
        if let Some(prefix) = self.prefixes.iter().find(|prefix| prefix.prefix() != PREFIX) {
            return Err(Common::InvalidParameterValue.fault(format!("{prefix} is not a /{PREFIX} prefix")));
        }
        self.not_both(!self.prefixes.is_empty(), self.prefix_count, "ipv4PrefixCount")
    }

    fn not_both(&self, named: bool, count: usize, name: &str) -> Result<(), Fault> {
        if named && count > 0 {
            let why = format!("{name} can't be used together with what it counts");
            return Err(Common::InvalidParameterCombination.fault(why));
        }
        Ok(())
    }

    /// Nothing but a primary address is asked for.
    pub fn is_empty(&self) -> bool {
        self.more() == 0
    }

    /// How many of an instance type's addresses a new interface with these takes.
    pub fn places(&self) -> usize {
        1 + self.more()
    }

    /// How many of them besides the primary one.
    pub fn more(&self) -> usize {
        self.secondary.len() + self.secondary_count + self.prefixes.len() + self.prefix_count
    }

    /// What a new interface gets.
    pub fn grant(&self, tx: &Tx, subnet: &Subnet) -> Result<Granted, Fault> {
        let named = self.address.iter().chain(&self.secondary).copied().collect::<Vec<_>>();
        if self.is_empty() {
            // Which one is decided when the interface has its id.
            self.check(tx, subnet, &named)?;
            let enough = self.address.is_some() || super::has_free(tx, subnet, 1);
            return if enough { Ok(Granted { address: self.address, ..Granted::default() }) } else { Err(full()) };
        }
        let primary = usize::from(self.address.is_none());
        let (mut addresses, prefixes) = self.find(tx, subnet, &named, self.secondary_count + primary)?;
        let address = self.address.or_else(|| (!addresses.is_empty()).then(|| addresses.remove(0)));
        Ok(Granted { address, secondary: [self.secondary.clone(), addresses].concat(), prefixes })
    }

    /// What an interface gets that has its primary address.
    pub fn grant_more(&self, tx: &Tx, subnet: &Subnet) -> Result<Granted, Fault> {
        let (addresses, prefixes) = self.find(tx, subnet, &self.secondary, self.secondary_count)?;
        Ok(Granted { address: None, secondary: [self.secondary.clone(), addresses].concat(), prefixes })
    }

    /// So many free addresses besides the named ones, and all prefixes.
    fn find(
        &self,
        tx: &Tx,
        subnet: &Subnet,
        named: &[Ipv4Addr],
        count: usize,
    ) -> Result<(Vec<Ipv4Addr>, Vec<Cidr>), Fault> {
        self.check(tx, subnet, named)?;
        // Each question begins at another place, or all would look at the same taken ones again.
        let who = format!("{}/{}", subnet.id, tx.now());
        let mut prefixes = self.prefixes.clone();
        let apart = |block: &Cidr| !named.iter().any(|address| block.contains(*address));
        prefixes.extend(free_prefixes(tx, subnet, &who).filter(apart).take(self.prefix_count));
        if prefixes.len() < self.prefixes.len() + self.prefix_count {
            let why = "The specified subnet does not have enough free cidr blocks to satisfy the request.";
            return Err(api::INSUFFICIENT_CIDR_BLOCKS.fault(why));
        }
        let apart = |address: &Ipv4Addr| !named.contains(address) && !prefixes.iter().any(|p| p.contains(*address));
        let addresses: Vec<_> = free(tx, subnet, &who).filter(apart).take(count).collect();
        if addresses.len() < count { Err(full()) } else { Ok((addresses, prefixes)) }
    }

    /// What is named must be the subnet's, free, and named once.
    fn check(&self, tx: &Tx, subnet: &Subnet, named: &[Ipv4Addr]) -> Result<(), Fault> {
        let bases = self.prefixes.iter().flat_map(|block| [block.base(), block.last()]);
        for address in named.iter().copied().chain(bases) {
            if !is_usable(subnet, address) {
                let why = format!("Address {address} does not fall within the subnet's address range");
                return Err(Common::InvalidParameterValue.fault(why));
            }
        }
        let twice =
            |n: usize| named[..n].contains(&named[n]) || self.prefixes.iter().any(|block| block.contains(named[n]));
        let overlap = |n: usize| self.prefixes[..n].contains(&self.prefixes[n]);
        if (0..named.len()).any(twice) || (0..self.prefixes.len()).any(overlap) {
            return Err(Common::InvalidParameterValue.fault("An address is specified more than once"));
        }
        if let Some(address) = named.iter().find(|address| !is_free(tx, subnet, **address)) {
            return Err(api::INVALID_IP_ADDRESS_IN_USE.fault(format!("Address {address} is in use.")));
        }
        match self.prefixes.iter().find(|block| !is_free_prefix(tx, subnet, **block)) {
            Some(block) => Err(api::INVALID_IP_ADDRESS_IN_USE.fault(format!("Prefix {block} is in use."))),
            None => Ok(()),
        }
    }
}

/// Checks that an interface with so many addresses may be in an instance of this type; none: in any.
pub(crate) fn fits(size: Option<&InstanceType>, places: usize) -> Result<(), Fault> {
    let limit = size.map_or(DETACHED_MAX, |size| size.addresses_per_eni);
    if places > limit {
        let of = size.map_or_else(|| "any instance type".to_owned(), |size| size.name.to_owned());
        let why = format!("Number of private addresses will exceed limit: {places} of {limit} for {of}.");
        return Err(api::PRIVATE_IP_ADDRESS_LIMIT_EXCEEDED.fault(why));
    }
    Ok(())
}

fn full() -> Fault {
    let why = "The specified subnet does not have enough free addresses to satisfy the request.";
    api::INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET.fault(why)
}

/// Addresses or blocks in a request.
pub(crate) fn parse<T: FromStr>(texts: &[String]) -> Result<Vec<T>, Fault> {
    texts.iter().map(|text| one(text)).collect()
}

pub(crate) fn one<T: FromStr>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| {
        Common::InvalidParameterValue.fault(format!("Invalid value '{text}': not an IPv4 address or a prefix of them"))
    })
}

fn number(count: Option<i32>, name: &str) -> Result<usize, Fault> {
    let count = count.unwrap_or(0);
    usize::try_from(count)
        .map_err(|_| Common::InvalidParameterValue.fault(format!("Value ({count}) for parameter {name} is invalid.")))
}
