//! What requests say of a list.

use super::{Entry, Family};
use crate::ec2::block::{self, Block};
use roadstead_shapes::ec2 as api;
use roadstead_wire::fault::{Common, Fault};
use std::collections::BTreeSet;

/// VPC quota "entries per prefix list".
const ENTRIES_MAX: usize = 1000;

/// A name (API reference, CreateManagedPrefixList).
pub(super) fn name(given: String) -> Result<String, Fault> {
    if given.is_empty() || given.chars().count() > 255 {
        return Err(invalid("The prefix list name must have 1 to 255 characters."));
    }
    if given.starts_with("com.amazonaws") {
        return Err(invalid("The prefix list name cannot start with com.amazonaws."));
    }
    Ok(given)
}

/// A family.
pub(super) fn family(given: &str) -> Result<Family, Fault> {
    let found = [Family::Ipv4, Family::Ipv6].into_iter().find(|family| family.name() == given);
    found.ok_or_else(|| invalid(format!("The address family {given} is not valid: IPv4 or IPv6.")))
}

/// How many entries a list with these may have.
pub(super) fn max_entries(given: i32, has: usize) -> Result<usize, Fault> {
    let max = usize::try_from(given).ok().filter(|max| (1..=ENTRIES_MAX).contains(max));
    let max = max.ok_or_else(|| {
        invalid(format!("Value ({given}) for parameter maxEntries is invalid: expecting 1 to {ENTRIES_MAX}."))
    })?;
    if has > max {
        let why =
            format!("Value ({given}) for parameter maxEntries is less than the {has} entries of the prefix list.");
        return Err(invalid(why));
    }
    Ok(max)
}

/// Entries to be added.
pub(super) fn entries(family: Family, given: Vec<api::AddPrefixListEntry>) -> Result<Vec<Entry>, Fault> {
    let entry = |given: api::AddPrefixListEntry| {
        let description = given.description.filter(|said| !said.is_empty());
        if description.as_ref().is_some_and(|said| said.chars().count() > 255) {
            return Err(invalid("The description of an entry has at most 255 characters."));
        }
        Ok(Entry { block: block_of(family, &given.cidr)?, description })
    };
    given.into_iter().map(entry).collect()
}

/// A block of the family.
pub(super) fn block_of(family: Family, text: &str) -> Result<Block, Fault> {
    let block = match family {
        Family::Ipv4 => block::ipv4(text).map(Block::Ipv4),
        Family::Ipv6 => block::ipv6(text).map(Block::Ipv6),
    };
    block.ok_or_else(|| invalid(format!("The CIDR {text} is not valid for the address family {}.", family.name())))
}

/// Checks that a list may have these entries: so many, and each block once.
pub(super) fn fit(entries: &[Entry], max: usize) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    if let Some(twice) = entries.iter().find(|entry| !seen.insert(&entry.block)) {
        return Err(invalid(format!("The prefix list has more than one entry with the CIDR {}.", twice.block)));
    }
    if entries.len() > max {
        let why = "You've reached the maximum number of entries for the prefix list.";
        return Err(api::PREFIX_LIST_MAX_ENTRIES_EXCEEDED.fault(why));
    }
    Ok(())
}

pub(super) fn invalid(why: impl Into<String>) -> Fault {
    Common::InvalidParameterValue.fault(why)
}
