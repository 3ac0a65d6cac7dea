//! What people ask by annotations on the Lease: that a leader steps down (L25), and that nobody takes
//! the Lease (L26). Both only ever end or delay; neither grants anything.

use std::sync::Arc;

use crate::{
    asked::{Paused, StepDown},
    status::{LossReason, Notice},
};

use super::{
    elector::{LeaseElector, Phase},
    leading::Term,
    observation::Place,
    record::Observed,
};

impl LeaseElector {
    /// What is said of the pause, if the newest state that is known of the Lease has one.
    pub(super) fn paused(&self) -> Option<&Paused> {
        self.newest_record()?.paused.as_deref()
    }

    /// A watch can go blind: without a look now and then nobody would see a pause end.
    pub(super) fn plan_look_at_a_pause(&mut self) {
        if self.paused().is_none() {
            return;
        }
        let rest = self.rng.jittered(self.config.timing.lease_duration());
        self.look_paused_at = self.now.mono.after(rest);
    }

    /// Do what the newest state of the Lease asks for.
    pub(super) fn heed(&mut self) {
        self.tell_paused();
        let Phase::Leading(term) = &self.phase else {
            return;
        };
        let Some(record) = self.newest_record() else {
            return;
        };
        let asked = record.step_down.as_ref().filter(|asked| {
            is_to(asked, term, record, self.config.identity.as_str())
                && term.heeded.as_ref() != Some(asked)
        });
        let paused = record.paused.as_ref().map(|paused| Arc::clone(&paused.by));
        if let Some(asked) = asked.cloned() {
            self.obey(asked);
        }
        if let Some(by) = paused {
            self.step_down(LossReason::Paused(by), None);
        }
    }

    fn obey(&mut self, asked: Box<StepDown>) {
        let (by, to) = (Arc::clone(&asked.by), asked.to.clone());
        if let Phase::Leading(term) = &mut self.phase {
            term.heeded = Some(asked);
        }
        self.tell(Notice::AskedToStepDown {
            by: Arc::clone(&by),
            to: to.clone(),
        });
        self.step_down(LossReason::Asked(by), to);
    }

    fn tell_paused(&mut self) {
        let paused = match self.seen.place() {
            Place::Unknown => return,
            Place::Absent => None,
            Place::Present(observed) => observed.paused.as_ref(),
        };
        if self.told_paused.as_ref() != paused {
            self.told_paused = paused.cloned();
            self.plan_look_at_a_pause();
            self.tell(Notice::Paused(self.told_paused.as_deref().cloned()));
        }
    }

    fn newest_record(&self) -> Option<&Observed> {
        match self.seen.place() {
            Place::Present(observed) => Some(observed),
            Place::Unknown | Place::Absent => None,
        }
    }
}

/// Whether this process is asked, in this very term: a request that outlived its term is one to
/// nobody.
fn is_to(asked: &StepDown, term: &Term, record: &Observed, me: &str) -> bool {
    *asked.holder == *me
        && asked.transitions.is_some()
        && asked.transitions == term.last.spec.transitions
        && asked.uid == term.base.version.uid
        && record.version.uid == term.base.version.uid
}
