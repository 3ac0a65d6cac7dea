//! Injected faults, rights taken away, the log.
#![allow(clippy::unwrap_used)] // helpers outside of #[test] functions use it, too

mod common;

use std::time::Duration;

use common::{LEASES, delete, get, lease, post, put, watch};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tenure_apiserver::{Answer, ApiServer, ConnectionLost, Fault, FaultAction};
use tower::ServiceExt;

type Body = Full<bytes::Bytes>;

fn create(name: &str) -> Request<Body> {
    let body = lease(name, "x").to_string();
    Request::builder()
        .method(Method::POST)
        .uri(LEASES)
        .body(Body::from(body))
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_applied_and_a_lost_request_is_not() {
    let server = ApiServer::new();
    server.inject(Fault::new(FaultAction::LoseAnswer).verb("create").name("a"));
    server.inject(
        Fault::new(FaultAction::LoseRequest)
            .verb("create")
            .name("b"),
    );
    let connection = server.service().connection();
    assert_eq!(
        connection.clone().oneshot(create("a")).await.unwrap_err(),
        ConnectionLost
    );
    assert_eq!(
        connection.oneshot(create("b")).await.unwrap_err(),
        ConnectionLost
    );
    let lost = server.service().oneshot(create("b")).await.unwrap();
    assert!(
        lost.into_body().collect().await.is_err(),
        "in process the body fails"
    );
    assert!(
        server
            .object("leases.coordination.k8s.io", "default", "a")
            .is_some()
    );
    assert!(
        server
            .object("leases.coordination.k8s.io", "default", "b")
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn answers_can_be_made_up_counted_and_healed() {
    let server = ApiServer::new();
    let busy = Fault::new(FaultAction::Answer(Answer::too_many_requests(7)))
        .after(1)
        .times(1);
    let id = server.inject(busy.verb("read"));
    assert_eq!(get(&server, LEASES).await.0, StatusCode::OK);
    let response = server
        .service()
        .oneshot(Request::get(LEASES).body(Body::default()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    assert_eq!(get(&server, LEASES).await.0, StatusCode::OK);
    assert_eq!(server.struck(id), 1);

    let late = Answer::gateway_timeout();
    let id = server.inject(Fault::new(FaultAction::AnswerAfter(late)).verb("write"));
    assert_eq!(
        post(&server, LEASES, lease("a", "x")).await.0,
        StatusCode::GATEWAY_TIMEOUT
    );
    server.heal(id);
    assert_eq!(
        post(&server, LEASES, lease("a", "x")).await.0,
        StatusCode::CONFLICT
    );
}

#[tokio::test(start_paused = true)]
async fn answers_can_be_late_or_never_come() {
    let server = ApiServer::new();
    let second = Duration::from_secs(1);
    let id = server.inject(Fault::new(FaultAction::DelayAnswer(second)));
    let began = tokio::time::Instant::now();
    post(&server, LEASES, lease("a", "x")).await;
    assert_eq!(began.elapsed(), second);
    server.heal(id);

    server.inject(Fault::new(FaultAction::HangAfter).name("b"));
    server.inject(Fault::new(FaultAction::Delay(second)).name("c"));
    let hour = Duration::from_secs(3600);
    let hanging = post(&server, LEASES, lease("b", "x"));
    assert!(tokio::time::timeout(hour, hanging).await.is_err());
    assert!(
        server
            .object("leases.coordination.k8s.io", "default", "b")
            .is_some()
    );
    let held = post(&server, LEASES, lease("c", "x"));
    assert!(tokio::time::timeout(second / 2, held).await.is_err());
    let dropped = server.object("leases.coordination.k8s.io", "default", "c");
    assert_eq!(
        dropped, None,
        "a request dropped while it is held back is not applied"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unreachable_server_answers_nothing_and_cuts_watches() {
    let server = ApiServer::new();
    let mut events = watch(&server, &format!("{LEASES}?watch=1")).await;
    server.set_reachable(false);
    assert_eq!(events.next().await, None);
    let connection = server.service().connection();
    assert_eq!(
        connection.oneshot(create("a")).await.unwrap_err(),
        ConnectionLost
    );
    server.set_reachable(true);
    assert_eq!(
        post(&server, LEASES, lease("a", "x")).await.0,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn a_missing_right_is_refused_in_the_real_words() {
    let server = ApiServer::new();
    let user = "system:serviceaccount:ns:sa";
    server.deny_user("update", "leases", user);
    post(&server, LEASES, lease("x", "a")).await;
    let path = format!("{LEASES}/x");
    let request = Request::put(&path)
        .body(Body::from(lease("x", "b").to_string()))
        .unwrap();
    let response = server.service_as(user).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status["reason"], "Forbidden");
    assert_eq!(
        status["message"],
        "leases.coordination.k8s.io \"x\" is forbidden: User \"system:serviceaccount:ns:sa\" \
         cannot update resource \"leases\" in API group \"coordination.k8s.io\" in the namespace \
         \"default\""
    );
    let (code, _) = put(&server, &path, lease("x", "b")).await;
    assert_eq!(
        code,
        StatusCode::UNPROCESSABLE_ENTITY,
        "others keep the right"
    );
}

#[tokio::test(start_paused = true)]
async fn writes_and_requests_are_on_record() {
    let server = ApiServer::new();
    let mut live = server.subscribe_writes();
    post(&server, LEASES, lease("a", "x")).await;
    post(&server, LEASES, lease("a", "x")).await;
    delete(&server, &format!("{LEASES}/a"), Value::Null).await;
    let writes = server.writes();
    let short: Vec<_> = writes
        .iter()
        .map(|w| (w.verb.as_str(), w.name.as_str()))
        .collect();
    assert_eq!(short, [("create", "a"), ("delete", "a")]);
    assert_eq!(writes[0].object["spec"]["holderIdentity"], json!("x"));
    assert_eq!(writes[1].resource_version, server.revision());
    assert_eq!(
        live.recv().await.unwrap().resource_version,
        writes[0].resource_version
    );

    let counted = server.requests();
    let of = |verb: &str, code: u16| -> u64 {
        counted
            .iter()
            .filter(|(k, _)| k.verb == verb && k.code == code)
            .map(|(_, n)| n)
            .sum()
    };
    assert_eq!(
        (of("create", 201), of("create", 409), of("delete", 200)),
        (1, 1, 1)
    );
}
