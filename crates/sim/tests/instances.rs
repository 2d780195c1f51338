//! Stories of instances that users run, and of their interfaces. Every rule of [`roadstead_sim::CHECKS`] holds on the
//! way, or the story fails.

#![expect(clippy::unwrap_used, reason = "it is a test: what goes wrong ends it")]

use roadstead_cloud::fabric::Want;
use roadstead_hostspec::{ItemKind, Machine, Network};
use roadstead_shapes::{ec2, iam};
use roadstead_sim::{Crash, World};
use roadstead_store::{Index, Key, Read as _};
use roadstead_types::{Cidr, Millis};
use roadstead_wire::fault::Fault;
use roadstead_wire::schema::Protocol;
use std::collections::{BTreeMap, BTreeSet};

fn image(world: &mut World) -> String {
    let all = world.call(&ec2::DESCRIBE_IMAGES, ec2::DescribeImagesRequest::default()).unwrap();
    let node = all.images.unwrap().into_iter().find(|image| image.name.as_ref().unwrap().contains("-1.36-"));
    node.unwrap().image_id.unwrap()
}

/// A request for one `t3.medium` in the default VPC.
fn request(world: &mut World) -> ec2::RunInstancesRequest {
    ec2::RunInstancesRequest {
        image_id: Some(image(world)),
        instance_type: Some("t3.medium".parse().unwrap()),
        min_count: 1,
        max_count: 1,
        ..Default::default()
    }
}

fn run(world: &mut World) -> String {
    let request = request(world);
    run_as(world, request).unwrap()
}

fn run_as(world: &mut World, request: ec2::RunInstancesRequest) -> Result<String, Fault> {
    let reservation = world.call(&ec2::RUN_INSTANCES, request)?;
    Ok(reservation.instances.unwrap().remove(0).instance_id.unwrap())
}

fn running() -> (World, String) {
    let mut world = World::calm();
    let id = run(&mut world);
    world.settle();
    assert_eq!(state(&mut world, &id), "running");
    (world, id)
}

fn describe(world: &mut World, id: &str) -> Option<ec2::Instance> {
    let request = ec2::DescribeInstancesRequest { instance_ids: Some(vec![id.into()]), ..Default::default() };
    let all = world.call(&ec2::DESCRIBE_INSTANCES, request).ok()?;
    all.reservations?.pop()?.instances?.pop()
}

fn state(world: &mut World, id: &str) -> &'static str {
    describe(world, id).map_or("-", |instance| instance.state.unwrap().name.unwrap().as_str())
}

fn status(world: &mut World, id: &str) -> ec2::InstanceStatusSummary {
    let request = ec2::DescribeInstanceStatusRequest {
        instance_ids: Some(vec![id.into()]),
        include_all_instances: Some(true),
        ..Default::default()
    };
    let all = world.call(&ec2::DESCRIBE_INSTANCE_STATUS, request).unwrap().instance_statuses.unwrap();
    all[0].instance_status.clone().unwrap()
}

fn check(world: &mut World, id: &str) -> &'static str {
    status(world, id).status.unwrap().as_str()
}

fn impaired_since(world: &mut World, id: &str) -> Option<Millis> {
    status(world, id).details.unwrap()[0].impaired_since
}

/// The interfaces that the host is to give it.
fn ports(world: &World, id: &str) -> Vec<String> {
    let machine = world.view().get(&Key::<Want<Machine>>::new(id)).unwrap().body.0;
    machine.ports.into_iter().map(|port| port.port).collect()
}

fn terminate(world: &mut World, id: &str) -> Result<(), Fault> {
    let request = ec2::TerminateInstancesRequest { instance_ids: vec![id.into()], ..Default::default() };
    world.call(&ec2::TERMINATE_INSTANCES, request).map(drop)
}

fn stop(world: &mut World, id: &str) -> Result<(), Fault> {
    let request = ec2::StopInstancesRequest { instance_ids: vec![id.into()], ..Default::default() };
    world.call(&ec2::STOP_INSTANCES, request).map(drop)
}

fn start(world: &mut World, id: &str) -> Result<(), Fault> {
    let request = ec2::StartInstancesRequest { instance_ids: vec![id.into()], ..Default::default() };
    world.call(&ec2::START_INSTANCES, request).map(drop)
}

fn subnets(world: &mut World) -> Vec<ec2::Subnet> {
    let mut all = world.call(&ec2::DESCRIBE_SUBNETS, ec2::DescribeSubnetsRequest::default()).unwrap().subnets.unwrap();
    all.sort_by_key(|subnet| (!subnet.default_for_az.unwrap(), subnet.availability_zone.clone()));
    all
}

/// One of eleven addresses.
fn narrow(world: &mut World) -> String {
    subnets(world).into_iter().rfind(|subnet| !subnet.default_for_az.unwrap()).unwrap().subnet_id.unwrap()
}

fn available(world: &mut World, subnet: &str) -> i32 {
    let all = subnets(world);
    all.iter().find(|s| s.subnet_id.as_deref() == Some(subnet)).unwrap().available_ip_address_count.unwrap()
}

