//! Events and labels, with the rights that are asked for them and no others.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tenure::{
    ContextInfo, Kind, LeaderElection, Leadership, Released, context_info::OwnPod, rbac::Rights,
};
use tenure_harness::{PodOptions, TestServer};

use super::{LOCK, S, World, within};

const ACCOUNT: &str = "candidate";

impl World<'_> {
    async fn labels(&self, pod: &str) -> [Value; 2] {
        let pod = self.server.get_pod(&self.namespace, pod).await.unwrap();
        let labels = &pod["metadata"]["labels"];
        [
            labels["tenure.dev/candidate"].clone(),
            labels["tenure.dev/role"].clone(),
        ]
    }

    async fn until_labels(&self, pod: &str, expected: [Value; 2]) {
        let wait = async {
            while self.labels(pod).await != expected {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(20 * S, wait).await;
        assert!(waited.is_ok(), "{pod}: {:?}", self.labels(pod).await);
    }

    async fn label(&self, pod: &str, labels: Value) {
        let path = format!("/api/v1/namespaces/{}/pods/{pod}", self.namespace);
        self.edit(&path, |pod| pod["metadata"]["labels"] = labels.clone())
            .await;
    }

    async fn labelled(&self, pod: &OwnPod) -> LeaderElection {
        let config = self
            .server
            .service_account_config(&self.namespace, ACCOUNT, Some(pod.name()))
            .await
            .unwrap();
        let context = ContextInfo::outside(&self.namespace, pod.name()).with_pod(pod.clone());
        let builder = self.builder().events().label_pod();
        builder.build(config, context).unwrap()
    }

    async fn account(&self) {
        self.server
            .create_service_account(&self.namespace, ACCOUNT)
            .await
            .unwrap();
        let rights = Rights::new(self.kind, &self.namespace, ACCOUNT).name(LOCK);
        let rights = rights.events().label_pod();
        self.server
            .apply_yaml(&self.namespace, &rights.yaml())
            .await
            .unwrap();
    }

    async fn account_pod(&self, name: &str) -> OwnPod {
        let options = PodOptions::default()
            .containers(["main"])
            .service_account(ACCOUNT)
            .scheduler_name("nobody");
        self.pod_with(name, &options).await
    }
}

/// Two terms, of two candidates, told of and labelled; a dead leader's role is taken away.
pub(crate) async fn told_and_labelled(server: &TestServer, kind: Kind) {
    let world = World::new(server, kind).await;
    world.account().await;
    let (a, b) = (world.account_pod("a").await, world.account_pod("b").await);
    world.account_pod("dead").await;
    let leads = [json!(LOCK), json!("leader")];
    let waits = [json!(LOCK), Value::Null];
    let none = [Value::Null, Value::Null];
    world
        .label(
            "dead",
            json!({"tenure.dev/candidate": LOCK, "tenure.dev/role": "leader"}),
        )
        .await;

    let (a, b) = (world.labelled(&a).await, world.labelled(&b).await);
    let first = a.acquire().await.unwrap();
    world.until_labels("a", leads.clone()).await;
    world.until_labels("dead", waits.clone()).await;
    let standing = tokio::spawn({
        let b = b.clone();
        async move { b.acquire().await.unwrap() }
    });
    world.until_labels("b", waits.clone()).await;
    world.label("a", json!({"theirs": "x"})).await;
    world.until_labels("a", leads.clone()).await;
    assert_eq!(first.release().await, Released::Free);
    let (second, _): (Leadership, _) = within(20 * S, "the second", standing).await;
    world.until_labels("b", leads).await;
    world.until_labels("a", none.clone()).await;
    second.release().await;
    a.close().await;
    b.close().await;
    assert_eq!(world.labels("b").await, none);
    let left = server.get_pod(&world.namespace, "a").await.unwrap();
    assert_eq!(left["metadata"]["labels"], json!({"theirs": "x"}));

    let path = format!(
        "/apis/events.k8s.io/v1/namespaces/{}/events",
        world.namespace
    );
    let list = world.call(Method::GET, &path, &Value::Null).await;
    let mut events: Vec<_> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["reportingController"] == "tenure.dev/tenure")
        .collect();
    events.sort_by_key(|event| event["eventTime"].as_str().unwrap().to_owned());
    let told: Vec<_> = events
        .iter()
        .map(|event| {
            let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
            (text("/reason").unwrap(), text("/related/name").unwrap())
        })
        .collect();
    let expected = [
        ("BecameLeader", "a"),
        ("StoppedLeading", "a"),
        ("BecameLeader", "b"),
        ("StoppedLeading", "b"),
    ];
    assert_eq!(told, expected, "{events:#?}");
    let lock = match kind {
        Kind::Lease => "Lease",
        Kind::ConfigMap => "ConfigMap",
        _ => "LeaderLock",
    };
    assert!(
        events
            .iter()
            .all(|event| event["regarding"]["kind"] == lock)
    );
}

/// A Pod of the name of the own one, which is gone, keeps what it has.
pub(crate) async fn labels_of_a_namesake(server: &TestServer) {
    let world = World::new(server, Kind::Lease).await;
    world.account().await;
    let a = world.account_pod("a").await;
    let a = world.labelled(&a).await;
    let first = a.acquire().await.unwrap();
    world
        .until_labels("a", [json!(LOCK), json!("leader")])
        .await;
    server
        .delete_pod_and_recreate_same_name(&world.namespace, "a")
        .await
        .unwrap();
    let theirs = [json!("theirs"), json!("leader")];
    world
        .label(
            "a",
            json!({"tenure.dev/candidate": "theirs", "tenure.dev/role": "leader"}),
        )
        .await;
    first.release().await;
    a.close().await;
    assert_eq!(world.labels("a").await, theirs);
}
