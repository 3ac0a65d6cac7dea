//! The face is the same before the embedded server and before a real one.
#![allow(clippy::unwrap_used)] // the helpers of tests fail as tests do

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tenure_harness::{PodOptions, TestServer, Watch};

const SOON: Duration = Duration::from_secs(10);
const LEASES: &str = "leases.coordination.k8s.io";

fn lease(holder: &str) -> Value {
    json!({"metadata": {"name": "x"}, "spec": {"holderIdentity": holder}})
}

fn leases(namespace: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
}

async fn pods_are_played(server: &TestServer) {
    let namespace = server.namespace("pods").await.unwrap();
    let options = PodOptions::default()
        .containers(["main", "side"])
        .restart_policy("Never")
        .label("app", "x");
    let pod = server.create_pod(&namespace, "p", &options).await.unwrap();
    let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();

    server
        .report_running(&namespace, "p", "main", "c://1")
        .await
        .unwrap();
    server
        .report_running(&namespace, "p", "side", "c://2")
        .await
        .unwrap();
    let pod = server
        .report_terminated(&namespace, "p", "main", "c://1", "Error", 3)
        .await
        .unwrap();
    let statuses = pod["status"]["containerStatuses"].as_array().unwrap();
    assert_eq!(statuses.len(), 2, "{pod}");
    let main = statuses.iter().find(|s| s["name"] == "main").unwrap();
    assert_eq!(main["state"]["terminated"]["exitCode"], 3);
    assert_eq!(main["state"]["terminated"]["containerID"], "c://1");
    assert!(main["state"]["running"].is_null(), "{main}");
    let pod = server.set_phase(&namespace, "p", "Failed").await.unwrap();
    assert_eq!(pod["status"]["phase"], "Failed");

    let again = server
        .delete_pod_and_recreate_same_name(&namespace, "p")
        .await
        .unwrap();
    assert_ne!(again["metadata"]["uid"], uid.as_str());
    assert_eq!(again["metadata"]["labels"]["app"], "x");
    server.force_delete_pod(&namespace, "p").await.unwrap();
    assert!(server.get_pod(&namespace, "p").await.is_err());

    let on_node = PodOptions::default().node("n");
    server.create_pod(&namespace, "q", &on_node).await.unwrap();
    let path = format!("/api/v1/namespaces/{namespace}/pods/q");
    server
        .call(Method::DELETE, &path, &Value::Null)
        .await
        .unwrap()
        .ok()
        .unwrap();
    let pod = server.get_pod(&namespace, "q").await.unwrap();
    assert!(pod["metadata"]["deletionTimestamp"].is_string(), "{pod}");
    server.force_delete_pod(&namespace, "q").await.unwrap();

    let restarting = PodOptions::default();
    server
        .create_pod(&namespace, "r", &restarting)
        .await
        .unwrap();
    server
        .report_running(&namespace, "r", "main", "c://1")
        .await
        .unwrap();
    server
        .report_terminated(&namespace, "r", "main", "c://1", "Error", 1)
        .await
        .unwrap();
    let pod = server
        .report_running(&namespace, "r", "main", "c://2")
        .await
        .unwrap();
    let main = &pod["status"]["containerStatuses"][0];
    assert_eq!(main["restartCount"], 1);
    assert_eq!(main["lastState"]["terminated"]["containerID"], "c://1");
}