fn create_interface(world: &mut World, subnet: &str) -> Result<String, Fault> {
    let request = ec2::CreateNetworkInterfaceRequest { subnet_id: subnet.into(), ..Default::default() };
    let made = world.call(&ec2::CREATE_NETWORK_INTERFACE, request)?;
    Ok(made.network_interface.unwrap().network_interface_id.unwrap())
}

fn interface(world: &mut World, id: &str) -> ec2::NetworkInterface {
    let request =
        ec2::DescribeNetworkInterfacesRequest { network_interface_ids: Some(vec![id.into()]), ..Default::default() };
    world.call(&ec2::DESCRIBE_NETWORK_INTERFACES, request).unwrap().network_interfaces.unwrap().remove(0)
}

fn attach(world: &mut World, eni: &str, instance: &str, device_index: i32) -> Result<String, Fault> {
    let request = ec2::AttachNetworkInterfaceRequest {
        network_interface_id: eni.into(),
        instance_id: instance.into(),
        device_index,
        ..Default::default()
    };
    Ok(world.call(&ec2::ATTACH_NETWORK_INTERFACE, request)?.attachment_id.unwrap())
}

fn detach(world: &mut World, attachment: &str) -> Result<(), Fault> {
    let request = ec2::DetachNetworkInterfaceRequest { attachment_id: attachment.into(), ..Default::default() };
    world.call(&ec2::DETACH_NETWORK_INTERFACE, request)
}

fn delete_interface(world: &mut World, eni: &str) -> Result<(), Fault> {
    let request = ec2::DeleteNetworkInterfaceRequest { network_interface_id: eni.into(), ..Default::default() };
    world.call(&ec2::DELETE_NETWORK_INTERFACE, request)
}

fn assign(world: &mut World, eni: &str, addresses: i32, prefixes: i32) -> Result<Vec<String>, Fault> {
    let request = ec2::AssignPrivateIpAddressesRequest {
        network_interface_id: eni.into(),
        secondary_private_ip_address_count: (addresses > 0).then_some(addresses),
        ipv4_prefix_count: (prefixes > 0).then_some(prefixes),
        ..Default::default()
    };
    let given = world.call(&ec2::ASSIGN_PRIVATE_IP_ADDRESSES, request)?;
    let addresses = given.assigned_private_ip_addresses.unwrap().into_iter().map(|a| a.private_ip_address.unwrap());
    let prefixes = given.assigned_ipv4_prefixes.unwrap().into_iter().map(|p| p.ipv4_prefix.unwrap());
    Ok(addresses.chain(prefixes).collect())
}

/// The code of a refusal, as EC2 spells it.
fn code(refused: Result<impl Sized, Fault>) -> &'static str {
    refused.err().expect("it is refused").code.name(Protocol::Ec2Query)
}

#[test]
fn an_instance_is_pending_until_its_machine_runs() {
    let mut world = World::calm();
    let id = run(&mut world);
    assert_eq!(state(&mut world, &id), "pending");
    assert!(describe(&mut world, &id).unwrap().state_reason.is_some(), "what it waits for is said");
    world.settle();
    assert_eq!((state(&mut world, &id), check(&mut world, &id)), ("running", "ok"));
    assert!(world.host().running().contains(&id));
    assert!(world.host().has(ItemKind::Metadata, &id));
    let shown = describe(&mut world, &id).unwrap();
    let address = shown.private_ip_address.unwrap();
    assert_eq!(shown.private_dns_name.unwrap(), format!("ip-{}.ec2.internal", address.replace('.', "-")));
    assert_eq!(shown.metadata_options.unwrap().http_tokens, Some(ec2::HttpTokensState::Required));
}

#[test]
fn a_terminated_instance_is_shown_for_an_hour_and_leaves_nothing() {
    let (mut world, id) = running();
    terminate(&mut world, &id).unwrap();
    assert_eq!(state(&mut world, &id), "shutting-down");
    world.settle();
    assert_eq!(state(&mut world, &id), "terminated");
    assert_eq!(world.host().count(), 0);
    let shown = describe(&mut world, &id).unwrap();
    assert_eq!((shown.private_ip_address, shown.network_interfaces), (None, None));
    terminate(&mut world, &id).unwrap();
    world.wait(Millis::mins(61));
    assert_eq!(state(&mut world, &id), "-");
    assert_eq!(world.leftovers(), vec![]);
}

#[test]
fn a_stopped_instance_starts_again_with_its_addresses_and_its_disk() {
    let (mut world, id) = running();
    let before = describe(&mut world, &id).unwrap();
    stop(&mut world, &id).unwrap();
    assert_eq!(state(&mut world, &id), "stopping");
    world.settle();
    assert_eq!((state(&mut world, &id), check(&mut world, &id)), ("stopped", "not-applicable"));
    assert!(!world.host().running().contains(&id));
    start(&mut world, &id).unwrap();
    assert_eq!(state(&mut world, &id), "pending");
    world.settle();
    let after = describe(&mut world, &id).unwrap();
    assert_eq!(after.state.unwrap().name, Some(ec2::InstanceStateName::Running));
    assert_eq!(after.private_ip_address, before.private_ip_address);
    let volume = |devices: Option<Vec<ec2::InstanceBlockDeviceMapping>>| {
        devices.unwrap().remove(0).ebs.unwrap().volume_id.unwrap()
    };
    assert_eq!(volume(after.block_device_mappings), volume(before.block_device_mappings));
    assert!(world.host().has(ItemKind::Metadata, &id));
}

