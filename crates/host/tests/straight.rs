//! What is known goes straight through routers for real, and stops when it must. Needs root.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod rig;

use rig::{Client, Machine, Rig, ip, network, port};
use roadstead_host::net::{Flow, Frontend, Nets, Part, netns};
use roadstead_hostspec::{Border, Network};
use std::fs;
use std::time::Duration;

const B: &str = "10.0.2.5";
/// Of a balancer.
const FRONT: &str = "10.0.1.9";
/// Words that are said and come back; a few of the first and the last go the long way.
const WORDS: u64 = 50;
const FEW: u64 = 15;

struct Vpc {
    nets: Nets,
    /// 10.0.1.5.
    a: Machine,
    /// 10.0.2.5.
    b: Machine,
    /// Removed last.
    rig: Rig,
}

async fn vpc() -> Vpc {
    let rig = Rig::new();
    let nets = rig.nets();
    nets.put_network(1, network("vpc-1", "10.0.0.0/16")).await;
    let (a, b) = (rig.machine("i-a"), rig.machine("i-b"));
    for (machine, name, subnet, address) in [(&a, "eni-a", 1, "10.0.1.5"), (&b, "eni-b", 2, B)] {
        nets.put_port(1, port(name, "vpc-1", &format!("10.0.{subnet}.0/24"), address)).await;
        machine.attach(&nets, &[(name, "eth0")]).await;
    }
    Vpc { nets, a, b, rig }
}

impl Vpc {
    /// What the router has sent by its ports: that does not count what went straight through.
    fn sent(&self) -> u64 {
        let read = || {
            let mut sent = 0;
            for link in nix::net::if_::if_nameindex().unwrap().iter() {
                let name = link.name().to_str().unwrap();
                if name.starts_with('p') {
                    let file = format!("/sys/class/net/{name}/statistics/tx_packets");
                    sent += fs::read_to_string(file).unwrap().trim().parse::<u64>().unwrap();
                }
            }
            sent
        };
        let router = format!("{}-net-vpc-1", self.rig.config.mark());
        netns::run_in(&router, || {
            // Its own view of /sys, which shows the interfaces of whoever mounted it.
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
            let (none, private) = (None::<&str>, nix::mount::MsFlags::MS_REC | nix::mount::MsFlags::MS_PRIVATE);
            nix::mount::mount(none, "/", none, private, none).unwrap();
            nix::mount::mount(Some("sysfs"), "/sys", Some("sysfs"), nix::mount::MsFlags::empty(), none).unwrap();
            read()
        })
        .unwrap()
    }

    /// How many packets go the long way while words are said.
    async fn long_way(&self, open: &mut Client) -> u64 {
        let before = self.sent();
        for _ in 0..WORDS {
            open.echo().await.unwrap();
        }
        self.sent() - before
    }
}

fn closed() -> Network {
    let border = Border { subnet: "10.0.2.0/24".parse().unwrap(), ingress: Some(vec![]), egress: None };
    Network { borders: vec![border], ..network("vpc-1", "10.0.0.0/16") }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_goes_straight_until_a_border_closes() {
    let vpc = vpc().await;
    let _server = vpc.b.serve(80);
    let mut open = vpc.a.dial((ip(B), 80)).await.unwrap();
    let long_way = vpc.long_way(&mut open).await;
    assert!(long_way < FEW, "{long_way} packets");
    vpc.nets.put_network(2, closed()).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(300), open.echo()).await.is_err(),
        "what was learned is forgotten"
    );
    vpc.nets.put_network(3, network("vpc-1", "10.0.0.0/16")).await;
    tokio::time::timeout(Duration::from_secs(5), open.echo()).await.expect("TCP sends again").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_agent_finds_the_flows_and_can_close_them() {
    let vpc = vpc().await;
    let _server = vpc.b.serve(80);
    let mut open = vpc.a.dial((ip(B), 80)).await.unwrap();
    vpc.long_way(&mut open).await;
    let nets = vpc.rig.nets();
    for (id, subnet, address) in [("eni-a", "10.0.1.0/24", "10.0.1.5"), ("eni-b", "10.0.2.0/24", B)] {
        nets.adopt("vpc-1", Part::Port(port(id, "vpc-1", subnet, address))).await;
    }
    nets.put_network(1, network("vpc-1", "10.0.0.0/16")).await;
    let long_way = vpc.long_way(&mut open).await;
    assert!(long_way < FEW, "{long_way} packets");
    nets.put_network(2, closed()).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(300), open.echo()).await.is_err(),
        "what was learned is forgotten"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balanced_connection_goes_straight_until_it_is_cut() {
    let vpc = vpc().await;
    let _server = vpc.b.serve(80);
    let frontend = |targets| Frontend {
        addresses: vec![ip(FRONT)],
        public: None,
        listeners: [(443, targets)].into(),
        groups: Vec::new(),
    };
    vpc.nets.put_frontend("vpc-1", "nlb", frontend(vec![(ip(B), 80)])).await.unwrap();
    let mut open = vpc.a.dial((ip(FRONT), 443)).await.unwrap();
    let long_way = vpc.long_way(&mut open).await;
    assert!(long_way < FEW, "{long_way} packets");
    // Without its target, as a balancer's planner does it: nobody new comes, and who is connected learns of it.
    vpc.nets.put_frontend("vpc-1", "nlb", frontend(vec![])).await.unwrap();
    open.echo().await.expect("an open connection goes on");
    vpc.nets.cut("vpc-1", vec![Flow::to(ip(B))]).await.unwrap();
    let after = tokio::time::timeout(Duration::from_secs(2), open.echo()).await.expect("both sides learn of it");
    assert_eq!(after.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}
