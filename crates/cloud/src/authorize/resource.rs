//! The ARN of what is really touched, where a template of `models/ops.toml` can only come close.

use crate::autoscaling::auto_scaling_group::AutoScalingGroup;
use crate::eks::addon::Addon;
use crate::eks::cluster::Cluster;
use crate::eks::nodegroup::Nodegroup;
use crate::iam::group::Group;
use crate::iam::instance_profile::InstanceProfile;
use crate::iam::role::Role;
use crate::iam::user::User;
use crate::{ec2, kms};
use roadstead_kernel::Ask;
use roadstead_store::{Index, Read};
use roadstead_types::Arn;
use roadstead_wire::schema::Value;
use std::borrow::Cow;

/// The resource of the question as its policies name it.
pub(super) fn real<'a>(read: &impl Read, ask: &Ask<'a>) -> Cow<'a, str> {
    let mut parts = ask.resource.splitn(6, ':');
    let (Some("arn"), Some(_), Some(service), Some(_), Some(account), Some(resource)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Cow::Borrowed(ask.resource);
    };
    let found = match service {
        "iam" => of_iam(read, account, resource),
        "ec2" => of_ec2(read, ask, account, resource),
        "autoscaling" => of_autoscaling(read, ask, account, resource),
        "eks" => of_eks(read, account, resource),
        "kms" => of_kms(read, ask, resource),
        "ssm" => of_ssm(ask, resource),
        _ => None,
    };
    found.map_or(Cow::Borrowed(ask.resource), Cow::Owned)
}

/// With its path, which most inputs do not have.
fn of_iam(read: &impl Read, account: &str, resource: &str) -> Option<String> {
    let (kind, path) = resource.split_once('/')?;
    let name = path.rsplit('/').next()?;
    let arn = match kind {
        "role" => read.shared(&Role::key(account, name))?.body.arn(),
        "user" => read.shared(&User::key(account, name))?.body.arn(),
        "group" => read.shared(&Group::key(account, name))?.body.arn(),
        "instance-profile" => read.shared(&InstanceProfile::key(account, name))?.body.arn(),
        _ => return None,
    };
    Some(arn.to_string())
}

/// `*/eni-1` is a network interface, `security-group/*` the one that the input names otherwise than by its id.
fn of_ec2(read: &impl Read, ask: &Ask<'_>, account: &str, resource: &str) -> Option<String> {
    let before = ask.resource.strip_suffix(resource)?;
    if let Some(id) = resource.strip_prefix("*/") {
        return Some(format!("{before}{}/{id}", ec2::tags::kind_of(id)?));
    }
    let kind = resource.strip_suffix("/*")?;
    Some(format!("{before}{kind}/{}", super::ec2::named(read, account, ask.call?, kind)?))
}

/// With the id of the group, which an input names itself or by an instance of it.
fn of_autoscaling(read: &impl Read, ask: &Ask<'_>, account: &str, resource: &str) -> Option<String> {
    let group = match resource.strip_prefix("autoScalingGroup:*:autoScalingGroupName/")? {
        "*" => {
            let instance = instance(ask.call?.input)?;
            let groups = read.list(Index::<AutoScalingGroup>::by("instance", instance));
            groups.into_iter().find(|record| record.body.spec.account == account)?.body.spec.arn()
        }
        name => read.shared(&AutoScalingGroup::key(account, name))?.body.spec.arn(),
    };
    Some(group.to_string())
}

/// One instance is all that an operation takes, whichever way it is given.
fn instance(input: &Value) -> Option<&str> {
    match input.at("InstanceIds") {
        Some(Value::List(ids)) => ids.first()?.as_str(),
        _ => input.at("InstanceId")?.as_str(),
    }
}

/// With the id at its end.
fn of_eks(read: &impl Read, account: &str, resource: &str) -> Option<String> {
    match resource.split('/').collect::<Vec<_>>()[..] {
        ["nodegroup", cluster, name, "*"] => {
            let record = read.shared(&Nodegroup::key(account, cluster, name))?;
            Some(record.body.spec.arn().to_string())
        }
        ["addon", cluster, name, "*"] => {
            let cluster = read.shared(&Cluster::key(account, cluster))?;
            Some(read.shared(&Addon::key(&cluster.body.spec.id, name))?.body.spec.arn.clone())
        }
        _ => None,
    }
}

/// An input names a key by its id, its ARN, an alias or an alias's ARN.
fn of_kms(read: &impl Read, ask: &Ask<'_>, resource: &str) -> Option<String> {
    let named = resource.strip_prefix("key/").filter(|named| named.contains([':', '/']))?;
    let own = |id: &str| Arn::new("kms", &ask.caller.region, &ask.caller.identity.account, format!("key/{id}"));
    match kms::alias::target(read, ask.caller, named) {
        Ok(Some(id)) => Some(own(&id).to_string()),
        Ok(None) | Err(_) if named.starts_with("arn:") => Some(named.to_owned()),
        Ok(None) | Err(_) => None,
    }
}

/// Parameters of AWS are in no account.
fn of_ssm(ask: &Ask<'_>, resource: &str) -> Option<String> {
    let is_public = resource.starts_with("parameter/aws/");
    is_public.then(|| Arn::new("ssm", &ask.caller.region, "", resource).to_string())
}
