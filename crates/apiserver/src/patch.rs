//! The patches of RFC 6902 and RFC 7386, and Kubernetes' own strategic merge.

use http::StatusCode;
use serde_json::Value;

use crate::resources::{Resource, Shape};
use crate::status::{Outcome, Refusal};
use crate::strategic;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Json,
    Merge,
    Strategic,
}

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

impl Kind {
    pub(crate) fn parse(media_type: &str) -> Outcome<Self> {
        match media_type {
            JSON => Ok(Self::Json),
            MERGE => Ok(Self::Merge),
            STRATEGIC => Ok(Self::Strategic),
            apply if apply.starts_with("application/apply-patch") => Err(Refusal::other(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                "server-side apply is not supported by this server: apply on the client's side \
                 (kubectl apply without --server-side), or send a merge patch",
            )),
            _ => Err(Refusal::bare(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "UnsupportedMediaType",
                "415: Unsupported Media Type",
            )),
        }
    }
}

/// `object` as the patch leaves it.
pub(crate) fn apply(
    kind: Kind,
    resource: &Resource,
    object: &Value,
    body: &[u8],
) -> Outcome<Value> {
    let unreadable = |_| Refusal::bad_request("invalid JSON patch");
    let unfit = || {
        Refusal::bare(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Invalid",
            "the server rejected our request due to an error in our request",
        )
    };
    let not_an_object = || {
        Refusal::bad_request(
            "error decoding patch: json: cannot unmarshal array into Go value of type \
             map[string]interface {}",
        )
    };
    let mut patched = object.clone();
    match kind {
        Kind::Json => {
            let patch: Value = serde_json::from_slice(body).map_err(unreadable)?;
            let patch: json_patch::Patch = serde_json::from_value(patch).map_err(|_| unfit())?;
            json_patch::patch(&mut patched, &patch).map_err(|_| unfit())?;
        }
        Kind::Merge => {
            let patch: Value = serde_json::from_slice(body).map_err(unreadable)?;
            if !patch.is_object() {
                return Err(not_an_object());
            }
            json_patch::merge(&mut patched, &patch);
        }
        Kind::Strategic => {
            let Shape::Builtin(type_name) = &resource.shape else {
                return Err(Refusal::unsupported_media_type(&format!("{JSON}, {MERGE}")));
            };
            let patch: Value = serde_json::from_slice(body).map_err(unreadable)?;
            if !patch.is_object() {
                return Err(not_an_object());
            }
            strategic::merge(type_name, &mut patched, &patch);
        }
    }
    Ok(patched)
}
