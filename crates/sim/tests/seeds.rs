//! Chance tries everything, for as long as a test may take; `sim --seeds 100000` goes on from there.

use roadstead_sim::seeds::{self, Options};

/// Three tests, so that they run side by side.
fn pass(range: std::ops::Range<u64>) {
    for seed in range {
        if let Err(failed) = seeds::run(seed, &Options::default()) {
            panic!("{failed}");
        }
    }
}

#[test]
fn no_rule_is_broken_under_seeds_0_to_49() {
    pass(0..50);
}

#[test]
fn no_rule_is_broken_under_seeds_50_to_99() {
    pass(50..100);
}

#[test]
fn no_rule_is_broken_under_seeds_100_to_149() {
    pass(100..150);
}

#[test]
fn a_seed_always_does_the_same() {
    let steps = |seed| seeds::run(seed, &Options::default()).unwrap();
    for seed in [1, 7, 42] {
        assert_eq!(steps(seed), steps(seed));
    }
}
