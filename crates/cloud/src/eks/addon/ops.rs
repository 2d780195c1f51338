//! The add-on operations.

use super::catalogue::{self, unsupported};
use super::model::{Addon, Conflicts, Spec, State, Status, Update};
use super::{configuration, view};
use crate::eks::cluster::{self, Cluster};
use crate::eks::uuid;
use crate::iam::role::Role;
use crate::settings::Settings;
use roadstead_kernel::{Caller, page};
use roadstead_shapes::eks as api;
use roadstead_shapes::eks::{
    INVALID_PARAMETER_EXCEPTION, INVALID_REQUEST_EXCEPTION, RESOURCE_IN_USE_EXCEPTION, RESOURCE_NOT_FOUND_EXCEPTION,
    ResolveConflicts,
};
use roadstead_store::{Read, Record, Tx, View};
use roadstead_types::{Arn, Tags};
use roadstead_wire::fault::Fault;

/// So many updates of an add-on are remembered.
const UPDATES_KEPT: usize = 20;

/// EKS CreateAddon.
pub fn create(tx: &mut Tx, caller: &Caller, input: api::CreateAddonRequest) -> Result<api::CreateAddonResponse, Fault> {
    let cluster = active(tx, caller, &input.cluster_name)?;
    let key = Addon::key(&cluster.id, &input.addon_name);
    if tx.get(&key).is_some() {
        let why = format!("Addon already exists with name: {}", input.addon_name);
        return Err(about(RESOURCE_IN_USE_EXCEPTION.fault(why), &input.cluster_name, &input.addon_name));
    }
    let refuse = |why: String| about(INVALID_PARAMETER_EXCEPTION.fault(why), &input.cluster_name, &input.addon_name);
    if input.pod_identity_associations.as_ref().is_some_and(|all| !all.is_empty()) {
        return Err(refuse("podIdentityAssociations are not available in this region yet: leave them out".into()));
    }
    if input.resolve_conflicts == Some(ResolveConflicts::Preserve) {
        return Err(refuse(
            "The resolveConflicts value PRESERVE is only for UpdateAddon: use NONE or OVERWRITE".into(),
        ));
    }
    if input.namespace_config.as_ref().and_then(|c| c.namespace.as_deref()).is_some_and(|n| n != "kube-system") {
        return Err(refuse(format!("The add-on {} is installed in the namespace kube-system only", input.addon_name)));
    }
    let version = version(tx, &cluster, &input.addon_name, input.addon_version.as_deref()).map_err(refuse)?;
    check(tx, &input.addon_name, input.configuration_values.as_deref(), input.service_account_role_arn.as_deref())
        .map_err(refuse)?;
    let tags: Tags = input.tags.clone().unwrap_or_default().into_iter().collect();
    cluster::tags::check_new(&tags).map_err(refuse)?;
    let resource = format!("addon/{}/{}/{}", cluster.name, input.addon_name, uuid(tx));
    let spec = Spec {
        cluster: cluster.id.clone(),
        cluster_name: cluster.name.clone(),
        account: cluster.account.clone(),
        arn: Arn::new("eks", &cluster.region, &cluster.account, resource).to_string(),
        name: input.addon_name,
        version,
        configuration: input.configuration_values.filter(|text| !text.trim().is_empty()),
        role: input.service_account_role_arn,
        conflicts: Conflicts::from(input.resolve_conflicts),
        tags,
        preserve: false,
        change: 1,
    };
    let now = tx.now();
    let status = Status { state: State::Creating, since: now, modified: now, unwell: None, issues: vec![] };
    let addon = Addon { spec, status, updates: vec![] };
    tx.create(key, Some(Cluster::key(&cluster.account, &cluster.name).any()), addon.clone());
    Ok(api::CreateAddonResponse { addon: Some(view::describe(&addon, now)) })
}

