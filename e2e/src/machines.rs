//! A region's processes, as the machine that it runs on sees them.

use crate::Region;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};

/// A process of one of a region's machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Outside.
    pub pid: i32,
    /// In its machine. 1: the machine's first.
    pub inside: i32,
    /// The machine's id.
    pub machine: String,
    /// The program's name, e.g. `etcd`.
    pub program: String,
    /// Its command line.
    pub arguments: Vec<String>,
}

impl Process {
    /// Which namespace of that kind (`net`, `pid`, `mnt`) it is in.
    pub fn namespace(&self, kind: &str) -> PathBuf {
        fs::read_link(format!("/proc/{}/ns/{kind}", self.pid)).unwrap_or_default()
    }

    /// A file of its machine, seen from outside.
    pub fn file(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.pid))
    }

    /// The value of its flag `--NAME=VALUE`.
    #[track_caller]
    pub fn flag(&self, name: &str) -> &str {
        let begin = format!("--{name}=");
        let value = self.arguments.iter().find_map(|a| a.strip_prefix(&begin));
        value.unwrap_or_else(|| panic!("{} runs without --{name}: {:?}", self.program, self.arguments))
    }
}

impl Region {
    /// Everything that runs in the region's machines, by machine and process id.
    pub fn processes(&self) -> Vec<Process> {
        let mark = format!("/roadstead/{}/", self.mark());
        let mut found: Vec<Process> = pids().filter_map(|pid| look(pid, &mark)).collect();
        found.sort_by(|a, b| (&a.machine, a.pid).cmp(&(&b.machine, b.pid)));
        found
    }

    /// Those that run a program.
    pub fn running(&self, program: &str) -> Vec<Process> {
        self.processes().into_iter().filter(|p| p.program == program).collect()
    }

    /// The process ids of a part of the region itself: `up`, `serve`, `host`.
    pub fn parts(&self, part: &str) -> Vec<i32> {
        let data = self.data().to_string_lossy().into_owned();
        let is_part = |pid: &i32| {
            let arguments = command_line(*pid);
            arguments.get(1).is_some_and(|a| a == part) && arguments.contains(&data)
        };
        pids().filter(is_part).collect()
    }

    /// The one process of a part of the region itself.
    #[track_caller]
    pub fn part(&self, part: &str) -> i32 {
        match self.parts(part)[..] {
            [one] => one,
            ref some => panic!("one `{part}` should run, not {some:?}"),
        }
    }
}

/// Kills a process at once, whatever it does.
#[track_caller]
pub fn kill(pid: i32) {
    assert!(signal(pid, Signal::SIGKILL), "process {pid} is gone already");
}

/// Sends a signal; false if the process is gone.
pub fn signal(pid: i32, signal: Signal) -> bool {
    nix::sys::signal::kill(Pid::from_raw(pid), signal).is_ok()
}

/// All processes.
pub(crate) fn pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Its command line; empty if it is gone, or of the kernel.
pub(crate) fn command_line(pid: i32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|b| *b == 0).filter(|word| !word.is_empty());
    words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

fn look(pid: i32, mark: &str) -> Option<Process> {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let machine = cgroups.lines().find_map(|line| line.split_once(mark)?.1.split('/').next())?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    let arguments = command_line(pid);
    let program = Path::new(arguments.first()?).file_name()?.to_string_lossy().into_owned();
    // The third is what it is in a container of its machine: NSpid of proc_pid_status(5).
    let inside = numbers.split_whitespace().take(2).last()?.parse().ok()?;
    Some(Process { pid, inside, machine: machine.to_owned(), program, arguments })
}
