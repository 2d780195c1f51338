//! Stories of network ACLs: what hosts are told of them, and what happens to a VPC from before they were records.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_cloud::ec2::network_acl::NetworkAcl;
use roadstead_cloud::fabric::Want;
use roadstead_hostspec::{Border, Entry, Network, Traffic};
use roadstead_shapes::ec2;
use roadstead_sim::World;
use roadstead_store::{Index, Key, Read as _, Tx};
use roadstead_wire::fault::Fault;
use roadstead_wire::schema::Protocol;

/// A VPC with two subnets, an interface in each.
struct Net {
    vpc: String,
    one: String,
    other: String,
}

impl Net {
    fn new(world: &mut World) -> Net {
        let request = ec2::CreateVpcRequest { cidr_block: Some("10.7.0.0/16".into()), ..Default::default() };
        let vpc = world.call(&ec2::CREATE_VPC, request).unwrap().vpc.unwrap().vpc_id.unwrap();
        let [one, other] = ["10.7.1.0/24", "10.7.2.0/24"].map(|block| subnet(world, &vpc, block));
        world.settle();
        Net { vpc, one, other }
    }

    /// What hosts are told.
    fn borders(&self, world: &World) -> Vec<Border> {
        world.view().get(&Key::<Want<Network>>::new(self.vpc.as_str())).unwrap().body.0.borders
    }

    fn default_acl(&self, world: &mut World) -> ec2::NetworkAcl {
        let acls = acls(world, "vpc-id", &self.vpc);
        acls.into_iter().find(|acl| acl.is_default == Some(true)).unwrap()
    }
}

fn subnet(world: &mut World, vpc: &str, block: &str) -> String {
    let request = ec2::CreateSubnetRequest { vpc_id: vpc.into(), cidr_block: Some(block.into()), ..Default::default() };
    let subnet = world.call(&ec2::CREATE_SUBNET, request).unwrap().subnet.unwrap().subnet_id.unwrap();
    let request = ec2::CreateNetworkInterfaceRequest { subnet_id: subnet.clone(), ..Default::default() };
    world.call(&ec2::CREATE_NETWORK_INTERFACE, request).unwrap();
    subnet
}

fn acls(world: &mut World, filter: &str, value: &str) -> Vec<ec2::NetworkAcl> {
    let filter = ec2::Filter { name: Some(filter.into()), values: Some(vec![value.into()]) };
    let request = ec2::DescribeNetworkAclsRequest { filters: Some(vec![filter]), ..Default::default() };
    world.call(&ec2::DESCRIBE_NETWORK_ACLS, request).unwrap().network_acls.unwrap()
}

fn acl(world: &mut World, vpc: &str) -> String {
    let request = ec2::CreateNetworkAclRequest { vpc_id: vpc.into(), ..Default::default() };
    world.call(&ec2::CREATE_NETWORK_ACL, request).unwrap().network_acl.unwrap().network_acl_id.unwrap()
}

/// Associates a subnet with another ACL.
fn associate(world: &mut World, subnet: &str, acl: &str) -> Result<String, Fault> {
    let of = acls(world, "association.subnet-id", subnet).remove(0).associations.unwrap();
    let of = of.into_iter().find(|association| association.subnet_id.as_deref() == Some(subnet)).unwrap();
    let request = ec2::ReplaceNetworkAclAssociationRequest {
        association_id: of.network_acl_association_id.unwrap(),
        network_acl_id: acl.into(),
        ..Default::default()
    };
    Ok(world.call(&ec2::REPLACE_NETWORK_ACL_ASSOCIATION, request)?.new_association_id.unwrap())
}

/// An entry of all traffic from or to a block.
fn entry(
    acl: &str,
    egress: bool,
    number: i32,
    block: &str,
    action: ec2::RuleAction,
) -> ec2::CreateNetworkAclEntryRequest {
    ec2::CreateNetworkAclEntryRequest {
        network_acl_id: acl.into(),
        rule_number: number,
        protocol: "-1".into(),
        rule_action: action,
        egress,
        cidr_block: Some(block.into()),
        dry_run: None,
        ipv6_cidr_block: None,
        icmp_type_code: None,
        port_range: None,
    }
}

fn add(world: &mut World, entry: ec2::CreateNetworkAclEntryRequest) -> Result<(), Fault> {
    world.call(&ec2::CREATE_NETWORK_ACL_ENTRY, entry)
}

fn remove(world: &mut World, acl: &str, egress: bool, number: i32) -> Result<(), Fault> {
    let request = ec2::DeleteNetworkAclEntryRequest {
        network_acl_id: acl.into(),
        rule_number: number,
        egress,
        ..Default::default()
    };
    world.call(&ec2::DELETE_NETWORK_ACL_ENTRY, request)
}

fn all(peer: &str, allows: bool) -> Entry {
    Entry { traffic: Traffic::All, peer: peer.parse().unwrap(), allows }
}

fn code<T>(result: Result<T, Fault>) -> &'static str {
    match result {
        Ok(_) => "OK",
        Err(fault) => fault.code.name(Protocol::Ec2Query),
    }
}

#[test]
fn who_lets_everything_through_has_no_border() {
    let mut world = World::calm();
    let net = Net::new(&mut world);
    assert_eq!(net.borders(&world), []);
    // Two entries that come to the same, and one of IPv6, which no VPC has.
    let id = net.default_acl(&mut world).network_acl_id.unwrap();
    add(&mut world, entry(&id, false, 200, "10.0.0.0/8", ec2::RuleAction::Deny)).unwrap();
    let ipv6 = ec2::CreateNetworkAclEntryRequest {
        cidr_block: None,
        ipv6_cidr_block: Some("::/0".into()),
        ..entry(&id, false, 50, "", ec2::RuleAction::Deny)
    };
    add(&mut world, ipv6).unwrap();
    world.settle();
    assert_eq!(net.borders(&world), [], "what comes after everything counts no more");
}

