//! The route table operations.

use super::{Destination, ROUTES_MAX, RouteTable, Target, view};
use crate::ec2::asked::{no_association, required};
use crate::ec2::describe::{Query, select};
use crate::ec2::internet_gateway::InternetGateway;
use crate::ec2::nat_gateway::NatGateway;
use crate::ec2::network_interface::{self, NetworkInterface};
use crate::ec2::offered::{nothing_left, unsupported};
use crate::ec2::{block, instance, prefix_list, subnet, tags, vpc};
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read, Record, Tx, View};
use roadstead_types::Cidr;
use roadstead_wire::fault::{Common, Fault};
use std::mem::take;

/// EC2 quota "route tables per VPC".
const TABLES_MAX: usize = 200;

/// EC2 CreateRouteTable.
pub fn create(
    tx: &mut Tx,
    caller: &Caller,
    input: api::CreateRouteTableRequest,
) -> Result<api::CreateRouteTableResult, Fault> {
    let tags = tags::given(input.tag_specifications, api::ResourceType::RouteTable)?;
    let vpc = vpc::ops::find(tx, &caller.identity.account, &input.vpc_id)?.body;
    if super::of_vpc(tx, &vpc.id).len() >= TABLES_MAX {
        return Err(api::ROUTE_TABLE_LIMIT_EXCEEDED.fault("The maximum number of route tables has been reached."));
    }
    tags::not_dry(input.dry_run)?;
    let table = super::insert(tx, &vpc, None, tags);
    Ok(api::CreateRouteTableResult { route_table: Some(view::show(tx, &table)), client_token: input.client_token })
}

/// EC2 DescribeRouteTables.
pub fn describe(
    view_: &View,
    caller: &Caller,
    input: api::DescribeRouteTablesRequest,
) -> Result<api::DescribeRouteTablesResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeRouteTables/{account}"),
        ids: input.route_table_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = view_.list(Index::<RouteTable>::prefix(format!("{account}/"))).into_iter();
    let values = |table: &RouteTable, filter: &str| view::values(view_, table, filter);
    let page = select(&query, all.map(|record| (record.body.id.clone(), record.body)).collect(), values, missing)?;
    let tables = page.items.iter().map(|table| view::show(view_, table)).collect();
    Ok(api::DescribeRouteTablesResult { route_tables: Some(tables), next_token: page.next })
}

