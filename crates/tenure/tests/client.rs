//! The clients that elections make for themselves (rule L16). What calls over them mean is tested
//! beside the code.

use std::time::Duration;

use kube::{Api, api::DynamicObject, core::ApiResource};
use tenure::{Connection, client::election_client};
use tokio::time::timeout;

mod raw;
use raw::{Answer, RawServer, http, status};

const BOUND: Duration = Duration::from_secs(30);

fn leases(client: kube::Client) -> Api<DynamicObject> {
    let kind = ApiResource {
        group: "coordination.k8s.io".into(),
        version: "v1".into(),
        api_version: "coordination.k8s.io/v1".into(),
        kind: "Lease".into(),
        plural: "leases".into(),
    };
    Api::namespaced_with(client, "shop", &kind)
}

#[tokio::test]
async fn an_elections_client_sends_a_request_once_where_kubes_own_sends_it_again() {
    let busy = http(
        "503 Service Unavailable",
        "",
        &status(503, "Unavailable", "leases"),
    );
    let server = RawServer::start(Answer::Bytes(busy)).await;

    let ours = leases(election_client(server.config()).unwrap());
    let error = timeout(BOUND, ours.get("x")).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, kube::Error::Api(status) if status.code == 503),
        "{error}"
    );
    assert_eq!(server.requests(), 1);

    let theirs = leases(kube::Client::try_from(server.config()).unwrap());
    let sent_again = async {
        while server.requests() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let retried = timeout(BOUND, async {
        tokio::select! {
            () = sent_again => true,
            _ = theirs.get("x") => false,
        }
    });
    assert!(
        retried.await.unwrap(),
        "kube does not resend any more: rule L16 needs another look"
    );
}

#[tokio::test]
async fn a_server_that_asks_for_an_hours_patience_is_answered_at_once() {
    let later = http(
        "429 Too Many Requests",
        "Retry-After: 3600\r\n",
        &status(429, "TooManyRequests", "leases"),
    );
    let server = RawServer::start(Answer::Bytes(later)).await;
    let ours = leases(election_client(server.config()).unwrap());
    timeout(BOUND, ours.get("x")).await.unwrap().unwrap_err();
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn elections_that_share_a_connection_share_its_tcp_connection() {
    let server = RawServer::start(Answer::Bytes(http("200 OK", "", "{}"))).await;
    let connection = Connection::new(server.config()).unwrap();
    for _ in 0..3 {
        let client = connection.clone().client();
        let request = http::Request::get("/version").body(Vec::new()).unwrap();
        timeout(BOUND, client.request_text(request))
            .await
            .unwrap()
            .unwrap();
    }
    assert_eq!((server.requests(), server.connections()), (3, 1));
}

#[tokio::test]
async fn as_many_calls_as_a_set_may_have_under_way_open_no_connections_again_and_again() {
    const CALLS: usize = 64;
    let server = RawServer::start(Answer::Bytes(http("200 OK", "", "{}"))).await;
    let client = election_client(server.config()).unwrap();
    let call = || async {
        let request = http::Request::get("/version").body(Vec::new()).unwrap();
        timeout(BOUND, client.request_text(request))
            .await
            .unwrap()
            .unwrap();
    };
    for _ in 0..10 {
        futures::future::join_all((0..CALLS).map(|_| call())).await;
    }
    // One that is on its way back when the next is wanted is opened besides.
    let opened = server.connections();
    assert!(opened <= CALLS * 2, "{opened} connections");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_an_error_and_no_panic() {
    let mut config = raw::config("https://127.0.0.1:1");
    config.root_cert = Some(vec![b"no certificate".to_vec()]);
    assert!(election_client(config).is_err());
    let mut config = raw::config("http://127.0.0.1:1");
    config.auth_info.token_file = Some("/nowhere/token".into());
    assert!(Connection::new(config).is_err());
}
