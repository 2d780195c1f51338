//! The internet gateway operations.

use super::InternetGateway;
use crate::ec2::describe::{Query, select, tag_values};
use crate::ec2::{address, tags, vpc};
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_wire::fault::{Common, Fault};

/// EC2 quota "internet gateways per region": as many as there are VPCs at most.
const GATEWAYS_MAX: usize = vpc::ops::VPCS_MAX;

/// EC2 CreateInternetGateway.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateInternetGatewayRequest,
) -> Result<api::CreateInternetGatewayResult, Fault> {
    let account = &caller.identity.account;
    let tags = tags::given(input.tag_specifications, api::ResourceType::InternetGateway)?;
    if tx.count(Index::<InternetGateway>::prefix(format!("{account}/"))) >= GATEWAYS_MAX {
        let why = "The maximum number of internet gateways has been reached.";
        return Err(api::INTERNET_GATEWAY_LIMIT_EXCEEDED.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    let gateway = super::insert(tx, account, None, tags);
    Ok(api::CreateInternetGatewayResult { internet_gateway: Some(view(&gateway)) })
}

/// EC2 DescribeInternetGateways.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeInternetGatewaysRequest,
) -> Result<api::DescribeInternetGatewaysResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeInternetGateways/{account}"),
        ids: input.internet_gateway_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = view_.list(Index::<InternetGateway>::prefix(format!("{account}/"))).into_iter();
    let page = select(&query, all.map(|record| (record.body.id.clone(), record.body)).collect(), values, missing)?;
    let gateways = page.items.iter().map(view).collect();
    Ok(api::DescribeInternetGatewaysResult { internet_gateways: Some(gateways), next_token: page.next })
}

fn values(gateway: &InternetGateway, filter: &str) -> Option<Vec<String>> {
    let attached = |text: &str| gateway.vpc.iter().map(|_| text.to_owned()).collect();
    Some(match filter {
        "internet-gateway-id" => vec![gateway.id.clone()],
        "owner-id" => vec![gateway.account.clone()],
        "attachment.vpc-id" => gateway.vpc.iter().cloned().collect(),
        "attachment.state" => attached(ATTACHED.as_str()),
        _ => return tag_values(&gateway.tags, filter),
    })
}

/// EC2 AttachInternetGateway: one gateway, one VPC.
pub fn attach(tx: &mut Tx, caller: &Caller, input: api::AttachInternetGatewayRequest) -> Result<(), Fault> {
    let account = &caller.identity.account;
    let mut record = find(tx, account, &input.internet_gateway_id)?;
    let vpc = vpc::ops::find(tx, account, &input.vpc_id)?.body;
    let id = &record.body.id;
    if let Some(other) = &record.body.vpc {
        let why = format!("resource {id} is already attached to network {other}");
        return Err(api::RESOURCE_ALREADY_ASSOCIATED.fault(why));
    }
    if super::of_vpc(tx, &vpc.id).is_some() {
        let why = format!("Network {} already has an internet gateway attached", vpc.id);
        return Err(Common::InvalidParameterValue.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    record.body.vpc = Some(vpc.id);
    tx.put(record);
    Ok(())
}

/// EC2 DetachInternetGateway: not while an elastic address is in the VPC. Routes to it lead nowhere from then on.
pub fn detach(tx: &mut Tx, caller: &Caller, input: api::DetachInternetGatewayRequest) -> Result<(), Fault> {
    let account = &caller.identity.account;
    let mut record = find(tx, account, &input.internet_gateway_id)?;
    let vpc = vpc::ops::find(tx, account, &input.vpc_id)?.body;
    if record.body.vpc.as_ref() != Some(&vpc.id) {
        let why = format!("resource {} is not attached to network {}", record.body.id, vpc.id);
        return Err(api::GATEWAY_NOT_ATTACHED.fault(why));
    }
    if address::is_in_vpc(tx, account, &vpc.id) {
        let why = format!(
            "Network {} has some mapped public address(es). Please unmap those public address(es) before detaching \
             the gateway.",
            vpc.id
        );
        return Err(api::DEPENDENCY_VIOLATION.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    record.body.vpc = None;
    tx.put(record);
    Ok(())
}

/// EC2 DeleteInternetGateway: only one that is attached to no VPC.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteInternetGatewayRequest) -> Result<(), Fault> {
    let record = find(tx, &caller.identity.account, &input.internet_gateway_id)?;
    if record.body.vpc.is_some() {
        let why = format!("The internetGateway '{}' has dependencies and cannot be deleted.", record.body.id);
        return Err(api::DEPENDENCY_VIOLATION.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    tx.remove(&record.key);
    Ok(())
}

fn find(read: &impl Read, account: &str, id: &str) -> Result<Record<InternetGateway>, Fault> {
    read.get(&InternetGateway::key(account, id)).ok_or_else(|| missing(id))
}

fn missing(id: &str) -> Fault {
    api::INVALID_INTERNET_GATEWAY_ID_NOT_FOUND.fault(format!("The internetGateway ID '{id}' does not exist"))
}

/// How EC2 says that a gateway is attached, and only that of gateways.
const ATTACHED: api::AttachmentStatus = api::AttachmentStatus::Available;

fn view(gateway: &InternetGateway) -> api::InternetGateway {
    let attachment = |vpc: &String| api::InternetGatewayAttachment { state: Some(ATTACHED), vpc_id: Some(vpc.clone()) };
    api::InternetGateway {
        attachments: Some(gateway.vpc.iter().map(attachment).collect()),
        internet_gateway_id: Some(gateway.id.clone()),
        owner_id: Some(gateway.account.clone()),
        tags: tags::shown(&gateway.tags),
    }
}
