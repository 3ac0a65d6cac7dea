//! How a term goes on, where renewals clash, hang or are edited: L5, L6, L8, L9, L10, L15, L21.

use tenure_core::{
    Command, Elector as _, LeaseTiming, LossReason, Nonce, Notice, Outcome, Status, Version,
    Warning,
    lease::{LeaseConfig, LeaseWrite, Observed, Request},
};

use crate::bench::{Bench, config, held, millis, released, stored, unknown};

fn lost(bench: &Bench) -> Option<&LossReason> {
    bench.notices.iter().find_map(|notice| match notice {
        Notice::Lost(reason) => Some(reason),
        _ => None,
    })
}

fn count(bench: &Bench, fits: impl Fn(&Notice) -> bool) -> usize {
    bench.notices.iter().filter(|notice| fits(notice)).count()
}

fn edits_told(bench: &Bench) -> usize {
    count(bench, |n| *n == Notice::Warn(Warning::EditedRecord))
}

/// A leader whose first renewal is under way.
fn renewing() -> Bench {
    let mut bench = Bench::leading(6);
    bench.until(2000);
    assert_eq!(bench.calls.len(), 1);
    bench
}

/// The next renewal, acknowledged.
fn renew(bench: &mut Bench, rv: u64) -> (Option<Version>, LeaseWrite) {
    bench.until_a_call();
    let (id, base, write) = bench.write();
    bench.answer(id, Outcome::Done(stored(&write, "u", rv)));
    (base, write)
}

fn edited(mut record: Observed, seconds: i64, rv: &str) -> Observed {
    record.version = Version::new("u", rv);
    record.spec.duration_seconds = Some(seconds);
    record
}

#[test]
fn l1_a_leader_s_renewals_are_writes_one_retry_period_apart_each_with_its_own_number() {
    let mut bench = Bench::leading(6);
    let mut last = 0;
    for n in 1..=20 {
        bench.until_a_call();
        assert_eq!(bench.now, n * 2000);
        let (base, write) = renew(&mut bench, 6 + n);
        assert_eq!(base, Some(Version::new("u", (5 + n).to_string())));
        assert!(write.mark.counter > last);
        last = write.mark.counter;
    }
}

#[test]
fn l1_spread_renewals_begin_within_a_retry_period_and_then_are_one_apart() {
    let mut firsts = Vec::new();
    for seed in 0..200 {
        let mut bench = Bench::of(LeaseConfig {
            spread_renewals: true,
            seed,
            ..config()
        })
        .lead(6);
        bench.until_a_call();
        firsts.push(bench.now);
        for n in 0..3 {
            bench.until_a_call();
            assert_eq!(bench.now, firsts.last().unwrap() + n * 2000);
            renew(&mut bench, 7 + n);
        }
    }
    assert!(firsts.iter().all(|at| *at <= 2000));
    for quarter in 0..4 {
        let within = quarter * 500..(quarter + 1) * 500;
        let many = firsts.iter().filter(|at| within.contains(*at)).count();
        assert!((25..75).contains(&many), "{many} within {within:?}");
    }
    firsts.sort_unstable();
    firsts.dedup();
    assert!(
        (40..=65).contains(&firsts.len()),
        "they share 64 moments: {firsts:?}"
    );
}

#[test]
fn l10_no_renewal_is_sent_from_the_end_of_the_grace_on() {
    let mut bench = Bench::leading(6);
    bench.now = 1000;
    bench.command(Command::StepDown);
    renew(&mut bench, 7);
    while bench.leads() {
        bench.until(bench.due());
        if let Some((id, request)) = bench.calls.pop() {
            // The next renewal was due at 4000 ms.
            assert_eq!(request, Request::Read, "at {} ms", bench.now);
            bench.answer(id, unknown());
        }
    }
    assert_eq!(lost(&bench), Some(&LossReason::Expired));
}

#[test]
fn l10_work_that_is_late_is_reported_once_and_believes_until_validity_ends() {
    let mut bench = Bench::leading(6);
    bench.command(Command::StepDown);
    bench.command(Command::StepDown);
    renew(&mut bench, 7);
    bench.until(2999);
    assert!(!bench.told(|n| *n == Notice::Overdue));
    bench.until(3000);
    assert!(bench.told(|n| *n == Notice::Overdue) && bench.leads());
    bench.until(11_999);
    assert!(bench.leads() && lost(&bench).is_none());
    bench.until(12_000);
    assert_eq!(lost(&bench), Some(&LossReason::Expired));
    assert_eq!(count(&bench, |n| *n == Notice::Overdue), 1);
    assert_eq!(count(&bench, |n| matches!(n, Notice::Stop { .. })), 1);
}

