//! Instances as hosts see them.

use crate::ec2::instance::{self, Instance, Phase, Power, SHOWN_AFTER_TERMINATION, console};
use crate::ec2::network_interface;
use crate::fabric::{Saw, metadata, saw, unwant, want};
use crate::sts::session;
use roadstead_hostspec as hostspec;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Key, Read as _, Record, Tx};
use roadstead_types::Millis;

/// Instance → machine and metadata, and the machine's state → the instance's status.
pub struct MachinePlanner;

impl Planner for MachinePlanner {
    type Object = Instance;
    const NAME: &'static str = "fabric/machine";

    fn plan(&self, record: Record<Instance>, tx: &mut Tx) -> Next {
        let power = record.body.spec.launch.as_ref().map(|launch| launch.power);
        match (power, record.deleting) {
            (None, Some(_)) => end(record, tx),
            (Some(_), Some(since)) => terminate(record, tx, since),
            (Some(Power::Off), None) => stop(record, tx),
            (Some(Power::On) | None, None) => run(record, tx),
        }
    }
}

fn run(mut record: Record<Instance>, tx: &mut Tx) -> Next {
    let machine = machine(tx, &record.body);
    let id = machine.id.clone();
    if let Some(launch) = &record.body.spec.launch {
        metadata::state(tx, &record, launch);
    }
    want(tx, &record.key.any(), machine);
    let mut seen = saw::<hostspec::Machine>(tx, &id);
    if seen.is_some() {
        detach(tx, &id);
    }
    if record.body.spec.launch.is_some()
        && let Some(posted) = seen.as_mut().and_then(|seen| seen.console.take())
    {
        console::post(tx, &record.key.any(), &id, posted);
    }
    let phase = seen.as_ref().map_or(Phase::Waiting, phase);
    let began = seen.is_some() && phase != Phase::Waiting;
    let (ready, why) = readiness(seen);
    note(&mut record, tx.now(), phase, Seen { ready, began, why: why.clone() });
    tx.put(record);
    Next::settled(why)
}

/// What keeps its volumes and interfaces, and does not run.
fn stop(mut record: Record<Instance>, tx: &mut Tx) -> Next {
    let (phase, why) = away(tx, &record, "stopped", "stopping: a host still runs it");
    if phase == Phase::Gone {
        detach(tx, &record.body.spec.id);
    }
    note(&mut record, tx.now(), phase, Seen { ready: false, began: false, why: why.into() });
    tx.put(record);
    Next::settled(why)
}

/// Removes the record of a service's machine once nothing of it is left, and says meanwhile if it was killed and does not
/// end.
fn end(mut record: Record<Instance>, tx: &mut Tx) -> Next {
    let id = record.body.spec.id.clone();
    if unwant::<hostspec::Machine>(tx, &id) {
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
    let now = tx.now();
    let status = &mut record.body.status;
    if status.remains != remains {
        *status = instance::Status { ready: false, why: why.clone(), since: now, remains, ..status.clone() };
        tx.put(record);
    }
    Next::settled(why)
}

/// It is shown for an hour, and belongs to nobody by then: a group of instances may end before that.
fn terminate(mut record: Record<Instance>, tx: &mut Tx, since: Millis) -> Next {
    let ended = session::end_all(tx, &record.body.spec.id);
    let (phase, why) = away(tx, &record, "terminated", "deleting: a host still has it");
    let is_gone = matches!(phase, Phase::Gone | Phase::Released);
    let all_gone = is_gone && instance::release(tx, &record) && ended;
    let shown = SHOWN_AFTER_TERMINATION.since(tx.now().since(since));
    if all_gone && shown == Millis(0) {
        console::forget(tx, &record.body.spec.id);
        tx.remove(&record.key);
        return Next::settled("deleted");
    }
    if is_gone {
        record.owner = None;
    }
    let phase = if is_gone { Phase::Released } else { phase };
    note(&mut record, tx.now(), phase, Seen { ready: false, began: false, why: why.into() });
    tx.put(record);
    if all_gone { Next::after(shown, why) } else { Next::settled(why) }
}

/// No longer wants anything of it.
fn away(tx: &mut Tx, record: &Record<Instance>, done: &'static str, under_way: &'static str) -> (Phase, &'static str) {
    let id = record.body.spec.id.as_str();
    // Both are asked for before either is waited for.
    let gone = [unwant::<hostspec::Machine>(tx, id), unwant::<hostspec::Metadata>(tx, id)];
    if gone == [true; 2] { (Phase::Gone, done) } else { (record.body.status.machine, under_way) }
}

/// Lets go of the interfaces that were to be detached: the machine no longer has them.
fn detach(tx: &mut Tx, id: &str) {
    for eni in network_interface::of_instance(tx, id) {
        if eni.body.attachment.as_ref().is_some_and(|attachment| attachment.detaching) {
            network_interface::detached(tx, eni);
        }
    }
}

struct Seen {
    ready: bool,
    began: bool,
    why: String,
}

fn note(record: &mut Record<Instance>, now: Millis, phase: Phase, seen: Seen) {
    let status = &mut record.body.status;
    let same = (status.ready, status.began) == (seen.ready, seen.began);
    let ran = match phase {
        Phase::Running => true,
        Phase::Waiting | Phase::Failed => status.ran && status.machine != Phase::Gone,
        Phase::Gone | Phase::Released => false,
    };
    *status = instance::Status {
        ready: seen.ready,
        began: seen.began,
        why: seen.why,
        since: if same { status.since } else { now },
        machine_since: if status.machine == phase { status.machine_since } else { now },
        machine: phase,
        ran,
        remains: None,
    };
}

fn machine(tx: &Tx, instance: &Instance) -> hostspec::Machine {
    let (spec, image) = (&instance.spec, &instance.spec.image);
    let disk = |a: &instance::Attachment| hostspec::MachineDisk { disk: a.volume.clone(), path: a.path.clone() };
    hostspec::Machine {
        id: spec.id.clone(),
        hostname: image.hostname.clone(),
        profile: image.profile,
        cpu_millis: image.cpu_millis,
        memory_bytes: image.memory_bytes,
        ports: if spec.launch.is_some() { attached(tx, &spec.id) } else { given(spec) },
        disks: spec.volumes.iter().map(disk).collect(),
        components: image.components.clone(),
        files: image.files.clone(),
        processes: image.processes.clone(),
    }
}

/// The interfaces of a service's instance: those that it was given.
fn given(spec: &instance::Spec) -> Vec<hostspec::MachinePort> {
    let port = |(n, eni): (usize, &String)| hostspec::MachinePort { port: eni.clone(), name: format!("eth{n}") };
    spec.interfaces.iter().enumerate().map(port).collect()
}

/// The interfaces of a user's instance: those that are in it, by the number that its user gave them.
fn attached(tx: &Tx, id: &str) -> Vec<hostspec::MachinePort> {
    let port = |eni: Record<network_interface::NetworkInterface>| {
        let attachment = eni.body.attachment.filter(|attachment| !attachment.detaching)?;
        Some(hostspec::MachinePort { port: eni.body.id, name: format!("eth{}", attachment.device_index) })
    };
    network_interface::of_instance(tx, id).into_iter().filter_map(port).collect()
}

fn phase(seen: &hostspec::MachineStatus) -> Phase {
    match seen.phase {
        hostspec::MachinePhase::Waiting { .. } => Phase::Waiting,
        hostspec::MachinePhase::Running => Phase::Running,
        hostspec::MachinePhase::Failed { .. } | hostspec::MachinePhase::Remains { .. } => Phase::Failed,
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
