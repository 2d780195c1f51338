//! Link-local addresses for real: asked from machines' namespaces, and from a pod's behind one. Needs root.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod rig;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rig::{LONG, Machine, Rig, eventually, ip, lines, network, port};
use roadstead_host::endpoint::Names;
use roadstead_host::link_local::LinkLocal;
use roadstead_host::net::{Nets, Part, Setup, netns, router_namespace};
use roadstead_hostspec::link_local::{API, METADATA, RESOLVER};
use roadstead_hostspec::{MachinePort, Metadata, Network, RoleCredentials};
use roadstead_types::Millis;
use roadstead_vault::Vault;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, Question, RCODE, TYPE};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

struct World {
    link_local: LinkLocal,
    nets: Nets,
    /// Known instances at 10.0.1.5 and 10.0.2.5.
    a: Machine,
    b: Machine,
    rig: Rig,
}

fn vpc() -> Network {
    Network { link_local: true, ..network("vpc-1", "10.0.0.0/16") }
}

fn instance(id: &str, address: &str) -> Metadata {
    Metadata {
        id: id.into(),
        network: "vpc-1".into(),
        address: ip(address),
        hop_limit: 1,
        categories: [("meta-data/instance-id".to_owned(), id.to_owned())].into(),
        user_data: None,
        credentials: None,
    }
}

