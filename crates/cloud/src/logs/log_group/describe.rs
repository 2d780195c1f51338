//! What is shown of log groups.

use super::{Class, LogGroup, find, find_by_arn};
use crate::logs::invalid;
use roadstead_kernel::{Caller, page};
use roadstead_shapes::logs as api;
use roadstead_store::{Index, Read as _, Record, View};
use roadstead_wire::fault::Fault;

/// Log groups of a page, if nobody says how many.
const PAGE: usize = 50;

/// CloudWatch Logs DescribeLogGroups, by name.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeLogGroupsRequest,
) -> Result<api::DescribeLogGroupsResponse, Fault> {
    check(caller, &input)?;
    let account = &caller.identity.account;
    let found = match &input.log_group_identifiers {
        Some(named) => named
            .iter()
            .map(|one| if one.starts_with("arn:") { find_by_arn(view, caller, one) } else { find(view, caller, one) })
            .collect::<Result<Vec<_>, _>>()?,
        None => {
            let prefix = input.log_group_name_prefix.as_deref().unwrap_or_default();
            view.list(Index::<LogGroup>::prefix(format!("{account}/{prefix}")))
        }
    };
    let pattern = input.log_group_name_pattern.as_deref().unwrap_or_default();
    let class = input.log_group_class;
    let found = found.into_iter().filter(|record| record.body.name.contains(pattern));
    let found = found.filter(|record| class.is_none_or(|class| class == shown_class(record.body.class)));
    let sorted = found.map(|record| (record.body.name.clone(), shown(&record, &caller.region))).collect();
    let prefix = input.log_group_name_prefix.as_deref().unwrap_or_default();
    let scope = format!("logs:DescribeLogGroups/{account}/{prefix}/{pattern}/{class:?}");
    let limit = input.limit.and_then(|n| usize::try_from(n).ok()).unwrap_or(PAGE);
    let page = page::page(&scope, sorted, limit, input.next_token.as_deref());
    let page = page.map_err(|_| invalid("The specified nextToken is invalid."))?;
    Ok(api::DescribeLogGroupsResponse { log_groups: Some(page.items), next_token: page.next })
}

fn check(caller: &Caller, input: &api::DescribeLogGroupsRequest) -> Result<(), Fault> {
    if input.log_group_name_prefix.is_some() && input.log_group_name_pattern.is_some() {
        let why = "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.";
        return Err(invalid(why));
    }
    let accounts = input.account_identifiers.as_deref().unwrap_or_default();
    if accounts.iter().any(|account| *account != caller.identity.account) {
        return Err(invalid("No accounts are linked to this one: leave accountIdentifiers out"));
    }
    Ok(())
}

fn shown(record: &Record<LogGroup>, region: &str) -> api::LogGroup {
    let group = &record.body;
    let arn = group.arn(region).to_string();
    api::LogGroup {
        log_group_name: Some(group.name.clone()),
        creation_time: i64::try_from(record.created.0).ok(),
        retention_in_days: group.retention_days,
        metric_filter_count: Some(0),
        arn: Some(format!("{arn}:*")),
        stored_bytes: Some(0),
        log_group_class: Some(shown_class(group.class)),
        log_group_arn: Some(arn),
        deletion_protection_enabled: Some(group.protected),
        ..Default::default()
    }
}

fn shown_class(class: Class) -> api::LogGroupClass {
    match class {
        Class::Standard => api::LogGroupClass::Standard,
        Class::InfrequentAccess => api::LogGroupClass::InfrequentAccess,
    }
}
