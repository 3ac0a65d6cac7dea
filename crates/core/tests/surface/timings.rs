//! Which timings are taken, what follows from what is left out, and what is said of the others.

use std::time::Duration;

use tenure_core::{LeaseTiming, LeaseTimingBuilder, LifeTiming, TimingError};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
const LONGEST: u64 = i32::MAX as u64;

fn lease() -> LeaseTimingBuilder {
    LeaseTiming::builder()
}

#[test]
fn what_was_asked_for_is_what_one_gets() {
    let timing = lease()
        .lease_duration(60 * SECOND)
        .renew_deadline(40 * SECOND)
        .retry_period(7 * SECOND)
        .call_limit(5 * SECOND)
        .grace(11 * SECOND)
        .clock_error(0.1)
        .build()
        .unwrap();
    assert_eq!(timing.duration_seconds(), 60);
    assert_eq!(timing.lease_duration(), 60 * SECOND);
    assert_eq!(timing.renew_deadline(), 40 * SECOND);
    assert_eq!(timing.retry_period(), 7 * SECOND);
    assert_eq!(timing.call_limit(), 5 * SECOND);
    assert_eq!(timing.grace(), 11 * SECOND);
    assert!((timing.clock_error() - 0.1).abs() < 1e-9);
}

#[test]
fn what_is_left_out_keeps_the_proportions_of_the_defaults() {
    let timing = lease().lease_duration(60 * SECOND).build().unwrap();
    assert_eq!(timing.renew_deadline(), 40 * SECOND);
    assert_eq!(timing.retry_period(), 8 * SECOND);
    assert_eq!(timing.call_limit(), 8 * SECOND);
    assert_eq!(timing.grace(), 12 * SECOND);
}

#[test]
fn l3_a_grace_that_just_fits_is_taken_and_one_step_more_refused() {
    // 2 s + 2 * 2 s leave 4 s of 10 s.
    assert!(lease().grace(4 * SECOND).build().is_ok());
    let grace = 4 * SECOND + Duration::from_nanos(1);
    let refused = lease().grace(grace).build().unwrap_err();
    let needed = 10 * SECOND + Duration::from_nanos(1);
    let renew_deadline = 10 * SECOND;
    assert_eq!(
        refused,
        TimingError::NoRoomToStop {
            needed,
            renew_deadline
        }
    );
}

#[test]
fn l3_the_margin_is_that_of_both_clocks() {
    let refused = lease()
        .lease_duration(21 * SECOND)
        .renew_deadline(20 * SECOND)
        .build()
        .unwrap_err();
    let TimingError::MarginTooSmall { most, .. } = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(most, 19 * SECOND);
}

#[test]
fn the_longest_lease_is_what_kubernetes_can_write() {
    let lasting = |seconds| lease().lease_duration(Duration::from_secs(seconds)).build();
    assert!(lasting(LONGEST).is_ok());
    let refused = TimingError::TooLong("lease duration");
    assert_eq!(lasting(LONGEST + 1), Err(refused));
    assert_eq!(lasting(u64::from(u32::MAX) + 1), Err(refused));
}

#[test]
fn leader_for_life_needs_pauses_in_order_and_none_of_zero() {
    let timing = LifeTiming::default();
    assert_eq!(timing.check(), Ok(timing));
    let equal = LifeTiming {
        retry_first: timing.retry_most,
        ..timing
    };
    assert_eq!(equal.check(), Ok(equal));
    let zero = Duration::ZERO;
    let spoilt = [
        LifeTiming {
            retry_first: zero,
            ..timing
        },
        LifeTiming {
            retry_most: zero,
            ..timing
        },
        LifeTiming {
            call_limit: zero,
            ..timing
        },
    ];
    for timing in spoilt {
        assert!(matches!(timing.check(), Err(TimingError::Zero(_))));
    }
}

#[test]
fn what_is_refused_says_what_to_do() {
    let margin = lease().renew_deadline(14 * SECOND).build().unwrap_err();
    let text = margin.to_string();
    for part in ["14s", "15 s", "off by 5 %", "rule L3", "shorten"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let room = lease().grace(9 * SECOND).build().unwrap_err().to_string();
    for part in ["15s", "10s", "rule L3", "shorten"] {
        assert!(room.contains(part), "{part} is not in {room}");
    }
    let others = [
        (
            TimingError::Zero("grace"),
            "the grace must be longer than zero",
        ),
        (
            TimingError::TooLong("D"),
            "the D must be at most 2147483647 s",
        ),
        (
            TimingError::ClockError(0.7),
            "a clock error of 0.7 makes no sense: give 0 to 0.5 (0.05 is 5 %)",
        ),
        (
            TimingError::RetryOrder,
            "the first retry pause must not be longer than the longest",
        ),
    ];
    for (error, text) in others {
        assert_eq!(error.to_string(), text);
    }
}
