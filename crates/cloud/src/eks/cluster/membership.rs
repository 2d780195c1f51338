//! Which machines are members of a cluster's etcd.
//!
//! A member that dies comes back on its own disk and nobody else notices. A member whose disk is lost must never come
//! back under its old id: it would have forgotten its votes and what it acknowledged. It is replaced by another member
//! at the same place, in steps of which each one is safe by itself (ADR 6). So is one whose disk has stalled for good:
//! it does not serve for minutes in which the others do, or its machine was killed and does not end:
//!
//! ```text
//! its machine goes ─▶ it is taken out ─▶ a new volume ─▶ it is added, without a vote ─▶ its machine starts ─▶ it gets its vote
//! ```
//! The rules: one member at a time; it begins only while both others vote, answer and stay; nothing is done by an old
//! observation, and the etcd driver checks once more what each step presumes.

use super::model::{Cluster, Issue, Member, Placement, Stage};
use super::pki::{self, Pki};
use super::placement::VOLUME_BYTES;
use crate::autoscaling::{self, Group};
use crate::ec2::instance::Instance;
use crate::ec2::volume::{self, Volume};
use crate::eks::etcd::{self, Action, EtcdSpec, EtcdState, MemberSeen, Outcome, Presumed, Step, peer_url};
use crate::fabric;
use crate::settings::SERVICE_ACCOUNT;
use roadstead_hostspec::{self as hostspec, ProcessState};
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Read, Record, Tx};
use roadstead_types::Millis;

/// An observation that is older speaks for nobody any more.
const FRESH: Millis = Millis::secs(10);
/// Before a step is decided anew that was refused.
const PAUSE: Millis = Millis(300);
/// A member whose process keeps ending for so long, while both others serve, begins anew.
const FAILING: Millis = Millis::mins(3);
/// And it has been started so often in this time: a machine that was merely slow or away has not.
const RESTARTS: u32 = 10;
/// A member whose process was ready and runs on without being so for so long, while both others are ready, begins anew.
/// Its disk may answer again before that; and the group would try another machine on the same disk after that.
const STALLED: Millis = Millis::mins(2);
/// And one whose process starts for so long: the group has tried another machine by then, and not yet a third.
const STARTING: Millis = Millis::mins(5);
/// A disk that is held so long by a machine that was killed, and does not end, will not be had again.
const HELD: Millis = Millis::secs(30);

/// Plans the members of clusters' etcds.
pub struct MembershipPlanner;

impl Planner for MembershipPlanner {
    type Object = Cluster;
    const NAME: &'static str = "eks/membership";

    fn plan(&self, mut record: Record<Cluster>, tx: &mut Tx) -> Next {
        let (Some(mut placement), None) = (record.body.placement.clone(), record.deleting) else {
            return Next::settled("no members");
        };
        let spec = record.body.spec.clone();
        let owner = record.key.any();
        let Some(pki) = pki::ensure(tx, &owner, &spec, &placement) else {
            return Next::settled("its keys are being made");
        };
        let known = tx.get(&etcd::key(&spec.id)).map(|record| record.body);
        let group = tx.shared(&Group::key(SERVICE_ACCOUNT, &spec.group_name("etcd")));
        let group = group.as_ref().map(|record| &record.body);
        let ready = placement.members.iter().filter(|member| serves(tx, group, member)).count();
        if known.is_none() && 2 * ready <= placement.members.len() {
            return Next::settled("waits for the first quorum");
        }
        let state = tx.shared(&etcd::state_key(&spec.id));
        let state = state.as_ref().map(|record| &record.body);
        let known = known.unwrap_or_else(|| access(&placement, &pki));
        let now = Now { step: &known.step, watch: known.watch, state, group };
        let decided = now.decide(tx, &placement);
        let Decided { then, why, after } = decided;
        let mut wanted = EtcdSpec { step: known.step.clone(), ..access(&placement, &pki) };
        match then {
            Then::Rest => wanted.watch = false,
            Then::Wait => wanted.watch = true,
            Then::Take(action) => {
                wanted.watch = true;
                wanted.step = next(&known.step, action, state, &placement);
            }
            Then::Stage(n, stage) => {
                wanted.watch = true;
                // What was seen so far was seen of another stage: look anew.
                wanted.step = next(&known.step, Action::Look, state, &placement);
                enter(tx, &owner, &mut placement.members[n], stage);
                record.body.placement = Some(placement);
                tx.put(record);
            }
        }
        etcd::ensure(tx, &owner, &spec.id, wanted);
        match after {
            Some(wait) => Next::after(wait, why),
            None => Next::settled(why),
        }
    }
}

