//! Labels on the own Pod: which lock it stands for, and whether it leads.
//!
//! One task sees to it that the Pod has what is wanted, and nothing else of the two keys: whoever removes
//! or changes them finds them put back at the next look, and what an earlier process of the same Pod left
//! behind is removed at the first. A leader also looks for other Pods that still carry the role for its
//! lock, and takes it from them: a Pod whose process is dead or cut off cannot do so itself.
//!
//! Every patch names the uid of its Pod, so that another Pod of the same name is not touched; one to
//! another's Pod names its resourceVersion too, so that a role that was given meanwhile stays.

use std::{future::pending, time::Duration};

use serde_json::{Value, json};
use tenure_core::Outcome;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{debug, info, warn};

use super::{CALL_LIMIT, PodRef, Text, until_after};
use crate::{
    call::{self, Resource},
    wire::Wire,
};

/// The lock that a Pod stands for.
pub(crate) const CANDIDATE_LABEL: &str = "tenure.dev/candidate";
/// Only on the Pod that leads.
pub(crate) const ROLE_LABEL: &str = "tenure.dev/role";
const LEADER: &str = "leader";

/// The most that lies between two looks, and the least.
const LONGEST_PERIOD: Duration = Duration::from_secs(10);
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);

/// After a call whose outcome is not known: it may still arrive.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// The first pause after a failure; doubled up to the period.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long a Pod is still called a candidate that stands no more: most stand again at once.
const LINGER: Duration = Duration::from_secs(1);

/// Whose Pod it is, and for which lock.
#[derive(Debug)]
pub(crate) struct LabelPlan {
    pub(crate) pod: PodRef,
    pub(crate) uid: String,
    pub(crate) lock: Text,
    period: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wanted {
    candidate: bool,
    leader: bool,
}

/// The election's side: it never waits.
pub(super) struct Labeller {
    line: Result<Line, Option<(LabelPlan, Wire)>>,
}

/// The way to the task.
struct Line {
    wanted: watch::Sender<Wanted>,
    task: JoinHandle<()>,
    ended: DropGuard,
}

impl LabelPlan {
    /// `lease` is the lease duration: a label that is wrong is seen within half of it.
    pub(crate) fn new(pod: PodRef, uid: String, lock: Text, lease: Option<Duration>) -> Self {
        let half = lease.map_or(LONGEST_PERIOD, |lease| lease / 2);
        Self {
            pod,
            uid,
            lock,
            period: half.clamp(SHORTEST_PERIOD, LONGEST_PERIOD),
        }
    }
}

impl Labeller {
    pub(super) fn new(plan: LabelPlan, wire: Wire) -> Self {
        Self {
            line: Err(Some((plan, wire))),
        }
    }

    pub(super) fn set(&mut self, candidate: bool, leader: bool) {
        let wanted = Wanted { candidate, leader };
        match &mut self.line {
            Ok(line) => {
                line.wanted.send_if_modified(|known| {
                    let changed = *known != wanted;
                    *known = wanted;
                    changed
                });
            }
            Err(plan) => {
                if let Some((plan, wire)) = plan.take() {
                    self.line = Ok(Line::start(plan, wire, wanted));
                }
            }
        }
    }

    pub(super) async fn finish(mut self) {
        self.set(false, false);
        if let Ok(line) = self.line {
            let Line {
                wanted,
                task,
                ended,
            } = line;
            drop((wanted, ended));
            // An error would mean that the task has panicked.
            let _ = task.await;
        }
    }
}

impl Line {
    fn start(plan: LabelPlan, wire: Wire, first: Wanted) -> Self {
        let (wanted, changes) = watch::channel(first);
        let ended = CancellationToken::new();
        let keeper = Keeper {
            pod: Resource::pod(&plan.pod.namespace, &plan.pod.name),
            plan,
            wire,
            look: Look::Read,
            candidate: false,
            own: Once::default(),
            others: Once::default(),
        };
        Self {
            wanted,
            task: tokio::spawn(until_after(ended.clone(), keeper.keep(changes))),
            ended: ended.drop_guard(),
        }
    }
}

/// The task's side.
struct Keeper {
    plan: LabelPlan,
    pod: Resource,
    wire: Wire,
    look: Look,
    /// Whether the Pod was last called a candidate.
    candidate: bool,
    own: Once,
    others: Once,
}

/// What is known of the Pod's labels before a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Nothing: they are read, and written if they are not as wanted.
    Read,
    /// They are to change: they are written without a look.
    Write,
}

