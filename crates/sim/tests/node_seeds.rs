//! Chance tries everything with nodes, for as long as a test may take; `sim --nodes --seeds 10000` goes on from there.

use roadstead_sim::seeds::{self, Options};

/// Two tests, so that they run side by side.
fn pass(range: std::ops::Range<u64>) {
    for seed in range {
        if let Err(failed) = seeds::run(seed, &Options::nodes()) {
            panic!("{failed}");
        }
    }
}

#[test]
fn no_rule_is_broken_under_seeds_0_to_11() {
    pass(0..12);
}

#[test]
fn no_rule_is_broken_under_seeds_12_to_23() {
    pass(12..24);
}
