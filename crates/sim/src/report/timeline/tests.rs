//! Runs written by hand, and what is told of them.

use std::sync::Arc;

use super::*;
use crate::{
    fault::{Fault, FaultKind, Target},
    invariants::Violation,
    plan::{Draw, LeftBehind, LockKind},
    trace::{Believed, Snapshot},
};

fn plan() -> Plan {
    let mut plan = Plan::draw(7, &Draw::default());
    plan.lock = LockKind::Lease;
    plan.strict = false;
    plan.left_behind = LeftBehind::Nothing;
    plan.faults_end = 60 * SECOND;
    plan.seats.truncate(2);
    for seat in &mut plan.seats {
        seat.timing = SeatTiming::Usual;
        seat.rate = 950_000 + 50_000 * seat.number as u64;
        (seat.foreign, seat.fixed_identity) = (false, false);
    }
    let fault = |id, kind, at, lasts| Fault {
        id,
        kind,
        at: at * SECOND,
        lasts: lasts * SECOND,
        target: Target::Seat(0),
        share: 1000,
        salt: 0,
    };
    plan.faults = vec![
        fault(4, FaultKind::RepliesLost, 20, 5),
        fault(9, FaultKind::Freeze, 30, 25),
    ];
    plan
}

fn state(version: u64, holder: &str) -> Snapshot {
    Snapshot {
        uid: "u".into(),
        version,
        holder: Some(holder.into()),
        nonce: None,
        write: None,
        speaks: true,
        protects: 15 * SECOND,
        seconds: None,
        released: false,
        transitions: None,
        acquired: None,
        renewed: None,
        foreign: None,
        asked: None,
        paused: None,
        successor: None,
    }
}

fn wrote(process: u32, before: Option<Snapshot>, after: Snapshot) -> Happening {
    Happening::Wrote(Write {
        by: Author::Process(ProcessId(process)),
        base: None,
        before,
        after: Some(after),
        since: 0,
        sent: 0,
        warrant: None,
    })
}

fn belief(process: u32, term: u64, token: u64, until: Nanos) -> Happening {
    Happening::Belief {
        process: ProcessId(process),
        belief: Some(Believed {
            term,
            token,
            until: Some(until),
        }),
    }
}

fn started(process: u32) -> Happening {
    Happening::Started {
        process: ProcessId(process),
        seat: process as usize,
        identity: format!("c{process}_x").into(),
        ours: true,
        grace: SECOND,
        trusts: None,
        trusts_clocks: false,
        cooldown: 0,
    }
}

fn told(process: u32, notice: Notice) -> Happening {
    let process = ProcessId(process);
    Happening::Notice { process, notice }
}

fn struck(fault: u32, kind: FaultKind) -> Happening {
    let process = Some(ProcessId(0));
    Happening::Struck {
        fault,
        kind,
        process,
    }
}

/// c0 leads and renews, cannot renew twice, and freezes; c1 takes the lock too early.
fn recorded() -> Recorded {
    let error: Arc<str> = "no answer in time".into();
    let fails = || {
        let error = Arc::clone(&error);
        told(0, Notice::RenewFailed { error, left: None })
    };
    let mut happenings = vec![
        (0, started(0)),
        (SECOND, started(1)),
        (2 * SECOND, wrote(0, None, state(1, "c0_x"))),
        (2 * SECOND, belief(0, 1, 1, 12 * SECOND)),
    ];
    for version in 2..=9 {
        let at = version * 2 * SECOND;
        let before = Some(state(version - 1, "c0_x"));
        happenings.push((at, wrote(0, before, state(version, "c0_x"))));
        happenings.push((at, belief(0, 1, 1, at + 10 * SECOND)));
        happenings.push((at, told(0, Notice::Renewed { recovered: false })));
    }
    happenings.extend([
        (20 * SECOND, struck(4, FaultKind::RepliesLost)),
        (22 * SECOND, fails()),
        (22 * SECOND, struck(4, FaultKind::RepliesLost)),
        (25 * SECOND, fails()),
        (26 * SECOND, struck(9, FaultKind::Freeze)),
        (
            27 * SECOND,
            wrote(1, Some(state(9, "c0_x")), state(10, "c1_x")),
        ),
        (27 * SECOND + MILLI, belief(1, 2, 10, 37 * SECOND)),
    ]);
    Recorded {
        plan: plan(),
        happenings,
        violation: Some(Violation {
            invariant: "at-most-one",
            at: 27 * SECOND + MILLI,
            what: "two lead".into(),
        }),
    }
}

#[test]
fn a_run_is_told_in_words() {
    let expected = "\
seed 7: a Lease; 2 candidates; 2 faults, until 60.000 s
  c0: its clock runs at 95.00 % of true time

   0.000 s  c0 starts, as c0_x
   1.000 s  c1 starts, as c1_x
   2.000 s  c0 LEADS, and may until 28.000 s (term 1, token 1; it renews 8 times, the last at 18.000 s)
   2.000 s  the lock is created by c0: c0 holds it (version 1)
  20.000 s  2 messages of c0 are struck, the last at 22.000 s [replies-lost, fault 4]
  22.000 s  c0 cannot renew: no answer in time (2 times in a row, the last at 25.000 s)
             -- the last 3 s, in full --
  25.000 s  c0 cannot renew: no answer in time
  26.000 s  c0 is frozen, for 25.000 s [freeze, fault 9]
  27.000 s  the lock: c0 -> c1, written by c1 (version 10)
  27.001 s  c1 LEADS, and may until 37.000 s (term 2, token 10)
  27.001 s  VIOLATED: at-most-one
            two lead
";
    assert_eq!(text(&recorded()), expected);
}

#[test]
fn the_same_run_as_a_picture_shows_who_may_lead_at_once() {
    let timeline = super::super::picture::timeline(&recorded());
    let names: Vec<&str> = timeline.lanes.iter().map(|lane| &*lane.name).collect();
    assert_eq!(
        names,
        ["the Lease", "c0", "c1", "replies-lost, c0", "freeze, c0"]
    );
    let [overlap] = &timeline.overlaps[..] else {
        panic!("{:?}", timeline.overlaps)
    };
    assert_eq!(
        (overlap.from, overlap.to),
        (27 * SECOND + MILLI, 28 * SECOND)
    );
    assert!(!timeline.verdict.is_some_and(|verdict| verdict.good));
}
