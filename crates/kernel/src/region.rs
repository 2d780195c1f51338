//! The region's heart: operations, observations and plans in one row, and one durable batch at a time.
//!
//! ```text
//! submit ─→ ┌ turn ─────────────────────────────────────────────────────────────────────┐
//! submit ─→ │ queued work → plans woken by it → one commit → publish → complete → tidy  │ ─→ next_wake
//!           └───────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! [`Region`] is synchronous and has no clock: the simulator turns it by hand. [`Handle`] turns it on a thread of its
//! own, for a server.

mod handle;

pub use handle::{Clock, Handle, Running, Subscriber};

use crate::planner::{
    Chooser, Engine, Explanation, Listener, PlanEvent, Planners, Rehearsal, Stopwatch, Tally, panic_text,
};
use roadstead_store::{AnyKey, Commit, CommitError, Core, Tx, View};
use roadstead_types::Millis;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// How much one turn does before it commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Submitted work.
    pub jobs: usize,
    /// Plan steps. What is left over runs in the next turn, so that a storm of plans doesn't hold up operations.
    pub plans: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { jobs: 1000, plans: 1000 }
    }
}

/// What a turn did.
#[derive(Debug)]
pub struct Turn {
    /// The batch, if anything changed.
    pub commit: Option<Arc<Commit>>,
    /// How many plans ran.
    pub plans: usize,
    /// When there is something to do again without new work; the turn's own time if something is left over.
    pub next_wake: Option<Millis>,
}

/// Why submitted work has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError<E> {
    /// The work itself said no, and nothing was changed.
    #[error("{0}")]
    Refused(E),
    /// The work panicked, which is a mistake in the program, and nothing was changed.
    #[error("panicked: {0}")]
    Panicked(String),
    /// The region takes no more work. Whether this was done is unknown unless the caller asks after a restart.
    #[error("{0}")]
    Stopped(String),
}

/// Store and planners, run by whoever calls [`Region::turn`].
pub struct Region {
    core: Core,
    engine: Engine,
    jobs: VecDeque<Box<dyn Job>>,
    limits: Limits,
    on_commit: Option<OnCommit>,
    after_answers: Option<OnCommit>,
}

type OnCommit = Box<dyn FnMut(&Arc<Commit>) + Send>;

impl Region {
    /// A region on this store, in which every object is due to be planned.
    pub fn new(core: Core, planners: Planners) -> Region {
        let mut engine = Engine::new(planners);
        engine.start(core.head());
        Region { core, engine, jobs: VecDeque::new(), limits: Limits::default(), on_commit: None, after_answers: None }
    }

    /// From now on a turn does so much.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// From now on `chooser` picks which due plan runs next, instead of first come, first served.
    pub fn choose_with(&mut self, chooser: Chooser) {
        self.engine.choose_with(chooser);
    }

    /// From now on this is called with every batch, when it is durable and before any caller is answered.
    pub fn on_commit(&mut self, call: impl FnMut(&Arc<Commit>) + Send + 'static) {
        self.on_commit = Some(Box::new(call));
    }

    /// From now on this is called with every batch, when its callers are answered: for what they need not wait for.
    pub fn after_answers(&mut self, call: impl FnMut(&Arc<Commit>) + Send + 'static) {
        self.after_answers = Some(Box::new(call));
    }

    /// From now on this is called with every event of a planner, on the thread that turns.
    pub fn on_plan(&mut self, mut listener: Listener) {
        self.engine.listen(Box::new(move |event| surviving("what hears of plans", || listener(event))));
    }

    /// From now on it is measured how long plans take.
    pub fn measure_with(&mut self, stopwatch: Stopwatch) {
        self.engine.measure_with(stopwatch);
    }

    /// Queues an operation or an observation for the next turn. If `work` returns an error, nothing of it happens.
    /// `done` gets the result once the batch is durable, never before: also a refusal may rest on what others wrote in
    /// the same batch.
    pub fn submit<R, E>(
        &mut self,
        work: impl FnOnce(&mut Tx) -> Result<R, E> + Send + 'static,
        done: impl FnOnce(Result<R, WriteError<E>>) + Send + 'static,
    ) where
        R: Send + 'static,
        E: Send + 'static,
    {
        self.enqueue(Box::new(Write { work, done }));
    }

    fn enqueue(&mut self, job: Box<dyn Job>) {
        self.jobs.push_back(job);
    }

    /// Runs what is queued and due, commits it as one batch, publishes that, answers the callers, then tidies the
    /// store. After an error the store has halted: the callers were told, and so is everybody from now on.
    pub fn turn(&mut self, now: Millis) -> Result<Turn, CommitError> {
        if let Some(halted) = self.core.halted() {
            self.refuse_all(&halted.to_string());
            return Err(halted);
        }
        let completions = self.run_jobs(now);
        let plans = self.run_plans(now);
        let committed = self.core.commit();
        hand(&committed, &mut self.on_commit);
        let stopped = committed.as_ref().err().map(CommitError::to_string);
        for complete in completions {
            surviving("an answer", || complete(stopped.as_deref()));
        }
        hand(&committed, &mut self.after_answers);
        if let Ok(Some(_)) = &committed {
            self.core.tidy();
        }
        let left_over = !self.jobs.is_empty() || self.engine.due() > 0;
        let next_wake = if left_over { Some(now) } else { self.engine.next_wake() };
        Ok(Turn { commit: committed?, plans, next_wake })
    }