/// What is wrong with the members, for people: the cause, and what happens or what to do next.
pub fn issues(tx: &Tx, placement: &Placement) -> Vec<Issue> {
    let lost: Vec<&Member> = placement.members.iter().filter(|member| why_lost(tx, member).is_some()).collect();
    let leaving = placement.members.iter().filter(|member| member.stage != Stage::Voting);
    let replaced = leaving.map(|member| {
        let why = match &member.stage {
            Stage::Leaving { why } => format!("{} is being replaced: {why}", member.name),
            _ => format!("{} joins etcd again, on a new disk", member.name),
        };
        Issue::new("InternalFailure", why, std::slice::from_ref(&member.volume))
    });
    let is_next = |member: &&&Member| member.stage == Stage::Voting;
    if 2 * lost.len() < placement.members.len() {
        let next = lost.iter().filter(is_next).filter_map(|member| {
            let why = format!("{}: {}; it is replaced while all others serve", member.name, why_lost(tx, member)?);
            Some(Issue::new("InternalFailure", why, std::slice::from_ref(&member.volume)))
        });
        return replaced.chain(next).collect();
    }
    let volumes: Vec<String> = lost.iter().map(|member| member.volume.clone()).collect();
    let causes: Vec<String> = lost.iter().filter_map(|m| Some(format!("{}: {}", m.name, why_lost(tx, m)?))).collect();
    let text = format!(
        "{} of {} disks of etcd are lost, so nothing is changed by itself ({}). Put the disks back where they were if \
         you can; else make another cluster and restore its objects into it",
        lost.len(),
        placement.members.len(),
        causes.join("; ")
    );
    vec![Issue::new("InternalFailure", text, &volumes)]
}

/// How to reach it, with the first step: a look.
fn access(placement: &Placement, pki: &Pki) -> EtcdSpec {
    EtcdSpec {
        network: placement.network.clone(),
        addresses: placement.members.iter().map(|member| member.address).collect(),
        authority: pki.public("etcd-ca").into(),
        certificate: pki.public("etcd-service").into(),
        key: pki.private("etcd-service"),
        step: Step { number: 1, ..Step::default() },
        watch: false,
    }
}

/// What is decided from.
struct Now<'a> {
    step: &'a Step,
    watch: bool,
    state: Option<&'a EtcdState>,
    group: Option<&'a Group>,
}

/// What to do next, and why.
struct Decided {
    then: Then,
    why: String,
    /// Decide again after this, whatever happens.
    after: Option<Millis>,
}

enum Then {
    /// Nothing, and nothing is expected.
    Rest,
    /// Nothing until something else is seen.
    Wait,
    /// This step.
    Take(Action),
    /// The member of this number goes on to another stage.
    Stage(usize, Stage),
}

impl Then {
    fn because(self, why: impl Into<String>) -> Decided {
        Decided { then: self, why: why.into(), after: None }
    }
}

