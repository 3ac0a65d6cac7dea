//! What a seed decides: the fleet, and everything that happens to it. Both depths carry out the
//! same plans.

use std::{collections::BTreeSet, time::Duration};

use tenure_core::{LeaseTiming, LifeTiming};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::{Fault, FaultKind, Target},
    rng::Rng,
};

/// The kind of lock that a run is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockKind {
    /// A Lease.
    Lease,
    /// Leader for life on a ConfigMap.
    ConfigMap,
    /// Leader for life on a LeaderLock. The core knows no difference; the stack does.
    LeaderLock,
}

/// The largest clock error that every fleet is set up for.
pub const RHO: f64 = 0.05;
/// The slowest clock within rho, in parts in a million.
pub const SLOWEST: u64 = 950_000;
/// The fastest clock within rho.
pub const FASTEST: u64 = 1_050_000;

/// How many candidates a run has.
pub const SEATS: usize = 4;
/// Until then faults begin, and by then they have ended.
pub const FAULTS_END: Nanos = 300 * SECOND;

/// What is drawn for a seed.
#[derive(Clone, Debug)]
pub struct Draw {
    /// The lock; by the seed where there is none.
    pub lock: Option<LockKind>,
    /// Only these kinds of fault; all where there are none.
    pub only: BTreeSet<FaultKind>,
    /// Not these kinds.
    pub without: BTreeSet<FaultKind>,
    /// How long there are faults.
    pub faults_end: Nanos,
    /// The whole fleet follows client-go's rules, for comparison.
    pub client_go: bool,
}

impl Default for Draw {
    fn default() -> Self {
        Self {
            lock: None,
            only: BTreeSet::new(),
            without: BTreeSet::new(),
            faults_end: FAULTS_END,
            client_go: false,
        }
    }
}

/// A whole run, before it happens.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed that it was drawn from, which also decides each message's fate.
    pub seed: u64,
    /// The kind of lock.
    pub lock: LockKind,
    /// Whether candidates never create a held Lease (`wait_when_absent`, L14).
    pub strict: bool,
    /// The candidates.
    pub seats: Vec<Seat>,
    /// What happens to them, in order.
    pub faults: Vec<Fault>,
    /// From then on there are no faults.
    pub faults_end: Nanos,
    /// The longest time that a message takes in peace.
    pub latency: Nanos,
    /// The whole fleet follows client-go's rules, and is judged as if it were ours.
    pub client_go: bool,
    /// Some faults come right after the lock has changed hands.
    pub provoked: bool,
    /// What stands there before anybody starts.
    pub left_behind: LeftBehind,
}

