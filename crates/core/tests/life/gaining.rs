//! How leadership is gained: F1 to F4.

use tenure_core::{Command, Elector, Event, Notice, Outcome, Status, life::*};

use super::bench::*;

/// `a`, standing, after it read `lock`.
fn standing_before(config: LifeConfig, lock: LockObject) -> Bench {
    let mut bench = Bench::new(config);
    bench.command(Command::Stand);
    bench.expect_read();
    bench.lock(lock);
    bench
}

/// What an earlier process of Pod `a`'s container `main` wrote, on this machine.
fn former_write() -> LifeWrite {
    let mut write = other_write("a", "A");
    write.record.process = Some(process(5));
    write
}

#[test]
fn f1_the_lock_is_created_with_its_owner_and_its_record() {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    assert_eq!(
        write.owner,
        OwnerRef::pod("a", write.record.pod_uid.clone())
    );
    assert_eq!(write.owner.controller, None);
    assert_eq!(write.owner.block_owner_deletion, None);
    assert_eq!(write.record.pod_uid.as_str(), "A");
    assert_eq!(write.record.container.as_deref(), Some("main"));
    assert_eq!(write.record.container_id.as_deref(), Some("new"));
    assert_eq!(write.record.process, Some(process(7)));
    assert!(!bench.leads());
    bench.lock(lock("L@10", &write));
    assert_eq!(bench.token().as_deref(), Some("10"));
    assert!(bench.notices.iter().any(|notice| matches!(
        notice,
        Notice::Acquired { term: 0, token, again: false } if token.as_str() == "10"
    )));
}

#[test]
fn f1_each_term_has_a_nonce_of_its_own() {
    let mut bench = Bench::leading();
    let first = bench.elector.clone();
    bench.command(Command::WorkEnded { release: true });
    bench.expect_delete("L@10");
    bench.answer(Outcome::Done(Answer::Deleted));
    bench.command(Command::Stand);
    let second = bench.expect_create().record.nonce;
    drop(first);
    assert_ne!(second.as_str(), "n-1");
    assert!(second.as_str().starts_with("n-"));
}

#[test]
fn f1_an_orphaned_lock_is_judged_by_its_annotations() {
    let mut orphan = lock_of_b("L@10");
    orphan.owners.clear();
    let mut bench = standing_before(config(), orphan);
    bench.expect_read_pod("b");
    bench.absent();
    bench.expect_delete("L@10");
}

#[test]
fn f1_a_lock_without_annotations_is_judged_by_its_owner_reference() {
    let mut bench = standing_before(config(), seeds_lock("L@10", "b", "B"));
    bench.expect_read_pod("b");
    bench.absent();
    bench.expect_delete("L@10");
}

#[test]
fn f2_a_pod_of_the_same_name_with_another_uid_is_somebody_else() {
    let config = LifeConfig {
        me: Me {
            single_container: true,
            ..me("a", "A")
        },
        ..config()
    };
    // By name this would be one's own, and taken up again at once.
    let mut bench = standing_before(config, seeds_lock("L@10", "a", "former A"));
    bench.expect_read_pod("a");
    bench.pod(pod("former A", None));
    bench.expect_rest();
    assert!(!bench.leads());
}

#[test]
fn f2_a_record_of_the_same_name_with_another_uid_is_somebody_else() {
    let mut write = former_write();
    write.record.pod_uid = tenure_core::Uid::new("former A");
    write.owner = OwnerRef::pod("a", write.record.pod_uid.clone());
    let bench = standing_before(config(), lock("L@10", &write));
    // Not a look at the process, as for one's own: a look at the Pod, as for anybody's.
    bench.expect_read_pod("a");
}

#[test]
fn f3_a_restarted_process_leads_again_by_a_replace_once_the_former_is_gone() {
    let mut bench = standing_before(config(), lock("L@10", &former_write()));
    bench.expect_inspect(&process(5));
    assert!(!bench.leads(), "a read grants nothing");
    bench.answer(Outcome::Done(Answer::Process(ProcessSight::Gone)));
    let write = bench.expect_replace("L@10");
    assert_eq!(write.record.nonce.as_str(), "n-1");
    assert!(!bench.leads());
    bench.lock(lock("L@11", &write));
    assert_eq!(bench.token().as_deref(), Some("11"));
    assert!(
        bench
            .notices
            .iter()
            .any(|notice| matches!(notice, Notice::Acquired { again: true, .. }))
    );
}

#[test]
fn f3_another_live_process_of_the_container_is_waited_for() {
    let mut bench = standing_before(config(), lock("L@10", &former_write()));
    bench.expect_inspect(&process(5));
    bench.answer(Outcome::Done(Answer::Process(ProcessSight::Alive)));
    bench.expect_rest();
    assert!(!bench.leads());
}

#[test]
fn f3_another_election_of_this_very_process_is_waited_for() {
    let mut write = former_write();
    write.record.process = Some(process(7));
    write.record.container_id = Some("new".into());
    let bench = standing_before(config(), lock("L@10", &write));
    bench.expect_rest();
}

