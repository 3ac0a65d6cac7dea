//! A waiter's rounds where calls, events and commands cross each other: F3 to F8, L9.

use tenure_core::{
    Command, Elector, Event, Holder, LifeTiming, Nonce, Notice, Outcome, Status, life::*,
};

use super::bench::*;

fn holder(bench: &Bench) -> Option<Holder> {
    match bench.elector.status() {
        Status::Standby { holder, .. } => holder,
        other => panic!("{other:?}"),
    }
}

fn failures(bench: &Bench) -> Vec<(String, u32)> {
    let failed = |notice: &Notice| match notice {
        Notice::StandbyFailed { error, times } => Some((error.to_string(), *times)),
        _ => None,
    };
    bench.notices.iter().filter_map(failed).collect()
}

/// `a`, standing, whose create is under way.
fn creating() -> (Bench, LifeWrite) {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    (bench, write)
}

/// `a`, waiting for `b`.
fn waiting() -> Bench {
    let mut bench = Bench::standing();
    bench.lock(lock_of_b("L@10"));
    bench.pod(pod("B", None));
    bench.expect_rest();
    bench
}

/// The lock of `b` in another term of the same Pod.
fn next_term_of_b(state: &str) -> LockObject {
    let mut write = other_write("b", "B");
    write.record.nonce = Nonce::new("other-2");
    lock(state, &write)
}

#[test]
fn it_goes_by_the_timings_that_it_was_given() {
    let timing = LifeTiming {
        retry_first: 3 * SECOND,
        ..LifeTiming::default()
    };
    let elector = LifeElector::new(LifeConfig { timing, ..config() });
    assert_eq!(*elector.timing(), timing);
}

#[test]
fn f7_who_does_not_stand_and_left_nothing_behind_asks_nothing() {
    let mut bench = Bench::new(config());
    bench.feed(Event::Tick);
    bench.feed(Event::WatchOpened);
    bench.watch(lock_of_b("L@10"));
    bench.expect_rest();
    assert_eq!(bench.elector.deadline(), None);
    bench.watch_gone("L@11");
    bench.expect_rest();
}

#[test]
fn f7_an_event_that_shows_another_s_lock_wakes_nobody() {
    let mut bench = waiting();
    bench.watch(lock_of_b("L@11"));
    bench.expect_rest();
}

#[test]
fn f7_a_removal_that_is_shown_twice_wakes_once() {
    let mut bench = waiting();
    bench.watch_gone("L@11");
    bench.expect_create();
    bench.answer(Outcome::Refused("403".into()));
    bench.expect_rest();
    bench.watch_gone("L@11");
    bench.expect_rest();
}

#[test]
fn f7_an_answer_that_an_event_overtook_is_not_believed() {
    let answers: [fn() -> Outcome<Answer>; 2] = [
        || Outcome::Done(Answer::Lock(lock_of_b("L@11"))),
        || Outcome::NotFound("not found".into()),
    ];
    for answer in answers {
        let mut bench = waiting();
        bench.sleep();
        bench.expect_read();
        bench.watch(next_term_of_b("L@12"));
        bench.answer(answer());
        bench.expect_read();
        bench.lock(next_term_of_b("L@12"));
        bench.expect_read_pod("b");
    }
}

#[test]
fn f7_a_round_follows_up_one_overtaken_answer_and_no_more() {
    let mut bench = waiting();
    bench.sleep();
    for rv in [12, 14] {
        bench.expect_read();
        bench.watch(lock_of_b(&format!("L@{rv}")));
        bench.lock(lock_of_b(&format!("L@{}", rv - 1)));
    }
    bench.expect_rest();
    assert!(bench.sleep() >= SECOND / 2);
    bench.expect_read();
}

#[test]
fn f7_an_answer_that_no_event_overtook_is_believed_even_if_history_went_backwards() {
    let mut bench = waiting();
    bench.sleep();
    bench.lock(lock(
        "K@3",
        &LifeWrite {
            owner: OwnerRef::pod("c", tenure_core::Uid::new("C")),
            record: LifeRecord {
                pod_name: "c".into(),
                pod_uid: tenure_core::Uid::new("C"),
                ..other_write("b", "B").record
            },
        },
    ));
    bench.expect_read_pod("c");
    assert_eq!(&*holder(&bench).expect("c").identity, "c");
}

#[test]
fn f7_events_before_a_read_do_not_put_its_answer_in_doubt() {
    let mut bench = waiting();
    bench.watch(lock_of_b("L@11"));
    bench.sleep();
    bench.expect_read();
    bench.absent();
    bench.expect_create();
}

#[test]
fn a_holder_is_shown_since_its_term_was_first_seen() {
    let mut bench = waiting();
    let first = bench.now();
    bench.wait(SECOND / 4);
    bench.watch(lock_of_b("L@11"));
    assert_eq!(holder(&bench).expect("b").since, first);
    bench.watch(next_term_of_b("L@12"));
    assert_eq!(holder(&bench).expect("b").since, bench.now());
    bench.wait(SECOND / 8);
    let mut same_nonce = other_write("c", "C");
    same_nonce.record.nonce = Nonce::new("other-2");
    bench.watch(lock("L@13", &same_nonce));
    let shown = holder(&bench).expect("c");
    assert_eq!((&*shown.identity, shown.since), ("c", bench.now()));
}

