//! A Pod's status as JSON: what is needed to judge whether an owner is dead (F8, F9).

use serde_json::Value;
use tenure_core::{
    Uid,
    life::{ContainerSight, PodSight, RestartPolicy, Terminated},
};

/// What the Pod says. `None` if it has no uid.
pub(crate) fn sight(pod: &Value) -> Option<PodSight> {
    let uid = text(pod.pointer("/metadata/uid"))?;
    let phase = text(pod.pointer("/status/phase")).unwrap_or_default();
    let statuses = [
        "containerStatuses",
        "initContainerStatuses",
        "ephemeralContainerStatuses",
    ];
    let containers = statuses
        .iter()
        .filter_map(|name| pod.pointer("/status")?.get(name)?.as_array())
        .flatten()
        .filter_map(|status| container(pod, status))
        .collect();
    Some(PodSight {
        uid: Uid::new(uid),
        terminal: matches!(phase, "Succeeded" | "Failed"),
        being_deleted: text(pod.pointer("/metadata/deletionTimestamp")).is_some(),
        restart_policy: policy(pod.pointer("/spec/restartPolicy"))
            // What is not said is Always.
            .unwrap_or(RestartPolicy::Always),
        containers,
    })
}

fn container(pod: &Value, status: &Value) -> Option<ContainerSight> {
    let name = text(status.get("name"))?;
    Some(ContainerSight {
        name: name.into(),
        restart_policy: own_policy(pod, name),
        terminated: status.pointer("/state/terminated").and_then(terminated),
        last_terminated: status.pointer("/lastState/terminated").and_then(terminated),
    })
}

/// A container's own policy or rules; with rules of its own, only the kubelet knows.
fn own_policy(pod: &Value, name: &str) -> Option<RestartPolicy> {
    let spec = ["containers", "initContainers"]
        .iter()
        .filter_map(|list| pod.pointer("/spec")?.get(list)?.as_array())
        .flatten()
        .find(|container| text(container.get("name")) == Some(name))?;
    if spec
        .get("restartPolicyRules")
        .is_some_and(|rules| !rules.is_null())
    {
        return Some(RestartPolicy::Other);
    }
    policy(spec.get("restartPolicy"))
}

fn policy(value: Option<&Value>) -> Option<RestartPolicy> {
    Some(match text(value)? {
        "Always" => RestartPolicy::Always,
        "OnFailure" => RestartPolicy::OnFailure,
        "Never" => RestartPolicy::Never,
        _ => RestartPolicy::Other,
    })
}

fn terminated(state: &Value) -> Option<Terminated> {
    let finished = text(state.get("finishedAt"))
        .is_some_and(|time| !time.is_empty() && !time.starts_with("0001-"));
    Some(Terminated {
        container_id: bare_id(text(state.get("containerID"))?).into(),
        reason: text(state.get("reason")).unwrap_or_default().into(),
        exit_code: state
            .get("exitCode")
            .and_then(Value::as_i64)
            .and_then(|code| i32::try_from(code).ok())?,
        finished,
    })
}

/// A container's id without the runtime's name, which the kubelet puts before it
/// (`containerd://`) and a process cannot know of itself.
pub(crate) fn bare_id(id: &str) -> &str {
    id.split_once("://").map_or(id, |(_, bare)| bare)
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn f9_what_the_kubelet_reports_is_read_and_nothing_is_made_up() {
        let pod = json!({
            "metadata": {"uid": "u"},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "a"}]},
            "status": {"phase": "Failed", "containerStatuses": [
                {"name": "a", "state": {"terminated": {
                    "containerID": "containerd://1", "reason": "Error", "exitCode": 1,
                    "finishedAt": "2024-01-01T00:00:00Z"}}},
                {"name": "b", "state": {"terminated": {"exitCode": 137, "reason": "Error"}}},
                {"name": "c", "state": {"terminated": {
                    "containerID": "x", "exitCode": 0, "finishedAt": "0001-01-01T00:00:00Z"}}},
                {"name": "d", "state": null},
                "nonsense",
            ]},
        });
        let sight = sight(&pod).unwrap();
        assert!(sight.terminal && !sight.being_deleted);
        assert_eq!(sight.restart_policy, RestartPolicy::Never);
        let ends: Vec<_> = sight.containers.iter().map(|c| &c.terminated).collect();
        assert!(ends[0].as_ref().unwrap().finished);
        assert!(ends[1].is_none(), "without an id it is nobody's end");
        assert!(!ends[2].as_ref().unwrap().finished);
        assert_eq!(ends.len(), 4);
    }

    #[test]
    fn f9_an_id_is_known_again_without_the_runtimes_name() {
        let pod = json!({
            "metadata": {"uid": "u"},
            "status": {"containerStatuses": [{"name": "a", "state": {"terminated": {
                "containerID": "containerd://0af1", "reason": "Error", "exitCode": 1,
                "finishedAt": "2024-01-01T00:00:00Z"}}}]},
        });
        let sight = sight(&pod).unwrap();
        let ended = sight.containers[0].terminated.as_ref().unwrap();
        // What a process finds in its control group, and writes into the lock.
        assert_eq!(&*ended.container_id, "0af1");
    }

    #[test]
    fn a_container_with_rules_of_its_own_may_be_started_again() {
        let with = |container: Value| {
            json!({
                "metadata": {"uid": "u"},
                "spec": {"restartPolicy": "Never", "containers": [container]},
                "status": {"containerStatuses": [{"name": "a"}]},
            })
        };
        let policy = |pod: Value| sight(&pod).unwrap().containers[0].restart_policy;
        assert_eq!(policy(with(json!({"name": "a"}))), None);
        assert_eq!(
            policy(with(json!({"name": "a", "restartPolicy": "Always"}))),
            Some(RestartPolicy::Always)
        );
        assert_eq!(
            policy(with(json!({"name": "a", "restartPolicy": "Never",
                "restartPolicyRules": [{"action": "Restart"}]}))),
            Some(RestartPolicy::Other)
        );
    }
}
