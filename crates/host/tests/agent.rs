//! The agent for real, with a region that speaks to it over its socket. Needs root.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod rig;

use rig::{LONG, Machine, Rig, dial_from_host, eventually, ip, network, port};
use roadstead_host::agent::{self, Agent, frame};
use roadstead_host::{dial, net};
use roadstead_hostspec::{
    Balancer, BalancerStatus, FromHost, HealthCheck, HealthProtocol, Item, ItemKey, ItemKind, Listener, NetworkStatus,
    PortStatus, PublicAddress, Status, Target, ToHost, Versioned,
};
use roadstead_types::Millis;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

fn socket(rig: &Rig) -> PathBuf {
    rig.dir.path().join("agent.sock")
}

/// An agent, as a process would run it. Ends when dropped.
struct Running(JoinHandle<()>);

impl Running {
    fn start(rig: &Rig) -> Running {
        let _ = std::fs::remove_file(socket(rig));
        let listener = UnixListener::bind(socket(rig)).unwrap();
        let config = (*rig.config).clone();
        Running(tokio::spawn(async move { Agent::run(config, listener).await.unwrap() }))
    }

    async fn stop(mut self) {
        self.0.abort();
        let _ = (&mut self.0).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The region's end of a session.
struct Region {
    stream: UnixStream,
    seen: BTreeMap<ItemKey, (u64, Status)>,
    gone: Vec<ItemKey>,
}

impl Region {
    async fn open(rig: &Rig, epoch: u64, items: Vec<Versioned>) -> Result<Region, String> {
        let mut stream = UnixStream::connect(socket(rig)).await.unwrap();
        frame::write(&mut stream, &ToHost::Session { epoch, items }).await.unwrap();
        match timeout(LONG, frame::read(&mut stream)).await.unwrap().unwrap() {
            Some(FromHost::Welcome) => Ok(Region { stream, seen: BTreeMap::new(), gone: Vec::new() }),
            Some(FromHost::Refused { why }) => Err(why),
            other => panic!("{other:?}"),
        }
    }

    async fn change(&mut self, put: Vec<Versioned>, remove: Vec<ItemKey>) {
        frame::write(&mut self.stream, &ToHost::Change { put, remove }).await.unwrap();
    }

    /// Listens until `done`; why the agent ended the session, if it did.
    async fn until(&mut self, mut done: impl FnMut(&Region) -> bool) -> Option<String> {
        while !done(self) {
            let heard = timeout(LONG, frame::read(&mut self.stream)).await;
            match heard.unwrap_or_else(|_| panic!("still {:?}, gone {:?}", self.seen, self.gone)).unwrap() {
                Some(FromHost::Saw { key, generation, status }) => drop(self.seen.insert(key, (generation, status))),
                Some(FromHost::Gone { key }) => self.gone.push(key),
                Some(FromHost::Refused { why }) => return Some(why),
                other => panic!("{other:?}"),
            }
        }
        None
    }

    fn is_ready(&self, key: &ItemKey, under: u64) -> bool {
        self.seen.get(key).is_some_and(|(generation, status)| {
            let ready = match status {
                Status::Network(NetworkStatus { ready, .. }) | Status::Port(PortStatus { ready, .. }) => *ready,
                Status::Balancer(BalancerStatus { ready, targets, .. }) => *ready && targets["i-a"].healthy,
                other => panic!("{other:?}"),
            };
            ready && *generation == under
        })
    }
}

fn key(kind: ItemKind, id: &str) -> ItemKey {
    ItemKey { kind, id: id.into() }
}

fn version(generation: u64, item: Item) -> Versioned {
    Versioned { generation, item }
}

/// A network, a port in it and a balancer in front of port 80 of that.
fn items(rig: &Rig) -> Vec<Versioned> {
    let protocol = HealthProtocol::Tcp;
    // Generous: on a busy machine a check may be late, and one target that fails leaves only the one that never was.
    let health = HealthCheck { protocol, interval: Millis(20), timeout: Millis(2000), healthy: 2, unhealthy: 2 };
    let target = |id: &str, address| Target { id: id.into(), address: ip(address), port: 80, server: None };
    let targets = vec![target("i-a", "10.0.1.5"), target("i-gone", "10.0.1.200")];
    let sources = vec!["127.0.0.0/8".parse().unwrap()];
    let balancer = Balancer {
        id: "nlb".into(),
        network: "vpc-1".into(),
        addresses: vec![ip("10.0.1.9")],
        public: Some(PublicAddress { address: rig.public(16), sources }),
        listeners: vec![Listener { port: 443, targets, health }],
        groups: Vec::new(),
    };
    // Not in the order in which they need each other.
    vec![
        version(1, Item::Balancer(balancer)),
        version(1, Item::Port(port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5"))),
        version(1, Item::Network(network("vpc-1", "10.0.0.0/16"))),
    ]
}

fn keys() -> [ItemKey; 3] {
    [key(ItemKind::Balancer, "nlb"), key(ItemKind::Port, "eni-a"), key(ItemKind::Network, "vpc-1")]
}

/// What an earlier agent made for a machine i-a.
async fn machine(rig: &Rig) -> Machine {
    let nets = rig.nets();
    nets.put_network(1, network("vpc-1", "10.0.0.0/16")).await;
    nets.put_port(1, port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5")).await;
    let machine = rig.machine("i-a");
    machine.attach(&nets, &[("eni-a", "eth0")]).await;
    machine
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wanted_is_made_and_what_is_not_is_removed() {
    let rig = Rig::new();
    let before = rig.traces();
    let machine = machine(&rig).await;
    let _server = machine.serve(80);
    let _agent = Running::start(&rig);
    let mut region = Region::open(&rig, 1, items(&rig)).await.unwrap();
    region.until(|r| keys().iter().all(|key| r.is_ready(key, 1))).await;
    assert_eq!(dial_from_host((rig.public(16), 443)).await.unwrap().server, "i-a");

    let mut secondary = port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5");
    secondary.secondary = vec![ip("10.0.1.77")];
    let unknown = key(ItemKind::Disk, "vol-never-there");
    region.change(vec![version(2, Item::Port(secondary))], vec![unknown.clone()]).await;
    region.until(|r| r.is_ready(&keys()[1], 2) && r.gone.contains(&unknown)).await;

    roadstead_host::net::netns::delete(&machine.namespace).unwrap();
    region.change(Vec::new(), keys().to_vec()).await;
    region.until(|r| keys().iter().all(|key| r.gone.contains(key))).await;
    drop(_server);
    eventually(async || if rig.traces() == before { Ok(()) } else { Err(rig.traces()) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_flows_while_agents_come_and_go() {
    let rig = Rig::new();
    let machine = machine(&rig).await;
    let _server = machine.serve(80);
    let agent = Running::start(&rig);
    let mut region = Region::open(&rig, 1, items(&rig)).await.unwrap();
    region.until(|r| r.is_ready(&keys()[0], 1)).await;
    drop(region);
    let (public, counts) = (rig.public(16), Arc::new([AtomicU32::new(0), AtomicU32::new(0)]));
    let mut held = dial_from_host((public, 443)).await.unwrap();
    let counted = counts.clone();
    let traffic = tokio::spawn(async move {
        loop {
            let result = dial_from_host((public, 443)).await.inspect_err(|error| eprintln!("{error}"));
            counted[usize::from(result.is_err())].fetch_add(1, Ordering::Relaxed);
        }
    });
    let mut agent = agent;
    for _ in 0..5 {
        agent.stop().await;
        held.echo().await.unwrap();
        // The region is away: the agent goes on from its snapshot.
        agent = Running::start(&rig);
        tokio::time::sleep(Duration::from_millis(200)).await;
        held.echo().await.unwrap();
    }
    traffic.abort();
    let [passed, failed] = [0, 1].map(|n| counts[n].load(Ordering::Relaxed));
    assert!(passed > 20 && failed == 0, "{passed} connections passed, {failed} failed");
    // It checks health, too.
    drop(_server);
    let mut region = Region::open(&rig, 1, items(&rig)).await.unwrap();
    let unhealthy = |status: &BalancerStatus| !status.targets["i-a"].healthy;
    region.until(|r| matches!(r.seen.get(&keys()[0]), Some((_, Status::Balancer(s))) if unhealthy(s))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leftovers_of_an_interrupted_removal_go() {
    let rig = Rig::new();
    let nets = rig.nets();
    nets.put_network(1, network("vpc-left", "10.0.0.0/16")).await;
    let (_agent, vpc) = (Running::start(&rig), vec![items(&rig).remove(2)]);
    let mut region = Region::open(&rig, 1, vpc).await.unwrap();
    region.until(|r| r.is_ready(&keys()[2], 1) && r.gone.contains(&key(ItemKind::Network, "vpc-left"))).await;
    assert!(rig.traces().iter().all(|trace| !trace.contains("vpc-left")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_newest_session_counts() {
    let rig = Rig::new();
    let _agent = Running::start(&rig);
    let vpc = |generation| vec![version(generation, Item::Network(network("vpc-1", "10.0.0.0/16")))];
    let mut first = Region::open(&rig, 5, vpc(3)).await.unwrap();
    first.until(|r| r.is_ready(&keys()[2], 3)).await;
    let mut second = Region::open(&rig, 5, vpc(3)).await.unwrap();
    let why = first.until(|_| false).await.unwrap();
    assert!(why.contains("newer session"), "{why}");
    second.until(|r| r.is_ready(&keys()[2], 3)).await;

    second.change(vpc(2), Vec::new()).await;
    let why = second.until(|_| false).await.unwrap();
    assert!(why.contains("generation 2") && why.contains("older than 3"), "{why}");
    let why = Region::open(&rig, 4, vpc(9)).await.err().unwrap();
    assert!(why.contains("epoch 4 is older than 5"), "{why}");
    let mut bad = vpc(3);
    bad[0].item = Item::Network(network("../vpc", "10.0.0.0/16"));
    let why = Region::open(&rig, 5, bad).await.err().unwrap();
    assert!(why.contains("is not an id"), "{why}");
    let mut rewound = Region::open(&rig, 6, vpc(1)).await.unwrap();
    rewound.until(|r| r.is_ready(&keys()[2], 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_region_gets_connections_into_networks() {
    let rig = Rig::new();
    let machine = machine(&rig).await;
    let _server = machine.serve(80);
    let _agent = Running::start(&rig);
    let mut region = Region::open(&rig, 1, items(&rig)).await.unwrap();
    region.until(|r| r.is_ready(&keys()[0], 1)).await;
    for (address, number, seen_as) in [("10.0.1.5", 80, "10.0.1.1"), ("10.0.1.9", 443, "10.0.1.9")] {
        let stream = dial::request(&socket(&rig), "vpc-1", ip(address), number).await.unwrap();
        let mut client = rig::Client::greet(stream).await.unwrap();
        assert_eq!((&*client.server, client.seen_as), ("i-a", ip(seen_as)));
        client.echo().await.unwrap();
    }
    for (network, number, expected) in [("vpc-1", 81, "refused"), ("vpc-2", 80, "no network namespace")] {
        let error = dial::request(&socket(&rig), network, ip("10.0.1.5"), number).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_snapshot_moves_nothing() {
    let rig = Rig::new();
    let agent = Running::start(&rig);
    let mut region = Region::open(&rig, 1, items(&rig)).await.unwrap();
    region.until(|r| r.is_ready(&keys()[1], 1)).await;
    agent.stop().await;
    let path = rig.config.state_dir.join("items.snapshot");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let before = rig.traces();
    let _agent = Running::start(&rig);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(rig.traces(), before);
    let mut region = Region::open(&rig, 1, Vec::new()).await.unwrap();
    region.until(|r| r.gone.contains(&keys()[2])).await;
    assert_eq!(rig.traces(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_needs_nothing_but_the_mark() {
    let rig = Rig::new();
    let machine = machine(&rig).await;
    let agent = Running::start(&rig);
    let mut region = Region::open(&rig, 1, items(&rig)).await.unwrap();
    region.until(|r| r.is_ready(&keys()[1], 1)).await;
    agent.stop().await;
    std::fs::remove_dir_all(&rig.config.state_dir).unwrap();
    assert!(net::netns::list(&machine.namespace).unwrap().len() == 1);
    agent::purge(&rig.config).unwrap();
    assert_eq!(rig.traces(), Vec::<String>::new());
}
