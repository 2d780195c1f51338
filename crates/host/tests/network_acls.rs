//! Borders of subnets for real: what routers let through between one and the rest of the world. Needs root.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod rig;

use rig::{Client, Machine, Rig, dial_from_host, ip, network, port, run};
use roadstead_host::net::{Frontend, Nets, Part, Service, Transport};
use roadstead_hostspec::{
    Border, Entry, Exit, Network, Outside, Peer, Permission, Port, SecurityGroup, Traffic, link_local,
};
use std::io;
use std::time::{Duration, Instant};

struct Vpc {
    nets: Nets,
    /// 10.0.1.5.
    a: Machine,
    /// 10.0.1.6, in the same subnet.
    near: Machine,
    /// 10.0.2.5.
    b: Machine,
    /// Removed last.
    rig: Rig,
}

/// A network with three machines in two subnets.
async fn vpc() -> Vpc {
    let rig = Rig::new();
    let nets = rig.nets();
    nets.put_network(1, network("vpc-1", "10.0.0.0/16")).await;
    let (a, near, b) = (rig.machine("i-a"), rig.machine("i-near"), rig.machine("i-b"));
    for (machine, name, subnet, address) in
        [(&a, "eni-a", 1, "10.0.1.5"), (&near, "eni-near", 1, "10.0.1.6"), (&b, "eni-b", 2, "10.0.2.5")]
    {
        nets.put_port(1, port(name, "vpc-1", &format!("10.0.{subnet}.0/24"), address)).await;
        machine.attach(&nets, &[(name, "eth0")]).await;
    }
    Vpc { nets, a, near, b, rig }
}

/// The network with these borders.
fn bordered(borders: &[Border]) -> Network {
    Network { borders: borders.to_vec(), ..network("vpc-1", "10.0.0.0/16") }
}

/// That of 10.0.N.0/24.
fn border(n: u8, ingress: Option<&[Entry]>, egress: Option<&[Entry]>) -> Border {
    let side = |entries: Option<&[Entry]>| entries.map(<[Entry]>::to_vec);
    Border { subnet: format!("10.0.{n}.0/24").parse().unwrap(), ingress: side(ingress), egress: side(egress) }
}

fn entry(traffic: Traffic, peer: &str, allows: bool) -> Entry {
    Entry { traffic, peer: peer.parse().unwrap(), allows }
}

fn tcp(first: u16, last: u16, peer: &str) -> Entry {
    entry(Traffic::Tcp { first, last }, peer, true)
}

/// Answers go to ports like these.
fn answers(peer: &str) -> Entry {
    tcp(1024, u16::MAX, peer)
}

const ANYWHERE: &str = "0.0.0.0/0";
const B: &str = "10.0.2.5";
/// Its subnet.
const B_BLOCK: &str = "10.0.2.0/24";

