//! Calls against servers that misbehave: each ends within its limit, was sent once, and is classed
//! by rule L6.

use std::time::Duration;

use serde_json::json;
use tenure_core::Outcome;
use tokio::time::timeout;

use super::{LONGEST_ANSWER, Resource, call};
use crate::{
    client::election_client,
    raw::{Answer, RawServer, config, http, status},
    wire::Wire,
};

/// For servers that never end by themselves.
const SHORT: Duration = Duration::from_millis(200);
/// For servers that do.
const LONG: Duration = Duration::from_secs(60);
/// No call may take longer, however slow the machine.
const BOUND: Duration = Duration::from_secs(30);

async fn replace(config: kube::Config, limit: Duration) -> Outcome<serde_json::Value> {
    let client = Wire::over(election_client(config).unwrap());
    let request = Resource::lease("shop", "nightly").replace("{}".to_owned());
    timeout(BOUND, call(&client, request, limit))
        .await
        .expect("the call has no end")
}

/// A replace against `answer`: what its outcome is, and that it was sent once.
async fn replace_once(answer: Answer, limit: Duration) -> Outcome<serde_json::Value> {
    let server = RawServer::start(answer).await;
    let outcome = replace(server.config(), limit).await;
    assert_eq!(server.requests(), 1, "sent again: {outcome:?}");
    outcome
}

#[track_caller]
fn assert_unknown(outcome: &Outcome<serde_json::Value>, because: &str) {
    match outcome {
        Outcome::Unknown(text) => {
            assert!(text.contains(because), "{text}");
            assert!(
                text.starts_with("PUT /apis/coordination.k8s.io/v1/namespaces/shop/"),
                "{text}"
            );
        }
        other => panic!("{other:?}, not unknown ({because})"),
    }
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let outcome = replace_once(Answer::Bytes(Vec::new()), SHORT).await;
    assert_unknown(&outcome, "no answer within 200ms");
}

#[tokio::test]
async fn a_server_that_stops_after_the_headers() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\"".to_vec();
    let outcome = replace_once(Answer::Bytes(head), SHORT).await;
    assert_unknown(&outcome, "the answer was not complete within 200ms");
}

#[tokio::test]
async fn a_server_that_breaks_off() {
    for bytes in [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"kind\":\"Lease\"}"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"kind\":\"Lease\"}\r\n",
    ] {
        let outcome = replace_once(Answer::BytesThenClose(bytes.to_vec()), LONG).await;
        assert_unknown(&outcome, "broke off");
    }
    let outcome = replace_once(Answer::BytesThenClose(Vec::new()), LONG).await;
    assert_unknown(&outcome, "the request failed");
    let outcome = replace_once(Answer::BytesThenClose(b"SSH-2.0-x\r\n".to_vec()), LONG).await;
    assert_unknown(&outcome, "the request failed");
}

#[tokio::test]
async fn a_server_that_is_overloaded_or_broken() {
    for (line, code) in [
        ("503 Service Unavailable", 503),
        ("500 Oops", 500),
        ("504 Timeout", 504),
    ] {
        let answer = http(line, "", &status(code, "Whatever", "leases"));
        let outcome = replace_once(Answer::Bytes(answer), LONG).await;
        assert_unknown(&outcome, "told so");
    }
    let later = "Retry-After: 3600\r\n";
    for body in [
        status(429, "TooManyRequests", "leases"),
        "Too many requests".to_owned(),
    ] {
        let answer = http("429 Too Many Requests", later, &body);
        assert_unknown(&replace_once(Answer::Bytes(answer), LONG).await, "429");
    }
    let answer = http("503 Service Unavailable", later, "<html>");
    assert_unknown(&replace_once(Answer::Bytes(answer), LONG).await, "503");
}

#[tokio::test]
async fn something_that_is_no_api_server() {
    for line in [
        "200 OK",
        "404 Not Found",
        "403 Forbidden",
        "409 Conflict",
        "302 Found",
    ] {
        let answer = http(
            line,
            "Content-Type: text/html\r\n",
            "<html>Please sign in</html>",
        );
        let outcome = replace_once(Answer::Bytes(answer), LONG).await;
        assert_unknown(&outcome, "Please sign in");
    }
}

#[tokio::test]
async fn an_answer_without_end() {
    let body = format!("{{\"kind\":\"{}\"}}", "x".repeat(LONGEST_ANSWER));
    let outcome = replace_once(Answer::Bytes(http("200 OK", "", &body)), LONG).await;
    assert_unknown(&outcome, "longer than");
}

#[tokio::test]
async fn nobody_listens() {
    let server = RawServer::start(Answer::Bytes(Vec::new())).await;
    let gone = server.config();
    drop(server);
    // The listener is closed when its task has been dropped.
    tokio::task::yield_now().await;
    let outcome = replace(gone, LONG).await;
    assert_unknown(&outcome, "the request failed");
}

#[tokio::test]
async fn a_server_that_refuses_tls() {
    let server = RawServer::start(Answer::Bytes(Vec::new())).await;
    let silent = config(&format!("https://{}", server.address));
    assert_unknown(&replace(silent, SHORT).await, "no answer");

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = config(&format!("https://{}", listener.local_addr().unwrap()));
    let refuse = async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut streams = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.read_u8().await.unwrap();
            // A fatal alert: handshake failure.
            stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await.unwrap();
            streams.push(stream);
        }
    };
    let outcome = tokio::select! {
        outcome = replace(refusing, LONG) => outcome,
        () = refuse => unreachable!("it accepts for ever"),
    };
    assert_unknown(&outcome, "the request failed");
}

#[tokio::test]
async fn a_kept_connection_that_dies_under_a_request_does_not_get_it_sent_again() {
    let lease = http("200 OK", "", "{\"kind\":\"Lease\"}");
    let server = RawServer::start(Answer::OnceThenClose(lease)).await;
    let client = Wire::over(election_client(server.config()).unwrap());
    let again = || Resource::lease("shop", "nightly").replace("{}".to_owned());
    let first = timeout(BOUND, call(&client, again(), LONG)).await.unwrap();
    assert!(matches!(first, Outcome::Done(_)), "{first:?}");
    let second = timeout(BOUND, call(&client, again(), LONG)).await.unwrap();
    assert_eq!(server.connections(), 1, "the test needs a kept connection");
    assert_unknown(&second, "the request failed");
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn answers_of_an_api_server() {
    let answer = |line: &str, body: &str| Answer::Bytes(http(line, "", body));
    let done = replace_once(answer("200 OK", "{\"kind\":\"Lease\"}"), LONG).await;
    assert_eq!(done, Outcome::Done(json!({"kind": "Lease"})));
    let conflict = answer("409 Conflict", &status(409, "Conflict", "leases"));
    assert_eq!(replace_once(conflict, LONG).await, Outcome::Conflict);
    let exists = answer("409 Conflict", &status(409, "AlreadyExists", "leases"));
    assert_eq!(replace_once(exists, LONG).await, Outcome::AlreadyExists);
    let absent = answer("404 Not Found", &status(404, "NotFound", "leases"));
    assert!(matches!(
        replace_once(absent, LONG).await,
        Outcome::NotFound(_)
    ));
    let invalid = answer(
        "422 Unprocessable Entity",
        &status(422, "Invalid", "leases"),
    );
    assert!(matches!(
        replace_once(invalid, LONG).await,
        Outcome::Refused(_)
    ));
}
