//! Stories of node groups: what is asked, what breaks, what is so in the end. Every rule of [`roadstead_sim::CHECKS`]
//! holds on the way, or the story fails.

#![expect(clippy::unwrap_used, reason = "a story whose helper finds nothing has failed")]

use roadstead_cloud::autoscaling::auto_scaling_group::Lifecycle;
use roadstead_cloud::ec2::instance::Instance;
use roadstead_cloud::ec2::subnet::Subnet;
use roadstead_cloud::eks::nodegroup::{Phase, State as Group};
use roadstead_cloud::eks::update::State as Update;
use roadstead_shapes::{ec2, eks, iam};
use roadstead_sim::{ACCOUNT, Crash, State, World};
use roadstead_store::{Index, Read as _};
use roadstead_types::Millis;
use roadstead_wire::fault::Fault;

/// A world with a cluster that serves.
fn with_cluster() -> World {
    let mut world = World::calm();
    world.create_cluster("a");
    world.settle();
    assert_eq!(world.state("a"), Some(State::Active));
    world
}

/// And with a node group of so many Ready nodes.
fn with_nodes(size: i32) -> World {
    let mut world = with_cluster();
    world.create_nodegroup("a", "n", size);
    world.settle();
    let size = usize::try_from(size).unwrap();
    assert_eq!((state(&world), world.ready_nodes("a", "n").len()), (Some(Group::Active), size), "{}", world.log());
    world
}

fn state(world: &World) -> Option<Group> {
    world.nodegroup("a", "n").map(|group| group.status.state)
}

fn settle_for(world: &mut World, mins: u64) {
    world.wait(Millis::mins(mins));
    world.settle();
}

#[test]
fn a_node_group_becomes_active_when_its_nodes_are_ready() {
    let world = with_nodes(3);
    let zones: std::collections::BTreeSet<String> = world.members("a", "n").into_values().map(|m| m.zone).collect();
    assert_eq!(zones.len(), 2, "evenly over the zones of its subnets");
    assert!(world.nodegroup("a", "n").unwrap().status.issues.is_empty());
}

#[test]
fn a_deleted_node_group_leaves_nothing() {
    let mut world = with_nodes(3);
    world.try_delete_nodegroup("a", "n").unwrap();
    assert_eq!(state(&world), Some(Group::Deleting));
    world.settle();
    assert_eq!(state(&world), None, "{}", world.log());
    assert_eq!(world.host().running().len(), 5, "only the control plane");
    world.delete_cluster("a");
    settle_for(&mut world, 60);
    assert_eq!((world.leftovers(), world.host().count()), (vec![], 0));
}

#[test]
fn an_update_replaces_every_node() {
    let mut world = with_nodes(3);
    let before = world.members("a", "n");
    world.reconfigure(|settings| settings.kubernetes.iter_mut().for_each(|v| v.image_date = "20991231".into()));
    let update = world.try_update_nodegroup("a", "n", false).unwrap();
    assert_eq!(state(&world), Some(Group::Updating));
    settle_for(&mut world, 60);
    assert_eq!(world.update("a", &update).unwrap().state, Update::Successful, "{}", world.log());
    assert_eq!((state(&world), world.ready_nodes("a", "n").len()), (Some(Group::Active), 3));
    assert!(world.members("a", "n").keys().all(|id| !before.contains_key(id)));
    assert!(world.nodegroup("a", "n").unwrap().spec.release.release_version.ends_with("20991231"));
}

/// Images of another date are on offer.
fn new_image(world: &mut World) {
    world.reconfigure(|settings| settings.kubernetes.iter_mut().for_each(|v| v.image_date = "20991231".into()));
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
    result.unwrap_err().to_string()
}

/// Runs on until `so`, for at most so many minutes.
fn until(world: &mut World, mins: u64, so: impl Fn(&World) -> bool) {
    for _ in 0..mins * 12 {
        if so(world) {
            return;
        }
        world.wait(Millis::secs(5));
    }
    panic!("it never was so\n{}", world.log());
}

