//! Who stands: Pods, machines and settings.

use std::time::Duration;

use tenure_core::{LeaseTiming, LifeTiming};

use crate::{
    clock::{Nanos, SECOND},
    rng::Rng,
};

/// The largest clock error that every fleet is set up for.
pub const RHO: f64 = 0.05;

/// The slowest clock within rho, in parts in a million.
pub const SLOWEST: u64 = 950_000;

/// The fastest clock within rho.
pub const FASTEST: u64 = 1_050_000;

/// How many candidates a run has.
pub const SEATS: usize = 4;

/// Where a candidate sits: its Pod, its machine, its settings.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Its number, which also names its Pod: `c0` to `c3`.
    pub number: usize,
    /// When it first starts.
    pub starts: Nanos,
    /// Its Lease timings, in seconds and milliseconds.
    pub timing: SeatTiming,
    /// Parts in a million: how fast its clock runs at first.
    pub rate: u64,
    /// How far its wall clock is off, in microseconds.
    pub wall_off: i64,
    /// Its identity is the bare Pod name, as the seed's is (L8).
    pub fixed_identity: bool,
    /// It is no tenure, and follows client-go's rules.
    pub foreign: bool,
    /// For how long it leaves a Lease to others that it has released (L23).
    pub cooldown: Duration,
    /// How far it thinks that wall clocks may be apart, where it goes by them (L24).
    pub max_skew: Option<Duration>,
    /// Its election is part of a set.
    pub in_set: bool,
}

/// The settings of a Lease candidate. Some are such that D is rounded up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeatTiming {
    /// 15 s, 10 s, 2 s.
    Usual,
    /// 6 s, with H at its bound.
    Short,
    /// 29.4 s, written as 30 s.
    Odd,
}

impl Seat {
    /// Its cooldown in nanoseconds.
    #[must_use]
    pub fn cools_for(&self) -> Nanos {
        u64::try_from(self.cooldown.as_nanos()).unwrap_or(u64::MAX)
    }

    /// How long a Lease candidate that sits here waits for an answer. client-go knows no limit but
    /// its renew deadline.
    #[must_use]
    pub fn call_limit(&self) -> Duration {
        if self.foreign {
            Duration::from_secs(10)
        } else {
            self.timing.lease().call_limit()
        }
    }
}

impl SeatTiming {
    /// The checked timings.
    ///
    /// # Panics
    /// If they broke rule L3, which a test forbids.
    #[must_use]
    pub fn lease(self) -> LeaseTiming {
        let builder = LeaseTiming::builder().clock_error(RHO);
        let builder = match self {
            Self::Usual => builder
                .lease_duration(Duration::from_secs(15))
                .renew_deadline(Duration::from_secs(10))
                .retry_period(Duration::from_secs(2)),
            Self::Short => builder
                .lease_duration(Duration::from_secs(6))
                .renew_deadline(Duration::from_secs(6).mul_f64((1.0 - RHO) / (1.0 + RHO)))
                .retry_period(Duration::from_secs(1)),
            Self::Odd => builder
                .lease_duration(Duration::from_millis(29_400))
                .renew_deadline(Duration::from_secs(27))
                .retry_period(Duration::from_secs(4)),
        };
        builder.build().expect("timings that keep rule L3")
    }

    /// H in nanoseconds.
    #[must_use]
    pub fn trusts(self) -> Nanos {
        let trusted = self.lease().renew_deadline().as_nanos();
        u64::try_from(trusted).unwrap_or(u64::MAX)
    }

    /// The timings of leader for life, which are the same for all.
    #[must_use]
    pub fn life() -> LifeTiming {
        LifeTiming::default()
    }
}

/// How far wall clocks are apart, in microseconds, where nobody trusts them.
pub(super) const APART: i64 = 1_000_000_000;

#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Fleet {
    pub(super) rates: bool,
    pub(super) mixed: bool,
    pub(super) foreign: bool,
    pub(super) all_foreign: bool,
    pub(super) fixed: bool,
}

impl Fleet {
    pub(super) fn seats(&self, seed: u64) -> Vec<Seat> {
        (0..SEATS)
            .map(|number| {
                let mut rng = Rng::new(seed, 10 + number as u64);
                let starts = if number == 0 {
                    0
                } else {
                    rng.below(20 * SECOND)
                };
                let rate =
                    [SLOWEST, 1_000_000, FASTEST, rng.between(SLOWEST, FASTEST)][rng.index(4)];
                let timing = [
                    SeatTiming::Usual,
                    SeatTiming::Usual,
                    SeatTiming::Short,
                    SeatTiming::Odd,
                ][rng.index(4)];
                let apart = i64::try_from(number).unwrap_or(0) * APART;
                let wall_off = i64::try_from(rng.below(4_000_000)).unwrap_or(0) - 2_000_000 + apart;
                Seat {
                    number,
                    starts,
                    timing: if self.mixed {
                        timing
                    } else {
                        SeatTiming::Usual
                    },
                    rate: if self.rates { rate } else { 1_000_000 },
                    wall_off,
                    fixed_identity: self.fixed,
                    foreign: self.all_foreign || self.foreign && number == SEATS - 1,
                    cooldown: SeatTiming::Usual.lease().retry_period(),
                    max_skew: None,
                    in_set: false,
                }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_timings_keep_l3() {
        for timing in [SeatTiming::Usual, SeatTiming::Short, SeatTiming::Odd] {
            assert!(timing.lease().renew_deadline() < timing.lease().lease_duration());
        }
        assert_eq!(SeatTiming::Odd.lease().duration_seconds(), 30);
    }
}
