//! How EC2 shows a launch template.

use super::{Data, LaunchTemplate, Version};
use crate::ec2::offered::encoded;
use crate::ec2::{image, tags};
use roadstead_shapes::ec2 as api;
use roadstead_types::{Millis, Tags};

/// A template.
pub(super) fn show(template: &LaunchTemplate) -> api::LaunchTemplate {
    let number = |n: u64| i64::try_from(n).ok();
    let first = template.versions.values().next();
    api::LaunchTemplate {
        launch_template_id: Some(template.id.clone()),
        launch_template_name: Some(template.name.clone()),
        create_time: Some(template.created),
        created_by: first.map(|version| version.created_by.clone()),
        default_version_number: number(template.default),
        latest_version_number: number(template.latest),
        tags: tags::shown(&template.tags),
        ..Default::default()
    }
}

/// A version of it.
pub(super) fn show_version(template: &LaunchTemplate, number: u64, version: &Version) -> api::LaunchTemplateVersion {
    api::LaunchTemplateVersion {
        launch_template_id: Some(template.id.clone()),
        launch_template_name: Some(template.name.clone()),
        version_number: i64::try_from(number).ok(),
        version_description: version.description.clone(),
        create_time: Some(seconds(version.created)),
        created_by: Some(version.created_by.clone()),
        default_version: Some(number == template.default),
        launch_template_data: Some(show_data(&version.data)),
        ..Default::default()
    }
}

fn seconds(at: Millis) -> Millis {
    Millis::secs(at.0 / 1000)
}

fn show_data(data: &Data) -> api::ResponseLaunchTemplateData {
    let profile = |name: &String| api::LaunchTemplateIamInstanceProfileSpecification {
        name: Some(name.clone()),
        ..Default::default()
    };
    let ebs = |bytes: u64| api::LaunchTemplateEbsBlockDevice {
        delete_on_termination: Some(true),
        volume_size: i32::try_from(bytes >> 30).ok(),
        ..Default::default()
    };
    let root = |bytes: u64| api::LaunchTemplateBlockDeviceMapping {
        device_name: Some(image::ROOT_DEVICE.into()),
        ebs: Some(ebs(bytes)),
        ..Default::default()
    };
    let options = |hops: u8| api::LaunchTemplateInstanceMetadataOptions {
        http_tokens: Some(api::LaunchTemplateHttpTokensState::Required),
        http_put_response_hop_limit: Some(i32::from(hops)),
        http_endpoint: Some(api::LaunchTemplateInstanceMetadataEndpointState::Enabled),
        ..Default::default()
    };
    let interface = || api::LaunchTemplateInstanceNetworkInterfaceSpecification {
        device_index: Some(0),
        groups: Some(data.groups.clone()),
        subnet_id: data.subnet.clone(),
        associate_public_ip_address: data.public,
        ..Default::default()
    };
    let beside = !data.groups_by_interface && !data.groups.is_empty();
    api::ResponseLaunchTemplateData {
        image_id: data.image.clone(),
        instance_type: data.instance_type.as_ref().and_then(|name| name.parse().ok()),
        user_data: data.user_data.as_deref().map(encoded),
        iam_instance_profile: data.instance_profile.as_ref().map(profile),
        security_group_ids: beside.then(|| data.groups.clone()),
        network_interfaces: data.groups_by_interface.then(|| vec![interface()]),
        block_device_mappings: data.root_bytes.map(|bytes| vec![root(bytes)]),
        metadata_options: data.hop_limit.map(options),
        key_name: data.key_name.clone(),
        monitoring: data
            .monitoring
            .map(|enabled| api::LaunchTemplatesMonitoring { enabled: Some(enabled), ..Default::default() }),
        ebs_optimized: data.ebs_optimized,
        disable_api_termination: data.termination_protection,
        tag_specifications: show_tags(data),
        ..Default::default()
    }
}

fn show_tags(data: &Data) -> Option<Vec<api::LaunchTemplateTagSpecification>> {
    let of = |kind, given: &Tags| {
        let tags = tags::shown(given);
        (!given.is_empty()).then_some(api::LaunchTemplateTagSpecification { resource_type: Some(kind), tags })
    };
    let all = [
        of(api::ResourceType::Instance, &data.tags),
        of(api::ResourceType::Volume, &data.volume_tags),
        of(api::ResourceType::NetworkInterface, &data.interface_tags),
    ];
    let all: Vec<_> = all.into_iter().flatten().collect();
    (!all.is_empty()).then_some(all)
}