fn phase(world: &World) -> Option<Phase> {
    world.nodegroup("a", "n")?.status.update?.rollout.map(|rollout| rollout.phase)
}

#[test]
fn an_update_goes_through_its_phases_and_surges_by_twice_the_zones() {
    let mut world = with_nodes(2);
    new_image(&mut world);
    world.try_update_nodegroup("a", "n", false).unwrap();
    until(&mut world, 1, |world| phase(world) == Some(Phase::ScaleUp));
    let group = world.auto_scaling_group("a", "n").unwrap();
    assert_eq!((group.spec.surge, group.spec.desired), (4, 2), "two zones, twice");
    until(&mut world, 5, |world| phase(world) == Some(Phase::Upgrade));
    let old = |world: &World| {
        let to = world.nodegroup("a", "n").unwrap().status.update.unwrap().rollout.unwrap().to.unwrap();
        world.members("a", "n").into_iter().filter(|(_, m)| m.template.1 != to).map(|(id, _)| id).collect::<Vec<_>>()
    };
    let cordoned = |world: &World| old(world).iter().all(|id| world.node(id).is_some_and(|node| node.cordon));
    until(&mut world, 1, cordoned);
    until(&mut world, 20, |world| phase(world) == Some(Phase::ScaleDown));
    until(&mut world, 20, |world| state(world) == Some(Group::Active));
    assert_eq!((world.auto_scaling_group("a", "n").unwrap().spec.surge, world.ready_nodes("a", "n").len()), (0, 2));
}

#[test]
fn a_budget_that_lets_no_pod_go_fails_the_update_which_names_it() {
    let mut world = with_nodes(2);
    let before = world.members("a", "n");
    let release = world.nodegroup("a", "n").unwrap().spec.release;
    world.guard_pods(true);
    new_image(&mut world);
    let update = world.try_update_nodegroup("a", "n", false).unwrap();
    settle_for(&mut world, 20);
    // What was launched for the update goes; its pods have fifteen minutes each.
    settle_for(&mut world, 120);
    let update = world.update("a", &update).unwrap();
    assert_eq!(update.state, Update::Failed, "{}", world.log());
    assert_eq!(update.errors[0].code, "PodEvictionFailure");
    assert!(update.errors[0].message.contains("default/web-0 (PodDisruptionBudget web)"), "{:?}", update.errors);
    assert!(update.errors[0].resources.contains(&"default/web-0".to_owned()), "{:?}", update.errors);
    assert_eq!((state(&world), world.nodegroup("a", "n").unwrap().spec.release), (Some(Group::Active), release));
    let ready = world.ready_nodes("a", "n");
    assert!(ready.len() == 2 && before.keys().all(|id| ready.contains(id)), "the old nodes take pods again");
}

#[test]
fn force_ends_what_no_budget_lets_go() {
    let mut world = with_nodes(2);
    let before = world.members("a", "n");
    world.guard_pods(true);
    new_image(&mut world);
    let update = world.try_update_nodegroup("a", "n", true).unwrap();
    settle_for(&mut world, 200);
    assert_eq!(world.update("a", &update).unwrap().state, Update::Successful, "{}", world.log());
    assert!(world.members("a", "n").keys().all(|id| !before.contains_key(id)));
}

#[test]
fn a_minimal_update_launches_no_node_before_one_has_gone() {
    let mut world = with_cluster();
    let config = eks::NodegroupUpdateConfig {
        update_strategy: Some(eks::NodegroupUpdateStrategies::Minimal),
        ..Default::default()
    };
    let request = eks::CreateNodegroupRequest { update_config: Some(config), ..world.nodegroup_request("a", "n", 3) };
    world.call(&eks::CREATE_NODEGROUP, request).unwrap();
    world.settle();
    new_image(&mut world);
    let update = world.try_update_nodegroup("a", "n", false).unwrap();
    for _ in 0..240 {
        world.wait(Millis::secs(10));
        assert!(world.members("a", "n").len() <= 3, "{:?}", world.members("a", "n"));
    }
    assert_eq!(world.update("a", &update).unwrap().state, Update::Successful, "{}", world.log());
    assert_eq!(world.ready_nodes("a", "n").len(), 3);
}

