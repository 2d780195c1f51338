//! Cgroups of machines: `roadstead/MARK/ID` in every hierarchy of the host, with the machine's processes in its child
//! `machine`, which they see as the root. The limits stand on both: root inside may change its own, not its parent's,
//! and a program that sizes itself by its limit (Go's GOMAXPROCS) finds it.
//!
//! A node makes cgroups of its own below that, for its pods. Its processors are a cpuset, and its PID 1 lives in
//! `machine/init`.
//!
//! Two layouts are known: version 2 alone, and version 1 hierarchies for the controllers beside a version 2 one
//! (systemd's hybrid). Version 2 must be mounted in either case: by it processes are found and killed, all at once.

use super::devices;
use anyhow::{Context as _, Result, bail, ensure};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use roadstead_guest::hardware::{format_cpus, parse_cpus};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Seek as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const TOP: &str = "roadstead";
const INSIDE: &str = "machine";
/// In it: where a node's own processes are.
const INIT: &str = "init";
/// The kernel's default period of CPU bandwidth, microseconds.
const PERIOD: u64 = 100_000;
/// From SIGKILL until all is gone. What is in an uninterruptible sleep for longer has a sick disk under it.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a machine may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Thousandths of a CPU; 0 = all.
    pub cpu_millis: u32,
    /// Bytes; 0 = all.
    pub memory_bytes: u64,
    /// The processors of a node; none: it is no node, and may use all.
    pub cpus: Option<Vec<u32>>,
}

/// The hierarchies of the host.
#[derive(Debug)]
pub struct Cgroups {
    /// Where version 2 is mounted.
    unified: PathBuf,
    /// Where those of version 1 are, with their controllers.
    legacy: Vec<(PathBuf, Vec<String>)>,
    mark: String,
}