/// EKS DescribeAddon.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeAddonRequest,
) -> Result<api::DescribeAddonResponse, Fault> {
    let record = find(view, caller, &input.cluster_name, &input.addon_name)?;
    Ok(api::DescribeAddonResponse { addon: Some(view::describe(&record.body, record.created)) })
}

/// Whether what describe shows will change by itself: a waiter is held up for that.
pub fn is_passing(output: &api::DescribeAddonResponse) -> bool {
    use api::AddonStatus::{Creating, Deleting, Updating};
    let status = output.addon.as_ref().and_then(|addon| addon.status);
    matches!(status, Some(Creating | Deleting | Updating))
}

/// EKS ListAddons: names, sorted; the self-managed are not among them.
pub fn list(view: &View, caller: &Caller, input: api::ListAddonsRequest) -> Result<api::ListAddonsResponse, Fault> {
    let cluster = cluster::ops::find(view, caller, &input.cluster_name)?.body.spec;
    let prefix = format!("{}/", cluster.id);
    let names = |after: Option<String>| {
        let all = view.names_after::<Addon>(&prefix, &after.unwrap_or_default());
        all.map(|name| (name[prefix.len()..].to_owned(), name[prefix.len()..].to_owned()))
    };
    let limit = input.max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(100);
    let page = page::page_of(&format!("eks:ListAddons/{}", cluster.id), names, limit, input.next_token.as_deref());
    let page = page.map_err(|_| INVALID_PARAMETER_EXCEPTION.fault("The nextToken parameter is not valid."))?;
    Ok(api::ListAddonsResponse { addons: Some(page.items), next_token: page.next })
}

/// EKS UpdateAddon. What is left out stays as it is, but for how conflicts are resolved.
pub fn update(tx: &mut Tx, caller: &Caller, input: api::UpdateAddonRequest) -> Result<api::UpdateAddonResponse, Fault> {
    let cluster = active(tx, caller, &input.cluster_name)?;
    let mut record = find(tx, caller, &input.cluster_name, &input.addon_name)?;
    let refuse = |why: String| about(INVALID_PARAMETER_EXCEPTION.fault(why), &input.cluster_name, &input.addon_name);
    let addon = &mut record.body;
    if record.deleting.is_some() || matches!(addon.status.state, State::Creating | State::Updating) {
        let why = format!("Cannot update add-on {} because it is in status {:?}", input.addon_name, addon.status.state);
        return Err(about(RESOURCE_IN_USE_EXCEPTION.fault(why), &input.cluster_name, &input.addon_name));
    }
    if input.pod_identity_associations.as_ref().is_some_and(|all| !all.is_empty()) {
        return Err(refuse("podIdentityAssociations are not available in this region yet: leave them out".into()));
    }
    if let Some(asked) = input.addon_version.as_deref() {
        addon.spec.version = version(tx, &cluster, &input.addon_name, Some(asked)).map_err(refuse)?;
    }
    check(tx, &input.addon_name, input.configuration_values.as_deref(), input.service_account_role_arn.as_deref())
        .map_err(refuse)?;
    let params = [
        ("AddonVersion", input.addon_version.clone()),
        ("ServiceAccountRoleArn", input.service_account_role_arn.clone()),
        ("ResolveConflicts", input.resolve_conflicts.map(|mode| mode.as_str().to_owned())),
        ("ConfigurationValues", input.configuration_values.clone()),
    ];
    let params = params.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    if let Some(role) = input.service_account_role_arn {
        addon.spec.role = Some(role).filter(|role| !role.is_empty());
    }
    if let Some(text) = input.configuration_values {
        addon.spec.configuration = Some(text).filter(|text| !text.trim().is_empty());
    }
    addon.spec.conflicts = Conflicts::from(input.resolve_conflicts);
    addon.spec.change += 1;
    let now = tx.now();
    addon.status = Status { state: State::Updating, since: now, modified: now, unwell: None, issues: vec![] };
    let update = Update { id: uuid(tx), created: now, params, ended: None };
    addon.updates.push(update.clone());
    if addon.updates.len() > UPDATES_KEPT {
        addon.updates.remove(0);
    }
    tx.put(record);
    Ok(api::UpdateAddonResponse { update: Some(view::update(&update)) })
}

