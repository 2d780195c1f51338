//! Stories of UpdateClusterConfig: one change at a time, each done once it is so.

use roadstead_cloud::ec2::instance::Instance;
use roadstead_cloud::ec2::network_interface::NetworkInterface;
use roadstead_cloud::eks::update::State as Update;
use roadstead_shapes::{ec2, eks};
use roadstead_sim::{State, World};
use roadstead_store::Read as _;
use roadstead_types::Millis;
use roadstead_wire::fault::Fault;

fn with_cluster(public: bool) -> World {
    let mut world = World::calm();
    let mut request = world.request("a");
    request.resources_vpc_config.endpoint_public_access = Some(public);
    request.resources_vpc_config.endpoint_private_access = Some(true);
    world.call(&eks::CREATE_CLUSTER, request).expect("it can be made");
    world.settle();
    assert_eq!(world.state("a"), Some(State::Active));
    world
}

fn endpoint(public: bool, cidrs: &[&str]) -> eks::UpdateClusterConfigRequest {
    let cidrs = cidrs.iter().map(|cidr| (*cidr).to_owned()).collect::<Vec<_>>();
    let network = eks::VpcConfigRequest {
        endpoint_public_access: Some(public),
        public_access_cidrs: (!cidrs.is_empty()).then_some(cidrs),
        ..Default::default()
    };
    asked(|request| request.resources_vpc_config = Some(network))
}

fn protection(on: bool) -> eks::UpdateClusterConfigRequest {
    asked(|request| request.deletion_protection = Some(on))
}

fn mode(mode: eks::AuthenticationMode) -> eks::UpdateClusterConfigRequest {
    let config = eks::UpdateAccessConfigRequest { authentication_mode: Some(mode) };
    asked(|request| request.access_config = Some(config))
}

fn logging(types: &[eks::LogType], enabled: bool) -> eks::UpdateClusterConfigRequest {
    let setup = eks::LogSetup { types: Some(types.to_vec()), enabled: Some(enabled) };
    asked(|request| request.logging = Some(eks::Logging { cluster_logging: Some(vec![setup]) }))
}

fn asked(ask: impl FnOnce(&mut eks::UpdateClusterConfigRequest)) -> eks::UpdateClusterConfigRequest {
    let mut request = eks::UpdateClusterConfigRequest { name: "a".into(), ..Default::default() };
    ask(&mut request);
    request
}

/// The id of the update that it began.
fn update(world: &mut World, request: eks::UpdateClusterConfigRequest) -> Result<String, Fault> {
    let begun = world.call(&eks::UPDATE_CLUSTER_CONFIG, request)?.update.expect("it says which");
    assert_eq!(begun.status, Some(eks::UpdateStatus::InProgress));
    Ok(begun.id.expect("an update has an id"))
}

#[track_caller]
fn refused(world: &mut World, request: eks::UpdateClusterConfigRequest) -> String {
    let before = world.cluster("a");
    let fault = update(world, request).expect_err("it should be refused");
    assert_eq!(world.cluster("a"), before, "what is refused changes nothing");
    fault.to_string()
}

fn described(world: &mut World) -> eks::Cluster {
    let request = eks::DescribeClusterRequest { name: "a".into() };
    world.call(&eks::DESCRIBE_CLUSTER, request).expect("it is there").cluster.expect("it is shown")
}

/// Who may reach the cluster from outside, as the host has it.
fn sources(world: &mut World) -> Vec<String> {
    let id = world.cluster("a").expect("it is there").spec.id;
    let balancer = world.host().balancer(&id).expect("the host has it");
    balancer.public.iter().flat_map(|public| &public.sources).map(ToString::to_string).collect()
}

