//! How a Lease is taken: L2, L5, L6, L7, L12 to L20.

use tenure_core::{
    Command, Elector as _, Event, LeaseTiming, Notice, Outcome, Status, Warning, lease::Request,
};

use crate::bench::{Bench, ME, absent, foreign, held, millis, released, stored, unknown};

#[test]
fn l2_a_wait_counts_from_receipt_and_lasts_the_larger_duration() {
    for (own, written, wait) in [(15, 15, 15_000), (15, 4, 15_000), (5, 40, 40_000)] {
        let timing = LeaseTiming::builder()
            .lease_duration(millis(own * 1000))
            .build()
            .expect("timings");
        let mut bench = Bench::with(timing, false);
        bench.now = 700;
        bench.stand_before(Outcome::Done(held("other", written, 5)));
        bench.until(700 + wait - 1);
        assert!(bench.calls.is_empty(), "taken after {} ms", bench.now);
        bench.until(700 + wait);
        assert!(matches!(bench.call(), (_, Request::Replace { .. })));
    }
}

#[test]
fn l2_each_changed_record_starts_the_wait_anew_and_metadata_does_not() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 5)));
    bench.until(10_000);
    bench.watch(held("other", 15, 6));
    bench.until(20_000);
    // A label: another resourceVersion, the same record.
    let mut labelled = held("other", 15, 6);
    labelled.version = foreign("x", 1, 9).version;
    bench.watch(labelled.clone());
    bench.until(24_999);
    assert!(bench.calls.is_empty());
    bench.until(25_000);
    let (_, base, _) = bench.write();
    assert_eq!(base, Some(labelled.version), "L12: over the newest state");
}

#[test]
fn l2_older_and_duplicated_events_start_nothing() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 9)));
    bench.until(10_000);
    bench.watch(held("other", 15, 9));
    bench.watch(held("other", 15, 8));
    bench.gone("u", 7);
    bench.until(15_000);
    assert!(matches!(bench.call(), (_, Request::Replace { .. })));
}

#[test]
fn l2_a_change_of_holder_leaves_the_former_holders_wait_running() {
    for change in ["another", "none", "absence"] {
        let mut bench = Bench::new();
        bench.stand_before(Outcome::Done(foreign("slow", 60, 5)));
        bench.now = 1000;
        match change {
            "another" => bench.watch(held("quick", 15, 6)),
            "none" => bench.watch(foreign("", 1, 6)),
            _ => bench.gone("u", 6),
        }
        if change == "absence" {
            // L14: created without a holder, at once.
            let (id, _, write) = bench.write();
            assert_eq!(write.spec.holder.as_deref(), Some(""));
            bench.answer(id, Outcome::Done(stored(&write, "v", 7)));
        }
        // What names nobody may have come over a renewal that was not seen.
        let free = if change == "another" { 60_000 } else { 61_000 };
        bench.until(free - 1);
        assert!(
            bench.calls.is_empty(),
            "{change}: taken after {} ms",
            bench.now
        );
        bench.until(free);
        assert!(
            matches!(bench.call(), (_, Request::Replace { .. })),
            "{change}"
        );
    }
}

/// Seed 1012666952895715990 at core depth.
#[test]
fn l2_what_a_person_leaves_behind_is_waited_for_as_long_as_the_holder_that_it_hid() {
    for left in ["absence", "nobody", "a new one"] {
        let timing = LeaseTiming::builder()
            .lease_duration(millis(5000))
            .build()
            .expect("timings");
        let mut bench = Bench::with(timing, false);
        bench.stand_before(Outcome::Done(held("slow", 40, 5)));
        // The watch is silent: the holder's renewals, the last at 39 s, are not seen.
        bench.now = 39_500;
        match left {
            "absence" => {
                bench.gone("u", 6);
                let (id, _, write) = bench.write();
                bench.answer(id, Outcome::Done(stored(&write, "v", 7)));
            }
            "nobody" => bench.watch(foreign("", 1, 6)),
            _ => {
                let mut created = held("", 5, 6);
                created.version.uid = tenure_core::Uid::new("v");
                bench.watch(created);
            }
        }
        bench.until(79_499);
        assert!(bench.calls.is_empty(), "{left}: {} ms", bench.now);
        bench.until(79_500);
        assert!(
            matches!(bench.call(), (_, Request::Replace { .. })),
            "{left}"
        );
    }
}