/// EKS DeleteAddon. With `preserve` its objects stay in the cluster, and are their users' own from then on.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteAddonRequest) -> Result<api::DeleteAddonResponse, Fault> {
    let mut record = find(tx, caller, &input.cluster_name, &input.addon_name)?;
    if record.deleting.is_some() {
        let why = format!("Addon {} is already being deleted", input.addon_name);
        return Err(about(INVALID_REQUEST_EXCEPTION.fault(why), &input.cluster_name, &input.addon_name));
    }
    record.body.spec.preserve = input.preserve.unwrap_or(false);
    record.body.status.state = State::Deleting;
    record.body.status.since = tx.now();
    let (key, shown) = (record.key.clone(), view::describe(&record.body, record.created));
    tx.put(record);
    tx.delete(&key);
    Ok(api::DeleteAddonResponse { addon: Some(shown) })
}

/// An update of an add-on by its id, as DescribeUpdate shows it.
pub fn find_update(read: &impl Read, cluster: &cluster::Spec, addon: &str, id: &str) -> Option<api::Update> {
    let record = read.get(&Addon::key(&cluster.id, addon))?;
    record.body.updates.iter().find(|update| update.id == id).map(view::update)
}

/// The ids of an add-on's updates, as ListUpdates lists them.
pub fn update_ids(read: &impl Read, caller: &Caller, cluster: &str, addon: &str) -> Result<Vec<String>, Fault> {
    let record = find(read, caller, cluster, addon)?;
    Ok(record.body.updates.into_iter().map(|update| update.id).collect())
}

/// The version to install: the cluster's default, or the one that is named if there is such a one for the cluster.
fn version(read: &impl Read, cluster: &cluster::Spec, name: &str, asked: Option<&str>) -> Result<String, String> {
    let offered = catalogue::version(&Settings::of(read), name, &cluster.version);
    let offered = offered
        .ok_or_else(|| format!("Addon {name} specified is not supported in {} kubernetes version", cluster.version))?;
    match asked {
        Some(asked) if asked != offered && asked != "latest" => Err(unsupported(asked)),
        _ => Ok(offered),
    }
}

fn check(read: &impl Read, name: &str, configuration: Option<&str>, role: Option<&str>) -> Result<(), String> {
    configuration::read(name, configuration.unwrap_or_default())?;
    let Some(role) = role.filter(|role| !role.is_empty()) else { return Ok(()) };
    let parsed: Option<Arn> = role.parse().ok();
    let found = parsed.and_then(|arn| read.get(&Role::key(&arn.account, arn.name())).filter(|r| r.body.arn() == arn));
    found.map(drop).ok_or_else(|| format!("Role with arn: {role}, does not exist."))
}

/// The caller's cluster of that name, if it is ACTIVE.
fn active(read: &impl Read, caller: &Caller, name: &str) -> Result<cluster::Spec, Fault> {
    let record = cluster::ops::find(read, caller, name)?;
    match record.body.status.state {
        cluster::State::Active => Ok(record.body.spec),
        other => {
            let why = format!("Cluster '{name}' is in status {other:?} and not ACTIVE");
            Err(INVALID_REQUEST_EXCEPTION.fault(why).with("clusterName", name))
        }
    }
}

fn find(read: &impl Read, caller: &Caller, cluster: &str, name: &str) -> Result<Record<Addon>, Fault> {
    let id = cluster::ops::find(read, caller, cluster)?.body.spec.id;
    read.get(&Addon::key(&id, name)).ok_or_else(|| {
        let why = format!("No addon: {name} found in cluster: {cluster}");
        about(RESOURCE_NOT_FOUND_EXCEPTION.fault(why), cluster, name)
    })
}

fn about(fault: Fault, cluster: &str, addon: &str) -> Fault {
    fault.with("clusterName", cluster).with("addonName", addon)
}
