//! What is shown of managed policies.

use super::aws::AwsPolicy;
use super::{Found, Policy, Version, entities};
use crate::iam::{encode_policy, tags};
use roadstead_shapes::iam as api;
use roadstead_store::Read;

/// As GetPolicy shows it.
pub fn whole(read: &impl Read, account: &str, found: &Found) -> api::Policy {
    match found {
        Found::Own(record) => own_whole(read, &record.body),
        Found::Aws(policy) => api::Policy { tags: Some(vec![]), ..of_aws(read, account, policy) },
    }
}

/// As GetPolicy shows the account's own.
pub fn own_whole(read: &impl Read, policy: &Policy) -> api::Policy {
    let tags = Some(tags::shown(&policy.tags));
    api::Policy { description: policy.description.clone(), tags, ..own(read, policy) }
}

/// As lists show the account's own: without description and tags.
pub fn own(read: &impl Read, policy: &Policy) -> api::Policy {
    let arn = policy.arn().to_string();
    api::Policy {
        policy_name: Some(policy.name.clone()),
        policy_id: Some(policy.id.clone()),
        path: Some(policy.path.clone()),
        default_version_id: Some(format!("v{}", policy.default)),
        create_date: Some(policy.created),
        update_date: Some(policy.updated),
        ..common(read, &policy.account, arn)
    }
}

/// As lists show one of AWS. Its id is not known here.
pub fn of_aws(read: &impl Read, account: &str, policy: &AwsPolicy) -> api::Policy {
    api::Policy {
        policy_name: Some(policy.name.into()),
        path: Some(policy.path.into()),
        default_version_id: Some(format!("v{}", policy.version)),
        create_date: Some(policy.created),
        update_date: Some(policy.updated),
        ..common(read, account, policy.arn())
    }
}

fn common(read: &impl Read, account: &str, arn: String) -> api::Policy {
    api::Policy {
        attachment_count: i32::try_from(entities::count(read, account, &arn)).ok(),
        permissions_boundary_usage_count: i32::try_from(entities::bounded(read, account, &arn)).ok(),
        is_attachable: Some(true),
        arn: Some(arn),
        ..Default::default()
    }
}

/// A version; lists leave the document out.
pub fn version(policy: &Policy, version: &Version, with_document: bool) -> api::PolicyVersion {
    api::PolicyVersion {
        document: with_document.then(|| encode_policy(&version.document)),
        version_id: Some(version.id()),
        is_default_version: Some(version.number == policy.default),
        create_date: Some(version.created),
    }
}

/// The version of one of AWS.
pub fn aws_version(policy: &AwsPolicy, with_document: bool) -> api::PolicyVersion {
    api::PolicyVersion {
        document: with_document.then(|| encode_policy(policy.document)),
        version_id: Some(format!("v{}", policy.version)),
        is_default_version: Some(true),
        create_date: Some(policy.updated),
    }
}
