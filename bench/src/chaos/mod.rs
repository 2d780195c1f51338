//! Faults against a real cluster under load: what its clients notice, how long until it is whole again, and whether
//! anything that was acknowledged is gone.

mod fault;
mod ledger;
mod load;
mod report;

use crate::api::Access;
use crate::machines::{self, Process};
use crate::node::Cluster;
use crate::region::{Parts, Region};
use crate::report::surroundings;
use crate::wait::Wait;
use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum as _;
use fault::{Fault, Place, Stalling};
use hyper::Method;
use ledger::Ledger;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Between two looks at whether the cluster is whole: a look costs what it looks at some CPU too.
const LOOK: Duration = Duration::from_millis(500);
/// A cluster that is not whole after this will not be.
const LIMIT: Duration = Duration::from_secs(120);
/// Clients are watched for so long after the cluster is whole again.
const AFTER: Duration = Duration::from_secs(2);
/// Who was killed for its silence is asked with the first patience again when it has worked for a minute.
const FORGIVEN: Duration = Duration::from_secs(75);
/// Writes before the first fault.
const WARM: usize = 40;
/// What a whole control plane runs.
const WHOLE: [(&str, usize); 4] =
    [("etcd", 3), ("kube-apiserver", 2), ("kube-controller-manager", 2), ("kube-scheduler", 2)];

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// How often each fault is made.
    #[arg(long)]
    pub runs: usize,
    /// Only these faults.
    #[arg(long = "fault", value_enum)]
    pub faults: Vec<Fault>,
    /// The region.
    #[command(flatten)]
    pub parts: Parts,
}

/// What came of one fault.
pub struct Outcome {
    /// Which it was.
    pub fault: Fault,
    /// Requests that failed, of how many: writes and reads of clients that do not try again.
    pub failed: (usize, usize),
    /// Questions that a client which tries three times within two seconds got no answer to.
    pub unanswered: usize,
    /// The longest time without a successful write.
    pub write_gap: Duration,
    /// The longest time without a successful read.
    pub read_gap: Duration,
    /// The same of reads from a pod.
    pub inner_gap: Duration,
    /// When an idle watch was first told that it ended; None: all went on.
    pub told: Option<Duration>,
    /// Until everything ran, answered and was ready again.
    pub whole: Duration,
    /// Acknowledged writes that the cluster does not have.
    pub lost: usize,
}

/// Runs the faults one after another and prints what came of each.
///
/// # Errors
/// The cluster lost a write, a watch missed one, or the cluster did not become whole.
pub fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0, "--runs must be at least 1");
    let faults = if args.faults.is_empty() { Fault::value_variants() } else { &args.faults };
    let wait = Wait::new()?;
    let surroundings = surroundings();
    let (outcomes, missed) = Region::used(&args.parts, "the region", |region| {
        region.up()?;
        make_all(region, &wait, faults, args.runs)
    })?;
    print!("{}", report::text(&outcomes, &surroundings));
    let lost: usize = outcomes.iter().map(|outcome| outcome.lost).sum();
    ensure!(lost == 0, "{lost} acknowledged writes are lost");
    ensure!(missed == 0, "the watch missed {missed} writes");
    Ok(())
}

/// The cluster under load.
struct Stage<'a> {
    wait: &'a Wait,
    cluster: Cluster<'a>,
    runtime: Runtime,
    access: Access,
    ledger: Ledger,
    data: PathBuf,
    mark: String,
    disk: Option<Stalling>,
    /// When a fault was last healed that makes for patience.
    tried: Option<Instant>,
}

fn make_all(region: &Region<'_>, wait: &Wait, faults: &[Fault], runs: usize) -> Result<(Vec<Outcome>, usize)> {
    let mut stage = Stage::new(region, wait)?;
    let mut outcomes = vec![];
    for fault in (0..runs).flat_map(|_| faults) {
        outcomes.push(stage.make(*fault).with_context(|| fault.name())?);
        let outcome = outcomes.last().expect("it was just put there");
        eprintln!("{:<20} whole again after {:.1} s", fault.name(), outcome.whole.as_secs_f64());
    }
    let missed = stage.missed()?;
    Ok((outcomes, missed))
}

