//! Stories of etcd's membership: whoever loses a disk, whatever breaks meanwhile. The rules of
//! [`roadstead_sim::CHECKS`] hold on the way: no vote is forgotten, no acknowledged write lost, no healthy member taken
//! out, one at a time.

use roadstead_cloud::ec2::instance::Instance;
use roadstead_cloud::eks::cluster::{Member, Stage};
use roadstead_cloud::eks::etcd::{self, Action, peer_url};
use roadstead_sim::{Crash, State, World};
use roadstead_store::Read as _;
use roadstead_types::Millis;

const MEMBERS: [&str; 3] = ["etcd-1", "etcd-2", "etcd-3"];

/// A world with a cluster that serves.
fn world(mut world: World) -> World {
    world.create_cluster("a");
    world.settle();
    assert_eq!(world.state("a"), Some(State::Active));
    world
}

fn lose(world: &mut World, member: &str) -> String {
    let volume = world.volume("a", member).expect("a member has a volume");
    assert!(world.host().lose_disk(&volume), "{member} has a disk to lose");
    volume
}

fn assert_whole(world: &mut World) {
    world.settle();
    assert_eq!((world.state("a"), world.issues("a")), (Some(State::Active), vec![]));
    let id = world.cluster("a").expect("it is there").spec.id;
    assert_eq!(world.host().whole_members(&id), Some(3), "three votes again");
    assert_eq!(world.host().serving(&id), 2);
}

/// One member is told why.
fn assert_says(world: &World, what: &str) {
    let issues = world.issues("a");
    assert!(issues.iter().any(|issue| issue.contains(what)), "{what}: {issues:?}");
}

#[test]
fn a_member_whose_disk_is_lost_begins_anew_and_nobody_else_is_touched() {
    let mut world = world(World::calm());
    let machines = MEMBERS.map(|member| world.machine("a", member));
    let volume = lose(&mut world, "etcd-2");
    let id = world.cluster("a").unwrap().spec.id;
    world.settle_watching(|world| assert_eq!(world.host().serving(&id), 2, "clients notice nothing"));
    assert_whole(&mut world);
    assert_ne!(world.volume("a", "etcd-2").unwrap(), volume);
    assert_eq!(world.host().data(&volume), None, "nothing is left of the old disk");
    let same = MEMBERS.map(|member| machines.contains(&world.machine("a", member)));
    assert_eq!(same, [true, false, true]);
}

#[test]
fn a_lost_disk_is_told_of_while_it_is_replaced() {
    let mut world = world(World::calm());
    lose(&mut world, "etcd-2");
    world.wait(Millis::secs(1));
    assert_says(&world, "etcd-2 is being replaced: its disk");
    assert_whole(&mut world);
}

#[test]
fn members_lose_their_disks_one_after_the_other() {
    let mut world = world(World::calm());
    for member in MEMBERS.into_iter().chain(MEMBERS) {
        lose(&mut world, member);
        assert_whole(&mut world);
    }
}

#[test]
fn of_two_lost_disks_nothing_is_changed_and_it_is_said_what_to_do() {
    let mut world = world(World::calm());
    let machines = MEMBERS.map(|member| world.machine("a", member));
    for member in ["etcd-1", "etcd-3"] {
        lose(&mut world, member);
    }
    world.settle();
    assert_says(&world, "2 of 3 disks of etcd are lost");
    assert_says(&world, "make another cluster");
    assert_eq!(MEMBERS.map(|member| world.machine("a", member)), machines, "nobody was touched");
    world.delete_cluster("a");
    world.settle();
    assert_eq!((world.leftovers(), world.host().count()), (vec![], 0));
}

#[test]
fn who_is_down_is_waited_for_before_a_member_leaves() {
    let mut world = world(World::calm());
    let other = world.machine("a", "etcd-3");
    world.host().cut(&other, true);
    world.wait(Millis::secs(5));
    let machine = world.machine("a", "etcd-2");
    lose(&mut world, "etcd-2");
    world.settle();
    assert_eq!(world.machine("a", "etcd-2"), machine, "it runs on what it has open, and is half of the quorum");
    world.host().join();
    assert_whole(&mut world);
    assert_ne!(world.machine("a", "etcd-2"), machine);
}

