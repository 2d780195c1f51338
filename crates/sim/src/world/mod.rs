//! The world: a region, a host under it, and time.

mod calls;
mod faults;
mod nodegroups;

pub use faults::Crash;

use crate::api::Api;
use crate::checks::{self, Batch, Violation};
use crate::disk::Disk;
use crate::host::{Event, Host};
use crate::ledger::{Changed, Ledger};
use crate::log::Log;
use crate::nodes::Nodes;
use crate::rng::Rng;
use crate::server::{Part, Server};
use crate::setup::{self, Ground};
use roadstead_kernel::region::Limits;
use roadstead_store::{AnyKey, View};
use roadstead_types::Millis;
use std::collections::BTreeSet;
use std::sync::Arc;

/// How long a world may take to come to rest, unless a story says otherwise.
const REST: Millis = Millis::mins(20);
/// And one with nodes: an update that does not go on fails after so long, and what follows takes its time, too.
const LONG_REST: Millis = Millis::mins(200);
/// Things that happen within one call of [`World::settle`]; more is a world that spins.
const STEPS_MAX: usize = 200_000;

/// A region, a host under it, and time: all of it in this value, and the same again for the same seed.
pub struct World {
    now: Millis,
    rng: Rng,
    process: Process,
    host: Host,
    nodes: Nodes,
    seen: Seen,
    user: User,
    log: Log,
    /// How many things have happened.
    pub steps: u64,
}

/// The region's process, and what it leaves when it ends.
struct Process {
    disk: Disk,
    /// None while it is down.
    server: Option<Server>,
    /// When it is started again.
    returns: Millis,
}

/// What is known of the region from outside.
struct Seen {
    ledger: Ledger,
    /// The newest state that anybody may have seen.
    published: Arc<View>,
    /// Clusters that a probe has reached, by id.
    served: BTreeSet<String>,
    /// The records of a region without clusters.
    empty: BTreeSet<AnyKey>,
}

/// Who calls the API.
struct User {
    api: Api,
    /// Clusters to be asked for as soon as those of their names are gone.
    awaited: Vec<(&'static str, Ground)>,
    /// A rule that was broken during a call; the next step says so.
    broken: Option<Violation>,
}

#[derive(Clone, Copy, Debug)]
enum Actor {
    Server(Part),
    Host,
    /// The region's process is started again.
    Restart,
}

impl World {
    /// A world in which everything that may happen in another order, later or twice does so, as the seed says.
    ///
    /// # Panics
    /// If not even an empty region can be made.
    pub fn new(seed: u64) -> World {
        World::with(Rng::seeded(seed), Log::last())
    }

    /// A world without chance, for stories and goldens.
    ///
    /// # Panics
    /// As [`World::new`].
    pub fn calm() -> World {
        World::with(Rng::calm(), Log::last())
    }

    pub(crate) fn with(mut rng: Rng, log: Log) -> World {
        let (now, disk, ledger) = (setup::START, Disk::default(), Ledger::default());
        let host = Host::new(rng.fork(), now);
        // A source of its own: what happens without nodes hangs on the seed as before.
        let nodes = Nodes::new(rng.clone());
        let server = Server::start(&disk, &mut rng, Limits::default(), now, &ledger);
        let published = server.region.view().clone();
        let mut world = World {
            now,
            rng,
            process: Process { disk, server: Some(server), returns: now },
            host,
            nodes,
            seen: Seen { ledger, published, served: BTreeSet::new(), empty: BTreeSet::new() },
            user: User { api: Api::new(), awaited: vec![], broken: None },
            log,
            steps: 0,
        };
        world.submit(setup::region).expect("an empty region can be set up");
        world.settle();
        world.seen.empty = world.seen.ledger.keys().cloned().collect();
        world.set_limits();
        world
    }

    /// Runs until nothing is left to do but what waits for a far time, at most twenty minutes.
    ///
    /// # Panics
    /// If a rule is broken.
    pub fn settle(&mut self) {
        self.try_settle().unwrap_or_else(|violation| self.fail(&violation));
    }

