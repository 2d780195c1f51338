//! Stories of VPC endpoints: what hosts are told of them, and what they keep from being deleted.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_cloud::ec2::vpc_endpoint::VpcEndpoint;
use roadstead_cloud::fabric::Want;
use roadstead_hostspec::{Endpoint, Port};
use roadstead_shapes::ec2;
use roadstead_sim::World;
use roadstead_store::{Index, Key, Read as _};
use roadstead_wire::fault::Fault;
use roadstead_wire::schema::Protocol;

/// A VPC with a subnet in each of two zones.
struct Net {
    vpc: String,
    one: String,
    other: String,
}

impl Net {
    fn new(world: &mut World) -> Net {
        let request = ec2::CreateVpcRequest { cidr_block: Some("10.7.0.0/16".into()), ..Default::default() };
        let vpc = world.call(&ec2::CREATE_VPC, request).unwrap().vpc.unwrap().vpc_id.unwrap();
        let zones = world.call(&ec2::DESCRIBE_AVAILABILITY_ZONES, Default::default()).unwrap();
        let zones = zones.availability_zones.unwrap().into_iter().map(|zone| zone.zone_name.unwrap());
        let blocks = ["10.7.1.0/24", "10.7.2.0/24"].into_iter();
        let mut subnets = blocks.zip(zones).map(|(block, zone)| subnet(world, &vpc, block, &zone)).collect::<Vec<_>>();
        let (other, one) = (subnets.pop().unwrap(), subnets.pop().unwrap());
        Net { vpc, one, other }
    }

    fn wish(&self, subnets: &[&String]) -> ec2::CreateVpcEndpointRequest {
        ec2::CreateVpcEndpointRequest {
            vpc_endpoint_type: Some(ec2::VpcEndpointType::Interface),
            vpc_id: self.vpc.clone(),
            service_name: Some("com.amazonaws.us-east-1.ec2".into()),
            subnet_ids: Some(subnets.iter().map(|id| (*id).clone()).collect()),
            private_dns_enabled: Some(false),
            ..Default::default()
        }
    }

    fn has_names(&self, world: &mut World) {
        let on = Some(ec2::AttributeBooleanValue { value: Some(true) });
        let request =
            ec2::ModifyVpcAttributeRequest { vpc_id: self.vpc.clone(), enable_dns_hostnames: on, ..Default::default() };
        world.call(&ec2::MODIFY_VPC_ATTRIBUTE, request).unwrap();
    }
}

fn subnet(world: &mut World, vpc: &str, block: &str, zone: &str) -> String {
    let request = ec2::CreateSubnetRequest {
        vpc_id: vpc.into(),
        cidr_block: Some(block.into()),
        availability_zone: Some(zone.into()),
        ..Default::default()
    };
    world.call(&ec2::CREATE_SUBNET, request).unwrap().subnet.unwrap().subnet_id.unwrap()
}

fn group(world: &mut World, vpc: &str) -> String {
    let request = ec2::CreateSecurityGroupRequest {
        group_name: "endpoints".into(),
        description: "endpoints".into(),
        vpc_id: Some(vpc.into()),
        ..Default::default()
    };
    world.call(&ec2::CREATE_SECURITY_GROUP, request).unwrap().group_id.unwrap()
}

fn make(world: &mut World, wish: ec2::CreateVpcEndpointRequest) -> ec2::VpcEndpoint {
    world.call(&ec2::CREATE_VPC_ENDPOINT, wish).unwrap().vpc_endpoint.unwrap()
}

fn shown(world: &mut World, id: &str) -> ec2::VpcEndpoint {
    let request = ec2::DescribeVpcEndpointsRequest { vpc_endpoint_ids: Some(vec![id.into()]), ..Default::default() };
    world.call(&ec2::DESCRIBE_VPC_ENDPOINTS, request).unwrap().vpc_endpoints.unwrap().remove(0)
}

