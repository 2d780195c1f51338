//! Stories of the ways out of a VPC: gateways, routes, public addresses, and what hosts are told of them.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_cloud::fabric::Want;
use roadstead_hostspec::{Network, Outside};
use roadstead_shapes::ec2;
use roadstead_sim::World;
use roadstead_store::{Key, Read as _};
use roadstead_wire::fault::Fault;
use roadstead_wire::schema::Protocol;

/// A world whose region has an outside.
fn world() -> World {
    let mut world = World::calm();
    world.reconfigure(|settings| settings.outside = Some("203.0.113.0/24".parse().unwrap()));
    world
}

/// A VPC with two subnets, a table of its own for each, and an internet gateway to which the first one's leads.
struct Vpc {
    id: String,
    gateway: String,
    public: String,
    private: String,
    public_table: String,
    private_table: String,
}

impl Vpc {
    fn new(world: &mut World) -> Vpc {
        let request = ec2::CreateVpcRequest { cidr_block: Some("10.7.0.0/16".into()), ..Default::default() };
        let id = world.call(&ec2::CREATE_VPC, request).unwrap().vpc.unwrap().vpc_id.unwrap();
        let gateway = world.call(&ec2::CREATE_INTERNET_GATEWAY, Default::default()).unwrap();
        let gateway = gateway.internet_gateway.unwrap().internet_gateway_id.unwrap();
        let attach = ec2::AttachInternetGatewayRequest {
            internet_gateway_id: gateway.clone(),
            vpc_id: id.clone(),
            ..Default::default()
        };
        world.call(&ec2::ATTACH_INTERNET_GATEWAY, attach).unwrap();
        let (public, public_table) = subnet(world, &id, "10.7.1.0/24");
        let (private, private_table) = subnet(world, &id, "10.7.2.0/24");
        route(world, &public_table, "0.0.0.0/0", Some(&gateway), None).unwrap();
        Vpc { id, gateway, public, private, public_table, private_table }
    }

    /// What hosts are told.
    fn outside(&self, world: &World) -> Outside {
        let network = world.view().get(&Key::<Want<Network>>::new(self.id.as_str()));
        network.map(|network| network.body.0.outside).unwrap_or_default()
    }

    /// The same: who goes where, and as whom.
    fn exits(&self, world: &World) -> Vec<String> {
        let exits = self.outside(world).exits;
        exits.iter().map(|exit| format!("{} to {} as {}", exit.from, exit.to, exit.seen_as)).collect()
    }
}

fn subnet(world: &mut World, vpc: &str, block: &str) -> (String, String) {
    let request = ec2::CreateSubnetRequest { vpc_id: vpc.into(), cidr_block: Some(block.into()), ..Default::default() };
    let subnet = world.call(&ec2::CREATE_SUBNET, request).unwrap().subnet.unwrap().subnet_id.unwrap();
    let request = ec2::CreateRouteTableRequest { vpc_id: vpc.into(), ..Default::default() };
    let table = world.call(&ec2::CREATE_ROUTE_TABLE, request).unwrap().route_table.unwrap().route_table_id.unwrap();
    let request = ec2::AssociateRouteTableRequest {
        route_table_id: table.clone(),
        subnet_id: Some(subnet.clone()),
        ..Default::default()
    };
    world.call(&ec2::ASSOCIATE_ROUTE_TABLE, request).unwrap();
    (subnet, table)
}

fn route(world: &mut World, table: &str, to: &str, gateway: Option<&str>, nat: Option<&str>) -> Result<(), Fault> {
    let request = ec2::CreateRouteRequest {
        route_table_id: table.into(),
        destination_cidr_block: Some(to.into()),
        gateway_id: gateway.map(Into::into),
        nat_gateway_id: nat.map(Into::into),
        ..Default::default()
    };
    world.call(&ec2::CREATE_ROUTE, request).map(drop)
}

fn unroute(world: &mut World, table: &str, to: &str) {
    let request = ec2::DeleteRouteRequest {
        route_table_id: table.into(),
        destination_cidr_block: Some(to.into()),
        ..Default::default()
    };
    world.call(&ec2::DELETE_ROUTE, request).unwrap();
}

/// State of the table's route.
fn state(world: &mut World, table: &str, to: &str) -> String {
    let request = ec2::DescribeRouteTablesRequest { route_table_ids: Some(vec![table.into()]), ..Default::default() };
    let table = world.call(&ec2::DESCRIBE_ROUTE_TABLES, request).unwrap().route_tables.unwrap().remove(0);
    let is_it = |route: &ec2::Route| route.destination_cidr_block.as_deref() == Some(to);
    table.routes.unwrap().into_iter().find(is_it).unwrap().state.unwrap().as_str().to_owned()
}

