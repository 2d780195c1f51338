use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Millis, Tags};
use serde::{Deserialize, Serialize};

/// An issuer of tokens that an account trusts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcProvider {
    /// The issuer without `https://`: `oidc.eks.us-east-1.amazonaws.com/id/0123…`.
    pub url: String,
    /// Whose trust it is.
    pub account: String,
    /// Audiences that its tokens may be for, in the order in which they were given: `sts.amazonaws.com`.
    pub client_ids: Vec<String>,
    /// SHA-1 of certificates in its chain, hexadecimal.
    pub thumbprints: Vec<String>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created: Millis,
}

impl Object for OidcProvider {
    const KIND: &'static str = "iam/oidc-provider";
}

impl OidcProvider {
    /// The key of an account's provider.
    pub fn key(account: &str, url: &str) -> Key<OidcProvider> {
        Key::new(format!("{account}/{url}"))
    }

    /// Its ARN.
    pub fn arn(&self) -> Arn {
        Arn::new("iam", "", &self.account, format!("oidc-provider/{}", self.url))
    }
}
