//! The daemon: answers plugins, and keeps the pool of addresses as large as it should be.
//!
//! Plugins are answered by a thread each, under one short lock; only one thread, the keeper, talks to EC2 and changes the
//! node's own network. They meet in [`Inner`]: who finds no free address wakes the keeper and waits for its next round.

use super::cloud::Cloud;
use super::ec2::now;
use super::ipam::{Interface, Ipam};
use super::node::Node;
use super::pool::{self, Count, Limits, Step};
use super::ruleset;
use super::seat::Seat;
use super::settings::Targets;
use super::store::Store;
use crate::cni::Code;
use crate::cni::daemon::{Answer, Envelope, Lease, Pod, Question, VERSION, read, write};
use anyhow::{Context as _, Result};
use roadstead_types::Millis;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, process, thread};

/// How long an ADD waits for an address that may come.
const PATIENCE: Duration = Duration::from_secs(8);
/// The keeper looks at the pool at least so often.
const ROUND: Duration = Duration::from_secs(5);
/// What is too many goes back so often.
const SHRINK: Duration = Duration::from_secs(30);
/// EC2, interfaces and leases are compared so often.
pub const RECONCILE: Duration = Duration::from_secs(60);
/// Interfaces that a crash left at EC2 are looked for so often.
const SWEEP: Duration = Duration::from_secs(3600);
/// After EC2 refused, it is asked again after a pause, at first so long and at most so long.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// The daemon.
pub struct Daemon {
    cloud: Box<dyn Cloud>,
    node: Arc<dyn Node>,
    targets: Targets,
    limits: Limits,
    store: Store,
    inner: Mutex<Inner>,
    changed: Condvar,
    /// The scripts of nftables: only one is applied at a time, the later last.
    ports: Mutex<()>,
    /// What happened so far.
    pub counters: Counters,
}

/// What threads share.
#[derive(Default)]
struct Inner {
    ipam: Ipam,
    /// Grows with each change of a lease.
    version: u64,
    /// Somebody wants the keeper.
    called: bool,
    /// The keeper's rounds that began and that ended.
    rounds: (u64, u64),
    /// Why there are no more addresses.
    shortage: Option<String>,
}

/// For `/metrics`.
#[derive(Debug, Default)]
pub struct Counters {
    /// Leases made.
    pub adds: AtomicU64,
    /// ADDs refused.
    pub refused_adds: AtomicU64,
    /// Leases ended by DEL.
    pub dels: AtomicU64,
    /// Leases ended because their interface was gone.
    pub reclaimed: AtomicU64,
    /// Steps of the pool that EC2 refused.
    pub cloud_errors: AtomicU64,
    /// Comparisons with EC2.
    pub reconciles: AtomicU64,
}

/// What is told to who looks in.
pub struct Snapshot {
    /// The interfaces.
    pub interfaces: Vec<Interface>,
    /// The leases.
    pub leases: Vec<Lease>,
    /// Sums.
    pub count: Count,
    /// What the instance type can have.
    pub limits: Limits,
    /// Why there are no more addresses, if EC2 refused.
    pub shortage: Option<String>,
}

fn count_up(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}

impl Daemon {
    /// Takes up what an earlier one left: leases, interfaces, rules.
    ///
    /// # Errors
    /// The leases can't be read, EC2 does not answer, or the node's network can't be set up.
    pub fn start(
        cloud: Box<dyn Cloud>,
        node: Arc<dyn Node>,
        (targets, limits): (Targets, Limits),
        store: Store,
    ) -> Result<Arc<Daemon>> {
        let ipam = Ipam::restore(store.load()?, now());
        let (inner, changed) = (Mutex::new(Inner { ipam, ..Inner::default() }), Condvar::new());
        let (ports, counters) = (Mutex::default(), Counters::default());
        let daemon = Arc::new(Daemon { cloud, node, targets, limits, store, inner, changed, ports, counters });
        daemon.reconcile()?;
        if let Err(why) = daemon.apply_ports() {
            tracing::warn!("host ports do not work: {why:#}");
        }
        Ok(daemon)
    }

