//! Numbers that spread candidates apart (rule L17): seeded, so that equal seeds give equal runs.

use std::time::Duration;

/// The generator known as SplitMix64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A duration from zero to `most`, both included.
    pub(crate) fn up_to(&mut self, most: Duration) -> Duration {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        if most == 0 {
            return Duration::ZERO;
        }
        Duration::from_nanos(self.next_u64() % most.saturating_add(1).max(1))
    }

    /// `duration`, shortened by up to a half: what keeps retries of many from falling together.
    pub(crate) fn jittered(&mut self, duration: Duration) -> Duration {
        let half = duration / 2;
        half + self.up_to(duration.saturating_sub(half))
    }
}
