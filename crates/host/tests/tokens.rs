//! Token review for real: a reviewer in a router, asked over TLS from a machine's namespace. Needs root.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

mod rig;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rig::{LONG, Machine, Rig, eventually, ip, lines, network, port};
use roadstead_host::net::{Nets, Setup, netns, router_namespace};
use roadstead_host::tokens::Reviewers;
use roadstead_hostspec::{
    Credential, ItemKey, ItemKind, MachinePort, Mapping, Principal, Reviewer, ReviewerStatus, Status,
};
use roadstead_types::Millis;
use roadstead_vault::Vault;
use roadstead_wire::sigv4::presign_get_caller_identity;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const ID: &str = "AKIAEXAMPLE";
const SECRET: &str = "a secret of nobody";
const USER: &str = "arn:aws:iam::111122223333:user/admin";
const PORT: u16 = 8443;

struct World {
    reviewers: Reviewers,
    nets: Nets,
    vault: Vault,
    spec: Reviewer,
    /// In the subnet that may ask, and in one that may not.
    api: Machine,
    other: Machine,
    rig: Rig,
}

/// A reviewer at 10.0.1.9 for machines in 10.0.1.0/24: i-api is at 10.0.1.5, i-other at 10.0.2.5.
async fn world() -> World {
    let rig = Rig::new();
    let nets = rig.nets();
    nets.put_network(1, network("vpc-1", "10.0.0.0/16")).await;
    nets.put_port(1, port("eni-a", "vpc-1", "10.0.1.0/24", "10.0.1.5")).await;
    nets.put_port(1, port("eni-b", "vpc-1", "10.0.2.0/24", "10.0.2.5")).await;
    let (api, other) = (rig.machine("i-api"), rig.machine("i-other"));
    api.attach(&nets, &[("eni-a", "eth0")]).await;
    other.attach(&nets, &[("eni-b", "eth0")]).await;
    let vault = Vault::open_or_create(&rig.config.root_key).unwrap();
    let reviewers = Reviewers::new(rig.config.clone(), rig.statuses.saw(), nets.clone());
    reviewers.put_credential(credential(&vault, true));
    let spec = reviewer(&vault);
    reviewers.put_reviewer(1, spec.clone()).await;
    let world = World { reviewers, nets, vault, spec, api, other, rig };
    world.until_ready(1).await;
    world
}

fn credential(vault: &Vault, enabled: bool) -> Credential {
    let principal = Principal { arn: USER.into(), unique_id: "AIDAEXAMPLE".into(), account: "111122223333".into() };
    let secret = vault.seal("access-key", SECRET.as_bytes()).unwrap();
    Credential { access_key_id: ID.into(), secret, principal, enabled, session: None }
}

fn reviewer(vault: &Vault) -> Reviewer {
    let made = rcgen::generate_simple_self_signed(["10.0.1.9".to_owned()]).unwrap();
    Reviewer {
        id: "cluster-1".into(),
        network: "vpc-1".into(),
        address: ip("10.0.1.9"),
        clients: "10.0.1.0/24".parse().unwrap(),
        port: PORT,
        certificate: made.cert.pem(),
        key: vault.seal("reviewer", made.signing_key.serialize_pem().as_bytes()).unwrap(),
        cluster: "dev".into(),
        region: "us-west-2".into(),
        sts_hosts: vec![],
        mappings: vec![mapping("admin")],
    }
}

fn mapping(username: &str) -> Mapping {
    Mapping { arn: USER.into(), username: username.into(), groups: vec!["system:masters".into()] }
}

fn token(cluster: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = Millis(u64::try_from(now.as_millis()).unwrap());
    let url = presign_get_caller_identity(ID, SECRET, "us-west-2", &[("x-k8s-aws-id", cluster)], now);
    format!("k8s-aws-v1.{}", URL_SAFE_NO_PAD.encode(url))
}

fn body(token: &str) -> String {
    json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}).to_string()
}

impl World {
    fn status(&self) -> Option<(u64, ReviewerStatus)> {
        let key = ItemKey { kind: ItemKind::Reviewer, id: self.spec.id.clone() };
        match self.rig.statuses.all().remove(&key)? {
            (generation, Status::Reviewer(status)) => Some((generation, status)),
            other => panic!("{other:?}"),
        }
    }

    async fn until_ready(&self, generation: u64) {
        eventually(async || match self.status() {
            Some((of, status)) if of == generation && status.ready => Ok(()),
            other => Err(other),
        })
        .await;
    }

    async fn connect(&self, from: &Machine) -> io::Result<Client> {
        let socket = netns::run_in(&from.namespace, TcpSocket::new_v4).unwrap().unwrap();
        let address = SocketAddr::from((self.spec.address, self.spec.port));
        let stream = timeout(LONG, socket.connect(address)).await??;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.spec.certificate.as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let name = ServerName::IpAddress(IpAddr::from(self.spec.address).into());
        let stream = TlsConnector::from(Arc::new(config.with_no_client_auth())).connect(name, stream).await?;
        Client::new(stream).await
    }

    /// The status of a review from the machine that may ask, on a connection of its own.
    async fn review(&self, token: &str) -> io::Result<Value> {
        let (status, answer) = self.connect(&self.api).await?.send(Method::POST, body(token)).await?;
        assert_eq!(status, StatusCode::OK);
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(
            (&answer["kind"], &answer["apiVersion"]),
            (&json!("TokenReview"), &json!("authentication.k8s.io/v1"))
        );
        Ok(answer["status"].clone())
    }