/// A Lease that somebody left before the run began (L20).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftBehind {
    /// There is no lock.
    Nothing,
    /// `spec: {}`.
    EmptySpec,
    /// A holder that is long gone, as client-go writes it, in its last term but none.
    DeadStranger,
    /// What client-go's release leaves.
    ReleasedByStranger,
}

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

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn draw(seed: u64, draw: &Draw) -> Self {
        let mut rng = Rng::new(seed, 0);
        let lock = draw.lock.unwrap_or_else(|| match rng.below(8) {
            0..=4 => LockKind::Lease,
            5 | 6 => LockKind::ConfigMap,
            _ => LockKind::LeaderLock,
        });
        let has = |kind: FaultKind| {
            kind.concerns(lock)
                && !draw.without.contains(&kind)
                && (draw.only.is_empty() || draw.only.contains(&kind))
        };
        let fleet = Fleet {
            rates: has(FaultKind::ClockRates) && rng.chance(700),
            mixed: has(FaultKind::MixedTimings) && rng.chance(250),
            foreign: has(FaultKind::ForeignHolder) && rng.chance(200),
            all_foreign: draw.client_go,
            fixed: rng.chance(120),
        };
        let strict = lock == LockKind::Lease && rng.chance(500);
        let mut seats = fleet.seats(seed);
        let mut settings = Rng::new(seed, 20);
        if has(FaultKind::Cooldown) && settings.chance(500) {
            for seat in &mut seats {
                seat.cooldown = COOLDOWNS[settings.index(COOLDOWNS.len())];
            }
        }
        let trusting = has(FaultKind::TrustedClocks) && !draw.client_go && settings.chance(150);
        if trusting {
            for seat in &mut seats {
                seat.max_skew = settings.chance(750).then_some(MAX_SKEW);
                seat.wall_off -= i64::try_from(seat.number).unwrap_or(0) * APART;
            }
        }
        let mut sets = Rng::new(seed, 21);
        if has(FaultKind::Sets) && sets.chance(300) {
            for seat in &mut seats {
                seat.in_set = sets.chance(750);
            }
        }
        let mut latency = [5, 20, 20, 60][rng.index(4)] * MILLI;
        // One run in twelve is at the edge that L3 leaves: H at its bound, clocks that differ most,
        // a quick network, and leaders that are cut off.
        let edge = lock == LockKind::Lease && fleet.rates && rng.below(12) == 0;
        if edge {
            latency = MILLI;
            for seat in &mut seats {
                seat.rate = if seat.rate < 1_000_000 {
                    SLOWEST
                } else {
                    FASTEST
                };
                seat.timing = SeatTiming::Short;
                seat.foreign = false;
            }
        }
        // Swarms: each seed knows some kinds, so that no kind always hides behind the others.
        let share = [250, 500, 500, 1000][rng.index(4)];
        // One run in ten has it all at the birth of the lock.
        let early = rng.below(10) == 0;
        let birth = early && !edge && share < 1000;
        if birth && lock == LockKind::Lease {
            // Several find nothing there, at the same time.
            for seat in &mut seats {
                seat.starts = rng.below(300 * MILLI);
            }
        } else if birth {
            // The first is alone for a while.
            for (seat, starts) in seats.iter_mut().zip([5, 75, 85, 95]) {
                seat.starts = rng.below(10 * SECOND) + starts * SECOND;
            }
        }
        let at_birth: &[FaultKind] = if lock.is_for_life() {
            &BIRTH_FOR_LIFE
        } else {
            &BIRTH
        };
        let kinds: Vec<FaultKind> = FaultKind::ALL
            .iter()
            .copied()
            .filter(|kind| !kind.is_setting() && kind.concerns(lock))
            .filter(|kind| {
                let known = if edge {
                    EDGE.contains(kind)
                } else if birth {
                    at_birth.contains(kind)
                } else {
                    Rng::new(seed, 100 + *kind as u64).chance(share)
                };
                // What trust in wall clocks rests on is not broken where there is such trust.
                let fair = !(trusting && BEYOND_TRUST.contains(kind));
                (known || !draw.only.is_empty()) && has(*kind) && fair
            })
            .collect();
        // One run in twenty is a calm one: nothing may happen in it.
        let many = if rng.chance(50) {
            0
        } else {
            // Those who lead for life have to be driven out.
            let life = u64::from(lock.is_for_life());
            rng.between(4, 26) + life * 14
        };
        let many = if birth { many.max(16) } else { many } * draw.faults_end / FAULTS_END;
        let last = if early { 25 * SECOND } else { draw.faults_end };
        let kinds: Vec<(FaultKind, u64)> = kinds
            .into_iter()
            .map(|kind| (kind, kind.weight_for(lock)))
            .collect();
        let faults = faults(
            seed,
            &kinds,
            many,
            last.min(draw.faults_end),
            draw.faults_end,
        );
        let left_behind = match rng.below(12) {
            0 if lock == LockKind::Lease => LeftBehind::EmptySpec,
            1 if lock == LockKind::Lease => LeftBehind::DeadStranger,
            2 if lock == LockKind::Lease => LeftBehind::ReleasedByStranger,
            _ if trusting && settings.chance(500) => LeftBehind::DeadStranger,
            _ => LeftBehind::Nothing,
        };
        Self {
            seed,
            lock,
            strict,
            seats,
            faults,
            faults_end: draw.faults_end,
            latency,
            client_go: draw.client_go,
            left_behind,
            provoked: birth && lock == LockKind::Lease || rng.below(6) == 0,
        }
    }

    /// The same run without some of its faults.
    #[must_use]
    pub fn keeping(&self, keep: impl Fn(&Fault) -> bool) -> Self {
        let mut plan = self.clone();
        plan.faults.retain(keep);
        plan
    }
}

impl LockKind {
    /// Whether it is one of the two locks for life.
    #[must_use]
    pub fn is_for_life(self) -> bool {
        self != Self::Lease
    }

    /// Its name on command lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lease => "lease",
            Self::ConfigMap => "config-map",
            Self::LeaderLock => "leader-lock",
        }
    }
}

impl Seat {
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

/// For how long a Lease is left to others.
const COOLDOWNS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(3600),
];

/// How far wall clocks are apart, in microseconds, where nobody trusts them.
const APART: i64 = 1_000_000_000;

