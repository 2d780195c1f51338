//! The VPC endpoint operations.

use super::service::{self, Service};
use super::{Place, VpcEndpoint, policy, view};
use crate::ec2::asked::required;
use crate::ec2::describe::{Query, select};
use crate::ec2::network_interface::{self, NetworkInterface, Request};
use crate::ec2::offered::nothing_left;
use crate::ec2::vpc::Vpc;
use crate::ec2::{security_group, subnet, tags, vpc};
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{AnyKey, Index, Read, Record, Tx, View};
use roadstead_wire::fault::Fault;
use std::mem::take;

/// VPC quota "interface and Gateway Load Balancer endpoints per VPC".
const ENDPOINTS_MAX: usize = 50;
/// How many digits of a fresh id are an endpoint's label.
const LABEL: usize = 8;

/// EC2 CreateVpcEndpoint.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    mut input: api::CreateVpcEndpointRequest,
) -> Result<api::CreateVpcEndpointResult, Fault> {
    let account = &caller.identity.account;
    let tags = tags::given(input.tag_specifications.take(), api::ResourceType::VpcEndpoint)?;
    let (dry_run, client_token) = (input.dry_run.take(), input.client_token.take());
    let vpc = vpc::ops::find(tx, account, &take(&mut input.vpc_id))?.body;
    let service = service_of(&caller.region, &mut input)?;
    if let Some(document) = input.policy_document.take() {
        policy::check(&document)?;
    }
    let private_names = input.private_dns_enabled.take().unwrap_or(true);
    let (subnets, groups) = (input.subnet_ids.take(), input.security_group_ids.take());
    input.ip_address_type.take_if(|kind| *kind == api::IpAddressType::Ipv4);
    input.service_region.take_if(|region| *region == caller.region);
    nothing_left(&input, "A VPC endpoint")?;
    let groups = security_group::ops::in_vpc(tx, account, &vpc.id, &groups.unwrap_or_default())?;
    let mut endpoint = VpcEndpoint {
        id: String::new(),
        account: account.clone(),
        vpc: vpc.id.clone(),
        service: service.name.into(),
        label: String::new(),
        places: Vec::new(),
        leaving: Vec::new(),
        groups,
        private_names,
        available: false,
        tags,
    };
    let subnets = free_places(tx, &endpoint, &subnets.unwrap_or_default())?;
    if private_names {
        may_have_private_names(tx, &caller.region, &endpoint, &vpc)?;
    }
    if tx.count(Index::<VpcEndpoint>::by("vpc", vpc.id.as_str())) >= ENDPOINTS_MAX {
        let why = format!("The maximum number of VPC endpoints has been reached: {ENDPOINTS_MAX}");
        return Err(api::VPC_ENDPOINT_LIMIT_EXCEEDED.fault(why));
    }
    tags::not_dry(dry_run)?;
    endpoint.id = tx.fresh_id("vpce-");
    let label = tx.fresh_id("");
    endpoint.label = label.get(label.len() - LABEL..).unwrap_or(&label).to_owned();
    let mut record = tx.create(VpcEndpoint::key(account, &endpoint.id), None, endpoint);
    settle_in(tx, &mut record, &subnets);
    tx.put(record.clone());
    let shown = view::show(tx, &caller.region, &record);
    Ok(api::CreateVpcEndpointResult { client_token, vpc_endpoint: Some(shown) })
}

/// The service that is asked for, by a kind of endpoint that it has. A request that names no kind means a gateway.
fn service_of(region: &str, input: &mut api::CreateVpcEndpointRequest) -> Result<&'static Service, Fault> {
    let name = required(input.service_name.take(), "ServiceName")?;
    let service = Service::named(region, &name).ok_or_else(|| no_service(&name))?;
    match input.vpc_endpoint_type.take().unwrap_or(api::VpcEndpointType::Gateway) {
        api::VpcEndpointType::Interface => Ok(service),
        other => {
            let why = format!("Endpoint type ({other}) does not match available service types ([Interface])");
            Err(api::INVALID_PARAMETER.fault(why))
        }
    }
}

/// The subnets named, if an endpoint can be in all of them besides where it is: in each zone in one, which has an address
/// for it.
fn free_places(read: &impl Read, endpoint: &VpcEndpoint, named: &[String]) -> Result<Vec<subnet::Subnet>, Fault> {
    let mut zones: Vec<String> = endpoint.places.iter().map(|place| place.zone.clone()).collect();
    let mut found = vec![];
    for id in named {
        let subnet = subnet::ops::find(read, &endpoint.account, id)?.body;
        if subnet.vpc != endpoint.vpc {
            let why = format!("The subnet ID '{id}' is not in VPC '{}'", endpoint.vpc);
            return Err(api::INVALID_PARAMETER.fault(why));
        }
        if zones.contains(&subnet.zone) {
            let why = format!(
                "Found another VPC endpoint subnet in the availability zone of {id}. VPC endpoint subnets should be in \
                 different availability zones supported by the VPC endpoint service."
            );
            return Err(api::DUPLICATE_SUBNETS_IN_SAME_ZONE.fault(why));
        }
        if !network_interface::has_free(read, &subnet, 1) {
            let why = format!("There are not enough free addresses in subnet '{id}' to satisfy the requested number");
            return Err(api::INSUFFICIENT_FREE_ADDRESSES_IN_SUBNET.fault(why));
        }
        zones.push(subnet.zone.clone());
        found.push(subnet);
    }
    Ok(found)
}

