//! Lists: selectors, pages, resourceVersions, and the forms that kubectl asks for.

use serde_json::{Value, json};

use super::{lease, lock, map, pod, with};
use crate::suite::Talk;

pub async fn talk(talk: &mut Talk) {
    talk.server.install_leader_lock_crd().await.unwrap();
    let maps = talk.maps("");
    talk.case("lists");
    for (name, labels) in [
        ("a", json!({"app": "x", "tier": "front", "l": ""})),
        ("b", json!({"app": "y", "l": ""})),
        ("c", json!({"app": "x", "l": "", "n": "5"})),
    ] {
        talk.post(
            &maps,
            with(&map(name), |m| m["metadata"]["labels"] = labels),
        )
        .await;
    }
    let all = format!("{maps}?labelSelector=l");
    talk.get(&all).await;
    for empty in [talk.leases(""), talk.pods(""), talk.locks("")] {
        talk.get(&empty).await;
    }
    let label = |object: &Value| with(object, |o| o["metadata"]["labels"] = json!({"l": ""}));
    for (path, object) in [
        (talk.leases(""), lease("a", "x")),
        (talk.pods(""), pod("a")),
        (talk.locks(""), lock("a")),
    ] {
        talk.post(&path, label(&object)).await;
        talk.get(&path).await;
    }

    talk.case("label selectors");
    for selector in [
        "app=x",
        "app==x",
        "app!=x",
        "app",
        "!app",
        "app in (x,y)",
        "app notin (x)",
        "tier notin (front)",
        "app=x,tier",
        "app=x,!tier",
        "l=",
        "n>4",
        "n<5",
        "n>x",
        "app=",
        "a b=c",
        "app in ()",
        "app in (x",
        "=x",
        "app=x,",
        ",",
        "app===x",
        "app=x y",
        "example.com/app=x",
    ] {
        let selector = selector
            .replace(' ', "%20")
            .replace('=', "%3D")
            .replace('>', "%3E");
        let selector = selector.replace('<', "%3C").replace('!', "%21");
        talk.get_part(&format!("{maps}?labelSelector=l,{selector}"), &[], names)
            .await;
    }
    talk.case("field selectors");
    for selector in [
        "metadata.name%3Da",
        "metadata.name%3D%3Da",
        "metadata.name%21%3Da,metadata.name%21%3Dkube-root-ca.crt",
        "metadata.name%3Da,metadata.name%3Db",
        "metadata.uid%3Dx",
        "data.a%3Db",
        "metadata.name",
        "%3Da",
        "metadata.name%3D",
    ] {
        talk.get_part(&format!("{maps}?fieldSelector={selector}"), &[], names)
            .await;
    }
    let pods = talk.pods("");
    for selector in [
        "status.phase%3DPending",
        "status.phase%3DRunning",
        "spec.nodeName%3D",
        "spec.nodeName%3Dn",
        "spec.restartPolicy%3DAlways",
        "spec.containers%3Dx",
    ] {
        talk.get_part(&format!("{pods}?fieldSelector={selector}"), &[], names)
            .await;
    }
    let leases = talk.leases("");
    for selector in ["metadata.name%3Da", "spec.holderIdentity%3Dx"] {
        talk.get_part(&format!("{leases}?fieldSelector={selector}"), &[], names)
            .await;
    }
    let locks = talk.locks("");
    for selector in ["metadata.name%3Da", "spec.x%3Dy"] {
        talk.get_part(&format!("{locks}?fieldSelector={selector}"), &[], names)
            .await;
    }
    let ns = format!("metadata.namespace%3D{}", talk.ns);
    let everywhere = format!("/api/v1/configmaps?labelSelector=l&fieldSelector={ns}");
    talk.get_part(&everywhere, &[], names).await;

    talk.case("resourceVersions of a list");
    for parameters in [
        "resourceVersion=0",
        "resourceVersion=1",
        "resourceVersion=abc",
        "resourceVersion=-1",
        "resourceVersion=0&resourceVersionMatch=Exact",
        "resourceVersionMatch=Exact",
        "resourceVersion=0&resourceVersionMatch=NotOlderThan",
        "resourceVersion=1&resourceVersionMatch=NotOlderThan",
        "resourceVersion=1&resourceVersionMatch=Nonsense",
        "resourceVersion=9000000000000000",
        "limit=-1",
        "limit=x",
        "continue=nonsense",
        "timeoutSeconds=x",
    ] {
        talk.get_part(&format!("{all}&{parameters}"), &[], names)
            .await;
    }
    talk.case("resourceVersions of a get");
    let one = talk.maps("/a");
    for version in ["0", "1", "abc", "9000000000000000"] {
        talk.get_part(&format!("{one}?resourceVersion={version}"), &[], |o| {
            if o["kind"] == "ConfigMap" {
                json!("the object")
            } else {
                o.clone()
            }
        })
        .await;
    }
    pages(talk).await;
    forms(talk).await;
}