#[test]
fn a_stop_can_be_taken_back_at_any_moment() {
    for millis in [0, 1, 20, 50, 100, 500, 1000, 5000] {
        let (mut world, id) = running();
        stop(&mut world, &id).unwrap();
        world.wait(Millis(millis));
        if let Err(fault) = start(&mut world, &id) {
            assert!(fault.to_string().starts_with("IncorrectInstanceState"), "{fault}");
            world.settle();
            start(&mut world, &id).unwrap();
        }
        world.settle();
        assert_eq!(state(&mut world, &id), "running", "after {millis} ms");
    }
}

#[test]
fn a_reboot_starts_the_machine_anew_under_its_id() {
    let (mut world, id) = running();
    let request = ec2::RebootInstancesRequest { instance_ids: vec![id.clone()], ..Default::default() };
    world.call(&ec2::REBOOT_INSTANCES, request).unwrap();
    let mut was_down = false;
    world.settle_watching(|world| was_down |= !world.host().running().contains(&id));
    assert!(was_down);
    assert_eq!((state(&mut world, &id), check(&mut world, &id)), ("running", "ok"));
}

#[test]
fn an_instance_whose_machine_ended_is_impaired_until_it_runs_again() {
    let (mut world, id) = running();
    world.wait(Millis::secs(10));
    let ended = world.now();
    assert!(world.host().kill_machine(&id));
    let (mut seen, mut since) = (BTreeMap::new(), BTreeSet::new());
    world.settle_watching(|world| {
        assert_eq!(state(world, &id), "running", "it has been: only its check fails");
        since.extend(impaired_since(world, &id));
        let reason = describe(world, &id).unwrap().state_reason.map(|reason| reason.code.unwrap());
        seen.insert(check(world, &id), reason);
    });
    assert_eq!(seen.get("impaired").cloned().flatten().as_deref(), Some("Server.InternalError"));
    assert!(since.len() == 1 && since.iter().all(|since| *since >= ended), "it is impaired since it ended");
    assert_eq!((state(&mut world, &id), check(&mut world, &id)), ("running", "ok"));
}

#[test]
fn only_users_networks_have_the_link_local_services_of_instances() {
    let (mut world, id) = running();
    let vpc = describe(&mut world, &id).unwrap().vpc_id.unwrap();
    world.create_cluster("a");
    world.settle();
    let networks: BTreeMap<String, bool> = world
        .view()
        .list(Index::<Want<Network>>::all())
        .into_iter()
        .map(|record| (record.body.0.id, record.body.0.link_local))
        .collect();
    assert_eq!(networks.len(), 2);
    assert!(networks.iter().all(|(network, link_local)| *link_local == (*network == vpc)), "{networks:?}");
}

#[test]
fn what_can_not_be_is_refused_and_changes_nothing() {
    let mut world = World::calm();
    let good = request(&mut world);
    let narrow = narrow(&mut world);
    let group = || Some(vec!["sg-00000000000000000".to_owned()]);
    let refusals: Vec<(&str, ec2::RunInstancesRequest)> = vec![
        ("InvalidAMIID.NotFound", ec2::RunInstancesRequest { image_id: Some("ami-1".into()), ..good.clone() }),
        ("InvalidAMIID.Malformed", ec2::RunInstancesRequest { image_id: Some("x".into()), ..good.clone() }),
        ("MissingInput", ec2::RunInstancesRequest { image_id: None, ..good.clone() }),
        (
            "InvalidInstanceType",
            ec2::RunInstancesRequest { instance_type: Some("a1.large".parse().unwrap()), ..good.clone() },
        ),
        (
            "InsufficientInstanceCapacity",
            ec2::RunInstancesRequest { instance_type: Some("m5.4xlarge".parse().unwrap()), ..good.clone() },
        ),
        ("InvalidSubnetID.NotFound", ec2::RunInstancesRequest { subnet_id: Some("subnet-1".into()), ..good.clone() }),
        ("InvalidGroup.NotFound", ec2::RunInstancesRequest { security_group_ids: group(), ..good.clone() }),
        ("InvalidUserData.Malformed", ec2::RunInstancesRequest { user_data: Some("%".into()), ..good.clone() }),
        (
            "InsufficientFreeAddressesInSubnet",
            ec2::RunInstancesRequest { subnet_id: Some(narrow), min_count: 12, max_count: 12, ..good.clone() },
        ),
        ("InvalidParameterValue", ec2::RunInstancesRequest { min_count: 2, max_count: 1, ..good.clone() }),
        (
            "InvalidParameterValue",
            ec2::RunInstancesRequest { private_ip_address: Some("8.8.8.8".into()), ..good.clone() },
        ),
        ("Unsupported", ec2::RunInstancesRequest { kernel_id: Some("aki-1".into()), ..good.clone() }),
        ("DryRunOperation", ec2::RunInstancesRequest { dry_run: Some(true), ..good.clone() }),
    ];
    for (expected, request) in refusals {
        assert_eq!(code(run_as(&mut world, request)), expected);
    }
    for (expected, id) in
        [("InvalidInstanceID.NotFound", "i-00000000000000000"), ("InvalidInstanceID.Malformed", "i-x")]
    {
        assert_eq!(code(terminate(&mut world, id)), expected);
        assert_eq!(code(stop(&mut world, id)), expected);
        assert_eq!(code(start(&mut world, id)), expected);
    }
    world.settle();
    assert_eq!(world.leftovers(), vec![]);
}

