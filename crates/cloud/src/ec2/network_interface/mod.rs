//! Network interfaces. [`crate::fabric`] makes them real.

mod address;
mod held;
mod model;
pub mod ops;
mod view;
mod wish;

pub use address::{free_addresses, has_free};
pub use held::{HeldAddress, held_in, hold, release};
pub use model::{Attachment, NetworkInterface};
pub(crate) use view::{public_address, public_addresses, shown_in_instance};
pub(crate) use wish::{Wish, fits};

use crate::ec2::instance::{self, State};
use crate::ec2::subnet::Subnet;
use roadstead_store::{AnyKey, Index, Read, Record, Tx};
use roadstead_types::{Cidr, Tags};
use std::net::Ipv4Addr;

/// What is asked of a new interface.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Its primary address; none: a free one.
    pub address: Option<Ipv4Addr>,
    /// Its secondary addresses.
    pub secondary: Vec<Ipv4Addr>,
    /// Its prefixes.
    pub prefixes: Vec<Cidr>,
    /// Its security groups.
    pub groups: Vec<String>,
    /// As given.
    pub description: String,
    /// Made by a service for its user.
    pub requester_managed: bool,
    /// A balancer answers for its address.
    pub balancer: bool,
    /// A VPC endpoint answers for its address.
    pub endpoint: bool,
    /// Its tags.
    pub tags: Tags,
}

/// Makes a service's interface, with a free address of the subnet unless one is asked for.
///
/// # Panics
/// If the subnet has no free address: callers check [`has_free`] first.
pub fn create(tx: &mut Tx, owner: &AnyKey, subnet: &Subnet, request: Request) -> NetworkInterface {
    insert(tx, Some(owner.clone()), subnet, request)
}

/// Makes a user's interface, which belongs to no other record: it may go from instance to instance.
///
/// # Panics
/// As [`create`].
pub fn create_for_user(tx: &mut Tx, subnet: &Subnet, request: Request) -> NetworkInterface {
    insert(tx, None, subnet, request)
}

fn insert(tx: &mut Tx, owner: Option<AnyKey>, subnet: &Subnet, request: Request) -> NetworkInterface {
    let id = tx.fresh_id("eni-");
    let free = |tx: &Tx| address::free(tx, subnet, &id).next().expect("callers check has_free first");
    let address = request.address.unwrap_or_else(|| free(tx));
    let interface = NetworkInterface {
        mac: mac(&id),
        id,
        account: subnet.account.clone(),
        vpc: subnet.vpc.clone(),
        subnet: subnet.id.clone(),
        block: subnet.cidr,
        zone: subnet.zone.clone(),
        address,
        secondary: request.secondary,
        prefixes: request.prefixes,
        groups: request.groups,
        description: request.description,
        requester_managed: request.requester_managed,
        balancer: request.balancer,
        endpoint: request.endpoint,
        attachment: None,
        public: None,
        source_dest_check: true,
        tags: request.tags,
    };
    tx.create(NetworkInterface::key(&interface.id), owner, interface.clone());
    interface
}

/// The interfaces of a user's instance, `eth0` first.
pub fn of_instance(read: &impl Read, instance: &str) -> Vec<Record<NetworkInterface>> {
    let mut all = read.list(Index::<NetworkInterface>::by("instance", instance));
    all.sort_by_key(|eni| eni.body.attachment.as_ref().map(|attachment| attachment.device_index));
    all
}

/// Whether an interface is in an instance that runs, or is about to.
pub fn is_in_use(read: &impl Read, eni: &NetworkInterface) -> bool {
    let attachment = eni.attachment.as_ref().filter(|attachment| !attachment.detaching);
    attachment.is_some_and(|at| matches!(instance::state(read, &at.instance), State::Pending | State::Running))
}

/// Puts an interface into an instance. Callers have checked that both are free to be.
pub fn attach(tx: &mut Tx, id: &str, instance: &str, device_index: u32, delete_on_termination: bool) -> String {
    let attachment = Attachment {
        id: tx.fresh_id("eni-attach-"),
        instance: instance.into(),
        device_index,
        since: tx.now(),
        delete_on_termination,
        detaching: false,
    };
    let mut record = tx.get(&NetworkInterface::key(id)).expect("callers have found it");
    let id = attachment.id.clone();
    record.body.attachment = Some(attachment);
    tx.put(record);
    id
}

/// Takes an interface out of the instance that no longer has it.
pub fn detached(tx: &mut Tx, mut record: Record<NetworkInterface>) {
    record.body.attachment = None;
    tx.put(record);
}

/// `02:` marks it as locally administered; the rest is the end of the id, which is unique in the region.
fn mac(id: &str) -> String {
    let digits = id.get(id.len().saturating_sub(10)..).unwrap_or(id);
    let pairs: Vec<&str> = (0..digits.len() / 2).filter_map(|n| digits.get(2 * n..2 * n + 2)).collect();
    format!("02:{}", pairs.join(":"))
}
