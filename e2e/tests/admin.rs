//! `roadstead admin`: what an operator learns of a region and its clusters, and that asking changes nothing.

use e2e::{Followed, Options, Region, kill, run, say, within};
use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long an answer may take.
const AT_ONCE: Duration = Duration::from_secs(20);

fn admin(region: &Region, line: &str) -> String {
    region.roadstead(&words(line)).text()
}

#[track_caller]
fn complains(region: &Region, line: &str, expected: &[&str]) {
    let complaint = region.roadstead(&words(line)).complaint();
    assert!(expected.iter().all(|words| complaint.contains(words)), "{line} should say {expected:?}: {complaint}");
}

fn words(line: &str) -> Vec<&str> {
    std::iter::once("admin").chain(line.split_whitespace()).collect()
}

/// A region in which a cluster waits for its components.
fn waiting() -> Region {
    let region = Region::start();
    region.ask_for_cluster("patient", "", &[]);
    let explained = || admin(&region, "explain cluster patient");
    let waits = within(AT_ONCE, || explained().contains("waits for component etcd").then_some(()));
    waits.unwrap_or_else(|| panic!("the cluster waits: {}", explained()));
    region
}

#[test]
fn a_newcomer_finds_out_why_a_cluster_is_not_active() {
    let region = waiting();
    let clusters = admin(&region, "get clusters");
    assert!(clusters.starts_with("NAME ") && clusters.contains("111122223333/patient   Creating "), "{clusters}");
    let story = admin(&region, "explain patient");
    say(&story);
    let line = |name: &str| story.lines().find(|line| line.trim().starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("why").contains("etcd-1: waits for component etcd"), "{story}");
    assert!(line("cause").contains("host/machine/i-") && line("cause").contains("Waiting"), "{story}");
    assert!(line("next").contains("cargo xtask components"), "{story}");
    for part in
        ["Owns\n", "-etcd  ", "0 of 3 instances ready", "Plans\n  eks/cluster, ", "or when one of these changes:"]
    {
        assert!(story.contains(part), "{part}: {story}");
    }
    let machine = line("cause").split_whitespace().nth(1).unwrap_or_default().to_owned();
    let above = admin(&region, &format!("explain {machine}"));
    for part in ["Belongs to\n", "ec2/instance/i-", "autoscaling/group/", "eks/cluster/111122223333/patient"] {
        assert!(above.contains(part), "{part}: {above}");
    }
    assert!(above.contains("No planner plans records of this kind."), "{above}");
}

#[test]
fn asking_shows_everything_but_secrets_and_changes_nothing() {
    let region = waiting();
    let before = census(&region);
    let kinds = before.keys().cloned().collect::<Vec<_>>();
    let mut shown = String::new();
    for kind in &kinds {
        shown += &admin(&region, &format!("get {kind} -o json"));
        admin(&region, &format!("list {kind} -o wide"));
    }
    for line in ["explain patient -o json", "plan patient --dry-run -o json", "events -o json", "metrics"] {
        shown += &admin(&region, line);
    }
    let secret: Value = json_file(region.data().join("admin.json"));
    let secret = secret["secret_access_key"].as_str().expect("the admin user has a secret");
    assert!(shown.contains("\"sealed\": \"key/") && !shown.contains("ciphertext") && !shown.contains(secret));
    assert!(!shown.contains("PRIVATE KEY"));
    let record: Value = region.roadstead(&words("get cluster patient -o json")).json();
    assert_eq!(record["body"]["spec"]["name"], "patient");
    let rehearsed = admin(&region, "plan cluster/patient --dry-run");
    assert!(rehearsed.contains("eks/cluster: Creating") && rehearsed.contains("would change nothing"), "{rehearsed}");
    assert_eq!(census(&region), before);
}

/// How many records of each kind there are.
fn census(region: &Region) -> serde_json::Map<String, Value> {
    region.roadstead(&words("list -o json")).json().as_object().cloned().expect("counts by kind")
}

