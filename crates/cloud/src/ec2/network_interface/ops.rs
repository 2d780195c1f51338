//! The network interface operations.

use super::wish::{Granted, Wish, fits};
use super::{NetworkInterface, Request, view};
use crate::ec2::describe::{Query, select};
use crate::ec2::instance::{self, State};
use crate::ec2::{instance_type, security_group, subnet, tags};
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_types::Cidr;
use roadstead_wire::fault::{Common, Fault};
use std::net::Ipv4Addr;

/// EC2 quota "network interfaces per region".
const INTERFACES_MAX: usize = 5000;
/// N of an `ethN` at most: more than any type has interfaces.
const DEVICE_INDEX_MAX: i32 = 15;

/// EC2 CreateNetworkInterface.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateNetworkInterfaceRequest,
) -> Result<api::CreateNetworkInterfaceResult, Fault> {
    let account = &caller.identity.account;
    if input.interface_type.is_some() || asks_for_ipv6(&input) {
        let why = "Only interfaces of type 'interface' with IPv4 addresses are offered: leave InterfaceType and what \
                   is IPv6 out.";
        return Err(api::UNSUPPORTED.fault(why));
    }
    let tags = tags::given(input.tag_specifications, api::ResourceType::NetworkInterface)?;
    let subnet = subnet::ops::find(tx, account, &input.subnet_id)?.body;
    let groups = security_group::ops::in_vpc(tx, account, &subnet.vpc, &input.groups.unwrap_or_default())?;
    if tx.count(Index::<NetworkInterface>::by("account", account.as_str())) >= INTERFACES_MAX {
        let why = format!("The maximum number of network interfaces has been reached: {INTERFACES_MAX}");
        return Err(api::NETWORK_INTERFACE_LIMIT_EXCEEDED.fault(why));
    }
    let mut wish = Wish::default();
    wish.addresses(input.private_ip_address, input.private_ip_addresses, input.secondary_private_ip_address_count)?;
    wish.prefixes(texts(input.ipv4_prefixes), input.ipv4_prefix_count)?;
    fits(None, wish.places())?;
    let Granted { address, secondary, prefixes } = wish.grant(tx, &subnet)?;
    tags::not_dry(input.dry_run)?;
    let description = input.description.unwrap_or_default();
    let request = Request { address, secondary, prefixes, groups, description, tags, ..Request::default() };
    let interface = super::create_for_user(tx, &subnet, request);
    let shown = view::show(tx, &caller.region, &interface);
    Ok(api::CreateNetworkInterfaceResult { network_interface: Some(shown), client_token: input.client_token })
}

fn asks_for_ipv6(input: &api::CreateNetworkInterfaceRequest) -> bool {
    input.ipv6_address_count.is_some_and(|n| n > 0)
        || input.ipv6_prefix_count.is_some_and(|n| n > 0)
        || input.ipv6_addresses.as_ref().is_some_and(|list| !list.is_empty())
        || input.ipv6_prefixes.as_ref().is_some_and(|list| !list.is_empty())
        || input.enable_primary_ipv6 == Some(true)
}

pub(crate) fn texts(prefixes: Option<Vec<api::Ipv4PrefixSpecificationRequest>>) -> Vec<String> {
    prefixes.unwrap_or_default().into_iter().filter_map(|prefix| prefix.ipv4_prefix).collect()
}

/// EC2 DescribeNetworkInterfaces.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeNetworkInterfacesRequest,
) -> Result<api::DescribeNetworkInterfacesResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeNetworkInterfaces/{account}"),
        ids: input.network_interface_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = view_.list(Index::<NetworkInterface>::by("account", account.as_str())).into_iter();
    let all = all.filter(|record| record.deleting.is_none()).map(|record| (record.body.id.clone(), record.body));
    let values = |eni: &NetworkInterface, filter: &str| view::values(view_, &caller.region, eni, filter);
    let page = select(&query, all.collect(), values, missing)?;
    let shown = page.items.iter().map(|eni| view::show(view_, &caller.region, eni)).collect();
    Ok(api::DescribeNetworkInterfacesResult { network_interfaces: Some(shown), next_token: page.next })
}

