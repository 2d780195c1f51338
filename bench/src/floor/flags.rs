//! The floor's command lines: the flags with which a cluster's machines run the same programs
//! (crates/cloud/src/eks/cluster/control_plane.rs has the reasons). Addresses and places differ, and what it takes that
//! all share one address: `--secure-port`, `--bind-address`. [`crate::running::differences`] compares at run time.

use super::site::{Server, Site};
use anyhow::Result;
use std::fs;

/// The command line of etcd member `index`.
pub fn etcd(site: &Site, index: usize) -> Vec<String> {
    let (pki, url) = (site.pki(), |port: u16| format!("https://{}:{port}", site.address));
    let peers: Vec<_> =
        site.members.iter().zip(1..).map(|(member, n)| format!("etcd-{n}={}", url(member.peer))).collect();
    let member = &site.members[index];
    vec![
        site.etcd.join("etcd").display().to_string(),
        format!("--name=etcd-{}", index + 1),
        format!("--data-dir={}", site.folder.join(format!("etcd-{}", index + 1)).display()),
        format!("--initial-cluster={}", peers.join(",")),
        "--initial-cluster-token=floor".into(),
        "--initial-cluster-state=new".into(),
        "--strict-reconfig-check=true".into(),
        "--election-timeout=700".into(),
        "--feature-gates=InitialCorruptCheck=true".into(),
        format!("--listen-peer-urls={}", url(member.peer)),
        format!("--initial-advertise-peer-urls={}", url(member.peer)),
        format!("--listen-client-urls={}", url(member.client)),
        format!("--advertise-client-urls={}", url(member.client)),
        format!("--listen-metrics-urls=http://{}:{}", site.address, member.metrics),
        format!("--cert-file={pki}/etcd.crt"),
        format!("--key-file={pki}/etcd.key"),
        format!("--trusted-ca-file={pki}/etcd-ca.crt"),
        "--client-cert-auth".into(),
        format!("--peer-cert-file={pki}/etcd.crt"),
        format!("--peer-key-file={pki}/etcd.key"),
        format!("--peer-trusted-ca-file={pki}/etcd-ca.crt"),
        "--peer-client-cert-auth".into(),
        "--quota-backend-bytes=8589934592".into(),
    ]
}

