//! What people ask by annotations on the lock (L25, L26, F12), over the embedded server, on virtual
//! time: the ordinary ways to lead obey it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod embedded;

use embedded::{LEASE, LEASES, POD_LIST, S, call, server, stands};
use kube::Client;
use serde_json::{Value, json};
use tenure::{
    Builder, ContextInfo, LeaderElection, LossReason, Released, Status, clock, context_info::OwnPod,
};
use tenure_apiserver::ApiServer;
use tokio::time::Instant;

const CONFIG_MAP: &str = "/api/v1/namespaces/default/configmaps/nightly";

fn candidate(server: &ApiServer, pod: &str, builder: Builder, seed: u64) -> LeaderElection {
    let client = Client::new(server.service(), "default");
    builder
        .clock(clock::tokio_clock())
        .seed(seed)
        .build_over(client, ContextInfo::outside("default", pod))
        .unwrap()
}

fn lease() -> Builder {
    LeaderElection::lease_lock("nightly")
}

fn stored(server: &ApiServer) -> Value {
    server.object(LEASES, "default", "nightly").unwrap()
}

async fn annotate(server: &ApiServer, path: &str, annotations: Value) {
    let patch = json!({"metadata": {"annotations": annotations}});
    call(server, "PATCH", path, &patch).await;
}

/// A request to whoever holds the Lease now.
fn request(lease: &Value, to: Option<&str>) -> String {
    json!({
        "holder": lease["spec"]["holderIdentity"],
        "transitions": lease["spec"]["leaseTransitions"],
        "uid": lease["metadata"]["uid"],
        "to": to,
        "by": "eve",
    })
    .to_string()
}

#[tokio::test(start_paused = true)]
async fn l25_a_request_on_the_lease_hands_it_over_and_ends_no_later_term() {
    let server = server();
    let a = candidate(&server, "a", lease(), 1);
    let b = candidate(&server, "b", lease(), 2);
    let c = candidate(&server, "c", lease(), 3);
    let first = a.acquire().await.unwrap();
    let (second, _third) = (stands(&b), stands(&c));
    tokio::time::sleep(3 * S).await;
    let asked = request(&stored(&server), Some("b"));
    annotate(
        &server,
        LEASE,
        json!({"tenure.dev/step-down": asked, "theirs": "x"}),
    )
    .await;
    let asked_at = Instant::now();
    assert_eq!(first.lost().await, LossReason::Asked("eve".into()));
    assert!(asked_at.elapsed() < S, "the watch tells it");
    assert_eq!(first.release().await, Released::Free);
    let second = second.await.unwrap();
    assert_eq!(second.identity(), b.identity());
    let lease = stored(&server);
    let annotations = &lease["metadata"]["annotations"];
    assert_eq!(annotations.get("tenure.dev/step-down"), None);
    assert_eq!(annotations["theirs"], "x", "L5");

    // The same request once more, late: it is one to a term that is over.
    annotate(&server, LEASE, json!({"tenure.dev/step-down": asked})).await;
    tokio::time::sleep(60 * S).await;
    assert!(second.is_leading());
    assert_eq!(
        stored(&server)["metadata"]["annotations"]["tenure.dev/step-down"],
        asked
    );
}

