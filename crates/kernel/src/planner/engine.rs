use super::events::{Events, Lineage, Listener, PlanEvent, Tally};
use super::queue::{Chooser, PlanId, Queue};
use super::{Next, Planner, Why};
use roadstead_store::{AnyKey, Applied, Core, Effect, Interest, Read, ReadSet, Tx, View, Watchers, Writes};
use roadstead_types::Millis;
use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A plan in trouble is retried after this span, doubled with every further failure in a row up to `RETRY_MAX`.
const RETRY_MIN: Millis = Millis(100);
const RETRY_MAX: Millis = Millis::mins(1);

/// A plan that writes in so many runs in a row, each within `RESTLESS_GAP` of the one before, will never settle: two
/// planners undo each other's work, or one always finds something to change.
const RESTLESS_RUNS: u32 = 1000;
const RESTLESS_GAP: Millis = Millis(100);

/// The planners of a region.
#[derive(Default)]
pub struct Planners(Vec<Box<dyn AnyPlanner>>);

impl Planners {
    /// No planner.
    pub fn new() -> Planners {
        Planners::default()
    }

    /// Adds a planner. Panics if one of this name is there already, which is a mistake in the program.
    pub fn add<P: Planner>(&mut self, planner: P) -> &mut Planners {
        assert!(self.0.iter().all(|known| known.name() != P::NAME), "two planners are called {}", P::NAME);
        self.0.push(Box::new(planner));
        self
    }
}

/// A planner whose kind only it knows.
trait AnyPlanner: Send + Sync {
    fn name(&self) -> &'static str;
    fn kind(&self) -> &'static str;
    fn plan(&self, key: &AnyKey, tx: &mut Tx) -> Next;
}

impl<P: Planner> AnyPlanner for P {
    fn name(&self) -> &'static str {
        P::NAME
    }

    fn kind(&self) -> &'static str {
        <P::Object as roadstead_store::Object>::KIND
    }

    fn plan(&self, key: &AnyKey, tx: &mut Tx) -> Next {
        let key = key.typed::<P::Object>().expect("invariant: a planner gets keys of its kind");
        let object = tx.get(&key).expect("invariant: the plans of a removed object are forgotten");
        Planner::plan(self, object, tx)
    }
}

/// Runs planners: every object once at the start, and again whenever something that its plan read has changed or the
/// time it named has come. Finding whom a change concerns takes the same time however many plans there are.
pub struct Engine {
    planners: Vec<Box<dyn AnyPlanner>>,
    by_kind: BTreeMap<&'static str, Vec<usize>>,
    plans: HashMap<PlanId, Plan>,
    by_object: HashMap<AnyKey, Vec<PlanId>>,
    next_id: PlanId,
    watchers: Watchers<PlanId>,
    queue: Queue,
    events: Events,
    /// One per planner, in their order.
    tallies: Vec<Tally>,
    stopwatch: Option<Stopwatch>,
}

/// The time since some fixed moment: how long plans take is measured with it.
pub type Stopwatch = Box<dyn Fn() -> Duration + Send>;

struct Plan {
    planner: usize,
    key: AnyKey,
    reads: ReadSet,
    last: Option<Run>,
    /// The last run that changed something.
    wrote: Option<Arc<PlanEvent>>,
    trouble: Trouble,
}

/// How a plan ended the last time.
struct Run {
    at: Millis,
    why: Why,
    writes: usize,
}

/// What is wrong with a plan. All zero in a healthy one.
#[derive(Default)]
struct Trouble {
    failure: Option<Failure>,
    /// Failures in a row, of either sort.
    failures: u32,
    /// Runs in a row that wrote.
    restless_runs: u32,
    /// Backing off: changes don't wake it, its timer does.
    held: bool,
}

enum Failure {
    /// Over as soon as a run ends.
    Panicked(String),
    /// Over as soon as a run writes nothing.
    NeverSettles(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Panicked(text) => write!(f, "panicked: {text}"),
            Failure::NeverSettles(why) => {
                write!(f, "never settles: it wrote in {RESTLESS_RUNS} runs in a row, the last time because: {why}")
            }
        }
    }
}

