//! A region of a test's own.

use crate::answers;
use crate::client::Client;
use crate::machines::{self, signal};
use crate::process::{Said, run, spawn, try_run};
use crate::story::{say, until, within};
use crate::traces::{Site, slot_file};
use crate::turn::Turn;
use crate::{Answer, Call, Refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

/// How long `up` may take until the API answers, and `down` until all is gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many calls one client makes of many.
const TURN: usize = 60;
/// How many lines of each log a failed test shows.
const TAIL: usize = 25;

/// What a test wants of its region.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Clusters will run: the test waits for its turn to have some. Otherwise there are no components, so that clusters
    /// can be asked for and never start a program.
    pub clusters: bool,
    /// Components other than those that were built.
    pub components: Option<PathBuf>,
    /// More of the command line, for every command.
    pub flags: Vec<String>,
}

/// A region and all that is needed to talk to it. Purged when it is dropped.
pub struct Region {
    folder: PathBuf,
    program: PathBuf,
    flags: Vec<String>,
    up: Mutex<Option<Child>>,
    client: Mutex<Option<Client>>,
    slot: Mutex<Option<u8>>,
    _turn: Option<Turn>,
}

impl Region {
    /// A region that runs, in which no cluster's programs ever start.
    #[track_caller]
    pub fn start() -> Region {
        Region::with(Options::default())
    }

    /// A region that runs, for clusters.
    #[track_caller]
    pub fn for_clusters() -> Region {
        Region::with(Options { clusters: true, ..Options::default() })
    }

    /// A region that runs, for clusters with nodes.
    #[track_caller]
    pub fn for_nodes() -> Region {
        Region::for_nodes_with(vec![])
    }

    /// The same, with more of the command line.
    #[track_caller]
    pub fn for_nodes_with(flags: Vec<String>) -> Region {
        let needed = ["containerd-", "runc-", "coredns-", "images-"];
        let sets = fs::read_dir(components()).into_iter().flatten().flatten();
        let sets: Vec<String> = sets.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let missing: Vec<&str> = needed.into_iter().filter(|set| !sets.iter().any(|s| s.starts_with(set))).collect();
        assert!(missing.is_empty(), "no {missing:?} is built: cargo xtask components --nodes");
        Region::with(Options { clusters: true, flags, ..Options::default() })
    }

    /// A region that runs.
    #[track_caller]
    pub fn with(options: Options) -> Region {
        let region = Region::prepare(options);
        region.up();
        region
    }