    /// Answers plugins, for ever.
    ///
    /// # Errors
    /// Nobody can be heard.
    pub fn serve(self: Arc<Daemon>, seat: &Seat) -> Result<()> {
        for stream in seat.listener.incoming() {
            let daemon = self.clone();
            let stream = stream.context("listening to plugins")?;
            thread::Builder::new().name("plugin".into()).spawn(move || daemon.attend(&stream))?;
        }
        Ok(())
    }

    /// Gets the first addresses, as far as one step brings them; the rest is [`Daemon::keep`]'s.
    ///
    /// # Errors
    /// EC2 gives none.
    pub fn begin(&self) -> Result<()> {
        match pool::grow(&self.pool(), &self.targets, self.limits) {
            Some(step) if Count::of(&self.pool()).total == 0 => self.take(&step),
            _ => Ok(()),
        }
    }

    /// Keeps the pool, for ever. `each` is called after every round, and after each of its steps.
    pub fn keep(&self, mut each: impl FnMut(&Snapshot)) {
        let (mut shrunk, mut reconciled, mut swept) = (Instant::now(), Instant::now(), None::<Instant>);
        let mut pause = (Instant::now(), PAUSES.0);
        loop {
            self.begin_round();
            if reconciled.elapsed() >= RECONCILE {
                reconciled = Instant::now();
                self.reconcile().unwrap_or_else(|why| tracing::warn!("comparing with EC2: {why:#}"));
            }
            if Instant::now() >= pause.0 {
                pause = match self.grow(&mut each) {
                    Ok(()) => (Instant::now(), PAUSES.0),
                    Err(_) => (Instant::now() + pause.1, (2 * pause.1).min(PAUSES.1)),
                };
            }
            self.end_round();
            each(&self.snapshot());
            if shrunk.elapsed() >= SHRINK {
                shrunk = Instant::now();
                self.shrink().unwrap_or_else(|why| tracing::warn!("giving addresses back: {why:#}"));
            }
            if swept.is_none_or(|swept| swept.elapsed() >= SWEEP) {
                swept = Some(Instant::now());
                match self.cloud.sweep() {
                    Ok(gone) if gone.is_empty() => {}
                    Ok(gone) => tracing::info!("deleted interfaces that were left over: {}", gone.join(", ")),
                    Err(why) => tracing::warn!("looking for interfaces that were left over: {why:#}"),
                }
            }
            self.await_call();
        }
    }