/// What there is to say about one plan.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// [`Planner::NAME`]
    pub planner: &'static str,
    /// The planned object.
    pub key: AnyKey,
    /// When it was last planned, if it was.
    pub planned: Option<Millis>,
    /// Why that plan ended as it did.
    pub why: Why,
    /// How many records that plan changed.
    pub writes: usize,
    /// The last plan that changed something.
    pub wrote: Option<Arc<PlanEvent>>,
    /// Whether it is about to be planned.
    pub due: bool,
    /// When it will be planned if nothing changes before.
    pub wakes: Option<Millis>,
    /// What that plan looked at: a change to any of it wakes the plan.
    pub reads: Vec<Interest>,
    /// Its last panic, or that it never settles, as long as that lasts.
    pub trouble: Option<String>,
    /// How often in a row it failed so.
    pub failures: u32,
}

/// What a planner would do with an object.
#[derive(Debug)]
pub struct Rehearsal {
    /// [`Planner::NAME`]
    pub planner: &'static str,
    /// How it would end, or the text of its panic.
    pub next: Result<Next, String>,
    /// What it would change; in a panic, what it had changed until then.
    pub writes: Writes,
}

impl Engine {
    /// An engine in which nothing is planned yet.
    pub fn new(planners: Planners) -> Engine {
        let planners = planners.0;
        let mut by_kind: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (index, planner) in planners.iter().enumerate() {
            by_kind.entry(planner.kind()).or_default().push(index);
        }
        let tallies = planners.iter().map(|planner| Tally { planner: planner.name(), ..Tally::default() }).collect();
        Engine {
            planners,
            by_kind,
            plans: HashMap::new(),
            by_object: HashMap::new(),
            next_id: 0,
            watchers: Watchers::new(),
            queue: Queue::default(),
            events: Events::default(),
            tallies,
            stopwatch: None,
        }
    }

    /// Makes every object of the view due.
    pub fn start(&mut self, view: &View) {
        let kinds: Vec<&'static str> = self.by_kind.keys().copied().collect();
        for key in kinds.into_iter().flat_map(|kind| view.keys(kind, "")) {
            self.adopt(&key);
        }
    }

    /// From now on `chooser` picks which due plan runs next, instead of first come, first served.
    pub fn choose_with(&mut self, chooser: Chooser) {
        self.queue.choose_with(chooser);
    }

    /// From now on it is measured how long plans take.
    pub fn measure_with(&mut self, stopwatch: Stopwatch) {
        self.stopwatch = Some(stopwatch);
    }

    /// From now on `listener` hears of every event.
    pub fn listen(&mut self, listener: Listener) {
        self.events.listen(listener);
    }

    /// What planners did lately, newest last.
    pub fn events(&self) -> impl Iterator<Item = &Arc<PlanEvent>> {
        self.events.iter()
    }

    /// What each planner did in all.
    pub fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    /// These changes were applied: whoever read what they changed is due.
    pub fn wake(&mut self, writes: &Writes) {
        for effect in writes.iter() {
            self.follow(effect);
        }
        for plan in self.watchers.touched(writes) {
            if self.plans.get(&plan).is_some_and(|plan| !plan.trouble.held) {
                self.queue.push(plan);
            }
        }
    }

    /// Runs one due plan; `false` if none is.
    pub fn step(&mut self, core: &mut Core, now: Millis) -> bool {
        self.queue.tick(now);
        let Some(id) = self.queue.pop() else { return false };
        self.run(id, core, now);
        true
    }

    /// How many plans are due, those whose time comes later not counted.
    pub fn due(&self) -> usize {
        self.queue.len()
    }

    /// When the next plan is due: the time of the last step if one is due already.
    pub fn next_wake(&self) -> Option<Millis> {
        self.queue.next()
    }

    /// What there is to say about the plans of an object, one per planner.
    pub fn explain(&self, key: &AnyKey) -> Vec<Explanation> {
        let plans = self.by_object.get(key).into_iter().flatten();
        plans.map(|id| self.explanation(*id)).collect()
    }

