//! The VPC CNI end to end: the plugin as a container runtime runs it and the daemon, in a node that is a network
//! namespace, with an EC2 and a metadata service that behave. Needs root.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]
#![allow(missing_docs, reason = "names say it")]

mod fake;
mod world;

use roadstead_guest::cni::daemon::{Client, Pod, Question, write};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use world::{METADATA, OUTSIDE, PEER, Sandbox, World, get, inside, key};

/// An instance that can have many addresses.
const LARGE: (u32, u32) = (3, 30);
const PLENTY: u32 = 200;

#[test]
fn a_pod_reaches_what_it_should_and_is_seen_as_itself_in_the_vpc() {
    let world = World::new(LARGE, PLENTY, &[]);
    let (a, b) = (world.sandbox("a"), world.sandbox("b"));
    let (address, other) = (world.add(&a), world.add(&b));
    assert_eq!(world.seen(&a.namespace, PEER), address);
    assert_eq!(world.seen(&a.namespace, OUTSIDE), fake::PRIMARY, "outside the VPC only the node has a name");
    assert_eq!(world.seen(&a.namespace, METADATA), fake::PRIMARY);
    b.serve(80);
    assert_eq!(world.seen(&a.namespace, other), address, "pods of one node see each other");
    assert_eq!(world.seen(&world.node(), other), fake::PRIMARY, "the node reaches its pods, as kubelet's probes do");
    let routes = inside(&a.namespace, || std::process::Command::new("ip").args(["route"]).output().unwrap());
    let routes = String::from_utf8(routes.stdout).unwrap();
    assert!(routes.contains("default via 169.254.1.1 dev eth0"), "{routes}");
}

#[test]
fn a_pod_with_an_address_of_a_second_interface_sends_by_it() {
    let world = World::new((2, 3), PLENTY, &[]);
    let pods: Vec<Sandbox> = (0..4).map(|n| world.sandbox(&format!("p{n}"))).collect();
    let addresses: Vec<Ipv4Addr> = pods.iter().map(|pod| world.add(pod)).collect();
    let devices = world.look("/v1/pods");
    let second = pods.iter().position(|pod| devices[format!("{}/eth0", pod.container)]["DeviceNumber"] == 1).unwrap();
    // The router takes what comes by an interface only from addresses that are there.
    assert_eq!(world.seen(&pods[second].namespace, PEER), addresses[second]);
    assert_eq!(world.seen(&pods[second].namespace, OUTSIDE), fake::PRIMARY);
    pods[0].serve(80);
    assert_eq!(world.seen(&pods[second].namespace, addresses[0]), addresses[second]);
    pods[second].serve(80);
    let router = world.node().replace("-node", "-router");
    inside(&router, || get((addresses[second], 80), "/peer")).unwrap();
    let full = world.sandbox("fifth");
    let error = world.plugin("ADD", &full, &world.config(json!({}))).unwrap_err();
    assert_eq!(error["code"], 11);
    assert!(error["msg"].as_str().unwrap().contains("room for no more interfaces"), "{error}");
}

#[test]
fn check_finds_what_is_missing() {
    let world = World::new(LARGE, PLENTY, &[]);
    let pod = world.sandbox("a");
    let result = world.plugin("ADD", &pod, &world.config(json!({}))).unwrap();
    let config = world.config(json!({ "prevResult": result }));
    assert_eq!(world.plugin("CHECK", &pod, &config), Ok(Value::Null));
    assert_eq!(world.plugin("CHECK", &pod, &world.config(json!({}))).unwrap_err()["code"], 7);
    let address = result["ips"][0]["address"].as_str().unwrap().trim_end_matches("/32");
    world.shown(&["ip", "rule", "delete", "to", address]);
    let error = world.plugin("CHECK", &pod, &config).unwrap_err();
    assert_eq!(error["code"], 100);
    assert!(error["msg"].as_str().unwrap().contains("rule 512"), "{error}");
    assert_eq!(world.plugin("CHECK", &world.sandbox("b"), &config).unwrap_err()["code"], 3);
}

#[test]
fn del_leaves_nothing_and_may_be_repeated() {
    let mut world = World::new(LARGE, PLENTY, &[]);
    let pod = world.sandbox("a");
    let address = world.add(&pod);
    assert!(world.shown(&["ip", "rule"]).contains(&address.to_string()));
    for _ in 0..2 {
        world.del(&pod);
        for what in [&["ip", "rule"][..], &["ip", "route"], &["ip", "link"]] {
            let shown = world.shown(what);
            assert!(!shown.contains(&address.to_string()) && !shown.contains("eni"), "{shown}");
        }
    }
    let again = world.add(&pod);
    assert_ne!(again, address, "it rests");
    world::shell(&format!("ip netns delete {}", pod.namespace));
    world.del(&pod);
    assert_eq!(world.look("/v1/enis")["AssignedIPs"], 0, "the namespace is gone, the lease too");
    world.kill();
    world.del(&world.sandbox("b"));
}