#[test]
fn a_failure_is_shown_until_something_succeeds() {
    let mut bench = waiting();
    bench.sleep();
    bench.answer(Outcome::Refused("403 Forbidden".into()));
    bench.sleep();
    bench.answer(Outcome::Conflict);
    let told = [
        ("403 Forbidden".to_owned(), 1),
        ("409 Conflict".to_owned(), 2),
    ];
    assert_eq!(failures(&bench), told);
    assert!(matches!(
        bench.elector.status(),
        Status::Standby { error: Some(error), .. } if &*error == "409 Conflict"
    ));
    bench.sleep();
    bench.lock(lock_of_b("L@11"));
    assert!(matches!(
        bench.elector.status(),
        Status::Standby { error: None, .. }
    ));
}

#[test]
fn f3_who_withdrew_while_the_process_was_looked_at_takes_nothing_up() {
    let mut write = other_write("a", "A");
    write.record.process = Some(process(5));
    for sight in [ProcessSight::Gone, ProcessSight::Unknown] {
        let mut bench = Bench::standing();
        bench.lock(lock("L@10", &write));
        bench.expect_inspect(&process(5));
        bench.command(Command::Withdraw);
        bench.answer(Outcome::Done(Answer::Process(sight)));
        bench.expect_rest();
    }
}

#[test]
fn f8_who_withdrew_while_the_owner_was_looked_at_deletes_nothing() {
    let mut bench = Bench::standing();
    bench.lock(lock_of_b("L@10"));
    bench.expect_read_pod("b");
    bench.command(Command::Withdraw);
    bench.absent();
    bench.expect_rest();
    assert_eq!(bench.elector.deadline(), None);
}

#[test]
fn l9_an_acknowledgement_that_the_watch_overtook_grants_only_what_is_still_one_s_own() {
    let (mut bench, write) = creating();
    // Another process of the Pod took it up meanwhile.
    let mut reentered = write.clone();
    reentered.record.nonce = Nonce::new("m-1");
    bench.watch(lock("L@11", &reentered));
    bench.lock(lock("L@10", &write));
    assert!(!bench.leads());
}

#[test]
fn f4_who_withdrew_is_granted_nothing_by_an_acknowledgement_that_was_overtaken() {
    let (mut bench, write) = creating();
    bench.watch(lock("L@11", &write));
    bench.command(Command::Withdraw);
    bench.lock(lock("L@10", &write));
    assert!(!bench.leads());
    bench.expect_read();
    bench.lock(lock("L@11", &write));
    bench.expect_delete("L@11");
}

#[test]
fn f1_what_the_server_stored_otherwise_than_it_was_written_grants_nothing() {
    let spoil: [fn(&mut LockObject); 2] =
        [|lock| lock.being_deleted = true, |lock| lock.record = None];
    for spoil in spoil {
        let (mut bench, write) = creating();
        let mut stored = lock("L@10", &write);
        spoil(&mut stored);
        bench.lock(stored);
        assert!(!bench.leads());
        bench.expect_rest();
        assert_eq!(failures(&bench).len(), 1);
    }
}

#[test]
fn f6_one_s_own_lock_that_is_being_deleted_is_left_to_it() {
    let (mut bench, write) = creating();
    bench.unknown();
    bench.command(Command::Withdraw);
    bench.sleep();
    bench.expect_read();
    let mut leaving = lock("L@10", &write);
    leaving.being_deleted = true;
    bench.lock(leaving);
    bench.expect_rest();
    assert_eq!(bench.elector.deadline(), None);
}

#[test]
fn f4_a_lock_that_was_created_is_not_taken_up_again() {
    let mut bench = Bench::standing();
    let mut former = other_write("a", "A");
    former.record.process = Some(process(5));
    bench.lock(lock("L@10", &former));
    bench.answer(Outcome::Done(Answer::Process(ProcessSight::Gone)));
    bench.expect_replace("L@10");
    bench.answer(Outcome::Conflict);
    bench.expect_read();
    bench.absent();
    let write = bench.expect_create();
    bench.lock(lock("M@12", &write));
    assert!(bench.leads());
    let created = |n: &Notice| matches!(n, Notice::Acquired { again: false, .. });
    assert!(bench.notices.iter().any(created));
}

#[test]
fn while_a_call_is_under_way_there_is_nothing_to_wake_up_for() {
    let bench = Bench::standing();
    bench.expect_read();
    assert_eq!(bench.elector.deadline(), None, "waiting");
    let mut bench = Bench::leading();
    bench.command(Command::WorkEnded { release: true });
    bench.expect_delete("L@10");
    assert_eq!(bench.elector.deadline(), None, "releasing");
}
