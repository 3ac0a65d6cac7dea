//! What people put right when the faults are over: locks that no rule frees.

use tenure_core::life::{LifeRecord, Terminated};

use crate::{
    clock::{Nanos, SECOND},
    plan::SLOWEST,
    trace::{Author, ProcessId},
};

use super::{super::model::Desk, Later, LifeModel, cluster::Process};

/// How often somebody looks after the lock.
const LOOK: Nanos = 8 * SECOND;
/// The longest pause of a waiter (F7), after a call that was not answered any more.
const PAUSE: Nanos = 40 * SECOND;

impl LifeModel {
    /// The faults are over.
    pub(super) fn make_peace(&mut self, desk: &mut Desk<Self>) -> Nanos {
        self.peace = true;
        self.collector.late_until = 0;
        self.collector.off_until = 0;
        self.look_for_orphans(desk);
        let mut obstacle = SECOND;
        for pod in 0..self.cluster.pods.len() {
            let owner = &mut self.cluster.pods[pod];
            for container in &mut owner.containers {
                container.again = container.again.min(desk.now);
            }
            if !owner.exists {
                // Whatever outlives its Pod is taken down.
                desk.end.extend(self.cluster.living(pod));
            } else if owner.lost {
                desk.end.extend(self.cluster.living(pod));
                desk.later.push((desk.now + SECOND, Later::Remove(pod)));
                obstacle = obstacle.max(2 * SECOND);
            } else {
                if owner.is_going() && !owner.is_down() {
                    // It was given up to half a minute, and its object goes soon after.
                    obstacle = obstacle.max(33 * SECOND);
                }
                desk.later.push((desk.now + SECOND, Later::Report(pod)));
            }
        }
        obstacle = obstacle.max(self.in_flight);
        let leads = self
            .holder()
            .and_then(|holder| self.cluster.process(holder))
            .is_some_and(|process| process.alive);
        if self.server.lock().is_some() && !leads || self.in_flight > 0 {
            // Somebody looks, deletes a Pod, and that goes; or the collector comes.
            obstacle += LOOK + 10 * SECOND;
        }
        if let Some(lock) = self.server.lock().filter(|lock| lock.being_deleted) {
            let finalize = Later::Finalize(lock.version.uid.clone());
            desk.later.push((desk.now + SECOND, finalize));
        }
        obstacle += if self.habits.finalizer { 9 * SECOND } else { 0 };
        desk.later.push((desk.now + 3 * SECOND, Later::Remedy));
        // Without resourceVersions that grow, watches show nothing new: two pauses.
        let pauses = if self.restored { 2 } else { 1 };
        obstacle + pauses * (PAUSE / SLOWEST * 1_000_000) + 3 * SECOND
    }

    pub(super) fn remedy(&mut self, desk: &mut Desk<Self>) {
        desk.later.push((desk.now + LOOK, Later::Remedy));
        if !desk.believers.is_empty() {
            return;
        }
        let Some(lock) = self.server.lock().filter(|lock| !lock.being_deleted) else {
            return;
        };
        let Some(owner) = lock.content.owner().cloned() else {
            // It is no lock (F11).
            self.delete(desk, Author::Person, None, None);
            return;
        };
        // F8.
        let Some(pod) = self.cluster.pod(&owner) else {
            return;
        };
        let record = lock.content.record.clone();
        let holder = self.holder().and_then(|id| self.cluster.process(id));
        let is_genuine = record.is_some() && holder.is_some_and(|process| process.pod == pod);
        // A process deletes its own, unless it may not, or is not to, or cannot know that it is back.
        let is_kept = self.habits.keeps_lock || self.refusals || self.restored;
        let looks_after = |process: &Process| process.alive && !(process.retired && is_kept);
        let lives = is_genuine && holder.is_some_and(|process| process.alive);
        if is_genuine && holder.is_some_and(looks_after)
            || !lives && self.will_be_freed(pod, record.as_ref())
            || self.cluster.pods[pod].being_deleted
        {
            return;
        }
        if is_genuine {
            self.delete_pod(desk, pod, 2 * SECOND);
        } else {
            self.delete(desk, Author::Person, None, None);
        }
    }

    /// Whether a rule frees the lock of this Pod, whose recorded process is gone: F3 by a process
    /// that has a proof, or F9. The rest is what docs/protocol.md does not cover.
    fn will_be_freed(&self, pod: usize, record: Option<&LifeRecord>) -> bool {
        let owner = &self.cluster.pods[pod];
        let single = owner.containers.len() == 1;
        let here: Vec<ProcessId> = self.cluster.living(pod);
        let here: Vec<&Process> = here
            .iter()
            .filter_map(|id| self.cluster.process(*id))
            .filter(|process| !process.retired)
            .collect();
        let Some(record) = record else {
            return single && !here.is_empty();
        };
        let is_own = |process: &&&Process| match &record.container {
            Some(name) if self.habits.knows_container => {
                *name == owner.containers[process.container].name
            }
            _ => single,
        };
        let certain = |end: &&Terminated| {
            end.finished && ["Completed", "Error", "OOMKilled"].contains(&&*end.reason)
        };
        let reported = record.container_id.as_ref().and_then(|id| {
            owner
                .containers
                .iter()
                .enumerate()
                .find_map(|(index, container)| {
                    let mut last = container.runs.iter().rev().take(2);
                    let end = last.find(|run| run.id == *id)?.ended.as_ref();
                    end.filter(certain).map(|_| index)
                })
        });
        let by_reentry = here.iter().filter(is_own).any(|process| {
            let mine = &process.id;
            let sees = record.process.as_ref().is_some_and(|theirs| {
                self.habits.knows_process
                    && theirs.boot_id == mine.boot_id
                    && theirs.pid_namespace == mine.pid_namespace
            });
            let run = &owner.containers[process.container].runs[process.run];
            let other_run = record.container_id.as_ref() != Some(&run.id);
            sees && !self.habits.blind
                || reported.is_some() && (other_run || !self.habits.knows_container_id)
        });
        let by_waiters = reported.is_some_and(|container| {
            let ended = &owner.containers[container];
            let is_last = ended.runs.last().map(|run| &run.id) == record.container_id.as_ref();
            owner.failed || owner.is_over() || is_last && owner.has_ended_for_good(container)
        });
        by_reentry || by_waiters
    }
}
