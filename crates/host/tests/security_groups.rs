//! Security groups for real: what routers let through to and from machines. Needs root.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod rig;

use rig::{Client, Machine, Rig, dial_from_host, ip, network, port};
use roadstead_host::net::{Frontend, Nets, Part};
use roadstead_hostspec::{Peer, Permission, Port, SecurityGroup, Traffic};
use std::io;
use std::time::{Duration, Instant};

struct Vpc {
    nets: Nets,
    a: Machine,
    b: Machine,
    c: Machine,
    /// Removed last.
    rig: Rig,
}

/// A network with three machines in a subnet, each in a group of its own that nobody has said anything of.
async fn vpc() -> Vpc {
    let rig = Rig::new();
    let nets = rig.nets();
    nets.put_network(1, network("vpc-1", "10.0.0.0/16")).await;
    let (a, b, c) = (rig.machine("i-a"), rig.machine("i-b"), rig.machine("i-c"));
    for (n, machine) in (5..).zip([&a, &b, &c]) {
        let name = &machine.id[2..];
        nets.put_port(1, eni(name, n, &[&format!("sg-{name}")])).await;
        machine.attach(&nets, &[(&format!("eni-{name}"), "eth0")]).await;
    }
    Vpc { nets, a, b, c, rig }
}

/// An interface at 10.0.1.N.
fn eni(name: &str, n: u8, groups: &[&str]) -> Port {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    Port { groups, ..port(&format!("eni-{name}"), "vpc-1", "10.0.1.0/24", &format!("10.0.1.{n}")) }
}

fn group(id: &str, ingress: &[Permission], egress: &[Permission]) -> SecurityGroup {
    SecurityGroup { id: id.into(), network: "vpc-1".into(), ingress: ingress.to_vec(), egress: egress.to_vec() }
}

fn tcp(port: u16, peer: Peer) -> Permission {
    Permission { traffic: Traffic::Tcp { first: port, last: port }, peer }
}

fn all(peer: Peer) -> Permission {
    Permission { traffic: Traffic::All, peer }
}

fn block(text: &str) -> Peer {
    Peer::Block(text.parse().unwrap())
}

fn of(group: &str) -> Peer {
    Peer::Group(group.into())
}

fn anywhere() -> [Permission; 1] {
    [all(block("0.0.0.0/0"))]
}

