//! What a client shows the registry: who it is and until when, in words that only the region can have written. So the
//! registry asks nobody to check it, and it is whose it is.

use super::invalid;
use crate::iam::role::Role;
use crate::iam::user::User;
use crate::settings::Settings;
use crate::sts::session;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use roadstead_kernel::{Caller, Identity, Mint};
use roadstead_shapes::ecr as api;
use roadstead_store::{Read, Tx};
use roadstead_types::{Arn, Millis};
use roadstead_wire::fault::Fault;
use serde::{Deserialize, Serialize};

/// ECR user guide, "Private registry authentication": "valid for 12 hours".
const LIFETIME: Millis = Millis::mins(12 * 60);

/// The user name that goes with every token.
pub const USER: &str = "AWS";

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    arn: Arn,
    role: Option<Arn>,
    unique_id: String,
    account: String,
    /// The key that the token was asked for with.
    pub access_key_id: String,
    /// From then on it is nothing.
    pub expires: Millis,
}

impl Claims {
    /// Whose the token is.
    pub fn identity(&self) -> Identity {
        Identity {
            arn: self.arn.clone(),
            role: self.role.clone(),
            unique_id: self.unique_id.clone(),
            account: self.account.clone(),
        }
    }

    /// Whether the user or role is still the one that asked for it: another one of its name is not.
    pub fn stands(&self, read: &impl Read) -> bool {
        let grantee = self.role.as_ref().unwrap_or(&self.arn);
        let id = self.unique_id.split(':').next().unwrap_or_default();
        let role = || read.shared(&Role::key(&grantee.account, grantee.name())).map(|role| role.body.id.clone());
        let user = || read.shared(&User::key(&grantee.account, grantee.name())).map(|user| user.body.id.clone());
        if grantee.resource.starts_with("role/") { role() } else { user() }.is_some_and(|own| own == id)
    }

    /// What is signed: no text has a dot.
    ///
    /// # Errors
    /// None that a caller can cause.
    fn text(&self) -> Result<String, Fault> {
        Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).map_err(Fault::internal)?))
    }

    /// Reads the text of a token whose signature was checked; none if it is not one's.
    pub fn of(text: &str) -> Option<Claims> {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }
}

/// The purpose of the key that signs tokens.
pub const PURPOSE: &str = "ecr:GetAuthorizationToken";

/// ECR GetAuthorizationToken.
pub fn get(
    tx: &mut Tx,
    caller: &Caller,
    input: api::GetAuthorizationTokenRequest,
    mint: Mint<'_>,
) -> Result<api::GetAuthorizationTokenResponse, Fault> {
    let Identity { arn, role, unique_id, account } = caller.identity.clone();
    // What limits a session is known as long as the session: its tokens end with it.
    let session = session::limited(tx, &caller.access_key_id).and_then(|session| session.body.issued.clone());
    let expires = session.map_or(Millis(u64::MAX), |issued| issued.expires).min(tx.now() + LIFETIME);
    let claims = Claims { arn, role, unique_id, account, access_key_id: caller.access_key_id.clone(), expires };
    let text = claims.text()?;
    let token = format!("{text}.{}", mint.sign(&text)?);
    // Where the token is to be shown: see ADR 10.
    let settings = Settings::of(tx);
    let address = settings.sts_hosts.first().ok_or_else(|| invalid("The region has no address"))?;
    let data = api::AuthorizationData {
        authorization_token: Some(STANDARD.encode(format!("{USER}:{token}"))),
        expires_at: Some(expires),
        proxy_endpoint: Some(format!("http://{address}")),
    };
    let registries = input.registry_ids.map_or(1, |ids| ids.len());
    Ok(api::GetAuthorizationTokenResponse { authorization_data: Some(vec![data; registries]) })
}