#[test]
fn f3_another_container_of_the_pod_is_waited_for() {
    let mut write = former_write();
    write.record.container = Some("other".into());
    let mut bench = standing_before(config(), lock("L@10", &write));
    // Its process is none of ours: only a death that the kubelet reports counts (F9).
    bench.expect_read_pod("a");
    bench.pod(pod("A", None));
    bench.expect_rest();
}

#[test]
fn f3_a_process_of_another_namespace_or_boot_is_proven_gone_by_its_container_only() {
    type Spoil = fn(&mut ProcessId);
    let spoil: [Spoil; 2] = [
        |process| process.pid_namespace = "pid:[2]".into(),
        |process| process.boot_id = "another boot".into(),
    ];
    for spoil in spoil {
        let mut write = former_write();
        spoil(write.record.process.as_mut().unwrap());
        let mut bench = standing_before(config(), lock("L@10", &write));
        // Its number would say nothing here: it is not even looked at.
        bench.expect_read_pod("a");
        let mut own = pod("A", None);
        own.restart_policy = RestartPolicy::Always;
        bench.pod(own.clone());
        bench.expect_rest();
        bench.sleep();
        bench.lock(lock("L@10", &write));
        bench.expect_read_pod("a");
        own.containers[0].last_terminated = Some(terminated("old"));
        bench.pod(own);
        bench.expect_replace("L@10");
    }
}

#[test]
fn f3_a_process_that_cannot_be_looked_at_is_proven_gone_by_its_container_only() {
    for sight in [ProcessSight::OtherNamespace, ProcessSight::Unknown] {
        let mut bench = standing_before(config(), lock("L@10", &former_write()));
        bench.expect_inspect(&process(5));
        bench.answer(Outcome::Done(Answer::Process(sight)));
        bench.expect_read_pod("a");
        bench.pod(pod("A", Some(terminated("another"))));
        bench.expect_rest();
    }
}

#[test]
fn f3_what_is_said_of_the_container_that_this_process_runs_in_proves_nothing() {
    let mut write = former_write();
    write.record.process = None;
    write.record.container_id = Some("new".into());
    let mut bench = standing_before(config(), lock("L@10", &write));
    bench.expect_read_pod("a");
    bench.pod(pod("A", Some(terminated("new"))));
    bench.expect_rest();
}

#[test]
fn f3_a_lock_without_a_record_is_taken_up_again_only_in_a_pod_of_one_container() {
    let bench = standing_before(config(), seeds_lock("L@10", "a", "A"));
    bench.expect_rest();
    let alone = LifeConfig {
        me: Me {
            single_container: true,
            ..me("a", "A")
        },
        ..config()
    };
    let bench = standing_before(alone, seeds_lock("L@10", "a", "A"));
    bench.expect_replace("L@10");
}

#[test]
fn f3_a_replace_that_came_too_late_grants_nothing() {
    for outcome in [Outcome::Conflict, Outcome::NotFound("gone".into())] {
        let mut bench = standing_before(config(), lock("L@10", &former_write()));
        bench.answer(Outcome::Done(Answer::Process(ProcessSight::Gone)));
        bench.expect_replace("L@10");
        bench.answer(outcome);
        assert!(!bench.leads());
        bench.expect_read();
        bench.lock(lock_of_b("M@12"));
        assert!(!bench.leads());
    }
}

#[test]
fn f4_a_create_of_unknown_outcome_is_settled_by_a_read_and_its_nonce() {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    bench.unknown();
    bench.expect_rest();
    bench.sleep();
    bench.expect_read();
    bench.lock(lock("L@12", &write));
    assert_eq!(
        bench.token().as_deref(),
        Some("12"),
        "the read's is the token"
    );
}

#[test]
fn f4_what_another_process_of_the_same_pod_wrote_settles_nothing() {
    let mut bench = Bench::standing();
    bench.absent();
    let mut write = bench.expect_create();
    bench.unknown();
    bench.sleep();
    // All but the nonce is equal.
    write.record.nonce = tenure_core::Nonce::new("m-1");
    bench.lock(lock("L@12", &write));
    assert!(!bench.leads());
    bench.expect_rest();
}

#[test]
fn f4_a_watch_event_with_ones_own_nonce_grants_nothing_but_a_read() {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    bench.unknown();
    bench.watch(lock("L@12", &write));
    assert!(!bench.leads());
    bench.expect_read();
    bench.lock(lock("L@12", &write));
    assert!(bench.leads());
}

#[test]
fn f4_a_create_that_lands_after_one_withdrew_is_deleted() {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    bench.unknown();
    bench.command(Command::Withdraw);
    // Nothing comes for an hour; it is still looked for, at most every 30 s.
    let mut looks = 0;
    let begin = bench.now();
    while bench.now().since(begin) < 3600 * SECOND {
        bench.sleep();
        bench.expect_read();
        bench.absent();
        looks += 1;
    }
    assert!((120..300).contains(&looks), "{looks}");
    bench.sleep();
    bench.lock(lock("L@90", &write));
    assert!(!bench.leads());
    bench.expect_delete("L@90");
    bench.answer(Outcome::Done(Answer::Deleted));
    assert_eq!(
        bench.elector.deadline(),
        None,
        "nothing is left to look for"
    );
}