    /// Why the plans of an object ended as they did, or `Err` with how they fail; those not planned yet say nothing.
    pub fn whys(&self, key: &AnyKey) -> impl Iterator<Item = Result<String, String>> {
        let plans = self.by_object.get(key).into_iter().flatten().map(|id| &self.plans[id]);
        plans.filter_map(|plan| match (&plan.trouble.failure, &plan.last) {
            (Some(failure), _) => Some(Err(format!("plan {} {failure}", self.planners[plan.planner].name()))),
            (None, last) => last.as_ref().map(|run| Ok(run.why.to_string())),
        })
    }

    /// The plans that panic or never settle, in the order in which their objects appeared.
    pub fn troubled(&self) -> Vec<Explanation> {
        let troubled = self.plans.iter().filter(|(_, plan)| plan.trouble.failure.is_some());
        let mut ids: Vec<PlanId> = troubled.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids.into_iter().map(|id| self.explanation(id)).collect()
    }

    /// What the planners would do with an object now, one after the other on the same state, without doing it.
    pub fn rehearse(&self, key: &AnyKey, core: &Core, now: Millis) -> Vec<Rehearsal> {
        if !core.head().contains(key) {
            return vec![];
        }
        let planners = self.by_kind.get(key.kind()).into_iter().flatten();
        let rehearse = |planner: &dyn AnyPlanner| {
            let mut tx = core.begin(now);
            let next = catch_unwind(AssertUnwindSafe(|| planner.plan(key, &mut tx)));
            Rehearsal { planner: planner.name(), next: next.map_err(|panic| panic_text(&*panic)), writes: tx.writes() }
        };
        planners.map(|&planner| rehearse(&*self.planners[planner])).collect()
    }

    fn explanation(&self, id: PlanId) -> Explanation {
        let plan = &self.plans[&id];
        let (planned, why, writes) = match &plan.last {
            Some(run) => (Some(run.at), run.why.clone(), run.writes),
            None => (None, Why::from("not planned yet"), 0),
        };
        Explanation {
            planner: self.planners[plan.planner].name(),
            key: plan.key.clone(),
            planned,
            why,
            writes,
            wrote: plan.wrote.clone(),
            due: self.queue.is_due(id),
            wakes: self.queue.timer(id),
            reads: plan.reads.iter().cloned().collect(),
            trouble: plan.trouble.failure.as_ref().map(Failure::to_string),
            failures: plan.trouble.failures,
        }
    }

    /// Keeps the plans in step with the objects.
    fn follow(&mut self, effect: &Effect) {
        if effect.removed() {
            self.forget(&effect.key);
        } else if effect.created() {
            self.adopt(&effect.key);
        }
    }

    fn adopt(&mut self, key: &AnyKey) {
        let Some(planners) = self.by_kind.get(key.kind()) else { return };
        for &planner in planners {
            let id = self.next_id;
            self.next_id += 1;
            let (reads, trouble) = (ReadSet::default(), Trouble::default());
            let plan = Plan { planner, key: key.clone(), reads, last: None, wrote: None, trouble };
            self.plans.insert(id, plan);
            self.by_object.entry(key.clone()).or_default().push(id);
            self.queue.push(id);
        }
    }

    fn forget(&mut self, key: &AnyKey) {
        for id in self.by_object.remove(key).unwrap_or_default() {
            let plan = self.plans.remove(&id).expect("invariant: listed plans exist");
            self.watchers.unwatch(id, &plan.reads);
            self.queue.forget(id);
        }
    }

