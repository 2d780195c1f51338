//! Clusters go without a trace, whenever they are told to.

use e2e::{Region, say, steps, until};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

/// What a region has on the machine besides its own parts.
fn host_state(region: &Region) -> Vec<String> {
    let own = ["process ", "/run/roadstead/"];
    let disks = fs::read_dir(region.data().join("host/disks")).into_iter().flatten().flatten();
    let disks = disks.map(|entry| entry.path().display().to_string());
    let machines = fs::read_dir(region.data().join("host/machines")).into_iter().flatten().flatten();
    let machines = machines.map(|entry| entry.path().display().to_string());
    let parts = region.site().running().into_iter().filter(|line| !own.iter().any(|start| line.starts_with(start)));
    let parts = parts.filter(|line| !line.ends_with(&format!("/roadstead/{}", region.mark())));
    let processes = region.processes().into_iter().map(|p| format!("{} in {}", p.program, p.machine));
    parts.chain(disks).chain(machines).chain(processes).collect()
}

#[test]
fn a_deleted_cluster_leaves_nothing() {
    let region = Region::for_clusters();
    let nothing = host_state(&region);
    let account = region.account();
    let first = region.create_cluster("once");
    first.kubectl(&["create", "configmap", "memory", "--from-literal=text=of-the-first"]).text();
    assert!(host_state(&region).len() > nothing.len() + 10, "the search finds what is there");
    delete(&region, "once");
    // The network of its user's VPC is not the cluster's: it goes after what was in it.
    let is_clean = || (host_state(&region) == nothing).then_some(());
    until("nothing is left of the first", Duration::from_secs(5), is_clean);
    assert_eq!(region.account(), account);
    assert_eq!(region.aws(&["eks", "list-clusters"])["clusters"], json!([]));
    steps!((&region):
        the_same_name_is_another_cluster,
        a_cluster_is_deleted_while_it_is_made,
        a_deletion_outlives_the_death_of_everything,
    );
    until("nothing is left", Duration::from_secs(5), is_clean);
    assert_eq!(region.account(), account);
}

fn delete(region: &Region, name: &str) {
    let began = Instant::now();
    let answer = region.aws(&["eks", "delete-cluster", "--name", name]);
    assert_eq!(answer["cluster"]["status"], "DELETING");
    region.aws(&["eks", "wait", "cluster-deleted", "--name", name]);
    say(&format!("{:6.1} s  DeleteCluster to gone, {name}", began.elapsed().as_secs_f64()));
}

fn the_same_name_is_another_cluster(region: &Region) {
    let cluster = region.create_cluster("once");
    let said = cluster.kubectl(&["get", "configmap", "memory"]).complaint();
    assert!(said.contains("NotFound"), "{said}");
    let token = cluster.token();
    region.aws(&["eks", "delete-cluster", "--name", "once"]);
    let again = region.client().run("aws", &["eks", "delete-cluster", "--name", "once"]);
    assert!(!again.ok(), "{again}");
    region.aws(&["eks", "wait", "cluster-deleted", "--name", "once"]);
    assert!(!cluster.kubectl_with(&token, &["get", "--raw=/api"]).ok());
}

fn a_cluster_is_deleted_while_it_is_made(region: &Region) {
    region.ask_for_cluster("hasty", "", &[]);
    delete(region, "hasty");
    region.ask_for_cluster("hasty", "", &[]);
    until("an etcd of it runs", Duration::from_secs(30), || (!region.running("etcd").is_empty()).then_some(()));
    delete(region, "hasty");
    region.ask_for_cluster("hasty", "", &[]);
    until("an API server of it runs", Duration::from_secs(30), || {
        (!region.running("kube-apiserver").is_empty()).then_some(())
    });
    delete(region, "hasty");
}

fn a_deletion_outlives_the_death_of_everything(region: &Region) {
    region.create_cluster("doomed");
    region.aws(&["eks", "delete-cluster", "--name", "doomed"]);
    region.power_off();
    region.up();
    region.aws(&["eks", "wait", "cluster-deleted", "--name", "doomed"]);
    assert_eq!(region.aws(&["eks", "list-clusters"])["clusters"], Value::Array(vec![]));
}
