//! Stories of node groups: what is asked, what breaks, what is so in the end. Every rule of [`roadstead_sim::CHECKS`]
//! holds on the way, or the story fails.

use roadstead_cloud::eks::nodegroup::State as Group;
use roadstead_cloud::eks::update::State as Update;
use roadstead_sim::{State, World};
use roadstead_types::Millis;

/// A world with a cluster that serves.
fn with_cluster() -> World {
    let mut world = World::calm();
    world.create_cluster("a");
    world.settle();
    assert_eq!(world.state("a"), Some(State::Active));
    world
}

/// And with a node group of so many Ready nodes.
fn with_nodes(size: i32) -> World {
    let mut world = with_cluster();
    world.create_nodegroup("a", "n", size);
    world.settle();
    let size = usize::try_from(size).unwrap();
    assert_eq!((state(&world), world.ready_nodes("a", "n").len()), (Some(Group::Active), size), "{}", world.log());
    world
}

fn state(world: &World) -> Option<Group> {
    world.nodegroup("a", "n").map(|group| group.status.state)
}

fn settle_for(world: &mut World, mins: u64) {
    world.wait(Millis::mins(mins));
    world.settle();
}

#[test]
fn a_node_group_becomes_active_when_its_nodes_are_ready() {
    let world = with_nodes(3);
    let zones: std::collections::BTreeSet<String> = world.members("a", "n").into_values().map(|m| m.zone).collect();
    assert_eq!(zones.len(), 2, "evenly over the zones of its subnets");
    assert!(world.nodegroup("a", "n").unwrap().status.issues.is_empty());
}

#[test]
fn a_deleted_node_group_leaves_nothing() {
    let mut world = with_nodes(3);
    world.try_delete_nodegroup("a", "n").unwrap();
    assert_eq!(state(&world), Some(Group::Deleting));
    world.settle();
    assert_eq!(state(&world), None, "{}", world.log());
    assert_eq!(world.host().running().len(), 5, "only the control plane");
    world.delete_cluster("a");
    settle_for(&mut world, 60);
    assert_eq!((world.leftovers(), world.host().count()), (vec![], 0));
}

#[test]
fn an_update_replaces_every_node() {
    let mut world = with_nodes(3);
    let before = world.members("a", "n");
    world.reconfigure(|settings| settings.kubernetes.iter_mut().for_each(|v| v.image_date = "20991231".into()));
    let update = world.try_update_nodegroup("a", "n", false).unwrap();
    assert_eq!(state(&world), Some(Group::Updating));
    settle_for(&mut world, 60);
    assert_eq!(world.update("a", &update).unwrap().state, Update::Successful, "{}", world.log());
    assert_eq!((state(&world), world.ready_nodes("a", "n").len()), (Some(Group::Active), 3));
    assert!(world.members("a", "n").keys().all(|id| !before.contains_key(id)));
    assert!(world.nodegroup("a", "n").unwrap().spec.release.release_version.ends_with("20991231"));
}

/// A name tells one of these from the seeds of clusters alone.
fn pass(range: std::ops::Range<u64>) {
    for seed in range {
        if let Err(failed) = roadstead_sim::seeds::run(seed, &roadstead_sim::seeds::Options::nodes()) {
            panic!("{failed}");
        }
    }
}

#[test]
fn no_rule_is_broken_under_seeds_0_to_19() {
    pass(0..20);
}
