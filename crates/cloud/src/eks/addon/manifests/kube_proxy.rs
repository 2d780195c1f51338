use super::{account, binding, configure, namespaced, on_nodes};
use crate::eks::addon::model::Release;
use roadstead_hostspec::SystemImage;
use serde_json::{Value, json};

pub fn objects(release: &Release) -> Vec<Value> {
    let labels = json!({"eks.amazonaws.com/component": "kube-proxy", "k8s-app": "kube-proxy"});
    let config = |name: &str, file: &str, text: String| {
        namespaced("v1", "ConfigMap", name, &labels, json!({"data": {file: text}}))
    };
    vec![
        account("kube-proxy", &labels),
        binding("eks:kube-proxy", "system:node-proxier", "kube-proxy", &labels),
        config("kube-proxy", "kubeconfig", kubeconfig(&release.facts.endpoint)),
        config("kube-proxy-config", "config", configuration(release)),
        namespaced("apps/v1", "DaemonSet", "kube-proxy", &labels, json!({"spec": daemon_set(release)})),
    ]
}

/// It finds the API by the balancer's own address: by that of the Service it would have to be there before itself.
fn kubeconfig(endpoint: &str) -> String {
    format!(
        "\
apiVersion: v1
kind: Config
clusters:
- name: default
  cluster:
    certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
    server: {endpoint}
contexts:
- name: default
  context:
    cluster: default
    namespace: default
    user: default
current-context: default
users:
- name: default
  user:
    tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
"
    )
}

/// A machine's connection tracking belongs to its host: kube-proxy must not set its sizes and would end when it tries.
/// Nor may it be preferred to other processes when memory is short.
fn configuration(release: &Release) -> String {
    let mode = release.configuration["mode"].as_str().unwrap_or("nftables");
    format!(
        "\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: 0.0.0.0
clientConnection:
  acceptContentTypes: \"\"
  burst: 10
  contentType: application/vnd.kubernetes.protobuf
  kubeconfig: /var/lib/kube-proxy/kubeconfig
  qps: 5
clusterCIDR: \"\"
configSyncPeriod: 15m0s
conntrack:
  maxPerCore: 0
  min: 0
  tcpCloseWaitTimeout: 0s
  tcpEstablishedTimeout: 0s
enableProfiling: false
healthzBindAddress: 0.0.0.0:10256
metricsBindAddress: 0.0.0.0:10249
mode: {mode}
nftables:
  minSyncPeriod: 1s
  syncPeriod: 30s
oomScoreAdj: 0
portRange: \"\"
"
    )
}

fn daemon_set(release: &Release) -> Value {
    let mount = |name: &str, path: &str, only: bool| json!({"name": name, "mountPath": path, "readOnly": only});
    let node =
        json!({"name": "NODE_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}});
    let container = json!({
        "name": "kube-proxy",
        "image": SystemImage::KubeProxy.reference(&release.facts.region, release.software()),
        "imagePullPolicy": "IfNotPresent",
        "command": [
            "kube-proxy", "--v=2", "--config=/var/lib/kube-proxy-config/config", "--hostname-override=$(NODE_NAME)",
        ],
        "env": [node],
        "resources": {"requests": {"cpu": "100m"}},
        "securityContext": {"privileged": true},
        "volumeMounts": [
            mount("kubeconfig", "/var/lib/kube-proxy/", false),
            mount("config", "/var/lib/kube-proxy-config/", false),
        ],
    });
    let mut template = json!({
        "metadata": {"labels": {"k8s-app": "kube-proxy"}},
        "spec": {
            "affinity": on_nodes(&["fargate", "auto"]),
            "containers": [container],
            "hostNetwork": true,
            "priorityClassName": "system-node-critical",
            "serviceAccountName": "kube-proxy",
            "tolerations": [{"operator": "Exists"}],
            "volumes": [
                {"name": "kubeconfig", "configMap": {"name": "kube-proxy", "defaultMode": 420}},
                {"name": "config", "configMap": {"name": "kube-proxy-config", "defaultMode": 420}},
            ],
        },
    });
    configure(&mut template, &release.configuration);
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}});
    json!({"selector": {"matchLabels": {"k8s-app": "kube-proxy"}}, "template": template, "updateStrategy": strategy})
}
