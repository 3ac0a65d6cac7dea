//! Labels on the own Pod, over the embedded server, on virtual time: what the Pod has, when, and what
//! becomes of it where things go wrong.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod beside;
mod embedded;

use std::time::Duration;

use beside::{NONE, PODS, candidate, labels_of, leads, lease, patch_labels, pod, waits};
use embedded::{POD_LIST, S, call, server, stands};
use kube::Client;
use serde_json::json;
use tenure::{
    Builder, ContextInfo, ElectionError, LeaderElection, LeaderElectionSet, SettingsError, clock,
    context_info::OwnPod,
};
use tenure_apiserver::{Answer, Fault, FaultAction};
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn labels_follow_standing_and_leading() {
    let server = server();
    let (a_uid, b_uid) = (
        pod(&server, "a", json!({"app": "x"})).await,
        pod(&server, "b", json!({"app": "x"})).await,
    );
    let a = candidate(&server, "a", &a_uid, lease().label_pod(), 1);
    let b = candidate(&server, "b", &b_uid, lease().label_pod(), 2);
    tokio::time::sleep(5 * S).await;
    assert_eq!(labels_of(&server, "a"), NONE, "it does not stand yet");
    let first = a.acquire().await.unwrap();
    let second = stands(&b);
    tokio::time::sleep(S).await;
    assert_eq!(
        (labels_of(&server, "a"), labels_of(&server, "b")),
        (leads(), waits())
    );
    first.release().await;
    let second = second.await.unwrap();
    tokio::time::sleep(5 * S).await;
    assert_eq!(
        (labels_of(&server, "a"), labels_of(&server, "b")),
        (NONE, leads())
    );
    // Who stands again at once was a candidate all the time.
    second.release().await;
    let is_candidate = async || {
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(labels_of(&server, "b").0.as_deref(), Some("nightly"));
        }
    };
    is_candidate().await;
    assert_eq!(labels_of(&server, "b"), waits(), "the role goes at once");
    let third = stands(&b);
    is_candidate().await;
    third.await.unwrap().release().await;
    b.close().await;
    assert_eq!(labels_of(&server, "b"), NONE);
    let other = server.object(PODS, "default", "b").unwrap();
    assert_eq!(other["metadata"]["labels"], json!({"app": "x"}));
}

#[tokio::test(start_paused = true)]
async fn a_label_that_somebody_changes_is_put_back() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    let a = candidate(&server, "a", &uid, lease().label_pod(), 1);
    let leadership = a.acquire().await.unwrap();
    tokio::time::sleep(S).await;
    for labels in [
        json!({"tenure.dev/role": null}),
        json!({"tenure.dev/role": "follower"}),
        json!({"tenure.dev/candidate": null, "tenure.dev/role": null}),
        json!({"tenure.dev/candidate": "other"}),
    ] {
        patch_labels(&server, "a", labels).await;
        assert_ne!(labels_of(&server, "a"), leads());
        // Half of a lease duration of 15 s, and the call.
        tokio::time::sleep(8 * S).await;
        assert_eq!(labels_of(&server, "a"), leads());
    }
    server.clear_log();
    tokio::time::sleep(300 * S).await;
    let written = server
        .writes()
        .into_iter()
        .any(|write| write.resource == PODS);
    assert!(!written, "what is right is not written again");
    leadership.release().await;
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_process_of_the_pod_left_behind_is_removed_at_the_start() {
    let server = server();
    let left = json!({"tenure.dev/candidate": "nightly", "tenure.dev/role": "leader"});
    let (a_uid, b_uid) = (
        pod(&server, "a", left).await,
        pod(&server, "b", json!({})).await,
    );
    let b = candidate(&server, "b", &b_uid, lease(), 1);
    let _leading = b.acquire().await.unwrap();
    let a = candidate(&server, "a", &a_uid, lease().label_pod(), 2);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(labels_of(&server, "a"), NONE);
    let _standing = stands(&a);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(labels_of(&server, "a"), waits());
}

