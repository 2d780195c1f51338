//! The product put together: every kind and every planner, in one place.

use crate::autoscaling::auto_scaling_group::{Activity, AutoScalingGroup, AutoScalingGroupPlanner};
use crate::autoscaling::{Group, GroupPlanner};
use crate::ec2::address::Address;
use crate::ec2::instance::Instance;
use crate::ec2::instance::console::ConsoleOutput;
use crate::ec2::internet_gateway::InternetGateway;
use crate::ec2::key_pair::KeyPair;
use crate::ec2::launch_template::LaunchTemplate;
use crate::ec2::nat_gateway::NatGateway;
use crate::ec2::network_acl::NetworkAcl;
use crate::ec2::network_interface::{HeldAddress, NetworkInterface};
use crate::ec2::prefix_list::PrefixList;
use crate::ec2::route_table::RouteTable;
use crate::ec2::security_group::SecurityGroup;
use crate::ec2::security_group_rule::SecurityGroupRule;
use crate::ec2::subnet::Subnet;
use crate::ec2::volume::Volume;
use crate::ec2::vpc::Vpc;
use crate::ec2::vpc_endpoint::VpcEndpoint;
use crate::ecr::image::{Image, Manifest};
use crate::ecr::layer::{Layer, LayerPlanner};
use crate::ecr::repository::Repository;
use crate::eks::access_entry::AccessEntry;
use crate::eks::addon::{Addon, AddonPlanner, AddonSpec, AddonState, DefaultsPlanner};
use crate::eks::cluster::{Cluster, ClusterPlanner, MembershipPlanner};
use crate::eks::etcd::{EtcdSpec, EtcdState};
use crate::eks::kube::{KubeSpec, KubeState};
use crate::eks::node::{Node, NodesPlanner, NodesSpec, NodesState};
use crate::eks::nodegroup::{Nodegroup, NodegroupPlanner};
use crate::eks::registered_cluster::RegisteredCluster;
use crate::eks::update::Update;
use crate::elb::load_balancer::LoadBalancer;
use crate::fabric::{self, HostItem, Saw, Want};
use crate::iam::access_key::AccessKey;
use crate::iam::account_alias::AccountAlias;
use crate::iam::group::Group as UserGroup;
use crate::iam::instance_profile::InstanceProfile;
use crate::iam::oidc_provider::OidcProvider;
use crate::iam::policy::Policy;
use crate::iam::role::Role;
use crate::iam::role::service_linked::Deletion;
use crate::iam::user::User;
use crate::keys::{KeySpec, KeyState};
use crate::kms::alias::Alias;
use crate::kms::key::{KeyPlanner, KmsKey};
use crate::logs::log_group::LogGroup;
use crate::settings::Settings;
use crate::sts::session::{Session, SessionPlanner};
use crate::{autoscaling, ec2, ecr, eks, iam, kms, logs, ssm, sts};
use roadstead_hostspec as hostspec;
use roadstead_kernel::Service;
use roadstead_kernel::planner::Planners;
use roadstead_store::Registry;

/// Every kind of record of a region.
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    roadstead_kernel::register(&mut registry);
    registry.add::<Settings>();
    registry.add::<User>();
    registry.add::<AccessKey>();
    registry.add::<AccountAlias>();
    registry.add::<UserGroup>();
    registry.add::<Policy>();
    registry.add::<Role>();
    registry.add::<Deletion>();
    registry.add::<OidcProvider>();
    registry.add::<InstanceProfile>();
    registry.add::<Session>();
    registry.add::<Vpc>();
    registry.add::<Subnet>();
    registry.add::<RouteTable>();
    registry.add::<NetworkAcl>();
    registry.add::<PrefixList>();
    registry.add::<InternetGateway>();
    registry.add::<NatGateway>();
    registry.add::<KeyPair>();
    registry.add::<Address>();
    registry.add::<SecurityGroup>();
    registry.add::<SecurityGroupRule>();
    registry.add::<NetworkInterface>();
    registry.add::<HeldAddress>();
    registry.add::<VpcEndpoint>();
    registry.add::<Volume>();
    registry.add::<Instance>();
    registry.add::<ConsoleOutput>();
    registry.add::<LaunchTemplate>();
    registry.add::<Group>();
    registry.add::<AutoScalingGroup>();
    registry.add::<Activity>();
    registry.add::<LoadBalancer>();
    registry.add::<Cluster>();
    registry.add::<RegisteredCluster>();
    registry.add::<EtcdSpec>();
    registry.add::<EtcdState>();
    registry.add::<KubeSpec>();
    registry.add::<KubeState>();
    registry.add::<Node>();
    registry.add::<Nodegroup>();
    registry.add::<Update>();
    registry.add::<NodesSpec>();
    registry.add::<NodesState>();
    registry.add::<AccessEntry>();
    registry.add::<Addon>();
    registry.add::<AddonSpec>();
    registry.add::<AddonState>();
    registry.add::<Repository>();
    registry.add::<Image>();
    registry.add::<Manifest>();
    registry.add::<Layer>();
    registry.add::<KmsKey>();
    registry.add::<Alias>();
    registry.add::<LogGroup>();
    registry.add::<KeySpec>();
    registry.add::<KeyState>();
    host_item::<hostspec::Network>(&mut registry);
    host_item::<hostspec::Port>(&mut registry);
    host_item::<hostspec::SecurityGroup>(&mut registry);
    host_item::<hostspec::Disk>(&mut registry);
    host_item::<hostspec::Machine>(&mut registry);
    host_item::<hostspec::Metadata>(&mut registry);
    host_item::<hostspec::Balancer>(&mut registry);
    host_item::<hostspec::Endpoint>(&mut registry);
    host_item::<hostspec::Quorum>(&mut registry);
    host_item::<hostspec::Credential>(&mut registry);
    host_item::<hostspec::Reviewer>(&mut registry);
    registry
}

fn host_item<T: HostItem>(registry: &mut Registry) {
    registry.add::<Want<T>>();
    registry.add::<Saw<T>>();
}

/// Every planner of a region.
pub fn planners() -> Planners {
    let mut planners = Planners::new();
    planners
        .add(ClusterPlanner)
        .add(MembershipPlanner)
        .add(NodesPlanner)
        .add(NodegroupPlanner)
        .add(DefaultsPlanner)
        .add(AddonPlanner)
        .add(GroupPlanner)
        .add(AutoScalingGroupPlanner)
        .add(SessionPlanner)
        .add(LayerPlanner)
        .add(KeyPlanner)
        .add(fabric::NetworkPlanner)
        .add(fabric::PortPlanner)
        .add(fabric::SecurityGroupPlanner)
        .add(fabric::NatGatewayPlanner)
        .add(fabric::EndpointPlanner)
        .add(fabric::DiskPlanner)
        .add(fabric::MachinePlanner)
        .add(fabric::BalancerPlanner)
        .add(fabric::CredentialPlanner)
        .add(fabric::SessionPlanner);
    planners
}

/// Every service of a region.
pub fn services() -> Vec<Service> {
    vec![
        eks::service(),
        autoscaling::service(),
        ec2::service(),
        ecr::service(),
        iam::service(),
        kms::service(),
        logs::service(),
        sts::service(),
        ssm::service(),
    ]
}
