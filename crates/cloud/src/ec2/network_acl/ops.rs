//! The network ACL operations.

use super::asked::{Named, direction, number};
use super::{Association, NetworkAcl, view};
use crate::ec2::asked::no_association;
use crate::ec2::describe::{Query, select};
use crate::ec2::security_group_rule::Direction;
use crate::ec2::subnet::Subnet;
use crate::ec2::{tags, vpc};
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_wire::fault::{Common, Fault};

/// EC2 quota "network ACLs per VPC".
const ACLS_MAX: usize = 200;
/// EC2 quota "rules per network ACL", of each direction, the last one not counted.
const ENTRIES_MAX: usize = 20;

/// EC2 CreateNetworkAcl: one that lets nothing through.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateNetworkAclRequest,
) -> Result<api::CreateNetworkAclResult, Fault> {
    let tags = tags::given(input.tag_specifications, api::ResourceType::NetworkAcl)?;
    let vpc = vpc::ops::find(tx, &caller.identity.account, &input.vpc_id)?.body;
    if super::of_vpc(tx, &vpc.id).len() >= ACLS_MAX {
        return Err(api::NETWORK_ACL_LIMIT_EXCEEDED.fault("The maximum number of network ACLs has been reached."));
    }
    tags::not_dry(input.dry_run)?;
    let acl = super::create(tx, &vpc, tags);
    Ok(api::CreateNetworkAclResult { network_acl: Some(view::show(tx, &acl)), client_token: input.client_token })
}

/// EC2 DescribeNetworkAcls.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeNetworkAclsRequest,
) -> Result<api::DescribeNetworkAclsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeNetworkAcls/{account}"),
        ids: input.network_acl_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = view_.list(Index::<NetworkAcl>::prefix(format!("{account}/"))).into_iter();
    let values = |acl: &NetworkAcl, filter: &str| view::values(view_, acl, filter);
    let page = select(&query, all.map(|record| (record.body.id.clone(), record.body)).collect(), values, missing)?;
    let acls = page.items.iter().map(|acl| view::show(view_, acl)).collect();
    Ok(api::DescribeNetworkAclsResult { network_acls: Some(acls), next_token: page.next })
}

/// EC2 DeleteNetworkAcl: not a default one, and not while a subnet is associated with it.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteNetworkAclRequest) -> Result<(), Fault> {
    let record = find(tx, &caller.identity.account, &input.network_acl_id)?;
    let id = &record.body.id;
    if record.body.is_default() {
        return Err(Common::InvalidParameterValue.fault(format!("cannot delete default network ACL {id}")));
    }
    if tx.any(Index::<Subnet>::by("network-acl", id.as_str())) {
        let why = format!("The networkAcl '{id}' has dependencies and cannot be deleted.");
        return Err(api::DEPENDENCY_VIOLATION.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    tx.remove(&record.key);
    Ok(())
}

/// The rule that a request makes of one of these numbers: two types with the same members.
macro_rules! named {
    ($input:ident) => {
        Named {
            protocol: $input.protocol,
            action: $input.rule_action,
            block: $input.cidr_block,
            ipv6_block: $input.ipv6_cidr_block,
            icmp: $input.icmp_type_code,
            ports: $input.port_range,
        }
    };
}

/// EC2 CreateNetworkAclEntry.
pub fn create_entry(tx: &mut Tx, caller: &Caller, input: api::CreateNetworkAclEntryRequest) -> Result<(), Fault> {
    let mut record = find(tx, &caller.identity.account, &input.network_acl_id)?;
    let number = number(input.rule_number)?;
    let entries = record.body.entries_mut(direction(input.egress));
    let entry = named!(input).entry()?;
    if entries.contains_key(&number) {
        let why = format!("The network acl entry identified by {number} already exists.");
        return Err(api::NETWORK_ACL_ENTRY_ALREADY_EXISTS.fault(why));
    }
    if entries.len() >= ENTRIES_MAX {
        let why = "The maximum number of network acl entries has been reached.";
        return Err(api::NETWORK_ACL_ENTRY_LIMIT_EXCEEDED.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    entries.insert(number, entry);
    tx.put(record);
    Ok(())
}

/// EC2 ReplaceNetworkAclEntry: what a rule that is there says from now on.
pub fn replace_entry(tx: &mut Tx, caller: &Caller, input: api::ReplaceNetworkAclEntryRequest) -> Result<(), Fault> {
    let mut record = find(tx, &caller.identity.account, &input.network_acl_id)?;
    let (number, direction) = (number(input.rule_number)?, direction(input.egress));
    let new = named!(input).entry()?;
    let entry = record.body.entries_mut(direction).get_mut(&number);
    *entry.ok_or_else(|| no_entry(direction, number))? = new;
    tags::not_dry(input.dry_run)?;
    tx.put(record);
    Ok(())
}

/// EC2 DeleteNetworkAclEntry.
pub fn delete_entry(tx: &mut Tx, caller: &Caller, input: api::DeleteNetworkAclEntryRequest) -> Result<(), Fault> {
    let mut record = find(tx, &caller.identity.account, &input.network_acl_id)?;
    let (number, direction) = (number(input.rule_number)?, direction(input.egress));
    record.body.entries_mut(direction).remove(&number).ok_or_else(|| no_entry(direction, number))?;
    tags::not_dry(input.dry_run)?;
    tx.put(record);
    Ok(())
}

/// EC2 ReplaceNetworkAclAssociation: another ACL of its VPC for a subnet.
pub fn replace_association(
    tx: &mut Tx,
    caller: &Caller,
    input: api::ReplaceNetworkAclAssociationRequest,
) -> Result<api::ReplaceNetworkAclAssociationResult, Fault> {
    let account = &caller.identity.account;
    let mut subnet = associated(tx, account, &input.association_id)?;
    let acl = find(tx, account, &input.network_acl_id)?.body;
    if acl.vpc != subnet.body.vpc {
        let why = format!("networkAcl {} and subnet {} belong to different networks", acl.id, subnet.body.id);
        return Err(Common::InvalidParameterValue.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    let id = tx.fresh_id("aclassoc-");
    subnet.body.acl = Some(Association { id: id.clone(), acl: acl.id });
    tx.put(subnet);
    Ok(api::ReplaceNetworkAclAssociationResult { new_association_id: Some(id) })
}

fn find(read: &impl Read, account: &str, id: &str) -> Result<Record<NetworkAcl>, Fault> {
    read.get(&NetworkAcl::key(account, id)).ok_or_else(|| missing(id))
}

/// The account's subnet with this association.
fn associated(read: &impl Read, account: &str, id: &str) -> Result<Record<Subnet>, Fault> {
    let subnets = read.list(Index::<Subnet>::by("network-acl-association", id)).into_iter();
    { subnets }.find(|subnet| subnet.body.account == *account).ok_or_else(|| no_association(id))
}

fn no_entry(direction: Direction, number: u16) -> Fault {
    let way = match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    api::INVALID_NETWORK_ACL_ENTRY_NOT_FOUND.fault(format!("no {way} entry with number {number}"))
}

fn missing(id: &str) -> Fault {
    api::INVALID_NETWORK_ACL_ID_NOT_FOUND.fault(format!("The networkAcl ID '{id}' does not exist"))
}
