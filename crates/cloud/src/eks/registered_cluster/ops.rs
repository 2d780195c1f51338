//! The operations on registered clusters.

use super::{RegisteredCluster, describe, find};
use crate::eks::cluster::{self, Cluster};
use crate::iam::role::Role;
use crate::uuid;
use roadstead_kernel::Caller;
use roadstead_shapes::eks as api;
use roadstead_shapes::eks::{INVALID_PARAMETER_EXCEPTION, RESOURCE_IN_USE_EXCEPTION, RESOURCE_NOT_FOUND_EXCEPTION};
use roadstead_store::{Read, Tx};
use roadstead_types::{Arn, Millis, Tags};
use roadstead_wire::fault::Fault;

/// How long an agent may wait with its activation (EKS user guide, "Connect an external Kubernetes cluster").
const ACTIVATION: Millis = Millis::mins(3 * 24 * 60);
/// Whom the agent's role trusts.
const AGENT_PRINCIPAL: &str = "ssm.amazonaws.com";

/// EKS RegisterCluster. The activation's code is no secret: nobody here takes it.
pub fn register(
    tx: &mut Tx,
    caller: &Caller,
    input: api::RegisterClusterRequest,
) -> Result<api::RegisterClusterResponse, Fault> {
    let account = &caller.identity.account;
    let (name, config) = (input.name, input.connector_config);
    if tx.shared(&Cluster::key(account, &name)).is_some() || find(tx, account, &name).is_some() {
        let fault = RESOURCE_IN_USE_EXCEPTION.fault(format!("Cluster already exists with name: {name}"));
        return Err(fault.with("clusterName", name));
    }
    check_role(tx, account, &config.role_arn)?;
    let tags: Tags = input.tags.unwrap_or_default();
    cluster::tags::check_new(&tags).map_err(invalid)?;
    let code = tx.fresh_id("").chars().rev().collect::<String>() + &tx.fresh_id("");
    let registered = RegisteredCluster {
        name,
        account: account.clone(),
        region: caller.region.clone(),
        provider: config.provider.as_str().into(),
        role_arn: config.role_arn,
        activation_id: uuid::fresh(tx),
        activation_expiry: tx.now() + ACTIVATION,
        tags,
    };
    let record = tx.create(RegisteredCluster::key(account, &registered.name), None, registered);
    let mut shown = describe(&record.body, record.created);
    shown.connector_config.get_or_insert_default().activation_code = Some(code[..20].to_owned());
    Ok(api::RegisterClusterResponse { cluster: Some(shown) })
}

/// EKS DeregisterCluster: at once. Nothing happens to the cluster itself.
pub fn deregister(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeregisterClusterRequest,
) -> Result<api::DeregisterClusterResponse, Fault> {
    let Some(record) = find(tx, &caller.identity.account, &input.name) else {
        let why = format!("No cluster found for name: {}.", input.name);
        return Err(RESOURCE_NOT_FOUND_EXCEPTION.fault(why).with("clusterName", input.name));
    };
    tx.remove(&record.key);
    let shown = api::Cluster { status: Some(api::ClusterStatus::Deleting), ..describe(&record.body, record.created) };
    Ok(api::DeregisterClusterResponse { cluster: Some(shown) })
}

/// The agent's role: there, and trusting Systems Manager.
fn check_role(read: &impl Read, account: &str, arn: &str) -> Result<(), Fault> {
    let missing = || invalid(format!("Role with arn: {arn}, does not exist."));
    let parsed: Arn = arn.parse().map_err(|_| missing())?;
    let role = read.get(&Role::key(account, parsed.name())).filter(|record| record.body.arn() == parsed);
    match cluster::trusts(&role.ok_or_else(missing)?.body.trust_policy, AGENT_PRINCIPAL) {
        true => Ok(()),
        false => Err(invalid(format!("Role {arn} could not be assumed because it does not trust {AGENT_PRINCIPAL}"))),
    }
}

fn invalid(why: impl Into<String>) -> Fault {
    INVALID_PARAMETER_EXCEPTION.fault(why)
}