#[test]
fn an_endpoint_is_narrowed_closed_and_opened_again() {
    let mut world = with_cluster(true);
    let outside = described(&mut world).endpoint;
    let id = update(&mut world, endpoint(true, &["203.0.113.0/24"])).expect("it is another access");
    assert_eq!(described(&mut world).status, Some(eks::ClusterStatus::Updating));
    world.wait(Millis::secs(1));
    assert_eq!(world.update("a", &id).map(|update| update.state), Some(Update::Successful));
    assert_eq!(described(&mut world).status, Some(eks::ClusterStatus::Active));
    assert_eq!(sources(&mut world), ["203.0.113.0/24"]);
    update(&mut world, endpoint(false, &[])).expect("it is another access");
    world.settle();
    assert!(sources(&mut world).is_empty(), "nobody may");
    let shown = described(&mut world);
    assert_ne!(shown.endpoint, outside, "it is the one inside the VPC now");
    assert_eq!(shown.resources_vpc_config.and_then(|vpc| vpc.public_access_cidrs), Some(vec![]));
    update(&mut world, endpoint(true, &[])).expect("it is another access");
    world.settle();
    assert_eq!((sources(&mut world), described(&mut world).endpoint), (vec!["0.0.0.0/0".into()], outside));
}

#[test]
fn a_cluster_that_was_made_private_can_be_opened() {
    let mut world = with_cluster(false);
    assert!(sources(&mut world).is_empty());
    update(&mut world, endpoint(true, &[])).expect("it is another access");
    world.settle();
    assert_eq!(sources(&mut world), ["0.0.0.0/0"]);
}

/// Id of a security group that the user makes beside the cluster's own.
fn extra_group(world: &mut World, vpc: &str) -> String {
    let made = ec2::CreateSecurityGroupRequest {
        group_name: "extra".into(),
        description: "of the user".into(),
        vpc_id: Some(vpc.into()),
        ..Default::default()
    };
    world.call(&ec2::CREATE_SECURITY_GROUP, made).expect("it can be made").group_id.expect("it has an id")
}

#[test]
fn security_groups_that_a_cluster_is_given_are_those_of_its_interfaces_at_once() {
    let mut world = with_cluster(true);
    let vpc = world.cluster("a").expect("it is there").spec.vpc;
    let extra = extra_group(&mut world, &vpc.vpc);
    let groups = |groups: &[&str]| {
        let network = eks::VpcConfigRequest {
            security_group_ids: Some(groups.iter().map(|&id| id.to_owned()).collect()),
            ..Default::default()
        };
        asked(|request| request.resources_vpc_config = Some(network))
    };
    assert!(refused(&mut world, groups(&["sg-1"])).contains("The security group 'sg-1' does not exist in VPC"));
    let mut both = groups(&[&extra]);
    both.resources_vpc_config.as_mut().expect("it is set").endpoint_public_access = Some(false);
    assert!(refused(&mut world, both).ends_with("Only one type of update can be allowed."));

    update(&mut world, groups(&[&extra])).expect("it is another group");
    world.settle();
    let shown = |world: &mut World| {
        let request = ec2::DescribeNetworkInterfacesRequest::default();
        let all = world.call(&ec2::DESCRIBE_NETWORK_INTERFACES, request).expect("they are shown");
        let of = |interface: ec2::NetworkInterface| {
            interface.groups.into_iter().flatten().filter_map(|group| group.group_id).collect::<Vec<_>>()
        };
        all.network_interfaces.into_iter().flatten().map(of).collect::<Vec<_>>()
    };
    let own = vpc.cluster_security_group;
    let interfaces = shown(&mut world);
    assert!(
        !interfaces.is_empty() && interfaces.iter().all(|groups| *groups == [own.clone(), extra.clone()]),
        "{interfaces:?}"
    );
    let config = described(&mut world).resources_vpc_config.expect("it is shown");
    assert_eq!(config.security_group_ids, Some(vec![extra.clone()]));
    let delete = || ec2::DeleteSecurityGroupRequest { group_id: Some(extra.clone()), ..Default::default() };
    let used = world.call(&ec2::DELETE_SECURITY_GROUP, delete()).expect_err("interfaces have it");
    assert!(used.to_string().starts_with("DependencyViolation"), "{used}");

    update(&mut world, groups(&[])).expect("it is another choice");
    world.settle();
    assert!(shown(&mut world).iter().all(|groups| *groups == [own.clone()]));
    world.call(&ec2::DELETE_SECURITY_GROUP, delete()).expect("nothing has it");
}