/// Clocks that are within rho come apart by 0.1 s in a second, for as long as a run lasts at most,
/// and begin 4 s apart.
const MAX_SKEW: Duration = Duration::from_secs(90);

/// What makes a record look older than it is (L24): a person who edits it leaves `renewTime` alone.
const BEYOND_TRUST: [FaultKind; 7] = [
    FaultKind::PeopleEdit,
    FaultKind::WallStep,
    FaultKind::ClockBeyond,
    FaultKind::VmPause,
    FaultKind::Restore,
    FaultKind::PeopleReown,
    FaultKind::PeopleRecreate,
];

/// What cuts leaders off while others see their last write at once.
const EDGE: [FaultKind; 10] = [
    FaultKind::ClockDrift,
    FaultKind::Freeze,
    FaultKind::FreezeBeforeSend,
    FaultKind::Crash,
    FaultKind::Delays,
    FaultKind::Reordered,
    FaultKind::RequestsLost,
    FaultKind::RepliesLost,
    FaultKind::PartitionOut,
    FaultKind::PartitionIn,
];

/// What leaves it open whose the first write was.
const BIRTH: [FaultKind; 12] = [
    FaultKind::Crash,
    FaultKind::Delays,
    FaultKind::Reordered,
    FaultKind::RequestsLost,
    FaultKind::RepliesLost,
    FaultKind::Duplicates,
    FaultKind::ForbiddenAfter,
    FaultKind::ConflictAfter,
    FaultKind::WatchReordered,
    FaultKind::StaleServer,
    FaultKind::PeopleDelete,
    FaultKind::PeopleRecreate,
];

/// What makes a first write land when nobody waits for it any more.
const BIRTH_FOR_LIFE: [FaultKind; 6] = [
    FaultKind::Cancel,
    FaultKind::Delays,
    FaultKind::RequestsLost,
    FaultKind::RepliesLost,
    FaultKind::Reordered,
    FaultKind::WatchSilent,
];

#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
struct Fleet {
    rates: bool,
    mixed: bool,
    foreign: bool,
    all_foreign: bool,
    fixed: bool,
}

impl Fleet {
    fn seats(&self, seed: u64) -> Vec<Seat> {
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

fn faults(seed: u64, kinds: &[(FaultKind, u64)], many: u64, last: Nanos, end: Nanos) -> Vec<Fault> {
    let mut rng = Rng::new(seed, 1);
    let whole: u64 = kinds.iter().map(|(_, weight)| weight).sum();
    let mut faults: Vec<Fault> = (0..u32::try_from(many).unwrap_or(0))
        .filter_map(|id| {
            let mut place = rng.below(whole);
            let (at, salt) = (rng.between(MILLI, last - SECOND), rng.next_u64());
            let (kind, _) = kinds.iter().copied().find(|(_, weight)| {
                let found = place < *weight;
                place = place.saturating_sub(*weight);
                found
            })?;
            Some(fault(id, kind, at, salt, end))
        })
        .collect();
    faults.sort_by_key(|fault| (fault.at, fault.id));
    faults
}

fn fault(id: u32, kind: FaultKind, at: Nanos, salt: u64, end: Nanos) -> Fault {
    use FaultKind as K;
    let mut rng = Rng::new(salt, 2);
    let seat = rng.index(SEATS);
    let target = match (kind, rng.below(4)) {
        (K::PartitionLong | K::NodeLost, _) => Target::Seat(seat),
        (K::StepDown | K::HandOver | K::StubbornWork, _) | (_, 0 | 1) => Target::LeaderOr(seat),
        (_, 2) => Target::Seat(seat),
        _ => Target::Everybody,
    };
    let longest = match kind {
        K::Freeze | K::FreezeBeforeSend | K::Suspend | K::VmPause => 25 * SECOND,
        K::PartitionLong => end,
        K::ClockBeyond | K::StubbornWork | K::StaleServer | K::GcLate | K::GcOff => 60 * SECOND,
        _ => 30 * SECOND,
    };
    let lasts = match kind {
        K::PartitionLong => end - at,
        // Often about as long as a Lease, where the edges are.
        _ if rng.chance(400) => rng.between(7 * SECOND, 17 * SECOND),
        _ => rng.between(SECOND / 10, longest),
    };
    Fault {
        id,
        kind,
        at,
        lasts: lasts.min(end - at),
        target,
        share: [100, 300, 700, 1000][rng.index(4)],
        salt,
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
