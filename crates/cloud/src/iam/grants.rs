//! What a user, a group or a role is granted: managed policies that are attached to it, and inline policies of its own.

use crate::iam::grammar::Document;
use crate::iam::{encode_policy, listing, policy};
use roadstead_kernel::page::Page;
use roadstead_shapes::iam as api;
use roadstead_shapes::iam::{
    DELETE_CONFLICT_EXCEPTION, LIMIT_EXCEEDED_EXCEPTION, MALFORMED_POLICY_DOCUMENT_EXCEPTION, NO_SUCH_ENTITY_EXCEPTION,
};
use roadstead_store::Read;
use roadstead_wire::fault::Fault;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// IAM quota "managed policies per role", and per user and group.
const ATTACHED_MAX: usize = 10;

/// The policies of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// Attached managed policies: ARN → name.
    #[serde(default)]
    pub attached: BTreeMap<String, String>,
    /// Inline policies: name → JSON text as given.
    #[serde(default)]
    pub inline: BTreeMap<String, String>,
}

/// Whose they are: a kind, and a name for errors.
#[derive(Clone, Copy, Debug)]
pub struct Holder<'a> {
    /// The kind.
    pub kind: Kind,
    /// The account that it is in.
    pub account: &'a str,
    /// Its name.
    pub name: &'a str,
}

/// Who may have policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user.
    User,
    /// A group.
    Group,
    /// A role.
    Role,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::User => "user",
            Kind::Group => "group",
            Kind::Role => "role",
        }
    }

    /// As quotas name it.
    fn title(self) -> &'static str {
        match self {
            Kind::User => "User",
            Kind::Group => "Group",
            Kind::Role => "Role",
        }
    }

    /// IAM quota "total size of inline policies", characters without white space.
    fn longest(self) -> usize {
        match self {
            Kind::User => 2048,
            Kind::Group => 5120,
            Kind::Role => 10_240,
        }
    }
}

impl Grants {
    /// For the index `policy` of their holders: who has a managed policy attached, in an account.
    pub fn index(&self, account: &str) -> Vec<(&'static str, String)> {
        self.attached.keys().map(|arn| ("policy", index_value(account, arn))).collect()
    }

    /// Attaches a managed policy; twice is once.
    pub fn attach(&mut self, read: &impl Read, holder: Holder<'_>, arn: &str) -> Result<(), Fault> {
        let name = policy::attachable(read, holder.account, arn)?;
        self.attached.insert(arn.to_owned(), name);
        if self.attached.len() > ATTACHED_MAX {
            let why = format!("Cannot exceed quota for PoliciesPer{}: {ATTACHED_MAX}", holder.kind.title());
            return Err(LIMIT_EXCEEDED_EXCEPTION.fault(why));
        }
        Ok(())
    }

    /// Detaches a managed policy.
    pub fn detach(&mut self, arn: &str) -> Result<(), Fault> {
        policy::check_arn(arn)?;
        let missing = || NO_SUCH_ENTITY_EXCEPTION.fault(format!("Policy {arn} was not found."));
        self.attached.remove(arn).map(|_| ()).ok_or_else(missing)
    }

    /// A page of the attached ones under a path, by ARN.
    pub fn attached_page(
        &self,
        scope: &str,
        path_prefix: Option<&str>,
        max_items: Option<i32>,
        marker: Option<&str>,
    ) -> Result<Page<api::AttachedPolicy>, Fault> {
        let prefix = path_prefix.unwrap_or("/");
        let attached = self.attached.iter().filter(|(arn, _)| policy::path_of(arn).starts_with(prefix));
        let shown = |(arn, name): (&String, &String)| {
            // As ListPolicies: the ARN is too long for a Marker.
            let whose = arn.split(':').nth(4).unwrap_or_default();
            (
                format!("{name}/{whose}"),
                api::AttachedPolicy { policy_arn: Some(arn.clone()), policy_name: Some(name.clone()) },
            )
        };
        listing::page(&format!("{scope}/{prefix}"), attached.map(shown).collect(), max_items, marker)
    }

    /// Sets an inline policy; one of that name is replaced.
    pub fn put(&mut self, holder: Holder<'_>, name: String, document: String) -> Result<(), Fault> {
        check(&document)?;
        self.inline.insert(name, document);
        let (size, longest) = (self.inline.values().map(|text| size(text)).sum::<usize>(), holder.kind.longest());
        if size > longest {
            let (word, name) = (holder.kind.word(), holder.name);
            let why = format!("Maximum policy size of {longest} bytes exceeded for {word} {name}");
            return Err(LIMIT_EXCEEDED_EXCEPTION.fault(why));
        }
        Ok(())
    }

    /// An inline policy, as IAM answers it.
    pub fn document(&self, kind: Kind, name: &str) -> Result<String, Fault> {
        self.inline.get(name).map(|text| encode_policy(text)).ok_or_else(|| missing(kind, name))
    }

    /// Removes an inline policy.
    pub fn remove(&mut self, kind: Kind, name: &str) -> Result<(), Fault> {
        self.inline.remove(name).map(|_| ()).ok_or_else(|| missing(kind, name))
    }

    /// A page of the names of inline policies.
    pub fn inline_page(
        &self,
        scope: &str,
        max_items: Option<i32>,
        marker: Option<&str>,
    ) -> Result<Page<String>, Fault> {
        let names = self.inline.keys().map(|name| (name.clone(), name.clone())).collect();
        listing::page(scope, names, max_items, marker)
    }

    /// Refuses the deletion of somebody who has policies.
    pub fn check_none(&self) -> Result<(), Fault> {
        let conflict =
            |first: &str| Err(DELETE_CONFLICT_EXCEPTION.fault(format!("Cannot delete entity, must {first} first.")));
        if !self.attached.is_empty() {
            return conflict("detach all policies");
        }
        if !self.inline.is_empty() {
            return conflict("delete policies");
        }
        Ok(())
    }
}

/// The value of the index `policy` of whoever has this one attached.
pub fn index_value(account: &str, arn: &str) -> String {
    format!("{account}/{arn}")
}

/// Refuses what is no policy of a principal.
pub fn check(document: &str) -> Result<Document, Fault> {
    Document::of_principal(document).map_err(|why| MALFORMED_POLICY_DOCUMENT_EXCEPTION.fault(why.to_string()))
}

/// Of a policy, as quotas count it: characters without white space.
pub fn size(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

fn missing(kind: Kind, name: &str) -> Fault {
    NO_SUCH_ENTITY_EXCEPTION.fault(format!("The {} policy with name {name} cannot be found.", kind.word()))
}