#[test]
fn a_member_may_lose_its_new_disk_too() {
    for tenths in (1..80).step_by(4) {
        let mut world = world(World::calm());
        lose(&mut world, "etcd-1");
        world.wait(Millis(tenths * 100));
        let volume = world.volume("a", "etcd-1").unwrap();
        world.host().lose_disk(&volume);
        assert_whole(&mut world);
    }
}

#[test]
fn a_member_that_has_its_vote_again_is_not_taken_from_a_quorum_that_needs_it() {
    let mut needed = 0;
    for tenths in (20..80).step_by(4) {
        let mut world = world(World::calm());
        let id = world.cluster("a").expect("it is there").spec.id;
        lose(&mut world, "etcd-1");
        world.wait(Millis(tenths * 100));
        let other = world.machine("a", "etcd-2");
        world.host().cut(&other, true);
        let volume = world.volume("a", "etcd-1").expect("a member has a volume");
        world.host().lose_disk(&volume);
        if world.host().has_quorum(&id) {
            needed += 1;
            world.settle_watching(|world| assert!(world.host().has_quorum(&id), "it was taken by our hand"));
        }
        world.host().join();
        assert_whole(&mut world);
    }
    assert!(needed > 0, "in some of these moments it has its vote, and is needed");
}

/// A member as the region knows it.
fn member(world: &World, name: &str) -> Member {
    let members = world.cluster("a").and_then(|cluster| cluster.placement).expect("it is placed").members;
    members.into_iter().find(|member| member.name == name).expect("it has this member")
}

/// Waits until the member was added to etcd, and does something to it until that is done.
fn joining(world: &mut World, name: &str, mut act: impl FnMut(&mut World, u64, &Member) -> bool) {
    for _ in 0..20_000 {
        world.wait(Millis(2));
        let member = member(world, name);
        if let Stage::Joining { id: Some(id) } = member.stage
            && act(world, id, &member)
        {
            return;
        }
    }
    panic!("{name} never was where it could be done");
}

#[test]
fn a_disk_that_is_lost_before_anybody_saw_that_its_member_has_a_vote_is_kept_for_a_quorum_that_needs_it() {
    let mut world = world(World::calm());
    let id = world.cluster("a").expect("it is there").spec.id;
    lose(&mut world, "etcd-1");
    joining(&mut world, "etcd-1", |world, _, _| world.host().whole_members(&id) == Some(3));
    let (other, volume) = (world.machine("a", "etcd-2"), world.volume("a", "etcd-1").expect("a member has a volume"));
    world.host().cut(&other, true);
    world.host().lose_disk(&volume);
    assert!(world.host().has_quorum(&id));
    world.settle_watching(|world| assert!(world.host().has_quorum(&id), "it was taken by our hand"));
    world.host().join();
    assert_whole(&mut world);
}

#[test]
fn a_member_that_somebody_else_takes_out_and_adds_again_begins_anew() {
    let mut world = world(World::calm());
    let id = world.cluster("a").expect("it is there").spec.id;
    lose(&mut world, "etcd-2");
    joining(&mut world, "etcd-2", |world, old, member| {
        let mut done = |action| world.host().change_etcd(&id, &action) == Some(Ok(()));
        done(Action::Remove(old)) && done(Action::AddLearner(peer_url(member.address)))
    });
    let volume = world.volume("a", "etcd-2").expect("a member has a volume");
    assert_whole(&mut world);
    assert_ne!(world.volume("a", "etcd-2"), Some(volume), "what it has is of another member");
}

#[test]
fn while_etcd_has_a_member_that_nobody_here_has_added_nobody_leaves() {
    let mut world = world(World::calm());
    let id = world.cluster("a").expect("it is there").spec.id;
    world.wait(Millis::secs(10));
    let stranger = Action::AddLearner("https://198.19.9.9:2380".into());
    assert_eq!(world.host().change_etcd(&id, &stranger), Some(Ok(())));
    let machine = world.machine("a", "etcd-2");
    lose(&mut world, "etcd-2");
    world.settle();
    assert_eq!(world.machine("a", "etcd-2"), machine, "it runs on what it has open");
}

