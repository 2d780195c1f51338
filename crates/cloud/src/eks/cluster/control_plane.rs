//! What the machines of a control plane run: every flag of etcd, kube-apiserver, kube-controller-manager and
//! kube-scheduler, and why it is not the default.

use super::model::{Member, Placement, Server, Spec};
use super::pki::{Pki, REVIEWER};
use crate::ec2::instance::Image;
use crate::eks::etcd::{CLIENT_PORT, peer_url};
use crate::settings::KubernetesVersion;
use roadstead_hostspec::{Content, File, Liveness, Probe, Process, Profile};
use roadstead_types::Millis;
use std::net::Ipv4Addr;

/// TCP port of the API servers, and of the balancer before them.
pub const API_PORT: u16 = 443;
/// The process that serves there.
pub const API_SERVER: &str = "kube-apiserver";
/// The process of an etcd member.
pub const ETCD: &str = "etcd";
/// TCP port of the token reviewer.
pub const REVIEWER_PORT: u16 = 9443;

const PKI: &str = "/etc/kubernetes/pki";
const ETCD_PKI: &str = "/etc/etcd/pki";

/// What an etcd member runs.
pub fn etcd(spec: &Spec, placement: &Placement, pki: &Pki, components: &str, member: &Member) -> Image {
    let ip = member.address;
    let peers: Vec<String> = placement.members.iter().map(|m| format!("{}={}", m.name, peer_url(m.address))).collect();
    // Whoever was there from the beginning founds the cluster; who comes later must never found another one.
    let state = if member.joined { "existing" } else { "new" };
    let argv = vec![
        format!("/opt/components/{components}/etcd"),
        format!("--name={}", member.name),
        "--data-dir=/var/lib/etcd/data".into(),
        format!("--initial-cluster={}", peers.join(",")),
        format!("--initial-cluster-token={}", spec.id),
        format!("--initial-cluster-state={state}"),
        "--strict-reconfig-check=true".into(),
        // A follower waits for one to two of these before it takes the leader for dead; nobody can write meanwhile. Seven
        // heartbeats (100 ms) are still many times what the way takes or a busy disk holds a member up.
        "--election-timeout=700".into(),
        // A member whose data went bad on disk refuses to start, instead of spreading it.
        "--feature-gates=InitialCorruptCheck=true".into(),
        format!("--listen-peer-urls={}", peer_url(ip)),
        format!("--initial-advertise-peer-urls={}", peer_url(ip)),
        format!("--listen-client-urls=https://{ip}:{CLIENT_PORT}"),
        format!("--advertise-client-urls=https://{ip}:{CLIENT_PORT}"),
        // Health without a client certificate, inside the machine only.
        "--listen-metrics-urls=http://127.0.0.1:2381".into(),
        format!("--cert-file={ETCD_PKI}/member.crt"),
        format!("--key-file={ETCD_PKI}/member.key"),
        format!("--trusted-ca-file={ETCD_PKI}/ca.crt"),
        "--client-cert-auth".into(),
        format!("--peer-cert-file={ETCD_PKI}/member.crt"),
        format!("--peer-key-file={ETCD_PKI}/member.key"),
        format!("--peer-trusted-ca-file={ETCD_PKI}/ca.crt"),
        "--peer-client-cert-auth".into(),
        // EKS: 8 GB a cluster (reference §3).
        "--quota-backend-bytes=8589934592".into(),
    ];
    let health = |path: &str| Probe::Http { address: Ipv4Addr::LOCALHOST, port: 2381, path: path.into() };
    let probes = Probes {
        // Includes a linearizable read: a ready member has a quorum, and its write-ahead log is written, since a member
        // whose disk stalls there learns of no commit any more.
        ready: health("/readyz"),
        // A serializable read: no other member has a say in it. It waits while the backend commits, so it ends, too, when
        // the disk stalls under that.
        live: health("/livez"),
    };
    let mut etcd = process(ETCD, argv, &[], probes);
    // For what clients have asked. Longer is for nothing: it would wait 7 s for their watches, which never end (embed's
    // `stopServers`), before it hands its leadership over and closes its files; what it acknowledged is on the disk already.
    etcd.grace = Some(Millis(500));
    // So it is done before: the others need not notice that it is gone, and elect.
    etcd.pre_stop = vec![
        "/opt/roadstead/roadstead".into(),
        "guest".into(),
        "hand-over".into(),
        format!("/opt/components/{components}/etcdctl"),
        format!("--endpoints=https://{ip}:{CLIENT_PORT}"),
        format!("--cacert={ETCD_PKI}/ca.crt"),
        format!("--cert={ETCD_PKI}/member.crt"),
        format!("--key={ETCD_PKI}/member.key"),
    ];
    let mut files = pki.pair(&member.name, &format!("{ETCD_PKI}/member")).to_vec();
    files.push(pki.certificate("etcd-ca", &format!("{ETCD_PKI}/ca.crt")));
    Image {
        hostname: member.name.clone(),
        profile: Profile::Service,
        cpu_millis: 0,
        memory_bytes: 2 << 30,
        components: vec![components.into()],
        files,
        processes: vec![etcd],
    }
}

