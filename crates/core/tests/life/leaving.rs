//! How leadership is given up: F10 and L10's order of leaving.

use tenure_core::{Command, Elector, LossReason, Notice, Outcome, Status, life::*};

use super::bench::*;

fn kept() -> Bench {
    let mut bench = Bench::new(LifeConfig {
        delete_on_release: false,
        ..config()
    });
    bench.command(Command::Stand);
    bench.absent();
    let write = bench.expect_create();
    bench.lock(lock("L@10", &write));
    bench.command(Command::WorkEnded { release: true });
    bench
}

/// `a`, whose delete of `L@10` is under way, and the write that made `L`.
fn releasing() -> (Bench, LifeWrite) {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    bench.lock(lock("L@10", &write));
    bench.notices.clear();
    bench.command(Command::WorkEnded { release: true });
    bench.expect_delete("L@10");
    (bench, write)
}

/// Every call of the release runs into its limit.
fn answer_nothing_until_given_up(bench: &mut Bench) {
    let failed = |notice: &Notice| matches!(notice, Notice::ReleaseFailed { .. });
    for _ in 0..20 {
        if bench.notices.iter().any(failed) {
            return;
        }
        if bench.is_idle() {
            bench.sleep();
        } else {
            bench.wait(10 * SECOND);
            bench.unknown();
        }
    }
    panic!("the release is never given up");
}

#[test]
fn l10_the_work_is_told_and_ends_before_belief_and_belief_before_the_delete() {
    let mut bench = Bench::leading();
    let by = bench.now().after(10 * SECOND);
    bench.command(Command::StepDown);
    bench.command(Command::StepDown);
    let reason = LossReason::SteppedDown;
    assert_eq!(bench.notices, [Notice::Stop { reason, by }]);
    assert!(bench.leads(), "the work has not ended yet");
    bench.expect_rest();
    bench.elector.handle(
        tenure_core::Now {
            mono: bench.now(),
            ..tenure_core::Now::default()
        },
        tenure_core::Event::Command(Command::WorkEnded { release: true }),
    );
    // Belief is over before the delete can be polled.
    assert!(!bench.leads());
    bench.feed(tenure_core::Event::Tick);
    bench.expect_delete("L@10");
    assert!(!bench.notices.contains(&Notice::Released));
    bench.answer(Outcome::Done(Answer::Deleted));
    assert!(bench.notices.contains(&Notice::Released));
    assert!(bench.is_lost());
    assert_eq!(bench.elector.deadline(), None);
}

#[test]
fn l10_work_that_does_not_end_in_time_is_reported_and_nothing_is_released() {
    let mut bench = Bench::leading();
    bench.command(Command::StepDown);
    bench.wait(9 * SECOND);
    assert!(!bench.notices.contains(&Notice::Overdue));
    bench.wait(2 * SECOND);
    assert!(bench.notices.contains(&Notice::Overdue));
    assert!(bench.leads());
    bench.expect_rest();
    let told = bench.notices.len();
    bench.wait(SECOND);
    assert_eq!(bench.notices.len(), told, "told once");
}

#[test]
fn l10_a_process_stands_again_only_when_its_release_is_answered() {
    let (mut bench, _) = releasing();
    let delete = bench.hold_back();
    bench.command(Command::Stand);
    bench.expect_rest();
    bench.answer_late(delete, Outcome::Done(Answer::Deleted));
    let write = bench.expect_create();
    bench.lock(lock("M@20", &write));
    assert_eq!(bench.token().as_deref(), Some("20"));
}

#[test]
fn f10_the_lock_is_deleted_on_a_normal_end() {
    for outcome in [
        Outcome::Done(Answer::Deleted),
        Outcome::NotFound("gone".into()),
    ] {
        let (mut bench, _) = releasing();
        bench.answer(outcome);
        assert!(bench.notices.contains(&Notice::Released));
        bench.expect_rest();
    }
}

#[test]
fn f10_the_lock_is_left_to_the_collector_if_so_asked() {
    let bench = kept();
    assert!(bench.notices.contains(&Notice::Kept));
    assert!(!bench.leads());
    bench.expect_rest();
    assert_eq!(bench.elector.deadline(), None);
    let mut bench = Bench::leading();
    bench.command(Command::WorkEnded { release: false });
    assert!(bench.notices.contains(&Notice::Kept));
    bench.expect_rest();
    let reason = LossReason::Abandoned;
    assert_eq!(bench.elector.status(), Status::Lost { reason });
}

#[test]
fn f10_a_kept_lock_stays_even_when_it_is_seen_again() {
    let mut bench = Bench::leading();
    let write = {
        let mut write = other_write("a", "A");
        write.record.nonce = tenure_core::Nonce::new("n-1");
        write
    };
    bench.command(Command::WorkEnded { release: false });
    bench.watch(lock("L@15", &write));
    bench.wait(3600 * SECOND);
    if !bench.is_idle() {
        bench.expect_read();
        bench.lock(lock("L@15", &write));
    }
    bench.expect_rest();
    assert_eq!(bench.elector.deadline(), None);
}

