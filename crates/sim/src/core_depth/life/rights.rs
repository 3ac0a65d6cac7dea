//! Who may take up or delete a lock, in truth: what the candidates cannot see, and must not get
//! wrong.

use crate::trace::{ProcessId, Warrant};

use super::LifeModel;

impl LifeModel {
    /// What is wrong with a replace of the present lock by that process, if anything is (F3).
    pub(super) fn wrong_reentry(&self, process: ProcessId) -> Option<String> {
        let content = &self.server.lock()?.content;
        let owner = content.owner();
        let taker = self.cluster.process(process)?;
        let pod = &self.cluster.pods[taker.pod];
        if owner != Some(&pod.uid) {
            return Some("replaced what is no lock of its Pod (F2, F11)".into());
        }
        if content.record.is_none() {
            let several = pod.containers.len() > 1;
            return several.then(|| "took up a lock that names no container (F3)".into());
        }
        // Edited by hand, it tells of no process that ever was there.
        let number = content.process().map(ProcessId)?;
        let former = self.cluster.process(number)?;
        if number == process || former.pod != taker.pod {
            return None;
        }
        if former.container != taker.container {
            return Some("took up the lock of another container (F3)".into());
        }
        let lives = former.alive;
        lives.then(|| "took up the lock of a process that lives (F3)".into())
    }

    /// What makes a delete of the present lock by that process right, in truth.
    pub(super) fn warrant(&self, process: ProcessId) -> Option<Warrant> {
        let content = &self.server.lock()?.content;
        let owner = content.owner()?;
        if content.process() == Some(process.0) {
            return Some(Warrant::Own);
        }
        let Some(pod) = self.cluster.pod(owner) else {
            return Some(Warrant::OwnerGone);
        };
        let id = content.record.as_ref()?.container_id.as_ref()?;
        let pod = &self.cluster.pods[pod];
        let container = pod
            .containers
            .iter()
            .position(|container| container.runs.iter().any(|run| run.id == *id))?;
        let runs = &pod.containers[container].runs;
        let is_last = runs.last().is_some_and(|run| run.id == *id);
        let ended = runs.iter().any(|run| run.id == *id && run.ended.is_some());
        // A terminal phase says that nothing in it is started again, whatever still runs.
        let stays = pod.failed || pod.is_over() || is_last && pod.has_ended_for_good(container);
        (ended && stays).then_some(Warrant::ContainerEnded)
    }
}
