use super::*;
use recipe::File;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::Command;

/// A host with all components, each of them a program that runs: this test's own.
struct Host {
    folder: tempfile::TempDir,
    config: Config,
}

const KUBERNETES: &str = "kubernetes-1.36.3";

impl Host {
    fn new() -> Host {
        let folder = tempfile::tempdir().unwrap();
        let own = std::env::current_exe().unwrap();
        let pins = Pins::committed().unwrap();
        let set = |family: &str| format!("{family}-{}", pins.version(family).unwrap());
        let components = folder.path().join("components");
        for (set, program) in [
            (KUBERNETES.to_owned(), "kube-proxy"),
            (set("coredns"), "coredns"),
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
            root_key: folder.path().join("key"),
            program: own,
        };
        Host { folder, config }
    }

    fn folder(&self) -> PathBuf {
        folder(&self.config, KUBERNETES).unwrap()
    }
}

fn index(folder: &Path) -> Vec<NodeImage> {
    serde_json::from_slice(&fs::read(folder.join(NodeImage::INDEX)).unwrap()).unwrap()
}

/// All files of a tar archive by name.
fn unpack(bytes: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
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
fn read(path: &Path) -> (String, Value, BTreeMap<String, (u32, Vec<u8>)>) {
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
    let folder = host.folder();
    let images = index(&folder);
    let names: Vec<_> = images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(names, ["eks/pause", "amazon-k8s-cni", "eks/kube-proxy", "eks/coredns", "eks/agnhost"]);
    for image in &images {
        let (digest, config, files) = read(&folder.join(&image.archive));
        assert_eq!(digest, image.digest);
        let entrypoint = config["config"]["Entrypoint"][0].as_str().unwrap();
        let (mode, program) = &files[entrypoint.trim_start_matches('/')];
        assert_eq!((mode & 0o777, &program[..4]), (0o755, &b"\x7fELF"[..]), "{entrypoint}");
        assert_eq!(files["tmp"].0 & 0o7777, 0o1777);
    }
    let (_, _, files) = read(&folder.join("kube-proxy-1.36.3.tar"));
    assert!(files.contains_key("usr/sbin/nft"), "kube-proxy runs it");
    assert!(files.keys().any(|name| name.contains("libnftables.so")), "{:?}", files.keys());
}

#[test]
fn a_program_runs_from_its_image_with_nothing_of_the_hosts() {
    let host = Host::new();
    let folder = host.folder();
    let root = host.folder.path().join("root");
    let archive = fs::read(folder.join(format!("amazon-k8s-cni-{}.tar", env!("CARGO_PKG_VERSION")))).unwrap();
    let layer = unpack(&archive).into_iter().max_by_key(|(_, (_, bytes))| bytes.len()).unwrap().1.1;
    tar::Archive::new(&*layer).unpack(&root).unwrap();
    let output = Command::new("chroot").arg(&root).args(["/roadstead", "--list"]).output().unwrap();
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    assert!(String::from_utf8_lossy(&output.stdout).contains("images::tests"), "{output:?}");
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let (one, two) = (Host::new(), Host::new());
    let digests = |host: &Host| index(&host.folder()).into_iter().map(|image| image.digest).collect::<Vec<_>>();
    assert_eq!(digests(&one), digests(&two));
}

#[test]
fn images_are_made_once_and_again_when_an_input_changed() {
    let host = Host::new();
    let (first, again) = (host.folder(), host.folder());
    assert_eq!(first, again);
    let archives = || entries(&host.config.state_dir.join("images/archives")).unwrap().len();
    assert_eq!(archives(), 5);
    let proxy = host.config.components_dir.join(KUBERNETES).join("kube-proxy");
    let new = proxy.with_extension("new");
    fs::copy("/bin/false", &new).unwrap();
    fs::rename(&new, &proxy).unwrap();
    let second = host.folder();
    assert!(second != first && !first.exists() && second.exists());
    let changed = index(&second).into_iter().filter(|image| image.name == "eks/kube-proxy");
    assert_eq!(changed.count(), 1);
    assert_eq!(archives(), 5, "the older one is gone");
}

#[test]
fn what_an_interrupted_agent_left_is_no_obstacle() {
    let host = Host::new();
    let folder = host.folder();
    fs::rename(&folder, folder.with_added_extension("new")).unwrap();
    let archive = entries(&host.config.state_dir.join("images/archives")).unwrap().remove(0);
    fs::rename(&archive, archive.with_added_extension("new")).unwrap();
    assert_eq!(host.folder(), folder);
    assert_eq!(index(&folder).len(), 5);
}

#[tokio::test]
async fn a_component_that_is_not_built_yet_is_named() {
    let host = Host::new();
    fs::remove_file(host.config.components_dir.join(KUBERNETES).join("kube-proxy")).unwrap();
    let images = Images::new(Arc::new(host.config.clone()));
    let sets = ["containerd-2.3.7".to_owned(), KUBERNETES.to_owned()];
    let why = images.folder(&sets).await.unwrap_err().to_string();
    assert_eq!(why, "component kubernetes-1.36.3/kube-proxy");
    let none = images.folder(&sets[..1]).await.unwrap_err().to_string();
    assert!(none.contains("no Kubernetes"), "{none}");
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
    let sources = recipe::Sources { components: &host.config.components_dir, program: &host.config.program };
    let recipes = recipe::all(&Pins::committed().unwrap(), KUBERNETES, &sources).unwrap();
    let proxy = recipes.iter().find(|recipe| recipe.name() == "kube-proxy-1.36.3").unwrap();
    assert_eq!(proxy.files[Path::new("/usr/sbin/nft")], File::Program("/usr/sbin/nft".into()));
    assert_eq!(proxy.tag(), "v1.36.3");
}
