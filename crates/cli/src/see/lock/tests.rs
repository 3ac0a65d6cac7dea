use serde_json::json;

use super::*;

#[test]
fn leases_of_nodes_and_of_api_servers_are_no_elections() {
    let nodes = json!({"metadata": {"name": "n1", "namespace": "kube-node-lease"}});
    assert_eq!(Lock::read(Kind::Lease, &nodes, false), None);
    assert!(Lock::read(Kind::Lease, &nodes, true).is_some());
    let owned =
        json!({"metadata": {"name": "n1", "ownerReferences": [{"kind": "Node", "name": "n1"}]}});
    assert_eq!(Lock::read(Kind::Lease, &owned, false), None);
    let server = json!({"metadata": {
        "name": "apiserver-x", "namespace": "kube-system",
        "labels": {"apiserver.kubernetes.io/identity": "kube-apiserver"},
    }});
    assert_eq!(Lock::read(Kind::Lease, &server, false), None);
}

#[test]
fn config_maps_that_hold_something_are_no_locks() {
    let mut map = json!({"metadata": {"name": "settings", "namespace": "ns"}, "data": {"a": "b"}});
    assert_eq!(Lock::read(Kind::ConfigMap, &map, false), None);
    map["metadata"]["ownerReferences"] = json!([{"kind": "Pod", "name": "p", "uid": "u"}]);
    assert_eq!(Lock::read(Kind::ConfigMap, &map, false), None);
    map["data"] = json!({});
    assert!(Lock::read(Kind::ConfigMap, &map, false).is_some());
}

#[test]
fn only_identities_that_tenure_makes_carry_a_pods_uid() {
    let of = |holder: &str| Renewed {
        holder: Some(holder.to_owned()),
        ..Renewed::default()
    };
    let uid = "6d0f4c9e-2f37-4a55-8d0b-1f8a8f0c9b1e";
    let process = "4fb0c2d98a3e4f16b7a5d01c9e6f7788";
    assert_eq!(of(&format!("w_{uid}_{process}")).pod_uid(), Some(uid));
    for other in [
        format!("w_{process}"),
        format!("w_{uid}"),
        format!("w_{uid}_{process}_x"),
        format!("w_{process}_{uid}"),
        "w".to_owned(),
        "é_é_é".to_owned(),
    ] {
        assert_eq!(of(&other).pod_uid(), None, "{other}");
    }
}

#[test]
fn who_wrote_it_is_told_by_what_is_in_it() {
    let writer = |kind, object| Lock::read(kind, &object, true).unwrap().writer;
    let owned = |flags: bool| {
        let mut owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"});
        if flags {
            owner["controller"] = true.into();
            owner["blockOwnerDeletion"] = true.into();
        }
        json!({"metadata": {"ownerReferences": [owner]}})
    };
    assert_eq!(
        writer(Kind::ConfigMap, owned(false)),
        "operator-lib or alike"
    );
    assert_eq!(writer(Kind::LeaderLock, owned(true)), "zio-k8s or alike");
    assert_eq!(writer(Kind::Lease, json!({})), "another program");
    let record = json!({"metadata": {"annotations": {RECORD_ANNOTATION:
        r#"{"holderIdentity":"h_1","leaseDurationSeconds":15,"acquireTime":"2020-01-01T00:00:00Z","renewTime":"2020-01-01T00:00:05Z","leaderTransitions":3}"#}}});
    let lock = Lock::read(Kind::ConfigMap, &record, false).unwrap();
    assert_eq!(lock.holder(), Some("h_1"));
    assert_eq!(lock.renewed().unwrap().transitions, Some(3));
}

fn owned_by(references: &serde_json::Value, record: Option<&str>) -> ForLife {
    let mut object = json!({"metadata": {"name": "l", "ownerReferences": references}});
    if let Some(record) = record {
        object["metadata"]["annotations"] = json!({OWNER_ANNOTATION: record});
    }
    match Lock::read(Kind::ConfigMap, &object, true).unwrap().hold {
        Hold::ForLife(life) => life,
        Hold::Renewed(_) => panic!("{object}"),
    }
}

#[test]
fn f1_the_annotation_names_the_owner_and_the_reference_only_where_there_is_none() {
    let pod = json!([{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]);
    let record = r#"{"pod":"p","podUid":"u","term":"n-1"}"#;
    let owner = Owner {
        name: "p".to_owned(),
        uid: "u".to_owned(),
    };
    for (references, record) in [
        (&pod, None),
        (&pod, Some(record)),
        (&json!([]), Some(record)),
        (&json!(null), Some(record)),
    ] {
        let life = owned_by(references, record);
        assert_eq!(life.owner.as_ref(), Some(&owner), "{references} {record:?}");
        assert_eq!(life.foreign, None);
        assert_eq!(life.term.as_deref(), record.map(|_| "n-1"));
    }
}

#[test]
fn f11_what_is_no_lock_to_tenure_is_called_so() {
    let pod = |name: &str| json!({"apiVersion": "v1", "kind": "Pod", "name": name, "uid": "u"});
    let deployment = json!([{"kind": "Deployment", "name": "d", "uid": "u"}]);
    let record = r#"{"pod":"p","podUid":"u","term":"n-1"}"#;
    for (references, record, told) in [
        (json!([]), None, "no Pod owns it"),
        (deployment, None, "its owner is no Pod"),
        (json!([pod("p"), pod("q")]), None, "it has 2 owners"),
        (json!([pod("")]), None, "names no Pod whole"),
        (json!([pod("q")]), Some(record), "names another Pod"),
        (json!([pod("p")]), Some("{"), "cannot be understood"),
        (
            json!([pod("p")]),
            Some(r#"{"podUid":"u"}"#),
            "cannot be understood",
        ),
    ] {
        let life = owned_by(&references, record);
        let foreign = life.foreign.unwrap_or_default();
        assert!(foreign.contains(told), "{references}: {foreign:?}");
        assert_eq!((life.owner, life.term), (None, None), "{references}");
    }
}

#[test]
fn tenures_annotation_speaks_for_its_own_holder_and_renewal_only() {
    let lease = |holder: &str, renewed: &str| {
        let mark = r#"{"holder":"a","renewTime":"2026-03-01T09:30:00.000000Z","released":true}"#;
        let object = json!({
            "metadata": {"annotations": {WRITE_ANNOTATION: mark}},
            "spec": {"holderIdentity": holder, "renewTime": renewed},
        });
        let lock = Lock::read(Kind::Lease, &object, true).unwrap();
        let renewed = lock.renewed().unwrap();
        (lock.writer, renewed.by_tenure, renewed.written_by_another)
    };
    let (then, later) = ("2026-03-01T09:30:00Z", "2026-03-01T09:30:01Z");
    let another = "another program, after tenure";
    assert_eq!(lease("a", then), ("tenure", true, false));
    assert_eq!(lease("a", later), (another, false, true));
    assert_eq!(lease("b", then), (another, false, false));
    assert_eq!(lease("b", later), (another, false, false));
}
