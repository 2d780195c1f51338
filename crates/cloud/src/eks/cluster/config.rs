//! UpdateClusterConfig: one kind of change at a time. Each is an update, which the planner ends once the change is so.

use super::model::{Before, Cluster, Spec, State, Underway, VpcConfig};
use super::{check, ops, relocate, upgrade};
use crate::eks::update::{self, Asked, Subject};
use crate::elb::load_balancer::LoadBalancer;
use crate::fabric::{self, Want};
use roadstead_hostspec as hostspec;
use roadstead_kernel::Caller;
use roadstead_shapes::eks as api;
use roadstead_shapes::eks::{INVALID_PARAMETER_EXCEPTION, INVALID_REQUEST_EXCEPTION, RESOURCE_IN_USE_EXCEPTION};
use roadstead_store::{Key, Read as _, Record, Tx};
use roadstead_types::{Cidr, Millis};
use roadstead_wire::fault::Fault;
use std::collections::BTreeSet;

/// An update that is not done after this has failed, and what it changed is as before.
const LIMIT: Millis = Millis::mins(15);
/// Modes of authentication, in the order in which a cluster may go through them.
const MODES: [&str; 3] = ["CONFIG_MAP", "API_AND_CONFIG_MAP", "API"];

fn invalid(why: impl Into<String>) -> Fault {
    INVALID_PARAMETER_EXCEPTION.fault(why)
}

/// EKS UpdateClusterConfig.
pub fn update(
    tx: &mut Tx,
    caller: &Caller,
    input: api::UpdateClusterConfigRequest,
) -> Result<api::UpdateClusterConfigResponse, Fault> {
    let mut record = ops::find(tx, caller, &input.name)?;
    let change = Change::asked(input)?;
    idle(&record.body, change.kind())?;
    if let Change::Network(asked) = &change {
        allowed(tx, &record.body, asked)?;
    }
    let before = record.body.spec.vpc.clone();
    let reachable = record.body.placement.as_ref().is_some_and(|placement| placement.public_address.is_some());
    let params = change.apply(&mut record.body.spec, reachable)?;
    let before = match &change {
        Change::Endpoint(_) => Some(Before::Endpoint(before)),
        Change::Network(_) => relocate::begin(tx, &mut record, before)?.map(|stand| Before::Network(Box::new(stand))),
        Change::Logging(_) | Change::AuthenticationMode(_) | Change::SupportType(_) | Change::DeletionProtection(_) => {
            None
        }
    };
    let shown = begin(tx, record, change.kind(), params, before);
    Ok(api::UpdateClusterConfigResponse { update: Some(shown) })
}

/// Begins an update of a cluster that is as it is to be already; `before`: how it was, if that may have to come back.
pub fn begin(
    tx: &mut Tx,
    mut record: Record<Cluster>,
    kind: &str,
    params: Params,
    before: Option<Before>,
) -> api::Update {
    let asked = Asked {
        account: record.body.spec.account.clone(),
        cluster: record.body.spec.name.clone(),
        subject: Subject::Cluster,
        kind: kind.into(),
        params: params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
    };
    let begun = update::begin(tx, &record.key.any(), asked);
    record.body.status.update = Some(Underway { id: begun.id.clone(), since: tx.now(), before, trial: None });
    tx.put(record);
    update::ops::shown(&tx.get(&begun.key()).expect("it has just begun"))
}

/// Fails unless the cluster is ACTIVE and nothing else is being changed.
pub fn idle(cluster: &Cluster, kind: &str) -> Result<(), Fault> {
    let name = cluster.spec.name.as_str();
    if let Some(underway) = &cluster.status.update {
        let why = format!("Cannot {kind} because cluster {name} currently has update {} in progress", underway.id);
        return Err(RESOURCE_IN_USE_EXCEPTION.fault(why).with("clusterName", name));
    }
    match cluster.status.state {
        State::Active => Ok(()),
        State::Creating | State::Deleting | State::Failed => {
            let why = format!("Cluster '{name}' is not in ACTIVE status");
            Err(INVALID_REQUEST_EXCEPTION.fault(why).with("clusterName", name))
        }
    }
}

/// Whether a cluster may have these subnets and security groups.
fn allowed(tx: &Tx, cluster: &Cluster, asked: &Network) -> Result<(), Fault> {
    let spec = &cluster.spec;
    if cluster.placement.as_ref().is_some_and(|placement| !placement.leaving.is_empty()) {
        // After one that failed, until the host is there again.
        let why = format!("Cluster {} still has interfaces of an update that failed: try again later", spec.name);
        return Err(RESOURCE_IN_USE_EXCEPTION.fault(why).with("clusterName", spec.name.as_str()));
    }
    if let Some(subnets) = &asked.subnets {
        check::other_subnets(tx, spec, subnets)?;
    }
    match &asked.groups {
        Some(groups) => check::security_groups(tx, &spec.account, &spec.vpc.vpc, groups),
        None => Ok(()),
    }
}