impl Cgroups {
    /// Those of this host, for the machines under `mark`.
    pub fn detect(mark: &str) -> Result<Cgroups> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").context("reading /proc/self/mountinfo")?;
        Cgroups::parse(&mounts, mark)
    }

    fn parse(mountinfo: &str, mark: &str) -> Result<Cgroups> {
        let (mut unified, mut legacy) = (None, Vec::<(PathBuf, Vec<String>)>::new());
        for line in mountinfo.lines() {
            // 36 35 98:0 ROOT POINT OPTIONS [tags] - TYPE SOURCE SUPEROPTIONS: proc_pid_mountinfo(5)
            let Some((mount, fs)) = line.split_once(" - ") else { continue };
            let Some(point) = mount.split(' ').nth(4).map(PathBuf::from) else { continue };
            let mut fs = fs.split(' ');
            match (fs.next(), fs.nth(1)) {
                (Some("cgroup2"), _) => unified = unified.or(Some(point)),
                (Some("cgroup"), Some(options)) => {
                    let known = |o: &&str| !matches!(*o, "rw" | "ro" | "none" | "xattr" | "clone_children");
                    let controllers: Vec<String> = options.split(',').filter(known).map(str::to_owned).collect();
                    if !legacy.iter().any(|(_, c)| *c == controllers) {
                        legacy.push((point, controllers));
                    }
                }
                _ => {}
            }
        }
        match unified {
            Some(unified) => Ok(Cgroups { unified, legacy, mark: mark.to_owned() }),
            None => bail!(
                "no cgroup version 2 hierarchy is mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified (make the folder first)"
            ),
        }
    }

    /// The controllers by which machines can be limited, of either version.
    pub fn controllers(&self) -> Result<BTreeSet<String>> {
        let file = self.unified.join("cgroup.controllers");
        let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        let legacy = self.legacy.iter().flat_map(|(_, controllers)| controllers.iter().cloned());
        Ok(text.split_whitespace().map(str::to_owned).chain(legacy).collect())
    }

    /// Makes the cgroups of a machine, empty, and returns the folders that its first process must join.
    pub fn create(&self, id: &str, limits: &Limits) -> Result<Vec<PathBuf>> {
        let mut join = Vec::new();
        for (base, controllers) in &self.legacy {
            let folder = base.join(TOP).join(&self.mark).join(id);
            make_legacy(base, &folder, controllers)?;
            limit_legacy(&folder, controllers, limits)?;
            let inside = folder.join(INSIDE);
            make_legacy(base, &inside, controllers)?;
            limit_legacy(&inside, controllers, limits)?;
            join.push(inside);
        }
        let folder = self.folder(id);
        let inside = folder.join(INSIDE);
        make_unified(&self.unified, &inside)?;
        limit_unified(&folder, limits)?;
        limit_unified(&inside, limits)?;
        if limits.cpus.is_some() {
            make(&inside.join(INIT))?;
            if let Err(why) = devices::limit(&folder) {
                tracing::warn!(machine = id, "its privileged containers may use any device of this host: {why:#}");
            }
        }
        join.push(inside);
        Ok(join)
    }

    /// Where a node's PID 1 is: below its root, which stays free of processes.
    pub fn init(&self, id: &str) -> PathBuf {
        self.folder(id).join(INSIDE).join(INIT)
    }

    /// Chooses the host's processors for a node: those that the fewest machines have.
    ///
    /// # Errors
    /// The host has fewer, or no cpusets.
    pub fn choose(&self, count: u32) -> Result<Vec<u32>> {
        let (base, file) = self.cpusets()?;
        let path = base.join(file);
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let all = parse_cpus(&text).with_context(|| format!("{} is no list of processors", path.display()))?;
        let count = usize::try_from(count).unwrap_or(usize::MAX).max(1);
        ensure!(
            count <= all.len(),
            "its type has {count} processors and this host {}: choose a smaller type, or a host with more",
            all.len()
        );
        let taken: Vec<u32> = machines(&base.join(TOP)).iter().flat_map(|machine| own_cpus(machine, &all)).collect();
        let mut by_load = all;
        by_load.sort_by_key(|cpu| (taken.iter().filter(|taken| *taken == cpu).count(), *cpu));
        by_load.truncate(count);
        by_load.sort_unstable();
        Ok(by_load)
    }

    /// The hierarchy of cpusets, and the file in it that says which processors there are.
    fn cpusets(&self) -> Result<(&Path, &'static str)> {
        if let Some((base, _)) = self.legacy.iter().find(|(_, controllers)| controllers.iter().any(|c| c == "cpuset")) {
            return Ok((base, "cpuset.cpus"));
        }
        ensure!(
            self.controllers()?.contains("cpuset"),
            "no node runs without the cpuset controller: enable or mount it"
        );
        Ok((&self.unified, "cpuset.cpus.effective"))
    }

    /// Ids of the machines that have cgroups.
    pub fn ids(&self) -> Vec<String> {
        let entries = fs::read_dir(self.unified.join(TOP).join(&self.mark)).into_iter().flatten().flatten();
        let folders = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
        folders.map(|e| e.file_name().to_string_lossy().into_owned()).collect()
    }

    /// Processes that are directly a machine's, not in a cgroup that it made itself.
    pub fn processes(&self, id: &str) -> Vec<i32> {
        let folders = [self.folder(id).join(INSIDE), self.init(id)];
        let texts = folders.map(|folder| fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default());
        texts.iter().flat_map(|text| text.lines()).filter_map(|line| line.parse().ok()).collect()
    }

    /// Lets those go on that somebody has frozen. By version 1 a frozen process does not even die when it is killed.
    pub fn thaw(&self, id: &str) {
        let freezers = self.legacy.iter().filter(|(_, controllers)| controllers.iter().any(|c| c == "freezer"));
        freezers.for_each(|(base, _)| thaw_tree(&base.join(TOP).join(&self.mark).join(id)));
    }

    /// Kills all processes of a machine and returns when the last is gone.
    pub fn kill(&self, id: &str) -> Result<()> {
        let folder = self.folder(id);
        let mut events = match File::open(folder.join("cgroup.events")) {
            Ok(events) => events,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("reading {}", folder.display())),
        };
        fs::write(folder.join("cgroup.kill"), "1").with_context(|| format!("killing all in {}", folder.display()))?;
        self.thaw(id);
        let deadline = Instant::now() + PATIENCE;
        while populated(&mut events)? {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            // The kernel says "priority data" when the file's text has changed: cgroup-v2.rst, "[Un]populated Notification".
            match poll(&mut [PollFd::new(events.as_fd(), PollFlags::POLLPRI)], timeout) {
                Ok(0) => bail!("processes in {} don't die; is a disk stuck?", folder.display()),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno).context("waiting for processes to end"),
            }
        }
        Ok(())
    }

    /// Removes the cgroups of a machine that has no process left, with those that it made in them.
    pub fn remove(&self, id: &str) -> Result<()> {
        let bases = self.legacy.iter().map(|(base, _)| base).chain([&self.unified]);
        bases.map(|base| base.join(TOP).join(&self.mark).join(id)).try_for_each(|folder| {
            remove_tree(&folder, Instant::now() + PATIENCE).with_context(|| format!("removing {}", folder.display()))
        })
    }

    /// Removes the mark's own cgroups, if no machine is in them.
    pub fn remove_mark(&self) {
        for base in self.legacy.iter().map(|(base, _)| base).chain([&self.unified]) {
            // Another region's may be beside it; then the outer one stays.
            let _ = fs::remove_dir(base.join(TOP).join(&self.mark));
            let _ = fs::remove_dir(base.join(TOP));
        }
    }

    fn folder(&self, id: &str) -> PathBuf {
        self.unified.join(TOP).join(&self.mark).join(id)
    }
}

