//! The node group operations.

use super::check::{self, invalid};
use super::model::{Issue, Nodegroup, Phase, Release, Repair, Rollout, Share, Spec, State, Status, Underway};
use super::view;
use crate::autoscaling::auto_scaling_group;
use crate::eks::cluster::{self, Cluster};
use crate::eks::update::{self, Subject};
use crate::eks::uuid;
use crate::settings::Settings;
use roadstead_kernel::{Caller, page};
use roadstead_shapes::eks as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_types::Tags;
use roadstead_wire::fault::Fault;
use std::collections::{BTreeMap, BTreeSet};

/// EKS quota "managed node groups per cluster".
const GROUPS_MAX: usize = 30;

/// EKS CreateNodegroup.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateNodegroupRequest,
) -> Result<api::CreateNodegroupResponse, Fault> {
    let account = &caller.identity.account;
    let cluster = cluster::ops::find(tx, caller, &input.cluster_name)?.body;
    let name = input.nodegroup_name.clone();
    check::name(&name)?;
    let key = Nodegroup::key(account, &input.cluster_name, &name);
    if tx.shared(&key).is_some() {
        let why = format!("NodeGroup already exists with name {name} and cluster name {}", input.cluster_name);
        return Err(named(api::RESOURCE_IN_USE_EXCEPTION.fault(why), &input.cluster_name, &name));
    }
    check::active(&cluster)?;
    if of_cluster(tx, account, &input.cluster_name).len() >= GROUPS_MAX {
        let why = format!("A cluster may have no more than {GROUPS_MAX} node groups");
        return Err(named(api::RESOURCE_LIMIT_EXCEEDED_EXCEPTION.fault(why), &input.cluster_name, &name));
    }
    let tags: Tags = input.tags.clone().unwrap_or_default().into_iter().collect();
    cluster::tags::check_new(&tags).map_err(invalid)?;
    let spec = spec(tx, caller, &cluster, input)?;
    let now = tx.now();
    let status = Status {
        state: State::Creating,
        since: now,
        modified: now,
        issues: vec![],
        template: None,
        founded: false,
        update: None,
        repairing: BTreeSet::new(),
    };
    let owner = Cluster::key(account, &spec.cluster).any();
    let record = tx.create(key, Some(owner), Nodegroup { spec, tags, status });
    Ok(api::CreateNodegroupResponse { nodegroup: Some(view::describe(tx, &record)) })
}

/// What is asked for, checked.
fn spec(tx: &mut Tx, caller: &Caller, cluster: &Cluster, input: api::CreateNodegroupRequest) -> Result<Spec, Fault> {
    let account = &caller.identity.account;
    check::unsupported(&input)?;
    check::role(tx, account, &input.node_role)?;
    let subnets = check::subnets(tx, cluster, &input.subnets)?;
    let types = check::instance_types(input.instance_types)?;
    let scaling = check::scaling(input.scaling_config, None)?;
    let update = check::update_config(input.update_config, None)?;
    let repair = check::repair(input.node_repair_config, Repair::default())?;
    let labels: BTreeMap<String, String> = input.labels.unwrap_or_default();
    check::labels(&labels)?;
    let taints = check::taints(input.taints.unwrap_or_default())?;
    let disk_gib = match input.disk_size {
        None => None,
        Some(gib @ 1..=16384) => Some(gib.unsigned_abs()),
        Some(gib) => return Err(invalid(format!("diskSize {gib} is not valid: it must be between 1 and 16384 GiB"))),
    };
    if input.version.as_ref().is_some_and(|version| *version != cluster.spec.version) {
        let asked = input.version.unwrap_or_default();
        return Err(invalid(format!(
            "Nodegroup Kubernetes version {asked} must be equal to Cluster Kubernetes version {}",
            cluster.spec.version
        )));
    }
    let mentions = input.ami_type.is_some() || input.version.is_some() || input.release_version.is_some();
    let (template, data) = match input.launch_template {
        None => (None, None),
        Some(asked) => {
            let (template, data) = check::template(tx, account, asked, None)?;
            let beside = check::Beside { disk: disk_gib.is_some(), types: &types, release: mentions };
            check::template_data(tx, &data, &beside)?;
            (Some(template), Some(data))
        }
    };
    let own_image = data.as_ref().and_then(|data| data.image.clone());
    let release = match &own_image {
        Some(image) => Release {
            version: cluster.spec.version.clone(),
            release_version: image.clone(),
            image: image.clone(),
            template,
        },
        None => {
            let settings = Settings::of(tx);
            let asked = input.release_version.as_deref();
            let ami = check::release(&settings, cluster, &cluster.spec.version, asked)?;
            let version = cluster.spec.version.clone();
            Release { version, release_version: ami.release_version, image: ami.id, template }
        }
    };
    let ami_type = match (own_image, input.ami_type) {
        (Some(_), _) => api::AMITypes::Custom,
        (None, None) | (None, Some(check::AMI_TYPE)) => check::AMI_TYPE,
        (None, Some(api::AMITypes::Custom)) => {
            return Err(invalid("amiType CUSTOM needs a launch template with an image id"));
        }
        (None, Some(other)) => {
            let why = format!("amiType {other} is not available in this region: use {}", check::AMI_TYPE);
            return Err(invalid(why));
        }
    };
    let named_by_template = data.as_ref().is_some_and(|data| data.instance_type.is_some());
    let instance_types = match types.is_empty() && !named_by_template {
        true => vec![check::INSTANCE_TYPE.to_owned()],
        false => types,
    };
    let disk_gib = if data.is_some() { None } else { Some(disk_gib.unwrap_or(super::template::DISK_GIB)) };
    Ok(Spec {
        name: input.nodegroup_name,
        id: uuid(tx),
        cluster: input.cluster_name,
        account: account.clone(),
        region: caller.region.clone(),
        node_role: input.node_role,
        subnets,
        scaling,
        instance_types,
        ami_type: ami_type.as_str().into(),
        capacity_type: input.capacity_type.unwrap_or(api::CapacityTypes::OnDemand).as_str().into(),
        disk_gib,
        labels,
        taints,
        update,
        repair,
        release,
    })
}

