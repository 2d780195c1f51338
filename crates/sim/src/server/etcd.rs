use super::observe;
use crate::host::Host;
use crate::ledger::{Changed, Ledger};
use crate::rng::Rng;
use roadstead_cloud::eks::etcd::{EtcdSpec, EtcdState, MemberSeen, Outcome};
use roadstead_kernel::region::Region;
use roadstead_store::{Key, Object, Read as _};
use roadstead_types::Millis;
use std::collections::BTreeMap;

/// The etcd driver: takes each cluster's newest step, by a list, a change and another list, between which anything may
/// happen; then says so whenever the membership turns out otherwise than it said before.
///
/// The token of a cluster's etcd is the cluster's id, which is its record's name.
pub struct Etcd {
    rng: Rng,
    doors: BTreeMap<String, Door>,
    /// The version of the host that `wakes` were told from.
    seen: u64,
}

struct Door {
    spec: EtcdSpec,
    phase: Phase,
    wakes: Option<Millis>,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    /// Asks for the membership, and then whether the step is due.
    List,
    /// The change is on its way to a member.
    Change,
    /// The step is over; this was said last.
    Watch(Outcome, Option<Vec<MemberSeen>>),
}

impl Etcd {
    /// A driver that has asked nobody.
    pub fn new(rng: Rng, region: &Region, ledger: &Ledger) -> Etcd {
        let mut etcd = Etcd { rng, doors: BTreeMap::new(), seen: 0 };
        ledger.names(EtcdSpec::KIND).for_each(|id| etcd.look(id, region));
        etcd
    }

    /// These records have changed.
    pub fn notice(&mut self, changes: &[Changed], region: &Region) {
        for change in changes.iter().filter(|change| change.key.kind() == EtcdSpec::KIND) {
            self.look(change.key.name(), region);
        }
    }

    fn look(&mut self, id: &str, region: &Region) {
        self.seen = 0;
        match region.view().get(&Key::<EtcdSpec>::new(id)) {
            None => drop(self.doors.remove(id)),
            Some(record) => {
                let door = Door { spec: record.body, phase: Phase::List, wakes: None };
                self.doors.insert(id.to_owned(), door);
            }
        }
    }

    /// When the next thing happens.
    pub fn wakes(&mut self, now: Millis, host: &mut Host) -> Option<Millis> {
        if std::mem::replace(&mut self.seen, host.version()) != host.version() {
            for (id, door) in &mut self.doors {
                let (least, most) = match &door.phase {
                    Phase::List | Phase::Change => (5, 120),
                    Phase::Watch(_, said) if *said == host.etcd_members(id, &door.spec) => {
                        door.wakes = None;
                        continue;
                    }
                    Phase::Watch(..) if door.spec.watch => (10, 500),
                    Phase::Watch(..) => (10, 30_000),
                };
                door.wakes.get_or_insert_with(|| now + self.rng.span(Millis(least), Millis(most)));
            }
        }
        self.doors.values().filter_map(|door| door.wakes).min()
    }

    /// One thing happens.
    pub fn act(&mut self, now: Millis, region: &mut Region, host: &mut Host) {
        let due = self.doors.iter_mut().filter(|(_, door)| door.wakes.is_some_and(|at| at <= now));
        let mut due: Vec<_> = due.collect();
        let picked = self.rng.below(due.len());
        let (id, door) = &mut due[picked];
        self.seen = 0;
        door.wakes = None;
        let members = host.etcd_members(id, &door.spec);
        let said = match (&door.phase, members) {
            (Phase::Watch(outcome, _), members) => (outcome.clone(), members),
            (Phase::List, None) => {
                // As long as there is no quorum there is nothing else to say.
                door.phase = Phase::List;
                door.wakes = Some(now + Millis::secs(1));
                say(region, id, door.spec.step.number, now, (Outcome::Pending("no quorum".to_owned()), None));
                return;
            }
            (Phase::List, Some(members)) if door.spec.step.is_seen(&members) => (Outcome::Done, Some(members)),
            (Phase::List, Some(members)) => match door.spec.step.check(&members) {
                Err(why) => (Outcome::Refused(why), Some(members)),
                Ok(()) => {
                    door.phase = Phase::Change;
                    // Now and then it is long on its way, and what was listed is no longer so.
                    let most = if self.rng.chance(5) { Millis::secs(20) } else { Millis(80) };
                    door.wakes = Some(now + self.rng.span(Millis(5), most));
                    return;
                }
            },
            (Phase::Change, members) => {
                let action = &door.spec.step.action;
                let answer = host.change_etcd(id, action);
                if self.rng.chance(5) {
                    // A request that was sent again comes late.
                    host.send_again(id, action.clone());
                }
                match (answer, members) {
                    (Some(Err(why)), Some(members)) if !self.rng.chance(5) => (Outcome::Refused(why), Some(members)),
                    // Done, or the answer was lost, or nobody answers: the next list tells.
                    _ => {
                        door.phase = Phase::List;
                        return;
                    }
                }
            }
        };
        door.phase = Phase::Watch(said.0.clone(), said.1.clone());
        say(region, id, door.spec.step.number, now, said);
    }
}

/// Beside what is wanted, unless that is gone.
fn say(region: &mut Region, id: &str, step: u64, now: Millis, (outcome, members): (Outcome, Option<Vec<MemberSeen>>)) {
    let (spec, key) = (Key::<EtcdSpec>::new(id), Key::<EtcdState>::new(id));
    let state = EtcdState { step, outcome, observed: now, members };
    observe(region, move |tx| {
        if tx.get(&spec).is_some() {
            tx.set(&key, Some(spec.any()), state);
        }
    });
}
