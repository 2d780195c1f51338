//! A region does the same for one cluster however many others it has: planners look at nothing that did not change.

use roadstead_sim::crowd::{Crowd, Work};
use roadstead_types::Millis;

/// What the planners do for a new cluster, for one whose machine has trouble, and in an hour of rest.
fn work(crowd: &mut Crowd) -> [Work; 3] {
    [crowd.add(), crowd.disturb(), crowd.idle(Millis::mins(60))]
}

#[test]
fn planners_do_no_more_for_a_cluster_among_sixty_than_for_a_second_one() {
    let mut crowd = Crowd::new();
    crowd.add();
    let alone = work(&mut crowd);
    while crowd.len() < 60 {
        crowd.add();
    }
    let among_many = work(&mut crowd);
    assert_eq!(alone, among_many);
    assert!(alone[0].plans > 0 && alone[1].plans > 0, "{alone:?}");
    assert_eq!(alone[2], Work::default(), "nothing changed, so nothing is planned");
}

#[test]
fn pages_of_many_clusters_hold_all_of_them_once() {
    let mut crowd = Crowd::new();
    let names: Vec<String> = (0..130).map(|_| crowd.create()).collect();
    let (mut seen, mut token) = (vec![], None);
    loop {
        let page = crowd.list(token).unwrap();
        seen.extend(page.clusters.unwrap());
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    let mut sorted = names;
    sorted.sort();
    assert_eq!(seen, sorted);
}
