use super::*;
use recipe::File;
use roadstead_hostspec::Content;
use serde_json::Value;
use std::io::Read as _;

/// A host with all components, each of them a program that runs: `true`.
struct Host {
    folder: tempfile::TempDir,
    config: Config,
}

const KUBERNETES: &str = "kubernetes-1.36.3";

impl Host {
    fn new() -> Host {
        let folder = tempfile::tempdir().unwrap();
        let pins = Pins::committed().unwrap();
        let set = |family: &str| format!("{family}-{}", pins.version(family).unwrap());
        let components = folder.path().join("components");
        for (set, program) in [
            (KUBERNETES.to_owned(), "kube-proxy"),
            (set("containerd"), "containerd"),
            (set("containerd"), "ctr"),
            (set("coredns"), "coredns"),
            (set("metrics-server"), "metrics-server"),
            (set("images"), "pause"),
            (set("images"), "agnhost"),
        ] {
            fs::create_dir_all(components.join(&set)).unwrap();
            fs::copy("/bin/true", components.join(set).join(program)).unwrap();
        }
        let config = Config {
            slot: 7,
            state_dir: folder.path().join("state"),
            run_dir: folder.path().join("run"),
            components_dir: components,
            outside: None,
            root_key: folder.path().join("key"),
            region: "us-west-2".into(),
            region_address: folder.path().join("address"),
            program: std::env::current_exe().unwrap(),
        };
        Host { folder, config }
    }

    fn ami(&self) -> Ami {
        let containerd = format!("containerd-{}", Pins::committed().unwrap().version("containerd").unwrap());
        Ami { kubernetes: KUBERNETES.into(), containerd, runc: "runc-1".into(), region: "us-west-2".into() }
    }

    fn plan(&self) -> Arc<Plan> {
        Plan::new(&self.config, self.ami()).unwrap()
    }

    fn archives(&self) -> Vec<ImageArchive> {
        let folder = self.folder.path().join("archives");
        fs::create_dir_all(&folder).unwrap();
        self.plan().archives(&folder).unwrap().0
    }
}

fn machine() -> Machine {
    Machine {
        id: "i-1".into(),
        hostname: "m".into(),
        profile: Default::default(),
        cpu_millis: 0,
        memory_bytes: 0,
        ports: vec![],
        disks: vec![],
        components: vec![],
        files: vec![],
        processes: vec![],
    }
}

/// Modes and contents by name.
type Files = BTreeMap<String, (u32, Vec<u8>)>;

/// All files of a tar archive.
fn unpack(bytes: &[u8]) -> Files {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
        let (mode, name) = (header.mode().unwrap(), entry.path().unwrap().display().to_string());
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (name, (mode, bytes))
    });
    entries.collect()
}

/// What an archive holds: its manifest's digest, its configuration, the files of its layer.
fn read(path: &Path) -> (String, Value, Files) {
    let files = unpack(&fs::read(path).unwrap());
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        let (_, bytes) = &files[&format!("blobs/{}", digest.replace(':', "/"))];
        let own = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        assert_eq!(digest, format!("sha256:{}", recipe::hex(own.as_ref())));
        assert_eq!(descriptor["size"], bytes.len());
        bytes.clone()
    };
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    assert_eq!(json(&files["oci-layout"].1)["imageLayoutVersion"], "1.0.0");
    let index = json(&files["index.json"].1);
    let manifest = json(&blob(&index["manifests"][0]));
    let config = json(&blob(&manifest["config"]));
    assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"], "the layer is not compressed");
    let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    (digest, config, unpack(&blob(&manifest["layers"][0])))
}

