//! What a region has before anybody asks for anything, and what is asked of it.

use roadstead_cloud::ec2::subnet::{self, Subnet};
use roadstead_cloud::ec2::vpc::{self, Vpc};
use roadstead_cloud::eks::cluster::{CLUSTER_POLICY, Cluster};
use roadstead_cloud::eks::nodegroup::Nodegroup;
use roadstead_cloud::iam;
use roadstead_cloud::iam::role::Role;
use roadstead_cloud::iam::user::User;
use roadstead_cloud::settings::{KubernetesVersion, Settings, Zone};
use roadstead_shapes::ec2::{CreateSubnetRequest, DeleteSubnetRequest};
use roadstead_shapes::eks::{CreateClusterRequest, CreateNodegroupRequest, NodegroupScalingConfig, VpcConfigRequest};
use roadstead_store::{Index, Key, Read, Tx};
use roadstead_types::{Cidr, Millis};
use roadstead_wire::fault::Fault;
use std::net::Ipv4Addr;

/// The account of all stories.
pub const ACCOUNT: &str = "111122223333";
/// 2026-01-01T00:00:00Z.
pub const START: Millis = Millis::secs(1_767_225_600);

pub(crate) const REGION: &str = "us-east-1";
/// The user who calls.
pub(crate) const ADMIN_ID: &str = "AIDAADMIN";
const ROLE: &str = "eks";
const TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "eks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;

/// The role of nodes.
const NODE_ROLE: &str = "node";
const NODE_TRUST: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;

/// The role of nodes, made when somebody needs it: a region without nodes is the same as before there were any.
pub(crate) fn node_role(tx: &mut Tx) -> Result<(), Fault> {
    if tx.get(&node_role_key()).is_none() {
        iam::role::create(tx, ACCOUNT, NODE_ROLE, "/", NODE_TRUST, &[]);
    }
    Ok(())
}

/// Its key.
pub(crate) fn node_role_key() -> Key<Role> {
    Role::key(ACCOUNT, NODE_ROLE)
}

/// The key of a cluster.
pub fn cluster_key(name: &str) -> Key<Cluster> {
    Cluster::key(ACCOUNT, name)
}

/// The key of a node group.
pub fn nodegroup_key(cluster: &str, name: &str) -> Key<Nodegroup> {
    Nodegroup::key(ACCOUNT, cluster, name)
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

/// Settings, a user, a role, a default VPC and a narrow one.
pub(crate) fn region(tx: &mut Tx) -> Result<(), Fault> {
    let settings = settings();
    tx.create(Settings::key(), None, settings.clone());
    let admin = User { id: ADMIN_ID.to_owned(), ..iam::user::create(tx, ACCOUNT, "admin", "/") };
    tx.set(&User::key(ACCOUNT, "admin"), None, admin);
    iam::user::make_administrator(tx, ACCOUNT, "admin");
    iam::role::create(tx, ACCOUNT, ROLE, "/", TRUST, &[CLUSTER_POLICY]);
    vpc::create_default(tx, &settings);
    let narrow = vpc::create(tx, ACCOUNT, Cidr::containing(Ipv4Addr::new(10, 20, 0, 0), 24), false);
    for (n, zone) in (0..).zip(settings.zones.iter().take(2)) {
        let block = Cidr::containing(Ipv4Addr::new(10, 20, 0, n * 16), 28);
        subnet::create(tx, None, &narrow, block, zone, false);
    }
    Ok(())
}

/// A cluster's public endpoint is open to all.
pub(crate) fn everybody() -> Vec<Cidr> {
    vec![Cidr::containing(Ipv4Addr::UNSPECIFIED, 0)]
}

/// And to one block only.
pub(crate) fn few() -> Vec<Cidr> {
    vec![Cidr::containing(Ipv4Addr::new(127, 43, 0, 0), 28)]
}

fn settings() -> Settings {
    let zone = |letter: char, n: u8| Zone { name: format!("{REGION}{letter}"), id: format!("use1-az{n}") };
    let version = |minor: &str, patch: u8, days_ago: u64| KubernetesVersion {
        minor: minor.to_owned(),
        patch: format!("{minor}.{patch}"),
        components: format!("kubernetes-{minor}.{patch}"),
        default: minor == "1.36",
        released: START - Millis::mins(days_ago * 24 * 60),
        image_date: "20260101".to_owned(),
    };
    Settings {
        region: REGION.to_owned(),
        account: ACCOUNT.to_owned(),
        zones: vec![zone('a', 1), zone('b', 2), zone('c', 3)],
        public_pool: Cidr::containing(Ipv4Addr::new(127, 43, 0, 0), 24),
        outside: None,
        sts_hosts: vec!["127.0.0.1:4566".to_owned()],
        kubernetes: vec![version("1.37", 2, 30), version("1.36", 3, 150), version("1.35", 4, 270)],
        etcd: "etcd-3.6.16".to_owned(),
        containerd: "containerd-2.3.7".to_owned(),
        runc: "runc-1.5.2".to_owned(),
        coredns: "coredns-1.14.7".to_owned(),
        metrics_server: "metrics-server-0.9.0".to_owned(),
        vcpus: 8,
        policies_decide: true,
    }
}

/// A request for a cluster, with its defaults.
pub(crate) fn request(read: &impl Read, name: &str, ground: Ground) -> CreateClusterRequest {
    let vpc = VpcConfigRequest { subnet_ids: Some(ground.subnets(read)), ..Default::default() };
    CreateClusterRequest {
        name: name.to_owned(),
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}"),
        resources_vpc_config: vpc,
        ..Default::default()
    }
}

