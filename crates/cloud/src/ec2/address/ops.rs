//! The elastic address operations.

use super::Address;
use crate::ec2::asked::no_association;
use crate::ec2::describe::{Query, select, tag_values};
use crate::ec2::network_interface::{self, NetworkInterface};
use crate::ec2::offered::nothing_left;
use crate::ec2::{instance, internet_gateway, tags};
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_types::Tags;
use roadstead_wire::fault::{Common, Fault};

/// EC2 quota "EC2-VPC Elastic IPs".
pub(crate) const ADDRESSES_MAX: usize = 5;

/// EC2 AllocateAddress.
pub fn allocate(
    tx: &mut Tx,
    caller: &Caller,
    mut input: api::AllocateAddressRequest,
) -> Result<api::AllocateAddressResult, Fault> {
    let account = &caller.identity.account;
    let tags = tags::given(input.tag_specifications.take(), api::ResourceType::ElasticIp)?;
    let dry_run = input.dry_run.take();
    input.domain.take_if(|domain| *domain == api::DomainType::Vpc);
    input.network_border_group.take_if(|group| *group == caller.region);
    input.public_ipv4_pool.take_if(|pool| pool == POOL);
    nothing_left(&input, "An elastic address")?;
    let too_many = || api::ADDRESS_LIMIT_EXCEEDED.fault("The maximum number of addresses has been reached.");
    if tx.count(Index::<Address>::prefix(format!("{account}/"))) >= ADDRESSES_MAX {
        return Err(too_many());
    }
    let public = super::free(tx).ok_or_else(too_many)?;
    tags::not_dry(dry_run)?;
    let address = insert(tx, account, public, tags);
    Ok(api::AllocateAddressResult {
        allocation_id: Some(address.id),
        public_ipv4_pool: Some(POOL.into()),
        network_border_group: Some(caller.region.clone()),
        domain: Some(api::DomainType::Vpc),
        public_ip: Some(address.public.to_string()),
        ..Default::default()
    })
}

/// The one pool that addresses come from.
const POOL: &str = "amazon";

fn insert(tx: &mut Tx, account: &str, public: std::net::Ipv4Addr, tags: Tags) -> Address {
    let address = Address { id: tx.fresh_id("eipalloc-"), account: account.into(), public, association: None, tags };
    tx.create(Address::key(account, &address.id), None, address.clone());
    address
}

/// EC2 ReleaseAddress: only one that nobody has.
pub fn release(tx: &mut Tx, caller: &Caller, input: api::ReleaseAddressRequest) -> Result<(), Fault> {
    let record = named(tx, &caller.identity.account, input.allocation_id, input.public_ip)?;
    if super::association(tx, &record.body).is_some() {
        return Err(api::INVALID_IP_ADDRESS_IN_USE.fault(format!("Address {} is in use.", record.body.public)));
    }
    tags::not_dry(input.dry_run)?;
    tx.remove(&record.key);
    Ok(())
}

/// EC2 DescribeAddresses.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeAddressesRequest,
) -> Result<api::DescribeAddressesResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let ips = input.public_ips.unwrap_or_default();
    let all: Vec<Address> = view_
        .list(Index::<Address>::prefix(format!("{account}/")))
        .into_iter()
        .map(|record| record.body)
        .filter(|address| ips.is_empty() || ips.contains(&address.public.to_string()))
        .collect();
    if let Some(ip) = ips.iter().find(|ip| all.iter().all(|address| address.public.to_string() != **ip)) {
        return Err(not_found(ip));
    }
    let query = Query {
        scope: format!("ec2:DescribeAddresses/{account}"),
        ids: input.allocation_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: None,
        token: None,
    };
    let shown = |address: Address| (address.id.clone(), (show(view_, &caller.region, &address), address.tags));
    let values = |(shown, tags): &(api::Address, Tags), filter: &str| values(shown, tags, filter);
    let page = select(&query, all.into_iter().map(shown).collect(), values, missing)?;
    let addresses = page.items.into_iter().map(|(shown, _)| shown).collect();
    Ok(api::DescribeAddressesResult { addresses: Some(addresses) })
}

fn values(shown: &api::Address, tags: &Tags, filter: &str) -> Option<Vec<String>> {
    let text = |value: &Option<String>| Some(value.iter().cloned().collect());
    match filter {
        "allocation-id" => text(&shown.allocation_id),
        "association-id" => text(&shown.association_id),
        "domain" => Some(vec![api::DomainType::Vpc.as_str().into()]),
        "instance-id" => text(&shown.instance_id),
        "network-border-group" => text(&shown.network_border_group),
        "network-interface-id" => text(&shown.network_interface_id),
        "network-interface-owner-id" => text(&shown.network_interface_owner_id),
        "private-ip-address" => text(&shown.private_ip_address),
        "public-ip" => text(&shown.public_ip),
        _ => tag_values(tags, filter),
    }
}

fn show(read: &impl Read, region: &str, address: &Address) -> api::Address {
    let mut shown = api::Address {
        allocation_id: Some(address.id.clone()),
        domain: Some(api::DomainType::Vpc),
        tags: tags::shown(&address.tags),
        public_ipv4_pool: Some(POOL.into()),
        network_border_group: Some(region.into()),
        public_ip: Some(address.public.to_string()),
        ..Default::default()
    };
    if let Some((association, interface)) = super::association(read, address) {
        shown.association_id = Some(association.id.clone());
        shown.network_interface_id = Some(association.interface.clone());
        shown.network_interface_owner_id = Some(address.account.clone());
        shown.private_ip_address = Some(association.private.to_string());
        shown.instance_id = interface.body.attachment.map(|attachment| attachment.instance);
    }
    shown
}

