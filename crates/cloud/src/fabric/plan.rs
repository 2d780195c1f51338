//! One planner per kind that a host makes real: it wants the item while the record lives, and removes the record of a
//! deleted one once no host has anything of it.

use crate::ec2::instance::{self, Instance};
use crate::ec2::network_interface::NetworkInterface;
use crate::ec2::volume::Volume;
use crate::ec2::vpc::Vpc;
use crate::elb::load_balancer::LoadBalancer;
use crate::fabric::{Saw, is_wanted, saw, unwant, want};
use crate::iam::access_key::AccessKey;
use roadstead_hostspec as hostspec;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Index, Key, Object, Read, Record, Tx};

/// VPC → network, while something is in it.
pub struct NetworkPlanner;
/// Network interface → port.
pub struct PortPlanner;
/// Volume → disk.
pub struct DiskPlanner;
/// Instance → machine, and the machine's state → the instance's status.
pub struct MachinePlanner;
/// Load balancer → balancer, and target health → its status.
pub struct BalancerPlanner;
/// Access key → credential that hosts verify tokens with.
pub struct CredentialPlanner;

/// Removes the record of something deleted once nothing of its item is left.
fn finish<T: Object, H: super::HostItem>(tx: &mut Tx, key: &Key<T>, id: &str) -> Next {
    if !unwant::<H>(tx, id) {
        return Next::settled("deleting: a host still has it");
    }
    tx.remove(key);
    Next::settled("deleted")
}

impl Planner for NetworkPlanner {
    type Object = Vpc;
    const NAME: &'static str = "fabric/network";

    fn plan(&self, record: Record<Vpc>, tx: &mut Tx) -> Next {
        let vpc = &record.body;
        if record.deleting.is_some() {
            return finish::<_, hostspec::Network>(tx, &record.key, &vpc.id);
        }
        // A VPC with nothing in it costs a host nothing.
        if !tx.any(Index::<NetworkInterface>::by("vpc", vpc.id.as_str())) {
            unwant::<hostspec::Network>(tx, &vpc.id);
            return Next::settled("empty: no host needs it");
        }
        want(tx, &record.key.any(), hostspec::Network { id: vpc.id.clone(), cidrs: vec![vpc.cidr], link_local: false });
        Next::settled("wanted")
    }
}

impl Planner for PortPlanner {
    type Object = NetworkInterface;
    const NAME: &'static str = "fabric/port";

    fn plan(&self, record: Record<NetworkInterface>, tx: &mut Tx) -> Next {
        let eni = &record.body;
        if record.deleting.is_some() {
            return finish::<_, hostspec::Port>(tx, &record.key, &eni.id);
        }
        if eni.balancer {
            return Next::settled("a balancer answers for it");
        }
        if !is_wanted::<hostspec::Network>(tx, &eni.vpc) {
            return Next::settled("waits for its network");
        }
        let port = hostspec::Port {
            id: eni.id.clone(),
            network: eni.vpc.clone(),
            mac: eni.mac.clone(),
            subnet: eni.block,
            address: eni.address,
            secondary: vec![],
        };
        want(tx, &record.key.any(), port);
        Next::settled("wanted")
    }
}

impl Planner for DiskPlanner {
    type Object = Volume;
    const NAME: &'static str = "fabric/disk";

    fn plan(&self, mut record: Record<Volume>, tx: &mut Tx) -> Next {
        let volume = &record.body;
        if record.deleting.is_some() {
            return finish::<_, hostspec::Disk>(tx, &record.key, &volume.id);
        }
        let mark = volume.status.mark.clone();
        want(tx, &record.key.any(), hostspec::Disk { id: volume.id.clone(), bytes: volume.bytes, mark });
        // Whatever body it was seen under: a volume's disk is the same one for ever.
        let seen = tx.get(&Key::<Saw<hostspec::Disk>>::new(volume.id.as_str())).and_then(|saw| saw.body.status);
        let (lost, why) = match seen {
            None => (volume.status.lost.clone(), "wanted".to_owned()),
            Some(hostspec::DiskStatus::Pending { why }) => (volume.status.lost.clone(), why),
            Some(hostspec::DiskStatus::Lost { why }) => (Some(why.clone()), format!("lost: {why}")),
            Some(hostspec::DiskStatus::Ready { mark }) => {
                record.body.status.mark.get_or_insert(mark);
                (None, "there".to_owned())
            }
        };
        record.body.status.lost = lost;
        tx.put(record);
        Next::settled(why)
    }
}

impl Planner for MachinePlanner {
    type Object = Instance;
    const NAME: &'static str = "fabric/machine";

    fn plan(&self, mut record: Record<Instance>, tx: &mut Tx) -> Next {
        let id = record.body.spec.id.clone();
        if record.deleting.is_some() {
            return terminate(record, tx, &id);
        }
        want(tx, &record.key.any(), machine(&record.body.spec));
        let seen = saw::<hostspec::Machine>(tx, &id);
        let waits = |seen: &hostspec::MachineStatus| matches!(seen.phase, hostspec::MachinePhase::Waiting { .. });
        let began = seen.as_ref().is_some_and(|seen| !waits(seen));
        let (ready, why) = readiness(seen);
        let status = &mut record.body.status;
        let since = if (status.ready, status.began) == (ready, began) { status.since } else { tx.now() };
        *status = instance::Status { ready, began, why: why.clone(), since, remains: None };
        tx.put(record);
        Next::settled(why)
    }
}

