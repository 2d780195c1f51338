//! A host and its agent, as [`roadstead_hostspec`] says they behave.
//!
//! It makes items, starts machines and their processes, checks targets, reports what it sees, and goes on alone while
//! the region is away. What a program needs in order to be ready is told from its arguments; what really serves, from
//! what runs where. Everything takes time, and of what is due, chance picks what happens next.

mod etcd;
mod items;
mod job;
mod machine;
mod serving;

pub use items::Data;

use crate::rng::Rng;
use items::{Items, Put};
use job::Job;
use machine::{Phase, Role};
use roadstead_cloud::eks::etcd::Action;
use roadstead_cloud::eks::kube::{Access, KubeSpec};
use roadstead_hostspec::{
    Balancer, FromHost, ItemKey, ItemKind, Metadata, ProcessState, TargetHealth, ToHost, Versioned,
};
use roadstead_types::Millis;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A host.
pub struct Host {
    now: Millis,
    rng: Rng,
    items: Items,
    /// Component sets that are there.
    built: BTreeSet<String>,
    /// None is being built.
    builds_held: bool,
    /// etcd clusters, by token, into which a controller manager has put the default service account.
    initialised: BTreeSet<String>,
    /// When each possible job is done.
    timers: BTreeMap<Job, Millis>,
    stale: bool,
    /// How often anything here has changed.
    version: u64,
    /// The agent is not there until then.
    away: Option<Millis>,
    connection: Option<Connection>,
    /// Changes of an etcd's membership that are still on their way, by its token.
    late: Vec<(Millis, String, Action)>,
    events: Vec<Event>,
    counter: u64,
}

/// The session between region and agent.
struct Connection {
    id: u64,
    inbox: VecDeque<(Millis, ToHost)>,
    outbox: Vec<(Millis, FromHost)>,
}

/// What happened on the host that people or checks want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A machine started, ended or went.
    Machine {
        /// Which, and its host name.
        id: String,
        /// Its name inside.
        hostname: String,
        /// What happened.
        what: String,
    },
    /// An item was taken away while something stood on it.
    TakenFromUnder {
        /// What was taken away.
        what: ItemKey,
        /// What stood on it.
        user: String,
    },
    /// A disk with an etcd member's data was removed.
    DataRemoved {
        /// The disk.
        disk: String,
    },
    /// A member of etcd began on an empty disk under an id that had voted before.
    Forgot {
        /// Which.
        member: String,
    },
    /// A quorum of etcd does not know what was acknowledged.
    WriteLost {
        /// Of which cluster.
        cluster: String,
    },
    /// A member of etcd was taken out that was well.
    HealthyRemoved {
        /// Which.
        member: String,
    },
    /// A change of its membership took a quorum from etcd.
    QuorumLost {
        /// Of which cluster.
        cluster: String,
        /// By what.
        by: String,
    },
    /// A body was refused because a newer one had been here.
    Refused {
        /// The item.
        what: ItemKey,
    },
}

/// The key of a frame's item.
fn subject(frame: &FromHost) -> Option<&ItemKey> {
    match frame {
        FromHost::Saw { key, .. } | FromHost::Gone { key } => Some(key),
        _ => None,
    }
}

impl Host {
    /// A host with nothing on it.
    pub fn new(rng: Rng, now: Millis) -> Host {
        Host {
            now,
            rng,
            items: Items::default(),
            built: BTreeSet::new(),
            builds_held: false,
            initialised: BTreeSet::new(),
            timers: BTreeMap::new(),
            stale: true,
            version: 0,
            away: None,
            connection: None,
            late: vec![],
            events: vec![],
            counter: 0,
        }
    }

    /// It is `now`.
    pub fn tick(&mut self, now: Millis) {
        self.now = now;
    }

    /// What happened since this was last asked.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    // Faults.

    /// A process of a machine is killed. False if there is none, or if it waits for a disk: it does not end then.
    pub fn kill_process(&mut self, machine: &str, process: &str) -> bool {
        let Some(n) = self.processes(machine).iter().position(|p| *p == process) else { return false };
        if self.is_stalled(machine) {
            return false;
        }
        self.set_process(machine, n, ProcessState::Backoff, Some("signal 9".to_owned()));
        self.touched(&machine_key(machine));
        true
    }

