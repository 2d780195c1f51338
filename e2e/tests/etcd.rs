//! What the simulator believes of etcd, asked of etcd: three members on loopback live through the trace that the model
//! of them answers in `crates/sim`, and must say the same.

use e2e::{components, run, say, spawn, try_run, within};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

const TRACE: &str = include_str!("../../crates/sim/scripts/etcd.trace");
const ETCD: &str = "etcd-3.6.16";
/// How long a question may wait for a quorum.
const ANSWER: Duration = Duration::from_secs(2);
/// How long a member takes at most that is going to serve, or to end.
const START: Duration = Duration::from_secs(10);
/// From when members have found each other until etcd lets one of them be changed: its `HealthInterval`, and a bit.
const SETTLED: Duration = Duration::from_millis(5500);
/// Until then.
const UNSETTLED: &str = "etcdserver: unhealthy cluster";
/// One that does neither within this time waits.
const WAITS: Duration = Duration::from_secs(2);

/// Places for members: `a` to `d`.
struct Etcd {
    folder: PathBuf,
    places: BTreeMap<String, Place>,
    /// Ids by peer URL, of all that were ever listed.
    ids: BTreeMap<String, u64>,
}

struct Place {
    peer: u16,
    client: u16,
    process: Option<Child>,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        self.places.values_mut().for_each(Place::kill);
        // Nothing is left to be done about a folder that can't be removed.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Place {
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn ended(&mut self) -> bool {
        self.process.as_mut().is_none_or(|process| process.try_wait().is_ok_and(|end| end.is_some()))
    }

    fn peer_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.peer)
    }

    fn client_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.client)
    }
}

