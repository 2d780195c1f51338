//! Machines made of namespaces: a process tree of this host that sees a root, a network, processes and cgroups of its
//! own. No wall against whoever is privileged inside; a service's programs therefore aren't, and a node's are as far as
//! its containers need it (ADR 8).
//!
//! A machine is found by its mark: the cgroup `roadstead/MARK/ID`, in it the process whose number in its own PID
//! namespace is 1, and that one's arguments.

pub(super) mod cgroup;
mod devices;
mod life;
mod turn;

use super::driver::{Driver, Life, Start};
use crate::images::late_folder;
use crate::{Config, lock};
use anyhow::{Context as _, Result, anyhow, bail};
use cgroup::{Cgroups, Limits};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use roadstead_guest::{Bind, ImageArchive, Launch, Marks, Node};
use roadstead_hostspec::{Machine, Profile};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _, read_to_string};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use zeroize::{Zeroize as _, Zeroizing};

/// From the launch until PID 1 runs. It takes some 20 ms.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// Makes machines out of namespaces.
pub struct Namespaces {
    config: Arc<Config>,
    cgroups: Cgroups,
    /// Held from the choice of a node's processors until others can see it.
    choosing: Mutex<()>,
}

/// The first process of a machine.
struct Init {
    pid: i32,
    pidfd: OwnedFd,
    marks: Marks,
}

impl Namespaces {
    /// For the machines of this region on this host.
    pub fn new(config: Arc<Config>) -> Result<Namespaces> {
        let cgroups = Cgroups::detect(&config.mark())?;
        Ok(Namespaces { config, cgroups, choosing: Mutex::default() })
    }

    /// Removes what is left of no machine in particular.
    pub fn clear_all(&self) {
        self.cgroups.remove_mark();
    }

    /// What may vanish with the power: socket and mount point.
    fn run_dir(&self, id: &str) -> PathBuf {
        self.config.run_dir.join("machines").join(id)
    }

    /// What may not: logs.
    fn state_dir(&self, id: &str) -> PathBuf {
        self.config.state_dir.join("machines").join(id)
    }

    fn init(&self, id: &str) -> Option<Init> {
        let ours = depth("self")?;
        self.cgroups.processes(id).into_iter().find_map(|pid| {
            // Opened first: if the number is another process's by now, what is read then does not fit.
            let pidfd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::NONBLOCK).ok()?;
            let (deep, inside) = nested(&pid.to_string())?;
            if deep != ours + 1 || inside != 1 {
                return None;
            }
            let marks = Marks::from_cmdline(&fs::read(format!("/proc/{pid}/cmdline")).ok()?)?;
            (marks.machine == id).then_some(Init { pid, pidfd, marks })
        })
    }

    fn launch(&self, start: Start) -> Result<Launch> {
        let machine = &start.machine;
        let run = self.run_dir(&machine.id);
        let components = machine.components.iter().map(|set| self.component(set)).collect::<Result<Vec<_>>>()?;
        let (cgroups, node) = self.place(machine)?;
        let images = start.images.map(|source| {
            let late = late_folder(&self.config);
            [(source, "/opt/images"), (late, ImageArchive::LATE)].map(|(source, target)| Bind {
                source,
                target: target.into(),
                writable: false,
            })
        });
        let disks = machine.disks.iter().zip(start.disks).map(|(disk, source)| Bind {
            source,
            target: disk.path.clone().into(),
            writable: true,
        });
        Ok(Launch {
            hostname: machine.hostname.clone(),
            machine_id: super::digest(machine.id.as_bytes())[..32].to_owned(),
            netns: start.netns,
            cgroups,
            program: self.config.program.clone(),
            root: run.join("root"),
            socket: run.join(life::SOCKET),
            logs: self.state_dir(&machine.id).join("log"),
            binds: components.into_iter().chain(images.into_iter().flatten()).chain(disks).collect(),
            files: start.files,
            processes: machine.processes.clone(),
            marks: start.marks,
            node,
        })
    }

    /// Makes a machine's cgroups: those that its first process must join, and what a node gets.
    fn place(&self, machine: &Machine) -> Result<(Vec<PathBuf>, Option<Node>)> {
        let Machine { id, cpu_millis, memory_bytes, profile, .. } = machine;
        let _chosen = lock(&self.choosing);
        let cpus = match profile {
            Profile::Service => None,
            Profile::Node { vcpus } => Some(self.cgroups.choose(*vcpus)?),
        };
        let limits = Limits { cpu_millis: *cpu_millis, memory_bytes: *memory_bytes, cpus };
        let cgroups = self.cgroups.create(id, &limits)?;
        let node = |cpus| Node { cpus, memory_bytes: *memory_bytes, cgroup: self.cgroups.init(id) };
        Ok((cgroups, limits.cpus.map(node)))
    }

    /// A set of components in a machine. It is mounted when the host's root is elsewhere, where an absolute link would
    /// lead nowhere.
    fn component(&self, set: &str) -> Result<Bind> {
        let path = self.config.components_dir.join(set);
        let source = path.canonicalize().with_context(|| format!("looking for {}", path.display()))?;
        Ok(Bind { source, target: Path::new("/opt/components").join(set), writable: false })
    }
}

