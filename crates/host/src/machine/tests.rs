//! Real machines, as root, under a mark of their own.

mod node;

use super::*;
use crate::net::netns;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use roadstead_hostspec::{
    Content, Disk, DiskStatus, File, ItemKey, Liveness, MachineDisk, MachinePhase, MachinePort, MachineStatus, Probe,
    Process, ProcessState, Status,
};
use roadstead_types::Millis;
use roadstead_vault::Vault;
use std::collections::BTreeSet;
use std::fs;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::runtime::Runtime;

/// Network namespaces with nothing but loopback in them; a port exists if it is named here.
struct Loopback {
    mark: String,
    ports: watch::Sender<BTreeSet<String>>,
    /// By machine: the ports that were last plugged in.
    plugged: Mutex<BTreeMap<String, Vec<String>>>,
}

impl Network for Loopback {
    fn missing(&self, ports: &[MachinePort]) -> Option<String> {
        let there = self.ports.borrow();
        ports.iter().map(|p| &p.port).find(|port| !there.contains(*port)).cloned()
    }

    fn wait<'a>(&'a self, ports: &'a [MachinePort]) -> BoxFuture<'a, ()> {
        let mut there = self.ports.subscribe();
        async move { drop(there.wait_for(|there| ports.iter().all(|p| there.contains(&p.port))).await) }.boxed()
    }

    fn attach<'a>(&'a self, machine: &'a Machine) -> BoxFuture<'a, Result<PathBuf>> {
        async move {
            let name = network::namespace(&self.mark, &machine.id);
            netns::create(&name)?;
            let ports = machine.ports.iter().map(|port| port.port.clone()).collect();
            self.plugged.lock().unwrap().insert(machine.id.clone(), ports);
            Ok(netns::path(&name))
        }
        .boxed()
    }

    fn detach<'a>(&'a self, machine: &'a str) -> BoxFuture<'a, Result<()>> {
        async move { Ok(netns::delete(&network::namespace(&self.mark, machine))?) }.boxed()
    }
}

/// An agent's machines and disks on this host, and what they said. Everything is removed when it is dropped.
struct World {
    config: Arc<Config>,
    network: Arc<Loopback>,
    agent: Option<Agent>,
    _slot: UnixListener,
    _dir: tempfile::TempDir,
}

struct Agent {
    runtime: Runtime,
    machines: Machines,
    disks: Disks,
    said: Arc<(Mutex<Said>, std::sync::Condvar)>,
}

type Said = BTreeMap<ItemKey, (u64, Status)>;

impl World {
    fn new() -> World {
        assert!(nix::unistd::geteuid().is_root(), "machines need root");
        let dir = tempfile::Builder::new().prefix("roadstead-machine-").tempdir().unwrap();
        let (slot, held) = claim_slot();
        let program = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples/guest");
        assert!(
            program.exists(),
            "{} is built by `cargo test -p roadstead-host` without a filter, or `cargo build --example guest`",
            program.display()
        );
        let config = Arc::new(Config {
            slot,
            state_dir: dir.path().join("state"),
            run_dir: dir.path().join("run"),
            components_dir: dir.path().join("components"),
            outside: None,
            root_key: dir.path().join("key/root.key"),
            region: "us-east-1".into(),
            region_address: dir.path().join("address"),
            program,
        });
        let network =
            Arc::new(Loopback { mark: config.mark(), ports: watch::Sender::default(), plugged: Mutex::default() });
        let mut world = World { config, network, agent: None, _slot: held, _dir: dir };
        world.start_agent();
        world
    }

    fn start_agent(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let said = Arc::new((Mutex::new(Said::new()), std::sync::Condvar::new()));
        let told = said.clone();
        let saw: Saw = Arc::new(move |key, generation, status| {
            told.0.lock().unwrap().insert(key, (generation, status));
            told.1.notify_all();
        });
        let _inside = runtime.enter();
        let disks = Disks::new(&self.config, saw.clone());
        let machines = Machines::with_network(self.config.clone(), saw, self.network.clone(), disks.clone()).unwrap();
        drop(_inside);
        self.agent = Some(Agent { runtime, machines, disks, said });
    }

