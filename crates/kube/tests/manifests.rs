//! What each add-on consists of, beside its golden. `UPDATE_GOLDENS=1 cargo test -p roadstead-kube --test manifests` writes
//! them anew; read the difference before you keep it.

#![allow(clippy::unwrap_used, reason = "it is all test code, though not all in tests")]

use roadstead_cloud::eks::addon::{Facts, Release, objects, place, workload};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::{env, fs};

fn release(name: &str, version: &str, configuration: Value) -> Release {
    let facts = Facts {
        region: "us-east-1".into(),
        cluster: "demo".into(),
        vpc: "vpc-1".into(),
        endpoint: "https://10.0.0.7:443".into(),
        dns: "10.100.0.10".parse().unwrap(),
    };
    Release { name: name.into(), version: version.into(), configuration, role: None, facts }
}

#[test]
fn the_objects_are_those_of_the_goldens() {
    let releases = [
        release("vpc-cni", "v0.1.0-eksbuild.1", Value::Null),
        release("kube-proxy", "v1.36.3-eksbuild.1", Value::Null),
        release("coredns", "v1.14.7-eksbuild.1", Value::Null),
        release("metrics-server", "v0.9.0-eksbuild.1", Value::Null),
    ];
    for release in releases {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/goldens/{}.json", release.name));
        let made = serde_json::to_string_pretty(&objects(&release)).unwrap() + "\n";
        if env::var_os("UPDATE_GOLDENS").is_some() {
            fs::write(&path, &made).unwrap();
        }
        assert!(made == fs::read_to_string(&path).unwrap_or_default(), "{} is not as {}", release.name, path.display());
    }
}

#[test]
fn a_configuration_goes_where_it_belongs() {
    let env = json!({"WARM_IP_TARGET": "4", "ENABLE_PREFIX_DELEGATION": true});
    let cni =
        workload(&release("vpc-cni", "v0.1.0-eksbuild.1", json!({"env": env, "podLabels": {"team": "a"}}))).unwrap();
    let template = &cni["spec"]["template"];
    let set = |name: &str| {
        let env = template["spec"]["containers"][0]["env"].as_array().unwrap();
        env.iter().find(|e| e["name"] == name).map(|e| e["value"].clone())
    };
    assert_eq!(set("WARM_IP_TARGET"), Some(json!("4")));
    assert_eq!(set("ENABLE_PREFIX_DELEGATION"), Some(json!("true")));
    assert_eq!(
        (&template["metadata"]["labels"]["team"], &template["metadata"]["labels"]["k8s-app"]),
        (&json!("a"), &json!("aws-node"))
    );

    let configuration = json!({"replicaCount": 3, "podDisruptionBudget": {"enabled": false}, "resources": {"limits": {"memory": "1Gi"}}});
    let dns = release("coredns", "v1.14.7-eksbuild.1", configuration);
    let all = objects(&dns);
    assert!(all.iter().all(|object| object["kind"] != "PodDisruptionBudget"));
    let deployment = workload(&dns).unwrap();
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(
        deployment["spec"]["template"]["spec"]["containers"][0]["resources"],
        json!({"limits": {"memory": "1Gi"}})
    );

    let configuration = json!({"replicas": 1, "args": ["--metric-resolution=10s"]});
    let metrics = workload(&release("metrics-server", "v0.9.0-eksbuild.1", configuration)).unwrap();
    let args = metrics["spec"]["template"]["spec"]["containers"][0]["args"].as_array().unwrap();
    assert_eq!((&metrics["spec"]["replicas"], args.last().unwrap()), (&json!(1), &json!("--metric-resolution=10s")));
}

#[test]
fn every_object_has_its_place_in_the_api() {
    let all = ["vpc-cni", "kube-proxy", "coredns", "metrics-server"]
        .map(|name| objects(&release(name, "v1.0.0-eksbuild.1", Value::Null)));
    let places: Vec<String> = all.iter().flatten().map(place).map(|(path, name)| format!("{path}/{name}")).collect();
    for wanted in [
        "/apis/apps/v1/namespaces/kube-system/daemonsets/aws-node",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:coredns",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/eniconfigs.crd.k8s.amazonaws.com",
        "/apis/policy/v1/namespaces/kube-system/poddisruptionbudgets/coredns",
        "/api/v1/namespaces/kube-system/services/kube-dns",
        "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io",
        "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-system/rolebindings/metrics-server-auth-reader",
    ] {
        assert!(places.iter().any(|place| place == wanted), "{wanted}: {places:?}");
    }
}
