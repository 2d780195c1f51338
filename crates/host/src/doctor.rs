//! Can this machine run a region? Each check says what was found and, where it does not do, what to do.

use crate::{machine, room};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use roadstead_bpf::flows::Flows;
use std::fmt;
use std::fs;
use std::path::Path;

/// What a check found, and what to do about it.
pub enum Finding {
    /// It will do.
    Good(String),
    /// It will do, with a restriction.
    Poor(String, &'static str),
    /// It will not do.
    Bad(String, &'static str),
}

/// Memory that one cluster takes at rest (measured: 0.8 GB), doubled.
const MEMORY_MIN: u64 = 1600 << 20;
/// Room for the components (1 GB) and a few clusters.
const DISK_MIN: u64 = 4 << 30;
/// inotify instances: a kubelet and its containerd take some ten, and 128 is the kernel's default.
const INOTIFY_MIN: u64 = 512;
/// File descriptors of the host agent.
const DESCRIPTORS_MIN: u64 = 4096;

/// Checks everything that a region needs whose data are to stand at `data` and whose programs at `programs`.
pub fn examine(data: &Path, programs: &Path) -> Vec<(&'static str, Finding)> {
    vec![
        ("root", root()),
        ("programs", tools()),
        ("kernel", kernel()),
        ("cgroups", cgroups()),
        ("memory", memory()),
        ("disk", disk(data)),
        ("flows", flows()),
        ("inotify", inotify()),
        ("descriptors", descriptors()),
        ("nodes", nodes(data)),
        ("components", components(programs)),
    ]
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Good(found) => write!(f, "ok    {found}"),
            Finding::Poor(found, remedy) => write!(f, "poor  {found}; {remedy}"),
            Finding::Bad(found, remedy) => write!(f, "BAD   {found}; {remedy}"),
        }
    }
}

fn root() -> Finding {
    match nix::unistd::geteuid().is_root() {
        true => Finding::Good("running as root".into()),
        false => Finding::Bad("not root".into(), "run `roadstead up` with sudo"),
    }
}

fn tools() -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect();
    let missing: Vec<_> =
        ["nft", "conntrack"].into_iter().filter(|p| !folders.iter().any(|f| f.join(p).is_file())).collect();
    match missing.as_slice() {
        [] => Finding::Good("nft, conntrack".into()),
        some => Finding::Bad(format!("missing: {}", some.join(", ")), "install the packages nftables and conntrack"),
    }
}

fn kernel() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let missing: Vec<_> = ["/proc/self/ns/net", "/proc/self/ns/cgroup", "/proc/sys/net/ipv4/ip_forward"]
        .into_iter()
        .filter(|p| !Path::new(p).exists())
        .collect();
    match missing.as_slice() {
        [] => Finding::Good(format!("Linux {}", release.trim())),
        some => {
            Finding::Bad(format!("Linux {} has no {}", release.trim(), some.join(", ")), "use a kernel with namespaces")
        }
    }
}

/// What makes packets quick, and nothing else.
fn flows() -> Finding {
    match Flows::new() {
        Ok(_) => Finding::Good("go straight through routers and nodes once they are known".into()),
        Err(why) => Finding::Poor(
            format!("the kernel takes no programs for packets: {why}"),
            "every packet is routed and asked of rules: use Linux 6.6 or newer, as root",
        ),
    }
}

fn cgroups() -> Finding {
    let controllers = match machine::cgroup_controllers() {
        Ok(controllers) => controllers,
        Err(error) => return Finding::Bad(format!("{error:#}"), "no machine runs without"),
    };
    match ["cpu", "memory", "pids"].into_iter().filter(|c| !controllers.contains(*c)).collect::<Vec<_>>().as_slice() {
        [] => Finding::Good("version 2 is mounted; cpu, memory and pids can be limited".into()),
        some => Finding::Bad(format!("no controller {}", some.join(", ")), "enable them in the kernel, or mount them"),
    }
}

fn memory() -> Finding {
    let free = room::available_memory().unwrap_or(0);
    let found = format!("{} MB available", free >> 20);
    match free >= MEMORY_MIN {
        true => Finding::Good(found),
        false => Finding::Bad(found, "a cluster takes 0.8 GB at rest and more while it starts: free 1.6 GB"),
    }
}

fn disk(data: &Path) -> Finding {
    let place = data.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let free = statvfs(place).map(|s| s.blocks_available() * s.fragment_size()).unwrap_or(0);
    let found = format!("{} GB free at {}", free >> 30, data.display());
    match free >= DISK_MIN {
        true => Finding::Good(found),
        false => Finding::Bad(found, "free 4 GB, or name another --data-dir"),
    }
}

fn inotify() -> Finding {
    let text = fs::read_to_string("/proc/sys/fs/inotify/max_user_instances").unwrap_or_default();
    let limit: u64 = text.trim().parse().unwrap_or(0);
    let found = format!("{limit} instances");
    match limit >= INOTIFY_MIN {
        true => Finding::Good(found),
        false => Finding::Poor(found, "several nodes exhaust them: sysctl -w fs.inotify.max_user_instances=8192"),
    }
}

/// What nodes need beyond what clusters do.
fn nodes(data: &Path) -> Finding {
    let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let controllers = machine::cgroup_controllers().unwrap_or_default();
    let place = data.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let on_overlay = statfs(place).is_ok_and(|fs| fs.filesystem_type() == OVERLAYFS_SUPER_MAGIC);
    if !known.lines().any(|line| line.trim_start_matches("nodev").trim() == "overlay") {
        return Finding::Poor("no overlay file system".into(), "no node runs containers without: modprobe overlay");
    }
    if on_overlay {
        let found = format!("{} is on an overlay file system", place.display());
        return Finding::Poor(found, "no node runs containers there: name a --data-dir on ext4 or xfs");
    }
    if !controllers.contains("cpuset") {
        return Finding::Poor("no controller cpuset".into(), "no node starts without: enable it, or mount it");
    }
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Finding::Good(format!("overlay file systems, cpusets; instance types of up to {processors} vCPUs"))
}

fn descriptors() -> Finding {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map(|(_, hard)| hard).unwrap_or(0);
    let found = format!("{limit} file descriptors");
    match limit >= DESCRIPTORS_MIN {
        true => Finding::Good(found),
        false => Finding::Poor(found, "raise `ulimit -n` to 4096 or more"),
    }
}

fn components(folder: &Path) -> Finding {
    let wanted =
        ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "containerd", "runc", "kubelet"];
    let sets: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    let missing: Vec<_> = wanted.into_iter().filter(|p| !sets.iter().any(|s| s.join(p).is_file())).collect();
    let place = folder.display();
    match missing.as_slice() {
        [] => Finding::Good(format!("in {place}")),
        some => Finding::Poor(
            format!("not in {place}: {}", some.join(", ")),
            "build them with `cargo xtask components`; clusters and nodes wait for them",
        ),
    }
}