    /// A machine's PID 1 is killed, and all in it. The agent starts it again. False if it doesn't run, or does not end.
    pub fn kill_machine(&mut self, id: &str) -> bool {
        if self.is_stalled(id) {
            return false;
        }
        let Some(machine) = self.items.machines.get_mut(id).filter(|m| m.state.is_running()) else { return false };
        machine.state.phase = Phase::Failed { why: "PID 1 ended by signal 9".to_owned() };
        machine.state.since = self.now;
        self.tell_of(id, "was killed");
        self.touched(&machine_key(id));
        true
    }

    /// A disk's folder is deleted. What runs on it goes on with what it has open, and finds nothing when it starts again.
    /// False if there is none.
    pub fn lose_disk(&mut self, id: &str) -> bool {
        let Some(disk) = self.items.disks.get_mut(id).filter(|disk| disk.state.ready && !disk.state.lost) else {
            return false;
        };
        disk.state.lost = true;
        let runs = self.items.user_of(id).is_some();
        if let Some(disk) = self.items.disks.get_mut(id).filter(|_| !runs) {
            disk.state.data = None;
        }
        self.touched(&ItemKey { kind: ItemKind::Disk, id: id.to_owned() });
        true
    }

    /// A disk takes nothing any more, until [`Host::resume`]. False if there is none.
    pub fn stall_disk(&mut self, id: &str) -> bool {
        let there = self.items.disks.get(id).is_some_and(|disk| disk.state.ready);
        if there {
            self.items.stalled.insert(id.to_owned());
        }
        self.stale = true;
        there
    }

    /// All disks go on: who waited for one does, or ends if it was killed meanwhile.
    pub fn resume(&mut self) {
        let stalled = std::mem::take(&mut self.items.stalled);
        for disk in stalled {
            let Some(machine) = self.items.user_of(&disk).map(str::to_owned) else { continue };
            if self.items.wedged.contains(&machine) {
                self.end_processes(&machine);
                continue;
            }
            for n in 0..self.processes(&machine).len() {
                let waits = machine::is_alive(&self.items.machines[&machine].state.processes()[n]);
                if waits && self.data(&disk).is_none() {
                    self.open_data(&machine, n);
                }
            }
        }
        self.stale = true;
    }

    fn is_stalled(&self, machine: &str) -> bool {
        self.items.machines.get(machine).is_some_and(|machine| self.items.is_stalled(machine))
    }

    /// What a member has written is damaged: it finds that out when it starts.
    pub fn spoil_disk(&mut self, id: &str) {
        if let Some(data) = self.items.disks.get_mut(id).and_then(|disk| disk.state.data.as_mut()) {
            data.member = "nobody".to_owned();
        }
        self.stale = true;
    }

    /// Nothing reaches a machine any more, and it reaches nothing; or that is over.
    pub fn cut(&mut self, machine: &str, cut: bool) {
        if cut {
            self.items.cut.insert(machine.to_owned());
        } else {
            self.items.cut.remove(machine);
        }
        self.stale = true;
    }

    /// All processes of a machine end, those that wait for a disk once it goes on, and nothing in it becomes ready any more,
    /// until another machine takes its place.
    pub fn wedge(&mut self, machine: &str) {
        self.end_processes(machine);
        self.items.wedged.insert(machine.to_owned());
        self.stale = true;
    }

    fn end_processes(&mut self, machine: &str) {
        for process in self.processes(machine) {
            self.kill_process(machine, &process);
        }
    }

    /// No component set gets built, or that is over.
    pub fn hold_builds(&mut self, hold: bool) {
        self.builds_held = hold;
        self.stale = true;
    }

    /// Every machine is reached again.
    pub fn join(&mut self) {
        self.items.cut.clear();
        self.stale = true;
    }

    /// Ids of the disks on which an etcd member has written.
    pub fn disks(&self) -> Vec<String> {
        let written = self.items.disks.iter().filter(|(_, disk)| disk.state.data.is_some());
        written.map(|(id, _)| id.clone()).collect()
    }

