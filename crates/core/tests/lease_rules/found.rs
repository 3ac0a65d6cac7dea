//! What the simulation found, each with the seed that showed it.

use tenure_core::{Elector as _, Outcome, Status};

use crate::bench::Bench;

/// Seed 1434 at core depth: a proxy that answered 409 to everything let a leader run out of time
/// without a word.
#[test]
fn l10_a_leader_whose_every_call_is_a_conflict_shows_jeopardy_before_its_time_is_over() {
    let mut bench = Bench::leading(6);
    let mut jeopardy_at = None;
    while bench.leads() {
        bench.until(bench.due());
        while let Some((id, _)) = bench.calls.pop() {
            bench.answer(id, Outcome::Conflict);
        }
        if matches!(bench.elector.status(), Status::Jeopardy { .. }) {
            jeopardy_at.get_or_insert(bench.now);
        }
    }
    assert!(jeopardy_at.is_some_and(|at| at < 7000), "{jeopardy_at:?}");
}

/// The same where reads are answered: only the renewals clash, again and again.
#[test]
fn l10_a_leader_whose_every_renewal_is_a_conflict_shows_jeopardy() {
    let mut bench = Bench::leading(6);
    let (mut jeopardy, mut clashes) = (false, 0);
    while bench.leads() && !jeopardy {
        bench.until(bench.due());
        while let Some((id, request)) = bench.calls.pop() {
            let outcome = match request {
                tenure_core::lease::Request::Read => Outcome::Done(bench.present(6)),
                _ => {
                    clashes += 1;
                    Outcome::Conflict
                }
            };
            bench.answer(id, outcome);
        }
        jeopardy = matches!(bench.elector.status(), Status::Jeopardy { .. });
    }
    assert!(jeopardy && clashes > 1, "{clashes} clashes");
}
