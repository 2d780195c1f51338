//! A machine and its processes, and what the programs in them need.

use roadstead_hostspec::{Machine, Process, ProcessState, ProcessStatus};
use roadstead_types::Millis;
use std::net::Ipv4Addr;

/// What has become of a machine.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub phase: Phase,
    /// When the phase began.
    pub since: Millis,
    /// What its processes are, in the order of the spec.
    pub roles: Vec<Role>,
}

/// How far it is.
#[derive(Clone, Debug)]
pub enum Phase {
    /// Something it needs is not there yet.
    Waiting { for_what: String },
    /// PID 1 runs and reports these.
    Running { processes: Vec<ProcessStatus> },
    /// PID 1 is gone.
    Failed { why: String },
    /// It was killed on its way out, and its processes wait for a disk.
    Remains { why: String },
}

impl Default for Phase {
    fn default() -> Phase {
        Phase::Waiting { for_what: "its turn".to_owned() }
    }
}

/// What a program needs to be ready, told from its arguments as the program itself would.
#[derive(Clone, Debug)]
pub enum Role {
    /// A member of an etcd cluster.
    Etcd(Member),
    /// Needs an etcd that answers.
    ApiServer {
        /// Addresses of etcd.
        etcd: Vec<Ipv4Addr>,
        /// The port that it serves.
        port: u16,
    },
    /// kube-controller-manager or kube-scheduler: needs the API server beside it.
    Component,
    /// Needs nothing.
    Other,
    /// Can't start.
    Broken {
        /// How it ends.
        exit: String,
    },
}

/// A member of an etcd cluster.
#[derive(Clone, Debug)]
pub struct Member {
    /// Names the etcd cluster.
    pub token: String,
    /// Its own name.
    pub name: String,
    /// Where it listens.
    pub address: Ipv4Addr,
    /// Names of all members and where they listen, itself included.
    pub peers: Vec<(String, Ipv4Addr)>,
    /// It comes to a cluster that is there.
    pub existing: bool,
}

impl State {
    /// A machine that does not run.
    pub fn of(spec: &Machine, now: Millis) -> State {
        let roles = spec.processes.iter().map(|process| role(spec, process)).collect();
        State { phase: Phase::default(), since: now, roles }
    }

    /// Its processes; none if it doesn't run.
    pub fn processes(&self) -> &[ProcessStatus] {
        match &self.phase {
            Phase::Running { processes } => processes,
            _ => &[],
        }
    }

    /// PID 1 runs.
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// Its disks are mounted.
    pub fn has_disks(&self) -> bool {
        self.is_running() || self.remains()
    }

    /// It was killed, and does not end.
    pub fn remains(&self) -> bool {
        matches!(self.phase, Phase::Remains { .. })
    }

    /// Each process and what it is.
    pub fn with_roles(&self) -> impl Iterator<Item = (&ProcessStatus, &Role)> {
        self.processes().iter().zip(&self.roles)
    }
}

/// The processes of a machine that has just started.
pub fn booted(spec: &Machine, now: Millis) -> Phase {
    let waiting = |process: &Process| ProcessStatus {
        name: process.name.clone(),
        state: ProcessState::Waiting,
        restarts: 0,
        since: now,
        last_exit: None,
    };
    Phase::Running { processes: spec.processes.iter().map(waiting).collect() }
}

/// A process is there, ready or not.
pub fn is_alive(process: &ProcessStatus) -> bool {
    matches!(process.state, ProcessState::Starting | ProcessState::Ready | ProcessState::Unready)
}

fn role(spec: &Machine, process: &Process) -> Role {
    if let Some(path) = missing_file(spec, process) {
        return Role::Broken { exit: format!("open {path}: no such file or directory") };
    }
    let program = process.argv.first().map(String::as_str).unwrap_or_default();
    let understood = match program.rsplit('/').next().unwrap_or_default() {
        "etcd" => member(&process.argv).map(Role::Etcd),
        "kube-apiserver" => api_server(&process.argv),
        "kube-controller-manager" | "kube-scheduler" => Some(Role::Component),
        _ => Some(Role::Other),
    };
    understood.unwrap_or_else(|| Role::Broken { exit: format!("{program}: arguments are missing or wrong") })
}

/// The first file that an argument names and the machine doesn't have.
fn missing_file<'a>(spec: &Machine, process: &'a Process) -> Option<&'a str> {
    let values = process.argv.iter().filter_map(|arg| arg.split_once('=')).map(|(_, value)| value);
    let mut files = values.filter(|value| value.starts_with("/etc/"));
    files.find(|path| spec.files.iter().all(|file| file.path != *path))
}

fn member(argv: &[String]) -> Option<Member> {
    let peers = flag(argv, "--initial-cluster=")?.split(',');
    Some(Member {
        token: flag(argv, "--initial-cluster-token=")?.to_owned(),
        name: flag(argv, "--name=")?.to_owned(),
        address: host(flag(argv, "--listen-client-urls=")?)?,
        peers: peers.map(named).collect::<Option<_>>()?,
        existing: flag(argv, "--initial-cluster-state=")? == "existing",
    })
}

/// `NAME=https://ADDRESS:PORT`.
fn named(peer: &str) -> Option<(String, Ipv4Addr)> {
    let (name, url) = peer.split_once('=')?;
    Some((name.to_owned(), host(url)?))
}

fn api_server(argv: &[String]) -> Option<Role> {
    let etcd = flag(argv, "--etcd-servers=")?.split(',').map(host).collect::<Option<_>>()?;
    Some(Role::ApiServer { etcd, port: flag(argv, "--secure-port=")?.parse().ok()? })
}

fn flag<'a>(argv: &'a [String], name: &str) -> Option<&'a str> {
    argv.iter().find_map(|arg| arg.strip_prefix(name))
}

/// The address of `https://ADDRESS:PORT`.
fn host(url: &str) -> Option<Ipv4Addr> {
    url.strip_prefix("https://")?.rsplit_once(':')?.0.parse().ok()
}