    /// As [`World::settle`]; where there are instances of users, for as long as nodes may take to be replaced and what was
    /// terminated is shown.
    ///
    /// # Errors
    /// The rule that was broken.
    pub fn try_rest(&mut self) -> Result<(), Violation> {
        self.try_settle()?;
        match self.has_had_instances() {
            true => self.try_run_until(self.now + LONG_REST),
            false => Ok(()),
        }
    }

    /// The same, looking on after everything that happens.
    ///
    /// # Panics
    /// If a rule is broken.
    pub fn settle_watching(&mut self, look: impl FnMut(&mut World)) {
        self.run(self.now + REST, look).unwrap_or_else(|violation| self.fail(&violation));
    }

    /// As [`World::settle`].
    ///
    /// # Errors
    /// The rule that was broken.
    pub fn try_settle(&mut self) -> Result<(), Violation> {
        self.run(self.now + REST, |_| {})
    }

    /// Lets this time pass.
    ///
    /// # Panics
    /// If a rule is broken.
    pub fn wait(&mut self, span: Millis) {
        self.try_run_until(self.now + span).unwrap_or_else(|violation| self.fail(&violation));
    }

    /// As [`World::wait`], until this time.
    ///
    /// # Errors
    /// The rule that was broken.
    pub fn try_run_until(&mut self, time: Millis) -> Result<(), Violation> {
        self.run(time, |_| {})?;
        self.now = self.now.max(time);
        self.host.tick(self.now);
        Ok(())
    }

    /// What was said lately.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// A transcript begins here.
    pub(crate) fn begin_log(&mut self) {
        self.log.begin(self.now);
    }

    pub(crate) fn say(&mut self, text: String) {
        if let Err(violation) = self.look_at_host() {
            self.user.broken = Some(violation);
        }
        self.log.say(self.now, text);
    }

    // How it goes on.

    fn run(&mut self, until: Millis, mut look: impl FnMut(&mut World)) -> Result<(), Violation> {
        for _ in 0..STEPS_MAX {
            if !self.step(until)? {
                return Ok(());
            }
            look(self);
        }
        Err(self.violation("settles", format!("{STEPS_MAX} things have happened, and more are due")))
    }

    /// One thing happens, or time passes to when one does. False if none is due until then.
    fn step(&mut self, until: Millis) -> Result<bool, Violation> {
        if let Some(violation) = self.user.broken.take() {
            return Err(violation);
        }
        let (ready, next) = self.wakes();
        if ready.is_empty() {
            let Some(next) = next.filter(|next| *next <= until) else { return Ok(false) };
            self.now = next;
            self.host.tick(self.now);
            return Ok(true);
        }
        self.steps += 1;
        let actor = ready[self.rng.below(ready.len())];
        self.act(actor)?;
        // What is due may also be late.
        if self.rng.chance(1) {
            let late = self.rng.span(Millis(1), Millis(1500));
            self.now = (self.now + late).min(until.max(self.now));
            self.host.tick(self.now);
        }
        Ok(true)
    }

    /// Who has something to do now; when the next one will.
    fn wakes(&mut self) -> (Vec<Actor>, Option<Millis>) {
        let mut all = vec![(Actor::Host, self.host.wakes())];
        match &mut self.process.server {
            Some(server) => {
                let parts = server.wakes(self.now, &mut self.host, &mut self.nodes);
                all.splice(0..0, parts.map(|(part, wakes)| (Actor::Server(part), wakes)));
            }
            None => all.insert(0, (Actor::Restart, Some(self.process.returns))),
        }
        let due = all.iter().filter(|(_, wakes)| wakes.is_some_and(|at| at <= self.now));
        (due.map(|(actor, _)| *actor).collect(), all.iter().filter_map(|(_, wakes)| *wakes).min())
    }

    fn act(&mut self, actor: Actor) -> Result<(), Violation> {
        match actor {
            Actor::Restart => self.restart()?,
            Actor::Host => self.host.act(),
            Actor::Server(Part::Region) => self.turn()?,
            Actor::Server(part) => {
                let server = self.process.server.as_mut().expect("it was asked what it has to do");
                let served = server.drive(part, self.now, &mut self.host, &mut self.nodes, &self.seen.ledger);
                self.seen.served.extend(served);
            }
        }
        self.ask_for_awaited();
        self.look_at_host()
    }

