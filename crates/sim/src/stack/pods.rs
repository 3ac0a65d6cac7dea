//! Pods without a kubelet: what it would report of containers, and what becomes of Pods.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http::Method;
use serde_json::{Value, json};
use tenure::{
    context_info::OwnPod,
    process::{Fate, ProcessId as Pid, Processes},
};

use super::{api::NAMESPACE, world::World};

/// The Pod of a seat.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) uid: Arc<str>,
    /// The id of its container, as the kubelet tells it.
    pub(super) container: String,
    /// How often the container has been started.
    starts: u32,
    /// Whether an ended container is started again.
    pub(super) restarts: bool,
}

impl Pod {
    /// Whether its container has been started twice since it was that one: of its end there is no
    /// proof left in the Pod's status (F3).
    pub(super) fn has_forgotten(&self, container: &str) -> bool {
        let start = container.rsplit('-').next();
        start
            .and_then(|start| start.parse::<u32>().ok())
            .is_some_and(|start| start + 2 <= self.starts)
    }
}

/// The processes of a machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Alive(Arc<Mutex<BTreeSet<u32>>>);

/// The same, as one process sees it.
#[derive(Debug)]
struct Seen {
    own: Pid,
    alive: Alive,
    /// It may not look at others: that there is one is all that it can tell.
    hidden: bool,
}

impl Alive {
    pub(super) fn begins(&self, pid: u32) {
        self.lock().insert(pid);
    }

    pub(super) fn ends(&self, pid: u32) {
        self.lock().remove(&pid);
    }