/// EKS DescribeNodegroup.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeNodegroupRequest,
) -> Result<api::DescribeNodegroupResponse, Fault> {
    let record = find(view, caller, &input.cluster_name, &input.nodegroup_name)?;
    Ok(api::DescribeNodegroupResponse { nodegroup: Some(view::describe(view, &record)) })
}

/// Whether what describe shows will change by itself: a waiter is held up for that.
pub fn is_passing(output: &api::DescribeNodegroupResponse) -> bool {
    let status = output.nodegroup.as_ref().and_then(|group| group.status);
    matches!(
        status,
        Some(api::NodegroupStatus::Creating | api::NodegroupStatus::Deleting | api::NodegroupStatus::Updating)
    )
}

/// EKS ListNodegroups: names, sorted.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListNodegroupsRequest,
) -> Result<api::ListNodegroupsResponse, Fault> {
    cluster::ops::find(view, caller, &input.cluster_name)?;
    let prefix = format!("{}/{}/", caller.identity.account, input.cluster_name);
    let names = |after: Option<String>| {
        let all = view.names_after::<Nodegroup>(&prefix, &after.unwrap_or_default());
        all.map(|name| (name[prefix.len()..].to_owned(), name[prefix.len()..].to_owned()))
    };
    let limit = input.max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(100);
    let page = page::page_of(&format!("eks:ListNodegroups/{prefix}"), names, limit, input.next_token.as_deref());
    let page = page.map_err(|_| invalid("The nextToken parameter is not valid."))?;
    Ok(api::ListNodegroupsResponse { nodegroups: Some(page.items), next_token: page.next })
}

