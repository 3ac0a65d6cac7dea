//! The operator example, losing leadership again and again in one process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use kube::Client;
use serde_json::json;
use tenure::{ContextInfo, LeaderElection, Status, clock};
use tenure_apiserver::{Answer, ApiServer, Fault, FaultAction, Write};

#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "an example is a program"
)]
#[path = "../examples/operator.rs"]
mod operator;

const S: Duration = Duration::from_secs(1);
const LEASES: &str = "leases.coordination.k8s.io";
const LOSSES: usize = 50;

#[tokio::test(start_paused = true)]
async fn it_survives_fifty_losses_and_never_reconciles_outside_validity() {
    let start = std::time::UNIX_EPOCH + 1_700_000_000 * S;
    let server = ApiServer::builder()
        .clock(tenure_apiserver::TokioClock::new(start))
        .keep_writes(1_000_000)
        .seed(1)
        .build();
    let operators = Client::new(server.service_as("operator"), "default");
    let people = Client::new(server.service_as("people"), "default");
    let election = LeaderElection::lease_lock("greeter")
        .clock(clock::tokio_clock())
        .seed(1)
        .build_over(
            operators.clone(),
            ContextInfo::outside("default", "operator"),
        )
        .unwrap();
    let mut status = election.status();
    let identity = election.identity().to_owned();
    let operator = tokio::spawn(operator::run(operators, election));
    let busy = tokio::spawn(keep_changing(people.clone()));

    for loss in 0..LOSSES {
        status.wait_for(Status::leads).await.unwrap();
        let led = server.writes().len();
        // It works: a reconcile is seen before leadership is taken away.
        while !server.writes()[led..].iter().any(is_reconcile) {
            tokio::time::sleep(S / 10).await;
        }
        match loss % 3 {
            0 => {
                let failing = Fault::new(FaultAction::Answer(Answer::unavailable()))
                    .user("operator")
                    .resource("leases");
                let id = server.inject(failing);
                status.wait_for(|status| !status.leads()).await.unwrap();
                server.heal(id);
            }
            1 => {
                delete(&people).await;
                status.wait_for(|status| !status.leads()).await.unwrap();
            }
            _ => {
                steal(&people).await;
                status.wait_for(|status| !status.leads()).await.unwrap();
            }
        }
    }
    status.wait_for(Status::leads).await.unwrap();
    assert!(!operator.is_finished());
    operator.abort();
    busy.abort();

    let writes = server.writes();
    let reconciles = writes.iter().filter(|write| is_reconcile(write)).count();
    assert!(reconciles >= LOSSES, "{reconciles}");
    check_validity(&writes, &identity);
}

/// Every reconcile falls into the validity of a write of the operator's own, as the server saw
/// both: the newest write on the Lease is the operator's, and at most 10 s old.
fn check_validity(writes: &[Write], identity: &str) {
    let mut lease: Option<&Write> = None;
    for write in writes {
        if write.resource == LEASES {
            lease = Some(write);
        }
        if is_reconcile(write) {
            let held = lease.expect("a lease before the first reconcile");
            assert_ne!(held.verb, "delete", "{write:?}");
            assert_eq!(held.object["spec"]["holderIdentity"], identity, "{write:?}");
            assert!(write.time.duration_since(held.time) < 10 * S, "{write:?}");
        }
    }
}

fn is_reconcile(write: &Write) -> bool {
    write.resource == "configmaps" && write.user == "operator"
}

async fn keep_changing(client: Client) {
    let body = json!({"metadata": {"name": "hello", "labels": {"greet": "0"}}});
    send(
        &client,
        "POST",
        "/api/v1/namespaces/default/configmaps",
        &body,
    )
    .await;
    for n in 1_u64.. {
        tokio::time::sleep(S / 10).await;
        let patch = json!({"metadata": {"labels": {"greet": n.to_string()}}});
        send(
            &client,
            "PATCH",
            "/api/v1/namespaces/default/configmaps/hello",
            &patch,
        )
        .await;
    }
}

async fn delete(client: &Client) {
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/greeter";
    send(client, "DELETE", path, &json!({})).await;
}

async fn steal(client: &Client) {
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/greeter";
    let patch = json!({"spec": {"holderIdentity": "thief", "leaseDurationSeconds": 15}});
    send(client, "PATCH", path, &patch).await;
}

async fn send(client: &Client, method: &str, path: &str, body: &serde_json::Value) {
    let content = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", content)
        .body(body.to_string().into_bytes())
        .unwrap();
    client.request::<serde_json::Value>(request).await.unwrap();
}
