//! The model says what real members have said to the same trace: see `e2e/tests/etcd.rs`.

use super::super::machine_key;
use super::*;
use crate::rng::Rng;
use roadstead_cloud::eks::etcd::CLIENT_PORT;
use roadstead_hostspec::{Disk, Item, MachineDisk, MachinePort, Network, Port, Process, ProcessState, Versioned};
use roadstead_types::Cidr;

const TRACE: &str = include_str!("../../../scripts/etcd.trace");
const TOKEN: &str = "trace";

/// Places for members, on a host of their own.
struct Etcd {
    host: Host,
    generation: u64,
}

fn address(name: &str) -> Ipv4Addr {
    let n = "abcd".find(name).and_then(|n| u8::try_from(n).ok()).expect("a place");
    Ipv4Addr::new(10, 0, 0, 10 + n)
}

impl Etcd {
    fn new() -> Etcd {
        let mut etcd = Etcd { host: Host::new(Rng::calm(), crate::setup::START), generation: 0 };
        let block = Cidr::containing(Ipv4Addr::new(10, 0, 0, 0), 24);
        etcd.put(Item::Network(Network { id: "net".into(), cidrs: vec![block], ..Network::default() }));
        for name in ["a", "b", "c", "d"] {
            etcd.put(Item::Disk(Disk { id: name.into(), bytes: 1, mark: None }));
            let (mac, network) = (format!("02:00:00:00:00:{name}"), "net".into());
            let port = Port {
                id: name.into(),
                network,
                mac,
                subnet: block,
                address: address(name),
                secondary: vec![],
                groups: vec![],
                forwards: false,
            };
            etcd.put(Item::Port(port));
        }
        etcd.pass(Millis::secs(10));
        etcd
    }

    fn put(&mut self, item: Item) {
        self.generation += 1;
        self.host.put(Versioned { generation: self.generation, item });
    }

    /// All that is due within this time happens.
    fn pass(&mut self, span: Millis) {
        let until = self.host.now + span;
        while let Some(at) = self.host.wakes().filter(|at| *at <= until) {
            self.host.tick(at.max(self.host.now));
            self.host.act();
        }
        self.host.tick(until);
    }

    /// Runs a line of the trace; what it answers, if it does.
    fn answer(&mut self, line: &str) -> Option<String> {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["start", name, state, peers] => self.start(name, state, peers),
            ["kill", name] => self.kill(name),
            ["wipe", name] => self.host.set_back(name, true),
            ["settle"] => self.pass(Millis(5500)),
            ["await", name] => return Some(self.becomes(name)),
            ["list"] => return Some(self.list()),
            ["write"] => return Some(self.write()),
            ["add", name] => return Some(self.change(&Action::AddLearner(peer_url(address(name))))),
            ["promote", name] => return Some(self.change(&Action::Promote(self.id(name)))),
            ["remove", name] => return Some(self.change(&Action::Remove(self.id(name)))),
            _ => panic!("{line:?} is no line of a trace"),
        }
        None
    }

    fn start(&mut self, name: &str, state: &str, peers: &str) {
        self.kill(name);
        let peers: Vec<String> = peers.split(',').map(|peer| format!("{peer}={}", peer_url(address(peer)))).collect();
        let argv = vec![
            "/opt/etcd".into(),
            format!("--name={name}"),
            format!("--initial-cluster={}", peers.join(",")),
            format!("--initial-cluster-token={TOKEN}"),
            format!("--initial-cluster-state={state}"),
            format!("--listen-client-urls=https://{}:{CLIENT_PORT}", address(name)),
        ];
        let process = Process {
            name: "etcd".into(),
            argv,
            env: BTreeMap::new(),
            after: vec![],
            ready: None,
            live: None,
            pre_stop: vec![],
            grace: None,
            once: false,
        };
        self.put(Item::Machine(Machine {
            id: name.into(),
            hostname: name.into(),
            profile: Default::default(),
            cpu_millis: 0,
            memory_bytes: 0,
            ports: vec![MachinePort { port: name.into(), name: "eth0".into() }],
            disks: vec![MachineDisk { disk: name.into(), path: "/data".into() }],
            components: vec![],
            files: vec![],
            processes: vec![process],
        }));
    }

    fn kill(&mut self, name: &str) {
        self.host.items.remove(&machine_key(name));
        self.host.stale = true;
    }

    fn becomes(&mut self, name: &str) -> String {
        self.pass(Millis::secs(2));
        let machine = &self.host.items.machines[name];
        let (process, role) = machine.state.with_roles().next().expect("the machine runs");
        let ends = self.host.items.ends(machine, process, role).is_some();
        match process.state {
            _ if ends => "ends".into(),
            ProcessState::Ready => "serves".into(),
            _ => "waits".into(),
        }
    }

    fn list(&self) -> String {
        if !self.host.has_quorum(TOKEN) {
            return "away".into();
        }
        let name = |peer: &Peer| {
            format!("{}{}", if peer.begun { &peer.name } else { "?" }, if peer.learner { "+" } else { "" })
        };
        let mut names: Vec<String> = self.host.items.etcds[TOKEN].members.values().map(name).collect();
        names.sort();
        names.join(" ")
    }

    fn write(&mut self) -> String {
        let quorum = self.host.has_quorum(TOKEN);
        self.host.acknowledge();
        if quorum { "ok".into() } else { "away".into() }
    }

    fn id(&self, name: &str) -> u64 {
        self.host.items.etcds[TOKEN].at(address(name)).map_or(0xdead, |(id, _)| id)
    }

    fn change(&mut self, action: &Action) -> String {
        match self.host.change_etcd(TOKEN, action) {
            None => "away".into(),
            Some(done) => done.map_or_else(|why| why, |()| "ok".into()),
        }
    }
}

#[test]
fn the_model_says_what_etcd_says() {
    let mut etcd = Etcd::new();
    for (n, line) in TRACE.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let (command, expected) = line.split_once(" => ").map_or((line, None), |(c, e)| (c, Some(e)));
        assert_eq!(etcd.answer(command).as_deref(), expected, "line {}: {command}", n + 1);
    }
}