#[test]
fn l6_an_open_renewal_is_adopted_after_a_later_one_was_refused() {
    let mut bench = renewing();
    let (id, _, first) = bench.write();
    bench.answer(id, unknown());
    bench.read_is(Outcome::Done(bench.present(6)));
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Refused("forbidden".into()));
    bench.until_a_call();
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    bench.until_a_call();
    bench.read_is(Outcome::Done(stored(&first, "u", 7)));
    assert_eq!(lost(&bench), None);
    bench.now = 11_999;
    assert!(bench.leads());
    bench.now = 12_000;
    assert!(!bench.leads(), "L1: from before its own send");
}

#[test]
fn l6_what_settles_a_renewal_leaves_the_later_ones_open() {
    let mut bench = renewing();
    let (id, _, first) = bench.write();
    bench.answer(id, unknown());
    bench.read_is(Outcome::Done(bench.present(6)));
    let (id, _, second) = bench.write();
    bench.answer(id, unknown());
    bench.until_a_call();
    bench.read_is(Outcome::Done(stored(&first, "u", 7)));
    bench.watch(stored(&second, "u", 8));
    bench.until_a_call();
    bench.read_is(Outcome::Done(stored(&second, "u", 8)));
    assert_eq!(lost(&bench), None);
    assert_eq!(count(&bench, |n| matches!(n, Notice::Renewed { .. })), 2);
    bench.watch(stored(&second, "u", 9));
    assert!(bench.calls.is_empty(), "what is settled asks for nothing");
}

#[test]
fn l6_a_refused_renewal_is_settled() {
    let mut bench = renewing();
    let (id, _, refused) = bench.write();
    bench.answer(id, Outcome::Refused("forbidden".into()));
    // A server that stored what it refused is not believed.
    bench.watch(stored(&refused, "u", 7));
    assert_eq!(lost(&bench), Some(&LossReason::WentBackwards));
}

#[test]
fn l9_a_renewal_that_a_later_one_settled_and_that_is_put_back_ends_the_term() {
    let mut bench = renewing();
    let (id, _, first) = bench.write();
    bench.answer(id, unknown());
    bench.read_is(Outcome::Done(bench.present(6)));
    renew(&mut bench, 8);
    bench.watch(stored(&first, "u", 9));
    assert_eq!(lost(&bench), Some(&LossReason::WentBackwards));
}

#[test]
fn l9_the_record_of_an_older_own_write_ends_the_term() {
    let mut bench = Bench::leading(6);
    renew(&mut bench, 7);
    bench.watch(bench.present(9));
    assert_eq!(lost(&bench), Some(&LossReason::WentBackwards));
}

#[test]
fn l8_a_twin_ends_the_term_while_a_renewal_is_open() {
    let mut bench = renewing();
    let mut twin = held("me", 15, 9);
    twin.mark.as_mut().expect("ours").nonce = Nonce::new("twin");
    bench.watch(twin);
    assert_eq!(lost(&bench), Some(&LossReason::Twin));
}

#[test]
fn l9_answers_to_calls_of_an_earlier_term_are_dropped() {
    let mut bench = renewing();
    let (id, _, renewal) = bench.write();
    let thief = held("thief", 15, 9);
    bench.watch(thief.clone());
    bench.command(Command::Stand);
    assert_eq!(bench.calls.len(), 1);
    // Taken for the answer to the read, this would show oneself as the holder.
    bench.answer(id, Outcome::Done(stored(&renewal, "u", 7)));
    bench.read_is(Outcome::Done(thief));
    assert!(bench.calls.is_empty());
    let Status::Standby {
        holder: Some(holder),
        ..
    } = bench.elector.status()
    else {
        panic!("{:?}", bench.elector.status());
    };
    assert_eq!(&*holder.identity, "thief");
}

#[test]
fn l10_the_first_conflict_is_no_jeopardy_and_the_second_is() {
    let mut bench = renewing();
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    assert!(matches!(bench.elector.status(), Status::Leading { .. }));
    bench.read_is(Outcome::Done(bench.present(6)));
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    assert!(matches!(bench.elector.status(), Status::Jeopardy { .. }));
}