fn populated(events: &mut File) -> Result<bool> {
    let mut text = String::new();
    events.rewind()?;
    match events.read_to_string(&mut text) {
        Ok(_) => Ok(!text.contains("populated 0")),
        Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => Ok(false),
        Err(error) => Err(error).context("reading cgroup.events"),
    }
}

/// Makes `folder` and those above it below `base`. A new cpuset is empty and takes no process: it is its parent's.
fn make_legacy(base: &Path, folder: &Path, controllers: &[String]) -> Result<()> {
    for path in steps(base, folder) {
        make(&path)?;
        if controllers.iter().any(|c| c == "cpuset") {
            for file in ["cpuset.cpus", "cpuset.mems"] {
                let parent = path.parent().context("a cgroup is in another")?.join(file);
                let text = fs::read_to_string(&parent).with_context(|| parent.display().to_string())?;
                set(&path, file, text.trim())?;
            }
        }
    }
    Ok(())
}

/// Makes `folder` and those above it below `base`, with the controllers that a machine is limited by, and those that it
/// may want to limit others by.
fn make_unified(base: &Path, folder: &Path) -> Result<()> {
    let offered = fs::read_to_string(base.join("cgroup.controllers")).context("reading cgroup.controllers")?;
    for path in steps(base, folder) {
        let parent = path.parent().context("a cgroup is in another")?;
        for controller in ["cpu", "memory", "cpuset", "pids", "io"].iter().filter(|c| offers(&offered, c)) {
            let enabled = set(parent, "cgroup.subtree_control", &format!("+{controller}"));
            if matches!(*controller, "cpu" | "memory") {
                enabled?;
            }
        }
        make(&path)?;
    }
    Ok(())
}

fn offers(controllers: &str, name: &str) -> bool {
    controllers.split_whitespace().any(|controller| controller == name)
}

/// The folders from `base` (without it) to `folder`.
fn steps(base: &Path, folder: &Path) -> Vec<PathBuf> {
    let mut steps: Vec<PathBuf> = folder.ancestors().take_while(|p| *p != base).map(Path::to_owned).collect();
    steps.reverse();
    steps
}

fn make(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        result => result.with_context(|| format!("making {}", path.display())),
    }
}

fn limit_legacy(folder: &Path, controllers: &[String], limits: &Limits) -> Result<()> {
    let has = |name: &str| controllers.iter().any(|c| c == name);
    if has("cpu") && limits.cpu_millis > 0 {
        set(folder, "cpu.cfs_period_us", &PERIOD.to_string())?;
        set(folder, "cpu.cfs_quota_us", &quota(limits).to_string())?;
    }
    if has("memory") && limits.memory_bytes > 0 {
        set(folder, "memory.limit_in_bytes", &limits.memory_bytes.to_string())?;
    }
    if let Some(cpus) = limits.cpus.as_ref().filter(|_| has("cpuset")) {
        set(folder, "cpuset.cpus", &format_cpus(cpus))?;
    }
    // A node's are limited by `devices`.
    if has("devices") && limits.cpus.is_none() {
        allow_devices(folder)?;
    }
    Ok(())
}