    /// The agent is gone for so long. Networks and machines stay; nobody restarts them or checks targets.
    pub fn leave(&mut self, span: Millis) {
        self.away = Some(self.now + span);
        self.disconnect();
        self.stale = true;
    }

    /// The power is off for so long: only disks, and the agent's own snapshot, are left.
    pub fn power_off(&mut self, span: Millis) {
        self.items.power_off(self.now);
        self.leave(span);
    }

    /// The agent is back at once, if it was away.
    pub fn come_back(&mut self) {
        self.away = self.away.map(|_| self.now);
    }

    // What is there.

    /// The agent runs.
    pub fn is_there(&self) -> bool {
        self.away.is_none()
    }

    /// Ids of the running machines.
    pub fn running(&self) -> Vec<String> {
        let running = self.items.machines.iter().filter(|(_, machine)| machine.state.is_running());
        running.map(|(id, _)| id.clone()).collect()
    }

    /// Names of the processes of a running machine.
    pub fn processes(&self, machine: &str) -> Vec<String> {
        let machine = self.items.machines.get(machine);
        machine.into_iter().flat_map(|m| m.state.processes()).map(|process| process.name.clone()).collect()
    }

    /// Whether the kubelet of a machine works.
    pub fn kubelet_runs(&self, machine: &str) -> bool {
        let machine = self.items.machines.get(machine);
        let mut processes = machine.into_iter().flat_map(|m| m.state.processes());
        processes.any(|process| process.name == "kubelet" && process.state == ProcessState::Ready)
    }

    /// What is on a disk, if an etcd member wrote it.
    pub fn data(&self, disk: &str) -> Option<&Data> {
        self.items.disks.get(disk)?.state.data.as_ref()
    }

    /// How many targets of a balancer would answer at this moment.
    pub fn serving(&self, balancer: &str) -> usize {
        let Some(held) = self.items.balancers.get(balancer) else { return 0 };
        let targets = held.spec.listeners.iter().flat_map(|listener| &listener.targets);
        let healthy = |id: &String| held.state.targets.get(id).is_some_and(|health| health.healthy);
        targets.filter(|target| healthy(&target.id) && self.items.target_answers(&held.spec, target)).count()
    }

    /// A balancer as the host has it.
    pub fn balancer(&self, id: &str) -> Option<&Balancer> {
        self.items.balancers.get(id).filter(|held| held.life.wanted).map(|held| &held.spec)
    }

    /// What the metadata service tells an instance.
    pub fn metadata(&self, instance: &str) -> Option<&Metadata> {
        self.items.metadata.get(instance).filter(|held| held.life.wanted).map(|held| &held.spec)
    }

    /// Whether an item is here and wanted.
    pub fn has(&mut self, kind: ItemKind, id: &str) -> bool {
        self.items.life(&ItemKey { kind, id: id.to_owned() }).is_some_and(|life| life.wanted)
    }

    /// The number of items of any kind.
    pub fn count(&self) -> usize {
        self.items.keys().len()
    }

    /// Grows whenever something here has changed: what was found out before may no longer be so.
    pub fn version(&mut self) -> u64 {
        self.refresh();
        self.version
    }

    /// What the kube driver finds: the cluster serves, or why it doesn't. The way in is the agent's.
    pub fn probe(&self, spec: &KubeSpec) -> Result<(), String> {
        if self.away.is_some() {
            return Err("the host agent does not answer".to_owned());
        }
        let machine = self.items.reach(&spec.access())?;
        let token = self.items.etcd_token(machine).ok_or("500 Internal Server Error: etcd failed")?;
        if !self.initialised.contains(token) {
            return Err("the default service account is not there yet".to_owned());
        }
        self.items.knows_probe(machine, spec)
    }

    /// The service's drivers reach a cluster's API.
    pub fn reaches(&self, access: &Access) -> bool {
        let machine = || self.items.reach(access).ok();
        self.away.is_none() && machine().is_some_and(|machine| self.items.etcd_token(machine).is_some())
    }

    // The session.

