use roadstead_types::{Arn, Sealed};
use roadstead_wire::fault::Fault;

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
    /// ARN: `arn:aws:iam::111122223333:user/admin`, `arn:aws:sts::111122223333:assumed-role/ROLE/SESSION`.
    pub arn: Arn,
    /// ARN of the role, path included, that it is a session of.
    pub role: Option<Arn>,
    /// Unique id: `AIDA…`, `AROA…:SESSION`.
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

impl Identity {
    /// Whom a lasting right is given to: of a session its role.
    pub fn grantee(&self) -> &Arn {
        self.role.as_ref().unwrap_or(&self.arn)
    }
}

/// Makes the secrets that one call hands out.
#[derive(Clone, Copy)]
pub struct Mint<'a> {
    pub(crate) secrets: &'a dyn Secrets,
    pub(crate) context: &'a str,
}

impl Mint<'_> {
    /// A fresh secret of 40 characters.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn secret(&self) -> Result<Minted, Fault> {
        self.secrets.mint(self.context).map_err(Fault::internal)
    }

    /// A signature of `text` that nobody else can make, and that is no other operation's.
    ///
    /// # Errors
    /// Its source has no key.
    pub fn sign(&self, text: &str) -> Result<String, Fault> {
        self.secrets.sign(self.context, text).map_err(Fault::internal)
    }
}

/// Where secrets come from: the server's vault, or a seeded source in a simulation. Decisions have no randomness.
pub trait Secrets: Send + Sync {
    /// A secret of 40 characters for `context`; an error, for people, if the system has no randomness.
    fn mint(&self, context: &str) -> Result<Minted, String>;
    /// A signature of `text` for `context`, in characters that stand in any URL; an error, for people, if there is no key.
    fn sign(&self, context: &str, text: &str) -> Result<String, String>;
}
