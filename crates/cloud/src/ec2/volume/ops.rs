//! The volume operations.

use super::Volume;
use crate::ec2::describe::{Query, at_least, select, tag_values};
use crate::ec2::tags;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Index, Read as _, Record, View};
use roadstead_wire::fault::Fault;

/// EC2 DescribeVolumes.
pub fn describe(
    view: &View,
    caller: &Caller,
    input: api::DescribeVolumesRequest,
) -> Result<api::DescribeVolumesResult, Fault> {
    tags::not_dry(input.dry_run)?;
    at_least(5, input.max_results)?;
    let account = &caller.identity.account;
    let query = Query {
        scope: format!("ec2:DescribeVolumes/{account}"),
        ids: input.volume_ids.as_deref().unwrap_or_default(),
        filters: input.filters.as_deref().unwrap_or_default(),
        max: input.max_results,
        token: input.next_token.as_deref(),
    };
    let all = view.list(Index::<Volume>::by("account", account.as_str()));
    let all = all.into_iter().map(|record| (record.body.id.clone(), record)).collect();
    let missing = |id: &str| api::INVALID_VOLUME_NOT_FOUND.fault(format!("The volume '{id}' does not exist."));
    let page = select(&query, all, values, missing)?;
    let volumes = page.items.iter().map(show).collect();
    Ok(api::DescribeVolumesResult { volumes: Some(volumes), next_token: page.next })
}

fn values(record: &Record<Volume>, filter: &str) -> Option<Vec<String>> {
    let volume = &record.body;
    let attachment = volume.attachment.as_ref();
    Some(match filter {
        "volume-id" => vec![volume.id.clone()],
        "availability-zone" => vec![volume.zone.clone()],
        "size" => vec![(volume.bytes >> 30).to_string()],
        "status" => vec![state(record).as_str().to_owned()],
        "volume-type" => vec!["gp3".into()],
        "encrypted" => vec!["false".into()],
        "attachment.instance-id" => attachment.map(|a| a.instance.clone()).into_iter().collect(),
        "attachment.device" => attachment.map(|a| a.device.clone()).into_iter().collect(),
        "attachment.status" => attachment.map(|_| "attached".to_owned()).into_iter().collect(),
        "attachment.delete-on-termination" => attachment.map(|_| "true".to_owned()).into_iter().collect(),
        _ => return tag_values(&volume.tags, filter),
    })
}

fn state(record: &Record<Volume>) -> api::VolumeState {
    match (&record.body.attachment, record.deleting) {
        (_, Some(_)) => api::VolumeState::Deleting,
        (_, None) if record.body.status.lost.is_some() => api::VolumeState::Error,
        (Some(_), None) => api::VolumeState::InUse,
        (None, None) => api::VolumeState::Available,
    }
}

fn show(record: &Record<Volume>) -> api::Volume {
    let volume = &record.body;
    let attachment = volume.attachment.as_ref().map(|attachment| api::VolumeAttachment {
        attach_time: Some(attachment.since),
        delete_on_termination: Some(true),
        device: Some(attachment.device.clone()),
        instance_id: Some(attachment.instance.clone()),
        state: Some(api::VolumeAttachmentState::Attached),
        volume_id: Some(volume.id.clone()),
        ..Default::default()
    });
    api::Volume {
        volume_id: Some(volume.id.clone()),
        availability_zone: Some(volume.zone.clone()),
        size: i32::try_from(volume.bytes >> 30).ok(),
        state: Some(state(record)),
        volume_type: Some(api::VolumeType::Gp3),
        create_time: Some(record.created),
        attachments: Some(attachment.into_iter().collect()),
        encrypted: Some(false),
        multi_attach_enabled: Some(false),
        tags: tags::shown(&volume.tags),
        ..Default::default()
    }
}