/// How many steps etcd was asked for.
fn steps(world: &World) -> u64 {
    let id = world.cluster("a").expect("it is there").spec.id;
    world.view().get(&etcd::key(&id)).expect("it has steps").body.step.number
}

#[test]
fn a_step_that_etcd_refuses_is_not_asked_for_again_at_once() {
    let mut world = world(World::calm());
    lose(&mut world, "etcd-1");
    while member(&world, "etcd-1").stage != (Stage::Joining { id: None }) {
        world.wait(Millis(2));
    }
    // Who has just come back counts as unhealthy for five seconds, and etcd adds nobody meanwhile.
    let other = world.machine("a", "etcd-2");
    assert!(world.host().kill_process(&other, "etcd"));
    let (began, first) = (world.now(), steps(&world));
    while member(&world, "etcd-1").stage == (Stage::Joining { id: None }) {
        world.wait(Millis(2));
    }
    let (took, asked) = (world.now().since(began), steps(&world) - first);
    assert!(asked > 3 && asked <= took.0 / 300 + 2, "{asked} steps in {took:?}");
    assert_whole(&mut world);
}

#[test]
fn what_was_seen_before_the_region_was_away_counts_no_more() {
    for secs in [11, 20, 60] {
        let mut world = world(World::calm());
        let id = world.cluster("a").expect("it is there").spec.id;
        world.wait(Millis::secs(10));
        let (machine, other) = (world.machine("a", "etcd-1"), world.machine("a", "etcd-3"));
        world.host().cut(&other, true);
        lose(&mut world, "etcd-1");
        // It is watched how the others are, until the third serves.
        world.wait(Millis::secs(5));
        world.crash(Crash::Killed, Millis::secs(secs));
        world.wait(Millis::secs(1));
        world.host().join();
        world.wait(Millis::secs(secs - 3));
        let stranger = Action::AddLearner("https://198.19.9.9:2380".into());
        assert_eq!(world.host().change_etcd(&id, &stranger), Some(Ok(())));
        world.settle();
        assert_eq!(world.machine("a", "etcd-1"), machine, "somebody is at work there");
    }
}

#[test]
fn the_region_may_end_at_any_moment() {
    for (n, crash) in [Crash::Killed, Crash::LosesBatch, Crash::KeepsBatch].into_iter().enumerate() {
        for tenths in (0..80).skip(n).step_by(6) {
            let mut world = world(World::calm());
            lose(&mut world, "etcd-3");
            world.wait(Millis(tenths * 100));
            world.crash(crash, Millis::secs(3));
            assert_whole(&mut world);
        }
    }
}

#[test]
fn the_power_may_fail_at_any_moment() {
    for tenths in (0..80).step_by(4) {
        let mut world = world(World::calm());
        lose(&mut world, "etcd-2");
        world.wait(Millis(tenths * 100));
        world.power_off(Millis::secs(5));
        assert_whole(&mut world);
    }
}

#[test]
fn a_clock_that_jumps_makes_no_observation_count_that_should_not() {
    for tenths in (0..80).step_by(4) {
        let mut world = world(World::calm());
        lose(&mut world, "etcd-2");
        world.wait(Millis(tenths * 100));
        world.jump(Millis::mins(90));
        assert_whole(&mut world);
    }
}

#[test]
fn a_cluster_can_be_deleted_while_a_member_is_on_its_way() {
    for tenths in (0..80).step_by(4) {
        let mut world = world(World::calm());
        lose(&mut world, "etcd-2");
        world.wait(Millis(tenths * 100));
        world.delete_cluster("a");
        world.settle();
        assert_eq!((world.leftovers(), world.host().count()), (vec![], 0));
    }
}

#[test]
fn a_new_patch_of_etcd_waits_until_the_members_are_whole() {
    for tenths in (0..60).step_by(4) {
        let mut world = world(World::calm());
        lose(&mut world, "etcd-2");
        world.wait(Millis(tenths * 100));
        world.reconfigure(|settings| settings.etcd = "etcd-3.6.17".into());
        assert_whole(&mut world);
    }
}

