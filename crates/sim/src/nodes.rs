//! The nodes of all clusters and the pods on them: outside of the region, so they stay when its process ends.
//!
//! A kubelet registers its node some time after the machine runs, and is heard of no more some time after it ends. The
//! nodes driver, which ends with the region, keeps the Node objects as [`NodesSpec`] has them while the cluster's API
//! answers, and says how they are; while it does not, what was said last stays said.

use crate::host::Host;
use crate::ledger::Changed;
use crate::rng::Rng;
use roadstead_cloud::eks::kube::{self, KubeSpec};
use roadstead_cloud::eks::node::{self, Blocker, Node, NodeState, NodesSpec, NodesState};
use roadstead_store::{Index, Object as Kind, Read as _, View};
use roadstead_types::Millis;
use std::collections::BTreeMap;

/// The Node objects of all clusters, and who looks at them.
pub struct Nodes {
    rng: Rng,
    /// By cluster, then by instance.
    objects: BTreeMap<String, BTreeMap<String, Object>>,
    /// A PodDisruptionBudget lets no pod go.
    pub guarded: bool,
    /// What was last said of each cluster, and when something else is going to be.
    said: BTreeMap<String, NodesState>,
    reports: BTreeMap<String, Millis>,
    /// What the last look was taken by.
    seen: Option<(u64, u64)>,
    /// When something changes by itself.
    next: Option<Millis>,
}

/// A Node object, and the pods on it.
#[derive(Clone, Debug)]
struct Object {
    name: String,
    zone: String,
    ready: bool,
    since: Millis,
    /// When kubelet's word, or its silence, changes that.
    turns: Option<Millis>,
    /// No pod is on it but those that stay.
    empty: bool,
    /// When its pods are gone, or there again.
    pods: Option<Millis>,
}

impl Nodes {
    /// No cluster has a node.
    pub fn new(rng: Rng) -> Nodes {
        Nodes {
            rng,
            objects: BTreeMap::new(),
            guarded: false,
            said: BTreeMap::new(),
            reports: BTreeMap::new(),
            seen: None,
            next: None,
        }
    }

    /// The driver ended with the region: another one says everything anew.
    pub fn forget(&mut self) {
        (self.said, self.reports, self.seen) = (BTreeMap::new(), BTreeMap::new(), None);
    }

    /// Budgets let pods go, or not.
    pub fn guard(&mut self, guarded: bool) {
        (self.guarded, self.seen) = (guarded, None);
    }

    /// These records have changed.
    pub fn notice(&mut self, changes: &[Changed]) {
        let kinds = [<NodesSpec as Kind>::KIND, <KubeSpec as Kind>::KIND];
        if changes.iter().any(|change| kinds.contains(&change.key.kind())) {
            self.seen = None;
        }
    }

    /// When something happens next.
    pub fn wakes(&mut self, now: Millis, view: &View, host: &mut Host) -> Option<Millis> {
        let seen = Some((host.version(), view.revision()));
        let due = self.next.is_some_and(|at| at <= now);
        if self.seen != seen || due {
            self.look(now, view, host);
            self.seen = seen;
        }
        self.next.into_iter().chain(self.reports.values().copied()).min()
    }

    /// Everything that is due by now has happened; decides when the next things do.
    fn look(&mut self, now: Millis, view: &View, host: &Host) {
        let specs = view.list(Index::<NodesSpec>::all());
        self.objects.retain(|cluster, _| specs.iter().any(|spec| spec.key.name() == cluster));
        let mut next: Option<Millis> = None;
        for spec in &specs {
            let cluster = spec.key.name().to_owned();
            let api = view.get(&kube::key(&cluster)).is_some_and(|kube| host.probe(&kube.body).is_ok());
            let objects = self.objects.entry(cluster.clone()).or_default();
            if api {
                objects.retain(|instance, _| !spec.body.gone.contains(instance));
            }
            for (instance, wanted) in &spec.body.nodes {
                let well = host.kubelet_runs(instance);
                let turn = turn(&mut self.rng, objects, instance, wanted, now, well, api);
                let pods = pods(&mut self.rng, objects, instance, wanted, now, well && api, self.guarded);
                next = [next, turn, pods].into_iter().flatten().min();
            }
            let state = state(&spec.body, objects, self.guarded);
            let news = self.said.get(&cluster).unwrap_or(&NodesState::default()) != &state;
            if !news || !api {
                self.reports.remove(&cluster);
            } else if !self.reports.contains_key(&cluster) {
                self.reports.insert(cluster, now + self.rng.span(Millis(10), Millis(1500)));
            }
        }
        self.next = next;
    }

