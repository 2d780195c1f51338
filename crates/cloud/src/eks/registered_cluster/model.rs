use roadstead_store::{Key, Object};
use roadstead_types::{Arn, Millis, Tags};
use serde::{Deserialize, Serialize};

/// A cluster of another provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredCluster {
    /// Its name, unique among all clusters of account and region.
    pub name: String,
    /// Whose registration it is.
    pub account: String,
    /// Its region.
    pub region: String,
    /// `GKE`, `OTHER`, …
    pub provider: String,
    /// The role that its agent would use.
    pub role_arn: String,
    /// A UUID.
    pub activation_id: String,
    /// Until when its agent could be activated.
    pub activation_expiry: Millis,
    /// Its tags.
    pub tags: Tags,
}

impl Object for RegisteredCluster {
    const KIND: &'static str = "eks/registered-cluster";
}

impl RegisteredCluster {
    /// The key of an account's registered cluster.
    pub fn key(account: &str, name: &str) -> Key<RegisteredCluster> {
        Key::new(format!("{account}/{name}"))
    }

    /// Its ARN.
    pub fn arn(&self) -> Arn {
        Arn::new("eks", &self.region, &self.account, format!("cluster/{}", self.name))
    }
}
