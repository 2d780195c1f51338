//! A small state for tests: a cluster whose first machine waits for a component. Its bodies hold what an operator sees
//! and nothing else.

use roadstead_store::journal::Memory;
use roadstead_store::{AnyKey, Core, Key, Object, Options, Registry, Tx, View};
use roadstead_types::Millis;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::Arc;

macro_rules! kinds {
    ($($name:ident = $kind:literal),* $(,)?) => {
        $(
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            struct $name(Value);

            impl Object for $name {
                const KIND: &'static str = $kind;
            }
        )*

        fn registry() -> Registry {
            let mut registry = Registry::new();
            $(registry.add::<$name>();)*
            registry
        }
    };
}

kinds! {
    Cluster = "eks/cluster",
    Group = "autoscaling/group",
    Instance = "ec2/instance",
    Interface = "ec2/network-interface",
    Machine = "host/machine",
    MachineStatus = "host/machine-status",
    PortStatus = "host/port-status",
    KeySpec = "keys/spec",
    User = "iam/user",
}

/// `eks/cluster/111122223333/prod` → group `g` → instances `i-1`, `i-2` → their machines; and five keys. Made at 1 s.
pub fn small() -> Arc<View> {
    let mut core = Core::open(Memory::new(), registry(), Options::seeded(1)).unwrap();
    core.transact(Millis::secs(1), |tx| {
        fill(tx);
        Ok::<(), Infallible>(())
    })
    .unwrap();
    core.commit().unwrap();
    core.view().clone()
}

fn fill(tx: &mut Tx) {
    let issues = json!([{"code": "Other", "message": "etcd-1: waits for component etcd-3.6.16", "resources": ["i-1"]}]);
    let cluster = Cluster(json!({"spec": {"name": "prod"}, "status": {"state": "Creating", "issues": issues}}));
    let cluster = make(tx, "111122223333/prod", None, cluster);
    let group = make(tx, "000000000000/g", Some(&cluster), Group(json!({"instances": {"etcd-1": "i-1"}})));
    let waiting = json!({"Waiting": {"for_what": "component etcd-3.6.16"}});
    for (id, ready, phase) in [("i-1", false, waiting), ("i-2", true, json!("Running"))] {
        let why = if ready { "running" } else { "waits for component etcd-3.6.16" };
        let instance = Instance(json!({"status": {"ready": ready, "why": why}}));
        let instance = make(tx, id, Some(&group), instance);
        make(tx, id, Some(&instance), Machine(json!({"id": id})));
        make(tx, id, None, MachineStatus(json!({"generation": 1, "status": {"phase": phase}})));
    }
    // An effect of the same cause, found first.
    make(tx, "eni-1", Some(&cluster), Interface(json!({"ready": false})));
    for n in 1..=5 {
        make(tx, &format!("key-{n}"), Some(&cluster), KeySpec(json!("Signing")));
    }
}

fn make<T: Object>(tx: &mut Tx, name: &str, owner: Option<&AnyKey>, body: T) -> AnyKey {
    tx.create(Key::new(name), owner.cloned(), body).key.any()
}
