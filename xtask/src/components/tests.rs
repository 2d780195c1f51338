use super::build::Recipe;
use super::cache::{Cache, Entry, State};
use super::manifest::{Item, Manifest, Selection, Stage};
use super::release::Mirror;
use super::{folder, go, pin};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;

fn committed() -> Manifest {
    Manifest::parse(&fs::read_to_string(folder().join("components.toml")).unwrap()).unwrap()
}

fn names(manifest: &Manifest, selection: &Selection<'_>) -> Vec<String> {
    let name = |item: Item<'_>| format!("{}/{}", item.set.name, item.program.name);
    manifest.select(selection).unwrap().into_iter().map(name).collect()
}

#[test]
fn the_manifest_and_every_go_mod_agree() {
    let manifest = committed();
    for set in &manifest.sets {
        let go_mod = fs::read_to_string(folder().join(&set.name).join("go.mod")).unwrap();
        let has = |line: &str| go_mod.lines().any(|l| l.trim().trim_end_matches(" // indirect") == line);
        for module in &manifest.family(set).modules {
            assert!(has(&format!("{module} v{}", set.version)) || has(&format!("require {module} v{}", set.version)));
        }
        for program in manifest.family(set).programs.iter().filter(|program| program.c.is_none()) {
            assert!(has(&program.package) || has(&format!("tool {}", program.package)), "{}", program.package);
        }
    }
}

#[test]
fn every_kubernetes_module_is_replaced_by_the_twin_of_its_version() {
    let manifest = committed();
    for set in manifest.sets.iter().filter(|set| manifest.family(set).twins) {
        let go_mod = fs::read_to_string(folder().join(&set.name).join("go.mod")).unwrap();
        let twins: Vec<_> = go_mod.lines().filter_map(|line| line.split_once(" => ")).collect();
        assert!(twins.len() > 25, "{}: {} replacements", set.name, twins.len());
        let version = format!("v0.{}", set.version.split_once('.').unwrap().1);
        assert!(twins.iter().all(|(module, by)| *by == format!("{} {version}", module.trim())), "{twins:?}");
    }
}

#[test]
fn one_set_of_each_family_that_a_cluster_needs_is_the_default() {
    let manifest = committed();
    for family in manifest.families.keys() {
        let items = manifest.items();
        let programs = items.iter().filter(|item| item.set.family == *family);
        let needed = programs.into_iter().any(|item| item.program.stage != Stage::Operations);
        let defaults = manifest.sets.iter().filter(|s| s.family == *family && s.default).count();
        assert_eq!(defaults, usize::from(needed), "{family}");
    }
}

