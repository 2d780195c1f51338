//! Instances: machines of an account. [`crate::fabric`] makes them real and writes their status.
//!
//! A service's own instance is [`launch`]ed with an image that stands in its record. A user's, or one that a service
//! runs in its user's name, is [`run`] from an AMI: it has a type, a state that moves, tags, and is seen by the API.

pub mod console;
mod model;
pub mod ops;
mod run;
mod view;

pub use model::{Attachment, Image, Instance, Launch, Phase, Power, Spec, State, Status};
pub use run::{Run, private_dns_name, private_domain, run};

use crate::ec2::network_interface::{self, NetworkInterface};
use crate::ec2::volume::Volume;
use roadstead_store::{AnyKey, Read, Record, Tx};
use roadstead_types::Millis;
use std::net::Ipv4Addr;

/// How long a terminated instance is shown (EC2 user guide, "Terminate instances").
pub const SHOWN_AFTER_TERMINATION: Millis = Millis::mins(60);

/// Launches a service's instance.
pub fn launch(
    tx: &mut Tx,
    owner: &AnyKey,
    account: &str,
    interfaces: &[String],
    volumes: &[Attachment],
    image: Image,
) -> String {
    let id = tx.fresh_id("i-");
    let spec = Spec {
        id: id.clone(),
        account: account.into(),
        interfaces: interfaces.to_vec(),
        volumes: volumes.to_vec(),
        image,
        launch: None,
    };
    let status = Status { why: "launching".into(), since: tx.now(), machine_since: tx.now(), ..Status::default() };
    tx.create(Instance::key(&id), Some(owner.clone()), Instance { spec, status });
    id
}

/// Terminates an instance: its interfaces and volumes go with it, unless they were to stay. It is shown for an hour.
pub fn terminate(tx: &mut Tx, id: &str) {
    tx.delete(&Instance::key(id));
}

/// The state of an instance; one that is no longer shown is terminated, too.
pub fn state(read: &impl Read, id: &str) -> State {
    read.shared(&Instance::key(id)).map_or(State::Terminated, |record| State::of(&record))
}

/// The primary address of an instance's first interface.
pub fn address(read: &impl Read, spec: &Spec) -> Option<Ipv4Addr> {
    let first = spec.interfaces.first()?;
    Some(read.get(&NetworkInterface::key(first))?.body.address)
}

/// Lets go of what a terminated instance had, once nothing of its machine is left. True when its volumes are gone.
pub fn release(tx: &mut Tx, record: &Record<Instance>) -> bool {
    for eni in network_interface::of_instance(tx, &record.body.spec.id) {
        let goes = eni.body.attachment.as_ref().is_some_and(|attachment| attachment.delete_on_termination);
        let key = eni.key.clone();
        network_interface::detached(tx, eni);
        if goes {
            tx.delete(&key);
        }
    }
    let volumes: Vec<_> = record.body.spec.volumes.iter().map(|volume| Volume::key(&volume.volume)).collect();
    volumes.iter().for_each(|volume| tx.delete(volume));
    volumes.iter().all(|volume| tx.shared(volume).is_none())
}