#[test]
fn a_lease_that_was_given_back_while_the_daemon_was_away_is_found() {
    let mut world = World::new(LARGE, PLENTY, &[]);
    let (gone, stays) = (world.sandbox("gone"), world.sandbox("stays"));
    let (lost, kept) = (world.add(&gone), world.add(&stays));
    world.kill();
    world.del(&gone);
    // An hour passes.
    let file = world.path("ipam.json");
    let mut state: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    state["leases"].as_array_mut().unwrap().iter_mut().for_each(|lease| lease["since"] = json!(1));
    std::fs::write(&file, state.to_string()).unwrap();
    world.start();
    let pods = world.look("/v1/pods");
    assert_eq!(pods.as_object().unwrap().len(), 1, "{pods}");
    assert_eq!(pods[format!("{}/eth0", stays.container)]["IP"], kept.to_string());
    let rules = world.shown(&["ip", "rule"]);
    assert!(!rules.contains(&lost.to_string()) && rules.contains(&kept.to_string()), "{rules}");
    assert_eq!(world.seen(&stays.namespace, PEER), kept, "pods do not notice that the daemon was away");
}

#[test]
fn an_address_is_never_given_twice_though_the_daemon_is_killed_in_the_middle_of_adds() {
    let mut world = World::new(LARGE, PLENTY, &[]);
    let mut known: BTreeSet<Ipv4Addr> = BTreeSet::new();
    for round in 0..5 {
        // Asks, and does not live to hear the answer.
        for n in 0..4 {
            let container = format!("cut-{round}-{n}");
            let link = format!("eni{round:05}{n:05}");
            let (namespace, name, ports) = ("default".into(), container.clone(), Vec::new());
            let pod = Pod { key: key(&container), namespace, name, link, ports };
            write(&UnixStream::connect(world.path("sock")).unwrap(), &Question::Assign(pod)).unwrap();
        }
        world.kill();
        world.start();
        let pods = world.look("/v1/pods");
        let addresses: Vec<&str> = pods.as_object().unwrap().values().map(|pod| pod["IP"].as_str().unwrap()).collect();
        let unique: BTreeSet<&&str> = addresses.iter().collect();
        assert_eq!(unique.len(), addresses.len(), "{pods}");
        let sandbox = world.sandbox(&format!("whole-{round}"));
        let address = world.add(&sandbox);
        assert!(!addresses.contains(&address.to_string().as_str()) && known.insert(address));
    }
    // What nobody heard of belongs to nobody: the runtime says so.
    let client_path = world.path("sock");
    Client::new(&client_path).ask(Question::Keep(Vec::new())).unwrap();
    assert_eq!(world.look("/v1/enis")["AssignedIPs"], 0);
}

#[test]
fn gc_ends_what_the_runtime_does_not_know() {
    let world = World::new(LARGE, PLENTY, &[]);
    let (a, b) = (world.sandbox("a"), world.sandbox("b"));
    let (kept, _) = (world.add(&a), world.add(&b));
    let valid = json!([{ "containerID": a.container, "ifname": "eth0" }]);
    world.plugin("GC", &a, &world.config(json!({ "cni.dev/valid-attachments": valid }))).unwrap();
    assert_eq!(world.look("/v1/enis")["AssignedIPs"], 1);
    assert_eq!(world.seen(&a.namespace, PEER), kept);
    assert!(inside(&b.namespace, || get((PEER, 80), "/peer")).is_err());
    assert_eq!(world.shown(&["ip", "-o", "link"]).matches("eni").count(), 1);
}

#[test]
fn a_short_subnet_is_named_to_who_gets_no_address() {
    let world = World::new(LARGE, 2, &[("WARM_IP_TARGET", "1")]);
    world.add(&world.sandbox("a"));
    world.add(&world.sandbox("b"));
    let error = world.plugin("ADD", &world.sandbox("c"), &world.config(json!({}))).unwrap_err();
    assert_eq!(error["code"], 11);
    let text = error["msg"].as_str().unwrap();
    assert!(text.contains("subnet-1 has no free addresses left") && text.contains("InsufficientFree"), "{text}");
    assert_eq!(world.plugin("STATUS", &world.sandbox("d"), &world.config(json!({}))).unwrap_err()["code"], 50);
}

