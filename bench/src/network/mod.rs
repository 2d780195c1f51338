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

use crate::machines::Process;
use crate::node::Cluster;
use crate::objects::{self, follow};
use crate::process::with_last_words;
use crate::region::{Parts, Region};
use crate::report::surroundings;
use crate::traffic::{self, Kind, Servers};
use crate::wait::Wait;
use anyhow::{Context as _, Result, ensure};
use bare::Chain;
use hyper::Method;
use serde_json::{Value, json};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ten times what two nodes and three pods take.
const LIMIT: Duration = Duration::from_secs(90);
const PODS: &str = "/api/v1/namespaces/default/pods";
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

/// A pod that runs.
struct Pod {
    namespace: PathBuf,
    address: Ipv4Addr,
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
    let mut region = Region::new(&args.parts)?;
    let logs = region.logs();
    let measured = region.up().and_then(|()| measure(&region, &wait, args, each));
    let ways = with_last_words(measured, "the region", &logs)?;
    region.down().context("removing the region")?;
    print!("{}", report::text(args, &ways, &surroundings));
    Ok(())
}

fn measure(region: &Region<'_>, wait: &Wait, args: &Args, each: Duration) -> Result<Vec<Way>> {
    let chains = [Chain::new("pair", 0)?, Chain::new("one", 1)?, Chain::new("three", 3)?];
    let mut cluster = Cluster::new(region, wait)?;
    let (_, nodes) = cluster.add("network", &args.instance_type, 2)?;
    let place = |name, node: usize| pod(&cluster, wait, name, &nodes[node].name);
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
    for name in ["client", "near", "far"] {
        let path = format!("{PODS}/{name}?gracePeriodSeconds=0");
        let delete = async { cluster.access.connect().await?.ask(Method::DELETE, &path, &Value::Null).await };
        cluster.runtime.block_on(wait.on("pods are deleted", LIMIT, delete))?;
    }
    cluster.remove("network")?;
    Ok(ways.into())
}

/// A pod on a node.
fn pod(cluster: &Cluster<'_>, wait: &Wait, name: &str, node: &str) -> Result<Pod> {
    let access = &cluster.access;
    let container = json!({"name": "pause", "image": cluster.image()?, "args": ["pause"]});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"nodeName": node, "containers": [container]}});
    let make = async {
        access.connect().await?.ask(Method::POST, PODS, &pod).await?;
        let running = |pod: &Value| objects::name(pod) == name && objects::is(pod, "Ready");
        follow(access, PODS, |_, pod| running(pod).then(|| pod.clone())).await
    };
    let pod = cluster.runtime.block_on(wait.on("a pod runs", LIMIT, make))?;
    let address = pod["status"]["podIP"].as_str().context("a pod has an address")?.parse()?;
    let uid = pod["metadata"]["uid"].as_str().context("a pod has a uid")?;
    let processes = cluster.processes(node)?;
    let inside = processes.iter().find(|process| is_of(process, uid));
    let inside = inside.with_context(|| format!("no process of the pod {name} runs"))?;
    Ok(Pod { namespace: format!("/proc/{}/ns/net", inside.pid).into(), address })
}

/// A pod's cgroups are named after it.
fn is_of(process: &Process, uid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).is_ok_and(|cgroups| cgroups.contains(uid))
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