#[test]
fn a_first_cluster_gets_what_it_needs_in_the_order_in_which_it_needs_it() {
    let expected = ["etcd", "etcdctl", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"];
    let programs: Vec<_> =
        names(&committed(), &Selection::default()).iter().map(|n| n.split_once('/').unwrap().1.to_owned()).collect();
    assert_eq!(programs, expected);
}

#[test]
fn its_nodes_add_all_that_runs_on_them() {
    let selection = Selection { last: Stage::Node, ..Selection::default() };
    let names = names(&committed(), &selection);
    let nodes = names.iter().skip_while(|name| !name.ends_with("/kubelet"));
    let programs: Vec<_> = nodes.map(|name| name.split_once('/').unwrap().1).collect();
    let containerd = ["containerd", "containerd-shim-runc-v2", "ctr"];
    assert_eq!(
        programs,
        [&["kubelet", "kube-proxy"][..], &containerd, &["runc", "coredns", "pause", "agnhost"]].concat()
    );
    assert_eq!(names.len() - programs.len(), 6, "{names:?}");
}

#[test]
fn what_a_cluster_may_do_without_comes_last() {
    let all = names(&committed(), &Selection { last: Stage::AddOn, ..Selection::default() });
    let nodes = names(&committed(), &Selection { last: Stage::Node, ..Selection::default() });
    let (first, rest) = all.split_at(nodes.len());
    assert_eq!(first, nodes);
    assert_eq!(rest.iter().map(|name| name.split_once('/').unwrap().1).collect::<Vec<_>>(), ["metrics-server"]);
}

#[test]
fn what_is_c_is_no_tool_of_go() {
    let manifest = committed();
    let set = manifest.set("images").unwrap();
    let go_mod = pin::go_mod(set, manifest.family(set), UPSTREAM).unwrap();
    assert!(go_mod.contains("tool (\n\tk8s.io/kubernetes/test/images/agnhost\n)"), "{go_mod}");
}

#[test]
fn pause_is_of_the_version_that_nodes_ask_for() {
    let image = fs::read_to_string(folder().parent().unwrap().join("crates/hostspec/src/image.rs")).unwrap();
    let manifest = committed();
    let items = manifest.items();
    let pause = items.iter().find(|item| item.program.name == "pause").unwrap();
    let flag = &pause.program.c.as_ref().unwrap().flags[0];
    let version = flag.strip_prefix("-DVERSION=v").unwrap();
    assert!(image.contains(&format!("PAUSE_VERSION: &str = \"{version}\";")), "{flag}");
}

#[test]
fn everything_ends_with_the_minors_that_nobody_needs_yet() {
    let manifest = committed();
    let all = manifest.select(&Selection { all: true, ..Selection::default() }).unwrap();
    let first_other = all.iter().position(|item| !item.set.default).unwrap();
    assert!(all[first_other..].iter().all(|item| !item.set.default));
    assert!(all[..first_other].is_sorted_by_key(|item| item.program.stage));
    let others = all[first_other..].iter().map(|item| &item.set.name).collect::<Vec<_>>();
    let mut sets = others.clone();
    sets.dedup();
    let distinct: std::collections::BTreeSet<_> = sets.iter().collect();
    assert_eq!(distinct.len(), sets.len(), "set by set: {others:?}");
    assert_eq!(all[first_other].program.stage, Stage::ControlPlane);
}

#[test]
fn a_selection_by_program_looks_in_the_default_sets() {
    let selection = Selection { only: Some("kubelet"), ..Selection::default() };
    assert_eq!(names(&committed(), &selection), ["kubernetes-1.36/kubelet"]);
}

#[test]
fn unknown_names_are_refused_with_what_there_is() {
    let manifest = committed();
    let sets = ["kubernetes-1.12".to_owned()];
    let error = manifest.select(&Selection { sets: &sets, ..Selection::default() }).unwrap_err();
    assert!(error.to_string().contains("there are etcd, kubernetes-1.36"), "{error}");
    manifest.select(&Selection { only: Some("emacs"), ..Selection::default() }).unwrap_err();
}

#[test]
fn the_linker_is_told_the_true_version() {
    let manifest = committed();
    let items = manifest.items();
    let flags = items.iter().find(|i| i.set.name == "kubernetes-1.36").unwrap().ldflags();
    assert!(flags.starts_with("-s -w -X k8s.io/component-base/version.gitVersion=v1.36."), "{flags}");
    assert!(flags.contains("version.gitMinor=36 ") && !flags.contains('{'), "{flags}");
}

const UPSTREAM: &str = "module k8s.io/kubernetes\n\ngo 1.26.0\n\ngodebug default=go1.26\n\nrequire (\n\tk8s.io/api v0.0.0\n)\n\n\
                        replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\texample.com/a => example.com/b v1.2.3\n)\n";

#[test]
fn a_pinned_go_mod_takes_over_what_upstream_decides() {
    let manifest = committed();
    let set = manifest.set("kubernetes-1.36").unwrap();
    let go_mod = pin::go_mod(set, manifest.family(set), UPSTREAM).unwrap();
    let twin = format!("\tk8s.io/api => k8s.io/api v0.{}\n", set.version.split_once('.').unwrap().1);
    assert!(go_mod.starts_with("module roadstead/components/kubernetes-1.36\n\ngo 1.26.0\n\ngodebug default=go1.26\n"));
    assert!(go_mod.contains(&twin) && go_mod.contains("\texample.com/a => example.com/b v1.2.3\n"), "{go_mod}");
    assert!(go_mod.contains("tool (\n\tk8s.io/kubernetes/cmd/kube-apiserver\n"), "{go_mod}");
}

#[test]
fn pinning_changes_two_lines_of_the_manifest() {
    let before = fs::read_to_string(folder().join("components.toml")).unwrap();
    let after = pin::rewritten(&before, "runc", "9.8.7", "2030-01-01T00:00:00Z").unwrap();
    let changed: Vec<_> = before.lines().zip(after.lines()).filter(|(b, a)| b != a).map(|(_, a)| a).collect();
    assert_eq!(changed, ["version = \"9.8.7\"", "date = \"2030-01-01T00:00:00Z\""]);
    assert_eq!(Manifest::parse(&after).unwrap().set("runc").unwrap().view(), "runc-9.8.7");
}

/// A mirror that has one program, whose content is its name.
fn mirrored(manifest: &Manifest, name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let version = &manifest.set("kubernetes-1.36").unwrap().version;
    let program = root.path().join(format!("v{version}/bin/linux/{arch}/{name}"));
    fs::create_dir_all(program.parent().unwrap()).unwrap();
    fs::write(&program, name).unwrap();
    fs::write(program.with_extension("sha256"), format!("{}\n", super::cache::checksum(name.as_bytes()).unwrap()))
        .unwrap();
    (root, program)
}

/// What fetching a program of Kubernetes to `to` comes to.
fn fetched(manifest: &Manifest, mirror: &str, name: &str, to: &Path) -> anyhow::Result<String> {
    let item = *manifest.items().iter().find(|i| i.set.name == "kubernetes-1.36" && i.program.name == name).unwrap();
    let recipe = Recipe::new(&folder(), Some(&Mirror::parse(mirror)?), item)?;
    assert!(recipe.toolchain().is_none(), "nothing is built");
    recipe.make(to)?;
    Ok(fs::read_to_string(to)? + &recipe.key()?)
}

#[test]
fn a_mirror_s_programs_are_taken_if_they_are_what_their_checksums_say() {
    let manifest = committed();
    let (root, program) = mirrored(&manifest, "kubelet");
    let (mirror, to) = (root.path().to_str().unwrap(), root.path().join("fetched"));
    let before = fetched(&manifest, mirror, "kubelet", &to).unwrap();
    assert!(before.starts_with("kubelet"));

    let missing = fetched(&manifest, mirror, "kubectl", &to).unwrap_err();
    assert!(missing.to_string().ends_with("/kubectl.sha256"), "{missing:#}");
    fs::write(&program, "something else").unwrap();
    let damaged = fetched(&manifest, mirror, "kubelet", &to).unwrap_err();
    assert!(damaged.to_string().contains("the mirror is damaged"), "{damaged:#}");
    let checksum = super::cache::checksum(&b"something else"[..]).unwrap();
    fs::write(program.with_extension("sha256"), format!("{checksum}  kubelet\n")).unwrap();
    let after = fetched(&manifest, mirror, "kubelet", &to).unwrap();
    assert!(after.starts_with("something else") && after != before.replace("kubelet", "something else"), "another key");
    fs::write(program.with_extension("sha256"), "<html>").unwrap();
    let strange = fetched(&manifest, mirror, "kubelet", &to).unwrap_err();
    assert!(strange.to_string().contains("holds no SHA-256"), "{strange:#}");
}

#[test]
fn a_mirror_may_be_a_site() {
    let manifest = committed();
    let (root, _) = mirrored(&manifest, "kubelet");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let content = root.path().to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let line = lines.next().unwrap_or_default();
            lines.take_while(|line| !line.is_empty()).for_each(drop);
            let path = line.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let answer = match fs::read(content.join(path)) {
                Ok(body) => [b"HTTP/1.0 200 OK\r\n\r\n".to_vec(), body].concat(),
                Err(_) => b"HTTP/1.0 404 Not Found\r\n\r\n".to_vec(),
            };
            stream.write_all(&answer).unwrap();
        }
    });
    assert!(fetched(&manifest, &url, "kubelet", &root.path().join("fetched")).unwrap().starts_with("kubelet"));
    let missing = fetched(&manifest, &url, "kubectl", &root.path().join("fetched")).unwrap_err();
    assert!(missing.to_string().contains("404"), "{missing:#}");
    let strange = Mirror::parse("ftp://somewhere").unwrap_err();
    assert!(strange.to_string().contains("a folder or an http(s) URL"), "{strange:#}");
}

