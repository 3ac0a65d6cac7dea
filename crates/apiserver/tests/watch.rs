//! Watches: order, selectors, bookmarks, what is too old and what is still to come.

mod common;

use std::time::Duration;

use common::{LEASES, MAPS, PODS, delete, lease, map, merge, pod, post, watch};
use serde_json::{Value, json};
use tenure_apiserver::{ApiServer, Fault, FaultAction};

fn pair(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}

#[tokio::test(start_paused = true)]
async fn events_come_in_order_after_the_present_state() {
    let server = ApiServer::new();
    post(&server, MAPS, map("a")).await;
    let mut events = watch(&server, &format!("{MAPS}?watch=1")).await;
    assert_eq!(events.next_short().await, pair("ADDED", "a"));
    merge(&server, &format!("{MAPS}/a"), json!({"data": {"x": "y"}})).await;
    post(&server, MAPS, map("b")).await;
    delete(&server, &format!("{MAPS}/a"), Value::Null).await;
    let mut last = 0;
    for wanted in [
        pair("MODIFIED", "a"),
        pair("ADDED", "b"),
        pair("DELETED", "a"),
    ] {
        let event = events.next().await.unwrap();
        let version = event["object"]["metadata"]["resourceVersion"]
            .as_str()
            .unwrap();
        let version: u64 = version.parse().unwrap();
        assert!(version > last, "{event}");
        last = version;
        let name = event["object"]["metadata"]["name"].as_str().unwrap();
        assert_eq!(pair(event["type"].as_str().unwrap(), name), wanted);
    }
    assert_eq!(
        last,
        server.revision(),
        "a deletion carries its own revision"
    );
    events.silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_goes_on_where_it_is_told_to() {
    let server = ApiServer::new();
    post(&server, MAPS, map("a")).await;
    let then = server.revision();
    post(&server, MAPS, map("b")).await;
    let mut events = watch(&server, &format!("{MAPS}?watch=1&resourceVersion={then}")).await;
    assert_eq!(events.next_short().await, pair("ADDED", "b"));
    events.silent().await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_the_future_is_silent_until_then() {
    let server = ApiServer::new();
    let ahead = server.revision() + 2;
    let mut events = watch(&server, &format!("{MAPS}?watch=1&resourceVersion={ahead}")).await;
    post(&server, MAPS, map("a")).await;
    post(&server, MAPS, map("b")).await;
    events.silent().await;
    post(&server, MAPS, map("c")).await;
    assert_eq!(events.next_short().await, pair("ADDED", "c"));
}

#[tokio::test(start_paused = true)]
async fn a_watch_from_compacted_history_gets_410_in_its_stream() {
    let server = ApiServer::new();
    let then = server.revision();
    let mut running = watch(&server, &format!("{MAPS}?watch=1&resourceVersion={then}")).await;
    post(&server, MAPS, map("a")).await;
    server.compact(server.revision());
    let mut late = watch(&server, &format!("{MAPS}?watch=1&resourceVersion={then}")).await;
    let event = late.next().await.unwrap();
    assert_eq!(
        (&event["type"], &event["object"]["code"]),
        (&json!("ERROR"), &json!(410))
    );
    assert_eq!(event["object"]["reason"], "Expired");
    let now = server.revision();
    let told = format!("too old resource version: {then} ({now})");
    assert_eq!(event["object"]["message"], json!(told));
    assert_eq!(late.next().await, None);
    assert_eq!(
        running.next_short().await,
        pair("ADDED", "a"),
        "running watches go on"
    );
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_lags_behind_the_history_gets_410() {
    let server = ApiServer::builder().history(2).build();
    let mut events = watch(&server, &format!("{MAPS}?watch=1")).await;
    for name in ["a", "b", "c"] {
        post(&server, MAPS, map(name)).await;
    }
    assert_eq!(events.next().await.unwrap()["object"]["code"], 410);
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn what_leaves_a_selection_is_deleted_and_what_enters_it_is_added() {
    let server = ApiServer::new();
    post(&server, PODS, pod("a")).await;
    let path = format!("{PODS}?watch=1&fieldSelector=status.phase%3DPending");
    let mut pending = watch(&server, &path).await;
    let mut labelled = watch(&server, &format!("{PODS}?watch=1&labelSelector=x%3Dy")).await;
    let mut named = watch(
        &server,
        &format!("{PODS}?watch=1&fieldSelector=metadata.name%3Db"),
    )
    .await;
    assert_eq!(pending.next_short().await, pair("ADDED", "a"));

    let status = json!({"status": {"phase": "Running"}});
    merge(&server, &format!("{PODS}/a/status"), status).await;
    let event = pending.next().await.unwrap();
    assert_eq!(event["type"], "DELETED");
    assert_eq!(
        event["object"]["status"]["phase"], "Pending",
        "the last state that was selected"
    );
    let version = event["object"]["metadata"]["resourceVersion"].clone();
    assert_eq!(
        version,
        json!(server.revision().to_string()),
        "at the change's revision"
    );

    merge(
        &server,
        &format!("{PODS}/a"),
        json!({"metadata": {"labels": {"x": "y"}}}),
    )
    .await;
    assert_eq!(labelled.next_short().await, pair("ADDED", "a"));
    post(&server, PODS, pod("b")).await;
    assert_eq!(named.next_short().await, pair("ADDED", "b"));
    named.silent().await;
}

#[tokio::test(start_paused = true)]
async fn bookmarks_come_after_the_present_state_and_every_minute() {
    let server = ApiServer::new();
    post(&server, MAPS, map("a")).await;
    let path = format!(
        "{MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan\
         &allowWatchBookmarks=true"
    );
    let mut events = watch(&server, &path).await;
    assert_eq!(events.next_short().await, pair("ADDED", "a"));
    let end = events.next().await.unwrap();
    assert_eq!(end["type"], "BOOKMARK");
    assert_eq!(
        end["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"],
        "true"
    );
    post(&server, LEASES, lease("elsewhere", "x")).await;
    tokio::time::advance(Duration::from_secs(61)).await;
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert!(bookmark["object"]["metadata"]["name"].is_null());
    let version = &bookmark["object"]["metadata"]["resourceVersion"];
    assert_eq!(*version, json!(server.revision().to_string()));
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_at_its_time_or_when_the_server_cuts_it() {
    let server = ApiServer::new();
    let mut timed = watch(&server, &format!("{MAPS}?watch=1&timeoutSeconds=5")).await;
    let began = tokio::time::Instant::now();
    assert_eq!(timed.next().await, None);
    assert_eq!(began.elapsed(), Duration::from_secs(5));
    let mut cut = watch(&server, &format!("{MAPS}?watch=1")).await;
    server.end_watches();
    assert_eq!(cut.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_fault_can_mute_a_watch_or_hold_its_events_back() {
    let server = ApiServer::new();
    let lag = Duration::from_secs(3);
    let late = server.inject(
        Fault::new(FaultAction::DelayEvents(lag))
            .verb("watch")
            .times(1),
    );
    let then = server.revision();
    let mut events = watch(&server, &format!("{MAPS}?watch=1&resourceVersion={then}")).await;
    let began = tokio::time::Instant::now();
    post(&server, MAPS, map("a")).await;
    assert_eq!(events.next_short().await, pair("ADDED", "a"));
    assert_eq!(began.elapsed(), lag);
    assert_eq!(server.struck(late), 1);

    server.inject(
        Fault::new(FaultAction::MuteWatch)
            .verb("watch")
            .resource("configmaps"),
    );
    let mut muted = watch(&server, &format!("{MAPS}?watch=1")).await;
    post(&server, MAPS, map("b")).await;
    muted.silent().await;
}
