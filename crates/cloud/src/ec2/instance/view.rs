//! How EC2 shows an instance.

use super::{Instance, Launch, Phase, State};
use crate::ec2::describe::tag_values;
use crate::ec2::image;
use crate::ec2::instance_type;
use crate::ec2::network_interface::{self, NetworkInterface};
use crate::ec2::volume::Volume;
use crate::ec2::{security_group, subnet, tags};
use crate::iam::instance_profile;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Read, Record};
use roadstead_types::{Arn, Millis};
use time::OffsetDateTime;
use time::macros::format_description;

/// An instance that a user sees.
pub(super) fn show(read: &impl Read, region: &str, record: &Record<Instance>) -> Option<api::Instance> {
    let spec = &record.body.spec;
    let launch = spec.launch.as_ref()?;
    let state_now = State::of(record);
    let enis: Vec<_> = network_interface::of_instance(read, &spec.id).into_iter().map(|eni| eni.body).collect();
    let shown = api::Instance {
        instance_id: Some(spec.id.clone()),
        image_id: Some(launch.image.clone()),
        state: Some(state(state_now)),
        state_reason: reason(record),
        state_transition_reason: Some(transition(record)),
        instance_type: launch.instance_type.parse().ok(),
        launch_time: Some(launch.at),
        ami_launch_index: i32::try_from(launch.index).ok(),
        architecture: Some(api::ArchitectureValues::X8664),
        block_device_mappings: Some(devices(read, record)),
        client_token: Some(launch.client_token.clone().unwrap_or_default()),
        ebs_optimized: Some(true),
        ena_support: Some(true),
        hypervisor: Some(api::HypervisorType::Xen),
        iam_instance_profile: launch.instance_profile.as_ref().map(|name| profile(read, &spec.account, name)),
        key_name: launch.key_name.clone(),
        metadata_options: Some(options(launch)),
        monitoring: Some(monitoring(launch)),
        placement: Some(api::Placement {
            availability_zone: Some(launch.zone.clone()),
            tenancy: Some(api::Tenancy::Default),
            group_name: Some(String::new()),
            ..Default::default()
        }),
        platform_details: Some("Linux/UNIX".into()),
        usage_operation: Some("RunInstances".into()),
        root_device_name: Some(image::ROOT_DEVICE.into()),
        root_device_type: Some(api::DeviceType::Ebs),
        virtualization_type: Some(api::VirtualizationType::Hvm),
        current_instance_boot_mode: Some(api::InstanceBootModeValues::Uefi),
        cpu_options: cpus(launch),
        public_dns_name: Some(String::new()),
        private_dns_name: Some(String::new()),
        product_codes: Some(vec![]),
        tags: tags::shown(&launch.tags),
        ..Default::default()
    };
    Some(if state_now == State::Terminated { shown } else { in_its_network(shown, read, region, launch, &enis) })
}

/// What an instance has until it is terminated.
fn in_its_network(
    shown: api::Instance,
    read: &impl Read,
    region: &str,
    launch: &Launch,
    enis: &[NetworkInterface],
) -> api::Instance {
    let first = enis.first();
    let groups = first.map(|eni| security_group::identifiers(read, &eni.account, &eni.groups));
    api::Instance {
        network_interfaces: Some(
            enis.iter().map(|eni| network_interface::shown_in_instance(read, region, eni)).collect(),
        ),
        private_dns_name: Some(launch.private_dns_name.clone()),
        private_ip_address: Some(launch.address.to_string()),
        public_ip_address: first.and_then(|eni| network_interface::public_address(read, eni)).map(|ip| ip.to_string()),
        security_groups: groups,
        source_dest_check: first.map(|eni| eni.source_dest_check),
        subnet_id: Some(launch.subnet.clone()),
        vpc_id: Some(launch.vpc.clone()),
        ..shown
    }
}