    /// As if it had been killed: nothing of it runs on, nothing is tidied up.
    fn kill_agent(&mut self) {
        let agent = self.agent.take().unwrap();
        agent.runtime.shutdown_timeout(Duration::from_secs(30));
    }

    fn agent(&self) -> &Agent {
        self.agent.as_ref().unwrap()
    }

    fn put(&self, generation: u64, machine: &Machine) {
        let _inside = self.agent().runtime.enter();
        self.agent().machines.put(generation, machine.clone());
    }

    fn remove(&self, id: &str) {
        let agent = self.agent();
        agent.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(20), agent.machines.remove(id))
                .await
                .expect("it is removed in time");
        });
    }

    fn put_disk(&self, id: &str) {
        let _inside = self.agent().runtime.enter();
        self.agent().disks.put(1, Disk { id: id.into(), bytes: 1 << 30, mark: None });
        drop(_inside);
        let key = ItemKey { kind: roadstead_hostspec::ItemKind::Disk, id: id.into() };
        let is_ready = |status: &Status| matches!(status, Status::Disk(DiskStatus::Ready { .. }));
        self.await_said(|said| said.get(&key).is_some_and(|(_, s)| is_ready(s)).then_some(()));
    }

    fn await_said<T>(&self, is: impl Fn(&Said) -> Option<T>) -> T {
        let (said, changed) = &*self.agent().said;
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut said = said.lock().unwrap();
        loop {
            if let Some(it) = is(&said) {
                return it;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "it did not come to be: {:#?}", *said);
            said = changed.wait_timeout(said, left).unwrap().0;
        }
    }

    /// Waits until the machine's status is as wanted.
    fn await_status(&self, id: &str, is: impl Fn(&MachineStatus) -> bool) -> (u64, MachineStatus) {
        let key = ItemKey { kind: roadstead_hostspec::ItemKind::Machine, id: id.into() };
        self.await_said(|said| match said.get(&key) {
            Some((generation, Status::Machine(status))) if is(status) => Some((*generation, status.clone())),
            _ => None,
        })
    }

    fn await_running(&self, id: &str) -> MachineStatus {
        let up = |s: &MachineStatus| {
            s.phase == MachinePhase::Running && s.processes.iter().all(|p| p.state == ProcessState::Ready)
        };
        self.await_status(id, up).1
    }

    fn await_waiting(&self, id: &str) -> String {
        let what = |s: &MachineStatus| match &s.phase {
            MachinePhase::Waiting { for_what } => Some(for_what.clone()),
            _ => None,
        };
        what(&self.await_status(id, |s| what(s).is_some()).1).unwrap()
    }

    /// Process ids of a machine, PID 1 first.
    fn pids(&self, id: &str) -> Vec<i32> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let unified = mounts.lines().find(|l| l.contains(" - cgroup2 ")).unwrap().split(' ').nth(4).unwrap();
        let own = Path::new(unified).join("roadstead").join(self.config.mark()).join(id).join("machine");
        let read = |file: &str| fs::read_to_string(own.join(file)).unwrap_or_default();
        let procs = read("cgroup.procs") + &read("init/cgroup.procs");
        let mut pids: Vec<i32> = procs.lines().map(|l| l.parse().unwrap()).collect();
        pids.sort_unstable();
        pids
    }

    fn read_log(&self, id: &str, process: &str) -> String {
        let path = self.config.state_dir.join("machines").join(id).join("log/roadstead").join(format!("{process}.log"));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Waits for a whole line of a process's log that starts so, and returns the rest of it.
    fn await_line(&self, id: &str, process: &str, start: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let log = self.read_log(id, process);
            let whole = log.rsplit_once('\n').map_or("", |(lines, _)| lines);
            if let Some(rest) = whole.lines().find_map(|line| line.strip_prefix(start)) {
                return rest.to_owned();
            }
            assert!(Instant::now() < deadline, "no line '{start}' in:\n{log}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What this host still has of the mark.
    fn left(&self) -> Vec<String> {
        let mark = self.config.mark();
        let mut left = Vec::new();
        for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            let folder = hierarchy.path().join("roadstead").join(&mark);
            left.extend(
                fs::read_dir(folder).into_iter().flatten().flatten().filter(|e| e.path().is_dir()).map(|e| e.path()),
            );
        }
        for area in [&self.config.state_dir, &self.config.run_dir] {
            left.extend(fs::read_dir(area.join("machines")).into_iter().flatten().flatten().map(|e| e.path()));
        }
        left.extend(netns::list(&format!("{mark}-")).unwrap().into_iter().map(PathBuf::from));
        let here = self._dir.path().to_str().unwrap();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(mounts.lines().filter(|line| line.contains(here)).map(PathBuf::from));
        left.into_iter().map(|path| path.display().to_string()).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.agent.is_some() {
            self.kill_agent();
        }
        let purged = purge(&self.config);
        if !std::thread::panicking() {
            purged.unwrap();
            assert_eq!(self.left(), Vec::<String>::new());
        }
    }
}

/// A slot that no other test has: the name of an abstract socket is held until its process ends.
fn claim_slot() -> (u8, UnixListener) {
    let claim = |slot: u8| {
        let name = SocketAddr::from_abstract_name(format!("roadstead-test-slot-{slot}")).unwrap();
        UnixListener::bind_addr(&name).ok().map(|held| (slot, held))
    };
    (100..200).find_map(claim).expect("a free slot")
}

fn shell(name: &str, script: &str) -> Process {
    Process {
        name: name.into(),
        argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
        env: BTreeMap::new(),
        after: vec![],
        ready: None,
        live: None,
        pre_stop: vec![],
        grace: None,
        once: false,
    }
}

fn machine(id: &str, processes: Vec<Process>) -> Machine {
    Machine {
        id: id.into(),
        hostname: "host-inside".into(),
        profile: Default::default(),
        cpu_millis: 0,
        memory_bytes: 0,
        ports: vec![],
        disks: vec![],
        components: vec![],
        files: vec![],
        processes,
    }
}

fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn a_machine_runs_at_once_and_nothing_of_it_is_left_when_removed() {
    let w = World::new();
    let began = Instant::now();
    w.put(3, &machine("i-1", vec![shell("a", "sleep 1000 & echo began; exec sleep 1000")]));
    w.await_status("i-1", |s| s.phase == MachinePhase::Running);
    let took = began.elapsed();
    println!("PID 1 reported after {took:?}");
    assert!(took < Duration::from_millis(500), "{took:?}: on an idle host it takes some 50 ms");
    assert_eq!(w.agent().machines.ids(), ["i-1"]);
    w.await_line("i-1", "a", "began");
    assert_eq!(w.pids("i-1").len(), 3);
    let rss = fs::read_to_string(format!("/proc/{}/smaps_rollup", w.pids("i-1")[0])).unwrap();
    println!("{}", rss.lines().filter(|l| l.starts_with("Rss") || l.starts_with("Pss:")).collect::<Vec<_>>().join(" "));
    let began = Instant::now();
    w.remove("i-1");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "{took:?}: it ends when told to, long before it would be killed");
    assert_eq!(w.left(), Vec::<String>::new());
    assert!(w.agent().machines.ids().is_empty());
}

