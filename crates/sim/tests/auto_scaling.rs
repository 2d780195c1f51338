//! Stories of Auto Scaling groups of users. Every rule of [`roadstead_sim::CHECKS`] holds on the way, or the story fails.

#![expect(clippy::unwrap_used, reason = "a story whose helper finds nothing has failed")]

use roadstead_cloud::autoscaling::auto_scaling_group::{AutoScalingGroup, Lifecycle, Member};
use roadstead_cloud::ec2::image;
use roadstead_cloud::ec2::instance::{Instance, State, state};
use roadstead_cloud::ec2::subnet::Subnet;
use roadstead_cloud::settings::Settings;
use roadstead_kernel::Identity;
use roadstead_shapes::autoscaling::{self as api, CreateAutoScalingGroupType};
use roadstead_shapes::{ec2, iam};
use roadstead_sim::{ACCOUNT, World};
use roadstead_store::{Index, Read};
use roadstead_types::Millis;
use roadstead_wire::fault::Fault;
use roadstead_wire::schema::Protocol;
use std::collections::BTreeMap;

/// The default subnets of the first so many zones.
fn subnets(world: &World, zones: usize) -> String {
    let all = world.view().list(Index::<Subnet>::prefix(format!("{ACCOUNT}/")));
    let mut all: Vec<Subnet> = all.into_iter().map(|r| r.body).filter(|subnet| subnet.default_for_zone).collect();
    all.sort_by(|a, b| a.zone.cmp(&b.zone));
    all.into_iter().take(zones).map(|subnet| subnet.id).collect::<Vec<_>>().join(",")
}

/// A launch template of EKS's image; gives its id.
fn template(world: &mut World) -> String {
    let settings = Settings::of(world.view());
    let ami = image::eks_optimized(&settings, "1.36").unwrap();
    let data = ec2::RequestLaunchTemplateData {
        image_id: Some(ami.id),
        instance_type: Some(ec2::InstanceType::T3Medium),
        ..Default::default()
    };
    let request = ec2::CreateLaunchTemplateRequest {
        launch_template_name: "template".into(),
        launch_template_data: data,
        ..Default::default()
    };
    let made = world.call(&ec2::CREATE_LAUNCH_TEMPLATE, request).unwrap();
    made.launch_template.and_then(|template| template.launch_template_id).unwrap()
}

fn request(world: &World, template: &str, size: i32) -> CreateAutoScalingGroupType {
    CreateAutoScalingGroupType {
        auto_scaling_group_name: "g".into(),
        launch_template: Some(api::LaunchTemplateSpecification {
            launch_template_id: Some(template.into()),
            ..Default::default()
        }),
        min_size: 0,
        max_size: 9,
        desired_capacity: Some(size),
        vpc_zone_identifier: Some(subnets(world, 3)),
        ..Default::default()
    }
}

/// A world with a group of so many instances in service.
fn with_group(size: i32) -> World {
    let mut world = World::calm();
    let template = template(&mut world);
    let request = request(&world, &template, size);
    world.call(&api::CREATE_AUTO_SCALING_GROUP, request).unwrap();
    world.settle();
    assert_eq!(serving(&world).len(), usize::try_from(size).unwrap(), "{}", world.log());
    world
}

fn group(world: &World) -> Option<AutoScalingGroup> {
    world.view().get(&AutoScalingGroup::key(ACCOUNT, "g")).map(|record| record.body)
}

fn members(world: &World) -> BTreeMap<String, Member> {
    group(world).map(|group| group.instances).unwrap_or_default()
}

fn serving(world: &World) -> Vec<String> {
    let serves = |(_, member): &(&String, &Member)| member.state == Lifecycle::InService;
    members(world).iter().filter(serves).map(|(id, _)| id.clone()).collect()
}

fn zones(world: &World) -> Vec<usize> {
    let mut zones: BTreeMap<String, usize> = BTreeMap::new();
    members(world).into_values().for_each(|member| *zones.entry(member.zone).or_default() += 1);
    zones.into_values().collect()
}

