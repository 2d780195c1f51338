//! What an agent is told about the machine it runs on and the region it serves.

use std::path::PathBuf;

/// Configuration of a host agent. Everything it makes on the machine carries `slot` in its name, so regions that share
/// a machine never touch each other's.
#[derive(Clone, Debug)]
pub struct Config {
    /// 0..=255, unique among the regions on this machine (claimed by `roadstead up`). Interface and namespace names
    /// begin with [`Config::mark`]; public addresses come from 127.43.SLOT.0/24.
    pub slot: u8,
    /// Durable state of the agent: disks, the last snapshot of the region's items, logs of machines.
    pub state_dir: PathBuf,
    /// State that may vanish with the power: sockets, roots of machines. On memory-backed storage where possible.
    pub run_dir: PathBuf,
    /// Where sets of components stand: `SET/PROGRAM`, e.g. `etcd-3.6.16/etcd`.
    pub components_dir: PathBuf,
    /// File of the network namespace that is the outside of the region's networks; none: they have no outside.
    pub outside: Option<PathBuf>,
    /// File of the region's root key.
    pub root_key: PathBuf,
    /// Name of the region.
    pub region: String,
    /// File with the address at which the region's API listens: whenever it starts, that may be another one.
    pub region_address: PathBuf,
    /// The `roadstead` program that machines run as PID 1 (`guest init`).
    pub program: PathBuf,
}

impl Config {
    /// The prefix of every interface, namespace and table name of this region's agent: `rs7`.
    pub fn mark(&self) -> String {
        format!("rs{}", self.slot)
    }
}
