//! Trust in the wall clocks of others, where it was asked for: L24.

use std::time::Duration;

use tenure_core::{
    Command, Elector as _, Event, Identity, LeaseTiming, MicroTime, Outcome, Status, Version,
    lease::{LeaseConfig, Observed},
};

use crate::bench::{Bench, absent, config, foreign, held};

const SKEW: Duration = Duration::from_secs(60);

fn trusting() -> LeaseConfig {
    LeaseConfig {
        trust_remote_clock: Some(SKEW),
        ..config()
    }
}

/// A Lease that was renewed at this time of the wall clock, in milliseconds.
fn renewed(seconds: i64, at: i64) -> Observed {
    let mut lease = foreign("stranger", seconds, 5);
    lease.spec.renew_time = Some(MicroTime::from_micros(at * 1000));
    lease
}

/// When it asks for the Lease, having come before it at `now`.
fn takes(config: LeaseConfig, now: u64, lease: Observed) -> u64 {
    let mut bench = Bench::of(config);
    bench.now = now;
    bench.stand_before(Outcome::Done(lease));
    bench.until_a_call();
    bench.write();
    bench.now - now
}

#[test]
fn l24_nobody_trusts_a_wall_clock_unless_asked_to() {
    assert_eq!(takes(config(), 3_600_000, renewed(15, 0)), 15_000);
    assert_eq!(takes(trusting(), 3_600_000, renewed(15, 0)), 0);
}

#[test]
fn l24_a_record_has_to_be_older_than_its_duration_and_ones_own_and_the_skew() {
    assert_eq!(takes(trusting(), 75_000, renewed(15, 0)), 15_000);
    assert_eq!(takes(trusting(), 75_001, renewed(15, 0)), 0);
    // The longer of the two durations counts.
    assert_eq!(takes(trusting(), 160_000, renewed(100, 0)), 100_000);
    assert_eq!(takes(trusting(), 160_001, renewed(100, 0)), 0);
    let long = LeaseTiming::builder().lease_duration(Duration::from_secs(100));
    let timing = long.build().expect("timings");
    let slow = || LeaseConfig {
        timing,
        ..trusting()
    };
    assert_eq!(takes(slow(), 160_000, renewed(15, 0)), 100_000);
    assert_eq!(takes(slow(), 160_001, renewed(15, 0)), 0);
    // So does the one in the annotation, where it speaks.
    let mut edited = held("other", 100, 5);
    edited.spec.duration_seconds = Some(1);
    assert_eq!(takes(trusting(), 160_000, edited.clone()), 100_000);
    assert_eq!(takes(trusting(), 160_002, edited), 0);
}

#[test]
fn l24_a_time_in_the_future_is_not_old() {
    assert_eq!(
        takes(trusting(), 1000, renewed(15, i64::MAX / 1000)),
        15_000
    );
    assert_eq!(takes(trusting(), 1000, renewed(15, i64::MIN / 1000)), 0);
    let skew = LeaseConfig {
        trust_remote_clock: Some(Duration::MAX),
        ..config()
    };
    assert_eq!(takes(skew, 3_600_000, renewed(15, 0)), 15_000);
}

#[test]
fn l24_what_is_missing_is_not_made_up() {
    let spoil: [fn(&mut Observed); 5] = [
        |lease| lease.spec.renew_time = None,
        |lease| lease.spec.duration_seconds = None,
        |lease| lease.spec.duration_seconds = Some(0),
        |lease| lease.spec.duration_seconds = Some(-4),
        |lease| lease.spec.holder = None,
    ];
    for (number, spoil) in spoil.iter().enumerate() {
        let mut lease = renewed(15, 0);
        spoil(&mut lease);
        assert!(takes(trusting(), 3_600_000, lease) >= 15_000, "{number}");
    }
}

#[test]
fn l24_nobody_is_shown_to_lead_by_a_record_that_need_not_be_waited_out() {
    let shown = |bench: &Bench| match bench.elector.status() {
        Status::Standby { holder, .. } => holder.map(|holder| holder.identity),
        other => panic!("{other:?}"),
    };
    for (config, leads) in [(config(), Some("stranger".into())), (trusting(), None)] {
        let mut bench = Bench::of(config);
        bench.now = 3_600_000;
        bench.stand_before(Outcome::Done(renewed(15, 0)));
        assert_eq!(shown(&bench), leads);
        // Whoever was faster leads, and is waited for.
        let mut faster = renewed(15, 3_600_000);
        faster.version = Version::new("u", "6");
        bench.watch(faster);
        assert_eq!(shown(&bench), Some("stranger".into()));
    }
}

#[test]
fn l24_only_the_first_sight_counts() {
    // Of a renewal that is old by its own time.
    let mut bench = Bench::of(trusting());
    bench.now = 3_600_000;
    bench.stand_before(Outcome::Done(renewed(15, 3_599_000)));
    let mut old = renewed(15, 0);
    old.version = Version::new("u", "6");
    bench.watch(old);
    bench.until_a_call();
    assert_eq!(bench.now, 3_615_000);

    // Of a Lease that came after nothing was there.
    let mut bench = Bench::of(LeaseConfig {
        wait_when_absent: true,
        ..trusting()
    });
    bench.now = 3_600_000;
    bench.give(Event::WatchOpened);
    bench.command(Command::Stand);
    bench.read_is(absent());
    let (id, ..) = bench.write();
    bench.answer(id, Outcome::AlreadyExists);
    bench.until_a_call();
    bench.read_is(Outcome::Done(renewed(15, 0)));
    bench.until_a_call();
    assert!(bench.now >= 3_615_000, "{}", bench.now);
}

#[test]
fn l24_what_follows_the_first_sight_is_waited_for() {
    let mut bench = Bench::of(LeaseConfig {
        identity: Identity::fixed("me").expect("an identity"),
        ..trusting()
    });
    bench.now = 3_600_000;
    bench.stand_before(Outcome::Done(renewed(15, 0)));
    // It was alive after all: its clock is wrong.
    let (id, ..) = bench.write();
    bench.answer(id, Outcome::Conflict);
    bench.until_a_call();
    let mut alive = renewed(15, 1000);
    alive.version = Version::new("u", "6");
    bench.read_is(Outcome::Done(alive));
    let began = bench.now;
    bench.until_a_call();
    // The wait, and a spread after the race that was lost.
    assert!((15_000..15_100).contains(&(bench.now - began)));
}
