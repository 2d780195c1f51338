//! What EKS refuses of a new cluster, in its words (reference: EKS API §2).

use super::model::Spec;
use super::placement::NEEDED_PER_SUBNET;
use crate::ec2::network_interface;
use crate::ec2::security_group::SecurityGroup;
use crate::ec2::subnet::Subnet;
use crate::ec2::vpc::Vpc;
use crate::iam::role::Role;
use crate::settings::Settings;
use roadstead_shapes::eks::{CreateClusterRequest, INVALID_PARAMETER_EXCEPTION, IpFamily, Logging, VpcConfigRequest};
use roadstead_store::{Read, Tx};
use roadstead_types::{Arn, Cidr};
use roadstead_wire::fault::Fault;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// The policy that a cluster role must carry.
pub const CLUSTER_POLICY: &str = "arn:aws:iam::aws:policy/AmazonEKSClusterPolicy";
/// The principal that it must trust.
const EKS_PRINCIPAL: &str = "eks.amazonaws.com";
/// EKS quota "control plane security groups per cluster".
const SECURITY_GROUPS_MAX: usize = 5;
/// EKS quota "public endpoint access CIDR ranges per cluster".
const PUBLIC_CIDRS_MAX: usize = 40;

fn invalid(why: impl Into<String>) -> Fault {
    INVALID_PARAMETER_EXCEPTION.fault(why)
}

/// What this region does not do yet is refused, never ignored.
pub fn unsupported(input: &CreateClusterRequest) -> Result<(), Fault> {
    let auto = input.compute_config.as_ref().is_some_and(|c| c.enabled == Some(true));
    let storage = input.storage_config.as_ref().and_then(|c| c.block_storage.as_ref()?.enabled);
    let balancing = input.kubernetes_network_config.as_ref().and_then(|c| c.elastic_load_balancing.as_ref()?.enabled);
    let egress = input.resources_vpc_config.control_plane_egress_mode;
    let asked = [
        (input.outpost_config.is_some(), "outpostConfig"),
        (input.remote_network_config.is_some(), "remoteNetworkConfig"),
        (input.encryption_config.as_ref().is_some_and(|c| !c.is_empty()), "encryptionConfig"),
        (auto, "computeConfig"),
        (storage == Some(true), "storageConfig"),
        (balancing == Some(true), "kubernetesNetworkConfig.elasticLoadBalancing"),
        (egress.is_some_and(|mode| mode.as_str() != "AWS_MANAGED"), "resourcesVpcConfig.controlPlaneEgressMode"),
        (input.kube_api_server_config.is_some(), "kubeApiServerConfig"),
        (input.kube_scheduler_config.is_some(), "kubeSchedulerConfig"),
        (input.kube_controller_manager_config.is_some(), "kubeControllerManagerConfig"),
        (input.zonal_shift_config.as_ref().is_some_and(|c| c.enabled == Some(true)), "zonalShiftConfig"),
        (
            input
                .control_plane_scaling_config
                .as_ref()
                .is_some_and(|c| c.tier.is_some_and(|t| t.as_str() != "standard")),
            "controlPlaneScalingConfig",
        ),
    ];
    match asked.iter().find(|(asked, _)| *asked) {
        Some((_, member)) => Err(invalid(format!("{member} is not available in this region yet: leave it out"))),
        None => Ok(()),
    }
}

/// The Kubernetes minor to run.
pub fn version(settings: &Settings, asked: Option<&str>) -> Result<String, Fault> {
    let found = match asked {
        None => settings.default_kubernetes(),
        Some(asked) => settings.kubernetes.iter().find(|v| v.minor == asked),
    };
    found.map(|v| v.minor.clone()).ok_or_else(|| invalid("unsupported Kubernetes version"))
}

/// The cluster role: there, trusting EKS, carrying its policy. Terraform retries on exactly these texts.
pub fn role(tx: &Tx, account: &str, arn: &str) -> Result<(), Fault> {
    let missing = || invalid(format!("Role with arn: {arn}, does not exist."));
    let parsed: Arn =
        arn.parse().map_err(|_| invalid(format!("The role ARN '{arn}' is invalid. Error in role params")))?;
    if parsed.service != "iam" || !parsed.resource.starts_with("role/") || parsed.account != account {
        return Err(missing());
    }
    let role = tx.get(&Role::key(account, parsed.name())).filter(|r| r.body.arn() == parsed).ok_or_else(missing)?.body;
    if !trusts(&role.trust_policy, EKS_PRINCIPAL) {
        return Err(invalid("Role could not be assumed because the trusted entity is not correct"));
    }
    if !role.grants.attached.contains_key(CLUSTER_POLICY) {
        return Err(invalid(format!(
            "The provided role doesn't have the Amazon EKS Managed Policies associated with it. Please ensure the following policy is attached: {CLUSTER_POLICY}"
        )));
    }
    Ok(())
}