fn desired(world: &mut World, size: i32) -> Result<(), Fault> {
    let request = api::SetDesiredCapacityType {
        auto_scaling_group_name: "g".into(),
        desired_capacity: size,
        honor_cooldown: None,
    };
    world.call(&api::SET_DESIRED_CAPACITY, request)
}

fn terminate(world: &mut World, id: &str, shrink: bool) -> Result<api::ActivityType, Fault> {
    let request = api::TerminateInstanceInAutoScalingGroupType {
        instance_id: Some(id.into()),
        instance_ids: None,
        auto_scaling_group_name: None,
        should_decrement_desired_capacity: shrink,
    };
    world.call(&api::TERMINATE_INSTANCE_IN_AUTO_SCALING_GROUP, request)
}

fn activities(world: &mut World) -> Vec<api::Activity> {
    let request =
        api::DescribeScalingActivitiesType { auto_scaling_group_name: Some("g".into()), ..Default::default() };
    world.call(&api::DESCRIBE_SCALING_ACTIVITIES, request).unwrap().activities
}

/// As the query protocol spells it.
fn refusal<T: std::fmt::Debug>(result: Result<T, Fault>) -> String {
    let fault = result.unwrap_err();
    format!("{}: {}", fault.code.name(Protocol::AwsQuery), fault.message)
}

#[test]
fn a_group_spreads_evenly_over_its_zones() {
    let mut world = with_group(7);
    assert_eq!(zones(&world), [3, 2, 2]);
    desired(&mut world, 3).unwrap();
    world.settle();
    assert_eq!((serving(&world).len(), zones(&world)), (3, vec![1, 1, 1]));
    assert!(activities(&mut world).iter().all(|a| a.status_code == api::ScalingActivityStatusCode::Successful));
}

#[test]
fn an_instance_that_is_terminated_outside_is_replaced() {
    let mut world = with_group(2);
    let gone = serving(&world)[0].clone();
    let request = ec2::TerminateInstancesRequest { instance_ids: vec![gone.clone()], ..Default::default() };
    world.call(&ec2::TERMINATE_INSTANCES, request).unwrap();
    world.settle();
    assert_eq!(serving(&world).len(), 2);
    assert!(!members(&world).contains_key(&gone));
    let causes: Vec<String> = activities(&mut world).into_iter().map(|a| a.cause).collect();
    assert!(causes.iter().any(|cause| cause.contains("EC2 health check")), "{causes:?}");
}

#[test]
fn an_instance_that_its_user_calls_unhealthy_is_replaced_after_its_grace() {
    let mut world = with_group(1);
    let id = serving(&world)[0].clone();
    let health = |status: &str, respect| api::SetInstanceHealthQuery {
        instance_id: id.clone(),
        health_status: status.into(),
        should_respect_grace_period: Some(respect),
    };
    let update = api::UpdateAutoScalingGroupType {
        auto_scaling_group_name: "g".into(),
        health_check_grace_period: Some(300),
        ..Default::default()
    };
    world.call(&api::UPDATE_AUTO_SCALING_GROUP, update).unwrap();
    world.call(&api::SET_INSTANCE_HEALTH, health("Unhealthy", true)).unwrap();
    world.settle();
    assert_eq!(serving(&world), [id.as_str()], "its grace is not over");
    world.call(&api::SET_INSTANCE_HEALTH, health("Unhealthy", false)).unwrap();
    world.settle();
    assert_ne!(serving(&world), [id.as_str()]);
    let why = refusal(world.call(&api::SET_INSTANCE_HEALTH, health("Unhealthy", false)));
    assert_eq!(
        why,
        format!("ValidationError: Instance Id not found - No managed instance found for instance ID: {id}")
    );
}

#[test]
fn cluster_autoscaler_takes_a_chosen_instance_away() {
    let mut world = with_group(3);
    let id = serving(&world)[1].clone();
    let activity = terminate(&mut world, &id, true).unwrap().activity.unwrap();
    assert_eq!(activity.description, Some(format!("Terminating EC2 instance: {id}")));
    world.settle();
    assert_eq!(serving(&world).len(), 2);
    assert!(!serving(&world).contains(&id));
    assert_eq!(group(&world).unwrap().spec.desired, 2);
}