/// An elastic address and itself.
fn allocate(world: &mut World) -> (String, String) {
    let made = world.call(&ec2::ALLOCATE_ADDRESS, Default::default()).unwrap();
    (made.allocation_id.unwrap(), made.public_ip.unwrap())
}

fn nat(world: &mut World, subnet: &str, allocation: &str) -> Result<ec2::NatGateway, Fault> {
    let request = ec2::CreateNatGatewayRequest {
        subnet_id: Some(subnet.into()),
        allocation_id: Some(allocation.into()),
        ..Default::default()
    };
    Ok(world.call(&ec2::CREATE_NAT_GATEWAY, request)?.nat_gateway.unwrap())
}

fn shown(world: &mut World, id: &str) -> Result<ec2::NatGateway, Fault> {
    let request = ec2::DescribeNatGatewaysRequest { nat_gateway_ids: Some(vec![id.into()]), ..Default::default() };
    Ok(world.call(&ec2::DESCRIBE_NAT_GATEWAYS, request)?.nat_gateways.unwrap().remove(0))
}

fn delete_nat(world: &mut World, id: &str) -> Result<(), Fault> {
    let request = ec2::DeleteNatGatewayRequest { nat_gateway_id: id.into(), ..Default::default() };
    world.call(&ec2::DELETE_NAT_GATEWAY, request).map(drop)
}

fn interface(world: &mut World, subnet: &str) -> ec2::NetworkInterface {
    let request = ec2::CreateNetworkInterfaceRequest { subnet_id: subnet.into(), ..Default::default() };
    world.call(&ec2::CREATE_NETWORK_INTERFACE, request).unwrap().network_interface.unwrap()
}

fn associate(world: &mut World, allocation: &str, interface: &str) -> Result<(), Fault> {
    let request = ec2::AssociateAddressRequest {
        allocation_id: Some(allocation.into()),
        network_interface_id: Some(interface.into()),
        ..Default::default()
    };
    world.call(&ec2::ASSOCIATE_ADDRESS, request).map(drop)
}

fn code<T>(result: Result<T, Fault>) -> &'static str {
    match result {
        Ok(_) => "OK",
        Err(fault) => fault.code.name(Protocol::Ec2Query),
    }
}

#[test]
fn an_elastic_address_leads_both_ways_where_routes_say_so() {
    let mut world = world();
    let vpc = Vpc::new(&mut world);
    let (here, there) = (interface(&mut world, &vpc.public), interface(&mut world, &vpc.private));
    let (first, public) = allocate(&mut world);
    assert_eq!(public, "203.0.113.1");
    associate(&mut world, &first, here.network_interface_id.as_deref().unwrap()).unwrap();
    let (second, _) = allocate(&mut world);
    associate(&mut world, &second, there.network_interface_id.as_deref().unwrap()).unwrap();
    world.settle();
    let private = here.private_ip_address.unwrap();
    // The private subnet's table has no route, so its address goes nowhere.
    assert_eq!(vpc.exits(&world), [format!("{private}/32 to 0.0.0.0/0 as 203.0.113.1")]);
    let reached = vpc.outside(&world).reached;
    assert_eq!(reached[&"203.0.113.1".parse().unwrap()].to_string(), private);
    // The longest prefix counts: what leads elsewhere, or nowhere, is left out.
    let eni = there.network_interface_id.unwrap();
    let request = ec2::CreateRouteRequest {
        route_table_id: vpc.public_table.clone(),
        destination_cidr_block: Some("0.0.0.0/1".into()),
        network_interface_id: Some(eni),
        ..Default::default()
    };
    world.call(&ec2::CREATE_ROUTE, request).unwrap();
    world.settle();
    assert_eq!(vpc.exits(&world), [format!("{private}/32 to 128.0.0.0/1 as 203.0.113.1")]);
    unroute(&mut world, &vpc.public_table, "0.0.0.0/0");
    world.settle();
    assert_eq!(vpc.exits(&world), Vec::<String>::new());
}