fn modify(id: &str) -> ec2::ModifyVpcEndpointRequest {
    ec2::ModifyVpcEndpointRequest { vpc_endpoint_id: id.into(), ..Default::default() }
}

fn interfaces(world: &mut World) -> Vec<ec2::NetworkInterface> {
    let all = world.call(&ec2::DESCRIBE_NETWORK_INTERFACES, Default::default()).unwrap();
    all.network_interfaces.unwrap()
}

/// What hosts are told.
fn told(world: &World, id: &str) -> Option<Endpoint> {
    Some(world.view().get(&Key::<Want<Endpoint>>::new(id))?.body.0)
}

fn code<T>(result: Result<T, Fault>) -> &'static str {
    match result {
        Ok(_) => "OK",
        Err(fault) => fault.code.name(Protocol::Ec2Query),
    }
}

fn delete(world: &mut World, id: &str) {
    let request = ec2::DeleteVpcEndpointsRequest { vpc_endpoint_ids: vec![id.into()], ..Default::default() };
    assert_eq!(world.call(&ec2::DELETE_VPC_ENDPOINTS, request).unwrap().unsuccessful.unwrap(), []);
}

#[test]
fn an_endpoint_is_available_once_a_host_answers_at_its_interfaces() {
    let mut world = World::calm();
    let net = Net::new(&mut world);
    net.has_names(&mut world);
    let wish = net.wish(&[&net.one, &net.other]);
    let made = make(&mut world, ec2::CreateVpcEndpointRequest { private_dns_enabled: Some(true), ..wish });
    assert_eq!(made.state, Some(ec2::State::Pending));
    let id = made.vpc_endpoint_id.unwrap();
    world.settle();
    assert_eq!(shown(&mut world, &id).state, Some(ec2::State::Available));
    let enis = interfaces(&mut world);
    assert_eq!(enis.len(), 2);
    for eni in &enis {
        assert_eq!(eni.description, Some(format!("VPC Endpoint Interface {id}")));
        assert_eq!(eni.interface_type, Some(ec2::NetworkInterfaceType::VpcEndpoint));
        assert_eq!((eni.requester_managed, eni.status), (Some(true), Some(ec2::NetworkInterfaceStatus::InUse)));
        let eni = eni.network_interface_id.clone().unwrap();
        assert!(world.view().get(&Key::<Want<Port>>::new(eni.as_str())).is_none(), "no machine is behind it");
        let request = ec2::DeleteNetworkInterfaceRequest { network_interface_id: eni, dry_run: None };
        assert_eq!(code(world.call(&ec2::DELETE_NETWORK_INTERFACE, request)), "AuthFailure");
    }
    let item = told(&world, &id).unwrap();
    let addresses: Vec<String> = item.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses.len(), 2);
    assert!(enis.iter().all(|eni| addresses.contains(eni.private_ip_address.as_ref().unwrap())));
    assert_eq!(item.names["ec2.us-east-1.amazonaws.com"], item.addresses);
    let entries = shown(&mut world, &id).dns_entries.unwrap();
    let named: Vec<String> = entries.into_iter().map(|entry| entry.dns_name.unwrap()).collect();
    assert_eq!(named, item.names.into_keys().collect::<Vec<_>>(), "what is shown is what is resolved");
    assert_eq!(named.len(), 4, "its own, one a zone, the service's");
}

