//! `guest node kubelet`: waits until it is told its cluster, writes kubelet's configuration and becomes it.

use super::ami::Ami;
use super::containerd::SOCKET;
use super::node_config::{NodeConfig, merge};
use super::{ecr, say, user_data, write};
use crate::ask::imds::Imds;
use crate::hardware::parse_cpus;
use anyhow::{Context as _, Result};
use nix::sys::resource::{Resource, getrlimit};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

const CONFIG: &str = "/etc/kubernetes/kubelet/config.json";
const CA: &str = "/etc/kubernetes/pki/ca.crt";
const KUBECONFIG: &str = "/var/lib/kubelet/kubeconfig";
/// Where this program stands in a machine.
const PROGRAM: &str = "/opt/roadstead/roadstead";
/// Pods of a node whose configuration does not say: Kubernetes' own limit.
const MAX_PODS: u64 = 110;
/// What kubelet asks for itself if it may.
const OPEN_FILES: u64 = 1_000_000;

/// From a question that IMDS did not answer to the next one.
const SOON: Duration = Duration::from_millis(250);
/// Between looks whether there is a NodeConfig by now: user data changes only while an instance is stopped.
const LATER: Duration = Duration::from_secs(10);

/// Returns only when kubelet could not be started.
pub fn run() -> Result<()> {
    let ami = Ami::read()?;
    let (instance, node_config) = wait_to_be_told()?;
    for part in node_config.unheeded() {
        say(&format!("the NodeConfig's spec.{part} is not supported and means nothing here"));
    }
    let hardware = Hardware::read()?;
    write(Path::new(CA), 0o644, &node_config.cluster.authority()?)?;
    write(Path::new(CONFIG), 0o644, &pretty(&config(&instance, &node_config, &hardware)?)?)?;
    ecr::install(PROGRAM, &ami.region)?;
    write(Path::new(KUBECONFIG), 0o600, &pretty(&kubeconfig(&node_config, &ami.region))?)?;
    let mut kubelet = Command::new(ami.kubelet());
    kubelet.args(flags(&instance, &node_config));
    Err(kubelet.exec()).with_context(|| format!("running {}", ami.kubelet().display()))
}

/// What the metadata service says of the instance.
#[derive(Debug)]
pub(super) struct Instance {
    id: String,
    kind: String,
    pub(super) region: String,
    zone: String,
    zone_id: String,
    address: String,
    /// Its private DNS name, which is the node's name.
    pub(super) hostname: String,
}

impl Instance {
    fn ask(imds: &Imds) -> Result<Instance> {
        Ok(Instance {
            id: imds.need("instance-id")?,
            kind: imds.need("instance-type")?,
            region: imds.need("placement/region")?,
            zone: imds.need("placement/availability-zone")?,
            zone_id: imds.need("placement/availability-zone-id")?,
            address: imds.need("local-ipv4")?,
            hostname: imds.need("local-hostname")?,
        })
    }
}

/// Asks IMDS until it answers, and until the user data has a configuration.
///
/// # Errors
/// The configuration can't be used.
pub(super) fn wait_to_be_told() -> Result<(Instance, NodeConfig)> {
    let mut said = String::new();
    loop {
        let (why, pause) = match ask() {
            Ok((instance, user_data)) => {
                let texts = user_data::node_configs(&user_data)?;
                if !texts.is_empty() {
                    return Ok((instance, NodeConfig::read(&texts)?));
                }
                ("the user data has no NodeConfig, so this node has no cluster: it waits for one".to_owned(), LATER)
            }
            Err(why) => (format!("waiting for IMDS: {why:#}"), SOON),
        };
        if why != said {
            say(&why);
            said = why;
        }
        thread::sleep(pause);
    }
}

fn ask() -> Result<(Instance, String)> {
    let imds = Imds::new(None)?;
    Ok((Instance::ask(&imds)?, imds.user_data()?.unwrap_or_default()))
}

/// What kubelet's configuration follows.
struct Hardware {
    cpus: u64,
    /// How many files a process may have open at most.
    open_files: u64,
}

impl Hardware {
    fn read() -> Result<Hardware> {
        const ONLINE: &str = "/sys/devices/system/cpu/online";
        let text = fs::read_to_string(ONLINE).with_context(|| format!("reading {ONLINE}"))?;
        let cpus = parse_cpus(text.trim()).with_context(|| format!("{ONLINE} has '{}'", text.trim()))?;
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).context("reading the limit of open files")?;
        Ok(Hardware { cpus: u64::try_from(cpus.len())?, open_files: most.min(OPEN_FILES) })
    }
}