#[test]
fn a_frozen_pid_1_is_noticed_and_its_machine_starts_again() {
    let w = World::new();
    w.put(1, &machine("i-1", vec![shell("a", "exec sleep 1000")]));
    w.await_running("i-1");
    let (init, began) = (w.pids("i-1")[0], Instant::now());
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(init), nix::sys::signal::Signal::SIGSTOP).unwrap();
    let silent =
        |s: &MachineStatus| matches!(&s.phase, MachinePhase::Failed { why } if why.contains("did not answer for 10 s"));
    w.await_status("i-1", silent);
    let took = began.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(16)).contains(&took), "{took:?}");
    w.await_running("i-1");
    assert_ne!(w.pids("i-1")[0], init);
}

#[test]
fn a_pid_1_that_was_frozen_before_the_agent_came_is_noticed_too_and_one_that_thaws_in_time_stays() {
    use nix::sys::signal::{Signal, kill};
    let mut w = World::new();
    for id in ["i-1", "i-2"] {
        w.put(1, &machine(id, vec![shell("a", "exec sleep 1000")]));
        w.await_running(id);
    }
    let init = |w: &World, id: &str| nix::unistd::Pid::from_raw(w.pids(id)[0]);
    let (frozen, thaws) = (init(&w, "i-1"), init(&w, "i-2"));
    w.kill_agent();
    [frozen, thaws].into_iter().for_each(|pid| kill(pid, Signal::SIGSTOP).unwrap());
    w.start_agent();
    for id in ["i-1", "i-2"] {
        w.put(1, &machine(id, vec![shell("a", "exec sleep 1000")]));
    }
    std::thread::sleep(Duration::from_secs(5));
    kill(thaws, Signal::SIGCONT).unwrap();
    w.await_status("i-1", |s| matches!(s.phase, MachinePhase::Failed { .. }));
    w.await_running("i-1");
    w.await_running("i-2");
    assert_eq!((init(&w, "i-1") != frozen, init(&w, "i-2") == thaws), (true, true));
}

