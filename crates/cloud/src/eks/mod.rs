//! EKS: clusters and what belongs to them.

pub mod access_entry;
pub mod addon;
pub mod cluster;
pub mod etcd;
pub mod kube;
pub mod node;
pub mod nodegroup;
pub mod registered_cluster;
pub mod update;

pub use crate::uuid::fresh as uuid;

use roadstead_kernel::Service;
use roadstead_shapes::eks as api;

/// The service's operations.
pub fn service() -> Service {
    Service::new()
        .write(&api::CREATE_CLUSTER, cluster::ops::create)
        .read_held(&api::DESCRIBE_CLUSTER, cluster::ops::describe, cluster::ops::is_passing)
        .read(&api::LIST_CLUSTERS, cluster::ops::list)
        .write(&api::UPDATE_CLUSTER_CONFIG, cluster::config::update)
        .write(&api::UPDATE_CLUSTER_VERSION, cluster::upgrade::update)
        .write(&api::DELETE_CLUSTER, cluster::ops::delete)
        .write(&api::REGISTER_CLUSTER, registered_cluster::ops::register)
        .write(&api::DEREGISTER_CLUSTER, registered_cluster::ops::deregister)
        .read(&api::DESCRIBE_CLUSTER_VERSIONS, cluster::versions::describe)
        .write(&api::CREATE_NODEGROUP, nodegroup::ops::create)
        .read_held(&api::DESCRIBE_NODEGROUP, nodegroup::ops::describe, nodegroup::ops::is_passing)
        .read(&api::LIST_NODEGROUPS, nodegroup::ops::list)
        .write(&api::UPDATE_NODEGROUP_CONFIG, nodegroup::ops::update_config)
        .write(&api::UPDATE_NODEGROUP_VERSION, nodegroup::ops::update_version)
        .write(&api::DELETE_NODEGROUP, nodegroup::ops::delete)
        .read_held(&api::DESCRIBE_UPDATE, update::ops::describe, update::ops::is_passing)
        .read(&api::LIST_UPDATES, update::ops::list)
        .write(&api::TAG_RESOURCE, cluster::tags::tag)
        .write(&api::UNTAG_RESOURCE, cluster::tags::untag)
        .write(&api::CREATE_ADDON, addon::ops::create)
        .read_held(&api::DESCRIBE_ADDON, addon::ops::describe, addon::ops::is_passing)
        .read(&api::LIST_ADDONS, addon::ops::list)
        .write(&api::UPDATE_ADDON, addon::ops::update)
        .write(&api::DELETE_ADDON, addon::ops::delete)
        .read(&api::DESCRIBE_ADDON_VERSIONS, addon::catalogue::describe_versions)
        .read(&api::DESCRIBE_ADDON_CONFIGURATION, addon::catalogue::describe_configuration)
        .write(&api::CREATE_ACCESS_ENTRY, access_entry::ops::create)
        .read(&api::DESCRIBE_ACCESS_ENTRY, access_entry::ops::describe)
        .read(&api::LIST_ACCESS_ENTRIES, access_entry::ops::list)
        .write(&api::UPDATE_ACCESS_ENTRY, access_entry::ops::update)
        .write(&api::DELETE_ACCESS_ENTRY, access_entry::ops::delete)
        .read(&api::LIST_TAGS_FOR_RESOURCE, cluster::tags::list)
}