#[test]
fn what_has_no_release_of_that_layout_is_built() {
    let manifest = committed();
    let (root, _) = mirrored(&manifest, "kubelet");
    let etcd = *manifest.items().iter().find(|item| item.program.name == "etcd").unwrap();
    assert_eq!(Mirror::parse(root.path().to_str().unwrap()).unwrap().release(&etcd).unwrap(), None);
}

#[test]
fn a_failure_says_what_to_do() {
    let offline = go::explain("go: downloading a v1\ngo: a@v1: dial tcp: lookup host: no such host");
    assert!(!offline.contains("downloading") && offline.contains("GOPROXY"), "{offline}");
    assert!(go::explain("write /tmp/x: no space left on device").contains("6 GB"));
}

fn filled(cache: &Cache, content: &str) -> Entry {
    let entry = cache.entry("0123", "prog");
    entry.fill(|path| Ok(fs::write(path, content)?)).unwrap();
    entry
}

#[test]
fn a_program_appears_whole_or_not_at_all() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::at(root.path()).unwrap();
    let entry = cache.entry("0123", "prog");
    assert_eq!(entry.state().unwrap(), State::Missing);
    let half = |path: &std::path::Path| {
        fs::write(path, "half")?;
        anyhow::bail!("the compiler failed")
    };
    entry.fill(half).unwrap_err();
    assert_eq!(entry.state().unwrap(), State::Missing);
    let _lock = cache.lock(|| panic!("nobody holds it")).unwrap();
    assert_eq!(fs::read_dir(root.path().join("store")).unwrap().count(), 0, "what was left behind is removed");
    assert_eq!(filled(&cache, "whole").state().unwrap(), State::Ready);
}

