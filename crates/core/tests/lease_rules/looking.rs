//! What an observer makes of what it sees, and when it looks: L2, L9, L14 to L17, L20.

use std::time::Duration;

use tenure_core::{
    Command, Elector as _, Event, Holder, Instant, LeaseTiming, Notice, Outcome, Status, Version,
    Warning,
    lease::{Observed, Request},
};

use crate::bench::{Bench, START, absent, foreign, held, millis, released, stored, unknown};

fn holder(bench: &Bench) -> Option<Holder> {
    match bench.elector.status() {
        Status::Standby { holder, .. } => holder,
        other => panic!("{other:?}"),
    }
}

fn odd_durations(bench: &Bench) -> usize {
    let odd = |n: &&Notice| matches!(n, Notice::Warn(Warning::OddDuration { .. }));
    bench.notices.iter().filter(odd).count()
}

/// An observer with a watch, whose read is under way; it saw `held("other", 15, 5)` before.
fn reading() -> Bench {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 5)));
    bench.now = 100;
    bench.give(Event::WatchOpened);
    assert_eq!(bench.calls.len(), 1);
    bench
}

/// `held("other", 15, 5)` with another resourceVersion.
fn labelled(rv: &str) -> Observed {
    let mut record = held("other", 15, 5);
    record.version = Version::new("u", rv);
    record
}

#[test]
fn it_goes_by_the_timings_that_it_was_given() {
    let timing = LeaseTiming::builder()
        .lease_duration(millis(60_000))
        .build()
        .expect("timings");
    assert_eq!(*Bench::with(timing, false).elector.timing(), timing);
}

#[test]
fn a_holder_is_shown_with_whether_it_was_seen_to_renew_and_how_long_it_is_waited_for() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 40, 5)));
    let seen = |bench: &Bench| holder(bench).map(|holder| (holder.renewed, holder.lasts));
    assert_eq!(seen(&bench), Some((false, Some(millis(40_000)))));
    // A label is no sign of life.
    let mut labelled = held("other", 40, 5);
    labelled.version = Version::new("u", "6");
    bench.watch(labelled);
    assert_eq!(seen(&bench), Some((false, Some(millis(40_000)))));
    bench.watch(held("other", 40, 7));
    assert_eq!(seen(&bench), Some((true, Some(millis(40_000)))));
    // The own duration is the least.
    bench.watch(held("third", 1, 8));
    assert_eq!(seen(&bench), Some((false, Some(millis(15_000)))));
}

#[test]
fn l2_another_uid_another_spec_and_another_annotation_are_each_something_new() {
    for what in ["uid", "spec", "annotation"] {
        let mut changed = labelled("6");
        match what {
            "uid" => changed.version = Version::new("v", "6"),
            "spec" => changed.spec.transitions = Some(9),
            _ => changed.mark.as_mut().expect("ours").counter = 77,
        }
        let mut bench = Bench::new();
        bench.stand_before(Outcome::Done(held("other", 15, 5)));
        bench.until(10_000);
        bench.watch(changed);
        bench.until(24_999);
        assert!(bench.calls.is_empty(), "{what}");
        bench.until(25_000);
        assert_eq!(bench.calls.len(), 1, "{what}");
    }
}

#[test]
fn l2_a_read_that_is_newer_than_what_the_watch_showed_meanwhile_is_believed() {
    for rv in [6, 7] {
        let mut bench = reading();
        bench.watch(held("other", 15, 6));
        bench.read_is(Outcome::Done(held("other", 15, rv)));
        assert!(bench.calls.is_empty(), "{rv}");
    }
}

#[test]
fn l2_a_read_that_is_older_than_what_the_watch_showed_meanwhile_is_made_again() {
    // Only a label in the first case.
    for shown in [labelled("9"), held("new", 15, 9)] {
        let mut bench = reading();
        bench.watch(shown.clone());
        bench.read_is(Outcome::Done(labelled("8")));
        bench.read_is(Outcome::Done(shown.clone()));
        bench.until_a_call();
        assert_eq!(bench.write().1, Some(shown.version), "L12");
    }
    let mut bench = reading();
    bench.watch(held("other", 15, 6));
    bench.read_is(absent());
    bench.read_is(Outcome::Done(held("other", 15, 6)));
    assert!(bench.calls.is_empty());
}