/// Puts an endpoint into subnets, by an interface of its own in each.
fn settle_in(tx: &mut Tx, record: &mut Record<VpcEndpoint>, subnets: &[subnet::Subnet]) {
    let owner: AnyKey = record.key.any();
    for subnet in subnets {
        let request = Request {
            groups: record.body.groups.clone(),
            description: format!("VPC Endpoint Interface {}", record.body.id),
            requester_managed: true,
            endpoint: true,
            ..Request::default()
        };
        let eni = network_interface::create(tx, &owner, subnet, request);
        let (subnet, zone) = (subnet.id.clone(), subnet.zone.clone());
        record.body.places.push(Place { subnet, zone, interface: eni.id, address: eni.address });
    }
}

/// Refuses the service's own names to an endpoint whose VPC has no names, or has them lead elsewhere.
fn may_have_private_names(read: &impl Read, region: &str, endpoint: &VpcEndpoint, vpc: &Vpc) -> Result<(), Fault> {
    if !(vpc.attributes.dns_support && vpc.attributes.dns_hostnames) {
        let why = format!(
            "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true for {}",
            vpc.id
        );
        return Err(api::INVALID_PARAMETER.fault(why));
    }
    let others = read.list(Index::<VpcEndpoint>::by("vpc", vpc.id.as_str())).into_iter();
    let mut others = others.filter(|other| other.body.id != endpoint.id && other.body.private_names);
    if others.any(|other| other.body.service == endpoint.service) {
        let name = Service::of(&endpoint.service).map(|service| service.private_name(region)).unwrap_or_default();
        let why = format!(
            "private-dns-enabled cannot be set because there is already a conflicting DNS domain for {name} in the VPC {}",
            vpc.id
        );
        return Err(api::INVALID_PARAMETER.fault(why));
    }
    Ok(())
}

/// EC2 DescribeVpcEndpoints.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeVpcEndpointsRequest,
) -> Result<api::DescribeVpcEndpointsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeVpcEndpoints/{account}"),
        ids: input.vpc_endpoint_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = view_.list(Index::<VpcEndpoint>::prefix(format!("{account}/"))).into_iter();
    let all = all.map(|record| (record.body.id.clone(), record)).collect();
    let values = |record: &Record<VpcEndpoint>, filter: &str| view::values(&caller.region, record, filter);
    let page = select(&query, all, values, missing)?;
    let endpoints = page.items.iter().map(|record| view::show(view_, &caller.region, record)).collect();
    Ok(api::DescribeVpcEndpointsResult { next_token: page.next, vpc_endpoints: Some(endpoints) })
}

/// EC2 DescribeVpcEndpointServices.
pub fn describe_services(
    view_: &View,
    caller: &Caller,
    input: api::DescribeVpcEndpointServicesRequest,
) -> Result<api::DescribeVpcEndpointServicesResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let region = &caller.region;
    let query = Query {
        scope: format!("ec2:DescribeVpcEndpointServices/{}", caller.identity.account),
        ids: input.service_names.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = service::ALL.iter().map(|service| (service.full_name(region), service)).collect();
    let values = |service: &&Service, filter: &str| view::service_values(region, service, filter);
    let page = select(&query, all, values, no_service)?;
    let details = page.items.iter().map(|service| view::show_service(view_, region, service)).collect();
    Ok(api::DescribeVpcEndpointServicesResult {
        next_token: page.next,
        service_details: Some(details),
        service_names: Some(page.items.iter().map(|service| service.full_name(region)).collect()),
    })
}

