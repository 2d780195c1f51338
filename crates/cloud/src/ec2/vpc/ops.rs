//! The VPC operations.

use super::{Attributes, Block, Vpc};
use crate::ec2::asked::required;
use crate::ec2::describe::{Query, select, tag_values};
use crate::ec2::dhcp_options;
use crate::ec2::internet_gateway;
use crate::ec2::network_acl;
use crate::ec2::network_interface;
use crate::ec2::offered::nothing_left;
use crate::ec2::route_table;
use crate::ec2::security_group::{self, SecurityGroup};
use crate::ec2::subnet::Subnet;
use crate::ec2::tags;
use crate::ec2::vpc_endpoint::VpcEndpoint;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_types::Cidr;
use roadstead_wire::fault::{Common, Fault};
use std::net::Ipv4Addr;

/// EC2 quota "VPCs per region", raised from AWS's 5: clusters in VPCs of their own are what this region is for.
pub(crate) const VPCS_MAX: usize = 100;

/// EC2 quota "IPv4 CIDR blocks per VPC".
const BLOCKS_MAX: usize = 5;

/// EC2 CreateVpc.
pub fn create(tx: &mut Tx, caller: &Caller, mut input: api::CreateVpcRequest) -> Result<api::CreateVpcResult, Fault> {
    let account = &caller.identity.account;
    let tags = tags::given(input.tag_specifications.take(), api::ResourceType::Vpc)?;
    let (text, dry_run) = (input.cidr_block.take(), input.dry_run.take());
    input.instance_tenancy.take_if(|tenancy| *tenancy == api::Tenancy::Default);
    input.amazon_provided_ipv6_cidr_block.take_if(|asked| !*asked);
    nothing_left(&input, "A VPC")?;
    let text = required(text, "cidrBlock")?;
    let cidr = block(&text)?;
    if tx.list(Index::<Vpc>::prefix(format!("{account}/"))).len() >= VPCS_MAX {
        return Err(api::VPC_LIMIT_EXCEEDED.fault("The maximum number of VPCs has been reached."));
    }
    tags::not_dry(dry_run)?;
    let mut vpc = super::create(tx, account, cidr, false);
    vpc.tags = tags;
    tx.set(&Vpc::key(account, &vpc.id), None, vpc.clone());
    Ok(api::CreateVpcResult { vpc: Some(view(&vpc)) })
}

/// A VPC's block: /16 to /28 (VPC user guide, "VPC CIDR blocks"), apart from what services use inside.
fn block(text: &str) -> Result<Cidr, Fault> {
    let malformed = || {
        Common::InvalidParameterValue
            .fault(format!("Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."))
    };
    let cidr: Cidr = text.parse().map_err(|_| malformed())?;
    let reserved =
        [([198, 19, 0, 0], 16), ([127, 0, 0, 0], 8), ([169, 254, 0, 0], 16), ([224, 0, 0, 0], 4), ([0, 0, 0, 0], 8)];
    let taken = reserved.iter().any(|(base, prefix)| Cidr::containing(Ipv4Addr::from(*base), *prefix).overlaps(cidr));
    if taken || !(16..=28).contains(&cidr.prefix()) {
        return Err(api::INVALID_VPC_RANGE.fault(format!("The CIDR '{text}' is invalid.")));
    }
    Ok(cidr)
}

/// EC2 DescribeVpcs.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeVpcsRequest,
) -> Result<api::DescribeVpcsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeVpcs/{account}"),
        ids: input.vpc_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = view_.list(Index::<Vpc>::prefix(format!("{account}/")));
    let all = all.into_iter().map(|r| (r.body.id.clone(), r.body)).collect();
    let page = select(&query, all, values, missing)?;
    Ok(api::DescribeVpcsResult { vpcs: Some(page.items.iter().map(view).collect()), next_token: page.next })
}

