//! The add-ons driver against an API server that behaves. What it applies is in the goldens beside.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod fake;

use fake::{Fake, Rig};
use roadstead_cloud::eks::addon::{AddonSpec, AddonState, Conflicts, Facts, Hold, Release, Workload};
use roadstead_kube::Addons;
use serde_json::{Value, json};

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/kube-system/deployments/metrics-server";
const API: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";

/// A driver that keeps one add-on.
async fn start(addon: &str, prepare: impl FnOnce(&Fake)) -> Rig<AddonState> {
    let facts = Facts {
        region: "us-east-1".into(),
        cluster: "demo".into(),
        vpc: "vpc-1".into(),
        endpoint: "https://10.0.0.7:443".into(),
        dns: "10.100.0.10".parse().unwrap(),
    };
    let (name, version) = (addon.to_owned(), "v0.9.0-eksbuild.1".to_owned());
    let release = Release { name, version, configuration: Value::Null, role: None, facts };
    let hold = Hold::Managed { conflicts: Conflicts::Overwrite, change: 1, made: false };
    Rig::start(prepare, |dialer, vault, access| {
        (Addons { dialer, vault }, AddonSpec { access, release, before: None, hold })
    })
    .await
}

/// How what runs is seen next.
async fn next(rig: &mut Rig<AddonState>) -> Workload {
    rig.seen(|state| state.workload).await
}

fn deployment(available: u64) -> Value {
    json!({"kind": "Deployment", "spec": {"replicas": 2},
        "status": {"updatedReplicas": 2, "availableReplicas": available}})
}

fn api_service(status: &str) -> Value {
    let condition = json!({"type": "Available", "status": status, "message": "nobody answers at 10.0.0.5"});
    json!({"kind": "APIService", "status": {"conditions": [condition]}})
}

#[tokio::test]
async fn an_add_on_is_well_only_once_api_servers_serve_what_it_adds() {
    let mut rig = start("metrics-server", |_| {}).await;
    rig.fake.until(|fake| fake.get(API).and(fake.get(DEPLOYMENT))).await;
    rig.fake.put(DEPLOYMENT, deployment(2));
    while !next(&mut rig).await.is_whole() {}
    rig.fake.put(API, api_service("False"));
    let seen = next(&mut rig).await;
    assert_eq!((seen.is_well(), seen.unserved.as_deref()), (false, Some("nobody answers at 10.0.0.5")));
    rig.fake.put(API, api_service("True"));
    assert!(next(&mut rig).await.is_well());
    rig.fake.put(DEPLOYMENT, deployment(1));
    assert!(!next(&mut rig).await.is_well());
}

#[tokio::test]
async fn what_runs_is_read_as_what_it_is_from_the_first_list_on() {
    let status = json!({"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1});
    let proxy = json!({"kind": "DaemonSet", "spec": {}, "status": status});
    let path = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy";
    let mut rig = start("kube-proxy", |fake| fake.put(path, proxy)).await;
    assert_eq!(next(&mut rig).await, Workload { desired: 2, updated: 2, available: 1, unserved: None });
}