impl Driver for Namespaces {
    fn ids(&self) -> Vec<String> {
        let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
        let folders = entries(self.state_dir("")).chain(entries(self.run_dir("")));
        let left = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
        left.chain(self.cgroups.ids()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn marks(&self, id: &str) -> Option<Marks> {
        self.init(id).map(|init| init.marks)
    }

    fn watch(&self, id: &str, patience: Duration) -> Option<Life> {
        self.init(id).map(|init| life::listen(init, self.run_dir(id), patience))
    }

    fn start(&self, start: Start) -> Result<()> {
        let id = start.machine.id.clone();
        self.stop(&id, Duration::ZERO)?;
        let logs = self.state_dir(&id).join("log");
        make_folder(&logs.join("roadstead"), 0o755)?;
        make_folder(&self.run_dir(&id).join("root"), 0o700)?;
        let mut launch = self.launch(start)?;
        let log = OpenOptions::new().create(true).append(true).mode(0o644).open(logs.join("roadstead/init.log"))?;
        let result = run_launch(&self.config.program, &launch, log.into());
        launch.files.iter_mut().for_each(|file| file.bytes.zeroize());
        result
    }

    fn stop(&self, id: &str, grace: Duration) -> Result<()> {
        if let Some(init) = self.init(id).filter(|_| !grace.is_zero()) {
            // PID 1 does not end before those that it takes along.
            self.cgroups.thaw(id);
            // An error means that it is gone already.
            if pidfd_send_signal(&init.pidfd, Signal::TERM).is_ok() {
                wait(&init.pidfd, grace)?;
            }
        }
        self.cgroups.kill(id)?;
        self.cgroups.remove(id)
    }

    fn clear(&self, id: &str) -> Result<()> {
        for folder in [self.run_dir(id), self.state_dir(id)] {
            match fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("removing {}", folder.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Spawns `guest enter` and returns when PID 1 runs.
fn run_launch(program: &Path, launch: &Launch, log: OwnedFd) -> Result<()> {
    // It holds opened secrets.
    let text = Zeroizing::new(serde_json::to_vec(launch)?);
    let mut child = Command::new(program)
        .args(["guest", "enter"])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .with_context(|| format!("running {}", program.display()))?;
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let (mut input, output) = (input.context("no standard input")?, output.context("no standard output")?);
    // If it doesn't take it, it says why.
    let handed = input.write_all(&text);
    drop(input);
    let said = match wait(&output, START_PATIENCE)? {
        true => read_to_string(output).context("reading what guest enter says"),
        false => {
            child.kill().context("PID 1 did not come up in time").and_then(|()| bail!("PID 1 did not come up in time"))
        }
    };
    let status = child.wait().context("waiting for guest enter")?;
    match said {
        Ok(said) if said.is_empty() && status.success() => Ok(handed?),
        Ok(said) if said.is_empty() => bail!("guest enter: {status}"),
        Ok(said) => Err(anyhow!(said)),
        Err(why) => Err(why),
    }
}

/// Waits until `fd` is readable; `false` if it was not in time.
fn wait(fd: &impl AsFd, patience: Duration) -> Result<bool> {
    let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
    loop {
        match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout) {
            Err(Errno::EINTR) => {}
            result => return Ok(result.context("waiting")? > 0),
        }
    }
}

/// How many PID namespaces below the one that `/proc` shows a process is, counted from 1.
fn depth(process: &str) -> Option<usize> {
    nested(process).map(|(depth, _)| depth)
}

/// [`depth`], and the process's number in the innermost: `NSpid` of proc_pid_status(5).
fn nested(process: &str) -> Option<(usize, i32)> {
    let status = fs::read_to_string(Path::new("/proc").join(process).join("status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    let numbers: Vec<i32> = numbers.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    Some((numbers.len(), *numbers.last()?))
}

fn make_folder(path: &Path, mode: u32) -> Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path).with_context(|| format!("making {}", path.display()))
}