#[test]
fn one_change_is_made_at_a_time_and_none_that_is_none() {
    let mut world = with_cluster(true);
    let already = refused(&mut world, endpoint(true, &["0.0.0.0/0"]));
    assert!(
        already.ends_with(
            "endpointPrivateAccess: true , endpointPublicAccess: true, and Public Endpoint Restrictions: [0.0.0.0/0]"
        ),
        "{already}"
    );
    assert!(refused(&mut world, asked(|_| ())).contains("No changes needed"));
    let both = eks::UpdateClusterConfigRequest { deletion_protection: Some(true), ..endpoint(true, &["10.0.0.0/8"]) };
    assert!(refused(&mut world, both).ends_with("Only one type of update can be allowed."));
    let id = update(&mut world, endpoint(true, &["10.0.0.0/8"])).expect("it is another access");
    let busy = refused(&mut world, protection(true));
    let why = format!("Cannot DeletionProtectionUpdate because cluster a currently has update {id} in progress");
    assert!(busy.starts_with("ResourceInUseException") && busy.ends_with(&why), "{busy}");
    assert!(world.try_delete_cluster("a").expect_err("it is being changed").to_string().contains("in progress"));
    world.settle();
    world.delete_cluster("a");
    world.settle();
    assert_eq!((world.leftovers(), world.host().count()), (vec![], 0), "its updates go with it");
}

#[test]
fn a_protected_cluster_is_deleted_only_after_its_protection() {
    let mut world = with_cluster(true);
    update(&mut world, protection(true)).expect("it was not protected");
    world.settle();
    assert!(refused(&mut world, protection(true)).contains("already at the desired configuration"));
    assert!(world.try_delete_cluster("a").expect_err("it is protected").to_string().contains("deletion protection"));
    update(&mut world, protection(false)).expect("it was protected");
    world.settle();
    world.delete_cluster("a");
}

#[test]
fn authentication_goes_one_way_and_logs_are_switched_one_by_one() {
    let mut world = with_cluster(true);
    assert!(refused(&mut world, mode(eks::AuthenticationMode::Api)).contains("from CONFIG_MAP to API"));
    for next in [eks::AuthenticationMode::ApiAndConfigMap, eks::AuthenticationMode::Api] {
        update(&mut world, mode(next)).expect("it is the next mode");
        world.settle();
    }
    let back = refused(&mut world, mode(eks::AuthenticationMode::ApiAndConfigMap));
    assert!(back.ends_with("Unsupported authentication mode update from API to API_AND_CONFIG_MAP"), "{back}");
    let all = [eks::LogType::Api, eks::LogType::Audit];
    update(&mut world, logging(&all, true)).expect("none was enabled");
    world.settle();
    let none = refused(&mut world, logging(&all, true));
    assert!(none.ends_with("No changes needed for the logging config provided"), "{none}");
    update(&mut world, logging(&all[..1], false)).expect("it was enabled");
    world.settle();
    assert_eq!(world.cluster("a").map(|cluster| cluster.spec.logging), Some(vec!["audit".into()]));
}

fn upgrade(version: &str) -> eks::UpdateClusterVersionRequest {
    eks::UpdateClusterVersionRequest { name: "a".into(), version: version.into(), ..Default::default() }
}

/// The components that the API machines run.
fn components(world: &mut World) -> Vec<String> {
    let machines = ["api-1", "api-2"].map(|slot| world.machine("a", slot));
    let argv = |id: &String| world.view().get(&Instance::key(id)).expect("it is there").body.spec.image.components;
    machines.iter().flat_map(argv).collect()
}

