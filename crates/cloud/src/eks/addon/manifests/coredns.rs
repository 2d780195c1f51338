use super::{RBAC_V1, account, binding, budget, cluster_wide, configure, namespaced, on_nodes};
use crate::eks::addon::model::Release;
use roadstead_hostspec::SystemImage;
use serde_json::{Value, json};

/// As EKS configures it; what it does not know itself it asks the VPC's resolver, as the node does.
const COREFILE: &str = "\
.:53 {
    errors
    health {
        lameduck 5s
      }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
}
";

/// How many run unless the user says otherwise.
const REPLICAS: u64 = 2;

pub fn objects(release: &Release) -> Vec<Value> {
    let labels =
        json!({"eks.amazonaws.com/component": "coredns", "k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"});
    let corefile = release.configuration["corefile"].as_str().unwrap_or(COREFILE);
    let mut objects = vec![
        account("coredns", &labels),
        cluster_wide(RBAC_V1, "ClusterRole", "system:coredns", &labels, json!({"rules": rules()})),
        binding("system:coredns", "system:coredns", "coredns", &labels),
        namespaced("v1", "ConfigMap", "coredns", &labels, json!({"data": {"Corefile": corefile}})),
        service(release),
        namespaced("apps/v1", "Deployment", "coredns", &labels, json!({"spec": deployment(release)})),
    ];
    objects.extend(budget("coredns", &selector(), &labels, &release.configuration));
    objects
}

fn rules() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ])
}

/// At the tenth address of the services' block, as kubelets are told (nodeadm: `clusterDNS`).
fn service(release: &Release) -> Value {
    let labels = json!({
        "eks.amazonaws.com/component": "kube-dns",
        "k8s-app": "kube-dns",
        "kubernetes.io/cluster-service": "true",
        "kubernetes.io/name": "CoreDNS",
    });
    let port = |name: &str, port: u16, protocol: &str| json!({"name": name, "port": port, "protocol": protocol, "targetPort": port});
    let spec = json!({
        "clusterIP": release.facts.dns.to_string(),
        "ports": [port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")],
        "selector": {"k8s-app": "kube-dns"},
    });
    let mut service = namespaced("v1", "Service", "kube-dns", &labels, json!({"spec": spec}));
    service["metadata"]["annotations"] = json!({"prometheus.io/port": "9153", "prometheus.io/scrape": "true"});
    service
}

fn deployment(release: &Release) -> Value {
    let mut affinity = on_nodes(&["fargate", "auto"]);
    let near =
        json!({"labelSelector": {"matchLabels": {"k8s-app": "kube-dns"}}, "topologyKey": "kubernetes.io/hostname"});
    affinity["podAntiAffinity"] =
        json!({"preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": near, "weight": 100}]});
    let zones = json!({
        "labelSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        "maxSkew": 1,
        "topologyKey": "topology.kubernetes.io/zone",
        "whenUnsatisfiable": "ScheduleAnyway",
    });
    let items = json!([{"key": "Corefile", "path": "Corefile"}]);
    let mut template = json!({
        "metadata": {"labels": selector()},
        "spec": {
            "affinity": affinity,
            "containers": [container(release)],
            "dnsPolicy": "Default",
            "priorityClassName": "system-cluster-critical",
            "serviceAccountName": "coredns",
            "tolerations": [
                {"effect": "NoSchedule", "key": "node-role.kubernetes.io/control-plane"},
                {"key": "CriticalAddonsOnly", "operator": "Exists"},
            ],
            "topologySpreadConstraints": [zones],
            "volumes": [{"name": "config-volume", "configMap": {"name": "coredns", "defaultMode": 420, "items": items}}],
        },
    });
    configure(&mut template, &release.configuration);
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 1}});
    let selector = json!({"matchLabels": selector()});
    json!({"replicas": replicas(release), "selector": selector, "strategy": strategy, "template": template})
}

fn selector() -> Value {
    json!({"eks.amazonaws.com/component": "coredns", "k8s-app": "kube-dns"})
}

fn replicas(release: &Release) -> u64 {
    release.configuration["replicaCount"].as_u64().unwrap_or(REPLICAS)
}

fn container(release: &Release) -> Value {
    let port =
        |name: &str, port: u16, protocol: &str| json!({"containerPort": port, "name": name, "protocol": protocol});
    let probe = |path: &str, port: u16| json!({"httpGet": {"path": path, "port": port, "scheme": "HTTP"}});
    let mut live = probe("/health", 8080);
    for (name, value) in
        [("failureThreshold", 5), ("initialDelaySeconds", 60), ("successThreshold", 1), ("timeoutSeconds", 5)]
    {
        live[name] = json!(value);
    }
    let mut ready = probe("/ready", 8181);
    // A cluster waits for its DNS: asked each second, not each ten.
    ready["periodSeconds"] = json!(1);
    json!({
        "name": "coredns",
        "image": SystemImage::CoreDns.reference(&release.facts.region, release.software()),
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [port("dns", 53, "UDP"), port("dns-tcp", 53, "TCP"), port("metrics", 9153, "TCP")],
        "livenessProbe": live,
        "readinessProbe": ready,
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": true,
        },
        "volumeMounts": [{"mountPath": "/etc/coredns", "name": "config-volume", "readOnly": true}],
    })
}
