//! Runs seeds: `sim --seeds 1000`, or one again: `sim --seed 42 --only 0,3`.

#![expect(clippy::print_stdout, reason = "a command line talks")]

use clap::Parser;
use roadstead_sim::seeds::{self, Options, Passed};
use std::collections::BTreeSet;
use std::num::NonZero;
use std::process::ExitCode;
use std::thread::available_parallelism;
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
    /// Seeds in which nodes come and go.
    #[arg(long)]
    nodes: bool,
    /// Stops after so many steps, in seeds that pass.
    #[arg(long)]
    steps: Option<u64>,
    /// How many seeds run side by side; as many as there are processors unless said otherwise.
    #[arg(long)]
    threads: Option<NonZero<usize>>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let options = if args.nodes { Options::nodes() } else { Options::default() };
    if let (Some(seed), Some(only)) = (args.seed, &args.only) {
        let only: BTreeSet<usize> = only.iter().copied().collect();
        return conclude(seeds::replay(seed, &options, &only));
    }
    let seeds = args.seed.map_or(args.from..args.from + args.seeds, |seed| seed..seed + 1);
    run(seeds, &args, &options)
}

#[expect(clippy::disallowed_methods, reason = "measures how fast the simulator is, which no result hangs on")]
fn run(seeds: std::ops::Range<u64>, args: &Args, options: &Options) -> ExitCode {
    let begun = Instant::now();
    let threads = args.threads.or_else(|| available_parallelism().ok()).unwrap_or(NonZero::<usize>::MIN);
    let passed = match seeds::run_all(seeds, args.steps.unwrap_or(u64::MAX), threads, options) {
        Ok(passed) => passed,
        failed => return conclude(failed),
    };
    let seconds = begun.elapsed().as_secs_f64().max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let per_second = |count: u64| count as f64 / seconds;
    println!(
        "{} seeds and {} steps in {seconds:.1} s on {threads} threads: {:.0} seeds/s, {:.0} steps/s",
        passed.seeds,
        passed.steps,
        per_second(passed.seeds),
        per_second(passed.steps)
    );
    ExitCode::SUCCESS
}

fn conclude(result: Result<Passed, Box<seeds::Failed>>) -> ExitCode {
    match result {
        Ok(passed) => {
            println!("passed: {} steps", passed.steps);
            ExitCode::SUCCESS
        }
        Err(failed) => {
            println!("{failed}");
            ExitCode::FAILURE
        }
    }
}
