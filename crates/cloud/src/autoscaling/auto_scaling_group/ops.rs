//! The operations on Auto Scaling groups and their instances.

use super::check::{self, Asked};
use super::model::{AutoScalingGroup, Lifecycle, Process};
use super::{Shrink, activity, hooks, tags, view};
use crate::uuid;
use roadstead_kernel::{Caller, page};
use roadstead_shapes::autoscaling as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_wire::fault::{Common, Fault};
use std::collections::BTreeMap;

/// Auto Scaling quota "Auto Scaling groups per region".
const GROUPS_MAX: usize = 500;

pub(super) fn invalid(why: impl Into<String>) -> Fault {
    Common::Validation.fault(why)
}

/// The caller's group of that name, unless it is on its way out.
pub(super) fn find(tx: &Tx, caller: &Caller, name: &str) -> Result<Record<AutoScalingGroup>, Fault> {
    view_of(tx, caller, name)
}

/// The same for who only looks.
pub(super) fn view_of(read: &impl Read, caller: &Caller, name: &str) -> Result<Record<AutoScalingGroup>, Fault> {
    // Some operations take the ARN for the name.
    let name = name.rsplit_once("autoScalingGroupName/").map_or(name, |(_, name)| name);
    let found = super::find(read, &caller.identity.account, name).filter(|record| record.deleting.is_none());
    found.ok_or_else(|| invalid(format!("AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")))
}

/// All of the caller's groups, by name.
pub(super) fn groups(read: &impl Read, caller: &Caller) -> Vec<Record<AutoScalingGroup>> {
    read.list(Index::<AutoScalingGroup>::prefix(format!("{}/", caller.identity.account)))
}

/// Auto Scaling CreateAutoScalingGroup.
pub fn create(tx: &mut Tx, caller: &Caller, input: api::CreateAutoScalingGroupType) -> Result<(), Fault> {
    let account = &caller.identity.account;
    let name = input.auto_scaling_group_name;
    if name.contains(':') {
        return Err(invalid(format!("The name {name} is not valid: it may not have a colon in it")));
    }
    if super::find(tx, account, &name).is_some() {
        let why = format!("AutoScalingGroup by this name already exists - A group with the name {name} already exists");
        return Err(api::ALREADY_EXISTS_FAULT.fault(why));
    }
    if groups(tx, caller).len() >= GROUPS_MAX {
        return Err(
            api::LIMIT_EXCEEDED_FAULT.fault(format!("You may have no more than {GROUPS_MAX} Auto Scaling groups"))
        );
    }
    check::unsupported(&[
        (input.launch_configuration_name.is_some(), "LaunchConfigurationName"),
        (input.instance_id.is_some(), "InstanceId"),
        (input.load_balancer_names.is_some_and(|names| !names.is_empty()), "LoadBalancerNames"),
        (input.target_group_ar_ns.is_some_and(|arns| !arns.is_empty()), "TargetGroupARNs"),
        (input.traffic_sources.is_some_and(|sources| !sources.is_empty()), "TrafficSources"),
        (input.placement_group.is_some(), "PlacementGroup"),
        (input.max_instance_lifetime.is_some_and(|seconds| seconds > 0), "MaxInstanceLifetime"),
        (input.deletion_protection.is_some_and(|kind| kind.as_str() != "none"), "DeletionProtection"),
        (input.desired_capacity_type.is_some_and(|unit| unit != "units"), "DesiredCapacityType"),
        (input.instance_maintenance_policy.is_some(), "InstanceMaintenancePolicy"),
        (input.instance_lifecycle_policy.is_some(), "InstanceLifecyclePolicy"),
        (input.availability_zone_distribution.is_some(), "AvailabilityZoneDistribution"),
        (input.availability_zone_impairment_policy.is_some(), "AvailabilityZoneImpairmentPolicy"),
        (input.availability_zone_ids.is_some(), "AvailabilityZoneIds"),
        (input.capacity_reservation_specification.is_some(), "CapacityReservationSpecification"),
    ])?;
    let asked = Asked {
        launch_template: input.launch_template,
        mixed: input.mixed_instances_policy,
        min: Some(input.min_size),
        max: Some(input.max_size),
        desired: input.desired_capacity,
        cooldown: input.default_cooldown,
        subnets: input.vpc_zone_identifier,
        zones: input.availability_zones,
        health_check_type: input.health_check_type,
        grace: input.health_check_grace_period,
        termination_policies: input.termination_policies,
        protect_new: input.new_instances_protected_from_scale_in,
        capacity_rebalance: input.capacity_rebalance,
    };
    let mut spec = check::blank(name, uuid::fresh(tx), account.clone(), caller.region.clone());
    check::apply(tx, &mut spec, asked)?;
    let tags = tags::given(input.tags.unwrap_or_default())?;
    let mut all = BTreeMap::new();
    for hook in input.lifecycle_hook_specification_list.unwrap_or_default() {
        all.insert(hook.lifecycle_hook_name.clone(), hooks::parse(hook, None)?);
    }
    super::create(tx, None, spec, tags, all);
    Ok(())
}

