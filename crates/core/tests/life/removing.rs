//! What is deleted in the collector's place, and what is not: F5, F8, F9, F11.

use tenure_core::{Command, Elector, Notice, Outcome, Warning, life::*};

use super::bench::*;

/// `a`, after it read `lock`, and the owner's Pod is being looked at.
fn looking_at_owner(lock: LockObject) -> Bench {
    let mut bench = Bench::standing();
    bench.lock(lock);
    bench.expect_read_pod("b");
    bench
}

/// Whether `a` deletes the lock of `b`, whose Pod looks like this.
fn deletes(pod: PodSight) -> bool {
    let mut bench = looking_at_owner(lock_of_b("L@10"));
    bench.pod(pod);
    if bench.is_idle() {
        return false;
    }
    bench.expect_delete("L@10");
    true
}

#[test]
fn f5_a_delete_names_the_state_that_was_judged_and_none_that_was_seen_since() {
    let mut bench = looking_at_owner(lock_of_b("L@10"));
    bench.watch(lock_of_b("L@11"));
    bench.absent();
    bench.expect_delete("L@10");
    bench.answer(Outcome::Conflict);
    bench.expect_read();
    bench.lock(lock_of_b("L@11"));
    bench.expect_read_pod("b");
    bench.absent();
    bench.expect_delete("L@11");
    bench.answer(Outcome::Conflict);
    bench.expect_rest();
}

#[test]
fn f8_the_lock_of_an_absent_pod_is_deleted_and_the_next_one_created_at_once() {
    let mut bench = looking_at_owner(lock_of_b("L@10"));
    bench.absent();
    bench.expect_delete("L@10");
    bench.answer(Outcome::Done(Answer::Deleted));
    let removed = Notice::Warn(Warning::RemovedOrphan { owner: "b".into() });
    assert!(bench.notices.contains(&removed));
    bench.expect_create();
}

#[test]
fn f8_a_pod_of_the_same_name_with_another_uid_is_an_absent_pod() {
    assert!(deletes(pod("another B", None)));
    assert!(!deletes(pod("B", None)));
}

#[test]
fn f8_the_owner_is_looked_at_after_the_lock_was_read_each_time_anew() {
    let mut bench = looking_at_owner(lock_of_b("L@10"));
    bench.unknown();
    bench.expect_rest();
    bench.sleep();
    bench.expect_read();
    bench.lock(lock_of_b("L@12"));
    bench.expect_read_pod("b");
    bench.absent();
    bench.expect_delete("L@12");
}

#[test]
fn f8_only_not_found_proves_that_a_pod_is_absent() {
    for outcome in [
        Outcome::Unknown("503".into()),
        Outcome::Refused("403".into()),
        Outcome::Conflict,
    ] {
        let mut bench = looking_at_owner(lock_of_b("L@10"));
        bench.answer(outcome);
        bench.expect_rest();
    }
}

#[test]
fn f8_a_process_whose_own_pod_is_gone_contends_for_nothing() {
    let mut write = other_write("a", "A");
    write.record.container = Some("other".into());
    let mut bench = Bench::standing();
    bench.lock(lock("L@10", &write));
    bench.expect_read_pod("a");
    bench.absent();
    bench.expect_rest();
}

#[test]
fn f8_what_another_waiter_deleted_is_created_at_once() {
    let mut bench = looking_at_owner(lock_of_b("L@10"));
    bench.absent();
    bench.expect_delete("L@10");
    bench.absent();
    bench.expect_create();
}

#[test]
fn f8_a_delete_that_a_finalizer_holds_back_frees_nothing() {
    let mut bench = looking_at_owner(lock_of_b("L@10"));
    bench.absent();
    let mut waiting = lock_of_b("L@11");
    waiting.being_deleted = true;
    bench.lock(waiting);
    bench.expect_rest();
}

#[test]
fn f9_certain_death_is_the_recorded_container_s_reported_end() {
    for reason in ["Completed", "Error", "OOMKilled"] {
        let mut end = terminated("old");
        end.reason = reason.into();
        assert!(deletes(pod("B", Some(end))), "{reason}");
    }
    for reason in ["ContainerStatusUnknown", "Unknown", "", "DeadlineExceeded"] {
        let mut end = terminated("old");
        end.reason = reason.into();
        assert!(!deletes(pod("B", Some(end))), "{reason}");
    }
    assert!(!deletes(pod("B", Some(terminated("another")))));
    let unfinished = Terminated {
        finished: false,
        ..terminated("old")
    };
    assert!(!deletes(pod("B", Some(unfinished))));
}