async fn writes_are_logged(server: &TestServer) {
    let namespace = server.namespace("log").await.unwrap();
    let collection = leases(&namespace);
    let created = server
        .call(Method::POST, &collection, &lease("a"))
        .await
        .unwrap()
        .ok()
        .unwrap();
    let mut changed = created.clone();
    changed["spec"]["holderIdentity"] = json!("b");
    let path = format!("{collection}/x");
    let replaced = server
        .call(Method::PUT, &path, &changed)
        .await
        .unwrap()
        .ok()
        .unwrap();
    let stale = server.call(Method::PUT, &path, &changed).await.unwrap();
    assert_eq!((stale.code, stale.reason()), (409, "Conflict"));
    server
        .call(Method::DELETE, &path, &Value::Null)
        .await
        .unwrap()
        .ok()
        .unwrap();

    let log = server.writes_of(LEASES, &namespace, "x").await.unwrap();
    let verbs: Vec<&str> = log.iter().map(|write| write.verb.as_str()).collect();
    assert_eq!(verbs, ["create", "update", "delete"], "{log:?}");
    let version = |object: &Value| {
        object["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(log[0].resource_version, Some(version(&created)));
    assert_eq!(log[1].resource_version, Some(version(&replaced)));
    assert!(log[0].time <= log[1].time);
    assert_eq!(
        log[1].object.as_ref().unwrap()["spec"]["holderIdentity"],
        "b"
    );
}

async fn rights_and_definitions_are_applied(server: &TestServer) {
    let namespace = server.namespace("rbac").await.unwrap();
    let yaml = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules:
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: ServiceAccount, name: worker}
";
    // The subject's namespace is the test's.
    let yaml = yaml.replace(
        "name: worker}",
        &format!("name: worker, namespace: {namespace}}}"),
    );
    server.apply_yaml(&namespace, &yaml).await.unwrap();
    server.apply_yaml(&namespace, &yaml).await.unwrap();
    server
        .call(Method::POST, &leases(&namespace), &lease("a"))
        .await
        .unwrap()
        .ok()
        .unwrap();

    let worker = PodOptions::default().service_account("worker");
    server
        .create_service_account(&namespace, "worker")
        .await
        .unwrap();
    server.create_pod(&namespace, "w", &worker).await.unwrap();
    let config = server
        .service_account_config(&namespace, "worker", Some("w"))
        .await
        .unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let path = format!("{}/x", leases(&namespace));
    let user = format!("system:serviceaccount:{namespace}:worker");
    if let Some(embedded) = server.embedded_server() {
        embedded.deny_user("delete", "leases", &user);
    }
    let get = tenure_harness::send(&client, Method::GET, &path, "", &Value::Null)
        .await
        .unwrap();
    assert_eq!(get.code, 200, "{get:?}");
    let delete = tenure_harness::send(&client, Method::DELETE, &path, "", &Value::Null)
        .await
        .unwrap();
    assert_eq!((delete.code, delete.reason()), (403, "Forbidden"));
    assert!(
        delete.body["message"].as_str().unwrap().contains(&user),
        "{delete:?}"
    );

    server.install_leader_lock_crd().await.unwrap();
    server.install_leader_lock_crd().await.unwrap();
    let locks = format!("/apis/coralogix.com/v1/namespaces/{namespace}/leaderlocks");
    let lock = json!({
        "apiVersion": "coralogix.com/v1", "kind": "LeaderLock", "metadata": {"name": "l"},
    });
    server
        .call(Method::POST, &locks, &lock)
        .await
        .unwrap()
        .ok()
        .unwrap();
}

async fn kubectl_works(server: &TestServer) {
    if !server.has_kubectl().await {
        println!("left out: no kubectl");
        return;
    }
    let namespace = server.namespace("kubectl").await.unwrap();
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: b}\n";
    server
        .kubectl_ok(&["-n", &namespace, "create", "-f", "-"], map)
        .await
        .unwrap();
    let got = server
        .kubectl_ok(
            &[
                "-n",
                &namespace,
                "get",
                "cm",
                "m",
                "-o",
                "jsonpath={.data.a}",
            ],
            "",
        )
        .await
        .unwrap();
    assert_eq!(got, "b");
    let missing = server
        .kubectl(&["-n", &namespace, "get", "cm", "none"], "")
        .await
        .unwrap();
    assert!(!missing.status.success());

    let file = server
        .service_account_kubeconfig(&namespace, "worker", None)
        .await
        .unwrap();
    let file = file.to_str().unwrap();
    let who = server
        .kubectl_ok(&["--kubeconfig", file, "auth", "whoami", "-o", "json"], "")
        .await
        .unwrap();
    assert!(
        who.contains(&format!("system:serviceaccount:{namespace}:worker")),
        "{who}"
    );
}

