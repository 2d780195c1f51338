//! How EC2 shows a route table.

use super::{RouteTable, Target};
use crate::ec2::describe::tag_values;
use crate::ec2::internet_gateway::InternetGateway;
use crate::ec2::nat_gateway::NatGateway;
use crate::ec2::network_interface::{self, NetworkInterface};
use crate::ec2::tags;
use crate::ec2::vpc::Vpc;
use roadstead_shapes::ec2 as api;
use roadstead_store::Read;
use roadstead_types::Cidr;

/// A table, as DescribeRouteTables has it.
pub(super) fn show(read: &impl Read, table: &RouteTable) -> api::RouteTable {
    api::RouteTable {
        associations: Some(associations(table)),
        propagating_vgws: Some(vec![]),
        route_table_id: Some(table.id.clone()),
        routes: Some(routes(read, table)),
        tags: tags::shown(&table.tags),
        vpc_id: Some(table.vpc.clone()),
        owner_id: Some(table.account.clone()),
    }
}

/// An association is there as soon as it is asked for.
pub(super) fn associated() -> Option<api::RouteTableAssociationState> {
    let state = Some(api::RouteTableAssociationStateCode::Associated);
    Some(api::RouteTableAssociationState { state, status_message: None })
}

fn associations(table: &RouteTable) -> Vec<api::RouteTableAssociation> {
    let association = |id: &String, subnet: Option<&String>| api::RouteTableAssociation {
        main: Some(subnet.is_none()),
        route_table_association_id: Some(id.clone()),
        route_table_id: Some(table.id.clone()),
        subnet_id: subnet.cloned(),
        association_state: associated(),
        ..Default::default()
    };
    let main = table.main.iter().map(|id| association(id, None));
    main.chain(table.subnets.iter().map(|(id, subnet)| association(id, Some(subnet)))).collect()
}

/// The routes to the VPC's own blocks, and what was added.
fn routes(read: &impl Read, table: &RouteTable) -> Vec<api::Route> {
    let vpc = read.shared(&Vpc::key(&table.account, &table.vpc));
    let local = |block: Cidr| api::Route {
        destination_cidr_block: Some(block.to_string()),
        gateway_id: Some("local".into()),
        origin: Some(api::RouteOrigin::CreateRouteTable),
        state: Some(api::RouteState::Active),
        ..Default::default()
    };
    let of_blocks = table
        .routes
        .iter()
        .map(|(to, target)| api::Route { destination_cidr_block: Some(to.to_string()), ..route(read, table, target) });
    let of_lists = table.lists.iter().map(|(list, target)| api::Route {
        destination_prefix_list_id: Some(list.clone()),
        ..route(read, table, target)
    });
    let added = of_blocks.chain(of_lists);
    vpc.iter().flat_map(|vpc| vpc.body.blocks()).map(local).chain(added).collect()
}

/// A route but for what it is for.
fn route(read: &impl Read, table: &RouteTable, target: &Target) -> api::Route {
    let mut route = api::Route { origin: Some(api::RouteOrigin::CreateRoute), ..Default::default() };
    let leads = match target {
        Target::InternetGateway(id) => {
            route.gateway_id = Some(id.clone());
            let gateway = read.shared(&InternetGateway::key(&table.account, id));
            gateway.is_some_and(|gateway| gateway.body.vpc.as_ref() == Some(&table.vpc))
        }
        Target::NatGateway(id) => {
            route.nat_gateway_id = Some(id.clone());
            let gateway = read.shared(&NatGateway::key(&table.account, id));
            gateway.is_some_and(|gateway| gateway.deleting.is_none() && gateway.body.failure.is_none())
        }
        Target::Interface(id) => {
            route.network_interface_id = Some(id.clone());
            let eni = read.shared(&NetworkInterface::key(id)).filter(|eni| eni.deleting.is_none());
            let attachment = eni.as_ref().and_then(|eni| eni.body.attachment.clone());
            route.instance_id = attachment.as_ref().map(|attachment| attachment.instance.clone());
            route.instance_owner_id = attachment.as_ref().map(|_| table.account.clone());
            eni.is_some_and(|eni| network_interface::is_in_use(read, &eni.body))
        }
    };
    route.state = Some(if leads { api::RouteState::Active } else { api::RouteState::Blackhole });
    route
}

/// What a table has under a filter's name.
pub(super) fn values(read: &impl Read, table: &RouteTable, filter: &str) -> Option<Vec<String>> {
    let of_associations = |value: fn(api::RouteTableAssociation) -> Option<String>| {
        associations(table).into_iter().filter_map(value).collect::<Vec<_>>()
    };
    let of_routes =
        |value: fn(api::Route) -> Option<String>| routes(read, table).into_iter().filter_map(value).collect::<Vec<_>>();
    Some(match filter {
        "route-table-id" => vec![table.id.clone()],
        "vpc-id" => vec![table.vpc.clone()],
        "owner-id" => vec![table.account.clone()],
        "association.main" => of_associations(|association| association.main.map(|main| main.to_string())),
        "association.route-table-id" => of_associations(|association| association.route_table_id),
        "association.route-table-association-id" => {
            of_associations(|association| association.route_table_association_id)
        }
        "association.subnet-id" => of_associations(|association| association.subnet_id),
        "association.gateway-id" => of_associations(|association| association.gateway_id),
        "route.destination-cidr-block" => of_routes(|route| route.destination_cidr_block),
        "route.destination-prefix-list-id" => of_routes(|route| route.destination_prefix_list_id),
        "route.gateway-id" => of_routes(|route| route.gateway_id),
        "route.instance-id" => of_routes(|route| route.instance_id),
        "route.nat-gateway-id" => of_routes(|route| route.nat_gateway_id),
        "route.origin" => of_routes(|route| route.origin.map(|origin| origin.as_str().to_owned())),
        "route.state" => of_routes(|route| route.state.map(|state| state.as_str().to_owned())),
        _ => return tag_values(&table.tags, filter),
    })
}
