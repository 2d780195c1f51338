//! The command line: what it does, and what it says when it cannot.

use e2e::{Options, Region, Said, call, components, run, say, spawn, until, within};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ETCD: &str = "etcd-3.6.16";
const KUBERNETES: &str = "kubernetes-1.36.3";

/// How long a command may take that cannot do what it was told.
const AT_ONCE: Duration = Duration::from_secs(20);

/// What `up` says that cannot start: in the foreground and detached it must be the same, soon, and nothing must stay.
#[track_caller]
fn cannot_start(region: &Region, words: &[&str]) {
    for way in [&["up"][..], &["up", "--detach"]] {
        let began = Instant::now();
        let said = run(region.command(way), None, AT_ONCE);
        let text = said.to_string();
        assert!(said.code == Some(1) && words.iter().all(|word| text.contains(word)), "should say {words:?}: {said}");
        assert!(began.elapsed() < AT_ONCE / 2, "it took {:?} to say so", began.elapsed());
        region.assert_stopped();
    }
}

#[test]
fn without_root_it_says_so_and_does_nothing() {
    let region = Region::prepare(Options::default());
    let program = region.folder().join("roadstead");
    fs::copy(region.command(&[]).get_program(), &program).expect("the program can be copied");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it may be run by all");
    let as_nobody = |arguments: &[&str]| -> Said {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        command.args(region.command(arguments).get_args());
        run(command, None, AT_ONCE)
    };
    for arguments in [&["up"][..], &["up", "--detach"], &["down"], &["down", "--purge"]] {
        let complaint = as_nobody(arguments).complaint();
        assert!(complaint.contains("needs root") && complaint.contains("sudo"), "{arguments:?}: {complaint}");
    }
    let doctor = as_nobody(&["doctor"]);
    assert!(!doctor.ok() && doctor.out.contains("not root"), "{doctor}");
    assert!(!region.data().exists());
}

#[test]
fn a_taken_port_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address").to_string();
    let flags = vec!["--listen".to_owned(), address.clone()];
    let region = Region::prepare(Options { flags, ..Options::default() });
    cannot_start(&region, &["cannot listen on", &address, "--listen"]);
    drop(listener);
    region.up();
    assert_eq!(region.client().variable("AWS_ENDPOINT_URL"), format!("http://{address}"));
}

#[test]
fn a_data_directory_has_one_region_and_a_machine_has_many() {
    let first = Region::start();
    for way in [&["up"][..], &["up", "--detach"]] {
        let complaint = run(first.command(way), None, AT_ONCE).complaint();
        assert!(complaint.contains("a region already runs on") && complaint.contains("roadstead down"), "{complaint}");
    }
    let second = Region::start();
    assert_ne!(first.mark(), second.mark());
    first.aws(&["iam", "create-user", "--user-name", "ada"]);
    second.aws(&["iam", "create-user", "--user-name", "ada"]);
    // The one's keys are nobody's in the other.
    let [ours, theirs] = [first.client(), second.client()];
    let stranger = ours.with("AWS_ENDPOINT_URL", theirs.variable("AWS_ENDPOINT_URL"));
    assert_eq!(stranger.aws_refuses(&["sts", "get-caller-identity"]).code, "InvalidClientTokenId");
    drop(second);
    assert_eq!(first.aws(&["eks", "list-clusters"])["clusters"], json!([]));
}

/// A data directory from another machine, or one whose slot was given away while the power was off.
#[test]
fn a_region_whose_slot_is_anothers_touches_nothing_of_it() {
    let ours = Region::start();
    let moved = Region::prepare(Options::default());
    fs::create_dir_all(moved.data()).expect("a folder can be made");
    fs::copy(ours.data().join("local.json"), moved.data().join("local.json")).expect("a file can be copied");
    for way in [&["up"][..], &["up", "--detach"]] {
        let complaint = run(moved.command(way), None, AT_ONCE).complaint();
        assert!(complaint.contains("was given to another region") && complaint.contains("local.json"), "{complaint}");
    }
    moved.roadstead(&["down", "--purge"]).text();
    assert_eq!(ours.aws(&["eks", "list-clusters"])["clusters"], json!([]));
    assert!(!ours.parts("host").is_empty() && !ours.site().running().is_empty());
}

