//! Who may do what: the words of a refusal.

use http::Method;
use serde_json::{Value, json};

use super::{lease, map};
use crate::suite::Talk;

/// Rights to Leases, by name where the library asks for no more.
const ROLE: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: worker}
rules:
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [mine], verbs: [get, update]}
- {apiGroups: [''], resources: [pods], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: worker}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: worker}
subjects:
- {kind: ServiceAccount, name: worker, namespace: NAMESPACE}
";

pub async fn talk(talk: &mut Talk) {
    let ns = talk.ns.clone();
    talk.server
        .apply_yaml(&ns, &ROLE.replace("NAMESPACE", &ns))
        .await
        .unwrap();
    let user = format!("system:serviceaccount:{ns}:worker");
    if let Some(server) = talk.server.embedded_server() {
        // It grants everything: what the role leaves out is taken away.
        for (verb, resource) in [
            ("list", "*"),
            ("watch", "*"),
            ("delete", "*"),
            ("deletecollection", "*"),
            ("patch", "*"),
            ("*", "configmaps"),
            ("*", "nodes"),
            ("*", "pods/status"),
            ("*", "serviceaccounts/token"),
            ("*", "customresourcedefinitions"),
            ("*", "namespaces"),
        ] {
            server.deny_user(verb, resource, &user);
        }
    }
    let all = talk.leases("");
    talk.server
        .call(Method::POST, &all, &lease("mine", "a"))
        .await
        .unwrap()
        .ok()
        .unwrap();
    let config = talk
        .server
        .service_account_config(&ns, "worker", None)
        .await
        .unwrap();
    talk.act_as(config, "the service account worker");

    talk.case("what the role grants");
    talk.post(&all, lease("new", "a")).await;
    let mine = talk.get(&talk.leases("/mine")).await;
    talk.put(&talk.leases("/mine"), &mine).await;
    talk.get(&talk.pods("/none")).await;

    talk.case("what it does not");
    let (mine, maps) = (talk.leases("/mine"), talk.maps(""));
    talk.get(&all).await;
    talk.watch(&format!("{all}?watch=1")).await;
    talk.watch(&format!("{all}?watch=1&fieldSelector=metadata.name%3Dmine"))
        .await;
    talk.delete(&mine, Value::Null).await;
    talk.delete(&all, Value::Null).await;
    talk.merge(&mine, json!({})).await;
    talk.get(&format!("{maps}/x")).await;
    talk.post(&maps, map("x")).await;
    talk.get("/api/v1/configmaps").await;
    talk.get("/api/v1/nodes/n").await;
    talk.get("/api/v1/nodes").await;
    talk.get(&format!("/api/v1/namespaces/{ns}")).await;
    talk.get("/api/v1/namespaces").await;
    talk.merge(&talk.pods("/p/status"), json!({})).await;
    talk.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/leaderlocks.coralogix.com")
        .await;

    talk.case("asking for one's rights");
    for (verb, group, resource, name) in [
        ("create", "coordination.k8s.io", "leases", ""),
        ("get", "", "pods", "p"),
        ("watch", "coordination.k8s.io", "leases", ""),
        ("create", "", "configmaps", ""),
    ] {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "namespace": ns, "verb": verb, "group": group, "resource": resource, "name": name,
            }},
        });
        talk.post(
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            review,
        )
        .await;
    }
    let who = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    talk.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", who)
        .await;

    talk.case("a token that nobody issued");
    let mut config = talk.server.config();
    config.auth_info = kube::config::AuthInfo {
        token: Some("nobody".to_owned().into()),
        ..kube::config::AuthInfo::default()
    };
    talk.act_as(config, "somebody with a wrong token");
    talk.get(&mine).await;
    talk.get("/apis").await;
    talk.get("/version").await;
}
