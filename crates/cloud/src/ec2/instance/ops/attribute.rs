use super::{find, launched};
use crate::ec2::image;
use crate::ec2::instance::console::ConsoleOutput;
use crate::ec2::instance::run::{sized, user_data_fits};
use crate::ec2::instance::{Instance, State, view};
use crate::ec2::network_interface::{self, NetworkInterface};
use crate::ec2::offered::{encoded, nothing_left};
use crate::ec2::{security_group, tags};
use crate::settings::Settings;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Read as _, Record, Tx, View};
use roadstead_wire::fault::{Common, Fault};

/// EC2 DescribeInstanceAttribute.
pub fn describe_attribute(
    read: &View,
    caller: &Caller,
    input: api::DescribeInstanceAttributeRequest,
) -> Result<api::InstanceAttribute, Fault> {
    use api::InstanceAttributeName as Name;
    tags::not_dry(input.dry_run)?;
    let record = find(read, &caller.identity.account, &input.instance_id)?;
    let launch = launched(&record)?;
    let first = || network_interface::of_instance(read, &record.body.spec.id).into_iter().next().map(|eni| eni.body);
    let text = |value: Option<String>| Some(api::AttributeValue { value });
    let flag = |value: bool| Some(api::AttributeBooleanValue { value: Some(value) });
    let of = api::InstanceAttribute { instance_id: Some(input.instance_id), ..Default::default() };
    Ok(match input.attribute {
        Name::InstanceType => api::InstanceAttribute { instance_type: text(Some(launch.instance_type.clone())), ..of },
        Name::UserData => api::InstanceAttribute { user_data: text(launch.user_data.as_deref().map(encoded)), ..of },
        Name::DisableApiTermination => {
            api::InstanceAttribute { disable_api_termination: flag(launch.termination_protection), ..of }
        }
        Name::DisableApiStop => api::InstanceAttribute { disable_api_stop: flag(false), ..of },
        Name::InstanceInitiatedShutdownBehavior => {
            api::InstanceAttribute { instance_initiated_shutdown_behavior: text(Some("stop".into())), ..of }
        }
        Name::RootDeviceName => {
            api::InstanceAttribute { root_device_name: text(Some(image::ROOT_DEVICE.into())), ..of }
        }
        Name::BlockDeviceMapping => {
            api::InstanceAttribute { block_device_mappings: Some(view::devices(read, &record)), ..of }
        }
        Name::SourceDestCheck => {
            let checked = first().is_none_or(|eni| eni.source_dest_check);
            api::InstanceAttribute { source_dest_check: flag(checked), ..of }
        }
        Name::GroupSet => {
            let groups = first().map(|eni| eni.groups).unwrap_or_default();
            let groups = security_group::identifiers(read, &record.body.spec.account, &groups);
            api::InstanceAttribute { groups: Some(groups), ..of }
        }
        Name::EbsOptimized => api::InstanceAttribute { ebs_optimized: flag(true), ..of },
        Name::EnaSupport => api::InstanceAttribute { ena_support: flag(true), ..of },
        Name::ProductCodes => api::InstanceAttribute { product_codes: Some(vec![]), ..of },
        Name::Kernel => api::InstanceAttribute { kernel_id: text(None), ..of },
        Name::Ramdisk => api::InstanceAttribute { ramdisk_id: text(None), ..of },
        Name::SriovNetSupport => api::InstanceAttribute { sriov_net_support: text(None), ..of },
        Name::EnclaveOptions => {
            let options = api::EnclaveOptions { enabled: Some(false) };
            api::InstanceAttribute { enclave_options: Some(options), ..of }
        }
    })
}

