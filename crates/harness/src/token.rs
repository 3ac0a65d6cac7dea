//! Acting as a service account.

use std::path::PathBuf;

use anyhow::{Context, Result};
use http::Method;
use kube::Config;
use kube::config::{AuthInfo, Kubeconfig};
use serde_json::{Value, json};

use crate::server::{Kind, TestServer};

impl TestServer {
    /// How to reach the server as a service account, which is made unless it is there. With a
    /// `pod` the token is bound to that Pod, which must name the service account in its spec, and
    /// ends with it.
    ///
    /// The embedded server issues no tokens: there the administrator acts as the service account
    /// by impersonation, whatever becomes of the Pod. It knows no rights but those taken away from
    /// the user `system:serviceaccount:NAMESPACE:NAME`.
    pub async fn service_account_config(
        &self,
        namespace: &str,
        service_account: &str,
        pod: Option<&str>,
    ) -> Result<Config> {
        let mut config = self.config();
        namespace.clone_into(&mut config.default_namespace);
        match self.grant(namespace, service_account, pod).await? {
            Some(token) => {
                config.auth_info = AuthInfo {
                    token: Some(token.into()),
                    ..AuthInfo::default()
                };
            }
            None => config.auth_info.impersonate = Some(user(namespace, service_account)),
        }
        Ok(config)
    }

    /// As [`TestServer::service_account_config`], as a kubeconfig file for other programs. It
    /// lasts as long as the server.
    pub async fn service_account_kubeconfig(
        &self,
        namespace: &str,
        service_account: &str,
        pod: Option<&str>,
    ) -> Result<PathBuf> {
        let admin = Kubeconfig::read_from(self.kubeconfig()).context("cannot read a kubeconfig")?;
        let cluster = admin
            .clusters
            .first()
            .context("a kubeconfig without a cluster")?;
        let cluster = serde_json::to_value(&cluster.cluster).context("not JSON")?;
        let mut user = json!({"as": user(namespace, service_account)});
        if let Some(token) = self.grant(namespace, service_account, pod).await? {
            user = json!({"token": token});
        } else if let Some(server) = self.embedded_server() {
            user["token"] = json!(server.token());
        }
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "tenure",
            "clusters": [{"name": "tenure", "cluster": cluster}],
            "contexts": [{"name": "tenure", "context": {
                "cluster": "tenure", "user": "tenure", "namespace": namespace,
            }}],
            "users": [{"name": "tenure", "user": user}],
        });
        let name = format!("{namespace}-{service_account}-{}", pod.unwrap_or_default());
        let path = self.inner.dir.path().join(format!("{name}.kubeconfig"));
        std::fs::write(&path, kubeconfig.to_string()).context("cannot write a kubeconfig")?;
        Ok(path)
    }

    /// A new token; `None` from a server that issues none.
    async fn grant(
        &self,
        namespace: &str,
        name: &str,
        pod: Option<&str>,
    ) -> Result<Option<String>> {
        self.create_service_account(namespace, name).await?;
        if let Kind::Embedded(_) = self.inner.kind {
            return Ok(None);
        }
        let bound = match pod {
            Some(pod) => {
                let uid = self.get_pod(namespace, pod).await?["metadata"]["uid"].clone();
                json!({"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid})
            }
            None => Value::Null,
        };
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600, "boundObjectRef": bound},
        });
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let granted = self.call(Method::POST, &path, &request).await?.ok()?;
        let token = granted["status"]["token"]
            .as_str()
            .context("an empty token")?;
        Ok(Some(token.to_owned()))
    }
}

fn user(namespace: &str, service_account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{service_account}")
}
