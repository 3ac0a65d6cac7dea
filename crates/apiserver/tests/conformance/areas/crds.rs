//! Custom resources: their definition, their objects, and the time before and after.

use http::Method;
use serde_json::{Value, json};

use super::with;
use crate::suite::Talk;

const CRDS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn definition(group: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("things.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "singular": "thing",
                "shortNames": ["th"]},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {}},
                }},
            }}],
        },
    })
}

pub async fn talk(talk: &mut Talk) {
    // Definitions are the whole cluster's: the group is this talk's own.
    let group = format!("{}.example.com", talk.ns);
    talk.name(&group, "GROUP");
    let root = format!("/apis/{group}/v1");
    let all = format!("{root}/namespaces/{}/things", talk.ns);
    let one = format!("{all}/l");
    let version = format!("{group}/v1");
    let thing =
        |name: &str| json!({"apiVersion": version, "kind": "Thing", "metadata": {"name": name}});

    talk.case("before there is a definition");
    talk.get(&all).await;
    talk.get(&one).await;
    talk.post(&all, thing("l")).await;
    talk.put(&one, &thing("l")).await;
    talk.delete(&one, Value::Null).await;
    talk.merge(&one, json!({})).await;
    talk.watch(&format!("{all}?watch=1")).await;
    talk.get(&root).await;
    let path = format!("/apis/{group}");
    talk.get(&path).await;
    let definition = definition(&group);
    let path = format!("{CRDS}/things.{group}");
    talk.get(&path).await;

    talk.case("a definition");
    talk.quiet(Method::POST, CRDS, &[], &definition.to_string())
        .await
        .ok()
        .unwrap();
    talk.wait_for(&path, "established", |crd| {
        crd["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|c| c["type"] == "Established" && c["status"] == "True")
    })
    .await;
    talk.server.wait_for(&root, |_| true).await.unwrap();
    talk.server
        .wait_for(&format!("{root}/things"), |_| true)
        .await
        .unwrap();
    talk.note("again");
    talk.post(CRDS, definition.clone()).await;
    let names = |list: &Value| {
        let mut names: Vec<Value> = list["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|resource| {
                with(resource, |r| {
                    r["storageVersionHash"] = Value::Null;
                    if let Some(verbs) = r["verbs"].as_array_mut() {
                        verbs.sort_by_key(ToString::to_string);
                    }
                })
            })
            .collect();
        names.sort_by_key(|resource| resource["name"].to_string());
        json!({"kind": list["kind"], "groupVersion": list["groupVersion"], "resources": names})
    };
    talk.get_part(&root, &[], names).await;
    let document = format!("/apis/{group}");
    talk.get(&document).await;

    talk.case("objects");
    let odd = with(&thing("l"), |l| {
        l["spec"] = json!({"unknown": 1});
        l["extra"] = json!(2);
        l["metadata"]["colour"] = json!("red");
    });
    let created = talk.post(&all, odd.clone()).await;
    talk.get(&all).await;
    let strict = with(&odd, |l| l["metadata"]["name"] = json!("strict"));
    talk.post(&format!("{all}?fieldValidation=Strict"), strict)
        .await;
    talk.note("no resourceVersion");
    talk.put(
        &one,
        &with(&created, |l| l["metadata"]["resourceVersion"] = Value::Null),
    )
    .await;
    talk.note("a spec, and nothing else");
    talk.put(&one, &with(&created, |l| l["spec"] = json!({})))
        .await;
    for spec in [Value::Null, json!("x"), json!([])] {
        let bad = with(&thing("bad"), |l| l["spec"] = spec);
        talk.post(&all, bad).await;
    }
    talk.note("the wrong kind, the wrong version, none");
    talk.post(&all, with(&thing("k"), |l| l["kind"] = json!("Lease")))
        .await;
    talk.post(&all, with(&thing("k"), |l| l["apiVersion"] = json!("v1")))
        .await;
    talk.post(&all, json!({"metadata": {"name": "k"}})).await;
    talk.note("a status, which the definition does not have");
    let status = format!("{one}/status");
    talk.get(&status).await;
    talk.merge(&status, json!({"status": {}})).await;
    talk.case("names");
    for name in ["Upper", "", "a_b"] {
        talk.post(&all, thing(name)).await;
    }

    talk.case("definitions that are refused");
    for change in [
        json!({"metadata": {"name": "other.example.com"}}),
        json!({"spec": null}),
        json!({"spec": {"group": "example.com", "scope": "Nowhere", "names": {"kind": "X", "plural": "other"},
            "versions": []}}),
    ] {
        let mut body = definition.clone();
        for (key, value) in change.as_object().unwrap() {
            body[key] = value.clone();
        }
        talk.post(CRDS, body).await;
    }

    talk.case("the end");
    let mut watch = talk.watch(&format!("{all}?watch=1")).await;
    talk.event(&mut watch).await;
    talk.quiet(Method::DELETE, &path, &[], "")
        .await
        .ok()
        .unwrap();
    talk.event(&mut watch).await;
    talk.gone(&path).await;
    talk.gone(&format!("{root}/things")).await;
    talk.get(&one).await;
}
