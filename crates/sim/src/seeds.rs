//! Chance tries everything: a seed is a schedule of acts and faults, and an order in which all else happens.

use crate::checks::Violation;
use crate::fault::Act;
use crate::rng::Rng;
use crate::setup::Ground;
use crate::world::World;
use roadstead_types::Millis;
use std::any::Any;
use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZero;
use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// How much happens under one seed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Acts and faults, at most.
    pub acts: usize,
    /// Within this time.
    pub span: Millis,
    /// The first cluster has a node group, and most of it concerns nodes.
    pub nodes: bool,
}

impl Options {
    /// Nodes: what takes minutes there has the time to.
    pub fn nodes() -> Options {
        Options { acts: 10, span: Millis::mins(40), nodes: true }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options { acts: 12, span: Millis::mins(3), nodes: false }
    }
}

/// What a seed did, or many of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// How many seeds.
    pub seeds: u64,
    /// How many things happened.
    pub steps: u64,
}

/// A seed under which a rule was broken.
#[derive(Debug)]
pub struct Failed {
    /// The seed.
    pub seed: u64,
    /// The rule.
    pub violation: Violation,
    /// The fewest acts under which it is still broken: their numbers and when, for people.
    pub acts: Vec<(usize, Millis, Act)>,
    /// What happened last.
    pub log: String,
    /// It is one of [`Options::nodes`].
    pub nodes: bool,
}

/// What is done, and when, from the beginning of the world.
type Schedule = Vec<(usize, Millis, Act)>;

/// Runs a seed.
pub fn run(seed: u64, options: &Options) -> Result<Passed, Box<Failed>> {
    let schedule = schedule(seed, options);
    match attempt(seed, &schedule) {
        Ok(passed) => Ok(passed),
        Err((violation, _)) => Err(Box::new(shrink(seed, schedule, violation, options.nodes))),
    }
}

/// Runs these seeds, on so many threads, and stops before its end once so many steps were taken. Of those that fail the
/// lowest is told, whatever threads there are: seeds begin in their order, and all below a failed one are run to the end.
#[expect(clippy::disallowed_methods, reason = "a world is one thread, and seeds know nothing of each other")]
pub fn run_all(
    seeds: Range<u64>,
    steps_max: u64,
    threads: NonZero<usize>,
    options: &Options,
) -> Result<Passed, Box<Failed>> {
    let (next, steps) = (AtomicU64::new(seeds.start), AtomicU64::new(0));
    let failed = AtomicU64::new(u64::MAX);
    let work = || {
        let mut passed = 0;
        while steps.load(Ordering::Relaxed) < steps_max {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || seed > failed.load(Ordering::Relaxed) {
                break;
            }
            match attempt(seed, &schedule(seed, options)) {
                Ok(one) => {
                    passed += one.seeds;
                    steps.fetch_add(one.steps, Ordering::Relaxed);
                }
                Err(_) => drop(failed.fetch_min(seed, Ordering::Relaxed)),
            }
        }
        passed
    };
    let passed = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.get()).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().expect("a seed's panic is caught")).sum()
    });
    match failed.into_inner() {
        // Again, to be shrunk.
        seed if seed < u64::MAX => run(seed, options),
        _ => Ok(Passed { seeds: passed, steps: steps.into_inner() }),
    }
}

/// Runs only these acts of a seed, by their numbers.
pub fn replay(seed: u64, options: &Options, only: &BTreeSet<usize>) -> Result<Passed, Box<Failed>> {
    let mut acts = schedule(seed, options);
    acts.retain(|(n, _, _)| only.contains(n));
    let failed = |(violation, log)| Box::new(Failed { seed, violation, acts: acts.clone(), log, nodes: options.nodes });
    attempt(seed, &acts).map_err(failed)
}

fn schedule(seed: u64, options: &Options) -> Schedule {
    let mut rng = Rng::seeded(seed ^ 0x5eed);
    let mut acts = vec![(Millis(0), Act::Create("a", Ground::Wide))];
    if options.nodes {
        acts.push((Millis::secs(60), Act::CreateNodegroup("n", 2)));
    }
    let many = 1 + rng.below(options.acts);
    while acts.len() < many {
        let at = rng.span(Millis(0), options.span);
        let next = if options.nodes { Act::any_of_nodes(&mut rng) } else { Act::any(&mut rng) };
        acts.extend(next.into_iter().map(|(after, act)| (at + after, act)));
    }
    acts.sort_by_key(|(at, _)| *at);
    acts.into_iter().enumerate().map(|(n, (at, act))| (n, at, act)).collect()
}

/// A world, its acts, its healing, its end.
fn attempt(seed: u64, schedule: &Schedule) -> Result<Passed, (Violation, String)> {
    let lived = catch_unwind(|| {
        let mut world = World::new(seed);
        live(&mut world, schedule).map_err(|violation| (violation, world.log().to_string()))?;
        Ok(Passed { seeds: 1, steps: world.steps })
    });
    lived.unwrap_or_else(|panic| Err((panicked(&*panic), String::new())))
}

fn panicked(panic: &(dyn Any + Send)) -> Violation {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    Violation { check: "nothing-panics", what: text.unwrap_or_default(), at: Millis(0) }
}

fn live(world: &mut World, schedule: &Schedule) -> Result<(), Violation> {
    let start = world.now();
    for (_, at, act) in schedule {
        world.try_run_until(start + *at)?;
        world.say(format!("> {act}"));
        act.perform(world);
    }
    world.heal();
    world.try_rest()?;
    world.check_rest()?;
    for (cluster, name) in world.nodegroups() {
        drop(world.try_delete_nodegroup(&cluster, &name));
    }
    world.try_rest()?;
    let names: Vec<String> = world.clusters().into_iter().map(|cluster| cluster.spec.name).collect();
    for name in &names {
        world.delete_cluster(name);
    }
    world.try_rest()?;
    world.delete_other_subnets()?;
    world.check_empty()
}

/// Leaves out one act after the other, as long as the same rule is still broken.
fn shrink(seed: u64, mut acts: Schedule, mut violation: Violation, nodes: bool) -> Failed {
    let mut log = String::new();
    let mut n = 0;
    while n < acts.len() {
        let mut fewer = acts.clone();
        fewer.remove(n);
        match attempt(seed, &fewer) {
            Err((other, text)) if other.check == violation.check => (acts, violation, log) = (fewer, other, text),
            _ => n += 1,
        }
    }
    if log.is_empty() {
        log = attempt(seed, &acts).err().map(|(_, text)| text).unwrap_or_default();
    }
    Failed { seed, violation, acts, log, nodes }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} breaks {}", self.seed, self.violation)?;
        writeln!(f, "\nwhat happened last:{}", self.log)?;
        writeln!(f, "\nwhat it takes:")?;
        for (n, at, act) in &self.acts {
            writeln!(f, "  {n:>3}  {at:>10}  {act}")?;
        }
        let numbers: Vec<String> = self.acts.iter().map(|(n, _, _)| n.to_string()).collect();
        let nodes = if self.nodes { " --nodes" } else { "" };
        write!(f, "\nreplay: sim --seed {}{nodes} --only {}", self.seed, numbers.join(","))
    }
}
