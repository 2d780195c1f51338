//! VPC endpoints for real: dialled from machines' namespaces, through security groups. Needs root.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod rig;

use rig::{LONG, Machine, Rig, eventually, ip, lines, network, port};
use roadstead_host::endpoint::Endpoints;
use roadstead_host::link_local::LinkLocal;
use roadstead_host::net::{Nets, netns, router_namespace};
use roadstead_hostspec::link_local::RESOLVER;
use roadstead_hostspec::{
    Endpoint, EndpointStatus, ItemKey, ItemKind, Network, Peer, Permission, Port, SecurityGroup, Status, Traffic,
};
use roadstead_vault::Vault;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, Question, TYPE};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

const NAME: &str = "ec2.us-west-2.amazonaws.com";

struct World {
    nets: Nets,
    endpoints: Endpoints,
    /// Answers names.
    _link_local: LinkLocal,
    /// At 10.0.1.5, in the group `sg-a`.
    a: Machine,
    rig: Rig,
}

/// A machine in a network, and a region that greets with `region` and then echoes.
async fn world() -> World {
    let rig = Rig::new();
    let nets = rig.nets();
    Vault::open_or_create(&rig.config.root_key).unwrap();
    let endpoints = Endpoints::new(rig.config.clone(), rig.statuses.saw(), nets.clone());
    let link_local = LinkLocal::new(rig.config.clone(), nets.clone(), endpoints.names());
    let vpc = Network { link_local: true, ..network("vpc-1", "10.0.0.0/16") };
    link_local.put_network(1, &vpc).await;
    nets.put_network(1, vpc).await;
    let groups = vec!["sg-a".to_owned()];
    nets.put_port(1, Port { groups, ..port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5") }).await;
    let a = rig.machine("i-a");
    a.attach(&nets, &[("eni-a", "eth0")]).await;
    nets.put_group(group("sg-a", &[], &[everything("0.0.0.0/0")])).await;
    serve_region(&rig);
    World { nets, endpoints, _link_local: link_local, a, rig }
}

fn serve_region(rig: &Rig) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    std::fs::write(&rig.config.region_address, listener.local_addr().unwrap().to_string()).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(b"region").await.unwrap();
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
}

fn group(id: &str, ingress: &[Permission], egress: &[Permission]) -> SecurityGroup {
    SecurityGroup { id: id.into(), network: "vpc-1".into(), ingress: ingress.to_vec(), egress: egress.to_vec() }
}

fn everything(block: &str) -> Permission {
    Permission { traffic: Traffic::All, peer: Peer::Block(block.parse().unwrap()) }
}

fn http(peer: Peer) -> Permission {
    Permission { traffic: Traffic::Tcp { first: 80, last: 80 }, peer }
}

fn endpoint(addresses: &[&str]) -> Endpoint {
    let addresses: Vec<Ipv4Addr> = addresses.iter().map(|address| ip(address)).collect();
    let names = [(NAME.to_owned(), addresses.clone())].into();
    Endpoint { id: "vpce-1".into(), network: "vpc-1".into(), addresses, groups: vec!["sg-e".into()], names }
}

impl World {
    /// Waits until the host said of the generation that it is answered at.
    async fn until_ready(&self, generation: u64) {
        let key = ItemKey { kind: ItemKind::Endpoint, id: "vpce-1".into() };
        let ready = Status::Endpoint(EndpointStatus { ready: true, why: None });
        eventually(async || match self.rig.statuses.all().get(&key) {
            Some(said) if *said == (generation, ready.clone()) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    /// The region's greeting, and the connection.
    async fn dial(&self, address: &str, port: u16) -> io::Result<tokio::net::TcpStream> {
        let connect = async {
            let mut stream = self.a.socket().connect(SocketAddr::from((ip(address), port))).await?;
            let mut greeting = [0; 6];
            stream.read_exact(&mut greeting).await?;
            assert_eq!(&greeting, b"region");
            Ok(stream)
        };
        timeout(Duration::from_millis(500), connect).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
    }

    async fn is_answered(&self, address: &str) {
        eventually(async || self.dial(address, 80).await.map(drop)).await;
    }

    #[track_caller]
    fn resolve(&self, name: &str) -> Vec<Ipv4Addr> {
        let socket = netns::run_in(&self.a.namespace, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))).unwrap().unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        socket.connect((RESOLVER, 53)).unwrap();
        let mut query = Packet::new_query(7);
        let name = Name::new(name).unwrap().into_owned();
        query.questions.push(Question::new(name, TYPE::A.into(), CLASS::IN.into(), false));
        socket.send(&query.build_bytes_vec().unwrap()).unwrap();
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).unwrap();
        let answer = Packet::parse(&answer[..length]).unwrap();
        let address = |data: &RData<'_>| match data {
            RData::A(a) => Ipv4Addr::from(a.address),
            other => panic!("{other:?}"),
        };
        answer.answers.iter().map(|record| address(&record.rdata)).collect()
    }

    fn held(&self) -> Vec<String> {
        let router = router_namespace(&self.rig.config, "vpc-1");
        lines("ip", &["-n", &router, "-o", "address"], " 10.0.2.")
    }
}

