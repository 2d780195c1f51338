use roadstead_store::{Key, Object};
use serde::{Deserialize, Serialize};

/// An update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// A UUID.
    pub id: String,
    /// The owner of the cluster.
    pub account: String,
    /// The cluster's name.
    pub cluster: String,
    /// What it changes.
    pub subject: Subject,
    /// EKS's type, e.g. `VersionUpdate`.
    pub kind: String,
    /// What is changed: EKS's name for it, and its new value.
    pub params: Vec<(String, String)>,
    /// How it goes.
    pub state: State,
    /// What went wrong.
    pub errors: Vec<Error>,
}

/// What an update changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    /// The cluster itself.
    Cluster,
    /// The node group of that name.
    Nodegroup(String),
    /// The add-on of that name.
    Addon(String),
}

/// How an update goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Under way.
    InProgress,
    /// Done.
    Successful,
    /// Not done, or not wholly: see its errors.
    Failed,
}

/// What went wrong with an update.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Error {
    /// One of EKS's codes.
    pub code: String,
    /// For people: what, and what to do.
    pub message: String,
    /// What it is about.
    pub resources: Vec<String>,
}

impl Object for Update {
    const KIND: &'static str = "eks/update";
}

impl Update {
    /// The key of a cluster's update.
    pub fn key_of(account: &str, cluster: &str, id: &str) -> Key<Update> {
        Key::new(format!("{account}/{cluster}/{id}"))
    }

    /// Its own key.
    pub fn key(&self) -> Key<Update> {
        Update::key_of(&self.account, &self.cluster, &self.id)
    }
}
