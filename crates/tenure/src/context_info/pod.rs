//! The own Pod: what a leader for life has to know about it (rules F1 to F3).

use serde_json::Value;

use crate::lock::bare_id;

/// The Pod that this process runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnPod {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    pub(super) container: Option<String>,
    pub(super) container_id: Option<String>,
    pub(super) containers: Vec<String>,
    pub(super) restart_policy: Option<String>,
    pub(super) service_account: Option<String>,
    pub(super) mirror: bool,
}

impl OwnPod {
    /// A Pod that somebody knows by name and uid.
    pub fn new(namespace: &str, name: &str, uid: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            uid: uid.to_owned(),
            container: None,
            container_id: None,
            containers: Vec::new(),
            restart_policy: None,
            service_account: None,
            mirror: false,
        }
    }

    /// The container that this process runs in (rule F3).
    #[must_use]
    pub fn with_container(mut self, container: &str) -> Self {
        self.container = Some(container.to_owned());
        self
    }

    /// The id of that container; the runtime's name before it (`containerd://`) is left out.
    #[must_use]
    pub fn with_container_id(mut self, id: &str) -> Self {
        self.container_id = Some(bare_id(id).to_owned());
        self
    }

    /// The names of all containers of the Pod, of whatever kind.
    #[must_use]
    pub fn with_containers(mut self, containers: &[&str]) -> Self {
        self.containers = containers.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// `Always`, `OnFailure` or `Never`.
    #[must_use]
    pub fn with_restart_policy(mut self, policy: &str) -> Self {
        self.restart_policy = Some(policy.to_owned());
        self
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its namespace. The lock that it owns must be in the same.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its uid, by which ownership is compared (rule F2).
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The container that this process runs in, where it is known (rule F3).
    pub fn container(&self) -> Option<&str> {
        self.container.as_deref()
    }

    /// The id of that container, without the runtime's prefix, where it can be tied to this
    /// process. A leader that does not know it is never taken for certainly dead by it.
    pub fn container_id(&self) -> Option<&str> {
        self.container_id.as_deref()
    }

    /// Whether the Pod has one container and no other of any kind: init containers, sidecars and
    /// ephemeral containers count.
    pub fn has_one_container(&self) -> bool {
        self.containers.len() == 1
    }

    /// The names of all its containers, of whatever kind; empty if they are not known.
    pub fn containers(&self) -> &[String] {
        &self.containers
    }

    /// `Always`, `OnFailure` or `Never`, where it is known.
    pub fn restart_policy(&self) -> Option<&str> {
        self.restart_policy.as_deref()
    }

    /// The service account that it runs as, where it is known.
    pub fn service_account(&self) -> Option<&str> {
        self.service_account.as_deref()
    }

    /// A Pod as the server sent it; `None` if it lacks name or uid.
    pub(super) fn parse(object: &Value) -> Option<Self> {
        let text = |pointer: &str| {
            let text = object.pointer(pointer)?.as_str()?;
            (!text.is_empty()).then_some(text)
        };
        let mut pod = Self::new(
            text("/metadata/namespace")?,
            text("/metadata/name")?,
            text("/metadata/uid")?,
        );
        for kind in [
            "/spec/containers",
            "/spec/initContainers",
            "/spec/ephemeralContainers",
        ] {
            let containers = object.pointer(kind).and_then(Value::as_array);
            for container in containers.into_iter().flatten() {
                let name = container["name"].as_str().unwrap_or_default();
                pod.containers.push(name.to_owned());
            }
        }
        pod.restart_policy = text("/spec/restartPolicy").map(ToOwned::to_owned);
        pod.service_account = text("/spec/serviceAccountName").map(ToOwned::to_owned);
        pod.mirror = object
            .pointer("/metadata/annotations/kubernetes.io~1config.mirror")
            .is_some();
        Some(pod)
    }
}
