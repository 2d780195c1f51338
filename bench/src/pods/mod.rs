//! Pods on a node that is there: one after another, twenty at once, and as many as it may have; ours against the same
//! kubelet and containerd started bare with upstream's `ptp`, in turns.

mod load;
mod report;

use crate::node::{Cluster, Cni, Ground, Recipe, Sets};
use crate::region::{Parts, Region};
use crate::report::surroundings;
use crate::wait::Wait;
use anyhow::{Result, ensure};
use load::Side;
use std::time::Duration;

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// How often each side is measured.
    #[arg(long)]
    pub runs: usize,
    /// Pods one after another, in a run.
    #[arg(long, default_value_t = 20)]
    pub alone: usize,
    /// Pods of the Deployment.
    #[arg(long, default_value_t = 20)]
    pub together: usize,
    /// The type of our instance.
    #[arg(long, default_value = "m5.large")]
    pub instance_type: String,
    /// What both sides are made of.
    #[command(flatten)]
    pub sets: Sets,
    /// The region.
    #[command(flatten)]
    pub parts: Parts,
}

/// What a side measured.
#[derive(Default)]
pub struct Times {
    /// From a pod's creation until it is Running, one after another.
    pub alone: Vec<Duration>,
    /// From a Deployment's creation until all of it is available.
    pub together: Vec<Duration>,
    /// As many pods as there is room for: how many, until all of them are available.
    pub crowd: Vec<(usize, Duration)>,
}

/// Measures and prints.
///
/// # Errors
/// One side does not run; nothing is left of either.
pub fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0 && args.alone > 0 && args.together > 0, "--runs, --alone and --together are at least 1");
    let wait = Wait::new()?;
    let surroundings = surroundings();
    let (bare, ours) = Region::used(&args.parts, "the region", |region| {
        region.up()?;
        measure(region, &wait, args)
    })?;
    print!("{}", report::text(args, &bare, &ours, &surroundings));
    Ok(())
}

fn measure(region: &Region<'_>, wait: &Wait, args: &Args) -> Result<(Times, Times)> {
    let mut cluster = Cluster::new(region, wait)?;
    let ground = Ground::new(&args.parts, &args.sets, wait)?;
    cluster.client.tell(wait, "prefixes")?;
    let (_, arrivals) = cluster.add("pods", &args.instance_type, 1)?;
    let node = cluster.processes(&arrivals[0].name)?;
    let recipe = Recipe::of(&node, region, &args.parts.components, &args.sets.plugins)?;
    let (bare, ..) = ground.add(&recipe, &args.parts.place, Cni::Beforehand, &cluster)?;
    let sides = [ground.plane.access(), cluster.access.clone()];
    let [below, above] = sides.map(|access| Side::new(access, &cluster.runtime, wait));
    let (below, above) = (below?, above?);
    let (mut bares, mut ours) = (Times::default(), Times::default());
    for run in 1..=args.runs {
        for (side, times, name) in [(&below, &mut bares, "bare"), (&above, &mut ours, "ours")] {
            eprintln!("run {run} of {}: {name}", args.runs);
            bare.with_last_words(side.measure(args, times))?;
        }
    }
    bare.stop()?;
    cluster.remove("pods")?;
    Ok((bares, ours))
}

impl Side<'_> {
    fn measure(&self, args: &Args, times: &mut Times) -> Result<()> {
        for n in 0..args.alone {
            times.alone.push(self.one(&format!("alone-{n}"))?);
        }
        times.together.push(self.deployment("together", args.together)?);
        self.delete("together")?;
        let room = self.room()?;
        times.crowd.push((room, self.deployment("crowd", room)?));
        self.delete("crowd")
    }
}