/// What is to be changed.
enum Change {
    Endpoint(api::VpcConfigRequest),
    Network(Network),
    Logging(api::Logging),
    AuthenticationMode(String),
    SupportType(String),
    DeletionProtection(bool),
}

/// Where the control plane is to stand in its user's network, and by which rules; what is left out stays.
struct Network {
    subnets: Option<Vec<String>>,
    groups: Option<Vec<String>>,
}

/// Names and values of an update's parameters.
pub type Params = Vec<(&'static str, String)>;

impl Change {
    /// The one change that is asked for.
    fn asked(input: api::UpdateClusterConfigRequest) -> Result<Change, Fault> {
        unsupported(&input)?;
        let mode = input.access_config.and_then(|config| config.authentication_mode);
        let support = input.upgrade_policy.and_then(|policy| policy.support_type);
        let mut network = input.resources_vpc_config;
        let place = network
            .as_mut()
            .map(|config| Network { subnets: config.subnet_ids.take(), groups: config.security_group_ids.take() });
        let place = place.filter(|place| place.subnets.is_some() || place.groups.is_some());
        let names_none = |config: &api::VpcConfigRequest| *config == api::VpcConfigRequest::default();
        let asked = [
            network.filter(|config| place.is_none() || !names_none(config)).map(Change::Endpoint),
            place.map(Change::Network),
            input.logging.map(Change::Logging),
            mode.map(|mode| Change::AuthenticationMode(mode.as_str().into())),
            support.map(|support| Change::SupportType(support.as_str().into())),
            input.deletion_protection.map(Change::DeletionProtection),
        ];
        let mut asked = asked.into_iter().flatten();
        match (asked.next(), asked.next()) {
            (Some(change), None) => Ok(change),
            (Some(_), Some(_)) => Err(invalid("Only one type of update can be allowed.")),
            (None, _) => Err(invalid("No changes needed for the cluster: name what is to be changed")),
        }
    }

    /// EKS's name for it.
    fn kind(&self) -> &'static str {
        match self {
            Change::Endpoint(_) => "EndpointAccessUpdate",
            Change::Network(_) => "VpcConfigUpdate",
            Change::Logging(_) => "LoggingUpdate",
            Change::AuthenticationMode(_) => "AccessConfigUpdate",
            Change::SupportType(_) => "UpgradePolicyUpdate",
            Change::DeletionProtection(_) => "DeletionProtectionUpdate",
        }
    }

    /// Makes the change, if it is one. `reachable`: the cluster has an address outside.
    fn apply(&self, spec: &mut Spec, reachable: bool) -> Result<Params, Fault> {
        match self {
            Change::Endpoint(asked) => endpoint(&mut spec.vpc, asked, reachable),
            Change::Network(asked) => network(&mut spec.vpc, asked),
            Change::Logging(asked) => logging(&mut spec.logging, asked),
            Change::AuthenticationMode(mode) => {
                let step = |mode: &str| MODES.iter().position(|known| *known == mode);
                let (from, to) = (step(&spec.authentication_mode), step(mode));
                if from.map(|from| from + 1) != to {
                    let from = &spec.authentication_mode;
                    return Err(invalid(format!("Unsupported authentication mode update from {from} to {mode}")));
                }
                spec.authentication_mode.clone_from(mode);
                Ok(vec![("AuthenticationMode", mode.clone())])
            }
            Change::SupportType(support) => {
                if spec.support_type == *support {
                    return Err(already(&format!("supportType: {support}")));
                }
                spec.support_type.clone_from(support);
                Ok(vec![("UpgradePolicy", serde_json::json!({ "supportType": support }).to_string())])
            }
            Change::DeletionProtection(protected) => {
                if spec.deletion_protection == *protected {
                    return Err(already(&format!("deletionProtection: {protected}")));
                }
                spec.deletion_protection = *protected;
                Ok(vec![("DeletionProtection", protected.to_string())])
            }
        }
    }
}

fn already(what: &str) -> Fault {
    invalid(format!("Cluster is already at the desired configuration with {what}"))
}

