use super::missing;
use crate::ec2::describe::{Query, at_least, select};
use crate::ec2::instance::{Instance, Phase, State, view};
use crate::ec2::tags;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::Read as _;
use roadstead_store::{Index, Record, View};
use roadstead_wire::fault::Fault;

/// EC2 DescribeInstances: a page counts instances, as in EC2.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeInstancesRequest,
) -> Result<api::DescribeInstancesResult, Fault> {
    tags::not_dry(input.dry_run)?;
    at_least(5, input.max_results)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeInstances/{account}"),
        ids: input.instance_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let values = |record: &Record<Instance>, filter: &str| view::values(view_, record, filter);
    let page = select(&query, all(view_, account), values, |id| missing(&[id]))?;
    let mut reservations: Vec<(String, Vec<api::Instance>)> = vec![];
    for record in &page.items {
        let reservation = record.body.spec.launch.as_ref().map(|launch| launch.reservation.clone()).unwrap_or_default();
        let shown = view::show(view_, &caller.region, record);
        // In the order of the pages, whatever their size.
        match reservations.iter_mut().find(|(id, _)| *id == reservation) {
            Some((_, instances)) => instances.extend(shown),
            None => reservations.push((reservation, shown.into_iter().collect())),
        }
    }
    let reservations = reservations.into_iter().map(|(id, instances)| view::reservation(id, account, instances));
    Ok(api::DescribeInstancesResult { reservations: Some(reservations.collect()), next_token: page.next })
}

/// A user's instances, terminated ones included.
fn all(view: &View, account: &str) -> Vec<(String, Record<Instance>)> {
    let all = view.list(Index::<Instance>::by("account", account)).into_iter();
    all.filter(|record| record.body.spec.launch.is_some()).map(|r| (r.body.spec.id.clone(), r)).collect()
}

/// Whether one of them is on its way to another state.
pub fn will_change(output: &api::DescribeInstancesResult) -> bool {
    use api::InstanceStateName::{Pending, ShuttingDown, Stopping};
    let instances = output.reservations.iter().flatten().flat_map(|reservation| reservation.instances.iter().flatten());
    let mut states = instances.filter_map(|instance| instance.state.as_ref()?.name);
    states.any(|state| matches!(state, Pending | ShuttingDown | Stopping))
}

/// EC2 DescribeInstanceStatus: of those that run, unless all are asked for.
pub fn describe_status(
    view_: &View,
    caller: &Caller,
    input: api::DescribeInstanceStatusRequest,
) -> Result<api::DescribeInstanceStatusResult, Fault> {
    tags::not_dry(input.dry_run)?;
    at_least(5, input.max_results)?;
    let account = &caller.identity.account;
    let ids = input.instance_ids.unwrap_or_default();
    let query = Query {
        scope: format!("ec2:DescribeInstanceStatus/{account}"),
        ids: &ids,
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let every = input.include_all_instances == Some(true);
    let values = |record: &Record<Instance>, filter: &str| {
        Some(vec![match filter {
            "instance-status.status" | "system-status.status" => summary(record).as_str().to_owned(),
            "instance-status.reachability" | "system-status.reachability" => reachability(record).as_str().to_owned(),
            _ => return view::values(view_, record, filter),
        }])
    };
    let instances = all(view_, account);
    if let Some(id) = ids.iter().find(|id| instances.iter().all(|(known, _)| known != *id)) {
        return Err(missing(&[id]));
    }
    let listed = |record: &Record<Instance>| every || State::of(record) == State::Running;
    let instances: Vec<_> = instances.into_iter().filter(|(id, _)| ids.is_empty() || ids.contains(id)).collect();
    let instances = instances.into_iter().filter(|(_, record)| listed(record)).collect();
    let query = Query { ids: &[], ..query };
    let page = select(&query, instances, values, |id| missing(&[id]))?;
    let statuses = page.items.iter().map(status).collect();
    Ok(api::DescribeInstanceStatusResult { instance_statuses: Some(statuses), next_token: page.next })
}

/// Whether a check of one of them is not through.
pub fn status_may_change(output: &api::DescribeInstanceStatusResult) -> bool {
    let mut checks =
        output.instance_statuses.iter().flatten().filter_map(|status| status.instance_status.as_ref()?.status);
    checks.any(|check| check == api::SummaryStatus::Initializing)
}

fn status(record: &Record<Instance>) -> api::InstanceStatus {
    let check = || api::InstanceStatusSummary {
        status: Some(summary(record)),
        details: Some(vec![api::InstanceStatusDetails {
            name: Some(api::StatusName::Reachability),
            status: Some(reachability(record)),
            impaired_since: (summary(record) == api::SummaryStatus::Impaired)
                .then_some(record.body.status.machine_since),
        }]),
    };
    api::InstanceStatus {
        instance_id: Some(record.body.spec.id.clone()),
        availability_zone: record.body.spec.launch.as_ref().map(|launch| launch.zone.clone()),
        instance_state: Some(view::state(State::of(record))),
        instance_status: Some(check()),
        system_status: Some(check()),
        ..Default::default()
    }
}

/// Both of EC2's checks are one here: whether the machine is there and PID 1 answers.
fn summary(record: &Record<Instance>) -> api::SummaryStatus {
    match (State::of(record), record.body.status.machine) {
        (State::Running, Phase::Running) => api::SummaryStatus::Ok,
        (State::Running | State::Pending, Phase::Failed) => api::SummaryStatus::Impaired,
        (State::Running | State::Pending, _) => api::SummaryStatus::Initializing,
        (State::ShuttingDown | State::Terminated | State::Stopping | State::Stopped, _) => {
            api::SummaryStatus::NotApplicable
        }
    }
}

fn reachability(record: &Record<Instance>) -> api::StatusType {
    match summary(record) {
        api::SummaryStatus::Ok => api::StatusType::Passed,
        api::SummaryStatus::Impaired => api::StatusType::Failed,
        api::SummaryStatus::Initializing => api::StatusType::Initializing,
        api::SummaryStatus::InsufficientData | api::SummaryStatus::NotApplicable => api::StatusType::InsufficientData,
    }
}
