//! Detours, as a router leads them: what a subnet's routes send to an interface and not to where it is for. Pure.
//!
//! ```text
//! detours: iifname vmap @detoured ─jump─▶ via.SUBNET: to there? mark │ drop      before all else
//! admit:   a marked packet may be for outside; who forwards may send what is not its own (@forwarders)
//! routes:  the mark's rule ─▶ its table: by the interface's wire
//! led:     marked, and on its way elsewhere? drop                                while a wire is not there
//! ```
//!
//! Which routes count is a matter of the interface that sends, not of the address it sends from: what an instance forwards
//! goes by its own subnet's. A router without detours has none of these chains, and one rule of `admit` that packets
//! with a strange source alone come to.

use super::layout::{Layout, Socket};
use super::rules::Rules;
use super::state::link_name;
use roadstead_hostspec::Detour;
use std::collections::{BTreeMap, BTreeSet};

/// The chain in which packets are marked.
pub(super) const CHAIN: &str = "detours";
/// The chain that sees whether they go where they were led.
pub(super) const LED: &str = "led";

/// Interfaces that detours of one network lead to at most; packets to more are dropped.
const TARGETS_MAX: u16 = 1 << DIGITS;
const DIGITS: u16 = 11;

/// A number for each interface that detours lead to, by the router's end of its wire.
pub(super) fn numbers(layout: &Layout) -> BTreeMap<String, u16> {
    let targets: BTreeSet<&str> = layout.detours.iter().filter_map(|detour| detour.by.as_deref()).collect();
    targets.into_iter().zip(0..TARGETS_MAX).map(|(port, number)| (link_name(port), number)).collect()
}

/// The mark of packets that are led to the interface of this number. A rule of the kernel's matches a mark by bits that are
/// set, so every mark has as many: a pair of bits for each digit, above those of [`WAY_OUT`](super::rules::WAY_OUT).
pub(super) fn mark(number: u16) -> u32 {
    (0..DIGITS).map(|digit| 1 << (8 + 2 * digit + (number >> digit & 1))).sum()
}

/// Adds what leads the layout's detours.
pub(super) fn add(rules: &mut Rules, layout: &Layout) {
    let forwarders = layout.ports.values().filter(|plug| plug.port.forwards);
    rules.add("forwarders", forwarders.map(|plug| format!("\"{}\"", link_name(&plug.port.id))));
    if layout.detours.is_empty() {
        return;
    }
    let numbers = numbers(layout);
    let plugged = |port: &str| layout.ports.get(port).is_some_and(|plug| plug.socket != Socket::Free);
    // What the router itself answers is on nobody's way.
    let own = "ip daddr 169.254.0.0/16 return".to_owned();
    let mut chains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for Detour { from, to, by } in &layout.detours {
        let number = by.as_ref().filter(|port| plugged(port)).and_then(|port| numbers.get(&link_name(port)));
        let verdict = number.map_or("drop".to_owned(), |number| format!("meta mark set {:#x}", mark(*number)));
        let chain = chains.entry(format!("via.{from}")).or_insert_with(|| vec![own.clone()]);
        chain.push(format!("ip daddr {to} {verdict}"));
    }
    for port in layout.ports.values().map(|plug| &plug.port) {
        let chain = format!("via.{}", port.subnet);
        if chains.contains_key(&chain) {
            rules.add("detoured", [format!("\"{}\" : jump {chain}", link_name(&port.id))]);
        }
    }
    chains.into_iter().for_each(|(chain, content)| rules.add_chain(chain, content));
    rules.add_chain(CHAIN.to_owned(), vec!["iifname vmap @detoured".to_owned()]);
    let led = |(link, number): (&String, &u16)| format!("meta mark {:#x} oifname != \"{link}\" drop", mark(*number));
    rules.add_chain(LED.to_owned(), numbers.iter().map(led).collect());
}

#[cfg(test)]
mod tests {
    use super::{TARGETS_MAX, mark};
    use crate::net::rules::WAY_OUT;

    #[test]
    fn no_mark_has_all_bits_of_another() {
        let marks: Vec<u32> = (0..TARGETS_MAX).map(mark).collect();
        for (n, one) in marks.iter().enumerate() {
            assert!(marks[n + 1..].iter().all(|other| one & other != *one && one & other != *other));
            assert!(one & WAY_OUT == 0 && *one > 0xff);
        }
    }
}
