//! The cluster operations.

use super::model::{Cluster, Spec, State, VpcConfig};
use super::{check, view};
use crate::ec2::security_group;
use crate::ec2::subnet::Subnet;
use crate::eks::nodegroup;
use crate::eks::registered_cluster::{self, RegisteredCluster};
use crate::settings::Settings;
use roadstead_kernel::{Caller, page};
use roadstead_shapes::eks::{
    AuthenticationMode, ClusterStatus, CreateClusterRequest, CreateClusterResponse, DeleteClusterRequest,
    DeleteClusterResponse, DescribeClusterRequest, DescribeClusterResponse, INVALID_PARAMETER_EXCEPTION,
    INVALID_REQUEST_EXCEPTION, ListClustersRequest, ListClustersResponse, RESOURCE_IN_USE_EXCEPTION,
    RESOURCE_NOT_FOUND_EXCEPTION, SupportType,
};
use roadstead_store::{Read, Record, Tx, View};
use roadstead_types::Tags;
use roadstead_wire::fault::Fault;

/// EKS CreateCluster.
pub fn create(tx: &mut Tx, caller: &Caller, input: CreateClusterRequest) -> Result<CreateClusterResponse, Fault> {
    let account = &caller.identity.account;
    let registered = registered_cluster::find(tx, account, &input.name);
    if tx.get(&Cluster::key(account, &input.name)).is_some() || registered.is_some() {
        return Err(RESOURCE_IN_USE_EXCEPTION
            .fault(format!("Cluster already exists with name: {}", input.name))
            .with("clusterName", input.name));
    }
    check::unsupported(&input)?;
    let settings = Settings::of(tx);
    let version = check::version(&settings, input.version.as_deref())?;
    check::role(tx, account, &input.role_arn)?;
    let network = &input.resources_vpc_config;
    let subnets = check::subnets(tx, account, network.subnet_ids.as_deref().unwrap_or_default())?;
    let security_groups = network.security_group_ids.clone().unwrap_or_default();
    check::security_groups(tx, account, &subnets[0].vpc, &security_groups)?;
    let endpoint = check::endpoint(network)?;
    let service_cidr = check::service_cidr(tx, account, &subnets[0].vpc, &input)?;
    let tags: Tags = input.tags.unwrap_or_default().into_iter().collect();
    super::tags::check_new(&tags).map_err(|why| INVALID_PARAMETER_EXCEPTION.fault(why))?;
    let access = input.access_config.unwrap_or_default();
    let id = (tx.fresh_id("") + &tx.fresh_id(""))[..32].to_uppercase();
    let group = cluster_security_group(tx, account, &subnets[0], &input.name);
    let spec = Spec {
        name: input.name,
        id,
        account: account.clone(),
        region: caller.region.clone(),
        creator: caller.identity.grantee().to_string(),
        version,
        role_arn: input.role_arn,
        vpc: VpcConfig {
            vpc: subnets[0].vpc.clone(),
            subnets: subnets.iter().map(|s| s.id.clone()).collect(),
            security_groups,
            cluster_security_group: group,
            endpoint_public: endpoint.public,
            endpoint_private: endpoint.private,
            public_cidrs: endpoint.public_cidrs,
        },
        service_cidr,
        authentication_mode: access.authentication_mode.unwrap_or(AuthenticationMode::ConfigMap).as_str().into(),
        creator_is_admin: access.bootstrap_cluster_creator_admin_permissions.unwrap_or(true),
        support_type: input
            .upgrade_policy
            .and_then(|p| p.support_type)
            .unwrap_or(SupportType::Extended)
            .as_str()
            .into(),
        logging: check::logging(input.logging),
        deletion_protection: input.deletion_protection.unwrap_or(false),
        self_managed_addons: input.bootstrap_self_managed_addons.unwrap_or(true),
        client_request_token: input.client_request_token,
    };
    let cluster = super::create(tx, spec, tags);
    Ok(CreateClusterResponse { cluster: Some(view::describe(&cluster, tx.now())) })
}

/// `eks-cluster-sg-NAME-NUMBER`: everything between its members.
fn cluster_security_group(tx: &mut Tx, account: &str, subnet: &Subnet, cluster: &str) -> String {
    let vpc = tx.get(&crate::ec2::vpc::Vpc::key(account, &subnet.vpc)).expect("a subnet's VPC outlives it").body;
    let number = u64::from_str_radix(&tx.fresh_id("")[..12], 16).unwrap_or(0);
    let name = format!("eks-cluster-sg-{cluster}-{number}");
    let description = "EKS created security group applied to ENI that is attached to EKS Control Plane master nodes, as well as any managed workloads.";
    security_group::create(tx, &vpc, &name, description, true).id
}