/// Auto Scaling UpdateAutoScalingGroup: what is left out stays.
pub fn update(tx: &mut Tx, caller: &Caller, input: api::UpdateAutoScalingGroupType) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.auto_scaling_group_name)?;
    check::unsupported(&[
        (input.launch_configuration_name.is_some(), "LaunchConfigurationName"),
        (input.placement_group.is_some_and(|group| !group.is_empty()), "PlacementGroup"),
        (input.max_instance_lifetime.is_some_and(|seconds| seconds > 0), "MaxInstanceLifetime"),
        (input.deletion_protection.is_some_and(|kind| kind.as_str() != "none"), "DeletionProtection"),
        (input.desired_capacity_type.is_some_and(|unit| unit != "units"), "DesiredCapacityType"),
        (input.instance_maintenance_policy.is_some(), "InstanceMaintenancePolicy"),
        (input.instance_lifecycle_policy.is_some(), "InstanceLifecyclePolicy"),
        (input.availability_zone_distribution.is_some(), "AvailabilityZoneDistribution"),
        (input.availability_zone_impairment_policy.is_some(), "AvailabilityZoneImpairmentPolicy"),
        (input.availability_zone_ids.is_some(), "AvailabilityZoneIds"),
        (input.capacity_reservation_specification.is_some(), "CapacityReservationSpecification"),
    ])?;
    let asked = Asked {
        launch_template: input.launch_template,
        mixed: input.mixed_instances_policy,
        min: input.min_size,
        max: input.max_size,
        desired: input.desired_capacity.map(|desired| within(desired, record.body.spec.surge)),
        cooldown: input.default_cooldown,
        subnets: input.vpc_zone_identifier,
        zones: input.availability_zones,
        health_check_type: input.health_check_type,
        grace: input.health_check_grace_period,
        termination_policies: input.termination_policies,
        protect_new: input.new_instances_protected_from_scale_in,
        capacity_rebalance: input.capacity_rebalance,
    };
    check::apply(tx, &mut record.body.spec, asked)?;
    record.body.status.trouble = None;
    tx.put(record);
    Ok(())
}

/// A size as it is shown has the surge in it.
fn within(desired: i32, surge: u32) -> i32 {
    desired.saturating_sub(i32::try_from(surge).unwrap_or(i32::MAX)).max(desired.min(0))
}

/// Auto Scaling DeleteAutoScalingGroup: an empty one, unless it is forced.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteAutoScalingGroupType) -> Result<(), Fault> {
    let record = find(tx, caller, &input.auto_scaling_group_name)?;
    let forced = input.force_delete == Some(true);
    let members = record.body.instances.values();
    if !forced && members.clone().any(|member| member.state != Lifecycle::InService) {
        let why =
            "You cannot delete an AutoScalingGroup while there are scaling activities in progress for that group.";
        return Err(api::SCALING_ACTIVITY_IN_PROGRESS_FAULT.fault(why));
    }
    if !forced && members.len() > 0 {
        let why = "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.";
        return Err(api::RESOURCE_IN_USE_FAULT.fault(why));
    }
    tx.delete(&record.key);
    Ok(())
}

/// Auto Scaling DescribeAutoScalingGroups: names that are not there are left out.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::AutoScalingGroupNamesType,
) -> Result<api::AutoScalingGroupsType, Fault> {
    let named = input.auto_scaling_group_names.unwrap_or_default();
    let filters = input.filters.unwrap_or_default();
    let mut all = vec![];
    for record in groups(view_, caller) {
        let fits = named.is_empty() || named.contains(&record.body.spec.name);
        if fits && tags::match_group(&filters, &record.body)? {
            all.push((record.body.spec.name.clone(), record));
        }
    }
    let page = paged(caller, "DescribeAutoScalingGroups", Sizes(50, 100), all, input.max_records, input.next_token)?;
    let instances = input.include_instances != Some(false);
    let groups = page.items.iter().map(|record| view::group(view_, record, instances)).collect();
    Ok(api::AutoScalingGroupsType { auto_scaling_groups: groups, next_token: page.next })
}