impl Etcd {
    fn new() -> Etcd {
        let folder = std::env::temp_dir().join(format!("roadstead-etcd-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        // All of them are held until the last one is known, so that no two are the same.
        let listeners: Vec<_> = (0..8).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free")).collect();
        let ports: Vec<u16> = listeners.iter().map(|l| l.local_addr().expect("it is bound").port()).collect();
        let place = |(name, ports): (&str, &[u16])| {
            (name.to_owned(), Place { peer: ports[0], client: ports[1], process: None })
        };
        let places = ["a", "b", "c", "d"].into_iter().zip(ports.chunks(2)).map(place).collect();
        Etcd { folder, places, ids: BTreeMap::new() }
    }

    fn place(&mut self, name: &str) -> &mut Place {
        self.places.get_mut(name).unwrap_or_else(|| panic!("{name} is no place"))
    }

    /// Runs a line of the trace; what it answers, if it does.
    fn answer(&mut self, line: &str) -> Option<String> {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["start", name, state, peers] => self.start(name, state, peers),
            ["kill", name] => self.place(name).kill(),
            ["wipe", name] => fs::remove_dir_all(self.folder.join(name)).expect("it has a data directory"),
            // The span itself is what etcd counts.
            ["settle"] => thread::sleep(SETTLED),
            ["await", name] => return Some(self.becomes(name)),
            ["list"] => return Some(self.list()),
            ["write"] => return Some(self.ctl("", &["put", "key", "value"]).map_or_else(|why| why, |_| "ok".into())),
            ["add", name] => return Some(self.change(name, "add")),
            ["promote", name] => return Some(self.change(name, "promote")),
            ["remove", name] => return Some(self.change(name, "remove")),
            _ => panic!("{line:?} is no line of a trace"),
        }
        None
    }

    fn start(&mut self, name: &str, state: &str, peers: &str) {
        self.place(name).kill();
        let peers: Vec<_> = peers.split(',').map(|p| format!("{p}={}", self.places[p].peer_url())).collect();
        let log = File::options().create(true).append(true).open(self.folder.join(format!("{name}.log")));
        let (place, folder) = (&self.places[name], self.folder.join(name));
        let mut command = Command::new(components().join(ETCD).join("etcd"));
        command.args([
            format!("--name={name}"),
            format!("--data-dir={}", folder.display()),
            format!("--initial-cluster={}", peers.join(",")),
            format!("--initial-cluster-state={state}"),
            "--initial-cluster-token=trace".into(),
            "--strict-reconfig-check=true".into(),
            format!("--listen-peer-urls={}", place.peer_url()),
            format!("--initial-advertise-peer-urls={}", place.peer_url()),
            format!("--listen-client-urls={}", place.client_url()),
            format!("--advertise-client-urls={}", place.client_url()),
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.expect("a log can be made"));
        let child = spawn(&mut command);
        self.place(name).process = Some(child);
    }

    /// What becomes of a member that has started.
    fn becomes(&mut self, name: &str) -> String {
        let url = self.place(name).client_url();
        let place = self.place(name);
        // One that does neither is judged as one that waits.
        let ends = within(START, || if place.ended() { Some(true) } else { ready(&url).map(|_| false) });
        if ends == Some(true) {
            return "ends".to_owned();
        }
        within(WAITS, || (ready(&url) == Some(true)).then_some(())).map_or("waits", |()| "serves").to_owned()
    }

    fn list(&mut self) -> String {
        let listed = match self.ctl("", &["member", "list", "-w", "json"]) {
            Ok(text) => serde_json::from_str::<Value>(&text).expect("etcdctl writes JSON"),
            Err(why) => return why,
        };
        let mut seen = vec![];
        for member in listed["members"].as_array().expect("a list of members") {
            let (name, learner) = (member["name"].as_str().unwrap_or(""), member["isLearner"] == true);
            let name = if name.is_empty() { "?" } else { name };
            seen.push(format!("{name}{}", if learner { "+" } else { "" }));
            let url = member["peerURLs"][0].as_str().expect("a member has a peer URL").to_owned();
            self.ids.insert(url, member["ID"].as_u64().expect("a member has an id"));
        }
        seen.sort();
        seen.join(" ")
    }

    fn change(&mut self, name: &str, verb: &str) -> String {
        self.list();
        let url = self.place(name).peer_url();
        let id = format!("{:x}", self.ids.get(&url).copied().unwrap_or(0xdead));
        let peer = format!("--peer-urls={url}");
        let arguments = match verb {
            "add" => vec!["member", "add", name, &peer, "--learner"],
            _ => vec!["member", verb, &id],
        };
        self.ctl(name, &arguments).map_or_else(|why| why, |_| "ok".into())
    }

    /// What etcdctl says, of the first voter that runs and is not `but`; or etcd's complaint. One that is left alone is
    /// asked once; where two run, they may be choosing a leader.
    fn ctl(&mut self, but: &str, arguments: &[&str]) -> Result<String, String> {
        let running = self.places.values_mut().filter_map(|place| (!place.ended()).then_some(())).count();
        let patience = if running > 1 { START } else { Duration::ZERO };
        let mut answer = Err("away".to_owned());
        let away = answer.clone();
        let answered = within(patience, || {
            answer = self.ask(but, arguments);
            (answer != away).then_some(())
        });
        if answered.is_some() { answer } else { away }
    }

    fn ask(&mut self, but: &str, arguments: &[&str]) -> Result<String, String> {
        let mut others = self.places.iter_mut().filter(|(name, _)| *name != but);
        let url = others.find_map(|(_, place)| (!place.ended()).then(|| place.client_url())).expect("a member runs");
        let mut command = Command::new(components().join(ETCD).join("etcdctl"));
        let limit = format!("--command-timeout={}s", ANSWER.as_secs());
        command.args(["--endpoints", &url, &limit, "--dial-timeout=2s"]).args(arguments);
        let said = run(command, None, 5 * ANSWER);
        if said.ok() {
            return Ok(said.out);
        }
        let complaint =
            said.err.lines().rev().find_map(|line| Some(line.split_once("etcdserver: ")?.1.trim_matches('"')));
        match complaint {
            Some(why) if !why.contains("timed out") && !why.contains("no leader") => Err(format!("etcdserver: {why}")),
            _ => Err("away".into()),
        }
    }
}

/// Whether a member is ready; None if nothing answers yet.
fn ready(url: &str) -> Option<bool> {
    let mut command = Command::new("curl");
    command.args(["--silent", "--max-time", "1", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    command.arg(format!("{url}/readyz"));
    let said = try_run(command, None, Duration::from_secs(3)).ok()?;
    match said.out.as_str() {
        "000" => None,
        code => Some(code == "200"),
    }
}

#[test]
fn etcd_says_what_the_simulator_has_it_say() {
    let mut etcd = Etcd::new();
    let mut wrong = vec![];
    for line in TRACE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (command, expected) = line.split_once(" => ").map_or((line, None), |(c, e)| (c, Some(e)));
        let mut answer = etcd.answer(command);
        // Members that lost sight of each other for a moment, as those of a busy machine may, count anew. A refusal
        // changes nothing.
        if answer.as_deref() == Some(UNSETTLED) && expected != Some(UNSETTLED) {
            thread::sleep(SETTLED);
            answer = etcd.answer(command);
        }
        if answer.as_deref() != expected {
            wrong.push(format!(
                "{command} => {}   (the trace: {})",
                answer.unwrap_or_default(),
                expected.unwrap_or("")
            ));
            say(&wrong[wrong.len() - 1]);
        }
    }
    assert!(wrong.is_empty(), "etcd says otherwise than the trace:\n{}", wrong.join("\n"));
}
