//! The operations that make sessions.

use super::{Issued, Limits, Session, principal};
use crate::iam::access_key::new_id;
use crate::iam::grammar::Document;
use crate::iam::policy;
use crate::iam::role::Role;
use crate::iam::trust::{self, Context, Verdict, Who};
use roadstead_hostspec::Principal;
use roadstead_kernel::{Caller, Mint};
use roadstead_shapes::sts as api;
use roadstead_store::{Read, Tx};
use roadstead_types::{Arn, Millis};
use roadstead_wire::fault::{Common, Fault};

const ASSUME_ROLE: &str = "sts:AssumeRole";
/// Of a role's session, if the caller says nothing else; the longest of one that another role's session began (IAM user
/// guide, "Role chaining"). Seconds.
const HOUR: i64 = 3600;
/// Characters of all policies of a session (STS API reference, AssumeRole).
const POLICIES_LONGEST: usize = 2048;
/// Of a user's own session (STS API reference, GetSessionToken). Seconds.
const HALF_DAY: i64 = 43_200;

/// STS AssumeRole: the secrets are shown here and never again.
pub fn assume_role(
    tx: &mut Tx,
    caller: &Caller,
    input: api::AssumeRoleRequest,
    mint: Mint<'_>,
) -> Result<api::AssumeRoleResponse, Fault> {
    let arn: Arn = input.role_arn.parse().map_err(|_| invalid(format!("{} is invalid", input.role_arn)))?;
    check_supported(&input)?;
    let role = tx.get(&Role::key(&arn.account, arn.name())).map(|record| record.body).filter(|role| role.arn() == arn);
    // In the same words whether the role is there or not.
    let role = role.ok_or_else(|| denied(caller, ASSUME_ROLE, &arn, None))?;
    check_trust(&role, caller, &input)?;
    let limits = limits(tx, &role.account, &input)?;
    let seconds = input.duration_seconds.map_or(HOUR, i64::from);
    check_duration(&role, caller, seconds)?;
    let name = input.role_session_name;
    let principal = principal(&role, &name);
    let user = api::AssumedRoleUser { assumed_role_id: principal.unique_id.clone(), arn: principal.arn.clone() };
    let credentials = issue(tx, principal, Of { role: role.arn().to_string(), name, limits }, seconds, mint)?;
    Ok(api::AssumeRoleResponse { credentials: Some(credentials), assumed_role_user: Some(user), ..Default::default() })
}

/// STS GetSessionToken: temporary credentials of the user who asks.
pub fn get_session_token(
    tx: &mut Tx,
    caller: &Caller,
    input: api::GetSessionTokenRequest,
    mint: Mint<'_>,
) -> Result<api::GetSessionTokenResponse, Fault> {
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(no_mfa(caller));
    }
    if caller.access_key_id.starts_with("ASIA") {
        return Err(Common::AccessDenied.fault("Cannot call GetSessionToken with session credentials"));
    }
    let identity = &caller.identity;
    let arn = identity.arn.to_string();
    let principal =
        Principal { arn: arn.clone(), unique_id: identity.unique_id.clone(), account: identity.account.clone() };
    let seconds = input.duration_seconds.map_or(HALF_DAY, i64::from);
    let of = Of { role: arn, name: String::new(), limits: None };
    let credentials = issue(tx, principal, of, seconds, mint)?;
    Ok(api::GetSessionTokenResponse { credentials: Some(credentials), ..Default::default() })
}

/// What a session is of.
struct Of {
    role: String,
    name: String,
    limits: Option<Limits>,
}

/// Makes the session.
fn issue(tx: &mut Tx, principal: Principal, of: Of, seconds: i64, mint: Mint<'_>) -> Result<api::Credentials, Fault> {
    let (secret, token) = (mint.secret()?, mint.secret()?);
    let updated = tx.now();
    // Whole seconds, as the answer shows them.
    let expires = Millis::secs(updated.0 / 1000 + u64::try_from(seconds).unwrap_or(0));
    let issued = Issued { secret: secret.sealed, token: token.sealed, updated, expires };
    let id = new_id(tx, "ASIA");
    let Of { role, name, limits } = of;
    let issued = Some(issued);
    let session = Session { access_key_id: id.clone(), principal, role, name, instance: None, issued, limits };
    tx.create(session.key(), None, session);
    Ok(api::Credentials {
        access_key_id: id,
        secret_access_key: secret.plain,
        session_token: token.plain,
        expiration: expires,
    })
}

