//! What runs: whose processes there are, their memory, their flags, as /proc tells it.

use anyhow::{Context as _, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

/// Ticks of the processor time that /proc counts in, a second (proc(5): `sysconf(_SC_CLK_TCK)`, 100 on Linux).
const TICKS: f64 = 100.0;

/// A process.
#[derive(Clone)]
pub struct Running {
    /// Its number.
    id: u32,
    /// The file name of what it runs, and its subcommand if it has one.
    pub program: String,
    /// Its flags.
    flags: Vec<String>,
    /// Its proportional share of memory, bytes: what it shares with others is counted once among them (proc(5)).
    pub share: u64,
    /// Processor time so far, seconds.
    processor: f64,
}

/// Looks at a process.
///
/// # Errors
/// It is gone, or belongs to somebody else.
pub fn look(process: u32) -> Result<Running> {
    let folder = Path::new("/proc").join(process.to_string());
    let gone = || format!("looking at process {process}");
    let program = fs::read_link(folder.join("exe")).with_context(gone)?;
    let memory = fs::read_to_string(folder.join("smaps_rollup")).with_context(gone)?;
    let share = memory.lines().find_map(|line| line.strip_prefix("Pss:")?.strip_suffix("kB"));
    let flags: Vec<_> = command_line(&folder)?.into_iter().skip(1).collect();
    let name = program.file_name().unwrap_or_default().display();
    let subcommand = flags.first().filter(|flag| !flag.starts_with('-'));
    Ok(Running {
        id: process,
        processor: processor(&folder).with_context(gone)?,
        program: subcommand.map_or_else(|| name.to_string(), |subcommand| format!("{name} {subcommand}")),
        flags,
        share: share.with_context(gone)?.trim().parse::<u64>()? * 1024,
    })
}

/// User and system time, the 14th and 15th field of /proc/PID/stat; the second may hold spaces, in parentheses.
fn processor(folder: &Path) -> Result<f64> {
    let text = fs::read_to_string(folder.join("stat"))?;
    let (_, fields) = text.rsplit_once(')').context("no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / TICKS)
}

/// How long a process has run, by the 22nd field of /proc/PID/stat: ticks since the machine was booted.
///
/// # Errors
/// It is gone.
pub fn age(process: i32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, fields) = text.rsplit_once(')').context("no name")?;
    let started: f64 = fields.split_whitespace().nth(19).context("no start")?.parse()?;
    let uptime = fs::read_to_string("/proc/uptime")?;
    let uptime: f64 = uptime.split_whitespace().next().context("no uptime")?.parse()?;
    Ok(Duration::from_secs_f64((uptime - started / TICKS).max(0.0)))
}

/// Parts of one processor that those of `after` whose program is so used since `before`.
pub fn used(before: &[Running], after: &[Running], over: Duration, which: impl Fn(&str) -> bool) -> f64 {
    let since = |now: &Running| Some(now.processor - before.iter().find(|then| then.id == now.id)?.processor);
    let seconds: f64 = after.iter().filter(|running| which(&running.program)).filter_map(since).sum();
    seconds / over.as_secs_f64()
}

/// The processes of a region: those that name its data directory, and those in the cgroups of its machines.
///
/// # Errors
/// /proc can't be read.
pub fn of_region(data: &Path, cgroup: &str) -> Result<Vec<Running>> {
    let mut found = vec![];
    for entry in fs::read_dir("/proc")? {
        let path = entry?.path();
        let Some(process) = path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) else { continue };
        // What ends meanwhile is not at rest, and not counted.
        let cgroups = fs::read_to_string(path.join("cgroup")).unwrap_or_default();
        let names_data = || command_line(&path).is_ok_and(|argv| argv.iter().any(|a| Path::new(a) == data));
        if cgroups.contains(cgroup) || names_data() {
            found.extend(look(process));
        }
    }
    Ok(found)
}

/// The ids of all processes.
pub fn ids<N: FromStr>() -> impl Iterator<Item = N> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The names of the network namespaces of a region's networks, by what the paths of its machines' cgroups contain.
pub fn networks(cgroup: &str) -> Vec<String> {
    let prefix = format!("{}-", cgroup.trim_matches('/').trim_start_matches("roadstead/"));
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.starts_with(&prefix)).collect()
}

/// Runs it on a thread of its own in the network namespace: sockets that it opens stay there.
///
/// # Errors
/// There is no such namespace, or what `work` says.
pub fn inside<T: Send>(namespace: &Path, work: impl FnOnce() -> io::Result<T> + Send) -> Result<T> {
    let file = File::open(namespace).with_context(|| format!("the namespace {}", namespace.display()))?;
    let enter = move || {
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
        work()
    };
    let done = thread::scope(|scope| scope.spawn(enter).join().expect("it returns its errors"));
    Ok(done?)
}