/// Auto Scaling DescribeAutoScalingInstances: ids that are in no group are left out.
pub fn describe_instances(
    view_: &View,
    caller: &Caller,
    input: api::DescribeAutoScalingInstancesType,
) -> Result<api::AutoScalingInstancesType, Fault> {
    let named = input.instance_ids.unwrap_or_default();
    let groups = groups(view_, caller);
    let members = groups.iter().flat_map(|group| group.body.instances.iter().map(|(id, m)| (id, m, &group.body.spec)));
    let members = members.filter(|(id, _, _)| named.is_empty() || named.contains(id));
    let all = members.map(|(id, member, spec)| (id.clone(), view::instance_details(id, member, spec))).collect();
    let page = paged(caller, "DescribeAutoScalingInstances", Sizes(50, 50), all, input.max_records, input.next_token)?;
    Ok(api::AutoScalingInstancesType { auto_scaling_instances: Some(page.items), next_token: page.next })
}

/// Auto Scaling DescribeScalingActivities, the newest first.
pub fn describe_activities(
    view_: &View,
    caller: &Caller,
    input: api::DescribeScalingActivitiesType,
) -> Result<api::ActivitiesType, Fault> {
    let groups = match &input.auto_scaling_group_name {
        Some(name) => vec![view_of(view_, caller, name)?],
        None => groups(view_, caller),
    };
    let named = input.activity_ids.unwrap_or_default();
    let mut all = vec![];
    for group in &groups {
        for activity in activity::of(view_, &group.key) {
            if named.is_empty() || named.contains(&activity.id) {
                let shown = view::activity(&activity, &group.body.spec);
                all.push((format!("{:020}/{}", u64::MAX - activity.start.0, activity.id), shown));
            }
        }
    }
    let page = paged(caller, "DescribeScalingActivities", Sizes(100, 100), all, input.max_records, input.next_token)?;
    Ok(api::ActivitiesType { activities: page.items, next_token: page.next })
}

/// Auto Scaling DescribeLaunchConfigurations: AWS made no new ones since 2024, and this region never had any.
pub fn describe_launch_configurations(
    _: &View,
    caller: &Caller,
    input: api::LaunchConfigurationNamesType,
) -> Result<api::LaunchConfigurationsType, Fault> {
    paged::<()>(caller, "DescribeLaunchConfigurations", Sizes(50, 100), vec![], input.max_records, input.next_token)?;
    Ok(api::LaunchConfigurationsType { launch_configurations: vec![], next_token: None })
}

/// How many results a page has if nobody says how many, and at most: the model says so in its texts only.
#[derive(Clone, Copy)]
pub(super) struct Sizes(pub usize, pub usize);

/// A page of an operation's list.
///
/// # Errors
/// The token is not one of this list's, or the size is not one of a page.
pub(super) fn paged<T>(
    caller: &Caller,
    operation: &str,
    sizes: Sizes,
    all: Vec<(String, T)>,
    max: Option<i32>,
    token: Option<String>,
) -> Result<page::Page<T>, Fault> {
    let limit = max.map_or(Ok(sizes.0), |asked| page_size(asked, sizes.1))?;
    let scope = format!("autoscaling:{operation}/{}", caller.identity.account);
    let page = page::page(&scope, all, limit, token.as_deref());
    let why = || format!("The token '{}' was invalid", token.as_deref().unwrap_or_default());
    page.map_err(|_| api::INVALID_NEXT_TOKEN.fault(why()))
}

fn page_size(asked: i32, most: usize) -> Result<usize, Fault> {
    let bound = match usize::try_from(asked) {
        Ok(0) | Err(_) => "greater than or equal to 1".to_owned(),
        Ok(asked) if asked <= most => return Ok(asked),
        Ok(_) => format!("less than or equal to {most}"),
    };
    Err(invalid(format!(
        "1 validation error detected: Value '{asked}' at 'maxRecords' failed to satisfy constraint: Member must have value {bound}"
    )))
}

/// Auto Scaling SetDesiredCapacity.
pub fn set_desired_capacity(tx: &mut Tx, caller: &Caller, input: api::SetDesiredCapacityType) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.auto_scaling_group_name)?;
    let spec = &mut record.body.spec;
    let desired = u32::try_from(input.desired_capacity).map_err(|_| invalid("DesiredCapacity must not be negative"))?;
    let (max, asked) = (spec.max.saturating_add(spec.surge), desired);
    if asked > max {
        return Err(invalid(format!(
            "New SetDesiredCapacity value {asked} is above max value {max} for the AutoScalingGroup."
        )));
    }
    if asked < spec.min {
        let why =
            format!("New SetDesiredCapacity value {asked} is below min value {} for the AutoScalingGroup.", spec.min);
        return Err(invalid(why));
    }
    spec.desired = asked.saturating_sub(spec.surge).clamp(spec.min, spec.max);
    tx.put(record);
    Ok(())
}

