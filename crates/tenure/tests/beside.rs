//! Kubernetes Events and labels on the own Pod, over the embedded server, on virtual time: what is told,
//! and that nothing of it stands in the way of leading.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tenure::{
    Builder, ContextInfo, ElectionError, LeaderElection, LeaderElectionSet, Leadership, Released,
    SettingsError, clock,
    context_info::{FixedSources, OwnPod},
};
use tenure_apiserver::{Answer, ApiServer, Fault, FaultAction, TokioClock};
use tokio::{task::JoinHandle, time::Instant};

const S: Duration = Duration::from_secs(1);
const LEASES: &str = "leases.coordination.k8s.io";
const PODS: &str = "pods";
const EVENTS: &str = "events";

fn server() -> ApiServer {
    ApiServer::builder()
        .clock(TokioClock::new(std::time::UNIX_EPOCH + 1_767_225_600 * S))
        .seed(1)
        .build()
}

async fn call(server: &ApiServer, method: &str, path: &str, body: Value) -> Value {
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header(
            "content-type",
            if method == "PATCH" {
                "application/merge-patch+json"
            } else {
                "application/json"
            },
        )
        .body(body.to_string().into_bytes())
        .unwrap();
    let people = Client::new(server.service(), "default");
    people.request(request).await.unwrap()
}

/// A Pod with these labels; its uid.
async fn pod(server: &ApiServer, name: &str, labels: Value) -> String {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "main", "image": "x"}]},
    });
    let pod = call(server, "POST", "/api/v1/namespaces/default/pods", pod).await;
    pod["metadata"]["uid"].as_str().unwrap().to_owned()
}

async fn patch_labels(server: &ApiServer, pod: &str, labels: Value) {
    let path = format!("/api/v1/namespaces/default/pods/{pod}");
    let patch = json!({"metadata": {"labels": labels}});
    call(server, "PATCH", &path, patch).await;
}

fn lease() -> Builder {
    LeaderElection::lease_lock("nightly")
}

/// A candidate of the Pod of that name.
fn candidate(
    server: &ApiServer,
    name: &str,
    uid: &str,
    builder: Builder,
    seed: u64,
) -> LeaderElection {
    let context = ContextInfo::outside("default", name).with_pod(OwnPod::new("default", name, uid));
    builder
        .clock(clock::tokio_clock())
        .seed(seed)
        .build_over(Client::new(server.service(), "default"), context)
        .unwrap()
}

fn stands(candidate: &LeaderElection) -> JoinHandle<Leadership> {
    let candidate = candidate.clone();
    tokio::spawn(async move { candidate.acquire().await.unwrap() })
}

/// All Events, in the order of their own times.
async fn events(server: &ApiServer) -> Vec<Value> {
    let path = "/apis/events.k8s.io/v1/namespaces/default/events";
    let list = call(server, "GET", path, Value::Null).await;
    let mut events = list["items"].as_array().unwrap().clone();
    events.sort_by_key(|event| event["eventTime"].as_str().unwrap().to_owned());
    events
}

fn labels_of(server: &ApiServer, pod: &str) -> (Option<String>, Option<String>) {
    let pod = server.object(PODS, "default", pod).unwrap();
    let label = |key: &str| pod["metadata"]["labels"][key].as_str().map(str::to_owned);
    (label("tenure.dev/candidate"), label("tenure.dev/role"))
}

const NONE: (Option<String>, Option<String>) = (None, None);

fn waits() -> (Option<String>, Option<String>) {
    (Some("nightly".to_owned()), None)
}

fn leads() -> (Option<String>, Option<String>) {
    (Some("nightly".to_owned()), Some("leader".to_owned()))
}

