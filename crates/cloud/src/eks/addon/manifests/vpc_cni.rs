use super::{RBAC_V1, account, binding, cluster_wide, configure, namespaced, on_nodes};
use crate::eks::addon::model::Release;
use roadstead_hostspec::{SystemImage, link_local};
use serde_json::{Value, json};

/// The environment of the daemon as EKS sets it (amazon-vpc-cni-k8s, "CNI Configuration Variables").
const ENVIRONMENT: [(&str, &str); 22] = [
    ("ADDITIONAL_ENI_TAGS", "{}"),
    ("AWS_VPC_CNI_NODE_PORT_SUPPORT", "true"),
    ("AWS_VPC_ENI_MTU", "9001"),
    ("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "false"),
    ("AWS_VPC_K8S_CNI_EXTERNALSNAT", "false"),
    ("AWS_VPC_K8S_CNI_LOGLEVEL", "DEBUG"),
    ("AWS_VPC_K8S_CNI_LOG_FILE", "/var/log/aws-routed-eni/ipamd.log"),
    ("AWS_VPC_K8S_CNI_RANDOMIZESNAT", "prng"),
    ("AWS_VPC_K8S_CNI_VETHPREFIX", "eni"),
    ("AWS_VPC_K8S_PLUGIN_LOG_FILE", "/var/log/aws-routed-eni/plugin.log"),
    ("AWS_VPC_K8S_PLUGIN_LOG_LEVEL", "DEBUG"),
    ("DISABLE_INTROSPECTION", "false"),
    ("DISABLE_METRICS", "false"),
    ("DISABLE_NETWORK_RESOURCE_PROVISIONING", "false"),
    ("ENABLE_IPv4", "true"),
    ("ENABLE_IPv6", "false"),
    ("ENABLE_POD_ENI", "false"),
    ("ENABLE_PREFIX_DELEGATION", "false"),
    ("ENABLE_SUBNET_DISCOVERY", "true"),
    ("NETWORK_POLICY_ENFORCING_MODE", "standard"),
    ("WARM_ENI_TARGET", "1"),
    ("WARM_PREFIX_TARGET", "1"),
];

/// Folders of the node that the daemon sees: its volume's name, where it is, and where the daemon finds it.
const FOLDERS: [(&str, &str, &str); 7] = [
    ("cni-bin-dir", "/opt/cni/bin", "/host/opt/cni/bin"),
    ("cni-net-dir", "/etc/cni/net.d", "/host/etc/cni/net.d"),
    ("run-dir", "/var/run/aws-node", "/var/run/aws-node"),
    ("log-dir", "/var/log/aws-routed-eni", "/var/log/aws-routed-eni"),
    // Where earlier daemons have their leases: a node that booted with one goes on with it.
    ("state-dir", "/var/lib/aws-node", "/var/lib/aws-node"),
    ("netns-dir", "/run/netns", "/run/netns"),
    ("containerd-dir", "/run/containerd", "/run/containerd"),
];

pub fn objects(release: &Release) -> Vec<Value> {
    let labels = json!({
        "app.kubernetes.io/instance": "aws-vpc-cni",
        "app.kubernetes.io/name": "aws-node",
        "app.kubernetes.io/version": format!("v{}", release.software()),
        "k8s-app": "aws-node",
    });
    vec![
        account("aws-node", &labels),
        cluster_wide(RBAC_V1, "ClusterRole", "aws-node", &labels, json!({"rules": rules()})),
        binding("aws-node", "aws-node", "aws-node", &labels),
        eni_configs(&labels),
        namespaced("apps/v1", "DaemonSet", "aws-node", &labels, json!({"spec": daemon_set(release)})),
    ]
}

fn rules() -> Value {
    json!([
        {"apiGroups": ["crd.k8s.amazonaws.com"], "resources": ["eniconfigs"], "verbs": ["list", "watch", "get"]},
        {"apiGroups": [""], "resources": ["namespaces", "pods", "nodes"], "verbs": ["list", "watch", "get"]},
        {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch", "list"]},
    ])
}

/// Where pods get their addresses from with custom networking.
fn eni_configs(labels: &Value) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let version = json!({"name": "v1alpha1", "served": true, "storage": true, "schema": schema});
    let names =
        json!({"kind": "ENIConfig", "listKind": "ENIConfigList", "plural": "eniconfigs", "singular": "eniconfig"});
    let spec = json!({"group": "crd.k8s.amazonaws.com", "names": names, "scope": "Cluster", "versions": [version]});
    let name = "eniconfigs.crd.k8s.amazonaws.com";
    cluster_wide("apiextensions.k8s.io/v1", "CustomResourceDefinition", name, labels, json!({"spec": spec}))
}

/// EKS's has an init container, `aws-vpc-cni-init`, that installs the plugin. A kubelet sees that one has ended when it next
/// lists containers, up to a second later, for which a new node would not be Ready: here the daemon installs it.
fn daemon_set(release: &Release) -> Value {
    let image = SystemImage::VpcCni.reference(&release.facts.region, release.software());
    let mounts: Vec<Value> = FOLDERS.iter().map(|(name, _, inside)| mount(name, inside)).collect();
    let mut container = json!({
        "name": "aws-node",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": SystemImage::AWS_NODE,
        "env": environment(release),
        "ports": [{"containerPort": 61678, "hostPort": 61678, "name": "metrics", "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "25m"}},
        "securityContext": {"privileged": true},
        "volumeMounts": mounts,
    });
    // The probes ask the introspection server.
    let disabled = &release.configuration["env"]["DISABLE_INTROSPECTION"];
    if *disabled != json!("true") && *disabled != json!(true) {
        container["livenessProbe"] = json!({"tcpSocket": at(), "initialDelaySeconds": 60, "timeoutSeconds": 10});
        let mut healthy = at();
        healthy["path"] = json!("/healthz");
        container["readinessProbe"] = json!({"httpGet": healthy, "periodSeconds": 2, "timeoutSeconds": 10});
    }
    let volumes =
        FOLDERS.map(|(name, path, _)| json!({"name": name, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}));
    let selector = json!({"k8s-app": "aws-node"});
    let labels = json!({"app.kubernetes.io/instance": "aws-vpc-cni", "app.kubernetes.io/name": "aws-node", "k8s-app": "aws-node"});
    let mut template = json!({
        "metadata": {"labels": labels},
        "spec": {
            "affinity": on_nodes(&["fargate", "hybrid", "auto"]),
            "containers": [container],
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            "securityContext": {},
            "serviceAccountName": "aws-node",
            "terminationGracePeriodSeconds": 10,
            "tolerations": [{"operator": "Exists"}],
            "volumes": volumes,
        },
    });
    configure(&mut template, &release.configuration);
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}});
    json!({"selector": {"matchLabels": selector}, "template": template, "updateStrategy": strategy})
}