#[test]
fn thirty_pods_at_once_have_thirty_addresses() {
    let world = World::new(LARGE, PLENTY, &[("ENABLE_PREFIX_DELEGATION", "true")]);
    let pods: Vec<Sandbox> = (0..30).map(|n| world.sandbox(&format!("p{n}"))).collect();
    let addresses: BTreeSet<Ipv4Addr> = std::thread::scope(|scope| {
        let adds: Vec<_> = pods.iter().map(|pod| scope.spawn(|| world.add(pod))).collect();
        adds.into_iter().map(|add| add.join().unwrap()).collect()
    });
    assert_eq!(addresses.len(), 30);
    let calls = world.fake.state.lock().unwrap().calls.clone();
    assert!(calls["AssignPrivateIpAddresses"] <= 3, "a prefix at a time, not an address: {calls:?}");
    for (pod, n) in pods.iter().zip(0..) {
        if n % 10 == 0 {
            assert!(addresses.contains(&world.seen(&pod.namespace, PEER)));
        }
    }
}

#[test]
fn a_pod_that_comes_back_under_its_name_is_not_cut_off_by_its_past() {
    let world = World::new(LARGE, PLENTY, &[]);
    let (old, new) = (world.sandbox("web-0"), world.sandbox("web-0"));
    let (before, now) = (world.add(&old), world.add(&new));
    assert_ne!(before, now);
    world.del(&old);
    assert_eq!(world.seen(&new.namespace, PEER), now);
    assert_eq!(world.look("/v1/enis")["AssignedIPs"], 1);
}

#[test]
fn a_host_port_leads_to_its_pod() {
    let world = World::new(LARGE, PLENTY, &[]);
    let (pod, other) = (world.sandbox("web"), world.sandbox("client"));
    let ports = json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "TCP" }]);
    let config = world.config(json!({ "runtimeConfig": { "portMappings": ports } }));
    world.plugin("ADD", &pod, &config).unwrap();
    let client = world.add(&other);
    pod.serve(80);
    let through = |namespace: &str| inside(namespace, || get((fake::PRIMARY, 8080), "/"));
    assert_eq!(through(&other.namespace).unwrap(), client.to_string());
    let router = world.node().replace("-node", "-router");
    assert_eq!(through(&router).unwrap(), PEER.to_string(), "from outside the node, as itself");
    through(&world.node()).unwrap();
    through(&pod.namespace).unwrap();
    let by_loopback = inside(&world.node(), || get((Ipv4Addr::LOCALHOST, 8080), "/"));
    assert_eq!(by_loopback.unwrap(), fake::PRIMARY.to_string(), "the node's own loopback is an address of it");
    world.plugin("DEL", &pod, &config).unwrap();
    assert!(through(&router).is_err());
}

#[test]
fn what_a_plugin_may_be_asked_it_answers_as_the_specification_says() {
    let mut world = World::new(LARGE, PLENTY, &[]);
    let pod = world.sandbox("a");
    let versions = world.plugin("VERSION", &pod, &world.config(json!({}))).unwrap();
    assert_eq!(versions["supportedVersions"], json!(["0.3.1", "0.4.0", "1.0.0", "1.1.0"]));
    assert_eq!(world.plugin("STATUS", &pod, &world.config(json!({}))), Ok(Value::Null));
    let old = world.plugin("ADD", &pod, &world.config(json!({ "cniVersion": "0.2.0" }))).unwrap_err();
    assert_eq!(old["code"], 1);
    assert_eq!(world.plugin("ADD", &pod, &Value::String("{".into())).unwrap_err()["code"], 6);
    let nowhere = Sandbox { container: "c".into(), pod: "p".into(), namespace: "nowhere".into() };
    assert_eq!(world.plugin("ADD", &nowhere, &world.config(json!({}))).unwrap_err()["code"], 3);
    let result = world.plugin("ADD", &pod, &world.config(json!({ "cniVersion": "0.4.0" }))).unwrap();
    assert_eq!((result["cniVersion"].clone(), result["ips"][0]["version"].clone()), (json!("0.4.0"), json!("4")));
    world.kill();
    let error = world.plugin("ADD", &world.sandbox("b"), &world.config(json!({}))).unwrap_err();
    assert!(error["msg"].as_str().unwrap().contains("aws-node"), "{error}");
    assert_eq!(world.plugin("STATUS", &pod, &world.config(json!({}))).unwrap_err()["code"], 50);
}

#[test]
fn an_add_that_fails_half_way_gives_its_address_back() {
    let world = World::new(LARGE, PLENTY, &[]);
    let pod = world.sandbox("a");
    // The interface's name is taken in the pod.
    world::shell(&format!("ip -n {} link add eth0 type veth peer name x", pod.namespace));
    let error = world.plugin("ADD", &pod, &world.config(json!({}))).unwrap_err();
    assert_eq!(error["code"], 100);
    assert!(error["msg"].as_str().unwrap().contains("eth0"), "{error}");
    assert_eq!(world.look("/v1/enis")["AssignedIPs"], 0);
    assert!(!world.shown(&["ip", "-o", "link"]).contains("eni"));
}
