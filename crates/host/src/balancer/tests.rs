use super::state::{Health, Pulse, Seen, by_target, carry_over, flows, frontend};
use crate::net::Flow;
use roadstead_hostspec::{Balancer, HealthCheck, HealthProtocol, Listener, PublicAddress, Target, TargetHealth};
use roadstead_types::Millis;
use std::net::Ipv4Addr;

const RULE: HealthCheck =
    HealthCheck { protocol: HealthProtocol::Tcp, interval: Millis(1), timeout: Millis(1), healthy: 2, unhealthy: 3 };

fn target(n: u8) -> Target {
    Target { id: format!("i-{n}"), address: Ipv4Addr::new(10, 0, 0, n), port: 80, server: None }
}

fn balancer(ports: &[u16]) -> Balancer {
    let listener = |port: &u16| Listener { port: *port, targets: vec![target(1), target(2)], health: RULE };
    Balancer {
        id: "nlb".into(),
        network: "vpc".into(),
        addresses: vec![Ipv4Addr::new(10, 0, 0, 9), Ipv4Addr::new(10, 0, 1, 9)],
        public: Some(PublicAddress { address: Ipv4Addr::new(127, 43, 0, 9), sources: Vec::new() }),
        listeners: ports.iter().map(listener).collect(),
        groups: Vec::new(),
    }
}

fn health(spec: &Balancer) -> Health {
    carry_over(spec, &Health::new(), Millis(1))
}

/// Counts checks: `+` passed, `-` failed. What changed, in the same letters; `.` nothing.
fn counted(pulse: &mut Pulse, checks: &str) -> String {
    let count = |(n, check): (usize, char)| {
        let seen = if check == '+' { Seen::Well } else { Seen::Bad(format!("failure {n}")) };
        match pulse.count(seen, &RULE, Millis(n as u64)) {
            true if pulse.healthy => '+',
            true => '-',
            false => '.',
        }
    };
    checks.chars().enumerate().map(count).collect()
}

#[test]
fn health_changes_after_so_many_checks_in_a_row() {
    for (checks, changes) in [
        ("++", ".+"),
        ("+-++", "...+"),
        ("++---", ".+..-"),
        ("++--+---", ".+.....-"),
        ("++---++", ".+..-.+"),
        ("----", "...."),
        ("+++++", ".+..."),
    ] {
        assert_eq!(counted(&mut Pulse::new(&target(1), Millis(0)), checks), changes, "{checks}");
    }
}

#[test]
fn the_last_failure_is_remembered_until_it_is_over() {
    let mut pulse = Pulse::new(&target(1), Millis(0));
    assert_eq!(pulse.why.as_deref(), Some("not checked yet"));
    counted(&mut pulse, "-+");
    assert_eq!(pulse.why.as_deref(), Some("failure 0"), "still unhealthy for that");
    counted(&mut pulse, "+");
    assert_eq!((pulse.healthy, pulse.why.as_deref()), (true, None));
    counted(&mut pulse, "-");
    assert_eq!((pulse.healthy, pulse.why.as_deref()), (true, Some("failure 0")));
    counted(&mut pulse, "+");
    assert_eq!(pulse.why, None);
}

#[test]
fn healthy_targets_get_connections_or_all_when_none_is() {
    let spec = balancer(&[443]);
    let mut known = health(&spec);
    let open =
        |known: &Health| frontend(&spec, known).listeners[&443].iter().map(|(a, _)| a.octets()[3]).collect::<Vec<_>>();
    assert_eq!(open(&known), [1, 2]);
    known.get_mut(&(443, "i-2".into())).unwrap().healthy = true;
    assert_eq!(open(&known), [2]);
    known.get_mut(&(443, "i-1".into())).unwrap().healthy = true;
    assert_eq!(open(&known), [1, 2]);
}

