//! Endpoints of services in a VPC. There is no service to make one of: machines and pods reach the region's API at a
//! link-local address, whatever their subnets' routes say. Tools ask before they make any.

use crate::ec2::describe::{Query, select};
use crate::ec2::tags;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::View;
use roadstead_wire::fault::Fault;

/// EC2 DescribeVpcEndpoints.
pub fn describe(
    _: &View,
    caller: &Caller,
    input: api::DescribeVpcEndpointsRequest,
) -> Result<api::DescribeVpcEndpointsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let query = Query {
        scope: format!("ec2:DescribeVpcEndpoints/{}", caller.identity.account),
        ids: input.vpc_endpoint_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let missing =
        |id: &str| api::INVALID_VPC_ENDPOINT_ID_NOT_FOUND.fault(format!("The Vpc Endpoint Id '{id}' does not exist"));
    let page = select(&query, Vec::<(String, api::VpcEndpoint)>::new(), |_, _| None, missing)?;
    Ok(api::DescribeVpcEndpointsResult { next_token: page.next, vpc_endpoints: Some(page.items) })
}

/// EC2 DescribeVpcEndpointServices.
pub fn describe_services(
    _: &View,
    caller: &Caller,
    input: api::DescribeVpcEndpointServicesRequest,
) -> Result<api::DescribeVpcEndpointServicesResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let query = Query {
        scope: format!("ec2:DescribeVpcEndpointServices/{}", caller.identity.account),
        ids: input.service_names.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let missing =
        |name: &str| api::INVALID_SERVICE_NAME.fault(format!("The Vpc Endpoint Service '{name}' does not exist"));
    let page = select(&query, Vec::<(String, api::ServiceDetail)>::new(), |_, _| None, missing)?;
    Ok(api::DescribeVpcEndpointServicesResult {
        next_token: page.next,
        service_details: Some(page.items),
        service_names: Some(vec![]),
    })
}
