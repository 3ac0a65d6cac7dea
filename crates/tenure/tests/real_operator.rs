//! The operator example on a real control plane: cut off from it fifty times, in one process.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tenure::{ContextInfo, LeaderElection, Status};
use tenure_harness::{TestServer, WriteEntry};

#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "an example is a program"
)]
#[path = "../examples/operator.rs"]
mod operator;

const S: Duration = Duration::from_secs(1);
const LOSSES: usize = 50;

#[tokio::test(flavor = "multi_thread")]
async fn real_operator_survives_fifty_losses_and_never_reconciles_outside_validity() {
    let Some(server) = TestServer::real_if_any().await.unwrap() else {
        return;
    };
    let namespace = server.namespace("operator").await.unwrap();
    server
        .create_service_account(&namespace, "operator")
        .await
        .unwrap();
    let admin = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "operator"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin",
        },
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": namespace}],
    });
    server.apply(&namespace, admin).await.unwrap();
    let direct = server
        .service_account_config(&namespace, "operator", None)
        .await
        .unwrap();
    let (proxy, _) = server.proxied().await.unwrap();
    let config = proxy.config(&direct).unwrap();
    let election = LeaderElection::lease_lock("greeter")
        .lease_duration(S)
        .build(config.clone(), ContextInfo::outside(&namespace, "operator"))
        .unwrap();
    let identity = election.identity().to_owned();
    let mut status = election.status();
    let client = kube::Client::try_from(config).unwrap();
    let operator = tokio::spawn(operator::run(client, election));
    let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
    let hello = json!({"metadata": {"name": "hello", "labels": {"greet": "0"}}});
    server
        .call(Method::POST, &maps, &hello)
        .await
        .unwrap()
        .ok()
        .unwrap();
    let hello = format!("{maps}/hello");

    let mut greet = 0_u64;
    for loss in 0..LOSSES {
        tokio::time::timeout(30 * S, status.wait_for(Status::leads))
            .await
            .unwrap_or_else(|_| panic!("nobody leads before loss {loss}"))
            .unwrap();
        greet += 1;
        greeted(&server, &hello, greet).await;
        proxy.refuse();
        tokio::time::timeout(5 * S, status.wait_for(|status| !status.leads()))
            .await
            .expect("lost in time")
            .unwrap();
        proxy.pass();
    }
    assert!(!operator.is_finished());
    operator.abort();
    check_validity(&server.write_log().await.unwrap(), &namespace, &identity);
}

/// Change the label, and wait until the operator has copied it.
async fn greeted(server: &TestServer, path: &str, greet: u64) {
    let greet = greet.to_string();
    loop {
        let mut map = server
            .call(Method::GET, path, &Value::Null)
            .await
            .unwrap()
            .ok()
            .unwrap();
        map["metadata"]["labels"]["greet"] = greet.as_str().into();
        if server
            .call(Method::PUT, path, &map)
            .await
            .unwrap()
            .ok()
            .is_ok()
        {
            break;
        }
    }
    server
        .wait_for(path, |map| {
            map["metadata"]["annotations"]["greeted"] == greet.as_str()
        })
        .await
        .unwrap();
}

/// In the order of their resourceVersions: every reconcile follows a write on the Lease that names
/// the operator, and comes within the lease duration after it.
fn check_validity(log: &[WriteEntry], namespace: &str, identity: &str) {
    let mut log: Vec<&WriteEntry> = log
        .iter()
        .filter(|write| write.namespace == namespace && write.resource_version.is_some())
        .collect();
    log.sort_by_key(|write| write.resource_version);
    let mut lease: Option<&WriteEntry> = None;
    let mut reconciles = 0;
    for write in log {
        if write.resource == "leases.coordination.k8s.io" {
            lease = Some(write);
        }
        let by_operator = write.user == format!("system:serviceaccount:{namespace}:operator");
        if write.resource == "configmaps" && by_operator {
            reconciles += 1;
            let held = lease.expect("a lease before the first reconcile");
            let holder = held
                .object
                .as_ref()
                .map(|lease| &lease["spec"]["holderIdentity"]);
            assert_eq!(holder, Some(&json!(identity)), "{write:?}");
            let age = write.time.duration_since(held.time).unwrap_or_default();
            assert!(age < S, "{age:?} after {held:?}: {write:?}");
        }
    }
    assert!(reconciles >= LOSSES, "{reconciles}");
}
