//! VPC endpoints: the router of their VPC answers at their interfaces.

use crate::ec2::network_interface::NetworkInterface;
use crate::ec2::vpc_endpoint::VpcEndpoint;
use crate::fabric::{gone, is_wanted, saw, unwant, want};
use crate::settings::Settings;
use roadstead_hostspec as hostspec;
use roadstead_kernel::planner::{Next, Planner};
use roadstead_store::{Read as _, Record, Tx};
use std::mem::take;

/// VPC endpoint → the same, and what was seen of it.
pub struct EndpointPlanner;

impl Planner for EndpointPlanner {
    type Object = VpcEndpoint;
    const NAME: &'static str = "fabric/endpoint";

    fn plan(&self, mut record: Record<VpcEndpoint>, tx: &mut Tx) -> Next {
        if record.deleting.is_some() {
            return delete(tx, &record);
        }
        let endpoint = &mut record.body;
        if endpoint.places.is_empty() {
            // Nobody answers where it is not.
            unwant::<hostspec::Endpoint>(tx, &endpoint.id);
            endpoint.available = true;
            if gone::<hostspec::Endpoint>(tx, &endpoint.id) {
                let left = take(&mut endpoint.leaving);
                left.iter().for_each(|interface| tx.delete(&NetworkInterface::key(interface)));
            }
            tx.put(record);
            return Next::settled("it is in no subnet");
        }
        if !is_wanted::<hostspec::Network>(tx, &endpoint.vpc) {
            return Next::settled("waits for its network");
        }
        let item = item(tx, endpoint);
        want(tx, &record.key.any(), item);
        let Some(seen) = saw::<hostspec::Endpoint>(tx, &endpoint.id) else {
            return Next::settled("no host has said anything of it as it is");
        };
        endpoint.available = seen.ready;
        if seen.ready {
            let left = take(&mut endpoint.leaving);
            left.iter().for_each(|interface| tx.delete(&NetworkInterface::key(interface)));
        }
        tx.put(record);
        Next::settled(seen.why.unwrap_or_else(|| "it is answered at".to_owned()))
    }
}

/// An endpoint as hosts see it.
fn item(tx: &Tx, endpoint: &VpcEndpoint) -> hostspec::Endpoint {
    hostspec::Endpoint {
        id: endpoint.id.clone(),
        network: endpoint.vpc.clone(),
        addresses: endpoint.places.iter().map(|place| place.address).collect(),
        groups: endpoint.groups.clone(),
        names: endpoint.names(&Settings::of(tx).region),
    }
}

fn delete(tx: &mut Tx, record: &Record<VpcEndpoint>) -> Next {
    let endpoint = &record.body;
    if !unwant::<hostspec::Endpoint>(tx, &endpoint.id) {
        return Next::settled("deleting: a host still has it");
    }
    let interfaces = endpoint.places.iter().map(|place| &place.interface).chain(&endpoint.leaving);
    let there: Vec<_> = interfaces.map(|id| NetworkInterface::key(id)).filter(|key| tx.shared(key).is_some()).collect();
    if there.is_empty() {
        tx.remove(&record.key);
        return Next::settled("deleted");
    }
    there.iter().for_each(|key| tx.delete(key));
    Next::settled("deleting: its interfaces go")
}
