use crate::api::Api;
use crate::checks::{self, Batch, Violation};
use crate::disk::{Disk, Failure};
use crate::host::{Event, Host};
use crate::ledger::{Changed, Ledger};
use crate::log::Log;
use crate::rng::Rng;
use crate::server::{Part, Server};
use crate::setup::{self, Ground};
use roadstead_cloud::autoscaling::Group;
use roadstead_cloud::eks::cluster::{Cluster, State};
use roadstead_cloud::settings::{SERVICE_ACCOUNT, Settings};
use roadstead_kernel::planner::Explanation;
use roadstead_kernel::region::{Limits, WriteError};
use roadstead_shapes::eks;
use roadstead_store::{AnyKey, Index, Read, Tx, View};
use roadstead_types::Millis;
use roadstead_wire::fault::{Common, Fault};
use roadstead_wire::schema::{Operation, Shape};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc;

/// How long a world may take to come to rest, unless a story says otherwise.
const REST: Millis = Millis::mins(20);
/// Things that happen within one call of [`World::settle`]; more is a world that spins.
const STEPS_MAX: usize = 200_000;

/// A region, a host under it, and time: all of it in this value, and the same again for the same seed.
pub struct World {
    now: Millis,
    rng: Rng,
    disk: Disk,
    ledger: Ledger,
    /// The newest state that anybody outside may have seen.
    published: Arc<View>,
    /// None while the region's process is down.
    server: Option<Server>,
    /// When it is started again.
    returns: Millis,
    host: Host,
    /// Clusters that a probe has reached.
    served: BTreeSet<String>,
    /// The records of a region without clusters.
    empty: BTreeSet<AnyKey>,
    log: Log,
    api: Api,
    /// Clusters that somebody asks for as soon as those of their names are gone.
    awaited: Vec<(&'static str, Ground)>,
    /// A rule that was broken while somebody called; the next step says so.
    broken: Option<Violation>,
    /// How many things have happened.
    pub steps: usize,
}

/// How the region's process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// It is killed between two batches; what it had not begun to write is lost.
    Killed,
    /// Its disk fails it at the next batch, which is lost.
    LosesBatch,
    /// Its disk fails it at the next batch, which is on the disk all the same.
    KeepsBatch,
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
        let server = Server::start(&disk, &mut rng, Limits::default(), now, &ledger);
        let published = server.region.view().clone();
        let mut world = World {
            now,
            rng,
            disk,
            ledger,
            published,
            server: Some(server),
            returns: now,
            host,
            served: BTreeSet::new(),
            empty: BTreeSet::new(),
            log,
            api: Api::new(),
            awaited: vec![],
            broken: None,
            steps: 0,
        };
        world.submit(setup::region).expect("an empty region can be set up");
        world.settle();
        world.empty = world.ledger.keys().cloned().collect();
        world.set_limits();
        world
    }

    // Stories.

    /// Asks for a cluster in the default VPC.
    ///
    /// # Panics
    /// If the region refuses it.
    pub fn create_cluster(&mut self, name: &str) {
        self.try_create_cluster(name, Ground::Wide).unwrap_or_else(|why| panic!("{name} can't be created: {why}"));
    }

    /// Asks for a cluster there.
    ///
    /// # Errors
    /// The API's.
    pub fn try_create_cluster(&mut self, name: &str, ground: Ground) -> Result<(), Fault> {
        self.call(&eks::CREATE_CLUSTER, setup::request(&*self.published, name, ground)).map(drop)
    }

    /// A request for a cluster in the default VPC, with all its defaults.
    pub fn request(&self, name: &str) -> eks::CreateClusterRequest {
        setup::request(&*self.published, name, Ground::Wide)
    }

    /// Somebody asks for a cluster at the moment when the one of this name is gone.
    pub fn create_when_gone(&mut self, name: &'static str, ground: Ground) {
        self.awaited.push((name, ground));
    }

    /// Asks for a cluster's deletion.
    ///
    /// # Panics
    /// If the region refuses it.
    pub fn delete_cluster(&mut self, name: &str) {
        self.try_delete_cluster(name).unwrap_or_else(|why| panic!("{name} can't be deleted: {why}"));
    }

    /// Asks for a cluster's deletion.
    ///
    /// # Errors
    /// The API's.
    pub fn try_delete_cluster(&mut self, name: &str) -> Result<(), Fault> {
        self.call(&eks::DELETE_CLUSTER, eks::DeleteClusterRequest { name: name.to_owned() }).map(drop)
    }

    /// Calls the API as the account's user.
    ///
    /// # Errors
    /// The API's; `ServiceUnavailable` while the region is down, when the call may have been done all the same.
    pub fn call<I: Shape, O: Shape>(&mut self, operation: &'static Operation<I, O>, input: I) -> Result<O, Fault> {
        if self.api.is_read(operation) {
            return self.api.read(&self.published, operation, &input);
        }
        self.submit(self.api.write(operation, input))
    }

    /// Changes the region's settings, as a start with another configuration does.
    ///
    /// # Panics
    /// If the region is down.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut Settings) + Send + 'static) {
        let changed = self.try_reconfigure(change);
        changed.unwrap_or_else(|why| panic!("can't reconfigure: {why}"));
    }

    /// The same, unless the region is down.
    ///
    /// # Errors
    /// `ServiceUnavailable`.
    pub fn try_reconfigure(&mut self, change: impl FnOnce(&mut Settings) + Send + 'static) -> Result<(), Fault> {
        self.submit(move |tx| {
            let mut record = tx.get(&Settings::key()).expect("settings are the first record");
            change(&mut record.body);
            tx.put(record);
            Ok(())
        })
    }

    /// Changes who may reach a cluster from outside, as UpdateClusterConfig will.
    ///
    /// # Errors
    /// There is no such cluster, or the region is down.
    pub fn set_public_cidrs(&mut self, name: &str, open: bool) -> Result<(), Fault> {
        let key = setup::cluster_key(name);
        let blocks = if open { setup::everybody() } else { setup::few() };
        self.submit(move |tx| {
            let record = tx.get(&key).filter(|record| record.deleting.is_none());
            let mut record = record.ok_or_else(|| Common::InvalidParameterValue.fault("there is no such cluster"))?;
            record.body.spec.vpc.public_cidrs = blocks;
            tx.put(record);
            Ok(())
        })
    }

    /// Runs until nothing is left to do but what waits for a far time, at most twenty minutes.
    ///
    /// # Panics
    /// If a rule is broken.
    pub fn settle(&mut self) {
        self.try_settle().unwrap_or_else(|violation| self.fail(&violation));
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

    /// The host, to be asked and disturbed.
    pub fn host(&mut self) -> &mut Host {
        &mut self.host
    }

    /// The newest published state.
    pub fn view(&self) -> &View {
        &self.published
    }

    /// A cluster, if there is one.
    pub fn cluster(&self, name: &str) -> Option<Cluster> {
        self.published.get(&setup::cluster_key(name)).map(|record| record.body)
    }

    /// All clusters.
    pub fn clusters(&self) -> Vec<Cluster> {
        self.published.list(Index::<Cluster>::all()).into_iter().map(|record| record.body).collect()
    }

    /// The state of a cluster, if there is one.
    pub fn state(&self, name: &str) -> Option<State> {
        self.cluster(name).map(|cluster| cluster.status.state)
    }

    /// What is wrong with a cluster, for people.
    pub fn issues(&self, name: &str) -> Vec<String> {
        self.cluster(name).into_iter().flat_map(|cluster| cluster.status.issues).map(|issue| issue.message).collect()
    }

    /// The instance in a slot (`etcd-1`, `api-2`) of a cluster.
    ///
    /// # Panics
    /// If there is none.
    pub fn machine(&self, cluster: &str, slot: &str) -> String {
        self.find_machine(cluster, slot).unwrap_or_else(|| panic!("{cluster} has no machine {slot}"))
    }

    /// The same, if there is one.
    pub fn find_machine(&self, cluster: &str, slot: &str) -> Option<String> {
        let id = self.cluster(cluster)?.spec.id;
        let role = slot.split('-').next()?;
        let group = self.published.get(&Group::key(SERVICE_ACCOUNT, &format!("eks-{id}-{role}")))?;
        group.body.instances.get(slot).cloned()
    }

    /// Why the plans of an object ended as they did.
    pub fn explain(&self, key: &AnyKey) -> Vec<Explanation> {
        self.server.as_ref().map(|server| server.region.explain(key)).unwrap_or_default()
    }

    /// The records that a region without clusters would not have, those of what happened apart.
    pub fn leftovers(&self) -> Vec<AnyKey> {
        let is_memory = |key: &AnyKey| key.kind().starts_with("audit/") || key.kind().starts_with("kernel/");
        self.ledger.keys().filter(|key| !self.empty.contains(*key) && !is_memory(key)).cloned().collect()
    }

    /// The time.
    pub fn now(&self) -> Millis {
        self.now
    }

    // Faults.

    /// The region's process ends, and is started again after this time.
    pub fn crash(&mut self, how: Crash, away: Millis) {
        match how {
            Crash::Killed => self.end_server(away),
            Crash::LosesBatch => self.disk.fail(Some(Failure::Lost)),
            Crash::KeepsBatch => self.disk.fail(Some(Failure::Kept)),
        }
    }

    /// The whole machine loses its power for so long.
    pub fn power_off(&mut self, away: Millis) {
        self.end_server(away);
        self.host.power_off(away);
    }

    /// The clock is set forward.
    pub fn jump(&mut self, span: Millis) {
        self.now = self.now + span;
        self.host.tick(self.now);
    }

    /// The key driver is so many times slower.
    pub fn slow_keys(&mut self, times: u64) {
        if let Some(server) = &mut self.server {
            server.keys.slowness = times;
        }
    }

    /// No fault goes on.
    pub fn heal(&mut self) {
        self.host.come_back();
        self.disk.fail(None);
        self.slow_keys(1);
        self.awaited.clear();
        if self.server.is_none() {
            self.returns = self.now;
        }
    }

    // The end.

    /// After faults have stopped and the world has come to rest: is everything as it should be?
    pub fn check_rest(&self) -> Result<(), Violation> {
        let wrong = |what: String| self.violation("all-is-well-in-the-end", what);
        for record in self.published.list(Index::<Cluster>::all()) {
            let status = &record.body.status;
            let hour = status.state == State::Failed && status.since.since(record.created) >= Millis::mins(60);
            if !hour && (status.state != State::Active || !status.issues.is_empty()) {
                return Err(wrong(format!("{} is {:?}: {:?}", record.key, status.state, status.issues)));
            }
        }
        checks::met(&self.published, &self.ledger, &self.host).map_err(wrong)
    }

    /// After all clusters were deleted and the world has come to rest: is nothing left of them?
    pub fn check_empty(&self) -> Result<(), Violation> {
        let left = self.leftovers();
        if !left.is_empty() || self.host.count() > 0 {
            let host = self.host.count();
            return Err(self.violation("deleted-leaves-nothing", format!("left are {left:?} and {host} items on the host")));
        }
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
            self.broken = Some(violation);
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
        if let Some(violation) = self.broken.take() {
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
        match &mut self.server {
            Some(server) => {
                let parts = server.wakes(self.now, &mut self.host);
                all.splice(0..0, parts.map(|(part, wakes)| (Actor::Server(part), wakes)));
            }
            None => all.insert(0, (Actor::Restart, Some(self.returns))),
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
                let server = self.server.as_mut().expect("it was asked what it has to do");
                let served = server.drive(part, self.now, &mut self.host, &self.ledger);
                self.served.extend(served);
            }
        }
        self.ask_for_awaited();
        self.look_at_host()
    }

    fn ask_for_awaited(&mut self) {
        let free = |(name, _): &(&'static str, Ground)| self.cluster(name).is_none();
        if let Some(n) = self.awaited.iter().position(free) {
            let (name, ground) = self.awaited.swap_remove(n);
            // A refusal is an answer like any other.
            drop(self.try_create_cluster(name, ground));
        }
    }

    fn look_at_host(&mut self) -> Result<(), Violation> {
        for event in self.host.take_events() {
            checks::event(&event, &self.published, self.now)?;
            if let Event::Machine { id, hostname, what } = event {
                self.log.happened(self.now, &self.published, &id, &format!("machine {hostname} {what}"));
            }
        }
        Ok(())
    }

    /// The region takes a turn.
    fn turn(&mut self) -> Result<(), Violation> {
        let Some(server) = &mut self.server else { return Ok(()) };
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
        let Some(server) = &mut self.server else { return Ok(()) };
        let after = server.region.view().clone();
        let before = std::mem::replace(&mut self.published, after.clone());
        for frame in self.disk.take_frames() {
            let changes = self.ledger.enter(&frame);
            let troubled = server.region.troubled();
            let (served, before) = (&self.served, &before);
            let batch =
                Batch { before, after: &after, changes: &changes, frame: &frame, served, troubled: &troubled };
            checks::batch(&batch, self.now)?;
            server.notice(&changes, self.now);
            self.log.batch(self.now, &before, &after, &changes);
        }
        self.log.plans(self.now, &server.region, &after, &self.ledger);
        Ok(())
    }

    fn end_server(&mut self, away: Millis) {
        self.server = None;
        self.host.disconnect();
        self.returns = self.now + away;
        self.log.say(self.now, "the region is down".to_owned());
    }

    fn restart(&mut self) -> Result<(), Violation> {
        let limits = limits(&mut self.rng);
        let server = Server::start(&self.disk, &mut self.rng, limits, self.now, &self.ledger);
        let unseen = self.peek_frames();
        let durable = checks::durable(&self.published, server.region.view(), &self.ledger, &unseen);
        durable.map_err(|what| self.violation("acknowledged-is-durable", what))?;
        self.server = Some(server);
        self.log.say(self.now, "the region is up".to_owned());
        self.take_in()
    }

    /// The keys of batches that are durable and that nobody has seen.
    fn peek_frames(&self) -> BTreeSet<AnyKey> {
        let mut ledger = self.ledger.clone();
        let frames = self.disk.frames();
        frames.iter().flat_map(|frame| ledger.enter(frame)).map(|Changed { key, .. }| key).collect()
    }

    fn set_limits(&mut self) {
        let limits = limits(&mut self.rng);
        if let Some(server) = &mut self.server {
            server.region.limit(limits);
        }
    }

    /// Runs work in a batch of its own and waits for its result.
    fn submit<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Tx) -> Result<R, Fault> + Send + 'static,
    ) -> Result<R, Fault> {
        let down = || Common::ServiceUnavailable.fault("the region is down");
        let (send, answer) = mpsc::channel();
        let server = self.server.as_mut().ok_or_else(down)?;
        server.region.submit(work, move |result| drop(send.send(result)));
        // It may wait behind other work.
        while self.server.is_some() && self.broken.is_none() {
            self.broken = self.turn().err();
            match answer.try_recv() {
                Ok(Err(WriteError::Refused(fault))) => return Err(fault),
                Ok(Err(error)) => return Err(Common::ServiceUnavailable.fault(error.to_string())),
                Ok(Ok(result)) => return Ok(result),
                Err(_) => {}
            }
        }
        Err(down())
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
