//! Who may do what: what is asked of a principal's policies, and what they can know of a request.
//!
//! ```text
//! (caller, action, ARN, input) ──▶ the ARN as it is ──▶ another account's? ──▶ iam::principal ──▶ Allow or Deny
//! ```
//! Above all services, because a policy may ask for the tags of any resource. See ADR 15 for what is not evaluated.

mod ec2;
mod given;
mod keys;
mod more;
mod resource;
mod tagged;

use crate::iam::evaluate::{Question, Verdict};
use crate::iam::principal::Principals;
use crate::sts;
use crate::sts::session::Session;
use keys::Request;
use roadstead_hostspec::SystemImage;
use roadstead_kernel::{Ask, Call, Caller, Decision, Denial, Policies};
use roadstead_shapes::sts::AssumeRoleRequest;
use roadstead_store::Read;
use roadstead_wire::schema::Data as _;

/// What a pull takes (ECR user guide, "Private repository policies").
const PULL: [&str; 3] = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];

/// Decides by policies: nothing is allowed that none allows.
#[derive(Default)]
pub struct Authorizer {
    principals: Principals,
}

impl Policies for Authorizer {
    fn decide(&self, read: &impl Read, ask: Ask<'_>) -> Decision {
        let resource = resource::real(read, &ask);
        if is_foreign(&ask, &resource) {
            return Decision::Deny(Denial::NoResourcePolicy);
        }
        let identity = &ask.caller.identity;
        if identity.arn.resource == "root" {
            return Decision::Allow;
        }
        let request = Request { read, ask, resource: &resource };
        let question = Question { action: ask.action, resource: &resource, keys: &request };
        let own = self.principals.verdict(read, identity, &question);
        let boundary = self.principals.boundary(read, identity, &question);
        let session = self.of_session(read, ask.caller, &question);
        match (own, boundary, session) {
            (Verdict::Denied, _, _) => Decision::Deny(Denial::IdentityPolicy),
            (_, Verdict::Denied, _) => Decision::Deny(Denial::Boundary),
            (_, _, Verdict::Denied) => Decision::Deny(Denial::SessionPolicy),
            (Verdict::Silent, _, _) if !is_trusted(read, &ask) => Decision::Deny(Denial::NoIdentityPolicy),
            // Where a trust names a user, its boundary need not; where it names a role, the role's must.
            (_, Verdict::Silent, _) if identity.role.is_some() || !is_trusted(read, &ask) => {
                Decision::Deny(Denial::NoBoundary)
            }
            (_, _, Verdict::Silent) => Decision::Deny(Denial::NoSessionPolicy),
            (Verdict::Allowed | Verdict::Silent, Verdict::Allowed | Verdict::Silent, Verdict::Allowed) => {
                Decision::Allow
            }
        }
    }

    fn more(&self, read: &impl Read, caller: &Caller, call: Call<'_>) -> Vec<(&'static str, String)> {
        more::needs(read, caller, call)
    }
}

impl Authorizer {
    /// What the policies say that a session was given of its own; a session without any may do all that its role may.
    fn of_session(&self, read: &impl Read, caller: &Caller, question: &Question<'_>) -> Verdict {
        let limited = caller.identity.role.as_ref().and_then(|_| sts::session::limited(read, &caller.access_key_id));
        let Some(record) = limited else { return Verdict::Allowed };
        let managed = record.body.limits.as_ref().map_or(&[][..], |limits| &limits.managed);
        self.principals.verdict_of(read, &record, Session::policy, (&caller.identity.account, managed), question)
    }
}

/// Whether the resource is another account's, and not there for everybody.
fn is_foreign(ask: &Ask<'_>, resource: &str) -> bool {
    let mut parts = resource.splitn(6, ':').skip(2);
    // What is no ARN the operation refuses in its own words.
    let (Some(service), Some(_), Some(account), Some(_)) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let is_own = account == ask.caller.identity.account;
    // What AWS owns for everybody: `arn:aws:iam::aws:policy/…`.
    let is_of_aws = account == "aws" || account.is_empty();
    // EKS's own images are there for everybody to pull.
    let is_image = service == "ecr" && account == SystemImage::REGISTRY && PULL.contains(&ask.action);
    !(is_own || is_of_aws || is_image)
}

/// Whether the role that is to be assumed names the caller itself.
fn is_trusted(read: &impl Read, ask: &Ask<'_>) -> bool {
    let Some(call) = ask.call.filter(|_| ask.action == "sts:AssumeRole") else { return false };
    let input = AssumeRoleRequest::from_value(call.input.clone());
    input.is_ok_and(|input| sts::session::ops::is_named(read, ask.caller, &input))
}
