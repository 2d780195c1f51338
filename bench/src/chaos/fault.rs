//! What goes wrong.

use super::machines::{self, Process, parts, target_of};
use crate::running::networks;
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// SIGKILL of the kube-apiserver that serves the writer
    KillApiServer,
    /// SIGSTOP of it: it holds its connections and answers none
    FreezeApiServer,
    /// SIGKILL of the first process of its machine
    KillApiMachine,
    /// Its machine's interface in the VPC is deleted
    LoseInterface,
    /// All nftables rules of the VPC are deleted, the balancer's among them
    LoseRules,
    /// SIGKILL of the etcd leader
    KillEtcdLeader,
    /// SIGKILL of an etcd member that does not lead
    KillEtcdFollower,
    /// SIGSTOP of the etcd leader
    FreezeEtcdLeader,
    /// SIGKILL of the first process of the etcd leader's machine
    KillEtcdMachine,
    /// The interface of the etcd leader's machine is set down, from inside
    CutLink,
    /// The data of an etcd member that does not lead are deleted, and its machine is killed
    LoseEtcdDisk,
    /// SIGKILL of the host agent
    KillHostAgent,
    /// SIGSTOP of the host agent for ten seconds
    FreezeHostAgent,
    /// SIGKILL of the region
    KillRegion,
}

/// What a fault is done to.
pub struct Place<'a> {
    /// The region's data directory.
    pub data: PathBuf,
    /// What the paths of its machines' cgroups contain.
    pub mark: &'a str,
    /// The port of the writer's connection.
    pub port: Option<u16>,
}

/// What must be undone should nobody have healed it.
pub struct Frozen(Option<Pid>);

impl Drop for Frozen {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It fails if somebody ended it, as should be.
            let _ = kill_process(pid, Signal::CONT);
        }
    }
}

impl Fault {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().expect("no fault is hidden").get_name().to_owned()
    }

    /// When it ends by our own hand: what nobody is there to heal.
    pub fn lasts(self) -> Option<Duration> {
        (self == Fault::FreezeHostAgent).then_some(Duration::from_secs(10))
    }

    /// Does it.
    ///
    /// # Errors
    /// There is nobody to do it to.
    pub fn inject(self, place: &Place<'_>) -> Result<Frozen> {
        match self {
            Fault::KillApiServer => signal(place.api_server()?.pid, Signal::KILL)?,
            Fault::KillApiMachine => signal(place.init_of(&place.api_server()?)?, Signal::KILL)?,
            Fault::LoseInterface => place.api_server()?.run_in_network(&["ip", "link", "delete", "eth0"])?,
            Fault::LoseRules => place.lose_rules()?,
            Fault::KillEtcdLeader => signal(place.member(true)?.pid, Signal::KILL)?,
            Fault::KillEtcdFollower => signal(place.member(false)?.pid, Signal::KILL)?,
            Fault::KillEtcdMachine => signal(place.init_of(&place.member(true)?)?, Signal::KILL)?,
            Fault::CutLink => place.member(true)?.run_in_network(&["ip", "link", "set", "eth0", "down"])?,
            Fault::LoseEtcdDisk => place.lose_disk()?,
            Fault::KillHostAgent => place.kill_part("host")?,
            Fault::KillRegion => place.kill_part("serve")?,
            Fault::FreezeApiServer => return freeze(place.api_server()?.pid),
            Fault::FreezeHostAgent => return freeze(place.host_agent()?),
            Fault::FreezeEtcdLeader => return freeze(place.member(true)?.pid),
        }
        Ok(Frozen(None))
    }
}

impl Place<'_> {
    fn running(&self, program: &str) -> Vec<Process> {
        machines::processes(self.mark).into_iter().filter(|process| process.program == program).collect()
    }

    /// The API server that serves the writer, or any if nobody knows.
    fn api_server(&self) -> Result<Process> {
        let mut all = self.running("kube-apiserver");
        let target = self.port.and_then(|port| networks(self.mark).iter().find_map(|name| target_of(name, port)));
        let is_target = |process: &Process| {
            process.flag("advertise-address").ok().and_then(|a| a.parse::<Ipv4Addr>().ok()) == target
        };
        let at = all.iter().position(is_target).unwrap_or(0);
        ensure!(!all.is_empty(), "no kube-apiserver runs");
        Ok(all.swap_remove(at))
    }

    fn member(&self, leads: bool) -> Result<Process> {
        let is_wanted = |member: &Process| {
            let metrics = member.get(2381, "/metrics").unwrap_or_default();
            metrics.contains(&format!("\netcd_server_is_leader {}", u8::from(leads)))
        };
        self.running("etcd").into_iter().find(is_wanted).context("no such etcd member runs")
    }

    /// The first process of the same machine.
    fn init_of(&self, process: &Process) -> Result<i32> {
        let all = machines::processes(self.mark);
        let init = all.into_iter().find(|other| other.machine == process.machine && other.inside == 1);
        Ok(init.context("its machine has no first process")?.pid)
    }

    fn lose_rules(&self) -> Result<()> {
        let port = self.port.context("the writer has no connection")?;
        let network = networks(self.mark).into_iter().find(|name| target_of(name, port).is_some());
        let network = network.context("no network knows the writer's connection")?;
        machines::run(&["ip", "netns", "exec", &network, "nft", "flush", "ruleset"]).map(drop)
    }

    fn lose_disk(&self) -> Result<()> {
        let member = self.member(false)?;
        let init = self.init_of(&member)?;
        let disk = member.mounted("/var/lib/etcd")?;
        ensure!(disk.starts_with(&self.data), "{} is none of the region's", disk.display());
        signal(init, Signal::KILL)?;
        std::fs::remove_dir_all(&disk).with_context(|| format!("removing {}", disk.display()))
    }

    fn host_agent(&self) -> Result<i32> {
        parts(&self.data, "host").into_iter().next().context("`roadstead host` does not run")
    }

    fn kill_part(&self, part: &str) -> Result<()> {
        let all = parts(&self.data, part);
        ensure!(!all.is_empty(), "`roadstead {part}` does not run");
        all.into_iter().try_for_each(|pid| signal(pid, Signal::KILL))
    }
}

fn signal(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).context("no process has this id")?;
    kill_process(pid, signal).context("it is gone already")
}

fn freeze(pid: i32) -> Result<Frozen> {
    signal(pid, Signal::STOP)?;
    Ok(Frozen(Pid::from_raw(pid)))
}