#[test]
fn a_subnet_goes_out_by_a_nat_gateway() {
    let mut world = world();
    let vpc = Vpc::new(&mut world);
    let (allocation, public) = allocate(&mut world);
    let made = nat(&mut world, &vpc.public, &allocation).unwrap();
    assert_eq!(made.state, Some(ec2::NatGatewayState::Pending));
    let id = made.nat_gateway_id.unwrap();
    route(&mut world, &vpc.private_table, "0.0.0.0/0", None, Some(&id)).unwrap();
    assert_eq!(vpc.exits(&world), Vec::<String>::new(), "not before it is there");
    world.settle();
    let there = shown(&mut world, &id).unwrap();
    let address = there.nat_gateway_addresses.unwrap().remove(0);
    assert_eq!((there.state, address.public_ip), (Some(ec2::NatGatewayState::Available), Some(public.clone())));
    assert_eq!(vpc.exits(&world), [format!("10.7.2.0/24 to 0.0.0.0/0 as {public}")]);
    assert!(vpc.outside(&world).reached.is_empty(), "nobody reaches a NAT gateway");
    let through = Some("10.7.1.0/24".parse().unwrap());
    assert_eq!(vpc.outside(&world).exits[0].through, through, "its own subnet's border is crossed, too");
    // It leads as far as its own subnet's routes do.
    unroute(&mut world, &vpc.public_table, "0.0.0.0/0");
    route(&mut world, &vpc.public_table, "198.51.100.0/24", Some(&vpc.gateway), None).unwrap();
    world.settle();
    assert_eq!(vpc.exits(&world), [format!("10.7.2.0/24 to 198.51.100.0/24 as {public}")]);
    // Its address is nobody else's while it is there.
    let eni = interface(&mut world, &vpc.public).network_interface_id.unwrap();
    assert_eq!(code(associate(&mut world, &allocation, &eni)), "AuthFailure");
    let request = ec2::ReleaseAddressRequest { allocation_id: Some(allocation.clone()), ..Default::default() };
    assert_eq!(code(world.call(&ec2::RELEASE_ADDRESS, request.clone())), "InvalidIPAddress.InUse");
    delete_nat(&mut world, &id).unwrap();
    assert_eq!(shown(&mut world, &id).unwrap().state, Some(ec2::NatGatewayState::Deleting));
    assert_eq!(state(&mut world, &vpc.private_table, "0.0.0.0/0"), "blackhole");
    world.settle();
    assert_eq!(vpc.exits(&world), Vec::<String>::new());
    assert_eq!(code(shown(&mut world, &id)), "NatGatewayNotFound");
    assert_eq!(code(delete_nat(&mut world, &id)), "NatGatewayNotFound");
    world.call(&ec2::RELEASE_ADDRESS, request).unwrap();
}

#[test]
fn what_a_nat_gateway_lacks_is_said_by_it() {
    let mut world = world();
    let vpc = Vpc::new(&mut world);
    let (allocation, _) = allocate(&mut world);
    let first = nat(&mut world, &vpc.public, &allocation).unwrap().nat_gateway_id.unwrap();
    let second = nat(&mut world, &vpc.public, &allocation).unwrap();
    assert_eq!(second.state, Some(ec2::NatGatewayState::Failed));
    assert_eq!(second.failure_code.as_deref(), Some("Resource.AlreadyAssociated"));
    delete_nat(&mut world, &second.nat_gateway_id.unwrap()).unwrap();
    let request = ec2::CreateVpcRequest { cidr_block: Some("10.8.0.0/16".into()), ..Default::default() };
    let closed = world.call(&ec2::CREATE_VPC, request).unwrap().vpc.unwrap().vpc_id.unwrap();
    let (inside, _) = subnet(&mut world, &closed, "10.8.1.0/24");
    let (free, _) = allocate(&mut world);
    let failed = nat(&mut world, &inside, &free).unwrap();
    assert_eq!(failed.failure_code.as_deref(), Some("Gateway.NotAttached"));
    delete_nat(&mut world, &failed.nat_gateway_id.unwrap()).unwrap();
    world.settle();
    let all = world.call(&ec2::DESCRIBE_NAT_GATEWAYS, Default::default()).unwrap().nat_gateways.unwrap();
    assert_eq!(all.iter().map(|gateway| gateway.nat_gateway_id.clone().unwrap()).collect::<Vec<_>>(), [first]);
    assert_eq!(code(nat(&mut world, "subnet-0", &free)), "InvalidSubnetID.NotFound");
    assert_eq!(code(nat(&mut world, &inside, "eipalloc-0")), "InvalidAllocationID.NotFound");
    assert_eq!(code(world.call(&ec2::CREATE_NAT_GATEWAY, Default::default())), "MissingParameter");
    let private = ec2::CreateNatGatewayRequest {
        subnet_id: Some(inside),
        connectivity_type: Some(ec2::ConnectivityType::Private),
        ..Default::default()
    };
    assert_eq!(code(world.call(&ec2::CREATE_NAT_GATEWAY, private)), "Unsupported");
}