#[test]
fn a_process_that_is_killed_comes_back_and_takes_its_children_along() {
    let w = World::new();
    w.put(
        1,
        &machine("i-1", vec![shell("a", "sleep 1000 & echo began $$; exec sleep 1000"), shell("b", "exec sleep 1000")]),
    );
    w.await_running("i-1");
    w.await_line("i-1", "a", "began ");
    let [init, a, b, child] = w.pids("i-1")[..] else { panic!("{:?}", w.pids("i-1")) };
    let a = [a, b, child]
        .into_iter()
        .find(|p| fs::read_to_string(format!("/proc/{p}/status")).unwrap().contains("NSpid:\t") && has_children(*p))
        .unwrap();
    kill(a);
    let back = |s: &MachineStatus| s.processes[0].restarts == 1 && s.processes[0].state == ProcessState::Ready;
    let (_, status) = w.await_status("i-1", back);
    assert_eq!(status.processes[0].last_exit.as_deref(), Some("signal 9"));
    assert_eq!(status.processes[1].restarts, 0);
    let now = w.pids("i-1");
    assert!(now.contains(&init) && !now.contains(&a));
    assert!(now.len() <= 4, "its child is gone, too: {now:?}");
}

#[test]
fn a_process_that_runs_and_does_not_answer_is_killed_and_comes_back() {
    let w = World::new();
    let probe = Probe::Tcp { address: [127, 0, 0, 1].into(), port: 1 };
    let live = Liveness { every: Millis(50), patience: Millis(1500), ..Liveness::of(probe) };
    w.put(1, &machine("i-1", vec![Process { live: Some(live), ..shell("deaf", "exec sleep 1000") }]));
    let began = Instant::now();
    w.await_status("i-1", |s| s.processes.first().is_some_and(|p| p.state == ProcessState::Unready));
    assert!(began.elapsed() < Duration::from_millis(1500), "it is said before it is killed: {:?}", began.elapsed());
    let (_, status) = w.await_status("i-1", |s| s.processes.first().is_some_and(|p| p.restarts == 1));
    assert_eq!(status.processes[0].last_exit.as_deref(), Some("did not answer its liveness probe for 1.5 s"));
    w.await_line("i-1", "deaf", "roadstead: it is killed");
}

