//! Stories of clusters: what is asked, what breaks, what is so in the end. Every rule of [`roadstead_sim::CHECKS`]
//! holds on the way, or the story fails.

use roadstead_cloud::autoscaling::Group;
use roadstead_cloud::ec2::instance::Instance;
use roadstead_cloud::ec2::network_interface::NetworkInterface;
use roadstead_cloud::ec2::volume::Volume;
use roadstead_cloud::fabric::{HostItem, Want, gone};
use roadstead_hostspec::{Balancer, Content, Credential, ItemKind, Machine, Quorum, Reviewer};
use roadstead_shapes::{eks, iam};
use roadstead_sim::{Crash, Ground, State, World, cluster_key};
use roadstead_store::{Index, Key, Read as _};
use roadstead_types::Millis;

/// A world with a cluster that serves.
fn with_cluster(name: &str) -> World {
    let mut world = World::calm();
    world.create_cluster(name);
    world.settle();
    assert_eq!(world.state(name), Some(State::Active));
    world
}

/// Which of all data directories is on a disk.
fn marker(world: &mut World, disk: &str) -> Option<u64> {
    world.host().data(disk).map(|data| data.marker)
}

#[test]
fn a_cluster_becomes_active() {
    let mut world = World::calm();
    world.create_cluster("a");
    assert_eq!(world.state("a"), Some(State::Creating));
    assert!(!world.issues("a").is_empty(), "what it waits for is said");
    world.settle();
    assert_eq!((world.state("a"), world.issues("a")), (Some(State::Active), vec![]));
    assert_eq!(world.host().running().len(), 5, "three members of etcd, two API servers");
}

#[test]
fn a_deleted_cluster_leaves_nothing() {
    let mut world = with_cluster("a");
    world.delete_cluster("a");
    assert_eq!(world.state("a"), Some(State::Deleting));
    world.settle();
    assert_eq!(world.state("a"), None);
    assert_eq!((world.leftovers(), world.host().count()), (vec![], 0));
}

#[test]
fn a_cluster_can_be_deleted_at_any_moment_of_its_making() {
    for seconds in 0..16 {
        let mut world = World::calm();
        world.create_cluster("a");
        world.wait(Millis::secs(seconds));
        world.delete_cluster("a");
        world.settle();
        assert_eq!((world.leftovers(), world.host().count()), (vec![], 0), "deleted after {seconds} s");
    }
}

#[test]
fn a_name_is_free_when_its_cluster_is_gone_and_not_before() {
    let mut world = with_cluster("a");
    let first = world.cluster("a").unwrap().spec.id;
    let why = world.try_create_cluster("a", Ground::Wide).unwrap_err();
    assert_eq!(why.to_string(), "ResourceInUseException: Cluster already exists with name: a");
    world.delete_cluster("a");
    assert!(world.try_create_cluster("a", Ground::Wide).is_err());
    world.create_when_gone("a", Ground::Wide);
    world.settle();
    assert_eq!(world.state("a"), Some(State::Active));
    assert_ne!(world.cluster("a").unwrap().spec.id, first);
}

#[test]
fn a_retried_request_is_answered_again_and_makes_nothing() {
    let mut world = World::calm();
    let request = eks::CreateClusterRequest { client_request_token: Some("once".into()), ..world.request("a") };
    let first = world.call(&eks::CREATE_CLUSTER, request.clone()).unwrap();
    world.settle();
    let records = world.leftovers().len();
    assert_eq!(world.call(&eks::CREATE_CLUSTER, request).unwrap(), first);
    world.settle();
    assert_eq!(world.leftovers().len(), records);
}

#[test]
fn a_token_stands_for_its_cluster_no_longer_than_the_cluster() {
    let mut world = World::calm();
    let request = eks::CreateClusterRequest { client_request_token: Some("once".into()), ..world.request("a") };
    world.call(&eks::CREATE_CLUSTER, request.clone()).unwrap();
    world.settle();
    let first = world.cluster("a").unwrap().spec.id;
    world.delete_cluster("a");
    let why = world.call(&eks::CREATE_CLUSTER, request.clone()).unwrap_err();
    assert_eq!(why.to_string(), "ResourceInUseException: Cluster already exists with name: a");
    world.settle();
    world.call(&eks::CREATE_CLUSTER, request).unwrap();
    world.settle();
    assert_eq!(world.state("a"), Some(State::Active));
    assert_ne!(world.cluster("a").unwrap().spec.id, first);
}