/// EKS DescribeCluster.
pub fn describe(view: &View, caller: &Caller, input: DescribeClusterRequest) -> Result<DescribeClusterResponse, Fault> {
    if let Some(record) = registered_cluster::find(view, &caller.identity.account, &input.name) {
        let cluster = registered_cluster::describe(&record.body, record.created);
        return Ok(DescribeClusterResponse { cluster: Some(cluster) });
    }
    let record = find(view, caller, &input.name)?;
    Ok(DescribeClusterResponse { cluster: Some(view::describe(&record.body, record.created)) })
}

/// Whether what describe shows will change by itself: a waiter is held up for that.
pub fn is_passing(output: &DescribeClusterResponse) -> bool {
    let status = output.cluster.as_ref().and_then(|c| c.status);
    matches!(status, Some(ClusterStatus::Creating | ClusterStatus::Deleting | ClusterStatus::Updating))
}

/// EKS ListClusters: names, sorted; of registered ones, too, if all are asked for.
pub fn list(view: &View, caller: &Caller, input: ListClustersRequest) -> Result<ListClustersResponse, Fault> {
    let account = &caller.identity.account;
    let prefix = format!("{account}/");
    let all = includes_all(input.include.as_deref().unwrap_or_default())?;
    let names = |after: Option<String>| {
        let after = after.unwrap_or_default();
        let registered = view.names_after::<RegisteredCluster>(&prefix, &after).filter(move |_| all);
        let names = merged(view.names_after::<Cluster>(&prefix, &after), registered);
        names.map(|name| (name[prefix.len()..].to_owned(), name[prefix.len()..].to_owned()))
    };
    let limit = input.max_results.and_then(|n| usize::try_from(n).ok()).unwrap_or(100);
    let page = page::page_of(&format!("eks:ListClusters/{account}/{all}"), names, limit, input.next_token.as_deref());
    let page = page.map_err(|_| INVALID_PARAMETER_EXCEPTION.fault("The nextToken parameter is not valid."))?;
    Ok(ListClustersResponse { clusters: Some(page.items), next_token: page.next })
}

/// `all` is the one thing that may be included.
fn includes_all(include: &[String]) -> Result<bool, Fault> {
    match include.iter().find(|what| *what != "all") {
        None => Ok(!include.is_empty()),
        Some(what) => {
            Err(INVALID_PARAMETER_EXCEPTION
                .fault(format!("The include parameter is not valid: '{what}' is not 'all'.")))
        }
    }
}

/// Two ascending lists as one.
fn merged<T: Ord>(one: impl Iterator<Item = T>, other: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(a), Some(b)) if b < a => other.next(),
        (None, _) => other.next(),
        (Some(_), _) => one.next(),
    })
}

/// EKS DeleteCluster. DELETING is durable before the answer, so a waiter never sees ACTIVE after it.
pub fn delete(tx: &mut Tx, caller: &Caller, input: DeleteClusterRequest) -> Result<DeleteClusterResponse, Fault> {
    if registered_cluster::find(tx, &caller.identity.account, &input.name).is_some() {
        let why = format!("Cluster {} is registered, and not of EKS: use DeregisterCluster", input.name);
        return Err(INVALID_REQUEST_EXCEPTION.fault(why).with("clusterName", input.name));
    }
    let record = find(tx, caller, &input.name)?;
    let created = record.created;
    if record.body.spec.deletion_protection && record.body.status.state == State::Active {
        return Err(INVALID_REQUEST_EXCEPTION
            .fault("Cluster has deletion protection enabled. Disable deletion protection to delete the cluster.")
            .with("clusterName", input.name));
    }
    if let Some(underway) = &record.body.status.update {
        let why =
            format!("Cannot delete because cluster {} currently has update {} in progress", input.name, underway.id);
        return Err(RESOURCE_IN_USE_EXCEPTION.fault(why).with("clusterName", input.name));
    }
    if record.deleting.is_some() {
        return Err(RESOURCE_IN_USE_EXCEPTION
            .fault(format!("Cluster {} is already being deleted", input.name))
            .with("clusterName", input.name));
    }
    if let Some(name) = nodegroup::any(tx, &record.body.spec.account, &input.name) {
        let fault = RESOURCE_IN_USE_EXCEPTION.fault("Cluster has nodegroups attached");
        return Err(fault.with("clusterName", input.name).with("nodegroupName", name));
    }
    let cluster = super::delete(tx, record);
    Ok(DeleteClusterResponse { cluster: Some(view::describe(&cluster, created)) })
}

/// The caller's cluster of that name.
pub(in crate::eks) fn find(read: &impl Read, caller: &Caller, name: &str) -> Result<Record<Cluster>, Fault> {
    read.get(&Cluster::key(&caller.identity.account, name)).ok_or_else(|| {
        RESOURCE_NOT_FOUND_EXCEPTION.fault(format!("No cluster found for name: {name}.")).with("clusterName", name)
    })
}