/// Whether there is such a process; one that has ended and is not reaped yet is none.
fn runs(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn has_children(pid: i32) -> bool {
    !fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap().trim().is_empty()
}

#[test]
fn a_machine_whose_pid_1_dies_comes_back_with_its_disk() {
    let w = World::new();
    w.put_disk("vol-1");
    let mut m = machine("i-1", vec![shell("a", "echo x >> /data/n; echo life $(cat /data/n); exec sleep 1000")]);
    m.disks = vec![MachineDisk { disk: "vol-1".into(), path: "/data".into() }];
    w.put(1, &m);
    w.await_running("i-1");
    w.await_line("i-1", "a", "life x");
    let before = w.pids("i-1");
    kill(before[0]);
    w.await_status("i-1", |s| {
        matches!(&s.phase, MachinePhase::Failed { why } if why.contains("PID 1 ended"))
            || s.phase == MachinePhase::Running
    });
    w.await_line("i-1", "a", "life x x");
    w.await_running("i-1");
    assert!(w.pids("i-1").iter().all(|pid| !before.contains(pid)));
    w.remove("i-1");
    assert_eq!(fs::read_to_string(w.config.state_dir.join("disks/vol-1/n")).unwrap(), "x\nx\n");
}

#[test]
fn nothing_starts_again_on_a_disk_that_was_emptied_under_its_machine() {
    let w = World::new();
    w.put_disk("vol-1");
    let mut m = machine("i-1", vec![shell("a", "echo x >> /data/n; echo life; exec sleep 1000")]);
    m.disks = vec![MachineDisk { disk: "vol-1".into(), path: "/data".into() }];
    w.put(1, &m);
    w.await_running("i-1");
    w.await_line("i-1", "a", "life");
    let disk = w.config.state_dir.join("disks/vol-1");
    for entry in fs::read_dir(&disk).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    // The second of the machine's processes is the shell's.
    kill(w.pids("i-1")[1]);
    let said = |s: &MachineStatus| s.processes.first().and_then(|p| p.last_exit.clone()).unwrap_or_default();
    w.await_status("i-1", |s| said(s).contains("the disk at /data was emptied or is gone"));
    assert_eq!(fs::read_dir(&disk).unwrap().count(), 0, "nothing was begun anew");
}

#[test]
fn a_new_agent_adopts_what_runs_and_replaces_what_should_be_another() {
    let mut w = World::new();
    w.put_disk("vol-1");
    let mut m = machine("i-1", vec![shell("a", "exec sleep 1000")]);
    m.disks = vec![MachineDisk { disk: "vol-1".into(), path: "/data".into() }];
    w.put(1, &m);
    w.put(1, &machine("i-2", vec![shell("a", "exec sleep 1000")]));
    w.await_running("i-1");
    w.await_running("i-2");
    let before = [w.pids("i-1"), w.pids("i-2")];
    w.kill_agent();
    w.start_agent();
    w.put_disk("vol-1");
    assert_eq!(w.agent().machines.ids(), ["i-1", "i-2"]);
    assert!(w.agent().disks.lend("vol-1", "i-3").unwrap_err().contains("i-1"), "the disk is still in use");
    w.put(5, &m);
    let mut other = machine("i-2", vec![shell("a", "exec sleep 2000")]);
    other.hostname = "another".into();
    w.put(6, &other);
    assert_eq!(w.await_running("i-1").processes[0].restarts, 0);
    assert_eq!(w.await_status("i-1", |_| true).0, 5);
    assert_eq!(w.pids("i-1"), before[0], "it was left alone");
    w.await_running("i-2");
    assert!(w.pids("i-2").iter().all(|pid| !before[1].contains(pid)), "it was started anew");
    // A newer generation of the same body is no reason for anything.
    w.put(7, &m);
    w.await_said(|said| said.values().any(|(generation, _)| *generation == 7).then_some(()));
    assert_eq!(w.pids("i-1"), before[0]);
}

#[test]
fn limits_hold_and_a_hog_is_killed_inside_only() {
    let w = World::new();
    // tail keeps a line that never ends in memory.
    let mut hog = machine("i-1", vec![shell("hog", "exec tail -n1 /dev/zero"), shell("calm", "exec sleep 1000")]);
    hog.memory_bytes = 96 << 20;
    hog.cpu_millis = 500;
    w.put(1, &hog);
    w.put(1, &machine("i-2", vec![shell("a", "exec sleep 1000")]));
    let (_, status) = w.await_status("i-1", |s| s.processes.first().is_some_and(|p| p.restarts > 0));
    assert_eq!(status.processes[0].last_exit.as_deref(), Some("signal 9"));
    let other = w.await_running("i-2");
    assert_eq!(other.processes[0].restarts, 0);
    let quota = fs::read_to_string(format!("/sys/fs/cgroup/cpu/roadstead/{}/i-1/cpu.cfs_quota_us", w.config.mark()))
        .or_else(|_| fs::read_to_string(format!("/sys/fs/cgroup/roadstead/{}/i-1/cpu.max", w.config.mark())));
    assert!(quota.unwrap().starts_with("50000"));
}

#[test]
fn files_have_their_modes_and_secrets_are_in_memory_only() {
    let w = World::new();
    let secret = "the-secret-9b1d";
    let sealed = Vault::open_or_create(&w.config.root_key).unwrap().seal("test/key", secret.as_bytes()).unwrap();
    let script = "stat -c 'mode %n %a %U' /etc/app/text /etc/app/key; echo content $(cat /etc/app/text) $(cat /etc/app/key); \
                  echo fs $(stat -f -c %T /etc/app/key); exec sleep 1000";
    let mut m = machine("i-1", vec![shell("a", script)]);
    m.files = vec![
        File { path: "/etc/app/text".into(), mode: 0o644, content: Content::Text("plain".into()) },
        File { path: "/etc/app/key".into(), mode: 0o400, content: Content::Sealed(sealed) },
    ];
    w.put(1, &m);
    assert_eq!(w.await_line("i-1", "a", "mode /etc/app/text "), "644 root");
    assert_eq!(w.await_line("i-1", "a", "mode /etc/app/key "), "400 root");
    // The log is on a disk, but whoever logs a secret has himself to blame.
    assert_eq!(w.await_line("i-1", "a", "content "), format!("plain {secret}"));
    assert_eq!(w.await_line("i-1", "a", "fs "), "tmpfs");
    fs::remove_dir_all(w.config.state_dir.join("machines/i-1/log/roadstead")).unwrap();
    let found = std::process::Command::new("grep")
        .args(["-rl", secret])
        .args([&w.config.state_dir, &w.config.run_dir])
        .output();
    assert_eq!(String::from_utf8_lossy(&found.unwrap().stdout), "");
}

#[test]
fn the_host_is_not_to_be_seen_inside() {
    let w = World::new();
    // An absolute link, as a cache elsewhere has it.
    fs::create_dir_all(w._dir.path().join("cache/set-1")).unwrap();
    fs::create_dir_all(&w.config.components_dir).unwrap();
    std::os::unix::fs::symlink(w._dir.path().join("cache/set-1"), w.config.components_dir.join("set-1")).unwrap();
    fs::write(w.config.components_dir.join("set-1/tool"), "#!/bin/sh\necho tool runs\n").unwrap();
    fs::set_permissions(w.config.components_dir.join("set-1/tool"), fs::Permissions::from_mode(0o755)).unwrap();
    let script = format!(
        "echo root $(ls -A /); echo host $(ls -d {} /home /boot /.host /work 2>/dev/null | wc -l)
         echo name $(cat /proc/sys/kernel/hostname) $(cat /etc/hostname); echo pids $(ls -d /proc/[0-9]* | wc -l)
         echo links $(ls /sys/class/net); echo cgroup $(cut -d: -f3 /proc/self/cgroup | sort -u); echo caps $(grep -E 'CapEff|NoNewPrivs' /proc/self/status)
         touch /usr/x 2>/dev/null || echo usr read-only; echo 1 2>/dev/null > /proc/sys/kernel/panic || echo sysctl read-only
         mknod /tmp/sda b 8 0 2>/dev/null || echo no devices; mount -t tmpfs t /tmp 2>/dev/null || echo no mounts
         touch /opt/components/set-1/x 2>/dev/null || echo components read-only; /opt/components/set-1/tool; echo dev $(ls /dev)
         echo kmsg $(cat /dev/kmsg | wc -c); echo fds $(ls /proc/1/fd | wc -l); echo log $(ls -d /var/log/roadstead); echo done; exec sleep 1000",
        w._dir.path().display()
    );
    let mut m = machine("i-1", vec![shell("a", &script)]);
    m.components = vec!["set-1".into()];
    w.put(1, &m);
    w.await_line("i-1", "a", "done");
    let log = w.read_log("i-1", "a");
    println!("{log}");
    let said = |start: &str| log.lines().find_map(|l| l.strip_prefix(start)).unwrap_or("nothing").to_owned();
    assert_eq!(said("host "), "0");
    assert_eq!(said("name "), "host-inside host-inside");
    assert_eq!(said("links "), "lo");
    assert_eq!(said("cgroup "), "/");
    assert!(said("pids ").parse::<u32>().unwrap() < 10);
    assert!(said("caps ").ends_with("NoNewPrivs: 1"));
    for line in ["usr read-only", "sysctl read-only", "no devices", "no mounts", "components read-only", "tool runs"] {
        assert!(log.lines().any(|l| l == line), "{line}");
    }
    assert_eq!(said("kmsg "), "0");
}

#[test]
fn it_says_what_it_waits_for_and_starts_when_that_is_there() {
    let w = World::new();
    let mut m = machine("i-1", vec![shell("a", "exec sleep 1000")]);
    m.processes.push(Process { argv: vec!["/opt/components/set-1/tool".into()], ..shell("tool", "") });
    m.components = vec!["set-1".into()];
    m.disks = vec![MachineDisk { disk: "vol-1".into(), path: "/data".into() }];
    m.ports = vec![MachinePort { port: "eni-1".into(), name: "eth0".into() }];
    w.put(1, &m);
    assert_eq!(w.await_waiting("i-1"), "component set-1/tool");
    fs::create_dir_all(w.config.components_dir.join("set-1")).unwrap();
    std::os::unix::fs::symlink("/usr/bin/sleep", w.config.components_dir.join("set-1/aside")).unwrap();
    fs::write(w.config.components_dir.join("set-1/new"), "#!/bin/sh\nexec sleep 1000\n").unwrap();
    fs::set_permissions(w.config.components_dir.join("set-1/new"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(w.config.components_dir.join("set-1/new"), w.config.components_dir.join("set-1/tool")).unwrap();
    w.await_status("i-1", |s| s.phase == MachinePhase::Waiting { for_what: "disk vol-1".into() });
    w.put_disk("vol-1");
    w.await_status("i-1", |s| s.phase == MachinePhase::Waiting { for_what: "port eni-1".into() });
    w.network.ports.send_modify(|ports| ports.extend(["eni-1".to_owned()]));
    w.await_running("i-1");
}

#[test]
fn a_disk_goes_to_a_replacement_only_when_the_old_machine_is_dead() {
    let w = World::new();
    w.put_disk("vol-1");
    let old = Machine {
        disks: vec![MachineDisk { disk: "vol-1".into(), path: "/data".into() }],
        ..machine("i-old", vec![shell("a", "trap '' TERM; echo deaf; while :; do sleep 1000; done")])
    };
    w.put(1, &old);
    w.await_running("i-old");
    w.await_line("i-old", "a", "deaf");
    let new = Machine { id: "i-new".into(), ..old.clone() };
    w.put(1, &new);
    assert_eq!(w.await_waiting("i-new"), "disk vol-1, which machine i-old still has mounted");
    let began = Instant::now();
    w.remove("i-old");
    assert!(began.elapsed() >= Duration::from_secs(5), "it was given its time");
    w.await_running("i-new");
}

#[test]
fn a_machine_put_again_while_it_is_removed_runs_again() {
    let w = World::new();
    let m = machine("i-1", vec![shell("a", "exec sleep 1000")]);
    w.put(1, &m);
    w.await_running("i-1");
    let before = w.pids("i-1");
    let agent = w.agent();
    let _inside = agent.runtime.enter();
    let removed = agent.machines.remove("i-1");
    agent.machines.put(2, m.clone());
    agent.runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(20), removed)
            .await
            .expect("it does not wait for what is wanted again");
    });
    w.await_said(|said| said.values().any(|(generation, _)| *generation == 2).then_some(()));
    w.await_running("i-1");
    // Whether the task saw the wish in between or not: it runs, and can be removed.
    assert!(!w.pids("i-1").is_empty() && !before.is_empty());
    drop(_inside);
    w.remove("i-1");
}

