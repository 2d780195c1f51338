use super::*;
use crate::eks::etcd::Answer;
use std::net::Ipv4Addr;

fn member(n: u8) -> Member {
    let address = Ipv4Addr::new(198, 19, n, 4);
    let (name, interface, volume) = (format!("etcd-{n}"), format!("eni-{n}"), format!("vol-{n}"));
    Member { name, interface, address, volume, joined: false, stage: Stage::Voting }
}

fn placement() -> Placement {
    Placement {
        network: "vpc-1".into(),
        members: [1, 2, 3].map(member).into(),
        servers: Vec::new(),
        balancer_interfaces: Vec::new(),
        balancer_addresses: Vec::new(),
        leaving: Default::default(),
        certificate: 0,
        public_address: None,
    }
}

/// A member as it was seen, which takes the first for its leader.
fn seen(n: u8, applied: u64) -> MemberSeen {
    let answer = Some(Answer { leader: 1, revision: 1, applied });
    MemberSeen {
        id: n.into(),
        name: format!("etcd-{n}"),
        peer_url: peer_url(member(n).address),
        learner: false,
        answer,
    }
}

/// By id: who must answer when the step is taken.
fn presumed(action: Action, members: Vec<MemberSeen>) -> Vec<(u64, bool)> {
    let state = EtcdState { step: 0, outcome: Outcome::Done, observed: Millis(0), members: Some(members) };
    let step = next(&Step::default(), action, Some(&state), &placement());
    step.presumed.iter().map(|presumed| (presumed.id, presumed.answers)).collect()
}

#[test]
fn a_step_presumes_that_all_answer_but_whom_it_is_about() {
    let all = || vec![seen(1, 10), seen(2, 10), seen(3, 10)];
    assert_eq!(presumed(Action::Remove(3), all()), [(1, true), (2, true), (3, false)]);
    let two = || vec![seen(1, 10), seen(2, 10)];
    let third = peer_url(member(3).address);
    assert_eq!(presumed(Action::AddLearner(third.clone()), two()), [(1, true), (2, true)]);
    // One that was added already, by a step whose end nobody saw, need not.
    let again = presumed(Action::AddLearner(third), all());
    assert_eq!(again, [(1, true), (2, true), (3, false)]);
    assert!(presumed(Action::Look, all()).is_empty());
}

#[test]
fn a_step_waits_for_no_stranger_and_for_no_learner() {
    let mut stranger = seen(9, 10);
    stranger.peer_url = "https://192.0.2.1:2380".into();
    let learner = MemberSeen { learner: true, ..seen(2, 10) };
    assert_eq!(presumed(Action::Remove(3), vec![seen(1, 10), learner, stranger]), [(1, true), (2, false), (9, false)]);
}

#[test]
fn a_learner_is_measured_by_its_leader() {
    let learner = |applied| MemberSeen { learner: true, ..seen(3, applied) };
    // The first leads; the second lags behind, and says nothing of how far the learner must be.
    let others = |leader| vec![seen(2, 10), seen(1, leader), learner(100)];
    assert!(is_level(&others(100), &learner(100)));
    assert!(is_level(&others(1000), &learner(900)));
    assert!(!is_level(&others(1000), &learner(899)));
    assert!(!is_level(&others(1000), &MemberSeen { answer: None, ..learner(1000) }));
    assert!(!is_level(&[learner(1000)], &learner(1000)), "its leader was not seen");
}
