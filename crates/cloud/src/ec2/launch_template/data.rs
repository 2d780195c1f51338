//! What a request says an instance is to be.

use super::Data;
use crate::ec2::offered::{nothing_left, profile_name, unsupported, user_data};
use crate::ec2::{image, tags};
use roadstead_shapes::ec2 as api;
use roadstead_wire::fault::{Common, Fault};

impl Data {
    /// As a request has it. What is not offered is refused, what has no bearing here is dropped.
    pub(super) fn of(mut given: api::RequestLaunchTemplateData) -> Result<Data, Fault> {
        let mut data = Data {
            image: given.image_id.take(),
            instance_type: given.instance_type.take().map(|name| name.to_string()),
            user_data: given.user_data.take().map(|text| user_data(&text)).transpose()?,
            groups: given.security_group_ids.take().unwrap_or_default(),
            key_name: given.key_name.take(),
            monitoring: given.monitoring.take().and_then(|monitoring| monitoring.enabled),
            ebs_optimized: given.ebs_optimized.take(),
            termination_protection: given.disable_api_termination.take(),
            ..Data::default()
        };
        if let Some(profile) = given.iam_instance_profile.take() {
            data.instance_profile = profile_name(profile.name, profile.arn)?;
        }
        data.take_tags(given.tag_specifications.take().unwrap_or_default())?;
        if let Some(options) = given.metadata_options.take() {
            data.hop_limit = hop_limit(
                options.http_put_response_hop_limit,
                options.http_tokens == Some(api::LaunchTemplateHttpTokensState::Optional),
                options.http_endpoint == Some(api::LaunchTemplateInstanceMetadataEndpointState::Disabled),
                options.instance_metadata_tags == Some(api::LaunchTemplateInstanceMetadataTagsState::Enabled),
            )?;
        }
        for mapping in given.block_device_mappings.take().unwrap_or_default() {
            let ebs = mapping.ebs.unwrap_or_default();
            let root = Root {
                device: mapping.device_name,
                gib: ebs.volume_size,
                keeps: ebs.delete_on_termination == Some(false),
                encrypted: ebs.encrypted == Some(true),
                snapshot: ebs.snapshot_id.is_some() || mapping.no_device.is_some() || mapping.virtual_name.is_some(),
            };
            data.root_bytes = root.bytes()?;
        }
        for interface in given.network_interfaces.take().unwrap_or_default() {
            data.take_interface(interface)?;
        }
        // A burst of processor time is the host's to give, and no instance here is of two minds about its end.
        given.credit_specification = None;
        given.instance_initiated_shutdown_behavior.take_if(|behavior| *behavior == api::ShutdownBehavior::Stop);
        nothing_left(&given, "A launch template")?;
        Ok(data)
    }

    fn take_tags(&mut self, specifications: Vec<api::LaunchTemplateTagSpecificationRequest>) -> Result<(), Fault> {
        for specification in specifications {
            let given = tags::checked(specification.tags.unwrap_or_default())?;
            match specification.resource_type {
                Some(api::ResourceType::Instance) => self.tags.extend(given),
                Some(api::ResourceType::Volume) => self.volume_tags.extend(given),
                Some(api::ResourceType::NetworkInterface) => self.interface_tags.extend(given),
                other => {
                    let named = other.map_or("none", |other| other.as_str());
                    return Err(unsupported(format!("A launch template can't have tags of {named} here.")));
                }
            }
        }
        Ok(())
    }

    fn take_interface(
        &mut self,
        mut given: api::LaunchTemplateInstanceNetworkInterfaceSpecificationRequest,
    ) -> Result<(), Fault> {
        if given.device_index.take().unwrap_or(0) != 0 || self.groups_by_interface {
            return Err(unsupported("A launch template can have one interface here, that with device index 0."));
        }
        if !self.groups.is_empty() {
            let why =
                "Network interfaces and an instance-level security groups may not be specified on the same request";
            return Err(Common::InvalidParameterCombination.fault(why));
        }
        self.groups = given.groups.take().unwrap_or_default();
        self.groups_by_interface = true;
        self.subnet = given.subnet_id.take();
        given.delete_on_termination.take_if(|goes| *goes);
        self.public = given.associate_public_ip_address.take();
        given.network_card_index.take_if(|card| *card == 0);
        nothing_left(&given, "An interface of a launch template")
    }
}

/// The hop limit of metadata options, of which all others are fixed: version 2 only, always there, and no tags.
pub(crate) fn hop_limit(
    hops: Option<i32>,
    optional: bool,
    disabled: bool,
    with_tags: bool,
) -> Result<Option<u8>, Fault> {
    if optional || disabled || with_tags {
        let why = "Instance metadata is there by IMDSv2 only and without tags: HttpTokens must be 'required', \
                   HttpEndpoint 'enabled' and InstanceMetadataTags 'disabled'.";
        return Err(unsupported(why));
    }
    let limit = |hops: i32| u8::try_from(hops).ok().filter(|hops| (1..=64).contains(hops));
    let wrong = || Common::InvalidParameterValue.fault("HttpPutResponseHopLimit must be between 1 and 64");
    hops.map(|hops| limit(hops).ok_or_else(wrong)).transpose()
}

/// What a request says of a volume. Its kind and speed have no bearing here.
pub(crate) struct Root {
    pub device: Option<String>,
    pub gib: Option<i32>,
    /// It is to stay when the instance is terminated.
    pub keeps: bool,
    pub encrypted: bool,
    /// It comes from somewhere, or is no volume.
    pub snapshot: bool,
}

impl Root {
    /// Its size, if it is the root volume.
    pub fn bytes(self) -> Result<Option<u64>, Fault> {
        let device = self.device.unwrap_or_default();
        if device != image::ROOT_DEVICE || self.keeps || self.encrypted || self.snapshot {
            let why = format!(
                "Only the root volume {} can be described: from its image, not encrypted, and gone with its instance.",
                image::ROOT_DEVICE
            );
            return Err(unsupported(why));
        }
        let gib = |gib: i32| u64::try_from(gib).map(|gib| gib << 30);
        let wrong = |_| api::INVALID_BLOCK_DEVICE_MAPPING.fault("The volume size is not valid");
        self.gib.map(gib).transpose().map_err(wrong)
    }
}