/// What came of a round.
enum Round {
    Settled,
    /// A call may still arrive, or somebody was faster.
    Doubtful,
    Failed,
    /// There is no such Pod any more.
    Gone,
}

impl Keeper {
    async fn keep(mut self, mut changes: watch::Receiver<Wanted>) {
        let (mut last, mut failures, mut doubtful) = (false, 0_u32, false);
        loop {
            let wanted = *changes.borrow_and_update();
            let lingers = !wanted.candidate && self.candidate && !last;
            let now = Wanted {
                candidate: wanted.candidate || lingers,
                ..wanted
            };
            let round = tokio::select! {
                biased;
                changed = changed(&mut changes, last) => {
                    // The call that was under way may still arrive.
                    (last, doubtful, self.look) = (changed, true, Look::Write);
                    continue;
                }
                round = self.round(now) => round,
            };
            self.look = Look::Read;
            let mut pause = match round {
                Round::Gone => return,
                Round::Settled if last => return,
                Round::Settled => {
                    (failures, self.candidate) = (0, now.candidate);
                    if doubtful {
                        SECOND_LOOK
                    } else {
                        self.plan.period
                    }
                }
                Round::Doubtful => SECOND_LOOK,
                Round::Failed => {
                    failures = failures.saturating_add(1);
                    let doubled =
                        FIRST_PAUSE.saturating_mul(1 << failures.min(10).saturating_sub(1));
                    doubled.min(self.plan.period)
                }
            };
            doubtful = false;
            if lingers {
                pause = pause.min(LINGER);
                self.candidate = false;
            }
            tokio::select! {
                biased;
                changed = changed(&mut changes, last) => (last, self.look) = (changed, Look::Write),
                () = tokio::time::sleep(pause) => if lingers { self.look = Look::Write },
            }
        }
    }

    async fn round(&mut self, wanted: Wanted) -> Round {
        let seen = match self.look {
            Look::Write => None,
            Look::Read => Some(call::call(&self.wire, self.pod.get(), CALL_LIMIT).await),
        };
        match seen {
            Some(Outcome::Done(pod)) if uid(&pod) != Some(&self.plan.uid) => return self.gone(),
            Some(Outcome::Done(pod)) if self.fits(&pod, wanted) => self.own.works(),
            Some(Outcome::NotFound(_)) => return self.gone(),
            Some(Outcome::Unknown(error)) => {
                debug!(pod = self.pod.name(), %error, "the own Pod's labels cannot be read");
                return Round::Failed;
            }
            // As wanted or not: a Pod that must not be read can be written all the same.
            _ => match self.write(wanted).await {
                Round::Settled => {}
                other => return other,
            },
        }
        if wanted.leader {
            self.others_stand_down().await
        } else {
            Round::Settled
        }
    }

    async fn write(&mut self, wanted: Wanted) -> Round {
        let labels = self.labels(wanted);
        let patch = json!({"metadata": {"uid": self.plan.uid, "labels": labels}});
        let outcome = call::call(&self.wire, self.pod.patch(&patch), CALL_LIMIT).await;
        let error = match outcome {
            Outcome::Done(pod) if self.fits(&pod, wanted) => {
                self.own.works();
                return Round::Settled;
            }
            Outcome::Done(_) => "something else removes or changes them at once".into(),
            Outcome::NotFound(_) => return self.gone(),
            Outcome::Conflict | Outcome::AlreadyExists => return Round::Doubtful,
            Outcome::Unknown(error) => {
                debug!(pod = self.pod.name(), %error, "the own Pod's labels may not have been written");
                return Round::Failed;
            }
            Outcome::Refused(_) if self.replaced().await => return self.gone(),
            Outcome::Refused(error) => error,
        };
        if self.own.first() {
            warn!(
                pod = self.pod.name(), lock = %self.plan.lock, %error,
                "the own Pod's labels cannot be kept; leading goes on without them"
            );
        }
        Round::Failed
    }

