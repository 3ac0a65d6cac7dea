//! Pods without a kubelet: the tests tell what it would report.

use anyhow::{Context, Result, bail};
use http::Method;
use serde_json::{Value, json};
use tenure_apiserver::{Clock as _, SystemClock};

use crate::server::TestServer;

/// What a Pod is made of. By default: one container `main`, restart policy `Always`, on no node,
/// and left alone by schedulers.
#[derive(Debug, Clone)]
pub struct PodOptions {
    containers: Vec<String>,
    service_account: Option<String>,
    restart_policy: String,
    scheduler: String,
    node: Option<String>,
    labels: Value,
    annotations: Value,
}

impl Default for PodOptions {
    fn default() -> Self {
        Self {
            containers: vec!["main".to_owned()],
            service_account: None,
            restart_policy: "Always".to_owned(),
            scheduler: "nobody".to_owned(),
            node: None,
            labels: Value::Null,
            annotations: Value::Null,
        }
    }
}

impl PodOptions {
    /// The containers' names.
    #[must_use]
    pub fn containers<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.containers = names.into_iter().map(str::to_owned).collect();
        self
    }

    /// The service account. It must exist by the time a token is asked for.
    #[must_use]
    pub fn service_account(mut self, name: impl Into<String>) -> Self {
        self.service_account = Some(name.into());
        self
    }

    /// `Always`, `OnFailure` or `Never`.
    #[must_use]
    pub fn restart_policy(mut self, policy: impl Into<String>) -> Self {
        self.restart_policy = policy.into();
        self
    }

    /// Who would choose its node.
    #[must_use]
    pub fn scheduler_name(mut self, name: impl Into<String>) -> Self {
        self.scheduler = name.into();
        self
    }

    /// Its node, which need not exist. A Pod on a node is not gone when it is deleted: it is being
    /// deleted until [`TestServer::force_delete_pod`].
    #[must_use]
    pub fn node(mut self, name: impl Into<String>) -> Self {
        self.node = Some(name.into());
        self
    }

    /// One more label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels[key] = json!(value);
        self
    }

    /// One more annotation.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations[key] = json!(value);
        self
    }

    fn pod(&self, name: &str) -> Value {
        let container = |name: &String| json!({"name": name, "image": "tenure.invalid/none:1"});
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": self.labels, "annotations": self.annotations},
            "spec": {
                "containers": self.containers.iter().map(container).collect::<Vec<_>>(),
                "restartPolicy": self.restart_policy,
                "schedulerName": self.scheduler,
                "automountServiceAccountToken": false,
            },
        });
        if let Some(account) = &self.service_account {
            pod["spec"]["serviceAccountName"] = json!(account);
        }
        if let Some(node) = &self.node {
            pod["spec"]["nodeName"] = json!(node);
        }
        pod
    }
}

impl TestServer {
    /// Makes a Pod and gives it as the server keeps it.
    pub async fn create_pod(
        &self,
        namespace: &str,
        name: &str,
        options: &PodOptions,
    ) -> Result<Value> {
        self.call(Method::POST, &pods(namespace), &options.pod(name))
            .await?
            .ok()
    }

    /// Reads a Pod.
    pub async fn get_pod(&self, namespace: &str, name: &str) -> Result<Value> {
        self.call(Method::GET, &pod(namespace, name), &Value::Null)
            .await?
            .ok()
    }

    /// Reports, as the kubelet does, that a container runs under that id, as `containerd://...`:
    /// started now, ready, once more than before if it ran already. The Pod's phase becomes
    /// `Running`.
    pub async fn report_running(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
        container_id: &str,
    ) -> Result<Value> {
        let state = json!({"running": {"startedAt": now()}});
        self.report(namespace, name, "Running", container, container_id, &state)
            .await
    }

    /// Reports, as the kubelet does, that the container of that id ended now, with a reason such
    /// as `Completed`, `Error` or `OOMKilled`. The phase stays as it is.
    pub async fn report_terminated(
        &self,
        namespace: &str,
        name: &str,
        container: &str,
        container_id: &str,
        reason: &str,
        exit_code: i32,
    ) -> Result<Value> {
        let state = json!({"terminated": {
            "containerID": container_id, "reason": reason, "exitCode": exit_code,
            "startedAt": now(), "finishedAt": now(),
        }});
        self.report(namespace, name, "", container, container_id, &state)
            .await
    }

