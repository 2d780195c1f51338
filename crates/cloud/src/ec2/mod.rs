//! EC2: networks, interfaces, volumes, instances.

pub mod availability_zone;
mod describe;
pub mod image;
pub mod instance;
pub mod instance_type;
pub mod launch_template;
pub mod network_interface;
pub mod security_group;
pub mod subnet;
mod tags;
pub mod volume;
pub mod vpc;

use roadstead_kernel::Service;
use roadstead_shapes::ec2 as api;

/// The service's operations.
pub fn service() -> Service {
    Service::new()
        .write(&api::CREATE_VPC, vpc::ops::create)
        .read(&api::DESCRIBE_VPCS, vpc::ops::describe)
        .write(&api::DELETE_VPC, vpc::ops::delete)
        .write(&api::CREATE_SUBNET, subnet::ops::create)
        .read(&api::DESCRIBE_SUBNETS, subnet::ops::describe)
        .write(&api::DELETE_SUBNET, subnet::ops::delete)
        .write(&api::CREATE_SECURITY_GROUP, security_group::ops::create)
        .read(&api::DESCRIBE_SECURITY_GROUPS, security_group::ops::describe)
        .write(&api::DELETE_SECURITY_GROUP, security_group::ops::delete)
        .read(&api::DESCRIBE_AVAILABILITY_ZONES, availability_zone::describe)
}