#[test]
fn as_many_run_as_there_is_room_for() {
    let mut world = World::calm();
    let subnet = narrow(&mut world);
    let request = ec2::RunInstancesRequest {
        subnet_id: Some(subnet.clone()),
        min_count: 2,
        max_count: 20,
        ..request(&mut world)
    };
    let reservation = world.call(&ec2::RUN_INSTANCES, request).unwrap();
    let instances = reservation.instances.unwrap();
    assert_eq!(instances.len(), 11);
    assert_eq!(available(&mut world, &subnet), 0);
    world.settle();
    assert_eq!(world.host().running().len(), 11);
}

#[test]
fn a_retried_run_launches_nothing_more() {
    let mut world = World::calm();
    let request = ec2::RunInstancesRequest { client_token: Some("once".into()), ..request(&mut world) };
    let first = run_as(&mut world, request.clone()).unwrap();
    world.settle();
    assert_eq!(run_as(&mut world, request).unwrap(), first);
}

#[test]
fn a_protected_instance_is_not_terminated() {
    let mut world = World::calm();
    let request = ec2::RunInstancesRequest { disable_api_termination: Some(true), ..request(&mut world) };
    let id = run_as(&mut world, request).unwrap();
    assert_eq!(code(terminate(&mut world, &id)), "OperationNotPermitted");
    let off = ec2::ModifyInstanceAttributeRequest {
        instance_id: id.clone(),
        disable_api_termination: Some(ec2::AttributeBooleanValue { value: Some(false) }),
        ..Default::default()
    };
    world.call(&ec2::MODIFY_INSTANCE_ATTRIBUTE, off).unwrap();
    terminate(&mut world, &id).unwrap();
    world.settle();
    assert_eq!(state(&mut world, &id), "terminated");
}

#[test]
fn the_type_of_an_instance_changes_while_it_is_stopped() {
    let (mut world, id) = running();
    let larger = || ec2::ModifyInstanceAttributeRequest {
        instance_id: id.clone(),
        instance_type: Some(ec2::AttributeValue { value: Some("m5.large".into()) }),
        ..Default::default()
    };
    assert_eq!(code(world.call(&ec2::MODIFY_INSTANCE_ATTRIBUTE, larger())), "IncorrectInstanceState");
    stop(&mut world, &id).unwrap();
    world.settle();
    let stopped = describe(&mut world, &id).unwrap().state_transition_reason;
    world.wait(Millis::mins(10));
    world.call(&ec2::MODIFY_INSTANCE_ATTRIBUTE, larger()).unwrap();
    world.settle();
    let since = describe(&mut world, &id).unwrap().state_transition_reason;
    assert_eq!(since, stopped, "it is stopped since then, whatever else of it changes");
    start(&mut world, &id).unwrap();
    world.settle();
    assert_eq!(describe(&mut world, &id).unwrap().instance_type.unwrap().as_str(), "m5.large");
}

#[test]
fn an_instance_is_what_the_version_of_its_template_says() {
    let mut world = World::calm();
    let data = ec2::RequestLaunchTemplateData {
        image_id: Some(image(&mut world)),
        instance_type: Some("t3.small".parse().unwrap()),
        user_data: Some("aGVsbG8=".into()),
        ..Default::default()
    };
    let create = ec2::CreateLaunchTemplateRequest {
        launch_template_name: "nodes".into(),
        launch_template_data: data,
        ..Default::default()
    };
    let made = world.call(&ec2::CREATE_LAUNCH_TEMPLATE, create.clone()).unwrap().launch_template.unwrap();
    let refused = world.call(&ec2::CREATE_LAUNCH_TEMPLATE, create);
    assert_eq!(code(refused), "InvalidLaunchTemplateName.AlreadyExistsException");
    let larger = ec2::CreateLaunchTemplateVersionRequest {
        launch_template_name: Some("nodes".into()),
        source_version: Some("1".into()),
        launch_template_data: ec2::RequestLaunchTemplateData {
            instance_type: Some("t3.large".parse().unwrap()),
            ..Default::default()
        },
        ..Default::default()
    };
    world.call(&ec2::CREATE_LAUNCH_TEMPLATE_VERSION, larger).unwrap();
    let mut run = |version: &str| {
        let named = ec2::LaunchTemplateSpecification {
            launch_template_id: made.launch_template_id.clone(),
            version: Some(version.into()),
            ..Default::default()
        };
        let request =
            ec2::RunInstancesRequest { launch_template: Some(named), min_count: 1, max_count: 1, ..Default::default() };
        let id = run_as(&mut world, request)?;
        Ok(describe(&mut world, &id).unwrap().instance_type.unwrap().to_string())
    };
    assert_eq!(run("$Default").unwrap(), "t3.small");
    assert_eq!(run("$Latest").unwrap(), "t3.large");
    assert_eq!(code(run("3")), "InvalidLaunchTemplateId.VersionNotFound");
}

