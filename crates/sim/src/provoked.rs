//! Bad luck at the worst moment: in some runs, what people do to the lock, and what ends a term, does
//! not come at a time of its own but right after the lock has changed hands.

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::FaultKind,
    plan::Plan,
    rng::Rng,
    trace::{Author, Happening},
};

/// Which faults of a plan have begun.
pub(crate) struct Provoked {
    begun: Vec<bool>,
}

impl Provoked {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            begun: vec![false; plan.faults.len()],
        }
    }

    /// A fault is due. False if it has begun before its time.
    pub(crate) fn begins(&mut self, fault: usize) -> bool {
        !std::mem::replace(&mut self.begun[fault], true)
    }

    /// Which fault this brings on, and when.
    pub(crate) fn by(&self, plan: &Plan, now: Nanos, what: &Happening) -> Option<(Nanos, usize)> {
        let Happening::Wrote(write) = what else {
            return None;
        };
        let holder = write.after.as_ref().and_then(|after| after.holder.as_ref());
        let before = write.before.as_ref();
        let changes = before.and_then(|before| before.holder.as_ref()) != holder;
        if !plan.provoked || !changes || !matches!(write.by, Author::Process(_)) {
            return None;
        }
        let fits = |kind: FaultKind| {
            use FaultKind::{Cancel, Crash, HandOver, StepDown};
            kind.is_by_people() || matches!(kind, Cancel | Crash | HandOver | StepDown)
        };
        let mut waiting = plan.faults.iter().enumerate();
        let (index, fault) = waiting.find(|(index, fault)| {
            !self.begun[*index] && fault.at > now + 3 * SECOND && fits(fault.kind)
        })?;
        let mut rng = Rng::new(fault.salt, 90);
        let soon = [60 * MILLI, 400 * MILLI, 3 * SECOND][rng.index(3)];
        Some((now + rng.below(soon), index))
    }
}
