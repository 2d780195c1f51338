//! The operations on a role's inline policies.

use super::ops::find;
use crate::iam::{encode_policy, listing};
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{LIMIT_EXCEEDED_EXCEPTION, MALFORMED_POLICY_DOCUMENT_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION};
use roadstead_store::{Tx, View};
use roadstead_wire::fault::Fault;
use serde_json::Value;

/// IAM quota "total size of a role's inline policies", characters without white space.
const LONGEST: usize = 10_240;

/// IAM PutRolePolicy: a policy of that name is replaced.
pub fn put(tx: &mut Tx, caller: &Caller, input: api::PutRolePolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.role_name)?;
    check(&input.policy_document)?;
    let role = &mut record.body;
    role.inline.insert(input.policy_name, input.policy_document);
    let size: usize = role.inline.values().map(|text| text.chars().filter(|c| !c.is_whitespace()).count()).sum();
    if size > LONGEST {
        let why = format!("Maximum policy size of {LONGEST} bytes exceeded for role {}", role.name);
        return Err(LIMIT_EXCEEDED_EXCEPTION.fault(why));
    }
    tx.put(record);
    Ok(())
}

/// IAM GetRolePolicy.
pub fn get(
    view: &View,
    caller: &Caller,
    input: api::GetRolePolicyRequest,
) -> Result<api::GetRolePolicyResponse, Fault> {
    let role = find(view, caller, &input.role_name)?.body;
    let document = role.inline.get(&input.policy_name).ok_or_else(|| missing(&input.policy_name))?;
    Ok(api::GetRolePolicyResponse {
        policy_document: encode_policy(document),
        role_name: role.name,
        policy_name: input.policy_name,
    })
}

/// IAM ListRolePolicies, by name.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListRolePoliciesRequest,
) -> Result<api::ListRolePoliciesResponse, Fault> {
    let record = find(view, caller, &input.role_name)?;
    let names = record.body.inline.into_keys().map(|name| (name.clone(), name)).collect();
    let scope = format!("iam:ListRolePolicies/{}", record.key.name());
    let page = listing::page(&scope, names, input.max_items, input.marker.as_deref())?;
    Ok(api::ListRolePoliciesResponse {
        policy_names: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM DeleteRolePolicy.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteRolePolicyRequest) -> Result<(), Fault> {
    let mut record = find(tx, caller, &input.role_name)?;
    record.body.inline.remove(&input.policy_name).ok_or_else(|| missing(&input.policy_name))?;
    tx.put(record);
    Ok(())
}

fn missing(name: &str) -> Fault {
    NO_SUCH_ENTITY_EXCEPTION.fault(format!("The role policy with name {name} cannot be found."))
}

/// A policy of a principal is a JSON object with statements that each say what, and never who.
fn check(text: &str) -> Result<(), Fault> {
    let malformed = |why: &str| Err(MALFORMED_POLICY_DOCUMENT_EXCEPTION.fault(why));
    let Ok(policy) = serde_json::from_str::<Value>(text) else {
        return malformed("This policy contains invalid Json");
    };
    let statements = match &policy["Statement"] {
        Value::Array(statements) => statements.iter().collect(),
        one @ Value::Object(_) => vec![one],
        _ => return malformed("Syntax errors in policy."),
    };
    for statement in statements {
        let has = |name: &str| !statement[name].is_null();
        if has("Principal") || has("NotPrincipal") {
            return malformed("Policy document should not specify a principal.");
        }
        if !matches!(statement["Effect"].as_str(), Some("Allow" | "Deny")) {
            return malformed("Syntax errors in policy.");
        }
        if !has("Action") && !has("NotAction") {
            return malformed("Policy statement must contain actions.");
        }
        if !has("Resource") && !has("NotResource") {
            return malformed("Policy statement must contain resources.");
        }
    }
    Ok(())
}
