//! What a request costs: reads, a list and durable writes of a region, against a bare server on the same library that
//! answers the same bytes, against moto's server, and against any endpoint. Each request is signed; what it is signed
//! with is boto3's own code, beforehand, so that the client is not what is measured.

mod counts;
mod disk;
pub mod floor;
mod load;
mod moto;
mod report;

use crate::region::{Client, Parts, Region};
use crate::report::surroundings;
use crate::running;
use crate::wait::Wait;
use anyhow::{Context as _, Result, ensure};
use counts::Counts;
use floor::Floor;
use load::{Answer, Measured, Until};
use moto::Moto;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROGRAM: &str = include_str!("program.py");
/// How many ask at a time.
const CLIENTS: [usize; 2] = [1, 32];
/// Writes that are signed; they are sent in turns, and each differs from the one before it.
const WRITES: usize = 1000;
/// Of how many users a region has when it is asked what a change costs.
const SIZES: [usize; 3] = [100, 1000, 10_000];
/// Changes of which it is counted what they wake.
const CHANGES: usize = 200;
/// A region at rest has done what it had to.
const REST: Duration = Duration::from_secs(2);

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// How often ours and the floor are measured; others are measured once.
    #[arg(long)]
    runs: usize,
    /// Seconds of each measurement.
    #[arg(long)]
    seconds: f64,
    /// A Python that has moto's server.
    #[arg(long)]
    moto: Option<PathBuf>,
    /// Another endpoint on this machine.
    #[arg(long)]
    peer: Option<String>,
    /// The region.
    #[command(flatten)]
    parts: Parts,
}

/// A request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// EKS DescribeCluster.
    Read,
    /// EC2 DescribeSecurityGroups, of which there are 500.
    List,
    /// EKS TagResource.
    Write,
}

impl Ask {
    const ALL: [Ask; 3] = [Ask::Read, Ask::List, Ask::Write];

    /// For people.
    fn name(self) -> &'static str {
        match self {
            Ask::Read => "DescribeCluster",
            Ask::List => "DescribeSecurityGroups (500)",
            Ask::Write => "TagResource (durable)",
        }
    }

    /// Signs as many as take turns.
    fn sign(self, client: &mut Client, wait: &Wait) -> Result<Vec<String>> {
        match self {
            Ask::Read => sign(client, wait, "read", 0, 1),
            Ask::List => sign(client, wait, "list", 0, 1),
            Ask::Write => sign(client, wait, "write", 0, WRITES),
        }
    }
}

fn sign(client: &mut Client, wait: &Wait, what: &str, first: usize, count: usize) -> Result<Vec<String>> {
    Ok(serde_json::from_value(client.tell(wait, &format!("sign {what} {first} {count}"))?)?)
}

/// Somebody who answers.
struct Side {
    name: &'static str,
    /// Where, by [`Ask`].
    addresses: Vec<SocketAddr>,
    /// Who signs for it; none: as for ours.
    client: Option<Client>,
    /// How often it is measured.
    runs: usize,
    /// By [`Ask`] and [`CLIENTS`]: a figure for each run.
    measured: [[Vec<Measured>; 2]; 3],
}

/// All that came out.
struct Report {
    sides: Vec<Side>,
    syncs: Vec<Duration>,
    /// What the region counted while 32 clients wrote.
    group: Counts,
    starts: [Duration; 2],
    memory: [u64; 2],
    /// By [`SIZES`]: what the changes made the region do.
    changes: Vec<Counts>,
    /// What it does at rest.
    rest: Counts,
    /// Records in the end.
    records: f64,
}

/// Runs it and prints what came out.
///
/// # Errors
/// Something can't be started, or a request is not answered.
pub fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0, "--runs must be at least 1");
    let each = Duration::try_from_secs_f64(args.seconds).context("--seconds")?;
    let wait = Wait::new()?;
    let surroundings = surroundings();
    let report = Region::used(&args.parts, "the region", |region| measure(region, args, each, &wait))?;
    print!("{}", report::text(&report, args, &surroundings));
    Ok(())
}

