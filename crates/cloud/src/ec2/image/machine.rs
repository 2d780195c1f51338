//! What a machine of an EKS image is made of: a container runtime and a kubelet, and what they must know of where they
//! are. Everything else they learn from the instance's metadata.

use super::Ami;
use crate::ec2::instance::Image;
use crate::ec2::instance_type::InstanceType;
use roadstead_hostspec::{Content, File, Liveness, Probe, Process, Profile, link_local};
use roadstead_types::Millis;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Where the root volume is: what containerd and kubelet keep is on it.
pub const ROOT_PATH: &str = "/var/lib";
/// Roadstead's own program in every machine.
const ROADSTEAD: &str = "/opt/roadstead/roadstead";
/// How often an instance was started.
const BOOTS: &str = "/etc/roadstead/boots";
/// The port at which containerd shows its metrics.
const CONTAINERD_METRICS: u16 = 1338;
/// The port at which kubelet says whether it is well.
const KUBELET_HEALTH: u16 = 10248;

/// An instance's share of a host.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Processors.
    pub vcpus: u32,
    /// Bytes.
    pub memory_bytes: u64,
}

impl From<&InstanceType> for Size {
    fn from(of: &InstanceType) -> Size {
        Size { vcpus: of.vcpus, memory_bytes: of.memory_bytes }
    }
}

/// The machine of an instance with this image. `boots` counts how often it was started: with another number it is
/// another machine, which is how a reboot is stated.
pub fn machine(ami: &Ami, region: &str, hostname: &str, size: Size, boots: u32) -> Image {
    let sets = &ami.components;
    let about = serde_json::json!({
        "kubernetes": sets.kubernetes,
        "containerd": sets.containerd,
        "runc": sets.runc,
        "region": region,
    });
    let mut image = Image {
        hostname: hostname.into(),
        profile: Profile::default(),
        cpu_millis: 0,
        memory_bytes: 0,
        components: vec![sets.kubernetes.clone(), sets.containerd.clone(), sets.runc.clone()],
        files: vec![file("/etc/roadstead/ami.json", about.to_string())],
        processes: processes(region),
    };
    resize(&mut image, size);
    started(&mut image, boots);
    image
}

/// The same with another share of a host.
pub fn resize(image: &mut Image, size: Size) {
    image.profile = Profile::Node { vcpus: size.vcpus };
    image.cpu_millis = size.vcpus * 1000;
    image.memory_bytes = size.memory_bytes;
}

/// The same started anew: a host starts a machine whose files have changed.
pub fn started(image: &mut Image, boots: u32) {
    image.files.retain(|file| file.path != BOOTS);
    image.files.push(file(BOOTS, boots.to_string()));
}

fn file(path: &str, text: String) -> File {
    File { path: path.into(), mode: 0o644, content: Content::Text(text) }
}

fn processes(region: &str) -> Vec<Process> {
    let health = Probe::Http { address: Ipv4Addr::LOCALHOST, port: KUBELET_HEALTH, path: "/healthz".into() };
    let process = |name: &str, after: &[&str], ready: Option<Probe>, live: Option<Liveness>| Process {
        name: name.into(),
        argv: [ROADSTEAD, "guest", "node", name].map(String::from).to_vec(),
        env: BTreeMap::from([
            ("AWS_ENDPOINT_URL".to_owned(), format!("http://{}", link_local::API)),
            ("AWS_REGION".to_owned(), region.to_owned()),
        ]),
        after: after.iter().map(|name| (*name).to_owned()).collect(),
        ready,
        live,
        pre_stop: vec![],
        grace: None,
        once: false,
    };
    let containerd = Probe::Tcp { address: Ipv4Addr::LOCALHOST, port: CONTAINERD_METRICS };
    // A kubelet that has no cluster yet answers nothing, and need not: it counts as dead only once it was ready.
    let patience = Liveness { patience: Millis::secs(30), ..Liveness::of(health.clone()) };
    vec![
        process("containerd", &[], Some(containerd), None),
        process("kubelet", &["containerd"], Some(health), Some(patience)),
        // Until the pod of aws-node brings it.
        Process { once: true, ..process("network", &[], None, None) },
        // What the node can do without.
        process("images", &["kubelet"], None, None),
    ]
}