/// Silence: what a group does not let through is dropped.
#[track_caller]
fn assert_dropped(dialled: io::Result<Client>) {
    assert_eq!(dialled.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_gets_what_a_group_of_its_lets_in_and_nothing_else() {
    let Vpc { nets, a, b, c, rig: _rig } = vpc().await;
    let _servers = (b.serve(80), b.serve(81));
    let to = |port| (ip("10.0.1.6"), port);
    assert_dropped(a.dial(to(80)).await);
    nets.put_group(group("sg-b", &[tcp(80, of("sg-a"))], &[])).await;
    assert_dropped(a.dial(to(80)).await);
    nets.put_group(group("sg-a", &[], &anywhere())).await;
    nets.put_group(group("sg-c", &[], &anywhere())).await;
    let open = a.dial(to(80)).await.expect("answers pass though b may send nothing by itself");
    assert_eq!(open.seen_as, ip("10.0.1.5"));
    let (other_port, other_group) = tokio::join!(a.dial(to(81)), c.dial(to(80)));
    assert_dropped(other_port);
    assert_dropped(other_group);
    // A second group of the same interface lets in more, and takes nothing away.
    nets.put_group(group("sg-more", &[tcp(81, block("10.0.1.7/32"))], &[])).await;
    nets.put_port(2, eni("b", 6, &["sg-more", "sg-b"])).await;
    let (through_one, through_other, through_none) = tokio::join!(a.dial(to(80)), c.dial(to(81)), a.dial(to(81)));
    assert_eq!((through_one.unwrap().server, through_other.unwrap().server), ("i-b".into(), "i-b".into()));
    assert_dropped(through_none);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_in_force_at_once_and_spares_who_is_connected() {
    let Vpc { nets, a, b, rig: _rig, .. } = vpc().await;
    let _server = b.serve(80);
    nets.put_group(group("sg-a", &[], &anywhere())).await;
    let began = Instant::now();
    nets.put_group(group("sg-b", &[tcp(80, block("10.0.1.0/24"))], &[])).await;
    let mut open = a.dial((ip("10.0.1.6"), 80)).await.unwrap();
    println!("from the rule to the greeting: {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(1));
    nets.put_group(group("sg-b", &[tcp(80, block("10.0.2.0/24"))], &[])).await;
    assert_dropped(a.dial((ip("10.0.1.6"), 80)).await);
    open.echo().await.expect("a tracked connection outlives the rule that let it in");
    nets.remove_group("sg-a").await;
    open.echo().await.expect("and the one that let it out");
    nets.put_group(group("sg-b", &[tcp(80, block("10.0.1.0/24"))], &[])).await;
    assert_dropped(a.dial((ip("10.0.1.6"), 80)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protocols_are_told_apart() {
    let Vpc { nets, a, b, rig: _rig, .. } = vpc().await;
    let receiver = b.receiver(53);
    let send = || a.send(ip("10.0.1.5"), (ip("10.0.1.6"), 53));
    let pings = |id| a.pings(ip("10.0.1.6"), id);
    let from_a = || of("sg-a");
    nets.put_group(group("sg-a", &[], &anywhere())).await;
    nets.put_group(group("sg-b", &[tcp(53, from_a())], &[])).await;
    send();
    assert!(!receiver.receives().await && !pings(1), "neither datagram nor ping is TCP");
    let udp = Permission { traffic: Traffic::Udp { first: 50, last: 60 }, peer: from_a() };
    nets.put_group(group("sg-b", &[udp], &[])).await;
    send();
    assert!(receiver.receives().await && !pings(2));
    let echo = Permission { traffic: Traffic::Icmp { kind: Some(8), code: None }, peer: from_a() };
    nets.put_group(group("sg-b", &[echo], &[])).await;
    assert!(pings(3));
    let other = Permission { traffic: Traffic::Icmp { kind: Some(13), code: Some(0) }, peer: from_a() };
    nets.put_group(group("sg-b", &[other], &[])).await;
    assert!(!pings(4));
    let by_number = Permission { traffic: Traffic::Other { protocol: 17 }, peer: block("10.0.1.5/32") };
    nets.put_group(group("sg-b", &[by_number], &[])).await;
    send();
    assert!(receiver.receives().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_a_group_counts_with_every_address() {
    let Vpc { nets, a, b, c, rig: _rig } = vpc().await;
    let receiver = b.receiver(53);
    for id in ["sg-a", "sg-c"] {
        nets.put_group(group(id, &[], &anywhere())).await;
    }
    nets.put_group(group("sg-b", &[all(of("sg-a"))], &[])).await;
    a.run("ip", &["addr", "add", "10.0.1.77/32", "dev", "eth0"]);
    let pods = Port { secondary: vec![ip("10.0.1.77")], ..eni("a", 5, &["sg-a"]) };
    let began = Instant::now();
    nets.put_port(2, pods).await;
    println!("a secondary address has its group after {:?}", began.elapsed());
    a.send(ip("10.0.1.77"), (ip("10.0.1.6"), 53));
    assert!(receiver.receives().await);
    c.send(ip("10.0.1.7"), (ip("10.0.1.6"), 53));
    assert!(!receiver.receives().await);
    nets.put_port(2, eni("c", 7, &["sg-a"])).await;
    c.send(ip("10.0.1.7"), (ip("10.0.1.6"), 53));
    assert!(receiver.receives().await, "it has the group now");
    nets.put_port(3, eni("c", 7, &["sg-c"])).await;
    let _server = b.serve(80);
    assert_dropped(c.dial((ip("10.0.1.6"), 80)).await);
    nets.put_port(4, eni("c", 7, &[])).await;
    let open = nets.put_port(2, eni("b", 6, &[]));
    open.await;
    assert_eq!(c.dial((ip("10.0.1.6"), 80)).await.unwrap().server, "i-b", "a service's own have none, and no rules");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_balancer_each_side_is_judged_by_what_it_sees() {
    let Vpc { nets, a, b, c, rig } = vpc().await;
    let public = rig.public(16);
    let frontend = Frontend {
        addresses: vec![ip("10.0.1.9")],
        public: Some((public, vec!["0.0.0.0/0".parse().unwrap()])),
        listeners: [(443, vec![(ip("10.0.1.6"), 80)])].into(),
        groups: vec!["sg-balancer".into()],
    };
    nets.put_frontend("vpc-1", "nlb", frontend).await.unwrap();
    let _server = b.serve(80);
    nets.put_group(group("sg-a", &[], &[tcp(443, of("sg-balancer"))])).await;
    nets.put_group(group("sg-b", &[tcp(80, of("sg-a"))], &[tcp(443, block("10.0.1.9/32"))])).await;
    nets.put_group(group("sg-c", &[], &anywhere())).await;
    assert_eq!(a.dial((ip("10.0.1.9"), 443)).await.unwrap().seen_as, ip("10.0.1.5"));
    let (past_it, stranger) = tokio::join!(a.dial((ip("10.0.1.6"), 80)), c.dial((ip("10.0.1.9"), 443)));
    assert_dropped(past_it);
    assert_dropped(stranger);
    assert_eq!(dial_from_host((public, 443)).await.unwrap().server, "i-b", "the balancer's sources were asked");
    assert_dropped(b.dial((ip("10.0.1.9"), 443)).await);
    let with_itself = [tcp(80, of("sg-a")), tcp(80, of("sg-b"))];
    nets.put_group(group("sg-b", &with_itself, &[tcp(443, block("10.0.1.9/32"))])).await;
    assert_eq!(b.dial((ip("10.0.1.9"), 443)).await.unwrap().server, "i-b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_agent_enforces_what_it_finds() {
    let Vpc { nets, a, b, c, rig } = vpc().await;
    let _server = b.serve(80);
    let groups = [group("sg-a", &[], &anywhere()), group("sg-b", &[tcp(80, of("sg-a"))], &[])];
    for group in &groups {
        nets.put_group(group.clone()).await;
    }
    let mut open = a.dial((ip("10.0.1.6"), 80)).await.unwrap();
    let nets = rig.nets();
    for (name, n) in [("a", 5), ("b", 6), ("c", 7)] {
        nets.adopt("vpc-1", Part::Port(eni(name, n, &[&format!("sg-{name}")]))).await;
    }
    for group in groups {
        nets.adopt("vpc-1", Part::Group(group)).await;
    }
    nets.put_network(1, network("vpc-1", "10.0.0.0/16")).await;
    open.echo().await.unwrap();
    a.dial((ip("10.0.1.6"), 80)).await.unwrap();
    assert_dropped(c.dial((ip("10.0.1.6"), 80)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_rules_are_in_force_within_a_second() {
    let Vpc { nets, a, b, rig: _rig, .. } = vpc().await;
    let _server = b.serve(80);
    nets.put_group(group("sg-a", &[], &anywhere())).await;
    let blocks = (0..1000).map(|n| format!("172.{}.{}.0/24", 16 + n / 256, n % 256));
    let mut of_blocks: Vec<Permission> = blocks.map(|text| tcp(80, block(&text))).collect();
    let mut of_ports: Vec<Permission> = (1000..2000).map(|port| tcp(port, block("10.0.0.0/8"))).collect();
    for (what, rules) in [("blocks", &mut of_blocks), ("ports", &mut of_ports)] {
        rules[999] = tcp(80, of("sg-a"));
        let began = Instant::now();
        nets.put_group(group("sg-b", rules, &[])).await;
        let written = began.elapsed();
        a.dial((ip("10.0.1.6"), 80)).await.unwrap();
        println!("1,000 rules of {what}: written after {written:?}, a new connection after {:?}", began.elapsed());
        rules[999] = tcp(80, of("sg-c"));
        let began = Instant::now();
        nets.put_group(group("sg-b", rules, &[])).await;
        println!("one of them changed: {:?}", began.elapsed());
        assert!(written.max(began.elapsed()) < Duration::from_secs(1));
        assert_dropped(a.dial((ip("10.0.1.6"), 80)).await);
    }
}