    /// What one report says, if one is due: of which cluster, and what.
    pub fn report(&mut self, now: Millis, view: &View) -> Option<(String, NodesState)> {
        let cluster = self.reports.iter().find(|(_, at)| **at <= now).map(|(cluster, _)| cluster.clone())?;
        self.reports.remove(&cluster);
        self.seen = None;
        let spec = view.get(&node::key(&cluster))?;
        let state = state(&spec.body, self.objects.get(&cluster)?, self.guarded);
        self.said.insert(cluster.clone(), state.clone());
        Some((cluster, state))
    }
}

/// A node registers, gets Ready, or is given up.
fn turn(
    rng: &mut Rng,
    objects: &mut BTreeMap<String, Object>,
    instance: &str,
    wanted: &Node,
    now: Millis,
    well: bool,
    api: bool,
) -> Option<Millis> {
    if !objects.contains_key(instance) && well && api {
        // kubelet's own first tries included.
        let (name, zone) = (wanted.name.clone(), wanted.zone.clone());
        let object = Object { name, zone, ready: false, since: now, turns: None, empty: false, pods: None };
        objects.insert(instance.to_owned(), object);
    }
    let object = objects.get_mut(instance)?;
    if object.ready == well || !api {
        object.turns = None;
        return None;
    }
    let (least, most) = if well { (1, 8) } else { (40, 55) };
    let at = *object.turns.get_or_insert_with(|| now + rng.span(Millis::secs(least), Millis::secs(most)));
    if at > now {
        return Some(at);
    }
    (object.ready, object.since, object.turns) = (well, now, None);
    None
}

/// Pods go where they are asked to, and come where they may.
fn pods(
    rng: &mut Rng,
    objects: &mut BTreeMap<String, Object>,
    instance: &str,
    wanted: &Node,
    now: Millis,
    well: bool,
    guarded: bool,
) -> Option<Millis> {
    let object = objects.get_mut(instance)?;
    let goes = wanted.drain.as_ref().is_some_and(|drain| !guarded || drain.force) && !object.empty && well;
    let comes = !wanted.cordon && object.empty && well;
    if !goes && !comes {
        object.pods = None;
        return None;
    }
    let (least, most) = if goes { (1, 60) } else { (1, 5) };
    let at = *object.pods.get_or_insert_with(|| now + rng.span(Millis::secs(least), Millis::secs(most)));
    if at > now {
        return Some(at);
    }
    (object.empty, object.pods) = (goes, None);
    None
}

/// As the driver says it.
fn state(spec: &NodesSpec, objects: &BTreeMap<String, Object>, guarded: bool) -> NodesState {
    let one = |(instance, wanted): (&String, &Node)| {
        let blank = NodeState { instance: instance.clone(), ..NodeState::default() };
        let Some(object) = objects.get(instance) else { return (wanted.name.clone(), blank) };
        let blocked = guarded && !object.empty && wanted.drain.as_ref().is_some_and(|drain| !drain.force);
        let blocker = Blocker { namespace: "default".into(), pod: "web-0".into(), pdb: "web".into() };
        let state = NodeState {
            registered: true,
            ready: object.ready,
            why: if object.ready { String::new() } else { "kubelet stopped posting node status".into() },
            since: object.since,
            kubelet_version: "v1.36.3".into(),
            drained: wanted.drain.is_some() && object.empty,
            blocked_by: if blocked { vec![blocker] } else { vec![] },
            ..blank
        };
        (object.name.clone(), state)
    };
    let strangers = objects.iter().filter(|(instance, _)| !spec.nodes.contains_key(*instance));
    let strangers = strangers.map(|(instance, object)| (instance.clone(), object.zone.clone())).collect();
    NodesState { nodes: spec.nodes.iter().map(one).collect(), strangers }
}