/// What an API machine runs.
pub fn api(spec: &Spec, placement: &Placement, pki: &Pki, version: &KubernetesVersion, server: &Server) -> Image {
    let probes = |port, ready: &str, live: &str| {
        let probe = |path: &str| Probe::Https { address: Ipv4Addr::LOCALHOST, port, path: path.into() };
        Probes { ready: probe(ready), live: probe(live) }
    };
    let argv = apiserver(spec, placement, version, server);
    // An API server is no less alive for an etcd that is away; to kill it would not bring that back.
    let mut apiserver = process(API_SERVER, argv, &[], probes(API_PORT, "/readyz", "/livez?exclude=etcd"));
    // It takes some 1 s to finish what it was asked; one that waits for its etcd would take a minute.
    apiserver.grace = Some(Millis::secs(3));
    // Controllers need the bootstrap roles, or exit: they start once their own API server is ready.
    let controller = |name, argv, probes| process(name, argv, &[API_SERVER], probes);
    let processes = vec![
        apiserver,
        controller("kube-controller-manager", controller_manager(spec, version), probes(10257, "/healthz", "/healthz")),
        controller("kube-scheduler", scheduler(version), probes(10259, "/readyz", "/healthz")),
    ];
    Image {
        hostname: server.name.clone(),
        profile: Profile::Service,
        cpu_millis: 0,
        memory_bytes: 4 << 30,
        components: vec![version.components.clone()],
        files: api_files(pki),
        processes,
    }
}

/// What a machine runs that is to show that a version's programs are there: each says its version, and ends.
pub fn trial(version: &KubernetesVersion) -> Image {
    let says = |name: &&str| Process {
        name: (*name).into(),
        argv: vec![format!("/opt/components/{}/{name}", version.components), "--version".into()],
        env: Default::default(),
        after: vec![],
        ready: None,
        live: None,
        pre_stop: vec![],
        grace: None,
        once: true,
    };
    Image {
        hostname: "trial".into(),
        profile: Profile::Service,
        cpu_millis: 0,
        memory_bytes: 1 << 30,
        components: vec![version.components.clone()],
        files: vec![],
        processes: [API_SERVER, "kube-controller-manager", "kube-scheduler"].iter().map(says).collect(),
    }
}

fn apiserver(spec: &Spec, placement: &Placement, version: &KubernetesVersion, server: &Server) -> Vec<String> {
    let etcd: Vec<String> = placement.members.iter().map(|m| format!("https://{}:{CLIENT_PORT}", m.address)).collect();
    vec![
        format!("/opt/components/{}/{API_SERVER}", version.components),
        format!("--advertise-address={}", server.front_address),
        format!("--secure-port={API_PORT}"),
        format!("--etcd-servers={}", etcd.join(",")),
        format!("--etcd-cafile={PKI}/etcd-ca.crt"),
        format!("--etcd-certfile={PKI}/etcd-client.crt"),
        format!("--etcd-keyfile={PKI}/etcd-client.key"),
        format!("--tls-cert-file={PKI}/apiserver.crt"),
        format!("--tls-private-key-file={PKI}/apiserver.key"),
        "--tls-min-version=VersionTLS12".into(),
        format!("--client-ca-file={PKI}/ca.crt"),
        format!("--service-account-issuer={}", spec.issuer()),
        format!("--service-account-key-file={PKI}/sa.pub"),
        format!("--service-account-signing-key-file={PKI}/sa.key"),
        "--api-audiences=https://kubernetes.default.svc".into(),
        format!("--service-cluster-ip-range={}", spec.service_cidr),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        // aws-node and kube-proxy are privileged pods.
        "--allow-privileged=true".into(),
        // Anonymous requests reach the health endpoints (the balancer's checks) and nothing else.
        "--authentication-config=/etc/kubernetes/authentication.yaml".into(),
        "--authentication-token-webhook-config-file=/etc/kubernetes/token-webhook.kubeconfig".into(),
        "--authentication-token-webhook-version=v1".into(),
        // A disabled key is refused, a new one known, within this.
        "--authentication-token-webhook-cache-ttl=5s".into(),
        format!("--kubelet-certificate-authority={PKI}/ca.crt"),
        format!("--kubelet-client-certificate={PKI}/kubelet-client.crt"),
        format!("--kubelet-client-key={PKI}/kubelet-client.key"),
        "--kubelet-preferred-address-types=InternalIP".into(),
        format!("--requestheader-client-ca-file={PKI}/front-ca.crt"),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        format!("--proxy-client-cert-file={PKI}/front-client.crt"),
        format!("--proxy-client-key-file={PKI}/front-client.key"),
        // No kube-proxy runs beside it: webhooks and aggregated APIs are reached by pod address.
        "--enable-aggregator-routing=true".into(),
        // The `kubernetes` Service leads to the balancer, kept by us: the built-in lease keeps a dead server 15 s.
        "--endpoint-reconciler-type=none".into(),
        "--encryption-provider-config=/etc/kubernetes/encryption.yaml".into(),
        "--audit-policy-file=/etc/kubernetes/audit.yaml".into(),
        "--audit-log-path=/var/log/kubernetes/audit.log".into(),
        "--audit-log-mode=batch".into(),
        "--audit-log-maxsize=50".into(),
        "--audit-log-maxbackup=4".into(),
        "--profiling=false".into(),
        // Spreads long HTTP/2 connections over the servers again after one came back.
        "--goaway-chance=0.001".into(),
    ]
}

