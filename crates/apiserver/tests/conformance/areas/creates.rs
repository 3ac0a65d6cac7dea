//! Creates: names, bodies, and what is there already.

use http::Method;
use serde_json::{Value, json};

use super::{lease, lock, map, pod, with};
use crate::suite::Talk;

pub async fn talk(talk: &mut Talk) {
    talk.server.install_leader_lock_crd().await.unwrap();
    let (leases, maps) = (talk.leases(""), talk.maps(""));
    let others = [
        (maps.clone(), map("a")),
        (talk.pods(""), pod("a")),
        (talk.locks(""), lock("a")),
    ];
    talk.case("AlreadyExists, of each kind");
    talk.post(&leases, lease("a", "x")).await;
    talk.post(&leases, lease("a", "y")).await;
    for (path, object) in &others {
        talk.post(path, object.clone()).await;
        talk.post(path, object.clone()).await;
    }

    talk.case("what the server sets");
    let claims = json!({"name": "claims", "uid": super::NO_UID, "generation": 7, "selfLink": "/x",
        "creationTimestamp": "2001-02-03T04:05:06Z", "deletionTimestamp": "2001-02-03T04:05:06Z",
        "deletionGracePeriodSeconds": 5});
    talk.post(
        &leases,
        with(&lease("", "x"), |l| l["metadata"] = claims.clone()),
    )
    .await;
    talk.post(&maps, with(&map(""), |m| m["metadata"] = claims))
        .await;
    let path = talk.leases("/claims");
    talk.get(&path).await;

    let names: &[(&str, Value)] = &[
        ("no metadata", Value::Null),
        ("no name", json!({})),
        ("an empty name", json!({"name": ""})),
        ("a generated name", json!({"generateName": "generated-"})),
        ("a name in upper case", json!({"name": "Upper"})),
        ("a name with a slash", json!({"name": "a/b"})),
        ("a name of two dots", json!({"name": ".."})),
        ("a name of 253 characters", json!({"name": "n".repeat(253)})),
        ("a name of 254 characters", json!({"name": "n".repeat(254)})),
        ("a name that is a number", json!({"name": 5})),
        (
            "another namespace",
            json!({"name": "b", "namespace": "elsewhere"}),
        ),
        (
            "the right namespace",
            json!({"name": "c", "namespace": talk.ns}),
        ),
        (
            "a resourceVersion",
            json!({"name": "d", "resourceVersion": "5"}),
        ),
        (
            "a resourceVersion of 0",
            json!({"name": "e", "resourceVersion": "0"}),
        ),
    ];
    for (name, metadata) in names {
        talk.case(name);
        talk.post(
            &leases,
            with(&lease("", "x"), |l| l["metadata"] = metadata.clone()),
        )
        .await;
        talk.post(&maps, with(&map(""), |m| m["metadata"] = metadata.clone()))
            .await;
    }

    let bodies: &[(&str, &str)] = &[
        ("no body", ""),
        ("an empty object", "{}"),
        ("no JSON", "{oops"),
        ("a list", "[]"),
        ("null", "null"),
        ("text", "\"x\""),
        (
            "another kind",
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"z"}}"#,
        ),
        (
            "an unknown kind",
            r#"{"apiVersion":"v9","kind":"Nothing","metadata":{"name":"z"}}"#,
        ),
        (
            "another version",
            r#"{"apiVersion":"coordination.k8s.io/v9","kind":"Lease","metadata":{"name":"z"}}"#,
        ),
        ("no kind", r#"{"metadata":{"name":"no-kind"}}"#),
        (
            "a field twice",
            r#"{"metadata":{"name":"twice","name":"twice-2"}}"#,
        ),
        ("metadata that is text", r#"{"metadata":"x"}"#),
    ];
    for (name, body) in bodies {
        talk.case(name);
        talk.ask_with(Method::POST, &leases, &[], body).await;
    }

    talk.case("a content type that nobody knows");
    talk.ask_with(
        Method::POST,
        &leases,
        &[("content-type", "text/plain")],
        "x",
    )
    .await;
    talk.case("YAML");
    let yaml = "metadata:\n  name: yaml\nspec:\n  holderIdentity: somebody\n";
    let yaml_type = [("content-type", "application/yaml")];
    talk.ask_with(Method::POST, &leases, &yaml_type, yaml).await;

    talk.case("fieldValidation");
    for mode in ["Strict", "Warn", "Ignore", "Nonsense"] {
        let object = with(
            &lease(&format!("fields-{}", mode.to_lowercase()), "x"),
            |l| {
                l["spec"]["colour"] = json!("red");
                l["extra"] = json!(1);
            },
        );
        talk.post(&format!("{leases}?fieldValidation={mode}"), object)
            .await;
    }

    talk.case("dryRun");
    talk.post(&format!("{leases}?dryRun=All"), lease("dry", "x"))
        .await;
    let path = talk.leases("/dry");
    talk.get(&path).await;
    talk.post(&format!("{leases}?dryRun=Some"), lease("dry", "x"))
        .await;

    talk.case("fieldManager");
    talk.post(
        &format!("{leases}?fieldManager=tenure"),
        lease("managed", "x"),
    )
    .await;

    talk.case("a create with a name in the path");
    let path = talk.leases("/named");
    talk.post(&path, lease("named", "x")).await;
    talk.case("a ConfigMap's data");
    for (name, data) in [
        ("null-value", json!({"a": null})),
        ("number", json!({"a": 1})),
        ("bad-key", json!({"a b": "c"})),
        ("empty", json!({})),
        ("none", Value::Null),
    ] {
        talk.post(&maps, with(&map(name), |m| m["data"] = data))
            .await;
    }
    talk.post(
        &maps,
        with(&map("binary"), |m| m["binaryData"] = json!({"b": "AAE="})),
    )
    .await;
    talk.post(
        &maps,
        with(&map("both"), |m| m["binaryData"] = json!({"a": "AAE="})),
    )
    .await;
    talk.post(&maps, with(&map("fixed"), |m| m["immutable"] = json!(true)))
        .await;
    let path = talk.maps("/fixed");
    talk.merge(&path, json!({"data": {"a": "c"}})).await;
}