#[test]
fn a_subnet_that_an_endpoint_leaves_is_free_once_nobody_answers_there() {
    let mut world = World::calm();
    let net = Net::new(&mut world);
    let wish = net.wish(&[&net.one]);
    let id = make(&mut world, wish).vpc_endpoint_id.unwrap();
    world.settle();
    let moves = ec2::ModifyVpcEndpointRequest {
        add_subnet_ids: Some(vec![net.other.clone()]),
        remove_subnet_ids: Some(vec![net.one.clone()]),
        ..modify(&id)
    };
    world.call(&ec2::MODIFY_VPC_ENDPOINT, moves).unwrap();
    let remove = |subnet: &String| ec2::DeleteSubnetRequest { subnet_id: subnet.clone(), dry_run: None };
    assert_eq!(code(world.call(&ec2::DELETE_SUBNET, remove(&net.one))), "DependencyViolation");
    world.settle();
    assert_eq!(shown(&mut world, &id).subnet_ids, Some(vec![net.other.clone()]));
    assert_eq!(interfaces(&mut world).len(), 1);
    assert_eq!(code(world.call(&ec2::DELETE_SUBNET, remove(&net.one))), "OK");
    assert_eq!(code(world.call(&ec2::DELETE_SUBNET, remove(&net.other))), "DependencyViolation");
    // In no subnet it is there all the same, and its VPC with it.
    let leaves = ec2::ModifyVpcEndpointRequest { remove_subnet_ids: Some(vec![net.other.clone()]), ..modify(&id) };
    world.call(&ec2::MODIFY_VPC_ENDPOINT, leaves).unwrap();
    world.settle();
    assert_eq!((interfaces(&mut world).len(), told(&world, &id)), (0, None));
    assert_eq!(code(world.call(&ec2::DELETE_SUBNET, remove(&net.other))), "OK");
    let request = ec2::DeleteVpcRequest { vpc_id: net.vpc.clone(), dry_run: None };
    assert_eq!(code(world.call(&ec2::DELETE_VPC, request.clone())), "DependencyViolation");
    delete(&mut world, &id);
    world.settle();
    assert_eq!(code(world.call(&ec2::DELETE_VPC, request)), "OK");
}

#[test]
fn a_deleted_endpoint_leaves_nothing() {
    let mut world = World::calm();
    let net = Net::new(&mut world);
    let wish = net.wish(&[&net.one, &net.other]);
    let id = make(&mut world, wish).vpc_endpoint_id.unwrap();
    world.settle();
    delete(&mut world, &id);
    assert_eq!(shown(&mut world, &id).state, Some(ec2::State::Deleting));
    assert_eq!(code(world.call(&ec2::MODIFY_VPC_ENDPOINT, modify(&id))), "IncorrectState");
    world.settle();
    assert_eq!(world.view().list(Index::<VpcEndpoint>::all()).len(), 0);
    assert_eq!((interfaces(&mut world).len(), told(&world, &id)), (0, None));
}

