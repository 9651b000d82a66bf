//! A pseudo-random generator with the same output on every machine.

/// SplitMix64 (Steele, Lea, Flood 2014): passes the usual statistical tests, and every seed is valid.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number in `0..n`, or 0 if `n` is 0.
    pub(super) fn below(&mut self, n: usize) -> usize {
        // The bias of the remainder does not matter for the sizes of faults.
        self.next().checked_rem(n as u64).unwrap_or(0) as usize
    }

    /// Returns `true` with probability `rate`, 0 to 1.
    pub(super) fn chance(&mut self, rate: f64) -> bool {
        ((self.next() >> 11) as f64) < rate * (1_u64 << 53) as f64
    }
}
