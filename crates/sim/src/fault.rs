use crate::rng::Rng;
use crate::setup::Ground;
use crate::world::{Crash, World};
use roadstead_types::Millis;
use std::fmt;

/// Something that is done to a world from outside: by its user, its operator, or bad luck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A cluster is asked for; refused if there is one of this name.
    Create(&'static str, Ground),
    /// A cluster is asked for at the moment when the one of this name is gone.
    CreateWhenGone(&'static str, Ground),
    /// Its deletion is asked for; refused if it is not there or on its way out.
    Delete(&'static str),
    /// The n-th running machine is killed, counted round.
    KillMachine(usize),
    /// Of the n-th running machine, the m-th process is killed, both counted round.
    KillProcess(usize, usize),
    /// The n-th disk with an etcd member's data is deleted, counted round.
    LoseDisk(usize),
    /// The n-th disk with an etcd member's data takes nothing any more, counted round; or all disks go on.
    Stall(Option<usize>),
    /// Nothing reaches the n-th running machine, counted round, nor the other way; or all are reached again.
    Cut(Option<usize>),
    /// The n-th running machine, counted round, will never be ready again.
    Wedge(usize),
    /// The host's agent is away.
    HostAway(Millis),
    /// The region's process ends.
    Crash(Crash, Millis),
    /// The whole machine is without power.
    PowerOff(Millis),
    /// The clock is set forward.
    Jump(Millis),
    /// The key driver is so many times slower.
    SlowKeys(u64),
    /// Who may reach a cluster from outside: everybody, or one block of addresses.
    PublicCidrs(&'static str, bool),
    /// A cluster is asked to go to two other subnets, or back.
    Move(&'static str),
    /// The region offers another patch of etcd: `etcd-3.6.N`.
    Etcd(u8),
    /// The region offers another patch of Kubernetes: `1.36.N`.
    Kubernetes(u8),
    /// A node group of the first cluster is asked for, of so many nodes.
    CreateNodegroup(&'static str, i32),
    /// Its deletion is asked for.
    DeleteNodegroup(&'static str),
    /// The newest image is asked for on all of its nodes, by force or not.
    Roll(&'static str, bool),
    /// Its Auto Scaling group is asked for so many.
    Scale(&'static str, i32),
    /// Its labels are changed.
    Label(&'static str, u8),
    /// Its n-th instance is to go, counted round, with or without another in its place.
    TerminateNode(&'static str, usize, bool),
    /// Its Auto Scaling group is deleted under it.
    DeleteGroup(&'static str),
    /// The region offers images of another date.
    Image(u8),
    /// Budgets let no pod go, or do again.
    Guard(bool),
}

/// Twice as likely the first.
const NAMES: [&str; 5] = ["a", "a", "b", "c", "d"];

impl Act {
    /// Something, and what is likely to follow it within seconds.
    pub fn any(rng: &mut Rng) -> Vec<(Millis, Act)> {
        let away = rng.span(Millis(100), Millis::secs(90));
        let (n, m) = (rng.below(64), rng.below(8));
        let name = NAMES[rng.below(NAMES.len())];
        let ground = match name {
            "a" => Ground::Wide,
            "b" => Ground::Narrow,
            _ => [Ground::Wide, Ground::Narrow][rng.below(2)],
        };
        let soon = rng.span(Millis(0), Millis::secs(30));
        match rng.below(23) {
            0 | 1 => vec![(Millis(0), Act::Create(name, ground)), (soon, Act::Delete(name))],
            2 => vec![(Millis(0), Act::Delete(name)), (soon, Act::CreateWhenGone(name, ground))],
            3 => vec![(Millis(0), Act::Create(name, ground))],
            4 => vec![(Millis(0), Act::Delete(name))],
            5 => vec![(Millis(0), Act::KillMachine(n)), (soon, Act::KillMachine(m))],
            6 => vec![(Millis(0), Act::KillMachine(n))],
            7 => vec![(Millis(0), Act::KillProcess(n, m))],
            8 => vec![(Millis(0), Act::HostAway(away))],
            9 | 10 => {
                let how = [Crash::Killed, Crash::LosesBatch, Crash::KeepsBatch][rng.below(3)];
                vec![(Millis(0), Act::Crash(how, away))]
            }
            11 => vec![(Millis(0), Act::PowerOff(away))],
            12 if rng.chance(50) => vec![(Millis(0), Act::SlowKeys(50)), (soon, Act::SlowKeys(1))],
            12 => vec![(Millis(0), Act::Jump(rng.span(Millis::secs(1), Millis::mins(90))))],
            17 => vec![(Millis(0), Act::Wedge(n))],
            14 => vec![(Millis(0), Act::LoseDisk(n))],
            15 => vec![(Millis(0), Act::LoseDisk(n)), (soon, Act::KillMachine(m))],
            16 => vec![(Millis(0), Act::Cut(Some(n))), (soon, Act::Cut(None))],
            18 => vec![(Millis(0), Act::Stall(Some(n)))],
            19 => vec![(Millis(0), Act::Stall(Some(n))), (soon, Act::Stall(None))],
            21 => vec![(Millis(0), Act::Move(name))],
            22 => vec![(Millis(0), Act::Move(name)), (soon, Act::Move(name))],
            13 => vec![(Millis(0), Act::PublicCidrs(name, false)), (soon, Act::PublicCidrs(name, true))],
            _ if rng.chance(50) => vec![(Millis(0), Act::Etcd(17)), (soon, Act::Etcd(16))],
            _ => vec![(Millis(0), Act::Kubernetes(4)), (soon, Act::Kubernetes(3))],
        }
    }

    /// Something that concerns nodes, and what is likely to follow it.
    pub fn any_of_nodes(rng: &mut Rng) -> Vec<(Millis, Act)> {
        let (n, m) = (rng.below(64), rng.below(64));
        let name = ["n", "n", "m"][rng.below(3)];
        let size = [0, 1, 2, 3, 5][rng.below(5)];
        let soon = rng.span(Millis(0), Millis::secs(90));
        let later = rng.span(Millis(0), Millis::mins(25));
        match rng.below(16) {
            0 => vec![(Millis(0), Act::CreateNodegroup(name, size))],
            1 => vec![(Millis(0), Act::DeleteNodegroup(name)), (later, Act::CreateNodegroup(name, size))],
            2 => vec![(Millis(0), Act::Image(1)), (soon, Act::Roll(name, false))],
            3 => vec![(Millis(0), Act::Image(2)), (soon, Act::Roll(name, true))],
            // A change, and back again while nodes are being replaced.
            4 => vec![(Millis(0), Act::Image(1)), (Millis(1), Act::Roll(name, false)), (later, Act::Image(0))],
            5 => vec![(Millis(0), Act::Guard(true)), (soon, Act::Roll(name, n % 2 == 0)), (later, Act::Guard(false))],
            6 => vec![(Millis(0), Act::Scale(name, size))],
            7 => vec![(Millis(0), Act::Label(name, u8::try_from(n).unwrap_or_default()))],
            8 => vec![(Millis(0), Act::TerminateNode(name, n, m % 2 == 0))],
            9 => vec![(Millis(0), Act::KillMachine(n)), (soon, Act::KillMachine(m))],
            10 => vec![(Millis(0), Act::Wedge(n))],
            11 if rng.chance(20) => vec![(Millis(0), Act::DeleteGroup(name))],
            12 => vec![(Millis(0), Act::Roll(name, false)), (soon, Act::DeleteNodegroup(name))],
            13 => vec![(Millis(0), Act::Roll(name, false)), (soon, Act::Scale(name, size))],
            _ => Act::any(rng),
        }
    }

    /// Does it.
    pub fn perform(&self, world: &mut World) {
        match *self {
            // A refusal is an answer like any other.
            Act::Create(name, ground) => drop(world.try_create_cluster(name, ground)),
            Act::CreateWhenGone(name, ground) => world.create_when_gone(name, ground),
            Act::Delete(name) => drop(world.try_delete_cluster(name)),
            Act::KillMachine(n) => drop(nth(&world.host().running(), n).map(|id| world.host().kill_machine(&id))),
            Act::LoseDisk(n) => drop(nth(&world.host().disks(), n).map(|id| world.host().lose_disk(&id))),
            Act::Stall(Some(n)) => drop(nth(&world.host().disks(), n).map(|id| world.host().stall_disk(&id))),
            Act::Stall(None) => world.host().resume(),
            Act::Cut(Some(n)) => drop(nth(&world.host().running(), n).map(|id| world.host().cut(&id, true))),
            Act::Cut(None) => world.host().join(),
            Act::Wedge(n) => drop(nth(&world.host().running(), n).map(|id| world.host().wedge(&id))),
            Act::KillProcess(n, m) => {
                let Some(machine) = nth(&world.host().running(), n) else { return };
                let process = nth(&world.host().processes(&machine), m);
                process.map(|process| world.host().kill_process(&machine, &process));
            }
            Act::HostAway(span) => world.host().leave(span),
            Act::Crash(how, span) => world.crash(how, span),
            Act::PowerOff(span) => world.power_off(span),
            Act::Jump(span) => world.jump(span),
            Act::SlowKeys(times) => world.slow_keys(times),
            Act::PublicCidrs(name, open) => drop(world.try_open_endpoint(name, open)),
            Act::Move(name) => drop(world.try_move(name)),
            Act::CreateNodegroup(name, size) => drop(world.try_create_repaired_nodegroup("a", name, size)),
            Act::DeleteNodegroup(name) => drop(world.try_delete_nodegroup("a", name)),
            Act::Roll(name, force) => drop(world.try_update_nodegroup("a", name, force)),
            Act::Scale(name, size) => drop(world.try_scale("a", name, size)),
            Act::Label(name, value) => drop(world.try_label("a", name, &value.to_string())),
            Act::TerminateNode(name, n, shrink) => {
                let members: Vec<String> = world.members("a", name).into_keys().collect();
                nth(&members, n).map(|id| world.try_terminate_in_group(&id, shrink));
            }
            Act::DeleteGroup(name) => drop(world.try_delete_auto_scaling_group("a", name)),
            Act::Image(number) => drop(world.try_reconfigure(move |settings| {
                settings.kubernetes.iter_mut().for_each(|version| version.image_date = format!("2027010{number}"));
            })),
            Act::Guard(guarded) => world.guard_pods(guarded),
            Act::Etcd(patch) => drop(world.try_reconfigure(move |s| s.etcd = format!("etcd-3.6.{patch}"))),
            Act::Kubernetes(patch) => drop(world.try_reconfigure(move |settings| {
                for version in settings.kubernetes.iter_mut().filter(|version| version.minor == "1.36") {
                    version.patch = format!("1.36.{patch}");
                    version.components = format!("kubernetes-1.36.{patch}");
                }
            })),
        }
    }
}

fn nth(all: &[String], n: usize) -> Option<String> {
    all.get(n.checked_rem(all.len())?).cloned()
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Act::Create(name, Ground::Wide) => write!(f, "create cluster {name}"),
            Act::Create(name, Ground::Narrow) => write!(f, "create cluster {name} in narrow subnets"),
            Act::CreateWhenGone(name, Ground::Wide) => write!(f, "create cluster {name} when it is gone"),
            Act::CreateWhenGone(name, Ground::Narrow) => {
                write!(f, "create cluster {name} in narrow subnets when it is gone")
            }
            Act::Delete(name) => write!(f, "delete cluster {name}"),
            Act::KillMachine(n) => write!(f, "kill running machine {n}"),
            Act::KillProcess(n, m) => write!(f, "kill process {m} of running machine {n}"),
            Act::Wedge(n) => write!(f, "wedge running machine {n}"),
            Act::LoseDisk(n) => write!(f, "lose disk {n}"),
            Act::Stall(Some(n)) => write!(f, "stall disk {n}"),
            Act::Stall(None) => write!(f, "every disk goes on"),
            Act::Cut(Some(n)) => write!(f, "cut running machine {n} off"),
            Act::Cut(None) => write!(f, "reach every machine again"),
            Act::HostAway(span) => write!(f, "host away {span}"),
            Act::Crash(how, span) => write!(f, "region crash ({how:?}) {span}"),
            Act::PowerOff(span) => write!(f, "power off {span}"),
            Act::Jump(span) => write!(f, "clock jumps {span}"),
            Act::SlowKeys(times) => write!(f, "keys {times} times slower"),
            Act::PublicCidrs(name, true) => write!(f, "everybody may reach {name}"),
            Act::PublicCidrs(name, false) => write!(f, "few may reach {name}"),
            Act::Move(name) => write!(f, "cluster {name} goes to other subnets"),
            Act::Etcd(patch) => write!(f, "etcd 3.6.{patch}"),
            Act::Kubernetes(patch) => write!(f, "kubernetes 1.36.{patch}"),
            Act::CreateNodegroup(name, size) => write!(f, "create node group {name} of {size}"),
            Act::DeleteNodegroup(name) => write!(f, "delete node group {name}"),
            Act::Roll(name, true) => write!(f, "update node group {name} by force"),
            Act::Roll(name, false) => write!(f, "update node group {name}"),
            Act::Scale(name, size) => write!(f, "scale node group {name} to {size}"),
            Act::Label(name, value) => write!(f, "label node group {name} with {value}"),
            Act::TerminateNode(name, n, true) => write!(f, "terminate node {n} of {name}, and have one less"),
            Act::TerminateNode(name, n, false) => write!(f, "terminate node {n} of {name}"),
            Act::DeleteGroup(name) => write!(f, "delete the Auto Scaling group of {name}"),
            Act::Image(number) => write!(f, "images of 2027-01-0{number}"),
            Act::Guard(true) => write!(f, "budgets let no pod go"),
            Act::Guard(false) => write!(f, "budgets let pods go"),
        }
    }
}
