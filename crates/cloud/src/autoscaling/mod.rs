//! Auto Scaling: groups that keep as many instances as they have places, for the control plane, and as many as are asked
//! for, for users.

pub mod auto_scaling_group;
mod group;
mod plan;

pub use group::{Group, Slot, Spec, ensure, holder};
pub use plan::{GroupPlanner, is_current};

use roadstead_kernel::Service;
use roadstead_shapes::autoscaling as api;

/// The service's operations.
pub fn service() -> Service {
    use auto_scaling_group::{hooks, ops, tags};
    Service::new()
        .write(&api::CREATE_AUTO_SCALING_GROUP, ops::create)
        .write(&api::UPDATE_AUTO_SCALING_GROUP, ops::update)
        .write(&api::DELETE_AUTO_SCALING_GROUP, ops::delete)
        .read(&api::DESCRIBE_AUTO_SCALING_GROUPS, ops::describe)
        .read(&api::DESCRIBE_AUTO_SCALING_INSTANCES, ops::describe_instances)
        .read(&api::DESCRIBE_SCALING_ACTIVITIES, ops::describe_activities)
        .read(&api::DESCRIBE_LAUNCH_CONFIGURATIONS, ops::describe_launch_configurations)
        .write(&api::SET_DESIRED_CAPACITY, ops::set_desired_capacity)
        .write(&api::TERMINATE_INSTANCE_IN_AUTO_SCALING_GROUP, ops::terminate_instance)
        .write(&api::SET_INSTANCE_HEALTH, ops::set_instance_health)
        .write(&api::SET_INSTANCE_PROTECTION, ops::set_instance_protection)
        .write(&api::SUSPEND_PROCESSES, ops::suspend)
        .write(&api::RESUME_PROCESSES, ops::resume)
        .write(&api::PUT_LIFECYCLE_HOOK, hooks::put)
        .read(&api::DESCRIBE_LIFECYCLE_HOOKS, hooks::describe)
        .write(&api::DELETE_LIFECYCLE_HOOK, hooks::delete)
        .write(&api::COMPLETE_LIFECYCLE_ACTION, hooks::complete)
        .write(&api::RECORD_LIFECYCLE_ACTION_HEARTBEAT, hooks::heartbeat)
        .write(&api::CREATE_OR_UPDATE_TAGS, tags::create_or_update)
        .write(&api::DELETE_TAGS, tags::delete)
        .read(&api::DESCRIBE_TAGS, tags::describe)
}