    /// A request to an etcd was sent twice, and the second one takes its time.
    pub fn send_again(&mut self, token: &str, action: Action) {
        let due = self.now + self.rng.span(Millis(1), Millis::secs(60));
        self.late.push((due, token.to_owned(), action));
    }

    /// Opens a session, if the agent is there; says which.
    pub fn connect(&mut self, session: ToHost) -> Option<u64> {
        if self.away.is_some() {
            return None;
        }
        self.counter += 1;
        let id = self.counter;
        self.connection = Some(Connection { id, inbox: VecDeque::new(), outbox: vec![] });
        self.send(session);
        Some(id)
    }

    /// The session that is open.
    pub fn session(&self) -> Option<u64> {
        self.connection.as_ref().map(|connection| connection.id)
    }

    /// The region is gone, or the agent: what was on its way is lost.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Sends a frame to the agent. Frames keep their order.
    pub fn send(&mut self, frame: ToHost) {
        let delay = latency(&mut self.rng);
        let Some(connection) = &mut self.connection else { return };
        let last = connection.inbox.back().map_or(self.now, |(due, _)| *due);
        connection.inbox.push_back(((self.now + delay).max(last), frame));
    }

    /// When the next frame from the agent arrives.
    pub fn arrives(&self) -> Option<Millis> {
        self.connection.as_ref()?.outbox.iter().map(|(due, _)| *due).min()
    }

    /// Takes a frame that has arrived: of several items any, of one item the first.
    pub fn receive(&mut self) -> Option<FromHost> {
        let now = self.now;
        let outbox = &mut self.connection.as_mut()?.outbox;
        let arrived: Vec<usize> = (0..outbox.len()).filter(|n| outbox[*n].0 <= now).collect();
        let (_, any) = &outbox[*arrived.get(self.rng.below(arrived.len().max(1)))?];
        let key = subject(any).cloned();
        let first = outbox.iter().position(|(_, frame)| subject(frame) == key.as_ref())?;
        Some(outbox.remove(first).1)
    }

    // Work.

    /// When there is something to do.
    pub fn wakes(&mut self) -> Option<Millis> {
        self.refresh();
        let inbox = self.connection.as_ref().and_then(|c| c.inbox.front()).map(|(due, _)| *due);
        let timers = self.timers.values().min().copied();
        let late = self.late.iter().map(|(due, _, _)| *due).min();
        [self.away, inbox, timers, late].into_iter().flatten().min()
    }

    /// Does one thing that is due.
    pub fn act(&mut self) {
        self.refresh();
        if self.away.is_some_and(|until| until <= self.now) {
            self.away = None;
            self.stale = true;
            return;
        }
        if let Some(n) = self.late.iter().position(|(due, _, _)| *due <= self.now) {
            let (_, token, action) = self.late.swap_remove(n);
            // Nobody waits for the answer any more.
            drop(self.change_etcd(&token, &action));
            return;
        }
        let inbox = self.connection.as_ref().and_then(|c| c.inbox.front()).is_some_and(|(due, _)| *due <= self.now);
        let due: Vec<Job> = self.timers.iter().filter(|(_, at)| **at <= self.now).map(|(job, _)| job.clone()).collect();
        if due.is_empty() && !inbox {
            return;
        }
        let picked = self.rng.below(due.len() + usize::from(inbox));
        match due.into_iter().nth(picked) {
            Some(job) => self.perform(job),
            None => self.read_frame(),
        }
        self.acknowledge();
        self.stale = true;
    }

