//! Where the demo takes place: a server, and the Pods and the lock in it, all of which are gone at
//! the end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, PostParams},
};
use serde_json::json;
use tempfile::TempDir;
use tenure_apiserver::{ApiServer, HttpServer};

use super::plan::{LABEL, Lock, Plan};
use crate::{
    cluster::{self, ClusterChoice, Namespace},
    console, dev_server,
    failure::Failure,
};

/// The container that every candidate's Pod says to have.
pub(crate) const CONTAINER: &str = "candidate";

/// A scheduler that nobody runs: its Pods stay on paper, and no container starts.
const NO_SCHEDULER: &str = "tenure-demo-nobody";

const CALL_LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Stage {
    pub(crate) lock: Lock,
    pub(crate) lock_name: String,
    pub(crate) namespace: String,
    /// For people.
    pub(crate) place: String,
    choice: ClusterChoice,
    client: Client,
    directory: TempDir,
    server: Option<(ApiServer, HttpServer)>,
    pods: BTreeMap<String, String>,
}

impl Stage {
    /// Starts the embedded server, or finds the cluster.
    pub(crate) async fn open(
        lock: Lock,
        cluster: Option<ClusterChoice>,
        namespace: Option<String>,
    ) -> Result<Self, Failure> {
        let directory = TempDir::with_prefix("tenure-demo-").map_err(|error| {
            Failure::failed("cannot make a temporary directory; set TMPDIR to one that can be used")
                .because(error)
        })?;
        let (choice, server) = if let Some(choice) = cluster {
            (choice, None)
        } else {
            let (choice, server) = embedded(directory.path(), lock).await?;
            (choice, Some(server))
        };
        let config = choice.config().await?;
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        let url = config.cluster_url.clone();
        let place = match &server {
            Some(_) => "embedded server".to_owned(),
            None => format!("{}, namespace {namespace}", url.host().unwrap_or_default()),
        };
        let stage = Self {
            lock,
            lock_name: format!("tenure-demo-{:06x}", rand::random::<u32>() >> 8),
            namespace,
            place,
            choice,
            client: cluster::client(config).await?,
            directory,
            server,
            pods: BTreeMap::new(),
        };
        stage.check(&url.to_string()).await?;
        Ok(stage)
    }

    /// What a candidate is to know. `process` tells apart those that have the same Pod's name.
    pub(crate) fn plan(&self, pod: &str, process: usize) -> Plan {
        Plan {
            kubeconfig: self.choice.kubeconfig.clone(),
            context: self.choice.context.clone(),
            lock: self.lock,
            name: self.lock_name.clone(),
            namespace: self.namespace.clone(),
            pod: pod.to_owned(),
            pod_uid: self.pods.get(pod).cloned().unwrap_or_default(),
            marks: self.directory.path().join(format!("{process}.marks")),
        }
    }

    /// The name of the Pod of a candidate.
    pub(crate) fn pod_name(&self, candidate: &str) -> String {
        let number = candidate.rsplit('-').next().unwrap_or(candidate);
        format!("{}-{number}", self.lock_name)
    }

    /// Whether there is a Pod of that name that this made.
    pub(crate) fn has_pod(&self, pod: &str) -> bool {
        self.pods.contains_key(pod)
    }

