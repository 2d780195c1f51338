//! Routes to interfaces for real: an instance that translates what others send outside, and one that stands between two
//! subnets. Needs root.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod rig;

use rig::{Client, Machine, Rig, ip, network, port, run};
use roadstead_host::net::{Nets, Part};
use roadstead_hostspec::{
    Border, Detour, Entry, Exit, Network, Outside, Peer, Permission, Port, SecurityGroup, Traffic,
};
use std::io;

/// Where the outside's server is.
const SERVER: &str = "198.51.100.1";
/// Who the forwarder is outside.
const ELASTIC: &str = "203.0.113.9";
const ANYWHERE: &str = "0.0.0.0/0";

struct World {
    nets: Nets,
    outside: Machine,
    /// 10.0.1.5.
    a: Machine,
    /// 10.0.2.5.
    b: Machine,
    /// 10.0.9.5: forwards, and is who speaks for others outside.
    forwarder: Machine,
    /// Removed last.
    rig: Rig,
}

async fn world() -> World {
    let rig = Rig::new();
    let outside = rig.machine("outside");
    run(&outside.namespace, &["ip", "address", "add", &format!("{SERVER}/32"), "dev", "lo"]);
    let nets = rig.nets();
    nets.put_network(1, vpc(&[])).await;
    let (a, b, forwarder) = (rig.machine("i-a"), rig.machine("i-b"), rig.machine("i-f"));
    for (machine, port) in [(&a, plain("eni-a", 1)), (&b, plain("eni-b", 2)), (&forwarder, forwards())] {
        let id = port.id.clone();
        nets.put_port(1, port).await;
        machine.attach(&nets, &[(&id, "eth0")]).await;
    }
    forwarder.sysctl("net/ipv4/ip_forward", "1");
    for of in ["all", "eth0"] {
        forwarder.sysctl(&format!("net/ipv4/conf/{of}/rp_filter"), "0");
        forwarder.sysctl(&format!("net/ipv4/conf/{of}/send_redirects"), "0");
    }
    World { nets, outside, a, b, forwarder, rig }
}

/// 10.0.N.5.
fn plain(id: &str, n: u8) -> Port {
    port(id, "vpc-1", &format!("10.0.{n}.0/24"), &format!("10.0.{n}.5"))
}

fn forwards() -> Port {
    Port { forwards: true, ..plain("eni-f", 9) }
}

/// The network, in which the forwarder has a way outside and 10.0.1.0/24 has these detours.
fn vpc(detours: &[(&str, Option<&str>)]) -> Network {
    let exit = Exit {
        from: "10.0.9.5/32".parse().unwrap(),
        to: ANYWHERE.parse().unwrap(),
        seen_as: ip(ELASTIC),
        through: None,
    };
    let detour = |(to, by): &(&str, Option<&str>)| Detour {
        from: "10.0.1.0/24".parse().unwrap(),
        to: to.parse().unwrap(),
        by: by.map(str::to_owned),
    };
    Network {
        outside: Outside { exits: vec![exit], ..Outside::default() },
        detours: detours.iter().map(detour).collect(),
        ..network("vpc-1", "10.0.0.0/16")
    }
}

impl World {
    /// Has the forwarder put its own address in the place of those of others.
    fn masquerade(&self) {
        let table =
            "table ip n { chain c { type nat hook postrouting priority srcnat; ip saddr != 10.0.9.5 masquerade; }; }";
        run(&self.forwarder.namespace, &["nft", table]);
    }
}

async fn dial(from: &Machine, to: &str) -> io::Result<Client> {
    from.dial((ip(to), 80)).await
}