    async fn username(&self, cluster: &str) -> Value {
        self.review(&token(cluster)).await.unwrap()["user"]["username"].clone()
    }
}

struct Client(http1::SendRequest<Full<Bytes>>);

impl Client {
    async fn new(stream: TlsStream<TcpStream>) -> io::Result<Client> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(Client(sender))
    }

    async fn send(&mut self, method: Method, body: String) -> io::Result<(StatusCode, Bytes)> {
        let request = Request::builder().method(method).uri("/").header("host", "reviewer");
        self.0.ready().await.map_err(io::Error::other)?;
        let answer = self.0.send_request(request.body(Full::from(body)).unwrap()).await.map_err(io::Error::other)?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await.map_err(io::Error::other)?.to_bytes()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_learns_who_a_token_is_of() {
    let world = world().await;
    let status = world.review(&token("dev")).await.unwrap();
    assert_eq!(status["authenticated"], true);
    assert_eq!(status["user"]["uid"], "aws-iam-authenticator:111122223333:AIDAEXAMPLE");
    assert_eq!(status["user"]["groups"], json!(["system:masters"]));
    let status = world.review(&token("prod")).await.unwrap();
    assert_eq!(status["authenticated"], false);
    assert!(status["error"].as_str().unwrap().contains("for a cluster other than 'dev'"), "{status}");
    // One connection serves many reviews.
    let mut client = world.connect(&world.api).await.unwrap();
    for _ in 0..3 {
        assert_eq!(client.send(Method::POST, body(&token("dev"))).await.unwrap().0, StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_the_clients_may_ask() {
    let world = world().await;
    assert!(world.connect(&world.other).await.is_err());
    assert!(world.connect(&world.api).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_review_is_a_bad_request() {
    let world = world().await;
    let mut client = world.connect(&world.api).await.unwrap();
    assert_eq!(client.send(Method::GET, String::new()).await.unwrap().0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(client.send(Method::POST, "{}".into()).await.unwrap().0, StatusCode::BAD_REQUEST);
    let mut client = world.connect(&world.api).await.unwrap();
    assert_eq!(client.send(Method::POST, body(&"a".repeat(64 << 10))).await.unwrap().0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mappings_and_keys_hold_from_the_next_request_on() {
    let world = world().await;
    let mut client = world.connect(&world.api).await.unwrap();
    let spec = Reviewer { mappings: vec![mapping("operator")], ..world.spec.clone() };
    world.reviewers.put_reviewer(2, spec).await;
    let (_, answer) = client.send(Method::POST, body(&token("dev"))).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("operator"), "on a connection that was open before");
    world.until_ready(2).await;
    world.reviewers.put_credential(credential(&world.vault, false));
    assert_eq!(world.username("dev").await, Value::Null);
    world.reviewers.put_credential(credential(&world.vault, true));
    assert_eq!(world.username("dev").await, "operator");
    world.reviewers.remove_credential(ID);
    assert_eq!(world.username("dev").await, Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_and_address_replace_the_old() {
    let mut world = world().await;
    let mut early = world.connect(&world.api).await.unwrap();
    let renewed = reviewer(&world.vault);
    world.reviewers.put_reviewer(2, renewed.clone()).await;
    world.until_ready(2).await;
    assert!(world.connect(&world.api).await.is_err(), "the old certificate is not shown any more");
    assert!(early.send(Method::POST, body(&token("dev"))).await.is_ok(), "who is connected stays so");
    world.spec = Reviewer { port: PORT + 1, ..renewed };
    world.reviewers.put_reviewer(3, world.spec.clone()).await;
    world.until_ready(3).await;
    assert_eq!(world.username("dev").await, "admin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_does_not_open_is_reported_until_a_good_one_is_put() {
    let world = world().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let foreign = Vault::open_or_create(&elsewhere.path().join("root.key")).unwrap();
    world.reviewers.put_reviewer(2, reviewer(&foreign)).await;
    let why = eventually(async || world.status().and_then(|(_, status)| status.why).ok_or(())).await;
    assert!(why.contains("does not open under this root key"), "{why}");
    world.reviewers.put_reviewer(3, world.spec.clone()).await;
    world.until_ready(3).await;
    assert_eq!(world.username("dev").await, "admin");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_that_was_made_anew_is_listened_in_again() {
    let world = world().await;
    netns::delete(&router_namespace(&world.rig.config, "vpc-1")).unwrap();
    world.nets.audit().await;
    // The wires of the old one stay for as long as somebody listens in it.
    let ports = [MachinePort { port: "eni-a".into(), name: "eth0".into() }];
    eventually(async || world.nets.attach("i-api", &netns::path(&world.api.namespace), &ports, Setup::All).await).await;
    let status = eventually(async || world.review(&token("dev")).await).await;
    assert_eq!(status["authenticated"], true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_reviewer_leaves_nothing() {
    let world = world().await;
    let mut client = world.connect(&world.api).await.unwrap();
    let router = router_namespace(&world.rig.config, "vpc-1");
    let addresses = || lines("ip", &["-n", &router, "-o", "address"], " 10.0.1.9");
    assert_eq!(addresses().len(), 1);
    world.reviewers.remove_reviewer(&world.spec.id).await;
    assert_eq!(addresses(), Vec::<String>::new());
    assert!(client.send(Method::POST, body(&token("dev"))).await.is_err());
    assert!(world.connect(&world.api).await.is_err());
    world.reviewers.remove_reviewer("another").await;
}
