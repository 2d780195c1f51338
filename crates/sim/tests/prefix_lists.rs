//! Stories of managed prefix lists: versions, and what names them.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_cloud::fabric::Want;
use roadstead_hostspec::{Network, Peer, SecurityGroup};
use roadstead_shapes::ec2;
use roadstead_sim::World;
use roadstead_store::{Key, Read as _};
use roadstead_wire::fault::Fault;
use roadstead_wire::schema::Protocol;

fn add(blocks: &[&str]) -> Option<Vec<ec2::AddPrefixListEntry>> {
    let entry = |block: &&str| ec2::AddPrefixListEntry { cidr: (*block).into(), description: None };
    Some(blocks.iter().map(entry).collect())
}

fn remove(blocks: &[&str]) -> Option<Vec<ec2::RemovePrefixListEntry>> {
    Some(blocks.iter().map(|block| ec2::RemovePrefixListEntry { cidr: (*block).into() }).collect())
}

fn wish(max: i32, blocks: &[&str]) -> ec2::CreateManagedPrefixListRequest {
    ec2::CreateManagedPrefixListRequest {
        prefix_list_name: "offices".into(),
        address_family: "IPv4".into(),
        max_entries: max,
        entries: add(blocks),
        ..Default::default()
    }
}

fn create(world: &mut World, max: i32, blocks: &[&str]) -> String {
    let made = world.call(&ec2::CREATE_MANAGED_PREFIX_LIST, wish(max, blocks)).unwrap();
    made.prefix_list.unwrap().prefix_list_id.unwrap()
}

fn shown(world: &mut World, id: &str) -> ec2::ManagedPrefixList {
    let request =
        ec2::DescribeManagedPrefixListsRequest { prefix_list_ids: Some(vec![id.into()]), ..Default::default() };
    world.call(&ec2::DESCRIBE_MANAGED_PREFIX_LISTS, request).unwrap().prefix_lists.unwrap().remove(0)
}

fn entries(world: &mut World, id: &str, version: Option<i64>) -> Result<Vec<String>, Fault> {
    let request = ec2::GetManagedPrefixListEntriesRequest {
        prefix_list_id: id.into(),
        target_version: version,
        ..Default::default()
    };
    let found = world.call(&ec2::GET_MANAGED_PREFIX_LIST_ENTRIES, request)?.entries.unwrap();
    Ok(found.into_iter().map(|entry| entry.cidr.unwrap()).collect())
}

type Modified = Result<ec2::ManagedPrefixList, Fault>;

fn modify(world: &mut World, request: ec2::ModifyManagedPrefixListRequest) -> Modified {
    world.call(&ec2::MODIFY_MANAGED_PREFIX_LIST, request).map(|answer| answer.prefix_list.unwrap())
}

fn change(id: &str, version: i64, plus: &[&str], minus: &[&str]) -> ec2::ModifyManagedPrefixListRequest {
    ec2::ModifyManagedPrefixListRequest {
        prefix_list_id: id.into(),
        current_version: Some(version),
        add_entries: add(plus),
        remove_entries: remove(minus),
        ..Default::default()
    }
}

fn resize(world: &mut World, id: &str, max: i32) -> Modified {
    let request =
        ec2::ModifyManagedPrefixListRequest { prefix_list_id: id.into(), max_entries: Some(max), ..Default::default() };
    modify(world, request)
}

fn restore(world: &mut World, id: &str, previous: i64, current: i64) -> Modified {
    let request = ec2::RestoreManagedPrefixListVersionRequest {
        prefix_list_id: id.into(),
        previous_version: previous,
        current_version: current,
        dry_run: None,
    };
    world.call(&ec2::RESTORE_MANAGED_PREFIX_LIST_VERSION, request).map(|answer| answer.prefix_list.unwrap())
}