    fn ask_for_awaited(&mut self) {
        let free = |(name, _): &(&'static str, Ground)| self.cluster(name).is_none();
        if let Some(n) = self.user.awaited.iter().position(free) {
            let (name, ground) = self.user.awaited.swap_remove(n);
            // A refusal is an answer like any other.
            drop(self.try_create_cluster(name, ground));
        }
    }

    fn look_at_host(&mut self) -> Result<(), Violation> {
        for event in self.host.take_events() {
            checks::event(&event, &self.seen.published, self.now)?;
            if let Event::Machine { id, hostname, what } = event {
                self.log.happened(self.now, &self.seen.published, &id, &format!("machine {hostname} {what}"));
            }
        }
        Ok(())
    }

    /// The region takes a turn.
    fn turn(&mut self) -> Result<(), Violation> {
        let Some(server) = &mut self.process.server else { return Ok(()) };
        match server.region.turn(self.now) {
            Ok(turn) => {
                server.wakes = turn.next_wake;
                self.take_in()
            }
            Err(_) => {
                let away = self.rng.span(Millis(100), Millis(5000));
                self.end_server(away);
                Ok(())
            }
        }
    }

    /// Looks at what has become durable.
    fn take_in(&mut self) -> Result<(), Violation> {
        let Some(server) = &mut self.process.server else { return Ok(()) };
        let after = server.region.view().clone();
        let before = std::mem::replace(&mut self.seen.published, after.clone());
        let troubled = server.region.troubled();
        for frame in self.process.disk.take_frames() {
            let changes = self.seen.ledger.enter(&frame);
            let (served, before) = (&self.seen.served, &before);
            let batch = Batch { before, after: &after, changes: &changes, frame: &frame, served, troubled: &troubled };
            checks::batch(&batch, self.now)?;
            server.notice(&changes, self.now);
            self.nodes.notice(&changes);
            self.log.batch(self.now, before, &after, &changes);
        }
        self.log.plans(self.now, &server.region, &after, &self.seen.ledger);
        Ok(())
    }

    fn end_server(&mut self, away: Millis) {
        self.process.server = None;
        self.nodes.forget();
        self.host.disconnect();
        self.process.returns = self.now + away;
        self.log.say(self.now, "the region is down".to_owned());
    }

    fn restart(&mut self) -> Result<(), Violation> {
        let limits = limits(&mut self.rng);
        let server = Server::start(&self.process.disk, &mut self.rng, limits, self.now, &self.seen.ledger);
        let unseen = self.peek_frames();
        let durable = checks::durable(&self.seen.published, server.region.view(), &self.seen.ledger, &unseen);
        durable.map_err(|what| self.violation("acknowledged-is-durable", what))?;
        self.process.server = Some(server);
        self.log.say(self.now, "the region is up".to_owned());
        self.take_in()
    }

    /// The keys of batches that are durable and that nobody has seen.
    fn peek_frames(&self) -> BTreeSet<AnyKey> {
        let mut ledger = self.seen.ledger.clone();
        let frames = self.process.disk.frames();
        frames.iter().flat_map(|frame| ledger.enter(frame)).map(|Changed { key, .. }| key).collect()
    }

    fn set_limits(&mut self) {
        let limits = limits(&mut self.rng);
        if let Some(server) = &mut self.process.server {
            server.region.limit(limits);
        }
    }

    fn violation(&self, check: &'static str, what: String) -> Violation {
        Violation { check, what, at: self.now }
    }

    fn fail(&self, violation: &Violation) -> ! {
        panic!("{violation}\n{}", self.log)
    }
}

/// How much a region does in one batch.
fn limits(rng: &mut Rng) -> Limits {
    let many = [1000, 1, 3, 10][rng.below(4)];
    Limits { jobs: many, plans: many }
}

#[cfg(test)]
mod tests;
