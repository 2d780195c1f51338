use super::observe;
use crate::host::Host;
use crate::ledger::{Changed, Ledger};
use crate::rng::Rng;
use roadstead_cloud::eks::node::{Node, NodeState, NodesSpec, NodesState};
use roadstead_kernel::region::Region;
use roadstead_store::{Key, Object, Read as _};
use roadstead_types::Millis;
use std::collections::{BTreeMap, BTreeSet};

/// The nodes driver, and the kubelets and pods that it sees: a node registers when its kubelet runs and the cluster can be
/// reached, its pods take their time to go, and what protects them keeps them.
pub struct Nodes {
    rng: Rng,
    doors: BTreeMap<String, Door>,
    /// The version of the host that `wakes` were told from.
    seen: u64,
}

struct Door {
    spec: NodesSpec,
    said: Option<NodesState>,
    /// Instances whose Node object is there.
    registered: BTreeSet<String>,
    /// When the last pod of a drained instance is gone.
    empty: BTreeMap<String, Millis>,
    wakes: Option<Millis>,
}

impl Nodes {
    /// A driver that has seen nothing.
    pub fn new(rng: Rng, region: &Region, ledger: &Ledger) -> Nodes {
        let mut nodes = Nodes { rng, doors: BTreeMap::new(), seen: 0 };
        ledger.names(NodesSpec::KIND).for_each(|id| nodes.look(id, region));
        nodes
    }

    /// These records have changed.
    pub fn notice(&mut self, changes: &[Changed], region: &Region) {
        for change in changes.iter().filter(|change| change.key.kind() == NodesSpec::KIND) {
            self.look(change.key.name(), region);
        }
    }

    fn look(&mut self, id: &str, region: &Region) {
        self.seen = 0;
        let Some(record) = region.view().get(&Key::<NodesSpec>::new(id)) else {
            self.doors.remove(id);
            return;
        };
        // What stands in the cluster outlives a driver; a Node object of a stranger does not.
        let stated = region.view().get(&Key::<NodesState>::new(id)).map(|state| state.body);
        let stated = stated.iter().flat_map(|state| state.nodes.values());
        let before: BTreeSet<String> =
            stated.filter(|node| node.registered).map(|node| node.instance.clone()).collect();
        let (mut registered, mut empty) =
            self.doors.remove(id).map_or((before, BTreeMap::new()), |d| (d.registered, d.empty));
        registered.retain(|instance| record.body.nodes.contains_key(instance));
        empty.retain(|instance, _| record.body.nodes.get(instance).is_some_and(|node| node.drain.is_some()));
        self.doors.insert(id.to_owned(), Door { spec: record.body, said: None, registered, empty, wakes: None });
    }

    /// When the driver says something new.
    pub fn wakes(&mut self, now: Millis, host: &mut Host) -> Option<Millis> {
        if std::mem::replace(&mut self.seen, host.version()) != host.version() {
            for door in self.doors.values_mut() {
                for (instance, node) in door.spec.nodes.iter().filter(|(_, node)| node.drain.is_some()) {
                    let pods = || now + self.rng.span(Millis(100), Millis::secs(40));
                    if door.registered.contains(&node.instance) {
                        door.empty.entry(instance.clone()).or_insert_with(pods);
                    }
                }
                let next = door.empty.values().copied().filter(|at| *at > now).min();
                let news = host.reaches(&door.spec.access) && door.said.as_ref() != Some(&door.look(now, host).0);
                let soon = news.then(|| now + self.rng.span(Millis(5), Millis(900)));
                door.wakes = [door.wakes.filter(|_| news), soon, next].into_iter().flatten().min();
            }
        }
        self.doors.values().filter_map(|door| door.wakes).min()
    }

    /// The driver looks once.
    pub fn act(&mut self, now: Millis, region: &mut Region, host: &Host) {
        let due = self.doors.iter_mut().filter(|(_, door)| door.wakes.is_some_and(|at| at <= now));
        let mut due: Vec<_> = due.collect();
        let picked = self.rng.below(due.len());
        let (id, door) = &mut due[picked];
        self.seen = 0;
        door.wakes = None;
        if !host.reaches(&door.spec.access) {
            return;
        }
        let (state, registered) = door.look(now, host);
        door.registered = registered;
        if door.said.as_ref() != Some(&state) {
            door.said = Some(state.clone());
            write(region, id, state);
        }
    }
}

impl Door {
    /// How the nodes are, and which of them have registered.
    fn look(&self, now: Millis, host: &Host) -> (NodesState, BTreeSet<String>) {
        let mut registered = self.registered.clone();
        let running = self.spec.nodes.keys().filter(|instance| host.is_ready(instance, "kubelet"));
        registered.extend(running.cloned());
        let state = |node: &Node| (node.name.clone(), self.state(node, &registered, now, host));
        (NodesState { nodes: self.spec.nodes.values().map(state).collect() }, registered)
    }

    fn state(&self, node: &Node, registered: &BTreeSet<String>, now: Millis, host: &Host) -> NodeState {
        let state = NodeState { instance: node.instance.clone(), ..NodeState::default() };
        if !registered.contains(&node.instance) {
            return NodeState { why: "it has not registered with the cluster yet".to_owned(), ..state };
        }
        let ready = host.is_ready(&node.instance, "kubelet");
        let before = self.said.as_ref().and_then(|said| said.nodes.get(&node.name)).filter(|b| b.ready == ready);
        let drain = node.drain.as_ref();
        let blocked_by = match drain {
            Some(drain) if !drain.force => host.protected(&node.instance),
            _ => vec![],
        };
        let empty = self.empty.get(&node.instance).is_some_and(|at| *at <= now);
        NodeState {
            registered: true,
            ready,
            why: if ready { String::new() } else { "Kubelet stopped posting node status.".to_owned() },
            since: before.map_or(now, |before| before.since),
            kubelet_version: "v1.36.3".to_owned(),
            drained: drain.is_some() && empty && blocked_by.is_empty(),
            blocked_by,
            ..state
        }
    }
}

/// Beside what is wanted, unless that is gone.
fn write(region: &mut Region, id: &str, state: NodesState) {
    let (spec, key) = (Key::<NodesSpec>::new(id), Key::<NodesState>::new(id));
    observe(region, move |tx| {
        if tx.get(&spec).is_some() {
            tx.set(&key, Some(spec.any()), state);
        }
    });
}
