//! What an election has to do on any API server. The same cases run on the embedded server and on
//! a real control plane.

#![allow(dead_code, reason = "each test program uses what fits its server")]

pub(crate) mod beside;
pub(crate) mod faults;
pub(crate) mod marks;
pub(crate) mod rights;
pub(crate) mod turns;

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tenure::{
    Builder, ContextInfo, Kind, LeaderElection, Leadership, Status, context_info::OwnPod,
};
use tenure_harness::{PodOptions, TestServer};

pub(crate) const KINDS: [Kind; 3] = [Kind::Lease, Kind::ConfigMap, Kind::LeaderLock];
pub(crate) const LOCK: &str = "nightly";
pub(crate) const S: Duration = Duration::from_secs(1);

/// A namespace of its own on a server, and one kind of lock in it.
pub(crate) struct World<'a> {
    pub(crate) server: &'a TestServer,
    pub(crate) namespace: String,
    pub(crate) kind: Kind,
}

/// A candidate with the Pod that it says it runs in.
pub(crate) struct Candidate {
    pub(crate) pod: OwnPod,
    pub(crate) election: LeaderElection,
}

impl<'a> World<'a> {
    pub(crate) async fn new(server: &'a TestServer, kind: Kind) -> Self {
        if kind == Kind::LeaderLock {
            server.install_leader_lock_crd().await.unwrap();
        }
        let namespace = server.namespace("suite").await.unwrap();
        Self {
            server,
            namespace,
            kind,
        }
    }

    /// Short timings, so that a lease runs out within seconds.
    pub(crate) fn builder(&self) -> Builder {
        match self.kind {
            Kind::Lease => LeaderElection::lease_lock(LOCK).lease_duration(2 * S),
            Kind::ConfigMap => LeaderElection::config_map_lock(LOCK)
                .retry(S / 10, S / 2)
                .grace(S),
            _ => LeaderElection::leader_lock(LOCK)
                .retry(S / 10, S / 2)
                .grace(S),
        }
    }

    pub(crate) async fn candidate(&self, name: &str) -> Candidate {
        let pod = self.pod(name).await;
        self.candidate_in(pod)
    }

    pub(crate) fn candidate_in(&self, pod: OwnPod) -> Candidate {
        let context = ContextInfo::outside(&self.namespace, pod.name()).with_pod(pod.clone());
        let election = self.builder().build(self.server.config(), context).unwrap();
        Candidate { pod, election }
    }

    pub(crate) async fn pod(&self, name: &str) -> OwnPod {
        let options = PodOptions::default()
            .containers(["main"])
            .restart_policy("Never")
            .scheduler_name("nobody");
        self.pod_with(name, &options).await
    }

    pub(crate) async fn pod_with(&self, name: &str, options: &PodOptions) -> OwnPod {
        let pod = self
            .server
            .create_pod(&self.namespace, name, options)
            .await
            .unwrap();
        self.own_pod(&pod)
    }

    pub(crate) fn own_pod(&self, pod: &Value) -> OwnPod {
        let text = |pointer: &str| {
            pod.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap()
                .to_owned()
        };
        OwnPod::new(
            &self.namespace,
            &text("/metadata/name"),
            &text("/metadata/uid"),
        )
        .with_containers(&["main"])
        .with_container("main")
        .with_container_id(&format!("containerd://{}", text("/metadata/uid")))
    }

    pub(crate) fn path(&self) -> String {
        let namespace = &self.namespace;
        match self.kind {
            Kind::Lease => {
                format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{LOCK}")
            }
            Kind::ConfigMap => format!("/api/v1/namespaces/{namespace}/configmaps/{LOCK}"),
            _ => format!("/apis/coralogix.com/v1/namespaces/{namespace}/leaderlocks/{LOCK}"),
        }
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: &Value) -> Value {
        let answer = self.server.call(method, path, body).await.unwrap();
        answer.ok().unwrap()
    }

    pub(crate) async fn lock(&self) -> Value {
        self.call(Method::GET, &self.path(), &Value::Null).await
    }

    pub(crate) async fn delete_lock(&self) {
        self.call(Method::DELETE, &self.path(), &json!({})).await;
    }

    /// Put `change` over the lock, as a person with an editor would.
    pub(crate) async fn edit_lock(&self, change: impl Fn(&mut Value)) {
        self.edit(&self.path(), change).await;
    }

    /// Put `change` over an object that others write too.
    pub(crate) async fn edit(&self, path: &str, change: impl Fn(&mut Value)) {
        for _ in 0..20 {
            let mut object = self.call(Method::GET, path, &Value::Null).await;
            change(&mut object);
            let answer = self.server.call(Method::PUT, path, &object).await.unwrap();
            if answer.reason() != "Conflict" {
                answer.ok().unwrap();
                return;
            }
        }
        panic!("{path} changes too fast to be edited");
    }
}

impl Candidate {
    pub(crate) fn stand(&self) -> tokio::task::JoinHandle<Leadership> {
        let election = self.election.clone();
        tokio::spawn(async move { election.acquire().await.unwrap() })
    }
}

/// Wait for leadership, and give the time it took.
pub(crate) async fn within(
    limit: Duration,
    what: &str,
    waiting: tokio::task::JoinHandle<Leadership>,
) -> (Leadership, Duration) {
    let began = tenure::now();
    match tokio::time::timeout(limit, waiting).await {
        Ok(leadership) => (leadership.unwrap(), tenure::now().since(began)),
        Err(late) => panic!("{late}: {what}: nobody led within {limit:?}"),
    }
}

/// Wait until the election's status fits.
pub(crate) async fn status(
    election: &LeaderElection,
    limit: Duration,
    what: &str,
    fits: impl FnMut(&Status) -> bool,
) -> Status {
    let mut status = election.status();
    let waiting = tokio::time::timeout(limit, status.wait_for(fits)).await;
    match waiting {
        Ok(status) => status.unwrap().clone(),
        Err(late) => panic!(
            "{late}: {what}: not within {limit:?}; it is {:?}",
            election.status().borrow()
        ),
    }
}
