//! How a leader looks after its lock, and how a waiter waits: F6, F7, L9.

use std::time::Duration;

use tenure_core::{
    Command, Elector, Event, LossReason, Nonce, Notice, Outcome, Status, Uid, life::*,
};

use super::bench::*;

/// The lock as `Bench::leading` holds it, in another state.
fn own(state: &str) -> LockObject {
    let config = config();
    let mut write = other_write("a", "A");
    write.record.container_id = config.me.container_id;
    write.record.process = config.me.process;
    write.record.nonce = Nonce::new("n-1");
    lock(state, &write)
}

fn losses() -> Vec<(LockObject, LossReason)> {
    let deleted = LockObject {
        being_deleted: true,
        ..own("L@11")
    };
    let mut owned = own("L@11");
    owned.owners = vec![OwnerRef::pod("b", Uid::new("B"))];
    let mut same_name = own("L@11");
    same_name.owners = vec![OwnerRef::pod("a", Uid::new("another A"))];
    let mut other_nonce = own("L@11");
    if let Some(record) = &mut other_nonce.record {
        record.nonce = Nonce::new("m-1");
    }
    let emptied = LockObject {
        record: None,
        ..own("L@11")
    };
    vec![
        (deleted, LossReason::BeingDeleted),
        (own("M@11"), LossReason::Replaced),
        (owned, LossReason::TakenBy("b".into())),
        (same_name, LossReason::TakenBy("a".into())),
        (other_nonce, LossReason::TakenBy("a".into())),
        (emptied, LossReason::Emptied),
    ]
}

#[test]
fn f6_what_the_watch_shows_to_be_no_longer_one_s_own_is_lost_at_once() {
    for (shown, reason) in losses() {
        let mut bench = Bench::leading();
        bench.watch(shown.clone());
        assert!(!bench.leads(), "{shown:?}");
        assert!(bench.notices.contains(&Notice::Lost(reason)), "{shown:?}");
        assert!(bench.is_lost());
    }
    let mut bench = Bench::leading();
    bench.watch_gone("L@11");
    assert!(bench.notices.contains(&Notice::Lost(LossReason::Deleted)));
    assert!(bench.is_lost());
}

#[test]
fn f6_what_a_read_shows_to_be_no_longer_one_s_own_is_lost_at_once() {
    for (shown, reason) in losses() {
        let mut bench = Bench::leading();
        bench.sleep();
        bench.expect_read();
        bench.lock(shown.clone());
        assert!(!bench.leads(), "{shown:?}");
        assert!(bench.notices.contains(&Notice::Lost(reason)), "{shown:?}");
    }
    let mut bench = Bench::leading();
    bench.sleep();
    bench.absent();
    assert!(bench.notices.contains(&Notice::Lost(LossReason::Deleted)));
}

#[test]
fn f6_the_leader_reads_its_lock_at_least_every_30_s() {
    let mut bench = Bench::leading();
    for _ in 0..20 {
        let slept = bench.sleep();
        assert!(slept <= 30 * SECOND, "{slept:?}");
        assert!(slept >= 15 * SECOND, "{slept:?}");
        bench.expect_read();
        bench.lock(own("L@10"));
        assert!(bench.leads());
    }
}

#[test]
fn f6_events_older_than_the_acknowledgement_are_dropped() {
    let mut bench = Bench::leading();
    bench.watch(lock_of_b("K@9"));
    bench.watch_gone("K@9");
    // Numbers, not texts: "9" < "10".
    bench.watch_gone("L@9");
    assert!(bench.leads());
    bench.expect_rest();
    assert!(bench.notices.is_empty(), "{:?}", bench.notices);
}

#[test]
fn f6_the_removal_of_the_newest_state_is_news_even_under_its_own_number() {
    let mut bench = Bench::leading();
    bench.watch_gone("L@10");
    assert!(bench.is_lost());
}

