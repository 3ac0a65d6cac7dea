//! How a Lease is left: L10, L11.

use std::sync::Arc;

use tenure_core::{
    Command, Elector as _, LossReason, Notice, Outcome, Status, Version, lease::Request,
};

use crate::bench::{Bench, absent, held, stored, unknown};

#[test]
fn l10_the_work_is_told_one_grace_before_validity_ends_even_while_a_renewal_hangs() {
    let mut bench = Bench::leading(6);
    bench.until(2000);
    assert_eq!(bench.calls.len(), 1, "the renewal hangs");
    bench.until(6999);
    assert!(!bench.told(|n| matches!(n, Notice::Stop { .. })));
    bench.until(7000);
    assert!(bench.told(|n| matches!(
        n,
        Notice::Stop {
            reason: LossReason::Expired,
            ..
        }
    )));
    assert!(bench.leads());
    bench.until(10_000);
    assert!(!bench.leads());
    assert!(
        bench.told(|n| *n == Notice::Overdue),
        "work that has not ended is reported"
    );
    assert!(bench.told(|n| *n == Notice::Lost(LossReason::Expired)));
    let replaces = bench.calls.len();
    assert_eq!(replaces, 1, "and nothing is released");
}

#[test]
fn l10_told_once_is_final() {
    let mut bench = Bench::leading(6);
    bench.until(2000);
    let (id, _, write) = bench.write();
    bench.until(7500);
    bench.answer(id, Outcome::Done(stored(&write, "u", 7)));
    assert!(bench.leads(), "renewing meanwhile");
    // It renews for one more grace, and then lets validity run out.
    for rv in 8..40 {
        bench.until(bench.due().min(60_000));
        if let Some((id, tenure_core::lease::Request::Replace { write, .. })) = bench.calls.pop() {
            bench.answer(id, Outcome::Done(stored(&write, "u", rv)));
        }
    }
    assert!(!bench.leads());
    assert_eq!(
        bench
            .notices
            .iter()
            .filter(|n| matches!(n, Notice::Stop { .. }))
            .count(),
        1
    );
}

#[test]
fn l10_belief_ends_before_the_release_and_only_after_the_work() {
    let mut bench = Bench::leading(6);
    bench.command(Command::StepDown);
    assert!(bench.told(|n| matches!(
        n,
        Notice::Stop {
            reason: LossReason::SteppedDown,
            ..
        }
    )));
    assert!(
        bench.leads() && bench.calls.is_empty(),
        "the work has not ended"
    );
    bench.until(2000);
    let (id, _, write) = bench.write();
    assert_eq!(
        write.spec.holder.as_deref(),
        Some("me"),
        "it renews meanwhile"
    );
    bench.answer(id, Outcome::Done(stored(&write, "u", 7)));
    bench.command(Command::WorkEnded { release: true });
    assert!(bench.elector.belief().is_none());
    let (_, base, write) = bench.write();
    assert_eq!(base, Some(Version::new("u", "7")));
    assert!(write.mark.released);
}

#[test]
fn l10_it_stands_again_only_when_the_release_is_answered() {
    let mut bench = Bench::leading(6);
    bench.command(Command::WorkEnded { release: true });
    bench.command(Command::Stand);
    let (id, _, write) = bench.write();
    assert!(write.mark.released && bench.calls.is_empty());
    bench.answer(id, Outcome::Done(stored(&write, "u", 7)));
    bench.read_is(Outcome::Done(stored(&write, "u", 7)));
    let again = bench.write().2;
    assert_eq!(again.spec.holder.as_deref(), Some("me"));
    assert!(
        bench.elector.belief().is_none(),
        "by a new acquisition only"
    );
}

#[test]
fn l11_a_release_has_all_four_fields_and_keeps_transitions() {
    let mut bench = Bench::leading(6);
    bench.command(Command::WorkEnded { release: true });
    let (_, _, write) = bench.write();
    assert_eq!(write.spec.holder.as_deref(), Some(""));
    assert_eq!(write.spec.duration_seconds, Some(1));
    assert_eq!(write.spec.transitions, Some(4));
    assert!(write.spec.acquire_time.is_some() && write.spec.renew_time.is_some());
}

#[test]
fn l11_a_release_never_erases_a_successor() {
    let mut bench = Bench::leading(6);
    bench.command(Command::WorkEnded { release: true });
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    bench.read_is(Outcome::Done(held("successor", 15, 9)));
    bench.until(60_000);
    assert!(bench.calls.is_empty());
}

#[test]
fn l11_a_release_that_conflicts_over_the_own_last_write_is_sent_once_more() {
    let mut bench = Bench::leading(6);
    bench.until(2000);
    let (_, _, renewal) = bench.write();
    bench.command(Command::WorkEnded { release: true });
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    // The renewal that was under way was applied first.
    bench.read_is(Outcome::Done(stored(&renewal, "u", 7)));
    let (id, base, write) = bench.write();
    assert_eq!(base, Some(Version::new("u", "7")));
    bench.answer(id, unknown());
    bench.until_a_call();
    bench.read_is(Outcome::Done(stored(&write, "u", 8)));
    assert!(bench.told(|n| *n == Notice::Released));
}

#[test]
fn l11_a_lost_term_is_not_released() {
    let mut bench = Bench::leading(6);
    bench.watch(held("thief", 15, 9));
    bench.command(Command::WorkEnded { release: true });
    bench.until(60_000);
    assert!(bench.calls.is_empty());
}

#[test]
fn l11_a_release_over_nothing_is_done() {
    let mut bench = Bench::leading(6);
    bench.command(Command::WorkEnded { release: true });
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    bench.read_is(absent());
    assert!(bench.told(|n| *n == Notice::Released));
}

