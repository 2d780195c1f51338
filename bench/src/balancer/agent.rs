//! A host agent alone, told by us what there must be: a network, a machine for each party, and a balancer. The machines
//! run nothing; the harness opens its sockets in their network namespaces, so no limit of theirs is in the way.

use crate::process::Process;
use crate::region::Region;
use crate::traffic::Kind;
use crate::wait::Wait;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The balancer's address in the network.
pub const BALANCER: Ipv4Addr = Ipv4Addr::new(10, 0, 9, 9);
/// Everything should stand long before.
pub const LIMIT: Duration = Duration::from_secs(20);

/// A machine, in a subnet of its own.
#[derive(Clone, Copy)]
pub enum Place {
    /// The first server.
    A = 1,
    /// The second.
    B,
    /// Who connects.
    Client,
    /// Where HAProxy runs.
    Haproxy,
}

impl Place {
    const ALL: [Place; 4] = [Place::A, Place::B, Place::Client, Place::Haproxy];

    /// Its address.
    pub fn address(self) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, self as u8, 5)
    }

    fn machine(self) -> String {
        format!("i-{}", self as u8)
    }

    fn port(self) -> String {
        format!("eni-{}", self as u8)
    }
}

/// The agent; it ends when this is dropped, and the region removes what it made.
pub struct Agent {
    mark: String,
    seen: Arc<Mutex<BTreeMap<String, Value>>>,
    _session: UnixStream,
    _process: Process,
}

impl Agent {
    /// Starts it, in the place of a region that is away.
    ///
    /// # Errors
    /// It can't be started, or does not make what it is told to.
    pub fn start(region: &mut Region<'_>, wait: &Wait) -> Result<Agent> {
        // A region claims a place on this machine with its first start.
        region.up()?;
        region.run(&["down"])?;
        let mark = region.cgroup()?.trim_matches('/').trim_start_matches("roadstead/").to_owned();
        let run = Path::new("/run/roadstead").join(mark.trim_start_matches("rs"));
        // The region took it along when it stopped.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&run)?;
        let mut command = region.roadstead();
        command.arg("host");
        let argv = std::iter::once(command.get_program()).chain(command.get_args());
        let argv = argv.map(|argument| argument.to_string_lossy().into_owned()).collect();
        let process = Process::start(&region.logs(), "agent", argv)?;
        let socket = run.join("host.sock");
        let mut session = wait.until("the agent listens", LIMIT, || Ok(UnixStream::connect(&socket).ok()))?;
        send(&mut session, &json!({ "Session": { "epoch": u32::MAX, "items": items() } }))?;
        ensure!(receive(&mut session)? == "Welcome", "the agent refuses the session");
        let seen = Arc::default();
        let agent = Agent { mark, seen: Arc::clone(&seen), _session: session.try_clone()?, _process: process };
        std::thread::spawn(move || listen(session, &seen));
        agent.until(wait, "the machines run", |seen| {
            Place::ALL.iter().all(|place| seen.get(&place.machine()).is_some_and(|s| s["phase"] == "Running"))
        })?;
        Ok(agent)
    }

    /// Returns once the balancer uses both servers.
    ///
    /// # Errors
    /// It does not.
    pub fn until_healthy(&self, wait: &Wait) -> Result<()> {
        self.until(wait, "the balancer's targets are healthy", |seen| {
            let targets = seen.get("nlb").and_then(|status| status["targets"].as_object());
            targets.is_some_and(|all| all.len() == 2 * Kind::ALL.len() && all.values().all(|t| t["healthy"] == true))
        })
    }

    fn until(&self, wait: &Wait, what: &str, done: impl Fn(&BTreeMap<String, Value>) -> bool) -> Result<()> {
        let seen = || self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = wait.until(what, LIMIT, || Ok(done(&seen()).then_some(())));
        waited.with_context(|| format!("the agent saw {:?}", *seen()))
    }

    /// The network namespace of a machine.
    pub fn namespace(&self, place: Place) -> PathBuf {
        PathBuf::from(format!("/run/netns/{}-{}", self.mark, place.machine()))
    }
}

fn items() -> Vec<Value> {
    let mut items = vec![item("network", json!({ "id": "vpc-1", "cidrs": ["10.0.0.0/16"] }))];
    for place in Place::ALL {
        let n = place as u8;
        items.push(item(
            "port",
            json!({
                "id": place.port(), "network": "vpc-1", "mac": format!("02:11:0a:00:{n:02x}:05"),
                "subnet": format!("10.0.{n}.0/24"), "address": place.address(),
            }),
        ));
        items.push(item(
            "machine",
            json!({
                "id": place.machine(), "hostname": place.machine(), "cpu_millis": 0, "memory_bytes": 0,
                "ports": [{ "port": place.port(), "name": "eth0" }],
                "disks": [], "components": [], "files": [], "processes": [],
            }),
        ));
    }
    let listeners: Vec<_> = Kind::ALL.map(listener).to_vec();
    let balancer = json!({ "id": "nlb", "network": "vpc-1", "addresses": [BALANCER], "listeners": listeners });
    items.push(item("balancer", balancer));
    items
}

/// Checked as seldom as may be: the checks are not what is measured.
fn listener(kind: Kind) -> Value {
    let target = |place: Place| json!({ "id": format!("{}-{}", place.machine(), kind.port()), "address": place.address(), "port": kind.port() });
    let health = json!({ "protocol": "Tcp", "interval": 1000, "timeout": 10_000, "healthy": 1, "unhealthy": 10 });
    json!({ "port": kind.port(), "targets": [target(Place::A), target(Place::B)], "health": health })
}

fn item(kind: &str, body: Value) -> Value {
    json!({ "generation": 1, "item": { "kind": kind, "body": body } })
}

/// Keeps the latest status of every item, by id, until the session ends.
fn listen(mut session: UnixStream, seen: &Mutex<BTreeMap<String, Value>>) {
    while let Ok(mut message) = receive(&mut session) {
        let saw = message["Saw"].take();
        if let Some(id) = saw["key"]["id"].as_str() {
            seen.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), saw["status"]["body"].clone());
        }
    }
}

/// A frame: a big-endian u32 length, then so many bytes of JSON.
fn send(session: &mut UnixStream, message: &Value) -> Result<()> {
    let body = serde_json::to_vec(message)?;
    session.write_all(&u32::try_from(body.len())?.to_be_bytes())?;
    Ok(session.write_all(&body)?)
}

fn receive(session: &mut UnixStream) -> Result<Value> {
    let mut length = [0; 4];
    session.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    session.read_exact(&mut body)?;
    let message: Value = serde_json::from_slice(&body)?;
    match message["Refused"]["why"].as_str() {
        Some(why) => bail!("the agent refused: {why}"),
        None => Ok(message),
    }
}
