//! Whether a machine's spec can be started at all.

use crate::disk::is_name;
use roadstead_hostspec::{Machine, Process};
use std::collections::BTreeSet;
use std::path::{Component, Path};

/// Says what is wrong with a machine's spec, for people.
pub fn check(machine: &Machine) -> Result<(), String> {
    names(machine)?;
    paths(machine)?;
    order(&machine.processes)
}

fn names(machine: &Machine) -> Result<(), String> {
    let disks = machine.disks.iter().map(|d| d.disk.as_str());
    let processes = machine.processes.iter().map(|p| p.name.as_str());
    let components = machine.components.iter().map(String::as_str);
    match disks.chain(processes).chain(components).chain([machine.id.as_str()]).find(|name| !is_name(name)) {
        Some(name) => Err(format!("'{name}' is no name: letters, digits, '-', '_' and '.' make one")),
        None => Ok(()),
    }
}

fn paths(machine: &Machine) -> Result<(), String> {
    let disks: Vec<&Path> = machine.disks.iter().map(|d| Path::new(&d.path)).collect();
    let files = machine.files.iter().map(|f| Path::new(&f.path));
    let is_plain = |path: &Path| {
        let mut parts = path.components();
        parts.next() == Some(Component::RootDir)
            && path != Path::new("/")
            && parts.all(|c| matches!(c, Component::Normal(_)))
    };
    if let Some(path) = disks.iter().copied().chain(files.clone()).find(|path| !is_plain(path)) {
        return Err(format!("'{}' is no absolute path without '..'", path.display()));
    }
    let on_a_disk = |path: &Path| disks.iter().any(|disk| path.starts_with(disk));
    if let Some(path) = files.clone().find(|path| on_a_disk(path)) {
        return Err(format!("file '{}' would lie on a disk; files may be secrets and stay in memory", path.display()));
    }
    match disks.iter().find(|disk| disks.iter().filter(|other| disk.starts_with(other)).count() > 1) {
        Some(disk) => Err(format!("disk path '{}' is another disk's, or in it", disk.display())),
        None => Ok(()),
    }
}

/// Every process can start at some time: the names after which it comes exist, and none waits for itself.
fn order(processes: &[Process]) -> Result<(), String> {
    let mut started = BTreeSet::new();
    loop {
        let may = |p: &&Process| !started.contains(&p.name) && p.after.iter().all(|name| started.contains(name));
        let Some(next) = processes.iter().find(may) else { break };
        started.insert(next.name.clone());
    }
    if let Some(never) = processes.iter().find(|p| !started.contains(&p.name)) {
        return Err(format!(
            "process {} waits for itself or for one that is not there: after {:?}",
            never.name, never.after
        ));
    }
    if started.len() < processes.len() {
        return Err("two processes have the same name".to_owned());
    }
    match processes.iter().find(|p| p.argv.first().is_none_or(|program| !program.starts_with('/'))) {
        Some(p) => Err(format!("process {} has no absolute path of a program in argv", p.name)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use roadstead_hostspec::{Content, File, MachineDisk};

    fn process(name: &str, after: &[&str]) -> Process {
        Process {
            name: name.into(),
            argv: vec!["/bin/true".into()],
            env: Default::default(),
            after: after.iter().map(|s| (*s).to_owned()).collect(),
            ready: None,
            live: None,
            pre_stop: vec![],
            grace: None,
            once: false,
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
            disks: vec![MachineDisk { disk: "vol-1".into(), path: "/var/lib/etcd".into() }],
            components: vec!["etcd-3.6.16".into()],
            files: vec![File { path: "/etc/x".into(), mode: 0o600, content: Content::Text("x".into()) }],
            processes: vec![process("b", &["a"]), process("a", &[])],
        }
    }

    #[test]
    fn what_cannot_start_is_said() {
        assert_eq!(check(&machine()), Ok(()));
        let wrong = |change: fn(&mut Machine)| {
            let mut m = machine();
            change(&mut m);
            check(&m).unwrap_err()
        };
        assert!(wrong(|m| m.id = "../x".into()).contains("../x"));
        assert!(wrong(|m| m.disks[0].disk = ".hidden".into()).contains(".hidden"));
        assert!(wrong(|m| m.components[0] = "a/b".into()).contains("a/b"));
        assert!(wrong(|m| m.files[0].path = "/etc/../x".into()).contains("/etc/../x"));
        assert!(wrong(|m| m.files[0].path = "etc/x".into()).contains("etc/x"));
        assert!(wrong(|m| m.files[0].path = "/var/lib/etcd/x".into()).contains("on a disk"));
        assert!(
            wrong(|m| m.disks.push(MachineDisk { disk: "v".into(), path: "/var/lib/etcd/y".into() }))
                .contains("disk path")
        );
        assert!(wrong(|m| m.disks[0].path = "/".into()).contains("'/'"));
        assert!(wrong(|m| m.processes[1].after = vec!["b".into()]).contains("waits for"));
        assert!(wrong(|m| m.processes[1].after = vec!["none".into()]).contains("waits for"));
        assert!(wrong(|m| m.processes.push(process("a", &[]))).contains("same name"));
        assert!(wrong(|m| m.processes[0].argv.clear()).contains("argv"));
    }
}
