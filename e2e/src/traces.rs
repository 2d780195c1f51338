//! What a region has on the machine: everything that carries its mark, slot or paths.

use crate::machines;
use crate::process::{Said, try_run};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where a region's traces would be.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its slot, if it was ever given one.
    pub slot: Option<u8>,
    /// All of its files are below.
    pub data: PathBuf,
}

impl Site {
    /// What has no place on a machine where the region does not run: processes, mounts, and everything of the kernel's.
    pub fn running(&self) -> Vec<String> {
        let mut found = [self.processes(), self.mounts()].concat();
        if let Some(slot) = self.slot {
            let mark = format!("rs{slot}");
            found.extend([namespaces(&mark), cgroups(&mark), tables(&mark), links(&mark), routes(slot)].concat());
            found.extend(existing([format!("/run/roadstead/{slot}").into()]));
        }
        found
    }

    /// What has no place on a machine that the region was purged from.
    pub fn any(&self) -> Vec<String> {
        let slot = self.slot.map(slot_file);
        let key = self.data.with_added_extension("root-key");
        [self.running(), existing(slot.into_iter().chain([self.data.clone(), key]))].concat()
    }

    /// Removes what the kernel and `/run` have of a region that has no process left, but for the file that keeps its
    /// slot: the power failed for this region alone, and the others on this machine may not take its slot meanwhile.
    pub fn wipe(&self) {
        let Some(slot) = self.slot else { return };
        let mark = format!("rs{slot}");
        let names = namespaces(&mark);
        for name in names.iter().filter_map(|line| line.split(' ').next_back()) {
            let _ = tool("ip", &["netns", "delete", name]);
        }
        for line in self.running() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["link", name] => drop(tool("ip", &["link", "delete", name.split('@').next().unwrap_or(name)])),
                ["table", family, name] => drop(tool("nft", &["delete", "table", family, name])),
                ["mount", _, _, _, _, place, ..] => drop(tool("umount", &["--lazy", place])),
                _ => {}
            }
        }
        for folder in hierarchies() {
            remove_cgroup(&folder.join("roadstead").join(&mark));
        }
        let _ = fs::remove_dir_all(format!("/run/roadstead/{slot}"));
    }

    fn mark(&self) -> Option<String> {
        self.slot.map(|slot| format!("/roadstead/rs{slot}/"))
    }

    fn processes(&self) -> Vec<String> {
        let data = self.data.to_string_lossy();
        let ours = |pid: &i32| {
            let words = machines::command_line(*pid);
            // Dead, and not yet taken leave of: perhaps of the region that had the slot before.
            if words.is_empty() {
                return false;
            }
            let named = words.iter().any(|word| word.contains(&*data));
            let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            named || self.mark().is_some_and(|mark| cgroups.contains(&mark))
        };
        let found = machines::pids().filter(ours);
        found.map(|pid| format!("process {pid}: {}", machines::command_line(pid).join(" "))).collect()
    }

    fn mounts(&self) -> Vec<String> {
        let data = self.data.to_string_lossy().into_owned();
        let run = self.slot.map(|slot| [format!("/run/roadstead/{slot}/"), format!("/run/netns/rs{slot}-")]);
        let places: Vec<String> = run.into_iter().flatten().chain([data]).collect();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let ours = mounts.lines().filter(|line| places.iter().any(|place| line.contains(place)));
        ours.map(|line| format!("mount {line}")).collect()
    }
}

/// Says whose a slot of this machine is.
pub fn slot_file(slot: u8) -> PathBuf {
    format!("/run/roadstead/slots/{slot}").into()
}

/// The cgroup hierarchies of this machine.
fn hierarchies() -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let cgroups = fields.filter(|fields| fields.get(2).is_some_and(|kind| kind.starts_with("cgroup")));
    cgroups.map(|fields| fields[1].into()).collect()
}

/// Its network namespaces, by name.
fn namespaces(mark: &str) -> Vec<String> {
    let prefix = format!("{mark}-");
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&prefix)).map(|name| format!("network namespace {name}")).collect()
}

fn cgroups(mark: &str) -> Vec<String> {
    let folders = hierarchies().into_iter().map(|base| base.join("roadstead").join(mark));
    existing(folders.collect::<Vec<_>>())
}

fn tables(mark: &str) -> Vec<String> {
    let listed = listing("nft", &["list", "tables"]);
    listed.lines().filter(|line| line.split(' ').next_back() == Some(mark)).map(str::to_owned).collect()
}

fn links(mark: &str) -> Vec<String> {
    let begin = format!("{mark}-");
    let listed = listing("ip", &["-o", "link"]);
    let names = listed.lines().filter_map(|line| line.split(": ").nth(1));
    names.filter(|name| name.starts_with(&begin)).map(|name| format!("link {name}")).collect()
}

fn routes(slot: u8) -> Vec<String> {
    let block = format!("127.43.{slot}.");
    let listed = listing("ip", &["-4", "route", "show", "table", "all"]);
    listed.lines().filter(|line| line.contains(&block)).map(|line| format!("route {line}")).collect()
}

fn existing(paths: impl IntoIterator<Item = PathBuf>) -> Vec<String> {
    let there = |path: &PathBuf| Path::new(path).symlink_metadata().is_ok();
    paths.into_iter().filter(there).map(|path| path.display().to_string()).collect()
}

/// Removes a cgroup without processes, those in it first.
fn remove_cgroup(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.is_dir()).for_each(|path| remove_cgroup(&path));
    let _ = fs::remove_dir(folder);
}

fn tool(program: &str, arguments: &[&str]) -> Result<Said, String> {
    let mut command = Command::new(program);
    command.args(arguments);
    try_run(command, None, Duration::from_secs(20))
}

fn listing(program: &str, arguments: &[&str]) -> String {
    match tool(program, arguments) {
        Ok(said) if said.ok() => said.out,
        failed => panic!("{failed:?}"),
    }
}