fn measure(region: &mut Region<'_>, args: &Args, each: Duration, wait: &Wait) -> Result<Report> {
    let folder = TempDir::with_prefix_in("roadstead-bench-", &args.parts.place)?;
    let syncs = disk::syncs(folder.path())?;
    let first_start = timed(|| region.up())?;
    let mut client = region.client_of(PROGRAM)?;
    client.tell(wait, "prepare")?;
    wait.rest(REST)?;
    let first_memory = memory(region)?;

    let ours: SocketAddr = fs::read_to_string(region.data().join("address"))?.trim().parse()?;
    let answers: Vec<Answer> =
        Ask::ALL.iter().map(|ask| answer(*ask, ours, &mut client, wait)).collect::<Result<_>>()?;
    let floor = Floor::start(folder.path(), &answers, wait)?;
    let mut sides = vec![
        Side::new("ours", vec![ours; 3], None, args.runs),
        Side::new("floor", floor.addresses.clone(), None, args.runs),
    ];
    let moto = args.moto.as_ref().map(|python| Moto::start(python, folder.path(), wait)).transpose()?;
    let others = [("moto", moto.as_ref().map(|moto| moto.address)), ("peer", peer(args)?)];
    for (name, address) in others {
        let Some(address) = address else { continue };
        sides.push(Side::other(name, address, &args.parts.python, folder.path(), wait).with_context(|| name)?);
    }

    let mut group = Counts::default();
    for run in 1..=args.runs {
        eprintln!("run {run} of {}", args.runs);
        for (ask, clients) in Ask::ALL.iter().flat_map(|ask| [0, 1].map(|clients| (*ask, clients))) {
            for side in sides.iter_mut().filter(|side| side.runs >= run) {
                let before = Counts::of(region)?;
                side.measure(ask, clients, &mut client, each, wait)
                    .with_context(|| format!("{} by {}", ask.name(), side.name))?;
                if (side.name, ask, clients) == ("ours", Ask::Write, 1) {
                    group = Counts::of(region)?.since(&before);
                }
            }
        }
    }
    drop((moto, floor));

    let changes = grow(region, ours, &mut client, wait)?;
    wait.rest(REST)?;
    let before = Counts::of(region)?;
    wait.rest(REST)?;
    let after = Counts::of(region)?;
    let memory = [first_memory, memory(region)?];
    region.run(&["down"])?;
    let starts = [first_start, timed(|| region.up())?];
    Ok(Report { sides, syncs, group, starts, memory, changes, rest: after.since(&before), records: after.records })
}

impl Side {
    fn new(name: &'static str, addresses: Vec<SocketAddr>, client: Option<Client>, runs: usize) -> Side {
        Side { name, addresses, client, runs, measured: Default::default() }
    }

    /// Makes there what will be asked for.
    fn other(name: &'static str, address: SocketAddr, python: &Path, folder: &Path, wait: &Wait) -> Result<Side> {
        let mut client = Client::at(&format!("http://{address}"), PROGRAM, python, folder)?;
        client.tell(wait, "prepare")?;
        Ok(Side::new(name, vec![address; 3], Some(client), 1))
    }

    fn measure(&mut self, ask: Ask, clients: usize, ours: &mut Client, each: Duration, wait: &Wait) -> Result<()> {
        let requests = ask.sign(self.client.as_mut().unwrap_or(ours), wait)?;
        let measured = load::measure(self.addresses[ask as usize], &requests, CLIENTS[clients], Until::Over(each))?;
        self.measured[ask as usize][clients].push(measured);
        wait.rest(REST / 40)
    }
}

/// What ours answers.
fn answer(ask: Ask, ours: SocketAddr, client: &mut Client, wait: &Wait) -> Result<Answer> {
    let requests = ask.sign(client, wait)?;
    let answer = load::ask(ours, requests[0].as_bytes())?;
    ensure!(answer.status == 200, "{}: {}", ask.name(), String::from_utf8_lossy(&answer.body));
    Ok(answer)
}

fn peer(args: &Args) -> Result<Option<SocketAddr>> {
    let Some(peer) = &args.peer else { return Ok(None) };
    let host = peer.strip_prefix("http://").map(|host| host.trim_end_matches('/'));
    let address: Option<SocketAddr> = host.and_then(|host| host.replace("localhost", "127.0.0.1").parse().ok());
    let local = address.filter(|address| address.ip().is_loopback());
    local
        .map(Some)
        .with_context(|| format!("--peer {peer}: it must be of the form http://127.0.0.1:4566, on this machine"))
}

/// Fills the region with users and counts, at each size, what changes make its planners do.
fn grow(region: &Region<'_>, ours: SocketAddr, client: &mut Client, wait: &Wait) -> Result<Vec<Counts>> {
    let mut changes = vec![];
    let mut there = 0;
    for size in SIZES {
        eprintln!("{size} users");
        while there < size {
            let number = (size - there).min(1000);
            let requests = sign(client, wait, "fill", there, number)?;
            load::measure(ours, &requests, CLIENTS[1], Until::Done)?;
            there += number;
        }
        let requests = sign(client, wait, "write", 0, CHANGES)?;
        wait.rest(REST)?;
        let before = Counts::of(region)?;
        load::measure(ours, &requests, 1, Until::Done)?;
        wait.rest(REST / 4)?;
        changes.push(Counts::of(region)?.since(&before));
    }
    Ok(changes)
}

/// Of the region's process, bytes (PSS).
fn memory(region: &Region<'_>) -> Result<u64> {
    let own = running::ids_of(&region.data()).into_iter().filter_map(|id| running::look(id).ok());
    let serve = { own }.find(|process| process.program.ends_with(" serve")).context("no region runs")?;
    Ok(serve.share)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let began = Instant::now();
    work()?;
    Ok(began.elapsed())
}
