//! Key policies: each key has one, `default`.

use super::{find, find_usable};
use crate::iam::evaluate::wild;
use crate::iam::grammar::{Document, Effect, Match, Principals, Statement};
use crate::kms::paged;
use roadstead_kernel::Caller;
use roadstead_shapes::kms as api;
use roadstead_shapes::kms::{LIMIT_EXCEEDED_EXCEPTION, MALFORMED_POLICY_DOCUMENT_EXCEPTION, NOT_FOUND_EXCEPTION};
use roadstead_store::{Tx, View};
use roadstead_wire::fault::{Common, Fault};

/// The only name that a key policy has.
const NAME: &str = "default";
/// KMS quota "key policy document size". Bytes.
const LONGEST: usize = 32 * 1024;
/// What somebody must still be allowed to do.
const PUT: &str = "kms:PutKeyPolicy";

/// The policy of a key that is given none: the account's own policies say who may use it (KMS developer guide, "Default
/// key policy").
pub fn usual(account: &str) -> String {
    format!(
        r#"{{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {{
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {{
      "AWS" : "arn:aws:iam::{account}:root"
    }},
    "Action" : "kms:*",
    "Resource" : "*"
  }} ]
}}"#
    )
}

/// The text, if it is a key policy that lets the caller change it again; whether it does is not asked if `bypass`.
pub fn checked(caller: &Caller, text: String, bypass: Option<bool>) -> Result<String, Fault> {
    if text.len() > LONGEST {
        return Err(LIMIT_EXCEEDED_EXCEPTION.fault(format!("A key policy has no more than {LONGEST} bytes.")));
    }
    let malformed = |why: String| MALFORMED_POLICY_DOCUMENT_EXCEPTION.fault(why);
    let document = Document::of_resource(&text).map_err(|why| malformed(why.to_string()))?;
    if bypass != Some(true) && !document.statements.iter().any(|statement| lets_put(statement, caller)) {
        let why = "The new key policy will not allow you to update the key policy in the future.";
        return Err(malformed(why.into()));
    }
    Ok(text)
}

/// KMS GetKeyPolicy.
pub fn get(view: &View, caller: &Caller, input: api::GetKeyPolicyRequest) -> Result<api::GetKeyPolicyResponse, Fault> {
    let record = find(view, caller, &input.key_id)?;
    check_name(input.policy_name.as_deref())?;
    Ok(api::GetKeyPolicyResponse { policy: Some(record.body.policy), policy_name: Some(NAME.into()) })
}

/// KMS PutKeyPolicy.
pub fn put(tx: &mut Tx, caller: &Caller, input: api::PutKeyPolicyRequest) -> Result<(), Fault> {
    let mut record = find_usable(tx, caller, &input.key_id)?;
    check_name(input.policy_name.as_deref())?;
    record.body.policy = checked(caller, input.policy, input.bypass_policy_lockout_safety_check)?;
    tx.put(record);
    Ok(())
}

/// KMS ListKeyPolicies: the one.
pub fn list(
    view: &View,
    caller: &Caller,
    input: api::ListKeyPoliciesRequest,
) -> Result<api::ListKeyPoliciesResponse, Fault> {
    let record = find(view, caller, &input.key_id)?;
    let scope = format!("kms:ListKeyPolicies/{}", record.key.name());
    let names = vec![(NAME.to_owned(), NAME.to_owned())];
    // Alone among KMS's lists it does not declare InvalidMarkerException.
    let page = paged(&scope, names, 100, input.limit, input.marker.as_deref())
        .map_err(|fault| Common::Validation.fault(fault.message))?;
    Ok(api::ListKeyPoliciesResponse {
        policy_names: Some(page.items),
        truncated: Some(page.next.is_some()),
        next_marker: page.next,
    })
}

fn check_name(name: Option<&str>) -> Result<(), Fault> {
    match name {
        None | Some(NAME) => Ok(()),
        Some(_) => Err(NOT_FOUND_EXCEPTION.fault("No such policy exists")),
    }
}

/// Whether the statement lets the caller change the policy, on whatever conditions.
fn lets_put(statement: &Statement, caller: &Caller) -> bool {
    let Some(Match::Only(principals)) = &statement.principals else { return false };
    let identity = &caller.identity;
    let root = format!("arn:aws:iam::{}:root", identity.account);
    let names = |name: &String| {
        [identity.account.as_str(), root.as_str(), "*"].contains(&name.as_str())
            || *name == identity.arn.to_string()
            || *name == identity.grantee().to_string()
    };
    let named = match principals {
        Principals::Anybody(_) => true,
        Principals::Kinds(kinds) => kinds.values().any(|some| some.0.iter().any(names)),
    };
    let covers = |pattern: &String| wild(&pattern.to_lowercase(), &PUT.to_lowercase());
    let action = match &statement.actions {
        Match::Only(actions) => actions.iter().any(covers),
        Match::Except(actions) => !actions.iter().any(covers),
    };
    statement.effect == Effect::Allow && named && action
}