/// What this region does not change yet is refused, never ignored.
fn unsupported(input: &api::UpdateClusterConfigRequest) -> Result<(), Fault> {
    let network = input.resources_vpc_config.as_ref();
    let asked = [
        (network.is_some_and(|config| config.control_plane_egress_mode.is_some()), "controlPlaneEgressMode"),
        (input.zonal_shift_config.is_some(), "zonalShiftConfig"),
        (input.compute_config.is_some(), "computeConfig"),
        (input.kubernetes_network_config.is_some(), "kubernetesNetworkConfig"),
        (input.storage_config.is_some(), "storageConfig"),
        (input.remote_network_config.is_some(), "remoteNetworkConfig"),
        (input.control_plane_scaling_config.is_some(), "controlPlaneScalingConfig"),
        (input.kube_api_server_config.is_some(), "kubeApiServerConfig"),
        (input.kube_scheduler_config.is_some(), "kubeSchedulerConfig"),
        (input.kube_controller_manager_config.is_some(), "kubeControllerManagerConfig"),
    ];
    match asked.iter().find(|(asked, _)| *asked) {
        Some((_, member)) => Err(invalid(format!("{member} can't be changed in this region yet: leave it out"))),
        None => Ok(()),
    }
}

/// What is left out stays as it is, but for the CIDRs of an endpoint that was closed: it opens to everybody.
fn endpoint(vpc: &mut VpcConfig, asked: &api::VpcConfigRequest, reachable: bool) -> Result<Params, Fault> {
    let public = asked.endpoint_public_access.unwrap_or(vpc.endpoint_public);
    let kept = (public && vpc.endpoint_public).then(|| vpc.public_cidrs.iter().map(Cidr::to_string).collect());
    let whole = api::VpcConfigRequest {
        endpoint_public_access: Some(public),
        endpoint_private_access: Some(asked.endpoint_private_access.unwrap_or(vpc.endpoint_private)),
        public_access_cidrs: asked.public_access_cidrs.clone().or(kept),
        ..Default::default()
    };
    let wanted = check::endpoint(&whole)?;
    if wanted.public && !reachable {
        return Err(invalid(
            "Public endpoint access can't be enabled: the cluster was made without a public address. Make another one",
        ));
    }
    let set = |cidrs: &[Cidr]| cidrs.iter().map(Cidr::to_string).collect::<BTreeSet<_>>();
    let same = set(&wanted.public_cidrs) == set(&vpc.public_cidrs) || !wanted.public;
    if (wanted.public, wanted.private) == (vpc.endpoint_public, vpc.endpoint_private) && same {
        let cidrs: Vec<String> = vpc.public_cidrs.iter().map(Cidr::to_string).collect();
        let (private, public) = (vpc.endpoint_private, vpc.endpoint_public);
        return Err(already(&format!(
            "endpointPrivateAccess: {private} , endpointPublicAccess: {public}, and Public Endpoint Restrictions: [{}]",
            cidrs.join(", ")
        )));
    }
    vpc.endpoint_public = wanted.public;
    vpc.endpoint_private = wanted.private;
    vpc.public_cidrs = wanted.public_cidrs;
    let cidrs: Vec<String> = vpc.public_cidrs.iter().map(Cidr::to_string).collect();
    Ok(vec![
        ("EndpointPublicAccess", vpc.endpoint_public.to_string()),
        ("EndpointPrivateAccess", vpc.endpoint_private.to_string()),
        ("PublicAccessCidrs", serde_json::json!(cidrs).to_string()),
    ])
}

/// The subnets that the cluster stands in, and the groups of the user's that its interfaces have beside the cluster's own:
/// those that are named.
fn network(vpc: &mut VpcConfig, asked: &Network) -> Result<Params, Fault> {
    let set = |ids: &[String]| ids.iter().cloned().collect::<BTreeSet<_>>();
    let before = vpc.clone();
    let (mut params, mut named) = (vec![], vec![]);
    if let Some(subnets) = &asked.subnets {
        vpc.subnets.clear();
        for id in subnets {
            if !vpc.subnets.contains(id) {
                vpc.subnets.push(id.clone());
            }
        }
        named.push(format!("subnetIds: [{}]", subnets.join(", ")));
        params.push(("Subnets", serde_json::json!(vpc.subnets).to_string()));
    }
    if let Some(groups) = &asked.groups {
        vpc.security_groups.clone_from(groups);
        named.push(format!("securityGroupIds: [{}]", groups.join(", ")));
        params.push(("SecurityGroups", serde_json::json!(groups).to_string()));
    }
    let same = |of: fn(&VpcConfig) -> &[String]| set(of(vpc)) == set(of(&before));
    if same(|vpc| &vpc.subnets) && same(|vpc| &vpc.security_groups) {
        return Err(already(&named.join(", ")));
    }
    Ok(params)
}