/// EC2 ModifyVpcEndpoint. A subnet that it leaves has its interface until no host answers there any more.
pub fn modify(
    tx: &mut Tx,
    caller: &Caller,
    mut input: api::ModifyVpcEndpointRequest,
) -> Result<api::ModifyVpcEndpointResult, Fault> {
    let account = &caller.identity.account;
    let mut record = find(tx, account, &take(&mut input.vpc_endpoint_id))?;
    if record.deleting.is_some() {
        let why = format!("The Vpc Endpoint '{}' is being deleted.", record.body.id);
        return Err(api::INCORRECT_STATE.fault(why));
    }
    let vpc = vpc::ops::find(tx, account, &record.body.vpc)?.body;
    // Full access is all that there is.
    let (dry_run, _) = (input.dry_run.take(), input.reset_policy.take());
    if let Some(document) = input.policy_document.take() {
        policy::check(&document)?;
    }
    let (plus, minus) = (input.add_subnet_ids.take(), input.remove_subnet_ids.take());
    let (more, fewer) = (input.add_security_group_ids.take(), input.remove_security_group_ids.take());
    let private_names = input.private_dns_enabled.take();
    input.ip_address_type.take_if(|kind| *kind == api::IpAddressType::Ipv4);
    nothing_left(&input, "A VPC endpoint")?;
    leave(&mut record.body, &minus.unwrap_or_default())?;
    let groups = regrouped(&record.body, more.unwrap_or_default(), &fewer.unwrap_or_default())?;
    record.body.groups = security_group::ops::in_vpc(tx, account, &vpc.id, &groups)?;
    let subnets = free_places(tx, &record.body, &plus.unwrap_or_default())?;
    if private_names == Some(true) && !record.body.private_names {
        may_have_private_names(tx, &caller.region, &record.body, &vpc)?;
    }
    record.body.private_names = private_names.unwrap_or(record.body.private_names);
    tags::not_dry(dry_run)?;
    regroup_interfaces(tx, &record.body);
    settle_in(tx, &mut record, &subnets);
    tx.put(record);
    Ok(api::ModifyVpcEndpointResult { r#return: Some(true) })
}

/// Takes an endpoint out of subnets.
fn leave(endpoint: &mut VpcEndpoint, named: &[String]) -> Result<(), Fault> {
    for id in named {
        let at = endpoint.places.iter().position(|place| place.subnet == *id).ok_or_else(|| {
            let why = format!("The subnet ID '{id}' is not a subnet of the Vpc Endpoint '{}'", endpoint.id);
            api::INVALID_PARAMETER.fault(why)
        })?;
        let left = endpoint.places.remove(at);
        endpoint.leaving.push(left.interface);
    }
    Ok(())
}

/// An endpoint's groups with some more, and without some that it has. One must stay.
fn regrouped(endpoint: &VpcEndpoint, more: Vec<String>, fewer: &[String]) -> Result<Vec<String>, Fault> {
    if let Some(id) = fewer.iter().find(|id| !endpoint.groups.contains(id)) {
        let why = format!("The security group '{id}' is not a security group of the Vpc Endpoint '{}'", endpoint.id);
        return Err(api::INVALID_PARAMETER.fault(why));
    }
    let stay = endpoint.groups.iter().filter(|id| !fewer.contains(id)).cloned();
    let groups: Vec<String> = stay.chain(more).collect();
    if groups.is_empty() {
        let why = format!("The Vpc Endpoint '{}' must have at least one security group", endpoint.id);
        return Err(api::INVALID_PARAMETER.fault(why));
    }
    Ok(groups)
}

fn regroup_interfaces(tx: &mut Tx, endpoint: &VpcEndpoint) {
    for place in &endpoint.places {
        if let Some(mut eni) = tx.get(&NetworkInterface::key(&place.interface)) {
            eni.body.groups.clone_from(&endpoint.groups);
            tx.put(eni);
        }
    }
}

/// EC2 DeleteVpcEndpoints: those that there are, whatever else is named.
pub fn delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteVpcEndpointsRequest,
) -> Result<api::DeleteVpcEndpointsResult, Fault> {
    if let Some(id) = input.vpc_endpoint_ids.iter().find(|id| !id.starts_with("vpce-")) {
        let why = format!("Invalid Id: '{id}' (expecting 'vpce-...')");
        return Err(api::INVALID_VPC_ENDPOINT_ID_MALFORMED.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    let mut unsuccessful = vec![];
    for id in input.vpc_endpoint_ids {
        match tx.get(&VpcEndpoint::key(&caller.identity.account, &id)) {
            Some(record) if record.deleting.is_some() => {}
            Some(record) => tx.delete(&record.key),
            None => unsuccessful.push(unknown(id)),
        }
    }
    Ok(api::DeleteVpcEndpointsResult { unsuccessful: Some(unsuccessful) })
}

fn unknown(id: String) -> api::UnsuccessfulItem {
    let message = format!("The Vpc Endpoint Id '{id}' does not exist");
    let error = api::UnsuccessfulItemError { code: Some("InvalidVpcEndpoint.NotFound".into()), message: Some(message) };
    api::UnsuccessfulItem { error: Some(error), resource_id: Some(id) }
}

/// The account's endpoint of that id.
fn find(read: &impl Read, account: &str, id: &str) -> Result<Record<VpcEndpoint>, Fault> {
    read.get(&VpcEndpoint::key(account, id)).ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Fault {
    api::INVALID_VPC_ENDPOINT_ID_NOT_FOUND.fault(format!("The Vpc Endpoint Id '{id}' does not exist"))
}

fn no_service(name: &str) -> Fault {
    api::INVALID_SERVICE_NAME.fault(format!("The Vpc Endpoint Service '{name}' does not exist"))
}
