//! The way into a machine: `guest enter` makes the namespaces, `guest root` builds the root in them.

mod files;
mod mounts;
mod node;

use crate::Launch;
use anyhow::{Context as _, Result};
use nix::sched::{CloneFlags, setns, unshare};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set, set_no_new_privs};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where a machine finds the program that is its PID 1.
const PROGRAM: &str = "/opt/roadstead/roadstead";
/// Where a machine's init finds what to supervise.
const PROCESSES: &str = "/run/roadstead/processes.json";
/// And where it finds the paths of its disks.
pub(crate) const DISKS: &str = "/run/roadstead/disks.json";
/// A node's init also finds the file here that lies over `/proc/meminfo`, and keeps it true.
pub(crate) const MEMINFO: &str = "/run/roadstead/shadows/proc-meminfo";

/// All that the programs of a machine may ever do as root: what a container gets by default elsewhere, but for making
/// device nodes and raw sockets.
const CAPABILITIES: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::SYS_CHROOT);

/// What not even a node's programs may do, because it reaches past all namespaces: into the kernel itself, its clock and
/// its messages, raw devices, files of the host by their handles. `SYS_ADMIN` and `NET_ADMIN` stay: a container runtime
/// mounts and wires.
const BEYOND: CapabilitySet = CapabilitySet::SYS_MODULE
    .union(CapabilitySet::SYS_BOOT)
    .union(CapabilitySet::SYS_TIME)
    .union(CapabilitySet::SYS_RAWIO)
    .union(CapabilitySet::SYS_PACCT)
    .union(CapabilitySet::SYSLOG)
    .union(CapabilitySet::MAC_ADMIN)
    .union(CapabilitySet::MAC_OVERRIDE)
    .union(CapabilitySet::AUDIT_CONTROL)
    .union(CapabilitySet::AUDIT_READ)
    .union(CapabilitySet::WAKE_ALARM)
    .union(CapabilitySet::BLOCK_SUSPEND)
    .union(CapabilitySet::DAC_READ_SEARCH);

/// `guest enter`: joins and makes the namespaces, starts `guest root` as the first process in them, and ends.
pub fn enter() -> Result<()> {
    reported(|| {
        let text = read_input()?;
        let launch = parse(&text)?;
        let netns = File::open(&launch.netns).with_context(|| format!("opening {}", launch.netns.display()))?;
        setns(netns, CloneFlags::CLONE_NEWNET).with_context(|| format!("joining {}", launch.netns.display()))?;
        for folder in &launch.cgroups {
            join_cgroup(folder)?;
        }
        // After joining, so that the machine sees its own cgroups as the roots.
        unshare(
            CloneFlags::CLONE_NEWCGROUP
                | CloneFlags::CLONE_NEWIPC
                | CloneFlags::CLONE_NEWNS
                | CloneFlags::CLONE_NEWPID
                | CloneFlags::CLONE_NEWUTS,
        )
        .context("making namespaces (this needs root)")?;
        if let Some(node) = &launch.node {
            join_cgroup(&node.cgroup)?;
        }
        let mut child = Command::new("/proc/self/exe").args(["guest", "root"]).stdin(Stdio::piped()).spawn()?;
        let mut input = child.stdin.take().context("the first process has no standard input")?;
        input.write_all(&text).context("handing the launch on")
    })
}

/// `guest root`: builds the machine's root and becomes its init.
pub fn root() -> Result<()> {
    reported(|| {
        let launch = parse(&read_input()?)?;
        nix::unistd::setsid().context("starting a session")?;
        nix::unistd::sethostname(&launch.hostname).context("setting the host name")?;
        let socket = listen(&launch.socket)?;
        mounts::build(&launch)?;
        files::write_all(&launch)?;
        fs::write(PROCESSES, serde_json::to_vec(&launch.processes)?).with_context(|| format!("writing {PROCESSES}"))?;
        let disks: Vec<_> = launch.binds.iter().filter(|bind| bind.writable).map(|bind| &bind.target).collect();
        fs::write(DISKS, serde_json::to_vec(&disks)?).with_context(|| format!("writing {DISKS}"))?;
        confine(launch.node.is_some())?;
        let log = std::io::stderr().as_fd().try_clone_to_owned()?;
        Err(init(&launch, socket, log).exec()).with_context(|| format!("running {PROGRAM}"))
    })
}

/// The command that the first process becomes. The status socket is its standard input, as with inetd.
fn init(launch: &Launch, socket: UnixListener, log: OwnedFd) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(["guest", "init"]).args(launch.marks.to_args()).arg(PROCESSES);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin").env("HOME", "/root").current_dir("/");
    command.stdin(OwnedFd::from(socket)).stdout(log);
    command
}

/// Runs `step`; what goes wrong is written to standard output, which the agent reads: its end without a word means
/// that init runs (the exec closed it).
fn reported(step: impl FnOnce() -> Result<()>) -> Result<()> {
    // A descriptor of its own, closed by exec: one that failed has already put the log in the place of the output.
    let mut agent = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    step().inspect_err(|why| drop(write!(agent, "{why:#}")))
}

fn read_input() -> Result<Vec<u8>> {
    let mut text = Vec::new();
    std::io::stdin().read_to_end(&mut text).context("reading the launch")?;
    Ok(text)
}

fn parse(text: &[u8]) -> Result<Launch> {
    serde_json::from_slice(text).context("the launch is not what this version of roadstead understands")
}

fn join_cgroup(folder: &Path) -> Result<()> {
    let procs = folder.join("cgroup.procs");
    fs::write(&procs, "0").with_context(|| format!("joining {}", folder.display()))
}

/// Binds the status socket. A socket's path has at most 107 bytes, so the folder is opened and named by its descriptor.
fn listen(path: &Path) -> Result<UnixListener> {
    let bind = || -> Result<UnixListener> {
        let folder = File::open(path.parent().context("it has no folder")?)?;
        let name = path.file_name().context("it has no name")?;
        let _ = fs::remove_file(path);
        let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
        Ok(UnixListener::bind(short)?)
    };
    bind().with_context(|| format!("binding {}", path.display()))
}

/// Gives up for good what no program of the machine needs. The next exec makes it so for root, too.
fn confine(is_node: bool) -> Result<()> {
    let kept = if is_node { BEYOND.complement() } else { CAPABILITIES };
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if kept.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            // The kernel numbers them without gaps: there are no more.
            Err(rustix::io::Errno::INVAL) => break,
            result => result.with_context(|| format!("dropping {capability:?}"))?,
        }
    }
    rustix::thread::clear_ambient_capability_set().context("clearing ambient capabilities")?;
    match is_node {
        // A container may become another user by a set-user-id program of its image.
        true => Ok(()),
        false => set_no_new_privs(true).context("setting no_new_privs"),
    }
}