impl Now<'_> {
    fn decide(&self, tx: &Tx, placement: &Placement) -> Decided {
        let members = &placement.members;
        if let Some((n, member)) = members.iter().enumerate().find(|(_, member)| member.stage != Stage::Voting) {
            return self.go_on(tx, placement, n, member);
        }
        let troubled = members.iter().enumerate().map(|(n, member)| (n, self.trouble(tx, placement, member)));
        let troubled: Vec<(usize, Trouble)> = troubled.filter_map(|(n, t)| Some((n, t?))).collect();
        let ripe = troubled.iter().filter(|(_, trouble)| trouble.ripens.is_none()).collect::<Vec<_>>();
        let soonest = troubled.iter().filter_map(|(_, trouble)| trouble.ripens).min();
        match ripe[..] {
            [] => Decided { after: soonest, ..Then::Rest.because("every member has its disk") },
            [(n, trouble)] => self.begin(tx, placement, *n, trouble),
            _ => Then::Rest.because(format!("{} members have lost their data: left to an operator", ripe.len())),
        }
    }

    /// A member can't go on: begins to replace it, if the others can do without.
    fn begin(&self, tx: &Tx, placement: &Placement, n: usize, trouble: &Trouble) -> Decided {
        let (member, why) = (&placement.members[n], &trouble.why);
        if !self.watch {
            return Then::Take(Action::Look).because(format!("{}: {why}; looks how the others are", member.name));
        }
        let seen = match self.fresh(tx.now()) {
            Ok(seen) => seen,
            Err(wait) => return self.look_again(wait, &member.name, &format!("must leave: {why}")),
        };
        if let Some(other) = self.unfit(tx, placement, member, seen) {
            return Then::Wait.because(format!("{}: {why}; waits for {} to serve", member.name, other.name));
        }
        if let Some(stranger) =
            seen.iter().find(|m| placement.members.iter().all(|p| peer_url(p.address) != m.peer_url))
        {
            let text =
                format!("{}: {why}; etcd has a member that nobody here has added: {:x}", member.name, stranger.id);
            return Then::Wait.because(text);
        }
        Then::Stage(n, Stage::Leaving { why: why.clone() }).because(format!("{} leaves: {why}", member.name))
    }

    /// One of the others that can't be relied on while this member is away.
    fn unfit<'p>(&self, tx: &Tx, placement: &'p Placement, but: &Member, seen: &[MemberSeen]) -> Option<&'p Member> {
        let is_unfit = |m: &Member| !serves(tx, self.group, m) || why_lost(tx, m).is_some() || !votes(seen, m);
        placement.members.iter().find(|other| other.name != but.name && is_unfit(other))
    }

    /// Goes on with the member that is on its way.
    fn go_on(&self, tx: &Tx, placement: &Placement, n: usize, member: &Member) -> Decided {
        let name = &member.name;
        if matches!(member.stage, Stage::Leaving { .. }) && !self.is_vacant(name) {
            return Then::Wait.because(format!("{name} leaves: its machine goes"));
        }
        let seen = match self.fresh(tx.now()) {
            Ok(seen) => seen,
            Err(wait) => return self.look_again(wait, name, doing(&self.step.action)),
        };
        let listed = seen.iter().find(|seen| seen.peer_url == peer_url(member.address));
        let held = self.held(tx, placement, member);
        let wait = held.as_ref().and_then(|held| held.ripens);
        let spoilt = why_lost(tx, member).or(held.filter(|held| held.ripens.is_none()).map(|held| held.why));
        if let (Stage::Joining { .. }, Some(why)) = (&member.stage, spoilt) {
            // Should it have its vote by now, it may be half of the quorum, as long as it runs on what it has open.
            let other = listed.filter(|new| !new.learner).and_then(|_| self.unfit(tx, placement, member, seen));
            return match other {
                Some(other) => Then::Wait.because(format!("{name}: {why}; waits for {} to serve", other.name)),
                None => {
                    Then::Stage(n, Stage::Leaving { why: why.clone() }).because(format!("{name} leaves again: {why}"))
                }
            };
        }
        match (&member.stage, listed) {
            (Stage::Leaving { .. }, Some(old)) => self.take(tx, placement, seen, name, Action::Remove(old.id)),
            (Stage::Leaving { .. }, None) => {
                Then::Stage(n, Stage::Joining { id: None }).because(format!("{name} gets a new disk"))
            }
            (Stage::Joining { id: None }, None) => {
                let add = Action::AddLearner(peer_url(member.address));
                self.take(tx, placement, seen, name, add)
            }
            (Stage::Joining { id: None }, Some(new)) => {
                Then::Stage(n, Stage::Joining { id: Some(new.id) }).because(format!("{name} was added: it starts"))
            }
            (Stage::Joining { id: Some(id) }, Some(new)) if new.id == *id && !new.learner => {
                Then::Stage(n, Stage::Voting).because(format!("{name} has its vote"))
            }
            (Stage::Joining { id: Some(id) }, Some(new)) if new.id == *id => match is_level(seen, new) {
                true => self.take(tx, placement, seen, name, Action::Promote(*id)),
                false => Decided { after: wait, ..Then::Wait.because(format!("{name} catches up")) },
            },
            (Stage::Joining { id: Some(_) }, _) => {
                let why = "it was taken out of etcd by somebody else".to_owned();
                Then::Stage(n, Stage::Leaving { why }).because(format!("{name} leaves again"))
            }
            (Stage::Voting, _) => Then::Rest.because("every member has its disk"),
        }
    }

    /// A step of which the newest observation says that it would be taken.
    fn take(&self, tx: &Tx, placement: &Placement, seen: &[MemberSeen], name: &str, action: Action) -> Decided {
        let what = doing(&action);
        let mut others = placement.members.iter().filter(|other| other.name != *name);
        if let Some(other) = others.find(|other| !votes(seen, other)) {
            return Then::Wait.because(format!("{name} {what} as soon as {} serves", other.name));
        }
        let age = self.state.map_or(PAUSE, |state| tx.now().since(state.observed));
        match self.state.map(|state| &state.outcome) {
            Some(Outcome::Refused(why)) if age < PAUSE => {
                Decided { after: Some(PAUSE - age), ..Then::Wait.because(format!("{name} {what}: {why}")) }
            }
            _ => Then::Take(action).because(format!("{name} {what}")),
        }
    }

    /// The membership as it was seen a moment ago, under the newest step; or how long to wait for it.
    fn fresh(&self, now: Millis) -> Result<&[MemberSeen], Option<Millis>> {
        let state = self.state.filter(|state| state.step == self.step.number).ok_or(None)?;
        let seen = state.members.as_deref().filter(|_| !matches!(state.outcome, Outcome::Pending(_))).ok_or(None)?;
        if now.since(state.observed) > FRESH { Err(Some(Millis(0))) } else { Ok(seen) }
    }

    /// The driver has not answered yet, or it was too long ago.
    fn look_again(&self, wait: Option<Millis>, name: &str, why: &str) -> Decided {
        let pending = self.state.and_then(|state| match &state.outcome {
            Outcome::Pending(why) if state.step == self.step.number => Some(why.as_str()),
            _ => None,
        });
        let text = format!("{name} {why}; {}", pending.unwrap_or("waits for what etcd says"));
        if wait.is_some() { Then::Take(Action::Look).because(text) } else { Then::Wait.because(text) }
    }

    /// No machine is in the member's slot, and none will be.
    fn is_vacant(&self, name: &str) -> bool {
        self.group.is_some_and(|group| {
            let closed = group.spec.slots.iter().any(|slot| slot.name == *name && !slot.open);
            closed && !group.instances.contains_key(name)
        })
    }

    /// Why a voting member can't go on, if so.
    fn trouble(&self, tx: &Tx, placement: &Placement, member: &Member) -> Option<Trouble> {
        if let Some(why) = why_lost(tx, member) {
            return Some(Trouble { why, ripens: None });
        }
        let is_absent = |seen: &&[MemberSeen]| seen.iter().all(|m| m.peer_url != peer_url(member.address));
        if self.fresh(tx.now()).ok().filter(is_absent).is_some() {
            return Some(Trouble { why: "it was taken out of etcd by somebody else".into(), ripens: None });
        }
        self.held(tx, placement, member).or_else(|| self.idle(tx, placement, member))
    }

    /// Its machine was killed and does not end, so that no other one can have its disk.
    fn held(&self, tx: &Tx, placement: &Placement, member: &Member) -> Option<Trouble> {
        let (machine, since, why) = autoscaling::holder(tx, self.group?, &[&member.volume])?;
        let lasts = self.alone(tx, placement, member, since)?;
        let why = format!("its disk is held by machine {machine}, which was killed and does not end: {why}");
        Some(Trouble::lasting(why, HELD, lasts))
    }

    /// Its machine runs and does not get ready.
    fn idle(&self, tx: &Tx, placement: &Placement, member: &Member) -> Option<Trouble> {
        let id = self.group?.instances.get(&member.name)?;
        let instance = tx.shared(&Instance::key(id)).filter(|i| i.deleting.is_none() && !i.body.status.ready)?;
        let machine = fabric::saw::<hostspec::Machine>(tx, id)?;
        let lasts = self.alone(tx, placement, member, instance.body.status.since)?;
        let process = machine.processes.iter().find(|process| process.state != ProcessState::Ready)?;
        if process.restarts >= RESTARTS {
            let last = process.last_exit.as_deref().unwrap_or("unknown");
            let why =
                format!("it ended {} times and does not get ready on its data (last exit: {last})", process.restarts);
            return Some(Trouble::lasting(why, FAILING, lasts));
        }
        let limit = match process.state {
            ProcessState::Unready => STALLED,
            ProcessState::Starting => STARTING,
            ProcessState::Waiting | ProcessState::Backoff | ProcessState::Ready => return None,
        };
        // One that ends, and starts again, does not stall.
        let lasts = lasts.min(tx.now().since(process.since));
        let why = format!("it has not served for {} s in which the others did", limit.as_secs_f64());
        Some(Trouble::lasting(why, limit, lasts))
    }

    /// How long something has lasted while all others served. After a lost quorum they did not either: what a member
    /// did not do meanwhile says nothing of it.
    fn alone(&self, tx: &Tx, placement: &Placement, member: &Member, since: Millis) -> Option<Millis> {
        let others = placement.members.iter().filter(|other| other.name != member.name);
        let ready = others.map(|other| ready_since(tx, self.group, other)).collect::<Option<Vec<_>>>()?;
        Some(tx.now().since(ready.into_iter().fold(since, Millis::max)))
    }
}

