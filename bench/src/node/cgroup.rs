//! A bare node's cgroup, in every hierarchy of the host.

use anyhow::{Context as _, Result, bail};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Processes that were killed are gone long before.
const LIMIT: Duration = Duration::from_secs(10);

/// A cgroup for a kubelet to divide. Removed with what is in it.
pub struct Cgroup {
    /// Below the root of each hierarchy.
    pub name: String,
    folders: Vec<PathBuf>,
}

impl Cgroup {
    /// A new one.
    ///
    /// # Errors
    /// It can't be made.
    pub fn new(name: &str) -> Result<Cgroup> {
        let mut cgroup = Cgroup { name: name.to_owned(), folders: vec![] };
        for root in hierarchies(&fs::read_to_string("/proc/self/mountinfo")?) {
            let folder = root.join(name);
            fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
            // A cpuset (version 1) begins empty, and nothing can run in it.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if root.join(file).exists() {
                    fs::write(folder.join(file), fs::read(root.join(file))?)?;
                }
            }
            cgroup.folders.push(folder);
        }
        Ok(cgroup)
    }

    /// Removes it, as soon as its processes have ended.
    ///
    /// # Errors
    /// They don't.
    pub fn remove(mut self) -> Result<()> {
        self.empty()
    }

    fn empty(&mut self) -> Result<()> {
        let began = Instant::now();
        while let Some(folder) = self.folders.last() {
            match remove(folder) {
                Ok(()) => drop(self.folders.pop()),
                Err(_) if began.elapsed() < LIMIT => sleep(Duration::from_millis(20)),
                Err(why) => bail!("{} is left: {why}", folder.display()),
            }
        }
        Ok(())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(why) = self.empty() {
            eprintln!("{why:#}");
        }
    }
}

/// Removes a cgroup and those below it.
fn remove(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove(&path)?;
        }
    }
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Where the host's hierarchies are mounted: proc_pid_mountinfo(5).
fn hierarchies(mounts: &str) -> Vec<PathBuf> {
    let point = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let point = before.split(' ').nth(4)?;
        let is_cgroup = matches!(after.split(' ').next()?, "cgroup" | "cgroup2");
        (is_cgroup && point.starts_with("/sys/fs/cgroup")).then(|| PathBuf::from(point))
    };
    mounts.lines().filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_the_host_s_mounts_of_cgroups() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw\n\
                      31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      32 30 0:28 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw\n\
                      33 30 0:29 / /elsewhere rw - cgroup cgroup rw\n";
        let expected = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        assert_eq!(hierarchies(mounts), expected);
    }
}