/// The KubeletConfiguration: as on EKS's own images, but for what a machine without systemd and with namespaces for
/// hardware needs (marked so), and with the user's on top.
fn config(instance: &Instance, node_config: &NodeConfig, hardware: &Hardware) -> Result<Value> {
    let user = Value::Object(node_config.kubelet.config.clone());
    let max_pods = user.get("maxPods").and_then(Value::as_u64).unwrap_or(MAX_PODS);
    let mut config = json!({
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "address": "0.0.0.0",
        "readOnlyPort": 0,
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true, "cacheTTL": "2m0s"},
            "x509": {"clientCAFile": CA},
        },
        "authorization": {
            "mode": "Webhook",
            "webhook": {"cacheAuthorizedTTL": "5m0s", "cacheUnauthorizedTTL": "30s"},
        },
        "serverTLSBootstrap": true,
        "tlsCipherSuites": [
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        ],
        "providerID": format!("aws:///{}/{}", instance.zone, instance.id),
        "clusterDomain": "cluster.local",
        "clusterDNS": [node_config.cluster.dns()?],
        "containerRuntimeEndpoint": format!("unix://{SOCKET}"),
        "hairpinMode": "hairpin-veth",
        "serializeImagePulls": false,
        "maxPods": max_pods,
        // Ours: the root volume is a folder of the host's file system, of which kubelet sees the whole. So a tenth of the
        // volume of 20 GiB is written out, and images, of which all but the user's came with the node, stay.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "2Gi", "nodefs.inodesFree": "5%"},
        "imageGCHighThresholdPercent": 100,
        "kubeReserved": {
            "cpu": format!("{}m", reserved_cpu(hardware.cpus)),
            "memory": format!("{}Mi", 11 * max_pods + 255),
            "ephemeral-storage": "1Gi",
        },
        "logging": {"verbosity": 2},
        // Ours: no systemd; the machine's own cgroups are all that it sees.
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": "/",
        // Ours: hosts with cgroup version 1 will do (KEP-5573).
        "failCgroupV1": false,
        // Ours: the host may have swap; pods use none.
        "failSwapOn": false,
        // Ours: what the kernel is set to is the host's affair.
        "protectKernelDefaults": false,
        // Ours: lowering it takes CAP_SYS_RESOURCE.
        "oomScoreAdj": 0,
        "maxOpenFiles": hardware.open_files,
        // Ours: the default lies in /usr, where nobody writes.
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
    });
    merge(&mut config, user);
    Ok(config)
}

/// Thousandths of a CPU that are kept from pods: 6 % of the first, 1 % of the second, 0.5 % of the next two, 0.25 % of
/// the rest (nodeadm, `getCPUMillicoresToReserve`).
fn reserved_cpu(cpus: u64) -> u64 {
    let of = |from: u64, to: u64, hundredths: u64| cpus.clamp(from, to).saturating_sub(from) * hundredths;
    // 1 % of a CPU is 10 thousandths.
    (of(0, 1, 600) + of(1, 2, 100) + of(2, 4, 50) + of(4, u64::MAX, 25)) / 10
}

/// How kubelet reaches the API, and what it shows there.
fn kubeconfig(node_config: &NodeConfig, region: &str) -> Value {
    let cluster = &node_config.cluster;
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": PROGRAM,
        "args": ["guest", "token", "--cluster-name", cluster.name, "--region", region],
        "interactiveMode": "Never",
    });
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "kubernetes",
            "cluster": {"server": cluster.api_server_endpoint, "certificate-authority": CA},
        }],
        "users": [{"name": "kubelet", "user": {"exec": exec}}],
        "contexts": [{"name": "kubelet", "context": {"cluster": "kubernetes", "user": "kubelet"}}],
        "current-context": "kubelet",
    })
}

fn flags(instance: &Instance, node_config: &NodeConfig) -> Vec<String> {
    let Instance { kind, region, zone, zone_id, address, hostname, .. } = instance;
    // What AWS's cloud controller says of a node.
    let labels = [
        ("node.kubernetes.io/instance-type", kind),
        ("topology.kubernetes.io/region", region),
        ("topology.kubernetes.io/zone", zone),
        ("topology.k8s.aws/zone-id", zone_id),
    ];
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let ours = [
        format!("--config={CONFIG}"),
        format!("--kubeconfig={KUBECONFIG}"),
        format!("--node-ip={address}"),
        format!("--hostname-override={hostname}"),
        format!("--node-labels={}", labels.join(",")),
        format!("--image-credential-provider-config={}", ecr::CONFIG),
        format!("--image-credential-provider-bin-dir={}", ecr::PROGRAMS),
    ];
    // kubelet adds up labels and taints that are given more than once; of anything else the last counts.
    ours.into_iter().chain(node_config.kubelet.flags.iter().cloned()).collect()
}

