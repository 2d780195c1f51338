//! Roles.

mod model;
pub mod ops;
pub mod policies;
pub mod service_linked;
mod view;

pub use model::Role;
pub use view::view;

use crate::iam::grants::Grants;
use crate::iam::policy::aws;
use crate::iam::trust::{self, Context, Verdict, Who};
use crate::iam::unique_id;
use roadstead_store::{Read as _, Tx};
use roadstead_types::Tags;

/// Makes a role with AWS-managed policies attached.
pub fn create(tx: &mut Tx, account: &str, name: &str, path: &str, trust_policy: &str, policies: &[&str]) -> Role {
    let attached = policies.iter().filter_map(|arn| Some(((*arn).to_owned(), aws::find(arn)?.name.to_owned())));
    let role = Role {
        name: name.into(),
        id: unique_id(tx, "AROA"),
        account: account.into(),
        path: path.into(),
        trust_policy: trust_policy.into(),
        description: None,
        max_session_seconds: 3600,
        grants: Grants { attached: attached.collect(), ..Grants::default() },
        boundary: None,
        tags: Tags::new(),
        created: tx.now(),
    };
    tx.create(Role::key(account, name), None, role.clone());
    role
}

/// Whether a service (`ec2.amazonaws.com`) may assume the role.
pub fn trusts_service(role: &Role, service: &str) -> bool {
    let context = Context::of_service(&role.account);
    trust::evaluate(&role.trust_policy, Who::Service(service), "sts:AssumeRole", &context) == Verdict::Allowed
}
