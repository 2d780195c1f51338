use crate::eks::cluster;
use roadstead_hostspec::Mapping;
use roadstead_store::{Key, Object, Read as _, Tx};
use roadstead_types::{Arn, Millis, Tags};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The type of an entry for people and programs.
pub const STANDARD: &str = "STANDARD";
/// The type of an entry for the role of Linux nodes.
pub const EC2_LINUX: &str = "EC2_LINUX";

/// That a cluster knows an AWS principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessEntry {
    /// The cluster's unique id.
    pub cluster: String,
    /// The cluster's name.
    pub cluster_name: String,
    /// The entry's own ARN.
    pub arn: String,
    /// The principal: ARN of a user or role, path included.
    pub principal: String,
    /// [`STANDARD`] or [`EC2_LINUX`].
    pub kind: String,
    /// Kubernetes user name; a template.
    pub username: String,
    /// Kubernetes groups, as they were asked for.
    pub groups: Vec<String>,
    /// Its tags.
    pub tags: Tags,
    /// When it was last changed.
    pub modified: Millis,
    /// Somebody asked for it by CreateAccessEntry: it stays when no node group needs it.
    pub asked_for: bool,
    /// Node groups whose role it is.
    pub node_groups: BTreeSet<String>,
}

impl Object for AccessEntry {
    const KIND: &'static str = "eks/access-entry";

    fn index(&self) -> Vec<(&'static str, String)> {
        vec![("cluster", self.cluster.clone())]
    }
}

impl AccessEntry {
    /// The key of a principal's entry in a cluster.
    pub fn key(cluster: &str, principal: &str) -> Key<AccessEntry> {
        Key::new(format!("{cluster}/{principal}"))
    }

    /// An entry with the defaults of its type (EKS user guide, "Create access entries").
    pub(super) fn new(tx: &mut Tx, cluster: &cluster::Spec, principal: &str, kind: &str) -> AccessEntry {
        AccessEntry {
            cluster: cluster.id.clone(),
            cluster_name: cluster.name.clone(),
            arn: arn(tx, cluster, principal),
            principal: principal.into(),
            kind: kind.into(),
            username: default_username(principal, kind),
            groups: vec![],
            tags: Tags::default(),
            modified: tx.now(),
            asked_for: false,
            node_groups: BTreeSet::new(),
        }
    }

    /// As the cluster's token reviewer knows it.
    pub(super) fn mapping(&self) -> Mapping {
        let groups = match self.kind.as_str() {
            EC2_LINUX => vec!["system:bootstrappers".into(), "system:nodes".into()],
            _ => self.groups.clone(),
        };
        Mapping { arn: self.principal.clone(), username: self.username.clone(), groups }
    }
}

/// `arn:aws:eks:REGION:ACCOUNT:access-entry/CLUSTER/role/ACCOUNT/NAME/UUID`.
fn arn(tx: &mut Tx, cluster: &cluster::Spec, principal: &str) -> String {
    let parsed: Option<Arn> = principal.parse().ok();
    let (sort, account, name) = match &parsed {
        Some(arn) => (arn.resource.split('/').next().unwrap_or_default(), arn.account.as_str(), arn.name()),
        None => ("role", cluster.account.as_str(), principal),
    };
    let resource = format!("access-entry/{}/{sort}/{account}/{name}/{}", cluster.name, crate::eks::uuid(tx));
    Arn::new("eks", &cluster.region, &cluster.account, resource).to_string()
}

/// A user is known by its ARN; a role by the ARN of its sessions, without its path; nodes by their names.
pub fn default_username(principal: &str, kind: &str) -> String {
    let parsed: Option<Arn> = principal.parse().ok();
    match (kind, parsed) {
        (EC2_LINUX, _) => "system:node:{{EC2PrivateDNSName}}".into(),
        (_, Some(arn)) if arn.resource.starts_with("role/") => {
            format!("arn:aws:sts::{}:assumed-role/{}/{{{{SessionName}}}}", arn.account, arn.name())
        }
        _ => principal.into(),
    }
}