fn names(list: &Value) -> Value {
    match list["items"].as_array() {
        Some(items) => items
            .iter()
            .map(|item| item["metadata"]["name"].clone())
            .collect(),
        None => list.clone(),
    }
}

async fn pages(talk: &mut Talk) {
    talk.case("pages");
    let page = |list: &Value| {
        json!({"names": names(list), "more": list["metadata"]["continue"].is_string(),
            "remaining": list["metadata"]["remainingItemCount"]})
    };
    let leases = talk.leases("");
    for name in ["p1", "p2", "p3"] {
        let labelled = with(&lease(name, "x"), |l| {
            l["metadata"]["labels"] = json!({"page": ""});
        });
        talk.post(&leases, labelled).await;
    }
    for all in [
        leases.clone() + "?labelSelector=page",
        leases + "?fieldSelector=metadata.name%21%3Da",
    ] {
        let first = talk.get_part(&format!("{all}&limit=2"), &[], page).await;
        let token = first["metadata"]["continue"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        talk.name(&token, "TOKEN");
        talk.get_part(&format!("{all}&limit=2&continue={token}"), &[], page)
            .await;
        talk.get_part(&format!("{all}&limit=3"), &[], page).await;
    }
    let path = talk.leases("?limit=3");
    talk.get_part(&path, &[], page).await;
}

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARTIAL: &str = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io";
const PARTIAL_LIST: &str = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";

async fn forms(talk: &mut Talk) {
    let ns = format!("/api/v1/namespaces/{}", talk.ns);
    let accounts = format!("{ns}/serviceaccounts");
    talk.case("a service account");
    talk.post(&accounts, json!({"metadata": {"name": "a"}}))
        .await;
    let definition =
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/leaderlocks.coralogix.com";
    let part = |table: &Value| {
        with(table, |table| {
            for column in table["columnDefinitions"]
                .as_array_mut()
                .into_iter()
                .flatten()
            {
                column["description"] = Value::Null;
            }
        })
    };
    for (what, path) in [
        ("ConfigMaps", talk.maps("?labelSelector=l")),
        ("Leases", talk.leases("")),
        ("Pods", talk.pods("")),
        ("LeaderLocks", talk.locks("")),
        ("one ConfigMap", talk.maps("/a")),
        ("one Lease", talk.leases("/a")),
        ("one Pod", talk.pods("/a")),
        ("one LeaderLock", talk.locks("/a")),
        ("nobody", talk.maps("/nobody")),
        ("one namespace", ns.clone()),
        ("no events", format!("{ns}/events")),
        ("one service account", format!("{accounts}/a")),
        ("one definition", definition.to_owned()),
        (
            "one Lease with its object",
            talk.leases("/a?includeObject=Object"),
        ),
        (
            "one Lease without its object",
            talk.leases("/a?includeObject=None"),
        ),
    ] {
        talk.case(&format!("a table of {what}"));
        talk.get_part(&path, &[("accept", TABLE)], part).await;
    }
    talk.case("only the metadata");
    for (path, accept) in [
        (talk.leases("/a"), PARTIAL),
        (talk.locks("/a"), PARTIAL),
        (
            talk.leases("?fieldSelector=metadata.name%3Da"),
            PARTIAL_LIST,
        ),
    ] {
        talk.ask_with(http::Method::GET, &path, &[("accept", accept)], "")
            .await;
    }
    talk.case("what nobody can answer in");
    let path = talk.leases("/a");
    for accept in [
        "text/html",
        "application/xml",
        "application/json;as=Nonsense;v=v1;g=meta.k8s.io",
        "*/*",
    ] {
        talk.ask_with(http::Method::GET, &path, &[("accept", accept)], "")
            .await;
    }
    talk.case("GET with pretty");
    talk.get(&format!("{path}?pretty=true")).await;
}