#[test]
fn new_nodes_that_never_get_ready_fail_the_update_and_the_old_ones_stay() {
    let mut world = with_nodes(2);
    let before = world.ready_nodes("a", "n");
    new_image(&mut world);
    let update = world.try_update_nodegroup("a", "n", false).unwrap();
    let new = |world: &World| {
        let members = world.members("a", "n").into_iter().filter(|(id, _)| !before.contains(id));
        members.filter(|(_, m)| m.state == Lifecycle::InService).map(|(id, _)| id).collect::<Vec<_>>()
    };
    until(&mut world, 2, |world| new(world).len() == 4);
    new(&world).iter().for_each(|id| world.host().wedge(id));
    settle_for(&mut world, 120);
    let update = world.update("a", &update).unwrap();
    assert_eq!((update.state, update.errors[0].code.as_str()), (Update::Failed, "NodeCreationFailure"));
    assert_eq!((state(&world), world.ready_nodes("a", "n")), (Some(Group::Active), before), "{}", world.log());
}

#[test]
fn an_image_that_is_taken_back_in_mid_rollout_leaves_a_group_of_its_size() {
    for seconds in [1, 30, 90, 200] {
        let mut world = with_nodes(2);
        new_image(&mut world);
        let update = world.try_update_nodegroup("a", "n", false).unwrap();
        world.wait(Millis::secs(seconds));
        world.reconfigure(|settings| settings.kubernetes.iter_mut().for_each(|v| v.image_date = "20260101".into()));
        settle_for(&mut world, 120);
        assert_ne!(world.update("a", &update).unwrap().state, Update::InProgress, "{}", world.log());
        assert_eq!(world.ready_nodes("a", "n").len(), 2, "taken back after {seconds} s: {}", world.log());
    }
}

#[test]
fn an_update_survives_a_restart_of_the_region_at_any_moment() {
    for seconds in [0, 5, 20, 45, 90, 150, 240] {
        let mut world = with_nodes(2);
        new_image(&mut world);
        let update = world.try_update_nodegroup("a", "n", false).unwrap();
        world.wait(Millis::secs(seconds));
        world.crash(Crash::Killed, Millis::secs(30));
        settle_for(&mut world, 60);
        assert_eq!(world.update("a", &update).unwrap().state, Update::Successful, "after {seconds} s: {}", world.log());
    }
}

#[test]
fn a_node_that_is_lost_is_replaced_where_the_group_repairs_its_nodes() {
    let mut world = with_cluster();
    world.try_create_repaired_nodegroup("a", "n", 2).unwrap();
    world.settle();
    let lost = world.ready_nodes("a", "n")[0].clone();
    world.host().wedge(&lost);
    world.wait(Millis::mins(29));
    assert!(world.members("a", "n").contains_key(&lost), "for half an hour it may come back");
    settle_for(&mut world, 60);
    assert!(!world.members("a", "n").contains_key(&lost), "{}", world.log());
    assert_eq!(world.ready_nodes("a", "n").len(), 2);
}