/// EC2 ModifyInstanceAttribute: groups, source check and protection at any time; type and user data of one that is
/// stopped.
pub fn modify_attribute(
    tx: &mut Tx,
    caller: &Caller,
    mut input: api::ModifyInstanceAttributeRequest,
) -> Result<(), Fault> {
    named(&mut input)?;
    let account = &caller.identity.account;
    let dry_run = input.dry_run.take();
    let mut record = find(tx, account, &std::mem::take(&mut input.instance_id))?;
    if let Some(groups) = input.groups.take().filter(|groups| !groups.is_empty()) {
        let mut eni = first(tx, &record)?;
        eni.body.groups = security_group::ops::in_vpc(tx, account, &eni.body.vpc, &groups)?;
        tx.put(eni);
    }
    if let Some(check) = input.source_dest_check.take() {
        let mut eni = first(tx, &record)?;
        eni.body.source_dest_check = check.value.unwrap_or(true);
        tx.put(eni);
    }
    let (size, data) = (input.instance_type.take(), input.user_data.take());
    if size.is_some() || data.is_some() {
        is_stopped(&record)?;
    }
    let protection = input.disable_api_termination.take();
    input.ebs_optimized.take_if(|optimized| optimized.value == Some(true));
    input.ena_support.take_if(|support| support.value == Some(true));
    input.disable_api_stop.take_if(|disabled| disabled.value != Some(true));
    nothing_left(&input, "ModifyInstanceAttribute")?;
    if let Some(name) = size.and_then(|size| size.value) {
        resize(tx, &mut record.body, name)?;
    }
    let launch = record.body.spec.launch.as_mut();
    if let Some(launch) = launch {
        if let Some(data) = data {
            let text = String::from_utf8(data.value.unwrap_or_default());
            let text =
                text.map_err(|_| api::INVALID_USER_DATA_MALFORMED.fault("User data must be UTF-8 text here."))?;
            user_data_fits(Some(&text))?;
            launch.user_data = Some(text).filter(|text| !text.is_empty());
        }
        if let Some(protection) = protection {
            launch.termination_protection = protection.value.unwrap_or(false);
        }
    }
    tags::not_dry(dry_run)?;
    tx.put(record);
    Ok(())
}

/// `Attribute` and `Value` say in another way what has a member of its own.
fn named(input: &mut api::ModifyInstanceAttributeRequest) -> Result<(), Fault> {
    use api::InstanceAttributeName as Name;
    let (Some(attribute), Some(value)) = (input.attribute.take(), input.value.take()) else { return Ok(()) };
    let flag = || Some(api::AttributeBooleanValue { value: Some(value == "true") });
    match attribute {
        Name::InstanceType => input.instance_type = Some(api::AttributeValue { value: Some(value) }),
        Name::DisableApiTermination => input.disable_api_termination = flag(),
        Name::SourceDestCheck => input.source_dest_check = flag(),
        other => {
            let why = format!("{other} can't be modified here.");
            return Err(Common::InvalidParameterValue.fault(why));
        }
    }
    Ok(())
}

fn first(tx: &Tx, record: &Record<Instance>) -> Result<Record<NetworkInterface>, Fault> {
    let id = &record.body.spec.id;
    let first = network_interface::of_instance(tx, id).into_iter().next();
    first.ok_or_else(|| api::INCORRECT_INSTANCE_STATE.fault(format!("The instance '{id}' has no interface any more.")))
}

fn is_stopped(record: &Record<Instance>) -> Result<(), Fault> {
    if State::of(record) == State::Stopped {
        return Ok(());
    }
    let why = format!("The instance '{}' is not in the 'stopped' state.", record.body.spec.id);
    Err(api::INCORRECT_INSTANCE_STATE.fault(why))
}

fn resize(tx: &Tx, instance: &mut Instance, name: String) -> Result<(), Fault> {
    let size = sized(&Settings::of(tx), &name)?;
    let enis = network_interface::of_instance(tx, &instance.spec.id);
    for eni in &enis {
        network_interface::fits(Some(size), eni.body.places())?;
    }
    if enis.len() > size.enis {
        let why = format!("Interface count {} exceeds the limit for {name}", enis.len());
        return Err(api::UNSUPPORTED_OPERATION.fault(why));
    }
    image::resize(&mut instance.spec.image, size.into());
    if let Some(launch) = &mut instance.spec.launch {
        launch.instance_type = name;
    }
    Ok(())
}

/// EC2 GetConsoleOutput: what the host posted after the last turn of the instance's state, as EC2 does on its older
/// instances. A call changes nothing on any host, so there is nothing later to be had by one.
pub fn console_output(
    view: &View,
    caller: &Caller,
    input: api::GetConsoleOutputRequest,
) -> Result<api::GetConsoleOutputResult, Fault> {
    tags::not_dry(input.dry_run)?;
    let record = find(view, &caller.identity.account, &input.instance_id)?;
    if input.latest == Some(true) {
        let why = "This instance type does not support retrieving the latest console logs. Leave Latest out: what was \
                   posted last is there.";
        return Err(api::UNSUPPORTED_OPERATION.fault(why));
    }
    let posted = view.get(&ConsoleOutput::key(&input.instance_id)).map(|posted| posted.body);
    let at = posted.as_ref().map_or(launched(&record)?.at, |posted| posted.at);
    Ok(api::GetConsoleOutputResult {
        instance_id: Some(input.instance_id),
        timestamp: Some(at),
        output: posted.map(|posted| encoded(&posted.text)),
    })
}
