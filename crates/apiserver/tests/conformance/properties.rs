//! What holds whatever the answers are in detail: writes form one order, and watches tell it.

use std::time::Duration;

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tenure_harness::{TestServer, Watch};

use super::Property;
use super::areas::{lease, with};

/// All of them.
pub const PROPERTIES: &[Property] = &[
    Property {
        name: "compare-and-swap is linearizable, and a watch tells the same order",
        check: |server| Box::pin(compare_and_swap(server)),
    },
    Property {
        name: "one of many creates wins",
        check: |server| Box::pin(creates(server)),
    },
    Property {
        name: "of a replace and a delete over one state, one wins",
        check: |server| Box::pin(replace_or_delete(server)),
    },
    Property {
        name: "a later write has a larger resourceVersion, of whatever kind",
        check: |server| Box::pin(versions_grow(server)),
    },
];

const TASKS: u64 = 8;
const EACH: u64 = 12;
const SOON: Duration = Duration::from_secs(20);

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn count(object: &Value) -> u64 {
    object["metadata"]["annotations"]["count"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn leases(namespace: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
}

async fn create(server: &TestServer, all: &str, name: &str) -> Value {
    let counted = with(&lease(name, "x"), |l| {
        l["metadata"]["annotations"] = json!({"count": "0"});
    });
    server
        .call(Method::POST, all, &counted)
        .await
        .unwrap()
        .ok()
        .unwrap()
}

/// Many tasks count in one Lease. Every success must follow the one before it: one chain of
/// resourceVersions, no count lost; and a watch must show just that chain.
async fn compare_and_swap(server: &TestServer) {
    let all = leases(&server.namespace("cas").await.unwrap());
    let created = create(server, &all, "counter").await;
    let path = format!("{all}/counter");
    let from = format!("{all}?watch=1&resourceVersion={}", version(&created));
    let mut watch = Watch::open(&server.client(), &from).await.unwrap();

    let tasks = (0..TASKS).map(|task| {
        let (server, path) = (server.clone(), path.clone());
        tokio::spawn(async move { count_up(&server, &path, task).await })
    });
    let mut steps: Vec<(u64, u64, u64)> = Vec::new();
    for done in join_all(tasks).await {
        steps.extend(done.unwrap());
    }
    steps.sort_unstable();
    let mut last = (version(&created), 0);
    for (before, after, value) in &steps {
        assert_eq!(
            *before, last.0,
            "a success over a state that was not the last: {steps:?}"
        );
        assert!(after > before, "the resourceVersion went back: {steps:?}");
        assert_eq!(*value, last.1 + 1, "a lost update: {steps:?}");
        last = (*after, *value);
    }
    assert_eq!(steps.len() as u64, TASKS * EACH);
    let end = server
        .call(Method::GET, &path, &Value::Null)
        .await
        .unwrap()
        .ok()
        .unwrap();
    assert_eq!((version(&end), count(&end)), last);

    for (_, after, value) in &steps {
        let event = watch.next(SOON).await.unwrap().unwrap();
        let object = &event["object"];
        assert_eq!(event["type"], "MODIFIED", "{event}");
        assert_eq!(
            (version(object), count(object)),
            (*after, *value),
            "the watch's order"
        );
    }
}

/// Counts up some times; what it read, what it wrote, and the count, for each success.
async fn count_up(server: &TestServer, path: &str, task: u64) -> Vec<(u64, u64, u64)> {
    let mut steps = Vec::new();
    while (steps.len() as u64) < EACH {
        let now = server
            .call(Method::GET, path, &Value::Null)
            .await
            .unwrap()
            .ok()
            .unwrap();
        let value = count(&now) + 1;
        let next = with(&now, |l| {
            l["metadata"]["annotations"]["count"] = json!(value.to_string());
            l["spec"]["holderIdentity"] = json!(format!("task-{task}"));
        });
        let answer = server.call(Method::PUT, path, &next).await.unwrap();
        if answer.code == 200 {
            steps.push((version(&now), version(&answer.body), value));
        } else {
            assert_eq!(
                (answer.code, answer.reason()),
                (409, "Conflict"),
                "{answer:?}"
            );
        }
    }
    steps
}

async fn creates(server: &TestServer) {
    let all = leases(&server.namespace("race").await.unwrap());
    for round in 0..5 {
        let name = format!("round-{round}");
        let tries = (0..TASKS).map(|task| {
            let (server, all) = (server.clone(), all.clone());
            let lease = lease(&name, &format!("task-{task}"));
            tokio::spawn(async move { server.call(Method::POST, &all, &lease).await.unwrap() })
        });
        let answers: Vec<_> = join_all(tries)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        let won: Vec<_> = answers.iter().filter(|answer| answer.code == 201).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        for lost in answers.iter().filter(|answer| answer.code != 201) {
            assert_eq!(
                (lost.code, lost.reason()),
                (409, "AlreadyExists"),
                "{lost:?}"
            );
        }
        let path = format!("{all}/{name}");
        let there = server
            .call(Method::GET, &path, &Value::Null)
            .await
            .unwrap()
            .ok()
            .unwrap();
        assert_eq!(there, won[0].body);
    }
}

async fn replace_or_delete(server: &TestServer) {
    let all = leases(&server.namespace("either").await.unwrap());
    for round in 0..10 {
        let name = format!("round-{round}");
        let created = create(server, &all, &name).await;
        let path = format!("{all}/{name}");
        let changed = with(&created, |l| l["spec"]["holderIdentity"] = json!("y"));
        let options = json!({"preconditions": {
            "uid": created["metadata"]["uid"],
            "resourceVersion": created["metadata"]["resourceVersion"],
        }});
        let (replaced, deleted) = tokio::join!(
            server.call(Method::PUT, &path, &changed),
            server.call(Method::DELETE, &path, &options),
        );
        let (replaced, deleted) = (replaced.unwrap(), deleted.unwrap());
        let there = server.call(Method::GET, &path, &Value::Null).await.unwrap();
        match (replaced.code, deleted.code) {
            (200, 409) => assert_eq!(there.body, replaced.body),
            (409, 200) => assert_eq!(there.code, 404, "{there:?}"),
            other => panic!("{other:?}: {replaced:?} {deleted:?}"),
        }
    }
}

async fn versions_grow(server: &TestServer) {
    let namespace = server.namespace("grow").await.unwrap();
    let maps = format!("/api/v1/namespaces/{namespace}/configmaps");
    let all = leases(&namespace);
    let mut last = 0;
    for at in 0..10 {
        let (path, object) = if at % 2 == 0 {
            (&all, lease(&format!("g-{at}"), "x"))
        } else {
            (&maps, super::areas::map(&format!("g-{at}")))
        };
        let created = server
            .call(Method::POST, path, &object)
            .await
            .unwrap()
            .ok()
            .unwrap();
        assert!(version(&created) > last, "{created}");
        last = version(&created);
        let list = server
            .call(Method::GET, path, &Value::Null)
            .await
            .unwrap()
            .ok()
            .unwrap();
        assert!(
            version(&list) >= last,
            "a list behind its own items: {list}"
        );
    }
}