#[test]
fn a_region_without_an_outside_keeps_the_records_and_leads_nowhere() {
    let mut world = World::calm();
    let vpc = Vpc::new(&mut world);
    let (allocation, _) = allocate(&mut world);
    let id = nat(&mut world, &vpc.public, &allocation).unwrap().nat_gateway_id.unwrap();
    route(&mut world, &vpc.private_table, "0.0.0.0/0", None, Some(&id)).unwrap();
    world.settle();
    assert_eq!(shown(&mut world, &id).unwrap().state, Some(ec2::NatGatewayState::Available));
    assert_eq!(vpc.outside(&world), Outside::default());
}

fn associate_block(world: &mut World, vpc: &str, block: &str) -> Result<ec2::VpcCidrBlockAssociation, Fault> {
    let request =
        ec2::AssociateVpcCidrBlockRequest { vpc_id: vpc.into(), cidr_block: Some(block.into()), ..Default::default() };
    Ok(world.call(&ec2::ASSOCIATE_VPC_CIDR_BLOCK, request)?.cidr_block_association.unwrap())
}

fn disassociate_block(world: &mut World, id: &str) -> Result<(), Fault> {
    let request = ec2::DisassociateVpcCidrBlockRequest { association_id: id.into() };
    world.call(&ec2::DISASSOCIATE_VPC_CIDR_BLOCK, request).map(drop)
}

fn blocks(world: &mut World, vpc: &str) -> Vec<ec2::VpcCidrBlockAssociation> {
    let request = ec2::DescribeVpcsRequest { vpc_ids: Some(vec![vpc.into()]), ..Default::default() };
    let vpc = world.call(&ec2::DESCRIBE_VPCS, request).unwrap().vpcs.unwrap().remove(0);
    vpc.cidr_block_association_set.unwrap()
}

#[test]
fn a_vpc_takes_further_blocks_and_its_network_has_them() {
    let mut world = world();
    let vpc = Vpc::new(&mut world);
    let added = associate_block(&mut world, &vpc.id, "100.64.0.0/16").unwrap().association_id.unwrap();
    let (subnet, table) = subnet(&mut world, &vpc.id, "100.64.3.0/24");
    let eni = interface(&mut world, &subnet).network_interface_id.unwrap();
    world.settle();
    let network = world.view().get(&Key::<Want<Network>>::new(vpc.id.as_str())).unwrap().body.0;
    assert_eq!(network.cidrs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.7.0.0/16", "100.64.0.0/16"]);
    assert_eq!(state(&mut world, &table, "100.64.0.0/16"), "active", "a local route of every table");
    for (block, refusal) in [
        ("100.64.128.0/17", "CidrConflict"),
        ("10.0.0.0/16", "OK"),
        ("192.168.0.0/16", "InvalidVpc.Range"),
        ("198.19.0.0/16", "InvalidVpc.Range"),
        ("100.65.0.0/15", "InvalidParameterValue"),
        ("100.66.0.0/16", "OK"),
        ("100.67.0.0/16", "OK"),
        ("100.68.0.0/16", "CidrLimitExceeded"),
    ] {
        assert_eq!(code(associate_block(&mut world, &vpc.id, block)), refusal, "{block}");
    }
    let all = blocks(&mut world, &vpc.id);
    assert_eq!(all.len(), 5);
    let primary = all[0].association_id.clone().unwrap();
    assert_eq!(code(disassociate_block(&mut world, &primary)), "OperationNotPermitted");
    assert_eq!(code(disassociate_block(&mut world, &added)), "InvalidCidrBlock.InUse");
    assert_eq!(code(disassociate_block(&mut world, "vpc-cidr-assoc-0")), "InvalidVpcCidrBlockAssociationID.NotFound");
    let request = ec2::DeleteNetworkInterfaceRequest { network_interface_id: eni, ..Default::default() };
    world.call(&ec2::DELETE_NETWORK_INTERFACE, request).unwrap();
    world.settle();
    let request = ec2::DeleteSubnetRequest { subnet_id: subnet, ..Default::default() };
    world.call(&ec2::DELETE_SUBNET, request).unwrap();
    disassociate_block(&mut world, &added).unwrap();
    assert_eq!(blocks(&mut world, &vpc.id).len(), 4);
    // Nothing leads into a block that comes later.
    route(&mut world, &table, "100.70.5.0/24", Some(&vpc.gateway), None).unwrap();
    let request = ec2::DeleteRouteRequest {
        route_table_id: table.clone(),
        destination_cidr_block: Some("100.70.5.0/24".into()),
        ..Default::default()
    };
    assert_eq!(code(associate_block(&mut world, &vpc.id, "100.70.0.0/16")), "InvalidParameterValue");
    world.call(&ec2::DELETE_ROUTE, request).unwrap();
    associate_block(&mut world, &vpc.id, "100.70.0.0/16").unwrap();
}