/// Where the daemon tells how it is, in the node's own network.
fn at() -> Value {
    json!({"host": "127.0.0.1", "port": 61679})
}

fn mount(name: &str, inside: &str) -> Value {
    let mut mount = json!({"name": name, "mountPath": inside});
    if name == "netns-dir" {
        // Namespaces that containerd makes while the daemon runs are mounts of their own there.
        mount["mountPropagation"] = json!("HostToContainer");
    }
    mount
}

/// The defaults, what the cluster decides, and over both what the user has configured.
fn environment(release: &Release) -> Vec<Value> {
    let facts = &release.facts;
    let mut all: std::collections::BTreeMap<String, String> =
        ENVIRONMENT.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.extend([
        ("AWS_ENDPOINT_URL".into(), format!("http://{}", link_local::API)),
        ("AWS_REGION".into(), facts.region.clone()),
        ("CLUSTER_ENDPOINT".into(), facts.endpoint.clone()),
        ("CLUSTER_NAME".into(), facts.cluster.clone()),
        ("VPC_CNI_VERSION".into(), format!("v{}", release.software())),
        ("VPC_ID".into(), facts.vpc.clone()),
    ]);
    for (name, value) in release.configuration["env"].as_object().into_iter().flatten() {
        all.insert(name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let mut env: Vec<Value> = all.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let field = |name: &str, path: &str| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
    env.extend([field("MY_NODE_NAME", "spec.nodeName"), field("MY_POD_NAME", "metadata.name")]);
    env
}