/// Seed 7556540 at core depth: the old Lease was held, unseen, when somebody deleted it; the new one
/// was held and given up meanwhile.
#[test]
fn l2_another_uid_tells_of_an_absence_that_was_not_seen_whoever_gave_up_the_new_one() {
    for by in ["watch", "read"] {
        let mut bench = Bench::new();
        bench.stand_before(Outcome::Done(foreign("", 1, 5)));
        bench.now = 14_000;
        if by == "watch" {
            bench.watch(released("v", 9));
        } else {
            bench.give(Event::WatchOpened);
            bench.read_is(Outcome::Done(released("v", 9)));
        }
        bench.until(28_999);
        bench.calls.retain(|(_, request)| *request != Request::Read);
        assert!(bench.calls.is_empty(), "{by}: taken at {} ms", bench.now);
        bench.until(29_000);
        assert!(matches!(bench.call(), (_, Request::Replace { .. })), "{by}");
    }
    // What was given up in the same object is free at once.
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 5)));
    bench.watch(released("u", 6));
    assert!(matches!(bench.call(), (_, Request::Replace { .. })));
}

#[test]
fn l2_a_foreign_holders_largest_duration_counts() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(foreign("client-go", 100, 5)));
    bench.now = 1000;
    bench.watch(foreign("client-go", 10, 6));
    bench.until(100_999);
    assert!(bench.calls.is_empty());
    bench.until(101_000);
    assert_eq!(bench.calls.len(), 1);
}

#[test]
fn l2_an_edited_duration_is_passed_over_where_the_annotation_speaks() {
    let mut edited = held("other", 15, 5);
    edited.spec.duration_seconds = Some(1 << 31);
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(edited));
    bench.until(15_000);
    assert_eq!(bench.calls.len(), 1);
}

#[test]
fn l6_an_acquisition_whose_answer_is_lost_is_adopted_from_before_its_send() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(released("u", 5)));
    let (id, _, write) = bench.write();
    bench.now = 2000;
    bench.answer(id, unknown());
    assert!(!bench.leads());
    bench.now = 2500;
    bench.read_is(Outcome::Done(stored(&write, "u", 8)));
    let belief = bench.elector.belief().expect("adopted");
    assert_eq!(
        belief.token.as_str(),
        "8",
        "L19: the resourceVersion that was read"
    );
    bench.now = 9999;
    assert!(bench.leads());
    bench.now = 10_000;
    assert!(!bench.leads(), "L1: from before the send");
}

#[test]
fn l6_only_the_whole_spec_and_the_annotation_are_adopted() {
    for what in ["spec", "annotation"] {
        let mut bench = Bench::new();
        bench.stand_before(Outcome::Done(released("u", 5)));
        let (id, _, write) = bench.write();
        bench.answer(id, unknown());
        let mut almost = stored(&write, "u", 8);
        match what {
            "spec" => almost.spec.duration_seconds = Some(16),
            _ => almost.mark.as_mut().expect("ours").counter += 1,
        }
        bench.read_is(Outcome::Done(almost));
        assert!(bench.elector.belief().is_none(), "{what}");
    }
}

#[test]
fn l7_the_own_name_in_a_read_grants_nothing() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held(ME, 15, 5)));
    assert!(bench.elector.belief().is_none());
    bench.until(14_999);
    assert!(bench.calls.is_empty() && bench.elector.belief().is_none());
}

#[test]
fn l9_an_acknowledgement_older_than_anothers_write_grants_nothing() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(released("u", 5)));
    let (id, _, write) = bench.write();
    bench.watch(held("thief", 15, 8));
    bench.answer(id, Outcome::Done(stored(&write, "u", 7)));
    assert!(bench.elector.belief().is_none());
}

