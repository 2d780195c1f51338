//! Balancers for real: health, the data path that follows it, what clients notice. Needs root.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod rig;

use rig::{Machine, Rig, dial_from_host, eventually, ip, lines, network, port};
use roadstead_host::balancer::Balancers;
use roadstead_host::machine::Roster;
use roadstead_host::net::Nets;
use roadstead_hostspec::{
    Balancer, BalancerStatus, HealthCheck, HealthProtocol, ItemKey, ItemKind, Listener, PublicAddress, Status, Target,
};
use roadstead_types::Millis;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The timeout is generous: on a busy machine a check may be late.
const CHECKS: HealthCheck = HealthCheck {
    protocol: HealthProtocol::Tcp,
    interval: Millis(20),
    timeout: Millis(1000),
    healthy: 2,
    unhealthy: 2,
};

/// A network with machines i-a at 10.0.1.5 and i-b at 10.0.2.5.
struct Region {
    nets: Nets,
    balancers: Balancers,
    a: Machine,
    b: Machine,
    public: Ipv4Addr,
    rig: Rig,
}

impl Region {
    async fn new() -> Region {
        let rig = Rig::new();
        let nets = rig.nets();
        nets.put_network(1, network("vpc-1", "10.0.0.0/16")).await;
        nets.put_port(1, port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5")).await;
        nets.put_port(1, port("eni-b", "vpc-1", "10.0.2.0/24", "10.0.2.5")).await;
        let (a, b) = (rig.machine("i-a"), rig.machine("i-b"));
        a.attach(&nets, &[("eni-a", "eth0")]).await;
        b.attach(&nets, &[("eni-b", "eth0")]).await;
        let balancers = Balancers::new(rig.config.clone(), rig.statuses.saw(), nets.clone(), Roster::default());
        let public = rig.public(16);
        Region { nets, balancers, a, b, public, rig }
    }

    /// A balancer at 10.0.1.9:443 and outside, in front of port 80 of both machines.
    fn balancer(&self, health: HealthCheck) -> Balancer {
        let target = |id: &str, address| Target { id: id.into(), address: ip(address), port: 80, server: None };
        let targets = vec![target("i-a", "10.0.1.5"), target("i-b", "10.0.2.5")];
        Balancer {
            id: "nlb".into(),
            network: "vpc-1".into(),
            addresses: vec![ip("10.0.1.9")],
            public: Some(PublicAddress { address: self.public, sources: vec!["127.0.0.0/8".parse().unwrap()] }),
            listeners: vec![Listener { port: 443, targets, health }],
            groups: Vec::new(),
        }
    }

    fn status(&self) -> BalancerStatus {
        let key = ItemKey { kind: ItemKind::Balancer, id: "nlb".into() };
        match self.rig.statuses.all().get(&key) {
            Some((_, Status::Balancer(status))) => status.clone(),
            _ => BalancerStatus::default(),
        }
    }

    /// Of the balancer's first target.
    fn why(&self) -> Option<String> {
        self.status().targets.into_values().next()?.why
    }

    async fn until(&self, a: bool, b: bool) {
        let expected = [a, b];
        eventually(async || {
            let status = self.status();
            let seen: Vec<bool> = status.targets.values().map(|target| target.healthy).collect();
            if seen == expected { Ok(()) } else { Err(status) }
        })
        .await;
    }

    async fn dial(&self) -> std::io::Result<rig::Client> {
        dial_from_host((self.public, 443)).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_fails_gets_nothing_until_it_is_well() {
    let region = Region::new().await;
    let (_a, b) = (region.a.serve(80), region.b.serve(80));
    region.balancers.put(1, region.balancer(CHECKS)).await;
    region.until(true, true).await;
    drop(b);
    region.until(true, false).await;
    for _ in 0..20 {
        assert_eq!(region.dial().await.unwrap().server, "i-a");
    }
    let why = region.status().targets["i-b"].why.clone().unwrap();
    assert!(why.contains("refused"), "{why}");
    let _b = region.b.serve(80);
    region.until(true, true).await;
    eventually(async || match region.dial().await.unwrap().server.as_str() {
        "i-b" => Ok(()),
        other => Err(other.to_owned()),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silently_lost_machine_is_noticed_by_its_clients() {
    let region = Region::new().await;
    let _servers = (region.a.serve(80), region.b.serve(80));
    region.balancers.put(1, region.balancer(HealthCheck { timeout: Millis(100), ..CHECKS })).await;
    region.until(true, true).await;
    let mut client = eventually(async || match region.dial().await.unwrap() {
        client if client.server == "i-b" => Ok(client),
        _ => Err("the other answered"),
    })
    .await;
    client.echo().await.unwrap();
    region.b.run("ip", &["link", "set", "eth0", "down"]);
    let start = Instant::now();
    let error = client.echo().await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    // The router finds no way after 3 s of asking by ARP, or what is silent is given up after 15; then TCP's next try at sending, which doubles from 200 ms; and a machine
    // that is busy with other tests. Without the cut it would be a quarter of an hour.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    region.until(true, false).await;
    for _ in 0..20 {
        assert_eq!(region.dial().await.unwrap().server, "i-a");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_no_target_well_all_are_tried() {
    let region = Region::new().await;
    let (a, b) = (region.a.serve(81), region.b.serve(80));
    region.balancers.put(1, region.balancer(CHECKS)).await;
    region.until(false, true).await;
    drop((a, b));
    region.until(false, false).await;
    let refused = region.dial().await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "it is the target that refuses");
    let mut none = region.balancer(CHECKS);
    none.listeners[0].targets.clear();
    region.balancers.put(2, none).await;
    eventually(async || if region.status().targets.is_empty() { Ok(()) } else { Err(()) }).await;
    let refused = region.dial().await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused, "it is the router that refuses");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_checks_ask_for_a_page() {
    let region = Region::new().await;
    let (ready, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let _server = https(&region.a, ready.clone(), asked.clone());
    let protocol = HealthProtocol::Https { path: "/readyz".into() };
    let mut spec = region.balancer(HealthCheck { protocol, ..CHECKS });
    spec.listeners[0].targets.truncate(1);
    region.balancers.put(1, spec).await;
    eventually(async || match region.why() {
        Some(why) if why == "GET /readyz: answered HTTP/1.1 503 Not yet" => Ok(()),
        other => Err(other),
    })
    .await;
    ready.store(true, Ordering::Relaxed);
    eventually(async || if region.status().targets["i-a"].healthy { Ok(()) } else { Err(region.why()) }).await;
    assert!(asked.load(Ordering::Relaxed) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_leave_nothing_behind() {
    let region = Region::new().await;
    let asked = Arc::new(AtomicU32::new(0));
    let _servers = (https(&region.a, Arc::new(AtomicBool::new(true)), asked.clone()), region.b.serve(80));
    let mut spec = region.balancer(HealthCheck { interval: Millis(2), ..CHECKS });
    let https =
        Listener { port: 444, targets: vec![spec.listeners[0].targets[0].clone()], ..spec.listeners[0].clone() };
    spec.listeners.push(https);
    spec.listeners[1].health.protocol = HealthProtocol::Https { path: "/".into() };
    spec.listeners[0].targets.remove(0);
    region.balancers.put(1, spec).await;
    region.until(true, true).await;
    let before = (descriptors(), threads());
    let count = asked.load(Ordering::Relaxed);
    eventually(async || if asked.load(Ordering::Relaxed) > count + 300 { Ok(()) } else { Err(()) }).await;
    let after = (descriptors(), threads());
    assert!(after.0 <= before.0 + 10 && after.1 <= before.1 + 10, "descriptors and threads: {before:?}, {after:?}");
    let router = format!("{}-net-vpc-1", region.rig.config.mark());
    let waiting = lines("ip", &["netns", "exec", &router, "ss", "-Htan", "state", "time-wait"], "10.0.1.9");
    assert!(waiting.len() <= 10, "{}: {:?}", waiting.len(), waiting.first());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_agent_goes_on_where_the_old_one_was() {
    let Region { nets, balancers, a, b, public, rig } = Region::new().await;
    let region = Region { nets, balancers, a, b, public, rig };
    let _server = region.a.serve(80);
    let spec = region.balancer(CHECKS);
    region.balancers.put(1, spec.clone()).await;
    region.until(true, false).await;
    let failures = Arc::new(AtomicU32::new(0));
    let seen = failures.clone();
    let traffic = tokio::spawn(async move {
        loop {
            if let Err(error) = dial_from_host((public, 443)).await {
                eprintln!("{error}");
                seen.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let Region { nets, balancers, rig, .. } = &region;
    for _ in 0..5 {
        let (config, saw) = (rig.config.clone(), rig.statuses.saw());
        let nets = Nets::new(config.clone(), saw.clone());
        let balancers = Balancers::new(config, saw, nets.clone(), Roster::default());
        for (id, subnet, address) in [("eni-a", "10.0.1.0/24", "10.0.1.5"), ("eni-b", "10.0.2.0/24", "10.0.2.5")] {
            nets.adopt("vpc-1", roadstead_host::net::Part::Port(port(id, "vpc-1", subnet, address))).await;
        }
        balancers.adopt(&spec).await;
        nets.put_network(1, network("vpc-1", "10.0.0.0/16")).await;
        balancers.put(1, spec.clone()).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(failures.load(Ordering::Relaxed), 0, "no connection failed");
    traffic.abort();
    balancers.remove("nlb").await;
    nets.remove_network("vpc-1").await;
}

/// A server on port 80 that answers `GET` with 200 if it is ready, else 503.
fn https(machine: &Machine, ready: Arc<AtomicBool>, asked: Arc<AtomicU32>) -> rig::Server {
    let made = rcgen::generate_simple_self_signed(["nobody".to_owned()]).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let tls = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    machine.serve_with(80, move |stream| {
        let (tls, ready, asked) = (tls.clone(), ready.clone(), asked.clone());
        async move {
            let mut stream = tls.accept(stream).await?;
            let mut request = [0; 1024];
            let n = stream.read(&mut request).await?;
            assert!(request[..n].starts_with(b"GET /"));
            asked.fetch_add(1, Ordering::Relaxed);
            let line = if ready.load(Ordering::Relaxed) { "200 OK" } else { "503 Not yet" };
            stream.write_all(format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\nok").as_bytes()).await?;
            stream.shutdown().await
        }
    })
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_said() {
    let region = Region::new().await;
    let mut spec = region.balancer(CHECKS);
    spec.public.as_mut().unwrap().address = ip("127.44.0.1");
    region.balancers.put(1, spec).await;
    eventually(async || match region.rig.statuses.all().values().find_map(why) {
        Some(why) if why.contains("is not in 127.43.") => Ok(()),
        other => Err(other),
    })
    .await;
    region.balancers.remove("nlb").await;
    assert!(region.rig.traces().iter().all(|trace| !trace.contains("127.44")));
}

fn why((_, status): &(u64, Status)) -> Option<String> {
    match status {
        Status::Balancer(BalancerStatus { ready: false, why, .. }) => why.clone(),
        _ => None,
    }
}
