//! What should happen next in an Auto Scaling group.
//!
//! One plan looks at the whole: each instance goes on its way as far as it can, those that are not well begin to go, and
//! then as many are launched, or begin to go, as the size says.

use super::activity;
use super::health::{self, LAUNCH_LIMIT};
use super::launch::launch;
use super::model::{ActivityState, AutoScalingGroup, Lifecycle, Member, Outcome, Process, Transition, Wait};
use super::termination::victim;
use crate::ec2::instance::{self, State};
use crate::uuid;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Key, Read, Record, Tx};
use roadstead_types::Millis;
use std::collections::BTreeMap;

/// After a zone that has too few had no place, balance is not tried again for so long.
const BALANCE_PAUSE: Millis = Millis::mins(15);
/// Instances that are launched in one plan, so that no plan is long.
const LAUNCHES_MAX: u32 = 20;

/// Plans Auto Scaling groups.
pub struct AutoScalingGroupPlanner;

impl Planner for AutoScalingGroupPlanner {
    type Object = AutoScalingGroup;
    const NAME: &'static str = "autoscaling/auto-scaling-group";

    fn plan(&self, record: Record<AutoScalingGroup>, tx: &mut Tx) -> Next {
        let deleting = record.deleting.is_some();
        let before = record.body.clone();
        let mut plan = Plan { key: record.key.clone(), group: record.body.clone(), tx, wakes: None };
        if deleting {
            plan.end_all();
        }
        for id in before.instances.keys() {
            plan.advance(id);
        }
        if !deleting {
            plan.replace_unhealthy();
            plan.fit();
        }
        let Plan { key, group, tx, wakes } = plan;
        if deleting && group.instances.is_empty() {
            activity::remove_all(tx, &key);
            tx.remove(&key);
            return Next::settled("deleted");
        }
        let why = describe(&group, deleting);
        let now = tx.now();
        tx.put(Record { body: group, ..record });
        match wakes {
            Some(at) => Next::after(at.since(now), why),
            None => Next::settled(why),
        }
    }
}

/// Lets an instance go: its hooks hold it first.
pub(super) fn begin_termination(
    tx: &mut Tx,
    key: &Key<AutoScalingGroup>,
    group: &mut AutoScalingGroup,
    id: &str,
    cause: &str,
) {
    let Some(member) = group.instances.get(id).filter(|member| !member.state.ends()).cloned() else { return };
    if member.state != Lifecycle::InService {
        let why = Some("The instance was terminated before it came into service.".to_owned());
        activity::set(tx, key, member.activity, ActivityState::Cancelled, why);
    }
    let description = format!("Terminating EC2 instance: {id}");
    let number = activity::begin(tx, key, group, description, cause, (&member.subnet, &member.zone));
    let member = Member {
        state: Lifecycle::Terminating,
        since: tx.now(),
        waits: BTreeMap::new(),
        activity: number,
        balances: false,
        ..member
    };
    group.instances.insert(id.to_owned(), member);
}

/// A group in the course of its plan.
struct Plan<'a> {
    key: Key<AutoScalingGroup>,
    group: AutoScalingGroup,
    tx: &'a mut Tx,
    /// When something is due whatever happens.
    wakes: Option<Millis>,
}