#[test]
fn l5_a_renewal_replaces_the_newest_state_that_is_one_s_own() {
    let mut bench = Bench::leading(6);
    // A label.
    bench.watch(bench.present(9));
    assert!(bench.calls.is_empty());
    let (base, _) = renew(&mut bench, 10);
    assert_eq!(base, Some(Version::new("u", "9")));

    // A label on the renewal, before its answer comes.
    bench.until_a_call();
    let (id, _, write) = bench.write();
    bench.watch(stored(&write, "u", 12));
    bench.answer(id, Outcome::Done(stored(&write, "u", 11)));
    assert!(bench.calls.is_empty(), "{:?}", bench.calls);
    let (base, _) = renew(&mut bench, 13);
    assert_eq!(base, Some(Version::new("u", "12")));
}

#[test]
fn l15_an_event_that_cannot_be_put_in_order_is_asked_about_and_decides_nothing() {
    let mut bench = Bench::leading(6);
    bench.now = 500;
    let mut odd = held("thief", 15, 9);
    odd.version = Version::new("u", "abc");
    bench.watch(odd);
    assert!(bench.leads() && lost(&bench).is_none());
    bench.read_is(Outcome::Done(bench.present(6)));
    // What was in doubt is renewed at once.
    let (base, _) = renew(&mut bench, 7);
    assert_eq!((base, bench.now), (Some(Version::new("u", "6")), 500));
}

#[test]
fn l21_an_edit_is_told_once_however_often_it_is_seen() {
    let mut bench = Bench::leading(6);
    bench.now = 100;
    bench.watch(edited(bench.present(6), 99, "7"));
    bench.watch(edited(bench.present(6), 99, "8"));
    assert_eq!(edits_told(&bench), 1);
    let (base, write) = renew(&mut bench, 9);
    assert_eq!((base, bench.now), (Some(Version::new("u", "8")), 500));
    assert_eq!(write.spec.duration_seconds, Some(15));
}

#[test]
fn l21_an_edit_of_a_renewal_that_is_still_open_is_no_loss() {
    let mut bench = renewing();
    let (id, _, write) = bench.write();
    bench.watch(edited(stored(&write, "u", 7), 99, "8"));
    assert!(lost(&bench).is_none());
    assert_eq!(edits_told(&bench), 1);
    bench.answer(id, Outcome::Done(stored(&write, "u", 7)));
    assert!(bench.leads());
    // One conflict later at most, the edit is put right.
    bench.until_a_call();
    let (id, mut base, _) = bench.write();
    if base != Some(Version::new("u", "8")) {
        bench.answer(id, Outcome::Conflict);
        bench.read_is(Outcome::Done(edited(stored(&write, "u", 7), 99, "8")));
        base = bench.write().1;
    }
    assert_eq!(base, Some(Version::new("u", "8")));
    assert!(bench.leads() && bench.now <= 4000);
}

#[test]
fn l21_an_edit_that_a_read_shows_is_put_right_at_once() {
    let mut bench = renewing();
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    bench.read_is(Outcome::Done(edited(bench.present(6), 99, "7")));
    assert_eq!(edits_told(&bench), 1);
    assert_eq!(bench.write().1, Some(Version::new("u", "7")));
}

#[test]
fn l21_an_edit_in_a_read_that_the_watch_overtook_is_read_again() {
    let mut bench = renewing();
    let (id, _, _) = bench.write();
    bench.answer(id, Outcome::Conflict);
    let newest = edited(bench.present(6), 99, "8");
    bench.watch(newest.clone());
    bench.read_is(Outcome::Done(edited(bench.present(6), 50, "7")));
    bench.read_is(Outcome::Done(newest));
    assert_eq!(bench.write().1, Some(Version::new("u", "8")));
    assert_eq!(edits_told(&bench), 1);
}

#[test]
fn l6_with_sixteen_open_renewals_the_lease_is_only_read() {
    let timing = LeaseTiming::builder()
        .retry_period(millis(20))
        .call_limit(millis(100))
        .grace(millis(100))
        .build()
        .expect("timings");
    let mut bench = Bench::with(timing, false);
    bench.stand_before(Outcome::Done(released("u", 5)));
    let (id, _, write) = bench.write();
    let own = stored(&write, "u", 6);
    bench.answer(id, Outcome::Done(own.clone()));
    let (mut writes, mut reads) = (0, 0);
    while writes < 16 || reads < 20 {
        bench.until_a_call();
        let (id, request) = bench.call();
        let outcome = if request == Request::Read {
            reads += 1;
            Outcome::Done(own.clone())
        } else {
            writes += 1;
            unknown()
        };
        bench.answer(id, outcome);
        assert!(bench.now < 9000);
    }
    assert_eq!(writes, 16);
}
