//! Where candidates sit: their Pods, what becomes of them, and the garbage collector.

use std::{sync::Arc, time::Duration};

use http::Method;
use serde_json::Value;
use tenure::{ContextInfo, LeaderElection};

use crate::{
    clock::{MILLI, Nanos, SECOND},
    plan::{LockKind, Plan, RHO, SeatTiming},
    rng::hashed,
    trace::{Author, ProcessId, Warrant},
};

use super::{
    api::{NAME, NAMESPACE},
    pods::{Alive, Pod, name},
    process::Birth,
    record,
    traffic::{is_by, nonce_of},
    world::{Due, World},
};

/// What is known of Pods and processes.
pub(super) struct Cluster {
    /// The nonce of each process that ever was.
    pub(super) nonces: Vec<String>,
    /// The identity of each.
    pub(super) identities: Vec<Arc<str>>,
    /// The Pod of each seat, for life.
    pub(super) pods: Vec<Option<Pod>>,
    /// The container of each process that ever was.
    pub(super) containers: Vec<Option<(Arc<str>, String)>>,
    pub(super) alive: Vec<Alive>,
    /// The garbage collector comes so late, and not before.
    pub(super) late: Nanos,
    pub(super) off_until: Nanos,
    /// People or a restore have put a record there that nobody may lead by.
    pub(super) meddled: bool,
    pub(super) longest_call: Nanos,
}

/// What a candidate is made of.
struct Candidacy {
    builder: tenure::Builder,
    context: ContextInfo,
    limit: Duration,
    grace: Duration,
    /// What it is known by, where that is not what it calls itself.
    known: Option<Arc<str>>,
}

/// Something of the cluster's own that happens later.
pub(super) enum Later {
    /// The kubelet notices that a container has ended, and starts it again.
    Restart(usize, Arc<str>),
    /// A seat gets another Pod, with a process in it.
    Replace(usize, Arc<str>),
    /// A controller labels what it finds, again and again.
    Label(u64),
    /// What held up the end of the lock lets go of it.
    Finalize,
    /// Somebody looks whether the lock is in order.
    Remedy,
}

impl Cluster {
    pub(super) fn new(plan: &Plan) -> Self {
        let calls = plan.seats.iter().map(|seat| match plan.lock {
            LockKind::Lease => seat.timing.lease().call_limit(),
            _ => SeatTiming::life().call_limit,
        });
        let longest = calls.max().unwrap_or_default();
        Self {
            nonces: Vec::new(),
            identities: Vec::new(),
            pods: plan.seats.iter().map(|_| None).collect(),
            containers: Vec::new(),
            alive: plan.seats.iter().map(|_| Alive::default()).collect(),
            late: 0,
            off_until: 0,
            meddled: false,
            longest_call: u64::try_from(longest.as_nanos()).unwrap_or(0),
        }
    }
}

