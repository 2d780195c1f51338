//! A group as Auto Scaling shows it.

use super::model::{Activity, ActivityState, AutoScalingGroup, Hook, Lifecycle, Member, Spec, Template};
use crate::ec2::subnet::Subnet;
use roadstead_shapes::autoscaling as api;
use roadstead_store::{Read, Record};
use roadstead_types::Millis;
use std::collections::BTreeSet;

/// What DescribeAutoScalingGroups shows.
pub fn group(read: &impl Read, record: &Record<AutoScalingGroup>, instances: bool) -> api::AutoScalingGroup {
    let (group, spec) = (&record.body, &record.body.spec);
    let mixed = !spec.instance_types.is_empty();
    let members = group.instances.iter().filter(|_| instances);
    let suspended = group.suspended.iter().map(|(process, why)| api::SuspendedProcess {
        process_name: Some(process.as_str().into()),
        suspension_reason: Some(why.clone()),
    });
    api::AutoScalingGroup {
        auto_scaling_group_name: spec.name.clone(),
        auto_scaling_group_arn: Some(spec.arn().to_string()),
        launch_template: (!mixed).then(|| template(&spec.template)),
        mixed_instances_policy: mixed.then(|| mixed_instances(spec)),
        min_size: signed(spec.min),
        max_size: signed(spec.max.saturating_add(spec.surge)),
        desired_capacity: signed(group.size()),
        default_cooldown: signed(spec.cooldown_seconds),
        availability_zones: zones(read, spec),
        load_balancer_names: Some(vec![]),
        target_group_ar_ns: Some(vec![]),
        health_check_type: spec.health_check_type.clone(),
        health_check_grace_period: Some(seconds(spec.grace)),
        instances: Some(members.map(|(id, member)| instance(id, member, spec)).collect()),
        created_time: record.created,
        suspended_processes: Some(suspended.collect()),
        vpc_zone_identifier: Some(spec.subnets.join(",")),
        enabled_metrics: Some(vec![]),
        status: record.deleting.map(|_| "Delete in progress".to_owned()),
        tags: Some(super::tags::of(group)),
        termination_policies: Some(match spec.termination_policies.is_empty() {
            true => vec!["Default".to_owned()],
            false => spec.termination_policies.clone(),
        }),
        new_instances_protected_from_scale_in: Some(spec.protect_new),
        capacity_rebalance: Some(spec.capacity_rebalance),
        traffic_sources: Some(vec![]),
        ..Default::default()
    }
}

/// The zones of its subnets, each once.
pub fn zones(read: &impl Read, spec: &Spec) -> Vec<String> {
    let zone = |id: &String| Some(read.shared(&Subnet::key(&spec.account, id))?.body.zone.clone());
    spec.subnets.iter().filter_map(zone).collect::<BTreeSet<_>>().into_iter().collect()
}

fn template(template: &Template) -> api::LaunchTemplateSpecification {
    api::LaunchTemplateSpecification {
        launch_template_id: Some(template.id.clone()),
        launch_template_name: Some(template.name.clone()),
        version: Some(template.version.clone()),
    }
}

fn mixed_instances(spec: &Spec) -> api::MixedInstancesPolicy {
    let override_of =
        |name: &String| api::LaunchTemplateOverrides { instance_type: Some(name.clone()), ..Default::default() };
    api::MixedInstancesPolicy {
        launch_template: Some(api::LaunchTemplate {
            launch_template_specification: Some(template(&spec.template)),
            overrides: Some(spec.instance_types.iter().map(override_of).collect()),
        }),
        instances_distribution: Some(api::InstancesDistribution {
            on_demand_allocation_strategy: Some("prioritized".into()),
            on_demand_base_capacity: Some(0),
            on_demand_percentage_above_base_capacity: Some(100),
            ..Default::default()
        }),
    }
}

/// The template as an instance was launched from it.
fn launched(member: &Member, spec: &Spec) -> api::LaunchTemplateSpecification {
    let (id, version) = &member.template;
    api::LaunchTemplateSpecification {
        launch_template_name: (*id == spec.template.id).then(|| spec.template.name.clone()),
        launch_template_id: Some(id.clone()),
        version: Some(version.to_string()),
    }
}

