//! A cluster as EKS shows it.

use super::model::{Before, Cluster, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roadstead_shapes::eks;
use roadstead_types::Millis;

/// The platform version: counts our own changes under one Kubernetes minor.
pub const PLATFORM_VERSION: &str = "eks.1";
/// Every log type that EKS knows, in its order.
const LOG_TYPES: [eks::LogType; 5] = [
    eks::LogType::Api,
    eks::LogType::Audit,
    eks::LogType::Authenticator,
    eks::LogType::ControllerManager,
    eks::LogType::Scheduler,
];

/// What DescribeCluster shows. Endpoint and authority only once the cluster is there, as EKS does.
pub fn describe(cluster: &Cluster, created: Millis) -> eks::Cluster {
    let spec = &cluster.spec;
    let there = !matches!(cluster.status.state, State::Creating | State::Failed);
    eks::Cluster {
        name: Some(spec.name.clone()),
        arn: Some(spec.arn().to_string()),
        created_at: Some(created),
        version: Some(version(cluster).to_owned()),
        endpoint: endpoint(cluster).filter(|_| there),
        role_arn: Some(spec.role_arn.clone()),
        resources_vpc_config: Some(network(cluster)),
        kubernetes_network_config: Some(eks::KubernetesNetworkConfigResponse {
            service_ipv4_cidr: Some(spec.service_cidr.to_string()),
            ip_family: Some(eks::IpFamily::Ipv4),
            ..Default::default()
        }),
        logging: Some(logging(&spec.logging)),
        identity: there.then(|| eks::Identity { oidc: Some(eks::OIDC { issuer: Some(spec.issuer()) }) }),
        status: Some(status(cluster)),
        certificate_authority: Some(eks::Certificate {
            data: cluster.status.authority.as_ref().filter(|_| there).map(|pem| STANDARD.encode(pem)),
            ..Default::default()
        }),
        client_request_token: spec.client_request_token.clone(),
        platform_version: Some(PLATFORM_VERSION.into()),
        tags: Some(cluster.tags.clone().into_iter().collect()),
        health: Some(health(cluster)),
        access_config: Some(eks::AccessConfigResponse {
            bootstrap_cluster_creator_admin_permissions: Some(spec.creator_is_admin),
            authentication_mode: spec.authentication_mode.parse().ok(),
        }),
        upgrade_policy: Some(eks::UpgradePolicyResponse { support_type: spec.support_type.parse().ok() }),
        deletion_protection: Some(spec.deletion_protection),
        ..Default::default()
    }
}

/// The one that all its API servers have: while they are being updated, the one before.
fn version(cluster: &Cluster) -> &str {
    match cluster.status.update.as_ref().and_then(|underway| underway.before.as_ref()) {
        Some(Before::Version(before)) => before,
        Some(Before::Endpoint(_) | Before::Network(_)) | None => &cluster.spec.version,
    }
}

/// The public address, the balancer's own in the VPC where the endpoint is not public.
fn endpoint(cluster: &Cluster) -> Option<String> {
    let placement = cluster.placement.as_ref()?;
    let public = placement.public_address.filter(|_| cluster.spec.vpc.endpoint_public);
    let address = public.or(placement.balancer_addresses.first().copied())?;
    Some(format!("https://{address}"))
}

fn network(cluster: &Cluster) -> eks::VpcConfigResponse {
    let vpc = &cluster.spec.vpc;
    let public_cidrs =
        if vpc.endpoint_public { vpc.public_cidrs.iter().map(ToString::to_string).collect() } else { vec![] };
    eks::VpcConfigResponse {
        subnet_ids: Some(vpc.subnets.clone()),
        security_group_ids: Some(vpc.security_groups.clone()),
        cluster_security_group_id: Some(vpc.cluster_security_group.clone()),
        vpc_id: Some(vpc.vpc.clone()),
        endpoint_public_access: Some(vpc.endpoint_public),
        endpoint_private_access: Some(vpc.endpoint_private),
        public_access_cidrs: Some(public_cidrs),
        ..Default::default()
    }
}

fn logging(enabled: &[String]) -> eks::Logging {
    let (on, off): (Vec<_>, Vec<_>) = LOG_TYPES.into_iter().partition(|t| enabled.iter().any(|e| e == t.as_str()));
    let setups = [(on, true), (off, false)].into_iter().filter(|(types, _)| !types.is_empty());
    let setups = setups.map(|(types, enabled)| eks::LogSetup { types: Some(types), enabled: Some(enabled) });
    eks::Logging { cluster_logging: Some(setups.collect()) }
}

fn status(cluster: &Cluster) -> eks::ClusterStatus {
    match cluster.status.state {
        State::Creating => eks::ClusterStatus::Creating,
        State::Active if cluster.status.update.is_some() => eks::ClusterStatus::Updating,
        State::Active => eks::ClusterStatus::Active,
        State::Deleting => eks::ClusterStatus::Deleting,
        State::Failed => eks::ClusterStatus::Failed,
    }
}

fn health(cluster: &Cluster) -> eks::ClusterHealth {
    let issue = |issue: &super::model::Issue| eks::ClusterIssue {
        code: issue.code.parse().ok(),
        message: Some(issue.message.clone()),
        resource_ids: Some(issue.resources.clone()),
    };
    eks::ClusterHealth { issues: Some(cluster.status.issues.iter().map(issue).collect()) }
}