#[test]
fn f6_what_cannot_be_put_in_order_is_asked_about_and_decides_nothing() {
    for gone in [false, true] {
        let mut bench = Bench::leading();
        if gone {
            bench.watch_gone("L@abc");
        } else {
            bench.watch(lock_of_b("M@abc"));
        }
        assert!(bench.leads());
        bench.expect_read();
        bench.lock(own("L@10"));
        assert!(bench.leads());
    }
}

#[test]
fn f6_edits_of_others_that_leave_it_one_s_own_are_no_loss() {
    let mut bench = Bench::leading();
    bench.watch(own("L@11"));
    let mut orphaned = own("L@12");
    orphaned.owners.clear();
    bench.watch(orphaned);
    assert!(bench.leads());
    bench.command(Command::WorkEnded { release: true });
    bench.expect_delete("L@12");
}

#[test]
fn f6_for_a_waiter_an_object_that_is_being_deleted_is_still_held() {
    let mut bench = Bench::standing();
    let lock = LockObject {
        being_deleted: true,
        ..lock_of_b("L@10")
    };
    bench.lock(lock.clone());
    bench.expect_rest();
    bench.sleep();
    bench.lock(lock);
    bench.expect_rest();
    bench.watch_gone("L@12");
    bench.expect_create();
}

#[test]
fn f6_failing_reads_are_jeopardy_and_no_loss() {
    let mut bench = Bench::leading();
    bench.sleep();
    bench.unknown();
    assert!(
        matches!(bench.elector.status(), Status::Jeopardy { error, .. } if &*error == "timed out")
    );
    let mut reads = 0;
    let begin = bench.now();
    while bench.now().since(begin) < 600 * SECOND {
        let slept = bench.sleep();
        assert!(slept <= 30 * SECOND);
        bench.answer(Outcome::Refused("403".into()));
        reads += 1;
        assert!(bench.leads());
    }
    assert!((20..60).contains(&reads), "{reads}");
    bench.sleep();
    bench.lock(own("L@10"));
    assert!(matches!(bench.elector.status(), Status::Leading { .. }));
    assert!(bench.notices.contains(&Notice::Renewed { recovered: true }));
}

#[test]
fn f6_a_watch_that_was_opened_anew_may_have_missed_something() {
    let mut bench = Bench::leading();
    bench.feed(Event::WatchOpened);
    bench.expect_read();
    bench.lock(own("L@10"));
    bench.expect_rest();
}

#[test]
fn f7_a_waiter_tries_again_after_1_s_doubled_up_to_30_s_even_with_a_watch() {
    let mut bench = Bench::standing();
    bench.feed(Event::WatchOpened);
    let mut full = SECOND;
    bench.lock(lock_of_b("L@10"));
    bench.pod(pod("B", None));
    // The opening of the watch called for one more look.
    bench.expect_read();
    full *= 2;
    bench.lock(lock_of_b("L@10"));
    bench.pod(pod("B", None));
    for _ in 0..12 {
        let slept = bench.sleep();
        assert!(slept <= full && slept >= full / 2, "{slept:?} of {full:?}");
        bench.expect_read();
        bench.lock(lock_of_b("L@10"));
        bench.expect_read_pod("b");
        bench.pod(pod("B", None));
        bench.expect_rest();
        full = (full * 2).min(30 * SECOND);
    }
    assert_eq!(full, 30 * SECOND);
}

#[test]
fn f7_a_waiter_creates_at_once_when_the_watch_shows_that_the_lock_is_gone() {
    let mut bench = Bench::standing();
    bench.lock(lock_of_b("L@10"));
    bench.pod(pod("B", None));
    bench.expect_rest();
    bench.watch_gone("L@11");
    bench.expect_create();
}

#[test]
fn f7_a_removal_seen_during_a_call_wakes_the_waiter_when_the_call_is_over() {
    let mut bench = Bench::standing();
    bench.lock(lock_of_b("L@10"));
    bench.expect_read_pod("b");
    bench.watch_gone("L@11");
    bench.pod(pod("B", None));
    bench.expect_create();
}

#[test]
fn f7_a_removal_older_than_the_holder_that_was_read_wakes_nobody() {
    let mut bench = Bench::standing();
    bench.lock(lock_of_b("L@10"));
    bench.pod(pod("B", None));
    bench.watch_gone("K@9");
    bench.expect_rest();
}