#[test]
fn a_target_whose_process_is_away_gets_nothing_though_its_checks_pass() {
    let spec = balancer(&[443]);
    let mut known = health(&spec);
    known.values_mut().for_each(|pulse| pulse.healthy = true);
    let open =
        |known: &Health| frontend(&spec, known).listeners[&443].iter().map(|(a, _)| a.octets()[3]).collect::<Vec<_>>();
    let mut attend = |id: &str, absence: Option<&str>, now| {
        let pulse = known.get_mut(&(443, id.into())).unwrap();
        let changed = pulse.attend(absence.map(str::to_owned), Millis(now));
        (changed, open(&known), by_target(&known)[id].clone())
    };
    let seen =
        |healthy, since, why: Option<&str>| TargetHealth { healthy, since: Millis(since), why: why.map(str::to_owned) };
    let checked = Some("not checked yet");
    assert_eq!(attend("i-1", Some("killed"), 5), (true, vec![2], seen(false, 5, Some("killed"))));
    assert_eq!(attend("i-1", Some("starting"), 6), (false, vec![2], seen(false, 5, Some("starting"))));
    assert_eq!(attend("i-2", Some("killed"), 7), (true, vec![1, 2], seen(false, 7, Some("killed"))), "all are tried");
    assert_eq!(attend("i-1", None, 8), (true, vec![1], seen(true, 8, checked)));
    // Its checks fail too: who is only unhealthy is tried rather than who is known to be away.
    known.values_mut().for_each(|pulse| pulse.healthy = false);
    assert_eq!(open(&known), [1]);
}

#[test]
fn connections_end_when_a_target_is_lost_and_not_before() {
    use Seen::{Bad, Silent, Unreachable, Well};
    let text = String::new;
    let rule = HealthCheck { interval: Millis(250), timeout: Millis(4000), healthy: 1, unhealthy: 1, ..RULE };
    let silent = || Silent(text());
    for (checks, ended) in [
        (vec![Well, Bad(text()), Bad(text())], vec![]),
        (vec![Well, silent(), silent(), silent()], vec![]),
        (vec![Well, silent(), silent(), silent(), silent(), silent()], vec![4]),
        (vec![Well, silent(), silent(), Bad(text()), silent(), silent(), silent()], vec![]),
        (vec![Well, Unreachable(text()), Unreachable(text()), silent(), Well, Unreachable(text())], vec![1, 5]),
    ] {
        let mut pulse = Pulse::new(&target(1), Millis(0));
        let loses = |(n, seen): (usize, &Seen)| {
            pulse.count(seen.clone(), &rule, Millis(n as u64));
            pulse.loses(seen, &rule).then_some(n)
        };
        assert_eq!(checks.iter().enumerate().filter_map(loses).collect::<Vec<_>>(), ended, "{checks:?}");
    }
}

#[test]
fn a_target_keeps_its_health_while_it_stays_the_same() {
    let mut spec = balancer(&[443]);
    let mut known = health(&spec);
    known.values_mut().for_each(|pulse| pulse.healthy = true);
    spec.listeners[0].targets[0].port = 81;
    spec.listeners[0].targets.push(target(3));
    let carried = carry_over(&spec, &known, Millis(5));
    let healthy = |id: &str| carried[&(443, id.to_owned())].healthy;
    assert_eq!((healthy("i-1"), healthy("i-2"), healthy("i-3")), (false, true, false));
}

#[test]
fn a_target_of_two_listeners_is_as_well_as_the_worse_says() {
    let spec = balancer(&[443, 444]);
    for (first, second, together) in [(true, true, true), (true, false, false), (false, true, false)] {
        let mut known = health(&spec);
        known.get_mut(&(443, "i-1".into())).unwrap().healthy = first;
        known.get_mut(&(444, "i-1".into())).unwrap().healthy = second;
        assert_eq!(by_target(&known)["i-1"].healthy, together);
    }
}

#[test]
fn flows_are_those_of_every_dialled_address() {
    let spec = balancer(&[443]);
    let known = health(&spec);
    let flows = flows(&spec, 443, &known[&(443, "i-1".into())]);
    let dialled: Vec<_> = flows.iter().filter_map(|flow| flow.dialled).collect();
    let [a, b] = spec.addresses[..] else { panic!() };
    assert_eq!(dialled, [(a, 443), (b, 443), (Ipv4Addr::new(127, 43, 0, 9), 443)]);
    assert!(flows.iter().all(|flow| matches!(flow, Flow { port: Some(80), target, .. } if target.octets()[3] == 1)));
}
