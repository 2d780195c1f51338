//! An API server that behaves: objects with versions, lists, watches that go on where another ended, evictions that a budget
//! refuses, approvals, applies. It serves TLS on loopback.

#![allow(dead_code, reason = "each test's program uses a part of it")]

use anyhow::Result;
use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use roadstead_cloud::eks::kube::Access;
use roadstead_kernel::driver::Driver;
use roadstead_kube::Dial;
use roadstead_store::{Key, Object, Record};
use roadstead_types::Millis;
use roadstead_vault::Vault;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What the API holds, and what happened to it.
#[derive(Default)]
struct State {
    version: u64,
    /// By path.
    objects: BTreeMap<String, Value>,
    /// Version, collection, what happened, and to what.
    history: Vec<(u64, String, &'static str, Value)>,
    /// Versions before this one are forgotten.
    compacted: u64,
    /// Pods that a budget protects.
    protected: BTreeSet<String>,
}

/// How long something may take to be seen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A driver at work on one record, until this is dropped.
pub struct Rig<O> {
    pub fake: Fake,
    saw: UnboundedReceiver<O>,
    task: JoinHandle<()>,
    _folder: TempDir,
}

impl<O> Drop for Rig<O> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<O: Object> Rig<O> {
    /// Has an API in which there is what `prepare` puts, and the driver and the spec that `make` gives.
    pub async fn start<D: Driver<Observed = O> + 'static>(
        prepare: impl FnOnce(&Fake),
        make: impl FnOnce(Loopback, Arc<Vault>, Access) -> (D, D::Desired),
    ) -> Rig<O> {
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::open_or_create(&folder.path().join("key")).unwrap());
        let (fake, dialer, access) = Fake::start(&vault).await;
        prepare(&fake);
        let (driver, body) = make(dialer, vault, access);
        let key = Key::new("cluster");
        let record = Record { key, created: Millis(0), generation: 1, deleting: None, owner: None, body };
        let (tell, saw) = unbounded_channel();
        let task = tokio::spawn(async move { driver.converge(&record, &move |state| drop(tell.send(state))).await });
        Rig { fake, saw, task, _folder: folder }
    }

    /// The first of what is seen from now on in which `look` finds something.
    pub async fn seen<T>(&mut self, look: impl Fn(O) -> Option<T>) -> T {
        let next = async {
            loop {
                if let Some(found) = look(self.saw.recv().await.unwrap()) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, next).await.expect("it is seen")
    }
}

/// The API server.
#[derive(Clone)]
pub struct Fake {
    state: Arc<Mutex<State>>,
    /// Changes with every change, and with every cut.
    turn: Arc<watch::Sender<(u64, u64)>>,
}

/// Dials it, whatever the network.
#[derive(Clone)]
pub struct Loopback(u16);

impl Dial for Loopback {
    async fn dial(&self, _: &str, address: Ipv4Addr, _: u16) -> Result<TcpStream> {
        Ok(TcpStream::connect((address, self.0)).await?)
    }
}