#[test]
fn an_interface_comes_to_a_running_instance_and_goes() {
    let (mut world, id) = running();
    let subnet = describe(&mut world, &id).unwrap().subnet_id.unwrap();
    let eni = create_interface(&mut world, &subnet).unwrap();
    let attachment = attach(&mut world, &eni, &id, 1).unwrap();
    world.settle_watching(|world| assert!(world.host().running().contains(&id), "it runs all the while"));
    assert_eq!(interface(&mut world, &eni).status, Some(ec2::NetworkInterfaceStatus::InUse));
    assert_eq!(describe(&mut world, &id).unwrap().network_interfaces.unwrap().len(), 2);
    assert!(ports(&world, &id).contains(&eni));
    assert_eq!(code(attach(&mut world, &eni, &id, 2)), "InvalidNetworkInterface.InUse");
    assert_eq!(code(delete_interface(&mut world, &eni)), "InvalidParameterValue");
    detach(&mut world, &attachment).unwrap();
    assert_eq!(interface(&mut world, &eni).status, Some(ec2::NetworkInterfaceStatus::Detaching));
    world.settle();
    assert_eq!(interface(&mut world, &eni).status, Some(ec2::NetworkInterfaceStatus::Available));
    assert_eq!(ports(&world, &id).len(), 1);
    delete_interface(&mut world, &eni).unwrap();
    world.settle();
    assert!(!world.host().has(ItemKind::Port, &eni));
}

#[test]
fn an_instance_has_no_more_interfaces_and_addresses_than_its_type() {
    let (mut world, id) = running();
    let subnet = describe(&mut world, &id).unwrap().subnet_id.unwrap();
    let mut extra = || create_interface(&mut world, &subnet).unwrap();
    let (one, two, three) = (extra(), extra(), extra());
    attach(&mut world, &one, &id, 1).unwrap();
    assert_eq!(code(attach(&mut world, &two, &id, 1)), "InvalidParameterValue");
    attach(&mut world, &two, &id, 2).unwrap();
    assert_eq!(code(attach(&mut world, &three, &id, 3)), "AttachmentLimitExceeded");
    assert_eq!(assign(&mut world, &one, 5, 0).unwrap().len(), 5);
    assert_eq!(code(assign(&mut world, &one, 1, 0)), "PrivateIpAddressLimitExceeded");
    assign(&mut world, &three, 6, 0).unwrap();
    let first = describe(&mut world, &id).unwrap().network_interfaces.unwrap().remove(0);
    let first = first.attachment.unwrap().attachment_id.unwrap();
    assert_eq!(code(detach(&mut world, &first)), "OperationNotPermitted");
    assert_eq!(code(detach(&mut world, "eni-attach-1")), "InvalidAttachmentID.NotFound");
}

#[test]
fn prefixes_are_aligned_and_all_of_their_addresses_are_taken() {
    let mut world = World::calm();
    let subnet = subnets(&mut world).remove(0).subnet_id.unwrap();
    let before = available(&mut world, &subnet);
    let eni = create_interface(&mut world, &subnet).unwrap();
    let given = assign(&mut world, &eni, 0, 2).unwrap();
    let blocks: Vec<Cidr> = given.iter().map(|text| text.parse().unwrap()).collect();
    assert!(blocks.iter().all(|block| block.prefix() == 28) && blocks[0] != blocks[1]);
    assert_eq!(available(&mut world, &subnet), before - 33);
    let inside = blocks[0].nth(3).unwrap().to_string();
    let taken = ec2::AssignPrivateIpAddressesRequest {
        network_interface_id: eni.clone(),
        private_ip_addresses: Some(vec![inside.clone()]),
        ..Default::default()
    };
    assert_eq!(code(world.call(&ec2::ASSIGN_PRIVATE_IP_ADDRESSES, taken.clone())), "InvalidIPAddress.InUse");
    let back = ec2::UnassignPrivateIpAddressesRequest {
        network_interface_id: eni.clone(),
        ipv4_prefixes: Some(vec![given[0].clone()]),
        ..Default::default()
    };
    world.call(&ec2::UNASSIGN_PRIVATE_IP_ADDRESSES, back.clone()).unwrap();
    assert_eq!(code(world.call(&ec2::UNASSIGN_PRIVATE_IP_ADDRESSES, back)), "InvalidParameterValue");
    world.call(&ec2::ASSIGN_PRIVATE_IP_ADDRESSES, taken).unwrap();
    world.settle();
    assert_eq!(available(&mut world, &subnet), before - 18);
    let narrow = narrow(&mut world);
    let other = create_interface(&mut world, &narrow).unwrap();
    assert_eq!(code(assign(&mut world, &other, 0, 1)), "InsufficientCidrBlocks");
    assert_eq!(code(assign(&mut world, &other, 11, 0)), "InsufficientFreeAddressesInSubnet");
}