#[test]
fn hooks_hold_instances_until_they_are_completed_or_time_out() {
    let mut world = with_group(1);
    for (name, transition, result) in [
        ("in", "autoscaling:EC2_INSTANCE_LAUNCHING", "ABANDON"),
        ("out", "autoscaling:EC2_INSTANCE_TERMINATING", "CONTINUE"),
    ] {
        let hook = api::PutLifecycleHookType {
            lifecycle_hook_name: name.into(),
            auto_scaling_group_name: "g".into(),
            lifecycle_transition: Some(transition.into()),
            heartbeat_timeout: Some(600),
            default_result: Some(result.into()),
            role_arn: None,
            notification_target_arn: None,
            notification_metadata: None,
        };
        world.call(&api::PUT_LIFECYCLE_HOOK, hook).unwrap();
    }
    let complete = |world: &mut World, hook: &str, id: &str, result: &str| {
        let action = api::CompleteLifecycleActionType {
            lifecycle_hook_name: hook.into(),
            auto_scaling_group_name: "g".into(),
            lifecycle_action_token: None,
            lifecycle_action_result: result.into(),
            instance_id: Some(id.into()),
        };
        world.call(&api::COMPLETE_LIFECYCLE_ACTION, action)
    };
    let in_state = |world: &World, state: Lifecycle| {
        members(world).into_iter().filter(|(_, m)| m.state == state).map(|(id, _)| id).collect::<Vec<_>>()
    };
    // On the way in: abandoned, then completed.
    desired(&mut world, 2).unwrap();
    world.wait(Millis::mins(2));
    let [held] = &in_state(&world, Lifecycle::PendingWait)[..] else { panic!("{:?}", members(&world)) };
    complete(&mut world, "in", held, "ABANDON").unwrap();
    world.wait(Millis::mins(2));
    assert_eq!(
        in_state(&world, Lifecycle::TerminatingWait),
        [held.as_str()],
        "what is abandoned is held on its way out, too"
    );
    complete(&mut world, "out", held, "CONTINUE").unwrap();
    world.wait(Millis::mins(2));
    let [next] = &in_state(&world, Lifecycle::PendingWait)[..] else { panic!("{:?}", members(&world)) };
    complete(&mut world, "in", next, "CONTINUE").unwrap();
    world.settle();
    assert_eq!(serving(&world).len(), 2);
    let why = refusal(complete(&mut world, "in", next, "CONTINUE"));
    assert_eq!(why, format!("ValidationError: No active Lifecycle Action found with instance ID {next}"));
    // On the way out: it times out.
    terminate(&mut world, next, true).unwrap();
    world.wait(Millis::mins(9));
    assert_eq!(in_state(&world, Lifecycle::TerminatingWait), [next.as_str()]);
    assert_eq!(state(world.view(), next), State::Running);
    world.wait(Millis::mins(3));
    assert_eq!(state(world.view(), next), State::Terminated);
    assert_eq!(serving(&world).len(), 1);
}

#[test]
fn a_protected_instance_is_not_scaled_in() {
    let mut world = with_group(2);
    let kept = serving(&world)[0].clone();
    let protect = api::SetInstanceProtectionQuery {
        instance_ids: vec![kept.clone()],
        auto_scaling_group_name: "g".into(),
        protected_from_scale_in: true,
    };
    world.call(&api::SET_INSTANCE_PROTECTION, protect).unwrap();
    desired(&mut world, 0).unwrap();
    world.settle();
    assert_eq!(serving(&world), [kept]);
}

#[test]
fn suspended_processes_do_nothing_until_they_are_resumed() {
    let mut world = with_group(1);
    let processes = |names: &[&str]| api::ScalingProcessQuery {
        auto_scaling_group_name: "g".into(),
        scaling_processes: Some(names.iter().map(|name| (*name).to_owned()).collect()),
    };
    world.call(&api::SUSPEND_PROCESSES, processes(&["Launch"])).unwrap();
    desired(&mut world, 2).unwrap();
    world.settle();
    assert_eq!(serving(&world).len(), 1);
    world.call(&api::RESUME_PROCESSES, processes(&["Launch"])).unwrap();
    world.settle();
    assert_eq!(serving(&world).len(), 2);
    let why = refusal(world.call(&api::SUSPEND_PROCESSES, processes(&["Lunch"])));
    assert_eq!(why, "ValidationError: Invalid scaling process name: Lunch");
}

