//! CreateNodegroup to Node Ready against the same kubelet and containerd started bare, in turns; where our time goes; and
//! the memory that a node takes beside kubelet, containerd and its pods.

mod report;
mod timeline;

use crate::node::{Cluster, Cni, Ground, Overhead, Recipe, Sets, memory};
use crate::region::{Parts, Region};
use crate::report::surroundings;
use crate::wait::Wait;
use anyhow::{Result, ensure};
use std::time::Duration;
use timeline::Step;

/// From Ready until memory is looked at, and what came when: also what comes after that.
const REST: Duration = Duration::from_secs(5);

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// How often each side runs.
    #[arg(long)]
    pub runs: usize,
    /// The type of our instances.
    #[arg(long, default_value = "t3.medium")]
    pub instance_type: String,
    /// What both sides are made of.
    #[command(flatten)]
    pub sets: Sets,
    /// The region.
    #[command(flatten)]
    pub parts: Parts,
}

/// What all runs measured.
#[derive(Default)]
pub struct Runs {
    /// Of bare nodes: from before the first process until Ready.
    pub bare: Vec<Duration>,
    /// The same of those whose network a DaemonSet brings, as ours has it.
    pub like_ours: Vec<Duration>,
    /// Of ours: from CreateNodegroup until Ready.
    pub ours: Vec<Duration>,
    /// What ours did meanwhile: a list for each run.
    pub steps: Vec<Vec<Step>>,
    /// From DeleteNodegroup until it was not found.
    pub gone: Vec<Duration>,
    /// Memory of our last node.
    pub overhead: Overhead,
}

/// Runs both sides in turns and prints what came out.
///
/// # Errors
/// One of them does not run; nothing is left of either.
pub fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0, "--runs must be at least 1");
    let wait = Wait::new()?;
    let surroundings = surroundings();
    let runs = Region::used(&args.parts, "the region", |region| {
        region.up()?;
        measure(region, &wait, args)
    })?;
    print!("{}", report::text(args, &runs, &surroundings));
    Ok(())
}

fn measure(region: &Region<'_>, wait: &Wait, args: &Args) -> Result<Runs> {
    let mut cluster = Cluster::new(region, wait)?;
    let ground = Ground::new(&args.parts, &args.sets, wait)?;
    // The first one has the images of all made, and shows what a bare node is to be like.
    let (_, arrivals) = cluster.add("first", &args.instance_type, 1)?;
    let first = &arrivals[0].name;
    let recipe = Recipe::of(&cluster.processes(first)?, region, &args.parts.components, &args.sets.plugins)?;
    let image = cluster.image()?;
    cluster.remove("first")?;
    let mut runs = Runs::default();
    for run in 1..=args.runs {
        eprintln!("run {run} of {}", args.runs);
        runs.bare.push(bare(&ground, &recipe, args, Cni::Beforehand, &cluster)?);
        ground.bring_networks(&image, true, &cluster)?;
        runs.like_ours.push(bare(&ground, &recipe, args, Cni::ByDaemonSet, &cluster)?);
        ground.bring_networks(&image, false, &cluster)?;

        let before = memory(&cluster)?;
        let group = format!("run-{run}");
        let (asked, arrivals) = cluster.add(&group, &args.instance_type, 1)?;
        let arrival = &arrivals[0];
        runs.ours.push(arrival.ready.duration_since(asked)?);
        wait.rest(REST)?;
        runs.steps.push(timeline::of(&cluster, asked, arrival)?);
        runs.overhead = Overhead::of(&cluster, &arrival.name, before)?;
        runs.gone.push(cluster.remove(&group)?);
    }
    Ok(runs)
}

/// How long a bare node takes. Nothing is left of it.
fn bare(ground: &Ground, recipe: &Recipe, args: &Args, cni: Cni, cluster: &Cluster<'_>) -> Result<Duration> {
    let (bare, started, arrival) = ground.add(recipe, &args.parts.place, cni, cluster)?;
    bare.stop()?;
    ground.forget(&arrival.name, cluster)?;
    Ok(arrival.ready.duration_since(started)?)
}