    /// What the process `pid` sees from a PID namespace.
    pub(super) fn seen_by(&self, pid: u32, seat: usize, namespace: &str) -> Arc<dyn Processes> {
        Arc::new(Seen {
            own: Pid {
                pid,
                start: u64::from(pid) * 100,
                boot: format!("boot-{seat}"),
                pid_namespace: format!("pid:[{namespace}]"),
            },
            alive: self.clone(),
            hidden: pid.is_multiple_of(3),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Processes for Seen {
    fn own(&self) -> Option<Pid> {
        Some(self.own.clone())
    }

    fn inspect(&self, process: &Pid) -> Fate {
        if process.boot != self.own.boot || process.pid_namespace != self.own.pid_namespace {
            Fate::CannotTell
        } else if self.alive.lock().contains(&process.pid) {
            if self.hidden {
                Fate::CannotTell
            } else {
                Fate::Alive
            }
        } else {
            Fate::Gone
        }
    }
}

impl Pod {
    /// What a process in it knows of it.
    pub(super) fn own(&self, name: &str) -> OwnPod {
        OwnPod::new(NAMESPACE, name, &self.uid)
            .with_container("main")
            .with_containers(&["main"])
            .with_container_id(&self.container)
            .with_restart_policy(self.policy())
    }

    fn policy(&self) -> &'static str {
        if self.restarts { "Always" } else { "Never" }
    }
}

impl World<'_> {
    /// A new Pod for a seat.
    pub(super) fn make_pod(&mut self, seat: usize, restarts: bool) -> Option<Pod> {
        let policy = if restarts { "Always" } else { "Never" };
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name(seat)},
            "spec": {
                "containers": [{"name": "main", "image": "none"}], "restartPolicy": policy,
                "nodeName": format!("node-{seat}"),
            },
        });
        let (_, made) = self.api.send(self.now, &Method::POST, &pods(), &pod);
        self.publish_pods();
        let uid: Arc<str> = made["metadata"]["uid"].as_str()?.into();
        Some(Pod {
            container: format!("containerd://{uid}-0"),
            uid,
            starts: 0,
            restarts,
        })
    }

    /// The kubelet starts the container of a Pod, again if it ran before.
    pub(super) fn container_starts(&mut self, seat: usize, pod: &mut Pod) {
        pod.starts += 1;
        let before = std::mem::replace(
            &mut pod.container,
            format!("containerd://{}-{}", pod.uid, pod.starts),
        );
        let (id, restarts) = (pod.container.clone(), pod.starts - 1);
        self.report(seat, pod, |status| {
            let old = status["containerStatuses"][0].clone();
            let mut new = json!({
                "name": "main", "image": "none", "imageID": "", "containerID": id,
                "ready": true, "restartCount": restarts,
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            });
            if old["containerID"] == before.as_str() && old["state"]["terminated"].is_object() {
                new["lastState"] = json!({"terminated": old["state"]["terminated"]});
            }
            status["phase"] = "Running".into();
            status["containerStatuses"] = json!([new]);
        });
    }

    /// The kubelet reports that the container has ended.
    pub(super) fn container_ended(&mut self, seat: usize, pod: &Pod) {
        let (id, failed) = (pod.container.clone(), !pod.restarts);
        self.report(seat, pod, |status| {
            // It may never have been reported before.
            let mut container = status["containerStatuses"][0].clone();
            if !container.is_object() {
                container = json!({
                    "name": "main", "image": "none", "imageID": "", "containerID": id,
                    "restartCount": 0,
                });
            }
            container["ready"] = false.into();
            container["state"] = json!({"terminated": {
                "containerID": id, "reason": "Error", "exitCode": 1,
                "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
            }});
            status["containerStatuses"] = json!([container]);
            if failed {
                status["phase"] = "Failed".into();
            }
        });
    }

    /// Somebody who has lost sight of the Pod says that its container has ended: without a time, or
    /// with the reason that stands for not knowing. The phase stays: a Pod that has failed is gone as
    /// soon as it is deleted, its process or not, and that is not covered.
    pub(super) fn invent_end(&mut self, seat: usize, choice: u64) {
        let Some(pod) = self.cluster.pods[seat].clone() else {
            return;
        };
        let id = pod.container.clone();
        self.report(seat, &pod, |status| {
            let mut container = status["containerStatuses"][0].clone();
            if !container.is_object() || container["state"]["terminated"].is_object() {
                return;
            }
            container["state"] = if choice.is_multiple_of(2) {
                json!({"terminated": {
                    "containerID": id, "reason": "Error", "exitCode": 137,
                    "startedAt": null, "finishedAt": null,
                }})
            } else {
                json!({"terminated": {
                    "containerID": id, "reason": "ContainerStatusUnknown", "exitCode": 137,
                    "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
                }})
            };
            status["containerStatuses"] = json!([container]);
        });
    }

    /// The Pod of that uid is removed, if it is still there.
    pub(super) fn remove_pod(&mut self, seat: usize, uid: &str) {
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
            "preconditions": {"uid": uid},
        });
        let path = format!("{}/{}", pods(), name(seat));
        self.api.send(self.now, &Method::DELETE, &path, &options);
        self.publish_pods();
    }

    /// The Pod is told to end, and stays until the kubelet removes it.
    pub(super) fn terminate_pod(&mut self, seat: usize, uid: &str) {
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 30,
            "preconditions": {"uid": uid},
        });
        let path = format!("{}/{}", pods(), name(seat));
        self.api.send(self.now, &Method::DELETE, &path, &options);
        self.publish_pods();
    }

    /// Whether there is a Pod of that uid.
    pub(super) fn pod_is_there(&self, uid: &str) -> bool {
        (0..self.seats.len()).any(|seat| {
            self.api
                .server()
                .object("pods", NAMESPACE, &name(seat))
                .is_some_and(|pod| pod["metadata"]["uid"] == uid)
        })
    }

    fn report(&mut self, seat: usize, pod: &Pod, change: impl FnOnce(&mut Value)) {
        let Some(mut object) = self.api.server().object("pods", NAMESPACE, &name(seat)) else {
            return;
        };
        if object["metadata"]["uid"] != *pod.uid {
            return;
        }
        if !object["status"].is_object() {
            object["status"] = json!({});
        }
        change(&mut object["status"]);
        let path = format!("{}/{}/status", pods(), name(seat));
        self.api.send(self.now, &Method::PUT, &path, &object);
        self.publish_pods();
    }
}

/// What the Pod of a seat is called.
pub(super) fn name(seat: usize) -> String {
    format!("c{seat}")
}

fn pods() -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/pods")
}