#[tokio::test(start_paused = true)]
async fn l25_garbage_and_requests_to_others_are_passed_over() {
    let server = server();
    let a = candidate(&server, "a", lease(), 1);
    let leadership = a.acquire().await.unwrap();
    let now = stored(&server);
    let mut other = now.clone();
    other["spec"]["holderIdentity"] = "b".into();
    let mut early = now.clone();
    early["spec"]["leaseTransitions"] = 0.into();
    let mut elsewhere = now.clone();
    elsewhere["metadata"]["uid"] = "0d1f6a52-0000-0000-0000-000000000000".into();
    for text in [
        request(&other, None),
        request(&early, None),
        request(&elsewhere, None),
        "{".to_owned(),
        "x".repeat(100_000),
        String::new(),
    ] {
        annotate(&server, LEASE, json!({"tenure.dev/step-down": text})).await;
        tokio::time::sleep(5 * S).await;
        assert!(leadership.is_leading() && leadership.lost_reason().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn l25_run_as_leader_obeys_and_stands_again() {
    let server = server();
    let a = candidate(&server, "a", lease(), 1);
    let (terms, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let task = tokio::spawn(async move {
        // Work that never ends by itself: it is dropped when its grace is over.
        a.run_until_done(|leadership| {
            terms.send(leadership).unwrap();
            std::future::pending::<Result<(), String>>()
        })
        .await
    });
    let first = seen.recv().await.unwrap();
    let asked = request(&stored(&server), None);
    annotate(&server, LEASE, json!({"tenure.dev/step-down": asked})).await;
    let second = seen.recv().await.unwrap();
    assert_eq!(first.lost_reason(), Some(LossReason::Asked("eve".into())));
    assert!(second.term() > first.term() && second.is_leading());
    task.abort();
}

#[tokio::test(start_paused = true)]
async fn l26_a_pause_ends_leadership_and_nobody_takes_the_lease_until_it_is_resumed() {
    let server = server();
    let a = candidate(&server, "a", lease(), 1);
    let b = candidate(&server, "b", lease(), 2);
    let first = a.acquire().await.unwrap();
    let second = stands(&b);
    tokio::time::sleep(3 * S).await;
    let paused = json!({"by": "eve", "reason": "maintenance"}).to_string();
    annotate(&server, LEASE, json!({"tenure.dev/paused": paused})).await;
    assert_eq!(first.lost().await, LossReason::Paused("eve".into()));
    first.release().await;
    let again = stands(&a);
    tokio::time::sleep(300 * S).await;
    assert!(!second.is_finished() && !again.is_finished());
    assert_eq!(stored(&server)["spec"]["holderIdentity"], "");
    let status = b.status().borrow().clone();
    let Status::Paused { paused, holder } = status else {
        panic!("{status:?}");
    };
    assert_eq!((&*paused.reason, holder), ("maintenance", None));

    annotate(&server, LEASE, json!({"tenure.dev/paused": null})).await;
    let resumed = Instant::now();
    tokio::select! {
        leadership = second => assert!(leadership.unwrap().is_leading()),
        leadership = again => assert!(leadership.unwrap().is_leading()),
    }
    assert!(resumed.elapsed() <= 2 * S, "{:?}", resumed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn f12_a_request_on_a_lock_for_life_ends_that_term_alone() {
    let server = server();
    let pod = json!({
        "metadata": {"name": "a"},
        "spec": {"containers": [{"name": "main", "image": "none"}], "restartPolicy": "Never"},
    });
    let made = call(&server, "POST", POD_LIST, &pod).await;
    let own = OwnPod::new("default", "a", made["metadata"]["uid"].as_str().unwrap())
        .with_containers(&["main"])
        .with_container("main");
    let election = LeaderElection::config_map_lock("nightly")
        .clock(clock::tokio_clock())
        .seed(1)
        .build_over(
            Client::new(server.service(), "default"),
            ContextInfo::outside("default", "a").with_pod(own),
        )
        .unwrap();
    let lock = || server.object("configmaps", "default", "nightly");
    let request = |lock: &Value, holder: &Value| {
        json!({"holder": holder, "uid": lock["metadata"]["uid"], "by": "eve"}).to_string()
    };
    let first = election.acquire().await.unwrap();
    let object = lock().unwrap();
    let owner = object["metadata"]["annotations"]["tenure.dev/owner"]
        .as_str()
        .unwrap();
    let owner: Value = serde_json::from_str(owner).unwrap();

    let to_the_pod = request(&object, &json!("a"));
    annotate(
        &server,
        CONFIG_MAP,
        json!({"tenure.dev/step-down": to_the_pod}),
    )
    .await;
    tokio::time::sleep(60 * S).await;
    assert!(first.is_leading() && first.lost_reason().is_none());

    let to_the_term = request(&object, &owner["term"]);
    annotate(
        &server,
        CONFIG_MAP,
        json!({"tenure.dev/step-down": to_the_term}),
    )
    .await;
    assert_eq!(first.lost().await, LossReason::Asked("eve".into()));
    assert_eq!(first.release().await, Released::Free);
    assert_eq!(lock(), None);

    let second = election.acquire().await.unwrap();
    annotate(
        &server,
        CONFIG_MAP,
        json!({"tenure.dev/step-down": to_the_term}),
    )
    .await;
    tokio::time::sleep(60 * S).await;
    assert!(second.is_leading() && second.lost_reason().is_none());
}
