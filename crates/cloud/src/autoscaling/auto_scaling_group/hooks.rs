//! Lifecycle hooks: what holds an instance on its way in or out until somebody says that it may go on.

use super::model::{AutoScalingGroup, Hook, Outcome, Transition, Wait};
use super::ops::{find, invalid, view_of};
use super::view;
use roadstead_kernel::Caller;
use roadstead_shapes::autoscaling as api;
use roadstead_store::{Read as _, Record, Tx, View};
use roadstead_types::Millis;
use roadstead_wire::fault::Fault;

/// Auto Scaling quota "lifecycle hooks per Auto Scaling group".
const HOOKS_MAX: usize = 50;
/// Seconds that a hook holds an instance by default (API reference, PutLifecycleHook).
const HEARTBEAT_SECONDS: i32 = 3600;

/// However often more time is asked for: 48 hours, or a hundred heartbeats if that is less.
pub fn global_timeout(heartbeat: Millis) -> Millis {
    Millis(heartbeat.0.saturating_mul(100)).min(Millis::mins(48 * 60))
}

/// Auto Scaling PutLifecycleHook: makes one, or changes what is given of one.
pub fn put(
    tx: &mut Tx,
    caller: &Caller,
    input: api::PutLifecycleHookType,
) -> Result<api::PutLifecycleHookAnswer, Fault> {
    let mut record = find(tx, caller, &input.auto_scaling_group_name)?;
    let before = record.body.hooks.get(&input.lifecycle_hook_name).cloned();
    if before.is_none() && record.body.hooks.len() >= HOOKS_MAX {
        let why = format!("You cannot have more than {HOOKS_MAX} lifecycle hooks per Auto Scaling group.");
        return Err(api::LIMIT_EXCEEDED_FAULT.fault(why));
    }
    let spec = api::LifecycleHookSpecification {
        lifecycle_transition: match (&input.lifecycle_transition, &before) {
            (Some(transition), _) => transition.clone(),
            (None, Some(before)) => before.transition.as_str().into(),
            (None, None) => {
                return Err(invalid("A lifecycle transition must be specified when creating a lifecycle hook."));
            }
        },
        lifecycle_hook_name: input.lifecycle_hook_name.clone(),
        notification_metadata: input.notification_metadata,
        heartbeat_timeout: input.heartbeat_timeout,
        default_result: input.default_result,
        notification_target_arn: input.notification_target_arn,
        role_arn: input.role_arn,
    };
    let hook = parse(spec, before)?;
    record.body.hooks.insert(input.lifecycle_hook_name, hook);
    tx.put(record);
    Ok(api::PutLifecycleHookAnswer {})
}

/// A hook as it is asked for; what is left out stays as it was.
pub fn parse(spec: api::LifecycleHookSpecification, before: Option<Hook>) -> Result<Hook, Fault> {
    let transition = Transition::parse(&spec.lifecycle_transition)
        .ok_or_else(|| invalid(format!("Invalid lifecycle transition: {}", spec.lifecycle_transition)))?;
    let default = match (&spec.default_result, &before) {
        (Some(text), _) => {
            Outcome::parse(text).ok_or_else(|| invalid(format!("Invalid lifecycle action result: {text}")))?
        }
        (None, Some(before)) => before.default,
        (None, None) => Outcome::Abandon,
    };
    let heartbeat = match (spec.heartbeat_timeout, &before) {
        (Some(seconds @ 30..=7200), _) => Millis::secs(u64::from(seconds.unsigned_abs())),
        (Some(_), _) => return Err(invalid("HeartbeatTimeout must be between 30 and 7200 seconds.")),
        (None, Some(before)) => before.heartbeat,
        (None, None) => Millis::secs(u64::from(HEARTBEAT_SECONDS.unsigned_abs())),
    };
    let (metadata, target, role) = match before {
        Some(before) => (before.metadata, before.notification_target, before.role),
        None => (None, None, None),
    };
    Ok(Hook {
        transition,
        heartbeat,
        default,
        metadata: spec.notification_metadata.or(metadata),
        notification_target: spec.notification_target_arn.or(target),
        role: spec.role_arn.or(role),
    })
}

