//! Tags that a resource has, by its ARN.

use crate::autoscaling::auto_scaling_group::AutoScalingGroup;
use crate::ecr::repository::Repository;
use crate::iam::instance_profile::InstanceProfile;
use crate::iam::policy::{self, Policy};
use crate::iam::role::Role;
use crate::iam::user::User;
use crate::kms::key::KmsKey;
use crate::logs::log_group::LogGroup;
use crate::{ec2, eks};
use roadstead_store::Read;
use roadstead_types::{Arn, Tags};

/// None: nothing of that ARN is there, or nothing that has tags.
pub(super) fn tags(read: &impl Read, arn: &str) -> Option<Tags> {
    let parsed: Arn = arn.parse().ok()?;
    let account = &parsed.account;
    let (kind, name) = parsed.resource.split_once(['/', ':'])?;
    match (parsed.service.as_str(), kind) {
        ("ec2", _) => ec2::tags::of(read, account, name),
        ("eks", _) => eks::cluster::tags::of(read, &parsed),
        ("iam", "role") => Some(read.shared(&Role::key(account, parsed.name()))?.body.tags.clone()),
        ("iam", "user") => Some(read.shared(&User::key(account, parsed.name()))?.body.tags.clone()),
        ("iam", "policy") => Some(read.shared(&Policy::key(account, policy::name_of(arn)))?.body.tags.clone()),
        ("iam", "instance-profile") => {
            Some(read.shared(&InstanceProfile::key(account, parsed.name()))?.body.tags.clone())
        }
        ("ecr", "repository") => Some(read.shared(&Repository::key(account, name))?.body.tags.clone()),
        ("kms", "key") => Some(read.shared(&KmsKey::key(account, name))?.body.tags.clone()),
        ("logs", "log-group") => Some(read.shared(&LogGroup::key(account, name))?.body.tags.clone()),
        ("autoscaling", "autoScalingGroup") => {
            let (_, name) = name.split_once(":autoScalingGroupName/")?;
            let group = read.shared(&AutoScalingGroup::key(account, name))?;
            Some(group.body.tags.iter().map(|(key, tag)| (key.clone(), tag.value.clone())).collect())
        }
        _ => None,
    }
}