fn json_file(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).expect("it is there")).expect("it is JSON")
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let region = waiting();
    complains(&region, "get clustr", &["there is no kind 'clustr'; do you mean eks/cluster?", "host/machine, "]);
    complains(&region, "watch zeppelin", &["there is no kind 'zeppelin'. The kinds are audit/cursor, "]);
    complains(&region, "get status", &["'status' may be ", "host/machine-status", "host/port-status", "say which"]);
    complains(&region, "get cluster nope", &["there is no eks/cluster 'nope': `roadstead admin get eks/cluster`"]);
    complains(&region, "explain nope", &["no record is called 'nope'", "roadstead admin list"]);
    complains(&region, "explain cluster", &["eks/cluster is a kind", "roadstead admin get eks/cluster"]);
    complains(&region, "plan cluster nope --dry-run", &["there is no eks/cluster 'nope'"]);
    complains(&region, "plan vpc --dry-run", &["ec2/vpc is a kind"]);
    complains(&region, "events nope", &["no record is called 'nope'"]);
    complains(&region, "logs nope", &["there is no eks/cluster 'nope'"]);
    complains(&region, "logs patient --machine i-0", &["no machine of cluster 'patient' is 'i-0'", "etcd-1 (i-"]);
    complains(&region, "logs patient --process nope", &["'nope' has no log here"]);
    complains(&region, "logs --machine i-0", &["no machine 'i-0' has run on this host", "host/machines"]);
    let settings = region.roadstead(&words("plan settings region --dry-run"));
    assert!(!settings.ok(), "{settings}");
    for misuse in ["plan cluster patient", "get", "logs", "logs patient --role scheduler", "get cluster -o xml", "fly"]
    {
        let said = region.roadstead(&words(misuse));
        assert!(said.code == Some(2) && said.err.contains("Usage") | said.err.contains("--help"), "{said}");
    }
}

#[test]
fn without_a_region_it_says_how_to_start_one() {
    let region = Region::prepare(Options::default());
    for line in ["list", "get cluster", "explain x", "events --follow", "logs x", "metrics"] {
        complains(&region, line, &["no region runs on", "roadstead up"]);
    }
    assert!(!region.data().exists());
}

