//! Availability zones.

use crate::ec2::describe::{Query, select};
use crate::settings::{Settings, Zone};
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::View;
use roadstead_wire::fault::{Common, Fault};

/// EC2 DescribeAvailabilityZones.
pub fn describe(
    view: &View,
    _: &Caller,
    input: api::DescribeAvailabilityZonesRequest,
) -> Result<api::DescribeAvailabilityZonesResult, Fault> {
    crate::ec2::tags::not_dry(input.dry_run)?;
    let settings = Settings::of(view);
    let region = settings.region.clone();
    let named = input.zone_names.unwrap_or_default();
    let ids = input.zone_ids.unwrap_or_default();
    let by_id = !ids.is_empty();
    let query = Query {
        scope: "ec2:DescribeAvailabilityZones".into(),
        ids: if by_id { &ids } else { &named },
        filters: input.filters.as_deref().unwrap_or_default(),
        max: None,
        token: None,
    };
    let zones = settings.zones.into_iter().map(|z| (if by_id { z.id.clone() } else { z.name.clone() }, z)).collect();
    let missing = |id: &str| Common::InvalidParameterValue.fault(format!("Invalid availability zone: [{id}]"));
    let page = select(&query, zones, |zone, name| values(zone, &region, name), missing)?;
    let zones = page.items.into_iter().map(|zone| show(zone, &region)).collect();
    Ok(api::DescribeAvailabilityZonesResult { availability_zones: Some(zones) })
}

fn values(zone: &Zone, region: &str, filter: &str) -> Option<Vec<String>> {
    Some(vec![match filter {
        "zone-name" => zone.name.clone(),
        "zone-id" => zone.id.clone(),
        "region-name" | "group-name" => region.to_owned(),
        "state" => "available".into(),
        "zone-type" => "availability-zone".into(),
        "opt-in-status" => "opt-in-not-required".into(),
        _ => return None,
    }])
}

fn show(zone: Zone, region: &str) -> api::AvailabilityZone {
    api::AvailabilityZone {
        state: Some(api::AvailabilityZoneState::Available),
        opt_in_status: Some(api::AvailabilityZoneOptInStatus::OptInNotRequired),
        region_name: Some(region.into()),
        group_name: Some(region.into()),
        network_border_group: Some(region.into()),
        zone_name: Some(zone.name),
        zone_id: Some(zone.id),
        zone_type: Some("availability-zone".into()),
        ..Default::default()
    }
}
