//! The nodes driver against an API server that behaves. What it decides by is tested in `cloud::eks::node`.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod fake;

use fake::{Fake, Rig};
use roadstead_cloud::eks::kube::Access;
use roadstead_cloud::eks::node::{Drain, Node, NodeState, NodesSpec, NodesState};
use roadstead_kube::Nodes;
use roadstead_types::Millis;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A driver at work on the node `ours`, instance `i-0a`.
async fn start(drain: Option<Drain>, prepare: impl FnOnce(&Fake)) -> Rig<NodesState> {
    Rig::start(prepare, |dialer, vault, access| (Nodes { dialer, vault }, spec(access, drain))).await
}

impl Rig<NodesState> {
    /// Waits for a state of the node.
    async fn until(&mut self, is: impl Fn(&NodeState) -> bool) -> NodeState {
        self.seen(|mut state| Some(state.nodes.remove("ours").unwrap()).filter(&is)).await
    }
}

fn spec(access: Access, drain: Option<Drain>) -> NodesSpec {
    let node = Node {
        cluster: "cluster".into(),
        name: "ours".into(),
        instance: "i-0a".into(),
        zone: "us-east-1a".into(),
        addresses: vec!["10.0.1.5".parse().unwrap()],
        labels: BTreeMap::new(),
        taints: vec![],
        cordon: false,
        drain,
    };
    let gone = ["i-0b", "i-0c"].map(str::to_owned).into();
    NodesSpec { access, nodes: BTreeMap::from([("i-0a".to_owned(), node)]), self_managed: BTreeMap::new(), gone }
}

fn node(instance: &str, ready: &str) -> Value {
    let ready = json!({"type": "Ready", "status": ready, "message": "so it says"});
    json!({"spec": {"providerID": format!("aws:///us-east-1a/{instance}")}, "status": {"conditions": [ready]}})
}

fn pod(uid: &str) -> Value {
    json!({"metadata": {"namespace": "shop", "uid": uid}})
}

#[tokio::test]
async fn a_node_is_followed_through_watches_that_end_and_versions_that_are_forgotten() {
    let mut rig = start(None, |_| {}).await;
    rig.until(|node| !node.registered).await;
    rig.fake.put("/api/v1/nodes/ours", node("i-0a", "False"));
    assert_eq!(rig.until(|node| node.registered).await.why, "so it says");
    rig.fake.cut(false);
    rig.fake.put("/api/v1/nodes/ours", node("i-0a", "True"));
    rig.until(|node| node.ready).await;
    rig.fake.put("/api/v1/nodes/ours", node("i-0a", "Unknown"));
    rig.fake.cut(true);
    rig.until(|node| !node.ready).await;
}

#[tokio::test]
async fn nodes_vanish_with_their_instances_and_what_nobody_stated_stays() {
    let rig = start(None, |fake| {
        fake.put("/api/v1/nodes/before", node("i-0b", "True"));
        fake.put("/api/v1/nodes/hybrid", json!({"spec": {}}));
        fake.put("/api/v1/nodes/own", node("i-0d", "True"));
    })
    .await;
    let gone =
        |name: &'static str| move |fake: &Fake| fake.get(&format!("/api/v1/nodes/{name}")).is_none().then_some(());
    timeout(PATIENCE, rig.fake.until(gone("before"))).await.expect("it goes");
    rig.fake.put("/api/v1/nodes/after", node("i-0c", "True"));
    timeout(PATIENCE, rig.fake.until(gone("after"))).await.expect("it goes, too");
    assert!(["hybrid", "own"].iter().all(|name| rig.fake.get(&format!("/api/v1/nodes/{name}")).is_some()));
}

#[tokio::test]
async fn a_certificate_that_nobody_may_have_is_refused_with_the_reason() {
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests/csr-1";
    let rig = start(None, |_| {}).await;
    let spec =
        json!({"signerName": "kubernetes.io/kubelet-serving", "username": "somebody", "groups": ["system:nodes"]});
    rig.fake.put(path, json!({"spec": spec}));
    let decided = |fake: &Fake| fake.get(path)?["status"]["conditions"].get(0).cloned();
    let condition = timeout(PATIENCE, rig.fake.until(decided)).await.expect("it is decided");
    assert_eq!(condition["type"], "Denied");
    assert_eq!(condition["message"], "'somebody' is not a node");
}

#[tokio::test]
async fn a_drain_waits_for_budgets_says_whose_and_ends() {
    let drain = Drain { since: Millis(0), force: false };
    let mut rig = start(Some(drain), |fake| {
        fake.put("/api/v1/nodes/ours", node("i-0a", "True"));
        fake.put("/api/v1/namespaces/shop/pods/free", pod("u1"));
        fake.put("/api/v1/namespaces/shop/pods/kept", pod("u2"));
        fake.protect(&["kept"]);
    })
    .await;
    let blocked = rig.until(|node| !node.blocked_by.is_empty()).await;
    let by = &blocked.blocked_by[0];
    assert_eq!((by.namespace.as_str(), by.pod.as_str(), by.pdb.as_str()), ("shop", "kept", "keep"));
    assert!(!blocked.drained && rig.fake.get("/api/v1/namespaces/shop/pods/free").is_none());
    rig.fake.protect(&[]);
    rig.until(|node| node.drained && node.blocked_by.is_empty()).await;
}

#[tokio::test]
async fn who_forces_a_drain_waits_for_no_budget() {
    let drain = Drain { since: Millis(0), force: true };
    let mut rig = start(Some(drain), |fake| {
        fake.put("/api/v1/nodes/ours", node("i-0a", "True"));
        fake.put("/api/v1/namespaces/shop/pods/kept", pod("u2"));
        fake.protect(&["kept"]);
    })
    .await;
    rig.until(|node| node.drained).await;
    assert!(rig.fake.get("/api/v1/namespaces/shop/pods/kept").is_none());
}
