//! Seeds that once showed something: each is played again, and nothing may be found in it.

use tenure_sim::{
    fault::FaultKind,
    plan::{Draw, LockKind, Plan},
    run::{Depth, Report, run},
};

fn holds(seed: u64, lock: Option<LockKind>, depth: Depth) -> Report {
    let draw = Draw {
        lock,
        ..Draw::default()
    };
    let report = run(&Plan::draw(seed, &draw), depth, &[], |_, _| {});
    assert_eq!(report.violation, None, "seed {seed}");
    report
}

fn holds_when_asked(seed: u64, lock: Option<LockKind>, depth: Depth) {
    let report = holds(seed, lock, depth);
    let asked = report.struck.keys().any(|kind| kind.is_a_request());
    assert!(asked, "seed {seed} has people who ask for something");
}

/// Whoever trusts wall clocks went by a record's age, and the checker by that of a pause's end.
#[test]
fn l26_what_people_ask_makes_a_record_no_younger() {
    holds_when_asked(17_714, Some(LockKind::Lease), Depth::Core);
    // The one who asked was the first to write at all.
    holds_when_asked(7_435_165, None, Depth::Core);
    // Somebody labelled the Lease during the pause.
    holds_when_asked(7_654_898, None, Depth::Core);
    // It was there before everything, and is as old as its time says.
    holds_when_asked(7_667_626, None, Depth::Core);
}

/// A pause, or a request, that came with a new label was taken for another record by the checker.
#[cfg(feature = "stack")]
#[test]
fn l26_what_people_ask_restarts_no_wait() {
    for seed in [7_000_122, 7_000_155] {
        holds_when_asked(seed, None, Depth::Stack);
    }
}

/// Late news of the Lease that stood there before forbids a create, which is waited out; the checker
/// asked whoever had created it to lead, or to give it back.
#[test]
fn l14_a_create_that_late_news_forbids_is_neither_led_by_nor_given_back() {
    holds(9_038_702, None, Depth::Core);
}

/// A takeover that arrives after its try was given up runs out by itself.
#[test]
fn l11_a_takeover_that_arrives_when_nobody_waits_for_it_any_more_is_not_given_back() {
    holds(33_395, Some(LockKind::Lease), Depth::Core);
}

/// In a calm run nothing ends a term: a request that is none to it least of all.
#[test]
fn l25_a_request_that_is_none_to_the_present_term_ends_no_term() {
    let mut asked = 0;
    for seed in 0..3000 {
        let draw = Draw {
            only: [FaultKind::AskNobody].into(),
            ..Draw::default()
        };
        let report = run(&Plan::draw(seed, &draw), Depth::Core, &[], |_, _| {});
        assert_eq!(report.violation, None, "seed {seed}");
        assert_eq!(report.changes, 0, "seed {seed}");
        asked += report
            .struck
            .get(&FaultKind::AskNobody)
            .copied()
            .unwrap_or(0);
    }
    assert!(asked > 3000, "{asked}");
}

/// Somebody took the record out of a lock for life and then deleted it, before the one who had
/// created it had its answer: that one was not among those whom the deletion excuses.
#[test]
fn a_deletion_by_hand_is_not_covered_whatever_was_edited_before() {
    let report = holds(7_374_957, None, Depth::Core);
    for kind in [FaultKind::PeopleEdit, FaultKind::PeopleDelete] {
        assert!(report.struck.contains_key(&kind), "{kind}");
    }
}

/// A held Lease was deleted, and another came and went, while a standby's watch was out of order: it
/// took the new one at once.
#[test]
fn l2_another_object_is_waited_for_like_the_absence_before_it() {
    holds(7_556_540, None, Depth::Core);
}

/// A standby that had lost a race showed a failure of long ago, and hid the pause of the Lease behind it.
#[test]
fn l26_a_pause_is_shown_though_something_failed_before() {
    for seed in [93, 2360, 4156] {
        holds_when_asked(seed, None, Depth::Core);
    }
}

/// Who slept through the end of its term was told to stand when it woke, and heard of the loss only then:
/// the world took it for one that stands no more.
#[test]
fn l9_who_is_told_to_stand_after_a_loss_stands() {
    holds(5_008_278, None, Depth::Core);
}

/// Who trusts its writes for long waits for long: the checker asked it for its acquisition before its own
/// call was given up.
#[test]
fn l11_an_acquisition_whose_answer_is_lost_is_given_back_after_a_whole_call() {
    holds(5_034_422, None, Depth::Core);
}

/// A lock for life whose deletion a finalizer held up was given up by its holder, which said so: the world
/// took what is being deleted for a lock that is held.
#[test]
fn f10_what_is_being_deleted_is_given_up() {
    holds(801_476, None, Depth::Stack);
}

/// Somebody else of the program waited for the next term: the loss of the one before it was never shown, and
/// counted as a release.
#[test]
fn l10_a_loss_is_one_though_somebody_waits_for_the_next_term() {
    for (seed, lock) in [(2243, Some(LockKind::Lease)), (507_237, None)] {
        holds(seed, lock, Depth::Stack);
    }
}

/// Whom a term was to be handed over to was kept in mind though that term was abandoned.
#[test]
fn l22_a_successor_is_that_of_one_term() {
    holds(506_333, None, Depth::Stack);
}

/// A term was given up the moment it began, before anybody could look at it.
#[test]
fn l11_a_term_of_no_time_was_handed_out() {
    holds(508_360, None, Depth::Stack);
}

/// A machine had just woken up, and the election had not looked at its clock yet.
#[test]
fn l4_who_has_just_woken_up_is_not_ill() {
    holds(737, Some(LockKind::ConfigMap), Depth::Stack);
}

/// The clock of a leader ran at more than twice its rate, and so did its renewals: they were counted in true
/// time.
#[test]
fn l16_who_has_a_clock_beyond_rho_asks_by_that_clock() {
    let report = holds(40_195_230, None, Depth::Core);
    assert!(report.struck.contains_key(&FaultKind::ClockBeyond));
}