async fn it_stops_freezes_and_comes_back(server: &TestServer) {
    let namespace = server.namespace("outage").await.unwrap();
    let collection = leases(&namespace);
    server
        .call(Method::POST, &collection, &lease("a"))
        .await
        .unwrap()
        .ok()
        .unwrap();
    let path = format!("{collection}/x");

    server.freeze().await.unwrap();
    let mut config = server.config();
    config.default_retry = false;
    let client = kube::Client::try_from(config).unwrap();
    let late = tokio::spawn({
        let (client, path) = (client.clone(), path.clone());
        async move {
            let change = json!({"spec": {"holderIdentity": "late"}});
            tenure_harness::send(
                &client,
                Method::PATCH,
                &path,
                "application/merge-patch+json",
                &change,
            )
            .await
        }
    });
    let silent = tokio::time::timeout(
        Duration::from_millis(300),
        tenure_harness::send(&client, Method::GET, &path, "", &Value::Null),
    );
    assert!(silent.await.is_err(), "a frozen server answered");
    server.thaw().await.unwrap();
    let answer = tokio::time::timeout(SOON, late)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(answer.body["spec"]["holderIdentity"], "late", "{answer:?}");

    let mut watch = Watch::open(&client, &format!("{collection}?watch=1"))
        .await
        .unwrap();
    assert_eq!(watch.next(SOON).await.unwrap().unwrap()["type"], "ADDED");
    server.stop().await.unwrap();
    let end = watch.next(SOON).await;
    assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    let refused = tenure_harness::send(&client, Method::GET, &path, "", &Value::Null).await;
    assert!(refused.is_err(), "{refused:?}");
    assert!(server.stop().await.is_err());
    server.start().await.unwrap();
    let back = tenure_harness::send(&client, Method::GET, &path, "", &Value::Null)
        .await
        .unwrap();
    assert_eq!(back.body["spec"]["holderIdentity"], "late");
}

async fn a_proxy_cuts_and_holds(server: &TestServer) {
    let namespace = server.namespace("proxy").await.unwrap();
    let collection = leases(&namespace);
    let (proxy, mut config) = server.proxied().await.unwrap();
    config.default_retry = false;
    let client = kube::Client::try_from(config).unwrap();
    let list =
        async || tenure_harness::send(&client, Method::GET, &collection, "", &Value::Null).await;
    assert_eq!(list().await.unwrap().code, 200);
    assert_eq!(proxy.connections(), 1);

    proxy.hold_answers();
    let create = tokio::spawn({
        let (client, collection) = (client.clone(), collection.clone());
        async move { tenure_harness::send(&client, Method::POST, &collection, "", &lease("a")).await }
    });
    server
        .wait_for(&format!("{collection}/x"), |_| true)
        .await
        .unwrap();
    assert!(!create.is_finished(), "the answer came through");
    proxy.cut();
    assert!(
        create.await.unwrap().is_err(),
        "a cut connection gave an answer"
    );

    proxy.pass();
    assert_eq!(list().await.unwrap().code, 200);
    proxy.refuse();
    assert!(list().await.is_err());
    proxy.pass();
    proxy.delay(Duration::from_millis(100));
    let begun = tokio::time::Instant::now();
    assert_eq!(list().await.unwrap().code, 200);
    assert!(
        begun.elapsed() >= Duration::from_millis(200),
        "{:?}",
        begun.elapsed()
    );
    proxy.stop().await;
    assert!(list().await.is_err());
}

async fn all(server: &TestServer) {
    pods_are_played(server).await;
    writes_are_logged(server).await;
    rights_and_definitions_are_applied(server).await;
    a_proxy_cuts_and_holds(server).await;
    kubectl_works(server).await;
}

#[tokio::test]
async fn the_embedded_server_has_the_face() {
    let server = TestServer::embedded().await.unwrap();
    assert!(!server.is_real());
    all(&server).await;
    it_stops_freezes_and_comes_back(&server).await;
}

#[tokio::test]
async fn a_real_server_has_the_face() {
    let Some(server) = TestServer::shared_real_if_any().await.unwrap() else {
        return;
    };
    assert!(server.is_real());
    all(&server).await;
}

#[tokio::test]
async fn a_shared_server_serves_other_runtimes() {
    let Some(server) = TestServer::shared_real_if_any().await.unwrap() else {
        return;
    };
    server.namespace("other").await.unwrap();
}

#[tokio::test]
async fn a_real_server_of_ones_own_stops_freezes_and_ends() {
    let Some(server) = TestServer::real_if_any().await.unwrap() else {
        return;
    };
    it_stops_freezes_and_comes_back(&server).await;
    let dir = server.kubeconfig().parent().unwrap().to_owned();
    drop(server);
    assert!(!dir.exists(), "the control plane left its directory behind");
}
