//! STS: who is it that calls, and who may call as somebody else for a while?

pub mod session;

use roadstead_kernel::{Caller, Service};
use roadstead_shapes::sts as api;
use roadstead_store::View;
use roadstead_wire::fault::Fault;

/// The service's operations.
pub fn service() -> Service {
    Service::new()
        .read(&api::GET_CALLER_IDENTITY, get_caller_identity)
        .write_secret(&api::ASSUME_ROLE, session::ops::assume_role)
        .write_secret(&api::GET_SESSION_TOKEN, session::ops::get_session_token)
}

/// STS GetCallerIdentity: needs no permission.
fn get_caller_identity(
    _: &View,
    caller: &Caller,
    _: api::GetCallerIdentityRequest,
) -> Result<api::GetCallerIdentityResponse, Fault> {
    Ok(api::GetCallerIdentityResponse {
        user_id: Some(caller.identity.unique_id.clone()),
        account: Some(caller.identity.account.clone()),
        arn: Some(caller.identity.arn.to_string()),
    })
}