#[tokio::test(start_paused = true)]
async fn each_term_is_told_of_when_it_begins_and_when_it_ends() {
    let server = server();
    let (a_uid, b_uid) = (
        pod(&server, "a", json!({})).await,
        pod(&server, "b", json!({})).await,
    );
    let a = candidate(&server, "a", &a_uid, lease().events(), 1);
    let b = candidate(&server, "b", &b_uid, lease().events(), 2);
    let first = a.acquire().await.unwrap();
    let second = stands(&b);
    // Renewals that fail for a while are no Events.
    let fault = Fault::new(FaultAction::Answer(Answer::unavailable()))
        .verb("update")
        .times(2);
    tokio::time::sleep(5 * S).await;
    server.inject(fault);
    tokio::time::sleep(20 * S).await;
    first.step_down();
    let reason = first.lost().await;
    first.release().await;
    let second = second.await.unwrap();
    // The lock is taken from the second.
    let mut lease = server.object(LEASES, "default", "nightly").unwrap();
    let lock_uid = lease["metadata"]["uid"].clone();
    lease["spec"]["holderIdentity"] = "thief".into();
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/nightly";
    call(&server, "PUT", path, lease).await;
    second.lost().await;
    drop(second);
    tokio::time::sleep(5 * S).await;

    let events = events(&server).await;
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            let text = |name: &str| event[name].as_str().unwrap().to_owned();
            (text("reason"), text("type"), event["related"].clone())
        })
        .collect();
    let by = |name: &str, uid: &str| json!({"apiVersion": "v1", "kind": "Pod", "namespace": "default", "name": name, "uid": uid});
    let (became, stopped) = ("BecameLeader".to_owned(), "StoppedLeading".to_owned());
    let (normal, warning) = ("Normal".to_owned(), "Warning".to_owned());
    assert_eq!(
        told,
        [
            (became.clone(), normal.clone(), by("a", &a_uid)),
            (stopped.clone(), normal.clone(), by("a", &a_uid)),
            (became, normal, by("b", &b_uid)),
            (stopped, warning, by("b", &b_uid)),
        ],
        "{events:#?}"
    );
    for event in &events {
        assert_eq!(
            event["regarding"],
            json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "namespace": "default",
                "name": "nightly", "uid": lock_uid,
            })
        );
        assert_eq!(event["reportingController"], "tenure.dev/tenure");
        assert_eq!(event["metadata"]["namespace"], "default");
        assert!(event.get("series").is_none_or(Value::is_null));
    }
    let note = |at: usize| events[at]["note"].as_str().unwrap();
    assert!(note(0).contains("token "), "{}", note(0));
    assert!(
        note(1).contains(&reason.to_string()) && note(1).contains("released"),
        "{}",
        note(1)
    );
    assert!(note(3).contains("thief holds the lock now"), "{}", note(3));
    assert!(
        events[0]["reportingInstance"]
            .as_str()
            .unwrap()
            .starts_with("a_"),
        "{}",
        events[0]
    );
}

#[tokio::test(start_paused = true)]
async fn an_election_that_is_not_asked_to_tell_tells_nothing() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    let a = candidate(&server, "a", &uid, lease(), 1);
    let leadership = a.acquire().await.unwrap();
    tokio::time::sleep(60 * S).await;
    leadership.release().await;
    a.close().await;
    assert_eq!(events(&server).await, [] as [Value; 0]);
    assert_eq!(labels_of(&server, "a"), NONE);
    let asked = server
        .requests()
        .into_keys()
        .any(|key| key.resource == PODS && key.verb != "create");
    assert!(!asked, "{:?}", server.requests());
}

#[tokio::test(start_paused = true)]
async fn leading_does_not_wait_for_a_server_that_never_answers_events_and_labels() {
    /// How long it took to lead, to renew for a minute, and to release and lead again.
    async fn takes(told: bool) -> [Duration; 3] {
        let server = server();
        let uid = pod(&server, "a", json!({})).await;
        for (verb, resource) in [
            ("create", EVENTS),
            ("get", PODS),
            ("patch", PODS),
            ("list", PODS),
        ] {
            server.inject(Fault::new(FaultAction::Hang).verb(verb).resource(resource));
        }
        let builder = if told {
            lease().events().label_pod()
        } else {
            lease()
        };
        let a = candidate(&server, "a", &uid, builder, 1);
        let start = Instant::now();
        let first = a.acquire().await.unwrap();
        let led = start.elapsed();
        tokio::time::sleep(60 * S).await;
        assert!(first.is_leading());
        let release = Instant::now();
        assert_eq!(first.release().await, Released::Free);
        let released = release.elapsed();
        let again = a.acquire().await.unwrap();
        let led_again = release.elapsed();
        again.release().await;
        a.close().await;
        [led, released, led_again]
    }
    assert_eq!(takes(true).await, takes(false).await);
}

