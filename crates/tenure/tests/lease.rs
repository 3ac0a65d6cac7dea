//! Elections by a Lease over the embedded server, on virtual time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod embedded;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use embedded::{LEASE, LEASES, S, call, server, stands};
use futures::{FutureExt, StreamExt};
use serde_json::{Value, json};
use tenure::{ContextInfo, LeaderElection, LossReason, Status, clock};
use tenure_apiserver::{ApiServer, Fault, FaultAction};

fn candidate(server: &ApiServer, name: &str, seed: u64) -> LeaderElection {
    builder(seed)
        .build_over(
            kube::Client::new(server.service(), "default"),
            ContextInfo::outside("default", name),
        )
        .unwrap()
}

fn builder(seed: u64) -> tenure::Builder {
    LeaderElection::lease_lock("nightly")
        .clock(clock::tokio_clock())
        .seed(seed)
}

fn lease(server: &ApiServer) -> Value {
    server
        .object(LEASES, "default", "nightly")
        .unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn the_first_candidate_leads_and_a_second_waits_until_it_gives_up() {
    let server = server();
    let (a, b) = (candidate(&server, "a", 1), candidate(&server, "b", 2));
    let first = a.acquire().await.unwrap();
    assert!(first.is_leading());
    assert_eq!(first.term(), 1);
    assert_eq!(lease(&server)["spec"]["holderIdentity"], a.identity());

    let mut waiting = stands(&b);
    assert!(tokio::time::timeout(60 * S, &mut waiting).await.is_err());
    assert!(first.is_leading());
    assert!(
        matches!(&*b.status().borrow(), Status::Standby { holder: Some(h), .. } if *h.identity == *a.identity())
    );

    let handle = first.handle();
    first.release().await;
    assert!(!handle.is_leading());
    let second = tokio::time::timeout(S, waiting)
        .await
        .expect("at once")
        .unwrap();
    assert!(second.is_leading());
    assert_eq!(second.term(), 2);
    assert!(second.token().newer_than(handle.token()));
}

#[tokio::test(start_paused = true)]
async fn a_released_lease_has_all_four_fields_and_the_mark() {
    let server = server();
    let a = candidate(&server, "a", 1);
    a.acquire().await.unwrap().release().await;
    let lease = lease(&server);
    assert_eq!(lease["spec"]["holderIdentity"], "");
    assert_eq!(lease["spec"]["leaseDurationSeconds"], 1);
    assert_eq!(lease["spec"]["leaseTransitions"], 1);
    assert!(lease["spec"]["renewTime"].is_string() && lease["spec"]["acquireTime"].is_string());
    let mark = lease["metadata"]["annotations"]["tenure.dev/write"]
        .as_str()
        .unwrap();
    assert!(mark.contains("\"released\":true"), "{mark}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_vanishes_is_replaced_when_its_lease_has_run_out_and_not_before() {
    let server = server();
    let (a, b) = (candidate(&server, "a", 1), candidate(&server, "b", 2));
    let first = a.acquire().await.unwrap();
    let waiting = stands(&b);
    tokio::time::sleep(5 * S).await;
    let died = tokio::time::Instant::now();
    drop(first); // no release: as if it had been killed
    let _second = waiting.await.unwrap();
    let gap = died.elapsed();
    assert!(gap > 12 * S && gap < 16 * S, "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn l9_a_thief_ends_leadership_at_once_and_run_as_leader_gives_none() {
    let server = server();
    let a = candidate(&server, "a", 1);
    let told = Arc::new(AtomicBool::new(false));
    let run = tokio::spawn({
        let (a, told) = (a.clone(), Arc::clone(&told));
        async move {
            a.run_as_leader(|leadership| async move {
                leadership.lost().await;
                assert!(!leadership.is_leading());
                told.store(true, Ordering::SeqCst);
                std::future::pending::<Result<(), Infallible>>().await
            })
            .await
        }
    });
    let mut status = a.status();
    status.wait_for(Status::leads).await.unwrap();
    let mut stolen = lease(&server);
    stolen["spec"]["holderIdentity"] = "thief".into();
    call(&server, "PUT", LEASE, &stolen).await;
    assert_eq!(run.await.unwrap().unwrap(), None);
    assert!(told.load(Ordering::SeqCst));
    assert_eq!(
        *status.wait_for(|s| !s.leads()).await.unwrap(),
        Status::Lost {
            reason: LossReason::TakenBy("thief".into())
        }
    );
    assert_eq!(
        lease(&server)["spec"]["holderIdentity"],
        "thief",
        "L11: nothing is released"
    );
}

#[tokio::test(start_paused = true)]
async fn l10_the_work_is_told_one_grace_before_validity_ends_and_belief_ends_with_validity() {
    let server = server();
    let a = candidate(&server, "a", 1);
    let leadership = a.acquire().await.unwrap();
    let until = leadership.valid_until().unwrap();
    server.set_reachable(false);
    let reason = leadership.lost().await;
    assert_eq!(reason, LossReason::Expired);
    assert!(leadership.is_leading(), "told in time, so still in office");
    let left = leadership.remaining().unwrap();
    assert!(left <= 3 * S && left > 2 * S, "{left:?}");
    assert_eq!(leadership.valid_until(), Some(until));
    tokio::time::sleep(left).await;
    assert!(!leadership.is_leading());
    assert!(leadership.lost().now_or_never().is_some());
}

#[tokio::test(start_paused = true)]
async fn l6_a_renewal_whose_reply_is_lost_is_adopted_and_costs_no_leadership() {
    let server = server();
    let a = candidate(&server, "a", 1);
    let leadership = a.acquire().await.unwrap();
    server.inject(Fault::new(FaultAction::LoseAnswer).verb("update").times(1));
    tokio::time::sleep(60 * S).await;
    assert!(leadership.is_leading());
    assert_eq!(leadership.term(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_watch_a_waiter_polls() {
    let server = server();
    server.deny("watch", "leases");
    let (a, b) = (candidate(&server, "a", 1), candidate(&server, "b", 2));
    let first = a.acquire().await.unwrap();
    let waiting = stands(&b);
    tokio::time::sleep(20 * S).await;
    first.release().await;
    let second = tokio::time::timeout(3 * S, waiting)
        .await
        .expect("within a poll")
        .unwrap();
    assert!(second.is_leading());
}

#[tokio::test(start_paused = true)]
async fn the_election_outlives_an_outage_of_any_length() {
    let server = server();
    server.set_reachable(false);
    let a = candidate(&server, "a", 1);
    let waiting = stands(&a);
    tokio::time::sleep(3600 * S).await;
    assert!(!waiting.is_finished());
    assert!(a.healthy(5 * S));
    server.set_reachable(true);
    let leadership = tokio::time::timeout(10 * S, waiting)
        .await
        .expect("soon")
        .unwrap();
    assert!(leadership.is_leading());
}

#[tokio::test(start_paused = true)]
async fn work_that_ends_gives_its_value_and_frees_the_lock() {
    let server = server();
    let a = candidate(&server, "a", 1);
    let value = a
        .run_as_leader(|_| async { Ok::<_, Infallible>(7) })
        .await
        .unwrap();
    assert_eq!(value, Some(7));
    assert_eq!(lease(&server)["spec"]["holderIdentity"], "");
    let error = a
        .run_as_leader(|_| async { Err::<(), _>("no disk") })
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "no disk");
    assert_eq!(lease(&server)["spec"]["holderIdentity"], "");
    assert_eq!(lease(&server)["spec"]["leaseTransitions"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_work_goes_on_after_the_lock_was_given_up() {
    let server = server();
    let a = candidate(&server, "a", 1);
    let run = tokio::spawn({
        let a = a.clone();
        async move {
            let _ = a
                .run_as_leader(|_| async {
                    panic!("boom");
                    #[allow(unreachable_code)]
                    Ok::<(), Infallible>(())
                })
                .await;
        }
    });
    assert!(run.await.unwrap_err().is_panic());
    assert_eq!(lease(&server)["spec"]["holderIdentity"], "");
}

#[tokio::test(start_paused = true)]
async fn a_value_that_comes_in_the_grace_after_a_loss_is_given_with_the_loss_told() {
    let server = server();
    let a = candidate(&server, "a", 1);
    let run = a.run_as_leader(|leadership| async move {
        leadership.step_down();
        let reason = leadership.lost().await;
        assert_eq!(leadership.lost_reason(), Some(reason));
        tokio::time::sleep(S).await;
        Ok::<_, Infallible>("finished")
    });
    assert_eq!(run.await.unwrap(), Some("finished"));
}

#[tokio::test(start_paused = true)]
async fn an_acquire_that_is_dropped_stands_no_more() {
    let server = server();
    let a = candidate(&server, "a", 1);
    assert!(
        tokio::time::timeout(Duration::ZERO, a.acquire())
            .await
            .is_err()
    );
    tokio::time::sleep(30 * S).await;
    assert_ne!(lease(&server)["spec"]["holderIdentity"], a.identity());
    let b = candidate(&server, "b", 2);
    let leadership = tokio::time::timeout(20 * S, b.acquire())
        .await
        .unwrap()
        .unwrap();
    assert!(leadership.is_leading());
}

#[tokio::test(start_paused = true)]
async fn leader_changes_shows_each_holder() {
    let server = server();
    let (a, b) = (candidate(&server, "a", 1), candidate(&server, "b", 2));
    let changes = b.leader_changes();
    a.acquire().await.unwrap().release().await;
    let leadership = b.acquire().await.unwrap();
    leadership.release().await;
    let (a_id, b_id) = (a.identity().to_owned(), b.identity().to_owned());
    drop((a, b));
    let holders: Vec<_> = changes
        .map(|h| h.map(|h| h.identity.to_string()))
        .collect()
        .await;
    assert!(holders.contains(&Some(b_id)), "{holders:?} {a_id}");
}

#[tokio::test(start_paused = true)]
async fn a_step_down_of_a_standby_changes_nothing() {
    let server = server();
    let (a, b) = (candidate(&server, "a", 1), candidate(&server, "b", 2));
    let first = a.acquire().await.unwrap();
    let waiting = stands(&b);
    tokio::time::sleep(S).await;
    b.step_down();
    tokio::time::sleep(S).await;
    first.release().await;
    let second = tokio::time::timeout(S, waiting)
        .await
        .expect("it stands on")
        .unwrap();
    assert!(second.is_leading());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_namespace_is_told_in_the_status_and_waited_for() {
    let server = server();
    let election = builder(1)
        .namespace("nowhere")
        .build_over(
            kube::Client::new(server.service(), "default"),
            ContextInfo::outside("default", "a"),
        )
        .unwrap();
    let waiting = stands(&election);
    let mut status = election.status();
    let told = |status: &Status| matches!(status, Status::Standby { error: Some(error), .. } if error.contains("nowhere"));
    status.wait_for(told).await.unwrap();
    assert!(!waiting.is_finished());
    let namespace = json!({"metadata": {"name": "nowhere"}});
    call(&server, "POST", "/api/v1/namespaces", &namespace).await;
    let leadership = tokio::time::timeout(10 * S, waiting)
        .await
        .expect("soon")
        .unwrap();
    assert!(leadership.is_leading());
}

#[tokio::test(start_paused = true)]
async fn who_closes_while_it_acquires_leaves_a_free_lock_behind() {
    let server = server();
    server.inject(Fault::new(FaultAction::DelayAnswer(S)).verb("create"));
    let a = candidate(&server, "a", 1);
    let acquiring = a.clone();
    let acquiring = tokio::spawn(async move { acquiring.acquire().await });
    tokio::time::sleep(S / 2).await;
    assert_eq!(lease(&server)["spec"]["holderIdentity"], a.identity());
    acquiring.abort();
    let began = tokio::time::Instant::now();
    a.close().await;
    assert_eq!(lease(&server)["spec"]["holderIdentity"], "");
    assert!(began.elapsed() <= S, "{:?}", began.elapsed());

    // Where nothing is under way it is done at once.
    let b = candidate(&server, "b", 2);
    let began = tokio::time::Instant::now();
    b.close().await;
    assert!(began.elapsed() < S / 10);
}