#[test]
fn api_servers_go_to_the_next_minor_one_by_one_while_the_others_serve() {
    let mut world = with_cluster(true);
    let id = world.cluster("a").expect("it is there").spec.id;
    for wrong in ["1.36", "1.35", "1.38", "2.37"] {
        let before = world.cluster("a");
        let fault = world.call(&eks::UPDATE_CLUSTER_VERSION, upgrade(wrong)).expect_err("it is not the next one");
        assert!(
            fault.to_string().ends_with(&format!("Unsupported Kubernetes minor version update from 1.36 to {wrong}")),
            "{fault}"
        );
        assert_eq!(world.cluster("a"), before, "what is refused changes nothing");
    }
    let begun = world.call(&eks::UPDATE_CLUSTER_VERSION, upgrade("1.37")).expect("it is the next one").update;
    let begun = begun.expect("it says which");
    assert_eq!(begun.r#type, Some(eks::UpdateType::VersionUpdate));
    let update_id = begun.id.expect("it has an id");
    assert!(refused(&mut world, protection(true)).contains("in progress"));
    world.settle_watching(|world| assert!(world.host().serving(&id) > 0, "one serves at any time"));
    assert_eq!(components(&mut world), ["kubernetes-1.37.2", "kubernetes-1.37.2"]);
    assert_eq!(world.update("a", &update_id).map(|update| update.state), Some(Update::Successful));
    let shown = described(&mut world);
    assert_eq!((shown.version.as_deref(), shown.status), (Some("1.37"), Some(eks::ClusterStatus::Active)));
    let fault = world.call(&eks::UPDATE_CLUSTER_VERSION, upgrade("1.38")).expect_err("it is not on offer");
    assert!(fault.to_string().ends_with("unsupported Kubernetes version: 1.38"), "{fault}");
}

#[test]
fn an_update_survives_a_restart_of_the_region_at_any_moment() {
    for moment in (0..20).map(|n| n * 400) {
        let mut world = with_cluster(true);
        world.call(&eks::UPDATE_CLUSTER_VERSION, upgrade("1.37")).expect("it is the next one");
        world.wait(Millis(moment));
        world.power_off(Millis::secs(5));
        world.settle();
        assert_eq!(
            components(&mut world),
            ["kubernetes-1.37.2", "kubernetes-1.37.2"],
            "power failed after {moment} ms"
        );
        assert_eq!(described(&mut world).status, Some(eks::ClusterStatus::Active), "power failed after {moment} ms");
    }
}

#[test]
fn nodes_that_are_too_old_hold_a_cluster_back() {
    let mut world = with_cluster(true);
    world.create_nodegroup("a", "old", 1);
    world.settle();
    // Four minors further than what nodes run.
    world.reconfigure(|settings| {
        for minor in ["1.38", "1.39", "1.40"] {
            let mut version = settings.kubernetes[0].clone();
            (version.minor, version.patch) = (minor.into(), format!("{minor}.0"));
            settings.kubernetes.insert(0, version);
        }
    });
    for fine in ["1.37", "1.38", "1.39"] {
        world.call(&eks::UPDATE_CLUSTER_VERSION, upgrade(fine)).expect("nodes may be three minors behind");
        world.settle();
    }
    let fault = world.call(&eks::UPDATE_CLUSTER_VERSION, upgrade("1.40")).expect_err("they may not be four");
    assert!(fault.to_string().contains("Nodegroups old run a kubelet more than 3 minor versions older"), "{fault}");
}

#[test]
fn an_upgrade_that_cannot_be_goes_back_while_the_cluster_serves() {
    let mut world = with_cluster(true);
    let id = world.cluster("a").expect("it is there").spec.id;
    let machines = ["api-1", "api-2"].map(|slot| world.machine("a", slot));
    let begun = world.call(&eks::UPDATE_CLUSTER_VERSION, upgrade("1.37")).expect("it is the next one").update;
    let update_id = begun.and_then(|update| update.id).expect("it has an id");
    // As soon as the first has begun to go nothing is heard of the host any more.
    let stays = |world: &World| {
        machines.iter().all(|id| world.view().get(&Instance::key(id)).is_some_and(|i| i.deleting.is_none()))
    };
    while stays(&world) {
        world.wait(Millis(50));
    }
    world.host().leave(Millis::mins(60));
    for _ in 0..16 {
        world.wait(Millis::mins(1));
        assert!(world.host().serving(&id) > 0, "one serves at any time");
    }
    let ended = world.update("a", &update_id).expect("it is kept");
    assert_eq!((ended.state, ended.errors[0].code.as_str()), (Update::Failed, "ClusterUnreachable"));
    world.settle();
    assert_eq!(components(&mut world), ["kubernetes-1.36.3", "kubernetes-1.36.3"]);
    assert_eq!(described(&mut world).version.as_deref(), Some("1.36"));
}

#[test]
fn an_upgrade_whose_programs_are_not_there_touches_nothing() {
    let mut world = with_cluster(true);
    let machines = ["api-1", "api-2"].map(|slot| world.machine("a", slot));
    let ask = |world: &mut World| {
        let begun = world.call(&eks::UPDATE_CLUSTER_VERSION, upgrade("1.37")).expect("it is the next one").update;
        begun.and_then(|update| update.id).expect("it has an id")
    };
    world.host().hold_builds(true);
    let id = ask(&mut world);
    world.wait(Millis::secs(29));
    assert_eq!(world.update("a", &id).map(|update| update.state), Some(Update::InProgress));
    world.wait(Millis::secs(2));
    let ended = world.update("a", &id).expect("it is kept");
    let [error] = &ended.errors[..] else { panic!("one error: {ended:?}") };
    assert_eq!((ended.state, error.code.as_str()), (Update::Failed, "Unknown"));
    for part in
        ["within 30 s", "waits for", "kubernetes-1.37.2", "was not touched", "`cargo xtask components kubernetes-1.37`"]
    {
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
    let shown = described(&mut world);
    assert_eq!((shown.version.as_deref(), shown.status), (Some("1.36"), Some(eks::ClusterStatus::Active)));
    world.settle();
    assert_eq!(machines, ["api-1", "api-2"].map(|slot| world.machine("a", slot)), "nobody had to go");
    world.host().hold_builds(false);
    let id = ask(&mut world);
    world.settle();
    assert!(was_successful(&world, &id));
    world.delete_cluster("a");
    world.settle();
    assert_eq!((world.leftovers(), world.host().count()), (vec![], 0));
}

#[test]
fn an_upgrade_that_no_host_hears_of_touches_nothing() {
    let mut world = with_cluster(true);
    world.host().leave(Millis::mins(5));
    let begun = world.call(&eks::UPDATE_CLUSTER_VERSION, upgrade("1.37")).expect("it is the next one").update;
    let id = begun.and_then(|update| update.id).expect("it has an id");
    world.wait(Millis::secs(31));
    assert_eq!(world.update("a", &id).map(|update| update.state), Some(Update::Failed));
    world.delete_cluster("a");
    world.wait(Millis::mins(5));
    world.settle();
    assert_eq!((world.leftovers(), world.host().count()), (vec![], 0), "the machine that was to try goes with it");
}

#[test]
fn a_change_that_no_host_makes_fails_and_is_undone() {
    let mut world = with_cluster(true);
    world.host().leave(Millis::mins(60));
    let id = update(&mut world, endpoint(true, &["10.0.0.0/8"])).expect("it is another access");
    world.wait(Millis::mins(16));
    let ended = world.update("a", &id).expect("it is kept");
    assert_eq!((ended.state, ended.errors[0].code.as_str()), (Update::Failed, "ClusterUnreachable"));
    let shown = described(&mut world).resources_vpc_config.and_then(|vpc| vpc.public_access_cidrs);
    assert_eq!(shown, Some(vec!["0.0.0.0/0".into()]));
    world.wait(Millis::mins(60));
    assert_eq!(sources(&mut world), ["0.0.0.0/0"]);
}

/// A subnet of the cluster's VPC, in the zone of that letter.
fn subnet(world: &mut World, zone: char, block: &str) -> String {
    let request = ec2::CreateSubnetRequest {
        vpc_id: world.cluster("a").expect("it is there").spec.vpc.vpc,
        availability_zone: Some(format!("us-east-1{zone}")),
        cidr_block: Some(block.into()),
        ..Default::default()
    };
    let made = world.call(&ec2::CREATE_SUBNET, request).expect("it can be made").subnet;
    made.and_then(|subnet| subnet.subnet_id).expect("it has an id")
}

fn try_delete_subnet(world: &mut World, id: &str) -> Result<(), Fault> {
    let request = ec2::DeleteSubnetRequest { subnet_id: id.into(), ..Default::default() };
    world.call(&ec2::DELETE_SUBNET, request)
}

/// Two others, in the zones of the cluster's.
fn others(world: &mut World) -> Vec<String> {
    vec![subnet(world, 'a', "172.31.48.0/20"), subnet(world, 'b', "172.31.64.0/20")]
}

fn to_subnets(ids: &[String]) -> eks::UpdateClusterConfigRequest {
    let network = eks::VpcConfigRequest { subnet_ids: Some(ids.to_vec()), ..Default::default() };
    asked(|request| request.resources_vpc_config = Some(network))
}

/// The subnets in which the cluster has interfaces of its own.
fn stands_in(world: &mut World) -> Vec<String> {
    let filter = ec2::Filter { name: Some("description".into()), values: Some(vec!["Amazon EKS a".into()]) };
    let request = ec2::DescribeNetworkInterfacesRequest { filters: Some(vec![filter]), ..Default::default() };
    let all = world.call(&ec2::DESCRIBE_NETWORK_INTERFACES, request).expect("they are shown").network_interfaces;
    let mut all: Vec<String> = all.into_iter().flatten().filter_map(|interface| interface.subnet_id).collect();
    all.sort();
    all
}

/// Two interfaces in each: an API machine's and the balancer's.
fn twice(ids: &[String]) -> Vec<String> {
    let mut all = [ids, ids].concat();
    all.sort();
    all
}

fn was_successful(world: &World, id: &str) -> bool {
    world.update("a", id).is_some_and(|update| update.state == Update::Successful)
}

#[test]
fn a_cluster_goes_to_other_subnets_while_it_serves_and_leaves_nothing_in_the_old_ones() {
    let mut world = with_cluster(false);
    let before = world.cluster("a").expect("it is there");
    let (id, old) = (before.spec.id.clone(), before.spec.vpc.subnets.clone());
    let endpoint = described(&mut world).endpoint;
    let new = others(&mut world);
    let update_id = update(&mut world, to_subnets(&new)).expect("they are other ones");
    let mut both = 0;
    world.settle_watching(|world| {
        assert!(world.host().serving(&id) > 0, "one serves at any time");
        let balancer = world.host().balancer(&id).expect("the host has it").addresses.clone();
        both = both.max(balancer.len());
        let gone = !stands_in(world).iter().any(|subnet| old.contains(subnet));
        assert!(gone || !was_successful(world, &update_id), "Successful means that nothing is left");
    });
    assert_eq!(both, 4, "the balancer had its old addresses beside the new ones");
    assert!(was_successful(&world, &update_id));
    assert_eq!(world.update("a", &update_id).map(|update| update.kind).as_deref(), Some("VpcConfigUpdate"));
    assert_eq!(stands_in(&mut world), twice(&new));
    let shown = described(&mut world);
    assert_eq!(shown.resources_vpc_config.and_then(|vpc| vpc.subnet_ids), Some(new.clone()));
    assert_eq!((shown.endpoint, shown.status), (endpoint, Some(eks::ClusterStatus::Active)), "its address is its name");
    for subnet in &old {
        try_delete_subnet(&mut world, subnet).expect("nothing is in it");
    }
    world.call(&eks::UPDATE_CLUSTER_VERSION, upgrade("1.37")).expect("it is the next one");
    world.settle();
    assert_eq!(
        (world.host().serving(&id), stands_in(&mut world)),
        (2, twice(&new)),
        "who comes next stands there, too"
    );
    world.delete_cluster("a");
    world.settle();
    for subnet in &new {
        try_delete_subnet(&mut world, subnet).expect("nothing is in it");
    }
    assert_eq!((world.leftovers(), world.host().count()), (vec![], 0));
}

#[test]
fn a_cluster_s_own_address_is_nobody_else_s_when_its_subnet_is_made_anew() {
    let mut world = with_cluster(true);
    let before = world.cluster("a").expect("it is there");
    let own = before.placement.expect("it is placed").balancer_addresses[0];
    let new = others(&mut world);
    update(&mut world, to_subnets(&new)).expect("they are other ones");
    world.settle();
    for subnet in &before.spec.vpc.subnets {
        try_delete_subnet(&mut world, subnet).expect("nothing is in it");
    }
    // The smallest there may be around it: eleven addresses, of which the cluster has one.
    let again = subnet(&mut world, 'a', &format!("{}/28", roadstead_types::Cidr::containing(own, 28).base()));
    let request = ec2::DescribeSubnetsRequest { subnet_ids: Some(vec![again.clone()]), ..Default::default() };
    let shown = world.call(&ec2::DESCRIBE_SUBNETS, request).expect("it is shown").subnets.unwrap_or_default();
    assert_eq!(shown[0].available_ip_address_count, Some(10));
    let interface = |address: Option<String>| ec2::CreateNetworkInterfaceRequest {
        subnet_id: again.clone(),
        private_ip_address: address,
        ..Default::default()
    };
    let taken = world.call(&ec2::CREATE_NETWORK_INTERFACE, interface(Some(own.to_string()))).expect_err("it is held");
    assert!(taken.to_string().starts_with("InvalidIPAddress.InUse"), "{taken}");
    for _ in 0..10 {
        let made = world.call(&ec2::CREATE_NETWORK_INTERFACE, interface(None)).expect("there is room");
        let address = made.network_interface.and_then(|interface| interface.private_ip_address);
        assert_ne!(address, Some(own.to_string()));
    }
    world.call(&ec2::CREATE_NETWORK_INTERFACE, interface(None)).expect_err("it is full");
    world.delete_cluster("a");
    world.settle();
    world.call(&ec2::CREATE_NETWORK_INTERFACE, interface(Some(own.to_string()))).expect("it is nobody's any more");
}

#[test]
fn what_stands_in_one_of_the_new_subnets_stays_there() {
    let mut world = with_cluster(true);
    let old = world.cluster("a").expect("it is there").spec.vpc.subnets;
    let machines = ["api-1", "api-2"].map(|slot| world.machine("a", slot));
    let more = [old.clone(), vec![subnet(&mut world, 'a', "172.31.48.0/20")]].concat();
    let id = update(&mut world, to_subnets(&more)).expect("it is one more");
    world.settle();
    assert!(was_successful(&world, &id));
    assert_eq!(machines, ["api-1", "api-2"].map(|slot| world.machine("a", slot)), "nobody had to go");
    assert_eq!(stands_in(&mut world), twice(&old));
    let one = vec![more[2].clone(), more[1].clone()];
    update(&mut world, to_subnets(&one)).expect("they are others");
    world.settle();
    assert_eq!(stands_in(&mut world), twice(&one));
    update(&mut world, to_subnets(&old)).expect("they are others");
    world.settle();
    assert_eq!(stands_in(&mut world), twice(&old), "and back");
}

#[test]
fn subnets_that_a_cluster_cannot_go_to_are_refused() {
    let mut world = with_cluster(true);
    let old = world.cluster("a").expect("it is there").spec.vpc.subnets;
    let new = others(&mut world);
    let third = subnet(&mut world, 'c', "172.31.80.0/20");
    let small = subnet(&mut world, 'a', "172.31.96.0/28");
    for _ in 0..6 {
        let request = ec2::CreateNetworkInterfaceRequest { subnet_id: small.clone(), ..Default::default() };
        world.call(&ec2::CREATE_NETWORK_INTERFACE, request).expect("there is room");
    }
    let request = ec2::DescribeSubnetsRequest::default();
    let all = world.call(&ec2::DESCRIBE_SUBNETS, request).expect("they are shown").subnets.unwrap_or_default();
    let vpc = world.cluster("a").expect("it is there").spec.vpc.vpc;
    let foreign = all.into_iter().filter(|subnet| subnet.vpc_id.as_ref() != Some(&vpc));
    let foreign: Vec<String> = foreign.filter_map(|subnet| subnet.subnet_id).collect();
    let ids = |ids: &[&String]| ids.iter().map(|id| (*id).clone()).collect::<Vec<_>>();
    for (asked, why) in [
        (vec!["subnet-1".to_owned()], "The subnet ID 'subnet-1' does not exist"),
        (ids(&[&new[0]]), "Subnets specified must be in at least two different AZs"),
        (ids(&[&new[0], &foreign[1]]), "Subnets specified must be in the same VPC"),
        (foreign.clone(), "of the cluster"),
        (
            ids(&[&new[0], &third]),
            "Provided subnets belong to the AZs 'us-east-1a,us-east-1c'. But they should belong to the exact set of AZs \
             'us-east-1a,us-east-1b' in which subnets were provided during cluster creation.",
        ),
        (ids(&[&new[0], &new[1], &third]), "But they should belong to the exact set of AZs 'us-east-1a,us-east-1b'"),
        (ids(&[&small, &new[1]]), "has fewer than 6 free IP addresses"),
        (old, "Cluster is already at the desired configuration with subnetIds"),
    ] {
        let refusal = refused(&mut world, to_subnets(&asked));
        assert!(refusal.starts_with("InvalidParameterException") && refusal.contains(why), "{refusal}");
    }
}

#[test]
fn a_cluster_that_goes_to_other_subnets_survives_a_restart_of_the_region_at_any_moment() {
    for moment in (0..24).map(|n| n * 400) {
        let mut world = with_cluster(true);
        let old = world.cluster("a").expect("it is there").spec.vpc.subnets;
        let new = others(&mut world);
        let id = update(&mut world, to_subnets(&new)).expect("they are other ones");
        world.wait(Millis(moment));
        world.power_off(Millis::secs(5));
        world.settle();
        assert!(was_successful(&world, &id), "power failed after {moment} ms");
        assert_eq!(stands_in(&mut world), twice(&new), "power failed after {moment} ms");
        old.iter().for_each(|subnet| try_delete_subnet(&mut world, subnet).expect("nothing is in it"));
    }
}

#[test]
fn a_move_that_no_host_makes_goes_back_and_leaves_nothing_in_the_new_subnets() {
    let mut world = with_cluster(true);
    let old = world.cluster("a").expect("it is there").spec.vpc;
    let new = others(&mut world);
    world.host().leave(Millis::mins(60));
    let id = update(&mut world, to_subnets(&new)).expect("they are other ones");
    world.wait(Millis::mins(16));
    let ended = world.update("a", &id).expect("it is kept");
    assert_eq!((ended.state, ended.errors[0].code.as_str()), (Update::Failed, "ClusterUnreachable"));
    assert_eq!(world.cluster("a").map(|cluster| cluster.spec.vpc), Some(old.clone()));
    let again = refused(&mut world, to_subnets(&new));
    assert!(again.starts_with("ResourceInUseException") && again.contains("try again later"), "{again}");
    world.wait(Millis::mins(60));
    world.settle();
    assert_eq!(stands_in(&mut world), twice(&old.subnets));
    new.iter().for_each(|subnet| try_delete_subnet(&mut world, subnet).expect("nothing is in it"));
    let balancer = world.cluster("a").expect("it is there").placement.expect("it is placed").balancer_addresses;
    assert_eq!(balancer.len(), 2);
}

#[test]
fn security_groups_are_in_force_when_their_update_is_successful() {
    let mut world = with_cluster(true);
    let vpc = world.cluster("a").expect("it is there").spec.vpc;
    let extra = extra_group(&mut world, &vpc.vpc);
    let network = eks::VpcConfigRequest { security_group_ids: Some(vec![extra]), ..Default::default() };
    world.host().leave(Millis::mins(60));
    let id =
        update(&mut world, asked(|request| request.resources_vpc_config = Some(network))).expect("it is another group");
    world.wait(Millis::mins(1));
    assert_eq!(world.update("a", &id).map(|update| update.state), Some(Update::InProgress), "the host is away");
    world.wait(Millis::mins(15));
    assert_eq!(world.update("a", &id).map(|update| update.state), Some(Update::Failed));
    assert_eq!(world.cluster("a").map(|cluster| cluster.spec.vpc), Some(vpc.clone()));
    let fronts = world.cluster("a").and_then(|cluster| cluster.placement).expect("it is placed").servers;
    for server in fronts {
        let front = world.view().get(&NetworkInterface::key(&server.front)).expect("it is there");
        assert_eq!(front.body.groups, vpc.control_plane_groups());
    }
}