/// Whether a trust policy lets a service assume its role.
pub fn trusts(policy: &str, service: &str) -> bool {
    let policy: serde_json::Value = serde_json::from_str(policy).unwrap_or_default();
    let statements = one_or_many(&policy["Statement"]);
    statements.iter().any(|s| {
        let assumes = one_or_many(&s["Action"])
            .iter()
            .any(|a| a.as_str().is_some_and(|a| a == "sts:AssumeRole" || a == "*" || a == "sts:*"));
        let named = one_or_many(&s["Principal"]["Service"]).iter().any(|p| p.as_str() == Some(service));
        s["Effect"] == "Allow" && assumes && named
    })
}

fn one_or_many(value: &serde_json::Value) -> Vec<&serde_json::Value> {
    match value {
        serde_json::Value::Array(items) => items.iter().collect(),
        serde_json::Value::Null => vec![],
        one => vec![one],
    }
}

/// The subnets: there, of one VPC, in two zones, with room.
pub fn subnets(tx: &Tx, account: &str, ids: &[String]) -> Result<Vec<Subnet>, Fault> {
    let subnets = named_subnets(tx, account, ids)?;
    roomy(tx, &subnets)?;
    Ok(subnets)
}

/// Fails if a subnet has too few free addresses.
fn roomy<'a>(tx: &Tx, subnets: impl IntoIterator<Item = &'a Subnet>) -> Result<(), Fault> {
    match subnets.into_iter().find(|s| !network_interface::has_free(tx, s, NEEDED_PER_SUBNET)) {
        Some(full) => Err(invalid(format!("Subnet {} has fewer than {NEEDED_PER_SUBNET} free IP addresses", full.id))),
        None => Ok(()),
    }
}

/// The subnets: there, of one VPC, in two zones.
fn named_subnets(tx: &Tx, account: &str, ids: &[String]) -> Result<Vec<Subnet>, Fault> {
    let find = |id: &String| tx.get(&Subnet::key(account, id)).map(|r| r.body);
    let missing: Vec<&str> = ids.iter().filter(|id| find(id).is_none()).map(String::as_str).collect();
    if !missing.is_empty() {
        return Err(invalid(format!("The subnet ID '{}' does not exist", missing.join("', '"))));
    }
    let mut subnets: Vec<Subnet> = vec![];
    for subnet in ids.iter().filter_map(find) {
        if subnets.iter().all(|s| s.id != subnet.id) {
            subnets.push(subnet);
        }
    }
    if subnets.iter().map(|s| &s.vpc).collect::<BTreeSet<_>>().len() > 1 {
        return Err(invalid("Subnets specified must be in the same VPC"));
    }
    if subnets.iter().map(|s| &s.zone).collect::<BTreeSet<_>>().len() < 2 {
        return Err(invalid("Subnets specified must be in at least two different AZs"));
    }
    Ok(subnets)
}

/// Subnets that a cluster is to go to: in its VPC, in the zones that it has, with room.
pub fn other_subnets(tx: &Tx, spec: &Spec, ids: &[String]) -> Result<(), Fault> {
    let asked = named_subnets(tx, &spec.account, ids)?;
    if let Some(foreign) = asked.iter().find(|subnet| subnet.vpc != spec.vpc.vpc) {
        return Err(invalid(format!("Subnet {} is not in VPC {} of the cluster", foreign.id, spec.vpc.vpc)));
    }
    let present: Vec<_> = spec.vpc.subnets.iter().filter_map(|id| tx.shared(&Subnet::key(&spec.account, id))).collect();
    let zones: BTreeSet<&str> = present.iter().map(|subnet| subnet.body.zone.as_str()).collect();
    let wanted: BTreeSet<&str> = asked.iter().map(|subnet| subnet.zone.as_str()).collect();
    // One in which nothing of the cluster stood may have been deleted: nobody knows of which zone it was.
    let unknown = present.len() < spec.vpc.subnets.len() && wanted.is_superset(&zones);
    if wanted != zones && !unknown {
        let list = |zones: BTreeSet<&str>| zones.into_iter().collect::<Vec<_>>().join(",");
        return Err(invalid(format!(
            "Provided subnets belong to the AZs '{}'. But they should belong to the exact set of AZs '{}' in which \
             subnets were provided during cluster creation.",
            list(wanted),
            list(zones)
        )));
    }
    roomy(tx, asked.iter().filter(|subnet| !spec.vpc.subnets.contains(&subnet.id)))
}