    /// Why the store takes no more work, if so: also after a turn that went well, when the journal failed behind it.
    pub fn halted(&self) -> Option<CommitError> {
        self.core.halted()
    }

    /// The newest published state.
    pub fn view(&self) -> &Arc<View> {
        self.core.view()
    }

    /// What there is to say about the plans of an object: why each ended as it did, what it waits for, what it read.
    pub fn explain(&self, key: &AnyKey) -> Vec<Explanation> {
        self.engine.explain(key)
    }

    /// What the planners would do with an object at this time, without doing it.
    pub fn rehearse(&self, key: &AnyKey, now: Millis) -> Vec<Rehearsal> {
        self.engine.rehearse(key, &self.core, now)
    }

    /// Why the plans of an object ended as they did, or `Err` with how they fail: the short form of
    /// [`Region::explain`].
    pub fn whys(&self, key: &AnyKey) -> impl Iterator<Item = Result<String, String>> {
        self.engine.whys(key)
    }

    /// What planners did lately, newest last.
    pub fn events(&self) -> impl Iterator<Item = &Arc<PlanEvent>> {
        self.engine.events()
    }

    /// What each planner did since the start.
    pub fn tallies(&self) -> &[Tally] {
        self.engine.tallies()
    }

    /// The plans that panic or never settle: health issues of the region.
    pub fn troubled(&self) -> Vec<Explanation> {
        self.engine.troubled()
    }

    fn run_jobs(&mut self, now: Millis) -> Vec<Completion> {
        let count = self.jobs.len().min(self.limits.jobs);
        let jobs: Vec<_> = self.jobs.drain(..count).collect();
        jobs.into_iter().map(|job| self.run_job(job, now)).collect()
    }

    fn run_job(&mut self, job: Box<dyn Job>, now: Millis) -> Completion {
        let mut tx = self.core.begin(now);
        let Outcome { keep, complete } = job.run(&mut tx);
        if keep {
            let applied = self.core.apply(tx);
            self.engine.wake(&applied.writes);
        }
        complete
    }

    fn run_plans(&mut self, now: Millis) -> usize {
        (0..self.limits.plans).take_while(|_| self.engine.step(&mut self.core, now)).count()
    }

    fn refuse_all(&mut self, why: &str) {
        for job in self.jobs.drain(..) {
            surviving("an answer", || job.refuse(why));
        }
    }
}

/// Calls what runs on each commit, if there was one.
fn hand(committed: &Result<Option<Arc<Commit>>, CommitError>, call: &mut Option<OnCommit>) {
    if let (Ok(Some(commit)), Some(call)) = (committed, call) {
        surviving("what runs on each commit", || call(commit));
    }
}

/// Runs code that was handed in and that has nothing to decide: its panic is logged and stops nobody else.
fn surviving(what: &str, call: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
        tracing::error!("{what} panicked: {}", panic_text(&*panic));
    }
}

/// Work with its types forgotten, so that one queue holds all sorts.
trait Job: Send {
    fn run(self: Box<Self>, tx: &mut Tx) -> Outcome;
    /// Instead of `run`.
    fn refuse(self: Box<Self>, why: &str);
}

/// What a job did.
struct Outcome {
    /// Whether its transaction counts.
    keep: bool,
    complete: Completion,
}

/// Answers the caller: with the job's result, or with why the batch was lost.
type Completion = Box<dyn FnOnce(Option<&str>) + Send>;

struct Write<W, D> {
    work: W,
    done: D,
}

impl<W, D, R, E> Job for Write<W, D>
where
    W: FnOnce(&mut Tx) -> Result<R, E> + Send + 'static,
    D: FnOnce(Result<R, WriteError<E>>) + Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    fn run(self: Box<Self>, tx: &mut Tx) -> Outcome {
        let Write { work, done } = *self;
        // A transaction that a panic leaves half done is dropped, so nothing broken can be seen afterwards.
        let result = match catch_unwind(AssertUnwindSafe(|| work(tx))) {
            Ok(result) => result.map_err(WriteError::Refused),
            Err(panic) => Err(WriteError::Panicked(panic_text(&*panic))),
        };
        let keep = result.is_ok();
        let complete = Box::new(move |stopped: Option<&str>| match stopped {
            None => done(result),
            Some(why) => done(Err(WriteError::Stopped(why.to_owned()))),
        });
        Outcome { keep, complete }
    }

    fn refuse(self: Box<Self>, why: &str) {
        (self.done)(Err(WriteError::Stopped(why.to_owned())));
    }
}

#[cfg(test)]
mod tests;
