//! Ways out of a network, and in, for real: a namespace plays the outside. Needs root.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod rig;

use rig::{Machine, Rig, dial, ip, lines, network, port, run};
use roadstead_host::net::Nets;
use roadstead_hostspec::{Exit, Network, Outside, Peer, Permission, SecurityGroup, Traffic};
use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Where the outside's server is.
const SERVER: &str = "198.51.100.1";
/// Who 10.0.1.5 is outside, and who reaches it there.
const ELASTIC: &str = "203.0.113.5";
/// Who everybody in 10.0.2.0/24 is outside.
const NAT: &str = "203.0.113.9";

struct World {
    nets: Nets,
    outside: Machine,
    /// 10.0.1.5, which has an address of its own outside.
    a: Machine,
    /// 10.0.2.5, behind a NAT gateway.
    b: Machine,
    /// 10.0.3.5, without a way.
    c: Machine,
    /// Removed last.
    rig: Rig,
}

/// A network with three subnets, and the outside with an address of its own.
async fn world() -> World {
    let rig = Rig::new();
    let outside = outside(&rig);
    let nets = rig.nets();
    nets.put_network(1, vpc("vpc-1", "0.0.0.0/0")).await;
    let (a, b, c) = (rig.machine("i-a"), rig.machine("i-b"), rig.machine("i-c"));
    for (machine, name, subnet) in [(&a, "eni-a", 1), (&b, "eni-b", 2), (&c, "eni-c", 3)] {
        plug(&nets, machine, "vpc-1", name, subnet).await;
    }
    World { nets, outside, a, b, c, rig }
}

fn outside(rig: &Rig) -> Machine {
    let outside = rig.machine("outside");
    run(&outside.namespace, &["ip", "address", "add", &format!("{SERVER}/32"), "dev", "lo"]);
    outside
}

async fn plug(nets: &Nets, machine: &Machine, vpc: &str, name: &str, subnet: u8) {
    let (block, address) = (format!("10.0.{subnet}.0/24"), format!("10.0.{subnet}.5"));
    nets.put_port(1, port(name, vpc, &block, &address)).await;
    machine.attach(nets, &[(name, "eth0")]).await;
}

/// 10.0.0.0/16, from which that block is reached.
fn vpc(id: &str, to: &str) -> Network {
    let exit = |from: &str, seen_as: &str, through: Option<&str>| Exit {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        seen_as: ip(seen_as),
        through: through.map(|subnet| subnet.parse().unwrap()),
    };
    let outside = Outside {
        exits: vec![exit("10.0.1.5/32", ELASTIC, None), exit("10.0.2.0/24", NAT, Some("10.0.1.0/24"))],
        reached: [(ip(ELASTIC), ip("10.0.1.5"))].into(),
    };
    Network { outside, ..network(id, "10.0.0.0/16") }
}

impl World {
    /// The wires that lead to the outside.
    fn wires(&self) -> Vec<String> {
        wires(&self.rig, &self.outside)
    }
}

/// The outside's ends of wires, as `ip` shows them.
fn wires(rig: &Rig, outside: &Machine) -> Vec<String> {
    lines("ip", &["-n", &outside.namespace, "-o", "link"], &format!(": {}o", rig.config.mark()))
}