/// Types that are named are enabled or disabled, the others stay.
fn logging(enabled: &mut Vec<String>, asked: &api::Logging) -> Result<Params, Fault> {
    let mut types: BTreeSet<String> = enabled.iter().cloned().collect();
    let setups = asked.cluster_logging.as_deref().unwrap_or_default();
    for setup in setups {
        let named = setup.types.iter().flatten().map(|kind| kind.as_str().to_owned());
        match setup.enabled {
            Some(true) => types.extend(named),
            Some(false) | None => {
                let off: BTreeSet<String> = named.collect();
                types.retain(|kind| !off.contains(kind));
            }
        }
    }
    let types: Vec<String> = types.into_iter().collect();
    if types == *enabled {
        return Err(invalid("No changes needed for the logging config provided"));
    }
    let shown = |setup: &api::LogSetup| {
        let types: Vec<&str> = setup.types.iter().flatten().map(|kind| kind.as_str()).collect();
        serde_json::json!({ "types": types, "enabled": setup.enabled == Some(true) })
    };
    let setups: Vec<_> = setups.iter().map(shown).collect();
    *enabled = types;
    Ok(vec![("ClusterLogging", serde_json::json!({ "clusterLogging": setups }).to_string())])
}

/// Ends the update that is under way once what it changes is so, or has not become so for too long.
pub fn settle(tx: &mut Tx, record: &mut Record<Cluster>) {
    let Some(underway) = record.body.status.update.clone() else { return };
    let Cluster { spec, placement, .. } = &mut record.body;
    let done = match (&underway.before, placement.as_ref()) {
        (None, _) => true,
        (Some(Before::Endpoint(_)), _) => is_enforced(tx, &spec.id),
        (Some(Before::Version(_)), _) => underway.trial.is_none() && upgrade::is_done(tx, spec),
        (Some(Before::Network(_)), Some(placement)) => relocate::is_done(tx, spec, placement),
        (Some(Before::Network(_)), None) => true,
    };
    if !done && left(&underway, tx.now()).is_none_or(|left| left > Millis(0)) {
        return;
    }
    let trial = underway.trial.as_ref().map(|trial| upgrade::end_trial(tx, trial));
    let failed = underway.before.filter(|_| !done).map(|before| {
        let message = match before {
            Before::Endpoint(vpc) => {
                spec.vpc = vpc;
                "The endpoint's new access was not in place in time, and is as it was before. Is the host there?".into()
            }
            Before::Version(version) => {
                let wanted = std::mem::replace(&mut spec.version, version);
                if let Some(why) = trial {
                    return upgrade::not_tried(spec, &wanted, &why);
                }
                format!(
                    "Not every API server was ready with Kubernetes {wanted} in time: they go back to {}. \
                     `roadstead admin explain` says what they waited for.",
                    spec.version
                )
            }
            Before::Network(stand) => {
                if let Some(placement) = placement {
                    relocate::undo(tx, spec, placement, *stand);
                }
                "The control plane did not serve in its new subnets, with its new security groups, in time: it goes back. \
                 `roadstead admin explain` says what it waited for."
                    .into()
            }
        };
        update::Error { code: "ClusterUnreachable".into(), message, resources: vec![spec.name.clone()] }
    });
    let state = if done { update::State::Successful } else { update::State::Failed };
    let (account, name) = (spec.account.clone(), spec.name.clone());
    record.body.status.update = None;
    update::end(tx, &account, &name, &underway.id, state, failed.into_iter().collect());
}

/// How much time the update that is under way has left; None if it has no end.
pub fn patience(cluster: &Cluster, now: Millis) -> Option<Millis> {
    cluster.status.update.as_ref().and_then(|underway| left(underway, now))
}

/// None: it no longer fails.
fn left(underway: &Underway, now: Millis) -> Option<Millis> {
    match &underway.before {
        Some(Before::Network(stand)) if stand.left => None,
        _ => {
            let limit = if underway.trial.is_some() { upgrade::TRIAL } else { LIMIT };
            Some(limit.since(now.since(underway.since)))
        }
    }
}

/// Whether the host has the balancer as it is wanted.
pub fn is_enforced(tx: &Tx, id: &str) -> bool {
    let wanted = tx.shared(&LoadBalancer::key(id));
    let told = tx.shared(&Key::<Want<hostspec::Balancer>>::new(id));
    let same = wanted.zip(told).is_some_and(|(wanted, told)| {
        let (wanted, told) = (&wanted.body.spec, &told.body.0);
        (&wanted.public, &wanted.addresses, &wanted.groups) == (&told.public, &told.addresses, &told.groups)
    });
    same && fabric::saw::<hostspec::Balancer>(tx, id).is_some_and(|seen| seen.ready)
}