#[test]
fn every_system_image_is_a_whole_oci_layout() {
    let host = Host::new();
    let images = host.archives();
    let names: Vec<_> = images.iter().map(|image| image.repository.as_str()).collect();
    assert_eq!(names, ["eks/pause", "amazon-k8s-cni", "eks/kube-proxy", "eks/coredns", "eks/agnhost"]);
    for image in &images {
        let (_, config, files) = read(&image.path);
        let entrypoint = config["config"]["Entrypoint"][0].as_str().unwrap();
        let (mode, program) = &files[entrypoint.trim_start_matches('/')];
        assert_eq!((mode & 0o777, &program[..4]), (0o755, &b"\x7fELF"[..]), "{entrypoint}");
        assert_eq!(files["tmp"].0 & 0o7777, 0o1777);
    }
    let (_, _, files) = read(&images[2].path);
    assert!(files.contains_key("usr/sbin/nft"), "kube-proxy runs it");
    assert!(files.keys().any(|name| name.contains("libnftables.so")), "{:?}", files.keys());
    let (_, _, files) = read(&images[4].path);
    let has = |name: &str| files.keys().any(|path| path.ends_with(name));
    assert!(has("bin/sh") && has("bin/tar"), "people run them: {:?}", files.keys());
}

/// Needs root, for chroot.
#[test]
fn a_program_runs_from_its_image_with_nothing_of_the_hosts() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let host = Host::new();
    let root = host.folder.path().join("root");
    let image = fs::read(&host.archives()[1].path).unwrap();
    let (_, layer) = unpack(&image).into_values().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    tar::Archive::new(&*layer).unpack(&root).unwrap();
    let output = Command::new("chroot").arg(&root).args(["/roadstead", "--list"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("images::tests"), "{output:?}");
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let (one, two) = (Host::new(), Host::new());
    let digests = |host: &Host| host.archives().iter().map(|image| read(&image.path).0).collect::<Vec<_>>();
    assert_eq!(digests(&one), digests(&two));
}

#[test]
fn a_folder_is_named_by_all_that_is_in_it() {
    let host = Host::new();
    let first = host.plan().folder.clone();
    assert_eq!(host.plan().folder, first);
    let elsewhere = Plan::new(&host.config, Ami { region: "eu-west-1".into(), ..host.ami() }).unwrap();
    assert_ne!(elsewhere.folder, first);
    let proxy = host.config.components_dir.join(KUBERNETES).join("kube-proxy");
    let new = proxy.with_extension("new");
    fs::copy("/bin/false", &new).unwrap();
    fs::rename(&new, &proxy).unwrap();
    assert_ne!(host.plan().folder, first);
}

#[test]
fn a_folder_that_was_replaced_is_removed() {
    let host = Host::new();
    let plan = host.plan();
    let beside = |name: &str| plan.folder.with_file_name(name);
    for name in ["kubernetes-1.36.3-0123", "kubernetes-1.36.3-0123.77.new", "kubernetes-1.35.4-0123"] {
        fs::create_dir_all(beside(name).join("x")).unwrap();
    }
    fs::create_dir_all(&plan.folder).unwrap();
    plan.tidy().unwrap();
    let left: Vec<_> = entries(plan.folder.parent().unwrap()).unwrap();
    assert!(left.contains(&plan.folder) && left.contains(&beside("kubernetes-1.35.4-0123")), "{left:?}");
    assert_eq!(left.len(), 2, "{left:?}");
}

/// Needs root, for a mount.
#[test]
fn a_folder_that_is_in_use_stays() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let host = Host::new();
    let plan = host.plan();
    let (old, elsewhere) = (plan.folder.with_file_name("kubernetes-1.36.3-0123"), host.folder.path().join("x"));
    for folder in [&plan.folder, &old, &elsewhere] {
        fs::create_dir_all(folder).unwrap();
    }
    let mut machine = Command::new("unshare");
    machine
        .args(["--mount", "sh", "-c", "mount --bind \"$0\" \"$1\" && echo mounted && read -r _"])
        .args([&old, &elsewhere]);
    let mut machine = machine.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    machine.stdout.as_mut().unwrap().read_exact(&mut [0; 8]).unwrap();
    plan.tidy().unwrap();
    assert!(old.exists());
    drop(machine.stdin.take());
    machine.wait().unwrap();
    plan.tidy().unwrap();
    assert!(!old.exists());
}