/// The two subnets where a cluster is not, of those that it was made in and two others; requests for those that are not
/// there yet.
pub(crate) fn other_subnets(read: &impl Read, cluster: &Cluster) -> (Vec<String>, Vec<CreateSubnetRequest>) {
    let all = [Ground::Wide, Ground::Narrow].into_iter();
    let ground = { all }.find(|ground| ground.vpc(read).id == cluster.spec.vpc.vpc).unwrap_or_default();
    let first = ground.subnets(read);
    if first.iter().all(|id| !cluster.spec.vpc.subnets.contains(id)) {
        return (first, vec![]);
    }
    let present = read.list(Index::<Subnet>::by("vpc", cluster.spec.vpc.vpc.as_str()));
    let (mut ids, mut missing) = (vec![], vec![]);
    for (block, zone) in ground.more_blocks().into_iter().zip(settings().zones) {
        match present.iter().find(|subnet| subnet.body.cidr == block) {
            Some(subnet) => ids.push(subnet.body.id.clone()),
            None => missing.push(CreateSubnetRequest {
                vpc_id: cluster.spec.vpc.vpc.clone(),
                availability_zone: Some(zone.name),
                cidr_block: Some(block.to_string()),
                ..Default::default()
            }),
        }
    }
    (ids, missing)
}

/// Requests that delete those others.
pub(crate) fn delete_others(read: &impl Read) -> Vec<DeleteSubnetRequest> {
    let blocks: Vec<Cidr> = [Ground::Wide, Ground::Narrow].iter().flat_map(|ground| ground.more_blocks()).collect();
    let all = read.list(Index::<Subnet>::all()).into_iter().map(|record| record.body);
    let others = all.filter(|subnet| blocks.contains(&subnet.cidr));
    others.map(|subnet| DeleteSubnetRequest { subnet_id: subnet.id, ..Default::default() }).collect()
}

/// A request for a node group of so many nodes in the cluster's subnets, with its defaults.
pub(crate) fn nodegroup_request(read: &impl Read, cluster: &str, name: &str, size: i32) -> CreateNodegroupRequest {
    let subnets = read.get(&cluster_key(cluster)).map(|record| record.body.spec.vpc.subnets).unwrap_or_default();
    let scaling = NodegroupScalingConfig { min_size: Some(0), max_size: Some(10), desired_size: Some(size) };
    CreateNodegroupRequest {
        cluster_name: cluster.to_owned(),
        nodegroup_name: name.to_owned(),
        node_role: format!("arn:aws:iam::{ACCOUNT}:role/{NODE_ROLE}"),
        subnets,
        scaling_config: Some(scaling),
        ..Default::default()
    }
}

impl Ground {
    /// Blocks of two more subnets, in the zones of the first two.
    fn more_blocks(self) -> [Cidr; 2] {
        let (base, prefix) = match self {
            Ground::Wide => ([[172, 31, 48, 0], [172, 31, 64, 0]], 20),
            Ground::Narrow => ([[10, 20, 0, 64], [10, 20, 0, 80]], 28),
        };
        base.map(|base| Cidr::containing(base.into(), prefix))
    }

    fn vpc(self, read: &impl Read) -> Vpc {
        let all = read.list(Index::<Vpc>::prefix(format!("{ACCOUNT}/")));
        let vpc = all.into_iter().map(|record| record.body).find(|vpc| vpc.is_default == (self == Ground::Wide));
        vpc.expect("the account has a default VPC and another")
    }

    fn subnets(self, read: &impl Read) -> Vec<String> {
        let all = read.list(Index::<Subnet>::by("vpc", self.vpc(read).id));
        let mut subnets: Vec<Subnet> = all.into_iter().map(|record| record.body).collect();
        subnets.retain(|subnet| !self.more_blocks().contains(&subnet.cidr));
        subnets.sort_by(|a, b| a.zone.cmp(&b.zone));
        subnets.into_iter().take(2).map(|subnet| subnet.id).collect()
    }
}
