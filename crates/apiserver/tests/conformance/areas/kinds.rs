//! The other kinds that the library and the program touch.

use serde_json::{Value, json};

use super::pod;
use crate::suite::Talk;

pub async fn talk(talk: &mut Talk) {
    let root = format!("/api/v1/namespaces/{}", talk.ns);
    let created = talk
        .quiet(
            http::Method::POST,
            &talk.pods(""),
            &[],
            &pod("p").to_string(),
        )
        .await;
    let uid = created.body["metadata"]["uid"].clone();

    talk.case("events of the old sort");
    let events = format!("{root}/events");
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e.1"},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": talk.ns, "uid": uid},
        "reason": "BecameLeader", "message": "x became leader", "type": "Normal", "count": 1,
        "source": {"component": "tenure"},
        "firstTimestamp": "2001-02-03T04:05:06Z", "lastTimestamp": "2001-02-03T04:05:06Z",
    });
    talk.post(&events, event.clone()).await;
    let path = format!("{events}/e.1");
    talk.merge(
        &path,
        json!({"count": 2, "lastTimestamp": "2001-02-03T04:05:07Z"}),
    )
    .await;
    let mut elsewhere = event.clone();
    elsewhere["metadata"]["name"] = json!("e.2");
    elsewhere["involvedObject"]["namespace"] = json!("elsewhere");
    talk.post(&events, elsewhere).await;

    talk.case("events of the new sort");
    let all = format!("/apis/events.k8s.io/v1/namespaces/{}/events", talk.ns);
    let event = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "n.1"},
        "eventTime": "2001-02-03T04:05:06.000007Z", "reportingController": "tenure",
        "reportingInstance": "p", "action": "Elect", "reason": "BecameLeader", "note": "x leads",
        "type": "Normal",
        "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "p", "namespace": talk.ns, "uid": uid},
    });
    talk.post(&all, event.clone()).await;
    talk.merge(
        &format!("{all}/n.1"),
        json!({"series": {"count": 2,
        "lastObservedTime": "2001-02-03T04:05:07.000007Z"}}),
    )
    .await;
    talk.note("the old path shows the same");
    talk.get(&format!("{events}/n.1")).await;
    talk.note("and the new one the old");
    talk.get(&format!("{all}/e.1")).await;
    talk.get(&format!("{events}?fieldSelector=involvedObject.name%3Dp"))
        .await;

    talk.case("service accounts");
    let accounts = format!("{root}/serviceaccounts");
    talk.post(&accounts, json!({"metadata": {"name": "worker"}}))
        .await;
    talk.get(&format!("{accounts}/worker")).await;
    talk.delete(&format!("{accounts}/worker"), Value::Null)
        .await;

    talk.case("secrets");
    let secrets = format!("{root}/secrets");
    talk.post(
        &secrets,
        json!({"metadata": {"name": "s"}, "stringData": {"a": "b"}}),
    )
    .await;
    talk.post(
        &secrets,
        json!({"metadata": {"name": "t"}, "data": {"a": "no base64!"}}),
    )
    .await;

    talk.case("roles");
    let root = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", talk.ns);
    let role = json!({"metadata": {"name": "r"}, "rules": [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"]}]});
    talk.post(&format!("{root}/roles"), role.clone()).await;
    talk.put(&format!("{root}/roles/r2"), &{
        let mut role = role;
        role["metadata"]["name"] = json!("r2");
        role
    })
    .await;
    talk.post(
        &format!("{root}/roles"),
        json!({"metadata": {"name": "bad"}, "rules": [{}]}),
    )
    .await;
    let binding = json!({"metadata": {"name": "b"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "worker", "namespace": talk.ns}]});
    talk.post(&format!("{root}/rolebindings"), binding).await;
    talk.merge(
        &format!("{root}/rolebindings/b"),
        json!({"roleRef": {"name": "other"}}),
    )
    .await;
    talk.case("events of the new sort that are refused");
    for (field, value) in [
        ("reportingController", json!("")),
        ("reportingInstance", json!("")),
        ("action", json!("")),
        ("reason", json!("")),
        ("eventTime", Value::Null),
        ("type", json!("Nonsense")),
    ] {
        let mut event = event.clone();
        event["metadata"]["name"] = json!(format!("n.{}", field.to_lowercase()));
        event[field] = value;
        talk.post(&all, event).await;
    }
}
