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
