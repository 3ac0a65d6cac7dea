//! What becomes of Pods, nodes and the store under faults, and in peace.

use std::sync::Arc;

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::{Fault, FaultKind},
    plan::SLOWEST,
    rng::Rng,
    trace::{Against, Happening, ProcessId},
};

use super::{
    api::NAMESPACE,
    cluster::Later,
    pods::name,
    record,
    world::{Due, World},
};

impl World<'_> {
    /// A process has crashed: it is started again by and by.
    pub(super) fn crashed(&mut self, id: ProcessId, seat: usize, pause: Nanos) {
        let Some(pod) = self.cluster.pods[seat].clone() else {
            self.at(self.now + pause, Due::Start(seat));
            return;
        };
        let here = self.cluster.containers[id.0 as usize]
            .as_ref()
            .is_some_and(|(_, container)| *container == pod.container);
        if !here {
            return;
        }
        // A container ends with all that runs in it.
        for other in self.in_pod(&pod.uid) {
            self.end(other);
        }
        self.container_ended(seat, &pod);
        let later = if pod.restarts {
            Later::Restart(seat, pod.uid)
        } else {
            // Its Pod has failed, and is replaced after a while.
            Later::Replace(seat, pod.uid)
        };
        self.at(self.now + pause, Due::Cluster(later));
    }

    /// A fault strikes the lock, the server or the Pods. False where it could do nothing.
    pub(super) fn strike_cluster(&mut self, fault: &Fault, victim: Option<ProcessId>) -> bool {
        match fault.kind {
            FaultKind::PeopleLabel => {
                self.cluster_later(Later::Label(0));
                true
            }
            FaultKind::GcLate => {
                self.cluster.late = fault.lasts;
                true
            }
            FaultKind::GcOff => {
                self.cluster.off_until = fault.ends();
                true
            }
            FaultKind::Evict
            | FaultKind::NodeLost
            | FaultKind::NameReuse
            | FaultKind::ForceDelete => {
                let Some(victim) = victim else { return false };
                let seat = self.seat_of(victim);
                let pod = self.cluster.containers[victim.0 as usize].clone();
                match pod {
                    Some((uid, _)) => self.strike_pod(fault, seat, &uid),
                    None => self.strike_seat(fault, victim, seat),
                }
                true
            }
            FaultKind::Restore => {
                let done = self.restore(fault);
                self.cluster.meddled |= done;
                done
            }
            kind if kind.is_a_request() => {
                if kind == FaultKind::AskNobody {
                    self.ask_former_terms();
                }
                self.steer(fault)
            }
            _ => {
                let done = self.meddle(fault);
                self.cluster.meddled |= done;
                done
            }
        }
    }

    pub(super) fn strike_seat(&mut self, fault: &Fault, victim: ProcessId, seat: usize) {
        let mut rng = Rng::new(fault.salt, 30);
        match fault.kind {
            FaultKind::Evict => {
                let within = rng.between(SECOND, 30 * SECOND);
                self.ask_to_end(victim, within);
                self.at(self.now + rng.below(within), Due::Start(seat));
            }
            FaultKind::NodeLost => {
                if let Some(process) = self.process_mut(victim) {
                    process.cut_off = Some(fault.id);
                }
                self.at(self.now + 20 * SECOND, Due::Start(seat));
            }
            _ => {
                self.end(victim);
                self.at(self.now + SECOND / 4, Due::Start(seat));
            }
        }
    }

    pub(super) fn strike_pod(&mut self, fault: &Fault, seat: usize, uid: &Arc<str>) {
        let mut rng = Rng::new(fault.salt, 32);
        let replace = || Due::Cluster(Later::Replace(seat, Arc::clone(uid)));
        let here = self.in_pod(uid);
        if fault.kind == FaultKind::Evict {
            let within = rng.between(SECOND, 30 * SECOND);
            self.terminate_pod(seat, uid);
            if self.has_pod(seat, uid) && rng.chance(500) {
                self.invent_end(seat, rng.next_u64());
            }
            for id in here {
                self.ask_to_end(id, within);
            }
            self.at(self.now + within + MILLI, replace());
            return;
        }
        for id in here.iter().copied() {
            // What it believes from now on is not covered.
            self.tell(Happening::Excused {
                process: id,
                kind: fault.kind,
                against: Against::Everybody,
                for_good: true,
            });
            if let Some(process) = self.process_mut(id) {
                if fault.kind == FaultKind::NodeLost {
                    process.cut_off = Some(fault.id);
                } else {
                    process.leaving = true;
                }
            }
        }
        if fault.kind == FaultKind::NodeLost {
            let replaced = self.now + rng.between(5 * SECOND, 40 * SECOND);
            self.at(replaced, replace());
            return;
        }
        // The processes do not notice, and go on for a while.
        self.remove_pod(seat, uid);
        if self.has_pod(seat, uid) {
            self.cluster.pods[seat] = None;
        }
        for id in here {
            self.at(fault.ends(), Due::End(id));
        }
        let pause = if fault.kind == FaultKind::NameReuse {
            SECOND / 4
        } else {
            rng.between(SECOND, 20 * SECOND)
        };
        self.at(self.now + pause, Due::Start(seat));
    }

    pub(super) fn cluster_strike_ends(&mut self, fault: &Fault) {
        match fault.kind {
            FaultKind::GcLate => self.cluster.late = 0,
            FaultKind::GcOff => self.at(self.now, Due::Collect),
            FaultKind::PauseLease if self.resume() => {
                self.struck(fault.id, fault.kind, None);
            }
            _ => {}
        }
    }

    /// People put right what only they can. Then somebody leads within the time that is given back.
    pub(super) fn cluster_peace(&mut self) -> Nanos {
        let calls = 4 * self.cluster.longest_call + 3 * SECOND;
        if !self.plan.lock.is_for_life() {
            // No pause is for ever: who waits leads from here on.
            self.resume();
            let longest = self.longest.max(15 * SECOND);
            return 2 * (longest / SLOWEST * 1_000_000 + calls);
        }
        self.finalize();
        self.cluster.late = 0;
        self.cluster.off_until = 0;
        // Processes whose Pods are gone have ended by then.
        for id in self.living().map(|process| process.id).collect::<Vec<_>>() {
            let there = self.cluster.containers[id.0 as usize]
                .as_ref()
                .is_none_or(|(uid, _)| self.pod_is_there(uid));
            if !there {
                self.end(id);
            } else if self.process(id).is_some_and(|process| process.leaving) {
                // It is told to end, and need not wait any more.
                let seat = self.seat_of(id);
                let uid = self.cluster.containers[id.0 as usize].clone();
                self.end(id);
                if let Some((uid, _)) = uid {
                    self.at(self.now, Due::Cluster(Later::Replace(seat, uid)));
                }
            }
        }
        for seat in 0..self.seats.len() {
            let gone = self.cluster.pods[seat]
                .as_ref()
                .is_some_and(|pod| !self.pod_is_there(&pod.uid));
            if gone {
                self.cluster.pods[seat] = None;
            }
        }
        self.collect_garbage();
        let waits = 2 * (30 * SECOND / SLOWEST * 1_000_000);
        // Later than any process that would still have put it right itself.
        self.at(self.now + waits / 2, Due::Cluster(Later::Remedy));
        waits + 2 * calls
    }

    /// Whether a person has made of the lock what is none, or has given it to somebody who does
    /// not lead by it.
    pub(super) fn is_spoilt(&self) -> bool {
        let Some(lock) = self.api.lock() else {
            return false;
        };
        let object = &lock.object;
        let writer = record::writer(object).and_then(|writer| self.process_of(&writer));
        // It waits for its Pod to go, which nobody would take the lock from otherwise (F3).
        let forgotten = writer
            .and_then(|id| self.cluster.containers.get(id.0 as usize)?.as_ref())
            .is_some_and(|(uid, container)| {
                let mut pods = self.cluster.pods.iter().flatten();
                pods.any(|pod| pod.uid == *uid && pod.has_forgotten(container))
            });
        let owners = object["metadata"]["ownerReferences"]
            .as_array()
            .map_or(0, Vec::len);
        let owner = &object["metadata"]["ownerReferences"][0]["uid"];
        let holder = record::snapshot(self.plan.lock, object).holder;
        writer.is_none()
            || forgotten
            || record::is_no_lock(object)
            || owners > 1
            || (owners == 1 && owner.as_str() != holder.as_deref())
    }

    pub(super) fn restore(&mut self, fault: &Fault) -> bool {
        let back = Rng::new(fault.salt, 31).between(SECOND, 60 * SECOND);
        let holder = self.holder();
        let before = self.api.lock().cloned();
        if !self.api.restore(self.now, self.now.saturating_sub(back)) {
            return false;
        }
        self.tell(Happening::Restored);
        self.excuse(fault.kind, Against::Everybody, holder);
        let holder = self.holder();
        self.excuse(fault.kind, Against::Everybody, holder);
        self.was_restored(before.as_ref());
        if self.plan.lock.is_for_life() {
            for seat in 0..self.seats.len() {
                self.pod_was_restored(fault, seat);
            }
        }
        true
    }

    /// A Pod that was made since is not known any more, whose process goes on for a while; and one
    /// that is known again has none.
    pub(super) fn pod_was_restored(&mut self, fault: &Fault, seat: usize) {
        let known = self.api.server().object("pods", NAMESPACE, &name(seat));
        let uid = known.and_then(|pod| Some(Arc::from(pod["metadata"]["uid"].as_str()?)));
        let own = self.cluster.pods[seat]
            .as_ref()
            .map(|pod| Arc::clone(&pod.uid));
        if uid == own {
            return;
        }
        self.cluster.pods[seat] = None;
        let soon = self.now + SECOND + Rng::new(fault.salt, 33 + seat as u64).below(5 * SECOND);
        for process in self.sitting(seat) {
            self.tell(Happening::Excused {
                process,
                kind: fault.kind,
                against: Against::Everybody,
                for_good: true,
            });
            if let Some(process) = self.process_mut(process) {
                process.leaving = true;
            }
            self.at(soon, Due::End(process));
        }
        let other = uid.unwrap_or_else(|| "none".into());
        self.at(soon + MILLI, Due::Cluster(Later::Replace(seat, other)));
    }
}
