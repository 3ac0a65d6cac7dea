//! What a seed decides: the fleet, and everything that happens to it. Both depths carry out the
//! same plans.

mod schedule;
mod seat;
mod steering;

use std::{collections::BTreeSet, time::Duration};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::{Fault, FaultKind},
    rng::Rng,
};

use schedule::{BEYOND_TRUST, BIRTH, BIRTH_FOR_LIFE, EDGE, faults};
use seat::{APART, Fleet};

pub use seat::{FASTEST, RHO, SEATS, SLOWEST, Seat, SeatTiming};

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
        let mut faults = faults(
            seed,
            &kinds,
            many,
            last.min(draw.faults_end),
            draw.faults_end,
        );
        let ids = u32::try_from(many).unwrap_or(0);
        if !edge && !draw.client_go {
            faults.extend(steering::steering(seed, draw, has, many == 0, ids));
            faults.sort_by_key(|fault| (fault.at, fault.id));
        }
        if lock == LockKind::Lease && !edge && !draw.client_go && many > 0 {
            let first = schedule::first_moments(seed, ids + steering::MOST, birth);
            faults.splice(0..0, first.filter(|first| has(first.kind)));
        }
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

/// For how long a Lease is left to others.
const COOLDOWNS: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(10),
    Duration::from_secs(3600),
];

/// Clocks that are within rho come apart by 0.1 s in a second, for as long as a run lasts at most,
/// and begin 4 s apart.
const MAX_SKEW: Duration = Duration::from_secs(90);
