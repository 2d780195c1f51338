//! NAT gateways: they have an interface, and no machine.

use crate::ec2::nat_gateway::NatGateway;
use crate::ec2::network_interface::NetworkInterface;
use crate::fabric::saw;
use roadstead_hostspec as hostspec;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Read as _, Record, Tx};

/// NAT gateway → its interface, and what was seen of that.
pub struct NatGatewayPlanner;

impl Planner for NatGatewayPlanner {
    type Object = NatGateway;
    const NAME: &'static str = "fabric/nat-gateway";

    fn plan(&self, mut record: Record<NatGateway>, tx: &mut Tx) -> Next {
        let Some(interface) = record.body.interface.clone() else {
            if record.deleting.is_some() {
                tx.remove(&record.key);
            }
            return Next::settled("it failed");
        };
        if record.deleting.is_some() {
            return delete(tx, &record, &interface);
        }
        let there = saw::<hostspec::Port>(tx, &interface).is_some_and(|port| port.ready);
        if there && !record.body.available {
            record.body.available = true;
            tx.put(record);
        }
        Next::settled(if there { "its interface is there" } else { "waits for its interface" })
    }
}

fn delete(tx: &mut Tx, record: &Record<NatGateway>, interface: &str) -> Next {
    if tx.shared(&NetworkInterface::key(interface)).is_some() {
        tx.delete(&NetworkInterface::key(interface));
        return Next::settled("deleting: its interface goes");
    }
    tx.remove(&record.key);
    Next::settled("deleted")
}
