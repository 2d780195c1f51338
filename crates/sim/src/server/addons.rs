use super::observe;
use crate::host::Host;
use crate::ledger::{Changed, Ledger};
use crate::rng::Rng;
use roadstead_cloud::eks::addon::{AddonSpec, AddonState, Hold, Outcome, Workload};
use roadstead_cloud::eks::node::{self};
use roadstead_kernel::region::Region;
use roadstead_store::{Key, Object, Read as _};
use roadstead_types::Millis;
use std::collections::BTreeMap;

/// The add-ons driver, and the controllers and pods that it sees: what is applied is there a little later, a DaemonSet has
/// a pod on every node, and cluster DNS runs when there is a node for it.
pub struct Addons {
    rng: Rng,
    doors: BTreeMap<String, Door>,
}

struct Door {
    spec: AddonSpec,
    said: Option<AddonState>,
    wakes: Millis,
}

/// Between looks at what runs. (The driver itself watches: this is how long pods take.)
const LOOK: Millis = Millis::secs(5);

impl Addons {
    /// A driver that has applied nothing.
    pub fn new(rng: Rng, now: Millis, region: &Region, ledger: &Ledger) -> Addons {
        let mut addons = Addons { rng, doors: BTreeMap::new() };
        ledger.names(AddonSpec::KIND).for_each(|name| addons.look(name, now, region));
        addons
    }

    /// These records have changed.
    pub fn notice(&mut self, changes: &[Changed], now: Millis, region: &Region) {
        for change in changes {
            match change.key.kind() {
                AddonSpec::KIND => self.look(change.key.name(), now, region),
                // Nodes come and go, and pods with them.
                node::NodesState::KIND => self.wake(change.key.name(), now),
                _ => {}
            }
        }
    }

    fn look(&mut self, name: &str, now: Millis, region: &Region) {
        let Some(record) = region.view().get(&Key::<AddonSpec>::new(name)) else {
            self.doors.remove(name);
            return;
        };
        if record.body.hold == (Hold::Once { done: true }) {
            self.doors.remove(name);
            return;
        }
        let wakes = now + self.rng.span(Millis(50), Millis(1500));
        self.doors.insert(name.to_owned(), Door { spec: record.body, said: None, wakes });
    }

    fn wake(&mut self, cluster: &str, now: Millis) {
        let of = self.doors.iter_mut().filter(|(name, _)| name.split('/').next() == Some(cluster));
        for (_, door) in of {
            door.wakes = door.wakes.min(now + self.rng.span(Millis(50), LOOK));
        }
    }

    /// When the driver does something.
    pub fn wakes(&self) -> Option<Millis> {
        self.doors.values().map(|door| door.wakes).filter(|at| *at < FAR).min()
    }

    /// It applies something, or looks at what runs.
    pub fn act(&mut self, now: Millis, region: &mut Region, host: &Host) {
        let due: Vec<_> = self.doors.iter_mut().filter(|(_, door)| door.wakes <= now).collect();
        let picked = self.rng.below(due.len());
        let Some((name, door)) = due.into_iter().nth(picked) else { return };
        if !host.reaches(&door.spec.access) {
            door.wakes = now + Millis::secs(1);
            return;
        }
        door.wakes = FAR;
        let release = Some(door.spec.release.clone());
        let (outcome, applied) = match door.spec.hold {
            Hold::Gone => (Outcome::Gone, None),
            Hold::Once { .. } | Hold::Managed { .. } => (Outcome::Applied, release),
        };
        let managed = matches!(door.spec.hold, Hold::Managed { .. });
        let workload = (managed && door.said.is_some()).then(|| workload(&door.spec.release.name, name, region));
        if managed && door.said.is_none() {
            // The controllers have not seen it yet.
            door.wakes = now + self.rng.span(Millis(50), LOOK);
        }
        let state = AddonState { hold: door.spec.hold.clone(), outcome, applied, workload };
        if door.said.as_ref() != Some(&state) {
            door.said = Some(state.clone());
            write(region, name, state);
        }
    }
}

/// Nothing happens until something changes.
const FAR: Millis = Millis(u64::MAX);

fn workload(addon: &str, name: &str, region: &Region) -> Workload {
    let cluster = name.split('/').next().unwrap_or_default();
    let nodes = region.view().get(&node::state_key(cluster)).map(|state| state.body.nodes).unwrap_or_default();
    let ready = nodes.values().filter(|node| node.ready).count() as u64;
    let there = nodes.values().filter(|node| node.registered).count() as u64;
    match addon {
        "coredns" | "metrics-server" => {
            Workload { desired: 2, updated: 2, available: if ready > 0 { 2 } else { 0 }, unserved: None }
        }
        _ => Workload { desired: there, updated: there, available: ready, unserved: None },
    }
}

/// Beside what is wanted, unless that is gone.
fn write(region: &mut Region, name: &str, state: AddonState) {
    let (spec, key) = (Key::<AddonSpec>::new(name), Key::<AddonState>::new(name));
    observe(region, move |tx| {
        if tx.get(&spec).is_some() {
            tx.set(&key, Some(spec.any()), state);
        }
    });
}