/// What a step does to its member, for people.
fn doing(action: &Action) -> &'static str {
    match action {
        Action::Look => "is on its way",
        Action::Remove(_) => "is taken out of etcd",
        Action::AddLearner(_) => "is added to etcd, without a vote",
        Action::Promote(_) => "gets its vote",
    }
}

/// Why a member can't go on.
struct Trouble {
    /// For people.
    why: String,
    /// It counts only if it lasts so long.
    ripens: Option<Millis>,
}

impl Trouble {
    /// One that counts after a time, of which so much has passed.
    fn lasting(why: String, limit: Millis, lasts: Millis) -> Trouble {
        let left = limit.since(lasts);
        Trouble { why, ripens: (left > Millis(0)).then_some(left) }
    }
}

/// Why a member's data must be taken for lost.
fn why_lost(tx: &Tx, member: &Member) -> Option<String> {
    let volume = tx.shared(&Volume::key(&member.volume))?;
    let why = volume.body.status.lost.as_ref()?;
    Some(format!("its disk {} is lost: {why}", volume.body.id))
}

/// Its machine is there to stay, and ready: etcd says so only of a member that votes and reads through a quorum.
fn serves(tx: &Tx, group: Option<&Group>, member: &Member) -> bool {
    ready_since(tx, group, member).is_some()
}

