//! What kubelets and the controllers of Pods do: containers that ended are reported, late, and
//! started again; Pods that go are taken down, and others come.

use tenure_core::life::Terminated;

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::{Fault, FaultKind},
    rng::Rng,
    trace::{Against, Happening, ProcessId},
};

use super::{
    super::model::{Desk, Victim},
    Later, LifeModel,
    cluster::Process,
};

impl LifeModel {
    pub(super) fn process_ended(&mut self, desk: &mut Desk<Self>, id: ProcessId) {
        let Some(process) = self.cluster.processes.get_mut(id.0 as usize) else {
            return;
        };
        if !std::mem::replace(&mut process.alive, false) {
            return;
        }
        let process = &self.cluster.processes[id.0 as usize];
        let (pod, container, run) = (process.pod, process.container, process.run);
        let is_main = self.cluster.is_main(process);
        let same = process.id.clone();
        let twin = process.twin;
        let here: Vec<ProcessId> = self.cluster.living(pod);
        let of_run = |other: &&ProcessId| {
            self.cluster
                .process(**other)
                .is_some_and(|other| (other.container, other.run) == (container, run))
        };
        let rest: Vec<ProcessId> = here.iter().filter(of_run).copied().collect();
        // What else runs in this very process ends with it, and with a container all of it.
        let with_it = rest.iter().copied().filter(|other| {
            is_main
                || self
                    .cluster
                    .process(*other)
                    .is_some_and(|other| other.id == same)
        });
        desk.end.extend(with_it);
        let going = self.cluster.pods[pod].is_going();
        if is_main {
            self.container_ended(desk, pod, container);
        } else if going && here.is_empty() {
            self.all_ended(desk, pod);
        } else if !going && !twin {
            // Its supervisor starts another one.
            let seat = self.cluster.pods[pod].seat;
            let again = desk.now + self.backoff(desk.now, seat);
            self.cluster.pods[pod].containers[container].again = again;
            desk.start.push((again, seat));
        }
    }

    /// The kubelet reports what is so by now.
    pub(super) fn report(&mut self, pod: usize) {
        let pod = &mut self.cluster.pods[pod];
        if pod.exists && !pod.lost {
            pod.report();
        }
    }

    /// Reports are late, and now and then very late.
    pub(super) fn will_report(&mut self, desk: &mut Desk<Self>, pod: usize) {
        let mut rng = self.dice(desk.now, 70 + pod as u64);
        let late = if rng.chance(300) && !self.peace {
            25 * SECOND
        } else {
            3 * SECOND
        };
        let at = desk.now + rng.between(50 * MILLI, late);
        desk.later.push((at, Later::Report(pod)));
    }

    pub(super) fn evict(&mut self, desk: &mut Desk<Self>, fault: &Fault, victim: Victim) -> bool {
        let Some(pod) = self.standing_pod(victim) else {
            return false;
        };
        let mut rng = Rng::new(fault.salt, 71);
        let pressure = rng.chance(300);
        let within = match rng.below(2) {
            0 => rng.between(SECOND / 2, 8 * SECOND),
            // As long as a grace period that is respected.
            _ => rng.between(11 * SECOND, 30 * SECOND),
        };
        let seat = self.cluster.pods[pod].seat;
        self.cluster.pods[pod].why = Some((fault.id, fault.kind));
        if pressure {
            // The kubelet itself evicts: the phase says that it is over before it is.
            self.cluster.pods[pod].failed = true;
            self.cluster.pods[pod].invent();
        } else {
            self.cluster.pods[pod].being_deleted = true;
        }
        self.ask_all_to_end(desk, pod, within);
        desk.start.push((desk.now + rng.below(20 * SECOND), seat));
        true
    }

    pub(super) fn force_delete(
        &mut self,
        desk: &mut Desk<Self>,
        fault: &Fault,
        victim: Victim,
    ) -> bool {
        let Some(pod) = self.standing_pod(victim) else {
            return false;
        };
        let mut rng = Rng::new(fault.salt, 72);
        if rng.chance(300) {
            self.cluster.pods[pod].invent();
        }
        self.cluster.pods[pod].why = Some((fault.id, fault.kind));
        self.remove_pod(desk, pod);
        let within = rng.between(2 * SECOND, 60 * SECOND);
        desk.later.push((desk.now + within, Later::TakeDown(pod)));
        let seat = self.cluster.pods[pod].seat;
        desk.start
            .push((desk.now + rng.between(SECOND / 10, 10 * SECOND), seat));
        true
    }