/// EC2 DeleteRouteTable: not a main one, and not while a subnet has it.
pub fn delete(tx: &mut Tx, caller: &Caller, input: api::DeleteRouteTableRequest) -> Result<(), Fault> {
    let record = find(tx, &caller.identity.account, &input.route_table_id)?;
    if record.body.main.is_some() || !record.body.subnets.is_empty() {
        let why = format!("The routeTable '{}' has dependencies and cannot be deleted.", record.body.id);
        return Err(api::DEPENDENCY_VIOLATION.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    tx.remove(&record.key);
    Ok(())
}

/// EC2 AssociateRouteTable: with a subnet, which may have one association.
pub fn associate(
    tx: &mut Tx,
    caller: &Caller,
    mut input: api::AssociateRouteTableRequest,
) -> Result<api::AssociateRouteTableResult, Fault> {
    let account = &caller.identity.account;
    let mut record = find(tx, account, &take(&mut input.route_table_id))?;
    let (subnet, dry_run) = (input.subnet_id.take(), input.dry_run.take());
    nothing_left(&input, "An association of a route table")?;
    let subnet = required(subnet, "subnetId")?;
    let subnet = subnet::ops::find(tx, account, &subnet)?.body;
    if subnet.vpc != record.body.vpc {
        let why = format!("Route table {} and subnet {} belong to different networks", record.body.id, subnet.id);
        return Err(Common::InvalidParameterValue.fault(why));
    }
    if tx.any(Index::<RouteTable>::by("subnet", subnet.id.as_str())) {
        let why = format!(
            "the specified association for route table {} conflicts with an existing association",
            record.body.id
        );
        return Err(api::RESOURCE_ALREADY_ASSOCIATED.fault(why));
    }
    tags::not_dry(dry_run)?;
    let id = tx.fresh_id("rtbassoc-");
    record.body.subnets.insert(id.clone(), subnet.id);
    tx.put(record);
    Ok(api::AssociateRouteTableResult { association_id: Some(id), association_state: view::associated() })
}

/// EC2 DisassociateRouteTable: the subnet has the main table from then on.
pub fn disassociate(tx: &mut Tx, caller: &Caller, input: api::DisassociateRouteTableRequest) -> Result<(), Fault> {
    let id = &input.association_id;
    let mut record = associated(tx, &caller.identity.account, id)?;
    if record.body.main.as_ref() == Some(id) {
        let why = format!("cannot disassociate the main route table association {id}");
        return Err(Common::InvalidParameterValue.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    record.body.subnets.remove(id);
    tx.put(record);
    Ok(())
}

/// EC2 ReplaceRouteTableAssociation: another table for a subnet, or another main table for the VPC.
pub fn replace_association(
    tx: &mut Tx,
    caller: &Caller,
    input: api::ReplaceRouteTableAssociationRequest,
) -> Result<api::ReplaceRouteTableAssociationResult, Fault> {
    let account = &caller.identity.account;
    let mut from = associated(tx, account, &input.association_id)?;
    let to = find(tx, account, &input.route_table_id)?;
    if to.body.vpc != from.body.vpc {
        let why = format!("Route tables {} and {} belong to different networks", from.body.id, to.body.id);
        return Err(Common::InvalidParameterValue.fault(why));
    }
    tags::not_dry(input.dry_run)?;
    let new = tx.fresh_id("rtbassoc-");
    let subnet = from.body.subnets.remove(&input.association_id);
    if subnet.is_none() {
        from.body.main = None;
    }
    tx.put(from);
    // Read again: it may be the same one.
    let mut to = find(tx, account, &input.route_table_id)?;
    match subnet {
        Some(subnet) => drop(to.body.subnets.insert(new.clone(), subnet)),
        None => to.body.main = Some(new.clone()),
    }
    tx.put(to);
    Ok(api::ReplaceRouteTableAssociationResult { new_association_id: Some(new), association_state: view::associated() })
}

/// The route that a request names, checked, and whether it is dry: two types with the same members.
macro_rules! route {
    ($tx:ident, $table:expr, $input:ident) => {{
        let named = ($input.destination_cidr_block.take(), $input.destination_prefix_list_id.take());
        let to = destination($tx, &$table, named)?;
        let named = Named {
            gateway: $input.gateway_id.take(),
            nat_gateway: $input.nat_gateway_id.take(),
            interface: $input.network_interface_id.take(),
            instance: $input.instance_id.take(),
        };
        let dry_run = $input.dry_run.take();
        nothing_left(&$input, "A route")?;
        let target = named.target($tx, &$table)?;
        check_destination($tx, &$table, &to, &target)?;
        (to, target, dry_run)
    }};
}

/// EC2 CreateRoute.
pub fn create_route(
    tx: &mut Tx,
    caller: &Caller,
    mut input: api::CreateRouteRequest,
) -> Result<api::CreateRouteResult, Fault> {
    let mut record = find(tx, &caller.identity.account, &take(&mut input.route_table_id))?;
    let (to, target, dry_run) = route!(tx, record.body, input);
    if record.body.target(&to).is_some() {
        return Err(already(&to));
    }
    let more = match &to {
        Destination::Block(_) => 1,
        Destination::List(id) => prefix_list::weight(tx, &record.body.account, id),
    };
    if record.body.weight(tx) + more > ROUTES_MAX {
        return Err(api::ROUTE_LIMIT_EXCEEDED.fault("The maximum number of routes has been reached."));
    }
    tags::not_dry(dry_run)?;
    record.body.lead(to, target);
    tx.put(record);
    Ok(api::CreateRouteResult { r#return: Some(true) })
}

/// EC2 ReplaceRoute: another target for a route that is there.
pub fn replace_route(tx: &mut Tx, caller: &Caller, mut input: api::ReplaceRouteRequest) -> Result<(), Fault> {
    let mut record = find(tx, &caller.identity.account, &take(&mut input.route_table_id))?;
    let (to, target, dry_run) = route!(tx, record.body, input);
    if record.body.target(&to).is_none() {
        return Err(no_route(&record.body, &to));
    }
    tags::not_dry(dry_run)?;
    record.body.lead(to, target);
    tx.put(record);
    Ok(())
}

/// EC2 DeleteRoute.
pub fn delete_route(tx: &mut Tx, caller: &Caller, mut input: api::DeleteRouteRequest) -> Result<(), Fault> {
    let mut record = find(tx, &caller.identity.account, &take(&mut input.route_table_id))?;
    let named = (input.destination_cidr_block.take(), input.destination_prefix_list_id.take());
    let to = destination(tx, &record.body, named)?;
    let dry_run = input.dry_run.take();
    nothing_left(&input, "A route")?;
    if is_local(tx, &record.body, &to) {
        let why = format!("cannot remove local route {to} in route table {}", record.body.id);
        return Err(Common::InvalidParameterValue.fault(why));
    }
    if record.body.forget(&to).is_none() {
        return Err(no_route(&record.body, &to));
    }
    tags::not_dry(dry_run)?;
    tx.put(record);
    Ok(())
}

/// A block, or a prefix list of the table's account.
fn destination(
    read: &impl Read,
    table: &RouteTable,
    named: (Option<String>, Option<String>),
) -> Result<Destination, Fault> {
    let text = match named {
        (Some(_), Some(_)) => {
            let why = "The parameter destinationCidrBlock cannot be used with the parameter destinationPrefixListId";
            return Err(Common::InvalidParameterCombination.fault(why));
        }
        (None, Some(id)) => {
            return Ok(Destination::List(prefix_list::ops::find(read, &table.account, &id)?.body.id));
        }
        (text, None) => required(text, "destinationCidrBlock")?,
    };
    block::ipv4(&text).map(Destination::Block).ok_or_else(|| {
        let why =
            format!("Value ({text}) for parameter destinationCidrBlock is invalid. This is not a valid CIDR block.");
        Common::InvalidParameterValue.fault(why)
    })
}

/// Inside the VPC's own blocks a route leads to an interface, or nowhere: the VPC knows the way there.
fn check_destination(read: &impl Read, table: &RouteTable, to: &Destination, target: &Target) -> Result<(), Fault> {
    if is_local(read, table, to) {
        return Err(already(to));
    }
    let Destination::Block(block) = to else { return Ok(()) };
    let is_inside = blocks_of(read, table).iter().any(|own| own.contains_cidr(*block));
    if is_inside && !matches!(target, Target::Interface(_)) {
        let why = format!(
            "The destination CIDR block {to} is equal to or more specific than one of this VPC's CIDR blocks. This \
             route can target only an interface or an instance."
        );
        return Err(Common::InvalidParameterValue.fault(why));
    }
    Ok(())
}

/// Whether it is one of the VPC's own blocks.
fn is_local(read: &impl Read, table: &RouteTable, to: &Destination) -> bool {
    matches!(to, Destination::Block(block) if blocks_of(read, table).contains(block))
}

fn blocks_of(read: &impl Read, table: &RouteTable) -> Vec<Cidr> {
    let vpc = vpc::ops::find(read, &table.account, &table.vpc);
    vpc.map(|vpc| vpc.body.blocks().collect()).unwrap_or_default()
}

/// What a request names as a route's target.
struct Named {
    gateway: Option<String>,
    nat_gateway: Option<String>,
    interface: Option<String>,
    instance: Option<String>,
}

impl Named {
    /// The one target that is named. It is of the table's VPC.
    fn target(self, read: &impl Read, table: &RouteTable) -> Result<Target, Fault> {
        match (self.gateway, self.nat_gateway, self.interface, self.instance) {
            (Some(id), None, None, None) => gateway(read, table, id),
            (None, Some(id), None, None) => nat_gateway(read, table, id),
            (None, None, Some(id), None) => interface(read, table, &id),
            (None, None, None, Some(id)) => interface_of(read, table, &id),
            (None, None, None, None) => {
                let why = "The request must contain exactly one of gatewayId, natGatewayId, networkInterfaceId, \
                           vpcPeeringConnectionId, egressOnlyInternetGatewayId, transitGatewayId, localGatewayId, \
                           carrierGatewayId, coreNetworkArn, vpcEndpointId, odbNetworkArn, or instanceId";
                Err(Common::MissingParameter.fault(why))
            }
            _ => {
                let why = "Specify exactly one of gatewayId, natGatewayId, networkInterfaceId and instanceId";
                Err(Common::InvalidParameterCombination.fault(why))
            }
        }
    }
}

fn gateway(read: &impl Read, table: &RouteTable, id: String) -> Result<Target, Fault> {
    if id == "local" {
        return Err(unsupported("The route to the VPC's own block is there, and no other is local: leave it out."));
    }
    let Some(gateway) = read.shared(&InternetGateway::key(&table.account, &id)) else {
        return Err(api::INVALID_GATEWAY_ID_NOT_FOUND.fault(format!("The gateway ID '{id}' does not exist")));
    };
    if gateway.body.vpc.as_ref() != Some(&table.vpc) {
        let why = format!("route table {} and network gateway {id} belong to different networks", table.id);
        return Err(Common::InvalidParameterValue.fault(why));
    }
    Ok(Target::InternetGateway(id))
}

fn nat_gateway(read: &impl Read, table: &RouteTable, id: String) -> Result<Target, Fault> {
    let Some(gateway) = read.shared(&NatGateway::key(&table.account, &id)).map(|record| record.body.clone()) else {
        return Err(api::INVALID_NAT_GATEWAY_ID_NOT_FOUND.fault(format!("The natGateway ID '{id}' does not exist")));
    };
    if gateway.vpc != table.vpc {
        let why = format!("route table {} and NAT gateway {id} belong to different networks", table.id);
        return Err(Common::InvalidParameterValue.fault(why));
    }
    Ok(Target::NatGateway(id))
}

fn interface(read: &impl Read, table: &RouteTable, id: &str) -> Result<Target, Fault> {
    let record = read.shared(&NetworkInterface::key(id));
    let record = record.filter(|record| record.deleting.is_none() && record.body.account == table.account);
    let record = record.ok_or_else(|| network_interface::ops::missing(id))?;
    if record.body.vpc != table.vpc {
        let why = format!("route table {} and interface {id} belong to different networks", table.id);
        return Err(Common::InvalidParameterValue.fault(why));
    }
    Ok(Target::Interface(id.to_owned()))
}

fn interface_of(read: &impl Read, table: &RouteTable, id: &str) -> Result<Target, Fault> {
    instance::ops::find(read, &table.account, id)?;
    match network_interface::of_instance(read, id).as_slice() {
        [only] => interface(read, table, &only.body.id),
        _ => {
            let why = format!(
                "There are multiple interfaces attached to instance '{id}'. Please specify an interface ID for the \
                 operation instead."
            );
            Err(Common::InvalidParameterValue.fault(why))
        }
    }
}

fn find(read: &impl Read, account: &str, id: &str) -> Result<Record<RouteTable>, Fault> {
    read.get(&RouteTable::key(account, id)).ok_or_else(|| missing(id))
}

/// The account's table with this association.
fn associated(read: &impl Read, account: &str, id: &str) -> Result<Record<RouteTable>, Fault> {
    let tables = read.list(Index::<RouteTable>::by("association", id)).into_iter();
    { tables }.find(|table| table.body.account == account).ok_or_else(|| no_association(id))
}

fn already(to: &Destination) -> Fault {
    api::ROUTE_ALREADY_EXISTS.fault(format!("The route identified by {to} already exists."))
}

fn no_route(table: &RouteTable, to: &Destination) -> Fault {
    let name = match to {
        Destination::Block(_) => "destination-cidr-block",
        Destination::List(_) => "destination-prefix-list-id",
    };
    let why = format!("no route with {name} {to} in route table {}", table.id);
    api::INVALID_ROUTE_NOT_FOUND.fault(why)
}

fn missing(id: &str) -> Fault {
    api::INVALID_ROUTE_TABLE_ID_NOT_FOUND.fault(format!("The routeTable ID '{id}' does not exist"))
}