/// The command line of an API server.
pub fn apiserver(site: &Site, server: &Server) -> Vec<String> {
    let (pki, folder) = (site.pki(), site.folder.display());
    let etcd: Vec<_> = site.members.iter().map(|m| format!("https://{}:{}", site.address, m.client)).collect();
    vec![
        site.kubernetes.join("kube-apiserver").display().to_string(),
        format!("--advertise-address={}", site.address),
        format!("--bind-address={}", site.address),
        format!("--secure-port={}", server.api.port()),
        format!("--etcd-servers={}", etcd.join(",")),
        format!("--etcd-cafile={pki}/etcd-ca.crt"),
        format!("--etcd-certfile={pki}/etcd-client.crt"),
        format!("--etcd-keyfile={pki}/etcd-client.key"),
        format!("--tls-cert-file={pki}/apiserver.crt"),
        format!("--tls-private-key-file={pki}/apiserver.key"),
        "--tls-min-version=VersionTLS12".into(),
        format!("--client-ca-file={pki}/ca.crt"),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={pki}/sa.pub"),
        format!("--service-account-signing-key-file={pki}/sa.key"),
        "--api-audiences=https://kubernetes.default.svc".into(),
        "--service-cluster-ip-range=10.100.0.0/16".into(),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        format!("--authentication-config={folder}/authentication.yaml"),
        format!("--authentication-token-webhook-config-file={folder}/token-webhook.kubeconfig"),
        "--authentication-token-webhook-version=v1".into(),
        "--authentication-token-webhook-cache-ttl=5s".into(),
        format!("--kubelet-certificate-authority={pki}/ca.crt"),
        format!("--kubelet-client-certificate={pki}/kubelet-client.crt"),
        format!("--kubelet-client-key={pki}/kubelet-client.key"),
        "--kubelet-preferred-address-types=InternalIP".into(),
        format!("--requestheader-client-ca-file={pki}/front-ca.crt"),
        "--requestheader-allowed-names=front-proxy-client".into(),
        "--requestheader-username-headers=X-Remote-User".into(),
        "--requestheader-group-headers=X-Remote-Group".into(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".into(),
        format!("--proxy-client-cert-file={pki}/front-client.crt"),
        format!("--proxy-client-key-file={pki}/front-client.key"),
        "--enable-aggregator-routing=true".into(),
        "--endpoint-reconciler-type=none".into(),
        format!("--encryption-provider-config={folder}/encryption.yaml"),
        format!("--audit-policy-file={folder}/audit.yaml"),
        format!("--audit-log-path={folder}/audit-{}.json", server.api.port()),
        "--audit-log-mode=batch".into(),
        "--audit-log-maxsize=50".into(),
        "--audit-log-maxbackup=4".into(),
        "--profiling=false".into(),
        "--goaway-chance=0.001".into(),
    ]
}

/// The command line of the controller-manager beside an API server.
pub fn controller_manager(site: &Site, server: &Server) -> Vec<String> {
    let pki = site.pki();
    let mut argv = controller(site, server, "kube-controller-manager", server.controller_manager);
    argv.extend([
        format!("--service-account-private-key-file={pki}/sa.key"),
        format!("--root-ca-file={pki}/ca.crt"),
        "--use-service-account-credentials".into(),
        format!("--cluster-signing-cert-file={pki}/ca.crt"),
        format!("--cluster-signing-key-file={pki}/ca.key"),
        "--service-cluster-ip-range=10.100.0.0/16".into(),
        "--kube-api-qps=500".into(),
        "--kube-api-burst=1000".into(),
    ]);
    argv
}

/// The command line of the scheduler beside an API server.
pub fn scheduler(site: &Site, server: &Server) -> Vec<String> {
    controller(site, server, "kube-scheduler", server.scheduler)
}

fn controller(site: &Site, server: &Server, name: &str, port: u16) -> Vec<String> {
    let (pki, kubeconfig) = (site.pki(), site.folder.join(kubeconfig_name(name, server)));
    let kubeconfig = kubeconfig.display();
    vec![
        site.kubernetes.join(name).display().to_string(),
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        format!("--bind-address={}", site.address),
        format!("--secure-port={port}"),
        format!("--tls-cert-file={pki}/apiserver.crt"),
        format!("--tls-private-key-file={pki}/apiserver.key"),
        "--leader-elect=true".into(),
        "--leader-elect-lease-duration=6s".into(),
        "--leader-elect-renew-deadline=4s".into(),
        "--leader-elect-retry-period=2s".into(),
        "--profiling=false".into(),
    ]
}

/// Writes the files that the flags name, keys excepted.
///
/// # Errors
/// One can't be written.
pub fn write_files(site: &Site) -> Result<()> {
    let write = |name: &str, text: &str| fs::write(site.folder.join(name), text);
    for server in &site.servers {
        for name in ["kube-controller-manager", "kube-scheduler"] {
            let client = format!("client-certificate: {0}/{name}.crt, client-key: {0}/{name}.key", site.pki());
            write(&kubeconfig_name(name, server), &kubeconfig(site, &format!("https://{}", server.api), &client))?;
        }
    }
    // Nobody answers there, and nobody asks: all that the floor's clients show is certificates and service accounts.
    write("token-webhook.kubeconfig", &kubeconfig(site, &format!("https://{}:1/", site.address), ""))?;
    write("authentication.yaml", AUTHENTICATION)?;
    write("encryption.yaml", ENCRYPTION)?;
    Ok(write("audit.yaml", AUDIT)?)
}

fn kubeconfig_name(name: &str, server: &Server) -> String {
    format!("{name}-{}.kubeconfig", server.api.port())
}

fn kubeconfig(site: &Site, server: &str, user: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: cluster
  cluster: {{server: \"{server}\", certificate-authority: {}/ca.crt}}
users:
- name: user
  user: {{{user}}}
contexts:
- name: context
  context: {{cluster: cluster, user: user}}
current-context: context
",
        site.pki()
    )
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

/// The key is nobody's secret: what it seals lives for seconds.
const ENCRYPTION: &str = "\
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - secretbox:
      keys:
      - name: key1
        secret: MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=
  - identity: {}
";

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