#[test]
fn an_address_moves_to_another_interface_only_when_that_is_asked_for() {
    let mut world = World::calm();
    let subnet = subnets(&mut world).remove(0).subnet_id.unwrap();
    let (one, two) = (create_interface(&mut world, &subnet).unwrap(), create_interface(&mut world, &subnet).unwrap());
    let address = assign(&mut world, &one, 1, 0).unwrap();
    let request = |allow| ec2::AssignPrivateIpAddressesRequest {
        network_interface_id: two.clone(),
        private_ip_addresses: Some(address.clone()),
        allow_reassignment: Some(allow),
        ..Default::default()
    };
    assert_eq!(code(world.call(&ec2::ASSIGN_PRIVATE_IP_ADDRESSES, request(false))), "InvalidIPAddress.InUse");
    world.call(&ec2::ASSIGN_PRIVATE_IP_ADDRESSES, request(true)).unwrap();
    assert_eq!(interface(&mut world, &one).private_ip_addresses.unwrap().len(), 1);
    assert_eq!(interface(&mut world, &two).private_ip_addresses.unwrap().len(), 2);
}

#[test]
fn a_users_interface_outlives_an_instance_and_keeps_its_subnet_and_group() {
    let mut world = World::calm();
    let subnet = subnets(&mut world).remove(0).subnet_id.unwrap();
    let vpc = subnets(&mut world).remove(0).vpc_id.unwrap();
    let group = ec2::CreateSecurityGroupRequest {
        group_name: "g".into(),
        description: "g".into(),
        vpc_id: Some(vpc),
        ..Default::default()
    };
    let group = world.call(&ec2::CREATE_SECURITY_GROUP, group).unwrap().group_id.unwrap();
    let request_eni = ec2::CreateNetworkInterfaceRequest {
        subnet_id: subnet.clone(),
        groups: Some(vec![group.clone()]),
        ..Default::default()
    };
    let made = world.call(&ec2::CREATE_NETWORK_INTERFACE, request_eni).unwrap().network_interface.unwrap();
    let (eni, address) = (made.network_interface_id.unwrap(), made.private_ip_address.unwrap());
    let first = ec2::InstanceNetworkInterfaceSpecification {
        device_index: Some(0),
        network_interface_id: Some(eni.clone()),
        ..Default::default()
    };
    let request = ec2::RunInstancesRequest { network_interfaces: Some(vec![first]), ..request(&mut world) };
    let id = run_as(&mut world, request).unwrap();
    world.settle();
    assert_eq!(describe(&mut world, &id).unwrap().private_ip_address.unwrap(), address);
    terminate(&mut world, &id).unwrap();
    world.settle();
    assert_eq!(interface(&mut world, &eni).status, Some(ec2::NetworkInterfaceStatus::Available));
    let delete_subnet = || ec2::DeleteSubnetRequest { subnet_id: subnet.clone(), ..Default::default() };
    let delete_group = || ec2::DeleteSecurityGroupRequest { group_id: Some(group.clone()), ..Default::default() };
    assert_eq!(code(world.call(&ec2::DELETE_SUBNET, delete_subnet())), "DependencyViolation");
    assert_eq!(code(world.call(&ec2::DELETE_SECURITY_GROUP, delete_group())), "DependencyViolation");
    delete_interface(&mut world, &eni).unwrap();
    world.settle();
    world.call(&ec2::DELETE_SUBNET, delete_subnet()).unwrap();
    world.call(&ec2::DELETE_SECURITY_GROUP, delete_group()).unwrap();
}

#[test]
fn interfaces_of_eks_are_not_their_users() {
    let mut world = World::calm();
    world.create_cluster("a");
    world.settle();
    let all = world.call(&ec2::DESCRIBE_NETWORK_INTERFACES, ec2::DescribeNetworkInterfacesRequest::default()).unwrap();
    let managed = all.network_interfaces.unwrap().into_iter().find(|eni| eni.requester_managed == Some(true)).unwrap();
    let id = managed.network_interface_id.unwrap();
    assert_eq!(code(delete_interface(&mut world, &id)), "AuthFailure");
    assert_eq!(code(assign(&mut world, &id, 1, 0)), "AuthFailure");
    let attachment = managed.attachment.unwrap().attachment_id.unwrap();
    assert_eq!(code(detach(&mut world, &attachment)), "OperationNotPermitted");
}

#[test]
fn an_instance_acts_as_its_profiles_role_until_it_ends() {
    let mut world = World::calm();
    let trust = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;
    let role = iam::CreateRoleRequest {
        role_name: "machine".into(),
        assume_role_policy_document: trust.into(),
        ..Default::default()
    };
    world.call(&iam::CREATE_ROLE, role).unwrap();
    let profile = iam::CreateInstanceProfileRequest { instance_profile_name: "machine".into(), ..Default::default() };
    world.call(&iam::CREATE_INSTANCE_PROFILE, profile).unwrap();
    let add =
        iam::AddRoleToInstanceProfileRequest { instance_profile_name: "machine".into(), role_name: "machine".into() };
    world.call(&iam::ADD_ROLE_TO_INSTANCE_PROFILE, add).unwrap();
    let with =
        |name: &str| Some(ec2::IamInstanceProfileSpecification { name: Some(name.into()), ..Default::default() });
    let request = request(&mut world);
    let unknown = ec2::RunInstancesRequest { iam_instance_profile: with("nobody"), ..request.clone() };
    assert_eq!(code(run_as(&mut world, unknown)), "InvalidParameterValue");
    let id = run_as(&mut world, ec2::RunInstancesRequest { iam_instance_profile: with("machine"), ..request }).unwrap();
    world.settle();
    let credentials = world.host().metadata(&id).unwrap().credentials.clone().unwrap();
    assert_eq!(credentials.role, "machine");
    assert!(world.host().has(ItemKind::Credential, &credentials.access_key_id));
    terminate(&mut world, &id).unwrap();
    world.settle();
    assert!(!world.host().has(ItemKind::Credential, &credentials.access_key_id), "no signature by it is good any more");
}