#[test]
fn groups_are_its_interfaces_and_change_with_it() {
    let mut world = World::calm();
    let net = Net::new(&mut world);
    let wish = net.wish(&[&net.one]);
    let id = make(&mut world, wish).vpc_endpoint_id.unwrap();
    let default = shown(&mut world, &id).groups.unwrap().remove(0).group_id.unwrap();
    let own = group(&mut world, &net.vpc);
    let changes = ec2::ModifyVpcEndpointRequest {
        add_security_group_ids: Some(vec![own.clone()]),
        remove_security_group_ids: Some(vec![default]),
        ..modify(&id)
    };
    world.call(&ec2::MODIFY_VPC_ENDPOINT, changes).unwrap();
    world.settle();
    assert_eq!(told(&world, &id).unwrap().groups, std::slice::from_ref(&own));
    let eni = interfaces(&mut world).remove(0);
    assert_eq!(eni.groups.unwrap().remove(0).group_id, Some(own.clone()));
    let request = ec2::DeleteSecurityGroupRequest { group_id: Some(own.clone()), ..Default::default() };
    assert_eq!(code(world.call(&ec2::DELETE_SECURITY_GROUP, request)), "DependencyViolation");
    let none = ec2::ModifyVpcEndpointRequest { remove_security_group_ids: Some(vec![own]), ..modify(&id) };
    assert_eq!(code(world.call(&ec2::MODIFY_VPC_ENDPOINT, none)), "InvalidParameter", "one must stay");
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut world = World::calm();
    let net = Net::new(&mut world);
    let wish = || net.wish(&[&net.one]);
    let twin = subnet(&mut world, &net.vpc, "10.7.3.0/24", "us-east-1a");
    let elsewhere = Net::new(&mut world);
    for (expected, wish) in [
        ("InvalidServiceName", ec2::CreateVpcEndpointRequest { service_name: Some("s3".into()), ..wish() }),
        ("MissingParameter", ec2::CreateVpcEndpointRequest { service_name: None, ..wish() }),
        ("InvalidParameter", ec2::CreateVpcEndpointRequest { vpc_endpoint_type: None, ..wish() }),
        ("InvalidVpcID.NotFound", ec2::CreateVpcEndpointRequest { vpc_id: "vpc-1".into(), ..wish() }),
        ("InvalidSubnetID.NotFound", net.wish(&[&"subnet-1".to_owned()])),
        ("InvalidParameter", net.wish(&[&elsewhere.one])),
        ("DuplicateSubnetsInSameZone", net.wish(&[&net.one, &twin])),
        (
            "InvalidGroup.NotFound",
            ec2::CreateVpcEndpointRequest { security_group_ids: Some(vec!["sg-1".into()]), ..wish() },
        ),
        ("InvalidParameter", ec2::CreateVpcEndpointRequest { private_dns_enabled: None, ..wish() }),
        (
            "Unsupported",
            ec2::CreateVpcEndpointRequest { policy_document: Some(r#"{"Statement":[]}"#.into()), ..wish() },
        ),
        ("Unsupported", ec2::CreateVpcEndpointRequest { service_region: Some("eu-west-1".into()), ..wish() }),
        (
            "Unsupported",
            ec2::CreateVpcEndpointRequest { ip_address_type: Some(ec2::IpAddressType::Dualstack), ..wish() },
        ),
        ("DryRunOperation", ec2::CreateVpcEndpointRequest { dry_run: Some(true), ..wish() }),
    ] {
        assert_eq!(code(world.call(&ec2::CREATE_VPC_ENDPOINT, wish)), expected);
    }
    assert_eq!((world.view().list(Index::<VpcEndpoint>::all()).len(), interfaces(&mut world).len()), (0, 0));
}

#[test]
fn the_services_names_lead_to_one_endpoint_of_a_vpc() {
    let mut world = World::calm();
    let net = Net::new(&mut world);
    net.has_names(&mut world);
    let wish = || ec2::CreateVpcEndpointRequest { private_dns_enabled: None, ..net.wish(&[&net.one]) };
    let first = make(&mut world, wish()).vpc_endpoint_id.unwrap();
    let refused = world.call(&ec2::CREATE_VPC_ENDPOINT, wish()).unwrap_err();
    let why = format!(
        "private-dns-enabled cannot be set because there is already a conflicting DNS domain for \
         ec2.us-east-1.amazonaws.com in the VPC {}",
        net.vpc
    );
    assert_eq!((refused.code.name(Protocol::Ec2Query), refused.message), ("InvalidParameter", why));
    let wish_without = net.wish(&[&net.one]);
    let second = make(&mut world, wish_without).vpc_endpoint_id.unwrap();
    let named = |id: &str, yes| ec2::ModifyVpcEndpointRequest { private_dns_enabled: Some(yes), ..modify(id) };
    assert_eq!(code(world.call(&ec2::MODIFY_VPC_ENDPOINT, named(&second, true))), "InvalidParameter");
    world.call(&ec2::MODIFY_VPC_ENDPOINT, named(&first, false)).unwrap();
    world.call(&ec2::MODIFY_VPC_ENDPOINT, named(&second, true)).unwrap();
    world.settle();
    let knows = |id: &str| told(&world, id).unwrap().names.contains_key("ec2.us-east-1.amazonaws.com");
    assert_eq!((knows(&first), knows(&second)), (false, true));
}
