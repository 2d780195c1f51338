//! User names with places in them, which the session that signed fills (aws-iam-authenticator, "Full configuration
//! format").

use super::review::Refusal;
use roadstead_hostspec::RoleSession;

/// What there is to put in.
pub(super) struct Names<'a> {
    pub session: Option<&'a RoleSession>,
    pub arn: &'a str,
    pub account: &'a str,
    pub access_key_id: &'a str,
}

impl Names<'_> {
    /// The name without places.
    ///
    /// # Errors
    /// There is nothing to fill one with. A role's session that somebody else than EC2 began has no private DNS name,
    /// whatever it calls itself, so nobody who assumes a node's role becomes a node by that.
    pub fn fill(&self, template: &str) -> Result<String, Refusal> {
        let mut name = String::new();
        let mut rest = template;
        while let Some((before, (place, after))) = split(rest) {
            name += before;
            name += &self.value(place).map_err(|what| self.refuse(template, what))?;
            rest = after;
        }
        Ok(name + rest)
    }

    fn value(&self, place: &str) -> Result<String, &'static str> {
        let session_name = || self.session.map(|session| session.name.as_str()).filter(|name| !name.is_empty());
        match place {
            "EC2PrivateDNSName" => {
                let instance_name = self.session.and_then(|session| session.instance_name.clone());
                instance_name.ok_or("a session that EC2 began for an instance")
            }
            // Not every name in Kubernetes may have an @.
            "SessionName" => Ok(session_name().ok_or("a role's session")?.replace('@', "-")),
            "SessionNameRaw" => Ok(session_name().ok_or("a role's session")?.to_owned()),
            "AccountID" => Ok(self.account.to_owned()),
            "AccessKeyID" => Ok(self.access_key_id.to_owned()),
            _ => Err("something that is not known here"),
        }
    }

    fn refuse(&self, template: &str, what: &'static str) -> Refusal {
        Refusal::NoName { template: template.to_owned(), what, arn: self.arn.to_owned() }
    }
}

/// What stands before the first `{{…}}`, in it, and after it.
fn split(text: &str) -> Option<(&str, (&str, &str))> {
    let (before, rest) = text.split_once("{{")?;
    Some((before, rest.split_once("}}")?))
}