    fn run(&mut self, id: PlanId, core: &mut Core, now: Millis) {
        let plan = &self.plans[&id];
        let planner = &self.planners[plan.planner];
        let mut tx = core.begin(now);
        // As it is before: a plan may remove its object.
        let lineage = Lineage::of(&plan.key, core.head());
        let began = self.stopwatch.as_ref().map(|stopwatch| stopwatch());
        // A transaction that a panic leaves half done is dropped, so nothing broken can be seen afterwards.
        let end = catch_unwind(AssertUnwindSafe(|| planner.plan(&plan.key, &mut tx)));
        let tally = &mut self.tallies[plan.planner];
        tally.plans += 1;
        if let (Some(began), Some(stopwatch)) = (began, &self.stopwatch) {
            tally.busy += stopwatch().saturating_sub(began);
        }
        match end {
            Ok(next) => {
                let Applied { writes, reads } = core.apply(tx);
                tracing::debug!(planner = planner.name(), key = %plan.key, why = %next.why(), writes = writes.len());
                tally.writes += writes.len() as u64;
                let renewed = self.settled(id, now, &next, reads, writes.len());
                self.tell(id, now, lineage, renewed, &writes);
                self.wake(&writes);
            }
            Err(panic) => {
                tally.panics += 1;
                let reads = tx.reads();
                self.panicked(id, now, reads, panic_text(&*panic));
                self.tell(id, now, lineage, true, &Writes::default());
            }
        }
    }

    /// Makes an event of a plan that changed something, failed, or ended for another reason than the one before it. The
    /// first plan of an object that finds all as it should be is none: after a start that would be every plan.
    fn tell(&mut self, id: PlanId, now: Millis, lineage: Lineage, renewed: bool, writes: &Writes) {
        let plan = self.plans.get_mut(&id).expect("invariant: a running plan exists");
        let failure = plan.trouble.failure.as_ref().filter(|_| plan.trouble.held).map(Failure::to_string);
        if !renewed && failure.is_none() && writes.is_empty() {
            return;
        }
        let end =
            failure.map_or_else(|| Ok(plan.last.as_ref().map(|run| run.why.to_string()).unwrap_or_default()), Err);
        let event = self.events.add(now, self.planners[plan.planner].name(), lineage, end, writes);
        if !writes.is_empty() {
            plan.wrote = Some(event);
        }
    }

    /// True if the reason is another than before.
    fn settled(&mut self, id: PlanId, now: Millis, next: &Next, reads: ReadSet, writes: usize) -> bool {
        self.remember(id, reads);
        self.queue.set_timer(id, next.wait().map(|wait| now + wait));
        let plan = self.plans.get_mut(&id).expect("invariant: a running plan exists");
        let quick = plan.last.as_ref().is_some_and(|run| now.since(run.at) < RESTLESS_GAP);
        let renewed = plan.last.as_ref().is_some_and(|run| run.why != *next.why());
        plan.last = Some(Run { at: now, why: next.why().clone(), writes });
        if writes == 0 || matches!(plan.trouble.failure, Some(Failure::Panicked(_))) {
            plan.trouble = Trouble::default();
        }
        plan.trouble.held = false;
        plan.trouble.restless_runs = if quick && writes > 0 { plan.trouble.restless_runs + 1 } else { 0 };
        if plan.trouble.restless_runs >= RESTLESS_RUNS {
            self.back_off(id, now, Failure::NeverSettles(next.why().to_string()));
        }
        renewed
    }

    fn panicked(&mut self, id: PlanId, now: Millis, reads: ReadSet, text: String) {
        self.remember(id, reads);
        self.back_off(id, now, Failure::Panicked(text));
    }

    fn back_off(&mut self, id: PlanId, now: Millis, failure: Failure) {
        let plan = self.plans.get_mut(&id).expect("invariant: a running plan exists");
        let wait = retry_after(plan.trouble.failures);
        let failures = plan.trouble.failures.saturating_add(1);
        tracing::error!(planner = self.planners[plan.planner].name(), key = %plan.key, %wait, "plan {failure}");
        plan.trouble = Trouble { failure: Some(failure), failures, restless_runs: 0, held: true };
        self.queue.set_timer(id, Some(now + wait));
    }

    fn remember(&mut self, id: PlanId, reads: ReadSet) {
        let plan = self.plans.get_mut(&id).expect("invariant: a running plan exists");
        if plan.reads == reads {
            return;
        }
        self.watchers.unwatch(id, &plan.reads);
        self.watchers.watch(id, &reads);
        plan.reads = reads;
    }
}

fn retry_after(failures: u32) -> Millis {
    let doubled = RETRY_MIN.0.saturating_mul(1 << failures.min(32));
    Millis(doubled).min(RETRY_MAX)
}

/// What the panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
