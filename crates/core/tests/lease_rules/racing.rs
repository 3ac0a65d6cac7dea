//! An attempt to lead, where answers are lost, refused or late: L6, L9, L10, L12, L14, L16, L17.

use tenure_core::{
    Command, Elector as _, LeaseTiming, Notice, Outcome, Version,
    lease::{LeaseWrite, Request},
};

use crate::bench::{Bench, ME, START, absent, held, millis, released, stored, unknown};

/// Standing before a Lease that is free, with the write that takes it under way.
fn taking() -> Bench {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(released("u", 5)));
    assert_eq!(bench.calls.len(), 1);
    bench
}

/// A try whose answer is lost, and which a read does not show.
fn try_in_vain(bench: &mut Bench) -> LeaseWrite {
    bench.until_a_call();
    let (id, _, write) = bench.write();
    bench.answer(id, unknown());
    bench.until_a_call();
    bench.read_is(Outcome::Done(released("u", 5)));
    write
}

fn valid_until(bench: &Bench) -> Option<u64> {
    let end = bench.elector.belief()?.valid_until?;
    Some(end.as_nanos() / 1_000_000 - START)
}

fn was_acquired(bench: &Bench) -> bool {
    bench.told(|notice| matches!(notice, Notice::Acquired { .. }))
}

#[test]
fn l6_an_earlier_try_of_the_attempt_is_adopted_from_its_own_send() {
    let mut bench = taking();
    let first = try_in_vain(&mut bench);
    bench.now = 900;
    let (id, _, _) = bench.write();
    bench.answer(id, unknown());
    bench.until_a_call();
    bench.read_is(Outcome::Done(stored(&first, "u", 6)));
    assert_eq!(valid_until(&bench), Some(10_000));
}

#[test]
fn l6_an_open_try_is_adopted_after_a_later_one_was_refused() {
    let mut bench = taking();
    let first = try_in_vain(&mut bench);
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Refused("forbidden".into()));
    bench.until_a_call();
    bench.read_is(Outcome::Done(stored(&first, "u", 6)));
    assert!(bench.leads());
}

#[test]
fn l6_a_refused_write_is_settled_and_needs_no_read() {
    let mut bench = taking();
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Refused("forbidden".into()));
    bench.until_a_call();
    assert_eq!(bench.write().1, Some(Version::new("u", "5")));
}

#[test]
fn l6_an_attempt_with_eight_open_writes_is_given_up_and_grants_nothing_any_more() {
    let mut bench = taking();
    let first = try_in_vain(&mut bench);
    for _ in 1..8 {
        try_in_vain(&mut bench);
    }
    bench.until_a_call();
    let (id, _, _) = bench.write();
    bench.answer(id, unknown());
    bench.until_a_call();
    bench.read_is(Outcome::Done(stored(&first, "u", 6)));
    let at = bench.now;
    bench.until(at + 14_999);
    assert!(bench.calls.is_empty() && !bench.leads(), "L2: waited out");
}

#[test]
fn l9_a_takeover_of_what_is_gone_is_settled_by_a_read() {
    let mut bench = taking();
    let (id, _, _) = bench.write();
    bench.answer(id, absent());
    assert!(!bench.told(|notice| matches!(notice, Notice::StandbyFailed { .. })));
    bench.read_is(absent());
    bench.until_a_call();
    let (_, base, write) = bench.write();
    assert_eq!(
        (base, write.spec.holder.as_deref()),
        (None, Some("")),
        "L14"
    );
}

#[test]
fn l10_who_withdrew_meanwhile_gives_back_what_was_granted() {
    let mut bench = taking();
    let (id, _, write) = bench.write();
    bench.command(Command::Withdraw);
    bench.answer(id, Outcome::Done(stored(&write, "u", 6)));
    assert!(bench.elector.belief().is_none() && !was_acquired(&bench));
    let (_, base, write) = bench.write();
    assert_eq!(base, Some(Version::new("u", "6")));
    assert!(write.mark.released);
}

#[test]
fn l10_who_withdrew_meanwhile_writes_no_more() {
    let mut bench = taking();
    let (id, _, _) = bench.write();
    bench.command(Command::Withdraw);
    bench.answer(id, unknown());
    bench.read_is(Outcome::Done(released("u", 5)));
    bench.until(60_000);
    assert!(bench.calls.is_empty());
}

#[test]
fn l10_what_is_granted_when_the_work_would_have_to_end_is_given_back() {
    for (after, leads) in [(6999, true), (7000, false)] {
        let mut bench = taking();
        let (id, _, write) = bench.write();
        bench.now = after;
        bench.answer(id, Outcome::Done(stored(&write, "u", 6)));
        assert_eq!(bench.leads(), leads, "{after} ms");
        assert_eq!(was_acquired(&bench), leads, "{after} ms");
        if !leads {
            assert!(bench.write().2.mark.released);
        }
    }
}

#[test]
fn l5_a_takeover_keeps_what_others_put_there() {
    let mut free = released("u", 5);
    free.spec.foreign = Some("{\"strategy\":\"x\"}".into());
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(free.clone()));
    assert_eq!(bench.write().2.spec.foreign, free.spec.foreign);
}

#[test]
fn l12_a_term_goes_on_over_the_newest_state_of_its_write() {
    let mut bench = taking();
    let (id, _, write) = bench.write();
    // Somebody put a label on it meanwhile.
    bench.watch(stored(&write, "u", 7));
    bench.answer(id, Outcome::Done(stored(&write, "u", 6)));
    assert_eq!(bench.elector.belief().expect("leads").token.as_str(), "6");
    bench.until(2000);
    assert_eq!(bench.write().1, Some(Version::new("u", "7")));
}

