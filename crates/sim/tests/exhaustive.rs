//! The inequality of L3 is tight: with H at its bound no schedule at all makes two leaders, and one
//! unit more is one too many.

use std::time::Duration;

use tenure_core::{LeaseTiming, TimingError};
use tenure_sim::exhaustive::{Flaw, Model};

/// Clocks and durations whose bound is a whole number of units.
const CASES: [(u8, u8, u8); 4] = [(2, 3, 6), (1, 2, 4), (3, 4, 4), (1, 3, 6)];

fn model(candidates: usize, (slow, fast, duration): (u8, u8, u8)) -> Model {
    let model = Model {
        candidates,
        slow,
        fast,
        duration,
        deadline: 0,
        // Three candidates with four writes have 1.2 million states: for those who have the time.
        writes: match (candidates, std::env::var_os("TENURE_EXHAUSTIVE")) {
            (2, None) => 4,
            (_, None) => 3,
            (2, Some(_)) => 6,
            (_, Some(_)) => 4,
        },
        flaw: Flaw::None,
    };
    let deadline = model.bound();
    Model { deadline, ..model }
}

#[test]
fn at_the_bound_nobody_is_ever_second() {
    for case in CASES {
        let model = model(2, case);
        let outcome = model.explore();
        println!("{model:?}: {} states", outcome.states);
        assert_eq!(outcome.counterexample, None, "{model:?}");
        assert!(outcome.takeovers && outcome.adoptions, "{model:?}");
    }
    let model = model(3, (1, 2, 4));
    let outcome = model.explore();
    println!("{model:?}: {} states", outcome.states);
    assert_eq!(outcome.counterexample, None);
    assert!(outcome.takeovers && outcome.adoptions);
}

#[test]
fn one_unit_beyond_the_bound_there_is_a_schedule_with_two_leaders() {
    for case in CASES {
        for candidates in [2, 3] {
            let mut model = model(candidates, case);
            model.deadline += 1;
            let outcome = model.explore();
            let story = outcome.counterexample.expect("two leaders");
            println!(
                "{model:?}: {} states\n  {}",
                outcome.states,
                story.join("\n  ")
            );
        }
    }
}

#[test]
fn every_broken_rule_shows() {
    for flaw in [Flaw::ValidFromAnswer, Flaw::ReadGrants, Flaw::WaitGoesOn] {
        let mut model = model(2, (2, 3, 6));
        model.flaw = flaw;
        let outcome = model.explore();
        assert!(outcome.counterexample.is_some(), "{flaw:?}");
    }
    let mut model = model(2, (2, 3, 6));
    model.deadline = model.duration;
    assert!(model.explore().counterexample.is_some(), "H is D");
}

/// The library draws the line where the model does: a unit is a second.
#[test]
fn the_library_refuses_what_lies_beyond_the_same_bound() {
    for case in CASES {
        let model = model(2, case);
        let timing = |deadline: u8| {
            LeaseTiming::builder()
                .lease_duration(Duration::from_secs(model.duration.into()))
                .renew_deadline(Duration::from_secs(deadline.into()))
                // A float a hair off must not decide.
                .clock_error(model.rho() - 1e-9)
                .build()
        };
        assert!(timing(model.deadline).is_ok(), "{model:?}");
        assert!(
            matches!(
                timing(model.deadline + 1),
                Err(TimingError::MarginTooSmall { .. })
            ),
            "{model:?}"
        );
    }
}