#[test]
fn l12_a_conflict_over_an_equal_record_is_retried_at_once() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 5)));
    bench.until(15_000);
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    let mut labelled = held("other", 15, 5);
    labelled.version = foreign("x", 1, 9).version;
    bench.read_is(Outcome::Done(labelled.clone()));
    bench.until(15_000);
    let (_, base, _) = bench.write();
    assert_eq!(base, Some(labelled.version));
}

#[test]
fn l12_a_conflict_over_a_changed_record_is_waited_out() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 5)));
    bench.until(15_000);
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    bench.read_is(Outcome::Done(held("winner", 15, 6)));
    bench.until(29_999);
    assert!(bench.calls.is_empty());
}

#[test]
fn l12_between_two_tries_a_watch_event_of_another_ends_the_attempt() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 5)));
    bench.until(15_000);
    for _ in 0..2 {
        let (id, _, _) = bench.write();
        bench.answer(id, unknown());
        bench.until_a_call();
        bench.read_is(Outcome::Done(held("other", 15, 5)));
    }
    let (id, _, _) = bench.write();
    bench.answer(id, unknown());
    assert!(bench.calls.is_empty(), "it pauses (L16)");
    let at = bench.now;
    bench.watch(held("winner", 15, 6));
    while bench.now < at + 14_999 {
        if !bench.calls.is_empty() {
            bench.read_is(Outcome::Done(held("winner", 15, 6)));
        }
        bench.until(bench.due().min(at + 14_999));
    }
    assert!(bench.calls.is_empty(), "{:?}", bench.calls);
}

#[test]
fn l13_only_a_release_that_speaks_is_free_at_once() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(released("u", 5)));
    assert_eq!(bench.calls.len(), 1);

    let mut by_hand = released("u", 5);
    by_hand.mark = None;
    let mut stale = released("u", 5);
    stale.spec.renew_time = None;
    let mut unmarked = released("u", 5);
    unmarked.mark.as_mut().expect("ours").released = false;
    let mut empty = foreign("", 1, 5);
    empty.spec = tenure_core::lease::Spec::default();
    for waited in [by_hand, stale, unmarked, empty] {
        let mut bench = Bench::new();
        bench.stand_before(Outcome::Done(waited.clone()));
        bench.until(14_999);
        assert!(bench.calls.is_empty(), "{waited:?}");
        bench.until(15_000);
        assert_eq!(bench.calls.len(), 1);
    }
}

#[test]
fn l13_the_mark_waives_the_releasers_own_wait_only() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("victim", 15, 5)));
    bench.now = 1000;
    bench.watch(held("other", 15, 6));
    bench.now = 2000;
    bench.watch(released("u", 7));
    bench.until(14_999);
    assert!(bench.calls.is_empty(), "the victim may still believe");
    bench.until(15_000);
    assert_eq!(bench.calls.len(), 1);
}

#[test]
fn l14_without_evidence_it_is_created_with_oneself_as_the_holder() {
    let mut bench = Bench::new();
    bench.stand_before(absent());
    let (id, base, write) = bench.write();
    assert_eq!((base, write.spec.holder.as_deref()), (None, Some(ME)));
    assert_eq!(write.spec.transitions, Some(1), "L18");
    bench.answer(id, Outcome::Done(stored(&write, "u", 5)));
    assert!(bench.leads());
}

#[test]
fn l14_with_evidence_or_the_strict_way_it_is_created_free_and_waited_out() {
    for strict in [false, true] {
        let mut bench = Bench::with(LeaseTiming::default(), strict);
        if strict {
            bench.stand_before(absent());
        } else {
            bench.stand_before(Outcome::Done(held("other", 15, 5)));
            bench.gone("u", 6);
        }
        let (id, _, write) = bench.write();
        assert_eq!(write.spec.holder.as_deref(), Some(""));
        assert!(!write.mark.released);
        assert!(write.spec.acquire_time.is_some() && write.spec.renew_time.is_some());
        bench.answer(id, Outcome::Done(stored(&write, "v", 7)));
        bench.until(14_999);
        assert!(bench.calls.is_empty() && !bench.leads());
        bench.until(15_000);
        let (_, base, write) = bench.write();
        assert!(base.is_some() && write.spec.holder.as_deref() == Some(ME));
    }
}

