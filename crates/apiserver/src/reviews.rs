//! "Who am I?" and "may I?": the reviews that `kubectl auth` asks for. Nothing is stored.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::proto;
use crate::request::{RequestInfo, Target};
use crate::state::State;

/// The answer to a review; `None` for other requests.
pub(crate) fn answer(
    info: &RequestInfo,
    target: &Target,
    user: &str,
    body: &Bytes,
    state: &State,
) -> Option<Value> {
    if info.verb != "create" || target.version != "v1" {
        return None;
    }
    match (target.group.as_str(), target.plural.as_str()) {
        ("authorization.k8s.io", "selfsubjectaccessreviews") => {
            let review = if body.starts_with(b"k8s\0") {
                let type_name = "io.k8s.api.authorization.v1.SelfSubjectAccessReview";
                proto::to_json(type_name, body)?
            } else {
                serde_json::from_slice(body).ok()?
            };
            let asked = &review["spec"]["resourceAttributes"];
            let text = |field: &str| asked[field].as_str().unwrap_or_default().to_owned();
            let wanted = Target {
                group: text("group"),
                version: text("version"),
                plural: text("resource"),
                subresource: text("subresource"),
                namespace: text("namespace"),
                name: text("name"),
            };
            let denied = state
                .denials
                .iter()
                .any(|d| d.matches(&text("verb"), &wanted, user));
            Some(json!({
                "kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1",
                "metadata": {}, "spec": review["spec"], "status": {"allowed": !denied},
            }))
        }
        ("authentication.k8s.io", "selfsubjectreviews") => Some(json!({
            "kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1", "metadata": {},
            "status": {"userInfo": {"username": user, "groups": ["system:authenticated"]}},
        })),
        _ => None,
    }
}
