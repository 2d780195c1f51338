//! The image operations.

use super::{Ami, OWNER, ROOT_BYTES, ROOT_DEVICE, all};
use crate::ec2::describe::{Query, select};
use crate::ec2::tags;
use crate::settings::Settings;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::View;
use roadstead_wire::fault::Fault;

/// EC2 DescribeImages.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeImagesRequest,
) -> Result<api::DescribeImagesResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let named = input.image_ids.unwrap_or_default();
    if let Some(id) = named.iter().find(|id| !id.starts_with("ami-")) {
        return Err(api::INVALID_AMIID_MALFORMED.fault(format!("Invalid id: \"{id}\" (expecting \"ami-...\")")));
    }
    let owners = input.owners.unwrap_or_default();
    let mine =
        |owner: &String| owner == OWNER || owner == "amazon" || (owner == "self" && caller.identity.account == OWNER);
    let listed = owners.is_empty() || owners.iter().any(mine);
    let mut images: Vec<Ami> = all(&Settings::of(view));
    images.retain(|_| listed);
    images.sort_by(|a, b| a.id.cmp(&b.id));
    let query = Query {
        scope: "ec2:DescribeImages".into(),
        ids: &named,
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let images = images.into_iter().map(|ami| (ami.id.clone(), ami)).collect();
    let page = select(&query, images, values, missing)?;
    Ok(api::DescribeImagesResult { images: Some(page.items.iter().map(show).collect()), next_token: page.next })
}

fn values(ami: &Ami, filter: &str) -> Option<Vec<String>> {
    Some(vec![match filter {
        "image-id" => ami.id.clone(),
        "name" => ami.name.clone(),
        "description" => description(ami),
        "owner-id" => OWNER.into(),
        "owner-alias" => "amazon".into(),
        "architecture" => "x86_64".into(),
        "state" => "available".into(),
        "is-public" => "true".into(),
        "image-type" => "machine".into(),
        "root-device-type" => "ebs".into(),
        "root-device-name" => ROOT_DEVICE.into(),
        "virtualization-type" => "hvm".into(),
        "hypervisor" => "xen".into(),
        "ena-support" => "true".into(),
        "creation-date" => created(ami),
        _ => return crate::ec2::describe::tag_values(&roadstead_types::Tags::new(), filter),
    }])
}

/// The fault for an id that no image has.
pub(crate) fn missing(id: &str) -> Fault {
    if !id.starts_with("ami-") {
        return api::INVALID_AMIID_MALFORMED.fault(format!("Invalid id: \"{id}\" (expecting \"ami-...\")"));
    }
    api::INVALID_AMIID_NOT_FOUND.fault(format!("The image id '[{id}]' does not exist"))
}

fn description(ami: &Ami) -> String {
    format!("EKS-optimized Kubernetes node (k8s: {}, containerd: {})", ami.release_version, ami.components.containerd)
}

/// `20261013` as a time.
fn created(ami: &Ami) -> String {
    let date = &ami.date;
    let part = |range: std::ops::Range<usize>| date.get(range).unwrap_or_default();
    format!("{}-{}-{}T00:00:00.000Z", part(0..4), part(4..6), part(6..8))
}

fn show(ami: &Ami) -> api::Image {
    let root = api::EbsBlockDevice {
        delete_on_termination: Some(true),
        volume_size: i32::try_from(ROOT_BYTES >> 30).ok(),
        volume_type: Some(api::VolumeType::Gp3),
        encrypted: Some(false),
        ..Default::default()
    };
    api::Image {
        image_id: Some(ami.id.clone()),
        name: Some(ami.name.clone()),
        description: Some(description(ami)),
        owner_id: Some(OWNER.into()),
        image_owner_alias: Some("amazon".into()),
        image_location: Some(format!("amazon/{}", ami.name)),
        creation_date: Some(created(ami)),
        public: Some(true),
        state: Some(api::ImageState::Available),
        architecture: Some(api::ArchitectureValues::X8664),
        image_type: Some(api::ImageTypeValues::Machine),
        platform_details: Some("Linux/UNIX".into()),
        usage_operation: Some("RunInstances".into()),
        ena_support: Some(true),
        hypervisor: Some(api::HypervisorType::Xen),
        virtualization_type: Some(api::VirtualizationType::Hvm),
        root_device_name: Some(ROOT_DEVICE.into()),
        root_device_type: Some(api::DeviceType::Ebs),
        block_device_mappings: Some(vec![api::BlockDeviceMapping {
            device_name: Some(ROOT_DEVICE.into()),
            ebs: Some(root),
            ..Default::default()
        }]),
        boot_mode: Some(api::BootModeValues::UefiPreferred),
        imds_support: Some(api::ImdsSupportValues::V20),
        tags: Some(vec![]),
        ..Default::default()
    }
}