#[test]
fn tags_go_along_to_instances_where_they_are_to() {
    let mut world = World::calm();
    let template = template(&mut world);
    let tag = |key: &str, propagate| api::Tag {
        resource_id: Some("g".into()),
        resource_type: Some("auto-scaling-group".into()),
        key: key.into(),
        value: Some("v".into()),
        propagate_at_launch: Some(propagate),
    };
    let request = CreateAutoScalingGroupType {
        tags: Some(vec![tag("both", true), tag("group", false)]),
        ..request(&world, &template, 1)
    };
    world.call(&api::CREATE_AUTO_SCALING_GROUP, request).unwrap();
    world.settle();
    let id = serving(&world)[0].clone();
    let instance = world.view().get(&Instance::key(&id)).unwrap().body;
    let tags: Vec<String> = instance.spec.launch.unwrap().tags.into_keys().collect();
    assert_eq!(tags, ["aws:autoscaling:groupName", "both"]);
    let filter = |name: &str, value: &str| api::AutoScalingGroupNamesType {
        filters: Some(vec![api::Filter { name: Some(name.into()), values: Some(vec![value.into()]) }]),
        ..Default::default()
    };
    let mut found = |name: &str, value: &str| {
        world.call(&api::DESCRIBE_AUTO_SCALING_GROUPS, filter(name, value)).unwrap().auto_scaling_groups.len()
    };
    assert_eq!((found("tag:group", "v"), found("tag:group", "w"), found("tag-key", "both")), (1, 0, 1));
}

#[test]
fn what_cannot_be_launched_is_tried_again_and_says_why() {
    let mut world = with_group(1);
    world.reconfigure(|settings| settings.kubernetes.iter_mut().for_each(|v| v.image_date = "20990101".into()));
    desired(&mut world, 2).unwrap();
    world.wait(Millis::mins(5));
    let trouble = group(&world).unwrap().status.trouble.unwrap();
    assert_eq!(trouble.code, "InvalidAMIID.NotFound");
    assert!(trouble.failures > 2, "{trouble:?}");
    let failed = activities(&mut world);
    let failed = failed.iter().find(|a| a.status_code == api::ScalingActivityStatusCode::Failed).unwrap();
    assert!(failed.status_message.as_ref().unwrap().contains("Launching EC2 instance failed."), "{failed:?}");
    world.reconfigure(|settings| settings.kubernetes.iter_mut().for_each(|v| v.image_date = "20260101".into()));
    assert!(trouble.failures < 20);
}

#[test]
fn a_group_is_deleted_when_it_is_empty_or_by_force() {
    let mut world = with_group(2);
    let delete = |force| api::DeleteAutoScalingGroupType { auto_scaling_group_name: "g".into(), force_delete: force };
    let why = refusal(world.call(&api::DELETE_AUTO_SCALING_GROUP, delete(None)));
    assert!(why.starts_with("ResourceInUse: You cannot delete an AutoScalingGroup while there are instances"), "{why}");
    world.call(&api::DELETE_AUTO_SCALING_GROUP, delete(Some(true))).unwrap();
    world.settle();
    assert_eq!(group(&world), None);
    let why = refusal(world.call(&api::DELETE_AUTO_SCALING_GROUP, delete(None)));
    assert_eq!(why, "ValidationError: AutoScalingGroup name not found - AutoScalingGroup 'g' not found");
}

type Change = fn(CreateAutoScalingGroupType) -> CreateAutoScalingGroupType;