#[tokio::test(start_paused = true)]
async fn the_last_event_has_a_bounded_moment_to_leave() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    let a = candidate(&server, "a", &uid, lease().events(), 1);
    let leadership = a.acquire().await.unwrap();
    let slow = server.inject(
        Fault::new(FaultAction::Delay(Duration::from_millis(800)))
            .verb("create")
            .resource(EVENTS),
    );
    leadership.release().await;
    a.close().await;
    assert_eq!(events(&server).await.len(), 2);
    server.heal(slow);

    let b = candidate(&server, "a", &uid, lease().events().cooldown(S), 2);
    let leadership = b.acquire().await.unwrap();
    tokio::time::sleep(S).await;
    server.inject(
        Fault::new(FaultAction::Hang)
            .verb("create")
            .resource(EVENTS),
    );
    leadership.release().await;
    let start = Instant::now();
    b.close().await;
    assert_eq!(start.elapsed(), S, "the farewell's bound");
    server.heal_all();
    tokio::time::sleep(120 * S).await;
    assert_eq!(
        events(&server).await.len(),
        3,
        "nothing goes on after the end"
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_answer_was_lost_is_told_once() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    for action in [
        FaultAction::LoseAnswer,
        FaultAction::Answer(Answer::unavailable()),
        FaultAction::HangAfter,
    ] {
        server.inject(Fault::new(action).verb("create").resource(EVENTS).times(1));
    }
    let a = candidate(&server, "a", &uid, lease().events(), 1);
    let leadership = a.acquire().await.unwrap();
    tokio::time::sleep(60 * S).await;
    leadership.release().await;
    a.close().await;
    let events = events(&server).await;
    let reasons: Vec<_> = events.iter().map(|event| &event["reason"]).collect();
    assert_eq!(reasons, ["BecameLeader", "StoppedLeading"]);
}

