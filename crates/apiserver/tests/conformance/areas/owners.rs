//! Owners and the collector: what goes with its owner, and what stays.

use serde_json::{Value, json};

use super::{NO_UID, lock, map, owner, pod, with};
use crate::suite::Talk;

fn owned(name: &str, owners: &[Value]) -> Value {
    with(&map(name), |m| {
        m["metadata"]["ownerReferences"] = json!(owners);
    })
}

pub async fn talk(talk: &mut Talk) {
    talk.server.install_leader_lock_crd().await.unwrap();
    let (maps, pods) = (talk.maps(""), talk.pods(""));
    for (name, propagation) in [
        ("by default", Value::Null),
        ("in the background", json!("Background")),
        ("in the foreground", json!("Foreground")),
    ] {
        talk.case(&format!("a Pod goes {name}"));
        let owning = talk.post(&pods, pod("owner")).await;
        talk.post(&maps, owned("dependent", &[owner(&owning)]))
            .await;
        let path = talk.pods("/owner");
        talk.delete(&path, json!({"propagationPolicy": propagation}))
            .await;
        talk.gone(&path).await;
        let path = talk.maps("/dependent");
        talk.gone(&path).await;
    }

    talk.case("a LeaderLock and its Pod");
    let owning = talk.post(&pods, pod("owner")).await;
    let (locks, path) = (talk.locks(""), talk.locks("/l"));
    talk.post(
        &locks,
        with(&lock("l"), |l| {
            l["metadata"]["ownerReferences"] = json!([owner(&owning)]);
        }),
    )
    .await;
    talk.delete(&talk.pods("/owner"), json!({"gracePeriodSeconds": 0}))
        .await;
    talk.gone(&path).await;

    talk.case("orphans");
    let owning = talk.post(&maps, map("parent")).await;
    talk.post(&maps, owned("orphan", &[owner(&owning)])).await;
    let path = talk.maps("/parent");
    talk.delete(&path, json!({"propagationPolicy": "Orphan"}))
        .await;
    talk.gone(&path).await;
    let path = talk.maps("/orphan");
    talk.wait_for(&path, "no owners", |m| {
        m["metadata"]["ownerReferences"].is_null()
    })
    .await;

    talk.case("an owner that blocks");
    let owning = talk.post(&maps, map("blocked")).await;
    let blocking = with(&owner(&owning), |o| o["blockOwnerDeletion"] = json!(true));
    let held = with(&owned("blocker", &[blocking]), |m| {
        m["metadata"]["finalizers"] = json!(["example.com/x"]);
    });
    talk.post(&maps, held).await;
    let (path, blocker) = (talk.maps("/blocked"), talk.maps("/blocker"));
    talk.delete(&path, json!({"propagationPolicy": "Foreground"}))
        .await;
    talk.wait_for(&blocker, "being deleted", |m| {
        m["metadata"]["deletionTimestamp"].is_string()
    })
    .await;
    talk.get(&path).await;
    talk.merge(&blocker, json!({"metadata": {"finalizers": null}}))
        .await;
    talk.gone(&path).await;

    talk.case("an owner with another uid is no owner");
    talk.post(&pods, pod("twin")).await;
    let stale = json!({"apiVersion": "v1", "kind": "Pod", "name": "twin", "uid": NO_UID});
    talk.post(&maps, owned("of-the-dead", &[stale])).await;
    let path = talk.maps("/of-the-dead");
    talk.gone(&path).await;
    let path = talk.pods("/twin");
    talk.get(&path).await;

    talk.case("one of two owners goes");
    let one = talk.post(&maps, map("one")).await;
    let two = talk.post(&maps, map("two")).await;
    talk.post(&maps, owned("child", &[owner(&one), owner(&two)]))
        .await;
    let path = talk.maps("/one");
    talk.delete(&path, Value::Null).await;
    let child = talk.maps("/child");
    talk.wait_for(&child, "one owner", |m| {
        m["metadata"]["ownerReferences"]
            .as_array()
            .is_some_and(|owners| owners.len() == 1)
    })
    .await;
    let path = talk.maps("/two");
    talk.delete(&path, Value::Null).await;
    talk.gone(&child).await;

    talk.case("an owner that is being deleted is alive");
    let held = with(&pod("dying"), |p| p["spec"]["nodeName"] = json!("n"));
    let owning = talk.post(&pods, held).await;
    let path = talk.pods("/dying");
    talk.delete(&path, Value::Null).await;
    talk.post(&maps, owned("waits", &[owner(&owning)])).await;
    // Something that the collector looks at later than the first: then it has seen that.
    let stale = json!({"apiVersion": "v1", "kind": "Pod", "name": "nobody", "uid": NO_UID});
    talk.post(&maps, owned("marker", &[stale])).await;
    let marker = talk.maps("/marker");
    talk.gone(&marker).await;
    let waits = talk.maps("/waits");
    talk.get(&waits).await;
    talk.delete(&path, json!({"gracePeriodSeconds": 0})).await;
    talk.gone(&waits).await;

    talk.case("a chain");
    let one = talk.post(&maps, map("a")).await;
    let two = talk.post(&maps, owned("b", &[owner(&one)])).await;
    talk.post(&maps, owned("c", &[owner(&two)])).await;
    let path = talk.maps("/a");
    talk.delete(&path, json!({"propagationPolicy": "Foreground"}))
        .await;
    for name in ["/a", "/b", "/c"] {
        let path = talk.maps(name);
        talk.gone(&path).await;
    }

    talk.case("an owner is set by hand");
    let one = talk.post(&maps, map("late")).await;
    let path = talk.maps("/adopted");
    talk.post(&maps, map("adopted")).await;
    talk.merge(
        &path,
        json!({"metadata": {"ownerReferences": [owner(&one)]}}),
    )
    .await;
    talk.delete(&talk.maps("/late"), Value::Null).await;
    talk.gone(&path).await;
}