    /// Makes the timers those of the possible jobs.
    fn refresh(&mut self) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        self.version += 1;
        let mut possible = self.items.possible(self.away.is_none(), &self.built);
        possible.retain(|job| !(self.builds_held && matches!(job, Job::Build(_))));
        self.timers.retain(|job, _| possible.contains(job));
        for job in possible {
            if !self.timers.contains_key(&job) {
                let span = job.span(&self.items, &mut self.rng);
                self.timers.insert(job, self.now + span);
            }
        }
    }

    fn read_frame(&mut self) {
        let frame = self.connection.as_mut().and_then(|connection| connection.inbox.pop_front());
        match frame {
            Some((_, ToHost::Session { items, .. })) => self.open(items),
            Some((_, ToHost::Change { put, remove })) => {
                put.into_iter().for_each(|item| self.put(item));
                remove.iter().for_each(|key| self.unwant(key));
            }
            _ => {}
        }
    }

    /// What there must be; what this does not name goes.
    fn open(&mut self, items: Vec<Versioned>) {
        self.reply(FromHost::Welcome);
        let named: BTreeSet<ItemKey> = items.iter().map(|versioned| versioned.item.key()).collect();
        for key in self.items.keys().iter().filter(|key| !named.contains(key)) {
            self.unwant(key);
        }
        items.into_iter().for_each(|item| self.put(item));
        // Whoever listens from now on has been told nothing yet.
        self.items.keys().iter().for_each(|key| self.touched(key));
    }

    fn put(&mut self, item: Versioned) {
        let key = item.item.key();
        match self.items.put(item, self.now) {
            Put::Taken => self.touched(&key),
            Put::Known => {}
            Put::Refused => self.events.push(Event::Refused { what: key }),
        }
    }

    fn unwant(&mut self, key: &ItemKey) {
        match self.items.life(key) {
            Some(life) => life.wanted = false,
            None => self.reply(FromHost::Gone { key: key.clone() }),
        }
    }

    fn perform(&mut self, job: Job) {
        self.timers.remove(&job);
        match job {
            Job::Make(key) => self.make(&key),
            Job::Remove(key) => self.remove(&key),
            Job::Build(set) => drop(self.built.insert(set)),
            Job::Strand(id) => {
                self.set_phase(&id, Phase::Remains { why: "its processes don't die; is a disk stuck?".to_owned() });
                self.tell_of(&id, "was killed and does not end");
            }
            Job::Explain(id) => self.explain(&id),
            Job::Boot(id) => self.boot(&id),
            Job::Start(id, n) => self.start(&id, n),
            Job::Ready(id, n) => self.ready(&id, n),
            Job::Exit(id, n) => self.exit(&id, n),
            Job::Unready(id, n) => {
                self.set_process(&id, n, ProcessState::Unready, None);
                self.touched(&machine_key(&id));
            }
            Job::CatchUp(id) => self.catch_up(&id),
            Job::Flip(balancer, target) => self.flip(&balancer, &target),
        }
    }

    fn make(&mut self, key: &ItemKey) {
        let (items, id) = (&mut self.items, &key.id);
        let ready = match key.kind {
            ItemKind::Network => items.networks.get_mut(id).map(|held| &mut held.state.ready),
            ItemKind::Port => items.ports.get_mut(id).map(|held| &mut held.state.ready),
            ItemKind::Disk => items.disks.get_mut(id).map(|held| {
                let (made, counter) = (&mut held.state, &mut self.counter);
                made.mark.get_or_insert_with(|| {
                    *counter += 1;
                    format!("mark-{counter}")
                });
                &mut made.ready
            }),
            ItemKind::Balancer => items.balancers.get_mut(id).map(|held| &mut held.state.ready),
            ItemKind::Endpoint => items.endpoints.get_mut(id).map(|held| &mut held.state.ready),
            ItemKind::Reviewer => items.reviewers.get_mut(id).map(|held| &mut held.state.ready),
            ItemKind::Machine
            | ItemKind::Metadata
            | ItemKind::Quorum
            | ItemKind::SecurityGroup
            | ItemKind::Credential => None,
        };
        *ready.expect("only what is set up has to be made") = true;
        self.touched(key);
    }

    fn remove(&mut self, key: &ItemKey) {
        if let Some(user) = self.items.user(key) {
            self.events.push(Event::TakenFromUnder { what: key.clone(), user });
        }
        if key.kind == ItemKind::Disk && self.data(&key.id).is_some() {
            self.events.push(Event::DataRemoved { disk: key.id.clone() });
        }
        if key.kind == ItemKind::Machine {
            self.tell_of(&key.id, "is gone");
        }
        self.items.remove(key);
        self.stale = true;
        self.reply(FromHost::Gone { key: key.clone() });
    }

    fn explain(&mut self, id: &str) {
        let missing = self.items.machines.get(id).and_then(|machine| self.items.missing(machine, &self.built));
        if let Some(for_what) = missing {
            self.set_phase(id, Phase::Waiting { for_what });
        }
    }

    fn boot(&mut self, id: &str) {
        let Some(machine) = self.items.machines.get(id) else { return };
        let phase = machine::booted(&machine.spec, self.now);
        // PID 1 has not reported yet.
        self.set_phase(id, Phase::Running { processes: vec![] });
        self.set_phase(id, phase);
        self.tell_of(id, "runs");
    }

    fn set_phase(&mut self, id: &str, phase: Phase) {
        let machine = self.items.machines.get_mut(id).expect("a job is possible for what is there");
        (machine.state.phase, machine.state.since) = (phase, self.now);
        self.touched(&machine_key(id));
    }

    fn start(&mut self, id: &str, n: usize) {
        self.open_data(id, n);
        self.set_process(id, n, ProcessState::Starting, None);
        self.touched(&machine_key(id));
    }

    fn ready(&mut self, id: &str, n: usize) {
        self.set_process(id, n, ProcessState::Ready, None);
        let machine = &self.items.machines[id];
        match &machine.state.roles[n].clone() {
            Role::Etcd(member) => self.publish(id, &member.token),
            Role::Component => self.initialised.extend(self.items.etcd_token(machine).map(str::to_owned)),
            _ => {}
        }
        self.touched(&machine_key(id));
    }

    fn exit(&mut self, id: &str, n: usize) {
        let machine = &self.items.machines[id];
        let why = self.items.ends(machine, &machine.state.processes()[n], &machine.state.roles[n]);
        self.set_process(id, n, ProcessState::Backoff, why);
        self.touched(&machine_key(id));
    }

    fn set_process(&mut self, id: &str, n: usize, state: ProcessState, exit: Option<String>) {
        let machine = self.items.machines.get_mut(id).expect("a job is possible for what is there");
        let Phase::Running { processes } = &mut machine.state.phase else { return };
        let process = &mut processes[n];
        let again = process.state == ProcessState::Backoff && state == ProcessState::Starting;
        process.restarts += u32::from(again);
        (process.state, process.since) = (state, self.now);
        process.last_exit = exit.or(process.last_exit.take());
        self.stale = true;
    }

    fn flip(&mut self, balancer: &str, target: &str) {
        let held = self.items.balancers.get_mut(balancer).expect("a job is possible for what is there");
        let healthy = !held.state.targets.get(target).is_some_and(|health| health.healthy);
        let why = (!healthy).then(|| "connection refused".to_owned());
        held.state.targets.insert(target.to_owned(), TargetHealth { healthy, since: self.now, why });
        self.touched(&ItemKey { kind: ItemKind::Balancer, id: balancer.to_owned() });
    }

    /// An item has changed: the region is told, perhaps twice.
    fn touched(&mut self, key: &ItemKey) {
        self.stale = true;
        if let Some((generation, status)) = self.items.status(key) {
            let saw = FromHost::Saw { key: key.clone(), generation, status };
            if self.rng.chance(5) {
                self.reply(saw.clone());
            }
            self.reply(saw);
        }
    }

    fn reply(&mut self, frame: FromHost) {
        let due = self.now + latency(&mut self.rng);
        let Some(connection) = &mut self.connection else { return };
        let mut earlier = connection.outbox.iter().filter(|(_, other)| subject(other) == subject(&frame));
        let due = earlier.next_back().map_or(due, |(before, _)| due.max(*before));
        connection.outbox.push((due, frame));
    }

    fn tell_of(&mut self, id: &str, what: &str) {
        let hostname = self.items.machines.get(id).map(|m| m.spec.hostname.clone()).unwrap_or_default();
        self.events.push(Event::Machine { id: id.to_owned(), hostname, what: what.to_owned() });
    }
}

fn machine_key(id: &str) -> ItemKey {
    ItemKey { kind: ItemKind::Machine, id: id.to_owned() }
}

/// How long a frame takes; now and then seconds.
fn latency(rng: &mut Rng) -> Millis {
    if rng.chance(2) { rng.span(Millis(500), Millis(8000)) } else { rng.span(Millis(1), Millis(40)) }
}
