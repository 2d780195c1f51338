//! The NAT gateway operations.

use super::{Failure, NatGateway, State};
use crate::ec2::address::{self, Address};
use crate::ec2::asked::required;
use crate::ec2::describe::{Query, select, tag_values};
use crate::ec2::network_interface::{self, NetworkInterface, Request};
use crate::ec2::offered::nothing_left;
use crate::ec2::subnet::Subnet;
use crate::ec2::{internet_gateway, subnet, tags};
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_wire::fault::Fault;

/// EC2 quota "NAT gateways per Availability Zone".
const GATEWAYS_MAX: usize = 5;

/// EC2 CreateNatGateway. What is wrong with its address or its VPC is said by the gateway, which fails.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    mut input: api::CreateNatGatewayRequest,
) -> Result<api::CreateNatGatewayResult, Fault> {
    let account = &caller.identity.account;
    let tags = tags::given(input.tag_specifications.take(), api::ResourceType::Natgateway)?;
    let (dry_run, client_token) = (input.dry_run.take(), input.client_token.take());
    let (subnet, allocation) = (input.subnet_id.take(), input.allocation_id.take());
    let private = input.private_ip_address.take();
    input.connectivity_type.take_if(|kind| *kind == api::ConnectivityType::Public);
    input.availability_mode.take_if(|mode| *mode == api::AvailabilityMode::Zonal);
    nothing_left(&input, "A NAT gateway")?;
    let subnet = subnet::ops::find(tx, account, &required(subnet, "SubnetId")?)?.body;
    let allocation = required(allocation, "AllocationId")?;
    let allocation = tx.get(&Address::key(account, &allocation)).ok_or_else(|| address::ops::missing(&allocation))?;
    let mut wish = network_interface::Wish::default();
    wish.addresses(private, None, None)?;
    let granted = wish.grant(tx, &subnet)?;
    if in_zone(tx, account, &subnet.zone) >= GATEWAYS_MAX {
        let why = "The maximum number of NAT gateways has been reached.";
        return Err(api::NAT_GATEWAY_LIMIT_EXCEEDED.fault(why));
    }
    tags::not_dry(dry_run)?;
    let failure = failure(tx, &subnet, &allocation.body);
    let gateway = NatGateway {
        id: tx.fresh_id("nat-"),
        account: account.clone(),
        vpc: subnet.vpc.clone(),
        subnet: subnet.id.clone(),
        allocation: allocation.body.id.clone(),
        interface: None,
        created: tx.now(),
        failure,
        available: false,
        tags,
    };
    let mut record = tx.create(NatGateway::key(account, &gateway.id), None, gateway);
    if record.body.failure.is_none() {
        let request = Request {
            address: granted.address,
            description: format!("Interface for NAT Gateway {}", record.body.id),
            requester_managed: true,
            ..Request::default()
        };
        let interface = network_interface::create(tx, &record.key.any(), &subnet, request);
        address::give(tx, allocation, &interface.id, interface.address);
        record.body.interface = Some(interface.id);
        tx.put(record.clone());
    }
    Ok(api::CreateNatGatewayResult { client_token, nat_gateway: Some(view(tx, &record)) })
}

/// How many NAT gateways an account has in a zone. Those that failed do not count (VPC user guide, "Amazon VPC quotas").
fn in_zone(read: &impl Read, account: &str, zone: &str) -> usize {
    let all = read.list(Index::<NatGateway>::prefix(format!("{account}/")));
    let of = |gateway: &Record<NatGateway>| read.shared(&Subnet::key(account, &gateway.body.subnet));
    let live = all.iter().filter(|gateway| gateway.body.failure.is_none());
    live.filter(|gateway| of(gateway).is_some_and(|subnet| subnet.body.zone == zone)).count()
}

/// What it fails of (VPC user guide, "NAT gateway creation fails").
fn failure(read: &impl Read, subnet: &Subnet, address: &Address) -> Option<Failure> {
    let failure = |code: &str, message| Some(Failure { code: code.into(), message });
    if internet_gateway::of_vpc(read, &subnet.vpc).is_none() {
        let why = format!("Network {} has no Internet gateway attached", subnet.vpc);
        return failure("Gateway.NotAttached", why);
    }
    if address::association(read, address).is_some() {
        let why = format!("Elastic IP address [{}] is already associated", address.id);
        return failure("Resource.AlreadyAssociated", why);
    }
    None
}

