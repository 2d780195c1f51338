//! Commands in, a transcript of plans and what became of them out. `scripts/*.txt` stand beside their goldens.
//!
//! ```text
//! create cluster a [in narrow subnets]     kill machine etcd-1 [of a]       etcd 3.6.17
//! create clusters a b in narrow subnets    kill process etcd in etcd-1      kubernetes 1.36.4
//! delete cluster a                         host away 30s                    clock jumps 90m
//! lose disk of etcd-1 [of a]               cut etcd-1 [of a] off; reach every machine again
//! wait 5s                                  region crash 5s
//! settle                                   power off 10s
//! ```
//! What follows a `#` is a comment.

use crate::fault::Act;
use crate::log::Log;
use crate::rng::Rng;
use crate::setup::Ground;
use crate::world::{Crash, World};
use roadstead_types::Millis;
use roadstead_wire::fault::Fault;
use std::fmt::Write as _;

/// Runs a script; an error names the line.
///
/// # Panics
/// If a rule is broken on the way.
pub fn run(script: &str) -> Result<String, String> {
    let mut world = World::with(Rng::calm(), Log::transcript());
    world.begin_log();
    for (number, line) in (1..).zip(script.lines()) {
        let command = line.split('#').next().unwrap_or_default().trim();
        if !command.is_empty() {
            perform(&mut world, command).map_err(|why| format!("line {number}: {line:?}: {why}"))?;
        }
    }
    Ok(world.log().to_string())
}

fn perform(world: &mut World, command: &str) -> Result<(), String> {
    world.say(format!("> {command}"));
    match command.split_whitespace().collect::<Vec<_>>()[..] {
        ["create", "cluster", name] => ask(world, |world| world.try_create_cluster(name, Ground::Wide)),
        ["create", "cluster", name, "in", "narrow", "subnets"] => {
            ask(world, |world| world.try_create_cluster(name, Ground::Narrow))
        }
        ["create", "clusters", ref names @ .., "in", "narrow", "subnets"] => {
            let answers = world.create_at_once(names, Ground::Narrow);
            answers.into_iter().try_for_each(|answer| ask(world, |_| answer))
        }
        ["delete", "cluster", name] => ask(world, |world| world.try_delete_cluster(name)),
        ["settle"] => {
            world.settle();
            summarise(world);
            Ok(())
        }
        ["wait", time] => {
            world.wait(span(time)?);
            Ok(())
        }
        ["kill", "machine", slot, ref of @ ..] => {
            let machine = machine(world, slot, of)?;
            world.host().kill_machine(&machine).then_some(()).ok_or_else(|| "it does not run".to_owned())
        }
        ["kill", "process", process, "in", slot, ref of @ ..] => {
            let machine = machine(world, slot, of)?;
            world.host().kill_process(&machine, process).then_some(()).ok_or_else(|| "it does not run".to_owned())
        }
        ["lose", "disk", "of", member, ref of @ ..] => {
            let cluster = cluster(world, of)?;
            let disk = world.volume(&cluster, member).ok_or_else(|| format!("{cluster} has no member {member}"))?;
            world.host().lose_disk(&disk).then_some(()).ok_or_else(|| "it is lost already".to_owned())
        }
        ["cut", slot, ref of @ .., "off"] => {
            let machine = machine(world, slot, of)?;
            world.host().cut(&machine, true);
            Ok(())
        }
        ["reach", "every", "machine", "again"] => disturb(world, &Act::Cut(None)),
        ["host", "away", time] => disturb(world, &Act::HostAway(span(time)?)),
        ["region", "crash", time] => disturb(world, &Act::Crash(Crash::Killed, span(time)?)),
        ["power", "off", time] => disturb(world, &Act::PowerOff(span(time)?)),
        ["clock", "jumps", time] => disturb(world, &Act::Jump(span(time)?)),
        ["etcd", version] => disturb(world, &Act::Etcd(patch(version)?)),
        ["kubernetes", version] => disturb(world, &Act::Kubernetes(patch(version)?)),
        _ => Err("no such command".to_owned()),
    }
}

/// A refusal is an answer like any other.
fn ask(world: &mut World, call: impl FnOnce(&mut World) -> Result<(), Fault>) -> Result<(), String> {
    if let Err(fault) = call(world) {
        world.say(format!("refused: {fault}"));
    }
    Ok(())
}

fn disturb(world: &mut World, act: &Act) -> Result<(), String> {
    act.perform(world);
    Ok(())
}

/// `etcd-1`, or `etcd-1 of a`.
fn machine(world: &World, slot: &str, of: &[&str]) -> Result<String, String> {
    let cluster = cluster(world, of)?;
    world.find_machine(&cluster, slot).ok_or_else(|| format!("{cluster} has no machine {slot}"))
}

/// The first one, or the one that is named.
fn cluster(world: &World, of: &[&str]) -> Result<String, String> {
    let first = world.clusters().into_iter().next().map(|cluster| cluster.spec.name);
    match of {
        [] => first.ok_or_else(|| "there is no cluster".to_owned()),
        ["of", name] => Ok((*name).to_owned()),
        _ => Err("say: SLOT of CLUSTER".to_owned()),
    }
}

fn span(text: &str) -> Result<Millis, String> {
    let wrong = || format!("{text} is no time: say 5s or 5m");
    let (digits, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    match unit {
        "s" => Ok(Millis::secs(number)),
        "m" => Ok(Millis::mins(number)),
        _ => Err(wrong()),
    }
}

/// The last part of a version.
fn patch(version: &str) -> Result<u8, String> {
    let last = version.rsplit('.').next().unwrap_or_default();
    last.parse().map_err(|_| format!("{version} is no version"))
}

/// What a user and an operator see.
fn summarise(world: &mut World) {
    let mut text = String::new();
    for cluster in world.clusters() {
        let _written = write!(text, "{} is {:?}; ", cluster.spec.name, cluster.status.state);
        for issue in &cluster.status.issues {
            let _written = write!(text, "{}; ", issue.message);
        }
    }
    let (host, left) = (world.host().count(), world.leftovers().len());
    world.say(format!("= {text}{host} items on the host, {left} records more than at the start"));
}