    /// A region that was never started.
    #[track_caller]
    pub fn prepare(options: Options) -> Region {
        assert!(nix::unistd::geteuid().is_root(), "regions need root: run the tests with scripts/test, or as root");
        static CLEAN: Once = Once::new();
        CLEAN.call_once(remove_orphans);
        let turn = (options.clusters || options.components.is_some()).then(Turn::take);
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = base().join(format!("rs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(folder.join("home")).expect("the folder of a region can be made");
        let none = folder.join("no-components");
        let components = options.components.unwrap_or_else(|| if options.clusters { components() } else { none });
        let mut flags = options.flags;
        let mut default = |name: &str, value: &str| {
            if !flags.iter().any(|flag| flag == name) {
                flags.extend([name.to_owned(), value.to_owned()]);
            }
        };
        default("--data-dir", &folder.join("d").to_string_lossy());
        default("--listen", "127.0.0.1:0");
        default("--components", &components.to_string_lossy());
        let (up, client, slot) = (Mutex::default(), Mutex::default(), Mutex::default());
        Region { folder, program: program(), flags, up, client, slot, _turn: turn }
    }

    /// Starts it in the foreground and returns when its API answers.
    #[track_caller]
    pub fn up(&self) {
        let began = Instant::now();
        let log =
            File::options().create(true).append(true).open(self.folder.join("up.log")).expect("a log can be made");
        let mut command = self.command(&["up"]);
        command.stdout(log.try_clone().expect("a handle can be copied")).stderr(log);
        *lock(&self.up) = Some(spawn(&mut command));
        until("the region answers", PATIENCE, || {
            let ended = lock(&self.up).as_mut().and_then(|up| up.try_wait().ok()?);
            assert!(ended.is_none(), "roadstead up ended: {}", self.log("up.log"));
            self.roadstead(&["status"]).ok().then_some(())
        });
        self.learn();
        say(&format!("{:6.1} s  region up", began.elapsed().as_secs_f64()));
    }

    /// Reads what a region that was started says of itself.
    #[track_caller]
    pub fn learn(&self) {
        let exports = self.roadstead(&["env"]).text();
        *lock(&self.client) = Some(Client::from_exports(&exports, &self.folder.join("home")));
    }

    /// Stops it; its data stay.
    #[track_caller]
    pub fn down(&self) {
        self.keep_answers();
        self.roadstead(&["down"]).text();
        self.reap();
    }

    /// What it keeps.
    pub fn data(&self) -> PathBuf {
        let at = self.flags.iter().position(|flag| flag == "--data-dir").expect("every region has a data directory");
        self.flags[at + 1].clone().into()
    }

    /// A folder of the test's own, removed with the region.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The mark of everything that it has in this machine's kernel.
    pub fn mark(&self) -> String {
        format!("rs{}", self.slot().expect("the region was started"))
    }

    /// A command of the program under test on this region.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            // What the tests' own shell says of a region must not change theirs.
            if name.starts_with("ROADSTEAD_") && !["ROADSTEAD_CACHE", "ROADSTEAD_LOG"].contains(&&*name) {
                command.env_remove(&*name);
            }
        }
        command.args(arguments).args(&self.flags);
        command
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn roadstead(&self, arguments: &[&str]) -> Said {
        run(self.command(arguments), None, PATIENCE * 2)
    }

    /// The admin user's client.
    pub fn client(&self) -> Client {
        lock(&self.client).clone().expect("the region was started")
    }

    /// What the real `aws` CLI prints for the admin user: JSON, or nothing.
    #[track_caller]
    pub fn aws(&self, arguments: &[&str]) -> Value {
        self.client().aws(arguments)
    }

    /// How the API refuses what the admin user asks with the real `aws` CLI.
    #[track_caller]
    pub fn aws_refuses(&self, arguments: &[&str]) -> Refusal {
        self.client().aws_refuses(arguments)
    }

    /// What boto3 gets for the admin user, call by call.
    #[track_caller]
    pub fn boto(&self, calls: Vec<Call>) -> Vec<Answer> {
        self.client().boto(calls)
    }

    /// The same for many calls, by one client after another: none of them has to be as patient as for all.
    #[track_caller]
    pub fn boto_in_turns(&self, calls: &[Call]) -> Vec<Answer> {
        calls.chunks(TURN).flat_map(|some| self.boto(some.to_vec())).collect()
    }

    /// The same for calls that each must get what stands before it: `OK`, or the code of a refusal.
    #[track_caller]
    pub fn gets(&self, cases: Vec<(&str, Call)>) -> Vec<Answer> {
        self.client().gets(cases)
    }

    /// Everything that a user sees of the account, to find that nothing has changed.
    #[track_caller]
    pub fn account(&self) -> Value {
        self.client().account()
    }

    /// Where its traces are.
    pub fn site(&self) -> Site {
        Site { slot: self.slot(), data: self.data() }
    }

    /// Its number on this machine, as it wrote it down; remembered when that is gone, until another region has it.
    fn slot(&self) -> Option<u8> {
        let mut slot = lock(&self.slot);
        if let Ok(text) = fs::read(self.data().join("local.json")) {
            let local: Value = serde_json::from_slice(&text).unwrap_or_default();
            *slot = local["slot"].as_u64().and_then(|slot| slot.try_into().ok()).or(*slot);
        }
        slot.filter(|slot| fs::read_to_string(slot_file(*slot)).map_or(true, |owner| Path::new(&owner) == self.data()))
    }

    /// Fails if anything of it is on the machine that has no place where it does not run.
    #[track_caller]
    pub fn assert_stopped(&self) {
        let left = leftovers(|| self.site().running());
        assert!(left.is_empty(), "left behind:\n{}", left.join("\n"));
    }

    /// What a power failure does: no process of it is left, and nothing in the kernel and in `/run`.
    pub fn power_off(&self) {
        self.keep_answers();
        let parts: Vec<i32> = ["up", "serve", "host"].iter().flat_map(|part| self.parts(part)).collect();
        // Stopped first, or one that learns of another's death would begin to clear up.
        for way in [Signal::SIGSTOP, Signal::SIGKILL] {
            for pid in &parts {
                signal(*pid, way);
            }
        }
        self.reap();
        until("all processes are dead", PATIENCE, || {
            let left = self.processes();
            for process in &left {
                signal(process.pid, Signal::SIGKILL);
            }
            left.is_empty().then_some(())
        });
        // A cgroup can be removed a moment after its last process was seen to be gone.
        until("nothing is left in the kernel", PATIENCE, || {
            self.site().wipe();
            self.site().running().is_empty().then_some(())
        });
    }

    /// The public addresses that this machine leads into the region's networks.
    pub fn public_addresses(&self) -> BTreeSet<String> {
        let running = self.site().running();
        let routes = running.iter().filter_map(|line| line.strip_prefix("route "));
        // A route names its destination first, and may name the host's own address as its source after that.
        let destinations = routes.filter_map(|route| route.split(' ').find(|word| word.starts_with("127.43.")));
        destinations.map(|address| address.trim_end_matches("/32").to_owned()).collect()
    }

    /// By name of what is looked for: the files of the region that hold it.
    #[track_caller]
    pub fn files_with(&self, needles: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<String>> {
        let encoded: BTreeMap<&String, String> = needles.iter().map(|(n, bytes)| (n, STANDARD.encode(bytes))).collect();
        let order = json!({ "folder": self.data(), "needles": encoded });
        serde_json::from_value(self.client().script("find.py", &order)).expect("find.py prints lists of paths")
    }

    /// The end of a log of the region's own processes.
    pub fn log(&self, name: &str) -> String {
        let candidates = [self.data().join("log").join(name), self.folder.join(name)];
        candidates.iter().filter_map(|path| Some(tail(&fs::read_to_string(path).ok()?))).collect()
    }

    /// Keeps for the gate what was answered so far: a region that is killed takes its counts along.
    pub fn keep_answers(&self) {
        answers::keep(|| self.command(&["admin", "metrics"]));
    }

    /// Awaits the end of `up`.
    fn reap(&self) {
        let Some(mut up) = lock(&self.up).take() else { return };
        if within(PATIENCE, || up.try_wait().ok()?).is_none() {
            let _ = up.kill();
            let _ = up.wait();
        }
    }

    /// Shows the ends of all logs and keeps the whole.
    fn keep_logs(&self) {
        let test = std::thread::current().name().unwrap_or("test").replace("::", "-");
        let kept = base().join("roadstead-e2e-logs").join(test);
        let _ = fs::remove_dir_all(&kept);
        for path in logs_below(&self.folder) {
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let name = path.strip_prefix(&self.folder).unwrap_or(&path).to_string_lossy().replace('/', "-");
            let _ = fs::create_dir_all(&kept).and_then(|()| fs::write(kept.join(&name), &text));
            if ["up.log", "serve.log", "host.log"].iter().any(|own| name.ends_with(own)) {
                eprintln!("--- the end of {name}\n{}", tail(&text));
            }
        }
        eprintln!("--- all logs are in {}", kept.display());
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            self.keep_logs();
        }
        self.slot();
        self.keep_answers();
        let purged = try_run(self.command(&["down", "--purge"]), None, PATIENCE * 2);
        let purged = purged.and_then(|said| if said.ok() { Ok(()) } else { Err(said.to_string()) });
        self.reap();
        let left = leftovers(|| self.site().any()).join("\n");
        let removed = fs::remove_dir_all(&self.folder);
        let clean = purged.is_ok() && left.is_empty() && removed.is_ok();
        let why = format!("not clean: {purged:?}, {removed:?}, left behind:\n{left}");
        if failed && !clean {
            eprintln!("{why}");
        }
        assert!(failed || clean, "{why}");
    }
}

/// What is still there after the kernel had a moment to end what was removed.
fn leftovers(look: impl Fn() -> Vec<String>) -> Vec<String> {
    within(Duration::from_secs(5), || look().is_empty().then(Vec::new)).unwrap_or_else(look)
}

/// Purges regions of test runs that were killed.
fn remove_orphans() {
    let entries = fs::read_dir(base()).into_iter().flatten().flatten();
    for folder in entries.map(|entry| entry.path()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let owner = name.strip_prefix("rs-").and_then(|rest| rest.split('-').next()?.parse::<i32>().ok());
        if owner.is_some_and(|pid| machines::command_line(pid).is_empty()) {
            let mut command = Command::new(program());
            command.args(["down", "--purge", "--data-dir"]).arg(folder.join("d"));
            say(&format!("removing what an interrupted run left: {}", folder.display()));
            run(command, None, PATIENCE * 2);
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

/// The program under test.
fn program() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/debug/roadstead");
    let program = std::env::var_os("ROADSTEAD_PROGRAM").map_or_else(built, PathBuf::from);
    program.canonicalize().unwrap_or_else(|why| {
        panic!(
            "{}: {why}; build it with `cargo build -p roadstead-server`, or name one in ROADSTEAD_PROGRAM",
            program.display()
        )
    })
}

/// Where the built components are: the rule of components/README.md.
pub fn components() -> PathBuf {
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let cache = variable("ROADSTEAD_CACHE")
        .or_else(|| Some(variable("XDG_CACHE_HOME")?.join("roadstead")))
        .or_else(|| Some(variable("HOME")?.join(".cache/roadstead")));
    cache.expect("HOME is set").join("components")
}

fn base() -> PathBuf {
    std::env::var_os("ROADSTEAD_E2E_DIR").map_or_else(|| "/var/tmp".into(), PathBuf::from)
}

/// All files below a folder whose name or folder says that they are logs.
fn logs_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() && !path.is_symlink() && !path.ends_with("disks") {
            found.extend(logs_below(&path));
        } else if path.is_file() && path.components().any(|c| c.as_os_str().to_string_lossy().ends_with("log")) {
            found.push(path);
        }
    }
    found
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
