//! The custom resource `LeaderLock`, which is shared with every other program that uses it: the
//! definition is the one they install, field by field.

use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};
use tenure_core::Outcome;

use crate::{
    call::{self, CRDS, LEADER_LOCKS, Resource},
    object,
    rbac::to_yaml,
    wire::Wire,
};

/// The name of the definition.
pub const CRD_NAME: &str = "leaderlocks.coralogix.com";

/// How long [`install_crd`] tries and waits in all.
pub const INSTALL_LIMIT: Duration = Duration::from_secs(30);

/// What [`install_crd`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// The definition was missing.
    Created,
    /// It was there, and was left as it is.
    AlreadyThere,
}

/// Why there is no definition that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CrdError {
    /// A definition of that name is something else. It was left alone.
    #[error(
        "the definition leaderlocks.coralogix.com exists and is another one ({0}); it was left \
         alone: use a ConfigMap as the lock, or ask its owner"
    )]
    Foreign(String),
    /// The server refuses.
    #[error(
        "the definition of LeaderLock cannot be read or installed: {0}. Somebody with the right to \
         do it can run `tenure crd | kubectl apply -f -` once"
    )]
    Refused(String),
    /// It did not come about in time.
    #[error(
        "LeaderLocks are not served after {INSTALL_LIMIT:?}: {0}. Look at `kubectl describe crd \
         leaderlocks.coralogix.com`, and try again"
    )]
    NotServed(String),
}

/// The definition as JSON.
pub fn crd() -> Value {
    json!({
        "apiVersion": CRDS.api_version(),
        "kind": CRDS.kind,
        "metadata": {"name": CRD_NAME},
        "spec": {
            "group": LEADER_LOCKS.group,
            "names": {
                "kind": LEADER_LOCKS.kind,
                "plural": LEADER_LOCKS.plural,
                "singular": "leaderlock",
                "shortNames": ["ll"],
            },
            "scope": "Namespaced",
            "versions": [{
                "name": LEADER_LOCKS.version,
                "served": true,
                "storage": true,
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "properties": {"spec": {"type": "object", "properties": {}}},
                }},
            }],
        },
    })
}

/// The definition as YAML, for `kubectl apply -f -`.
pub fn crd_yaml() -> String {
    to_yaml(&crd())
}

/// Install the definition where it is missing, and wait until LeaderLocks are served. A definition
/// that is there is never changed.
///
/// Needs the rights `get` and `create` on `customresourcedefinitions` of the whole cluster, which
/// is much for a program that elects leaders: installing it once by hand is the better way.
///
/// # Errors
/// See [`CrdError`]; at the latest after [`INSTALL_LIMIT`].
///
/// # Cancel safety
/// Dropped, it may have installed the definition; calling it again goes on from there.
pub async fn install_crd(client: &Client) -> Result<Installed, CrdError> {
    let mut why = String::from("no answer");
    match tokio::time::timeout(INSTALL_LIMIT, install(client, &mut why)).await {
        Ok(result) => result,
        Err(_) => Err(CrdError::NotServed(why)),
    }
}

const CALL_LIMIT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