/// Null, zero, full, random, urandom, tty, the terminals of a devpts: what `/dev` of a machine has, and no more.
fn allow_devices(folder: &Path) -> Result<()> {
    let list = fs::read_to_string(folder.join("devices.list")).context("reading devices.list")?;
    if list.trim() != "a *:* rwm" {
        return Ok(());
    }
    set(folder, "devices.deny", "a")?;
    ["c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm"]
        .into_iter()
        .try_for_each(|device| set(folder, "devices.allow", device))
}

fn limit_unified(folder: &Path, limits: &Limits) -> Result<()> {
    // A file that is not there: the controller is in a hierarchy of version 1.
    if limits.cpu_millis > 0 && folder.join("cpu.max").exists() {
        set(folder, "cpu.max", &format!("{} {PERIOD}", quota(limits)))?;
    }
    if limits.memory_bytes > 0 && folder.join("memory.max").exists() {
        set(folder, "memory.max", &limits.memory_bytes.to_string())?;
    }
    if let Some(cpus) = limits.cpus.as_ref().filter(|_| folder.join("cpuset.cpus").exists()) {
        set(folder, "cpuset.cpus", &format_cpus(cpus))?;
    }
    Ok(())
}

/// Microseconds of CPU per period. The kernel takes no less than 1000.
fn quota(limits: &Limits) -> u64 {
    (u64::from(limits.cpu_millis) * PERIOD / 1000).max(1000)
}

fn set(folder: &Path, file: &str, value: &str) -> Result<()> {
    let path = folder.join(file);
    fs::write(&path, value).with_context(|| format!("writing '{value}' to {}", path.display()))
}

/// The cgroups of all machines of all regions on this host.
fn machines(top: &Path) -> Vec<PathBuf> {
    folders(top).flat_map(|mark| folders(&mark).collect::<Vec<_>>()).collect()
}

fn folders(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir())).map(|entry| entry.path())
}

/// The processors that a machine has; none if it may use all of them, as the host's other programs do.
fn own_cpus(machine: &Path, all: &[u32]) -> Vec<u32> {
    let text = fs::read_to_string(machine.join("cpuset.cpus")).unwrap_or_default();
    parse_cpus(&text).filter(|cpus| cpus != all).unwrap_or_default()
}

fn thaw_tree(folder: &Path) {
    // What is gone is not frozen.
    let _ = fs::write(folder.join("freezer.state"), "THAWED");
    folders(folder).for_each(|folder| thaw_tree(&folder));
}

/// Removes a cgroup and those in it. One of version 1 stays busy for the moment until its last process is reaped, and
/// has no event for that.
fn remove_tree(folder: &Path, deadline: Instant) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        remove_tree(&entry.path(), deadline)?;
    }
    loop {
        match fs::remove_dir(folder) {
            Err(error) if error.kind() == ErrorKind::ResourceBusy && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            result => return Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
24 1 0:21 / /sys/fs/cgroup rw,relatime - tmpfs cgroup rw,mode=755
25 24 0:22 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
26 24 0:23 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
27 24 0:24 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
28 24 0:25 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
29 1 0:23 /docker/x /mnt/again rw,relatime - cgroup cgroup rw,memory
";

    #[test]
    fn both_layouts_are_known() {
        let hybrid = Cgroups::parse(HYBRID, "rs7").unwrap();
        assert_eq!(hybrid.unified, Path::new("/sys/fs/cgroup/unified"));
        let legacy: Vec<String> =
            hybrid.legacy.iter().map(|(at, c)| format!("{} {}", at.display(), c.join("+"))).collect();
        let wanted = ["cpu,cpuacct cpu+cpuacct", "memory memory", "systemd name=systemd"];
        assert_eq!(legacy, wanted.map(|w| format!("/sys/fs/cgroup/{w}")));

        let plain =
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";
        let plain = Cgroups::parse(plain, "rs7").unwrap();
        assert_eq!((plain.unified.as_path(), plain.legacy.len()), (Path::new("/sys/fs/cgroup"), 0));
        assert_eq!(plain.folder("i-1"), Path::new("/sys/fs/cgroup/roadstead/rs7/i-1"));

        let error = Cgroups::parse("24 1 0:21 / / rw - ext4 /dev/vda rw\n", "rs7").unwrap_err();
        assert!(error.to_string().contains("mount -t cgroup2"));
    }
}