    pub(super) fn lose_node(
        &mut self,
        desk: &mut Desk<Self>,
        fault: &Fault,
        victim: Victim,
    ) -> bool {
        let Some(pod) = self.standing_pod(victim) else {
            return false;
        };
        let seat = self.cluster.pods[pod].seat;
        self.cluster.pods[pod].lost = true;
        self.cluster.pods[pod].why = Some((fault.id, fault.kind));
        self.cluster.seats[seat].boots += 1;
        desk.cut_off.extend(self.cluster.living(pod));
        let mut rng = Rng::new(fault.salt, 73);
        let evicted = desk.now + rng.between(5 * SECOND, 45 * SECOND);
        desk.later.push((evicted, Later::GiveUpOn(pod)));
        let collected = evicted + rng.between(SECOND, 40 * SECOND);
        desk.later.push((collected, Later::Remove(pod)));
        true
    }

    pub(super) fn reuse_name(
        &mut self,
        desk: &mut Desk<Self>,
        fault: &Fault,
        victim: Victim,
    ) -> bool {
        let Some(pod) = self.standing_pod(victim) else {
            return false;
        };
        let mut rng = Rng::new(fault.salt, 74);
        let within = rng.between(SECOND / 2, 14 * SECOND);
        let owner = &mut self.cluster.pods[pod];
        owner.being_deleted = true;
        owner.why = Some((fault.id, fault.kind));
        let (seat, name) = (owner.seat, owner.name.clone());
        self.cluster.seats[seat].name = Some(name);
        self.ask_all_to_end(desk, pod, within);
        if rng.chance(350) {
            // Its object goes a little before its process.
            let early = within - rng.below(within.min(4 * SECOND));
            desk.later.push((desk.now + early, Later::Remove(pod)));
        }
        true
    }

    /// Its controller, or somebody, deletes the Pod.
    pub(super) fn delete_pod(&mut self, desk: &mut Desk<Self>, pod: usize, within: Nanos) {
        let owner = &mut self.cluster.pods[pod];
        if !owner.exists || owner.being_deleted {
            return;
        }
        owner.being_deleted = true;
        if owner.is_down() {
            self.went_down(desk, pod);
        } else {
            self.ask_all_to_end(desk, pod, within);
        }
    }

    /// A lost node's Pod is given up on: another is made in its place.
    pub(super) fn give_up_on(&mut self, desk: &mut Desk<Self>, pod: usize) {
        let rng = &mut self.dice(desk.now, 75);
        let owner = &mut self.cluster.pods[pod];
        owner.being_deleted = true;
        if rng.chance(500) {
            owner.failed = true;
            owner.invent();
        }
        desk.start
            .push((desk.now + rng.between(SECOND / 5, 5 * SECOND), owner.seat));
    }

    /// Its node takes down what runs of a Pod that is no more.
    pub(super) fn take_down(&mut self, desk: &mut Desk<Self>, pod: usize) {
        let within = self.dice(desk.now, 76).below(12 * SECOND);
        self.ask_all_to_end(desk, pod, within);
    }

    /// The Pod's object goes, whatever still runs.
    pub(super) fn remove_pod(&mut self, desk: &mut Desk<Self>, pod: usize) {
        let owner = &mut self.cluster.pods[pod];
        if !std::mem::replace(&mut owner.exists, false) {
            return;
        }
        let seat = owner.seat;
        let outlives = self.cluster.living(pod);
        if let Some((fault, kind)) = self.cluster.pods[pod].why {
            for process in &outlives {
                desk.tell(excuse(*process, kind));
            }
            desk.tell(Happening::Struck {
                fault,
                kind,
                process: None,
            });
        }
        let soon = self.dice(desk.now, 77).below(SECOND);
        desk.start.push((desk.now + soon, seat));
        self.look_for_orphans(desk);
    }

    /// The lock goes: a moment at which candidates have writes on their way.
    pub(super) fn somebody_may_quit(&self, desk: &mut Desk<Self>) {
        let mut rng = self.dice(desk.now, 78);
        if self.habits.quits && !self.peace && rng.chance(300) {
            let within = [SECOND / 10, 4 * SECOND][rng.index(2)];
            let at = desk.now + rng.below(within);
            desk.later.push((at, Later::Retire(1 + rng.index(2))));
        }
    }

