//! What people and outages do to a lock.

use serde_json::{Value, json};
use tenure::{Kind, LossReason, Status};
use tenure_harness::TestServer;

use super::{LOCK, S, World, marks::Marks, status, within};

/// Somebody deletes the lock of a leader: it notices at once, and one candidate leads again.
pub(crate) async fn lock_deleted(server: &TestServer, kind: Kind) {
    let world = World::new(server, kind).await;
    let a = world.candidate("a").await;
    let (leader, _) = within(5 * S, "the first", a.stand()).await;
    world.delete_lock().await;
    let reason = tokio::time::timeout(S, leader.lost())
        .await
        .expect("at once");
    assert_eq!(reason, LossReason::Deleted);
    assert!(!leader.is_leading());
    let (again, _) = within(6 * S, "after a deletion", a.stand()).await;
    assert!(again.token().newer_than(leader.token()));
    again.release().await;
}

/// Somebody gives the lock to another: the leader stops at once and never erases the thief.
pub(crate) async fn lock_stolen(server: &TestServer, kind: Kind) {
    let world = World::new(server, kind).await;
    let a = world.candidate("a").await;
    let (leader, _) = within(5 * S, "the first", a.stand()).await;
    let thief = world.pod("thief").await;
    world
        .edit_lock(|lock| {
            if kind == Kind::Lease {
                lock["spec"]["holderIdentity"] = "thief".into();
            } else {
                lock["metadata"]["annotations"] = json!({});
                lock["metadata"]["ownerReferences"] = json!([{
                    "apiVersion": "v1", "kind": "Pod", "name": "thief", "uid": thief.uid(),
                }]);
            }
        })
        .await;
    let reason = tokio::time::timeout(S, leader.lost())
        .await
        .expect("at once");
    assert_eq!(reason, LossReason::TakenBy("thief".into()));
    assert!(!leader.is_leading());
    let stolen = world.lock().await;
    leader.release().await;
    assert_eq!(world.lock().await, stolen, "L11, F5");
}

/// Leases that other programs and people leave behind (L20) are waited out and taken.
pub(crate) async fn strange_leases(server: &TestServer) {
    let specs = [
        json!({}),
        Value::Null,
        json!({"holderIdentity": "", "leaseDurationSeconds": 1}),
        json!({"holderIdentity": "client-go", "leaseDurationSeconds": 1,
            "acquireTime": "2020-01-01T00:00:00.000000Z",
            "renewTime": "2999-01-01T00:00:00.000000Z", "leaseTransitions": i32::MAX}),
        json!({"holderIdentity": "x".repeat(5000), "leaseDurationSeconds": 2}),
        json!({"holderIdentity": "p", "leaseDurationSeconds": 1,
            "strategy": "OldestEmulationVersion"}),
    ];
    for spec in specs {
        let world = World::new(server, Kind::Lease).await;
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": LOCK, "labels": {"theirs": "kept"}},
            "spec": spec,
        });
        let path = world.path();
        let collection = path.trim_end_matches(LOCK).trim_end_matches('/');
        let answer = server
            .call(http::Method::POST, collection, &lease)
            .await
            .unwrap();
        let Ok(made) = answer.ok() else {
            // The server refuses this one, so nobody can have left it there.
            continue;
        };
        let a = world.candidate("a").await;
        let began = tenure::now();
        let (leader, _) = within(5 * S, &format!("{spec}"), a.stand()).await;
        assert!(
            tenure::now().since(began) >= 2 * S,
            "L2, L13: {spec} was taken at once"
        );
        let taken = world.lock().await;
        assert_eq!(
            taken["metadata"]["labels"], made["metadata"]["labels"],
            "L5"
        );
        assert_eq!(
            taken["spec"].get("strategy"),
            made["spec"].get("strategy"),
            "L5"
        );
        leader.release().await;
    }
}

/// What the server notes of other writers of a Lease outlives our writes, which say nothing of it.
pub(crate) async fn other_managers(server: &TestServer) {
    let world = World::new(server, Kind::Lease).await;
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": LOCK, "labels": {"theirs": "kept"}},
        "spec": {"holderIdentity": "", "leaseDurationSeconds": 1},
    });
    let path = world.path();
    let collection = path.trim_end_matches(LOCK).trim_end_matches('/');
    let query = format!("{collection}?fieldManager=somebody");
    world.call(http::Method::POST, &query, &lease).await;
    let theirs = |lease: &Value| {
        let managers = lease["metadata"]["managedFields"].as_array().unwrap();
        let found = managers.iter().find(|one| one["manager"] == "somebody");
        found.unwrap_or_else(|| panic!("they are forgotten: {lease}"))["fieldsV1"]["f:metadata"]
            .clone()
    };
    let before = theirs(&world.lock().await);
    assert!(before["f:labels"]["f:theirs"].is_object(), "{before}");
    let a = world.candidate("a").await;
    let (leader, _) = within(6 * S, "the first", a.stand()).await;
    let taken = world.lock().await;
    let mut renewed = taken.clone();
    while renewed["spec"]["renewTime"] == taken["spec"]["renewTime"] {
        assert!(leader.is_leading(), "{renewed}");
        tokio::time::sleep(S / 20).await;
        renewed = world.lock().await;
    }
    for lease in [&taken, &renewed] {
        assert_eq!(theirs(lease), before);
        let managers = lease["metadata"]["managedFields"].as_array().unwrap();
        assert!(managers.len() >= 2, "ours is noted as well: {lease}");
    }
    leader.release().await;
}