impl<'a> Stage<'a> {
    fn new(region: &'a Region<'a>, wait: &'a Wait) -> Result<Stage<'a>> {
        let mut cluster = Cluster::new(region, wait)?;
        eprintln!("the cluster is ACTIVE");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let access = runtime.block_on(load::prepare(&cluster.access))?;
        let ledger = Ledger::default();
        let mark = region.cgroup()?;
        let service = runtime.block_on(load::service(&access))?;
        let (_, nodes) = cluster.add("chaos", "t3.medium", 1)?;
        let pod = cluster.pod("reader", &nodes[0].name)?;
        eprintln!("a pod runs");
        let inner = access.inside(pod.namespace, service);
        runtime.spawn(load::run(access.clone(), inner, ledger.clone()));
        let stage =
            Stage { wait, cluster, runtime, access, ledger, data: region.data(), mark, disk: None, tried: None };
        wait.until("the load begins", LIMIT, || Ok((stage.ledger.open().writes.count() > WARM).then_some(())))?;
        Ok(stage)
    }

    fn make(&mut self, fault: Fault) -> Result<Outcome> {
        self.become_whole()?;
        if fault == Fault::SlowDisk && !self.disk.as_ref().is_some_and(|disk| disk.is_used(&self.place())) {
            self.disk = Some(Stalling::new(&self.place())?);
            self.wait.rest(AFTER)?;
            self.become_whole()?;
        }
        if let Some(tried) = self.tried.filter(|_| fault.tries_patience()) {
            self.wait.rest(FORGIVEN.saturating_sub(tried.elapsed()))?;
        }
        self.wait.rest(AFTER)?;
        let place = self.place();
        let began = Instant::now();
        let mut frozen = Some(fault.inject(&place)?);
        if let Some(time) = fault.lasts() {
            self.wait.rest(time)?;
            frozen.take();
        }
        // What comes about takes a moment to be seen: a cluster that still looks whole was not healed yet.
        self.wait.rest(LOOK)?;
        self.become_whole()?;
        let whole = began.elapsed();
        self.tried = fault.tries_patience().then(Instant::now).or(self.tried);
        drop(frozen);
        self.wait.rest(AFTER)?;
        let lost = self.lost()?;
        Ok(self.outcome(fault, began, whole, lost))
    }

    fn place(&self) -> Place<'_> {
        let port = self.ledger.open().port;
        Place { data: self.data.clone(), mark: &self.mark, port, disk: self.disk.as_ref() }
    }

    fn outcome(&self, fault: Fault, began: Instant, whole: Duration, lost: usize) -> Outcome {
        let (book, ended) = (self.ledger.open(), Instant::now());
        let failed = |track: &ledger::Track| track.failures(began, ended).len();
        let told = book.told.iter().find(|at| **at >= began);
        Outcome {
            fault,
            failed: (failed(&book.writes), failed(&book.reads)),
            unanswered: failed(&book.patient),
            write_gap: book.writes.longest_gap(began, ended),
            read_gap: book.reads.longest_gap(began, ended),
            inner_gap: book.inner.longest_gap(began, ended),
            told: told.map(|at| *at - began),
            whole,
            lost,
        }
    }

    fn become_whole(&mut self) -> Result<()> {
        let (began, mut why) = (Instant::now(), String::new());
        while began.elapsed() < LIMIT {
            match self.is_whole() {
                Ok(()) => return Ok(()),
                Err(error) => {
                    let now = format!("{error:#}");
                    if now != why {
                        eprintln!("    {:6.2} s  {now}", began.elapsed().as_secs_f64());
                    }
                    why = now;
                }
            }
            self.wait.rest(LOOK)?;
        }
        bail!("not whole after {LIMIT:?}: {why}")
    }

    /// Clients are served; everything runs, and answers from inside its own machine; the region has nothing to complain of.
    fn is_whole(&mut self) -> Result<()> {
        ensure!(self.ledger.open().goes_on(), "requests fail");
        let all = machines::processes(&self.mark);
        let frozen = all.iter().find(|process| process.stopped);
        ensure!(frozen.is_none(), "{} is stopped", frozen.map_or("", |process| &process.program));
        let of = |program: &str| all.iter().filter(|process| process.program == program).collect::<Vec<_>>();
        for (program, wanted) in WHOLE {
            let found = of(program).len();
            ensure!(found == wanted, "{found} of {wanted} {program} run");
        }
        of("etcd").into_iter().try_for_each(is_voter)?;
        of("kube-apiserver").into_iter().try_for_each(|server| self.is_ready(server))?;
        let issues = self.cluster.client.tell(self.wait, "health")?;
        ensure!(issues.as_array().is_some_and(Vec::is_empty), "{issues}");
        Ok(())
    }

    fn is_ready(&self, server: &Process) -> Result<()> {
        let stream = server.dial(443)?;
        stream.set_nonblocking(true)?;
        let ask = async {
            let mut connection = self.access.over(tokio::net::TcpStream::from_std(stream)?).await?;
            connection.ask(Method::GET, "/readyz", &Value::Null).await
        };
        let limited = async { tokio::time::timeout(Duration::from_secs(1), ask).await };
        self.runtime.block_on(limited).context("no answer")?.map(drop)
    }

    /// How many acknowledged writes the cluster does not have.
    fn lost(&self) -> Result<usize> {
        let acknowledged = self.ledger.open().acknowledged.clone();
        let kept = self.runtime.block_on(load::kept(&self.access))?;
        Ok(acknowledged.difference(&kept).count())
    }

    /// How many acknowledged writes the watch has not shown, once it had time to.
    fn missed(&self) -> Result<usize> {
        let acknowledged = self.ledger.open().acknowledged.clone();
        let missing = || {
            let book = self.ledger.open();
            acknowledged.iter().filter(|number| !book.shown.contains_key(number)).count()
        };
        let shown = self.wait.until("the watch", LIMIT / 4, || Ok((missing() == 0).then_some(())));
        shown.map(|()| 0).or_else(|error| match error.is::<crate::wait::Interrupted>() {
            true => Err(error),
            false => Ok(missing()),
        })
    }
}

/// Ready (it says so only with a quorum), led by somebody, and with a vote.
fn is_voter(member: &Process) -> Result<()> {
    member.get(2381, "/readyz")?;
    let metrics = member.get(2381, "/metrics")?;
    for wanted in ["\netcd_server_has_leader 1", "\netcd_server_is_learner 0"] {
        ensure!(metrics.contains(wanted), "an etcd member does not say {}", wanted.trim());
    }
    Ok(())
}