fn health(member: &Member) -> String {
    (if member.unhealthy.is_some() { "Unhealthy" } else { "Healthy" }).into()
}

fn instance(id: &str, member: &Member, spec: &Spec) -> api::Instance {
    api::Instance {
        instance_id: id.into(),
        instance_type: Some(member.instance_type.clone()),
        availability_zone: member.zone.clone(),
        lifecycle_state: lifecycle(member.state),
        health_status: health(member),
        launch_template: Some(launched(member, spec)),
        image_id: Some(member.image.clone()),
        protected_from_scale_in: member.protected,
        availability_zone_id: None,
        launch_configuration_name: None,
        weighted_capacity: None,
    }
}

/// What DescribeAutoScalingInstances shows.
pub fn instance_details(id: &str, member: &Member, spec: &Spec) -> api::AutoScalingInstanceDetails {
    api::AutoScalingInstanceDetails {
        instance_id: id.into(),
        instance_type: Some(member.instance_type.clone()),
        auto_scaling_group_name: spec.name.clone(),
        availability_zone: member.zone.clone(),
        lifecycle_state: lifecycle(member.state).as_str().into(),
        health_status: health(member).to_uppercase(),
        launch_template: Some(launched(member, spec)),
        image_id: Some(member.image.clone()),
        protected_from_scale_in: member.protected,
        ..Default::default()
    }
}

fn lifecycle(state: Lifecycle) -> api::LifecycleState {
    match state {
        Lifecycle::Pending => api::LifecycleState::Pending,
        Lifecycle::PendingWait => api::LifecycleState::PendingWait,
        Lifecycle::InService => api::LifecycleState::InService,
        Lifecycle::Terminating => api::LifecycleState::Terminating,
        Lifecycle::TerminatingWait => api::LifecycleState::TerminatingWait,
        Lifecycle::TerminatingProceed => api::LifecycleState::TerminatingProceed,
    }
}

/// What DescribeScalingActivities shows.
pub fn activity(activity: &Activity, spec: &Spec) -> api::Activity {
    let (status_code, progress) = match activity.state {
        ActivityState::InProgress => (api::ScalingActivityStatusCode::InProgress, 50),
        ActivityState::MidLifecycleAction => (api::ScalingActivityStatusCode::MidLifecycleAction, 60),
        ActivityState::Successful => (api::ScalingActivityStatusCode::Successful, 100),
        ActivityState::Failed => (api::ScalingActivityStatusCode::Failed, 100),
        ActivityState::Cancelled => (api::ScalingActivityStatusCode::Cancelled, 100),
    };
    api::Activity {
        activity_id: activity.id.clone(),
        auto_scaling_group_name: spec.name.clone(),
        description: Some(activity.description.clone()),
        cause: activity.cause.clone(),
        start_time: activity.start,
        end_time: activity.end,
        status_code,
        status_message: activity.message.clone(),
        progress: Some(progress),
        details: Some(activity.details.clone()),
        auto_scaling_group_arn: Some(spec.arn().to_string()),
        auto_scaling_group_state: None,
    }
}

/// What DescribeLifecycleHooks shows.
pub fn hook(name: &str, hook: &Hook, spec: &Spec) -> api::LifecycleHook {
    api::LifecycleHook {
        lifecycle_hook_name: Some(name.into()),
        auto_scaling_group_name: Some(spec.name.clone()),
        lifecycle_transition: Some(hook.transition.as_str().into()),
        notification_target_arn: hook.notification_target.clone(),
        role_arn: hook.role.clone(),
        notification_metadata: hook.metadata.clone(),
        heartbeat_timeout: Some(seconds(hook.heartbeat)),
        global_timeout: Some(seconds(super::hooks::global_timeout(hook.heartbeat))),
        default_result: Some(hook.default.as_str().into()),
    }
}

fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn seconds(span: Millis) -> i32 {
    i32::try_from(span.0 / 1000).unwrap_or(i32::MAX)
}