/// Seed 479: while the one that never gets ready again was taken for a vote, each of the two waited for the other.
#[test]
fn a_lost_disk_and_a_machine_that_never_gets_ready_again_are_healed_one_after_the_other() {
    let mut world = world(World::calm());
    lose(&mut world, "etcd-3");
    let (lost, wedged) = (world.machine("a", "etcd-3"), world.machine("a", "etcd-1"));
    assert!(world.host().kill_machine(&lost), "it runs on what it has open");
    world.host().wedge(&wedged);
    assert_whole(&mut world);
}

#[test]
fn a_member_that_does_not_get_ready_on_its_data_begins_anew() {
    let mut world = world(World::calm());
    let volume = world.volume("a", "etcd-1").unwrap();
    let machine = world.machine("a", "etcd-1");
    world.host().spoil_disk(&volume);
    world.host().kill_process(&machine, "etcd");
    world.wait(Millis::mins(4));
    assert_eq!(world.volume("a", "etcd-1").unwrap(), volume, "it may get ready yet");
    assert_whole(&mut world);
    assert_ne!(world.volume("a", "etcd-1").unwrap(), volume);
}

/// The disk of a member stalls; its volume.
fn stall(world: &mut World, member: &str) -> String {
    let volume = world.volume("a", member).expect("a member has a volume");
    assert!(world.host().stall_disk(&volume), "{member} has a disk to stall");
    volume
}

#[test]
fn a_member_whose_disk_stalls_for_good_begins_anew_and_its_machine_is_done_without() {
    let mut world = world(World::calm());
    let machines = MEMBERS.map(|member| world.machine("a", member));
    let volume = stall(&mut world, "etcd-2");
    let id = world.cluster("a").unwrap().spec.id;
    world.wait(Millis::secs(110));
    assert_eq!(world.volume("a", "etcd-2").unwrap(), volume, "it may go on yet");
    world.settle_watching(|world| assert_eq!(world.host().serving(&id), 2, "clients notice nothing"));
    assert_whole(&mut world);
    assert_ne!(world.volume("a", "etcd-2").unwrap(), volume);
    let same = MEMBERS.map(|member| machines.contains(&world.machine("a", member)));
    assert_eq!(same, [true, false, true]);
    assert!(world.host().data(&volume).is_some(), "the machine that was killed has it mounted");
    world.host().resume();
    assert_whole(&mut world);
    assert_eq!(world.host().data(&volume), None, "the machine ended, and nobody wants its disk");
}

#[test]
fn who_is_killed_and_does_not_end_is_told_of() {
    let mut world = world(World::calm());
    let stalled = world.machine("a", "etcd-2");
    stall(&mut world, "etcd-2");
    world.settle();
    let why = world.explain(&Instance::key(&stalled).any());
    assert!(why.iter().any(|plan| plan.why.to_string().contains("killed, without network, and not gone")), "{why:?}");
}

#[test]
fn a_disk_that_goes_on_in_time_keeps_its_member() {
    for secs in (10..120).step_by(20) {
        let mut world = world(World::calm());
        let (volume, machine) = (stall(&mut world, "etcd-3"), world.machine("a", "etcd-3"));
        world.wait(Millis::secs(secs));
        world.host().resume();
        assert_whole(&mut world);
        assert_eq!((world.volume("a", "etcd-3").unwrap(), world.machine("a", "etcd-3")), (volume, machine));
    }
}

#[test]
fn a_stalled_member_stays_while_another_does_not_serve() {
    let mut world = world(World::calm());
    let other = world.machine("a", "etcd-3");
    world.host().cut(&other, true);
    let (volume, machine) = (stall(&mut world, "etcd-1"), world.machine("a", "etcd-1"));
    world.wait(Millis::secs(160));
    assert_eq!((world.volume("a", "etcd-1").unwrap(), world.machine("a", "etcd-1")), (volume.clone(), machine));
    world.host().join();
    // What it did not do while nobody could do anything is not held against it: its time begins now.
    world.wait(Millis::secs(90));
    assert_eq!(world.volume("a", "etcd-1").unwrap(), volume);
    assert_whole(&mut world);
    assert_ne!(world.volume("a", "etcd-1").unwrap(), volume);
}