fn delete(world: &mut World, id: &str) -> Option<ec2::PrefixListState> {
    let request = ec2::DeleteManagedPrefixListRequest { prefix_list_id: id.into(), dry_run: None };
    world.call(&ec2::DELETE_MANAGED_PREFIX_LIST, request).unwrap().prefix_list.unwrap().state
}

fn associations(world: &mut World, id: &str) -> Vec<String> {
    let request = ec2::GetManagedPrefixListAssociationsRequest { prefix_list_id: id.into(), ..Default::default() };
    let found = world.call(&ec2::GET_MANAGED_PREFIX_LIST_ASSOCIATIONS, request).unwrap();
    found.prefix_list_associations.unwrap().into_iter().map(|found| found.resource_id.unwrap()).collect()
}

fn from_lists(ids: &[&str]) -> ec2::IpPermission {
    let list = |id: &&str| ec2::PrefixListId { prefix_list_id: Some((*id).into()), description: None };
    ec2::IpPermission {
        ip_protocol: Some("tcp".into()),
        from_port: Some(443),
        to_port: Some(443),
        prefix_list_ids: Some(ids.iter().map(list).collect()),
        ..Default::default()
    }
}

fn authorize(world: &mut World, group: &str, permission: ec2::IpPermission) -> Result<(), Fault> {
    let request = ec2::AuthorizeSecurityGroupIngressRequest {
        group_id: Some(group.into()),
        ip_permissions: Some(vec![permission]),
        ..Default::default()
    };
    world.call(&ec2::AUTHORIZE_SECURITY_GROUP_INGRESS, request).map(drop)
}

fn code<T>(result: Result<T, Fault>) -> &'static str {
    match result {
        Ok(_) => "OK",
        Err(fault) => fault.code.name(Protocol::Ec2Query),
    }
}

/// A VPC, a subnet, and a group that an interface there has.
fn network(world: &mut World) -> (String, String, String) {
    let request = ec2::CreateVpcRequest { cidr_block: Some("10.7.0.0/16".into()), ..Default::default() };
    let vpc = world.call(&ec2::CREATE_VPC, request).unwrap().vpc.unwrap().vpc_id.unwrap();
    let request =
        ec2::CreateSubnetRequest { vpc_id: vpc.clone(), cidr_block: Some("10.7.1.0/24".into()), ..Default::default() };
    let subnet = world.call(&ec2::CREATE_SUBNET, request).unwrap().subnet.unwrap().subnet_id.unwrap();
    let request = ec2::CreateSecurityGroupRequest {
        group_name: "web".into(),
        description: "web".into(),
        vpc_id: Some(vpc.clone()),
        ..Default::default()
    };
    let group = world.call(&ec2::CREATE_SECURITY_GROUP, request).unwrap().group_id.unwrap();
    let request = ec2::CreateNetworkInterfaceRequest {
        subnet_id: subnet.clone(),
        groups: Some(vec![group.clone()]),
        ..Default::default()
    };
    world.call(&ec2::CREATE_NETWORK_INTERFACE, request).unwrap();
    world.settle();
    (vpc, subnet, group)
}

/// Whom hosts are told to let into the group.
fn let_in(world: &mut World, group: &str) -> Vec<String> {
    world.settle();
    let wanted = world.view().get(&Key::<Want<SecurityGroup>>::new(group)).unwrap().body.0;
    let peer = |peer: &Peer| match peer {
        Peer::Block(block) => block.to_string(),
        Peer::Group(id) => id.clone(),
    };
    wanted.ingress.iter().map(|permission| peer(&permission.peer)).collect()
}