    /// What there is.
    pub fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        let pool = inner.ipam.pool(now());
        Snapshot {
            interfaces: inner.ipam.interfaces().to_vec(),
            leases: inner.ipam.leases().cloned().collect(),
            count: Count::of(&pool),
            limits: self.limits,
            shortage: inner.shortage.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What plugins ask.
impl Daemon {
    fn attend(&self, stream: &UnixStream) {
        let exchange = || -> io::Result<()> {
            stream.set_read_timeout(Some(PATIENCE))?;
            let answer = self.answer(read(stream)?);
            write(stream, &answer)
        };
        if let Err(why) = exchange() {
            tracing::warn!("a plugin went away: {why}");
        }
    }

    fn answer(&self, envelope: Envelope) -> Answer {
        if envelope.version != VERSION {
            let message = format!(
                "the plugin aws-cni is {}, the daemon {VERSION}: wait until aws-node has installed its own",
                envelope.version
            );
            return Answer::Refused { code: Code::Daemon as u32, message };
        }
        let question = match envelope.body::<Question>() {
            Ok(question) => question,
            Err(why) => return Answer::Refused { code: Code::Daemon as u32, message: why.to_string() },
        };
        self.respond(question).unwrap_or_else(|why| {
            tracing::error!("{why:#}");
            Answer::Refused { code: Code::Io as u32, message: format!("{why:#}") }
        })
    }

    /// Answers a question.
    ///
    /// # Errors
    /// The disk's, or the kernel's.
    pub fn respond(&self, question: Question) -> Result<Answer> {
        match question {
            Question::Assign(pod) => self.assign(&pod),
            Question::Release(key) => {
                let released: Vec<Lease> = self.end(|ipam, now| ipam.release(&key, now).into_iter().collect())?;
                count_up(&self.counters.dels, released.len());
                Ok(Answer::Released(released))
            }
            Question::Find(key) => {
                let lease = self.lock().ipam.lease(&key).cloned();
                Ok(lease.map_or(Answer::Nothing, |lease| Answer::Lease(Box::new(lease))))
            }
            Question::Keep(valid) => {
                let released = self.end(|ipam, now| ipam.keep(&valid, now))?;
                count_up(&self.counters.reclaimed, released.len());
                Ok(Answer::Released(released))
            }
            Question::Status => Ok(self.status()),
            Question::Leave => {
                tracing::info!("another daemon takes this one's place");
                // As at a signal: what counts is written down.
                process::exit(0)
            }
        }
    }

    fn assign(&self, pod: &Pod) -> Result<Answer> {
        let (assigned, version) = {
            let mut inner = self.lock();
            let deadline = Instant::now() + PATIENCE;
            // A round that begins from now on takes this pod into account.
            let round = inner.rounds.0 + 1;
            loop {
                if let Some(assigned) = inner.ipam.assign(pod, now()) {
                    inner.version += 1;
                    inner.called = true;
                    self.changed.notify_all();
                    break (assigned, inner.version);
                }
                let left = deadline.saturating_duration_since(Instant::now());
                if inner.rounds.1 >= round || left.is_zero() {
                    count_up(&self.counters.refused_adds, 1);
                    return Ok(Answer::Refused { code: Code::TryAgain as u32, message: self.why_none(&inner) });
                }
                inner.called = true;
                self.changed.notify_all();
                inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        };
        let done = self.write_down(version).and_then(|()| {
            self.node.forget(&assigned.superseded)?;
            let ports = !pod.ports.is_empty() || assigned.superseded.iter().any(|lease| !lease.pod.ports.is_empty());
            if ports { self.apply_ports().context("opening its host ports") } else { Ok(()) }
        });
        if let Err(why) = done {
            // Nobody has been told of it.
            self.end(|ipam, now| ipam.release(&pod.key, now).into_iter().collect())?;
            return Err(why);
        }
        count_up(&self.counters.adds, 1);
        let lease = &assigned.lease;
        tracing::info!(address = %lease.address, device = lease.device, "{}/{} {}", pod.namespace, pod.name, pod.key);
        Ok(Answer::Assigned { lease: Box::new(assigned.lease), flows: self.node.flows() })
    }

    /// Ends leases. That is not written down when this returns: a lease that comes back after a crash has no interface, and
    /// is found by that.
    fn end(&self, which: impl FnOnce(&mut Ipam, Millis) -> Vec<Lease>) -> Result<Vec<Lease>> {
        let gone = {
            let mut inner = self.lock();
            let gone = which(&mut inner.ipam, now());
            if !gone.is_empty() {
                inner.version += 1;
                inner.called = true;
                self.changed.notify_all();
            }
            gone
        };
        for lease in &gone {
            tracing::info!(address = %lease.address, "{}/{} {} ended", lease.pod.namespace, lease.pod.name, lease.pod.key);
        }
        if !gone.is_empty() {
            self.node.forget(&gone)?;
        }
        if gone.iter().any(|lease| !lease.pod.ports.is_empty()) {
            self.apply_ports()?;
        }
        Ok(gone)
    }

    fn status(&self) -> Answer {
        let inner = self.lock();
        if Count::of(&inner.ipam.pool(now())).free() > 0 {
            return Answer::Ready;
        }
        Answer::Refused { code: Code::NotAvailable as u32, message: self.why_none(&inner) }
    }

    fn why_none(&self, inner: &Inner) -> String {
        let count = Count::of(&inner.ipam.pool(now()));
        let held = format!("{} addresses are in use, {} rest for half a minute", count.leased, count.cooling);
        match &inner.shortage {
            Some(why) => format!("no address is free for the pod ({held}), and EC2 gives no more: {why}"),
            None => format!(
                "no address is free for the pod ({held}): the instance has room for no more interfaces or addresses \
                 (at most {} of {})",
                self.limits.enis, self.limits.addresses
            ),
        }
    }

    fn write_down(&self, version: u64) -> Result<()> {
        self.store.until_written(version, || {
            let inner = self.lock();
            (inner.version, inner.ipam.saved())
        })
    }

    /// Makes the node's ports lead where the leases say now.
    fn apply_ports(&self) -> Result<()> {
        let _one = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        let script = ruleset::ports(self.lock().ipam.leases());
        self.node.apply(&script)
    }
}

/// What the keeper does.
impl Daemon {
    fn begin_round(&self) {
        let mut inner = self.lock();
        inner.called = false;
        inner.rounds.0 += 1;
    }

    fn end_round(&self) {
        let mut inner = self.lock();
        inner.rounds.1 = inner.rounds.0;
        self.changed.notify_all();
    }

    fn await_call(&self) {
        let inner = self.lock();
        let waiting = |inner: &mut Inner| !inner.called;
        drop(self.changed.wait_timeout_while(inner, ROUND, waiting).unwrap_or_else(PoisonError::into_inner));
        // What must not be lost for long, but nobody waits for: leases that ended.
        let version = self.lock().version;
        self.write_down(version).unwrap_or_else(|why| tracing::error!("{why:#}"));
    }

    fn grow(&self, each: &mut impl FnMut(&Snapshot)) -> Result<()> {
        while let Some(step) = pool::grow(&self.pool(), &self.targets, self.limits) {
            if let Err(why) = self.take(&step) {
                count_up(&self.counters.cloud_errors, 1);
                tracing::warn!("{step:?}: {why:#}");
                self.lock().shortage = Some(format!("{why:#}"));
                return Err(why);
            }
            // The first step may be enough for a node to be ready; another interface takes longer.
            each(&self.snapshot());
        }
        self.lock().shortage = None;
        Ok(())
    }

    fn shrink(&self) -> Result<()> {
        while let Some(step) = pool::shrink(&self.pool(), &self.targets, self.limits) {
            self.take(&step)?;
        }
        Ok(())
    }

    fn pool(&self) -> Vec<pool::Eni> {
        self.lock().ipam.pool(now())
    }

    fn take(&self, step: &Step) -> Result<()> {
        let done = match step {
            Step::Assign { eni, slots } => {
                let blocks = self.cloud.assign(eni, *slots)?;
                self.lock().ipam.add_blocks(eni, &blocks);
                format!("{eni} has {} more", blocks.len())
            }
            Step::Attach { device, slots } => {
                let interface = self.cloud.attach(*device, *slots)?;
                self.node.prepare(&interface).inspect_err(|_| drop(self.cloud.detach(&interface.id)))?;
                let text = format!("{} is attached as device {device} with {}", interface.id, interface.blocks.len());
                self.lock().ipam.attached(interface, now());
                text
            }
            // First they are nobody's here, then EC2 hears of it. A pod that was quicker keeps its address.
            Step::Unassign { eni, blocks } => {
                if !self.lock().ipam.remove_blocks(eni, blocks) {
                    return Ok(());
                }
                self.cloud.unassign(eni, blocks)?;
                format!("{eni} has {} less", blocks.len())
            }
            Step::Detach { eni } => {
                let Some(interface) = self.lock().ipam.remove_interface(eni) else { return Ok(()) };
                self.cloud.detach(eni)?;
                self.node.dismiss(&interface)?;
                format!("{eni} is gone")
            }
        };
        tracing::info!("{done}");
        // Whoever waits for an address looks again.
        self.changed.notify_all();
        Ok(())
    }

    /// Takes over what EC2 says of the interfaces, and what the kernel says of the pods' ends.
    fn reconcile(&self) -> Result<()> {
        count_up(&self.counters.reconciles, 1);
        let interfaces = self.cloud.interfaces()?;
        for interface in &interfaces {
            self.node.prepare(interface).with_context(|| format!("preparing {}", interface.id))?;
        }
        let lost: Vec<Interface> = {
            let mut inner = self.lock();
            let known = inner.ipam.interfaces().iter();
            let lost = known.filter(|known| interfaces.iter().all(|other| other.id != known.id)).cloned().collect();
            inner.ipam.set_interfaces(interfaces);
            for lease in inner.ipam.strangers() {
                tracing::error!(address = %lease.address, "EC2 took the address of {}/{}", lease.pod.namespace, lease.pod.name);
            }
            lost
        };
        for interface in lost {
            tracing::warn!("somebody detached {}", interface.id);
            self.node.dismiss(&interface)?;
        }
        let owners = self.node.owners()?;
        let reclaimed = self.end(|ipam, now| ipam.reclaim(&owners, now))?;
        count_up(&self.counters.reclaimed, reclaimed.len());
        self.node.clean(&|| self.lock().ipam.leases().cloned().collect())
    }
}