#[test]
fn labels_and_taints_reach_nodes_that_are_there() {
    let mut world = with_nodes(2);
    let members = world.members("a", "n");
    let taint =
        eks::Taint { key: Some("gpu".into()), value: Some(String::new()), effect: Some(eks::TaintEffect::NoSchedule) };
    let request = eks::UpdateNodegroupConfigRequest {
        cluster_name: "a".into(),
        nodegroup_name: "n".into(),
        labels: Some(eks::UpdateLabelsPayload {
            add_or_update_labels: Some([("team".to_owned(), "x".to_owned())].into()),
            remove_labels: None,
        }),
        taints: Some(eks::UpdateTaintsPayload { add_or_update_taints: Some(vec![taint]), remove_taints: None }),
        ..Default::default()
    };
    let update = world.call(&eks::UPDATE_NODEGROUP_CONFIG, request).unwrap().update.unwrap();
    world.settle();
    assert_eq!(world.update("a", &update.id.unwrap()).unwrap().state, Update::Successful);
    let nodes: Vec<_> = members.keys().map(|id| world.node(id).unwrap()).collect();
    assert!(nodes.iter().all(|node| node.labels["team"] == "x" && node.taints[0].effect == "NoSchedule"), "{nodes:?}");
    assert_eq!(world.members("a", "n").keys().collect::<Vec<_>>(), members.keys().collect::<Vec<_>>());
}

#[test]
fn a_node_that_is_scaled_in_is_drained_first() {
    let mut world = with_nodes(3);
    let all = world.ready_nodes("a", "n");
    world.guard_pods(true);
    world.try_scale("a", "n", 2).unwrap();
    world.wait(Millis::mins(14));
    assert_eq!(world.members("a", "n").len(), 3, "a budget keeps its pods");
    world.wait(Millis::mins(3));
    assert_eq!((world.members("a", "n").len(), all.len()), (2, 3), "but not for longer than a quarter of an hour");
}

#[test]
fn a_group_whose_nodes_never_join_has_failed_and_says_what_to_do() {
    let mut world = with_cluster();
    world.create_nodegroup("a", "n", 1);
    until(&mut world, 1, |world| !world.members("a", "n").is_empty());
    let id = world.members("a", "n").keys().next().unwrap().clone();
    until(&mut world, 1, |world| world.members("a", "n")[&id].state == Lifecycle::InService);
    world.host().wedge(&id);
    settle_for(&mut world, 25);
    let status = world.nodegroup("a", "n").unwrap().status;
    assert_eq!((status.state, status.issues[0].code.as_str()), (Group::CreateFailed, "NodeCreationFailure"));
    assert_eq!(status.issues[0].resources, [id]);
    world.try_delete_nodegroup("a", "n").unwrap();
    settle_for(&mut world, 20);
    assert_eq!(state(&world), None);
}

#[test]
fn a_deleted_auto_scaling_group_degrades_its_node_group() {
    let mut world = with_nodes(2);
    world.try_delete_auto_scaling_group("a", "n").unwrap();
    settle_for(&mut world, 5);
    let status = world.nodegroup("a", "n").unwrap().status;
    assert_eq!((status.state, status.issues[0].code.as_str()), (Group::Degraded, "AutoScalingGroupNotFound"));
    world.try_delete_nodegroup("a", "n").unwrap();
    settle_for(&mut world, 20);
    assert_eq!(state(&world), None);
}