/// EC2 DescribeNatGateways.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeNatGatewaysRequest,
) -> Result<api::DescribeNatGatewaysResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeNatGateways/{account}"),
        ids: input.nat_gateway_ids.as_deref().unwrap_or_default(),
        filters: input.filter.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = view_.list(Index::<NatGateway>::prefix(format!("{account}/"))).into_iter();
    let page = select(&query, all.map(|record| (record.body.id.clone(), record)).collect(), values, missing)?;
    let gateways = page.items.iter().map(|record| view(view_, record)).collect();
    Ok(api::DescribeNatGatewaysResult { nat_gateways: Some(gateways), next_token: page.next })
}

fn values(record: &Record<NatGateway>, filter: &str) -> Option<Vec<String>> {
    let gateway = &record.body;
    Some(vec![match filter {
        "nat-gateway-id" => gateway.id.clone(),
        "state" => state(record).as_str().to_owned(),
        "subnet-id" => gateway.subnet.clone(),
        "vpc-id" => gateway.vpc.clone(),
        _ => return tag_values(&gateway.tags, filter),
    }])
}

/// EC2 DeleteNatGateway: its address stays the account's. Routes to it lead nowhere from then on.
pub fn delete(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DeleteNatGatewayRequest,
) -> Result<api::DeleteNatGatewayResult, Fault> {
    let record = find(tx, &caller.identity.account, &input.nat_gateway_id)?;
    tags::not_dry(input.dry_run)?;
    if record.deleting.is_none() {
        tx.delete(&record.key);
    }
    Ok(api::DeleteNatGatewayResult { nat_gateway_id: Some(record.body.id) })
}

/// The account's gateway of this id.
fn find(read: &impl Read, account: &str, id: &str) -> Result<Record<NatGateway>, Fault> {
    read.get(&NatGateway::key(account, id)).ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Fault {
    api::NAT_GATEWAY_NOT_FOUND.fault(format!("NatGateway {id} was not found"))
}

fn state(record: &Record<NatGateway>) -> api::NatGatewayState {
    match State::of(record) {
        State::Pending => api::NatGatewayState::Pending,
        State::Failed => api::NatGatewayState::Failed,
        State::Available => api::NatGatewayState::Available,
        State::Deleting => api::NatGatewayState::Deleting,
    }
}

fn view(read: &impl Read, record: &Record<NatGateway>) -> api::NatGateway {
    let gateway = &record.body;
    api::NatGateway {
        connectivity_type: Some(api::ConnectivityType::Public),
        create_time: Some(gateway.created),
        delete_time: record.deleting,
        failure_code: gateway.failure.as_ref().map(|failure| failure.code.clone()),
        failure_message: gateway.failure.as_ref().map(|failure| failure.message.clone()),
        nat_gateway_addresses: Some(vec![its_address(read, gateway)]),
        nat_gateway_id: Some(gateway.id.clone()),
        state: Some(state(record)),
        subnet_id: Some(gateway.subnet.clone()),
        tags: tags::shown(&gateway.tags),
        vpc_id: Some(gateway.vpc.clone()),
        ..Default::default()
    }
}

fn its_address(read: &impl Read, gateway: &NatGateway) -> api::NatGatewayAddress {
    let mut shown = api::NatGatewayAddress {
        allocation_id: Some(gateway.allocation.clone()),
        is_primary: Some(true),
        status: Some(api::NatGatewayAddressStatus::Failed),
        ..Default::default()
    };
    let Some(interface) = &gateway.interface else { return shown };
    let address = read.shared(&Address::key(&gateway.account, &gateway.allocation));
    shown.status = Some(api::NatGatewayAddressStatus::Succeeded);
    shown.network_interface_id = Some(interface.clone());
    shown.private_ip = read.shared(&NetworkInterface::key(interface)).map(|eni| eni.body.address.to_string());
    shown.public_ip = address.as_ref().map(|address| address.body.public.to_string());
    let association = address.and_then(|address| address.body.association.clone());
    shown.association_id = association.map(|association| association.id);
    shown
}
