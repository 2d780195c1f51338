use super::{RBAC, RBAC_V1, account, binding, budget, cluster_wide, configure, namespaced, on_nodes};
use crate::eks::addon::model::Release;
use roadstead_hostspec::SystemImage;
use serde_json::{Value, json};

const NAME: &str = "metrics-server";
/// How many run unless the user says otherwise (EKS user guide, "Community add-ons").
const REPLICAS: u64 = 2;
/// Where it serves: upstream's port is a kubelet's, which Fargate has no other for (EKS user guide, "View resource usage
/// with the Kubernetes Metrics Server").
const PORT: u16 = 10251;

/// As EKS has it: upstream's chart, twice, on a port of its own. It asks kubelets over TLS, and believes the certificates
/// that the cluster's authority gave them.
pub fn objects(release: &Release) -> Vec<Value> {
    let mut labels = selector();
    labels["app.kubernetes.io/version"] = json!(release.software());
    let mut objects = vec![
        account(NAME, &labels),
        reader(&labels),
        cluster_wide(RBAC_V1, "ClusterRole", "system:metrics-server", &labels, json!({"rules": rules()})),
        binding("metrics-server:system:auth-delegator", "system:auth-delegator", NAME, &labels),
        binding("system:metrics-server", "system:metrics-server", NAME, &labels),
        front_proxy(&labels),
        service(&labels),
        namespaced("apps/v1", "Deployment", NAME, &labels, json!({"spec": deployment(release)})),
    ];
    objects.extend(budget(NAME, &selector(), &labels, &release.configuration));
    objects.push(api_service(&labels));
    objects
}

fn selector() -> Value {
    json!({"app.kubernetes.io/instance": NAME, "app.kubernetes.io/name": NAME})
}

/// Who may view, edit or administer a namespace may see what its pods use.
fn reader(labels: &Value) -> Value {
    let mut labels = labels.clone();
    for role in ["admin", "edit", "view"] {
        labels[format!("rbac.authorization.k8s.io/aggregate-to-{role}")] = json!("true");
    }
    let rules =
        json!([{"apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}]);
    let name = "system:metrics-server-aggregated-reader";
    cluster_wide(RBAC_V1, "ClusterRole", name, &labels, json!({"rules": rules}))
}

fn rules() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
    ])
}

/// Whom API servers that pass requests on are known by.
fn front_proxy(labels: &Value) -> Value {
    let role = json!({"apiGroup": RBAC, "kind": "Role", "name": "extension-apiserver-authentication-reader"});
    let subjects = json!([{"kind": "ServiceAccount", "name": NAME, "namespace": super::NAMESPACE}]);
    let rest = json!({"roleRef": role, "subjects": subjects});
    namespaced(RBAC_V1, "RoleBinding", "metrics-server-auth-reader", labels, rest)
}

fn service(labels: &Value) -> Value {
    let port = json!({"appProtocol": "https", "name": "https", "port": 443, "protocol": "TCP", "targetPort": "https"});
    namespaced("v1", "Service", NAME, labels, json!({"spec": {"ports": [port], "selector": selector()}}))
}

/// Its certificate is its own, made anew with each pod: as upstream, API servers do not ask who signed it.
fn api_service(labels: &Value) -> Value {
    let spec = json!({
        "group": "metrics.k8s.io",
        "groupPriorityMinimum": 100,
        "insecureSkipTLSVerify": true,
        "service": {"name": NAME, "namespace": super::NAMESPACE, "port": 443},
        "version": "v1beta1",
        "versionPriority": 100,
    });
    let name = "v1beta1.metrics.k8s.io";
    cluster_wide("apiregistration.k8s.io/v1", "APIService", name, labels, json!({"spec": spec}))
}

fn deployment(release: &Release) -> Value {
    let mut affinity = on_nodes(&["fargate"]);
    let near = json!({"labelSelector": {"matchLabels": selector()}, "topologyKey": "kubernetes.io/hostname"});
    affinity["podAntiAffinity"] =
        json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": near, "weight": 100}]});
    let zones = json!({
        "labelSelector": {"matchLabels": selector()},
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
    });
    let mut template = json!({
        "metadata": {"labels": selector()},
        "spec": {
            "affinity": affinity,
            "containers": [container(release)],
            "priorityClassName": "system-cluster-critical",
            "serviceAccountName": NAME,
            "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
            "topologySpreadConstraints": [zones],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    });
    configure(&mut template, &release.configuration);
    let replicas = release.configuration["replicas"].as_u64().unwrap_or(REPLICAS);
    json!({"replicas": replicas, "selector": {"matchLabels": selector()}, "template": template})
}

fn container(release: &Release) -> Value {
    let mut args = vec![
        json!(format!("--secure-port={PORT}")),
        json!("--cert-dir=/tmp"),
        json!("--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname"),
        json!("--kubelet-use-node-status-port"),
        json!("--metric-resolution=15s"),
    ];
    args.extend(release.configuration["args"].as_array().into_iter().flatten().cloned());
    let probe = |path: &str, period: u32| {
        let get = json!({"path": path, "port": "https", "scheme": "HTTPS"});
        json!({"httpGet": get, "failureThreshold": 3, "periodSeconds": period})
    };
    json!({
        "name": NAME,
        "image": SystemImage::MetricsServer.reference(&release.facts.region, release.software()),
        "imagePullPolicy": "IfNotPresent",
        "args": args,
        "ports": [{"containerPort": PORT, "name": "https", "protocol": "TCP"}],
        "livenessProbe": probe("/livez", 10),
        // It is ready when it has seen every node twice: asked more often than EKS does, which waits 20 s first.
        "readinessProbe": probe("/readyz", 2),
        "resources": {"limits": {"memory": "400Mi"}, "requests": {"cpu": "100m", "memory": "200Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"mountPath": "/tmp", "name": "tmp"}],
    })
}