#[test]
fn an_instance_learns_of_its_interfaces_as_they_come_and_go() {
    let (mut world, id) = running();
    let shown = describe(&mut world, &id).unwrap();
    let said = |world: &mut World, path: &str| world.host().metadata(&id).unwrap().categories.get(path).cloned();
    assert_eq!(said(&mut world, "meta-data/local-hostname"), shown.private_dns_name);
    let eni = create_interface(&mut world, &shown.subnet_id.unwrap()).unwrap();
    let attachment = attach(&mut world, &eni, &id, 1).unwrap();
    let addresses = assign(&mut world, &eni, 2, 0).unwrap();
    world.settle();
    let mac = interface(&mut world, &eni).mac_address.unwrap();
    let folder = format!("meta-data/network/interfaces/macs/{mac}");
    assert_eq!(said(&mut world, &format!("{folder}/device-number")).as_deref(), Some("1"));
    let listed = said(&mut world, &format!("{folder}/local-ipv4s")).unwrap();
    assert!(addresses.iter().all(|address| listed.lines().any(|line| line == address)), "{listed}");
    detach(&mut world, &attachment).unwrap();
    world.settle();
    assert_eq!(said(&mut world, &format!("{folder}/mac")), None);
}

#[test]
fn an_instance_learns_who_it_is_outside_for_as_long_as_it_is() {
    let (mut world, id) = running();
    let made = world.call(&ec2::ALLOCATE_ADDRESS, Default::default()).unwrap();
    let associate = ec2::AssociateAddressRequest {
        allocation_id: made.allocation_id,
        instance_id: Some(id.clone()),
        ..Default::default()
    };
    let association = world.call(&ec2::ASSOCIATE_ADDRESS, associate).unwrap().association_id;
    world.settle();
    let shown = describe(&mut world, &id).unwrap();
    let (public, private) = (shown.public_ip_address.unwrap(), shown.private_ip_address.unwrap());
    assert_eq!(Some(&public), made.public_ip.as_ref());
    let said = |world: &mut World, path: &str| world.host().metadata(&id).unwrap().categories.get(path).cloned();
    let mac = said(&mut world, "meta-data/mac").unwrap();
    let folder = format!("meta-data/network/interfaces/macs/{mac}");
    for (path, says) in [
        ("meta-data/public-ipv4".to_owned(), &public),
        (format!("{folder}/public-ipv4s"), &public),
        (format!("{folder}/ipv4-associations/{public}"), &private),
    ] {
        assert_eq!(said(&mut world, &path).as_ref(), Some(says), "{path}");
    }
    let gone = ec2::DisassociateAddressRequest { association_id: association, ..Default::default() };
    world.call(&ec2::DISASSOCIATE_ADDRESS, gone).unwrap();
    world.settle();
    // A lent one, if its subnet lends any, takes its place.
    assert_ne!(said(&mut world, "meta-data/public-ipv4"), Some(public));
}

#[test]
fn tags_are_given_found_and_taken_away() {
    let (mut world, id) = running();
    let subnet = subnets(&mut world).remove(0).subnet_id.unwrap();
    let tag = |key: &str, value: &str| ec2::Tag { key: Some(key.into()), value: Some(value.into()) };
    let create = |resources: Vec<String>, tags| ec2::CreateTagsRequest { resources, tags, ..Default::default() };
    let both = vec![id.clone(), subnet];
    world.call(&ec2::CREATE_TAGS, create(both.clone(), vec![tag("a", "1"), tag("b", "2")])).unwrap();
    let bad = create(vec![id.clone(), "vpc-1".into()], vec![tag("c", "3")]);
    assert_eq!(code(world.call(&ec2::CREATE_TAGS, bad)), "InvalidVpcID.NotFound");
    assert_eq!(code(world.call(&ec2::CREATE_TAGS, create(vec!["x".into()], vec![]))), "InvalidID");
    let reserved = create(both.clone(), vec![tag("aws:x", "3")]);
    assert_eq!(code(world.call(&ec2::CREATE_TAGS, reserved)), "InvalidParameterValue");
    let filter = ec2::Filter { name: Some("key".into()), values: Some(vec!["a".into(), "c".into()]) };
    let find = || ec2::DescribeTagsRequest { filters: Some(vec![filter.clone()]), ..Default::default() };
    assert_eq!(world.call(&ec2::DESCRIBE_TAGS, find()).unwrap().tags.unwrap().len(), 2);
    let delete = ec2::DeleteTagsRequest {
        resources: both,
        tags: Some(vec![tag("a", "1"), tag("b", "x")]),
        ..Default::default()
    };
    world.call(&ec2::DELETE_TAGS, delete).unwrap();
    assert_eq!(world.call(&ec2::DESCRIBE_TAGS, find()).unwrap().tags.unwrap().len(), 0);
    assert_eq!(describe(&mut world, &id).unwrap().tags.unwrap(), vec![tag("b", "2")]);
}

