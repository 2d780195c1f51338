use super::{find, launched, missing};
use crate::ec2::instance::run::sized;
use crate::ec2::instance::{self, Instance, Power, State, view};
use crate::ec2::{address, image, tags};
use crate::settings::Settings;
use roadstead_kernel::Caller;
use roadstead_shapes::ec2 as api;
use roadstead_store::{Read, Record, Tx};
use roadstead_wire::fault::Fault;
use std::collections::BTreeSet;

/// EC2 TerminateInstances: all of them or none. One that is terminated already stays so.
pub fn terminate(
    tx: &mut Tx,
    caller: &Caller,
    input: api::TerminateInstancesRequest,
) -> Result<api::TerminateInstancesResult, Fault> {
    let records = all(tx, &caller.identity.account, &input.instance_ids)?;
    for record in &records {
        if launched(record)?.termination_protection && record.deleting.is_none() {
            let why = format!(
                "The instance '{}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try \
                 again.",
                record.body.spec.id
            );
            return Err(api::OPERATION_NOT_PERMITTED.fault(why));
        }
    }
    tags::not_dry(input.dry_run)?;
    let changes = records.into_iter().map(|record| {
        instance::terminate(tx, &record.body.spec.id);
        changed(tx, &record)
    });
    Ok(api::TerminateInstancesResult { terminating_instances: Some(changes.collect()) })
}

/// EC2 StopInstances: they keep their volumes and interfaces.
pub fn stop(tx: &mut Tx, caller: &Caller, input: api::StopInstancesRequest) -> Result<api::StopInstancesResult, Fault> {
    if input.hibernate == Some(true) {
        return Err(api::UNSUPPORTED_OPERATION.fault("Hibernation is not offered: stop the instances without it."));
    }
    let records = all(tx, &caller.identity.account, &input.instance_ids)?;
    let stops = [State::Pending, State::Running, State::Stopping, State::Stopped];
    all_are(&records, &stops, "stopped")?;
    tags::not_dry(input.dry_run)?;
    let changes = records.into_iter().map(|record| {
        switch(tx, &record, Power::Off);
        changed(tx, &record)
    });
    Ok(api::StopInstancesResult { stopping_instances: Some(changes.collect()) })
}

/// EC2 StartInstances: under the same id, with the same addresses and volumes.
pub fn start(
    tx: &mut Tx,
    caller: &Caller,
    input: api::StartInstancesRequest,
) -> Result<api::StartInstancesResult, Fault> {
    let records = all(tx, &caller.identity.account, &input.instance_ids)?;
    all_are(&records, &[State::Stopped, State::Pending, State::Running], "started")?;
    let settings = Settings::of(tx);
    for record in &records {
        sized(&settings, &launched(record)?.instance_type)?;
    }
    tags::not_dry(input.dry_run)?;
    let changes = records.into_iter().map(|record| {
        switch(tx, &record, Power::On);
        changed(tx, &record)
    });
    Ok(api::StartInstancesResult { starting_instances: Some(changes.collect()) })
}

/// EC2 RebootInstances: what is on its volumes stays.
pub fn reboot(tx: &mut Tx, caller: &Caller, input: api::RebootInstancesRequest) -> Result<(), Fault> {
    let records = all(tx, &caller.identity.account, &input.instance_ids)?;
    all_are(&records, &[State::Pending, State::Running], "rebooted")?;
    tags::not_dry(input.dry_run)?;
    for mut record in records {
        boot(&mut record.body);
        tx.put(record);
    }
    Ok(())
}

fn switch(tx: &mut Tx, record: &Record<Instance>, power: Power) {
    let mut record = record.clone();
    let now = tx.now();
    let Some(launch) = record.body.spec.launch.as_mut().filter(|launch| launch.power != power) else { return };
    launch.power = power;
    let (public, address) = (launch.public, launch.address);
    if power == Power::On {
        launch.at = now;
        boot(&mut record.body);
    }
    let first = record.body.spec.interfaces.first().cloned();
    tx.put(record);
    match (first, power) {
        (Some(first), Power::On) if public => address::lend(tx, &first),
        (Some(first), Power::Off) => address::release(tx, &first, address),
        _ => {}
    }
}

/// It is started once more, which makes its machine another one.
fn boot(instance: &mut Instance) {
    let Some(launch) = &mut instance.spec.launch else { return };
    launch.boots += 1;
    image::started(&mut instance.spec.image, launch.boots);
}

/// The instances that are named, each once.
fn all(read: &impl Read, account: &str, ids: &[String]) -> Result<Vec<Record<Instance>>, Fault> {
    let distinct: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let found: Vec<_> = distinct.iter().map(|id| (*id, find(read, account, id))).collect();
    let absent: Vec<&str> = found.iter().filter(|(_, record)| record.is_err()).map(|(id, _)| *id).collect();
    if !absent.is_empty() {
        return Err(missing(&absent));
    }
    found.into_iter().map(|(_, record)| record).collect()
}

fn all_are(records: &[Record<Instance>], states: &[State], become_: &str) -> Result<(), Fault> {
    match records.iter().find(|record| !states.contains(&State::of(record))) {
        None => Ok(()),
        Some(record) => Err(api::INCORRECT_INSTANCE_STATE.fault(format!(
            "The instance '{}' is not in a state from which it can be {become_}.",
            record.body.spec.id
        ))),
    }
}

/// What was, and what is.
fn changed(read: &impl Read, before: &Record<Instance>) -> api::InstanceStateChange {
    let after = read.get(&before.key);
    api::InstanceStateChange {
        instance_id: Some(before.body.spec.id.clone()),
        current_state: after.map(|record| view::state(State::of(&record))),
        previous_state: Some(view::state(State::of(before))),
    }
}
