//! What may die, does: processes, machines, the region's own parts, the power. Clusters stay or come back, with their data.

use e2e::{Cluster, Followed, Process, Region, Said, call, kill, run, say, signal, step, steps, try_run, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// How long a replacement may take.
const BACK: Duration = Duration::from_secs(30);
/// How long a frozen process may do harm: its machine asks it every second and kills it when it has owed an answer for
/// five, and a busy machine is slow in all of that.
const FROZEN: Duration = Duration::from_secs(15);
/// How long an idle watch may wait for the news that its API server ended.
const TOLD: f64 = 2.0;
/// How long a member of etcd whose disk is lost may be away.
const REPLACED: Duration = Duration::from_secs(20);
/// How long one may be away whose disk stalls for good: two minutes are waited for it, and half a minute for its machine
/// to end, which does not.
const STALLED: Duration = Duration::from_secs(240);
/// How long a tool of the host may take.
const TOOL: Duration = Duration::from_secs(30);

#[test]
fn a_cluster_survives_everything() {
    let region = Region::for_clusters();
    let cluster = region.create_cluster("tough");
    cluster.kubectl(&["create", "configmap", "memory", "--from-literal=text=kept"]).text();
    steps!((&region, &cluster):
        a_patient_client_sees_no_api_server_die,
        a_patient_client_sees_no_api_server_freeze,
        a_killed_api_server_comes_back,
        a_killed_etcd_member_comes_back,
        a_killed_controller_manager_comes_back,
        a_killed_etcd_machine_comes_back_with_its_data,
        a_killed_api_machine_comes_back,
        a_frozen_etcd_member_is_killed_and_comes_back,
        a_killed_region_loses_nothing_acknowledged,
        tokens_are_verified_while_the_region_is_away,
        a_killed_host_agent_stops_no_cluster,
        a_killed_supervisor_can_be_started_again,
        after_a_power_failure_the_cluster_comes_back,
        after_down_and_up_the_cluster_comes_back,
    );
}

#[test]
fn nobody_waits_for_an_etcd_leader_that_fails_slowly() {
    let region = Region::for_clusters();
    let cluster = region.create_cluster("slow");
    cluster.kubectl(&["create", "configmap", "memory", "--from-literal=text=kept"]).text();
    steps!((&region, &cluster):
        a_patient_client_sees_no_etcd_leader_freeze,
        a_leader_that_is_to_stop_hands_its_leadership_over,
        a_frozen_first_process_is_noticed,
        a_patient_client_sees_no_disk_stall_and_one_for_good_costs_a_member_its_place,
    );
}

#[test]
fn etcd_survives_the_loss_of_its_disks() {
    let region = Region::for_clusters();
    let cluster = region.create_cluster("disks");
    cluster.kubectl(&["create", "configmap", "memory", "--from-literal=text=kept"]).text();
    steps!((&region, &cluster):
        a_member_whose_disk_is_deleted_is_replaced,
        a_machine_whose_disk_is_emptied_is_replaced,
        a_disk_that_vanishes_under_a_member_that_runs_on_is_replaced,
        two_lost_disks_are_left_to_an_operator,
    );
}

fn a_member_whose_disk_is_deleted_is_replaced(region: &Region, cluster: &Cluster) {
    let logs = ["admin", "logs", &cluster.name, "--role", "etcd", "--process", "etcd", "--tail", "0", "--follow"];
    let followed = Followed::start(region, &logs);
    is_replaced(region, cluster, |victim, disk| {
        fs::remove_dir_all(disk).expect("a disk can be deleted");
        kill(victim.pid);
    });
    // Said by the machine that took its place.
    followed.shows(&["ready to serve client requests"]);
}

fn a_machine_whose_disk_is_emptied_is_replaced(region: &Region, cluster: &Cluster) {
    let init = |machine: &str| region.processes().into_iter().find(|p| p.machine == machine && p.inside == 1);
    is_replaced(region, cluster, |victim, disk| {
        for entry in fs::read_dir(disk).expect("a disk can be read").flatten() {
            let path = entry.path();
            let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            removed.expect("a disk can be emptied");
        }
        kill(init(&victim.machine).expect("a machine has a first process").pid);
    });
}

fn a_disk_that_vanishes_under_a_member_that_runs_on_is_replaced(region: &Region, cluster: &Cluster) {
    is_replaced(region, cluster, |_, disk| fs::remove_dir_all(disk).expect("a disk can be deleted"));
}

/// Takes a member's disk away in some way while somebody writes. Another member takes its place, on a disk of its own;
/// the two others are not touched, and nothing that was acknowledged is lost.
fn is_replaced(region: &Region, cluster: &Cluster, harm: impl FnOnce(&Process, &PathBuf)) {
    let token = cluster.token();
    let before = region.running("etcd");
    let (victim, others) = (&before[0], &before[1..]);
    let disk = disk_of(region, victim);
    let ids = member_ids(&before[1]);
    let written = thread::scope(|scope| {
        let writer = scope.spawn(|| cluster.write(&token, Duration::from_secs(15)));
        until("something is written", BACK, || cluster.answers(&token).then_some(()));
        harm(victim, &disk);
        let began = Instant::now();
        until("etcd has three votes again, one of them new", REPLACED, || {
            let now = member_ids(others.first()?);
            let same = now.intersection(&ids).count();
            (now.len() == 3 && same == 2 && others.iter().all(all_healthy)).then_some(())
        });
        say(&format!("{:6.1} s  until etcd had three healthy votes again", began.elapsed().as_secs_f64()));
        writer.join().expect("the writer ends")
    });
    let running = region.running("etcd");
    assert!(others.iter().all(|other| running.contains(other)), "the others were not touched");
    assert!(!disk.exists(), "nothing is left of the lost disk");
    assert_written(cluster, &written);
    is_whole(region, cluster, &token);
    until("nothing is wrong with the cluster", BACK, || {
        (region.describe(&cluster.name)["health"]["issues"] == json!([])).then_some(())
    });
}

/// All that was acknowledged is there.
fn assert_written(cluster: &Cluster, written: &Value) {
    let names = |list: &Value| -> BTreeSet<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let acknowledged = names(&written["acknowledged"]);
    let listed = cluster.kubectl(&["get", "configmaps", "--output", "name"]).text();
    let there: BTreeSet<String> = listed.lines().filter_map(|l| Some(l.split_once('/')?.1.to_owned())).collect();
    let lost: Vec<&String> = acknowledged.difference(&there).collect();
    say(&format!("{} writes, longest gap {} ms", acknowledged.len(), written["longest_gap_ms"]));
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert_eq!(written["given_up"], json!([]), "each is written within 5 s");
    assert!(acknowledged.len() > 20);
    cluster.kubectl(&["delete", "configmaps", "--field-selector=metadata.name!=memory", "--wait=false"]).text();
}

fn two_lost_disks_are_left_to_an_operator(region: &Region, cluster: &Cluster) {
    let members = region.running("etcd");
    let aside = region.folder().join("aside");
    fs::create_dir_all(&aside).expect("a folder can be made");
    let lost: Vec<PathBuf> = members[..2].iter().map(|member| disk_of(region, member)).collect();
    let moved = |disk: &PathBuf| aside.join(disk.file_name().expect("a disk has a name"));
    for disk in &lost {
        fs::rename(disk, moved(disk)).expect("a disk can be moved");
    }
    let told = until("it is said what to do", BACK, || {
        let issues = region.describe(&cluster.name)["health"]["issues"].clone();
        issues.as_array()?.iter().any(|i| i["message"].as_str().is_some_and(|m| m.contains("2 of 3"))).then_some(issues)
    });
    say(&format!("{}", told[0]["message"]));
    assert_eq!(region.running("etcd"), members, "nobody was touched");
    for disk in &lost {
        fs::rename(moved(disk), disk).expect("a disk can be moved back");
    }
    until("all is well when they are back", BACK, || {
        (region.describe(&cluster.name)["health"]["issues"] == json!([])).then_some(())
    });
    assert_eq!(region.running("etcd"), members, "nobody was touched");
    is_whole(region, cluster, &cluster.token());
}

/// The folder of the disk that a member has mounted.
fn disk_of(region: &Region, member: &Process) -> PathBuf {
    let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", member.pid)).expect("a process has mounts");
    let mount = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/var/lib/etcd"));
    let source = mount.and_then(|line| line.split(' ').nth(3)).expect("a member has a disk");
    let id = source.trim_end_matches("//deleted").rsplit('/').next().unwrap_or_default();
    region.data().join("host/disks").join(id)
}

/// The ids of the members with a vote, as this one knows them.
fn member_ids(member: &Process) -> BTreeSet<String> {
    let listed = etcdctl(member, &["member", "list"]);
    let votes = listed.lines().filter(|line| line.ends_with(", false") && line.contains(", started, "));
    votes.filter_map(|line| Some(line.split_once(',')?.0.to_owned())).collect()
}

/// Every member answers through a quorum, asked from this one's network.
fn all_healthy(member: &Process) -> bool {
    let said = etcdctl(member, &["endpoint", "health", "--cluster"]);
    said.lines().filter(|line| line.contains("is healthy")).count() == 3
}

/// What etcd's own client says in a member's network, with the member's certificate.
fn etcdctl(member: &Process, arguments: &[&str]) -> String {
    let path = |name: &str| member.file(&format!("/etc/etcd/pki/{name}")).to_string_lossy().into_owned();
    let mut command = Command::new("nsenter");
    command.args(["--target", &member.pid.to_string(), "--net"]);
    command.arg(member.file(member.arguments[0].trim_end_matches("etcd")).join("etcdctl"));
    command.args(["--endpoints", member.flag("advertise-client-urls"), "--command-timeout", "2s"]);
    command.args(["--cacert", &path("ca.crt"), "--cert", &path("member.crt"), "--key", &path("member.key")]);
    command.args(arguments).env("ETCDCTL_API", "3");
    try_run(command, None, TOOL).map(|said| said.out + &said.err).unwrap_or_default()
}

/// Kills one process of that program; the cluster serves meanwhile, and the process comes back in its machine.
fn comes_back(region: &Region, cluster: &Cluster, program: &str) {
    let token = cluster.token();
    let before = region.running(program);
    let victim = before[0].clone();
    kill(victim.pid);
    let began = Instant::now();
    cluster.must_serve(&token);
    let is_new = |p: &Process| p.machine == victim.machine && p.pid != victim.pid;
    until(&format!("{program} is back"), BACK, || region.running(program).into_iter().find(is_new));
    say(&format!("{:6.1} s  {program} runs again", began.elapsed().as_secs_f64()));
    is_whole(region, cluster, &token);
    assert_eq!(region.running(program).len(), before.len());
}

/// Everything runs, answers, and has its data.
fn is_whole(region: &Region, cluster: &Cluster, token: &str) {
    let shape = |program: &str| region.running(program).len();
    until("all of the control plane runs", BACK, || {
        let all = [shape("etcd"), shape("kube-apiserver"), shape("kube-controller-manager"), shape("kube-scheduler")];
        (all == [3, 2, 2, 2]).then_some(())
    });
    cluster.await_serving(token, BACK);
    let memory = ["get", "configmap", "memory", "--output", "jsonpath={.data.text}"];
    let memory = until("what was kept is read", BACK, || Some(cluster.kubectl_with(token, &memory)).filter(Said::ok));
    assert_eq!(memory.out, "kept");
    until("etcd's members are all healthy again", BACK, || {
        let ready = cluster.kubectl_with(token, &["get", "--raw", "/readyz/etcd"]);
        ready.ok().then_some(())
    });
}

fn a_killed_api_server_comes_back(region: &Region, cluster: &Cluster) {
    comes_back(region, cluster, "kube-apiserver");
}

fn a_killed_etcd_member_comes_back(region: &Region, cluster: &Cluster) {
    comes_back(region, cluster, "etcd");
}

fn a_killed_controller_manager_comes_back(region: &Region, cluster: &Cluster) {
    comes_back(region, cluster, "kube-controller-manager");
    let token = cluster.token();
    cluster.kubectl_with(&token, &["create", "namespace", "made-after"]).text();
    until("a controller works: the namespace's service account is made", BACK, || {
        cluster
            .kubectl_with(&token, &["get", "serviceaccount", "default", "--namespace", "made-after"])
            .ok()
            .then_some(())
    });
}

/// Kills the first process of the machine in which that program runs, and with it all of the machine.
fn machine_comes_back(region: &Region, cluster: &Cluster, program: &str) {
    let token = cluster.token();
    let victim = region.running(program).remove(0);
    let first = |machine: &str| region.processes().into_iter().find(|p| p.machine == machine && p.inside == 1);
    let init = first(&victim.machine).expect("a machine has a first process");
    kill(init.pid);
    let began = Instant::now();
    cluster.must_serve(&token);
    let back = until("the machine is back", BACK, || {
        region.running(program).into_iter().find(|p| p.machine == victim.machine && p.pid != victim.pid)
    });
    say(&format!("{:6.1} s  a machine with {program} runs again", began.elapsed().as_secs_f64()));
    assert_eq!(back.arguments, victim.arguments, "it is the same machine");
    is_whole(region, cluster, &token);
}

fn a_killed_etcd_machine_comes_back_with_its_data(region: &Region, cluster: &Cluster) {
    machine_comes_back(region, cluster, "etcd");
}

fn a_killed_api_machine_comes_back(region: &Region, cluster: &Cluster) {
    machine_comes_back(region, cluster, "kube-apiserver");
}

/// Takes an API server away from a client that tries three times within two seconds. It sees no error, and its idle
/// watches end within `told` seconds: what a frozen server's clients are told, its machine's kernel tells them when it is
/// killed.
fn goes_unnoticed(region: &Region, cluster: &Cluster, way: Signal, told: f64) {
    let token = cluster.token();
    let victim = region.running("kube-apiserver").remove(0);
    let seen = cluster.insist(&token, victim.pid, way, 12);
    assert_eq!(seen["errors"], json!([]), "{seen}");
    let watches: Vec<f64> = seen["watches"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let last = watches.iter().copied().fold(0.0, f64::max);
    say(&format!("{last:6.1} s  {way} to kube-apiserver, until the last of {} idle watches was told", watches.len()));
    say(&format!("          of {} requests {} were tried again, none failed", seen["requests"], seen["retried"]));
    assert!(!watches.is_empty() && last < told, "of sixteen watches on two servers some are the victim's: {seen}");
    let is_new = |p: &Process| p.machine == victim.machine && p.pid != victim.pid;
    until("it runs again", BACK, || region.running("kube-apiserver").into_iter().find(is_new));
    is_whole(region, cluster, &token);
}

fn a_patient_client_sees_no_api_server_die(region: &Region, cluster: &Cluster) {
    goes_unnoticed(region, cluster, Signal::SIGKILL, TOLD);
}

fn a_patient_client_sees_no_api_server_freeze(region: &Region, cluster: &Cluster) {
    goes_unnoticed(region, cluster, Signal::SIGSTOP, FROZEN.as_secs_f64());
}

/// Its connections stay open and answer nothing; those that elect another one do so in a second or two.
fn a_patient_client_sees_no_etcd_leader_freeze(region: &Region, cluster: &Cluster) {
    let token = cluster.token();
    let victim = leader(region);
    sees_no_error(&cluster.insist(&token, victim.pid, Signal::SIGSTOP, 12));
    let is_new = |p: &Process| p.machine == victim.machine && p.pid != victim.pid;
    until("it was killed and runs again", BACK, || region.running("etcd").into_iter().find(is_new));
    is_whole(region, cluster, &token);
}

/// A process that waits for its disk does not end, whoever kills it: the member is done without until the disk is back, or
/// another member has taken its place.
fn a_patient_client_sees_no_disk_stall_and_one_for_good_costs_a_member_its_place(region: &Region, cluster: &Cluster) {
    let token = cluster.token();
    let moved = leader(region);
    let disk = StallingDisk::under(region, &moved);
    is_whole(region, cluster, &token);
    let victim = region.running("etcd").into_iter().find(|p| p.machine == moved.machine).expect("it runs again");
    etcdctl(&leader(region), &["move-leader", &member_id(&victim)]);
    let seen = thread::scope(|scope| {
        let client = scope.spawn(|| cluster.insist(&token, victim.pid, Signal::SIGCONT, 20));
        until("there are requests", BACK, || cluster.answers(&token).then_some(()));
        disk.freeze("--freeze");
        client.join().expect("the client ends")
    });
    sees_no_error(&seen);
    disk.freeze("--unfreeze");
    is_whole(region, cluster, &token);
    until("it serves again", BACK, || all_healthy(&region.running("etcd")[0]).then_some(()));
    is_replaced_when_it_stalls_for_good(region, cluster, &disk, &victim);
}

/// Its machine is told to stop, as a region's own plans do.
fn a_leader_that_is_to_stop_hands_its_leadership_over(region: &Region, cluster: &Cluster) {
    let (token, old) = (cluster.token(), leader(region));
    let init = region.processes().into_iter().find(|p| p.machine == old.machine && p.inside == 1);
    let log = region.data().join("host/machines").join(&old.machine).join("log/roadstead/etcd.log");
    assert!(signal(init.expect("a machine has a first process").pid, Signal::SIGTERM));
    until("it says that it hands its leadership over", BACK, || {
        let said = fs::read_to_string(&log).unwrap_or_default();
        said.contains("leadership transfer finished").then_some(())
    });
    let new = leader(region);
    assert_ne!(new.machine, old.machine);
    is_whole(region, cluster, &token);
}

fn a_frozen_first_process_is_noticed(region: &Region, cluster: &Cluster) {
    let (token, member) = (cluster.token(), region.running("etcd").remove(0));
    let first = || region.processes().into_iter().find(|p| p.machine == member.machine && p.inside == 1);
    let frozen = first().expect("a machine has a first process").pid;
    assert!(signal(frozen, Signal::SIGSTOP));
    let began = Instant::now();
    until("its machine is started again", BACK + FROZEN, || first().filter(|p| p.pid != frozen));
    say(&format!("{:6.1} s  until a machine with a frozen first process ran again", began.elapsed().as_secs_f64()));
    is_whole(region, cluster, &token);
}

fn is_replaced_when_it_stalls_for_good(region: &Region, cluster: &Cluster, disk: &StallingDisk, victim: &Process) {
    let (token, members) = (cluster.token(), region.running("etcd"));
    let others: Vec<Process> = members.into_iter().filter(|p| p.machine != victim.machine).collect();
    let ids = member_ids(&others[0]);
    disk.freeze("--freeze");
    let began = Instant::now();
    until("etcd has three votes again, one of them new", STALLED, || {
        let now = member_ids(&others[0]);
        (now.len() == 3 && now.intersection(&ids).count() == 2 && all_healthy(&others[0])).then_some(())
    });
    say(&format!("{:6.1} s  until etcd had three healthy votes again", began.elapsed().as_secs_f64()));
    let running = region.running("etcd");
    assert!(others.iter().all(|other| running.contains(other)), "the others were not touched");
    cluster.await_serving(&token, BACK);
    until("nothing is wrong with the cluster", BACK, || {
        (region.describe(&cluster.name)["health"]["issues"] == json!([])).then_some(())
    });
    disk.freeze("--unfreeze");
    until("the machine that could not end has ended", BACK, || {
        region.processes().iter().all(|p| p.machine != victim.machine).then_some(())
    });
    is_whole(region, cluster, &token);
}

fn sees_no_error(seen: &Value) {
    say(&format!("          of {} requests {} were tried again, none failed", seen["requests"], seen["retried"]));
    assert_eq!(seen["errors"], json!([]), "{seen}");
    assert!(seen["requests"].as_u64() > Some(20), "{seen}");
}

/// A member's disk on a file system of its own, which can be made to stall. Gone, and whole again, when dropped.
struct StallingDisk {
    folder: PathBuf,
}

impl StallingDisk {
    /// Moves the disk of a member while its machine is down.
    fn under(region: &Region, member: &Process) -> StallingDisk {
        let disk = StallingDisk { folder: disk_of(region, member) };
        let image = region.folder().join("stalling.ext4");
        let host = region.part("host");
        assert!(signal(host, Signal::SIGSTOP), "the agent starts no machine meanwhile");
        let init = region.processes().into_iter().find(|p| p.machine == member.machine && p.inside == 1);
        kill(init.expect("a machine has a first process").pid);
        let (folder, image) = (disk.folder.to_string_lossy(), image.to_string_lossy());
        let script =
            format!("truncate --size 1G {image} && mkfs.ext4 -q -d {folder} {image} && mount -o loop {image} {folder}");
        tool("sh", &["-e", "-c", &script]);
        assert!(signal(host, Signal::SIGCONT));
        disk
    }

    fn freeze(&self, way: &str) {
        tool("fsfreeze", &[way, &self.folder.to_string_lossy()]);
    }
}

impl Drop for StallingDisk {
    fn drop(&mut self) {
        // It may not be frozen, or be in use by a machine, whose own mount of it ends with it.
        for (program, way) in [("fsfreeze", "--unfreeze"), ("umount", "--lazy")] {
            let mut command = Command::new(program);
            command.arg(way).arg(&self.folder);
            let _ = try_run(command, None, TOOL);
        }
    }
}

fn tool(program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.args(arguments);
    run(command, None, TOOL).text();
}

/// The member that leads.
fn leader(region: &Region) -> Process {
    until("a member leads", BACK, || {
        let leads = |said: Value| !said.is_null() && said["leader"] == said["header"]["member_id"];
        region.running("etcd").into_iter().find(|member| leads(endpoint(member)))
    })
}

/// What `member move-leader` calls it.
fn member_id(member: &Process) -> String {
    format!("{:x}", endpoint(member)["header"]["member_id"].as_u64().expect("a member has an id"))
}

/// What a member says of itself.
fn endpoint(member: &Process) -> Value {
    let said = etcdctl(member, &["endpoint", "status", "--write-out=json"]);
    // It may complain, too.
    let answer = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find(Value::is_array);
    answer.map(|answer| answer[0]["Status"].clone()).unwrap_or_default()
}

/// Stops a member as a sick machine would, so that it holds its connections and answers none.
fn a_frozen_etcd_member_is_killed_and_comes_back(region: &Region, cluster: &Cluster) {
    let token = cluster.token();
    let victim = region.running("etcd").remove(0);
    assert!(signal(victim.pid, Signal::SIGSTOP));
    let began = Instant::now();
    let is_new = |p: &Process| p.machine == victim.machine && p.pid != victim.pid;
    until("the member is killed and runs again", FROZEN, || region.running("etcd").into_iter().find(is_new));
    say(&format!("{:6.1} s  until a frozen etcd was killed and ran again", began.elapsed().as_secs_f64()));
    let left = FROZEN.saturating_sub(began.elapsed());
    until("ten requests in a row are answered", left, || (0..10).all(|_| cluster.answers(&token)).then_some(()));
    say(&format!("{:6.1} s  until ten requests in a row were answered", began.elapsed().as_secs_f64()));
    is_whole(region, cluster, &token);
}

fn a_killed_region_loses_nothing_acknowledged(region: &Region, cluster: &Cluster) {
    let token = cluster.token();
    let machines = region.processes();
    let users: Vec<String> = (0..20).map(|n| format!("user-{n}")).collect();
    let create = |name: &String| call("iam", "create_user", json!({ "UserName": name }));
    for answer in region.boto(users.iter().map(create).collect()) {
        answer.value();
    }
    let serve = region.part("serve");
    kill(serve);
    cluster.must_serve(&token);
    api_answers(region);
    assert_ne!(region.part("serve"), serve);
    for answer in region.boto(users.iter().map(create).collect()) {
        assert_eq!(answer.refusal().code, "EntityAlreadyExists", "what was acknowledged is there");
    }
    assert_eq!(region.describe(&cluster.name)["status"], "ACTIVE");
    assert_eq!(region.processes(), machines, "no process of a machine was touched");
}

fn api_answers(region: &Region) {
    let began = Instant::now();
    until("the API answers again", BACK, || region.roadstead(&["status"]).ok().then_some(()));
    region.aws(&["eks", "list-clusters"]);
    say(&format!("{:6.1} s  until the API answers again", began.elapsed().as_secs_f64()));
}

fn tokens_are_verified_while_the_region_is_away(region: &Region, cluster: &Cluster) {
    let serve = region.part("serve");
    assert!(signal(serve, Signal::SIGSTOP));
    verifies_tokens(cluster);
    assert!(signal(serve, Signal::SIGCONT));
    api_answers(region);
    // Killed so often that it is never there for long.
    let killed = step("the region is killed again and again", || {
        let began = Instant::now();
        std::thread::scope(|scope| {
            let work = scope.spawn(|| verifies_tokens(cluster));
            let mut killed = 0;
            while !work.is_finished() || began.elapsed() < Duration::from_secs(3) {
                for pid in region.parts("serve") {
                    killed += u32::from(signal(pid, Signal::SIGKILL));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            work.join().expect("tokens are verified");
            killed
        })
    });
    assert!(killed >= 2, "the region was killed {killed} times only");
    api_answers(region);
}

/// New tokens, never seen before, are told from forged ones.
fn verifies_tokens(cluster: &Cluster) {
    let good = cluster.token();
    cluster.must_serve(&good);
    assert!(cluster.refuses(&cluster.token_for("another")));
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    assert!(cluster.refuses(&forged));
    let said = cluster.kubectl(&["get", "namespaces"]);
    assert!(said.ok(), "kubectl with aws eks get-token: {said}");
}

fn a_killed_host_agent_stops_no_cluster(region: &Region, cluster: &Cluster) {
    let token = cluster.token();
    let machines = region.processes();
    let host = region.part("host");
    kill(host);
    cluster.must_serve(&token);
    until("the host agent is back", BACK, || {
        (!matches!(region.parts("host")[..], [] | [_, _, ..]) && region.part("host") != host).then_some(())
    });
    verifies_soon(cluster);
    assert_eq!(region.processes(), machines, "no process of a machine was touched");
    // The new agent watches what it found.
    comes_back(region, cluster, "kube-apiserver");
    assert_eq!(region.describe(&cluster.name)["status"], "ACTIVE");
}

/// A token that nobody has seen is good as soon as the agent that verifies it is back.
fn verifies_soon(cluster: &Cluster) {
    let token = cluster.token();
    cluster.await_serving(&token, BACK);
    assert!(cluster.refuses(&cluster.token_for("another")));
}

fn a_killed_supervisor_can_be_started_again(region: &Region, cluster: &Cluster) {
    let token = cluster.token();
    kill(region.part("up"));
    until("its parts end with it", BACK, || {
        (region.parts("serve").is_empty() && region.parts("host").is_empty()).then_some(())
    });
    let served = cluster.kubectl_with(&token, &["get", "namespaces"]);
    assert!(served.ok() || served.err.contains("Unauthorized"), "machines outlive the supervisor: {served}");
    let machines = region.processes();
    cannot_start_and_stops_nothing(region);
    assert_eq!(region.processes(), machines, "no process of a machine was touched");
    region.up();
    verifies_soon(cluster);
    assert_eq!(region.processes(), machines, "no process of a machine was touched");
    is_whole(region, cluster, &token);
}

/// An `up` that fails stops no cluster that the one before it left running.
fn cannot_start_and_stops_nothing(region: &Region) {
    let endpoint = region.client().variable("AWS_ENDPOINT_URL").to_owned();
    let taken = TcpListener::bind(endpoint.trim_start_matches("http://")).expect("nobody listens there now");
    let complaint = run(region.command(&["up"]), None, BACK).complaint();
    assert!(complaint.contains("cannot listen on") && complaint.contains("left as it is"), "{complaint}");
    drop(taken);
}

fn after_a_power_failure_the_cluster_comes_back(region: &Region, cluster: &Cluster) {
    region.power_off();
    let began = Instant::now();
    region.up();
    comes_back_active(region, cluster, began);
}

fn after_down_and_up_the_cluster_comes_back(region: &Region, cluster: &Cluster) {
    region.down();
    region.assert_stopped();
    let began = Instant::now();
    region.up();
    comes_back_active(region, cluster, began);
}

fn comes_back_active(region: &Region, cluster: &Cluster, began: Instant) {
    region.await_active(&cluster.name);
    until("the cluster is healthy", Duration::from_secs(120), || {
        (region.describe(&cluster.name)["health"]["issues"] == json!([])).then_some(())
    });
    let token = cluster.token();
    cluster.await_serving(&token, BACK);
    say(&format!("{:6.1} s  from nothing to kubectl", began.elapsed().as_secs_f64()));
    is_whole(region, cluster, &token);
}