async fn world() -> World {
    let rig = Rig::new();
    let nets = rig.nets();
    Vault::open_or_create(&rig.config.root_key).unwrap();
    let link_local = LinkLocal::new(rig.config.clone(), nets.clone(), Names::default());
    link_local.put_network(1, &vpc()).await;
    nets.put_network(1, vpc()).await;
    nets.put_port(1, port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5")).await;
    nets.put_port(1, port("eni-b", "vpc-1", "10.0.2.0/24", "10.0.2.5")).await;
    let (a, b) = (rig.machine("i-a"), rig.machine("i-b"));
    a.attach(&nets, &[("eni-a", "eth0")]).await;
    b.attach(&nets, &[("eni-b", "eth0")]).await;
    link_local.put_instance(instance("i-a", "10.0.1.5"));
    link_local.put_instance(instance("i-b", "10.0.2.5"));
    let world = World { link_local, nets, a, b, rig };
    eventually(async || token(&world.a).await).await;
    // The door that is opened last.
    eventually(async || world.a.socket().connect(SocketAddr::from((API, 80))).await).await;
    world
}

/// A request from a machine, on a connection of its own.
async fn ask(from: &Machine, method: Method, path: &str, headers: &[(&str, &str)]) -> io::Result<(u16, String)> {
    let socket = from.socket();
    let asked = async {
        let stream = socket.connect(SocketAddr::from((METADATA, 80))).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(async move { drop(connection.await) });
        let request = headers.iter().fold(Request::builder().method(method).uri(path), |r, (n, v)| r.header(*n, *v));
        let request = request.header("host", "169.254.169.254").body(Full::<Bytes>::default()).unwrap();
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        Ok((status, String::from_utf8(body.to_vec()).unwrap()))
    };
    timeout(Duration::from_secs(1), asked).await.unwrap_or(Err(io::ErrorKind::TimedOut.into()))
}

async fn token(from: &Machine) -> io::Result<String> {
    let ttl = [("x-aws-ec2-metadata-token-ttl-seconds", "60")];
    match ask(from, Method::PUT, "/latest/api/token", &ttl).await? {
        (200, token) => Ok(token),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

async fn get(from: &Machine, path: &str, token: &str) -> (u16, String) {
    ask(from, Method::GET, path, &[("x-aws-ec2-metadata-token", token)]).await.unwrap()
}

/// What the resolver says of a name, asked by datagram.
fn resolve(from: &Machine, name: &str) -> io::Result<(RCODE, Vec<RData<'static>>)> {
    let query = question(name);
    let socket = netns::run_in(&from.namespace, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))??;
    socket.set_read_timeout(Some(LONG))?;
    socket.connect((RESOLVER, 53))?;
    socket.send(&query)?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    Ok(read(&answer[..length]))
}

fn question(name: &str) -> Vec<u8> {
    let mut query = Packet::new_query(7);
    let name = Name::new(name).unwrap().into_owned();
    query.questions.push(Question::new(name, TYPE::A.into(), CLASS::IN.into(), false));
    query.build_bytes_vec().unwrap()
}

fn read(answer: &[u8]) -> (RCODE, Vec<RData<'static>>) {
    let answer = Packet::parse(answer).unwrap();
    (answer.rcode(), answer.answers.into_iter().map(|record| record.rdata.into_owned()).collect())
}

fn address(text: &str) -> (RCODE, Vec<RData<'static>>) {
    (RCODE::NoError, vec![RData::A(simple_dns::rdata::A { address: ip(text).into() })])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_learns_of_itself_and_of_nobody_else() {
    let world = world().await;
    let (a, b) = (token(&world.a).await.unwrap(), token(&world.b).await.unwrap());
    assert_eq!(get(&world.a, "/latest/meta-data/instance-id", &a).await, (200, "i-a".into()));
    assert_eq!(get(&world.b, "/latest/meta-data/instance-id", &b).await, (200, "i-b".into()));
    assert_eq!(get(&world.b, "/latest/meta-data/instance-id", &a).await.0, 401, "the token is another's");
    let vault = Vault::open(&world.rig.config.root_key).unwrap();
    let credentials = RoleCredentials {
        role: "node".into(),
        access_key_id: "ASIAEXAMPLE".into(),
        secret: vault.seal("session", b"a secret of nobody").unwrap(),
        token: vault.seal("session", b"a token of nobody").unwrap(),
        updated: Millis(0),
        expires: Millis(1),
    };
    world.link_local.put_instance(Metadata { credentials: Some(credentials), ..instance("i-a", "10.0.1.5") });
    let (_, document) = get(&world.a, "/latest/meta-data/iam/security-credentials/node", &a).await;
    assert!(document.contains("a secret of nobody") && document.contains("a token of nobody"), "{document}");
    world.link_local.remove_instance("i-a");
    assert_eq!(get(&world.a, "/latest/meta-data/instance-id", &a).await.0, 403, "it is not known any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_go_as_many_hops_as_the_instance_says() {
    let world = world().await;
    // A pod of i-a's, which speaks to the outside with its node's address, as behind the VPC CNI.
    let pod = world.rig.machine("i-pod");
    let node = &world.a;
    node.run("ip", &["link", "add", "pod", "type", "veth", "peer", "name", "eth0", "netns", &pod.namespace]);
    node.run("ip", &["addr", "add", "192.168.9.1/24", "dev", "pod"]);
    node.run("ip", &["link", "set", "pod", "up"]);
    node.sysctl("net/ipv4/ip_forward", "1");
    let nat =
        "add table ip t; add chain ip t c { type nat hook postrouting priority 100; }; add rule ip t c masquerade";
    node.run("nft", &[nat]);
    pod.run("ip", &["addr", "add", "192.168.9.2/24", "dev", "eth0"]);
    pod.run("ip", &["link", "set", "eth0", "up"]);
    pod.run("ip", &["route", "add", "default", "via", "192.168.9.1"]);
    assert!(token(node).await.is_ok());
    assert_eq!(token(&pod).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    world.link_local.put_instance(Metadata { hop_limit: 2, ..instance("i-a", "10.0.1.5") });
    let of_pod = token(&pod).await.unwrap();
    assert_eq!(get(&pod, "/latest/meta-data/instance-id", &of_pod).await, (200, "i-a".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_the_vpc_are_resolved_and_all_others_are_unknown_at_once() {
    let world = world().await;
    let name = "ip-10-0-2-5.us-west-2.compute.internal";
    assert_eq!(resolve(&world.a, name).unwrap(), address("10.0.2.5"));
    let began = Instant::now();
    assert_eq!(resolve(&world.a, "example.com").unwrap().0, RCODE::NameError);
    assert!(began.elapsed() < Duration::from_millis(200), "{:?}", began.elapsed());
    let mut stream = world.b.socket().connect(SocketAddr::from((RESOLVER, 53))).await.unwrap();
    for _ in 0..2 {
        let query = question(name);
        let length = u16::try_from(query.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[..], &query].concat()).await.unwrap();
        let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(read(&answer), address("10.0.2.5"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_regions_api_is_reached_wherever_it_listens() {
    let world = world().await;
    let region = |greeting: &'static [u8]| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let at = listener.local_addr().unwrap().to_string();
        std::fs::write(&world.rig.config.region_address, at).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting).await.unwrap();
        })
    };
    let call = async || {
        let mut stream = world.a.socket().connect(SocketAddr::from((API, 80))).await?;
        let mut heard = String::new();
        timeout(LONG, stream.read_to_string(&mut heard)).await.unwrap().map(|_| heard)
    };
    eventually(async || world.a.socket().connect(SocketAddr::from((API, 80))).await.map(drop)).await;
    assert_ne!(call().await.unwrap_or_default(), "one", "no region was there yet");
    let first = region(b"one");
    assert_eq!(call().await.unwrap(), "one");
    first.await.unwrap();
    assert_eq!(call().await.unwrap_or_default(), "", "it is hung up on at once");
    region(b"two");
    assert_eq!(call().await.unwrap(), "two");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_asks_from_an_address_that_is_not_its_own() {
    let world = world().await;
    // No other port of these addresses, and no other link-local address.
    for to in [(METADATA, 53), (API, 443), (RESOLVER, 80), (ip("169.254.169.123"), 80), (ip("169.254.0.1"), 80)] {
        let began = Instant::now();
        assert!(world.a.dial(to).await.is_err(), "{to:?}");
        assert!(began.elapsed() < Duration::from_secs(1), "{to:?} is refused, not waited for");
    }
    for from in ["10.0.2.5", "10.0.1.1", "169.254.169.254", "192.168.0.1"] {
        world.a.run("ip", &["addr", "add", &format!("{from}/32"), "dev", "lo"]);
        let socket = world.a.socket();
        socket.bind(SocketAddr::from((ip(from), 0))).unwrap();
        let connect = timeout(Duration::from_millis(300), socket.connect(SocketAddr::from((METADATA, 80)))).await;
        assert!(!matches!(connect, Ok(Ok(_))), "from {from}");
        world.a.run("ip", &["addr", "del", &format!("{from}/32"), "dev", "lo"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_agent_keeps_what_it_finds_and_takes_the_tokens_of_the_first() {
    let world = world().await;
    let token = token(&world.a).await.unwrap();
    let router = router_namespace(&world.rig.config, "vpc-1");
    let addresses = || {
        let mut all = lines("ip", &["-n", &router, "-o", "address"], "/32");
        all.retain(|line| line.contains(" 169.254."));
        all
    };
    let before = eventually(async || Some(addresses()).filter(|all| all.len() == 3).ok_or(())).await;
    let World { link_local, nets, a, rig, .. } = world;
    // As an agent's end does.
    drop((link_local, nets));
    let nets = rig.nets();
    let link_local = LinkLocal::new(rig.config.clone(), nets.clone(), Names::default());
    let eni = port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5");
    nets.adopt("vpc-1", Part::Port(eni.clone())).await;
    link_local.adopt(&vpc()).await;
    link_local.put_instance(instance("i-a", "10.0.1.5"));
    nets.put_network(1, vpc()).await;
    assert_eq!(addresses(), before, "the router keeps them until they are answered at again");
    link_local.put_network(1, &vpc()).await;
    let path = "/latest/meta-data/instance-id";
    let again = async || ask(&a, Method::GET, path, &[("x-aws-ec2-metadata-token", &token)]).await;
    assert_eq!(eventually(again).await, (200, "i-a".into()));
    // A router that was made anew is listened in again.
    nets.put_port(1, eni).await;
    netns::delete(&router).unwrap();
    nets.audit().await;
    let ports = [MachinePort { port: "eni-a".into(), name: "eth0".into() }];
    eventually(async || nets.attach("i-a", &netns::path(&a.namespace), &ports, Setup::All).await).await;
    assert_eq!(eventually(again).await, (200, "i-a".into()));
    link_local.remove_network("vpc-1").await;
    assert_eq!(addresses(), Vec::<String>::new());
    assert!(again().await.is_err());
}
