//! Roadstead's kernel balancer against direct routing and against HAProxy, in turns: the same client, the same two
//! servers, the same router between them.
//!
//! ```text
//! direct     client ── router ── server
//! balancer   client ── router (its address is translated here) ── one of two servers
//! haproxy    client ── router ── machine with HAProxy ── router ── one of two servers
//! ```

mod agent;
mod haproxy;
mod report;

use crate::region::{Parts, Region};
use crate::report::surroundings;
use crate::traffic::{self, Kind, Servers};
use crate::wait::Wait;
use agent::{Agent, Place};
use anyhow::{Context as _, Result, ensure};
use haproxy::Haproxy;
use std::net::Ipv4Addr;
use std::path::PathBuf;
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
    /// HAProxy's program; without it, it is left out.
    #[arg(long, default_value = "/usr/sbin/haproxy")]
    pub haproxy: PathBuf,
    /// The region.
    #[command(flatten)]
    pub parts: Parts,
}

/// How connections get to a server.
pub struct Way {
    /// For people.
    pub name: &'static str,
    /// Where the client connects to.
    address: Ipv4Addr,
    /// What came out, per second, by [`Kind::ALL`]: a value for each run.
    pub rates: [Vec<f64>; 3],
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
    let ways = Region::used(&args.parts, "the host agent", |region| measure(region, &wait, args, each))?;
    print!("{}", report::text(args, &ways, &surroundings));
    Ok(())
}

fn measure(region: &mut Region<'_>, wait: &Wait, args: &Args, each: Duration) -> Result<Vec<Way>> {
    let agent = Agent::start(region, wait)?;
    let _servers = [Place::A, Place::B].map(|place| Servers::start(&agent.namespace(place)));
    let _servers = _servers.into_iter().collect::<Result<Vec<_>>>()?;
    agent.until_healthy(wait)?;
    let haproxy = match args.haproxy.exists() {
        true => Some(Haproxy::start(&args.haproxy, &agent, &region.logs(), wait)?),
        false => None,
    };
    let way = |name, address| Way { name, address, rates: Default::default() };
    let mut ways = vec![way("direct", Place::A.address()), way("balancer", agent::BALANCER)];
    ways.extend(haproxy.as_ref().map(|_| way("HAProxy", Place::Haproxy.address())));
    let client = agent.namespace(Place::Client);
    for (run, kind) in (1..=args.runs).flat_map(|run| Kind::ALL.map(|kind| (run, kind))) {
        eprintln!("run {run} of {}: {}", args.runs, kind.name());
        for way in &mut ways {
            let rate = traffic::measure(&client, (way.address, kind), each, wait);
            way.rates[kind as usize].push(rate.with_context(|| format!("{} by {}", kind.name(), way.name))?);
        }
    }
    Ok(ways)
}