impl Plan<'_> {
    /// What was due before now has had its turn in this plan.
    fn wake_at(&mut self, at: Millis) {
        if at > self.tx.now() {
            self.wakes = Some(self.wakes.map_or(at, |earlier| earlier.min(at)));
        }
    }

    fn works(&self, process: Process) -> bool {
        !self.group.suspended.contains_key(&process)
    }

    /// An instance goes on its way as far as it can.
    fn advance(&mut self, id: &str) {
        while let Some(member) = self.group.instances.get(id).cloned() {
            if !self.step(id, &member) {
                break;
            }
        }
    }

    /// One step; false if there is none now.
    fn step(&mut self, id: &str, member: &Member) -> bool {
        match member.state {
            Lifecycle::Pending => match instance::state(self.tx, id) {
                State::Running => self.hold(id, Transition::Launching),
                State::Pending => {
                    self.wake_at(member.since + LAUNCH_LIMIT);
                    return false;
                }
                State::ShuttingDown | State::Terminated | State::Stopping | State::Stopped => return false,
            },
            Lifecycle::PendingWait => match self.outcome(id) {
                None => return false,
                Some(Outcome::Continue) => self.serve(id),
                Some(Outcome::Abandon) => self.end(id, "an instance was abandoned by a lifecycle hook."),
            },
            Lifecycle::InService => return false,
            Lifecycle::Terminating => self.hold(id, Transition::Terminating),
            Lifecycle::TerminatingWait => {
                if self.outcome(id).is_none() {
                    return false;
                }
                self.enter(id, Lifecycle::TerminatingProceed);
            }
            Lifecycle::TerminatingProceed => {
                if instance::state(self.tx, id) != State::Terminated {
                    instance::terminate(self.tx, id);
                    return false;
                }
                activity::set(self.tx, &self.key, member.activity, ActivityState::Successful, None);
                self.group.instances.remove(id);
            }
        }
        true
    }

    fn enter(&mut self, id: &str, state: Lifecycle) {
        let now = self.tx.now();
        if let Some(member) = self.group.instances.get_mut(id) {
            (member.state, member.since) = (state, now);
            member.waits.clear();
        }
    }

    /// The hooks of a transition take hold of an instance; without any it goes on at once.
    fn hold(&mut self, id: &str, transition: Transition) {
        let (hooks, now) = (self.group.hooks.clone(), self.tx.now());
        let hooks = hooks.iter().filter(|(_, hook)| hook.transition == transition);
        let waits: BTreeMap<String, Wait> = hooks
            .map(|(name, hook)| {
                let token = uuid::fresh(self.tx);
                (name.clone(), Wait { token, since: now, deadline: now + hook.heartbeat, outcome: None })
            })
            .collect();
        match (transition, waits.is_empty()) {
            (Transition::Launching, true) => self.serve(id),
            (Transition::Terminating, true) => self.enter(id, Lifecycle::TerminatingProceed),
            (Transition::Launching, false) => self.enter(id, Lifecycle::PendingWait),
            (Transition::Terminating, false) => self.enter(id, Lifecycle::TerminatingWait),
        }
        if let Some(member) = self.group.instances.get_mut(id).filter(|_| !waits.is_empty()) {
            member.waits = waits;
            let number = member.activity;
            activity::set(self.tx, &self.key, number, ActivityState::MidLifecycleAction, None);
        }
    }

    /// How the hooks that hold an instance ended, taken together; None while one of them still holds it. One that was
    /// deleted holds nothing.
    fn outcome(&mut self, id: &str) -> Option<Outcome> {
        let now = self.tx.now();
        let waits = self.group.instances.get(id)?.waits.clone();
        let ended = |(name, wait): (&String, &Wait)| match (wait.outcome, self.group.hooks.get(name)) {
            (Some(outcome), _) => Ok(outcome),
            (None, None) => Ok(Outcome::Continue),
            (None, Some(hook)) if wait.deadline <= now => Ok(hook.default),
            (None, Some(_)) => Err(wait.deadline),
        };
        let ended: Vec<Result<Outcome, Millis>> = waits.iter().map(ended).collect();
        if ended.contains(&Ok(Outcome::Abandon)) {
            return Some(Outcome::Abandon);
        }
        match ended.into_iter().filter_map(Result::err).min() {
            None => Some(Outcome::Continue),
            Some(deadline) => {
                self.wake_at(deadline);
                None
            }
        }
    }

    fn serve(&mut self, id: &str) {
        self.enter(id, Lifecycle::InService);
        if let Some(member) = self.group.instances.get_mut(id) {
            member.balances = false;
            let number = member.activity;
            activity::set(self.tx, &self.key, number, ActivityState::Successful, None);
        }
    }

    fn end(&mut self, id: &str, cause: &str) {
        begin_termination(self.tx, &self.key, &mut self.group, id, cause);
    }

    /// All go, and no hook holds them.
    fn end_all(&mut self) {
        for id in self.group.instances.keys().cloned().collect::<Vec<_>>() {
            self.end(&id, "the Auto Scaling group was deleted.");
        }
        self.group.hooks.clear();
    }

    fn replace_unhealthy(&mut self) {
        let live = self.group.instances.iter().filter(|(_, member)| !member.state.ends());
        let live: Vec<(String, Member)> = live.map(|(id, member)| (id.clone(), member.clone())).collect();
        for (id, member) in live {
            if self.works(Process::HealthCheck)
                && member.unhealthy.is_none()
                && let Some(why) = health::ill(self.tx, &id, &member)
                && let Some(member) = self.group.instances.get_mut(&id)
            {
                member.unhealthy = Some(why);
            }
            let unhealthy = self.group.instances.get(&id).and_then(|member| member.unhealthy.clone());
            if let Some(why) = unhealthy.filter(|_| self.works(Process::ReplaceUnhealthy)) {
                self.end(&id, &why);
                self.advance(&id);
            }
        }
    }

    /// Launches what is missing, lets go what is too many, and brings zones into balance when it is neither.
    fn fit(&mut self) {
        let size = self.group.size();
        let count = |matches: fn(&Member) -> bool| {
            let number = self.group.instances.values().filter(|member| matches(member)).count();
            u32::try_from(number).unwrap_or(u32::MAX)
        };
        let live = count(|member| !member.state.ends() && !member.balances);
        let leaving = count(|member| member.state.ends());
        let held = if self.group.spec.terminate_first { leaving } else { 0 };
        if live >= size {
            // Nobody misses what could not be launched.
            self.group.status.trouble = None;
        }
        if live < size {
            self.grow(size.saturating_sub(live).saturating_sub(held));
        } else if live > size {
            self.shrink(live - size);
        } else {
            self.balance();
        }
    }

    fn grow(&mut self, missing: u32) {
        if missing == 0 || !self.works(Process::Launch) {
            return;
        }
        // After an attempt that failed the next one waits, longer each time.
        let pause = self.group.status.trouble.as_ref().map(|trouble| trouble.next);
        if let Some(next) = pause.filter(|next| *next > self.tx.now()) {
            return self.wake_at(next);
        }
        let cause = "an instance was launched in response to a difference between desired and actual capacity.";
        for _ in 0..missing.min(LAUNCHES_MAX) {
            if !launch(self.tx, &self.key, &mut self.group, None, cause) {
                let next = self.group.status.trouble.as_ref().map(|trouble| trouble.next);
                return next.into_iter().for_each(|next| self.wake_at(next));
            }
        }
    }

    fn shrink(&mut self, surplus: u32) {
        for _ in 0..surplus {
            let Some(id) = victim(&self.group).filter(|_| self.works(Process::Terminate)) else { return };
            self.end(&id, "an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity.");
            self.advance(&id);
        }
    }

    /// Launches one in a zone that has at least two fewer than another; the group is then one too large, and the fullest
    /// zone loses one.
    fn balance(&mut self) {
        let quiet = self.group.instances.values().all(|member| member.state == Lifecycle::InService);
        let works = [Process::AzRebalance, Process::Launch, Process::Terminate].iter().all(|p| self.works(*p));
        // While its owner has it larger for a while, it has its reasons for where instances are, too.
        if !quiet || !works || self.group.spec.terminate_first || self.group.spec.surge > 0 {
            return;
        }
        let zones = self.zones();
        let (Some((least, fewest)), Some(most)) =
            (zones.iter().min_by_key(|(_, number)| **number), zones.values().max())
        else {
            return;
        };
        if most - fewest < 2 {
            return;
        }
        if self.group.status.balances_after > self.tx.now() {
            return self.wake_at(self.group.status.balances_after);
        }
        let cause = "an instance was launched in response to an imbalance of zones.";
        if !launch(self.tx, &self.key, &mut self.group, Some(least), cause) {
            self.group.status.balances_after = self.tx.now() + BALANCE_PAUSE;
            self.wake_at(self.group.status.balances_after);
        }
    }

    /// How many instances each zone of the group has.
    fn zones(&self) -> BTreeMap<String, usize> {
        use crate::ec2::subnet::Subnet;
        let zone = |id: &String| Some(self.tx.shared(&Subnet::key(&self.group.spec.account, id))?.body.zone.clone());
        let mut zones: BTreeMap<String, usize> =
            self.group.spec.subnets.iter().filter_map(zone).map(|zone| (zone, 0)).collect();
        for member in self.group.instances.values() {
            zones.entry(member.zone.clone()).and_modify(|number| *number += 1);
        }
        zones
    }
}

fn describe(group: &AutoScalingGroup, deleting: bool) -> String {
    let serving = group.instances.values().filter(|member| member.state == Lifecycle::InService).count();
    let leaving = group.instances.values().filter(|member| member.state.ends()).count();
    let mut why = format!("{serving} of {} instances in service", group.size());
    if leaving > 0 {
        why += &format!(", {leaving} on their way out");
    }
    if let Some(trouble) = &group.status.trouble {
        why += &format!("; none can be launched: {}", trouble.message);
    }
    if deleting { format!("deleting: {leaving} instances go") } else { why }
}
