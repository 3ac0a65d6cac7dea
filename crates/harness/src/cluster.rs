//! What tests put into a cluster: namespaces, definitions, rights.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::Method;
use serde_json::{Value, json};

use crate::server::TestServer;

const WAIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(20);

impl TestServer {
    /// A fresh namespace whose name begins with `prefix`, once its controllers have filled it.
    ///
    /// It is not deleted: servers of tests do not last. In a given cluster
    /// ([`TestServer::from_env_kubeconfig`]) the test deletes it.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{}-{number}", self.inner.tag);
        let namespace = json!({"metadata": {"name": name}});
        self.call(Method::POST, "/api/v1/namespaces", &namespace)
            .await?
            .ok()?;
        if self.is_real() {
            self.wait_for(
                &format!("/api/v1/namespaces/{name}/serviceaccounts/default"),
                |_| true,
            )
            .await?;
            self.wait_for(
                &format!("/api/v1/namespaces/{name}/configmaps/kube-root-ca.crt"),
                |_| true,
            )
            .await?;
        }
        Ok(name)
    }

    /// Reads `path` until the object there is as `wanted` says, for 30 seconds at most.
    pub async fn wait_for(
        &self,
        path: &str,
        mut wanted: impl FnMut(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = tokio::time::Instant::now() + WAIT;
        loop {
            let answer = self.call(Method::GET, path, &Value::Null).await?;
            if answer.code == 200 && wanted(&answer.body) {
                return Ok(answer.body);
            }
            if tokio::time::Instant::now() > deadline {
                bail!(
                    "{path} is not as wanted after {WAIT:?}: {} {}",
                    answer.code,
                    answer.body
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Reads `path` until there is nothing, for 30 seconds at most.
    pub async fn wait_until_gone(&self, path: &str) -> Result<()> {
        let deadline = tokio::time::Instant::now() + WAIT;
        loop {
            let answer = self.call(Method::GET, path, &Value::Null).await?;
            if answer.code == 404 {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!(
                    "{path} is there after {WAIT:?}: {} {}",
                    answer.code,
                    answer.body
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Creates the objects of a YAML text, one document each, or replaces those that exist. An
    /// object that names no namespace goes into `namespace`.
    ///
    /// # Errors
    ///
    /// At the first object that the server does not take; those before it stay.
    pub async fn apply_yaml(&self, namespace: &str, yaml: &str) -> Result<()> {
        let objects: Vec<Value> = serde_saphyr::from_multiple(yaml).context("not YAML")?;
        for object in objects.into_iter().filter(|object| !object.is_null()) {
            let what = format!("{} {}", object["kind"], object["metadata"]["name"]);
            self.apply(namespace, object)
                .await
                .with_context(|| format!("cannot apply {what}"))?;
        }
        Ok(())
    }

    /// As [`TestServer::apply_yaml`], for one object.
    pub async fn apply(&self, namespace: &str, mut object: Value) -> Result<Value> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let name = text(&object["metadata"]["name"]);
        let root = if version.contains('/') {
            "/apis"
        } else {
            "/api"
        };
        let root = format!("{root}/{version}");
        let list = self.call(Method::GET, &root, &Value::Null).await?.ok()?;
        let resource = list["resources"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|r| r["kind"] == kind.as_str() && !text(&r["name"]).contains('/'))
            .with_context(|| format!("{version} has no kind {kind}"))?;
        let plural = text(&resource["name"]);
        let collection = if resource["namespaced"] == true {
            let own = text(&object["metadata"]["namespace"]);
            let namespace = if own.is_empty() { namespace } else { &own };
            format!("{root}/namespaces/{namespace}/{plural}")
        } else {
            format!("{root}/{plural}")
        };
        let created = self.call(Method::POST, &collection, &object).await?;
        if created.reason() != "AlreadyExists" {
            return created.ok();
        }
        let path = format!("{collection}/{name}");
        let present = self.call(Method::GET, &path, &Value::Null).await?.ok()?;
        object["metadata"]["resourceVersion"] = present["metadata"]["resourceVersion"].clone();
        self.call(Method::PUT, &path, &object).await?.ok()
    }

    /// Installs the definition of `LeaderLock`, unless it is there, and waits until it is served.
    pub async fn install_leader_lock_crd(&self) -> Result<()> {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let answer = self.call(Method::POST, path, &leader_lock_crd()).await?;
        if answer.reason() != "AlreadyExists" {
            answer.ok()?;
        }
        self.wait_for("/apis/coralogix.com/v1", |list| {
            let resources = list["resources"].as_array();
            resources
                .into_iter()
                .flatten()
                .any(|resource| resource["name"] == "leaderlocks")
        })
        .await?;
        // Discovery may be ahead of the handlers.
        self.wait_for("/apis/coralogix.com/v1/leaderlocks", |_| true)
            .await?;
        Ok(())
    }

    /// Makes a service account, unless it is there.
    pub async fn create_service_account(&self, namespace: &str, name: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
        let answer = self
            .call(Method::POST, &path, &json!({"metadata": {"name": name}}))
            .await?;
        if answer.reason() != "AlreadyExists" {
            answer.ok()?;
        }
        Ok(())
    }
}

/// The definition that programs with LeaderLocks install.
fn leader_lock_crd() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "leaderlocks.coralogix.com"},
        "spec": {
            "group": "coralogix.com", "scope": "Namespaced",
            "names": {
                "kind": "LeaderLock", "plural": "leaderlocks", "singular": "leaderlock",
                "shortNames": ["ll"],
            },
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {}},
                }},
            }}],
        },
    })
}