impl Fake {
    /// Serves, and says how to get in.
    pub async fn start(vault: &Vault) -> (Fake, Loopback, Access) {
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap();
        let issuer = Issuer::new(params, authority_key);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".into()]).unwrap().signed_by(&key, &issuer).unwrap();
        let chain = vec![CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap()];
        let private = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private).unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let fake = Fake { state: Arc::default(), turn: Arc::new(watch::channel((0, 0)).0) };
        tokio::spawn(fake.clone().serve(listener, TlsAcceptor::from(Arc::new(tls))));
        let access = Access {
            network: "vpc-1".into(),
            addresses: vec![Ipv4Addr::LOCALHOST],
            port,
            authority: authority.pem(),
            certificate: certificate.pem(),
            key: vault.seal("service", key.serialize_pem().as_bytes()).unwrap(),
        };
        (fake, Loopback(port), access)
    }

    async fn serve(self, listener: TcpListener, tls: TlsAcceptor) {
        while let Ok((stream, _)) = listener.accept().await {
            let (fake, tls) = (self.clone(), tls.clone());
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                let answer = service_fn(move |request| {
                    let fake = fake.clone();
                    async move { Ok::<_, Infallible>(fake.answer(request).await) }
                });
                drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await);
            });
        }
    }

    /// Makes or changes an object: `/api/v1/nodes/a`.
    pub fn put(&self, path: &str, mut object: Value) {
        let collection = collection(path);
        let mut state = self.state.lock().unwrap();
        state.version += 1;
        object["metadata"]["name"] = json!(path.rsplit('/').next());
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        let how = if state.objects.contains_key(path) { "MODIFIED" } else { "ADDED" };
        let version = state.version;
        state.history.push((version, collection, how, object.clone()));
        state.objects.insert(path.into(), object);
        self.turn.send_modify(|(version, _)| *version += 1);
    }

    /// An object, if it is there.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    /// Takes an object away; false if it is not there.
    pub fn remove(&self, path: &str) -> bool {
        let mut state = self.state.lock().unwrap();
        let Some(object) = state.objects.remove(path) else { return false };
        state.version += 1;
        let version = state.version;
        state.history.push((version, collection(path), "DELETED", object));
        self.turn.send_modify(|(version, _)| *version += 1);
        true
    }

    /// Budgets protect these pods, and no others.
    pub fn protect(&self, pods: &[&str]) {
        self.state.lock().unwrap().protected = pods.iter().map(|pod| (*pod).to_owned()).collect();
    }

    /// Every watch ends, and what happened until now is forgotten if `forget`.
    pub fn cut(&self, forget: bool) {
        let mut state = self.state.lock().unwrap();
        if forget {
            state.version += 1;
            state.compacted = state.version;
            state.history.clear();
        }
        self.turn.send_modify(|(_, cuts)| *cuts += 1);
    }

    /// Waits until something is so, looking after every change.
    pub async fn until<T>(&self, look: impl Fn(&Fake) -> Option<T>) -> T {
        let mut turn = self.turn.subscribe();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            turn.changed().await.unwrap();
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let (path, query) = (uri.path().to_owned(), uri.query().unwrap_or_default().to_owned());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        match method {
            Method::GET if query.contains("watch=true") => self.watch(path, &query),
            Method::GET => self.list(&path),
            Method::DELETE if self.remove(&path) => json_body(StatusCode::OK, &json!({})),
            Method::PUT if path.ends_with("/approval") => {
                self.put(path.trim_end_matches("/approval"), body);
                json_body(StatusCode::OK, &json!({}))
            }
            Method::PATCH => {
                if self.get(&path).is_none() {
                    self.put(&path, body);
                }
                json_body(StatusCode::OK, &json!({}))
            }
            Method::POST if path.ends_with("/eviction") => self.evict(path.trim_end_matches("/eviction")),
            _ => json_body(StatusCode::NOT_FOUND, &json!({"message": "not found"})),
        }
    }

    fn list(&self, path: &str) -> Response<Body> {
        let state = self.state.lock().unwrap();
        let items = state.objects.iter().filter(|(at, _)| collection(at) == path).map(|(_, object)| {
            let mut object = object.clone();
            // The list says of what kind its items are, and they do not.
            object.as_object_mut().map(|members| members.shift_remove("kind"));
            object
        });
        let items: Vec<Value> = items.collect();
        let version = state.version.to_string();
        json_body(StatusCode::OK, &json!({"metadata": {"resourceVersion": version}, "items": items}))
    }

    fn evict(&self, pod: &str) -> Response<Body> {
        let name = pod.rsplit('/').next().unwrap_or_default();
        if self.state.lock().unwrap().protected.contains(name) {
            let cause = json!({"message": "The disruption budget keep needs 1 healthy pods and has 1 currently"});
            return json_body(StatusCode::TOO_MANY_REQUESTS, &json!({"message": "no", "details": {"causes": [cause]}}));
        }
        let gone = self.remove(pod);
        json_body(if gone { StatusCode::CREATED } else { StatusCode::NOT_FOUND }, &json!({}))
    }

    fn watch(&self, path: String, query: &str) -> Response<Body> {
        let from = query.split('&').find_map(|part| part.strip_prefix("resourceVersion="));
        let from: u64 = from.and_then(|version| version.parse().ok()).unwrap_or_default();
        let turn = self.turn.subscribe();
        let cuts = turn.borrow().1;
        let begun = (self.state.clone(), turn, from, path);
        let lines = stream::unfold(Some(begun), move |begun| async move {
            let (state, mut turn, from, path) = begun?;
            loop {
                if let Some((line, version)) = next_line(&state, &path, from) {
                    let rest = version.map(|version| (state, turn, version, path));
                    return Some((Ok(Frame::data(Bytes::from(format!("{line}\n")))), rest));
                }
                turn.changed().await.ok()?;
                if turn.borrow().1 != cuts {
                    return None;
                }
            }
        });
        Response::new(UnsyncBoxBody::new(StreamBody::new(lines)))
    }
}

/// What a watch tells next, and the version that it goes on from; no version: it ends with that.
fn next_line(state: &Mutex<State>, path: &str, from: u64) -> Option<(Value, Option<u64>)> {
    let state = state.lock().unwrap();
    if from < state.compacted {
        let status = json!({"kind": "Status", "code": 410, "message": "too old resource version"});
        return Some((json!({"type": "ERROR", "object": status}), None));
    }
    let (version, _, how, object) = state.history.iter().find(|(version, at, ..)| *version > from && at == path)?;
    Some((json!({"type": how, "object": object}), Some(*version)))
}

/// The collection in which an object is listed: pods, in that of all namespaces.
fn collection(path: &str) -> String {
    let (parent, _) = path.rsplit_once('/').unwrap_or_default();
    if parent.ends_with("/pods") { "/api/v1/pods".to_owned() } else { parent.to_owned() }
}

fn json_body(status: StatusCode, body: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_string()));
    Response::builder().status(status).body(body.boxed_unsync()).unwrap()
}
