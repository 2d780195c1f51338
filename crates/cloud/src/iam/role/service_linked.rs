//! Service-linked roles: those that a service defines, and that nobody else changes (IAM user guide, "Service-linked
//! roles").

use super::{Role, view};
use crate::iam::policy::aws;
use crate::uuid;
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{INVALID_INPUT_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION, UNMODIFIABLE_ENTITY_EXCEPTION};
use roadstead_store::{Key, Object, Read as _, Tx, View};
use roadstead_wire::fault::Fault;
use serde::{Deserialize, Serialize};

/// What the path of each begins with.
const PATH: &str = "/aws-service-role/";

/// What a service says of its role.
struct Definition {
    /// `eks.amazonaws.com`.
    service: &'static str,
    /// The role's name.
    role: &'static str,
    /// The name of its policy.
    policy: &'static str,
    /// Whether there may be several, told apart by the ends of their names.
    suffixes: bool,
}

/// Those of the services that are here, and of those that tools for EKS ask for (each service's user guide,
/// "Using service-linked roles").
const DEFINITIONS: &[Definition] = &[
    defined("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling", "AutoScalingServiceRolePolicy", true),
    defined("eks.amazonaws.com", "AWSServiceRoleForAmazonEKS", "AmazonEKSServiceRolePolicy", false),
    defined(
        "eks-connector.amazonaws.com",
        "AWSServiceRoleForAmazonEKSConnector",
        "AmazonEKSConnectorServiceRolePolicy",
        false,
    ),
    defined(
        "eks-fargate.amazonaws.com",
        "AWSServiceRoleForAmazonEKSForFargate",
        "AmazonEKSForFargateServiceRolePolicy",
        false,
    ),
    defined(
        "eks-nodegroup.amazonaws.com",
        "AWSServiceRoleForAmazonEKSNodegroup",
        "AWSServiceRoleForAmazonEKSNodegroup",
        false,
    ),
    defined(
        "elasticloadbalancing.amazonaws.com",
        "AWSServiceRoleForElasticLoadBalancing",
        "AWSElasticLoadBalancingServiceRolePolicy",
        false,
    ),
    defined("spot.amazonaws.com", "AWSServiceRoleForEC2Spot", "AWSEC2SpotServiceRolePolicy", false),
];

const fn defined(service: &'static str, role: &'static str, policy: &'static str, suffixes: bool) -> Definition {
    Definition { service, role, policy, suffixes }
}

/// The last deletion of a service-linked role of that name. It succeeded: no service here needs its role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// `task/aws-service-role/SERVICE/ROLE/UUID`.
    pub task: String,
}

impl Object for Deletion {
    const KIND: &'static str = "iam/service-linked-role-deletion";
}

impl Deletion {
    fn key(account: &str, role: &str) -> Key<Deletion> {
        Key::new(format!("{account}/{}", role.to_lowercase()))
    }
}

/// Refuses what changes a role that is its service's own.
pub fn check_modifiable(role: &Role) -> Result<(), Fault> {
    match is_linked(role) {
        false => Ok(()),
        true => Err(UNMODIFIABLE_ENTITY_EXCEPTION.fault(format!(
            "Cannot perform the operation on the protected role '{}' - this role is only modifiable by AWS",
            role.name
        ))),
    }
}

/// Refuses to a role the path of those that services define.
pub fn check_path(path: &str) -> Result<(), Fault> {
    match path.starts_with(PATH) {
        false => Ok(()),
        true => Err(INVALID_INPUT_EXCEPTION
            .fault(format!("The path {path} is reserved for service-linked roles: use CreateServiceLinkedRole."))),
    }
}