    /// Sets the Pod's phase: `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    pub async fn set_phase(&self, namespace: &str, name: &str, phase: &str) -> Result<Value> {
        self.edit_pod_status(namespace, name, |status| status["phase"] = json!(phase))
            .await
    }

    /// Changes a Pod's status, over whatever it is at the time.
    pub async fn edit_pod_status(
        &self,
        namespace: &str,
        name: &str,
        mut edit: impl FnMut(&mut Value),
    ) -> Result<Value> {
        let path = format!("{}/status", pod(namespace, name));
        // A conflict means that somebody else got on: so many in a row do not happen.
        for _ in 0..100 {
            let mut pod = self.get_pod(namespace, name).await?;
            if !pod["status"].is_object() {
                pod["status"] = json!({});
            }
            edit(&mut pod["status"]);
            let answer = self.call(Method::PUT, &path, &pod).await?;
            if answer.reason() != "Conflict" {
                return answer.ok();
            }
        }
        bail!("the status of {namespace}/{name} changes all the time")
    }

    /// Deletes a Pod without grace, as `kubectl delete --force` does, and waits until it is gone.
    pub async fn force_delete_pod(&self, namespace: &str, name: &str) -> Result<()> {
        let path = pod(namespace, name);
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
        });
        self.call(Method::DELETE, &path, &options).await?.ok()?;
        self.wait_until_gone(&path).await
    }

    /// Deletes a Pod as [`TestServer::force_delete_pod`] does, and makes another of the same name
    /// and spec, which it gives: the uid is another one.
    pub async fn delete_pod_and_recreate_same_name(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Value> {
        let old = self.get_pod(namespace, name).await?;
        self.force_delete_pod(namespace, name).await?;
        let metadata = &old["metadata"];
        let new = json!({
            "apiVersion": "v1", "kind": "Pod", "spec": old["spec"],
            "metadata": {
                "name": name, "labels": metadata["labels"], "annotations": metadata["annotations"],
            },
        });
        self.call(Method::POST, &pods(namespace), &new).await?.ok()
    }

    async fn report(
        &self,
        namespace: &str,
        name: &str,
        phase: &str,
        container: &str,
        container_id: &str,
        state: &Value,
    ) -> Result<Value> {
        let pod = self.get_pod(namespace, name).await?;
        let image = pod["spec"]["containers"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|c| c["name"] == container)
            .map(|c| c["image"].clone())
            .with_context(|| format!("the Pod {namespace}/{name} has no container {container}"))?;
        let runs = state["running"].is_object();
        self.edit_pod_status(namespace, name, |status| {
            if !phase.is_empty() {
                status["phase"] = json!(phase);
            }
            let mut statuses = status["containerStatuses"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let before = statuses.iter().position(|s| s["name"] == container);
            let before = before.map(|at| statuses.remove(at)).unwrap_or_default();
            let restarts = before["restartCount"].as_i64().unwrap_or(0);
            let again = runs && !before.is_null() && before["containerID"] != container_id;
            let mut new = json!({
                "name": container, "image": image, "imageID": "", "containerID": container_id,
                "ready": runs, "started": runs, "restartCount": restarts + i64::from(again),
                "state": state,
            });
            if again && before["state"]["terminated"].is_object() {
                new["lastState"] = json!({"terminated": before["state"]["terminated"]});
            } else if before["lastState"].is_object() {
                new["lastState"] = before["lastState"].clone();
            }
            statuses.push(new);
            status["containerStatuses"] = Value::Array(statuses);
        })
        .await
    }
}

fn pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods")
}

fn pod(namespace: &str, name: &str) -> String {
    format!("{}/{name}", pods(namespace))
}

/// The wall clock in whole seconds, as the kubelet writes it.
fn now() -> String {
    let now = jiff::Timestamp::try_from(SystemClock.now()).unwrap_or_default();
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