#[test]
fn f7_a_read_that_the_watch_overtook_is_not_believed() {
    let mut bench = Bench::standing();
    bench.lock(lock_of_b("L@10"));
    bench.pod(pod("B", None));
    bench.sleep();
    bench.expect_read();
    bench.watch_gone("L@12");
    bench.lock(lock_of_b("L@11"));
    bench.expect_create();
}

#[test]
fn f7_requests_stay_bounded_whatever_the_server_answers() {
    let outcomes: [fn() -> Outcome<Answer>; 8] = [
        || Outcome::Unknown("503".into()),
        || Outcome::Refused("403".into()),
        || Outcome::NotFound("404".into()),
        || Outcome::Conflict,
        || Outcome::AlreadyExists,
        || Outcome::Done(Answer::Deleted),
        || Outcome::Done(Answer::Lock(lock_of_b("L@10"))),
        || Outcome::Done(Answer::Process(ProcessSight::Gone)),
    ];
    for (at, outcome) in outcomes.into_iter().enumerate() {
        for bench in [Bench::standing(), Bench::leading()] {
            let mut bench = bench;
            let begin = bench.now();
            let mut calls = 0;
            while bench.now().since(begin) < 3600 * SECOND {
                if bench.is_idle() {
                    if bench.elector.deadline().is_none() {
                        break;
                    }
                    bench.sleep();
                } else {
                    bench.answer(outcome());
                    calls += 1;
                }
            }
            // One round every 15 s or more, of at most four calls.
            assert!(calls < 4 * 250, "{calls} calls on outcome {at}");
        }
    }
}

#[test]
fn f7_requests_stay_bounded_where_reads_and_creates_contradict_each_other() {
    let mut bench = Bench::standing();
    for _ in 0..20 {
        let mut calls = 0;
        while !bench.is_idle() {
            bench.absent();
            if !bench.is_idle() {
                bench.answer(Outcome::AlreadyExists);
            }
            calls += 2;
            assert!(calls <= 4, "a round without end");
        }
        bench.sleep();
    }
}

#[test]
fn l9_a_lost_term_never_comes_back() {
    let mut bench = Bench::leading();
    bench.sleep();
    bench.expect_read();
    let read = bench.hold_back();
    bench.watch_gone("L@11");
    assert!(bench.is_lost());
    bench.answer_late(read, Outcome::Done(Answer::Lock(own("L@10"))));
    bench.watch(own("L@10"));
    assert!(bench.is_lost());
    // And where the lock is put back as it was, only a write grants again.
    bench.command(Command::Stand);
    bench.expect_create();
    bench.answer(Outcome::AlreadyExists);
    bench.expect_read();
    bench.lock(own("L@12"));
    assert!(!bench.leads());
    let write = bench.expect_replace("L@12");
    bench.lock(lock("L@13", &write));
    assert_eq!(bench.token().as_deref(), Some("13"));
}

#[test]
fn l9_answers_to_calls_of_an_earlier_term_are_dropped() {
    let mut bench = Bench::leading();
    bench.sleep();
    bench.expect_read();
    let read = bench.hold_back();
    bench.watch_gone("L@11");
    bench.command(Command::Stand);
    let write = bench.expect_create();
    // Taken for the answer to the create, this would grant.
    bench.answer_late(read, Outcome::Done(Answer::Lock(lock("L@10", &write))));
    assert!(!bench.leads());
    bench.lock(lock("M@12", &write));
    assert_eq!(bench.token().as_deref(), Some("12"));
}

#[test]
fn a_clock_that_steps_back_is_taken_as_standing_still() {
    let mut bench = Bench::leading();
    let before = bench.elector.deadline();
    bench
        .elector
        .handle(tenure_core::Now::default(), Event::Tick);
    assert_eq!(bench.elector.deadline(), before);
    assert!(before.is_some_and(|due| due.since(bench.now()) > Duration::ZERO));
}