fn controller_manager(spec: &Spec, version: &KubernetesVersion) -> Vec<String> {
    let mut argv = component(version, "kube-controller-manager");
    argv.extend([
        format!("--service-account-private-key-file={PKI}/sa.key"),
        format!("--root-ca-file={PKI}/ca.crt"),
        "--use-service-account-credentials".into(),
        format!("--cluster-signing-cert-file={PKI}/ca.crt"),
        format!("--cluster-signing-key-file={PKI}/ca.key"),
        format!("--service-cluster-ip-range={}", spec.service_cidr),
        // Its client's default of 20 requests a second is most of its start.
        "--kube-api-qps=500".into(),
        "--kube-api-burst=1000".into(),
    ]);
    argv
}

fn scheduler(version: &KubernetesVersion) -> Vec<String> {
    component(version, "kube-scheduler")
}

/// What controller-manager and scheduler share: they talk to their own API server by loopback.
fn component(version: &KubernetesVersion, name: &str) -> Vec<String> {
    let kubeconfig = format!("/etc/kubernetes/{name}.kubeconfig");
    vec![
        format!("/opt/components/{}/{name}", version.components),
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        "--bind-address=127.0.0.1".into(),
        // The machine's own certificate; without one each makes itself an RSA pair at every start.
        format!("--tls-cert-file={PKI}/apiserver.crt"),
        format!("--tls-private-key-file={PKI}/apiserver.key"),
        // The default of 15 s leaves a cluster without controllers for as long after its leader's machine died.
        "--leader-elect=true".into(),
        "--leader-elect-lease-duration=6s".into(),
        "--leader-elect-renew-deadline=4s".into(),
        "--leader-elect-retry-period=2s".into(),
        "--profiling=false".into(),
    ]
}

fn api_files(pki: &Pki) -> Vec<File> {
    let mut files = vec![];
    for name in ["ca", "apiserver", "etcd-client", "kubelet-client", "front-client", "kcm", "scheduler"] {
        files.extend(pki.pair(name, &format!("{PKI}/{name}")));
    }
    for name in ["etcd-ca", "front-ca"] {
        files.push(pki.certificate(name, &format!("{PKI}/{name}.crt")));
    }
    files.push(pki.certificate("sa", &format!("{PKI}/sa.pub")));
    files.push(pki.key("sa", &format!("{PKI}/sa.key")));
    files.push(pki.key("encryption", "/etc/kubernetes/encryption.yaml"));
    let api = format!("https://127.0.0.1:{API_PORT}");
    let webhook = format!("https://{REVIEWER}:{REVIEWER_PORT}/");
    files.extend([
        text("kube-controller-manager.kubeconfig", kubeconfig(&api, Some("kcm"))),
        text("kube-scheduler.kubeconfig", kubeconfig(&api, Some("scheduler"))),
        text("token-webhook.kubeconfig", kubeconfig(&webhook, None)),
        text("authentication.yaml", AUTHENTICATION.into()),
        text("audit.yaml", AUDIT.into()),
    ]);
    files
}

fn text(name: &str, content: String) -> File {
    File { path: format!("/etc/kubernetes/{name}"), mode: 0o600, content: Content::Text(content) }
}

fn kubeconfig(server: &str, client: Option<&str>) -> String {
    let user = match client {
        Some(name) => format!("client-certificate: {PKI}/{name}.crt, client-key: {PKI}/{name}.key"),
        None => String::new(),
    };
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: cluster
  cluster: {{server: \"{server}\", certificate-authority: {PKI}/ca.crt}}
users:
- name: user
  user: {{{user}}}
contexts:
- name: context
  context: {{cluster: cluster, user: user}}
current-context: context
"
    )
}

/// How a process is asked.
struct Probes {
    ready: Probe,
    live: Probe,
}

fn process(name: &str, argv: Vec<String>, after: &[&str], probes: Probes) -> Process {
    let after = after.iter().map(|a| (*a).to_owned()).collect();
    let (ready, live) = (Some(probes.ready), Some(Liveness::of(probes.live)));
    let (env, pre_stop) = Default::default();
    Process { name: name.into(), argv, env, after, ready, live, pre_stop, grace: None, once: false }
}

const AUTHENTICATION: &str = "\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
  - path: /livez
  - path: /readyz
  - path: /healthz
";

/// As EKS records: metadata of everything, bodies of nothing secret, silence for what only watches and renews.
const AUDIT: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: [/healthz*, /livez*, /readyz*, /version]
- level: None
  verbs: [get, list, watch]
  users: [system:kube-controller-manager, system:kube-scheduler, system:apiserver]
- level: None
  resources:
  - group: coordination.k8s.io
    resources: [leases]
- level: None
  resources:
  - group: ''
    resources: [events]
- level: Metadata
";
