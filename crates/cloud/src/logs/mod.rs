//! CloudWatch Logs: log groups, and how long what is in them is kept. Nothing writes into them yet.

pub mod log_group;

use roadstead_kernel::Service;
use roadstead_shapes::logs as api;
use roadstead_shapes::logs::INVALID_PARAMETER_EXCEPTION;
use roadstead_wire::fault::Fault;

/// The service's operations.
pub fn service() -> Service {
    Service::new()
        .write(&api::CREATE_LOG_GROUP, log_group::ops::create)
        .read(&api::DESCRIBE_LOG_GROUPS, log_group::describe::describe)
        .write(&api::DELETE_LOG_GROUP, log_group::ops::delete)
        .write(&api::PUT_LOG_GROUP_DELETION_PROTECTION, log_group::ops::put_deletion_protection)
        .write(&api::PUT_RETENTION_POLICY, log_group::ops::put_retention_policy)
        .write(&api::DELETE_RETENTION_POLICY, log_group::ops::delete_retention_policy)
        .write(&api::TAG_RESOURCE, log_group::tags::tag)
        .write(&api::UNTAG_RESOURCE, log_group::tags::untag)
        .read(&api::LIST_TAGS_FOR_RESOURCE, log_group::tags::list)
        .read(&api::LIST_TAGS_LOG_GROUP, log_group::tags::list_by_name)
}

fn invalid(why: impl Into<String>) -> Fault {
    INVALID_PARAMETER_EXCEPTION.fault(why)
}
