//! Prints how a region does with one cluster, and with very many: `crowd --clusters 10000`.

#![expect(clippy::print_stdout, reason = "a command line talks")]
#![expect(clippy::disallowed_methods, reason = "measures how fast the region is, which no result hangs on")]

use clap::Parser;
use roadstead_sim::crowd::Crowd;
use roadstead_types::Millis;
use std::time::{Duration, Instant};

/// Fills a region with clusters in virtual time, and measures it on the way.
#[derive(Parser)]
#[command(name = "crowd")]
struct Args {
    /// Measures are taken when there are so many clusters.
    #[arg(long, value_delimiter = ',', default_value = "1,500,10000")]
    clusters: Vec<usize>,
}

/// Each measure is the median of so many.
const TIMES: usize = 31;

fn main() {
    let mut args = Args::parse();
    args.clusters.sort_unstable();
    println!("Plans that ran, and the time that the region itself took (median of {TIMES}):\n");
    println!(
        "| clusters | DescribeCluster us | ListClusters us | CreateCluster to ACTIVE: plans | ms | a machine unready and ready again: plans | ms | an hour of rest: plans | ms |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut crowd = Crowd::new();
    for clusters in args.clusters {
        while crowd.len() < clusters {
            crowd.add();
        }
        println!("{}", row(&mut crowd));
    }
}

fn row(crowd: &mut Crowd) -> String {
    let clusters = crowd.len();
    let describe = median(|| drop(crowd.describe(clusters / 2).expect("it is there")));
    let list = median(|| drop(crowd.list(None).expect("they are there")));
    let mut healed = Default::default();
    let heal = median(|| healed = crowd.disturb());
    let mut rested = Default::default();
    let rest = time(|| rested = crowd.idle(Millis::mins(60)));
    let mut added = Default::default();
    let add = median(|| added = crowd.add());
    let (micros, millis) = (|span: Duration| span.as_secs_f64() * 1e6, |span: Duration| span.as_secs_f64() * 1e3);
    format!(
        "| {clusters} | {:.1} | {:.1} | {} | {:.2} | {} | {:.2} | {} | {:.2} |",
        micros(describe),
        micros(list),
        added.plans,
        millis(add),
        healed.plans,
        millis(heal),
        rested.plans,
        millis(rest)
    )
}

fn median(mut act: impl FnMut()) -> Duration {
    let mut all: Vec<Duration> = (0..TIMES).map(|_| time(&mut act)).collect();
    all.sort_unstable();
    all[TIMES / 2]
}

fn time(act: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    act();
    begun.elapsed()
}