fn values(vpc: &Vpc, filter: &str) -> Option<Vec<String>> {
    Some(vec![match filter {
        "vpc-id" => vpc.id.clone(),
        "cidr" | "cidr-block" | "cidrBlock" => vpc.cidr.to_string(),
        "cidr-block-association.cidr-block" => return Some(vpc.blocks().map(|block| block.to_string()).collect()),
        "cidr-block-association.association-id" => {
            let association = |(id, _): (String, Cidr)| id;
            return Some(associations(vpc).map(association).collect());
        }
        "cidr-block-association.state" => "associated".into(),
        "is-default" | "isDefault" => vpc.is_default.to_string(),
        "owner-id" => vpc.account.clone(),
        "state" => "available".into(),
        "dhcp-options-id" | "dhcpOptionsId" => dhcp_options::id(&vpc.account),
        _ => return tag_values(&vpc.tags, filter),
    }])
}

/// EC2 DeleteVpc: only when nothing but its default security group, main route table and default network ACL is in it.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteVpcRequest) -> Result<(), Fault> {
    let record = find(tx, &caller.identity.account, &input.vpc_id)?;
    let vpc = &record.body;
    let groups = tx.list(Index::<SecurityGroup>::by("vpc", vpc.id.as_str()));
    let subnets = tx.list(Index::<Subnet>::by("vpc", vpc.id.as_str()));
    let tables = route_table::of_vpc(tx, &vpc.id);
    let acls = network_acl::of_vpc(tx, &vpc.id);
    let guarded = acls.iter().any(|acl| !acl.body.is_default())
        || groups.iter().any(|g| g.deleting.is_none() && g.body.name != "default");
    let routed = tables.iter().any(|t| t.body.main.is_none()) || internet_gateway::of_vpc(tx, &vpc.id).is_some();
    let has_endpoints = tx.any(Index::<VpcEndpoint>::by("vpc", vpc.id.as_str()));
    if routed || guarded || has_endpoints || !subnets.is_empty() {
        let why = format!("The vpc '{}' has dependencies and cannot be deleted.", vpc.id);
        return Err(api::DEPENDENCY_VIOLATION.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    for table in tables {
        tx.remove(&table.key);
    }
    for acl in acls {
        tx.remove(&acl.key);
    }
    for group in groups {
        security_group::remove(tx, &group.body.account, &group.body.id);
    }
    tx.delete(&record.key);
    Ok(())
}

/// EC2 AssociateVpcCidrBlock: one more block, apart from the others, of the same private range, and no route's destination
/// (VPC user guide, "IPv4 VPC CIDR block association restrictions").
pub fn associate_block(
    tx: &mut Tx,
    caller: &Caller,
    mut input: api::AssociateVpcCidrBlockRequest,
) -> Result<api::AssociateVpcCidrBlockResult, Fault> {
    let mut record = find(tx, &caller.identity.account, &std::mem::take(&mut input.vpc_id))?;
    let text = input.cidr_block.take();
    input.amazon_provided_ipv6_cidr_block.take_if(|asked| !*asked);
    nothing_left(&input, "A block of a VPC")?;
    let text = required(text, "cidrBlock")?;
    let cidr = block(&text)?;
    let vpc = &record.body;
    if vpc.blocks().any(|own| own.overlaps(cidr)) {
        let why = format!("The CIDR '{text}' conflicts with another CIDR block of the VPC");
        return Err(api::CIDR_CONFLICT.fault(why));
    }
    if private_range(cidr).is_some_and(|range| private_range(vpc.cidr).is_some_and(|own| own != range)) {
        let why = format!(
            "The CIDR '{text}' is restricted. Use a CIDR from the same private address range as the current VPC CIDR, or \
             use a publicly-routable CIDR."
        );
        return Err(api::INVALID_VPC_RANGE.fault(why));
    }
    let tables = route_table::of_vpc(tx, &vpc.id);
    let leads_there = |to: &Cidr| cidr.contains_cidr(*to);
    if let Some(table) = tables.iter().find(|table| table.body.routes.keys().any(leads_there)) {
        let why =
            format!("The CIDR '{text}' is the same as or larger than a destination in route table {}", table.body.id);
        return Err(Common::InvalidParameterValue.fault(why));
    }
    if vpc.blocks().count() >= BLOCKS_MAX {
        let why = format!("This network '{}' has met its maximum number of allowed CIDRs: {BLOCKS_MAX}", vpc.id);
        return Err(api::CIDR_LIMIT_EXCEEDED.fault(why));
    }
    let id = tx.fresh_id("vpc-cidr-assoc-");
    record.body.more.push(Block { association: id.clone(), cidr });
    let vpc_id = Some(record.body.id.clone());
    tx.put(record);
    let shown = association(id, cidr, api::VpcCidrBlockStateCode::Associating);
    Ok(api::AssociateVpcCidrBlockResult { cidr_block_association: Some(shown), vpc_id, ..Default::default() })
}

/// The private range (RFC 1918) that a block is in.
fn private_range(block: Cidr) -> Option<usize> {
    let ranges = [([10, 0, 0, 0], 8), ([172, 16, 0, 0], 12), ([192, 168, 0, 0], 16)];
    ranges.iter().position(|(base, prefix)| Cidr::containing(Ipv4Addr::from(*base), *prefix).contains_cidr(block))
}

/// EC2 DisassociateVpcCidrBlock: not the primary block, and none that a subnet is in.
pub fn disassociate_block(
    tx: &mut Tx,
    caller: &Caller,
    input: api::DisassociateVpcCidrBlockRequest,
) -> Result<api::DisassociateVpcCidrBlockResult, Fault> {
    let (account, id) = (&caller.identity.account, input.association_id);
    let primary = id.strip_prefix("vpc-cidr-assoc-").map(|rest| Vpc::key(account, &format!("vpc-{rest}")));
    if primary.is_some_and(|key| tx.shared(&key).is_some()) {
        let why = format!(
            "The vpc CIDR block with association ID {id} may not be disassociated. It is the primary IPv4 CIDR block of \
             the VPC"
        );
        return Err(api::OPERATION_NOT_PERMITTED.fault(why));
    }
    let found = tx.list(Index::<Vpc>::by("association", id.as_str())).into_iter();
    let found = { found }.find(|vpc| vpc.body.account == *account && vpc.deleting.is_none());
    let mut record = found.ok_or_else(|| {
        let why = format!("The vpc CIDR block with association ID {id} does not exist");
        api::INVALID_VPC_CIDR_BLOCK_ASSOCIATION_ID_NOT_FOUND.fault(why)
    })?;
    let of = |block: &Block| block.association == id;
    let Some(block) = record.body.more.iter().find(|block| of(block)).cloned() else {
        return Err(Common::InternalFailure.fault("a VPC is indexed by an association that it does not have"));
    };
    let subnets = tx.list(Index::<Subnet>::by("vpc", record.body.id.as_str()));
    if subnets.iter().any(|subnet| block.cidr.contains_cidr(subnet.body.cidr)) {
        let why = format!("The vpc currently has a subnet within CIDR block {}", block.cidr);
        return Err(api::INVALID_CIDR_BLOCK_IN_USE.fault(why));
    }
    if network_interface::held_in(tx, &record.body.id, block.cidr) > 0 {
        // The words are ours: at EKS a cluster has a name for this.
        let why = format!("A cluster is still reached by an address of CIDR block {}: delete it first", block.cidr);
        return Err(api::INVALID_CIDR_BLOCK_IN_USE.fault(why));
    }
    record.body.more.retain(|block| !of(block));
    let vpc_id = Some(record.body.id.clone());
    tx.put(record);
    let shown = association(id, block.cidr, api::VpcCidrBlockStateCode::Disassociating);
    Ok(api::DisassociateVpcCidrBlockResult { cidr_block_association: Some(shown), vpc_id, ..Default::default() })
}

/// EC2 DescribeVpcAttribute.
pub fn describe_attribute(
    view_: &View,
    caller: &Caller,
    input: api::DescribeVpcAttributeRequest,
) -> Result<api::DescribeVpcAttributeResult, Fault> {
    let vpc = find(view_, &caller.identity.account, &input.vpc_id)?.body;
    tags::not_dry(input.dry_run)?;
    let shown = |value| Some(api::AttributeBooleanValue { value: Some(value) });
    let none = api::DescribeVpcAttributeResult { vpc_id: Some(vpc.id.clone()), ..Default::default() };
    let Attributes { dns_support, dns_hostnames, usage_metrics } = vpc.attributes;
    Ok(match input.attribute {
        api::VpcAttributeName::EnableDnsSupport => {
            api::DescribeVpcAttributeResult { enable_dns_support: shown(dns_support), ..none }
        }
        api::VpcAttributeName::EnableDnsHostnames => {
            api::DescribeVpcAttributeResult { enable_dns_hostnames: shown(dns_hostnames), ..none }
        }
        api::VpcAttributeName::EnableNetworkAddressUsageMetrics => {
            api::DescribeVpcAttributeResult { enable_network_address_usage_metrics: shown(usage_metrics), ..none }
        }
    })
}

/// EC2 ModifyVpcAttribute: one attribute at a time.
pub fn modify_attribute(tx: &mut Tx, caller: &Caller, input: api::ModifyVpcAttributeRequest) -> Result<(), Fault> {
    let mut record = find(tx, &caller.identity.account, &input.vpc_id)?;
    let attributes = &mut record.body.attributes;
    let given = [
        (input.enable_dns_support, &mut attributes.dns_support),
        (input.enable_dns_hostnames, &mut attributes.dns_hostnames),
        (input.enable_network_address_usage_metrics, &mut attributes.usage_metrics),
    ];
    let mut given: Vec<_> = given.into_iter().filter_map(|(new, known)| Some((new?, known))).collect();
    match given.as_mut_slice() {
        [(new, known)] => **known = new.value.unwrap_or_default(),
        _ => {
            let why = "Specify exactly one attribute: enableDnsSupport, enableDnsHostnames or \
                       enableNetworkAddressUsageMetrics";
            return Err(Common::InvalidParameterCombination.fault(why));
        }
    }
    tx.put(record);
    Ok(())
}

/// An account's VPC.
pub fn find(read: &impl Read, account: &str, id: &str) -> Result<Record<Vpc>, Fault> {
    read.get(&Vpc::key(account, id)).filter(|r| r.deleting.is_none()).ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Fault {
    api::INVALID_VPC_ID_NOT_FOUND.fault(format!("The vpc ID '{id}' does not exist"))
}

fn view(vpc: &Vpc) -> api::Vpc {
    api::Vpc {
        vpc_id: Some(vpc.id.clone()),
        owner_id: Some(vpc.account.clone()),
        cidr_block: Some(vpc.cidr.to_string()),
        cidr_block_association_set: Some(
            associations(vpc)
                .map(|(id, block)| association(id, block, api::VpcCidrBlockStateCode::Associated))
                .collect(),
        ),
        state: Some(api::VpcState::Available),
        is_default: Some(vpc.is_default),
        instance_tenancy: Some(api::Tenancy::Default),
        dhcp_options_id: Some(dhcp_options::id(&vpc.account)),
        tags: tags::shown(&vpc.tags),
        ..Default::default()
    }
}

/// Each block with the id of its association. That of the primary one is made of the VPC's.
fn associations(vpc: &Vpc) -> impl Iterator<Item = (String, Cidr)> {
    let primary = (vpc.id.replacen("vpc-", "vpc-cidr-assoc-", 1), vpc.cidr);
    [primary].into_iter().chain(vpc.more.iter().map(|block| (block.association.clone(), block.cidr)))
}

fn association(id: String, block: Cidr, state: api::VpcCidrBlockStateCode) -> api::VpcCidrBlockAssociation {
    api::VpcCidrBlockAssociation {
        association_id: Some(id),
        cidr_block: Some(block.to_string()),
        cidr_block_state: Some(api::VpcCidrBlockState { state: Some(state), status_message: None }),
    }
}
