//! What policies mean (IAM user guide, "Policy evaluation logic").
//!
//! ```text
//! any Deny that applies ──▶ Denied        any Allow that applies ──▶ Allowed        else ──▶ Silent
//! ```
//! Pure: policies as [`Rules`], one [`Question`], whose condition keys are asked for only where a policy names them.

mod condition;
mod moment;
mod pattern;
mod rules;

pub use pattern::wild;
pub use rules::Rules;

/// May this be done?
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// `eks:CreateCluster`, in any case.
    pub action: &'a str,
    /// The ARN that it touches, or `*`.
    pub resource: &'a str,
    /// What else is known of the request.
    pub keys: &'a dyn Keys,
}

/// The condition keys of a request.
pub trait Keys {
    /// The values of a key, by its name in lower case: one, of a key with many values any number. None: the request has
    /// no such key.
    fn values(&self, key: &str) -> Option<Vec<String>>;
}

/// What policies say to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allowed,
    /// No, whatever else says yes.
    Denied,
    /// Nothing.
    Silent,
}

/// What all of them together say.
pub fn evaluate<'a>(policies: impl IntoIterator<Item = &'a Rules>, question: &Question<'_>) -> Verdict {
    let action = question.action.to_lowercase();
    let question = Question { action: &action, ..*question };
    let mut verdict = Verdict::Silent;
    for rules in policies {
        match rules.say(&question, verdict) {
            Verdict::Denied => return Verdict::Denied,
            Verdict::Allowed => verdict = Verdict::Allowed,
            Verdict::Silent => {}
        }
    }
    verdict
}

#[cfg(test)]
mod tests;