#[test]
fn a_spec_that_cannot_start_fails_and_says_so() {
    let w = World::new();
    w.put(1, &machine("i-1", vec![Process { after: vec!["none".into()], ..shell("a", "true") }]));
    w.await_status("i-1", |s| matches!(&s.phase, MachinePhase::Failed { why } if why.contains("process a waits")));
    // The launch itself can fail, too.
    let mut m = machine("i-2", vec![shell("a", "true")]);
    m.files = vec![File { path: "/proc/version".into(), mode: 0o644, content: Content::Text("x".into()) }];
    w.put(1, &m);
    w.await_status("i-2", |s| matches!(&s.phase, MachinePhase::Failed { why } if why.contains("/proc/version")));
    // Right bodies start.
    w.put(2, &machine("i-1", vec![shell("a", "exec sleep 1000")]));
    w.put(2, &machine("i-2", vec![shell("a", "exec sleep 1000")]));
    w.await_running("i-1");
    w.await_running("i-2");
}

#[test]
fn purge_needs_no_state() {
    let mut w = World::new();
    w.put(1, &machine("i-1", vec![shell("a", "exec sleep 1000")]));
    w.await_running("i-1");
    w.kill_agent();
    fs::remove_dir_all(w.config.state_dir.join("machines")).unwrap();
    fs::remove_dir_all(&w.config.run_dir).unwrap();
    let pids = w.pids("i-1");
    purge(&w.config).unwrap();
    // One that ends leaves its cgroup a moment before it shows as ended.
    let asked = Instant::now();
    while pids.iter().any(|pid| runs(*pid)) {
        assert!(asked.elapsed() < Duration::from_secs(20), "{pids:?}");
        std::thread::yield_now();
    }
}