#[test]
fn f9_an_unnamed_container_is_never_dead() {
    for id in [None, Some("")] {
        let mut write = other_write("b", "B");
        write.record.container_id = id.map(Into::into);
        let mut bench = looking_at_owner(lock("L@10", &write));
        bench.pod(pod("B", Some(terminated(""))));
        bench.expect_rest();
    }
    let mut bench = looking_at_owner(seeds_lock("L@10", "b", "B"));
    bench.pod(pod("B", Some(terminated("old"))));
    bench.expect_rest();
}

#[test]
fn f9_a_container_that_is_started_again_is_not_given_up() {
    let ended = |policy, exit_code| {
        let mut sight = pod(
            "B",
            Some(Terminated {
                exit_code,
                ..terminated("old")
            }),
        );
        sight.restart_policy = policy;
        sight
    };
    assert!(deletes(ended(RestartPolicy::Never, 1)));
    assert!(deletes(ended(RestartPolicy::OnFailure, 0)));
    assert!(!deletes(ended(RestartPolicy::OnFailure, 1)));
    assert!(!deletes(ended(RestartPolicy::Always, 0)));
    assert!(!deletes(ended(RestartPolicy::Other, 0)));
    // A sidecar's own policy counts before its Pod's.
    let mut sidecar = ended(RestartPolicy::Never, 0);
    sidecar.containers[0].restart_policy = Some(RestartPolicy::Always);
    assert!(!deletes(sidecar));
    // It has been started again already: re-entry comes first.
    let mut again = ended(RestartPolicy::OnFailure, 0);
    again.containers[0].last_terminated = again.containers[0].terminated.take();
    assert!(!deletes(again.clone()));
    // A Pod that is over starts nothing again.
    again.terminal = true;
    assert!(deletes(again));
}

#[test]
fn f9_phase_and_termination_alone_prove_nothing() {
    let mut failed = pod("B", None);
    failed.terminal = true;
    failed.being_deleted = true;
    assert!(!deletes(failed));
}

#[test]
fn f9_the_dead_container_beside_one_s_own_frees_the_lock() {
    let mut write = other_write("a", "A");
    write.record.container = Some("other".into());
    let mut bench = Bench::standing();
    bench.lock(lock("L@10", &write));
    bench.expect_read_pod("a");
    let mut own = pod("A", Some(terminated("old")));
    own.containers[0].name = "other".into();
    bench.pod(own);
    bench.expect_delete("L@10");
}

#[test]
fn f11_what_is_no_lock_is_never_touched_and_told_once() {
    type Spoil = fn(&mut LockObject);
    let spoil: [(&str, Spoil); 6] = [
        ("data", |lock| lock.foreign = Some("it has data".into())),
        ("two owners", |lock| {
            let second = lock.owners[0].clone();
            lock.owners.push(second);
        }),
        ("an owner that is no Pod", |lock| {
            lock.owners[0].kind = "Deployment".into();
            lock.owners[0].api_version = "apps/v1".into();
        }),
        ("a Pod of another API", |lock| {
            lock.owners[0].api_version = "example.com/v1".into();
        }),
        ("another owner than its record names", |lock| {
            lock.owners[0].uid = tenure_core::Uid::new("C");
        }),
        ("neither owner nor record", |lock| {
            lock.owners.clear();
            lock.record = None;
        }),
    ];
    for (what, spoil) in spoil {
        let mut no_lock = lock_of_b("L@10");
        spoil(&mut no_lock);
        let mut bench = Bench::standing();
        for _ in 0..5 {
            bench.expect_read();
            bench.lock(no_lock.clone());
            bench.expect_rest();
            assert!(!bench.leads(), "{what}");
            assert_eq!(bench.warned_of_no_lock(), 1, "{what}");
            // It keeps waiting for the name to become free.
            bench.sleep();
        }
        bench.absent();
        bench.expect_create();
    }
}

#[test]
fn f11_one_s_own_lock_that_somebody_filled_is_not_deleted() {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    bench.lock(lock("L@10", &write));
    bench.command(Command::WorkEnded { release: true });
    bench.expect_delete("L@10");
    bench.answer(Outcome::Conflict);
    bench.expect_read();
    let mut filled = lock("L@11", &write);
    filled.foreign = Some("it has data".into());
    bench.lock(filled);
    bench.expect_rest();
    let failed = |notice: &Notice| matches!(notice, Notice::ReleaseFailed { .. });
    assert!(bench.notices.iter().any(failed));
    assert_eq!(bench.elector.deadline(), None);
}
