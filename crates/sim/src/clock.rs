//! A candidate's clocks, as functions of true time: rates of their own that may change, a wall
//! clock that steps, and a machine that sleeps.

use tenure_core::{Instant, MicroTime};

/// Nanoseconds of true time since the run began.
pub type Nanos = u64;

/// A second of true time.
pub const SECOND: Nanos = 1_000_000_000;
/// A millisecond of true time.
pub const MILLI: Nanos = 1_000_000;
/// A moment that never comes.
pub const NEVER: Nanos = Nanos::MAX;

/// 2026-01-01T00:00:00Z.
const WALL_START: i64 = 1_767_225_600_000_000;

/// The clocks of one machine. Exact: no floating point, so that equal seeds give equal runs
/// everywhere.
#[derive(Clone, Debug)]
pub struct MachineClock {
    /// At this true time the clock showed `shown`.
    from: Nanos,
    shown: u64,
    /// Parts in a million of true time's rate.
    rate: u64,
    /// What the wall clock showed, in microseconds, when the other one showed nothing.
    began: i64,
    /// Microseconds that the wall clock is off.
    wall_off: i64,
}

impl MachineClock {
    /// A clock that shows `shown` nanoseconds at the beginning and runs at `rate` parts in a million
    /// of true time's.
    #[must_use]
    pub fn new(shown: u64, rate: u64, wall_off: i64) -> Self {
        Self {
            from: 0,
            shown,
            rate: rate.max(1),
            began: WALL_START - i64::try_from(shown / 1000).unwrap_or(0),
            wall_off,
        }
    }

    /// What the clock that leadership is judged by (L4) shows.
    #[must_use]
    pub fn reads(&self, truth: Nanos) -> Instant {
        let gone = u128::from(truth.saturating_sub(self.from)) * u128::from(self.rate) / 1_000_000;
        Instant::from_nanos(self.shown + u64::try_from(gone).unwrap_or(u64::MAX / 4))
    }

    /// What the wall clock shows.
    #[must_use]
    pub fn wall(&self, truth: Nanos) -> MicroTime {
        let micros = i64::try_from(self.reads(truth).as_nanos() / 1000).unwrap_or(0);
        MicroTime::from_micros(self.began + micros + self.wall_off)
    }

    /// The first true time at which the clock shows `reading` or more, at its present rate.
    #[must_use]
    pub fn truth(&self, reading: Instant) -> Nanos {
        let ahead = u128::from(reading.as_nanos().saturating_sub(self.shown)) * 1_000_000;
        let true_ahead = ahead.div_ceil(u128::from(self.rate));
        self.from
            .saturating_add(u64::try_from(true_ahead).unwrap_or(u64::MAX))
    }

    /// Its rate in parts in a million.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// From now on it runs at `rate`.
    pub fn drift(&mut self, truth: Nanos, rate: u64) {
        self.shown = self.reads(truth).as_nanos();
        self.from = truth;
        self.rate = rate.max(1);
    }

    /// It stood still from `since` to `truth`, like the machine under it.
    pub fn stood_still(&mut self, since: Nanos, truth: Nanos) {
        self.shown = self.reads(since).as_nanos();
        self.from = truth;
    }

    /// The wall clock is set.
    pub fn step_wall(&mut self, micros: i64) {
        self.wall_off = self.wall_off.saturating_add(micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_and_the_moment_of_it_fit_together() {
        let mut clock = MachineClock::new(5_000_000_000, 950_000, 0);
        for step in 0..1000_u64 {
            let truth = step * 7_919_333;
            let reading = clock.reads(truth);
            let back = clock.truth(reading);
            assert!(back <= truth && clock.reads(back) >= reading);
            assert!(back == 0 || clock.reads(back - 1) < reading);
            if step % 100 == 99 {
                clock.drift(truth, 950_000 + step * 100);
                assert_eq!(clock.reads(truth), reading);
            }
        }
    }
}
