//! The operations on versions of policies.

use super::{Found, Policy, Version, find, find_own, view};
use crate::iam::grammar;
use crate::iam::{grants, listing};
use roadstead_kernel::Caller;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{
    DELETE_CONFLICT_EXCEPTION, LIMIT_EXCEEDED_EXCEPTION, MALFORMED_POLICY_DOCUMENT_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION,
};
use roadstead_store::{Read as _, Tx, View};
use roadstead_wire::fault::Fault;

/// IAM quota "versions of a managed policy that can be stored".
const VERSIONS_MAX: usize = 5;
/// IAM quota "size of a managed policy", characters without white space.
const LONGEST: usize = 6144;

/// IAM CreatePolicyVersion.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreatePolicyVersionRequest,
) -> Result<api::CreatePolicyVersionResponse, Fault> {
    let mut record = find_own(tx, caller, &input.policy_arn, "iam:CreatePolicyVersion")?;
    check(&input.policy_document)?;
    if record.body.versions.len() >= VERSIONS_MAX {
        return Err(LIMIT_EXCEEDED_EXCEPTION.fault(format!(
            "A managed policy can have up to {VERSIONS_MAX} versions. Before you create a new version, you must delete an existing version."
        )));
    }
    let version = record.body.add_version(input.policy_document, tx.now());
    if input.set_as_default == Some(true) {
        record.body.default = version.number;
    }
    let shown = view::version(&record.body, &version, false);
    tx.put(record);
    Ok(api::CreatePolicyVersionResponse { policy_version: Some(shown) })
}

/// IAM GetPolicyVersion.
pub fn get(
    view_: &View,
    caller: &Caller,
    input: api::GetPolicyVersionRequest,
) -> Result<api::GetPolicyVersionResponse, Fault> {
    let shown = match find(view_, caller, &input.policy_arn)? {
        Found::Own(record) => {
            let version = &record.body.versions[place(&record.body, &input.version_id)?];
            view::version(&record.body, version, true)
        }
        Found::Aws(policy) if input.version_id == format!("v{}", policy.version) => view::aws_version(policy, true),
        Found::Aws(policy) => return Err(missing(&policy.arn(), &input.version_id)),
    };
    Ok(api::GetPolicyVersionResponse { policy_version: Some(shown) })
}

/// IAM ListPolicyVersions, the newest first.
pub fn list(
    view_: &View,
    caller: &Caller,
    input: api::ListPolicyVersionsRequest,
) -> Result<api::ListPolicyVersionsResponse, Fault> {
    let shown = match find(view_, caller, &input.policy_arn)? {
        Found::Own(record) => {
            let policy = &record.body;
            let newest_first = policy.versions.iter().rev();
            newest_first.map(|version| (order(version), view::version(policy, version, false))).collect()
        }
        Found::Aws(policy) => vec![(String::new(), view::aws_version(policy, false))],
    };
    let scope = format!("iam:ListPolicyVersions/{}", input.policy_arn);
    let page = listing::page(&scope, shown, input.max_items, input.marker.as_deref())?;
    Ok(api::ListPolicyVersionsResponse {
        versions: Some(page.items),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// IAM SetDefaultPolicyVersion.
pub fn set_default(tx: &mut Tx, caller: &Caller, input: api::SetDefaultPolicyVersionRequest) -> Result<(), Fault> {
    let mut record = find_own(tx, caller, &input.policy_arn, "iam:SetDefaultPolicyVersion")?;
    let place = place(&record.body, &input.version_id)?;
    record.body.default = record.body.versions[place].number;
    tx.put(record);
    Ok(())
}

/// IAM DeletePolicyVersion: any but the default.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeletePolicyVersionRequest) -> Result<(), Fault> {
    let mut record = find_own(tx, caller, &input.policy_arn, "iam:DeletePolicyVersion")?;
    let place = place(&record.body, &input.version_id)?;
    if record.body.versions[place].number == record.body.default {
        return Err(DELETE_CONFLICT_EXCEPTION.fault("Cannot delete the default version of a policy."));
    }
    record.body.versions.remove(place);
    tx.put(record);
    Ok(())
}

/// Refuses what is no document of a managed policy.
pub fn check(document: &str) -> Result<(), Fault> {
    if grants::check(document)?.version < grammar::Version::V2012 {
        let why = "Policy document must be version 2012-10-17 or greater.";
        return Err(MALFORMED_POLICY_DOCUMENT_EXCEPTION.fault(why));
    }
    if grants::size(document) > LONGEST {
        return Err(LIMIT_EXCEEDED_EXCEPTION.fault(format!("Cannot exceed quota for PolicySize: {LONGEST}")));
    }
    Ok(())
}

fn place(policy: &Policy, id: &str) -> Result<usize, Fault> {
    let found = policy.versions.iter().position(|version| version.id() == id);
    found.ok_or_else(|| missing(&policy.arn().to_string(), id))
}

fn missing(arn: &str, id: &str) -> Fault {
    NO_SUCH_ENTITY_EXCEPTION.fault(format!("Policy {arn} version {id} does not exist or is not attachable."))
}

/// Sorts the newest first.
fn order(version: &Version) -> String {
    format!("{:010}", u32::MAX - version.number)
}