#[test]
fn a_damaged_journal_is_refused_with_its_place() {
    let region = Region::start();
    region.aws(&["iam", "create-user", "--user-name", "a-name-to-be-found"]);
    region.down();
    let path = journal(&region);
    let whole = fs::read(&path).expect("the journal can be read");
    let mut damaged = whole.clone();
    let name = b"a-name-to-be-found";
    let places: Vec<usize> = (0..whole.len() - name.len()).filter(|at| whole[*at..].starts_with(name)).collect();
    assert!(!places.is_empty(), "the journal holds what was acknowledged");
    for at in places {
        damaged[at] ^= 1;
    }
    fs::write(&path, &damaged).expect("the journal can be written");
    cannot_start(&region, &["journal.log is damaged at", "restore"]);
    assert!(fs::read(&path).expect("it is there") == damaged, "a damaged journal is left as it is");
    fs::write(&path, &whole).expect("the journal can be written");
    region.up();
    let again = region.aws_refuses(&["iam", "create-user", "--user-name", "a-name-to-be-found"]);
    assert_eq!(again.code, "EntityAlreadyExists");
}

#[test]
fn a_full_disk_takes_no_new_work_and_loses_nothing() {
    let disk = SmallDisk::mount(160 << 20);
    let data = disk.0.join("d").to_string_lossy().into_owned();
    let region = Region::with(Options { flags: vec!["--data-dir".into(), data], ..Options::default() });
    let client = region.client().with("AWS_MAX_ATTEMPTS", "1");
    client.aws(&["iam", "create-user", "--user-name", "before"]);
    let leaving =
        |operation| (0..400).map(move |n| call("iam", operation, json!({ "UserName": format!("leaving-{n}") })));
    client.gets(leaving("create_user").map(|call| ("OK", call)).collect());
    // Nearly full: what is new is refused, what is there is read, what makes room is done.
    disk.fill(120 << 20);
    let create = |name| ["iam", "create-user", "--user-name", name];
    let refused = client.aws_refuses(&create("refused"));
    assert!(refused.code == "ServiceUnavailable" && refused.message.contains("disk space"), "{refused:?}");
    client.aws(&["iam", "get-role", "--role-name", "eks-cluster-role"]);
    let group = ["ec2", "describe-vpcs", "--query", "Vpcs[0].VpcId", "--output", "text"];
    let vpc = client.run("aws", &group).text();
    assert_eq!(client.aws_refuses(&["ec2", "delete-vpc", "--vpc-id", vpc.trim()]).code, "DependencyViolation");
    // Full to the last byte: what is accepted is written until the journal's room is used up. Nothing ends for good.
    disk.fill(160 << 20);
    let (up, serve) = (region.part("up"), region.part("serve"));
    let left = client.boto(leaving("delete_user").collect());
    assert!(left.iter().any(|answer| answer.code() != "OK"), "the journal has more room than that");
    until("the region was started anew", AT_ONCE, || (region.parts("serve") != [serve]).then_some(()));
    disk.fill(0);
    until("it takes new work again", AT_ONCE, || client.run("aws", &create("after")).ok().then_some(()));
    assert_eq!(region.part("up"), up);
    let again = client.aws_refuses(&["iam", "create-user", "--user-name", "before"]);
    assert_eq!(again.code, "EntityAlreadyExists", "what was acknowledged is there");
    let users = client.boto(leaving("get_user").collect());
    let back = users.iter().zip(&left).filter(|(user, left)| left.code() == "OK" && user.code() != "NoSuchEntity");
    assert_eq!(back.count(), 0, "who was acknowledged to have left has left");
    client.aws(&["iam", "create-user", "--user-name", "refused"]);
}