/// Instances of one call.
pub(super) fn reservation(id: String, account: &str, instances: Vec<api::Instance>) -> api::Reservation {
    api::Reservation {
        reservation_id: Some(id),
        owner_id: Some(account.to_owned()),
        groups: Some(vec![]),
        instances: Some(instances),
        ..Default::default()
    }
}

/// A state and its number.
pub(super) fn state(state: State) -> api::InstanceState {
    let (code, name) = match state {
        State::Pending => (0, api::InstanceStateName::Pending),
        State::Running => (16, api::InstanceStateName::Running),
        State::ShuttingDown => (32, api::InstanceStateName::ShuttingDown),
        State::Terminated => (48, api::InstanceStateName::Terminated),
        State::Stopping => (64, api::InstanceStateName::Stopping),
        State::Stopped => (80, api::InstanceStateName::Stopped),
    };
    api::InstanceState { code: Some(code), name: Some(name) }
}

/// Why it is in its state: what its user did, or what is wrong with its machine.
fn reason(record: &Record<Instance>) -> Option<api::StateReason> {
    let status = &record.body.status;
    let (code, message) = match State::of(record) {
        State::ShuttingDown | State::Terminated | State::Stopping | State::Stopped => {
            let code = "Client.UserInitiatedShutdown";
            (code, format!("{code}: User initiated shutdown"))
        }
        State::Pending | State::Running if status.machine == Phase::Failed => {
            let code = "Server.InternalError";
            (code, format!("{code}: {}", status.why))
        }
        State::Pending => ("pending", format!("pending: {}", status.why)),
        State::Running => return None,
    };
    Some(api::StateReason { code: Some(code.to_owned()), message: Some(message) })
}

/// `User initiated (2026-01-02 03:04:05 GMT)`.
fn transition(record: &Record<Instance>) -> String {
    let at = match State::of(record) {
        State::ShuttingDown | State::Terminated => record.deleting.unwrap_or(record.body.status.machine_since),
        State::Stopping | State::Stopped => record.body.status.machine_since,
        State::Pending | State::Running => return String::new(),
    };
    format!("User initiated ({})", gmt(at))
}

fn gmt(at: Millis) -> String {
    let seconds = i64::try_from(at.0 / 1000).unwrap_or_default();
    let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]:[second] GMT");
    time.format(&format).unwrap_or_default()
}

/// Its volumes, as devices.
pub(super) fn devices(read: &impl Read, record: &Record<Instance>) -> Vec<api::InstanceBlockDeviceMapping> {
    let volumes = record.body.spec.volumes.iter().filter_map(|volume| read.shared(&Volume::key(&volume.volume)));
    let shown = volumes.filter_map(|volume| {
        let attachment = volume.body.attachment.as_ref()?;
        let ebs = api::EbsInstanceBlockDevice {
            attach_time: Some(attachment.since),
            delete_on_termination: Some(true),
            status: Some(api::AttachmentStatus::Attached),
            volume_id: Some(volume.body.id.clone()),
            ..Default::default()
        };
        Some(api::InstanceBlockDeviceMapping { device_name: Some(attachment.device.clone()), ebs: Some(ebs) })
    });
    shown.collect()
}

/// The profile, which may be gone by now.
fn profile(read: &impl Read, account: &str, name: &str) -> api::IamInstanceProfile {
    let found = instance_profile::find(read, account, name);
    let arn = found.as_ref().map_or_else(
        || Arn::new("iam", "", account, format!("instance-profile/{name}")),
        instance_profile::InstanceProfile::arn,
    );
    api::IamInstanceProfile { arn: Some(arn.to_string()), id: found.map(|profile| profile.id) }
}