#[test]
fn l9_a_read_begun_after_all_that_was_seen_may_take_history_back() {
    let mut bench = reading();
    bench.now = 200;
    bench.read_is(Outcome::Done(held("restored", 15, 3)));
    assert_eq!(&*holder(&bench).expect("somebody").identity, "restored");
    bench.until(15_199);
    assert!(bench.calls.is_empty());
    bench.until_a_call();
    assert_eq!(bench.write().1, Some(Version::new("u", "3")));
}

#[test]
fn l2_the_longest_duration_of_a_stranger_is_known_after_its_wait_and_for_some_hundred_others() {
    let others = |bench: &mut Bench, from: u64, count: u64| {
        for rv in from..from + count {
            bench.watch(foreign(&format!("stranger {rv}"), 15, rv));
        }
    };
    for (others_before, waits_for) in [(10, 100_000), (300, 15_000)] {
        let mut bench = Bench::new();
        bench.stand_before(Outcome::Done(foreign("slow", 100, 5)));
        bench.now = 200_000;
        others(&mut bench, 6, others_before);
        bench.watch(foreign("slow", 10, 1000));
        bench.until(200_000 + waits_for - 1);
        assert!(bench.calls.is_empty(), "after {others_before} others");
        bench.until(200_000 + waits_for);
        assert_eq!(bench.calls.len(), 1, "after {others_before} others");
    }
    // While its wait goes on it is never forgotten.
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(foreign("slow", 100, 5)));
    bench.now = 50_000;
    others(&mut bench, 6, 600);
    bench.watch(foreign("slow", 10, 1000));
    bench.until(149_999);
    assert!(bench.calls.is_empty());
    bench.until(150_000);
    assert_eq!(bench.calls.len(), 1);
    // A wait that ends at this very moment is over.
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(foreign("slow", 100, 5)));
    bench.now = 50_000;
    others(&mut bench, 6, 300);
    bench.now = 100_000;
    others(&mut bench, 306, 2);
    bench.watch(foreign("slow", 10, 1000));
    bench.until(115_000);
    assert_eq!(bench.calls.len(), 1);
}

#[test]
fn a_holder_is_shown_since_it_was_first_seen() {
    let since = |ms: u64| Instant::from_nanos((START + ms) * 1_000_000);
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("one", 15, 5)));
    bench.now = 3000;
    bench.watch(held("one", 15, 6));
    assert_eq!(holder(&bench).expect("one").since, since(0));
    bench.now = 4000;
    bench.watch(held("two", 15, 7));
    assert_eq!(holder(&bench).expect("two").since, since(4000));
    bench.watch(foreign("", 1, 8));
    assert_eq!(holder(&bench), None);
}

#[test]
fn l15_without_a_watch_it_is_polled_once_in_a_retry_period() {
    let mut bench = Bench::new();
    bench.command(Command::Stand);
    bench.read_is(Outcome::Done(held("other", 15, 5)));
    for _ in 0..5 {
        let before = bench.now;
        bench.until_a_call();
        let pause = bench.now - before;
        assert!((1000..=2000).contains(&pause), "{pause} ms");
        // Something else happens meanwhile: that is no reason to ask once more.
        bench.read_is(Outcome::Done(held("other", 15, 5)));
        bench.give(Event::Tick);
        assert!(bench.calls.is_empty());
    }
}

#[test]
fn l15_a_watch_that_was_opened_anew_may_have_missed_something() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 5)));
    bench.give(Event::WatchClosed);
    bench.now = 100;
    bench.give(Event::WatchOpened);
    bench.read_is(Outcome::Done(held("other", 15, 5)));
    assert!(bench.calls.is_empty());
}