#[test]
fn only_root_is_answered_and_only_what_is_a_question() {
    let region = Region::start();
    let slot = region.mark().trim_start_matches("rs").to_owned();
    let socket = PathBuf::from(format!("/run/roadstead/{slot}/admin.sock"));
    assert_eq!(fs::metadata(&socket).expect("it is there").permissions().mode() & 0o777, 0o600);
    let answer = |question: &str| {
        let mut stream = UnixStream::connect(&socket).expect("it listens");
        stream.write_all(question.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    for nonsense in ["\n", "status\n", "{\"Purge\":{}}\n", "{\"Explain\":{\"key\":\"x\",\"and\":1}}\n", "\u{fffd}\n"] {
        let said = answer(nonsense).expect("it answers");
        assert!(said.starts_with("{\"Err\":\"not a question"), "{nonsense}: {said}");
    }
    let long = answer(&format!("{}\n", " ".repeat(200_000))).unwrap_or_default();
    assert!(long.is_empty() || long.starts_with("{\"Err\""), "{long}");
    assert!(answer("\"Kinds\"\n").expect("it answers").starts_with("{\"Ok\":[["));
    let mut stranger = Command::new("setpriv");
    stranger.args(["--reuid=65534", "--regid=65534", "--clear-groups", "python3", "-c"]);
    stranger.arg("import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])").arg(&socket);
    assert!(run(stranger, None, AT_ONCE).err.contains("PermissionError"));
}

#[test]
fn what_changes_is_watched_and_followed() {
    let region = Region::start();
    let watch = Followed::start(&region, &words("watch cluster"));
    let events = Followed::start(&region, &words("events --follow -o wide"));
    region.ask_for_cluster("short", "", &[]);
    watch.shows(&["NAME", "STATE", "WHY"]);
    watch.shows(&["111122223333/short", "Creating", "waits for component etcd"]);
    events.shows(&["fabric/machine", "ec2/instance/i-", "no host has reported it yet"]);
    events.shows(&["+ host/machine/i-"]);
    region.aws(&["eks", "delete-cluster", "--name", "short"]);
    watch.shows(&["111122223333/short", "Deleting"]);
    watch.shows(&["111122223333/short", "Removed"]);
    events.shows(&["- eks/cluster/111122223333/short"]);
    let past = admin(&region, "events eks/cluster/111122223333/short");
    assert!(past.contains("ec2/instance/i-") && past.contains("deleted"), "also of what is gone: {past}");
    region.down();
    let complaint = watch.ends();
    assert!(complaint.contains("the region stopped") | complaint.contains("the region stops"), "{complaint}");
}

#[test]
fn metrics_are_served_where_they_were_asked_for() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("it has an address");
    let flags = vec!["--metrics-listen".to_owned(), free.to_string()];
    let region = Region::with(Options { flags, ..Options::default() });
    region.ask_for_cluster("counted", "", &[]);
    region.aws_refuses(&["eks", "describe-cluster", "--name", "nope"]);
    let get = |path: &str| {
        let mut stream = TcpStream::connect(free).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {free}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        answer
    };
    let page = get("/metrics");
    assert!(page.starts_with("HTTP/1.1 200 OK") && page.contains("text/plain; version=0.0.4"), "{page}");
    for sample in [
        "roadstead_requests_total{service=\"eks\",operation=\"CreateCluster\",code=\"OK\"} 1",
        "roadstead_requests_total{service=\"eks\",operation=\"DescribeCluster\",code=\"ResourceNotFoundException\"} 1",
        "roadstead_request_duration_seconds_count{service=\"eks\",operation=\"CreateCluster\"} 1",
        "roadstead_clusters{state=\"CREATING\"} 1",
        "roadstead_store_records{kind=\"eks/cluster\"} 1",
        "roadstead_plan_panics_total{planner=\"eks/cluster\"} 0",
        "roadstead_host_session 1",
    ] {
        assert!(page.contains(sample), "{sample}: {page}");
    }
    assert!(get("/").starts_with("HTTP/1.1 404"));
    assert!(admin(&region, "metrics").contains("roadstead_clusters{state=\"CREATING\"} 1"));
    let open = Region::prepare(Options::default()).roadstead(&["up", "--metrics-listen", "0.0.0.0:9"]).complaint();
    assert!(open.contains("name a loopback address"), "{open}");
}

#[test]
fn logs_are_read_by_cluster_role_machine_and_process_and_those_of_a_machine_without_a_region() {
    let region = Region::for_clusters();
    region.ask_for_cluster("wordy", "", &[]);
    let has_machines = within(AT_ONCE, || admin(&region, "get instance").contains("i-").then_some(()));
    assert!(has_machines.is_some(), "machines are launched");
    let follow = Followed::start(&region, &words("logs wordy --role etcd --follow"));
    let began = Instant::now();
    region.await_active("wordy");
    say(&format!("{:6.1} s  to ACTIVE", began.elapsed().as_secs_f64()));
    follow.shows(&["[etcd-1/etcd]"]);
    where_the_time_went(&region);
    let all = admin(&region, "logs wordy --tail 1");
    for who in ["[etcd-3/etcd] ", "[api-1/kube-apiserver] ", "[api-2/kube-scheduler] "] {
        assert_eq!(all.lines().filter(|line| line.starts_with(who)).count(), 1, "{who}: {all}");
    }
    let one = admin(&region, "logs wordy --role api --machine api-1 --process kube-apiserver");
    assert!(one.lines().count() > 10 && !one.contains("[api-1"), "a log of its own needs no name");
    let instances: Value = region.roadstead(&words("get instance -o json")).json();
    let named = |row: &&Value| row["body"]["spec"]["image"]["hostname"].to_string().contains("etcd");
    let etcd = instances["items"].as_array().and_then(|rows| rows.iter().find(named)).unwrap_or(&Value::Null);
    let id = etcd["body"]["spec"]["id"].as_str().unwrap_or_else(|| panic!("no etcd among {instances}")).to_owned();
    assert_eq!(etcd["glance"]["state"], json!("Ready"));
    // Their supervisor dead, its parts end; the machines go on.
    region.parts("up").into_iter().for_each(kill);
    let down = within(AT_ONCE, || (!region.roadstead(&words("list")).ok()).then_some(()));
    assert!(down.is_some(), "the region ends");
    complains(&region, "logs wordy", &["no region runs on", "roadstead admin logs --machine ID", "host/machines"]);
    assert!(admin(&region, &format!("logs --machine {id} --process etcd")).contains("etcd"));
}

fn where_the_time_went(region: &Region) {
    let timeline = admin(region, "timeline wordy");
    say(&timeline);
    assert!(timeline.starts_with("wordy: ") && timeline.contains("until it was active"), "{timeline}");
    for part in
        ["eks/cluster wordy\n", "fabric/machine etcd-1\n", "fabric/machine api-2\n", "kube-apiserver is starting"]
    {
        assert!(timeline.contains(part), "{part}: {timeline}");
    }
    let drawing = region.folder().join("timeline.svg");
    admin(region, &format!("timeline wordy --svg {}", drawing.display()));
    let svg = std::fs::read_to_string(&drawing).expect("it was drawn");
    assert!(svg.starts_with("<svg ") && svg.contains("fabric/machine etcd-1"), "{svg}");
    complains(region, "timeline absent", &["'absent'"]);
}
