//! Machines and disks.

use roadstead_types::{Millis, Sealed};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// A block of durable storage that outlives the machines which mount it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// E.g. `vol-0123456789abcdef0`. Names one disk for ever: another one has another id.
    pub id: String,
    /// Bytes. The `namespaces` driver records it and does not enforce it (a folder has no size).
    pub bytes: u64,
    /// The mark of the disk that was made under this id ([`DiskStatus::Ready`]), once one was. A host that lacks that
    /// very disk says [`DiskStatus::Lost`]; it never makes another one in its place.
    #[serde(default)]
    pub mark: Option<String>,
}

/// What the host saw of a [`Disk`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DiskStatus {
    /// Not known yet whether it can be had.
    Pending {
        /// What is in the way, for people.
        why: String,
    },
    /// It exists and may be mounted.
    Ready {
        /// Random; set when the disk was made and kept on it. It tells this disk from any other in its place.
        mark: String,
    },
    /// It existed once; now it is gone, empty, or another one stands in its place. Its data must be taken for lost.
    Lost {
        /// What was found instead, for people.
        why: String,
    },
}

/// One instance: its own namespaces, a private root over the host's read-only `/usr`, a process tree under PID 1.
/// The id names one life: a replacement has another id. A changed body of the same id restarts the machine, but for its
/// ports: they are plugged in and taken out while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// E.g. `i-0123456789abcdef0`.
    pub id: String,
    /// Its host name inside.
    pub hostname: String,
    /// What its programs may do.
    #[serde(default)]
    pub profile: Profile,
    /// Limit of CPU time, thousandths of a CPU; 0 = none.
    pub cpu_millis: u32,
    /// Limit of memory, bytes; 0 = none.
    pub memory_bytes: u64,
    /// Its interfaces, in order; the first carries the default route. In a [`Profile::Node`] the others come up without
    /// an address: the node's own programs see to that.
    pub ports: Vec<MachinePort>,
    /// Disks mounted before any process starts. A disk is in one running machine at a time.
    pub disks: Vec<MachineDisk>,
    /// Sets of pinned programs (`kubernetes-1.36.3`) mounted read-only at `/opt/components/SET`.
    pub components: Vec<String>,
    /// Written before any process starts, on memory-backed storage: they never reach a disk.
    pub files: Vec<File>,
    /// Started side by side, but for their `after`; restarted with backoff when they end.
    pub processes: Vec<Process>,
}

/// What the programs of a [`Machine`] may do, and what they see of the hardware.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// The few known programs of a service: hardly any privilege. They see the host's processors and memory.
    #[default]
    Service,
    /// A whole computer, on which a container runtime works and privileged pods run: all that stays inside its
    /// namespaces is allowed. It sees hardware of its own size: so many processors, and
    /// [`memory_bytes`](Machine::memory_bytes) of memory.
    Node {
        /// Processors that it sees; the host must have as many.
        vcpus: u32,
    },
}

/// A [`Port`](crate::Port) in a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachinePort {
    /// The port's id.
    pub port: String,
    /// Its name inside, e.g. `eth0`.
    pub name: String,
}

/// A [`Disk`] in a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineDisk {
    /// The disk's id.
    pub disk: String,
    /// Absolute path inside, e.g. `/var/lib/etcd`.
    pub path: String,
}

/// A file of a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Absolute path inside.
    pub path: String,
    /// Permission bits, e.g. `0o600`. The owner is root.
    pub mode: u32,
    /// What is in it.
    pub content: Content,
}

/// What is in a [`File`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// As it stands.
    Text(String),
    /// A secret, opened by the host.
    Sealed(Sealed),
}

/// A program that a machine keeps running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Unique in the machine; names its log.
    pub name: String,
    /// Absolute path inside, e.g. `/opt/components/etcd-3.6.16/etcd`, then the arguments.
    pub argv: Vec<String>,
    /// All of its environment besides PATH and HOME.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Names of processes that must be ready before this one starts.
    #[serde(default)]
    pub after: Vec<String>,
    /// When it counts as ready; without one, as soon as it runs. Asked every 50 ms after a start until the first yes,
    /// then every second, and every 250 ms while the answer is no. A question that is not answered within a second is answered no.
    #[serde(default)]
    pub ready: Option<Probe>,
    /// Whether it still works, asked once it was ready; without one, it works while it runs.
    #[serde(default)]
    pub live: Option<Liveness>,
    /// Run before it is told to end, if it is ready: a program and its arguments. It has 1.5 s. Empty: none. (What
    /// Kubernetes calls a `preStop` hook.)
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_stop: Vec<String>,
    /// From the wish that it ends (SIGTERM) until it is killed; without one, it has as long as the machine has.
    #[serde(default)]
    pub grace: Option<Millis>,
    /// Its work has an end: having ended with status 0 it is not started again, and counts as ready. (systemd's
    /// `Type=oneshot` with `RemainAfterExit=yes`.)
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

