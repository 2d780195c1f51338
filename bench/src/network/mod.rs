//! Pod to pod, on one node and across two, against namespaces with nothing but veth pairs between them, in turns. Servers
//! and clients are the harness's own, in the pods' network namespaces.
//!
//! ```text
//! bare          client ── server                                          a veth pair: what there is at best
//! same node     client ── node ── server                                  against the pair, and against one bare router
//! across nodes  client ── node ── the VPC's router ── node ── server      against the pair, and against three
//! ```

mod bare;
mod report;

use crate::node::Cluster;
use crate::region::{Parts, Region};
use crate::report::surroundings;
use crate::traffic::{self, Kind, Servers};
use crate::wait::Wait;
use anyhow::{Context as _, Result, ensure};
use bare::Chain;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// How often each way is measured.
    #[arg(long)]
    pub runs: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
    /// The type of our instances.
    #[arg(long, default_value = "t3.medium")]
    pub instance_type: String,
    /// The region.
    #[command(flatten)]
    pub parts: Parts,
}

/// From where to where.
pub struct Way {
    /// For people.
    pub name: &'static str,
    client: PathBuf,
    server: Ipv4Addr,
    /// What came out by [`Measure::ALL`]: a value for each run.
    pub values: [Vec<f64>; 4],
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Bytes one way, Gbit/s.
    Bulk,
    /// Requests of many clients, per second.
    Requests,
    /// Connections, per second.
    Connections,
    /// A request of one client and its answer, µs.
    RoundTrip,
}

/// Measures and prints.
///
/// # Errors
/// Something can't be started, or a connection fails.
pub fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0, "--runs must be at least 1");
    let each = Duration::try_from_secs_f64(args.seconds).context("--seconds")?;
    let wait = Wait::new()?;
    let surroundings = surroundings();
    let ways = Region::used(&args.parts, "the region", |region| {
        region.up()?;
        measure(region, &wait, args, each)
    })?;
    print!("{}", report::text(args, &ways, &surroundings));
    Ok(())
}

fn measure(region: &Region<'_>, wait: &Wait, args: &Args, each: Duration) -> Result<Vec<Way>> {
    let chains = [Chain::new("pair", 0)?, Chain::new("one", 1)?, Chain::new("three", 3)?];
    let mut cluster = Cluster::new(region, wait)?;
    let (_, nodes) = cluster.add("network", &args.instance_type, 2)?;
    let place = |name, node: usize| cluster.pod(name, &nodes[node].name);
    let (client, near, far) = (place("client", 0)?, place("near", 0)?, place("far", 1)?);
    let way = |name, client: &Path, server| Way { name, client: client.to_owned(), server, values: Default::default() };
    let bare = |name, chain: &Chain| way(name, &chain.client(), chain.address());
    let [pair, one, three] = &chains;
    let mut ways = [
        bare("bare pair", pair),
        bare("bare, 1 router", one),
        way("same node", &client.namespace, near.address),
        bare("bare, 3 routers", three),
        way("across nodes", &client.namespace, far.address),
    ];
    for server in chains.iter().map(Chain::server).chain([near.namespace, far.namespace]) {
        Servers::start(&server)?;
    }
    for (run, measure) in (1..=args.runs).flat_map(|run| Measure::ALL.map(|measure| (run, measure))) {
        eprintln!("run {run} of {}: {}", args.runs, measure.name());
        for way in &mut ways {
            let value = measure.take(way, each, wait);
            way.values[measure as usize].push(value.with_context(|| format!("{}, {}", measure.name(), way.name))?);
        }
    }
    ["client", "near", "far"].into_iter().try_for_each(|name| cluster.no_pod(name))?;
    cluster.remove("network")?;
    Ok(ways.into())
}

impl Measure {
    /// All, by number.
    pub const ALL: [Measure; 4] = [Measure::Bulk, Measure::Requests, Measure::Connections, Measure::RoundTrip];

    /// With its unit.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Bulk => "Gbit/s",
            Measure::Requests => "requests/s",
            Measure::Connections => "connections/s",
            Measure::RoundTrip => "request and answer, µs",
        }
    }

    fn take(self, way: &Way, time: Duration, wait: &Wait) -> Result<f64> {
        let of = |kind| traffic::measure(&way.client, (way.server, kind), time, wait);
        match self {
            Measure::Bulk => of(Kind::Bulk),
            Measure::Requests => of(Kind::Requests),
            Measure::Connections => of(Kind::Connections),
            Measure::RoundTrip => {
                let to = (way.server, Kind::Requests);
                Ok(1e6 / traffic::measure_with(1, &way.client, to, time, wait)?)
            }
        }
    }
}