#[test]
fn entries_change_by_versions_and_older_ones_come_back() {
    let mut world = World::calm();
    let id = create(&mut world, 3, &["192.0.2.9/24", "198.51.100.0/24"]);
    assert_eq!(entries(&mut world, &id, None).unwrap(), ["192.0.2.0/24", "198.51.100.0/24"], "without host bits");
    let list = shown(&mut world, &id);
    assert_eq!((list.version, list.state), (Some(1), Some(ec2::PrefixListState::CreateComplete)));
    let list = modify(&mut world, change(&id, 1, &["203.0.113.0/24"], &["192.0.2.0/24"])).unwrap();
    assert_eq!((list.version, list.state), (Some(2), Some(ec2::PrefixListState::ModifyComplete)));
    assert_eq!(entries(&mut world, &id, None).unwrap(), ["198.51.100.0/24", "203.0.113.0/24"]);
    assert_eq!(entries(&mut world, &id, Some(1)).unwrap(), ["192.0.2.0/24", "198.51.100.0/24"]);
    let renamed = ec2::ModifyManagedPrefixListRequest {
        prefix_list_id: id.clone(),
        prefix_list_name: Some("others".into()),
        ..Default::default()
    };
    let list = modify(&mut world, renamed).unwrap();
    assert_eq!((list.version, list.prefix_list_name.as_deref()), (Some(2), Some("others")), "a name is no version");
    let list = restore(&mut world, &id, 1, 2).unwrap();
    assert_eq!((list.version, list.state), (Some(3), Some(ec2::PrefixListState::RestoreComplete)));
    assert_eq!(entries(&mut world, &id, None).unwrap(), entries(&mut world, &id, Some(1)).unwrap());
    assert_eq!(delete(&mut world, &id), Some(ec2::PrefixListState::DeleteInProgress));
    assert_eq!(code(entries(&mut world, &id, None)), "InvalidPrefixListID.NotFound");
}

#[test]
fn a_change_of_a_list_is_one_of_every_group_that_names_it() {
    let mut world = World::calm();
    let (_, _, group) = network(&mut world);
    let id = create(&mut world, 5, &["192.0.2.0/24"]);
    authorize(&mut world, &group, from_lists(&[&id])).unwrap();
    assert_eq!(code(authorize(&mut world, &group, from_lists(&[&id]))), "InvalidPermission.Duplicate");
    assert_eq!(let_in(&mut world, &group), ["192.0.2.0/24"]);
    modify(&mut world, change(&id, 1, &["198.51.100.0/24"], &[])).unwrap();
    assert_eq!(let_in(&mut world, &group), ["192.0.2.0/24", "198.51.100.0/24"]);
    modify(&mut world, change(&id, 2, &[], &["192.0.2.0/24", "198.51.100.0/24"])).unwrap();
    assert_eq!(let_in(&mut world, &group), [""; 0]);
    restore(&mut world, &id, 1, 3).unwrap();
    assert_eq!(let_in(&mut world, &group), ["192.0.2.0/24"]);

    assert_eq!(associations(&mut world, &id), [group.as_str()]);
    assert_eq!(delete(&mut world, &id), Some(ec2::PrefixListState::DeleteInProgress));
    let list = shown(&mut world, &id);
    assert_eq!(list.state, Some(ec2::PrefixListState::DeleteFailed));
    assert!(list.state_message.unwrap().contains(&group), "it says what names it");
    assert_eq!(let_in(&mut world, &group), ["192.0.2.0/24"], "nothing has changed");
    let request = ec2::RevokeSecurityGroupIngressRequest {
        group_id: Some(group.clone()),
        ip_permissions: Some(vec![from_lists(&[&id])]),
        ..Default::default()
    };
    world.call(&ec2::REVOKE_SECURITY_GROUP_INGRESS, request).unwrap();
    delete(&mut world, &id);
    assert_eq!(code(entries(&mut world, &id, None)), "InvalidPrefixListID.NotFound");
    assert_eq!(let_in(&mut world, &group), [""; 0]);
}