#[test]
fn f4_a_late_create_of_an_earlier_term_is_deleted_when_the_watch_shows_it() {
    let mut bench = Bench::standing();
    bench.absent();
    let late = bench.expect_create();
    bench.unknown();
    bench.sleep();
    bench.absent();
    let write = bench.expect_create();
    assert_ne!(late.record.nonce, write.record.nonce);
    bench.lock(lock("L@20", &write));
    bench.command(Command::WorkEnded { release: true });
    bench.expect_delete("L@20");
    bench.answer(Outcome::Done(Answer::Deleted));
    bench.watch(lock("M@30", &late));
    bench.expect_read();
    bench.lock(lock("M@30", &late));
    bench.expect_delete("M@30");
}

#[test]
fn f4_withdrawn_while_the_create_is_under_way_it_is_given_back() {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    bench.command(Command::Withdraw);
    bench.lock(lock("L@10", &write));
    assert!(!bench.leads());
    bench.expect_delete("L@10");
    bench.answer(Outcome::Done(Answer::Deleted));
    bench.expect_rest();
    assert_eq!(bench.elector.deadline(), None);
}

#[test]
fn f4_a_withdrawn_create_that_only_the_watch_showed_is_given_back() {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    bench.watch(lock("L@10", &write));
    bench.command(Command::Withdraw);
    bench.unknown();
    if bench.is_idle() {
        bench.sleep();
    }
    bench.expect_read();
    bench.lock(lock("L@10", &write));
    bench.expect_delete("L@10");
}

#[test]
fn f4_standing_again_over_a_withdrawn_create_is_a_replace() {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    bench.command(Command::Withdraw);
    bench.command(Command::Stand);
    bench.lock(lock("L@10", &write));
    assert!(!bench.leads());
    let again = bench.expect_replace("L@10");
    bench.lock(lock("L@11", &again));
    assert_eq!(bench.token().as_deref(), Some("11"));
}

#[test]
fn f4_standing_again_after_a_delete_of_unknown_outcome_is_a_replace_and_never_a_read() {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    bench.unknown();
    bench.command(Command::Withdraw);
    bench.sleep();
    bench.lock(lock("L@10", &write));
    bench.expect_delete("L@10");
    bench.command(Command::Stand);
    bench.unknown();
    bench.expect_read();
    bench.lock(lock("L@10", &write));
    assert!(!bench.leads(), "the delete may still land");
    let again = bench.expect_replace("L@10");
    bench.lock(lock("L@11", &again));
    assert_eq!(bench.token().as_deref(), Some("11"));
}

#[test]
fn f4_a_replace_of_unknown_outcome_is_settled_by_a_read_and_its_nonce() {
    let mut bench = standing_before(config(), lock("L@10", &former_write()));
    bench.answer(Outcome::Done(Answer::Process(ProcessSight::Gone)));
    let write = bench.expect_replace("L@10");
    bench.unknown();
    bench.sleep();
    bench.expect_read();
    bench.lock(lock("L@11", &write));
    assert_eq!(bench.token().as_deref(), Some("11"));
}

#[test]
fn l9_an_acknowledgement_older_than_a_loss_already_seen_grants_nothing() {
    for seen in [Some("M@12"), None] {
        let mut bench = Bench::standing();
        bench.absent();
        let write = bench.expect_create();
        match seen {
            Some(state) => bench.watch(lock_of_b(state)),
            None => bench.watch_gone("L@12"),
        }
        bench.lock(lock("L@10", &write));
        assert!(!bench.leads());
        assert!(!bench.is_idle());
    }
}

#[test]
fn l9_an_acknowledgement_that_the_watch_overtook_with_ones_own_lock_grants() {
    let mut bench = Bench::standing();
    bench.absent();
    let write = bench.expect_create();
    // Somebody put a label on it meanwhile.
    bench.watch(lock("L@11", &write));
    bench.lock(lock("L@10", &write));
    assert_eq!(bench.token().as_deref(), Some("10"));
    bench.command(Command::WorkEnded { release: true });
    bench.expect_delete("L@11");
}

#[test]
fn a_standby_shows_who_holds_the_lock_and_since_when() {
    let mut bench = standing_before(config(), lock_of_b("L@10"));
    let since = bench.now();
    bench.pod(pod("B", None));
    bench.sleep();
    bench.lock(lock_of_b("L@11"));
    let Status::Standby {
        holder: Some(holder),
        ..
    } = bench.elector.status()
    else {
        panic!("{:?}", bench.elector.status());
    };
    assert_eq!((&*holder.identity, holder.since), ("b", since));
    let told = |n: &&Notice| matches!(n, Notice::Holder(Some(_)));
    assert_eq!(bench.notices.iter().filter(told).count(), 1);
    bench.feed(Event::Tick);
}