    /// A program of that seat needs no leader any more; most of the fleet goes on.
    pub(super) fn retire(&mut self, desk: &mut Desk<Self>, seat: usize) {
        let stands = |process: &Process| process.alive && !process.retired;
        // Whoever has left a lock to itself, to take it up again, would keep it for life.
        let holder = self
            .holder()
            .filter(|holder| !desk.believers.contains(holder));
        let found = (0..)
            .map(ProcessId)
            .zip(&mut self.cluster.processes)
            .find(|(_, process)| self.cluster.pods[process.pod].seat == seat && stands(process))
            .filter(|(id, _)| holder != Some(*id));
        if let Some((id, process)) = found {
            process.retired = true;
            desk.retire.push(id);
        }
    }

    /// How long a container that ended waits for its next start.
    fn backoff(&self, now: Nanos, seat: usize) -> Nanos {
        let mut rng = self.dice(now, 80 + seat as u64);
        if self.peace {
            return SECOND / 2;
        }
        match rng.below(10) {
            0..=2 => rng.between(10 * SECOND, 60 * SECOND),
            3..=5 => rng.between(SECOND / 5, 2 * SECOND),
            _ => rng.between(SECOND, 12 * SECOND),
        }
    }

    fn container_ended(&mut self, desk: &mut Desk<Self>, pod: usize, container: usize) {
        let mut rng = self.dice(desk.now, 90 + pod as u64);
        let backoff = self.backoff(desk.now, self.cluster.pods[pod].seat);
        let owner = &mut self.cluster.pods[pod];
        let going = owner.is_going();
        let Some(run) = owner.containers[container].runs.last_mut() else {
            return;
        };
        if run.ended.is_some() {
            return;
        }
        let exit_code = match rng.below(10) {
            0 => 0,
            _ if going => [0, 143, 137][rng.index(3)],
            1 | 2 => 137,
            _ => 1,
        };
        let unseen = rng.chance(50);
        let reason = match exit_code {
            _ if unseen => "ContainerStatusUnknown",
            0 => "Completed",
            137 => "OOMKilled",
            _ => "Error",
        };
        run.ended = Some(Terminated {
            container_id: run.id.clone(),
            reason: reason.into(),
            exit_code,
            finished: !rng.chance(30),
        });
        let seat = owner.seat;
        if going {
            if owner.is_down() {
                self.went_down(desk, pod);
            }
        } else if owner.has_ended_for_good(container) {
            // Its controller makes another Pod, if that was all.
            desk.start
                .push((desk.now + rng.between(SECOND / 2, 20 * SECOND), seat));
        } else {
            owner.containers[container].again = desk.now + backoff;
            desk.start.push((desk.now + backoff, seat));
        }
        self.will_report(desk, pod);
    }

    /// Its supervisors, if it has any, end with the last of their children.
    fn all_ended(&mut self, desk: &mut Desk<Self>, pod: usize) {
        for container in 0..self.cluster.pods[pod].containers.len() {
            self.container_ended(desk, pod, container);
        }
    }

    fn went_down(&mut self, desk: &mut Desk<Self>, pod: usize) {
        let mut rng = self.dice(desk.now, 91 + pod as u64);
        let owner = &self.cluster.pods[pod];
        if !owner.exists || owner.lost {
            return;
        }
        let after = match (owner.being_deleted, self.habits.one_name) {
            (true, _) if self.cluster.seats[owner.seat].name.is_some() => SECOND / 4,
            (true, _) => 3 * SECOND,
            // Its controller wants the name.
            (false, true) => 10 * SECOND,
            // Failed Pods are kept for a while.
            (false, false) => 150 * SECOND,
        };
        let at = desk.now + rng.below(after);
        desk.later.push((at, Later::Remove(pod)));
    }

    fn ask_all_to_end(&mut self, desk: &mut Desk<Self>, pod: usize, within: Nanos) {
        let living = self.cluster.living(pod);
        if living.is_empty() {
            self.all_ended(desk, pod);
        }
        desk.ask_to_end
            .extend(living.into_iter().map(|process| (process, within)));
    }

    /// The victim's Pod, if it is not going already.
    fn standing_pod(&self, victim: Victim) -> Option<usize> {
        let pod = self.cluster.process(victim.process)?.pod;
        let owner = &self.cluster.pods[pod];
        (!owner.is_going() && !owner.lost).then_some(pod)
    }
}

pub(super) fn excuse(process: ProcessId, kind: FaultKind) -> Happening {
    Happening::Excused {
        process,
        kind,
        against: Against::Everybody,
        for_good: true,
    }
}