/// EC2 AssociateAddress: an address moves, unless that is forbidden; a private address has one.
pub fn associate(
    tx: &mut Tx,
    caller: &Caller,
    input: api::AssociateAddressRequest,
) -> Result<api::AssociateAddressResult, Fault> {
    let account = &caller.identity.account;
    let record = named(tx, account, input.allocation_id, input.public_ip)?;
    let interface = interface(tx, account, input.network_interface_id, input.instance_id)?.body;
    let private = match &input.private_ip_address {
        None => interface.address,
        Some(text) => [interface.address]
            .into_iter()
            .chain(interface.secondary.iter().copied())
            .find(|address| address.to_string() == *text)
            .ok_or_else(|| {
                let why = format!("Private IP address {text} is not assigned to interface {}", interface.id);
                Common::InvalidParameterValue.fault(why)
            })?,
    };
    let fixed = input.allow_reassociation == Some(false);
    may_move(tx, &record.body)?;
    if let Some((association, _)) = super::association(tx, &record.body).filter(|_| fixed) {
        let why = format!("resource {} is already associated with associate-id {}", record.body.id, association.id);
        return Err(api::RESOURCE_ALREADY_ASSOCIATED.fault(why));
    }
    if internet_gateway::of_vpc(tx, &interface.vpc).is_none() {
        let why = format!("Network {} is not attached to any internet gateway", interface.vpc);
        return Err(api::GATEWAY_NOT_ATTACHED.fault(why));
    }
    let is_there = |other: &Record<Address>| other.body.association.as_ref().is_some_and(|a| a.private == private);
    let others = super::of_interface(tx, &interface.id).into_iter().filter(|other| other.key != record.key);
    let other = { others }.find(is_there);
    if other.is_some() && fixed {
        let why = format!("resource {} is already associated with an elastic address", interface.id);
        return Err(api::RESOURCE_ALREADY_ASSOCIATED.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    if let Some(mut other) = other {
        other.body.association = None;
        tx.put(other);
    }
    let id = super::give(tx, record, &interface.id, private);
    Ok(api::AssociateAddressResult { association_id: Some(id) })
}

/// The user's interface that is named, by itself or as an instance's first.
fn interface(
    read: &impl Read,
    account: &str,
    id: Option<String>,
    of: Option<String>,
) -> Result<Record<NetworkInterface>, Fault> {
    match (id, of) {
        (Some(id), None) => network_interface::ops::own(read, account, &id),
        (None, Some(instance)) => {
            instance::ops::find(read, account, &instance)?;
            let first = network_interface::of_instance(read, &instance).into_iter().next();
            first.ok_or_else(|| {
                let why = format!("The instance '{instance}' has no network interface");
                Common::InvalidParameterValue.fault(why)
            })
        }
        _ => {
            let why = "Either instance ID or network interface id must be specified";
            Err(Common::MissingParameter.fault(why))
        }
    }
}

/// EC2 DisassociateAddress.
pub fn disassociate(tx: &mut Tx, caller: &Caller, input: api::DisassociateAddressRequest) -> Result<(), Fault> {
    let account = &caller.identity.account;
    let mut record = match (input.association_id, input.public_ip) {
        (Some(id), None) => {
            let found = tx.list(Index::<Address>::by("association", id.as_str())).into_iter();
            let found = { found }.find(|address| address.body.account == *account);
            found
                .filter(|address| super::association(tx, &address.body).is_some())
                .ok_or_else(|| no_association(&id))?
        }
        (id, ip) => named(tx, account, id, ip)?,
    };
    may_move(tx, &record.body)?;
    tags::not_dry(input.dry_run)?;
    record.body.association = None;
    tx.put(record);
    Ok(())
}

/// What a service has is not its user's to give away.
fn may_move(read: &impl Read, address: &Address) -> Result<(), Fault> {
    match super::association(read, address) {
        Some((_, interface)) if interface.body.requester_managed => Err(network_interface::ops::not_yours()),
        _ => Ok(()),
    }
}

/// The account's address that a request names.
fn named(read: &impl Read, account: &str, id: Option<String>, ip: Option<String>) -> Result<Record<Address>, Fault> {
    match (id, ip) {
        (Some(id), None) => read.get(&Address::key(account, &id)).ok_or_else(|| missing(&id)),
        (None, Some(ip)) => {
            let found = read.list(Index::<Address>::by("public", ip.as_str())).into_iter();
            { found }.find(|address| address.body.account == account).ok_or_else(|| not_found(&ip))
        }
        (None, None) => {
            let why = "The request must contain the parameter AllocationId or PublicIp";
            Err(Common::MissingParameter.fault(why))
        }
        (Some(_), Some(_)) => {
            let why = "You may specify public IP or allocation id, but not both in the same call";
            Err(Common::InvalidParameterCombination.fault(why))
        }
    }
}

pub(crate) fn missing(id: &str) -> Fault {
    api::INVALID_ALLOCATION_ID_NOT_FOUND.fault(format!("The allocation ID '{id}' does not exist"))
}

fn not_found(ip: &str) -> Fault {
    api::INVALID_ADDRESS_NOT_FOUND.fault(format!("Address '{ip}' not found."))
}