/// What would change what the session may do must not be passed over.
fn check_supported(input: &api::AssumeRoleRequest) -> Result<(), Fault> {
    let given = [
        ("ProvidedContexts", input.provided_contexts.as_ref().is_some_and(|contexts| !contexts.is_empty())),
        ("SourceIdentity", input.source_identity.is_some()),
        ("Tags", input.tags.as_ref().is_some_and(|tags| !tags.is_empty())),
        ("TransitiveTagKeys", input.transitive_tag_keys.as_ref().is_some_and(|keys| !keys.is_empty())),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((name, _)) => {
            Err(invalid(format!("This region does not evaluate {name} of a session yet: leave it out.")))
        }
        None => Ok(()),
    }
}

/// The policies that the session is to have of its own.
fn limits(read: &impl Read, account: &str, input: &api::AssumeRoleRequest) -> Result<Option<Limits>, Fault> {
    let managed = input.policy_arns.iter().flatten().filter_map(|policy| policy.arn.clone());
    let managed: Vec<String> = managed.collect();
    if input.policy.is_none() && managed.is_empty() {
        return Ok(None);
    }
    if let Some(text) = &input.policy {
        let malformed = |why: &dyn std::fmt::Display| api::MALFORMED_POLICY_DOCUMENT_EXCEPTION.fault(why.to_string());
        Document::of_principal(text).map_err(|why| malformed(&why))?;
    }
    for arn in &managed {
        policy::attachable(read, account, arn).map_err(|fault| invalid(fault.message))?;
    }
    let plain = |text: &String| text.chars().count();
    let size = input.policy.as_ref().map_or(0, plain) + managed.iter().map(plain).sum::<usize>();
    if size > POLICIES_LONGEST {
        let why = format!("Session policies of {size} characters exceed the limit of {POLICIES_LONGEST}");
        return Err(api::PACKED_POLICY_TOO_LARGE_EXCEPTION.fault(why));
    }
    Ok(Some(Limits { policy: input.policy.clone(), managed }))
}

fn check_trust(role: &Role, caller: &Caller, input: &api::AssumeRoleRequest) -> Result<(), Fault> {
    if input.serial_number.is_some() || input.token_code.is_some() {
        return Err(no_mfa(caller));
    }
    match trust(role, Who::Identity(&caller.identity), caller, input) {
        Verdict::Allowed => Ok(()),
        Verdict::Refused(unclear) => Err(denied(caller, ASSUME_ROLE, &role.arn(), unclear)),
    }
}

/// What the role's trust policy says to the call, if `who` makes it.
fn trust(role: &Role, who: Who<'_>, caller: &Caller, input: &api::AssumeRoleRequest) -> Verdict {
    let mut context = Context::of(caller);
    context.put("sts:externalid", input.external_id.clone());
    context.put("sts:rolesessionname", Some(input.role_session_name.clone()));
    context.put("sts:sourceidentity", None);
    trust::evaluate(&role.trust_policy, who, ASSUME_ROLE, &context)
}

/// Whether the trust policy of the role that is asked for names the caller itself: then it needs no policy of its own
/// that lets it assume the role (IAM user guide, "Policy evaluation for requests within a single account").
pub fn is_named(read: &impl Read, caller: &Caller, input: &api::AssumeRoleRequest) -> bool {
    let Ok(arn) = input.role_arn.parse::<Arn>() else { return false };
    let role = read.shared(&Role::key(&arn.account, arn.name())).filter(|record| record.body.arn() == arn);
    let itself = Who::Itself(&caller.identity);
    role.is_some_and(|record| trust(&record.body, itself, caller, input) == Verdict::Allowed)
}

fn check_duration(role: &Role, caller: &Caller, seconds: i64) -> Result<(), Fault> {
    if caller.identity.role.is_some() && seconds > HOUR {
        return Err(invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ));
    }
    if seconds > role.max_session_seconds {
        return Err(invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."));
    }
    Ok(())
}

fn denied(caller: &Caller, action: &str, role: &Arn, unclear: Option<String>) -> Fault {
    let why = unclear.map(|what| {
        format!(" because this region does not evaluate {what} of its trust policy; put another one in its place")
    });
    let who = &caller.identity.arn;
    let why = why.unwrap_or_default();
    Common::AccessDenied.fault(format!("User: {who} is not authorized to perform: {action} on resource: {role}{why}"))
}

/// Nobody here has a second factor, so none can be right.
fn no_mfa(caller: &Caller) -> Fault {
    let who = &caller.identity.arn;
    Common::AccessDenied.fault(format!(
        "MultiFactorAuthentication failed, unable to validate MFA code. {who} has no MFA device in this region."
    ))
}

fn invalid(why: impl Into<String>) -> Fault {
    Common::Validation.fault(why)
}
