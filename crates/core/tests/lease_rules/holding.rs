//! How a Lease is held: L1, L6, L8, L9, L15, L18, L21.

use tenure_core::{Elector as _, LossReason, Notice, Outcome, Status, Version, lease::Observed};

use crate::bench::{Bench, absent, held, released, stored, unknown};

/// The leader's next renewal, answered after `later` milliseconds.
fn renew(bench: &mut Bench, rv: u64, later: u64) -> Observed {
    bench.until(bench.due());
    let (id, _, write) = bench.write();
    bench.now += later;
    let stored = stored(&write, "u", rv);
    bench.answer(id, Outcome::Done(stored.clone()));
    stored
}

fn lost(bench: &Bench) -> Option<LossReason> {
    bench.notices.iter().find_map(|notice| match notice {
        Notice::Lost(reason) => Some(reason.clone()),
        _ => None,
    })
}

#[test]
fn l1_validity_counts_from_before_the_send() {
    let mut bench = Bench::new();
    bench.now = 500;
    bench.stand_before(Outcome::Done(released("u", 5)));
    let (id, _, write) = bench.write();
    bench.now = 2400;
    bench.answer(id, Outcome::Done(stored(&write, "u", 6)));
    bench.now = 10_499;
    assert!(bench.leads());
    bench.now = 10_500;
    assert!(!bench.leads());
}

#[test]
fn l1_a_renewal_carries_belief_on_from_its_own_send() {
    let mut bench = Bench::leading(6);
    renew(&mut bench, 7, 1500);
    bench.now = 11_999;
    assert!(bench.leads());
    bench.now = 12_000;
    assert!(!bench.leads());
}

#[test]
fn l6_a_renewal_whose_answer_is_lost_is_adopted_by_a_read() {
    let mut bench = Bench::leading(6);
    bench.until(2000);
    let (id, _, write) = bench.write();
    bench.now = 4000;
    bench.answer(id, unknown());
    assert!(matches!(bench.elector.status(), Status::Jeopardy { .. }));
    bench.read_is(Outcome::Done(stored(&write, "u", 7)));
    assert!(matches!(bench.elector.status(), Status::Leading { .. }));
    bench.now = 11_999;
    assert!(bench.leads());
    bench.now = 12_000;
    assert!(!bench.leads());
}

#[test]
fn l6_a_conflict_is_neither_success_nor_loss() {
    let mut bench = Bench::leading(6);
    bench.until(2000);
    let (id, _, write) = bench.write();
    bench.answer(id, Outcome::Conflict);
    assert!(bench.leads() && lost(&bench).is_none());
    bench.now = 9999;
    assert!(bench.leads());
    bench.read_is(Outcome::Done(stored(&write, "u", 9)));
    assert!(
        bench.leads(),
        "an earlier try of the same write was applied"
    );
}

#[test]
fn l8_a_renewal_by_a_twin_ends_the_term() {
    let mut bench = Bench::leading(6);
    let mut twin = held("me", 15, 9);
    twin.mark.as_mut().expect("ours").nonce = tenure_core::Nonce::new("twin");
    bench.watch(twin);
    assert_eq!(lost(&bench), Some(LossReason::Twin));
    assert!(!bench.leads());
}

#[test]
fn l9_what_another_wrote_ends_the_term_at_once() {
    let mut emptied = released("u", 9);
    emptied.mark = None;
    let other_uid = Observed {
        version: Version::new("other", "9"),
        ..held("me", 15, 9)
    };
    let cases = [
        (held("thief", 15, 9), LossReason::TakenBy("thief".into())),
        (emptied, LossReason::Emptied),
        (other_uid, LossReason::Replaced),
    ];
    for (seen, reason) in cases {
        let mut by_watch = Bench::leading(6);
        by_watch.watch(seen.clone());
        assert_eq!(lost(&by_watch), Some(reason.clone()), "watch");
        assert!(!by_watch.leads());

        let mut by_read = Bench::leading(6);
        by_read.until(2000);
        let (id, _, _) = by_read.write();
        by_read.answer(id, Outcome::Conflict);
        by_read.read_is(Outcome::Done(seen.clone()));
        assert_eq!(lost(&by_read), Some(reason.clone()), "read");

        let mut by_answer = Bench::leading(6);
        by_answer.until(2000);
        let (id, _, _) = by_answer.write();
        by_answer.answer(id, Outcome::Done(seen));
        assert_eq!(lost(&by_answer), Some(reason), "answer");
    }
}

#[test]
fn l9_absence_ends_the_term_at_once() {
    let mut bench = Bench::leading(6);
    bench.gone("u", 9);
    assert_eq!(lost(&bench), Some(LossReason::Deleted));

    let mut bench = Bench::leading(6);
    bench.until(2000);
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    bench.read_is(absent());
    assert_eq!(lost(&bench), Some(LossReason::Deleted));
}

#[test]
fn l9_history_that_goes_backwards_ends_the_term() {
    let mut bench = Bench::leading(60);
    let own = renew(&mut bench, 70, 1);
    bench.until(bench.due());
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    bench.read_is(Outcome::Done(Observed {
        version: Version::new("u", "65"),
        ..own
    }));
    assert_eq!(lost(&bench), Some(LossReason::WentBackwards));
}

#[test]
fn l9_older_watch_events_are_dropped() {
    let mut bench = Bench::leading(10);
    bench.watch(held("former", 15, 9));
    bench.gone("u", 8);
    assert!(bench.leads() && lost(&bench).is_none());
}

#[test]
fn l9_a_lost_term_never_comes_back() {
    let mut bench = Bench::leading(6);
    bench.until(2000);
    let (id, _, write) = bench.write();
    bench.watch(held("thief", 15, 9));
    bench.answer(id, Outcome::Done(stored(&write, "u", 7)));
    assert!(bench.elector.belief().is_none());

    let mut late = Bench::leading(6);
    late.until(2000);
    let (id, _, write) = late.write();
    late.now = 10_000;
    late.answer(id, Outcome::Done(stored(&write, "u", 7)));
    assert!(
        late.elector.belief().is_none(),
        "validity was over before the answer came"
    );
    assert_eq!(lost(&late), Some(LossReason::Expired));
}

#[test]
fn l18_renewals_keep_transitions_and_the_acquire_time() {
    let mut bench = Bench::leading(6);
    let first = renew(&mut bench, 7, 1);
    let second = renew(&mut bench, 8, 1);
    assert_eq!(first.spec.transitions, Some(4));
    assert_eq!(first.spec.transitions, second.spec.transitions);
    assert_eq!(first.spec.acquire_time, second.spec.acquire_time);
    assert_ne!(first.spec.renew_time, second.spec.renew_time);
    assert_eq!(
        bench.elector.belief().expect("leads").token.as_str(),
        "6",
        "L19"
    );
}

#[test]
fn l21_an_edited_record_is_put_right_over_what_was_read() {
    let mut bench = Bench::leading(6);
    let own = renew(&mut bench, 7, 1);
    bench.notices.clear();
    let mut edited = own;
    edited.version = Version::new("u", "9");
    edited.spec.duration_seconds = Some(1 << 31);
    edited.spec.foreign = Some("{\"strategy\":\"x\"}".into());
    bench.watch(edited.clone());
    assert!(bench.leads() && lost(&bench).is_none());
    bench.until(2600);
    let (_, base, write) = bench.write();
    assert_eq!(base, Some(edited.version));
    assert_eq!(write.spec.duration_seconds, Some(15));
    assert_eq!(write.spec.foreign, edited.spec.foreign, "L5");
}