#[test]
fn what_auto_scaling_refuses_changes_nothing() {
    let mut world = with_group(2);
    let id = group(&world).unwrap().spec.template.id;
    let before = group(&world);
    assert_eq!(
        refusal(desired(&mut world, 10)),
        "ValidationError: New SetDesiredCapacity value 10 is above max value 9 for the AutoScalingGroup."
    );
    let again = request(&world, &id, 1);
    assert_eq!(
        refusal(world.call(&api::CREATE_AUTO_SCALING_GROUP, again)),
        "AlreadyExists: AutoScalingGroup by this name already exists - A group with the name g already exists"
    );
    let other = |change: Change, world: &World| {
        change(CreateAutoScalingGroupType { auto_scaling_group_name: "h".into(), ..request(world, &id, 1) })
    };
    let wrong: [(Change, &str); 5] = [
        (
            |r| CreateAutoScalingGroupType { min_size: 3, max_size: 2, ..r },
            "Max bound, 2, must be greater than or equal to min bound, 3",
        ),
        (
            |r| CreateAutoScalingGroupType { desired_capacity: Some(12), ..r },
            "Desired capacity:12 must be between the specified min size:0 and max size:9",
        ),
        (
            |r| CreateAutoScalingGroupType { launch_template: None, ..r },
            "Valid requests must contain either launchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.",
        ),
        (
            |r| CreateAutoScalingGroupType { vpc_zone_identifier: None, ..r },
            "At least one Availability Zone or VPC Subnet is required.",
        ),
        (
            |r| CreateAutoScalingGroupType { vpc_zone_identifier: Some("subnet-x".into()), ..r },
            "The subnet ID 'subnet-x' does not exist",
        ),
    ];
    for (change, why) in wrong {
        let request = other(change, &world);
        assert_eq!(refusal(world.call(&api::CREATE_AUTO_SCALING_GROUP, request)), format!("ValidationError: {why}"));
    }
    assert_eq!(group(&world), before);
}

/// The policy that the documentation of the Cluster Autoscaler gives its role.
#[test]
fn the_cluster_autoscaler_scales_the_groups_whose_tags_let_it() {
    let mut world = with_group(2);
    let made = iam::CreateUserRequest { user_name: "autoscaler".into(), ..Default::default() };
    let user = world.call(&iam::CREATE_USER, made).unwrap().user.unwrap();
    let who = Identity { arn: user.arn.parse().unwrap(), role: None, unique_id: user.user_id, account: ACCOUNT.into() };
    let policy_document = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": ["*"],
        "Action": ["autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"],
        "Condition": {"StringEquals": {"aws:ResourceTag/k8s.io/cluster-autoscaler/enabled": "true"}}}]}"#
        .into();
    let own = iam::PutUserPolicyRequest { user_name: "autoscaler".into(), policy_name: "own".into(), policy_document };
    world.call(&iam::PUT_USER_POLICY, own).unwrap();
    let scale = |world: &mut World| {
        let input = api::SetDesiredCapacityType {
            auto_scaling_group_name: "g".into(),
            desired_capacity: 3,
            ..Default::default()
        };
        world.call_as(&who, &api::SET_DESIRED_CAPACITY, input)
    };
    let victim = serving(&world)[0].clone();
    let terminate = |world: &mut World| {
        let input = api::TerminateInstanceInAutoScalingGroupType {
            instance_id: Some(victim.clone()),
            should_decrement_desired_capacity: true,
            ..Default::default()
        };
        world.call_as(&who, &api::TERMINATE_INSTANCE_IN_AUTO_SCALING_GROUP, input)
    };
    let refused = |fault: Fault| assert!(fault.message.contains("no identity-based policy allows"), "{fault}");
    refused(scale(&mut world).unwrap_err());
    refused(terminate(&mut world).unwrap_err());
    let tag = api::Tag {
        resource_id: Some("g".into()),
        resource_type: Some("auto-scaling-group".into()),
        key: "k8s.io/cluster-autoscaler/enabled".into(),
        value: Some("true".into()),
        propagate_at_launch: Some(false),
    };
    let tags = api::CreateOrUpdateTagsType { tags: vec![tag] };
    refused(world.call_as(&who, &api::CREATE_OR_UPDATE_TAGS, tags.clone()).unwrap_err());
    world.call(&api::CREATE_OR_UPDATE_TAGS, tags).unwrap();
    scale(&mut world).unwrap();
    terminate(&mut world).unwrap();
}
