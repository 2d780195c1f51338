//! What an add-on consists of in a cluster's API, in the order in which it is made there. Names, labels and defaults are
//! those of EKS's own add-ons, so that what people know of them holds here.

mod coredns;
mod kube_proxy;
mod metrics_server;
mod vpc_cni;

use super::catalogue::{COREDNS, KUBE_PROXY, METRICS_SERVER, VPC_CNI};
use super::model::Release;
use serde_json::{Value, json};

/// The namespace of all of them.
const NAMESPACE: &str = "kube-system";

/// The objects of a release.
pub fn objects(release: &Release) -> Vec<Value> {
    let mut objects = match release.name.as_str() {
        VPC_CNI => vpc_cni::objects(release),
        KUBE_PROXY => kube_proxy::objects(release),
        COREDNS => coredns::objects(release),
        METRICS_SERVER => metrics_server::objects(release),
        _ => vec![],
    };
    if let Some(role) = &release.role {
        for account in objects.iter_mut().filter(|object| object["kind"] == "ServiceAccount") {
            account["metadata"]["annotations"] = json!({"eks.amazonaws.com/role-arn": role});
        }
    }
    objects
}

/// What runs, of a release's objects: a DaemonSet or a Deployment.
pub fn workload(release: &Release) -> Option<Value> {
    objects(release).into_iter().find(|object| object["kind"] == "DaemonSet" || object["kind"] == "Deployment")
}

/// What a release adds to the cluster's API, if it does: an APIService.
pub fn api_service(release: &Release) -> Option<Value> {
    objects(release).into_iter().find(|object| object["kind"] == "APIService")
}

/// Where an object's kind is found in the API, below its namespace if it has one; and the object's own name.
pub fn place(object: &Value) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let version = text(&object["apiVersion"]);
    let root = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let plural = format!("{}s", text(&object["kind"]).to_lowercase());
    let collection = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
        None => format!("{root}/{plural}"),
    };
    (collection, text(&object["metadata"]["name"]))
}

/// An object in [`NAMESPACE`].
fn namespaced(version: &str, kind: &str, name: &str, labels: &Value, rest: Value) -> Value {
    let metadata = json!({"name": name, "namespace": NAMESPACE, "labels": labels});
    object(version, kind, metadata, rest)
}

/// An object of the whole cluster.
fn cluster_wide(version: &str, kind: &str, name: &str, labels: &Value, rest: Value) -> Value {
    object(version, kind, json!({"name": name, "labels": labels}), rest)
}

fn object(version: &str, kind: &str, metadata: Value, rest: Value) -> Value {
    let mut object = json!({"apiVersion": version, "kind": kind, "metadata": metadata});
    if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest) {
        object.extend(rest);
    }
    object
}

/// A ServiceAccount, and that it has a ClusterRole.
fn account(name: &str, labels: &Value) -> Value {
    namespaced("v1", "ServiceAccount", name, labels, json!({}))
}

fn binding(name: &str, role: &str, account: &str, labels: &Value) -> Value {
    let role = json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": role});
    let subjects = json!([{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]);
    cluster_wide(RBAC_V1, "ClusterRoleBinding", name, labels, json!({"roleRef": role, "subjects": subjects}))
}

const RBAC: &str = "rbac.authorization.k8s.io";
const RBAC_V1: &str = "rbac.authorization.k8s.io/v1";

/// Which nodes an add-on's pods run on: not Fargate's, which bring their own.
fn on_nodes(compute: &[&str]) -> Value {
    let is = |key: &str, operator: &str, values: &[&str]| json!({"key": key, "operator": operator, "values": values});
    let terms = json!([{"matchExpressions": [
        is("kubernetes.io/os", "In", &["linux"]),
        is("kubernetes.io/arch", "In", &["amd64", "arm64"]),
        is("eks.amazonaws.com/compute-type", "NotIn", compute),
    ]}]);
    json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}})
}

/// One of the pods with these labels may be away at a time, unless the user says otherwise or wants no budget.
fn budget(name: &str, selected: &Value, labels: &Value, configuration: &Value) -> Option<Value> {
    let configured = &configuration["podDisruptionBudget"];
    if configured["enabled"] == false {
        return None;
    }
    let mut spec = json!({"selector": {"matchLabels": selected}});
    let named = ["minAvailable", "maxUnavailable"].into_iter().find(|name| !configured[*name].is_null());
    match named {
        Some(name) => spec[name] = configured[name].clone(),
        None => spec["maxUnavailable"] = json!(1),
    }
    Some(namespaced("policy/v1", "PodDisruptionBudget", name, labels, json!({"spec": spec})))
}

/// Puts what a user has configured into a pod's template: labels and annotations beside ours, everything else instead.
fn configure(template: &mut Value, configuration: &Value) {
    for (from, to) in [("podLabels", "labels"), ("podAnnotations", "annotations")] {
        for (key, value) in configuration[from].as_object().into_iter().flatten() {
            template["metadata"][to][key] = value.clone();
        }
    }
    for name in ["tolerations", "affinity", "nodeSelector", "topologySpreadConstraints"] {
        if !configuration[name].is_null() {
            template["spec"][name] = configuration[name].clone();
        }
    }
    if !configuration["resources"].is_null() {
        template["spec"]["containers"][0]["resources"] = configuration["resources"].clone();
    }
}
