//! What applies to a principal: the policies of a user and of its groups, or those of a session's role.

use crate::iam::evaluate::{self, Question, Rules, Verdict};
use crate::iam::grants::Grants;
use crate::iam::group::Group;
use crate::iam::policy::aws::{self, AwsPolicy};
use crate::iam::policy::{self, Policy};
use crate::iam::role::Role;
use crate::iam::user::User;
use roadstead_kernel::Identity;
use roadstead_store::{AnyKey, Key, Object, Read, Record};
use roadstead_types::Tags;
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

/// Records whose policies are kept read; when there are more, all are forgotten and those in use are read again.
const KEPT: usize = 4096;

/// Policies of AWS by their ARNs, read once.
static OF_AWS: LazyLock<HashMap<String, Rules>> = LazyLock::new(|| {
    let rules = |policy: &AwsPolicy| (policy.arn(), Rules::read(policy.document));
    aws::all().map(rules).collect()
});

/// Decides by identity policies, and reads each only once for as long as its record is the same.
#[derive(Default)]
pub struct Principals {
    read: RwLock<HashMap<AnyKey, Kept>>,
}

/// The policies of a record, and the very record: while it is held here, nothing else stands at its address.
struct Kept {
    record: Arc<dyn Any + Send + Sync>,
    rules: Arc<[Rules]>,
}

/// Who has policies.
enum Holder {
    User(Arc<Record<User>>),
    Role(Arc<Record<Role>>),
}

impl Principals {
    /// What the policies of the principal say. Those of nobody, and of another one of its name, say nothing.
    pub fn verdict(&self, read: &impl Read, identity: &Identity, question: &Question<'_>) -> Verdict {
        let mut policies = vec![];
        match holder(read, identity) {
            Some(Holder::User(record)) => {
                policies.push(self.kept(&record, |user| inline(&user.grants)));
                self.managed(read, &record.body.account, record.body.grants.attached.keys(), &mut policies);
                for name in &record.body.groups {
                    let Some(group) = read.shared(&Key::<Group>::new(name.clone())) else { continue };
                    policies.push(self.kept(&group, |group| inline(&group.grants)));
                    self.managed(read, &group.body.account, group.body.grants.attached.keys(), &mut policies);
                }
            }
            Some(Holder::Role(record)) => {
                policies.push(self.kept(&record, |role| inline(&role.grants)));
                self.managed(read, &record.body.account, record.body.grants.attached.keys(), &mut policies);
            }
            None => {}
        }
        evaluate::evaluate(policies.iter().flat_map(Rulings::all), question)
    }

    /// What the principal's permissions boundary says; who has none has it from nobody that it may not.
    pub fn boundary(&self, read: &impl Read, identity: &Identity, question: &Question<'_>) -> Verdict {
        let boundary = match holder(read, identity) {
            Some(Holder::User(record)) => record.body.boundary.clone(),
            Some(Holder::Role(record)) => record.body.boundary.clone(),
            None => None,
        };
        let Some(arn) = boundary else { return Verdict::Allowed };
        let mut policies = vec![];
        self.managed(read, &identity.account, [&arn], &mut policies);
        evaluate::evaluate(policies.iter().flat_map(Rulings::all), question)
    }

    /// What the policies say that something else has of its own: `inline` is the text in its record, `managed` are ARNs.
    pub fn verdict_of<T: Object>(
        &self,
        read: &impl Read,
        record: &Arc<Record<T>>,
        inline: fn(&T) -> Option<&str>,
        (account, managed): (&str, &[String]),
        question: &Question<'_>,
    ) -> Verdict {
        let mut policies = vec![self.kept(record, |body| inline(body).map(Rules::read).into_iter().collect())];
        self.managed(read, account, managed, &mut policies);
        evaluate::evaluate(policies.iter().flat_map(Rulings::all), question)
    }

    /// Managed policies by their ARNs; one that is gone says nothing.
    fn managed<'a>(
        &self,
        read: &impl Read,
        account: &str,
        arns: impl IntoIterator<Item = &'a String>,
        to: &mut Vec<Rulings>,
    ) {
        for arn in arns {
            if let Some(rules) = OF_AWS.get(arn) {
                to.push(Rulings::Aws(rules));
            } else if let Some(policy) = read.shared(&Policy::key(account, policy::name_of(arn))) {
                to.push(self.kept(&policy, default_version));
            }
        }
    }

    /// The policies in a record.
    fn kept<T: Object>(&self, record: &Arc<Record<T>>, rules: impl FnOnce(&T) -> Vec<Rules>) -> Rulings {
        let key = record.key.any();
        let same = |kept: &&Kept| std::ptr::addr_eq(Arc::as_ptr(&kept.record), Arc::as_ptr(record));
        let known = self.read.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = known.get(&key).filter(same) {
            return Rulings::Own(kept.rules.clone());
        }
        drop(known);
        let rules: Arc<[Rules]> = rules(&record.body).into();
        let mut known = self.read.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(key, Kept { record: record.clone(), rules: rules.clone() });
        Rulings::Own(rules)
    }
}

/// Policies of one origin.
enum Rulings {
    Aws(&'static Rules),
    Own(Arc<[Rules]>),
}

impl Rulings {
    fn all(&self) -> &[Rules] {
        match self {
            Rulings::Aws(rules) => std::slice::from_ref(rules),
            Rulings::Own(rules) => rules,
        }
    }
}

/// The tags of the user, or of the session's role.
pub fn tags(read: &impl Read, identity: &Identity) -> Tags {
    match holder(read, identity) {
        Some(Holder::User(record)) => record.body.tags.clone(),
        Some(Holder::Role(record)) => record.body.tags.clone(),
        None => Tags::new(),
    }
}

/// The record of the user, or of the session's role: the very one, and not another of its name.
fn holder(read: &impl Read, identity: &Identity) -> Option<Holder> {
    match &identity.role {
        Some(role) => {
            let record = read.shared(&Role::key(&role.account, role.name()))?;
            let id = identity.unique_id.split_once(':').map(|(id, _)| id);
            (id == Some(&record.body.id)).then_some(Holder::Role(record))
        }
        None => {
            let record = read.shared(&User::key(&identity.account, identity.arn.name()))?;
            (record.body.id == identity.unique_id).then_some(Holder::User(record))
        }
    }
}

fn inline(grants: &Grants) -> Vec<Rules> {
    grants.inline.values().map(|text| Rules::read(text)).collect()
}

fn default_version(policy: &Policy) -> Vec<Rules> {
    let counts = policy.versions.iter().filter(|version| version.number == policy.default);
    counts.map(|version| Rules::read(&version.document)).collect()
}