/// The caller's group that has the instance.
fn group_of(tx: &Tx, caller: &Caller, instance: &str) -> Result<Record<AutoScalingGroup>, Fault> {
    let groups = tx.list(Index::<AutoScalingGroup>::by("instance", instance));
    let own = |record: &Record<AutoScalingGroup>| record.body.spec.account == caller.identity.account;
    let missing = || invalid(format!("Instance Id not found - No managed instance found for instance ID: {instance}"));
    groups.into_iter().find(own).ok_or_else(missing)
}

/// Auto Scaling TerminateInstanceInAutoScalingGroup: through its hooks, and with or without another one in its place.
pub fn terminate_instance(
    tx: &mut Tx,
    caller: &Caller,
    input: api::TerminateInstanceInAutoScalingGroupType,
) -> Result<api::ActivityType, Fault> {
    let named = input.instance_id.into_iter().chain(input.instance_ids.unwrap_or_default()).collect::<Vec<_>>();
    let [id] = &named[..] else {
        return Err(invalid("Exactly one instance ID must be specified."));
    };
    let record = group_of(tx, caller, id)?;
    let spec = &record.body.spec;
    if record.body.instances[id].state.ends() {
        return Err(
            api::SCALING_ACTIVITY_IN_PROGRESS_FAULT.fault(format!("The instance {id} is already being terminated."))
        );
    }
    let decrement = input.should_decrement_desired_capacity;
    if decrement && spec.desired <= spec.min {
        let why = format!(
            "Currently, desiredSize equals minSize ({}). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.",
            spec.min
        );
        return Err(invalid(why));
    }
    let shrink = if decrement { Shrink::Desired } else { Shrink::No };
    let cause = "an instance was taken out of service in response to a user request.";
    super::terminate(tx, &spec.account, &spec.name, id, shrink, cause);
    let activity = activity::of(tx, &record.key).into_iter().next();
    Ok(api::ActivityType { activity: activity.map(|activity| view::activity(&activity, spec)), activities: None })
}

/// Auto Scaling SetInstanceHealth.
pub fn set_instance_health(tx: &mut Tx, caller: &Caller, input: api::SetInstanceHealthQuery) -> Result<(), Fault> {
    let mut record = group_of(tx, caller, &input.instance_id)?;
    let (now, grace) = (tx.now(), record.body.spec.grace);
    let member = record.body.instances.get_mut(&input.instance_id).expect("the index names its members");
    match input.health_status.as_str() {
        "Healthy" => member.unhealthy = None,
        "Unhealthy" => {
            let spared = input.should_respect_grace_period != Some(false) && now.since(member.since) < grace;
            let why = "an instance was taken out of service in response to a user health-check.";
            member.unhealthy = (!spared).then(|| why.to_owned()).or(member.unhealthy.take());
        }
        other => {
            return Err(invalid(format!("Valid instance health states are: [Healthy, Unhealthy]: {other} is none")));
        }
    }
    tx.put(record);
    Ok(())
}

/// Auto Scaling SetInstanceProtection.
pub fn set_instance_protection(
    tx: &mut Tx,
    caller: &Caller,
    input: api::SetInstanceProtectionQuery,
) -> Result<api::SetInstanceProtectionAnswer, Fault> {
    let mut record = find(tx, caller, &input.auto_scaling_group_name)?;
    for id in &input.instance_ids {
        let Some(member) = record.body.instances.get_mut(id) else {
            return Err(invalid(format!(
                "The instance {id} is not part of Auto Scaling group {}.",
                record.body.spec.name
            )));
        };
        member.protected = input.protected_from_scale_in;
    }
    tx.put(record);
    Ok(api::SetInstanceProtectionAnswer {})
}

/// Auto Scaling SuspendProcesses: those that are named, or all.
pub fn suspend(tx: &mut Tx, caller: &Caller, input: api::ScalingProcessQuery) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.auto_scaling_group_name)?;
    for process in processes(input.scaling_processes)? {
        record.body.suspended.entry(process).or_insert_with(|| "User suspended".to_owned());
    }
    tx.put(record);
    Ok(())
}

/// Auto Scaling ResumeProcesses: those that are named, or all.
pub fn resume(tx: &mut Tx, caller: &Caller, input: api::ScalingProcessQuery) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.auto_scaling_group_name)?;
    for process in processes(input.scaling_processes)? {
        record.body.suspended.remove(&process);
    }
    tx.put(record);
    Ok(())
}

fn processes(named: Option<Vec<String>>) -> Result<Vec<Process>, Fault> {
    let parse = |name: String| {
        let found = Process::ALL.into_iter().find(|process| process.as_str() == name);
        found.ok_or_else(|| invalid(format!("Invalid scaling process name: {name}")))
    };
    match named.filter(|named| !named.is_empty()) {
        None => Ok(Process::ALL.to_vec()),
        Some(named) => named.into_iter().map(parse).collect(),
    }
}