#[tokio::test(start_paused = true)]
async fn a_leader_takes_the_role_from_a_pod_that_cannot_give_it_up() {
    let server = server();
    let (a_uid, b_uid) = (
        pod(&server, "a", json!({})).await,
        pod(&server, "b", json!({})).await,
    );
    pod(
        &server,
        "elsewhere",
        json!({"tenure.dev/candidate": "other", "tenure.dev/role": "leader"}),
    )
    .await;
    // A leader that is cut off: nothing that it sends arrives any more.
    let cut_off = Client::new(server.service_as("a"), "default");
    let context =
        ContextInfo::outside("default", "a").with_pod(OwnPod::new("default", "a", &a_uid));
    let builder = lease().label_pod().clock(clock::tokio_clock()).seed(1);
    let a = builder.build_over(cut_off, context).unwrap();
    let first = a.acquire().await.unwrap();
    let b = candidate(&server, "b", &b_uid, lease().label_pod(), 2);
    let second = stands(&b);
    tokio::time::sleep(S).await;
    assert_eq!(
        (labels_of(&server, "a"), labels_of(&server, "b")),
        (leads(), waits())
    );
    server.inject(Fault::new(FaultAction::LoseRequest).user("a"));
    first.lost().await;
    drop(first);
    let second = second.await.unwrap();
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(
        (labels_of(&server, "a"), labels_of(&server, "b")),
        (waits(), leads())
    );
    // Somebody gives it to another by hand, while the leader leads.
    patch_labels(&server, "a", json!({"tenure.dev/role": "leader"})).await;
    tokio::time::sleep(8 * S).await;
    assert_eq!(labels_of(&server, "a"), waits());
    let elsewhere = server.object(PODS, "default", "elsewhere").unwrap();
    assert_eq!(elsewhere["metadata"]["labels"]["tenure.dev/role"], "leader");
    assert!(second.is_leading());
}

#[tokio::test(start_paused = true)]
async fn a_role_that_could_not_be_removed_at_the_loss_is_removed_later() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    let a = candidate(&server, "a", &uid, lease().label_pod(), 1);
    let leadership = a.acquire().await.unwrap();
    tokio::time::sleep(S).await;
    for action in [
        FaultAction::Answer(Answer::unavailable()),
        FaultAction::LoseRequest,
        FaultAction::Answer(Answer::status(
            http::StatusCode::CONFLICT,
            "Conflict",
            "again",
        )),
    ] {
        server.inject(Fault::new(action).verb("patch").resource(PODS).times(2));
    }
    server.inject(
        Fault::new(FaultAction::Hang)
            .verb("patch")
            .resource(PODS)
            .times(1),
    );
    leadership.release().await;
    let lost = Instant::now();
    while labels_of(&server, "a").1.is_some() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(lost.elapsed() < 40 * S);
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_arrives_after_the_removal_is_noticed() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    let a = candidate(&server, "a", &uid, lease().label_pod(), 1);
    let standing = stands(&a);
    tokio::time::sleep(S).await;
    standing.await.unwrap().release().await;
    // As if the patch of the term that is over had been on its way until now.
    patch_labels(
        &server,
        "a",
        json!({"tenure.dev/candidate": "nightly", "tenure.dev/role": "leader"}),
    )
    .await;
    tokio::time::sleep(10 * S).await;
    assert_eq!(labels_of(&server, "a"), NONE);
}

#[tokio::test(start_paused = true)]
async fn no_right_to_patch_pods_is_no_reason_not_to_lead() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    server.deny("patch", PODS);
    let a = candidate(&server, "a", &uid, lease().label_pod(), 1);
    let leadership = a.acquire().await.unwrap();
    tokio::time::sleep(120 * S).await;
    assert!(leadership.is_leading());
    assert_eq!(labels_of(&server, "a"), NONE);
    // Pods must not be read or listed either, and it works all the same.
    server.allow_all();
    server.deny("get", PODS);
    server.deny("list", PODS);
    tokio::time::sleep(15 * S).await;
    assert_eq!(labels_of(&server, "a"), leads());
    leadership.release().await;
    a.close().await;
    assert_eq!(labels_of(&server, "a"), NONE);
}

#[tokio::test(start_paused = true)]
async fn another_pod_of_the_same_name_is_not_touched() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    let a = candidate(&server, "a", &uid, lease().label_pod(), 1);
    let leadership = a.acquire().await.unwrap();
    tokio::time::sleep(S).await;
    let gone = json!({"gracePeriodSeconds": 0});
    call(&server, "DELETE", &format!("{POD_LIST}/a"), &gone).await;
    pod(&server, "a", json!({"new": "yes"})).await;
    // Without a look before: the patch itself names the uid.
    leadership.release().await;
    tokio::time::sleep(60 * S).await;
    a.close().await;
    let new = server.object(PODS, "default", "a").unwrap();
    assert_eq!(new["metadata"]["labels"], json!({"new": "yes"}));
    let patched = server
        .requests()
        .into_iter()
        .any(|(key, _)| key.verb == "patch" && key.resource == PODS && key.code == 422);
    assert!(patched, "the uid was refused: {:?}", server.requests());
}

