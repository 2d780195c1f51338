use crate::ec2::instance::run::{Extras, Run, check};
use crate::ec2::instance::{Instance, view};
use crate::ec2::launch_template::{self, Data, Root, hop_limit};
use crate::ec2::network_interface::{self, Wish};
use crate::ec2::offered::{nothing_left, profile_name, unsupported, user_data};
use crate::ec2::{subnet, tags};
use crate::settings::Settings;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Read as _, Tx};
use roadstead_wire::fault::{Common, Fault};

/// Instances of one call at most.
const COUNT_MAX: i32 = 100;

/// EC2 RunInstances: so many as there is room for, or none if that is fewer than `MinCount`.
pub fn run(tx: &mut Tx, caller: &Caller, input: api::RunInstancesRequest) -> Result<api::Reservation, Fault> {
    let (least, most) = (input.min_count, input.max_count);
    if least < 1 || most < least {
        let why = format!("Value ({least}) for parameter minCount is invalid. 1 <= minCount <= maxCount.");
        return Err(Common::InvalidParameterValue.fault(why));
    }
    if most > COUNT_MAX {
        let why = format!("You have requested more instances ({most}) than one call may launch: {COUNT_MAX}.");
        return Err(api::INSTANCE_LIMIT_EXCEEDED.fault(why));
    }
    let dry_run = input.dry_run;
    let (run, mut extras) = asked(tx, caller, input)?;
    if most > 1 && (extras.interface.is_some() || extras.address.is_some() || !extras.secondary.is_empty()) {
        let why = "Network interfaces or private addresses may be named only for one instance at a time";
        return Err(Common::InvalidParameterCombination.fault(why));
    }
    check(tx, run.clone(), extras.clone())?;
    tags::not_dry(dry_run)?;
    let reservation = tx.fresh_id("r-");
    let mut ids = vec![];
    for index in 0..most {
        extras.reservation = Some(reservation.clone());
        extras.index = index.unsigned_abs();
        match check(tx, run.clone(), extras.clone()) {
            Ok(checked) => ids.push(checked.write(tx, None)),
            // Enough are there.
            Err(_) if index >= least => break,
            Err(fault) => return Err(fault),
        }
    }
    let records = ids.iter().filter_map(|id| tx.get(&Instance::key(id)));
    let instances = records.filter_map(|record| view::show(tx, &caller.region, &record)).collect();
    Ok(view::reservation(reservation, &caller.identity.account, instances))
}

/// What is asked for: what the request says, and what it leaves out as its launch template has it.
fn asked(tx: &Tx, caller: &Caller, mut input: api::RunInstancesRequest) -> Result<(Run, Extras), Fault> {
    let account = &caller.identity.account;
    input.max_count = 0;
    input.min_count = 0;
    input.dry_run = None;
    let template = input.launch_template.take();
    let template = template.map(|named| launch_template::ops::resolve(tx, account, named)).transpose()?;
    let (launch_template, base) = match template {
        Some((id, version, data)) => (Some((id, version)), data),
        None => (None, Data::default()),
    };
    let mut extras = Extras { client_token: input.client_token.take(), ..Extras::default() };
    let zone = zone(input.placement.take())?;
    let named_subnet = input.subnet_id.take();
    let mut data = own_data(&mut input)?;
    let mut wish = Wish::default();
    match input.network_interfaces.take().as_deref() {
        None | Some([]) => {
            wish.addresses(input.private_ip_address.take(), None, None)?;
            data.subnet = named_subnet;
        }
        Some([one]) => {
            if named_subnet.is_some() || !data.groups.is_empty() {
                let why = "Network interfaces and an instance-level subnet ID or security groups may not be specified \
                           on the same request";
                return Err(Common::InvalidParameterCombination.fault(why));
            }
            interface(one.clone(), &mut data, &mut extras, &mut wish)?;
        }
        Some(_) => return Err(unsupported("An instance begins with one interface here: attach others to it later.")),
    }
    harmless(&mut input);
    nothing_left(&input, "RunInstances")?;
    let data = data.over(base);
    extras.address = wish.address;
    extras.secondary = wish.secondary;
    extras.secondary_count = wish.secondary_count;
    extras.prefixes = wish.prefixes;
    extras.prefix_count = wish.prefix_count;
    extras.termination_protection = data.termination_protection.unwrap_or(false);
    let missing = |name: &str| {
        let why = format!("The request must contain the parameter {name}");
        api::MISSING_INPUT.fault(why)
    };
    let default = || subnet::ops::default_in(tx, account, zone.as_deref()).map(|subnet| subnet.id);
    let subnet = match (data.subnet, &extras.interface) {
        (Some(subnet), _) => subnet,
        // The interface says where.
        (None, Some(_)) => String::new(),
        (None, None) => default().ok_or_else(|| {
            api::MISSING_INPUT.fault("No default subnet for the requested availability zone: specify a subnet ID.")
        })?,
    };
    let run = Run {
        account: account.clone(),
        image: data.image.ok_or_else(|| missing("ImageId"))?,
        instance_type: data.instance_type.ok_or_else(|| missing("InstanceType"))?,
        subnet,
        groups: data.groups,
        instance_profile: data.instance_profile,
        user_data: data.user_data,
        tags: data.tags,
        launch_template,
        root_bytes: data.root_bytes,
        hop_limit: data.hop_limit.unwrap_or(0),
        public: data.public,
        key_name: data.key_name,
        monitoring: data.monitoring.unwrap_or(false),
        volume_tags: data.volume_tags,
        interface_tags: data.interface_tags,
    };
    zone_fits(tx, &run, zone.as_deref())?;
    Ok((run, extras))
}