#[test]
fn l15_what_may_have_been_missed_is_asked_for_until_it_is_answered() {
    let mut bench = reading();
    for _ in 0..6 {
        let before = bench.now;
        let (id, request) = bench.call();
        assert_eq!(request, Request::Read);
        bench.answer(id, unknown());
        bench.until_a_call();
        assert!(bench.now <= before + 2000);
    }
    assert!(matches!(
        bench.elector.status(),
        Status::Standby { error: Some(_), .. }
    ));
    bench.read_is(Outcome::Done(held("other", 15, 5)));
    assert!(matches!(
        bench.elector.status(),
        Status::Standby { error: None, .. }
    ));
}

#[test]
fn l15_an_event_that_cannot_be_put_in_order_is_asked_about() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 5)));
    bench.watch(labelled("abc"));
    bench.read_is(Outcome::Done(held("other", 15, 5)));
    bench.gone("u", 4);
    assert!(bench.calls.is_empty());

    // During an attempt it is asked about before the next write.
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(released("u", 5)));
    let (id, _, write) = bench.write();
    bench.watch(labelled("abc"));
    bench.answer(id, Outcome::Done(stored(&write, "u", 6)));
    assert!(bench.leads());
}

#[test]
fn standing_twice_changes_nothing_and_standing_anew_without_a_watch_reads() {
    let mut bench = Bench::new();
    bench.command(Command::Stand);
    bench.read_is(Outcome::Done(held("other", 15, 5)));
    bench.now = 100;
    bench.command(Command::Stand);
    assert!(bench.calls.is_empty());
    bench.command(Command::Withdraw);
    bench.until(50_000);
    assert!(bench.calls.is_empty(), "who does not stand asks nothing");
    bench.now = 100;
    bench.command(Command::Stand);
    bench.read_is(Outcome::Done(held("other", 15, 5)));

    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 5)));
    bench.command(Command::Withdraw);
    bench.command(Command::Stand);
    assert!(bench.calls.is_empty(), "the watch has gone on");
}

#[test]
fn l10_who_stands_again_during_the_release_reads_before_it_takes() {
    let mut bench = Bench::new();
    bench.command(Command::Stand);
    bench.read_is(Outcome::Done(released("u", 5)));
    let (id, _, write) = bench.write();
    bench.answer(id, Outcome::Done(stored(&write, "u", 6)));
    bench.command(Command::WorkEnded { release: true });
    bench.command(Command::Stand);
    let (id, _, write) = bench.write();
    bench.answer(id, Outcome::Done(stored(&write, "u", 7)));
    bench.read_is(Outcome::Done(stored(&write, "u", 7)));
    assert_eq!(bench.write().1, Some(Version::new("u", "7")));
}

#[test]
fn l14_a_free_create_of_unknown_outcome_is_made_again_where_a_watch_would_show_it() {
    for watched in [true, false] {
        let mut bench = Bench::with(LeaseTiming::default(), true);
        if watched {
            bench.give(Event::WatchOpened);
        }
        bench.command(Command::Stand);
        bench.read_is(absent());
        let (id, _, write) = bench.write();
        assert_eq!(write.spec.transitions, Some(0));
        assert_eq!(write.spec.duration_seconds, Some(15));
        bench.answer(id, unknown());
        bench.until_a_call();
        assert_eq!(bench.call().1 != Request::Read, watched);
    }
}

#[test]
fn l20_a_duration_is_odd_from_an_hour_or_twenty_of_one_s_own_on_and_told_once_for_each() {
    for (own, usual) in [(15, 3600), (600, 12_000)] {
        let timing = LeaseTiming::builder()
            .lease_duration(millis(own * 1000))
            .build()
            .expect("timings");
        let mut bench = Bench::with(timing, false);
        bench.stand_before(Outcome::Done(foreign("one", usual, 5)));
        assert_eq!(odd_durations(&bench), 0, "{usual}");
        bench.watch(foreign("one", usual + 1, 6));
        bench.watch(foreign("one", usual + 2, 7));
        assert_eq!(odd_durations(&bench), 1, "{usual}");
        bench.watch(foreign("two", usual + 1, 8));
        assert_eq!(odd_durations(&bench), 2, "{usual}");
        // An edit beside an annotation that speaks is not honoured, and nothing to warn of.
        let mut edited = held("three", 15, 9);
        edited.spec.duration_seconds = Some(usual + 1);
        bench.watch(edited);
        assert_eq!(odd_durations(&bench), 2, "{usual}");
    }
}