#[test]
fn nodes_take_110_pods_where_the_cni_is_configured_to_give_them_prefixes() {
    let mut world = with_nodes(1);
    let told = |world: &World, group: &str| {
        let id = world.members("a", group).into_keys().next().unwrap();
        world.view().get(&Instance::key(&id)).unwrap().body.spec.launch.unwrap().user_data.unwrap()
    };
    assert!(told(&world, "n").contains("\"maxPods\": 17"), "{}", told(&world, "n"));
    let request = eks::CreateAddonRequest {
        cluster_name: "a".into(),
        addon_name: "vpc-cni".into(),
        configuration_values: Some(r#"{"env": {"ENABLE_PREFIX_DELEGATION": "true"}}"#.into()),
        resolve_conflicts: Some(eks::ResolveConflicts::Overwrite),
        ..Default::default()
    };
    world.call(&eks::CREATE_ADDON, request).unwrap();
    world.settle();
    world.create_nodegroup("a", "m", 1);
    world.settle();
    assert!(told(&world, "m").contains("\"maxPods\": 110"), "{}", told(&world, "m"));
}

/// The one thing that is wrong with the node group: its code, and what it is about.
fn issue(world: &World) -> Option<(String, Vec<String>)> {
    let issues = world.nodegroup("a", "n")?.status.issues;
    assert!(issues.len() <= 1, "{issues:?}");
    issues.into_iter().next().map(|issue| (issue.code, issue.resources))
}

/// Runs on until it is degraded: why.
fn degraded(world: &mut World) -> (String, Vec<String>) {
    until(world, 5, |world| state(world) == Some(Group::Degraded) && issue(world).is_some());
    issue(world).unwrap()
}

fn launch_template(world: &World) -> String {
    world.nodegroup("a", "n").unwrap().status.template.unwrap().0
}

/// A new subnet of the default VPC, with eleven addresses.
fn small_subnet(world: &mut World) -> String {
    let cluster = world.view().get(&roadstead_sim::cluster_key("a")).unwrap().body;
    let first = world.view().get(&Subnet::key(ACCOUNT, &cluster.spec.vpc.subnets[0])).unwrap().body;
    let request = ec2::CreateSubnetRequest {
        vpc_id: first.vpc,
        cidr_block: Some("172.31.240.0/28".into()),
        availability_zone: Some(first.zone),
        ..Default::default()
    };
    world.call(&ec2::CREATE_SUBNET, request).unwrap().subnet.unwrap().subnet_id.unwrap()
}

fn with_nodes_in(world: &mut World, subnet: &str, size: i32) {
    let scaling = eks::NodegroupScalingConfig { min_size: Some(0), max_size: Some(20), desired_size: Some(size) };
    let request = eks::CreateNodegroupRequest {
        subnets: vec![subnet.to_owned()],
        scaling_config: Some(scaling),
        ..world.nodegroup_request("a", "n", size)
    };
    world.call(&eks::CREATE_NODEGROUP, request).unwrap();
    until(world, 5, |world| state(world) == Some(Group::Active));
}

#[test]
fn a_subnet_without_addresses_is_named_until_nodes_need_none_of_it() {
    let mut world = with_cluster();
    let subnet = small_subnet(&mut world);
    with_nodes_in(&mut world, &subnet, 11);
    world.try_scale("a", "n", 12).unwrap();
    assert_eq!(degraded(&mut world), ("InsufficientFreeAddresses".into(), vec![subnet]));
    assert_eq!(world.ready_nodes("a", "n").len(), 11, "those that are there stay");
    world.try_scale("a", "n", 11).unwrap();
    until(&mut world, 5, |world| state(world) == Some(Group::Active));
    assert_eq!(issue(&world), None);
}

#[test]
fn an_image_that_is_no_longer_on_offer_is_an_issue_that_an_update_ends() {
    let mut world = with_nodes(1);
    new_image(&mut world);
    world.try_scale("a", "n", 2).unwrap();
    assert_eq!(degraded(&mut world), ("AmiIdNotFound".into(), vec![launch_template(&world)]));
    let update = world.try_update_nodegroup("a", "n", false).unwrap();
    settle_for(&mut world, 60);
    assert_eq!(world.update("a", &update).unwrap().state, Update::Successful, "{}", world.log());
    assert_eq!((state(&world), issue(&world), world.ready_nodes("a", "n").len()), (Some(Group::Active), None, 2));
}

#[test]
fn a_host_without_capacity_is_an_issue_of_the_auto_scaling_group() {
    let mut world = with_nodes(1);
    let name = world.nodegroup("a", "n").unwrap().spec.group_name();
    world.reconfigure(|settings| settings.vcpus = 1);
    world.try_scale("a", "n", 2).unwrap();
    assert_eq!(degraded(&mut world), ("AsgInstanceLaunchFailures".into(), vec![name]));
    world.reconfigure(|settings| settings.vcpus = 8);
    until(&mut world, 15, |world| world.ready_nodes("a", "n").len() == 2);
    assert_eq!((state(&world), issue(&world)), (Some(Group::Active), None));
}

#[test]
fn a_node_role_that_is_deleted_is_an_issue_until_it_is_there_again() {
    let mut world = with_nodes(1);
    let group = world.nodegroup("a", "n").unwrap();
    let role_name = group.spec.node_role.rsplit('/').next().unwrap().to_owned();
    let profile = iam::RemoveRoleFromInstanceProfileRequest {
        instance_profile_name: group.spec.own_name(),
        role_name: role_name.clone(),
    };
    world.call(&iam::REMOVE_ROLE_FROM_INSTANCE_PROFILE, profile).unwrap();
    world.call(&iam::DELETE_ROLE, iam::DeleteRoleRequest { role_name }).unwrap();
    assert_eq!(degraded(&mut world), ("IamNodeRoleNotFound".into(), vec![group.spec.node_role]));
    // The role of stories is made when it is missing.
    world.nodegroup_request("a", "n", 1);
    until(&mut world, 5, |world| state(world) == Some(Group::Active));
}

#[test]
fn what_a_group_is_launched_from_and_where_is_an_issue_once_its_user_deletes_it() {
    let mut world = with_nodes(1);
    let template = launch_template(&world);
    let request = ec2::DeleteLaunchTemplateRequest { launch_template_id: Some(template.clone()), ..Default::default() };
    world.call(&ec2::DELETE_LAUNCH_TEMPLATE, request).unwrap();
    assert_eq!(degraded(&mut world), ("Ec2LaunchTemplateNotFound".into(), vec![template]));

    let mut world = with_cluster();
    let subnet = small_subnet(&mut world);
    with_nodes_in(&mut world, &subnet, 0);
    let request = ec2::DeleteSubnetRequest { subnet_id: subnet.clone(), ..Default::default() };
    world.call(&ec2::DELETE_SUBNET, request).unwrap();
    assert_eq!(degraded(&mut world), ("Ec2SubnetNotFound".into(), vec![subnet]));
}

#[test]
fn a_cluster_with_node_groups_is_not_deleted() {
    let mut world = with_nodes(1);
    assert_eq!(refusal(world.try_delete_cluster("a")), "ResourceInUseException: Cluster has nodegroups attached");
}

#[test]
fn what_eks_refuses_of_a_node_group_changes_nothing() {
    let mut world = World::calm();
    world.create_cluster("a");
    let early = world.try_create_nodegroup("a", "n", 1);
    assert_eq!(refusal(early), "InvalidRequestException: Cluster 'a' is not in ACTIVE status");
    world.settle();
    let other = world.view().list(Index::<Subnet>::all()).into_iter().map(|r| r.body);
    let other =
        other.filter(|subnet| subnet.account == ACCOUNT && !subnet.default_for_zone).map(|s| s.id).next().unwrap();
    let scaling = |min, max, desired| {
        Some(eks::NodegroupScalingConfig { min_size: Some(min), max_size: Some(max), desired_size: Some(desired) })
    };
    type Change<'a> = Box<dyn Fn(&mut eks::CreateNodegroupRequest) + 'a>;
    let wrong: Vec<(Change, String)> = vec![
        (Box::new(|r| r.nodegroup_name = "-n".into()), "The nodegroup name '-n' is not valid: it must begin with a letter or a digit, and have 1 to 63 letters, digits, hyphens and underscores".into()),
        (Box::new(|r| r.node_role = "arn:aws:iam::111122223333:role/nobody".into()), "The role with name nobody cannot be found.".into()),
        (Box::new(|r| r.node_role = "arn:aws:iam::111122223333:role/eks".into()), "Following required service principals [ec2.amazonaws.com] were not found in the trust relationships of nodeRole arn:aws:iam::111122223333:role/eks".into()),
        (Box::new(|r| r.subnets = vec!["subnet-x".into()]), "The subnet ID 'subnet-x' does not exist".into()),
        (Box::new(|r| r.instance_types = Some(vec!["t3.huge".into()])), "The following supplied instance types do not exist: [t3.huge]".into()),
        (Box::new(|r| r.scaling_config = scaling(2, 1, 1)), "Minimum capacity 2 can't be greater than max size 1".into()),
        (Box::new(|r| r.scaling_config = scaling(0, 1, 2)), "desired capacity 2 can't be greater than max size 1".into()),
        (Box::new(|r| r.labels = Some([("k8s.io/x".to_owned(), "y".to_owned())].into())), "Label cannot contain reserved prefixes [kubernetes.io/, k8s.io/, eks.amazonaws.com/]".into()),
        (Box::new(|r| r.version = Some("1.35".into())), "Nodegroup Kubernetes version 1.35 must be equal to Cluster Kubernetes version 1.36".into()),
        (Box::new(|r| r.release_version = Some("1.30.1-20240101".into())), "Requested release version 1.30.1-20240101 is not valid for kubernetes version 1.36.".into()),
        (Box::new(|r| r.ami_type = Some(eks::AMITypes::BottlerocketX8664)), "amiType BOTTLEROCKET_x86_64 is not available in this region: use AL2023_x86_64_STANDARD".into()),
        (Box::new(|r| r.launch_template = Some(eks::LaunchTemplateSpecification::default())), "Either provide launch template ID or launch template name in the request.".into()),
    ];
    for (change, why) in wrong {
        let mut request = world.nodegroup_request("a", "n", 1);
        change(&mut request);
        let refused = refusal(world.call(&eks::CREATE_NODEGROUP, request));
        assert_eq!(refused, format!("InvalidParameterException: {why}"));
    }
    let mut request = world.nodegroup_request("a", "n", 1);
    request.subnets = vec![other.clone()];
    let vpc = world.cluster("a").unwrap().spec.vpc.vpc;
    let refused = refusal(world.call(&eks::CREATE_NODEGROUP, request));
    assert_eq!(
        refused,
        format!("InvalidParameterException: The subnet '{other}' is not in the VPC {vpc} of the cluster")
    );
    assert_eq!(world.nodegroups(), vec![]);
    let missing = refusal(world.try_delete_nodegroup("a", "n"));
    assert_eq!(missing, "ResourceNotFoundException: No node group found for name: n.");
}

#[test]
fn only_one_update_runs_at_a_time() {
    let mut world = with_nodes(1);
    new_image(&mut world);
    let id = world.try_update_nodegroup("a", "n", false).unwrap();
    let second = refusal(world.try_update_nodegroup("a", "n", false));
    assert_eq!(second, format!("ResourceInUseException: Nodegroup n currently has update {id} in progress"));
    let twice = refusal(world.try_create_nodegroup("a", "n", 1));
    assert_eq!(twice, "ResourceInUseException: NodeGroup already exists with name n and cluster name a");
}

#[test]
fn a_node_group_is_tagged_by_its_arn() {
    let mut world = with_nodes(0);
    let arn = world.nodegroup("a", "n").unwrap().spec.arn().to_string();
    let tags = std::collections::BTreeMap::from([("team".to_owned(), "x".to_owned())]);
    let request = eks::TagResourceRequest { resource_arn: arn.clone(), tags: tags.clone() };
    world.call(&eks::TAG_RESOURCE, request).unwrap();
    let request = eks::ListTagsForResourceRequest { resource_arn: arn };
    assert_eq!(world.call(&eks::LIST_TAGS_FOR_RESOURCE, request).unwrap().tags, Some(tags));
}