/// EKS UpdateNodegroupConfig: what is left out stays.
pub fn update_config(
    tx: &mut Tx,
    caller: &Caller,
    input: api::UpdateNodegroupConfigRequest,
) -> Result<api::UpdateNodegroupConfigResponse, Fault> {
    let mut record = idle(tx, caller, &input.cluster_name, &input.nodegroup_name)?;
    if check::warms(input.warm_pool_config.as_ref()) {
        return Err(invalid("warmPoolConfig is not available in this region yet: leave it out"));
    }
    let mut params = vec![];
    let mut say = |name: &str, value: String| params.push((name.to_owned(), value));
    let sizes = match input.scaling_config {
        None => None,
        Some(asked) => {
            let sizes = check::scaling(Some(asked.clone()), Some(view::sizes(tx, &record.body)))?;
            asked.min_size.into_iter().for_each(|size| say("MinSize", size.to_string()));
            asked.max_size.into_iter().for_each(|size| say("MaxSize", size.to_string()));
            asked.desired_size.into_iter().for_each(|size| say("DesiredSize", size.to_string()));
            Some(sizes)
        }
    };
    let spec = &mut record.body.spec;
    if let Some(change) = input.labels {
        let (add, remove) = (change.add_or_update_labels.unwrap_or_default(), change.remove_labels.unwrap_or_default());
        check::labels(&add)?;
        if let Some(twice) = remove.iter().find(|key| add.contains_key(*key)) {
            return Err(invalid(format!("The label {twice} is both to be added and to be removed")));
        }
        say("LabelsToAdd", serde_json::json!(add).to_string());
        say("LabelsToRemove", serde_json::json!(remove).to_string());
        spec.labels.retain(|key, _| !remove.contains(key));
        spec.labels.extend(add);
    }
    if let Some(change) = input.taints {
        let add = check::taints(change.add_or_update_taints.unwrap_or_default())?;
        let remove = check::taints(change.remove_taints.unwrap_or_default())?;
        let same = |a: &crate::eks::node::Taint, b: &crate::eks::node::Taint| a.key == b.key && a.effect == b.effect;
        say("TaintsToAdd", serde_json::json!(add).to_string());
        say("TaintsToRemove", serde_json::json!(remove).to_string());
        spec.taints.retain(|taint| !remove.iter().chain(&add).any(|other| same(taint, other)));
        spec.taints.extend(add);
        check::taints(spec.taints.iter().map(view::taint).collect())?;
    }
    if let Some(asked) = input.update_config {
        spec.update = check::update_config(Some(asked), Some(spec.update))?;
        match spec.update.max_unavailable {
            Share::Count(number) => say("MaxUnavailable", number.to_string()),
            Share::Percent(number) => say("MaxUnavailablePercentage", number.to_string()),
        }
        say("UpdateStrategy", if spec.update.minimal { "MINIMAL" } else { "DEFAULT" }.into());
    }
    if let Some(asked) = input.node_repair_config {
        spec.repair = check::repair(Some(asked), spec.repair.clone())?;
        say("NodeRepairEnabled", spec.repair.enabled.to_string());
    }
    if params.is_empty() {
        return Err(invalid("No changes needed for the node group: name what is to be changed"));
    }
    if let Some(sizes) = sizes {
        spec.scaling = sizes;
        auto_scaling_group::resize(tx, &spec.account, &spec.group_name(), sizes.min, sizes.max, sizes.desired);
    }
    let update = begin(tx, record, "ConfigUpdate", params, None);
    Ok(api::UpdateNodegroupConfigResponse { update: Some(update) })
}

/// EKS UpdateNodegroupVersion: another image, or another version of the launch template, on all nodes.
pub fn update_version(
    tx: &mut Tx,
    caller: &Caller,
    input: api::UpdateNodegroupVersionRequest,
) -> Result<api::UpdateNodegroupVersionResponse, Fault> {
    let record = idle(tx, caller, &input.cluster_name, &input.nodegroup_name)?;
    let cluster = cluster::ops::find(tx, caller, &input.cluster_name)?.body;
    check::active(&cluster)?;
    let spec = &record.body.spec;
    let mut params = vec![];
    let mut target = spec.release.clone();
    if let Some(asked) = input.launch_template {
        if spec.release.template.is_none() {
            return Err(invalid(
                "The node group was created without a launch template, and can't be given one: create another node group",
            ));
        }
        let (template, data) = check::template(tx, &spec.account, asked, spec.release.template.as_ref())?;
        let named = input.version.is_some() || input.release_version.is_some();
        check::template_data(tx, &data, &check::Beside { disk: false, types: &spec.instance_types, release: named })?;
        let own = spec.ami_type == api::AMITypes::Custom.as_str();
        match (data.image, own) {
            (Some(image), true) => {
                target.release_version.clone_from(&image);
                target.image = image;
            }
            (None, false) => {}
            (Some(_), false) | (None, true) => {
                return Err(invalid(
                    "A node group keeps its sort of image: one of EKS, or one that its launch template names",
                ));
            }
        }
        params.push(("LaunchTemplateName".to_owned(), template.name.clone()));
        params.push(("LaunchTemplateVersion".to_owned(), template.version.to_string()));
        target.template = Some(template);
    }
    if spec.ami_type != api::AMITypes::Custom.as_str() {
        let version = input.version.as_deref().unwrap_or(&spec.release.version);
        let settings = Settings::of(tx);
        // A new version of the launch template alone brings no other image.
        let same = !params.is_empty() && input.version.is_none() && input.release_version.is_none();
        if !same {
            let ami = check::release(&settings, &cluster, version, input.release_version.as_deref())?;
            target = Release { version: version.into(), release_version: ami.release_version, image: ami.id, ..target };
        }
    } else if input.version.is_some() || input.release_version.is_some() {
        return Err(invalid(
            "You cannot specify a version or a releaseVersion for a node group with an image of your own: name a version of its launch template",
        ));
    }
    params.insert(0, ("Version".to_owned(), target.version.clone()));
    params.insert(1, ("ReleaseVersion".to_owned(), target.release_version.clone()));
    let rollout = Rollout {
        target,
        force: input.force == Some(true),
        phase: Phase::SetUp,
        progress: tx.now(),
        to: None,
        max_unavailable: 1,
        draining: BTreeMap::new(),
        counts: (0, 0),
        error: None,
    };
    let update = begin(tx, record, "VersionUpdate", params, Some(rollout));
    Ok(api::UpdateNodegroupVersionResponse { update: Some(update) })
}

