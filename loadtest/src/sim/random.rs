//! Chance that is the same for the same seed.

/// SplitMix64 (Steele, Lea, Flood 2014): small, and good enough for start times.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

// === impl Random ===

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`; 0 when there is none. Its bias is below 2^-32 for all that is drawn here.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_depend_on_the_seed_and_stay_below_their_end() {
        let drawn = |seed| {
            let mut random = Random::new(seed);
            (0..1000).map(|_| random.below(20)).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        assert!((0..20).all(|number| drawn(1).contains(&number)));
        assert!(drawn(1).iter().all(|number| *number < 20));
    }
}