fn options(launch: &Launch) -> api::InstanceMetadataOptionsResponse {
    api::InstanceMetadataOptionsResponse {
        state: Some(api::InstanceMetadataOptionsState::Applied),
        http_tokens: Some(api::HttpTokensState::Required),
        http_put_response_hop_limit: Some(i32::from(launch.hop_limit)),
        http_endpoint: Some(api::InstanceMetadataEndpointState::Enabled),
        http_protocol_ipv6: Some(api::InstanceMetadataProtocolState::Disabled),
        instance_metadata_tags: Some(api::InstanceMetadataTagsState::Disabled),
    }
}

fn monitoring(launch: &Launch) -> api::Monitoring {
    let state = if launch.monitoring { api::MonitoringState::Enabled } else { api::MonitoringState::Disabled };
    api::Monitoring { state: Some(state), ..Default::default() }
}

fn cpus(launch: &Launch) -> Option<api::CpuOptions> {
    let vcpus = i32::try_from(instance_type::find(&launch.instance_type)?.vcpus).ok()?;
    Some(api::CpuOptions { core_count: Some((vcpus / 2).max(1)), threads_per_core: Some(2), ..Default::default() })
}

/// What an instance has under a filter's name.
pub(super) fn values(read: &impl Read, record: &Record<Instance>, filter: &str) -> Option<Vec<String>> {
    let spec = &record.body.spec;
    let launch = spec.launch.as_ref()?;
    let now = State::of(record);
    let shown = state(now);
    let lives = now != State::Terminated;
    let enis = || network_interface::of_instance(read, &spec.id).into_iter().map(|eni| eni.body);
    let one = |text: &str| vec![text.to_owned()];
    let living = |text: &str| if lives { vec![text.to_owned()] } else { vec![] };
    Some(match filter {
        "instance-id" => one(&spec.id),
        "image-id" => one(&launch.image),
        "instance-type" => one(&launch.instance_type),
        "instance-state-name" => one(shown.name?.as_str()),
        "instance-state-code" => one(&shown.code?.to_string()),
        "reservation-id" => one(&launch.reservation),
        "owner-id" => one(&spec.account),
        "availability-zone" => one(&launch.zone),
        "availability-zone-id" => {
            let subnet = read.shared(&subnet::Subnet::key(&spec.account, &launch.subnet));
            subnet.map(|subnet| subnet.body.zone_id.clone()).into_iter().collect()
        }
        "subnet-id" => living(&launch.subnet),
        "vpc-id" => living(&launch.vpc),
        "private-ip-address" => living(&launch.address.to_string()),
        "private-dns-name" => living(&launch.private_dns_name),
        "client-token" => launch.client_token.clone().into_iter().collect(),
        "key-name" => launch.key_name.clone().into_iter().collect(),
        "architecture" => one("x86_64"),
        "hypervisor" => one("xen"),
        "root-device-type" => one("ebs"),
        "root-device-name" => one(image::ROOT_DEVICE),
        "virtualization-type" => one("hvm"),
        "tenancy" => one("default"),
        "launch-index" => one(&launch.index.to_string()),
        "iam-instance-profile.arn" => {
            let profile = launch.instance_profile.as_ref().map(|name| profile(read, &spec.account, name));
            profile.and_then(|profile| profile.arn).into_iter().collect()
        }
        "metadata-options.http-tokens" => one("required"),
        "instance.group-id" | "network-interface.group-id" => enis().flat_map(|eni| eni.groups).collect(),
        "network-interface.network-interface-id" => enis().map(|eni| eni.id).collect(),
        "network-interface.subnet-id" => enis().map(|eni| eni.subnet).collect(),
        "network-interface.vpc-id" => enis().map(|eni| eni.vpc).collect(),
        "network-interface.mac-address" => enis().map(|eni| eni.mac).collect(),
        "network-interface.addresses.private-ip-address" => {
            enis().flat_map(|eni| [vec![eni.address], eni.secondary].concat()).map(|a| a.to_string()).collect()
        }
        "block-device-mapping.volume-id" => spec.volumes.iter().map(|volume| volume.volume.clone()).collect(),
        _ => return tag_values(&launch.tags, filter),
    })
}