#[test]
fn l11_a_release_that_is_refused_was_not_made_and_is_sent_again() {
    let mut bench = Bench::leading(6);
    bench.command(Command::WorkEnded { release: true });
    for why in ["no place", "a webhook"] {
        bench.until_a_call();
        let (id, base, _) = bench.write();
        assert_eq!(base, Some(Version::new("u", "6")));
        bench.answer(id, Outcome::Refused(why.into()));
    }
    bench.until_a_call();
    let (id, _, write) = bench.write();
    bench.answer(id, Outcome::Done(stored(&write, "u", 7)));
    assert!(bench.told(|n| *n == Notice::Released) && !failed_release(&bench));
}

#[test]
fn l11_a_release_that_is_always_refused_is_given_up_soon_with_what_was_said_last() {
    let mut bench = Bench::leading(6);
    bench.command(Command::WorkEnded { release: true });
    for why in ["a webhook", "a webhook", "forbidden"] {
        assert!(!failed_release(&bench));
        bench.until_a_call();
        let (id, _, _) = bench.write();
        bench.answer(id, Outcome::Refused(why.into()));
    }
    bench.until(1000);
    let why = "forbidden".into();
    assert!(bench.told(|n| *n
        == Notice::ReleaseFailed {
            error: Arc::clone(&why)
        }));
    bench.until(60_000);
    assert!(bench.calls.is_empty());
}

#[test]
fn l10_work_that_ends_without_a_release_leaves_the_lease_to_run_out() {
    let mut bench = Bench::leading(6);
    bench.command(Command::WorkEnded { release: false });
    assert!(bench.elector.belief().is_none());
    assert!(bench.told(|n| *n == Notice::Kept));
    bench.until(60_000);
    assert!(bench.calls.is_empty());
}

fn failed_release(bench: &Bench) -> bool {
    bench.told(|n| matches!(n, Notice::ReleaseFailed { .. }))
}

#[test]
fn l11_a_release_is_sent_three_times_and_then_given_up() {
    let mut bench = Bench::leading(6);
    bench.command(Command::WorkEnded { release: true });
    for rv in 7..10 {
        assert!(!failed_release(&bench));
        bench.until_a_call();
        let (id, base, write) = bench.write();
        assert!(write.mark.released);
        assert_eq!(base, Some(Version::new("u", (rv - 1).to_string())));
        bench.answer(id, Outcome::Conflict);
        bench.until_a_call();
        // Somebody labels it again and again.
        bench.read_is(Outcome::Done(bench.present(rv)));
    }
    bench.until(60_000);
    assert!(failed_release(&bench) && bench.calls.is_empty());
}

#[test]
fn l11_a_release_that_nobody_answers_is_given_up_when_validity_would_be_over() {
    let mut bench = Bench::leading(6);
    bench.command(Command::WorkEnded { release: true });
    let mut calls = 0;
    while !failed_release(&bench) {
        if let Some((id, request)) = bench.calls.pop() {
            calls += 1;
            assert_eq!(
                request == Request::Read,
                calls > 1,
                "it is settled by reading"
            );
            bench.until(bench.now + 2000);
            bench.answer(id, unknown());
        } else {
            bench.until(bench.due());
        }
    }
    assert!((10_000..13_000).contains(&bench.now), "{} ms", bench.now);
    assert!(calls > 3);
}

#[test]
fn l11_an_edited_record_is_not_released_and_a_successor_s_is_nothing_to_release() {
    for edited in [true, false] {
        let mut bench = Bench::leading(6);
        bench.command(Command::WorkEnded { release: true });
        let (id, _, _) = bench.write();
        bench.answer(id, Outcome::Conflict);
        let mut found = if edited {
            bench.present(9)
        } else {
            held("successor", 15, 9)
        };
        found.spec.duration_seconds = Some(99);
        bench.read_is(Outcome::Done(found));
        assert!(bench.calls.is_empty());
        assert_eq!(failed_release(&bench), edited);
        assert_eq!(bench.told(|n| *n == Notice::Released), !edited);
    }
}

#[test]
fn l5_a_release_keeps_what_others_put_there() {
    let mut bench = Bench::leading(6);
    let mut edited = bench.present(7);
    edited.spec.foreign = Some("{\"strategy\":\"x\"}".into());
    bench.watch(edited.clone());
    bench.command(Command::WorkEnded { release: true });
    let (_, base, write) = bench.write();
    assert_eq!(base, Some(edited.version));
    assert_eq!(write.spec.foreign, edited.spec.foreign);
}

#[test]
fn why_a_term_ended_is_shown_until_one_stands_again() {
    type End<'a> = &'a dyn Fn(&mut Bench);
    let released = |bench: &mut Bench| {
        bench.command(Command::WorkEnded { release: true });
        let (id, _, write) = bench.write();
        bench.answer(id, Outcome::Done(stored(&write, "u", 7)));
    };
    let kept = |bench: &mut Bench| bench.command(Command::WorkEnded { release: false });
    let stolen = |bench: &mut Bench| bench.watch(held("thief", 15, 9));
    let expired = |bench: &mut Bench| bench.until(10_000);
    let ends: [(End<'_>, LossReason); 4] = [
        (&released, LossReason::SteppedDown),
        (&kept, LossReason::Abandoned),
        (&stolen, LossReason::TakenBy("thief".into())),
        (&expired, LossReason::Expired),
    ];
    for (end, reason) in ends {
        let mut bench = Bench::leading(6);
        end(&mut bench);
        assert_eq!(bench.elector.status(), Status::Lost { reason });
        bench.command(Command::Stand);
        let status = bench.elector.status();
        assert!(matches!(status, Status::Standby { .. }), "{status:?}");
    }
}
