//! Networks and ports for real: routers, wires, isolation. Needs root.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod rig;

use rig::{Machine, Rig, dial, dial_from_host, ip, lines, network, port, run};
use roadstead_host::net::netns;
use roadstead_host::net::{Frontend, Nets, Part, Setup};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

struct Vpc {
    nets: Nets,
    a: Machine,
    b: Machine,
    /// Removed last.
    rig: Rig,
}

/// A network with machines in two subnets: i-a at 10.0.1.5, i-b at 10.0.2.5.
async fn vpc() -> Vpc {
    let rig = Rig::new();
    let nets = rig.nets();
    nets.put_network(1, network("vpc-1", "10.0.0.0/16")).await;
    nets.put_port(1, port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5")).await;
    nets.put_port(1, port("eni-b", "vpc-1", "10.0.2.0/24", "10.0.2.5")).await;
    let (a, b) = (rig.machine("i-a"), rig.machine("i-b"));
    a.attach(&nets, &[("eni-a", "eth0")]).await;
    b.attach(&nets, &[("eni-b", "eth0")]).await;
    Vpc { nets, a, b, rig }
}

impl Vpc {
    /// Indexes and names of the router's ends of wires.
    fn wires(&self) -> Vec<String> {
        let router = format!("{}-net-vpc-1", self.rig.config.mark());
        lines("ip", &["-n", &router, "-o", "link"], ": p")
    }
}

/// A balancer at 10.0.1.9:443 and outside, in front of i-b.
fn frontend(public: Ipv4Addr, sources: &str) -> Frontend {
    Frontend {
        addresses: vec![ip("10.0.1.9")],
        public: Some((public, vec![sources.parse().unwrap()])),
        listeners: [(443, vec![(ip("10.0.2.5"), 80)])].into(),
        groups: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_contact_is_quick() {
    let vpc = vpc().await;
    vpc.nets.put_port(1, port("eni-c", "vpc-1", "10.0.1.0/24", "10.0.1.6")).await;
    let c = vpc.rig.machine("i-c");
    c.attach(&vpc.nets, &[("eni-c", "eth0")]).await;
    let (_b, _c) = (vpc.b.serve(80), c.serve(80));
    for to in ["10.0.2.5", "10.0.1.6"] {
        let start = Instant::now();
        let client = vpc.a.dial((ip(to), 80)).await.unwrap();
        let took = start.elapsed();
        assert_eq!(client.seen_as, ip("10.0.1.5"), "nothing is translated inside a network");
        assert!(took < Duration::from_millis(100), "{to} took {took:?}");
    }
}

/// Bytes and packets that the machine got at `eth0`.
fn got(machine: &Machine) -> (u64, u64) {
    let text = netns::run_in(&machine.namespace, || fs::read_to_string("/proc/thread-self/net/dev")).unwrap().unwrap();
    let eth0 = text.lines().find_map(|line| line.trim().strip_prefix("eth0:")).unwrap();
    let mut numbers = eth0.split_whitespace().map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Whether the kernel has packets of more than 64 KiB: Linux 6.3 and later.
fn has_large_packets() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (6, 3)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn much_data_crosses_the_router_in_large_packets_and_arrives_as_it_was() {
    let vpc = vpc().await;
    let sent: Arc<Vec<u8>> = Arc::new((0..64_u32 << 20).map(|n| u8::try_from(n % 251).unwrap()).collect());
    let expected = sent.clone();
    let _server = vpc.b.serve_with(80, move |mut stream| {
        let expected = expected.clone();
        async move {
            let mut all = Vec::with_capacity(expected.len());
            stream.read_to_end(&mut all).await?;
            stream.write_all(if all == *expected { b"same" } else { b"torn" }).await
        }
    });
    let before = got(&vpc.b);
    let mut stream = vpc.a.socket().connect("10.0.2.5:80".parse().unwrap()).await.unwrap();
    stream.write_all(&sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "same");
    let after = got(&vpc.b);
    let each = (after.0 - before.0) / (after.1 - before.1);
    assert!(each > 65_536 || !has_large_packets(), "{each} bytes a packet");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_may_overlap_and_never_meet() {
    let vpc = vpc().await;
    vpc.nets.put_network(1, network("vpc-2", "10.0.0.0/16")).await;
    vpc.nets.put_port(1, port("eni-2a", "vpc-2", "10.0.1.0/24", "10.0.1.5")).await;
    vpc.nets.put_port(1, port("eni-2b", "vpc-2", "10.0.3.0/24", "10.0.3.5")).await;
    let (a2, b2) = (vpc.rig.machine("i-2a"), vpc.rig.machine("i-2b"));
    a2.attach(&vpc.nets, &[("eni-2a", "eth0")]).await;
    b2.attach(&vpc.nets, &[("eni-2b", "eth0")]).await;
    let _servers = (vpc.a.serve(80), vpc.b.serve(80), a2.serve(80), b2.serve(80));
    assert_eq!(vpc.b.dial((ip("10.0.1.5"), 80)).await.unwrap().server, "i-a");
    assert_eq!(b2.dial((ip("10.0.1.5"), 80)).await.unwrap().server, "i-2a");
    assert!(vpc.a.dial((ip("10.0.3.5"), 80)).await.is_err(), "only the other network has it");
    assert!(a2.dial((ip("10.0.2.5"), 80)).await.is_err(), "only the other network has it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_removed_leaves_no_trace() {
    let vpc = vpc().await;
    assert_ne!(vpc.rig.traces(), Vec::<String>::new());
    for machine in [&vpc.a, &vpc.b] {
        vpc.nets.detach(&machine.id).await.unwrap();
        roadstead_host::net::netns::delete(&machine.namespace).unwrap();
    }
    vpc.nets.remove_port("eni-a").await;
    vpc.nets.remove_port("eni-b").await;
    vpc.nets.remove_network("vpc-1").await;
    assert_eq!(vpc.rig.traces(), Vec::<String>::new());
    let error = vpc.nets.attach("i-a", "/run/netns/none".as_ref(), &[], Setup::All).await.unwrap_err();
    assert!(error.to_string().contains("make it first"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_of_the_blocks_there_is_nothing() {
    let vpc = vpc().await;
    for to in ["8.8.8.8", "100.64.0.1", "192.168.0.1"] {
        let start = Instant::now();
        let error = vpc.a.dial((ip(to), 80)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NetworkUnreachable, "{to}: {error}");
        assert!(start.elapsed() < Duration::from_millis(500));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_speaks_from_its_own_addresses_only() {
    let vpc = vpc().await;
    let mut secondary = port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5");
    secondary.secondary = vec![ip("10.0.1.77")];
    vpc.nets.put_port(2, secondary).await;
    vpc.nets.put_port(1, port("eni-c", "vpc-1", "10.0.1.0/24", "10.0.1.6")).await;
    let c = vpc.rig.machine("i-c");
    c.attach(&vpc.nets, &[("eni-c", "eth0")]).await;
    let receiver = vpc.b.receiver(99);
    let (own, other, nobodys, gateway) = (["10.0.1.5", "10.0.1.77"], "10.0.1.6", "10.0.3.3", "10.0.1.1");
    for (from, arrives) in [(own[0], true), (own[1], true), (other, false), (nobodys, false), (gateway, false)] {
        vpc.a.run("ip", &["addr", "replace", &format!("{from}/32"), "dev", "lo"]);
        vpc.a.send(ip(from), (ip("10.0.2.5"), 99));
        assert_eq!(receiver.receives().await, arrives, "from {from}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_interface_reaches_its_own_network() {
    let vpc = vpc().await;
    vpc.nets.put_network(1, network("etcd-1", "10.9.0.0/16")).await;
    vpc.nets.put_port(1, port("eni-e1", "etcd-1", "10.9.1.0/24", "10.9.1.5")).await;
    vpc.nets.put_port(1, port("eni-e2", "etcd-1", "10.9.2.0/24", "10.9.2.5")).await;
    let member = vpc.rig.machine("i-member");
    member.attach(&vpc.nets, &[("eni-e2", "eth0")]).await;
    vpc.a.attach(&vpc.nets, &[("eni-a", "eth0"), ("eni-e1", "eth1")]).await;
    let _servers = (vpc.b.serve(80), member.serve(80));
    assert_eq!(vpc.a.dial((ip("10.0.2.5"), 80)).await.unwrap().seen_as, ip("10.0.1.5"));
    assert_eq!(vpc.a.dial((ip("10.9.2.5"), 80)).await.unwrap().seen_as, ip("10.9.1.5"));
    assert!(vpc.b.dial((ip("10.9.2.5"), 80)).await.is_err(), "a machine in two networks joins them for nobody else");
}

/// As a CNI does it: the pod's address is on no interface of the node's, only routed into the pod.
fn pod(node: &Machine, rig: &Rig, id: &str, address: &str) -> Machine {
    let pod = rig.machine(id);
    node.run("ip", &["link", "add", id, "type", "veth", "peer", "name", "eth0", "netns", &pod.namespace]);
    node.run("ip", &["link", "set", id, "up"]);
    node.run("ip", &["route", "add", &format!("{address}/32"), "dev", id]);
    node.sysctl("net/ipv4/ip_forward", "1");
    node.sysctl(&format!("net/ipv4/conf/{id}/proxy_arp"), "1");
    pod.run("ip", &["link", "set", "eth0", "up"]);
    pod.run("ip", &["addr", "add", &format!("{address}/32"), "dev", "eth0"]);
    pod.run("ip", &["route", "add", "default", "dev", "eth0"]);
    pod
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secondary_address_leads_to_a_pod_within_milliseconds() {
    let vpc = vpc().await;
    let mut eni = port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5");
    eni.secondary = vec![ip("10.0.1.77")];
    let began = Instant::now();
    vpc.nets.put_port(2, eni.clone()).await;
    let took = began.elapsed();
    let pod = pod(&vpc.a, &vpc.rig, "i-pod", "10.0.1.77");
    let _servers = (pod.serve(80), vpc.b.serve(80));
    let began = Instant::now();
    assert_eq!(vpc.b.dial((ip("10.0.1.77"), 80)).await.unwrap().server, "i-pod");
    assert_eq!(pod.dial((ip("10.0.2.5"), 80)).await.unwrap().seen_as, ip("10.0.1.77"));
    println!("the address was there after {took:?}, two contacts took {:?}", began.elapsed());
    assert!(took < Duration::from_millis(50), "{took:?}");
    assert!(began.elapsed() < Duration::from_millis(1500), "no ARP is waited for in vain");
    let wires = vpc.wires();
    vpc.nets.put_port(3, port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5")).await;
    assert!(vpc.b.dial((ip("10.0.1.77"), 80)).await.is_err(), "it is taken away");
    assert_eq!(vpc.wires(), wires, "and no wire was touched");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn further_interfaces_of_a_node_come_up_bare_and_go_as_they_came() {
    let vpc = vpc().await;
    let mut eni = port("eni-a2", "vpc-1", "10.0.1.0/24", "10.0.1.6");
    eni.secondary = vec![ip("10.0.1.78")];
    vpc.nets.put_port(1, eni).await;
    let (one, two) = ([("eni-a", "eth0")], [("eni-a", "eth0"), ("eni-a2", "eth1")]);
    let _server = vpc.b.serve(80);
    let mut open = vpc.a.dial((ip("10.0.2.5"), 80)).await.unwrap();
    let began = Instant::now();
    vpc.a.attach_as(&vpc.nets, &two, Setup::First).await;
    println!("plugged in within {:?}", began.elapsed());
    let netns = &vpc.a.namespace;
    let address = || lines("ip", &["-n", netns, "-o", "-4", "address"], " eth1 ");
    assert_eq!(lines("ip", &["-n", netns, "-o", "link", "show", "eth1"], ",UP").len(), 1);
    assert_eq!(address(), Vec::<String>::new());
    // Its secondary address leads there all the same, and its pods speak through it by the rules of the node.
    let pod = pod(&vpc.a, &vpc.rig, "i-pod", "10.0.1.78");
    vpc.a.run("ip", &["rule", "add", "from", "10.0.1.78", "table", "2"]);
    vpc.a.run("ip", &["route", "add", "10.0.1.1", "dev", "eth1", "table", "2"]);
    vpc.a.run("ip", &["route", "add", "default", "via", "10.0.1.1", "dev", "eth1", "table", "2"]);
    let _pod = pod.serve(80);
    assert_eq!(vpc.b.dial((ip("10.0.1.78"), 80)).await.unwrap().server, "i-pod");
    assert_eq!(pod.dial((ip("10.0.2.5"), 80)).await.unwrap().seen_as, ip("10.0.1.78"));
    vpc.a.attach_as(&vpc.nets, &one, Setup::First).await;
    assert_eq!(lines("ip", &["-n", netns, "-o", "link"], " eth1"), Vec::<String>::new());
    open.echo().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_moves_to_a_replacement_and_stays_there() {
    let vpc = vpc().await;
    let _server = vpc.b.serve(80);
    let replacement = vpc.rig.machine("i-a2");
    replacement.attach(&vpc.nets, &[("eni-a", "eth0")]).await;
    assert!(vpc.a.dial((ip("10.0.2.5"), 80)).await.is_err(), "it lost its interface");
    vpc.nets.detach("i-a").await.unwrap();
    assert_eq!(replacement.dial((ip("10.0.2.5"), 80)).await.unwrap().seen_as, ip("10.0.1.5"));
    // The same machine in another life: its namespace has the same name and is another.
    let netns = &replacement.namespace;
    roadstead_host::net::netns::delete(netns).unwrap();
    roadstead_host::net::netns::create(netns).unwrap();
    replacement.attach(&vpc.nets, &[("eni-a", "eth0")]).await;
    assert_eq!(replacement.dial((ip("10.0.2.5"), 80)).await.unwrap().seen_as, ip("10.0.1.5"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_agent_takes_over_what_it_finds() {
    let vpc = vpc().await;
    let _server = vpc.b.serve(80);
    let mut open = vpc.a.dial((ip("10.0.2.5"), 80)).await.unwrap();
    let wires = vpc.wires();
    let nets = vpc.rig.nets();
    for (id, subnet, address) in [("eni-a", "10.0.1.0/24", "10.0.1.5"), ("eni-b", "10.0.2.0/24", "10.0.2.5")] {
        nets.adopt("vpc-1", Part::Port(port(id, "vpc-1", subnet, address))).await;
    }
    nets.put_network(1, network("vpc-1", "10.0.0.0/16")).await;
    nets.put_port(1, port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5")).await;
    nets.put_port(1, port("eni-b", "vpc-1", "10.0.2.0/24", "10.0.2.5")).await;
    vpc.a.attach(&nets, &[("eni-a", "eth0")]).await;
    assert_eq!(vpc.wires(), wires, "no wire was drawn again");
    open.echo().await.unwrap();
    nets.remove_port("eni-b").await;
    assert_eq!(vpc.wires().len(), 1, "one that nobody wants is removed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_audit_repairs_what_was_broken_by_hand() {
    let vpc = vpc().await;
    let _server = vpc.b.serve(80);
    let public = vpc.rig.public(16);
    vpc.nets.put_frontend("vpc-1", "nlb", frontend(public, "0.0.0.0/0")).await.unwrap();
    let router = format!("{}-net-vpc-1", vpc.rig.config.mark());
    let breaks: [(&str, &[&str]); 7] = [
        (&vpc.b.namespace, &["ip", "link", "set", "eth0", "down"]),
        (&router, &["nft", "delete", "table", "ip", &vpc.rig.config.mark()]),
        (&router, &["ip", "route", "del", "10.0.2.5"]),
        (&router, &["ip", "addr", "del", "10.0.1.9/32", "dev", "lo"]),
        (&router, &["ip", "link", "del", "uplink"]),
        ("", &["ip", "route", "del", &public.to_string(), "table", "local"]),
        ("", &["nft", "flush", "table", "inet", &vpc.rig.config.mark()]),
    ];
    for (place, command) in breaks {
        run(place, command);
        vpc.nets.audit().await;
        let client = dial_from_host((public, 443)).await;
        assert_eq!(client.unwrap_or_else(|error| panic!("{command:?}: {error}")).server, "i-b", "{command:?}");
        assert!(vpc.a.dial((ip("10.0.1.9"), 443)).await.is_ok(), "{command:?}");
    }
    let guard = lines("nft", &["list", "table", "inet", &vpc.rig.config.mark()], "drop");
    assert_eq!(guard.len(), 1, "the guard is whole again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_is_dialled_from_everywhere() {
    let vpc = vpc().await;
    let public = vpc.rig.public(16);
    let both = Frontend {
        listeners: [(443, vec![(ip("10.0.1.5"), 80), (ip("10.0.2.5"), 80)])].into(),
        ..frontend(public, "0.0.0.0/0")
    };
    vpc.nets.put_frontend("vpc-1", "nlb", both).await.unwrap();
    let _servers = (vpc.a.serve(80), vpc.b.serve(80));
    let mut answered = BTreeSet::new();
    for _ in 0..32 {
        let client = dial_from_host((public, 443)).await.unwrap();
        assert_eq!(client.seen_as, ip("10.0.1.9"), "clients from outside are seen as the balancer");
        answered.insert(client.server);
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        answered.insert(dial(socket, (public, 443)).await.unwrap().server);
        let client = vpc.a.dial((ip("10.0.1.9"), 443)).await.unwrap();
        let expected = if client.server == "i-a" { "10.0.1.9" } else { "10.0.1.5" };
        assert_eq!(client.seen_as, ip(expected), "clients inside are seen as themselves but by themselves");
        answered.insert(client.server);
    }
    assert_eq!(answered.len(), 2, "connections are spread");
    for refused in [(public, 444), (ip("127.43.0.1"), 443)] {
        let error = dial_from_host(refused).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{refused:?}");
    }
    let error = vpc.a.dial((ip("10.0.1.9"), 444)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_addresses_of_one_machine_meet_through_a_balancer() {
    let vpc = vpc().await;
    let mut with_pod = port("eni-b", "vpc-1", "10.0.2.0/24", "10.0.2.5");
    with_pod.secondary = vec![ip("10.0.2.77")];
    vpc.nets.put_port(2, with_pod).await;
    vpc.b.run("ip", &["addr", "add", "10.0.2.77/32", "dev", "eth0"]);
    vpc.nets.put_frontend("vpc-1", "nlb", frontend(vpc.rig.public(16), "0.0.0.0/0")).await.unwrap();
    let _server = vpc.b.serve(80);
    let socket = vpc.b.socket();
    socket.bind("10.0.2.77:0".parse().unwrap()).unwrap();
    let client = dial(socket, (ip("10.0.1.9"), 443)).await.expect("the answer comes back through the router");
    assert_eq!(client.seen_as, ip("10.0.1.9"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_address_answers_only_its_sources() {
    let vpc = vpc().await;
    let (public, client) = (vpc.rig.public(16), vpc.rig.public(1));
    let _server = vpc.b.serve(80);
    for (sources, from_region, from_loopback) in [
        ("0.0.0.0/0", true, true),
        ("10.0.0.0/8", false, false),
        ("127.0.0.1/32", false, true),
        (&*format!("{client}/32"), true, false),
    ] {
        vpc.nets.put_frontend("vpc-1", "nlb", frontend(public, sources)).await.unwrap();
        assert_eq!(dial_from_host((public, 443)).await.is_ok(), from_region, "{sources}");
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        assert_eq!(dial(socket, (public, 443)).await.is_ok(), from_loopback, "{sources}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_connection_is_told_so() {
    let vpc = vpc().await;
    let public = vpc.rig.public(16);
    vpc.nets.put_frontend("vpc-1", "nlb", frontend(public, "0.0.0.0/0")).await.unwrap();
    let _server = vpc.b.serve(80);
    let mut outside = dial_from_host((public, 443)).await.unwrap();
    let mut inside = vpc.a.dial((ip("10.0.1.9"), 443)).await.unwrap();
    let mut direct = vpc.a.dial((ip("10.0.2.5"), 80)).await.unwrap();
    vpc.nets.detach("i-b").await.unwrap();
    for client in [&mut outside, &mut inside] {
        let start = Instant::now();
        let error = client.echo().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(start.elapsed() < Duration::from_millis(200));
    }
    vpc.b.attach(&vpc.nets, &[("eni-b", "eth0")]).await;
    direct.echo().await.expect("what no balancer translates is none of its business");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_machine_reaches_the_host() {
    let vpc = vpc().await;
    let public = vpc.rig.public(16);
    vpc.nets.put_frontend("vpc-1", "nlb", frontend(public, "0.0.0.0/0")).await.unwrap();
    let _server = vpc.b.serve(80);
    let receiver = rig::receiver();
    // A machine with root inside gives up its own loopback to route 127.0.0.0/8 to the router.
    vpc.a.run("ip", &["addr", "flush", "dev", "lo"]);
    vpc.a.sysctl("net/ipv4/conf/all/route_localnet", "1");
    vpc.a.run("ip", &["route", "replace", "default", "via", "10.0.1.1"]);
    let places = ["127.0.0.1", "169.254.0.1", "169.254.0.2", &vpc.rig.public(1).to_string(), &public.to_string()];
    let (mark, router) = (vpc.rig.config.mark(), format!("{}-net-vpc-1", vpc.rig.config.mark()));
    // Either lock holds without the other: the router's rules, the host's guard.
    let unlocked: [&[&str]; 3] = [&["true"], &["nft", "flush", "ruleset"], &["nft", "flush", "table", "inet", &mark]];
    for (command, place) in unlocked.iter().zip([&*router, &router, ""]) {
        run(place, command);
        for place in places {
            vpc.a.send(ip("10.0.1.5"), (ip(place), receiver.port));
            assert!(!receiver.receives().await, "{place} after {command:?}");
        }
        vpc.nets.audit().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_notices_that_the_data_path_changes() {
    let vpc = vpc().await;
    let public = vpc.rig.public(16);
    let of = |targets: &[&str]| Frontend {
        listeners: [(443, targets.iter().map(|target| (ip(target), 80)).collect())].into(),
        ..frontend(public, "127.0.0.0/8")
    };
    let (one, both) = (of(&["10.0.1.5"]), of(&["10.0.1.5", "10.0.2.5"]));
    vpc.nets.put_frontend("vpc-1", "nlb", one.clone()).await.unwrap();
    let _servers = (vpc.a.serve(80), vpc.b.serve(80));
    let passed = Arc::new(AtomicU32::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..2 {
        let passed = passed.clone();
        clients.spawn(async move {
            loop {
                dial_from_host((public, 443)).await.unwrap();
                passed.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    let start = Instant::now();
    for n in 0..80 {
        if n % 20 == 19 {
            // Somebody else's hand: the whole table is written anew.
            run(&format!("{}-net-vpc-1", vpc.rig.config.mark()), &["nft", "add", "table", "ip", "somebody-else"]);
            run(&format!("{}-net-vpc-1", vpc.rig.config.mark()), &["nft", "delete", "table", "ip", "somebody-else"]);
        }
        let frontend = if n % 2 == 0 { both.clone() } else { one.clone() };
        vpc.nets.put_frontend("vpc-1", "nlb", frontend).await.unwrap();
    }
    println!("{} connections, {:?} per change", passed.load(Ordering::Relaxed), start.elapsed() / 80);
    if let Some(ended) = clients.try_join_next() {
        ended.unwrap();
    }
    assert!(passed.load(Ordering::Relaxed) > 100);
}
