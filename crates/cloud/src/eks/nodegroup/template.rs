//! The launch template that the service keeps for a node group: what its nodes are launched from.

use super::model::{Issue, Release, Spec, UserTemplate};
use super::user_data::{self, NodeConfig};
use crate::ec2::instance_type::{self, InstanceType};
use crate::ec2::launch_template::{self, Data, LaunchTemplate};
use crate::eks::addon;
use crate::eks::cluster::Cluster;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roadstead_store::{Read, Tx};
use roadstead_types::Tags;
use std::collections::BTreeMap;

/// The root volume of a node, GiB, where nobody says another (API reference, CreateNodegroup, diskSize).
pub const DISK_GIB: u32 = 20;
/// Pods with a network of their own are one hop further from IMDS than their node.
const HOP_LIMIT: u8 = 2;
/// Cluster DNS has the tenth address of services, as on EKS.
const DNS: u64 = 10;

/// What nodes of that release are launched from.
pub fn data(read: &impl Read, cluster: &Cluster, spec: &Spec, release: &Release) -> Result<Data, Issue> {
    let user = match &release.template {
        Some(named) => users(read, &spec.account, named)?,
        None => Data::default(),
    };
    let instance_type = spec.instance_types.first().or(user.instance_type.as_ref()).cloned();
    let instance_type = instance_type.unwrap_or_else(|| super::check::INSTANCE_TYPE.to_owned());
    let custom = user.image.is_some();
    let own = if custom { None } else { Some(user_data(read, cluster, spec, release, (&user, &instance_type))?) };
    let groups = match user.groups.is_empty() {
        true => vec![cluster.spec.vpc.cluster_security_group.clone()],
        false => user.groups.clone(),
    };
    let bytes = spec.disk_gib.map(|gib| u64::from(gib) << 30);
    Ok(Data {
        image: Some(release.image.clone()),
        instance_type: spec.instance_types.is_empty().then_some(instance_type),
        user_data: own.or(user.user_data.clone()),
        instance_profile: Some(spec.own_name()),
        groups,
        tags: marks(spec).into_iter().chain(user.tags.clone()).collect(),
        hop_limit: user.hop_limit.or(Some(HOP_LIMIT)),
        root_bytes: bytes.or(user.root_bytes).or(Some(u64::from(DISK_GIB) << 30)),
        ..user
    })
}

/// What the user's template says.
fn users(read: &impl Read, account: &str, named: &UserTemplate) -> Result<Data, Issue> {
    let found = launch_template::data(read, account, &named.id, named.version);
    found.ok_or_else(|| {
        let why = format!(
            "Version {} of the launch template {} ({}) was deleted. Make the template anew, or create another node group.",
            named.version, named.id, named.name
        );
        Issue::new("SourceEc2LaunchTemplateNotFound", why, std::slice::from_ref(&named.id))
    })
}

/// Tags of every node.
pub fn marks(spec: &Spec) -> Tags {
    Tags::from([
        ("eks:cluster-name".to_owned(), spec.cluster.clone()),
        ("eks:nodegroup-name".to_owned(), spec.name.clone()),
        (format!("kubernetes.io/cluster/{}", spec.cluster), "owned".to_owned()),
    ])
}

fn user_data(
    read: &impl Read,
    cluster: &Cluster,
    spec: &Spec,
    release: &Release,
    (user, instance_type): (&Data, &str),
) -> Result<String, Issue> {
    let unreachable = || Issue::new("ClusterUnreachable", "The cluster has no endpoint in its VPC yet.", &[]);
    let address = cluster.placement.as_ref().and_then(|placement| placement.balancer_addresses.first());
    let authority = cluster.status.authority.as_ref().ok_or_else(unreachable)?;
    let known = instance_type::find(instance_type).ok_or_else(|| {
        let why = format!("The instance type {instance_type} does not exist. Name one of EC2 DescribeInstanceTypes.");
        Issue::new("Ec2InstanceTypeDoesNotExist", why, &[instance_type.to_owned()])
    })?;
    let dns = cluster.spec.service_cidr.nth(DNS).map(|address| address.to_string()).unwrap_or_default();
    let config = NodeConfig {
        cluster: &cluster.spec.name,
        endpoint: format!("https://{}:443", address.ok_or_else(unreachable)?),
        authority: STANDARD.encode(authority),
        service_cidr: cluster.spec.service_cidr.to_string(),
        dns,
        max_pods: max_pods(read, cluster, known),
        labels: labels(spec, release),
        taints: &spec.taints,
    };
    Ok(user_data::merge(user.user_data.as_deref(), &config))
}

/// A new node is told of the prefixes that its pods get by the managed add-on's configuration. What a user sets in a
/// DaemonSet of his own is not looked at, as it is not on EKS.
fn max_pods(read: &impl Read, cluster: &Cluster, known: &InstanceType) -> u32 {
    match addon::variable(read, &cluster.spec.id, "vpc-cni", "ENABLE_PREFIX_DELEGATION").as_deref() {
        Some("true") => known.max_pods_with_prefixes(),
        _ => known.max_pods(),
    }
}

/// The labels that a node registers with: the user's, and those of EKS.
fn labels(spec: &Spec, release: &Release) -> BTreeMap<String, String> {
    let mut labels = spec.labels.clone();
    let mut put = |name: &str, value: &str| {
        labels.insert(format!("eks.amazonaws.com/{name}"), value.to_owned());
    };
    put("nodegroup", &spec.name);
    put("nodegroup-image", &release.image);
    put("capacityType", &spec.capacity_type);
    if let Some(template) = &release.template {
        put("sourceLaunchTemplateId", &template.id);
        put("sourceLaunchTemplateVersion", &template.version.to_string());
    }
    labels
}

/// The version of the service's template that says so: one that is there, or a new one.
pub fn version(tx: &mut Tx, account: &str, id: &str, data: &Data) -> Option<u64> {
    let template = tx.shared(&LaunchTemplate::key(account, id))?;
    let same = template.body.versions.iter().rev().find(|(_, version)| version.data == *data);
    match same {
        Some((number, _)) => Some(*number),
        None => launch_template::add_version(tx, account, id, data.clone()),
    }
}