#[test]
fn two_clusters_asked_for_at_once_share_nothing() {
    let mut world = World::calm();
    world.create_cluster("a");
    world.create_cluster("b");
    world.settle();
    let places = ["a", "b"].map(|name| world.cluster(name).unwrap().placement.unwrap());
    let [a, b] = &places;
    assert_ne!(a.public_address, b.public_address);
    assert_ne!(a.network, b.network);
    assert!(a.balancer_addresses.iter().all(|address| !b.balancer_addresses.contains(address)));
}

#[test]
fn a_dead_machine_comes_back_with_its_data() {
    let mut world = with_cluster("a");
    let volume = world.cluster("a").unwrap().placement.unwrap().members[0].volume.clone();
    let (machine, data) = (world.machine("a", "etcd-1"), marker(&mut world, &volume));
    assert!(world.host().kill_machine(&machine));
    world.settle();
    assert_eq!(world.machine("a", "etcd-1"), machine, "no replacement: a host starts its machines again");
    assert!(world.host().running().contains(&machine));
    assert_eq!(marker(&mut world, &volume), data);
    assert_eq!(world.issues("a"), Vec::<String>::new());
}

#[test]
fn a_cluster_without_quorum_says_so_and_stays_active() {
    let mut world = with_cluster("a");
    for slot in ["etcd-1", "etcd-2"] {
        let machine = world.machine("a", slot);
        world.host().kill_machine(&machine);
    }
    world.host().leave(Millis::mins(2));
    world.wait(Millis::mins(1));
    assert_eq!(world.state("a"), Some(State::Active));
    assert!(!world.issues("a").is_empty());
    world.settle();
    assert_eq!((world.state("a"), world.issues("a")), (Some(State::Active), vec![]));
}

#[test]
fn everything_comes_back_after_the_power_was_off() {
    let mut world = with_cluster("a");
    let members = world.cluster("a").unwrap().placement.unwrap().members;
    let data: Vec<_> = members.iter().map(|member| marker(&mut world, &member.volume)).collect();
    assert!(data.iter().all(Option::is_some));
    world.power_off(Millis::secs(30));
    world.wait(Millis::secs(1));
    assert!(world.host().running().is_empty());
    world.settle();
    assert_eq!((world.state("a"), world.issues("a")), (Some(State::Active), vec![]));
    assert_eq!(members.iter().map(|m| marker(&mut world, &m.volume)).collect::<Vec<_>>(), data);
}

#[test]
fn clusters_do_not_notice_that_the_region_is_away() {
    let mut world = with_cluster("a");
    let id = world.cluster("a").unwrap().spec.id;
    world.crash(Crash::Killed, Millis::mins(5));
    world.wait(Millis::mins(1));
    assert_eq!(world.host().serving(&id), 2);
    let api = world.machine("a", "api-1");
    world.host().kill_machine(&api);
    world.wait(Millis::mins(1));
    assert_eq!(world.host().serving(&id), 2, "the agent starts machines alone");
}

#[test]
fn a_request_cut_off_by_a_crash_is_done_or_not_done() {
    for (crash, done) in [(Crash::LosesBatch, false), (Crash::KeepsBatch, true)] {
        let mut world = World::calm();
        world.crash(crash, Millis::secs(1));
        let refused = world.try_create_cluster("a", Ground::Wide).unwrap_err();
        assert!(refused.to_string().starts_with("ServiceUnavailable"), "{refused}");
        world.settle();
        assert_eq!(world.state("a"), done.then_some(State::Active));
    }
}

#[test]
fn a_cluster_that_is_not_active_within_the_hour_has_failed() {
    let mut world = World::calm();
    world.host().leave(Millis::mins(70));
    world.create_cluster("a");
    world.wait(Millis::mins(59));
    assert_eq!(world.state("a"), Some(State::Creating));
    world.wait(Millis::mins(2));
    assert_eq!(world.state("a"), Some(State::Failed));
    world.wait(Millis::mins(20));
    assert_eq!(world.state("a"), Some(State::Failed), "it stays so, though it serves by now");
    world.delete_cluster("a");
    world.settle();
    assert_eq!((world.leftovers(), world.host().count()), (vec![], 0));
}