#[tokio::test]
async fn what_is_missing_is_named_and_what_failed_is_told_once() {
    let mut host = Host::new();
    // A program that makes no snapshot.
    host.config.program = "/bin/false".into();
    let ami = r#"{"kubernetes":"kubernetes-1.36.3","containerd":"CONTAINERD","runc":"runc-1","region":"us-west-2"}"#;
    let ami = ami.replace("CONTAINERD", &host.ami().containerd);
    let mut machine = machine();
    let images = Images::new(Arc::new(host.config.clone()));
    assert_eq!(images.folder(&machine).await.unwrap(), None, "it is no node");
    let (path, content) = ("/etc/roadstead/ami.json".to_owned(), Content::Text(ami));
    machine.files.push(roadstead_hostspec::File { path, mode: 0o644, content });
    assert!(matches!(images.folder(&machine).await, Err(NotYet::Making)));
    let why = loop {
        match images.folder(&machine).await {
            Err(NotYet::Making) => tokio::task::yield_now().await,
            other => break other.unwrap_err().to_string(),
        }
    };
    assert!(why.starts_with("making the images of nodes: "), "{why}");
    assert_eq!(entries(&host.config.state_dir.join("images/nodes")).unwrap().len(), 0, "nothing half made is left");
    let proxy = host.config.components_dir.join(KUBERNETES).join("kube-proxy");
    fs::remove_file(proxy).unwrap();
    let why = images.folder(&machine).await.unwrap_err().to_string();
    assert_eq!(why, "component kubernetes-1.36.3/kube-proxy");
}

#[test]
fn nodes_do_not_wait_for_an_image_that_they_can_do_without() {
    let host = Host::new();
    let set = format!("metrics-server-{}", Pins::committed().unwrap().version("metrics-server").unwrap());
    let (program, away) = (host.config.components_dir.join(set), host.folder.path().join("away"));
    fs::rename(&program, &away).unwrap();
    let before = host.plan();
    let shown = late_folder(&host.config);
    fs::create_dir_all(&shown).unwrap();
    let missing = late::write_all(&host.config).unwrap().map(|why| why.to_string());
    assert!(missing.is_some_and(|why| why.ends_with("/metrics-server")), "it is told what is waited for");
    assert_eq!(entries(&shown).unwrap(), Vec::<PathBuf>::new());
    fs::rename(&away, &program).unwrap();
    for _ in 0..2 {
        assert!(late::write_all(&host.config).unwrap().is_none());
        assert_eq!(entries(&shown).unwrap().len(), 2, "an archive and what says so");
    }
    assert_eq!(host.plan().folder, before.folder, "what nodes begin with is the same");
    let notice = entries(&shown).unwrap().into_iter().find(|path| path.extension().unwrap() == "json");
    let about: ImageArchive = serde_json::from_slice(&fs::read(notice.unwrap()).unwrap()).unwrap();
    assert_eq!((about.repository.as_str(), about.tag.as_str()), ("eks/metrics-server", "v0.9.0"));
    let (_, config, _) = read(&shown.join(about.path.file_name().unwrap()));
    assert_eq!(config["config"]["Entrypoint"][0], "/metrics-server");
    let new = program.join("new");
    fs::copy("/bin/false", &new).unwrap();
    fs::rename(&new, program.join("metrics-server")).unwrap();
    assert!(late::write_all(&host.config).unwrap().is_none());
    assert_eq!(entries(&shown).unwrap().len(), 2, "another program's image takes its place");
}

#[test]
fn libraries_are_those_that_the_loader_finds() {
    let libraries = elf::libraries(Path::new("/bin/true")).unwrap();
    assert!(libraries.iter().any(|path| path.ends_with("libc.so.6")), "{libraries:?}");
    assert!(libraries.iter().any(|path| path.to_string_lossy().contains("/ld-linux")), "{libraries:?}");
    assert!(elf::libraries(Path::new("/etc/passwd")).is_err());
}

#[test]
fn a_recipe_says_what_of_the_host_is_in_it() {
    let host = Host::new();
    let plan = host.plan();
    let proxy = plan.recipes.iter().find(|recipe| recipe.name() == "kube-proxy-1.36.3").unwrap();
    assert_eq!(proxy.files[Path::new("/usr/sbin/nft")], File::Program("/usr/sbin/nft".into()));
    assert_eq!(proxy.tag(), "v1.36.3");
}