#[test]
fn a_list_counts_for_as_many_rules_as_it_may_have_entries() {
    let mut world = World::calm();
    let (_, _, group) = network(&mut world);
    let (large, small) = (create(&mut world, 999, &["192.0.2.0/24"]), create(&mut world, 2, &["192.0.2.0/24"]));
    let both = from_lists(&[&large, &small]);
    assert_eq!(code(authorize(&mut world, &group, both)), "RulesPerSecurityGroupLimitExceeded");
    authorize(&mut world, &group, from_lists(&[&large])).unwrap();
    assert_eq!(code(authorize(&mut world, &group, from_lists(&[&small]))), "RulesPerSecurityGroupLimitExceeded");
    assert_eq!(resize(&mut world, &large, 1000).unwrap().state, Some(ec2::PrefixListState::ModifyComplete));
    resize(&mut world, &large, 998).unwrap();
    authorize(&mut world, &group, from_lists(&[&small])).unwrap();
    let request = ec2::ModifyManagedPrefixListRequest {
        prefix_list_id: small.clone(),
        prefix_list_name: Some("another".into()),
        max_entries: Some(3),
        ..Default::default()
    };
    let failed = modify(&mut world, request).unwrap();
    assert_eq!((failed.state, failed.max_entries), (Some(ec2::PrefixListState::ModifyFailed), Some(2)));
    assert_eq!(failed.prefix_list_name.as_deref(), Some("offices"), "nothing has changed");
    assert!(failed.state_message.unwrap().contains(&group), "it says who does not bear it");
}

#[test]
fn routes_lead_to_the_blocks_of_a_list_but_not_into_the_vpc() {
    let mut world = World::calm();
    world.reconfigure(|settings| settings.outside = Some("203.0.113.0/24".parse().unwrap()));
    let (vpc, subnet, _) = network(&mut world);
    let gateway = world.call(&ec2::CREATE_INTERNET_GATEWAY, Default::default()).unwrap();
    let gateway = gateway.internet_gateway.unwrap().internet_gateway_id.unwrap();
    let attach = ec2::AttachInternetGatewayRequest {
        internet_gateway_id: gateway.clone(),
        vpc_id: vpc.clone(),
        ..Default::default()
    };
    world.call(&ec2::ATTACH_INTERNET_GATEWAY, attach).unwrap();
    let address = world.call(&ec2::ALLOCATE_ADDRESS, Default::default()).unwrap().allocation_id;
    let eni = world.call(&ec2::DESCRIBE_NETWORK_INTERFACES, Default::default()).unwrap().network_interfaces.unwrap();
    let eni = eni.into_iter().find(|eni| eni.subnet_id.as_ref() == Some(&subnet)).unwrap().network_interface_id;
    let associate =
        ec2::AssociateAddressRequest { allocation_id: address, network_interface_id: eni, ..Default::default() };
    world.call(&ec2::ASSOCIATE_ADDRESS, associate).unwrap();
    let tables = world.call(&ec2::DESCRIBE_ROUTE_TABLES, Default::default()).unwrap().route_tables.unwrap();
    let table = tables.into_iter().find(|table| table.vpc_id.as_ref() == Some(&vpc)).unwrap().route_table_id.unwrap();
    let id = create(&mut world, 5, &["192.0.2.0/24", "10.7.1.0/24"]);
    let route = |list: &str| ec2::CreateRouteRequest {
        route_table_id: table.clone(),
        destination_prefix_list_id: Some(list.into()),
        gateway_id: Some(gateway.clone()),
        ..Default::default()
    };
    assert_eq!(code(world.call(&ec2::CREATE_ROUTE, route("pl-1"))), "InvalidPrefixListID.NotFound");
    world.call(&ec2::CREATE_ROUTE, route(&id)).unwrap();
    assert_eq!(code(world.call(&ec2::CREATE_ROUTE, route(&id))), "RouteAlreadyExists");
    let exits = |world: &mut World| -> Vec<String> {
        world.settle();
        let network = world.view().get(&Key::<Want<Network>>::new(vpc.as_str())).unwrap().body.0;
        network.outside.exits.iter().map(|exit| exit.to.to_string()).collect()
    };
    assert_eq!(exits(&mut world), ["192.0.2.0/24"], "the VPC's own block stays the VPC's own");
    modify(&mut world, change(&id, 1, &["198.51.100.0/24"], &[])).unwrap();
    assert_eq!(exits(&mut world), ["192.0.2.0/24", "198.51.100.0/24"]);
    assert_eq!(associations(&mut world, &id), [table.as_str()]);
    let delete = ec2::DeleteRouteRequest {
        route_table_id: table.clone(),
        destination_prefix_list_id: Some(id.clone()),
        ..Default::default()
    };
    world.call(&ec2::DELETE_ROUTE, delete.clone()).unwrap();
    assert_eq!(code(world.call(&ec2::DELETE_ROUTE, delete)), "InvalidRoute.NotFound");
    assert_eq!(exits(&mut world), [""; 0]);
}