/// How to tell a process that works from one that merely runs: frozen, deadlocked, deaf. What does not say yes for too
/// long is killed and starts again like any that ended.
///
/// Must not ask for what other processes do: killing this one would not bring them back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liveness {
    /// What is asked.
    pub probe: Probe,
    /// Between an answer and the next question.
    pub every: Millis,
    /// From the first question without a yes until it is killed. An answer that comes late, but by then, is one. Time in
    /// which PID 1 itself did not get to run does not count. Doubles with each kill in a row, up to a minute.
    pub patience: Millis,
}

impl Liveness {
    /// Asked every second; killed after five without a yes. Longer than a busy machine's hiccups, and shorter than the
    /// 40 s after which clients of a silent peer give up by themselves (gRPC's keep-alive).
    pub fn of(probe: Probe) -> Liveness {
        Liveness { probe, every: Millis::secs(1), patience: Millis::secs(5) }
    }
}

/// A question that PID 1 asks a process. Connections are kept open from one question to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probe {
    /// A TCP connection is accepted.
    Tcp {
        /// Where, as seen inside the machine.
        address: Ipv4Addr,
        /// The port.
        port: u16,
    },
    /// `GET path` answers 200, by plain HTTP.
    Http {
        /// Where, as seen inside the machine.
        address: Ipv4Addr,
        /// The port.
        port: u16,
        /// E.g. `/health`.
        path: String,
    },
    /// `GET path` answers 200, by TLS whose certificate is not checked (the machine asks itself).
    Https {
        /// Where, as seen inside the machine.
        address: Ipv4Addr,
        /// The port.
        port: u16,
        /// E.g. `/readyz`.
        path: String,
    },
}

/// What the host saw of a [`Machine`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineStatus {
    /// How far it is.
    pub phase: MachinePhase,
    /// When `phase` began.
    pub since: Millis,
    /// In the order of the spec; empty until PID 1 reports.
    pub processes: Vec<ProcessStatus>,
    /// What its processes said, of a node: posted when they are all ready first, when one ends, and when it fails or is not
    /// ready a minute after its start. None: nothing yet.
    #[serde(default)]
    pub console: Option<Console>,
}

/// What the processes of a machine said, as it stood at an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Console {
    /// When that was.
    pub at: Millis,
    /// The ends of their logs, each line behind its process' name; at most [`Console::LIMIT`] bytes.
    pub text: String,
}

impl Console {
    /// So many bytes at most (EC2 API reference, GetConsoleOutput: the most recent 64 KB).
    pub const LIMIT: usize = 64 << 10;
}

/// How far a machine is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MachinePhase {
    /// Something it needs is not there yet: a port, a disk, a component that is still being built.
    Waiting {
        /// What, for people.
        for_what: String,
    },
    /// PID 1 runs and reports.
    Running,
    /// PID 1 is gone though the spec wants it; the host starts it again with backoff.
    Failed {
        /// What was seen, for people.
        why: String,
    },
    /// Nobody wants it any more. It was killed and has no interface left, and there are processes of it that do not end:
    /// they wait for a disk. What it has mounted stays in use until they do; all else of it may be another's.
    Remains {
        /// What was seen, for people.
        why: String,
    },
}

/// What PID 1 says of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// [`Process::name`].
    pub name: String,
    /// Its state.
    pub state: ProcessState,
    /// How often it was started again.
    pub restarts: u32,
    /// When `state` began.
    pub since: Millis,
    /// How it last ended, e.g. `exit status 1`, `signal 9`.
    pub last_exit: Option<String>,
}

/// The state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessState {
    /// Waits for those it comes after.
    Waiting,
    /// Runs, not yet ready.
    Starting,
    /// Runs, and says that it is ready; or has done what it was for ([`Process::once`]).
    Ready,
    /// Runs and was ready, but does not say so any more: it answers no, or has not answered for a second.
    Unready,
    /// Ended; starts again after a pause.
    Backoff,
}
