//! The access entry operations.

use super::model::{AccessEntry, EC2_LINUX, STANDARD};
use crate::eks::cluster::{self, Cluster};
use crate::iam::role::Role;
use crate::iam::user::User;
use roadstead_kernel::{Caller, page};
use roadstead_shapes::eks as api;
use roadstead_shapes::eks::{
    INVALID_PARAMETER_EXCEPTION, INVALID_REQUEST_EXCEPTION, RESOURCE_IN_USE_EXCEPTION, RESOURCE_NOT_FOUND_EXCEPTION,
};
use roadstead_store::{Read, Record, Tx, View};
use roadstead_types::{Arn, Millis, Tags};
use roadstead_wire::fault::Fault;

/// What neither user names nor groups begin with (EKS user guide, "Create access entries").
const RESERVED: [&str; 5] = ["system:", "eks:", "aws:", "amazon:", "iam:"];
/// Types of EKS whose nodes this region does not have.
const UNAVAILABLE: [&str; 5] = ["EC2_WINDOWS", "FARGATE_LINUX", "EC2", "HYBRID_LINUX", "HYPERPOD_LINUX"];

fn invalid(why: impl Into<String>) -> Fault {
    INVALID_PARAMETER_EXCEPTION.fault(why)
}

/// EKS CreateAccessEntry.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateAccessEntryRequest,
) -> Result<api::CreateAccessEntryResponse, Fault> {
    let cluster = with_entries(tx, caller, &input.cluster_name)?;
    let kind = input.r#type.as_deref().unwrap_or(STANDARD);
    check_kind(kind)?;
    check_principal(tx, &cluster, kind, &input.principal_arn)?;
    let key = AccessEntry::key(&cluster.id, &input.principal_arn);
    if tx.get(&key).is_some() {
        let why = "The specified access entry resource is already in use on this cluster.";
        return Err(RESOURCE_IN_USE_EXCEPTION.fault(why).with("clusterName", input.cluster_name));
    }
    let tags: Tags = input.tags.unwrap_or_default().into_iter().collect();
    cluster::tags::check_new(&tags).map_err(invalid)?;
    check_names(kind, input.username.as_deref(), input.kubernetes_groups.as_deref())?;
    let mut entry = AccessEntry::new(tx, &cluster, &input.principal_arn, kind);
    if let Some(username) = input.username.filter(|name| !name.is_empty()) {
        entry.username = username;
    }
    entry.groups = input.kubernetes_groups.unwrap_or_default();
    entry.asked_for = true;
    entry.tags = tags;
    let shown = show(&entry, tx.now());
    tx.create(key, Some(Cluster::key(&cluster.account, &cluster.name).any()), entry);
    Ok(api::CreateAccessEntryResponse { access_entry: Some(shown) })
}

/// EKS DescribeAccessEntry.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeAccessEntryRequest,
) -> Result<api::DescribeAccessEntryResponse, Fault> {
    let record = find(view, caller, &input.cluster_name, &input.principal_arn)?;
    Ok(api::DescribeAccessEntryResponse { access_entry: Some(show(&record.body, record.created)) })
}

/// EKS ListAccessEntries: principals, sorted.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListAccessEntriesRequest,
) -> Result<api::ListAccessEntriesResponse, Fault> {
    let cluster = with_entries(view, caller, &input.cluster_name)?;
    let prefix = format!("{}/", cluster.id);
    // No policy can be associated in this region yet, so nothing has the one that is asked for.
    let any = input.associated_policy_arn.is_none();
    let names = |after: Option<String>| {
        let all = view.names_after::<AccessEntry>(&prefix, &after.unwrap_or_default()).filter(|_| any);
        all.map(|name| (name[prefix.len()..].to_owned(), name[prefix.len()..].to_owned()))
    };
    let limit = input.max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(100);
    let page =
        page::page_of(&format!("eks:ListAccessEntries/{}", cluster.id), names, limit, input.next_token.as_deref());
    let page = page.map_err(|_| invalid("The nextToken parameter is not valid."))?;
    Ok(api::ListAccessEntriesResponse { access_entries: Some(page.items), next_token: page.next })
}

/// EKS UpdateAccessEntry. Groups that are given take the place of all that were.
pub fn update(
    tx: &mut Tx,
    caller: &Caller,
    input: api::UpdateAccessEntryRequest,
) -> Result<api::UpdateAccessEntryResponse, Fault> {
    let mut record = find(tx, caller, &input.cluster_name, &input.principal_arn)?;
    check_names(&record.body.kind, input.username.as_deref(), input.kubernetes_groups.as_deref())?;
    if let Some(username) = input.username.filter(|name| !name.is_empty()) {
        record.body.username = username;
    }
    if let Some(groups) = input.kubernetes_groups {
        record.body.groups = groups;
    }
    record.body.modified = tx.now();
    let shown = show(&record.body, record.created);
    tx.put(record);
    Ok(api::UpdateAccessEntryResponse { access_entry: Some(shown) })
}

