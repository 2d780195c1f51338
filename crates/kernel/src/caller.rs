use roadstead_types::{Arn, Sealed};

/// Who calls, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The verified principal.
    pub identity: Identity,
    /// The key that signed.
    pub access_key_id: String,
    /// The region that was called.
    pub region: String,
    /// Address of the client.
    pub source_ip: String,
    /// As the client says.
    pub user_agent: String,
    /// `x-amzn-RequestId` of the answer.
    pub request_id: String,
}

/// A verified principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Canonical ARN.
    pub arn: Arn,
    /// Unique id: `AIDA…`.
    pub unique_id: String,
    /// Its account.
    pub account: String,
}

/// A fresh secret: shown once to who asked, sealed for who needs it.
pub struct Minted {
    /// The text.
    pub plain: String,
    /// The handle for a record.
    pub sealed: Sealed,
}

/// Where secrets come from: the server's vault, or a seeded source in a simulation. Decisions have no randomness.
pub trait Secrets: Send + Sync {
    /// A secret of 40 characters for `context`; an error, for people, if the system has no randomness.
    fn mint(&self, context: &str) -> Result<Minted, String>;
}
