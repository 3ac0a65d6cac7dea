//! Kubernetes Events, over the embedded server, on virtual time: what is told, and that nothing of it
//! stands in the way of leading.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod beside;
mod embedded;

use std::time::Duration;

use beside::{EVENTS, NONE, PODS, candidate, events, labels_of, leads, lease, pod};
use embedded::{LEASE, LEASES, S, call, server, stands};
use kube::Client;
use serde_json::{Value, json};
use tenure::{
    ContextInfo, ElectionError, LeaderElection, LeaderElectionSet, Released, clock,
    context_info::FixedSources,
};
use tenure_apiserver::{Answer, Fault, FaultAction};
use tokio::time::Instant;

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
    call(&server, "PUT", LEASE, &lease).await;
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
