//! Pods, as far as they say something about a lock.

use serde_json::Value;

use super::lock::time;

/// On a candidate's own Pod, if it wants to be seen: the name of the lock.
pub(crate) const CANDIDATE_LABEL: &str = "tenure.dev/candidate";
/// On the leader's own Pod, if it wants to be seen.
pub(crate) const ROLE_LABEL: &str = "tenure.dev/role";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) node: Option<String>,
    pub(crate) created: Option<i64>,
    pub(crate) being_deleted: bool,
    /// `Running`, `Failed: Evicted` and so on, as the server says it.
    pub(crate) phase: String,
    pub(crate) reason: String,
    /// Each container's name, its present id, and whether it runs.
    pub(crate) containers: Vec<Container>,
    pub(crate) candidate_for: Option<String>,
    pub(crate) says_it_leads: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Container {
    pub(crate) name: String,
    pub(crate) id: String,
    pub(crate) runs: bool,
}

impl Pod {
    /// What the object says; `None` if it is no Pod with a name and a uid.
    pub(crate) fn read(object: &Value) -> Option<Self> {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let label = |name: &str| object.pointer("/metadata/labels")?.get(name)?.as_str();
        let containers = object
            .pointer("/status/containerStatuses")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .map(container)
            .collect();
        Some(Self {
            namespace: text("/metadata/namespace").unwrap_or_default().to_owned(),
            name: text("/metadata/name")?.to_owned(),
            uid: text("/metadata/uid")?.to_owned(),
            node: text("/spec/nodeName").map(ToOwned::to_owned),
            created: text("/metadata/creationTimestamp").and_then(time),
            being_deleted: text("/metadata/deletionTimestamp").is_some(),
            phase: text("/status/phase").unwrap_or("Unknown").to_owned(),
            reason: text("/status/reason").unwrap_or_default().to_owned(),
            containers,
            candidate_for: label(CANDIDATE_LABEL).map(ToOwned::to_owned),
            says_it_leads: label(ROLE_LABEL) == Some("leader"),
        })
    }

    /// It has ended for good.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Something of it runs, as far as the kubelet has said.
    pub(crate) fn runs(&self) -> bool {
        let silent = self.containers.is_empty();
        self.phase == "Running" && (silent || self.containers.iter().any(|one| one.runs))
    }
}

fn container(status: &Value) -> Container {
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    Container {
        name: text("name"),
        id: text("containerID"),
        runs: status
            .pointer("/state/running")
            .is_some_and(|state| !state.is_null()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn strange_pods_are_read_as_far_as_they_go() {
        for object in [
            json!(null),
            json!([]),
            json!({"metadata": 7}),
            json!({"metadata": {"name": 1}}),
        ] {
            assert_eq!(Pod::read(&object), None);
        }
        let pod = json!({
            "metadata": {"name": "p", "uid": "u", "labels": [1], "creationTimestamp": "soon"},
            "spec": null, "status": {"phase": 4, "containerStatuses": [7, {"state": "x"}]},
        });
        let pod = Pod::read(&pod).unwrap();
        assert_eq!(
            (pod.phase.as_str(), pod.runs(), pod.has_ended()),
            ("Unknown", false, false)
        );
    }
}