#[test]
fn an_api_server_is_replaced_only_when_the_other_one_serves() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        world.create_cluster("a");
        world.settle();
        let id = world.cluster("a").unwrap().spec.id;
        world.reconfigure(|settings| settings.kubernetes[1].components = "kubernetes-1.36.4".into());
        world.settle_watching(|world| {
            assert!(world.host().serving(&id) > 0, "seed {seed}: no target that the balancer calls healthy serves");
        });
        assert_eq!(world.issues("a"), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn etcd_keeps_its_quorum_while_its_machines_are_replaced() {
    for seed in 0..8 {
        let mut world = World::new(seed);
        world.create_cluster("a");
        world.settle();
        let slots = ["etcd-1", "etcd-2", "etcd-3"];
        let before = slots.map(|slot| world.machine("a", slot));
        world.reconfigure(|settings| settings.etcd = "etcd-3.6.17".into());
        world.settle_watching(|world| {
            let running = world.host().running();
            let members = slots.iter().filter_map(|slot| world.find_machine("a", slot));
            assert!(members.filter(|id| running.contains(id)).count() >= 2, "seed {seed}: the quorum is lost");
        });
        assert!(slots.iter().zip(before).all(|(slot, before)| world.machine("a", slot) != before), "seed {seed}");
    }
}

#[test]
fn a_patch_that_is_taken_back_ends_where_it_began() {
    let mut world = with_cluster("a");
    let before = world.machine("a", "etcd-3");
    world.reconfigure(|settings| settings.etcd = "etcd-3.6.17".into());
    world.wait(Millis::secs(5));
    world.reconfigure(|settings| settings.etcd = "etcd-3.6.16".into());
    world.settle();
    assert_eq!(world.machine("a", "etcd-3"), before, "it was never touched");
    assert_eq!((world.state("a"), world.issues("a")), (Some(State::Active), vec![]));
}

#[test]
fn who_waits_for_an_address_gets_it_when_one_is_free() {
    let mut world = World::calm();
    for name in ["a", "b", "c"] {
        world.try_create_cluster(name, Ground::Narrow).unwrap();
    }
    world.settle();
    let refused = world.try_create_cluster("d", Ground::Narrow).unwrap_err();
    assert!(refused.to_string().contains("fewer than 6 free"), "{refused}");
    world.delete_cluster("b");
    world.settle();
    world.try_create_cluster("d", Ground::Narrow).unwrap();
    world.settle();
    assert_eq!(world.state("d"), Some(State::Active));
}

#[test]
fn a_new_access_key_is_known_to_hosts_and_a_deleted_one_is_not() {
    let mut world = World::calm();
    let made = world.call(&iam::CREATE_ACCESS_KEY, iam::CreateAccessKeyRequest::default()).unwrap();
    world.settle();
    assert!(world.host().has(ItemKind::Credential, &made.access_key.access_key_id));
    let access_key_id = made.access_key.access_key_id;
    world.call(&iam::DELETE_ACCESS_KEY, iam::DeleteAccessKeyRequest { access_key_id, user_name: None }).unwrap();
    world.settle();
    assert_eq!((world.leftovers(), world.host().count()), (vec![], 0));
}

#[test]
fn a_stuck_cluster_explains_itself() {
    let mut world = World::calm();
    world.host().leave(Millis::mins(10));
    world.create_cluster("a");
    world.wait(Millis::mins(1));
    let plans = world.explain(&cluster_key("a").any());
    let whys: Vec<String> = plans.iter().map(|plan| format!("{}: {}", plan.planner, plan.why)).collect();
    let cluster = "eks/cluster: Creating: etcd-1: no host has reported it yet";
    let membership = "eks/membership: waits for the first quorum";
    let inside = ["eks/nodes: the cluster is not there", "eks/default-addons: the cluster is not there"];
    assert_eq!(whys, [cluster, membership, inside[0], inside[1]]);
}

#[test]
fn a_machine_that_does_not_get_ready_is_replaced_in_its_place() {
    for slot in ["etcd-2", "api-1"] {
        let mut world = with_cluster("a");
        let volume = world.volume("a", "etcd-2");
        let machine = world.machine("a", slot);
        world.host().wedge(&machine);
        world.wait(Millis::secs(150));
        assert_eq!(world.machine("a", slot), machine, "it may get ready yet");
        world.settle();
        assert_ne!(world.machine("a", slot), machine);
        assert_eq!(world.volume("a", "etcd-2"), volume, "on the same disk");
        assert_eq!((world.state("a"), world.issues("a")), (Some(State::Active), vec![]));
    }
}

#[test]
fn a_machine_that_waits_for_what_others_make_is_not_replaced() {
    let mut world = World::calm();
    world.host().hold_builds(true);
    world.create_cluster("a");
    world.wait(Millis::secs(10));
    let slots = ["etcd-1", "etcd-2", "etcd-3", "api-1", "api-2"];
    let machines = slots.map(|slot| world.machine("a", slot));
    world.wait(Millis::mins(30));
    assert!(world.issues("a").iter().any(|issue| issue.contains("being built")), "{:?}", world.issues("a"));
    assert_eq!(slots.map(|slot| world.machine("a", slot)), machines);
    world.host().hold_builds(false);
    world.settle();
    assert_eq!((world.state("a"), world.issues("a")), (Some(State::Active), vec![]));
    assert_eq!(slots.map(|slot| world.machine("a", slot)), machines);
}

#[test]
fn of_machines_that_do_not_get_ready_one_is_replaced_at_a_time() {
    let mut world = with_cluster("a");
    let slots = ["etcd-1", "etcd-2", "etcd-3"];
    let machines = slots.map(|slot| world.machine("a", slot));
    for machine in &machines {
        world.host().wedge(machine);
    }
    world.settle_watching(|world| {
        let there = slots.iter().filter(|slot| world.find_machine("a", slot).is_some()).count();
        assert!(there >= 2, "two are replaced at once");
    });
    assert_eq!((world.state("a"), world.issues("a")), (Some(State::Active), vec![]));
    assert!(slots.iter().zip(machines).all(|(slot, machine)| world.machine("a", slot) != machine));
}

/// What a host is told of an item.
fn wanted<T: HostItem>(world: &World, id: &str) -> T {
    world.view().get(&Key::<Want<T>>::new(id)).expect("it is wanted").body.0
}

#[test]
fn a_cluster_stands_as_it_was_designed() {
    let world = with_cluster("a");
    let cluster = world.cluster("a").expect("it is there");
    let placement = cluster.placement.expect("it has its place");
    let quorum: Quorum = wanted(&world, &cluster.spec.group_name("etcd"));
    assert_eq!((quorum.majority, quorum.members.len()), (2, 3));
    let subnet = |interface: &str| world.view().get(&NetworkInterface::key(interface)).expect("it is there").body;
    for member in &placement.members {
        let volume = world.view().get(&Volume::key(&member.volume)).expect("it is there").body;
        assert_eq!(volume.bytes, 20 << 30);
        assert_eq!(volume.zone, subnet(&member.interface).zone, "a member is where its volume is");
        assert_eq!(wanted::<Machine>(&world, &world.machine("a", &member.name)).memory_bytes, 2 << 30);
    }
    for server in &placement.servers {
        assert_eq!(subnet(&server.front).zone, subnet(&server.back).zone, "both of its legs are in one zone");
        let machine: Machine = wanted(&world, &world.machine("a", &server.name));
        assert_eq!(machine.memory_bytes, 4 << 30);
        let text = |path: &str| match &machine.files.iter().find(|file| file.path == path).expect(path).content {
            Content::Text(text) => text.clone(),
            Content::Sealed(_) => panic!("{path} is sealed"),
        };
        for (program, name) in [("kube-controller-manager", "kcm"), ("kube-scheduler", "scheduler")] {
            let kubeconfig = text(&format!("/etc/kubernetes/{program}.kubeconfig"));
            assert!(kubeconfig.contains("server: \"https://127.0.0.1:443\""), "{kubeconfig}");
            assert!(kubeconfig.contains(&format!("client-key: /etc/kubernetes/pki/{name}.key")), "{kubeconfig}");
        }
        assert!(text("/etc/kubernetes/token-webhook.kubeconfig").contains("user: {}"));
    }
}

#[test]
fn what_serves_goes_before_the_machines() {
    let mut world = with_cluster("a");
    let id = world.cluster("a").expect("it is there").spec.id;
    let (etcd, probe) = (format!("eks-{id}-etcd"), format!("AKIA{}", &id[..16]));
    world.delete_cluster("a");
    let mut seen = 0;
    world.settle_watching(|world| {
        let view = world.view();
        let groups = view.list(Index::<Group>::all());
        let instances = view.list(Index::<Instance>::all());
        if groups.iter().all(|group| group.deleting.is_none()) && instances.iter().all(|i| i.deleting.is_none()) {
            return;
        }
        seen += 1;
        assert!(gone::<Balancer>(view, &id), "the balancer leads to machines that go");
        assert!(gone::<Quorum>(view, &etcd) && gone::<Reviewer>(view, &id) && gone::<Credential>(view, &probe));
    });
    assert!(seen > 0, "the machines were seen to go");
}

#[test]
fn a_cluster_that_is_not_active_after_an_hour_has_failed_whatever_happened_meanwhile() {
    let mut world = World::calm();
    world.host().leave(Millis::mins(180));
    world.create_cluster("a");
    world.wait(Millis::mins(30));
    world.set_public_cidrs("a", false).expect("it can be changed");
    world.wait(Millis::mins(29));
    assert_eq!(world.state("a"), Some(State::Creating));
    world.wait(Millis::mins(2));
    assert_eq!(world.state("a"), Some(State::Failed));
}
