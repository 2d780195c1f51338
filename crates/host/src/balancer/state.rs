//! The health of targets and what follows from it. Pure.

use crate::net::{Flow, Frontend};
use roadstead_hostspec::{Balancer, HealthCheck, Listener, Target, TargetHealth};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A target of a listener: the listener's port and [`Target::id`].
pub(super) type Place = (u16, String);

/// The health of a balancer's targets.
pub(super) type Health = BTreeMap<Place, Pulse>;

/// What is known of one target's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pulse {
    pub address: Ipv4Addr,
    pub port: u16,
    pub healthy: bool,
    /// When `healthy` became so.
    pub since: Millis,
    /// What the last failed check saw.
    pub why: Option<String>,
    /// Checks in a row that said the opposite of `healthy`.
    pub against: u32,
}

impl Pulse {
    /// A new target: unhealthy until it passed its checks.
    pub fn new(target: &Target, now: Millis) -> Pulse {
        let (address, port, why) = (target.address, target.port, Some("not checked yet".to_owned()));
        Pulse { address, port, healthy: false, since: now, why, against: 0 }
    }

    /// Counts a check. True if that changed the target's health.
    pub fn count(&mut self, check: Result<(), String>, rule: &HealthCheck, now: Millis) -> bool {
        let passed = check.is_ok();
        match check {
            Err(why) => self.why = Some(why),
            Ok(()) if self.healthy => self.why = None,
            Ok(()) => {}
        }
        self.against = if passed == self.healthy { 0 } else { self.against + 1 };
        let enough = if passed { rule.healthy } else { rule.unhealthy };
        if self.against < enough.max(1) || passed == self.healthy {
            return false;
        }
        (self.healthy, self.since, self.against) = (passed, now, 0);
        if passed {
            self.why = None;
        }
        true
    }
}

/// The health of `spec`'s targets: what is known of those that are the same, a new pulse for the others.
pub(super) fn carry_over(spec: &Balancer, known: &Health, now: Millis) -> Health {
    let pulse = |place: &Place, target: &Target| match known.get(place) {
        Some(pulse) if (pulse.address, pulse.port) == (target.address, target.port) => pulse.clone(),
        _ => Pulse::new(target, now),
    };
    let pulses = places(spec).map(|(place, _, target)| (pulse(&place, target), place));
    pulses.map(|(pulse, place)| (place, pulse)).collect()
}

/// Every target with its place and listener.
pub(super) fn places(spec: &Balancer) -> impl Iterator<Item = (Place, &Listener, &Target)> {
    spec.listeners.iter().flat_map(targets)
}

fn targets(listener: &Listener) -> impl Iterator<Item = (Place, &Listener, &Target)> {
    listener.targets.iter().map(move |target| ((listener.port, target.id.clone()), listener, target))
}

/// The data path: each listener's healthy targets, or all when none is (fail open, as NLB does).
pub(super) fn frontend(spec: &Balancer, health: &Health) -> Frontend {
    let public = spec.public.as_ref().map(|public| (public.address, public.sources.clone()));
    let listeners = spec.listeners.iter().map(|listener| (listener.port, open_targets(listener, health)));
    Frontend { addresses: spec.addresses.clone(), public, listeners: listeners.collect() }
}

fn open_targets(listener: &Listener, health: &Health) -> Vec<(Ipv4Addr, u16)> {
    let place = |target: &Target| (listener.port, target.id.clone());
    let is_healthy = |target: &&Target| health.get(&place(target)).is_some_and(|pulse| pulse.healthy);
    let healthy: Vec<&Target> = listener.targets.iter().filter(is_healthy).collect();
    let open = if healthy.is_empty() { listener.targets.iter().collect() } else { healthy };
    open.iter().map(|target| (target.address, target.port)).collect()
}

/// Connections that the balancer led to the target.
pub(super) fn flows(spec: &Balancer, listener: u16, pulse: &Pulse) -> Vec<Flow> {
    let dialled = spec.addresses.iter().copied().chain(spec.public.as_ref().map(|public| public.address));
    let flow = |address| Flow { dialled: Some((address, listener)), target: pulse.address, port: Some(pulse.port) };
    dialled.map(flow).collect()
}

/// Health by target id. A target of several listeners is as healthy as the worst of them says.
pub(super) fn by_target(health: &Health) -> BTreeMap<String, TargetHealth> {
    let mut targets: BTreeMap<String, TargetHealth> = BTreeMap::new();
    for ((_, id), Pulse { healthy, since, why, .. }) in health {
        let seen = TargetHealth { healthy: *healthy, since: *since, why: why.clone() };
        match targets.get(id) {
            Some(known) if !known.healthy => {}
            _ => drop(targets.insert(id.clone(), seen)),
        }
    }
    targets
}