#[tokio::test(start_paused = true)]
async fn two_pods_have_the_role_together_for_no_longer_than_a_lease_duration() {
    // Whoever crashes at whatever moment: the labels are watched every 50 ms.
    for crash_after in [0_u64, 10, 300, 2000, 7000] {
        let server = server();
        let uids = [
            pod(&server, "a", json!({})).await,
            pod(&server, "b", json!({})).await,
        ];
        let user = Client::new(server.service_as("a"), "default");
        let context =
            ContextInfo::outside("default", "a").with_pod(OwnPod::new("default", "a", &uids[0]));
        let builder = lease().label_pod().clock(clock::tokio_clock()).seed(1);
        let a = builder.build_over(user, context).unwrap();
        let first = a.acquire().await.unwrap();
        let b = candidate(&server, "b", &uids[1], lease().label_pod(), 2);
        let second = stands(&b);
        tokio::time::sleep(Duration::from_millis(crash_after)).await;
        server.inject(Fault::new(FaultAction::Hang).user("a"));
        let (mut together, mut led) = (Duration::ZERO, false);
        for _ in 0..1200 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let has = |pod| labels_of(&server, pod).1.is_some();
            if has("a") && has("b") {
                together += Duration::from_millis(50);
            }
            led |= has("b");
        }
        assert!(
            led && together <= 15 * S,
            "{crash_after}: {led} {together:?}"
        );
        drop((first, second));
    }
}

#[tokio::test(start_paused = true)]
async fn labels_that_cannot_be_are_refused_before_anything_is_tried() {
    let server = server();
    let build = |builder: Builder, pod: Option<OwnPod>| {
        let context = ContextInfo::outside("default", "a");
        let context = match pod {
            Some(pod) => context.with_pod(pod),
            None => context,
        };
        builder
            .label_pod()
            .build_over(Client::new(server.service(), "default"), context)
            .map(|_| ())
    };
    let pod = || Some(OwnPod::new("default", "a", "u"));
    assert!(matches!(
        build(lease(), None),
        Err(ElectionError::Context(_))
    ));
    let long = LeaderElection::lease_lock("a".repeat(64));
    assert!(matches!(
        build(long, pod()),
        Err(ElectionError::Settings(SettingsError::Metadata(_)))
    ));
    let elsewhere = lease().namespace("other");
    assert!(matches!(
        build(elsewhere, pod()),
        Err(ElectionError::Settings(
            SettingsError::LabelsElsewhere { .. }
        ))
    ));
    let set = LeaderElectionSet::over(
        &tenure::Connection::over(Client::new(server.service(), "default")),
        ContextInfo::outside("default", "a").with_pod(OwnPod::new("default", "a", "u")),
    );
    assert!(matches!(
        set.add(lease().label_pod()),
        Err(ElectionError::Settings(SettingsError::NotInASet(_)))
    ));
    assert!(set.add(lease().events()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_role_that_was_given_meanwhile_is_not_taken_away() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    let a = candidate(&server, "a", &uid, lease().label_pod(), 1);
    let leadership = a.acquire().await.unwrap();
    tokio::time::sleep(S).await;
    let role = json!({"tenure.dev/candidate": "nightly", "tenure.dev/role": "leader"});
    pod(&server, "b", role).await;
    // The patch that takes it away is on its way for two seconds; the Pod changes meanwhile.
    let slow = Fault::new(FaultAction::Delay(2 * S))
        .verb("patch")
        .name("b");
    let slow = server.inject(slow.times(1));
    while server.struck(slow) == 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let meanwhile = json!({"metadata": {"annotations": {"given": "anew"}}});
    call(&server, "PATCH", &format!("{POD_LIST}/b"), &meanwhile).await;
    let refused = || {
        server
            .requests()
            .into_iter()
            .any(|(key, _)| key.verb == "patch" && key.resource == PODS && key.code == 409)
    };
    while !refused() {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(labels_of(&server, "b").1.is_some());
    }
    // At the next look it is what it was: one that must not have it.
    tokio::time::sleep(2 * S).await;
    assert_eq!(labels_of(&server, "b"), waits());
    leadership.release().await;
}
