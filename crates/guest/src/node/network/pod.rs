//! Whether a pod is one of `aws-node`'s that the machine can stand in for, and with which settings. Pure.

use roadstead_hostspec::SystemImage;
use serde_json::Value;
use std::collections::BTreeMap;

/// How a pod of `aws-node` is set up.
#[derive(Debug, PartialEq, Eq)]
pub enum Settings {
    /// As the machine can do it: the environment, with the machine's own folders.
    Ours(BTreeMap<String, String>),
    /// In a way that only its kubelet can do, and why.
    Others(&'static str),
}

/// A pod's uid.
pub fn uid(pod: &Value) -> &str {
    pod["metadata"]["uid"].as_str().unwrap_or_default()
}

/// Of a pod of the DaemonSet `aws-node` that its kubelet is to run; none: it is another pod, or on its way out.
pub fn settings(pod: &Value, image: &str) -> Option<Settings> {
    let owners = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let is_daemon = |owner: &Value| owner["kind"] == "DaemonSet" && owner["name"] == "aws-node";
    let is_leaving = !pod["metadata"]["deletionTimestamp"].is_null();
    if is_leaving || pod["metadata"]["namespace"] != "kube-system" || !owners.into_iter().any(is_daemon) {
        return None;
    }
    let container = pod["spec"]["containers"].as_array().into_iter().flatten().find(|c| c["name"] == "aws-node");
    Some(match container.map(|container| environment(pod, container, image)) {
        Some(Ok(environment)) => Settings::Ours(environment),
        Some(Err(why)) => Settings::Others(why),
        None => Settings::Others("the pod of aws-node has no container of that name"),
    })
}

fn environment(pod: &Value, container: &Value, image: &str) -> Result<BTreeMap<String, String>, &'static str> {
    let is_empty = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    if container["image"] != image || container["command"] != serde_json::json!(SystemImage::AWS_NODE) {
        return Err("aws-node runs another program than this machine has");
    }
    if !is_empty(&pod["spec"]["initContainers"]) || !is_empty(&container["args"]) || !is_empty(&container["envFrom"]) {
        return Err("aws-node has init containers, arguments or an environment from elsewhere");
    }
    let mut environment = BTreeMap::new();
    for variable in container["env"].as_array().into_iter().flatten() {
        let value = value(pod, variable).ok_or("aws-node's environment has what only its kubelet can look up")?;
        environment.insert(variable["name"].as_str().unwrap_or_default().to_owned(), value.to_owned());
    }
    for (name, folder) in [("HOST_CNI_BIN_PATH", "/opt/cni/bin"), ("HOST_CNI_CONFDIR_PATH", super::NETWORKS)] {
        if environment.insert(name.to_owned(), folder.to_owned()).is_some() {
            return Err("aws-node is told other folders than its machine has");
        }
    }
    Ok(environment)
}

/// None: it stands in an object that this node does not see, or refers to other variables.
fn value<'a>(pod: &'a Value, variable: &'a Value) -> Option<&'a str> {
    if let Some(path) = variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
        return match path {
            "spec.nodeName" => pod["spec"]["nodeName"].as_str(),
            "metadata.name" => pod["metadata"]["name"].as_str(),
            _ => None,
        };
    }
    if !variable["valueFrom"].is_null() {
        return None;
    }
    Some(variable["value"].as_str().unwrap_or_default()).filter(|value| !value.contains("$("))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const IMAGE: &str = "602401143452.dkr.ecr.us-west-2.amazonaws.com/amazon-k8s-cni:v0.1.0";

    fn pod() -> Value {
        let field = |path: &str| json!({"fieldRef": {"apiVersion": "v1", "fieldPath": path}});
        let environment = json!([
            {"name": "WARM_ENI_TARGET", "value": "1"},
            {"name": "EMPTY"},
            {"name": "MY_NODE_NAME", "valueFrom": field("spec.nodeName")},
            {"name": "MY_POD_NAME", "valueFrom": field("metadata.name")},
        ]);
        let owner = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "aws-node"});
        let container =
            json!({"name": "aws-node", "image": IMAGE, "command": SystemImage::AWS_NODE, "env": environment});
        json!({
            "metadata": {"name": "aws-node-x", "namespace": "kube-system", "uid": "1", "ownerReferences": [owner]},
            "spec": {"nodeName": "node-1", "containers": [{"name": "beside"}, container]},
        })
    }

    #[test]
    fn a_pod_of_aws_node_is_stood_in_for_with_its_own_settings() {
        let Some(Settings::Ours(environment)) = settings(&pod(), IMAGE) else { panic!("it can be") };
        for (name, value) in [
            ("WARM_ENI_TARGET", "1"),
            ("EMPTY", ""),
            ("MY_NODE_NAME", "node-1"),
            ("MY_POD_NAME", "aws-node-x"),
            ("HOST_CNI_BIN_PATH", "/opt/cni/bin"),
            ("HOST_CNI_CONFDIR_PATH", "/etc/cni/net.d"),
        ] {
            assert_eq!(environment.get(name).map(String::as_str), Some(value), "{name}");
        }
    }

    #[test]
    fn other_pods_are_no_business_of_the_machine() {
        let changed = |pointer: &str, value: Value| {
            let mut pod = pod();
            *pod.pointer_mut(pointer).unwrap() = value;
            settings(&pod, IMAGE)
        };
        assert_eq!(changed("/metadata/namespace", json!("default")), None);
        assert_eq!(changed("/metadata/ownerReferences/0/name", json!("kube-proxy")), None);
        assert_eq!(changed("/metadata/ownerReferences", json!([])), None, "somebody's own of that name");
        let mut leaving = pod();
        leaving["metadata"]["deletionTimestamp"] = json!("2026-11-30T23:00:00Z");
        assert_eq!(settings(&leaving, IMAGE), None, "of a node that had this one's name");
    }

    #[test]
    fn what_only_a_kubelet_can_do_is_left_to_it() {
        let secret = json!({"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}});
        let host = json!({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}});
        for (pointer, value) in [
            ("/spec/initContainers", json!([{"name": "aws-vpc-cni-init"}])),
            ("/spec/containers/1/image", json!("example.com/cni:v2")),
            ("/spec/containers/1/command", json!(["/app/entrypoint.sh"])),
            ("/spec/containers/1/args", json!(["-v"])),
            ("/spec/containers/1/envFrom", json!([{"configMapRef": {"name": "amazon-vpc-cni"}}])),
            ("/spec/containers/1/env/1", secret),
            ("/spec/containers/1/env/1", host),
            ("/spec/containers/1/env/1", json!({"name": "A", "value": "$(WARM_ENI_TARGET)0"})),
            ("/spec/containers/1/env/1", json!({"name": "HOST_CNI_BIN_PATH", "value": "/host/bin"})),
            ("/spec/containers/1/name", json!("node")),
        ] {
            let mut pod = pod();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match (pod.pointer_mut(parent).unwrap(), name.parse::<usize>()) {
                (Value::Array(items), Ok(index)) => items[index] = value,
                (object, _) => object[name] = value,
            }
            assert!(matches!(settings(&pod, IMAGE), Some(Settings::Others(_))), "{pointer}");
        }
    }
}
