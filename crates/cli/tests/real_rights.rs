//! On a real control plane the rights that docs/steer.md and docs/see.md name are enough, and a verb
//! that lacks one says which.
//!
//! Reading the program's lines blocks the test's own thread: what the server is asked for runs on others.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    path::{Path, PathBuf},
    process::Output,
};

use common::{Running, output, tenure, text};
use rustix::process::Signal;
use serde_json::json;
use tenure_harness::TestServer;

/// A real server, a namespace of its own, and a kubeconfig of a service account without rights.
async fn place(account: &str) -> Option<(TestServer, String, PathBuf)> {
    let server = TestServer::shared_real_if_any().await.unwrap()?;
    let namespace = server.namespace("rights").await.unwrap();
    let kubeconfig = server
        .service_account_kubeconfig(&namespace, account, None)
        .await
        .unwrap();
    Some((server, namespace, kubeconfig))
}

fn as_account(kubeconfig: &Path, namespace: &str, args: &[&str]) -> Output {
    let place = [
        "-n",
        namespace,
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
    ];
    output(&[args, &place].concat())
}

/// It succeeds, and misses nothing.
fn works(told: &Output, args: &[&str]) -> String {
    let errors = text(&told.stderr);
    assert!(told.status.success(), "{args:?}: {errors}");
    assert!(!errors.contains("lacks"), "{args:?}: {errors}");
    text(&told.stdout)
}

/// A server hears of new rights a moment later.
async fn once_it_works(kubeconfig: &Path, namespace: &str, args: &[&str]) {
    let works = async {
        loop {
            let told = as_account(kubeconfig, namespace, args);
            if told.status.success() && !text(&told.stderr).contains("lacks") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(common::LIMIT, works).await;
    assert!(waited.is_ok(), "{args:?}: the rights do not suffice");
}

fn leader(server: &TestServer, namespace: &str) -> Running {
    let kubeconfig = server.kubeconfig().to_str().unwrap();
    let words = ["campaign", "nightly", "--events", "-n", namespace];
    let flags = ["--identity", "one", "--kubeconfig", kubeconfig];
    let running = Running::start(&mut tenure(&[&words[..], &flags].concat()));
    running.event("leading");
    running
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_printed_rights_are_enough_to_steer_a_lease() {
    let Some((server, namespace, kubeconfig)) = place("eve").await else {
        return;
    };
    let one = leader(&server, &namespace);
    let refused = as_account(&kubeconfig, &namespace, &["step-down", "nightly"]);
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused.stderr);
    assert!(
        told.contains("forbidden") && told.contains("`tenure rbac --steer`"),
        "{told}"
    );
    let rbac = ["rbac", "--steer", "nightly", "--service-account", "eve"];
    let yaml = output(&[&rbac[..], &["-n", &namespace]].concat());
    server
        .apply_yaml(&namespace, &text(&yaml.stdout))
        .await
        .unwrap();
    once_it_works(
        &kubeconfig,
        &namespace,
        &["step-down", "nightly", "--dry-run"],
    )
    .await;
    for args in [
        &["step-down", "nightly", "--wait"][..],
        &["pause", "nightly", "--wait"],
        &["resume", "nightly"],
    ] {
        works(&as_account(&kubeconfig, &namespace, args), args);
        if args[0] != "pause" {
            one.event("leading");
        }
    }
    let release = ["release", "--force", "nightly", "--yes"];
    let told = as_account(&kubeconfig, &namespace, &release);
    works(&told, &release);
    assert!(
        text(&told.stderr).contains("there is no Pod \"one\""),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_rights_are_enough_to_look() {
    let Some((server, namespace, kubeconfig)) = place("viewer").await else {
        return;
    };
    server.install_leader_lock_crd().await.unwrap();
    let mut one = leader(&server, &namespace);
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    let look = |more: &[&str]| {
        let verbs = [&["list"], more].concat();
        json!([
            rule("coordination.k8s.io", "leases", &verbs),
            rule("", "configmaps", &[&verbs[..], &["get"]].concat()),
            rule("coralogix.com", "leaderlocks", &verbs),
            rule("", "pods", &["list"]),
            rule("events.k8s.io", "events", &["list"]),
        ])
    };
    let role = |rules| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "look"}, "rules": rules,
        })
    };
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "look"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "look"},
        "subjects": [{"kind": "ServiceAccount", "name": "viewer", "namespace": namespace}],
    });
    server.apply(&namespace, role(look(&[]))).await.unwrap();
    server.apply(&namespace, binding).await.unwrap();
    once_it_works(&kubeconfig, &namespace, &["status"]).await;
    let all = works(
        &as_account(&kubeconfig, &namespace, &["status"]),
        &["status"],
    );
    assert!(all.contains("nightly") && all.contains("healthy"), "{all}");
    let history = ["history", "nightly"];
    let told = works(&as_account(&kubeconfig, &namespace, &history), &history);
    assert!(told.contains("BecameLeader"), "{told}");
    let named = as_account(&kubeconfig, &namespace, &["status", "lease/nightly"]);
    assert_eq!(named.status.code(), Some(1));
    assert!(
        text(&named.stderr).contains("cannot get resource"),
        "{named:?}"
    );

    server
        .apply(&namespace, role(look(&["get", "watch"])))
        .await
        .unwrap();
    once_it_works(&kubeconfig, &namespace, &["status", "nightly"]).await;
    for args in [
        &["status", "nightly", "--is-leader", "one"][..],
        &["explain", "nightly"],
        &["watch", "--for", "1s"],
    ] {
        let told = as_account(&kubeconfig, &namespace, args);
        assert!(told.status.success(), "{args:?}: {}", text(&told.stderr));
        assert_eq!(text(&told.stderr), "", "{args:?}");
    }
    one.signal(Signal::INT);
    one.wait();
}
