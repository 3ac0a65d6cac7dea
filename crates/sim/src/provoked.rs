//! Bad luck at the worst moment: in some runs, what people do to the lock, and what ends a term, does
//! not come at a time of its own but right after the lock has changed hands; and what has to come at one
//! moment to matter at all comes then.

use crate::{
    clock::{MILLI, Nanos, SECOND},
    fault::FaultKind,
    plan::Plan,
    rng::Rng,
    trace::{Author, Happening, Seeing, Snapshot},
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
        if !plan.provoked {
            return None;
        }
        let kinds = provokes(plan, what)?;
        let mut waiting = plan.faults.iter().enumerate();
        let (index, fault) = waiting.find(|(index, fault)| {
            !self.begun[*index] && fault.at > now + 3 * SECOND && kinds.have(fault.kind)
        })?;
        let mut rng = Rng::new(fault.salt, 90);
        let soon = match kinds {
            // Before who was told of it can look.
            Kinds::Deletion => plan.latency,
            Kinds::Request => 400 * MILLI,
            _ => [60 * MILLI, 400 * MILLI, 3 * SECOND][rng.index(3)],
        };
        Some((now + rng.below(soon), index))
    }
}

/// Which faults something brings on.
#[derive(Clone, Copy)]
enum Kinds {
    /// What people do to the lock, and what ends a term.
    Any,
    /// The lock is deleted.
    Deletion,
    /// Somebody asks for something.
    Request,
    /// Whoever leaves is told once more whom to name.
    Successor,
}

impl Kinds {
    fn have(self, kind: FaultKind) -> bool {
        use FaultKind::{AskStepDown, Cancel, Crash, HandOver, PeopleDelete, StepDown};
        match self {
            Self::Any => {
                kind.is_by_people() || matches!(kind, Cancel | Crash | HandOver | StepDown)
            }
            Self::Deletion => kind == PeopleDelete,
            Self::Request => kind == AskStepDown,
            Self::Successor => matches!(kind, AskStepDown | HandOver),
        }
    }
}

fn provokes(plan: &Plan, what: &Happening) -> Option<Kinds> {
    match what {
        // Whoever was told that there is one looks for it, and finds nothing.
        Happening::Sees {
            how: Seeing::Exists,
            ..
        } if !plan.lock.is_for_life() => Some(Kinds::Deletion),
        Happening::GivenUntil { .. } => Some(Kinds::Successor),
        Happening::Wrote(write) => {
            let count = |state: &Option<Snapshot>| state.as_ref().and_then(|s| s.transitions);
            let holder = |state: &Option<Snapshot>| state.as_ref().and_then(|s| s.holder.clone());
            let changes = holder(&write.before) != holder(&write.after);
            match write.by {
                Author::Process(_) => changes.then_some(Kinds::Any),
                // What it counts is not the term of who holds it.
                Author::Person => {
                    let miscounts = !changes && count(&write.before) != count(&write.after);
                    miscounts.then_some(Kinds::Request)
                }
                Author::Collector | Author::Restore => None,
            }
        }
        _ => None,
    }
}
