//! A node group as EKS shows it.

use super::model::{Issue, Nodegroup, Repair, Scaling, Share, State};
use crate::autoscaling::auto_scaling_group;
use crate::eks::node::Taint;
use roadstead_shapes::eks as api;
use roadstead_store::{Read, Record};

/// What DescribeNodegroup shows.
pub fn describe(read: &impl Read, record: &Record<Nodegroup>) -> api::Nodegroup {
    let (spec, status) = (&record.body.spec, &record.body.status);
    let groups = status.founded.then(|| vec![api::AutoScalingGroup { name: Some(spec.group_name()) }]);
    let template = spec.release.template.as_ref();
    api::Nodegroup {
        nodegroup_name: Some(spec.name.clone()),
        nodegroup_arn: Some(spec.arn().to_string()),
        cluster_name: Some(spec.cluster.clone()),
        version: Some(spec.release.version.clone()),
        release_version: Some(spec.release.release_version.clone()),
        created_at: Some(record.created),
        modified_at: Some(status.modified),
        status: Some(state(status.state)),
        capacity_type: spec.capacity_type.parse().ok(),
        scaling_config: Some(scaling(sizes(read, &record.body))),
        instance_types: (!spec.instance_types.is_empty()).then(|| spec.instance_types.clone()),
        subnets: Some(spec.subnets.clone()),
        ami_type: spec.ami_type.parse().ok(),
        node_role: Some(spec.node_role.clone()),
        labels: Some(spec.labels.clone()),
        taints: Some(spec.taints.iter().map(taint).collect()),
        resources: groups
            .map(|groups| api::NodegroupResources { auto_scaling_groups: Some(groups), ..Default::default() }),
        disk_size: spec.disk_gib.and_then(|gib| i32::try_from(gib).ok()),
        health: Some(api::NodegroupHealth { issues: Some(status.issues.iter().map(issue).collect()) }),
        update_config: Some(update_config(&record.body)),
        node_repair_config: Some(repair(&spec.repair)),
        launch_template: template.map(|template| api::LaunchTemplateSpecification {
            id: Some(template.id.clone()),
            name: Some(template.name.clone()),
            version: Some(template.version.to_string()),
        }),
        tags: Some(record.body.tags.clone().into_iter().collect()),
        ..Default::default()
    }
}

/// The sizes of the Auto Scaling group, where there is one: others change them, too.
pub fn sizes(read: &impl Read, group: &Nodegroup) -> Scaling {
    let found = auto_scaling_group::find(read, &group.spec.account, &group.spec.group_name());
    match found.filter(|_| group.status.state != State::Deleting) {
        Some(found) => {
            let spec = &found.body.spec;
            Scaling { min: spec.min, max: spec.max, desired: spec.desired }
        }
        None => group.spec.scaling,
    }
}

fn scaling(sizes: Scaling) -> api::NodegroupScalingConfig {
    let signed = |number: u32| i32::try_from(number).ok();
    api::NodegroupScalingConfig {
        min_size: signed(sizes.min),
        max_size: signed(sizes.max),
        desired_size: signed(sizes.desired),
    }
}

fn state(state: State) -> api::NodegroupStatus {
    match state {
        State::Creating => api::NodegroupStatus::Creating,
        State::Active => api::NodegroupStatus::Active,
        State::Updating => api::NodegroupStatus::Updating,
        State::Degraded => api::NodegroupStatus::Degraded,
        State::Deleting => api::NodegroupStatus::Deleting,
        State::CreateFailed => api::NodegroupStatus::CreateFailed,
    }
}

/// A taint, as EKS has it.
pub fn taint(taint: &Taint) -> api::Taint {
    let effect = match taint.effect.as_str() {
        "NoExecute" => api::TaintEffect::NoExecute,
        "PreferNoSchedule" => api::TaintEffect::PreferNoSchedule,
        _ => api::TaintEffect::NoSchedule,
    };
    api::Taint { key: Some(taint.key.clone()), value: Some(taint.value.clone()), effect: Some(effect) }
}

fn issue(issue: &Issue) -> api::Issue {
    api::Issue {
        code: issue.code.parse().ok(),
        message: Some(issue.message.clone()),
        resource_ids: Some(issue.resources.clone()),
    }
}

/// Count and percentage.
fn halves(share: Option<Share>) -> (Option<i32>, Option<i32>) {
    match share {
        None => (None, None),
        Some(Share::Count(number)) => (i32::try_from(number).ok(), None),
        Some(Share::Percent(number)) => (None, i32::try_from(number).ok()),
    }
}

fn update_config(group: &Nodegroup) -> api::NodegroupUpdateConfig {
    let (max_unavailable, max_unavailable_percentage) = halves(Some(group.spec.update.max_unavailable));
    let update_strategy = Some(match group.spec.update.minimal {
        true => api::NodegroupUpdateStrategies::Minimal,
        false => api::NodegroupUpdateStrategies::Default,
    });
    api::NodegroupUpdateConfig { max_unavailable, max_unavailable_percentage, update_strategy }
}

fn repair(repair: &Repair) -> api::NodeRepairConfig {
    let (count, percentage) = halves(repair.threshold);
    let (parallel, parallel_percentage) = halves(repair.parallel);
    let overrides = repair.overrides.iter().map(|o| api::NodeRepairConfigOverrides {
        node_monitoring_condition: Some(o.condition.clone()),
        node_unhealthy_reason: Some(o.reason.clone()),
        min_repair_wait_time_mins: i32::try_from(o.wait.0 / 60_000).ok(),
        repair_action: Some(if o.replace { api::RepairAction::Replace } else { api::RepairAction::NoAction }),
    });
    let overrides: Vec<_> = overrides.collect();
    api::NodeRepairConfig {
        enabled: Some(repair.enabled),
        max_unhealthy_node_threshold_count: count,
        max_unhealthy_node_threshold_percentage: percentage,
        max_parallel_nodes_repaired_count: parallel,
        max_parallel_nodes_repaired_percentage: parallel_percentage,
        node_repair_config_overrides: (!overrides.is_empty()).then_some(overrides),
    }
}