/// Silence: what may not pass is dropped.
#[track_caller]
fn assert_dropped(dialled: io::Result<Client>) {
    assert_eq!(dialled.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_packet_passes_by_an_entry_and_its_answer_by_another() {
    let Vpc { nets, a, b, rig: _rig, .. } = vpc().await;
    let _servers = (b.serve(80), b.serve(81));
    let to = |port| (ip(B), port);
    let in_80 = [tcp(80, 80, "10.0.1.0/24")];
    nets.put_network(2, bordered(&[border(2, Some(&in_80), Some(&[]))])).await;
    assert_dropped(a.dial(to(80)).await);
    nets.put_network(3, bordered(&[border(2, Some(&in_80), Some(&[answers("10.0.1.5/32")]))])).await;
    assert_eq!(a.dial(to(80)).await.unwrap().server, "i-b");
    assert_dropped(a.dial(to(81)).await);
    // Both subnets are asked, each for both ways.
    let both = [border(1, Some(&[]), None), border(2, Some(&in_80), None)];
    nets.put_network(4, bordered(&both)).await;
    assert_dropped(a.dial(to(80)).await);
    let both = [border(1, Some(&[answers(ANYWHERE)]), Some(&[tcp(80, 80, B_BLOCK)])), border(2, Some(&in_80), None)];
    nets.put_network(5, bordered(&both)).await;
    assert_eq!(a.dial(to(80)).await.unwrap().server, "i-b");
    assert_dropped(a.dial(to(81)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_entry_that_matches_decides() {
    let Vpc { nets, a, near, b, rig: _rig } = vpc().await;
    let _server = b.serve(80);
    let refused = entry(Traffic::Tcp { first: 80, last: 80 }, "10.0.1.6/32", false);
    let entries = [refused, tcp(80, 80, "10.0.1.0/24"), entry(Traffic::All, "10.0.1.5/32", false)];
    nets.put_network(2, bordered(&[border(2, Some(&entries), None)])).await;
    assert_eq!(a.dial((ip(B), 80)).await.unwrap().server, "i-b");
    assert_dropped(near.dial((ip(B), 80)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inside_a_subnet_and_at_the_router_s_services_nobody_is_asked() {
    let Vpc { nets, a, near, b, rig: _rig } = vpc().await;
    let _servers = (near.serve(80), b.serve(80));
    let clients = vec!["10.0.0.0/16".parse().unwrap()];
    let (address, transport) = (link_local::METADATA, Transport::Tcp);
    let service = Service { id: "metadata".into(), address, transport, port: 80, clients, groups: Vec::new() };
    let listener = nets.listen("vpc-1", service).await.unwrap();
    nets.put_network(2, bordered(&[border(1, Some(&[]), Some(&[])), border(2, Some(&[]), Some(&[]))])).await;
    assert_eq!(a.dial((ip("10.0.1.6"), 80)).await.unwrap().server, "i-near");
    assert_dropped(a.dial((ip(B), 80)).await);
    let connected = a.socket().connect((address, 80).into()).await;
    assert!(connected.is_ok() && listener.accept().is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_in_force_at_once_for_who_is_connected_too() {
    let Vpc { nets, a, b, rig: _rig, .. } = vpc().await;
    let _server = b.serve(80);
    let mut open = a.dial((ip(B), 80)).await.unwrap();
    let began = Instant::now();
    nets.put_network(2, bordered(&[border(2, Some(&[]), None)])).await;
    println!("a border is closed after {:?}", began.elapsed());
    assert!(began.elapsed() < Duration::from_secs(1));
    assert!(tokio::time::timeout(Duration::from_millis(300), open.echo()).await.is_err(), "no state lets it pass");
    let began = Instant::now();
    nets.put_network(3, network("vpc-1", "10.0.0.0/16")).await;
    println!("and open again after {:?}", began.elapsed());
    a.dial((ip(B), 80)).await.unwrap();
    let goes_on = tokio::time::timeout(Duration::from_secs(5), open.echo()).await;
    goes_on.expect("TCP sends again what was lost").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protocols_are_told_apart() {
    let Vpc { nets, a, b, rig: _rig, .. } = vpc().await;
    let receiver = b.receiver(53);
    let send = || a.send(ip("10.0.1.5"), (ip(B), 53));
    let put = async |generation, traffic| {
        nets.put_network(generation, bordered(&[border(2, Some(&[entry(traffic, ANYWHERE, true)]), None)])).await;
    };
    put(2, Traffic::Udp { first: 50, last: 60 }).await;
    send();
    assert!(receiver.receives().await);
    for (generation, other) in (3..).zip([
        Traffic::Udp { first: 54, last: 60 },
        Traffic::Tcp { first: 53, last: 53 },
        Traffic::Icmp { kind: None, code: None },
        Traffic::Other { protocol: 50 },
    ]) {
        put(generation, other).await;
        send();
        assert!(!receiver.receives().await, "{other:?}");
    }
    put(9, Traffic::Other { protocol: 17 }).await;
    send();
    assert!(receiver.receives().await);
    put(10, Traffic::Icmp { kind: Some(8), code: Some(0) }).await;
    assert!(a.pings(ip(B), 1));
    put(11, Traffic::Icmp { kind: Some(13), code: None }).await;
    assert!(!a.pings(ip(B), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn security_groups_are_asked_as_well() {
    let Vpc { nets, a, b, rig: _rig, .. } = vpc().await;
    let _servers = (b.serve(80), b.serve(81));
    let all = |block: &str| Permission { traffic: Traffic::All, peer: Peer::Block(block.parse().unwrap()) };
    let ingress = vec![Permission { traffic: Traffic::Tcp { first: 80, last: 80 }, ..all(ANYWHERE) }];
    nets.put_group(SecurityGroup { id: "sg-b".into(), network: "vpc-1".into(), ingress, egress: vec![] }).await;
    let of_b = port("eni-b", "vpc-1", B_BLOCK, B);
    nets.put_port(2, Port { groups: vec!["sg-b".into()], ..of_b }).await;
    nets.put_network(2, bordered(&[border(2, Some(&[tcp(80, 81, ANYWHERE)]), None)])).await;
    assert_eq!(a.dial((ip(B), 80)).await.unwrap().server, "i-b");
    assert_dropped(a.dial((ip(B), 81)).await);
    nets.put_network(3, bordered(&[border(2, Some(&[tcp(81, 81, ANYWHERE)]), None)])).await;
    assert_dropped(a.dial((ip(B), 80)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_s_clients_inside_are_asked_and_those_from_outside_are_not() {
    let Vpc { nets, a, b, rig, .. } = vpc().await;
    let public = rig.public(16);
    let frontend = Frontend {
        addresses: vec![ip("10.0.2.9")],
        public: Some((public, vec![ANYWHERE.parse().unwrap()])),
        listeners: [(80, vec![(ip(B), 80)])].into(),
        ..Frontend::default()
    };
    nets.put_frontend("vpc-1", "nlb", frontend).await.unwrap();
    let _server = b.serve(80);
    nets.put_network(2, bordered(&[border(2, Some(&[]), Some(&[]))])).await;
    assert_dropped(a.dial((ip("10.0.2.9"), 80)).await);
    assert_eq!(dial_from_host((public, 80)).await.unwrap().server, "i-b");
    nets.put_network(3, bordered(&[border(2, Some(&[tcp(80, 80, ANYWHERE)]), Some(&[answers(ANYWHERE)]))])).await;
    assert_eq!(a.dial((ip("10.0.2.9"), 80)).await.unwrap().server, "i-b");
}

/// Where the outside's server is.
const SERVER: &str = "198.51.100.1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_outside_crosses_the_subnet_s_border_and_the_nat_gateway_s() {
    let Vpc { nets, a, b, rig, .. } = vpc().await;
    let outside = rig.machine("outside");
    run(&outside.namespace, &["ip", "address", "add", &format!("{SERVER}/32"), "dev", "lo"]);
    let _server = outside.serve(80);
    let exit = |from: &str, seen_as: &str, through: Option<&str>| Exit {
        from: from.parse().unwrap(),
        to: ANYWHERE.parse().unwrap(),
        seen_as: ip(seen_as),
        through: through.map(|subnet| subnet.parse().unwrap()),
    };
    let exits = vec![exit("10.0.1.5/32", "203.0.113.5", None), exit(B_BLOCK, "203.0.113.9", Some("10.0.1.0/24"))];
    let put = async |generation, borders: &[Border]| {
        let outside = Outside { exits: exits.clone(), ..Outside::default() };
        nets.put_network(generation, Network { outside, ..bordered(borders) }).await;
    };
    let dial = async |machine: &Machine| machine.dial((ip(SERVER), 80)).await;
    put(2, &[border(1, None, Some(&[tcp(80, 80, "198.51.100.0/24")]))]).await;
    assert_eq!(dial(&a).await.unwrap().seen_as, ip("203.0.113.5"));
    assert_dropped(dial(&b).await);
    // What comes back to b leaves the gateway's subnet, too.
    let egress = [tcp(80, 80, "198.51.100.0/24"), answers(B_BLOCK)];
    put(3, &[border(1, None, Some(&egress))]).await;
    assert_eq!(dial(&b).await.unwrap().seen_as, ip("203.0.113.9"));
    put(4, &[border(1, Some(&[answers("198.51.100.0/24")]), Some(&egress))]).await;
    assert_eq!(dial(&a).await.unwrap().seen_as, ip("203.0.113.5"));
    assert_dropped(dial(&b).await);
    put(5, &[border(1, Some(&[answers("198.51.100.0/24"), tcp(80, 80, B_BLOCK)]), Some(&egress))]).await;
    assert_eq!(dial(&b).await.unwrap().seen_as, ip("203.0.113.9"));
    put(6, &[border(2, Some(&[]), None)]).await;
    let (of_a, of_b) = tokio::join!(dial(&a), dial(&b));
    assert!(of_a.is_ok());
    assert_dropped(of_b);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_agent_keeps_what_it_finds_closed() {
    let Vpc { nets: _nets, a, b, rig, .. } = vpc().await;
    let _server = b.serve(80);
    let closed = bordered(&[border(2, Some(&[]), None)]);
    let nets = rig.nets();
    for (name, subnet, address) in [("eni-a", 1, "10.0.1.5"), ("eni-b", 2, B)] {
        let of = port(name, "vpc-1", &format!("10.0.{subnet}.0/24"), address);
        nets.adopt("vpc-1", Part::Port(of)).await;
    }
    nets.put_network(1, closed).await;
    assert_dropped(a.dial((ip(B), 80)).await);
}