impl World<'_> {
    pub(super) fn set_up_cluster(&mut self) {
        if self.plan.lock == LockKind::LeaderLock {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            let definition = tenure::crd::crd();
            self.api.send(self.now, &Method::POST, path, &definition);
            self.publish_pods();
        }
    }

    /// What a new process of that seat is made of, and what it is known by where that is not what
    /// it calls itself.
    pub(super) fn newcomer(
        &mut self,
        id: ProcessId,
        seat: usize,
        twin_of: Option<ProcessId>,
    ) -> Option<(Birth, Option<Arc<str>>)> {
        let seed = hashed([self.plan.seed, id.0.into(), 6]);
        let candidacy = if self.plan.lock.is_for_life() {
            self.newcomer_for_life(id, seat, twin_of)?
        } else {
            self.newcomer_for_lease(seat, twin_of)
        };
        self.cluster.nonces.push(nonce_of(seed));
        let is_foreign = !self.plan.lock.is_for_life() && self.plan.seats[seat].foreign;
        let foreign = is_foreign.then(|| {
            let identity = format!("{}_go-{}", name(seat), id.0).into();
            (identity, self.api.collection())
        });
        let birth = Birth {
            id,
            seat,
            machine: self.seats[seat].clock.clone(),
            now: self.now,
            context: candidacy.context,
            builder: candidacy.builder.seed(seed),
            in_set: self.plan.seats[seat].in_set,
            trusts: (!self.plan.lock.is_for_life())
                .then(|| self.plan.seats[seat].timing.lease().renew_deadline()),
            limit: candidacy.limit,
            grace: candidacy.grace,
            seed: hashed([self.plan.seed, id.0.into(), 62]),
            foreign,
        };
        Some((birth, candidacy.known))
    }

    fn newcomer_for_lease(&mut self, seat: usize, twin_of: Option<ProcessId>) -> Candidacy {
        let settings = &self.plan.seats[seat];
        let timing = settings.timing.lease();
        let mut builder = LeaderElection::lease_lock(NAME)
            .lease_duration(timing.lease_duration())
            .renew_deadline(timing.renew_deadline())
            .retry_period(timing.retry_period())
            .call_limit(timing.call_limit())
            .grace(timing.grace())
            .clock_error(RHO)
            .wait_when_absent(self.plan.strict)
            .cooldown(settings.cooldown);
        if let Some(max_skew) = settings.max_skew {
            builder = builder.trust_remote_clock(max_skew);
        }
        let twin = twin_of.map(|twin| Arc::clone(&self.cluster.identities[twin.0 as usize]));
        if let Some(identity) = twin {
            builder = builder.identity(identity.as_ref());
        } else if settings.fixed_identity {
            builder = builder.identity(name(seat));
        }
        self.cluster.containers.push(None);
        let context = ContextInfo::outside(NAMESPACE, name(seat));
        Candidacy {
            builder,
            context,
            limit: settings.call_limit(),
            grace: timing.grace(),
            known: None,
        }
    }

    fn newcomer_for_life(
        &mut self,
        id: ProcessId,
        seat: usize,
        twin_of: Option<ProcessId>,
    ) -> Option<Candidacy> {
        let timing = SeatTiming::life();
        let mut pod = if let Some(pod) = self.cluster.pods[seat].take() {
            pod
        } else {
            let restarts = !hashed([self.plan.seed, seat as u64, 80]).is_multiple_of(4);
            self.make_pod(seat, restarts)?
        };
        if twin_of.is_none() {
            self.container_starts(seat, &mut pod);
        }
        let own = pod.own(&name(seat));
        let pid = 100 + id.0;
        // Containers share the PID namespace of their Pod, or each start has its own.
        let namespace =
            if hashed([self.plan.seed, seat as u64, 81]).is_multiple_of(2) || twin_of.is_some() {
                pod.uid.to_string()
            } else {
                pod.container.clone()
            };
        let alive = &self.cluster.alive[seat];
        alive.begins(pid);
        let processes = alive.seen_by(pid, seat, &namespace);
        let builder = match self.plan.lock {
            LockKind::LeaderLock => LeaderElection::leader_lock(NAME),
            _ => LeaderElection::config_map_lock(NAME),
        };
        let builder = builder.processes(processes);
        let context = ContextInfo::outside(NAMESPACE, name(seat)).with_pod(own);
        let known = Arc::clone(&pod.uid);
        self.cluster
            .containers
            .push(Some((Arc::clone(&pod.uid), pod.container.clone())));
        self.cluster.pods[seat] = Some(pod);
        Some(Candidacy {
            builder,
            context,
            limit: timing.call_limit,
            grace: timing.grace,
            known: Some(known),
        })
    }

    /// A process has started.
    pub(super) fn started(&mut self, id: ProcessId) {
        if let Some(process) = self.process(id) {
            let identity = Arc::clone(&process.identity);
            self.cluster.identities.push(identity);
        }
    }

    /// A process has ended.
    pub(super) fn has_ended(&mut self, id: ProcessId, seat: usize) {
        self.cluster.alive[seat].ends(100 + id.0);
    }

    /// The process whose record has that nonce.
    pub(super) fn process_of(&self, writer: &str) -> Option<ProcessId> {
        let index = self
            .cluster
            .nonces
            .iter()
            .position(|nonce| is_by(writer, nonce))?;
        u32::try_from(index).ok().map(ProcessId)
    }

    /// What makes a delete of the lock right, if anything does.
    pub(super) fn warrant(&self, id: ProcessId, lock: &Value) -> Option<Warrant> {
        if !self.plan.lock.is_for_life() {
            return None;
        }
        if record::is_no_lock(lock) {
            return None;
        }
        let writer = record::writer(lock).and_then(|writer| self.process_of(&writer));
        if writer == Some(id) {
            return Some(Warrant::Own);
        }
        let owner = record::snapshot(self.plan.lock, lock).holder?;
        if !self.pod_is_there(&owner) {
            return Some(Warrant::OwnerGone);
        }
        let container = self.cluster.containers.get(writer?.0 as usize)?.as_ref()?;
        let ended = self.living().all(|process| {
            self.cluster.containers[process.id.0 as usize].as_ref() != Some(container)
        });
        ended.then_some(Warrant::ContainerEnded)
    }

    /// Pods have changed: the collector will come by.
    pub(super) fn publish_pods(&mut self) {
        if self.plan.lock.is_for_life() {
            let soon = self.now + MILLI + hashed([self.plan.seed, self.now, 82]) % SECOND;
            let at = (soon + self.cluster.late).max(self.cluster.off_until);
            self.at(at, Due::Collect);
        }
        self.publish(Author::Person, None, self.now);
    }

    /// The garbage collector comes by.
    pub(super) fn collect_garbage(&mut self) {
        if self.now < self.cluster.off_until {
            let until = self.cluster.off_until;
            self.at(until, Due::Collect);
            return;
        }
        self.api.collect(self.now);
        self.publish(Author::Collector, None, self.now);
    }

    pub(super) fn cluster_later(&mut self, later: Later) {
        match later {
            Later::Finalize => self.finalize(),
            Later::Restart(seat, uid) => {
                if self.has_pod(seat, &uid) {
                    self.start(seat, None);
                }
            }
            Later::Replace(seat, uid) => {
                self.remove_pod(seat, &uid);
                if self.has_pod(seat, &uid) {
                    self.cluster.pods[seat] = None;
                }
                let mut others = self.in_pod(&uid);
                others.retain(|id| self.process(*id).is_some_and(|p| p.cut_off.is_none()));
                for other in others {
                    self.end(other);
                }
                self.start(seat, None);
            }
            Later::Label(count) => {
                let label = format!("l{count}");
                self.edit(|lock| lock["metadata"]["labels"]["controller"] = label.into());
                let next = Due::Cluster(Later::Label(count + 1));
                self.at(self.now + 3 * SECOND, next);
            }
            Later::Remedy => {
                // People see who leads before they put a lock right.
                if self.believers().is_empty() && (self.cluster.meddled || self.is_spoilt()) {
                    let path = self.api.path();
                    self.by_hand(&Method::DELETE, &path, &Value::Null);
                }
            }
        }
    }

    /// The living processes of a Pod.
    pub(super) fn in_pod(&self, uid: &str) -> Vec<ProcessId> {
        let here = |process: &&super::process::Process| {
            self.cluster.containers[process.id.0 as usize]
                .as_ref()
                .is_some_and(|(pod, _)| &**pod == uid)
        };
        self.living()
            .filter(here)
            .map(|process| process.id)
            .collect()
    }

    pub(super) fn has_pod(&self, seat: usize, uid: &str) -> bool {
        self.cluster.pods[seat]
            .as_ref()
            .is_some_and(|pod| &*pod.uid == uid)
    }
}
