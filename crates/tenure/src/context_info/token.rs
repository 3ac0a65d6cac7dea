//! What a service account's token says about the Pod that it was made for (rule F2).
//!
//! Nobody is trusted because of it: whether the token is genuine is the API server's business. It
//! is one's own token, and it is read for what the kubelet put into it.

use base64::{
    Engine,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Deserialize;

/// The claims of a token that is bound to a Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Claims {
    pub(crate) namespace: Option<String>,
    pub(crate) pod_name: Option<String>,
    pub(crate) pod_uid: Option<String>,
    pub(crate) service_account: Option<String>,
}

/// The claims of `token`; all of them `None` where it is no such token.
pub(crate) fn parse_token(token: &str) -> Claims {
    let mut parts = token.trim().split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Claims::default();
    };
    let engine = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let payload: Payload = engine
        .decode(payload)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default();
    let bound = payload.kubernetes.unwrap_or_default();
    let pod = bound.pod.unwrap_or_default();
    Claims {
        namespace: some(bound.namespace),
        pod_name: some(pod.name),
        pod_uid: some(pod.uid),
        service_account: some(bound.serviceaccount.unwrap_or_default().name),
    }
}

#[derive(Default, Deserialize)]
struct Payload {
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<Bound>,
}

#[derive(Default, Deserialize)]
struct Bound {
    #[serde(default)]
    namespace: String,
    pod: Option<Named>,
    serviceaccount: Option<Named>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    uid: String,
}

fn some(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bound_token_names_its_pod() {
        let payload = json!({
            "aud": ["x"], "exp": 1, "sub": "system:serviceaccount:shop:worker",
            "kubernetes.io": {
                "namespace": "shop", "node": {"name": "n", "uid": "m"},
                "pod": {"name": "worker-0", "uid": "u-1"},
                "serviceaccount": {"name": "worker", "uid": "s"},
            },
        })
        .to_string();
        let expected = Claims {
            namespace: Some("shop".into()),
            pod_name: Some("worker-0".into()),
            pod_uid: Some("u-1".into()),
            service_account: Some("worker".into()),
        };
        for payload in [URL_SAFE_NO_PAD.encode(&payload), URL_SAFE.encode(&payload)] {
            assert_eq!(parse_token(&format!("e30.{payload}.sig\n")), expected);
        }
    }

    #[test]
    fn anything_else_claims_nothing() {
        let old = URL_SAFE_NO_PAD.encode(json!({"iss": "kubernetes/serviceaccount"}).to_string());
        let odd = URL_SAFE_NO_PAD.encode(json!({"kubernetes.io": {"pod": "x"}}).to_string());
        for token in [
            "",
            "opaque",
            "a.b",
            "a.!.c",
            "a.b.c.d",
            &format!("a.{old}.c"),
            &format!("a.{odd}.c"),
        ] {
            assert_eq!(parse_token(token), Claims::default(), "{token}");
        }
    }
}
