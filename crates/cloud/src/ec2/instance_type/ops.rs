//! The instance type operations.

use super::{InstanceType, all};
use crate::ec2::describe::{Query, select};
use crate::ec2::tags;
use crate::settings::Settings;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::View;
use roadstead_wire::fault::Fault;

/// EC2 DescribeInstanceTypes.
pub fn describe(
    _: &View,
    _: &Caller,
    input: api::DescribeInstanceTypesRequest,
) -> Result<api::DescribeInstanceTypesResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let named: Vec<String> = input.instance_types.unwrap_or_default().iter().map(ToString::to_string).collect();
    let query = Query {
        scope: "ec2:DescribeInstanceTypes".into(),
        ids: &named,
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let types = all().iter().map(|t| (t.name.to_owned(), t)).collect();
    let page = select(&query, types, |t, name| values(t, name), |name| invalid(&[name]))?;
    let types = page.items.into_iter().map(show).collect();
    Ok(api::DescribeInstanceTypesResult { instance_types: Some(types), next_token: page.next })
}

/// The fault for types that are not on offer.
pub(crate) fn invalid(names: &[&str]) -> Fault {
    let why = format!("The following supplied instance types do not exist: [{}]", names.join(", "));
    api::INVALID_INSTANCE_TYPE.fault(why)
}

fn values(of: &InstanceType, filter: &str) -> Option<Vec<String>> {
    Some(vec![match filter {
        "instance-type" => of.name.to_owned(),
        "current-generation" => "true".into(),
        "bare-metal" | "free-tier-eligible" | "hibernation-supported" | "instance-storage-supported" => "false".into(),
        "burstable-performance-supported" => of.burstable.to_string(),
        "hypervisor" => "nitro".into(),
        "supported-usage-class" => "on-demand".into(),
        "supported-root-device-type" => "ebs".into(),
        "supported-virtualization-type" => "hvm".into(),
        "processor-info.supported-architecture" => "x86_64".into(),
        "vcpu-info.default-vcpus" => of.vcpus.to_string(),
        "memory-info.size-in-mib" => (of.memory_bytes >> 20).to_string(),
        "network-info.maximum-network-interfaces" => of.enis.to_string(),
        "network-info.ipv4-addresses-per-interface" => of.addresses_per_eni.to_string(),
        "network-info.ena-support" => "required".into(),
        _ => return None,
    }])
}

fn show(of: &InstanceType) -> api::InstanceTypeInfo {
    let number = |n: usize| i32::try_from(n).ok();
    let card = api::NetworkCardInfo {
        network_card_index: Some(0),
        maximum_network_interfaces: number(of.enis),
        network_performance: Some(PERFORMANCE.into()),
        ..Default::default()
    };
    let network = api::NetworkInfo {
        network_performance: Some(PERFORMANCE.into()),
        maximum_network_interfaces: number(of.enis),
        maximum_network_cards: Some(1),
        default_network_card_index: Some(0),
        network_cards: Some(vec![card]),
        ipv4_addresses_per_interface: number(of.addresses_per_eni),
        ipv6_addresses_per_interface: Some(0),
        ipv6_supported: Some(false),
        ena_support: Some(api::EnaSupport::Required),
        efa_supported: Some(false),
        encryption_in_transit_supported: Some(false),
        ..Default::default()
    };
    let vcpus = i32::try_from(of.vcpus).ok();
    api::InstanceTypeInfo {
        instance_type: of.name.parse().ok(),
        current_generation: Some(true),
        free_tier_eligible: Some(false),
        supported_usage_classes: Some(vec![api::UsageClassType::OnDemand]),
        supported_root_device_types: Some(vec![api::RootDeviceType::Ebs]),
        supported_virtualization_types: Some(vec![api::VirtualizationType::Hvm]),
        bare_metal: Some(false),
        hypervisor: Some(api::InstanceTypeHypervisor::Nitro),
        processor_info: Some(api::ProcessorInfo {
            supported_architectures: Some(vec![api::ArchitectureType::X8664]),
            ..Default::default()
        }),
        v_cpu_info: Some(api::VCpuInfo {
            default_v_cpus: vcpus,
            default_cores: vcpus.map(|n| (n / 2).max(1)),
            default_threads_per_core: Some(2),
            ..Default::default()
        }),
        memory_info: Some(api::MemoryInfo { size_in_mi_b: i64::try_from(of.memory_bytes >> 20).ok() }),
        instance_storage_supported: Some(false),
        network_info: Some(network),
        hibernation_supported: Some(false),
        burstable_performance_supported: Some(of.burstable),
        dedicated_hosts_supported: Some(false),
        auto_recovery_supported: Some(false),
        ..Default::default()
    }
}

/// The way between two instances is the host's memory.
const PERFORMANCE: &str = "Up to 10 Gigabit";

/// EC2 DescribeInstanceTypeOfferings: every type is offered everywhere.
pub fn describe_offerings(
    view: &View,
    _: &Caller,
    input: api::DescribeInstanceTypeOfferingsRequest,
) -> Result<api::DescribeInstanceTypeOfferingsResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let settings = Settings::of(view);
    let kind = input.location_type.unwrap_or(api::LocationType::Region);
    let locations: Vec<String> = match kind {
        api::LocationType::Region => vec![settings.region],
        api::LocationType::AvailabilityZone => settings.zones.into_iter().map(|zone| zone.name).collect(),
        api::LocationType::AvailabilityZoneId => settings.zones.into_iter().map(|zone| zone.id).collect(),
        api::LocationType::Outpost => vec![],
    };
    let at = |of: &'static InstanceType| {
        let offer = |location: &String| (format!("{}/{location}", of.name), (of.name, location.clone()));
        locations.iter().map(offer).collect::<Vec<_>>()
    };
    let query = Query {
        scope: format!("ec2:DescribeInstanceTypeOfferings/{kind}"),
        ids: &[],
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let values = |(name, location): &(&str, String), filter: &str| match filter {
        "instance-type" => Some(vec![(*name).to_owned()]),
        "location" => Some(vec![location.clone()]),
        _ => None,
    };
    let page = select(&query, all().iter().flat_map(at).collect(), values, |name| invalid(&[name]))?;
    let offering = |(name, location): (&str, String)| api::InstanceTypeOffering {
        instance_type: name.parse().ok(),
        location_type: Some(kind),
        location: Some(location),
    };
    let offerings = page.items.into_iter().map(offering).collect();
    Ok(api::DescribeInstanceTypeOfferingsResult { instance_type_offerings: Some(offerings), next_token: page.next })
}
