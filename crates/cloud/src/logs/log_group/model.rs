use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Tags};
use serde::{Deserialize, Serialize};

/// A log group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogGroup {
    /// E.g. `/aws/eks/prod/cluster`; unique in its account.
    pub name: String,
    /// Its owner.
    pub account: String,
    /// Never changes.
    pub class: Class,
    /// Days that its events are kept; for ever if there are none.
    pub retention_days: Option<i32>,
    /// Whether its deletion is refused.
    pub protected: bool,
    /// Its tags.
    pub tags: Tags,
}

/// What a log group's events are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// To look at now and search at any time.
    Standard,
    /// To search now and then.
    InfrequentAccess,
}

impl Object for LogGroup {
    const KIND: &'static str = "logs/log-group";
}

impl LogGroup {
    /// The key of an account's log group.
    pub fn key(account: &str, name: &str) -> Key<LogGroup> {
        Key::new(format!("{account}/{name}"))
    }

    /// Its ARN, without the `:*` that stands for its streams.
    pub fn arn(&self, region: &str) -> Arn {
        Arn::new("logs", region, &self.account, format!("log-group:{}", self.name))
    }
}