/// Silence: what a group does not let through is dropped.
#[track_caller]
fn assert_dropped<T>(dialled: io::Result<T>) {
    assert_eq!(dialled.map(drop).unwrap_err().kind(), io::ErrorKind::TimedOut);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_region_is_reached_by_an_endpoint_and_its_name() {
    let world = world().await;
    world.nets.put_group(group("sg-e", &[http(Peer::Group("sg-a".into()))], &[])).await;
    world.endpoints.put(1, endpoint(&["10.0.2.9", "10.0.3.9"])).await;
    world.until_ready(1).await;
    for address in ["10.0.2.9", "10.0.3.9"] {
        world.is_answered(address).await;
    }
    assert_eq!(world.resolve(NAME), [ip("10.0.2.9"), ip("10.0.3.9")]);
    assert!(world.resolve("sts.us-west-2.amazonaws.com").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_gets_to_an_endpoint_whom_its_groups_or_their_own_do_not_let_through() {
    let world = world().await;
    world.endpoints.put(1, endpoint(&["10.0.2.9"])).await;
    world.until_ready(1).await;
    assert_dropped(world.dial("10.0.2.9", 80).await);
    world.nets.put_group(group("sg-e", &[http(Peer::Block("10.0.9.0/24".parse().unwrap()))], &[])).await;
    assert_dropped(world.dial("10.0.2.9", 80).await);
    assert!(!world.a.pings(ip("10.0.2.9"), 1), "no group lets that in");
    world.nets.put_group(group("sg-e", &[http(Peer::Block("10.0.1.5/32".parse().unwrap()))], &[])).await;
    let mut open = world.dial("10.0.2.9", 80).await.unwrap();
    assert_dropped(world.dial("10.0.2.9", 443).await);
    // Whoever dials must be let out to the endpoint: by its address, or by its group.
    world.nets.put_group(group("sg-a", &[], &[everything("10.0.9.0/24")])).await;
    assert_dropped(world.dial("10.0.2.9", 80).await);
    world.nets.put_group(group("sg-a", &[], &[http(Peer::Group("sg-e".into()))])).await;
    assert!(world.dial("10.0.2.9", 80).await.is_ok());
    // What is open outlives the rule that let it through.
    world.nets.put_group(group("sg-e", &[], &[])).await;
    assert_dropped(world.dial("10.0.2.9", 80).await);
    open.write_all(b"still here").await.unwrap();
    let mut back = [0; 10];
    timeout(LONG, open.read_exact(&mut back)).await.unwrap().unwrap();
    assert_eq!(&back, b"still here");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_changes_keeps_what_stays_and_gives_back_what_goes() {
    let world = world().await;
    let anybody = [http(Peer::Block("0.0.0.0/0".parse().unwrap()))];
    world.nets.put_group(group("sg-e", &anybody, &[])).await;
    world.nets.put_group(group("sg-f", &[], &[])).await;
    world.endpoints.put(1, endpoint(&["10.0.2.9", "10.0.2.10"])).await;
    world.until_ready(1).await;
    let mut stays = world.dial("10.0.2.9", 80).await.unwrap();
    let mut goes = world.dial("10.0.2.10", 80).await.unwrap();
    world.endpoints.put(2, Endpoint { groups: vec!["sg-f".into()], ..endpoint(&["10.0.2.9"]) }).await;
    world.until_ready(2).await;
    assert_eq!(world.held().len(), 1, "{:?}", world.held());
    assert_eq!(world.resolve(NAME), [ip("10.0.2.9")]);
    assert_dropped(world.dial("10.0.2.9", 80).await);
    stays.write_all(b"x").await.unwrap();
    assert_eq!(timeout(LONG, stays.read_u8()).await.unwrap().unwrap(), b'x');
    assert!(timeout(LONG, goes.read_u8()).await.unwrap().is_err(), "its address is gone");
    world.endpoints.remove("vpce-1").await;
    assert_eq!(world.held(), Vec::<String>::new());
    assert!(world.resolve(NAME).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_agent_and_another_router_answer_as_the_first_did() {
    let world = world().await;
    let anybody = [http(Peer::Block("0.0.0.0/0".parse().unwrap()))];
    world.nets.put_group(group("sg-e", &anybody, &[])).await;
    world.endpoints.put(1, endpoint(&["10.0.2.9"])).await;
    world.until_ready(1).await;
    world.is_answered("10.0.2.9").await;
    netns::delete(&router_namespace(&world.rig.config, "vpc-1")).unwrap();
    world.nets.audit().await;
    let ports = [roadstead_hostspec::MachinePort { port: "eni-a".into(), name: "eth0".into() }];
    let namespace = netns::path(&world.a.namespace);
    let plug = async || world.nets.attach("i-a", &namespace, &ports, roadstead_host::net::Setup::All).await;
    eventually(plug).await;
    world.is_answered("10.0.2.9").await;
    // As an agent's end does: the router keeps the address until the next one answers there.
    let World { nets, endpoints, _link_local, a, rig } = world;
    let held = || lines("ip", &["-n", &router_namespace(&rig.config, "vpc-1"), "-o", "address"], " 10.0.2.9");
    assert_eq!(held().len(), 1);
    drop((nets, endpoints, _link_local));
    let nets = rig.nets();
    let endpoints = Endpoints::new(rig.config.clone(), rig.statuses.saw(), nets.clone());
    endpoints.adopt(&endpoint(&["10.0.2.9"])).await;
    nets.put_network(1, network("vpc-1", "10.0.0.0/16")).await;
    assert_eq!(held().len(), 1);
    drop((endpoints, a));
}
