//! The condition keys of a request (IAM user guide, "AWS global condition context keys", and those of services that a
//! policy for EKS uses). A key that is not here is missing.

use super::{given, tagged};
use crate::iam::evaluate::Keys;
use crate::iam::{boundary, principal};
use crate::sts::session::Session;
use roadstead_kernel::Ask;
use roadstead_store::Read;
use roadstead_types::{Millis, Tags};
use roadstead_wire::schema::{Scope, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// A question, and the state that it is asked on.
pub(super) struct Request<'a, R> {
    pub read: &'a R,
    pub ask: Ask<'a>,
    /// The ARN of what is really touched.
    pub resource: &'a str,
}

impl<R: Read> Keys for Request<'_, R> {
    fn values(&self, key: &str) -> Option<Vec<String>> {
        match key {
            "aws:tagkeys" => {
                let keys = self.ask.call.map(|call| given::keys(call, self.resource)).unwrap_or_default();
                (!keys.is_empty()).then_some(keys)
            }
            key => self.value(key).map(|value| vec![value]),
        }
    }
}

impl<R: Read> Request<'_, R> {
    /// The value of a key that has one.
    fn value(&self, key: &str) -> Option<String> {
        let (service, name) = key.split_once(':')?;
        if let Some((kind, tag)) = name.split_once('/') {
            return self.tag(service, kind, tag);
        }
        match service {
            "aws" => self.global(name),
            "iam" => self.of_iam(name),
            "ec2" => self.of_ec2(name),
            "sts" => match name {
                "externalid" => self.input("ExternalId"),
                "rolesessionname" => self.input("RoleSessionName"),
                _ => None,
            },
            _ => None,
        }
    }

    fn global(&self, name: &str) -> Option<String> {
        let caller = self.ask.caller;
        let identity = &caller.identity;
        let is_user = identity.role.is_none();
        match name {
            "principalarn" => Some(identity.grantee().to_string()),
            "principalaccount" => Some(identity.account.clone()),
            "principaltype" => Some(if is_user { "User" } else { "AssumedRole" }.to_owned()),
            "principalisawsservice" | "viaawsservice" => Some("false".to_owned()),
            "userid" => Some(identity.unique_id.clone()),
            "username" => is_user.then(|| identity.arn.name().to_owned()),
            "requestedregion" => Some(self.region().to_owned()),
            "resourceaccount" => self.resource.split(':').nth(4).filter(|own| !own.is_empty()).map(str::to_owned),
            "sourceip" => Some(caller.source_ip.clone()),
            "useragent" => Some(caller.user_agent.clone()),
            "currenttime" => instant(self.read.now())?.format(&Rfc3339).ok(),
            "epochtime" => Some((self.read.now().0 / 1000).to_string()),
            "tokenissuetime" => {
                let session = self.read.shared(&Session::key_of(&caller.access_key_id))?;
                instant(session.body.issued.as_ref()?.updated)?.format(&Rfc3339).ok()
            }
            // Only temporary credentials say so, and nobody here has a second factor.
            "multifactorauthpresent" => caller.access_key_id.starts_with("ASIA").then(|| "false".to_owned()),
            _ => None,
        }
    }

    fn of_iam(&self, name: &str) -> Option<String> {
        match name {
            "passedtoservice" if self.ask.action == "iam:PassRole" => self.passed_to(),
            "permissionsboundary" => self.boundary(),
            "policyarn" => self.input("PolicyArn"),
            "awsservicename" => self.input("AWSServiceName"),
            _ => None,
        }
    }

    /// The boundary that is given, or the one of whose policies are changed (service authorization reference, "Actions,
    /// resources, and condition keys for IAM").
    fn boundary(&self) -> Option<String> {
        let changes = ["Attach", "Put", "Detach", "Delete"].iter().any(|verb| self.named(verb, "Policy"));
        match self.ask.call?.operation.name {
            "DeleteRolePermissionsBoundary" | "DeleteUserPermissionsBoundary" => boundary::of(self.read, self.resource),
            _ if changes => boundary::of(self.read, self.resource),
            _ => self.input("PermissionsBoundary"),
        }
    }

    /// Whether the operation is a verb on a role's or a user's something.
    fn named(&self, verb: &str, what: &str) -> bool {
        let rest = self.ask.call.and_then(|call| call.operation.name.strip_prefix(verb)?.strip_suffix(what));
        matches!(rest, Some("Role" | "User"))
    }

    fn of_ec2(&self, name: &str) -> Option<String> {
        let operation = self.ask.call?.operation;
        match name {
            "region" => Some(self.ask.caller.region.clone()),
            "createaction" if operation.name != "CreateTags" => Some(operation.name.to_owned()),
            _ => None,
        }
    }

    /// `aws:RequestTag/team`, `ec2:ResourceTag/team`: of tags, keys are the same in any case.
    fn tag(&self, service: &str, kind: &str, tag: &str) -> Option<String> {
        let own = self.resource.split(':').nth(2).unwrap_or_default();
        let is_own = service == "aws" || service == own;
        let tags = match kind {
            "principaltag" if service == "aws" => principal::tags(self.read, &self.ask.caller.identity),
            "requesttag" if is_own => given::tags(self.ask.call?, self.resource),
            "resourcetag" if is_own => tagged::tags(self.read, self.resource)?,
            _ => Tags::new(),
        };
        tags.into_iter().find(|(key, _)| key.to_lowercase() == tag).map(|(_, value)| value)
    }

    fn region(&self) -> &str {
        let is_global = self.ask.call.is_some_and(|call| call.operation.service.scope == Scope::Global);
        if is_global { Scope::GLOBAL_REGION } else { &self.ask.caller.region }
    }

    /// The service that gets the role; instance profiles are EC2's.
    fn passed_to(&self) -> Option<String> {
        let service = self.ask.call?.operation.service;
        let prefix = if service.name == "iam" { "ec2" } else { service.endpoint_prefix };
        Some(format!("{prefix}.amazonaws.com"))
    }

    fn input(&self, member: &str) -> Option<String> {
        self.ask.call?.input.at(member).and_then(Value::as_str).map(str::to_owned)
    }
}

/// To the second.
fn instant(millis: Millis) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(i64::try_from(millis.0 / 1000).ok()?).ok()
}