/// A disk of a test's own.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(bytes: u64) -> SmallDisk {
        let place = std::env::temp_dir().join(format!("rs-small-disk-{}", std::process::id()));
        fs::create_dir_all(&place).expect("a folder can be made");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(&place);
        run(command, None, AT_ONCE).text();
        SmallDisk(place)
    }

    /// Has a file of others take so much of it, or all there is.
    fn fill(&self, bytes: u64) {
        let mut file = fs::File::create(self.0.join("of-others")).expect("a file can be made");
        let block = vec![0; 1 << 20];
        for _ in 0..bytes >> 20 {
            if file.write_all(&block).is_err() {
                break;
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let mut command = Command::new("umount");
        command.arg("--lazy").arg(&self.0);
        let unmounted = run(command, None, AT_ONCE);
        let removed = fs::remove_dir(&self.0);
        assert!(std::thread::panicking() || (unmounted.ok() && removed.is_ok()), "{unmounted} {removed:?}");
    }
}

#[test]
fn a_journal_of_a_newer_version_is_refused() {
    let region = Region::start();
    region.down();
    write_as_newer(&journal(&region));
    cannot_start(
        &region,
        &["journal.log has format 2", "start the version of Roadstead that wrote it, or a later one"],
    );
}

/// Gives every frame of the journal the format after the one we know, with the right checksums: that of the envelope,
/// and the seal of the frame in the file, which `crates/store/src/journal/frames.rs` draws.
fn write_as_newer(path: &Path) {
    let mut file = fs::read(path).expect("the journal can be read");
    for at in (0..file.len()).step_by(512) {
        if !file[at..].starts_with(b"\x89frame\r\n") {
            continue;
        }
        let (sealed, payload) = (at + 40, at + 56);
        let len = u32::from_le_bytes(file[at + 52..payload].try_into().expect("four bytes"));
        let end = payload + usize::try_from(len).expect("it fits");
        let format = 2u32.to_le_bytes();
        let sum = Sha256::new().chain_update(format).chain_update(&file[payload + 36..end]).finalize();
        file[payload..payload + 36].copy_from_slice(&[&format[..], &sum].concat());
        let seal = Sha256::digest(&file[sealed..end]);
        file[at + 8..sealed].copy_from_slice(&seal);
    }
    fs::write(path, file).expect("the journal can be written");
}

fn journal(region: &Region) -> PathBuf {
    region.data().join("store/journal.log")
}

#[test]
fn a_cluster_waits_for_its_components_and_says_for_which() {
    let folder = std::env::temp_dir().join(format!("roadstead-e2e-components-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder can be made");
    copy_set(KUBERNETES, &folder);
    let region = Region::with(Options { components: Some(folder.clone()), ..Options::default() });
    region.ask_for_cluster("patient", "", &[]);
    let issues = || region.describe("patient")["health"]["issues"].to_string();
    let complains = |word: &str| {
        let found = within(Duration::from_secs(60), || issues().contains(word).then(issues));
        found.unwrap_or_else(|| panic!("no health issue says '{word}': {}", issues()))
    };
    say(&format!("a missing component: {}", complains(&format!("component {ETCD}"))));
    let status = region.roadstead(&["status"]).text();
    assert!(status.contains("patient") && status.contains("CREATING") && status.contains(ETCD), "{status}");
    let program = folder.join(ETCD).join("etcd");
    fs::create_dir(folder.join(ETCD)).expect("a folder can be made");
    let whole = fs::read(components().join(ETCD).join("etcd")).expect("etcd was built");
    replace(&program, &whole[..whole.len() / 3]);
    say(&format!("a corrupt component: {}", complains("etcd-1: etcd ended (last exit: ")));
    assert_eq!(region.describe("patient")["status"], "CREATING");
    replace(&program, &whole);
    let began = Instant::now();
    region.await_active("patient");
    say(&format!("{:6.1} s  from the last component to ACTIVE", began.elapsed().as_secs_f64()));
    drop(region);
    fs::remove_dir_all(&folder).expect("the folder can be removed");
}

/// Puts a set of components into another folder: linked where that is possible.
fn copy_set(set: &str, folder: &Path) {
    fs::create_dir(folder.join(set)).expect("a folder can be made");
    let programs = fs::read_dir(components().join(set)).expect("the components were built").flatten();
    for program in programs {
        let (from, to) =
            (program.path().canonicalize().expect("it is there"), folder.join(set).join(program.file_name()));
        fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).expect("a program can be copied");
    }
}

/// Puts a program in the place of another, as an installer does.
fn replace(path: &Path, content: &[u8]) {
    let aside = path.with_extension("new");
    fs::write(&aside, content).expect("a program can be written");
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o755)).expect("it may be run");
    fs::rename(&aside, path).expect("it can be put in place");
}

#[test]
fn it_starts_stops_and_says_how_it_is() {
    let region = Region::prepare(Options::default());
    let absent = region.roadstead(&["status"]).complaint();
    assert!(absent.contains("no region runs on") && absent.contains("roadstead up"), "{absent}");
    assert!(region.roadstead(&["env"]).complaint().contains("roadstead up"));
    assert!(region.roadstead(&["down"]).text().contains("No region has run"));
    let began = Instant::now();
    let said = region.roadstead(&["up", "--detach"]).text();
    say(&format!("{:6.1} s  up --detach", began.elapsed().as_secs_f64()));
    region.learn();
    let endpoint = region.client().variable("AWS_ENDPOINT_URL").to_owned();
    for words in [&*endpoint, "roadstead env", "create-cluster", "roadstead down"] {
        assert!(said.contains(words), "{said}");
    }
    secrets_are_roots(&region);
    status_shows_clusters(&region);
    status_watches(&region);
    a_profile_points_aws_at_it(&region, &endpoint);
    doctor_looks_at_everything(&region);
    region.ask_for_cluster("later", "", &[]);
    for _ in 0..2 {
        region.down();
        region.assert_stopped();
    }
    assert!(region.roadstead(&["status"]).complaint().contains("roadstead up"));
    region.roadstead(&["up", "--detach"]).text();
    assert_eq!(region.aws(&["eks", "list-clusters"])["clusters"], json!(["later"]), "at the same address");
    for _ in 0..2 {
        region.roadstead(&["down", "--purge"]).text();
        assert_eq!(region.site().any(), Vec::<String>::new());
    }
}

