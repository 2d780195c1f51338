//! CreateCluster to ACTIVE against the bare floor, in turns.

use crate::floor::{self, Floor};
use crate::ours;
use crate::process::settle;
use crate::region::Parts;
use crate::report;
use crate::wait::Wait;
use anyhow::{Context as _, Result, ensure};
use std::path::PathBuf;
use std::time::Duration;

/// From the last thing that happened until memory is looked at.
const REST: Duration = Duration::from_secs(8);

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// How often each side runs.
    #[arg(long)]
    pub runs: usize,
    /// Only ours runs.
    #[arg(long)]
    pub no_floor: bool,
    /// A folder on the disk to use; everything put there is removed again.
    #[arg(long, default_value = "/var/tmp")]
    pub place: PathBuf,
    /// The `roadstead` program; without it only the floor runs.
    #[arg(long)]
    pub roadstead: Option<PathBuf>,
    /// The component cache.
    #[arg(long)]
    pub components: PathBuf,
    /// The etcd set in it, e.g. etcd-3.6.16.
    #[arg(long)]
    pub etcd: String,
    /// The Kubernetes set in it.
    #[arg(long)]
    pub kubernetes: String,
    /// A Python that has boto3.
    #[arg(long)]
    pub python: PathBuf,
}

/// What all runs measured.
#[derive(Default)]
pub struct Runs {
    /// Of the floor.
    pub floor: Vec<floor::Measured>,
    /// Of ours.
    pub ours: Vec<ours::Measured>,
}

/// Runs both sides in turns and prints what came out.
///
/// # Errors
/// One of them does not run; nothing is left of either.
pub fn run(args: &Args) -> Result<()> {
    ensure!(args.runs > 0, "--runs must be at least 1");
    let wait = Wait::new()?;
    let (etcd, kubernetes) = (args.components.join(&args.etcd), args.components.join(&args.kubernetes));
    let place = std::fs::canonicalize(&args.place).with_context(|| format!("the place {}", args.place.display()))?;
    let floor = Floor { etcd: &etcd, kubernetes: &kubernetes, place: &place };
    let floor = (!args.no_floor).then_some(floor);
    let ours = args.roadstead.clone().map(|roadstead| Parts {
        roadstead,
        components: args.components.clone(),
        python: args.python.clone(),
        place: place.clone(),
    });
    let programs = [floor::programs(&etcd, &kubernetes), Vec::from_iter(args.roadstead.clone())].concat();
    let surroundings = report::surroundings();
    let mut runs = Runs::default();
    for run in 1..=args.runs {
        eprintln!("run {run} of {}", args.runs);
        settle(&programs)?;
        if let Some(floor) = &floor {
            runs.floor.push(floor.measure(&wait, REST)?);
        }
        settle(&programs)?;
        if let Some(ours) = &ours {
            runs.ours.push(ours::measure(ours, &wait, REST)?);
        }
    }
    print!("{}", report::text(args, &runs, &surroundings));
    Ok(())
}