/// What the request itself says an instance is to be.
fn own_data(input: &mut api::RunInstancesRequest) -> Result<Data, Fault> {
    let mut data = Data {
        image: input.image_id.take(),
        instance_type: input.instance_type.take().map(|name| name.to_string()),
        user_data: input.user_data.take().map(|text| user_data(&text)).transpose()?,
        groups: input.security_group_ids.take().unwrap_or_default(),
        key_name: input.key_name.take(),
        monitoring: input.monitoring.take().map(|monitoring| monitoring.enabled),
        ebs_optimized: input.ebs_optimized.take(),
        termination_protection: input.disable_api_termination.take(),
        ..Data::default()
    };
    if let Some(profile) = input.iam_instance_profile.take() {
        data.instance_profile = profile_name(profile.name, profile.arn)?;
    }
    for specification in input.tag_specifications.take().unwrap_or_default() {
        let given = tags::checked(specification.tags.unwrap_or_default())?;
        match specification.resource_type {
            Some(api::ResourceType::Instance) => data.tags.extend(given),
            Some(api::ResourceType::Volume) => data.volume_tags.extend(given),
            Some(api::ResourceType::NetworkInterface) => data.interface_tags.extend(given),
            other => {
                let named = other.map_or("none", |other| other.as_str());
                let why = format!("'{named}' is not a valid taggable resource type for this operation.");
                return Err(Common::InvalidParameterValue.fault(why));
            }
        }
    }
    if let Some(options) = input.metadata_options.take() {
        data.hop_limit = hop_limit(
            options.http_put_response_hop_limit,
            options.http_tokens == Some(api::HttpTokensState::Optional),
            options.http_endpoint == Some(api::InstanceMetadataEndpointState::Disabled),
            options.instance_metadata_tags == Some(api::InstanceMetadataTagsState::Enabled),
        )?;
    }
    for mapping in input.block_device_mappings.take().unwrap_or_default() {
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
    Ok(data)
}

/// What the request says of `eth0`.
fn interface(
    mut given: api::InstanceNetworkInterfaceSpecification,
    data: &mut Data,
    extras: &mut Extras,
    wish: &mut Wish,
) -> Result<(), Fault> {
    if given.device_index.take().unwrap_or(0) != 0 || given.network_card_index.take().unwrap_or(0) != 0 {
        return Err(unsupported("An instance begins with its interface 0 here: attach others to it later."));
    }
    data.groups = given.groups.take().unwrap_or_default();
    data.groups_by_interface = true;
    data.subnet = given.subnet_id.take();
    extras.interface = given.network_interface_id.take();
    // A user's interface stays unless it is said to go; a new one goes.
    extras.keeps_interface = !given.delete_on_termination.take().unwrap_or(extras.interface.is_none());
    extras.description = given.description.take().unwrap_or_default();
    let (primary, named) = (given.private_ip_address.take(), given.private_ip_addresses.take());
    wish.addresses(primary, named, given.secondary_private_ip_address_count.take())?;
    let prefixes = network_interface::ops::texts(given.ipv4_prefixes.take());
    wish.prefixes(prefixes, given.ipv4_prefix_count.take())?;
    data.public = given.associate_public_ip_address.take();
    if data.public.is_some() && extras.interface.is_some() {
        let why = "The associatePublicIPAddress parameter cannot be specified when launching with an existing network interface.";
        return Err(Common::InvalidParameterCombination.fault(why));
    }
    if given.interface_type.take().is_some_and(|kind| kind != "interface") {
        return Err(unsupported("Only interfaces of type 'interface' are offered."));
    }
    nothing_left(&given, "An instance's interface")
}

/// The zone that is asked for.
fn zone(placement: Option<api::Placement>) -> Result<Option<String>, Fault> {
    let Some(mut placement) = placement else { return Ok(None) };
    placement.tenancy.take_if(|tenancy| *tenancy == api::Tenancy::Default);
    placement.group_name.take_if(|name| name.is_empty());
    let zone = placement.availability_zone.take();
    nothing_left(&placement, "An instance's placement")?;
    Ok(zone)
}

fn zone_fits(tx: &Tx, run: &Run, zone: Option<&str>) -> Result<(), Fault> {
    let Some(zone) = zone else { return Ok(()) };
    let known = Settings::of(tx).zones.iter().any(|known| known.name == zone);
    let subnet = tx.shared(&subnet::Subnet::key(&run.account, &run.subnet));
    if !known || subnet.is_some_and(|subnet| subnet.body.zone != zone) {
        let why = format!("Value ({zone}) for parameter availabilityZone is invalid: it is not the subnet's.");
        return Err(Common::InvalidParameterValue.fault(why));
    }
    Ok(())
}

/// Takes out what has no bearing here, or asks for what is so anyway.
fn harmless(input: &mut api::RunInstancesRequest) {
    input.credit_specification = None;
    input.instance_initiated_shutdown_behavior.take_if(|behavior| *behavior == api::ShutdownBehavior::Stop);
    input.hibernation_options.take_if(|options| options.configured != Some(true));
    input.enclave_options.take_if(|options| options.enabled != Some(true));
    input.disable_api_stop.take_if(|disabled| !*disabled);
    input.ipv6_address_count.take_if(|count| *count == 0);
    input.enable_primary_ipv6.take_if(|enable| !*enable);
}
