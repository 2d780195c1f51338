//! A registered cluster as EKS shows it.

use super::RegisteredCluster;
use roadstead_shapes::eks;
use roadstead_types::Millis;

/// What DescribeCluster shows: the activation's code never again.
pub fn describe(cluster: &RegisteredCluster, created: Millis) -> eks::Cluster {
    eks::Cluster {
        name: Some(cluster.name.clone()),
        arn: Some(cluster.arn().to_string()),
        created_at: Some(created),
        status: Some(eks::ClusterStatus::Pending),
        tags: Some(cluster.tags.clone()),
        connector_config: Some(eks::ConnectorConfigResponse {
            activation_id: Some(cluster.activation_id.clone()),
            activation_code: None,
            activation_expiry: Some(cluster.activation_expiry),
            provider: Some(cluster.provider.clone()),
            role_arn: Some(cluster.role_arn.clone()),
        }),
        ..Default::default()
    }
}
