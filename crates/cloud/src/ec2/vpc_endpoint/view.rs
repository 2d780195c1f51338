//! How EC2 shows an endpoint, and the services of which there can be some.

use super::policy::FULL_ACCESS;
use super::service::Service;
use super::{Place, State, VpcEndpoint};
use crate::ec2::describe::tag_values;
use crate::ec2::{security_group, tags};
use crate::settings::Settings;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Read, Record};

/// Who shows as the owner of AWS's own services.
const OWNER: &str = "amazon";

/// An endpoint, as DescribeVpcEndpoints has it.
pub(super) fn show(read: &impl Read, region: &str, record: &Record<VpcEndpoint>) -> api::VpcEndpoint {
    let endpoint = &record.body;
    let of_places = |of: fn(&Place) -> &String| Some(endpoint.places.iter().map(of).cloned().collect());
    let entry = |name| api::DnsEntry { dns_name: Some(name), ..Default::default() };
    let groups = security_group::identifiers(read, &endpoint.account, &endpoint.groups).into_iter();
    let group = |group: api::GroupIdentifier| api::SecurityGroupIdentifier {
        group_id: group.group_id,
        group_name: group.group_name,
    };
    api::VpcEndpoint {
        vpc_endpoint_id: Some(endpoint.id.clone()),
        vpc_endpoint_type: Some(api::VpcEndpointType::Interface),
        vpc_id: Some(endpoint.vpc.clone()),
        service_name: Some(service_name(region, endpoint)),
        service_region: Some(region.to_owned()),
        state: Some(state(record)),
        policy_document: Some(FULL_ACCESS.into()),
        route_table_ids: Some(vec![]),
        subnet_ids: of_places(|place| &place.subnet),
        network_interface_ids: of_places(|place| &place.interface),
        groups: Some(groups.map(group).collect()),
        ip_address_type: Some(api::IpAddressType::Ipv4),
        dns_options: Some(api::DnsOptions {
            dns_record_ip_type: Some(api::DnsRecordIpType::Ipv4),
            ..Default::default()
        }),
        private_dns_enabled: Some(endpoint.private_names),
        requester_managed: Some(false),
        dns_entries: Some(endpoint.names(region).into_keys().map(entry).collect()),
        creation_timestamp: Some(record.created),
        tags: tags::shown(&endpoint.tags),
        owner_id: Some(endpoint.account.clone()),
        ..Default::default()
    }
}

fn service_name(region: &str, endpoint: &VpcEndpoint) -> String {
    Service::of(&endpoint.service).map(|service| service.full_name(region)).unwrap_or_default()
}

fn state(record: &Record<VpcEndpoint>) -> api::State {
    match State::of(record) {
        State::Pending => api::State::Pending,
        State::Available => api::State::Available,
        State::Deleting => api::State::Deleting,
    }
}

/// What an endpoint has under a filter's name.
pub(super) fn values(region: &str, record: &Record<VpcEndpoint>, filter: &str) -> Option<Vec<String>> {
    let endpoint = &record.body;
    Some(vec![match filter {
        "ip-address-type" => "ipv4".into(),
        "service-name" => service_name(region, endpoint),
        "service-region" => region.to_owned(),
        "vpc-endpoint-id" => endpoint.id.clone(),
        "vpc-endpoint-state" => state(record).as_str().to_owned(),
        "vpc-endpoint-type" => api::VpcEndpointType::Interface.as_str().to_owned(),
        "vpc-id" => endpoint.vpc.clone(),
        _ => return tag_values(&endpoint.tags, filter),
    }])
}

/// A service, as DescribeVpcEndpointServices has it.
pub(super) fn show_service(read: &impl Read, region: &str, service: &Service) -> api::ServiceDetail {
    let (zones, private) = (Settings::of(read).zones, service.private_name(region));
    let details = api::PrivateDnsDetails { private_dns_name: Some(private.clone()) };
    api::ServiceDetail {
        service_name: Some(service.full_name(region)),
        service_type: Some(vec![api::ServiceTypeDetail { service_type: Some(api::ServiceType::Interface) }]),
        service_region: Some(region.to_owned()),
        availability_zones: Some(zones.iter().map(|zone| zone.name.clone()).collect()),
        availability_zone_ids: Some(zones.into_iter().map(|zone| zone.id).collect()),
        owner: Some(OWNER.into()),
        base_endpoint_dns_names: Some(vec![service.base_name(region)]),
        private_dns_name: Some(private),
        private_dns_names: Some(vec![details]),
        private_dns_name_verification_state: Some(api::DnsNameState::Verified),
        vpc_endpoint_policy_supported: Some(false),
        acceptance_required: Some(false),
        manages_vpc_endpoints: Some(false),
        supported_ip_address_types: Some(vec![api::ServiceConnectivityType::Ipv4]),
        ..Default::default()
    }
}

/// What a service has under a filter's name.
pub(super) fn service_values(region: &str, service: &Service, filter: &str) -> Option<Vec<String>> {
    Some(match filter {
        "owner" => vec![OWNER.into()],
        "service-name" => vec![service.full_name(region)],
        "service-region" => vec![region.to_owned()],
        "service-type" => vec![api::ServiceType::Interface.as_str().to_owned()],
        "supported-ip-address-types" => vec!["ipv4".into()],
        _ => return tag_values(&Default::default(), filter),
    })
}
