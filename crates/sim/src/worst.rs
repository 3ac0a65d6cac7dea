//! Worst cases, found by search over the schedule rather than by luck.
//!
//! A plan is changed a little, again and again, and whatever brings two leaders closer together is
//! kept. What comes of it is a schedule in which every message is at its slowest, or its fastest,
//! exactly when clocks differ most: at that point a rule that is off by little shows.

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::{Fault, FaultKind, Target},
    invariants::Violation,
    plan::{Draw, FASTEST, LockKind, Plan, SLOWEST, SeatTiming},
    rng::Rng,
    run::{Depth, run},
    slack::Slack,
};

/// What a search has come to.
#[derive(Clone, Debug)]
pub struct Worst {
    /// The schedule that brought two leaders closest together.
    pub plan: Plan,
    /// How close, in nanoseconds of true time.
    pub slack: i128,
    /// What did not hold, if anything did not.
    pub violation: Option<Violation>,
    /// How many schedules were played.
    pub played: u64,
}

/// How long the runs of a search are.
const LONG: Nanos = 60 * SECOND;

/// The faults that a search may use: none that is not covered.
const KINDS: [FaultKind; 12] = [
    FaultKind::ClockDrift,
    FaultKind::Freeze,
    FaultKind::FreezeBeforeSend,
    FaultKind::Suspend,
    FaultKind::Crash,
    FaultKind::Delays,
    FaultKind::RequestsLost,
    FaultKind::RepliesLost,
    FaultKind::PartitionOut,
    FaultKind::PartitionIn,
    FaultKind::WatchSilent,
    FaultKind::ConflictAfter,
];

/// Search from this seed, playing so many schedules. It ends at the first violation.
#[must_use]
pub fn search(seed: u64, timing: SeatTiming, schedules: u64) -> Worst {
    let mut rng = Rng::new(seed, 50);
    let mut best = judge(beginning(seed, timing));
    let mut current = best.clone();
    let mut stuck = 0;
    for played in 1..schedules {
        best.played = played;
        if best.violation.is_some() {
            return best;
        }
        let next = judge(changed(&current.plan, &mut rng));
        if next.violation.is_some() || next.slack <= current.slack {
            stuck = if next.slack < current.slack {
                0
            } else {
                stuck + 1
            };
            current = next;
        } else {
            stuck += 1;
        }
        if current.slack < best.slack || current.violation.is_some() {
            best = current.clone();
        }
        // From where nothing gets worse any more, elsewhere.
        if stuck > 400 {
            current = judge(beginning(rng.next_u64(), timing));
            stuck = 0;
        }
    }
    best.played = schedules;
    best
}

fn judge(plan: Plan) -> Worst {
    let mut slack = Slack::default();
    let mut ledger = crate::ledger::Ledger::default();
    let report = run(&plan, Depth::Core, &[], |at, what| {
        ledger.note(at, what);
        slack.see(at, what, &ledger);
    });
    Worst {
        plan,
        slack: slack.shortest().unwrap_or(i128::MAX),
        violation: report.violation,
        played: 1,
    }
}

fn beginning(seed: u64, timing: SeatTiming) -> Plan {
    let draw = Draw {
        lock: Some(LockKind::Lease),
        only: KINDS.into_iter().collect(),
        faults_end: LONG,
        ..Draw::default()
    };
    let mut plan = Plan::draw(seed, &draw);
    let mut rng = Rng::new(seed, 51);
    for seat in &mut plan.seats {
        seat.timing = timing;
        seat.rate = [SLOWEST, FASTEST][rng.index(2)];
        seat.fixed_identity = false;
    }
    plan.latency = MILLI;
    plan
}

fn changed(plan: &Plan, rng: &mut Rng) -> Plan {
    let mut plan = plan.clone();
    match rng.below(8) {
        0 => {
            let id = plan
                .faults
                .iter()
                .map(|fault| fault.id)
                .max()
                .map_or(0, |id| id + 1);
            let fault = any(id, rng);
            plan.faults.push(fault);
        }
        1 if !plan.faults.is_empty() => {
            let index = rng.index(plan.faults.len());
            plan.faults.remove(index);
        }
        2 => {
            let index = rng.index(plan.seats.len());
            let rate = &mut plan.seats[index].rate;
            *rate = SLOWEST + FASTEST - *rate;
        }
        3 => plan.latency = [MILLI / 1000, MILLI, 5 * MILLI][rng.index(3)],
        _ if !plan.faults.is_empty() => {
            let index = rng.index(plan.faults.len());
            shift(&mut plan.faults[index], rng);
        }
        _ => {}
    }
    plan.faults.sort_by_key(|fault| (fault.at, fault.id));
    plan
}

fn any(id: u32, rng: &mut Rng) -> Fault {
    let at = rng.between(SECOND, LONG - SECOND);
    let seat = rng.index(crate::plan::SEATS);
    Fault {
        id,
        kind: KINDS[rng.index(KINDS.len())],
        at,
        lasts: rng.between(SECOND, 20 * SECOND).min(LONG - at),
        target: [Target::LeaderOr(seat), Target::Seat(seat)][rng.index(2)],
        share: 1000,
        salt: rng.next_u64(),
    }
}

/// Earlier or later, longer or shorter, by a lot or by very little.
fn shift(fault: &mut Fault, rng: &mut Rng) {
    let by = 1u64 << rng.between(10, 34);
    let value = if rng.below(2) == 0 {
        &mut fault.at
    } else {
        &mut fault.lasts
    };
    *value = if rng.below(2) == 0 {
        value.saturating_add(by)
    } else {
        value.saturating_sub(by)
    };
    if rng.below(8) == 0 {
        fault.salt = rng.next_u64();
    }
    fault.at = fault.at.clamp(SECOND, LONG - SECOND);
    fault.lasts = fault.lasts.min(LONG - fault.at);
}
