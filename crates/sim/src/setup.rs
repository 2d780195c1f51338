//! What a region has before anybody asks for anything, and what is asked of it.

use roadstead_cloud::ec2::security_group;
use roadstead_cloud::ec2::subnet::{self, Subnet};
use roadstead_cloud::ec2::vpc::{self, Vpc};
use roadstead_cloud::eks::cluster::{Cluster, Spec, VpcConfig};
use roadstead_cloud::settings::{KubernetesVersion, Settings, Zone};
use roadstead_store::{Index, Key, Read, Tx};
use roadstead_types::{Cidr, Millis};
use std::net::Ipv4Addr;

/// The account of all stories.
pub const ACCOUNT: &str = "111122223333";
/// 2026-01-01T00:00:00Z.
pub const START: Millis = Millis::secs(1_767_225_600);

const REGION: &str = "us-east-1";

/// The key of a cluster.
pub fn cluster_key(name: &str) -> Key<Cluster> {
    Cluster::key(ACCOUNT, name)
}

/// The subnets under a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ground {
    /// The first two of the default VPC: 4091 addresses each.
    #[default]
    Wide,
    /// Two of another VPC with eleven addresses each: room for three clusters.
    Narrow,
}

/// Settings, a default VPC and a narrow one.
pub(crate) fn region(tx: &mut Tx) -> Result<(), String> {
    let settings = settings();
    tx.create(Settings::key(), None, settings.clone());
    vpc::create_default(tx, &settings);
    let narrow = vpc::create(tx, ACCOUNT, Cidr::containing(Ipv4Addr::new(10, 20, 0, 0), 24), false);
    for (n, zone) in (0..).zip(settings.zones.iter().take(2)) {
        let block = Cidr::containing(Ipv4Addr::new(10, 20, 0, n * 16), 28);
        subnet::create(tx, None, &narrow, block, zone, false);
    }
    Ok(())
}

fn settings() -> Settings {
    let zone = |letter: char, n: u8| Zone { name: format!("{REGION}{letter}"), id: format!("use1-az{n}") };
    let version = |minor: &str, patch: u8, days_ago: u64| KubernetesVersion {
        minor: minor.to_owned(),
        patch: format!("{minor}.{patch}"),
        components: format!("kubernetes-{minor}.{patch}"),
        default: minor == "1.36",
        released: START - Millis::mins(days_ago * 24 * 60),
    };
    Settings {
        region: REGION.to_owned(),
        account: ACCOUNT.to_owned(),
        zones: vec![zone('a', 1), zone('b', 2), zone('c', 3)],
        public_pool: Cidr::containing(Ipv4Addr::new(127, 43, 0, 0), 24),
        sts_hosts: vec!["127.0.0.1:4566".to_owned()],
        kubernetes: vec![version("1.37", 2, 30), version("1.36", 3, 150), version("1.35", 4, 270)],
        etcd: "etcd-3.6.16".to_owned(),
    }
}

/// What the API makes of a request for a cluster there.
pub(crate) fn cluster(tx: &mut Tx, name: &str, ground: Ground) -> Spec {
    let vpc = ground.vpc(tx);
    let subnets = ground.subnets(tx, &vpc);
    let id = format!("{}{}", &tx.fresh_id("")[1..], &tx.fresh_id("")[1..]).to_uppercase();
    let group = security_group::create(tx, &vpc, &format!("eks-cluster-sg-{name}"), "EKS created security group", true);
    Spec {
        name: name.to_owned(),
        id,
        account: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        creator: format!("arn:aws:iam::{ACCOUNT}:user/admin"),
        version: "1.36".to_owned(),
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/eks"),
        vpc: VpcConfig {
            vpc: vpc.id,
            subnets,
            security_groups: vec![],
            cluster_security_group: group.id,
            endpoint_public: true,
            endpoint_private: true,
            public_cidrs: vec![Cidr::containing(Ipv4Addr::UNSPECIFIED, 0)],
        },
        service_cidr: Cidr::containing(Ipv4Addr::new(10, 100, 0, 0), 16),
        authentication_mode: "API_AND_CONFIG_MAP".to_owned(),
        creator_is_admin: true,
        support_type: "EXTENDED".to_owned(),
        logging: vec![],
        deletion_protection: false,
        client_request_token: None,
    }
}

impl Ground {
    fn vpc(self, read: &impl Read) -> Vpc {
        let all = read.list(Index::<Vpc>::prefix(format!("{ACCOUNT}/")));
        let vpc = all.into_iter().map(|record| record.body).find(|vpc| vpc.is_default == (self == Ground::Wide));
        vpc.expect("the account has a default VPC and another")
    }

    fn subnets(self, read: &impl Read, vpc: &Vpc) -> Vec<String> {
        let all = read.list(Index::<Subnet>::by("vpc", vpc.id.as_str()));
        let mut subnets: Vec<Subnet> = all.into_iter().map(|record| record.body).collect();
        subnets.sort_by(|a, b| a.zone.cmp(&b.zone));
        subnets.into_iter().take(2).map(|subnet| subnet.id).collect()
    }
}
