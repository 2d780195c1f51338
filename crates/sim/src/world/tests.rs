//! The checks see what they are there for: each world here is tampered with, and the rule that this breaks is named.

use super::World;
use crate::server::PRIVATE;
use crate::setup::cluster_key;
use roadstead_cloud::autoscaling::Group;
use roadstead_cloud::ec2::instance::Instance;
use roadstead_cloud::ec2::network_interface::NetworkInterface;
use roadstead_cloud::eks::cluster::{Issue, Stage, State};
use roadstead_cloud::eks::etcd::{self, Action};
use roadstead_cloud::fabric::Want;
use roadstead_cloud::keys::KeyState;
use roadstead_cloud::settings::Settings;
use roadstead_hostspec::{Disk, Machine};
use roadstead_store::{Index, Key, Object, Read as _, Record, Tx};
use roadstead_types::Millis;

/// The rule that this breaks in a world with a cluster that serves.
fn broken_by(tamper: impl FnOnce(&mut Tx) + Send + 'static) -> &'static str {
    let mut world = World::calm();
    world.create_cluster("a");
    world.settle();
    let tampered = world.submit(|tx| {
        tamper(tx);
        Ok(())
    });
    drop(tampered);
    world.try_settle().expect_err("the world was tampered with").check
}

fn first<T: Object>(tx: &Tx) -> Record<T> {
    tx.list(Index::<T>::all()).swap_remove(0)
}

/// Changes the first record of a kind.
fn change<T: Object>(tx: &mut Tx, change: impl FnOnce(&mut T)) {
    let mut record = first::<T>(tx);
    change(&mut record.body);
    tx.put(record);
}

#[test]
fn a_generation_that_falls_is_seen() {
    let begun_anew = |tx: &mut Tx| {
        let group = first::<Group>(tx);
        tx.remove(&group.key);
        tx.create(group.key, group.owner, group.body);
    };
    assert_eq!(broken_by(begun_anew), "generations-grow");
}

#[test]
fn an_owner_that_goes_too_early_is_seen() {
    assert_eq!(broken_by(|tx| tx.remove(&first::<Instance>(tx).key)), "owner-outlives");
}

#[test]
fn a_want_without_an_owner_is_seen() {
    let unowned = |tx: &mut Tx| {
        let disk = Disk { id: "vol-1".into(), bytes: 1, mark: None };
        tx.create(Key::<Want<Disk>>::new("vol-1"), None, Want(disk));
    };
    assert_eq!(broken_by(unowned), "owner-outlives");
}

#[test]
fn a_state_that_goes_back_is_seen() {
    let back = |tx: &mut Tx| {
        let mut record = tx.get(&cluster_key("a")).unwrap();
        record.body.status.state = State::Failed;
        tx.put(record);
    };
    assert_eq!(broken_by(back), "states-move-on");
}

#[test]
fn a_cluster_that_was_never_probed_is_not_active() {
    let mut world = World::calm();
    world.create_cluster("a");
    let lied = world.submit(|tx| {
        let mut record = tx.get(&cluster_key("a")).unwrap();
        record.body.status.state = State::Active;
        tx.put(record);
        Ok(())
    });
    drop(lied);
    assert_eq!(world.try_settle().unwrap_err().check, "active-means-probed");
}

#[test]
fn a_key_that_changes_is_seen() {
    assert_eq!(broken_by(|tx| change::<KeyState>(tx, |key| key.public.clear())), "one-key-for-ever");
}

#[test]
fn a_secret_in_the_journal_is_seen() {
    let tell = |tx: &mut Tx| {
        let mut record = tx.get(&cluster_key("a")).unwrap();
        let message = format!("its key is {PRIVATE}somebody");
        record.body.status.issues = vec![Issue { code: "Other".into(), message, resources: vec![] }];
        record.body.tags.insert("key".into(), format!("{PRIVATE}somebody"));
        tx.put(record);
    };
    assert_eq!(broken_by(tell), "secrets-stay-sealed");
}

#[test]
fn an_address_given_twice_is_seen() {
    let give_again = |tx: &mut Tx| {
        let mut interfaces = tx.list(Index::<NetworkInterface>::all());
        let (other, mut one) = (interfaces.swap_remove(1), interfaces.swap_remove(0));
        (one.body.vpc, one.body.address) = (other.body.vpc, other.body.address);
        tx.put(one);
    };
    assert_eq!(broken_by(give_again), "addresses-are-unique");
}

#[test]
fn two_machines_with_one_disk_are_seen() {
    let share = |tx: &mut Tx| {
        let machines = tx.list(Index::<Want<Machine>>::all());
        let with_disk = machines.into_iter().find(|machine| !machine.body.0.disks.is_empty()).unwrap();
        let other = Machine { id: "i-1".into(), ..with_disk.body.0 };
        tx.create(Key::<Want<Machine>>::new("i-1"), with_disk.owner, Want(other));
    };
    assert_eq!(broken_by(share), "one-machine-per-disk");
}

#[test]
fn the_end_of_a_healthy_machine_is_seen() {
    assert_eq!(broken_by(|tx| tx.delete(&first::<Instance>(tx).key)), "healthy-machines-stay");
}

#[test]
fn two_members_on_their_way_at_once_are_seen() {
    let leave = |tx: &mut Tx| {
        let mut record = tx.get(&cluster_key("a")).unwrap();
        for member in record.body.placement.iter_mut().flat_map(|placement| &mut placement.members) {
            member.stage = Stage::Leaving { why: "a mistake".into() };
        }
        tx.put(record);
    };
    assert_eq!(broken_by(leave), "one-member-at-a-time");
}

#[test]
fn a_member_that_leaves_while_another_is_down_is_seen() {
    let mut world = serving();
    let other = world.machine("a", "etcd-1");
    world.host().kill_machine(&other);
    world.wait(Millis(500));
    let tampered = world.submit(|tx| {
        let mut record = tx.get(&cluster_key("a")).unwrap();
        let members = &mut record.body.placement.as_mut().unwrap().members;
        members[1].stage = Stage::Leaving { why: "a mistake".into() };
        tx.put(record);
        Ok(())
    });
    drop(tampered);
    assert_eq!(world.try_settle().unwrap_err().check, "one-member-at-a-time");
}

fn serving() -> World {
    let mut world = World::calm();
    world.create_cluster("a");
    world.settle();
    world
}

fn etcd_of(world: &World) -> (String, Vec<u64>) {
    let id = world.cluster("a").unwrap().spec.id;
    let spec = world.view().get(&etcd::key(&id)).unwrap().body;
    let members = world.host.etcd_members(&id, &spec).unwrap();
    (id, members.into_iter().map(|member| member.id).collect())
}

#[test]
fn a_member_that_forgets_its_votes_is_seen() {
    // Whoever begins after another one is told by it that it was there. Nobody tells the first.
    let seen = ["etcd-1", "etcd-2", "etcd-3"].map(|member| {
        let mut world = serving();
        let volume = world.volume("a", member).unwrap();
        world.power_off(Millis::secs(5));
        world.host().set_back(&volume, true);
        world.try_settle().err().map(|violation| violation.check)
    });
    assert!(seen.contains(&Some("votes-are-remembered")), "{seen:?}");
}

#[test]
fn a_lost_write_is_seen() {
    let mut world = serving();
    for member in ["etcd-1", "etcd-2"] {
        let volume = world.volume("a", member).unwrap();
        world.host().set_back(&volume, false);
    }
    let other = world.machine("a", "etcd-3");
    world.host().cut(&other, true);
    let api = world.machine("a", "api-1");
    world.host().kill_machine(&api);
    assert_eq!(world.try_settle().unwrap_err().check, "writes-are-kept");
}

#[test]
fn a_healthy_member_that_is_taken_out_is_seen() {
    let mut world = serving();
    let (token, ids) = etcd_of(&world);
    let answer = world.host().change_etcd(&token, &Action::Remove(ids[0]));
    world.say("etcd refuses it, of members that have just come, and it was asked for all the same".to_owned());
    assert_eq!(answer, Some(Err("etcdserver: unhealthy cluster".to_owned())));
    assert_eq!(world.try_settle().unwrap_err().check, "healthy-members-stay");
}

#[test]
fn a_change_that_takes_the_quorum_is_seen() {
    let mut world = serving();
    let (token, ids) = etcd_of(&world);
    let other = world.machine("a", "etcd-3");
    world.host().cut(&other, true);
    drop(world.host().change_etcd(&token, &Action::Remove(ids[0])));
    assert_eq!(world.try_settle().unwrap_err().check, "quorum-is-kept");
}

#[test]
fn a_plan_that_panics_is_seen() {
    assert_eq!(broken_by(|tx| tx.remove(&Settings::key())), "plans-are-well");
}

#[test]
fn a_call_that_panics_is_seen() {
    assert_eq!(broken_by(|_| panic!("a mistake")), "nothing-panics");
}