/// Auto Scaling DescribeLifecycleHooks.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeLifecycleHooksType,
) -> Result<api::DescribeLifecycleHooksAnswer, Fault> {
    let group = view_of(view_, caller, &input.auto_scaling_group_name)?.body;
    let named = input.lifecycle_hook_names.unwrap_or_default();
    let hooks = group.hooks.iter().filter(|(name, _)| named.is_empty() || named.contains(name));
    let hooks = hooks.map(|(name, hook)| view::hook(name, hook, &group.spec)).collect();
    Ok(api::DescribeLifecycleHooksAnswer { lifecycle_hooks: Some(hooks) })
}

/// Auto Scaling DeleteLifecycleHook: instances that it holds go on.
pub fn delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteLifecycleHookType,
) -> Result<api::DeleteLifecycleHookAnswer, Fault> {
    let mut record = find(tx, caller, &input.auto_scaling_group_name)?;
    if record.body.hooks.remove(&input.lifecycle_hook_name).is_none() {
        return Err(invalid(format!("No Lifecycle Hook found with name: {}", input.lifecycle_hook_name)));
    }
    tx.put(record);
    Ok(api::DeleteLifecycleHookAnswer {})
}

/// Auto Scaling CompleteLifecycleAction.
pub fn complete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CompleteLifecycleActionType,
) -> Result<api::CompleteLifecycleActionAnswer, Fault> {
    let mut record = find(tx, caller, &input.auto_scaling_group_name)?;
    let outcome = Outcome::parse(&input.lifecycle_action_result)
        .ok_or_else(|| invalid(format!("Invalid lifecycle action result: {}", input.lifecycle_action_result)))?;
    let (instance, token) = (input.instance_id.as_deref(), input.lifecycle_action_token.as_deref());
    active(&mut record, &input.lifecycle_hook_name, instance, token)?.outcome = Some(outcome);
    tx.put(record);
    Ok(api::CompleteLifecycleActionAnswer {})
}

/// Auto Scaling RecordLifecycleActionHeartbeat: as long again, from now.
pub fn heartbeat(
    tx: &mut Tx,
    caller: &Caller,
    input: api::RecordLifecycleActionHeartbeatType,
) -> Result<api::RecordLifecycleActionHeartbeatAnswer, Fault> {
    let mut record = find(tx, caller, &input.auto_scaling_group_name)?;
    let heartbeat = record.body.hooks.get(&input.lifecycle_hook_name).map_or(Millis(0), |hook| hook.heartbeat);
    let (instance, token) = (input.instance_id.as_deref(), input.lifecycle_action_token.as_deref());
    let wait = active(&mut record, &input.lifecycle_hook_name, instance, token)?;
    wait.deadline = (tx.now() + heartbeat).min(wait.since + global_timeout(heartbeat)).max(wait.deadline);
    tx.put(record);
    Ok(api::RecordLifecycleActionHeartbeatAnswer {})
}

/// The action that is named by its instance or its token.
fn active<'a>(
    record: &'a mut Record<AutoScalingGroup>,
    hook: &str,
    instance: Option<&str>,
    token: Option<&str>,
) -> Result<&'a mut Wait, Fault> {
    let named = match (instance, token) {
        (Some(id), _) => format!("instance ID {id}"),
        (None, Some(token)) => format!("token {token}"),
        (None, None) => return Err(invalid("Either the instance ID or the lifecycle action token must be specified.")),
    };
    let members = record.body.instances.iter_mut();
    let mut waits = members.filter_map(|(id, member)| Some((id, member.waits.get_mut(hook)?)));
    let found = waits.find(|(id, wait)| {
        wait.outcome.is_none()
            && instance.is_none_or(|named| named == *id)
            && token.is_none_or(|named| named == wait.token)
    });
    found.map(|(_, wait)| wait).ok_or_else(|| invalid(format!("No active Lifecycle Action found with {named}")))
}