/// A held Lease is edited to a duration of 68 years: its holder puts it right (L21).
pub(crate) async fn odd_duration(server: &TestServer) {
    let world = World::new(server, Kind::Lease).await;
    let (a, b) = (world.candidate("a").await, world.candidate("b").await);
    let (leader, _) = within(5 * S, "the first", a.stand()).await;
    let waiting = b.stand();
    world
        .edit_lock(|lock| lock["spec"]["leaseDurationSeconds"] = i32::MAX.into())
        .await;
    tokio::time::sleep(2 * S).await;
    assert!(leader.is_leading());
    assert_eq!(world.lock().await["spec"]["leaseDurationSeconds"], 2);
    leader.release().await;
    within(5 * S, "after an odd duration", waiting)
        .await
        .0
        .release()
        .await;
}

/// An object of the lock's name that is somebody's configuration (F11).
pub(crate) async fn somebodys_config_map(server: &TestServer) {
    let world = World::new(server, Kind::ConfigMap).await;
    let theirs = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": LOCK}, "data": {"config.yaml": "precious"},
    });
    let collection = format!("/api/v1/namespaces/{}/configmaps", world.namespace);
    let made = world.call(http::Method::POST, &collection, &theirs).await;
    let a = world.candidate("a").await;
    let waiting = a.stand();
    tokio::time::sleep(2 * S).await;
    assert!(!waiting.is_finished());
    assert_eq!(world.lock().await, made);
    waiting.abort();
}

/// The namespace is deleted under a leader: it loses, and what stands again says why it cannot.
pub(crate) async fn namespace_deleted(server: &TestServer, kind: Kind) {
    let world = World::new(server, kind).await;
    let a = world.candidate("a").await;
    let (leader, _) = within(5 * S, "the first", a.stand()).await;
    // A finalizer keeps the namespace in termination for as long as this looks at it.
    let hold = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "hold", "finalizers": ["tenure.dev/hold"]},
    });
    let maps = format!("/api/v1/namespaces/{}/configmaps", world.namespace);
    world.call(http::Method::POST, &maps, &hold).await;
    let path = format!("/api/v1/namespaces/{}", world.namespace);
    world.call(http::Method::DELETE, &path, &json!({})).await;
    tokio::time::timeout(30 * S, leader.lost())
        .await
        .expect("lost with its namespace");
    assert!(!leader.is_leading());
    let waiting = a.stand();
    let seen = status(&a.election, 20 * S, "why it cannot lead", |status| {
        matches!(status, Status::Standby { error: Some(_), .. })
    })
    .await;
    let Status::Standby {
        error: Some(error), ..
    } = seen
    else {
        unreachable!()
    };
    assert!(
        error.contains("terminated") || error.contains("not found"),
        "{error}"
    );
    assert!(!waiting.is_finished());
    waiting.abort();
    let hold = format!("{maps}/hold");
    world
        .edit(&hold, |held| held["metadata"]["finalizers"] = json!([]))
        .await;
}

/// The API server stops and starts again, twice: once shorter than validity, once longer.
pub(crate) async fn outage(server: &TestServer, kind: Kind) {
    let world = World::new(server, kind).await;
    let marks = Marks::default();
    let (a, b) = (world.candidate("a").await, world.candidate("b").await);
    let (leader, _) = within(5 * S, "the first", a.stand()).await;
    let waiting = b.stand();
    let sampling = marks.sample(leader.handle());
    server.stop().await.unwrap();
    if kind == Kind::Lease {
        let reason = tokio::time::timeout(5 * S, leader.lost())
            .await
            .expect("in time");
        assert_eq!(reason, LossReason::Expired);
        tokio::time::sleep(2 * S).await;
        assert!(
            !leader.is_leading(),
            "nobody leads without a server for long"
        );
        server.start().await.unwrap();
        drop(leader);
        let (next, _) = within(20 * S, "after an outage", waiting).await;
        let later = marks.sample(next.handle());
        next.release().await;
        later.join().unwrap();
    } else {
        tokio::time::sleep(5 * S).await;
        assert!(leader.is_leading(), "for life");
        server.start().await.unwrap();
        tokio::time::sleep(2 * S).await;
        assert!(leader.is_leading() && !waiting.is_finished());
        leader.release().await;
        within(20 * S, "after an outage", waiting)
            .await
            .0
            .release()
            .await;
    }
    sampling.join().unwrap();
    assert_eq!(marks.overlaps(), 0);
}

/// The API server accepts and never answers: the leader is told in time and stops by itself (L10).
pub(crate) async fn frozen_server(server: &TestServer) {
    let world = World::new(server, Kind::Lease).await;
    let a = world.candidate("a").await;
    let (leader, _) = within(5 * S, "the first", a.stand()).await;
    server.freeze().await.unwrap();
    let reason = tokio::time::timeout(5 * S, leader.lost())
        .await
        .expect("told in time");
    assert_eq!(reason, LossReason::Expired);
    assert!(leader.is_leading(), "told before validity ends");
    let left = leader.remaining().unwrap();
    tokio::time::sleep(left).await;
    assert!(!leader.is_leading());
    server.thaw().await.unwrap();
}