/// EKS DeleteAccessEntry.
pub fn delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteAccessEntryRequest,
) -> Result<api::DeleteAccessEntryResponse, Fault> {
    let record = find(tx, caller, &input.cluster_name, &input.principal_arn)?;
    tx.remove(&record.key);
    Ok(api::DeleteAccessEntryResponse {})
}

/// The caller's cluster of that name, if it has access entries at all.
fn with_entries(read: &impl Read, caller: &Caller, name: &str) -> Result<cluster::Spec, Fault> {
    let cluster = cluster::ops::find(read, caller, name)?.body.spec;
    if cluster.authentication_mode == "CONFIG_MAP" {
        let why = "The cluster's authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation.";
        return Err(INVALID_REQUEST_EXCEPTION.fault(why).with("clusterName", name));
    }
    Ok(cluster)
}

fn find(read: &impl Read, caller: &Caller, cluster: &str, principal: &str) -> Result<Record<AccessEntry>, Fault> {
    let id = with_entries(read, caller, cluster)?.id;
    read.get(&AccessEntry::key(&id, principal)).ok_or_else(|| {
        let why = format!("The specified principalArn could not be found. You can view your available access entries with 'ListAccessEntries'. principalArn: {principal}");
        RESOURCE_NOT_FOUND_EXCEPTION.fault(why).with("clusterName", cluster)
    })
}

fn check_kind(kind: &str) -> Result<(), Fault> {
    match kind {
        STANDARD | EC2_LINUX => Ok(()),
        other if UNAVAILABLE.contains(&other) => {
            Err(invalid(format!("The type {other} is not available in this region yet: use STANDARD or EC2_LINUX")))
        }
        other => Err(invalid(format!("The specified type '{other}' is invalid"))),
    }
}

/// A user or role; of another account only for people. Terraform retries on exactly this text, since IAM's answers come late.
fn check_principal(read: &impl Read, cluster: &cluster::Spec, kind: &str, principal: &str) -> Result<(), Fault> {
    let bad = || invalid("The specified principalArn is invalid: invalid principal");
    let arn: Arn = principal.parse().map_err(|_| bad())?;
    let is_role = arn.resource.starts_with("role/");
    if arn.service != "iam" || !(is_role || arn.resource.starts_with("user/")) {
        return Err(bad());
    }
    if kind != STANDARD && !(is_role && arn.account == cluster.account) {
        return Err(invalid(format!("The type {kind} is for IAM roles of the cluster's own account only")));
    }
    let there = match (arn.account == cluster.account, is_role) {
        (false, _) => true,
        (true, true) => read.get(&Role::key(&arn.account, arn.name())).is_some_and(|role| role.body.arn() == arn),
        (true, false) => read.get(&User::key(&arn.account, arn.name())).is_some_and(|user| user.body.arn() == arn),
    };
    if there { Ok(()) } else { Err(bad()) }
}

fn check_names(kind: &str, username: Option<&str>, groups: Option<&[String]>) -> Result<(), Fault> {
    let groups = groups.unwrap_or_default();
    let username = username.unwrap_or_default();
    if kind != STANDARD && !(groups.is_empty() && username.is_empty()) {
        return Err(invalid(format!("kubernetesGroups and username cannot be specified for the type {kind}")));
    }
    let reserved = |name: &str| RESERVED.into_iter().find(|prefix| name.starts_with(prefix));
    if let Some(prefix) = reserved(username) {
        return Err(invalid(format!("The specified username is invalid: it cannot begin with {prefix}")));
    }
    if let Some((group, prefix)) = groups.iter().find_map(|group| Some((group, reserved(group)?))) {
        return Err(invalid(format!("The kubernetes group name {group} is invalid, it cannot start with {prefix}")));
    }
    // What a session calls itself is its user's choice: behind a colon it can't pass for somebody else.
    match username.find("{{SessionName") {
        Some(at) if !username[..at].contains(':') => {
            Err(invalid("The specified username is invalid: {{SessionName}} must have a colon before it"))
        }
        _ => Ok(()),
    }
}

fn show(entry: &AccessEntry, created: Millis) -> api::AccessEntry {
    api::AccessEntry {
        cluster_name: Some(entry.cluster_name.clone()),
        principal_arn: Some(entry.principal.clone()),
        kubernetes_groups: Some(entry.groups.clone()),
        access_entry_arn: Some(entry.arn.clone()),
        created_at: Some(created),
        modified_at: Some(entry.modified),
        tags: Some(entry.tags.clone().into_iter().collect()),
        username: Some(entry.username.clone()),
        r#type: Some(entry.kind.clone()),
    }
}
