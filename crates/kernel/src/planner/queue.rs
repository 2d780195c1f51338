use roadstead_types::Millis;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

/// A plan: one planner on one object. Never reused.
pub(super) type PlanId = u64;

/// Which of so many due plans runs next, counted from 0: for the simulator, which tries every order.
pub type Chooser = Box<dyn FnMut(usize) -> usize + Send>;

/// The plans that are due, and those that will be at a time. A plan is due at most once and has at most one time.
#[derive(Default)]
pub(super) struct Queue {
    due: VecDeque<PlanId>,
    /// The members of `due` that are still meant: taking one out of the middle of `due` would cost a scan.
    is_due: HashSet<PlanId>,
    timers: BTreeSet<(Millis, PlanId)>,
    times: HashMap<PlanId, Millis>,
    now: Millis,
    chooser: Option<Chooser>,
}

impl Queue {
    /// From now on `chooser` picks, instead of first come, first served.
    pub fn choose_with(&mut self, chooser: Chooser) {
        self.chooser = Some(chooser);
    }

    /// The plan is due.
    pub fn push(&mut self, plan: PlanId) {
        if self.is_due.insert(plan) {
            self.due.push_back(plan);
        }
    }

    /// The plan is due at this time and not, by time, before; `None`: not by time.
    pub fn set_timer(&mut self, plan: PlanId, at: Option<Millis>) {
        if let Some(old) = self.times.remove(&plan) {
            self.timers.remove(&(old, plan));
        }
        if let Some(at) = at {
            self.times.insert(plan, at);
            self.timers.insert((at, plan));
        }
    }

    /// When the plan is due by time.
    pub fn timer(&self, plan: PlanId) -> Option<Millis> {
        self.times.get(&plan).copied()
    }

    pub fn is_due(&self, plan: PlanId) -> bool {
        self.is_due.contains(&plan)
    }

    pub fn forget(&mut self, plan: PlanId) {
        self.is_due.remove(&plan);
        self.set_timer(plan, None);
    }

    /// It is `now`: the plans whose time has come are due. A clock that went back makes all of them due, because the
    /// times they wait for were computed from a wrong one.
    pub fn tick(&mut self, now: Millis) {
        let went_back = now < self.now;
        self.now = now;
        while let Some(&(at, plan)) = self.timers.first() {
            if at > now && !went_back {
                break;
            }
            self.set_timer(plan, None);
            self.push(plan);
        }
    }

    /// Takes the next due plan.
    pub fn pop(&mut self) -> Option<PlanId> {
        while !self.due.is_empty() {
            let chosen = self.chooser.as_mut().map_or(0, |choose| choose(self.due.len()));
            // The first keeps the order of the others; from the middle, order no longer means anything.
            let plan = if chosen == 0 { self.due.pop_front() } else { self.due.swap_remove_back(chosen) };
            let plan = plan.expect("invariant: a chooser picks among what there is");
            if self.is_due.remove(&plan) {
                return Some(plan);
            }
        }
        None
    }

    /// How many are due.
    pub fn len(&self) -> usize {
        self.is_due.len()
    }

    /// The time at which the next one is due: `now` if one is already.
    pub fn next(&self) -> Option<Millis> {
        if self.is_due.is_empty() { self.timers.first().map(|&(at, _)| at) } else { Some(self.now) }
    }
}
