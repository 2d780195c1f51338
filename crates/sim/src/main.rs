//! Runs seeds: `sim --seeds 1000`, or one again: `sim --seed 42 --only 0,3`.

#![expect(clippy::print_stdout, reason = "a command line talks")]

use clap::Parser;
use roadstead_sim::seeds::{self, Options};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;

/// Runs the region, its hosts and their faults in virtual time, and checks that the rules hold.
#[derive(Parser)]
#[command(name = "sim")]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Runs this seed only.
    #[arg(long)]
    seed: Option<u64>,
    /// Of that seed, only the acts of these numbers.
    #[arg(long, value_delimiter = ',', requires = "seed")]
    only: Option<Vec<usize>>,
    /// Stops after so many steps, in seeds that pass.
    #[arg(long)]
    steps: Option<usize>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let options = Options::default();
    if let (Some(seed), Some(only)) = (args.seed, &args.only) {
        let only: BTreeSet<usize> = only.iter().copied().collect();
        return conclude(seeds::replay(seed, &options, &only).map(|passed| passed.steps));
    }
    let seeds = args.seed.map_or(args.from..args.from + args.seeds, |seed| seed..seed + 1);
    run(seeds, args.steps.unwrap_or(usize::MAX), &options)
}

#[expect(clippy::disallowed_methods, reason = "measures how fast the simulator is, which no result hangs on")]
fn run(seeds: std::ops::Range<u64>, steps_max: usize, options: &Options) -> ExitCode {
    let begun = Instant::now();
    let (mut ran, mut steps) = (0_u32, 0);
    for seed in seeds {
        match seeds::run(seed, options) {
            Ok(passed) => steps += passed.steps,
            failed => return conclude(failed.map(|passed| passed.steps)),
        }
        ran += 1;
        if steps >= steps_max {
            break;
        }
    }
    let seconds = begun.elapsed().as_secs_f64().max(0.001);
    let per_second = |count: f64| count / seconds;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let steps_per_second = per_second(steps as f64);
    println!(
        "{ran} seeds and {steps} steps in {seconds:.1} s: {:.0} seeds/s, {steps_per_second:.0} steps/s",
        per_second(f64::from(ran))
    );
    ExitCode::SUCCESS
}

fn conclude(result: Result<usize, Box<seeds::Failed>>) -> ExitCode {
    match result {
        Ok(steps) => {
            println!("passed: {steps} steps");
            ExitCode::SUCCESS
        }
        Err(failed) => {
            println!("{failed}");
            ExitCode::FAILURE
        }
    }
}