fn all_instances(world: &mut World) -> Vec<String> {
    let all = world.call(&ec2::DESCRIBE_INSTANCES, ec2::DescribeInstancesRequest::default()).unwrap();
    let instances = all.reservations.unwrap().into_iter().flat_map(|reservation| reservation.instances.unwrap());
    instances.map(|instance| instance.instance_id.unwrap()).collect()
}

fn all_interfaces(world: &mut World) -> Vec<String> {
    let all = world.call(&ec2::DESCRIBE_NETWORK_INTERFACES, ec2::DescribeNetworkInterfacesRequest::default()).unwrap();
    all.network_interfaces.unwrap().into_iter().map(|eni| eni.network_interface_id.unwrap()).collect()
}

/// Small, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(usize::try_from(self.below(of.len() as u64)).unwrap()) }
    }
}

/// Instances and interfaces of a narrow subnet are made, changed and taken away in any order, while the region crashes,
/// the host goes away, and the power is off. Whatever is refused, no rule is broken; in the end nothing is left.
#[test]
fn whatever_is_asked_in_whatever_order_nothing_is_given_twice_and_nothing_is_left() {
    for seed in 0..48 {
        let mut world = World::new(seed);
        let mut dice = Dice(seed);
        let subnet = narrow(&mut world);
        let base = ec2::RunInstancesRequest { subnet_id: Some(subnet.clone()), ..request(&mut world) };
        let (mut instances, mut interfaces, mut attachments) = (vec![], vec![], vec![]);
        for _ in 0..40 {
            let (instance, eni) = (dice.one(&instances).cloned(), dice.one(&interfaces).cloned());
            let instance: String = instance.unwrap_or_default();
            let eni: String = eni.unwrap_or_default();
            match dice.below(13) {
                0 | 1 => instances.extend(run_as(&mut world, base.clone())),
                2 | 3 => interfaces.extend(create_interface(&mut world, &subnet)),
                4 | 5 => {
                    let index = i32::try_from(dice.below(3)).unwrap();
                    attachments.extend(attach(&mut world, &eni, &instance, index));
                }
                6 => drop(dice.one(&attachments).map(|id: &String| detach(&mut world, id))),
                7 => drop(assign(&mut world, &eni, 1, 0)),
                8 => drop(delete_interface(&mut world, &eni)),
                9 => drop(stop(&mut world, &instance)),
                10 => drop(start(&mut world, &instance)),
                11 => drop(terminate(&mut world, &instance)),
                _ => match dice.below(4) {
                    0 => world.crash(Crash::KeepsBatch, Millis::secs(2)),
                    1 => world.power_off(Millis::secs(5)),
                    2 => world.host().leave(Millis::secs(20)),
                    _ => drop(world.host().kill_machine(&instance)),
                },
            }
            world.wait(Millis(dice.below(1500)));
        }
        world.settle();
        // Also what was made by a call whose answer was lost.
        for id in all_instances(&mut world) {
            terminate(&mut world, &id).unwrap();
        }
        world.settle();
        for eni in all_interfaces(&mut world) {
            delete_interface(&mut world, &eni).unwrap();
        }
        world.wait(Millis::mins(70));
        world.settle();
        assert_eq!((world.leftovers(), world.host().count()), (vec![], 0), "seed {seed}");
    }
}

#[test]
fn what_an_instance_said_is_shown_for_as_long_as_the_instance() {
    let (mut world, id) = running();
    let console = |world: &mut World, id: &str, latest: Option<bool>| {
        let request = ec2::GetConsoleOutputRequest { instance_id: id.into(), latest, ..Default::default() };
        world.call(&ec2::GET_CONSOLE_OUTPUT, request)
    };
    let said = console(&mut world, &id, None).unwrap();
    assert_eq!(said.instance_id.as_deref(), Some(id.as_str()));
    let output = said.output.clone().unwrap();
    let text = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, output).unwrap();
    assert!(String::from_utf8(text).unwrap().contains("[kubelet] up\n"));
    let refusal = |result: Result<ec2::GetConsoleOutputResult, Fault>| match result {
        Err(fault) => fault.code.name(Protocol::Ec2Query).to_owned(),
        Ok(_) => "no refusal".to_owned(),
    };
    assert_eq!(refusal(console(&mut world, &id, Some(true))), "UnsupportedOperation");
    assert_eq!(refusal(console(&mut world, "i-0123456789abcdef0", None)), "InvalidInstanceID.NotFound");
    terminate(&mut world, &id).unwrap();
    world.settle();
    assert_eq!(console(&mut world, &id, None).unwrap().output, said.output);
    world.wait(Millis::mins(61));
    assert_eq!(refusal(console(&mut world, &id, None)), "InvalidInstanceID.NotFound");
}
