use roadstead_types::Millis;

/// The only source of chance in a world. Seeded, it is SplitMix64 (Steele, Lea, Flood 2014); calm, it always answers
/// the plainest thing, for stories and goldens whose text must not hang on chance.
#[derive(Clone, Debug)]
pub struct Rng(Option<u64>);

impl Rng {
    /// What follows from this seed.
    pub fn seeded(seed: u64) -> Rng {
        Rng(Some(seed))
    }

    /// No chance: the first of many, never the rare, the middle of every span.
    pub fn calm() -> Rng {
        Rng(None)
    }

    /// A source of its own for a part of the world.
    pub fn fork(&mut self) -> Rng {
        Rng(self.next())
    }

    /// One of `0..count`.
    ///
    /// # Panics
    /// If there is nothing to pick from.
    pub fn below(&mut self, count: usize) -> usize {
        assert!(count > 0, "invariant: one picks among something");
        let many = u64::try_from(count).expect("a count fits 64 bits");
        let picked = self.next().map_or(0, |x| x % many);
        usize::try_from(picked).expect("it is less than a usize")
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.next().is_some_and(|x| x % 100 < percent)
    }

    /// A span between these, both included.
    pub fn span(&mut self, least: Millis, most: Millis) -> Millis {
        let width = most.since(least).0;
        Millis(least.0 + self.next().map_or(width / 2, |x| x % (width + 1)))
    }

    fn next(&mut self) -> Option<u64> {
        let state = self.0.as_mut()?;
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = *state;
        let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some(x ^ (x >> 31))
    }
}
