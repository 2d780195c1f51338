use super::observe;
use crate::host::Host;
use crate::ledger::{Changed, Ledger};
use crate::rng::Rng;
use roadstead_cloud::eks::kube::{KubeSpec, KubeState};
use roadstead_kernel::region::Region;
use roadstead_store::{Key, Object, Read as _};
use roadstead_types::Millis;
use std::collections::BTreeMap;

/// The kube driver: probes every cluster the way a client goes, and writes down when that turns out otherwise than
/// before.
pub struct Kube {
    rng: Rng,
    probes: BTreeMap<String, Probe>,
    /// The version of the host that `finds` was told from.
    seen: u64,
}

struct Probe {
    spec: KubeSpec,
    /// What was last written down: the cluster serves, or why not.
    said: Option<Result<(), String>>,
    since: Millis,
    /// When it will be found out that this is no longer so.
    finds: Option<Millis>,
}

impl Kube {
    /// A driver that has probed nothing.
    pub fn new(rng: Rng, region: &Region, ledger: &Ledger) -> Kube {
        let mut kube = Kube { rng, probes: BTreeMap::new(), seen: 0 };
        ledger.names(KubeSpec::KIND).for_each(|id| kube.look(id, region));
        kube
    }

    /// These records have changed.
    pub fn notice(&mut self, changes: &[Changed], region: &Region) {
        for change in changes.iter().filter(|change| change.key.kind() == KubeSpec::KIND) {
            self.look(change.key.name(), region);
        }
    }

    fn look(&mut self, id: &str, region: &Region) {
        self.seen = 0;
        match region.view().get(&Key::<KubeSpec>::new(id)) {
            None => drop(self.probes.remove(id)),
            Some(record) => {
                let probe = Probe { spec: record.body, said: None, since: record.created, finds: None };
                self.probes.insert(id.to_owned(), probe);
            }
        }
    }

    /// When the next probe says something new. A calm probe comes every five seconds, an eager one every 150 ms.
    pub fn wakes(&mut self, now: Millis, host: &mut Host) -> Option<Millis> {
        if std::mem::replace(&mut self.seen, host.version()) != host.version() {
            self.compare(now, host);
        }
        self.probes.values().filter_map(|probe| probe.finds).min()
    }

    fn compare(&mut self, now: Millis, host: &Host) {
        for probe in self.probes.values_mut() {
            let changed = probe.said.as_ref() != Some(&host.probe(&probe.spec));
            let between = if matches!(probe.said, Some(Ok(()))) { Millis(5000) } else { Millis(150) };
            probe.finds = match probe.finds {
                Some(at) if changed => Some(at),
                None if changed => Some(now + self.rng.span(Millis(10), between)),
                _ => None,
            };
        }
    }

    /// Writes down what one probe found; says which cluster serves, if that was it.
    pub fn act(&mut self, now: Millis, region: &mut Region, host: &Host) -> Option<String> {
        let done = self.probes.iter_mut().filter(|(_, probe)| probe.finds.is_some_and(|at| at <= now));
        let mut done: Vec<_> = done.collect();
        let picked = self.rng.below(done.len());
        let (id, probe) = &mut done[picked];
        self.seen = 0;
        let found = host.probe(&probe.spec);
        if probe.said.as_ref().map(Result::is_ok) != Some(found.is_ok()) {
            probe.since = now;
        }
        (probe.said, probe.finds) = (Some(found.clone()), None);
        let serves = found.is_ok().then(|| (*id).clone());
        let why = found.err().unwrap_or_else(|| "Kubernetes v1.36.3".to_owned());
        write(region, id, KubeState { ready: serves.is_some(), why, since: probe.since });
        serves
    }
}

/// Beside what is wanted, unless that is gone.
fn write(region: &mut Region, id: &str, state: KubeState) {
    let (spec, key) = (Key::<KubeSpec>::new(id), Key::<KubeState>::new(id));
    observe(region, move |tx| {
        if tx.get(&spec).is_some() {
            tx.set(&key, Some(spec.any()), state);
        }
    });
}