fn server(port: u16) -> (Ipv4Addr, u16) {
    (ip(SERVER), port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_way_goes_out_under_its_public_address() {
    let world = world().await;
    let _server = world.outside.serve(80);
    for (machine, seen_as) in [(&world.a, ELASTIC), (&world.b, NAT)] {
        let mut client = machine.dial(server(80)).await.unwrap();
        assert_eq!((client.server.as_str(), client.seen_as), ("outside", ip(seen_as)));
        client.echo().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_none_is_told_so_at_once() {
    let world = world().await;
    let _server = world.outside.serve(80);
    let start = Instant::now();
    let refused = world.c.dial(server(80)).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::NetworkUnreachable, "{refused}");
    // An address inside that nobody has is not looked for outside.
    let nobody = world.a.dial((ip("10.0.2.77"), 80)).await.unwrap_err();
    assert_ne!(nobody.kind(), io::ErrorKind::TimedOut, "{nobody}");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let _inside = world.b.serve(80);
    assert_eq!(world.a.dial((ip("10.0.2.5"), 80)).await.unwrap().seen_as, ip("10.0.1.5"), "inside as ever");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_outside_only_elastic_addresses_are_reached() {
    let world = world().await;
    let (_a, _b) = (world.a.serve(80), world.b.serve(80));
    let client = world.outside.dial((ip(ELASTIC), 80)).await.unwrap();
    assert_eq!((client.server.as_str(), client.seen_as), ("i-a", ip(SERVER)));
    assert!(world.outside.dial((ip(NAT), 80)).await.is_err(), "a NAT gateway answers nobody");
    // A private address means nothing there, even to who routes it by hand.
    let link = world.wires()[0].clone();
    let link = link.split(": ").nth(2).unwrap().split('@').next().unwrap().to_owned();
    let by_hand = ["ip", "route", "add", "10.0.0.0/16", "via", "169.254.0.2", "dev", &link, "onlink"];
    run(&world.outside.namespace, &by_hand);
    assert!(world.outside.dial((ip("10.0.1.5"), 80)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_of_the_same_network_is_reached_by_its_public_address() {
    let world = world().await;
    world.outside.sysctl("net/ipv4/ip_forward", "1");
    let _a = world.a.serve(80);
    let client = world.b.dial((ip(ELASTIC), 80)).await.unwrap();
    assert_eq!((client.server.as_str(), client.seen_as), ("i-a", ip(NAT)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn routes_are_in_force_at_once() {
    let world = world().await;
    let _server = world.outside.serve(80);
    let mut open = world.a.dial(server(80)).await.unwrap();
    world.nets.put_network(2, vpc("vpc-1", "192.0.2.0/24")).await;
    assert!(world.a.dial(server(80)).await.is_err() && world.b.dial(server(80)).await.is_err());
    assert!(tokio::time::timeout(Duration::from_millis(500), open.echo()).await.is_err(), "an open one stalls");
    world.nets.put_network(3, vpc("vpc-1", "198.51.100.0/24")).await;
    assert_eq!(world.b.dial(server(80)).await.unwrap().seen_as, ip(NAT));
    world.nets.put_network(4, network("vpc-1", "10.0.0.0/16")).await;
    assert!(world.b.dial(server(80)).await.is_err());
    assert_eq!(world.wires(), Vec::<String>::new(), "without a way there is no wire");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn security_groups_judge_what_goes_out_and_comes_in() {
    let world = world().await;
    let (_server, _other, _a) = (world.outside.serve(80), world.outside.serve(81), world.a.serve(80));
    let tcp = |port, block: &str| Permission {
        traffic: Traffic::Tcp { first: port, last: port },
        peer: Peer::Block(block.parse().unwrap()),
    };
    let group = |egress, ingress| SecurityGroup { id: "sg-1".into(), network: "vpc-1".into(), ingress, egress };
    world.nets.put_group(group(vec![tcp(80, "198.51.100.0/24")], vec![])).await;
    let mut guarded = port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5");
    guarded.groups = vec!["sg-1".into()];
    world.nets.put_port(2, guarded).await;
    assert_eq!(world.a.dial(server(80)).await.unwrap().seen_as, ip(ELASTIC));
    assert_eq!(world.a.dial(server(81)).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(world.outside.dial((ip(ELASTIC), 80)).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    world.nets.put_group(group(vec![], vec![tcp(80, "198.51.100.1/32")])).await;
    assert_eq!(world.outside.dial((ip(ELASTIC), 80)).await.unwrap().seen_as, ip(SERVER));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_that_overlap_share_the_outside() {
    let world = world().await;
    let _server = world.outside.serve(80);
    let (elastic, nat) = ("203.0.113.15", "203.0.113.19");
    let mut second = vpc("vpc-2", "0.0.0.0/0");
    second.outside.exits[0].seen_as = ip(elastic);
    second.outside.exits[1].seen_as = ip(nat);
    second.outside.reached = [(ip(elastic), ip("10.0.1.5"))].into();
    world.nets.put_network(1, second).await;
    let twin = world.rig.machine("i-twin");
    plug(&world.nets, &twin, "vpc-2", "eni-twin", 1).await;
    let (_a, _twin) = (world.a.serve(80), twin.serve(80));
    assert_eq!(twin.dial(server(80)).await.unwrap().seen_as, ip(elastic));
    assert_eq!(world.a.dial(server(80)).await.unwrap().seen_as, ip(ELASTIC));
    assert_eq!(dial(world.outside.socket(), (ip(elastic), 80)).await.unwrap().server, "i-twin");
    assert_eq!(dial(world.outside.socket(), (ip(ELASTIC), 80)).await.unwrap().server, "i-a");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_outside_all_inside_goes_on_and_it_is_found_when_it_comes() {
    let rig = Rig::new();
    let nets = rig.nets();
    nets.put_network(1, vpc("vpc-1", "0.0.0.0/0")).await;
    let (a, b) = (rig.machine("i-a"), rig.machine("i-b"));
    plug(&nets, &a, "vpc-1", "eni-a", 1).await;
    plug(&nets, &b, "vpc-1", "eni-b", 2).await;
    let _b = b.serve(80);
    assert_eq!(a.dial((ip("10.0.2.5"), 80)).await.unwrap().server, "i-b");
    assert!(a.dial(server(80)).await.is_err());
    let outside = outside(&rig);
    let _server = outside.serve(80);
    nets.audit().await;
    assert_eq!(a.dial(server(80)).await.unwrap().seen_as, ip(ELASTIC));
    // Another agent finds all as it should be.
    let before = wires(&rig, &outside);
    let second = rig.nets();
    second.put_network(1, vpc("vpc-1", "0.0.0.0/0")).await;
    assert_eq!((wires(&rig, &outside), before.len()), (before.clone(), 1));
    second.remove_network("vpc-1").await;
    assert_eq!(wires(&rig, &outside), Vec::<String>::new());
}