#[test]
fn a_damaged_program_is_noticed_and_replaced_in_the_view_too() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::at(root.path()).unwrap();
    cache.show(&filled(&cache, "good"), "set-1").unwrap();
    fs::remove_file(root.path().join("store/0123/prog")).unwrap();
    fs::write(root.path().join("store/0123/prog"), "goo").unwrap();
    let entry = cache.entry("0123", "prog");
    assert!(matches!(entry.state().unwrap(), State::Damaged(_)));

    let entry = filled(&cache, "better");
    assert!(!cache.shows(&entry, "set-1").unwrap());
    cache.show(&entry, "set-1").unwrap();
    cache.show(&entry, "set-1").unwrap();
    let view = root.path().join("set-1");
    assert_eq!(fs::read_to_string(view.join("prog")).unwrap(), "better");
    assert_eq!(fs::read_dir(view).unwrap().count(), 1, "no other name is left in the view");
}

#[test]
fn the_second_builder_waits_for_the_first() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::at(root.path()).unwrap();
    let (told, waits) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let lock = cache.lock(|| panic!("nobody holds it")).unwrap();
        let second = scope.spawn(|| cache.lock(|| told.send(()).unwrap()).map(drop));
        waits.recv().unwrap();
        drop(lock);
        second.join().unwrap().unwrap();
    });
}