/// Answers every call so that a pause follows it, and wakes it at exactly its deadlines.
fn wake_exactly(mut bench: Bench, until: u64) {
    let mut calls = 0;
    while bench.now < until {
        while let Some((id, _)) = bench.calls.pop() {
            bench.answer(id, unknown());
            calls += 1;
        }
        let Some(due) = bench.elector.deadline() else {
            break;
        };
        bench.wake(due);
        assert!(
            !bench.calls.is_empty() || bench.elector.deadline() != Some(due),
            "woken for nothing at {due:?}"
        );
    }
    assert!(calls > 3, "{calls} calls");
}

#[test]
fn l16_whoever_is_woken_at_exactly_its_deadline_has_something_to_do() {
    wake_exactly(reading(), 60_000);
    let mut taking = Bench::new();
    taking.stand_before(Outcome::Done(released("u", 5)));
    wake_exactly(taking, 60_000);
    wake_exactly(Bench::leading(6), 20_000);
    let mut releasing = Bench::leading(6);
    releasing.command(Command::WorkEnded { release: true });
    wake_exactly(releasing, 20_000);
}

/// Seeds of runs that are written down somewhere stay good: the numbers are SplitMix64's.
#[test]
fn l17_equal_seeds_spread_in_equal_ways() {
    let mut state: u64 = 1;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let mut bench = Bench::new();
    bench.command(Command::Stand);
    for rv in 5..25 {
        let now = Instant::from_nanos((START + bench.now) * 1_000_000);
        bench.read_is(Outcome::Done(held("other", 15, rv)));
        // The retry period, shortened by up to a half.
        let pause = 1_000_000_000 + next() % 1_000_000_001;
        let due = now.after(Duration::from_nanos(pause));
        assert_eq!(bench.elector.deadline(), Some(due));
        bench.until_a_call();
    }
}

#[test]
fn an_error_is_shown_no_longer_than_until_something_succeeds() {
    let error = |bench: &Bench| match bench.elector.status() {
        Status::Standby { error, .. } => error,
        other => panic!("{other:?}"),
    };
    let mut bench = Bench::new();
    bench.stand_before(unknown());
    assert!(error(&bench).is_some());
    bench.until_a_call();
    bench.read_is(Outcome::Done(released("u", 5)));
    assert_eq!(error(&bench), None);
    // A lost race is no failure, and brings no old one back.
    let (id, ..) = bench.write();
    bench.answer(id, Outcome::Conflict);
    assert_eq!(error(&bench), None);
}

/// Only the wait for the absence is left here: whoever created the Lease anew has given it up with the
/// mark, which waives no wait but its own (L13).
#[test]
fn l2_an_absence_is_waited_for_from_when_it_was_heard_of() {
    let mut bench = Bench::new();
    bench.stand_before(Outcome::Done(held("other", 15, 5)));
    bench.now = 10_000;
    bench.give(Event::WatchOpened);
    let (id, request) = bench.call();
    assert_eq!(request, Request::Read);
    bench.now = 11_500;
    bench.answer(id, absent());
    let (id, _, _) = bench.write();
    bench.watch(released("v", 9));
    bench.answer(id, Outcome::AlreadyExists);
    bench.read_is(Outcome::Done(released("v", 9)));
    bench.until(26_499);
    assert!(bench.calls.is_empty(), "taken at {} ms", bench.now);
    bench.until(26_500);
    assert!(matches!(bench.call(), (_, Request::Replace { .. })));
}