    /// Creates a candidate's Pod.
    pub(crate) async fn create_pod(&mut self, name: &str) -> Result<(), Failure> {
        let pod = serde_json::from_value(json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {LABEL.0: LABEL.1}},
            "spec": {
                "schedulerName": NO_SCHEDULER,
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [{
                    "name": CONTAINER,
                    "image": "tenure.invalid/never-started",
                    "securityContext": {
                        "allowPrivilegeEscalation": false,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "resources": {
                        "requests": {"cpu": "1m", "memory": "1Mi"},
                        "limits": {"cpu": "1m", "memory": "1Mi"},
                    },
                }],
            },
        }));
        let pod: DynamicObject = pod.map_err(|error| Failure::failed("no Pod").because(error))?;
        // Known before it is there: an interrupted creation is cleaned up after, too.
        self.pods.insert(name.to_owned(), String::new());
        let created = within(self.pods_api().create(&PostParams::default(), &pod)).await;
        let uid = match created {
            Ok(pod) => pod.metadata.uid.unwrap_or_default(),
            Err(error) => return Err(self.refused(&format!("create the Pod {name}"), error)),
        };
        self.pods.insert(name.to_owned(), uid);
        Ok(())
    }

    /// Does what follows a node's or a Pod's end: removes the Pod by force.
    pub(crate) async fn delete_pod(&mut self, name: &str) -> Result<(), Failure> {
        let now = DeleteParams::default().grace_period(0);
        match within(self.pods_api().delete(name, &now)).await {
            Ok(_) => {}
            Err(Refused::Error(error)) if is_missing(&error) => {}
            Err(error) => return Err(self.refused(&format!("delete the Pod {name}"), error)),
        }
        self.pods.remove(name);
        Ok(())
    }

    /// Removes everything that was made.
    pub(crate) async fn close(mut self) {
        if self.server.is_none() {
            let mut left = false;
            let names: Vec<String> = self.pods.keys().cloned().collect();
            for name in names {
                left |= self.delete_pod(&name).await.is_err();
            }
            left |= self.delete_lock().await.is_err();
            if left {
                console::note(&format!(
                    "tenure: the demo could not remove all that it made; run: kubectl -n {} delete \
                     pods,leases,configmaps -l {}={}",
                    self.namespace, LABEL.0, LABEL.1
                ));
            }
        }
        if let Some((_, http)) = self.server {
            http.shutdown().await;
        }
    }

    /// Refuses what the demo cannot work with, before it makes anything.
    async fn check(&self, url: &str) -> Result<(), Failure> {
        let silent = || {
            format!(
                "the API server at {url} does not answer; check that it runs and that the \
                 kubeconfig is right"
            )
        };
        match cluster::find_namespace(&self.client, &self.namespace).await {
            Namespace::There => {}
            Namespace::Missing => return Err(cluster::no_namespace(&self.namespace)),
            Namespace::Silent => return Err(Failure::failed(silent())),
            // Who may not read namespaces may still use one.
            Namespace::Unknown(kube::Error::Api(status)) if status.code == 403 => {}
            Namespace::Unknown(kube::Error::Api(status)) => {
                return Err(Failure::failed(format!(
                    "the API server at {url} refuses: {}; check the credentials of the kubeconfig",
                    status.message
                )));
            }
            Namespace::Unknown(error) => return Err(Failure::failed(silent()).because(error)),
        }
        if self.lock == Lock::LeaderLock
            && let Err(Refused::Error(error)) = within(self.locks().get("no-such-lock")).await
            && let kube::Error::Api(status) = &error
            // Of a kind that is not served the answer is no `Status` about an object.
            && status.code == 404
            && !status.message.contains("no-such-lock")
        {
            return Err(Failure::failed(
                "this cluster does not know LeaderLocks; install their definition with `tenure crd \
                 --install`, or use --lock config-map",
            )
            .because(error));
        }
        Ok(())
    }

    async fn delete_lock(&self) -> Result<(), Refused> {
        let name = &self.lock_name;
        match within(self.locks().delete(name, &DeleteParams::default())).await {
            Ok(_) => Ok(()),
            Err(Refused::Error(error)) if is_missing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whatever a Pod has besides is none of the demo's business: the types of all of it are half a
    /// megabyte of program.
    fn pods_api(&self) -> Api<DynamicObject> {
        let resource = resource("", "v1", "Pod", "pods");
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    fn locks(&self) -> Api<DynamicObject> {
        let kind = self.lock.kind();
        let resource = match self.lock {
            Lock::Lease { .. } => resource("coordination.k8s.io", "v1", kind, "leases"),
            Lock::ConfigMap => resource("", "v1", kind, "configmaps"),
            Lock::LeaderLock => resource("coralogix.com", "v1", kind, "leaderlocks"),
        };
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    fn refused(&self, what: &str, refused: Refused) -> Failure {
        let namespace = &self.namespace;
        match refused {
            Refused::Silent => Failure::failed(format!(
                "cannot {what} in the namespace {namespace}: no answer within {CALL_LIMIT:?}; try \
                 again"
            )),
            Refused::Error(kube::Error::Api(status)) => Failure::failed(format!(
                "cannot {what} in the namespace {namespace}: {}; use a namespace where that is \
                 allowed",
                status.message
            )),
            Refused::Error(error) => Failure::failed(format!(
                "cannot {what} in the namespace {namespace}; check that the API server answers"
            ))
            .because(error),
        }
    }
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: if group.is_empty() {
            version.to_owned()
        } else {
            format!("{group}/{version}")
        },
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

#[derive(Debug)]
enum Refused {
    Error(kube::Error),
    Silent,
}

async fn within<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, Refused> {
    match tokio::time::timeout(CALL_LIMIT, call).await {
        Ok(answer) => answer.map_err(Refused::Error),
        Err(_) => Err(Refused::Silent),
    }
}

fn is_missing(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

async fn embedded(
    directory: &Path,
    lock: Lock,
) -> Result<(ClusterChoice, (ApiServer, HttpServer)), Failure> {
    let (server, http) = dev_server::start(0).await?;
    if lock == Lock::LeaderLock {
        dev_server::install_crd(&server).await?;
    }
    let path: PathBuf = directory.join("kubeconfig");
    dev_server::write_whole(&path, &http.kubeconfig()).map_err(|error| {
        Failure::failed("cannot write to the temporary directory; set TMPDIR to another")
            .because(error)
    })?;
    let choice = ClusterChoice {
        kubeconfig: Some(path),
        context: None,
    };
    Ok((choice, (server, http)))
}