#[test]
fn what_is_no_list_or_no_change_is_refused_and_changes_nothing() {
    let mut world = World::calm();
    let id = create(&mut world, 2, &["192.0.2.0/24"]);
    let before = world.view().revision();
    let wishes = [
        (
            "InvalidParameterValue",
            ec2::CreateManagedPrefixListRequest { address_family: "IPv5".into(), ..wish(1, &[]) },
        ),
        ("InvalidParameterValue", wish(0, &[])),
        ("InvalidParameterValue", wish(1001, &[])),
        ("InvalidParameterValue", wish(2, &["192.0.2.0"])),
        ("InvalidParameterValue", wish(2, &["2001:db8::/32"])),
        ("InvalidParameterValue", wish(2, &["192.0.2.0/24", "192.0.2.1/24"])),
        ("PrefixListMaxEntriesExceeded", wish(1, &["192.0.2.0/24", "198.51.100.0/24"])),
        (
            "InvalidParameterValue",
            ec2::CreateManagedPrefixListRequest { prefix_list_name: "com.amazonaws.x".into(), ..wish(1, &[]) },
        ),
        ("DryRunOperation", ec2::CreateManagedPrefixListRequest { dry_run: Some(true), ..wish(1, &[]) }),
    ];
    for (expected, wish) in wishes {
        assert_eq!(code(world.call(&ec2::CREATE_MANAGED_PREFIX_LIST, wish)), expected);
    }
    let fine = || change(&id, 1, &["198.51.100.0/24"], &[]);
    let changes = [
        ("PrefixListVersionMismatch", change(&id, 2, &["198.51.100.0/24"], &[])),
        ("InvalidParameterValue", change(&id, 1, &["192.0.2.0/24"], &[])),
        ("InvalidParameterValue", change(&id, 1, &[], &["198.51.100.0/24"])),
        ("PrefixListMaxEntriesExceeded", change(&id, 1, &["198.51.100.0/24", "203.0.113.0/24"], &[])),
        ("MissingParameter", change(&id, 1, &[], &[])),
        ("InvalidParameterCombination", ec2::ModifyManagedPrefixListRequest { max_entries: Some(5), ..fine() }),
        ("InvalidPrefixListID.NotFound", change("pl-1", 1, &[], &[])),
        ("DryRunOperation", ec2::ModifyManagedPrefixListRequest { dry_run: Some(true), ..fine() }),
        (
            "Unsupported",
            ec2::ModifyManagedPrefixListRequest { ipam_prefix_list_resolver_sync_enabled: Some(true), ..fine() },
        ),
    ];
    for (expected, change) in changes {
        assert_eq!(code(modify(&mut world, change)), expected);
    }
    assert_eq!(code(resize(&mut world, &id, 0)), "InvalidParameterValue");
    assert_eq!(code(restore(&mut world, &id, 1, 2)), "PrefixListVersionMismatch");
    assert_eq!(code(restore(&mut world, &id, 7, 1)), "InvalidParameterValue");
    assert_eq!(code(entries(&mut world, &id, Some(7))), "InvalidParameterValue");
    assert_eq!(world.view().revision(), before);
}