#[tokio::test(start_paused = true)]
async fn many_terms_are_told_of_in_pairs_and_what_is_left_out_is_counted() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    let a = candidate(
        &server,
        "a",
        &uid,
        lease().events().cooldown(Duration::ZERO),
        1,
    );
    let start = Instant::now();
    for _ in 0..20 {
        a.acquire().await.unwrap().release().await;
    }
    assert!(start.elapsed() < 50 * S, "{:?}", start.elapsed());
    tokio::time::sleep(S).await;
    assert_eq!(events(&server).await.len(), 20, "ten terms of twenty");
    tokio::time::sleep(300 * S).await;
    a.acquire().await.unwrap().release().await;
    a.close().await;
    let events = events(&server).await;
    assert_eq!(events.len(), 22);
    let note = events[20]["note"].as_str().unwrap();
    assert!(
        note.contains("20 Events before this one are missing"),
        "{note}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_right_to_events_is_no_reason_not_to_lead() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    server.deny("create", EVENTS);
    server.deny("create", "events.events.k8s.io");
    let a = candidate(&server, "a", &uid, lease().events(), 1);
    for _ in 0..3 {
        let leadership = a.acquire().await.unwrap();
        tokio::time::sleep(30 * S).await;
        assert!(leadership.is_leading());
        leadership.release().await;
    }
    let tried: u64 = server
        .requests()
        .into_iter()
        .filter(|(key, _)| key.resource.starts_with(EVENTS) && key.code == 403)
        .map(|(_, count)| count)
        .sum();
    assert_eq!(tried, 6, "each is sent once: {:?}", server.requests());
    server.allow_all();
    a.acquire().await.unwrap().release().await;
    a.close().await;
    let events = events(&server).await;
    assert_eq!(events.len(), 2);
    let note = events[0]["note"].as_str().unwrap();
    assert!(
        note.contains("6 Events before this one are missing"),
        "{note}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_set_leads_no_later_for_the_events_of_its_many_locks() {
    /// How long until a hundred locks were led, and until all were released.
    async fn takes(hangs: bool) -> [Duration; 2] {
        let server = server();
        let connection = tenure::Connection::over(Client::new(server.service(), "default"));
        let set = LeaderElectionSet::over(&connection, ContextInfo::outside("default", "a"));
        if hangs {
            server.inject(
                Fault::new(FaultAction::Hang)
                    .verb("create")
                    .resource(EVENTS),
            );
        }
        let start = Instant::now();
        let mut standing = Vec::new();
        for shard in 0..100 {
            let builder = LeaderElection::lease_lock(format!("shard-{shard}"));
            let builder = builder.clock(clock::tokio_clock()).seed(shard);
            let builder = if hangs { builder.events() } else { builder };
            standing.push(stands(&set.add(builder).unwrap()));
        }
        let mut leading = Vec::new();
        for standing in standing {
            leading.push(standing.await.unwrap());
        }
        let led = start.elapsed();
        tokio::time::sleep(60 * S).await;
        assert!(leading.iter().all(|leadership| leadership.is_leading()));
        let start = Instant::now();
        for leadership in leading {
            assert_eq!(leadership.release().await, Released::Free);
        }
        [led, start.elapsed()]
    }
    assert_eq!(takes(true).await, takes(false).await);
}

#[tokio::test(start_paused = true)]
async fn a_lock_for_life_is_told_of_by_its_own_kind() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    let builder = LeaderElection::config_map_lock("nightly")
        .events()
        .label_pod();
    let a = candidate(&server, "a", &uid, builder, 1);
    let leadership = a.acquire().await.unwrap();
    tokio::time::sleep(S).await;
    assert_eq!(labels_of(&server, "a"), leads());
    let lock = server.object("configmaps", "default", "nightly").unwrap();
    leadership.release().await;
    a.close().await;
    assert_eq!(labels_of(&server, "a"), NONE);
    let events = events(&server).await;
    assert_eq!(events.len(), 2);
    for event in events {
        assert_eq!(event["regarding"]["kind"], "ConfigMap");
        assert_eq!(event["regarding"]["apiVersion"], "v1");
        assert_eq!(event["regarding"]["uid"], lock["metadata"]["uid"]);
        assert!(!event["note"].as_str().unwrap().contains("term"), "{event}");
    }
}

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
    call(&server, "DELETE", "/api/v1/namespaces/default/pods/a", gone).await;
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
async fn a_term_ends_before_the_next_begins_even_where_the_release_is_answered_late() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    let a = candidate(&server, "a", &uid, lease().events(), 1);
    let b = candidate(&server, "b", &uid, lease().events(), 2);
    let first = a.acquire().await.unwrap();
    let second = stands(&b);
    tokio::time::sleep(S).await;
    let late = FaultAction::DelayAnswer(Duration::from_millis(900));
    server.inject(Fault::new(late).verb("update").resource("leases").times(1));
    assert_eq!(first.release().await, Released::Free);
    second.await.unwrap().release().await;
    a.close().await;
    b.close().await;
    let events = events(&server).await;
    let reasons: Vec<_> = events.iter().map(|event| &event["reason"]).collect();
    let (became, stopped) = ("BecameLeader", "StoppedLeading");
    assert_eq!(reasons, [became, stopped, became, stopped], "{events:#?}");
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
    let people = async {
        let path = "/api/v1/namespaces/default/pods/b";
        call(&server, "PATCH", path, meanwhile).await
    };
    people.await;
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

#[tokio::test(start_paused = true)]
async fn a_pod_that_may_not_be_read_is_known_by_what_the_process_was_told() {
    let server = server();
    let uid = pod(&server, "a", json!({})).await;
    server.deny("get", PODS);
    let client = Client::new(server.service(), "default");
    let sources = FixedSources::new()
        .env("NAMESPACE", "default")
        .env("POD_NAME", "a")
        .env("POD_UID", &uid);
    let context = ContextInfo::discover_from(&client, &sources, None)
        .await
        .unwrap();
    assert!(context.own_pod().is_err());
    let builder = lease().events().label_pod();
    let builder = builder.clock(clock::tokio_clock()).seed(1);
    let a = builder.build_over(client.clone(), context).unwrap();
    let leadership = a.acquire().await.unwrap();
    tokio::time::sleep(S).await;
    assert_eq!(labels_of(&server, "a"), leads());
    leadership.release().await;
    a.close().await;
    let events = events(&server).await;
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|event| event["related"]["uid"] == *uid));

    // By its name alone it can be told of, but not labelled: its labels could be another Pod's.
    let sources = FixedSources::new()
        .env("NAMESPACE", "default")
        .env("POD_NAME", "a");
    let context = ContextInfo::discover_from(&client, &sources, None)
        .await
        .unwrap();
    let built = lease().label_pod().build_over(client, context);
    assert!(matches!(built, Err(ElectionError::Context(_))));
}
