//! Names of endpoints, as resolvers of their networks know them.

use crate::lock;
use roadstead_hostspec::Endpoint;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

/// The names that lead to endpoints. A handle: copies share everything.
#[derive(Clone, Default)]
pub struct Names(Arc<Mutex<BTreeMap<String, Named>>>);

/// The names of one endpoint.
struct Named {
    network: String,
    names: BTreeMap<String, Vec<Ipv4Addr>>,
}

impl Names {
    /// The endpoint is known by its names, and by no others.
    pub(super) fn put(&self, endpoint: &Endpoint) {
        let named = Named { network: endpoint.network.clone(), names: endpoint.names.clone() };
        lock(&self.0).insert(endpoint.id.clone(), named);
    }

    /// The endpoint is known by no name any more.
    pub(super) fn remove(&self, id: &str) {
        lock(&self.0).remove(id);
    }

    /// Where a name, in small letters, leads in a network; `None` if it is no endpoint's there.
    pub(crate) fn find(&self, network: &str, name: &str) -> Option<Vec<Ipv4Addr>> {
        let wild = name.split_once('.').map(|(_, rest)| format!("*.{rest}"));
        let all = lock(&self.0);
        let of_network = || all.values().filter(|named| named.network == network);
        let exact = of_network().find_map(|named| named.names.get(name));
        exact.or_else(|| of_network().find_map(|named| named.names.get(wild.as_deref()?))).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(id: &str, network: &str, name: &str, last: u8) -> Endpoint {
        let names = [(name.to_owned(), vec![Ipv4Addr::new(10, 0, 0, last)])].into();
        Endpoint { id: id.into(), network: network.into(), names, ..Endpoint::default() }
    }

    #[test]
    fn a_name_is_known_in_its_own_network_while_its_endpoint_is_there() {
        let names = Names::default();
        names.put(&endpoint("vpce-1", "vpc-1", "ec2.us-east-1.amazonaws.com", 5));
        names.put(&endpoint("vpce-2", "vpc-2", "ec2.us-east-1.amazonaws.com", 6));
        let found = |network| names.find(network, "ec2.us-east-1.amazonaws.com");
        assert_eq!(found("vpc-1"), Some(vec![Ipv4Addr::new(10, 0, 0, 5)]));
        assert_eq!(found("vpc-2"), Some(vec![Ipv4Addr::new(10, 0, 0, 6)]));
        assert_eq!(found("vpc-3"), None);
        names.put(&endpoint("vpce-1", "vpc-1", "sts.us-east-1.amazonaws.com", 5));
        assert_eq!(found("vpc-1"), None, "its names are others now");
        names.remove("vpce-2");
        assert_eq!(found("vpc-2"), None);
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let names = Names::default();
        names.put(&endpoint("vpce-1", "vpc-1", "*.dkr.ecr.us-east-1.amazonaws.com", 5));
        let is_known = |name| names.find("vpc-1", name).is_some();
        assert!(is_known("111122223333.dkr.ecr.us-east-1.amazonaws.com"));
        assert!(!is_known("dkr.ecr.us-east-1.amazonaws.com"));
        assert!(!is_known("a.b.dkr.ecr.us-east-1.amazonaws.com"));
    }
}