/// Since when it [`serves`].
fn ready_since(tx: &Tx, group: Option<&Group>, member: &Member) -> Option<Millis> {
    let instance = tx.shared(&Instance::key(group?.instances.get(&member.name)?))?;
    (instance.deleting.is_none() && instance.body.status.ready).then_some(instance.body.status.since)
}

/// It is a member with a vote, and answers.
fn votes(seen: &[MemberSeen], member: &Member) -> bool {
    seen.iter().any(|seen| seen.peer_url == peer_url(member.address) && !seen.learner && seen.answer.is_some())
}

/// A learner has nine tenths of what its leader has, as etcd asks of one that is to get its vote
/// (etcdserver `readyPercentThreshold`). etcd judges it again.
fn is_level(seen: &[MemberSeen], learner: &MemberSeen) -> bool {
    let Some(own) = &learner.answer else { return false };
    let leader = seen.iter().find(|member| member.id == own.leader).and_then(|leader| leader.answer.as_ref());
    leader.is_some_and(|leader| own.applied.saturating_mul(10) >= leader.applied.saturating_mul(9))
}

/// The step after this one, for the membership as it was seen last.
fn next(step: &Step, action: Action, state: Option<&EtcdState>, placement: &Placement) -> Step {
    let target = |seen: &MemberSeen| match &action {
        Action::Look => true,
        Action::Remove(id) | Action::Promote(id) => seen.id == *id,
        Action::AddLearner(url) => seen.peer_url == *url,
    };
    let ours = |seen: &MemberSeen| placement.members.iter().any(|member| peer_url(member.address) == seen.peer_url);
    let seen = state.and_then(|state| state.members.as_deref()).filter(|_| action != Action::Look).unwrap_or_default();
    let presumed = seen.iter().map(|seen| Presumed {
        id: seen.id,
        learner: seen.learner,
        answers: ours(seen) && !target(seen) && !seen.learner,
    });
    Step { number: step.number + 1, presumed: presumed.collect(), action: action.clone() }
}

/// The member goes on to another stage. A new volume is made only when nothing of the old one is a member any more, so
/// whoever is listed at the member's place from then on is on the new one.
fn enter(tx: &mut Tx, owner: &roadstead_store::AnyKey, member: &mut Member, stage: Stage) {
    if stage == (Stage::Joining { id: None }) {
        let old = Volume::key(&member.volume);
        let zone = tx.get(&old).map(|record| record.body.zone).unwrap_or_default();
        tx.delete(&old);
        member.volume = volume::create(tx, owner, SERVICE_ACCOUNT, &zone, VOLUME_BYTES).id;
        member.joined = true;
    }
    member.stage = stage;
}

#[cfg(test)]
mod tests;
