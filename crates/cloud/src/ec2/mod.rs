//! EC2: networks, interfaces, volumes, instances, and what those are launched from.

pub mod address;
mod asked;
pub mod availability_zone;
pub mod block;
mod describe;
mod dhcp_options;
pub mod image;
pub mod instance;
pub mod instance_type;
pub mod internet_gateway;
pub mod key_pair;
pub mod launch_template;
pub mod nat_gateway;
pub mod network_acl;
pub mod network_interface;
pub(crate) mod offered;
pub mod prefix_list;
mod region;
pub mod route_table;
pub mod security_group;
pub mod security_group_rule;
mod snapshot;
pub mod subnet;
pub mod tags;
pub mod volume;
pub mod vpc;
pub mod vpc_endpoint;

use roadstead_kernel::Service;
use roadstead_shapes::ec2 as api;

/// The service's operations.
pub fn service() -> Service {
    Service::new()
        .write(&api::CREATE_VPC, vpc::ops::create)
        .read(&api::DESCRIBE_VPCS, vpc::ops::describe)
        .read(&api::DESCRIBE_VPC_ATTRIBUTE, vpc::ops::describe_attribute)
        .write(&api::MODIFY_VPC_ATTRIBUTE, vpc::ops::modify_attribute)
        .write(&api::DELETE_VPC, vpc::ops::delete)
        .write(&api::ASSOCIATE_VPC_CIDR_BLOCK, vpc::ops::associate_block)
        .write(&api::DISASSOCIATE_VPC_CIDR_BLOCK, vpc::ops::disassociate_block)
        .write(&api::CREATE_SUBNET, subnet::ops::create)
        .read(&api::DESCRIBE_SUBNETS, subnet::ops::describe)
        .write(&api::MODIFY_SUBNET_ATTRIBUTE, subnet::ops::modify_attribute)
        .write(&api::DELETE_SUBNET, subnet::ops::delete)
        .write(&api::CREATE_ROUTE_TABLE, route_table::ops::create)
        .read(&api::DESCRIBE_ROUTE_TABLES, route_table::ops::describe)
        .write(&api::DELETE_ROUTE_TABLE, route_table::ops::delete)
        .write(&api::ASSOCIATE_ROUTE_TABLE, route_table::ops::associate)
        .write(&api::DISASSOCIATE_ROUTE_TABLE, route_table::ops::disassociate)
        .write(&api::REPLACE_ROUTE_TABLE_ASSOCIATION, route_table::ops::replace_association)
        .write(&api::CREATE_ROUTE, route_table::ops::create_route)
        .write(&api::REPLACE_ROUTE, route_table::ops::replace_route)
        .write(&api::DELETE_ROUTE, route_table::ops::delete_route)
        .write(&api::CREATE_INTERNET_GATEWAY, internet_gateway::ops::create)
        .read(&api::DESCRIBE_INTERNET_GATEWAYS, internet_gateway::ops::describe)
        .write(&api::ATTACH_INTERNET_GATEWAY, internet_gateway::ops::attach)
        .write(&api::DETACH_INTERNET_GATEWAY, internet_gateway::ops::detach)
        .write(&api::DELETE_INTERNET_GATEWAY, internet_gateway::ops::delete)
        .write(&api::CREATE_NAT_GATEWAY, nat_gateway::ops::create)
        .read(&api::DESCRIBE_NAT_GATEWAYS, nat_gateway::ops::describe)
        .write(&api::DELETE_NAT_GATEWAY, nat_gateway::ops::delete)
        .write(&api::CREATE_SECURITY_GROUP, security_group::ops::create)
        .read(&api::DESCRIBE_SECURITY_GROUPS, security_group::ops::describe)
        .write(&api::DELETE_SECURITY_GROUP, security_group::ops::delete)
        .write(&api::AUTHORIZE_SECURITY_GROUP_INGRESS, security_group_rule::ops::authorize_ingress)
        .write(&api::AUTHORIZE_SECURITY_GROUP_EGRESS, security_group_rule::ops::authorize_egress)
        .write(&api::REVOKE_SECURITY_GROUP_INGRESS, security_group_rule::ops::revoke_ingress)
        .write(&api::REVOKE_SECURITY_GROUP_EGRESS, security_group_rule::ops::revoke_egress)
        .read(&api::DESCRIBE_SECURITY_GROUP_RULES, security_group_rule::ops::describe)
        .write(&api::MODIFY_SECURITY_GROUP_RULES, security_group_rule::ops::modify)
        .write(
            &api::UPDATE_SECURITY_GROUP_RULE_DESCRIPTIONS_INGRESS,
            security_group_rule::ops::update_ingress_descriptions,
        )
        .write(
            &api::UPDATE_SECURITY_GROUP_RULE_DESCRIPTIONS_EGRESS,
            security_group_rule::ops::update_egress_descriptions,
        )
        .write(&api::ALLOCATE_ADDRESS, address::ops::allocate)
        .read(&api::DESCRIBE_ADDRESSES, address::ops::describe)
        .write(&api::ASSOCIATE_ADDRESS, address::ops::associate)
        .write(&api::DISASSOCIATE_ADDRESS, address::ops::disassociate)
        .write(&api::RELEASE_ADDRESS, address::ops::release)
        .write(&api::CREATE_NETWORK_ACL, network_acl::ops::create)
        .read(&api::DESCRIBE_NETWORK_ACLS, network_acl::ops::describe)
        .write(&api::DELETE_NETWORK_ACL, network_acl::ops::delete)
        .write(&api::CREATE_NETWORK_ACL_ENTRY, network_acl::ops::create_entry)
        .write(&api::REPLACE_NETWORK_ACL_ENTRY, network_acl::ops::replace_entry)
        .write(&api::DELETE_NETWORK_ACL_ENTRY, network_acl::ops::delete_entry)
        .write(&api::REPLACE_NETWORK_ACL_ASSOCIATION, network_acl::ops::replace_association)
        .write(&api::CREATE_MANAGED_PREFIX_LIST, prefix_list::ops::create)
        .read(&api::DESCRIBE_MANAGED_PREFIX_LISTS, prefix_list::ops::describe)
        .read(&api::GET_MANAGED_PREFIX_LIST_ENTRIES, prefix_list::ops::entries)
        .read(&api::GET_MANAGED_PREFIX_LIST_ASSOCIATIONS, prefix_list::ops::associations)
        .write(&api::MODIFY_MANAGED_PREFIX_LIST, prefix_list::ops::modify)
        .write(&api::RESTORE_MANAGED_PREFIX_LIST_VERSION, prefix_list::ops::restore)
        .write(&api::DELETE_MANAGED_PREFIX_LIST, prefix_list::ops::delete)
        .read(&api::DESCRIBE_PREFIX_LISTS, prefix_list::ops::describe_of_services)
        .read(&api::DESCRIBE_DHCP_OPTIONS, dhcp_options::describe)
        .read(&api::DESCRIBE_REGIONS, region::describe)
        .read(&api::DESCRIBE_ACCOUNT_ATTRIBUTES, region::account_attributes)
        .read(&api::DESCRIBE_AVAILABILITY_ZONES, availability_zone::describe)
        .write(&api::CREATE_NETWORK_INTERFACE, network_interface::ops::create)
        .read(&api::DESCRIBE_NETWORK_INTERFACES, network_interface::ops::describe)
        .write(&api::DELETE_NETWORK_INTERFACE, network_interface::ops::delete)
        .write(&api::ATTACH_NETWORK_INTERFACE, network_interface::ops::attach)
        .write(&api::DETACH_NETWORK_INTERFACE, network_interface::ops::detach)
        .write(&api::MODIFY_NETWORK_INTERFACE_ATTRIBUTE, network_interface::ops::modify_attribute)
        .write(&api::ASSIGN_PRIVATE_IP_ADDRESSES, network_interface::ops::assign_addresses)
        .write(&api::UNASSIGN_PRIVATE_IP_ADDRESSES, network_interface::ops::unassign_addresses)
        .write_secret(&api::CREATE_KEY_PAIR, key_pair::ops::create)
        .write(&api::IMPORT_KEY_PAIR, key_pair::ops::import)
        .read(&api::DESCRIBE_KEY_PAIRS, key_pair::ops::describe)
        .write(&api::DELETE_KEY_PAIR, key_pair::ops::delete)
        .read(&api::DESCRIBE_IMAGES, image::ops::describe)
        .read(&api::DESCRIBE_INSTANCE_TYPES, instance_type::ops::describe)
        .read(&api::DESCRIBE_INSTANCE_TYPE_OFFERINGS, instance_type::ops::describe_offerings)
        .write(&api::CREATE_LAUNCH_TEMPLATE, launch_template::ops::create)
        .write(&api::CREATE_LAUNCH_TEMPLATE_VERSION, launch_template::ops::create_version)
        .read(&api::DESCRIBE_LAUNCH_TEMPLATES, launch_template::ops::describe)
        .read(&api::DESCRIBE_LAUNCH_TEMPLATE_VERSIONS, launch_template::ops::describe_versions)
        .write(&api::MODIFY_LAUNCH_TEMPLATE, launch_template::ops::modify)
        .write(&api::DELETE_LAUNCH_TEMPLATE, launch_template::ops::delete)
        .write(&api::RUN_INSTANCES, instance::ops::run)
        .read_held(&api::DESCRIBE_INSTANCES, instance::ops::describe, instance::ops::will_change)
        .read_held(&api::DESCRIBE_INSTANCE_STATUS, instance::ops::describe_status, instance::ops::status_may_change)
        .write(&api::TERMINATE_INSTANCES, instance::ops::terminate)
        .write(&api::STOP_INSTANCES, instance::ops::stop)
        .write(&api::START_INSTANCES, instance::ops::start)
        .write(&api::REBOOT_INSTANCES, instance::ops::reboot)
        .read(&api::DESCRIBE_INSTANCE_ATTRIBUTE, instance::ops::describe_attribute)
        .write(&api::MODIFY_INSTANCE_ATTRIBUTE, instance::ops::modify_attribute)
        .read(&api::GET_CONSOLE_OUTPUT, instance::ops::console_output)
        .read(&api::DESCRIBE_VOLUMES, volume::ops::describe)
        .read(&api::DESCRIBE_SNAPSHOTS, snapshot::describe)
        .write(&api::CREATE_VPC_ENDPOINT, vpc_endpoint::ops::create)
        .read(&api::DESCRIBE_VPC_ENDPOINTS, vpc_endpoint::ops::describe)
        .read(&api::DESCRIBE_VPC_ENDPOINT_SERVICES, vpc_endpoint::ops::describe_services)
        .write(&api::MODIFY_VPC_ENDPOINT, vpc_endpoint::ops::modify)
        .write(&api::DELETE_VPC_ENDPOINTS, vpc_endpoint::ops::delete)
        .write(&api::CREATE_TAGS, tags::ops::create)
        .write(&api::DELETE_TAGS, tags::ops::delete)
        .read(&api::DESCRIBE_TAGS, tags::ops::describe)
}
