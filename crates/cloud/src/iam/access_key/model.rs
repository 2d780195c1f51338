use roadstead_hostspec::Principal;
use roadstead_store::{Key, Object};
use roadstead_types::{Millis, Sealed};
use serde::{Deserialize, Serialize};

/// A user's access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA…`.
    pub id: String,
    /// The secret access key.
    pub secret: Sealed,
    /// Whose it is.
    pub principal: Principal,
    /// The user's name.
    pub user: String,
    /// An inactive key is refused.
    pub active: bool,
    /// When it was made.
    pub created: Millis,
}

impl Object for AccessKey {
    const KIND: &'static str = "iam/access-key";
    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("user", format!("{}/{}", self.principal.account, self.user.to_lowercase()))]
    }
}

impl AccessKey {
    /// The key of an access key.
    pub fn key(id: &str) -> Key<AccessKey> {
        Key::new(id)
    }
}
