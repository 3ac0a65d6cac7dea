//! Pods: defaults, status, and what of the spec may change.

use serde_json::{Value, json};

use super::{pod, with};
use crate::suite::Talk;

pub async fn talk(talk: &mut Talk) {
    let all = talk.pods("");
    talk.case("what is set by default");
    let created = talk.post(&all, pod("p")).await;
    let (path, status) = (talk.pods("/p"), talk.pods("/p/status"));

    talk.case("a status");
    talk.get(&status).await;
    let running = with(&created, |p| {
        p["status"]["phase"] = json!("Running");
        p["status"]["containerStatuses"] = json!([{
            "name": "c", "image": "i:1", "imageID": "", "containerID": "containerd://1",
            "ready": true, "started": true, "restartCount": 0,
            "state": {"running": {"startedAt": "2001-02-03T04:05:06Z"}},
        }]);
        p["spec"]["containers"][0]["image"] = json!("ignored");
        p["metadata"]["labels"] = json!({"ignored": "perhaps"});
    });
    let now = talk.put(&status, &running).await;
    talk.note("stale");
    talk.put(&status, &running).await;
    talk.note("a status on the object itself is ignored");
    talk.put(
        &path,
        &with(&now, |p| {
            p["status"]["phase"] = json!("Failed");
            p["metadata"]["annotations"] = json!({"a": "b"});
        }),
    )
    .await;
    talk.note("a patch of the status");
    talk.merge(
        &status,
        json!({"status": {"phase": "Failed", "reason": "Evicted"}}),
    )
    .await;
    talk.note("a condition by strategic merge");
    let condition = json!({"type": "Ready", "status": "False", "reason": "x",
        "lastProbeTime": null, "lastTransitionTime": "2001-02-03T04:05:06Z"});
    talk.strategic(&status, json!({"status": {"conditions": [condition]}}))
        .await;
    let condition = json!({"type": "example.com/mine", "status": "True"});
    talk.strategic(&status, json!({"status": {"conditions": [condition]}}))
        .await;
    talk.note("a terminated container");
    let ended = json!([{
        "name": "c", "image": "i:1", "imageID": "", "containerID": "containerd://1",
        "ready": false, "restartCount": 0, "state": {"terminated": {
            "exitCode": 137, "reason": "OOMKilled", "containerID": "containerd://1",
            "startedAt": "2001-02-03T04:05:06Z", "finishedAt": "2001-02-03T04:05:07Z",
        }},
    }]);
    talk.merge(&status, json!({"status": {"containerStatuses": ended}}))
        .await;
    talk.note("the status of nobody");
    let nobody = talk.pods("/nobody/status");
    talk.get(&nobody).await;
    talk.merge(&nobody, json!({"status": {"phase": "Failed"}}))
        .await;

    talk.case("changes of the spec");
    for spec in [
        json!({"containers": [{"name": "c", "image": "i:2"}]}),
        json!({"restartPolicy": "Never"}),
        json!({"nodeName": "elsewhere"}),
        json!({"activeDeadlineSeconds": 5}),
        json!({"serviceAccountName": "other"}),
        json!({"containers": []}),
        json!({"tolerations": [{"operator": "Exists"}]}),
    ] {
        talk.strategic(&path, json!({"spec": spec})).await;
    }

    let specs: &[(&str, Value)] = &[
        ("no-containers", json!({})),
        ("no-name", json!({"containers": [{"image": "i"}]})),
        ("no-image", json!({"containers": [{"name": "c"}]})),
        (
            "bad-name",
            json!({"containers": [{"name": "C!", "image": "i"}]}),
        ),
        (
            "two-alike",
            json!({"containers": [
            {"name": "c", "image": "i"}, {"name": "c", "image": "i"}]}),
        ),
        (
            "bad-policy",
            json!({"restartPolicy": "Maybe", "containers": [{"name": "c", "image": "i"}]}),
        ),
        ("no-spec", Value::Null),
        (
            "never",
            json!({"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}),
        ),
        (
            "account",
            json!({"serviceAccountName": "sa", "containers": [{"name": "c", "image": "i"}]}),
        ),
        (
            "latest",
            json!({"containers": [{"name": "c", "image": "i:latest"},
            {"name": "d", "image": "i"}]}),
        ),
        (
            "scheduled",
            json!({"nodeName": "n", "schedulerName": "mine",
            "containers": [{"name": "c", "image": "i"}]}),
        ),
        (
            "env",
            json!({"containers": [{"name": "c", "image": "i", "env": [
            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "A", "value": "b"}]}]}),
        ),
        (
            "host",
            json!({"hostNetwork": true, "containers": [{"name": "c", "image": "i",
            "ports": [{"containerPort": 80}]}]}),
        ),
    ];
    for (name, spec) in specs {
        talk.case(name);
        talk.post(&all, with(&pod(name), |p| p["spec"] = spec.clone()))
            .await;
    }
    talk.case("a status in a create is ignored");
    let claims = with(&pod("claims"), |p| {
        p["status"] = json!({"phase": "Running"});
    });
    talk.post(&all, claims).await;
    talk.case("a mirror Pod");
    let mirror = with(&pod("mirror"), |p| {
        p["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
    });
    talk.post(&all, mirror).await;
}