async fn install(client: &Client, why: &mut String) -> Result<Installed, CrdError> {
    let wire = Wire::over(client.clone());
    let definition = Resource::new(CRDS, None, CRD_NAME);
    let mut found = Installed::AlreadyThere;
    let mut pause = FIRST_PAUSE;
    loop {
        match call::call(&wire, definition.get(), CALL_LIMIT).await {
            Outcome::Done(object) => {
                check(&object)?;
                match established(&object) {
                    Ok(()) if is_served(client).await => return Ok(found),
                    Ok(()) => "it is established, and not served yet".clone_into(why),
                    Err(text) => *why = text,
                }
            }
            Outcome::NotFound(_) => {
                match call::call(&wire, definition.create(object::text(&crd())), CALL_LIMIT).await {
                    Outcome::Done(_) => {
                        found = Installed::Created;
                        "it was created, and is not established yet".clone_into(why);
                        continue;
                    }
                    Outcome::AlreadyExists | Outcome::Conflict => {}
                    Outcome::Unknown(text) => *why = text.to_string(),
                    Outcome::Refused(text) | Outcome::NotFound(text) => {
                        return Err(CrdError::Refused(text.to_string()));
                    }
                }
            }
            Outcome::Refused(text) => return Err(CrdError::Refused(text.to_string())),
            Outcome::Unknown(text) => *why = text.to_string(),
            Outcome::AlreadyExists | Outcome::Conflict => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether LeaderLocks of this definition are those that are meant.
fn check(object: &Value) -> Result<(), CrdError> {
    for (pointer, expected) in [
        ("/spec/group", LEADER_LOCKS.group),
        ("/spec/scope", "Namespaced"),
        ("/spec/names/kind", LEADER_LOCKS.kind),
        ("/spec/names/plural", LEADER_LOCKS.plural),
    ] {
        let is = object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default();
        if is != expected {
            let field = pointer.trim_start_matches('/').replace('/', ".");
            return Err(CrdError::Foreign(format!(
                "{field} is {is:?}, not {expected:?}"
            )));
        }
    }
    let versions = object.pointer("/spec/versions").and_then(Value::as_array);
    let served = versions
        .into_iter()
        .flatten()
        .any(|version| version["name"] == LEADER_LOCKS.version && version["served"] == true);
    if served {
        Ok(())
    } else {
        Err(CrdError::Foreign(format!(
            "it does not serve the version {}",
            LEADER_LOCKS.version
        )))
    }
}

fn established(object: &Value) -> Result<(), String> {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Err("the definition is being deleted".to_owned());
    }
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let conditions = || conditions.into_iter().flatten();
    if conditions().any(|c| c["type"] == "Established" && c["status"] == "True") {
        return Ok(());
    }
    let reason = conditions()
        .find(|c| c["status"] == "False")
        .and_then(|c| c["message"].as_str())
        .unwrap_or("the server has not said anything about it");
    Err(format!("the definition is not established: {reason}"))
}

/// Whether the group's discovery shows it: from then on requests find it.
async fn is_served(client: &Client) -> bool {
    let discovery = call::get_path(&LEADER_LOCKS.root()).into();
    match call::call(&Wire::over(client.clone()), discovery, CALL_LIMIT).await {
        Outcome::Done(list) => list["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|resource| resource["name"] == LEADER_LOCKS.plural),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_passes_its_own_check_and_reads_back_from_yaml() {
        assert_eq!(check(&crd()), Ok(()));
        let back: Value = serde_saphyr::from_str(&crd_yaml()).unwrap();
        assert_eq!(back, crd());
    }

    #[test]
    fn another_definition_of_that_name_is_told_apart() {
        for (pointer, value) in [
            ("/spec/group", json!("example.com")),
            ("/spec/scope", json!("Cluster")),
            ("/spec/names/kind", json!("Lock")),
            ("/spec/versions/0/served", json!(false)),
            ("/spec/versions/0/name", json!("v2")),
            ("/spec/versions", Value::Null),
        ] {
            let mut object = crd();
            *object.pointer_mut(pointer).unwrap() = value;
            assert!(
                matches!(check(&object), Err(CrdError::Foreign(_))),
                "{pointer}"
            );
        }
    }

    #[test]
    fn only_an_established_definition_is_taken_for_one() {
        let mut object = crd();
        assert!(established(&object).is_err());
        object["status"] = json!({"conditions": [
            {"type": "NamesAccepted", "status": "False", "message": "taken"},
            {"type": "Established", "status": "False"},
        ]});
        assert!(established(&object).unwrap_err().contains("taken"));
        object["status"]["conditions"][1]["status"] = json!("True");
        assert_eq!(established(&object), Ok(()));
        object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(established(&object).is_err());
    }
}