#[test]
fn a_subnet_has_the_border_of_the_acl_that_it_is_associated_with() {
    let mut world = World::calm();
    let net = Net::new(&mut world);
    let strict = acl(&mut world, &net.vpc);
    world.settle();
    assert_eq!(net.borders(&world), [], "nobody is associated with it");
    associate(&mut world, &net.other, &strict).unwrap();
    world.settle();
    let closed = Border { subnet: "10.7.2.0/24".parse().unwrap(), ingress: Some(vec![]), egress: Some(vec![]) };
    assert_eq!(net.borders(&world), std::slice::from_ref(&closed), "a new one lets nothing through");
    let ssh = ec2::CreateNetworkAclEntryRequest {
        protocol: "6".into(),
        port_range: Some(ec2::PortRange { from: Some(22), to: Some(22) }),
        ..entry(&strict, false, 110, "10.7.1.9/24", ec2::RuleAction::Allow)
    };
    add(&mut world, ssh).unwrap();
    add(&mut world, entry(&strict, false, 90, "10.7.1.4/32", ec2::RuleAction::Deny)).unwrap();
    add(&mut world, entry(&strict, true, 1, "0.0.0.0/0", ec2::RuleAction::Allow)).unwrap();
    world.settle();
    let tcp = Entry { traffic: Traffic::Tcp { first: 22, last: 22 }, ..all("10.7.1.0/24", true) };
    let ingress = Some(vec![all("10.7.1.4/32", false), tcp]);
    assert_eq!(net.borders(&world), [Border { ingress, egress: None, ..closed }], "by number");
    let back = net.default_acl(&mut world).network_acl_id.unwrap();
    let association = associate(&mut world, &net.other, &back).unwrap();
    world.settle();
    assert_eq!(net.borders(&world), []);
    let shown = net.default_acl(&mut world).associations.unwrap();
    assert_eq!(shown.len(), 2);
    assert!(shown.iter().any(|of| of.network_acl_association_id.as_ref() == Some(&association)));
}

#[test]
fn a_default_acl_may_be_closed_for_all_that_have_it() {
    let mut world = World::calm();
    let net = Net::new(&mut world);
    let id = net.default_acl(&mut world).network_acl_id.unwrap();
    remove(&mut world, &id, true, 100).unwrap();
    assert_eq!(code(remove(&mut world, &id, true, 100)), "InvalidNetworkAclEntry.NotFound");
    assert_eq!(code(remove(&mut world, &id, true, 32767)), "InvalidParameterValue");
    world.settle();
    let subnets: Vec<String> = net.borders(&world).iter().map(|border| border.subnet.to_string()).collect();
    assert_eq!(subnets, ["10.7.1.0/24", "10.7.2.0/24"]);
    assert!(net.borders(&world).iter().all(|border| border.ingress.is_none() && border.egress == Some(vec![])));
    let third = subnet(&mut world, &net.vpc, "10.7.3.0/24");
    world.settle();
    assert_eq!(net.borders(&world).len(), 3, "a new subnet begins with the default one");
    let open = acl(&mut world, &net.vpc);
    for egress in [false, true] {
        add(&mut world, entry(&open, egress, 7, "0.0.0.0/0", ec2::RuleAction::Allow)).unwrap();
    }
    for subnet in [&net.one, &net.other, &third] {
        associate(&mut world, subnet, &open).unwrap();
    }
    world.settle();
    assert_eq!(net.borders(&world), []);
}

#[test]
fn a_vpc_goes_with_its_default_acl_and_not_before_another_one() {
    let mut world = World::calm();
    let request = ec2::CreateVpcRequest { cidr_block: Some("10.7.0.0/16".into()), ..Default::default() };
    let vpc = world.call(&ec2::CREATE_VPC, request).unwrap().vpc.unwrap().vpc_id.unwrap();
    let own = acl(&mut world, &vpc);
    let delete = |world: &mut World| {
        let request = ec2::DeleteVpcRequest { vpc_id: vpc.clone(), ..Default::default() };
        world.call(&ec2::DELETE_VPC, request)
    };
    assert_eq!(code(delete(&mut world)), "DependencyViolation");
    let request = ec2::DeleteNetworkAclRequest { network_acl_id: own, ..Default::default() };
    world.call(&ec2::DELETE_NETWORK_ACL, request).unwrap();
    delete(&mut world).unwrap();
    world.settle();
    assert_eq!(acls(&mut world, "vpc-id", &vpc).len(), 0);
}

#[test]
fn a_vpc_from_before_acls_were_records_gets_its_default_one_under_the_same_id() {
    let mut world = World::calm();
    let net = Net::new(&mut world);
    let before = net.default_acl(&mut world);
    let ids = |acl: &ec2::NetworkAcl| (acl.network_acl_id.clone(), acl.associations.clone());
    let forget = |tx: &mut Tx| {
        tx.list(Index::<NetworkAcl>::all()).iter().for_each(|acl| tx.remove(&acl.key));
        Ok(())
    };
    world.within(forget).unwrap();
    world.settle();
    assert_eq!(ids(&net.default_acl(&mut world)), ids(&before));
}
