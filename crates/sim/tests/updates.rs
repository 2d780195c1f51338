//! Stories of UpdateClusterConfig: one change at a time, each done once it is so.

use roadstead_cloud::eks::update::State as Update;
use roadstead_shapes::eks;
use roadstead_sim::{State, World};
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
    let subnets = eks::VpcConfigRequest { subnet_ids: Some(vec!["subnet-1".into()]), ..Default::default() };
    let moved = asked(|request| request.resources_vpc_config = Some(subnets));
    assert!(refused(&mut world, moved).contains("resourcesVpcConfig.subnetIds"));
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