#[test]
fn l12_a_race_that_is_seen_to_be_lost_is_given_up_at_once() {
    let mut bench = taking();
    try_in_vain(&mut bench);
    bench.watch(held("winner", 15, 6));
    let at = bench.now;
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    assert!(bench.calls.is_empty());
    let due = bench.due();
    assert!((at + 15_000..at + 15_020).contains(&due), "{due}");
}

#[test]
fn l12_what_was_another_s_stays_so_when_an_own_write_is_seen_after_it() {
    let mut bench = taking();
    try_in_vain(&mut bench);
    let (id, _, write) = bench.write();
    bench.watch(held("other", 15, 6));
    bench.watch(stored(&write, "u", 7));
    bench.answer(id, Outcome::Refused("forbidden".into()));
    let at = bench.now;
    bench.until(at + 14_999);
    assert!(bench.calls.is_empty(), "{:?}", bench.calls);
}

#[test]
fn l14_a_create_whose_answer_is_lost_is_adopted_by_a_read() {
    let mut bench = Bench::new();
    bench.stand_before(absent());
    let (id, _, write) = bench.write();
    bench.answer(id, unknown());
    bench.read_is(Outcome::Done(stored(&write, "u", 5)));
    assert!(bench.leads());
}

#[test]
fn l14_a_create_among_others_grants_nothing_by_a_read_either() {
    let mut bench = Bench::new();
    bench.stand_before(absent());
    let (id, _, write) = bench.write();
    bench.answer(id, unknown());
    bench.watch(held("other", 15, 5));
    bench.gone("u", 6);
    bench.read_is(Outcome::Done(stored(&write, "v", 7)));
    assert!(bench.elector.belief().is_none());
}

#[test]
fn l14_a_create_that_was_certainly_not_applied_is_made_again() {
    for outcome in [absent(), Outcome::Refused("forbidden".into())] {
        let mut bench = Bench::new();
        bench.stand_before(absent());
        let (id, _, _) = bench.write();
        // A 404 of a create: its namespace is missing.
        bench.answer(id, outcome);
        assert!(bench.told(|notice| matches!(notice, Notice::StandbyFailed { times: 1, .. })));
        bench.until_a_call();
        let (_, base, write) = bench.write();
        assert_eq!((base, write.spec.holder.as_deref()), (None, Some(ME)));
    }
}

#[test]
fn l16_while_a_call_is_under_way_there_is_nothing_to_wake_up_for() {
    let mut bench = taking();
    assert_eq!(bench.due(), u64::MAX, "taking");
    let (id, _, write) = bench.write();
    bench.answer(id, Outcome::Done(stored(&write, "u", 6)));
    bench.command(Command::WorkEnded { release: true });
    assert_eq!(bench.calls.len(), 1);
    assert_eq!(bench.due(), u64::MAX, "releasing");
}

#[test]
fn l17_the_spread_of_a_crowd_is_a_tenth_of_the_lease_duration_and_all_of_it_is_used() {
    let timing = LeaseTiming::builder()
        .lease_duration(millis(5000))
        .build()
        .expect("timings");
    let mut bench = Bench::with(timing, false);
    bench.stand_before(Outcome::Done(released("u", 5)));
    let mut delays = Vec::new();
    for rv in 6..906 {
        let (id, _, _) = bench.write();
        bench.answer(id, Outcome::Conflict);
        let free_at = bench.now;
        // Others took it and gave it up again.
        bench.read_is(Outcome::Done(released("u", rv)));
        bench.until_a_call();
        delays.push(bench.now - free_at);
    }
    let longest = delays.iter().max().expect("many");
    assert!((497..=500).contains(longest), "{longest} ms");
    assert!(delays[..2].iter().all(|delay| *delay <= 25), "few at first");
    let short = delays.iter().filter(|delay| **delay < 250).count();
    assert!(
        (150..300).contains(&short),
        "{short} of 900 in the first half, since most hold back"
    );
}

#[test]
fn l17_a_crowd_is_forgotten_as_time_goes_by() {
    let mut bench = taking();
    for rv in 6..20 {
        let (id, _, _) = bench.write();
        bench.answer(id, Outcome::Conflict);
        bench.read_is(Outcome::Done(released("u", rv)));
        bench.until_a_call();
    }
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    let at = bench.now;
    // Twenty lease durations of one holder for each step.
    bench.read_is(Outcome::Done(held("holder", 1800, 20)));
    bench.until_a_call();
    let (id, request) = bench.call();
    assert!(matches!(request, Request::Replace { .. }));
    assert!(bench.now >= at + 1_800_000);
    bench.answer(id, Outcome::Conflict);
    let at = bench.now;
    bench.read_is(Outcome::Done(released("u", 21)));
    bench.until_a_call();
    assert!(bench.now - at <= 16, "{} ms", bench.now - at);
}

#[test]
fn l17_the_place_in_the_spread_is_that_of_the_newest_sighting() {
    let mut bench = taking();
    let mut rv = 6;
    let mut longest = 0;
    for _ in 0..20 {
        let (id, _, _) = bench.write();
        bench.answer(id, Outcome::Conflict);
        bench.until_a_call();
        let at = bench.now;
        bench.read_is(Outcome::Done(released("u", rv)));
        bench.until_a_call();
        longest = longest.max(bench.now - at);
        // Twice, so that a pause follows (L16).
        for _ in 0..2 {
            let (id, _, _) = bench.write();
            bench.answer(id, Outcome::Refused("forbidden".into()));
        }
        bench.watch(released("u", rv + 1));
        assert!(bench.due() <= bench.now + 125, "no longer than the pause");
        bench.until_a_call();
        rv += 2;
    }
    assert!(longest > 300, "{longest} ms");
}