fn secrets_are_roots(region: &Region) {
    let mode = |path: PathBuf| {
        let found = fs::metadata(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        found.permissions().mode() & 0o777
    };
    assert_eq!(mode(region.data()), 0o700);
    assert_eq!(mode(region.data().join("admin.json")), 0o600);
    assert_eq!(mode(region.data().with_added_extension("root-key")), 0o600);
    assert_eq!(mode(journal(region)), 0o600);
}

fn status_shows_clusters(region: &Region) {
    let status = region.roadstead(&["status"]).text();
    assert!(status.contains("region us-east-1 of account 111122223333") && status.contains("no clusters"), "{status}");
}

fn status_watches(region: &Region) {
    let mut watch = spawn(region.command(&["status", "--watch"]).stdout(Stdio::piped()));
    let out = watch.stdout.take().expect("it is piped");
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        BufReader::new(out).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    let shows = |words: &[&str]| loop {
        let line = lines.recv_timeout(AT_ONCE).unwrap_or_else(|why| panic!("never showed {words:?}: {why}"));
        if words.iter().all(|word| line.contains(word)) {
            break;
        }
    };
    shows(&["no clusters"]);
    region.ask_for_cluster("watched", "", &[]);
    shows(&["watched", "1.36", "CREATING"]);
    region.aws(&["eks", "delete-cluster", "--name", "watched"]);
    shows(&["watched", "DELETING"]);
    shows(&["no clusters"]);
    watch.kill().and_then(|()| watch.wait()).expect("it can be ended");
}

fn a_profile_points_aws_at_it(region: &Region, endpoint: &str) {
    let home = region.client().home().to_owned();
    fs::create_dir_all(home.join(".aws")).expect("a folder can be made");
    fs::write(home.join(".aws/config"), "[profile other]\nregion = eu-west-1\n").expect("a file can be written");
    for _ in 0..2 {
        let mut command = region.command(&["env", "--profile", "mine"]);
        command.env("HOME", &home).env_remove("AWS_CONFIG_FILE").env_remove("AWS_SHARED_CREDENTIALS_FILE");
        run(command, None, AT_ONCE).text();
    }
    let config = fs::read_to_string(home.join(".aws/config")).expect("it is there");
    let expected =
        format!("[profile other]\nregion = eu-west-1\n[profile mine]\nregion = us-east-1\nendpoint_url = {endpoint}\n");
    assert_eq!(config, expected);
    let credentials = home.join(".aws/credentials");
    assert_eq!(fs::metadata(&credentials).expect("it is there").permissions().mode() & 0o777, 0o600);
    let mut command = Command::new("aws");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.args(["--profile", "mine", "sts", "get-caller-identity"]).env("HOME", &home);
    assert_eq!(run(command, None, AT_ONCE * 2).json()["Arn"], "arn:aws:iam::111122223333:user/admin");
}

fn doctor_looks_at_everything(region: &Region) {
    let said = region.roadstead(&["doctor"]);
    assert!(said.ok(), "{said}");
    for check in ["root", "programs", "kernel", "cgroups", "memory", "disk", "inotify", "descriptors", "components"] {
        assert!(said.out.lines().any(|line| line.starts_with(check)), "{check}: {said}");
    }
    let components = said.out.lines().find(|line| line.starts_with("components")).unwrap_or_default().to_owned();
    assert!(components.contains("poor") && components.contains("cargo xtask components"), "{components}");
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    let region = Region::prepare(Options::default());
    let file = region.folder().join("roadstead.toml");
    let cases = [
        ("account-id = '12'", "twelve digits"),
        ("zones = ['us-east-1a', 'us-east-1b']", "at least three"),
        ("datadir = '/srv'", "unknown field"),
        ("region = ", "configuration file"),
    ];
    for (text, words) in cases {
        fs::write(&file, text).expect("a file can be written");
        let complaint = region.roadstead(&["up", "--config", &file.to_string_lossy()]).complaint();
        assert!(complaint.contains(words), "{text}: {complaint}");
    }
    let inside = region.data().join("key");
    let complaint = region.roadstead(&["up", "--root-key", &inside.to_string_lossy()]).complaint();
    assert!(complaint.contains("outside the data directory"), "{complaint}");
    let unknown = region.roadstead(&["upp"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("Usage"), "{unknown}");
    assert!(!region.data().exists());
    let known: Value = json!(region.roadstead(&["--version"]).text().starts_with("roadstead "));
    assert_eq!(known, true);
}