/// Removes the record of a machine once nothing of it is left, and says meanwhile if it was killed and does not end.
fn terminate(mut record: Record<Instance>, tx: &mut Tx, id: &str) -> Next {
    if unwant::<hostspec::Machine>(tx, id) {
        tx.remove(&record.key);
        return Next::settled("deleted");
    }
    // Whatever body it was seen under: it is no longer wanted in any.
    let seen = tx.get(&Key::<Saw<hostspec::Machine>>::new(id)).and_then(|saw| saw.body.status);
    let remains = seen.and_then(|seen| match seen.phase {
        hostspec::MachinePhase::Remains { why } => Some(why),
        _ => None,
    });
    let why = remains.as_ref().map(|why| format!("deleting: killed, without network, and not gone: {why}"));
    let why = why.unwrap_or_else(|| "deleting: a host still has it".into());
    let status = &mut record.body.status;
    if status.remains != remains {
        *status = instance::Status { ready: false, began: status.began, why: why.clone(), since: tx.now(), remains };
        tx.put(record);
    }
    Next::settled(why)
}

fn machine(spec: &instance::Spec) -> hostspec::Machine {
    let image = &spec.image;
    let port = |(n, eni): (usize, &String)| hostspec::MachinePort { port: eni.clone(), name: format!("eth{n}") };
    let disk = |a: &instance::Attachment| hostspec::MachineDisk { disk: a.volume.clone(), path: a.path.clone() };
    hostspec::Machine {
        id: spec.id.clone(),
        hostname: image.hostname.clone(),
        profile: image.profile,
        cpu_millis: image.cpu_millis,
        memory_bytes: image.memory_bytes,
        ports: spec.interfaces.iter().enumerate().map(port).collect(),
        disks: spec.volumes.iter().map(disk).collect(),
        components: image.components.clone(),
        files: image.files.clone(),
        processes: image.processes.clone(),
    }
}

/// Ready when all processes are; else the first thing that keeps it from being so.
fn readiness(seen: Option<hostspec::MachineStatus>) -> (bool, String) {
    use hostspec::{MachinePhase, ProcessState};
    let Some(seen) = seen else { return (false, "no host has reported it yet".into()) };
    match seen.phase {
        MachinePhase::Waiting { for_what } => return (false, format!("waits for {for_what}")),
        MachinePhase::Failed { why } | MachinePhase::Remains { why } => return (false, why),
        MachinePhase::Running => {}
    }
    if seen.processes.is_empty() {
        return (false, "starting".into());
    }
    let unready = seen.processes.iter().find(|p| p.state != ProcessState::Ready);
    match unready {
        None => (true, "running".into()),
        Some(p) => (false, unreadiness(p)),
    }
}

fn unreadiness(process: &hostspec::ProcessStatus) -> String {
    let name = &process.name;
    let last = process.last_exit.as_ref().map(|e| format!(" (last exit: {e})")).unwrap_or_default();
    match process.state {
        hostspec::ProcessState::Waiting => format!("{name} waits for what it comes after"),
        hostspec::ProcessState::Backoff => format!(
            "{name} ended{last} and starts again; if it goes on so, read its log, and check its program with \
             `cargo xtask components --verify`"
        ),
        hostspec::ProcessState::Unready => format!("{name} runs, and does not answer its probe with yes{last}"),
        hostspec::ProcessState::Starting | hostspec::ProcessState::Ready => format!("{name} is starting{last}"),
    }
}

impl Planner for BalancerPlanner {
    type Object = LoadBalancer;
    const NAME: &'static str = "fabric/balancer";

    fn plan(&self, mut record: Record<LoadBalancer>, tx: &mut Tx) -> Next {
        let id = record.body.spec.name.clone();
        if record.deleting.is_some() {
            return finish::<_, hostspec::Balancer>(tx, &record.key, &id);
        }
        let spec = &record.body.spec;
        if !is_wanted::<hostspec::Network>(tx, &spec.vpc) {
            return Next::settled("waits for its network");
        }
        let balancer = hostspec::Balancer {
            id: id.clone(),
            network: spec.vpc.clone(),
            addresses: spec.addresses.clone(),
            public: spec.public.clone(),
            listeners: spec.listeners.clone(),
        };
        want(tx, &record.key.any(), balancer);
        let seen = saw::<hostspec::Balancer>(tx, &id).unwrap_or_default();
        let healthy: Vec<String> = seen.targets.iter().filter(|(_, t)| t.healthy).map(|(id, _)| id.clone()).collect();
        let why = format!("{} of {} targets healthy", healthy.len(), seen.targets.len());
        if record.body.healthy != healthy || record.body.ready != seen.ready {
            record.body.healthy = healthy;
            record.body.ready = seen.ready;
            tx.put(record);
        }
        Next::settled(seen.why.unwrap_or(why))
    }
}

impl Planner for CredentialPlanner {
    type Object = AccessKey;
    const NAME: &'static str = "fabric/credential";

    fn plan(&self, record: Record<AccessKey>, tx: &mut Tx) -> Next {
        let key = &record.body;
        if record.deleting.is_some() {
            return finish::<_, hostspec::Credential>(tx, &record.key, &key.id);
        }
        let credential = hostspec::Credential {
            access_key_id: key.id.clone(),
            secret: key.secret.clone(),
            principal: key.principal.clone(),
            enabled: key.active,
            session: None,
        };
        want(tx, &record.key.any(), credential);
        Next::settled("hosts know it")
    }
}
