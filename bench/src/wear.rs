//! Clusters made and deleted one after another in one region, then several at once: does it leave anything behind, does
//! it slow down, does it grow?

use crate::region::{Client, Parts, Region};
use crate::report::{surroundings, table};
use crate::running;
use crate::wait::Wait;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// Options.
#[derive(clap::Args)]
pub struct Args {
    /// How many clusters, one after another.
    #[arg(long)]
    pub runs: usize,
    /// How many clusters at once, afterwards.
    #[arg(long)]
    pub together: usize,
    /// The region.
    #[command(flatten)]
    pub parts: Parts,
}

/// What one cluster's life took, and what the region had after it.
struct Life {
    active: Duration,
    deleted: Duration,
    after: Traces,
}

/// What a region without clusters has.
struct Traces {
    /// Network namespaces, mounts and processes of machines: there should be none.
    left: usize,
    /// Open files of its two processes.
    descriptors: usize,
    /// Their memory, bytes (PSS).
    memory: u64,
    /// Its data, bytes.
    data: u64,
}

/// Runs it and prints what came out.
///
/// # Errors
/// Something is left behind.
pub fn run(args: &Args) -> Result<()> {
    ensure!(args.runs >= 2, "--runs must be at least 2");
    let wait = Wait::new()?;
    let surroundings = surroundings();
    let (lives, together) = Region::used(&args.parts, "the region", |region| live(region, &wait, args))?;
    println!("{} clusters made and deleted one after another in one region, {surroundings}.\n", lives.len());
    print!("{}", table(rows(&lives)));
    println!("\n{} at once: ACTIVE after {together} s", args.together);
    let left: usize = lives.iter().map(|life| life.after.left).sum();
    ensure!(left == 0, "{left} things were left behind");
    Ok(())
}

fn live(region: &mut Region<'_>, wait: &Wait, args: &Args) -> Result<(Vec<Life>, String)> {
    region.up()?;
    let mut client = region.client()?;
    client.tell(wait, "prepare")?;
    let mut lives = vec![];
    for n in 1..=args.runs {
        eprintln!("cluster {n} of {}", args.runs);
        let active = client.time(wait, "create")?;
        client.tell(wait, "answer")?;
        let deleted = client.time(wait, "delete")?;
        lives.push(Life { active, deleted, after: Traces::of(region)? });
    }
    let together = together(&mut client, wait, args.together)?;
    Ok((lives, together))
}

fn together(client: &mut Client, wait: &Wait, number: usize) -> Result<String> {
    let said = client.tell(wait, &format!("together {number}"))?;
    let seconds = said.as_array().into_iter().flatten().filter_map(Value::as_f64);
    Ok(seconds.map(|seconds| format!("{seconds:.1}")).collect::<Vec<_>>().join(", "))
}

impl Traces {
    fn of(region: &Region<'_>) -> Result<Traces> {
        let (data, cgroup) = (region.data(), region.cgroup()?);
        let own = running::ids_of(&data);
        let memory = own.iter().filter_map(|id| Some(running::look(*id).ok()?.share)).sum();
        let machines = running::of_region(&data, &cgroup)?.len().saturating_sub(own.len());
        let namespaces = running::networks(&cgroup).len();
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let mounts = mounts.lines().filter(|line| line.contains(&*data.to_string_lossy())).count();
        let descriptors = own.iter().map(|id| open_files(*id));
        Ok(Traces { left: machines + namespaces + mounts, descriptors: descriptors.sum(), memory, data: size(&data) })
    }
}

fn open_files(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().count()
}

fn size(folder: &Path) -> u64 {
    let all = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    all.map(|path| if path.is_dir() { size(&path) } else { fs::metadata(&path).map_or(0, |m| m.len()) }).sum()
}

/// The first, the middle and the last of them.
fn rows(lives: &[Life]) -> Vec<Vec<String>> {
    let heads = ["cluster", "ACTIVE s", "deleted s", "left behind", "descriptors", "memory MB", "data MB"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for n in BTreeSet::from([0, 1, lives.len() / 2, lives.len() - 2, lives.len() - 1]) {
        let Life { active, deleted, after } = &lives[n];
        rows.push(vec![
            (n + 1).to_string(),
            format!("{:.1}", active.as_secs_f64()),
            format!("{:.1}", deleted.as_secs_f64()),
            after.left.to_string(),
            after.descriptors.to_string(),
            (after.memory / 1_000_000).to_string(),
            format!("{}", after.data / 1_000_000),
        ]);
    }
    rows
}
