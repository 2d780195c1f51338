use crate::iam::role::Role;
use roadstead_hostspec::Principal;
use roadstead_store::{Key, Object};
use roadstead_types::{Millis, Sealed};
use serde::{Deserialize, Serialize};

/// Temporary credentials of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// `ASIA…`.
    pub access_key_id: String,
    /// Who signs with them: `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`, `AROA…:SESSION`.
    pub principal: Principal,
    /// The role's ARN, path included.
    pub role: String,
    /// The session's name.
    pub name: String,
    /// The instance that EC2 made them for.
    pub instance: Option<ForInstance>,
    /// Nobody has them before.
    pub issued: Option<Issued>,
    /// What it may do at most.
    #[serde(default)]
    pub limits: Option<Limits>,
}

/// Policies of a session's own: it may do what one of them and one of its role's allows (IAM user guide, "Session
/// policies").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// JSON text as given.
    pub policy: Option<String>,
    /// ARNs of managed policies.
    pub managed: Vec<String>,
}

/// The instance that a session is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForInstance {
    /// `i-…`.
    pub id: String,
    /// E.g. `ip-10-0-1-5.ec2.internal`.
    pub private_dns_name: String,
    /// Newer ones were begun.
    pub renewed: bool,
}

/// The secrets of a session, and while they count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The secret access key.
    pub secret: Sealed,
    /// The session token.
    pub token: Sealed,
    /// When they were made.
    pub updated: Millis,
    /// From then on they are refused.
    pub expires: Millis,
}

impl Object for Session {
    const KIND: &'static str = "sts/session";
    fn index(&self) -> Vec<(&'static str, String)> {
        self.instance.iter().map(|instance| ("instance", instance.id.clone())).collect()
    }
}

impl Session {
    /// The key of the session with that access key.
    pub fn key_of(access_key_id: &str) -> Key<Session> {
        Key::new(access_key_id)
    }

    /// Its key.
    pub fn key(&self) -> Key<Session> {
        Session::key_of(&self.access_key_id)
    }

    /// The text of the policy of its own.
    pub fn policy(&self) -> Option<&str> {
        self.limits.as_ref()?.policy.as_deref()
    }

    /// Whether it is of this role, and not of an earlier one of its name.
    pub fn is_of(&self, role: &Role) -> bool {
        self.role == role.arn().to_string() && self.principal.unique_id == format!("{}:{}", role.id, self.name)
    }
}
