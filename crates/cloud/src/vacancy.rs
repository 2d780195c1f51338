//! Finding a free place among very many, without looking at all that are taken.

/// So many of the lowest places are tried first: what is small fills up in order, which people can read.
const LOWEST: u64 = 32;

/// The numbers below `size`, each once, in an order in which a free one comes soon: the lowest, then all others from one
/// that `who` decides on. Of places that are half taken two are tried, on average.
pub fn order(size: u64, who: &str) -> impl Iterator<Item = u64> + use<> {
    let low = size.min(LOWEST);
    let rest = size - low;
    let from = if rest == 0 { 0 } else { scatter(who) % rest };
    (0..low).chain((0..rest).map(move |n| low + (from + n) % rest))
}

/// FNV-1a, 64 bits: the same everywhere and for ever.
pub fn scatter(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_comes_once_and_the_lowest_come_first() {
        for size in [0, 1, 31, 32, 33, 1000] {
            let mut all: Vec<u64> = order(size, "eni-0123").collect();
            assert!(all.iter().take(32).copied().eq(0..size.min(32)), "{size}");
            all.sort_unstable();
            assert!(all.into_iter().eq(0..size), "{size}");
        }
    }

    #[test]
    fn those_who_ask_one_after_another_begin_at_places_far_apart() {
        let begins = (0..100).map(|n| order(100_000, &format!("eni-{n}")).nth(32));
        let distinct: std::collections::BTreeSet<_> = begins.collect();
        assert!(distinct.len() > 95, "{}", distinct.len());
    }
}
