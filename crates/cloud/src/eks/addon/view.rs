//! An add-on as EKS shows it.

use super::model::{Addon, State, Update};
use crate::eks::cluster::Issue;
use roadstead_shapes::eks as api;
use roadstead_types::Millis;

/// What DescribeAddon shows.
pub fn describe(addon: &Addon, created: Millis) -> api::Addon {
    let spec = &addon.spec;
    let issue = |issue: &Issue| api::AddonIssue {
        code: issue.code.parse().ok(),
        message: Some(issue.message.clone()),
        resource_ids: Some(issue.resources.clone()),
    };
    api::Addon {
        addon_name: Some(spec.name.clone()),
        cluster_name: Some(spec.cluster_name.clone()),
        status: Some(status(addon.status.state)),
        addon_version: Some(spec.version.clone()),
        health: Some(api::AddonHealth { issues: Some(addon.status.issues.iter().map(issue).collect()) }),
        addon_arn: Some(spec.arn.clone()),
        created_at: Some(created),
        modified_at: Some(addon.status.modified),
        service_account_role_arn: spec.role.clone(),
        tags: Some(spec.tags.clone().into_iter().collect()),
        publisher: None,
        owner: None,
        marketplace_information: None,
        configuration_values: spec.configuration.clone(),
        pod_identity_associations: None,
        namespace_config: Some(api::AddonNamespaceConfigResponse { namespace: Some("kube-system".into()) }),
    }
}

/// What DescribeUpdate shows of one of its updates.
pub fn update(update: &Update) -> api::Update {
    let failure = update.ended.as_ref().and_then(|ended| ended.as_ref().err());
    let error = |issue: &Issue| api::ErrorDetail {
        error_code: issue.code.parse().ok(),
        error_message: Some(issue.message.clone()),
        resource_ids: Some(issue.resources.clone()),
    };
    let param =
        |(name, value): &(String, String)| api::UpdateParam { r#type: name.parse().ok(), value: Some(value.clone()) };
    let status = match &update.ended {
        None => api::UpdateStatus::InProgress,
        Some(Ok(())) => api::UpdateStatus::Successful,
        Some(Err(_)) => api::UpdateStatus::Failed,
    };
    api::Update {
        id: Some(update.id.clone()),
        status: Some(status),
        r#type: Some(api::UpdateType::AddonUpdate),
        params: Some(update.params.iter().map(param).collect()),
        created_at: Some(update.created),
        errors: Some(failure.map(error).into_iter().collect()),
        ..Default::default()
    }
}

fn status(state: State) -> api::AddonStatus {
    match state {
        State::Creating => api::AddonStatus::Creating,
        State::Active => api::AddonStatus::Active,
        State::CreateFailed => api::AddonStatus::CreateFailed,
        State::Updating => api::AddonStatus::Updating,
        State::UpdateFailed => api::AddonStatus::UpdateFailed,
        State::Degraded => api::AddonStatus::Degraded,
        State::Deleting => api::AddonStatus::Deleting,
        State::DeleteFailed => api::AddonStatus::DeleteFailed,
    }
}