fn pretty(value: &Value) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec_pretty(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> Instance {
        Instance {
            id: "i-0123456789abcdef0".into(),
            kind: "m5.large".into(),
            region: "us-west-2".into(),
            zone: "us-west-2a".into(),
            zone_id: "usw2-az1".into(),
            address: "10.0.1.5".into(),
            hostname: "ip-10-0-1-5.us-west-2.compute.internal".into(),
        }
    }

    fn node_config(kubelet: &Value) -> NodeConfig {
        let document = json!({
            "apiVersion": "node.eks.aws/v1alpha1",
            "kind": "NodeConfig",
            "spec": {
                "cluster": {
                    "name": "dev",
                    "apiServerEndpoint": "https://dev.example.com",
                    "certificateAuthority": "Y2E=",
                    "cidr": "172.20.0.0/16",
                },
                "kubelet": kubelet,
            },
        });
        NodeConfig::read(&[document.to_string()]).unwrap()
    }

    const LARGE: Hardware = Hardware { cpus: 2, open_files: 20_000 };

    #[test]
    fn kubelet_is_configured_as_on_an_eks_node() {
        let config = config(&instance(), &node_config(&json!({"config": {"maxPods": 29}})), &LARGE).unwrap();
        for (path, value) in [
            ("/providerID", json!("aws:///us-west-2a/i-0123456789abcdef0")),
            ("/clusterDNS", json!(["172.20.0.10"])),
            ("/maxPods", json!(29)),
            ("/kubeReserved", json!({"cpu": "70m", "memory": "574Mi", "ephemeral-storage": "1Gi"})),
            (
                "/evictionHard",
                json!({"memory.available": "100Mi", "nodefs.available": "2Gi", "nodefs.inodesFree": "5%"}),
            ),
            ("/authentication/x509/clientCAFile", json!("/etc/kubernetes/pki/ca.crt")),
            ("/authentication/anonymous/enabled", json!(false)),
            ("/authorization/mode", json!("Webhook")),
            ("/serverTLSBootstrap", json!(true)),
            ("/serializeImagePulls", json!(false)),
            ("/hairpinMode", json!("hairpin-veth")),
            ("/failCgroupV1", json!(false)),
            ("/cgroupDriver", json!("cgroupfs")),
            ("/maxOpenFiles", json!(20_000)),
            ("/containerRuntimeEndpoint", json!("unix:///run/containerd/containerd.sock")),
        ] {
            assert_eq!(config.pointer(path), Some(&value), "{path}");
        }
    }

    #[test]
    fn the_users_configuration_lies_over_ours() {
        let user = json!({"config": {
            "evictionHard": {"memory.available": "5%"},
            "clusterDNS": ["169.254.20.10"],
            "kubeReserved": {"cpu": "100m"},
            "imageGCHighThresholdPercent": 70,
        }});
        let config = config(&instance(), &node_config(&user), &LARGE).unwrap();
        assert_eq!(config["evictionHard"]["memory.available"], "5%");
        assert_eq!(config["evictionHard"]["nodefs.available"], "2Gi");
        assert_eq!(config["clusterDNS"], json!(["169.254.20.10"]));
        assert_eq!(config["kubeReserved"], json!({"cpu": "100m", "memory": "1465Mi", "ephemeral-storage": "1Gi"}));
        assert_eq!((&config["maxPods"], &config["imageGCHighThresholdPercent"]), (&json!(110), &json!(70)));
    }

    #[test]
    fn cpu_is_reserved_by_the_number_of_cpus() {
        let reserved = [1, 2, 4, 8, 16, 96].map(reserved_cpu);
        assert_eq!(reserved, [60, 70, 80, 90, 110, 310]);
    }

    #[test]
    fn kubelet_says_who_it_is_where_it_is_and_what_the_user_adds() {
        let user = json!({"flags": ["--node-labels=team=a", "--register-with-taints=x=y:NoSchedule"]});
        let flags = flags(&instance(), &node_config(&user));
        assert_eq!(
            flags,
            [
                "--config=/etc/kubernetes/kubelet/config.json",
                "--kubeconfig=/var/lib/kubelet/kubeconfig",
                "--node-ip=10.0.1.5",
                "--hostname-override=ip-10-0-1-5.us-west-2.compute.internal",
                "--node-labels=node.kubernetes.io/instance-type=m5.large,topology.kubernetes.io/region=us-west-2,\
                 topology.kubernetes.io/zone=us-west-2a,topology.k8s.aws/zone-id=usw2-az1",
                "--image-credential-provider-config=/etc/eks/image-credential-provider/config.json",
                "--image-credential-provider-bin-dir=/etc/eks/image-credential-provider",
                "--node-labels=team=a",
                "--register-with-taints=x=y:NoSchedule",
            ]
        );
    }

    #[test]
    fn the_api_is_reached_with_the_roles_token() {
        let kubeconfig = kubeconfig(&node_config(&json!({})), "us-west-2");
        assert_eq!(kubeconfig["clusters"][0]["cluster"]["server"], "https://dev.example.com");
        let exec = &kubeconfig["users"][0]["user"]["exec"];
        assert_eq!(exec["command"], "/opt/roadstead/roadstead");
        assert_eq!(exec["args"], json!(["guest", "token", "--cluster-name", "dev", "--region", "us-west-2"]));
    }
}