/// UPDATING is durable before the answer.
fn begin(
    tx: &mut Tx,
    mut record: Record<Nodegroup>,
    kind: &str,
    params: Vec<(String, String)>,
    rollout: Option<Rollout>,
) -> api::Update {
    let spec = &record.body.spec;
    let asked = update::Asked {
        account: spec.account.clone(),
        cluster: spec.cluster.clone(),
        subject: Subject::Nodegroup(spec.name.clone()),
        kind: kind.into(),
        params,
    };
    let begun = update::begin(tx, &record.key.any(), asked);
    let now = tx.now();
    let status = &mut record.body.status;
    (status.state, status.since, status.modified) = (State::Updating, now, now);
    status.update = Some(Underway { id: begun.id.clone(), rollout });
    tx.put(record);
    update::ops::shown(&tx.get(&begun.key()).expect("it has just begun"))
}

/// EKS DeleteNodegroup. DELETING is durable before the answer; asked for twice it is answered again.
pub fn delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteNodegroupRequest,
) -> Result<api::DeleteNodegroupResponse, Fault> {
    let mut record = find(tx, caller, &input.cluster_name, &input.nodegroup_name)?;
    if record.deleting.is_none() {
        let now = tx.now();
        let spec = record.body.spec.clone();
        record.body.spec.scaling = view::sizes(tx, &record.body);
        let status = &mut record.body.status;
        (status.state, status.since, status.modified) = (State::Deleting, now, now);
        if let Some(underway) = status.update.take() {
            let why = Issue::new("Unknown", "The node group was deleted while it was being updated.", &[spec.name]);
            let errors = vec![super::rollout::error(&why)];
            update::end(tx, &spec.account, &spec.cluster, &underway.id, update::State::Failed, errors);
        }
        tx.put(record.clone());
        tx.delete(&record.key);
    }
    Ok(api::DeleteNodegroupResponse { nodegroup: Some(view::describe(tx, &record)) })
}

/// The node groups of a cluster.
pub fn of_cluster(read: &impl Read, account: &str, cluster: &str) -> Vec<Record<Nodegroup>> {
    read.list(Index::<Nodegroup>::prefix(format!("{account}/{cluster}/")))
}

/// The caller's node group of that name.
pub fn find(read: &impl Read, caller: &Caller, cluster: &str, name: &str) -> Result<Record<Nodegroup>, Fault> {
    cluster::ops::find(read, caller, cluster)?;
    let found = read.get(&Nodegroup::key(&caller.identity.account, cluster, name));
    let missing = || api::RESOURCE_NOT_FOUND_EXCEPTION.fault(format!("No node group found for name: {name}."));
    found.ok_or_else(|| named(missing(), cluster, name))
}

/// The same, if it can be changed now.
fn idle(tx: &Tx, caller: &Caller, cluster: &str, name: &str) -> Result<Record<Nodegroup>, Fault> {
    let record = find(tx, caller, cluster, name)?;
    let in_use = |why: String| Err(named(api::RESOURCE_IN_USE_EXCEPTION.fault(why), cluster, name));
    if let Some(underway) = &record.body.status.update {
        return in_use(format!("Nodegroup {name} currently has update {} in progress", underway.id));
    }
    match record.body.status.state {
        State::Active | State::Degraded => Ok(record),
        State::Creating | State::Updating | State::Deleting | State::CreateFailed => {
            in_use(format!("Nodegroup cannot be updated as it is currently not in Active State: {name}"))
        }
    }
}

fn named(fault: Fault, cluster: &str, name: &str) -> Fault {
    fault.with("clusterName", cluster).with("nodegroupName", name)
}
