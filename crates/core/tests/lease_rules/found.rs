//! What the simulation found, each with the seed that showed it.

use tenure_core::{
    Command, Elector as _, LossReason, Notice, Outcome, Status,
    lease::{LeaseWrite, Observed, Request},
};

use crate::bench::{Bench, absent, foreign, released, stored, unknown};

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
            let outcome = if request == Request::Read {
                Outcome::Done(bench.present(6))
            } else {
                clashes += 1;
                Outcome::Conflict
            };
            bench.answer(id, outcome);
        }
        jeopardy = matches!(bench.elector.status(), Status::Jeopardy { .. });
    }
    assert!(jeopardy && clashes > 1, "{clashes} clashes");
}

/// Seed 8107 at core depth: a proxy refused an acquiring write that had been applied. What the
/// watch had shown of it was then replaced at once, as if it were still the state that had been
/// waited for.
#[test]
fn l2_an_acquiring_write_that_was_applied_and_refused_is_waited_out_like_any_record() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(released("u", 5)));
    // A first try is lost, so that the attempt stays open.
    let (id, _, _) = bench.write();
    bench.answer(id, unknown());
    bench.read_is(Outcome::Done(released("u", 5)));
    bench.until_a_call();
    let (id, _, write) = bench.write();
    bench.watch(stored(&write, "u", 6));
    let seen_at = bench.now;
    bench.answer(id, Outcome::Refused("403 Forbidden".into()));
    while bench.calls.is_empty() {
        bench.until(bench.due());
        if let Some((id, Request::Read)) = bench.calls.first().cloned() {
            bench.calls.clear();
            bench.answer(id, Outcome::Done(stored(&write, "u", 6)));
        }
    }
    assert!(bench.now >= seen_at + 15_000, "{} ms", bench.now);
    assert!(!bench.leads());
}

/// Seed 5035754 at core depth: a person deleted the Lease and created a copy of it, while the answer
/// to the acquiring write was on its way to be lost. The copy was adopted.
#[test]
fn l6_a_copy_of_ones_own_write_in_another_object_is_not_adopted() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(released("u", 5)));
    let (id, _, write) = bench.write();
    bench.answer(id, unknown());
    bench.read_is(Outcome::Done(stored(&write, "another", 9)));
    assert!(!bench.leads());
}

/// Found by fuzzing: a server, or a webhook, that stores another holder than was written, or none, or
/// answers with another object. Whoever asked led until something newer was seen.
#[test]
fn l9_an_acquiring_write_whose_answer_is_not_ones_own_record_grants_nothing() {
    let emptied = |write: &LeaseWrite| {
        let mut observed = stored(write, "u", 6);
        observed.spec.holder = None;
        observed
    };
    for other in [
        &|_: &LeaseWrite| foreign("stranger", 15, 6),
        &emptied,
        &|write: &LeaseWrite| stored(write, "another", 6),
    ] as [&dyn Fn(&LeaseWrite) -> Observed; 3]
    {
        let mut bench = Bench::new();
        bench.stand_before(Outcome::Done(released("u", 5)));
        let (id, _, write) = bench.write();
        let answered = other(&write);
        bench.answer(id, Outcome::Done(answered.clone()));
        assert!(!bench.leads(), "{answered:?}");
        assert!(!bench.told(|notice| matches!(notice, Notice::Acquired { .. })));
        // It is waited out like any other record (L2).
        let seen_at = bench.now;
        loop {
            bench.until(bench.due());
            match bench.calls.pop() {
                Some((id, Request::Read)) => bench.answer(id, Outcome::Done(answered.clone())),
                Some((_, Request::Replace { .. })) => break,
                other => assert_eq!(other, None),
            }
        }
        assert!(bench.now >= seen_at + 15_000, "{} ms", bench.now);
    }
}

/// Seed 541569 at core depth: a leader whose work did not end never heard that its Lease was gone.
#[test]
fn l9_who_may_not_renew_any_more_looks_whether_it_still_has_the_lease() {
    let mut bench = Bench::leading(6);
    bench.command(Command::StepDown);
    // It renews for as long as its work was promised.
    bench.until(2_000);
    let (id, _, write) = bench.write();
    let newest = stored(&write, "u", 7);
    bench.answer(id, Outcome::Done(newest.clone()));
    for at in [3_000, 5_000, 7_000] {
        bench.until(at - 1);
        assert!(bench.calls.is_empty(), "before {at} ms");
        bench.until(at);
        bench.read_is(Outcome::Done(newest.clone()));
    }
    assert!(bench.leads());
    bench.until(9_000);
    bench.read_is(absent());
    assert!(!bench.leads());
    assert!(bench.told(|n| *n == Notice::Lost(LossReason::Deleted)));
}
