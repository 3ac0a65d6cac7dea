//! The servers that misbehave do so.
#![allow(clippy::unwrap_used)] // the helpers of tests fail as tests do

use std::time::Duration;

use http::Method;
use kube::{Client, Config};
use serde_json::Value;
use tenure_harness::tcp::Misbehaving;
use tenure_harness::{Answer, send};

fn client(url: &str) -> Client {
    let mut config = Config::new(url.parse().unwrap());
    config.default_retry = false;
    config.accept_invalid_certs = true;
    Client::try_from(config).unwrap()
}

async fn get(url: &str) -> anyhow::Result<Answer> {
    send(&client(url), Method::GET, "/version", "", &Value::Null).await
}

#[tokio::test]
async fn a_hanging_server_never_answers() {
    let server = Misbehaving::hanging().await.unwrap();
    let url = server.http_url();
    let answer = tokio::time::timeout(Duration::from_millis(200), get(&url));
    assert!(answer.await.is_err());
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_closing_server_is_an_error() {
    let server = Misbehaving::closing().await.unwrap();
    assert!(get(&server.http_url()).await.is_err());
}

#[tokio::test]
async fn made_up_answers_arrive() {
    let server = Misbehaving::unavailable().await.unwrap();
    let answer = get(&server.http_url()).await.unwrap();
    assert_eq!((answer.code, answer.reason()), (503, "ServiceUnavailable"));
    assert_eq!(server.requests(), 1);

    let server = Misbehaving::too_many_requests(3600).await.unwrap();
    let long = Value::String("x".repeat(100_000));
    let answer = send(&client(&server.http_url()), Method::POST, "/a", "", &long)
        .await
        .unwrap();
    assert_eq!(answer.code, 429);
    assert_eq!(answer.headers["retry-after"], "3600");
    assert!(answer.body.is_string(), "{answer:?}");
}

#[tokio::test]
async fn tls_is_refused() {
    let server = Misbehaving::refusing_tls().await.unwrap();
    let error = format!("{:?}", get(&server.https_url()).await.unwrap_err());
    assert!(error.contains("HandshakeFailure"), "{error}");
}

#[tokio::test]
async fn a_dropped_server_is_gone() {
    let server = Misbehaving::unavailable().await.unwrap();
    let url = server.http_url();
    drop(server);
    // The listener goes with its task, which ends on this thread when it is polled next.
    tokio::task::yield_now().await;
    assert!(get(&url).await.is_err());
}