#[test]
fn l14_already_exists_is_evidence_and_a_create_among_others_grants_nothing() {
    let mut bench = Bench::new();
    bench.stand_before(absent());
    let (id, _, write) = bench.write();
    bench.watch(held("other", 15, 5));
    bench.gone("u", 6);
    bench.answer(id, Outcome::Done(stored(&write, "v", 7)));
    assert!(
        bench.elector.belief().is_none(),
        "another was seen since it was sent"
    );

    let mut bench = Bench::new();
    bench.stand_before(absent());
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::AlreadyExists);
    bench.read_is(absent());
    bench.until(bench.now + 3000);
    let (_, _, write) = bench.write();
    assert_eq!(write.spec.holder.as_deref(), Some(""), "evidence");
}

#[test]
fn l15_a_silent_watch_delays_nothing_and_without_one_it_is_polled() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 5)));
    bench.give(Event::WatchClosed);
    let began = bench.now;
    bench.until(began + 2000);
    bench.read_is(Outcome::Done(released("u", 9)));
    assert!(matches!(bench.call(), (_, Request::Replace { .. })));
}

#[test]
fn l15_the_watch_grants_nothing() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(released("u", 5)));
    let (id, _, write) = bench.write();
    bench.watch(stored(&write, "u", 6));
    assert!(bench.elector.belief().is_none());
    bench.answer(id, Outcome::Done(stored(&write, "u", 6)));
    assert!(bench.leads());
}

#[test]
fn l16_requests_stay_few_while_everything_fails() {
    for refused in [false, true] {
        let mut bench = Bench::new();
        bench.give(Event::WatchOpened);
        bench.command(Command::Stand);
        let mut requests = 0;
        while bench.now < 600_000 {
            while let Some((id, _)) = bench.calls.pop() {
                requests += 1;
                let outcome = if refused {
                    Outcome::Refused("forbidden".into())
                } else {
                    unknown()
                };
                bench.answer(id, outcome);
            }
            bench.until(bench.due().min(600_000));
        }
        assert!(
            requests > 100 && requests < 700,
            "{requests} in ten minutes"
        );
        assert!(matches!(
            bench.elector.status(),
            Status::Standby { error: Some(_), .. }
        ));
    }
}

#[test]
fn l18_transitions_grow_on_acquiring_and_stop_at_the_largest() {
    for (before, after) in [
        (None, 1),
        (Some(-5), 1),
        (Some(7), 8),
        (Some(i64::from(i32::MAX)), i64::from(i32::MAX)),
    ] {
        let mut free = released("u", 5);
        free.spec.transitions = before;
        let mut bench = Bench::new();
        bench.stand_before(Outcome::Done(free));
        assert_eq!(bench.write().2.spec.transitions, Some(after));
    }
}

#[test]
fn l20_a_strangers_68_years_are_honoured_with_a_warning() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(foreign("odd", 1 << 31, 5)));
    assert!(bench.told(|n| matches!(n, Notice::Warn(Warning::OddDuration { .. }))));
    bench.until(1_000_000_000);
    assert!(bench.calls.is_empty());
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(foreign("absurd", i64::MAX, 5)));
    bench.until(1_000_000_000);
    assert!(bench.calls.is_empty());
}

#[test]
fn l19_the_token_is_the_resource_version_of_the_write_that_acquired() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(released("u", 5)));
    let (id, _, write) = bench.write();
    bench.answer(id, Outcome::Done(stored(&write, "u", 6)));
    bench.until(bench.due());
    let (id, _, renewal) = bench.write();
    bench.answer(id, Outcome::Done(stored(&renewal, "u", 70)));
    let belief = bench.elector.belief().expect("leads");
    assert_eq!((belief.token.as_str(), belief.term), ("6", 4));
}