/// The user's own security groups: there, in the VPC, not too many.
pub fn security_groups(tx: &Tx, account: &str, vpc: &str, ids: &[String]) -> Result<(), Fault> {
    if ids.len() > SECURITY_GROUPS_MAX {
        return Err(invalid(format!("No more than {SECURITY_GROUPS_MAX} security groups may be specified")));
    }
    let foreign = |id: &&String| {
        tx.get(&SecurityGroup::key(account, id)).is_none_or(|g| g.deleting.is_some() || g.body.vpc != vpc)
    };
    match ids.iter().find(foreign) {
        Some(id) => Err(invalid(format!("The security group '{id}' does not exist in VPC '{vpc}'"))),
        None => Ok(()),
    }
}

/// How the endpoint is reached.
pub struct Endpoint {
    /// From outside.
    pub public: bool,
    /// Inside the VPC under its name.
    pub private: bool,
    /// From where outside.
    pub public_cidrs: Vec<Cidr>,
}

/// Endpoint access: public by default, and open to everybody then.
pub fn endpoint(config: &VpcConfigRequest) -> Result<Endpoint, Fault> {
    let public = config.endpoint_public_access.unwrap_or(true);
    let private = config.endpoint_private_access.unwrap_or(false);
    if !public && !private {
        return Err(invalid("Private and public endpoint access cannot be false"));
    }
    let named = config.public_access_cidrs.as_deref().unwrap_or_default();
    if !public && !named.is_empty() {
        return Err(invalid("publicAccessCidrs cannot be specified when public endpoint access is disabled"));
    }
    if named.len() > PUBLIC_CIDRS_MAX {
        return Err(invalid(format!("No more than {PUBLIC_CIDRS_MAX} public access CIDRs may be specified")));
    }
    let bad: Vec<&str> = named.iter().filter(|c| c.parse::<Cidr>().is_err()).map(String::as_str).collect();
    if !bad.is_empty() {
        return Err(invalid(format!("The following CIDRs are invalid in publicAccessCidrs: [{}]", bad.join(", "))));
    }
    let everybody = Cidr::containing(Ipv4Addr::UNSPECIFIED, 0);
    let public_cidrs: Vec<Cidr> = named.iter().filter_map(|c| c.parse().ok()).collect();
    Ok(Endpoint { public, private, public_cidrs: if public_cidrs.is_empty() { vec![everybody] } else { public_cidrs } })
}

/// Where services get their addresses: private, of a sensible size, apart from the VPC. Without one, the first of
/// EKS's two defaults that is apart from the VPC.
pub fn service_cidr(tx: &Tx, account: &str, vpc: &str, input: &CreateClusterRequest) -> Result<Cidr, Fault> {
    let vpc = tx.get(&Vpc::key(account, vpc)).map(|record| record.body);
    let overlaps = |block: Cidr| vpc.iter().flat_map(Vpc::blocks).any(|own| own.overlaps(block));
    let config = input.kubernetes_network_config.as_ref();
    if config.and_then(|c| c.ip_family) == Some(IpFamily::Ipv6) {
        return Err(invalid("ipFamily ipv6 is not available in this region yet: use ipv4"));
    }
    let Some(text) = config.and_then(|c| c.service_ipv4_cidr.as_deref()) else {
        let defaults = [[10, 100, 0, 0], [172, 20, 0, 0]].map(|base| Cidr::containing(base.into(), 16));
        return Ok(defaults.into_iter().find(|d| !overlaps(*d)).unwrap_or(defaults[0]));
    };
    let block: Cidr = text.parse().map_err(|e| invalid(format!("serviceIpv4Cidr: {e}")))?;
    let private = [([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)];
    if !private.iter().any(|(base, prefix)| Cidr::containing((*base).into(), *prefix).contains_cidr(block)) {
        return Err(invalid("serviceIpv4Cidr must be within 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"));
    }
    if !(12..=24).contains(&block.prefix()) {
        return Err(invalid("serviceIpv4Cidr must be between /24 and /12"));
    }
    if overlaps(block) {
        return Err(invalid("serviceIpv4Cidr must not overlap with the CIDR of the VPC"));
    }
    Ok(block)
}

/// The log types that are enabled.
pub fn logging(asked: Option<Logging>) -> Vec<String> {
    let setups = asked.and_then(|l| l.cluster_logging).unwrap_or_default();
    let enabled = setups.into_iter().filter(|s| s.enabled == Some(true));
    let types: BTreeSet<String> =
        enabled.flat_map(|s| s.types.unwrap_or_default()).map(|t| t.as_str().into()).collect();
    types.into_iter().collect()
}