/// Machines whose processes wait for a disk that does not answer: they can be killed, and do not end.
struct Stuck;

impl driver::Driver for Stuck {
    fn ids(&self) -> Vec<String> {
        vec!["i-1".into()]
    }

    fn marks(&self, _: &str) -> Option<roadstead_guest::Marks> {
        None
    }

    fn watch(&self, _: &str, _: Duration) -> Option<driver::Life> {
        None
    }

    fn start(&self, _: driver::Start) -> Result<()> {
        anyhow::bail!("an earlier one is left")
    }

    fn stop(&self, _: &str, _: Duration) -> Result<()> {
        anyhow::bail!("processes don't die; is a disk stuck?")
    }

    fn clear(&self, _: &str) -> Result<()> {
        panic!("it still runs")
    }
}

#[test]
fn a_machine_that_does_not_die_loses_its_network_and_is_said_to_remain() {
    let w = World::new();
    let name = network::namespace(&w.config.mark(), "i-1");
    netns::create(&name).unwrap();
    let (config, network, disks) = (w.config.clone(), w.network.clone(), w.agent().disks.clone());
    let (heard, said) = (Arc::new(Mutex::new(vec![])), name.clone());
    let hears = heard.clone();
    let saw: Saw = Arc::new(move |_, _, status| hears.lock().unwrap().push((status, netns::path(&said).exists())));
    let driver = Arc::new(Stuck);
    let (roster, wants) = (Roster::default(), Mutex::default());
    let images = crate::images::Images::new(config.clone());
    let machines = Machines(Arc::new(Inner { config, saw, network, disks, images, driver, roster, wants }));
    w.agent().runtime.block_on(async {
        let removed = tokio::time::timeout(Duration::from_secs(1), machines.remove("i-1")).await;
        assert!(removed.is_err(), "what runs is not gone");
    });
    assert!(!netns::path(&name).exists());
    let heard = heard.lock().unwrap();
    let [(Status::Machine(status), networked)] = &heard[..] else { panic!("one word, once: {heard:?}") };
    assert!(matches!(&status.phase, MachinePhase::Remains { why } if why.contains("is a disk stuck")), "{status:?}");
    assert!(!networked, "who hears that may give its addresses to another");
}
