//! The operations that show updates.

use super::{State, Subject, Update};
use crate::eks::{addon, cluster, nodegroup};
use roadstead_kernel::{Caller, page};
use roadstead_shapes::eks as api;
use roadstead_store::{Index, Read as _, Record, View};
use roadstead_wire::fault::Fault;

/// EKS DescribeUpdate.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeUpdateRequest,
) -> Result<api::DescribeUpdateResponse, Fault> {
    let subject = subject(input.nodegroup_name, input.addon_name, input.capability_name)?;
    let cluster = cluster::ops::find(view, caller, &input.name)?.body.spec;
    let found = match &subject {
        // An add-on keeps its updates itself.
        Subject::Addon(name) => addon::ops::find_update(view, &cluster, name, &input.update_id),
        Subject::Cluster | Subject::Nodegroup(_) => {
            let found = view.get(&Update::key_of(&cluster.account, &cluster.name, &input.update_id));
            found.filter(|record| record.body.subject == subject).map(|record| shown(&record))
        }
    };
    let missing = || api::RESOURCE_NOT_FOUND_EXCEPTION.fault(format!("No update found for ID: {}", input.update_id));
    let update = found.ok_or_else(|| missing().with("clusterName", input.name.as_str()))?;
    Ok(api::DescribeUpdateResponse { update: Some(update) })
}

/// Whether what describe shows will change by itself.
pub fn is_passing(output: &api::DescribeUpdateResponse) -> bool {
    output.update.as_ref().and_then(|update| update.status) == Some(api::UpdateStatus::InProgress)
}

/// EKS ListUpdates: ids.
pub fn list(view: &View, caller: &Caller, input: api::ListUpdatesRequest) -> Result<api::ListUpdatesResponse, Fault> {
    let subject = subject(input.nodegroup_name, input.addon_name, input.capability_name)?;
    let account = &caller.identity.account;
    let ids = ids(view, caller, &input.name, &subject)?.into_iter().map(|id| (id.clone(), id)).collect();
    let limit = input.max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(100);
    let scope = format!("eks:ListUpdates/{account}/{}/{subject:?}", input.name);
    let page = page::page(&scope, ids, limit, input.next_token.as_deref());
    let page = page.map_err(|_| api::INVALID_PARAMETER_EXCEPTION.fault("The nextToken parameter is not valid."))?;
    Ok(api::ListUpdatesResponse { update_ids: Some(page.items), next_token: page.next })
}

/// The ids of a subject's updates, sorted.
fn ids(view: &View, caller: &Caller, cluster: &str, subject: &Subject) -> Result<Vec<String>, Fault> {
    let cluster = cluster::ops::find(view, caller, cluster)?.body.spec;
    let mut ids = match subject {
        Subject::Addon(name) => addon::ops::update_ids(view, caller, &cluster.name, name)?,
        Subject::Cluster | Subject::Nodegroup(_) => {
            if let Subject::Nodegroup(name) = subject {
                nodegroup::ops::find(view, caller, &cluster.name, name)?;
            }
            let all = view.list(Index::<Update>::prefix(format!("{}/{}/", cluster.account, cluster.name)));
            all.into_iter().filter(|record| record.body.subject == *subject).map(|record| record.body.id).collect()
        }
    };
    ids.sort();
    Ok(ids)
}

fn subject(nodegroup: Option<String>, addon: Option<String>, capability: Option<String>) -> Result<Subject, Fault> {
    match (nodegroup, addon, capability) {
        (None, None, None) => Ok(Subject::Cluster),
        (Some(name), None, None) => Ok(Subject::Nodegroup(name)),
        (None, Some(name), None) => Ok(Subject::Addon(name)),
        (None, None, Some(_)) => {
            Err(api::INVALID_PARAMETER_EXCEPTION
                .fault("capabilityName is not available in this region yet: leave it out"))
        }
        _ => Err(api::INVALID_PARAMETER_EXCEPTION
            .fault("Only one of nodegroupName, addonName and capabilityName may be specified")),
    }
}

/// As EKS shows it.
pub fn shown(record: &Record<Update>) -> api::Update {
    let update = &record.body;
    let param =
        |(name, value): &(String, String)| api::UpdateParam { r#type: name.parse().ok(), value: Some(value.clone()) };
    let error = |error: &super::Error| api::ErrorDetail {
        error_code: error.code.parse().ok(),
        error_message: Some(error.message.clone()),
        resource_ids: Some(error.resources.clone()),
    };
    api::Update {
        id: Some(update.id.clone()),
        status: Some(match update.state {
            State::InProgress => api::UpdateStatus::InProgress,
            State::Successful => api::UpdateStatus::Successful,
            State::Failed => api::UpdateStatus::Failed,
        }),
        r#type: update.kind.parse().ok(),
        params: Some(update.params.iter().map(param).collect()),
        created_at: Some(record.created),
        errors: Some(update.errors.iter().map(error).collect()),
        ..Default::default()
    }
}
