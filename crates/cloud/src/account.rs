//! What a set-up AWS account has before anybody asks: somebody who may do everything, the roles that examples name, a VPC.

use crate::eks::cluster::CLUSTER_POLICY;
use crate::iam::access_key::{self, AccessKey};
use crate::settings::Settings;
use crate::{ec2, iam};
use roadstead_store::{Read as _, Tx};
use roadstead_types::Sealed;

/// The role that examples name as `--role-arn`.
pub const CLUSTER_ROLE: &str = "eks-cluster-role";
/// The role that examples name as `--node-role`.
pub const NODE_ROLE: &str = "eks-node-role";
/// The first user.
pub const ADMIN: &str = "admin";

/// What a node may (EKS user guide, "Amazon EKS node IAM role").
const NODE_POLICIES: [&str; 3] = [
    "arn:aws:iam::aws:policy/AmazonEKSWorkerNodePolicy",
    "arn:aws:iam::aws:policy/AmazonEKS_CNI_Policy",
    "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly",
];
const CLUSTER_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;
const NODE_TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

/// Makes the account of a new region. The access key is its first user's.
pub fn furnish(tx: &mut Tx, settings: &Settings, access_key_id: String, secret: Sealed) {
    let account = &settings.account;
    tx.set(&Settings::key(), None, settings.clone());
    let admin = iam::user::create(tx, account, ADMIN, "/");
    iam::user::make_administrator(tx, account, ADMIN);
    access_key::create(tx, &admin, access_key_id, secret);
    iam::role::create(tx, account, CLUSTER_ROLE, "/", CLUSTER_TRUST, &[CLUSTER_POLICY]);
    iam::role::create(tx, account, NODE_ROLE, "/", NODE_TRUST, &NODE_POLICIES);
    ec2::vpc::create_default(tx, settings);
}

/// Writes down the settings of a region that starts again. In one that began when policies decided nothing, the user
/// whose access key the region itself made is given, once, what it could do until then: everything.
pub fn renew(tx: &mut Tx, settings: &Settings, access_key_id: Option<&str>) {
    let decided = tx.shared(&Settings::key()).is_some_and(|before| before.body.policies_decide);
    if !decided {
        let first = access_key_id.and_then(|id| Some(tx.shared(&AccessKey::key(id))?.body.user.clone()));
        iam::user::make_administrator(tx, &settings.account, first.as_deref().unwrap_or(ADMIN));
    }
    tx.set(&Settings::key(), None, settings.clone());
}
