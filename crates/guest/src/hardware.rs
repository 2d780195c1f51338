//! What a node's programs see of its hardware: the texts of `/proc` and `/sys` for a computer that is a part of the host.
//! Pure, but for [`follow_memory`].
//!
//! A kubelet reads its node's capacity from these files and not from its cgroups. Processors keep the numbers that they
//! have on the host, because a kubelet writes the numbers that it sees into cpusets.

use anyhow::{Context as _, Result};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

/// Between two looks at how much memory is used.
const LOOK: Duration = Duration::from_secs(5);

/// Reads a list of processors as the kernel writes it: `0-3,8`. Ascending; `None` if it is no such list.
pub fn parse_cpus(list: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for range in list.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cpus.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Some(cpus)
}

/// A list of processors as the kernel reads it.
pub fn format_cpus(cpus: &[u32]) -> String {
    cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// The host's `/proc/cpuinfo` without the processors that the computer does not have.
pub fn cpuinfo(host: &str, cpus: &[u32]) -> String {
    let number = |block: &str| -> Option<u32> {
        let line = block.lines().find(|line| line.starts_with("processor"))?;
        line.split_once(':')?.1.trim().parse().ok()
    };
    let kept = host.split("\n\n").filter(|block| number(block).is_some_and(|n| cpus.contains(&n)));
    kept.map(|block| format!("{}\n\n", block.trim_matches('\n'))).collect()
}

/// What of a computer's memory is used, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All that is charged to it, files in memory included.
    pub used: u64,
    /// Files of disks, recently used: what the kernel takes back last.
    pub active_file: u64,
    /// Files of disks, not used lately.
    pub inactive_file: u64,
    /// Files that are nowhere but in memory.
    pub shmem: u64,
    /// Of the kernel's own, what it gives back when asked to.
    pub reclaimable: u64,
}

impl Usage {
    /// Reads what the cgroups of this computer, mounted at `top`, say.
    pub fn read(top: &Path) -> Result<Usage> {
        let legacy = top.join("memory");
        let (folder, current, prefix) = match legacy.join("memory.usage_in_bytes").exists() {
            true => (legacy.as_path(), "memory.usage_in_bytes", "total_"),
            false => (top, "memory.current", ""),
        };
        let read = |file: &str| {
            let path = folder.join(file);
            fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
        };
        Ok(Usage::parse(&read(current)?, &read("memory.stat")?, prefix))
    }

    /// `prefix` begins the names of what a cgroup and those below it use together: version 1 tells both.
    fn parse(current: &str, stat: &str, prefix: &str) -> Usage {
        let value = |name: &str| {
            let rest = |line: &str| line.strip_prefix(prefix)?.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
            stat.lines().find_map(rest).unwrap_or(0)
        };
        Usage {
            used: current.trim().parse().unwrap_or(0),
            active_file: value("active_file"),
            inactive_file: value("inactive_file"),
            shmem: value("shmem"),
            reclaimable: value("slab_reclaimable"),
        }
    }
}

/// `/proc/meminfo` of a computer with `total` bytes of memory and no swap. Texts of the same `total` are equally long, so
/// that one can be written over another, and no reader finds half a file.
pub fn meminfo(total: u64, usage: Usage) -> String {
    let Usage { active_file, inactive_file, shmem, reclaimable, .. } = usage;
    let used = usage.used.min(total);
    let (free, files) = (total - used, active_file + inactive_file);
    let lines = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", (free + files + reclaimable).min(total)),
        ("Buffers", 0),
        ("Cached", (files + shmem).min(used)),
        ("SwapCached", 0),
        ("Active", active_file),
        ("Inactive", inactive_file),
        ("Active(file)", active_file),
        ("Inactive(file)", inactive_file),
        ("Unevictable", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Shmem", shmem),
        ("SReclaimable", reclaimable),
    ];
    let line = |(name, bytes): (&str, u64)| format!("{:<15} {:>10} kB\n", format!("{name}:"), bytes >> 10);
    lines.into_iter().map(line).collect()
}

/// Keeps the text of [`meminfo`] in `file` true for as long as the process lives, by the cgroups mounted at `top`. Without
/// such a file there is nothing to do.
pub(crate) fn follow_memory(file: &'static Path, top: &'static Path) -> Result<()> {
    let Ok(text) = fs::read_to_string(file) else { return Ok(()) };
    let total = total(&text).with_context(|| format!("{} does not say how much memory there is", file.display()))?;
    let write = move || -> Result<()> {
        let text = meminfo(total, Usage::read(top)?);
        Ok(OpenOptions::new().write(true).open(file)?.write_all_at(text.as_bytes(), 0)?)
    };
    let follow = move || {
        loop {
            // What cannot be read now may be later, and figures of before are better than none.
            let _ = write();
            std::thread::sleep(LOOK);
        }
    };
    std::thread::Builder::new().name("meminfo".into()).stack_size(64 << 10).spawn(follow)?;
    Ok(())
}

/// Bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read_and_written() {
        assert_eq!(parse_cpus("0-2,8\n"), Some(vec![0, 1, 2, 8]));
        assert_eq!(parse_cpus("3,1-2"), Some(vec![1, 2, 3]));
        assert_eq!(parse_cpus("\n"), Some(vec![]));
        assert_eq!(parse_cpus("0-x"), None);
        assert_eq!(format_cpus(&[0, 2]), "0,2");
    }

    #[test]
    fn a_node_sees_its_own_processors_under_their_numbers() {
        let block = |n: u32| format!("processor\t: {n}\nvendor_id\t: X\ncore id\t\t: {n}\n\n");
        let host: String = (0..3).map(block).collect();
        assert_eq!(cpuinfo(&host, &[0, 2]), block(0) + &block(2));
    }

    #[test]
    fn memory_that_files_take_is_available() {
        let stat = "cache 1\ninactive_file 1\ntotal_cache 9000\ntotal_inactive_file 2048\ntotal_active_file 1024\n";
        let one = Usage::parse("8192\n", stat, "total_");
        assert_eq!(one, Usage { used: 8192, inactive_file: 2048, active_file: 1024, ..Usage::default() });
        let two = Usage::parse("8192\n", "file 9\ninactive_file 2048\nactive_file 1024\nslab_reclaimable 7\n", "");
        assert_eq!(two, Usage { reclaimable: 7, ..one });
        let text = meminfo(16 << 10, one);
        for line in ["MemTotal:               16 kB", "MemFree:                 8 kB", "MemAvailable:           11 kB"]
        {
            assert!(text.lines().any(|l| l == line), "{text}");
        }
        let full = Usage { used: 1 << 40, ..Usage::default() };
        assert_eq!(meminfo(16 << 10, full).len(), text.len());
        assert!(meminfo(16 << 10, full).contains("MemFree:                 0 kB"));
        assert_eq!(total(&text), Some(16 << 10));
    }
}