/// EC2 DeleteNetworkInterface: only one that is in no instance.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteNetworkInterfaceRequest) -> Result<(), Fault> {
    let record = own(tx, &caller.identity.account, &input.network_interface_id)?;
    if record.body.attachment.is_some() {
        let why = format!("Network interface '{}' is currently in use.", record.body.id);
        return Err(Common::InvalidParameterValue.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    tx.delete(&record.key);
    Ok(())
}

/// EC2 AttachNetworkInterface.
pub fn attach(
    tx: &mut Tx,
    caller: &Caller,
    input: api::AttachNetworkInterfaceRequest,
) -> Result<api::AttachNetworkInterfaceResult, Fault> {
    let account = &caller.identity.account;
    let eni = own(tx, account, &input.network_interface_id)?.body;
    let record = instance::ops::find(tx, account, &input.instance_id)?;
    let (id, launch) = (&record.body.spec.id, instance::ops::launched(&record)?);
    if !matches!(State::of(&record), State::Pending | State::Running | State::Stopped) {
        return Err(api::INCORRECT_STATE.fault(format!("Instance '{id}' is not 'running' or 'stopped'.")));
    }
    if eni.attachment.is_some() {
        return Err(in_use(&eni.id));
    }
    if eni.vpc != launch.vpc || eni.zone != launch.zone {
        let why = "You may not attach a network interface to an instance if they are not in the same availability \
                   zone and VPC";
        return Err(Common::InvalidParameterCombination.fault(why));
    }
    let index = u32::try_from(input.device_index).ok().filter(|_| input.device_index <= DEVICE_INDEX_MAX);
    let index = index.filter(|_| input.network_card_index.unwrap_or(0) == 0).ok_or_else(|| {
        Common::InvalidParameterValue.fault(format!("Invalid device index: 0 to {DEVICE_INDEX_MAX} of network card 0"))
    })?;
    let there = super::of_instance(tx, id);
    if there.iter().filter_map(|eni| eni.body.attachment.as_ref()).any(|other| other.device_index == index) {
        let why = format!("Instance '{id}' already has an interface attached at device index '{index}'.");
        return Err(Common::InvalidParameterValue.fault(why));
    }
    let size = instance_type::find(&launch.instance_type);
    if size.is_some_and(|size| there.len() >= size.enis) {
        let why = format!("Interface count {} exceeds the limit for {}", there.len() + 1, launch.instance_type);
        return Err(api::ATTACHMENT_LIMIT_EXCEEDED.fault(why));
    }
    fits(size, eni.places())?;
    tags::not_dry(input.dry_run)?;
    let attachment = super::attach(tx, &eni.id, id, index, false);
    Ok(api::AttachNetworkInterfaceResult { attachment_id: Some(attachment), network_card_index: Some(0) })
}

/// EC2 DetachNetworkInterface: it is free once its machine no longer has it. `Force` hurries nothing here.
pub fn detach(tx: &mut Tx, caller: &Caller, input: api::DetachNetworkInterfaceRequest) -> Result<(), Fault> {
    let id = &input.attachment_id;
    let mut record = attached(tx, &caller.identity.account, id)?;
    let attachment = record.body.attachment.as_mut().filter(|attachment| attachment.device_index > 0);
    let attachment = attachment.ok_or_else(|| {
        let why = "The network interface at device index 0 and networkCard index 0 cannot be detached.";
        api::OPERATION_NOT_PERMITTED.fault(why)
    })?;
    if attachment.detaching {
        return Err(api::INCORRECT_STATE.fault(format!("Attachment '{id}' is already being detached.")));
    }
    tags::not_dry(input.dry_run)?;
    attachment.detaching = true;
    tx.put(record);
    Ok(())
}

/// The user's interface with this attachment.
fn attached(read: &impl Read, account: &str, id: &str) -> Result<Record<NetworkInterface>, Fault> {
    let found = read.list(Index::<NetworkInterface>::by("attachment", id)).into_iter();
    if let Some(record) = { found }.find(|record| record.body.account == account) {
        return Ok(record);
    }
    let of_service = read.get(&NetworkInterface::key(&view::interface_of_attachment(id)));
    if of_service.is_some_and(|record| record.body.account == account && record.body.requester_managed) {
        return Err(api::OPERATION_NOT_PERMITTED.fault(format!("You are not allowed to manage '{id}' attachments.")));
    }
    Err(api::INVALID_ATTACHMENT_ID_NOT_FOUND.fault(format!("The attachment '{id}' does not exist.")))
}

/// EC2 ModifyNetworkInterfaceAttribute: one attribute at a time.
pub fn modify_attribute(
    tx: &mut Tx,
    caller: &Caller,
    input: api::ModifyNetworkInterfaceAttributeRequest,
) -> Result<(), Fault> {
    let account = &caller.identity.account;
    let mut record = own(tx, account, &input.network_interface_id)?;
    let eni = &mut record.body;
    match (input.description, input.groups, input.attachment, input.source_dest_check) {
        (Some(description), None, None, None) => eni.description = description.value.unwrap_or_default(),
        (None, Some(groups), None, None) => eni.groups = security_group::ops::in_vpc(tx, account, &eni.vpc, &groups)?,
        (None, None, Some(changes), None) => {
            let id = changes.attachment_id.unwrap_or_default();
            let attachment = eni.attachment.as_mut().filter(|attachment| attachment.id == id).ok_or_else(|| {
                api::INVALID_ATTACHMENT_ID_NOT_FOUND.fault(format!("The attachment '{id}' does not exist."))
            })?;
            attachment.delete_on_termination =
                changes.delete_on_termination.unwrap_or(attachment.delete_on_termination);
        }
        (None, None, None, Some(check)) => eni.source_dest_check = check.value.unwrap_or(true),
        _ => {
            let why = "Specify exactly one attribute: description, groups, attachment or sourceDestCheck";
            return Err(Common::InvalidParameterCombination.fault(why));
        }
    }
    tags::not_dry(input.dry_run)?;
    tx.put(record);
    Ok(())
}

/// EC2 AssignPrivateIpAddresses: addresses or prefixes, by number or by name.
pub fn assign_addresses(
    tx: &mut Tx,
    caller: &Caller,
    input: api::AssignPrivateIpAddressesRequest,
) -> Result<api::AssignPrivateIpAddressesResult, Fault> {
    let account = &caller.identity.account;
    let mut record = own(tx, account, &input.network_interface_id)?;
    let mut wish = Wish::default();
    wish.more_addresses(input.private_ip_addresses, input.secondary_private_ip_address_count)?;
    wish.prefixes(input.ipv4_prefixes.unwrap_or_default(), input.ipv4_prefix_count)?;
    if wish.is_empty() {
        let why = "The request must contain the parameter secondaryPrivateIpAddressCount, privateIpAddress, \
                   ipv4PrefixCount or ipv4Prefix";
        return Err(Common::MissingParameter.fault(why));
    }
    let size = record.body.attachment.as_ref().and_then(|attachment| size_of(tx, &attachment.instance));
    fits(size, record.body.places() + wish.more())?;
    let subnet = subnet::ops::find(tx, account, &record.body.subnet)?.body;
    if input.allow_reassignment == Some(true) {
        reassign(tx, account, &record.body, &wish.secondary);
    }
    let granted = wish.grant_more(tx, &subnet)?;
    record.body.secondary.extend(&granted.secondary);
    record.body.prefixes.extend(&granted.prefixes);
    tx.put(record);
    let address = |a: &Ipv4Addr| api::AssignedPrivateIpAddress { private_ip_address: Some(a.to_string()) };
    Ok(api::AssignPrivateIpAddressesResult {
        network_interface_id: Some(input.network_interface_id),
        assigned_private_ip_addresses: Some(granted.secondary.iter().map(address).collect()),
        assigned_ipv4_prefixes: Some(view::prefixes(&granted.prefixes)),
    })
}

fn size_of(read: &impl Read, instance: &str) -> Option<&'static instance_type::InstanceType> {
    let record = read.shared(&instance::Instance::key(instance))?;
    instance_type::find(&record.body.spec.launch.as_ref()?.instance_type)
}

