//! Numbers from a seed. Each use draws from a stream of its own, so that taking one fault out of a
//! run leaves what the others draw as it was: that is what makes a run minimisable.

/// The generator known as `SplitMix64`.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream `stream` of `seed`.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(mixed(seed ^ mixed(stream.wrapping_add(0x51_7c_c1_b7))))
    }

    /// Sixty-four bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// A number from zero to below `bound`; zero for a bound of zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// A number from `low` to below `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low))
    }

    /// An index below `length`.
    pub fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    /// True in `share` of a thousand cases.
    pub fn chance(&mut self, share: u32) -> bool {
        self.below(1000) < u64::from(share)
    }
}

/// A number that depends on all of these and shows none of them.
#[must_use]
pub fn hashed(parts: [u64; 3]) -> u64 {
    parts
        .iter()
        .fold(0x2545_f491_4f6c_dd1d, |hash, part| mixed(hash ^ part))
}

fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