/// Silence.
#[track_caller]
fn assert_dropped(dialled: io::Result<Client>) {
    assert_eq!(dialled.unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subnet_goes_out_by_an_instance_that_translates() {
    let world = world().await;
    let _servers = (world.outside.serve(80), world.b.serve(80));
    world.masquerade();
    assert_eq!(dial(&world.a, SERVER).await.unwrap_err().kind(), io::ErrorKind::NetworkUnreachable);
    world.nets.put_network(2, vpc(&[("198.51.100.0/24", Some("eni-f"))])).await;
    let mut client = dial(&world.a, SERVER).await.unwrap();
    assert_eq!((client.server.as_str(), client.seen_as), ("outside", ip(ELASTIC)));
    client.echo().await.unwrap();
    assert_eq!(dial(&world.a, "10.0.2.5").await.unwrap().seen_as, ip("10.0.1.5"), "inside as ever");
    assert!(dial(&world.b, SERVER).await.is_err(), "its subnet's routes lead nowhere");
    // With the check of source and destination, answers for others do not leave the forwarder.
    world.nets.put_port(2, plain("eni-f", 9)).await;
    assert_dropped(dial(&world.a, SERVER).await);
    world.nets.put_port(3, forwards()).await;
    client.echo().await.unwrap();
    // A route to who is not there loses packets; without one there is no way.
    world.nets.put_network(3, vpc(&[("198.51.100.0/24", None)])).await;
    assert_dropped(dial(&world.a, SERVER).await);
    world.nets.put_network(4, vpc(&[])).await;
    assert_eq!(dial(&world.a, SERVER).await.unwrap_err().kind(), io::ErrorKind::NetworkUnreachable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_stands_between_two_subnets() {
    let world = world().await;
    let _server = world.b.serve(80);
    world.nets.put_network(2, vpc(&[("10.0.2.0/24", Some("eni-f"))])).await;
    assert_eq!(dial(&world.a, "10.0.2.5").await.unwrap().seen_as, ip("10.0.1.5"), "it passes on what it gets as it is");
    world.forwarder.sysctl("net/ipv4/ip_forward", "0");
    assert_dropped(dial(&world.a, "10.0.2.5").await);
    // Nobody goes past it because it is gone.
    world.nets.detach("i-f").await.unwrap();
    assert_dropped(dial(&world.a, "10.0.2.5").await);
    world.forwarder.sysctl("net/ipv4/ip_forward", "1");
    world.forwarder.attach(&world.nets, &[("eni-f", "eth0")]).await;
    for of in ["all", "eth0"] {
        world.forwarder.sysctl(&format!("net/ipv4/conf/{of}/rp_filter"), "0");
    }
    assert_eq!(dial(&world.a, "10.0.2.5").await.unwrap().server, "i-b");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_forwards_is_guarded_by_its_groups_and_its_subnet_s_border() {
    let world = world().await;
    let _server = world.outside.serve(80);
    world.masquerade();
    let led = vpc(&[(ANYWHERE, Some("eni-f"))]);
    world.nets.put_network(2, led.clone()).await;
    let all = |block: &str| Permission { traffic: Traffic::All, peer: Peer::Block(block.parse().unwrap()) };
    let group = |from: &str| SecurityGroup {
        id: "sg-f".into(),
        network: "vpc-1".into(),
        ingress: vec![all(from)],
        egress: vec![all(ANYWHERE)],
    };
    world.nets.put_group(group("10.0.2.0/24")).await;
    world.nets.put_port(2, Port { groups: vec!["sg-f".into()], ..forwards() }).await;
    assert_dropped(dial(&world.a, SERVER).await);
    world.nets.put_group(group("10.0.1.0/24")).await;
    assert_eq!(dial(&world.a, SERVER).await.unwrap().seen_as, ip(ELASTIC));
    let entry = |first, last, peer: &str| Entry {
        traffic: Traffic::Tcp { first, last },
        peer: peer.parse().unwrap(),
        allows: true,
    };
    let bordered = |ingress: &[Entry], egress: &[Entry]| {
        let subnet = "10.0.9.0/24".parse().unwrap();
        let border = Border { subnet, ingress: Some(ingress.to_vec()), egress: Some(egress.to_vec()) };
        Network { borders: vec![border], ..led.clone() }
    };
    let answers = |peer: &str| entry(1024, u16::MAX, peer);
    let ingress = [answers(&format!("{SERVER}/32")), entry(80, 80, "10.0.1.0/24")];
    let egress = [entry(80, 80, &format!("{SERVER}/32")), answers("10.0.1.0/24")];
    world.nets.put_network(3, bordered(&ingress, &egress)).await;
    assert_eq!(dial(&world.a, SERVER).await.unwrap().seen_as, ip(ELASTIC));
    world.nets.put_network(4, bordered(&ingress[..1], &egress)).await;
    assert_dropped(dial(&world.a, SERVER).await);
    world.nets.put_network(5, bordered(&ingress, &egress[..1])).await;
    assert_dropped(dial(&world.a, SERVER).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_agent_finds_the_detours_that_stand() {
    let world = world().await;
    let _server = world.outside.serve(80);
    world.masquerade();
    let led = vpc(&[(ANYWHERE, Some("eni-f"))]);
    world.nets.put_network(2, led.clone()).await;
    let mut client = dial(&world.a, SERVER).await.unwrap();
    let nets = world.rig.nets();
    for port in [plain("eni-a", 1), plain("eni-b", 2), forwards()] {
        nets.adopt("vpc-1", Part::Port(port)).await;
    }
    nets.put_network(2, led).await;
    client.echo().await.unwrap();
    assert_eq!(dial(&world.a, SERVER).await.unwrap().seen_as, ip(ELASTIC));
    // What somebody takes away is back when the agent looks.
    let router = format!("{}-net-vpc-1", world.rig.config.mark());
    run(&router, &["ip", "rule", "delete", "priority", "90"]);
    assert!(dial(&world.a, SERVER).await.is_err());
    nets.audit().await;
    assert_eq!(dial(&world.a, SERVER).await.unwrap().seen_as, ip(ELASTIC));
}