#[test]
fn f3_standing_again_over_a_kept_lock_is_a_replace() {
    let mut bench = kept();
    bench.command(Command::Stand);
    bench.expect_read();
    let mut write = other_write("a", "A");
    write.record.nonce = tenure_core::Nonce::new("n-1");
    bench.lock(lock("L@10", &write));
    assert!(!bench.leads());
    let again = bench.expect_replace("L@10");
    assert_eq!(again.record.nonce.as_str(), "n-2");
    bench.lock(lock("L@11", &again));
    assert_eq!(bench.token().as_deref(), Some("11"));
}

#[test]
fn f5_a_release_over_an_edited_lock_is_tried_once_more_over_the_state_read() {
    let (mut bench, write) = releasing();
    bench.answer(Outcome::Conflict);
    bench.expect_read();
    bench.lock(lock("L@12", &write));
    bench.expect_delete("L@12");
    bench.answer(Outcome::Done(Answer::Deleted));
    assert!(bench.notices.contains(&Notice::Released));
}

#[test]
fn f5_a_release_never_deletes_what_is_somebody_else_s_by_now() {
    let mut reentered = other_write("a", "A");
    reentered.record.nonce = tenure_core::Nonce::new("m-1");
    for other in [lock_of_b("M@12"), lock("L@12", &reentered)] {
        let (mut bench, _) = releasing();
        bench.answer(Outcome::Conflict);
        bench.lock(other);
        bench.expect_rest();
        assert!(bench.notices.contains(&Notice::Released));
    }
}

#[test]
fn f4_a_release_of_unknown_outcome_is_settled_by_a_read() {
    let (mut bench, write) = releasing();
    bench.unknown();
    bench.expect_rest();
    bench.sleep();
    bench.expect_read();
    bench.lock(lock("L@10", &write));
    bench.expect_delete("L@10");
    bench.unknown();
    bench.sleep();
    bench.absent();
    assert!(bench.notices.contains(&Notice::Released));
}

#[test]
fn f4_standing_again_after_a_release_of_unknown_outcome_is_a_replace() {
    let (mut bench, write) = releasing();
    bench.command(Command::Stand);
    answer_nothing_until_given_up(&mut bench);
    bench.expect_read();
    bench.lock(lock("L@10", &write));
    assert!(!bench.leads(), "one of the deletes may still land");
    bench.expect_replace("L@10");
}

#[test]
fn f10_a_release_is_given_up_in_bounded_time_and_made_up_for_later() {
    let (mut bench, write) = releasing();
    let begin = bench.now();
    answer_nothing_until_given_up(&mut bench);
    assert!(bench.now().since(begin) < 60 * SECOND);
    // Otherwise nobody would ever lead as long as this Pod stays.
    bench.sleep();
    bench.expect_read();
    bench.lock(lock("L@10", &write));
    bench.expect_delete("L@10");
}

#[test]
fn f10_who_may_not_delete_leaves_it_to_the_collector() {
    let (mut bench, _) = releasing();
    bench.answer(Outcome::Refused("403".into()));
    assert!(matches!(
        bench.notices.last(),
        Some(Notice::ReleaseFailed { .. })
    ));
    bench.expect_rest();
    assert_eq!(bench.elector.deadline(), None);
}

#[test]
fn f10_a_lock_that_changes_under_every_delete_is_given_up_after_three() {
    let (mut bench, write) = releasing();
    let failed = |notice: &Notice| matches!(notice, Notice::ReleaseFailed { .. });
    for n in 10..13 {
        bench.expect_delete(&format!("L@{n}"));
        assert!(!bench.notices.iter().any(failed));
        bench.answer(Outcome::Conflict);
        bench.expect_read();
        bench.lock(lock(&format!("L@{}", n + 1), &write));
    }
    assert!(bench.notices.iter().any(failed));
    bench.expect_rest();
}

#[test]
fn f10_a_release_goes_on_after_a_read_that_failed_and_not_without_a_pause() {
    for outcome in [Outcome::Refused("403".into()), Outcome::Conflict] {
        let (mut bench, write) = releasing();
        bench.answer(Outcome::Conflict);
        bench.expect_read();
        bench.answer(outcome);
        bench.expect_rest();
        bench.sleep();
        bench.expect_read();
        bench.lock(lock("L@10", &write));
        bench.expect_delete("L@10");
    }
}

#[test]
fn f10_a_lock_that_is_being_deleted_is_released() {
    let (mut bench, write) = releasing();
    bench.answer(Outcome::Conflict);
    bench.expect_read();
    let mut leaving = lock("L@12", &write);
    leaving.being_deleted = true;
    bench.lock(leaving);
    assert!(bench.notices.contains(&Notice::Released));
    bench.expect_rest();
}

#[test]
fn l10_during_a_call_a_leader_is_woken_for_the_end_of_the_grace_alone() {
    let mut bench = Bench::leading();
    bench.sleep();
    bench.expect_read();
    assert_eq!(bench.elector.deadline(), None);
    bench.command(Command::StepDown);
    let by = bench.now().after(10 * SECOND);
    assert_eq!(bench.elector.deadline(), Some(by));
}
