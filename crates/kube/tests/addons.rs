//! The add-ons driver against an API server that behaves. What it applies is in the goldens beside.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

mod fake;

use fake::Fake;
use roadstead_cloud::eks::addon::{AddonSpec, AddonState, Conflicts, Facts, Hold, Release, Workload};
use roadstead_kernel::driver::Driver as _;
use roadstead_kube::Addons;
use roadstead_store::{Key, Record};
use roadstead_types::Millis;
use roadstead_vault::Vault;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/kube-system/deployments/metrics-server";
const API: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";

/// A driver that keeps one add-on.
struct Rig {
    fake: Fake,
    saw: UnboundedReceiver<AddonState>,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Rig {
    async fn start(addon: &str, prepare: impl FnOnce(&Fake)) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::open_or_create(&folder.path().join("key")).unwrap());
        let (fake, dialer, access) = Fake::start(&vault).await;
        prepare(&fake);
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
        let body = AddonSpec { access, release, before: None, hold };
        let key = Key::new(format!("cluster/{addon}"));
        let record = Record { key, created: Millis(0), generation: 1, deleting: None, owner: None, body };
        let (tell, saw) = unbounded_channel();
        let task = tokio::spawn(async move {
            let driver = Addons { dialer, vault };
            driver.converge(&record, &move |state| drop(tell.send(state))).await;
        });
        Rig { fake, saw, task, _folder: folder }
    }

    /// How what runs is seen next.
    async fn next(&mut self) -> Workload {
        let next = async {
            loop {
                if let Some(workload) = self.saw.recv().await.unwrap().workload {
                    return workload;
                }
            }
        };
        timeout(PATIENCE, next).await.expect("something is seen")
    }
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
    let mut rig = Rig::start("metrics-server", |_| {}).await;
    rig.fake.until(|fake| fake.get(API).and(fake.get(DEPLOYMENT))).await;
    rig.fake.put(DEPLOYMENT, deployment(2));
    while !rig.next().await.is_whole() {}
    rig.fake.put(API, api_service("False"));
    let seen = rig.next().await;
    assert_eq!((seen.is_well(), seen.unserved.as_deref()), (false, Some("nobody answers at 10.0.0.5")));
    rig.fake.put(API, api_service("True"));
    assert!(rig.next().await.is_well());
    rig.fake.put(DEPLOYMENT, deployment(1));
    assert!(!rig.next().await.is_well());
}

#[tokio::test]
async fn what_runs_is_read_as_what_it_is_from_the_first_list_on() {
    let status = json!({"desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 1});
    let proxy = json!({"kind": "DaemonSet", "spec": {}, "status": status});
    let path = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy";
    let mut rig = Rig::start("kube-proxy", |fake| fake.put(path, proxy)).await;
    assert_eq!(rig.next().await, Workload { desired: 2, updated: 2, available: 1, unserved: None });
}
