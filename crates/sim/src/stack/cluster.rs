//! Where candidates sit: their Pods, what becomes of them, and the garbage collector.

use std::sync::Arc;

use serde_json::Value;
use tenure::{ContextInfo, LeaderElection};

use crate::{
    clock::{Nanos, SECOND},
    fault::{Fault, FaultKind},
    plan::{Plan, RHO, SLOWEST},
    rng::{Rng, hashed},
    trace::{Author, ProcessId, Warrant},
};

use super::{
    api::{NAME, NAMESPACE},
    process::Birth,
    traffic::{is_by, nonce_of},
    world::{Due, World},
};

/// What is known of Pods and processes.
pub(super) struct Cluster {
    /// The nonce of each process that ever was.
    nonces: Vec<String>,
    /// The identity of each, where it was given one.
    identities: Vec<Arc<str>>,
    longest_call: Nanos,
}

/// Something of the cluster's own that happens later.
pub(super) enum Later {
    /// A process is started in a seat.
    Start(usize),
}

impl Cluster {
    pub(super) fn new(plan: &Plan) -> Self {
        let calls = plan
            .seats
            .iter()
            .map(|seat| seat.timing.lease().call_limit());
        let longest = calls.max().unwrap_or_default();
        Self {
            nonces: Vec::new(),
            identities: Vec::new(),
            longest_call: u64::try_from(longest.as_nanos()).unwrap_or(0),
        }
    }
}

impl World<'_> {
    pub(super) fn set_up_cluster(&mut self) {}

    /// What a new process of that seat is made of, and what it is known by where that is not what
    /// it calls itself.
    pub(super) fn newcomer(
        &mut self,
        id: ProcessId,
        seat: usize,
        twin_of: Option<ProcessId>,
    ) -> Option<(Birth, Option<Arc<str>>)> {
        let seed = hashed([self.plan.seed, id.0.into(), 6]);
        let nonce = nonce_of(seed);
        let settings = &self.plan.seats[seat];
        let name = format!("c{seat}");
        let timing = settings.timing.lease();
        let mut builder = LeaderElection::lease_lock(NAME)
            .lease_duration(timing.lease_duration())
            .renew_deadline(timing.renew_deadline())
            .retry_period(timing.retry_period())
            .call_limit(timing.call_limit())
            .grace(timing.grace())
            .clock_error(RHO)
            .wait_when_absent(self.plan.strict)
            .seed(seed);
        let twin = twin_of.map(|twin| Arc::clone(&self.cluster.identities[twin.0 as usize]));
        if let Some(identity) = twin {
            builder = builder.identity(identity.as_ref());
        } else if settings.fixed_identity {
            builder = builder.identity(name.clone());
        }
        self.cluster.nonces.push(nonce);
        let birth = Birth {
            id,
            seat,
            machine: self.seats[seat].clock.clone(),
            now: self.now,
            context: ContextInfo::outside(NAMESPACE, name),
            builder,
            limit: timing.call_limit(),
            grace: timing.grace(),
            seed: hashed([self.plan.seed, id.0.into(), 62]),
        };
        Some((birth, None))
    }

    /// A process has started.
    pub(super) fn started(&mut self, id: ProcessId) {
        if let Some(process) = self.process(id) {
            let identity = Arc::clone(&process.identity);
            self.cluster.identities.push(identity);
        }
    }

    /// A process has ended.
    pub(super) fn has_ended(&mut self, _id: ProcessId, _seat: usize) {}

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
    pub(super) fn warrant(&self, _id: ProcessId, _lock: &Value) -> Option<Warrant> {
        None
    }

    /// The garbage collector comes by.
    pub(super) fn collect_garbage(&mut self) {
        self.api.server().collect_garbage();
        self.publish(Author::Collector, None);
    }

    pub(super) fn cluster_later(&mut self, later: Later) {
        match later {
            Later::Start(seat) => self.start(seat, None),
        }
    }

    /// A fault strikes the lock, the server or the Pods. False where it could do nothing.
    pub(super) fn strike_cluster(&mut self, fault: &Fault, victim: Option<ProcessId>) -> bool {
        match fault.kind {
            FaultKind::Evict => {
                let Some(victim) = victim else { return false };
                let seat = self.seat_of(victim);
                let mut rng = Rng::new(fault.salt, 30);
                let within = rng.between(SECOND, 30 * SECOND);
                self.ask_to_end(victim, within);
                self.at(self.now + rng.below(within), Due::Start(seat));
                true
            }
            FaultKind::NodeLost => {
                let Some(victim) = victim else { return false };
                let seat = self.seat_of(victim);
                if let Some(process) = self.process_mut(victim) {
                    process.cut_off = true;
                }
                self.at(self.now + 20 * SECOND, Due::Start(seat));
                true
            }
            FaultKind::NameReuse => {
                let Some(victim) = victim else { return false };
                let seat = self.seat_of(victim);
                self.end(victim);
                self.at(self.now + SECOND / 4, Due::Start(seat));
                true
            }
            FaultKind::Restore => self.restore(fault),
            _ => self.meddle(fault),
        }
    }

    pub(super) fn cluster_strike_ends(&mut self, _fault: &Fault) {}

    /// People put right what only they can. Then somebody leads within the time that is given back.
    pub(super) fn cluster_peace(&mut self) -> Nanos {
        let longest = self.longest.max(15 * SECOND);
        let calls = 4 * self.cluster.longest_call + 3 * SECOND;
        2 * (longest / SLOWEST * 1_000_000 + calls)
    }

    fn restore(&mut self, fault: &Fault) -> bool {
        let back = Rng::new(fault.salt, 31).between(SECOND, 60 * SECOND);
        let then = self.now.saturating_sub(back);
        let _ = then;
        false
    }
}
