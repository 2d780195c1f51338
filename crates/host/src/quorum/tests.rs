use super::Standing::{Absent, Ready, Unknown};
use super::{Standing, refused};
use roadstead_hostspec::{Quorum, QuorumMember, Server};
use std::net::Ipv4Addr;

fn address(n: usize) -> Ipv4Addr {
    Ipv4Addr::new(198, 19, u8::try_from(n).unwrap(), 4)
}

/// The places of the members that are refused, of so many with these standings.
fn refused_of(standings: &[Standing], majority: usize) -> Vec<usize> {
    let server = |n: usize| Server { machine: n.to_string(), process: "etcd".into() };
    let members = (0..standings.len()).map(|n| QuorumMember { address: address(n), server: server(n) });
    let spec = Quorum { id: "q".into(), network: "net".into(), port: 2379, majority, members: members.collect() };
    let places = refused(&spec, |server| standings[server.machine.parse::<usize>().unwrap()]);
    (0..standings.len()).filter(|n| places.contains(&(address(*n), 2379))).collect()
}

#[test]
fn who_does_not_serve_is_refused_while_a_majority_does() {
    for (standings, expected) in [
        ([Ready, Ready, Ready], vec![]),
        ([Absent, Ready, Ready], vec![0]),
        ([Ready, Ready, Absent], vec![2]),
        // A lost quorum is nobody's fault in particular.
        ([Absent, Absent, Ready], vec![]),
        ([Absent, Absent, Absent], vec![]),
        // What is not known neither makes a majority nor is refused.
        ([Absent, Unknown, Ready], vec![]),
        ([Unknown, Ready, Ready], vec![]),
    ] {
        assert_eq!(refused_of(&standings, 2), expected, "{standings:?}");
    }
}

#[test]
fn the_majority_is_that_of_the_whole_group() {
    assert_eq!(refused_of(&[Absent, Ready], 2), Vec::<usize>::new(), "the third is being replaced");
    assert_eq!(refused_of(&[Ready, Absent, Ready, Absent, Ready], 3), [1, 3]);
}
