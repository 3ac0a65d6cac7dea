//! What a process shows of itself when it is looked at: belief, status, and what became of its terms.

use tenure::{Instant, LossReason, Status};
use tenure_core::Notice;

use crate::trace::{Believed, Happening, ProcessId};

use super::{
    inside::{Inside, State, Term},
    sim_clock::SimClock,
};

pub(super) fn look_at_belief(
    state: &mut State,
    inside: &Inside,
    reading: Instant,
    told: &mut Vec<Happening>,
) {
    let id = inside.id;
    let clock = &inside.clock;
    let mut believed = None;
    // By the process's own clock: when that runs at another rate, the end moves in true time, and
    // nothing was renewed (seed 501418).
    let mut later = false;
    let last = state.terms.len().checked_sub(1);
    for (index, term) in state.terms.iter_mut().enumerate().rev().take(4) {
        if !clock.pretending(reading, || term.handle.is_leading()) {
            continue;
        }
        if term.over || Some(index) != last {
            told.push(Happening::Broken {
                process: Some(id),
                what: "a leadership that was over leads again".into(),
            });
        }
        let until = if term.known && ends_at(clock, term, reading, term.until) {
            term.until
        } else {
            end_of(clock, term, reading)
        };
        if term.handle.valid_until() != until {
            told.push(Happening::Broken {
                process: Some(id),
                what: "leads until another moment than it says".into(),
            });
        }
        if (!term.known || until > term.until) && inside.trusts_too_long(until) {
            told.push(Happening::Broken {
                process: Some(id),
                what: "trusts a write from a moment after its renewTime was read (L1)".into(),
            });
        }
        later = term.known && until > term.until;
        term.until = until;
        term.known = true;
        believed = Some(Believed {
            term: term.handle.term(),
            token: term.handle.token().as_str().parse().unwrap_or(0),
            until: until.map(|until| state.machine.truth(until)),
        });
        break;
    }
    if believed == state.shown {
        return;
    }
    state.shown = believed;
    told.push(Happening::Belief {
        process: id,
        belief: believed,
    });
    if later && !inside.has_heard_of_itself() {
        told.push(Happening::Broken {
            process: Some(id),
            what: "renews its Lease, and was not told that it holds it".into(),
        });
    }
    if later && state.terms.last().is_some_and(|term| term.announced) {
        let recovered = state
            .status
            .as_ref()
            .is_some_and(|status| matches!(*status.borrow(), Status::Jeopardy { .. }));
        told.push(Happening::Notice {
            process: id,
            notice: Notice::Renewed { recovered },
        });
    }
}

/// Whether it is about a term that begins or goes on, rather than about its end.
pub(super) fn begins(what: &Happening) -> bool {
    matches!(
        what,
        Happening::Belief { .. }
            | Happening::Notice {
                notice: Notice::Acquired { .. } | Notice::Renewed { .. },
                ..
            }
    )
}

/// Whether `is_leading` would end at exactly that reading.
fn ends_at(clock: &SimClock, term: &Term, now: Instant, until: Option<Instant>) -> bool {
    let leads =
        |nanos: u64| clock.pretending(Instant::from_nanos(nanos), || term.handle.is_leading());
    match until {
        None => leads(u64::MAX / 2),
        Some(until) => {
            let until = until.as_nanos();
            until > now.as_nanos() && leads(until - 1) && !leads(until)
        }
    }
}

/// The first reading at which `is_leading` would be false, if nothing else happened: what the
/// library says of it where that is true, else what a search finds.
fn end_of(clock: &SimClock, term: &Term, now: Instant) -> Option<Instant> {
    let claimed = term.handle.valid_until();
    if ends_at(clock, term, now, claimed) {
        return claimed;
    }
    let leads =
        |nanos: u64| clock.pretending(Instant::from_nanos(nanos), || term.handle.is_leading());
    let (mut yes, mut no) = (now.as_nanos(), u64::MAX / 2);
    if leads(no) {
        return None;
    }
    while no - yes > 1 {
        let middle = yes + (no - yes) / 2;
        if leads(middle) {
            yes = middle;
        } else {
            no = middle;
        }
    }
    Some(Instant::from_nanos(no))
}

pub(super) fn look_at_status(state: &mut State, id: ProcessId, told: &mut Vec<Happening>) {
    let Some(receiver) = &state.status else {
        return;
    };
    let status = receiver.borrow().clone();
    let kind = (status.leads(), std::mem::discriminant(&status));
    if state.shown_status != Some(kind) {
        state.shown_status = Some(kind);
        told.push(Happening::Status {
            process: id,
            status,
        });
    }
}

pub(super) fn look_at_terms(
    state: &mut State,
    inside: &Inside,
    reading: Instant,
    settled: bool,
    told: &mut Vec<Happening>,
) {
    let id = inside.id;
    let believes = state.shown.is_some();
    let Some(term) = state.terms.last_mut().filter(|term| !term.over) else {
        return;
    };
    let notified = |notice| Happening::Notice {
        process: id,
        notice,
    };
    if !term.announced && believes {
        term.announced = true;
        told.push(notified(Notice::Acquired {
            term: term.handle.term(),
            token: term.handle.token().clone(),
            again: false,
        }));
    }
    if let (true, false, Some(reason)) = (believes, term.told, term.handle.lost_reason()) {
        term.told = true;
        if reason == LossReason::SteppedDown && !term.asked && term.given_up.is_none() {
            told.push(Happening::Broken {
                process: Some(id),
                what: "told its work to step down, and nobody had asked for it".into(),
            });
        }
        let by = term.handle.stop_by().unwrap_or_default();
        told.push(notified(Notice::Stop { reason, by }));
        told.push(Happening::GivenUntil {
            process: id,
            by: state.machine.truth(by),
            ends: term.until.map(|until| state.machine.truth(until)),
        });
    }
    if !believes && settled {
        term.over = true;
        let by = term.handle.stop_by();
        if by.is_some_and(|by| inside.gives_too_long(reading, by)) {
            told.push(Happening::Broken {
                process: Some(id),
                what: "gives its work longer than it promised (L10)".into(),
            });
        }
        let lost = state
            .status
            .as_ref()
            .and_then(|status| match &*status.borrow() {
                Status::Lost { reason } => Some(reason.clone()),
                _ => None,
            });
        if !term.announced {
            // It was over before anybody could look at it.
            return;
        }
        let how = match (lost, term.given_up.take()) {
            (
                Some(
                    LossReason::SteppedDown
                    | LossReason::Abandoned
                    | LossReason::Asked(_)
                    | LossReason::Paused(_),
                )
                | None,
                Some(how),
            ) => how,
            (Some(reason), _) => Notice::Lost(reason),
            (None, None) => lost_unseen(term, reading).map_or(Notice::Released, Notice::Lost),
        };
        if !matches!(how, Notice::Released) {
            // What is released after that was never meant for anybody.
            inside.is_to_hand_over(None);
        }
        told.push(notified(how));
    }
}

/// Why the term was lost, where the status shows what comes after it already: somebody else of the program
/// waits for the next one.
fn lost_unseen(term: &Term, reading: Instant) -> Option<LossReason> {
    match term.handle.lost_reason()? {
        LossReason::SteppedDown
        | LossReason::Abandoned
        | LossReason::Asked(_)
        | LossReason::Paused(_) => None,
        // What is told that its time runs out may still be given up before that.
        LossReason::Expired => term
            .until
            .is_some_and(|until| until <= reading)
            .then_some(LossReason::Expired),
        reason => Some(reason),
    }
}