#[test]
fn two_stalled_disks_are_waited_for() {
    let mut world = world(World::calm());
    let stalled = ["etcd-1", "etcd-2"];
    let volumes = stalled.map(|member| stall(&mut world, member));
    world.settle();
    assert_eq!(stalled.map(|member| world.volume("a", member).unwrap()), volumes);
    world.host().resume();
    assert_whole(&mut world);
    assert_eq!(stalled.map(|member| world.volume("a", member).unwrap()), volumes, "they hold what was acknowledged");
}

#[test]
fn a_new_disk_may_stall_too() {
    // From two minutes on the member leaves, and is back on a new disk half a minute later.
    for tenths in (1400..1700).step_by(7) {
        let mut world = world(World::calm());
        stall(&mut world, "etcd-1");
        world.wait(Millis(tenths * 100));
        stall(&mut world, "etcd-1");
        assert_whole(&mut world);
        world.host().resume();
        assert_whole(&mut world);
    }
}

#[test]
fn whatever_ends_while_a_stalled_member_is_replaced() {
    for (n, tenths) in (1190..1700).step_by(15).enumerate() {
        let mut world = world(World::calm());
        stall(&mut world, "etcd-2");
        world.wait(Millis(tenths * 100));
        match n % 4 {
            0 => world.crash(Crash::Killed, Millis::secs(3)),
            1 => world.host().leave(Millis::secs(5)),
            2 => world.jump(Millis::mins(90)),
            _ => world.power_off(Millis::secs(5)),
        }
        assert_whole(&mut world);
        world.host().resume();
        assert_whole(&mut world);
    }
}

#[test]
fn a_cluster_is_deleted_when_the_last_of_its_machines_has_ended() {
    for tenths in [0, 1250, 1500, 1800] {
        let mut world = world(World::calm());
        stall(&mut world, "etcd-3");
        world.wait(Millis(tenths * 100));
        world.delete_cluster("a");
        world.settle();
        assert_eq!(world.state("a"), Some(State::Deleting), "its machine is there");
        world.host().resume();
        world.settle();
        assert_eq!((world.leftovers(), world.host().count()), (vec![], 0));
    }
}

#[test]
fn a_stalled_member_that_is_to_be_updated_begins_anew_with_the_new_patch() {
    let mut world = world(World::calm());
    let volume = stall(&mut world, "etcd-1");
    world.reconfigure(|settings| settings.etcd = "etcd-3.6.17".into());
    assert_whole(&mut world);
    assert_ne!(world.volume("a", "etcd-1").unwrap(), volume);
    world.host().resume();
    assert_whole(&mut world);
}

#[test]
fn a_member_that_starts_on_a_stalled_disk_gets_another_machine_first_and_then_another_disk() {
    let mut world = world(World::calm());
    let (volume, machine) = (world.volume("a", "etcd-2").unwrap(), world.machine("a", "etcd-2"));
    assert!(world.host().kill_process(&machine, "etcd"));
    world.host().stall_disk(&volume);
    world.wait(Millis::secs(170));
    assert_eq!((world.volume("a", "etcd-2").unwrap(), world.machine("a", "etcd-2")), (volume.clone(), machine));
    world.wait(Millis::secs(50));
    assert_eq!(world.find_machine("a", "etcd-2"), None, "its machine was killed, and has the disk");
    assert_whole(&mut world);
    assert_ne!(world.volume("a", "etcd-2").unwrap(), volume);
}

#[test]
fn a_member_that_starts_for_ever_on_its_disk_begins_anew() {
    let mut world = world(World::calm());
    let (volume, first) = (world.volume("a", "etcd-2").unwrap(), world.machine("a", "etcd-2"));
    world.host().wedge(&first);
    let second = loop {
        world.wait(Millis(50));
        match world.find_machine("a", "etcd-2") {
            Some(machine) if machine != first => break machine,
            _ => {}
        }
    };
    world.host().wedge(&second);
    assert_eq!(world.volume("a", "etcd-2").unwrap(), volume, "another machine is tried first");
    assert_whole(&mut world);
    assert_ne!(world.volume("a", "etcd-2").unwrap(), volume);
}