/// Process ids of a region's own parts: those that name its data directory.
pub fn ids_of(data: &Path) -> Vec<u32> {
    let names = |id: &u32| {
        let argv = command_line(&Path::new("/proc").join(id.to_string())).unwrap_or_default();
        argv.iter().any(|argument| Path::new(argument) == data)
    };
    ids().filter(names).collect()
}

/// How many processes of anybody's control planes there are.
pub fn others() -> usize {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let programs = processes.filter_map(|entry| fs::read_link(entry.path().join("exe")).ok());
    let known = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];
    programs.filter(|path| known.iter().any(|name| path.file_name().is_some_and(|program| program == *name))).count()
}

fn command_line(folder: &Path) -> Result<Vec<String>> {
    let text = String::from_utf8_lossy(&fs::read(folder.join("cmdline"))?).into_owned();
    Ok(text.split_terminator('\0').map(str::to_owned).collect())
}

/// Number and memory (bytes) of the processes of each program.
pub fn by_program(running: &[Running]) -> BTreeMap<&str, (usize, u64)> {
    let mut programs = BTreeMap::new();
    for process in running {
        let (count, share) = programs.entry(process.program.as_str()).or_insert((0, 0));
        *count += 1;
        *share += process.share;
    }
    programs
}

/// Flags that say who a process is or where it listens, which must differ.
const ITS_OWN: &[&str] = &["--name", "--initial-cluster-token", "--secure-port", "--bind-address"];

/// How the flags of programs that run on both sides differ, but for places and addresses; a sentence for each.
pub fn differences(floor: &[Running], ours: &[Running]) -> Vec<String> {
    let (floor, ours) = (flags_by_program(floor), flags_by_program(ours));
    let mut found = vec![];
    for (program, floor) in floor {
        let Some(ours) = ours.get(program) else { continue };
        found.extend(floor.difference(ours).map(|flag| format!("{program}: only the floor has {flag}")));
        found.extend(ours.difference(&floor).map(|flag| format!("{program}: only ours has {flag}")));
    }
    found
}

fn flags_by_program(running: &[Running]) -> BTreeMap<&str, BTreeSet<String>> {
    let mut programs: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for process in running {
        let flags = process.flags.iter().filter_map(|flag| comparable(flag));
        programs.entry(process.program.as_str()).or_default().extend(flags);
    }
    programs
}

/// The flag, without its value where that is a place or an address.
fn comparable(flag: &str) -> Option<String> {
    let (name, value) = flag.split_once('=').unwrap_or((flag, ""));
    let is_place = value.contains('/') || value.parse::<IpAddr>().is_ok();
    match (ITS_OWN.contains(&name), is_place) {
        (true, _) => None,
        (false, true) => Some(format!("{name}=…")),
        (false, false) => Some(flag.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(program: &str, flags: &[&str], share: u64) -> Running {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Running { id: 1, program: program.into(), flags, share, processor: 0.0 }
    }

    #[test]
    fn flags_differ_by_what_they_say_not_by_where_things_stand() {
        let floor =
            [running("etcd", &["--name=a", "--data-dir=/a", "--quota=8", "--auth"], 1), running("go", &["--x"], 1)];
        let ours = [running("etcd", &["--name=b", "--data-dir=/b", "--quota=9", "--auth"], 1)];
        assert_eq!(differences(&floor, &ours), ["etcd: only the floor has --quota=8", "etcd: only ours has --quota=9"]);
    }

    #[test]
    fn this_process_is_seen() {
        let me = look(std::process::id()).unwrap();
        assert!(me.program.starts_with("bench-") && me.share > 1 << 20, "{} {}", me.program, me.share);
    }

    #[test]
    fn processor_time_is_what_was_used_meanwhile() {
        let before = [running("etcd", &[], 1), Running { id: 2, processor: 4.0, ..running("serve", &[], 1) }];
        let mut after = before.to_vec();
        (after[0].processor, after[1].processor) = (0.5, 5.0);
        after.push(Running { id: 3, processor: 9.0, ..running("etcd", &[], 1) });
        assert_eq!(used(&before, &after, Duration::from_secs(10), |program| program == "etcd"), 0.05);
    }

    #[test]
    fn memory_is_summed_by_program() {
        let all = [running("etcd", &[], 1), running("etcd", &[], 2), running("kcm", &[], 4)];
        assert_eq!(by_program(&all), BTreeMap::from([("etcd", (2, 3)), ("kcm", (1, 4))]));
    }
}
