//! What goes wrong.

use crate::machines::{self, Process, parts, target_of};
use crate::running::networks;
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
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
    /// The disk of the etcd leader stalls for twenty seconds: what is written waits
    SlowDisk,
    /// SIGSTOP of the first process of the machine of an etcd member that does not lead
    #[value(name = "freeze-pid-1")]
    FreezePid1,
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
    /// A member's disk that can be made to stall.
    pub disk: Option<&'a Stalling>,
}

/// Where a member has its disk.
const DISK: &str = "/var/lib/etcd";

/// A member's disk on a file system of its own, which can be made to stall. When it is dropped the file system goes, and
/// the disk is lost: what was there before was deleted, so that no member goes on from what is out of date.
pub struct Stalling {
    folder: PathBuf,
    image: PathBuf,
}

impl Stalling {
    /// Moves the disk of a member that does not lead, while its machine is down.
    ///
    /// # Errors
    /// The machine here can't make file systems.
    pub fn new(place: &Place<'_>) -> Result<Stalling> {
        let member = place.member(false)?;
        let (init, host) = (place.init_of(&member)?, place.host_agent()?);
        let disk = Stalling { folder: member.mounted(DISK)?, image: place.data.join("stalling.ext4") };
        ensure!(disk.folder.starts_with(&place.data), "{} is none of the region's", disk.folder.display());
        // So that the agent starts no machine meanwhile.
        let _frozen = freeze(host)?;
        signal(init, Signal::KILL)?;
        let (folder, image) = (disk.folder.display(), disk.image.display());
        let script = format!(
            "truncate --size 1G {image} && mkfs.ext4 -q -d {folder} {image} && find {folder} -mindepth 1 -delete && \
             mount -o loop {image} {folder}"
        );
        machines::run(&["sh", "-e", "-c", &script])?;
        Ok(disk)
    }

    /// Whether it is still the disk of a member.
    pub fn is_used(&self, place: &Place<'_>) -> bool {
        place.running("etcd").iter().any(|member| member.mounted(DISK).is_ok_and(|mounted| self.is_at(&mounted)))
    }

    /// A machine names what it has mounted by its place in the file system: the folder, or the root of its own.
    fn is_at(&self, mounted: &Path) -> bool {
        mounted == Path::new("/") || mounted == self.folder
    }

    fn freeze(&self, way: &str) -> Result<()> {
        fsfreeze(way, &self.folder)
    }
}

impl Drop for Stalling {
    fn drop(&mut self) {
        // It may not be frozen, or be in use by a machine, whose own mount of it ends with it.
        let _ = self.freeze("--unfreeze");
        let _ = machines::run(&["umount", "--lazy", &self.folder.to_string_lossy()]);
        let _ = std::fs::remove_file(&self.image);
    }
}

fn fsfreeze(way: &str, folder: &Path) -> Result<()> {
    machines::run(&["timeout", "10", "fsfreeze", way, &folder.to_string_lossy()]).map(drop)
}

/// What must be undone should nobody have healed it.
pub enum Frozen {
    Nothing,
    Process(Pid),
    Disk(PathBuf),
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Each fails if somebody ended it, as should be.
        match self {
            Frozen::Nothing => {}
            Frozen::Process(pid) => drop(kill_process(*pid, Signal::CONT)),
            Frozen::Disk(folder) => drop(fsfreeze("--unfreeze", folder)),
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
        match self {
            Fault::FreezeHostAgent => Some(Duration::from_secs(10)),
            Fault::SlowDisk => Some(Duration::from_secs(20)),
            _ => None,
        }
    }

    /// Whether a machine, or its host, is the more patient with the next of these the sooner it comes.
    pub fn tries_patience(self) -> bool {
        matches!(self, Fault::FreezeApiServer | Fault::FreezeEtcdLeader | Fault::FreezePid1)
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
            Fault::SlowDisk => return place.stall(),
            Fault::FreezePid1 => return freeze(place.init_of(&place.member(false)?)?),
            Fault::FreezeApiServer => return freeze(place.api_server()?.pid),
            Fault::FreezeHostAgent => return freeze(place.host_agent()?),
            Fault::FreezeEtcdLeader => return freeze(place.member(true)?.pid),
        }
        Ok(Frozen::Nothing)
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

    /// Stalls the disk that can be stalled, under the leader.
    fn stall(&self) -> Result<Frozen> {
        let disk = self.disk.context("no disk was made ready to stall")?;
        let of = |member: &Process| member.mounted(DISK).is_ok_and(|mounted| disk.is_at(&mounted));
        let victim = self.running("etcd").into_iter().find(of).context("nobody has the disk that can stall")?;
        let leader = self.member(true)?;
        if leader != victim {
            self.move_leader(&leader, &victim)?;
        }
        disk.freeze("--freeze")?;
        Ok(Frozen::Disk(disk.folder.clone()))
    }

    fn move_leader(&self, leader: &Process, to: &Process) -> Result<()> {
        let metrics = to.get(2381, "/metrics")?;
        let id = metrics.split_once("etcd_server_id{server_id=\"").and_then(|(_, rest)| rest.split_once('"'));
        let file = |path: &str| format!("/proc/{}/root{path}", leader.pid);
        let path = |flag: &str, name: &str| format!("--{flag}={}", file(&format!("/etc/etcd/pki/{name}")));
        let etcdctl = file(&format!("{}ctl", leader.path()));
        let endpoints = format!("--endpoints={}", leader.flag("advertise-client-urls")?);
        let (authority, certificate) = (path("cacert", "ca.crt"), path("cert", "member.crt"));
        let (key, id) = (path("key", "member.key"), id.context("a member does not say its id")?.0);
        leader.run_in_network(&[&etcdctl, &endpoints, &authority, &certificate, &key, "move-leader", id])
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
    Ok(Pid::from_raw(pid).map_or(Frozen::Nothing, Frozen::Process))
}