/// IAM CreateServiceLinkedRole: with the trust, the policy and the name that the service defines.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateServiceLinkedRoleRequest,
) -> Result<api::CreateServiceLinkedRoleResponse, Fault> {
    let account = &caller.identity.account;
    let definition = definition(&input.aws_service_name)?;
    let name = match &input.custom_suffix {
        None => definition.role.to_owned(),
        Some(suffix) if definition.suffixes => format!("{}_{suffix}", definition.role),
        Some(_) => {
            let why = format!("Custom suffix is not allowed for {}", definition.service);
            return Err(INVALID_INPUT_EXCEPTION.fault(why));
        }
    };
    if tx.shared(&Role::key(account, &name)).is_some() {
        let why = format!("Service role name {name} has been taken in this account, please try a different suffix.");
        return Err(INVALID_INPUT_EXCEPTION.fault(why));
    }
    let (path, trust) = (format!("{PATH}{}/", definition.service), trust(definition.service));
    let policy = format!("arn:aws:iam::aws:policy{}{}", aws::OF_SERVICE_LINKED_ROLES, definition.policy);
    let mut role = super::create(tx, account, &name, &path, &trust, &[&policy]);
    role.description = input.description;
    tx.set(&Role::key(account, &name), None, role.clone());
    Ok(api::CreateServiceLinkedRoleResponse { role: Some(view(&role)) })
}

/// IAM DeleteServiceLinkedRole: at once, though AWS takes its time.
pub fn delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteServiceLinkedRoleRequest,
) -> Result<api::DeleteServiceLinkedRoleResponse, Fault> {
    let record = super::ops::find(tx, caller, &input.role_name)?;
    if !is_linked(&record.body) {
        let why = format!("The role with name {} is no service-linked role: use DeleteRole.", record.body.name);
        return Err(NO_SUCH_ENTITY_EXCEPTION.fault(why));
    }
    let Role { account, path, name, .. } = &record.body;
    let task = format!("task{path}{name}/{}", uuid::fresh(tx));
    tx.remove(&record.key);
    tx.set(&Deletion::key(account, name), None, Deletion { task: task.clone() });
    Ok(api::DeleteServiceLinkedRoleResponse { deletion_task_id: task })
}

/// IAM GetServiceLinkedRoleDeletionStatus: of the last deletion of a role of that name.
pub fn deletion_status(
    view: &View,
    caller: &Caller,
    input: api::GetServiceLinkedRoleDeletionStatusRequest,
) -> Result<api::GetServiceLinkedRoleDeletionStatusResponse, Fault> {
    let task = input.deletion_task_id;
    let parts: Vec<&str> = task.split('/').collect();
    let ["task", "aws-service-role", _service, role, _uuid] = parts[..] else {
        return Err(INVALID_INPUT_EXCEPTION.fault("Invalid task id"));
    };
    let last = view.get(&Deletion::key(&caller.identity.account, role));
    match last.is_some_and(|record| record.body.task == task) {
        true => Ok(api::GetServiceLinkedRoleDeletionStatusResponse {
            status: api::DeletionTaskStatusType::Succeeded,
            reason: None,
        }),
        false => Err(NO_SUCH_ENTITY_EXCEPTION.fault(format!("Deletion task {task} cannot be found."))),
    }
}

fn is_linked(role: &Role) -> bool {
    role.path.starts_with(PATH)
}

fn definition(service: &str) -> Result<&'static Definition, Fault> {
    let found = DEFINITIONS.iter().find(|definition| definition.service == service);
    found.ok_or_else(|| {
        let known: Vec<&str> = DEFINITIONS.iter().map(|definition| definition.service).collect();
        INVALID_INPUT_EXCEPTION
            .fault(format!("No service-linked role of {service} is known in this region: one of {}", known.join(", ")))
    })
}

fn trust(service: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"Service":"{service}"}},"Action":"sts:AssumeRole"}}]}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_of_every_service_linked_role_is_known() {
        for definition in DEFINITIONS {
            let arn = format!("arn:aws:iam::aws:policy{}{}", aws::OF_SERVICE_LINKED_ROLES, definition.policy);
            assert!(aws::find(&arn).is_some(), "{arn}");
        }
    }
}
