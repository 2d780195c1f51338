//! From the router that is to the router that is wanted. Pure.

use super::rules::Rules;
use super::state::{Route, Router, Uplink, Wire};
use std::net::Ipv4Addr;

/// One change of a router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Tune,
    SetRules(Rules),
    RemoveDetour(u16),
    RemoveRoute(Ipv4Addr, Route),
    RemoveWire(String),
    RemovePublic(Uplink, Ipv4Addr),
    RemoveUplink(Uplink),
    RemoveAddress(Ipv4Addr),
    AddAddress(Ipv4Addr),
    AddUplink(Uplink),
    AddPublic(Uplink, Ipv4Addr),
    AddWire(String, Wire),
    SetRoute(Ipv4Addr, Route),
    SetDetour(u16, String),
}

impl Op {
    /// The router's end of the one wire that this is about, if nothing else depends on it.
    pub fn link(&self) -> Option<&str> {
        match self {
            Op::AddWire(link, _) | Op::RemoveWire(link) => Some(link),
            Op::SetRoute(_, route) | Op::RemoveRoute(_, route) => Some(&route.link),
            Op::SetDetour(_, link) => Some(link),
            // Without an outside, all inside goes on.
            Op::AddUplink(Uplink::Outside) | Op::AddPublic(Uplink::Outside, _) => Some(Uplink::Outside.near()),
            _ => None,
        }
    }
}

/// What turns `have` into `want`, in an order in which nothing is open for a moment that should be closed: settings and
/// rules first, then what goes, then what comes, each after what it stands on.
pub(super) fn diff(have: &Router, want: &Router) -> Vec<Op> {
    let mut ops = Vec::new();
    if want.tuned && !have.tuned {
        ops.push(Op::Tune);
    }
    if let Some(rules) = want.rules.as_ref().filter(|rules| have.rules.as_ref() != Some(*rules)) {
        ops.push(Op::SetRules(rules.clone()));
    }
    let stays = |link: &String| have.wires.get(link).is_some_and(|wire| want.wires.get(link) == Some(wire));
    ops.extend(have.detours.keys().filter(|number| !want.detours.contains_key(number)).copied().map(Op::RemoveDetour));
    // A route goes with its wire, and with the address that it speaks from.
    let survives = |route: &Route| stays(&route.link) && want.addresses.contains(&route.source);
    let routes = have.routes.iter().filter(|(_, route)| survives(route));
    ops.extend(routes.filter(|(to, _)| !want.routes.contains_key(to)).map(|(to, r)| Op::RemoveRoute(*to, r.clone())));
    ops.extend(have.wires.keys().filter(|link| !stays(link)).cloned().map(Op::RemoveWire));
    remove_uplinks(have, want, &mut ops);
    ops.extend(have.addresses.difference(&want.addresses).copied().map(Op::RemoveAddress));
    ops.extend(want.addresses.difference(&have.addresses).copied().map(Op::AddAddress));
    add_uplinks(have, want, &mut ops);
    ops.extend(
        want.wires.iter().filter(|(link, _)| !stays(link)).map(|(l, wire)| Op::AddWire(l.clone(), wire.clone())),
    );
    let stands = |to: &Ipv4Addr, route: &Route| have.routes.get(to) == Some(route) && survives(route);
    let routes = want.routes.iter().filter(|(to, route)| !stands(to, route));
    ops.extend(routes.map(|(to, route)| Op::SetRoute(*to, route.clone())));
    let stands = |number, link| have.detours.get(number) == Some(link) && stays(link);
    let detours = want.detours.iter().filter(|(number, link)| !stands(number, link));
    ops.extend(detours.map(|(number, link)| Op::SetDetour(*number, link.clone())));
    ops
}

fn remove_uplinks(have: &Router, want: &Router, ops: &mut Vec<Op>) {
    for (uplink, public) in &have.uplinks {
        match want.uplinks.get(uplink) {
            Some(want) => ops.extend(public.difference(want).map(|address| Op::RemovePublic(*uplink, *address))),
            None => ops.push(Op::RemoveUplink(*uplink)),
        }
    }
}

fn add_uplinks(have: &Router, want: &Router, ops: &mut Vec<Op>) {
    for (uplink, public) in &want.uplinks {
        let none = Default::default();
        let there = have.uplinks.get(uplink);
        if there.is_none() {
            ops.push(Op::AddUplink(*uplink));
        }
        ops.extend(public.difference(there.unwrap_or(&none)).map(|address| Op::AddPublic(*uplink, *address)));
    }
}