    /// A patch to a Pod with another uid is refused as invalid, which says little.
    async fn replaced(&self) -> bool {
        match call::call(&self.wire, self.pod.get(), CALL_LIMIT).await {
            Outcome::Done(pod) => uid(&pod) != Some(&self.plan.uid),
            Outcome::NotFound(_) => true,
            _ => false,
        }
    }

    fn gone(&self) -> Round {
        info!(
            pod = self.pod.name(),
            "the own Pod is gone: it is labelled no more"
        );
        Round::Gone
    }

    /// Takes the role for this lock from Pods that have it still.
    async fn others_stand_down(&mut self) -> Round {
        let selector = format!("{CANDIDATE_LABEL}={},{ROLE_LABEL}={LEADER}", self.plan.lock);
        // What the server remembers is enough: a patch of what has changed since is refused.
        let list = self.pod.list(&format!(
            "labelSelector={}&resourceVersion=0",
            escaped(&selector)
        ));
        let pods = match call::call(&self.wire, list, CALL_LIMIT).await {
            Outcome::Done(pods) => pods,
            Outcome::Refused(error) => return self.powerless(&error),
            _ => return Round::Doubtful,
        };
        let mut round = Round::Settled;
        for pod in pods["items"].as_array().into_iter().flatten() {
            let text = |name: &str| {
                pod["metadata"][name]
                    .as_str()
                    .filter(|text| !text.is_empty())
            };
            let (Some(name), Some(uid), Some(version)) =
                (text("name"), text("uid"), text("resourceVersion"))
            else {
                continue;
            };
            // A server that passes selectors over sends other Pods too.
            let labels = &pod["metadata"]["labels"];
            if uid == self.plan.uid
                || labels[ROLE_LABEL] != LEADER
                || labels[CANDIDATE_LABEL] != *self.plan.lock
            {
                continue;
            }
            let patch = json!({
                "metadata": {"uid": uid, "resourceVersion": version, "labels": {ROLE_LABEL: null}},
            });
            let target = Resource::pod(self.pod.namespace(), name);
            match call::call(&self.wire, target.patch(&patch), CALL_LIMIT).await {
                Outcome::Done(_) => info!(
                    pod = name, lock = %self.plan.lock,
                    "another Pod was still labelled as the leader, and is no more"
                ),
                Outcome::Refused(error) => return self.powerless(&error),
                Outcome::NotFound(_) => {}
                _ => round = Round::Doubtful,
            }
        }
        self.others.works();
        round
    }

    fn powerless(&mut self, error: &str) -> Round {
        if self.others.first() {
            warn!(
                lock = %self.plan.lock, %error,
                "labels that dead leaders left behind cannot be removed; leading goes on"
            );
        }
        Round::Settled
    }

    fn labels(&self, wanted: Wanted) -> Value {
        json!({
            CANDIDATE_LABEL: wanted.candidate.then_some(&*self.plan.lock),
            ROLE_LABEL: wanted.leader.then_some(LEADER),
        })
    }

    fn fits(&self, pod: &Value, wanted: Wanted) -> bool {
        let labels = self.labels(wanted);
        let has = &pod["metadata"]["labels"];
        [CANDIDATE_LABEL, ROLE_LABEL]
            .iter()
            .all(|key| has[key] == labels[key])
    }
}

/// Told once, until it works again.
#[derive(Debug, Default)]
struct Once {
    told: bool,
}

impl Once {
    /// Whether it is to be told now.
    fn first(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    fn works(&mut self) {
        self.told = false;
    }
}

/// Whether that was the last change; never, once it was.
async fn changed(changes: &mut watch::Receiver<Wanted>, last: bool) -> bool {
    if last {
        pending().await
    } else {
        changes.changed().await.is_err()
    }
}

fn uid(pod: &Value) -> Option<&str> {
    pod["metadata"]["uid"].as_str()
}

/// As a value in a query.
fn escaped(text: &str) -> String {
    text.replace('/', "%2F")
        .replace(',', "%2C")
        .replace('=', "%3D")
}