/// Takes secondary addresses from the account's other interfaces in the subnet.
fn reassign(tx: &mut Tx, account: &str, to: &NetworkInterface, addresses: &[Ipv4Addr]) {
    for address in addresses {
        let held = tx.list(Index::<NetworkInterface>::by("address", NetworkInterface::at(&to.subnet, *address)));
        let held = held.into_iter().filter(|record| record.body.account == account && record.body.id != to.id);
        for mut record in held.filter(|record| !record.body.requester_managed) {
            record.body.secondary.retain(|other| other != address);
            tx.put(record);
        }
    }
}

/// EC2 UnassignPrivateIpAddresses.
pub fn unassign_addresses(
    tx: &mut Tx,
    caller: &Caller,
    input: api::UnassignPrivateIpAddressesRequest,
) -> Result<(), Fault> {
    let mut record = own(tx, &caller.identity.account, &input.network_interface_id)?;
    let addresses: Vec<Ipv4Addr> = super::wish::parse(&input.private_ip_addresses.unwrap_or_default())?;
    let prefixes: Vec<Cidr> = super::wish::parse(&input.ipv4_prefixes.unwrap_or_default())?;
    if addresses.is_empty() && prefixes.is_empty() {
        let why = "The request must contain the parameter privateIpAddress or ipv4Prefix";
        return Err(Common::MissingParameter.fault(why));
    }
    let eni = &mut record.body;
    let assigned =
        addresses.iter().all(|a| eni.secondary.contains(a)) && prefixes.iter().all(|p| eni.prefixes.contains(p));
    if !assigned {
        let why = format!("Some of the specified addresses are not assigned to interface {}", eni.id);
        return Err(Common::InvalidParameterValue.fault(why));
    }
    eni.secondary.retain(|address| !addresses.contains(address));
    eni.prefixes.retain(|prefix| !prefixes.contains(prefix));
    tx.put(record);
    Ok(())
}

/// An interface of the account that its user may change.
pub(crate) fn own(read: &impl Read, account: &str, id: &str) -> Result<Record<NetworkInterface>, Fault> {
    let record = read.get(&NetworkInterface::key(id));
    let record = record.filter(|record| record.deleting.is_none() && record.body.account == account);
    let record = record.ok_or_else(|| missing(id))?;
    if record.body.requester_managed {
        return Err(not_yours());
    }
    Ok(record)
}

pub(crate) fn missing(id: &str) -> Fault {
    api::INVALID_NETWORK_INTERFACE_ID_NOT_FOUND.fault(format!("The networkInterface ID '{id}' does not exist"))
}

pub(crate) fn in_use(id: &str) -> Fault {
    api::INVALID_NETWORK_INTERFACE_IN_USE.fault(format!("Interface: [{id}] in use."))
}

/// What is asked for is a service's.
pub(crate) fn not_yours() -> Fault {
    api::AUTH_FAILURE.fault("You do not have permission to access the specified resource.")
}
