use roadstead_hostspec::{File, Process, Profile};
use roadstead_store::{Key, Object, Record};
use roadstead_types::{Millis, Tags};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// An instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// What it is.
    pub spec: Spec,
    /// What was seen of it.
    pub status: Status,
}

/// What an instance is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// `i-…`.
    pub id: String,
    /// Its owner.
    pub account: String,
    /// The interfaces that it was launched with, `eth0` first. Those that a user puts in later say so themselves
    /// ([`NetworkInterface::attachment`](crate::ec2::network_interface::NetworkInterface::attachment)).
    pub interfaces: Vec<String>,
    /// Its volumes and where they are mounted.
    pub volumes: Vec<Attachment>,
    /// What it runs. Of a service's instance it never changes: another image is another instance.
    pub image: Image,
    /// How it was launched; none: a service runs it for itself, and no user sees it.
    #[serde(default)]
    pub launch: Option<Launch>,
}

/// A volume in an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// `vol-…`.
    pub volume: String,
    /// Absolute path inside.
    pub path: String,
}

/// What an instance runs, and how much of the host it may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Host name inside.
    pub hostname: String,
    /// What its programs may do.
    #[serde(default)]
    pub profile: Profile,
    /// Thousandths of a CPU; 0 = no limit.
    pub cpu_millis: u32,
    /// Bytes; 0 = no limit.
    pub memory_bytes: u64,
    /// Sets of programs.
    pub components: Vec<String>,
    /// Its files.
    pub files: Vec<File>,
    /// Its processes.
    pub processes: Vec<Process>,
}

/// How a user, or a service for its user, launched an instance from an AMI.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// `ami-…`.
    pub image: String,
    /// E.g. `m5.large`.
    pub instance_type: String,
    /// `r-…`: those that were launched by one call.
    pub reservation: String,
    /// Its number among those, from 0.
    pub index: u32,
    /// When it was last started.
    pub at: Millis,
    /// Its VPC.
    pub vpc: String,
    /// Its subnet.
    pub subnet: String,
    /// The subnet's zone.
    pub zone: String,
    /// Primary private address.
    pub address: Ipv4Addr,
    /// E.g. `ip-10-0-1-5.ec2.internal`.
    pub private_dns_name: String,
    /// Name of its instance profile.
    pub instance_profile: Option<String>,
    /// Decoded.
    pub user_data: Option<String>,
    /// Name of a key pair, as given.
    pub key_name: Option<String>,
    /// Id and version of the launch template that it came from.
    pub launch_template: Option<(String, u64)>,
    /// How many hops an answer of the metadata service may go.
    pub hop_limit: u8,
    /// As given.
    pub monitoring: bool,
    /// It is not terminated by the API before this is taken back.
    pub termination_protection: bool,
    /// As given.
    pub client_token: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// Whether it is to run.
    pub power: Power,
    /// How often it was started: with another number the host starts its machine anew.
    pub boots: u32,
    /// Whether it has an address outside while it runs.
    #[serde(default)]
    pub public: bool,
}

/// Whether an instance is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Power {
    /// It is.
    On,
    /// It keeps its volumes and interfaces, and does not run.
    Off,
}

/// What was seen of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// All of its processes are ready.
    pub ready: bool,
    /// It runs, or was tried: it does not merely wait for what others have to make first.
    #[serde(default)]
    pub began: bool,
    /// Why not, for people.
    pub why: String,
    /// When `ready`, `began` or whether it remains last changed.
    pub since: Millis,
    /// What has become of its machine.
    #[serde(default)]
    pub machine: Phase,
    /// When `machine` last changed.
    #[serde(default)]
    pub machine_since: Millis,
    /// It ran since it was last started.
    #[serde(default)]
    pub ran: bool,
    /// It is being terminated, was killed and has no interface any more, and does not end: why, for people. It holds its
    /// volumes and nothing else.
    #[serde(default)]
    pub remains: Option<String>,
}

/// What has become of an instance's machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// No host says that it runs yet.
    #[default]
    Waiting,
    /// It runs.
    Running,
    /// It ended though it should run, or does not start.
    Failed,
    /// Nothing of it is left on any host.
    Gone,
    /// Gone for good: its interfaces and volumes have been let go of, too.
    Released,
}

/// The state of an instance, as EC2 has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being started.
    Pending,
    /// It runs.
    Running,
    /// It is being terminated.
    ShuttingDown,
    /// It is no more; it is shown for an hour.
    Terminated,
    /// It is being stopped.
    Stopping,
    /// It does not run and can be started again.
    Stopped,
}

impl Object for Instance {
    const KIND: &'static str = "ec2/instance";
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("account", self.spec.account.clone())]
    }
}

impl Instance {
    /// The key of an instance.
    pub fn key(id: &str) -> Key<Instance> {
        Key::new(id)
    }
}

impl State {
    /// The state of an instance: what is asked of it, and how much of that was seen.
    pub fn of(record: &Record<Instance>) -> State {
        let Instance { spec, status } = &record.body;
        let is_gone = matches!(status.machine, Phase::Gone | Phase::Released);
        let power = spec.launch.as_ref().map_or(Power::On, |launch| launch.power);
        match power {
            _ if record.deleting.is_some() && status.machine == Phase::Released => State::Terminated,
            _ if record.deleting.is_some() => State::ShuttingDown,
            Power::Off => {
                if is_gone {
                    State::Stopped
                } else {
                    State::Stopping
                }
            }
            Power::On => {
                if status.ran {
                    State::Running
                } else {
                    State::Pending
                }
            }
        }
    }
}
